//! A request to a server and its response back, both at once.

pub mod applet;
mod head;
mod tunnel;

use super::answering::Answering;
use super::body::Body;
use super::exchange::{Exchange, Stop, ms};
use super::flow::{Flow, FlowError};
use super::request::too_odd;
use super::stages::{self, Contents};
use super::{checkcache, client, filters, headers};
use crate::captured::{self, Wrong};
use crate::check::report;
use crate::filter::{Chain, Gate, Point, Stage};
use crate::otel::stream as otel;
use crate::outcome::{self, Steps};
use crate::plan::{ProxyPlan, ServerPlan};
use crate::relay;
use crate::rules::Timeout;
use crate::session::Session;
use crate::traced::{self, Side};
use crate::upstream::Upstream;
use crate::worker::story::Story;
use crate::worker::{Task, Woken, Worker};
use head::{Answer, no_answer};
use portcullis_backend::health::Observed;
use portcullis_config::{ConnectionMode, Opts, RetryOn};
use portcullis_message::Method;
use portcullis_sample::format::Needs;
use portcullis_sample::{Direction, Scope};
use portcullis_telemetry::trace::{Level, events};
use portcullis_transport::conn::Seen;
use portcullis_transport::h2::Stream;
use portcullis_transport::{Buffer, Conn, Millis};
use portcullis_wire::h1::{Chunked, Framing, Info, encode};
use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// A request on its way to a server and its response back. One place for all that lasts as long as the transfer, so
/// that the futures below are small.
pub struct Transfer {
    /// The server connection.
    pub upstream: Upstream,
    up: Flow,
    /// Its buffer takes the response's head as well.
    down: Flow,
    due: Due,
    sent_at: Millis,
}

/// How it ended.
pub enum Ended {
    /// The response went to the client; may the connection be used again?
    Done(bool),
    /// `retry-on`: it is to be sent again.
    Again,
    /// No response, or not all of it.
    Stopped(Stop),
}

/// Any of the options of splicing.
const SPLICE: Opts = Opts::SPLICE_AUTO.union(Opts::SPLICE_REQUEST).union(Opts::SPLICE_RESPONSE);

/// The two inactivity timeouts.
struct Due {
    client: Millis,
    server: Millis,
    client_timeout: Option<Duration>,
    server_timeout: Option<Duration>,
}

impl Due {
    /// Something moved: both sides count as active, those that matter are waited for.
    fn renew(&mut self, task: &Task, client: bool, server: bool) {
        self.renew_but(task, (client, server), (false, false));
    }

    /// Likewise, but a side of which nothing came keeps its time (`option independent-streams`).
    fn renew_but(&mut self, task: &Task, waited: (bool, bool), keep: (bool, bool)) {
        let now = task.worker.clock.now();
        let next = |waited: bool, keep: bool, was: Millis, timeout| match (waited, keep) {
            (false, _) => Millis::NEVER,
            (true, true) if was != Millis::NEVER => was,
            (true, _) => now.after(timeout),
        };
        self.client = next(waited.0, keep.0, self.client, self.client_timeout);
        self.server = next(waited.1, keep.1, self.server, self.server_timeout);
        task.deadline(self.client.min(self.server));
    }
}

/// The request is put back to where it was before it was sent.
fn again(x: &mut Exchange<'_>, worker: &Worker, t: &mut Transfer, why: &'static str) -> Ended {
    if let Some(trace) = &mut x.facts.trace {
        trace.failed(why);
    }
    t.reclaim(x, worker);
    if let Some(kept) = x.replay.as_deref().filter(|_| x.info.framing != Framing::None) {
        // its body was consumed
        worker.buffers.give(std::mem::take(&mut x.input));
        let mut buffer = worker.buffers.take();
        buffer.extend(kept);
        x.input = buffer;
    }
    (x.facts.bytes_down, x.heads[1]) = (0, 0);
    t.upstream.conn.reset_on_close();
    Ended::Again
}

