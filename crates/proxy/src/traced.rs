//! What the data plane tells to traces ([`portcullis_telemetry::trace`]): each function asks whether somebody looks, and is
//! nothing but that question if nobody does.

use crate::http::exchange::Exchange;
use crate::plan::ProxyPlan;
use crate::session::{Origin, Session};
use portcullis_message::{Head, Version};
use portcullis_sample::Facts;
use portcullis_telemetry::trace::{self, Event, Level, Source, Subject, events};
use portcullis_transport::Conn;
use portcullis_wire::h2::Next;
use portcullis_wire::h2::frame::{flag, kind};
use std::fmt::Write;

/// Verbosities of the sources that have several.
const SIMPLE: u8 = 3;
const ADVANCED: u8 = 4;

/// Which side of the proxy something happens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client's.
    Front,
    /// The server's.
    Back,
}

impl Side {
    fn letter(self) -> char {
        if self == Self::Front { 'F' } else { 'B' }
    }
}

/// What a session's events are about.
fn subject<'a>(session: &'a Session, front: &'a ProxyPlan) -> Subject<'a> {
    let worker = u64::from(session.worker().id) << 32;
    let number = worker | u64::from(session.root);
    let (stream, request) = session.number();
    Subject {
        thread: session.worker().id,
        session: Some(number),
        connection: Some(number),
        stream: Some(stream << 24 | (request & 0x00ff_ffff)),
        listener: Some(session.listener.identity() as u64),
        frontend: Some(&front.name),
        ..Subject::default()
    }
}

/// The server's name, where there is one.
fn server_of<'f>(facts: &Facts<'f>) -> Option<&'f str> {
    // `<NOSRV>` and its kin are none
    Some(facts.server_name).filter(|n| !n.is_empty() && !n.starts_with('<'))
}

impl Exchange<'_> {
    fn subject<'a>(&'a self, session: &'a Session) -> Subject<'a> {
        Subject {
            backend: self.back.map(|b| &*b.name),
            server: server_of(&self.facts),
            ..subject(session, self.front)
        }
    }
}

/// A client's connection begins or ends.
#[inline(always)]
#[track_caller]
pub fn session(session: &Session, what: u64, level: Level, text: &str) {
    if trace::on(Source::Session) && matches!(session.origin, Origin::Connection(_)) {
        told_session(session, what, level, text);
    }
}

#[cold]
#[track_caller]
fn told_session(session: &Session, what: u64, level: Level, text: &str) {
    trace::tell(&Event {
        source: Source::Session,
        events: what,
        level,
        what: text,
        subject: subject(session, &session.listener.proxy),
        details: &|to, _| {
            let client = crate::worker::watch::peer(session.client);
            let _ = write!(to, "frontend={} client={client}", session.listener.frontend_name);
        },
    });
}

/// Something happens to a stream of HTTP.
#[inline(always)]
#[track_caller]
pub fn stream(x: &Exchange<'_>, session: &Session, what: u64, level: Level, text: &str) {
    if trace::on(Source::Stream) {
        told_stream(&x.subject(session), &x.facts, what, level, text);
    }
}

/// The same for one of TCP.
#[inline(always)]
#[track_caller]
pub fn tcp(
    facts: &Facts<'_>,
    session: &Session,
    (front, back): (&ProxyPlan, Option<&ProxyPlan>),
    what: u64,
    level: Level,
    text: &str,
) {
    if trace::on(Source::Stream) {
        let server = server_of(facts);
        let subject = Subject { backend: back.map(|b| &*b.name), server, ..subject(session, front) };
        told_stream(&subject, facts, what, level, text);
    }
}

#[cold]
#[track_caller]
fn told_stream(subject: &Subject<'_>, facts: &Facts<'_>, what: u64, level: Level, text: &str) {
    trace::tell(&Event {
        source: Source::Stream,
        events: what,
        level,
        what: text,
        subject: *subject,
        details: &|to, verbosity| {
            let _ = write!(to, "fe={}", subject.frontend.unwrap_or_default());
            if let Some(back) = subject.backend {
                let _ = write!(to, " be={back}");
            }
            if let Some(server) = subject.server {
                let _ = write!(to, " srv={server}");
            }
            if verbosity >= SIMPLE {
                let state = String::from_utf8_lossy(&facts.termination);
                let _ = write!(to, " state={state} retries={}", facts.retries);
                if facts.http && facts.status > 0 {
                    let _ = write!(to, " status={}", facts.status);
                }
            }
        },
    });
}

/// A stream is over.
#[inline(always)]
#[track_caller]
pub fn over(facts: &Facts<'_>, session: &Session, front: &ProxyPlan, back: Option<&ProxyPlan>) {
    crate::debug::over(session, back.unwrap_or(front), server_of(facts).is_some());
    if trace::on(Source::Stream) {
        let broken = facts.stream && !matches!(facts.termination[0], b'-' | b'L');
        if broken {
            tcp(facts, session, (front, back), events::stream::STRM_ERR, Level::Error, &ended(facts));
        }
        tcp(facts, session, (front, back), events::stream::STRM_FREE, Level::State, "releasing stream");
    }
}

