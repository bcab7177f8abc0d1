//! The entries of a list: records one behind the other, each with its key and its value, and a table that finds those
//! with a key by one probe, so that a lookup among a million touches two places in memory.

use portcullis_sys::memory::prefer_large_pages;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// Version of an entry that was removed.
const GONE: u32 = u32::MAX;
/// Records begin at multiples of it.
const UNIT: usize = 8;
/// What stands before the key.
const HEAD: usize = 20;
/// Room for entries that come while the process runs is taken in pieces: a quarter of what is there, within these bounds.
const PIECE: [usize; 2] = [4 << 10, 4 << 20];
/// An entry whose value found no room in its record.
const ELSEWHERE: u32 = u32::MAX;

/// An entry.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The pattern.
    pub key: &'a [u8],
    /// Its value; empty in a list that is no map.
    pub value: &'a [u8],
    /// Line of the file that it came from; 0: it was added later.
    pub line: u32,
    serial: u32,
    version: u32,
}

impl Entry<'_> {
    /// A number that is this entry's as long as it lives (`show map`).
    #[must_use]
    pub fn reference(&self) -> u64 {
        reference(self.serial)
    }
    /// The version that it belongs to.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }
}

/// As long as a pointer, which is what HAProxy shows.
fn reference(serial: u32) -> u64 {
    0x5000_0000_0000 | u64::from(serial) << 4
}

/// Records one behind the other; the number of an entry is where its record begins, in units.
#[derive(Clone, Debug, Default)]
struct Piece {
    /// Where it begins.
    start: usize,
    bytes: Vec<u8>,
}

/// What stands before an entry's key.
#[derive(Clone, Copy)]
struct Record {
    version: u32,
    serial: u32,
    key: u32,
    /// Bytes of the value, or [`ELSEWHERE`].
    value: u32,
    /// Bytes that there are for the value.
    room: u32,
}

impl Record {
    #[inline]
    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (head, rest) = bytes.split_first_chunk::<HEAD>()?;
        let (words, _) = head.as_chunks::<4>();
        let [version, serial, key, value, room] = words else { return None };
        let [version, serial, key, value, room] =
            [version, serial, key, value, room].map(|w| u32::from_le_bytes(*w));
        Some((Self { version, serial, key, value, room }, rest))
    }
    fn write(&self, out: &mut [u8]) {
        let words = [self.version, self.serial, self.key, self.value, self.room];
        for (to, word) in out.chunks_exact_mut(4).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
    }
    fn len(&self) -> usize {
        (HEAD + self.key as usize + self.room as usize).next_multiple_of(UNIT)
    }
}

/// Places of a table: the upper half is the key's hash, the lower the entry's number + 1; 0: nothing, and nothing was
/// ever there; [`FREED`]: what was there is gone.
type Slot = u64;
const FREED: Slot = u32::MAX as Slot;

