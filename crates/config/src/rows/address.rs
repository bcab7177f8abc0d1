//! The address formats of manual section 2.9, from text.

use crate::addr::{Address, Host, Ports, Transport};
use std::net::{Ipv4Addr, Ipv6Addr};

/// What a keyword takes for a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// Without a prefix, the socket is for datagrams.
    pub datagram: bool,
    /// The other kind of socket may be asked for by a prefix.
    pub both_kinds: bool,
    /// A port must be given, and must not be 0.
    pub port: bool,
    /// A range of ports is possible.
    pub range: bool,
    /// An offset (`+N`, `-N`) is possible.
    pub offset: bool,
    /// `fd@` is possible.
    pub fd: bool,
    /// A host name may stand for the address, to be resolved later.
    pub name: bool,
    /// `rhttp@` is possible.
    pub rhttp: bool,
}

/// `bind`
pub const BIND: Wants = Wants {
    datagram: false,
    both_kinds: false,
    port: true,
    range: true,
    offset: false,
    fd: true,
    name: true,
    rhttp: true,
};
/// `server`
pub const SERVER: Wants = Wants {
    datagram: false,
    both_kinds: true,
    port: false,
    range: false,
    offset: true,
    fd: false,
    name: true,
    rhttp: true,
};
/// `source` of a proxy; of a server a range is possible too.
pub const SOURCE: Wants = Wants {
    datagram: false,
    both_kinds: false,
    port: false,
    range: false,
    offset: false,
    fd: false,
    name: true,
    rhttp: false,
};
/// `nameserver`
pub const NAMESERVER: Wants = Wants {
    datagram: true,
    both_kinds: true,
    port: true,
    range: false,
    offset: false,
    fd: false,
    name: false,
    rhttp: false,
};
/// `mailer`
pub const MAILER: Wants = Wants {
    datagram: false,
    both_kinds: false,
    port: true,
    range: false,
    offset: false,
    fd: false,
    name: true,
    rhttp: false,
};
/// `dgram-bind`
pub const DGRAM_BIND: Wants = Wants {
    datagram: true,
    both_kinds: false,
    port: true,
    range: true,
    offset: false,
    fd: false,
    name: true,
    rhttp: false,
};
/// `log`
pub const LOG: Wants = Wants {
    datagram: true,
    both_kinds: true,
    port: false,
    range: false,
    offset: false,
    fd: true,
    name: true,
    rhttp: false,
};

/// Which family a prefix asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Any,
    V4,
    V6,
    Unix,
    Abstract,
    AbstractZ,
    Fd,
    SockPair,
    Rhttp,
}

/// Prefixes of sections 2.9.1 and 2.9.3, and the kind of socket that they imply.
const PREFIXES: &[(&str, Family, Option<Transport>)] = &[
    ("abns@", Family::Abstract, None),
    ("abnsz@", Family::AbstractZ, None),
    ("fd@", Family::Fd, None),
    ("ip@", Family::Any, None),
    ("ipv4@", Family::V4, None),
    ("ipv6@", Family::V6, None),
    ("mptcp@", Family::Any, Some(Transport::Mptcp)),
    ("mptcp4@", Family::V4, Some(Transport::Mptcp)),
    ("mptcp6@", Family::V6, Some(Transport::Mptcp)),
    ("quic4@", Family::V4, Some(Transport::Quic)),
    ("quic6@", Family::V6, Some(Transport::Quic)),
    ("rhttp@", Family::Rhttp, None),
    ("sockpair@", Family::SockPair, None),
    ("tcp@", Family::Any, Some(Transport::Stream)),
    ("tcp4@", Family::V4, Some(Transport::Stream)),
    ("tcp6@", Family::V6, Some(Transport::Stream)),
    ("udp@", Family::Any, Some(Transport::Datagram)),
    ("udp4@", Family::V4, Some(Transport::Datagram)),
    ("udp6@", Family::V6, Some(Transport::Datagram)),
    ("unix@", Family::Unix, None),
    ("uxdg@", Family::Unix, Some(Transport::Datagram)),
    ("uxst@", Family::Unix, Some(Transport::Stream)),
];

/// Addresses expand environment variables even outside quotes: `$NAME` and `${NAME}`, one that is not set to nothing.
pub fn expand<'t>(env: &crate::env::Env, text: &'t str) -> std::borrow::Cow<'t, str> {
    if !text.contains('$') {
        return text.into();
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let braced = after.strip_prefix('{');
        let after = braced.unwrap_or(after);
        let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
        let (name, mut behind) = after.split_at(end);
        if braced.is_some() {
            // the closing brace may be missing
            behind = behind.strip_prefix('}').unwrap_or(behind);
        }
        if let Some(value) = env.get(name) {
            out.push_str(&String::from_utf8_lossy(&value));
        }
        rest = behind;
    }
    out.push_str(rest);
    out.into()
}

