//! What passes between the master and a worker, and between an old worker and the new one, over a pair of sockets.
//!
//! A worker tells the master what it says while it starts (`T` and the text), and `R` when it serves. The master gives it
//! connections for its Runtime API (`C`, level, modes), and asks it to follow the configuration in place (`F`; what is said, then
//! `Y`, `N` if the configuration is wrong, or `X` if only a new process can follow it). A worker that was told to leave says `Q`
//! when it takes no more connections. A new worker, which has the master's end of the old one's pair, asks
//! `L` and gets the listening sockets: one packet each, with its names as its text, and a full stop at the end.

use crate::mcli::Visit;
use crate::reload::Refusal;
use portcullis_admin::Level;
use portcullis_transport::handover::{self, Given};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, send, socketpair, sockopt};
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

const READY: &[u8] = b"R";
const FOLLOW: &[u8] = b"F";
const FOLLOWED: &[u8] = b"Y";
const WRONG: &[u8] = b"N";
const FIXED: &[u8] = b"X";
const RESTS: &[u8] = b"Q";
const LISTENERS: &[u8] = b"L";
const END: &[u8] = b".";
/// In front of what a worker has said.
const SAID: u8 = b'T';
/// In front of what a connection may do.
const VISIT: u8 = b'C';
/// Most bytes of a text in one packet.
const TEXT: usize = 4000;
/// Nobody waits longer for the other end.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longest names of a socket.
const MAX_NAMES: usize = 1024;

/// One end of a pair.
#[derive(Debug)]
pub struct Link(OwnedFd);

/// What the other end wants.
#[derive(Debug)]
pub enum Heard {
    /// The worker serves.
    Ready,
    /// The worker was told to leave, and takes no more connections.
    Rests,
    /// The new worker wants the listening sockets.
    Listeners,
    /// The worker has said this on its standard error.
    Said(String),
    /// A connection for the Runtime API.
    Visit(portcullis_admin::Visit),
    /// The configuration shall be read again in place.
    Follow,
    /// It was, and is in force; or it is not: because it is wrong (true), or because only a new process can follow it.
    Followed(Result<(), bool>),
    /// Nothing yet.
    Nothing,
    /// The other end is gone.
    Gone,
}

impl Link {
    /// A pair: the master's end and the worker's.
    ///
    /// # Errors
    /// The system's.
    pub fn pair() -> io::Result<(Link, Link)> {
        let (a, b) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        for fd in [&a, &b] {
            sockopt::set_socket_timeout(fd, sockopt::Timeout::Recv, Some(PATIENCE))?;
            sockopt::set_socket_timeout(fd, sockopt::Timeout::Send, Some(PATIENCE))?;
        }
        Ok((Link(a), Link(b)))
    }

    /// One left by the program that this process was before.
    ///
    /// # Errors
    /// It is not open.
    pub fn taken(fd: i32) -> io::Result<Self> {
        portcullis_sys::fd::take(fd).map(Self)
    }

    /// Stays open when the process becomes another program; its number.
    ///
    /// # Errors
    /// The system's.
    pub fn leave(&self) -> io::Result<i32> {
        portcullis_sys::fd::leave(&self.0)
    }

    /// Tells the master that the worker serves.
    pub fn ready(&self) {
        let _ = send(&self.0, READY, SendFlags::NOSIGNAL);
    }

    /// Tells the master that the worker takes no more connections.
    pub fn rests(&self) {
        let _ = send(&self.0, RESTS, SendFlags::NOSIGNAL);
    }

    /// Waits for that, or for the worker's end, but not longer than `patience`.
    pub fn await_rest(&self, patience: Duration) {
        let until = Instant::now() + patience;
        loop {
            match self.hear() {
                Heard::Rests | Heard::Gone => return,
                Heard::Nothing => {}
                _ => continue,
            }
            let left = until.saturating_duration_since(Instant::now());
            let Some(left) = Timespec::try_from(left).ok().filter(|_| !left.is_zero()) else { return };
            // interrupted or failed: what has come is looked at anyhow
            let _ = poll(&mut [PollFd::from_borrowed_fd(self.as_fd(), PollFlags::IN)], Some(&left));
        }
    }