/// Entries by key.
#[derive(Clone, Debug)]
struct Table {
    slots: Vec<Slot>,
    /// Places that are not 0.
    used: usize,
    seeds: [u64; 2],
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

impl Table {
    fn new(entries: usize) -> Self {
        // rules can add what clients send, so nobody may know where a key goes
        let random = RandomState::new();
        let seeds = [random.hash_one(1), random.hash_one(2) | 1];
        Self { slots: Self::slots(entries), used: 0, seeds }
    }
    fn slots(entries: usize) -> Vec<Slot> {
        let mut slots = vec![0; entries + entries / 2 + entries / 8 + 8];
        prefer_large_pages(&mut slots);
        slots
    }
    /// The upper half of a place's content.
    #[inline]
    fn hash(&self, key: &[u8]) -> u32 {
        let [seed, factor] = self.seeds;
        let mut h = seed ^ key.len() as u64;
        let (words, rest) = key.as_chunks::<8>();
        for w in words {
            h = fold(h ^ u64::from_le_bytes(*w), factor);
        }
        let last = match key.last_chunk::<8>() {
            Some(w) => u64::from_le_bytes(*w),
            None => rest.iter().rev().fold(0, |w, b| w << 8 | u64::from(*b)),
        };
        (fold(h ^ last, factor) >> 32) as u32
    }
    /// Where to begin to look. Places are in the order of hashes, so that a larger table is filled from first to last.
    #[inline]
    fn home(hash: u32, slots: usize) -> usize {
        ((u64::from(hash) * slots as u64) >> 32) as usize
    }
    /// Shows the numbers of what has this hash, until `f` has seen enough.
    #[inline]
    fn with(&self, hash: u32, mut f: impl FnMut(usize, u32) -> bool) {
        let slots = &*self.slots;
        let home = Self::home(hash, slots.len()).min(slots.len());
        for at in (home..slots.len()).chain(0..home) {
            match slots.get(at) {
                None | Some(0) => return,
                Some(s) if (s >> 32) as u32 == hash && *s != FREED && f(at, *s as u32 - 1) => return,
                Some(_) => {}
            }
        }
    }
    fn put(&mut self, slot: Slot) {
        let len = self.slots.len();
        let home = Self::home((slot >> 32) as u32, len).min(len);
        let free = (home..len).chain(0..home).find(|at| self.slots.get(*at) == Some(&0));
        if let Some(place) = free.and_then(|at| self.slots.get_mut(at)) {
            *place = slot;
            self.used += 1;
        }
    }
    fn full(&self) -> bool {
        self.used * 4 >= self.slots.len() * 3
    }
    /// The same with room for so many.
    fn with_room(&self, entries: usize) -> Self {
        let mut other = Self { slots: Self::slots(entries), used: 0, seeds: self.seeds };
        self.slots.iter().filter(|s| **s != 0 && **s != FREED).for_each(|s| other.put(*s));
        other
    }
}

/// The entries of all versions.
#[derive(Clone, Debug)]
pub struct Entries {
    pieces: Vec<Piece>,
    table: Table,
    live: usize,
    dead: usize,
    /// Values that found no room in their entries' records.
    elsewhere: HashMap<u32, Box<[u8]>>,
    /// Serial numbers up to this are lines of the file.
    lines: u32,
    last: u32,
}

impl Default for Entries {
    fn default() -> Self {
        Self::of_file(0, 0)
    }
}

impl Entries {
    /// Room for so many entries, whose keys and values have so many bytes.
    #[must_use]
    pub fn of_file(entries: usize, bytes: usize) -> Self {
        let mut room = Vec::with_capacity(bytes + entries * (HEAD + UNIT - 1));
        prefer_large_pages(room.spare_capacity_mut());
        Self {
            pieces: vec![Piece { start: 0, bytes: room }],
            table: Table::new(entries),
            live: 0,
            dead: 0,
            elsewhere: HashMap::new(),
            lines: 0,
            last: 0,
        }
    }
    /// The hash of a key, which nobody can foresee.
    #[inline]
    #[must_use]
    pub fn hash(&self, key: &[u8]) -> u32 {
        self.table.hash(key)
    }
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.live
    }
    /// How many were removed and still take room.
    #[must_use]
    pub fn dead(&self) -> usize {
        self.dead
    }
    /// Adds what a line of the file says; its number.
    pub fn push_line(&mut self, key: &[u8], value: &[u8], version: u32, line: u32) -> Option<u32> {
        (self.lines, self.last) = (line, line);
        self.put(key, value, version, line)
    }
    /// Adds an entry; its number, unless the list is as large as lists can be.
    pub fn push(&mut self, key: &[u8], value: &[u8], version: u32) -> Option<u32> {
        self.last = self.last.checked_add(1)?;
        self.put(key, value, version, self.last)
    }
    fn put(&mut self, key: &[u8], value: &[u8], version: u32, serial: u32) -> Option<u32> {
        let [k, v] = [u32::try_from(key.len()).ok()?, u32::try_from(value.len()).ok()?];
        let record = Record { version, serial, key: k, value: v, room: v };
        let len = record.len();
        if self.pieces.last().is_none_or(|p| p.bytes.capacity() - p.bytes.len() < len) {
            let start = self.pieces.last().map_or(0, |p| p.start + p.bytes.len());
            let [least, most] = PIECE;
            let room = (start / 4).clamp(least, most).max(len);
            self.pieces.push(Piece { start, bytes: Vec::with_capacity(room) });
        }
        let piece = self.pieces.last_mut()?;
        let number =
            u32::try_from((piece.start + piece.bytes.len()) / UNIT).ok().filter(|n| *n < u32::MAX - 1)?;
        let from = piece.bytes.len();
        let mut head = [0; HEAD];
        record.write(&mut head);
        for part in [&head, key, value] {
            piece.bytes.extend_from_slice(part);
        }
        piece.bytes.resize(from + len, 0);
        if self.table.full() {
            self.table = self.table.with_room(self.live * 2);
        }
        let hash = self.table.hash(key);
        self.table.put(u64::from(hash) << 32 | u64::from(number + 1));
        self.live += 1;
        Some(number)
    }
    /// The table has no more room: [`Entries::roomier`] makes another beside the lock.
    #[must_use]
    pub fn crowded(&self) -> bool {
        self.table.full()
    }
    /// A larger table.
    #[must_use]
    pub fn roomier(&self) -> Roomier {
        Roomier(self.table.with_room(self.live * 2))
    }
    /// Takes it.
    pub fn take(&mut self, table: Roomier) {
        self.table = table.0;
    }

