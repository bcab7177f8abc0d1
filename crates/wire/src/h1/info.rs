//! What a head says about the message and its connection (RFC 9112 sections 6 and 9).

use super::head::{Fault, Limits};
use portcullis_message::{Head, HeaderId, Method, Version, uri, values};

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
    /// Until the connection is closed (responses only).
    UntilClose,
    /// No message any more: bytes both ways (101, CONNECT).
    Tunnel,
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
    /// `Connection: upgrade` with an Upgrade field.
    pub upgrade: bool,
    /// `Expect: 100-continue`
    pub expect_continue: bool,
    /// Content-Length together with Transfer-Encoding: the connection may not be reused (RFC 9112 section 6.3).
    pub insecure: bool,
    /// What is not wrong but odd, for `tune.h1.*.glitches-threshold`.
    pub glitches: u8,
}

/// What the fields say that both kinds of head have.
#[derive(Default)]
struct Seen {
    length: Option<u64>,
    chunked: bool,
    other_coding: bool,
    close: bool,
    keep_alive: bool,
    upgrade: bool,
    has_upgrade: bool,
    expect: bool,
}

fn look(head: &Head) -> Result<Seen, Fault> {
    let mut seen = Seen::default();
    for f in head.fields() {
        match f.id {
            HeaderId::ContentLength => content_length(f.value, &mut seen)?,
            HeaderId::TransferEncoding => transfer_encoding(f.value, &mut seen)?,
            HeaderId::Connection => {
                for token in values::elements(f.value) {
                    seen.close |= token.eq_ignore_ascii_case(b"close");
                    seen.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
                    seen.upgrade |= token.eq_ignore_ascii_case(b"upgrade");
                }
            }
            HeaderId::Upgrade => seen.has_upgrade = true,
            HeaderId::Expect => seen.expect = f.value.eq_ignore_ascii_case(b"100-continue"),
            _ => {}
        }
    }
    Ok(seen)
}

/// A list of equal numbers counts as one (RFC 9110 section 8.6).
fn content_length(value: &[u8], seen: &mut Seen) -> Result<(), Fault> {
    for element in values::elements(value) {
        let digits = !element.is_empty() && element.iter().all(u8::is_ascii_digit);
        let number = std::str::from_utf8(element).ok().filter(|_| digits).and_then(|s| s.parse::<u64>().ok());
        match (number, seen.length) {
            (Some(n), None) => seen.length = Some(n),
            (Some(n), Some(before)) if n == before => {}
            _ => return Err(Fault::Length),
        }
    }
    Ok(())
}

/// `chunked` must come once, and last.
fn transfer_encoding(value: &[u8], seen: &mut Seen) -> Result<(), Fault> {
    for coding in values::elements(value) {
        if seen.chunked {
            return Err(Fault::TransferEncoding);
        }
        match coding.eq_ignore_ascii_case(b"chunked") {
            true => seen.chunked = true,
            false => seen.other_coding = true,
        }
    }
    Ok(())
}

/// Of a request head; drops what must not be passed on (Content-Length beside Transfer-Encoding, repeated ones).
pub(super) fn of_request(head: &mut Head, limits: &Limits) -> Result<Info, Fault> {
    let seen = look(head)?;
    let method = Method::of(head.method());
    check_target(head, method)?;
    check_host(head)?;
    let mut info =
        Info { upgrade: seen.upgrade && seen.has_upgrade, expect_continue: seen.expect, ..Info::default() };
    let transfer_coded = seen.chunked || seen.other_coding;
    if transfer_coded {
        if !seen.chunked || head.version < Version::HTTP_11 {
            return Err(Fault::TransferEncoding);
        }
        info.framing = Framing::Chunked;
        if seen.length.is_some() {
            head.remove_id(HeaderId::ContentLength);
            info.insecure = true;
        }
    } else if let Some(n) = seen.length {
        merge_lengths(head, n);
        info.framing = if n == 0 { Framing::None } else { Framing::Length(n) };
    }
    if method == Method::Connect {
        info.framing = Framing::None;
    }
    let has_payload = transfer_coded || seen.length.is_some_and(|n| n > 0);
    if has_payload
        && !limits.any_method_payload
        && head.version < Version::HTTP_11
        && matches!(method, Method::Get | Method::Head | Method::Delete)
    {
        return Err(Fault::Payload);
    }
    info.expect_continue &= head.version >= Version::HTTP_11;
    persistence(head.version, &seen, &mut info);
    Ok(info)
}

