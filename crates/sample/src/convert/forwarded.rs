//! The `Forwarded` header (RFC 7239).

use super::bytes;
use crate::args::{ArgKind, Args};
use crate::row::Convert;
use crate::value::{Bytes, Sample, Type, Value, parse_ip};
use portcullis_message::field::is_token;
use std::borrow::Cow;
use std::net::IpAddr;

/// A node's name and port: RFC 7239 section 6.
struct Node<'a> {
    name: &'a [u8],
    port: Option<&'a [u8]>,
}

fn obfuscated(b: &[u8]) -> bool {
    b.len() > 1
        && b.first() == Some(&b'_')
        && b.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-'))
}

fn port(b: &[u8]) -> bool {
    obfuscated(b)
        || (1..=5).contains(&b.len())
            && b.iter().all(u8::is_ascii_digit)
            && crate::value::leading_int(b) <= 65535
}

/// `quoted`: IPv6 addresses and ports may stand there.
fn node(b: &[u8], quoted: bool) -> Option<Node<'_>> {
    let (name, rest) = if b.first() == Some(&b'[') {
        if !quoted {
            return None;
        }
        let end = b.iter().position(|c| *c == b']')?;
        let inside = b.get(1..end)?;
        parse_ip(inside).filter(IpAddr::is_ipv6)?;
        (inside, b.get(end + 1..)?)
    } else {
        let end = b.iter().position(|c| *c == b':').unwrap_or(b.len());
        let name = b.get(..end)?;
        if !(name == b"unknown" || obfuscated(name) || parse_ip(name).is_some_and(|a| a.is_ipv4())) {
            return None;
        }
        (name, b.get(end..)?)
    };
    let port_text = match rest.split_first() {
        None => None,
        Some((b':', p)) if quoted && port(p) => Some(p),
        _ => return None,
    };
    Some(Node { name, port: port_text })
}

fn host(b: &[u8], quoted: bool) -> bool {
    if b.is_empty() {
        return quoted;
    }
    let (name, rest) = if b.first() == Some(&b'[') {
        let Some(end) = b.iter().position(|c| *c == b']') else { return false };
        if !quoted || b.get(1..end).and_then(parse_ip).is_none_or(|a| a.is_ipv4()) {
            return false;
        }
        (b.get(1..end).unwrap_or(&[]), b.get(end + 1..).unwrap_or(&[]))
    } else {
        let end = b.iter().position(|c| *c == b':').unwrap_or(b.len());
        let name = b.get(..end).unwrap_or(&[]);
        if !name.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-')) {
            return false;
        }
        (name, b.get(end..).unwrap_or(&[]))
    };
    let port_ok = match rest.split_first() {
        None => true,
        Some((b':', p)) => quoted && (1..=5).contains(&p.len()) && p.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    !name.is_empty() && port_ok
}

/// Name, value (without quotes) and whether it was quoted, of each parameter; `None` where the header is not valid.
fn parameters(b: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut all: Vec<(&[u8], &[u8])> = Vec::new();
    let mut rest = b;
    loop {
        let eq = rest.iter().position(|c| *c == b'=')?;
        let (name, after) = (rest.get(..eq)?, rest.get(eq + 1..)?);
        let (value, quoted, after) = match after.strip_prefix(b"\"") {
            Some(inside) => {
                let end = inside.iter().position(|c| *c == b'"')?;
                (inside.get(..end)?, true, inside.get(end + 1..)?)
            }
            None => {
                let end = after.iter().position(|c| !is_token(*c)).unwrap_or(after.len());
                (after.get(..end)?, false, after.get(end..)?)
            }
        };
        let known = [&b"for"[..], b"by", b"host", b"proto"];
        let name = known.iter().find(|k| **k == name)?;
        let right = match *name {
            b"proto" => value == b"http" || value == b"https",
            b"host" => host(value, quoted),
            _ => node(value, quoted).is_some(),
        };
        if !right || all.iter().any(|(n, _)| n == name) {
            return None;
        }
        all.push((name, value));
        match after.split_first() {
            None => return Some(all),
            Some((b';', more)) => rest = more,
            _ => return None,
        }
    }
}

fn field<'s>(a: &Args, v: Value<'s>) -> Sample<'s> {
    let Some(b) = bytes(v) else { return Sample::Missing };
    let Some(found) = parameters(&b)
        .and_then(|all| all.into_iter().find(|(n, _)| *n == a.text(0)))
        .map(|(_, value)| value.to_vec())
    else {
        return Sample::Missing;
    };
    Value::Str(Cow::Owned(found)).into()
}

fn node_name<'s>(v: Value<'s>) -> Sample<'s> {
    let Some(b) = bytes(v) else { return Sample::Missing };
    let Some(n) = node(&b, true) else { return Sample::Missing };
    match parse_ip(n.name) {
        Some(ip) => Value::ip(ip).into(),
        None => Value::Str(Cow::Owned(n.name.to_vec())).into(),
    }
}

fn node_port<'s>(v: Value<'s>) -> Sample<'s> {
    let Some(b) = bytes(v) else { return Sample::Missing };
    let Some(p) = node(&b, true).and_then(|n| n.port) else { return Sample::Missing };
    if p.first() == Some(&b'_') {
        return Value::Str(Cow::Owned(p.to_vec())).into();
    }
    Value::Int(crate::value::leading_int(p)).into()
}

/// `_` before text of the allowed characters.
fn obfuscate<'s>(b: Bytes<'s>) -> Sample<'s> {
    let out = [b"_", &b[..]].concat();
    if obfuscated(&out) { Value::Str(Cow::Owned(out)).into() } else { Sample::Missing }
}

fn to_name<'s>(v: Value<'s>) -> Sample<'s> {
    match v {
        Value::V4(a) => Value::Str(Cow::Owned(a.to_string().into_bytes())).into(),
        Value::V6(a) => Value::Str(Cow::Owned(format!("[{a}]").into_bytes())).into(),
        Value::Str(b) | Value::Bin(b) if b.is_empty() => Value::str(b"unknown").into(),
        other => other.cast(Type::Str).and_then(bytes).map_or(Sample::Missing, obfuscate),
    }
}

fn to_port<'s>(v: Value<'s>) -> Sample<'s> {
    match v {
        Value::Int(n) => Value::Str(Cow::Owned((n as u32).to_string().into_bytes())).into(),
        other => other.cast(Type::Str).and_then(bytes).map_or(Sample::Missing, obfuscate),
    }
}

/// Rows.
pub const ROWS: &[Convert] = &[
    Convert::new("rfc7239_is_valid", Type::Str, Type::Bool, "Is it a valid Forwarded header?", |_, v, _| {
        bytes(v).map(|b| Value::Bool(parameters(&b).is_some())).into()
    }),
    Convert::new("rfc7239_field", Type::Str, Type::Str, "A field of a Forwarded header.", |a, v, _| {
        field(a, v)
    })
    .with(1, &[ArgKind::Str]),
    Convert::new("rfc7239_n2nn", Type::Str, Type::Any, "Name of a node.", |_, v, _| node_name(v)),
    Convert::new("rfc7239_n2np", Type::Str, Type::Any, "Port of a node.", |_, v, _| node_port(v)),
    Convert::new("rfc7239_nn", Type::Any, Type::Str, "As name of a node.", |_, v, _| to_name(v)),
    Convert::new("rfc7239_np", Type::Any, Type::Str, "As port of a node.", |_, v, _| to_port(v)),
];
