//! `log`, `log-tag` and `log-send-hostname` (manual sections 3.1 and 4.2).

use super::{address, value};
use crate::addr::{Address, Host, Ports, Transport};
use crate::cx::Cx;
use crate::model::{LogFraming, LogTarget, LogTo};
use crate::row::{Does, Keyword, Sections};
use crate::word::{Args, Line, Word};

const BOTH: Sections = Sections::from_bits_retain(Sections::GLOBAL.bits() | Sections::PROXY.bits());

/// The rows of this file.
pub const ROWS: &[Keyword] = &[
    Keyword {
        name: "log",
        sections: BOTH,
        args: "{ global | <target> [len <len>] [format <format>] [sample <ranges>:<size>] [profile <prof>] <facility> [<level> [<minlevel>]] }",
        help: "Sends log lines there too; 'no log' forgets all targets.",
        negatable: true,
        does: Does::Works(log),
    },
    Keyword {
        name: "log-tag",
        sections: BOTH,
        args: "<string>",
        help: "The program's name in log lines.",
        negatable: false,
        does: Does::Works(log_tag),
    },
    Keyword {
        name: "log-send-hostname",
        sections: Sections::GLOBAL,
        args: "[<string>]",
        help: "Puts the host's name into the header of log lines.",
        negatable: false,
        does: Does::Works(log_send_hostname),
    },
];

/// Facilities by number.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "auth2", "ftp", "ntp",
    "audit", "alert", "cron2", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];
/// Levels by number.
const LEVELS: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];
/// Where syslog listens.
const SYSLOG: u16 = 514;

/// The name of a `format`.
pub fn framing(name: &[u8]) -> Option<LogFraming> {
    Some(match name {
        b"local" => LogFraming::Local,
        b"rfc3164" => LogFraming::Rfc3164,
        b"rfc5424" => LogFraming::Rfc5424,
        b"priority" => LogFraming::Priority,
        b"short" => LogFraming::Short,
        b"timed" => LogFraming::Timed,
        b"iso" => LogFraming::Iso,
        b"raw" => LogFraming::Raw,
        _ => return None,
    })
}

pub(super) fn log(cx: &mut Cx<'_>, line: &Line) {
    if cx.negated {
        match line.word(1) {
            Some(w) => {
                cx.alert(Some(w), "log : 'no log' does not expect arguments");
            }
            None => targets(cx).clear(),
        }
        return;
    }
    let mut args = line.args(1);
    let target = match args.next() {
        Some(w) if w.is("global") && line.words.len() == 2 => global(cx, line, w),
        first => parse(cx, line, first, &mut args),
    };
    match target {
        // those of the global section are taken once, however often they are asked for
        Ok(target) if target.global && targets(cx).iter().any(|t| t.global) => {}
        Ok(target) => targets(cx).push(target),
        Err((word, message)) => {
            cx.alert(word.or(line.words.last()), format!("log : {message}"));
        }
    }
}

fn targets<'c>(cx: &'c mut Cx<'_>) -> &'c mut Vec<LogTarget> {
    match cx.section == Sections::GLOBAL {
        true => &mut cx.model.global.logs,
        false => &mut cx.proxy().logs,
    }
}

type Wrong<'w> = (Option<&'w Word>, String);

fn global<'w>(cx: &Cx<'_>, line: &Line, word: &'w Word) -> Result<LogTarget, Wrong<'w>> {
    if cx.section == Sections::GLOBAL {
        return Err((Some(word), "'global' is not supported for a global syslog server".into()));
    }
    let nowhere = Address { transport: Transport::Datagram, host: Host::Fd(-1), ports: Ports::None };
    Ok(LogTarget { global: true, ..plain(line, LogTo::Address(nowhere)) })
}

/// A target with the defaults of everything that may follow its address.
fn plain(line: &Line, to: LogTo) -> LogTarget {
    LogTarget {
        place: line.place(),
        global: false,
        to,
        len: 1024,
        format: LogFraming::Unspecified,
        sample: None,
        profile: None,
        facility: 0,
        max_level: 7,
        min_level: 0,
    }
}

fn parse<'w>(
    cx: &Cx<'_>,
    line: &Line,
    first: Option<&'w Word>,
    args: &mut Args<'w>,
) -> Result<LogTarget, Wrong<'w>> {
    const EXPECTS: &str = "expects <address> and <facility> or global as arguments";
    let first = first.ok_or((None, EXPECTS.to_owned()))?;
    if args.peek().is_none() {
        return Err((Some(first), EXPECTS.into()));
    }
    let mut target = plain(line, to(cx, first).map_err(|e| (Some(first), e))?);
    if args.accept("len") {
        target.len = length(args.next())?;
    }
    if args.accept("format") {
        let word = args.next();
        let name = word.map(Word::str).unwrap_or_default();
        target.format = word
            .and_then(|w| framing(&w.text))
            .ok_or_else(|| (word, format!("unknown log format '{name}'")))?;
    }
    if args.accept("sample") {
        let word = args.next();
        target.sample = Some(sample(&word.map(Word::str).unwrap_or_default()).map_err(|e| (word, e))?);
    }
    if args.accept("profile") {
        target.profile = args.next().map(|w| w.str().as_ref().into());
    }
    let facility = args.next().ok_or((None, EXPECTS.to_owned()))?;
    target.facility = FACILITIES
        .iter()
        .zip(0u8..)
        .find_map(|(name, n)| facility.is(name).then_some(n))
        .ok_or_else(|| (Some(facility), format!("unknown log facility '{}'", facility.str())))?;
    if let Some(word) = args.next() {
        target.max_level = level(word, "optional log level")?;
    }
    if let Some(word) = args.next() {
        target.min_level = level(word, "optional minimum log level")?;
    }
    match args.next() {
        Some(extra) => Err((Some(extra), format!("cannot handle unexpected argument '{}'", extra.str()))),
        None => Ok(target),
    }
}

