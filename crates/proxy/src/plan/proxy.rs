//! A proxy section, ready to run.

use super::server::{self, ServerPlan};
use crate::check::plan::Scripts;
use crate::filter::FilterSet;
use crate::outcome::{Formats, Profiled};
use crate::persist::CookiePlan;
use crate::process::Process;
use crate::reply::ErrorPages;
use crate::rules::lang::Asked;
use crate::rules::{Captures, Forwarded, Key, RuleSets, UniqueId};
use portcullis_backend::{BackendState, RetryPolicy, ServerState};
use portcullis_config::{
    AddAddress, ConnectionMode, Diagnostics, Mode, Model, Opts, Proxy, ProxyKind, RestrictNames, RetryOn,
    Reuse, Severity, Timeouts,
};
use portcullis_sample::facts::Counts;
use portcullis_sample::format::Needs;
use portcullis_telemetry::gate::Frontend;
use portcullis_telemetry::gauge::Gauge;
use portcullis_telemetry::log::Loggers;
use portcullis_telemetry::stats::BackendCounters;
use portcullis_wire::h1::{CaseMap, Limits};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A `frontend`, `backend` or `listen`.
#[derive(Clone, Debug)]
pub struct ProxyPlan {
    /// Its name.
    pub name: Arc<str>,
    /// `id`
    pub id: u32,
    /// Index in the plan.
    pub index: usize,
    /// Which kind of section.
    pub kind: ProxyKind,
    /// `mode`
    pub mode: Mode,
    /// What a `log-forward` section says of messages.
    pub forward: Option<portcullis_config::Forward>,
    /// Options that are on.
    pub opts: Opts,
    /// `timeout`
    pub timeouts: Timeouts,
    /// `option http-keep-alive`, `http-server-close`, `httpclose`
    pub connection: ConnectionMode,
    /// `http-reuse`
    pub reuse: Reuse,
    /// `retries`, `option redispatch`
    pub retry: RetryPolicy,
    /// `retry-on`, beyond failed connections
    pub retry_on: RetryOn,
    /// `retries`
    pub retries: u32,
    /// `option forwardfor`
    pub forwardfor: Option<AddAddress>,
    /// `option originalto`
    pub originalto: Option<AddAddress>,
    /// `option http-restrict-req-hdr-names`
    pub restrict_names: Option<RestrictNames>,
    /// `http-send-name-header`
    pub send_name_header: Option<String>,
    /// `monitor-uri`
    pub monitor_uri: Option<String>,
    /// `max-keep-alive-queue`; `None`: no limit.
    pub max_keep_alive_queue: Option<u32>,
    /// `max-session-srv-conns`
    pub max_session_srv_conns: u32,
    /// Index of `default_backend`; its own for a `listen`.
    pub default_backend: Option<usize>,
    /// Limits for heads of requests.
    pub request_limits: Limits,
    /// Limits for heads of responses.
    pub response_limits: Limits,
    /// `h1-case-adjust` towards clients.
    pub client_case: Option<Arc<CaseMap>>,
    /// `h1-case-adjust` towards servers.
    pub server_case: Option<Arc<CaseMap>>,
    /// Its servers, in order.
    pub servers: Vec<Arc<ServerPlan>>,
    by_slot: Vec<Option<Arc<ServerPlan>>>,
    /// What balancing hashes; none: the algorithm needs no key.
    pub key: Option<Arc<Key>>,
    /// `cookie`
    pub cookie: Option<Arc<CookiePlan>>,
    /// `persist rdp-cookie`
    pub rdp: Option<Arc<portcullis_sample::Expr>>,
    /// `algo` in statistics
    pub algorithm: &'static str,
    /// Servers, queues and balancing, shared by all workers; none in a frontend.
    pub state: Option<Arc<BackendState>>,
    /// Gauges and counters of the front side.
    pub front: Arc<Frontend>,
    /// Where its log goes.
    pub loggers: Arc<Loggers>,
    /// The same where profiles have to do with it.
    pub profiled: Option<Arc<Profiled>>,
    /// What it tells a collector of OpenTelemetry.
    pub otel: Option<Arc<crate::otel::Tells>>,
    /// Who gets mails about its servers.
    pub alerts: Option<Arc<crate::mail::Alerts>>,
    /// What its log looks like.
    pub formats: Arc<Formats>,
    /// Log lines so far (`%lc`), if a format shows them.
    pub log_count: Arc<AtomicU32>,
    /// Connections of the process.
    connections: Arc<Gauge>,
    /// `name` of its `bind` lines, by [`super::ListenerPlan::number`].
    pub bind_names: Vec<Option<Box<str>>>,
    /// Its rules.
    pub rules: Option<Arc<RuleSets>>,
    /// Its error pages.
    pub pages: Option<Arc<ErrorPages>>,
    /// `capture` and `declare capture`
    pub captures: Option<Arc<Captures>>,
    /// `filter`
    pub filters: Option<Arc<FilterSet>>,
    /// `option forwarded`
    pub forwarded: Option<Arc<Forwarded>>,
    /// `unique-id-format`, `unique-id-header`
    pub unique_id: Option<UniqueId>,
    /// Something needs the address that the client asked for.
    pub wants_destination: bool,
    /// In mode TCP: what clients have sent is looked at when streams are routed and sent to servers.
    pub peeks: bool,
    /// `disabled`
    pub disabled: bool,
    /// Something else in the configuration names it.
    pub named: bool,
    /// `guid`
    pub guid: Option<Arc<str>>,
    /// The section of a backend that came while the process runs; others are in the model.
    pub section: Option<Arc<Proxy>>,
}

