//! Opening listeners, in the single-threaded phase of the process' life.

use portcullis_config::Bind;
use portcullis_config::addr::{Address, Host, Ports, Transport};
use rustix::fd::{AsFd, OwnedFd};
use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix, SocketFlags, SocketType, ipproto, sockopt};
use std::borrow::Cow;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Mutex, OnceLock};

pub use portcullis_sys::socket::Lacking;

/// What a listening socket is asked for beyond its `bind` line.
#[derive(Clone, Debug)]
pub struct ListenOptions {
    /// Connections that the kernel keeps for us (`backlog`, `maxconn`).
    pub backlog: i32,
    /// Another socket of ours listens on the same address (`shards`), or an older process.
    pub reuse_port: bool,
    /// Answers go out at once (HTTP proxies; inherited by the connections).
    pub no_delay: bool,
    /// `option clitcpka`: probes, idle, interval in seconds (0: the system's); inherited by the connections.
    pub keepalive: Option<(u32, u32, u32)>,
    /// `option tcp-smart-accept`: the first ACK waits for data.
    pub smart_accept: bool,
    /// `tune.rcvbuf.client`; of a socket that clients share (datagrams), `tune.rcvbuf.frontend`.
    pub rcvbuf: Option<usize>,
    /// `tune.sndbuf.client`; likewise `tune.sndbuf.frontend`.
    pub sndbuf: Option<usize>,
    /// `tune.notsent-lowat.client`
    pub notsent_lowat: Option<usize>,
}

/// What could not be done, in HAProxy's words, and why.
#[derive(Debug)]
pub struct ListenError {
    /// "cannot bind socket" and the like.
    pub step: Cow<'static, str>,
    /// The system's reason.
    pub reason: io::Error,
}

/// Opens one listening socket, and says what it has to do without.
///
/// # Errors
/// The step that failed and the system's reason.
pub fn open(bind: &Bind, options: &ListenOptions) -> Result<(OwnedFd, Vec<Lacking>), ListenError> {
    let step = |step: &'static str| move |e: io::Error| ListenError { step: step.into(), reason: e };
    match &bind.address.host {
        Host::Fd(n) => {
            let fd = portcullis_sys::fd::socket(*n).map_err(step("cannot use inherited descriptor"))?;
            // whoever has bound it may have left this to us
            if sockopt::socket_type(&fd).is_ok_and(|kind| kind == SocketType::STREAM) {
                listen(&fd, options).map_err(step("cannot listen on socket"))?;
            }
            Ok((fd, Vec::new()))
        }
        Host::Unix(_) | Host::Abstract(_) | Host::AbstractZ(_) => {
            let datagrams = bind.address.transport == Transport::Datagram;
            let kind = if datagrams { SocketType::DGRAM } else { SocketType::STREAM };
            unix(bind, options, kind).map(|fd| (fd, Vec::new()))
        }
        Host::V4(_) | Host::V6(_) if bind.address.transport == Transport::Datagram => {
            datagram(bind, options).map(|fd| (fd, Vec::new()))
        }
        Host::V4(_) | Host::V6(_) => inet(bind, options),
        Host::Name(_) | Host::SockPair(_) | Host::Rhttp(_) => Err(step("cannot listen")(io::Error::new(
            io::ErrorKind::Unsupported,
            "not an address to listen on",
        ))),
    }
}

