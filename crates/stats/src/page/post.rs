//! Changes of servers by the page's form (`stats admin`).

use crate::actions::On;
use crate::form;
use portcullis_backend::health::Which;
use portcullis_backend::{Admin, BackendState, Health, ServerState};
use portcullis_proxy::plan::Plan;
use portcullis_proxy::process::Process;
use std::sync::Arc;

/// What came of it, as `;st=` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// All of it was done.
    All,
    /// Some servers are not known.
    Some,
    /// Nothing was to be done.
    Nothing,
    /// Action, backend or servers are not known.
    Bad,
    /// Not allowed.
    Denied,
    /// The form is too long.
    TooLong,
}

impl Done {
    /// Its four letters.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::All => "DONE",
            Self::Some => "PART",
            Self::Nothing => "NONE",
            Self::Bad => "ERRP",
            Self::Denied => "DENY",
            Self::TooLong => "EXCD",
        }
    }
}

/// What an action does to one server; false: nothing, as it is so already or cannot be.
type Act = fn(On<'_>, &Process) -> bool;

/// One action: its name in the form, how the page names it (not at all: older names), and what it does.
pub struct Action {
    /// `action=`
    pub name: &'static str,
    /// On the page.
    pub title: &'static str,
    act: Act,
}

/// The actions, in the order of the page.
pub const ACTIONS: &[Action] = &[
    row("ready", "Set state to READY", |on, p| admin(on, p, Admin::Ready)),
    row("drain", "Set state to DRAIN", |on, p| admin(on, p, Admin::Drain)),
    row("maint", "Set state to MAINT", |on, p| admin(on, p, Admin::Maint)),
    row("dhlth", "Health: disable checks", |on, _| on.switch(Which::Health, false)),
    row("ehlth", "Health: enable checks", |on, _| on.switch(Which::Health, true)),
    row("hrunn", "Health: force UP", |on, p| health(on, p, Health::Up)),
    row("hnolb", "Health: force NOLB", |on, p| health(on, p, Health::Stopping)),
    row("hdown", "Health: force DOWN", |on, p| health(on, p, Health::Down)),
    row("dagent", "Agent: disable checks", |on, _| on.switch(Which::Agent, false)),
    row("eagent", "Agent: enable checks", |on, _| on.switch(Which::Agent, true)),
    row("arunn", "Agent: force UP", |on, p| on.agent(true, p)),
    row("adown", "Agent: force DOWN", |on, p| on.agent(false, p)),
    row("shutdown", "Kill Sessions", |on, process| {
        on.shutdown(process);
        true
    }),
    row("enable", "", |on, p| on.server.admin() == Admin::Maint && admin(on, p, Admin::Ready)),
    row("disable", "", |on, p| on.server.admin() != Admin::Maint && admin(on, p, Admin::Maint)),
    row("stop", "", |on, p| admin(on, p, Admin::Drain)),
    row("start", "", |on, p| admin(on, p, Admin::Ready)),
];

const fn row(name: &'static str, title: &'static str, act: Act) -> Action {
    Action { name, title, act }
}

fn admin(on: On<'_>, process: &Process, to: Admin) -> bool {
    on.admin(to, process);
    true
}

fn health(on: On<'_>, process: &Process, to: Health) -> bool {
    on.health(to, process)
}

/// What the form says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Form {
    backend: Option<String>,
    servers: Vec<String>,
    action: Option<String>,
}

impl Form {
    fn parse(body: &[u8]) -> Self {
        let mut form = Self::default();
        for (name, value) in form::pairs(body) {
            let value = String::from_utf8_lossy(&value.unwrap_or_default()).into_owned();
            match &*name {
                b"b" => form.backend = Some(value),
                b"s" => form.servers.push(value),
                b"action" => form.action = Some(value),
                _ => {}
            }
        }
        form
    }
}

/// Does what a form says, to servers of proxies of these names.
pub fn run(body: &[u8], plan: &Plan, process: &Process, scope: Option<&[String]>, now: u64) -> Done {
    let form = Form::parse(body);
    let (Some(name), Some(action), false) = (form.backend, form.action, form.servers.is_empty()) else {
        return Done::Nothing;
    };
    let id = name.strip_prefix('#').and_then(|n| n.parse::<u32>().ok());
    let found = plan.proxies.iter().find(|p| id.map_or(*p.name == *name, |id| p.id == id));
    let hidden = |names: &[String]| !names.iter().any(|n| found.is_some_and(|p| *p.name == **n));
    if scope.is_some_and(hidden) {
        return Done::Denied;
    }
    let action = ACTIONS.iter().find(|a| a.name == action);
    let backend = found.filter(|p| !p.disabled).and_then(|p| p.state.clone());
    match action.zip(backend) {
        Some((action, backend)) => apply(action, &form.servers, &backend, process, now),
        None => Done::Bad,
    }
}

fn apply(
    action: &Action,
    names: &[String],
    backend: &Arc<BackendState>,
    process: &Process,
    now: u64,
) -> Done {
    let known: Vec<Arc<ServerState>> = names.iter().filter_map(|n| backend.server(n)).collect();
    let mut changed = false;
    for server in &known {
        changed |= (action.act)(On { backend, server, now }, process);
    }
    match (known.is_empty(), known.len() < names.len(), changed) {
        (true, ..) => Done::Bad,
        (_, true, _) => Done::Some,
        (_, _, true) => Done::All,
        (_, _, false) => Done::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let form = Form::parse(b"s=s1&b=%234&action=maint&s=s+2&x");
        let of = |s: &str| Some(s.to_owned());
        assert_eq!(form.servers, ["s1", "s 2"]);
        assert_eq!((form.backend, form.action), (of("#4"), of("maint")));
    }
}
