//! Parsing request and response heads into a [`Head`].
//!
//! The bytes are copied into the head's arena once; names are put in lower case there, as HAProxy passes them on.

use super::info::{self, Info};
use portcullis_message::field::is_token;
use portcullis_message::{Head, Version};
use std::ops::Range;

/// What a head may be like.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most header fields (`tune.http.maxhdr`).
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
    /// Host is there more than once with different values, or differs from the target's authority.
    Host,
    /// A body where there may be none (GET, HEAD, DELETE over HTTP/1.0 and so on).
    Payload,
    /// A chunk is malformed.
    Chunk,
}

/// A fault and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bad {
    /// What.
    pub fault: Fault,
    /// Offset of the byte.
    pub at: usize,
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
    let start = skip_empty_lines(raw)?;
    let Some(line) = next_line(raw, start)? else {
        return check_request_line(raw, start, limits).map(|()| Parsed::Partial);
    };
    let (method, target, version) = request_line(raw, line.text.clone(), limits)?;
    head.load(&raw[..line.next]);
    head.request_at(method, target, version);
    fields(raw, line.next, limits, head, |head| info::of_request(head, limits))
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
    let start = skip_empty_lines(raw)?;
    let Some(line) = next_line(raw, start)? else {
        return check_version_prefix(raw, start).map(|()| Parsed::Partial);
    };
    let (version, status, reason) = status_line(raw, line.text.clone())?;
    head.load(&raw[..line.next]);
    head.response_at(version, status, reason);
    fields(raw, line.next, limits, head, |head| info::of_response(head, request_method, limits))
}

/// A line: its text without the end, and where the next one begins.
struct LineAt {
    text: Range<usize>,
    next: usize,
}

/// RFC 9112 section 2.2: empty lines before a start line are ignored.
fn skip_empty_lines(raw: &[u8]) -> Result<usize, Bad> {
    let mut at = 0;
    loop {
        match (raw.get(at), raw.get(at + 1)) {
            (Some(b'\r'), Some(b'\n')) => at += 2,
            (Some(b'\n'), _) => at += 1,
            (Some(b'\r'), Some(_)) => return Err(Bad { fault: Fault::Byte, at }),
            _ => return Ok(at),
        }
    }
}

/// The line at `start`, if it has ended. A CR must stand before an LF only.
fn next_line(raw: &[u8], start: usize) -> Result<Option<LineAt>, Bad> {
    let rest = raw.get(start..).unwrap_or(&[]);
    let Some(lf) = memchr::memchr(b'\n', rest).map(|i| start + i) else { return Ok(None) };
    let end = if lf > start && raw[lf - 1] == b'\r' { lf - 1 } else { lf };
    match memchr::memchr(b'\r', &raw[start..end]) {
        Some(i) => Err(Bad { fault: Fault::Byte, at: start + i }),
        None => Ok(Some(LineAt { text: start..end, next: lf + 1 })),
    }
}

/// An incomplete request line: is what is there possible?
fn check_request_line(raw: &[u8], start: usize, limits: &Limits) -> Result<(), Bad> {
    let mut parts = 0;
    for (i, b) in raw.iter().enumerate().skip(start) {
        let fine = match parts {
            0 => is_token(*b) || (*b == b' ' && i > start),
            1 => is_target(*b, limits.relaxed) || *b == b' ',
            _ => b.is_ascii_graphic() || (*b == b'\r' && i + 1 == raw.len()),
        };
        if !fine {
            return Err(Bad { fault: if parts == 0 { Fault::Method } else { Fault::Target }, at: i });
        }
        parts += usize::from(*b == b' ');
    }
    Ok(())
}

/// An incomplete status line: can it still become `HTTP/x.y`?
fn check_version_prefix(raw: &[u8], start: usize) -> Result<(), Bad> {
    let have = raw.get(start..).unwrap_or(&[]);
    let n = have.len().min(5);
    if have[..n] == b"HTTP/"[..n] { Ok(()) } else { Err(Bad { fault: Fault::Version, at: start }) }
}

#[inline]
const fn is_target(b: u8, relaxed: bool) -> bool {
    b.is_ascii_graphic() || (relaxed && b >= 0x80)
}

