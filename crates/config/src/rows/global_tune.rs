//! `global`: `tune.*` settings (manual section 3.2) that this version acts on.

use super::value;
use crate::cx::Cx;
use crate::model::{MultiQueue, Shards, Tune};
use crate::row::{Does, Keyword, Sections};
use crate::word::{Line, Word};
use std::time::Duration;

macro_rules! row {
    ($name:literal, $args:literal, $works:expr, $help:literal) => {
        Keyword {
            name: $name,
            sections: Sections::GLOBAL,
            args: $args,
            help: $help,
            negatable: false,
            does: Does::Works($works),
        }
    };
}

macro_rules! size {
    ($name:literal, $min:literal, $set:expr, $help:literal) => {
        row!($name, "<size>", |cx, line| size(cx, line, $name, $min, $set), $help)
    };
}

macro_rules! number {
    ($name:literal, $min:literal, $max:literal, $rule:literal, $set:expr, $help:literal) => {
        row!($name, "<number>", |cx, line| number(cx, line, $name, $min..=$max, $rule, $set), $help)
    };
}

/// The rows of this file.
pub const ROWS: &[Keyword] = &[
    size!("tune.bufsize", 1, |t, n| t.bufsize = n, "Size of a buffer."),
    size!("tune.bufsize.small", 1, |t, n| t.bufsize_small = n, "Size of a small buffer."),
    size!("tune.bufsize.large", 1, |t, n| t.bufsize_large = n, "Size of a large buffer."),
    number!(
        "tune.maxrewrite",
        0,
        0x7fff_ffff,
        "expects a positive integer argument.",
        |t, n| t.maxrewrite = n as usize,
        "Room that stays free in a buffer for added headers."
    ),
    number!(
        "tune.http.maxhdr",
        1,
        32767,
        "expects a numeric value between 1 and 32767",
        |t, n| t.http_maxhdr = n as usize,
        "Most headers of a message."
    ),
    number!(
        "tune.http.logurilen",
        -0x7fff_ffff,
        0x7fff_ffff,
        "",
        |t, n| t.http_logurilen = at_least(n, 1024),
        "Longest URI in a log line."
    ),
    number!(
        "tune.http.cookielen",
        -0x7fff_ffff,
        0x7fff_ffff,
        "",
        |t, n| t.http_cookielen = at_least(n, 63),
        "Longest captured cookie."
    ),
    number!(
        "tune.maxaccept",
        -0x7fff_ffff,
        0x7fff_ffff,
        "",
        |t, n| t.maxaccept = Some(n as i32),
        "Connections that a worker accepts in a row; -1 for no limit."
    ),
    number!(
        "tune.max-rules-at-once",
        0,
        0x7fff_ffff,
        "expects a positive numeric value",
        |t, n| t.max_rules_at_once = n as u32,
        "Rules that are evaluated in a row."
    ),
    row!(
        "tune.runqueue-depth",
        "<number>",
        runqueue_depth,
        "What 'rq-load auto' of 'tune.h2.fe.max-concurrent-streams' is; no effect otherwise."
    ),
    row!(
        "tune.h1.be.glitches-threshold",
        "[<number>]",
        |cx, l| optional_number(cx, l, "tune.h1.be.glitches-threshold", |t, n| t.h1_be_glitches =
            u32::try_from(n).unwrap_or(u32::MAX)),
        "Oddities after which a server's HTTP/1 connection is closed."
    ),
    row!(
        "tune.h1.fe.glitches-threshold",
        "[<number>]",
        |cx, l| optional_number(cx, l, "tune.h1.fe.glitches-threshold", |t, n| t.h1_fe_glitches =
            u32::try_from(n).unwrap_or(u32::MAX)),
        "Oddities after which a client's HTTP/1 connection is closed."
    ),
    number!(
        "tune.pool-high-fd-ratio",
        0,
        100,
        "expects an integer argument between 0 and 100.",
        |t, n| t.pool_high_fd_ratio = n as u32,
        "Share of descriptors in use from which idle connections are closed for new ones."
    ),
    number!(
        "tune.pool-low-fd-ratio",
        0,
        100,
        "expects an integer argument between 0 and 100.",
        |t, n| t.pool_low_fd_ratio = n as u32,
        "Share of descriptors in use from which idle connections are not kept."
    ),
    row!(
        "tune.buffers.limit",
        "<number>",
        |cx, l| optional_number(cx, l, "tune.buffers.limit", |t, n| t.buffers_limit = (n > 0).then_some(n)),
        "Most buffers of the process; 0 for no limit."
    ),
    size!("tune.pipesize", 0, |t, n| t.pipesize = n, "Size of the pipes for splicing."),
    size!(
        "tune.rcvbuf.client",
        0,
        |t, n| t.rcvbuf_client = (n > 0).then_some(n),
        "The system's receive buffer of a client connection."
    ),
    size!(
        "tune.rcvbuf.server",
        0,
        |t, n| t.rcvbuf_server = (n > 0).then_some(n),
        "The system's receive buffer of a server connection."
    ),
    size!(
        "tune.sndbuf.client",
        0,
        |t, n| t.sndbuf_client = (n > 0).then_some(n),
        "The system's send buffer of a client connection."
    ),
    size!(
        "tune.sndbuf.server",
        0,
        |t, n| t.sndbuf_server = (n > 0).then_some(n),
        "The system's send buffer of a server connection."
    ),
    size!(
        "tune.rcvbuf.frontend",
        0,
        |t, n| t.rcvbuf_frontend = (n > 0).then_some(n),
        "The system's receive buffer of a socket that clients share ('dgram-bind')."
    ),
    size!(
        "tune.rcvbuf.backend",
        0,
        |_, _| (),
        "The system's receive buffer of a socket that answers to many share; no effect."
    ),
    size!(
        "tune.sndbuf.frontend",
        0,
        |t, n| t.sndbuf_frontend = (n > 0).then_some(n),
        "The system's send buffer of a socket that clients share ('dgram-bind')."
    ),
    size!(
        "tune.sndbuf.backend",
        0,
        |t, n| t.sndbuf_backend = (n > 0).then_some(n),
        "The system's send buffer of sockets to log servers, over UDP and Unix sockets."
    ),
    row!(
        "tune.streams-elasticity",
        "<number>",
        streams_elasticity,
        "Streams of all HTTP/2 connections together that are offered, in percent of 'maxconn'; 0 for no limit."
    ),
    row!(
        "tune.defaults.purge",
        "[{ all | none | <element[,...]> }]",
        defaults_purge,
        "Which default settings are forgotten behind parsing; no effect."
    ),
    size!(
        "tune.notsent-lowat.client",
        0,
        |t, n| t.notsent_lowat_client = (n > 0).then_some(n),
        "Unsent bytes up to which a client connection takes more."
    ),
    size!(
        "tune.notsent-lowat.server",
        0,
        |t, n| t.notsent_lowat_server = (n > 0).then_some(n),
        "Unsent bytes up to which a server connection takes more."
    ),
    row!(
        "tune.idletimer",
        "<timeout>",
        idletimer,
        "Silence after which a stream begins with small reads again."
    ),
    row!(
        "tune.idle-pool.shared",
        "{ full | on | off }",
        idle_pool,
        "Lets workers use idle server connections of others."
    ),
    row!(
        "tune.takeover-other-tg-connections",
        "{ none | restricted | full }",
        takeover,
        "Old name of a part of 'tune.idle-pool.shared'."
    ),
    row!(
        "tune.listener.default-shards",
        "{ by-process | by-thread | by-group }",
        default_shards,
        "How many sockets share an address when 'bind' does not say."
    ),
    row!(
        "tune.listener.multi-queue",
        "{ on | fair | off }",
        multi_queue,
        "How accepted connections are given to workers."
    ),
    row!("tune.chksize", "", chksize, "Removed: 'tune.bufsize' replaces it."),
];

