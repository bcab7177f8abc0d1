//! Destinations of log lines, each opened once, before chroot.

use super::ring::{Ring, RingConfig};
use portcullis_config::addr::{Address, Host, Ports, Transport};
use portcullis_config::{LogFraming, LogTarget, LogTo, Place};
use portcullis_sys::localtime::{host_name, local_time};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::sockopt::socket_type;
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// The syslog port.
const SYSLOG: u16 = 514;

/// All destinations of the process, and what headers say about it.
#[derive(Debug)]
pub struct Sinks {
    open: Mutex<Vec<Arc<Sink>>>,
    rings: Mutex<Vec<Arc<Ring>>>,
    /// Size of the rings that no section declares.
    bufsize: usize,
    /// What the system keeps for a datagram socket; none: as much as it likes.
    sndbuf: Option<usize>,
    host: Option<String>,
    tag: String,
    pid: u32,
    checking: bool,
}

/// One destination.
#[derive(Debug)]
pub struct Sink {
    /// Its number; the place of its queue in each writer.
    pub(super) index: usize,
    destination: Destination,
    pub(super) to: To,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Destination {
    Address(Address),
    /// A server of a backend in mode log, and its ring's size.
    Server(Arc<str>, Address, usize),
    Ring(Arc<str>),
    Backend(Arc<str>),
}

/// How it is written to.
#[derive(Debug)]
pub(super) enum To {
    Datagram(Datagram),
    Descriptor(Descriptor),
    /// A `ring` section, which says what lines look like.
    Ring(Arc<Ring>),
    /// A ring that leads to a server over a stream; lines look as their `log` line says.
    Stream(Arc<Ring>),
    Balanced(Balanced),
}

/// Which server of a backend gets a line of this text; none: nobody.
pub type Chooser = Box<dyn Fn(&[u8]) -> Option<Arc<Sink>> + Send + Sync>;

/// A backend in mode log.
#[derive(Default)]
pub struct Balanced(RwLock<Option<Chooser>>);

impl std::fmt::Debug for Balanced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Balanced")
    }
}

impl Balanced {
    /// The sink of the server that gets a line of this text.
    pub(super) fn choose(&self, message: &[u8]) -> Option<Arc<Sink>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).as_ref()?(message)
    }
}

/// A connected datagram socket.
#[derive(Debug)]
pub(super) struct Datagram {
    pub(super) socket: OwnedFd,
    peer: Peer,
    /// When connecting was last tried, in milliseconds since the epoch; not more often than [`AGAIN`].
    tried: AtomicU64,
    /// Several lines may go as one packet that the system cuts ([`portcullis_sys::datagrams`]).
    segments: AtomicBool,
}

#[derive(Debug)]
enum Peer {
    Ip(SocketAddr),
    Unix(SocketAddrUnix),
}

/// A lost receiver is looked for this often, in milliseconds.
const AGAIN: u64 = 100;

/// What kind of descriptor log lines go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A write of up to 4,096 bytes is atomic.
    Pipe,
    /// Terminal or other device.
    Device,
    File,
    Stream,
    Datagram,
}

/// An inherited descriptor.
#[derive(Debug)]
pub(super) struct Descriptor {
    pub(super) fd: OwnedFd,
    pub(super) kind: Kind,
    /// The end of a line whose beginning is written already; it goes before everything else.
    pub(super) tail: Mutex<Vec<u8>>,
}

