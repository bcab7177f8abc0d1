//! Descriptors that a configuration names by number.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

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
