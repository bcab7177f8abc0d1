//! The keywords `stats …` of proxies (manual section 4.2).

use super::Page;
use portcullis_config::rows::value;
use portcullis_config::{
    Cx, Diagnostics, Does, Keyword, Line, Mode, Model, Place, Proxy, ProxyKind, Rows, Sections, Severity,
};
use portcullis_proxy::rules::RuleSets;
use portcullis_proxy::rules::lang::{At, Parsing};
use portcullis_proxy::rules::sets::Guard;
use std::sync::Arc;
use std::time::Duration;

/// A name and its password.
pub type User = (Box<[u8]>, Box<[u8]>);

/// What a section says about its page.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The section that says it: another one's are not added to.
    section: Place,
    /// `stats uri`
    pub uri: String,
    /// `stats realm`
    pub realm: Option<String>,
    /// `stats auth`
    pub users: Vec<User>,
    /// `stats refresh`
    pub refresh: Duration,
    /// `stats scope`; none: the section itself.
    pub scope: Vec<Option<String>>,
    /// `stats show-version`
    pub version: bool,
    /// `stats show-legends`
    pub legends: bool,
    /// `stats show-modules`
    pub modules: bool,
    /// `stats show-node`; inside, none: that of `global`.
    pub node: Option<Option<String>>,
    /// `stats show-desc`
    pub description: Option<String>,
    /// `stats admin`
    pub admin: Vec<Guard>,
}

impl Settings {
    fn new(section: Place) -> Self {
        Self {
            section,
            uri: "/haproxy?stats".into(),
            realm: None,
            users: Vec::new(),
            refresh: Duration::ZERO,
            scope: Vec::new(),
            version: false,
            legends: false,
            modules: false,
            node: None,
            description: None,
            admin: Vec::new(),
        }
    }
}

/// What a section keeps of it.
#[derive(Clone, Debug, Default)]
struct Kept(Option<Settings>);

/// The rows and the check of this file.
#[must_use]
pub fn rows() -> Rows {
    Rows { keywords: ROWS, check: Some(check), ..Rows::default() }
}

macro_rules! row {
    ($name:literal, $args:literal, $works:expr, $help:literal) => {
        Keyword {
            name: $name,
            sections: Sections::PROXY,
            args: $args,
            help: $help,
            negatable: false,
            does: Does::Works($works),
        }
    };
}

const ROWS: &[Keyword] = &[
    row!("stats enable", "", |cx, _| _ = settings(cx), "Answers requests for the statistics page."),
    row!("stats uri", "<prefix>", uri, "Where the statistics page is."),
    row!("stats realm", "<realm>", realm, "Realm in which the statistics page asks for a password."),
    row!("stats auth", "<user>:<passwd>", auth, "A user who may see the statistics page."),
    row!("stats refresh", "<delay>", refresh, "Lets browsers load the statistics page again and again."),
    row!("stats scope", "{ <name> | \".\" }", scope, "A proxy that the statistics page shows."),
    row!("stats hide-version", "", hide_version, "Hides the version on the statistics page."),
    row!(
        "stats show-version",
        "",
        |cx, _| settings(cx).version = true,
        "Shows the version on the statistics page."
    ),
    row!(
        "stats show-legends",
        "",
        |cx, _| settings(cx).legends = true,
        "Shows addresses, algorithms and the like on the statistics page."
    ),
    row!(
        "stats show-modules",
        "",
        |cx, _| settings(cx).modules = true,
        "Shows the counters of modules on the statistics page."
    ),
    row!("stats show-node", "[ <name> ]", node, "Shows the host's name on the statistics page."),
    row!("stats show-desc", "[ <desc> ]", description, "Shows a description on the statistics page."),
    row!("stats admin", "{ if | unless } <cond>", admin, "Lets servers be changed on the statistics page."),
    row!(
        "stats http-request",
        "{ allow | deny | auth [realm <realm>] } [ { if | unless } <condition> ]",
        http_request,
        "Who may see the statistics page."
    ),
    row!("stats", "", unknown, "Settings of the statistics page."),
];

