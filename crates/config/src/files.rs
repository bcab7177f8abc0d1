//! How files are reached: on the disk, or by a [`Snapshot`] where the process is confined and another one has looked for it.

use crate::snapshot::Snapshot;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::net::{IpAddr, ToSocketAddrs};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

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

/// A file or a socket of this name is made, and not elsewhere ([`within`]).
pub fn note_made(path: &Path) {
    if ELSEWHERE.with_borrow(Option::is_some) {
        return;
    }
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
    /// Makes a file that only its owner may read.
    ///
    /// # Errors
    /// Whatever the system says, that it is there already, too.
    fn make(&self, _path: &Path, _content: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

thread_local! {
    /// Where this thread finds files, if that is not the disk.
    static ELSEWHERE: RefCell<Option<Arc<dyn Files>>> = const { RefCell::new(None) };
}

/// [`LocalFiles`] of this thread are these, while something is done.
pub fn within<T>(files: Arc<dyn Files>, done: impl FnOnce() -> T) -> T {
    ELSEWHERE.set(Some(files));
    let result = done();
    ELSEWHERE.set(None);
    result
}

fn ask<T>(question: impl FnOnce(&dyn Files) -> T) -> T {
    match ELSEWHERE.with_borrow(Clone::clone) {
        Some(files) => question(&*files),
        None => question(&Disk),
    }
}

/// The files of this process: the local file system, or what stands for it ([`within`]).
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalFiles;

impl Files for LocalFiles {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        ask(|f| f.read(path))
    }
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        ask(|f| f.list(path))
    }
    fn is_dir(&self, path: &Path) -> bool {
        ask(|f| f.is_dir(path))
    }
    fn exists(&self, path: &Path) -> bool {
        ask(|f| f.exists(path))
    }
    fn resolve(&self, name: &str) -> Option<IpAddr> {
        ask(|f| f.resolve(name))
    }
    fn make(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        ask(|f| f.make(path, content))
    }
}

/// The local file system.
#[derive(Clone, Copy, Debug, Default)]
struct Disk;

impl Files for Disk {
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
    fn make(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let new = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        new.and_then(|mut file| file.write_all(content))
    }
}

/// The local file system, and what it has answered.
#[derive(Debug, Default)]
pub struct Recorded(Mutex<Snapshot>);

impl Recorded {
    /// The answers so far.
    #[must_use]
    pub fn take(&self) -> Snapshot {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
    fn note(&self) -> std::sync::MutexGuard<'_, Snapshot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Files for Recorded {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let content = Disk.read(path);
        self.note().saw_read(path, &content);
        content
    }
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let all = Disk.list(path);
        self.note().saw_list(path, &all);
        all
    }
    fn is_dir(&self, path: &Path) -> bool {
        let is = Disk.is_dir(path);
        self.note().saw_is_dir(path, is);
        is
    }
    fn exists(&self, path: &Path) -> bool {
        let is = Disk.exists(path);
        self.note().saw_exists(path, is);
        is
    }
    fn resolve(&self, name: &str) -> Option<IpAddr> {
        let address = Disk.resolve(name);
        self.note().saw_resolve(name, address);
        address
    }
    fn make(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let made = Disk.make(path, content);
        if made.is_ok() {
            self.note().saw_read(path, &Ok(content.to_vec()));
        }
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_recorded_is_answered_elsewhere() {
        let dir = std::env::temp_dir().join(format!("portcullis-files-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (file, gone) = (dir.join("file"), dir.join("gone"));
        std::fs::write(&file, "x").unwrap();
        let look = || {
            let found = LocalFiles.read(&file).map_err(|e| e.to_string());
            let not = LocalFiles.read(&gone).map_err(|e| e.to_string());
            let listed = LocalFiles.list(&dir).map_err(|e| e.to_string());
            let are = (LocalFiles.is_dir(&dir), LocalFiles.exists(&file), LocalFiles.exists(&gone));
            (found, not, listed, are, LocalFiles.resolve("localhost"), LocalFiles.resolve("nowhere.invalid"))
        };
        let recorded = Arc::new(Recorded::default());
        let seen = within(recorded.clone(), look);
        std::fs::remove_dir_all(&dir).unwrap();
        assert_ne!(look(), seen);
        let mut bytes = Vec::new();
        recorded.take().write(&mut bytes).unwrap();
        let snapshot = Snapshot::from(&mut &*bytes).unwrap();
        let (seen_there, never) =
            within(Arc::new(snapshot), || (look(), LocalFiles.read(Path::new("/etc/hosts"))));
        assert_eq!(seen_there, seen);
        assert_eq!(never.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }
}
