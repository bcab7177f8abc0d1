//! One backend as all workers see it: its servers, the order of balancing, its queue.

use crate::balance::{Ask, Balancer, Pick};
use crate::cookies::{Cookies, Named};
use crate::queue::{Priority, QueueFull, Queues, Ticket};
use crate::server::{Admin, Health, ServerConfig, ServerState, SlotGuard, Whereabouts};
use parking_lot::{Mutex, RwLock};
use portcullis_telemetry::counter::Sharded;
use portcullis_telemetry::gauge::Gauge;
use portcullis_telemetry::h2::H2Counters;
use portcullis_telemetry::muxes::Forgotten;
use portcullis_telemetry::stats::{BackendCounters, RateMax};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Weak};

/// A backend's state: what outlives a Plan and what all workers share.
#[derive(Debug)]
pub struct BackendState {
    /// Its name.
    pub name: Arc<str>,
    /// Cumulative counters.
    pub counters: Sharded<BackendCounters>,
    /// HTTP/2 connections with its servers.
    pub h2: Sharded<H2Counters>,
    /// What is not shown any more of its connections.
    pub forgotten: Forgotten,
    /// How many servers were deleted while the process ran.
    pub deleted: AtomicU32,
    /// `rate_max`
    pub sess_rate_max: RateMax,
    pub(crate) queues: Arc<Queues>,
    /// In order of declaration.
    pub(crate) servers: RwLock<Vec<Entry>>,
    /// Who has which slot, or had it last: it is free once that one is forgotten.
    pub(crate) slots: Mutex<Vec<Weak<ServerState>>>,
    pub(crate) balancer: Mutex<Balancer>,
    down: Mutex<Down>,
    pub(crate) cookies: Cookies,
    /// `option log-health-checks`
    pub(crate) log_checks: AtomicBool,
    /// Content switching ignores it; what the configuration says of that counts once.
    pub(crate) unpublished: AtomicBool,
    pub(crate) published_once: AtomicBool,
}

/// When and how often a backend had no usable server.
#[derive(Debug, Default)]
struct Down {
    /// Since when it has none, in milliseconds of the process clock.
    since: Option<u64>,
    /// Milliseconds before that.
    total: u64,
    /// How often.
    times: u64,
    /// When that changed last.
    changed: u64,
    /// How long before the process began, if that was there.
    before: u64,
    /// How long before that it had its last session, if that is known.
    used_before: Option<u64>,
}

/// A server and the configuration that its state follows.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) state: Arc<ServerState>,
    pub(crate) config: ServerConfig,
}

/// Where a request shall wait; [`BackendState::enqueue`] takes it.
#[derive(Debug)]
pub enum QueueAt {
    /// In the backend's queue; the number tells whether a slot became free since all servers were seen full.
    Backend(u64),
    /// In this server's own.
    Server(Arc<ServerState>),
}

/// What balancing says.
#[derive(Debug)]
pub enum Choice {
    /// This server; a slot of it is taken.
    Server(SlotGuard),
    /// Every server that could do it is full.
    Wait(QueueAt),
    /// There is no server that could do it (503).
    Nobody,
}

impl BackendState {
    pub(crate) fn new(name: Arc<str>, workers: usize, fullconn: u32, balancer: Balancer) -> Self {
        Self {
            name,
            counters: Sharded::new(workers),
            h2: Sharded::new(workers),
            forgotten: Forgotten::default(),
            deleted: AtomicU32::new(0),
            sess_rate_max: RateMax::default(),
            queues: Arc::new(Queues::new(fullconn)),
            servers: RwLock::default(),
            slots: Mutex::default(),
            balancer: Mutex::new(balancer),
            down: Mutex::default(),
            cookies: Cookies::default(),
            log_checks: AtomicBool::new(false),
            unpublished: AtomicBool::new(false),
            published_once: AtomicBool::new(false),
        }
    }

