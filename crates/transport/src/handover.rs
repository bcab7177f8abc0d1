//! Listening sockets on their way from one process to another: HAProxy's `_getsocks`, found by looking at what HAProxy 3.5
//! sends and takes.
//!
//! Over a Unix stream socket, the process that takes over sends `_getsocks` and a line feed. The other one answers how many
//! sockets it has (32 bits, native order), then one message for at most 252 of them: the descriptors, and for each the name of
//! its namespace and of its interface, both behind a byte with their length, and four bytes of zeros. Each message is
//! acknowledged with four bytes, for which it waits a second. Everything else is asked of the socket itself.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recv, recvmsg, send, sendmsg, sockopt,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What asks for the sockets.
pub const COMMAND: &str = "_getsocks";
/// How long either end waits for the other.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// Most descriptors of a message: HAProxy takes no more (and Linux 253).
const AT_ONCE: usize = 252;
/// Most bytes of a message, so that it goes in one piece.
const MESSAGE: usize = 32 * 1024;
/// Most sockets that are taken over.
const MOST: usize = 1 << 16;
/// Bytes behind the two names.
const UNUSED: usize = 4;

/// A listening socket with what cannot be asked of it.
#[derive(Clone, Debug)]
pub struct Given {
    /// The socket.
    pub fd: Arc<OwnedFd>,
    /// `namespace`
    pub namespace: Option<String>,
    /// `interface`
    pub interface: Option<String>,
}

impl Given {
    /// How its names are told.
    #[must_use]
    pub fn record(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for name in [&self.namespace, &self.interface] {
            let name = name.as_deref().unwrap_or_default().as_bytes();
            // neither the kernel nor the file system knows longer ones
            let name = name.get(..usize::from(u8::MAX)).unwrap_or(name);
            bytes.push(name.len() as u8);
            bytes.extend_from_slice(name);
        }
        bytes.extend_from_slice(&[0; UNUSED]);
        bytes
    }
}

/// The names of one socket, and the bytes behind them.
#[must_use]
pub fn parse(bytes: &[u8]) -> Option<([Option<String>; 2], &[u8])> {
    let (namespace, rest) = name(bytes)?;
    let (interface, rest) = name(rest)?;
    Some(([namespace, interface], rest.get(UNUSED..)?))
}

fn name(bytes: &[u8]) -> Option<(Option<String>, &[u8])> {
    let (len, rest) = bytes.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(*len))?;
    Some(((*len > 0).then(|| String::from_utf8_lossy(name).into_owned()), rest))
}

/// How many sockets follow.
#[must_use]
pub fn count(all: &[Given]) -> [u8; 4] {
    i32::try_from(all.len()).unwrap_or(i32::MAX).to_ne_bytes()
}

/// The sockets in messages: bytes and descriptors of each.
#[must_use]
pub fn messages(all: &[Given]) -> Vec<(Vec<u8>, Vec<Arc<OwnedFd>>)> {
    let mut messages: Vec<(Vec<u8>, Vec<Arc<OwnedFd>>)> = Vec::new();
    for given in all {
        let record = given.record();
        match messages.last_mut().filter(|(b, f)| f.len() < AT_ONCE && b.len() + record.len() <= MESSAGE) {
            Some((bytes, fds)) => {
                bytes.extend_from_slice(&record);
                fds.push(given.fd.clone());
            }
            None => messages.push((record, vec![given.fd.clone()])),
        }
    }
    messages
}

/// Sends a message with descriptors; how many bytes went.
///
/// # Errors
/// The system's.
pub fn send_message(to: impl AsFd, bytes: &[u8], fds: &[Arc<OwnedFd>]) -> io::Result<usize> {
    let fds: Vec<BorrowedFd<'_>> = fds.iter().map(|fd| fd.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_ONCE))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(sendmsg(to, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?)
}

/// Receives bytes, and the descriptors that come with them.
///
/// # Errors
/// The system's.
pub fn receive_message(
    from: impl AsFd,
    bytes: &mut [u8],
    fds: &mut Vec<OwnedFd>,
    flags: RecvFlags,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_ONCE + 1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got = recvmsg(from, &mut [IoSliceMut::new(bytes)], &mut control, flags | RecvFlags::CMSG_CLOEXEC)?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(all) = message {
            fds.extend(all);
        }
    }
    Ok(got.bytes)
}

/// What is said of a process that closes the connection instead of answering.
const UNANSWERED: &str = "Failed to get the number of sockets to be transferred !";
/// How often such a process is asked again, and how long apart.
const TRIES: u32 = 10;
const AGAIN: Duration = Duration::from_millis(20);

/// Asks the process behind this path for its listening sockets.
///
/// # Errors
/// What it is that does not work, in HAProxy's words.
pub fn take(path: &str) -> Result<Vec<Given>, String> {
    let mut tried = 0;
    loop {
        match take_once(path) {
            // it may have been one that leaves, while the next one serves on the same socket
            Err(why) if tried < TRIES && why == UNANSWERED => {
                tried += 1;
                std::thread::sleep(AGAIN);
            }
            done => return done,
        }
    }
}

