//! `trace` and `show trace`: what the inside tells of itself, and where to.

use crate::command::{Call, Outcome, Row};
use crate::socket::Level;
use portcullis_telemetry::trace::{self, Said};

/// The rows of this file.
pub const ROWS: &[Row] = &[
    Row::new(
        "trace",
        "[<module>|0] [cmd [args...]]",
        Level::Operator,
        "manage live tracing (empty to list, 0 to stop all)",
        run,
    ),
    Row::new("show trace", "[<module>]", Level::User, "show live tracing state", show),
];

fn run(call: &mut Call<'_>) -> Outcome {
    let words: Vec<String> = (1..call.words.len()).map(|at| call.arg(at).into_owned()).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let sinks = &call.admin.process.sinks;
    let known = || super::rings::sinks(sinks).into_iter().map(|(name, what, _)| (name, what)).collect();
    match trace::with(|t| trace::run(t, &words, &known)) {
        Said::Nothing => Outcome::Nothing,
        Said::Text(text) => Outcome::Text(text.into_bytes()),
        Said::Stopped(text) => Outcome::notice(text),
        Said::Wrong(text) => Outcome::err(text),
    }
}

fn show(call: &mut Call<'_>) -> Outcome {
    let name = call.has(2).then(|| call.arg(2));
    // that there is tracing anybody may know, what is traced of a source not
    if name.is_some() && call.cli.level < Level::Operator {
        return Outcome::err("Permission denied");
    }
    match trace::with(|t| t.show(name.as_deref())) {
        Ok(text) => Outcome::Text(text.into_bytes()),
        Err(text) => Outcome::err(text),
    }
}
