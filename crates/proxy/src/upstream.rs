//! Connections to servers: idle ones and how they are watched, new ones and how they are made.

mod late;
mod lend;
mod mux;
mod room;
mod watch;

pub use late::Late;
pub(crate) use lend::give_http2;
pub use mux::{Asker, Mux};
use mux::{Opening, Opens};
pub use watch::ClientEnd;
pub(crate) use watch::{Interrupt, interrupted, watched};

use crate::broken;
use crate::check::report;
use crate::otel::stream as otel;
use crate::own;
use crate::plan::server::ServerTlsPlan;
use crate::plan::{ProxyPlan, ServerPlan};
use crate::tls::Begin;
use crate::usesrc;
use crate::worker::story::Phase;
use crate::worker::{Task, Worker};
use portcullis_backend::health::Observed;
use portcullis_backend::{
    Ask, Choice, Connection, Descriptors, Grant, Handle, IdlePool, Lease, Next, Priority, QueueAt, SlotGuard,
    retry,
};
use portcullis_config::{Proto, Reuse, Websockets};
use portcullis_sample::{Facts, Message, Scope, ServerSide, Socket};
use portcullis_telemetry::gauge::Held;
use portcullis_tls::connector::Offer;
use portcullis_transport::{Conn, Millis, connect};
use portcullis_wire::h2::Reason;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Wake, Waker};

/// A connection to a server.
pub struct Upstream {
    /// The socket.
    pub conn: Conn,
    /// Odd heads that came by it (`tune.h1.be.glitches-threshold`).
    pub glitches: u32,
    /// What requests must have in common to share it.
    pub key: u64,
    /// It is its session's own.
    pub own: bool,
    /// The generation of its server's settings that it was made with.
    pub generation: u32,
    hold: Hold,
    /// It speaks HTTP/2, and no stream of it runs.
    mux: Option<Rc<Mux>>,
    /// It is a stream of one.
    part: Option<mux::Part>,
}

/// What a connection takes.
struct Hold {
    lease: Lease,
    watch: u32,
    waker: Waker,
    _descriptor: Option<Counted>,
    /// Its place among the TLS connections of the process.
    _tls: Option<Held>,
}

/// Nobody watches it.
const UNWATCHED: u32 = u32::MAX;

/// One descriptor more, until it is dropped.
struct Counted(Arc<Descriptors>);

impl Counted {
    fn new(all: &Arc<Descriptors>) -> Self {
        all.add();
        Self(all.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.sub();
    }
}

impl Upstream {
    /// Whose connection.
    #[must_use]
    pub fn server(&self) -> &Arc<portcullis_backend::ServerState> {
        self.hold.lease.server()
    }

    /// A connection that a client has made, as its server's: `conn` is a view of it.
    #[must_use]
    pub fn adopted(worker: &Worker, server: &ServerPlan, conn: Conn, key: u64) -> Self {
        let (watch, waker) = worker.idle.borrow_mut().watch();
        let lease = Lease::new(server.state.clone(), worker.id.into());
        let descriptor = Counted::new(&worker.process.descriptors);
        let hold = Hold { lease, watch, waker, _descriptor: Some(descriptor), _tls: None };
        let generation = server.generation;
        let key = key ^ u64::from(generation) << 32;
        Self { conn, glitches: 0, key, own: false, generation, hold, mux: None, part: None }
    }

    /// How often it was used again.
    #[must_use]
    pub fn requests(&self) -> u32 {
        self.hold.lease.reuses()
    }
}

/// Tells the worker that something happened on an idle connection.
struct Watch {
    id: u32,
    bell: Arc<Bell>,
}

/// Idle connections on which something happened.
#[derive(Default)]
struct Bell {
    rung: Mutex<Vec<u32>>,
    waiting: Mutex<Option<Waker>>,
    any: AtomicBool,
}

impl Wake for Watch {
    fn wake(self: Arc<Self>) {
        if let Ok(mut r) = self.bell.rung.lock() {
            r.push(self.id);
        }
        self.bell.ring();
    }
}

impl Bell {
    fn ring(&self) {
        self.any.store(true, Ordering::Release);
        if let Some(w) = self.waiting.lock().ok().and_then(|mut w| w.take()) {
            w.wake();
        }
    }
}

/// A worker's idle connections, each watched for close all the time it rests.
pub struct Idle {
    /// The connections.
    pub pool: IdlePool<Upstream>,
    /// Connections of HTTP/2 with streams, by the server's index.
    busy: Vec<Vec<Rc<Mux>>>,
    /// Connections that are being made and that others wait for.
    opening: Vec<Rc<Opening>>,
    /// Who gets the next connection that rests.
    promised: VecDeque<lend::Promise>,
    resting: Vec<Option<Handle>>,
    free: Vec<u32>,
    bell: Arc<Bell>,
    /// [`tend`] will look for those that are too many; it need not while there are none.
    tended: bool,
}

impl Idle {
    /// None yet.
    #[must_use]
    pub fn new(worker: u16, process: &crate::process::Process) -> Self {
        Self {
            pool: IdlePool::new(worker.into(), process.descriptors.clone()),
            busy: Vec::new(),
            opening: Vec::new(),
            promised: VecDeque::new(),
            resting: Vec::new(),
            free: Vec::new(),
            bell: Arc::default(),
            tended: false,
        }
    }

