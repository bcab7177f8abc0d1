//! `option forwarded`: the Forwarded header (RFC 7239).

use super::lang::{Expr, Scope, Value};
use portcullis_message::{Head, HeaderId};
use std::sync::Arc;

/// Where a node's name or a host comes from.
#[derive(Clone, Debug)]
pub enum From {
    /// The connection or the request itself.
    Own,
    /// An expression.
    Expr(Arc<Expr>),
}

/// A node: its name, and its port if that is wanted.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// The name; without one the port is not shown either.
    pub name: Option<From>,
    /// The port.
    pub port: Option<From>,
}

/// `option forwarded`
#[derive(Clone, Debug, Default)]
pub struct Forwarded {
    /// `proto`
    pub proto: bool,
    /// `host`, `host-expr`
    pub host: Option<From>,
    /// `by`, `by_port` …
    pub by: Node,
    /// `for`, `for_port` …
    pub r#for: Node,
}

impl Forwarded {
    /// Without arguments: `proto for`.
    #[must_use]
    pub fn implied() -> Self {
        Self { proto: true, r#for: Node { name: Some(From::Own), port: None }, ..Self::default() }
    }

    /// What the header gets, from this stream.
    #[must_use]
    pub fn value(&self, tls: bool, scope: &Scope<'_>) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        if self.proto {
            out.extend_from_slice(if tls { b"proto=https" } else { b"proto=http" });
        }
        if let Some(host) = &self.host {
            separate(&mut out);
            out.extend_from_slice(b"host=\"");
            match host {
                From::Own => put_host(&mut out, scope.request.head().and_then(|h| h.first(HeaderId::Host))),
                From::Expr(expr) => put_host(&mut out, expr.text(scope).as_deref()),
            }
            out.push(b'"');
        }
        let facts = scope.facts;
        let destination = facts.destination();
        let source = facts.source();
        for (name, node, address) in [("by=", &self.by, destination), ("for=", &self.r#for, source)] {
            let Some(from) = &node.name else { continue };
            separate(&mut out);
            out.extend_from_slice(name.as_bytes());
            let value = match from {
                From::Own => address.map(|a| Value::ip(a.ip())),
                From::Expr(expr) => expr.value(scope),
            };
            let port = node.port.as_ref().and_then(|from| match from {
                From::Own => address.map(|a| Value::Int(i64::from(a.port()))),
                From::Expr(expr) => expr.value(scope),
            });
            put_node(&mut out, value, node.port.is_some(), port);
        }
        out
    }
}

/// Adds the value to the request: to its last Forwarded field if all of them are well-formed, as a new one otherwise.
pub fn add(head: &mut Head, value: &[u8]) {
    let last = head.fields().rposition(|f| f.id == HeaderId::Forwarded);
    let appendable = head.all(HeaderId::Forwarded).all(is_valid);
    match last.filter(|_| appendable).and_then(|i| Some((i, head.field(i)?.value))) {
        Some((index, old)) => {
            let joined = [old, b",", value].concat();
            head.set_value(index, &joined);
        }
        None => head.push(b"forwarded", value),
    }
}

fn separate(out: &mut Vec<u8>) {
    if !out.is_empty() {
        out.push(b';');
    }
}

/// A host with an optional port; what is none is left out.
fn put_host(out: &mut Vec<u8>, host: Option<&[u8]>) {
    if let Some(host) = host.filter(|h| is_host(h)) {
        out.extend_from_slice(host);
    }
}

fn is_host(host: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(host) else { return false };
    let (name, port) = match text.rfind(':') {
        Some(at) if !text.ends_with(']') => (&text[..at], Some(&text[at + 1..])),
        _ => (text, None),
    };
    if port.is_some_and(|p| p.is_empty() || p.parse::<u16>().is_err()) {
        return false;
    }
    match name.strip_prefix('[').and_then(|n| n.strip_suffix(']')) {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_domain(name),
    }
}

/// Labels of letters, digits and inner hyphens.
fn is_domain(name: &str) -> bool {
    name.split('.').all(|label| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    })
}

