//! Arguments of each action (manual section 4.4).

use crate::reply::{Of, Spec};
use crate::rules::action::{Action, Delay, NameMatch, Part, Side, Timeout};
use crate::rules::lang::{Parsing, Regex};
use crate::rules::number;
use crate::rules::redirect::Redirect;
use crate::rules::table::{Parsed, Sets};
use portcullis_config::{Cx, Proto, ProxyKind, Severity};

type P<'a, 'p, 'c, 'l> = &'a mut Parsing<'p, 'c, 'l>;
type Outcome = Result<Parsed, String>;

const LEVELS: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

#[allow(clippy::unnecessary_wraps)] // parsers end with it
fn done(action: Action) -> Outcome {
    Ok(Parsed { action, condition: None })
}

fn is_response(set: Sets) -> bool {
    set.intersects(Sets::HTTP_RESPONSE.union(Sets::TCP_RESPONSE).union(Sets::HTTP_AFTER))
}

fn count(p: P<'_, '_, '_, '_>, wanted: usize) -> bool {
    let is_argument =
        |i: usize| p.args.words.get(p.args.at + i).is_some_and(|w| !w.is("if") && !w.is("unless"));
    (0..wanted).all(is_argument)
}

/// `accept`, `allow`
pub fn accept(_: P<'_, '_, '_, '_>, _: Sets) -> Outcome {
    done(Action::Accept)
}

/// `reject`
pub fn reject(_: P<'_, '_, '_, '_>, _: Sets) -> Outcome {
    done(Action::Reject)
}

/// `deny`
pub fn deny(p: P<'_, '_, '_, '_>, set: Sets) -> Outcome {
    let status = if is_response(set) { 502 } else { 403 };
    done(Action::Deny(Box::new(Spec::parse(p, Of::Deny, status)?)))
}

/// `tarpit`
pub fn tarpit(p: P<'_, '_, '_, '_>, _: Sets) -> Outcome {
    done(Action::Tarpit(Box::new(Spec::parse(p, Of::Deny, 500)?)))
}

/// `return`
pub fn r#return(p: P<'_, '_, '_, '_>, _: Sets) -> Outcome {
    done(Action::Return(Box::new(Spec::parse(p, Of::Return, 200)?)))
}

/// `redirect`
pub fn redirect(p: P<'_, '_, '_, '_>, set: Sets) -> Outcome {
    let (redirect, condition) = Redirect::parse(p, true, is_response(set))?;
    Ok(Parsed { action: Action::Redirect(Box::new(redirect)), condition })
}

/// A header's name, in lower case, and a format.
fn name_and_format(p: P<'_, '_, '_, '_>) -> Result<(Box<[u8]>, crate::rules::lang::Format), String> {
    const EXPECTS: &str = "expects exactly 2 arguments";
    if !count(p, 1) || p.args.words.get(p.args.at + 1).is_none() {
        return Err(EXPECTS.to_owned());
    }
    let name = p.want(EXPECTS)?;
    let value = p.want(EXPECTS)?;
    if let Some(at) = name.text.iter().position(|b| !portcullis_message::field::is_token(*b)) {
        let (shown, wrong) = (name.str(), String::from_utf8_lossy(&name.text[at..=at]));
        p.cx.warn(Some(name), format!("header name '{shown}' contains forbidden character '{wrong}'."));
    }
    Ok((name.text.to_ascii_lowercase().into(), p.format(value)?))
}

/// `set-header`
pub fn set_header(p: P<'_, '_, '_, '_>, _: Sets) -> Outcome {
    let (name, format) = name_and_format(p)?;
    done(Action::SetHeader(name, format))
}

/// `add-header`
pub fn add_header(p: P<'_, '_, '_, '_>, _: Sets) -> Outcome {
    let (name, format) = name_and_format(p)?;
    done(Action::AddHeader(name, format))
}

/// `early-hint`
pub fn early_hint(p: P<'_, '_, '_, '_>, _: Sets) -> Outcome {
    let (name, format) = name_and_format(p)?;
    done(Action::EarlyHint(name, format))
}