    #[inline]
    fn place(&self, number: u32) -> Option<(&Piece, usize)> {
        let at = number as usize * UNIT;
        let piece = match &*self.pieces {
            [only] => only,
            pieces => pieces.get(pieces.partition_point(|p| p.start <= at).checked_sub(1)?)?,
        };
        Some((piece, at - piece.start))
    }
    #[inline]
    fn record(&self, number: u32) -> Option<(Record, &[u8])> {
        let (piece, at) = self.place(number)?;
        Record::read(piece.bytes.get(at..)?)
    }
    fn entry<'a>(&'a self, number: u32, record: Record, rest: &'a [u8]) -> Option<Entry<'a>> {
        let (key, rest) = rest.split_at_checked(record.key as usize)?;
        let value = match record.value {
            ELSEWHERE => self.elsewhere.get(&number)?,
            len => rest.get(..len as usize)?,
        };
        let line = if record.serial <= self.lines { record.serial } else { 0 };
        Some(Entry { key, value, line, serial: record.serial, version: record.version })
    }
    /// The entry with this number.
    #[inline]
    #[must_use]
    pub fn get(&self, number: u32) -> Option<Entry<'_>> {
        let (record, rest) = self.record(number)?;
        if record.version == GONE { None } else { self.entry(number, record, rest) }
    }
    /// Shows the numbers of a version's entries with this key.
    #[inline]
    fn with_key(&self, key: &[u8], version: u32, mut f: impl FnMut(u32)) {
        self.table.with(self.table.hash(key), |_, number| {
            let same = |(r, rest): &(Record, &[u8])| {
                r.version == version && rest.get(..r.key as usize).is_some_and(|k| k == key)
            };
            if self.record(number).as_ref().is_some_and(same) {
                f(number);
            }
            false
        });
    }
    /// The first of a version's entries with this key.
    #[inline]
    #[must_use]
    pub fn find(&self, key: &[u8], version: u32) -> Option<u32> {
        let mut first = u32::MAX;
        self.with_key(key, version, |n| first = first.min(n));
        (first != u32::MAX).then_some(first)
    }
    /// All of them.
    #[must_use]
    pub fn find_all(&self, key: &[u8], version: u32) -> Vec<u32> {
        let mut all = Vec::new();
        self.with_key(key, version, |n| all.push(n));
        all.sort_unstable();
        all
    }
    /// The one with this [`Entry::reference`].
    #[must_use]
    pub fn referred(&self, wanted: u64) -> Option<u32> {
        self.each().find(|(_, e)| e.reference() == wanted).map(|(n, _)| n)
    }
    /// Every entry with its number, in the order in which they came.
    pub fn each(&self) -> impl Iterator<Item = (u32, Entry<'_>)> {
        self.from(0)
    }
    /// The same from a number on.
    pub fn from(&self, number: u32) -> impl Iterator<Item = (u32, Entry<'_>)> {
        let from = number as usize * UNIT;
        let first = self.pieces.partition_point(|p| p.start + p.bytes.len() <= from);
        let pieces = self.pieces.get(first..).unwrap_or(&[]);
        pieces.iter().flat_map(move |piece| {
            let mut at = from.saturating_sub(piece.start);
            std::iter::from_fn(move || {
                loop {
                    let (record, rest) = Record::read(piece.bytes.get(at..)?)?;
                    let number = u32::try_from((piece.start + at) / UNIT).ok()?;
                    at += record.len();
                    if record.version != GONE {
                        return Some((number, self.entry(number, record, rest)?));
                    }
                }
            })
        })
    }
    fn change(&mut self, number: u32, f: impl FnOnce(&mut Record, &mut [u8])) {
        let at = number as usize * UNIT;
        let Some(i) = self.pieces.partition_point(|p| p.start <= at).checked_sub(1) else { return };
        let Some(piece) = self.pieces.get_mut(i) else { return };
        let Some((head, rest)) =
            piece.bytes.get_mut(at - piece.start..).and_then(|b| b.split_at_mut_checked(HEAD))
        else {
            return;
        };
        let Some((mut record, _)) = Record::read(head) else { return };
        let Some(room) = rest.get_mut(record.key as usize..record.key as usize + record.room as usize) else {
            return;
        };
        f(&mut record, room);
        record.write(head);
    }
    /// Gives an entry another value.
    pub fn set(&mut self, number: u32, value: &[u8]) {
        let mut fits = false;
        self.change(number, |record, room| {
            if let Some(to) = room.get_mut(..value.len()) {
                to.copy_from_slice(value);
                fits = true;
            }
            record.value = if fits { value.len() as u32 } else { ELSEWHERE };
        });
        if fits {
            self.elsewhere.remove(&number);
        } else {
            self.elsewhere.insert(number, value.into());
        }
    }
    /// Removes an entry.
    pub fn forget(&mut self, number: u32) {
        let Some(hash) = self.get(number).map(|e| self.table.hash(e.key)) else { return };
        let mut place = None;
        self.table.with(hash, |at, n| {
            place = (n == number).then_some(at);
            n == number
        });
        if let Some(slot) = place.and_then(|at| self.table.slots.get_mut(at)) {
            *slot = FREED;
        }
        self.elsewhere.remove(&number);
        self.change(number, |record, _| record.version = GONE);
        self.live -= 1;
        self.dead += 1;
    }
    /// The same without what was removed; numbers are others.
    #[must_use]
    pub fn compacted(&self) -> Self {
        let bytes = self.each().map(|(_, e)| e.key.len() + e.value.len()).sum();
        let mut other = Self::of_file(self.live, bytes);
        for (_, e) in self.each() {
            other.put(e.key, e.value, e.version, e.serial);
        }
        (other.lines, other.last) = (self.lines, self.last);
        other
    }
}