fn at_least(n: i64, otherwise: usize) -> usize {
    usize::try_from(n).ok().filter(|n| *n > 0).unwrap_or(otherwise)
}

fn argument<'l>(cx: &mut Cx<'_>, line: &'l Line, of: &str) -> Option<&'l Word> {
    value::one(cx, line, 1, &format!("'{of}' expects an integer argument."))
}

fn size(cx: &mut Cx<'_>, line: &Line, of: &str, min: usize, set: fn(&mut Tune, usize)) {
    let Some(word) = argument(cx, line, of) else { return };
    match value::size(&word.text) {
        // sizes are 32-bit numbers
        Ok(n) if n > 0x7fff_ffff => {
            cx.alert(Some(word), format!("'{of}' : '{}' is too large.", word.str()));
        }
        Ok(n) if (n as usize) < min => {
            cx.alert(Some(word), format!("'{of}' expects a positive integer argument."));
        }
        Ok(n) => {
            set(&mut cx.model.global.tune, n as usize);
            crate::no_effect::tell(cx, Some(word), of);
        }
        Err(rest) => {
            cx.alert(Some(word), format!("unexpected '{rest}' after size passed to '{of}'"));
        }
    }
}

fn number(
    cx: &mut Cx<'_>,
    line: &Line,
    of: &str,
    range: std::ops::RangeInclusive<i64>,
    rule: &str,
    set: fn(&mut Tune, i64),
) {
    let Some(word) = argument(cx, line, of) else { return };
    let n = value::leading(&word.text).0;
    if !range.contains(&n) {
        let rule = if rule.is_empty() { "expects an integer argument." } else { rule };
        cx.alert(Some(word), format!("'{of}' {rule}"));
        return;
    }
    value::lenient(cx, word, of);
    set(&mut cx.model.global.tune, n);
    crate::no_effect::tell(cx, Some(word), of);
}