    fn watch(&mut self) -> (u32, Waker) {
        let id = self.free.pop().unwrap_or_else(|| {
            self.resting.push(None);
            (self.resting.len() - 1) as u32
        });
        (id, Waker::from(Arc::new(Watch { id, bell: self.bell.clone() })))
    }

    fn forget(&mut self, id: u32) {
        if let Some(r) = self.resting.get_mut(id as usize) {
            *r = None;
            self.free.push(id);
        }
    }

    /// Lets a connection rest, or closes it.
    pub fn put(
        &mut self,
        up: Upstream,
        key: u64,
        private: bool,
        server: &ServerPlan,
        now: Millis,
    ) -> Option<Handle> {
        self.rest(up, key, private, &server.pool, now)
    }

    fn rest(
        &mut self,
        mut up: Upstream,
        key: u64,
        private: bool,
        pool: &portcullis_backend::PoolSettings,
        now: Millis,
    ) -> Option<Handle> {
        if up.mux.is_some()
            && let Some(give) = self.promised(up.hold.lease.server().clone().as_ref(), key)
            && let Some(mux) = up.mux.take()
        {
            mux.hand_over(up, give);
            return None;
        }
        let id = up.hold.watch;
        match self.pool.put(up, key, private, pool, now.0) {
            Ok(handle) => {
                if let Some(r) = self.resting.get_mut(id as usize) {
                    *r = Some(handle);
                }
                if !self.tended {
                    self.tended = true;
                    self.bell.ring();
                }
                Some(handle)
            }
            Err(closed) => {
                self.give_up(closed);
                None
            }
        }
    }

    /// An idle connection for a check of the server (`check-reuse-pool`); `name`: `check-pool-conn-name`. Those that speak
    /// HTTP/2 are left alone.
    pub fn take_for_check(
        &mut self,
        worker: u16,
        (server, state): (&ServerPlan, &portcullis_backend::ServerState),
        name: Option<&str>,
        now: Millis,
    ) -> Option<Upstream> {
        let key = key_of(server, crate::tls::pool_key(name));
        let mut up = self.pool.take(state, key, Reuse::Always, true)?;
        self.resumed(&up);
        if up.mux.is_some() {
            self.put(up, key, false, server, now);
            return None;
        }
        up.hold.lease.resume(worker.into());
        Some(up)
    }

    /// Marks a connection that was taken from the pool as being in use.
    fn resumed(&mut self, up: &Upstream) {
        if let Some(r) = self.resting.get_mut(up.hold.watch as usize) {
            *r = None;
        }
    }

    /// Closes a connection, or ends a stream.
    pub fn close(&mut self, up: Upstream) {
        if up.part.is_some() {
            // a stream: its connection goes on
            return;
        }
        self.forget(up.hold.watch);
        match &up.mux {
            Some(mux) => mux.shared.close(Reason::NoError),
            None => up.conn.say_goodbye(),
        }
        drop(up);
    }

    /// Closes the idle connection of this server that rested longest. None: there is none.
    fn close_one(&mut self, server: &portcullis_backend::ServerState) -> Option<()> {
        let closed = self.pool.evict_of(server)?;
        self.give_up(closed);
        Some(())
    }

    /// Closes every idle connection to a server.
    pub fn close_server(&mut self, server: &portcullis_backend::ServerState) {
        let mut closed = Vec::new();
        self.pool.drain(server, |c| closed.push(c));
        closed.into_iter().for_each(|c| self.give_up(c));
    }

    /// Closes a connection that nobody needs and that the server has not closed: no port waits for the last packets.
    pub fn give_up(&mut self, up: Upstream) {
        up.conn.reset_on_close();
        self.close(up);
    }

