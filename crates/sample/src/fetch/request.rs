//! More of HTTP messages: hashes of the target, captures, parameters of bodies, headers in binary.

use super::http::{based, joined, path};
use crate::args::{ArgKind, Args};
use crate::convert::{avalanche, sdbm};
use crate::facts::Captured;
use crate::place::{CLIENT_CONNECTION, CONSTANT, INTERNAL, REQUEST, REQUEST_LINE, RESPONSE, RESPONSE_LINE};
use crate::row::{Cursor, Fetch, SampleRows};
use crate::scope::{Message, Scope};
use crate::value::{Sample, Type, Value};
use portcullis_message::{Head, HeaderId, uri, values};
use std::borrow::Cow;

macro_rules! head {
    ($m:expr) => {
        match $m.read() {
            Message::Here(h) => h,
            Message::Pending => return Sample::NotYet,
            _ => return Sample::Missing,
        }
    };
}

fn hash_of_base(h: &Head) -> u32 {
    let base = based(h, path(h)).there();
    avalanche(sdbm(base.as_ref().and_then(Value::bytes).unwrap_or(&[])))
}
fn hash_of_url(h: &Head) -> u32 {
    let base = joined(h.first(HeaderId::Host).map(values::trim), uri::pathq(h.target())).there();
    avalanche(sdbm(base.as_ref().and_then(Value::bytes).unwrap_or(&[])))
}
fn with_source<'s>(hash: u32, s: &Scope<'s>) -> Sample<'s> {
    let mut out = hash.to_be_bytes().to_vec();
    let source = s.facts.source().map(|a| Value::ip(a.ip()));
    match source.and_then(|v| v.cast(Type::Bin)) {
        Some(Value::Bin(b)) => out.extend_from_slice(&b),
        _ => return Sample::Missing,
    }
    Value::Bin(Cow::Owned(out)).into()
}

/// A length as SPOE writes it.
fn varint(out: &mut Vec<u8>, mut n: usize) {
    if n < 240 {
        return out.push(n as u8);
    }
    out.push(n as u8 | 240);
    n = (n - 240) >> 4;
    while n >= 128 {
        out.push(n as u8 | 128);
        n = (n - 128) >> 7;
    }
    out.push(n as u8);
}

fn binary<'s>(m: Message<'s>) -> Sample<'s> {
    let head = head!(m);
    let mut out = Vec::with_capacity(head.size());
    for f in head.fields() {
        for part in [f.name, f.value] {
            varint(&mut out, part.len());
            out.extend_from_slice(part);
        }
    }
    out.extend_from_slice(&[0, 0]);
    Value::Bin(Cow::Owned(out)).into()
}

/// A parameter of a body in form encoding.
fn body_parameter<'s>(a: &'s Args, s: &Scope<'s>, cursor: &mut Cursor) -> Sample<'s> {
    if super::bytes::is_to_come(s) {
        return Sample::NotYet;
    }
    let Some(body) = super::bytes::body(s) else { return Sample::Missing };
    let (name, fold) = (a.text(0), a.text(1) == b"i");
    let mut hits = body.bytes.split(|b| matches!(b, b'&' | b';')).filter_map(|pair| {
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
    value.map(Value::bin).into()
}

fn captured(list: &Captured, a: &Args) -> Sample<'static> {
    let index = a.int(0).and_then(|n| usize::try_from(n).ok());
    index.and_then(|i| list.get(i)).map(|b| Value::Str(Cow::Owned(b.into_vec()))).into()
}

/// The request line as received, or as it is while it has not been noted yet.
fn line<'s>(s: &Scope<'s>, part: usize) -> Option<&'s [u8]> {
    match (s.request_line(), s.request) {
        ([b"", ..], Message::Here(h)) => match part {
            0 => Some(h.method()),
            1 => Some(h.target()),
            _ => Some(if h.version.minor == 0 { b"HTTP/1.0" } else { b"HTTP/1.1" }),
        },
        (l, _) => l.get(part).copied().filter(|p| !p.is_empty()),
    }
}

fn version_of(id: i64, random: (u64, u64), wall: std::time::Duration) -> String {
    let (mut high, mut low) = random;
    if id == 7 {
        high = (wall.as_millis() as u64) << 16 | high & 0xFFFF;
    }
    high = high & !0xF000 | (id as u64) << 12;
    low = low & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xFFFF,
        high & 0xFFFF,
        low >> 48,
        low & 0xFFFF_FFFF_FFFF
    )
}

fn uuid<'s>(a: &'s Args, s: &Scope<'s>, _: &mut Cursor) -> Sample<'s> {
    let text = version_of(a.int(0).unwrap_or(4), (s.random.next(), s.random.next()), s.wall);
    Value::Str(Cow::Owned(text.into_bytes())).into()
}

fn check_uuid(args: &mut Args) -> Result<(), String> {
    match args.int(0) {
        None | Some(4 | 7) => Ok(()),
        Some(n) => Err(format!("Unsupported UUID version: '{n}'")),
    }
}

