//! The last malformed request and response of each proxy, for `show errors` (management manual, section 9.3).

use crate::plan::ProxyPlan;
use crate::process::Process;
use crate::session::Session;
use parking_lot::Mutex;
use portcullis_message::values;
use portcullis_transport::Peer;
use portcullis_wire::h1::body::Phase;
use portcullis_wire::h1::{Bad, Chunked, Fault};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A name and its number.
pub type Named = (Arc<str>, u32);

/// What was malformed, and where.
#[derive(Clone, Debug)]
pub struct Captured {
    /// The wall clock then: time since the epoch.
    pub wall: Duration,
    /// How many came before it in this process.
    pub event: u64,
    /// The frontend.
    pub front: Named,
    /// The backend of a response.
    pub back: Option<Named>,
    /// The server of a response.
    pub server: Option<Named>,
    /// The client.
    pub client: Peer,
    /// What was in the buffer; never more than one buffer.
    pub bytes: Box<[u8]>,
    /// The size of that buffer.
    pub buffer: usize,
    /// Offset of the byte that is wrong.
    pub at: usize,
    /// What was expected there, as HAProxy calls it.
    pub state: (&'static str, u8),
    /// Payload bytes before it.
    pub body: u64,
}

/// The last ones of every proxy: by its index in the plan, requests before responses. No more than two a proxy.
#[derive(Debug, Default)]
pub struct CapturedErrors {
    count: AtomicU64,
    kept: Mutex<BTreeMap<(usize, bool), Arc<Captured>>>,
}

impl CapturedErrors {
    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }
    /// Those that are kept, with the index of their proxy and whether they are responses.
    #[must_use]
    pub fn all(&self) -> Vec<(usize, bool, Arc<Captured>)> {
        self.kept.lock().iter().map(|((proxy, response), c)| (*proxy, *response, c.clone())).collect()
    }
    /// Proxies have other indexes from now on; those that have none are gone.
    pub fn follow(&self, index: impl Fn(usize) -> Option<usize>) {
        let mut kept = self.kept.lock();
        let old = std::mem::take(&mut *kept);
        kept.extend(
            old.into_iter().filter_map(|((proxy, response), c)| Some(((index(proxy)?, response), c))),
        );
    }

    fn keep(&self, proxy: usize, response: bool, captured: Captured) {
        let captured = Arc::new(captured);
        let old = self.kept.lock().insert((proxy, response), captured);
        drop(old);
    }
}

/// What is wrong in the bytes at hand.
#[derive(Clone, Copy)]
pub enum Wrong {
    /// The head that they begin with.
    Head(Bad),
    /// A chunk at this offset, in this part of it.
    Chunk(usize, Phase),
}

impl Wrong {
    /// Payload bytes before it, if a body begins with this buffer.
    fn payload(self, raw: &[u8], head: usize) -> u64 {
        let Self::Chunk(at, _) = self else { return 0 };
        let before = raw.get(head..at).unwrap_or_default();
        Chunked::default().look(before).map_or(0, |l| l.0)
    }

    /// In a body whose first bytes came with its head, `head` bytes long.
    #[must_use]
    pub fn in_first_chunks(raw: &[u8], head: usize) -> Option<Self> {
        let mut chunks = Chunked::default();
        let rest = raw.get(head..)?;
        let bad = chunks.decode(&mut rest.to_vec()).err()?;
        Some(Self::Chunk(head + bad.at, chunks.phase()))
    }
}

/// Keeps a malformed request.
#[cold]
pub fn request(session: &Session, front: &ProxyPlan, raw: &[u8], wrong: Wrong, body: u64) {
    let body = body.max(wrong.payload(raw, head_or_none(raw, wrong)));
    let captured = capture(session, front, raw, place(raw, wrong, false), body);
    process(session).captured.keep(front.index, false, captured);
}

/// Keeps a malformed response of a server.
#[cold]
pub fn response(
    session: &Session,
    (front, back): (&ProxyPlan, &ProxyPlan),
    server: Named,
    raw: &[u8],
    wrong: Wrong,
    body: u64,
) {
    let body = body.max(wrong.payload(raw, head_or_none(raw, wrong)));
    let mut captured = capture(session, front, raw, place(raw, wrong, true), body);
    captured.back = Some((back.name.clone(), back.id));
    captured.server = Some(server);
    process(session).captured.keep(back.index, true, captured);
}

/// Where the body begins: behind the head, if the buffer has one.
fn head_or_none(raw: &[u8], wrong: Wrong) -> usize {
    match head_end(raw) {
        end if matches!(wrong, Wrong::Chunk(at, _) if end <= at && end < raw.len()) => end,
        _ => 0,
    }
}

