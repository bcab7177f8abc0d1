//! One timer wheel a worker: a deadline a task, moved without touching the wheel as long as it moves later.
//!
//! An entry is linked at the time `linked`; its `deadline` may be later, in which case it is linked again when
//! that slot comes up. So pushing a timeout back, which every byte does, is one store.
//!
//! An entry can also be woken once before its deadline, see [`Wheel::lasts`].

use crate::clock::Millis;
use std::task::Waker;

const BITS: u32 = 6;
const SLOTS: usize = 1 << BITS;
const LEVELS: usize = 7;
const NIL: u32 = u32::MAX;
/// Later than this is treated as never (2^42 ms is 139 years).
const HORIZON: u64 = 1 << (BITS * LEVELS as u32);

/// Handle of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerId(u32);

/// One line of the cache: with thousands of connections each request finds it cold.
#[repr(align(64))]
struct Entry {
    deadline: u64,
    linked: u64,
    /// When [`Wheel::lasts`] says yes; 0: it was not asked yet, 1: it has passed.
    patience: u64,
    waker: Option<Waker>,
    prev: u32,
    next: u32,
    slot: u16,
}

const UNLINKED: u16 = u16::MAX;

/// The wheel.
pub struct Wheel {
    entries: Vec<Entry>,
    free: u32,
    used: u32,
    heads: [u32; SLOTS * LEVELS],
    occupied: [u64; LEVELS],
    now: u64,
}

impl Default for Wheel {
    fn default() -> Self {
        Self::new(Millis(0))
    }
}

impl Wheel {
    /// An empty wheel at `now`.
    #[must_use]
    pub fn new(now: Millis) -> Self {
        Self {
            entries: Vec::new(),
            free: NIL,
            used: 0,
            heads: [NIL; SLOTS * LEVELS],
            occupied: [0; LEVELS],
            now: now.0,
        }
    }

    /// A new entry without deadline.
    pub fn add(&mut self) -> TimerId {
        let fresh = Entry {
            deadline: u64::MAX,
            linked: u64::MAX,
            patience: 0,
            waker: None,
            prev: NIL,
            next: NIL,
            slot: UNLINKED,
        };
        self.used += 1;
        if self.free == NIL {
            self.entries.push(fresh);
            TimerId((self.entries.len() - 1) as u32)
        } else {
            let i = self.free;
            self.free = self.entries[i as usize].next;
            self.entries[i as usize] = fresh;
            TimerId(i)
        }
    }

    /// Bytes of an entry, how many there are, how many of them are in use.
    #[must_use]
    pub fn counts(&self) -> [u64; 3] {
        [size_of::<Entry>() as u64, self.entries.len() as u64, self.used.into()]
    }

    /// Gives an entry back.
    pub fn remove(&mut self, id: TimerId) {
        self.unlink(id.0);
        self.used -= 1;
        let e = &mut self.entries[id.0 as usize];
        e.waker = None;
        e.next = self.free;
        self.free = id.0;
    }

    /// Who is woken when the deadline passes.
    #[inline]
    pub fn set_waker(&mut self, id: TimerId, waker: &Waker) {
        let e = &mut self.entries[id.0 as usize];
        match &mut e.waker {
            Some(w) if w.will_wake(waker) => {}
            w => *w = Some(waker.clone()),
        }
    }

    /// Sets the deadline. Returns true if the driver has to look again (it became earlier than all it knew).
    #[inline]
    pub fn set(&mut self, id: TimerId, deadline: Millis) -> bool {
        let e = &mut self.entries[id.0 as usize];
        e.deadline = deadline.0;
        if deadline.0 >= e.linked || deadline == Millis::NEVER {
            return false; // found again when the slot it is linked in comes up
        }
        self.unlink(id.0);
        self.link(id.0, deadline.0);
        true
    }

    /// Has `patience` (ms) passed since this was first asked? The entry is woken when it has; never for a second time.
    /// The second value: as [`Wheel::set`] returns.
    pub fn lasts(&mut self, id: TimerId, now: Millis, patience: u64) -> (bool, bool) {
        let e = &mut self.entries[id.0 as usize];
        if e.patience > 0 {
            return (now.0 >= e.patience, false);
        }
        let until = now.0 + patience;
        e.patience = until;
        if until >= e.linked {
            return (false, false);
        }
        self.unlink(id.0);
        self.link(id.0, until);
        (false, true)
    }

    /// The deadline as it was set.
    #[inline]
    #[must_use]
    pub fn deadline(&self, id: TimerId) -> Millis {
        Millis(self.entries[id.0 as usize].deadline)
    }