const INDEX: &[ArgKind] = &[ArgKind::Int];

/// Rows.
pub const ROWS: SampleRows = SampleRows {
    fetches: &[
        Fetch::new("base32", Type::Int, REQUEST, "Hash of `base`.", |_, s, _| {
            Value::Int(hash_of_base(head!(s.request)).into()).into()
        }),
        Fetch::new("base32+src", Type::Bin, REQUEST, "`base32`, and the client's address.", |_, s, _| {
            with_source(hash_of_base(head!(s.request)), s)
        }),
        Fetch::new("url32", Type::Int, REQUEST, "Hash of host and target.", |_, s, _| {
            Value::Int(hash_of_url(head!(s.request)).into()).into()
        }),
        Fetch::new("url32+src", Type::Bin, REQUEST, "`url32`, and the client's address.", |_, s, _| {
            with_source(hash_of_url(head!(s.request)), s)
        }),
        Fetch::new("req.hdrs_bin", Type::Bin, REQUEST, "All headers in binary form.", |_, s, _| {
            binary(s.request)
        }),
        Fetch::new("res.hdrs_bin", Type::Bin, RESPONSE, "All headers in binary form.", |_, s, _| {
            binary(s.response)
        }),
        Fetch::new("req.body_param", Type::Bin, REQUEST, "A parameter of the body.", body_parameter)
            .with(0, &[ArgKind::Str, ArgKind::Str])
            .impure(),
        Fetch::new("res.body_size", Type::Int, RESPONSE, "Announced length of the body.", |_, s, _| {
            let head = head!(s.response);
            let announced = head.first(HeaderId::ContentLength).map(crate::value::leading_int);
            announced.or(s.response_bytes.map(|p| p.bytes.len() as i64)).map(Value::Int).into()
        })
        .impure(),
        Fetch::new("capture.req.hdr", Type::Str, REQUEST_LINE, "A captured header.", |a, s, _| {
            captured(&s.facts.request_captures, a)
        })
        .with(1, INDEX)
        .impure(),
        Fetch::new("capture.res.hdr", Type::Str, RESPONSE_LINE, "A captured header.", |a, s, _| {
            captured(&s.facts.response_captures, a)
        })
        .with(1, INDEX)
        .impure(),
        Fetch::new("capture.req.method", Type::Str, REQUEST_LINE, "The method as received.", |_, s, _| {
            line(s, 0).map(Value::str).into()
        }),
        Fetch::new("capture.req.uri", Type::Str, REQUEST_LINE, "The target as received.", |_, s, _| {
            line(s, 1).map(uri::pathq).filter(|p| !p.is_empty()).map(Value::str).into()
        }),
        Fetch::new("capture.req.ver", Type::Str, REQUEST_LINE, "The version as received.", |_, s, _| {
            line(s, 2).map(Value::str).into()
        }),
        Fetch::new("capture.res.ver", Type::Str, REQUEST_LINE, "Version of the response.", |_, s, _| {
            let h = head!(s.response);
            Value::str(match (h.version.major, h.version.minor) {
                (2, _) => b"HTTP/2.0",
                (3, _) => b"HTTP/3.0",
                (_, 0) => b"HTTP/1.0",
                _ => b"HTTP/1.1",
            })
            .into()
        }),
        Fetch::new("unique-id", Type::Str, CONSTANT, "The stream's unique id.", |_, s, _| {
            s.unique_id().map(Value::str).into()
        })
        .impure(),
        Fetch::new("uuid", Type::Str, CONSTANT, "A UUID of version 4 or 7.", uuid)
            .with(0, INDEX)
            .checked(check_uuid)
            .impure(),
        Fetch::new("server_status", Type::Int, RESPONSE_LINE, "Status that the server gave.", |_, s, _| {
            head!(s.response);
            Value::Int(s.facts.server_link.status.into()).into()
        }),
        Fetch::new("stopping", Type::Bool, INTERNAL, "Is the process stopping?", |_, _, _| {
            Value::Bool(crate::facts::stopping()).into()
        })
        .impure(),
        Fetch::new("quic_enabled", Type::Bool, CONSTANT, "Is QUIC there?", |_, _, _| Sample::Missing),
        Fetch::new("fc_rcvd_proxy", Type::Bool, CLIENT_CONNECTION, "Did a PROXY header come?", |_, s, _| {
            Value::Bool(s.facts.proxied).into()
        }),
        Fetch::new("req.timer.tq", Type::Int, REQUEST, "Th + Ti + TR, in ms.", |_, s, _| {
            let t = &s.facts.timers;
            let known = t.request >= 0 && t.idle >= 0;
            let sum = i64::from(t.handshake) + i64::from(t.idle) + i64::from(t.request);
            Value::Int(if known { sum } else { -1 }).into()
        }),
    ],
    converters: &[],
    acls: &[],
};
