//! What all workers share.

use crate::altered::Altered;
use crate::dns::Counters;
use crate::plan::Plan;
use crate::worker::mailbox::{Address, Mail};
use parking_lot::Mutex;
use portcullis_backend::{Descriptors, States};
use portcullis_config::ProxyKind;
use portcullis_sample::Random;
use portcullis_telemetry::gate::{Frontend, Listener, Process as Counts};
use portcullis_telemetry::ledger::Ledgers;
use portcullis_telemetry::log::Sinks;
use portcullis_tls::tickets::Cache;
use portcullis_transport::{Clock, Millis};
use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Pipes in use over all workers (`maxpipes`).
pub static PIPES_USED: AtomicU32 = AtomicU32::new(0);

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
    /// Streams that connections were offered.
    pub offered: crate::h2::Offered,
    /// Connections on each worker, to hand new ones to the least loaded.
    pub load: Vec<AtomicU32>,
    /// What the workers do.
    pub ledgers: Ledgers,
    /// What operators did to servers of the configuration.
    pub altered: Mutex<Altered>,
    /// A soft stop was asked for (sample `stopping`); with `grace`, nothing else has changed yet.
    pub stopping: AtomicBool,
    leaving: Leaving,
    /// The last malformed messages.
    pub captured: crate::captured::CapturedErrors,
    /// Requests or connections since the process began (`%rt`).
    pub requests: AtomicU32,
    workers: OnceLock<Vec<Address>>,
    statistics: OnceLock<Arc<dyn Any + Send + Sync>>,
    voice: OnceLock<Voice>,
    programs: OnceLock<crate::check::external::Office>,
    node: OnceLock<String>,
    newest: Mutex<Option<Arc<Plan>>>,
    nameservers: Mutex<HashMap<(String, String), Arc<Counters>>>,
    fronts: Mutex<HashMap<(Box<str>, ProxyKind), Front>>,
    listeners: Mutex<HashMap<ListenerKey, Arc<Listener>>>,
    tls_sessions: OnceLock<Arc<Cache>>,
    /// Records for a collector (`otel`).
    pub outbox: Arc<crate::otel::Outbox>,
}

/// Its frontend, its text, which of several of that text it is, and whether it speaks TLS.
type ListenerKey = (Box<str>, Box<str>, (usize, bool));

/// A frontend's state, and the `maxconn` and `rate-limit sessions` that its configuration says.
#[derive(Debug)]
struct Front {
    state: Arc<Frontend>,
    said: (u32, u32),
}