/// `del-header`
pub fn del_header(p: P<'_, '_, '_, '_>, _: Sets) -> Outcome {
    let word = p.want("expects at least 1 argument")?;
    let lower: Box<[u8]> = word.text.to_ascii_lowercase().into();
    if !p.args.accept("-m") {
        return done(Action::DelHeader(NameMatch::Exact(lower)));
    }
    let method = p.want("-m flag expects exactly 1 argument")?.str().into_owned();
    done(Action::DelHeader(match &*method {
        "str" => NameMatch::Exact(lower),
        "beg" => NameMatch::Begin(lower),
        "end" => NameMatch::End(lower),
        "sub" => NameMatch::Contains(lower),
        "reg" => NameMatch::Regex(Box::new(Regex::new(&word.text)?)),
        other => return Err(format!("-m with unsupported matching method '{other}'")),
    }))
}

fn replace_named(p: P<'_, '_, '_, '_>, values: bool) -> Outcome {
    const EXPECTS: &str = "expects exactly 3 arguments";
    if !count(p, 2) || p.args.words.get(p.args.at + 2).is_none() {
        return Err(EXPECTS.to_owned());
    }
    let name = p.want(EXPECTS)?.text.to_ascii_lowercase().into();
    let regex = Box::new(Regex::new(&p.want(EXPECTS)?.text)?);
    let with = p.want(EXPECTS)?;
    let with = p.format(with)?;
    done(Action::ReplaceHeader { name, values, regex, with })
}

/// `replace-header`
pub fn replace_header(p: P<'_, '_, '_, '_>, _: Sets) -> Outcome {
    replace_named(p, false)
}

/// `replace-value`
pub fn replace_value(p: P<'_, '_, '_, '_>, _: Sets) -> Outcome {
    replace_named(p, true)
}

fn replace_target(p: P<'_, '_, '_, '_>, part: Part) -> Outcome {
    const EXPECTS: &str = "expects exactly 2 arguments <match-regex> and <replace-format>";
    let regex = p.want(EXPECTS)?;
    let with = p.want(EXPECTS)?;
    if !p.at_end() {
        return Err(EXPECTS.to_owned());
    }
    let regex = Regex::new(&regex.text).map_err(|why| format!("failed to parse the regex : {why}"))?;
    let with = p.format(with)?;
    done(Action::ReplaceTarget { part, regex: Box::new(regex), with })
}

/// `replace-path`
pub fn replace_path(p: P<'_, '_, '_, '_>, _: Sets) -> Outcome {
    replace_target(p, Part::Path)
}
/// `replace-pathq`
pub fn replace_pathq(p: P<'_, '_, '_, '_>, _: Sets) -> Outcome {
    replace_target(p, Part::PathQuery)
}
/// `replace-uri`
pub fn replace_uri(p: P<'_, '_, '_, '_>, _: Sets) -> Outcome {
    replace_target(p, Part::Uri)
}

fn one_format(p: P<'_, '_, '_, '_>) -> Result<crate::rules::lang::Format, String> {
    const EXPECTS: &str = "expects exactly 1 argument <format>";
    let word = p.want(EXPECTS)?;
    if !p.at_end() {
        return Err(EXPECTS.to_owned());
    }
    p.format(word)
}

/// `set-method`
pub fn set_method(p: P<'_, '_, '_, '_>, _: Sets) -> Outcome {
    done(Action::SetMethod(one_format(p)?))
}
/// `set-path`
pub fn set_path(p: P<'_, '_, '_, '_>, _: Sets) -> Outcome {
    done(Action::SetTarget(Part::Path, one_format(p)?))
}
/// `set-pathq`
pub fn set_pathq(p: P<'_, '_, '_, '_>, _: Sets) -> Outcome {
    done(Action::SetTarget(Part::PathQuery, one_format(p)?))
}
/// `set-query`
pub fn set_query(p: P<'_, '_, '_, '_>, _: Sets) -> Outcome {
    done(Action::SetTarget(Part::Query, one_format(p)?))
}
/// `set-uri`
pub fn set_uri(p: P<'_, '_, '_, '_>, _: Sets) -> Outcome {
    done(Action::SetTarget(Part::Uri, one_format(p)?))
}