impl Transfer {
    /// The request's head, ready to be sent to `server` over `upstream`.
    #[must_use]
    pub fn new(
        x: &mut Exchange<'_>,
        worker: &Worker,
        to: (&ProxyPlan, &ServerPlan),
        upstream: Upstream,
    ) -> Self {
        let (back, server) = to;
        if let Some(trace) = &x.facts.trace {
            otel::inject(trace, &mut x.scratch.request);
        }
        let mut out = std::mem::take(&mut x.scratch.out);
        out.clear();
        let streamed = upstream.conn.stream().is_some();
        if upstream.requests() == 0 && server.tls.is_none() && !streamed {
            // 3.5 does not show the request to the formats of the header
            let scope = Scope { wall: worker.clock.wall(), ..Scope::new(&x.facts, &worker.random) };
            crate::preface::write(server, &scope, &mut out);
        }
        if let Some(header) = &back.send_name_header {
            crate::rules::headers::send_name(&mut x.scratch.request, header, &server.name);
        }
        if x.front.formats.needs.contains(Needs::SENT) {
            x.facts.grown[0] = grown(x.counted_request(), x.heads[0]);
        }
        let mut upstream = upstream;
        let mut begun = true;
        if streamed {
            // there may be no way to ask this server for an upgrade (RFC 8441 section 3)
            let may = !x.info.upgrade || upstream.conn.stream().is_some_and(Stream::connects);
            begun = may && upstream.begin(&x.scratch.request, x.info.upgrade);
            if let Some(stream) = upstream.conn.stream() {
                let link = &mut x.facts.server_link;
                link.stream = stream.id();
                link.streams = u16::try_from(stream.siblings()).unwrap_or(u16::MAX);
                link.limit = u16::try_from(stream.limit()).unwrap_or(u16::MAX);
            }
        } else {
            if x.scratch.request.version.major > 1 {
                headers::from_stream(x, worker);
            }
            encode::request(&x.scratch.request, back.server_case.as_deref(), &mut out);
        }
        if x.input.is_empty() {
            // nothing is held while the server thinks
            worker.buffers.give(std::mem::take(&mut x.input));
        }
        let chunked = matches!(x.info.framing, Framing::Chunked | Framing::Pieces) && !streamed;
        let mut up = Flow::new(std::mem::take(&mut x.input), x.body(), chunked);
        up.before = out;
        up.drop_trailers = back.has(Opts::HTTP_DROP_REQUEST_TRAILERS);
        let due = Due {
            client: Millis::NEVER,
            server: Millis::NEVER,
            client_timeout: x.facts.timeout(Timeout::Client).or(x.front.timeouts.client),
            server_timeout: x.facts.timeout(Timeout::Server).or(back.timeouts.server),
        };
        let down = Flow::new(Buffer::default(), Body::Length(0), false);
        // a tunnel that its server has to agree to: its stream does not end with the request
        let tunnels = x.info.upgrade || x.method == Method::Connect;
        up.done = !begun || (streamed && tunnels && x.info.framing == Framing::None);
        Self { upstream, up, down, due, sent_at: worker.clock.now() }
    }

    /// Which directions may be spliced: as frontend and backend say, between sockets.
    pub fn splice(&mut self, session: &Session, front: &ProxyPlan, back: &ProxyPlan) {
        let (opts, client, server) = (front.opts.union(back.opts), &session.conn, &self.upstream.conn);
        if opts.intersects(SPLICE) {
            let wanted = |side| opts.intersects(Opts::SPLICE_AUTO.union(side));
            let (to_server, to_client) = relay::splices(client, server);
            self.up.may_splice = to_server && wanted(Opts::SPLICE_REQUEST);
            self.down.may_splice = to_client && wanted(Opts::SPLICE_RESPONSE);
        }
    }

    /// Lets the stream's filters see both bodies.
    pub fn filter(&mut self, chain: &Rc<RefCell<Chain>>, task: &Task) {
        self.up.gate = Some(Gate::new(chain, task, Direction::Request));
        self.down.gate = Some(Gate::new(chain, task, Direction::Response));
    }

    /// Has nothing of the request's body been taken?
    fn is_untouched(&self) -> bool {
        self.up.reads == 0 && self.up.writes == 0 && self.up.body_bytes == 0
    }

    /// What is left of the client's bytes goes back to the exchange.
    fn reclaim(&mut self, x: &mut Exchange<'_>, worker: &Worker) {
        x.scratch.out = std::mem::take(&mut self.up.before);
        x.input = std::mem::take(&mut self.up.buffer);
        worker.buffers.give(std::mem::take(&mut self.down.buffer));
    }

