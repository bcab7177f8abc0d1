//! `tcp-request` and `tcp-response`.

use super::order::{self, Stage};
use super::{anonymous, section};
use crate::rules::action::{Action, Rule};
use crate::rules::capture;
use crate::rules::lang::{At, Parsing};
use crate::rules::number;
use crate::rules::sets::{RuleSets, Rules};
use crate::rules::table::{self, Parsed, Sets, Works};
use portcullis_config::{Cx, Line, ProxyKind};
use portcullis_sample::work;
use std::time::Duration;

/// One of the four rule sets.
struct Set {
    /// "tcp-request connection"
    name: &'static str,
    bit: Sets,
    at: At,
    rules: fn(&mut RuleSets) -> &mut Rules,
}

const CONNECTION: Set = Set {
    name: "tcp-request connection",
    bit: Sets::TCP_CONNECTION,
    at: At::TcpConnection,
    rules: |s| &mut s.tcp_connection,
};
const SESSION: Set = Set {
    name: "tcp-request session",
    bit: Sets::TCP_SESSION,
    at: At::TcpSession,
    rules: |s| &mut s.tcp_session,
};
const REQUEST: Set = Set {
    name: "tcp-request content",
    bit: Sets::TCP_REQUEST,
    at: At::TcpRequest,
    rules: |s| &mut s.tcp_request,
};
const RESPONSE: Set = Set {
    name: "tcp-response content",
    bit: Sets::TCP_RESPONSE,
    at: At::TcpResponse,
    rules: |s| &mut s.tcp_response,
};

/// `tcp-request`
pub fn request(cx: &mut Cx<'_>, line: &Line) {
    let Some(what) = line.word(1) else {
        let owner = section(cx);
        cx.alert(None, format!("missing argument for 'tcp-request' in {owner}"));
        return;
    };
    match &*what.str() {
        "inspect-delay" => {
            if let Some(delay) = delay(cx, line, "tcp-request") {
                let said = cx.ext::<RuleSets>().request_delay.is_some();
                match said {
                    true => first_counts(cx, line, "tcp-request"),
                    false => cx.ext::<RuleSets>().request_delay = Some(delay),
                }
            }
        }
        "connection" => front_rule(cx, line, &CONNECTION, Stage::Connection),
        "session" => front_rule(cx, line, &SESSION, Stage::Session),
        "content" => {
            if anonymous_content(cx, line) && rule(cx, line, &REQUEST) {
                order::warn(cx, Stage::Content);
            }
        }
        other => {
            let owner = section(cx);
            let message = format!(
                "'tcp-request' expects 'inspect-delay', 'connection', or 'content' in {owner} (got '{other}')"
            );
            cx.alert(Some(what), message);
        }
    }
}

/// `tcp-response`
pub fn response(cx: &mut Cx<'_>, line: &Line) {
    let Some(what) = line.word(1) else {
        let owner = section(cx);
        cx.alert(None, format!("missing argument for 'tcp-response' in {owner}"));
        return;
    };
    let delayed = what.is("inspect-delay");
    if !delayed && !what.is("content") {
        let owner = section(cx);
        let message =
            format!("'tcp-response' expects 'inspect-delay' or 'content' in {owner} (got '{}')", what.str());
        cx.alert(Some(what), message);
        return;
    }
    if anonymous(cx) || cx.proxy().kind == ProxyKind::Frontend {
        let message = format!(
            "tcp-response {} is only allowed in 'backend' sections or 'defaults' section with a name",
            what.str()
        );
        cx.alert(line.word(0), message);
        return;
    }
    if !delayed {
        rule(cx, line, &RESPONSE);
    } else if let Some(delay) = delay(cx, line, "tcp-response") {
        let said = cx.ext::<RuleSets>().response_delay.is_some();
        match said {
            true => first_counts(cx, line, "tcp-response"),
            false => cx.ext::<RuleSets>().response_delay = Some(delay),
        }
    }
}

/// The first `inspect-delay` counts, also that of the `defaults` section.
fn first_counts(cx: &mut Cx<'_>, line: &Line, keyword: &str) {
    let owner = section(cx);
    cx.warn(line.word(0), format!("ignoring {keyword} inspect-delay (was already defined) in {owner}"));
}

fn anonymous_content(cx: &mut Cx<'_>, line: &Line) -> bool {
    if anonymous(cx) {
        cx.alert(line.word(0), "tcp-request content is not allowed in anonymous 'defaults' sections");
        return false;
    }
    true
}

/// A rule that only a client side can have.
fn front_rule(cx: &mut Cx<'_>, line: &Line, set: &Set, stage: Stage) {
    if anonymous(cx) {
        let message = format!("{} is not allowed in anonymous 'defaults' sections", set.name);
        cx.alert(line.word(0), message);
        return;
    }
    if cx.proxy().kind == ProxyKind::Backend {
        let name = cx.proxy().name.clone();
        let message = format!("{} is not allowed because backend {name} is not a frontend", set.name);
        cx.alert(line.word(0), message);
        return;
    }
    if rule(cx, line, set) {
        order::warn(cx, stage);
    }
}