impl ProxyPlan {
    /// What its section says.
    #[must_use]
    pub fn section<'m>(&'m self, model: &'m Model) -> Option<&'m Proxy> {
        self.section.as_deref().or_else(|| model.proxies.get(self.index))
    }
    /// In the place of a backend that is gone: nobody finds it.
    pub(super) fn nobody(&self) -> Self {
        Self {
            name: "".into(),
            id: 0,
            kind: ProxyKind::Defaults,
            disabled: true,
            servers: Vec::new(),
            by_slot: Vec::new(),
            state: None,
            rules: None,
            pages: None,
            captures: None,
            filters: None,
            section: None,
            ..self.clone()
        }
    }
    /// Is this the place of a backend that is gone?
    #[must_use]
    pub fn is_nobody(&self) -> bool {
        self.kind == ProxyKind::Defaults
    }

    /// This plan's view of a server's state.
    #[must_use]
    pub fn server_of(&self, state: &ServerState) -> Option<&ServerPlan> {
        self.seat(state.slot).map(|s| &**s).filter(|s| std::ptr::eq(&*s.state, state))
    }
    /// The server that has this slot in this plan.
    #[must_use]
    pub fn seat(&self, slot: u32) -> Option<&Arc<ServerPlan>> {
        self.by_slot.get(slot as usize)?.as_ref()
    }
    /// One more server, behind the others.
    pub(super) fn push(&mut self, server: Arc<ServerPlan>) {
        let slot = server.state.slot as usize;
        if self.by_slot.len() <= slot {
            self.by_slot.resize(slot + 1, None);
        }
        if let Some(seat) = self.by_slot.get_mut(slot) {
            *seat = Some(server.clone());
        }
        self.servers.push(server);
    }
    /// With another plan of a server that is there.
    pub(super) fn change(&mut self, server: &Arc<ServerPlan>) {
        let all = self.servers.iter_mut().chain(self.by_slot.iter_mut().flatten());
        all.filter(|s| Arc::ptr_eq(&s.state, &server.state)).for_each(|s| *s = server.clone());
    }
    /// Without this server.
    pub(super) fn remove(&mut self, state: &ServerState) {
        self.servers.retain(|s| !std::ptr::eq(&*s.state, state));
        for seat in &mut self.by_slot {
            seat.take_if(|s| std::ptr::eq(&*s.state, state));
        }
    }
    /// The state of one of its servers.
    #[must_use]
    pub fn state_of(&self, server: &ServerPlan) -> Option<Arc<ServerState>> {
        Some(server.state.clone())
    }
    /// A server for a stream of this plan when balancing knows those of newer plans only: one that works, or any.
    #[must_use]
    pub fn own_server(&self) -> Option<Arc<ServerState>> {
        let works = |s: &&Arc<ServerPlan>| s.state.health() != portcullis_backend::Health::Down;
        self.servers.iter().find(works).or(self.servers.first()).map(|s| s.state.clone())
    }
    /// The state of the server that a `use-server` rule chooses; servers that do not work are passed over.
    #[must_use]
    pub fn use_server(&self, scope: &portcullis_sample::Scope<'_>) -> Option<Arc<ServerState>> {
        let rules = self.rules.as_deref().filter(|r| !r.use_server.is_empty())?;
        let find = |name: &[u8]| self.servers.iter().position(|s| s.name.as_bytes() == name);
        let usable = |at: usize| self.servers.get(at).is_some_and(|s| s.state.persistable());
        self.servers.get(rules.use_server.choose(scope, find, usable)?).map(|s| s.state.clone())
    }
    /// The state of the first server at this address.
    #[must_use]
    pub fn server_at(&self, address: std::net::SocketAddr) -> Option<Arc<ServerState>> {
        self.servers.iter().find(|s| s.address(&s.state) == Some(address)).map(|s| s.state.clone())
    }
    /// The back side's counters of a worker.
    #[must_use]
    pub fn counters(&self, worker: u16) -> &BackendCounters {
        match &self.state {
            Some(s) => s.counters.of(worker.into()),
            None => &NOBODY,
        }
    }
    /// `unique-id-format`
    #[must_use]
    pub fn unique_id_format(&self) -> Option<&portcullis_sample::Format> {
        Some(self.unique_id.as_ref()?.format.as_deref()?.inner())
    }
    /// Do its log lines go anywhere?
    #[must_use]
    pub fn logs(&self) -> bool {
        !self.loggers.is_empty() || self.otel.as_ref().is_some_and(|o| o.logs)
    }
    /// Do rules of its own look at requests?
    #[must_use]
    pub fn has_request_rules(&self) -> bool {
        self.rules.as_ref().is_some_and(|r| r.on_request())
    }
    /// Do rules of TCP look at requests?
    #[must_use]
    pub fn has_content_rules(&self) -> bool {
        self.rules.as_ref().is_some_and(|r| !r.tcp_request.is_empty())
    }
    /// Do rules of its own look at responses?
    #[must_use]
    pub fn has_response_rules(&self) -> bool {
        self.rules.as_ref().is_some_and(|r| r.on_response())
    }
    /// Is this option on?
    #[must_use]
    pub fn has(&self, option: Opts) -> bool {
        self.opts.contains(option)
    }
}