    /// Keeps what is malformed for `show errors`.
    fn capture(&self, x: &Exchange<'_>, session: &Session, back: &ProxyPlan, answer: &Answer) {
        match answer {
            Answer::Malformed(wrong) => {
                let server = (x.facts.server_name.into(), x.facts.server_id);
                captured::response(session, (x.front, back), server, self.down.buffer.data(), *wrong, 0);
            }
            Answer::BadRequest(Some(at)) => self.capture_chunk(x, session, back, Direction::Request, *at),
            _ => {}
        }
    }

    /// Keeps a malformed chunk for `show errors`.
    #[cold]
    fn capture_chunk(
        &self,
        x: &Exchange<'_>,
        session: &Session,
        back: &ProxyPlan,
        direction: Direction,
        at: usize,
    ) {
        let flow = if direction == Direction::Request { &self.up } else { &self.down };
        let (raw, wrong) = (flow.buffer.data(), Wrong::Chunk(at, flow.body.phase()));
        if direction == Direction::Request {
            return captured::request(session, x.front, raw, wrong, flow.body_bytes);
        }
        let server = (x.facts.server_name.into(), x.facts.server_id);
        captured::response(session, (x.front, back), server, raw, wrong, flow.body_bytes);
    }

    /// The server has failed a request that is tried again: this is seen, too (`observe`).
    fn observed(&self, worker: &Rc<Worker>, back: &ProxyPlan, what: Option<Observed>) {
        let server = self.upstream.server();
        if server.is_observed()
            && let (Some(state), Some(what)) = (&back.state, what)
        {
            report::seen(worker, state, server, what);
        }
    }

    /// There is no response: what is left goes back, and the connection will be closed.
    fn give_up(&mut self, x: &mut Exchange<'_>, worker: &Worker) {
        self.reclaim(x, worker);
        x.facts.bytes_up += self.up.counted();
        x.body_done = self.up.done;
    }
}

