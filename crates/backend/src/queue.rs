//! Who waits for a slot: a queue a server for requests that persist on it, and one of the backend for all others.
//!
//! One lock a backend guards both kinds; it is touched only when somebody waits. No wake-up is lost: a waiter first
//! raises the count of waiters and then looks for a free slot, a release first frees the slot and then looks at the
//! count, both sequentially consistent, so at least one of them sees the other.

use crate::balance::load::Loads;
use crate::server::{ServerState, SlotGuard};
use parking_lot::Mutex;
use portcullis_telemetry::gauge::Gauge;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use std::task::{Context, Poll, Waker};

/// When it is a request's turn: lower goes first (`set-priority-class`, `set-priority-offset`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority {
    /// Class, -2047 to 2047.
    pub class: i32,
    /// Arrival in milliseconds of the process clock plus the offset (-524287 to 524287).
    pub time: i64,
}

impl Priority {
    /// Of a request that came at `now` (milliseconds).
    pub fn new(class: i32, offset: i32, now: u64) -> Self {
        Self { class, time: i64::try_from(now).unwrap_or(i64::MAX).saturating_add(offset.into()) }
    }
}

/// The server's queue has `maxqueue` requests already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueFull;

/// What a [`Ticket`] brings.
#[derive(Debug)]
pub enum Grant {
    /// A slot, and how many that queue has served since, this one included (`srv_queue` or `backend_queue` in logs, to
    /// be added up over redispatches).
    Slot(SlotGuard, u32),
    /// The server went away: balance again; the number as above.
    Moved(u32),
}

type Key = (Priority, u64);

#[derive(Debug)]
enum Stage {
    Waits,
    Granted(Arc<ServerState>),
    Moved,
}

#[derive(Debug)]
struct Waiter {
    key: Key,
    /// Slot number of the server that it insists on.
    server: Option<u32>,
    /// How many the queue had served when it came; how many it served in between, later.
    passed: u64,
    stage: Stage,
    waker: Option<Waker>,
}

/// One queue: waiters in order, and how many have left it with a slot.
#[derive(Debug, Default)]
struct Line {
    order: BTreeMap<Key, usize>,
    served: u64,
}

#[derive(Debug, Default)]
struct Waiting {
    waiters: Vec<Option<Waiter>>,
    free: Vec<usize>,
    backend: Line,
    servers: Vec<Line>,
    sequence: u64,
}

impl Waiting {
    fn line(&mut self, server: Option<u32>) -> &mut Line {
        match server {
            None => &mut self.backend,
            Some(slot) => {
                let slot = slot as usize;
                if slot >= self.servers.len() {
                    self.servers.resize_with(slot + 1, Line::default);
                }
                &mut self.servers[slot]
            }
        }
    }
    fn first(&self, server: Option<u32>) -> Option<(Key, usize)> {
        let line = match server {
            None => &self.backend,
            Some(slot) => self.servers.get(slot as usize)?,
        };
        line.order.first_key_value().map(|(k, at)| (*k, *at))
    }
}

/// Both kinds of queue of one backend.
#[derive(Debug)]
pub struct Queues {
    waiting: Mutex<Waiting>,
    /// Requests in the backend's queue.
    length: AtomicU32,
    length_max: AtomicU32,
    /// Goes up whenever a slot may have become free; see [`Queues::epoch`].
    epoch: AtomicU64,
    fullconn: AtomicU32,
    /// Requests that servers have now.
    served: AtomicU32,
    /// Servers by load, for `leastconn`.
    pub(crate) loads: Loads,
    /// Sessions of the backend (`beconn`).
    pub(crate) sessions: Arc<Gauge>,
}

