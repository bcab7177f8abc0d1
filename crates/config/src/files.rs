//! How files are reached: locally, or (later) through the master when the workers are confined.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

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
        std::fs::read(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
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
