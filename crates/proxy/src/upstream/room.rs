//! Room for one more server connection: `strict-maxconn`, and `tune.pool-high-fd-ratio`. Idle ones make way.

use super::{Failure, Interrupt, Lease, SlotGuard, Wish, Worker, interrupted, watched};
use crate::plan::ProxyPlan;
use crate::worker::Task;
use crate::worker::mailbox::Mail;
use crate::worker::story::Phase;
use portcullis_backend::ServerState;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::oneshot;

/// There is no room: as a failed connection, but another attempt is made at once.
pub(super) const NONE: Failure = Failure { termination: *b"rC", status: 503 };

/// How often other workers are asked before an attempt is given up.
const MOST_ASKED: u32 = 8;

/// The place of a new connection to a server with `strict-maxconn`: idle connections to it are closed until the new one
/// is within `maxconn`.
///
/// # Errors
/// All of them are in use, or belong to sessions.
pub(super) async fn strict(
    task: &Task,
    wish: &Wish<'_>,
    back: &ProxyPlan,
    slot: &SlotGuard,
) -> Result<Lease, Failure> {
    let worker = &task.worker;
    let server = slot.server();
    let lease = Lease::new(server.clone(), worker.id.into());
    let most = server.maxconn();
    let mut asked = 0;
    while most != 0 && server.idle.all() > most {
        if worker.idle.borrow_mut().close_one(server).is_some() {
            continue;
        }
        asked += 1;
        let Some(of) = holder(worker, server).filter(|_| asked <= MOST_ASKED) else {
            return Err(NONE);
        };
        task.deadline(worker.clock.now().after(back.timeouts.connect));
        let mut closed = pin!(ask_to_close(worker, of, server));
        match watched(task, wish, Phase::Queued, |cx| closed.as_mut().poll(cx)).await {
            Ok(_) | Err(Interrupt::Late) => {}
            Err(i) => return Err(interrupted(i, *b"sC")),
        }
    }
    Ok(lease)
}

/// Another worker that has idle connections to this server.
fn holder(worker: &Worker, server: &ServerState) -> Option<usize> {
    let all = worker.process.workers().len();
    server
        .idle
        .each(all)
        .enumerate()
        .filter(|(at, n)| *at != usize::from(worker.id) && *n > 0)
        .max_by_key(|(_, n)| *n)
        .map(|(at, _)| at)
}

/// Lets another worker close its idle connection to this server that rested longest.
async fn ask_to_close(worker: &Worker, of: usize, server: &Arc<ServerState>) {
    let (done, closed) = oneshot::channel();
    let server = server.clone();
    let job = move |w: &Rc<Worker>| {
        w.idle.borrow_mut().close_one(&server);
        let _ = done.send(());
    };
    if worker.process.workers().get(of).is_some_and(|w| w.send(Mail::Run(Box::new(job)))) {
        // an error is an answer, too: that worker is gone
        let _ = closed.await;
    }
}

/// Too many descriptors are in use: an idle connection makes way for the new one.
#[cold]
pub(super) fn for_descriptor(worker: &Worker, server: &ServerState) {
    let mut idle = worker.idle.borrow_mut();
    if let Some(closed) = idle.pool.evict(server) {
        idle.give_up(closed);
    }
}
