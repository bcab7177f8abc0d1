//! How a stream ended, told once: the log line, the counters and the error page are made from the same facts.

pub mod format;

use crate::plan::ProxyPlan;
use crate::session::Session;
use portcullis_backend::ServerState;
use portcullis_config::Opts;
use portcullis_sample::Facts;
use portcullis_telemetry::log::Level;
use std::sync::atomic::Ordering;

/// What is known when a stream begins.
pub fn begin<'p>(facts: &mut Facts<'p>, session: &Session, front: &'p ProxyPlan, http: bool) {
    let worker = session.worker();
    facts.client = session.client.addr();
    facts.frontend_name = &front.name;
    facts.frontend_id = front.id;
    facts.backend_name = &front.name;
    facts.http = http;
    facts.request_number = session.requests;
    facts.request_count = worker.process.requests.fetch_add(1, Ordering::Relaxed);
    let now = worker.clock.wall();
    let age = std::time::Duration::from_millis(worker.clock.now().since(session.accepted));
    facts.now = now;
    facts.accepted = now.saturating_sub(age);
    facts.requested = now;
}

/// Gauges as the log shows them.
fn gauges(facts: &mut Facts<'_>, session: &Session) {
    facts.actconn = session.admission.actconn();
    facts.feconn = session.admission.feconn();
}

/// Timers, counters and the log line at the end of a stream.
pub fn finish(
    facts: &mut Facts<'_>,
    session: &Session,
    front: &ProxyPlan,
    back: Option<&ProxyPlan>,
    server: Option<&ServerState>,
) {
    let worker = session.worker();
    let now = worker.clock.now();
    let total = i32::try_from(now.since(session.accepted)).unwrap_or(i32::MAX);
    if !facts.http {
        facts.timers.total = total;
        facts.timers.user = total;
    }
    gauges(facts, session);
    count(facts, worker.id, front, back, server);
    if front.loggers.is_empty() || !wanted(facts, front) {
        return;
    }
    log(facts, session, front);
}

/// `option logasap`: the line is written now, with a `+` where the end is not known.
pub fn log_as_soon_as_possible(facts: &mut Facts<'_>, session: &Session, front: &ProxyPlan) {
    if front.loggers.is_empty() {
        return;
    }
    facts.as_soon_as_possible = true;
    gauges(facts, session);
    log(facts, session, front);
}

/// `option dontlognull`, `option dontlog-normal`, and what was logged already.
fn wanted(facts: &Facts<'_>, front: &ProxyPlan) -> bool {
    let null = facts.bytes_up == 0 && facts.bytes_down == 0 && facts.status <= 0;
    let normal = facts.termination[0] == b'-' && !(500..=599).contains(&facts.status) && facts.retries == 0;
    !(facts.as_soon_as_possible
        || (null && front.has(Opts::DONTLOGNULL) && !facts.http)
        || (normal && front.has(Opts::DONTLOG_NORMAL)))
}

fn log(facts: &Facts<'_>, session: &Session, front: &ProxyPlan) {
    let worker = session.worker();
    let failed = facts.termination[0] != b'-' || (500..=599).contains(&facts.status) || facts.redispatched;
    let level = if failed && front.has(Opts::LOG_SEPARATE_ERRORS) { Level::Err } else { Level::Info };
    let mut writer = worker.log.borrow_mut();
    let mut line = std::mem::take(&mut *worker.line.borrow_mut());
    line.clear();
    format::line(&front.log_format, facts, &mut line);
    let was_empty = writer.is_empty();
    writer.log(&front.loggers, level, worker.clock.wall(), b"", &line);
    *worker.line.borrow_mut() = line;
    drop(writer);
    if was_empty {
        worker.log_soon();
    }
}

fn count(
    facts: &Facts<'_>,
    worker: u16,
    front: &ProxyPlan,
    back: Option<&ProxyPlan>,
    server: Option<&ServerState>,
) {
    let f = front.front.counters.of(worker.into());
    f.bytes_in.add(facts.bytes_up);
    f.bytes_out.add(facts.bytes_down);
    let status = u16::try_from(facts.status).ok().filter(|s| *s > 0);
    if let Some(s) = status {
        f.response(s);
    }
    let Some(state) = back.and_then(|b| b.state.as_ref()) else { return };
    let b = state.counters.of(worker.into());
    b.bytes_in.add(facts.bytes_up);
    b.bytes_out.add(facts.bytes_down);
    if let Some(s) = status {
        b.response(s);
    }
    match facts.termination[0] {
        b'C' | b'c' => b.cli_aborts.inc(),
        b'S' | b's' if matches!(facts.termination[1], b'D' | b'L') => b.srv_aborts.inc(),
        _ => {}
    }
    if let Some(server) = server {
        let s = server.counters.of(worker.into());
        s.bytes_in.add(facts.bytes_up);
        s.bytes_out.add(facts.bytes_down);
        if let Some(status) = status {
            s.response(status);
        }
    }
}
