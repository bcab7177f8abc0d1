//! Timeouts as configured, in milliseconds; 0: none.

use super::{backend, frontend, frontend_at_work, int};
use portcullis_config::Timeouts;
use portcullis_sample::args::Args;
use portcullis_sample::place::{BACKEND, CLIENT_CONNECTION, FRONTEND};
use portcullis_sample::row::{Fetch, SampleRows};
use portcullis_sample::{Sample, Scope, Timeout, Type, Value};
use std::time::Duration;

fn ms<'s>(of: Option<&crate::plan::ProxyPlan>, which: fn(&Timeouts) -> Option<Duration>) -> Sample<'s> {
    let time = of.map(|p| which(&p.timeouts).unwrap_or_default());
    int(time.map(|t| i64::try_from(t.as_millis()).unwrap_or(i64::MAX)))
}

macro_rules! timeout {
    ($name:literal $side:ident $needs:ident $field:ident $help:literal) => {
        Fetch::new($name, Type::Int, $needs, $help, |a, s, _| ms($side(a, s), |t| t.$field))
    };
}

/// What applies to the stream now: what `set-timeout` said, or what is configured; 0 where nothing is.
fn current<'s>(s: &Scope<'s>, which: Timeout, configured: Option<Duration>) -> Sample<'s> {
    let time = s.facts.timeout(which).or(configured).unwrap_or_default();
    s.facts.stream.then(|| Value::Int(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))).into()
}

/// A timeout of the backend; none while there is none.
fn of_backend(s: &Scope<'_>, which: fn(&Timeouts) -> Option<Duration>) -> Option<Duration> {
    which(&backend(&Args::default(), s)?.timeouts)
}

fn tarpit(s: &Scope<'_>) -> Option<Duration> {
    match backend(&Args::default(), s) {
        Some(b) => b.timeouts.tarpit.or(b.timeouts.connect),
        None => frontend_at_work(s)?.timeouts.tarpit,
    }
}

/// It applies once there is a server.
fn tunnel(s: &Scope<'_>) -> Option<Duration> {
    if s.facts.timers.connect >= 0 { of_backend(s, |t| t.tunnel) } else { None }
}

macro_rules! current {
    ($name:literal $which:ident $needs:ident $help:literal |$s:ident| $configured:expr) => {
        Fetch::new($name, Type::Int, $needs, $help, |_, $s, _| current($s, Timeout::$which, $configured))
            .impure()
    };
}

/// Rows.
pub const ROWS: SampleRows = SampleRows {
    fetches: &[
        timeout!("be_connect_timeout" backend BACKEND connect "The backend's `timeout connect`."),
        Fetch::new("be_queue_timeout", Type::Int, BACKEND, "The backend's `timeout queue`.", |a, s, _| {
            ms(backend(a, s), |t| t.queue.or(t.connect))
        }),
        timeout!("be_server_timeout" backend BACKEND server "The backend's `timeout server`."),
        Fetch::new("be_tarpit_timeout", Type::Int, BACKEND, "The backend's `timeout tarpit`.", |a, s, _| {
            ms(backend(a, s), |t| t.tarpit.or(t.connect))
        }),
        timeout!("be_tunnel_timeout" backend BACKEND tunnel "The backend's `timeout tunnel`."),
        timeout!("fe_client_timeout" frontend FRONTEND client "The frontend's `timeout client`."),
        timeout!("fe_tarpit_timeout" frontend FRONTEND tarpit "The frontend's `timeout tarpit`."),
        Fetch::new("be_max_retries", Type::Int, BACKEND, "The backend's `retries`.", |a, s, _| {
            int(backend(a, s).map(|b| b.retries))
        }),
        current!("cur_client_timeout" Client FRONTEND "The client timeout of the stream." |s| {
            frontend_at_work(s).and_then(|f| f.timeouts.client)
        }),
        current!("cur_connect_timeout" Connect BACKEND "The connect timeout of the stream." |s| {
            of_backend(s, |t| t.connect)
        }),
        current!("cur_queue_timeout" Queue BACKEND "The queue timeout of the stream." |s| {
            of_backend(s, |t| t.queue.or(t.connect))
        }),
        current!("cur_server_timeout" Server BACKEND "The server timeout of the stream." |s| {
            of_backend(s, |t| t.server)
        }),
        current!("cur_tarpit_timeout" Tarpit CLIENT_CONNECTION "The tarpit timeout of the stream." |s| tarpit(s)),
        current!("cur_tunnel_timeout" Tunnel BACKEND "The tunnel timeout of the stream." |s| tunnel(s)),
        Fetch::new("cur_max_retries", Type::Int, BACKEND, "The retries of the stream.", |_, s, _| {
            let configured = backend(&Args::default(), s).map_or(0, |b| b.retries);
            s.facts.stream.then(|| Value::Int(s.facts.side.retries.unwrap_or(configured).into())).into()
        })
        .impure(),
    ],
    converters: &[],
    acls: &[],
};
