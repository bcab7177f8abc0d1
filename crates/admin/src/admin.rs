//! What commands work on: the process, its Plan, its model, and what the control plane itself counts.

use parking_lot::Mutex;
use portcullis_config::Model;
use portcullis_proxy::plan::Plan;
use portcullis_proxy::process::Process;
use portcullis_telemetry::stats::ProcessCounters;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Facts about the process that somebody else knows.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Everything that was said while starting (`show startup-logs`).
    pub startup_logs: String,
    /// How many warnings were among it.
    pub warnings: u32,
    /// Names of the configuration files.
    pub files: Vec<String>,
    /// Milliseconds that starting took.
    pub boot_ms: u32,
}

/// The process as commands see it.
pub struct Admin {
    /// What workers share.
    pub process: Arc<Process>,
    /// What the configuration says.
    pub model: Arc<Model>,
    /// Facts from the start.
    pub about: About,
    /// Wall clock when it started.
    pub started: Duration,
    /// `maxconn` at the start: as far as `set maxconn global` may go.
    pub hard_maxconn: u32,
    /// Addresses and levels of the sockets.
    pub sockets: Vec<(String, crate::Level)>,
    /// Longest time that a connection may be silent.
    pub timeout: Duration,
    /// Most connections at the same time.
    pub maxconn: usize,
    /// Most bytes of a command line.
    pub bufsize: usize,
    /// Connections of the Runtime API now.
    pub clients: Mutex<Vec<Client>>,
    /// Key of `set anon global-key`; 0: none.
    pub anon_key: AtomicU32,
    /// Sent in the last whole second, and the CPU time of the process at its end.
    pub last_second: LastSecond,
    plan: Mutex<Arc<Plan>>,
}

/// A connection of the Runtime API, as `show sess` lists it.
#[derive(Clone, Debug)]
pub struct Client {
    /// The number that stands for it.
    pub id: u64,
    /// `unix_stream`, `tcpv4`, `tcpv6`
    pub protocol: &'static str,
    /// Where it comes from.
    pub source: String,
    /// When it came, in milliseconds of the process' clock.
    pub since: u64,
}

/// What is measured once a second.
#[derive(Debug, Default)]
pub struct LastSecond {
    /// Bytes sent by then.
    pub bytes: AtomicU64,
    /// Bytes of that second.
    pub bytes_rate: AtomicU64,
    /// CPU time of the process in microseconds by then.
    pub cpu: AtomicU64,
    /// Percent of that second in which no worker worked.
    pub idle: AtomicU32,
}

impl Admin {
    /// For a process that begins to run this plan.
    #[must_use]
    pub fn new(process: Arc<Process>, plan: Arc<Plan>, model: Arc<Model>, about: About) -> Self {
        let config = model.global.ext.get::<crate::socket::CliConfig>().cloned().unwrap_or_default();
        Self {
            started: process.clock.wall().saturating_sub(Duration::from_millis(process.clock.now().0)),
            hard_maxconn: process.counts.conns.limit(),
            sockets: Vec::new(),
            timeout: config.timeout.unwrap_or(Duration::from_secs(10)),
            maxconn: config.maxconn.unwrap_or(10) as usize,
            bufsize: model.global.tune.bufsize,
            clients: Mutex::default(),
            anon_key: AtomicU32::new(0),
            last_second: LastSecond { idle: AtomicU32::new(100), ..LastSecond::default() },
            plan: Mutex::new(plan),
            process,
            model,
            about,
        }
    }

    /// The newest plan.
    #[must_use]
    pub fn plan(&self) -> Arc<Plan> {
        self.plan.lock().clone()
    }
    /// A new plan is in force.
    pub fn set_plan(&self, plan: Arc<Plan>) {
        *self.plan.lock() = plan;
    }
    /// Now, in milliseconds of the process' clock.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.process.clock.now().0
    }
    /// The control plane's own counters.
    #[must_use]
    pub fn counters(&self) -> &ProcessCounters {
        self.process.counts.counters.of(usize::MAX)
    }

    /// To be called once a second.
    pub fn tick(&self) {
        let last = &self.last_second;
        let bytes = self.process.counts.counters.sum(|c| c.bytes_out.get());
        last.bytes_rate.store(bytes.wrapping_sub(last.bytes.swap(bytes, Relaxed)), Relaxed);
        let t = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let cpu = (t.tv_sec as u64).saturating_mul(1_000_000) + (t.tv_nsec as u64) / 1000;
        let used = cpu.wrapping_sub(last.cpu.swap(cpu, Relaxed));
        let workers = self.process.load.len().max(1) as u64;
        let busy = (used / 10_000 / workers).min(100);
        last.idle.store(100 - busy as u32, Relaxed);
    }
}
