//! Servers and backends that come and go while the process runs: library calls for whoever changes a running
//! configuration (`add server`, `del server`). A change is a new plan, which is the newest before anybody can be sent to a
//! new server; workers take it at once, streams that run keep theirs.

use crate::check::plan::Scripts;
use crate::check::schedule;
use crate::plan::{Plan, ProxyPlan, ServerPlan, proxy, server};
use crate::process::Process;
use crate::worker::Worker;
use crate::worker::mailbox::Mail;
use portcullis_backend::health::CheckSettings;
use portcullis_backend::{Admin, ServerState};
use portcullis_config::{Diagnostics, Model, Proxy, Server};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A backend as it runs, and the section that it is made of.
#[derive(Clone, Copy)]
pub struct Backend<'b> {
    /// Its plan.
    pub plan: &'b ProxyPlan,
    /// What its section says.
    pub section: &'b Proxy,
    /// What `global` and the other sections say.
    pub model: &'b Model,
}

/// Adds a server behind the others of a backend, in maintenance; its checks are off.
///
/// # Errors
/// What is wrong with it.
pub fn add_server(process: &Process, backend: Backend<'_>, line: &Server) -> Result<(), String> {
    let Some(state) = &backend.plan.state else { return Err("No such backend.".into()) };
    let server = process.states.add_server(state, line);
    server.touch(process.clock.now().0);
    let made = seat(process, backend, line, &server);
    if made.is_err() {
        process.states.remove_server(state, &server);
    }
    let (plan, server) = made?;
    if let Some(track) = line.set.ext.get::<Arc<CheckSettings>>().and_then(|c| c.track.as_deref()) {
        process.states.link(&backend.plan.name, &line.name, track);
    }
    publish(process, &plan, move |worker, plan| {
        let proxy = plan.proxies.iter().find(|p| p.server_of(&server.state).is_some());
        if let Some(proxy) = proxy {
            schedule::add(worker, proxy, &server);
        }
    });
    Ok(())
}

/// The plan with the server.
fn seat(
    process: &Process,
    backend: Backend<'_>,
    line: &Server,
    state: &Arc<ServerState>,
) -> Result<(Arc<Plan>, Arc<ServerPlan>), String> {
    let Backend { plan, section, model } = backend;
    let mut scripts = Scripts::new(model);
    let script = scripts.of(section);
    let mut diags = Diagnostics::default();
    let check = scripts.plan(model, section, line, &script, &mut diags);
    let made = server::compile(model, section, line, state.clone(), check, &mut diags);
    if let Some(wrong) = diags.list.first() {
        // it stands on no line
        let text = wrong.message.split_once(&format!("'server {}/{}' : ", section.name, line.name));
        return Err(text.map_or(&*wrong.message, |(_, text)| text).to_owned());
    }
    let made = Arc::new(made);
    let plan = process.renew(|newest| {
        let newest = newest.ok_or("The process is about to begin.")?;
        let now = newest.proxies.get(plan.index).ok_or("No such backend.")?;
        Ok::<_, String>(Arc::new(newest.with_server(now, made.clone())))
    })?;
    Ok((plan, made))
}

/// Why a server cannot be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Something in the configuration names it.
    Named,
    /// It is not in maintenance.
    Working,
    /// Connections are there, or requests that wait for it.
    Busy,
}

/// May this server be removed now?
///
/// # Errors
/// Why it may not.
pub fn removable(server: &ServerPlan) -> Result<(), Held> {
    let state = &server.state;
    if server.named || state.is_tracked() {
        return Err(Held::Named);
    }
    if state.own_admin() != Admin::Maint {
        return Err(Held::Working);
    }
    match state.used() + state.queued() + state.idle.all() {
        0 => Ok(()),
        _ => Err(Held::Busy),
    }
}

/// Removes a server for which [`removable`] says so.
///
/// # Errors
/// Why it may not be removed.
pub fn remove_server(process: &Process, server: &Arc<ServerState>) -> Result<(), Held> {
    let gone = server.clone();
    let plan = process.renew(|newest| {
        let newest = newest.ok_or(Held::Busy)?;
        let proxy = newest.proxies.iter().find(|p| p.server_of(server).is_some()).ok_or(Held::Named)?;
        let plan = proxy.server_of(server).ok_or(Held::Named)?;
        removable(plan)?;
        process.altered.lock().removed(&proxy.name, plan);
        let backend = proxy.state.as_ref().ok_or(Held::Named)?;
        process.states.remove_server(backend, server);
        backend.deleted.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::new(newest.without_server(proxy, server)))
    })?;
    publish(process, &plan, move |worker, _| {
        schedule::remove(worker, &gone);
        worker.idle.borrow_mut().close_server(&gone);
    });
    Ok(())
}

/// Why a server cannot be renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unrenamed {
    /// It is gone.
    Gone,
    /// Something in the configuration names it.
    Named,
    /// Another server of its backend has this name.
    Taken,
}

/// Another name for a server.
///
/// # Errors
/// Why that cannot be.
pub fn rename_server(process: &Process, server: &Arc<ServerState>, to: &str) -> Result<(), Unrenamed> {
    change_server(process, server, Unrenamed::Gone, |backend, plan| {
        let taken = |s: &&Arc<ServerPlan>| *s.name == *to && !Arc::ptr_eq(&s.state, server);
        if backend.servers.iter().find(taken).is_some() {
            return Err(Unrenamed::Taken);
        }
        if plan.named || server.is_tracked() {
            return Err(Unrenamed::Named);
        }
        server.name.set(to);
        process.altered.lock().renamed(&backend.name, plan, to);
        Ok(plan.renamed(to))
    })
}

