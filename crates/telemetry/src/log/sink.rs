//! Destinations of log lines, each opened once, before chroot.

use super::ring::{Ring, RingConfig};
use portcullis_config::addr::{Address, Host, Ports, Transport};
use portcullis_config::{LogTarget, LogTo};
use portcullis_sys::localtime::{host_name, local_time};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::sockopt::socket_type;
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// The syslog port.
const SYSLOG: u16 = 514;

/// All destinations of the process, and what headers say about it.
#[derive(Debug)]
pub struct Sinks {
    open: Mutex<Vec<Arc<Sink>>>,
    rings: Vec<Arc<Ring>>,
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
    Ring(Arc<str>),
}

/// How it is written to.
#[derive(Debug)]
pub(super) enum To {
    Datagram(Datagram),
    Descriptor(Descriptor),
    Ring(Arc<Ring>),
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
            rings,
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
    /// The ring of this name (`show events`).
    pub fn ring(&self, name: &str) -> Option<&Arc<Ring>> {
        self.rings.iter().find(|r| r.config().name == name)
    }
    /// All rings.
    pub fn rings(&self) -> &[Arc<Ring>] {
        &self.rings
    }

    /// Opens where this line goes, or finds it open. A receiver that is not there yet is no error: it is looked for
    /// again whenever something is to be sent.
    ///
    /// # Errors
    /// Bad descriptor, unknown ring, unresolvable name, no socket to be had, or a kind of target that has no sink of its
    /// own (`backend@`, stream addresses).
    pub fn open(&self, target: &LogTarget) -> io::Result<Arc<Sink>> {
        let destination = match &target.to {
            LogTo::Address(address) => Destination::Address(address.clone()),
            LogTo::Ring(name) => Destination::Ring(name.clone()),
            LogTo::Backend(_) => {
                return Err(io::Error::new(io::ErrorKind::Unsupported, "log backends are not supported yet"));
            }
        };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sink) = open.iter().find(|s| s.destination == destination) {
            return Ok(sink.clone());
        }
        let to = match &destination {
            Destination::Address(address) if self.checking && inherited(address) => nowhere(),
            Destination::Address(address) => open_address(address)?,
            Destination::Ring(name) => match self.ring(name) {
                Some(ring) => To::Ring(ring.clone()),
                None if self.checking => nowhere(),
                None => {
                    return Err(io::Error::new(io::ErrorKind::NotFound, format!("unknown ring '{name}'")));
                }
            },
        };
        let sink = Arc::new(Sink { index: open.len(), destination, to });
        open.push(sink.clone());
        Ok(sink)
    }
}

/// A descriptor other than those that every process has.
fn inherited(address: &Address) -> bool {
    matches!(address.host, Host::Fd(fd) if fd > 2)
}

/// In place of what is not there while the configuration is only checked.
fn nowhere() -> To {
    To::Ring(Arc::new(Ring::new(RingConfig::new("", 0))))
}

fn open_address(address: &Address) -> io::Result<To> {
    if address.transport != Transport::Datagram && !matches!(address.host, Host::Fd(_)) {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "this kind of log address is not supported yet",
        ));
    }
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
    Datagram::open(peer).map(To::Datagram)
}

impl Datagram {
    fn open(peer: Peer) -> io::Result<Self> {
        let family = match &peer {
            Peer::Ip(SocketAddr::V4(_)) => AddressFamily::INET,
            Peer::Ip(SocketAddr::V6(_)) => AddressFamily::INET6,
            Peer::Unix(_) => AddressFamily::UNIX,
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = net::socket_with(family, SocketType::DGRAM, flags, None)?;
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
