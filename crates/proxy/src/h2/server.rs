//! HTTP/2 with a server: the driver of one connection. It alone reads and writes the socket, as that of a client's connection
//! does; streams are begun by exchanges, and which of them may use it is [`crate::upstream::Mux`]'s.

use super::Settings;
use super::counts::{Counts, Side};
use super::link::{Link, Read, Step};
use crate::plan::{ProxyPlan, ServerPlan};
use crate::traced;
use crate::upstream::{Asker, Mux, Upstream, give_http2};
use crate::worker::{Task, Worker};
use portcullis_sample::{Facts, Scope};
use portcullis_telemetry::ledger::Kind;
use portcullis_telemetry::trace::{self, Level, Source, events};
use portcullis_transport::h2::{Answered, Shared, User, tell};
use portcullis_transport::{Buffer, Millis};
use portcullis_wire::h2::{Connection, Event};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Speaks HTTP/2 over a new connection from its next byte on; its first stream.
pub fn begin(
    worker: &Rc<Worker>,
    server: &ServerPlan,
    facts: &Facts<'_>,
    mut whole: Upstream,
    (asker, back): (Asker, &ProxyPlan),
) -> Upstream {
    let plan = worker.plan();
    let mut first = Vec::new();
    if server.tls.is_none() {
        let scope = Scope { wall: worker.clock.wall(), ..Scope::new(facts, &worker.random) };
        crate::preface::write(server, &scope, &mut first);
    }
    let settings = &plan.global.h2;
    let protocol = Connection::client(settings.of_servers(&plan.global), &first);
    let shared = Shared::begin(&mut whole.conn, protocol);
    let (mux, stream) = Mux::begin(worker, server, shared.clone(), whole, asker);
    let link = Link::new(shared, worker.clone(), Buffer::default(), worker.clock.now());
    drive(link, mux, server, back);
    stream
}

/// A connection that another worker has driven so far; `whole`: what the pool has of it. None: it is of no use any more.
pub(crate) fn take_over(
    worker: &Rc<Worker>,
    (back, server): (&ProxyPlan, &ServerPlan),
    protocol: Connection<User>,
    mut whole: Upstream,
    asker: Asker,
) -> Option<Upstream> {
    let shared = Shared::begin(&mut whole.conn, protocol);
    let (mux, stream) = Mux::take_over(worker, server, shared.clone(), whole, asker);
    let link = Link::new(shared, worker.clone(), Buffer::default(), worker.clock.now());
    let counts = back.state.clone().map(|state| Counts::go_on(Side::Back(state), worker));
    run(link, mux, server, back, counts);
    stream
}

/// Reads and writes a connection until its end.
pub(super) fn drive(link: Link, mux: Rc<Mux>, server: &ServerPlan, back: &ProxyPlan) {
    let counts = back.state.clone().map(|state| Counts::begin(Side::Back(state), &link.worker));
    run(link, mux, server, back, counts);
}

fn run(link: Link, mux: Rc<Mux>, server: &ServerPlan, back: &ProxyPlan, counts: Option<Counts>) {
    let mut driver = Driver {
        mux,
        counts,
        task: Task::service(&link.worker),
        settings: link.worker.plan().global.h2,
        link,
        ping: server.idle_ping,
        patience: back.timeouts.server,
        spare: None,
        was_idle: false,
        timed: false,
        leaves: false,
    };
    let worker = driver.link.worker.clone();
    traced::h2(&driver.link.of_server(), events::h2::H2C_NEW, Level::User, "new H2 connection");
    crate::worker::spawn(&worker, Kind::ServerConnection, None, async move {
        poll_fn(|cx| driver.poll(cx)).await;
        match driver.leaves {
            true => driver.leave(),
            false => driver.end(),
        }
    });
}

/// What reads and writes a connection.
struct Driver {
    link: Link,
    counts: Option<Counts>,
    mux: Rc<Mux>,
    task: Task,
    /// As they were when it began.
    settings: Settings,
    /// `idle-ping`
    ping: Option<Duration>,
    /// `timeout server`: so long the socket may take nothing of what waits.
    patience: Option<Duration>,
    /// Where the next response's head goes.
    spare: Option<Box<Answered>>,
    was_idle: bool,
    /// Its timer is set.
    timed: bool,
    /// It goes to another worker.
    leaves: bool,
}

