//! Putting descriptors on the worker's reactor: at once, or when somebody first waits for one.

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use rustix::io::Errno;
use std::cell::{Cell, OnceCell};
use std::io;
use std::task::{Context, Poll, ready};
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

/// Registers a non-blocking descriptor with the current Tokio runtime, for reading and writing.
///
/// # Errors
/// When the reactor cannot take it (limits of the system).
pub fn register(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` owns its descriptor, returns the same one as long as it lives, and is moved into the
    // `AsyncFd`, so the descriptor stays open and the same until it is deregistered.
    unsafe { AsyncFd::register(fd) }.map_err(Into::into)
}

/// The number of a descriptor that a [`Watched`] owns.
#[derive(Debug)]
struct Number(RawFd);

impl AsRawFd for Number {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

type Registration = AsyncFd<Number>;
type Ready<'a> = Poll<io::Result<AsyncFdReadyGuard<'a, Number>>>;

/// A non-blocking descriptor that goes on the reactor when it is first waited for. What is there already is read, and
/// what the system takes is written, without: a connection of one request is never registered then, which saves two
/// system calls.
#[derive(Debug)]
pub struct Watched {
    // dropped before the descriptor is closed
    registration: OnceCell<Registration>,
    /// The reactor has not said yet whether it can be written to: one tries.
    untold: Cell<bool>,
    /// Something that its owner remembers of it: there is room for it here.
    marked: Cell<bool>,
    /// The first error that a system call has ended with; 0: none.
    broken: Cell<u8>,
    fd: OwnedFd,
}

/// What a system call on a descriptor came to.
pub struct Done<T> {
    /// Its result.
    pub value: T,
    /// It took or gave less than it could have: the next one has to wait.
    pub short: bool,
}

impl Watched {
    /// Not on the reactor yet.
    #[must_use]
    pub fn new(fd: OwnedFd) -> Self {
        Self {
            registration: OnceCell::new(),
            untold: Cell::new(false),
            marked: Cell::new(false),
            broken: Cell::new(0),
            fd,
        }
    }

    /// Remembers one thing for its owner.
    pub fn mark(&self) {
        self.marked.set(true);
    }

    /// Was it marked?
    #[must_use]
    pub fn is_marked(&self) -> bool {
        self.marked.get()
    }

    /// What has broken the connection, if anything has: the first error of a call that read or wrote.
    #[must_use]
    pub fn broken(&self) -> Option<io::Error> {
        let errno = i32::from(self.broken.get());
        (errno != 0).then(|| io::Error::from_raw_os_error(errno))
    }

    /// Leaves the reactor.
    #[must_use]
    pub fn into_fd(self) -> OwnedFd {
        let Self { registration, fd, .. } = self;
        drop(registration);
        fd
    }

    /// Is it on the reactor?
    #[must_use]
    pub fn is_registered(&self) -> bool {
        self.registration.get().is_some()
    }

    fn registration(&self) -> io::Result<&Registration> {
        if let Some(there) = self.registration.get() {
            return Ok(there);
        }
        // SAFETY: the descriptor is this value's own and stays open and the same as long as the value lives;
        // `registration` is dropped before `fd` is closed (order of the fields, and `into_fd`).
        let new = unsafe { AsyncFd::register(Number(self.fd.as_raw_fd())) }?;
        self.untold.set(true);
        Ok(self.registration.get_or_init(|| new))
    }

    /// Puts it on the reactor, if it is not there yet.
    ///
    /// # Errors
    /// When the reactor cannot take it (limits of the system).
    pub fn register(&self) -> io::Result<()> {
        self.registration().map(drop)
    }

    /// Waits until there may be something to read.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.registration()?.poll_read_ready(cx).map_ok(drop)
    }

    /// Waits until the system may take something.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.registration()?.poll_write_ready(cx).map_ok(drop)
    }

    /// Runs a read-like system call, now and when there may be something to read.
    ///
    /// # Errors
    /// Of the call or the reactor.
    pub fn poll_read<T>(
        &self,
        cx: &mut Context<'_>,
        call: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<Done<T>>,
    ) -> Poll<io::Result<T>> {
        self.run(|registration| Some(registration.poll_read_ready(cx)), call)
    }

    /// Runs a write-like system call, now and when the system may take something.
    ///
    /// # Errors
    /// Of the call or the reactor.
    pub fn poll_write<T>(
        &self,
        cx: &mut Context<'_>,
        mut call: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<Done<T>>,
    ) -> Poll<io::Result<T>> {
        let mut tried = false;
        let full = Cell::new(false);
        let call = |fd: BorrowedFd<'_>| call(fd).inspect_err(|e| full.set(*e == Errno::AGAIN));
        let ready = |registration| match Registration::poll_write_ready(registration, cx) {
            Poll::Pending if self.untold.replace(false) && !full.get() => {
                tried = true;
                None
            }
            told => Some(told),
        };
        let done = self.run(ready, call);
        // the next one tries, too, as long as the system takes all and nothing is known
        self.untold.set(tried && done.is_ready());
        done
    }

    /// Runs a system call when `ready` lets it; `None`: the reactor does not know yet, but will wake.
    #[inline]
    fn run<'w, T>(
        &'w self,
        mut ready: impl FnMut(&'w Registration) -> Option<Ready<'w>>,
        mut call: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<Done<T>>,
    ) -> Poll<io::Result<T>> {
        loop {
            let mut guard = match self.registration.get().and_then(&mut ready) {
                Some(ready) => Some(ready!(ready)?),
                None => None,
            };
            match (call(self.fd.as_fd()), &mut guard) {
                (Ok(done), guard) => {
                    if let (true, Some(guard)) = (done.short, guard) {
                        guard.clear_ready();
                    }
                    return Poll::Ready(Ok(done.value));
                }
                (Err(Errno::AGAIN), Some(guard)) => guard.clear_ready(),
                (Err(Errno::AGAIN), None) => drop(self.registration()?),
                (Err(Errno::INTR), _) => {}
                (Err(e), _) => {
                    if self.broken.get() == 0 {
                        self.broken.set(u8::try_from(e.raw_os_error()).unwrap_or(u8::MAX));
                    }
                    return Poll::Ready(Err(e.into()));
                }
            }
        }
    }
}

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
