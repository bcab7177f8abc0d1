//! Socket options that rustix does not wrap.

use rustix::fd::{AsRawFd, BorrowedFd};
use std::io;
use std::net::SocketAddr;

/// Sets an option that is an integer.
fn set_int(fd: BorrowedFd<'_>, level: i32, name: i32, value: i32) -> io::Result<()> {
    set_bytes(fd, level, name, &value.to_ne_bytes())
}

pub(crate) fn set_bytes(fd: BorrowedFd<'_>, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
    let len = libc::socklen_t::try_from(value.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the descriptor is borrowed, so open; pointer and length describe `value`, which the kernel only reads.
    let done = unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, value.as_ptr().cast(), len) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What a listening socket is asked for before `bind`.
#[derive(Clone, Copy, Debug, Default)]
pub struct BeforeListen<'a> {
    /// `cc`: TCP_CONGESTION.
    pub congestion: Option<&'a str>,
    /// `interface`: SO_BINDTODEVICE.
    pub interface: Option<&'a str>,
    /// `transparent`: IP_TRANSPARENT.
    pub transparent: bool,
    /// `tcp-md5sig`: the key, for all peers.
    pub md5sig: Option<&'a str>,
    /// `mss`: TCP_MAXSEG; a negative one is applied to each connection ([`shrink_segments`]).
    pub max_segment: Option<i32>,
    /// `tcp-ss`: TCP_SAVE_SYN.
    pub save_syn: Option<u32>,
    /// `defer-accept`: TCP_DEFER_ACCEPT.
    pub defer_accept: bool,
    /// `tfo`: TCP_FASTOPEN with this queue.
    pub fast_open: Option<i32>,
    /// `tcp-ut` in milliseconds: TCP_USER_TIMEOUT.
    pub user_timeout: Option<u32>,
    /// TCP_NOTSENT_LOWAT.
    pub notsent_lowat: Option<usize>,
    /// Is it an IPv6 socket?
    pub ipv6: bool,
    /// It was somebody else's: what is not asked for is switched off.
    pub forget: bool,
}

/// What a listening socket has to do without.
#[derive(Debug)]
pub struct Lacking {
    /// It is looked for when binding, the others when starting.
    pub binding: bool,
    /// What could not be done, in HAProxy's words.
    pub step: String,
    /// The system's reason.
    pub reason: io::Error,
}

/// Applies what is asked for, and tells what the system would not do.
///
/// # Errors
/// `transparent`, without which the address cannot be bound.
pub fn before_listen(fd: BorrowedFd<'_>, o: &BeforeListen<'_>) -> Result<Vec<Lacking>, io::Error> {
    let mut lacking = Vec::new();
    let tcp = libc::IPPROTO_TCP;
    let mut note = |done: io::Result<()>, binding: bool, step: &dyn Fn() -> String| {
        if let Err(reason) = done {
            lacking.push(Lacking { binding, step: step(), reason });
        }
    };
    if o.forget {
        for option in [libc::TCP_SAVE_SYN, libc::TCP_USER_TIMEOUT, libc::TCP_DEFER_ACCEPT, libc::TCP_FASTOPEN]
        {
            let _ = set_int(fd, tcp, option, 0);
        }
    }
    if o.transparent {
        set_transparent(fd, o.ipv6)?;
    }
    if let Some(name) = o.interface {
        let done = set_bytes(fd, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, name.as_bytes());
        note(done, true, &|| format!("cannot bind receiver to device '{name}'"));
    }
    let mut set = |done: io::Result<()>, what: &dyn Fn() -> String| {
        note(done, false, &|| format!("cannot set {},", what()));
    };
    if let Some(n) = o.max_segment.filter(|n| *n > 0) {
        set(set_int(fd, tcp, libc::TCP_MAXSEG, n), &|| format!("MSS to {n}"));
    }
    if let Some(ms) = o.user_timeout {
        let done = set_int(fd, tcp, libc::TCP_USER_TIMEOUT, i32::try_from(ms).unwrap_or(i32::MAX));
        set(done, &|| "TCP User Timeout".into());
    }
    if let Some(name) = o.congestion {
        let done = set_bytes(fd, tcp, libc::TCP_CONGESTION, name.as_bytes());
        set(done, &|| "TCP congestion control algorithm".into());
    }
    if let Some(key) = o.md5sig {
        set(set_md5sig(fd, None, o.ipv6, key), &|| "TCP MD5 signature".into());
    }
    if let Some(n) = o.save_syn {
        set(set_int(fd, tcp, libc::TCP_SAVE_SYN, n as i32), &|| format!("TCP save-syn to {n}"));
    }
    if o.defer_accept {
        set(set_int(fd, tcp, libc::TCP_DEFER_ACCEPT, 1), &|| "DEFER_ACCEPT".into());
    }
    if let Some(queue) = o.fast_open {
        set(set_int(fd, tcp, libc::TCP_FASTOPEN, queue), &|| "TCP_FASTOPEN".into());
    }
    if let Some(n) = o.notsent_lowat {
        let _ = set_int(fd, tcp, libc::TCP_NOTSENT_LOWAT, i32::try_from(n).unwrap_or(i32::MAX));
    }
    Ok(lacking)
}

