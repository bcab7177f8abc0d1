//! `option …`: those that are on or off, and those with arguments.

use super::value;
use crate::cx::Cx;
use crate::model::{AddAddress, ConnectionMode, LogFormat, Opts, RestrictNames};
use crate::row::{Does, Keyword, Sections};
use crate::word::{Args, Line, Word};
use std::net::IpAddr;

macro_rules! flag {
    ($name:literal, $flag:ident, $sections:expr, $help:literal) => {
        Keyword {
            name: concat!("option ", $name),
            sections: $sections,
            args: "",
            help: $help,
            negatable: true,
            does: Does::Works(|cx, line| flag(cx, line, Opts::$flag)),
        }
    };
}

macro_rules! option {
    ($name:literal, $args:literal, $sections:expr, $no:literal, $works:expr, $help:literal) => {
        Keyword {
            name: concat!("option ", $name),
            sections: $sections,
            args: $args,
            help: $help,
            negatable: $no,
            does: Does::Works($works),
        }
    };
}

macro_rules! gone {
    ($name:literal, $message:literal) => {
        option!(
            $name,
            "",
            PROXY,
            true,
            |cx, _| gone(cx, concat!("option '", $name, "' is not supported any more ", $message)),
            "Removed."
        )
    };
}

const FRONT: Sections = Sections::FRONT;
const BACK: Sections = Sections::BACK;
const PROXY: Sections = Sections::PROXY;

