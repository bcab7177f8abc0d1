//! What passes between the master and a worker, and between an old worker and the new one, over a pair of sockets.
//!
//! A worker tells the master `R` when it serves. A new worker, which has the master's end of the old one's pair, asks
//! `L` and gets the listening sockets: one packet each, with its names as its text, and a full stop at the end.

use portcullis_transport::handover::{self, Given};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair, sockopt,
};
use std::io;
use std::sync::Arc;
use std::time::Duration;

const READY: &[u8] = b"R";
const LISTENERS: &[u8] = b"L";
const END: &[u8] = b".";
/// Nobody waits longer for the other end.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longest names of a socket.
const MAX_NAMES: usize = 1024;

/// One end of a pair.
#[derive(Debug)]
pub struct Link(OwnedFd);

/// What the other end wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The worker serves.
    Ready,
    /// The new worker wants the listening sockets.
    Listeners,
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

    /// What has come, without waiting.
    pub fn hear(&self) -> Heard {
        let mut text = [0u8; 8];
        match recv(&self.0, &mut text[..], RecvFlags::DONTWAIT) {
            Ok((0, _)) => Heard::Gone,
            Ok((n, _)) => match &text[..n] {
                READY => Heard::Ready,
                LISTENERS => Heard::Listeners,
                _ => Heard::Nothing,
            },
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Heard::Nothing,
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
        assert_eq!(master.hear(), Heard::Nothing);
        worker.ready();
        assert_eq!(master.hear(), Heard::Ready);
        drop(worker);
        assert_eq!(master.hear(), Heard::Gone);
    }

    #[test]
    fn sockets_pass() {
        let (new, old) = Link::pair().unwrap();
        let answer = std::thread::spawn(move || {
            while old.hear() != Heard::Listeners {
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