/// RFC 7239 section 6: an address, "unknown", or an obfuscated identifier; quoted when a port may follow or it is an
/// IPv6 address.
fn put_node(out: &mut Vec<u8>, name: Option<Value<'_>>, with_port: bool, port: Option<Value<'_>>) {
    let mut text = Vec::with_capacity(48);
    let mut quoted = with_port;
    match name {
        Some(Value::V6(a)) => {
            quoted = true;
            text.extend_from_slice(format!("[{a}]").as_bytes());
        }
        Some(value) => match &*value.into_text() {
            plain if is_v4(plain) => text.extend_from_slice(plain),
            bracketed if is_bracketed_v6(bracketed) => {
                quoted = true;
                text.extend_from_slice(bracketed);
            }
            b"unknown" => text.extend_from_slice(b"unknown"),
            other => {
                if !put_obfuscated(&mut text, other) {
                    text.extend_from_slice(b"unknown");
                }
            }
        },
        None => text.extend_from_slice(b"unknown"),
    }
    if let Some(port) = port {
        put_port(&mut text, port);
    }
    if quoted {
        out.push(b'"');
    }
    out.extend_from_slice(&text);
    if quoted {
        out.push(b'"');
    }
}

fn put_port(text: &mut Vec<u8>, port: Value<'_>) {
    let shown = port.into_text();
    let number = std::str::from_utf8(&shown).ok().and_then(|p| p.parse::<u16>().ok()).filter(|p| *p > 0);
    let before = text.len();
    text.push(b':');
    if let Some(number) = number {
        text.extend_from_slice(number.to_string().as_bytes());
    } else if !put_obfuscated(text, &shown) {
        text.truncate(before);
    }
}

/// An obfuscated identifier, its underscore added if missing; false if it can't be one.
fn put_obfuscated(out: &mut Vec<u8>, text: &[u8]) -> bool {
    let body = text.strip_prefix(b"_").unwrap_or(text);
    if body.is_empty() || !body.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
        return false;
    }
    out.push(b'_');
    out.extend_from_slice(body);
    true
}

fn is_v4(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|t| t.parse::<std::net::Ipv4Addr>().is_ok())
}

fn is_bracketed_v6(text: &[u8]) -> bool {
    let inner = text.strip_prefix(b"[").and_then(|t| t.strip_suffix(b"]"));
    inner.and_then(|t| std::str::from_utf8(t).ok()).is_some_and(|t| t.parse::<std::net::Ipv6Addr>().is_ok())
}

/// Is this a Forwarded value whose every parameter is one of RFC 7239's and has a proper value?
#[must_use]
pub fn is_valid(value: &[u8]) -> bool {
    portcullis_message::values::elements(value).all(|element| {
        !element.is_empty() && element.split(|b| *b == b';').all(|pair| is_pair(pair.trim_ascii()))
    })
}

fn is_pair(pair: &[u8]) -> bool {
    let Some(at) = pair.iter().position(|b| *b == b'=') else { return false };
    let (name, raw) = (&pair[..at], &pair[at + 1..]);
    let inner = raw.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\""));
    let value = inner.unwrap_or(raw);
    match name.to_ascii_lowercase().as_slice() {
        b"proto" => value == b"http" || value == b"https",
        b"host" => is_host(value),
        b"by" | b"for" => is_node(value),
        _ => false,
    }
}

fn is_node(value: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(value) else { return false };
    let (name, port) = match text.rfind(':') {
        Some(at) if !text.ends_with(']') => (&text[..at], Some(&text[at + 1..])),
        _ => (text, None),
    };
    let obfuscated =
        |t: &str| t.len() > 1 && t.starts_with('_') && put_obfuscated(&mut Vec::new(), t.as_bytes());
    let port_fits = port.is_none_or(|p| p.parse::<u16>().is_ok() || obfuscated(p));
    port_fits
        && (is_v4(name.as_bytes())
            || is_bracketed_v6(name.as_bytes())
            || name == "unknown"
            || obfuscated(name))
}

