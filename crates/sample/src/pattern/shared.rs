//! Lists of patterns and maps that live on their own (manual section 2.7): loaded once, shared by name, changed while
//! the process runs.
//!
//! A list holds its entries as text. Each way in which it is matched is a compiled view; all views and the entries are
//! behind one lock, which lookups take for reading. Exact strings are added and removed where they stand; views of
//! other methods are made anew beside the lock and exchanged.

use super::{Method, Patterns, Set};
use crate::value::{Type, Value};
use hashbrown::HashTable;
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};

/// How a list is matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct How {
    /// The method.
    pub method: Method,
    /// Case does not matter.
    pub fold: bool,
    /// Names are resolved to addresses.
    pub resolve: bool,
}

/// One entry: a pattern, and the value it leads to in a map.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The pattern.
    pub key: Box<[u8]>,
    /// Its value; empty in a list that is no map.
    pub value: Box<[u8]>,
    generation: u32,
    /// Line of the file that it came from; 0: it was added later.
    pub line: u32,
}

/// The generation of an entry that was removed.
const GONE: u32 = u32::MAX;

#[derive(Debug, Default)]
struct Inner {
    entries: Vec<Entry>,
    /// Entries by key.
    keys: HashTable<u32>,
    dead: usize,
    current: u32,
    views: Vec<(How, Patterns)>,
}

fn hash(key: &[u8]) -> u64 {
    let mut h = 0xcbf2_9ce4_8422_2325u64 ^ key.len() as u64;
    let mut chunks = key.chunks_exact(8);
    for c in &mut chunks {
        let word = c.iter().rev().fold(0, |w, b| w << 8 | u64::from(*b));
        h = (h.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
    let rest = chunks.remainder().iter().fold(0, |w, b| w << 8 | u64::from(*b));
    h = (h.rotate_left(5) ^ rest).wrapping_mul(0x517c_c1b7_2722_0a95);
    h ^ h >> 32
}

/// A list or map.
#[derive(Debug)]
pub struct Shared {
    /// Its number in `show acl` and `show map`.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Its lines have values.
    map: bool,
    /// Hash of the file's text.
    source: u64,
    next: AtomicU32,
    inner: RwLock<Inner>,
    /// Held by whoever changes it.
    change: Mutex<()>,
    /// Who uses it, as listings show it.
    users: Mutex<Users>,
    /// What values must be; `None`: only conditions look at it.
    values: Mutex<Option<Values>>,
}

/// What the values of a map must be; the strictest user decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Values {
    /// Anything.
    Text,
    /// Integers.
    Numbers,
    /// Addresses.
    Addresses,
}

impl Values {
    /// The name of the type that a map gives.
    fn name_of(self, entry: Option<&Entry>) -> &'static str {
        match self {
            Self::Text => "str",
            Self::Numbers => "sint",
            Self::Addresses if entry.is_some_and(|e| e.value.contains(&b':')) => "ipv6",
            Self::Addresses => "ipv4",
        }
    }
}

/// What a view found for a text.
#[derive(Clone, Debug)]
pub struct Found {
    /// How it is matched.
    pub how: How,
    /// HAProxy has a tree for this method, and not a list.
    pub indexed: bool,
    /// The entry.
    pub entry: Option<Entry>,
    /// Type of what a map gives; `None`: only conditions look at it.
    pub kind: Option<&'static str>,
}

/// Who uses a list.
#[derive(Debug, Default)]
struct Users {
    acl: bool,
    map: bool,
    text: String,
}

/// A list as one method matches it.
#[derive(Clone, Debug)]
pub struct View {
    list: Arc<Shared>,
    index: usize,
}

static ALL: LazyLock<RwLock<HashMap<String, Arc<Shared>>>> = LazyLock::new(RwLock::default);
static NEXT_ID: AtomicU32 = AtomicU32::new(0);

/// Patterns that stand in the configuration itself take a number too, as in HAProxy, so that those of files are the same.
pub(crate) fn skip_id() {
    NEXT_ID.fetch_add(1, Ordering::Relaxed);
}

/// Every list, by number.
#[must_use]
pub fn all() -> Vec<Arc<Shared>> {
    let mut all: Vec<_> = ALL.read().values().cloned().collect();
    all.sort_by_key(|s| s.id);
    all
}

