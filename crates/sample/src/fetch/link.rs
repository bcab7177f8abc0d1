//! The connections of a session: errors, what the kernel measures, what a PROXY header told, and the streams on them
//! (manual sections 7.3.3 and 7.3.4).

use crate::args::{Arg, ArgKind, Args};
use crate::facts::Facts;
use crate::place::{CLIENT_CONNECTION, CLIENT_SESSION, INTERNAL, SERVER_ADDRESS};
use crate::row::{Cursor, Fetch, SampleRows};
use crate::scope::Scope;
use crate::value::{Bytes, Sample, Type, Value};
use portcullis_sys::tcp::TcpInfo;

fn int(n: impl Into<i64>) -> Sample<'static> {
    Value::Int(n.into()).into()
}

/// Errors of connections: number, name, message. The numbers are those that 3.5 gives; from `POLLERR` on they are one
/// more than in its manual.
const ERRORS: &[(u8, &str, &str)] = &[
    (0, "", "Success"),
    (1, "CONF_FDLIM", "Reached configured maxconn value"),
    (2, "PROC_FDLIM", "Too many sockets on the process"),
    (3, "SYS_FDLIM", "Too many sockets on the system"),
    (4, "SYS_MEMLIM", "Out of system buffers"),
    (5, "NOPROTO", "Protocol or address family not supported"),
    (6, "SOCK_ERR", "General socket error"),
    (7, "PORT_RANGE", "Source port range exhausted"),
    (8, "CANT_BIND", "Can't bind to source address"),
    (9, "FREE_PORTS", "Out of local source ports on the system"),
    (10, "ADDR_INUSE", "Local source address already in use"),
    (11, "PRX_EMPTY", "Connection closed while waiting for PROXY protocol header"),
    (12, "PRX_ABORT", "Connection error while waiting for PROXY protocol header"),
    (13, "PRX_TIMEOUT", "Timeout while waiting for PROXY protocol header"),
    (14, "PRX_TRUNCATED", "Truncated PROXY protocol header received"),
    (15, "PRX_NOT_HDR", "Received something which does not look like a PROXY protocol header"),
    (16, "PRX_BAD_HDR", "Received an invalid PROXY protocol header"),
    (17, "PRX_BAD_PROTO", "Received an unhandled protocol in the PROXY protocol header"),
    (18, "CIP_EMPTY", "Connection closed while waiting for NetScaler Client IP header"),
    (19, "CIP_ABORT", "Connection error while waiting for NetScaler Client IP header"),
    (20, "CIP_TIMEOUT", "Timeout while waiting for a NetScaler Client IP header"),
    (21, "CIP_TRUNCATED", "Truncated NetScaler Client IP header received"),
    (22, "CIP_BAD_MAGIC", "Received an invalid NetScaler Client IP magic number"),
    (23, "CIP_BAD_PROTO", "Received an unhandled protocol in the NetScaler Client IP header"),
    (24, "SSL_EMPTY", "Connection closed during SSL handshake"),
    (25, "SSL_ABORT", "Connection error during SSL handshake"),
    (26, "SSL_TIMEOUT", "Timeout during SSL handshake"),
    (30, "SSL_CA_FAIL", "SSL client CA chain cannot be verified"),
    (31, "SSL_CRT_FAIL", "SSL client certificate not trusted"),
    (32, "SSL_MISMATCH", "Server presented an SSL certificate different from the configured one"),
    (33, "SSL_MISMATCH_SNI", "Server presented an SSL certificate different from the expected one"),
    (34, "SSL_HANDSHAKE", "SSL handshake failure"),
    (38, "SSL_EARLY_FAILED", "Server refused early data"),
    (43, "SSL_FATAL", "SSL fatal error"),
    (46, "POLLERR", "Poller reported POLLERR"),
    (47, "EREFUSED", "ECONNREFUSED returned by OS"),
    (48, "ERESET", "ECONNRESET returned by OS"),
    (49, "EUNREACH", "ENETUNREACH returned by OS"),
    (50, "ENOMEM", "ENOMEM returned by OS"),
    (51, "EBADF", "EBADF returned by OS"),
    (52, "EFAULT", "EFAULT returned by OS"),
    (53, "EINVAL", "EINVAL returned by OS"),
    (54, "ENCONN", "ENCONN returned by OS"),
    (55, "ENSOCK", "ENSOCK returned by OS"),
    (56, "ENOBUFS", "ENOBUFS returned by OS"),
    (57, "EPIPE", "EPIPE returned by OS"),
    (58, "SSL_KEYUPDATE", "Aborted connection after a TLS 1.3 KeyUpdate flood"),
];

