//! What a head says about the message and its connection (RFC 9112 sections 3.2, 6 and 9), and the fields made canonical.

use super::authority;
use super::head::{Fault, Limits};
use portcullis_message::{Head, HeaderId, Method, Version, values};

/// How the body is delimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    #[default]
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
    /// Until its sender says so: a protocol with streams has it.
    Pieces,
    /// Until the connection is closed (responses only).
    UntilClose,
    /// No message any more: bytes both ways (101, CONNECT).
    Tunnel,
}

impl Framing {
    /// Do fields of the head say it?
    #[must_use]
    pub fn is_said(self) -> bool {
        matches!(self, Self::Length(_) | Self::Chunked)
    }
}

/// What a head says beyond its fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// How the body is delimited.
    pub framing: Framing,
    /// The sender wants to keep the connection (version and Connection field).
    pub keep_alive: bool,
    /// The sender said `close`, or what it sent makes it unsafe to go on.
    pub close: bool,
    /// `Connection: upgrade` with an Upgrade field that names something else than HTTP/2.
    pub upgrade: bool,
    /// The upgrade is to WebSocket.
    pub websocket: bool,
    /// `Expect: 100-continue`
    pub expect_continue: bool,
    /// Content-Length together with Transfer-Encoding, or Transfer-Encoding over HTTP/1.0: the connection may not be
    /// reused (RFC 9112 sections 6.1 and 6.3), unless `h1-do-not-close-on-insecure-transfer-encoding` says so.
    pub insecure: bool,
    /// A CONNECT with a body, which is none (RFC 9110 section 9.3.6).
    pub stray_body: bool,
    /// What is not wrong but odd, for `tune.h1.*.glitches-threshold`.
    pub glitches: u8,
}

/// What the fields say that both kinds of head have.
#[derive(Default)]
struct Seen {
    length: Option<u64>,
    /// Content-Length stands there once and as it would be written.
    length_fine: bool,
    /// There is a Transfer-Encoding, and it is not empty.
    coded: bool,
    /// It has `chunked`.
    chunked: bool,
    /// It has anything else.
    other_coding: bool,
    /// It stands there once, and is `chunked` in lower case.
    coding_fine: bool,
    close: bool,
    keep_alive: bool,
    upgrade: bool,
    expect: bool,
    te: bool,
    websocket_key: bool,
    websocket_accept: bool,
}

fn look(head: &Head, relaxed_codings: bool) -> Result<Seen, Fault> {
    let mut seen = Seen::default();
    for f in head.fields() {
        match f.id {
            HeaderId::Other | HeaderId::Host => {}
            HeaderId::ContentLength => content_length(f.value, &mut seen)?,
            HeaderId::TransferEncoding => transfer_encoding(f.value, relaxed_codings, &mut seen)?,
            HeaderId::Connection => connection(f.value, &mut seen),
            HeaderId::Expect => seen.expect = f.value.eq_ignore_ascii_case(b"100-continue"),
            HeaderId::Te => seen.te = true,
            // 16 bytes in base64 (RFC 6455 section 4.1)
            HeaderId::WebSocketKey => seen.websocket_key |= f.value.len() == 24,
            HeaderId::WebSocketAccept => seen.websocket_accept |= !f.value.is_empty(),
            _ => {}
        }
    }
    Ok(seen)
}

/// Framing and Host in trailers say nothing, but they must be well-formed, as HAProxy wants it.
pub(super) fn check_trailers(head: &mut Head) -> Result<(), Fault> {
    let seen = look(head, false)?;
    if seen.coded && !seen.chunked {
        return Err(Fault::TransferEncoding);
    }
    authority::one_host(head)
}

fn connection(value: &[u8], seen: &mut Seen) {
    for token in values::elements(value) {
        match token.len() {
            5 => seen.close |= token.eq_ignore_ascii_case(b"close"),
            7 => seen.upgrade |= token.eq_ignore_ascii_case(b"upgrade"),
            10 => seen.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive"),
            _ => {}
        }
    }
}

