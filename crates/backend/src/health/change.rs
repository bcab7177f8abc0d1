//! What follows from a check, an operator's order or a tracked server: state, balancing, queues, and what is told.
//!
//! Locks: a server's [`super::Life`] is held for a look or a change, never while another lock is taken or a tracking server is
//! changed.

use super::life::{Link, Outcome, Which};
use super::settings::{Observe, OnError};
use super::status::{Status, Verdict};
use crate::backend::BackendState;
use crate::server::{Admin, Health, ServerState, Whereabouts};
use portcullis_telemetry::log::Level;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// What has to be told or done elsewhere after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// A line for the backend's log, and a warning on standard error.
    Log {
        /// Whose log.
        backend: Arc<str>,
        /// How severe.
        level: Level,
        /// The line.
        text: String,
        /// It is worth a mail of this level, too (`email-alert level`).
        mail: Option<Level>,
    },
    /// The backend has no usable server any more.
    Empty {
        /// Which.
        backend: Arc<str>,
    },
    /// `on-marked-down shutdown-sessions`
    EndSessions {
        /// The backend.
        backend: Arc<str>,
        /// Its server.
        server: Arc<str>,
    },
    /// `on-marked-up shutdown-backup-sessions`
    EndBackupSessions {
        /// The backend.
        backend: Arc<str>,
    },
    /// This server warms up (`slowstart`): [`BackendState::warm`] is to be called each [`ServerState::warming_step`].
    Warms {
        /// The backend.
        backend: Arc<str>,
        /// Its server.
        server: Arc<str>,
        /// Why it came back, as the log tells it.
        why: String,
    },
    /// The next check of this server shall begin within `fastinter`.
    Hurry {
        /// Number of the server's state.
        server: u32,
    },
}

/// What traffic shows of a server (`observe`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// It took a connection.
    Connected,
    /// It did not.
    NotConnected,
    /// A response with this status came.
    Response(u16),
    /// What came is not a response.
    Garbage,
    /// No response came in time.
    Silence,
    /// The connection broke before a response.
    Broken,
}

impl Observed {
    /// Is it seen in this mode? Whether it is an error, and its name.
    fn seen(self, mode: Observe) -> Option<Result<(), &'static str>> {
        match (self, mode) {
            (_, Observe::No) => None,
            (Self::Connected, Observe::Layer4) => Some(Ok(())),
            (Self::NotConnected, _) => Some(Err("L4 unsuccessful connection")),
            (_, Observe::Layer4) | (Self::Connected, _) => None,
            (Self::Response(100..=499 | 501 | 505), _) => Some(Ok(())),
            (Self::Response(_), _) => Some(Err("Wrong http response")),
            (Self::Garbage, _) => Some(Err("Invalid http response (headers)")),
            (Self::Silence, _) => Some(Err("Read timeout (http)")),
            (Self::Broken, _) => Some(Err("Read error (http)")),
        }
    }
}

/// Why a state changes, as the log tells it.
enum Cause<'a> {
    /// A check found this.
    Check(&'a Outcome),
    /// A check, and the log has that already.
    Told,
    /// The server that is tracked.
    Via(&'a str),
    /// The Runtime API.
    Operator,
    /// A state file.
    Saved,
}

impl Cause<'_> {
    fn text(&self) -> String {
        match self {
            Self::Check(outcome) => outcome.reason(),
            Self::Told => String::new(),
            Self::Via(name) => format!(" via {name}"),
            Self::Operator => ", changed from CLI".into(),
            Self::Saved => ", changed from server-state after a reload".into(),
        }
    }
}

/// A change of what is wanted of a server.
struct Orders {
    own: Admin,
    inherited: Admin,
    /// Its name has no address: maintenance.
    unresolved: bool,
}

impl Orders {
    fn of(server: &ServerState) -> Self {
        let (own, inherited) = (server.own_admin(), server.inherited_admin());
        Self { own, inherited, unresolved: server.is_unresolved() }
    }
    fn all(&self) -> Admin {
        if self.unresolved { Admin::Maint } else { self.own.stronger(self.inherited) }
    }
}

/// Why an order is given, as the log tells it.
#[derive(Clone, Copy, Default)]
struct Why<'a> {
    /// What the DNS said.
    reason: Option<&'a str>,
    /// The server that is tracked.
    via: Option<&'a str>,
    /// It was draining: it is not missed.
    drained: bool,
}

