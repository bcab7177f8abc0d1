//! Samples of HTTP messages (manual section 7.3.6).

use crate::args::{Arg, ArgKind, Args};
use crate::place::{CLIENT_CONNECTION, EITHER, Needs, REQUEST, REQUEST_LINE, RESPONSE, RESPONSE_LINE};
use crate::row::{Cursor, Fetch, SampleRows};
use crate::scope::{Direction, Message, Scope};
use crate::value::{Bytes, Sample, Type, Value, parse_ip, short_int};
use portcullis_message::{Head, HeaderId, Method, uri, values};
use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};

/// The head, or what to answer without it.
macro_rules! head {
    ($m:expr) => {
        match $m.read() {
            Message::Here(h) => h,
            Message::Pending => return Sample::NotYet,
            _ => return Sample::Missing,
        }
    };
}

fn either<'s>(s: &Scope<'s>) -> Message<'s> {
    match s.direction {
        Direction::Request => s.request,
        Direction::Response => s.response,
    }
}

/// A header's name, prepared: most are compared by id alone.
struct Name {
    id: HeaderId,
    text: Box<[u8]>,
}

fn check_header(args: &mut Args) -> Result<(), String> {
    if args.int(1).is_some_and(|n| n < -10) {
        return Err("header occurrence must be >= -10".into());
    }
    if let Some(first @ Arg::Str(_)) = args.0.first_mut()
        && let Arg::Str(text) = std::mem::replace(first, Arg::Int(0))
    {
        let id = HeaderId::of(&text);
        *first = Arg::Made(std::sync::Arc::new(Name { id, text }));
    }
    Ok(())
}

#[inline]
fn is(head: &Head, index: usize, name: Option<&Name>) -> Option<bool> {
    let f = head.field(index)?;
    Some(match name {
        None => true,
        Some(n) if n.text.is_empty() => true,
        Some(n) if n.id != HeaderId::Other => f.id == n.id,
        Some(n) => f.id == HeaderId::Other && f.name.eq_ignore_ascii_case(&n.text),
    })
}

/// Values of the named header; with `split`, their elements between commas.
fn all<'s>(head: &'s Head, name: Option<&'s Name>, split: bool) -> impl Iterator<Item = &'s [u8]> {
    (0..head.len()).filter(move |i| is(head, *i, name) == Some(true)).flat_map(move |i| {
        let value = head.field(i).map_or(&b""[..], |f| f.value);
        Elements { rest: Some(value), split: split && value.contains(&b',') }
    })
}

/// Elements of a value, or the value whole.
struct Elements<'s> {
    rest: Option<&'s [u8]>,
    split: bool,
}

impl<'s> Iterator for Elements<'s> {
    type Item = &'s [u8];
    #[inline]
    fn next(&mut self) -> Option<&'s [u8]> {
        let now = self.rest.take()?;
        if !self.split {
            // a rule may have written blanks around it
            return Some(values::trim(now));
        }
        let end = comma(now);
        self.rest = end.and_then(|i| now.get(i + 1..));
        Some(values::trim(end.and_then(|i| now.get(..i)).unwrap_or(now)))
    }
}

/// The first comma outside quotes.
fn comma(value: &[u8]) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    value.iter().position(|b| {
        if escaped {
            escaped = false;
        } else if quoted && *b == b'\\' {
            escaped = true;
        } else if *b == b'"' {
            quoted = !quoted;
        }
        *b == b',' && !quoted
    })
}

/// The value that cursor and occurrence ask for.
fn header<'s>(m: Message<'s>, args: &'s Args, cursor: &mut Cursor, split: bool) -> Sample<'s> {
    let head = head!(m);
    if args.0.is_empty() {
        // not even parentheses
        return Sample::Missing;
    }
    let name = args.made::<Name>(0);
    let value = match args.int(1).unwrap_or(0) {
        0 if cursor.all => return each(head, name, cursor, split),
        0 => all(head, name, split).last(),
        n if n > 0 => all(head, name, split).nth(usize::try_from(n - 1).unwrap_or(usize::MAX)),
        n => {
            let back = usize::try_from(n.unsigned_abs()).unwrap_or(usize::MAX);
            let count = all(head, name, split).count();
            count.checked_sub(back).and_then(|i| all(head, name, split).nth(i))
        }
    };
    value.map(Value::str).into()
}