/// How something is said on standard error; it must not block.
pub type Voice = fn(portcullis_config::Severity, &str);

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
            offered: Default::default(),
            load: (0..workers).map(|_| AtomicU32::new(0)).collect(),
            ledgers: Ledgers::new(workers),
            altered: Mutex::default(),
            stopping: AtomicBool::new(false),
            leaving: Leaving { since: AtomicU64::new(0), window: AtomicU64::new(NEVER) },
            captured: Default::default(),
            requests: AtomicU32::new(0),
            workers: OnceLock::new(),
            statistics: OnceLock::new(),
            voice: OnceLock::new(),
            programs: OnceLock::new(),
            node: OnceLock::new(),
            newest: Mutex::default(),
            nameservers: Mutex::default(),
            fronts: Mutex::default(),
            listeners: Mutex::default(),
            tls_sessions: OnceLock::new(),
            outbox: Arc::new(crate::otel::Outbox::new(workers)),
        })
    }
    /// Keeps what the room of statistics knows of the whole process; once.
    pub fn set_statistics(&self, all: Arc<dyn Any + Send + Sync>) {
        let _ = self.statistics.set(all);
    }
    /// What was kept by [`Process::set_statistics`].
    #[must_use]
    pub fn statistics(&self) -> Option<&(dyn Any + Send + Sync)> {
        self.statistics.get().map(|a| &**a)
    }
    /// Makes the workers' mailboxes known; once.
    pub fn set_workers(&self, all: Vec<Address>) {
        let _ = self.workers.set(all);
    }
    /// How words reach standard error from now on; nothing is said before.
    pub fn set_voice(&self, voice: Voice) {
        let _ = self.voice.set(voice);
    }
    /// Says it on standard error.
    pub fn say(&self, severity: portcullis_config::Severity, text: &str) {
        if let Some(voice) = self.voice.get() {
            voice(severity, text);
        }
    }
    /// Who runs programs for checks.
    pub fn set_programs(&self, office: crate::check::external::Office) {
        let _ = self.programs.set(office);
    }
    /// Who runs programs for checks, if any check needs one.
    #[must_use]
    pub fn programs(&self) -> Option<&crate::check::external::Office> {
        self.programs.get()
    }
    /// The counters of a name server of a `resolvers` section, found again by name.
    #[must_use]
    pub fn nameserver(&self, section: &str, name: &str) -> Arc<Counters> {
        let mut all = self.nameservers.lock();
        all.entry((section.to_owned(), name.to_owned())).or_default().clone()
    }
    /// The newest plan that workers were given, which some of them may not have taken yet.
    #[must_use]
    pub fn newest(&self) -> Option<Arc<Plan>> {
        self.newest.lock().clone()
    }
    /// Makes a plan the newest, from the one that was it; workers have to be told. Changes come one after the other.
    ///
    /// # Errors
    /// What `make` says.
    pub fn renew<E>(
        &self,
        make: impl FnOnce(Option<&Arc<Plan>>) -> Result<Arc<Plan>, E>,
    ) -> Result<Arc<Plan>, E> {
        let mut newest = self.newest.lock();
        let plan = make(newest.as_ref())?;
        *newest = Some(plan.clone());
        Ok(plan)
    }
    /// The state of a frontend, found again by name. A limit that the configuration changes holds; one that only an operator
    /// has changed stays.
    #[must_use]
    pub fn frontend(&self, (name, kind): (&str, ProxyKind), maxconn: u32, rate_limit: u32) -> Arc<Frontend> {
        let mut all = self.fronts.lock();
        let new = || Front {
            state: Arc::new(Frontend::new(self.load.len(), maxconn, rate_limit)),
            said: (maxconn, rate_limit),
        };
        let front = all.entry((name.into(), kind)).or_insert_with(new);
        if front.said.0 != maxconn {
            front.state.sessions.set_limit(maxconn);
        }
        if front.said.1 != rate_limit {
            front.state.rate_limit.store(rate_limit, Ordering::Relaxed);
        }
        front.said = (maxconn, rate_limit);
        front.state.clone()
    }
    /// Gauge and counters of an address of a frontend, found again by its text (and which of several of that text it is).
    #[must_use]
    pub fn listener(&self, frontend: &str, bind: &str, nth: (usize, bool), maxconn: u32) -> Arc<Listener> {
        let mut all = self.listeners.lock();
        let new = || Arc::new(Listener { tls: nth.1, ..Listener::new(self.load.len(), maxconn) });
        let listener = all.entry((frontend.into(), bind.into(), nth)).or_insert_with(new);
        if listener.conns.limit() != maxconn {
            listener.conns.set_limit(maxconn);
        }
        listener.clone()
    }
    /// TLS sessions that clients may resume; made once.
    pub fn tls_sessions(&self, make: impl FnOnce() -> Arc<Cache>) -> Arc<Cache> {
        self.tls_sessions.get_or_init(make).clone()
    }
    /// Forgets what the newest plan has no more; who still holds it ends in peace.
    pub fn retain(&self, before: &crate::plan::Plan, plan: &crate::plan::Plan) {
        self.captured.follow(|old| {
            let old = before.proxies.get(old)?;
            plan.proxies.iter().find(|p| p.name == old.name && p.kind == old.kind).map(|p| p.index)
        });
        let names: std::collections::HashSet<&str> = plan.proxies.iter().map(|p| &*p.name).collect();
        self.states.retain(|name| names.contains(name));
        self.fronts.lock().retain(|(name, _), _| names.contains(&**name));
        let listeners: std::collections::HashSet<usize> =
            plan.listeners.iter().map(|l| l.identity()).collect();
        self.listeners.lock().retain(|_, l| listeners.contains(&(Arc::as_ptr(l) as usize)));
        let asked: std::collections::HashSet<(&str, &str)> =
            plan.resolvers.iter().flat_map(|r| r.nameservers.iter().map(|n| (&*r.name, &*n.name))).collect();
        self.nameservers
            .lock()
            .retain(|(section, name), _| asked.contains(&(section.as_str(), name.as_str())));
    }
    /// `node`, or the system's name.
    pub fn set_node(&self, name: String) {
        let _ = self.node.set(name);
    }
    /// The name of this node.
    #[must_use]
    pub fn node(&self) -> &str {
        self.node.get().map_or("", String::as_str)
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
    /// Kept connections end from now on, spread over `window` (`close-spread-time`); zero: each at once; `None`: none
    /// of them is made to.
    pub fn leave(&self, window: Option<Duration>) {
        let window = window.map_or(NEVER, |w| u64::try_from(w.as_millis()).unwrap_or(NEVER));
        self.stopping.store(true, Ordering::SeqCst);
        self.leaving.since.store(self.clock.now().0, Ordering::SeqCst);
        self.leaving.window.store(window, Ordering::SeqCst);
    }
    /// Was a soft stop asked for?
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
    /// Has a soft stop begun? Server connections are not worth keeping then.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.leaving.since.load(Ordering::Relaxed) != 0
    }
    /// Shall a connection that could be kept end with this response?
    #[must_use]
    pub fn ends_kept(&self, random: &Random) -> bool {
        match self.leaving.window.load(Ordering::Relaxed) {
            NEVER => false,
            0 => true,
            window => {
                random.next() % window < self.clock.now().0 - self.leaving.since.load(Ordering::Relaxed)
            }
        }
    }
    /// When an idle connection shall end, if the process is leaving; each time another moment of the window.
    #[must_use]
    pub fn idle_end(&self, random: &Random) -> Option<Millis> {
        let since = || self.leaving.since.load(Ordering::Relaxed);
        match self.leaving.window.load(Ordering::Relaxed) {
            NEVER => None,
            0 => Some(Millis(since())),
            window => Some(Millis(since().saturating_add(random.next() % window))),
        }
    }
}

