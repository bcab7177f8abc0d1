//! `add server`, `del server`, `show default-server`

use crate::command::{Call, Outcome, Row};
use crate::socket::Level;
use portcullis_backend::health::CheckSettings;
use portcullis_config::runtime::{Desk, skeleton};
use portcullis_config::{Mode, Proxy, Server, Severity};
use portcullis_proxy::live::{self, Backend, Held};
use portcullis_proxy::plan::{Plan, ProxyPlan};
use portcullis_tls::settings::GlobalTls;
use std::sync::Arc;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    Row::new("add server", "<bk>/<srv>", Level::Admin, "create a new server", add),
    Row::new("del server", "<bk>/<srv>", Level::Admin, "remove a dynamically added server", del),
    Row::new("show default-server", "[<backend>]", Level::User, "list default-server instances", defaults),
];

/// What may follow the address, in the order in which `add server help` lists it. Keywords that do not work yet are refused
/// as on a `server` line.
const KEYWORDS: &[&str] = &[
    "allow-0rtt",
    "alpn",
    "ca-file",
    "check-alpn",
    "check-sni",
    "check-ssl",
    "ciphers",
    "ciphersuites",
    "client-sigalgs",
    "crl-file",
    "curves",
    "crt",
    "force-sslv3",
    "force-tlsv10",
    "force-tlsv11",
    "force-tlsv12",
    "force-tlsv13",
    "ktls",
    "no-check-sni-auto",
    "no-renegotiate",
    "no-sni-auto",
    "no-ssl-reuse",
    "no-sslv3",
    "no-tlsv10",
    "no-tlsv11",
    "no-tlsv12",
    "no-tlsv13",
    "no-tls-tickets",
    "npn",
    "renegotiate",
    "send-proxy-v2-ssl",
    "send-proxy-v2-ssl-cn",
    "sigalgs",
    "sni",
    "ssl",
    "ssl-min-ver",
    "ssl-max-ver",
    "tls-tickets",
    "verify",
    "verifyhost",
    "backup",
    "cookie",
    "disabled",
    "error-limit",
    "guid",
    "ws",
    "hash-key",
    "id",
    "idle-ping",
    "init-state",
    "maxconn",
    "maxqueue",
    "minconn",
    "no-backup",
    "no-send-proxy",
    "no-send-proxy-v2",
    "no-tfo",
    "observe",
    "on-error",
    "on-marked-down",
    "on-marked-up",
    "pool-conn-name",
    "pool-low-conn",
    "pool-max-conn",
    "pool-purge-delay",
    "proto",
    "proxy-v2-options",
    "send-proxy",
    "send-proxy-v2",
    "set-proxy-v2-tlv-fmt",
    "shard",
    "slowstart",
    "source",
    "strict-maxconn",
    "tfo",
    "track",
    "usesrc",
    "weight",
    "healthcheck",
    "addr",
    "agent-addr",
    "agent-check",
    "agent-inter",
    "agent-port",
    "agent-send",
    "check",
    "check-pool-conn-name",
    "check-proto",
    "check-reuse-pool",
    "check-send-proxy",
    "check-via-socks4",
    "rise",
    "fall",
    "inter",
    "fastinter",
    "downinter",
    "port",
];

fn add(call: &mut Call<'_>) -> Outcome {
    if call.arg(2) == "help" {
        let names = KEYWORDS.iter().map(|k| format!("{k}\n"));
        let text = format!("List of keywords supported for dynamic server:\n{}", names.collect::<String>());
        return Outcome::Text(text.into_bytes());
    }
    match added(call) {
        Ok(warning) => Outcome::info(format!("{warning}New server registered.")),
        Err(text) => Outcome::err(text),
    }
}