/// Sends the request and passes the response on. `reused`: the connection was idle before, so its end before any answer
/// says nothing about the request: the client is left without an answer and may try again.
pub async fn run(
    x: &mut Exchange<'_>,
    session: &mut Session,
    back: &ProxyPlan,
    t: &mut Transfer,
    reused: bool,
) -> Ended {
    match t.upstream.conn.stream().map(Stream::id) {
        Some(id) => traced::h2_sends(x, session, id, "sent H2 request", &x.scratch.request),
        None => {
            let (what, text) = (events::h1::TX_HEADERS, "sending request headers");
            traced::h1_head(x, session, Side::Back, what, text, &x.scratch.request);
        }
    }
    loop {
        let answer = if x.info.stray_body {
            // HAProxy does not send a CONNECT that has a body
            Answer::Gone(true)
        } else {
            head::wait(x, session, back, t).await
        };
        let answer = match crate::tls::is_unanswered(&x.facts) {
            true => answer.after_early_data(x, session, &t.upstream.conn, !reused),
            false => answer,
        };
        let worker = &session.task.worker;
        if let (Answer::ServerLate, Some(stream)) = (&answer, t.upstream.conn.stream()) {
            stream.doubt(t.sent_at);
        }
        let (len, mut info) = match answer {
            Answer::Head(len, info) => (len, info),
            other if x.may_retry(back, other.failure()) => {
                t.observed(worker, back, other.observed());
                return again(x, worker, t, other.kind());
            }
            Answer::Refused if x.may_repeat(back, t.is_untouched()) => {
                return again(x, worker, t, Answer::Refused.kind());
            }
            other => {
                if t.upstream.conn.stream().is_none() {
                    let what = events::h1::H1S_ERR | events::h1::H1C_ERR;
                    traced::h1(x, session, Side::Back, what, Level::Error, other.text());
                }
                if matches!(other, Answer::Unasked) {
                    x.facts.bytes_down += counted(&x.scratch.response, &Info::default());
                }
                t.capture(x, session, back, &other);
                let late = matches!(other, Answer::ClientLate);
                let stop = match other {
                    Answer::Gone(true) if reused => Stop::silent(),
                    _ => no_answer(x, worker, back, &other),
                };
                t.up.drop_rest();
                if !t.up.done && !x.info.stray_body {
                    x.rest = Some(std::mem::replace(&mut t.up.body, Body::Length(0)));
                }
                t.give_up(x, worker);
                x.body_done |= x.info.stray_body;
                if !late {
                    t.upstream.conn.reset_on_close();
                }
                return Ended::Stopped(stop);
            }
        };
        t.down.buffer.consume(len);
        match t.upstream.conn.stream() {
            Some(stream) => {
                let (id, head) = (stream.id(), &x.scratch.response);
                traced::h2_answer(x, session, id, "rcvd H2 response", head);
            }
            None => {
                let what = events::h1::RX_DATA | events::h1::RX_HEADERS;
                traced::h1_head(
                    x,
                    session,
                    Side::Back,
                    what,
                    "rcvd H1 response headers",
                    &x.scratch.response,
                );
            }
        }
        crate::debug::response(x, session, t.upstream.conn.fd());
        if t.upstream.conn.stream().is_some() {
            headers::from_server_stream(x, &mut info);
        } else if info.framing == Framing::Tunnel && !headers::is_asked_for(x) {
            if !x.info.upgrade {
                let behind = t.down.buffer.len() as u64;
                x.facts.bytes_down += counted(&x.scratch.response, &Info::default()) + behind;
            }
            let stop = no_answer(x, worker, back, &Answer::Unasked);
            t.give_up(x, worker);
            t.upstream.conn.reset_on_close();
            return Ended::Stopped(stop);
        }
        headers::strip_connection(&mut x.scratch.response, info.upgrade);
        let head = counted(&x.scratch.response, &info);
        if (100..200).contains(&x.scratch.response.status) && x.scratch.response.status != 101 {
            x.facts.bytes_down += head;
            if let Err(cause) = Box::pin(interim(x, session, &mut t.due)).await {
                t.give_up(x, worker);
                t.upstream.conn.reset_on_close();
                x.facts.status = if cause == b'C' { 400 } else { 0 };
                return Ended::Stopped(Stop::mute(&[cause, b'D'], 0));
            }
            continue;
        }
        x.heads[1] = head;
        if let Some(trace) = &mut x.facts.trace {
            trace.answered(x.scratch.response.status);
        }
        if x.may_retry(back, RetryOn::status(x.scratch.response.status)) {
            t.observed(worker, back, Some(Observed::Response(x.scratch.response.status)));
            return again(x, worker, t, "status");
        }
        x.facts.timers.response = ms(worker.clock.now().since(t.sent_at));
        x.facts.status = x.scratch.response.status.into();
        x.facts.server_link.status = x.scratch.response.status;
        if let Some(captures) = &x.front.captures {
            captures.response(&x.scratch.response, &mut x.facts);
        }
        let rules = x.front.formats.steps.is_some()
            || back.has_response_rules()
            || x.front.has_response_rules()
            || back.has(Opts::CHECKCACHE)
            || x.filters.is_some();
        let server = Answering::new(&t.upstream.conn, &mut t.down.buffer, info.framing);
        if rules && let Err(stop) = Box::pin(response_rules(x, session, back, Some(server))).await {
            x.facts.bytes_down += arrived(&t.down.buffer, &info);
            t.give_up(x, &session.task.worker);
            return Ended::Stopped(stop);
        }
        if !rules && let Some(captures) = &x.front.captures {
            captures.response_cookie(&x.scratch.response, &mut x.facts);
        }
        if !rules && x.visit.is_some() {
            x.give_cookie(back, session.worker());
        }
        let info = match rules {
            true => {
                let of_stream = t.upstream.conn.stream().is_some();
                headers::reframe_response(x, info, &mut t.down.buffer, of_stream)
            }
            false => info,
        };
        return respond(x, session, back, t, info).await;
    }
}

/// The rule sets that look at the response (of a server, if one is given): the backend's, then the frontend's.
async fn response_rules(
    x: &mut Exchange<'_>,
    session: &mut Session,
    back: &ProxyPlan,
    mut server: Option<Answering<'_>>,
) -> Result<(), Stop> {
    let response = Direction::Response;
    filters::ask(x, session, response, Some(Point::Begin)).await?;
    filters::ask(x, session, response, Some(Point::Before(Stage::Response))).await?;
    if let Some(sets) = &back.rules {
        let (set, delay) = (&sets.tcp_response, sets.response_delay);
        stages::rules_on(x, session, set, response, delay, Contents::of(server.as_mut())).await?;
        let set = &sets.http_response;
        stages::rules_on(x, session, set, response, None, Contents::of(server.as_mut())).await?;
    }
    if back.index != x.front.index
        && let Some(sets) = &x.front.rules
    {
        let set = &sets.http_response;
        stages::rules_on(x, session, set, response, None, Contents::of(server.as_mut())).await?;
    }
    let risky = back.has(Opts::CHECKCACHE) && checkcache::is_risky(x.method, &x.scratch.response);
    if let Some(captures) = &x.front.captures {
        captures.response_cookie(&x.scratch.response, &mut x.facts);
    }
    if x.visit.is_some() {
        x.give_cookie(back, session.worker());
    }
    if risky {
        return Err(checkcache::block(x, session, back));
    }
    super::answer::after_response(x, session, Contents::of(server.as_mut())).await;
    x.step_behind(session, Steps::RESPONSE, server.map_or(0, |mut s| s.payload().bytes.len()));
    filters::ask(x, session, response, Some(Point::After(Stage::Response))).await?;
    filters::ask(x, session, response, None).await
}

