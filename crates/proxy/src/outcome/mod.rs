//! How a stream ended, told once: the log line, the counters and the error page are made from the same facts.

use crate::plan::ProxyPlan;
use crate::session::Session;
use portcullis_backend::ServerState;
use portcullis_config::Opts;
use portcullis_message::Head;
use portcullis_sample::format::connect_line;
use portcullis_sample::{Direction, Facts, Format, Message, Scope};
use portcullis_telemetry::log::Level;
use std::sync::atomic::Ordering;

/// The heads that a log format may look at, and what rules said about logging.
pub struct Heads<'a> {
    /// The request's, as rules left it.
    pub request: &'a Head,
    /// The response's.
    pub response: &'a Head,
    /// `set-log-level`: inside, `None` is silent.
    pub level: Option<Option<u8>>,
}

/// The compiled form of a proxy's log format; `None`: the short line.
#[must_use]
pub fn format_of(format: &portcullis_config::LogFormat) -> Option<Format> {
    use portcullis_config::LogFormat as F;
    use portcullis_sample::format;
    match format {
        F::Http | F::Https => Some(format::builtin_http()),
        F::HttpClf => Some(format::builtin_http_clf()),
        F::Tcp => Some(format::builtin_tcp()),
        F::TcpClf => Some(format::builtin_tcp_clf()),
        F::Connect | F::Custom(_) => None,
    }
}

/// What is known when a stream begins.
pub fn begin<'p>(facts: &mut Facts<'p>, session: &Session, front: &'p ProxyPlan, http: bool) {
    let worker = session.worker();
    facts.client = session.client.addr();
    facts.frontend_name = &front.name;
    facts.frontend_id = front.id;
    facts.listener_id = session.listener.bind.id;
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
    heads: Option<&Heads<'_>>,
) {
    let worker = session.worker();
    let now = worker.clock.now();
    let total = i32::try_from(now.since(session.accepted)).unwrap_or(i32::MAX);
    if !facts.http {
        facts.timers.total = total;
        facts.timers.user = total;
    }
    gauges(facts, session);
    // the stream's own places are given back already
    facts.beconn = back.and_then(|b| b.state.as_ref()).map_or(0, |s| s.sessions().get());
    facts.srvconn = server.map_or(0, |s| s.sessions.get());
    count(facts, worker.id, front, back, server);
    if front.loggers.is_empty() || !wanted(facts, front) {
        return;
    }
    log(facts, session, front, heads);
}

/// `option logasap`: the line is written now, with a `+` where the end is not known.
pub fn log_as_soon_as_possible(
    facts: &mut Facts<'_>,
    session: &Session,
    front: &ProxyPlan,
    heads: Option<&Heads<'_>>,
) {
    if front.loggers.is_empty() {
        return;
    }
    facts.as_soon_as_possible = true;
    gauges(facts, session);
    log(facts, session, front, heads);
}

/// `option dontlognull`, `option dontlog-normal`, and what was logged already.
fn wanted(facts: &Facts<'_>, front: &ProxyPlan) -> bool {
    let null = facts.bytes_up == 0 && facts.bytes_down == 0 && facts.status <= 0;
    let normal = facts.termination[0] == b'-' && !(500..=599).contains(&facts.status) && facts.retries == 0;
    !(facts.as_soon_as_possible
        || (null && front.has(Opts::DONTLOGNULL) && !facts.http)
        || (normal && front.has(Opts::DONTLOG_NORMAL)))
}

fn log(facts: &Facts<'_>, session: &Session, front: &ProxyPlan, heads: Option<&Heads<'_>>) {
    let worker = session.worker();
    let failed = facts.termination[0] != b'-' || (500..=599).contains(&facts.status) || facts.redispatched;
    let said = heads.and_then(|h| h.level);
    let level = match said {
        Some(None) => return,
        Some(Some(level)) => level_of(level),
        None if failed && front.has(Opts::LOG_SEPARATE_ERRORS) => Level::Err,
        None => Level::Info,
    };
    let scope = Scope {
        wall: worker.clock.wall(),
        direction: Direction::Response,
        request: heads.map_or(Message::None, |h| Message::Here(h.request)),
        response: heads.map_or(Message::None, |h| Message::Here(h.response)),
        ..Scope::new(facts, &worker.random)
    };
    let mut line = std::mem::take(&mut *worker.line.borrow_mut());
    line.clear();
    match &front.log_format {
        Some(format) => format.run(&scope, &mut line),
        None => connect_line(&scope, &mut line),
    }
    let mut writer = worker.log.borrow_mut();
    let was_empty = writer.is_empty();
    writer.log(&front.loggers, level, scope.wall, b"", &line);
    drop(writer);
    *worker.line.borrow_mut() = line;
    if was_empty {
        worker.log_soon();
    }
}

fn level_of(n: u8) -> Level {
    [Level::Emerg, Level::Alert, Level::Crit, Level::Err, Level::Warning, Level::Notice, Level::Info]
        .get(usize::from(n))
        .copied()
        .unwrap_or(Level::Debug)
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