/// TLS towards a server that has it configured: on or off. False: it is gone.
pub fn switch_tls(process: &Process, server: &Arc<ServerState>, on: bool) -> bool {
    change_server(process, server, (), |_, plan| Ok(plan.with_tls(on))).is_ok()
}

/// TLS towards servers is off in a plan that takes the place of another one where an operator has switched it off, as long as
/// their lines say the same.
pub fn switch_again(plan: &mut Plan, before: &Plan) {
    let mut off = Vec::new();
    for (old, server) in before.proxies.iter().flat_map(|p| p.servers.iter().map(move |s| (p, s))) {
        let new = plan
            .proxies
            .iter()
            .find(|p| p.state.is_some() && p.name == old.name && server.spare_tls.is_some());
        let found = new.and_then(|p| Some((p, p.server_of(&server.state)?)));
        off.extend(
            found
                .filter(|(_, s)| s.said == server.said)
                .map(|(p, s)| (p.clone(), Arc::new(s.with_tls(false)))),
        );
    }
    for (backend, server) in off {
        let now = plan.proxies.get(backend.index).cloned().unwrap_or(backend);
        *plan = plan.with_changed(&now, &server);
    }
}

/// Another plan of a server that is there; streams that run keep theirs.
fn change_server<E>(
    process: &Process,
    server: &Arc<ServerState>,
    gone: E,
    make: impl FnOnce(&ProxyPlan, &ServerPlan) -> Result<ServerPlan, E>,
) -> Result<(), E> {
    let plan = process.renew(|newest| {
        let of = |n: &'_ Arc<Plan>| n.proxies.iter().find(|p| p.server_of(server).is_some()).cloned();
        let Some((newest, backend)) = newest.and_then(|n| Some((n, of(n)?))) else { return Err(gone) };
        let Some(old) = backend.server_of(server) else { return Err(gone) };
        Ok(Arc::new(newest.with_changed(&backend, &Arc::new(make(&backend, old)?))))
    })?;
    publish(process, &plan, |_, _| {});
    Ok(())
}

/// Adds a backend without servers, which content switching ignores until it is published. `section` is a whole one; `model`
/// has what else it needs, and itself.
///
/// # Errors
/// What is wrong with it.
pub fn add_backend(process: &Process, model: &Model, section: Proxy) -> Result<(), String> {
    let place = process.newest().ok_or("The process is about to begin.")?.free_place();
    let names = proxy::Names::of(model, process.counts.conns.limit());
    let mut diags = Diagnostics::default();
    let mut scripts = Scripts::new(model);
    let made = proxy::compile(model, &names, place, &section, process, &mut scripts, &mut diags);
    if let Some(wrong) = diags.list.iter().find(|d| d.severity == portcullis_config::Severity::Alert) {
        process.states.retain(|name| name != section.name);
        return Err(wrong.message.clone());
    }
    let plan = process.renew(|newest| {
        let newest = newest.filter(|n| n.free_place() == place).ok_or("Another change came first.")?;
        Ok::<_, String>(Arc::new(newest.with_backend(made)))
    })?;
    publish(process, &plan, |_, _| {});
    Ok(())
}

/// Why a backend cannot be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is not one, or is gone already.
    Unknown,
    /// Something in the configuration names it.
    Named,
    /// Content switching may choose it.
    Published,
    /// It has servers.
    Servers,
    /// Streams are on it.
    Busy,
}

/// May this backend be removed now?
///
/// # Errors
/// Why it may not.
pub fn backend_removable(backend: &ProxyPlan) -> Result<(), Kept> {
    let state = backend.state.as_ref().filter(|_| backend.kind == portcullis_config::ProxyKind::Backend);
    let state = state.ok_or(Kept::Unknown)?;
    match () {
        () if backend.named => Err(Kept::Named),
        () if !state.is_unpublished() => Err(Kept::Published),
        () if !backend.servers.is_empty() => Err(Kept::Servers),
        () if state.sessions().get() > 0 => Err(Kept::Busy),
        () => Ok(()),
    }
}

/// Removes a backend for which [`backend_removable`] says so.
///
/// # Errors
/// Why it may not be removed.
pub fn remove_backend(process: &Process, name: &str) -> Result<(), Kept> {
    let plan = process.renew(|newest| {
        let newest = newest.ok_or(Kept::Busy)?;
        let found = newest.backends.get(name.as_bytes()).and_then(|at| newest.proxies.get(*at));
        let backend = found.ok_or(Kept::Unknown)?;
        backend_removable(backend)?;
        process.states.retain(|kept| kept != name);
        Ok(Arc::new(newest.without_backend(backend)))
    })?;
    publish(process, &plan, |_, _| {});
    Ok(())
}

/// Gives the plan to all workers, which do this with it.
fn publish(process: &Process, plan: &Arc<Plan>, then: impl Fn(&Rc<Worker>, &Plan) + Send + Sync + 'static) {
    let then = Arc::new(then);
    process.tell_all(|| {
        let (plan, then) = (plan.clone(), then.clone());
        Mail::Run(Box::new(move |worker| {
            *worker.plan.borrow_mut() = Rc::new(plan);
            let plan = worker.plan();
            then(worker, &plan);
        }))
    });
}
