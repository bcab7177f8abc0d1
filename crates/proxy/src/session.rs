//! A client's connection from accept to close: what comes before its first stream, and which protocol it speaks.

use crate::own;
use crate::plan::{ListenerPlan, Plan};
use crate::traced;
use crate::worker::{Task, Worker};
use portcullis_config::{Mode, Opts};
use portcullis_sample::vars::SessionVars;
use portcullis_telemetry::gate::Admission;
use portcullis_telemetry::trace::{Level, events};
use portcullis_transport::{Buffer, Conn, Millis, Peer};
use std::cell::OnceCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A client's connection. What only some of them have is behind a pointer: an idle one must stay small.
pub struct Session {
    /// Its timer and slot.
    pub task: Task,
    /// Its socket.
    pub conn: Conn,
    /// The client as connected, or as a PROXY header told.
    pub client: Peer,
    /// What it came by.
    pub listener: Arc<ListenerPlan>,
    /// The plan that its requests are served by; the listener is of this one.
    pub plan: Rc<Arc<Plan>>,
    /// What it began with.
    pub origin: Origin,
    /// The index of its connection's slot.
    pub root: u32,
    /// When it was accepted.
    pub accepted: Millis,
    /// When its last request ended, or its handshakes.
    pub idle_since: Millis,
    /// Requests so far.
    pub requests: u32,
    /// Odd heads so far (`tune.h1.fe.glitches-threshold`).
    pub glitches: u32,
    /// Its own server connections from earlier requests, which streams of one connection have together.
    pub own: Option<own::Shared>,
    /// Variables of the session.
    pub vars: SessionVars,
    /// What a header in front of the connection, or a rule, said of it.
    pub told: Option<Box<Told>>,
    /// This end's address, once somebody has asked for it.
    /// (Not in here: a connection that rests has to be small.)
    pub local: OnceCell<Rc<Option<SocketAddr>>>,
}

/// What a session began with.
pub enum Origin {
    /// A connection that was accepted: its place under the limits.
    Connection(Admission),
    /// A stream of one: the request that has begun it.
    Stream(Option<Box<Begun>>),
}

/// A request whose head has come by itself.
pub struct Begun {
    /// The head is in here.
    pub scratch: Box<crate::http::Scratch>,
    /// What it says.
    pub request: portcullis_wire::h2::Request,
}

impl Begun {
    /// The head, and what it says. What was not even a request has no head.
    #[must_use]
    pub fn parts(mut self) -> (Box<crate::http::Scratch>, portcullis_wire::h1::Info) {
        if self.request.status != 0 {
            self.scratch.request.clear();
        }
        (self.scratch, self.request.info)
    }
}

/// What a session was told of its connection.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// The address that the client asked for.
    pub destination: Option<SocketAddr>,
    /// `attach-srv`
    pub attached: Option<crate::rules::attach::Attached>,
    /// A PROXY header came.
    pub proxied: bool,
    /// Its further values as they came, for `fc_pp_tlv` and its kin.
    pub values: Option<Rc<[u8]>>,
}

impl Session {
    /// A number of the stream that runs, and which of this connection it is.
    #[must_use]
    pub fn number(&self) -> (u64, u64) {
        let worker = u64::from(self.worker().id);
        (worker << 32 | u64::from(self.task.slot.index), self.requests.into())
    }

    /// What is the same for all requests of a client's connection, and for no others while one of them is served.
    #[must_use]
    pub fn owner(&self) -> u64 {
        match self.conn.stream() {
            Some(stream) => stream.connection() as u64,
            None => 1 << 63 | u64::from(self.task.slot.index) << 32 | u64::from(self.task.slot.generation),
        }
    }

    /// A session that begins.
    #[must_use]
    pub fn new(
        worker: &Rc<Worker>,
        conn: Conn,
        client: Peer,
        accepted: Millis,
        listener: Arc<ListenerPlan>,
        origin: Origin,
    ) -> Self {
        let task = Task::new(worker);
        Self {
            root: task.slot.index,
            task,
            conn,
            client,
            listener,
            plan: worker.plan(),
            origin,
            accepted,
            idle_since: accepted,
            requests: 0,
            glitches: 0,
            own: None,
            vars: SessionVars::default(),
            told: None,
            local: OnceCell::new(),
        }
    }

    /// Between two requests: goes on with the worker's newest plan. A connection whose listener that has no more stays with
    /// its own, and ends with what it does.
    #[inline]
    pub fn renew(&mut self) {
        if self.is_outdated() {
            self.follow();
        }
    }