/// The rows of this file.
pub const ROWS: &[Keyword] = &[
    flag!("abortonclose", ABORTONCLOSE, PROXY, "Gives up a waiting request when its client has closed."),
    flag!(
        "accept-unsafe-violations-in-http-request",
        UNSAFE_REQUEST,
        FRONT,
        "Lets some invalid but common bytes of requests pass."
    ),
    flag!(
        "accept-unsafe-violations-in-http-response",
        UNSAFE_RESPONSE,
        BACK,
        "Lets some invalid but common bytes of responses pass."
    ),
    flag!(
        "allbackups",
        ALLBACKUPS,
        BACK,
        "Balances over all backup servers instead of using the first only."
    ),
    flag!(
        "log-health-checks",
        LOG_HEALTH_CHECKS,
        BACK,
        "Logs every change that health checks find, also those that change no server's state."
    ),
    flag!("checkcache", CHECKCACHE, BACK, "Blocks responses that caches may keep and that set a cookie."),
    flag!("contstats", CONTSTATS, FRONT, "Counts a stream's bytes while it runs, not only at its end."),
    flag!(
        "prefer-last-server",
        PREFER_LAST_SERVER,
        BACK,
        "A session's requests stay on the server that it has a connection of its own to."
    ),
    flag!("clitcpka", CLITCPKA, FRONT, "Sends TCP keep-alive probes to clients."),
    flag!(
        "disable-h2-upgrade",
        DISABLE_H2_UPGRADE,
        FRONT,
        "Does not turn to HTTP/2 when a client begins with its preface."
    ),
    flag!("dontlog-normal", DONTLOG_NORMAL, FRONT, "Logs only what went wrong."),
    flag!("dontlognull", DONTLOGNULL, FRONT, "Does not log connections on which nothing was sent."),
    flag!(
        "h1-case-adjust-bogus-client",
        H1_CASE_ADJUST_CLIENT,
        FRONT,
        "Writes header names to clients as 'h1-case-adjust' says."
    ),
    flag!(
        "h1-case-adjust-bogus-server",
        H1_CASE_ADJUST_SERVER,
        BACK,
        "Writes header names to servers as 'h1-case-adjust' says."
    ),
    flag!(
        "http-buffer-request",
        HTTP_BUFFER_REQUEST,
        PROXY,
        "Waits for the body, or a buffer full of it, before going on."
    ),
    flag!(
        "http-drop-request-trailers",
        HTTP_DROP_REQUEST_TRAILERS,
        BACK,
        "Does not forward trailers of requests."
    ),
    flag!(
        "http-drop-response-trailers",
        HTTP_DROP_RESPONSE_TRAILERS,
        FRONT,
        "Does not forward trailers of responses."
    ),
    flag!(
        "http-ignore-probes",
        HTTP_IGNORE_PROBES,
        FRONT,
        "Neither logs nor counts connections that end without a request."
    ),
    flag!("http-no-delay", HTTP_NO_DELAY, PROXY, "Never holds data back to fill segments."),
    flag!(
        "http-pretend-keepalive",
        HTTP_PRETEND_KEEPALIVE,
        BACK,
        "Does not announce to the server that the connection will close."
    ),
    flag!(
        "http-use-proxy-header",
        HTTP_USE_PROXY_HEADER,
        FRONT,
        "Looks at Proxy-Connection instead of Connection."
    ),
    flag!(
        "idle-close-on-response",
        IDLE_CLOSE_ON_RESPONSE,
        FRONT,
        "Keeps idle connections of a soft stop until their next request."
    ),
    flag!(
        "independent-streams",
        INDEPENDENT_STREAMS,
        PROXY,
        "Data sent does not renew the timeout of data awaited."
    ),
    flag!("log-separate-errors", LOG_SEPARATE_ERRORS, FRONT, "Logs what went wrong at level 'err'."),
    flag!("logasap", LOGASAP, FRONT, "Logs when the response begins, not when it ends."),
    flag!("nolinger", NOLINGER, PROXY, "Resets connections on close, so that nothing lingers."),
    flag!("otel", OTEL, PROXY, "Sends traces and log lines as the 'otel' section says; on by default."),
    flag!("persist", PERSIST, BACK, "Sends clients to the server of their cookie though it is down."),
    flag!("socket-stats", SOCKET_STATS, FRONT, "Counts each listening socket apart."),
    flag!(
        "splice-auto",
        SPLICE_AUTO,
        PROXY,
        "Lets the kernel move data between sockets where that is faster."
    ),
    flag!("splice-request", SPLICE_REQUEST, PROXY, "Lets the kernel move data from clients to servers."),
    flag!("splice-response", SPLICE_RESPONSE, PROXY, "Lets the kernel move data from servers to clients."),
    flag!("srvtcpka", SRVTCPKA, BACK, "Sends TCP keep-alive probes to servers."),
    flag!(
        "tcp-smart-accept",
        TCP_SMART_ACCEPT,
        FRONT,
        "Saves an acknowledgement when a connection is accepted."
    ),
    flag!(
        "tcp-smart-connect",
        TCP_SMART_CONNECT,
        BACK,
        "Saves an acknowledgement when a connection to a server is made."
    ),
    option!("tcpka", "", PROXY, false, tcpka, "Sends TCP keep-alive probes on both sides."),
    option!(
        "use-small-buffers",
        "[ queue | l7-retries | check ]*",
        BACK,
        true,
        small_buffers,
        "Keeps waiting requests in small buffers when they fit."
    ),
    option!("redispatch", "[<interval>]", BACK, true, redispatch, "Lets a retry go to another server."),
    option!(
        "forwardfor",
        "[ except <network> ] [ header <name> ] [ if-none ]",
        PROXY,
        false,
        forwardfor,
        "Adds the client's address to requests."
    ),
    option!(
        "originalto",
        "[ except <network> ] [ header <name> ]",
        PROXY,
        false,
        originalto,
        "Adds the original destination address to requests."
    ),
    option!(
        "httpclose",
        "",
        PROXY,
        true,
        |cx, l| connection(cx, l, ConnectionMode::Close),
        "Closes both connections after each exchange."
    ),
    option!(
        "http-server-close",
        "",
        PROXY,
        true,
        |cx, l| connection(cx, l, ConnectionMode::ServerClose),
        "Closes the server's connection after each exchange."
    ),
    option!(
        "http-keep-alive",
        "",
        PROXY,
        true,
        |cx, l| connection(cx, l, ConnectionMode::KeepAlive),
        "Keeps both connections for the next request."
    ),
    option!(
        "http-restrict-req-hdr-names",
        "{ preserve | delete | reject }",
        PROXY,
        false,
        restrict,
        "What happens to header names with other characters than letters, digits and hyphens."
    ),
    option!(
        "httplog",
        "[ clf ]",
        FRONT,
        false,
        |cx, l| log(cx, l, LogFormat::Http, Some(LogFormat::HttpClf)),
        "Logs requests in the HTTP format."
    ),
    option!(
        "tcplog",
        "[ clf ]",
        FRONT,
        false,
        |cx, l| log(cx, l, LogFormat::Tcp, Some(LogFormat::TcpClf)),
        "Logs connections in the TCP format."
    ),
    option!(
        "httpslog",
        "",
        FRONT,
        false,
        |cx, l| log(cx, l, LogFormat::Https, None),
        "Logs requests in the HTTP format with TLS details."
    ),
    option!(
        "accept-invalid-http-request",
        "",
        FRONT,
        false,
        |cx, l| renamed(cx, l, Opts::UNSAFE_REQUEST),
        "Old name of 'option accept-unsafe-violations-in-http-request'."
    ),
    option!(
        "accept-invalid-http-response",
        "",
        BACK,
        false,
        |cx, l| renamed(cx, l, Opts::UNSAFE_RESPONSE),
        "Old name of 'option accept-unsafe-violations-in-http-response'."
    ),
    gone!("http_proxy", "since HAProxy 2.5. Use 'http-request set-dst' and 'http-request set-uri' instead."),
    gone!(
        "forceclose",
        "since HAProxy 2.0, please just remove it, or use 'option httpclose' if absolutely needed."
    ),
    gone!("http-tunnel", "since HAProxy 2.1, please just remove it, it shouldn't be needed."),
    option!(
        "transparent",
        "",
        PROXY,
        true,
        |cx, _| gone(cx, "support for option 'transparent' was removed in version 3.5."),
        "Removed: a server at 0.0.0.0 does the same."
    ),
];