    /// Closes the idle connections on which something happened.
    fn reap(&mut self) {
        let ids = self.bell.rung.lock().map(|mut r| std::mem::take(&mut *r)).unwrap_or_default();
        for id in ids {
            let Some(handle) = self.resting.get(id as usize).copied().flatten() else { continue };
            if self.pool.get_mut(handle).is_some_and(|c| c.is_dead())
                && let Some(up) = self.pool.remove(handle)
            {
                self.close(up);
            }
        }
    }
}

/// Closes the idle connections of all workers to a server that is elsewhere now.
pub fn close_idle(process: &crate::process::Process, server: &Arc<portcullis_backend::ServerState>) {
    process.tell_all(|| {
        let server = server.clone();
        crate::worker::mailbox::Mail::Run(Box::new(move |worker| {
            worker.idle.borrow_mut().close_server(&server);
        }))
    });
}

/// Closes idle connections that the server closed, and from time to time those that are too many.
pub async fn tend(worker: Rc<Worker>) {
    let task = Task::service(&worker);
    loop {
        poll_fn(|cx| {
            let bell = worker.idle.borrow().bell.clone();
            if let Ok(mut w) = bell.waiting.lock() {
                *w = Some(cx.waker().clone());
            }
            if bell.any.swap(false, Ordering::AcqRel) || task.poll_woken(cx).is_some() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        let mut idle = worker.idle.borrow_mut();
        idle.reap();
        let mut closed = Vec::new();
        let next = idle.pool.purge(worker.clock.now().0, |c| closed.push(c));
        closed.into_iter().for_each(|c| idle.give_up(c));
        idle.tended = next.is_some();
        drop(idle);
        task.deadline(next.map_or(Millis::NEVER, Millis));
    }
}

/// Why there is no server connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Cause and phase of the termination state.
    pub termination: [u8; 2],
    /// What an HTTP client is told; 0: nothing, it is gone.
    pub status: u16,
}

/// A server connection, and the slot that it takes on the server.
pub struct Established<'p> {
    /// The connection.
    pub upstream: Upstream,
    /// The slot.
    pub slot: SlotGuard,
    /// The server.
    pub server: &'p ServerPlan,
    /// It carried other requests before.
    pub reused: bool,
}

/// What a stream wants of a server connection.
pub struct Wish<'a> {
    /// The client's connection.
    pub client: &'a Conn,
    /// What its end means while it waits; one that is broken is given up in any case.
    pub client_end: ClientEnd,
    /// May an idle connection be used, and is this the session's first request?
    pub reuse: Option<bool>,
    /// The session's own connections from earlier requests.
    pub own: Option<&'a own::Shared>,
    /// The request, for `sni` and `usesrc hdr_ip`; for TCP, what the client has sent.
    pub request: Message<'a>,
    /// The session, for streams that its requests share a connection with.
    pub session: u64,
    /// The request wants WebSocket, or another protocol behind it.
    pub upgrades: Upgrades,
    /// What rules said about the way there.
    pub side: ServerSide,
    /// Somebody asks for our address towards the server.
    pub wants_source: bool,
    /// It may be sent before a server's handshake is done (`allow-0rtt`).
    pub early: bool,
    /// Not this server: it failed this request already.
    pub avoid: Option<(Arc<portcullis_backend::ServerState>, Failed)>,
    /// The hash of the request's key, for balancing.
    pub hash: Option<u32>,
    /// Persistence (`use-server`) chose the server in `stay`.
    pub persistent: bool,
    /// It may be one that is down (`option persist`, `force-persist`).
    pub forced: bool,
    /// No other server will do (`force-persist`).
    pub pinned: bool,
    /// A server with `redir` is not connected to.
    pub redirects: bool,
    /// This server again (`retry-on`), or the one to persist on.
    pub stay: Option<Arc<portcullis_backend::ServerState>>,
    /// When the first attempt began, for another one.
    pub began: Option<Millis>,
}

/// How a server has failed in place of which another one is sought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// There was no connection to it.
    Refused,
    /// To connect to it took too long.
    Silent,
    /// Later, once there was a connection (`retry-on`).
    Later,
}

/// What follows a request, if its server agrees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Upgrades {
    /// Nothing.
    #[default]
    Nothing,
    /// WebSocket (`ws`).
    WebSocket,
    /// Another protocol.
    Other,
}

/// How often a stream is balanced again when it is given a server that its plan does not know.
const STRAYS: u32 = 3;

