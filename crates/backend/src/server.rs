//! One server as all workers see it: atomics, found again by name when a new Plan comes.

use crate::balance::Identity;
use crate::health::{CheckSettings, Life};
use crate::idle::IdleCounts;
use crate::queue::Queues;
use parking_lot::Mutex;
use portcullis_telemetry::counter::Sharded;
use portcullis_telemetry::gauge::{Gauge, Held};
use portcullis_telemetry::stats::{RateMax, ServerCounters};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU32, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::{Arc, LazyLock, OnceLock};

/// What servers without a word about checks have, all of them.
static UNCHECKED: LazyLock<Arc<CheckSettings>> = LazyLock::new(Arc::default);

/// Wholly warm (`slowstart`).
const WARM: u32 = 1000;

/// What the operator wants from a server (`set server … state`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Admin {
    /// Takes traffic.
    #[default]
    Ready = 0,
    /// Takes only requests that persist on it.
    Drain = 1,
    /// Takes nothing.
    Maint = 2,
}

impl Admin {
    fn from_number(n: u8) -> Self {
        match n {
            0 => Self::Ready,
            1 => Self::Drain,
            _ => Self::Maint,
        }
    }
    /// The one of two that leaves less.
    #[must_use]
    pub fn stronger(self, other: Self) -> Self {
        if self as u8 >= other as u8 { self } else { other }
    }
}

/// What health checks say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Health {
    /// Works, or is not checked.
    #[default]
    Up = 0,
    /// Works, but wants no new clients (`disable-on-404`, agent `drain`).
    Stopping = 1,
    /// Does not work.
    Down = 2,
}

/// A server's name, which an operator may change (`set server … name`).
#[derive(Debug)]
pub struct Name(Mutex<Arc<str>>);

impl Name {
    /// What it is now.
    #[must_use]
    pub fn get(&self) -> Arc<str> {
        self.0.lock().clone()
    }
    /// It is another one from now on.
    pub fn set(&self, to: &str) {
        *self.0.lock() = to.into();
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.lock())
    }
}

/// A server's state: what outlives a Plan and what all workers share.
#[derive(Debug)]
pub struct ServerState {
    /// Its name.
    pub name: Name,
    /// Its backend's name.
    pub backend: Arc<str>,
    /// Number of this state in the process; indexes [`crate::IdlePool`]. Nobody else has it while anything holds this.
    pub index: crate::indexes::Index,
    /// Its place in its backend: order of declaration in the first Plan; later servers follow. A Plan keeps a table
    /// from slot to its own view of the server.
    pub slot: u32,
    /// `id` (`puid`)
    pub id: AtomicU32,
    /// How many servers of its backend had been deleted when it came (`srid`): with the id it names one server for good.
    pub revision: AtomicU32,
    /// What is wanted of it: by the operator, and by the server that it tracks.
    admin: AtomicU8,
    inherited: AtomicU8,
    health: AtomicU8,
    /// What checks know of it.
    pub life: Mutex<Life>,
    /// `observe`; what kinds of traffic are looked at.
    pub(crate) observe: AtomicU8,
    /// Consecutive errors seen.
    pub(crate) errors: AtomicU32,
    backup: AtomicBool,
    weight: AtomicU32,
    maxconn: AtomicU32,
    minconn: AtomicU32,
    maxqueue: AtomicU32,
    /// Slots taken, those handed to a waiter that has not come yet included.
    used: AtomicU32,
    used_max: AtomicU32,
    /// Requests in its own queue; written under the lock of the queues.
    pub(crate) queued: AtomicU32,
    pub(crate) queued_max: AtomicU32,
    /// Does it take requests of the backend's queue? Kept by the balancer.
    pub(crate) in_use: AtomicBool,
    /// `slowstart` in milliseconds, when it began to warm up (0: it does not), and how far it is, in thousandths.
    slowstart: AtomicU64,
    warm_since: AtomicU64,
    warmth: AtomicU32,
    /// Sessions on it (`scur`, `smax`).
    pub sessions: Arc<Gauge>,
    /// Cumulative counters.
    pub counters: Sharded<ServerCounters>,
    /// `rate_max`
    pub sess_rate_max: RateMax,
    /// Idle and used connections of all workers.
    pub idle: IdleCounts,
    pub(crate) queues: Arc<Queues>,
    /// When its state changed last (`lastchg`), in milliseconds of the process clock.
    changed: AtomicU64,
    /// How long before the process began it changed last, in milliseconds (state files).
    before: AtomicU64,
    /// It is not where the Plan says.
    moved: AtomicBool,
    whereabouts: Mutex<Whereabouts>,
    /// No address is known for its name: maintenance.
    unresolved: AtomicBool,
    /// Its names.
    pub naming: Mutex<Naming>,
    identity: Mutex<Identity>,
    used_before: OnceLock<u64>,
    /// What connections to it are made from, and how often that has changed.
    connects: Mutex<(u64, u32)>,
}

