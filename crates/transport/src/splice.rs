//! Moving bytes from socket to socket inside the kernel: `splice(2)` through a pipe of up to 1 MiB.

use crate::conn::Conn;
use rustix::fd::OwnedFd;
use rustix::pipe::{PipeFlags, SpliceFlags};
use std::cell::RefCell;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};

/// What an unprivileged process may ask for by default.
const PIPE_SIZE: usize = 1 << 20;

/// A pipe and how many bytes are in it.
#[derive(Debug)]
pub struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    size: usize,
    held: usize,
    /// Bytes that a socket took, and holds back still.
    unsaid: usize,
    /// It is one of so many in use.
    counted: Option<&'static AtomicU32>,
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.uncount();
    }
}

impl Pipe {
    fn new(wanted: usize) -> io::Result<Self> {
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?;
        let size = rustix::pipe::fcntl_setpipe_size(&write, wanted)
            .or_else(|_| rustix::pipe::fcntl_getpipe_size(&write))?;
        Ok(Self { read, write, size, held: 0, unsaid: 0, counted: None })
    }
    fn uncount(&mut self) {
        if let Some(used) = self.counted.take() {
            used.fetch_sub(1, Ordering::Relaxed);
        }
    }
    /// Bytes that wait in the pipe, or for the socket that took them.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held + self.unsaid
    }
    /// Takes up to `limit` bytes from a socket. 0: its peer has finished.
    ///
    /// # Errors
    /// The system's.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>, from: &Conn, limit: usize) -> Poll<io::Result<usize>> {
        let room = (self.size - self.held.min(self.size)).min(limit);
        let write = &self.write;
        let n = ready!(from.poll_read_with(cx, |fd| {
            rustix::pipe::splice(fd, None, write, None, room, SpliceFlags::MOVE | SpliceFlags::NONBLOCK)
        }))?;
        self.held += n;
        Poll::Ready(Ok(n))
    }
    /// Gives what waits to a socket.
    ///
    /// # Errors
    /// The system's.
    pub fn poll_drain(&mut self, cx: &mut Context<'_>, to: &Conn, more: bool) -> Poll<io::Result<usize>> {
        let Some(socket) = to.socket() else { return Poll::Ready(Err(io::ErrorKind::Unsupported.into())) };
        if self.held > 0 {
            let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
            // a record of the kernel's that waits for more would wait for ever
            let flags = if more && !socket.is_tls() { flags | SpliceFlags::MORE } else { flags };
            let (read, held) = (&self.read, self.held);
            let spliced =
                socket.poll_write_with(cx, |fd| rustix::pipe::splice(read, None, fd, None, held, flags));
            let n = ready!(spliced)?;
            self.held -= n;
            self.unsaid += n;
            socket.spliced(n)?;
        }
        if self.held == 0 {
            ready!(socket.poll_passed_on(cx))?;
        }
        Poll::Ready(Ok(std::mem::take(&mut self.unsaid)))
    }
}

/// A worker's spare pipes; how many are in use counts for the process (`maxpipes`).
#[derive(Debug)]
pub struct Pipes {
    spares: RefCell<Vec<Pipe>>,
    used: &'static AtomicU32,
    max: u32,
    size: usize,
}

impl Pipes {
    /// `max`: `maxpipes`; `size`: `tune.pipesize`, 0 for ours; `used` counts over all workers.
    #[must_use]
    pub fn new(max: u32, size: usize, used: &'static AtomicU32) -> Self {
        Self { spares: RefCell::default(), used, max, size: if size == 0 { PIPE_SIZE } else { size } }
    }
    /// A pipe, unless the limit is reached.
    pub fn take(&self) -> Option<Pipe> {
        if self.used.fetch_add(1, Ordering::Relaxed) >= self.max {
            self.used.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let spare = self.spares.borrow_mut().pop();
        let Some(mut pipe) = spare.or_else(|| Pipe::new(self.size).ok()) else {
            self.used.fetch_sub(1, Ordering::Relaxed);
            return None;
        };
        pipe.counted = Some(self.used);
        Some(pipe)
    }
    /// Bytes that one can hold, and how many wait here for their next use.
    #[must_use]
    pub fn counts(&self) -> [u64; 2] {
        [self.size as u64, self.spares.borrow().len() as u64]
    }
    /// Takes a pipe back; one that still holds bytes is closed.
    pub fn give(&self, mut pipe: Pipe) {
        pipe.uncount();
        let mut spares = self.spares.borrow_mut();
        if pipe.held() == 0 && spares.len() < 64 {
            spares.push(pipe);
        }
    }
}
