//! Parsing request and response heads into a [`Head`], in one pass over the bytes received.
//!
//! As strict as HAProxy 3.5, byte for byte where its answers could be compared (`tests/h1_*.txt`). Bytes go into the
//! head's arena in one copy when the head is complete; names are put in lower case there, as HAProxy passes them on.

use super::info::{self, Info};
use super::scan::{blanks_end, line_byte, not_visible, token_end};
use portcullis_message::{Head, HeaderId, Version, values};
use std::ops::Range;

/// What a head may be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `tune.http.maxhdr`: fewer fields than this (HAProxy counts the end of the head as one).
    pub max_fields: usize,
    /// `accept-unsafe-violations-in-http-request` or `-response`.
    pub relaxed: bool,
    /// `h1-accept-payload-with-any-method`
    pub any_method_payload: bool,
}

/// What is wrong with a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A byte that may not stand there.
    Byte,
    /// Not a version this codec speaks.
    Version,
    /// The method is not a token.
    Method,
    /// The request target is malformed.
    Target,
    /// The status code is not three digits.
    Status,
    /// A field name is not a token, or blanks stand before the colon.
    Name,
    /// A field value has a forbidden byte.
    Value,
    /// More fields than `tune.http.maxhdr`.
    TooManyFields,
    /// Content-Length is not a number, or several differ.
    Length,
    /// Transfer-Encoding is not one that can be delimited.
    TransferEncoding,
    /// A transfer coding besides `chunked`, which is not supported.
    Coding,
    /// Host or authority is malformed, or there are several that differ.
    Host,
    /// A body where there may be none (GET, HEAD, DELETE over HTTP/1.0).
    Payload,
    /// `101` without an upgrade.
    Upgrade,
    /// A WebSocket handshake without its key or its answer (RFC 6455 section 4).
    WebSocket,
    /// A chunk is malformed.
    Chunk,
}

impl Fault {
    /// With which status a request with this fault is refused.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Payload => 413,
            Self::Coding => 422,
            _ => 400,
        }
    }
}

/// With which status a request is refused whose head does not fit the buffer: 414 while the request line is not
/// complete, 431 behind it.
#[must_use]
pub fn too_large(raw: &[u8]) -> u16 {
    let start = raw.iter().position(|b| !matches!(b, b'\r' | b'\n')).unwrap_or(raw.len());
    if memchr::memchr(b'\n', &raw[start..]).is_some() { 431 } else { 414 }
}

/// A fault and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bad {
    /// What.
    pub fault: Fault,
    /// Offset of the byte.
    pub at: usize,
}

impl Bad {
    const fn new(fault: Fault, at: usize) -> Self {
        Self { fault, at }
    }
}

/// What came of parsing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// More bytes are needed.
    Partial,
    /// The head ends before this offset.
    Complete(usize, Info),
}

/// Parses a request head. On `Complete` the head is filled in.
///
/// # Errors
/// [`Bad`] as soon as it is certain, also in an incomplete head.
pub fn parse_request(raw: &[u8], limits: &Limits, head: &mut Head) -> Result<Parsed, Bad> {
    head.clear();
    let Some(start) = skip_empty_lines(raw)? else { return Ok(Parsed::Partial) };
    let Some(line) = request_line(raw, start, limits, head)? else { return Ok(Parsed::Partial) };
    let Line { next, odd, has_fields } = line;
    let (end, glitches) = if has_fields {
        match fields(raw, next, limits, head)? {
            Some(f) => f,
            None => return Ok(Parsed::Partial),
        }
    } else {
        head.adopt(&raw[..next], false);
        (next, 0)
    };
    let mut info = info::of_request(head, limits).map_err(|fault| Bad::new(fault, start))?;
    info.close |= !has_fields;
    info.glitches = glitches.saturating_add(u8::from(odd));
    Ok(Parsed::Complete(end, info))
}