/// Makes a socket that an older process bound one of this line, and listens. Nothing that the older one set is left.
///
/// # Errors
/// The step that failed and the system's reason.
pub fn again(fd: &OwnedFd, bind: &Bind, o: &ListenOptions) -> Result<Vec<Lacking>, ListenError> {
    if bind.address.transport == Transport::Datagram {
        buffers(fd, o);
        return Ok(Vec::new());
    }
    let step = |step: &'static str| move |reason: io::Error| ListenError { step: step.into(), reason };
    rustix::io::ioctl_fionbio(fd, true).map_err(|e| step("cannot make socket non-blocking")(e.into()))?;
    let mut lacking = Vec::new();
    match &bind.address.host {
        Host::V4(_) | Host::V6(_) => {
            tune(fd, o);
            // what it is bound by stays as it is
            let asked = portcullis_sys::socket::BeforeListen {
                transparent: false,
                interface: None,
                forget: true,
                ..asked(bind, o)
            };
            lacking = portcullis_sys::socket::before_listen(fd.as_fd(), &asked)
                .map_err(step("cannot make listening socket transparent"))?;
        }
        Host::Unix(path) => {
            permissions(Path::new(path), bind).map_err(step("cannot change UNIX socket ownership"))?;
        }
        _ => {}
    }
    listen(fd, o).map_err(step("cannot listen on socket"))?;
    Ok(lacking)
}

/// Does an IPv6 socket of this line listen on that family alone? As `v4v6` and `v6only` say, otherwise as the system does
/// (`net.ipv6.bindv6only`: usually not).
#[must_use]
pub fn v6only(bind: &Bind) -> bool {
    static SYSTEM: OnceLock<bool> = OnceLock::new();
    let system =
        || std::fs::read_to_string("/proc/sys/net/ipv6/bindv6only").is_ok_and(|said| said.trim() == "1");
    bind.v4v6.map_or_else(|| *SYSTEM.get_or_init(system), |both| !both)
}

/// What the proxy wants of a TCP socket.
fn tune(fd: &OwnedFd, o: &ListenOptions) {
    let _ = sockopt::set_tcp_nodelay(fd, o.no_delay);
    let _ = sockopt::set_socket_keepalive(fd, o.keepalive.is_some());
    if let Some((probes, idle, interval)) = o.keepalive {
        let seconds = |n: u32| std::time::Duration::from_secs(n.into());
        if probes > 0 {
            let _ = sockopt::set_tcp_keepcnt(fd, probes);
        }
        if idle > 0 {
            let _ = sockopt::set_tcp_keepidle(fd, seconds(idle));
        }
        if interval > 0 {
            let _ = sockopt::set_tcp_keepintvl(fd, seconds(interval));
        }
    }
    buffers(fd, o);
}

/// The system's buffers. It may give less.
fn buffers(fd: &OwnedFd, o: &ListenOptions) {
    if let Some(n) = o.rcvbuf {
        let _ = sockopt::set_socket_recv_buffer_size(fd, n);
    }
    if let Some(n) = o.sndbuf {
        let _ = sockopt::set_socket_send_buffer_size(fd, n);
    }
}

/// What the `bind` line wants of a TCP socket.
fn asked<'a>(bind: &'a Bind, o: &ListenOptions) -> portcullis_sys::socket::BeforeListen<'a> {
    portcullis_sys::socket::BeforeListen {
        congestion: bind.cc.as_deref(),
        interface: bind.interface.as_deref(),
        transparent: bind.transparent,
        md5sig: bind.tcp_md5sig.as_deref(),
        max_segment: bind.mss,
        save_syn: bind.tcp_ss,
        defer_accept: bind.defer_accept,
        fast_open: bind.tfo.then_some(o.backlog),
        user_timeout: bind.tcp_ut.map(|t| u32::try_from(t.as_millis()).unwrap_or(u32::MAX)),
        notsent_lowat: o.notsent_lowat,
        ipv6: matches!(bind.address.host, Host::V6(_)),
        forget: false,
    }
}

/// Ends listening on a TCP socket for now; `listen` begins anew. Any number of workers may ask it of the same socket: only
/// the first changes anything. Asked of a socket that does not listen, the kernel would note that nothing more is to be
/// received, and would pass that on to every connection that is accepted later.
///
/// # Errors
/// The system's reason.
pub fn silence(socket: impl AsFd) -> io::Result<()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock();
    if sockopt::socket_acceptconn(&socket)? {
        rustix::net::shutdown(&socket, rustix::net::Shutdown::Read)?;
    }
    Ok(())
}

