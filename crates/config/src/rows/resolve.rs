//! What the system knows: host names, namespaces, inherited descriptors.

use crate::addr::Host;
use crate::cx::Cx;
use std::io;
use std::net::TcpListener;
use std::path::Path;

/// The address of a host name.
pub fn host(cx: &Cx<'_>, name: &str) -> Option<Host> {
    cx.files.resolve(name).map(Host::from)
}

/// Is there a network namespace of this name?
pub fn namespace(cx: &Cx<'_>, name: &str) -> bool {
    !name.contains('/') && cx.files.exists(&Path::new("/var/run/netns").join(name))
}

/// Is the descriptor an open socket?
///
/// # Errors
/// What the system says about it, without the number.
pub fn socket(fd: i32) -> Result<(), &'static str> {
    const ENOTSOCK: i32 = 88;
    let Ok(copy) = portcullis_sys::fd::duplicate(fd) else { return Err("Bad file descriptor") };
    match TcpListener::from(copy).local_addr() {
        Err(e) if io::Error::raw_os_error(&e) == Some(ENOTSOCK) => Err("Socket operation on non-socket"),
        _ => Ok(()),
    }
}
