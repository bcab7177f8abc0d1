//! `show tasks`, `show profiling`, `set profiling`: what tasks of workers there are and what their calls cost.
//!
//! The event loop is Tokio's, whose queue cannot be looked into: `show tasks` lists the tasks that there are, by kind.
//! A call's latency is the time from the beginning of the event loop's turn.

use crate::command::{Call, Outcome, Row};
use crate::socket::Level;
use portcullis_proxy::process::Process;
use portcullis_telemetry::ledger::{Kind, Profiling, Work};
use std::cmp::Reverse;
use std::fmt::Write;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    Row::new("show tasks", "", Level::User, "show running tasks", tasks),
    Row::new(
        "show profiling",
        "[<what>|<#lines>|<opts>]*",
        Level::Admin,
        "show profiling state (all,status,tasks,memory)",
        show,
    ),
    Row::new(
        "set profiling",
        "<what> {auto|on|off}",
        Level::Admin,
        "enable/disable resource profiling (tasks,memory)",
        set,
    ),
];

/// What the tasks of one kind came to on all workers.
struct Sum {
    kind: Kind,
    alive: u64,
    calls: u64,
    cpu: u64,
    latency: u64,
}

fn sums(process: &Process) -> Vec<Sum> {
    let one = |kind: &Kind| {
        let works: Vec<&Work> = process.ledgers.iter().filter_map(|l| l.work(*kind)).collect();
        let sum = |of: fn(&Work) -> u64| works.iter().map(|w| of(w)).fold(0u64, u64::wrapping_add);
        let alive = Some(sum(Work::alive)).filter(|n| *n <= i64::MAX as u64).unwrap_or(0);
        let (calls, cpu) = (sum(|w| w.costs()[0]), sum(|w| w.costs()[1]));
        Sum { kind: *kind, alive, calls, cpu, latency: sum(|w| w.costs()[2]) }
    };
    Kind::ALL.iter().map(one).collect()
}

/// Nanoseconds in four digits with their unit, as HAProxy writes them.
fn span(nanos: u64) -> String {
    let (value, unit) = match nanos as f64 {
        n if n < 1e3 => (n, "ns"),
        n if n < 1e6 => (n / 1e3, "us"),
        n if n < 1e9 => (n / 1e6, "ms"),
        n => (n / 1e9, "s"),
    };
    let decimals = if value < 10.0 {
        3
    } else if value < 100.0 {
        2
    } else {
        1
    };
    format!("{value:.decimals$}{unit}")
}

/// A column of times.
fn column(nanos: Option<u64>) -> String {
    nanos.map_or_else(|| "      -   ".to_owned(), |n| format!("{:<7}", span(n))).to_owned()
}

