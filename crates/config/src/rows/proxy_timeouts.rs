//! `timeout …`, the keep-alive probes of `clitcpka-*` and `srvtcpka-*`, and the names that timeouts had before 2.1.

use super::value::{self, TimeError};
use crate::cx::Cx;
use crate::model::{Proxy, Timeouts};
use crate::row::{Does, Keyword, Sections};
use crate::word::Line;
use std::time::Duration;

macro_rules! timeout {
    ($name:literal, $field:ident, $sections:ident, $help:literal) => {
        Keyword {
            name: concat!("timeout ", $name),
            sections: Sections::$sections,
            args: "<timeout>",
            help: $help,
            negatable: false,
            does: Does::Works(|cx, line| timeout(cx, line, $name, |t| &mut t.$field)),
        }
    };
}

macro_rules! probe {
    ($name:literal, $sections:ident, $set:expr, $help:literal) => {
        Keyword {
            name: $name,
            sections: Sections::$sections,
            args: "<timeout>",
            help: $help,
            negatable: false,
            does: Does::Works(|cx, line| probe_time(cx, line, $name, $set)),
        }
    };
}

macro_rules! count {
    ($name:literal, $sections:ident, $set:expr, $help:literal) => {
        Keyword {
            name: $name,
            sections: Sections::$sections,
            args: "<count>",
            help: $help,
            negatable: false,
            does: Does::Works(|cx, line| probe_count(cx, line, $name, $set)),
        }
    };
}

macro_rules! gone {
    ($name:literal, $new:literal) => {
        Keyword {
            name: $name,
            sections: Sections::PROXY,
            args: "<timeout>",
            help: concat!("Removed in 2.1: ", $new, " replaces it."),
            negatable: false,
            does: Does::Works(|cx, _| {
                let word = cx.line.word(0);
                cx.alert(
                    word,
                    concat!(
                        "the '",
                        $name,
                        "' directive is not supported anymore since HAProxy 2.1. Use '",
                        $new,
                        "'."
                    ),
                );
            }),
        }
    };
}

/// The rows of this file.
pub const ROWS: &[Keyword] = &[
    timeout!("check", check, BACK, "Time that a health check may take once its connection stands."),
    timeout!(
        "client",
        client,
        FRONT,
        "Longest silence of a client that is expected to send or to take data."
    ),
    timeout!("client-fin", client_fin, FRONT, "Longest silence of a client once one direction is closed."),
    timeout!("client-hs", client_hs, FRONT, "Time that handshakes with a client may take."),
    timeout!("connect", connect, BACK, "Time that a connection to a server may take to be made."),
    timeout!(
        "http-keep-alive",
        http_keep_alive,
        PROXY,
        "Time to wait for the next request on a kept connection."
    ),
    timeout!("http-request", http_request, PROXY, "Time to wait for the whole head of a request."),
    timeout!("queue", queue, BACK, "Time that a request may wait for a free slot of a server."),
    timeout!("server", server, BACK, "Longest silence of a server that is expected to send or to take data."),
    timeout!("server-fin", server_fin, BACK, "Longest silence of a server once one direction is closed."),
    timeout!("tarpit", tarpit, PROXY, "Time that a tarpitted request is kept waiting for its error."),
    timeout!("tunnel", tunnel, BACK, "Longest silence in both directions of a tunnel."),
    Keyword {
        name: "timeout",
        sections: Sections::PROXY,
        args: "<event> <timeout>",
        help: "Sets the timeout for an event.",
        negatable: false,
        does: Does::Works(unknown),
    },
    gone!("clitimeout", "timeout client"),
    gone!("contimeout", "timeout connect"),
    gone!("srvtimeout", "timeout server"),
    count!(
        "clitcpka-cnt",
        FRONT,
        |p, n| p.clitcpka.cnt = Some(n),
        "Unanswered keep-alive probes before a client is given up."
    ),
    probe!(
        "clitcpka-idle",
        FRONT,
        |p, t| p.clitcpka.idle = Some(t),
        "Silence before the first keep-alive probe to a client."
    ),
    probe!(
        "clitcpka-intvl",
        FRONT,
        |p, t| p.clitcpka.intvl = Some(t),
        "Time between keep-alive probes to a client."
    ),
    count!(
        "srvtcpka-cnt",
        BACK,
        |p, n| p.srvtcpka.cnt = Some(n),
        "Unanswered keep-alive probes before a server is given up."
    ),
    probe!(
        "srvtcpka-idle",
        BACK,
        |p, t| p.srvtcpka.idle = Some(t),
        "Silence before the first keep-alive probe to a server."
    ),
    probe!(
        "srvtcpka-intvl",
        BACK,
        |p, t| p.srvtcpka.intvl = Some(t),
        "Time between keep-alive probes to a server."
    ),
];

