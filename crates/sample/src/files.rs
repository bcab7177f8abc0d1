//! Files that expressions name (maps, keys): read while the configuration is.

use portcullis_config::files::{Files, LocalFiles};
use std::cell::RefCell;
use std::path::PathBuf;

thread_local! {
    static BASE: RefCell<PathBuf> = const { RefCell::new(PathBuf::new()) };
}

/// Relative names of files stand in this directory from now on (`default-path`), in this thread.
pub fn set_base(directory: PathBuf) {
    BASE.set(directory);
}

/// Reads a file by the name that the configuration gives.
///
/// # Errors
/// The system's.
pub fn read(name: &[u8]) -> std::io::Result<Vec<u8>> {
    use std::os::unix::ffi::OsStrExt;
    let name = std::ffi::OsStr::from_bytes(name);
    let path = BASE.with_borrow(|base| base.join(name));
    LocalFiles.read(&path)
}
