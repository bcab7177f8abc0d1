//! `show events`: what rings hold.

use crate::command::{Call, Follow, Outcome, Row};
use crate::socket::Level;
use portcullis_telemetry::log::{Ring, Sinks};
use std::sync::Arc;

/// The rows of this file.
pub const ROWS: &[Row] =
    &[Row::new("show events", "[<sink>] [-w] [-n] [-0]", Level::User, "show event sink state", events)];

/// Most bytes read from a ring at a time.
pub const CHUNK: usize = 64 * 1024;

/// What events can be written to: name, description, and the ring if it is one.
pub fn sinks(all: &Sinks) -> Vec<(String, String, Option<Arc<Ring>>)> {
    let fds = [("stdout", "standard output (fd#1)"), ("stderr", "standard output (fd#2)")];
    let fds = fds.into_iter().map(|(name, what)| (name.to_owned(), what.to_owned(), None));
    let rings = all.rings().into_iter().map(|r| {
        let (name, description) = (r.config().name.clone(), r.config().description.clone());
        (name.clone(), description.unwrap_or(name), Some(r))
    });
    fds.chain(rings).collect()
}

fn events(call: &mut Call<'_>) -> Outcome {
    let rings = call.admin.process.sinks.rings().to_vec();
    if !call.has(2) {
        let mut text = String::from(
            "Supported events sinks are listed below. Add -0(zero), -w(wait), -n(new). Any key to stop.\n",
        );
        for (name, what, ring) in sinks(&call.admin.process.sinks) {
            let (kind, dropped) = ring.map_or(("fd", 0), |r| ("buffer", r.dropped()));
            text.push_str(&format!("    {name:<10} : type={kind}, {dropped} dropped, {what}\n"));
        }
        return Outcome::Text(text.into_bytes());
    }
    if call.cli.level < Level::Operator {
        return Outcome::err("Permission denied");
    }
    let name = call.arg(2);
    let (mut end, mut from_now, mut waits) = (b'\n', false, false);
    for i in 3..call.words.len() {
        for c in call.arg(i).trim_start_matches('-').chars() {
            match c {
                '0' => end = 0,
                'n' => from_now = true,
                'w' => waits = true,
                _ => return Outcome::err("unknown option"),
            }
        }
    }
    let Some(ring) = rings.into_iter().find(|r| r.config().name == *name) else {
        return if name == "stdout" || name == "stderr" {
            Outcome::notice("Nothing to report for this sink")
        } else {
            Outcome::err("No such event sink")
        };
    };
    let (first, last) = ring.range();
    let mut at = if from_now { last } else { first };
    if waits {
        return Outcome::Follow(Follow { ring, at, end });
    }
    Outcome::Pieces(Box::new(std::iter::from_fn(move || {
        let mut bytes = Vec::new();
        if at >= last {
            return None;
        }
        at = ring.read(at, end, CHUNK, &mut bytes);
        (!bytes.is_empty()).then_some(bytes)
    })))
}
