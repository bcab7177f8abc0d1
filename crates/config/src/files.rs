//! How files are reached: locally, or (later) through the master when the workers are confined.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Directories that configurations have named: what a confined process has to reach.
#[derive(Clone, Debug, Default)]
pub struct Named {
    /// Files of these were read.
    pub read: BTreeSet<PathBuf>,
    /// Files or sockets are made in these, when a configuration is followed.
    pub made: BTreeSet<PathBuf>,
    /// Files are written in these as long as the process lives, in a jail, too.
    pub kept: BTreeSet<PathBuf>,
}

static NAMED: Mutex<Named> =
    Mutex::new(Named { read: BTreeSet::new(), made: BTreeSet::new(), kept: BTreeSet::new() });

/// What has been named so far.
#[must_use]
pub fn named() -> Named {
    NAMED.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Another configuration is read.
pub fn forget_named() {
    *NAMED.lock().unwrap_or_else(PoisonError::into_inner) = Named::default();
}

/// The directory of a file, the current one's name being a dot.
fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(p) if p.as_os_str().is_empty() => ".".into(),
        Some(p) => p.into(),
        None => path.into(),
    }
}

/// A file is read: it may be replaced by another one of its name later, so that its directory counts; and that of the file which
/// it is a link to.
pub fn note_read(path: &Path) {
    let target = path.is_symlink().then(|| path.canonicalize().ok()).flatten();
    let read = &mut NAMED.lock().unwrap_or_else(PoisonError::into_inner).read;
    read.insert(parent(path));
    read.extend(target.as_deref().map(parent));
}

/// A file or a socket of this name is made.
pub fn note_made(path: &Path) {
    NAMED.lock().unwrap_or_else(PoisonError::into_inner).made.insert(parent(path));
}

/// Files are written in this directory.
pub fn note_kept(directory: &Path) {
    NAMED.lock().unwrap_or_else(PoisonError::into_inner).kept.insert(directory.into());
}

/// Access to the file system, given to whoever may read files.
pub trait Files: Send + Sync {
    /// The whole content of a file.
    ///
    /// # Errors
    /// Whatever the system says.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// The regular files of a directory, sorted by name.
    ///
    /// # Errors
    /// Whatever the system says.
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>>;
    /// Is it a directory?
    fn is_dir(&self, path: &Path) -> bool;
    /// Does it exist?
    fn exists(&self, path: &Path) -> bool;
    /// The address of a host name, IPv4 before IPv6, as the system's resolver says; it may block. The name may have
    /// `ipv4@` or `ipv6@` in front: only such an address then.
    fn resolve(&self, _name: &str) -> Option<IpAddr> {
        None
    }
}

/// The local file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalFiles;

impl Files for LocalFiles {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        note_read(path);
        std::fs::read(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        note_read(&path.join("."));
        let mut all: Vec<PathBuf> =
            std::fs::read_dir(path)?.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>()?;
        all.retain(|p| p.is_file());
        all.sort();
        Ok(all)
    }
    fn is_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }
    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }
    fn resolve(&self, name: &str) -> Option<IpAddr> {
        let bare = name.split_once('@').map_or(name, |(_, bare)| bare);
        let mut all: Vec<IpAddr> = (bare, 0).to_socket_addrs().ok()?.map(|a| a.ip()).collect();
        all.retain(|a| match name.strip_suffix(bare) {
            Some("ipv4@") => a.is_ipv4(),
            Some("ipv6@") => a.is_ipv6(),
            _ => true,
        });
        all.iter().find(|a| a.is_ipv4()).or(all.first()).copied()
    }
}
