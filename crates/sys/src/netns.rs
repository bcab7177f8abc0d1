//! Network namespaces (`namespace`, `network-namespaces.txt`).

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

/// Makes something in a named network namespace (`/var/run/netns/NAME`) and comes back. Needs CAP_SYS_ADMIN.
///
/// # Errors
/// No such namespace, no permission, or what `make` says.
pub fn within<T>(name: Option<&str>, make: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let Some(name) = name else { return make() };
    let here = File::open("/proc/thread-self/ns/net")?;
    let there = File::open(format!("/var/run/netns/{name}"))?;
    enter(&there)?;
    let made = make();
    enter(&here)?;
    made
}

fn enter(ns: &File) -> io::Result<()> {
    let kind = Some(rustix::thread::LinkNameSpaceType::Network);
    Ok(rustix::thread::move_into_link_name_space(ns.as_fd(), kind)?)
}
