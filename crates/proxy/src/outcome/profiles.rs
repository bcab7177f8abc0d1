//! Steps at which lines are logged (`log-steps`, `do-log`), and `log-profile` sections, which say what they look like
//! (manual sections 4.2 and 8.3.5).

use super::Formats;
use crate::process::Process;
use portcullis_config::{
    Cx, Diagnostics, Does, Keyword, Line, LogTarget, Model, Place, Proxy, Sections, Severity, Word,
};
use portcullis_sample::format::{Format, Options};
use portcullis_sample::vocabulary;
use portcullis_telemetry::log::Loggers;
use std::sync::Arc;

bitflags::bitflags! {
    /// Steps at which lines are logged.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Steps: u16 {
        /// The connection was accepted.
        const ACCEPT = 1;
        /// The request is here.
        const REQUEST = 1 << 1;
        /// The server is connected.
        const CONNECT = 1 << 2;
        /// The response is here.
        const RESPONSE = 1 << 3;
        /// The end.
        const CLOSE = 1 << 4;
        /// `do-log` of `http-request`
        const HTTP_REQUEST = 1 << 5;
        /// `do-log` of `http-response`
        const HTTP_RESPONSE = 1 << 6;
        /// `do-log` of `http-after-response`
        const HTTP_AFTER = 1 << 7;
        /// `do-log` of `tcp-request connection`
        const TCP_CONNECTION = 1 << 8;
        /// `do-log` of `tcp-request session`
        const TCP_SESSION = 1 << 9;
        /// `do-log` of `tcp-request content`
        const TCP_REQUEST = 1 << 10;
        /// `do-log` of `tcp-response content`
        const TCP_RESPONSE = 1 << 11;
        /// An error before there was a stream.
        const ERROR = 1 << 12;
        /// Whatever no other entry of a profile is about.
        const ANY = 1 << 13;
    }
}

/// Name, step, and what `%OG` shows.
const NAMES: [(&str, Steps, &str); 14] = [
    ("accept", Steps::ACCEPT, "txn_accept"),
    ("request", Steps::REQUEST, "txn_request"),
    ("connect", Steps::CONNECT, "txn_connect"),
    ("response", Steps::RESPONSE, "txn_response"),
    ("close", Steps::CLOSE, "txn_close"),
    ("http-req", Steps::HTTP_REQUEST, "http-req"),
    ("http-res", Steps::HTTP_RESPONSE, "http-res"),
    ("http-after-res", Steps::HTTP_AFTER, "http-after-res"),
    ("tcp-req-conn", Steps::TCP_CONNECTION, "tcp-req-conn"),
    ("tcp-req-sess", Steps::TCP_SESSION, "tcp-req-sess"),
    ("tcp-req-cont", Steps::TCP_REQUEST, "tcp-req-cont"),
    ("tcp-res-cont", Steps::TCP_RESPONSE, "tcp-res-cont"),
    ("error", Steps::ERROR, "sess_error"),
    ("any", Steps::ANY, "unspec"),
];

impl Steps {
    /// What `%OG` shows.
    #[must_use]
    pub fn origin(self) -> &'static str {
        NAMES.iter().find(|n| n.1 == self).map_or("unspec", |n| n.2)
    }
    fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|n| n.0 == name).map(|n| n.1)
    }
}

/// The rows of this file.
pub const ROWS: &[Keyword] = &[
    Keyword {
        name: "log-steps",
        sections: Sections::PROXY,
        args: "<steps>",
        help: "Chooses when lines are logged.",
        negatable: false,
        does: Does::Works(log_steps),
    },
    row("log-profile", "<name>", "Opens a section about the look of log lines.", log_profile),
    row("log-tag", "<string>", "The program's name in these log lines.", log_tag),
    row("on", "<step> [drop] [format <fmt>] [sd <sd_fmt>]", "What is logged at a step.", on),
];

const fn row(
    name: &'static str,
    args: &'static str,
    help: &'static str,
    parse: fn(&mut Cx<'_>, &Line),
) -> Keyword {
    Keyword { name, sections: Sections::LOG_PROFILE, args, help, negatable: false, does: Does::Works(parse) }
}

/// What a profile says of a step.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    step: Steps,
    /// Nothing is logged.
    pub drop: bool,
    /// The line; none: the proxy's.
    pub format: Option<Arc<Format>>,
    /// The structured data; none: the proxy's.
    pub data: Option<Arc<Format>>,
}

