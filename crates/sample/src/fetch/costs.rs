//! What a stream's task costs, and how busy the process is (manual section 7.3.2: `cpu_*`, `lat_*`).

use crate::account::{self, Costs, Whose};
use crate::args::Args;
use crate::place::INTERNAL;
use crate::row::{Fetch, SampleRows};
use crate::value::{Sample, Type, Value};
use std::time::Duration;

fn ns(t: Duration) -> i64 {
    i64::try_from(t.as_nanos()).unwrap_or(i64::MAX)
}
fn average(t: Duration, calls: u64) -> i64 {
    ns(t) / i64::try_from(calls.max(1)).unwrap_or(i64::MAX)
}

/// From now on costs are measured.
#[allow(clippy::unnecessary_wraps)] // the type of all checks
fn want(_: &mut Args) -> Result<(), String> {
    account::want();
    Ok(())
}

macro_rules! cost {
    ($name:literal, $help:literal, $of:expr) => {
        Fetch::new($name, Type::Int, INTERNAL, $help, |_, _, _| {
            let of: fn(Costs) -> i64 = $of;
            Sample::There(Value::Int(of(account::now())))
        })
        .checked(want)
        .impure()
    };
}

macro_rules! usage {
    ($name:literal, $help:literal, $whose:ident) => {
        Fetch::new($name, Type::Int, INTERNAL, $help, |_, _, _| {
            Sample::There(Value::Int(account::usage(Whose::$whose)))
        })
        .impure()
    };
}

/// Rows.
pub const ROWS: SampleRows = SampleRows {
    fetches: &[
        cost!("cpu_calls", "Calls of the stream's task.", |c| i64::try_from(c.calls).unwrap_or(i64::MAX)),
        cost!("cpu_ns_avg", "Nanoseconds in a call of the stream's task.", |c| average(c.cpu, c.calls)),
        cost!("cpu_ns_tot", "Nanoseconds in all calls of the stream's task.", |c| ns(c.cpu)),
        cost!("lat_ns_avg", "Nanoseconds until a call of the stream's task.", |c| average(
            c.latency, c.calls
        )),
        cost!("lat_ns_tot", "Nanoseconds until all calls of the stream's task.", |c| ns(c.latency)),
        usage!("cpu_usage_grp", "How busy the workers are, in percent.", Process),
        usage!("cpu_usage_proc", "How busy the workers are, in percent.", Process),
        usage!("cpu_usage_thr", "How busy this worker is, in percent.", Thread),
    ],
    converters: &[],
    acls: &[],
};