/// Listens, or listens again after a pause or with another backlog.
///
/// # Errors
/// The system's: somebody else has the address.
pub fn listen(fd: &OwnedFd, o: &ListenOptions) -> io::Result<()> {
    rustix::net::listen(fd, o.backlog)?;
    if o.smart_accept {
        portcullis_sys::socket::no_quick_ack(fd.as_fd());
    }
    Ok(())
}

/// The name of an abstract socket of `abns@`: as long as can be, the rest zeros. That of `abnsz@` is as it is said.
#[must_use]
pub fn abstract_name(name: &[u8]) -> Vec<u8> {
    const LONGEST: usize = 107;
    let mut padded = name.to_vec();
    padded.resize(LONGEST, 0);
    padded
}

/// The Internet address that an [`Address`] stands for, if it is one with at most one port.
#[must_use]
pub fn socket_addr(address: &Address) -> Option<SocketAddr> {
    let ip: IpAddr = match address.host {
        Host::V4(a) => a.into(),
        Host::V6(a) => a.into(),
        _ => return None,
    };
    match address.ports {
        Ports::None => Some(SocketAddr::new(ip, 0)),
        Ports::One(p) | Ports::Range(p, _) => Some(SocketAddr::new(ip, p)),
        Ports::Offset(_) => None,
    }
}

fn inet(bind: &Bind, o: &ListenOptions) -> Result<(OwnedFd, Vec<Lacking>), ListenError> {
    let err =
        |step: &'static str| move |e: rustix::io::Errno| ListenError { step: step.into(), reason: e.into() };
    let io_err = |step: &'static str| move |e: io::Error| ListenError { step: step.into(), reason: e };
    let Some(addr) = socket_addr(&bind.address) else {
        return Err(ListenError {
            step: "invalid address".into(),
            reason: io::ErrorKind::InvalidInput.into(),
        });
    };
    let family = if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let protocol = (bind.address.transport == Transport::Mptcp).then_some(ipproto::MPTCP);
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let fd = portcullis_sys::netns::within(bind.namespace.as_deref(), || {
        Ok(rustix::net::socket_with(family, SocketType::STREAM, flags, protocol)?)
    })
    .map_err(io_err("cannot create receiving socket"))?;
    sockopt::set_socket_reuseaddr(&fd, true).map_err(err("cannot set SO_REUSEADDR"))?;
    if o.reuse_port {
        let _ = sockopt::set_socket_reuseport(&fd, true);
    }
    if addr.is_ipv6() {
        let _ = sockopt::set_ipv6_v6only(&fd, v6only(bind));
    }
    tune(&fd, o);
    let lacking = portcullis_sys::socket::before_listen(fd.as_fd(), &asked(bind, o))
        .map_err(io_err("cannot make listening socket transparent"))?;
    rustix::net::bind(&fd, &addr).map_err(err("cannot bind socket"))?;
    listen(&fd, o).map_err(io_err("cannot listen on socket"))?;
    Ok((fd, lacking))
}

/// A socket that takes datagrams.
fn datagram(bind: &Bind, o: &ListenOptions) -> Result<OwnedFd, ListenError> {
    let step = |step: &'static str| move |reason: io::Error| ListenError { step: step.into(), reason };
    let Some(addr) = socket_addr(&bind.address) else {
        return Err(ListenError {
            step: "invalid address".into(),
            reason: io::ErrorKind::InvalidInput.into(),
        });
    };
    let family = if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let fd = portcullis_sys::netns::within(bind.namespace.as_deref(), || {
        Ok(rustix::net::socket_with(family, SocketType::DGRAM, flags, None)?)
    })
    .map_err(step("cannot create receiving socket"))?;
    let _ = sockopt::set_socket_reuseaddr(&fd, true);
    if o.reuse_port {
        let _ = sockopt::set_socket_reuseport(&fd, true);
    }
    if addr.is_ipv6() {
        let _ = sockopt::set_ipv6_v6only(&fd, v6only(bind));
    }
    let asked = portcullis_sys::socket::BeforeConnect {
        interface: bind.interface.as_deref(),
        transparent: bind.transparent,
        md5sig: None,
        notsent_lowat: None,
        fast_open: false,
        no_quick_ack: false,
        ipv6: addr.is_ipv6(),
    };
    portcullis_sys::socket::before_connect(fd.as_fd(), &asked)
        .map_err(step("cannot make receiving socket transparent"))?;
    buffers(&fd, o);
    rustix::net::bind(&fd, &addr).map_err(|e| step("cannot bind socket")(e.into()))?;
    Ok(fd)
}

