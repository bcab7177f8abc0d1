//! HTTP/2 with a server: the driver of one connection. It alone reads and writes the socket, as that of a client's connection
//! does; streams are begun by exchanges, and which of them may use it is [`crate::upstream::Mux`]'s.

use crate::plan::ServerPlan;
use crate::upstream::{Asker, Mux, Upstream};
use crate::worker::{Task, Worker};
use portcullis_sample::{Facts, Scope};
use portcullis_transport::h2::{Answered, Shared, tell};
use portcullis_transport::{Buffer, Millis};
use portcullis_wire::h2::{Connection, Event, Reason};
use std::future::poll_fn;
use std::io::IoSlice;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Bytes that are read in a row before others have their turn.
const AT_ONCE: usize = 256 * 1024;
/// Streams that are told in a row that there is room again.
const WOKEN: usize = 8;

/// Speaks HTTP/2 over a new connection from its next byte on; its first stream.
pub fn begin(
    worker: &Rc<Worker>,
    server: &ServerPlan,
    facts: &Facts<'_>,
    mut whole: Upstream,
    (asker, patience): (Asker, Option<Duration>),
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
    let mut driver = Driver {
        shared,
        mux,
        task: Task::service(worker),
        worker: worker.clone(),
        glitches: settings.server_glitches,
        frames_at_once: settings.server_frames_at_once,
        ping: server.idle_ping,
        patience,
        blocked_since: Millis::NEVER,
        input: Buffer::default(),
        spare: None,
        bulk: false,
        heard: worker.clock.now(),
        pinged: false,
        was_idle: false,
        timed: false,
    };
    tokio::task::spawn_local(async move {
        poll_fn(|cx| driver.poll(cx)).await;
        driver.end();
    });
    stream
}

/// What reads and writes a connection.
struct Driver {
    shared: Rc<Shared>,
    mux: Rc<Mux>,
    worker: Rc<Worker>,
    task: Task,
    /// `tune.h2.be.glitches-threshold`
    glitches: u32,
    /// `tune.h2.be.max-frames-at-once`
    frames_at_once: u32,
    /// `idle-ping`
    ping: Option<Duration>,
    /// `timeout server`: so long the socket may take nothing of what waits.
    patience: Option<Duration>,
    /// Since when it has not taken anything.
    blocked_since: Millis,
    input: Buffer,
    /// Where the next response's head goes.
    spare: Option<Box<Answered>>,
    /// Much comes: reads are large.
    bulk: bool,
    /// When something has come last, or the connection became idle.
    heard: Millis,
    /// A ping is on its way.
    pinged: bool,
    was_idle: bool,
    /// Its timer is set.
    timed: bool,
}

/// Why nothing more is read for now.
#[derive(PartialEq, Eq)]
enum Read {
    /// Nothing has come.
    Waits,
    /// Others have their turn first.
    GoesOn,
    /// The connection is over.
    Over,
}

impl Driver {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.shared.drive(cx);
        let read = self.read(cx);
        self.judge();
        if read == Read::Over || self.write(cx).is_err() {
            let _ = self.write(cx);
            return Poll::Ready(());
        }
        self.make_room();
        self.worker.idle.borrow_mut().settle(&self.mux, &self.worker);
        let (idle, over, waited_for) = {
            let p = self.shared.protocol.borrow();
            (p.is_idle(), p.is_over(), p.is_waited_for())
        };
        if over {
            // the pool, or somebody who has had enough, has closed it
            let _ = self.write(cx);
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
        let (mut bytes, mut frames) = (0, 0u32);
        loop {
            while !self.input.is_empty() {
                match self.event() {
                    Step::Done => {}
                    Step::More => break,
                    Step::Full => return Read::Waits,
                    Step::Over => return Read::Over,
                }
                frames += 1;
                if self.frames_at_once > 0 && frames >= self.frames_at_once {
                    return Read::GoesOn;
                }
            }
            if bytes >= AT_ONCE {
                return Read::GoesOn;
            }
            let Some(conn) = self.shared.below() else { return Read::Over };
            if conn.poll_readable(cx).is_pending() {
                return Read::Waits;
            }
            if self.input.capacity() == 0 {
                self.input = match self.bulk {
                    true => self.worker.buffers.take_large(),
                    false => self.worker.buffers.take(),
                };
            }
            let room = self.input.capacity() - self.input.len();
            match conn.poll_recv(cx, &mut self.input) {
                Poll::Ready(Ok(0)) => {
                    self.shared.peer_closed();
                    return Read::Over;
                }
                Poll::Ready(Err(_)) => return Read::Over,
                Poll::Ready(Ok(n)) => {
                    bytes += n;
                    (self.heard, self.pinged) = (self.worker.clock.now(), false);
                    self.shared.hear(self.heard);
                    self.bulk = n == room && n >= self.worker.buffers.size() / 2;
                }
                Poll::Pending => return Read::Waits,
            }
        }
    }

