//! A request's head as a header block (RFC 9113 section 8.3.1).

use super::fields::is_of_connection;
use super::hpack;
use super::response::field;
use crate::h1::authority;
use portcullis_message::{Head, HeaderId, uri, values};

/// What a request is besides its head.
#[derive(Clone, Copy, Debug)]
pub struct Sent<'a> {
    /// The scheme, where the target has none.
    pub scheme: &'a [u8],
    /// It is an Upgrade of HTTP/1: an extended CONNECT (RFC 8441 section 4).
    pub upgrade: bool,
}

/// Writes the block. As HAProxy 3.5: a target without an authority leaves it to Host, but in an extended CONNECT, which has to
/// have one.
pub fn write(head: &Head, sent: &Sent<'_>, out: &mut Vec<u8>) {
    let target = head.target();
    let host = head.first(HeaderId::Host);
    if head.method() == b"CONNECT" && !sent.upgrade {
        hpack::write_method(b"CONNECT", out);
        hpack::write_field(b":authority", target, out);
        return fields(head, true, out);
    }
    let whole = authority::of_absolute(target).and_then(|at| target.get(at));
    let scheme = match whole {
        Some(_) => target.split(|b| *b == b':').next().unwrap_or(sent.scheme),
        None => sent.scheme,
    };
    let path = match whole.and_then(|_| uri::path_start(target)).and_then(|at| target.get(at..)) {
        Some(path) if !path.is_empty() => path,
        Some(_) if head.method() == b"OPTIONS" => b"*",
        Some(_) => b"/",
        None => target,
    };
    hpack::write_method(if sent.upgrade { b"CONNECT" } else { head.method() }, out);
    hpack::write_scheme(scheme, out);
    let authority = whole.or(host.filter(|_| sent.upgrade));
    if let Some(authority) = authority {
        hpack::write_field(b":authority", authority, out);
    }
    hpack::write_path(path, out);
    if sent.upgrade {
        let protocol = head.all(HeaderId::Upgrade).flat_map(values::elements).next();
        hpack::write_field(b":protocol", protocol.unwrap_or_default(), out);
    }
    fields(head, authority.is_some(), out);
}

/// The fields but those that are said otherwise.
fn fields(head: &Head, has_authority: bool, out: &mut Vec<u8>) {
    for f in head.fields() {
        match f.id {
            id if is_of_connection(id) => {}
            HeaderId::Host if has_authority => {}
            HeaderId::Te if f.value != b"trailers" => {}
            // only what stands in front has such names
            _ if f.name.first() == Some(&b':') => {}
            _ => field(f.name, f.value, out),
        }
    }
}
