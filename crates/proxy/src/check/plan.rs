//! What a server's check does, compiled: a script of steps, and how its connections are made.

use super::canned;
use super::config::{Act, CheckConfig, HttpSend, Method, NamedSections, Port, Rule};
use super::expect::{Expect, Pattern};
use portcullis_backend::health::CheckSettings;
use portcullis_config::addr::{Host, Ports};
use portcullis_config::{Diagnostics, Model, Proto, Proxy, Server, Severity};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Which kind of script; decides how failures are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A connection, nothing else.
    #[default]
    Connect,
    /// `tcp-check`
    Tcp,
    /// `http-check`
    Http,
    /// A protocol that this program knows.
    Own,
    /// A program that is run.
    External,
}

/// One step.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its number as written, from 1; 0: it was not written.
    pub number: usize,
    /// What it does.
    pub rule: Arc<Rule>,
    /// `comment`, its own or that of a line before it.
    pub comment: Option<String>,
}

/// What a check does.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// Which kind.
    pub kind: Kind,
    /// The steps.
    pub steps: Vec<Step>,
    /// Rules were written.
    pub written: bool,
    /// `http-check disable-on-404`
    pub disable_on_404: bool,
    /// `http-check send-state`
    pub send_state: bool,
}

/// A server's checks.
#[derive(Debug)]
pub struct CheckPlan {
    /// What the line says.
    pub settings: Arc<CheckSettings>,
    /// What the check does.
    pub script: Arc<Script>,
    /// `timeout connect`
    pub connect: Option<Duration>,
    /// `timeout check`
    pub check: Option<Duration>,
    /// Its place among all servers with checks, from 0.
    pub position: u32,
    /// TLS under it.
    pub tls: Option<super::tls::CheckTls>,
    /// `external-check command`, with what the program is told.
    pub program: Option<super::external::Program>,
}

/// Scripts of a configuration, made once each.
#[derive(Debug, Default)]
pub struct Scripts {
    named: HashMap<String, Arc<Script>>,
    next: u32,
}

impl Scripts {
    /// Of this model: the `healthcheck` sections.
    #[must_use]
    pub fn new(model: &Model) -> Self {
        let sections = model.ext.get::<NamedSections>();
        let named = sections.iter().flat_map(|s| &s.0);
        Self { named: named.map(|s| (s.name.clone(), Arc::new(script(&s.config)))).collect(), next: 0 }
    }
    /// The script of a section.
    #[must_use]
    pub fn of(&self, p: &Proxy) -> Arc<Script> {
        Arc::new(p.ext.get::<CheckConfig>().map(script).unwrap_or_default().or_connect())
    }
    /// A server's checks; none: it has no.
    pub fn plan(
        &mut self,
        model: &Model,
        p: &Proxy,
        s: &Server,
        own: &Arc<Script>,
        diags: &mut Diagnostics,
    ) -> Option<Box<CheckPlan>> {
        let checked = s.set.ext.get::<Arc<CheckSettings>>().is_some_and(|c| c.check);
        if !checked && p.ext.get::<CheckConfig>().is_some_and(CheckConfig::uses_tls) {
            super::tls::demand(model, p, s, diags);
        }
        let settings = s.set.ext.get::<Arc<CheckSettings>>().filter(|c| c.any())?.clone();
        let named = settings.healthcheck.as_ref().and_then(|n| self.named.get(n));
        let script = named.unwrap_or(own).clone();
        let position = self.next;
        self.next += 1;
        let program =
            (script.kind == Kind::External).then(|| super::external::Program::new(model, p, s)).flatten();
        let (connect, check) = (p.timeouts.connect, p.timeouts.check);
        let wanted = settings.check && script.kind != Kind::External;
        let tls =
            wanted.then(|| super::tls::CheckTls::new(model, p, s, (&settings, &script), diags)).flatten();
        Some(Box::new(CheckPlan { settings, script, connect, check, position, tls, program }))
    }
    /// How many checks there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.next
    }
}