/// What `defaults` said ends with the first line of a section of its own.
fn detach(cx: &mut Cx<'_>) {
    let section = cx.proxy().place;
    let kept = cx.ext::<Kept>();
    if kept.0.as_ref().is_some_and(|s| s.section != section) {
        kept.0 = None;
    }
}

/// The settings of the open section, which has a page by that.
fn settings<'a>(cx: &'a mut Cx<'_>) -> &'a mut Settings {
    detach(cx);
    let section = cx.proxy().place;
    cx.ext::<Kept>().0.get_or_insert_with(|| Settings::new(section))
}

fn uri(cx: &mut Cx<'_>, line: &Line) {
    match line.word(2).filter(|w| !w.text.is_empty()) {
        Some(word) => settings(cx).uri = word.str().into_owned(),
        None => drop(cx.alert(line.word(1), "'uri' needs an URI prefix.")),
    }
}

fn realm(cx: &mut Cx<'_>, line: &Line) {
    match line.word(2).filter(|w| !w.text.is_empty()) {
        Some(word) => settings(cx).realm = Some(word.str().into_owned()),
        None => drop(cx.alert(line.word(1), "'realm' needs an realm name.")),
    }
}

fn auth(cx: &mut Cx<'_>, line: &Line) {
    let Some(word) = line.word(2).filter(|w| !w.text.is_empty()) else {
        cx.alert(line.word(1), "'auth' needs a user:password account.");
        return;
    };
    let at = word.text.iter().position(|b| *b == b':').unwrap_or(word.text.len());
    let (name, rest) = word.text.split_at(at);
    let user = (Box::from(name), Box::from(rest.get(1..).unwrap_or_default()));
    let users = &mut settings(cx).users;
    if users.iter().any(|u| u.0 == user.0) {
        let message = format!("uri auth: ignoring duplicated user '{}'.", String::from_utf8_lossy(&user.0));
        cx.warn(Some(word), message);
        return;
    }
    users.push(user);
}

fn refresh(cx: &mut Cx<'_>, line: &Line) {
    let Some(word) = line.word(2).filter(|w| !w.text.is_empty()) else {
        settings(cx).refresh = Duration::ZERO;
        return;
    };
    match value::time_with_unit(&word.text, 1_000_000) {
        Ok((time, _)) => {
            value::odd_time(cx, word);
            settings(cx).refresh = Duration::from_secs(time.as_secs());
        }
        Err(value::TimeError::Character(c)) => {
            let message = format!("unexpected character '{c}' in argument to stats refresh interval.");
            cx.alert(Some(word), message);
        }
        Err(value::TimeError::Overflow) => {
            let text = word.str();
            let message = format!(
                "timer overflow in argument <{text}> to stats refresh interval, maximum value is 2147483647 s (~68 years)."
            );
            cx.alert(Some(word), message);
        }
    }
}

fn scope(cx: &mut Cx<'_>, line: &Line) {
    match line.word(2).filter(|w| !w.text.is_empty()) {
        Some(word) => {
            let name = (!word.is(".")).then(|| word.str().into_owned());
            settings(cx).scope.push(name);
        }
        None => drop(cx.alert(line.word(1), "'scope' needs a proxy name.")),
    }
}

/// It is hidden unless it is shown.
fn hide_version(cx: &mut Cx<'_>, _: &Line) {
    detach(cx);
    if let Some(settings) = &mut cx.ext::<Kept>().0 {
        settings.version = false;
    }
}

fn node(cx: &mut Cx<'_>, line: &Line) {
    let Some(word) = line.word(2).filter(|w| !w.text.is_empty()) else {
        settings(cx).node = Some(None);
        return;
    };
    let allowed = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if !word.text.iter().all(allowed) {
        let message = "'stats show-node' invalid node name - should be a string with digits(0-9), letters(A-Z, a-z), hyphen(-) or underscode(_).";
        cx.alert(Some(word), message);
        return;
    }
    settings(cx).node = Some(Some(word.str().into_owned()));
}