/// Where a server is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Whereabouts {
    /// Where its line says.
    #[default]
    Configured,
    /// Nowhere: its name has no address.
    Nowhere,
    /// Where DNS or an operator put it.
    At(Spot),
}

/// An address, and a port that may depend on the client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The address.
    pub ip: IpAddr,
    /// The port.
    pub port: SpotPort,
}

/// The port of a [`Spot`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpotPort {
    /// That of the line.
    Configured,
    /// This one.
    Fixed(u16),
    /// This one more than the client asked for.
    Offset(i32),
}

/// What a server is called in the DNS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Naming {
    /// The host's name.
    pub fqdn: Option<Arc<str>>,
    /// The name of the SRV records that hosts come from.
    pub srv_record: Option<Arc<str>>,
    /// The port that an SRV record says.
    pub srv_port: u16,
    /// The address that it was given last.
    pub given: Option<IpAddr>,
    /// The host's name is not that of the configuration.
    pub renamed: bool,
}

impl Naming {
    pub(crate) fn new(config: &ServerConfig) -> Self {
        let name = config.fqdn.clone();
        match name {
            Some(name) if name.starts_with('_') => Self { srv_record: Some(name), ..Self::default() },
            fqdn => Self { fqdn, ..Self::default() },
        }
    }
}

/// Settings of a `server` line that its state starts from and follows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerConfig {
    /// `id`; 0 when not given yet.
    pub id: u32,
    /// `weight`, 0 to 256.
    pub weight: u32,
    /// `backup`
    pub backup: bool,
    /// `disabled`
    pub disabled: bool,
    /// `maxconn`; 0: no limit.
    pub maxconn: u32,
    /// `minconn`; 0: as `maxconn`.
    pub minconn: u32,
    /// `maxqueue`; 0: no limit.
    pub maxqueue: u32,
    /// `cookie`
    pub cookie: Option<Arc<[u8]>>,
    /// `hash-key` and what it may look at.
    pub identity: Identity,
    /// Checks.
    pub checks: Arc<CheckSettings>,
    /// `slowstart` in milliseconds; 0: none.
    pub slowstart: u64,
    /// The name in the place of its address.
    pub fqdn: Option<Arc<str>>,
    /// No address is known for that.
    pub unresolved: bool,
    /// It came while the process runs.
    pub late: bool,
    /// What a state file says.
    pub saved: Option<Arc<portcullis_config::saved::Saved>>,
}

impl ServerConfig {
    /// From the model.
    pub fn new(server: &portcullis_config::Server) -> Self {
        let set = &server.set;
        Self {
            id: server.id,
            weight: set.weight.unwrap_or(1),
            backup: set.backup,
            // one that comes while the process runs begins in maintenance, whatever it says
            disabled: set.disabled || server.late,
            late: server.late,
            maxconn: set.maxconn,
            minconn: set.minconn,
            maxqueue: set.maxqueue,
            cookie: set.cookie.as_deref().map(Into::into),
            identity: Identity::new(server),
            checks: set.ext.get::<Arc<CheckSettings>>().cloned().unwrap_or_else(|| UNCHECKED.clone()),
            slowstart: set.slowstart.map_or(0, |t| u64::try_from(t.as_millis()).unwrap_or(u64::MAX)),
            fqdn: server.fqdn.as_deref().map(Into::into),
            unresolved: server.is_unresolved(),
            saved: server.saved.clone(),
        }
    }
    /// `minconn` without `maxconn` is a `maxconn`; `minconn` beyond `maxconn` is `maxconn`.
    pub(crate) fn limits(&self) -> (u32, u32) {
        let max = if self.maxconn == 0 { self.minconn } else { self.maxconn };
        let min = if self.minconn == 0 { max } else { self.minconn.min(max) };
        (max, min)
    }
}