/// The cursor's value; `index` is the field, `offset` where in its value the next element begins.
#[inline]
fn each<'s>(head: &'s Head, name: Option<&'s Name>, cursor: &mut Cursor, split: bool) -> Sample<'s> {
    let mut i = cursor.index as usize;
    loop {
        match is(head, i, name) {
            None => {
                cursor.more = false;
                return Sample::Missing;
            }
            Some(true) => break,
            Some(false) => i += 1,
        }
    }
    let whole = head.field(i).map_or(&b""[..], |f| f.value);
    let rest = whole.get(cursor.offset as usize..).unwrap_or(&[]);
    let end = if split { comma(rest) } else { None };
    cursor.more = true;
    let value = match end {
        Some(e) => {
            cursor.index = i as u32;
            cursor.offset += e as u32 + 1;
            values::trim(rest.get(..e).unwrap_or(rest))
        }
        None => {
            cursor.index = i as u32 + 1;
            cursor.offset = 0;
            values::trim(rest)
        }
    };
    Value::str(value).into()
}

fn counted(m: Message<'_>, args: &Args, split: bool) -> Sample<'static> {
    let head = head!(m);
    Value::Int(all(head, args.made::<Name>(0), split).count() as i64).into()
}

/// `hdr_val`: as an integer.
fn number<'s>(m: Message<'s>, args: &'s Args, cursor: &mut Cursor) -> Sample<'s> {
    match header(m, args, cursor, true) {
        Sample::There(v) => Value::Int(v.bytes().map_or(0, short_int)).into(),
        other => other,
    }
}

/// `hdr_ip`: as an address, with or without port; others are passed over.
fn address<'s>(m: Message<'s>, args: &'s Args, cursor: &mut Cursor) -> Sample<'s> {
    loop {
        match header(m, args, cursor, true) {
            Sample::There(v) => {
                if let Some(ip) = v.bytes().and_then(with_port) {
                    return Value::ip(ip).into();
                }
            }
            other => return other,
        }
        if !cursor.more {
            return Sample::Missing;
        }
    }
}

/// An IPv4 address whose numbers may begin with zeros, which are decimal nevertheless.
fn padded_v4(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let mut octets = [0; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next().filter(|p| p.bytes().all(|b| b.is_ascii_digit()))?;
        *octet = part.parse().ok()?;
    }
    parts.next().is_none().then_some(octets.into())
}

fn with_port(text: &[u8]) -> Option<IpAddr> {
    parse_ip(text).or_else(|| padded_v4(text)).or_else(|| {
        if let Some(inside) = text.strip_prefix(b"[").and_then(|t| t.strip_suffix(b"]")) {
            return parse_ip(inside).filter(IpAddr::is_ipv6);
        }
        let colon = text.iter().position(|b| *b == b':')?;
        let port = text.get(colon + 1..)?;
        let port = if port.iter().all(u8::is_ascii_digit) { std::str::from_utf8(port).ok()? } else { "" };
        port.parse::<u16>().is_ok().then(|| parse_ip(text.get(..colon)?)).flatten()
    })
}

/// The first host that Host names in front of something.
pub(super) fn based<'s>(head: &'s Head, rest: &'s [u8]) -> Sample<'s> {
    joined(head.first(HeaderId::Host).and_then(|h| values::elements(h).next()), rest)
}

/// A host in front of something.
pub(super) fn joined<'s>(host: Option<&'s [u8]>, rest: &'s [u8]) -> Sample<'s> {
    let host = host.unwrap_or(b"");
    if host.is_empty() {
        return Value::str(rest).into();
    }
    Value::Str(Cow::Owned([host, rest].concat())).into()
}

pub(super) fn path(h: &Head) -> &[u8] {
    uri::path(h.target())
}

fn method<'s>(_: &'s Args, s: &Scope<'s>, _: &mut Cursor) -> Sample<'s> {
    match (s.request.read(), s.request_line()[0]) {
        // what `set-method` says is not seen, unless the method is one that nobody knows
        (_, m) if !m.is_empty() && Method::of(m) != Method::Other => Value::Method(m.into()).into(),
        (Message::Here(h), _) => Value::Method(h.method().into()).into(),
        (_, m) if !m.is_empty() => Value::Method(m.into()).into(),
        (Message::Pending, _) => Sample::NotYet,
        _ => Sample::Missing,
    }
}

fn version(v: portcullis_message::Version) -> Sample<'static> {
    Value::str(match (v.major, v.minor) {
        (1, 1) => b"1.1",
        (1, 0) => b"1.0",
        (0, 9) => b"0.9",
        (2, _) => b"2.0",
        (3, _) => b"3.0",
        (major, minor) => return Value::Str(Cow::Owned(format!("{major}.{minor}").into_bytes())).into(),
    })
    .into()
}

