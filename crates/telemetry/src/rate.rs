//! Events a second over a sliding second, as HAProxy's `rate` statistics count them.
//!
//! A second of the process clock is counted in `current`; the last whole second weighs in with the part of it
//! that the sliding second still covers. Each shard has one writer; the sum over the shards is the process's.

use std::sync::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};

/// One worker's part of a rate.
#[derive(Debug)]
pub struct Rate {
    /// The second that `current` counts, or [`BUSY`] while its owner turns it.
    second: AtomicU32,
    current: AtomicU32,
    previous: AtomicU32,
}

const BUSY: u32 = u32::MAX;

impl Default for Rate {
    fn default() -> Self {
        Self { second: AtomicU32::new(0), current: AtomicU32::new(0), previous: AtomicU32::new(0) }
    }
}

/// What some shards counted about one moment; add them up, then ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Events of the second that runs.
    pub current: u64,
    /// Events of the second before.
    pub previous: u64,
}

impl Window {
    /// Events a second at `now` (milliseconds of the process clock).
    pub fn per_second(self, now: u64) -> u64 {
        self.current + self.previous * (1000 - now % 1000) / 1000
    }
    /// How long, in milliseconds, until one more event keeps the rate under `limit`; 0: at once.
    pub fn delay(self, limit: u64, now: u64) -> u64 {
        if limit == 0 || self.per_second(now) < limit {
            return 0;
        }
        let rest = 1000 - now % 1000;
        if self.current >= limit {
            // this second is used up: what it counted must fade in the next one
            return rest + 1000 * (self.current - limit) / self.current + 1;
        }
        // the millisecond of this second at which the last one has faded enough
        let room = limit - self.current;
        let at = 1000 * self.previous.saturating_sub(room) / self.previous.max(1) + 1;
        at.saturating_sub(now % 1000).clamp(1, rest)
    }
}

impl std::ops::Add for Window {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { current: self.current + other.current, previous: self.previous + other.previous }
    }
}

impl std::iter::Sum for Window {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |a, b| a + b)
    }
}

impl Rate {
    /// Counts one event at `now` (milliseconds of the process clock). Only the owner of the shard may call this.
    /// True when a second has ended with it: the time to look for a new maximum ([`Rate::finished`]).
    #[inline]
    pub fn hit(&self, now: u64) -> bool {
        let second = second(now);
        // what began in the second before, and is counted only now, does not turn it back
        if self.second.load(Relaxed) >= second {
            self.current.store(self.current.load(Relaxed).saturating_add(1), Relaxed);
            return false;
        }
        self.turn(second);
        true
    }

    #[cold]
    fn turn(&self, second: u32) {
        let before = self.second.load(Relaxed);
        let last = if before.wrapping_add(1) == second { self.current.load(Relaxed) } else { 0 };
        self.second.store(BUSY, Relaxed);
        fence(Release);
        self.previous.store(last, Relaxed);
        self.current.store(1, Relaxed);
        self.second.store(second, Release);
    }

    /// What this shard knows about `now`.
    pub fn window(&self, now: u64) -> Window {
        let (counted, current, previous) = self.read();
        let second = second(now);
        if counted == second {
            Window { current: current.into(), previous: previous.into() }
        } else if counted.wrapping_add(1) == second {
            Window { current: 0, previous: current.into() }
        } else {
            Window::default()
        }
    }

    /// Events of the last whole second before `now`.
    pub fn finished(&self, now: u64) -> u64 {
        self.window(now).previous
    }

    /// Second, count and count before, from one moment (a handful of tries, then what there is).
    fn read(&self) -> (u32, u32, u32) {
        let mut seen = (BUSY, 0, 0);
        for _ in 0..8 {
            let before = self.second.load(Acquire);
            seen = (before, self.current.load(Relaxed), self.previous.load(Relaxed));
            fence(Acquire);
            if before != BUSY && self.second.load(Relaxed) == before {
                return seen;
            }
            std::hint::spin_loop();
        }
        seen
    }

    /// Forgets all.
    pub fn clear(&self) {
        self.current.store(0, Relaxed);
        self.previous.store(0, Relaxed);
    }
}

fn second(now: u64) -> u32 {
    // 0 is a second like any other; BUSY is reached after 136 years
    (now / 1000) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slides() {
        let r = Rate::default();
        for i in 0..10 {
            r.hit(5000 + i * 100);
        }
        assert_eq!(r.window(5999).per_second(5999), 10);
        assert_eq!(r.window(6000).per_second(6000), 10);
        assert_eq!(r.window(6500).per_second(6500), 5);
        assert_eq!(r.window(6999).per_second(6999), 0);
        assert_eq!(r.window(7000).per_second(7000), 0);
    }

    #[test]
    fn turning_tells_the_finished_second() {
        let r = Rate::default();
        assert!(r.hit(9000));
        assert!(!r.hit(9999));
        assert!(r.hit(10_000));
        assert_eq!(r.finished(10_000), 2);
        assert!(r.hit(12_000), "a second without events lies between");
        assert_eq!(r.finished(12_000), 0);
    }

    #[test]
    fn delay_is_just_long_enough() {
        for (previous, current, limit, now) in
            [(10, 0, 10, 4000), (100, 3, 10, 4250), (0, 10, 10, 4900), (7, 20, 10, 4001)]
        {
            let w = Window { current, previous };
            let wait = w.delay(limit, now);
            assert!(wait > 0);
            let then = now + wait;
            let later = if then / 1000 == now / 1000 { w } else { Window { current: 0, previous: current } };
            let later = if then / 1000 > now / 1000 + 1 { Window::default() } else { later };
            assert!(later.per_second(then) < limit, "{previous} {current} {limit} {now}: {wait}");
        }
        assert_eq!(Window { current: 5, previous: 0 }.delay(6, 100), 0);
        assert_eq!(Window { current: 5, previous: 0 }.delay(0, 100), 0);
    }
}