impl Why<'_> {
    /// ` (DNS NX status) via be/s1`
    fn text(&self) -> String {
        let reason = self.reason.map(|r| format!(" ({r})")).unwrap_or_default();
        let via = self.via.map(|v| format!(" via {v}")).unwrap_or_default();
        format!("{reason}{via}")
    }
}

/// `forced ` where an operator wants it, ` via NAME` where a tracked server does.
fn whose(own: bool, via: Option<&str>) -> (&'static str, String) {
    match via {
        Some(name) if !own => ("", format!(" via {name}")),
        _ if own => ("forced ", String::new()),
        _ => ("", String::new()),
    }
}

/// `Server be/s1`
fn named(server: &ServerState) -> String {
    let kind = if server.backup() { "Backup Server" } else { "Server" };
    format!("{kind} {}/{}", server.backend, server.name)
}

impl BackendState {
    fn tell(&self, out: &mut Vec<Report>, level: Level, text: String) {
        out.push(Report::Log { backend: self.name.clone(), level, text, mail: None });
    }

    /// The same, and those who get mails are told.
    fn tell_by_mail(&self, out: &mut Vec<Report>, level: Level, mail: Level, text: String) {
        out.push(Report::Log { backend: self.name.clone(), level, text, mail: Some(mail) });
    }

    fn on_backup(&self) -> String {
        let (active, backup) = self.usable();
        format!(
            "{active} active and {backup} backup servers {{}}.{}",
            if active == 0 && backup > 0 { " Running on backup." } else { "" }
        )
    }

    /// What is left when a server has gone.
    fn left(&self, server: &ServerState, moved: u32) -> String {
        let servers = self.on_backup().replace("{}", "left");
        format!(
            "{servers} {} sessions active, {moved} requeued, {} remaining in queue.",
            server.sessions.get(),
            self.queued()
        )
    }

    /// What there is when a server has come.
    fn online(&self, moved: u32) -> String {
        let servers = self.on_backup().replace("{}", "online");
        format!("{servers} {moved} sessions requeued, {} total in queue.", self.queued())
    }

    /// After a change: is the backend without servers now?
    fn settle(&self, before: (u32, u32), now: u64, out: &mut Vec<Report>) {
        self.touch(now);
        out.extend(self.emptied(before));
    }

    /// What there is to say if the backend has no usable server any more. `before`: as many as there were.
    pub(crate) fn emptied(&self, before: (u32, u32)) -> Vec<Report> {
        let empty = before != (0, 0) && self.usable() == (0, 0);
        empty.then(|| Report::Empty { backend: self.name.clone() }).into_iter().collect()
    }

    fn for_trackers(server: &ServerState, mut change: impl FnMut(&Arc<BackendState>, &Arc<ServerState>)) {
        let trackers: Vec<Link> = server.life.lock().trackers.clone();
        for (backend, tracker) in trackers {
            if let (Some(backend), Some(tracker)) = (backend.upgrade(), tracker.upgrade()) {
                change(&backend, &tracker);
            }
        }
    }

    /// A server has come from one state to another: `slowstart` begins or ends.
    fn warm_up(
        &self,
        server: &ServerState,
        (from, to): (Health, Health),
        why: &str,
        now: u64,
        out: &mut Vec<Report>,
    ) {
        match (from, to) {
            (Health::Down, Health::Up | Health::Stopping) if server.begin_warming(now) => {
                let (backend, server) = (self.name.clone(), server.name.get());
                out.push(Report::Warms { backend, server, why: why.to_owned() });
            }
            (_, Health::Down) => server.end_warming(),
            _ => {}
        }
    }

    /// A server that warms up is warmer by now; `None`: it is warm, or does not warm up any more.
    pub fn warm(self: &Arc<Self>, server: &Arc<ServerState>, why: &str, now: u64) -> Option<Vec<Report>> {
        let warm = server.warm(now)?;
        let moved = self.changed(server);
        self.queues.freed(server);
        let mut out = Vec::new();
        if warm {
            let text = format!("{} is UP{why}. {}", named(server), self.online(moved));
            self.tell(&mut out, Level::Notice, text);
        }
        Some(out)
    }

