//! Prefixes, suffixes, substrings and parts between delimiters. What is looked up costs by the length of the text and
//! the number of different lengths of patterns, never by the number of patterns.

use super::strings::StrTable;
use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};

/// Which part of a string is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Its beginning; the longest pattern is found.
    Beg,
    /// Its end; the first pattern is found, as with all that follow.
    End,
    /// Anywhere.
    Sub,
    /// Between slashes.
    Dir,
    /// Between `.`, `:`, `/` and `?`.
    Dom,
}

/// Patterns by their length.
#[derive(Clone, Debug)]
struct ByLength {
    /// Ascending.
    lengths: Vec<usize>,
    table: StrTable,
}

impl ByLength {
    fn new(fold: bool) -> Self {
        Self { lengths: Vec::new(), table: StrTable::new(fold) }
    }
    fn add(&mut self, text: &[u8], index: u32) {
        if let Err(at) = self.lengths.binary_search(&text.len()) {
            self.lengths.insert(at, text.len());
        }
        self.table.insert(text, index);
    }
    /// Lengths that fit into so many bytes, longest first.
    fn fitting(&self, room: usize) -> impl Iterator<Item = usize> + '_ {
        let end = self.lengths.partition_point(|l| *l <= room);
        self.lengths.iter().take(end).rev().copied()
    }
    fn prefix(&self, s: &[u8]) -> Option<(usize, u32)> {
        self.fitting(s.len()).find_map(|l| Some((l, self.table.get(s.get(..l)?)?)))
    }
    fn suffix(&self, s: &[u8]) -> Option<u32> {
        self.fitting(s.len()).filter_map(|l| self.table.get(s.get(s.len() - l..)?)).min()
    }
    /// With a delimiter, or the end, on both sides.
    fn between(&self, s: &[u8], delimiter: fn(u8) -> bool) -> Option<u32> {
        let boundary = |at: usize| s.get(at).is_none_or(|b| delimiter(*b));
        let starts = (0..s.len()).filter(|i| *i == 0 || s.get(i - 1).is_some_and(|b| delimiter(*b)));
        starts
            .filter_map(|i| {
                let rest = s.get(i..)?;
                self.fitting(rest.len())
                    .filter(|l| *l > 0 && boundary(i + l))
                    .filter_map(|l| self.table.get(rest.get(..l)?))
                    .min()
            })
            .min()
    }
}

/// Substrings: a list while there are few of them, an automaton when there are more.
#[derive(Clone, Debug)]
struct Substrings {
    fold: bool,
    list: Vec<(Box<[u8]>, u32)>,
    automaton: Option<AhoCorasick>,
}

/// From so many substrings on, an automaton is made.
const MANY: usize = 6;

impl Substrings {
    fn find(&self, s: &[u8]) -> Option<u32> {
        if let Some(a) = &self.automaton {
            let hits = a.find_overlapping_iter(s);
            return hits.filter_map(|m| self.list.get(m.pattern().as_usize())).map(|l| l.1).min();
        }
        self.list.iter().find(|(p, _)| contains(s, p, self.fold)).map(|l| l.1)
    }
    /// To be called when all are there.
    fn seal(&mut self) {
        self.automaton = if self.list.len() >= MANY {
            AhoCorasickBuilder::new()
                .match_kind(MatchKind::Standard)
                .ascii_case_insensitive(self.fold)
                .build(self.list.iter().map(|l| &l.0))
                .ok()
        } else {
            None
        };
    }
}

fn contains(s: &[u8], p: &[u8], fold: bool) -> bool {
    let Some(first) = p.first() else { return true };
    (0..=s.len().saturating_sub(p.len())).any(|i| {
        s.get(i..i + p.len()).is_some_and(|w| {
            if fold { w.eq_ignore_ascii_case(p) } else { w.first() == Some(first) && w == p }
        })
    })
}

/// Patterns that a part of the string must equal; those whose case matters, and the others.
#[derive(Clone, Debug)]
pub struct Parts {
    part: Part,
    tables: [ByLength; 2],
    substrings: [Substrings; 2],
}

impl Parts {
    /// None yet.
    #[must_use]
    pub fn new(part: Part) -> Self {
        let substrings = |fold| Substrings { fold, list: Vec::new(), automaton: None };
        Self {
            part,
            tables: [ByLength::new(false), ByLength::new(true)],
            substrings: [substrings(false), substrings(true)],
        }
    }
    /// Adds a pattern; `fold`: case does not matter.
    pub fn add(&mut self, text: &[u8], fold: bool, index: u32) {
        let text = match self.part {
            Part::Dir => trim(text, dir),
            Part::Dom => trim(text, dom),
            _ => text,
        };
        let which = usize::from(fold);
        if self.part == Part::Sub {
            if let Some(s) = self.substrings.get_mut(which) {
                s.list.push((text.into(), index));
                s.automaton = None;
            }
        } else if let Some(t) = self.tables.get_mut(which) {
            t.add(text, index);
        }
    }
    /// Each pattern, but substrings.
    pub(super) fn each(&self, f: &mut dyn FnMut(super::index::Pattern<'_>)) {
        for (table, fold) in self.tables.iter().zip([false, true]) {
            table.table.keys().for_each(|k| f(super::index::Pattern::Text(k, fold)));
        }
    }
    /// Makes the structures that many patterns need; to be called when patterns were added.
    pub fn seal(&mut self) {
        self.substrings.iter_mut().for_each(Substrings::seal);
    }
    /// The pattern that matches.
    #[inline]
    #[must_use]
    pub fn find(&self, s: &[u8]) -> Option<u32> {
        let [exact, folded] = &self.tables;
        let least = |a: Option<u32>, b: Option<u32>| match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        match self.part {
            Part::Beg => match (exact.prefix(s), folded.prefix(s)) {
                (Some(a), Some(b)) => Some(if b.0 > a.0 { b.1 } else { a.1 }),
                (a, b) => a.or(b).map(|p| p.1),
            },
            Part::End => least(exact.suffix(s), folded.suffix(s)),
            Part::Sub => least(self.substrings[0].find(s), self.substrings[1].find(s)),
            Part::Dir => least(exact.between(s, dir), folded.between(s, dir)),
            Part::Dom => least(exact.between(s, dom), folded.between(s, dom)),
        }
    }
    /// Does any match?
    #[inline]
    #[must_use]
    pub fn matches(&self, s: &[u8]) -> bool {
        self.find(s).is_some()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(part: Part, p: &str, s: &str) -> bool {
        let mut parts = Parts::new(part);
        parts.add(p.as_bytes(), false, 0);
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
    fn many_substrings_are_found_by_an_automaton() {
        let mut parts = Parts::new(Part::Sub);
        for i in 0..100u32 {
            parts.add(format!("word{i}x").as_bytes(), true, i);
        }
        assert_eq!(parts.find(b"a WORD42X b"), Some(42));
        parts.seal();
        assert_eq!(parts.find(b"a word99X, Word7x b"), Some(7));
        assert_eq!(parts.find(b"a word100x b"), None);
    }
}