/// The list that `#id` or a name designates.
#[must_use]
pub fn named(name: &str) -> Option<Arc<Shared>> {
    if let Some(id) = name.strip_prefix('#').and_then(|n| n.parse::<u32>().ok()) {
        return ALL.read().values().find(|s| s.id == id).cloned();
    }
    let (name, _) = plain(name);
    ALL.read().get(name).cloned()
}

/// The name without `file@` or `opt@`, and whether the file may be missing.
fn plain(name: &str) -> (&str, bool) {
    match (name.strip_prefix("opt@"), name.strip_prefix("file@")) {
        (Some(rest), _) => (rest, true),
        (_, Some(rest)) => (rest, false),
        _ => (name, false),
    }
}

/// The list of this name; read if it is not there yet, or its file has changed.
///
/// # Errors
/// HAProxy's message.
pub fn open(
    name: &str,
    map: bool,
    id: Option<u32>,
    read: &dyn Fn(&str) -> std::io::Result<Vec<u8>>,
) -> Result<Arc<Shared>, String> {
    let (name, optional) = plain(name);
    let text = if name.starts_with("virt@") {
        Vec::new()
    } else {
        match read(name) {
            Ok(t) => t,
            Err(e) if optional && e.kind() == ErrorKind::NotFound => Vec::new(),
            Err(_) => return Err(format!("failed to open pattern file <{name}>")),
        }
    };
    let source = hash(&text);
    let known = ALL.read().get(name).filter(|s| s.source == source).cloned();
    if let Some(list) = known {
        if map != list.is_map() {
            let (was, is) = if map { ("one", "two") } else { ("two", "one") };
            return Err(format!(
                "The file \"{name}\" is already used as {was} column file and cannot be used by as {is} column file."
            ));
        }
        list.used();
        return Ok(list);
    }
    let id = id.unwrap_or_else(|| NEXT_ID.fetch_add(1, Ordering::Relaxed));
    let list = Arc::new(Shared {
        id,
        name: name.into(),
        map,
        source,
        next: AtomicU32::new(0),
        inner: RwLock::default(),
        change: Mutex::default(),
        users: Mutex::default(),
        values: Mutex::default(),
    });
    list.load(&text, map);
    list.used();
    ALL.write().insert(name.into(), list.clone());
    Ok(list)
}

/// Key and value of a line; `None`: a comment, or nothing.
fn line(text: &[u8], map: bool) -> Option<(&[u8], &[u8])> {
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    if text.first() == Some(&b'#') {
        return None;
    }
    let blank = |b: &u8| matches!(b, b' ' | b'\t');
    let start = text.iter().position(|b| !blank(b))?;
    let text = text.get(start..)?;
    if !map {
        return Some((text, b""));
    }
    let end = text.iter().position(blank).unwrap_or(text.len());
    let rest = text.get(end..).unwrap_or(&[]);
    let value = rest.iter().position(|b| !blank(b)).and_then(|i| rest.get(i..)).unwrap_or(&[]);
    let last = value.iter().rposition(|b| !blank(b)).map_or(0, |i| i + 1);
    Some((text.get(..end)?, value.get(..last).unwrap_or(&[])))
}

