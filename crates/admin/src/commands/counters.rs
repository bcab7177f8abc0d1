//! `clear counters`

use crate::command::{Call, Outcome, Row};
use crate::socket::Level;
use portcullis_backend::ServerState;
use portcullis_stats::lines;
use portcullis_telemetry::{Gauge, Sharded};

/// The rows of this file.
pub const ROWS: &[Row] = &[Row::new(
    "clear counters",
    "[all|server <bk>/<srv> [force]]",
    Level::Operator,
    "clear max statistics counters (or all, or one server's)",
    clear,
)];

fn clear(call: &mut Call<'_>) -> Outcome {
    let what = call.arg(2).into_owned();
    let now = call.admin.now();
    let all = what == "all";
    if all && call.cli.level < Level::Admin {
        return Outcome::err("Permission denied");
    }
    if what == "server" {
        if call.cli.level < Level::Admin {
            return Outcome::err("Permission denied");
        }
        return match super::server(call, 3) {
            Ok(named) => {
                server(&named.server, true, now);
                Outcome::info("Server counters cleared.")
            }
            Err(e) => e,
        };
    }
    let plan = call.admin.plan();
    for p in &plan.proxies {
        let front = &p.front;
        front.sessions.clear_highest();
        front.conn_rate_max.clear(front.conn_rate(now));
        front.sess_rate_max.clear(front.sess_rate(now));
        front.req_rate_max.clear(front.req_rate(now));
        front.forgotten.set((!all).then(|| lines::front_muxes(p)));
        front.counters.iter().for_each(|c| c.clear_tls());
        if all {
            front.counters.iter().for_each(|c| c.clear());
            front.h2.iter().for_each(|c| c.clear());
        }
        let Some(back) = &p.state else { continue };
        back.sessions().clear_highest();
        back.clear_highest();
        back.sess_rate_max.clear(back.counters.iter().map(|c| c.sess_rate.window(now)).sum());
        back.forgotten.set((!all).then(|| lines::back_muxes(p, back)));
        highest_times(back.counters.iter().map(|c| &c.times));
        if all {
            back.clear_downs();
            back.counters.iter().for_each(|c| c.clear());
            back.h2.iter().for_each(|c| c.clear());
        }
        back.servers().iter().for_each(|s| server(s, all, now));
    }
    for l in &plan.listeners {
        l.counts.conns.clear_highest();
        if all {
            l.counts.counters.iter().for_each(|c| c.clear());
        }
    }
    if all {
        plan.resolvers.iter().flat_map(|r| &r.nameservers).for_each(|n| n.counters.clear());
    }
    let process = &call.admin.process.counts;
    process.conn_rate_max.clear(process.conn_rate(now));
    process.sess_rate_max.clear(process.sess_rate(now));
    process.tls.clear_highest(&process.counters, now);
    call.admin.process.ledgers.iter().for_each(|l| l.clear_activity());
    Outcome::Nothing
}

fn server(s: &ServerState, all: bool, now: u64) {
    let gauge: &Gauge = &s.sessions;
    gauge.clear_highest();
    s.clear_highest();
    s.sess_rate_max.clear(s.counters.iter().map(|c| c.sess_rate.window(now)).sum());
    highest_times(s.counters.iter().map(|c| &c.times));
    if all {
        clear_all(&s.counters);
        s.life.lock().clear();
    }
}

fn clear_all(counters: &Sharded<portcullis_telemetry::ServerCounters>) {
    counters.iter().for_each(|c| c.clear());
}

fn highest_times<'t>(all: impl Iterator<Item = &'t portcullis_telemetry::stats::Times>) {
    for t in all {
        [&t.queue_max, &t.connect_max, &t.response_max, &t.total_max].into_iter().for_each(|m| m.clear());
    }
}
