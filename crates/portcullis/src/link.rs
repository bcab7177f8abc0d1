//! What passes between the master and a worker, and between an old worker and the new one, over a pair of sockets.
//!
//! A worker tells the master `R` when it serves. A new worker, which has the master's end of the old one's pair, asks
//! `L` and gets the listening sockets: one packet each, with the identity of the socket as its text, then an empty name.

use portcullis_proxy::start::Bound;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recv, recvmsg, send, sendmsg, socketpair,
    sockopt,
};
use std::collections::HashMap;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::time::Duration;

const READY: &[u8] = b"R";
const LISTENERS: &[u8] = b"L";
const END: &[u8] = b".";
/// Nobody waits longer for the other end.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longest identity of a socket.
const MAX_NAME: usize = 4096;

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
    pub fn give(&self, bound: &[Bound]) {
        for b in bound {
            let name = Bound::identity(&b.listener, b.shard.0);
            if name.len() > MAX_NAME || self.give_one(&name, b.fd.as_fd()).is_err() {
                continue;
            }
        }
        let _ = send(&self.0, END, SendFlags::NOSIGNAL);
    }

    fn give_one(&self, name: &str, fd: BorrowedFd<'_>) -> io::Result<()> {
        let fds = [fd];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&fds));
        sendmsg(&self.0, &[IoSlice::new(name.as_bytes())], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Asks the old worker for its listening sockets; by identity. What does not come in time is not taken over.
    #[must_use]
    pub fn ask(&self) -> HashMap<String, OwnedFd> {
        let mut all = HashMap::new();
        if send(&self.0, LISTENERS, SendFlags::NOSIGNAL).is_err() {
            return all;
        }
        while let Some((name, fd)) = self.receive_one() {
            all.insert(name, fd);
        }
        all
    }

    fn receive_one(&self) -> Option<(String, OwnedFd)> {
        let mut name = vec![0u8; MAX_NAME];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let got = recvmsg(&self.0, &mut [IoSliceMut::new(&mut name)], &mut control, RecvFlags::CMSG_CLOEXEC)
            .ok()?;
        let fd = control.drain().find_map(|m| match m {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        })?;
        name.truncate(got.bytes);
        Some((String::from_utf8(name).ok()?, fd))
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
            old.give_one("one", listener.as_fd()).unwrap();
            old.give(&[]);
            listener.local_addr().unwrap()
        });
        let mut got = new.ask();
        let fd = got.remove("one").unwrap();
        assert!(got.is_empty());
        assert_eq!(std::net::TcpListener::from(fd).local_addr().unwrap(), answer.join().unwrap());
    }
}
