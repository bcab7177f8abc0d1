//! Fetches of what only this room knows: proxies, servers, timeouts (manual section 7.3.2). A name is looked up in the
//! plan's own table; a fetch without one is about the proxy that is at work.

mod backends;
mod frontends;
mod servers;
mod timeouts;

use crate::plan::{Plan, ProxyPlan};
use portcullis_sample::args::{ArgKind, Args};
use portcullis_sample::names::{self, Kind};
use portcullis_sample::row::SampleRows;
use portcullis_sample::{Sample, Scope, Value};
use std::any::Any;
use std::sync::Arc;

/// The rows of this folder.
pub const ROWS: [SampleRows; 4] = [backends::ROWS, frontends::ROWS, servers::ROWS, timeouts::ROWS];

/// What these fetches are given with a scope.
#[must_use]
pub fn ext(plan: &Arc<Plan>) -> &dyn Any {
    plan
}

fn plan<'s>(scope: &Scope<'s>) -> Option<&'s Arc<Plan>> {
    scope.ext.downcast_ref()
}

/// The backend of this name.
fn backend_named<'s>(name: &[u8], scope: &Scope<'s>) -> Option<&'s ProxyPlan> {
    let plan = plan(scope)?;
    plan.proxies.get(*plan.backends.get(name)?).map(|p| &**p)
}

/// The backend that the argument names, or the one at work.
fn backend<'s>(args: &Args, scope: &Scope<'s>) -> Option<&'s ProxyPlan> {
    match args.text(0) {
        b"" => backend_named(scope.facts.backend_name.as_bytes(), scope),
        name => backend_named(name, scope),
    }
}

/// The frontend at work.
pub(super) fn frontend_at_work<'s>(scope: &Scope<'s>) -> Option<&'s ProxyPlan> {
    frontend(&Args::default(), scope)
}

/// The frontend that the argument names, or the one at work.
fn frontend<'s>(args: &Args, scope: &Scope<'s>) -> Option<&'s ProxyPlan> {
    let name = match args.text(0) {
        b"" => scope.facts.frontend_name.as_bytes(),
        name => name,
    };
    let found = plan(scope)?.proxies.iter().find(|p| p.kind.front() && p.name.as_bytes() == name);
    found.map(|p| &**p)
}

fn int<'s>(n: Option<impl Into<i64>>) -> Sample<'s> {
    n.map(|n| Value::Int(n.into())).into()
}

/// Notes that the argument must name such a thing.
#[allow(clippy::unnecessary_wraps)] // the type of all checks
fn noted(args: &mut Args, kind: Kind, keyword: &'static str) -> Result<(), String> {
    names::note(kind, args.text(0), keyword);
    Ok(())
}

const BACKEND: &[ArgKind] = &[ArgKind::Backend];
const FRONTEND: &[ArgKind] = &[ArgKind::Frontend];
const SERVER: &[ArgKind] = &[ArgKind::Server];

/// A fetch about a proxy or server that its argument names.
macro_rules! about {
    ($kind:ident $args:ident $name:literal $type:ident $help:literal $eval:expr) => {
        Fetch::new($name, Type::$type, INTERNAL, $help, $eval)
            .with(1, super::$args)
            .checked(|a| super::noted(a, Kind::$kind, $name))
            .impure()
    };
}
use about;
