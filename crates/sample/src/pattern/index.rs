//! The patterns of many tests of one sample together: which tests a value may match is found with a few lookups, however
//! many tests there are.

use super::strings::StrTable;
use super::{Method, Patterns, Set};
use crate::value::{Type, Value, embedded_v4};
use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Numbers of tests by their patterns.
#[derive(Clone, Debug, Default)]
pub struct Index {
    /// Whole strings, prefixes, suffixes; of each, those whose case matters and the others.
    whole: [Texts; 2],
    prefixes: [Texts; 2],
    suffixes: [Texts; 2],
    v4: Nets<u32>,
    v6: Nets<u128>,
    /// Some pattern is compared with a text, some with an address.
    text: bool,
    address: bool,
}

/// Texts by their length.
#[derive(Clone, Debug)]
struct Texts {
    /// Ascending.
    lengths: Vec<usize>,
    table: StrTable,
    /// By the table's values: ascending.
    tests: Vec<Vec<u32>>,
    fold: bool,
}

impl Default for Texts {
    fn default() -> Self {
        Self { lengths: Vec::new(), table: StrTable::new(false), tests: Vec::new(), fold: false }
    }
}

/// Networks by their mask.
#[derive(Clone, Debug)]
struct Nets<A>(Vec<(A, HashMap<A, Vec<u32>>)>);

impl<A> Default for Nets<A> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// The least number of an ascending list that is in this range.
fn least(list: &[u32], from: u32, to: u32) -> Option<u32> {
    list.get(list.partition_point(|n| *n < from)).copied().filter(|n| *n < to)
}

fn sooner(a: Option<u32>, b: Option<u32>) -> Option<u32> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

impl Texts {
    fn add(&mut self, text: &[u8], fold: bool, test: u32) {
        if self.tests.is_empty() {
            self.table = StrTable::new(fold);
            self.fold = fold;
        }
        let fresh = u32::try_from(self.tests.len()).unwrap_or(u32::MAX);
        if self.table.insert(text, fresh) {
            self.tests.push(Vec::new());
        }
        if let Err(at) = self.lengths.binary_search(&text.len()) {
            self.lengths.insert(at, text.len());
        }
        if let Some(list) = self.table.get(text).and_then(|i| self.tests.get_mut(i as usize)) {
            list.push(test);
        }
    }
    #[inline]
    fn get(&self, text: &[u8], from: u32, to: u32) -> Option<u32> {
        least(self.tests.get(self.table.get(text)? as usize)?, from, to)
    }
    /// Of the parts that `cut` makes of a text for each length.
    #[inline]
    fn parts<'t>(
        &self,
        text: &'t [u8],
        cut: fn(&'t [u8], usize) -> Option<&'t [u8]>,
        from: u32,
        to: u32,
    ) -> Option<u32> {
        let end = self.lengths.partition_point(|l| *l <= text.len());
        let lengths = self.lengths.get(..end).unwrap_or(&[]);
        lengths.iter().filter_map(|l| self.get(cut(text, *l)?, from, to)).min()
    }
}

impl<A: Copy + Eq + std::hash::Hash + std::ops::BitAnd<Output = A>> Nets<A> {
    fn add(&mut self, net: A, mask: A, test: u32) {
        let at = self.0.iter().position(|m| m.0 == mask).unwrap_or_else(|| {
            self.0.push((mask, HashMap::new()));
            self.0.len() - 1
        });
        if let Some((_, nets)) = self.0.get_mut(at) {
            nets.entry(net & mask).or_default().push(test);
        }
    }
    fn find(&self, address: A, from: u32, to: u32) -> Option<u32> {
        let of = |(mask, nets): &(A, HashMap<A, Vec<u32>>)| least(nets.get(&(address & *mask))?, from, to);
        self.0.iter().filter_map(of).min()
    }
}

/// What is looked up.
pub(crate) enum Pattern<'p> {
    /// A text, and whether its case does not matter.
    Text(&'p [u8], bool),
    /// A network and its mask.
    V4(u32, u32),
    /// A network and its mask.
    V6(u128, u128),
}

impl Patterns {
    /// Can its patterns be part of an index?
    #[must_use]
    pub fn indexable(&self) -> bool {
        self.files.is_empty()
            && match (&self.set, self.method) {
                (Set::Exact { .. }, Method::Str) | (Set::Nets(_), Method::Ip) => true,
                (Set::Parts(_), method) => matches!(method, Method::Beg | Method::End),
                _ => false,
            }
    }
}

