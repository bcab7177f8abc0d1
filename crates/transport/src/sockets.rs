//! How listening sockets are reached: those of an older process first, and what it has not is opened.

use crate::handover::Given;
use crate::listen::{self, Lacking, ListenError, ListenOptions};
use portcullis_config::Bind;
use portcullis_config::addr::{Host, Transport};
use rustix::fd::OwnedFd;
use rustix::net::{SocketAddrUnix, SocketType, ipproto, sockopt};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Access to listening sockets, given to whoever may have some.
pub trait Sockets: Send + Sync {
    /// A socket that listens as this line says, and what it has to do without.
    ///
    /// # Errors
    /// The step that failed and the system's reason.
    fn listen(
        &self,
        bind: &Bind,
        options: &ListenOptions,
    ) -> Result<(Arc<OwnedFd>, Vec<Lacking>), ListenError>;
    /// Those that listen now, to be given to the next process.
    fn listening(&self) -> Vec<Given>;
}

/// Sockets of this process, with those that an older one gave.
#[derive(Debug, Default)]
pub struct LocalSockets {
    inherited: Mutex<Vec<Inherited>>,
    open: Mutex<Vec<Open>>,
}

/// A socket of an older process. It is free as long as nobody else has it.
#[derive(Debug)]
struct Inherited {
    given: Given,
    at: At,
    transparent: bool,
    mptcp: bool,
    /// Of an IPv6 socket.
    v6only: bool,
}

/// Where a socket listens.
#[derive(Debug, PartialEq, Eq)]
enum At {
    Inet(SocketAddr),
    Path(String),
    Abstract(Vec<u8>),
}

/// A socket that was handed out; gone once its holder has closed it.
#[derive(Debug)]
struct Open {
    fd: Weak<OwnedFd>,
    namespace: Option<String>,
    interface: Option<String>,
}

impl LocalSockets {
    /// With what an older process gave.
    #[must_use]
    pub fn new(given: Vec<Given>) -> Self {
        let inherited = given.into_iter().filter_map(Inherited::of).collect();
        Self { inherited: Mutex::new(inherited), open: Mutex::default() }
    }

    /// One more socket that listens as this line.
    pub fn adopt(&self, fd: &Arc<OwnedFd>, bind: &Bind) {
        let mut open = lock(&self.open);
        // one that comes back from an attempt that failed is there already
        open.retain(|o| o.fd.strong_count() > 0 && !std::ptr::addr_eq(o.fd.as_ptr(), Arc::as_ptr(fd)));
        open.push(Open {
            fd: Arc::downgrade(fd),
            namespace: bind.namespace.clone(),
            interface: bind.interface.clone(),
        });
    }

    /// Closes what was inherited and is not used.
    pub fn close_unused(&self) {
        lock(&self.inherited).clear();
    }

    fn inherited(&self, bind: &Bind) -> Option<Arc<OwnedFd>> {
        let all = lock(&self.inherited);
        all.iter().find(|i| Arc::strong_count(&i.given.fd) == 1 && i.serves(bind)).map(|i| i.given.fd.clone())
    }
}

impl Sockets for LocalSockets {
    fn listen(
        &self,
        bind: &Bind,
        options: &ListenOptions,
    ) -> Result<(Arc<OwnedFd>, Vec<Lacking>), ListenError> {
        if bind.address.transport == Transport::Datagram {
            // no process gives such: the next one opens its own beside it
            return listen::open(bind, options).map(|(fd, lacking)| (Arc::new(fd), lacking));
        }
        let (fd, lacking) = match self.inherited(bind) {
            Some(fd) => {
                let lacking = listen::again(&fd, bind, options)?;
                (fd, lacking)
            }
            None => {
                let (fd, lacking) = listen::open(bind, options)?;
                (Arc::new(fd), lacking)
            }
        };
        self.adopt(&fd, bind);
        Ok((fd, lacking))
    }

