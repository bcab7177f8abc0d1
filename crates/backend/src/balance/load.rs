//! `leastconn`: usable servers by load over weight.
//!
//! A server's load changes when it takes, gives back or queues a request, wherever that happens, so this order has a
//! lock of its own, below all others; it is not touched unless the backend's algorithm needs it. Equals take turns at
//! random: one enters one of four lists of its key, a choice begins with any list and takes its oldest.

use crate::server::ServerState;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

const LISTS: usize = 4;

/// No server.
const NONE: u32 = u32::MAX;

/// The servers of one backend in order of load.
#[derive(Debug, Default)]
pub(crate) struct Loads {
    kept: AtomicBool,
    order: Mutex<Order>,
}

/// Whether they are backups, and their key: lower goes first.
type Rank = (bool, u32);

/// Every change costs the same however many servers there are: ranks are few, and lists run through the seats.
#[derive(Debug, Default)]
struct Order {
    /// Only ranks that somebody has.
    ranks: BTreeMap<Rank, [List; LISTS]>,
    /// By slot number.
    seats: Vec<Seat>,
    random: super::Xorshift,
}

/// Servers in order of arrival, by slot number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct List {
    first: u32,
    last: u32,
}

/// A server: its effective weight, and where it stands if it is usable.
#[derive(Clone, Copy, Debug)]
struct Seat {
    eweight: u32,
    /// Its rank and its list there.
    place: Option<(Rank, u8)>,
    before: u32,
    behind: u32,
}

impl Default for List {
    fn default() -> Self {
        Self { first: NONE, last: NONE }
    }
}

impl Default for Seat {
    fn default() -> Self {
        Self { eweight: 0, place: None, before: NONE, behind: NONE }
    }
}

/// Lower goes first.
pub(super) fn key(load: u32, eweight: u32) -> u32 {
    if load == 0 { 0 } else { load.wrapping_add(1).wrapping_mul(4096) / eweight.max(1) }
}

impl Order {
    fn enter(&mut self, server: &ServerState) {
        let slot = server.slot;
        let Some(seat) = self.seats.get(slot as usize) else { return };
        let rank = (server.backup(), key(server.load(), seat.eweight));
        if seat.place.is_some_and(|(now, _)| now == rank) && seat.eweight > 0 {
            return;
        }
        self.leave(slot);
        if self.seats[slot as usize].eweight > 0 {
            let list = self.random.next() as usize % LISTS;
            self.append(slot, rank, list);
        }
    }

    fn append(&mut self, slot: u32, rank: Rank, list: usize) {
        let ends = &mut self.ranks.entry(rank).or_default()[list];
        let before = std::mem::replace(&mut ends.last, slot);
        if before == NONE {
            ends.first = slot;
        } else {
            self.seats[before as usize].behind = slot;
        }
        let seat = &mut self.seats[slot as usize];
        (seat.before, seat.behind, seat.place) = (before, NONE, Some((rank, list as u8)));
    }

    fn leave(&mut self, slot: u32) {
        let Seat { place, before, behind, .. } = self.seats[slot as usize];
        let Some((rank, list)) = place else { return };
        self.seats[slot as usize].place = None;
        let Some(lists) = self.ranks.get_mut(&rank) else { return };
        let ends = &mut lists[usize::from(list)];
        match before {
            NONE => ends.first = behind,
            _ => self.seats[before as usize].behind = behind,
        }
        match behind {
            NONE => ends.last = before,
            _ => self.seats[behind as usize].before = before,
        }
        if lists.iter().all(|l| l.first == NONE) {
            self.ranks.remove(&rank);
        }
    }

    /// The servers of a list, the oldest first.
    fn walk(&self, list: List) -> impl Iterator<Item = u32> {
        let given = |slot: u32| (slot != NONE).then_some(slot);
        std::iter::successors(given(list.first), move |slot| given(self.seats[*slot as usize].behind))
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
        if order.seats.len() <= at {
            order.seats.resize(at + 1, Seat::default());
        }
        // its place depends on the weight
        order.leave(server.slot);
        order.seats[at].eweight = eweight;
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
        let first = order.random.next() as usize % LISTS;
        for (_, lists) in order.ranks.range((backup, 0)..=(backup, u32::MAX)) {
            for list in (first..LISTS).chain(0..first) {
                if let Some(found) = order.walk(lists[list]).find(|slot| accepts(*slot)) {
                    return Some(found);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(order: &Order, rank: Rank, list: usize) -> Vec<u32> {
        order.ranks.get(&rank).map_or_else(Vec::new, |lists| order.walk(lists[list]).collect())
    }

    #[test]
    fn lists_keep_the_order_of_arrival() {
        let mut order = Order { seats: vec![Seat::default(); 5], ..Order::default() };
        let rank = (false, 0);
        (0..5).for_each(|slot| order.append(slot, rank, 1));
        order.leave(2);
        order.leave(0);
        order.leave(4);
        assert_eq!(slots(&order, rank, 1), [1, 3]);
        order.append(2, rank, 1);
        order.append(0, rank, 3);
        assert_eq!((slots(&order, rank, 1), slots(&order, rank, 3)), (vec![1, 3, 2], vec![0]));
        (0..5).for_each(|slot| order.leave(slot));
        assert!(order.ranks.is_empty(), "a rank that nobody has is forgotten");
    }
}
