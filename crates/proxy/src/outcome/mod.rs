//! How a stream ended, told once: the log line, the counters and the error page are made from the same facts.

mod continuous;
mod formats;
mod profiles;

pub use continuous::Tally;
pub use formats::{Formats, ROWS, When};
pub use profiles::{Profiled, ROWS as STEP_ROWS, Steps, check};

use crate::check::report;
use crate::http::Scratch;
use crate::otel::Tells;
use crate::plan::ProxyPlan;
use crate::session::Session;
use crate::worker::Worker;
use portcullis_backend::{BackendState, ServerState};
use portcullis_config::Opts;
use portcullis_sample::Format;
use portcullis_sample::facts::Timers;
use portcullis_sample::fetch::link;
use portcullis_sample::format::Needs;
use portcullis_sample::format::{connect_line, error_line};
use portcullis_sample::vars::Vars;
use portcullis_sample::{Direction, Facts, Message, RequestLine, Scope, Socket};
use portcullis_telemetry::gauge::Held;
use portcullis_telemetry::log::{Level, Loggers, Structured};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The heads that a log format may look at, and what rules said about logging.
pub struct Heads<'a> {
    /// The request's, as rules left it; TCP has none.
    pub request: Message<'a>,
    /// The response's.
    pub response: Message<'a>,
    /// The request line as received.
    pub line: Option<&'a RequestLine>,
    /// `set-log-level`: inside, `None` is silent.
    pub level: Option<Option<u8>>,
}

impl<'a> Heads<'a> {
    /// Of HTTP.
    #[must_use]
    pub fn of(scratch: &'a Scratch, level: Option<Option<u8>>) -> Self {
        Self {
            request: Message::Here(&scratch.request),
            response: Message::Here(&scratch.response),
            line: Some(&scratch.line),
            level,
        }
    }
    /// Of TCP.
    #[must_use]
    pub fn none(level: Option<Option<u8>>) -> Self {
        Self { request: Message::None, response: Message::None, line: None, level }
    }
}

/// What is known when a stream begins.
pub fn begin<'p>(facts: &mut Facts<'p>, session: &Session, front: &'p ProxyPlan, http: bool) {
    let worker = session.worker();
    begin_facts(facts, session, front);
    facts.listener_name = front.bind_names.get(session.listener.number).and_then(|n| n.as_deref());
    facts.http = http;
    facts.stream = true;
    facts.request_number = session.requests;
    facts.request_count = worker.process.requests.fetch_add(1, Ordering::Relaxed);
}

/// What is known of a session, stream or not.
pub fn begin_facts<'p>(facts: &mut Facts<'p>, session: &Session, front: &'p ProxyPlan) {
    let worker = session.worker();
    facts.client = session.client.addr();
    facts.client_link.socket = session.conn.fd().map_or(Socket::NONE, Socket::of);
    facts.client_link.glitches = session.glitches;
    facts.frontend = session.told.as_ref().and_then(|t| t.destination);
    facts.client_link.told = session.told.as_ref().and_then(|t| t.values.clone());
    facts.proxied = session.told.as_ref().is_some_and(|t| t.proxied);
    facts.vars = Vars::of(&session.vars);
    facts.frontend_name = &front.name;
    facts.counts = Some(front);
    facts.frontend_id = front.id;
    facts.backend_name = &front.name;
    facts.backend_id = front.id;
    facts.listener_id = session.listener.bind.id;
    if session.requests <= 1 {
        let handshake = session.idle_since.since(session.accepted);
        facts.timers.handshake = i32::try_from(handshake).unwrap_or(i32::MAX);
    }
    facts.frontend_tls = session.conn.tls_info();
    let now = worker.clock.wall();
    let age = std::time::Duration::from_millis(worker.clock.now().since(session.accepted));
    facts.now = now;
    facts.accepted = now.saturating_sub(age);
    facts.requested = now;
}

/// Counts a stream in its backend; the guard is its place there.
pub fn routed(state: &BackendState, worker: &Worker, http: bool) -> Held {
    let (c, now) = (state.counters.of(worker.id.into()), worker.clock.now().0);
    c.cum_sess.inc();
    if http {
        c.cum_req.inc();
    }
    c.times.last.see(now);
    state.sess_rate_max.hit(&c.sess_rate, || state.counters.iter().map(|c| &c.sess_rate), now);
    state.sessions().take()
}

