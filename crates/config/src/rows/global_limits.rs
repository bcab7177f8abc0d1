//! `global`: limits of the process, and the settings of HTTP/1 and the PROXY protocol that are not `tune.*`.

use super::value;
use crate::cx::Cx;
use crate::model::Global;
use crate::row::{Does, Keyword, Sections};
use crate::word::{Line, Word};
use std::path::Path;

macro_rules! row {
    ($name:literal, $args:literal, $no:literal, $works:expr, $help:literal) => {
        Keyword {
            name: $name,
            sections: Sections::GLOBAL,
            args: $args,
            help: $help,
            negatable: $no,
            does: Does::Works($works),
        }
    };
}

macro_rules! number {
    ($name:literal, $said:expr, $set:expr, $help:literal) => {
        row!($name, "<number>", false, |cx, line| number(cx, line, $name, $said, $set), $help)
    };
}

macro_rules! switch {
    ($name:literal, $set:expr, $help:literal) => {
        row!(
            $name,
            "",
            false,
            |cx, line| {
                if value::no_more(cx, line, 1) {
                    let set: fn(&mut Global) = $set;
                    set(&mut cx.model.global);
                }
            },
            $help
        )
    };
}

/// The rows of this file.
pub const ROWS: &[Keyword] = &[
    row!("maxconn", "<number>", false, maxconn, "Connections that the process serves at the same time."),
    number!(
        "ulimit-n",
        |g| g.ulimit_n.is_some(),
        |g, n| g.ulimit_n = (n > 0).then_some(n.into()),
        "Descriptors that the process asks the system for."
    ),
    number!(
        "fd-hard-limit",
        |g| g.fd_hard_limit.is_some(),
        |g, n| g.fd_hard_limit = (n > 0).then_some(n.into()),
        "Most descriptors that are asked for, whatever the system admits."
    ),
    number!(
        "maxconnrate",
        |g| g.maxconnrate != 0,
        |g, n| g.maxconnrate = n,
        "New connections a second of the process."
    ),
    number!(
        "maxsessrate",
        |g| g.maxsessrate != 0,
        |g, n| g.maxsessrate = n,
        "New sessions a second of the process."
    ),
    number!(
        "maxpipes",
        |g| g.maxpipes.is_some_and(|n| n != 0),
        |g, n| g.maxpipes = Some(n),
        "Pipes for splicing at the same time."
    ),
    row!(
        "spread-checks",
        "<0..50>",
        false,
        spread_checks,
        "How much the times of health checks vary, in percent."
    ),
    row!("strict-limits", "", true, strict_limits, "Refuses to start when a limit cannot be had."),
    switch!("nosplice", |g| g.nosplice = true, "Never splices."),
    switch!("noreuseport", |g| g.noreuseport = true, "Never lets sockets share an address."),
    switch!(
        "h1-accept-payload-with-any-method",
        |g| g.h1_accept_payload_with_any_method = true,
        "Lets GET, HEAD and DELETE have a body in HTTP/1.0."
    ),
    switch!(
        "h1-do-not-close-on-insecure-transfer-encoding",
        |g| g.h1_do_not_close_on_insecure_te = true,
        "Keeps connections after messages with both Content-Length and Transfer-Encoding."
    ),
    switch!(
        "pp2-never-send-local",
        |g| g.pp2_never_send_local = true,
        "Health checks announce PROXY, not LOCAL, in their headers."
    ),
    row!(
        "h1-case-adjust",
        "<from> <to>",
        false,
        case_adjust,
        "How a header name is written to clients and servers that mind."
    ),
    row!("h1-case-adjust-file", "<hdrs-file>", false, case_adjust_file, "A file of such header names."),
];

/// The first line counts.
fn number(cx: &mut Cx<'_>, line: &Line, of: &str, said: fn(&Global) -> bool, set: fn(&mut Global, u32)) {
    let said = said(&cx.model.global);
    if value::again(cx, line, said, &format!("'{of}'")) {
        return;
    }
    if let Some(word) = value::one(cx, line, 1, &format!("'{of}' expects an integer argument.")) {
        let n = value::lenient_u32(cx, word, of);
        set(&mut cx.model.global, n);
    }
}

