//! The process as a whole: memory, identity, root directory, capabilities.

use std::ffi::{CStr, CString};
use std::io;

fn check(result: i32) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// No transparent huge pages: a proxy's memory grows by small pieces, and should.
pub fn no_huge_pages() {
    // SAFETY: PR_SET_THP_DISABLE takes integers only and changes nothing but the kernel's choice of page sizes.
    let _ = unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
}

/// `set-dumpable`: core files in spite of changed credentials.
///
/// # Errors
/// The system's.
pub fn set_dumpable() -> io::Result<()> {
    // SAFETY: PR_SET_DUMPABLE takes integers only.
    check(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0) })
}

/// No program that is executed from now on gains privileges.
///
/// # Errors
/// The system's.
pub fn no_new_privileges() -> io::Result<()> {
    // SAFETY: PR_SET_NO_NEW_PRIVS takes integers only.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })
}

/// Changes the group, and the supplementary groups to those of `user` (or to none). Before any thread starts.
///
/// # Errors
/// The system's.
pub fn set_group(gid: u32, user: Option<&str>) -> io::Result<()> {
    match user.and_then(|u| CString::new(u).ok()) {
        // SAFETY: a valid C string for the duration of the call; single-threaded by the caller's contract.
        Some(user) => check(unsafe { libc::initgroups(user.as_ptr(), gid) })?,
        // SAFETY: no groups are read when the count is 0.
        None => check(unsafe { libc::setgroups(0, std::ptr::null()) })?,
    }
    // SAFETY: takes an integer only.
    check(unsafe { libc::setgid(gid) })
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

/// The host's name.
#[must_use]
pub fn hostname() -> String {
    let mut name = [0u8; 256];
    // SAFETY: pointer and length describe `name`, of which the last byte stays 0.
    let done = unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len() - 1) };
    let text = CStr::from_bytes_until_nul(&name).ok().and_then(|c| c.to_str().ok());
    text.filter(|_| done == 0).unwrap_or("localhost").to_string()
}