fn request_version<'s>(_: &'s Args, s: &Scope<'s>, _: &mut Cursor) -> Sample<'s> {
    match (s.request.read(), s.request_line()[2]) {
        (Message::Here(h), _) => version(h.version),
        (_, v) if v.len() > 5 => Value::str(v.get(5..).unwrap_or(v)).into(),
        (Message::Pending, _) => Sample::NotYet,
        _ => Sample::Missing,
    }
}

fn status<'s>(_: &'s Args, s: &Scope<'s>, _: &mut Cursor) -> Sample<'s> {
    match s.response {
        Message::Here(h) => Value::Int(i64::from(h.status)).into(),
        _ if s.facts.status > 0 && s.facts.stream => Value::Int(i64::from(s.facts.status)).into(),
        Message::Pending => Sample::NotYet,
        _ => Sample::Missing,
    }
}

fn is_http<'s>(_: &'s Args, s: &Scope<'s>, _: &mut Cursor) -> Sample<'s> {
    head!(s.request);
    // once it is answered there is none
    (s.direction == Direction::Request).then_some(Value::Bool(true)).into()
}

fn query<'s>(args: &'s Args, s: &Scope<'s>, _: &mut Cursor) -> Sample<'s> {
    let target = head!(s.request).target();
    let Some(i) = target.iter().position(|b| *b == b'?') else { return Sample::Missing };
    let query = target.get(i + 1..).unwrap_or(&[]);
    if args.text(0).is_empty() || query.is_empty() {
        return Value::str(query).into();
    }
    target.get(i..).map(Value::str).into()
}

fn check_query(args: &mut Args) -> Result<(), String> {
    match args.text(0) {
        b"" | b"with_qm" => Ok(()),
        _ => Err("supported options are: 'with_qm'".into()),
    }
}

/// Address and port in an absolute target whose host is an IPv4 address.
fn target_address(h: &Head) -> Option<(Ipv4Addr, i64)> {
    let a = uri::authority(h.target())?;
    let end = a.iter().position(|b| *b == b':').unwrap_or(a.len());
    let Some(IpAddr::V4(address)) = parse_ip(a.get(..end)?) else { return None };
    let port = a.get(end + 1..).filter(|p| !p.is_empty()).map(short_int);
    let usual = if uri::scheme(h.target()) == Some(b"https") { 443 } else { 80 };
    Some((address, port.unwrap_or(usual)))
}

