//! `http-request`, `http-response`, `http-after-response`, `redirect`, `monitor fail`.

use super::order::{self, Stage};
use super::{anonymous, section};
use crate::rules::action::{Action, Rule};
use crate::rules::lang::{At, Parsing};
use crate::rules::redirect::Redirect;
use crate::rules::sets::{Guard, RuleSets, Rules};
use crate::rules::table::{self, Sets, Works};
use portcullis_config::{Cx, Line, ProxyKind, Word};
use portcullis_sample::work;
use std::sync::Arc;

/// One of the three rule sets.
struct Set {
    keyword: &'static str,
    bit: Sets,
    at: At,
    rules: fn(&mut RuleSets) -> &mut Rules,
}

/// `http-request`
pub fn request(cx: &mut Cx<'_>, line: &Line) {
    let set = Set {
        keyword: "http-request",
        bit: Sets::HTTP_REQUEST,
        at: At::HttpRequest,
        rules: |s| &mut s.http_request,
    };
    if rule(cx, line, &set) {
        order::warn(cx, Stage::HttpRequest);
    }
}

/// `stats http-request`; did that work?
pub fn statistics(cx: &mut Cx<'_>, line: &Line) -> bool {
    let set = Set {
        keyword: "http-request",
        bit: Sets::HTTP_REQUEST,
        at: At::HttpRequest,
        rules: |s| &mut s.stats_request,
    };
    if !rule_at(cx, line, &set, 2) {
        return false;
    }
    // the page has a realm of its own
    let rule = cx.ext::<RuleSets>().stats_request.list.last_mut().and_then(Arc::get_mut);
    if let Some(Rule { action: Action::Auth(realm @ None), .. }) = rule {
        *realm = Some(Box::from(&b"HAProxy Statistics"[..]));
    }
    true
}

/// `http-response`
pub fn response(cx: &mut Cx<'_>, line: &Line) {
    let set = Set {
        keyword: "http-response",
        bit: Sets::HTTP_RESPONSE,
        at: At::HttpResponse,
        rules: |s| &mut s.http_response,
    };
    rule(cx, line, &set);
}

/// `http-after-response`
pub fn after_response(cx: &mut Cx<'_>, line: &Line) {
    let set = Set {
        keyword: "http-after-response",
        bit: Sets::HTTP_AFTER,
        at: At::HttpAfterResponse,
        rules: |s| &mut s.http_after_response,
    };
    rule(cx, line, &set);
}

/// Parses a rule and adds it; did that work?
fn rule(cx: &mut Cx<'_>, line: &Line, set: &Set) -> bool {
    rule_at(cx, line, set, 1)
}

/// The same for a rule whose action is this word.
fn rule_at(cx: &mut Cx<'_>, line: &Line, set: &Set, action: usize) -> bool {
    let keyword = set.keyword;
    if anonymous(cx) {
        cx.alert(line.word(0), format!("'{keyword}' not allowed in anonymous 'defaults' section."));
        return false;
    }
    warn_if_unreachable(cx, set, action);
    let name = line.word(action).map(|w| w.str().into_owned()).unwrap_or_default();
    let Some(row) = table::find(set.bit, &name) else {
        unknown(cx, line.word(action), set, &name);
        return false;
    };
    let parse = match row.works {
        Works::Yes(parse) => parse,
        Works::NotYet(what) => {
            cx.alert(line.word(action), format!("'{keyword} {name}' is not supported yet ({what})."));
            return false;
        }
    };
    if name == "normalize-uri" && !cx.model.global.experimental {
        let message = "'normalize-uri' action is experimental, must be allowed via a global 'expose-experimental-directives'";
        cx.alert(line.word(action), message);
        return false;
    }
    cx.model.global.experimental_used |= name == "normalize-uri";
    let mut p = Parsing::new(cx, line.args(action + 1), set.at);
    drop(work::noted());
    let parsed = match parse(&mut p, set.bit) {
        Ok(parsed) => parsed,
        Err(why) => {
            let at = p.args.at.saturating_sub(1).max(action);
            let owner = section(cx);
            let message = format!("error detected in {owner} while parsing '{keyword} {name}' rule : {why}.");
            cx.alert(line.word(at), message);
            return false;
        }
    };
    let slow = work::noted();
    let condition = match parsed.condition {
        Some(condition) => Some(condition),
        None if p.at_end() => match p.condition() {
            Ok(condition) => condition,
            Err(why) => {
                let message =
                    format!("error detected while parsing an '{keyword} {name}' condition : {why}.");
                cx.alert(None, message);
                return false;
            }
        },
        None => {
            let word = p.args.peek().cloned().unwrap_or_default();
            let message = format!(
                "'{keyword} {name}' expects either 'if' or 'unless' followed by a condition but found '{}'.",
                word.str()
            );
            cx.alert(Some(&word), message);
            return false;
        }
    };
    let place = line.place();
    (set.rules)(cx.ext()).push(Rule { action: parsed.action, condition, place, slow });
    true
}