    /// A server works, does not, or wants no new clients.
    fn operate(
        self: &Arc<Self>,
        server: &Arc<ServerState>,
        to: Health,
        cause: &Cause<'_>,
        now: u64,
        out: &mut Vec<Report>,
    ) {
        let from = server.health();
        if from == to || server.admin() == Admin::Maint {
            return;
        }
        let before = self.usable();
        server.store_health(to);
        server.touch(now);
        count_downs(server, from, to, now);
        let (who, why) = (named(server), cause.text());
        self.warm_up(server, (from, to), &why, now, out);
        let moved = self.changed(server);
        match to {
            Health::Down => {
                let text = format!("{who} is DOWN{why}. {}", self.left(server, moved));
                // it had been stopping: nobody is alarmed
                let level = if from == Health::Stopping { Level::Notice } else { Level::Alert };
                let mail = if server.admin() == Admin::Drain { Level::Notice } else { level };
                self.tell_by_mail(out, level, mail, text);
            }
            Health::Up => {
                let text = format!("{who} is UP{why}. {}", self.online(moved));
                self.tell_by_mail(out, Level::Notice, Level::Notice, text);
            }
            Health::Stopping => {
                self.tell(out, Level::Notice, format!("{who} is stopping{why}. {}", self.online(moved)));
            }
        }
        self.end_streams(server, from, to, out);
        self.settle(before, now, out);
        let name = format!("{}/{}", server.backend, server.name);
        Self::for_trackers(server, |backend, tracker| {
            backend.operate(tracker, to, &Cause::Via(&name), now, out);
        });
    }

    /// `on-marked-down`, `on-marked-up`
    fn end_streams(&self, server: &ServerState, from: Health, to: Health, out: &mut Vec<Report>) {
        let settings = server.life.lock().settings.clone();
        if to == Health::Down && from != Health::Down && settings.kill_on_down {
            out.push(Report::EndSessions { backend: self.name.clone(), server: server.name.get() });
        }
        let takes = !server.backup() && server.weight() > 0;
        if to == Health::Up && from == Health::Down && settings.kill_backups_on_up && takes {
            out.push(Report::EndBackupSessions { backend: self.name.clone() });
        }
    }

    /// What an operator or an agent wants of a server (`set server … state`).
    pub fn order_admin(self: &Arc<Self>, server: &Arc<ServerState>, to: Admin, now: u64) -> Vec<Report> {
        let mut out = Vec::new();
        let orders = Orders { own: to, ..Orders::of(server) };
        self.admin_change(server, &orders, Why::default(), now, &mut out);
        out
    }

    fn admin_change(
        self: &Arc<Self>,
        server: &Arc<ServerState>,
        new: &Orders,
        why: Why<'_>,
        now: u64,
        out: &mut Vec<Report>,
    ) {
        let old = Orders::of(server);
        if (old.own, old.inherited) == (new.own, new.inherited) {
            return;
        }
        let before = self.usable();
        let why = Why { drained: old.all() == Admin::Drain, ..why };
        server.store_orders(new.own, new.inherited);
        match (old.all(), new.all()) {
            (Admin::Maint, Admin::Maint) => self.remains(server, &old, new, Admin::Maint, why.via, out),
            (_, Admin::Maint) => self.enter_maintenance(server, why, now, out),
            (Admin::Maint, _) => self.leave_maintenance(server, (&old, new), why.via, now, out),
            (Admin::Drain, Admin::Drain) => self.remains(server, &old, new, Admin::Drain, why.via, out),
            (_, Admin::Drain) => self.enter_drain(server, why.via, out),
            (Admin::Drain, _) => self.leave_drain(server, &old, why.via, out),
            (Admin::Ready, Admin::Ready) => {}
        }
        self.settle(before, now, out);
        self.tell_trackers(server, why.reason, now, out);
    }

    /// Those who track it do as it does.
    fn tell_trackers(
        &self,
        server: &Arc<ServerState>,
        reason: Option<&str>,
        now: u64,
        out: &mut Vec<Report>,
    ) {
        let name = format!("{}/{}", server.backend, server.name);
        let wanted = server.admin();
        Self::for_trackers(server, |backend, tracker| {
            let orders = Orders { inherited: wanted, ..Orders::of(tracker) };
            let why = Why { reason, via: Some(&name), drained: false };
            backend.admin_change(tracker, &orders, why, now, out);
        });
    }

