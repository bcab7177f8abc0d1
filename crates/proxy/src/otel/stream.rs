//! A stream's part in a trace: the context that comes with its request and goes on to servers (W3C Trace Context), and the spans
//! that are told at its end (OpenTelemetry's stable semantic conventions for HTTP).

use super::Tells;
use crate::plan::ServerPlan;
use crate::session::Session;
use portcullis_message::{Head, HeaderId, Version, uri};
use portcullis_sample::trace::Attempt;
use portcullis_sample::{Facts, Trace};
use portcullis_wire::otlp::{Attributes, Kind, Signal, Span};
use portcullis_wire::trace_context::{self, Context, SpanId, TraceId};
use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::time::Duration;

const PARENT: &[u8] = b"traceparent";
const STATE: &[u8] = b"tracestate";
/// Methods that are called by their names (RFC 9110 section 9.3, RFC 5789).
const METHODS: [&[u8]; 9] =
    [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH"];
/// Parameters of queries that are secrets, as the semantic conventions name them.
const SECRETS: [&[u8]; 4] = [b"AWSAccessKeyId", b"Signature", b"sig", b"X-Goog-Signature"];

thread_local! {
    /// Keys from the system's random numbers, and how many numbers were made with them.
    static NUMBERS: (RandomState, Cell<u64>) = (RandomState::new(), Cell::new(0));
    /// Records in the making.
    pub(super) static RECORD: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A number that no other process makes, and never 0.
fn number() -> u64 {
    NUMBERS.with(|(keys, n)| {
        n.set(n.get().wrapping_add(1));
        keys.hash_one(n.get()).max(1)
    })
}

fn span_id() -> SpanId {
    number().to_be_bytes()
}

fn trace_id() -> TraceId {
    (u128::from(number()) << 64 | u128::from(number())).to_be_bytes()
}

/// A client's context, with the `tracestate` that goes with it. Several fields are none.
fn received(head: &Head) -> Option<(Context, Option<Vec<u8>>)> {
    let mut fields = head.named(PARENT);
    let context = fields.next().and_then(Context::parse).filter(|_| fields.next().is_none())?;
    Some((context, trace_context::state(head.named(STATE))))
}

impl Tells {
    /// A request has come; its first byte so many milliseconds ago.
    #[cold]
    pub fn request(&self, facts: &mut Facts<'_>, head: &Head, (wall, since): (Duration, u64)) {
        if !self.traces {
            return;
        }
        let came = received(head).filter(|_| self.follows);
        let time = (wall, Duration::from_millis(since));
        let mut trace = self.begin(name(head.method()), came.as_ref().map(|c| c.0), time);
        trace.state = came.and_then(|c| c.1).map(Vec::into_boxed_slice);
        if trace.context.sampled {
            let mut attributes = Attributes::of_span(&mut trace.request);
            describe(&mut attributes, head, facts.frontend_tls.is_some());
        }
        facts.trace = Some(Box::new(trace));
    }

    /// A connection has come whose bytes are not looked at.
    #[cold]
    pub fn connection(&self, facts: &mut Facts<'_>, wall: Duration) {
        if self.traces {
            facts.trace = Some(Box::new(self.begin("TCP", None, (wall, Duration::ZERO))));
        }
    }

    fn begin(&self, name: &'static str, came: Option<Context>, time: (Duration, Duration)) -> Trace {
        let trace = came.map_or_else(trace_id, |c| c.trace);
        let sampled = came.map_or_else(|| self.sampling.takes(&trace), |c| c.sampled);
        let context = Context { trace, span: span_id(), sampled };
        Trace::new(name, context, came.map(|c| c.span), time.0, time.1)
    }

    /// A stream is over: its spans. `request`: its head as the server got it.
    #[cold]
    pub fn over(&self, facts: &Facts<'_>, session: &Session, request: Option<&Head>) {
        let Some(trace) = facts.trace.as_deref().filter(|t| t.context.sampled) else { return };
        let end = trace.now();
        let put = |write: &dyn Fn(&mut Vec<u8>)| {
            RECORD.with_borrow_mut(|out| {
                out.clear();
                write(out);
                self.outbox.put(session.worker().id.into(), Signal::Traces, self.limits, out);
            });
        };
        for (at, attempt) in trace.attempts.iter().enumerate() {
            let last = at + 1 == trace.attempts.len();
            put(&|out| client(out, facts, trace, (attempt, last.then_some(end)), request));
        }
        put(&|out| server(out, facts, trace, end));
    }
}

/// An attempt at a server begins, if the stream belongs to a trace.
#[inline]
pub fn attempt(facts: &mut Facts<'_>, server: &ServerPlan) {
    if let Some(trace) = &mut facts.trace {
        trace.attempt(&server.name, facts.server, span_id);
    }
}

/// Writes the context into what a server gets.
#[cold]
pub fn inject(trace: &Trace, head: &mut Head) {
    head.set(PARENT, &trace.onwards().text());
    if trace.state.is_none() {
        // that of no trace, or of another one
        head.remove_all(STATE);
    }
}

/// What a span calls the method.
fn name(method: &[u8]) -> &'static str {
    let known = METHODS.into_iter().find(|m| *m == method);
    known.and_then(|m| std::str::from_utf8(m).ok()).unwrap_or("HTTP")
}

/// The stream's own span.
fn server(out: &mut Vec<u8>, facts: &Facts<'_>, trace: &Trace, end: u64) {
    let status = u16::try_from(facts.status).ok().filter(|s| *s > 0);
    let error = Error::of(broken(facts), status.filter(|s| *s >= 500));
    let span = Span {
        trace: &trace.context.trace,
        id: &trace.context.span,
        parent: trace.parent.as_ref(),
        remote: trace.parent.is_some(),
        state: trace.state.as_deref().unwrap_or_default(),
        name: trace.name,
        kind: Kind::Server,
        time: (trace.began(), end),
        failed: error.is_some(),
        attributes: &trace.request,
        events: &[],
    };
    span.write(out, |a| {
        outcome(a, error, status);
        if let Some(client) = facts.source() {
            a.text("client.address", client.ip().to_string().as_bytes());
            a.number("client.port", client.port().into());
        }
        peer(a, facts.client);
        if !facts.http {
            a.text("network.transport", b"tcp");
        }
        a.text("haproxy.frontend", facts.frontend_name.as_bytes());
        a.text("haproxy.backend", facts.backend_name.as_bytes());
        a.text("haproxy.server", facts.server_name.as_bytes());
        let letters = if facts.http { 4 } else { 2 };
        a.text("haproxy.termination_state", facts.termination.get(..letters).unwrap_or_default());
        if facts.retries > 0 {
            a.number("haproxy.retries", facts.retries.into());
        }
        let t = &facts.timers;
        let timers = [
            ("haproxy.time.request", t.request),
            ("haproxy.time.queue", t.queue),
            ("haproxy.time.connect", t.connect),
            ("haproxy.time.response", t.response),
            ("haproxy.time.data", t.data),
        ];
        for (key, ms) in timers.into_iter().filter(|t| t.1 >= 0) {
            a.number(key, ms.into());
        }
        a.number("haproxy.bytes.in", facts.bytes_up.cast_signed());
        a.number("haproxy.bytes.out", facts.bytes_down.cast_signed());
    });
}

/// The span of an attempt at a server. `over`: it was the last one, and this is when the stream was over.
fn client(
    out: &mut Vec<u8>,
    facts: &Facts<'_>,
    trace: &Trace,
    (attempt, over): (&Attempt, Option<u64>),
    request: Option<&Head>,
) {
    let end = attempt.failed.map(|f| f.0).or(over).unwrap_or(attempt.began);
    let why = attempt.failed.map(|f| f.1).or_else(|| broken(facts).filter(|_| over.is_some()));
    let status = attempt.status.filter(|s| *s >= 400);
    let error = Error::of(why.filter(|_| status.is_none()), status);
    let events = [(attempt.connected, "connected"), (attempt.answered, "response")];
    let events: Vec<_> = events.into_iter().filter_map(|(at, what)| Some((at?, what))).collect();
    let span = Span {
        trace: &trace.context.trace,
        id: &attempt.id,
        parent: Some(&trace.context.span),
        remote: false,
        state: trace.state.as_deref().unwrap_or_default(),
        name: trace.name,
        kind: Kind::Client,
        time: (attempt.began, end),
        failed: error.is_some(),
        attributes: b"",
        events: &events,
    };
    span.write(out, |a| {
        match request {
            Some(head) => sent(a, head, facts.backend_tls.is_some()),
            None => a.text("network.transport", b"tcp"),
        }
        if over.is_some() && attempt.connected.is_some() && facts.http {
            let version: &[u8] = if facts.server_link.stream == 0 { b"1.1" } else { b"2" };
            a.text("network.protocol.version", version);
        }
        outcome(a, error, attempt.status);
        peer(a, attempt.address);
        if attempt.number > 0 && facts.http {
            a.number("http.request.resend_count", attempt.number.into());
        }
        a.text("haproxy.backend", facts.backend_name.as_bytes());
        a.text("haproxy.server", attempt.server.as_bytes());
        if attempt.connected.is_some() {
            a.flag("haproxy.connection.reused", attempt.reused);
        }
    });
}

/// What a request is, as it came.
fn describe(a: &mut Attributes<'_>, head: &Head, secure: bool) {
    method(a, head);
    let target = head.target();
    a.text("url.path", uri::path(target));
    if let Some(query) = uri::query(target) {
        a.text("url.query", &redacted(query));
    }
    a.text("url.scheme", scheme(secure).as_bytes());
    host(a, head, secure);
    let Version { major, minor } = head.version;
    let version = if major > 1 { major.to_string() } else { format!("{major}.{minor}") };
    a.text("network.protocol.version", version.as_bytes());
    if let Some(agent) = head.named(b"user-agent").next() {
        a.text("user_agent.original", agent);
    }
}

/// What a server was sent.
fn sent(a: &mut Attributes<'_>, head: &Head, secure: bool) {
    method(a, head);
    host(a, head, secure);
    let (target, authority) = (head.target(), head.first(HeaderId::Host).unwrap_or_default());
    let (path, query) = (uri::path(target), uri::query(target).map(redacted));
    let mut url = [scheme(secure).as_bytes(), b"://", authority, path].concat();
    if let Some(query) = query {
        url.push(b'?');
        url.extend_from_slice(&query);
    }
    a.text("url.full", &url);
}

fn method(a: &mut Attributes<'_>, head: &Head) {
    let known = METHODS.contains(&head.method());
    a.text("http.request.method", if known { head.method() } else { b"_OTHER" });
    if !known {
        a.text("http.request.method_original", head.method());
    }
}

fn scheme(secure: bool) -> &'static str {
    if secure { "https" } else { "http" }
}