/// Parses a response head. On `Complete` the head is filled in; `request_method` decides about the body.
///
/// # Errors
/// [`Bad`] as soon as it is certain, also in an incomplete head.
pub fn parse_response(
    raw: &[u8],
    limits: &Limits,
    head: &mut Head,
    request_method: portcullis_message::Method,
) -> Result<Parsed, Bad> {
    head.clear();
    let Some(start) = skip_empty_lines(raw)? else { return Ok(Parsed::Partial) };
    let Some(Line { next, odd, .. }) = status_line(raw, start, limits, head)? else {
        return Ok(Parsed::Partial);
    };
    let Some((end, glitches)) = fields(raw, next, limits, head)? else { return Ok(Parsed::Partial) };
    let mut info = info::of_response(head, request_method, limits).map_err(|fault| Bad::new(fault, start))?;
    info.glitches = glitches.saturating_add(u8::from(odd));
    Ok(Parsed::Complete(end, info))
}

/// A start line that was read.
struct Line {
    /// Where the next line begins.
    next: usize,
    /// It was accepted only because parsing is relaxed.
    odd: bool,
    /// `false`: HTTP/0.9, nothing follows.
    has_fields: bool,
}

/// RFC 9112 section 2.2: empty lines before a start line are ignored. Where it begins; `None` when it has not come.
fn skip_empty_lines(raw: &[u8]) -> Result<Option<usize>, Bad> {
    let mut at = 0;
    loop {
        match (raw.get(at), raw.get(at + 1)) {
            (Some(b'\r'), Some(b'\n')) => at += 2,
            (Some(b'\n'), _) => at += 1,
            (Some(b'\r'), Some(_)) => return Err(Bad::new(Fault::Byte, at)),
            (None, _) | (Some(b'\r'), None) => return Ok(None),
            _ => return Ok(Some(at)),
        }
    }
}

/// A line's end at `at`, CRLF or a bare LF (RFC 9112 section 2.2): where the next line begins. `None` when more must
/// come. `fault` when something else stands there.
#[inline]
fn line_end(raw: &[u8], at: usize, fault: Fault) -> Result<Option<usize>, Bad> {
    match (raw.get(at), raw.get(at + 1)) {
        (Some(b'\r'), Some(b'\n')) => Ok(Some(at + 2)),
        (Some(b'\n'), _) => Ok(Some(at + 1)),
        (Some(b'\r'), None) | (None, _) => Ok(None),
        _ => Err(Bad::new(fault, at)),
    }
}

/// Method, target and version with blanks between them (RFC 9112 section 3).
fn request_line(raw: &[u8], start: usize, limits: &Limits, head: &mut Head) -> Result<Option<Line>, Bad> {
    let method = start..token_end(raw, start);
    match raw.get(method.end) {
        None => return Ok(None),
        Some(b' ' | b'\t') if !method.is_empty() => {}
        Some(_) => return Err(Bad::new(Fault::Method, method.end)),
    }
    let target_start = blanks_end(raw, method.end);
    let mut target_end = not_visible(raw, target_start);
    let mut odd = false;
    while limits.relaxed && raw.get(target_end).is_some_and(|b| *b >= 0x80) {
        odd = true;
        target_end = not_visible(raw, target_end + 1);
    }
    let target = target_start..target_end;
    match raw.get(target.end) {
        None => return Ok(None),
        Some(b' ' | b'\t') if !target.is_empty() => {}
        Some(b'\r' | b'\n') if !target.is_empty() => {}
        Some(_) => return Err(Bad::new(Fault::Target, target.end)),
    }
    let at = blanks_end(raw, target.end);
    if matches!(raw.get(at), Some(b'\r' | b'\n')) {
        // HTTP/0.9 (RFC 1945 section 4.1): a method and a target only
        if !limits.relaxed || &raw[method.clone()] != b"GET" {
            return Err(Bad::new(Fault::Version, at));
        }
        let Some(next) = line_end(raw, at, Fault::Version)? else { return Ok(None) };
        head.request_at(method, target, Version::HTTP_10);
        return Ok(Some(Line { next, odd: true, has_fields: false }));
    }
    let Some((version, text)) = version(raw, at, limits)? else { return Ok(None) };
    let Some(next) = line_end(raw, text.end, Fault::Version)? else { return Ok(None) };
    head.request_at(method, target, version.unwrap_or(Version::HTTP_10));
    if version.is_none() {
        odd = true;
        head.odd_version_at(text);
    }
    Ok(Some(Line { next, odd, has_fields: true }))
}