    /// One of two reasons for a state has gone, the other is still there.
    fn remains(
        &self,
        server: &ServerState,
        old: &Orders,
        new: &Orders,
        what: Admin,
        via: Option<&str>,
        out: &mut Vec<Report>,
    ) {
        let fewer = (old.own == what && new.own != what) || (old.inherited == what && new.inherited != what);
        if !fewer {
            return;
        }
        if new.unresolved {
            let text = format!("{} is leaving forced maintenance but remains in maintenance.", named(server));
            self.tell(out, Level::Notice, text);
            return;
        }
        let tracked = server.life.lock().tracked_name().map(str::to_owned);
        let (forced, via) = whose(new.own == what, tracked.as_deref().or(via));
        let mode = if what == Admin::Maint { "maintenance" } else { "drain mode" };
        self.tell(out, Level::Notice, format!("{} remains in {forced}{mode}{via}.", named(server)));
    }

    fn enter_maintenance(
        self: &Arc<Self>,
        server: &Arc<ServerState>,
        why: Why<'_>,
        now: u64,
        out: &mut Vec<Report>,
    ) {
        let from = server.health();
        server.store_health(Health::Down);
        {
            let mut life = server.life.lock();
            life.check.paused |= life.check.asked();
            life.check.health = 0;
        }
        server.end_warming();
        let moved = self.changed(server);
        let (who, reason) = (named(server), why.text());
        if from == Health::Down {
            self.tell(out, Level::Notice, format!("{who} was DOWN and now enters maintenance{reason}."));
            return;
        }
        server.touch(now);
        count_downs(server, from, Health::Down, now);
        let text = format!("{who} is going DOWN for maintenance{reason}. {}", self.left(server, moved));
        self.tell(out, if why.drained { Level::Notice } else { Level::Alert }, text);
        self.end_streams(server, from, Health::Down, out);
    }

    fn leave_maintenance(
        self: &Arc<Self>,
        server: &Arc<ServerState>,
        (old, new): (&Orders, &Orders),
        via: Option<&str>,
        now: u64,
        out: &mut Vec<Report>,
    ) {
        let tracked = server.life.lock().tracked();
        let to = {
            let mut life = server.life.lock();
            if life.check.configured {
                life.check.paused = false;
                life.check.health = life.initial();
            }
            match tracked {
                Some(t) => t.health(),
                None if life.begins_down() || life.is_kept_down() => Health::Down,
                None => Health::Up,
            }
        };
        server.store_health(to);
        if to != Health::Down {
            server.touch(now);
        }
        count_downs(server, Health::Down, to, now);
        self.warm_up(server, (Health::Down, to), "", now, out);
        self.changed(server);
        let mode = if to == Health::Down { "DOWN" } else { "UP" };
        let wanted = if new.all() == Admin::Drain { "DRAIN" } else { "READY" };
        let (forced, _) = whose(old.own == Admin::Maint, via);
        let who = named(server);
        let text = match old.unresolved {
            true => {
                let name = server.naming.lock().fqdn.clone().unwrap_or_default();
                format!("{who} ('{name}') is {mode}/{wanted} (resolves again).")
            }
            false => format!("{who} is {mode}/{wanted} (leaving {forced}maintenance)."),
        };
        self.tell(out, Level::Notice, text);
        if new.all() == Admin::Drain {
            let tracked = server.life.lock().tracked_name().map(str::to_owned);
            let (forced, via) = whose(new.own == Admin::Drain, tracked.as_deref());
            self.tell(out, Level::Notice, format!("{who} remains in {forced}drain mode{via}."));
        }
        self.end_streams(server, Health::Down, to, out);
    }

    fn enter_drain(self: &Arc<Self>, server: &Arc<ServerState>, via: Option<&str>, out: &mut Vec<Report>) {
        let moved = self.changed(server);
        let (who, via) = (named(server), via.map(|v| format!(" via {v}")).unwrap_or_default());
        let rest = match server.health() {
            Health::Down => self.left(server, moved),
            _ => self.online(moved),
        };
        let text = format!("{who} enters drain state{via}. {rest}");
        self.tell_by_mail(out, Level::Notice, Level::Notice, text);
    }

    fn leave_drain(
        self: &Arc<Self>,
        server: &Arc<ServerState>,
        old: &Orders,
        via: Option<&str>,
        out: &mut Vec<Report>,
    ) {
        self.changed(server);
        let mode = if server.health() == Health::Down { "DOWN" } else { "UP" };
        let (forced, via) = whose(old.own == Admin::Drain, via);
        let text = format!("{} is {mode} (leaving {forced}drain){via}.", named(server));
        self.tell(out, Level::Notice, text);
    }

