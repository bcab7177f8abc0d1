//! How many connections a server has, a worker.

use crate::server::ServerState;
use portcullis_telemetry::counter::Sharded;
use portcullis_telemetry::gauge::Gauge;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// One worker's connections to one server; written by that worker only.
#[derive(Debug, Default)]
pub struct WorkerIdle {
    idle: AtomicU32,
    safe: AtomicU32,
    private: AtomicU32,
    pub(super) used: AtomicU32,
    /// Most in use since the last purge.
    used_max: AtomicU32,
    /// How many are probably needed.
    need: AtomicU32,
}

#[inline]
fn up(n: &AtomicU32) -> u32 {
    let now = n.load(Relaxed).wrapping_add(1);
    n.store(now, Relaxed);
    now
}
#[inline]
fn down(n: &AtomicU32) {
    n.store(n.load(Relaxed).saturating_sub(1), Relaxed);
}

impl WorkerIdle {
    /// Idle connections that were never reused.
    pub fn idle(&self) -> u32 {
        self.idle.load(Relaxed)
    }
    /// Idle connections that were reused before.
    pub fn safe(&self) -> u32 {
        self.safe.load(Relaxed)
    }
    pub(super) fn of(&self, class: super::Class) -> &AtomicU32 {
        match class {
            super::Class::Idle => &self.idle,
            super::Class::Safe => &self.safe,
            super::Class::Private => &self.private,
        }
    }
    pub(super) fn add(&self, class: super::Class) {
        up(self.of(class));
    }
    pub(super) fn sub(&self, class: super::Class) {
        down(self.of(class));
    }
    fn begin_use(&self) {
        let now = up(&self.used);
        if now > self.used_max.load(Relaxed) {
            self.used_max.store(now, Relaxed);
        }
    }
    /// May one that is in use rest, or are there as many as are needed (the most that were in use lately)?
    #[inline]
    pub(super) fn has_room(&self, more: u32) -> bool {
        let (used, most) =
            (self.used.load(Relaxed), self.used_max.load(Relaxed).max(self.need.load(Relaxed)));
        self.idle() + self.safe() + used <= most.max(used).saturating_add(more)
    }
    /// How many of the shared idle ones are more than needed; and begins a new period of measurement.
    pub(super) fn excess(&self) -> u32 {
        let used = self.used.load(Relaxed);
        let peak = self.used_max.load(Relaxed).max(used);
        // rises at once, falls by half of the difference
        let need = peak.max((self.need.load(Relaxed) + peak) / 2);
        self.need.store(need, Relaxed);
        self.used_max.store(used, Relaxed);
        (self.idle() + self.safe() + used).saturating_sub(need)
    }
}

/// Connections to a server over all workers.
#[derive(Debug)]
pub struct IdleCounts {
    pub(super) workers: Sharded<WorkerIdle>,
}

impl IdleCounts {
    pub(crate) fn new(workers: usize) -> Self {
        Self { workers: Sharded::new(workers) }
    }
    fn sum(&self, of: impl Fn(&WorkerIdle) -> &AtomicU32) -> u32 {
        self.workers.iter().map(|w| of(w).load(Relaxed)).fold(0, u32::saturating_add)
    }
    /// Idle connections that others may use (`srv_icur`).
    pub fn shared(&self) -> u32 {
        self.unsafe_idle().saturating_add(self.safe())
    }
    /// Those never reused (`idle_conn_cur`).
    pub fn unsafe_idle(&self) -> u32 {
        self.sum(|w| &w.idle)
    }
    /// Those reused before (`safe_conn_cur`).
    pub fn safe(&self) -> u32 {
        self.sum(|w| &w.safe)
    }
    /// Private ones (`priv_idle_cur`).
    pub fn private(&self) -> u32 {
        self.sum(|w| &w.private)
    }
    /// All connections, those that are being made included, as seen after every change that came before.
    pub fn all(&self) -> u32 {
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
        self.sum(|w| &w.used).saturating_add(self.shared()).saturating_add(self.private())
    }
    /// Connections in use (`used_conn_cur`).
    pub fn used(&self) -> u32 {
        self.sum(|w| &w.used)
    }
    /// Most in use since the last purge.
    pub fn used_max(&self) -> u32 {
        self.sum(|w| &w.used_max)
    }
    /// Shared idle connections of each of so many workers.
    pub fn each(&self, workers: usize) -> impl Iterator<Item = u32> {
        (0..workers).map(|w| {
            let found = self.workers.numbered().find(|(n, _)| *n == w);
            found.map_or(0, |(_, c)| c.idle() + c.safe())
        })
    }
    /// How many are probably needed (`need_conn_est`).
    pub fn need(&self) -> u32 {
        self.workers
            .iter()
            .map(|w| w.need.load(Relaxed).max(w.used_max.load(Relaxed)))
            .fold(0, u32::saturating_add)
    }
}

