//! The table of commands, one file a subject.

pub mod acme;
pub mod add_server;
pub mod authorities;
pub mod backends;
pub mod certificates;
pub mod cookies;
pub mod counters;
pub mod crt_lists;
pub mod debug;
pub mod errors;
pub mod frontends;
pub mod httpclient;
pub mod info;
pub mod inside;
pub mod limits;
pub mod lists;
pub mod meta;
pub mod ocsp;
pub mod otel;
pub mod patterns;
pub mod pools;
pub mod process;
pub mod profiling;
pub mod reload;
pub mod resolvers;
pub mod rings;
pub mod server_state;
pub mod servers;
pub mod session_lines;
mod sessions;
pub mod stat;
pub mod stats_file;
pub mod tls_keys;
pub mod traces;
pub mod variables;
pub mod wait;

use crate::command::{Call, Outcome, Row};
use portcullis_backend::{BackendState, ServerState};
use portcullis_proxy::plan::{Plan, ProxyPlan, ServerPlan};
use std::sync::{Arc, LazyLock};

const TABLES: &[&[Row]] = &[
    acme::ROWS,
    add_server::ROWS,
    authorities::ROWS,
    backends::ROWS,
    certificates::ROWS,
    cookies::ROWS,
    counters::ROWS,
    debug::ROWS,
    errors::ROWS,
    crt_lists::ROWS,
    frontends::ROWS,
    info::ROWS,
    inside::ROWS,
    limits::ROWS,
    lists::ROWS,
    meta::ROWS,
    ocsp::ROWS,
    httpclient::ROWS,
    otel::ROWS,
    patterns::ROWS,
    pools::ROWS,
    process::ROWS,
    profiling::ROWS,
    reload::ROWS,
    resolvers::ROWS,
    rings::ROWS,
    server_state::ROWS,
    servers::ROWS,
    sessions::ROWS,
    stat::ROWS,
    stats_file::ROWS,
    tls_keys::ROWS,
    traces::ROWS,
    variables::ROWS,
    wait::ROWS,
];

/// Every command, sorted by name.
pub static ALL: LazyLock<Vec<&'static Row>> = LazyLock::new(|| {
    let mut all: Vec<&Row> = TABLES.iter().flat_map(|t| t.iter()).collect();
    all.sort_by_key(|r| r.name);
    all
});

/// Beginnings of commands that belong to capabilities which are not there yet.
const LATER: &[&str] = &["clear table", "set table", "show cache", "show peers", "show quic", "show table"];

/// The known command that these words begin, if it is one for later.
pub fn later(words: &[Vec<u8>]) -> Option<&'static str> {
    LATER.iter().find(|name| begins(words, name)).copied()
}

/// The command about what HAProxy alone is made of that these words begin, and why it does not exist here.
pub fn internal(words: &[Vec<u8>]) -> Option<(&'static str, &'static str)> {
    debug::INTERNAL.iter().find(|(name, _)| begins(words, name)).copied()
}

fn begins(words: &[Vec<u8>], name: &str) -> bool {
    name.split(' ').enumerate().all(|(i, n)| words.get(i).is_some_and(|w| w == n.as_bytes()))
}

/// A server as commands name it.
pub struct Named {
    /// The newest plan.
    pub plan: Arc<Plan>,
    /// The backend's index in it.
    pub proxy: usize,
    /// The backend's state.
    pub backend: Arc<BackendState>,
    /// The server's state.
    pub server: Arc<ServerState>,
}

impl Named {
    /// The server's plan.
    pub fn server_plan(&self) -> Option<&ServerPlan> {
        self.plan.proxies.get(self.proxy)?.server_of(&self.server)
    }
    /// The weight that the configuration says.
    pub fn initial_weight(&self) -> u32 {
        self.server_plan().map_or(1, |s| s.weight)
    }
    /// What can be done to it.
    pub fn on(&self, call: &Call<'_>) -> portcullis_stats::actions::On<'_> {
        let now = call.admin.now();
        portcullis_stats::actions::On { backend: &self.backend, server: &self.server, now }
    }
}

/// The server that word `at` names as `<backend>/<server>`; either part may be a name or `#<id>`.
pub fn server(call: &Call<'_>, at: usize) -> Result<Named, Outcome> {
    server_named(&call.admin.plan(), &call.arg(at)).map_err(Outcome::err)
}

/// The same, from a plan.
pub fn server_named(plan: &Arc<Plan>, text: &str) -> Result<Named, &'static str> {
    let Some((backend, name)) = text.split_once('/').filter(|(_, s)| !s.is_empty()) else {
        return Err("Require 'backend/server'.");
    };
    let plan = plan.clone();
    let proxy = find_proxy(&plan, backend, |p| p.state.is_some()).ok_or("No such backend.")?;
    let state = plan.proxies.get(proxy).and_then(|p| p.state.clone()).ok_or("No such backend.")?;
    let found = match name.strip_prefix('#').and_then(|n| n.parse::<u32>().ok()) {
        Some(id) => {
            state.servers().into_iter().find(|s| s.id.load(std::sync::atomic::Ordering::Relaxed) == id)
        }
        None => state.server(name),
    };
    match found {
        Some(server) => Ok(Named { plan, proxy, backend: state, server }),
        None => Err("No such server."),
    }
}

/// Index of a proxy by name or `#<id>`.
pub fn find_proxy(plan: &Plan, name: &str, of: impl Fn(&ProxyPlan) -> bool) -> Option<usize> {
    let id = name.strip_prefix('#').and_then(|n| n.parse::<u32>().ok());
    plan.proxies.iter().position(|p| of(p) && id.map_or(&*p.name == name, |id| p.id == id))
}

/// The leading number of a word as `atoi` reads it: 0 for none.
pub fn number(text: &str) -> i64 {
    portcullis_config::rows::value::leading(text.as_bytes()).0
}