fn request_line(
    raw: &[u8],
    line: Range<usize>,
    limits: &Limits,
) -> Result<(Range<usize>, Range<usize>, Version), Bad> {
    let text = &raw[line.clone()];
    let method_end = text.iter().position(|b| !is_token(*b)).unwrap_or(text.len());
    if method_end == 0 || text.get(method_end) != Some(&b' ') {
        return Err(Bad { fault: Fault::Method, at: line.start + method_end });
    }
    let target_start = method_end + 1;
    let rest = &text[target_start..];
    let target_len = rest.iter().position(|b| !is_target(*b, limits.relaxed)).unwrap_or(rest.len());
    if target_len == 0 || rest.get(target_len) != Some(&b' ') {
        return Err(Bad { fault: Fault::Target, at: line.start + target_start + target_len });
    }
    let version_start = target_start + target_len + 1;
    let version = version(&text[version_start..])
        .ok_or(Bad { fault: Fault::Version, at: line.start + version_start })?;
    let from = line.start;
    Ok((from..from + method_end, from + target_start..from + target_start + target_len, version))
}

/// `HTTP/1.x` (RFC 9112 section 2.3).
fn version(text: &[u8]) -> Option<Version> {
    match text {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor] if minor.is_ascii_digit() => {
            Some(Version { major: 1, minor: minor - b'0' })
        }
        _ => None,
    }
}

fn status_line(raw: &[u8], line: Range<usize>) -> Result<(Version, u16, Range<usize>), Bad> {
    let text = &raw[line.clone()];
    let bad = |fault, at: usize| Bad { fault, at: line.start + at };
    let version = version(text.get(..8).unwrap_or(text)).ok_or(bad(Fault::Version, 0))?;
    let code = match text.get(8..12) {
        Some([b' ', a, b, c])
            if a.is_ascii_digit() && b.is_ascii_digit() && c.is_ascii_digit() && *a != b'0' =>
        {
            u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0')
        }
        _ => return Err(bad(Fault::Status, 8)),
    };
    let reason = match text.get(12) {
        None => 12..12,
        Some(b' ') => 13..text.len(),
        Some(_) => return Err(bad(Fault::Status, 12)),
    };
    if let Some(i) = text[reason.clone()].iter().position(|b| *b < 0x20 && *b != b'\t') {
        return Err(bad(Fault::Byte, reason.start + i));
    }
    Ok((version, code, line.start + reason.start..line.start + reason.end))
}

/// The fields from `at` to the empty line.
fn fields(
    raw: &[u8],
    mut at: usize,
    limits: &Limits,
    head: &mut Head,
    finish: impl FnOnce(&mut Head) -> Result<Info, Fault>,
) -> Result<Parsed, Bad> {
    loop {
        match (raw.get(at), raw.get(at + 1)) {
            (Some(b'\r'), Some(b'\n')) => {
                at += 2;
                break;
            }
            (Some(b'\n'), _) => {
                at += 1;
                break;
            }
            (None, _) | (Some(b'\r'), None) => return Ok(Parsed::Partial),
            _ => {}
        }
        let name_len = name_length(raw, at)?;
        let Some(name_len) = name_len else { return Ok(Parsed::Partial) };
        let Some(line) = next_line(raw, at)? else {
            return check_value(&raw[at + name_len + 1..], at + name_len + 1).map(|()| Parsed::Partial);
        };
        // a following line that begins with a blank continues this one (obsolete folding): one space instead
        let mut end = line.text.end;
        let mut next = line.next;
        let mut folded = false;
        while matches!(raw.get(next), Some(b' ' | b'\t')) {
            let Some(more) = next_line(raw, next)? else { return Ok(Parsed::Partial) };
            (end, next, folded) = (more.text.end, more.next, true);
        }
        if raw.get(next).is_none() {
            return Ok(Parsed::Partial);
        }
        let value_start = at + name_len + 1;
        check_value_lines(&raw[value_start..end], value_start, folded)?;
        if head.len() >= limits.max_fields {
            return Err(Bad { fault: Fault::TooManyFields, at });
        }
        head.push_raw(&raw[at..at + name_len], trim(&raw[value_start..end]), folded);
        at = next;
    }
    let info = finish(head).map_err(|fault| Bad { fault, at: 0 })?;
    Ok(Parsed::Complete(at, info))
}

