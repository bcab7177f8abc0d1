//! Short entries in pairs of lines of the processor's cache: whole strings of a large list are found by looking at one place
//! in memory, which is what a lookup among a million costs.

use portcullis_sys::memory::prefer_large_pages;

/// Two lines of the cache that are neighbours come together.
const SIZE: usize = 128;
/// What stands before a line's records: bytes in use, and whether more is known elsewhere.
const HEAD: usize = 2;
/// A list with fewer entries stays in the cache by itself.
const FEW: usize = 4096;
/// If records are longer than this on average, too few are in a line.
const LONG: usize = 60;
/// Lines have room for so many times what is put into them.
const ROOM: usize = 2;

/// A line of the cache: records of a key's length, a value's, key and value.
#[repr(align(128))]
#[derive(Clone, Debug)]
struct Line([u8; SIZE]);

/// What a line knows of a key.
#[derive(Debug, PartialEq, Eq)]
pub enum Known<'a> {
    /// Its value.
    Value(&'a [u8]),
    /// That there is none.
    Nothing,
    /// That somebody else must be asked.
    Elsewhere,
}

impl Line {
    const EMPTY: Self = {
        let mut bytes = [0; SIZE];
        bytes[0] = HEAD as u8;
        Self(bytes)
    };
    fn used(&self) -> usize {
        usize::from(self.0[0])
    }
    fn elsewhere(&self) -> bool {
        self.0[1] != 0
    }
    /// Where the record of a key is, and its value.
    #[inline]
    fn find(&self, wanted: &[u8]) -> Option<(usize, &[u8])> {
        let mut rest = self.0.get(HEAD..self.used())?;
        while let [key, value, behind @ ..] = rest {
            let at = self.used() - rest.len();
            let (key, behind) = behind.split_at_checked(usize::from(*key))?;
            let (value, behind) = behind.split_at_checked(usize::from(*value))?;
            if key == wanted {
                return Some((at, value));
            }
            rest = behind;
        }
        None
    }
    /// Of several with the same key the first counts. What has no room is elsewhere, and so is what comes behind it.
    fn put(&mut self, key: &[u8], value: &[u8]) {
        if self.elsewhere() || self.find(key).is_some() {
            return;
        }
        let (from, len) = (self.used(), 2 + key.len() + value.len());
        match self.0.get_mut(from..from + len) {
            Some(room) => {
                room[..2].copy_from_slice(&[key.len() as u8, value.len() as u8]);
                let (k, v) = room[2..].split_at_mut(key.len());
                k.copy_from_slice(key);
                v.copy_from_slice(value);
                self.0[0] = (from + len) as u8;
            }
            None => self.0[1] = 1,
        }
    }
    fn forget(&mut self, key: &[u8]) {
        if let Some((at, value)) = self.find(key) {
            let end = at + 2 + key.len() + value.len();
            let used = self.used();
            self.0.copy_within(end..used, at);
            self.0[0] = (used - (end - at)) as u8;
        }
        self.0[1] = 1;
    }
}

/// The lines of a list; none: it is small, or its entries are long.
#[derive(Clone, Debug, Default)]
pub struct Lines(Vec<Line>);

impl Lines {
    /// Of these keys and values, in the order in which they count.
    pub fn of<'a, I: Iterator<Item = (&'a [u8], &'a [u8])>>(
        hash: impl Fn(&[u8]) -> u32,
        all: impl Fn() -> I,
    ) -> Self {
        let size = |(n, bytes): (usize, usize), (key, value): (&[u8], &[u8])| {
            (n + 1, bytes + 2 + key.len() + value.len())
        };
        let (count, bytes) = all().fold((0, 0), size);
        if count < FEW || bytes > count * LONG {
            return Self::default();
        }
        let count = bytes * ROOM / SIZE;
        let mut lines = Vec::with_capacity(count);
        prefer_large_pages(lines.spare_capacity_mut());
        lines.resize(count, Line::EMPTY);
        let mut lines = Self(lines);
        all().for_each(|(key, value)| lines.put(hash(key), key, value));
        lines
    }
    fn place(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.0.len() as u64) >> 32) as usize
    }
    /// What is known of a key.
    #[inline]
    pub fn find(&self, hash: u32, key: &[u8]) -> Known<'_> {
        match self.0.get(self.place(hash)) {
            None => Known::Elsewhere,
            Some(line) => match line.find(key) {
                Some((_, value)) => Known::Value(value),
                None if line.elsewhere() => Known::Elsewhere,
                None => Known::Nothing,
            },
        }
    }
    /// An entry has come.
    pub fn put(&mut self, hash: u32, key: &[u8], value: &[u8]) {
        let place = self.place(hash);
        if let Some(line) = self.0.get_mut(place) {
            line.put(key, value);
        }
    }
    /// Entries with this key have changed or gone.
    pub fn forget(&mut self, hash: u32, key: &[u8]) {
        let place = self.place(hash);
        if let Some(line) = self.0.get_mut(place) {
            line.forget(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(key: &[u8]) -> u32 {
        key.iter().fold(17u32, |h, b| (h ^ u32::from(*b)).wrapping_mul(0x0100_0193)).wrapping_mul(0x9E37_79B9)
    }

    #[test]
    fn first_values_are_found_or_somebody_else_is_asked() {
        let mut all: Vec<(Vec<u8>, Vec<u8>)> = (0..20_000u32)
            .map(|i| (format!("key {}", i % 15_000).into_bytes(), vec![b'v'; i as usize % 30]))
            .collect();
        all.push((vec![b'k'; 300], b"long".to_vec()));
        all.push((b"long".to_vec(), vec![b'v'; 300]));
        let mut lines = Lines::of(hash, || all.iter().map(|(k, v)| (&**k, &**v)));
        let mut elsewhere = 0;
        for (i, (key, _)) in all.iter().enumerate() {
            let first = all.iter().take(i + 1).position(|(k, _)| k == key).map(|i| &all[i].1);
            match lines.find(hash(key), key) {
                Known::Value(v) => assert_eq!(Some(v), first.map(|v| &**v)),
                Known::Elsewhere => elsewhere += 1,
                Known::Nothing => panic!("{}", key.escape_ascii()),
            }
            if i % 400 == 0 {
                assert_ne!(lines.find(hash(b"none"), b"none"), Known::Value(b""));
            }
        }
        assert!(elsewhere < all.len() / 3, "{elsewhere}");
        for (key, _) in all.iter().step_by(7) {
            lines.forget(hash(key), key);
            assert_eq!(lines.find(hash(key), key), Known::Elsewhere);
        }
        for i in 0..100u32 {
            let key = format!("new {i}").into_bytes();
            lines.put(hash(&key), &key, b"new");
            assert_ne!(lines.find(hash(&key), &key), Known::Nothing);
        }
    }

    #[test]
    fn small_lists_have_none() {
        let lines = Lines::of(hash, || [(&b"a"[..], &b"b"[..])].into_iter());
        assert_eq!(lines.find(hash(b"a"), b"a"), Known::Elsewhere);
    }
}
