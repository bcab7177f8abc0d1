//! Reading a request's head.

use super::exchange::{Exchange, Stop};
use crate::captured::{self, Wrong};
use crate::plan::GlobalPlan;
use crate::session::Session;
use crate::traced::{self, Side};
use crate::worker::Woken;
use portcullis_config::Opts;
use portcullis_message::{Head, Method};
use portcullis_telemetry::trace::{Level, events};
use portcullis_wire::h1::{Bad, Chunked, Fault, Framing, Parsed, parse_request, too_large};
use portcullis_wire::h2::frame::PREFACE;
use std::future::poll_fn;
use std::task::Poll;

/// What came of waiting for bytes.
enum Got {
    Bytes,
    End,
    Broken,
    Late,
    Aborted,
}

/// Reads until the head is complete and sets what the facts and the exchange know of it.
///
/// # Errors
/// [`Stop`] with what the client is told: 400, 408, or nothing.
pub async fn read(x: &mut Exchange<'_>, session: &mut Session) -> Result<(), Stop> {
    if session.conn.stream().is_some() {
        return given(x, session);
    }
    let worker = session.worker().clone();
    let limits = x.front.request_limits;
    loop {
        if !x.input.is_empty() {
            match parse_request(x.input.data(), &limits, &mut x.scratch.request) {
                Ok(Parsed::Complete(len, info)) => {
                    x.info = info;
                    if let Err(bad) = check_body(x, len) {
                        if let Some(wrong) = Wrong::in_first_chunks(x.input.data(), len) {
                            captured::request(session, x.front, x.input.data(), wrong, 0);
                        }
                        return Err(malformed(x, session, bad.fault.status()));
                    }
                    if !head_fits(&x.scratch.request, len, &x.plan.global) {
                        x.capture(session, Bad { fault: Fault::Value, at: usize::MAX });
                        return Err(malformed(x, session, 431));
                    }
                    x.input.consume(len);
                    super::headers::strip_connection(&mut x.scratch.request, info.upgrade);
                    break;
                }
                Ok(Parsed::Partial) if x.input.len() < worker.buffers.size() - x.plan.global.maxrewrite => {}
                Ok(Parsed::Partial) => {
                    let status = too_large(x.input.data());
                    x.capture(session, Bad { fault: Fault::Value, at: usize::MAX });
                    return Err(malformed(x, session, status));
                }
                Err(bad) => match preface(x, session) {
                    Preface::Partial => {}
                    Preface::Whole => {
                        x.upgraded = true;
                        return Err(Stop::silent());
                    }
                    other => {
                        x.capture(session, bad);
                        let status = if other == Preface::Unwanted { 405 } else { bad.fault.status() };
                        return Err(malformed(x, session, status));
                    }
                },
            }
        }
        more(x, session).await?;
    }
    begin(x, session);
    if session.requests == 1 {
        traced::h1(x, session, Side::Front, events::h1::H1C_NEW, Level::State, "new H1 connection");
    }
    let (what, text) = (events::h1::RX_DATA | events::h1::RX_HEADERS, "rcvd H1 request headers");
    traced::h1_head(x, session, Side::Front, what | events::h1::H1S_NEW, text, &x.scratch.request);
    if x.info.framing == Framing::None {
        traced::h1(x, session, Side::Front, events::h1::RX_EOI, Level::User, "H1 request fully rcvd");
    }
    x.decide_keep();
    if x.info.glitches > 0 {
        session.glitches += 1;
        x.facts.client_link.glitches = session.glitches;
        x.keep &= !too_odd(session.glitches, x.plan.global.fe_glitches);
    }
    Ok(())
}