    /// Its name has no address any more, for this reason.
    pub fn lose_address(self: &Arc<Self>, server: &Arc<ServerState>, reason: &str, now: u64) -> Vec<Report> {
        let mut out = Vec::new();
        let old = Orders::of(server);
        server.naming.lock().given = None;
        if server.store_unresolved(true) {
            return out;
        }
        let before = self.usable();
        if old.all() != Admin::Maint {
            let why = Why { reason: Some(reason), via: None, drained: old.own == Admin::Drain };
            self.enter_maintenance(server, why, now, &mut out);
            self.settle(before, now, &mut out);
            self.tell_trackers(server, Some(reason), now, &mut out);
        }
        self.move_server(server, Whereabouts::Nowhere);
        out
    }

    /// Its name has an address again; that has been stored.
    pub fn find_address(self: &Arc<Self>, server: &Arc<ServerState>, now: u64) -> Vec<Report> {
        let mut out = Vec::new();
        let old = Orders::of(server);
        if !server.store_unresolved(false) {
            return out;
        }
        let before = self.usable();
        let new = Orders::of(server);
        if new.all() == Admin::Maint {
            let name = server.naming.lock().fqdn.clone().unwrap_or_default();
            let text = format!("{} ('{name}') resolves again but remains in maintenance.", named(server));
            self.tell(&mut out, Level::Notice, text);
        } else {
            self.leave_maintenance(server, (&old, &new), None, now, &mut out);
            self.settle(before, now, &mut out);
            self.tell_trackers(server, None, now, &mut out);
        }
        let text = format!(
            "Server {}/{} administratively READY thanks to valid DNS answer.",
            server.backend, server.name
        );
        self.tell(&mut out, Level::Notice, text);
        out
    }

    /// A state file says that it does not work.
    pub(crate) fn restore_down(self: &Arc<Self>, server: &Arc<ServerState>, now: u64) -> Vec<Report> {
        server.life.lock().check.health = 0;
        let mut out = Vec::new();
        self.operate(server, Health::Down, &Cause::Saved, now, &mut out);
        out
    }

    /// A state file says that it wants no new clients.
    pub(crate) fn restore_stopping(self: &Arc<Self>, server: &Arc<ServerState>, now: u64) -> Vec<Report> {
        let mut out = Vec::new();
        self.operate(server, Health::Stopping, &Cause::Saved, now, &mut out);
        out
    }

    /// `set server … health`
    pub fn order_health(self: &Arc<Self>, server: &Arc<ServerState>, to: Health, now: u64) -> Vec<Report> {
        {
            let mut life = server.life.lock();
            life.check.health = if to == Health::Down { 0 } else { life.check.full() };
        }
        let mut out = Vec::new();
        self.operate(server, to, &Cause::Operator, now, &mut out);
        out
    }

    /// `set server … agent`
    pub fn order_agent(self: &Arc<Self>, server: &Arc<ServerState>, up: bool, now: u64) -> Vec<Report> {
        let good = {
            let mut life = server.life.lock();
            life.agent.health = if up { life.agent.full() } else { 0 };
            life.check.is_good()
        };
        let mut out = Vec::new();
        match (up, good) {
            (false, _) => self.operate(server, Health::Down, &Cause::Operator, now, &mut out),
            (true, true) => self.operate(server, Health::Up, &Cause::Operator, now, &mut out),
            (true, false) => {}
        }
        out
    }

    /// A check has ended.
    pub fn checked(
        self: &Arc<Self>,
        server: &Arc<ServerState>,
        which: Which,
        mut outcome: Outcome,
        now: u64,
    ) -> Vec<Report> {
        let up = server.health() != Health::Down;
        if !up && outcome.status == Status::L7Conditional {
            // who is down stays down
            outcome.status = Status::L7Status;
        }
        let mut out = Vec::new();
        let log = self.log_checks.load(Relaxed);
        let (goal, line) = {
            let mut life = server.life.lock();
            if !life.probe(which).is_due() {
                life.probe_mut(which).running = false;
                return out;
            }
            let before = (life.probe(which).last.status, life.probe(which).health);
            let goal = match which {
                Which::Health => health_goal(&mut life, &outcome),
                Which::Agent => agent_goal(&mut life, &outcome),
            };
            let probe = life.probe(which);
            let changed = before != (outcome.status, probe.health);
            let line = (log && changed && outcome.status.verdict() != Verdict::Neutral)
                .then(|| health_line(server, which, probe, &outcome));
            (goal, line)
        };
        if let Some(line) = line {
            self.tell_by_mail(&mut out, Level::Notice, Level::Info, line);
        }
        if let Some(to) = goal {
            let cause = if log { Cause::Told } else { Cause::Check(&outcome) };
            self.operate(server, to, &cause, now, &mut out);
        }
        out
    }