impl Script {
    fn or_connect(mut self) -> Self {
        if self.steps.is_empty() && self.kind != Kind::External {
            self.steps.push(unwritten(canned::connect()));
        }
        self
    }
}

fn unwritten(rule: Rule) -> Step {
    Step { number: 0, comment: None, rule: Arc::new(rule) }
}

/// The script of a section.
fn script(config: &CheckConfig) -> Script {
    let own = |rules: Vec<Rule>| Script {
        kind: Kind::Own,
        steps: rules.into_iter().map(unwritten).collect(),
        ..Script::default()
    };
    let script = match &config.method {
        Method::Connect => Script::default(),
        Method::External => Script { kind: Kind::External, ..Script::default() },
        Method::Tcp => {
            let steps = written(&config.tcp.list);
            Script { kind: Kind::Tcp, written: !steps.is_empty(), steps: begin(steps), ..Script::default() }
        }
        Method::Http(request) => {
            let steps = requests(written(&config.http.list), request);
            Script {
                kind: Kind::Http,
                written: true,
                steps,
                disable_on_404: config.disable_on_404,
                send_state: config.send_state,
            }
        }
        Method::SslHello => own(canned::ssl_hello()),
        Method::Smtp(hello) => own(canned::smtp(hello)),
        Method::Mysql(login) => own(canned::mysql(login.as_ref())),
        Method::Pgsql(user) => own(canned::pgsql(user)),
        Method::Redis => own(canned::redis()),
        Method::Ldap => own(canned::ldap()),
        Method::Spop => own(canned::spop()),
    };
    script.or_connect()
}

/// Rules with their numbers; a comment is about the next one.
fn written(rules: &[Arc<Rule>]) -> Vec<Step> {
    let mut before: Option<String> = None;
    let mut steps = Vec::new();
    for (at, rule) in rules.iter().enumerate() {
        if matches!(rule.act, Act::Comment) {
            before.clone_from(&rule.comment);
            continue;
        }
        let comment = rule.comment.clone().or(before.take());
        steps.push(Step { number: at + 1, comment, rule: rule.clone() });
    }
    steps
}

fn is_connect(step: &Step) -> bool {
    matches!(step.rule.act, Act::Connect(_))
}

/// A connection before the first step that needs one.
fn begin(mut steps: Vec<Step>) -> Vec<Step> {
    let at = steps.iter().position(|s| !matches!(s.rule.act, Act::Variable(_)));
    match at {
        Some(at) if steps.get(at).is_some_and(is_connect) => {}
        Some(at) => steps.insert(at, unwritten(canned::connect())),
        None => steps.push(unwritten(canned::connect())),
    }
    steps
}

/// The request of `option httpchk`, and the response that is expected if no rule says so.
fn requests(steps: Vec<Step>, default: &HttpSend) -> Vec<Step> {
    let connects = steps.iter().any(is_connect);
    let mut steps = begin(steps);
    let is_request = |s: &Step| matches!(s.rule.act, Act::Request(_));
    let is_expect = |s: &Step| matches!(s.rule.act, Act::Expect(_));
    let request = |send: HttpSend| Rule { act: Act::Request(send), comment: None };
    match steps.iter().position(is_request) {
        // what stands there says more about the default request
        Some(at) if !connects => {
            if let Some(step) = steps.get_mut(at)
                && let Act::Request(send) = &step.rule.act
            {
                step.rule = Arc::new(request(send.over(default)));
            }
        }
        Some(_) => {}
        None => {
            let at = steps.iter().position(is_connect).map_or(0, |at| at + 1);
            steps.insert(at, unwritten(request(default.clone())));
        }
    }
    let last = steps.iter().rposition(is_request).unwrap_or(0);
    if !steps.iter().skip(last).any(is_expect) {
        let expect = Expect::new(Pattern::Status(vec![(200, 399)]));
        steps.insert(last + 1, unwritten(Rule { act: Act::Expect(Box::new(expect)), comment: None }));
    }
    steps
}

