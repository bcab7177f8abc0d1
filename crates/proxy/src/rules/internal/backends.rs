//! Backends: connections, queues, usable servers.

use super::{about, backend, backend_named, int};
use crate::plan::ProxyPlan;
use portcullis_backend::ServerState;
use portcullis_sample::args::Args;
use portcullis_sample::names::Kind;
use portcullis_sample::place::INTERNAL;
use portcullis_sample::row::{Convert, Fetch, SampleRows};
use portcullis_sample::{Scope, Type, Value};

fn usable(b: &ProxyPlan) -> Option<u32> {
    let (active, backup) = b.state.as_ref()?.usable();
    Some(if active > 0 { active } else { backup })
}

fn queued(b: &ProxyPlan) -> Option<u32> {
    let state = b.state.as_ref()?;
    Some(state.queued() + state.servers().iter().map(|s| s.queued()).sum::<u32>())
}

/// Queued requests for each usable server, rounded up; twice as many as there are when there is none.
fn average(b: &ProxyPlan) -> Option<u32> {
    let queued = queued(b)?;
    Some(match usable(b)? {
        0 => queued.saturating_mul(2),
        n => queued.div_ceil(n),
    })
}

/// The sum over usable servers, those for backup only if asked for or nothing else is usable; -1: one has no limit.
fn over(b: &ProxyPlan, backups: bool, count: impl Fn(&ServerState) -> Option<i64>) -> Option<i64> {
    let state = b.state.as_ref()?;
    let active = state.usable().0 > 0;
    let mut sum = 0i64;
    for s in state.servers().iter().filter(|s| s.usable() && (backups || s.backup() != active)) {
        match count(s) {
            Some(n) => sum = sum.saturating_add(n),
            None => return Some(-1),
        }
    }
    Some(sum)
}

/// Connections that a server could take; `None`: no limit.
pub(super) fn free(s: &ServerState) -> Option<i64> {
    let limit = i64::from(s.limit());
    (s.maxconn() != 0).then(|| limit.saturating_sub(i64::from(s.used())).max(0))
}

/// The same with its queue.
fn slots(s: &ServerState) -> Option<i64> {
    if s.maxconn() == 0 || s.maxqueue() == 0 {
        return None;
    }
    let queue = i64::from(s.maxqueue()).saturating_sub(i64::from(s.queued()));
    Some(free(s)?.saturating_add(queue.max(0)))
}

fn rate(a: &Args, s: &Scope<'_>) -> Option<i64> {
    let now = s.monotonic.as_millis() as u64;
    let state = backend(a, s)?.state.as_ref()?;
    let window =
        state.counters.iter().map(|c| c.sess_rate.window(now)).sum::<portcullis_telemetry::rate::Window>();
    Some(window.per_second(now) as i64)
}

fn name_of<'s>(v: Value<'s>) -> Vec<u8> {
    v.bytes().map(|b| b.to_vec()).unwrap_or_default()
}

/// Rows.
pub const ROWS: SampleRows = SampleRows {
    fetches: &[
        about!(Backend BACKEND "nbsrv" Int "Usable servers of a backend." |a, s, _| int(backend(a, s).and_then(usable))),
        about!(Backend BACKEND "be_conn" Int "Connections of a backend." |a, s, _| {
            int(backend(a, s).and_then(|b| b.state.as_ref()).map(|b| b.sessions().get()))
        }),
        about!(Backend BACKEND "be_conn_free" Int "Connections that a backend's servers could take." |a, s, _| {
            int(backend(a, s).and_then(|b| over(b, false, free)))
        }),
        about!(Backend BACKEND "be_sess_rate" Int "Sessions of a backend in the last second." |a, s, _| int(rate(a, s))),
        about!(Backend BACKEND "queue" Int "Requests in the queues of a backend." |a, s, _| {
            int(backend(a, s).and_then(queued))
        }),
        about!(Backend BACKEND "avg_queue" Int "Queued requests for each usable server." |a, s, _| {
            int(backend(a, s).and_then(average))
        }),
        about!(Backend BACKEND "connslots" Int "Connections and queue slots that are free in a backend." |a, s, _| {
            int(backend(a, s).and_then(|b| over(b, true, slots)))
        }),
    ],
    converters: &[Convert::new(
        "nbsrv",
        Type::Str,
        Type::Int,
        "Usable servers of the backend of this name.",
        |_, v, s| int(backend_named(&name_of(v), s).and_then(usable)),
    )
    .impure()],
    acls: &[],
};