/// No window: the process is not leaving, or lets connections end by themselves.
const NEVER: u64 = u64::MAX;

/// How a soft stop ends kept connections.
#[derive(Debug)]
struct Leaving {
    /// When it began, on the process' clock.
    since: AtomicU64,
    /// Over how many milliseconds.
    window: AtomicU64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_telemetry::log::Sinks;

    fn process() -> Arc<Process> {
        Process::new(
            1,
            Counts::new(1, 10, 0, 0),
            Sinks::new(vec![], None, "t"),
            Descriptors::new(100, 20, 25),
        )
    }

    #[test]
    fn leaving_at_once_spread_or_never() {
        let random = Random::new(7);
        let p = process();
        assert!(!p.ends_kept(&random));
        assert_eq!(p.idle_end(&random), None);
        p.leave(Some(Duration::ZERO));
        assert!(p.ends_kept(&random));
        assert!(p.idle_end(&random).is_some_and(|at| at <= p.clock.now()));
        p.leave(None);
        assert!(!p.ends_kept(&random));
        assert_eq!(p.idle_end(&random), None);
        p.leave(Some(Duration::from_secs(3600)));
        assert!(!p.ends_kept(&random));
        let ends: Vec<_> = (0..100).filter_map(|_| p.idle_end(&random)).collect();
        let end = p.clock.now().0 + 3_600_000;
        assert!(ends.iter().all(|at| at.0 <= end));
        assert!(ends.iter().any(|at| at.0 > end / 2) && ends.iter().any(|at| at.0 < end / 2));
    }
}