/// Yields what is to be said besides.
fn added(call: &Call<'_>) -> Result<&'static str, String> {
    let text = call.arg(2).into_owned();
    let (backend, name) =
        text.split_once('/').filter(|(_, s)| !s.is_empty()).ok_or("Require 'backend/server'.")?;
    let plan = call.admin.plan();
    let found = super::find_proxy(&plan, backend, |p| p.state.is_some());
    let proxy = found.and_then(|at| plan.proxies.get(at)).ok_or("No such backend.")?;
    let state = proxy.state.as_ref().ok_or("No such backend.")?;
    if state.is_static() {
        return Err(format!(
            "Backend does not support dynamic servers : backend '{}' uses a non dynamic load balancing method.",
            proxy.name
        ));
    }
    if proxy.mode == Mode::Log {
        return Err(format!(
            "servers that come to backend '{}' in mode log are not supported yet.",
            proxy.name
        ));
    }
    if state.server(name).is_some() {
        return Err("Already exists a server with the same name in backend.".into());
    }
    let model = call.admin.model();
    let section = proxy.section(&model).ok_or("No such backend.")?;
    let mut line = read(call, &plan, section, name)?;
    line.late = true;
    identify(&plan, proxy, &mut line)?;
    judge(call, &plan, proxy, &line)?;
    let warning = match line.set.cookie.is_some() && proxy.mode != Mode::Http {
        true => "Ignoring cookie as HTTP mode is disabled.\n",
        false => "",
    };
    let backend = Backend { plan: proxy, section, model: &model };
    live::add_server(&call.admin.process, backend, &line).map(|()| warning)
}

/// Reads the words, as those of a `server` line without a `default-server`.
fn read(call: &Call<'_>, plan: &Plan, section: &Proxy, name: &str) -> Result<Server, String> {
    let rest = call.words.get(3..).unwrap_or_default();
    let words: Vec<&[u8]> = std::iter::once(name.as_bytes()).chain(rest.iter().map(Vec::as_slice)).collect();
    let origin = rest.get(2).map(|w| String::from_utf8_lossy(w).into_owned());
    let model = call.admin.model();
    let others = |of: &str| {
        let of = if of.is_empty() { &section.name } else { of };
        let proxy = plan.proxies.iter().find(|p| p.state.is_some() && *p.name == *of)?;
        let its = proxy.section(&model)?;
        let wanted = origin.as_deref().and_then(|o| o.rsplit_once(['/', ':'])).map(|(_, s)| s);
        let late = proxy.servers.iter().find(|s| wanted == Some(&s.name)).and_then(|s| s.line.as_deref());
        let server = late.or_else(|| its.servers.iter().find(|s| wanted == Some(&s.name)));
        Some(skeleton(its, server))
    };
    let mut desk = call.admin.desk.lock();
    let desk = desk.get_or_insert_with(|| Desk::new(&model.global));
    // certificates are those that are there now
    let mut live = call.admin.tls.lock();
    std::mem::swap(desk.global().ext.entry::<GlobalTls>(), &mut live.global);
    let (server, diags) = desk.server(section, &others, &words, &call.admin.registry, KEYWORDS);
    std::mem::swap(desk.global().ext.entry::<GlobalTls>(), &mut live.global);
    let named = portcullis_sample::names::take();
    if let Some(wrong) = diags.list.iter().find(|d| d.severity == Severity::Alert) {
        let prefix = format!("'server {}/{name}' : ", section.name);
        let text = wrong.message.strip_prefix(&prefix).unwrap_or(&wrong.message);
        return Err(text.strip_suffix("?.").map_or(text.to_owned(), |asks| format!("{asks}?")));
    }
    if let Some(seen) = named.first() {
        return Err(format!(
            "an expression that names '{}' is not supported yet on dynamic servers.",
            seen.name
        ));
    }
    server.ok_or_else(|| "'server' expects <name> and <addr>[:<port>] as arguments.".into())
}

/// Its number: as said, or the first that nobody has; and its `guid`.
fn identify(plan: &Plan, proxy: &ProxyPlan, line: &mut Server) -> Result<(), String> {
    let has = |id: u32| proxy.servers.iter().find(|s| s.id == id);
    if let Some(first) = has(line.id).filter(|_| line.id_given) {
        return Err(format!(
            "'id' : custom id {} already used at (null):0 ('server {}').",
            line.id, first.name
        ));
    }
    if !line.id_given {
        line.id = (1..=u32::MAX).find(|id| has(*id).is_none()).unwrap_or(u32::MAX);
    }
    match line.guid.as_deref().and_then(|guid| taken(plan, guid)) {
        Some(first) => Err(format!("'guid': duplicate entry with {first}.")),
        None => Ok(()),
    }
}

/// Who has this `guid`.
pub fn taken(plan: &Plan, guid: &str) -> Option<String> {
    let of_server = |p: &ProxyPlan| {
        let found = p.servers.iter().find(|s| s.guid.as_deref() == Some(guid))?;
        Some(format!("server {}/{}", p.name, found.name))
    };
    let of = |p: &Arc<ProxyPlan>| match p.guid.as_deref() == Some(guid) {
        true => Some(format!("{} {}", p.kind.name(), p.name)),
        false => of_server(p),
    };
    plan.proxies.iter().find_map(of)
}

/// What it needs of others, and its checks of it.
fn judge(call: &Call<'_>, plan: &Plan, proxy: &ProxyPlan, line: &Server) -> Result<(), String> {
    let settings = line.set.ext.get::<Arc<CheckSettings>>().cloned().unwrap_or_default();
    if let Some(track) = &settings.track {
        let (of, name) = track.split_once('/').unwrap_or((&proxy.name, track));
        let found = plan.proxies.iter().find(|p| p.state.is_some() && *p.name == *of);
        let leader = found.ok_or_else(|| format!("unable to find required proxy '{of}' for tracking."))?;
        let leader = leader.servers.iter().find(|s| *s.name == *name);
        let leader =
            leader.ok_or_else(|| format!("unable to find required server '{name}' for tracking."))?;
        if leader.line.is_some() {
            return Err(format!("unable to use {of}/{name} for tracking as it is a dynamic server."));
        }
        let life = leader.state.life.lock();
        if !life.settings.any() && life.tracked_name().is_none() {
            return Err(format!(
                "unable to use {of}/{name} for tracking as it does not have any check nor agent enabled."
            ));
        }
        if settings.check {
            return Err("unable to enable checks and tracking at the same time!".into());
        }
    }
    if settings.agent && settings.agent_port.is_none() {
        return Err(format!("server {} does not have agent port. Agent check has been disabled.", line.name));
    }
    portcullis_proxy::check::plan::at_run_time(&call.admin.model(), line)
}

fn del(call: &mut Call<'_>) -> Outcome {
    let named = match super::server(call, 2) {
        Ok(named) => named,
        Err(e) => return e,
    };
    match live::remove_server(&call.admin.process, &named.server) {
        Ok(()) => Outcome::info("Server deleted."),
        Err(held) => Outcome::err(why(held)),
    }
}

/// Why a server stays.
pub fn why(held: Held) -> &'static str {
    match held {
        Held::Named => {
            "This server cannot be removed at runtime due to other configuration elements pointing to it."
        }
        Held::Working => "Only servers in maintenance mode can be deleted.",
        Held::Busy => "Server still has connections attached to it, cannot remove it.",
    }
}

/// The sets of defaults that `from` knows; the first of each backend is marked.
fn defaults(call: &mut Call<'_>) -> Outcome {
    let proxies = match super::servers::backends(call, 2) {
        Ok(proxies) => proxies,
        Err(e) => return e,
    };
    let mut out = String::new();
    let model = call.admin.model();
    for p in proxies {
        let Some(section) = p.section(&model) else { continue };
        let mut names: Vec<String> =
            section.named_default_servers.iter().map(|(n, _)| format!("{}/{n}", p.name)).collect();
        names.sort();
        if section.has_default_server {
            names.insert(0, p.name.to_string());
        }
        for (at, name) in names.iter().enumerate() {
            out.push_str(&format!("{} {name}\n", if at == 0 { '*' } else { ' ' }));
        }
    }
    Outcome::Text(out.into_bytes())
}