impl Counts for ProxyPlan {
    fn connections(&self) -> u32 {
        self.connections.get()
    }
    fn sessions(&self) -> u32 {
        self.front.sessions.get()
    }
    fn log_lines(&self) -> u32 {
        self.log_count.load(Ordering::Relaxed)
    }
}

/// Counters of what has no backend; nobody reads them.
static NOBODY: std::sync::LazyLock<BackendCounters> = std::sync::LazyLock::new(BackendCounters::default);

/// Makes a proxy's plan.
pub fn compile(
    model: &Model,
    names: &Names<'_>,
    index: usize,
    p: &Proxy,
    process: &Process,
    scripts: &mut Scripts,
    diags: &mut Diagnostics,
) -> ProxyPlan {
    let g = &model.global;
    let script = scripts.of(p);
    let state = p.kind.back().then(|| process.states.backend(p, names.fullconn(p)));
    // a state for each line, in the same order
    let states = state.as_ref().map(|s| s.servers()).unwrap_or_default();
    let mut servers = Vec::with_capacity(states.len());
    for (s, state) in p.servers.iter().zip(states) {
        let check = scripts.plan(model, p, s, &script, diags).filter(|_| !p.disabled);
        servers.push(Arc::new(server::compile(model, p, s, state, check, diags)));
    }
    let limits = |option| Limits {
        max_fields: g.tune.http_maxhdr,
        relaxed: p.opts.contains(option),
        any_method_payload: g.h1_accept_payload_with_any_method,
    };
    let case = |option| {
        let names = || g.h1_case_adjust.iter().chain(&g.h1_case_adjust_file);
        (p.opts.contains(option) && names().next().is_some())
            .then(|| Arc::new(CaseMap::new(names().map(String::as_str))))
    };
    let tag = p.log_tag.as_deref().or(g.log_tag.as_deref());
    let loggers = Arc::new(Loggers::new(&process.sinks, &p.logs, &g.logs, tag).unwrap_or_else(|why| {
        let (target, e) = *why;
        diags.add(Severity::Alert, Some(target.place), format!("'log' : cannot open the destination ({e})."));
        Loggers::default()
    }));
    let retries = p.retries.unwrap_or(3);
    let mut opts = p.opts;
    // the default of HTTP backends (manual, "option abortonclose")
    if p.mode == Mode::Http && !p.no_opts.contains(Opts::ABORTONCLOSE) {
        opts |= Opts::ABORTONCLOSE;
    }
    let mut formats = Formats::of(p);
    let profiled = Profiled::of(model, p, process, &mut formats).map(Arc::from);
    let asked = model.ext.get::<Asked>().copied().unwrap_or_default();
    formats.needs |= asked.0 & Needs::LOG_COUNT;
    let mut plan = ProxyPlan {
        name: p.name.as_str().into(),
        id: p.id,
        index,
        kind: p.kind,
        mode: p.mode,
        forward: p.forward.as_deref().copied(),
        opts,
        timeouts: p.timeouts,
        connection: p.connection_mode.unwrap_or_default(),
        reuse: p.reuse.unwrap_or_default(),
        retry: RetryPolicy {
            retries: if p.retry_on.has(RetryOn::CONN_FAILURE) { retries } else { 0 },
            redispatch: p.redispatch,
            timeout_connect: p.timeouts.connect,
        },
        retry_on: p.retry_on,
        retries,
        forwardfor: p.forwardfor.clone(),
        originalto: p.originalto.clone(),
        restrict_names: p.restrict_names,
        send_name_header: p.send_name_header.clone(),
        monitor_uri: p.monitor_uri.clone(),
        max_keep_alive_queue: p.max_keep_alive_queue,
        max_session_srv_conns: p.max_session_srv_conns.unwrap_or(5),
        default_backend: names.default_backend(index, p),
        request_limits: limits(Opts::UNSAFE_REQUEST),
        response_limits: limits(Opts::UNSAFE_RESPONSE),
        client_case: case(Opts::H1_CASE_ADJUST_CLIENT),
        server_case: case(Opts::H1_CASE_ADJUST_SERVER),
        servers: Vec::with_capacity(servers.len()),
        by_slot: Vec::with_capacity(servers.len()),
        key: p.ext.get::<Option<Arc<Key>>>().cloned().flatten(),
        cookie: p.cookie.as_ref().filter(|_| p.kind.back()).map(|c| Arc::new(CookiePlan::new(c))),
        rdp: p.rdp_persist.as_ref().and_then(|name| crate::persist::rdp::expression(name)).map(Arc::from),
        algorithm: match &p.balance.algorithm {
            portcullis_config::Algorithm::Unsaid if p.late => "unknown",
            said => said.name(),
        },
        state,
        front: process.frontend((&p.name, p.kind), front_maxconn(model, p), p.rate_limit_sessions),
        loggers,
        profiled,
        otel: crate::otel::Tells::of(model, p, process),
        alerts: crate::mail::Alerts::of(model, p),
        log_count: Arc::default(),
        connections: process.counts.conns.clone(),
        bind_names: p.binds.iter().map(|b| b.name.as_deref().map(Into::into)).collect(),
        rules: p.ext.get::<RuleSets>().cloned().map(Arc::new),
        pages: p.ext.get::<ErrorPages>().cloned().map(Arc::new),
        captures: p.ext.get::<Captures>().filter(|c| !c.is_empty()).cloned().map(Arc::new),
        filters: p.ext.get::<FilterSet>().filter(|f| !f.is_empty()).cloned().map(Arc::new),
        forwarded: p.ext.get::<Option<Arc<Forwarded>>>().cloned().flatten(),
        unique_id: p.ext.get::<UniqueId>().cloned().filter(|u| u.format.is_some()),
        wants_destination: p.ext.get::<RuleSets>().is_some()
            || p.originalto.is_some()
            // a backend writes no lines about streams
            || p.kind.front() && formats.needs.contains(Needs::DESTINATION)
            || p.ext.get::<Option<Arc<Forwarded>>>().is_some_and(Option::is_some)
            || p.opts.contains(Opts::TRANSPARENT)
            || p.servers.iter().any(|s| s.set.send_proxy || s.set.send_proxy_v2 || server::follows_client(s)),
        formats: Arc::new(formats),
        peeks: false,
        disabled: p.disabled,
        named: model.ext.get::<super::Named>().is_some_and(|n| n.has_backend(&p.name)),
        guid: p.guid.as_deref().map(Into::into),
        section: p.late.then(|| Arc::new(p.clone())),
    };
    servers.into_iter().for_each(|s| plan.push(s));
    plan.peeks = p.mode == Mode::Tcp && peeks(&plan);
    plan
}