/// The number of the error with this message; 0 if there is none.
#[must_use]
pub fn error_of_message(message: &str) -> u8 {
    // a handshake's has details behind it
    let message = message.split(" (").next().unwrap_or(message);
    ERRORS.iter().find(|e| e.2 == message).map_or(0, |e| e.0)
}

/// The number of the error with this name; 0 if there is none.
#[must_use]
pub fn error_of_name(name: &str) -> u8 {
    ERRORS.iter().find(|e| e.1 == name).map_or(0, |e| e.0)
}

/// Has the server shown the certificate of somebody else?
#[must_use]
pub fn is_mismatch(number: u8) -> bool {
    matches!(row(number).1, "SSL_MISMATCH" | "SSL_MISMATCH_SNI")
}

/// What it says.
#[must_use]
pub fn message_of_name(name: &str) -> &'static str {
    ERRORS.iter().find(|e| e.1 == name).map_or("", |e| e.2)
}

fn row(number: u8) -> (u8, &'static str, &'static str) {
    ERRORS.iter().find(|e| e.0 == number).copied().unwrap_or((number, "", ""))
}

fn name(number: u8) -> Sample<'static> {
    Value::str(row(number).1.as_bytes()).into()
}

fn message(number: u8) -> Sample<'static> {
    Value::str(row(number).2.as_bytes()).into()
}

/// One of the server connection's properties, if there was a connection.
fn server<'s>(s: &Scope<'s>, what: impl FnOnce(&Facts<'s>, u8) -> Sample<'static>) -> Sample<'static> {
    s.facts.server_link.error.map_or(Sample::Missing, |e| what(s.facts, e))
}

/// Something that only a stream has.
fn stream(s: &Scope<'_>, value: impl Into<i64>) -> Sample<'static> {
    s.facts.stream.then(|| Value::Int(value.into())).into()
}

/// A time in milliseconds, or in microseconds if the argument says so.
fn time(us: u32, args: &Args) -> i64 {
    match args.text(0) {
        b"us" => us.into(),
        _ => i64::from(us) / 1000,
    }
}

fn check_unit(args: &mut Args) -> Result<(), String> {
    match args.text(0) {
        b"" | b"ms" | b"us" => Ok(()),
        _ => Err("unsupported unit, must be 'ms' or 'us'".into()),
    }
}

/// Symbolic names of types of PROXY protocol values.
const TLV_NAMES: [(&str, u8); 12] = [
    ("ALPN", 0x01),
    ("AUTHORITY", 0x02),
    ("CRC32", 0x03),
    ("NETNS", 0x30),
    ("NOOP", 0x04),
    ("SSL", 0x20),
    ("SSL_CIPHER", 0x23),
    ("SSL_CN", 0x22),
    ("SSL_KEY_ALG", 0x25),
    ("SSL_SIG_ALG", 0x24),
    ("SSL_VERSION", 0x21),
    ("UNIQUE_ID", 0x05),
];

fn check_tlv(args: &mut Args) -> Result<(), String> {
    let text = String::from_utf8_lossy(args.text(0)).into_owned();
    let number = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u8::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    };
    let named = TLV_NAMES.iter().find(|(n, _)| n.eq_ignore_ascii_case(&text)).map(|(_, k)| *k);
    match number.or(named) {
        Some(kind) => {
            args.0 = vec![Arg::Int(kind.into())];
            Ok(())
        }
        None => Err(TLV_EXPECTED.into()),
    }
}

const TLV_EXPECTED: &str = "failed to parse PP2 TLV type";

/// Values of this type among those that a PROXY header told.
fn tlvs(told: &[u8], kind: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = told;
    std::iter::from_fn(move || {
        let [k, high, low, more @ ..] = rest else { return None };
        let (value, next) = more.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
        rest = next;
        Some((*k, value))
    })
    .filter(move |(k, _)| *k == kind)
    .map(|(_, v)| v)
}