fn process(session: &Session) -> &Process {
    &session.task.worker.process
}

fn capture(session: &Session, front: &ProxyPlan, raw: &[u8], (at, state): Place, body: u64) -> Captured {
    let worker = &session.task.worker;
    Captured {
        wall: worker.clock.wall(),
        event: worker.process.captured.count.fetch_add(1, Relaxed),
        front: (front.name.clone(), front.id),
        back: None,
        server: None,
        client: session.client,
        bytes: raw.into(),
        buffer: worker.buffers.size(),
        at,
        state,
        body,
    }
}

type State = (&'static str, u8);
type Place = (usize, State);

const RQBEFORE: State = ("MSG_RQBEFORE", 0);
const RQBEFORE_CR: State = ("MSG_RQBEFORE_CR", 1);
const RQMETH: State = ("MSG_RQMETH", 2);
const RQURI: State = ("MSG_RQURI", 4);
const RQVER: State = ("MSG_RQVER", 6);
const RQLINE_END: State = ("MSG_RQLINE_END", 7);
const RPBEFORE: State = ("MSG_RPBEFORE", 8);
const RPVER: State = ("MSG_RPVER", 10);
const RPCODE: State = ("MSG_RPCODE", 12);
const RPREASON: State = ("MSG_RPREASON", 14);
const HDR_NAME: State = ("MSG_HDR_NAME", 17);
const HDR_VAL: State = ("MSG_HDR_VAL", 22);
const HDR_L2_LF: State = ("MSG_HDR_L2_LF", 23);
const HDR_L2_LWS: State = ("MSG_HDR_L2_LWS", 24);
const LAST_LF: State = ("MSG_LAST_LF", 25);
const CHUNK_SIZE: State = ("MSG_CHUNK_SIZE", 26);
const DATA: State = ("MSG_DATA", 27);
const CHUNK_CRLF: State = ("MSG_CHUNK_CRLF", 28);
const TRAILERS: State = ("MSG_TRAILERS", 29);
const DONE: State = ("MSG_DONE", 30);

/// Where HAProxy 3.5 says that the fault is, and in which state it names.
fn place(raw: &[u8], wrong: Wrong, response: bool) -> Place {
    let bad = match wrong {
        Wrong::Chunk(at, Phase::Size) => return (at, CHUNK_SIZE),
        Wrong::Chunk(at, Phase::DataEnd) => return (at, CHUNK_CRLF),
        Wrong::Chunk(at, Phase::Trailers) => return (at, TRAILERS),
        Wrong::Head(bad) => bad,
    };
    let first_line = raw.iter().position(|b| *b == b'\n').is_none_or(|end| bad.at <= end);
    if bad.at >= raw.len() {
        // it does not fit
        let state = match (first_line, response) {
            (true, false) => RQURI,
            (true, true) => RPREASON,
            _ => HDR_VAL,
        };
        return (raw.len(), state);
    }
    let end = head_end(raw);
    match bad.fault {
        Fault::Version if !response && !has_version(raw) => (bad.at, DATA),
        Fault::Byte | Fault::Version if raw.get(bad.at) == Some(&b'\r') => {
            (bad.at + 1, cr(raw, bad.at, response))
        }
        Fault::Method if bad.at == 0 => (0, RQBEFORE),
        Fault::Method => (bad.at, RQMETH),
        Fault::Version => version(raw, bad.at, response),
        Fault::Target => target(raw, bad.at),
        Fault::Status => (bad.at + digits(raw, bad.at).min(3), RPCODE),
        Fault::Name => (bad.at, HDR_NAME),
        Fault::Value => (bad.at, HDR_VAL),
        Fault::TooManyFields => (bad.at, HDR_L2_LWS),
        Fault::Length => (length(raw).unwrap_or(bad.at), HDR_L2_LWS),
        Fault::Host => host(raw).unwrap_or((bad.at, HDR_L2_LWS)),
        Fault::TransferEncoding => coding(raw).map_or((end, DATA), |at| (at, HDR_L2_LWS)),
        Fault::Coding => (end, CHUNK_SIZE),
        Fault::Payload | Fault::Upgrade | Fault::Chunk => (end, DATA),
        Fault::WebSocket => (end, DONE),
        Fault::Byte if response => (bad.at, RPREASON),
        Fault::Byte => (bad.at, HDR_VAL),
    }
}

/// A CR that no LF follows.
fn cr(raw: &[u8], at: usize, response: bool) -> State {
    let line = raw.get(..at).unwrap_or_default();
    if line.iter().all(|b| matches!(b, b'\r' | b'\n')) {
        return if response { RPBEFORE } else { RQBEFORE_CR };
    }
    match (line.contains(&b'\n'), line.last()) {
        (false, _) if response => RPREASON,
        (false, _) => RQLINE_END,
        (true, Some(b'\n')) => LAST_LF,
        _ => HDR_L2_LF,
    }
}

/// Does the first line say a version at all? HTTP/0.9 has none.
fn has_version(raw: &[u8]) -> bool {
    let line = raw.split(|b| *b == b'\n').next().unwrap_or_default();
    line.split(|b| matches!(b, b' ' | b'\t' | b'\r')).filter(|w| !w.is_empty()).count() > 2
}

fn version(raw: &[u8], at: usize, response: bool) -> Place {
    let rest = raw.get(at..).unwrap_or_default();
    let fits = |b: &u8| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'.' | b'/');
    match (rest.iter().position(|b| !fits(b)), response) {
        (Some(0), true) => (at, RPBEFORE),
        (Some(n), false) if !matches!(rest[n], b'\r' | b'\n') => (at + n, RQVER),
        (Some(n), true) if !matches!(rest[n], b' ' | b'\t') => (at + n, RPVER),
        _ => (at, DATA),
    }
}

