//! Fetches of what only this room knows: servers and connections of proxies (manual section 7.3.2). A name is looked up
//! in the plan's own table; a fetch without one is about the proxy that is at work.

use crate::plan::{Plan, ProxyPlan};
use portcullis_backend::ServerState;
use portcullis_sample::args::{ArgKind, Args};
use portcullis_sample::place::INTERNAL;
use portcullis_sample::row::{Fetch, SampleRows};
use portcullis_sample::{Sample, Scope, Type, Value};
use std::any::Any;
use std::sync::Arc;

/// What these fetches are given with a scope.
#[must_use]
pub fn ext(plan: &Arc<Plan>) -> &dyn Any {
    plan
}

fn plan<'s>(scope: &Scope<'s>) -> Option<&'s Arc<Plan>> {
    scope.ext.downcast_ref()
}

fn backend<'s>(args: &Args, scope: &Scope<'s>) -> Option<&'s ProxyPlan> {
    let name = match args.text(0) {
        b"" => scope.facts.backend_name.as_bytes(),
        name => name,
    };
    let plan = plan(scope)?;
    plan.proxies.get(*plan.backends.get(name)?).map(|p| &**p)
}

/// `backend/server`, or `server` of the backend at work.
fn server(args: &Args, scope: &Scope<'_>) -> Option<Arc<ServerState>> {
    let text = std::str::from_utf8(args.text(0)).ok()?;
    let (of, name) = text.rsplit_once('/').unwrap_or((scope.facts.backend_name, text));
    let plan = plan(scope)?;
    let backend = plan.proxies.get(*plan.backends.get(of.as_bytes())?)?;
    backend.state.as_ref()?.server(name)
}

fn int<'s>(n: Option<u32>) -> Sample<'s> {
    n.map(|n| Value::Int(n.into())).into()
}

const NAME: &[ArgKind] = &[ArgKind::Backend];
const SERVER: &[ArgKind] = &[ArgKind::Server];

/// The rows of this file.
pub const ROWS: SampleRows = SampleRows {
    fetches: &[
        Fetch::new("nbsrv", Type::Int, INTERNAL, "Usable servers of a backend.", |a, s, _| {
            let usable = backend(a, s).and_then(|b| b.state.as_ref()).map(|b| b.usable());
            int(usable.map(|(active, backup)| if active > 0 { active } else { backup }))
        })
        .with(0, NAME)
        .impure(),
        Fetch::new("be_conn", Type::Int, INTERNAL, "Connections of a backend.", |a, s, _| {
            int(backend(a, s).and_then(|b| b.state.as_ref()).map(|b| b.sessions().get()))
        })
        .with(0, NAME)
        .impure(),
        Fetch::new("queue", Type::Int, INTERNAL, "Requests in the queues of a backend.", |a, s, _| {
            let state = backend(a, s).and_then(|b| b.state.as_ref());
            int(state.map(|b| b.queued() + b.servers().iter().map(|s| s.queued()).sum::<u32>()))
        })
        .with(0, NAME)
        .impure(),
        Fetch::new("srv_conn", Type::Int, INTERNAL, "Connections of a server.", |a, s, _| {
            int(server(a, s).map(|s| s.sessions.get()))
        })
        .with(1, SERVER)
        .impure(),
        Fetch::new("srv_queue", Type::Int, INTERNAL, "Requests in the queue of a server.", |a, s, _| {
            int(server(a, s).map(|s| s.queued()))
        })
        .with(1, SERVER)
        .impure(),
        Fetch::new("srv_is_up", Type::Bool, INTERNAL, "Is a server usable?", |a, s, _| {
            server(a, s).map(|s| Value::Bool(s.usable())).into()
        })
        .with(1, SERVER)
        .impure(),
    ],
    converters: &[],
    acls: &[],
};