/// Length of the field name at `at`, up to the colon; `None` while that has not come.
fn name_length(raw: &[u8], at: usize) -> Result<Option<usize>, Bad> {
    let rest = &raw[at..];
    let len = rest.iter().position(|b| !is_token(*b)).unwrap_or(rest.len());
    match rest.get(len) {
        None => Ok(None),
        Some(b':') if len > 0 => Ok(Some(len)),
        Some(_) => Err(Bad { fault: Fault::Name, at: at + len }),
    }
}

fn trim(value: &[u8]) -> &[u8] {
    let blank = |b: &u8| matches!(b, b' ' | b'\t' | b'\r' | b'\n');
    let start = value.iter().position(|b| !blank(b)).unwrap_or(value.len());
    let end = value.iter().rposition(|b| !blank(b)).map_or(start, |i| i + 1);
    &value[start..end]
}

/// No NUL anywhere, no CR that is not part of a line end.
fn check_value(value: &[u8], at: usize) -> Result<(), Bad> {
    match memchr::memchr(0, value) {
        Some(i) => Err(Bad { fault: Fault::Value, at: at + i }),
        None => Ok(()),
    }
}

fn check_value_lines(value: &[u8], at: usize, _folded: bool) -> Result<(), Bad> {
    check_value(value, at)
}

