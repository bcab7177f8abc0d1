//! Records on their way to the thread that sends them: each worker puts them into a lane of its own. What finds no room is counted
//! and dropped; nobody waits.

use parking_lot::Mutex;
use portcullis_wire::otlp::Signal;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::sync::Notify;

/// What the section says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of each kind that may wait.
    pub bytes: u64,
    /// Records that are worth being sent at once.
    pub batch: u32,
}

/// Records that wait to be sent.
#[derive(Debug)]
pub struct Outbox([Bin; 2]);

/// Those of one kind.
#[derive(Debug)]
struct Bin {
    lanes: Box<[Lane]>,
    fresh: AtomicU64,
    bell: Notify,
    counts: Counts,
}

/// Those of one worker. (A line of the processor's cache for each.)
#[derive(Debug, Default)]
#[repr(align(64))]
struct Lane(Mutex<(Vec<u8>, u64)>);

/// What became of records.
#[derive(Debug, Default)]
pub struct Counts {
    /// Bytes that wait, those that are being sent included.
    pub bytes: AtomicU64,
    /// The same in records.
    pub waiting: AtomicU64,
    /// The collector has taken them.
    pub sent: AtomicU64,
    /// It has not wanted them.
    pub rejected: AtomicU64,
    /// There was no room.
    pub dropped: AtomicU64,
    /// They could not be sent for too long.
    pub expired: AtomicU64,
    /// Requests that have failed, those that are tried again included.
    pub failures: AtomicU64,
}

impl Outbox {
    /// For so many workers.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self(Signal::ALL.map(|_| Bin {
            lanes: (0..workers.max(1)).map(|_| Lane::default()).collect(),
            fresh: AtomicU64::new(0),
            bell: Notify::new(),
            counts: Counts::default(),
        }))
    }
    fn of(&self, signal: Signal) -> &Bin {
        let [traces, logs] = &self.0;
        match signal {
            Signal::Traces => traces,
            Signal::Logs => logs,
        }
    }
    /// What became of records of this kind.
    #[must_use]
    pub fn counts(&self, signal: Signal) -> &Counts {
        &self.of(signal).counts
    }
    /// Adds a record, if there is room for it.
    pub fn put(&self, worker: usize, signal: Signal, limits: Limits, record: &[u8]) {
        let of = self.of(signal);
        let len = record.len() as u64;
        if of.counts.bytes.fetch_add(len, Relaxed) + len > limits.bytes {
            of.counts.bytes.fetch_sub(len, Relaxed);
            of.counts.dropped.fetch_add(1, Relaxed);
            return;
        }
        of.counts.waiting.fetch_add(1, Relaxed);
        if let Some(lane) = of.lanes.get(worker % of.lanes.len()) {
            let mut lane = lane.0.lock();
            lane.0.extend_from_slice(record);
            lane.1 += 1;
        }
        if of.fresh.fetch_add(1, Relaxed) + 1 == u64::from(limits.batch) {
            of.bell.notify_one();
        }
    }
    /// Everything that was added since. Whoever takes it says what became of it ([`Outbox::settle`]).
    pub fn take(&self, signal: Signal, into: &mut Vec<u8>) {
        let of = self.of(signal);
        for lane in &of.lanes {
            let (bytes, records) = std::mem::take(&mut *lane.0.lock());
            of.fresh.fetch_sub(records, Relaxed);
            match into.is_empty() {
                true => *into = bytes,
                false => into.extend_from_slice(&bytes),
            }
        }
    }
    /// Records do not wait any more. What became of them is to be counted here.
    pub fn settle(&self, signal: Signal, (bytes, records): (usize, u32)) -> &Counts {
        let counts = self.counts(signal);
        counts.bytes.fetch_sub(bytes as u64, Relaxed);
        counts.waiting.fetch_sub(records.into(), Relaxed);
        counts
    }
    /// Is nothing of this kind there to be taken?
    #[must_use]
    pub fn is_empty(&self, signal: Signal) -> bool {
        self.of(signal).fresh.load(Relaxed) == 0
    }
    /// Waits until there are enough records for a batch, or somebody else rings.
    pub async fn filled(&self, signal: Signal) {
        self.of(signal).bell.notified().await;
    }
    /// Whoever waits shall look.
    pub fn ring(&self) {
        self.0.iter().for_each(|b| b.bell.notify_one());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { bytes: 10, batch: 2 };

    #[test]
    fn what_finds_no_room_is_dropped() {
        let outbox = Outbox::new(2);
        let counts = outbox.counts(Signal::Logs);
        outbox.put(0, Signal::Logs, LIMITS, b"12345");
        outbox.put(5, Signal::Logs, LIMITS, b"67890");
        outbox.put(0, Signal::Logs, LIMITS, b"x");
        outbox.put(0, Signal::Traces, LIMITS, b"x");
        assert_eq!((counts.waiting.load(Relaxed), counts.dropped.load(Relaxed)), (2, 1));
        let mut taken = Vec::new();
        outbox.take(Signal::Logs, &mut taken);
        assert_eq!(taken, b"1234567890");
        assert!(outbox.is_empty(Signal::Logs) && !outbox.is_empty(Signal::Traces));
        // what is being sent takes its room still
        outbox.put(0, Signal::Logs, LIMITS, b"x");
        assert_eq!(counts.dropped.load(Relaxed), 2);
        outbox.settle(Signal::Logs, (10, 2)).sent.fetch_add(2, Relaxed);
        outbox.put(0, Signal::Logs, LIMITS, b"x");
        assert_eq!((counts.waiting.load(Relaxed), counts.sent.load(Relaxed)), (1, 2));
    }

    #[test]
    fn a_whole_batch_rings() {
        let outbox = Outbox::new(1);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let rung = || {
            runtime.block_on(async {
                let wait = std::time::Duration::from_millis(1);
                tokio::time::timeout(wait, outbox.filled(Signal::Traces)).await.is_ok()
            })
        };
        outbox.put(0, Signal::Traces, LIMITS, b"1");
        assert!(!rung());
        outbox.put(0, Signal::Traces, LIMITS, b"2");
        assert!(rung());
        assert!(!rung());
    }
}
