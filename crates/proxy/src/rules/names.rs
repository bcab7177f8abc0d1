//! Names in arguments of expressions, once everything has been read: userlists, proxies, servers.

use crate::plan::Named;
use portcullis_config::{Diagnostics, Model, Proxy, ProxyKind, Severity};
use portcullis_sample::convert::debug;
use portcullis_sample::names::{self, Kind, Seen};
use portcullis_sample::users::Userlists;

/// Finds what names name, and complains about those that name nothing.
pub fn check(model: &mut Model, diags: &mut Diagnostics) {
    for (place, text) in portcullis_sample::pattern::regex::take_backtracking() {
        let message = format!(
            "regex '{text}' needs backtracking; it is matched by PCRE2, and not at all where that takes too many steps."
        );
        diags.add(Severity::Notice, Some(place), message);
    }
    for (place, sink) in debug::take() {
        let known = [debug::DEFAULT, "stdout", "stderr"].contains(&&*sink)
            || model.rings.iter().any(|r| r.name == sink);
        if !known {
            let message = format!("debug converter: sink '{sink}' doesn't exist.");
            diags.late(Severity::Alert, Some(place), message);
        }
    }
    let lists = model.ext.entry::<Userlists>().list.clone();
    for seen in names::take() {
        remember(&seen, model);
        let wrong = match seen.kind {
            Kind::Userlist => userlist(&seen, &lists),
            Kind::Frontend | Kind::Backend => proxy(&seen, model),
            Kind::Server => server(&seen, model),
        };
        if let Err(message) = wrong {
            let place = seen.context.place;
            let file = diags.files.get(place.file.0 as usize).cloned().unwrap_or_default();
            diags.late(Severity::Alert, None, format!("parsing [{file}:{}]: {message}", place.line));
        }
    }
}

/// What an expression names stays.
fn remember(seen: &Seen, model: &mut Model) {
    let own = &seen.context.proxy;
    match seen.kind {
        Kind::Backend => {
            let name = if seen.name.is_empty() { own } else { &seen.name };
            model.ext.entry::<Named>().backend(name);
        }
        Kind::Server => {
            let (of, name) = seen.name.rsplit_once('/').unwrap_or((own, &seen.name));
            model.ext.entry::<Named>().backend(of);
            model.ext.entry::<Named>().server(of, name);
        }
        Kind::Userlist | Kind::Frontend => {}
    }
}

type Judged = Result<(), String>;

fn userlist(seen: &Seen, lists: &[std::sync::Arc<portcullis_sample::users::Userlist>]) -> Judged {
    let described = seen.described();
    if seen.name.is_empty() {
        return Err(format!("missing userlist name {described}."));
    }
    let Some(list) = lists.iter().find(|l| l.name == seen.name) else {
        return Err(format!("unable to find userlist '{}' referenced {described}.", seen.name));
    };
    let _ = seen.found.set(list.clone());
    let Some(groups) = &seen.groups else { return Ok(()) };
    let wrong = |what: &str| {
        let names::Context { proxy, acl, .. } = &seen.context;
        let acl = acl.as_deref().unwrap_or("");
        Err(format!("proxy {proxy}: acl {acl} {}(): {what}.", seen.keyword))
    };
    match groups.iter().find(|g| !list.groups.contains(g)) {
        Some(group) => wrong(&format!("invalid group '{group}'")),
        None if groups.is_empty() => wrong("no groups specified"),
        None => Ok(()),
    }
}

fn fits(kind: ProxyKind, wanted: Kind) -> bool {
    match wanted {
        Kind::Frontend => matches!(kind, ProxyKind::Frontend | ProxyKind::Listen),
        _ => matches!(kind, ProxyKind::Backend | ProxyKind::Listen),
    }
}

fn proxy(seen: &Seen, model: &Model) -> Judged {
    let described = seen.described();
    let (what, side) = match seen.kind {
        Kind::Frontend => ("frontend", "frontend"),
        _ => ("backend", "backend"),
    };
    if !seen.name.is_empty() {
        let found = model.proxies.iter().any(|p| p.name == seen.name && fits(p.kind, seen.kind));
        let none = format!("unable to find {what} '{}' referenced {described}.", seen.name);
        return if found { Ok(()) } else { Err(none) };
    }
    let own = &seen.context.proxy;
    match model.proxies.iter().find(|p| p.name == *own) {
        Some(p) if !fits(p.kind, seen.kind) => {
            Err(format!("proxy '{own}', referenced {described}, has not {side} capability."))
        }
        _ => Ok(()),
    }
}

fn server(seen: &Seen, model: &Model) -> Judged {
    let described = seen.described();
    if seen.name.is_empty() {
        return Err(format!("missing server name {described}."));
    }
    let (of, name) = seen.name.rsplit_once('/').unwrap_or((&seen.context.proxy, &seen.name));
    let mut backends = model.proxies.iter().filter(|p| p.name == of);
    let has = |p: &Proxy| p.servers.iter().any(|s| s.name == name);
    match backends.next() {
        // a `defaults` section: whoever inherits it
        None if !seen.name.contains('/') => Ok(()),
        None => Err(format!("unable to find proxy '{of}' referenced {described}.")),
        Some(p) if has(p) || backends.any(has) => Ok(()),
        Some(_) => Err(format!("unable to find server '{name}' in proxy '{of}', referenced {described}.")),
    }
}