    /// After a change of weight or state at `now` (milliseconds of the process clock): has the backend gone down, or
    /// come up?
    pub fn touch(&self, now: u64) {
        let up = self.servers.read().iter().any(|e| e.state.usable());
        let mut down = self.down.lock();
        match (up, down.since) {
            (false, None) => {
                (down.since, down.changed, down.before) = (Some(now), now, 0);
                down.times += 1;
            }
            (true, Some(since)) => {
                (down.since, down.changed, down.before) = (None, now, 0);
                down.total += now.saturating_sub(since);
            }
            _ => {}
        }
    }
    /// Does content switching ignore it (`be-unpublished`)?
    #[inline]
    pub fn is_unpublished(&self) -> bool {
        self.unpublished.load(Relaxed)
    }
    /// `publish backend`, `unpublish backend`
    pub fn publish(&self, published: bool) {
        self.unpublished.store(!published, Relaxed);
    }
    /// Milliseconds since it went down or came up last, before this process too (`lastchg`).
    pub fn unchanged_for(&self, now: u64) -> u64 {
        let down = self.down.lock();
        now.saturating_sub(down.changed).saturating_add(down.before)
    }
    /// How long before the process began it had its last session, in milliseconds, if that is known (`stats-file`).
    pub fn used_before(&self) -> Option<u64> {
        self.down.lock().used_before
    }
    /// What a `stats-file` knows of it: milliseconds before the process began of the last change and session, and how often it went
    /// down.
    pub fn begin_with(&self, changed: Option<u64>, used: Option<u64>, downs: u64) {
        let mut down = self.down.lock();
        (down.before, down.used_before) = (changed.unwrap_or_default(), used);
        down.times += downs;
    }
    /// How often it went down (`chkdown`).
    pub fn downs(&self) -> u64 {
        self.down.lock().times
    }
    /// Milliseconds that it was down (`downtime`).
    pub fn downtime(&self, now: u64) -> u64 {
        let down = self.down.lock();
        down.total + down.since.map_or(0, |since| now.saturating_sub(since))
    }
    /// `clear counters`: the longest queue is the one that is there now.
    pub fn clear_highest(&self) {
        self.queues.clear_highest();
    }
    /// `clear counters all`
    pub fn clear_downs(&self) {
        self.down.lock().times = 0;
    }

    /// Sessions of the backend (`beconn`, `scur`, `smax`): take a guard for each stream that is routed here.
    pub fn sessions(&self) -> &Arc<Gauge> {
        &self.queues.sessions
    }
    /// Requests in the backend's own queue (`qcur`).
    pub fn queued(&self) -> u32 {
        self.queues.length()
    }
    /// `qmax`
    pub fn queued_max(&self) -> u32 {
        self.queues.length_max()
    }
    /// `fullconn`
    pub fn fullconn(&self) -> u32 {
        self.queues.fullconn()
    }
    /// Its servers, in order of declaration.
    pub fn servers(&self) -> Vec<Arc<ServerState>> {
        self.servers.read().iter().map(|e| e.state.clone()).collect()
    }
    /// The server of this name.
    pub fn server(&self, name: &str) -> Option<Arc<ServerState>> {
        self.servers.read().iter().find(|e| *e.state.name.get() == *name).map(|e| e.state.clone())
    }
    /// Usable servers: active and backup ones (`act`, `bck`).
    pub fn usable(&self) -> (u32, u32) {
        self.balancer.lock().usable()
    }

    /// Does balancing again yield another server ([`crate::Attempt::rotates`])?
    pub fn rotates(&self) -> bool {
        self.balancer.lock().rotates()
    }

    /// Do weights stay as configured ([`Balancer::is_static`])?
    pub fn is_static(&self) -> bool {
        self.balancer.lock().is_static()
    }

    /// Chooses a server by the backend's algorithm and takes a slot of it. A request that persists on a server goes to
    /// [`BackendState::persist`] instead.
    pub fn balance(&self, ask: Ask<'_>) -> Choice {
        // read before anything is seen full
        let epoch = self.queues.epoch();
        match self.balancer.lock().choose(ask, &self.queues) {
            Pick::Server(slot) => Choice::Server(slot),
            Pick::Full => Choice::Wait(QueueAt::Backend(epoch)),
            Pick::FullServer(server) => Choice::Wait(QueueAt::Server(server)),
            Pick::Nobody => Choice::Nobody,
        }
    }