/// A version and where it stands; `None` when it is none that we know.
type VersionAt = (Option<Version>, Range<usize>);

/// `HTTP/x.y` with one digit each (RFC 9112 section 2.3); relaxed parsing takes upper case letters, digits, dots and
/// slashes, without knowing what version that is (`Some((None, _))`).
fn version(raw: &[u8], at: usize, limits: &Limits) -> Result<Option<VersionAt>, Bad> {
    const PREFIX: &[u8; 5] = b"HTTP/";
    let rest = raw.get(at..).unwrap_or(&[]);
    if !limits.relaxed {
        return match *rest {
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor, ..]
                if major.is_ascii_digit() && minor.is_ascii_digit() =>
            {
                Ok(Some((Some(Version { major: major - b'0', minor: minor - b'0' }), at..at + 8)))
            }
            _ if rest.len() < 8 && rest.iter().zip(PREFIX).all(|(a, b)| a == b) => Ok(None),
            _ => Err(Bad::new(Fault::Version, at)),
        };
    }
    let len = rest
        .iter()
        .position(|b| !(b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'.' | b'/')))
        .unwrap_or(rest.len());
    let text = at..at + len;
    match *rest {
        _ if len == rest.len() => Ok(None),
        _ if len == 0 => Err(Bad::new(Fault::Version, at)),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor, ..]
            if len == 8 && major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Ok(Some((Some(Version { major: major - b'0', minor: minor - b'0' }), text)))
        }
        _ => Ok(Some((None, text))),
    }
}

/// Version, status code and reason phrase (RFC 9112 section 4).
fn status_line(raw: &[u8], start: usize, limits: &Limits, head: &mut Head) -> Result<Option<Line>, Bad> {
    let Some((version, text)) = version(raw, start, limits)? else { return Ok(None) };
    match raw.get(text.end) {
        None => return Ok(None),
        Some(b' ' | b'\t') => {}
        Some(_) => return Err(Bad::new(Fault::Version, text.end)),
    }
    let at = blanks_end(raw, text.end);
    let rest = raw.get(at..).unwrap_or(&[]);
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let most = if limits.relaxed { 5 } else { 3 };
    match rest.get(digits) {
        None if digits <= most => return Ok(None),
        Some(b' ' | b'\t' | b'\r' | b'\n') if (3..=most).contains(&digits) => {}
        _ => return Err(Bad::new(Fault::Status, at)),
    }
    let code = rest[..digits].iter().fold(0u32, |n, d| n * 10 + u32::from(d - b'0'));
    let code = u16::try_from(code).map_err(|_| Bad::new(Fault::Status, at))?;
    let reason_start = blanks_end(raw, at + digits);
    let mut end = line_byte(raw, reason_start);
    while limits.relaxed && raw.get(end) == Some(&0) {
        end = line_byte(raw, end + 1);
    }
    let Some(next) = line_end(raw, end, Fault::Byte)? else { return Ok(None) };
    head.response_at(version.unwrap_or(Version::HTTP_10), code, reason_start..end);
    if version.is_none() {
        head.odd_version_at(text);
    }
    Ok(Some(Line { next, odd: version.is_none() || digits != 3, has_fields: true }))
}

/// Fields that may come above the limit because they do not go on.
const TAKEN_OUT: usize = 16;

/// Are there too many fields, without repeated Hosts and Connection fields that say `close` or `keep-alive` only?
#[cold]
fn too_many(head: &Head, max: usize) -> bool {
    let hop = |t: &[u8]| t.eq_ignore_ascii_case(b"close") || t.eq_ignore_ascii_case(b"keep-alive");
    let mut hosts = 0;
    let mut goes_on = |id, value| match id {
        HeaderId::Connection => !values::elements(value).all(hop),
        HeaderId::Host => {
            hosts += 1;
            hosts == 1
        }
        _ => true,
    };
    head.fields().map(|f| (f.id, f.value)).map(|(id, v)| goes_on(id, v)).filter(|kept| *kept).count() >= max
}