fn timeout(cx: &mut Cx<'_>, line: &Line, name: &str, field: fn(&mut Timeouts) -> &mut Option<Duration>) {
    let of = format!("timeout {name}");
    let Some(word) = line.word(2).filter(|w| !w.text.is_empty()) else {
        cx.alert(line.word(1), format!("'{of}' expects an integer value (in milliseconds)"));
        return;
    };
    let (time, unit) = match value::time_with_unit(&word.text, 1000) {
        Ok(t) => t,
        Err(TimeError::Character(c)) => {
            cx.alert(Some(word), format!("unexpected character '{c}' in '{of}'"));
            return;
        }
        Err(TimeError::Overflow) => {
            cx.alert(Some(word), value::overflow(word, &of));
            return;
        }
    };
    value::odd_time(cx, word);
    if let Some(extra) = line.word(3) {
        let message =
            format!("'{of}' : unexpected extra argument '{}' after value '{}'.", extra.str(), word.str());
        cx.alert(Some(extra), message);
        return;
    }
    if !unit && !time.is_zero() && time < Duration::from_millis(100) {
        let (kind, proxy) = (cx.proxy().kind.name(), cx.proxy().name.clone());
        let message = format!(
            "'{of} {0}' in {kind} '{proxy}' is suspiciously small for a value in milliseconds. Please use an explicit \
             unit ('{0}ms') if that was the intent.",
            word.str()
        );
        cx.warn(Some(word), message);
    }
    *field(&mut cx.proxy().timeouts) = Some(time);
}

fn unknown(cx: &mut Cx<'_>, line: &Line) {
    let elsewhere = ROWS.iter().find(|r| {
        r.name.strip_prefix("timeout ").is_some_and(|n| line.words.get(1).is_some_and(|w| w.is(n)))
    });
    if let Some(row) = elsewhere {
        super::place::misplaced(cx, row);
        return;
    }
    let got = line.word(1).map(|w| w.str().into_owned()).unwrap_or_default();
    let message = format!(
        "'timeout' supports 'client', 'client-hs', 'server', 'connect', 'check', 'queue', 'http-keep-alive', \
         'http-request', 'tunnel', 'tarpit', 'client-fin' and 'server-fin' (got '{got}')"
    );
    cx.alert(line.word(1), message);
}

fn probe_time(cx: &mut Cx<'_>, line: &Line, of: &str, set: fn(&mut Proxy, Duration)) {
    let Some(word) = line.word(1) else {
        cx.alert(line.word(0), format!("'{of}' expects an integer value"));
        return;
    };
    // seconds in 31 bits, as the system takes them
    match value::time_up_to(&word.text, 1_000_000, value::MAX_TIME * 1000) {
        Ok((t, _)) => {
            value::odd_time(cx, word);
            set(cx.proxy(), t);
        }
        Err(e) => {
            cx.alert(Some(word), value::time_message(e, word, of));
        }
    }
}

fn probe_count(cx: &mut Cx<'_>, line: &Line, of: &str, set: fn(&mut Proxy, u32)) {
    let Some(word) = line.word(1) else {
        cx.alert(line.word(0), format!("'{of}' expects an integer value"));
        return;
    };
    if let Some(n) = whole(cx, word, of) {
        set(cx.proxy(), u32::try_from(n).unwrap_or(0));
    }
}

/// A number in which every character counts.
pub fn whole(cx: &mut Cx<'_>, word: &crate::word::Word, of: &str) -> Option<i64> {
    let (n, all) = value::leading(&word.text);
    if all {
        return Some(n);
    }
    let text = word.str().into_owned();
    let bad = text.trim_start_matches(['-', '+']).chars().find(|c| !c.is_ascii_digit()).unwrap_or(' ');
    cx.alert(Some(word), format!("'{of}' : unexpected character '{bad}' in integer value '{text}'"));
    None
}
