//! What workers keep for later use, and what their tasks take: the pools of `show pools` (management manual 6).

use portcullis_proxy::process::{PIPES_USED, Process};
use portcullis_telemetry::ledger::{Held, Kind, Ledger};
use std::sync::atomic::Ordering::Relaxed;

/// Objects of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// What they are called.
    pub name: String,
    /// Bytes of one.
    pub size: u64,
    /// How many there are.
    pub allocated: u64,
    /// How many of them are in use.
    pub used: u64,
    /// How many there are on each worker, and in use there.
    pub workers: Vec<(u64, u64)>,
}

impl Pool {
    /// Bytes of all of them.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.allocated.saturating_mul(self.size)
    }
    fn new(name: String, size: u64, workers: Vec<(u64, u64)>) -> Self {
        // a task may end on another worker than it is counted on: only the sum is right then
        let sum = |of: fn(&(u64, u64)) -> u64| {
            let sum = workers.iter().map(of).fold(0u64, u64::wrapping_add);
            if sum > i64::MAX as u64 { 0 } else { sum }
        };
        Self { name, size, allocated: sum(|w| w.0), used: sum(|w| w.1), workers }
    }
}

/// All of them, as workers have noted it last.
#[must_use]
pub fn all(process: &Process) -> Vec<Pool> {
    let ledgers = &process.ledgers;
    let held = Held::ALL.iter().map(|(kind, name)| {
        let size = ledgers.iter().map(|l| l.held(*kind)[0]).max().unwrap_or(0);
        let part = |l: &Ledger| {
            let [_, allocated, used] = l.held(*kind);
            (allocated, used)
        };
        let mut pool = Pool::new((*name).to_owned(), size, ledgers.iter().map(part).collect());
        if *kind == Held::Pipe {
            let used = u64::from(PIPES_USED.load(Relaxed));
            (pool.allocated, pool.used) = (pool.allocated + used, used);
        }
        pool
    });
    let tasks = Kind::ALL.iter().filter_map(|kind| {
        let size = ledgers.iter().filter_map(|l| l.work(*kind)).map(|w| w.size()).max()?;
        let part = |l: &Ledger| {
            let alive = l.work(*kind).map_or(0, portcullis_telemetry::ledger::Work::alive);
            (alive, alive)
        };
        Some(Pool::new(format!("task_{}", kind.name()), size.into(), ledgers.iter().map(part).collect()))
    });
    held.chain(tasks).collect()
}

/// Bytes of all pools, and of what is in use of them.
#[must_use]
pub fn bytes(process: &Process) -> (u64, u64) {
    all(process).iter().fold((0, 0), |(all, used), p| (all + p.bytes(), used + p.used * p.size))
}
