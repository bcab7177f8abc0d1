//! What the proxy does to heads on its own: connection fields, forwarded-for and its kin.

use super::exchange::{Exchange, Stop};
use crate::plan::ProxyPlan;
use crate::rules;
use crate::session::Session;
use portcullis_config::{ConnectionMode, Opts};
use portcullis_message::{Head, HeaderId, Version, values};
use portcullis_sample::Direction;

/// Makes the request head what the server shall see.
///
/// # Errors
/// 403 when `option http-restrict-req-hdr-names reject` finds a name.
pub fn to_server(x: &mut Exchange<'_>, session: &Session, back: &ProxyPlan) -> Result<(), Stop> {
    let upgrade = x.info.upgrade;
    let front = x.front;
    for how in [front.restrict_names, back.restrict_names].into_iter().flatten() {
        if !rules::headers::restrict_names(&mut x.scratch.request, how) {
            return Err(Stop::new(b"PR", 403));
        }
    }
    if let Some(option) = &back.forwarded {
        let worker = session.worker().clone();
        let value = option.value(false, &x.rule_cx(&worker, Direction::Request, true).scope());
        rules::forwarded::add(&mut x.scratch.request, &value);
    }
    if let Some(unique) = &front.unique_id {
        let worker = session.worker().clone();
        if let Some(id) = unique.evaluate(&x.rule_cx(&worker, Direction::Request, true).scope()) {
            unique.add(&mut x.scratch.request, &id);
        }
    }
    let head = &mut x.scratch.request;
    // a `listen` has one section for both sides
    let other = Some(back).filter(|_| back.index != front.index);
    let (fwd, to) = (other.and_then(|b| b.forwardfor.as_ref()), other.and_then(|b| b.originalto.as_ref()));
    rules::headers::forwardfor(head, &x.facts, front.forwardfor.as_ref(), fwd);
    rules::headers::originalto(head, &x.facts, front.originalto.as_ref(), to);
    strip_connection(head, upgrade);
    let closing = back.connection != ConnectionMode::KeepAlive
        || front.connection == ConnectionMode::ServerClose
        || session.worker().process.is_leaving();
    if closing && !back.has(Opts::HTTP_PRETEND_KEEPALIVE) && !upgrade {
        head.push(b"connection", b"close");
    }
    Ok(())
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