fn optional_number(cx: &mut Cx<'_>, line: &Line, of: &str, set: fn(&mut Tune, usize)) {
    if !value::no_more(cx, line, 2) {
        return;
    }
    let n = line.word(1).map_or(0, |w| value::lenient(cx, w, of));
    match usize::try_from(n) {
        Ok(n) => set(&mut cx.model.global.tune, n),
        Err(_) => {
            cx.alert(line.word(1), format!("'{of}' expects a non-negative number but got '{n}'."));
        }
    }
}

fn runqueue_depth(cx: &mut Cx<'_>, line: &Line) {
    let of = "tune.runqueue-depth";
    let word = line.word(1);
    if !word.is_some_and(|w| w.text.first().is_some_and(u8::is_ascii_digit)) {
        cx.alert(word.or(line.words.first()), format!("'{of}' expects an integer argument."));
        return;
    }
    let depth = word.and_then(|w| u32::try_from(value::leading(&w.text).0).ok());
    cx.model.global.tune.runqueue_depth = depth.filter(|n| *n > 0);
    crate::no_effect::tell(cx, word, of);
}

fn streams_elasticity(cx: &mut Cx<'_>, line: &Line) {
    let of = "tune.streams-elasticity";
    if !value::no_more(cx, line, 2) {
        return;
    }
    let said = line.word(1).and_then(|w| w.str().parse().ok());
    match said.filter(|n| *n == 0 || *n >= 100) {
        Some(percent) => cx.model.global.tune.streams_elasticity = percent,
        None => {
            let text = format!("'{of}' expects 0 or a positive percentage value of 100 or above");
            cx.alert(line.words.last(), text);
        }
    }
}