/// TCP_QUICKACK off. On a listening socket it holds for its connections, and `listen` forgets it.
pub fn no_quick_ack(fd: BorrowedFd<'_>) {
    let _ = set_int(fd, libc::IPPROTO_TCP, libc::TCP_QUICKACK, 0);
}

fn get_int(fd: BorrowedFd<'_>, level: i32, name: i32) -> Option<i32> {
    let mut value: i32 = 0;
    let mut len = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the descriptor is borrowed, so open; pointer and length describe `value`, which the kernel writes.
    let done =
        unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, (&raw mut value).cast(), &raw mut len) };
    (done == 0).then_some(value)
}

/// Is it bound to an address that need not be ours?
#[must_use]
pub fn is_transparent(fd: BorrowedFd<'_>, ipv6: bool) -> bool {
    let (level, name) = match ipv6 {
        true => (libc::SOL_IPV6, libc::IPV6_TRANSPARENT),
        false => (libc::SOL_IP, libc::IP_TRANSPARENT),
    };
    get_int(fd, level, name).is_some_and(|n| n != 0)
}

/// A negative `mss`: this much less than what the connection would use.
pub fn shrink_segments(fd: BorrowedFd<'_>, by: u32) {
    let Some(now) = get_int(fd, libc::IPPROTO_TCP, libc::TCP_MAXSEG) else { return };
    let less = now.saturating_sub_unsigned(by);
    if less > 0 {
        let _ = set_int(fd, libc::IPPROTO_TCP, libc::TCP_MAXSEG, less);
    }
}

/// What a socket is asked for before `connect`.
#[derive(Clone, Copy, Debug, Default)]
pub struct BeforeConnect<'a> {
    /// `source … interface`
    pub interface: Option<&'a str>,
    /// `usesrc`: an address that is not ours.
    pub transparent: bool,
    /// `tcp-md5sig`: the peer and the key.
    pub md5sig: Option<(SocketAddr, &'a str)>,
    /// TCP_NOTSENT_LOWAT
    pub notsent_lowat: Option<usize>,
    /// TCP_FASTOPEN_CONNECT
    pub fast_open: bool,
    /// TCP_QUICKACK off.
    pub no_quick_ack: bool,
    /// Is it an IPv6 socket?
    pub ipv6: bool,
}

/// Applies what is asked for.
///
/// # Errors
/// The system's, of what cannot be done without.
pub fn before_connect(fd: BorrowedFd<'_>, o: &BeforeConnect<'_>) -> io::Result<()> {
    let tcp = libc::IPPROTO_TCP;
    if let Some(name) = o.interface {
        // an interface that is gone stops nobody
        let _ = set_bytes(fd, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, name.as_bytes());
    }
    if o.transparent {
        set_transparent(fd, o.ipv6)?;
    }
    if let Some((peer, key)) = o.md5sig {
        set_md5sig(fd, Some(peer), o.ipv6, key)?;
    }
    if let Some(n) = o.notsent_lowat {
        let _ = set_int(fd, tcp, libc::TCP_NOTSENT_LOWAT, i32::try_from(n).unwrap_or(i32::MAX));
    }
    if o.fast_open {
        let _ = set_int(fd, tcp, libc::TCP_FASTOPEN_CONNECT, 1);
    }
    if o.no_quick_ack {
        let _ = set_int(fd, tcp, libc::TCP_QUICKACK, 0);
    }
    Ok(())
}

