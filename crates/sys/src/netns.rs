//! Network namespaces (`namespace`, `network-namespaces.txt`).

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};

/// Namespaces that were opened before the process was confined, and its own under the empty name.
static OPEN: Mutex<Option<HashMap<String, Arc<File>>>> = Mutex::new(None);

/// Opens a named namespace (`/var/run/netns/NAME`), so that it can be entered when no file can be opened any more.
///
/// # Errors
/// No such namespace, no permission.
pub fn open(name: &str) -> io::Result<()> {
    find("")?;
    find(name).map(drop)
}

fn find(name: &str) -> io::Result<Arc<File>> {
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    let open = open.get_or_insert_default();
    if let Some(file) = open.get(name) {
        return Ok(file.clone());
    }
    let path = match name {
        "" => "/proc/thread-self/ns/net".to_string(),
        name => format!("/var/run/netns/{name}"),
    };
    let file = Arc::new(File::open(path)?);
    open.insert(name.to_string(), file.clone());
    Ok(file)
}

/// Makes something in a named network namespace and comes back. Needs CAP_SYS_ADMIN. Opens no file if the namespace was
/// opened before.
///
/// # Errors
/// No such namespace, no permission, or what `make` says.
pub fn within<T>(name: Option<&str>, make: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let Some(name) = name else { return make() };
    let (here, there) = (find("")?, find(name)?);
    enter(&there)?;
    let made = make();
    enter(&here)?;
    made
}

fn enter(ns: &File) -> io::Result<()> {
    let kind = Some(rustix::thread::LinkNameSpaceType::Network);
    Ok(rustix::thread::move_into_link_name_space(ns.as_fd(), kind)?)
}