/// The target: a byte of it, or, where it does not fit the method, its beginning.
fn target(raw: &[u8], at: usize) -> Place {
    let blank = |b: &u8| matches!(b, b' ' | b'\t');
    let start = raw.iter().position(blank).map_or(0, |n| n + 1);
    if at > start {
        return (at, RQURI);
    }
    let text = raw.get(start..).unwrap_or_default();
    let text = text.split(|b| blank(b) || *b == b'\r').next().unwrap_or_default();
    match text.iter().position(|b| *b == b'#' || !(0x21..0x7f).contains(b)) {
        Some(n) => (start + n, RQURI),
        None => (start, RQMETH),
    }
}

fn digits(raw: &[u8], at: usize) -> usize {
    raw.get(at..).unwrap_or_default().iter().take_while(|b| b.is_ascii_digit()).count()
}

fn head_end(raw: &[u8]) -> usize {
    let mut empty = true;
    let mut started = false;
    for (i, b) in raw.iter().enumerate() {
        match b {
            b'\n' if empty && started => return i + 1,
            b'\n' => empty = true,
            b'\r' => {}
            _ => (empty, started) = (false, true),
        }
    }
    raw.len()
}

/// The fields' names, values, and where the values begin.
fn fields(raw: &[u8]) -> impl Iterator<Item = (&[u8], &[u8], usize)> {
    let mut at = 0;
    raw.split_inclusive(|b| *b == b'\n').filter_map(move |line| {
        let here = at;
        at += line.len();
        let colon = line.iter().position(|b| *b == b':')?;
        let (name, rest) = line.split_at(colon);
        let value = rest.get(1..)?;
        let value = value.strip_suffix(b"\n").unwrap_or(value);
        let value = value.strip_suffix(b"\r").unwrap_or(value);
        let blanks = value.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
        Some((name, values::trim(value), here + colon + 1 + blanks))
    })
}

/// The values of this field and where they begin; the request line is none.
fn named<'a>(raw: &'a [u8], name: &'a [u8]) -> impl Iterator<Item = (&'a [u8], usize)> {
    fields(raw).filter(move |f| f.0.eq_ignore_ascii_case(name)).map(|f| (f.1, f.2))
}

/// The Content-Length that is no number, or another one.
fn length(raw: &[u8]) -> Option<usize> {
    let mut first: Option<u64> = None;
    for (value, at) in named(raw, b"content-length") {
        for element in values::elements(value) {
            let n: Option<u64> = std::str::from_utf8(element).ok().and_then(|t| t.parse().ok());
            match (n, first) {
                (Some(n), None) => first = Some(n),
                (Some(n), Some(before)) if n == before => {}
                _ => return Some(at),
            }
        }
    }
    None
}

/// The Host that is wrong: the second one, or the only one.
fn host(raw: &[u8]) -> Option<Place> {
    let mut all = named(raw, b"host").map(|h| h.1);
    let first = all.next()?;
    if let Some(second) = all.next() {
        return Some((second, HDR_L2_LWS));
    }
    let line = raw.split(|b| *b == b'\n').next().unwrap_or_default();
    let absolute = line.windows(3).any(|w| w == b"://") || line.starts_with(b"CONNECT ");
    Some((first, if absolute { LAST_LF } else { HDR_L2_LWS }))
}