/// What a response's head counts in `%B`: HAProxy counts it as its blocks, not as bytes of the wire.
pub fn counted(head: &portcullis_message::Head, info: &Info) -> u64 {
    use portcullis_message::HeaderId;
    let dropped = |id| match id {
        HeaderId::ContentLength => info.framing == Framing::Chunked || head.status == 204,
        _ => false,
    };
    let fields: usize = head.fields().filter(|f| !dropped(f.id)).map(|f| f.name.len() + f.value.len()).sum();
    let status = match head.status {
        ..1000 => 3,
        1000..10_000 => 4,
        _ => 5,
    };
    (21 + 8 + status + head.reason().len() + fields) as u64
}

/// By how much a head that is sent is longer than it was received.
fn grown(sent: u64, received: u64) -> i64 {
    sent.cast_signed() - received.cast_signed()
}

/// How much of a response's body came with its head.
fn arrived(received: &Buffer, info: &Info) -> u64 {
    let have = received.len() as u64;
    match info.framing {
        Framing::None => 0,
        Framing::Length(n) => have.min(n),
        Framing::Chunked => Chunked::default().look(received.data()).map_or(0, |l| l.0),
        _ => have,
    }
}

/// Passes an interim (1xx) response on. The error is that of [`write_all`].
async fn interim(x: &mut Exchange<'_>, session: &Session, due: &mut Due) -> Result<(), u8> {
    due.renew(&session.task, true, false);
    if x.scratch.response.status == 103 && x.scratch.response.reason().is_empty() {
        // as 3.5 calls what came without a name
        x.scratch.response.set_reason(b"Informational");
    }
    client::interim(session, &x.scratch.response, x.front.client_case.as_deref()).await
}

/// Writes all of it, as long as the client takes it in time. If it does not, nothing else may follow on the connection.
/// `closes`: the connection is closed behind it.
///
/// # Errors
/// The cause, as the termination state has it.
pub async fn write_all(session: &Session, bytes: &[u8], closes: bool) -> Result<(), u8> {
    let mut at = 0;
    poll_fn(|cx| {
        while at < bytes.len() {
            match session.conn.poll_send(cx, &[std::io::IoSlice::new(&bytes[at..])], closes) {
                Poll::Ready(Ok(n)) => at += n,
                Poll::Ready(Err(_)) => return Poll::Ready(Err(b'C')),
                Poll::Pending => match session.task.poll_woken(cx) {
                    None => return Poll::Pending,
                    Some(Woken::Late) => return Poll::Ready(Err(b'c')),
                    Some(Woken::Aborted(why)) => return Poll::Ready(Err(why.letter())),
                },
            }
        }
        Poll::Ready(Ok(()))
    })
    .await
}