fn gone(cx: &mut Cx<'_>, message: &str) {
    let word = cx.line.word(1);
    cx.alert(word, message);
}

/// Switches a flag, as the prefixes say.
fn flag(cx: &mut Cx<'_>, line: &Line, flag: Opts) {
    if !value::no_more(cx, line, 2) {
        return;
    }
    let (on, off) = (!cx.negated && !cx.defaulted, cx.negated);
    let proxy = cx.proxy();
    proxy.opts.set(flag, on);
    proxy.no_opts.set(flag, off);
}

fn renamed(cx: &mut Cx<'_>, line: &Line, to: Opts) {
    let old = line.word(1);
    let name = old.map(|w| w.str().into_owned()).unwrap_or_default();
    let new = name.replace("accept-invalid-", "accept-unsafe-violations-in-");
    cx.warn(old, format!("option '{name}' is deprecated. please use 'option {new}' if absolutely needed."));
    flag(cx, line, to);
}

fn tcpka(cx: &mut Cx<'_>, line: &Line) {
    if !value::no_more(cx, line, 2) {
        return;
    }
    let proxy = cx.proxy();
    let mut both = Opts::TCPKA;
    both.set(Opts::CLITCPKA, proxy.kind != crate::model::ProxyKind::Backend);
    both.set(Opts::SRVTCPKA, proxy.kind != crate::model::ProxyKind::Frontend);
    proxy.opts |= both;
    proxy.no_opts -= both;
}

fn small_buffers(cx: &mut Cx<'_>, line: &Line) {
    let mut queue = line.words.len() < 3;
    for word in line.args(2) {
        match word.text.as_slice() {
            b"queue" => queue = true,
            b"l7-retries" | b"check" => {}
            _ => {
                let message = format!(
                    "invalid parameter '{}'. option 'use-small-buffers' expects 'queue', 'l7-retries' or 'check' value.",
                    word.str()
                );
                cx.alert(Some(word), message);
                return;
            }
        }
    }
    let (on, off) = (!cx.negated && !cx.defaulted && queue, cx.negated);
    cx.proxy().opts.set(Opts::USE_SMALL_BUFFERS, on);
    cx.proxy().no_opts.set(Opts::USE_SMALL_BUFFERS, off);
    crate::no_effect::tell(cx, line.word(1), "option use-small-buffers");
}

fn redispatch(cx: &mut Cx<'_>, line: &Line) {
    let interval = match line.word(2) {
        None => -1,
        Some(w) => i32::try_from(value::lenient(cx, w, "option redispatch")).unwrap_or(-1),
    };
    let on = !cx.negated && !cx.defaulted && interval != 0;
    cx.proxy().redispatch = on.then_some(interval);
}

fn connection(cx: &mut Cx<'_>, line: &Line, mode: ConnectionMode) {
    if cx.defaulted {
        let name = line.word(1).map(|w| w.str().into_owned()).unwrap_or_default();
        cx.alert(line.word(1), format!("negation/default is not supported for option '{name}'."));
        return;
    }
    if !value::no_more(cx, line, 2) {
        return;
    }
    let negated = cx.negated;
    let now = &mut cx.proxy().connection_mode;
    match negated {
        false => *now = Some(mode),
        true if *now == Some(mode) => *now = None,
        true => {}
    }
}