impl ServerState {
    pub(crate) fn new(
        names: (Arc<str>, Arc<str>),
        index: crate::indexes::Index,
        slot: u32,
        workers: usize,
        config: &ServerConfig,
        queues: Arc<Queues>,
    ) -> Self {
        let admin = if config.disabled { Admin::Maint } else { Admin::Ready };
        let (max, min) = config.limits();
        let mut life = Life::new(config.checks.clone());
        let away = config.disabled || config.unresolved;
        let down = away || life.begins_down();
        if away {
            life.check.paused = config.disabled || life.check.configured;
            life.check.health = 0;
        }
        Self {
            backend: names.0,
            name: Name(Mutex::new(names.1)),
            index,
            slot,
            id: AtomicU32::new(config.id),
            revision: AtomicU32::new(0),
            admin: AtomicU8::new(admin as u8),
            inherited: AtomicU8::new(Admin::Ready as u8),
            health: AtomicU8::new(if down { Health::Down as u8 } else { Health::Up as u8 }),
            observe: AtomicU8::new(config.checks.observe as u8),
            errors: AtomicU32::new(0),
            life: Mutex::new(life),
            backup: AtomicBool::new(config.backup),
            weight: AtomicU32::new(config.weight),
            maxconn: AtomicU32::new(max),
            minconn: AtomicU32::new(min),
            maxqueue: AtomicU32::new(config.maxqueue),
            used: AtomicU32::new(0),
            used_max: AtomicU32::new(0),
            queued: AtomicU32::new(0),
            queued_max: AtomicU32::new(0),
            in_use: AtomicBool::new(false),
            slowstart: AtomicU64::new(config.slowstart),
            warm_since: AtomicU64::new(0),
            warmth: AtomicU32::new(WARM),
            sessions: Arc::new(Gauge::new(0)),
            counters: Sharded::new(workers),
            sess_rate_max: RateMax::default(),
            idle: IdleCounts::new(workers),
            queues,
            changed: AtomicU64::new(0),
            used_before: OnceLock::new(),
            before: AtomicU64::new(0),
            moved: AtomicBool::new(config.unresolved),
            whereabouts: Mutex::new(match config.unresolved {
                true => Whereabouts::Nowhere,
                false => Whereabouts::Configured,
            }),
            unresolved: AtomicBool::new(config.unresolved),
            naming: Mutex::new(Naming::new(config)),
            identity: Mutex::new(config.identity.clone()),
            connects: Mutex::new((0, 0)),
        }
    }

    /// Does another server follow its state (`track`)?
    pub fn is_tracked(&self) -> bool {
        self.life.lock().trackers.iter().any(|(_, s)| s.strong_count() > 0)
    }
    /// Which generation of connections a plan makes whose settings of connections have this hash: those of another one are
    /// not to be used again.
    pub fn generation(&self, settings: u64) -> u32 {
        let mut connects = self.connects.lock();
        if connects.0 != settings {
            *connects = (settings, connects.1.wrapping_add(1));
        }
        connects.1
    }