fn take_once(path: &str) -> Result<Vec<Given>, String> {
    let failed = |_| format!("Failed to connect to the old process socket '{path}'");
    let socket = match path.strip_prefix("abns@") {
        Some(name) => {
            let name = crate::listen::abstract_name(name.as_bytes());
            let address = <SocketAddr as SocketAddrExt>::from_abstract_name(name).map_err(failed)?;
            UnixStream::connect_addr(&address)
        }
        None => UnixStream::connect(Path::new(path.strip_prefix("unix@").unwrap_or(path))),
    };
    let socket = socket.map_err(failed)?;
    let limit = |t| sockopt::set_socket_timeout(&socket, t, Some(PATIENCE));
    limit(sockopt::Timeout::Recv)
        .and_then(|()| limit(sockopt::Timeout::Send))
        .map_err(|e| format!("Cannot set a timeout on the old process socket '{path}' : {e}"))?;
    take_from(&socket)
}

/// Asks the process at the other end.
///
/// # Errors
/// What it is that does not work.
pub fn take_from(socket: &UnixStream) -> Result<Vec<Given>, String> {
    let mut number = [0; 4];
    let asked = send(socket, format!("{COMMAND}\n").as_bytes(), SendFlags::NOSIGNAL)
        .and_then(|_| recv(socket, &mut number[..], RecvFlags::WAITALL));
    if asked.map_or(0, |(n, _)| n) < number.len() {
        return Err(UNANSWERED.into());
    }
    let wanted = usize::try_from(i32::from_ne_bytes(number)).unwrap_or(0);
    if wanted > MOST {
        return Err(format!("More than {MOST} sockets would be transferred"));
    }
    let (mut text, mut fds) = (Vec::new(), Vec::new());
    let mut bytes = vec![0; AT_ONCE * (2 * 256 + UNUSED)];
    while fds.len() < wanted {
        match receive_message(socket, &mut bytes, &mut fds, RecvFlags::empty()) {
            Ok(n @ 1..) => text.extend_from_slice(bytes.get(..n).unwrap_or_default()),
            _ => break,
        }
        let acknowledged = i32::try_from(fds.len()).unwrap_or(i32::MAX).to_ne_bytes();
        if send(socket, &acknowledged, SendFlags::NOSIGNAL).is_err() {
            break;
        }
    }
    if fds.len() != wanted {
        return Err(format!(
            "We didn't get the expected number of sockets (expecting {wanted} got {})",
            fds.len()
        ));
    }
    named(fds, &text)
}

/// Puts names and descriptors together.
fn named(fds: Vec<OwnedFd>, mut text: &[u8]) -> Result<Vec<Given>, String> {
    let mut all = Vec::new();
    for fd in fds {
        let ([namespace, interface], rest) = parse(text).ok_or("Inconsistency while transferring sockets")?;
        text = rest;
        all.push(Given { fd: Arc::new(fd), namespace, interface });
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    fn given(interface: Option<&str>) -> Given {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        Given { fd: Arc::new(socket.into()), namespace: None, interface: interface.map(str::to_string) }
    }

    /// What HAProxy 3.5 sends for a socket with `interface lo` and for one without.
    #[test]
    fn records_are_those_of_haproxy() {
        assert_eq!(given(Some("lo")).record(), b"\0\x02lo\0\0\0\0");
        assert_eq!(given(None).record(), b"\0\0\0\0\0\0");
        let (names, rest) = parse(b"\x01x\x02lo\0\0\0\0more").unwrap();
        assert_eq!((names, rest), ([Some("x".into()), Some("lo".into())], &b"more"[..]));
        for cut in [&b""[..], b"\x02x", b"\0\0\0\0\0", b"\0\x05lo\0\0\0\0"] {
            assert!(parse(cut).is_none());
        }
    }

    #[test]
    fn messages_are_bounded() {
        let one = given(None);
        let many = vec![one; 600];
        let sizes: Vec<_> = messages(&many).iter().map(|(b, f)| (b.len(), f.len())).collect();
        assert_eq!(sizes, [(1512, 252), (1512, 252), (576, 96)]);
    }

    #[test]
    fn what_is_given_is_taken() {
        let (mut old, new) = UnixStream::pair().unwrap();
        let all: Vec<Given> = (0..300).map(|i| given((i == 299).then_some("lo"))).collect();
        let ports: Vec<_> = all.iter().map(|g| rustix::net::getsockname(&g.fd).unwrap()).collect();
        let giver = std::thread::spawn(move || {
            let mut command = [0; 10];
            old.read_exact(&mut command).unwrap();
            assert_eq!(&command, b"_getsocks\n");
            old.write_all(&count(&all)).unwrap();
            for (bytes, fds) in messages(&all) {
                send_message(&old, &bytes, &fds).unwrap();
                old.read_exact(&mut [0; 4]).unwrap();
            }
        });
        let got = take_from(&new).unwrap();
        giver.join().unwrap();
        assert_eq!(got.last().unwrap().interface.as_deref(), Some("lo"));
        assert_eq!(ports, got.iter().map(|g| rustix::net::getsockname(&g.fd).unwrap()).collect::<Vec<_>>());
    }

    #[test]
    fn who_gives_less_is_not_believed() {
        let (mut old, new) = UnixStream::pair().unwrap();
        old.write_all(&6i32.to_ne_bytes()).unwrap();
        old.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(
            take_from(&new).unwrap_err(),
            "We didn't get the expected number of sockets (expecting 6 got 0)"
        );
        let (mut old, new) = UnixStream::pair().unwrap();
        old.write_all(&i32::MAX.to_ne_bytes()).unwrap();
        assert!(take_from(&new).is_err());
    }
}