/// Finds a server for a stream and a connection to it: balance, queue, reuse or connect, retry, redispatch.
///
/// # Errors
/// [`Failure`] when no server can be had; the facts say how far it came.
pub async fn establish<'p>(
    task: &Task,
    (back, late): (&'p ProxyPlan, &'p Late),
    facts: &mut Facts<'p>,
    wish: &mut Wish<'_>,
) -> Result<Established<'p>, Failure> {
    let Some(state) = &back.state else { return Err(Failure { termination: *b"SC", status: 503 }) };
    let began = *wish.began.get_or_insert(task.worker.clock.now());
    let retries = wish.side.retries.unwrap_or(back.retry.retries);
    let redispatch = back.retry.redispatch.filter(|_| !wish.pinned);
    let policy = portcullis_backend::RetryPolicy { retries, redispatch, ..back.retry };
    let mut done = facts.retries;
    let mut strays = 0;
    'balance: loop {
        let stay = wish.stay.take().filter(|s| wish.forced || s.persistable());
        let mut slot = match choose(task, back, state, wish, stay.as_ref()) {
            Choice::Server(slot) => slot,
            other => Box::pin(wait_for_slot(task, (back, state), facts, wish, stay, other)).await?,
        };
        if let Some((failed, how)) = wish.avoid.clone() {
            after_redispatch(task, back, facts, wish, (&failed, how), slot.server()).await?;
        }
        if facts.timers.queue < 0 {
            facts.timers.queue = elapsed(task, began);
        }
        let found = back.server_of(slot.server());
        let Some(server) = found.or_else(|| late.server(&task.worker.process, back, slot.server())) else {
            // a server of a newer plan only, whose backend stands elsewhere there
            strays += 1;
            if strays > 4 * STRAYS {
                return Err(Failure { termination: *b"SC", status: 503 });
            }
            if strays > STRAYS {
                // one of its own, which the newer plan has taken out of service
                (wish.stay, wish.forced) = (back.own_server(), true);
            }
            continue 'balance;
        };
        facts.server_name = &server.name;
        facts.server_id = server.id;
        if crate::explain::on() {
            crate::explain::chosen(&back.name, &server.name);
        }
        if wish.redirects && server.redir.is_some() {
            return Err(Failure { termination: *b"LC", status: 302 });
        }
        if crate::explain::on() {
            return Err(Failure { termination: *b"--", status: 0 });
        }
        slot.begin_session();
        loop {
            let connecting = task.worker.clock.now();
            let way = Way::to(task, server, &slot, facts, wish);
            otel::attempt(facts, server);
            let attempt = match idle_one(task, back, server, &slot, facts, wish, &way) {
                Some(upstream) => Ok((upstream, true)),
                None => Box::pin(connect_new(task, (back, server), &slot, facts, wish, way)).await,
            };
            let failure = match attempt {
                Ok((upstream, reused)) => {
                    if let Some(trace) = &mut facts.trace {
                        trace.connected(reused);
                    }
                    let link = &mut facts.server_link;
                    (link.socket, link.error) =
                        (upstream.conn.fd().map_or(Socket::NONE, Socket::of), Some(0));
                    (link.reused, link.glitches) = (reused, upstream.glitches);
                    if !reused && slot.server().is_observed() {
                        report::seen(&task.worker, state, slot.server(), Observed::Connected);
                    }
                    if wish.wants_source {
                        facts.server_source = upstream.conn.local();
                    }
                    facts.timers.connect = elapsed(task, connecting);
                    if !reused && done > 0 {
                        // the time of the failed attempts counts too
                        facts.timers.connect = elapsed(task, began).saturating_sub(facts.timers.queue.max(0));
                    }
                    return Ok(Established { upstream, slot, server, reused });
                }
                Err(f) => f,
            };
            if let Some(trace) = &mut facts.trace {
                trace.failed(otel::why(failure.termination).unwrap_or("_OTHER"));
            }
            if matches!(&failure.termination, b"SC" | b"sC") && failure != room::NONE {
                // an attempt is a session of the server's
                crate::outcome::reached(slot.server(), &task.worker);
            }
            if slot.server().is_observed() && matches!(&failure.termination, b"SC" | b"sC") {
                report::seen(&task.worker, state, slot.server(), Observed::NotConnected);
            }
            let counters = back.counters(task.worker.id);
            let mine = slot.server().counters.of(task.worker.id.into());
            // nobody waits any more, or another attempt would fail as well
            if failure.status == 0 || failure.termination == *b"IC" || server.reversed {
                return Err(failure);
            }
            let attempt = retry::Attempt { done, persistent: wish.persistent, rotates: state.rotates() };
            let down = wish.persistent && !slot.server().persistable();
            let next = match retry::decide(&policy, attempt) {
                // who came here by force goes elsewhere at once
                Next::Again(_) if down && redispatch.is_some_and(|n| n != 0) => Next::Redispatch,
                next => next,
            };
            done += 1;
            // it needs no further delay: time has passed already, or the server is well and another one than was meant
            let silent = failure.termination[0] != b'S'
                || facts.server_link.error.is_some_and(portcullis_sample::fetch::link::is_mismatch);
            match next {
                Next::GiveUp => {
                    counters.failed_conns.inc();
                    mine.failed_conns.inc();
                    let full = failure == room::NONE;
                    return Err(if full { Failure { termination: *b"SC", ..failure } } else { failure });
                }
                Next::Again(delay) => {
                    facts.retries = done;
                    counters.retries.inc();
                    mine.retries.inc();
                    if !silent && !delay.is_zero() {
                        task.deadline(task.worker.clock.now().after(Some(delay)));
                        match watched(task, wish, Phase::TurnAround, |_| Poll::<()>::Pending).await {
                            Err(Interrupt::Late) | Ok(()) => {}
                            Err(i) => return Err(interrupted(i, *b"-C")),
                        }
                    }
                }
                Next::Redispatch => {
                    facts.retries = done;
                    let failed = if silent { Failed::Silent } else { Failed::Refused };
                    wish.avoid = Some((slot.server().clone(), failed));
                    wish.persistent = false;
                    continue 'balance;
                }
            }
        }
    }
}