    /// Does its traffic say how it is (`observe`)?
    #[inline]
    pub fn is_observed(&self) -> bool {
        self.observe.load(Relaxed) != 0
    }
    /// Other checks than before: they begin anew.
    pub(crate) fn set_checks(&self, checks: &Arc<CheckSettings>) {
        let mut life = self.life.lock();
        let mut new = Life::new(checks.clone());
        (new.failed, new.observed, new.downs) = (life.failed, life.observed, life.downs);
        (new.down_since, new.down_total) = (life.down_since, life.down_total);
        if self.health() == Health::Up {
            new.check.health = new.check.full();
        }
        new.check.paused = self.admin() == Admin::Maint;
        self.observe.store(checks.observe as u8, Relaxed);
        *life = new;
    }
    /// When its state changed last, in milliseconds of the process clock; 0: never.
    pub fn changed(&self) -> u64 {
        self.changed.load(Relaxed)
    }
    /// Its state changes now.
    pub fn touch(&self, now: u64) {
        self.changed.store(now, Relaxed);
        self.before.store(0, Relaxed);
    }
    /// Milliseconds since its state changed last, before this process too.
    pub fn unchanged_for(&self, now: u64) -> u64 {
        now.saturating_sub(self.changed()).saturating_add(self.before.load(Relaxed))
    }
    /// Its state changed so long before the process began.
    pub fn unchanged_before(&self, millis: u64) {
        self.before.store(millis, Relaxed);
    }
    /// How long before the process began it had its last session, in milliseconds, if that is known (`stats-file`).
    pub fn used_before(&self) -> Option<u64> {
        self.used_before.get().copied()
    }
    /// It had its last session so long before the process began. What is known stays.
    pub fn was_used(&self, millis: u64) {
        let _ = self.used_before.set(millis);
    }
    /// Where it is.
    #[inline]
    pub fn whereabouts(&self) -> Whereabouts {
        if self.moved.load(Relaxed) { *self.whereabouts.lock() } else { Whereabouts::Configured }
    }
    /// Its address: an operator's, that of the DNS, or the configuration's; none: it has no.
    pub fn place(&self) -> Option<SocketAddr> {
        let configured = || self.identity.lock().address();
        match self.whereabouts() {
            Whereabouts::Configured => configured(),
            Whereabouts::Nowhere => None,
            Whereabouts::At(spot) => Some(SocketAddr::new(
                spot.ip,
                match spot.port {
                    SpotPort::Fixed(port) => port,
                    SpotPort::Configured => self.identity.lock().port(),
                    SpotPort::Offset(_) => 0,
                },
            )),
        }
    }
    /// New connections go there.
    pub(crate) fn store_whereabouts(&self, to: Whereabouts) {
        *self.whereabouts.lock() = to;
        self.moved.store(to != Whereabouts::Configured, Relaxed);
    }
    /// Is no address known for its name?
    pub fn is_unresolved(&self) -> bool {
        self.unresolved.load(Relaxed)
    }
    /// Yields what it was.
    pub(crate) fn store_unresolved(&self, unresolved: bool) -> bool {
        self.unresolved.swap(unresolved, SeqCst)
    }
    /// What is wanted of it: by the operator or, if that is less, by what it tracks.
    #[inline]
    pub fn admin(&self) -> Admin {
        let away = if self.is_unresolved() { Admin::Maint as u8 } else { 0 };
        Admin::from_number(self.admin.load(Relaxed).max(self.inherited.load(Relaxed)).max(away))
    }
    /// What the operator wants.
    pub fn own_admin(&self) -> Admin {
        Admin::from_number(self.admin.load(Relaxed))
    }
    /// What is wanted of the server that it tracks.
    pub fn inherited_admin(&self) -> Admin {
        Admin::from_number(self.inherited.load(Relaxed))
    }
    pub(crate) fn store_orders(&self, own: Admin, inherited: Admin) {
        self.admin.store(own as u8, SeqCst);
        self.inherited.store(inherited as u8, SeqCst);
    }
    /// What checks say.
    pub fn health(&self) -> Health {
        match self.health.load(Relaxed) {
            0 => Health::Up,
            1 => Health::Stopping,
            _ => Health::Down,
        }
    }
    pub(crate) fn store_admin(&self, admin: Admin) {
        self.admin.store(admin as u8, SeqCst);
    }
    pub(crate) fn store_health(&self, health: Health) {
        self.health.store(health as u8, SeqCst);
    }
    pub(crate) fn store_identity(&self, identity: &Identity) {
        identity.clone_into(&mut self.identity.lock());
    }
    /// What its places on a consistent ring are made from.
    pub(crate) fn ring_key(&self) -> u32 {
        let moved = match self.whereabouts() {
            Whereabouts::At(_) => self.place(),
            _ => None,
        };
        self.identity.lock().ring_key(self.id.load(Relaxed), moved)
    }
    pub(crate) fn store_backup(&self, backup: bool) {
        self.backup.store(backup, Relaxed);
    }
    pub(crate) fn store_weight(&self, weight: u32) {
        self.weight.store(weight.min(256), Relaxed);
    }
    pub(crate) fn store_limits(&self, max: u32, min: u32, queue: u32) {
        self.minconn.store(min, SeqCst);
        self.maxconn.store(max, SeqCst);
        self.maxqueue.store(queue, SeqCst);
    }
    /// Is it a `backup`?
    pub fn backup(&self) -> bool {
        self.backup.load(Relaxed)
    }
    /// User weight, 0 to 256.
    pub fn weight(&self) -> u32 {
        self.weight.load(Relaxed)
    }
    /// `maxconn`; 0: no limit.
    pub fn maxconn(&self) -> u32 {
        self.maxconn.load(Relaxed)
    }
    /// `maxqueue`; 0: no limit.
    pub fn maxqueue(&self) -> u32 {
        self.maxqueue.load(Relaxed)
    }
    /// May balancing choose it?
    pub fn usable(&self) -> bool {
        self.weight() > 0 && self.admin() == Admin::Ready && self.health() == Health::Up
    }
    /// May a request that persists on it go there? (Draining servers may.)
    pub fn persistable(&self) -> bool {
        self.admin() != Admin::Maint && self.health() != Health::Down
    }
    /// Slots taken (`srv_conn`), reserved ones included.
    pub fn used(&self) -> u32 {
        self.used.load(Relaxed)
    }
    /// Requests on it and in its queue.
    pub(crate) fn load(&self) -> u32 {
        self.used.load(SeqCst).saturating_add(self.queued.load(SeqCst))
    }
    /// Sessions in the last second.
    pub(crate) fn rate(&self, now: u64) -> u64 {
        let all = self.counters.iter().map(|c| c.sess_rate.window(now));
        all.sum::<portcullis_telemetry::rate::Window>().per_second(now)
    }
    /// Most slots ever taken.
    pub fn used_max(&self) -> u32 {
        self.used_max.load(Relaxed)
    }
    /// Requests in its own queue (`qcur`).
    pub fn queued(&self) -> u32 {
        self.queued.load(Relaxed)
    }
    /// `qmax`
    pub fn queued_max(&self) -> u32 {
        self.queued_max.load(Relaxed)
    }
    /// `clear counters`: the highest is what is there now.
    pub fn clear_highest(&self) {
        self.queued_max.store(self.queued(), Relaxed);
        self.used_max.store(self.used(), Relaxed);
    }
    /// Does the limit move with the backend's load (`minconn`)?
    pub(crate) fn dynamic(&self) -> bool {
        self.minconn.load(Relaxed) != self.maxconn.load(Relaxed)
    }

