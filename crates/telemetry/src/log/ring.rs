//! `ring` sections: the last events in memory, or in a file in memory (manual section 12.5). They are read by `show events`
//! and by those who send them to servers; what such a [`Reader`] has not had yet makes no room for newer events.
//!
//! An event's place is the number of bytes that were ever written before it, so that it is found at once.

use super::stamp::Stamp;
use super::store::Store;
use portcullis_config::LogFraming;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

/// A `ring` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingConfig {
    /// Its name.
    pub name: String,
    /// `description`; the name if not said.
    pub description: Option<String>,
    /// `size` in bytes.
    pub size: usize,
    /// `maxlen` of an event in bytes, header included.
    pub maxlen: usize,
    /// `format`; unspecified is raw.
    pub format: LogFraming,
    /// `backing-file`
    pub file: Option<PathBuf>,
}

impl RingConfig {
    /// With the defaults of the manual: one buffer (`tune.bufsize`) in size, raw.
    pub fn new(name: impl Into<String>, bufsize: usize) -> Self {
        Self {
            name: name.into(),
            description: None,
            size: bufsize,
            maxlen: bufsize,
            format: LogFraming::Raw,
            file: None,
        }
    }
}

/// A ring of events; the oldest make room for new ones.
#[derive(Debug)]
pub struct Ring {
    config: RingConfig,
    events: Mutex<Events>,
    dropped: AtomicU64,
}

/// Each event is its length in four bytes, then itself.
#[derive(Debug)]
struct Events {
    store: Store,
    /// Place of the oldest event.
    first: u64,
    /// Place of the next event.
    next: u64,
    wakers: Vec<Waker>,
    /// Who must not miss anything: a number of their own, and where they are.
    readers: Vec<(u64, u64)>,
}

const PREFIX: usize = 4;

impl Events {
    fn length_at(&self, place: u64) -> usize {
        let mut length = [0; PREFIX];
        let [head, tail] = self.store.slices(place, PREFIX);
        for (to, from) in length.iter_mut().zip(head.iter().chain(tail)) {
            *to = *from;
        }
        u32::from_le_bytes(length) as usize
    }
    /// Makes room for so many bytes; false: somebody still has to read what is in the way.
    fn make_room(&mut self, bytes: usize) -> bool {
        let held = self.readers.iter().map(|r| r.1).min().unwrap_or(u64::MAX);
        while self.next - self.first + bytes as u64 > self.store.len() as u64 {
            if held <= self.first {
                return false;
            }
            self.first += (PREFIX + self.length_at(self.first)) as u64;
        }
        true
    }
    fn add(&mut self, event: &[u8]) {
        self.store.put(self.next, &(event.len() as u32).to_le_bytes());
        self.store.put(self.next + PREFIX as u64, event);
        self.next += (PREFIX + event.len()) as u64;
        self.store.note(self.first, self.next);
    }
}

