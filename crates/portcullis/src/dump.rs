//! What the process shows of itself: keyword classes (`-dK`), object files (`-dL`), server states (SIGHUP).

use portcullis_backend::{Admin, Health};
use portcullis_config::{Does, Registry};
use portcullis_proxy::plan::ProxyPlan;
use portcullis_proxy::process::Process;
use std::fmt::Write;

/// The states of a proxy's servers and the proxy's own, in HAProxy's words.
#[must_use]
pub fn servers(proxy: &ProxyPlan) -> Vec<String> {
    let mut all = Vec::new();
    let states = proxy.state.as_ref().map(|s| s.servers()).unwrap_or_default();
    for s in &states {
        let up = if s.health() == Health::Down || s.admin() == Admin::Maint { "DOWN" } else { "UP" };
        let total = s.counters.sum(|c| c.cum_sess.get());
        all.push(format!(
            "Server {}/{} is {up}. Conn: {} act, {} pend, {total} tot.",
            s.backend,
            s.name,
            s.used(),
            s.queued()
        ));
    }
    let front = if proxy.kind.front() { proxy.front.sessions.get() } else { 0 };
    let front_total = if proxy.kind.front() { proxy.front.counters.sum(|c| c.cum_conn.get()) } else { 0 };
    let (back, back_total, unassigned, (active, backup)) = match &proxy.state {
        Some(s) => (s.sessions().get(), s.counters.sum(|c| c.cum_sess.get()), s.queued(), s.usable()),
        None => (0, 0, 0, (0, 0)),
    };
    let pending: u32 = unassigned + states.iter().map(|s| s.queued()).sum::<u32>();
    let what = match (states.is_empty(), active, backup) {
        (true, ..) => "has no servers.".to_string(),
        (_, 0, 0) => "has no server available !".to_string(),
        (_, 0, n) => format!("is running on {n} backup servers."),
        (_, a, b) => format!("has {a} active servers and {b} backup servers available."),
    };
    all.push(format!(
        "Proxy {} {what} Conn: act(FE+BE): {front}+{back}, {pending} pend ({unassigned} unass), tot(FE+BE): \
         {front_total}+{back_total}.",
        proxy.name
    ));
    all
}

/// What SIGQUIT tells: there are no pools to dump or to flush.
#[must_use]
pub fn memory(process: &Process) -> String {
    let connections: u32 = process.load.iter().map(|n| n.load(std::sync::atomic::Ordering::Relaxed)).sum();
    let panics = process.counts.counters.sum(|c| c.panics.get());
    format!("{connections} connections, {} workers, {panics} internal errors (panics).", process.load.len())
}

/// `-dL`: the object files that the process has loaded.
#[must_use]
pub fn libraries() -> String {
    let mut out = String::from("List of loaded object files:\n");
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let mut seen: Vec<&str> = Vec::new();
    for line in maps.lines() {
        if let Some(at) = line.find('/')
            && let Some(path) = line.get(at..)
            && !seen.contains(&path)
            && line.contains(" r-xp ")
        {
            seen.push(path);
            let _ = writeln!(out, "{path}");
        }
    }
    out
}

/// `-dK`: the keywords of these classes (comma separated), from the rows.
#[must_use]
pub fn classes(registry: &Registry, classes: &str) -> String {
    let mut out = String::new();
    let wanted = |name: &str| classes.split(',').any(|c| c == name || c == "all");
    if wanted("cfg") {
        out.push_str("# List of registered configuration keywords:\n");
        for section in portcullis_config::sections::SECTIONS {
            let here = |k: &&&portcullis_config::Keyword| {
                k.sections.intersects(section.section) && !matches!(k.does, Does::NotYet(_))
            };
            let rows: Vec<_> = registry.keywords().collect();
            let mut rows: Vec<_> = rows.iter().filter(here).collect();
            if rows.is_empty() {
                continue;
            }
            rows.sort_by_key(|k| k.name);
            let _ = writeln!(out, "{}", section.name);
            for k in rows {
                let _ = writeln!(out, "\t{} {}", k.name, k.args);
            }
        }
        out.push_str("bind <addr>\n");
        for k in registry.bind().filter(|k| !matches!(k.does, Does::NotYet(_))) {
            let _ = writeln!(out, "\t{} {}", k.name, k.args);
        }
        out.push_str("server <name> <addr>\n");
        for k in registry.server().filter(|k| !matches!(k.does, Does::NotYet(_))) {
            let _ = writeln!(out, "\t{} {}", k.name, k.args);
        }
    }
    let vocabulary = &portcullis_sample::vocabulary();
    if wanted("smp") {
        out.push_str(&portcullis_sample::dump::fetches(vocabulary));
    }
    if wanted("cnv") {
        out.push_str(&portcullis_sample::dump::converters(vocabulary));
    }
    if wanted("acl") {
        out.push_str(&portcullis_sample::dump::acls(vocabulary));
    }
    out
}