fn percent(part: u64, whole: u64) -> String {
    let tenths = (part * 1000).checked_div(whole).unwrap_or(0);
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn tasks(call: &mut Call<'_>) -> Outcome {
    let process = &call.admin.process;
    let running = process.ledgers.iter().filter(|l| l.since().is_some()).count();
    let mut all = sums(process);
    all.retain(|s| s.alive > 0);
    all.sort_by_key(|s| Reverse(s.alive));
    let (places, calls): (u64, u64) = all.iter().fold((0, 0), |(p, c), s| (p + s.alive, c + s.calls));
    let mut text = format!(
        "Running tasks: {running} ({} threads)\n  \
         function                     places     %    lat_tot   lat_avg  calls_tot  calls_avg calls%\n",
        process.load.len()
    );
    for s in &all {
        let average = s.latency.checked_div(s.calls);
        let times = match average {
            Some(average) => format!("   {:<7}   {:<7}", span(s.latency), span(average)),
            None => "      -         -   ".to_owned(),
        };
        let _ = writeln!(
            text,
            "  {:<25} {:>9}  {:>5}{times} {:>9} {:>10}  {:>5}",
            s.kind.name(),
            s.alive,
            percent(s.alive, places),
            s.calls,
            s.calls / s.alive,
            percent(s.calls, calls)
        );
    }
    Outcome::Text(text.into_bytes())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Calls,
    Name,
    Time,
}

struct Wanted {
    status: bool,
    tasks: bool,
    order: Order,
    most: usize,
}

fn wanted(call: &Call<'_>) -> Option<Wanted> {
    let mut w = Wanted { status: true, tasks: true, order: Order::Calls, most: usize::MAX };
    for at in 2..call.words.len() {
        match &*call.arg(at) {
            "all" => (w.status, w.tasks) = (true, true),
            "status" => (w.status, w.tasks) = (true, false),
            "tasks" => (w.status, w.tasks) = (false, true),
            "memory" => (w.status, w.tasks) = (false, false),
            "byaddr" => w.order = Order::Name,
            "bytime" => w.order = Order::Time,
            // a kind of tasks is one line anyway
            "byctx" | "aggr" => {}
            // 0 is no limit
            number => w.most = number.parse().ok().map(|n| if n == 0 { usize::MAX } else { n })?,
        }
    }
    Some(w)
}

fn show(call: &mut Call<'_>) -> Outcome {
    let Some(wanted) = wanted(call) else {
        return Outcome::err(
            "Expects either 'all', 'status', 'tasks', 'memory', 'byaddr', 'bytime', 'byctx', 'aggr' or a max number of output lines.",
        );
    };
    let (process, now) = (&call.admin.process, call.admin.now());
    let mut text = String::new();
    if wanted.status {
        let any = process.ledgers.iter().any(portcullis_telemetry::ledger::Ledger::measured);
        let state = match (process.ledgers.mode(), any) {
            (Profiling::On, _) => "on",
            (Profiling::Off, _) => "off",
            (Profiling::Auto, true) => "auto-on",
            (Profiling::Auto, false) => "auto-off",
        };
        let _ = writeln!(
            text,
            "Per-task CPU profiling              : {state:<13} # set profiling tasks {{on|auto|off}}\n\
             Memory usage profiling              : off           # set profiling memory {{on|off}}"
        );
    }
    if wanted.tasks {
        listed(&mut text, &wanted, sums(process), process.ledgers.span(now));
    }
    Outcome::Text(text.into_bytes())
}

fn listed(text: &mut String, wanted: &Wanted, mut all: Vec<Sum>, (over, ago): (u64, u64)) {
    let seconds = |ms: u64| format!("{}.{:03}", ms / 1000, ms % 1000);
    let _ = writeln!(
        text,
        "Tasks activity over {} sec till {} sec ago:\n  \
         function                      calls   cpu_tot   cpu_avg   lkw_avg   lkd_avg   mem_avg   lat_avg",
        seconds(over),
        seconds(ago)
    );
    all.retain(|s| s.calls > 0);
    match wanted.order {
        Order::Calls => all.sort_by_key(|s| Reverse(s.calls)),
        Order::Time => all.sort_by_key(|s| Reverse(s.cpu)),
        Order::Name => all.sort_by_key(|s| s.kind as u8),
    }
    for s in all.iter().take(wanted.most) {
        let line = format!(
            "  {:<25} {:>9}   {}   {}{}{}{}   {}",
            s.kind.name(),
            s.calls,
            column(Some(s.cpu)),
            column(s.cpu.checked_div(s.calls)),
            column(None),
            column(None),
            column(None),
            column(s.latency.checked_div(s.calls))
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

fn set(call: &mut Call<'_>) -> Outcome {
    match &*call.arg(2) {
        "memory" => Outcome::err("Memory profiling not compiled in."),
        "tasks" => set_tasks(call),
        _ => Outcome::err("Expects either 'tasks' or 'memory'."),
    }
}

fn set_tasks(call: &Call<'_>) -> Outcome {
    const EXPECTS: &str =
        "Expects a combination of either 'on', 'auto', 'off', 'lock', 'no-lock', 'memory' or 'no-memory'.";
    let (mut mode, mut extra) = (None, false);
    for at in 3..call.words.len().max(4) {
        match &*call.arg(at) {
            "on" => mode = Some(Profiling::On),
            "auto" => mode = Some(Profiling::Auto),
            "off" => mode = Some(Profiling::Off),
            "lock" | "memory" => extra = true,
            "no-lock" | "no-memory" => {}
            _ => return Outcome::err(EXPECTS),
        }
    }
    if let Some(mode) = mode {
        call.admin.process.ledgers.set_mode(mode, call.admin.now());
    }
    match extra {
        true => Outcome::notice("Times of locks and of allocations are not measured here."),
        false => Outcome::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_four_digits() {
        let all = [0, 642, 1027, 22_910, 504_000, 1_270_000, 79_390_000, 5_000_000_000].map(span);
        assert_eq!(
            all,
            ["0.000ns", "642.0ns", "1.027us", "22.91us", "504.0us", "1.270ms", "79.39ms", "5.000s"]
        );
    }

    #[test]
    fn lines_are_haproxy_s() {
        let mut text = String::new();
        let wanted = Wanted { status: false, tasks: true, order: Order::Time, most: 1 };
        let sum = |kind, cpu| Sum { kind, alive: 1, calls: 22, cpu, latency: 22_594 };
        listed(&mut text, &wanted, vec![sum(Kind::Log, 5), sum(Kind::Session, 504_020)], (548, 0));
        let expected = "Tasks activity over 0.548 sec till 0.000 sec ago:\n  \
            function                      calls   cpu_tot   cpu_avg   lkw_avg   lkd_avg   mem_avg   lat_avg\n  \
            session                          22   504.0us   22.91us      -         -         -      1.027us\n";
        assert_eq!(text, expected);
    }
}