impl Ring {
    /// An empty ring in memory.
    pub fn new(config: RingConfig) -> Self {
        Self::over(Store::memory(config.size), config)
    }
    /// An empty ring in its `backing-file`, or in memory if it has none. A file that is there becomes `<file>.bak`.
    ///
    /// # Errors
    /// The file cannot be made or mapped.
    pub fn open(config: RingConfig) -> std::io::Result<Self> {
        match &config.file {
            Some(path) => Ok(Self::over(Store::file(path, config.size)?, config)),
            None => Ok(Self::new(config)),
        }
    }
    fn over(store: Store, config: RingConfig) -> Self {
        let events = Events { store, first: 0, next: 0, wakers: Vec::new(), readers: Vec::new() };
        Self { config, events: Mutex::new(events), dropped: AtomicU64::new(0) }
    }
    /// Its section.
    pub fn config(&self) -> &RingConfig {
        &self.config
    }
    /// Events that found no room: longer than the ring, or a reader was too slow.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
    fn lock(&self) -> MutexGuard<'_, Events> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an event (without newline), cut to `maxlen`.
    pub fn push(&self, event: &[u8]) {
        let event = event.get(..self.config.maxlen).unwrap_or(event);
        let wakers = {
            let mut events = self.lock();
            let bytes = PREFIX + event.len();
            if bytes > events.store.len() || !events.make_room(bytes) {
                self.dropped.fetch_add(1, Relaxed);
                return;
            }
            events.add(event);
            std::mem::take(&mut events.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Adds an event of the process itself, in the ring's format.
    pub fn note(&self, wall: Duration, text: &[u8]) {
        let mut event = Vec::with_capacity(text.len() + 40);
        if !matches!(self.config.format, LogFraming::Raw | LogFraming::Unspecified | LogFraming::Iso) {
            event.extend_from_slice(b"<0>");
        }
        if !matches!(
            self.config.format,
            LogFraming::Raw | LogFraming::Unspecified | LogFraming::Short | LogFraming::Priority
        ) {
            let mut stamp = Stamp::default();
            stamp.at(wall);
            stamp.push_iso(wall, &mut event);
            event.push(b' ');
        }
        event.extend_from_slice(text);
        self.push(&event);
    }

    /// Place of the oldest event that is there, and of the next one to come.
    pub fn range(&self) -> (u64, u64) {
        let events = self.lock();
        (events.first, events.next)
    }

    /// Shows events from place `from` on, in two parts each, as long as `each` wants more; yields the place to go on with.
    /// Events that are gone already are skipped.
    pub fn visit(&self, from: u64, mut each: impl FnMut([&[u8]; 2]) -> bool) -> u64 {
        let events = self.lock();
        let mut at = from.max(events.first);
        while at < events.next {
            let length = events.length_at(at);
            let more = each(events.store.slices(at + PREFIX as u64, length));
            at = Self::behind(at, length);
            if !more {
                break;
            }
        }
        at
    }

    /// The place behind an event of this length at this place.
    #[must_use]
    pub fn behind(place: u64, length: usize) -> u64 {
        place + (PREFIX + length) as u64
    }

    /// Appends events from place `from` on to `to`, each followed by `end`, until that is `limit` bytes long; yields the
    /// place to go on with. Events that are gone already are skipped.
    pub fn read(&self, from: u64, end: u8, limit: usize, to: &mut Vec<u8>) -> u64 {
        if to.len() >= limit {
            return from;
        }
        self.visit(from, |parts| {
            parts.iter().for_each(|part| to.extend_from_slice(part));
            to.push(end);
            to.len() < limit
        })
    }

    /// Calls this waker at the next event, unless there is one from place `from` on already (then false).
    pub fn wait(&self, from: u64, waker: &Waker) -> bool {
        let mut events = self.lock();
        if events.next > from {
            return false;
        }
        if !events.wakers.iter().any(|w| w.will_wake(waker)) {
            events.wakers.push(waker.clone());
        }
        true
    }

    /// Reads from place `from` on, or from the oldest event that is still there; nothing is lost from now on.
    pub fn attach(self: &Arc<Self>, from: u64) -> Reader {
        let mut events = self.lock();
        let id = events.readers.iter().map(|r| r.0 + 1).max().unwrap_or(0);
        let place = from.max(events.first);
        events.readers.push((id, place));
        Reader { ring: self.clone(), id }
    }
}

/// Somebody who has to get every event; until it is dropped.
#[derive(Debug)]
pub struct Reader {
    ring: Arc<Ring>,
    id: u64,
}

impl Reader {
    /// Where it is.
    #[must_use]
    pub fn place(&self) -> u64 {
        self.ring.lock().readers.iter().find(|r| r.0 == self.id).map_or(0, |r| r.1)
    }
    /// It has everything before this place.
    pub fn advance(&self, place: u64) {
        if let Some(own) = self.ring.lock().readers.iter_mut().find(|r| r.0 == self.id) {
            own.1 = place;
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.ring.lock().readers.retain(|r| r.0 != self.id);
    }
}