/// The request was balanced again: another server is a redispatch, the same one a retry, which waits for a while if there
/// was no connection. Retries of servers that failed later were counted then.
async fn after_redispatch(
    task: &Task,
    back: &ProxyPlan,
    facts: &mut Facts<'_>,
    wish: &Wish<'_>,
    (failed, how): (&Arc<portcullis_backend::ServerState>, Failed),
    now: &Arc<portcullis_backend::ServerState>,
) -> Result<(), Failure> {
    let all = back.counters(task.worker.id);
    let its = failed.counters.of(task.worker.id.into());
    if !Arc::ptr_eq(failed, now) {
        facts.redispatched = true;
        all.redispatches.inc();
        its.redispatches.inc();
        return Ok(());
    }
    if how != Failed::Later {
        all.retries.inc();
        its.retries.inc();
    }
    if how != Failed::Refused {
        return Ok(());
    }
    task.deadline(task.worker.clock.now().after(Some(retry::turnaround(&back.retry))));
    match watched(task, wish, Phase::TurnAround, |_| Poll::<()>::Pending).await {
        Err(Interrupt::Late) | Ok(()) => Ok(()),
        Err(i) => Err(interrupted(i, *b"-C")),
    }
}

fn elapsed(task: &Task, since: Millis) -> i32 {
    i32::try_from(task.worker.clock.now().since(since)).unwrap_or(i32::MAX)
}

/// `lbtot`: balancing chose a server, though the request may have to queue for it.
fn count_choice(task: &Task, back: &ProxyPlan, choice: &Choice) {
    let server = match choice {
        Choice::Server(slot) => slot.server(),
        Choice::Wait(QueueAt::Server(server)) => server,
        _ => return,
    };
    back.counters(task.worker.id).lb_total.inc();
    server.counters.of(task.worker.id.into()).lb_total.inc();
}

/// Chooses a server: the one to stay on, or as the algorithm says.
fn choose(
    task: &Task,
    back: &ProxyPlan,
    state: &Arc<portcullis_backend::BackendState>,
    wish: &Wish<'_>,
    stay: Option<&Arc<portcullis_backend::ServerState>>,
) -> Choice {
    if let Some(server) = stay {
        return state.persist(server);
    }
    let avoid = wish.avoid.as_ref().map(|(server, _)| &**server);
    let choice = state.balance(Ask { avoid, hash: wish.hash, now: task.worker.clock.now().0 });
    count_choice(task, back, &choice);
    choice
}

/// A slot on a server after a queue, where `choice` was none.
async fn wait_for_slot<'p>(
    task: &Task,
    (back, state): (&'p ProxyPlan, &Arc<portcullis_backend::BackendState>),
    facts: &mut Facts<'p>,
    wish: &mut Wish<'_>,
    mut stay: Option<Arc<portcullis_backend::ServerState>>,
    mut choice: Choice,
) -> Result<SlotGuard, Failure> {
    loop {
        let at = match choice {
            Choice::Server(slot) => return Ok(slot),
            Choice::Nobody => {
                back.counters(task.worker.id).failed_conns.inc();
                return Err(Failure { termination: *b"SC", status: 503 });
            }
            Choice::Wait(at) => at,
        };
        let now = task.worker.clock.now();
        let priority = Priority::new(wish.side.class, wish.side.offset, now.0);
        let whose = match &at {
            QueueAt::Server(server) => Some(server.clone()),
            QueueAt::Backend(_) => None,
        };
        let Ok(ticket) = state.enqueue(at, priority) else {
            if stay.take().is_some() && leaves(task, back, facts, wish, whose.as_ref()) {
                choice = choose(task, back, state, wish, None);
                continue;
            }
            if let Some(server) = whose.and_then(|s| back.server_of(&s)) {
                (facts.server_name, facts.server_id) = (&server.name, server.id);
            }
            return Err(Failure { termination: *b"SQ", status: 503 });
        };
        task.deadline(now.after(back.timeouts.queue.or(back.timeouts.connect)));
        let own = ticket.server().is_some();
        let mut ticket = pin!(ticket);
        let granted = watched(task, wish, Phase::Queued, |cx| ticket.as_mut().poll(cx)).await;
        let passed = match &granted {
            Ok(Grant::Slot(_, n) | Grant::Moved(n)) => *n,
            // who leaves the queue is one more that has passed
            Err(_) => ticket.passed() + 1,
        };
        if own {
            facts.server_queue += passed
        } else {
            facts.backend_queue += passed
        }
        match granted {
            Ok(Grant::Slot(slot, _)) => return Ok(slot),
            Ok(Grant::Moved(_)) => {
                stay = None;
                choice = choose(task, back, state, wish, None);
            }
            Err(i) => {
                facts.timers.queue = elapsed(task, now);
                // what a TCP client wanted to send is lost
                if matches!(i, Interrupt::ClientGone(true)) && !facts.http {
                    return Err(Failure { termination: *b"CD", status: 0 });
                }
                return Err(interrupted(i, *b"sQ"));
            }
        }
    }
}

