//! Descriptors that a configuration names by number.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Takes over a descriptor that was left open across `execve` for this program, and by number told to it alone.
///
/// # Errors
/// `EBADF` if it is not open; standard input, output and error are refused.
pub fn take(fd: i32) -> io::Result<OwnedFd> {
    if fd <= 2 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    drop(duplicate(fd)?);
    // SAFETY: open, as the line above has seen; the caller's contract is that nobody else in this program has it: it was
    // handed over by the program that this process was before, for one taking.
    let owned = unsafe { OwnedFd::from_raw_fd(fd) };
    rustix::io::fcntl_setfd(&owned, rustix::io::FdFlags::CLOEXEC)?;
    Ok(owned)
}

/// Lets a descriptor stay open across `execve`; its number, for [`take`].
///
/// # Errors
/// The system's.
pub fn leave(fd: &OwnedFd) -> io::Result<i32> {
    rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty())?;
    Ok(fd.as_raw_fd())
}

/// A duplicate (close-on-exec) of an inherited socket, which waits for nothing from now on: who made it may have left it as it
/// was made, and this flag belongs to the socket, not to the descriptor.
///
/// # Errors
/// Whatever `fcntl(2)` says, `EBADF` if it is not open.
pub fn socket(fd: i32) -> io::Result<OwnedFd> {
    let socket = duplicate(fd)?;
    let flags = rustix::fs::fcntl_getfl(&socket)?;
    rustix::fs::fcntl_setfl(&socket, flags | rustix::fs::OFlags::NONBLOCK)?;
    Ok(socket)
}

/// A duplicate (close-on-exec) of an inherited descriptor.
///
/// # Errors
/// Whatever `fcntl(2)` says, `EBADF` if it is not open.
pub fn duplicate(fd: i32) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: not negative; borrowed for the duration of this call only, in which the kernel checks whether it is open.
    // Nothing is closed through it.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    borrowed.try_clone_to_owned()
}

/// The two ends of the socket with this number, ours first. `None`: it is none, or has no such addresses.
#[must_use]
pub fn ends(fd: i32) -> Option<(SocketAddr, SocketAddr)> {
    if fd < 0 {
        return None;
    }
    // SAFETY: not negative; borrowed for the duration of this call only, in which the kernel checks whether it is open.
    let socket = unsafe { BorrowedFd::borrow_raw(fd) };
    let local = rustix::net::getsockname(socket).ok()?.try_into().ok()?;
    let remote = rustix::net::getpeername(socket).ok()??.try_into().ok()?;
    Some((local, remote))
}