    /// A slot of the server that the request persists on (cookie, stick table, `use-server`), or its queue.
    pub fn persist(&self, server: &Arc<ServerState>) -> Choice {
        match server.try_acquire() {
            Some(slot) => Choice::Server(slot),
            None => Choice::Wait(QueueAt::Server(server.clone())),
        }
    }

    /// Whom a persistence cookie names; `down`: the first server with this value, be it down or not.
    pub fn named_by_cookie(&self, value: &[u8], down: bool) -> Named {
        self.cookies.server(value, down)
    }
    /// The value of the persistence cookie that names this server.
    pub fn cookie_of(&self, server: &ServerState) -> Option<Arc<[u8]>> {
        self.cookies.of(server)
    }
    /// `enable` and `disable dynamic-cookie backend`
    pub fn set_dynamic_cookies(&self, on: bool) {
        self.cookies.switch(on);
        self.bake_cookies();
    }
    /// `set dynamic-cookie-key backend`
    pub fn set_cookie_key(&self, key: &[u8]) {
        self.cookies.set_key(key);
        self.bake_cookies();
    }
    /// Servers or their addresses have changed.
    pub(crate) fn bake_cookies(&self) {
        self.cookies.bake(&self.servers.read());
    }

    /// Joins a queue.
    ///
    /// # Errors
    /// [`QueueFull`] when the server's queue has reached `maxqueue`: balance instead.
    pub fn enqueue(&self, at: QueueAt, priority: Priority) -> Result<Ticket, QueueFull> {
        match at {
            QueueAt::Server(server) => {
                let ticket = self.queues.join(Some(&server), priority)?;
                self.queues.hand_over(&server);
                Ok(ticket)
            }
            QueueAt::Backend(epoch) => {
                let ticket = self.queues.join(None, priority)?;
                let servers = self.servers.read();
                let ramps = || servers.iter().any(|e| e.state.dynamic());
                if self.queues.epoch() != epoch || ramps() {
                    servers.iter().filter(|e| e.state.usable()).for_each(|e| {
                        self.queues.hand_over(&e.state);
                    });
                }
                Ok(ticket)
            }
        }
    }

    /// `set server … state` (or what the configuration says).
    pub fn set_admin(&self, server: &Arc<ServerState>, admin: Admin) {
        server.store_admin(admin);
        self.changed(server);
    }
    /// What a health check found.
    pub fn set_health(&self, server: &Arc<ServerState>, health: Health) {
        server.store_health(health);
        self.changed(server);
    }
    /// `set server … weight`: user weight, 0 to 256.
    pub fn set_weight(&self, server: &Arc<ServerState>, weight: u32) -> Vec<crate::health::Report> {
        let before = self.usable();
        server.store_weight(weight);
        self.changed(server);
        self.emptied(before)
    }
    /// New connections go there (`set server … addr`, DNS).
    pub fn move_server(&self, server: &Arc<ServerState>, to: Whereabouts) {
        server.store_whereabouts(to);
        self.bake_cookies();
        self.changed(server);
    }
    /// `set server … maxconn` and its kin; 0 is no limit. Those who wait profit at once.
    pub fn set_limits(&self, server: &Arc<ServerState>, config: &ServerConfig) {
        let (max, min) = config.limits();
        server.store_limits(max, min, config.maxqueue);
        self.queues.freed(server);
        self.queues.hand_over(server);
    }

    /// The weight that the configuration says.
    pub fn initial_weight(&self, server: &ServerState) -> u32 {
        let servers = self.servers.read();
        servers.iter().find(|e| std::ptr::eq(&*e.state, server)).map_or(1, |e| e.config.weight)
    }

    /// After any change of weight or state: the balancer follows, queues move. Yields how many requests were moved, away
    /// from the server or to it.
    pub(crate) fn changed(&self, server: &Arc<ServerState>) -> u32 {
        let woken = self.balancer.lock().update(server, &self.queues);
        let mut moved = if server.persistable() { 0 } else { self.queues.redistribute(server) };
        // servers that may take requests of the backend's queue from now on
        for server in woken {
            self.queues.freed(&server);
            moved += self.queues.hand_over(&server);
        }
        moved
    }
}