fn unknown(cx: &mut Cx<'_>, word: Option<&Word>, set: &Set, name: &str) {
    let mut message = format!("'{}' expects {}, but got '{name}'", set.keyword, table::list(set.bit));
    message.push_str(match name {
        "" => " (missing argument).",
        _ => ".",
    });
    if let Some(near) = table::nearest(set.bit, name) {
        message.push_str(&format!(" Did you mean '{near}' maybe ?"));
    }
    cx.alert(word, message);
}

/// A rule behind one that always ends the set is never reached.
fn warn_if_unreachable(cx: &mut Cx<'_>, set: &Set, action: usize) {
    let start = cx.proxy().place;
    let last = (set.rules)(cx.ext()).last().filter(|r| r.place > start);
    // 3.5 says nothing of these
    let quiet = |a: &Action| matches!(a, Action::Reject | Action::SilentDrop(_));
    if last.is_some_and(|r| r.condition.is_none() && r.action.is_final() && !quiet(&r.action)) {
        let what = match action {
            1 => format!("previous '{}' action is final and has", set.keyword),
            _ => "previous 'stats' action has".to_owned(),
        };
        let message = format!("{what} no condition attached, further entries are NOOP.");
        cx.warn(None, message);
    }
}

/// `redirect`
pub fn redirect(cx: &mut Cx<'_>, line: &Line) {
    if cx.proxy().kind == ProxyKind::Defaults {
        cx.alert(line.word(0), "'redirect' not allowed in 'defaults' section.");
        return;
    }
    let mut p = Parsing::new(cx, line.args(1), At::HttpRequest);
    drop(work::noted());
    match Redirect::parse(&mut p, false, false) {
        Ok((redirect, condition)) => {
            let action = Action::Redirect(Box::new(redirect));
            let slow = work::noted();
            cx.ext::<RuleSets>().redirect.push(Rule { action, condition, place: line.place(), slow });
            order::warn(cx, Stage::Redirect);
        }
        Err(why) => {
            let at = p.args.at.saturating_sub(1).max(1);
            let owner = section(cx);
            let message = format!("error detected in {owner} while parsing redirect rule : {why}.");
            cx.alert(line.word(at), message);
        }
    }
}

/// `monitor fail`
pub fn monitor_fail(cx: &mut Cx<'_>, line: &Line) {
    let (kind, name) = (cx.proxy().kind, cx.proxy().name.clone());
    if kind == ProxyKind::Defaults {
        cx.alert(line.word(0), "'monitor' not allowed in 'defaults' section.");
        return;
    }
    if kind == ProxyKind::Backend {
        let message = format!("'monitor' ignored because backend '{name}' has no frontend capability.");
        cx.warn(line.word(0), message);
    }
    if !line.word(1).is_some_and(|w| w.is("fail")) {
        cx.alert(line.word(1), "'monitor' only supports 'fail'.");
        return;
    }
    let mut p = Parsing::new(cx, line.args(2), At::Monitor);
    if p.args.peek().is_none() || !p.at_end() {
        cx.alert(line.word(2), "'monitor fail' requires either 'if' or 'unless' followed by a condition.");
        return;
    }
    match p.condition() {
        Ok(Some(condition)) => {
            let guard = Guard { condition: Arc::new(condition), place: line.place() };
            cx.ext::<RuleSets>().monitor_fail.push(guard);
            order::warn(cx, Stage::Monitor);
        }
        Ok(None) => {}
        Err(why) => {
            cx.alert(None, format!("error detected while parsing a 'monitor fail' condition : {why}."));
        }
    }
}