/// The Transfer-Encoding that says `chunked` more than once, or not last.
fn coding(raw: &[u8]) -> Option<usize> {
    let chunked = |v: &[u8]| values::has_token(v, b"chunked");
    named(raw, b"transfer-encoding").filter(|(v, _)| chunked(v)).last().map(|(_, at)| at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_message::{Head, Method};
    use portcullis_wire::h1::{Limits, parse_request, parse_response};

    const LIMITS: Limits = Limits { max_fields: 101, relaxed: false, any_method_payload: false };

    fn of_request(raw: &[u8]) -> Place {
        let bad = parse_request(raw, &LIMITS, &mut Head::default()).unwrap_err();
        place(raw, Wrong::Head(bad), false)
    }
    fn of_response(raw: &[u8]) -> Place {
        let bad = parse_response(raw, &LIMITS, &mut Head::default(), Method::Get).unwrap_err();
        place(raw, Wrong::Head(bad), true)
    }

    /// What HAProxy 3.5-dev5 prints.
    #[test]
    fn places_in_requests() {
        for (raw, at, state) in [
            (b"G(T / HTTP/1.1\r\n\r\n".as_slice(), 1, RQMETH),
            (b" GET / HTTP/1.1\r\n\r\n", 0, RQBEFORE),
            (b"\r\rGET / HTTP/1.1\r\n\r\n", 1, RQBEFORE_CR),
            (b"GET /\x01 HTTP/1.1\r\n\r\n", 5, RQURI),
            (b"GET / HTTX/1.1\r\n\r\n", 6, DATA),
            (b"GET / HTTP/1.x\r\n\r\n", 13, RQVER),
            (b"GET / HTTP/1.1\rX", 15, RQLINE_END),
            (b"GET / HTTP/1.1\r\nHost: a\r\nFo o: b\r\n\r\n", 27, HDR_NAME),
            (b"GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 25, HDR_NAME),
            (b"GET / HTTP/1.1\r\nHost: a\x00b\r\n\r\n", 23, HDR_VAL),
            (b"GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", 24, HDR_L2_LF),
            (b"GET / HTTP/1.1\r\nHost: a\r\n\rb", 26, LAST_LF),
            (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 42, HDR_L2_LWS),
            (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 61, HDR_L2_LWS),
            (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", 45, HDR_L2_LWS),
            (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 62, CHUNK_SIZE),
            (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 53, DATA),
            (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 31, HDR_L2_LWS),
            (b"GET http://x/ HTTP/1.1\r\nHost: a\r\n\r\n", 30, LAST_LF),
            (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 22, HDR_L2_LWS),
            (b"GET foo HTTP/1.1\r\nHost: a\r\n\r\n", 4, RQMETH),
            (b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 6, RQURI),
            (b"CONNECT /x HTTP/1.1\r\nHost: a\r\n\r\n", 8, RQMETH),
            (b"GET / HTTP/1.0\r\nContent-Length: 1\r\n\r\nx", 37, DATA),
            (b"GET /\r\n\r\n", 5, DATA),
        ] {
            assert_eq!(of_request(raw), (at, state), "{}", raw.escape_ascii());
        }
    }

    #[test]
    fn places_in_responses() {
        for (raw, at, state) in [
            (b"HTTX/1.1 200 OK\r\n\r\n".as_slice(), 0, DATA),
            (b"HTTP/1.1 2x0 OK\r\n\r\n", 10, RPCODE),
            (b"HTTP/1.1 2000 OK\r\n\r\n", 12, RPCODE),
            (b"HTTP/1.1 200 OK\r\nA b: c\r\n\r\n", 18, HDR_NAME),
            (b"HTTP/1.1 200 OK\r\nA: \x00\r\n\r\n", 20, HDR_VAL),
            (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", 33, HDR_L2_LWS),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", 44, DATA),
            (b"\x01\x02\xff", 0, RPBEFORE),
        ] {
            assert_eq!(of_response(raw), (at, state), "{}", raw.escape_ascii());
        }
    }

    #[test]
    fn places_in_chunks() {
        let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        for (chunks, at, state) in [
            (b"4\r\nabcd\r\nzz\r\n".as_slice(), 9, CHUNK_SIZE),
            (b"4\r\nabcdef\r\n", 7, CHUNK_CRLF),
            (b"4;a\x00b\r\n", 3, CHUNK_SIZE),
        ] {
            let raw = [head.as_slice(), chunks].concat();
            let wrong = Wrong::in_first_chunks(&raw, head.len()).unwrap();
            assert_eq!(place(&raw, wrong, false), (head.len() + at, state), "{}", chunks.escape_ascii());
        }
    }
}
