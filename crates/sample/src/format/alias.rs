//! The aliases of manual section 8.2.6, one row each.

use super::Flags;
use super::escape::{header, nothing, quoted, text, url};
use crate::facts::Captured;
use crate::number::{padded, signed, unsigned, v4};
use crate::scope::Scope;
use portcullis_message::date::{Civil, MONTHS};
use portcullis_message::uri;
use portcullis_sys::localtime::{host_name, local_time};
use portcullis_wire::hex;
use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::sync::LazyLock;
use std::time::Duration;

static HOSTNAME: LazyLock<String> = LazyLock::new(host_name);

macro_rules! aliases {
    ($($name:literal $id:ident $help:literal,)*) => {
        /// An alias.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Alias { $(#[doc = $help] $id,)* }
        impl Alias {
            /// All, by name.
            pub(super) const ALL: &'static [(&'static str, Alias, &'static str)] = &[$(($name, Alias::$id, $help),)*];
        }
    };
}

aliases! {
    "B" BytesRead "bytes from server to client",
    "CC" RequestCookie "captured request cookie",
    "CS" ResponseCookie "captured response cookie",
    "H" Hostname "host name",
    "HM" Method "HTTP method",
    "HP" Path "request target without query string",
    "HPO" PathOnly "path without host and query string",
    "HQ" Query "query string with its question mark",
    "HU" Target "request target",
    "HV" HttpVersion "HTTP version",
    "ID" UniqueId "unique id",
    "OG" Origin "when the log line is made",
    "ST" Status "status code",
    "T" AcceptUtc "accept date in UTC",
    "TR" RequestTime "time to receive the request head",
    "Ta" ActiveTime "active time of the request",
    "Tc" ConnectTime "time to connect",
    "Td" DataTime "time of data transfer",
    "Th" HandshakeTime "time of handshakes",
    "Ti" IdleTime "idle time before the request",
    "Tl" AcceptLocal "accept date in local time",
    "Tq" WholeRequestTime "Th + Ti + TR",
    "Tr" ResponseTime "response time",
    "Ts" AcceptUnix "accept date as a Unix time",
    "Tt" TotalTime "total time",
    "Tu" UserTime "total time as the user sees it",
    "Tw" QueueTime "time in queues",
    "U" BytesUploaded "bytes from client to server",
    "ac" ActConn "connections of the process",
    "b" Backend "backend",
    "bc" BeConn "connections of the backend",
    "bi" BackendIp "our address towards the server",
    "bp" BackendPort "our port towards the server",
    "bq" BackendQueue "backend queue",
    "ci" ClientIp "client's address",
    "cp" ClientPort "client's port",
    "f" Frontend "frontend",
    "fc" FeConn "connections of the frontend",
    "fi" FrontendIp "accepting address",
    "fp" FrontendPort "accepting port",
    "ft" FrontendTransport "frontend, ~ for TLS",
    "hr" RequestHeaders "captured request headers",
    "hrl" RequestHeadersClf "captured request headers in CLF style",
    "hs" ResponseHeaders "captured response headers",
    "hsl" ResponseHeadersClf "captured response headers in CLF style",
    "lc" LogCount "log counter of the frontend",
    "ms" Millis "milliseconds of the accept date",
    "pid" Pid "process id",
    "r" Request "request line",
    "rc" Retries "retries",
    "rt" RequestCount "request counter",
    "s" Server "server",
    "sc" SrvConn "connections of the server",
    "si" ServerIp "server's address",
    "sp" ServerPort "server's port",
    "sq" ServerQueue "server queue",
    "sslc" TlsCipher "TLS cipher",
    "sslv" TlsVersion "TLS version",
    "t" AcceptMillis "accept date in local time with milliseconds",
    "tr" RequestMillis "request date in local time with milliseconds",
    "trg" RequestUtc "request date in UTC",
    "trl" RequestLocal "request date in local time",
    "ts" Termination "termination state",
    "tsc" TerminationCookie "termination state with cookies",
}