impl Index {
    /// Adds the patterns of a test, which can be indexed. Tests come in the order of their numbers.
    pub fn add(&mut self, patterns: &Patterns, test: u32) {
        let tables = match patterns.method {
            Method::Beg => &mut self.prefixes,
            Method::End => &mut self.suffixes,
            _ => &mut self.whole,
        };
        let (v4, v6) = (&mut self.v4, &mut self.v6);
        let (mut text, mut address) = (false, false);
        patterns.each(&mut |p| match p {
            Pattern::Text(t, fold) => {
                text = true;
                if let Some(table) = tables.get_mut(usize::from(fold)) {
                    table.add(t, fold, test);
                }
            }
            Pattern::V4(net, mask) => {
                address = true;
                v4.add(net, mask, test);
            }
            Pattern::V6(net, mask) => {
                address = true;
                v6.add(net, mask, test);
            }
        });
        self.text |= text;
        self.address |= address;
    }

    /// The first test with a number in this range that may match the value.
    #[inline]
    #[must_use]
    pub fn first(&self, value: &Value<'_>, from: u32, to: u32) -> Option<u32> {
        let as_text = match value {
            _ if !self.text => None,
            Value::Str(t) | Value::Method(t) => self.text(t, from, to),
            other => other.clone().cast(Type::Str).and_then(|v| self.text(v.bytes()?, from, to)),
        };
        let as_address = match value {
            _ if !self.address => None,
            Value::V4(a) => self.by_v4(*a, from, to),
            Value::V6(a) => self.by_v6(*a, from, to),
            other => match other.clone().cast(Type::Addr) {
                Some(Value::V4(a)) => self.by_v4(a, from, to),
                Some(Value::V6(a)) => self.by_v6(a, from, to),
                _ => None,
            },
        };
        sooner(as_text, as_address)
    }

    fn text(&self, t: &[u8], from: u32, to: u32) -> Option<u32> {
        let whole = self.whole.iter().filter_map(|w| w.get(t, from, to)).min();
        let prefix = self.prefixes.iter().filter_map(|p| p.parts(t, |t, l| t.get(..l), from, to)).min();
        let suffix =
            self.suffixes.iter().filter_map(|s| s.parts(t, |t, l| t.get(t.len() - l..), from, to)).min();
        sooner(whole, sooner(prefix, suffix))
    }
    fn by_v4(&self, a: Ipv4Addr, from: u32, to: u32) -> Option<u32> {
        sooner(self.v4.find(a.into(), from, to), self.v6.find(a.to_ipv6_mapped().into(), from, to))
    }
    fn by_v6(&self, a: Ipv6Addr, from: u32, to: u32) -> Option<u32> {
        let embedded = embedded_v4(a).and_then(|a| self.v4.find(a.into(), from, to));
        sooner(self.v6.find(a.into(), from, to), embedded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(method: Method, words: &[&str], fold: bool) -> Patterns {
        let mut p = Patterns::new(method);
        words.iter().for_each(|w| p.add(w.as_bytes(), fold, false).unwrap());
        p.seal();
        p
    }

    #[test]
    fn the_first_test_that_may_match() {
        let mut index = Index::default();
        for (n, p) in [
            (0, patterns(Method::Str, &["a.example"], true)),
            (1, patterns(Method::Beg, &["a", "b."], false)),
            (3, patterns(Method::End, &[".example", ".EXAMPLE"], false)),
            (4, patterns(Method::Str, &["A.example", "10.1.2.3"], false)),
            (6, patterns(Method::Ip, &["10.0.0.0/8", "2001:db8::/32"], false)),
            (7, patterns(Method::Ip, &["10.1.0.0/16", "1.0.1.0/255.0.255.0"], false)),
            (9, patterns(Method::Str, &["a.example"], true)),
        ] {
            assert!(p.indexable());
            index.add(&p, n);
        }
        let first = |v: Value<'_>, from| index.first(&v, from, 100);
        assert_eq!(first(Value::str(b"A.EXAMPLE"), 0), Some(0));
        assert_eq!(first(Value::str(b"A.EXAMPLE"), 1), Some(3));
        assert_eq!(first(Value::str(b"A.example"), 4), Some(4));
        assert_eq!(first(Value::str(b"a.example"), 5), Some(9));
        assert_eq!(first(Value::str(b"c"), 0), None);
        assert_eq!(first(Value::V4([10, 1, 2, 3].into()), 0), Some(4));
        assert_eq!(first(Value::V4([10, 1, 2, 3].into()), 5), Some(6));
        assert_eq!(first(Value::V4([10, 1, 2, 3].into()), 7), Some(7));
        assert_eq!(first(Value::V4([1, 7, 1, 9].into()), 0), Some(7));
        assert_eq!(first(Value::str(b"10.9.9.9"), 0), Some(6));
        assert_eq!(first(Value::V6("::ffff:10.2.3.4".parse().unwrap()), 0), Some(6));
        assert_eq!(index.first(&Value::str(b"a.example"), 5, 9), None);
    }
}