/// What can only be judged when everything was read.
pub fn check(model: &mut Model, diags: &mut Diagnostics) {
    for section in model.ext.get::<NamedSections>().iter().flat_map(|s| &s.0).filter(|s| !s.typed) {
        let text = format!("healthcheck '{}' : no type defined.", section.name);
        diags.add(Severity::Alert, Some(section.place), text);
    }
    let known: Vec<&str> =
        model.ext.get::<NamedSections>().iter().flat_map(|s| &s.0).map(|s| &*s.name).collect();
    for p in model.proxies.iter().filter(|p| p.kind.back() && !p.disabled) {
        let script = p.ext.get::<CheckConfig>().map(script).unwrap_or_default().or_connect();
        external(model, p, diags);
        in_vain(p, diags);
        for s in &p.servers {
            let Some(settings) = s.set.ext.get::<Arc<CheckSettings>>() else { continue };
            let mut alert = |text: String| {
                diags.add(Severity::Alert, Some(s.place), text);
            };
            let who = format!("{} '{}'", crate::rules::parse::kind(p), p.name);
            if let Some(name) = settings.healthcheck.as_deref().filter(|n| !known.contains(n)) {
                alert(format!(
                    "'server {}/{}' : unable to find required healthcheck '{name}'.",
                    p.name, s.name
                ));
            }
            if settings.check && settings.healthcheck.is_none() && !speaks(settings, &script) {
                alert(format!(
                    "config: proxy '{}': server '{}' uses an incompatible MUX protocol for the selected check type.",
                    p.name, s.name
                ));
            }
            if let Some(track) = &settings.track {
                tracking(model, p, s, settings, track, &mut alert);
            }
            if settings.agent && settings.agent_port.is_none() {
                alert(format!(
                    "config: {who}: server '{}' : cannot start agent-check because agent-port is not specified.",
                    s.name
                ));
            }
            if settings.check && settings.healthcheck.is_none() && !has_port(s, settings, &script) {
                alert(format!(
                    "config: {who}: server '{}' has neither service port nor check port nor tcp_check rule 'connect' with \
                     port information.",
                    s.name
                ));
            }
        }
    }
}

/// What is wrong with the checks of a server that comes while the process runs.
///
/// # Errors
/// What it is.
pub fn at_run_time(model: &Model, s: &Server) -> Result<(), String> {
    let Some(settings) = s.set.ext.get::<Arc<CheckSettings>>() else { return Ok(()) };
    let sections = model.ext.get::<NamedSections>();
    let known = |name: &String| sections.iter().flat_map(|s| &s.0).any(|s| s.name == *name);
    if let Some(name) = settings.healthcheck.as_ref().filter(|n| !known(n)) {
        return Err(format!("healthcheck section '{name}' not found for server '{}'.", s.name));
    }
    Ok(())
}

/// `option external-check` needs a command and `external-check` in `global`; without it, what is said about programs is in
/// vain.
fn external(model: &Model, p: &Proxy, diags: &mut Diagnostics) {
    let Some(config) = p.ext.get::<CheckConfig>() else { return };
    let who = format!("{} '{}'", crate::rules::parse::kind(p), p.name);
    if !matches!(config.method, Method::External) {
        for (said, what) in [(&config.command, "command"), (&config.path, "path")] {
            if said.is_some() {
                let text = format!(
                    "'external-check {what}' will be ignored for {who} (requires 'option external-check')."
                );
                diags.late(Severity::Warning, None, text);
            }
        }
        return;
    }
    let name = &p.name;
    let mut missing = |what: &str| {
        let text = format!("Proxy '{name}' : 'option external-check' unable to find required '{what}'.");
        diags.late(Severity::Alert, None, text);
    };
    if !model.global.ext.get::<super::external::Allowed>().is_some_and(|a| a.wanted) {
        missing("global.external-check");
    }
    if config.command.is_none() {
        missing("external-check command");
    }
    if !model.global.insecure_fork {
        let text = format!(
            "Proxy '{name}' : 'insecure-fork-wanted' not enabled in the global section, 'option external-check' will \
             likely fail."
        );
        diags.late(Severity::Warning, None, text);
    }
}