/// Counts a stream in its server.
pub fn reached(server: &ServerState, worker: &Worker) {
    let (c, now) = (server.counters.of(worker.id.into()), worker.clock.now().0);
    c.cum_sess.inc();
    c.times.last.see(now);
    server.sess_rate_max.hit(&c.sess_rate, || server.counters.iter().map(|c| &c.sess_rate), now);
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
    let total = elapsed(session);
    if !facts.http {
        facts.timers.total = total;
        facts.timers.user = total;
    }
    // the stream's own places are given back already
    facts.beconn = back.and_then(|b| b.state.as_ref()).map_or(0, |s| s.sessions().get());
    facts.srvconn = server.map_or(0, |s| s.sessions.get());
    count(facts, session, front, back, server);
    if let Some(otel) = front.otel.as_deref().filter(|_| facts.trace.is_some()) {
        otel.over(facts, session, heads.and_then(|h| h.request.head()));
    }
    if !front.logs() || !wanted(facts, front) {
        return;
    }
    let bad = never_a_request(facts, heads);
    if bad && front.formats.log.is_none() && front.formats.error.is_none() {
        return;
    }
    if !bad && front.formats.steps.is_some_and(|s| !s.contains(Steps::CLOSE)) {
        return;
    }
    facts.log_origin = if bad { "sess_error" } else { "txn_close" };
    // a line of such a frontend has its plus, even when nothing more can come
    facts.as_soon_as_possible = front.has(Opts::LOGASAP);
    log_at(facts, session, front, heads, Steps::CLOSE);
}

/// The line is written now ([`When`]), with a `+` where the end is not known.
pub fn log_before_the_end(
    facts: &mut Facts<'_>,
    session: &Session,
    front: &ProxyPlan,
    heads: Option<&Heads<'_>>,
) {
    if !front.logs() {
        return;
    }
    facts.as_soon_as_possible = true;
    let step = match (front.formats.when, facts.http) {
        (When::Begin, _) => Steps::empty(),
        (_, true) => Steps::RESPONSE,
        (_, false) => Steps::CONNECT,
    };
    facts.log_origin = step.origin();
    if !facts.http {
        facts.timers.total = elapsed(session);
    }
    log_at(facts, session, front, heads, step);
}

/// `option dontlognull`, `option dontlog-normal`, and what was logged already.
fn wanted(facts: &Facts<'_>, front: &ProxyPlan) -> bool {
    let null = facts.bytes_up == 0 && facts.bytes_down == 0 && facts.status <= 0 && !facts.unread;
    let normal = !is_error(facts);
    !(facts.as_soon_as_possible
        || (null && front.has(Opts::DONTLOGNULL) && !facts.http)
        || (normal && front.has(Opts::DONTLOG_NORMAL)))
}

/// What `option log-separate-errors` and `error-log-format` are about.
fn is_error(facts: &Facts<'_>) -> bool {
    !matches!(facts.termination[0], b'-' | b'L')
        || (500..=599).contains(&facts.status)
        || facts.retries > 0
        || facts.redispatched
}

/// Was there not even a request?
fn never_a_request(facts: &Facts<'_>, heads: Option<&Heads<'_>>) -> bool {
    facts.http && !facts.stream && has_no_line(facts, heads)
}

/// Was there no request that rules of HTTP saw?
fn has_no_line(facts: &Facts<'_>, heads: Option<&Heads<'_>>) -> bool {
    facts.http && heads.and_then(|h| h.line).is_none_or(|line| line.parts()[0].is_empty())
}

