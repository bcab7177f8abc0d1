//! Connecting to servers: socket, options, source address, connect; readiness is awaited by the caller.

use crate::conn::Conn;
use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix, SocketFlags, SocketType, ipproto, sockopt};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

/// Where to connect to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// TCP, or MPTCP.
    Inet {
        /// Address and port.
        addr: SocketAddr,
        /// Multipath TCP.
        mptcp: bool,
    },
    /// A Unix socket by path.
    Unix(String),
    /// A Linux abstract socket: its name (padded with zeros for `abns@`).
    Abstract(Vec<u8>),
}

/// What to set on a socket before it connects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ConnectOptions {
    /// `source`: local addresses, one port or a range of them.
    pub source: Option<(SocketAddr, u16)>,
    /// `source … interface`
    pub interface: Option<String>,
    /// TCP keep-alive: probes, idle seconds, interval seconds (0: the system's).
    pub keepalive: Option<(u32, u32, u32)>,
    /// `tcp-ut`
    pub user_timeout: Option<Duration>,
    /// `cc`
    pub congestion: Option<String>,
    /// `tcp-md5sig`
    pub md5sig: Option<String>,
    /// `tune.rcvbuf.server`
    pub rcvbuf: Option<usize>,
    /// `tune.sndbuf.server`
    pub sndbuf: Option<usize>,
    /// `tune.notsent-lowat.server`
    pub notsent_lowat: Option<usize>,
    /// `tfo`
    pub fast_open: bool,
    /// `namespace`
    pub namespace: Option<String>,
    /// Keep the last ACK of the handshake back until data goes out (`tcp-smart-connect`).
    pub quick_ack_off: bool,
}

/// What is said about one connection alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// `usesrc`: an address that is not ours (needs `CAP_NET_ADMIN` or `CAP_NET_RAW`), instead of `source`.
    pub source: Option<SocketAddr>,
    /// `set-bc-tos`
    pub tos: Option<u8>,
    /// `set-bc-mark`
    pub mark: Option<u32>,
}

/// Starts connecting. The connection is usable once [`Conn::poll_writable`] is ready and [`Conn::connected`] agrees.
///
/// # Errors
/// The system's: no descriptors, no ports left, unreachable network, refused Unix socket.
pub fn start(target: &Target, options: &ConnectOptions, marks: Marks) -> io::Result<Conn> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let fd = match target {
        Target::Inet { addr, mptcp } => {
            let family = if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
            let protocol = if *mptcp { Some(ipproto::MPTCP) } else { None };
            let fd = portcullis_sys::netns::within(options.namespace.as_deref(), || {
                Ok(rustix::net::socket_with(family, SocketType::STREAM, flags, protocol)?)
            })?;
            sockopt::set_tcp_nodelay(&fd, true)?;
            apply(&fd, *addr, options, marks.source)?;
            if let Some(tos) = marks.tos {
                portcullis_sys::socket::set_tos(&fd, tos);
            }
            if let Some(mark) = marks.mark {
                let _ = portcullis_sys::socket::set_mark(rustix::fd::AsFd::as_fd(&fd), mark);
            }
            fd
        }
        Target::Unix(_) | Target::Abstract(_) => {
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?
        }
    };
    let address: SocketAddrAny = match target {
        Target::Inet { addr, .. } => (*addr).into(),
        Target::Unix(path) => SocketAddrUnix::new(path.as_str())?.into(),
        Target::Abstract(name) => SocketAddrUnix::new_abstract_name(name)?.into(),
    };
    match rustix::net::connect(&fd, &address) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(Conn::new(fd)),
        Err(e) => Err(e.into()),
    }
}

/// Connects for tasks of this program's own, which read and write at their ease.
///
/// # Errors
/// The system's.
pub async fn stream(target: &Target, options: &ConnectOptions) -> io::Result<TcpStream> {
    let conn = start(target, options, Marks::default())?;
    poll_fn(|cx| conn.poll_writable(cx)).await;
    conn.connected()?;
    let fd = conn.into_fd().ok_or(io::ErrorKind::Unsupported)?;
    TcpStream::from_std(std::net::TcpStream::from(fd))
}

fn apply(
    fd: &rustix::fd::OwnedFd,
    to: SocketAddr,
    o: &ConnectOptions,
    transparent: Option<SocketAddr>,
) -> io::Result<()> {
    if let Some((probes, idle, interval)) = o.keepalive {
        sockopt::set_socket_keepalive(fd, true)?;
        if probes > 0 {
            sockopt::set_tcp_keepcnt(fd, probes)?;
        }
        if idle > 0 {
            sockopt::set_tcp_keepidle(fd, Duration::from_secs(idle.into()))?;
        }
        if interval > 0 {
            sockopt::set_tcp_keepintvl(fd, Duration::from_secs(interval.into()))?;
        }
    }
    if let Some(t) = o.user_timeout {
        sockopt::set_tcp_user_timeout(fd, u32::try_from(t.as_millis()).unwrap_or(u32::MAX))?;
    }
    if let Some(name) = &o.congestion {
        // as HAProxy does without what the system does not have
        let _ = sockopt::set_tcp_congestion(fd, name);
    }
    if let Some(n) = o.rcvbuf {
        let _ = sockopt::set_socket_recv_buffer_size(fd, n);
    }
    if let Some(n) = o.sndbuf {
        let _ = sockopt::set_socket_send_buffer_size(fd, n);
    }
    portcullis_sys::socket::before_connect(
        rustix::fd::AsFd::as_fd(fd),
        &portcullis_sys::socket::BeforeConnect {
            interface: o.interface.as_deref(),
            transparent: transparent.is_some(),
            md5sig: o.md5sig.as_deref().map(|key| (to, key)),
            notsent_lowat: o.notsent_lowat,
            fast_open: o.fast_open,
            no_quick_ack: o.quick_ack_off,
            ipv6: to.is_ipv6(),
        },
    )?;
    if let Some(from) = transparent {
        return bind_source(fd, from, from.port());
    }
    match o.source {
        Some((addr, last_port)) => bind_source(fd, addr, last_port),
        None => Ok(()),
    }
}

/// Binds to the first free port of the range, starting at a different one each time.
fn bind_source(fd: &rustix::fd::OwnedFd, addr: SocketAddr, last_port: u16) -> io::Result<()> {
    use std::sync::atomic::{AtomicU32, Ordering};
    static TURN: AtomicU32 = AtomicU32::new(0);
    if addr.port() == 0 {
        portcullis_sys::socket::bind_address_no_port(rustix::fd::AsFd::as_fd(fd));
        return Ok(rustix::net::bind(fd, &addr)?);
    }
    sockopt::set_socket_reuseaddr(fd, true)?;
    let count = u32::from(last_port.saturating_sub(addr.port())) + 1;
    let first = TURN.fetch_add(1, Ordering::Relaxed);
    let mut outcome = Err(rustix::io::Errno::ADDRINUSE);
    for i in 0..count {
        let port = addr.port() + ((first.wrapping_add(i)) % count) as u16;
        outcome = rustix::net::bind(fd, &SocketAddr::new(addr.ip(), port));
        if outcome != Err(rustix::io::Errno::ADDRINUSE) {
            break;
        }
    }
    Ok(outcome?)
}