impl Sinks {
    /// Without destinations yet. `host` is `log-send-hostname` (`Some(None)`: the system's name), `tag` the global
    /// `log-tag` or the program's name. Reads the time zone, so call before chroot.
    pub fn new(rings: Vec<Arc<Ring>>, host: Option<Option<String>>, tag: impl Into<String>) -> Self {
        local_time(0);
        Self {
            open: Mutex::default(),
            rings: Mutex::new(rings),
            bufsize: 16384,
            sndbuf: None,
            host: host.map(|name| name.unwrap_or_else(host_name)),
            tag: tag.into(),
            pid: std::process::id(),
            checking: false,
        }
    }
    /// The configuration is only checked (`-c`): inherited descriptors need not be there, nor rings be known; HAProxy looks for
    /// them when it starts.
    pub fn only_check(&mut self) {
        self.checking = true;
    }
    /// As another process (tests, and a master that forks).
    pub fn set_pid(&mut self, pid: u32) {
        self.pid = pid;
    }
    pub(super) fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }
    pub(super) fn tag(&self) -> &str {
        &self.tag
    }
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }
    /// `tune.bufsize`: the size of rings that no section declares.
    pub fn set_bufsize(&mut self, bytes: usize) {
        self.bufsize = bytes;
    }
    /// `tune.sndbuf.backend` for sockets that are opened from now on.
    pub fn set_sndbuf(&mut self, bytes: Option<usize>) {
        self.sndbuf = bytes;
    }
    /// The ring of this name (`show events`).
    pub fn ring(&self, name: &str) -> Option<Arc<Ring>> {
        self.lock_rings().iter().find(|r| r.config().name == name).cloned()
    }
    /// The ring of this name, which is made if it is not there: of events of the process itself, each with its time.
    pub fn events(&self, name: &str, what: &str, size: usize) -> Arc<Ring> {
        let mut rings = self.lock_rings();
        if let Some(known) = rings.iter().find(|r| r.config().name == name) {
            return known.clone();
        }
        let (description, format) = (Some(what.to_owned()), LogFraming::Timed);
        let ring = Arc::new(Ring::new(RingConfig { description, format, ..RingConfig::new(name, size) }));
        rings.push(ring.clone());
        ring
    }
    /// All rings.
    pub fn rings(&self) -> Vec<Arc<Ring>> {
        self.lock_rings().clone()
    }
    fn lock_rings(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Ring>>> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// The rings of `log` lines that go over a stream, and where to.
    pub fn streams(&self) -> Vec<(Arc<Ring>, Address)> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let stream = |sink: &Arc<Sink>| match (&sink.destination, &sink.to) {
            (Destination::Address(address), To::Stream(ring)) => Some((ring.clone(), address.clone())),
            _ => None,
        };
        open.iter().filter_map(stream).collect()
    }
    /// From now on lines for this backend go where this says.
    pub fn deal(&self, backend: &str, chooser: Chooser) {
        let sink =
            self.opened(Destination::Backend(backend.into()), || Ok(To::Balanced(Balanced::default())));
        if let Ok(Sink { to: To::Balanced(b), .. }) = sink.as_deref() {
            *b.0.write().unwrap_or_else(PoisonError::into_inner) = Some(chooser);
        }
    }
    /// Where lines for a server of a backend in mode log go: a socket of its own, or a ring of `size` bytes that leads to it.
    ///
    /// # Errors
    /// No socket is to be had.
    pub fn open_server(
        &self,
        name: &str,
        address: &Address,
        size: Option<usize>,
        declared: &str,
    ) -> io::Result<(Arc<Sink>, Option<Arc<Ring>>)> {
        let size = size.unwrap_or(self.bufsize);
        let destination = Destination::Server(name.into(), address.clone(), size);
        let sink = self.opened(destination, || match address.transport {
            Transport::Datagram => open_address(address, self.sndbuf),
            _ => {
                let what = format!("created from log backend declared into {declared}");
                Ok(To::Stream(self.add_ring(name.to_owned(), what, size)))
            }
        })?;
        let ring = match &sink.to {
            To::Stream(ring) => Some(ring.clone()),
            _ => None,
        };
        Ok((sink, ring))
    }
    /// One more ring that no section declares.
    fn add_ring(&self, name: String, what: String, size: usize) -> Arc<Ring> {
        let config = RingConfig { description: Some(what), ..RingConfig::new(name, size) };
        let ring = Arc::new(Ring::new(config));
        self.lock_rings().push(ring.clone());
        ring
    }
    fn add_stream(&self, place: Place) -> To {
        let known = self.lock_rings().iter().filter(|r| r.config().name.starts_with("ring#")).count();
        let what = format!("created from log directive declared at line {}", place.line);
        To::Stream(self.add_ring(format!("ring#{}", known + 1), what, self.bufsize))
    }
    /// The sink of this destination: one that is open, or a new one.
    fn opened(
        &self,
        destination: Destination,
        open: impl FnOnce() -> io::Result<To>,
    ) -> io::Result<Arc<Sink>> {
        let mut all = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sink) = all.iter().find(|s| s.destination == destination) {
            return Ok(sink.clone());
        }
        let sink = Arc::new(Sink { index: all.len(), destination, to: open()? });
        all.push(sink.clone());
        Ok(sink)
    }

    /// Opens where this line goes, or finds it open. A receiver that is not there yet is no error: it is looked for
    /// again whenever something is to be sent.
    ///
    /// # Errors
    /// Bad descriptor, unknown ring, unresolvable name, or no socket to be had.
    pub fn open(&self, target: &LogTarget) -> io::Result<Arc<Sink>> {
        match &target.to {
            LogTo::Address(address) => self.opened(Destination::Address(address.clone()), || {
                if self.checking && inherited(address) {
                    Ok(nowhere())
                } else if is_stream(address) {
                    Ok(self.add_stream(target.place))
                } else {
                    open_address(address, self.sndbuf)
                }
            }),
            LogTo::Ring(name) => self.opened(Destination::Ring(name.clone()), || match self.ring(name) {
                Some(ring) => Ok(To::Ring(ring)),
                None if self.checking => Ok(nowhere()),
                None => Err(io::Error::new(io::ErrorKind::NotFound, format!("unknown ring '{name}'"))),
            }),
            LogTo::Backend(name) => {
                self.opened(Destination::Backend(name.clone()), || Ok(To::Balanced(Balanced::default())))
            }
        }
    }
}

/// Lines go there over a connection.
fn is_stream(address: &Address) -> bool {
    address.transport != Transport::Datagram && !matches!(address.host, Host::Fd(_))
}

/// A descriptor other than those that every process has.
fn inherited(address: &Address) -> bool {
    matches!(address.host, Host::Fd(fd) if fd > 2)
}