/// A connection's belonging to a server; counts it as used until it rests in a pool or is dropped.
#[derive(Debug)]
pub struct Lease {
    server: Arc<ServerState>,
    /// Who uses it, or [`RESTS`]. (Two words without padding: it is moved in and out of pools all the time.)
    worker: u32,
    reuses: u32,
}

/// No worker uses it.
const RESTS: u32 = u32::MAX;

impl Lease {
    /// Of a new connection that `worker` makes to `server`: it is in use.
    pub fn new(server: Arc<ServerState>, worker: usize) -> Self {
        let mut lease = Self { server, worker: RESTS, reuses: 0 };
        lease.begin(worker);
        lease
    }
    /// Of nobody's connection: nothing is counted.
    pub fn of_nobody(server: Arc<ServerState>) -> Self {
        Self { server, worker: RESTS, reuses: 0 }
    }
    /// One more request goes over it while it works.
    pub fn again(&mut self) {
        self.reuses = self.reuses.saturating_add(1);
    }
    /// Whose connection.
    #[inline]
    pub fn server(&self) -> &Arc<ServerState> {
        &self.server
    }
    /// How often it was taken from a pool.
    #[inline]
    pub fn reuses(&self) -> u32 {
        self.reuses
    }
    /// It works for `worker` again: call after it was taken from a pool, with the worker that will use it.
    #[inline]
    pub fn resume(&mut self, worker: usize) {
        self.reuses = self.reuses.saturating_add(1);
        self.begin(worker);
    }
    #[inline]
    fn begin(&mut self, worker: usize) {
        self.rest();
        self.server.idle.workers.of(worker).begin_use();
        self.worker = worker as u32;
    }
    #[inline]
    pub(super) fn rest(&mut self) {
        if self.worker != RESTS {
            down(&self.server.idle.workers.of(self.worker as usize).used);
            self.worker = RESTS;
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.rest();
    }
}

/// Descriptors of the process, against `tune.pool-low-fd-ratio` and `tune.pool-high-fd-ratio`. Whoever opens and closes
/// connections counts them here.
#[derive(Debug, Default)]
pub struct Descriptors {
    used: AtomicU32,
    base: u32,
    clients: Arc<Gauge>,
    low: u32,
    high: u32,
}

impl Descriptors {
    /// With the most descriptors that the process may open (0: no bounds) and the two ratios in percent.
    pub fn new(max: u32, low_ratio: u32, high_ratio: u32) -> Self {
        let part =
            |ratio: u32| u32::try_from(u64::from(max) * u64::from(ratio.min(100)) / 100).unwrap_or(u32::MAX);
        Self { low: part(low_ratio), high: part(high_ratio), ..Self::default() }
    }
    /// With descriptors that are open anyway, and the gauge of clients' connections, which take one each.
    #[must_use]
    pub fn with(self, base: u32, clients: Arc<Gauge>) -> Self {
        Self { base, clients, ..self }
    }
    /// One more is open.
    pub fn add(&self) {
        self.used.fetch_add(1, Relaxed);
    }
    /// One was closed.
    pub fn sub(&self) {
        self.used.fetch_sub(1, Relaxed);
    }
    /// How many are open.
    pub fn used(&self) -> u32 {
        self.used.load(Relaxed) + self.base + self.clients.get()
    }
    /// Too many to keep another idle connection.
    pub fn above_low(&self) -> bool {
        self.low != 0 && self.used() >= self.low
    }
    /// So many that an idle connection must be closed before a new one is made ([`super::IdlePool::evict`]).
    pub fn above_high(&self) -> bool {
        self.high != 0 && self.used() >= self.high
    }
}