/// The queue of the server that a request was to stay on is full (`maxqueue`): may it be balanced? What persists there needs
/// `option redispatch` for that, and counts as redispatched.
#[cold]
fn leaves(
    task: &Task,
    back: &ProxyPlan,
    facts: &mut Facts<'_>,
    wish: &mut Wish<'_>,
    full: Option<&Arc<portcullis_backend::ServerState>>,
) -> bool {
    if !wish.persistent {
        return true;
    }
    if wish.pinned || back.retry.redispatch.is_none() {
        return false;
    }
    wish.persistent = false;
    facts.redispatched = true;
    let id = usize::from(task.worker.id);
    back.counters(task.worker.id).redispatches.inc();
    if let Some(server) = full {
        server.counters.of(id).redispatches.inc();
    }
    true
}

/// Has a SOCKS4 server connect to the server.
async fn through(task: &Task, conn: &Conn, to: std::net::SocketAddr, wish: &Wish<'_>) -> Result<(), Failure> {
    let refused = Failure { termination: *b"SC", status: 503 };
    let mut talk = crate::socks::Talk::new(to).map_err(|_| refused)?;
    let granted = watched(task, wish, Phase::Connecting, |cx| talk.poll(conn, cx)).await;
    granted.map_err(|i| interrupted(i, *b"sC"))?.map_err(|_| refused)
}

/// What connections to a server have in common that were made for this name of the pool.
fn key_of(server: &ServerPlan, name: u64) -> u64 {
    name ^ u64::from(server.generation) << 32
}

/// What an attempt needs of a connection.
struct Way {
    /// The address that the client asked for.
    asked: Option<std::net::SocketAddr>,
    /// The server's name in TLS.
    name: Option<String>,
    /// See [`Upstream::key`].
    key: u64,
    /// What is spoken.
    speaks: Speaks,
}

impl Way {
    fn to(
        task: &Task,
        server: &ServerPlan,
        slot: &SlotGuard,
        facts: &mut Facts<'_>,
        wish: &Wish<'_>,
    ) -> Self {
        let asked = facts.known_destination();
        facts.server = server.address_for(slot.server(), asked);
        let name = server.tls.as_ref().and_then(|tls| tls.name(facts, wish.request, &task.worker));
        let key = match &server.pool_name {
            None => crate::tls::pool_key(name.as_deref()),
            Some(e) => {
                crate::tls::pool_key(crate::tls::evaluated(e, facts, wish.request, &task.worker).as_deref())
            }
        };
        facts.backend_tls = None;
        let speaks = Speaks::of(server, wish);
        let key = key_of(server, key) ^ speaks.key() ^ apart(task, server, facts, wish);
        Self { asked, key, name, speaks }
    }
}

/// What tells this request's connection from others to the same server, besides names: where it goes and comes from where
/// that depends on the client, the PROXY header, marks. 0: nothing does.
fn apart(task: &Task, server: &ServerPlan, facts: &Facts<'_>, wish: &Wish<'_>) -> u64 {
    let marks = (wish.side.tos, wish.side.mark);
    let like_any = server.shareable() && marks == (None, None);
    if like_any || server.reversed || wish.reuse.is_none() {
        return 0;
    }
    let source = usesrc::source(&server.usesrc, facts, wish.request.head(), facts.server);
    let mut header = Vec::new();
    let scope = Scope { wall: task.worker.clock.wall(), ..Scope::new(facts, &task.worker.random) };
    crate::preface::write(server, &scope, &mut header);
    let mut hasher = DefaultHasher::new();
    (marks, facts.server, source.ok(), header).hash(&mut hasher);
    hasher.finish()
}

/// An idle connection to the server, if one may be used.
fn idle_one(
    task: &Task,
    back: &ProxyPlan,
    server: &ServerPlan,
    slot: &SlotGuard,
    facts: &mut Facts<'_>,
    wish: &mut Wish<'_>,
    way: &Way,
) -> Option<Upstream> {
    // nobody can make a connection of its own to such a server
    let reuse = if server.reversed { Reuse::Always } else { back.reuse };
    let asker = Asker { reuse, first: wish.reuse?, session: wish.session, early: wish.early };
    let worker = &task.worker;
    let mut idle = worker.idle.borrow_mut();
    let mut fits = |h| idle.pool.get_mut(h).is_some_and(|up| up.key == way.key);
    let own = wish.own.and_then(|own| own.borrow().take(slot.server(), &mut fits));
    let own = own.and_then(|h| idle.pool.remove(h));
    let own = own.filter(|u| !u.is_dead() && u.generation == server.generation);
    let joined = if own.is_none() { idle.join(slot.server(), way.key, asker) } else { None };
    let up = match joined {
        Some(stream) => stream,
        None => {
            let mut up = own.or_else(|| match server.shareable() {
                true => idle.pool.take(slot.server(), way.key, asker.reuse, asker.first),
                false => None,
            })?;
            idle.resumed(&up);
            up.hold.lease.resume(worker.id.into());
            idle.wake(up, asker)?
        }
    };
    slot.server().counters.of(worker.id.into()).reuse.inc();
    back.counters(worker.id).reuse.inc();
    facts.backend_tls = up.conn.tls_info();
    Some(up)
}

