//! What the proxy itself adds to a request before it goes to the server: `option forwardfor`, `originalto`,
//! `http-send-name-header`, `unique-id-header`; and what it takes away (`option http-restrict-req-hdr-names`).
//!
//! 3.5's order: `http-request` rules of the frontend and backend, restricted names, unique ID, `forwarded`,
//! `forwardfor`, `originalto`; the server's name when it is known.

use super::lang::{Facts, Format};
use portcullis_config::{AddAddress, RestrictNames};
use portcullis_message::Head;
use portcullis_sample::number;
use std::net::IpAddr;
use std::sync::Arc;

/// `unique-id-format` and `unique-id-header` of a frontend.
#[derive(Clone, Debug, Default)]
pub struct UniqueId {
    /// `unique-id-format`
    pub format: Option<Arc<Format>>,
    /// `unique-id-header`, in lower case.
    pub header: Option<Box<[u8]>>,
}

impl UniqueId {
    /// Adds the header with the stream's ID.
    pub fn add(&self, head: &mut Head, id: &[u8]) {
        if let Some(name) = &self.header {
            head.push(name, id);
        }
    }
}

/// Is this address in the network?
fn in_network(address: IpAddr, network: (IpAddr, u8)) -> bool {
    let (bits, mask) = match (address, network.0) {
        (IpAddr::V4(a), IpAddr::V4(n)) => {
            (u128::from(u32::from(a) ^ u32::from(n)) << 96, u32::from(network.1))
        }
        (IpAddr::V6(a), IpAddr::V6(n)) => (u128::from(a) ^ u128::from(n), u32::from(network.1)),
        _ => return false,
    };
    mask == 0 || bits.checked_shr(128 - mask.min(128)).unwrap_or(0) == 0
}

/// `option forwardfor`, `option originalto`: the backend's header name wins, either side's `except` prevents it, and
/// `if-none` holds only if both say so.
fn add_address(
    head: &mut Head,
    address: Option<IpAddr>,
    frontend: Option<&AddAddress>,
    backend: Option<&AddAddress>,
) {
    let (Some(naming), Some(address)) = (backend.or(frontend), address) else { return };
    let both = || [frontend, backend].into_iter().flatten();
    let excepted = both().filter_map(|o| o.except).any(|network| in_network(address, network));
    if excepted || (both().all(|o| o.if_none) && head.has(naming.header.as_bytes())) {
        return;
    }
    head.push_with(naming.header.as_bytes(), |out| number::ip(out, address));
}

/// `option forwardfor` of frontend and backend.
pub fn forwardfor(
    head: &mut Head,
    facts: &Facts<'_>,
    frontend: Option<&AddAddress>,
    backend: Option<&AddAddress>,
) {
    add_address(head, facts.source().map(|a| a.ip()), frontend, backend);
}

/// `option originalto` of frontend and backend.
pub fn originalto(
    head: &mut Head,
    facts: &Facts<'_>,
    frontend: Option<&AddAddress>,
    backend: Option<&AddAddress>,
) {
    add_address(head, facts.known_destination().map(|a| a.ip()), frontend, backend);
}

/// `http-send-name-header`: call it again when the server changes.
pub fn send_name(head: &mut Head, header: &str, server: &str) {
    let mut name = [0; 128];
    match name.get_mut(..header.len()) {
        Some(name) => {
            name.copy_from_slice(header.as_bytes());
            name.make_ascii_lowercase();
            head.set(name, server.as_bytes());
        }
        None => head.set(&header.to_ascii_lowercase().into_bytes(), server.as_bytes()),
    }
}

/// `option http-restrict-req-hdr-names` of one proxy; false: the request is refused with 403.
#[must_use]
pub fn restrict_names(head: &mut Head, how: RestrictNames) -> bool {
    let plain = |name: &[u8]| name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-');
    match how {
        RestrictNames::Preserve => true,
        RestrictNames::Reject => head.fields().all(|f| plain(f.name)),
        RestrictNames::Delete => {
            if !head.fields().all(|f| plain(f.name)) {
                head.retain(|f| plain(f.name));
            }
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(header: &str, if_none: bool, except: Option<&str>) -> AddAddress {
        let except = except.map(|e| {
            let (net, len) = e.split_once('/').unwrap();
            (net.parse().unwrap(), len.parse().unwrap())
        });
        AddAddress { except, header: header.to_ascii_lowercase(), if_none }
    }

    /// Recorded from HAProxy 3.5-dev5.
    #[test]
    fn forwardfor_of_both_sides() {
        let mut facts = Facts::new();
        facts.client = Some("127.0.0.1:5".parse().unwrap());
        let plain = |h: &str| Some(option(h, false, None));
        let none = |h: &str| Some(option(h, true, None));
        let except = |e: &str| Some(option("x-f", false, Some(e)));
        for (front, back, expected) in [
            (plain("X-F"), plain("X-B"), "x-b: 127.0.0.1"),
            (plain("X-F"), plain("X-Forwarded-For"), "x-forwarded-for: 127.0.0.1"),
            (none("x-a"), plain("x-a"), "x-a: 127.0.0.1"),
            (none("x-a"), none("x-a"), ""),
            (none("x-a"), None, ""),
            (except("127.0.0.0/8"), plain("x-f"), ""),
            (plain("x-f"), except("127.0.0.1/32"), ""),
            (except("127.0.0.2/32"), None, "x-f: 127.0.0.1"),
            (except("0.0.0.0/0"), None, ""),
            (except("::/0"), None, "x-f: 127.0.0.1"),
            (None, None, ""),
        ] {
            let mut head = Head::default();
            head.push(b"X-A", b"1");
            forwardfor(&mut head, &facts, front.as_ref(), back.as_ref());
            let got = head.field(1).map(|f| {
                format!("{}: {}", String::from_utf8_lossy(f.name), String::from_utf8_lossy(f.value))
            });
            assert_eq!(got.unwrap_or_default(), expected, "{front:?} {back:?}");
        }
        facts.altered.get_or_insert_default().source = Some("[2001:db8::1]:5".parse().unwrap());
        let mut head = Head::default();
        forwardfor(&mut head, &facts, plain("x-f").as_ref(), None);
        assert_eq!(head.field(0).unwrap().value, b"2001:db8::1");
        originalto(&mut head, &facts, plain("x-o").as_ref(), None);
        assert_eq!(head.len(), 1, "no destination is known");
    }

    #[test]
    fn names_are_restricted_and_sent() {
        let mut head = Head::default();
        for name in [&b"Host"[..], b"x_u", b"X-1", b"a.b"] {
            head.push(name, b"v");
        }
        assert!(restrict_names(&mut head, RestrictNames::Preserve));
        assert!(!restrict_names(&mut head, RestrictNames::Reject));
        assert!(restrict_names(&mut head, RestrictNames::Delete));
        assert_eq!(head.len(), 2);
        assert!(restrict_names(&mut head, RestrictNames::Reject));
        send_name(&mut head, "X-1", "srv1");
        assert_eq!(head.len(), 2);
        assert_eq!(head.field(1).map(|f| (f.name, f.value)), Some((&b"x-1"[..], &b"srv1"[..])));
    }
}