fn delay(cx: &mut Cx<'_>, line: &Line, keyword: &str) -> Option<Duration> {
    if anonymous(cx) {
        let message = format!("{keyword} inspect-delay is not allowed in anonymous 'defaults' sections");
        cx.alert(line.word(0), message);
        return None;
    }
    let owner = section(cx);
    let mut message =
        format!("'{keyword} inspect-delay' expects a positive delay in milliseconds, in {owner}");
    let Some(word) = line.word(2) else {
        cx.alert(None, message);
        return None;
    };
    match number::time(&word.text) {
        Ok(delay) => return Some(delay),
        Err(Some(bad)) => message.push_str(&format!(" (unexpected character '{bad}')")),
        Err(None) => message.push_str(&format!(
            " (timer overflow in '{}', maximum value is 2147483647 ms or ~24.8 days)",
            word.str()
        )),
    }
    cx.alert(Some(word), message);
    None
}

/// Parses a rule and adds it; did that work?
fn rule(cx: &mut Cx<'_>, line: &Line, set: &Set) -> bool {
    let name = line.word(2).map(|w| w.str().into_owned()).unwrap_or_default();
    let owner = section(cx);
    let mut p = Parsing::new(cx, line.args(3), set.at);
    drop(work::noted());
    let parsed = match first(&mut p, set, &name, &owner).or_else(|| listed(&mut p, set, &name)) {
        Some(Ok(parsed)) => parsed,
        Some(Err(message)) => {
            cx.alert(line.word(2), message);
            return false;
        }
        None => {
            let first = if set.bit == Sets::TCP_RESPONSE {
                table::TCP_RESPONSE_FIRST
            } else {
                table::TCP_REQUEST_FIRST
            };
            let list = table::list(set.bit);
            let message = format!("'{}' expects {first}, {list} in {owner} (got '{name}').", set.name);
            cx.alert(line.word(2), message);
            return false;
        }
    };
    let slow = work::noted();
    let condition = match p.args.peek() {
        Some(word) if !p.at_end() => {
            let got = word.str();
            let message =
                format!("'{} {name}' only accepts 'if' or 'unless', in {owner} (got '{got}')", set.name);
            cx.alert(Some(word), message);
            return false;
        }
        Some(word) => match p.condition() {
            Ok(condition) => condition,
            Err(why) => {
                let message = format!(
                    "'{} {name}' : error detected in {owner} while parsing '{}' condition : {why}",
                    set.name,
                    word.str()
                );
                cx.alert(None, message);
                return false;
            }
        },
        None => None,
    };
    let place = line.place();
    (set.rules)(cx.ext()).push(Rule { action: parsed.action, condition, place, slow });
    true
}

/// The actions that these keywords parse themselves. Errors are whole messages.
fn first(p: &mut Parsing<'_, '_, '_>, set: &Set, name: &str, owner: &str) -> Option<Result<Parsed, String>> {
    let action = match name {
        "accept" => Action::Accept,
        "reject" => Action::Reject,
        "close" if set.bit == Sets::TCP_RESPONSE => Action::Close,
        _ if set.bit == Sets::TCP_RESPONSE => return None,
        "expect-proxy" => return Some(expect(p, set, name, owner, Action::ExpectProxy)),
        "expect-netscaler-cip" => return Some(expect(p, set, name, owner, Action::ExpectNetscalerCip)),
        "capture" if set.bit == Sets::TCP_REQUEST => return Some(capture::content(p)),
        "capture" => return Some(Err(capture::not_here(p, set.name))),
        track if track.starts_with("track-sc") => {
            return Some(Err(format!("'{} {name}' is not supported yet (stick tables).", set.name)));
        }
        _ => return None,
    };
    Some(Ok(Parsed { action, condition: None }))
}

fn expect(
    p: &mut Parsing<'_, '_, '_>,
    set: &Set,
    name: &str,
    owner: &str,
    action: Action,
) -> Result<Parsed, String> {
    if !p.args.accept("layer4") {
        let got = p.args.peek().map(|w| w.str().into_owned()).unwrap_or_default();
        return Err(format!("'{} {name}' only supports 'layer4' in {owner} (got '{got}')", set.name));
    }
    if set.bit != Sets::TCP_CONNECTION {
        return Err(format!("'{name} layer4' is not allowed in '{}' rules in {owner}", set.name));
    }
    Ok(Parsed { action, condition: None })
}

/// The actions of the common table.
fn listed(p: &mut Parsing<'_, '_, '_>, set: &Set, name: &str) -> Option<Result<Parsed, String>> {
    let row = table::find(set.bit, name)?;
    Some(match row.works {
        Works::Yes(parse) => parse(p, set.bit),
        Works::NotYet(what) => Err(format!("'{} {name}' is not supported yet ({what}).", set.name)),
    })
}