/// A `log-profile` section.
#[derive(Clone, Debug)]
pub struct Profile {
    name: String,
    place: Place,
    tag: Option<String>,
    entries: Vec<Entry>,
}

impl Profile {
    /// What it says of a step.
    #[must_use]
    pub fn entry(&self, step: Steps) -> Option<&Entry> {
        let of = |step| self.entries.iter().find(|e| e.step == step);
        of(step).or_else(|| of(Steps::ANY))
    }
}

/// All profiles of a configuration.
#[derive(Clone, Debug, Default)]
pub struct Profiles(Vec<Profile>);

/// `log-steps` of a section.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chosen(pub Option<Steps>);

fn log_steps(cx: &mut Cx<'_>, line: &Line) {
    let Some(word) = line.word(1) else { return };
    let text = word.str();
    let mut steps = Steps::empty();
    if text == "all" {
        steps = Steps::all() - Steps::ERROR - Steps::ANY;
    } else {
        for name in text.split(',') {
            match Steps::named(name).filter(|s| !s.intersects(Steps::ERROR | Steps::ANY)) {
                Some(step) => steps |= step,
                None => {
                    let known: Vec<&str> = NAMES.iter().take(12).map(|n| n.0).collect();
                    let known = known.join(", ");
                    let message = format!("invalid log step name ({name}). Expected values are: {known}");
                    cx.alert(Some(word), message);
                    return;
                }
            }
        }
    }
    cx.ext::<Chosen>().0 = Some(steps);
}

fn log_profile(cx: &mut Cx<'_>, line: &Line) {
    let name = line.word(1).map(|w| w.str().into_owned()).unwrap_or_default();
    if let Some(extra) = line.word(2) {
        let message = format!("'log-profile' cannot handle unexpected argument '{}'.", extra.str());
        cx.alert(Some(extra), message);
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '_' | '-');
    if let Some(bad) = name.chars().find(|c| !allowed(*c)) {
        let message = format!("character '{bad}' is not permitted in 'log-profile' name '{name}'.");
        cx.alert(line.word(1), message);
    }
    let before = cx.model.ext.entry::<Profiles>().0.iter().find(|p| p.name == name).map(|p| p.place);
    if let Some(place) = before {
        let file = cx.diags.files.get(place.file.0 as usize).cloned().unwrap_or_default();
        let message = format!(
            "log-profile section '{name}' has the same name as another log-profile section declared at {file}:{}.",
            place.line
        );
        cx.alert(line.word(1), message);
    }
    let profile = Profile { name, place: line.place(), tag: None, entries: Vec::new() };
    cx.model.ext.entry::<Profiles>().0.push(profile);
}

fn log_tag(cx: &mut Cx<'_>, line: &Line) {
    let Some(word) = line.word(1) else {
        cx.alert(line.word(0), "'log-tag' expects a tag for use in syslog.");
        return;
    };
    let tag = word.str().into_owned();
    if let Some(profile) = cx.model.ext.entry::<Profiles>().0.last_mut() {
        profile.tag = Some(tag);
    }
}

const EXPECTED: &str = "'on' expects a log step.\n\
    expected values are: 'accept', 'request', 'connect', 'response', 'close', 'error' or 'any'.\n\
    Or one of the additional log steps: 'http-req', 'http-res', 'http-after-res', 'tcp-req-conn', 'tcp-req-sess', \
    'tcp-req-cont', 'tcp-res-cont'.";

fn on(cx: &mut Cx<'_>, line: &Line) {
    let name = line.word(1).map(|w| w.str().into_owned()).unwrap_or_default();
    let Some(step) = Steps::named(&name) else {
        cx.alert(line.word(1).or(line.word(0)), EXPECTED);
        return;
    };
    match entry(cx, line, step, &name) {
        Ok(entry) => {
            if let Some(profile) = cx.model.ext.entry::<Profiles>().0.last_mut() {
                profile.entries.retain(|e| e.step != step);
                profile.entries.push(entry);
            }
        }
        Err((at, message)) => {
            cx.alert(line.word(at).or(line.words.last()), message);
        }
    }
}