impl Inner {
    fn push(&mut self, key: &[u8], value: &[u8], generation: u32, line: u32) -> u32 {
        let index = self.entries.len() as u32;
        self.entries.push(Entry { key: key.into(), value: value.into(), generation, line });
        let entries = &self.entries;
        self.keys.insert_unique(hash(key), index, |i| hash(entries.get(*i as usize).map_or(&[], |e| &e.key)));
        index
    }
    /// Numbers of the entries with this key in this generation.
    fn with_key(&self, key: &[u8], generation: u32) -> Vec<u32> {
        let same = |i: &&u32| {
            self.entries.get(**i as usize).is_some_and(|e| e.generation == generation && *e.key == *key)
        };
        let mut found: Vec<u32> = self.keys.iter_hash(hash(key)).filter(same).copied().collect();
        found.sort_unstable();
        found
    }
    /// Numbers of these entries of the current generation.
    fn of(&self, which: Which<'_>) -> Vec<u32> {
        match which {
            Which::Key(key) => self.with_key(key, self.current),
            Which::Reference(r) => {
                let is = |e: &Entry| e.generation == self.current && e.reference() == r;
                self.entries.iter().position(is).map(|i| i as u32).into_iter().collect()
            }
        }
    }
    fn forget(&mut self, index: u32) {
        let Some(e) = self.entries.get_mut(index as usize) else { return };
        if let Ok(slot) = self.keys.find_entry(hash(&e.key), |i| *i == index) {
            slot.remove();
        }
        e.generation = GONE;
        e.value = Box::default();
        self.dead += 1;
    }
    /// A view made anew; also what is wrong with the first entry that the method refuses.
    fn compile(&self, how: How) -> Result<Patterns, (u32, String)> {
        let mut p = Patterns::new(how.method);
        let live = |(_, e): &(usize, &Entry)| e.generation == self.current;
        for (i, e) in self.entries.iter().enumerate().filter(live) {
            p.add_as(&e.key, how.fold, how.resolve, i as u32).map_err(|m| (e.line, m))?;
        }
        p.seal();
        Ok(p)
    }
    /// Drops what was removed, when there is much of it; numbers change.
    fn compact(&mut self) -> bool {
        if self.dead < 64 || self.dead * 2 < self.entries.len() {
            return false;
        }
        let old = std::mem::take(&mut self.entries);
        self.keys.clear();
        self.dead = 0;
        for e in old.into_iter().filter(|e| e.generation != GONE) {
            self.push(&e.key, &e.value, e.generation, e.line);
        }
        true
    }
}

impl Entry {
    /// A number that is this entry's as long as it lives (`show map`).
    #[must_use]
    pub fn reference(&self) -> usize {
        self.key.as_ptr() as usize
    }
}

/// Which entries a change is about.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    /// All with this key.
    Key(&'a [u8]),
    /// The one with this [`Entry::reference`].
    Reference(usize),
}

impl Shared {
    /// Is it a map (`show map`) or a list of patterns (`show acl`)?
    #[must_use]
    pub fn is_map(&self) -> bool {
        self.map
    }

    /// Is it used in conditions?
    #[must_use]
    pub fn in_acls(&self) -> bool {
        self.users.lock().acl
    }
    /// Is it used as a map?
    #[must_use]
    pub fn in_maps(&self) -> bool {
        self.users.lock().map
    }
    /// "pattern loaded from file … used by …", as listings show it.
    #[must_use]
    pub fn description(&self) -> String {
        format!("pattern loaded from file '{}' used{}", self.name, self.users.lock().text)
    }
    /// Notes that what is parsed now uses it.
    fn used(&self) {
        let mut users = self.users.lock();
        users.map |= self.map;
        users.acl |= !self.map;
        let comma = if users.text.is_empty() { "" } else { "," };
        let what = if self.map { "map" } else { "acl" };
        users.text.push_str(&format!("{comma} by {what} at {}", crate::names::here()));
    }
    /// How many entries there are, those of other versions included.
    #[must_use]
    pub fn count(&self) -> usize {
        let inner = self.inner.read();
        inner.entries.len() - inner.dead
    }

    fn load(&self, text: &[u8], map: bool) {
        let mut inner = self.inner.write();
        inner.entries.clear();
        inner.keys.clear();
        for (i, (key, value)) in
            text.split(|b| *b == b'\n').enumerate().filter_map(|(i, l)| Some((i, line(l, map)?)))
        {
            let generation = inner.current;
            inner.push(key, value, generation, i as u32 + 1);
        }
        inner.entries.shrink_to_fit();
    }

    /// This list as a method matches it.
    ///
    /// # Errors
    /// HAProxy's message about the first entry that the method refuses.
    pub fn view(self: &Arc<Self>, how: How) -> Result<View, String> {
        let known = self.inner.read().views.iter().position(|(h, _)| *h == how);
        if let Some(index) = known {
            return Ok(View { list: self.clone(), index });
        }
        let patterns = self.inner.read().compile(how);
        let patterns = patterns.map_err(|(line, m)| format!("{m} at line {line} of file '{}'", self.name))?;
        let mut inner = self.inner.write();
        inner.views.push((how, patterns));
        Ok(View { list: self.clone(), index: inner.views.len() - 1 })
    }

