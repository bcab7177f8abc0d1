//! Keywords of rules.

use super::capture;
use super::forwarded::{Forwarded, From};
use super::headers::UniqueId;
use super::lang::{At, Parsing};
use super::parse::{acl, check, http, kind, route, tcp};
use crate::persist::Wish;
use portcullis_config::{
    Cx, Diagnostics, Does, Keyword, Line, Mode, Model, ProxyKind, Rows, Sections, Severity,
};
use std::sync::Arc;

/// Everything that rules and replies bring.
#[must_use]
pub fn rows() -> Rows {
    Rows { keywords: KEYWORDS, check: Some(check_all), ..Rows::default() }
}

fn check_all(model: &mut Model, diags: &mut Diagnostics) {
    crate::reply::pages::check(model, diags);
    check::check(model, diags);
    super::names::check(model, diags);
    crate::filter::config::check(model, diags);
    super::balance::check(model, diags);
    capture::check(model, diags);
    crate::outcome::check(model, diags);
    for proxy in &model.proxies {
        let http = proxy.mode == Mode::Http || proxy.switches_to_http;
        if !http && proxy.ext.get::<Option<Arc<Forwarded>>>().is_some_and(Option::is_some) {
            let owner = format!("{} '{}'", kind(proxy), proxy.name);
            diags.add(
                Severity::Warning,
                Some(proxy.place),
                format!("'option forwarded' ignored for {owner} as it requires HTTP mode."),
            );
        }
    }
}

