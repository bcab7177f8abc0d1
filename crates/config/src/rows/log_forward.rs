//! The `log-forward` section (manual section 12.6). It is kept as a proxy in mode log with listeners.

use super::{bind, log, value};
use crate::cx::Cx;
use crate::diag::{Diagnostics, Severity};
use crate::model::{Forward, HostField, Mode, Model, Open, Proxy, ProxyKind};
use crate::row::{Does, Keyword, Sections};
use crate::word::Line;

/// Connections of a section that says nothing.
const MAXCONN: u32 = 10;

macro_rules! row {
    ($name:literal, $args:literal, $negatable:literal, $works:expr, $help:literal) => {
        Keyword {
            name: $name,
            sections: Sections::LOG_FORWARD,
            args: $args,
            help: $help,
            negatable: $negatable,
            does: Does::Works($works),
        }
    };
}

/// The rows of this file.
pub const ROWS: &[Keyword] = &[
    row!("log-forward", "<name>", false, open, "Begins the section."),
    row!("bind", "<addr> [param*]", false, bind::bind, "Where messages come in over streams."),
    row!("dgram-bind", "<addr> [param*]", false, bind::dgram_bind, "Where messages come in over UDP."),
    row!(
        "log",
        "{ global | <target> [len <len>] [format <format>] [sample <ranges>:<size>] <facility> [<level> [<minlevel>]] }",
        true,
        log::log,
        "Where messages go."
    ),
    row!(
        "maxconn",
        "<conns>",
        false,
        |cx, l| number(cx, l, |p, n| p.maxconn = Some(n)),
        "Connections at most."
    ),
    row!(
        "backlog",
        "<conns>",
        false,
        |cx, l| number(cx, l, |p, n| p.backlog = Some(n)),
        "Connections that wait to be accepted."
    ),
    row!("timeout client", "<time>", false, timeout, "Longest silence of a client."),
    row!(
        "option assume-rfc6587-ntf",
        "",
        true,
        |cx, l| flag(cx, l, |f, on| f.transparent = on),
        "A line feed ends every message of a stream."
    ),
    row!(
        "option dont-parse-log",
        "",
        true,
        |cx, l| flag(cx, l, |f, on| f.whole = on),
        "Messages go on as they came."
    ),
    row!(
        "option host",
        "{ replace | fill | keep | append }",
        false,
        host,
        "What becomes of the host field of messages."
    ),
];

fn open(cx: &mut Cx<'_>, line: &Line) {
    let name = line.word(1).map(|w| w.str().into_owned()).unwrap_or_default();
    if let Some(c) = name.chars().find(|c| !c.is_ascii_alphanumeric() && !"_-.:".contains(*c)) {
        let text = format!("character '{c}' is not permitted in 'log-forward' name '{name}'.");
        cx.alert(line.word(1), text);
    }
    if let Some(extra) = line.word(2) {
        let text = format!("'log-forward' cannot handle unexpected argument '{}'.", extra.str());
        cx.alert(Some(extra), text);
    }
    cx.model.proxies.push(Proxy {
        kind: ProxyKind::Forward,
        name,
        place: line.place(),
        mode: Mode::Log,
        mode_said: true,
        maxconn: Some(MAXCONN),
        forward: Some(Box::default()),
        ..Proxy::default()
    });
    cx.model.open = Open::Proxy;
}

fn forward<'c>(cx: &'c mut Cx<'_>) -> &'c mut Forward {
    cx.proxy().forward.get_or_insert_default()
}

fn number(cx: &mut Cx<'_>, line: &Line, set: fn(&mut Proxy, u32)) {
    let name = line.word(0).map(|w| w.str().into_owned()).unwrap_or_default();
    let Some(word) = line.word(1) else {
        cx.alert(line.word(0), format!("'{name}' expects an integer argument."));
        return;
    };
    let n = value::lenient_u32(cx, word, &name);
    set(cx.proxy(), n);
}

fn flag(cx: &mut Cx<'_>, line: &Line, set: fn(&mut Forward, bool)) {
    if value::no_more(cx, line, 2) {
        let on = !cx.negated;
        set(forward(cx), on);
    }
}

fn host(cx: &mut Cx<'_>, line: &Line) {
    let text = line.word(2).map(|w| w.str().into_owned()).unwrap_or_default();
    forward(cx).host = match &*text {
        "replace" => HostField::Replace,
        "fill" => HostField::Fill,
        "keep" => HostField::Keep,
        "append" => HostField::Append,
        _ => {
            cx.alert(line.words.last(), "option 'host' expects {replace|fill|keep|append}.");
            return;
        }
    };
}

fn timeout(cx: &mut Cx<'_>, line: &Line) {
    let Some(word) = line.word(2) else {
        cx.alert(line.words.last(), "missing timeout client value.");
        return;
    };
    match value::time(cx, word) {
        Ok(time) => cx.proxy().timeouts.client = Some(time),
        Err(e) => {
            cx.alert(Some(word), format!("timeout : {}", value::time_message(e, word, "timeout client")));
        }
    }
}

/// What can only be judged when everything was read.
pub fn check(model: &Model, diags: &mut Diagnostics) {
    for p in model.proxies.iter().filter(|p| p.kind == ProxyKind::Forward && !p.binds.is_empty()) {
        if p.logs.is_empty() {
            let text = format!("log-forward section '{}' has no 'log' line: what comes in is lost.", p.name);
            diags.add(Severity::Notice, Some(p.place), text);
        }
    }
}
