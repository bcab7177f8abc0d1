//! TLS records that the kernel makes and opens (`Documentation/networking/tls.rst` of Linux).

use crate::socket::set_bytes;
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Errno;
use std::io;
use std::mem::{MaybeUninit, size_of};

/// `TLS_SET_RECORD_TYPE`, `TLS_GET_RECORD_TYPE`
const SET_RECORD_TYPE: i32 = 1;
const GET_RECORD_TYPE: i32 = 2;

/// Which of a connection's directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// What is sent (`TLS_TX`).
    Sent = 1,
    /// What is received (`TLS_RX`).
    Received = 2,
}

/// The type of records that hold data of the application (RFC 8446 section 5.1).
pub const DATA: u8 = 23;
/// The type of records that hold alerts.
pub const ALERT: u8 = 21;

/// Makes a connected TCP socket one that can be given keys; until then nothing changes.
///
/// # Errors
/// The kernel cannot, or it is no such socket.
pub fn attach(fd: BorrowedFd<'_>) -> io::Result<()> {
    set_bytes(fd, libc::IPPROTO_TCP, libc::TCP_ULP, b"tls")
}

/// Gives it the keys of one direction, as one of `linux/tls.h`'s `struct tls12_crypto_info_*`: from then on each byte of that
/// direction is in records.
///
/// # Errors
/// The kernel does not know the cipher or the version, or has no memory.
pub fn set_keys(fd: BorrowedFd<'_>, way: Way, keys: &[u8]) -> io::Result<()> {
    set_bytes(fd, libc::SOL_TLS, way as i32, keys)
}

/// A message with room for one byte beside: the type of a record.
struct Beside {
    slice: libc::iovec,
    /// Room for a `cmsghdr` and one byte, aligned as it has to be.
    room: [usize; 8],
}

impl Beside {
    fn message(&mut self) -> libc::msghdr {
        // SAFETY: a message of zeros is one that names nothing.
        let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
        message.msg_iov = &raw mut self.slice;
        message.msg_iovlen = 1;
        message.msg_control = self.room.as_mut_ptr().cast();
        message
    }
}

/// Reads up to `room` bytes behind what is in `into`, and says of which type their records are. What is peeked at is not put there.
///
/// # Errors
/// The system's; `EBADMSG`: a record could not be opened.
pub fn receive(
    fd: BorrowedFd<'_>,
    into: &mut Vec<u8>,
    room: usize,
    peek: bool,
) -> rustix::io::Result<(usize, u8)> {
    let spare = into.spare_capacity_mut();
    let len = room.min(spare.len());
    let slice = libc::iovec { iov_base: spare.as_mut_ptr().cast(), iov_len: len };
    let mut beside = Beside { slice, room: [0; 8] };
    let mut message = beside.message();
    message.msg_controllen = size_of::<[usize; 8]>() as _;
    let flags = if peek { libc::MSG_PEEK } else { 0 };
    // SAFETY: the descriptor is borrowed, so open; the message names `len` bytes of the vector's spare capacity and the room
    // beside, which both live until the call is over.
    let n = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut message, flags) };
    let Ok(n) = usize::try_from(n) else {
        return Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO));
    };
    if !peek {
        // SAFETY: the kernel has written that many bytes there, which are no more than `len`.
        unsafe { into.set_len(into.len() + n.min(len)) };
    }
    // SAFETY: the kernel has said in `msg_controllen` how much of the room it wrote.
    let header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    if header.is_null() {
        return Ok((n, DATA));
    }
    // SAFETY: it is not null, so that it is a header in the room, which is aligned for it.
    let (level, kind) = unsafe { ((*header).cmsg_level, (*header).cmsg_type) };
    if (level, kind) != (libc::SOL_TLS, GET_RECORD_TYPE) {
        return Ok((n, DATA));
    }
    // SAFETY: a message of this type has one byte of data.
    Ok((n, unsafe { *libc::CMSG_DATA(header) }))
}

/// Sends a record of another type than data's.
///
/// # Errors
/// The system's.
pub fn send_record(fd: BorrowedFd<'_>, kind: u8, bytes: &[u8]) -> rustix::io::Result<usize> {
    let slice = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut beside = Beside { slice, room: [0; 8] };
    let mut message = beside.message();
    // SAFETY: the macro computes with its argument only.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(1) } as _;
    // SAFETY: the room is as long as `msg_controllen` says, and aligned for a header.
    let header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    if header.is_null() {
        return Err(Errno::INVAL);
    }
    // SAFETY: it is not null, so that it is a header in the room, with a byte of data behind it.
    unsafe {
        (*header).cmsg_level = libc::SOL_TLS;
        (*header).cmsg_type = SET_RECORD_TYPE;
        (*header).cmsg_len = libc::CMSG_LEN(1) as _;
        *libc::CMSG_DATA(header) = kind;
    }
    // SAFETY: the descriptor is borrowed, so open; the message names `bytes`, which the kernel only reads, and the room beside.
    let n = unsafe { libc::sendmsg(fd.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) };
    usize::try_from(n).map_err(|_| Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    /// A socket without keys gives what came, and what is peeked at stays.
    #[test]
    fn without_keys() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        client.write_all(b"abc").unwrap();
        let mut into = Vec::with_capacity(8);
        assert_eq!(receive(server.as_fd(), &mut into, 1, true), Ok((1, DATA)));
        assert!(into.is_empty());
        assert_eq!(receive(server.as_fd(), &mut into, 2, false), Ok((2, DATA)));
        assert_eq!(into, b"ab");
        assert!(set_keys(server.as_fd(), Way::Sent, &[0; 4]).is_err());
    }
}
