//! `leastconn`: usable servers by load over weight.
//!
//! A server's load changes when it takes, gives back or queues a request, wherever that happens, so this order has a
//! lock of its own, below all others; it is not touched unless the backend's algorithm needs it. Equals take turns at
//! random: one enters one of four lists of its key, a choice begins with any list and takes its oldest.

use crate::server::ServerState;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// Backup?, key, list, order of arrival, slot number.
type Entry = (bool, u32, u8, u64, u32);

const LISTS: u8 = 4;

/// The servers of one backend in order of load.
#[derive(Debug, Default)]
pub(crate) struct Loads {
    kept: AtomicBool,
    order: Mutex<Order>,
}

#[derive(Debug, Default)]
struct Order {
    set: BTreeSet<Entry>,
    /// By slot number: effective weight, and the entry while it has one.
    servers: Vec<(u32, Option<Entry>)>,
    arrivals: u64,
    random: super::Xorshift,
}

/// Lower goes first.
pub(super) fn key(load: u32, eweight: u32) -> u32 {
    if load == 0 { 0 } else { load.wrapping_add(1).wrapping_mul(4096) / eweight.max(1) }
}

impl Order {
    fn enter(&mut self, server: &ServerState) {
        let slot = server.slot;
        let Some((eweight, entry)) = self.servers.get_mut(slot as usize) else { return };
        let key = key(server.load(), *eweight);
        let backup = server.backup();
        if let Some(old) = *entry {
            if (old.0, old.1) == (backup, key) && *eweight > 0 {
                return;
            }
            self.set.remove(&old);
            *entry = None;
        }
        if *eweight > 0 {
            self.arrivals += 1;
            let list = (self.random.next() % u32::from(LISTS)) as u8;
            let new = (backup, key, list, self.arrivals, slot);
            *entry = Some(new);
            self.set.insert(new);
        }
    }
}

impl Loads {
    /// Begins to keep the order, of nobody yet; or stops.
    pub(super) fn keep(&self, on: bool) {
        *self.order.lock() = Order::default();
        self.kept.store(on, SeqCst);
    }

    /// This server has this effective weight now (0: it is not usable).
    pub(super) fn weigh(&self, server: &ServerState, eweight: u32) {
        let mut order = self.order.lock();
        let at = server.slot as usize;
        if order.servers.len() <= at {
            order.servers.resize(at + 1, (0, None));
        }
        order.servers[at].0 = eweight;
        // its place depends on the weight
        if let Some(old) = order.servers[at].1.take() {
            order.set.remove(&old);
        }
        order.enter(server);
    }

    /// This server's load has changed.
    #[inline]
    pub(crate) fn note(&self, server: &ServerState) {
        if self.kept.load(SeqCst) {
            self.order.lock().enter(server);
        }
    }

    /// The least loaded for which `accepts` says so, by slot number.
    pub(super) fn least(&self, backup: bool, mut accepts: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut order = self.order.lock();
        let first = order.random.next() as u8 % LISTS;
        let mut from = 0;
        loop {
            let key = order.set.range((backup, from, 0, 0, 0)..).next().filter(|e| e.0 == backup)?.1;
            for list in (first..LISTS).chain(0..first) {
                let equals = (backup, key, list, 0, 0)..=(backup, key, list, u64::MAX, u32::MAX);
                if let Some(found) = order.set.range(equals).find(|e| accepts(e.4)) {
                    return Some(found.4);
                }
            }
            from = key.checked_add(1)?;
        }
    }
}