fn log_at(
    facts: &mut Facts<'_>,
    session: &Session,
    front: &ProxyPlan,
    heads: Option<&Heads<'_>>,
    step: Steps,
) {
    let worker = session.worker();
    let error = is_error(facts);
    let said = heads.and_then(|h| h.level);
    let level = match said {
        Some(None) => return,
        Some(Some(level)) => Level::numbered(level),
        None if error && front.has(Opts::LOG_SEPARATE_ERRORS) => Level::Err,
        None => Level::Info,
    };
    if front.formats.needs.contains(Needs::LOG_COUNT) {
        facts.log_count = Some(front.log_count.fetch_add(1, Ordering::Relaxed));
    }
    let plan = session.plan.clone();
    // what a malformed request left behind is nobody's
    let shown = heads.filter(|_| !has_no_line(facts, heads));
    let scope = Scope {
        wall: worker.clock.wall(),
        ext: crate::rules::internal::ext(&plan),
        direction: Direction::Response,
        last_call: true,
        request: shown.map_or(Message::None, |h| h.request),
        response: shown.map_or(Message::None, |h| h.response),
        line: shown.and_then(|h| h.line),
        ..Scope::new(facts, &worker.random)
    };
    let formats = &front.formats;
    // 3.5 has that format for what was not even a request, not for every error
    let bad = never_a_request(facts, heads);
    let format = formats.error.as_ref().filter(|_| bad).or(formats.log.as_ref());
    let step = if bad { Steps::ERROR } else { step };
    let make = |line: &mut Vec<u8>| match format {
        Some(format) => format.run(&scope, line),
        None => connect_line(&scope, line),
    };
    // the short line belongs to no step
    let own = format.is_some() || step.is_empty();
    if crate::explain::on() {
        if own {
            crate::explain::logged(make);
        }
        return;
    }
    write(worker, front, level, &scope, (step, None), own.then_some(&make));
}

/// `do-log`: a line now, whatever else is logged. `profile`: that of the rule.
pub fn log_now(
    (worker, front): (&Worker, &ProxyPlan),
    scope: &Scope<'_>,
    level: Option<u8>,
    step: Steps,
    profile: Option<&str>,
) {
    if !front.logs() {
        return;
    }
    let level = level.map_or(Level::Info, Level::numbered);
    let make = |line: &mut Vec<u8>| match &front.formats.log {
        Some(format) => format.run(scope, line),
        None => connect_line(scope, line),
    };
    write(worker, front, level, scope, (step, profile), Some(&make));
}

/// A step that `log-steps` names is reached; `down`: bytes towards the client that are not counted yet.
pub fn step(
    facts: &Facts<'_>,
    down: u64,
    session: &Session,
    front: &ProxyPlan,
    heads: Option<&Heads<'_>>,
    step: Steps,
) {
    if !front.logs() || front.has(Opts::DONTLOG_NORMAL) && !is_error(facts) {
        return;
    }
    let mut told = facts.clone();
    told.bytes_down += down;
    told.log_origin = step.origin();
    log_at(&mut told, session, front, heads, step);
    // the stream has one id in all its lines
    if let Some(id) = told.unique_id.into_inner() {
        let _ = facts.unique_id.set(id);
    }
}

/// What writes a line.
type Make<'a> = dyn Fn(&mut Vec<u8>) + 'a;

/// Makes a line and hands it to the proxy's targets, as their profiles have it. Without `make` those log whose profiles have a
/// format of their own for the step.
fn write(
    worker: &Worker,
    front: &ProxyPlan,
    level: Level,
    scope: &Scope<'_>,
    (step, profile): (Steps, Option<&str>),
    make: Option<&Make<'_>>,
) {
    let otel = front.otel.as_deref().filter(|o| o.logs);
    let Some(profiled) = &front.profiled else {
        if let Some(make) = make {
            line(worker, (&front.loggers, front.formats.data.as_ref()), level, scope, make, otel);
        }
        return;
    };
    if let (Some(_), Some(make)) = (otel, make) {
        line(worker, (&Loggers::default(), None), level, scope, make, otel);
    }
    for group in profiled.groups(profile) {
        let profile = group.profile.as_ref().filter(|_| !step.is_empty());
        let entry = profile.and_then(|p| p.entry(step));
        if entry.is_some_and(|e| e.drop) || group.loggers.is_empty() {
            continue;
        }
        let data = entry.and_then(|e| e.data.as_deref()).or(front.formats.data.as_ref());
        let targets = (&group.loggers, data);
        match (entry.and_then(|e| e.format.as_deref()), make) {
            (Some(own), _) => line(worker, targets, level, scope, &|out| own.run(scope, out), None),
            (None, Some(make)) => line(worker, targets, level, scope, make, None),
            (None, None) => {}
        }
    }
}