    /// Makes the views that can't be changed in place anew: beside the lock, which is taken only to exchange them.
    fn rebuild(&self, every: bool) {
        let count = self.inner.read().views.len();
        for i in 0..count {
            let made = {
                let inner = self.inner.read();
                let Some((how, p)) = inner.views.get(i) else { continue };
                if !every && matches!(p.set, Set::Exact { .. }) {
                    continue;
                }
                inner.compile(*how)
            };
            if let (Ok(made), Some(view)) = (made, self.inner.write().views.get_mut(i)) {
                view.1 = made;
            }
        }
    }

    /// How many entries the current version has.
    #[must_use]
    pub fn len(&self) -> usize {
        let inner = self.inner.read();
        inner.entries.iter().filter(|e| e.generation == inner.current).count()
    }
    /// None?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The current version, and the one that was prepared last.
    #[must_use]
    pub fn versions(&self) -> (u32, u32) {
        (self.inner.read().current, self.next.load(Ordering::Relaxed))
    }
    /// Visits the entries of a version (the current one), from a number on, at most so many: number, entry. Gives the
    /// number to go on with, if there are more.
    pub fn visit(
        &self,
        version: Option<u32>,
        from: usize,
        most: usize,
        mut f: impl FnMut(usize, &Entry),
    ) -> Option<usize> {
        let inner = self.inner.read();
        let version = version.unwrap_or(inner.current);
        let end = inner.entries.len().min(from.saturating_add(most));
        for (i, e) in inner.entries.iter().enumerate().take(end).skip(from) {
            if e.generation == version {
                f(i, e);
            }
        }
        (end < inner.entries.len()).then_some(end)
    }

    /// What each view finds for a text (`get map`).
    #[must_use]
    pub fn get(&self, text: &[u8]) -> Vec<Found> {
        let inner = self.inner.read();
        let kind = self.map.then(|| *self.values.lock());
        let found = |(how, p): &(How, Patterns)| {
            let value = match how.method {
                Method::Ip => Value::str(text).cast(Type::Addr),
                Method::Int | Method::Bool => Value::str(text).cast(Type::Int),
                _ => Some(Value::str(text)),
            };
            let entry = value.and_then(|v| p.find(v)).and_then(|i| inner.entries.get(i as usize)).cloned();
            let indexed = matches!(how.method, Method::Ip)
                || matches!(how.method, Method::Str | Method::Beg) && !how.fold;
            let kind = kind.flatten().map(|k| k.name_of(entry.as_ref()));
            Found { how: *how, indexed, entry, kind }
        };
        inner.views.iter().map(found).collect()
    }

    /// Says what the values of this map must be.
    pub fn expect(&self, values: Values) {
        let mut now = self.values.lock();
        *now = Some(now.map_or(values, |before| before.max(values)));
    }

    /// Can this be a value?
    ///
    /// # Errors
    /// HAProxy's message.
    pub fn judge(&self, value: &[u8]) -> Result<(), String> {
        let fits = match *self.values.lock() {
            Some(Values::Numbers) => crate::args::int(value).is_some(),
            Some(Values::Addresses) => crate::value::parse_ip(value).is_some(),
            Some(Values::Text) | None => true,
        };
        if fits { Ok(()) } else { Err(format!("unable to parse '{}'", String::from_utf8_lossy(value))) }
    }

    /// Adds an entry to a version (the current one).
    ///
    /// # Errors
    /// What a method says about the key.
    pub fn add(&self, version: Option<u32>, key: &[u8], value: &[u8]) -> Result<(), String> {
        let _changing = self.change.lock();
        self.judge(value)?;
        let hows: Vec<How> = self.inner.read().views.iter().map(|(h, _)| *h).collect();
        for how in hows {
            Patterns::new(how.method).add(key, how.fold, how.resolve)?;
        }
        let mut inner = self.inner.write();
        let generation = version.unwrap_or(inner.current);
        let index = inner.push(key, value, generation, 0);
        if generation != inner.current {
            return Ok(());
        }
        let mut others = false;
        for (how, p) in &mut inner.views {
            if matches!(p.set, Set::Parts(_)) && how.method == Method::Sub {
                others = true;
            } else {
                p.add_as(key, how.fold, how.resolve, index)?;
            }
        }
        drop(inner);
        if others {
            self.rebuild(false);
        }
        Ok(())
    }

