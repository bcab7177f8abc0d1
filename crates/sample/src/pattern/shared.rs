//! Lists of patterns and maps that live on their own (manual section 2.7): loaded once, shared by name, changed while
//! the process runs.
//!
//! A list holds its entries as text. Each way in which it is matched is a compiled view; all views and the entries are
//! behind one lock, which lookups take for reading. Exact strings are added and removed where they stand; views of
//! other methods are made anew beside the lock and exchanged.

use super::entries::Entries;
pub use super::entries::Entry;
use super::inline::{self, Inline};
use super::lines::{Known, Lines};
use super::{Method, Patterns, Set, ints};
use crate::names::At;
use crate::value::{Type, Value};
use parking_lot::{Mutex, RwLock};
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::ErrorKind;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};

/// How a list is matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct How {
    /// The method.
    pub method: Method,
    /// Case does not matter.
    pub fold: bool,
    /// Names are resolved to addresses.
    pub resolve: bool,
    /// Integers are written as dotted numbers (`req.ssl_ver`).
    pub dotted: bool,
}

impl How {
    /// By a method, with nothing special.
    #[must_use]
    pub const fn of(method: Method) -> Self {
        Self { method, fold: false, resolve: false, dotted: false }
    }
    /// Adds a pattern with the number of its entry.
    ///
    /// # Errors
    /// What the method says about it.
    pub fn add(self, patterns: &mut Patterns, key: &[u8], number: u32) -> Result<(), String> {
        let plain = if self.dotted { Cow::Owned(ints::dotted(key)?) } else { Cow::Borrowed(key) };
        patterns.add_as(&plain, self.fold, self.resolve, number)
    }
}

/// A list as one method matches it, compiled.
#[derive(Debug)]
enum Made {
    /// Whole strings whose case matters: lines with what is short, and the entries' own table.
    Keys(Lines),
    /// Patterns by the number of their entry.
    Patterns(Box<Patterns>),
}

#[derive(Debug, Default)]
struct Inner {
    entries: Entries,
    current: u32,
    views: Vec<(How, Made)>,
}