/// One line for these targets, and for a collector. What says nothing is no line.
fn line(
    worker: &Worker,
    (loggers, data): (&Loggers, Option<&Format>),
    level: Level,
    scope: &Scope<'_>,
    make: &dyn Fn(&mut Vec<u8>),
    otel: Option<&Tells>,
) {
    let mut line = std::mem::take(&mut *worker.line.borrow_mut());
    line.clear();
    // structured data first, the message behind it
    if let Some(data) = data
        && loggers.structured() == Structured::Wanted
    {
        data.run(scope, &mut line);
    }
    let split = line.len();
    make(&mut line);
    let (data, message) = line.split_at(split);
    if message.is_empty() {
        *worker.line.borrow_mut() = line;
        return;
    }
    if let Some(otel) = otel {
        otel.line(worker.id, scope.facts, level, scope.wall, message);
    }
    let mut writer = worker.log.borrow_mut();
    let first = writer.is_flushed();
    writer.log(loggers, level, scope.wall, data, message);
    drop(writer);
    *worker.line.borrow_mut() = line;
    if first {
        worker.log_soon();
    }
}

/// A line about a proxy itself, or about a server of it.
pub fn note(worker: &Worker, proxy: &ProxyPlan, level: Level, text: &str) {
    let wall = worker.clock.wall();
    if let Some(otel) = &proxy.otel {
        otel.note(worker.id, &proxy.name, level, wall, text);
    }
    worker.log.borrow_mut().log(&proxy.loggers, level, wall, b"", text.as_bytes());
    worker.log_soon();
}

/// The line of a session that ends before it has a stream (manual section 8.2.5). `received`: bytes came, so that
/// `option dontlognull` does not hide it.
pub fn never_began(session: &Session, front: &ProxyPlan, message: &str, received: bool) {
    // a section without any format only tells who is accepted
    let formatless = front.formats.log.is_none() && front.formats.error.is_none();
    if formatless || !front.logs() || (!received && front.has(Opts::DONTLOGNULL)) {
        return;
    }
    let worker = session.worker();
    let mut facts = Facts::new();
    begin_facts(&mut facts, session, front);
    facts.listener_name = session.listener.bind.name.as_deref();
    facts.frontend = session.destination();
    facts.termination = *b"PR--";
    facts.status = 0;
    facts.client_link.error = link::error_of_message(message);
    facts.log_origin = "sess_error";
    facts.timers = Timers { handshake: elapsed(session), total: elapsed(session), ..Timers::default() };
    let level = if front.has(Opts::LOG_SEPARATE_ERRORS) { Level::Err } else { Level::Info };
    let scope = Scope { wall: worker.clock.wall(), ..Scope::new(&facts, &worker.random) };
    let make = |line: &mut Vec<u8>| match &front.formats.error {
        Some(format) => format.run(&scope, line),
        None => error_line(&scope, message, line),
    };
    write(worker, front, level, &scope, (Steps::ERROR, None), Some(&make));
}

fn elapsed(session: &Session) -> i32 {
    i32::try_from(session.worker().clock.now().since(session.accepted)).unwrap_or(i32::MAX)
}