/// A request whose head came with its stream.
fn given(x: &mut Exchange<'_>, session: &mut Session) -> Result<(), Stop> {
    x.keep = false;
    if let Some(stream) = session.conn.stream() {
        let link = &mut x.facts.client_link;
        (link.stream, link.streams) = (stream.id(), u16::try_from(stream.siblings()).unwrap_or(u16::MAX));
        link.limit = u16::try_from(stream.limit()).unwrap_or(u16::MAX);
    }
    if x.scratch.request.method().is_empty() {
        return Err(malformed(x, session, 400));
    }
    begin(x, session);
    // its client has reset it before it was looked at: no server hears of it
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    if session.conn.poll_peek(&mut cx) == portcullis_transport::conn::Seen::Broken {
        x.valid = true;
        return Err(Stop::mute(b"CR", 400));
    }
    Ok(())
}

/// Is what was no request the beginning of HTTP/2?
#[derive(PartialEq, Eq)]
enum Preface {
    Other,
    /// It is, but that is not to be spoken here.
    Unwanted,
    /// As far as it has come.
    Partial,
    Whole,
}

#[cold]
fn preface(x: &Exchange<'_>, session: &Session) -> Preface {
    let bytes = x.input.data();
    let whole = bytes.starts_with(PREFACE);
    let wanted = session.requests == 1
        && !x.front.has(Opts::DISABLE_H2_UPGRADE)
        && session.listener.bind.proto.is_none();
    match whole {
        true if wanted => Preface::Whole,
        true => Preface::Unwanted,
        false if wanted && PREFACE.starts_with(bytes) && bytes.len() > 14 => Preface::Partial,
        false => Preface::Other,
    }
}

/// The head is here and is a request's.
fn begin(x: &mut Exchange<'_>, session: &Session) {
    let worker = session.worker();
    let now = worker.clock.now();
    x.request_at = now;
    if !x.front.has_content_rules() {
        count(x, session);
    }
    x.method = Method::of(x.scratch.request.method());
    remember_line(x);
}

/// One more request. One that rules of TCP refuse is none.
pub fn count(x: &Exchange<'_>, session: &Session) {
    let worker = session.worker();
    x.front.front.request(&worker.process.counts, worker.id.into(), worker.clock.now().0);
}

/// What was no request counts as one, and as bad.
#[cold]
fn count_bad(x: &Exchange<'_>, session: &Session) {
    let id = usize::from(session.worker().id);
    count(x, session);
    x.front.front.counters.of(id).failed_req.inc();
    session.listener.counts.counters.of(id).failed_req.inc();
}

/// Has a connection seen so many odd heads that it shall not go on? HAProxy gives it up at three quarters.
#[must_use]
pub fn too_odd(glitches: u32, threshold: u32) -> bool {
    threshold > 0 && u64::from(glitches) >= u64::from(threshold) * 3 / 4
}

/// Does a head leave the room that rules may want (`tune.maxrewrite`)? `len`: bytes on the wire. As HAProxy 3.5, which
/// keeps heads in blocks.
#[must_use]
pub fn head_fits(head: &Head, len: usize, global: &GlobalPlan) -> bool {
    let room = global.bufsize.saturating_sub(global.maxrewrite);
    if len + 8 * head.len() + 128 <= room {
        return true;
    }
    let fields: usize = head.fields().map(|f| 8 + f.name.len() + f.value.len()).sum();
    let line = match head.status {
        0 => head.method().len() + head.target().len(),
        _ => 3 + head.reason().len(),
    };
    60 + 8 + line + 16 + 1 + fields <= room
}

/// Nothing of the head is to be used.
#[cold]
fn malformed(x: &mut Exchange<'_>, session: &Session, status: u16) -> Stop {
    if session.conn.stream().is_none() {
        let what = events::h1::H1S_ERR | events::h1::H1C_ERR;
        traced::h1(x, session, Side::Front, what, Level::Error, "parsing error, reject H1 message");
    }
    x.scratch.request.clear();
    count_bad(x, session);
    Stop::new(b"PR", status)
}

/// Is what has come of a chunked body behind its head well-formed? A fault that is here already is the head's.
fn check_body(x: &Exchange<'_>, head: usize) -> Result<(), Bad> {
    match x.input.data().get(head..) {
        Some(rest) if x.info.framing == Framing::Chunked && !rest.is_empty() => {
            Chunked::default().look(rest).map(drop)
        }
        _ => Ok(()),
    }
}

