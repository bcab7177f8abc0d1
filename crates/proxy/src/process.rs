//! What all workers share.

use crate::worker::gate::Gate;
use crate::worker::mailbox::{Address, Mail};
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
    /// `maxconn` of the process.
    pub connections: Arc<Gate>,
    /// Connections on each worker, to hand new ones to the least loaded.
    pub load: Vec<AtomicU32>,
    /// Soft stop: no listener is open any more, kept connections end after the request they are in.
    pub stopping: AtomicBool,
    /// Requests or connections since the process began (`%rt`).
    pub requests: AtomicU32,
    workers: OnceLock<Vec<Address>>,
}

impl Process {
    /// A process of so many workers, with `maxconn`.
    #[must_use]
    pub fn new(workers: usize, maxconn: u32) -> Arc<Self> {
        Arc::new(Self {
            clock: Clock::new(),
            connections: Gate::new(maxconn),
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