/// All headers as on the wire of HTTP/1, with the empty line.
fn lines<'s>(head: &Head) -> Bytes<'s> {
    let mut out = Vec::with_capacity(head.size());
    for f in head.fields() {
        out.extend_from_slice(f.name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(f.value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    Cow::Owned(out)
}

/// Names of all headers, with a delimiter between.
fn names<'s>(head: &Head, delimiter: &[u8]) -> Bytes<'s> {
    let mut out = Vec::new();
    for (i, f) in head.fields().enumerate() {
        if i > 0 {
            out.extend_from_slice(if delimiter.is_empty() { b"," } else { delimiter });
        }
        out.extend_from_slice(f.name);
    }
    Cow::Owned(out)
}

/// `url_param(name,delimiter)`: a parameter of the query string; the first one for an empty name.
fn parameter<'s>(args: &'s Args, s: &Scope<'s>, cursor: &mut Cursor) -> Sample<'s> {
    let target = head!(s.request).target();
    let delimiter = args.text(1).first().copied().unwrap_or(b'?');
    let Some(i) = target.iter().position(|b| *b == delimiter) else { return Sample::Missing };
    let (name, fold) = (args.text(0), args.text(2) == b"i");
    let mut hits = target
        .get(i + 1..)
        .unwrap_or(&[])
        .split(move |b| *b == delimiter || *b == b'&' || delimiter == b'?' && *b == b';')
        .filter_map(|pair| {
            let eq = pair.iter().position(|b| *b == b'=')?;
            let n = pair.get(..eq)?;
            let same = if fold { n.eq_ignore_ascii_case(name) } else { n == name };
            (name.is_empty() || same).then(|| pair.get(eq + 1..)).flatten()
        });
    let value = hits.nth(cursor.index as usize);
    if cursor.all {
        cursor.index += 1;
        cursor.more = value.is_some();
    }
    value.map(Value::str).into()
}

fn check_parameter(args: &mut Args) -> Result<(), String> {
    match args.text(2) {
        b"" | b"i" => Ok(()),
        _ => Err("'i' is the only supported option".into()),
    }
}

const NAME: &[ArgKind] = &[ArgKind::Str];
const NAME_AT: &[ArgKind] = &[ArgKind::Str, ArgKind::Int];
const NAME_TWO: &[ArgKind] = &[ArgKind::Str, ArgKind::Str, ArgKind::Str];

const fn headers(
    name: &'static str,
    output: Type,
    needs: Needs,
    help: &'static str,
    eval: crate::row::FetchFn,
) -> Fetch {
    Fetch::new(name, output, needs, help, eval).with(0, NAME_AT).checked(check_header)
}
const fn count(name: &'static str, needs: Needs, eval: crate::row::FetchFn) -> Fetch {
    Fetch::new(name, Type::Int, needs, "How many values the header has.", eval)
        .with(0, NAME)
        .checked(check_header)
}

const VALUE: &str = "A value of a header, of those between commas.";
const FULL: &str = "A header's whole value.";
const NUMBER: &str = "A value of a header as an integer.";
const ADDRESS: &str = "A value of a header as an address.";

/// Rows.
pub const ROWS: SampleRows = SampleRows {
    fetches: &[
        Fetch::new("method", Type::Method, REQUEST_LINE, "Method of the request.", method),
        Fetch::new("path", Type::Str, REQUEST, "Path of the request.", |_, s, _| {
            let p = path(head!(s.request));
            if p.is_empty() { Sample::Missing } else { Value::str(p).into() }
        }),
        Fetch::new("pathq", Type::Str, REQUEST, "Path of the request with its query string.", |_, s, _| {
            let p = uri::pathq(head!(s.request).target());
            if p.is_empty() { Sample::Missing } else { Value::str(p).into() }
        }),
        Fetch::new("url", Type::Str, REQUEST, "Target of the request as it is.", |_, s, _| {
            Value::str(head!(s.request).target()).into()
        }),
        Fetch::new("url_ip", Type::V4, REQUEST, "Address in an absolute target.", |_, s, _| {
            target_address(head!(s.request)).map(|(a, _)| Value::V4(a)).into()
        }),
        Fetch::new("url_port", Type::Int, REQUEST, "Port in an absolute target.", |_, s, _| {
            target_address(head!(s.request)).map(|(_, port)| Value::Int(port)).into()
        }),
        Fetch::new("query", Type::Str, REQUEST, "Query string, without the question mark.", query)
            .with(0, NAME)
            .checked(check_query),
        Fetch::new("url_param", Type::Str, REQUEST, "A parameter of the query string.", parameter)
            .with(0, NAME_TWO)
            .checked(check_parameter),
        Fetch::new("urlp", Type::Str, REQUEST, "A parameter of the query string.", parameter)
            .with(0, NAME_TWO)
            .checked(check_parameter),
        Fetch::new(
            "urlp_val",
            Type::Int,
            REQUEST,
            "A parameter of the query string as an integer.",
            |a, s, c| match parameter(a, s, c) {
                Sample::There(v) => Value::Int(v.bytes().map_or(0, short_int)).into(),
                other => other,
            },
        )
        .with(0, NAME_TWO)
        .checked(check_parameter),
        Fetch::new("base", Type::Str, REQUEST, "Host and path.", |_, s, _| {
            let h = head!(s.request);
            based(h, path(h))
        }),
        Fetch::new("baseq", Type::Str, REQUEST, "Host and path with the query string.", |_, s, _| {
            let h = head!(s.request);
            based(h, uri::pathq(h.target()))
        }),
        headers("hdr", Type::Str, EITHER, VALUE, |a, s, c| header(either(s), a, c, true)),
        headers("req.hdr", Type::Str, REQUEST, VALUE, |a, s, c| header(s.request, a, c, true)),
        headers("res.hdr", Type::Str, RESPONSE, VALUE, |a, s, c| header(s.response, a, c, true)),
        headers("shdr", Type::Str, RESPONSE, VALUE, |a, s, c| header(s.response, a, c, true)),
        headers("req.fhdr", Type::Str, REQUEST, FULL, |a, s, c| header(s.request, a, c, false)),
        headers("res.fhdr", Type::Str, RESPONSE, FULL, |a, s, c| header(s.response, a, c, false)),
        headers("hdr_val", Type::Int, REQUEST, NUMBER, |a, s, c| number(s.request, a, c)),
        headers("req.hdr_val", Type::Int, REQUEST, NUMBER, |a, s, c| number(s.request, a, c)),
        headers("res.hdr_val", Type::Int, RESPONSE, NUMBER, |a, s, c| number(s.response, a, c)),
        headers("shdr_val", Type::Int, RESPONSE, NUMBER, |a, s, c| number(s.response, a, c)),
        headers("hdr_ip", Type::Addr, REQUEST, ADDRESS, |a, s, c| address(s.request, a, c)),
        headers("req.hdr_ip", Type::Addr, REQUEST, ADDRESS, |a, s, c| address(s.request, a, c)),
        headers("res.hdr_ip", Type::Addr, RESPONSE, ADDRESS, |a, s, c| address(s.response, a, c)),
        headers("shdr_ip", Type::Addr, RESPONSE, ADDRESS, |a, s, c| address(s.response, a, c)),
        count("hdr_cnt", REQUEST, |a, s, _| counted(s.request, a, true)),
        count("req.hdr_cnt", REQUEST, |a, s, _| counted(s.request, a, true)),
        count("res.hdr_cnt", RESPONSE, |a, s, _| counted(s.response, a, true)),
        count("shdr_cnt", RESPONSE, |a, s, _| counted(s.response, a, true)),
        count("req.fhdr_cnt", REQUEST, |a, s, _| counted(s.request, a, false)),
        count("res.fhdr_cnt", RESPONSE, |a, s, _| counted(s.response, a, false)),
        Fetch::new("req.hdrs", Type::Bin, REQUEST, "All headers, with the empty line.", |_, s, _| {
            Value::Bin(lines(head!(s.request))).into()
        }),
        Fetch::new("res.hdrs", Type::Bin, RESPONSE, "All headers, with the empty line.", |_, s, _| {
            Value::Bin(lines(head!(s.response))).into()
        }),
        Fetch::new("req.hdr_names", Type::Str, REQUEST, "Names of all headers.", |a, s, _| {
            Value::Str(names(head!(s.request), a.text(0))).into()
        })
        .with(0, NAME),
        Fetch::new("res.hdr_names", Type::Str, RESPONSE, "Names of all headers.", |a, s, _| {
            Value::Str(names(head!(s.response), a.text(0))).into()
        })
        .with(0, NAME),
        Fetch::new("status", Type::Int, RESPONSE_LINE, "Status code of the response.", status),
        Fetch::new("txn.status", Type::Int, RESPONSE_LINE, "Status code that the client gets.", |_, s, _| {
            match (s.facts.status, s.response) {
                (n, _) if n > 0 && s.facts.stream => Value::Int(i64::from(n)).into(),
                (_, Message::Here(h)) => Value::Int(i64::from(h.status)).into(),
                _ => Sample::Missing,
            }
        }),
        Fetch::new("req.ver", Type::Str, REQUEST_LINE, "HTTP version of the request.", request_version),
        Fetch::new("req_ver", Type::Str, REQUEST_LINE, "HTTP version of the request.", request_version),
        Fetch::new("res.ver", Type::Str, RESPONSE_LINE, "HTTP version of the response.", |_, s, _| {
            version(head!(s.response).version)
        }),
        Fetch::new("resp_ver", Type::Str, RESPONSE_LINE, "HTTP version of the response.", |_, s, _| {
            version(head!(s.response).version)
        }),
        Fetch::new("req.proto_http", Type::Bool, REQUEST_LINE, "Is the request valid HTTP?", is_http),
        Fetch::new("req_proto_http", Type::Bool, REQUEST_LINE, "Is the request valid HTTP?", is_http),
        Fetch::new(
            "http_first_req",
            Type::Bool,
            REQUEST_LINE,
            "Is it the first request of its connection?",
            |_, s, _| match (s.request, s.request.read()) {
                (_, Message::Pending) => Sample::NotYet,
                // bytes that are no request
                (Message::Bytes(..), Message::None) => Sample::Missing,
                _ => Value::Bool(s.facts.request_number == 1).into(),
            },
        ),
        Fetch::new(
            "fc_http_major",
            Type::Int,
            CLIENT_CONNECTION,
            "Major version of HTTP on the client's connection.",
            |_, s, _| {
                let version = if s.facts.client_link.stream == 0 { 1 } else { 2 };
                s.facts.http.then_some(Value::Int(version)).into()
            },
        ),
    ],
    converters: &[],
    acls: &[],
};