impl Queues {
    pub(crate) fn new(fullconn: u32) -> Self {
        Self {
            waiting: Mutex::default(),
            length: AtomicU32::new(0),
            length_max: AtomicU32::new(0),
            epoch: AtomicU64::new(0),
            fullconn: AtomicU32::new(fullconn.max(1)),
            served: AtomicU32::new(0),
            loads: Loads::default(),
            sessions: Arc::new(Gauge::new(0)),
        }
    }
    pub(crate) fn fullconn(&self) -> u32 {
        self.fullconn.load(Relaxed).max(1)
    }
    pub(crate) fn set_fullconn(&self, fullconn: u32) {
        self.fullconn.store(fullconn, Relaxed);
    }
    /// Requests that servers have now.
    pub(crate) fn served(&self) -> u32 {
        self.served.load(Relaxed)
    }
    /// A slot of `server` was taken.
    pub(crate) fn took(&self, server: &ServerState) {
        self.served.fetch_add(1, Relaxed);
        self.loads.note(server);
    }
    /// A slot of `server` was given back.
    pub(crate) fn gave_back(&self, server: &ServerState) {
        self.served.fetch_sub(1, Relaxed);
        self.loads.note(server);
    }
    /// Requests in the backend's queue.
    pub(crate) fn length(&self) -> u32 {
        self.length.load(SeqCst)
    }
    pub(crate) fn clear_highest(&self) {
        self.length_max.store(self.length(), Relaxed);
    }
    pub(crate) fn length_max(&self) -> u32 {
        self.length_max.load(Relaxed)
    }
    /// Changes whenever a limited slot became free. Who read it before looking at all servers in vain and finds it
    /// unchanged after joining the queue has missed nothing.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(SeqCst)
    }

    /// A slot of `server` is free: the first of its queue and of the backend's takes it.
    pub(crate) fn freed(&self, server: &Arc<ServerState>) {
        if server.maxconn() != 0 {
            self.epoch.fetch_add(1, SeqCst);
        }
        if server.queued.load(SeqCst) != 0 || self.length.load(SeqCst) != 0 {
            self.hand_over(server);
        }
    }

    /// Hands free slots of `server` to those who wait, as long as there are both. Yields how many got one.
    #[cold]
    pub(crate) fn hand_over(&self, server: &Arc<ServerState>) -> u32 {
        let mut granted = 0;
        while let Some(waker) = self.grant_one(server) {
            granted += 1;
            if let Some(waker) = waker {
                waker.wake();
            }
        }
        granted
    }

    /// One hand-over: its waker (if it has been polled already), or `None` when nobody waits or nothing is free.
    fn grant_one(&self, server: &Arc<ServerState>) -> Option<Option<Waker>> {
        let mut waiting = self.waiting.lock();
        let own = waiting.first(Some(server.slot));
        let others = if server.in_use.load(SeqCst) { waiting.first(None) } else { None };
        let (from, (key, at)) = match (own, others) {
            (Some(own), Some(other)) if other.0.0 < own.0.0 => (None, other),
            (Some(own), _) => (Some(server.slot), own),
            (None, Some(other)) => (None, other),
            (None, None) => return None,
        };
        if !server.take_slot() {
            return None;
        }
        let line = waiting.line(from);
        line.order.remove(&key);
        line.served += 1;
        let served = line.served;
        self.count_down(from.map(|_| &**server));
        let waker = waiting.waiters.get_mut(at).and_then(Option::as_mut).and_then(|w| {
            w.stage = Stage::Granted(server.clone());
            w.passed = served - w.passed;
            w.waker.take()
        });
        Some(waker)
    }

    /// One fewer waits (in the server's queue, or the backend's); under the lock.
    fn count_down(&self, server: Option<&ServerState>) {
        match server {
            Some(server) => {
                server.queued.fetch_sub(1, SeqCst);
                self.loads.note(server);
            }
            None => {
                self.length.fetch_sub(1, SeqCst);
            }
        }
    }

    /// Joins a queue. The caller looks for free slots afterwards.
    pub(crate) fn join(
        self: &Arc<Self>,
        server: Option<&Arc<ServerState>>,
        priority: Priority,
    ) -> Result<Ticket, QueueFull> {
        let mut waiting = self.waiting.lock();
        let (count, highest) = match server {
            Some(server) => {
                let max = server.maxqueue();
                if max != 0 && server.queued.load(Relaxed) >= max {
                    return Err(QueueFull);
                }
                (&server.queued, &server.queued_max)
            }
            None => (&self.length, &self.length_max),
        };
        waiting.sequence += 1;
        let key = (priority, waiting.sequence);
        let at = waiting.free.pop().unwrap_or_else(|| {
            waiting.waiters.push(None);
            waiting.waiters.len() - 1
        });
        let slot = server.map(|s| s.slot);
        let line = waiting.line(slot);
        line.order.insert(key, at);
        let passed = line.served;
        waiting.waiters[at] = Some(Waiter { key, server: slot, passed, stage: Stage::Waits, waker: None });
        let length = count.fetch_add(1, SeqCst) + 1;
        highest.fetch_max(length, Relaxed);
        if let Some(server) = server {
            self.loads.note(server);
        }
        Ok(Ticket { queues: self.clone(), server: server.cloned(), at: Some(at) })
    }

    /// Everybody in the server's own queue shall balance again (it went down, into maintenance, or away). Yields how many.
    pub(crate) fn redistribute(&self, server: &ServerState) -> u32 {
        let mut wakers = Vec::new();
        let moved;
        {
            let mut waiting = self.waiting.lock();
            let line = waiting.line(Some(server.slot));
            let served = line.served;
            let all = std::mem::take(&mut line.order);
            moved = u32::try_from(all.len()).unwrap_or(u32::MAX);
            for at in all.into_values() {
                server.queued.fetch_sub(1, SeqCst);
                if let Some(w) = waiting.waiters.get_mut(at).and_then(Option::as_mut) {
                    w.stage = Stage::Moved;
                    w.passed = served - w.passed;
                    wakers.extend(w.waker.take());
                }
            }
            self.loads.note(server);
        }
        wakers.into_iter().for_each(Waker::wake);
        moved
    }
}