/// Unix sockets by path are bound under a temporary name, given their owner and mode, and renamed into place, so that
/// a path that an older process serves is never without a listener.
fn unix(bind: &Bind, o: &ListenOptions, kind: SocketType) -> Result<OwnedFd, ListenError> {
    let err =
        |step: &'static str| move |e: rustix::io::Errno| ListenError { step: step.into(), reason: e.into() };
    let io_err = |step: &'static str| move |e: io::Error| ListenError { step: step.into(), reason: e };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let fd = rustix::net::socket_with(AddressFamily::UNIX, kind, flags, None)
        .map_err(err("cannot create receiving socket"))?;
    let listen = || match kind {
        SocketType::DGRAM => {
            buffers(&fd, o);
            Ok(())
        }
        _ => rustix::net::listen(&fd, o.backlog).map_err(err("cannot listen to socket")),
    };
    match &bind.address.host {
        Host::Unix(path) => {
            let temporary = format!("{path}.{}.tmp", std::process::id());
            portcullis_config::files::note_made(Path::new(path));
            let _ = std::fs::remove_file(&temporary);
            let addr =
                SocketAddrUnix::new(temporary.as_str()).map_err(err("path too long for a UNIX socket"))?;
            rustix::net::bind(&fd, &SocketAddrAny::from(addr)).map_err(err("cannot bind UNIX socket"))?;
            permissions(Path::new(&temporary), bind)
                .map_err(io_err("cannot change UNIX socket ownership"))?;
            listen()?;
            std::fs::rename(&temporary, path).map_err(io_err("cannot bind UNIX socket"))?;
            return Ok(fd);
        }
        Host::Abstract(name) | Host::AbstractZ(name) => {
            let padded = matches!(bind.address.host, Host::Abstract(_)).then(|| abstract_name(name));
            let addr = SocketAddrUnix::new_abstract_name(padded.as_deref().unwrap_or(name))
                .map_err(err("invalid abstract name"))?;
            rustix::net::bind(&fd, &SocketAddrAny::from(addr)).map_err(err("cannot bind UNIX socket"))?;
        }
        _ => {}
    }
    listen()?;
    Ok(fd)
}

/// What `unix-bind` says stands in the `bind` line's settings already.
fn permissions(path: &Path, bind: &Bind) -> io::Result<()> {
    let (uid, gid) = (bind.perm.uid, bind.perm.gid);
    if uid.is_some() || gid.is_some() {
        std::os::unix::fs::chown(path, uid, gid)?;
    }
    if let Some(mode) = bind.perm.mode {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn silenced_twice_it_listens_again() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        silence(&socket).unwrap();
        silence(&socket).unwrap();
        assert!(TcpStream::connect(address).is_err(), "still listens");
        rustix::net::listen(&socket, 10).unwrap();
        // the kernel keeps a port that was asked for, and chooses again otherwise
        let mut client = TcpStream::connect(socket.local_addr().unwrap()).unwrap();
        client.write_all(b"hello").unwrap();
        let mut received = [0; 5];
        socket.accept().unwrap().0.read_exact(&mut received).unwrap();
        assert_eq!(&received, b"hello");
    }
}
