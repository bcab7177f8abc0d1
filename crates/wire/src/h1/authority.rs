//! Host and authority (RFC 9110 sections 4.2 and 7.2, RFC 9112 section 3.2): well-formed, and the same.

use super::head::Fault;
use portcullis_message::{Head, HeaderId, Method};
use std::ops::Range;

/// Where the authority of a target in absolute form stands, with user information; `None` in any other form.
pub(crate) fn of_absolute(target: &[u8]) -> Option<Range<usize>> {
    let scheme = target
        .iter()
        .position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')))
        .filter(|_| target.first().is_some_and(u8::is_ascii_alphabetic))?;
    if !target.get(scheme..)?.starts_with(b"://") {
        return None;
    }
    let start = scheme + 3;
    let rest = target.get(start..)?;
    let len = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    Some(start..start + len)
}

/// `host:port`, as CONNECT wants it; the port is digits.
pub(crate) fn is_host_and_port(target: &[u8]) -> bool {
    let (host, port) = split_port(target);
    let host = without_user(host);
    port.is_some_and(|p| !p.is_empty() && p.iter().all(u8::is_ascii_digit))
        && is_host(host)
        && (host.first() == Some(&b'[') || !host.contains(&b':'))
}

/// Behind the last `@`.
fn without_user(authority: &[u8]) -> &[u8] {
    memchr::memrchr(b'@', authority).and_then(|i| authority.get(i + 1..)).unwrap_or(authority)
}

/// Host, and what stands behind the colon that begins the port.
fn split_port(host: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memrchr(b':', host) {
        Some(i) if !host[i..].contains(&b']') => (&host[..i], Some(&host[i + 1..])),
        _ => (host, None),
    }
}

/// Which bytes a host may have, brackets apart. As HAProxy 3.5: visible, and nothing that ends or splits an authority.
const HOST: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0x21;
    while b < 0x7f {
        table[b] = !matches!(b as u8, b'#' | b',' | b'/' | b'?' | b'@' | b'[' | b'\\' | b']');
        b += 1;
    }
    table
};

/// Is this a host with or without a port, or nothing at all? An IP literal stands in brackets, at the front, and
/// nothing but a port follows it.
pub(crate) fn is_host(host: &[u8]) -> bool {
    let all = |part: &[u8]| part.iter().all(|b| HOST[usize::from(*b)]);
    match host.strip_prefix(b"[") {
        None => all(host),
        Some(rest) => match memchr::memchr(b']', rest) {
            None => false,
            Some(i) => {
                all(&rest[..i]) && (rest.len() == i + 1 || (rest[i + 1] == b':' && all(&rest[i + 2..])))
            }
        },
    }
}

/// The host without an empty port or the scheme's own one.
pub(crate) fn normalized<'h>(host: &'h [u8], default: Option<&[u8]>) -> &'h [u8] {
    match split_port(host) {
        (bare, Some(port)) if port.is_empty() || Some(port) == default => bare,
        _ => host,
    }
}

/// Checks Host and the target's authority, each and against each other; repeated equal Host fields become one, and
/// default ports are taken out of an absolute target (and of a Host that repeats them).
pub(super) fn check(head: &mut Head, method: Method, relaxed: bool) -> Result<(), Fault> {
    one_host(head)?;
    let target = head.target();
    let (range, default): (_, Option<&'static [u8]>) = match target.first() {
        Some(b'/' | b'*') | None => return Ok(()),
        _ if method == Method::Connect => {
            let port = split_port(target).1.unwrap_or_default();
            (0..target.len(), [&b"80"[..], b"443"].into_iter().find(|p| *p == port))
        }
        _ => {
            let Some(range) = of_absolute(target) else { return Ok(()) };
            let scheme = target.get(..range.start.saturating_sub(3)).unwrap_or_default();
            (range, default_port(scheme))
        }
    };
    let authority = without_user(&target[range.clone()]);
    if !is_host(authority) {
        return if relaxed { Ok(()) } else { Err(Fault::Host) };
    }
    let bare = normalized(authority, default);
    let stripped = authority.len() - bare.len();
    let mut new_host = None;
    if let Some(host) = head.first(HeaderId::Host) {
        let same = normalized(host, default).eq_ignore_ascii_case(bare);
        if !same && !relaxed {
            return Err(Fault::Host);
        }
        let repeats = split_port(host).1.is_some_and(|port| !port.is_empty() && Some(port) == default);
        if same && stripped > 0 && repeats {
            new_host = Some(bare.to_vec());
        }
    }
    if method != Method::Connect {
        normalize_target(head, range, stripped);
    }
    if let (Some(host), Some(at)) = (new_host, head.position(HeaderId::Host)) {
        head.set_value(at, &host);
    }
    Ok(())
}

/// Of a scheme (RFC 9110 section 4.2).
pub(crate) fn default_port(scheme: &[u8]) -> Option<&'static [u8]> {
    if scheme.eq_ignore_ascii_case(b"http") {
        Some(b"80")
    } else if scheme.eq_ignore_ascii_case(b"https") {
        Some(b"443")
    } else {
        None
    }
}

/// Takes `stripped` bytes off the end of the authority, and makes an empty path `/`.
fn normalize_target(head: &mut Head, authority: Range<usize>, stripped: usize) {
    let target = head.target();
    let rest = target.get(authority.end..).unwrap_or_default();
    if stripped == 0 && !rest.is_empty() {
        return;
    }
    let front = target.get(..authority.end - stripped).unwrap_or_default();
    let new = [front, if rest.is_empty() { b"/" } else { rest }].concat();
    head.set_target(&new);
}

/// Every Host is well-formed, and all say the same; the first one stays (RFC 9112 section 3.2).
pub(super) fn one_host(head: &mut Head) -> Result<(), Fault> {
    let mut hosts = head.all(HeaderId::Host);
    let Some(first) = hosts.next() else { return Ok(()) };
    if !is_host(first) {
        return Err(Fault::Host);
    }
    let mut repeated = false;
    for other in hosts {
        repeated = true;
        if !other.eq_ignore_ascii_case(first) {
            return Err(Fault::Host);
        }
    }
    if repeated {
        let mut found = false;
        head.retain(|f| f.id != HeaderId::Host || !std::mem::replace(&mut found, true));
    }
    Ok(())
}