/// Does something look at what clients have sent, beside the rules that wait for it?
fn peeks(plan: &ProxyPlan) -> bool {
    let routes = |r: &RuleSets| r.use_backend.reads_request() || r.use_server.reads_request();
    let named = |s: &ServerPlan| {
        let names = [s.tls.as_ref().and_then(|t| t.sni.as_ref()), s.pool_name.as_ref()];
        names.into_iter().flatten().any(|e| e.reads_request())
    };
    plan.rules.as_deref().is_some_and(routes)
        || plan.key.as_ref().is_some_and(|k| k.reads_request())
        || plan.rdp.is_some()
        || plan.servers.iter().any(|s| named(s))
}

/// `maxconn` of a frontend; 0: only the process' limit.
fn front_maxconn(model: &Model, p: &Proxy) -> u32 {
    p.maxconn.or(model.global.maxconn).unwrap_or(0)
}

/// What a proxy has to know of all others, gathered once.
pub struct Names<'m> {
    /// Backends by name.
    backends: HashMap<&'m str, usize>,
    /// The sum of the `maxconn`s of the frontends that may route to this name.
    routed: HashMap<&'m str, u32>,
}

impl<'m> Names<'m> {
    /// Of this model; a frontend without `maxconn` counts as `default`, the process' limit.
    pub fn of(model: &'m Model, default: u32) -> Self {
        let mut names = Self { backends: HashMap::new(), routed: HashMap::new() };
        for (i, p) in model.proxies.iter().enumerate() {
            if p.kind.back() {
                names.backends.entry(&p.name).or_insert(i);
            }
            if p.kind.front() {
                let default_backend = p.default_backend.as_ref().map(|(name, _)| name.as_str());
                let rules = p.ext.get::<RuleSets>().into_iter().flat_map(|sets| &sets.use_backend.list);
                let named = rules.filter_map(|rule| rule.target.name());
                let all: HashSet<&str> =
                    default_backend.into_iter().chain([p.name.as_str()]).chain(named).collect();
                for name in all {
                    let sum = names.routed.entry(name).or_default();
                    *sum = sum.saturating_add(p.maxconn.unwrap_or(default));
                }
            }
        }
        names
    }

    /// `fullconn`: as said, or a tenth of the `maxconn`s of the frontends that may route here.
    fn fullconn(&self, p: &Proxy) -> u32 {
        let all = self.routed.get(p.name.as_str()).copied().unwrap_or(0);
        p.fullconn.unwrap_or(all.div_ceil(10))
    }

    fn default_backend(&self, index: usize, p: &Proxy) -> Option<usize> {
        match &p.default_backend {
            Some((name, _)) => self.backends.get(name.as_str()).copied(),
            None => (p.kind == ProxyKind::Listen).then_some(index),
        }
    }
}
