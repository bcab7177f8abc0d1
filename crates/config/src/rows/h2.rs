//! `global`: HTTP/2 (manual section 3.2, `tune.h2.*`).

use super::value;
use crate::cx::Cx;
use crate::model::{H2Load, H2LogErrors, H2Tune, RqLoad};
use crate::row::{Does, Keyword, Sections};
use crate::word::{Line, Word};

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

/// A number that is not below zero; nothing is 0.
macro_rules! number {
    ($name:literal, $set:expr, $help:literal) => {
        row!($name, "[<number>]", |cx, l| number(cx, l, $name, $set), $help)
    };
}

/// A number from a range.
macro_rules! within {
    ($name:literal, $range:expr, $set:expr, $help:literal) => {
        row!($name, "<number>", |cx, l| within(cx, l, $name, $range, $set), $help)
    };
}

/// The rows of this file.
pub const ROWS: &[Keyword] = &[
    row!(
        "h2-workaround-bogus-websocket-clients",
        "",
        workaround,
        "Does not offer WebSocket over HTTP/2 to clients."
    ),
    row!(
        "tune.glitches.kill.cpu-usage",
        "<number>",
        kill_above,
        "From which use of the processor on, in percent, connections with too many oddities are ended."
    ),
    number!(
        "tune.h2.be.glitches-threshold",
        |t, n| t.be_glitches = n,
        "Oddities after which a server's HTTP/2 connection is closed."
    ),
    number!(
        "tune.h2.be.initial-window-size",
        |t, n| t.be_window = Some(n),
        "Bytes that a server may send on a stream before it is told that they were taken."
    ),
    number!(
        "tune.h2.be.max-concurrent-streams",
        |t, n| t.be_streams = Some(n),
        "Streams of a server's connection at once."
    ),
    row!(
        "tune.h2.be.max-frames-at-once",
        "[<number>]",
        |cx, l| lenient(cx, l, "tune.h2.be.max-frames-at-once", |t, n| t.be_frames_at_once = n),
        "Frames of a server that are looked at in a row; 0 for no limit."
    ),
    row!(
        "tune.h2.be.rxbuf",
        "<size>",
        |cx, l| rxbuf(cx, l, "tune.h2.be.rxbuf", |t, n| t.be_rxbuf = Some(n)),
        "Bytes of bodies that are kept for the streams of a server's connection."
    ),
    number!(
        "tune.h2.fe.glitches-threshold",
        |t, n| t.fe_glitches = n,
        "Oddities after which a client's HTTP/2 connection is closed."
    ),
    number!(
        "tune.h2.fe.initial-window-size",
        |t, n| t.fe_window = Some(n),
        "Bytes that a client may send on a stream before it is told that they were taken."
    ),
    row!(
        "tune.h2.fe.max-concurrent-streams",
        "[<number>] [rq-load { <number> | auto | ignore }] [min <number>]",
        concurrent,
        "Streams of a client's connection at once."
    ),
    row!(
        "tune.h2.fe.max-frames-at-once",
        "[<number>]",
        |cx, l| lenient(cx, l, "tune.h2.fe.max-frames-at-once", |t, n| t.fe_frames_at_once = n),
        "Frames of a client that are looked at in a row; 0 for no limit."
    ),
    row!(
        "tune.h2.fe.max-rst-at-once",
        "[<number>]",
        |cx, l| lenient(cx, l, "tune.h2.fe.max-rst-at-once", |t, n| t.fe_resets_at_once = n),
        "RST_STREAM frames of a client that are looked at in a row; 0 for no limit."
    ),
    number!(
        "tune.h2.fe.max-total-streams",
        |t, n| t.fe_total = n,
        "Streams of a client's connection in all; 0 for no limit."
    ),
    row!(
        "tune.h2.fe.rxbuf",
        "<size>",
        |cx, l| rxbuf(cx, l, "tune.h2.fe.rxbuf", |t, n| t.fe_rxbuf = Some(n)),
        "Bytes of bodies that are kept for the streams of a client's connection."
    ),
    within!(
        "tune.h2.header-table-size",
        4096..=65536,
        |t, n| t.table = n,
        "Size of the table of header fields that a peer may use."
    ),
    number!(
        "tune.h2.initial-window-size",
        |t, n| t.window = Some(n),
        "What 'tune.h2.fe.initial-window-size' is if it is not said."
    ),
    row!(
        "tune.h2.log-errors",
        "{ none | connection | stream }",
        log_errors,
        "Which errors of HTTP/2 are logged: all, those that end the connection, or none."
    ),
    number!(
        "tune.h2.max-concurrent-streams",
        |t, n| t.streams = Some(n),
        "What 'tune.h2.fe.max-concurrent-streams' is if it is not said."
    ),
    within!(
        "tune.h2.max-frame-size",
        16384..=16_777_215,
        |t, n| t.frame = Some(n),
        "Largest frame that is taken; never above a buffer."
    ),
];

/// The number at word 1 as HAProxy reads it.
fn first(cx: &mut Cx<'_>, line: &Line, of: &str) -> i64 {
    line.word(1).map_or(0, |w| value::lenient(cx, w, of))
}