/// In place of what is not there while the configuration is only checked.
fn nowhere() -> To {
    To::Ring(Arc::new(Ring::new(RingConfig::new("", 0))))
}

fn open_address(address: &Address, sndbuf: Option<usize>) -> io::Result<To> {
    let port = match address.ports {
        Ports::One(port) | Ports::Range(port, _) => port,
        Ports::None | Ports::Offset(_) => SYSLOG,
    };
    let peer = match &address.host {
        Host::V4(ip) => {
            Peer::Ip(SocketAddr::from((if ip.is_unspecified() { Ipv4Addr::LOCALHOST } else { *ip }, port)))
        }
        Host::V6(ip) => {
            Peer::Ip(SocketAddr::from((if ip.is_unspecified() { Ipv6Addr::LOCALHOST } else { *ip }, port)))
        }
        Host::Name(name) => match (name.as_str(), port).to_socket_addrs()?.next() {
            Some(found) => Peer::Ip(found),
            None => return Err(io::Error::new(io::ErrorKind::NotFound, format!("no address for '{name}'"))),
        },
        Host::Unix(path) => Peer::Unix(SocketAddrUnix::new(path.as_str())?),
        Host::Abstract(name) => {
            let mut padded = name.clone();
            padded.resize(107, 0);
            Peer::Unix(SocketAddrUnix::new_abstract_name(&padded)?)
        }
        Host::AbstractZ(name) => Peer::Unix(SocketAddrUnix::new_abstract_name(name)?),
        Host::Fd(fd) => return Descriptor::open(*fd).map(To::Descriptor),
        Host::SockPair(_) | Host::Rhttp(_) => {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "no log lines can be sent there"));
        }
    };
    Datagram::open(peer, sndbuf).map(To::Datagram)
}

impl Datagram {
    fn open(peer: Peer, sndbuf: Option<usize>) -> io::Result<Self> {
        let family = match &peer {
            Peer::Ip(SocketAddr::V4(_)) => AddressFamily::INET,
            Peer::Ip(SocketAddr::V6(_)) => AddressFamily::INET6,
            Peer::Unix(_) => AddressFamily::UNIX,
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = net::socket_with(family, SocketType::DGRAM, flags, None)?;
        if let Some(bytes) = sndbuf {
            let _ = net::sockopt::set_socket_send_buffer_size(&socket, bytes);
        }
        let segments = AtomicBool::new(!matches!(peer, Peer::Unix(_)));
        let this = Self { socket, peer, tried: AtomicU64::new(0), segments };
        let _ = this.connect();
        Ok(this)
    }
    fn connect(&self) -> Result<(), Errno> {
        match &self.peer {
            Peer::Ip(address) => net::connect(&self.socket, address),
            Peer::Unix(address) => net::connect(&self.socket, address),
        }
    }
    pub(super) fn is_unix(&self) -> bool {
        matches!(self.peer, Peer::Unix(_))
    }
    pub(super) fn takes_segments(&self) -> bool {
        self.segments.load(Relaxed)
    }
    /// The way to the receiver cannot take segments, or not of this size; false: that was known.
    pub(super) fn no_segments(&self) -> bool {
        self.segments.swap(false, Relaxed)
    }
    /// Connects again after the receiver went away; false: not now, or it is not back.
    pub(super) fn reconnect(&self, now_ms: u64) -> bool {
        let before = self.tried.load(Relaxed);
        if now_ms.abs_diff(before) < AGAIN
            || self.tried.compare_exchange(before, now_ms, Relaxed, Relaxed).is_err()
        {
            return false;
        }
        self.connect().is_ok()
    }
}

impl Descriptor {
    fn open(fd: i32) -> io::Result<Self> {
        let path = format!("/proc/self/fd/{fd}");
        let fd = match fd {
            1 => std::io::stdout().as_fd().try_clone_to_owned()?,
            2 => std::io::stderr().as_fd().try_clone_to_owned()?,
            fd => portcullis_sys::fd::duplicate(fd)?,
        };
        let kind = kind_of(&fd)?;
        // A description of our own, so that O_NONBLOCK does not hit everybody who shares the terminal or pipe.
        let private = match kind {
            Kind::Pipe | Kind::Device => {
                let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
                rustix::fs::open(&path, flags, Mode::empty()).ok()
            }
            Kind::File | Kind::Stream | Kind::Datagram => None,
        };
        let fd = match private {
            Some(own) => own,
            None => {
                if matches!(kind, Kind::Pipe | Kind::Device) {
                    let flags = rustix::fs::fcntl_getfl(&fd)?;
                    rustix::fs::fcntl_setfl(&fd, flags | OFlags::NONBLOCK)?;
                }
                fd
            }
        };
        Ok(Self { fd, kind, tail: Mutex::default() })
    }
}

fn kind_of(fd: &OwnedFd) -> io::Result<Kind> {
    Ok(match FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode) {
        FileType::Fifo => Kind::Pipe,
        FileType::Socket if socket_type(fd)? == SocketType::STREAM => Kind::Stream,
        FileType::Socket => Kind::Datagram,
        FileType::RegularFile => Kind::File,
        _ => Kind::Device,
    })
}