/// The fields from `at` to the empty line (RFC 9112 section 5), into the head: where they end, and how many things
/// were accepted only because parsing is relaxed. `None` when more must come.
fn fields(raw: &[u8], mut at: usize, limits: &Limits, head: &mut Head) -> Result<Option<(usize, u8)>, Bad> {
    let mut folded = false;
    let mut glitches = 0u8;
    loop {
        if matches!(raw.get(at), None | Some(b'\r' | b'\n')) {
            let Some(end) = line_end(raw, at, Fault::Byte)? else { return Ok(None) };
            head.adopt(&raw[..end], folded);
            if head.len() >= limits.max_fields && too_many(head, limits.max_fields) {
                return Err(Bad::new(Fault::TooManyFields, at));
            }
            return Ok(Some((end, glitches)));
        }
        let name = at..token_end(raw, at);
        let mut dropped = false;
        let colon = match raw.get(name.end) {
            None => return Ok(None),
            Some(b':') if !name.is_empty() => name.end,
            Some(_) if limits.relaxed => {
                // a field with a malformed name is dropped, but it must have a name and a colon
                dropped = true;
                match raw[name.end..].iter().position(|b| matches!(b, b':' | b'\r' | b'\n')) {
                    None => return Ok(None),
                    Some(i) if raw[name.end + i] == b':' && name.end + i > at => name.end + i,
                    Some(_) => return Err(Bad::new(Fault::Name, name.end)),
                }
            }
            Some(_) => return Err(Bad::new(Fault::Name, name.end)),
        };
        let Some(value) = value(raw, colon + 1, limits.relaxed, &mut glitches)? else { return Ok(None) };
        folded |= value.folded;
        at = value.next;
        if dropped {
            glitches = glitches.saturating_add(1);
            continue;
        }
        if head.len() + 1 >= limits.max_fields + TAKEN_OUT {
            return Err(Bad::new(Fault::TooManyFields, name.start));
        }
        head.field_at(name, value.text);
    }
}

/// A field value.
struct Value {
    /// Without blanks around it.
    text: Range<usize>,
    /// Where the next line begins.
    next: usize,
    /// It goes over several lines.
    folded: bool,
}

/// A value up to the end of its last line: a line that begins with a blank continues the one before (obsolete line
/// folding, RFC 9112 section 5.2). No NUL, no CR but before LF (RFC 9110 section 5.5).
#[inline]
fn value(raw: &[u8], from: usize, relaxed: bool, glitches: &mut u8) -> Result<Option<Value>, Bad> {
    let mut start = blanks_end(raw, from);
    let mut at = start;
    let mut folded = false;
    loop {
        at = line_byte(raw, at);
        if raw.get(at) == Some(&0) {
            if !relaxed {
                return Err(Bad::new(Fault::Value, at));
            }
            *glitches = glitches.saturating_add(1);
            at += 1;
            continue;
        }
        let Some(next) = line_end(raw, at, Fault::Byte)? else { return Ok(None) };
        match raw.get(next) {
            None => return Ok(None),
            Some(b' ' | b'\t') => {
                folded = true;
                at = next;
            }
            Some(_) => {
                let mut end = at;
                let blank = |b: u8| matches!(b, b' ' | b'\t') || (folded && matches!(b, b'\r' | b'\n'));
                while end > start && blank(raw[end - 1]) {
                    end -= 1;
                }
                while folded && start < end && blank(raw[start]) {
                    start += 1;
                }
                return Ok(Some(Value { text: start..end, next, folded }));
            }
        }
    }
}

/// The fields of a trailer section (RFC 9112 section 7.1.2); `raw` holds all of it, with its empty line.
///
/// # Errors
/// [`Bad`] where a field is malformed.
pub fn parse_trailers(raw: &[u8], limits: &Limits, head: &mut Head) -> Result<(), Bad> {
    head.clear();
    match fields(raw, 0, limits, head)? {
        Some((end, _)) if end == raw.len() => info::check_trailers(head).map_err(|fault| Bad::new(fault, 0)),
        _ => Err(Bad::new(Fault::Chunk, raw.len())),
    }
}