fn number(cx: &mut Cx<'_>, line: &Line, of: &str, set: fn(&mut H2Tune, u32)) {
    if !value::no_more(cx, line, 2) {
        return;
    }
    match i32::try_from(first(cx, line, of)) {
        Ok(n @ 0..) => set(&mut cx.model.global.tune.h2, n.unsigned_abs()),
        _ => {
            cx.alert(line.word(1), format!("'{of}' expects a positive numeric value."));
        }
    }
}

/// Below zero is no limit.
fn lenient(cx: &mut Cx<'_>, line: &Line, of: &str, set: fn(&mut H2Tune, u32)) {
    if value::no_more(cx, line, 2) {
        let n = first(cx, line, of);
        set(&mut cx.model.global.tune.h2, u32::try_from(n).unwrap_or(0));
    }
}

fn within(
    cx: &mut Cx<'_>,
    line: &Line,
    of: &str,
    range: std::ops::RangeInclusive<i64>,
    set: fn(&mut H2Tune, u32),
) {
    if !value::no_more(cx, line, 2) {
        return;
    }
    let n = first(cx, line, of);
    match u32::try_from(n) {
        Ok(small) if range.contains(&n) => set(&mut cx.model.global.tune.h2, small),
        _ => {
            let (low, high) = (range.start(), range.end());
            let message = format!("'{of}' expects a numeric value between {low} and {high}.");
            cx.alert(line.words.last(), message);
        }
    }
}

fn workaround(cx: &mut Cx<'_>, line: &Line) {
    if value::no_more(cx, line, 1) {
        cx.model.global.h2_no_websockets = true;
    }
}

fn concurrent(cx: &mut Cx<'_>, line: &Line) {
    let of = "tune.h2.fe.max-concurrent-streams";
    let n = first(cx, line, of);
    let Ok(n @ 0..) = i32::try_from(n) else {
        cx.alert(line.word(1), format!("'{of}' expects a positive numeric value."));
        return;
    };
    cx.model.global.tune.h2.fe_streams = Some(n.unsigned_abs());
    let mut load = H2Load::default();
    let mut words = line.words.iter().skip(2);
    while let Some(word) = words.next() {
        let message = match word.text.as_slice() {
            b"rq-load" => match words.next().map(rq_load) {
                Some(Some(from)) => {
                    load.from = from;
                    continue;
                }
                _ => format!("'{of}' expects a strictly positive run-queue length, or 'auto' or 'ignore'."),
            },
            // as unsigned numbers of 32 bits
            b"min" => match words.next().map_or(0, |w| value::leading(&w.text).0 as u32) {
                0 => format!("'{of}' expects a strictly positive minimum number of streams'."),
                least if least > n.unsigned_abs() => format!(
                    "'{of}' minimum number of streams ({least}) cannot be higher than the maximum ({n})'."
                ),
                least => {
                    load.least = least;
                    continue;
                }
            },
            _ => format!(
                "'{of}' only supports 'rq-load' or 'min' after the numeric value, but found '{}'.",
                word.str()
            ),
        };
        cx.alert(Some(word), message);
        return;
    }
    cx.model.global.tune.h2.fe_load = load;
}

/// `rq-load`'s argument; None: it is none.
fn rq_load(word: &Word) -> Option<RqLoad> {
    match value::leading(&word.text).0 {
        _ if word.is("ignore") => Some(RqLoad::Ignore),
        _ if word.is("auto") => Some(RqLoad::Auto),
        n @ 1.. => Some(RqLoad::Above(u32::try_from(n).unwrap_or(u32::MAX))),
        _ => None,
    }
}

fn kill_above(cx: &mut Cx<'_>, line: &Line) {
    if !value::no_more(cx, line, 2) {
        return;
    }
    match line.word(1).map(|w| value::leading(&w.text).0) {
        Some(n @ 0..=100) => cx.model.global.tune.glitches_kill = n as u32,
        _ => {
            let message = "'tune.glitches.kill.cpu-usage' expects a numeric value between 0 and 100";
            cx.alert(line.words.last(), message);
        }
    }
}

fn rxbuf(cx: &mut Cx<'_>, line: &Line, of: &str, set: fn(&mut H2Tune, usize)) {
    if !value::no_more(cx, line, 2) {
        return;
    }
    let text = line.word(1).map(|w| w.text.clone()).unwrap_or_default();
    let shown = String::from_utf8_lossy(&text).into_owned();
    match value::size(&text) {
        _ if text.is_empty() => {
            cx.alert(line.words.last(), format!("'{of}': unexpected character '' in size argument ''."));
        }
        Ok(n) => set(&mut cx.model.global.tune.h2, usize::try_from(n).unwrap_or(usize::MAX)),
        Err(rest) => {
            let message = format!("'{of}': unexpected character '{rest}' in size argument '{shown}'.");
            cx.alert(line.word(1), message);
        }
    }
}

fn log_errors(cx: &mut Cx<'_>, line: &Line) {
    if !value::no_more(cx, line, 2) {
        return;
    }
    let choices = [
        ("none", H2LogErrors::None),
        ("connection", H2LogErrors::Connection),
        ("stream", H2LogErrors::Stream),
    ];
    let found = choices.iter().find(|(name, _)| line.word(1).is_some_and(|w| w.is(name)));
    match found {
        Some((_, which)) => cx.model.global.tune.h2.log_errors = *which,
        None => {
            cx.alert(line.words.last(), "'tune.h2.log-errors' expects 'none', 'connection', or 'stream'");
        }
    }
}
