//! What commands work on: the process, its Plan, its model, and what the control plane itself counts.

use parking_lot::Mutex;
use portcullis_config::runtime::Desk;
use portcullis_config::{Model, Registry};
use portcullis_proxy::plan::Plan;
use portcullis_proxy::process::Process;
use portcullis_stats::Vitals;
use portcullis_telemetry::stats::ProcessCounters;
use portcullis_tls::live::Live;
use portcullis_tls::settings::GlobalTls;
use portcullis_transport::Sockets;
use portcullis_upkeep::{Exporter, Upkeep};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Facts about the process that somebody else knows.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Everything that was said while starting (`show startup-logs`).
    pub startup_logs: Option<fn() -> String>,
    /// Names of the configuration files.
    pub files: Vec<String>,
    /// What the system said of the process when it started.
    pub boot: crate::commands::inside::Boot,
}

/// How the configuration is read again in place went.
#[derive(Debug)]
pub struct Reloaded {
    /// It is in force.
    pub success: bool,
    /// What was said, in lines.
    pub text: String,
}

/// Somebody who wants to know.
#[derive(Debug)]
pub struct Asker(pub(crate) tokio::sync::oneshot::Sender<Reloaded>);

impl Asker {
    /// Tells how it went.
    pub fn tell(self, done: Reloaded) {
        // it may be gone
        let _ = self.0.send(done);
    }
}

/// Has the configuration read again, and the asker told. It must not block.
pub type Reloads = Box<dyn Fn(Asker) + Send + Sync>;

/// How long the process waits for the control plane to accept nobody any more.
const PATIENCE: Duration = Duration::from_millis(500);

/// Has the control plane accept nobody any more.
#[derive(Debug, Default)]
pub(crate) struct Hush {
    pub(crate) wanted: Notify,
    done: (std::sync::Mutex<bool>, std::sync::Condvar),
}

impl Hush {
    /// Nobody is accepted any more.
    pub(crate) fn done(&self) {
        *self.done.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.done.1.notify_all();
    }
}

/// The process as commands see it.
pub struct Admin {
    /// What workers share.
    pub process: Arc<Process>,
    /// Facts from the start.
    pub about: About,
    /// Who reads the configuration again.
    pub reloads: Option<Reloads>,
    /// What statistics know of the process.
    pub vitals: Arc<Vitals>,
    /// The listening sockets of the process.
    pub listening: Arc<dyn Sockets>,
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
    /// Most bytes of a payload, its mark included (`tune.cli.max-payload-size`, but what fits into a buffer always does).
    pub max_payload: usize,
    /// Every row of the binary.
    pub registry: Registry,
    /// What lines are read on that come while the process runs.
    pub desk: Mutex<Option<Desk>>,
    /// Who keeps certificates fresh, if there are some.
    pub upkeep: Option<Arc<Upkeep>>,
    /// Who sends what workers tell a collector.
    pub exporter: Option<Arc<Exporter>>,
    /// Certificates, and changes to them that are in the making.
    pub tls: Mutex<Live>,
    pub(crate) hush: Hush,
    first: Arc<Plan>,
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

impl Admin {
    /// For a process that begins to run this plan.
    #[must_use]
    pub fn new(
        vitals: Arc<Vitals>,
        plan: Arc<Plan>,
        listening: Arc<dyn Sockets>,
        about: About,
        registry: Registry,
    ) -> Self {
        let (process, model) = (vitals.process.clone(), vitals.model());
        let config = model.global.ext.get::<crate::socket::CliConfig>().cloned().unwrap_or_default();
        Self {
            vitals,
            listening,
            sockets: Vec::new(),
            timeout: config.timeout.unwrap_or(Duration::from_secs(10)),
            maxconn: config.maxconn.unwrap_or(10) as usize,
            bufsize: model.global.tune.bufsize,
            clients: Mutex::default(),
            anon_key: AtomicU32::new(config.anon_key),
            max_payload: config
                .max_payload
                .unwrap_or(128 * 1024)
                .max(model.global.tune.bufsize.saturating_sub(1)),
            first: plan,
            registry,
            desk: Mutex::default(),
            tls: Mutex::new(Live {
                global: model.global.ext.get::<GlobalTls>().cloned().unwrap_or_default(),
                ..Live::default()
            }),
            hush: Hush::default(),
            process,
            about,
            reloads: None,
            upkeep: None,
            exporter: None,
        }
    }

    /// The newest plan.
    #[must_use]
    pub fn plan(&self) -> Arc<Plan> {
        self.process.newest().unwrap_or_else(|| self.first.clone())
    }
    /// What the newest configuration says.
    #[must_use]
    pub fn model(&self) -> Arc<Model> {
        self.vitals.model()
    }
    /// Another configuration is in force. What lines were read on is given up.
    pub fn follow(&self, model: Arc<Model>) {
        let global = model.global.ext.get::<GlobalTls>().cloned().unwrap_or_default();
        self.tls.lock().follow(global);
        *self.desk.lock() = None;
        self.vitals.set_model(model);
    }
    /// Accepts nobody on the sockets any more: they may be the next process' as well, which is the one to answer once this one has
    /// given its listening sockets up. Waits until that is so, but not for long.
    pub fn leave(&self) {
        self.hush.wanted.notify_one();
        let done = self.hush.done.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = self.hush.done.1.wait_timeout_while(done, PATIENCE, |done| !*done);
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
}