    /// Its weight as far as it is warm (`slowstart`), in units of `scale`.
    pub(crate) fn warm_weight(&self, scale: u32) -> u32 {
        let full = self.weight() * scale;
        match self.warmth.load(Relaxed) {
            WARM => full,
            part => (full * part / WARM).max(u32::from(full > 0)),
        }
    }
    /// How far it is warm, in percent; none: it is.
    pub fn throttle(&self) -> Option<u32> {
        match self.warmth.load(Relaxed) {
            WARM => None,
            part => Some((part * 100 / WARM).max(1)),
        }
    }
    /// It has come back at `now`: true if it takes its time (`slowstart`).
    pub(crate) fn begin_warming(&self, now: u64) -> bool {
        let takes = self.slowstart.load(Relaxed) > 0;
        self.warm_since.store(if takes { now.max(1) } else { 0 }, Relaxed);
        self.warmth.store(if takes { 0 } else { WARM }, Relaxed);
        takes
    }
    /// It is as warm as it can be, or gone.
    pub(crate) fn end_warming(&self) {
        self.warm_since.store(0, Relaxed);
        self.warmth.store(WARM, Relaxed);
    }
    /// It is warmer by now; true: it is warm. None: it does not warm up.
    pub(crate) fn warm(&self, now: u64) -> Option<bool> {
        let since = self.warm_since.load(Relaxed);
        if since == 0 {
            return None;
        }
        let all = self.slowstart.load(Relaxed).max(1);
        let part = now.saturating_sub(since).saturating_mul(u64::from(WARM)) / all;
        if part >= u64::from(WARM) {
            self.end_warming();
            return Some(true);
        }
        self.warmth.store(part as u32, Relaxed);
        Some(false)
    }
    /// How often it is looked whether it is warmer, in milliseconds.
    pub fn warming_step(&self) -> u64 {
        (self.slowstart.load(Relaxed) / 20).clamp(10, 1000)
    }
    pub(crate) fn store_slowstart(&self, millis: u64) {
        self.slowstart.store(millis, Relaxed);
    }