/// The address that a Forwarded header is about, for tests.
#[cfg(test)]
pub(crate) fn node(ip: Option<std::net::IpAddr>, port: Option<u16>) -> String {
    let mut out = Vec::new();
    put_node(&mut out, ip.map(Value::ip), port.is_some(), port.map(|p| Value::Int(i64::from(p))));
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from HAProxy 3.5-dev5.
    #[test]
    fn nodes() {
        assert_eq!(node("127.0.0.1".parse().ok(), None), "127.0.0.1");
        assert_eq!(node("127.0.0.1".parse().ok(), Some(80)), "\"127.0.0.1:80\"");
        assert_eq!(node("2001:db8::1".parse().ok(), None), "\"[2001:db8::1]\"");
        assert_eq!(node("2001:db8::1".parse().ok(), Some(80)), "\"[2001:db8::1]:80\"");
        assert_eq!(node(None, None), "unknown");
        for (name, port, expected) in [
            (Some("_hid"), Some("_p.1"), "\"_hid:_p.1\""),
            (Some("::1"), Some("77"), "\"unknown:77\""),
            (Some("a:b"), Some("x y"), "\"unknown\""),
            (Some("unknown"), Some("99999"), "\"unknown:_99999\""),
            (Some("127.0.0.1"), Some("-1"), "\"127.0.0.1:_-1\""),
            (Some("1.2.3.4:80"), None, "unknown"),
            (Some("[::1]"), None, "\"[::1]\""),
            (Some("hid"), None, "_hid"),
            (Some("_hi.d-"), None, "_hi.d-"),
            (Some("127.0.0.1"), Some("0"), "\"127.0.0.1:_0\""),
        ] {
            let mut out = Vec::new();
            let value = |t: &'static str| Value::str(t.as_bytes());
            put_node(&mut out, name.map(value), port.is_some(), port.map(value));
            assert_eq!(String::from_utf8_lossy(&out), expected, "{name:?} {port:?}");
        }
    }

    /// Recorded from HAProxy 3.5-dev5.
    #[test]
    fn hosts() {
        for (host, valid) in [
            ("h.example:81", true),
            ("a", true),
            ("1.2.3.4", true),
            ("[::1]:8080", true),
            ("ex_am-ple.com", false),
            ("ex.com:", false),
            ("ex.com:foo", false),
            ("-.", false),
            ("ex/com", false),
            ("a\"b c", false),
            ("", false),
        ] {
            assert_eq!(is_host(host.as_bytes()), valid, "{host}");
        }
    }

    /// Recorded from HAProxy 3.5-dev5.
    #[test]
    fn appended_or_added() {
        for (before, after) in [
            (&["for=1.2.3.4"][..], &["for=1.2.3.4,N"][..]),
            (&["for=1.2.3.4", "for=2.3.4.5"], &["for=1.2.3.4", "for=2.3.4.5,N"]),
            (&["a=b"], &["a=b", "N"]),
            (&["for=1.2.3.4;x=y"], &["for=1.2.3.4;x=y", "N"]),
            (&["x", "for=1.2.3.4"], &["x", "for=1.2.3.4", "N"]),
            (&["for=1.2.3.4", "x"], &["for=1.2.3.4", "x", "N"]),
            (&["for=1.2.3.4, for=_x;proto=http"], &["for=1.2.3.4, for=_x;proto=http,N"]),
            (&["for=zzz"], &["for=zzz", "N"]),
            (&[""], &["", "N"]),
            (&[], &["N"]),
        ] {
            let mut head = Head::default();
            for value in before {
                head.push(b"Forwarded", value.as_bytes());
            }
            add(&mut head, b"N");
            let got: Vec<_> = head.all(HeaderId::Forwarded).map(String::from_utf8_lossy).collect();
            assert_eq!(got, after, "{before:?}");
        }
    }
}
