//! Internal state: clock, process, timers and counters of the stream (manual sections 7.3.2 and 7.3.3).

use crate::args::{Arg, ArgKind, Args};
use crate::place::{
    CLIENT_CONNECTION, CONSTANT, FRONTEND, INTERNAL, REQUEST, REQUEST_COUNTERS, REQUEST_END, REQUEST_LINE,
    RESPONSE, RESPONSE_LINE, SERVER_ADDRESS,
};
use crate::row::{Cursor, Fetch, SampleRows};
use crate::scope::Scope;
use crate::value::{Sample, Type, Value};
use std::sync::LazyLock;
use std::time::Duration;

static HOSTNAME: LazyLock<String> = LazyLock::new(portcullis_sys::localtime::host_name);

fn int(n: impl Into<i64>) -> Sample<'static> {
    Value::Int(n.into()).into()
}
fn count(n: u64) -> Sample<'static> {
    Value::Int(i64::try_from(n).unwrap_or(i64::MAX)).into()
}
/// A count that only a stream has.
fn stream(s: &Scope<'_>, n: u64) -> Sample<'static> {
    if s.facts.stream { count(n) } else { Sample::Missing }
}
/// Seconds, milliseconds or microseconds, as argument `unit` says, with this many of them added.
fn clock(t: Duration, args: &Args, unit: usize, add: i64) -> Sample<'static> {
    let n = match args.text(unit) {
        b"ms" => t.as_millis(),
        b"us" => t.as_micros(),
        _ => u128::from(t.as_secs()),
    };
    Value::Int(i64::try_from(n).unwrap_or(i64::MAX).saturating_add(add)).into()
}
fn check_unit(text: &[u8]) -> Result<(), String> {
    match text {
        b"" | b"s" | b"ms" | b"us" => Ok(()),
        t => Err(format!("expects 's', 'ms' or 'us', got '{}'", String::from_utf8_lossy(t))),
    }
}
fn random<'s>(args: &'s Args, s: &Scope<'s>, _: &mut Cursor) -> Sample<'s> {
    let n = s.random.next() >> 32;
    Value::Int(match args.int(0) {
        // 3.5 takes the lower 32 bits
        Some(range) => ((n * u64::from(range as u32)) >> 32) as i64,
        None => n as i64,
    })
    .into()
}
/// The value of the variable when the configuration is read: `chroot` and threads change nothing about it.
fn check_env(args: &mut Args) -> Result<(), String> {
    let name = String::from_utf8_lossy(args.text(0)).into_owned();
    let valid = !name.is_empty() && !name.contains(['=', '\0']);
    let value = if valid { portcullis_sys::environment::get(&name) } else { None };
    args.0 = value.map(|v| Arg::Str(v.into())).into_iter().collect();
    Ok(())
}

const UNIT: &[ArgKind] = &[ArgKind::Str];

/// What was passed on of so many bytes, when rules have made the head longer by some.
fn sent(received: u64, grown: i64) -> u64 {
    if received == 0 { 0 } else { received.saturating_add_signed(grown) }
}