fn entry(cx: &mut Cx<'_>, line: &Line, step: Steps, name: &str) -> Result<Entry, (usize, String)> {
    let wrong = || format!("'on {name}' expects 'drop', 'format' or 'sd'.");
    let mut entry = Entry { step, ..Entry::default() };
    let mut at = 2;
    let Some(_) = line.word(at) else { return Err((at, wrong())) };
    while let Some(word) = line.word(at) {
        let what = word.str();
        match &*what {
            "drop" if at == 2 => {
                entry.drop = true;
                at += 1;
            }
            "format" | "sd" => {
                let missing = || (at, format!("'on {name} {what}' expects a logformat string."));
                let format = compiled(cx, line.word(at + 1).ok_or_else(missing)?).map_err(|e| (at + 1, e))?;
                *if what == "sd" { &mut entry.data } else { &mut entry.format } = Some(format);
                at += 2;
            }
            _ => return Err((at, wrong())),
        }
    }
    Ok(entry)
}

fn compiled(cx: &mut Cx<'_>, word: &Word) -> Result<Arc<Format>, String> {
    let (format, warnings) = Format::compile(&word.text, Options::LOG, &vocabulary())
        .map_err(|e| format!("failed to parse logformat: {}", e.0))?;
    for warning in warnings {
        cx.warn(Some(word), warning);
    }
    Ok(Arc::new(format))
}

/// Targets that share a profile.
#[derive(Debug)]
pub struct Group {
    /// The targets.
    pub loggers: Loggers,
    /// The profile.
    pub profile: Option<Arc<Profile>>,
}

/// Where and how a proxy logs, if profiles have to do with it.
#[derive(Debug)]
pub struct Profiled {
    /// As the `log` lines say.
    pub own: Vec<Group>,
    /// All targets with a profile that a `do-log` rule may name.
    forced: Vec<Group>,
}

impl Profiled {
    /// All targets with this profile; as the `log` lines say for one that is not there.
    #[must_use]
    pub fn groups(&self, forced: Option<&str>) -> &[Group] {
        let named = |name: &str| {
            let of = |g: &&Group| g.profile.as_ref().is_some_and(|p| p.name == name);
            self.forced.iter().find(of).map(std::slice::from_ref)
        };
        forced.and_then(named).unwrap_or(&self.own)
    }

    /// Of a proxy; none if there are no profiles.
    pub fn of(model: &Model, p: &Proxy, process: &Process, formats: &mut Formats) -> Option<Box<Self>> {
        let profiles: Vec<Arc<Profile>> = model
            .ext
            .get::<Profiles>()
            .map(|p| p.0.iter().cloned().map(Arc::new).collect())
            .unwrap_or_default();
        if profiles.is_empty() || p.logs.is_empty() {
            return None;
        }
        for format in profiles.iter().flat_map(|p| &p.entries).flat_map(|e| [&e.format, &e.data]).flatten() {
            formats.needs |= format.needs();
        }
        let all = |t: &LogTarget| if t.global { model.global.logs.clone() } else { vec![t.clone()] };
        let targets: Vec<LogTarget> = p.logs.iter().flat_map(all).filter(|t| !t.global).collect();
        let tag = p.log_tag.as_deref().or(model.global.log_tag.as_deref());
        let group = |targets: &[LogTarget], profile: Option<Arc<Profile>>| {
            let tag = profile.as_ref().and_then(|p| p.tag.as_deref()).or(tag);
            // what cannot be opened was told of with the proxy's other targets
            let loggers = Loggers::new(&process.sinks, targets, &[], tag).unwrap_or_default();
            Group { loggers, profile }
        };
        let find = |name: &Option<Arc<str>>| {
            let name = name.as_deref()?;
            profiles.iter().find(|p| p.name == name).cloned()
        };
        let own = targets.chunk_by(|a, b| a.profile == b.profile);
        let own = own.map(|same| group(same, same.first().and_then(|t| find(&t.profile)))).collect();
        let forced = profiles.iter().map(|p| group(&targets, Some(p.clone()))).collect();
        Some(Box::new(Self { own, forced }))
    }
}

/// Profiles that rules name must be there.
pub fn check(model: &Model, diags: &mut Diagnostics) {
    super::formats::check(model, diags);
    let known = |name: &str| model.ext.get::<Profiles>().is_some_and(|p| p.0.iter().any(|p| p.name == name));
    for proxy in &model.proxies {
        let Some(sets) = proxy.ext.get::<crate::rules::RuleSets>() else { continue };
        for (place, name) in sets.named_profiles().filter(|(_, name)| !known(name)) {
            let message = format!("Proxy '{}': do-log action: profile '{name}' is invalid.", proxy.name);
            diags.add(Severity::Alert, Some(place), message);
        }
    }
}