fn description(cx: &mut Cx<'_>, line: &Line) {
    let words: Vec<_> = line.args(2).map(|w| w.str().into_owned()).collect();
    let text = match words.is_empty() {
        false => Some(words.join(" ")),
        true => cx.model.global.description.clone(),
    };
    match text {
        Some(text) => settings(cx).description = Some(text),
        None => {
            let message = "'show-desc' requires a parameter or 'desc' to be set in the global section.";
            cx.warn(line.word(1), message);
        }
    }
}

/// In `defaults` there is no `word`.
fn only_in_proxies(cx: &mut Cx<'_>, line: &Line, keyword: &str) -> bool {
    let fits = cx.proxy().kind != ProxyKind::Defaults;
    if !fits {
        cx.alert(line.word(0), format!("'{keyword}' not allowed in 'defaults' section."));
    }
    fits
}

fn admin(cx: &mut Cx<'_>, line: &Line) {
    if !only_in_proxies(cx, line, "stats admin") {
        return;
    }
    let mut p = Parsing::new(cx, line.args(2), At::HttpRequest);
    if p.args.peek().is_none() || !p.at_end() {
        cx.alert(line.word(1), "'stats admin' requires either 'if' or 'unless' followed by a condition.");
        return;
    }
    match p.condition() {
        Ok(Some(condition)) => {
            let guard = Guard { condition: Arc::new(condition), place: line.place() };
            settings(cx).admin.push(guard);
        }
        Ok(None) => {}
        Err(why) => {
            cx.alert(None, format!("error detected while parsing a 'stats admin' rule : {why}."));
        }
    }
}

fn http_request(cx: &mut Cx<'_>, line: &Line) {
    if only_in_proxies(cx, line, "stats") && portcullis_proxy::rules::parse::http::statistics(cx, line) {
        settings(cx);
    }
}

fn unknown(cx: &mut Cx<'_>, line: &Line) {
    let expected = "'admin', 'uri', 'realm', 'auth', 'scope', 'enable', 'hide-version', 'show-node', 'show-desc' , 'show-legends' or 'show-version'";
    match line.word(1) {
        Some(word) => {
            let message = format!("unknown stats parameter '{}', expects {expected}.", word.str());
            cx.alert(Some(word), message);
        }
        None => drop(cx.alert(line.word(0), format!("missing keyword in 'stats', expects {expected}."))),
    }
}

/// Gives each proxy its page.
fn check(model: &mut Model, diags: &mut Diagnostics) {
    let node = model.global.node.clone();
    for proxy in &mut model.proxies {
        let Some(settings) = proxy.ext.get::<Kept>().and_then(|k| k.0.clone()) else { continue };
        if proxy.mode != Mode::Http {
            let kind = if proxy.kind == ProxyKind::Listen { "proxy" } else { proxy.kind.name() };
            let owner = format!("{kind} '{}'", proxy.name);
            let message = format!("'stats' statement ignored for {owner} as it requires HTTP mode.");
            diags.late(Severity::Warning, Some(proxy.place), message);
            continue;
        }
        complain(proxy, &settings, diags);
        settings.admin.iter().for_each(|g| {
            g.condition.program();
        });
        let sets = proxy.ext.entry::<RuleSets>();
        let page = Page::new(settings, sets.stats_request.clone(), &proxy.name, node.clone());
        sets.intercept = Some(Arc::new(page));
    }
}

fn complain(proxy: &Proxy, settings: &Settings, diags: &mut Diagnostics) {
    let rules = proxy.ext.get::<RuleSets>().is_some_and(|s| !s.stats_request.is_empty());
    if rules && (!settings.users.is_empty() || settings.realm.is_some()) {
        let message = format!(
            "proxy '{}': stats 'auth'/'realm' and 'http-request' can't be used at the same time.",
            proxy.name
        );
        diags.late(Severity::Alert, Some(proxy.place), message);
    }
}
