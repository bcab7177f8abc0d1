//! What only the whole configuration can tell about rules.

use super::kind;
use crate::plan::Named;
use crate::rules::action::Target;
use crate::rules::capture::Captures;
use crate::rules::sets::RuleSets;
use portcullis_config::{Diagnostics, Mode, Model, Place, Proxy, ProxyKind, Severity};
use std::collections::HashMap;

/// Finds the backends of `use_backend` rules, and complains about rules that cannot be where they are.
pub fn check(model: &mut Model, diags: &mut Diagnostics) {
    inheritance(model, diags);
    crate::rules::do_resolve::check(model, diags);
    crate::rules::attach::check(model, diags);
    let backends: HashMap<String, usize> = model
        .proxies
        .iter()
        .enumerate()
        .filter(|(_, p)| matches!(p.kind, ProxyKind::Backend | ProxyKind::Listen))
        .map(|(i, p)| (p.name.clone(), i))
        .collect();
    remember(model);
    let modes: Vec<(Mode, Place)> = model.proxies.iter().map(|p| (p.mode, p.place)).collect();
    for (index, proxy) in model.proxies.iter_mut().enumerate() {
        if proxy.ext.get::<RuleSets>().is_none() {
            continue;
        }
        switching(index, proxy, &backends, &modes, diags);
        servers(proxy, diags);
        proxy.ext.entry::<RuleSets>().compile();
        match proxy.mode {
            Mode::Http => bytes_in_http(proxy, diags),
            _ if proxy.switches_to_http => {}
            _ => without_http(proxy, diags),
        }
    }
}

/// Backends and servers that rules name stay.
fn remember(model: &mut Model) {
    let mut named = std::mem::take(model.ext.entry::<Named>());
    for proxy in &model.proxies {
        if let Some((name, _)) = &proxy.default_backend {
            named.backend(name);
        }
        let Some(sets) = proxy.ext.get::<RuleSets>() else { continue };
        let of = |rules: &[crate::rules::action::UseBackend]| {
            let name = |r: &crate::rules::action::UseBackend| match &r.target {
                Target::Name(name, _) => Some(name.clone()),
                Target::Format(_) => None,
            };
            rules.iter().filter_map(name).collect::<Vec<String>>()
        };
        of(&sets.use_backend.list).iter().for_each(|name| named.backend(name));
        of(&sets.use_server.list).iter().for_each(|name| named.server(&proxy.name, name));
    }
    *model.ext.entry::<Named>() = named;
}

fn switching(
    index: usize,
    proxy: &mut Proxy,
    backends: &HashMap<String, usize>,
    modes: &[(Mode, Place)],
    diags: &mut Diagnostics,
) {
    let (name, mode, start) = (proxy.name.clone(), proxy.mode, proxy.place);
    for rule in &mut proxy.ext.entry::<RuleSets>().use_backend.list {
        let Target::Name(wanted, found) = &mut rule.target else { continue };
        let message = match backends.get(wanted) {
            None => format!("Proxy '{name}': unable to find required use_backend: '{wanted}'."),
            Some(target) if *target == index => {
                format!("Proxy '{name}': loop detected for use_backend: '{wanted}'.")
            }
            Some(target) => match modes.get(*target) {
                Some((Mode::Tcp, place)) if mode == Mode::Http => format!(
                    "http frontend '{name}' ({}) tries to use incompatible tcp backend '{wanted}' ({}) in a \
                     'use_backend' rule (see 'mode').",
                    at(start, diags),
                    at(*place, diags)
                ),
                _ => {
                    *found = *target;
                    continue;
                }
            },
        };
        diags.late(Severity::Alert, Some(rule.place), message);
    }
}

/// Finds the servers of `use-server` rules.
fn servers(proxy: &mut Proxy, diags: &mut Diagnostics) {
    if proxy.kind == ProxyKind::Frontend {
        return;
    }
    let names: Vec<String> = proxy.servers.iter().map(|s| s.name.clone()).collect();
    let owner = format!("{} '{}'", kind(proxy), proxy.name);
    for rule in &mut proxy.ext.entry::<RuleSets>().use_server.list {
        let Target::Name(wanted, found) = &mut rule.target else { continue };
        match names.iter().position(|n| n == wanted) {
            Some(at) => *found = at,
            None => {
                let message =
                    format!("{owner} : unable to find server '{wanted}' referenced in a 'use-server' rule.");
                diags.late(Severity::Alert, Some(rule.place), message);
            }
        }
    }
}

