//! The plan: what a configuration comes to, with everything resolved. Made once from a `Model`, never changed; a
//! stream ends on the plan that it began with.

pub mod listener;
mod named;
pub mod proxy;
pub mod server;

pub use listener::ListenerPlan;
pub use named::Named;
pub use proxy::ProxyPlan;
pub use server::ServerPlan;

use portcullis_backend::ServerState;
use portcullis_config::{Diagnostics, Model, MultiQueue};
use portcullis_telemetry::gauge::Gauge;
use portcullis_tls::acceptor::Acceptor;
use portcullis_tls::settings::GlobalTls;
use portcullis_tls::tickets::Cache;
use std::collections::HashMap;
use std::sync::Arc;

/// Most places of backends that are gone.
const MOST_FREE: usize = 256;
/// Bytes of a buffer for bulk data: reads of this size cost half of what `tune.bufsize` ones do.
const BULK: usize = 128 * 1024;

/// What `global` comes to on the data path.
#[derive(Clone, Debug)]
pub struct GlobalPlan {
    /// `tune.bufsize`: heads must fit.
    pub bufsize: usize,
    /// Size of the buffers for bulk data.
    pub bulk_size: usize,
    /// `tune.maxrewrite`: room that a head from the network leaves for rules.
    pub maxrewrite: usize,
    /// `tune.http.maxhdr`
    pub maxhdr: usize,
    /// `tune.http.logurilen`
    pub logurilen: usize,
    /// `maxpipes`
    pub maxpipes: u32,
    /// `tune.pipesize`
    pub pipesize: usize,
    /// `tune.maxaccept`: connections accepted in a row.
    pub maxaccept: u32,
    /// `tune.listener.multi-queue`
    pub multi_queue: MultiQueue,
    /// Glitches that end a client connection (`tune.h1.fe.glitches-threshold`); 0: none.
    pub fe_glitches: u32,
    /// Glitches that end a server connection; 0: none.
    pub be_glitches: u32,
    /// `tune.h2.*`
    pub h2: crate::h2::Settings,
    /// `h1-accept-payload-with-any-method`
    pub any_method_payload: bool,
    /// `h1-do-not-close-on-insecure-transfer-encoding`
    pub keep_insecure_te: bool,
    /// `pp2-never-send-local`
    pub pp2_never_send_local: bool,
    /// `harden.reject-privileged-ports.tcp`
    pub reject_privileged_ports: bool,
    /// `tune.idle-pool.shared`
    pub idle_shared: bool,
    /// How checks are paced.
    pub checks: crate::check::schedule::Pace,
}

/// A whole configuration, ready to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which one of the process; later ones have greater numbers.
    pub generation: u64,
    /// `global`
    pub global: Arc<GlobalPlan>,
    /// All proxies, in the configuration's order.
    pub proxies: Vec<Arc<ProxyPlan>>,
    /// Backends (and `listen`s) by name.
    pub backends: Arc<HashMap<Box<[u8]>, usize>>,
    /// All listeners.
    pub listeners: Vec<Arc<ListenerPlan>>,
    by_identity: Arc<HashMap<usize, u32>>,
    /// `resolvers` sections, in the configuration's order.
    pub resolvers: Vec<Arc<crate::dns::ResolversPlan>>,
    /// Rings that are sent to servers.
    pub feeds: Vec<Arc<crate::logs::feed::FeedPlan>>,
    /// Names of the configuration's files.
    pub files: Arc<[String]>,
    /// TLS sessions that can be resumed.
    pub tls_sessions: Arc<Cache>,
    /// Connections of the process.
    pub connections: Arc<Gauge>,
}

impl Plan {
    /// With this proxy in its place, or behind all others.
    #[must_use]
    fn with(&self, proxy: ProxyPlan) -> Self {
        let mut plan = self.clone();
        plan.generation += 1;
        let index = proxy.index;
        match plan.proxies.get_mut(index) {
            Some(place) => *place = Arc::new(proxy),
            None => plan.proxies.push(Arc::new(proxy)),
        }
        plan
    }
    /// With one more backend, in a place that is free.
    #[must_use]
    pub(crate) fn with_backend(&self, proxy: ProxyPlan) -> Self {
        let (name, index) = (proxy.name.clone(), proxy.index);
        let mut plan = self.with(proxy);
        let mut backends = (*plan.backends).clone();
        backends.insert(name.as_bytes().into(), index);
        plan.backends = Arc::new(backends);
        plan
    }
    /// Without that backend.
    #[must_use]
    pub(crate) fn without_backend(&self, proxy: &ProxyPlan) -> Self {
        let mut plan = self.with(proxy.nobody());
        let mut backends = (*plan.backends).clone();
        backends.remove(proxy.name.as_bytes());
        plan.backends = Arc::new(backends);
        while plan.proxies.last().is_some_and(|p| p.is_nobody()) {
            plan.proxies.pop();
        }
        plan
    }
    /// The place for one more backend: behind all others, so that lists are in order of coming, unless there are many
    /// places of those that are gone.
    pub(crate) fn free_place(&self) -> usize {
        let free = || self.proxies.iter().filter(|p| p.is_nobody());
        match free().count() {
            0..MOST_FREE => self.proxies.len(),
            _ => free().next().map_or(self.proxies.len(), |p| p.index),
        }
    }
    /// The sides of listeners that speak TLS, each once.
    #[must_use]
    pub fn acceptors(&self) -> Vec<&Arc<Acceptor>> {
        let mut all: Vec<&Arc<Acceptor>> = Vec::new();
        for acceptor in self.listeners.iter().filter_map(|l| l.tls.as_ref()) {
            if !all.iter().any(|a| Arc::ptr_eq(a, acceptor)) {
                all.push(acceptor);
            }
        }
        all
    }
    /// With one more server in that backend.
    #[must_use]
    pub fn with_server(&self, backend: &ProxyPlan, server: Arc<ServerPlan>) -> Self {
        let mut proxy = backend.clone();
        proxy.push(server);
        self.with(proxy)
    }
    /// With another plan of a server of that backend.
    #[must_use]
    pub fn with_changed(&self, backend: &ProxyPlan, server: &Arc<ServerPlan>) -> Self {
        let mut proxy = backend.clone();
        proxy.change(server);
        self.with(proxy)
    }
    /// Without that server of that backend.
    #[must_use]
    pub fn without_server(&self, backend: &ProxyPlan, server: &ServerState) -> Self {
        let mut proxy = backend.clone();
        proxy.remove(server);
        self.with(proxy)
    }
    /// What this plan makes of a listener of another plan; none: it is not there any more, or speaks something else now.
    #[must_use]
    pub fn successor(&self, of: &ListenerPlan) -> Option<&Arc<ListenerPlan>> {
        let found = self.listeners.get(*self.by_identity.get(&of.identity())? as usize)?;
        let same =
            found.enabled && found.proxy.mode == of.proxy.mode && found.tls.is_some() == of.tls.is_some();
        same.then_some(found)
    }
}