/// `set-status`
pub fn set_status(p: P<'_, '_, '_, '_>, _: Sets) -> Outcome {
    let word = p.want("expects 1 argument: <status>; or 3 arguments: <status> reason <fmt>")?;
    let status = u16::try_from(number::leading(&word.text)).ok().filter(|s| (100..1000).contains(s));
    let status = status.ok_or("expects an integer status code between 100 and 999")?;
    let mut reason = None;
    if p.args.words.len() > p.args.at + 1 && p.args.accept("reason") {
        reason = p.args.next().map(|w| w.text.as_slice().into());
    }
    done(Action::SetStatus(status, reason))
}

/// `set-log-level`
pub fn set_log_level(p: P<'_, '_, '_, '_>, _: Sets) -> Outcome {
    const EXPECTS: &str = "expects exactly 1 argument (log level name or 'silent')";
    let word = p.want(EXPECTS)?;
    if word.is("silent") {
        return done(Action::SetLogLevel(None));
    }
    let level = LEVELS.iter().position(|l| word.is(l)).ok_or(EXPECTS)?;
    done(Action::SetLogLevel(u8::try_from(level).ok()))
}

/// `set-nice <nice>`: the nicer, the more turns of the event loop others have first; those below 0 are never behind.
pub fn set_nice(p: P<'_, '_, '_, '_>, _: Sets) -> Outcome {
    let word = p.want("expects exactly 1 argument (integer value)")?;
    let (nice, _) = portcullis_config::rows::value::leading(&word.text);
    let turns = u64::try_from(nice.clamp(0, 1024)).unwrap_or(0).div_ceil(128);
    done(Action::Nice(u8::try_from(turns).unwrap_or(0)))
}

/// `switch-mode http [ proto <name> ]`
pub fn switch_mode(p: P<'_, '_, '_, '_>, _: Sets) -> Outcome {
    const NAME: &str = "'tcp-request switch-mode'";
    let proxy = p.cx.proxy();
    if !proxy.kind.front() && proxy.kind != ProxyKind::Defaults {
        return Err(format!(
            "{NAME} not allowed because {} '{}' has no frontend capability",
            proxy.kind.name(),
            proxy.name
        ));
    }
    proxy.switches_to_http = true;
    let mode = p.want(&format!("{NAME} expects a mode as argument."))?.str().into_owned();
    if mode != "http" {
        return Err(format!("{NAME} expects a valid mode (got '{mode}')."));
    }
    if !p.args.accept("proto") {
        return done(Action::SwitchMode(None));
    }
    let proto = p.want(&format!("{NAME}: 'proto' expects a protocol as argument."))?.str().into_owned();
    done(Action::SwitchMode(Some(match &*proto {
        "h1" => Proto::H1,
        "h2" => Proto::H2,
        _ => {
            return Err(format!(
                "{NAME}: 'proto' expects a valid MUX protocol, if specified (got '{proto}')"
            ));
        }
    })))
}

/// `strict-mode`
pub fn strict_mode(p: P<'_, '_, '_, '_>, _: Sets) -> Outcome {
    let word = p.want("expects exactly 1 arguments")?;
    done(Action::StrictMode(match &*word.str() {
        "on" => true,
        "off" => false,
        other => return Err(format!("Unexpected value '{other}'. Only 'on' and 'off' are supported")),
    }))
}

/// `disable-l7-retry`
pub fn disable_l7_retry(_: P<'_, '_, '_, '_>, _: Sets) -> Outcome {
    done(Action::DisableL7Retry)
}

/// A time, or an expression that gives milliseconds. `rule` names it in errors.
fn delay(p: P<'_, '_, '_, '_>, rule: &str) -> Result<Delay, String> {
    let word = p.args.peek().ok_or_else(|| format!("missing value for a '{rule}' rule"))?;
    match number::time(&word.text) {
        Ok(time) => {
            p.args.next();
            if time.is_zero() {
                return Err(format!("null value is not valid for a '{rule}' rule"));
            }
            Ok(Delay::Fixed(time))
        }
        Err(None) => Err(format!(
            "timer overflow in argument '{}' to rule '{rule}' (maximum value is 2147483647 ms or ~24.8 days)",
            word.str()
        )),
        Err(Some(bad)) => {
            p.expr().map(Delay::Expr).map_err(|_| format!("unexpected character '{bad}' in rule '{rule}'"))
        }
    }
}