    /// What traffic shows of a server that is observed (`observe`, [`ServerState::is_observed`]).
    #[cold]
    pub fn observe(self: &Arc<Self>, server: &Arc<ServerState>, seen: Observed, now: u64) -> Vec<Report> {
        let settings = server.life.lock().settings.clone();
        let what = match seen.seen(settings.observe) {
            Some(Err(what)) => what,
            Some(Ok(())) => {
                server.errors.store(0, Relaxed);
                return Vec::new();
            }
            None => return Vec::new(),
        };
        if server.health() == Health::Down || server.errors.fetch_add(1, Relaxed) + 1 < settings.error_limit {
            return Vec::new();
        }
        let many = server.errors.swap(0, Relaxed);
        let text = format!("Detected {many} consecutive errors, last one was: {what}");
        let outcome = Outcome::new(Status::Analyzed, text);
        {
            let mut life = server.life.lock();
            life.observed += 1;
            let rise = life.check.rise;
            match settings.on_error {
                OnError::SuddenDeath if life.check.health > rise => life.check.health = rise + 1,
                OnError::MarkDown => life.check.health = rise,
                _ => {}
            }
        }
        let mut out = match settings.on_error {
            OnError::FastInter => Vec::new(),
            _ => self.checked(server, Which::Health, outcome, now),
        };
        if settings.fastinter.is_some() {
            out.push(Report::Hurry { server: *server.index });
        }
        out
    }
}

/// Downs and the time down.
fn count_downs(server: &ServerState, from: Health, to: Health, now: u64) {
    let mut life = server.life.lock();
    match (from == Health::Down, to == Health::Down) {
        (false, true) => {
            life.downs += 1;
            life.down_since = Some(now);
        }
        (true, false) => {
            if let Some(since) = life.down_since.take() {
                life.down_total += now.saturating_sub(since);
            }
        }
        _ => {}
    }
}

/// What a health check wants the server to be.
fn health_goal(life: &mut super::Life, outcome: &Outcome) -> Option<Health> {
    let verdict = outcome.status.verdict();
    let mut counted = false;
    match verdict {
        Verdict::Failed => counted = life.check.step_down(),
        Verdict::Passed | Verdict::Conditional => life.check.step_up(),
        Verdict::Neutral | Verdict::Unknown => {}
    }
    life.failed += u64::from(counted);
    life.check.end(outcome.clone(), verdict);
    let good = life.check.is_good() && life.agent.is_good();
    match verdict {
        Verdict::Failed if life.check.health == 0 => Some(Health::Down),
        Verdict::Passed if good => Some(Health::Up),
        Verdict::Conditional if good => Some(Health::Stopping),
        _ => None,
    }
}

/// What an agent wants the server to be. That it cannot be reached says nothing.
fn agent_goal(life: &mut super::Life, outcome: &Outcome) -> Option<Health> {
    let verdict = match outcome.status {
        Status::L7Ok => Verdict::Passed,
        Status::L7Status => Verdict::Failed,
        _ => Verdict::Neutral,
    };
    match verdict {
        Verdict::Passed => life.agent.health = life.agent.full(),
        Verdict::Failed => life.agent.health = 0,
        _ => {}
    }
    life.agent.end(outcome.clone(), verdict);
    match verdict {
        Verdict::Failed => Some(Health::Down),
        Verdict::Passed if life.check.is_good() => Some(Health::Up),
        _ => None,
    }
}

/// `option log-health-checks`
fn health_line(server: &ServerState, which: Which, probe: &super::Probe, outcome: &Outcome) -> String {
    let kind = if which == Which::Agent { "Agent" } else { "Health" };
    let backup = if server.backup() { "backup " } else { "" };
    let how = match outcome.status.verdict() {
        Verdict::Passed => "succeeded",
        Verdict::Conditional => "conditionally succeeded",
        _ => "failed",
    };
    let (part, whole, mode) = match probe.health >= probe.rise {
        true => ((probe.health + 1).saturating_sub(probe.rise), probe.fall, "UP"),
        false => (probe.health, probe.rise, "DOWN"),
    };
    format!(
        "{kind} check for {backup}server {}/{} {how}{}, status: {part}/{whole} {mode}.",
        server.backend,
        server.name,
        outcome.reason()
    )
}
