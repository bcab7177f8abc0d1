//! The process as a whole: memory, identity, root directory, capabilities.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

fn check(result: i32) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whether memory that is taken from the system from now on may come in transparent huge pages. A proxy's memory grows by
/// small pieces, and should: `main` switches them off.
pub fn huge_pages(on: bool) {
    // SAFETY: PR_SET_THP_DISABLE takes integers only and changes nothing but the kernel's choice of page sizes.
    let _ = unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, libc::c_ulong::from(!on), 0, 0, 0) };
}

/// Changes the group. Before any thread starts.
///
/// # Errors
/// The system's.
pub fn set_group(gid: u32) -> io::Result<()> {
    // SAFETY: takes an integer only.
    check(unsafe { libc::setgid(gid) })
}

/// Changes the supplementary groups to those of `user` and `gid`, or to none. Before any thread starts; reads
/// /etc/group.
///
/// # Errors
/// The system's.
pub fn set_groups(gid: u32, user: Option<&str>) -> io::Result<()> {
    match user.and_then(|u| CString::new(u).ok()) {
        // SAFETY: a valid C string for the duration of the call; single-threaded by the caller's contract.
        Some(user) => check(unsafe { libc::initgroups(user.as_ptr(), gid) }),
        // SAFETY: no groups are read when the count is 0.
        None => check(unsafe { libc::setgroups(0, std::ptr::null()) }),
    }
}

/// Enters a new user namespace, in which the process may change its root directory. Before any thread starts.
///
/// # Errors
/// The system's: namespaces may be forbidden.
pub fn new_user_namespace() -> io::Result<()> {
    // SAFETY: takes an integer only; the caller's contract is that no other thread exists.
    check(unsafe { libc::unshare(libc::CLONE_NEWUSER) })
}

/// Changes the user. Before any thread starts.
///
/// # Errors
/// The system's.
pub fn set_user(uid: u32) -> io::Result<()> {
    // SAFETY: takes an integer only.
    check(unsafe { libc::setuid(uid) })
}

/// Changes the root directory and goes there.
///
/// # Errors
/// The system's.
pub fn change_root(dir: &std::path::Path) -> io::Result<()> {
    std::os::unix::fs::chroot(dir)?;
    std::env::set_current_dir("/")
}

/// Splits the process in two: 0 in the child, its pid in the parent. Before any thread starts.
///
/// # Errors
/// The system's.
pub fn fork() -> io::Result<u32> {
    // SAFETY: the caller's contract is that no other thread exists, so no lock can be held by a thread that is not
    // copied, and both processes may go on as usual.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(pid as u32),
    }
}

/// Leaves this descriptor as the only one of the process, with standard input, output and error leading nowhere. For a new process
/// that has nothing to do with what the one before had open, and that ends without going back to it.
///
/// # Errors
/// The system's.
pub fn alone(fd: OwnedFd) -> io::Result<OwnedFd> {
    let null = std::fs::File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    let kept = fd.as_raw_fd().unsigned_abs();
    for (first, last) in [(3, kept - 1), (kept + 1, u32::MAX)] {
        if first <= last {
            // SAFETY: takes integers only. Others that own these descriptors are not used any more, by the caller's contract.
            check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } as i32)?;
        }
    }
    std::mem::forget(null);
    Ok(fd)
}

/// Becomes another program: same process, same children, same blocked signals (which is why this is not
/// `std::process::Command::exec`). Before any thread starts. Returns only if that is not possible.
#[must_use]
pub fn become_program(path: &CStr, args: &[CString], env: &[CString]) -> io::Error {
    let pointers = |list: &[CString]| -> Vec<*const libc::c_char> {
        list.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (args, env) = (pointers(args), pointers(env));
    // SAFETY: C strings, and arrays of pointers to C strings that end in null; all live until the call returns, if it does.
    unsafe { libc::execve(path.as_ptr(), args.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

/// The time that a thread of this process, named by the system's number, has had the processor.
///
/// # Errors
/// The system's: there is no such thread.
pub fn thread_time(thread: i32) -> io::Result<std::time::Duration> {
    // a clock's number as the kernel makes it of a thread's: 4 says "of a thread", 2 "as the scheduler counts"
    let clock = (!thread << 3) | 4 | 2;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec that lives through the call; the kernel refuses numbers that are no clock.
    check(unsafe { libc::clock_gettime(clock, &mut time) })?;
    Ok(std::time::Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32))
}

/// The host's name.
#[must_use]
pub fn hostname() -> String {
    let mut name = [0u8; 256];
    // SAFETY: pointer and length describe `name`, of which the last byte stays 0.
    let done = unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len() - 1) };
    let text = CStr::from_bytes_until_nul(&name).ok().and_then(|c| c.to_str().ok());
    text.filter(|_| done == 0).unwrap_or("localhost").to_string()
}