fn ended(facts: &Facts<'_>) -> String {
    let state = String::from_utf8_lossy(&facts.termination);
    match facts.http {
        true => format!("stream ended early, state {state} status {}", facts.status),
        false => format!("stream ended early, state {}", state.get(..2).unwrap_or("--")),
    }
}

/// Something happens to an HTTP/1 connection.
#[inline(always)]
#[track_caller]
pub fn h1(x: &Exchange<'_>, session: &Session, side: Side, what: u64, level: Level, text: &str) {
    if trace::on(Source::H1) {
        told_h1(x, session, side, what, level, text, None);
    }
}

/// A head passes on an HTTP/1 connection.
#[inline(always)]
#[track_caller]
pub fn h1_head(x: &Exchange<'_>, session: &Session, side: Side, what: u64, text: &str, head: &Head) {
    if trace::on(Source::H1) {
        told_h1(x, session, side, what, Level::User, text, Some(head));
    }
}

#[cold]
#[track_caller]
fn told_h1(
    x: &Exchange<'_>,
    session: &Session,
    side: Side,
    what: u64,
    level: Level,
    text: &str,
    head: Option<&Head>,
) {
    trace::tell(&Event {
        source: Source::H1,
        events: what,
        level,
        what: text,
        subject: x.subject(session),
        details: &|to, verbosity| {
            let _ = write!(to, "[{}]", side.letter());
            if let Some(head) = head {
                to.push_str(" H1");
                described(to, head, verbosity, true);
            }
        },
    });
}

/// Parts of bodies have passed, each yes or no: received and sent of the request's, received and sent of the response's.
#[inline(always)]
#[track_caller]
pub fn bodies(x: &Exchange<'_>, session: &Session, server: &Conn, moved: [bool; 4]) {
    if trace::on(Source::H1) {
        told_bodies(x, session, server, moved);
    }
}

#[cold]
#[track_caller]
fn told_bodies(x: &Exchange<'_>, session: &Session, server: &Conn, moved: [bool; 4]) {
    use events::h1::{RX_BODY, RX_DATA, TX_BODY, TX_DATA};
    let ways = [
        (Side::Front, RX_DATA | RX_BODY, "receiving request body"),
        (Side::Back, TX_DATA | TX_BODY, "sending request body"),
        (Side::Back, RX_DATA | RX_BODY, "receiving response body"),
        (Side::Front, TX_DATA | TX_BODY, "sending response body"),
    ];
    for ((side, what, text), _) in ways.into_iter().zip(moved).filter(|(_, moved)| *moved) {
        let conn = if side == Side::Front { &session.conn } else { server };
        if conn.stream().is_none() {
            told_h1(x, session, side, what, Level::Data, text, None);
        }
    }
}

/// ` REQ: GET /path HTTP/1.1`, and at a higher verbosity the fields. `h1`: it is on a connection of HTTP/1, whatever it was
/// received as.
fn described(to: &mut String, head: &Head, verbosity: u8, h1: bool) {
    let text = |bytes| String::from_utf8_lossy(bytes);
    let (mut v, mut target) = (head.version, head.target());
    if h1 && v.major > 1 {
        (v, target) = (Version::HTTP_11, portcullis_message::uri::pathq(target));
    }
    let _ = match head.status {
        0 => write!(to, " REQ: {} {} HTTP/{}.{}", text(head.method()), text(target), v.major, v.minor),
        status => write!(to, " RES: HTTP/{}.{} {status} {}", v.major, v.minor, text(head.reason())),
    };
    if verbosity >= ADVANCED {
        for f in head.fields() {
            let _ = write!(to, " | {}: {}", text(f.name), text(f.value));
        }
    }
}

/// A head passes as a stream of HTTP/2.
#[inline(always)]
#[track_caller]
pub fn h2_head(of: &Subject<'_>, id: u32, what: u64, text: &str, head: &Head) {
    if trace::on(Source::H2) {
        told_h2(of, what, Level::User, text, &|to, verbosity| {
            let _ = write!(to, "[{id}] H2");
            described(to, head, verbosity, false);
        });
    }
}

/// The same, of an exchange.
#[inline(always)]
#[track_caller]
pub fn h2_sends(x: &Exchange<'_>, session: &Session, id: u32, text: &str, head: &Head) {
    if trace::on(Source::H2) {
        h2_head(&x.subject(session), id, events::h2::TX_HDR, text, head);
    }
}

/// The same of a server's response.
#[inline(always)]
#[track_caller]
pub fn h2_answer(x: &Exchange<'_>, session: &Session, id: u32, text: &str, head: &Head) {
    if trace::on(Source::H2) {
        h2_head(&x.subject(session), id, events::h2::RX_HDR, text, head);
    }
}