fn told<'s>(s: &Scope<'s>, kind: u8, cursor: &mut Cursor) -> Sample<'s> {
    let facts: &'s Facts<'s> = s.facts;
    let Some(told) = facts.client_link.told.as_deref() else { return Sample::Missing };
    let value = tlvs(told, kind).nth(cursor.index as usize);
    if cursor.all {
        cursor.index += 1;
        cursor.more = value.is_some();
    }
    value.map(Value::str).into()
}

fn first_told<'s>(s: &Scope<'s>, kind: u8) -> Sample<'s> {
    told(s, kind, &mut Cursor::default())
}

fn saved_syn(s: &Scope<'_>) -> Sample<'static> {
    let syn = s.facts.client_link.socket.number().and_then(portcullis_sys::tcp::saved_syn);
    syn.map(|b| Value::Bin(Bytes::Owned(b))).into()
}

/// What `fs.debug_str` and `bs.debug_str` show of each layer; the numbers are the manual's.
fn debug(args: &Args, layers: [(i64, String); 3]) -> Sample<'static> {
    let wanted = args.int(0).filter(|n| *n != 0).unwrap_or(31);
    let shown: Vec<String> =
        layers.into_iter().filter(|(bit, _)| wanted & bit != 0).map(|(_, text)| text).collect();
    Value::Str(Bytes::Owned(shown.join(" ").into_bytes())).into()
}