fn defaults_purge(cx: &mut Cx<'_>, line: &Line) {
    let of = "tune.defaults.purge";
    if !value::no_more(cx, line, 2) {
        return;
    }
    let text = line.word(1).map_or_else(|| "proxies".to_owned(), |w| w.str().into_owned());
    let parts: Vec<&str> = text.split(',').collect();
    let wrong = parts.iter().find_map(|part| match *part {
        "all" | "none" if parts.len() > 1 => Some(format!("'{of}' value '{part}' is exclusive.")),
        "all" | "none" | "proxies" | "servers" => None,
        other => Some(format!("'{of}' unknown directive '{other}'.")),
    });
    match wrong {
        Some(text) => {
            cx.alert(line.word(1), text);
        }
        None => crate::no_effect::tell(cx, line.word(1).or(line.word(0)), of),
    }
}

fn idletimer(cx: &mut Cx<'_>, line: &Line) {
    const EXPECTS: &str = "'tune.idletimer' expects a timer value between 0 and 65535 ms.";
    let Some(word) = value::one(cx, line, 1, EXPECTS) else { return };
    match value::time(cx, word) {
        Ok(t) if t <= Duration::from_millis(65535) => {
            crate::no_effect::tell(cx, Some(word), "tune.idletimer")
        }
        Ok(_) => {
            cx.alert(Some(word), EXPECTS);
        }
        Err(e) => {
            cx.alert(Some(word), value::time_message(e, word, "tune.idletimer"));
        }
    }
}

/// The one argument among `choices`, or an alert that says what is expected.
fn choice<T: Copy>(
    cx: &mut Cx<'_>,
    line: &Line,
    of: &str,
    expects: &str,
    choices: &[(&str, T)],
) -> Option<T> {
    if !value::no_more(cx, line, 2) {
        return None;
    }
    let word = line.word(1);
    let found = choices.iter().find(|(name, _)| word.is_some_and(|w| w.is(name))).map(|(_, v)| *v);
    if found.is_none() {
        let got = word.map(|w| w.str().into_owned()).unwrap_or_default();
        cx.alert(line.words.last(), format!("'{of}' expects {expects} but got '{got}'."));
    }
    found
}

fn idle_pool(cx: &mut Cx<'_>, line: &Line) {
    let choices = [("full", true), ("on", true), ("off", false)];
    if let Some(on) = choice(cx, line, "tune.idle-pool.shared", "'full', 'on' or 'off'", &choices) {
        cx.model.global.tune.idle_pool_shared = on;
    }
}

fn takeover(cx: &mut Cx<'_>, line: &Line) {
    let of = "tune.takeover-other-tg-connections";
    cx.warn(
        line.word(0),
        format!(
            "'{of}' is deprecated and will be removed in version 3.7. Please use 'tune.idle-pool.shared'."
        ),
    );
    // idle connections are handed over between workers whatever their groups
    choice(
        cx,
        line,
        of,
        "'none', 'restricted', or 'full'",
        &[("none", ()), ("restricted", ()), ("full", ())],
    );
}

fn default_shards(cx: &mut Cx<'_>, line: &Line) {
    let choices =
        [("by-process", Shards::ByProcess), ("by-thread", Shards::ByThread), ("by-group", Shards::ByGroup)];
    let expects = "either 'by-process', 'by-group', or 'by-thread'";
    if let Some(shards) = choice(cx, line, "tune.listener.default-shards", expects, &choices) {
        cx.model.global.tune.default_shards = shards;
    }
}

fn multi_queue(cx: &mut Cx<'_>, line: &Line) {
    let choices = [("on", MultiQueue::On), ("fair", MultiQueue::Fair), ("off", MultiQueue::Off)];
    if let Some(queue) =
        choice(cx, line, "tune.listener.multi-queue", "either 'on', 'fair', or 'off'", &choices)
    {
        cx.model.global.tune.multi_queue = queue;
    }
}

fn chksize(cx: &mut Cx<'_>, line: &Line) {
    cx.alert(line.word(0), "option 'tune.chksize' is not supported any more (tune.bufsize is used instead).");
}