/// Whom the request is for.
fn host(a: &mut Attributes<'_>, head: &Head, secure: bool) {
    let authority = head.first(HeaderId::Host).or_else(|| uri::authority(head.target())).unwrap_or_default();
    if authority.is_empty() {
        return;
    }
    let (host, port) = parted(authority);
    a.text("server.address", host);
    a.number("server.port", port.unwrap_or(if secure { 443 } else { 80 }).into());
}

/// Host and port of an authority.
fn parted(authority: &[u8]) -> (&[u8], Option<u16>) {
    let colon = authority.iter().rposition(|b| *b == b':');
    let port = colon.and_then(|at| std::str::from_utf8(&authority[at + 1..]).ok()?.parse().ok());
    match (colon, port) {
        (Some(at), Some(port)) => (&authority[..at], Some(port)),
        _ => (authority, None),
    }
}

/// A query without what the semantic conventions call secrets.
fn redacted(query: &[u8]) -> Vec<u8> {
    let one = |pair: &[u8]| match pair.iter().position(|b| *b == b'=') {
        Some(at) if SECRETS.contains(&&pair[..at]) => [&pair[..at], b"=REDACTED"].concat(),
        _ => pair.to_vec(),
    };
    query.split(|b| *b == b'&').map(one).collect::<Vec<_>>().join(&b'&')
}

