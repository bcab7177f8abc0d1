//! HTTP/2 from a client: one connection whose streams are exchanges, each with a task and a session of its own. (With servers:
//! [`server`].)
//!
//! The driver (this task) alone reads and writes the socket. Streams leave what they have for the client with the
//! connection and wake the driver, which runs behind them: what streams write in one turn of the event loop goes out in
//! one piece. An idle connection holds its table of header fields, and no buffer.

mod counts;
mod elastic;
mod link;
pub mod reverse;
pub mod server;
mod settings;

pub use elastic::Offered;
pub use settings::Settings;

use crate::http::{Scratch, exchange};
use crate::outcome::{self, Heads};
use crate::plan::ProxyPlan;
use crate::session::{self, Begun, Origin, Session};
use crate::traced;
use crate::worker::{Task, Woken, spawn_large};
use counts::{Counts, Side};
use link::{Link, Read, Step};
use portcullis_sample::{Facts, account};
use portcullis_telemetry::ledger::Kind;
use portcullis_telemetry::trace::{self, Level, Source, events};
use portcullis_transport::h2::{Shared, Stream, tell};
use portcullis_transport::{Buffer, Conn, Millis};
use portcullis_wire::h2::{Connection, Event, Reason, Request};
use settings::LogErrors;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Serves a client's connection until it ends. `first`: what was read of it already.
pub async fn serve(session: &mut Session, first: Option<Box<Buffer>>) {
    let worker = session.worker().clone();
    session.renew();
    let plan = session.plan.clone();
    let front = session.listener.proxy.clone();
    let settings = &plan.global.h2;
    let mut config = settings.config(&plan.global, &front, worker.turn.load());
    let share = elastic::share(&worker.process, settings.elasticity, &mut config);
    let protocol = match session.listener.reversed {
        Some(_) => Connection::reversed(config, &[]),
        None => Connection::new(config),
    };
    let shared = Shared::begin(&mut session.conn, protocol);
    session.own.get_or_insert_default();
    let counts = Counts::begin(Side::Front(front.front.clone()), &worker);
    let mut driver = Driver {
        counts,
        _share: share,
        link: Link::new(shared, worker.clone(), first.map(|b| *b).unwrap_or_default(), session.accepted),
        plan,
        front,
        scratch: None,
        queued: false,
        ended: false,
        idle_since: session.idle_since,
        was_idle: true,
        leaves: None,
        last_call: None,
        lingers: None,
        spared: false,
        told: false,
        client_leaves: false,
        reversed: false,
    };
    traced::h2(
        &traced::of_client(session, &driver.front),
        events::h2::H2C_NEW,
        Level::User,
        "new H2 connection",
    );
    poll_fn(|cx| driver.poll(session, cx)).await;
    let of = traced::of_client(session, &driver.front);
    traced::h2(&of, events::h2::H2C_END, Level::State, "H2 connection ended");
    match session.told.as_ref().and_then(|t| t.attached.clone()).filter(|_| driver.reversed) {
        Some(to) => reverse::attach(driver.link, &to),
        None => driver.end(),
    }
}

/// So long, and at most twice as long, the rest of a request may come that was answered already.
const LINGER: Duration = Duration::from_millis(100);

/// What reads and writes a connection.
struct Driver {
    link: Link,
    counts: Counts,
    /// What it has of the streams that all connections are offered.
    _share: Option<elastic::Share>,
    /// The session's; streams that begin from now on are served by it.
    plan: crate::worker::OwnPlan,
    front: Arc<ProxyPlan>,
    /// Where the next request's head goes.
    scratch: Option<Box<Scratch>>,
    /// It waits for a turn to begin requests in.
    queued: bool,
    /// The client has finished.
    ended: bool,
    idle_since: Millis,
    was_idle: bool,
    /// When the connection announces its end, because the process is leaving.
    leaves: Option<Millis>,
    /// When the client was asked for what it began before it knew that the end was announced.
    last_call: Option<Millis>,
    /// When it is looked at streams next that were answered before their request had ended.
    lingers: Option<Millis>,
    /// Its end was announced because of odd things, but the worker is not so busy that it has to come.
    spared: bool,
    /// That too many odd things came was told.
    told: bool,
    /// The client begins no more streams.
    client_leaves: bool,
    /// It is its server's connection from now on (`attach-srv`).
    reversed: bool,
}