fn restrict(cx: &mut Cx<'_>, line: &Line) {
    const EXPECTS: &str =
        "option 'http-restrict-req-hdr-names' expects 'preserve', 'reject' or 'delete' option.";
    let Some(word) = line.word(2) else {
        cx.alert(line.word(1), format!("missing parameter. {EXPECTS}"));
        return;
    };
    let names = match word.text.as_slice() {
        b"preserve" => RestrictNames::Preserve,
        b"delete" => RestrictNames::Delete,
        b"reject" => RestrictNames::Reject,
        _ => {
            cx.alert(Some(word), format!("invalid parameter '{}'. {EXPECTS}", word.str()));
            return;
        }
    };
    if value::no_more(cx, line, 3) {
        cx.proxy().restrict_names = Some(names);
    }
}

fn log(cx: &mut Cx<'_>, line: &Line, format: LogFormat, clf: Option<LogFormat>) {
    let format = match (line.word(2), clf) {
        (None, _) | (Some(_), None) => format,
        (Some(w), Some(clf)) if w.is("clf") => {
            if !value::no_more(cx, line, 3) {
                return;
            }
            clf
        }
        (Some(w), Some(_)) => {
            let name = line.word(1).map(|w| w.str().into_owned()).unwrap_or_default();
            cx.alert(Some(w), format!("keyword '{name}' only supports option 'clf'."));
            return;
        }
    };
    overrides(cx, line);
    let place = line.place();
    let proxy = cx.proxy();
    proxy.log_format = format;
    proxy.log_format_place = place;
}

/// In `defaults`, a second log format is worth a warning.
fn overrides(cx: &mut Cx<'_>, line: &Line) {
    let Some(before) = cx.proxy().log_format.keyword() else { return };
    if cx.section == Sections::DEFAULTS {
        let now: Vec<_> = line.words.iter().take(2).map(Word::str).collect();
        let message = format!("'{}' overrides previous '{before}' in 'defaults' section.", now.join(" "));
        cx.warn(line.word(0), message);
    }
}

fn forwardfor(cx: &mut Cx<'_>, line: &Line) {
    if let Some(add) = add_address(cx, line, "forwardfor", "x-forwarded-for", true) {
        cx.proxy().forwardfor = Some(add);
    }
}

fn originalto(cx: &mut Cx<'_>, line: &Line) {
    if let Some(add) = add_address(cx, line, "originalto", "x-original-to", false) {
        cx.proxy().originalto = Some(add);
    }
}

fn add_address(
    cx: &mut Cx<'_>,
    line: &Line,
    option: &str,
    header: &str,
    if_none: bool,
) -> Option<AddAddress> {
    let mut add = AddAddress { except: None, header: header.to_owned(), if_none: false };
    let mut args: Args<'_> = line.args(2);
    while let Some(word) = args.next() {
        match word.text.as_slice() {
            b"except" => match args.next().and_then(|w| network(&w.str())) {
                Some(network) => add.except = Some(network),
                None => {
                    cx.alert(
                        Some(word),
                        format!("'option {option} except' expects <address>[/mask] as argument."),
                    );
                    return None;
                }
            },
            b"header" => match args.next().filter(|w| !w.text.is_empty()) {
                Some(name) => add.header = header_name(cx, name, option)?.to_ascii_lowercase(),
                None => {
                    cx.alert(
                        Some(word),
                        format!("'option {option} header' expects <header_name> as argument."),
                    );
                    return None;
                }
            },
            b"if-none" if if_none => add.if_none = true,
            _ => {
                let values =
                    if if_none { "'except', 'header' and 'if-none'" } else { "'except' and 'header'" };
                cx.alert(Some(word), format!("'option {option}' only supports optional values: {values}."));
                return None;
            }
        }
    }
    Some(add)
}

/// A field name (RFC 9110 section 5.1). HAProxy takes anything; a name that would break messages is refused here.
pub fn header_name(cx: &mut Cx<'_>, word: &Word, of: &str) -> Option<String> {
    let token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    if word.text.iter().all(token) {
        return Some(word.str().into_owned());
    }
    cx.alert(Some(word), format!("'{of}' : '{}' is not a valid header name.", word.str()));
    None
}

/// `address[/mask]`, the mask as a number of bits or, for IPv4, in dotted form.
pub fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, mask) = match text.split_once('/') {
        Some((a, m)) => (a, Some(m)),
        None => (text, None),
    };
    let address: IpAddr = address.trim_start_matches('[').trim_end_matches(']').parse().ok()?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let mask = match mask {
        None => bits,
        Some(m) if m.contains('.') => {
            let m = u32::from(m.parse::<std::net::Ipv4Addr>().ok()?);
            u8::try_from(m.leading_ones()).ok().filter(|n| m.checked_shl(u32::from(*n)).unwrap_or(0) == 0)?
        }
        Some(m) => m.parse().ok()?,
    };
    (mask <= bits).then_some((address, mask))
}