    /// One event of what has come.
    fn event(&mut self) -> Step {
        let now = self.worker.clock.now().0;
        let mut spare = self.spare.take().unwrap_or_else(|| self.shared.spare());
        let mut protocol = self.shared.protocol.borrow_mut();
        let waits = protocol.connects().is_none();
        let (n, event) = protocol.receive(self.input.data(), now, &mut spare.head);
        let mut step = Step::Done;
        match event {
            Event::More => step = Step::More,
            Event::Full => step = Step::Full,
            Event::Fatal(_) => step = Step::Over,
            Event::Response(id, answer) => {
                let mut answered = std::mem::replace(&mut spare, self.shared.spare());
                answered.answer = answer;
                if let Some(user) = protocol.user(id) {
                    user.answered(answered);
                }
            }
            Event::Leaving => protocol.users().for_each(portcullis_transport::h2::User::wake),
            other => {
                tell(&mut protocol, other);
            }
        }
        if waits && protocol.connects().is_some() {
            self.shared.wake_watchers();
        }
        drop(protocol);
        self.spare = Some(spare);
        self.input.consume(n);
        step
    }

    /// `tune.h2.be.glitches-threshold`: no more streams begin at three quarters of it.
    fn judge(&mut self) {
        let mut protocol = self.shared.protocol.borrow_mut();
        let so_far = protocol.glitches();
        if self.glitches == 0 || so_far < self.glitches / 4 * 3 {
            return;
        }
        protocol.leave();
        if so_far >= self.glitches {
            protocol.close(Reason::EnhanceYourCalm);
        }
    }

    /// Writes what waits, as far as the socket takes it.
    fn write(&mut self, cx: &mut Context<'_>) -> std::io::Result<()> {
        let Some(conn) = self.shared.below() else { return Ok(()) };
        let mut protocol = self.shared.protocol.borrow_mut();
        while !protocol.output().is_empty() {
            match conn.poll_send(cx, &[IoSlice::new(protocol.output())], false) {
                Poll::Ready(Ok(n)) => {
                    protocol.wrote(n);
                    self.blocked_since = self.worker.clock.now();
                }
                Poll::Ready(Err(e)) => return Err(e),
                Poll::Pending => {
                    if self.blocked_since == Millis::NEVER {
                        self.blocked_since = self.worker.clock.now();
                    }
                    return Ok(());
                }
            }
        }
        self.blocked_since = Millis::NEVER;
        Ok(())
    }

    /// Tells some of the streams that wait for it that there is room.
    fn make_room(&self) {
        let mut protocol = self.shared.protocol.borrow_mut();
        for _ in 0..WOKEN {
            let Some(id) = protocol.next_waiting() else { return };
            if let Some(user) = protocol.user(id) {
                user.wake();
            }
        }
    }

    /// An idle connection holds nothing that it does not need.
    fn rest(&mut self, idle: bool) {
        if idle && !self.was_idle {
            self.heard = self.worker.clock.now();
        }
        self.was_idle = idle;
        if self.input.is_empty() && self.input.capacity() > 0 {
            self.worker.buffers.give(std::mem::take(&mut self.input));
        }
        if let Some(spare) = self.spare.take() {
            self.shared.give_spare(spare);
        }
    }

    /// Is the connection over because its server takes nothing any more, or has not answered a ping until the next one is
    /// due (`idle-ping`)?
    fn is_late(&mut self, cx: &mut Context<'_>, idle: bool) -> bool {
        let now = self.worker.clock.now();
        let mut due = self.blocked_since.after_or_never(self.patience);
        if now >= due {
            return true;
        }
        if let Some(every) = self.ping.filter(|_| idle) {
            if now >= self.heard.after(Some(every)) {
                if self.pinged {
                    return true;
                }
                (self.pinged, self.heard) = (true, now);
                self.shared.protocol.borrow_mut().ping();
                if self.write(cx).is_err() {
                    return true;
                }
            }
            due = due.min(self.heard.after(Some(every)));
        }
        if due != Millis::NEVER || self.timed {
            self.timed = due != Millis::NEVER;
            self.task.deadline(due);
            self.task.poll_woken(cx);
        }
        false
    }

    /// The socket is closed in order; streams that are left hear of it.
    fn end(self) {
        self.shared.break_all();
        self.worker.idle.borrow_mut().lost(&self.mux);
        if let Some(conn) = self.shared.below() {
            conn.say_goodbye();
            conn.finish();
            conn.discard_input(true);
        }
        self.worker.buffers.give(self.input);
    }
}

/// What came of one event.
enum Step {
    Done,
    More,
    Full,
    Over,
}
