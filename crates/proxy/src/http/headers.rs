//! What the proxy does to heads on its own: connection fields, forwarded-for and its kin.

use super::exchange::{Exchange, Stop};
use crate::plan::ProxyPlan;
use crate::rules;
use crate::session::Session;
use crate::worker::Worker;
use portcullis_config::{ConnectionMode, Opts};
use portcullis_message::{Head, HeaderId, Method, Version, values};
use portcullis_sample::Direction;
use portcullis_transport::Buffer;
use portcullis_wire::base64::{STANDARD, encode};
use portcullis_wire::h1::{Framing, Info, Silent, reframe};

/// `option http-restrict-req-hdr-names` of one of the two sections, behind its rules.
///
/// # Errors
/// 403 when `reject` finds a name.
pub fn restrict(x: &mut Exchange<'_>, of: &ProxyPlan) -> Result<(), Stop> {
    match of.restrict_names {
        Some(how) if !rules::headers::restrict_names(&mut x.scratch.request, how) => {
            Err(Stop::new(b"PR", 403))
        }
        _ => Ok(()),
    }
}

/// Makes the request head what the server shall see.
///
/// # Errors
/// 403 when `option http-restrict-req-hdr-names reject` finds a name.
pub fn to_server(x: &mut Exchange<'_>, session: &Session, back: &ProxyPlan) -> Result<(), Stop> {
    let upgrade = x.info.upgrade;
    let front = x.front;
    if back.index != front.index {
        restrict(x, back)?;
    }
    if let Some(option) = &back.forwarded {
        let worker = session.worker().clone();
        let tls = x.facts.frontend_tls.is_some();
        let value = option.value(tls, &x.rule_cx(&worker, Direction::Request, true).scope());
        rules::forwarded::add(&mut x.scratch.request, &value);
    }
    if let (Some(unique), Some(id)) = (&front.unique_id, x.facts.unique_id.get()) {
        unique.add(&mut x.scratch.request, id);
    }
    let head = &mut x.scratch.request;
    // a `listen` has one section for both sides
    let other = Some(back).filter(|_| back.index != front.index);
    if x.facts.frontend_tls.as_ref().is_some_and(|i| i.is_early()) {
        // RFC 8470 section 5.1
        head.push(b"early-data", b"1");
    }
    let (fwd, to) = (other.and_then(|b| b.forwardfor.as_ref()), other.and_then(|b| b.originalto.as_ref()));
    rules::headers::forwardfor(head, &x.facts, front.forwardfor.as_ref(), fwd);
    rules::headers::originalto(head, &x.facts, front.originalto.as_ref(), to);
    // what rules have put there
    x.server_close = strip_connection(head, upgrade);
    let closing = x.server_close
        || back.connection != ConnectionMode::KeepAlive
        || front.connection == ConnectionMode::ServerClose
        || session.worker().process.is_leaving();
    match (closing && !back.has(Opts::HTTP_PRETEND_KEEPALIVE), head.version >= Version::HTTP_11) {
        _ if upgrade => {}
        (true, true) => head.push(b"connection", b"close"),
        (false, false) if !x.info.insecure => head.push(b"connection", b"keep-alive"),
        _ => {}
    }
    // rules cannot say where the body ends
    reframe(head, x.info.framing, Silent::Empty);
    Ok(())
}

/// A response of a server that rules have seen: its head says what is of its body (of which `received` is here), whatever
/// they have put there. A body that its status cannot have is left out, and both connections end.
pub fn reframe_response(x: &mut Exchange<'_>, info: Info, received: &mut Buffer, of_stream: bool) -> Info {
    let head = &mut x.scratch.response;
    let silent = Silent::of_response(head.status, x.method);
    let said = match info.framing {
        Framing::None if !of_stream => Framing::Length(0),
        framing => framing,
    };
    reframe(head, said, silent);
    if silent == Silent::Empty || matches!(info.framing, Framing::None | Framing::Tunnel) {
        return info;
    }
    received.clear();
    (x.keep, x.server_close) = (false, true);
    Info { framing: Framing::None, ..info }
}

/// What a request that came over a stream says otherwise to a server that speaks HTTP/1.
pub fn from_stream(x: &mut Exchange<'_>, worker: &Worker) {
    let head = &mut x.scratch.request;
    if x.info.websocket && !head.may_have(HeaderId::WebSocketKey) {
        // RFC 8441 section 5.1: there is none; RFC 6455 section 4.1: 16 bytes in base64
        let (a, b) = (worker.random.next(), worker.random.next());
        let bytes = [a.to_ne_bytes(), b.to_ne_bytes()].concat();
        head.push(b"sec-websocket-key", &encode(STANDARD, true, &bytes));
    }
    if x.info.framing == Framing::Pieces && !head.may_have(HeaderId::TransferEncoding) {
        head.push(b"transfer-encoding", b"chunked");
    }
}