impl Alias {
    /// Is it known at the end of a stream only? Bytes, timers, gauges, the termination state, and the unique id.
    pub(super) fn waits(self) -> bool {
        use Alias::{
            ActConn, ActiveTime, BackendQueue, BeConn, BytesRead, BytesUploaded, ConnectTime, DataTime,
            FeConn, HandshakeTime, IdleTime, QueueTime, RequestTime, ResponseTime, Retries, ServerQueue,
            SrvConn, Termination, TotalTime, UniqueId, UserTime, WholeRequestTime,
        };
        matches!(
            self,
            ActConn
                | ActiveTime
                | BackendQueue
                | BeConn
                | BytesRead
                | BytesUploaded
                | ConnectTime
                | DataTime
                | FeConn
                | HandshakeTime
                | IdleTime
                | QueueTime
                | RequestTime
                | ResponseTime
                | Retries
                | ServerQueue
                | SrvConn
                | Termination
                | TotalTime
                | UniqueId
                | UserTime
                | WholeRequestTime
        )
    }
}

/// What kind of value an alias gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Text,
    Number,
    /// Text from outside, escaped.
    Escaped,
    /// All captures in one text.
    Captures,
    /// Each capture by itself.
    Lists,
}

impl Alias {
    pub(super) fn look(self) -> Look {
        use Alias::*;
        match self {
            BytesRead | Status | RequestTime | ActiveTime | ConnectTime | DataTime | HandshakeTime
            | IdleTime | WholeRequestTime | ResponseTime | AcceptUnix | TotalTime | UserTime | QueueTime
            | BytesUploaded | ActConn | BeConn | BackendPort | BackendQueue | ClientPort | FeConn
            | FrontendPort | LogCount | Millis | Pid | Retries | RequestCount | SrvConn | ServerPort
            | ServerQueue => Look::Number,
            Request | Target | Path | PathOnly | Query | Method | HttpVersion | FrontendTransport => {
                Look::Escaped
            }
            RequestHeaders | ResponseHeaders => Look::Captures,
            RequestHeadersClf | ResponseHeadersClf => Look::Lists,
            _ => Look::Text,
        }
    }
    /// Captures one by one, escaped for logs.
    pub(super) fn captured(self, scope: &Scope<'_>) -> Vec<Vec<u8>> {
        let list = match self {
            Alias::RequestHeadersClf => &scope.facts.request_captures,
            _ => &scope.facts.response_captures,
        };
        let mut all = Vec::new();
        list.each(|_, c| {
            let mut text = Vec::new();
            header(c.unwrap_or(&[]), Flags::empty(), &mut text);
            all.push(text);
        });
        all
    }
}