    /// Wakes everybody who has an entry, whatever the deadline.
    pub fn wake_all(&self) {
        self.entries.iter().filter_map(|e| e.waker.as_ref()).for_each(Waker::wake_by_ref);
    }

    /// Wakes the one who has this entry.
    pub fn wake(&self, id: TimerId) {
        if let Some(waker) = self.entries.get(id.0 as usize).and_then(|e| e.waker.as_ref()) {
            waker.wake_by_ref();
        }
    }

    /// When the driver has to call [`Wheel::advance`] next, or `None` while nothing is linked.
    #[must_use]
    pub fn next(&self) -> Option<Millis> {
        for level in 0..LEVELS {
            if self.occupied[level] == 0 {
                continue;
            }
            let shift = BITS * level as u32;
            let here = ((self.now >> shift) & (SLOTS as u64 - 1)) as u32;
            let ahead = self.occupied[level].rotate_right(here);
            let distance = u64::from(ahead.trailing_zeros());
            let start = (self.now >> shift) << shift;
            return Some(Millis((start + (distance << shift)).max(self.now)));
        }
        None
    }

    /// Moves to `now` and wakes whoever's deadline has passed.
    pub fn advance(&mut self, now: Millis) {
        while let Some(at) = self.next() {
            if at.0 > now.0 {
                break;
            }
            self.now = at.0;
            self.expire_slot(at.0);
        }
        self.now = self.now.max(now.0);
    }

    /// Empties the slot that `at` falls into on the lowest occupied level.
    fn expire_slot(&mut self, at: u64) {
        let Some(level) = (0..LEVELS).find(|l| self.occupied[*l] != 0) else { return };
        let index = ((at >> (BITS * level as u32)) & (SLOTS as u64 - 1)) as usize;
        let slot = level * SLOTS + index;
        let mut i = std::mem::replace(&mut self.heads[slot], NIL);
        self.occupied[level] &= !(1 << index);
        while i != NIL {
            let e = &mut self.entries[i as usize];
            let next = e.next;
            (e.prev, e.next, e.slot, e.linked) = (NIL, NIL, UNLINKED, u64::MAX);
            let mut again = e.deadline;
            if e.patience > at {
                again = again.min(e.patience);
            }
            if e.deadline <= at || (2..=at).contains(&e.patience) {
                e.patience = e.patience.min(1);
                if let Some(w) = e.waker.take() {
                    w.wake();
                }
            }
            if again > at && again != u64::MAX {
                self.link(i, again);
            }
            i = next;
        }
    }

    fn link(&mut self, i: u32, deadline: u64) {
        let at = deadline.clamp(self.now, self.now.saturating_add(HORIZON - 1));
        let level = level_for(self.now, at);
        let index = ((at >> (BITS * level as u32)) & (SLOTS as u64 - 1)) as usize;
        let slot = level * SLOTS + index;
        let head = self.heads[slot];
        let e = &mut self.entries[i as usize];
        e.linked = at;
        e.slot = slot as u16;
        e.prev = NIL;
        e.next = head;
        if head != NIL {
            self.entries[head as usize].prev = i;
        }
        self.heads[slot] = i;
        self.occupied[level] |= 1 << index;
    }

    fn unlink(&mut self, i: u32) {
        let e = &mut self.entries[i as usize];
        let (prev, next, slot) = (e.prev, e.next, e.slot);
        if slot == UNLINKED {
            return;
        }
        (e.prev, e.next, e.slot, e.linked) = (NIL, NIL, UNLINKED, u64::MAX);
        if next != NIL {
            self.entries[next as usize].prev = prev;
        }
        if prev != NIL {
            self.entries[prev as usize].next = next;
        } else {
            self.heads[slot as usize] = next;
            if next == NIL {
                self.occupied[slot as usize / SLOTS] &= !(1 << (slot as usize % SLOTS));
            }
        }
    }
}