/// A stream's server that agrees to extended CONNECT switches protocols, as HTTP/1 says it (RFC 8441 section 5).
pub fn from_server_stream(x: &mut Exchange<'_>, info: &mut Info) {
    if info.framing != Framing::Tunnel || !x.info.upgrade {
        return;
    }
    info.upgrade = true;
    let request = &x.scratch.request;
    let protocol = request.first(HeaderId::Upgrade).unwrap_or_default().to_vec();
    let response = &mut x.scratch.response;
    response.status = 101;
    response.push(b"connection", b"upgrade");
    response.push(b"upgrade", &protocol);
}

/// How a client of HTTP/1 learns where a stream's response ends.
pub fn frame(x: &mut Exchange<'_>, info: Info) -> Info {
    let old = x.scratch.request.version < Version::HTTP_11;
    let bodyless = x.method == Method::Head || matches!(x.scratch.response.status, 100..=199 | 204 | 304);
    let accept = x.scratch.request.first(HeaderId::WebSocketKey).map(accept_of);
    let response = &mut x.scratch.response;
    match info.framing {
        Framing::None if bodyless || response.may_have(HeaderId::ContentLength) => info,
        Framing::None | Framing::Pieces if old => Info { framing: Framing::UntilClose, ..info },
        Framing::None | Framing::Pieces => {
            response.push(b"transfer-encoding", b"chunked");
            Info { framing: Framing::Chunked, ..info }
        }
        Framing::Tunnel => {
            if let Some(accept) = accept.filter(|_| x.info.websocket) {
                response.push(b"sec-websocket-accept", &accept);
            }
            info
        }
        _ => info,
    }
}

/// What proves that a key was understood (RFC 6455 section 4.2.2).
fn accept_of(key: &[u8]) -> Vec<u8> {
    let text = [key, b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"].concat();
    encode(STANDARD, true, &portcullis_sample::sha1(&text))
}

/// A server switches to the protocol that it was asked for (RFC 9110 section 15.2.2), or opens the tunnel of a CONNECT.
pub fn is_asked_for(x: &Exchange<'_>) -> bool {
    let switches = x.scratch.response.status == 101;
    !switches || x.info.upgrade && (x.scratch.request.version.major == 1 || is_accepted(x))
}

/// A server that switches to WebSocket proves that it has understood the key (RFC 6455 section 4.2.2): over a stream nobody
/// else looks at it.
fn is_accepted(x: &Exchange<'_>) -> bool {
    let key = x.scratch.request.first(HeaderId::WebSocketKey).filter(|_| x.info.websocket);
    let Some(key) = key.filter(|_| x.scratch.response.status == 101) else { return true };
    let want = accept_of(key);
    x.scratch.response.first(HeaderId::WebSocketAccept) == Some(want.as_slice())
}

/// Removes `close` and `keep-alive` from Connection fields; what else they name (`upgrade`) stays where it is. Was there a
/// `close`? HAProxy does it before rules see the head, and again for what they have put there.
pub fn strip_connection(head: &mut Head, upgrade: bool) -> bool {
    let Some(mut at) = head.position(HeaderId::Connection) else { return false };
    let mut close = false;
    while let Some(field) = head.field(at) {
        if field.id != HeaderId::Connection {
            at += 1;
            continue;
        }
        let drops = |token: &[u8]| {
            token.is_empty()
                || token.eq_ignore_ascii_case(b"close")
                || token.eq_ignore_ascii_case(b"keep-alive")
                || (!upgrade && token.eq_ignore_ascii_case(b"upgrade"))
        };
        let (mut all, mut dropped) = (0, 0);
        for token in values::elements(field.value) {
            all += 1;
            dropped += usize::from(drops(token));
            close |= token.eq_ignore_ascii_case(b"close");
        }
        if dropped == all {
            head.remove(at);
            continue;
        }
        if dropped > 0 {
            let rest: Vec<&[u8]> = values::elements(field.value).filter(|t| !drops(t)).collect();
            let rest = rest.join(&b", "[..]);
            head.set_value(at, &rest);
        }
        at += 1;
    }
    close
}

/// Makes the response head what the client shall see. `keep`: its connection stays, as far as is known before; the
/// result says so in the end.
pub fn to_client(head: &mut Head, client: Version, keep: bool, info: &Info) -> bool {
    // what rules have put there
    let keep = !strip_connection(head, info.upgrade) && keep;
    if head.status < 200 || info.framing == Framing::Tunnel {
        return keep;
    }
    let old = head.version < Version::HTTP_11;
    if keep && (old || client < Version::HTTP_11) {
        head.push(b"connection", b"keep-alive");
    } else if !keep && !old {
        head.push(b"connection", b"close");
    }
    keep
}
