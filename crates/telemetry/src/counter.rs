//! Counters with one writer each, in shards that are summed when somebody reads.
//!
//! A worker adds to its own shard with a relaxed load and store: no locked instruction, no cache line that
//! travels. Readers (statistics, Prometheus) sum the shards.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A cumulative counter with a single writer (its worker) and any number of readers.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. Only the owner of the shard may call this; two writers would lose counts.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }
    /// Adds one.
    #[inline]
    pub fn inc(&self) {
        self.add(1);
    }
    /// The value so far.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
    /// Back to zero (`clear counters all`); an addition of the owner at that very moment may survive.
    pub fn clear(&self) {
        self.0.store(0, Relaxed);
    }
}

/// The highest value seen, with a single writer.
#[derive(Debug, Default)]
pub struct Highest(AtomicU64);

impl Highest {
    /// Takes `value` into account.
    #[inline]
    pub fn see(&self, value: u64) {
        if value > self.0.load(Relaxed) {
            self.0.store(value, Relaxed);
        }
    }
    /// The highest value so far.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
    /// Forgets it.
    pub fn clear(&self) {
        self.0.store(0, Relaxed);
    }
}

/// Two cache lines, so that the prefetcher does not pair the shards of two workers.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line<T>(T);

/// One `T` a worker, made at its first use (ten thousand idle servers cost nothing), and one more for everybody
/// who is no worker.
#[derive(Debug)]
pub struct Sharded<T> {
    shards: Box<[OnceLock<Box<Line<T>>>]>,
}

impl<T: Default> Sharded<T> {
    /// Shards for this many workers.
    pub fn new(workers: usize) -> Self {
        Self { shards: (0..=workers).map(|_| OnceLock::new()).collect() }
    }
    /// The shard of worker `worker` (from 0); every number beyond the workers means the control plane's.
    #[inline]
    pub fn of(&self, worker: usize) -> &T {
        let at = worker.min(self.shards.len() - 1);
        &self.shards[at].get_or_init(Box::default).0
    }
    /// The shards in use.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.shards.iter().filter_map(|s| s.get()).map(|l| &l.0)
    }
    /// The shards in use with the number of their worker; the control plane's has the number of workers.
    pub fn numbered(&self) -> impl Iterator<Item = (usize, &T)> {
        self.shards.iter().enumerate().filter_map(|(at, s)| s.get().map(|l| (at, &l.0)))
    }
    /// The sum of one counter over all shards.
    pub fn sum(&self, field: impl Fn(&T) -> u64) -> u64 {
        self.iter().fold(0, |sum, shard| sum.wrapping_add(field(shard)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_summed() {
        let all: Sharded<Counter> = Sharded::new(2);
        assert_eq!(all.iter().count(), 0, "nothing is allocated before its first use");
        all.of(0).add(3);
        all.of(1).inc();
        all.of(7).inc();
        all.of(usize::MAX).inc();
        assert_eq!(all.sum(Counter::get), 6);
        assert_eq!(all.iter().count(), 3);
        all.iter().for_each(Counter::clear);
        assert_eq!(all.sum(Counter::get), 0);
    }

    #[test]
    fn highest_keeps_the_highest() {
        let h = Highest::default();
        h.see(4);
        h.see(2);
        assert_eq!(h.get(), 4);
    }
}
