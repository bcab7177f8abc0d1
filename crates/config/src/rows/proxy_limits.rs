//! Limits of a proxy: `maxconn`, `fullconn`, `backlog`, `rate-limit sessions`, `retries`, `max-keep-alive-queue`,
//! `max-session-srv-conns`.

use super::proxy_timeouts::whole;
use super::value;
use crate::cx::Cx;
use crate::model::Proxy;
use crate::retry_on::RetryOn;
use crate::row::{Does, Keyword, Sections};
use crate::word::Line;

macro_rules! number {
    ($name:literal, $sections:ident, $missing:literal, $set:expr, $help:literal) => {
        Keyword {
            name: $name,
            sections: Sections::$sections,
            args: "<number>",
            help: $help,
            negatable: false,
            does: Does::Works(|cx, line| number(cx, line, $name, $missing, $set)),
        }
    };
}

/// The rows of this file.
pub const ROWS: &[Keyword] = &[
    number!(
        "maxconn",
        FRONT,
        "'maxconn' expects an integer argument.",
        |p, n| p.maxconn = Some(n),
        "Connections that the frontend serves at the same time; others wait in the system's backlog."
    ),
    number!(
        "fullconn",
        BACK,
        "'fullconn' expects an integer argument.",
        |p, n| p.fullconn = Some(n),
        "Connections in the backend at which servers with 'minconn' reach their 'maxconn'."
    ),
    number!(
        "backlog",
        FRONT,
        "'backlog' expects an integer argument.",
        |p, n| p.backlog = Some(n),
        "Connections that the system may keep waiting for each listening socket."
    ),
    number!(
        "retries",
        BACK,
        "'retries' expects an integer argument (dispatch counts for one).",
        |p, n| p.retries = Some(n),
        "How often a failed connection to a server is tried again."
    ),
    Keyword {
        name: "retry-on",
        sections: Sections::BACK,
        args: "<event>*",
        help: "Which failures make the request be sent again.",
        negatable: false,
        does: Does::Works(retry_on),
    },
    Keyword {
        name: "rate-limit",
        sections: Sections::FRONT,
        args: "sessions <rate>",
        help: "Accepts at most so many new sessions a second; others wait in the system's backlog.",
        negatable: false,
        does: Does::Works(rate_limit),
    },
    Keyword {
        name: "max-keep-alive-queue",
        sections: Sections::BACK,
        args: "<value>",
        help: "Longest server queue in which 'option prefer-last-server' still waits; -1 for any.",
        negatable: false,
        does: Does::Works(max_keep_alive_queue),
    },
    Keyword {
        name: "max-session-srv-conns",
        sections: Sections::FRONT,
        args: "<nb>",
        help: "Idle server connections that a client's session may keep for itself.",
        negatable: false,
        does: Does::Works(max_session_srv_conns),
    },
];

fn number(cx: &mut Cx<'_>, line: &Line, of: &str, missing: &str, set: fn(&mut Proxy, u32)) {
    if let Some(word) = value::one(cx, line, 1, missing) {
        let n = value::lenient_u32(cx, word, of);
        set(cx.proxy(), n);
    }
}

fn retry_on(cx: &mut Cx<'_>, line: &Line) {
    let words = line.words.get(1..).unwrap_or_default();
    if words.is_empty() {
        cx.alert(line.word(0), "'retry-on' needs at least one keyword to specify when to retry");
        return;
    }
    let mut set = RetryOn::NONE;
    for word in words {
        match RetryOn::named(&word.str()) {
            Some(RetryOn::NONE) if words.len() > 1 => {
                cx.alert(Some(word), "'retry-on' 'none' keyword only usable alone");
                return;
            }
            Some(one) => set = set.or(one),
            None => {
                cx.alert(Some(word), format!("'retry-on': unknown keyword '{}'", word.str()));
                return;
            }
        }
    }
    cx.proxy().retry_on = set;
}

fn rate_limit(cx: &mut Cx<'_>, line: &Line) {
    let Some(kind) = line.word(1).filter(|w| w.is("sessions")) else {
        let got = line.word(1).map(|w| w.str().into_owned()).unwrap_or_default();
        cx.alert(line.words.last(), format!("'rate-limit' only supports 'sessions' (got '{got}')"));
        return;
    };
    let Some(word) = line.word(2) else {
        cx.alert(Some(kind), "'rate-limit sessions' expects an integer value (in sessions/second)");
        return;
    };
    if let Some(n) = whole(cx, word, "rate-limit sessions") {
        if cx.proxy().rate_limit_sessions != 0 {
            cx.warn(line.word(0), "overwriting rate-limit sessions which was already specified");
        }
        cx.proxy().rate_limit_sessions = u32::try_from(n).unwrap_or(0);
    }
}

fn max_keep_alive_queue(cx: &mut Cx<'_>, line: &Line) {
    let Some(word) = line.word(1) else {
        cx.alert(line.word(0), "'max-keep-alive-queue' expects expects an integer value (or -1 to disable)");
        return;
    };
    if let Some(n) = whole(cx, word, "max-keep-alive-queue") {
        cx.proxy().max_keep_alive_queue = u32::try_from(n).ok();
    }
}

fn max_session_srv_conns(cx: &mut Cx<'_>, line: &Line) {
    let Some(word) = line.word(1) else {
        cx.alert(line.word(0), "'max-session-srv-conns' expects a number. Got no argument");
        return;
    };
    let n = value::leading(&word.text).0;
    cx.proxy().max_session_srv_conns = Some(u32::try_from(n).unwrap_or(0));
}