/// Parses one address.
///
/// # Errors
/// The message, in HAProxy's words.
pub fn parse(text: &str, wants: Wants) -> Result<Address, String> {
    let (kind, rest) = kind(text);
    let (family, implied, rest) = family(rest);
    let default = if wants.datagram { Transport::Datagram } else { Transport::Stream };
    // what a family is made of it stays, whatever stands before it
    let transport = kind.filter(|k| *k == Transport::Quic).or(implied).or(kind).unwrap_or(default);
    check_kind(text, transport, default, wants)?;
    let (host, ports) = match family {
        Family::Unix if rest.len() >= MAX_PATH => return Err(too_long(text, MAX_PATH)),
        Family::Unix => (Host::Unix(rest.to_owned()), Ports::None),
        Family::Abstract | Family::AbstractZ if rest.len() >= MAX_ABSTRACT => {
            return Err(too_long(text, MAX_ABSTRACT));
        }
        Family::Abstract => (Host::Abstract(rest.as_bytes().to_vec()), Ports::None),
        Family::AbstractZ => (Host::AbstractZ(rest.as_bytes().to_vec()), Ports::None),
        Family::Fd if !wants.fd => {
            return Err(format!("a file descriptor is not acceptable here in '{text}'"));
        }
        Family::Fd => (Host::Fd(descriptor(rest, text)?), Ports::None),
        Family::SockPair => (Host::SockPair(descriptor(rest, text)?), Ports::None),
        Family::Rhttp if !wants.rhttp => {
            return Err(format!("reverse HTTP is not acceptable here in '{text}'"));
        }
        Family::Rhttp => (Host::Rhttp(rest.to_owned()), Ports::None),
        _ => return inet(text, rest, family, transport, wants),
    };
    Ok(Address { transport, host, ports })
}

/// A socket's path is shorter than this, so that a temporary name beside it has room.
const MAX_PATH: usize = 97;
/// The name of an abstract socket is shorter than this.
const MAX_ABSTRACT: usize = 107;

fn too_long(text: &str, max: usize) -> String {
    format!("socket path '{text}' too long (max {max})")
}

/// `stream+`, `dgram+`, `quic+` (section 2.9.2).
fn kind(text: &str) -> (Option<Transport>, &str) {
    for (prefix, transport) in
        [("stream+", Transport::Stream), ("dgram+", Transport::Datagram), ("quic+", Transport::Quic)]
    {
        if let Some(rest) = text.strip_prefix(prefix) {
            return (Some(transport), rest);
        }
    }
    (None, text)
}

fn family(text: &str) -> (Family, Option<Transport>, &str) {
    if text.starts_with('/') {
        return (Family::Unix, None, text);
    }
    PREFIXES
        .iter()
        .find_map(|&(p, family, transport)| Some((family, transport, text.strip_prefix(p)?)))
        .unwrap_or((Family::Any, None, text))
}

fn check_kind(text: &str, got: Transport, default: Transport, wants: Wants) -> Result<(), String> {
    if got == Transport::Quic {
        return Err(format!("QUIC is not supported yet in '{text}'"));
    }
    let stream = |t: Transport| t != Transport::Datagram;
    if wants.both_kinds || stream(got) == stream(default) {
        return Ok(());
    }
    let name = if stream(got) { "stream" } else { "dgram" };
    Err(format!("{name}-type address not acceptable in '{text}'"))
}

fn descriptor(number: &str, text: &str) -> Result<i32, String> {
    number
        .parse()
        .ok()
        .filter(|n| *n >= 0)
        .ok_or_else(|| format!("file descriptor '{number}' is not a valid integer in '{text}'"))
}

fn inet(
    text: &str,
    rest: &str,
    family: Family,
    transport: Transport,
    wants: Wants,
) -> Result<Address, String> {
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !rest.ends_with(']') => (host, Some(port)),
        _ => (rest, None),
    };
    let ports = ports(text, port.unwrap_or(""), wants)?;
    let bare = host;
    let host = host_of(host, family).ok_or_else(|| format!("invalid address: '{host}' in '{text}'"))?;
    if matches!(host, Host::Name(_)) && !wants.name {
        return Err(format!("invalid address: '{bare}' in '{text}'"));
    }
    Ok(Address { transport, host, ports })
}