impl Driver {
    fn poll(&mut self, session: &mut Session, cx: &mut Context<'_>) -> Poll<()> {
        self.link.shared.drive(cx);
        if session.is_outdated() && self.leaves != Some(Millis(0)) {
            self.renew(session);
        }
        if self.link.shared.is_broken() && !self.ended {
            return Poll::Ready(());
        }
        let read = if self.ended { Read::Waits } else { self.read(session, cx) };
        self.judge(session);
        self.end_lingering();
        self.counts.see(&self.link.shared);
        if read == Read::Over {
            self.ended = true;
            self.link.shared.break_all();
            self.never_greeted(session);
        }
        if self.link.write(cx).is_err() {
            return Poll::Ready(());
        }
        if self.link.received && session.told.as_ref().is_some_and(|t| t.attached.is_some()) {
            self.reversed = self.link.shared.protocol.borrow().is_fresh();
            if self.reversed {
                return Poll::Ready(());
            }
        }
        self.link.make_room();
        let (idle, over, pending, waited_for) = {
            let p = self.link.shared.protocol.borrow();
            (p.is_idle(), p.is_over(), !p.output().is_empty(), p.is_waited_for())
        };
        if !pending && (self.ended || over) {
            return Poll::Ready(());
        }
        self.rest(idle);
        if let Some(woken) = self.wait(session, cx, idle, pending) {
            match woken {
                Woken::Aborted(_) => return Poll::Ready(()),
                // the client takes nothing any more
                Woken::Late if pending => return Poll::Ready(()),
                Woken::Late => {
                    self.never_greeted(session);
                    self.link.shared.protocol.borrow_mut().close(Reason::NoError);
                    let _ = self.link.write(cx);
                    return Poll::Ready(());
                }
            }
        }
        if read == Read::GoesOn || waited_for {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// There is a newer plan: streams begin with that. If none has the listener any more, the end is announced.
    #[cold]
    fn renew(&mut self, session: &mut Session) {
        session.renew();
        if session.listener.is_gone() {
            self.leaves = Some(Millis(0));
            return;
        }
        self.plan = session.plan.clone();
        self.front = session.listener.proxy.clone();
    }

    /// Tells of a connection that ends before it has begun.
    fn never_greeted(&self, session: &Session) {
        let protocol = self.link.shared.protocol.borrow();
        let told = protocol.is_greeted() || protocol.glitches() > 0;
        drop(protocol);
        if !told && self.link.received {
            self.refused(session, LogErrors::Connection);
        }
    }

    /// An idle connection holds nothing that it does not need.
    fn rest(&mut self, idle: bool) {
        if idle && !self.was_idle {
            self.idle_since = self.link.worker.clock.now();
        }
        self.was_idle = idle;
        self.link.rest();
        if let Some(scratch) = self.scratch.take() {
            self.link.worker.scratch.borrow_mut().push(scratch);
        }
    }

    /// Sets when something is late, and asks whether it is.
    fn wait(&mut self, session: &Session, cx: &mut Context<'_>, idle: bool, pending: bool) -> Option<Woken> {
        let t = &self.front.timeouts;
        let now = self.link.worker.clock.now();
        let mut due = match (pending, idle) {
            (true, _) => self.link.blocked_since.after_or_never(t.client),
            (_, false) => Millis::NEVER,
            _ if session.requests == 0 => session.accepted.after(t.http_request.or(t.client)),
            _ => self.idle_since.after(t.http_keep_alive.or(t.http_request).or(t.client)),
        };
        // a soft stop: the end is announced at a moment of `close-spread-time`; what is under way goes on
        if self.leaves.is_none() {
            self.leaves = self.link.worker.process.idle_end(&self.link.worker.random);
        }
        let leaving = self.link.shared.protocol.borrow().is_leaving() && !self.spared;
        if idle && (self.client_leaves || leaving && self.leaves.is_none()) {
            return Some(Woken::Late);
        }
        if let Some(every) = session.listener.bind.idle_ping.filter(|_| idle && !pending) {
            // its answer keeps the connection, but does not prolong the wait for a request
            if t.http_keep_alive.or(t.http_request).is_none() && session.requests > 0 {
                due = self.link.heard.max(self.idle_since).after_or_never(t.client);
            }
            let next = self.link.heard.max(self.idle_since).after_or_never(Some(every));
            match (now < next, self.link.pinged) {
                (true, _) => due = due.min(next),
                (false, true) => return Some(Woken::Late),
                (false, false) => {
                    self.link.ping();
                    cx.waker().wake_by_ref();
                }
            }
        }
        if let Some(at) = self.leaves {
            let mut protocol = self.link.shared.protocol.borrow_mut();
            if now < at {
                due = due.min(at);
            } else if !protocol.is_over() {
                protocol.leave();
                if !protocol.output().is_empty() && !pending {
                    cx.waker().wake_by_ref();
                }
            }
        }
        if idle && leaving && !pending {
            match self.last_call(cx, t.client) {
                Some(until) if now >= until => return Some(Woken::Late),
                Some(until) => due = due.min(until),
                None => {}
            }
        }
        session.task.deadline(self.lingers.map_or(due, |at| due.min(at)));
        session.task.poll_woken(cx).filter(|w| *w != Woken::Late || now >= due)
    }

    /// Requests that were answered before their end have [`LINGER`] to come to it.
    fn end_lingering(&mut self) {
        let mut protocol = self.link.shared.protocol.borrow_mut();
        if !protocol.lingers() {
            self.lingers = None;
            return;
        }
        let now = self.link.worker.clock.now();
        if self.lingers.is_some_and(|at| now >= at) {
            protocol.end_lingering();
            self.lingers = None;
        }
        if protocol.lingers() {
            self.lingers.get_or_insert(now.after(Some(LINGER)));
        }
    }

    /// Until when a connection stays whose end was announced and that has nothing to do: until its client has answered
    /// behind what it began before it knew, or `timeout client` is over.
    fn last_call(&mut self, cx: &Context<'_>, patience: Option<Duration>) -> Option<Millis> {
        let mut protocol = self.link.shared.protocol.borrow_mut();
        if protocol.is_over() {
            return None;
        }
        if protocol.is_last_call_answered() {
            return Some(Millis(0));
        }
        let since = *self.last_call.get_or_insert_with(|| {
            protocol.last_call();
            cx.waker().wake_by_ref();
            self.link.worker.clock.now()
        });
        Some(since.after(patience))
    }

    /// Reads and acts on what has come, for a while.
    fn read(&mut self, session: &mut Session, cx: &mut Context<'_>) -> Read {
        let (mut frames, mut resets) = (0, 0u32);
        self.link.begin_turn();
        loop {
            while !self.link.input.is_empty() {
                match self.event(session, &mut resets) {
                    Step::Done => {}
                    Step::More => break,
                    Step::Full => return Read::Waits,
                    Step::Over => return Read::Over,
                }
                frames += 1;
                let s = &self.plan.global.h2;
                if (s.frames_at_once > 0 && frames >= s.frames_at_once)
                    || (s.resets_at_once > 0 && resets >= s.resets_at_once)
                {
                    return Read::GoesOn;
                }
            }
            let queued = &mut self.queued;
            if let Some(read) = self.link.fill(cx, |worker, waker| worker.turn.start(queued, waker)) {
                return read;
            }
            self.queued = false;
        }
    }

    /// One event of what has come.
    fn event(&mut self, session: &mut Session, resets: &mut u32) -> Step {
        let now = self.link.worker.clock.now().0;
        let scratch = self
            .scratch
            .get_or_insert_with(|| self.link.worker.scratch.borrow_mut().pop().unwrap_or_default());
        let mut protocol = self.link.shared.protocol.borrow_mut();
        if trace::on(Source::H2) {
            traced::h2_frame(&traced::of_client(session, &self.front), protocol.next(self.link.input.data()));
        }
        let (n, event) = protocol.receive(self.link.input.data(), now, &mut scratch.request);
        let mut step = Step::Done;
        match event {
            Event::More => step = Step::More,
            Event::Full => step = Step::Full,
            Event::Reset(id, fault) => {
                *resets += 1;
                tell(&mut protocol, Event::Reset(id, fault));
                drop(protocol);
                if fault {
                    self.refused(session, LogErrors::Stream);
                }
            }
            Event::Request(id, request) => {
                drop(protocol);
                if trace::on(Source::H2) {
                    let (of, what) =
                        (traced::of_client(session, &self.front), events::h2::H2S_NEW | events::h2::RX_HDR);
                    traced::h2_head(&of, id, what, "rcvd H2 request", &scratch.request);
                }
                self.begin(session, id, request);
            }
            Event::Refused(_) => {
                drop(protocol);
                let of = traced::of_client(session, &self.front);
                traced::h2(
                    &of,
                    events::h2::H2S_ERR | events::h2::PROTO_ERR,
                    Level::Error,
                    "rejected H2 request",
                );
                session.requests = session.requests.saturating_add(1);
                self.refused(session, LogErrors::Stream);
            }
            Event::Leaving => self.client_leaves = true,
            Event::Fatal(_) => {
                drop(protocol);
                let of = traced::of_client(session, &self.front);
                let what = events::h2::H2C_ERR | events::h2::PROTO_ERR;
                traced::h2(&of, what, Level::Error, "protocol error, the connection ends");
                self.refused(session, LogErrors::Connection);
                step = Step::Over;
            }
            other => {
                tell(&mut protocol, other);
            }
        }
        self.link.input.consume(n);
        step
    }

    /// A request begins: its exchange is a task of its own.
    fn begin(&mut self, session: &mut Session, id: u32, request: Request) {
        if session.told.as_ref().is_some_and(|t| t.attached.is_some()) {
            // who is to be asked does not ask (`attach-srv`)
            self.link.shared.protocol.borrow_mut().close(Reason::Protocol);
            self.refused(session, LogErrors::Connection);
            return;
        }
        let Some(scratch) = self.scratch.take() else { return };
        // all of them will ask, and have one answer
        let _ = session.destination();
        let worker = &self.link.worker;
        worker.turn.begun();
        session.requests = session.requests.saturating_add(1);
        let stream = Session {
            task: Task::new(worker),
            conn: Conn::from(Stream::new(self.link.shared.clone(), id)),
            client: session.client,
            listener: session.listener.clone(),
            plan: session.plan.clone(),
            origin: Origin::Stream(Some(Box::new(Begun { scratch, request }))),
            root: session.root,
            accepted: session.accepted,
            idle_since: if self.was_idle { self.idle_since } else { worker.clock.now() },
            requests: session.requests,
            glitches: self.link.shared.protocol.borrow().glitches(),
            own: session.own.clone(),
            vars: session.vars.shared(),
            told: session.told.clone(),
            local: session.local.clone(),
        };
        let number = stream.listener.number;
        worker.slots.connected(stream.task.slot, stream.client, number, stream.accepted);
        let slot = Some(stream.task.slot);
        let run = run(stream);
        if account::wanted() {
            spawn_large(worker, Kind::Stream, slot, account::Measured::new(run));
        } else {
            spawn_large(worker, Kind::Stream, slot, run);
        }
    }

    /// Tells of a stream that was no request, or of a connection that its client has spoiled.
    #[cold]
    fn refused(&self, session: &Session, what: LogErrors) {
        let front = &*self.front;
        let mut facts = Facts::new();
        outcome::begin(&mut facts, session, front, true);
        facts.stream = false;
        facts.client_link.glitches = self.link.shared.protocol.borrow().glitches();
        facts.termination = *b"PR--";
        facts.status = 0;
        let level = if what >= self.plan.global.h2.log_errors { None } else { Some(None) };
        let nothing = Scratch::default();
        let heads = Heads::of(&nothing, level);
        outcome::finish(&mut facts, session, front, None, None, Some(&heads));
    }

    /// `tune.h2.fe.glitches-threshold`: the end is announced at three quarters of it, and comes at it, if the worker is as busy
    /// as `tune.glitches.kill.cpu-usage` says.
    fn judge(&mut self, session: &Session) {
        let threshold = self.plan.global.h2.glitches;
        if threshold == 0 {
            return;
        }
        let mut protocol = self.link.shared.protocol.borrow_mut();
        let so_far = protocol.glitches();
        if so_far < threshold / 4 * 3 || protocol.is_over() {
            return;
        }
        protocol.leave();
        self.spared = !self.plan.global.h2.kills();
        if so_far >= threshold && !self.spared {
            protocol.punish();
            drop(protocol);
            self.ended = true;
            self.link.shared.break_all();
            if !std::mem::replace(&mut self.told, true) {
                self.refused(session, LogErrors::Connection);
            }
        }
    }

    /// The socket is closed in order; streams that are left hear of it.
    fn end(mut self) {
        self.counts.see(&self.link.shared);
        self.link.shared.break_all();
        if let Some(conn) = self.link.shared.below() {
            conn.finish();
            conn.discard_input(true);
        }
        self.link.worker.buffers.give(self.link.input);
    }
}

/// A stream, from its request to its end.
async fn run(mut stream: Session) {
    exchange::exchange(&mut stream, None).await;
    session::end(&mut stream);
}