    /// How many slots there are now; 0: no limit. With `minconn` it is on the ramp from `minconn` to `maxconn` by
    /// the sessions of the backend over `fullconn`; while the server warms up it is a part of that.
    pub fn limit(&self) -> u32 {
        let limit = self.full_limit();
        match self.warmth.load(Relaxed) {
            WARM => limit,
            _ if limit == 0 => 0,
            part => (u64::from(limit) * u64::from(part) / u64::from(WARM)).max(1) as u32,
        }
    }

    fn full_limit(&self) -> u32 {
        let max = self.maxconn.load(Relaxed);
        if max == 0 {
            return 0;
        }
        let min = self.minconn.load(Relaxed);
        if min == max {
            return max;
        }
        let load = u64::from(self.queues.sessions.get());
        let full = u64::from(self.queues.fullconn());
        if load >= full {
            return max;
        }
        let ramp = load * u64::from(max) / full;
        u32::try_from(ramp).unwrap_or(max).max(min)
    }

    /// Has it no slot for a newcomer (none is free, or others wait for it already)?
    pub fn saturated(&self) -> bool {
        let limit = self.limit();
        limit != 0 && (self.queued.load(Relaxed) > 0 || self.used.load(Relaxed) >= limit)
    }

    /// Takes a slot if one is free, whoever waits.
    pub(crate) fn take_slot(&self) -> bool {
        let limit = self.limit();
        let before = if limit == 0 {
            self.used.fetch_add(1, SeqCst)
        } else {
            match self.used.fetch_update(SeqCst, SeqCst, |used| (used < limit).then_some(used + 1)) {
                Ok(before) => before,
                Err(_) => return false,
            }
        };
        if before >= self.used_max.load(Relaxed) {
            self.used_max.fetch_max(before + 1, Relaxed);
        }
        self.queues.took(self);
        true
    }

    /// Takes a slot unless the server is saturated; nobody who waits is overtaken. For requests that persist on this
    /// server; balancing does the same inside.
    pub fn try_acquire(self: &Arc<Self>) -> Option<SlotGuard> {
        if self.maxconn() != 0 && self.queued.load(SeqCst) > 0 {
            return None;
        }
        self.take_slot().then(|| SlotGuard::holding(self.clone()))
    }

    /// Takes a slot whatever the limit (`redispatch` of what must not wait, applets, `maxconn` lowered …).
    pub fn force_acquire(self: &Arc<Self>) -> SlotGuard {
        let before = self.used.fetch_add(1, SeqCst);
        self.used_max.fetch_max(before + 1, Relaxed);
        self.queues.took(self);
        SlotGuard::holding(self.clone())
    }

    fn give_back(self: &Arc<Self>) {
        self.used.fetch_sub(1, SeqCst);
        self.queues.gave_back(self);
        self.queues.freed(self);
    }
}

/// A slot of a server; the first who waits gets it on drop.
#[derive(Debug)]
#[must_use = "dropped at once the slot is free again"]
pub struct SlotGuard {
    server: Arc<ServerState>,
    session: Option<Held>,
}

impl SlotGuard {
    /// Wraps a slot that was taken.
    pub(crate) fn holding(server: Arc<ServerState>) -> Self {
        Self { server, session: None }
    }
    /// Whose slot.
    pub fn server(&self) -> &Arc<ServerState> {
        &self.server
    }
    /// Counts a current session on the server (`scur`) until this guard goes; call when connecting begins. Later calls
    /// do nothing.
    pub fn begin_session(&mut self) {
        if self.session.is_none() {
            self.session = Some(self.server.sessions.take());
        }
    }
}

impl Drop for SlotGuard {
    fn drop(&mut self) {
        self.session = None;
        self.server.give_back();
    }
}