/// Rows.
pub const ROWS: SampleRows = SampleRows {
    fetches: &[
        Fetch::new("date", Type::Int, CONSTANT, "The current date.", |a, s, _| {
            clock(s.wall, a, 1, a.int(0).unwrap_or(0))
        })
        .with(0, &[ArgKind::Int, ArgKind::Str])
        .checked(|a| check_unit(a.text(1)))
        .impure(),
        Fetch::new("date_us", Type::Int, CONSTANT, "The microseconds of the current second.", |_, s, _| {
            int(s.wall.subsec_micros())
        })
        .impure(),
        Fetch::new(
            "accept_date",
            Type::Int,
            CLIENT_CONNECTION,
            "When the session was accepted.",
            |a, s, _| clock(s.facts.accepted, a, 0, 0),
        )
        .with(0, UNIT)
        .checked(|a| check_unit(a.text(0))),
        Fetch::new(
            "request_date",
            Type::Int,
            REQUEST_LINE,
            "When the request's first byte came.",
            |a, s, _| clock(s.facts.requested, a, 0, 0),
        )
        .with(0, UNIT)
        .checked(|a| check_unit(a.text(0))),
        Fetch::new("rand", Type::Int, CONSTANT, "A random number, below the argument or 2^32.", random)
            .with(0, &[ArgKind::Int])
            .impure(),
        Fetch::new("hostname", Type::Str, CONSTANT, "Name of this host.", |_, _, _| {
            Value::str(HOSTNAME.as_bytes()).into()
        }),
        Fetch::new("pid", Type::Int, CONSTANT, "Process id.", |_, _, _| int(std::process::id())),
        Fetch::new("uptime", Type::Int, CONSTANT, "Seconds since the process began.", |_, s, _| {
            count(s.monotonic.as_secs())
        })
        .impure(),
        Fetch::new("thread", Type::Int, CONSTANT, "Number of the worker, from 0.", |_, _, _| {
            int(crate::facts::thread())
        })
        .impure(),
        Fetch::new("tgroup", Type::Int, CONSTANT, "0: there is one group of threads.", |_, _, _| int(0)),
        Fetch::new(
            "last_rule_line",
            Type::Int,
            INTERNAL,
            "Line of the final rule that was executed last.",
            |_, s, _| s.facts.last_rule.map(|p| Value::Int(p.line.into())).into(),
        )
        .impure(),
        Fetch::new("nbproc", Type::Int, CONSTANT, "1: there is one process.", |_, _, _| int(1)),
        Fetch::new("proc", Type::Int, CONSTANT, "1: there is one process.", |_, _, _| int(1)),
        Fetch::new("env", Type::Str, CONSTANT, "An environment variable.", |a, _, _| match a.0.first() {
            Some(Arg::Str(v)) => Value::str(v).into(),
            _ => Sample::Missing,
        })
        .with(1, &[ArgKind::Str])
        .checked(check_env),
        Fetch::new("bytes_in", Type::Int, REQUEST_COUNTERS, "Bytes from the client.", |_, s, _| {
            stream(s, s.facts.bytes_up)
        })
        .impure(),
        Fetch::new("req.bytes_in", Type::Int, REQUEST_COUNTERS, "Bytes from the client.", |_, s, _| {
            stream(s, s.facts.bytes_up)
        })
        .impure(),
        Fetch::new("bytes_out", Type::Int, REQUEST_END, "Bytes to the client.", |_, s, _| {
            stream(s, s.facts.bytes_down)
        })
        .impure(),
        Fetch::new("res.bytes_in", Type::Int, REQUEST_END, "Bytes from the server.", |_, s, _| {
            stream(s, s.facts.bytes_down)
        })
        .impure(),
        Fetch::new("req.bytes_out", Type::Int, REQUEST_COUNTERS, "Bytes to the server.", |_, s, _| {
            stream(s, if s.facts.timers.connect >= 0 { sent(s.facts.bytes_up, s.facts.grown[0]) } else { 0 })
        })
        .impure(),
        Fetch::new("res.bytes_out", Type::Int, REQUEST_END, "Bytes to the client.", |_, s, _| {
            let answered = s.facts.bytes_answered;
            stream(s, if answered > 0 { answered } else { sent(s.facts.bytes_down, s.facts.grown[1]) })
        })
        .impure(),
        Fetch::new("fc.timer.handshake", Type::Int, CLIENT_CONNECTION, "Th, in ms.", |_, s, _| {
            int(s.facts.timers.handshake)
        }),
        Fetch::new("fc.timer.total", Type::Int, FRONTEND, "Tt, in ms.", |_, s, _| int(s.facts.timers.total))
            .impure(),
        Fetch::new("req.timer.idle", Type::Int, REQUEST, "Ti, in ms.", |_, s, _| int(s.facts.timers.idle)),
        Fetch::new("req.timer.hdr", Type::Int, REQUEST, "TR, in ms.", |_, s, _| int(s.facts.timers.request)),
        Fetch::new("req.timer.queue", Type::Int, SERVER_ADDRESS, "Tw, in ms.", |_, s, _| {
            int(s.facts.timers.queue)
        }),
        Fetch::new("bc.timer.connect", Type::Int, SERVER_ADDRESS, "Tc, in ms.", |_, s, _| {
            int(s.facts.timers.connect)
        }),
        Fetch::new("res.timer.hdr", Type::Int, RESPONSE, "Tr, in ms.", |_, s, _| {
            int(s.facts.timers.response)
        }),
        Fetch::new("res.timer.data", Type::Int, REQUEST_END, "Td, in ms.", |_, s, _| {
            int(s.facts.timers.data)
        })
        .impure(),
        Fetch::new("txn.timer.total", Type::Int, REQUEST_LINE, "Ta, in ms.", |_, s, _| {
            int(s.facts.timers.active)
        })
        .impure(),
        Fetch::new("txn.timer.user", Type::Int, REQUEST_LINE, "Tu, in ms.", |_, s, _| {
            int(s.facts.timers.user)
        })
        .impure(),
        Fetch::new("txn.conn_retries", Type::Int, RESPONSE_LINE, "Connection retries.", |_, s, _| {
            int(s.facts.retries)
        }),
        Fetch::new(
            "txn.redispatched",
            Type::Bool,
            RESPONSE_LINE,
            "Was the request moved to another server?",
            |_, s, _| Value::Bool(s.facts.redispatched).into(),
        ),
        Fetch::new(
            "txn.sess_term_state",
            Type::Str,
            INTERNAL,
            "Termination state: cause and phase.",
            |_, s, _| {
                let [cause, phase, ..] = s.facts.termination;
                Value::Str(vec![cause, phase].into()).into()
            },
        )
        .impure(),
        Fetch::new("txn.id32", Type::Int, INTERNAL, "The request's number in the process.", |_, s, _| {
            int(s.facts.request_count)
        }),
    ],
    converters: &[],
    acls: &[],
};
