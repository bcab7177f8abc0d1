//! `log-format`, `error-log-format` and `log-format-sd` (manual sections 4.2 and 8.2.6).

use super::profiles::{Chosen, Steps};
use crate::rules::lang::{At, Parsing};
use portcullis_config::{
    Cx, Diagnostics, Does, Keyword, Line, LogFormat, Mode, Model, Opts, Proxy, Sections, Severity,
};
use portcullis_sample::format::Needs;
use portcullis_sample::{Format, format};
use std::sync::Arc;

/// The rows of this file.
pub const ROWS: &[Keyword] = &[
    row("log-format", "Describes the lines of traffic logs.", |cx, line| {
        if let Some((format, text)) = parse(cx, line) {
            overrides(cx, line);
            cx.ext::<Custom>().log = Some(format);
            let place = line.place();
            let proxy = cx.proxy();
            proxy.log_format = LogFormat::Custom(text);
            proxy.log_format_place = place;
        }
    }),
    row("error-log-format", "Describes the lines of connection errors and failed streams.", |cx, line| {
        if let Some((format, _)) = parse(cx, line) {
            let before = cx.ext::<Custom>().error.replace(format);
            if before.is_some() {
                again(cx, line, "error-log-format");
            }
        }
    }),
    row("log-format-sd", "Describes the structured data of rfc5424 lines.", |cx, line| {
        if let Some((format, _)) = parse(cx, line) {
            cx.ext::<Custom>().data = Some(format);
        }
    }),
];

const fn row(name: &'static str, help: &'static str, parse: fn(&mut Cx<'_>, &Line)) -> Keyword {
    let sections = Sections::FRONT;
    Keyword { name, sections, args: "<fmt>", help, negatable: false, does: Does::Works(parse) }
}

/// The formats of a section as they were read.
#[derive(Clone, Debug, Default)]
pub struct Custom {
    log: Option<Arc<Format>>,
    error: Option<Arc<Format>>,
    data: Option<Arc<Format>>,
}

/// A format of structured data needs a log.
pub(super) fn check(model: &Model, diags: &mut Diagnostics) {
    for p in model.proxies.iter().filter(|p| p.kind.front() && p.log_format == LogFormat::Connect) {
        if !model.logs(p) && p.ext.get::<Custom>().is_some_and(|c| c.data.is_some()) {
            let who = format!("{} '{}'", crate::rules::parse::kind(p), p.name);
            let text = format!("log format ignored for {who} since it has no log address.");
            diags.late(Severity::Warning, None, text);
        }
    }
}

/// Reads the one argument, and keeps its text.
fn parse(cx: &mut Cx<'_>, line: &Line) -> Option<(Arc<Format>, String)> {
    let name = line.word(0).map(|w| w.str().into_owned()).unwrap_or_default();
    let Some(text) = line.word(1) else {
        cx.alert(line.word(0), format!("{name} expects an argument."));
        return None;
    };
    if let Some(extra) = line.word(2) {
        let message = format!("{name} expects only one argument, don't forget to escape spaces!");
        cx.alert(Some(extra), message);
        return None;
    }
    let mut p = Parsing::new(cx, line.args(1), At::Log);
    match p.log_format(text) {
        Ok(format) => Some((Arc::new(format), text.str().into_owned())),
        Err(why) => {
            cx.alert(Some(text), format!("failed to parse {name} : {why}"));
            None
        }
    }
}

/// In `defaults`, a second log format is worth a warning.
fn overrides(cx: &mut Cx<'_>, line: &Line) {
    if let Some(before) = cx.proxy().log_format.keyword() {
        again(cx, line, before);
    }
}

fn again(cx: &mut Cx<'_>, line: &Line, before: &str) {
    if cx.section == Sections::DEFAULTS {
        let name = line.word(0).map(|w| w.str().into_owned()).unwrap_or_default();
        let message = format!("'{name}' overrides previous '{before}' in 'defaults' section.");
        cx.warn(line.word(0), message);
    }
}

/// What the lines of a proxy look like.
#[derive(Debug, Default)]
pub struct Formats {
    /// Of traffic; `None`: the short line at accept.
    pub log: Option<Format>,
    /// Of errors, where they look different.
    pub error: Option<Format>,
    /// The structured data of rfc5424 lines.
    pub data: Option<Format>,
    /// What must be found out for them.
    pub needs: Needs,
    /// `log-steps`; none: one line at the end.
    pub steps: Option<Steps>,
    /// When the line of a stream is written.
    pub when: When,
}

/// When the line of a stream is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// When it is over.
    #[default]
    End,
    /// When a TCP stream is connected to its server, or a response's head is there: it shows nothing of the end, or the
    /// configuration wants it so (manual section 4.2 option logasap).
    Known,
    /// When it begins, or its request's head is there: the short line of a proxy without a format.
    Begin,
}

impl Formats {
    /// The formats of a section.
    #[must_use]
    pub fn of(proxy: &Proxy) -> Self {
        let custom = proxy.ext.get::<Custom>().cloned().unwrap_or_default();
        let owned = |f: Option<Arc<Format>>| f.map(|f| (*f).clone());
        let log = match &proxy.log_format {
            LogFormat::Http if proxy.mode == Mode::Http => Some(format::builtin_http()),
            LogFormat::Https if proxy.mode == Mode::Http => Some(format::builtin_https()),
            LogFormat::HttpClf if proxy.mode == Mode::Http => Some(format::builtin_http_clf()),
            LogFormat::TcpClf => Some(format::builtin_tcp_clf()),
            LogFormat::Tcp | LogFormat::Http | LogFormat::Https | LogFormat::HttpClf => {
                Some(format::builtin_tcp())
            }
            LogFormat::Connect => None,
            LogFormat::Custom(_) => owned(custom.log),
        };
        let (error, data) = (owned(custom.error), owned(custom.data));
        let mut needs = Needs::default();
        for f in [&log, &error, &data].into_iter().flatten() {
            needs |= f.needs();
        }
        if log.is_none() {
            needs |= Needs::DESTINATION;
        }
        let has = |opt| proxy.opts.contains(opt);
        let asap = has(Opts::LOGASAP) && !has(Opts::DONTLOG_NORMAL);
        // as 3.5 has it: a line as soon as possible is the only one, and without a format there is none at a step
        let steps = proxy.ext.get::<Chosen>().and_then(|c| c.0).filter(|_| !asap || log.is_none());
        let when = match steps {
            None if log.is_none() => When::Begin,
            None if asap => When::Known,
            None if !needs.contains(Needs::END) && !has(Opts::DONTLOG_NORMAL) => When::Known,
            _ => When::End,
        };
        Self { log, error, data, needs, steps, when }
    }
}
