//! Commands about the process.

use crate::command::{Call, Outcome, Row};
use crate::socket::Level;
use portcullis_proxy::process::Process;
use portcullis_sys::process::thread_time;
use portcullis_telemetry::ledger::{Kind, Ledger};
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

/// A line of `show activity`: its name, and how it is read of a worker.
type Act = (&'static str, fn(&Activity<'_>, usize) -> u64);

/// The lines, named as HAProxy's are; what does not exist here is left out. The last ones are ours.
const ACTS: &[Act] = &[
    ("ctxsw", |a, w| a.ledger(w, Ledger::calls)),
    ("tasksw", |a, w| a.ledger(w, Ledger::calls)),
    ("empty_rq", |a, w| a.ledger(w, |l| l.acts().empty.get())),
    ("long_rq", |a, w| a.ledger(w, |l| l.acts().long.get())),
    ("loops", |a, w| a.ledger(w, Ledger::loops)),
    ("avg_loop_us", |a, w| a.ledger(w, Ledger::average)),
    ("accepted", |a, w| a.process.counts.counters.of(w).cum_conns.get()),
    ("accq_pushed", |a, w| a.ledger(w, |l| l.acts().adopted.get())),
    ("fd_takeover", |a, w| a.ledger(w, |l| l.acts().taken.get())),
    ("check_started", |a, w| a.ledger(w, |l| l.acts().checks.get())),
    ("check_active", |a, w| a.alive(w, Kind::Check)),
    ("check_running", |a, w| a.alive(w, Kind::Check)),
    ("requests", |a, w| a.process.counts.counters.of(w).cum_req.get()),
    ("conn_rate", |a, w| a.rate(a.process.counts.counters.of(w).conn_rate.window(a.now))),
    ("sess_rate", |a, w| a.rate(a.process.counts.counters.of(w).sess_rate.window(a.now))),
    ("bytes_out", |a, w| a.process.counts.counters.of(w).bytes_out.get()),
];

/// What workers did.
struct Activity<'p> {
    process: &'p Process,
    /// Milliseconds of the process' clock.
    now: u64,
}

impl Activity<'_> {
    fn ledger(&self, worker: usize, read: impl Fn(&Ledger) -> u64) -> u64 {
        self.process.ledgers.of(worker).map_or(0, read)
    }
    fn alive(&self, worker: usize, kind: Kind) -> u64 {
        self.ledger(worker, |l| l.work(kind).map_or(0, |w| w.alive()))
    }
    fn rate(&self, window: Window) -> u64 {
        window.per_second(self.now)
    }
    /// A line for these columns: -1 all, 0 what they come to, else a worker's.
    fn line(&self, (name, read): &Act, column: i64) -> String {
        let workers = self.process.load.len();
        let values: Vec<u64> = (0..workers).map(|w| read(self, w)).collect();
        let sum: u64 = values.iter().sum();
        // of averages the average
        let all = if name.starts_with("avg_") { sum / workers.max(1) as u64 } else { sum };
        match usize::try_from(column) {
            Err(_) if workers > 1 => {
                let list: String = values.iter().map(|v| format!("{v} ")).collect();
                format!("{name}: {all} [ {list}]\n")
            }
            Err(_) | Ok(0) => format!("{name}: {all}\n"),
            Ok(n) => format!("{name}: {}\n", values.get(n - 1).copied().unwrap_or(0)),
        }
    }
}

fn activity(call: &mut Call<'_>) -> Outcome {
    let process = &call.admin.process;
    let workers = process.load.len();
    // a word that is no number counts as 0
    let column = if call.has(2) { super::number(&call.arg(2)) } else { -1 };
    if column < -1 || column > i64::try_from(workers).unwrap_or(i64::MAX) {
        return Outcome::err("Thread ID number must be between -1 and nbthread");
    }
    let activity = Activity { process, now: call.admin.now() };
    let (wall, up) = (process.clock.wall(), Duration::from_millis(activity.now));
    let mut text = format!(
        "thread_id: 1 (1..{workers})\ndate_now: {}.{:06}\nuptime_now: {}.{:06}\n",
        wall.as_secs(),
        wall.subsec_micros(),
        up.as_secs(),
        up.subsec_micros()
    );
    ACTS.iter().for_each(|act| text.push_str(&activity.line(act, column)));
    Outcome::Text(text.into_bytes())
}

/// A turn of the event loop that lasts this long (ms) is stuck.
const STUCK: u64 = 1000;

/// What workers do. `>` is before one that is stuck; none has a `*`: commands are executed on a thread of their own.
fn threads(call: &mut Call<'_>) -> Outcome {
    let (process, now) = (&call.admin.process, call.admin.now());
    let mut text = String::new();
    for (i, (load, ledger)) in process.load.iter().zip(process.ledgers.iter()).enumerate() {
        let lasts = ledger.since().map(|since| now.saturating_sub(since));
        let stuck = lasts.is_some_and(|ms| ms >= STUCK);
        let task = ledger.current().filter(|_| lasts.is_some()).map_or("0", Kind::name);
        text.push_str(&format!(
            "{}Thread {n} : id={:#x} act={}\n      1/{n}    loops={} ctxsw={} stuck={} prof={}\n             cpu_ns: \
             now={}\n             conns={} alive={}\n             curr_task={task} since={}ms\n",
            if stuck { " >" } else { "  " },
            ledger.thread().unwrap_or_default(),
            u8::from(lasts.is_some()),
            ledger.loops(),
            ledger.calls(),
            u8::from(stuck),
            u8::from(ledger.measured()),
            ledger.thread().and_then(|t| thread_time(t).ok()).map_or(0, |t| t.as_nanos()),
            load.load(std::sync::atomic::Ordering::Relaxed),
            u8::from(process.workers().get(i).is_some()),
            lasts.unwrap_or(0),
            n = i + 1,
        ));
    }
    Outcome::Text(text.into_bytes())
}