/// Passes the response on, to its last byte.
async fn respond(
    x: &mut Exchange<'_>,
    session: &mut Session,
    back: &ProxyPlan,
    t: &mut Transfer,
    info: Info,
) -> Ended {
    let tunnel = info.framing == Framing::Tunnel;
    let version = x.scratch.request.version;
    let streamed = session.conn.stream().is_some();
    let of_stream = t.upstream.conn.stream().is_some();
    let info = match of_stream && !streamed {
        true => headers::frame(x, info),
        false => info,
    };
    if x.front.formats.needs.contains(Needs::SENT) {
        x.facts.grown[1] = grown(counted(&x.scratch.response, &info), x.heads[1]);
    }
    let early = x.logs_early().then(|| counted(&x.scratch.response, &info) + arrived(&t.down.buffer, &info));
    x.facts.status = x.scratch.response.status.into();
    x.keep &= info.framing != Framing::UntilClose && !tunnel;
    if session.ends_kept() {
        x.keep = false;
    }
    if !streamed {
        x.keep = headers::to_client(&mut x.scratch.response, version, x.keep, &info);
    }
    let down = &mut t.down;
    (down.body, down.chunked) = (Body::new(info.framing), info.framing == Framing::Chunked && !streamed);
    if of_stream && !matches!(info.framing, Framing::None | Framing::Tunnel) {
        // its end is said in another way
        down.body = Body::Pieces(false);
    }
    if t.up.done {
        // the request's bytes are not needed any more
        down.before = std::mem::take(&mut t.up.before);
        down.before.clear();
    }
    traced::response(x, session, &x.scratch.response);
    client::head(session, &x.scratch.response, x.front.client_case.as_deref(), &mut down.before);
    down.closes = t.up.done && x.closes() && !tunnel && !streamed;
    down.drop_trailers =
        back.has(Opts::HTTP_DROP_RESPONSE_TRAILERS) || x.front.has(Opts::HTTP_DROP_RESPONSE_TRAILERS);
    if let Some(bytes) = early {
        log_now(x, session, bytes);
    }
    if tunnel {
        return Box::pin(tunnel::run(x, session, back, t)).await;
    }
    let before = x.moved();
    let tally = outcome::Tally::of(session, x.front, back, x.server.as_ref(), before);
    let failed = pump(x, session, back, t, tally).await;
    if let Some(Failed { malformed: Some((direction, at)), .. }) = failed {
        t.capture_chunk(x, session, back, direction, at);
    }
    let failed = failed.map(|f| f.termination);
    x.facts.bytes_up += t.up.counted();
    x.facts.bytes_down += t.down.counted();
    x.body_done = t.up.done;
    let mut odd = false;
    if info.glitches > 0 {
        t.upstream.glitches += 1;
        odd = too_odd(t.upstream.glitches, x.plan.global.be_glitches);
    }
    // a server that did not take all of the request is not asked again
    let reusable = failed.is_none()
        && !t.up.was_dropped()
        && !odd
        && info.keep_alive
        && !x.server_close
        && (!info.insecure || x.plan.global.keep_insecure_te)
        && info.framing != Framing::UntilClose
        && back.connection == ConnectionMode::KeepAlive
        && x.front.connection != ConnectionMode::ServerClose
        && t.down.buffer.is_empty();
    let reusable = reusable || (of_stream && failed.is_none());
    if let Some(t) = failed {
        x.facts.termination[..2].copy_from_slice(&t);
        x.keep = false;
    }
    if t.up.before.capacity() == 0 {
        t.up.before = std::mem::take(&mut t.down.before);
    }
    t.reclaim(x, &session.task.worker);
    if !reusable && !matches!(failed, Some([b'S' | b'P', _])) {
        t.upstream.conn.reset_on_close();
    }
    Ended::Done(reusable)
}

/// The line is written now that the response's head is known. `bytes`: what it counts, and what has come behind it.
fn log_now(x: &mut Exchange<'_>, session: &Session, bytes: u64) {
    let mut told = x.facts.clone();
    told.bytes_down += bytes;
    let now = session.worker().clock.now();
    told.timers.active = ms(now.since(x.began));
    let heads = outcome::Heads::of(&x.scratch, x.effects.log_level);
    outcome::log_before_the_end(&mut told, session, x.front, Some(&heads));
    x.facts.as_soon_as_possible = true;
}

