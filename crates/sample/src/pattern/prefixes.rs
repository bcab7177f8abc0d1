//! Prefixes of addresses, as numbers: the longest that an address has is found by one step to the addresses that begin
//! with the same 16 bits and a binary search among their ranges, however many prefixes there are. What a search reads
//! stands close together (100,000 networks of IPv4: 700 KB, which a core's cache holds) and apart from what only the
//! answer needs.

use hashbrown::HashTable;
use std::ops::{BitAnd, Not};

/// An IPv4 address, or an IPv6 one.
pub trait Address:
    Copy + Ord + Default + Into<u128> + BitAnd<Output = Self> + Not<Output = Self> + std::fmt::Debug
{
    /// What is behind its first 16 bits.
    type Rest: Copy + Ord + Default + std::fmt::Debug;
    /// Its first 16 bits.
    fn top(self) -> usize;
    /// The others.
    fn rest(self) -> Self::Rest;
    /// Of so many leading ones.
    fn mask(bits: u8) -> Self;
    /// The next one.
    fn next(self) -> Option<Self>;
}

impl Address for u32 {
    type Rest = u16;
    fn top(self) -> usize {
        (self >> 16) as usize
    }
    fn rest(self) -> u16 {
        self as u16
    }
    fn mask(bits: u8) -> Self {
        u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0)
    }
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl Address for u128 {
    type Rest = u128;
    fn top(self) -> usize {
        (self >> 112) as usize
    }
    fn rest(self) -> u128 {
        self
    }
    fn mask(bits: u8) -> Self {
        u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0)
    }
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

/// A prefix with its number.
#[derive(Clone, Copy, Debug)]
struct Prefix<A> {
    net: A,
    bits: u8,
    index: u32,
}

/// From fewer ranges no table of the first 16 bits is made.
const FEW: usize = 1024;
/// Prefixes that may be added before the ranges have to be made anew.
const LOOSE: usize = 256;

/// Ranges of addresses that have the same longest prefix.
#[derive(Clone, Debug)]
struct Ranges<A: Address> {
    /// Where each begins, if there are few.
    starts: Vec<A>,
    /// The same without the first 16 bits, if there are many.
    near: Vec<A::Rest>,
    /// By the first 16 bits: how many ranges begin before.
    tops: Vec<u32>,
    /// Which ranges have a prefix, a bit each, if there are many.
    covered: Vec<u64>,
    /// The prefix of each range: its length and number.
    found: Vec<Option<(u8, u32)>>,
}

impl<A: Address> Default for Ranges<A> {
    fn default() -> Self {
        Self {
            starts: Vec::new(),
            near: Vec::new(),
            tops: Vec::new(),
            covered: Vec::new(),
            found: Vec::new(),
        }
    }
}

/// Prefixes of one family.
#[derive(Clone, Debug, Default)]
pub struct Prefixes<A: Address> {
    all: Vec<Prefix<A>>,
    /// Of the first `sealed` of them.
    ranges: Ranges<A>,
    sealed: usize,
    /// The others by their length, longest first.
    more: Vec<(u8, HashTable<(A, u32)>)>,
}