/// Makes the plan. What is wrong is added to `diags`; the plan may only be used if none of it is an alert.
#[must_use]
pub fn compile(model: &Model, process: &crate::process::Process, diags: &mut Diagnostics) -> Plan {
    let names = proxy::Names::of(model, process.counts.conns.limit());
    let mut scripts = crate::check::plan::Scripts::new(model);
    let proxies: Vec<Arc<ProxyPlan>> = model
        .proxies
        .iter()
        .enumerate()
        .map(|(i, p)| Arc::new(proxy::compile(model, &names, i, p, process, &mut scripts, diags)))
        .collect();
    let global = Arc::new(global(model, scripts.count()));
    link(model, process);
    let nothing = GlobalTls::default();
    let make = || portcullis_tls::acceptor::cache(model.global.ext.get::<GlobalTls>().unwrap_or(&nothing));
    let sessions = process.tls_sessions(make);
    let listeners: Vec<_> = model
        .proxies
        .iter()
        .enumerate()
        .filter(|(_, p)| p.kind.front() && !p.disabled)
        .flat_map(|(i, p)| listener::compile(model, i, p, &proxies[i], (process, &sessions), diags))
        .collect();
    let by_identity = Arc::new(listeners.iter().zip(0..).map(|(l, at)| (l.identity(), at)).collect());
    let feeds = crate::logs::compile(model, &proxies, process, diags);
    let back = proxies.iter().filter(|p| p.kind.back());
    let backends = back.map(|p| (p.name.as_bytes().into(), p.index)).collect();
    Plan {
        generation: 0,
        global,
        proxies,
        backends: Arc::new(backends),
        listeners,
        by_identity,
        feeds,
        resolvers: crate::dns::compile(model, process, diags),
        files: diags.files.clone().into(),
        tls_sessions: sessions,
        connections: process.counts.conns.clone(),
    }
}

/// `track`: once all servers are there.
fn link(model: &Model, process: &crate::process::Process) {
    process.states.unlink();
    for p in model.proxies.iter().filter(|p| p.kind.back()) {
        for s in &p.servers {
            let settings = s.set.ext.get::<Arc<portcullis_backend::health::CheckSettings>>();
            if let Some(track) = settings.and_then(|c| c.track.as_ref()) {
                process.states.link(&p.name, &s.name, track);
            }
        }
    }
}

fn global(model: &Model, checks: u32) -> GlobalPlan {
    let g = &model.global;
    let t = &g.tune;
    GlobalPlan {
        bufsize: t.bufsize,
        bulk_size: BULK.max(t.bufsize),
        maxrewrite: t.maxrewrite.min(t.bufsize / 2),
        maxhdr: t.http_maxhdr,
        logurilen: t.http_logurilen,
        maxpipes: if g.nosplice { 0 } else { g.maxpipes.unwrap_or_else(|| g.maxconn.unwrap_or(2000) / 4) },
        pipesize: t.pipesize,
        maxaccept: t.maxaccept.map_or(64, |n| u32::try_from(n).unwrap_or(u32::MAX)).max(1),
        multi_queue: t.multi_queue,
        fe_glitches: t.h1_fe_glitches,
        be_glitches: t.h1_be_glitches,
        h2: crate::h2::Settings::new(t, !g.h2_no_websockets, g.nbthread.unwrap_or(1).into()),
        any_method_payload: g.h1_accept_payload_with_any_method,
        keep_insecure_te: g.h1_do_not_close_on_insecure_te,
        pp2_never_send_local: g.pp2_never_send_local,
        reject_privileged_ports: g.reject_privileged_ports_tcp,
        idle_shared: t.idle_pool_shared,
        checks: crate::check::schedule::Pace::new(model, checks),
    }
}
