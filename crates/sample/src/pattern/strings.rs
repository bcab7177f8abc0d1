//! Sets of exact strings.

/// A table from strings to numbers, hashed with or without regard to case. The keys come from the configuration, so
/// that nobody outside can make them collide.
#[derive(Clone, Debug)]
pub struct StrTable {
    fold: bool,
    /// (key, value, next of the same bucket + 1)
    entries: Vec<(Box<[u8]>, u32, u32)>,
    /// First entry + 1 of each bucket; a power of two of them.
    buckets: Vec<u32>,
    shortest: usize,
    longest: usize,
}

/// The value of an entry that was removed.
const GONE: u32 = u32::MAX;

#[inline]
fn hash(fold: bool, key: &[u8]) -> u64 {
    // folding by bit 5 makes other pairs of characters collide too; comparing tells them apart
    let or = if fold { 0x2020_2020_2020_2020 } else { 0 };
    let mut h = key.len() as u64;
    let mut chunks = key.chunks_exact(8);
    let mut mix = |word: u64| h = (h.rotate_left(5) ^ (word | or)).wrapping_mul(0x517c_c1b7_2722_0a95);
    for c in &mut chunks {
        mix(c.iter().rev().fold(0, |w, b| w << 8 | u64::from(*b)));
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        mix(rest.iter().rev().fold(0, |w, b| w << 8 | u64::from(*b)));
    }
    h ^ (h >> 32)
}

impl StrTable {
    /// Empty; `fold`: case does not matter.
    #[must_use]
    pub fn new(fold: bool) -> Self {
        Self { fold, entries: Vec::new(), buckets: Vec::new(), shortest: usize::MAX, longest: 0 }
    }
    /// How many keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }
    /// None?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
    /// The keys, in the order in which they came.
    pub fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.entries.iter().map(|e| &*e.0)
    }
    /// Adds a key; one that is there already keeps its value. True: it is new.
    pub fn insert(&mut self, key: &[u8], value: u32) -> bool {
        if self.get(key).is_some() {
            return false;
        }
        self.shortest = self.shortest.min(key.len());
        self.longest = self.longest.max(key.len());
        self.entries.push((key.into(), value, 0));
        if self.entries.len() > self.buckets.len() {
            self.grow();
        } else {
            self.link(self.entries.len() - 1);
        }
        true
    }
    fn grow(&mut self) {
        let size = (self.entries.len() * 2).next_power_of_two();
        self.buckets = vec![0; size];
        for i in 0..self.entries.len() {
            if self.entries.get(i).is_some_and(|e| e.1 == GONE) {
                continue;
            }
            self.link(i);
        }
    }
    fn link(&mut self, i: usize) {
        let mask = self.buckets.len() - 1;
        let Some(entry) = self.entries.get_mut(i) else { return };
        if let Some(b) = self.buckets.get_mut(hash(self.fold, &entry.0) as usize & mask) {
            entry.2 = *b;
            *b = i as u32 + 1;
        }
    }
    #[inline]
    fn same(&self, a: &[u8], b: &[u8]) -> bool {
        a.len() == b.len() && if self.fold { a.eq_ignore_ascii_case(b) } else { a == b }
    }
    /// Removes a key; true: it was there. Its place is not used again.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        let bucket = hash(self.fold, key) as usize & self.buckets.len().wrapping_sub(1);
        let mut before = None;
        let mut at = self.buckets.get(bucket).copied().unwrap_or(0);
        while let Some(e) = self.entries.get((at as usize).wrapping_sub(1)) {
            if self.same(&e.0, key) {
                break;
            }
            (before, at) = (Some(at as usize - 1), e.2);
        }
        let Some(e) = self.entries.get_mut((at as usize).wrapping_sub(1)) else { return false };
        let next = std::mem::replace(e, (Box::default(), GONE, 0)).2;
        match before.and_then(|b| self.entries.get_mut(b)) {
            Some(e) => e.2 = next,
            None => {
                if let Some(b) = self.buckets.get_mut(bucket) {
                    *b = next;
                }
            }
        }
        true
    }
    /// The value of this key.
    #[inline]
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<u32> {
        if key.len() < self.shortest || key.len() > self.longest {
            return None;
        }
        if self.entries.len() <= 4 {
            return self.entries.iter().find(|e| e.1 != GONE && self.same(&e.0, key)).map(|e| e.1);
        }
        let bucket = hash(self.fold, key) as usize & (self.buckets.len() - 1);
        let mut at = self.buckets.get(bucket).copied().unwrap_or(0);
        while let Some(e) = self.entries.get((at as usize).wrapping_sub(1)) {
            if self.same(&e.0, key) {
                return Some(e.1);
            }
            at = e.2;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_of_many_keys() {
        let mut t = StrTable::new(true);
        for i in 0..1000u32 {
            assert!(t.insert(format!("h{i}.Example.com").as_bytes(), i));
        }
        assert!(!t.insert(b"H7.EXAMPLE.COM", 5));
        assert_eq!(t.get(b"H999.eXample.com"), Some(999));
        assert_eq!(t.get(b"h1000.example.com"), None);
        assert_eq!(t.get(b"h7-example.com"), None);
        assert!(t.remove(b"H7.example.com") && !t.remove(b"h7.example.com"));
        assert_eq!((t.get(b"h7.example.com"), t.get(b"h8.example.com")), (None, Some(8)));
        let mut exact = StrTable::new(false);
        for k in ["a", "b", "c", "d", "e", "longer than eight"] {
            exact.insert(k.as_bytes(), 1);
        }
        assert!(exact.get(b"A").is_none() && exact.get(b"e").is_some());
        assert!(exact.get(b"longer than eight").is_some());
    }
}