    /// Is there a plan that it does not follow?
    #[inline]
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        let newest = self.worker().plan.borrow();
        // what another worker has accepted may have come by a newer one than there is here yet
        !Rc::ptr_eq(&self.plan, &newest) && newest.generation > self.plan.generation
    }

    #[cold]
    fn follow(&mut self) {
        let newest = self.worker().plan();
        match newest.successor(&self.listener) {
            Some(listener) => {
                self.listener = listener.clone();
                self.plan = newest;
            }
            None => self.listener.gone.store(true, Ordering::Relaxed),
        }
    }

    /// Shall the connection end with this response, although it could be kept?
    #[inline]
    #[must_use]
    pub fn ends_kept(&self) -> bool {
        self.listener.is_gone() || self.worker().ends_kept()
    }

    /// The address that the client asked for.
    #[must_use]
    pub fn destination(&self) -> Option<SocketAddr> {
        let told = self.told.as_ref().and_then(|t| t.destination);
        told.or_else(|| **self.local.get_or_init(|| Rc::new(self.conn.local())))
    }

    /// The request that it was begun for, if it is a stream.
    pub fn take_begun(&mut self) -> Option<Begun> {
        match &mut self.origin {
            Origin::Connection(_) => None,
            Origin::Stream(begun) => begun.take().map(|b| *b),
        }
    }

    /// Its worker.
    #[must_use]
    pub fn worker(&self) -> &Rc<Worker> {
        &self.task.worker
    }
}

impl Drop for Session {
    /// One less on its worker. In a panic, which ends this session alone, it is counted and told.
    fn drop(&mut self) {
        traced::session(self, events::session::SESS_END, Level::State, "releasing session");
        let worker = &self.task.worker;
        if std::thread::panicking() {
            worker.panicked(&self.listener);
        }
        if let Origin::Connection(_) = self.origin {
            worker.process.load[usize::from(worker.id)].fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Runs a session to its end. An idle connection holds this future: nothing but the session should be in it for long.
#[expect(clippy::manual_async_fn, reason = "a future of a function holds its arguments twice")]
pub fn run(mut session: Session) -> impl Future<Output = ()> {
    async move {
        begin(&session);
        traced::session(&session, events::session::SESS_NEW, Level::State, "new session");
        let opened = opening(&mut session).await;
        if opened.is_err() {
            traced::session(&session, events::session::SESS_ERR, Level::Error, "handshake failed");
        }
        if let Ok(first) = opened {
            count(&mut session);
            match session.listener.proxy.mode {
                Mode::Http => crate::http::serve(&mut session, first).await,
                Mode::Log => Box::pin(crate::logs::forward::serve(&mut session, first.map(|b| *b))).await,
                _ => Box::pin(crate::tcp::run(&mut session, first.map(|b| *b))).await,
            }
        }
        end(&mut session);
    }
}

/// The handshakes, if there are any, and the bytes that came behind them. The error: the session ends with them.
async fn opening(session: &mut Session) -> Result<Option<Box<Buffer>>, ()> {
    if !session.listener.shakes_hands {
        return Ok(None);
    }
    if let Origin::Connection(admission) = &mut session.origin {
        // a client that is slow at its handshake keeps nobody else out
        admission.arrived();
    }
    match Box::pin(crate::handshake::run_all(session)).await {
        Ok(first) => {
            session.idle_since = session.worker().clock.now();
            Ok(first.map(Box::new))
        }
        Err(_) => Err(()),
    }
}

/// `log-steps accept`: a stream begins.
pub fn accepted(session: &Session, front: &crate::plan::ProxyPlan) {
    if !front.formats.steps.is_some_and(|s| s.contains(crate::outcome::Steps::ACCEPT)) {
        return;
    }
    let mut facts = portcullis_sample::Facts::new();
    crate::outcome::begin_facts(&mut facts, session, front);
    facts.frontend = session.destination();
    facts.status = 0;
    crate::outcome::step(&facts, 0, session, front, None, crate::outcome::Steps::ACCEPT);
}

fn begin(session: &Session) {
    let (slots, slot) = (&session.worker().slots, session.task.slot);
    slots.connected(slot, session.client, session.listener.number, session.accepted);
}

/// A connection that handshakes and rules have let through is a session.
fn count(session: &mut Session) {
    let worker = &session.task.worker;
    let front = &session.listener.proxy.front;
    front.session(&worker.process.counts, worker.id.into(), worker.clock.now().0);
    if let Origin::Connection(admission) = &mut session.origin {
        admission.arrived();
    }
    if session.listener.proxy.has(Opts::SOCKET_STATS) {
        session.listener.counts.counters.of(worker.id.into()).cum_sess.inc();
    }
}

/// A client's connection, or a stream of it, ends; the last of them closes the server connections that nobody else may use.
pub fn end(session: &mut Session) {
    session.conn.say_goodbye();
    if let Some(own) = session.own.take() {
        own.end(&mut session.task.worker.idle.borrow_mut());
    }
}