fn count(
    facts: &Facts<'_>,
    session: &Session,
    front: &ProxyPlan,
    back: Option<&ProxyPlan>,
    server: Option<&ServerState>,
) {
    let worker = session.worker().id;
    let f = front.front.counters.of(worker.into());
    let told = continuous::told(session, front);
    let (up, down) = (facts.bytes_up.saturating_sub(told.0), facts.bytes_down.saturating_sub(told.1));
    let applet = server.is_none() && facts.server_name.starts_with('<') && facts.server_name != "<NOSRV>";
    let reached = server.is_some() || applet;
    f.bytes_in.add(up);
    f.bytes_out.add(down);
    if facts.client_link.stream != 0 {
        f.h2_in.add(up);
        f.h2_out.add(down);
    }
    if reached {
        f.req_out.add(up);
        f.res_in.add(down);
    }
    session.worker().process.counts.counters.of(worker.into()).bytes_out.add(up + down);
    if front.has(Opts::SOCKET_STATS) {
        let l = session.listener.counts.counters.of(worker.into());
        l.bytes_in.add(up);
        l.bytes_out.add(down);
        l.res_out.add(facts.bytes_answered.saturating_sub(down));
        if reached {
            l.req_out.add(up);
        }
    }
    // an answer of our own is no byte of the server's, and goes to the client all the same
    let own_bytes = facts.bytes_answered.saturating_sub(down);
    if own_bytes > 0 {
        f.res_out.add(own_bytes);
    }
    let status = u16::try_from(facts.status).ok().filter(|s| *s > 0);
    if let Some(s) = status {
        f.response(s);
    }
    let Some(state) = back.and_then(|b| b.state.as_ref()) else { return };
    let b = state.counters.of(worker.into());
    b.bytes_in.add(up);
    b.bytes_out.add(down);
    let [q, c, r, t] = times(facts);
    // what a `listen` answers itself is no response of its back side
    let own = applet && back.is_some_and(|b| b.index == front.index);
    if let Some(s) = status.filter(|_| !own) {
        b.response(s);
    }
    let aborts = match facts.termination[0] {
        b'C' | b'c' => (1, 0),
        b'S' | b's' if matches!(facts.termination[1], b'D' | b'L') => (0, 1),
        _ => (0, 0),
    };
    if aborts != (0, 0) {
        b.cli_aborts.add(aborts.0);
        b.srv_aborts.add(aborts.1);
    }
    if reached {
        b.req_out.add(up);
        b.res_in.add(down);
    }
    if own_bytes > 0 && !own {
        b.res_out.add(own_bytes);
    }
    let broken = facts.termination[0] == b'S' && facts.termination[1] == b'D' && facts.http;
    if broken {
        b.failed_resp.inc();
    }
    if facts.server_link.stream != 0 {
        b.h2_out.add(up);
        b.h2_in.add(down);
    }
    if let Some(server) = server {
        b.times.add(q, c, r, t);
        let s = server.counters.of(worker.into());
        s.times.add(q, c, r, t);
        if facts.timers.response >= 0 {
            b.times.responses.add(r);
            s.times.responses.add(r);
        }
        if aborts != (0, 0) {
            s.cli_aborts.add(aborts.0);
            s.srv_aborts.add(aborts.1);
        }
        s.bytes_in.add(up);
        s.bytes_out.add(down);
        if own_bytes > 0 {
            s.res_out.add(own_bytes);
        }
        if broken {
            s.failed_resp.inc();
        }
        // a server's are the requests that it has answered, with its own status
        if status.is_some() && facts.timers.response >= 0 {
            s.response(facts.server_link.status);
            s.cum_req.inc();
        }
        if server.is_observed()
            && facts.http
            && let Some(what) = report::of_stream(facts.termination, status)
        {
            report::seen(session.worker(), state, server, what);
        }
    }
}

/// Queue, connect, response and total time in milliseconds; what did not come to pass is 0.
fn times(facts: &Facts<'_>) -> [u64; 4] {
    let t = &facts.timers;
    let total = if facts.http { t.active } else { t.total };
    [t.queue, t.connect, if facts.http { t.response } else { 0 }, total]
        .map(|n| u64::try_from(n).unwrap_or(0))
}

/// Counts a request or response that rules refused.
pub fn denied(
    session: &Session,
    front: &ProxyPlan,
    back: Option<&ProxyPlan>,
    server: Option<&Arc<ServerState>>,
    direction: Direction,
) {
    let w = usize::from(session.worker().id);
    let counters = front.front.counters.of(w);
    let listener = session.listener.counts.counters.of(w);
    let back =
        back.filter(|b| b.index != front.index).and_then(|b| b.state.as_ref()).map(|s| s.counters.of(w));
    let (f, l, b) = match direction {
        Direction::Request => (&counters.denied_req, &listener.denied_req, back.map(|b| &b.denied_req)),
        Direction::Response => (&counters.denied_resp, &listener.denied_resp, back.map(|b| &b.denied_resp)),
    };
    f.inc();
    l.inc();
    if let Some(b) = b {
        b.inc();
    }
    if let (Direction::Response, Some(s)) = (direction, server) {
        s.counters.of(w).denied_resp.inc();
    }
}