fn host_of(host: &str, family: Family) -> Option<Host> {
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    if (host.is_empty() || host == "*") && family != Family::V6 {
        return Some(Host::V4(Ipv4Addr::UNSPECIFIED));
    }
    if host.is_empty() || host == "*" {
        return Some(Host::V6(Ipv6Addr::UNSPECIFIED));
    }
    if let Ok(v4) = host.parse() {
        return (family != Family::V6).then_some(Host::V4(v4));
    }
    if family != Family::V4
        && let Ok(v6) = host.parse()
    {
        return Some(Host::V6(v6));
    }
    let plausible = host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    let only = match family {
        Family::V4 => "ipv4@",
        Family::V6 => "ipv6@",
        _ => "",
    };
    plausible.then(|| Host::Name(format!("{only}{host}")))
}

fn ports(text: &str, port: &str, wants: Wants) -> Result<Ports, String> {
    if port.is_empty() {
        return match wants.port {
            true => Err(format!("missing port specification in '{text}'")),
            false => Ok(Ports::None),
        };
    }
    if port.starts_with(['+', '-']) {
        if !wants.offset {
            return Err(format!("port offset not permitted here in '{text}'"));
        }
        let digits = port.trim_start_matches(['+', '-']);
        let n = i32::from(number(text, port, digits)?);
        return Ok(Ports::Offset(if port.starts_with('-') { -n } else { n }));
    }
    let Some((low, high)) = port.split_once('-') else {
        let n = number(text, port, port)?;
        return match n {
            0 if wants.port => Err(format!("invalid port '{port}'")),
            n => Ok(Ports::One(n)),
        };
    };
    if !wants.range {
        return Err(format!("port range not permitted here in '{text}'"));
    }
    let (first, last) = (number(text, port, low)?, number(text, port, high)?);
    if first == 0 || last < first {
        return Err(format!("invalid port range '{port}'"));
    }
    Ok(Ports::Range(first, last))
}

fn number(text: &str, port: &str, digits: &str) -> Result<u16, String> {
    if let Some(c) = digits.chars().find(|c| !c.is_ascii_digit()) {
        return Err(format!("invalid character '{c}' in port number '{port}' in '{text}'"));
    }
    digits.parse().map_err(|_| format!("invalid port '{port}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(text: &str, wants: Wants, host: Host, ports: Ports) {
        let got = parse(text, wants).map(|a| (a.host, a.ports));
        assert_eq!(got, Ok((host, ports)), "{text}");
    }

    #[test]
    fn forms() {
        let any = Host::V4(Ipv4Addr::UNSPECIFIED);
        let six = |t: &str| t.parse().map(Host::V6).ok();
        is(":80", BIND, any.clone(), Ports::One(80));
        is("*:80-90", BIND, any.clone(), Ports::Range(80, 90));
        is("[::1]:80", BIND, six("::1").unwrap_or(any.clone()), Ports::One(80));
        is(":::80", BIND, six("::").unwrap_or(any.clone()), Ports::One(80));
        is("ipv6@:80", BIND, six("::").unwrap_or(any.clone()), Ports::One(80));
        is("/tmp/x", BIND, Host::Unix("/tmp/x".into()), Ports::None);
        is("unix@x", BIND, Host::Unix("x".into()), Ports::None);
        is("abns@x", SERVER, Host::Abstract(b"x".to_vec()), Ports::None);
        is("1.2.3.4:+5", SERVER, Host::V4(Ipv4Addr::new(1, 2, 3, 4)), Ports::Offset(5));
        is("1.2.3.4:-5", SERVER, Host::V4(Ipv4Addr::new(1, 2, 3, 4)), Ports::Offset(-5));
        is("web.local", SERVER, Host::Name("web.local".into()), Ports::None);
        is("fd@3", LOG, Host::Fd(3), Ports::None);
    }

    #[test]
    fn variables() {
        let mut env = crate::env::Env::default();
        env.set("A", b"1.2.3.4".to_vec());
        env.set("P", b"80".to_vec());
        assert_eq!(expand(&env, "$A:${P}"), "1.2.3.4:80");
        assert_eq!(expand(&env, "*:$NONE"), "*:");
        assert_eq!(expand(&env, "${A:$P"), "1.2.3.4:80");
        assert_eq!(expand(&env, "${A}}"), "1.2.3.4}");
    }

    #[test]
    fn kinds() {
        let kind = |text: &str, wants| parse(text, wants).map(|a| a.transport);
        assert_eq!(kind("127.0.0.1", LOG), Ok(Transport::Datagram));
        assert_eq!(kind("tcp@127.0.0.1:1", LOG), Ok(Transport::Stream));
        assert_eq!(kind("mptcp4@127.0.0.1:1", BIND), Ok(Transport::Mptcp));
        assert_eq!(kind("dgram+unix@/x", LOG), Ok(Transport::Datagram));
        assert!(kind("udp@1.2.3.4:80", BIND).is_err() && kind("stream+udp@1.2.3.4:80", BIND).is_err());
    }
}