/// Appends an alias.
#[inline]
pub(super) fn write(alias: Alias, flags: Flags, scope: &Scope<'_>, out: &mut Vec<u8>) {
    let f = scope.facts;
    let t = &f.timers;
    let plus = |out: &mut Vec<u8>| {
        if f.as_soon_as_possible {
            out.push(b'+');
        }
    };
    match alias {
        Alias::ClientIp => address(f.source(), "unix", flags, out),
        Alias::ClientPort => port(f.source(), Some(f.listener_id), flags, out),
        Alias::FrontendIp => {
            address(f.destination(), if f.client.is_none() { "unix" } else { "-" }, flags, out)
        }
        Alias::FrontendPort => {
            port(f.destination(), f.client.is_none().then_some(f.listener_id), flags, out);
        }
        Alias::BackendIp => address(f.our_end(), "-", flags, out),
        Alias::BackendPort => port(f.our_end(), None, flags, out),
        Alias::ServerIp => address(f.server, "-", flags, out),
        Alias::ServerPort => port(f.server, None, flags, out),
        Alias::Frontend => text(f.frontend_name.as_bytes(), flags, out),
        Alias::FrontendTransport => quoted(flags, out, |out| {
            out.extend_from_slice(f.frontend_name.as_bytes());
            if f.frontend_tls.is_some() {
                out.push(b'~');
            }
        }),
        Alias::Backend => text(f.backend_name.as_bytes(), flags, out),
        Alias::Server => text(f.server_name.as_bytes(), flags, out),
        Alias::Hostname => text(HOSTNAME.as_bytes(), flags, out),
        Alias::Origin => text(f.log_origin.as_bytes(), flags, out),
        Alias::UniqueId => text(scope.unique_id().unwrap_or(b""), flags, out),
        Alias::RequestCookie => cookie(f.request_cookie.as_deref(), flags, out),
        Alias::ResponseCookie => cookie(f.response_cookie.as_deref(), flags, out),
        Alias::TlsCipher => match f.frontend_tls.as_deref() {
            Some(tls) => {
                text(if tls.cipher.is_empty() { b"(NONE)" } else { tls.cipher.as_bytes() }, flags, out)
            }
            None => nothing(flags, out),
        },
        Alias::TlsVersion => match f.frontend_tls.as_deref() {
            // what has not been negotiated is the highest
            Some(tls) => {
                text(if tls.version.is_empty() { b"TLSv1.3" } else { tls.version.as_bytes() }, flags, out)
            }
            None => nothing(flags, out),
        },
        Alias::AcceptMillis => local_millis(f.accepted, out),
        Alias::RequestMillis => local_millis(f.requested, out),
        Alias::AcceptUtc => utc_zone(f.accepted, out),
        Alias::RequestUtc => utc_zone(f.requested, out),
        Alias::AcceptLocal => local_zone(f.accepted, out),
        Alias::RequestLocal => local_zone(f.requested, out),
        Alias::AcceptUnix if flags.contains(Flags::HEX) => {
            hex::upper(out, &(f.accepted.as_secs() as u32).to_be_bytes())
        }
        Alias::AcceptUnix => unsigned(out, f.accepted.as_secs()),
        Alias::Millis => padded(out, f.accepted.subsec_millis().into(), 3),
        Alias::RequestTime => signed(out, t.request.into()),
        Alias::ConnectTime => signed(out, t.connect.into()),
        Alias::DataTime => signed(out, t.data.into()),
        Alias::HandshakeTime => signed(out, t.handshake.into()),
        Alias::IdleTime => signed(out, t.idle.into()),
        Alias::WholeRequestTime => signed(out, whole_request(t)),
        Alias::ResponseTime => signed(out, t.response.into()),
        Alias::QueueTime => signed(out, t.queue.into()),
        Alias::ActiveTime => {
            plus(out);
            signed(out, t.active.into());
        }
        Alias::TotalTime => {
            plus(out);
            signed(out, t.total.into());
        }
        Alias::UserTime => {
            plus(out);
            signed(out, t.user.into());
        }
        Alias::BytesRead => {
            plus(out);
            unsigned(out, f.bytes_down);
        }
        Alias::BytesUploaded => unsigned(out, f.bytes_up),
        Alias::Status => signed(out, f.status.into()),
        Alias::ActConn => unsigned(out, f.counts.map_or(0, |c| c.connections()).into()),
        Alias::FeConn => unsigned(out, f.counts.map_or(0, |c| c.sessions()).into()),
        Alias::BeConn => unsigned(out, f.beconn.into()),
        Alias::SrvConn => unsigned(out, f.srvconn.into()),
        Alias::ServerQueue => unsigned(out, f.server_queue.into()),
        Alias::BackendQueue => unsigned(out, f.backend_queue.into()),
        Alias::LogCount => {
            let asked = || f.counts.map_or(0, |c| c.log_lines());
            counter(f.log_count.unwrap_or_else(asked), flags, out);
        }
        Alias::Retries => {
            if f.redispatched {
                out.push(b'+');
            }
            unsigned(out, f.retries.into());
        }
        Alias::Pid => counter(std::process::id(), flags, out),
        Alias::RequestCount => counter(f.request_count, flags, out),
        Alias::Termination => out.extend_from_slice(&f.termination[..2]),
        Alias::TerminationCookie => out.extend_from_slice(&f.termination),
        Alias::Method
        | Alias::Path
        | Alias::PathOnly
        | Alias::Query
        | Alias::Target
        | Alias::HttpVersion
        | Alias::Request => request(alias, flags, scope, out),
        Alias::RequestHeaders => captures(&f.request_captures, flags, out),
        Alias::ResponseHeaders => captures(&f.response_captures, flags, out),
        Alias::RequestHeadersClf => captures_clf(&f.request_captures, flags, out),
        Alias::ResponseHeadersClf => captures_clf(&f.response_captures, flags, out),
    }
}

