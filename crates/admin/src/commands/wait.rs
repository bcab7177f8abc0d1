//! `wait`

use crate::admin::Admin;
use crate::command::{Call, Outcome, Row};
use crate::socket::Level;
use portcullis_proxy::live::{self, Held, Kept};
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

/// What is waited for.
enum Until {
    Backend(String),
    Server(String),
}

/// How often a condition is looked at.
const STEP: Duration = Duration::from_millis(20);

fn wait(call: &mut Call<'_>) -> Outcome {
    if !call.has(1) {
        return Outcome::err("Expects a duration in milliseconds.");
    }
    if call.arg(1) == "-h" || call.arg(2) == "-h" {
        return Outcome::info(HELP);
    }
    let time = portcullis_config::rows::value::time_with_unit(call.arg(1).as_bytes(), 1000);
    let Some((time, _)) = time.ok().filter(|(time, _)| !time.is_zero()) else {
        return Outcome::err("Invalid duration.");
    };
    if !call.has(2) {
        return Outcome::Later(Box::pin(async move {
            tokio::time::sleep(time).await;
            Outcome::info("Done.")
        }));
    }
    let what = call.arg(3).into_owned();
    let what = match &*call.arg(2) {
        "srv-removable" if what.is_empty() => {
            return Outcome::err("Missing server name (<backend>/<server>).");
        }
        "srv-removable" if what.split_once('/').is_none_or(|(_, server)| server.is_empty()) => {
            return Outcome::err("Require 'backend/server'.");
        }
        "srv-removable" => Until::Server(what),
        "be-removable" if what.is_empty() => return Outcome::err("Missing backend name."),
        "be-removable" => Until::Backend(what),
        _ => return Outcome::err(HELP),
    };
    let until = tokio::time::Instant::now() + time;
    let admin = call.admin.clone();
    Outcome::Later(Box::pin(async move {
        loop {
            let (why, for_ever) = match look(&admin, &what) {
                Ok(()) => return Outcome::info("Done."),
                Err(why) => why,
            };
            if for_ever || tokio::time::Instant::now() >= until {
                return Outcome::err(format!("Failed. {why}"));
            }
            tokio::time::sleep(STEP).await;
        }
    }))
}

/// May it be removed? If not, why, and whether it is in vain to wait.
fn look(admin: &Admin, what: &Until) -> Result<(), (&'static str, bool)> {
    let plan = admin.plan();
    match what {
        Until::Server(name) => {
            let named = super::server_named(&plan, name).map_err(|why| (why, true))?;
            let server = named.server_plan().ok_or(("No such server.", true))?;
            live::removable(server).map_err(|held| (super::add_server::why(held), held != Held::Busy))
        }
        Until::Backend(name) => {
            let found = super::find_proxy(&plan, name, |p| p.state.is_some());
            let backend = found.and_then(|at| plan.proxies.get(at)).ok_or(("No such backend.", true))?;
            let judged = live::backend_removable(backend);
            judged.map_err(|kept| (super::backends::why(kept), kept != Kept::Busy))
        }
    }
}
