//! What statistics know of the process beside its counters; one of it, shared by workers and the control plane.

use parking_lot::Mutex;
use portcullis_config::Model;
use portcullis_proxy::process::Process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The process as statistics see it.
#[derive(Debug)]
pub struct Vitals {
    /// What workers share.
    pub process: Arc<Process>,
    /// What the configuration says.
    model: Mutex<Arc<Model>>,
    /// Wall clock when it started.
    pub started: Duration,
    /// `maxconn` at the start: as far as `set maxconn global` may go.
    pub hard_maxconn: u32,
    /// How many warnings there were at the start.
    pub warnings: u32,
    /// Milliseconds that starting took.
    pub boot_ms: u32,
    /// Sockets of the Runtime API.
    pub sockets: AtomicU32,
    /// Connections of the Runtime API now.
    pub clients: AtomicU32,
    last: LastSecond,
}

/// What is measured once a second.
#[derive(Debug)]
struct LastSecond {
    /// When it ended, in milliseconds of the process' clock.
    at: AtomicU64,
    /// Bytes sent by then.
    bytes: AtomicU64,
    /// Bytes of that second.
    bytes_rate: AtomicU64,
    /// CPU time of the process in microseconds by then.
    cpu: AtomicU64,
    /// Percent of that second in which no worker worked.
    idle: AtomicU32,
}

impl Vitals {
    /// Of a process that begins to run.
    #[must_use]
    pub fn new(process: Arc<Process>, model: Arc<Model>, warnings: u32, boot_ms: u32) -> Self {
        Self {
            started: process.clock.wall().saturating_sub(Duration::from_millis(process.clock.now().0)),
            hard_maxconn: process.counts.conns.limit(),
            warnings,
            boot_ms,
            sockets: AtomicU32::new(0),
            clients: AtomicU32::new(0),
            last: LastSecond {
                at: AtomicU64::new(0),
                bytes: AtomicU64::new(0),
                bytes_rate: AtomicU64::new(0),
                cpu: AtomicU64::new(0),
                idle: AtomicU32::new(100),
            },
            process,
            model: Mutex::new(model),
        }
    }

    /// What the newest configuration says.
    #[must_use]
    pub fn model(&self) -> Arc<Model> {
        self.model.lock().clone()
    }
    /// Another configuration is in force.
    pub fn set_model(&self, model: Arc<Model>) {
        *self.model.lock() = model;
    }

    /// That of a running process, for its workers.
    #[must_use]
    pub fn of(process: &Process) -> Option<&Self> {
        process.statistics()?.downcast_ref()
    }

    /// Bytes sent in the last second.
    #[must_use]
    pub fn bytes_rate(&self) -> u64 {
        self.tick();
        self.last.bytes_rate.load(Relaxed)
    }

    /// Percent of the last second in which no worker worked.
    #[must_use]
    pub fn idle(&self) -> u32 {
        self.tick();
        self.last.idle.load(Relaxed)
    }

    /// Measures again if a second is over. To be called once a second; who reads later than that gets a mean over the
    /// time since.
    pub fn tick(&self) {
        let (last, now) = (&self.last, self.process.clock.now().0);
        let before = last.at.load(Relaxed);
        let span = now.saturating_sub(before);
        let mine = span >= 1000 && last.at.compare_exchange(before, now, Relaxed, Relaxed).is_ok();
        if !mine {
            return;
        }
        let bytes = self.process.counts.counters.sum(|c| c.bytes_out.get());
        let sent = bytes.wrapping_sub(last.bytes.swap(bytes, Relaxed));
        last.bytes_rate.store(sent.saturating_mul(1000) / span, Relaxed);
        let t = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let cpu = (t.tv_sec as u64).saturating_mul(1_000_000) + (t.tv_nsec as u64) / 1000;
        let used = cpu.wrapping_sub(last.cpu.swap(cpu, Relaxed));
        let workers = self.process.load.len().max(1) as u64;
        let busy = (used / (10 * span) / workers).min(100);
        last.idle.store(100 - busy as u32, Relaxed);
    }
}
