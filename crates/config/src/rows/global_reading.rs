//! `global`: how the configuration itself is read: with which priority, and how slowly (manual sections 3.2 and 3.9).

use super::global_debug::row;
use super::value;
use crate::cx::Cx;
use crate::row::Keyword;
use crate::word::Line;
use rustix::process::{getpriority_process, setpriority_process};
use std::time::Duration;

/// The rows of this file.
pub const ROWS: &[Keyword] = &[
    row(
        "tune.renice.startup",
        "<number>",
        startup,
        "The priority (nice value) with which the rest of the configuration is read.",
    ),
    row("tune.renice.runtime", "<number>", runtime, "The priority (nice value) of the process that serves."),
    row(
        "force-cfg-parser-pause",
        "<timeout>",
        pause,
        "Pauses while the configuration is read, to see what waits for that.",
    ),
];

/// The nice value of the line.
fn nice(cx: &mut Cx<'_>, line: &Line, of: &str) -> Option<i32> {
    if !value::no_more(cx, line, 2) {
        return None;
    }
    // as in HAProxy nothing is 0
    let Some(word) = line.word(1) else { return Some(0) };
    let n = word.str().parse().ok().filter(|n| (-20..=19).contains(n));
    if n.is_none() {
        let given = word.str();
        let message = format!("'{of}' only supports values between -20 and 19 inclusive (was given {given})");
        cx.alert(Some(word), message);
    }
    n
}

fn startup(cx: &mut Cx<'_>, line: &Line) {
    let Some(n) = nice(cx, line, "tune.renice.startup") else { return };
    let before = getpriority_process(None);
    match before.and_then(|before| setpriority_process(None, n).map(|()| before)) {
        Ok(before) => {
            cx.model.global.nice_before.get_or_insert(before);
        }
        Err(e) => {
            let why = std::io::Error::from(e);
            cx.warn(line.word(1), format!("couldn't set the startup nice value to {n}: {}", reason(&why)));
        }
    }
}

/// What an error of the system says, without its number.
fn reason(e: &std::io::Error) -> String {
    let text = e.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

fn runtime(cx: &mut Cx<'_>, line: &Line) {
    if let Some(n) = nice(cx, line, "tune.renice.runtime") {
        cx.model.global.nice = Some(n);
    }
}

/// Gives the reading thread the priority back that it had before `tune.renice.startup`. What cannot be restored stays: an
/// unprivileged process may only become nicer.
pub fn restore(global: &crate::model::Global) {
    if let Some(before) = global.nice_before {
        let _ = setpriority_process(None, before);
    }
}

/// Gives the process `tune.renice.runtime`; before any other thread starts.
///
/// # Errors
/// HAProxy's sentence.
pub fn renice(global: &crate::model::Global) -> Result<(), String> {
    let Some(n) = global.nice else { return Ok(()) };
    setpriority_process(None, n).map_err(|e| {
        format!("couldn't set the runtime nice value to {n}: {}", reason(&std::io::Error::from(e)))
    })
}

fn pause(cx: &mut Cx<'_>, line: &Line) {
    const OF: &str = "force-cfg-parser-pause";
    if !cx.model.global.experimental {
        let why = format!(
            "'{OF}' directive is experimental, must be allowed via a global 'expose-experimental-directives'"
        );
        cx.alert(line.word(0), why);
        return;
    }
    cx.model.global.experimental_used = true;
    let expects = format!("'{OF}' expects a timer value between 0 and 65535 ms.");
    let Some(word) = value::one(cx, line, 1, &expects) else { return };
    match value::time(cx, word) {
        Ok(t) if t <= Duration::from_millis(65535) => std::thread::sleep(t),
        Ok(_) => {
            cx.alert(Some(word), expects);
        }
        Err(e) => {
            cx.alert(Some(word), value::time_message(e, word, OF));
        }
    }
}