fn whole_request(t: &crate::facts::Timers) -> i64 {
    if t.request < 0 || t.idle < 0 {
        -1
    } else {
        i64::from(t.handshake) + i64::from(t.idle) + i64::from(t.request)
    }
}

fn address(a: Option<SocketAddr>, none: &str, flags: Flags, out: &mut Vec<u8>) {
    match a.map(|a| a.ip()) {
        None if none == "-" => nothing(flags, out),
        None => text(none.as_bytes(), flags, out),
        Some(IpAddr::V4(a)) if flags.contains(Flags::HEX) => hex::upper(out, &a.octets()),
        Some(IpAddr::V6(a)) if flags.contains(Flags::HEX) => hex::upper(out, &a.octets()),
        Some(IpAddr::V4(a)) => quoted(flags, out, |out| v4(out, a)),
        Some(a) => quoted(flags, out, |out| crate::number::ip(out, a)),
    }
}

fn port(a: Option<SocketAddr>, unix: Option<u32>, flags: Flags, out: &mut Vec<u8>) {
    match (a, unix) {
        (Some(a), _) if flags.contains(Flags::HEX) => hex::upper(out, &a.port().to_be_bytes()),
        (Some(a), _) => unsigned(out, a.port().into()),
        (None, Some(id)) => unsigned(out, id.into()),
        (None, None) => nothing(flags, out),
    }
}

/// At least four hex digits, or decimal.
fn counter(n: u32, flags: Flags, out: &mut Vec<u8>) {
    if !flags.contains(Flags::HEX) {
        return unsigned(out, n.into());
    }
    let bytes = n.to_be_bytes();
    let skip = if n > 0xffff { usize::from(n <= 0x00ff_ffff) } else { 2 };
    hex::upper(out, bytes.get(skip..).unwrap_or(&bytes));
}

fn cookie(c: Option<&[u8]>, flags: Flags, out: &mut Vec<u8>) {
    text(c.unwrap_or(b""), flags, out);
}

/// `23/Nov/2026:09:17:35` in local time; made once a second.
fn local_seconds(seconds: i64, out: &mut Vec<u8>) {
    thread_local! {
        static LAST: RefCell<(i64, Vec<u8>)> = const { RefCell::new((i64::MIN, Vec::new())) };
    }
    LAST.with_borrow_mut(|(of, text)| {
        if *of != seconds {
            let t = local_time(seconds);
            text.clear();
            stamp(t.day, t.month, t.year.into(), [t.hour, t.minute, t.second], text);
            *of = seconds;
        }
        out.extend_from_slice(text);
    });
}

fn stamp(day: u8, month: u8, year: i64, time: [u8; 3], out: &mut Vec<u8>) {
    padded(out, day.into(), 2);
    out.push(b'/');
    out.extend_from_slice(MONTHS.get(usize::from(month) - 1).unwrap_or(&"???").as_bytes());
    out.push(b'/');
    padded(out, year.unsigned_abs(), 4);
    for part in time {
        out.push(b':');
        padded(out, part.into(), 2);
    }
}

