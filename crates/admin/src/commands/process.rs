//! Commands about the process.

use crate::command::{Call, Outcome, Row};
use crate::socket::Level;
use portcullis_telemetry::rate::Window;
use std::time::Duration;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    Row::new("show version", "", Level::User, "show version of the current process", |_| {
        Outcome::info(portcullis_config::VERSION)
    }),
    Row::new("show env", "[var]", Level::Operator, "dump environment variables known to the process", env),
    Row::new("show startup-logs", "", Level::Operator, "report logs emitted during HAProxy startup", |c| {
        Outcome::Text(c.admin.about.startup_logs.map_or_else(String::new, |logs| logs()).into_bytes())
    }),
    Row::new(
        "show activity",
        "[-1|0|thread_num]",
        Level::Operator,
        "show per-thread activity stats (for support/developers)",
        activity,
    ),
    Row::new("_getsocks", "", Level::User, "gives the listening sockets to a new process", |c| {
        // a process that leaves has none any more: the next one is to be asked
        match c.cli.exposes && !c.admin.process.is_leaving() {
            true => Outcome::GiveSockets,
            false => Outcome::Close,
        }
    })
    .hide(),
    Row::new("show threads", "", Level::User, "show some threads debugging information", threads),
];

/// The environment with what HAProxy adds for configurations and programs that it starts.
fn env(call: &mut Call<'_>) -> Outcome {
    let mut all: Vec<(String, String)> = portcullis_sys::environment::all()
        .into_iter()
        .map(|(k, v)| (k, String::from_utf8_lossy(&v).into_owned()))
        .collect();
    let addresses: Vec<&str> = call.admin.sockets.iter().map(|(n, _)| n.as_str()).collect();
    let own = [
        ("HAPROXY_STARTUP_VERSION", portcullis_config::VERSION.to_owned()),
        ("HAPROXY_BRANCH", portcullis_config::BRANCH.to_owned()),
        ("HAPROXY_CFGFILES", call.admin.about.files.join(";")),
        ("HAPROXY_CLI", addresses.join(";")),
    ];
    for (name, value) in own {
        if !all.iter().any(|(k, _)| k == name) {
            all.push((name.to_owned(), value));
        }
    }
    if call.has(2) {
        let name = call.arg(2);
        return match all.iter().find(|(k, _)| *k == *name) {
            Some((k, v)) => Outcome::Text(format!("{k}={v}\n").into_bytes()),
            None => Outcome::err("Variable not found"),
        };
    }
    Outcome::Text(all.iter().map(|(k, v)| format!("{k}={v}\n")).collect::<String>().into_bytes())
}

/// What workers did, one column a worker; the names are HAProxy's, only what exists here is shown.
fn activity(call: &mut Call<'_>) -> Outcome {
    let process = &call.admin.process;
    let workers = process.load.len();
    let one = (call.has(2) && call.arg(2) != "-1").then(|| super::number(&call.arg(2)));
    let now = call.admin.now();
    let wall = process.clock.wall();
    let id = one.map_or(1, |n| n + 1);
    let up = Duration::from_millis(now);
    let mut text = format!(
        "thread_id: {id} (1..{workers})\ndate_now: {}.{:06}\nuptime_now: {}.{:06}\n",
        wall.as_secs(),
        wall.subsec_micros(),
        up.as_secs(),
        up.subsec_micros()
    );
    let counters = &process.counts.counters;
    let of = |pick: &dyn Fn(&portcullis_telemetry::ProcessCounters) -> u64| -> Vec<u64> {
        (0..workers).map(|w| pick(counters.of(w))).collect()
    };
    let rate = |w: Window| w.per_second(now);
    let ledgers = |pick: fn(&portcullis_telemetry::ledger::Ledger) -> u64| -> Vec<u64> {
        process.ledgers.iter().map(pick).collect()
    };
    let rows: [(&str, Vec<u64>); 7] = [
        ("loops", ledgers(|l| l.loops())),
        ("accepted", of(&|c| c.cum_conns.get())),
        ("requests", of(&|c| c.cum_req.get())),
        ("conn_rate", of(&|c| rate(c.conn_rate.window(now)))),
        ("sess_rate", of(&|c| rate(c.sess_rate.window(now)))),
        ("bytes_out", of(&|c| c.bytes_out.get())),
        ("avg_loop_us", ledgers(|l| l.average())),
    ];
    for (name, values) in rows {
        match one {
            Some(n) => {
                let value = usize::try_from(n).ok().and_then(|n| values.get(n)).copied().unwrap_or(0);
                text.push_str(&format!("{name}: {value}\n"));
            }
            None => {
                let list: String = values.iter().map(|v| format!("{v} ")).collect();
                let sum: u64 = values.iter().sum();
                // of averages the average
                let all = if name.starts_with("avg_") { sum / values.len().max(1) as u64 } else { sum };
                text.push_str(&format!("{name}: {all} [ {list}]\n"));
            }
        }
    }
    Outcome::Text(text.into_bytes())
}

fn threads(call: &mut Call<'_>) -> Outcome {
    let process = &call.admin.process;
    let mut text = String::new();
    for (i, load) in process.load.iter().enumerate() {
        text.push_str(&format!(
            "  Thread {n} : worker-{n} conns={} alive={}\n",
            load.load(std::sync::atomic::Ordering::Relaxed),
            u8::from(process.workers().get(i).is_some()),
            n = i + 1,
        ));
    }
    Outcome::Text(text.into_bytes())
}