/// Conditions on bytes of buffers come to nothing in HTTP.
fn bytes_in_http(proxy: &Proxy, diags: &mut Diagnostics) {
    let Some(sets) = proxy.ext.get::<RuleSets>() else { return };
    let rules = [
        &sets.tcp_session,
        &sets.tcp_request,
        &sets.tcp_response,
        &sets.http_request,
        &sets.http_response,
        &sets.http_after_response,
    ];
    let of_rules = rules.into_iter().flat_map(|s| &s.list).map(|r| (r.condition.as_ref(), r.place));
    let routes = [&sets.use_backend, &sets.use_server];
    let of_routes = routes.into_iter().flat_map(|r| &r.list).map(|r| (r.condition.as_deref(), r.place));
    for (_, place) in of_rules.chain(of_routes).filter(|(c, _)| c.is_some_and(|c| c.looks_at_bytes())) {
        let here = at(place, diags);
        let text = format!(
            "Proxy '{}': L6 sample fetches ignored on HTTP proxies (declared at {here}).",
            proxy.name
        );
        diags.late(Severity::Warning, None, text);
    }
}

/// HTTP rules of a proxy that does not speak HTTP do nothing.
fn without_http(proxy: &Proxy, diags: &mut Diagnostics) {
    let Some(sets) = proxy.ext.get::<RuleSets>() else { return };
    for (keyword, rules) in [
        ("http-request", &sets.http_request),
        ("http-response", &sets.http_response),
        ("http-after-response", &sets.http_after_response),
        ("redirect", &sets.redirect),
    ] {
        if !rules.is_empty() {
            let owner = format!("{} '{}'", kind(proxy), proxy.name);
            diags.late(
                Severity::Warning,
                rules.last().map(|r| r.place),
                format!("'{keyword}' rules ignored for {owner} as they require HTTP mode."),
            );
        }
    }
}

/// Which sections may inherit rules from which `defaults` (manual section 4.2 "http-request").
fn inheritance(model: &Model, diags: &mut Diagnostics) {
    let mut sides: HashMap<usize, bool> = HashMap::new();
    let rules = |from: usize| {
        let defaults = model.defaults.get(from)?;
        defaults.ext.get::<RuleSets>().filter(|s| s.has_rules()).map(|s| (s, defaults.place))
    };
    for (i, defaults) in model.defaults.iter().enumerate().skip(1) {
        if let Some((_, place)) = rules(defaults.from).filter(|_| defaults.from < i) {
            let at = at(place, diags);
            let message = format!(
                "a defaults section cannot inherit from a defaults section defining TCP/HTTP rules (defaults section at {at})."
            );
            diags.add(Severity::Alert, Some(defaults.place), message);
        }
    }
    for proxy in &model.proxies {
        let Some((sets, place)) = rules(proxy.from) else { continue };
        let at = at(place, diags);
        let mut say = |message: String| {
            diags.add(Severity::Alert, Some(proxy.place), message);
        };
        let captures = model.defaults.get(proxy.from).and_then(|d| d.ext.get::<Captures>());
        if proxy.kind != ProxyKind::Frontend && captures.is_some_and(|c| !c.is_empty()) {
            say(format!(
                "backend or defaults sections cannot inherit from a defaults section defining captures (defaults section at {at})."
            ));
            continue;
        }
        if proxy.kind == ProxyKind::Listen {
            say("a listen section cannot inherit from a defaults section defining TCP/HTTP rules.".to_owned());
            continue;
        }
        let front = proxy.kind == ProxyKind::Frontend;
        if *sides.entry(proxy.from).or_insert(front) != front {
            say(format!(
                "frontends and backends cannot inherit from the same defaults section if it defines TCP/HTTP rules (defaults section at {at})."
            ));
        } else if !front && (!sets.tcp_connection.is_empty() || !sets.tcp_session.is_empty()) {
            say(format!(
                "a backend section cannot inherit from a defaults section defining 'tcp-request connection' or 'tcp-request session' rules (defaults section at {at})."
            ));
        } else if front && !sets.tcp_response.is_empty() {
            say(format!(
                "a frontend section cannot inherit from a defaults section defining 'tcp-response content' rules (defaults section at {at})."
            ));
        }
    }
}

fn at(place: Place, diags: &Diagnostics) -> String {
    let file = diags.files.get(place.file.0 as usize).map_or("", String::as_str);
    format!("{file}:{}", place.line)
}
