//! `wait`

use crate::command::{Call, Outcome, Row};
use crate::socket::Level;
use portcullis_backend::Admin;
use std::time::Duration;

/// The rows of this file.
pub const ROWS: &[Row] = &[Row::new(
    "wait",
    "{-h|<delay_ms>} cond [args...]",
    Level::Admin,
    "wait the specified delay or condition (-h to see list)",
    wait,
)];

const HELP: &str = "Usage: wait {-h|<duration>} [condition [args...]]
  - '-h' displays this help
  - <duration> is the maximum wait time, optionally suffixed by the unit among
    'us', 'ms', 's', 'm', 'h', and 'd'. ; the default unit is milliseconds.
  - <condition> indicates what to wait for, no longer than the specified
    duration. Supported conditions are:
    - <none> : by default, just sleep for the specified duration.
    - srv-removable <px>/<sv> : wait for this server to become removable.
";

/// How often a condition is looked at.
const STEP: Duration = Duration::from_millis(20);

fn wait(call: &mut Call<'_>) -> Outcome {
    if !call.has(1) {
        return Outcome::err("Expects a duration in milliseconds.");
    }
    if call.arg(1) == "-h" || call.arg(2) == "-h" {
        return Outcome::info(HELP);
    }
    let Ok(time) = portcullis_config::rows::value::time(call.arg(1).as_bytes()) else {
        return Outcome::err("Invalid duration.");
    };
    if !call.has(2) {
        return Outcome::Later(Box::pin(async move {
            tokio::time::sleep(time).await;
            Outcome::info("Done.")
        }));
    }
    if call.arg(2) != "srv-removable" {
        return Outcome::err(HELP);
    }
    let named = match super::server(call, 3) {
        Ok(n) => n,
        Err(e) => return e,
    };
    let until = tokio::time::Instant::now() + time;
    Outcome::Later(Box::pin(async move {
        loop {
            let s = &named.server;
            if s.admin() != Admin::Maint {
                return Outcome::err("Failed. Only servers in maintenance mode can be deleted.");
            }
            let idle = &s.idle;
            if s.used() == 0 && s.queued() == 0 && idle.used() + idle.shared() + idle.private() == 0 {
                return Outcome::info("Done.");
            }
            if tokio::time::Instant::now() >= until {
                return Outcome::err(
                    "Failed. Server still has connections attached to it, cannot remove it.",
                );
            }
            tokio::time::sleep(STEP).await;
        }
    }))
}
