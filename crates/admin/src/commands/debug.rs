//! `debug`: the commands for developers that mean something here; admin level and expert mode for those that do something.

use crate::command::{Call, Outcome, Row};
use crate::socket::Level;
use portcullis_proxy::worker::mailbox::Mail;
use portcullis_telemetry::ProcessCounters;
use portcullis_telemetry::counter::Counter;
use portcullis_telemetry::log;
use std::fmt::Write;
use std::time::{Duration, Instant};

/// The rows of this file.
pub const ROWS: &[Row] = &[
    Row::new(
        "debug counters",
        "[?|all|bug|cnt|chk|glt]*",
        Level::Operator,
        "dump/reset rare event counters",
        counters,
    ),
    Row::new("debug dev abort", "", Level::Admin, "call ABORT_NOW() and possibly crash", |c| {
        expert(c, |_| std::process::abort())
    })
    .hide(),
    Row::new("debug dev panic", "", Level::Admin, "immediately trigger a panic", |c| {
        expert(c, |_| std::process::abort())
    })
    .hide(),
    Row::new("debug dev exit", "[code]", Level::Admin, "immediately exit the process", |c| {
        expert(c, |c| std::process::exit(super::number(&c.arg(3)) as i32))
    })
    .hide(),
    Row::new("debug dev hash", "[msg]", Level::User, "return msg hashed if anon is set", hash),
    Row::new("debug dev log", "[msg] ...", Level::Admin, "send this msg to global logs", |c| {
        expert(c, log_it)
    })
    .hide(),
    Row::new(
        "debug dev loop",
        "<ms> [isolated|warn]",
        Level::Admin,
        "loop this long, possibly isolated",
        |c| expert(c, |c| hold(c, true)),
    )
    .hide(),
    Row::new("debug dev delay", "[ms]", Level::Admin, "sleep this long", |c| expert(c, |c| hold(c, false)))
        .hide(),
    Row::new("debug dev write", "[size]", Level::Admin, "write that many bytes in return", |c| {
        expert(c, write)
    })
    .hide(),
];

/// Commands about what HAProxy alone is made of.
pub const INTERNAL: &[(&str, &str)] = &[
    ("debug dev bug", "there are no BUG_ON() conditions to be tried"),
    ("debug dev check", "there are no CHECK_IF() conditions to be tried"),
    ("debug dev close", "descriptors have owners here, which nothing may close them under"),
    ("debug dev deadlock", "no lock is held while another is waited for"),
    ("debug dev fd", "there is no table of descriptors to compare with: 'show fd' asks the system"),
    ("debug dev hex", "memory is not shown by its address"),
    ("debug dev sched", "the scheduler is Tokio's"),
    ("debug dev stream", "streams have no flags of HAProxy's"),
    ("debug dev sym", "there is no table of HAProxy's symbols"),
    ("debug dev task", "the scheduler is Tokio's, and tasks have no addresses"),
    ("debug dev tkill", "signals are for the process, not for its threads"),
    ("debug dev warn", "there are no WARN_ON() conditions to be tried"),
    ("show ssl providers", "cryptography is that of AWS-LC, which has no providers"),
];

/// Longest time that a worker can be held up on purpose.
const LONGEST: Duration = Duration::from_secs(60);
/// Most bytes that can be asked for.
const MOST: u64 = 64 << 20;

pub(super) fn expert(call: &mut Call<'_>, run: impl FnOnce(&mut Call<'_>) -> Outcome) -> Outcome {
    match call.cli.expert {
        true => run(call),
        false => Outcome::err("This command is restricted to expert mode only."),
    }
}