/// A list of equal numbers counts as one (RFC 9110 section 8.6).
fn content_length(value: &[u8], seen: &mut Seen) -> Result<(), Fault> {
    for element in values::elements(value) {
        let n = number(element).ok_or(Fault::Length)?;
        if seen.length.is_some_and(|before| before != n) {
            return Err(Fault::Length);
        }
        seen.length_fine = seen.length.is_none() && (element.len() == 1 || element[0] != b'0');
        seen.length = Some(n);
    }
    seen.length_fine &= !value.contains(&b',');
    Ok(())
}

/// Digits only, and no more than 64 bits.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |n, d| {
        let d = d.wrapping_sub(b'0');
        if d > 9 { None } else { n.checked_mul(10)?.checked_add(u64::from(d)) }
    })
}

/// `chunked` must come once, and last (RFC 9112 section 6.1).
fn transfer_encoding(value: &[u8], relaxed: bool, seen: &mut Seen) -> Result<(), Fault> {
    if value.is_empty() && relaxed {
        return Ok(());
    }
    seen.coding_fine = !seen.coded && value == b"chunked";
    seen.coded = true;
    for coding in values::elements(value) {
        let chunked = coding.eq_ignore_ascii_case(b"chunked");
        if coding.is_empty() || (seen.chunked && !(chunked && relaxed)) {
            return Err(Fault::TransferEncoding);
        }
        seen.chunked |= chunked;
        seen.other_coding |= !chunked;
    }
    Ok(())
}

/// Of a request head. Makes canonical what the server sees: one Content-Length or one Transfer-Encoding, one Host,
/// an absolute target without its default port, no upgrade to HTTP/2, `TE: trailers` only.
pub(super) fn of_request(head: &mut Head, limits: &Limits) -> Result<Info, Fault> {
    let seen = look(head, false)?;
    let method = Method::of(head.method());
    check_target(head, method, limits.relaxed)?;
    authority::check(head, method, limits.relaxed)?;
    let mut info = Info { expect_continue: seen.expect, ..Info::default() };
    info.framing = framing_of_body(head, &seen, &mut info)?.unwrap_or(Framing::None);
    let old = head.version < Version::HTTP_11;
    if info.framing != Framing::None
        && old
        && !limits.any_method_payload
        && matches!(method, Method::Get | Method::Head | Method::Delete)
    {
        return Err(Fault::Payload);
    }
    if method == Method::Connect {
        // what follows is not of this message
        info.stray_body = info.framing != Framing::None;
        remove_framing(head);
        info.framing = Framing::None;
    }
    upgrade(head, &seen, &mut info);
    if info.websocket && !seen.websocket_key && !limits.relaxed {
        return Err(Fault::WebSocket);
    }
    if seen.te {
        only_trailers(head);
    }
    info.expect_continue &= !old;
    persistence(head.version, &seen, &mut info);
    info.keep_alive &= !(old && info.framing == Framing::Chunked);
    Ok(info)
}

/// Of a response head to a request with this method. Whether an upgrade was asked for is not known here: a `101` that
/// nobody has asked for is to be refused by the caller.
pub(super) fn of_response(head: &mut Head, method: Method, limits: &Limits) -> Result<Info, Fault> {
    let seen = look(head, limits.relaxed)?;
    let mut info = Info::default();
    let body = framing_of_body(head, &seen, &mut info)?;
    upgrade(head, &seen, &mut info);
    info.framing = match (head.status, method) {
        (101, _) | (200..=299, Method::Connect) => {
            remove_framing(head);
            Framing::Tunnel
        }
        (100..=199 | 204, _) => {
            remove_framing(head);
            Framing::None
        }
        (304, _) | (_, Method::Head) => Framing::None,
        _ => body.unwrap_or(Framing::UntilClose),
    };
    if head.status == 101 && !info.upgrade {
        return Err(Fault::Upgrade);
    }
    if head.status == 101 && info.websocket && !seen.websocket_accept && !limits.relaxed {
        return Err(Fault::WebSocket);
    }
    persistence(head.version, &seen, &mut info);
    Ok(info)
}