/// A place in a queue; await it. Dropped early (timeout, abort) it leaves the queue, and a slot that it was given
/// meanwhile goes to the next.
#[derive(Debug)]
#[must_use = "dropped at once it leaves the queue"]
pub struct Ticket {
    queues: Arc<Queues>,
    /// Whose queue; none: the backend's.
    server: Option<Arc<ServerState>>,
    at: Option<usize>,
}

impl Ticket {
    /// The server in whose own queue it waits; none: the backend's.
    pub fn server(&self) -> Option<&Arc<ServerState>> {
        self.server.as_ref()
    }
    /// Looks without waiting.
    pub fn try_take(&mut self) -> Option<Grant> {
        self.look(None)
    }

    fn look(&mut self, waker: Option<&Waker>) -> Option<Grant> {
        let at = self.at?;
        let mut waiting = self.queues.waiting.lock();
        let place = waiting.waiters.get_mut(at)?;
        match place.as_mut() {
            Some(w) if matches!(w.stage, Stage::Waits) => {
                if let Some(waker) = waker
                    && !w.waker.as_ref().is_some_and(|old| old.will_wake(waker))
                {
                    w.waker = Some(waker.clone());
                }
                return None;
            }
            _ => {}
        }
        let waiter = place.take()?;
        waiting.free.push(at);
        self.at = None;
        drop(waiting);
        let passed = u32::try_from(waiter.passed).unwrap_or(u32::MAX);
        match waiter.stage {
            Stage::Granted(server) => Some(Grant::Slot(SlotGuard::holding(server), passed)),
            Stage::Moved | Stage::Waits => Some(Grant::Moved(passed)),
        }
    }

    /// How many that queue has served since this one joined (for the log of a request that gives up).
    pub fn passed(&self) -> u32 {
        let Some(at) = self.at else { return 0 };
        let waiting = self.queues.waiting.lock();
        let Some(Some(w)) = waiting.waiters.get(at) else { return 0 };
        let passed = match w.stage {
            Stage::Waits => {
                let line = match w.server {
                    None => Some(&waiting.backend),
                    Some(slot) => waiting.servers.get(slot as usize),
                };
                line.map_or(0, |l| l.served - w.passed)
            }
            _ => w.passed,
        };
        u32::try_from(passed).unwrap_or(u32::MAX)
    }
}

impl Future for Ticket {
    type Output = Grant;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Grant> {
        match self.look(Some(cx.waker())) {
            Some(grant) => Poll::Ready(grant),
            None => Poll::Pending,
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let Some(at) = self.at.take() else { return };
        let left = {
            let mut waiting = self.queues.waiting.lock();
            let Some(waiter) = waiting.waiters.get_mut(at).and_then(Option::take) else { return };
            waiting.free.push(at);
            if matches!(waiter.stage, Stage::Waits) {
                waiting.line(waiter.server).order.remove(&waiter.key);
                self.queues.count_down(self.server.as_deref());
            }
            waiter
        };
        if let Stage::Granted(server) = left.stage {
            // it came too late: the slot goes on
            drop(SlotGuard::holding(server));
        }
    }
}

#[cfg(test)]
mod model;
