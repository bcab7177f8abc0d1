//! Taking over from older processes (`-sf`, `-st`; management.txt chapter 4).

use crate::link::Link;
use crate::options::Options;
use portcullis_proxy::plan::Plan;
use portcullis_proxy::start::{self, Bound};
use portcullis_transport::{LocalSockets, Sockets, handover};
use rustix::process::{Pid, Signal, kill_process};
use std::time::Duration;

/// How often binding is tried again after the old processes were asked to pause, and how long apart: a second in all.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(10);

/// What an older process gives: the old worker of the same master, or the process behind the socket of `-x`.
///
/// # Errors
/// The messages.
pub fn inherit(options: &Options, old: Option<&Link>) -> Result<LocalSockets, [String; 2]> {
    let given = match (&options.take_from, old) {
        _ if options.keep_nothing => Vec::new(),
        (_, Some(old)) => old.ask(),
        (Some(path), None) => handover::take(path)
            .map_err(|why| [why, "Failed to get the sockets from the old process!".into()])?,
        (None, None) => Vec::new(),
    };
    Ok(LocalSockets::new(given))
}

/// Opens the listeners. When some address is taken, the old processes are asked to pause (SIGTTOU); when that does not
/// help either, to go on (SIGTTIN).
///
/// # Errors
/// One message a listener.
pub fn bind(plan: &Plan, options: &Options, sockets: &dyn Sockets) -> Result<Vec<Bound>, Vec<String>> {
    let try_all = || start::bind(plan, sockets);
    let first = try_all();
    if first.is_ok() || !tell(options, Signal::TTOU) {
        return first;
    }
    let mut last = first;
    for _ in 0..TRIES {
        std::thread::sleep(PAUSE);
        last = try_all();
        if last.is_ok() {
            return last;
        }
    }
    tell(options, Signal::TTIN);
    last
}

/// This process serves: the old ones may go.
pub fn finish(options: &Options) {
    tell(options, if options.terminate { Signal::TERM } else { Signal::USR1 });
}

/// Signals the old processes; true if there is any.
fn tell(options: &Options, signal: Signal) -> bool {
    let pids = options.old.iter().filter_map(|p| i32::try_from(*p).ok()).filter_map(Pid::from_raw);
    pids.map(|pid| kill_process(pid, signal)).filter(Result::is_ok).count() > 0
}