fn frontend_debug(args: &Args, f: &Facts<'_>) -> Sample<'static> {
    debug(
        args,
        [
            (1, format!("stream.number={} stream.status={}", f.request_number, f.status)),
            (8, format!("conn.err={} conn.glitches={}", f.client_link.error, f.client_link.glitches)),
            (16, format!("socket.fd={}", f.client_link.socket.number().unwrap_or(-1))),
        ],
    )
}

fn backend_debug(args: &Args, f: &Facts<'_>, error: u8) -> Sample<'static> {
    let link = &f.server_link;
    debug(
        args,
        [
            (1, format!("stream.retries={} stream.redispatched={}", f.retries, u8::from(f.redispatched))),
            (
                8,
                format!(
                    "conn.err={error} conn.glitches={} conn.reused={}",
                    link.glitches,
                    u8::from(link.reused)
                ),
            ),
            (16, format!("socket.fd={}", link.socket.number().unwrap_or(-1))),
        ],
    )
}

macro_rules! tcp_info {
    ($($name:literal $link:ident $help:literal |$info:ident, $args:ident| $value:expr;)*) => {
        [$(
            Fetch::new($name, Type::Int, $crate::place::CLIENT_CONNECTION, $help, |$args, s, _| {
                let value = |$info: TcpInfo| Value::Int($value.into());
                s.facts.$link.tcp_info().map(value).into()
            })
            .with(0, &[ArgKind::Str])
            .checked(check_unit)
            .impure(),
        )*]
    };
}

impl crate::facts::ClientLink {
    fn tcp_info(&self) -> Option<TcpInfo> {
        self.socket.tcp_info()
    }
}

const KERNEL: [Fetch; 10] = tcp_info! {
    "fc_rtt" client_link "Round trip time of the client's connection." |i, a| time(i.rtt, a);
    "fc_rttvar" client_link "Variance of its round trip time." |i, a| time(i.rttvar, a);
    "fc_unacked" client_link "Its segments that were not acknowledged." |i, _a| i.unacked;
    "fc_sacked" client_link "Its segments that were selectively acknowledged." |i, _a| i.sacked;
    "fc_retrans" client_link "Its segments that are sent again." |i, _a| i.retrans;
    "fc_fackets" client_link "Its segments that were acknowledged ahead." |i, _a| i.fackets;
    "fc_lost" client_link "Its segments that were lost." |i, _a| i.lost;
    "fc_reordering" client_link "How far its segments come out of order." |i, _a| i.reordering;
    "bc_rtt" server_link "Round trip time of the server's connection." |i, a| time(i.rtt, a);
    "bc_rttvar" server_link "Variance of its round trip time." |i, a| time(i.rttvar, a);
};

const CLIENT: [Fetch; 15] = [
    Fetch::new(
        "fc_err",
        Type::Int,
        CLIENT_CONNECTION,
        "What went wrong with the client's connection.",
        |_, s, _| int(s.facts.client_link.error),
    )
    .impure(),
    Fetch::new("fc_err_name", Type::Str, CLIENT_CONNECTION, "The name of that error.", |_, s, _| {
        name(s.facts.client_link.error)
    })
    .impure(),
    Fetch::new("fc_err_str", Type::Str, CLIENT_CONNECTION, "That error in words.", |_, s, _| {
        message(s.facts.client_link.error)
    })
    .impure(),
    Fetch::new("fc_glitches", Type::Int, CLIENT_CONNECTION, "Protocol oddities of the client.", |_, s, _| {
        int(s.facts.client_link.glitches)
    })
    .impure(),
    Fetch::new(
        "fc_nb_streams",
        Type::Int,
        CLIENT_CONNECTION,
        "Streams on the client's connection.",
        |_, s, _| int(s.facts.client_link.streams.max(1)),
    ),
    Fetch::new(
        "fc_settings_streams_limit",
        Type::Int,
        CLIENT_SESSION,
        "Streams that it may have.",
        |_, s, _| int(s.facts.client_link.limit.max(1)),
    ),
    Fetch::new(
        "fc_pp_authority",
        Type::Str,
        CLIENT_CONNECTION,
        "Authority in the PROXY header.",
        |_, s, _| first_told(s, 0x02),
    ),
    Fetch::new(
        "fc_pp_unique_id",
        Type::Str,
        CLIENT_CONNECTION,
        "Unique id in the PROXY header.",
        |_, s, _| first_told(s, 0x05),
    ),
    Fetch::new("fc_pp_tlv", Type::Str, CLIENT_SESSION, "A value in the PROXY header.", |a, s, c| {
        let kind = a.int(0).and_then(|n| u8::try_from(n).ok());
        kind.map_or(Sample::Missing, |kind| told(s, kind, c))
    })
    .with(1, &[ArgKind::Str])
    .checked(check_tlv),
    Fetch::new("fc_saved_syn", Type::Bin, CLIENT_CONNECTION, "The connection's SYN packet.", |_, s, _| {
        saved_syn(s)
    })
    .impure(),
    Fetch::new("fs.aborted", Type::Int, CLIENT_SESSION, "Did the client abort the stream?", |_, s, _| {
        stream(s, u32::from(s.facts.client_link.rst_code.is_some()))
    })
    .impure(),
    Fetch::new(
        "fs.id",
        Type::Str,
        CLIENT_SESSION,
        "Number of the client's stream, from 0.",
        |_, s, _| match s.facts.client_link.stream {
            0 => stream(s, s.facts.request_number.saturating_sub(1)),
            id => stream(s, id),
        },
    ),
    Fetch::new("fs.rst_code", Type::Int, CLIENT_SESSION, "The client's reason to abort.", |_, s, _| {
        s.facts.client_link.rst_code.map(|code| Value::Int(code.into())).into()
    })
    .impure(),
    Fetch::new(
        "fs.debug_str",
        Type::Str,
        CLIENT_SESSION,
        "The client's side in the terms of Portcullis.",
        |a, s, _| {
            if s.facts.stream { frontend_debug(a, s.facts) } else { Sample::Missing }
        },
    )
    .with(0, &[ArgKind::Int])
    .impure(),
    Fetch::new("term_events", Type::Str, INTERNAL, "Where and how the stream has ended.", |_, s, _| {
        Value::Str(Bytes::Owned(crate::ends::text(s.facts))).into()
    })
    .impure(),
];

const SERVER: [Fetch; 12] = [
    Fetch::new(
        "bc_err",
        Type::Int,
        SERVER_ADDRESS,
        "What went wrong with the server's connection.",
        |_, s, _| server(s, |_, e| int(e)),
    )
    .impure(),
    Fetch::new("bc_err_name", Type::Str, SERVER_ADDRESS, "The name of that error.", |_, s, _| {
        server(s, |_, e| name(e))
    })
    .impure(),
    Fetch::new("bc_err_str", Type::Str, SERVER_ADDRESS, "That error in words.", |_, s, _| {
        server(s, |_, e| message(e))
    })
    .impure(),
    Fetch::new("bc_glitches", Type::Int, SERVER_ADDRESS, "Protocol oddities of the server.", |_, s, _| {
        server(s, |f, _| int(f.server_link.glitches))
    })
    .impure(),
    Fetch::new(
        "bc_http_major",
        Type::Int,
        SERVER_ADDRESS,
        "Major version of HTTP to the server.",
        |_, s, _| server(s, |f, _| int(if f.server_link.stream == 0 { 1 } else { 2 })),
    ),
    Fetch::new(
        "bc_nb_streams",
        Type::Int,
        SERVER_ADDRESS,
        "Streams on the server's connection.",
        |_, s, _| server(s, |f, _| int(f.server_link.streams.max(1))),
    ),
    Fetch::new(
        "bc_settings_streams_limit",
        Type::Int,
        SERVER_ADDRESS,
        "Streams that it may have.",
        |_, s, _| server(s, |f, _| int(f.server_link.limit.max(1))),
    ),
    Fetch::new(
        "bc_reused",
        Type::Bool,
        SERVER_ADDRESS,
        "Was the server's connection there before?",
        |_, s, _| s.facts.stream.then_some(Value::Bool(s.facts.server_link.reused)).into(),
    )
    .impure(),
    Fetch::new("bs.aborted", Type::Int, SERVER_ADDRESS, "Did the server abort the stream?", |_, s, _| {
        stream(s, u32::from(s.facts.server_link.rst_code.is_some()))
    })
    .impure(),
    Fetch::new("bs.id", Type::Int, SERVER_ADDRESS, "Number of the server's stream.", |_, s, _| {
        server(s, |f, _| int(f.server_link.stream))
    }),
    Fetch::new("bs.rst_code", Type::Int, SERVER_ADDRESS, "The server's reason to abort.", |_, s, _| {
        s.facts.server_link.rst_code.map(|code| Value::Int(code.into())).into()
    })
    .impure(),
    Fetch::new(
        "bs.debug_str",
        Type::Str,
        SERVER_ADDRESS,
        "The server's side in the terms of Portcullis.",
        |a, s, _| server(s, |f, e| backend_debug(a, f, e)),
    )
    .with(0, &[ArgKind::Int])
    .impure(),
];

const PRIORITY: [Fetch; 2] = [
    Fetch::new("prio_class", Type::Int, INTERNAL, "Class in the queue.", |_, s, _| {
        stream(s, s.facts.side.class)
    })
    .impure(),
    Fetch::new("prio_offset", Type::Int, INTERNAL, "Offset in the queue, in ms.", |_, s, _| {
        stream(s, s.facts.side.offset)
    })
    .impure(),
];

/// Rows.
pub const ROWS: [SampleRows; 4] = {
    const fn rows(fetches: &'static [Fetch]) -> SampleRows {
        SampleRows { fetches, converters: &[], acls: &[] }
    }
    [rows(&KERNEL), rows(&CLIENT), rows(&SERVER), rows(&PRIORITY)]
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_proxy_header() {
        let told = b"\x02\0\x01a\xe0\0\x02bc\xe0\0\0\x05\xff\xff";
        assert_eq!(tlvs(told, 2).collect::<Vec<_>>(), [b"a"]);
        assert_eq!(tlvs(told, 0xe0).collect::<Vec<_>>(), [&b"bc"[..], b""]);
        assert_eq!(tlvs(told, 5).count(), 0);
        for (text, kind) in [("0x21", 0x21), ("33", 33), ("unique_id", 5), ("SSL", 0x20)] {
            let mut args = Args(vec![Arg::Str(text.as_bytes().into())]);
            check_tlv(&mut args).unwrap();
            assert_eq!(args.int(0), Some(kind), "{text}");
        }
        assert!(check_tlv(&mut Args(vec![Arg::Str((*b"300").into())])).is_err());
    }

    #[test]
    fn errors_by_name_and_message() {
        assert_eq!(error_of_message("Truncated PROXY protocol header received"), 14);
        assert_eq!(error_of_name("EREFUSED"), 47);
        assert_eq!(row(47).2, "ECONNREFUSED returned by OS");
    }
}