/// Moves both directions until both messages are over. Some: cause and phase of a failure.
async fn pump(
    x: &Exchange<'_>,
    session: &Session,
    back: &ProxyPlan,
    t: &mut Transfer,
    mut tally: Option<Box<outcome::Tally>>,
) -> Option<Failed> {
    let task = &session.task;
    let Transfer { upstream, up, down, due, .. } = t;
    let server = &upstream.conn;
    let streamed = session.conn.stream().is_some();
    let gives_up = streamed || back.has(Opts::ABORTONCLOSE);
    let mut first = true;
    poll_fn(|cx| {
        let before = (up.reads, up.writes, down.reads, down.writes);
        if !down.done
            && let Poll::Ready(Err(e)) = down.poll(cx, task, server, &session.conn)
        {
            return Poll::Ready(Some(down_failure(&e)));
        }
        // the rest of a request that is answered already is waited for
        let phase = if down.done || (streamed && down.is_received()) { b'L' } else { b'D' };
        if !up.done {
            let mut polled = up.poll(cx, task, &session.conn, server);
            if let Poll::Ready(Err(FlowError::Sink(_))) = polled {
                up.drop_rest();
                polled = up.poll(cx, task, &session.conn, server);
            }
            match polled {
                Poll::Ready(Err(FlowError::Malformed(at))) => {
                    let malformed = Some((Direction::Request, at));
                    return Poll::Ready(Some(Failed { termination: [b'P', phase], malformed }));
                }
                Poll::Ready(Err(FlowError::Filtered | FlowError::Spoiled)) => {
                    return Poll::Ready(Some(Failed::new([b'P', phase])));
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Some(Failed::new([b'C', phase]))),
                _ => {}
            }
        }
        let now = (up.reads, up.writes, down.reads, down.writes);
        let moved = [before.0 != now.0, before.1 != now.1, before.2 != now.2, before.3 != now.3];
        traced::bodies(x, session, server, moved);
        // a client that does not know yet that its request is not wanted any more is told so by the end of its stream
        if down.done && (up.done || (streamed && up.was_dropped())) {
            return Poll::Ready(None);
        }
        if up.done && gives_up {
            match session.task.watch(&session.conn, cx) {
                Seen::Broken => return Poll::Ready(Some(Failed::new(*b"CD"))),
                // the end of what ends with the connection is waited for
                Seen::End if streamed || !matches!(down.body, Body::UntilClose(_)) => {
                    return Poll::Ready(Some(Failed::new(*b"CD")));
                }
                _ => {}
            }
        }
        if let Some(tally) = &mut tally {
            tally.see(&task.worker, up.counted(), down.counted());
        }
        let gated = up.is_gated() || down.is_gated();
        if first || gated || before != now {
            first = false;
            let writing = down.is_writing();
            let independent = |p: &ProxyPlan| p.has(Opts::INDEPENDENT_STREAMS);
            let keep = (
                up.reads == before.0 && independent(&session.listener.proxy),
                down.reads == before.2 && independent(back),
            );
            due.renew_but(task, (writing || !up.done, !writing && !down.done), keep);
        }
        if task.is_asked() {
            task.tell(under_way(x, (&session.conn, server), (up, down), due));
        }
        wait(task, cx, due, phase)
    })
    .await
}

/// What there is to tell of a response on its way.
#[cold]
fn under_way(
    x: &Exchange<'_>,
    (client, server): (&Conn, &Conn),
    (up, down): (&Flow, &Flow),
    due: &Due,
) -> Story {
    Story {
        sides: [due.client, due.server],
        bytes: [x.moved().0 + up.counted(), x.moved().1 + down.counted()],
        status: u16::try_from(x.facts.status).ok(),
        retries: x.facts.retries,
        ..Story::between(client, server).asking(&x.scratch.request)
    }
}

/// How the transfer of bodies failed.
struct Failed {
    /// Cause and phase.
    termination: [u8; 2],
    /// A chunk is malformed, at this offset of the direction's buffer.
    malformed: Option<(Direction, usize)>,
}

impl Failed {
    fn new(termination: [u8; 2]) -> Self {
        Self { termination, malformed: None }
    }
}

fn down_failure(e: &FlowError) -> Failed {
    match e {
        // a server's stream that it has spoiled was reset, as 3.5 tells it
        FlowError::Source(_) | FlowError::Truncated | FlowError::Spoiled => Failed::new(*b"SD"),
        FlowError::Malformed(at) => {
            Failed { termination: *b"PD", malformed: Some((Direction::Response, *at)) }
        }
        FlowError::Filtered => Failed::new(*b"PD"),
        FlowError::Sink(_) => Failed::new(*b"CD"),
    }
}

fn wait(task: &Task, cx: &mut Context<'_>, due: &Due, phase: u8) -> Poll<Option<Failed>> {
    match task.poll_woken(cx) {
        None => Poll::Pending,
        Some(Woken::Aborted(why)) => Poll::Ready(Some(Failed::new([why.letter(), phase]))),
        Some(Woken::Late) if due.client <= due.server => Poll::Ready(Some(Failed::new([b'c', phase]))),
        Some(Woken::Late) => Poll::Ready(Some(Failed::new([b's', phase]))),
    }
}