fn local_millis(t: Duration, out: &mut Vec<u8>) {
    local_seconds(t.as_secs() as i64, out);
    out.push(b'.');
    padded(out, t.subsec_millis().into(), 3);
}

fn utc_zone(t: Duration, out: &mut Vec<u8>) {
    let c = Civil::from_unix(t.as_secs() as i64);
    stamp(c.day, c.month, c.year, [c.hour, c.minute, c.second], out);
    out.extend_from_slice(b" +0000");
}

fn local_zone(t: Duration, out: &mut Vec<u8>) {
    let seconds = t.as_secs() as i64;
    local_seconds(seconds, out);
    let offset = local_time(seconds).offset;
    out.extend_from_slice(if offset < 0 { b" -" } else { b" +" });
    let minutes = offset.unsigned_abs() / 60;
    padded(out, (minutes / 60 * 100 + minutes % 60).into(), 4);
}

/// What comes from the request line; `<BADREQ>` when there was none that could be read.
fn request(alias: Alias, flags: Flags, scope: &Scope<'_>, out: &mut Vec<u8>) {
    let [method, target, version] = request_line(scope);
    if method.is_empty() {
        return text(b"<BADREQ>", flags, out);
    }
    let parts: [&[u8]; 5] = match alias {
        Alias::Method => [method, b"", b"", b"", b""],
        Alias::Target => [target, b"", b"", b"", b""],
        Alias::HttpVersion => [version, b"", b"", b"", b""],
        Alias::Path => {
            let end = target.iter().position(|b| *b == b'?').unwrap_or(target.len());
            [target.get(..end).unwrap_or(target), b"", b"", b"", b""]
        }
        Alias::PathOnly => [uri::path(target), b"", b"", b"", b""],
        Alias::Query => {
            let start = target.iter().position(|b| *b == b'?').unwrap_or(target.len());
            [target.get(start..).unwrap_or(&[]), b"", b"", b"", b""]
        }
        _ => [method, b" ", target, if version.is_empty() { b"" } else { b" " }, version],
    };
    if parts.iter().all(|p| p.is_empty()) {
        // in a log, too, a query that is not there is no dash
        return nothing(if alias == Alias::Query { flags.difference(Flags::MANDATORY) } else { flags }, out);
    }
    let mut room = scope.facts.log_uri_len.saturating_sub(1);
    quoted(flags, out, |out| {
        for p in parts {
            let p = p.get(..room.min(p.len())).unwrap_or(p);
            room -= p.len();
            url(p, flags, out);
        }
    });
}

/// As received; while rules run, the facts may not have it yet.
fn request_line<'s>(scope: &Scope<'s>) -> [&'s [u8]; 3] {
    let line = scope.request_line();
    match (line, scope.request.head()) {
        ([b"", ..], Some(h)) => {
            let version: &[u8] = match (h.version.major, h.version.minor) {
                (1, 0) => b"HTTP/1.0",
                (1, _) => b"HTTP/1.1",
                (2, _) => b"HTTP/2.0",
                (3, _) => b"HTTP/3.0",
                _ => b"",
            };
            [h.method(), h.target(), version]
        }
        _ => line,
    }
}

/// `{a|b}`; nothing when the frontend captures nothing.
fn captures(list: &Captured, flags: Flags, out: &mut Vec<u8>) {
    if list.is_empty() {
        return;
    }
    quoted(flags, out, |out| {
        list.each(|i, c| {
            out.push(if i == 0 { b'{' } else { b'|' });
            header(c.unwrap_or(&[]), flags, out);
        });
        out.push(b'}');
    });
}

/// `a b`, each in quotes if asked for.
fn captures_clf(list: &Captured, flags: Flags, out: &mut Vec<u8>) {
    list.each(|i, c| {
        if i > 0 {
            out.push(b' ');
        }
        match c {
            Some(c) => quoted(flags, out, |out| header(c, flags, out)),
            // a dash even where nothing else is one
            None => nothing(flags | Flags::MANDATORY, out),
        }
    });
}