    fn listening(&self) -> Vec<Given> {
        let given = |o: &Open| {
            let (namespace, interface) = (o.namespace.clone(), o.interface.clone());
            Some(Given { fd: o.fd.upgrade()?, namespace, interface })
        };
        lock(&self.open).iter().filter_map(given).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inherited {
    /// `None`: nothing that listens for streams.
    fn of(given: Given) -> Option<Self> {
        let fd = &given.fd;
        if sockopt::socket_type(fd).ok()? != SocketType::STREAM {
            return None;
        }
        let address = rustix::net::getsockname(fd).ok()?;
        let at = match SocketAddr::try_from(address.clone()) {
            Ok(inet) => At::Inet(inet),
            Err(_) => At::unix(&SocketAddrUnix::try_from(address).ok()?)?,
        };
        let ipv6 = matches!(at, At::Inet(a) if a.is_ipv6());
        Some(Self {
            transparent: portcullis_sys::socket::is_transparent(rustix::fd::AsFd::as_fd(fd), ipv6),
            mptcp: sockopt::socket_protocol(fd).ok().flatten() == Some(ipproto::MPTCP),
            v6only: ipv6 && sockopt::ipv6_v6only(fd).unwrap_or(false),
            at,
            given,
        })
    }

    fn serves(&self, bind: &Bind) -> bool {
        self.given.namespace == bind.namespace
            && self.given.interface == bind.interface
            && match (&self.at, &bind.address.host) {
                (At::Inet(at), Host::V4(_) | Host::V6(_)) => {
                    listen::socket_addr(&bind.address).is_some_and(|a| same(a, *at))
                        && self.transparent == bind.transparent
                        && self.mptcp == (bind.address.transport == Transport::Mptcp)
                        && (!is_any_v6(at) || self.v6only == listen::v6only(bind))
                }
                // one whose file is gone or another's by now cannot be reached any more
                (At::Path(at), Host::Unix(path)) => at == path && Path::new(path).exists(),
                (At::Abstract(at), Host::Abstract(name)) => *at == listen::abstract_name(name),
                (At::Abstract(at), Host::AbstractZ(name)) => at == name,
                _ => false,
            }
    }
}

/// Only there both families can meet.
fn is_any_v6(at: &SocketAddr) -> bool {
    at.is_ipv6() && at.ip().is_unspecified()
}

/// The scope of an address is not said in a configuration.
fn same(a: SocketAddr, b: SocketAddr) -> bool {
    (a.ip(), a.port()) == (b.ip(), b.port())
}

impl At {
    fn unix(address: &SocketAddrUnix) -> Option<Self> {
        if let Some(name) = address.abstract_name() {
            return Some(Self::Abstract(name.to_vec()));
        }
        let path = address.path()?;
        let path = path.to_str().ok()?;
        Some(Self::Path(bound_as(path).unwrap_or(path).to_string()))
    }
}

/// The path that a socket bound as `PATH.PID.tmp` was renamed to.
fn bound_as(path: &str) -> Option<&str> {
    let (path, pid) = path.strip_suffix(".tmp")?.rsplit_once('.')?;
    (!pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit())).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_config::Place;
    use portcullis_config::addr::{Address, Ports};
    use std::net::TcpListener;

    fn options() -> ListenOptions {
        ListenOptions {
            backlog: 10,
            reuse_port: true,
            no_delay: false,
            keepalive: None,
            smart_accept: false,
            rcvbuf: None,
            sndbuf: None,
            notsent_lowat: None,
        }
    }

    fn given(fd: impl Into<OwnedFd>) -> Given {
        Given { fd: Arc::new(fd.into()), namespace: None, interface: None }
    }

    fn bind_to(at: SocketAddr) -> Bind {
        let address =
            Address { transport: Transport::Stream, host: at.ip().into(), ports: Ports::One(at.port()) };
        Bind::new(Place::default(), String::new(), address)
    }

    #[test]
    fn an_inherited_socket_is_used_once_and_given_on() {
        let old = TcpListener::bind("127.0.0.1:0").unwrap();
        let bind = bind_to(old.local_addr().unwrap());
        let sockets = LocalSockets::new(vec![given(old)]);
        let (fd, _) = sockets.listen(&bind, &options()).unwrap();
        assert_eq!(sockets.listening().len(), 1);
        // the address is taken, and by a socket that shares it with none
        assert!(sockets.listen(&bind, &options()).is_err());
        drop(fd);
        // as when binding is tried again
        let fd = sockets.listen(&bind, &options()).unwrap();
        sockets.close_unused();
        assert_eq!(sockets.listening().len(), 1);
        drop(fd);
        assert!(sockets.listening().is_empty());
        assert!(sockets.listen(&bind, &options()).is_ok(), "the port is free again");
    }

    #[test]
    fn another_interface_or_family_is_another_socket() {
        let old = TcpListener::bind("127.0.0.1:0").unwrap();
        let bind = bind_to(old.local_addr().unwrap());
        let i = Inherited::of(Given { interface: Some("lo".into()), ..given(old) }).unwrap();
        assert!(!i.serves(&bind));
        assert!(i.serves(&Bind { interface: Some("lo".into()), ..bind.clone() }));
        assert!(!i.serves(&Bind {
            interface: Some("lo".into()),
            namespace: Some("x".into()),
            ..bind.clone()
        }));
        let old = TcpListener::bind("[::]:0").unwrap();
        let bind = bind_to(old.local_addr().unwrap());
        let i = Inherited::of(given(old)).unwrap();
        // std binds as the system has it
        assert!(i.serves(&bind));
        let both = !listen::v6only(&bind);
        assert_eq!(i.serves(&Bind { v4v6: Some(true), ..bind.clone() }), both);
        assert_eq!(i.serves(&Bind { v4v6: Some(false), ..bind }), !both, "bound for both families");
        assert!(Inherited::of(given(std::net::UdpSocket::bind("127.0.0.1:0").unwrap())).is_none());
    }

    #[test]
    fn paths_as_they_were_meant() {
        assert_eq!(bound_as("/run/u.sock.18775.tmp"), Some("/run/u.sock"));
        for other in ["/run/u.sock", "/run/u.tmp", "/run/u.x1.tmp", "/run/u..tmp"] {
            assert_eq!(bound_as(other), None);
        }
    }
}