/// RFC 9112 section 6.3: Transfer-Encoding before Content-Length. `None` when neither is there.
fn framing_of_body(head: &mut Head, seen: &Seen, info: &mut Info) -> Result<Option<Framing>, Fault> {
    if seen.coded {
        match (seen.chunked, seen.other_coding) {
            (true, true) => return Err(Fault::Coding),
            (false, _) => return Err(Fault::TransferEncoding),
            (true, false) => {}
        }
        if !seen.coding_fine {
            set_one(head, HeaderId::TransferEncoding, b"chunked");
        }
        head.remove_id(HeaderId::ContentLength);
        info.insecure = seen.length.is_some() || head.version < Version::HTTP_11;
        return Ok(Some(Framing::Chunked));
    }
    head.remove_id(HeaderId::TransferEncoding);
    let Some(n) = seen.length else { return Ok(None) };
    if !seen.length_fine {
        set_one(head, HeaderId::ContentLength, n.to_string().as_bytes());
    }
    Ok(Some(if n == 0 { Framing::None } else { Framing::Length(n) }))
}

fn remove_framing(head: &mut Head) {
    head.remove_id(HeaderId::ContentLength);
    head.remove_id(HeaderId::TransferEncoding);
}

/// The first field of this name with another value, and no other one.
pub(super) fn set_one(head: &mut Head, id: HeaderId, value: &[u8]) {
    let Some(first) = head.position(id) else { return };
    head.set_value(first, value);
    let mut at = 0;
    let mut found = false;
    while let Some(f) = head.field(at) {
        if f.id == id && std::mem::replace(&mut found, true) {
            head.remove(at);
        } else {
            at += 1;
        }
    }
}

/// An Upgrade field is for this connection (RFC 9110 section 7.8): without `Connection: upgrade` it is dropped, and
/// HTTP/2 is never upgraded to.
fn upgrade(head: &mut Head, seen: &Seen, info: &mut Info) {
    let mut at = match head.position(HeaderId::Upgrade) {
        None => return,
        Some(_) if !seen.upgrade => {
            head.remove_id(HeaderId::Upgrade);
            return;
        }
        Some(first) => first,
    };
    while let Some(f) = head.field(at) {
        if f.id != HeaderId::Upgrade {
            at += 1;
            continue;
        }
        let http2 = |t: &[u8]| t.eq_ignore_ascii_case(b"h2c") || t.eq_ignore_ascii_case(b"h2");
        let mut kept = Vec::new();
        let mut dropped = false;
        for token in values::elements(f.value) {
            if token.is_empty() || http2(token) {
                dropped = true;
                continue;
            }
            info.upgrade = true;
            info.websocket |= token.eq_ignore_ascii_case(b"websocket");
            kept.push(token);
        }
        match (dropped, kept.is_empty()) {
            (_, true) => {
                head.remove(at);
                continue;
            }
            (true, false) => {
                let joined = kept.join(&b", "[..]);
                head.set_value(at, &joined);
            }
            (false, false) => {}
        }
        at += 1;
    }
}

/// TE goes on as `trailers`, or not at all (RFC 9110 section 10.1.4).
fn only_trailers(head: &mut Head) {
    let wanted = head.all(HeaderId::Te).flat_map(values::elements).any(|e| e == b"trailers");
    let fine = wanted && head.all(HeaderId::Te).count() == 1 && head.first(HeaderId::Te) == Some(b"trailers");
    match (wanted, fine) {
        (_, true) => {}
        (true, false) => set_one(head, HeaderId::Te, b"trailers"),
        (false, _) => {
            head.remove_id(HeaderId::Te);
        }
    }
}

/// RFC 9112 section 9.3.
fn persistence(version: Version, seen: &Seen, info: &mut Info) {
    info.close = seen.close;
    info.keep_alive = !seen.close && (version >= Version::HTTP_11 || seen.keep_alive);
}

/// The target's form must fit the method (RFC 9112 section 3.2), and has no fragment.
fn check_target(head: &Head, method: Method, relaxed: bool) -> Result<(), Fault> {
    let target = head.target();
    let fits = match target.first() {
        Some(b'/') => method != Method::Connect,
        Some(b'*') => target.len() == 1 && method == Method::Options,
        _ if method == Method::Connect => {
            authority::is_host_and_port(target) || (relaxed && authority::of_absolute(target).is_none())
        }
        _ => authority::of_absolute(target).is_some(),
    };
    if fits && (relaxed || memchr::memchr(b'#', target).is_none()) { Ok(()) } else { Err(Fault::Target) }
}