/// Tells whether a file has changed.
fn fingerprint(text: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// A list or map.
#[derive(Debug)]
pub struct Shared {
    /// Lists have these in the order in which they were made.
    born: u32,
    number: OnceLock<u32>,
    /// Its name; empty for patterns that stand in the configuration.
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
    fn name_of(self, entry: Option<&Entry<'_>>) -> &'static str {
        match self {
            Self::Text => "str",
            Self::Numbers => "sint",
            Self::Addresses if entry.is_some_and(|e| e.value.contains(&b':')) => "ipv6",
            Self::Addresses => "ipv4",
        }
    }
}

/// Key and value of an entry.
pub type Pair = (Box<[u8]>, Box<[u8]>);

/// What a view found for a text.
#[derive(Clone, Debug)]
pub struct Found {
    /// How it is matched.
    pub how: How,
    /// HAProxy has a tree for this method, and not a list.
    pub indexed: bool,
    /// Key and value of the entry.
    pub entry: Option<Pair>,
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
/// The lists without a name.
static INLINE: RwLock<Vec<Arc<Inline>>> = RwLock::new(Vec::new());
static NEXT_BORN: AtomicU32 = AtomicU32::new(0);
/// Numbers that are given out: those below have been.
static NEXT_NUMBER: Mutex<u32> = Mutex::new(0);

thread_local! {
    static AGAIN: RefCell<Option<Again>> = const { RefCell::new(None) };
}

/// What a configuration uses that is read while another one is in force.
#[derive(Default)]
struct Again {
    lists: HashMap<String, Arc<Shared>>,
    /// Who used the lists that were there already.
    users: Vec<(Arc<Shared>, Users)>,
    /// Lists without a name that are in force, by what they are, and not found again yet.
    before: HashMap<u64, VecDeque<Arc<Inline>>>,
    /// Lists without a name, and where they stand now.
    inline: Vec<(Arc<Inline>, At)>,
}

/// From now on this thread reads a configuration while another one is in force: lists whose files have not changed are found
/// again, with all that was changed in them at run time; others are made, and nobody else sees them before [`commit`].
pub fn begin() {
    let mut again = Again::default();
    for list in INLINE.read().iter() {
        again.before.entry(list.source()).or_default().push_back(list.clone());
    }
    AGAIN.set(Some(again));
}

/// What was read since [`begin`] is in force; lists that it does not use are forgotten.
pub fn commit() {
    if let Some(again) = AGAIN.take() {
        // numbers that were given stay given
        number();
        *ALL.write() = again.lists;
        *INLINE.write() = again.inline.iter().map(|(list, _)| list.clone()).collect();
        again.inline.into_iter().for_each(|(list, at)| list.moved(at));
    }
}

/// What was read since [`begin`] is not used.
pub fn roll_back() {
    for (list, users) in AGAIN.take().map(|a| a.users).unwrap_or_default() {
        *list.users.lock() = users;
    }
}

/// The list of this name as far as this thread is concerned; with its file unchanged.
fn known(name: &str, source: u64) -> Option<Arc<Shared>> {
    let own = AGAIN.with_borrow(|a| a.as_ref().and_then(|a| a.lists.get(name).cloned()));
    let found = own.or_else(|| ALL.read().get(name).cloned());
    found.filter(|s| s.source == source)
}

/// A list is used by what this thread reads.
fn keep(list: &Arc<Shared>) {
    AGAIN.with_borrow_mut(|again| match again {
        None => {
            ALL.write().insert(list.name.clone(), list.clone());
        }
        Some(again) => {
            let before = again.lists.insert(list.name.clone(), list.clone());
            if before.is_none_or(|b| !Arc::ptr_eq(&b, list)) {
                again.users.push((list.clone(), std::mem::take(&mut *list.users.lock())));
            }
        }
    });
    list.used();
}

/// The list of patterns that stand in the configuration; `number`: the one that `-u` gives. As with files, one that was there
/// already is found again with all that was changed in it.
///
/// # Errors
/// HAProxy's message.
pub(crate) fn inline(
    keyword: &str,
    how: How,
    patterns: Vec<Box<[u8]>>,
    number: Option<u32>,
) -> Result<Arc<Inline>, String> {
    let new = || {
        let born = NEXT_BORN.fetch_add(1, Ordering::Relaxed);
        Inline::new(born, number, keyword, how, patterns.clone())
    };
    AGAIN.with_borrow_mut(|again| match again {
        None => {
            let mut all = INLINE.write();
            if number.is_some_and(|n| all.iter().any(|l| l.number.get() == Some(&n))) {
                return Err("the id is already used.".into());
            }
            let list = Arc::new(new());
            all.push(list.clone());
            Ok(list)
        }
        Some(again) => {
            let before = again.before.get_mut(&inline::source(keyword, how, &patterns));
            let found = before.and_then(|lists| {
                let same = |l: &Arc<Inline>| {
                    l.same(keyword, how, &patterns) && number.is_none_or(|n| l.number.get() == Some(&n))
                };
                lists.remove(lists.iter().position(same)?)
            });
            let list = found.unwrap_or_else(|| Arc::new(new()));
            again.inline.push((list.clone(), crate::names::at()));
            Ok(list)
        }
    })
}

/// Gives the lists that have none their numbers: in the order in which they were made, leaving out those that `-u` gave.
fn number() {
    let (files, inline) = (ALL.read(), INLINE.read());
    let lists = || {
        let files = files.values().map(|l| (l.born, &l.number));
        files.chain(inline.iter().map(|l| (l.born, &l.number)))
    };
    let mut without: Vec<_> = lists().filter(|(_, number)| number.get().is_none()).collect();
    if without.is_empty() {
        return;
    }
    without.sort_by_key(|(born, _)| *born);
    let taken: HashSet<u32> = lists().filter_map(|(_, number)| number.get().copied()).collect();
    let mut next = NEXT_NUMBER.lock();
    for (_, number) in without {
        while taken.contains(&next) {
            *next += 1;
        }
        let _ = number.set(*next);
        *next += 1;
    }
}

/// A list as listings show it.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its number.
    pub number: u32,
    /// Its name; empty for patterns that stand in the configuration.
    pub name: String,
    /// Who uses it.
    pub description: String,
    /// The current version, and the one that was prepared last.
    pub versions: (u32, u32),
    /// How many entries there are, those of other versions included.
    pub count: usize,
}

/// Every list that is used as a map, or in conditions, by number.
#[must_use]
pub fn listed(maps: bool) -> Vec<Listed> {
    number();
    let files = ALL.read();
    let files = files.values().filter(|l| if maps { l.in_maps() } else { l.in_acls() });
    let number = |number: &OnceLock<u32>| number.get().copied().unwrap_or(u32::MAX);
    let file = |l: &Arc<Shared>| Listed {
        number: number(&l.number),
        name: l.name.clone(),
        description: l.description(),
        versions: l.versions(),
        count: l.count(),
    };
    let mut all: Vec<Listed> = files.map(file).collect();
    if !maps {
        let inline = INLINE.read();
        all.extend(inline.iter().map(|l| {
            let (current, next, count) = l.state();
            let (versions, name) = ((current, next), String::new());
            Listed { number: number(&l.number), name, description: l.description(), versions, count }
        }));
    }
    all.sort_by_key(|l| l.number);
    all
}

/// The list that `#id` or a name designates.
#[must_use]
pub fn named(name: &str) -> Option<Arc<Shared>> {
    let Some(wanted) = name.strip_prefix('#').and_then(|n| n.parse::<u32>().ok()) else {
        let (name, _) = plain(name);
        return ALL.read().get(name).cloned();
    };
    number();
    let file = ALL.read().values().find(|l| l.number.get() == Some(&wanted)).cloned();
    let inline = || INLINE.read().iter().find(|l| l.number.get() == Some(&wanted)).map(|l| l.list());
    file.or_else(inline)
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
    let source = fingerprint(&text);
    if let Some(list) = known(name, source) {
        if map != list.is_map() {
            let (was, is) = if map { ("one", "two") } else { ("two", "one") };
            return Err(format!(
                "The file \"{name}\" is already used as {was} column file and cannot be used by as {is} column file."
            ));
        }
        keep(&list);
        return Ok(list);
    }
    let born = NEXT_BORN.fetch_add(1, Ordering::Relaxed);
    let list = Arc::new(Shared { name: name.into(), map, source, ..Shared::empty(born) });
    list.load(&text, map);
    keep(&list);
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

impl Made {
    fn keys(how: How) -> bool {
        how.method == Method::Str && !how.fold
    }
    /// Of the entries of a version; also what is wrong with the first that the method refuses.
    fn of(how: How, entries: &Entries, version: u32) -> Result<Self, (u32, String)> {
        if Self::keys(how) {
            let current =
                || entries.each().filter(|(_, e)| e.version() == version).map(|(_, e)| (e.key, e.value));
            return Ok(Self::Keys(Lines::of(|key| entries.hash(key), current)));
        }
        let mut p = Patterns::new(how.method);
        for (number, e) in entries.each().filter(|(_, e)| e.version() == version) {
            how.add(&mut p, e.key, number).map_err(|m| (e.line, m))?;
        }
        p.seal();
        Ok(Self::Patterns(Box::new(p)))
    }
    /// Keys that go and come are taken out of it and put into it where they stand.
    fn exact(&self) -> bool {
        match self {
            Self::Keys(_) => true,
            Self::Patterns(p) => matches!(p.set, Set::Exact { .. }),
        }
    }
    fn patterns(&self) -> Option<&Patterns> {
        match self {
            Self::Keys(_) => None,
            Self::Patterns(p) => Some(p),
        }
    }
}

/// A value as the whole string that it is compared as.
#[inline]
fn text<'a>(value: &'a Value<'_>) -> Option<Cow<'a, [u8]>> {
    match value {
        Value::Str(s) | Value::Method(s) => Some(Cow::Borrowed(s)),
        other => Some(Cow::Owned(other.clone().cast(Type::Str)?.bytes()?.to_vec())),
    }
}

impl Inner {
    /// The number of the entry that a view finds for a value.
    #[inline]
    fn find(&self, made: &Made, value: Value<'_>) -> Option<u32> {
        match made {
            Made::Patterns(p) => p.find(value),
            Made::Keys(_) => self.entries.find(&text(&value)?, self.current),
        }
    }
    /// What the lines of a view know of a value.
    #[inline]
    fn known<'a>(&self, lines: &'a Lines, value: &Value<'_>) -> Option<Known<'a>> {
        let key = text(value)?;
        Some(lines.find(self.entries.hash(&key), &key))
    }
    /// The lines of the view of whole strings.
    fn lines(&mut self) -> (&Entries, impl Iterator<Item = &mut Lines>) {
        let lines = self.views.iter_mut().filter_map(|(_, made)| match made {
            Made::Keys(lines) => Some(lines),
            Made::Patterns(_) => None,
        });
        (&self.entries, lines)
    }
    /// Lines know nothing of these entries any more.
    fn forget(&mut self, key: &[u8]) {
        let (entries, lines) = self.lines();
        let hash = entries.hash(key);
        lines.for_each(|l| l.forget(hash, key));
    }
    /// Numbers of these entries of the current version.
    fn of(&self, which: Which<'_>) -> Vec<u32> {
        match which {
            Which::Key(key) => self.entries.find_all(key, self.current),
            Which::Reference(r) => {
                let found = self.entries.referred(r);
                let now = |n: &u32| self.entries.get(*n).is_some_and(|e| e.version() == self.current);
                found.filter(now).into_iter().collect()
            }
        }
    }
    /// What lines know is not true any more until they are made anew.
    fn drop_versions(&mut self, which: impl Fn(u32) -> bool) {
        self.lines().1.for_each(|l| *l = Lines::default());
        let gone: Vec<u32> =
            self.entries.each().filter(|(_, e)| which(e.version())).map(|(number, _)| number).collect();
        super::tally::freed(gone.len());
        gone.into_iter().for_each(|number| self.entries.forget(number));
    }
    /// There is much of what was removed.
    fn sparse(&self) -> bool {
        self.entries.dead() >= 64 && self.entries.dead() >= self.entries.len()
    }
}

/// Which entries a change is about.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    /// All with this key.
    Key(&'a [u8]),
    /// The one with this [`Entry::reference`].
    Reference(u64),
}

impl Shared {
    fn empty(born: u32) -> Self {
        Self {
            born,
            number: OnceLock::new(),
            name: String::new(),
            map: false,
            source: 0,
            next: AtomicU32::new(0),
            inner: RwLock::default(),
            change: Mutex::default(),
            users: Mutex::default(),
            values: Mutex::default(),
        }
    }

    /// The list of patterns that stand in the configuration, as their test matches them.
    pub(super) fn of_patterns(born: u32, how: How, patterns: &[Box<[u8]>]) -> View {
        let list = Arc::new(Self::empty(born));
        list.users.lock().acl = true;
        let mut entries = Entries::of_file(patterns.len(), patterns.iter().map(|p| p.len()).sum());
        patterns.iter().for_each(|p| {
            entries.push(p, b"", 0);
        });
        // the method has taken each of them already
        let made = Made::of(how, &entries, 0)
            .unwrap_or_else(|_| Made::Patterns(Box::new(Patterns::new(how.method))));
        *list.inner.write() = Inner { entries, current: 0, views: vec![(how, made)] };
        View { list, index: 0 }
    }

    /// To be held while it is changed.
    fn changing(&self) -> parking_lot::MutexGuard<'_, ()> {
        if self.name.is_empty() {
            inline::changing(self.born);
        }
        self.change.lock()
    }

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
        users.text.push_str(&format!("{comma} by {what} at {}", crate::names::at()));
    }
    /// A condition looks at its keys, of a map too (`-M`).
    pub(crate) fn in_condition(&self) {
        self.users.lock().acl = true;
    }
    /// How many entries there are, those of other versions included.
    #[must_use]
    pub fn count(&self) -> usize {
        self.inner.read().entries.len()
    }

    fn load(&self, text: &[u8], map: bool) {
        let lines = || {
            let all = text.split(|b| *b == b'\n').enumerate();
            all.filter_map(|(i, l)| line(l, map).map(|(key, value)| (i, key, value)))
        };
        let (count, bytes) = lines().fold((0, 0), |(n, bytes), (_, k, v)| (n + 1, bytes + k.len() + v.len()));
        let mut entries = Entries::of_file(count, bytes);
        for (i, key, value) in lines() {
            entries.push_line(key, value, 0, i as u32 + 1);
        }
        super::tally::added(count);
        self.inner.write().entries = entries;
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
        let made = {
            let inner = self.inner.read();
            Made::of(how, &inner.entries, inner.current)
        };
        let made = made.map_err(|(line, m)| format!("{m} at line {line} of file '{}'", self.name))?;
        let mut inner = self.inner.write();
        inner.views.push((how, made));
        Ok(View { list: self.clone(), index: inner.views.len() - 1 })
    }

    /// Makes the views anew that can't be changed in place (or `every` one), of entries without what was removed if there is
    /// much of that: beside the lock, which is taken only to exchange them.
    fn rebuild(&self, every: bool) {
        let (entries, views) = {
            let inner = self.inner.read();
            let compacted = inner.sparse().then(|| inner.entries.compacted());
            let entries = compacted.as_ref().unwrap_or(&inner.entries);
            let every = every || compacted.is_some();
            let stale = inner.views.iter().enumerate().filter(|(_, (_, m))| every || !m.exact());
            let make = |(i, (how, _)): (usize, &(How, Made))| {
                Some((i, Made::of(*how, entries, inner.current).ok()?))
            };
            let views: Vec<(usize, Made)> = stale.filter_map(make).collect();
            (compacted, views)
        };
        let mut inner = self.inner.write();
        if let Some(entries) = entries {
            inner.entries = entries;
        }
        for (i, made) in views {
            if let Some(view) = inner.views.get_mut(i) {
                view.1 = made;
            }
        }
    }

    /// How many entries the current version has.
    #[must_use]
    pub fn len(&self) -> usize {
        let inner = self.inner.read();
        inner.entries.each().filter(|(_, e)| e.version() == inner.current).count()
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
        mut f: impl FnMut(usize, &Entry<'_>),
    ) -> Option<usize> {
        let inner = self.inner.read();
        let version = version.unwrap_or(inner.current);
        for (seen, (number, e)) in inner.entries.from(u32::try_from(from).ok()?).enumerate() {
            if seen == most {
                return Some(number as usize);
            }
            if e.version() == version {
                f(number as usize, &e);
            }
        }
        None
    }

    /// What each view finds for a text (`get map`).
    #[must_use]
    pub fn get(&self, text: &[u8]) -> Vec<Found> {
        let inner = self.inner.read();
        let kind = self.map.then(|| *self.values.lock());
        let found = |(how, made): &(How, Made)| {
            let value = match how.method {
                Method::Ip => Value::str(text).cast(Type::Addr),
                Method::Int | Method::Bool => Value::str(text).cast(Type::Int),
                _ => Some(Value::str(text)),
            };
            let entry = value.and_then(|v| inner.find(made, v)).and_then(|number| inner.entries.get(number));
            let indexed = matches!(how.method, Method::Ip)
                || matches!(how.method, Method::Str | Method::Beg) && !how.fold;
            let kind = kind.flatten().map(|k| k.name_of(entry.as_ref()));
            let entry = entry.map(|e| (e.key.into(), e.value.into()));
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
        let _changing = self.changing();
        self.judge(value)?;
        let hows: Vec<How> = self.inner.read().views.iter().map(|(h, _)| *h).collect();
        for how in hows {
            how.add(&mut Patterns::new(how.method), key, 0)?;
        }
        if self.inner.read().entries.crowded() {
            let roomier = self.inner.read().entries.roomier();
            self.inner.write().entries.take(roomier);
        }
        let mut inner = self.inner.write();
        let version = version.unwrap_or(inner.current);
        let number = inner.entries.push(key, value, version).ok_or("the list is full")?;
        super::tally::added(1);
        if version != inner.current {
            return Ok(());
        }
        let (entries, lines) = inner.lines();
        let hash = entries.hash(key);
        lines.for_each(|l| l.put(hash, key, value));
        let mut others = false;
        for (how, made) in &mut inner.views {
            let Made::Patterns(p) = made else { continue };
            if how.method == Method::Sub {
                others = true;
            } else {
                how.add(p, key, number)?;
                others |= p.loose();
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
                inner.entries.find(key, inner.current).is_some()
            }
        };
        if there { Ok(()) } else { self.add(None, key, value.unwrap_or(b"")) }
    }

    /// Changes the value of entries; false: there is none.
    pub fn set(&self, which: Which<'_>, value: &[u8]) -> bool {
        let _changing = self.changing();
        let mut inner = self.inner.write();
        let found = inner.of(which);
        for i in &found {
            inner.entries.set(*i, value);
            if let Some(key) = inner.entries.get(*i).map(|e| e.key.to_vec()) {
                inner.forget(&key);
            }
        }
        !found.is_empty()
    }

    /// Removes entries; false: there is none.
    pub fn remove(&self, which: Which<'_>) -> bool {
        let _changing = self.changing();
        let mut inner = self.inner.write();
        let found = inner.of(which);
        let Some(key) = found.first().and_then(|n| inner.entries.get(*n)).map(|e| e.key.to_vec()) else {
            return false;
        };
        super::tally::freed(found.len());
        found.iter().for_each(|n| inner.entries.forget(*n));
        inner.forget(&key);
        let last = inner.entries.find(&key, inner.current).is_none();
        for (how, made) in inner.views.iter_mut().filter(|_| last) {
            if let Made::Patterns(p) = made
                && let Set::Exact { exact, folded } = &mut p.set
            {
                let unhexed = (how.method == Method::Bin).then(|| super::unhex(&key).unwrap_or_default());
                let key = unhexed.as_ref().unwrap_or(&key);
                exact.remove(key);
                folded.remove(key);
            }
        }
        if !last || inner.sparse() || inner.views.iter().any(|(_, m)| !m.exact()) {
            drop(inner);
            self.rebuild(!last);
        }
        true
    }

    /// Removes all entries of a version (the current one).
    pub fn clear(&self, version: Option<u32>) {
        let _changing = self.changing();
        let mut inner = self.inner.write();
        let version = version.unwrap_or(inner.current);
        inner.drop_versions(|v| v == version);
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
        let _changing = self.changing();
        let mut inner = self.inner.write();
        if version <= inner.current || version > self.next.load(Ordering::Relaxed) {
            return false;
        }
        inner.current = version;
        inner.drop_versions(|v| v < version);
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
        let Some((_, made)) = inner.views.get(self.index) else { return false };
        match made {
            Made::Patterns(patterns) => patterns.has(value.clone()),
            Made::Keys(lines) => match inner.known(lines, value) {
                Some(Known::Value(_)) => true,
                Some(Known::Elsewhere) => inner.find(made, value.clone()).is_some(),
                Some(Known::Nothing) | None => false,
            },
        }
    }
    /// What `f` makes of key and value of the entry that the value matches, and of the view's patterns and the entry's number
    /// in them; there are none for whole strings whose case matters.
    pub fn lookup<T>(
        &self,
        value: Value<'_>,
        f: impl FnOnce(&[u8], &[u8], Option<&Patterns>, u32) -> T,
    ) -> Option<T> {
        let inner = self.list.inner.read();
        let (_, made) = inner.views.get(self.index)?;
        if let Made::Keys(lines) = made {
            match inner.known(lines, &value)? {
                Known::Value(found) => return Some(f(&text(&value)?, found, None, 0)),
                Known::Nothing => return None,
                Known::Elsewhere => {}
            }
        }
        let number = inner.find(made, value)?;
        let entry = inner.entries.get(number)?;
        Some(f(entry.key, entry.value, made.patterns(), number))
    }
}

#[cfg(test)]
#[path = "shared_tests.rs"]
mod tests;
