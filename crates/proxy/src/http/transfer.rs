//! A request to a server and its response back, both at once.

use super::body::Body;
use super::exchange::{Exchange, Stop, ms};
use super::flow::{Flow, FlowError};
use super::request::{head_fits, too_odd};
use super::{headers, stages};
use crate::outcome;
use crate::plan::{ProxyPlan, ServerPlan};
use crate::relay::{self, Lane};
use crate::rules::Timeout;
use crate::session::Session;
use crate::upstream::Upstream;
use crate::worker::{Task, Woken, Worker};
use portcullis_config::{ConnectionMode, Opts, RetryOn};
use portcullis_sample::{Direction, Scope};
use portcullis_transport::conn::Seen;
use portcullis_transport::{Buffer, Conn, Millis};
use portcullis_wire::h1::{Bad, Chunked, Fault, Framing, Info, Parsed, encode, parse_response};
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

/// How it ended.
pub enum Ended {
    /// The response went to the client; the connection, if it may be used again.
    Done(Option<Upstream>),
    /// `retry-on`: it is to be sent again.
    Again,
    /// No response, or not all of it.
    Stopped(Stop),
}

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
        let now = task.worker.clock.now();
        self.client = if client { now.after(self.client_timeout) } else { Millis::NEVER };
        self.server = if server { now.after(self.server_timeout) } else { Millis::NEVER };
        task.deadline(self.client.min(self.server));
    }
}

impl Answer {
    /// What `retry-on` calls it.
    fn failure(&self) -> RetryOn {
        match self {
            Self::Gone(true) => RetryOn::EMPTY_RESPONSE,
            Self::Gone(false) | Self::Malformed | Self::Unasked => RetryOn::JUNK_RESPONSE,
            Self::ServerLate => RetryOn::RESPONSE_TIMEOUT,
            _ => RetryOn::NONE,
        }
    }
}

/// The request is put back to where it was before it was sent.
fn again(x: &mut Exchange<'_>, worker: &Worker, up: &mut Flow, upstream: Upstream) -> Ended {
    x.input = reclaim(x, up);
    if x.info.framing != Framing::None {
        // its body was consumed
        worker.buffers.give(std::mem::take(&mut x.input));
        let kept = x.replay.as_deref().unwrap_or_default();
        let mut buffer = worker.buffers.take();
        buffer.extend(kept);
        x.input = buffer;
    }
    x.facts.bytes_down = 0;
    upstream.conn.reset_on_close();
    worker.idle.borrow_mut().close(upstream);
    Ended::Again
}

/// What ends the wait for a response head.
enum Answer {
    Head(usize, Info),
    /// The server closed or broke the connection; `true`: before anything came.
    Gone(bool),
    Malformed,
    /// 101 that is none.
    Unasked,
    /// The client has gone while its request was complete.
    Client,
    /// Its connection broke.
    ClientBroke,
    /// The client went away in its request's body.
    CutRequest,
    BadRequest,
    ClientLate,
    ServerLate,
    Aborted(crate::worker::slots::Abort),
}

