//! Signals as a descriptor: they are blocked for the whole process and read where they are wanted.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

fn set_of(signals: &[i32]) -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set that the pointer is to; it cannot fail for a valid pointer.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: initialised just now.
    let mut set = unsafe { set.assume_init() };
    for s in signals {
        // SAFETY: a valid, initialised set; an invalid number is refused and changes nothing.
        unsafe { libc::sigaddset(&raw mut set, *s) };
    }
    set
}

/// Signals that wait to be read.
#[derive(Debug)]
pub struct Signals(OwnedFd);

impl Signals {
    /// Blocks these signals in the calling thread, in threads that it starts and in programs that it becomes, and makes
    /// them readable. Call before any thread starts.
    ///
    /// # Errors
    /// The system's.
    pub fn take(signals: &[i32]) -> io::Result<Self> {
        let set = set_of(signals);
        // SAFETY: a valid set; no old one is asked for.
        if unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a valid set; -1 asks for a new descriptor.
        let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call above made this descriptor and nobody else has it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// The next signal that has come, if one has.
    #[must_use]
    pub fn next(&self) -> Option<i32> {
        let mut info = MaybeUninit::<libc::signalfd_siginfo>::uninit();
        let len = size_of::<libc::signalfd_siginfo>();
        // SAFETY: pointer and length describe `info`; the descriptor is open as long as `self` lives.
        let n = unsafe { libc::read(self.0.as_raw_fd(), info.as_mut_ptr().cast(), len) };
        if usize::try_from(n) != Ok(len) {
            return None;
        }
        // SAFETY: the kernel has written the whole structure, which is plain integers.
        let info = unsafe { info.assume_init() };
        i32::try_from(info.ssi_signo).ok()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Signals of faults end the process at once, whoever sends them. The standard library's handler, which tells of a stack that
/// overflows, takes the first one for a mistake. Call before any thread starts.
pub fn die_of_faults() {
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: SIG_DFL is a valid disposition; nothing of ours runs as a handler.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Ends the process as if this signal had not been caught: who waits for the process sees that.
pub fn die_of(signal: i32) -> ! {
    let set = set_of(&[signal]);
    // SAFETY: SIG_DFL is a valid disposition; nothing of ours runs as a handler.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    // SAFETY: sends a signal to ourselves.
    unsafe { libc::kill(libc::getpid(), signal) };
    // SAFETY: a valid set; unblocking delivers what waits.
    unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut()) };
    std::process::exit(128 + signal)
}

/// What a signal is called in messages ("Killed").
#[must_use]
pub fn describe(signal: i32) -> String {
    // SAFETY: strsignal gives a C string (static or of the thread) that is copied at once.
    let text = unsafe { libc::strsignal(signal) };
    if text.is_null() {
        return format!("signal {signal}");
    }
    // SAFETY: not null, and a C string.
    unsafe { std::ffi::CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// Numbers, for those who do not want to know about libc.
pub mod number {
    pub use libc::{
        SIGALRM, SIGCHLD, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2,
    };
}