/// A new connection to the server: one attempt.
async fn connect_new(
    task: &Task,
    (back, server): (&ProxyPlan, &ServerPlan),
    slot: &SlotGuard,
    facts: &mut Facts<'_>,
    wish: &mut Wish<'_>,
    way: Way,
) -> Result<(Upstream, bool), Failure> {
    let worker = &task.worker;
    let asker = Asker {
        reuse: back.reuse,
        first: wish.reuse == Some(true),
        session: wish.session,
        early: wish.early,
    };
    let mut opening = None;
    // streams that may share whatever there is wait for the connection that another one opens, or gets from another worker
    while server.reversed
        || (asker.reuse == Reuse::Always && server.shareable() && way.speaks.is_http2(server))
    {
        let opens = worker.idle.borrow_mut().opening(slot.server(), way.key);
        match opens {
            Opens::Here(mark) => {
                opening = Some(mark);
                break;
            }
            Opens::Elsewhere(other) => {
                task.deadline(worker.clock.now().after(back.timeouts.connect));
                let waited = watched(task, wish, Phase::Connecting, |cx| other.poll(cx)).await;
                waited.map_err(|i| interrupted(i, *b"sC"))?;
            }
        }
        if let Some(found) = idle_one(task, back, server, slot, facts, wish, &way) {
            return Ok((found, true));
        }
    }
    // nobody can make one of those: if one has just gone elsewhere, it is asked for there
    let tries = if server.reversed { 2 } else { 1 };
    for _ in 0..tries {
        let Some(of) = lend::lender(worker, (back, server), slot, wish, &way) else { break };
        if let Some(found) = lend::borrow(task, (back, server), slot, wish, (of, way.key)).await? {
            facts.backend_tls = found.conn.tls_info();
            return Ok((found, true));
        }
    }
    let Way { asked, name, key, mut speaks } = way;
    let counters = slot.server().counters.of(worker.id.into());
    let refused = Failure { termination: *b"SC", status: 503 };
    let strict = match server.strict_maxconn {
        true => Some(Box::pin(room::strict(task, wish, back, slot)).await?),
        false => None,
    };
    if worker.process.descriptors.above_high() {
        room::for_descriptor(worker, slot.server());
    }
    let target = server.target_for(slot.server(), asked).ok_or(refused)?;
    let (target, beyond) = crate::socks::way(server.socks4, target);
    let source = usesrc::source(&server.usesrc, facts, wish.request.head(), facts.server)
        .map_err(|_| Failure { termination: *b"IC", status: 500 })?;
    let marks = connect::Marks { source, tos: wish.side.tos, mark: wish.side.mark };
    counters.connect.inc();
    back.counters(worker.id).connect.inc();
    facts.server_link.error = Some(0);
    let conn = connect::start(&target, &server.connect, marks)
        .inspect_err(|e| facts.server_link.error = Some(broken::number(e)));
    let conn = conn.map_err(|e| match e.kind() {
        std::io::ErrorKind::AddrNotAvailable | std::io::ErrorKind::AddrInUse => {
            Failure { termination: *b"RC", status: 503 }
        }
        _ if e.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error()) => {
            Failure { termination: *b"RC", status: 503 }
        }
        _ => refused,
    })?;
    // one that is refused has none any more afterwards
    if wish.wants_source {
        facts.server_source = conn.local();
    }
    task.deadline(worker.clock.now().after(back.timeouts.connect));
    watched(task, wish, Phase::Connecting, |cx| conn.poll_writable(cx))
        .await
        .map_err(|i| interrupted(i, *b"sC"))?;
    if let Err(e) = conn.connected() {
        facts.server_link.error = Some(broken::number(&e));
        return Err(refused);
    }
    if let Some(to) = beyond {
        Box::pin(through(task, &conn, to, wish)).await?;
    }
    let mut conn = conn;
    let mut _tls = None;
    if let Some(tls) = &server.tls {
        _tls = Some(worker.process.counts.tls.conns.try_take().ok_or(refused)?);
        // an attempt that follows another one takes no such risk
        let early = wish.early && facts.retries == 0;
        let begin = early.then(|| speaks.begin_early(tls)).flatten();
        let (begin, says) = begin.unwrap_or((Begin::Usual(speaks.offer()), speaks));
        speaks = says;
        let connected =
            crate::tls::connect(task, (server, tls), &mut conn, facts, (wish, name.as_deref(), begin)).await;
        if connected.is_err() {
            let name = crate::tls::error_of(facts.backend_tls.as_deref());
            facts.server_link.error = Some(portcullis_sample::fetch::link::error_of_name(name));
        }
        connected?;
    }
    let (watch, waker) = worker.idle.borrow_mut().watch();
    let lease = strict.unwrap_or_else(|| Lease::new(slot.server().clone(), worker.id.into()));
    let _descriptor = Some(Counted::new(&worker.process.descriptors));
    let hold = Hold { lease, watch, waker, _descriptor, _tls };
    let generation = server.generation;
    let up = Upstream { conn, glitches: 0, key, own: false, generation, hold, mux: None, part: None };
    if !speaks.is_spoken_over(&up.conn) {
        return Ok((up, false));
    }
    let up = crate::h2::server::begin(worker, server, facts, up, (asker, back));
    // those that wait find it
    drop(opening);
    if wish.upgrades != Upgrades::Nothing {
        understands(task, wish, &up).await?;
    }
    Ok((up, false))
}