/// The port is chosen when connecting: many more connections from one source address (IP_BIND_ADDRESS_NO_PORT).
pub fn bind_address_no_port(fd: BorrowedFd<'_>) {
    let _ = set_int(fd, libc::SOL_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1);
}

/// `set-fc-tos` and the like: IP_TOS, IPV6_TCLASS.
pub fn set_tos(fd: impl rustix::fd::AsFd, tos: u8) {
    let _ = set_int(fd.as_fd(), libc::IPPROTO_IP, libc::IP_TOS, tos.into());
    let _ = set_int(fd.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_TCLASS, tos.into());
}

/// `silent-drop`: what has come is acknowledged, so that its sender does not send it again to a socket that is gone; then
/// TCP_REPAIR, so that closing sends nothing.
///
/// # Errors
/// Needs CAP_NET_ADMIN.
pub fn set_repair(fd: BorrowedFd<'_>) -> io::Result<()> {
    set_int(fd, libc::IPPROTO_TCP, libc::TCP_QUICKACK, 1)?;
    set_int(fd, libc::IPPROTO_TCP, libc::TCP_REPAIR, 1)
}

/// `set-fc-mark` and the like: SO_MARK.
///
/// # Errors
/// Needs CAP_NET_ADMIN.
pub fn set_mark(fd: BorrowedFd<'_>, mark: u32) -> io::Result<()> {
    set_bytes(fd, libc::SOL_SOCKET, libc::SO_MARK, &mark.to_ne_bytes())
}

fn set_transparent(fd: BorrowedFd<'_>, ipv6: bool) -> io::Result<()> {
    match ipv6 {
        true => set_int(fd, libc::SOL_IPV6, libc::IPV6_TRANSPARENT, 1),
        false => set_int(fd, libc::SOL_IP, libc::IP_TRANSPARENT, 1),
    }
}

/// RFC 2385 signatures: `struct tcp_md5sig` of linux/tcp.h. Without a peer the key holds for every address.
fn set_md5sig(fd: BorrowedFd<'_>, peer: Option<SocketAddr>, ipv6: bool, key: &str) -> io::Result<()> {
    const ADDRESS: usize = 128;
    const FLAG_PREFIX: u8 = 1;
    const TCP_MD5SIG_EXT: i32 = 32;
    let key = key.as_bytes();
    let mut raw = [0u8; ADDRESS + 8 + 80];
    if key.len() > 80 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let family = match peer {
        Some(SocketAddr::V4(a)) => {
            raw[4..8].copy_from_slice(&a.ip().octets());
            libc::AF_INET
        }
        Some(SocketAddr::V6(a)) => {
            raw[8..24].copy_from_slice(&a.ip().octets());
            libc::AF_INET6
        }
        None if ipv6 => libc::AF_INET6,
        None => libc::AF_INET,
    };
    raw[..2].copy_from_slice(&(family as u16).to_ne_bytes());
    // flags, prefix length, key length (16 bits), interface index (32 bits), key
    raw[ADDRESS] = if peer.is_none() { FLAG_PREFIX } else { 0 };
    raw[ADDRESS + 2..ADDRESS + 4].copy_from_slice(&(key.len() as u16).to_ne_bytes());
    raw[ADDRESS + 8..ADDRESS + 8 + key.len()].copy_from_slice(key);
    let option = if peer.is_none() { TCP_MD5SIG_EXT } else { libc::TCP_MD5SIG };
    set_bytes(fd, libc::IPPROTO_TCP, option, &raw)
}