    /// Sets the value of every entry with this key, or adds one when there is none; without a value (a list that is no
    /// map) nothing is changed when there is one.
    ///
    /// # Errors
    /// What a method says about the key.
    pub fn put(&self, key: &[u8], value: Option<&[u8]>) -> Result<(), String> {
        let there = match value {
            Some(value) => self.set(Which::Key(key), value),
            None => {
                let inner = self.inner.read();
                !inner.with_key(key, inner.current).is_empty()
            }
        };
        if there { Ok(()) } else { self.add(None, key, value.unwrap_or(b"")) }
    }

    /// Changes the value of entries; false: there is none.
    pub fn set(&self, which: Which<'_>, value: &[u8]) -> bool {
        let _changing = self.change.lock();
        let mut inner = self.inner.write();
        let found = inner.of(which);
        for i in &found {
            if let Some(e) = inner.entries.get_mut(*i as usize) {
                e.value = value.into();
            }
        }
        !found.is_empty()
    }

    /// Removes entries; false: there is none.
    pub fn remove(&self, which: Which<'_>) -> bool {
        let _changing = self.change.lock();
        let mut inner = self.inner.write();
        let found = inner.of(which);
        let Some(key) = found.first().and_then(|i| inner.entries.get(*i as usize)).map(|e| e.key.clone())
        else {
            return false;
        };
        found.iter().for_each(|i| inner.forget(*i));
        let one = inner.with_key(&key, inner.current).is_empty();
        let mut every = !one;
        for (how, p) in inner.views.iter_mut().filter(|_| one) {
            if let Set::Exact { exact, folded } = &mut p.set {
                let made = if how.method == Method::Bin {
                    super::unhex(&key).unwrap_or_default()
                } else {
                    key.to_vec()
                };
                exact.remove(&made);
                folded.remove(&made);
            }
        }
        every |= inner.compact();
        drop(inner);
        self.rebuild(every);
        true
    }

    /// Removes all entries of a version (the current one).
    pub fn clear(&self, version: Option<u32>) {
        let _changing = self.change.lock();
        let mut inner = self.inner.write();
        let version = version.unwrap_or(inner.current);
        let gone: Vec<u32> = (0..inner.entries.len() as u32)
            .filter(|i| inner.entries[*i as usize].generation == version)
            .collect();
        gone.into_iter().for_each(|i| inner.forget(i));
        inner.compact();
        drop(inner);
        self.rebuild(true);
    }

    /// Begins a new version; its number.
    #[must_use]
    pub fn prepare(&self) -> u32 {
        self.next.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Makes a version the current one; older ones are dropped. False: it was not prepared, or is old.
    pub fn commit(&self, version: u32) -> bool {
        let _changing = self.change.lock();
        let mut inner = self.inner.write();
        if version <= inner.current || version > self.next.load(Ordering::Relaxed) {
            return false;
        }
        inner.current = version;
        let old: Vec<u32> = (0..inner.entries.len() as u32)
            .filter(|i| inner.entries.get(*i as usize).is_some_and(|e| e.generation < version))
            .collect();
        old.into_iter().for_each(|i| inner.forget(i));
        inner.compact();
        drop(inner);
        self.rebuild(true);
        true
    }
}

impl View {
    /// The list.
    #[must_use]
    pub fn list(&self) -> &Arc<Shared> {
        &self.list
    }
    /// Does the value match any entry?
    #[inline]
    #[must_use]
    pub fn matches(&self, value: &Value<'_>) -> bool {
        let inner = self.list.inner.read();
        inner.views.get(self.index).is_some_and(|(_, p)| p.find(value.clone()).is_some())
    }
    /// What `f` makes of the entry that the value matches, and of the view's patterns.
    pub fn lookup<T>(&self, value: Value<'_>, f: impl FnOnce(&Entry, &Patterns, u32) -> T) -> Option<T> {
        let inner = self.list.inner.read();
        let (_, p) = inner.views.get(self.index)?;
        let index = p.find(value)?;
        Some(f(inner.entries.get(index as usize)?, p, index))
    }
}

#[cfg(test)]
#[path = "shared_tests.rs"]
mod tests;