/// Rules for another kind of check than the section's.
fn in_vain(p: &Proxy, diags: &mut Diagnostics) {
    let Some(config) = p.ext.get::<CheckConfig>() else { return };
    let tcp = config.tcp.of(p.place) && !matches!(config.method, Method::Tcp);
    let http = config.http.of(p.place) && !matches!(config.method, Method::Http(_));
    for (vain, rules, option) in [(tcp, "tcp-check", "tcp-check"), (http, "http-check", "httpchk")] {
        if vain {
            let who = format!("{} '{}'", crate::rules::parse::kind(p), p.name);
            let text =
                format!("{who} uses {rules} rules without 'option {option}', so the rules are ignored.");
            diags.late(Severity::Warning, None, text);
        }
    }
}

/// Can such a check be made over what `check-proto` says?
fn speaks(settings: &CheckSettings, script: &Script) -> bool {
    match settings.proto {
        None => true,
        Some(Proto::None) => script.kind != Kind::Http,
        Some(_) => script.kind == Kind::Http,
    }
}

/// Is there a port to connect to?
fn has_port(s: &Server, settings: &CheckSettings, script: &Script) -> bool {
    let inet = matches!(s.address.host, Host::V4(_) | Host::V6(_));
    // what a name comes to is not known yet
    if !inet
        || s.fqdn.is_some()
        || script.kind == Kind::External
        || settings.port.is_some()
        || matches!(s.address.ports, Ports::One(p) if p > 0)
    {
        return true;
    }
    // the first connection names one
    let first = script.steps.iter().find_map(|s| match &s.rule.act {
        Act::Connect(c) => Some(c),
        _ => None,
    });
    first.is_some_and(|c| c.port.is_some() || c.addr.is_some_and(|a| a.1 > 0))
}

/// What `track` names must be there, be checked in the end, and not come back here.
fn tracking(
    model: &Model,
    p: &Proxy,
    s: &Server,
    settings: &CheckSettings,
    track: &str,
    alert: &mut dyn FnMut(String),
) {
    let who = format!("config: {} '{}', server '{}'", crate::rules::parse::kind(p), p.name, s.name);
    if settings.check {
        alert(format!("{who}: unable to use both 'check' and 'track' on the same server."));
        return;
    }
    let mut seen = vec![(p.name.clone(), s.name.clone())];
    let mut next = (p.name.clone(), track.to_owned());
    loop {
        let (of, name) = next.1.split_once('/').map_or((next.0.as_str(), next.1.as_str()), |(b, s)| (b, s));
        let Some(backend) = model.proxies.iter().find(|q| q.kind.back() && q.name == of) else {
            alert(format!("{who}: unable to find required proxy '{of}' for tracking."));
            return;
        };
        let Some(server) = backend.servers.iter().find(|q| q.name == name) else {
            alert(format!("{who}: unable to find required server '{name}' for tracking."));
            return;
        };
        let this = (backend.name.clone(), server.name.clone());
        if seen.contains(&this) {
            alert(format!(
                "{who}: unable to track {of}/{name} as it belongs to a tracking chain looping back to it."
            ));
            return;
        }
        let its = server.set.ext.get::<Arc<CheckSettings>>();
        match its.and_then(|c| c.track.clone()) {
            Some(further) => next = (backend.name.clone(), further),
            None if its.is_some_and(|c| c.any()) => return,
            None => {
                alert(format!(
                    "{who}: unable to use {of}/{name} for tracking as it does not have any check nor agent enabled."
                ));
                return;
            }
        }
        seen.push(this);
    }
}

/// The port that a `connect` names, if it is a number.
#[must_use]
pub fn literal(port: Option<&Port>) -> Option<u16> {
    match port {
        Some(Port::Number(n)) => Some(*n),
        _ => None,
    }
}