/// The level whose digit is the highest in which the two times differ.
fn level_for(now: u64, at: u64) -> usize {
    let differ = (now ^ at) | (SLOTS as u64 - 1);
    ((63 - differ.leading_zeros()) / BITS).min(LEVELS as u32 - 1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    struct Count(AtomicU32);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn count() -> (Arc<Count>, Waker) {
        let c = Arc::new(Count(AtomicU32::new(0)));
        (c.clone(), Waker::from(c))
    }

    #[test]
    fn fires_once_at_its_time_whatever_the_distance() {
        for distance in [0, 1, 63, 64, 65, 4095, 4096, 5000, 262_144, 300_000, 86_400_000, 2_147_483_647] {
            for start in [0, 1, 63, 4095, 123_456_789] {
                let mut w = Wheel::new(Millis(start));
                let (n, waker) = count();
                let t = w.add();
                w.set_waker(t, &waker);
                w.set(t, Millis(start + distance));
                if distance > 0 {
                    w.advance(Millis(start + distance - 1));
                    assert_eq!(n.0.load(Ordering::Relaxed), 0, "{start}+{distance} too early");
                }
                let mut guard = 0;
                while let Some(at) = w.next() {
                    assert!(at.0 <= start + distance, "{start}+{distance}: next is {at:?}");
                    w.advance(at);
                    guard += 1;
                    assert!(guard < 20);
                }
                assert_eq!(n.0.load(Ordering::Relaxed), 1, "{start}+{distance}");
            }
        }
    }

    #[test]
    fn what_lasts_wakes_once_before_its_deadline() {
        for (patience, deadline) in [(50, 5000), (5000, 100_000), (50, 60), (50, u64::MAX)] {
            let mut w = Wheel::new(Millis(1000));
            let (n, waker) = count();
            let t = w.add();
            w.set_waker(t, &waker);
            w.set(t, if deadline == u64::MAX { Millis::NEVER } else { Millis(1000 + deadline) });
            assert_eq!(w.lasts(t, Millis(1000), patience), (false, true));
            assert_eq!(w.lasts(t, Millis(1000 + patience - 1), patience), (false, false));
            w.advance(Millis(1000 + patience - 1));
            assert_eq!(n.0.load(Ordering::Relaxed), 0);
            w.advance(Millis(1000 + patience));
            assert_eq!(n.0.load(Ordering::Relaxed), 1);
            assert_eq!(w.lasts(t, Millis(1000 + patience), patience), (true, false));
            w.set_waker(t, &waker);
            if deadline != u64::MAX {
                w.advance(Millis(1000 + deadline - 1));
                assert_eq!(n.0.load(Ordering::Relaxed), 1, "once only");
                w.advance(Millis(1000 + deadline));
                assert_eq!(n.0.load(Ordering::Relaxed), 2);
            }
        }
    }

    #[test]
    fn later_is_lazy_earlier_is_at_once_and_never_stays_silent() {
        let mut w = Wheel::new(Millis(1000));
        let (n, waker) = count();
        let t = w.add();
        w.set_waker(t, &waker);
        assert!(w.set(t, Millis(2000)));
        assert!(!w.set(t, Millis(9000)));
        w.advance(Millis(8999));
        assert_eq!(n.0.load(Ordering::Relaxed), 0);
        assert!(w.set(t, Millis(8999)) || w.next().is_some());
        w.advance(Millis(9000));
        assert_eq!(n.0.load(Ordering::Relaxed), 1);
        w.set_waker(t, &waker);
        w.set(t, Millis(9500));
        w.set(t, Millis::NEVER);
        w.advance(Millis(100_000));
        assert_eq!(n.0.load(Ordering::Relaxed), 1);
        assert_eq!(w.next(), None);
    }

    #[test]
    fn against_a_plain_list() {
        let mut seed = 42u64;
        let mut rnd = move || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            seed >> 33
        };
        let mut w = Wheel::new(Millis(0));
        let mut now = 0;
        let all: Vec<_> = (0..50).map(|_| (w.add(), count())).collect();
        let mut due = vec![u64::MAX; 50];
        let mut fired = [0u32; 50];
        for _ in 0..20_000 {
            let i = (rnd() % 50) as usize;
            match rnd() % 3 {
                0 => due[i] = now + rnd() % 100_000,
                1 => due[i] = now + rnd() % 100,
                _ => due[i] = u64::MAX,
            }
            w.set_waker(all[i].0, &all[i].1.1);
            w.set(all[i].0, Millis(due[i]));
            now += rnd() % 500;
            w.advance(Millis(now));
            for k in 0..50 {
                let n = all[k].1.0.0.load(Ordering::Relaxed);
                if due[k] <= now {
                    assert_eq!(n, fired[k] + 1, "timer {k} due {} at {now}", due[k]);
                    (fired[k], due[k]) = (n, u64::MAX);
                    w.set(all[k].0, Millis::NEVER);
                } else {
                    assert_eq!(n, fired[k]);
                }
            }
        }
        for (t, _) in all {
            w.remove(t);
        }
        assert_eq!(w.next(), None);
    }
}