/// What is counted that should not happen often: type, where, what, and the counter.
type Rare = (&'static str, &'static str, &'static str, fn(&ProcessCounters) -> &Counter);

const RARE: &[Rare] = &[
    ("BUG", "proxy/session.rs", "a connection was ended by an internal error (panic)", |c| &c.panics),
    ("CNT", "telemetry/log/writer.rs", "a log line found no room and was dropped", |c| &c.dropped_logs),
];

fn counters(call: &mut Call<'_>) -> Outcome {
    const EXPECTS: &str = "Expects an optional action ('reset','show','on','off'), optional types ('bug','chk','cnt','glt') and optionally 'all' to even dump null counters.";
    let (mut types, mut all, mut reset, mut off) = (Vec::new(), false, false, false);
    for at in 2..call.words.len() {
        match &*call.arg(at) {
            "show" | "on" => {}
            "reset" => reset = true,
            "off" => off = true,
            "all" => all = true,
            kind @ ("bug" | "chk" | "cnt" | "glt") => types.push(kind.to_uppercase()),
            _ => return Outcome::err(EXPECTS),
        }
    }
    let shards = &call.admin.process.counts.counters;
    let chosen = RARE.iter().filter(|r| types.is_empty() || types.iter().any(|t| t == r.0));
    if off {
        return Outcome::notice(
            "These counters cost nothing until something happens: they are always updated.",
        );
    }
    if reset {
        chosen.for_each(|r| shards.iter().for_each(|c| r.3(c).clear()));
        return Outcome::Nothing;
    }
    let mut text = String::new();
    for (kind, place, what, of) in chosen.copied() {
        let count = shards.sum(|c| of(c).get());
        if count > 0 || all {
            if text.is_empty() {
                text.push_str("Count     Type Location function(): \"condition\" [comment]\n");
            }
            let _ = writeln!(text, "{count:<10} {kind} {place}: \"{what}\"");
        }
    }
    Outcome::Text(text.into_bytes())
}

/// The word, or what it becomes where sensitive words are hidden (`set anon on`).
fn hash(call: &mut Call<'_>) -> Outcome {
    let text = call.cli.veil().word(&call.arg(3));
    Outcome::Text(format!("{text}\n").into_bytes())
}

fn log_it(call: &mut Call<'_>) -> Outcome {
    let words: Vec<_> = (3..call.words.len()).map(|at| call.arg(at)).collect();
    let text = words.join(" ");
    let process = &call.admin.process;
    let model = call.admin.model();
    let lines = &model.global.logs;
    let Ok(loggers) = log::Loggers::new(&process.sinks, lines, lines, model.global.log_tag.as_deref()) else {
        return Outcome::Nothing;
    };
    let mut writer = log::LogWriter::new(usize::MAX, process.counts.clone());
    writer.log(&loggers, log::Level::Info, process.clock.wall(), b"", text.as_bytes());
    let _ = writer.flush();
    Outcome::Nothing
}

/// Keeps a worker, or all of them (`isolated`), from everything else, with or without work.
fn hold(call: &mut Call<'_>, busy: bool) -> Outcome {
    let time = Duration::from_millis(u64::try_from(super::number(&call.arg(3))).unwrap_or(0)).min(LONGEST);
    let process = call.admin.process.clone();
    let (tell, mut told) = tokio::sync::mpsc::channel::<()>(1);
    let job = || {
        let tell = tell.clone();
        Mail::Run(Box::new(move |_| {
            match busy {
                true => {
                    let until = Instant::now() + time;
                    while Instant::now() < until {
                        std::hint::spin_loop();
                    }
                }
                false => std::thread::sleep(time),
            }
            drop(tell);
        }))
    };
    match &*call.arg(4) {
        "isolated" => process.tell_all(job),
        _ => {
            process.workers().first().map(|w| w.send(job()));
        }
    }
    drop(tell);
    Outcome::Later(Box::pin(async move {
        told.recv().await;
        Outcome::Nothing
    }))
}

fn write(call: &mut Call<'_>) -> Outcome {
    if !call.has(3) {
        return Outcome::err("Missing output size.");
    }
    let size = u64::try_from(super::number(&call.arg(3))).unwrap_or(0).min(MOST);
    let mut left = size;
    Outcome::Pieces(Box::new(std::iter::from_fn(move || {
        let piece = left.min(super::rings::CHUNK as u64);
        left -= piece;
        match (piece, left) {
            (0, _) => None,
            (n, 0) => Some([vec![b'.'; n as usize], vec![b'\n']].concat()),
            (n, _) => Some(vec![b'.'; n as usize]),
        }
    })))
}