/// A keyword that works and has no `no` form.
pub(crate) const fn works(
    name: &'static str,
    sections: Sections,
    args: &'static str,
    help: &'static str,
    parse: fn(&mut Cx<'_>, &Line),
) -> Keyword {
    Keyword { name, sections, args, help, negatable: false, does: Does::Works(parse) }
}

use crate::filter::config as filter;
use crate::reply::rows as reply;

const KEYWORDS: &[Keyword] = &[
    works(
        "acl",
        Sections::PROXY,
        "<aclname> <criterion> [flags] [operator] <value> ...",
        "Declares a test that conditions name.",
        acl::acl,
    ),
    works(
        "tcp-request",
        Sections::PROXY,
        "{ connection | session | content } <action> [{ if | unless } <condition>] | inspect-delay <timeout>",
        "Acts on a connection or stream before HTTP does.",
        tcp::request,
    ),
    works(
        "tcp-response",
        Sections::PROXY,
        "content <action> [{ if | unless } <condition>] | inspect-delay <timeout>",
        "Acts on what a server sends.",
        tcp::response,
    ),
    works(
        "http-request",
        Sections::PROXY,
        "<action> [options...] [{ if | unless } <condition>]",
        "Acts on a request.",
        http::request,
    ),
    works(
        "http-response",
        Sections::PROXY,
        "<action> [options...] [{ if | unless } <condition>]",
        "Acts on a response of a server.",
        http::response,
    ),
    works(
        "http-after-response",
        Sections::PROXY,
        "<action> [options...] [{ if | unless } <condition>]",
        "Acts on every response.",
        http::after_response,
    ),
    works(
        "redirect",
        Sections::PROXY,
        "{ location | prefix | scheme } <to> [code <code>] <option> [{ if | unless } <condition>]",
        "Redirects.",
        http::redirect,
    ),
    works(
        "monitor",
        Sections::PROXY,
        "fail { if | unless } <condition>",
        "Lets the monitoring URI fail.",
        http::monitor_fail,
    ),
    works(
        "use_backend",
        Sections::PROXY,
        "<backend> [{ if | unless } <condition>]",
        "Chooses the backend.",
        route::use_backend,
    ),
    works("unique-id-format", Sections::PROXY, "<fmt>", "Makes an ID for each stream.", unique_id_format),
    works(
        "unique-id-header",
        Sections::PROXY,
        "<name>",
        "Sends the ID to the server in this header.",
        unique_id_header,
    ),
    works(
        "use-server",
        Sections::PROXY,
        "<server> { if | unless } <condition>",
        "Chooses the server.",
        route::use_server,
    ),
    works(
        "force-persist",
        Sections::PROXY,
        "{ if | unless } <condition>",
        "Persists on servers that are down.",
        |cx, line| route::persist(cx, line, Wish::Force),
    ),
    works(
        "ignore-persist",
        Sections::PROXY,
        "{ if | unless } <condition>",
        "Ignores persistence.",
        |cx, line| route::persist(cx, line, Wish::Ignore),
    ),
    works(
        "force-be-switch",
        Sections::PROXY,
        "{ if | unless } <condition>",
        "Switches to backends that are unpublished or disabled.",
        route::force_switch,
    ),
    Keyword {
        name: "option forwarded",
        sections: Sections::PROXY,
        args: "[proto] [host | host-expr <expr>] [by | by-expr <expr>] [by_port | by_port-expr <expr>] [for | for-expr <expr>] [for_port | for_port-expr <expr>]",
        help: "Adds the Forwarded header (RFC 7239) to requests.",
        negatable: true,
        does: Does::Works(option_forwarded),
    },
    filter::KEYWORDS[0],
    filter::KEYWORDS[1],
    capture::ROWS[0],
    capture::ROWS[1],
    reply::KEYWORDS[0],
    reply::KEYWORDS[1],
    reply::KEYWORDS[2],
    reply::KEYWORDS[3],
    reply::KEYWORDS[4],
    reply::KEYWORDS[5],
    reply::KEYWORDS[6],
];

fn option_forwarded(cx: &mut Cx<'_>, line: &Line) {
    if cx.defaulted {
        cx.alert(line.word(0), "negation/default is not supported for option 'forwarded'.");
        return;
    }
    if cx.negated {
        *cx.ext::<Option<Arc<Forwarded>>>() = None;
        return;
    }
    if cx.proxy().kind == ProxyKind::Frontend {
        let name = cx.proxy().name.clone();
        let message =
            format!("'option forwarded' ignored because frontend '{name}' has no backend capability.");
        cx.warn(line.word(0), message);
        return;
    }
    let mut p = Parsing::new(cx, line.args(2), At::Forward);
    match forwarded(&mut p) {
        Ok(option) => *cx.ext::<Option<Arc<Forwarded>>>() = Some(Arc::new(option)),
        Err(why) => {
            let at = p.args.at.saturating_sub(1);
            cx.alert(line.word(at), why);
        }
    }
}

fn forwarded(p: &mut Parsing<'_, '_, '_>) -> Result<Forwarded, String> {
    if p.args.peek().is_none() {
        return Ok(Forwarded::implied());
    }
    let mut o = Forwarded::default();
    while let Some(word) = p.args.next() {
        let name = word.str().into_owned();
        let from = match name.strip_suffix("-expr") {
            Some(_) if p.args.peek().is_none() => {
                return Err(format!("'{name}' expects <expr> as argument."));
            }
            Some(_) => From::Expr(Arc::new(p.expr().map_err(|why| {
                let owner = super::parse::section(p.cx);
                let text = p.args.words.get(p.args.at.saturating_sub(1)).map(|w| w.str().into_owned());
                let text = text.unwrap_or_default();
                let line = &p.cx.line;
                let file = p.cx.diags.files.get(line.file.0 as usize).cloned().unwrap_or_default();
                format!(
                    "{owner} [{file}:{}]: failed to parse 'option forwarded' expression '{text}' in : {why}.",
                    line.number
                )
            })?)),
            None => From::Own,
        };
        match name.strip_suffix("-expr").unwrap_or(&name) {
            "proto" if name == "proto" => o.proto = true,
            "host" => o.host = Some(from),
            "by" => o.by.name = Some(from),
            "by_port" => o.by.port = Some(from),
            "for" => o.r#for.name = Some(from),
            "for_port" => o.r#for.port = Some(from),
            _ => {
                return Err("'option forwarded' only supports optional values: 'proto', 'host', 'host-expr', 'by', 'by-expr', 'by_port', 'by_port-expr', 'for', 'for-expr', 'for_port' and 'for_port-expr'.".to_owned());
            }
        }
    }
    for (node, name) in [(&o.by, "by"), (&o.r#for, "for")] {
        if node.name.is_none() && node.port.is_some() {
            p.cx.warn(None, format!("'option forwarded' : '{name}_port-expr' will be ignored because both '{name}' and '{name}-expr' are unset"));
        }
    }
    Ok(o)
}

fn unique_id_format(cx: &mut Cx<'_>, line: &Line) {
    let Some(text) = line.word(1) else {
        cx.alert(None, "unique-id-format expects an argument.");
        return;
    };
    if let Some(extra) = line.word(2) {
        cx.alert(Some(extra), "unique-id-format expects only one argument, don't forget to escape spaces!");
        return;
    }
    let mut p = Parsing::new(cx, line.args(1), At::Forward);
    match p.id_format(text) {
        Ok(format) => cx.ext::<UniqueId>().format = Some(Arc::new(format)),
        Err(why) => {
            cx.alert(Some(text), format!("failed to parse unique-id : {why}."));
        }
    }
}

fn unique_id_header(cx: &mut Cx<'_>, line: &Line) {
    match line.word(1) {
        Some(name) => cx.ext::<UniqueId>().header = Some(name.text.to_ascii_lowercase().into()),
        None => {
            cx.alert(None, "unique-id-header expects an argument.");
        }
    }
}
