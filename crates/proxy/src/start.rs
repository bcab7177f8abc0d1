//! From a plan to running workers, and how they end.

use crate::accept::Listening;
use crate::plan::{ListenerPlan, Plan};
use crate::process::Process;
use crate::worker::mailbox::{Mail, mailbox};
use crate::worker::slots::Abort;
use portcullis_transport::listen;
use rustix::fd::OwnedFd;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

/// A listening socket, not yet given to a worker.
pub struct Bound {
    /// The socket.
    pub fd: OwnedFd,
    /// What it is for.
    pub listener: Arc<ListenerPlan>,
    /// Which of the listener's shards, from 0, of how many.
    pub shard: (u16, u16),
}

/// Opens every listener of a plan. Every one that cannot be opened is told.
///
/// # Errors
/// One message a listener: `Binding [file:line] for frontend NAME: cannot bind socket (reason) for [address]`.
pub fn bind(plan: &Plan) -> Result<Vec<Bound>, Vec<String>> {
    let mut bound = Vec::new();
    let mut failed = Vec::new();
    for listener in plan.listeners.iter().filter(|l| l.enabled) {
        for shard in 0..listener.shards {
            match listen::open(&listener.bind, &listener.options) {
                Ok(fd) => {
                    bound.push(Bound { fd, listener: listener.clone(), shard: (shard, listener.shards) })
                }
                Err(e) => {
                    failed.push(format!(
                        "Binding [{}:{}] for {} {}: {} ({}) for [{}]",
                        listener.file,
                        listener.bind.place.line,
                        listener.frontend_kind,
                        listener.frontend_name,
                        e.step,
                        reason(&e.reason),
                        listener.bind.text
                    ));
                    break;
                }
            }
        }
    }
    if failed.is_empty() { Ok(bound) } else { Err(failed) }
}

/// The system's words without the number that the standard library adds.
fn reason(e: &io::Error) -> String {
    let text = e.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_string()
}

/// Workers at work.
pub struct Running {
    /// What they share.
    pub process: Arc<Process>,
    threads: Vec<JoinHandle<io::Result<()>>>,
}

/// Starts the workers. `place(i)` is called first on worker `i`'s own thread (CPU affinity, name).
///
/// # Errors
/// When a thread cannot be made or a descriptor not be shared.
pub fn start(
    plan: &Arc<Plan>,
    process: Arc<Process>,
    bound: Vec<Bound>,
    place: Arc<dyn Fn(u16) + Send + Sync>,
) -> io::Result<Running> {
    let workers = process.load.len() as u16;
    let (addresses, mailboxes): (Vec<_>, Vec<_>) = (0..workers).map(|_| mailbox()).unzip();
    process.set_workers(addresses);
    let mut threads = Vec::new();
    for (id, mailbox) in (0..workers).zip(mailboxes) {
        let mut listeners = Vec::new();
        for b in &bound {
            if b.listener.allows_worker(id.into()) && id % b.shard.1 == b.shard.0 {
                listeners.push(Listening { fd: b.fd.try_clone()?, listener: b.listener.clone() });
            }
        }
        let (process, plan, place) = (process.clone(), plan.clone(), place.clone());
        let thread = std::thread::Builder::new().name(format!("worker-{}", id + 1)).spawn(move || {
            place(id);
            crate::worker::run(id, process, plan, mailbox, listeners)
        })?;
        threads.push(thread);
    }
    Ok(Running { process, threads })
}

impl Running {
    /// Soft stop: listeners close at once, streams go on, idle connections end (within `close-spread-time`).
    pub fn soft_stop(&self) {
        self.process.stopping.store(true, Ordering::SeqCst);
        self.process.tell_all(|| {
            Mail::Run(Box::new(|w| {
                w.close_listeners();
                w.wake_all();
            }))
        });
    }
    /// Closes the listeners (`true`) until they are opened again from their shared descriptors.
    pub fn close_listeners(&self) {
        self.process.tell_all(|| Mail::Run(Box::new(|w| w.close_listeners())));
    }
    /// Hard stop: every stream ends now.
    pub fn hard_stop(&self) {
        self.process.stopping.store(true, Ordering::SeqCst);
        self.process.tell_all(|| {
            Mail::Run(Box::new(|w| {
                w.close_listeners();
                for (slot, _, _) in w.slots.list() {
                    w.slots.abort(slot, Abort::Stopping);
                }
                w.wake_all();
            }))
        });
    }
    /// Connections that are still there.
    #[must_use]
    pub fn connections(&self) -> u32 {
        self.process.counts.conns.get()
    }
    /// Ends the workers and waits for them.
    ///
    /// # Errors
    /// The first worker's error.
    pub fn join(self) -> io::Result<()> {
        self.process.tell_all(|| Mail::Quit);
        for t in self.threads {
            match t.join() {
                Ok(r) => r?,
                Err(_) => return Err(io::Error::other("a worker panicked")),
            }
        }
        Ok(())
    }
}
