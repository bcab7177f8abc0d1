//! What a terminal shows while much is read: how many files have been, and which one is read now.

use portcullis_config::Files;
use std::io::{self, IsTerminal, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What takes less is over before anybody wonders.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often it is shown.
const PACE: Duration = Duration::from_millis(200);
/// A file of so many bytes takes its time.
const LARGE: usize = 4 << 20;

/// Files that are read, shown on standard error if that is a terminal, until it is dropped.
pub struct Progress<'f> {
    files: &'f dyn Files,
    shown: Option<Mutex<Shown>>,
}

impl<'f> Progress<'f> {
    /// Over these files; `quiet`: nothing is shown.
    #[must_use]
    pub fn new(files: &'f dyn Files, quiet: bool) -> Self {
        let terminal = !quiet && io::stderr().is_terminal();
        Self { files, shown: terminal.then(|| Mutex::new(Shown::new(Instant::now()))) }
    }

    fn note(&self, path: &Path, bytes: usize) {
        let Some(shown) = &self.shown else { return };
        let line = shown.lock().unwrap_or_else(PoisonError::into_inner).read(Instant::now(), path, bytes);
        if let Some(line) = line {
            show(&line);
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        let shown = self.shown.as_ref().map(|s| s.lock().unwrap_or_else(PoisonError::into_inner));
        if shown.is_some_and(|s| s.last.is_some()) {
            show(CLEAR);
        }
    }
}

/// Back to the beginning of a line that is emptied.
const CLEAR: &str = "\r\x1b[K";

fn show(text: &str) {
    // nowhere to say that it cannot be said
    let _ = io::stderr().write_all(text.as_bytes());
}

/// What has been read so far.
struct Shown {
    began: Instant,
    /// When a line was shown last.
    last: Option<Instant>,
    files: u64,
    bytes: u64,
}

impl Shown {
    fn new(now: Instant) -> Self {
        Self { began: now, last: None, files: 0, bytes: 0 }
    }

    /// A file of so many bytes was read: the line that is to be shown, if it is time for one.
    fn read(&mut self, now: Instant, path: &Path, bytes: usize) -> Option<String> {
        self.files += 1;
        self.bytes += bytes as u64;
        let due = match self.last {
            None => now - self.began >= PATIENCE,
            Some(last) => now - last >= PACE,
        };
        if !due && bytes < LARGE {
            return None;
        }
        self.last = Some(now);
        let (files, mib) = (self.files, self.bytes >> 20);
        Some(format!("{CLEAR}Loading: {files} files, {mib} MiB; {}", path.display()))
    }
}

impl Files for Progress<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let content = self.files.read(path)?;
        self.note(path, content.len());
        Ok(content)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.files.list(path)
    }
    fn is_dir(&self, path: &Path) -> bool {
        self.files.is_dir(path)
    }
    fn exists(&self, path: &Path) -> bool {
        self.files.exists(path)
    }
    fn resolve(&self, name: &str) -> Option<IpAddr> {
        self.files.resolve(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_in_their_time() {
        let began = Instant::now();
        let mut shown = Shown::new(began);
        let mut read = |ms: u64, bytes: usize| {
            shown.read(began + Duration::from_millis(ms), Path::new("/x/a.pem"), bytes)
        };
        assert_eq!(read(499, 1 << 20), None);
        assert_eq!(read(500, 0).as_deref(), Some("\r\x1b[KLoading: 2 files, 1 MiB; /x/a.pem"));
        assert_eq!(read(699, 1), None);
        assert_eq!(read(700, 1).as_deref(), Some("\r\x1b[KLoading: 4 files, 1 MiB; /x/a.pem"));
        // a large one is shown while what is in it is looked at
        assert_eq!(read(701, LARGE).as_deref(), Some("\r\x1b[KLoading: 5 files, 5 MiB; /x/a.pem"));
    }
}
