//! Idle connections that go from one worker to another (`tune.idle-pool.shared`, `pool-low-conn`): a worker without one asks
//! the worker that has most of them before it makes a new one. Those that speak TLS or HTTP/2 stay where they are, but for those
//! that came by `attach-srv`, which nobody can make.

use super::mux::Asker;
use super::{Counted, Failure, Hold, Idle, Interrupt, Upstream, Way, Wish, interrupted, watched};
use crate::plan::{ProxyPlan, ServerPlan};
use crate::worker::mailbox::Mail;
use crate::worker::story::Phase;
use crate::worker::{Task, Worker};
use portcullis_backend::{Lease, PoolSettings, ServerState, SlotGuard};
use portcullis_config::Reuse;
use portcullis_telemetry::gauge::Held;
use portcullis_transport::conn::{Parted, Seen};
use portcullis_transport::h2::{Shared, User};
use portcullis_wire::h2::Connection as Http2;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use tokio::sync::oneshot;

/// A connection on its way.
pub struct Lent {
    conn: Parted,
    /// It speaks HTTP/2.
    protocol: Option<Box<Http2<User>>>,
    lease: Lease,
    glitches: u32,
    generation: u32,
    descriptor: Option<Counted>,
    tls: Option<Held>,
}

/// Takes it on its way; None: it does not come.
pub type Give = oneshot::Sender<Option<Lent>>;

impl Lent {
    /// `hold`: what it takes; and its glitches, and the generation of its server's settings.
    fn of(
        conn: Parted,
        protocol: Option<Box<Http2<User>>>,
        (hold, glitches, generation): (Hold, u32, u32),
    ) -> Self {
        let Hold { lease, _descriptor: descriptor, _tls: tls, .. } = hold;
        Self { conn, protocol, lease, glitches, generation, descriptor, tls }
    }
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
    if server.reversed {
        let any = PoolSettings { low_conn: 0, ..server.pool };
        let idle = worker.idle.borrow();
        let resting = idle.pool.victim(slot.server(), &any, Reuse::Always, first);
        return resting.or_else(|| idle.pool.holder(slot.server()));
    }
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
    let reuse = if server.reversed { Reuse::Always } else { back.reuse };
    let (state, first) = (slot.server().clone(), wish.reuse == Some(true));
    // one that is not taken in the end is closed where it ends up
    let job = move |w: &Rc<Worker>| lend(w, &state, (key, reuse, first), give);
    if !worker.process.workers().get(of).is_some_and(|w| w.send(Mail::Run(Box::new(job)))) {
        return Ok(None);
    }
    task.deadline(worker.clock.now().after(back.timeouts.connect));
    let mut given = pin!(given);
    let lent = match watched(task, wish, Phase::Connecting, |cx| given.as_mut().poll(cx)).await {
        Ok(lent) => lent.ok().flatten(),
        Err(Interrupt::Late) => None,
        Err(i) => return Err(interrupted(i, *b"sC")),
    };
    let Some(lent) = lent.filter(|l| l.generation == server.generation) else { return Ok(None) };
    let (watch, waker) = worker.idle.borrow_mut().watch();
    task.worker.acted(|a| &a.taken);
    let Lent { conn, protocol, lease, glitches, generation, descriptor, tls } = lent;
    let hold = Hold { lease, watch, waker, _descriptor: descriptor, _tls: tls };
    let conn = conn.whole();
    let mut up = Upstream { conn, glitches, key, own: false, generation, hold, mux: None, part: None };
    let seen = up.conn.poll_peek(&mut Context::from_waker(&up.hold.waker));
    // frames that have come meanwhile are its driver's
    if seen != Seen::Nothing && (protocol.is_none() || seen != Seen::Data) {
        worker.idle.borrow_mut().close(up);
        return Ok(None);
    }
    up.hold.lease.resume(worker.id.into());
    if let Some(protocol) = protocol {
        let asker = Asker { reuse, first, session: wish.session, early: wish.early };
        let Some(stream) = crate::h2::server::take_over(worker, (back, server), *protocol, up, asker) else {
            return Ok(None);
        };
        up = stream;
    }
    slot.server().counters.of(worker.id.into()).reuse.inc();
    back.counters(worker.id).reuse.inc();
    Ok(Some(up))
}

/// On the worker that lends: the connection that rested longest leaves its reactor.
fn lend(worker: &Worker, server: &Arc<ServerState>, (key, reuse, first): (u64, Reuse, bool), give: Give) {
    let mut idle = worker.idle.borrow_mut();
    let Some(mut up) = idle.pool.take(server, key, reuse, first) else {
        return idle.promise(server, key, give);
    };
    idle.resumed(&up);
    if let Some(mux) = up.mux.take() {
        // its driver has the last word
        return mux.hand_over(up, give);
    }
    idle.forget(up.hold.watch);
    let Upstream { conn, glitches, generation, hold, .. } = up;
    let _ = give.send(conn.part().map(|conn| Lent::of(conn, None, (hold, glitches, generation))));
}

/// Requests of other workers that wait for a connection at once.
const PROMISES: usize = 1024;

/// A connection that another worker gets when it rests.
pub(super) struct Promise {
    server: u32,
    key: u64,
    give: Give,
}

impl Idle {
    /// All connections that speak HTTP/2 with this server have streams: the first that has none goes there. (Those who could make
    /// one do not ask for such.)
    fn promise(&mut self, server: &ServerState, key: u64, give: Give) {
        let any = self.busy.get(*server.index as usize).is_some_and(|all| all.iter().any(|m| m.has_key(key)));
        self.promised.retain(|p| !p.give.is_closed());
        if any && self.promised.len() < PROMISES {
            self.promised.push_back(Promise { server: *server.index, key, give });
        } else {
            let _ = give.send(None);
        }
    }

    /// Who was promised a connection to this server?
    pub(super) fn promised(&mut self, server: &ServerState, key: u64) -> Option<Give> {
        if self.promised.is_empty() {
            return None;
        }
        self.promised.retain(|p| !p.give.is_closed());
        let at = self.promised.iter().position(|p| p.server == *server.index && p.key == key)?;
        self.promised.remove(at).map(|p| p.give)
    }
}

/// The same of a connection that speaks HTTP/2, whose driver is done with it. `up`: the pool's part of it.
pub(crate) fn give_http2(worker: &Worker, shared: Rc<Shared>, up: Upstream, give: Give) {
    worker.idle.borrow_mut().forget(up.hold.watch);
    let Upstream { conn: view, glitches, generation, hold, .. } = up;
    drop(view);
    let parted = Rc::try_unwrap(shared).ok().and_then(Shared::part);
    let rest = (hold, glitches, generation);
    let _ = give.send(parted.map(|(conn, protocol)| Lent::of(conn, Some(Box::new(protocol)), rest)));
}