fn maxconn(cx: &mut Cx<'_>, line: &Line) {
    let said = cx.model.global.maxconn.is_some();
    if value::again(cx, line, said, "'maxconn'") {
        return;
    }
    let Some(word) = value::one(cx, line, 1, "'maxconn' expects an integer argument.") else { return };
    match value::integer(&word.text) {
        // 0 and less: found from the limits of the system
        Some(n) => cx.model.global.maxconn = u32::try_from(n).ok().filter(|n| *n > 0),
        None => {
            cx.alert(
                Some(word),
                format!("cannot parse 'maxconn' value '{}', an integer is expected.", word.str()),
            );
        }
    }
}

fn spread_checks(cx: &mut Cx<'_>, line: &Line) {
    let said = cx.model.global.spread_checks != 0;
    if value::again(cx, line, said, "spread-checks") {
        return;
    }
    let Some(word) = line.word(1) else {
        cx.alert(line.word(0), "'spread-checks' expects an integer argument (0..50).");
        return;
    };
    match u32::try_from(value::lenient(cx, word, "spread-checks")) {
        Ok(n @ 0..=50) if value::no_more(cx, line, 2) => cx.model.global.spread_checks = n,
        Ok(0..=50) => {}
        _ => {
            cx.alert(Some(word), "'spread-checks' needs a positive value in range 0..50.");
        }
    }
}

fn strict_limits(cx: &mut Cx<'_>, line: &Line) {
    if value::no_more(cx, line, 1) {
        cx.model.global.no_strict_limits = cx.negated;
    }
}

fn case_adjust(cx: &mut Cx<'_>, line: &Line) {
    let (Some(from), Some(to)) = (line.word(1), line.word(2)) else {
        cx.alert(line.words.last(), "'h1-case-adjust' expects <from> and <to> as argument.");
        return;
    };
    if !value::no_more(cx, line, 3) {
        return;
    }
    if let Err(e) = adjust(&mut cx.model.global.h1_case_adjust, &from.str(), &to.str()) {
        cx.alert(Some(to), e);
    }
}

/// Adds a name as it shall look.
fn adjust(names: &mut Vec<String>, from: &str, to: &str) -> Result<(), String> {
    if !from.eq_ignore_ascii_case(to) {
        return Err("<from> and <to> must not differ except the case".into());
    }
    if names.iter().any(|n| n.eq_ignore_ascii_case(to)) {
        return Err(format!("duplicate entry '{from}'"));
    }
    names.push(to.to_owned());
    Ok(())
}

fn case_adjust_file(cx: &mut Cx<'_>, line: &Line) {
    let Some(word) = value::one(cx, line, 1, "'h1-case-adjust-file' expects <file> as argument.") else {
        return;
    };
    let name = word.str().into_owned();
    let Ok(bytes) = cx.files.read(Path::new(&name)) else {
        cx.alert(Some(word), format!("h1-headers-case-adjust-file '{name}': failed to open file."));
        return;
    };
    // the last file alone counts, beside single lines
    let mut names = Vec::new();
    for (text, number) in String::from_utf8_lossy(&bytes).lines().zip(1..) {
        if let Err(e) = adjust_line(&mut names, text.trim_matches([' ', '\t', '\r'])) {
            report(cx, word, &name, number, &e);
            return;
        }
    }
    cx.model.global.h1_case_adjust_file = names;
}

fn adjust_line(names: &mut Vec<String>, text: &str) -> Result<(), String> {
    if text.is_empty() || text.starts_with('#') {
        return Ok(());
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.as_slice() {
        [from, to] => adjust(names, from, to),
        _ => Err("two header names are expected on a line".into()),
    }
}

fn report(cx: &mut Cx<'_>, word: &Word, file: &str, number: usize, why: &str) {
    cx.alert(Some(word), format!("h1-headers-case-adjust-file '{file}': line {number}: {why}."));
}
