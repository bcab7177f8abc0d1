//! Backends in mode log: what can only be judged when everything was read (manual section 4.2, "mode", "balance").

use super::proxy_http::called;
use crate::addr::{Host, Ports, Transport};
use crate::balance::Algorithm;
use crate::diag::{Diagnostics, Severity};
use crate::model::{LogTo, Mode, Model, Opts, Proxy, ProxyKind};
use std::collections::HashSet;

/// Where syslog listens.
const SYSLOG: u16 = 514;

/// Judges one proxy.
pub fn check(proxy: &mut Proxy, diags: &mut Diagnostics) {
    if proxy.mode == Mode::Log {
        log_mode(proxy, diags);
    } else if let Some(s) = proxy.servers.iter().find(|s| s.address.transport == Transport::Datagram) {
        let mode = if proxy.mode == Mode::Http { "http" } else { "tcp" };
        let message = format!("unsupported transport for server address in '{mode}' backend.");
        diags.add(Severity::Alert, Some(s.place), message);
    }
}

fn log_mode(proxy: &mut Proxy, diags: &mut Diagnostics) {
    let mut refuse = |message: String| {
        diags.late(Severity::Alert, Some(proxy.place), message);
    };
    if proxy.kind == ProxyKind::Forward {
        return;
    }
    if proxy.kind == ProxyKind::Frontend {
        return refuse("mode syslog is only applicable on proxies with backend capability.".into());
    }
    if !proxy.binds.is_empty() {
        return refuse(format!("{} : 'bind' is not supported yet in mode log.", called(proxy)));
    }
    let balances = matches!(
        proxy.balance.algorithm,
        Algorithm::Unsaid
            | Algorithm::RoundRobin
            | Algorithm::Random(_)
            | Algorithm::Sticky
            | Algorithm::LogHash(_)
    );
    if !balances {
        let known = "\"balance\" only supports 'roundrobin', 'random', 'sticky' and 'log-hash'";
        return refuse(format!("in {}: {known}.", called(proxy)));
    }
    if matches!(proxy.balance.algorithm, Algorithm::LogHash(_)) && proxy.balance.hash.consistent {
        let why = "unsupported hash method (from \"hash-type\")";
        return refuse(format!("log {}: failed to initialize: {why}.", called(proxy)));
    }
    let datagrams = |t: Transport| t == Transport::Datagram;
    let mut kinds = proxy.servers.windows(2);
    let mixed = kinds.find_map(|w| match w {
        [a, b] if datagrams(a.address.transport) != datagrams(b.address.transport) => Some(&b.name),
        _ => None,
    });
    if let Some(name) = mixed {
        let why = "srv's network type differs from previous server";
        return refuse(format!(
            "log {}: failed to initialize: cannot mix server types within a log backend, '{name}' {why}.",
            called(proxy)
        ));
    }
    for server in &mut proxy.servers {
        let inet = matches!(server.address.host, Host::V4(_) | Host::V6(_) | Host::Name(_));
        if inet && matches!(server.address.ports, Ports::None | Ports::One(0)) {
            server.address.ports = Ports::One(SYSLOG);
        }
    }
    // connections of its own making are short or none: what belongs to HTTP does nothing
    proxy.opts.remove(Opts::ABORTONCLOSE);
}

/// HAProxy finds out when it starts only that a target is not there; it is a warning here so that `-c` says the same, and
/// more.
pub fn targets(model: &Model, diags: &mut Diagnostics) {
    let proxies = model.proxies.iter().filter(|p| p.kind != ProxyKind::Defaults);
    let lines = proxies.flat_map(|p| p.logs.iter().map(move |l| (Some(p), l)));
    let mut said = HashSet::new();
    for (proxy, log) in lines.chain(model.global.logs.iter().map(|l| (None, l))) {
        let (what, severity) = match &log.to {
            LogTo::Ring(name) if model.rings.iter().all(|r| r.name != **name) => {
                (format!("ring named '{name}'"), Severity::Warning)
            }
            LogTo::Backend(name)
                if !model
                    .proxies
                    .iter()
                    .any(|p| p.kind.back() && p.name == **name && p.mode == Mode::Log && !p.disabled) =>
            {
                (format!("log backend named '{name}'"), Severity::Notice)
            }
            _ => continue,
        };
        if !said.insert(log.place) {
            continue;
        }
        let section = proxy.map_or("global section".to_owned(), |p| format!("proxy section '{}'", p.name));
        let message = format!("log directive declared in {section} uses unknown {what}.");
        diags.add(severity, Some(log.place), message);
    }
}