impl Exchange<'_> {
    /// Keeps a malformed head for `show errors`.
    #[cold]
    fn capture(&self, session: &Session, bad: Bad) {
        captured::request(session, self.front, self.input.data(), Wrong::Head(bad), 0);
    }
}

/// Waits for more bytes, as long as the timeouts allow.
async fn more(x: &mut Exchange<'_>, session: &mut Session) -> Result<(), Stop> {
    let worker = &session.task.worker;
    let t = &x.front.timeouts;
    let now = worker.clock.now();
    // the whole head must come within `http-request`; each piece of it within `client`
    let start = if session.requests == 1 { session.accepted } else { x.began };
    session.task.deadline(start.after(t.http_request).min(now.after(t.client)));
    let conn = &session.conn;
    let (input, task) = (&mut x.input, &session.task);
    let first_byte = input.is_empty();
    let got = poll_fn(|cx| {
        if input.capacity() == 0 {
            *input = worker.buffers.take();
        }
        match conn.poll_recv(cx, input) {
            Poll::Ready(Ok(0)) => return Poll::Ready(Got::End),
            Poll::Ready(Ok(_)) => return Poll::Ready(Got::Bytes),
            Poll::Ready(Err(_)) => return Poll::Ready(Got::Broken),
            // nothing is held while nothing has come
            Poll::Pending if input.is_empty() => worker.buffers.give(std::mem::take(input)),
            Poll::Pending => {}
        }
        match task.poll_woken(cx) {
            Some(Woken::Late) => Poll::Ready(Got::Late),
            Some(Woken::Aborted(_)) => Poll::Ready(Got::Aborted),
            None => Poll::Pending,
        }
    })
    .await;
    let nothing = x.input.is_empty();
    // a connection that ends between two requests is no event
    let later = session.requests > 1 && nothing;
    let ignored = nothing && x.front.has(Opts::HTTP_IGNORE_PROBES);
    let null = nothing && x.front.has(Opts::DONTLOGNULL);
    if !(later || ignored) && matches!(got, Got::End | Got::Broken | Got::Late) {
        count_bad(x, session);
        if null {
            // no line tells of it, and nothing else would count its answer
            let status = if matches!(got, Got::Late) { 408 } else { 400 };
            x.front.front.counters.of(session.worker().id.into()).response(status);
        }
    }
    match got {
        Got::Bytes => {
            if first_byte && session.requests == 1 {
                x.began = worker.clock.now();
                x.facts.timers.idle = super::exchange::ms(x.began.since(session.idle_since));
                x.facts.requested = worker.clock.wall();
            }
            Ok(())
        }
        _ if later || ignored => Err(Stop::silent()),
        Got::Broken if null => Err(Stop::silent()),
        Got::End if null => Err(Stop { logged: false, ..Stop::new(b"CR", 400) }),
        Got::End | Got::Broken => Err(Stop::new(b"CR", 400)),
        Got::Late => Err(Stop { logged: !null, ..Stop::new(b"cR", 408) }),
        // there is no stream yet that somebody could have ended: the process is over
        Got::Aborted => Err(Stop::silent()),
    }
}

/// Keeps the request line for the log, before rules change it.
fn remember_line(x: &mut Exchange<'_>) {
    let s = &mut *x.scratch;
    let most = x.plan.global.logurilen;
    let line = &mut s.line;
    line.clear();
    line.bytes.extend_from_slice(s.request.method());
    let a = line.bytes.len();
    let target = s.request.target();
    line.bytes.extend_from_slice(target.get(..most.saturating_sub(a + 2)).unwrap_or(target));
    let b = line.bytes.len();
    match s.request.odd_version() {
        b"" => {
            let v = s.request.version;
            let version = [b'H', b'T', b'T', b'P', b'/', b'0' + v.major, b'.', b'0' + v.minor];
            line.bytes.extend_from_slice(&version);
        }
        odd => line.bytes.extend_from_slice(odd),
    }
    line.at = (a, b);
}