/// The client gets a response's head.
#[inline(always)]
#[track_caller]
pub fn response(x: &Exchange<'_>, session: &Session, head: &Head) {
    match session.conn.stream() {
        Some(stream) => h2_sends(x, session, stream.id(), "sent H2 response", head),
        None => h1_head(x, session, Side::Front, events::h1::TX_HEADERS, "sending response headers", head),
    }
}

/// Something happens to a connection of HTTP/2.
#[inline(always)]
#[track_caller]
pub fn h2(of: &Subject<'_>, what: u64, level: Level, text: &str) {
    if trace::on(Source::H2) {
        told_h2(of, what, level, text, &|_, _| {});
    }
}

/// Bytes pass on one.
#[inline(always)]
#[track_caller]
pub fn h2_bytes(of: &Subject<'_>, what: u64, text: &str, bytes: usize) {
    if trace::on(Source::H2) {
        told_h2(of, what, Level::Data, text, &|to, _| {
            let _ = write!(to, "{bytes} bytes");
        });
    }
}

#[cold]
#[track_caller]
fn told_h2(of: &Subject<'_>, what: u64, level: Level, text: &str, details: &dyn Fn(&mut String, u8)) {
    trace::tell(&Event { source: Source::H2, events: what, level, what: text, subject: *of, details });
}

/// Names of frames and their events.
const FRAMES: &[(u8, &str, u64)] = &[
    (kind::DATA, "DATA", events::h2::RX_DATA),
    (kind::HEADERS, "HEADERS", events::h2::RX_HDR),
    (kind::PRIORITY, "PRIORITY", events::h2::RX_PRIO),
    (kind::RST_STREAM, "RST_STREAM", events::h2::RX_RST),
    (kind::SETTINGS, "SETTINGS", events::h2::RX_SETTINGS),
    (kind::PUSH_PROMISE, "PUSH_PROMISE", events::h2::RX_PUSH),
    (kind::PING, "PING", events::h2::RX_PING),
    (kind::GOAWAY, "GOAWAY", events::h2::RX_GOAWAY),
    (kind::WINDOW_UPDATE, "WINDOW_UPDATE", events::h2::RX_WU),
    (kind::CONTINUATION, "CONTINUATION", events::h2::RX_CONT),
];

/// What comes next on a connection of HTTP/2, before it is looked at.
#[cold]
#[track_caller]
pub fn h2_frame(of: &Subject<'_>, next: Next) {
    let header = match next {
        Next::Preface => {
            return told_h2(of, events::h2::RX_PREFACE, Level::Proto, "received preface", &|_, _| {});
        }
        Next::Frame(header) => header,
        Next::Nothing => return,
    };
    let known = FRAMES.iter().find(|f| f.0 == header.kind);
    let (name, event) = known.map_or(("unknown", 0), |f| (f.1, f.2));
    let ends = (matches!(header.kind, kind::DATA | kind::HEADERS) && header.has(flag::END_STREAM))
        || header.kind == kind::RST_STREAM;
    let all = events::h2::RX_FRAME | event | if ends { events::h2::RX_EOI } else { 0 };
    told_h2(of, all, Level::Proto, &format!("receiving H2 {name} frame"), &|to, _| {
        let (id, length, flags) = (header.stream, header.length, header.flags);
        let _ = write!(to, "[{id}] len={length} flags=0x{flags:02x}");
    });
}

/// Who has a connection with a client.
#[must_use]
pub fn of_client<'a>(session: &'a Session, front: &'a ProxyPlan) -> Subject<'a> {
    Subject { stream: None, ..subject(session, front) }
}

/// A handshake of TLS.
#[inline(always)]
#[track_caller]
pub fn tls(of: &Subject<'_>, what: u64, level: Level, text: &str, details: &dyn Fn(&mut String, u8)) {
    if trace::on(Source::Ssl) {
        trace::tell(&Event { source: Source::Ssl, events: what, level, what: text, subject: *of, details });
    }
}

/// An applet's answer.
#[inline(always)]
#[track_caller]
pub fn applet(x: &Exchange<'_>, session: &Session, what: u64, level: Level, text: &str, name: &str) {
    if trace::on(Source::Applet) {
        let subject = x.subject(session);
        trace::tell(&Event {
            source: Source::Applet,
            events: what,
            level,
            what: text,
            subject: Subject { applet: subject.stream, ..subject },
            details: &|to, _| to.push_str(name),
        });
    }
}

/// A health check.
#[inline(always)]
#[track_caller]
pub fn check(of: &Subject<'_>, what: u64, level: Level, text: &str, details: &dyn Fn(&mut String, u8)) {
    if trace::on(Source::Check) {
        trace::tell(&Event { source: Source::Check, events: what, level, what: text, subject: *of, details });
    }
}