/// Sends the request over `upstream` and passes the response on. `reused`: the connection was idle before, so its
/// end before any answer says nothing about the request: the client is left without an answer and may try again.
pub async fn run(
    x: &mut Exchange<'_>,
    session: &mut Session,
    back: &ProxyPlan,
    server: &ServerPlan,
    upstream: Upstream,
    reused: bool,
) -> Ended {
    let worker = session.worker().clone();
    let sent_at = worker.clock.now();
    let mut out = std::mem::take(&mut x.scratch.out);
    out.clear();
    if upstream_is_new(&upstream) {
        // 3.5 does not show the request to the formats of the header
        let scope = Scope { wall: worker.clock.wall(), ..Scope::new(&x.facts, &worker.random) };
        crate::preface::write(server, &scope, &mut out);
    }
    if let Some(header) = &back.send_name_header {
        crate::rules::headers::send_name(&mut x.scratch.request, header, &server.name);
    }
    encode::request(&x.scratch.request, back.server_case.as_deref(), &mut out);
    if x.input.is_empty() {
        // nothing is held while the server thinks
        worker.buffers.give(std::mem::take(&mut x.input));
    }
    let mut up = Flow::new(std::mem::take(&mut x.input), x.body(), x.info.framing == Framing::Chunked);
    up.before = out;
    up.drop_trailers = back.has(Opts::HTTP_DROP_REQUEST_TRAILERS);
    let mut received = Buffer::default();
    let mut due = Due {
        client: Millis::NEVER,
        server: Millis::NEVER,
        client_timeout: x.effects.timeout(Timeout::Client).or(x.front.timeouts.client),
        server_timeout: x.effects.timeout(Timeout::Server).or(back.timeouts.server),
    };
    loop {
        let answer = if x.info.stray_body {
            // HAProxy does not send a CONNECT that has a body
            Answer::Gone(true)
        } else {
            await_head(x, session, back, &upstream.conn, &mut up, &mut received, &mut due).await
        };
        let (len, info) = match answer {
            Answer::Head(len, info) => (len, info),
            other if x.may_retry(back, other.failure()) => {
                worker.buffers.give(received);
                return again(x, &worker, &mut up, upstream);
            }
            other => {
                if matches!(other, Answer::Unasked) {
                    x.facts.bytes_down += counted(&x.scratch.response, &Info::default());
                }
                let stop = match other {
                    Answer::Gone(true) if reused => Stop::silent(),
                    _ => no_answer(x, &worker, back, &other),
                };
                up.drop_rest();
                if !up.done && !x.info.stray_body {
                    x.rest = Some(std::mem::replace(&mut up.body, Body::Length(0)));
                }
                x.input = reclaim(x, &mut up);
                x.facts.bytes_up += up.counted();
                x.body_done = up.done || x.info.stray_body;
                worker.buffers.give(received);
                upstream.conn.reset_on_close();
                worker.idle.borrow_mut().close(upstream);
                return Ended::Stopped(stop);
            }
        };
        received.consume(len);
        x.facts.bytes_down += counted(&x.scratch.response, &info);
        headers::strip_connection(&mut x.scratch.response, info.upgrade);
        if (100..200).contains(&x.scratch.response.status) && x.scratch.response.status != 101 {
            interim(x, session, &mut due).await;
            continue;
        }
        if x.may_retry(back, RetryOn::status(x.scratch.response.status)) {
            worker.buffers.give(received);
            return again(x, &worker, &mut up, upstream);
        }
        x.facts.timers.response = ms(worker.clock.now().since(sent_at));
        x.facts.status = x.scratch.response.status.into();
        if let Some(captures) = &x.front.captures {
            captures.response(&x.scratch.response, &mut x.facts);
        }
        if let Err(stop) = response_rules(x, session, back).await {
            x.facts.bytes_down += arrived(&received, &info);
            x.input = reclaim(x, &mut up);
            x.facts.bytes_up += up.counted();
            worker.buffers.give(received);
            worker.idle.borrow_mut().close(upstream);
            x.body_done = up.done;
            return Ended::Stopped(stop);
        }
        return respond(x, session, back, upstream, up, received, info, due).await;
    }
}

/// The rule sets that look at the response: the backend's, then the frontend's.
async fn response_rules(x: &mut Exchange<'_>, session: &mut Session, back: &ProxyPlan) -> Result<(), Stop> {
    if let Some(sets) = &back.rules {
        stages::rules(x, session, &sets.tcp_response, Direction::Response, sets.response_delay).await?;
        stages::rules(x, session, &sets.http_response, Direction::Response, None).await?;
    }
    if back.index != x.front.index
        && let Some(sets) = &x.front.rules
    {
        stages::rules(x, session, &sets.http_response, Direction::Response, None).await?;
    }
    super::answer::after_response(x, session).await;
    Ok(())
}