/// A table with more room.
pub struct Roomier(Table);

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Against a model: what was added, changed and removed in any order is there, in its order.
    #[test]
    fn as_a_model_has_it() {
        let mut entries = Entries::of_file(3, 10);
        let mut model: BTreeMap<u64, (Vec<u8>, Vec<u8>)> = BTreeMap::new();
        let mut random = 7u64;
        for step in 0..6000u32 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let pick = (random >> 33) as u32;
            let key = format!("key {}", pick % 500).into_bytes();
            let value = vec![b'v'; (pick >> 9) as usize % 40];
            match pick % 7 {
                0..=3 => {
                    let number = entries.push(&key, &value, 0).unwrap();
                    model.insert(entries.get(number).unwrap().reference(), (key, value));
                }
                4 => {
                    for n in entries.find_all(&key, 0) {
                        entries.set(n, &value);
                    }
                    model.values_mut().filter(|m| m.0 == key).for_each(|m| m.1.clone_from(&value));
                }
                5 => {
                    entries.find_all(&key, 0).into_iter().for_each(|n| entries.forget(n));
                    model.retain(|_, m| m.0 != key);
                }
                _ if step % 50 == 0 => entries = entries.compacted(),
                _ if entries.crowded() => entries.take(entries.roomier()),
                _ => {
                    if let Some((reference, m)) = model.iter().find(|m| m.1.0 == key) {
                        let number = entries.find(&key, 0).unwrap();
                        assert_eq!(entries.referred(*reference), Some(number));
                        let e = entries.get(number).unwrap();
                        assert_eq!((e.key, e.value, e.line), (&*m.0, &*m.1, 0));
                    } else {
                        assert_eq!(entries.find(&key, 0), None);
                    }
                }
            }
            assert_eq!(entries.len(), model.len());
        }
        let all: Vec<_> = entries.each().map(|(_, e)| (e.key.to_vec(), e.value.to_vec())).collect();
        assert!(all.iter().eq(model.values()));
        let (number, _) = entries.each().nth(100).unwrap();
        assert_eq!(entries.from(number).count(), all.len() - 100);
        assert_eq!(entries.find(b"key 1", 1), None);
    }
}
