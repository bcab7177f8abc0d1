//! What the proxy does to heads on its own: connection fields, forwarded-for and its kin.

use super::exchange::Exchange;
use crate::plan::ProxyPlan;
use crate::session::Session;
use portcullis_config::{AddAddress, ConnectionMode, Opts};
use portcullis_message::{Head, HeaderId, Version, values};
use std::io::Write;
use std::net::IpAddr;

/// Makes the request head what the server shall see.
pub fn to_server(x: &mut Exchange<'_>, _session: &Session, back: &ProxyPlan) {
    let upgrade = x.info.upgrade;
    let source = x.facts.source.or(x.facts.client).map(|a| a.ip());
    let destination = x.facts.destination.or(x.facts.frontend).map(|a| a.ip());
    let head = &mut x.scratch.request;
    for (option, name, ip) in [
        (x.front.forwardfor.as_ref(), "x-forwarded-for", source),
        (
            back.forwardfor.as_ref().filter(|_| back.index != x.front.index && x.front.forwardfor.is_none()),
            "x-forwarded-for",
            source,
        ),
        (x.front.originalto.as_ref().or(back.originalto.as_ref()), "x-original-to", destination),
    ] {
        if let (Some(option), Some(ip)) = (option, ip) {
            add_address(head, option, name, ip);
        }
    }
    strip_connection(head, upgrade);
    let closing =
        back.connection != ConnectionMode::KeepAlive || x.front.connection == ConnectionMode::ServerClose;
    if closing && !back.has(Opts::HTTP_PRETEND_KEEPALIVE) && !upgrade {
        head.push(b"connection", b"close");
    }
}

/// Removes `close` and `keep-alive` from the Connection field; what else it names (`upgrade`) stays.
pub fn strip_connection(head: &mut Head, upgrade: bool) {
    let Some(first) = head.first(HeaderId::Connection) else { return };
    let simple = first.eq_ignore_ascii_case(b"keep-alive") || first.eq_ignore_ascii_case(b"close");
    if simple {
        head.remove_id(HeaderId::Connection);
        if head.first(HeaderId::Connection).is_none() {
            return;
        }
    }
    let mut rest = Vec::new();
    for value in head.all(HeaderId::Connection) {
        for token in values::elements(value) {
            let dropped = token.is_empty()
                || token.eq_ignore_ascii_case(b"close")
                || token.eq_ignore_ascii_case(b"keep-alive")
                || (token.eq_ignore_ascii_case(b"upgrade") && !upgrade);
            if !dropped {
                if !rest.is_empty() {
                    rest.extend_from_slice(b", ");
                }
                rest.extend_from_slice(token);
            }
        }
    }
    head.remove_id(HeaderId::Connection);
    if !rest.is_empty() {
        head.push(b"connection", &rest);
    }
}

fn add_address(head: &mut Head, option: &AddAddress, default: &str, ip: IpAddr) {
    if option.except.is_some_and(|(net, bits)| within(ip, net, bits)) {
        return;
    }
    let name = if option.header.is_empty() { default.as_bytes() } else { option.header.as_bytes() };
    if option.if_none && head.has(name) {
        return;
    }
    let mut text = [0u8; 48];
    let mut left = &mut text[..];
    let _ = write!(left, "{ip}");
    let unused = left.len();
    let len = text.len() - unused;
    let mut lower = [0u8; 64];
    match lower.get_mut(..name.len()) {
        Some(l) => {
            l.copy_from_slice(name);
            l.make_ascii_lowercase();
            head.push(l, &text[..len]);
        }
        None => head.push(&name.to_ascii_lowercase(), &text[..len]),
    }
}

fn within(ip: IpAddr, net: IpAddr, bits: u8) -> bool {
    match (ip, net) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or(0);
            u32::from(a) & mask == u32::from(b) & mask
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0);
            u128::from(a) & mask == u128::from(b) & mask
        }
        _ => false,
    }
}

/// Makes the response head what the client shall see.
pub fn to_client(head: &mut Head, client: Version, keep: bool, upgrade: bool) {
    strip_connection(head, upgrade);
    head.remove_id(HeaderId::KeepAlive);
    if upgrade {
        return;
    }
    match (keep, client >= Version::HTTP_11) {
        (true, false) => head.push(b"connection", b"keep-alive"),
        (false, true) => head.push(b"connection", b"close"),
        _ => {}
    }
}