fn to(cx: &Cx<'_>, word: &Word) -> Result<LogTo, String> {
    let word = word.str();
    let text = address::expand(cx.env, &word);
    if let Some(ring) = text.strip_prefix("ring@") {
        return Ok(LogTo::Ring(ring.into()));
    }
    if let Some(backend) = text.strip_prefix("backend@") {
        return Ok(LogTo::Backend(backend.into()));
    }
    let standard = |fd| Address { transport: Transport::Datagram, host: Host::Fd(fd), ports: Ports::None };
    let mut address = match text.as_ref() {
        "stdout" => standard(1),
        "stderr" => standard(2),
        text => address::parse(text, address::LOG)?,
    };
    if let Host::SockPair(n) = &address.host {
        super::resolve::socket(*n).map_err(|e| format!("cannot use file descriptor '{n}' : {e}."))?;
    }
    if let Host::Name(name) = &address.host {
        address.host =
            super::resolve::host(cx, name).ok_or_else(|| format!("invalid address: '{name}' in '{text}'"))?;
    }
    let inet = matches!(address.host, Host::V4(_) | Host::V6(_));
    if inet && matches!(address.ports, Ports::None | Ports::One(0)) {
        address.ports = Ports::One(SYSLOG);
    }
    Ok(LogTo::Address(address))
}

fn length(word: Option<&Word>) -> Result<usize, Wrong<'_>> {
    let text = word.map(Word::str).unwrap_or_default();
    match word.and_then(|w| value::integer(&w.text)).and_then(|n| usize::try_from(n).ok()) {
        Some(n @ 80..=65535) => Ok(n),
        _ => Err((word, format!("invalid log length '{text}', must be between 80 and 65535"))),
    }
}

/// `<ranges>:<size>`: of every `size` lines, those in the ranges are sent.
fn sample(text: &str) -> Result<(Vec<(u32, u32)>, u32), String> {
    let (list, size_text) = text.rsplit_once(':').ok_or("Missing sample size")?;
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for part in list.split(',') {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        match (low.parse(), high.parse()) {
            (Ok(low @ 1..), Ok(high)) if low <= high => ranges.push((low, high)),
            _ => return Err(format!("wrong sample range '{part}'")),
        }
    }
    ranges.sort_unstable();
    if ranges.windows(2).any(|w| matches!(w, [(_, end), (begin, _)] if begin <= end)) {
        return Err("ranges are overlapping".into());
    }
    let size = size_text
        .parse()
        .ok()
        .filter(|n| *n > 0)
        .ok_or_else(|| format!("wrong sample size '{size_text}' for sample range '{list}'"))?;
    let highest = ranges.last().map_or(0, |r| r.1);
    if size < highest {
        return Err(format!(
            "sample size {size} should be greater or equal to {highest} the maximum of the high ranges limits"
        ));
    }
    Ok((ranges, size))
}

/// The number of a syslog level of this name, from 0 (`emerg`) on.
#[must_use]
pub fn level_number(word: &Word) -> Option<u8> {
    LEVELS.iter().zip(0u8..).find_map(|(name, n)| word.is(name).then_some(n))
}

fn level<'w>(word: &'w Word, what: &str) -> Result<u8, Wrong<'w>> {
    level_number(word).ok_or_else(|| (Some(word), format!("unknown {what} '{}'", word.str())))
}

fn log_tag(cx: &mut Cx<'_>, line: &Line) {
    let Some(word) = line.word(1) else {
        cx.alert(line.word(0), "'log-tag' expects a tag for use in syslog.");
        return;
    };
    let tag = word.str().into_owned();
    if cx.section != Sections::GLOBAL {
        cx.proxy().log_tag = Some(tag);
    } else if value::no_more(cx, line, 2) {
        cx.model.global.log_tag = Some(tag);
    }
}

fn log_send_hostname(cx: &mut Cx<'_>, line: &Line) {
    let said = cx.model.global.log_send_hostname.is_some();
    if value::again(cx, line, said, "'log-send-hostname'") {
        return;
    }
    cx.model.global.log_send_hostname = Some(line.word(1).map(|w| w.str().into_owned()));
}
