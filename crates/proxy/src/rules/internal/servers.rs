//! Servers: connections, weights, health.

use super::{about, backend_named, backends::free, int, plan};
use portcullis_backend::ServerState;
use portcullis_sample::args::Args;
use portcullis_sample::names::Kind;
use portcullis_sample::place::INTERNAL;
use portcullis_sample::row::{Convert, Fetch, SampleRows};
use portcullis_sample::{Scope, Type, Value};
use std::sync::Arc;

/// `backend/server`, or `server` of the backend at work.
fn named(text: &[u8], scope: &Scope<'_>) -> Option<Arc<ServerState>> {
    let text = std::str::from_utf8(text).ok()?;
    let (of, name) = text.rsplit_once('/').unwrap_or((scope.facts.backend_name, text));
    backend_named(of.as_bytes(), scope)?.state.as_ref()?.server(name)
}

fn server(args: &Args, scope: &Scope<'_>) -> Option<Arc<ServerState>> {
    named(args.text(0), scope)
}

/// The weight that the configuration says.
fn initial(args: &Args, scope: &Scope<'_>) -> Option<u32> {
    let state = server(args, scope)?;
    let proxy = plan(scope)?.proxies.get(*plan(scope)?.backends.get(state.backend.as_bytes())?)?;
    proxy.server_of(&state).map(|s| s.weight)
}

fn rate(state: &ServerState, scope: &Scope<'_>) -> i64 {
    let now = scope.monotonic.as_millis() as u64;
    let window =
        state.counters.iter().map(|c| c.sess_rate.window(now)).sum::<portcullis_telemetry::rate::Window>();
    window.per_second(now) as i64
}

fn text(v: &Value<'_>) -> Vec<u8> {
    v.bytes().map(|b| b.to_vec()).unwrap_or_default()
}

/// Rows.
pub const ROWS: SampleRows = SampleRows {
    fetches: &[
        about!(Server SERVER "srv_conn" Int "Connections of a server." |a, s, _| {
            int(server(a, s).map(|s| s.sessions.get()))
        }),
        about!(Server SERVER "srv_conn_free" Int "Connections that a server could take; -1: no limit." |a, s, _| {
            int(server(a, s).map(|s| free(&s).unwrap_or(-1)))
        }),
        about!(Server SERVER "srv_queue" Int "Requests in the queue of a server." |a, s, _| {
            int(server(a, s).map(|s| s.queued()))
        }),
        about!(Server SERVER "srv_is_up" Bool "Is a server usable?" |a, s, _| {
            server(a, s).map(|s| Value::Bool(s.usable())).into()
        }),
        about!(Server SERVER "srv_sess_rate" Int "Sessions of a server in the last second." |a, s, _| {
            int(server(a, s).map(|state| rate(&state, s)))
        }),
        about!(Server SERVER "srv_weight" Int "Weight of a server now." |a, s, _| int(server(a, s).map(|s| s.weight()))),
        about!(Server SERVER "srv_uweight" Int "Weight of a server as operators see it." |a, s, _| {
            int(server(a, s).map(|s| s.weight()))
        }),
        about!(Server SERVER "srv_iweight" Int "Weight of a server as configured." |a, s, _| int(initial(a, s))),
    ],
    converters: &[
        Convert::new("srv_is_up", Type::Str, Type::Bool, "Is the server of this name usable?", |_, v, s| {
            named(&text(&v), s).map(|s| Value::Bool(s.usable())).into()
        })
        .impure(),
        Convert::new(
            "srv_queue",
            Type::Str,
            Type::Int,
            "Requests in the queue of the server of this name.",
            |_, v, s| int(named(&text(&v), s).map(|s| s.queued())),
        )
        .impure(),
    ],
    acls: &[],
};
