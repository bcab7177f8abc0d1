//! `warn-blocked-traffic-after`: a thread that looks whether the event loop of a worker stays in one turn for too long.
//!
//! What counts is the time that the worker's thread had the processor in that turn: one that the system did not let run is
//! nobody's fault. The worker itself tells afterwards which task it was ([`Worker::was_late`](super::Worker)).

use crate::process::Process;
use portcullis_config::Severity;
use portcullis_telemetry::ledger::Ledger;
use portcullis_transport::Peer;
use std::sync::Arc;
use std::time::Duration;

/// Where a client comes from.
pub(crate) fn peer(client: Peer) -> String {
    match client {
        Peer::Inet(address) => address.to_string(),
        Peer::Unix => "unix".to_owned(),
    }
}

/// What the watch knows of a worker.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// The turn that it saw last.
    turn: u64,
    /// The thread's time when it saw that turn first.
    used: Duration,
    /// It has told of this turn.
    told: bool,
}

/// Watches the workers until the process ends.
///
/// # Errors
/// The thread cannot be started.
pub fn watch(process: &Arc<Process>, after: Duration) -> std::io::Result<()> {
    let process = Arc::downgrade(process);
    std::thread::Builder::new().name("watch".into()).stack_size(64 * 1024).spawn(move || {
        let mut seen: Vec<Seen> = Vec::new();
        loop {
            std::thread::sleep(after / 2);
            let Some(process) = process.upgrade() else { return };
            seen.resize(process.ledgers.iter().len(), Seen::default());
            for (worker, (ledger, seen)) in process.ledgers.iter().zip(&mut seen).enumerate() {
                look(&process, worker, ledger, seen, after);
            }
        }
    })?;
    Ok(())
}

fn look(process: &Process, worker: usize, ledger: &Ledger, seen: &mut Seen, after: Duration) {
    let Some((turn, thread)) = ledger.since().zip(ledger.thread()) else {
        *seen = Seen::default();
        return;
    };
    let Ok(used) = portcullis_sys::process::thread_time(thread) else { return };
    if seen.turn != turn {
        *seen = Seen { turn, used, told: false };
        return;
    }
    let lasted = Duration::from_millis(process.clock.now().0.saturating_sub(turn));
    if seen.told || lasted < after || used.saturating_sub(seen.used) < after / 2 {
        return;
    }
    seen.told = true;
    ledger.set_late();
    let load = process.load.get(worker).map_or(0, |l| l.load(std::sync::atomic::Ordering::Relaxed));
    let text = format!(
        "thread {} has stopped processing traffic for {} milliseconds with {load} connections currently blocked: it \
         is in a task of kind '{}'. What it was is told when it goes on; the delay is adjusted with \
         'warn-blocked-traffic-after'.",
        worker + 1,
        lasted.as_millis(),
        ledger.current().map_or("", portcullis_telemetry::ledger::Kind::name)
    );
    process.ledgers.warned();
    process.say(Severity::Warning, &text);
}