    /// Asks the worker to follow the configuration in place.
    ///
    /// # Errors
    /// The system's.
    pub fn follow(&self) -> io::Result<()> {
        send(&self.0, FOLLOW, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Tells the master how that went.
    pub fn followed(&self, done: &Result<String, Refusal>) {
        let (text, word) = match done {
            Ok(text) => (text.as_str(), FOLLOWED),
            Err(refusal @ Refusal::Wrong(_)) => (refusal.text(), WRONG),
            Err(refusal @ Refusal::Fixed(_)) => (refusal.text(), FIXED),
        };
        self.said(text);
        let _ = send(&self.0, word, SendFlags::NOSIGNAL);
    }

    /// Tells the master what the worker has said.
    pub fn said(&self, text: &str) {
        for chunk in text.as_bytes().chunks(TEXT) {
            let _ = send(&self.0, &[&[SAID], chunk].concat(), SendFlags::NOSIGNAL);
        }
    }

    /// Makes a connection to the worker's Runtime API.
    ///
    /// # Errors
    /// The system's.
    pub fn visit(&self, visit: &Visit) -> io::Result<UnixStream> {
        let (mine, theirs) = UnixStream::pair()?;
        let text = [VISIT, visit.level as u8, u8::from(visit.expert), u8::from(visit.experimental)];
        let fd = Arc::new(OwnedFd::from(theirs));
        handover::send_message(&self.0, &text, std::slice::from_ref(&fd))?;
        Ok(mine)
    }

    /// What has come, without waiting.
    pub fn hear(&self) -> Heard {
        let (mut text, mut fds) = ([0u8; TEXT + 1], Vec::new());
        match handover::receive_message(&self.0, &mut text, &mut fds, RecvFlags::DONTWAIT) {
            Ok(0) => Heard::Gone,
            Ok(n) => understand(text.get(..n).unwrap_or_default(), fds.pop()),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Heard::Nothing
            }
            Err(_) => Heard::Gone,
        }
    }

    /// Gives copies of the listening sockets to the one who asked.
    pub fn give(&self, all: &[Given]) {
        for given in all {
            let _ = handover::send_message(&self.0, &given.record(), std::slice::from_ref(&given.fd));
        }
        let _ = send(&self.0, END, SendFlags::NOSIGNAL);
    }

    /// Asks the old worker for its listening sockets. What does not come in time is not taken over.
    #[must_use]
    pub fn ask(&self) -> Vec<Given> {
        let mut all = Vec::new();
        if send(&self.0, LISTENERS, SendFlags::NOSIGNAL).is_ok() {
            all.extend(std::iter::from_fn(|| self.receive_one()));
        }
        all
    }

    fn receive_one(&self) -> Option<Given> {
        let (mut text, mut fds) = ([0u8; MAX_NAMES], Vec::new());
        let n = handover::receive_message(&self.0, &mut text, &mut fds, RecvFlags::empty()).ok()?;
        let ([namespace, interface], _) = handover::parse(text.get(..n)?)?;
        Some(Given { fd: Arc::new(fds.pop()?), namespace, interface })
    }
}

fn understand(text: &[u8], fd: Option<OwnedFd>) -> Heard {
    match (text, fd) {
        (READY, _) => Heard::Ready,
        (RESTS, _) => Heard::Rests,
        (LISTENERS, _) => Heard::Listeners,
        (FOLLOW, _) => Heard::Follow,
        (FOLLOWED, _) => Heard::Followed(Ok(())),
        (WRONG, _) => Heard::Followed(Err(true)),
        (FIXED, _) => Heard::Followed(Err(false)),
        ([SAID, said @ ..], _) => Heard::Said(String::from_utf8_lossy(said).into_owned()),
        ([VISIT, level, expert, experimental], Some(fd)) => {
            let level = [Level::User, Level::Operator, Level::Admin].into_iter().find(|l| *l as u8 == *level);
            Heard::Visit(portcullis_admin::Visit {
                stream: fd.into(),
                level: level.unwrap_or(Level::User),
                expert: *expert != 0,
                experimental: *experimental != 0,
            })
        }
        _ => Heard::Nothing,
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_and_ends() {
        let (master, worker) = Link::pair().unwrap();
        assert!(matches!(master.hear(), Heard::Nothing));
        worker.said("one\n");
        worker.ready();
        assert!(matches!(master.hear(), Heard::Said(text) if text == "one\n"));
        assert!(matches!(master.hear(), Heard::Ready));
        let visit = Visit { level: Level::Operator, expert: true, experimental: false };
        let mut mine = master.visit(&visit).unwrap();
        let Heard::Visit(got) = worker.hear() else { panic!("no visit") };
        assert_eq!((got.level, got.expert, got.experimental), (Level::Operator, true, false));
        std::io::Write::write_all(&mut &got.stream, b"hi").unwrap();
        let mut hi = [0; 2];
        std::io::Read::read_exact(&mut mine, &mut hi).unwrap();
        drop(worker);
        assert!(matches!(master.hear(), Heard::Gone));
    }

    #[test]
    fn sockets_pass() {
        let (new, old) = Link::pair().unwrap();
        let answer = std::thread::spawn(move || {
            while !matches!(old.hear(), Heard::Listeners) {
                std::thread::yield_now();
            }
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let fd = Arc::new(listener.into());
            old.give(&[Given { fd, namespace: None, interface: Some("lo".into()) }]);
            address
        });
        let mut got = new.ask();
        let one = got.pop().unwrap();
        assert!(got.is_empty());
        assert_eq!((one.namespace, one.interface.as_deref()), (None, Some("lo")));
        let fd = Arc::into_inner(one.fd).unwrap();
        assert_eq!(std::net::TcpListener::from(fd).local_addr().unwrap(), answer.join().unwrap());
    }
}
