//! Putting descriptors on the worker's reactor.

use rustix::fd::OwnedFd;
use std::io;
use tokio::io::unix::AsyncFd;

/// Registers a non-blocking descriptor with the current Tokio runtime, for reading and writing.
///
/// # Errors
/// When the reactor cannot take it (limits of the system).
pub fn register(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` owns its descriptor, returns the same one as long as it lives, and is moved into the
    // `AsyncFd`, so the descriptor stays open and the same until it is deregistered.
    unsafe { AsyncFd::register(fd) }.map_err(Into::into)
}
