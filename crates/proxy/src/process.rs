//! What all workers share.

use crate::worker::mailbox::{Address, Mail};
use portcullis_backend::{Descriptors, States};
use portcullis_telemetry::gate::Process as Counts;
use portcullis_telemetry::log::Sinks;
use portcullis_transport::Clock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Pipes in use over all workers (`maxpipes`).
pub static PIPES_USED: AtomicU32 = AtomicU32::new(0);
/// Panics that ended a stream since the process began.
pub static PANICS: AtomicU64 = AtomicU64::new(0);

/// The process: one of it.
#[derive(Debug)]
pub struct Process {
    /// The one clock.
    pub clock: Clock,
    /// Gauges, limits and counters of the whole process; `maxconn` among them.
    pub counts: Arc<Counts>,
    /// Server states, found again by name.
    pub states: States,
    /// Log destinations.
    pub sinks: Sinks,
    /// Descriptors in use, against the pool ratios.
    pub descriptors: Arc<Descriptors>,
    /// Connections on each worker, to hand new ones to the least loaded.
    pub load: Vec<AtomicU32>,
    /// Soft stop: no listener is open any more, kept connections end after the request they are in.
    pub stopping: AtomicBool,
    /// Requests or connections since the process began (`%rt`).
    pub requests: AtomicU32,
    workers: OnceLock<Vec<Address>>,
}

impl Process {
    /// A process of so many workers. `counts` has the limits, `sinks` the rings.
    #[must_use]
    pub fn new(workers: usize, counts: Counts, sinks: Sinks, descriptors: Descriptors) -> Arc<Self> {
        Arc::new(Self {
            clock: Clock::new(),
            counts: Arc::new(counts),
            states: States::new(workers),
            sinks,
            descriptors: Arc::new(descriptors),
            load: (0..workers).map(|_| AtomicU32::new(0)).collect(),
            stopping: AtomicBool::new(false),
            requests: AtomicU32::new(0),
            workers: OnceLock::new(),
        })
    }
    /// Makes the workers' mailboxes known; once.
    pub fn set_workers(&self, all: Vec<Address>) {
        let _ = self.workers.set(all);
    }
    /// The workers' mailboxes.
    #[must_use]
    pub fn workers(&self) -> &[Address] {
        self.workers.get().map_or(&[], Vec::as_slice)
    }
    /// Sends each worker what `mail` makes.
    pub fn tell_all(&self, mail: impl Fn() -> Mail) {
        for w in self.workers() {
            w.send(mail());
        }
    }
    /// Has soft stop begun?
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}