/// The fields of a trailer section; `raw` holds all of it, with its empty line.
///
/// # Errors
/// [`Bad`] where a field is malformed.
pub fn parse_trailers(raw: &[u8], limits: &Limits, head: &mut Head) -> Result<(), Bad> {
    head.clear();
    match fields(raw, 0, limits, head, |_| Ok(Info::default()))? {
        Parsed::Complete(..) => Ok(()),
        Parsed::Partial => Err(Bad { fault: Fault::Chunk, at: raw.len() }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::info::Framing;
    use super::*;
    use portcullis_message::Method;

    const LIMITS: Limits = Limits { max_fields: 101, relaxed: false, any_method_payload: false };

    fn request(raw: &str) -> Result<(usize, Info, Head), Bad> {
        let mut head = Head::default();
        match parse_request(raw.as_bytes(), &LIMITS, &mut head)? {
            Parsed::Complete(n, info) => Ok((n, info, head)),
            Parsed::Partial => Err(Bad { fault: Fault::Byte, at: usize::MAX }),
        }
    }

    #[test]
    fn a_request_is_taken_apart() {
        let raw = "\r\nPOST /a?b HTTP/1.1\r\nHost: x\r\nX-Y:  z \t\r\nContent-Length: 3\r\n\r\nabc";
        let (n, info, head) = request(raw).unwrap();
        assert_eq!(&raw[n..], "abc");
        assert_eq!(info.framing, Framing::Length(3));
        assert!(info.keep_alive);
        assert_eq!((head.method(), head.target()), (&b"POST"[..], &b"/a?b"[..]));
        let fields: Vec<_> = head.fields().map(|f| (f.name.to_vec(), f.value.to_vec())).collect();
        assert_eq!(fields[1], (b"x-y".to_vec(), b"z".to_vec()));
    }

    #[test]
    fn every_prefix_is_partial_or_says_the_same() {
        let raw = "GET /a HTTP/1.1\r\nHost: x\r\nA: b\r\n folded\r\n\r\n";
        for n in 0..raw.len() {
            let mut head = Head::default();
            assert_eq!(parse_request(&raw.as_bytes()[..n], &LIMITS, &mut head), Ok(Parsed::Partial), "{n}");
        }
        let (n, _, head) = request(raw).unwrap();
        assert_eq!(n, raw.len());
        assert_eq!(head.named(b"a").next(), Some(&b"b   folded"[..]));
    }

    #[test]
    fn malformed_requests() {
        use Fault::*;
        let with = |fields: &str| format!("POST / HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
        for (raw, fault) in [
            ("G@T / HTTP/1.1\r\n\r\n".into(), Method),
            (" GET / HTTP/1.1\r\n\r\n".into(), Method),
            ("GET  / HTTP/1.1\r\n\r\n".into(), Target),
            ("GET / HTTP/1.1 \r\n\r\n".into(), Version),
            ("GET / HTTP/2.0\r\n\r\n".into(), Version),
            ("GET /\r\n\r\n".into(), Target),
            ("GET x HTTP/1.1\r\n\r\n".into(), Target),
            ("GET /\u{e9} HTTP/1.1\r\n\r\n".into(), Target),
            ("GET /\rHTTP/1.1\r\n\r\n".into(), Byte),
            (with("A : b\r\n"), Name),
            (with(": b\r\n"), Name),
            (with("A\r\n"), Name),
            (with("A: b\0\r\n"), Value),
            (with("A: b\rc\r\n"), Byte),
            (with("Content-Length: 1\r\nContent-Length: 2\r\n"), Length),
            (with("Content-Length: 1, 2\r\n"), Length),
            (with("Content-Length: +1\r\n"), Length),
            (with("Content-Length: 1 1\r\n"), Length),
            (with("Content-Length:\r\n"), Length),
            (with("Content-Length: 99999999999999999999\r\n"), Length),
            (with("Transfer-Encoding: chunked, gzip\r\n"), TransferEncoding),
            (with("Transfer-Encoding: chunked, chunked\r\n"), TransferEncoding),
            (with("Transfer-Encoding: xchunked\r\n"), TransferEncoding),
            (with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), TransferEncoding),
            ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".into(), TransferEncoding),
            (with("Host: y\r\n"), Host),
            ("GET http://y/ HTTP/1.1\r\nHost: x\r\n\r\n".into(), Host),
            ("CONNECT / HTTP/1.1\r\n\r\n".into(), Target),
            ("CONNECT a HTTP/1.1\r\n\r\n".into(), Target),
        ] {
            let got = request(&raw);
            assert!(matches!(&got, Err(b) if b.fault == fault && b.at != usize::MAX), "{raw:?}: {got:?}");
        }
        let many: String = (0..102).map(|i| format!("A{i}: b\r\n")).collect();
        assert!(matches!(request(&with(&many)), Err(Bad { fault: TooManyFields, .. })));
    }

    #[test]
    fn framing_of_requests() {
        for (fields, framing, insecure) in [
            ("", Framing::None, false),
            ("Content-Length: 0\r\n", Framing::None, false),
            ("Content-Length: 7\r\nContent-Length: 7\r\n", Framing::Length(7), false),
            ("Content-Length: 7, 7\r\n", Framing::Length(7), false),
            ("Transfer-Encoding: chunked\r\n", Framing::Chunked, false),
            ("Transfer-Encoding: gzip, Chunked\r\n", Framing::Chunked, false),
            ("Transfer-Encoding: chunked\r\nContent-Length: 7\r\n", Framing::Chunked, true),
        ] {
            let (_, info, head) = request(&format!("POST / HTTP/1.1\r\nHost: x\r\n{fields}\r\n")).unwrap();
            assert_eq!((info.framing, info.insecure), (framing, insecure), "{fields}");
            assert!(head.all(portcullis_message::HeaderId::ContentLength).count() <= 1);
        }
    }

    #[test]
    fn framing_of_responses() {
        for (status, fields, method, framing) in [
            (200, "Content-Length: 5\r\n", Method::Get, Framing::Length(5)),
            (200, "Content-Length: 5\r\n", Method::Head, Framing::None),
            (200, "", Method::Get, Framing::UntilClose),
            (200, "Transfer-Encoding: chunked\r\n", Method::Get, Framing::Chunked),
            (204, "Content-Length: 5\r\n", Method::Get, Framing::None),
            (304, "Content-Length: 5\r\n", Method::Get, Framing::None),
            (100, "", Method::Get, Framing::None),
            (101, "", Method::Get, Framing::Tunnel),
            (200, "", Method::Connect, Framing::Tunnel),
            (407, "Content-Length: 0\r\n", Method::Connect, Framing::None),
        ] {
            let raw = format!("HTTP/1.1 {status} x y\r\n{fields}\r\n");
            let mut head = Head::default();
            let got = parse_response(raw.as_bytes(), &LIMITS, &mut head, method);
            assert!(matches!(got, Ok(Parsed::Complete(_, i)) if i.framing == framing), "{raw}: {got:?}");
            assert_eq!(head.reason(), b"x y");
        }
        let mut head = Head::default();
        for bad in [
            "HTP/1.1 200\r\n\r\n",
            "HTTP/1.1 20 x\r\n\r\n",
            "HTTP/1.1 2000 x\r\n\r\n",
            "HTTP/1.1x200 x\r\n\r\n",
            "X",
        ] {
            assert!(parse_response(bad.as_bytes(), &LIMITS, &mut head, Method::Get).is_err(), "{bad}");
        }
    }
}
