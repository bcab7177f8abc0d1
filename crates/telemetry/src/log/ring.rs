//! `ring` sections: the last events in memory (manual section 12.5), read by `show events`.

use super::stamp::Stamp;
use portcullis_config::LogFraming;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
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
}

impl RingConfig {
    /// With the defaults of the manual: one buffer (`tune.bufsize`) in size, raw.
    pub fn new(name: impl Into<String>, bufsize: usize) -> Self {
        Self { name: name.into(), description: None, size: bufsize, maxlen: bufsize, format: LogFraming::Raw }
    }
}

/// A ring of events; the oldest make room for new ones.
#[derive(Debug)]
pub struct Ring {
    config: RingConfig,
    events: Mutex<Events>,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Events {
    /// Each event: its length in four bytes, then itself.
    bytes: VecDeque<u8>,
    /// Number of the oldest event.
    first: u64,
    /// Number of the next event.
    next: u64,
    wakers: Vec<Waker>,
}

const PREFIX: usize = 4;

impl Events {
    fn drop_oldest(&mut self) {
        let len = self.length_at(0);
        self.bytes.drain(..(PREFIX + len).min(self.bytes.len()));
        self.first += 1;
    }
    fn length_at(&self, at: usize) -> usize {
        let mut len = [0; PREFIX];
        for (to, from) in len.iter_mut().zip(self.bytes.iter().skip(at)) {
            *to = *from;
        }
        u32::from_le_bytes(len) as usize
    }
}

impl Ring {
    /// An empty ring.
    pub fn new(config: RingConfig) -> Self {
        Self { config, events: Mutex::default(), dropped: AtomicU64::new(0) }
    }
    /// Its section.
    pub fn config(&self) -> &RingConfig {
        &self.config
    }
    /// Events that did not fit (longer than the ring).
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
    fn lock(&self) -> MutexGuard<'_, Events> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an event (without newline), cut to `maxlen`.
    pub fn push(&self, event: &[u8]) {
        let event = event.get(..self.config.maxlen).unwrap_or(event);
        if event.len() + PREFIX > self.config.size {
            self.dropped.fetch_add(1, Relaxed);
            return;
        }
        let wakers = {
            let mut events = self.lock();
            while events.bytes.len() + event.len() + PREFIX > self.config.size {
                events.drop_oldest();
            }
            events.bytes.extend((event.len() as u32).to_le_bytes());
            events.bytes.extend(event);
            events.next += 1;
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

    /// Number of the oldest event that is there, and of the next one to come.
    pub fn range(&self) -> (u64, u64) {
        let events = self.lock();
        (events.first, events.next)
    }

    /// Appends events from number `from` on to `to`, each followed by `end`, until that is `limit` bytes long; yields
    /// the number to go on with. Events that are gone already are skipped.
    pub fn read(&self, from: u64, end: u8, limit: usize, to: &mut Vec<u8>) -> u64 {
        let events = self.lock();
        let mut at = 0;
        let mut number = events.first;
        while number < events.next && to.len() < limit {
            let len = events.length_at(at);
            if number >= from {
                to.extend(events.bytes.range(at + PREFIX..at + PREFIX + len));
                to.push(end);
            }
            at += PREFIX + len;
            number += 1;
        }
        number.max(from)
    }

    /// Calls this waker at the next event, unless there is one from number `from` on already (then false).
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
}
