//! Frontends: connections and rates; connections of the process.

use super::{about, frontend, int, plan};
use crate::plan::{ListenerPlan, ProxyPlan};
use portcullis_config::Place;
use portcullis_sample::args::Args;
use portcullis_sample::names::Kind;
use portcullis_sample::place::{CONSTANT, FRONTEND, INTERNAL};
use portcullis_sample::row::{Convert, Fetch, SampleRows};
use portcullis_sample::{Sample, Scope, Type, Value};
use std::sync::Arc;

fn now(s: &Scope<'_>) -> u64 {
    s.monotonic.as_millis() as u64
}

fn requests(f: &ProxyPlan, now: u64) -> i64 {
    let window =
        f.front.counters.iter().map(|c| c.req_rate.window(now)).sum::<portcullis_telemetry::rate::Window>();
    window.per_second(now) as i64
}

fn default_backend<'s>(a: &Args, s: &Scope<'s>) -> Option<&'s ProxyPlan> {
    let at = frontend(a, s)?.default_backend?;
    plan(s)?.proxies.get(at).map(|p| &**p)
}

/// `file:line` of a rule.
fn located<'s>(s: &Scope<'s>, place: Option<Place>) -> Sample<'s> {
    let text = place.and_then(|p| Some(format!("{}:{}", plan(s)?.files.get(p.file.0 as usize)?, p.line)));
    text.map(|t| Value::Str(t.into_bytes().into())).into()
}

/// The listener that the client came by.
fn listener<'s>(s: &Scope<'s>) -> Option<&'s ListenerPlan> {
    let f = s.facts;
    let its = |l: &&Arc<ListenerPlan>| l.bind.id == f.listener_id && *l.frontend_name == *f.frontend_name;
    plan(s)?.listeners.iter().find(its).map(|l| &**l)
}

/// Rows.
pub const ROWS: SampleRows = SampleRows {
    fetches: &[
        about!(Frontend FRONTEND "fe_conn" Int "Connections of a frontend." |a, s, _| {
            int(frontend(a, s).map(|f| f.front.sessions.get()))
        }),
        about!(Frontend FRONTEND "fe_sess_rate" Int "Sessions of a frontend in the last second." |a, s, _| {
            int(frontend(a, s).map(|f| f.front.sess_rate(now(s)).per_second(now(s)) as i64))
        }),
        about!(Frontend FRONTEND "fe_req_rate" Int "Requests of a frontend in the last second." |a, s, _| {
            int(frontend(a, s).map(|f| requests(f, now(s))))
        }),
        Fetch::new("fe_defbe", Type::Str, FRONTEND, "Name of the frontend's default backend.", |a, s, _| {
            default_backend(a, s).map(|b| Value::str(b.name.as_bytes())).into()
        }),
        Fetch::new(
            "last_rule_file",
            Type::Str,
            INTERNAL,
            "File of the final rule that was executed last.",
            |_, s, _| {
                let file = s.facts.last_rule.and_then(|p| plan(s)?.files.get(p.file.0 as usize));
                file.map(|f| Value::str(f.as_bytes())).into()
            },
        )
        .impure(),
        Fetch::new(
            "last_entity",
            Type::Str,
            INTERNAL,
            "The final rule that was executed last.",
            |_, s, _| located(s, s.facts.last_rule),
        )
        .impure(),
        Fetch::new("waiting_entity", Type::Str, INTERNAL, "The rule that waits.", |_, s, _| {
            located(s, s.facts.waiting)
        })
        .impure(),
        Fetch::new("dst_conn", Type::Int, FRONTEND, "Connections of the listening address.", |_, s, _| {
            int(listener(s).map(|l| l.counts.conns.get()))
        })
        .impure(),
        Fetch::new("act_conn", Type::Int, CONSTANT, "Connections of the process.", |_, s, _| {
            int(plan(s).map(|p| p.connections.get()))
        })
        .impure(),
    ],
    converters: &[Convert::new(
        "fe_exists",
        Type::Str,
        Type::Bool,
        "Is there a frontend of this name?",
        |_, v, s| {
            let name = v.bytes().map(|b| b.to_vec()).unwrap_or_default();
            let found =
                plan(s).map(|p| p.proxies.iter().any(|p| p.kind.front() && p.name.as_bytes() == name));
            Sample::from(found.map(Value::Bool))
        },
    )
    .impure()],
    acls: &[],
};
