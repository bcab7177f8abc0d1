//! Idle connections that go from one worker to another (`tune.idle-pool.shared`, `pool-low-conn`): a worker without one asks
//! the worker that has most of them before it makes a new one. Those that speak TLS or HTTP/2 stay where they are.

use super::{Counted, Failure, Hold, Interrupt, Upstream, Way, Wish, interrupted, watched};
use crate::plan::{ProxyPlan, ServerPlan};
use crate::worker::mailbox::Mail;
use crate::worker::{Task, Worker};
use portcullis_backend::{Connection, Lease, ServerState, SlotGuard};
use portcullis_config::Reuse;
use portcullis_transport::Conn;
use rustix::fd::OwnedFd;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::oneshot;

/// A connection on its way.
struct Lent {
    fd: OwnedFd,
    lease: Lease,
    glitches: u32,
    generation: u32,
    descriptor: Option<Counted>,
}

/// The worker that could lend one for such a request, if any.
pub(super) fn lender(
    worker: &Worker,
    (back, server): (&ProxyPlan, &ServerPlan),
    slot: &SlotGuard,
    wish: &Wish<'_>,
    way: &Way,
) -> Option<usize> {
    let first = wish.reuse?;
    let moves = worker.plan().global.idle_shared && server.shareable() && server.tls.is_none();
    if !moves || way.speaks.is_http2(server) {
        return None;
    }
    worker.idle.borrow().pool.victim(slot.server(), &server.pool, back.reuse, first)
}

/// Asks that worker. None: it has no such connection any more.
///
/// # Errors
/// The client has gone, or the request was aborted.
pub(super) async fn borrow(
    task: &Task,
    (back, server): (&ProxyPlan, &ServerPlan),
    slot: &SlotGuard,
    wish: &Wish<'_>,
    (of, key): (usize, u64),
) -> Result<Option<Upstream>, Failure> {
    let worker = &task.worker;
    let (give, given) = oneshot::channel();
    let (state, reuse, first) = (slot.server().clone(), back.reuse, wish.reuse == Some(true));
    let job = move |w: &Rc<Worker>| {
        // one that is not taken in the end is closed where it ends up
        let _ = give.send(lend(w, &state, (key, reuse, first)));
    };
    if !worker.process.workers().get(of).is_some_and(|w| w.send(Mail::Run(Box::new(job)))) {
        return Ok(None);
    }
    task.deadline(worker.clock.now().after(back.timeouts.connect));
    let mut given = pin!(given);
    let lent = match watched(task, wish, |cx| given.as_mut().poll(cx)).await {
        Ok(lent) => lent.ok().flatten(),
        Err(Interrupt::Late) => None,
        Err(i) => return Err(interrupted(i, *b"sC")),
    };
    let Some(lent) = lent.filter(|l| l.generation == server.generation) else { return Ok(None) };
    let (watch, waker) = worker.idle.borrow_mut().watch();
    let Lent { fd, lease, glitches, generation, descriptor } = lent;
    let hold = Hold { lease, watch, waker, _descriptor: descriptor, _tls: None };
    let conn = Conn::new(fd);
    let mut up = Upstream { conn, glitches, key, own: false, generation, hold, mux: None, part: None };
    if up.is_dead() {
        worker.idle.borrow_mut().close(up);
        return Ok(None);
    }
    up.hold.lease.resume(worker.id.into());
    slot.server().counters.of(worker.id.into()).reuse.inc();
    back.counters(worker.id).reuse.inc();
    Ok(Some(up))
}

/// On the worker that lends: the connection that rested longest leaves its reactor.
fn lend(worker: &Worker, server: &Arc<ServerState>, (key, reuse, first): (u64, Reuse, bool)) -> Option<Lent> {
    let mut idle = worker.idle.borrow_mut();
    let up = idle.pool.take(server, key, reuse, first)?;
    if up.mux.is_some() || up.conn.tls_info().is_some() {
        // nobody who shares its key would have asked
        idle.give_up(up);
        return None;
    }
    idle.forget(up.hold.watch);
    let Upstream { conn, glitches, generation, hold, .. } = up;
    let fd = conn.into_fd()?;
    Some(Lent { fd, lease: hold.lease, glitches, generation, descriptor: hold._descriptor })
}