/// Waits until a new server has said whether it can be upgraded over HTTP/2 (RFC 8441 section 3).
async fn understands(task: &Task, wish: &Wish<'_>, up: &Upstream) -> Result<(), Failure> {
    let Some(stream) = up.conn.stream() else { return Ok(()) };
    let said = watched(task, wish, Phase::Connecting, |cx| stream.poll_connects(cx)).await;
    said.map_err(|i| interrupted(i, *b"sC"))?
        .map(drop)
        .map_err(|_| Failure { termination: *b"SC", status: 503 })
}

/// How a request goes to its server.
#[derive(Clone, Copy)]
enum Speaks {
    /// Bytes, or what `proto` says, or what is agreed on.
    Usual(Option<Proto>),
    /// Over HTTP/1.1 only.
    Http1,
    /// Over HTTP/2 only.
    Http2,
}

impl Speaks {
    /// `proto`, `alpn`, `ws`
    fn of(server: &ServerPlan, wish: &Wish<'_>) -> Self {
        if wish.reuse.is_none() {
            return Self::Usual(Some(Proto::None));
        }
        let both = || {
            server.tls.as_ref().is_some_and(|t| t.connector.offers(b"h2") && t.connector.offers(b"http/1.1"))
        };
        match server.websockets {
            _ if wish.upgrades != Upgrades::WebSocket => Self::Usual(server.proto),
            Websockets::H1 => Self::Http1,
            Websockets::H2 => Self::Http2,
            Websockets::Auto if server.proto.is_none() && both() => Self::Http1,
            Websockets::Auto => Self::Usual(server.proto),
        }
    }
    /// Will a new connection to this server surely speak HTTP/2?
    fn is_http2(self, server: &ServerPlan) -> bool {
        match self {
            Self::Usual(Some(proto)) => proto == Proto::H2,
            Self::Usual(None) => {
                let offers = |protocol| server.tls.as_ref().is_some_and(|t| t.connector.offers(protocol));
                offers(b"h2") && !offers(b"http/1.1")
            }
            Self::Http1 => false,
            Self::Http2 => true,
        }
    }
    /// Connections that were made in one way are no use for another one.
    fn key(self) -> u64 {
        match self {
            Self::Usual(_) => 0,
            Self::Http1 => 0x4831_0000_0000_0000,
            Self::Http2 => 0x4832_0000_0000_0000,
        }
    }
    /// How a request is sent early, if it can be, and what it speaks then.
    fn begin_early(self, tls: &ServerTlsPlan) -> Option<(Begin, Self)> {
        if !matches!(self, Self::Usual(None)) {
            return tls.connector.is_early().then_some((Begin::Early(self.offer()), self));
        }
        let offer = tls.connector.offer_early()?;
        let speaks = match offer {
            Offer::All => self,
            Offer::Http1 => Self::Http1,
            Offer::Http2 => Self::Http2,
        };
        Some((Begin::Early(offer), speaks))
    }
    fn offer(self) -> Offer {
        match self {
            Self::Usual(_) => Offer::All,
            Self::Http1 => Offer::Http1,
            Self::Http2 => Offer::Http2,
        }
    }
    /// Does this connection speak HTTP/2, from its first byte on?
    fn is_spoken_over(self, conn: &Conn) -> bool {
        match self {
            Self::Usual(None) => conn.tls_info().is_some_and(|i| i.alpn.as_deref() == Some(b"h2")),
            Self::Usual(Some(proto)) => proto == Proto::H2,
            Self::Http1 => false,
            Self::Http2 => true,
        }
    }
}