impl Driver {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.link.shared.drive(cx);
        let read = self.read(cx);
        self.judge();
        self.count();
        if read == Read::Over || self.link.write(cx).is_err() {
            let _ = self.link.write(cx);
            return Poll::Ready(());
        }
        if self.mux.is_wanted() {
            self.leaves = self.is_at_rest();
            if self.leaves {
                return Poll::Ready(());
            }
            self.mux.stays(&self.link.worker);
        }
        self.link.make_room();
        self.link.worker.idle.borrow_mut().settle(&self.mux, &self.link.worker);
        let (idle, over, waited_for) = {
            let p = self.link.shared.protocol.borrow();
            (p.is_idle(), p.is_over(), p.is_waited_for())
        };
        if over {
            // the pool, or somebody who has had enough, has closed it
            let _ = self.link.write(cx);
            return Poll::Ready(());
        }
        self.rest(idle);
        if self.is_late(cx, idle) {
            return Poll::Ready(());
        }
        if read == Read::GoesOn || waited_for {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Reads and acts on what has come, for a while.
    fn read(&mut self, cx: &mut Context<'_>) -> Read {
        let mut frames = 0;
        self.link.begin_turn();
        loop {
            while !self.link.input.is_empty() {
                match self.event() {
                    Step::Done => {}
                    Step::More => break,
                    Step::Full => return Read::Waits,
                    Step::Over => return Read::Over,
                }
                frames += 1;
                let most = self.settings.server_frames_at_once;
                if most > 0 && frames >= most {
                    return Read::GoesOn;
                }
            }
            if let Some(read) = self.link.fill(cx, |_, _| true) {
                return read;
            }
        }
    }

    /// One event of what has come.
    fn event(&mut self) -> Step {
        let now = self.link.worker.clock.now().0;
        let mut spare = self.spare.take().unwrap_or_else(|| self.link.shared.spare());
        let mut protocol = self.link.shared.protocol.borrow_mut();
        let waits = protocol.connects().is_none();
        if trace::on(Source::H2) {
            traced::h2_frame(&self.link.of_server(), protocol.next(self.link.input.data()));
        }
        let (n, event) = protocol.receive(self.link.input.data(), now, &mut spare.head);
        let mut step = Step::Done;
        match event {
            Event::More => step = Step::More,
            Event::Full => step = Step::Full,
            Event::Fatal(_) => {
                let what = events::h2::H2C_ERR | events::h2::PROTO_ERR;
                traced::h2(&self.link.of_server(), what, Level::Error, "protocol error, the connection ends");
                step = Step::Over;
            }
            Event::Response(id, answer) => {
                let mut answered = std::mem::replace(&mut spare, self.link.shared.spare());
                answered.answer = answer;
                if let Some(user) = protocol.user(id) {
                    user.answered(answered);
                }
            }
            Event::Leaving => protocol.users().for_each(User::wake),
            other => {
                tell(&mut protocol, other);
            }
        }
        if waits && protocol.connects().is_some() {
            self.link.shared.wake_watchers();
        }
        drop(protocol);
        self.spare = Some(spare);
        self.link.input.consume(n);
        step
    }

    fn count(&mut self) {
        if let Some(counts) = &mut self.counts {
            counts.see(&self.link.shared);
        }
    }

    /// `tune.h2.be.glitches-threshold`: no more streams begin at three quarters of it.
    fn judge(&mut self) {
        let mut protocol = self.link.shared.protocol.borrow_mut();
        let so_far = protocol.glitches();
        let threshold = self.settings.server_glitches;
        if threshold == 0 || so_far < threshold / 4 * 3 {
            return;
        }
        protocol.leave();
        if so_far >= threshold && self.settings.kills() {
            protocol.punish();
        }
    }

    /// An idle connection holds nothing that it does not need.
    fn rest(&mut self, idle: bool) {
        if idle && !self.was_idle {
            self.link.heard = self.link.worker.clock.now();
        }
        self.was_idle = idle;
        self.link.rest();
        if let Some(spare) = self.spare.take() {
            self.link.shared.give_spare(spare);
        }
    }

    /// Is the connection over because its server takes nothing any more, or has not answered a ping until the next one is
    /// due (`idle-ping`)?
    fn is_late(&mut self, cx: &mut Context<'_>, idle: bool) -> bool {
        let now = self.link.worker.clock.now();
        let mut due = self.link.blocked_since.after_or_never(self.patience);
        if now >= due {
            return true;
        }
        if let Some(every) = self.ping.filter(|_| idle) {
            if now >= self.link.heard.after(Some(every)) {
                if self.link.pinged {
                    return true;
                }
                self.link.ping();
                if self.link.write(cx).is_err() {
                    return true;
                }
            }
            due = due.min(self.link.heard.after(Some(every)));
        }
        if due != Millis::NEVER || self.timed {
            self.timed = due != Millis::NEVER;
            self.task.deadline(due);
            self.task.poll_woken(cx);
        }
        false
    }

    /// Is nothing under way in either direction?
    fn is_at_rest(&self) -> bool {
        let p = self.link.shared.protocol.borrow();
        self.link.input.is_empty()
            && p.is_idle()
            && p.is_between_frames()
            && p.output().is_empty()
            && !p.is_leaving()
            && !p.is_over()
            && !self.link.shared.is_broken()
    }

    /// Another worker drives it from now on.
    fn leave(mut self) {
        self.count();
        let Self { link, mux, .. } = self;
        let wanted = mux.take_wanted();
        drop(mux);
        let Link { shared, worker, input, .. } = link;
        worker.buffers.give(input);
        if let Some((whole, give)) = wanted {
            give_http2(&worker, shared, whole, give);
        }
    }

    /// The socket is closed in order; streams that are left hear of it.
    fn end(mut self) {
        traced::h2(&self.link.of_server(), events::h2::H2C_END, Level::State, "H2 connection ended");
        self.count();
        self.link.shared.break_all();
        self.link.worker.idle.borrow_mut().lost(&self.mux);
        if let Some(conn) = self.link.shared.below() {
            conn.say_goodbye();
            conn.finish();
            conn.discard_input(true);
        }
        self.link.worker.buffers.give(self.link.input);
    }
}
