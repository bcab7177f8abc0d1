//! Timeouts as configured, in milliseconds; 0: none.

use super::{backend, frontend, int};
use portcullis_config::Timeouts;
use portcullis_sample::place::{BACKEND, FRONTEND};
use portcullis_sample::row::{Fetch, SampleRows};
use portcullis_sample::{Sample, Type};
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
    ],
    converters: &[],
    acls: &[],
};