/// What a response's head counts in `%B`: HAProxy counts it as its blocks, not as bytes of the wire.
fn counted(head: &portcullis_message::Head, info: &Info) -> u64 {
    use portcullis_message::HeaderId;
    let dropped = |id| match id {
        HeaderId::Connection => !info.upgrade,
        HeaderId::ContentLength => info.framing == Framing::Chunked || head.status == 204,
        _ => false,
    };
    let fields: usize = head.fields().filter(|f| !dropped(f.id)).map(|f| f.name.len() + f.value.len()).sum();
    let status = if head.status < 1000 { 3 } else { 5 };
    (21 + 8 + status + head.reason().len() + fields) as u64
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

fn upstream_is_new(up: &Upstream) -> bool {
    up.requests() == 0
}

/// What is left of the client's bytes goes back to the exchange.
fn reclaim(x: &mut Exchange<'_>, up: &mut Flow) -> Buffer {
    x.scratch.out = std::mem::take(&mut up.before);
    std::mem::take(&mut up.buffer)
}

/// Forwards the request until the response's head is there.
async fn await_head(
    x: &mut Exchange<'_>,
    session: &Session,
    back: &ProxyPlan,
    server: &Conn,
    up: &mut Flow,
    received: &mut Buffer,
    due: &mut Due,
) -> Answer {
    let task = &session.task;
    let limits = back.response_limits;
    let method = x.method;
    let global = &x.plan.global;
    let response = &mut x.scratch.response;
    let mut sink_broken = false;
    let mut fresh = true;
    poll_fn(|cx| {
        let before = (up.reads, up.writes);
        if !up.done && !sink_broken {
            match up.poll(cx, task, &session.conn, server) {
                Poll::Ready(Err(FlowError::Sink(_))) => sink_broken = true,
                Poll::Ready(Err(FlowError::Malformed)) => return Poll::Ready(Answer::BadRequest),
                Poll::Ready(Err(FlowError::Source(_) | FlowError::Truncated)) => {
                    return Poll::Ready(Answer::CutRequest);
                }
                _ => {}
            }
        }
        // bytes that came with an interim response, or in pieces
        loop {
            if fresh && !received.is_empty() {
                match parse_response(received.data(), &limits, response, method) {
                    Ok(Parsed::Complete(len, info)) => {
                        // a fault in the body that is here already is the head's
                        let rest = received.data().get(len..).unwrap_or_default();
                        let bad = (info.framing == Framing::Chunked
                            && Chunked::default().look(rest).is_err())
                            || !head_fits(response, len, global);
                        return Poll::Ready(if bad { Answer::Malformed } else { Answer::Head(len, info) });
                    }
                    Ok(Parsed::Partial) if received.len() < task.worker.buffers.size() => {}
                    Err(Bad { fault: Fault::Upgrade, .. }) => return Poll::Ready(Answer::Unasked),
                    _ => return Poll::Ready(Answer::Malformed),
                }
            }
            if received.capacity() == 0 {
                if server.poll_readable(cx).is_pending() {
                    break;
                }
                *received = task.worker.buffers.take();
            }
            match server.poll_recv(cx, received) {
                Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => {
                    return Poll::Ready(Answer::Gone(received.is_empty()));
                }
                Poll::Ready(Ok(_)) => fresh = true,
                Poll::Pending => break,
            }
        }
        if up.done {
            match session.conn.poll_peek(cx) {
                Seen::Broken => return Poll::Ready(Answer::ClientBroke),
                Seen::End if back.has(Opts::ABORTONCLOSE) => return Poll::Ready(Answer::Client),
                _ => {}
            }
        }
        if due.server == Millis::NEVER || before != (up.reads, up.writes) {
            due.renew(task, !up.done, true);
        }
        match task.poll_woken(cx) {
            None => Poll::Pending,
            Some(Woken::Aborted(why)) => Poll::Ready(Answer::Aborted(why)),
            Some(Woken::Late) if due.client <= due.server => Poll::Ready(Answer::ClientLate),
            Some(Woken::Late) => Poll::Ready(Answer::ServerLate),
        }
    })
    .await
}

/// Why there was no answer, for client, log and counters.
fn no_answer(x: &Exchange<'_>, worker: &crate::worker::Worker, back: &ProxyPlan, answer: &Answer) -> Stop {
    let failed = || {
        back.counters(worker.id).failed_resp.inc();
        if let Some(s) = &x.server {
            s.counters.of(worker.id.into()).failed_resp.inc();
        }
    };
    match answer {
        Answer::Gone(false) => {
            failed();
            Stop::new(b"PH", 502)
        }
        Answer::Gone(true) => {
            failed();
            Stop::new(b"SH", 502)
        }
        Answer::Malformed | Answer::Unasked => {
            failed();
            Stop::new(b"PH", 502)
        }
        Answer::ServerLate => {
            failed();
            Stop::new(b"sH", 504)
        }
        Answer::Client => Stop::new(b"CH", 400),
        Answer::ClientBroke => Stop::mute(b"CD", 400),
        Answer::CutRequest => Stop::mute(b"CH", 400),
        Answer::BadRequest => Stop::mute(b"PH", 400),
        Answer::ClientLate => Stop::new(b"cH", 400),
        Answer::Aborted(why) => Stop::new(&[why.letter(), b'H'], 503),
        Answer::Head(..) => Stop::silent(),
    }
}

/// Passes an interim (1xx) response on.
async fn interim(x: &mut Exchange<'_>, session: &Session, due: &mut Due) {
    let mut out = Vec::new();
    encode::response(&x.scratch.response, x.front.client_case.as_deref(), &mut out);
    due.renew(&session.task, true, false);
    write_all(session, &out).await;
    due.server = Millis::NEVER;
}

/// Writes all of it, or as much as the client takes in time.
pub async fn write_all(session: &Session, bytes: &[u8]) -> u64 {
    let mut at = 0;
    poll_fn(|cx| {
        while at < bytes.len() {
            match session.conn.poll_send(cx, &[std::io::IoSlice::new(&bytes[at..])], false) {
                Poll::Ready(Ok(n)) => at += n,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending if session.task.poll_woken(cx).is_some() => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    })
    .await;
    at as u64
}

/// Passes the response on, to its last byte.
#[allow(clippy::too_many_arguments)]
async fn respond(
    x: &mut Exchange<'_>,
    session: &mut Session,
    back: &ProxyPlan,
    mut upstream: Upstream,
    mut up: Flow,
    received: Buffer,
    info: Info,
    mut due: Due,
) -> Ended {
    let tunnel = info.framing == Framing::Tunnel;
    let client = x.scratch.request.version;
    x.facts.status = x.scratch.response.status.into();
    x.keep &= info.framing != Framing::UntilClose && !tunnel;
    if session.worker().process.is_stopping() {
        x.keep = false;
    }
    x.keep = headers::to_client(&mut x.scratch.response, client, x.keep, &info);
    let mut down = Flow::new(received, Body::new(info.framing), info.framing == Framing::Chunked);
    encode::response(&x.scratch.response, x.front.client_case.as_deref(), &mut down.before);
    down.drop_trailers =
        back.has(Opts::HTTP_DROP_RESPONSE_TRAILERS) || x.front.has(Opts::HTTP_DROP_RESPONSE_TRAILERS);
    if x.front.has(Opts::LOGASAP) {
        log_now(x, session, arrived(&down.buffer, &info));
    }
    if tunnel {
        return run_tunnel(x, session, back, upstream, up, down).await;
    }
    let failed = pump(session, back, &upstream.conn, &mut up, &mut down, &mut due).await;
    x.facts.bytes_up += up.counted();
    x.facts.bytes_down += down.counted();
    x.body_done = up.done;
    let worker = session.worker().clone();
    let mut odd = false;
    if info.glitches > 0 {
        upstream.glitches += 1;
        odd = too_odd(upstream.glitches, x.plan.global.be_glitches);
    }
    // a server that did not take all of the request is not asked again
    let clean = failed.is_none() && !up.was_dropped();
    let reusable = clean
        && !odd
        && info.keep_alive
        && !x.server_close
        && (!info.insecure || x.plan.global.keep_insecure_te)
        && info.framing != Framing::UntilClose
        && back.connection == ConnectionMode::KeepAlive
        && x.front.connection != ConnectionMode::ServerClose
        && down.buffer.is_empty();
    if let Some(t) = failed {
        x.facts.termination[..2].copy_from_slice(&t);
    }
    if failed.is_some() {
        x.keep = false;
    }
    x.input = reclaim(x, &mut up);
    worker.buffers.give(std::mem::take(&mut down.buffer));
    if reusable {
        return Ended::Done(Some(upstream));
    }
    if !matches!(failed, Some([b'S' | b's' | b'P', _])) {
        upstream.conn.reset_on_close();
    }
    worker.idle.borrow_mut().close(upstream);
    Ended::Done(None)
}

/// `option logasap`: the line is written when the response's head is known.
fn log_now(x: &mut Exchange<'_>, session: &Session, arrived: u64) {
    let mut told = x.facts.clone();
    told.bytes_down += arrived;
    let now = session.worker().clock.now();
    told.timers.active = ms(now.since(x.began));
    told.request_line = x.scratch.request_line();
    let heads = outcome::Heads {
        request: &x.scratch.request,
        response: &x.scratch.response,
        level: x.effects.log_level,
    };
    outcome::log_as_soon_as_possible(&mut told, session, x.front, Some(&heads));
    x.facts.as_soon_as_possible = true;
}

/// Moves both directions until both messages are over. Some: cause and phase of a failure.
async fn pump(
    session: &Session,
    back: &ProxyPlan,
    server: &Conn,
    up: &mut Flow,
    down: &mut Flow,
    due: &mut Due,
) -> Option<[u8; 2]> {
    let task = &session.task;
    let mut first = true;
    poll_fn(|cx| {
        let before = (up.reads, up.writes, down.reads, down.writes);
        if !down.done
            && let Poll::Ready(Err(e)) = down.poll(cx, task, server, &session.conn)
        {
            return Poll::Ready(Some(down_failure(&e)));
        }
        // the rest of a request that is answered already is waited for
        let phase = if down.done { b'L' } else { b'D' };
        if !up.done {
            let mut polled = up.poll(cx, task, &session.conn, server);
            if let Poll::Ready(Err(FlowError::Sink(_))) = polled {
                up.drop_rest();
                polled = up.poll(cx, task, &session.conn, server);
            }
            match polled {
                Poll::Ready(Err(FlowError::Malformed)) => return Poll::Ready(Some([b'P', phase])),
                Poll::Ready(Err(_)) => return Poll::Ready(Some([b'C', phase])),
                _ => {}
            }
        }
        if down.done && up.done {
            return Poll::Ready(None);
        }
        if up.done {
            match session.conn.poll_peek(cx) {
                Seen::Broken => return Poll::Ready(Some(*b"CD")),
                Seen::End if back.has(Opts::ABORTONCLOSE) => return Poll::Ready(Some(*b"CD")),
                _ => {}
            }
        }
        if first || before != (up.reads, up.writes, down.reads, down.writes) {
            first = false;
            let writing = down.is_writing();
            due.renew(task, writing || !up.done, !writing && !down.done);
        }
        wait(task, cx, due, phase)
    })
    .await
}

fn down_failure(e: &FlowError) -> [u8; 2] {
    match e {
        FlowError::Source(_) | FlowError::Truncated => *b"SD",
        FlowError::Malformed => *b"PD",
        FlowError::Sink(_) => *b"CD",
    }
}

fn wait(task: &Task, cx: &mut Context<'_>, due: &Due, phase: u8) -> Poll<Option<[u8; 2]>> {
    match task.poll_woken(cx) {
        None => Poll::Pending,
        Some(Woken::Aborted(why)) => Poll::Ready(Some([why.letter(), phase])),
        Some(Woken::Late) if due.client <= due.server => Poll::Ready(Some([b'c', phase])),
        Some(Woken::Late) => Poll::Ready(Some([b's', phase])),
    }
}

/// After 101, or 2xx to CONNECT: bytes both ways.
async fn run_tunnel(
    x: &mut Exchange<'_>,
    session: &mut Session,
    back: &ProxyPlan,
    upstream: Upstream,
    mut up: Flow,
    mut down: Flow,
) -> Ended {
    x.keep = false;
    write_all(session, &down.before).await;
    x.facts.bytes_up += up.counted();
    let nonempty = |b: Buffer| if b.is_empty() { None } else { Some(b) };
    let splice = |side| x.front.opts.union(back.opts).intersects(Opts::SPLICE_AUTO.union(side));
    let mut to_server = Lane::new(nonempty(std::mem::take(&mut up.buffer)), splice(Opts::SPLICE_REQUEST));
    let mut to_client = Lane::new(nonempty(std::mem::take(&mut down.buffer)), splice(Opts::SPLICE_RESPONSE));
    let timeouts = relay::Timeouts {
        client: x.front.timeouts.client,
        server: back.timeouts.server,
        client_fin: x.front.timeouts.client_fin,
        server_fin: back.timeouts.server_fin,
        tunnel: x.effects.timeout(Timeout::Tunnel).or(back.timeouts.tunnel),
    };
    let end = relay::relay(
        &session.task,
        (&session.conn, &mut to_server),
        (&upstream.conn, &mut to_client),
        &timeouts,
        x.front.has(Opts::INDEPENDENT_STREAMS),
    )
    .await;
    x.facts.bytes_up += to_server.bytes;
    x.facts.bytes_down += to_client.bytes;
    x.facts.termination[..2].copy_from_slice(&crate::tcp::termination(end));
    if end == relay::End::ClientBroke {
        upstream.conn.reset_on_close();
    }
    x.scratch.out = std::mem::take(&mut up.before);
    to_server.discard(&session.task);
    to_client.discard(&session.task);
    session.worker().idle.borrow_mut().close(upstream);
    Ended::Done(None)
}
