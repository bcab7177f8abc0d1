//! The bytes of a ring: in memory, or in a file that survives the process (`backing-file`, manual section 12.5).

use portcullis_sys::mapping::Mapping;
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What a file begins with: this, then in eight bytes each (little endian) how many bytes the ring has, where its oldest
/// event is and where the next one will be; behind them the ring itself.
const MAGIC: &[u8; 8] = b"PCRING1\n";
/// Bytes of all that.
const HEAD: usize = 32;

/// Bytes in a circle: place `n` is byte `n` modulo their number.
#[derive(Debug)]
pub(super) enum Store {
    Memory(Box<[u8]>),
    File(Mapping),
}

impl Store {
    pub(super) fn memory(size: usize) -> Self {
        Self::Memory(vec![0; size].into())
    }

    /// A file of this size; one that is there and not empty becomes `<path>.bak`, if it can.
    pub(super) fn file(path: &Path, size: usize) -> io::Result<Self> {
        if std::fs::metadata(path).is_ok_and(|m| m.len() > 0) {
            let mut old = path.as_os_str().to_owned();
            old.push(".bak");
            let _ = std::fs::rename(path, PathBuf::from(old));
        }
        let file =
            File::options().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)?;
        let mut mapping = Mapping::of(&file, size.max(HEAD + 1))?;
        let length = (mapping.bytes().len() - HEAD) as u64;
        if let Some((magic, numbers)) = mapping.bytes_mut().split_first_chunk_mut() {
            *magic = *MAGIC;
            numbers.iter_mut().zip(length.to_le_bytes()).for_each(|(to, from)| *to = from);
        }
        Ok(Self::File(mapping))
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Memory(bytes) => bytes,
            Self::File(mapping) => mapping.bytes().get(HEAD..).unwrap_or_default(),
        }
    }
    fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Memory(bytes) => bytes,
            Self::File(mapping) => mapping.bytes_mut().get_mut(HEAD..).unwrap_or_default(),
        }
    }
    pub(super) fn len(&self) -> usize {
        self.bytes().len()
    }

    /// Where a place is. A ring of no bytes is never asked.
    fn at(&self, place: u64) -> usize {
        (place % (self.len() as u64).max(1)) as usize
    }

    /// The bytes from a place on, in two parts.
    pub(super) fn slices(&self, place: u64, len: usize) -> [&[u8]; 2] {
        let at = self.at(place);
        let (start, behind) = self.bytes().split_at(at);
        let head = behind.get(..len).unwrap_or(behind);
        [head, start.get(..len - head.len()).unwrap_or_default()]
    }

    /// Writes from a place on.
    pub(super) fn put(&mut self, place: u64, bytes: &[u8]) {
        let at = self.at(place);
        let (start, behind) = self.bytes_mut().split_at_mut(at);
        let (head, tail) = bytes.split_at(bytes.len().min(behind.len()));
        for (to, from) in [(behind, head), (start, tail)] {
            if let Some(to) = to.get_mut(..from.len()) {
                to.copy_from_slice(from);
            }
        }
    }

    /// Tells who will look at the file where its events are.
    pub(super) fn note(&mut self, first: u64, next: u64) {
        if let Self::File(mapping) = self {
            let places = first.to_le_bytes().into_iter().chain(next.to_le_bytes());
            mapping.bytes_mut().iter_mut().skip(16).zip(places).for_each(|(to, from)| *to = from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_in_a_circle() {
        let mut store = Store::memory(5);
        store.put(3, b"abc");
        assert_eq!(store.slices(3, 3), [&b"ab"[..], b"c"]);
        assert_eq!(store.slices(8, 1), [&b"a"[..], b""]);
    }

    #[test]
    fn a_file_keeps_its_events_and_the_one_before_it() {
        let path = std::env::temp_dir().join(format!("store-{}", std::process::id()));
        let old = path.with_extension("bak");
        std::fs::write(&path, "older").unwrap();
        let mut store = Store::file(&path, 132).unwrap();
        assert_eq!(store.len(), 100);
        store.put(0, b"event");
        store.note(0, 5);
        drop(store);
        let text = std::fs::read(&path).unwrap();
        assert_eq!(std::fs::read(&old).unwrap(), b"older");
        assert!(
            text.starts_with(b"PCRING1\n\x64\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0event"),
            "{text:?}"
        );
        [path, old].iter().for_each(|p| std::fs::remove_file(p).unwrap());
    }
}