/// The other end of a connection.
fn peer(a: &mut Attributes<'_>, address: Option<SocketAddr>) {
    if let Some(address) = address {
        a.text("network.peer.address", address.ip().to_string().as_bytes());
        a.number("network.peer.port", address.port().into());
    }
}

/// What has gone wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Error {
    Broken(&'static str),
    Status(u16),
}

impl Error {
    fn of(why: Option<&'static str>, status: Option<u16>) -> Option<Self> {
        why.map(Self::Broken).or(status.map(Self::Status))
    }
}

/// What came of it.
fn outcome(a: &mut Attributes<'_>, error: Option<Error>, status: Option<u16>) {
    match error {
        Some(Error::Broken(why)) => a.text("error.type", why.as_bytes()),
        Some(Error::Status(status)) => a.text("error.type", status.to_string().as_bytes()),
        None => {}
    }
    if let Some(status) = status {
        a.number("http.response.status_code", status.into());
    }
}

fn broken(facts: &Facts<'_>) -> Option<&'static str> {
    let [cause, phase, ..] = facts.termination;
    why([cause, phase])
}

/// `error.type` of a termination state (manual section 8.5). None: nothing is broken.
#[must_use]
pub fn why(termination: [u8; 2]) -> Option<&'static str> {
    Some(match &termination {
        [b'-' | b'L', _] => return None,
        b"PH" => "invalid_response",
        // a rule has said so
        [b'P', _] => return None,
        [b'C', _] => "client_aborted",
        [b'c', _] => "client_timeout",
        b"SC" => "connect_failed",
        b"sC" => "connect_timeout",
        b"SQ" => "queue_full",
        b"sQ" => "queue_timeout",
        b"sH" => "response_timeout",
        [b's', _] => "server_timeout",
        b"SH" => "no_response",
        [b'S', _] => "server_aborted",
        [b'R', _] => "resources_exhausted",
        [b'D', _] => "server_down",
        [b'K', _] => "killed",
        [b'I', _] => "internal_error",
        _ => "_OTHER",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities() {
        assert_eq!(parted(b"a.example"), (&b"a.example"[..], None));
        assert_eq!(parted(b"a.example:81"), (&b"a.example"[..], Some(81)));
        assert_eq!(parted(b"[::1]:81"), (&b"[::1]"[..], Some(81)));
        assert_eq!(parted(b"[::1]"), (&b"[::1]"[..], None));
        assert_eq!(parted(b"a:99999"), (&b"a:99999"[..], None));
    }

    #[test]
    fn secrets_are_not_told() {
        assert_eq!(redacted(b"a=1&sig=abc&Signature=&sig"), b"a=1&sig=REDACTED&Signature=REDACTED&sig");
        assert_eq!(redacted(b""), b"");
    }

    #[test]
    fn contexts_of_requests() {
        let mut head = Head::default();
        head.set_request(b"GET", b"/", Version::HTTP_11);
        assert_eq!(received(&head), None);
        let parent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        head.push(b"TraceParent", parent);
        head.push(b"tracestate", b"a=1");
        head.push(b"tracestate", b"b=2");
        assert_eq!(received(&head).unwrap().1.unwrap(), b"a=1,b=2");
        head.push(b"traceparent", parent);
        assert_eq!(received(&head), None);
    }

    #[test]
    fn numbers_differ() {
        let all: std::collections::HashSet<u64> = (0..1000).map(|_| number()).collect();
        assert!(all.len() == 1000 && !all.contains(&0));
    }
}