/// `pause`
pub fn pause(p: P<'_, '_, '_, '_>, _: Sets) -> Outcome {
    done(Action::Pause(delay(p, "pause")?))
}

/// `set-timeout`
pub fn set_timeout(p: P<'_, '_, '_, '_>, _: Sets) -> Outcome {
    if !count(p, 2) {
        return Err("expects exactly 2 arguments".to_owned());
    }
    let word = p.want("expects exactly 2 arguments")?;
    let name = word.str().into_owned();
    let timeout = match &*name {
        "client" => Timeout::Client,
        "connect" => Timeout::Connect,
        "queue" => Timeout::Queue,
        "server" => Timeout::Server,
        "tarpit" => Timeout::Tarpit,
        "tunnel" => Timeout::Tunnel,
        other => {
            return Err(format!(
                "'set-timeout' rule supports 'client'/'connect'/'queue'/'server'/'tarpit'/'tunnel' (got '{other}')"
            ));
        }
    };
    let (front, back) = (p.front(), p.back());
    let section = p.cx.proxy().name.clone();
    match timeout {
        Timeout::Client if !front => return Err(format!("'{section}' has no frontend capability")),
        Timeout::Client | Timeout::Tarpit => {}
        _ if !back => return Err(format!("'{section}' has no backend capability")),
        _ => {}
    }
    done(Action::SetTimeout(timeout, delay(p, &format!("set-timeout {name}"))?))
}

/// `wait-for-handshake`
pub fn wait_for_handshake(_: P<'_, '_, '_, '_>, _: Sets) -> Outcome {
    done(Action::WaitForHandshake)
}

/// A rule needs what `tune.bufsize.large` has not made.
fn no_large_buffers(cx: &mut Cx<'_>) {
    let (file, line) = (cx.line.file.0 as usize, cx.line.place().line);
    let at = format!("{}:{line}", cx.diags.files.get(file).map_or("", String::as_str));
    let message = format!(
        "Proxy '{}': unable to use large buffers at {at}, 'tune.bufsize.large' global parameter must be set.",
        cx.proxy().name
    );
    cx.diags.late(Severity::Alert, None, message);
}

/// `wait-for-body`
pub fn wait_for_body(p: P<'_, '_, '_, '_>, _: Sets) -> Outcome {
    const EXPECTS: &str = "expects time <time> [ at-least <bytes> ]";
    const OVERFLOW: &str = "time overflow (maximum value is 2147483647 ms or ~24.8 days)";
    let bad = |c: Option<char>| c.map_or(OVERFLOW.to_owned(), |c| format!("unexpected character '{c}'"));
    let (mut time, mut at_least, mut large) = (None, 0, 0);
    while !p.at_end() {
        if p.args.accept("time") {
            let word = p.want("missing argument for 'time'")?;
            time = Some(number::time(&word.text).map_err(bad)?);
        } else if p.args.accept("at-least") {
            let word = p.want("missing argument for 'at-least'")?;
            at_least = number::size(&word.text).map_err(bad)?;
        } else if p.args.accept("use-large-buffer") {
            large = p.cx.model.global.tune.bufsize_large;
            if large == 0 {
                no_large_buffers(p.cx);
            }
        } else {
            break;
        }
    }
    let time = time.ok_or(EXPECTS)?;
    done(Action::WaitForBody { time, at_least, large })
}

/// `set-src`
pub fn set_src(p: P<'_, '_, '_, '_>, _: Sets) -> Outcome {
    done(Action::SetAddress(Side::Source, p.expr()?))
}
/// `set-dst`
pub fn set_dst(p: P<'_, '_, '_, '_>, _: Sets) -> Outcome {
    done(Action::SetAddress(Side::Destination, p.expr()?))
}
/// `set-src-port`
pub fn set_src_port(p: P<'_, '_, '_, '_>, _: Sets) -> Outcome {
    done(Action::SetPort(Side::Source, p.expr()?))
}
/// `set-dst-port`
pub fn set_dst_port(p: P<'_, '_, '_, '_>, _: Sets) -> Outcome {
    done(Action::SetPort(Side::Destination, p.expr()?))
}
