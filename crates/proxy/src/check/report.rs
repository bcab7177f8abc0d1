//! What follows from a change of a server's state: log lines, words on standard error, streams that end.

use crate::plan::{Plan, ProxyPlan, ServerPlan};
use crate::process::Process;
use crate::worker::Worker;
use crate::worker::mailbox::Mail;
use crate::worker::slots::Abort;
use portcullis_backend::health::{Observed, Probe, Report};
use portcullis_backend::{BackendState, Health, ServerState};
use portcullis_config::{ProxyKind, Severity};
use portcullis_telemetry::ledger::Kind;
use portcullis_telemetry::log::Level;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// From any thread: some worker sees to it.
pub fn post(process: &Process, reports: Vec<Report>) {
    if reports.is_empty() {
        return;
    }
    if let Some(worker) = process.workers().first() {
        worker.send(Mail::Run(Box::new(move |w| deliver(w, reports))));
    }
}

/// On a worker.
pub fn deliver(worker: &Rc<Worker>, reports: Vec<Report>) {
    for report in reports {
        one(worker, report);
    }
}

fn one(worker: &Rc<Worker>, report: Report) {
    match report {
        Report::Log { backend, level, text, mail } => {
            log(worker, &backend, level, &text, Severity::Warning, &text);
            if let Some(level) = mail {
                write(worker, backend, level, &text);
            }
        }
        Report::Empty { backend } => {
            let plan = worker.plan();
            let listen = find(&plan, &backend).is_some_and(|p| p.kind == ProxyKind::Listen);
            let kind = if listen { "proxy" } else { "backend" };
            let text = format!("{kind} {backend} has no server available!");
            let said = format!("{kind} '{backend}' has no server available!");
            log(worker, &backend, Level::Emerg, &text, Severity::Alert, &said);
        }
        Report::EndSessions { backend, server } => {
            end_streams(&worker.process, Abort::ServerDown, move |p, s| {
                *p.name == *backend && *s.name == *server
            });
        }
        Report::EndBackupSessions { backend } => {
            end_streams(&worker.process, Abort::ServerUp, move |p, s| {
                let backup = |state: &portcullis_backend::BackendState| {
                    state.server(&s.name).is_some_and(|s| s.backup())
                };
                *p.name == *backend && p.state.as_deref().is_some_and(backup)
            });
        }
        Report::Warms { backend, server, why } => warm_up(worker, &backend, &server, why),
        Report::Hurry { server } => super::schedule::hurry(&worker.process, server),
    }
}

/// Makes a server warmer step by step (`slowstart`).
fn warm_up(worker: &Rc<Worker>, backend: &str, server: &str, why: String) {
    let Some(backend) = worker.process.states.find(backend) else { return };
    let Some(server) = backend.server(server) else { return };
    let of = worker;
    let worker = worker.clone();
    crate::worker::spawn(of, Kind::Schedule, None, async move {
        loop {
            tokio::time::sleep(Duration::from_millis(server.warming_step())).await;
            match backend.warm(&server, &why, worker.clock.now().0) {
                Some(reports) => {
                    let done = !reports.is_empty();
                    deliver(&worker, reports);
                    if done {
                        return;
                    }
                }
                None => return,
            }
        }
    });
}

/// Traffic has shown this of a server that is observed.
#[cold]
pub fn seen(worker: &Rc<Worker>, backend: &Arc<BackendState>, server: &ServerState, what: Observed) {
    // only a server that is still there matters
    let Some(server) = backend.server(&server.name.get()) else { return };
    deliver(worker, backend.observe(&server, what, worker.clock.now().0));
}

/// What the end of a stream shows: the first characters of its termination state, and its status.
#[must_use]
pub fn of_stream(termination: [u8; 4], status: Option<u16>) -> Option<Observed> {
    match &termination[..2] {
        b"PH" => Some(Observed::Garbage),
        b"SH" => Some(Observed::Broken),
        b"sH" => Some(Observed::Silence),
        // not the server's answer, or none was waited for
        [b'C' | b'c' | b'P' | b'L' | b'I' | b'K' | b'D' | b'U', _] | [b'S' | b's', b'C' | b'Q'] => None,
        _ => status.map(Observed::Response),
    }
}

fn find<'p>(plan: &'p Plan, backend: &str) -> Option<&'p ProxyPlan> {
    plan.proxies.get(*plan.backends.get(backend.as_bytes())?).map(|p| &**p)
}

/// A mail, if the backend's mail servers are told of what matters that much.
fn write(worker: &Worker, backend: Arc<str>, level: Level, text: &str) {
    let plan = worker.plan();
    let alerts = find(&plan, &backend).and_then(|p| p.alerts.as_ref()).filter(|a| level <= a.level);
    if let Some(alerts) = alerts {
        crate::mail::post::send(worker, backend, alerts.clone(), text);
    }
}

/// A line in the log of a backend, and words on standard error.
pub fn log(worker: &Worker, backend: &str, level: Level, text: &str, severity: Severity, said: &str) {
    worker.process.say(severity, said);
    let plan = worker.plan();
    let Some(proxy) = find(&plan, backend) else { return };
    crate::outcome::note(worker, proxy, level, text);
}

/// Ends the streams that are on such servers, on every worker.
fn end_streams(
    process: &Process,
    why: Abort,
    on: impl Fn(&ProxyPlan, &ServerPlan) -> bool + Send + Sync + 'static,
) {
    let on = Arc::new(on);
    process.tell_all(|| {
        let on = on.clone();
        Mail::Run(Box::new(move |worker| {
            let mut any = false;
            for (slot, _, info) in worker.slots.list() {
                let Some(stream) = info.stream else { continue };
                if let (Some(proxy), Some(server)) = (stream.to(), stream.on(&worker.process))
                    && on(proxy, &server)
                {
                    any |= worker.slots.abort(slot, why);
                }
            }
            if any {
                worker.wake_all();
            }
        }))
    });
}

/// `UP`, `UP 1/3`, `DOWN 1/2`, `NOLB`: a state, and how far checks are from changing it.
#[must_use]
pub fn standing(health: Health, probe: &Probe) -> String {
    let part = i64::from(probe.health) - i64::from(probe.rise) + 1;
    match health {
        Health::Down if probe.health == 0 => "DOWN".into(),
        Health::Down => format!("DOWN {}/{}", probe.health, probe.rise),
        Health::Stopping if probe.health >= probe.full() => "NOLB".into(),
        Health::Stopping => format!("NOLB {part}/{}", probe.fall),
        Health::Up if probe.health >= probe.full() => "UP".into(),
        Health::Up => format!("UP {part}/{}", probe.fall),
    }
}

/// `http-check send-state`
pub(super) fn state_header(worker: &Worker, proxy: &ProxyPlan, plan: &ServerPlan, s: &ServerState) -> String {
    let (address, port) = match plan.address(s) {
        Some(a) => (a.ip().to_string(), a.port().to_string()),
        None => ("unix".into(), "unix".into()),
    };
    let servers = proxy.state.as_ref().map(|b| b.servers()).unwrap_or_default();
    let weights: u32 = servers.iter().filter(|s| s.usable()).map(|s| s.weight()).sum();
    let sessions: u32 = servers.iter().map(|s| s.sessions.get()).sum();
    let standing = standing(s.health(), &s.life.lock().check);
    format!(
        "{standing}; address={address}; port={port}; name={}/{}; node={}; weight={}/{weights}; scur={}/{sessions}; qcur={}",
        proxy.name,
        s.name,
        worker.process.node(),
        s.weight(),
        s.sessions.get(),
        s.queued(),
    )
}