/// Of a response head to a request with this method.
pub(super) fn of_response(head: &mut Head, method: Method, _limits: &Limits) -> Result<Info, Fault> {
    let seen = look(head)?;
    let mut info = Info { upgrade: seen.upgrade && seen.has_upgrade, ..Info::default() };
    let status = head.status;
    let transfer_coded = seen.chunked || seen.other_coding;
    if transfer_coded && seen.length.is_some() {
        head.remove_id(HeaderId::ContentLength);
        info.insecure = true;
    } else if let Some(n) = seen.length {
        merge_lengths(head, n);
    }
    info.framing = match (status, method) {
        (101, _) => Framing::Tunnel,
        (200..=299, Method::Connect) => Framing::Tunnel,
        (100..=199 | 204 | 304, _) | (_, Method::Head) => Framing::None,
        _ if seen.chunked && head.version >= Version::HTTP_11 => Framing::Chunked,
        _ if seen.chunked => return Err(Fault::TransferEncoding),
        _ if seen.other_coding => Framing::UntilClose,
        _ => seen
            .length
            .map_or(Framing::UntilClose, |n| if n == 0 { Framing::None } else { Framing::Length(n) }),
    };
    persistence(head.version, &seen, &mut info);
    Ok(info)
}

fn persistence(version: Version, seen: &Seen, info: &mut Info) {
    info.close = seen.close;
    info.keep_alive = !seen.close && (version >= Version::HTTP_11 || seen.keep_alive);
}

/// Repeated and listed equal lengths go on as one.
fn merge_lengths(head: &mut Head, n: u64) {
    let mut all = head.all(HeaderId::ContentLength);
    let simple = all.next().is_some_and(|v| !v.contains(&b',')) && all.next().is_none();
    drop(all);
    if !simple {
        head.remove_id(HeaderId::ContentLength);
        head.push(b"content-length", n.to_string().as_bytes());
    }
}

/// The target's form must fit the method (RFC 9112 section 3.2).
fn check_target(head: &Head, method: Method) -> Result<(), Fault> {
    let target = head.target();
    let fits = match (target.first(), method) {
        (Some(b'/'), m) => m != Method::Connect,
        (Some(b'*'), m) => target.len() == 1 && m == Method::Options,
        (_, Method::Connect) => is_authority(target),
        _ => uri::path_start(target).is_some(),
    };
    if fits { Ok(()) } else { Err(Fault::Target) }
}

/// `host:port`
fn is_authority(target: &[u8]) -> bool {
    let Some(colon) = target.iter().rposition(|b| *b == b':') else { return false };
    let (host, port) = (&target[..colon], &target[colon + 1..]);
    !host.is_empty()
        && !host.contains(&b'/')
        && !host.contains(&b'@')
        && port.iter().all(u8::is_ascii_digit)
        && std::str::from_utf8(port).is_ok_and(|p| p.parse::<u16>().is_ok_and(|p| p > 0))
}

/// One Host only, and the same as the target's authority (RFC 9112 section 3.2.2).
fn check_host(head: &mut Head) -> Result<(), Fault> {
    let mut hosts = head.all(HeaderId::Host);
    let first = hosts.next();
    let mut repeated = false;
    for other in hosts {
        repeated = true;
        if Some(other) != first {
            return Err(Fault::Host);
        }
    }
    if let (Some(host), Some(authority)) = (first, uri::authority(head.target()))
        && !same_host(host, authority, uri::scheme(head.target()))
    {
        return Err(Fault::Host);
    }
    if repeated {
        let host = first.unwrap_or_default().to_vec();
        head.remove_id(HeaderId::Host);
        head.push_front(b"host", &host);
    }
    Ok(())
}

fn same_host(host: &[u8], authority: &[u8], scheme: Option<&[u8]>) -> bool {
    let default: &[u8] = match scheme {
        Some(s) if s.eq_ignore_ascii_case(b"https") => b":443",
        _ => b":80",
    };
    let strip =
        |h: &[u8]| h.strip_suffix(default).or_else(|| h.strip_suffix(b":")).unwrap_or(h).to_ascii_lowercase();
    strip(host) == strip(authority)
}
