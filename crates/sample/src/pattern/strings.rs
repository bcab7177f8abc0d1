//! Sets of strings: exact ones in a hash table, parts in lists.

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
    /// The value of this key.
    #[inline]
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<u32> {
        if key.len() < self.shortest || key.len() > self.longest {
            return None;
        }
        if self.entries.len() <= 4 {
            return self.entries.iter().find(|e| self.same(&e.0, key)).map(|e| e.1);
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

/// Which part of a string is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Its beginning.
    Beg,
    /// Its end.
    End,
    /// Anywhere.
    Sub,
    /// Between slashes.
    Dir,
    /// Between `.`, `:`, `/` and `?`.
    Dom,
}

/// Patterns that a part of the string must equal.
#[derive(Clone, Debug)]
pub struct Parts {
    part: Part,
    list: Vec<(Box<[u8]>, bool)>,
}

impl Parts {
    /// None yet.
    #[must_use]
    pub fn new(part: Part) -> Self {
        Self { part, list: Vec::new() }
    }
    /// Adds a pattern; `fold`: case does not matter.
    pub fn add(&mut self, text: &[u8], fold: bool) {
        let text = match self.part {
            Part::Dir => trim(text, dir),
            Part::Dom => trim(text, dom),
            _ => text,
        };
        self.list.push((text.into(), fold));
    }
    /// Does any match?
    #[inline]
    #[must_use]
    pub fn matches(&self, s: &[u8]) -> bool {
        self.list.iter().any(|(p, fold)| {
            p.len() <= s.len()
                && match self.part {
                    Part::Beg => s.get(..p.len()).is_some_and(|h| same(h, p, *fold)),
                    Part::End => s.get(s.len() - p.len()..).is_some_and(|h| same(h, p, *fold)),
                    Part::Sub => find(s, p, *fold, |_| true, |_| true),
                    Part::Dir => !p.is_empty() && between(s, p, *fold, dir),
                    Part::Dom => !p.is_empty() && between(s, p, *fold, dom),
                }
        })
    }
}

fn dir(b: u8) -> bool {
    b == b'/'
}
fn dom(b: u8) -> bool {
    matches!(b, b'.' | b':' | b'/' | b'?')
}
fn trim(text: &[u8], delimiter: fn(u8) -> bool) -> &[u8] {
    let Some(start) = text.iter().position(|b| !delimiter(*b)) else { return &[] };
    let end = text.iter().rposition(|b| !delimiter(*b)).map_or(start, |i| i + 1);
    text.get(start..end).unwrap_or(&[])
}
#[inline]
fn same(a: &[u8], b: &[u8], fold: bool) -> bool {
    if fold { a.eq_ignore_ascii_case(b) } else { a == b }
}
/// Is `p` in `s` with the start of string or a delimiter before it, and the end or a delimiter behind it?
fn between(s: &[u8], p: &[u8], fold: bool, delimiter: fn(u8) -> bool) -> bool {
    find(s, p, fold, |before| before.is_none_or(delimiter), |after| after.is_none_or(delimiter))
}
fn find(
    s: &[u8],
    p: &[u8],
    fold: bool,
    before: impl Fn(Option<u8>) -> bool,
    after: impl Fn(Option<u8>) -> bool,
) -> bool {
    let Some(first) = p.first() else { return true };
    (0..=s.len().saturating_sub(p.len())).any(|i| {
        s.get(i..i + p.len()).is_some_and(|w| {
            (w.first() == Some(first) || fold)
                && same(w, p, fold)
                && before(i.checked_sub(1).and_then(|j| s.get(j).copied()))
                && after(s.get(i + p.len()).copied())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(part: Part, p: &str, s: &str) -> bool {
        let mut parts = Parts::new(part);
        parts.add(p.as_bytes(), false);
        parts.matches(s.as_bytes())
    }

    #[test]
    fn the_manuals_examples_of_dir_and_dom() {
        let path = "/images/png/logo/32x32.png";
        for p in ["/images", "/images/png", "images/png", "/png/logo", "logo/32x32.png", "32x32.png"] {
            assert!(hit(Part::Dir, p, path), "{p}");
        }
        assert!(!hit(Part::Dir, "png/", "/x.png"));
        for p in ["32x32", "imag"] {
            assert!(!hit(Part::Dir, p, path), "{p}");
        }
        let url = "http://www1.dc-eu.example.com:80/blah";
        for p in [
            "http",
            "www1",
            ".www1",
            "dc-eu",
            "example",
            "com",
            "80",
            "dc-eu.example",
            "blah",
            ":www1:",
            "com:80",
        ] {
            assert!(hit(Part::Dom, p, url), "{p}");
        }
        for p in ["eu", "dc", "dc-eu.example:80"] {
            assert!(!hit(Part::Dom, p, url), "{p}");
        }
        assert!(hit(Part::Sub, "dc-", url) && hit(Part::Beg, "http:", url) && hit(Part::End, "blah", url));
        assert!(!hit(Part::End, "xblah", url) && !hit(Part::Beg, "https", url));
    }

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
        let mut exact = StrTable::new(false);
        for k in ["a", "b", "c", "d", "e", "longer than eight"] {
            exact.insert(k.as_bytes(), 1);
        }
        assert!(exact.get(b"A").is_none() && exact.get(b"e").is_some());
        assert!(exact.get(b"longer than eight").is_some());
    }
}
