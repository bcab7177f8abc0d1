//! Taking over from older processes (`-sf`, `-st`; management.txt chapter 4).

use crate::options::Options;
use portcullis_proxy::plan::Plan;
use portcullis_proxy::start::{self, Bound};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::HashMap;
use std::time::Duration;

/// How often binding is tried again after the old processes were asked to pause, and how long apart: a second in all.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(10);

/// Opens the listeners. When some address is taken, the old processes are asked to pause (SIGTTOU); when that does not
/// help either, to go on (SIGTTIN).
///
/// # Errors
/// One message a listener.
pub fn bind(
    plan: &Plan,
    options: &Options,
    inherited: &HashMap<String, OwnedFd>,
) -> Result<Vec<Bound>, Vec<String>> {
    let try_all = || start::bind(plan, &mut |name| inherited.get(name).and_then(|fd| fd.try_clone().ok()));
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