fn hash(net: impl Into<u128>) -> u64 {
    let net: u128 = net.into();
    let folded = (net as u64 ^ (net >> 64) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    folded ^ folded >> 29
}

impl<A: Address> Ranges<A> {
    fn of(all: &[Prefix<A>]) -> Self {
        let mut sorted = all.to_vec();
        // the first of several that are the same stays
        sorted.sort_by_key(|p| (p.net, p.bits));
        sorted.dedup_by_key(|p| (p.net, p.bits));
        let mut ranges = Self::default();
        // prefixes that the current address has, shortest first, with their last addresses
        let mut open: Vec<(A, Prefix<A>)> = Vec::new();
        let close = |ranges: &mut Self, open: &mut Vec<(A, Prefix<A>)>, before: Option<A>| {
            while let Some((last, _)) = open.last().filter(|(last, _)| before.is_none_or(|b| *last < b)) {
                let next = last.next();
                open.pop();
                if let Some(next) = next {
                    ranges.begin(next, open.last().map(|(_, p)| (p.bits, p.index)));
                }
            }
        };
        for p in sorted {
            close(&mut ranges, &mut open, Some(p.net));
            ranges.begin(p.net, Some((p.bits, p.index)));
            let past: A = !A::mask(p.bits);
            // the net's bits are 0 where those of `past` are 1
            open.push((!(!p.net & !past), p));
        }
        close(&mut ranges, &mut open, None);
        if ranges.starts.len() >= FEW {
            let starts = std::mem::take(&mut ranges.starts);
            let before = |top: usize| starts.partition_point(|s| s.top() < top) as u32;
            ranges.tops = (0..=1 << 16).map(before).collect();
            ranges.near = starts.iter().map(|s| s.rest()).collect();
            let bits = |some: &[Option<(u8, u32)>]| {
                some.iter().rev().fold(0, |bits, f| bits << 1 | u64::from(f.is_some()))
            };
            ranges.covered = ranges.found.chunks(64).map(bits).collect();
        }
        ranges
    }
    fn begin(&mut self, at: A, found: Option<(u8, u32)>) {
        if self.starts.last() == Some(&at) {
            self.starts.pop();
            self.found.pop();
        }
        if self.found.last().copied().flatten() != found {
            self.starts.push(at);
            self.found.push(found);
        }
    }
    /// Which range this address is in, if that has a prefix.
    #[inline]
    fn find(&self, x: A) -> Option<usize> {
        if let (Some(from), Some(to)) = (self.tops.get(x.top()), self.tops.get(x.top() + 1)) {
            let among = self.near.get(*from as usize..*to as usize)?;
            let rest = x.rest();
            let at = (*from as usize + among.partition_point(|r| *r <= rest)).checked_sub(1)?;
            return self.covered.get(at / 64).filter(|bits| *bits >> (at % 64) & 1 == 1).map(|_| at);
        }
        let at = self.starts.partition_point(|s| *s <= x).checked_sub(1)?;
        self.found.get(at).filter(|f| f.is_some()).map(|_| at)
    }
    /// The prefix of a range: its length and number.
    fn prefix(&self, at: usize) -> Option<(u8, u32)> {
        self.found.get(at).copied().flatten()
    }
}

impl<A: Address> Prefixes<A> {
    /// The longest prefix that this address has.
    #[inline]
    pub fn find(&self, x: A) -> Option<u32> {
        let sealed = self.ranges.find(x).and_then(|at| self.ranges.prefix(at));
        if self.more.is_empty() {
            return sealed.map(|(_, index)| index);
        }
        let least = sealed.map_or(0, |(bits, _)| bits);
        let more = self.more.iter().take_while(|(bits, _)| sealed.is_none() || *bits > least);
        let find = |(bits, nets): &(u8, HashTable<(A, u32)>)| {
            let net = x & A::mask(*bits);
            nets.find(hash(net), |(n, _)| *n == net).map(|(_, index)| *index)
        };
        { more }.find_map(find).or(sealed.map(|(_, index)| index))
    }
    /// Does the address have any of the prefixes?
    #[inline]
    pub fn has(&self, x: A) -> bool {
        self.ranges.find(x).is_some() || !self.more.is_empty() && self.find(x).is_some()
    }
    /// Adds a prefix; of several that are the same the first counts.
    pub fn add(&mut self, net: A, bits: u8, index: u32) {
        let net = net & A::mask(bits);
        self.all.push(Prefix { net, bits, index });
        let at = self.more.partition_point(|(b, _)| *b > bits);
        if self.more.get(at).is_none_or(|(b, _)| *b != bits) {
            self.more.insert(at, (bits, HashTable::new()));
        }
        let Some((_, nets)) = self.more.get_mut(at) else { return };
        if nets.find(hash(net), |(n, _)| *n == net).is_none() {
            nets.insert_unique(hash(net), (net, index), |(n, _)| hash(*n));
        }
    }
    /// Makes the ranges of all that there are.
    pub fn seal(&mut self) {
        if self.sealed < self.all.len() {
            self.ranges = Ranges::of(&self.all);
            self.sealed = self.all.len();
            self.more = Vec::new();
        }
    }
    /// There are many that are in no range.
    pub fn loose(&self) -> bool {
        self.all.len() - self.sealed > LOOSE + self.sealed / 8
    }
    /// Each with its mask.
    pub fn each(&self) -> impl Iterator<Item = (A, A)> {
        self.all.iter().map(|p| (p.net, A::mask(p.bits)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against looking at each of them, sealed or not.
    #[test]
    fn as_looking_at_each() {
        let mut random = 1u64;
        let mut next = |n: u32| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as u32 % n
        };
        for size in [0u32, 1, 5, 300, 4000] {
            let mut set = Prefixes::<u32>::default();
            let mut list: Vec<(u32, u8)> = Vec::new();
            for i in 0..size {
                // near each other, so that they are within each other and at both ends of the addresses
                let net = [0, 10 << 24, u32::MAX - 0xffff][next(3) as usize] | next(1 << 12) << 4;
                let bits = [32, 28, 24, 20, 16, 12, 8, 0][next(8) as usize];
                set.add(net, bits, i);
                list.push((net & u32::mask(bits), bits));
                if i == size / 2 {
                    set.seal();
                }
            }
            let mut check = |set: &Prefixes<u32>| {
                for _ in 0..2000 {
                    let x = [0, 10 << 24, u32::MAX - 0xffff, 77 << 24][next(4) as usize] | next(1 << 16);
                    let has = |i: &usize| x & u32::mask(list[*i].1) == list[*i].0;
                    let all = (0..list.len()).filter(has);
                    let longest = all.min_by_key(|i| (255 - list[*i].1, *i)).map(|i| i as u32);
                    assert_eq!(set.find(x), longest, "{x:x} of {size}");
                    assert_eq!(set.has(x), longest.is_some(), "{x:x} of {size}");
                }
            };
            check(&set);
            set.seal();
            check(&set);
            assert_eq!(set.each().count(), size as usize);
        }
    }
}
