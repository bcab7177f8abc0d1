//! Frontends: connections and rates; connections of the process.

use super::{about, frontend, int, plan};
use crate::plan::ProxyPlan;
use portcullis_sample::args::Args;
use portcullis_sample::names::Kind;
use portcullis_sample::place::{CONSTANT, FRONTEND, INTERNAL};
use portcullis_sample::row::{Convert, Fetch, SampleRows};
use portcullis_sample::{Sample, Scope, Type, Value};

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
