//! Server connections that speak HTTP/2: who may begin a stream on which (`http-reuse`, `max-reuse`).
//!
//! A connection with streams is not idle: it stands with the busy ones of its worker. When its last stream has gone it rests in
//! the pool like one of HTTP/1, and counts, ages and ends like one.

use super::lend::Give;
use super::{Hold, Idle, Upstream};
use crate::plan::ServerPlan;
use crate::worker::Worker;
use portcullis_backend::{Connection, Lease, PoolSettings, ServerState};
use portcullis_config::Reuse;
use portcullis_message::Head;
use portcullis_tls::ahead;
use portcullis_transport::Conn;
use portcullis_transport::h2::{Shared, Stream};
use portcullis_wire::h2::{Reason, Sent};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// A connection whose streams are shared out.
pub struct Mux {
    /// The connection.
    pub shared: Rc<Shared>,
    server: Arc<ServerState>,
    pool: PoolSettings,
    key: u64,
    generation: u32,
    /// Not for others than the session that it was made for.
    private: bool,
    /// Its handshake began with early data.
    ahead: Option<Arc<ahead::Shared>>,
    /// What the pool has of it, while it does not rest there.
    whole: RefCell<Option<Upstream>>,
    /// Streams that run.
    streams: Cell<u32>,
    /// Whose streams run: the session that began the first of them.
    owner: Cell<u64>,
    /// Another worker wants it, while it rests: what the pool had of it, and where it goes.
    wanted: RefCell<Option<(Upstream, Give)>>,
}

/// A stream's share of its connection, until it is dropped.
pub struct Part(Rc<Mux>);

impl Drop for Part {
    fn drop(&mut self) {
        let left = self.0.streams.get().saturating_sub(1);
        self.0.streams.set(left);
        if left == 0 {
            // its driver lets it rest
            self.0.shared.wake_driver();
        }
    }
}

/// A connection that is being made, until that has ended one way or the other.
pub struct Opening {
    server: u32,
    key: u64,
    over: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

/// Whoever makes it has this.
pub struct Mark(Rc<Opening>);

impl Drop for Mark {
    fn drop(&mut self) {
        self.0.over.set(true);
        self.0.waiting.take().into_iter().for_each(Waker::wake);
    }
}

/// Who makes a connection that streams will share.
pub enum Opens {
    /// The one that asks.
    Here(Mark),
    /// Another one, who is waited for.
    Elsewhere(Rc<Opening>),
}

impl Opening {
    /// Waits until it was made, or could not be.
    pub fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        if self.over.get() {
            return Poll::Ready(());
        }
        let mut all = self.waiting.borrow_mut();
        if !all.iter().any(|w| w.will_wake(cx.waker())) {
            all.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

/// Who wants a stream.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    /// `http-reuse`
    pub reuse: Reuse,
    /// It is its session's first request.
    pub first: bool,
    /// Its session.
    pub session: u64,
    /// It may be sent before a server's handshake is done.
    pub early: bool,
}

impl Mux {
    /// A new connection with its first stream for `asker`.
    pub fn begin(
        worker: &Worker,
        server: &ServerPlan,
        shared: Rc<Shared>,
        whole: Upstream,
        asker: Asker,
    ) -> (Rc<Self>, Upstream) {
        let private = asker.reuse == Reuse::Never || !server.shareable();
        let this = Rc::new(Self::of(server, shared, &whole, private));
        let stream = this.resume(whole, &mut worker.idle.borrow_mut(), asker);
        (this, stream)
    }

    /// A connection on which its client waits for requests (`attach-srv`) rests in the pool, if that has room for it.
    pub fn adopt(worker: &Worker, server: &ServerPlan, shared: Rc<Shared>, mut whole: Upstream) -> Rc<Self> {
        let this = Rc::new(Self::of(server, shared, &whole, false));
        whole.mux = Some(this.clone());
        worker.idle.borrow_mut().rest(whole, this.key, false, &this.pool, worker.clock.now());
        this
    }

    /// A connection that another worker had, with its first stream here. None: it is of no use any more.
    pub fn take_over(
        worker: &Worker,
        server: &ServerPlan,
        shared: Rc<Shared>,
        mut whole: Upstream,
        asker: Asker,
    ) -> (Rc<Self>, Option<Upstream>) {
        let this = Rc::new(Self::of(server, shared, &whole, false));
        whole.mux = Some(this.clone());
        let stream = worker.idle.borrow_mut().wake(whole, asker);
        (this, stream)
    }

    /// Is it one of those that requests with this key may use?
    pub(super) fn has_key(&self, key: u64) -> bool {
        self.key == key
    }

    /// Another worker wants it: its driver gives it away, or not.
    pub(super) fn hand_over(&self, whole: Upstream, give: Give) {
        *self.wanted.borrow_mut() = Some((whole, give));
        self.shared.wake_driver();
    }

    /// Does another worker want it?
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.wanted.borrow().is_some()
    }

    /// What the pool had of it, and where it goes.
    #[must_use]
    pub fn take_wanted(&self) -> Option<(Upstream, Give)> {
        self.wanted.borrow_mut().take()
    }

    /// It stays: something of it is under way. It rests again.
    pub fn stays(self: &Rc<Self>, worker: &Worker) {
        let Some((mut whole, give)) = self.take_wanted() else { return };
        let _ = give.send(None);
        whole.mux = Some(self.clone());
        worker.idle.borrow_mut().rest(whole, self.key, false, &self.pool, worker.clock.now());
    }

    fn of(server: &ServerPlan, shared: Rc<Shared>, whole: &Upstream, private: bool) -> Self {
        Self {
            shared,
            server: whole.hold.lease.server().clone(),
            pool: server.pool,
            key: whole.key,
            generation: whole.generation,
            private,
            ahead: whole.conn.tls_info().and_then(|i| i.ahead.clone()),
            whole: RefCell::default(),
            streams: Cell::new(0),
            owner: Cell::new(0),
            wanted: RefCell::default(),
        }
    }

    /// The connection that has rested works again; its first stream.
    fn resume(self: &Rc<Self>, whole: Upstream, idle: &mut Idle, asker: Asker) -> Upstream {
        *self.whole.borrow_mut() = Some(whole);
        idle.busy(*self.server.index).push(self.clone());
        self.part(asker)
    }

    /// One more stream; the connection itself until it has begun.
    fn part(self: &Rc<Self>, asker: Asker) -> Upstream {
        if self.streams.get() == 0 {
            self.owner.set(asker.session);
        }
        self.streams.set(self.streams.get() + 1);
        Upstream {
            conn: Conn::from(Stream::new(self.shared.clone(), 0)),
            glitches: self.shared.glitches(),
            key: self.key,
            own: self.private,
            generation: self.generation,
            hold: Hold::none(&self.server),
            mux: None,
            part: Some(Part(self.clone())),
        }
    }

    fn reuses(&self) -> u32 {
        self.whole.borrow().as_ref().map_or(0, |w| w.hold.lease.reuses())
    }

    /// May one more request go over it, as `max-reuse` says?
    fn has_uses(&self) -> bool {
        u32::try_from(self.pool.max_reuse).is_err()
            || i64::from(self.shared.total()) <= i64::from(self.pool.max_reuse)
    }

    /// May it begin a stream here beside those that run?
    fn serves(&self, asker: Asker) -> bool {
        if !asker.early && self.ahead.as_ref().is_some_and(|a| a.get().is_open()) {
            return false;
        }
        let same = self.owner.get() == asker.session;
        let idle = self.streams.get() == 0;
        match asker.reuse {
            _ if self.private => same && !idle,
            Reuse::Never => false,
            Reuse::Safe => {
                if idle {
                    !asker.first
                } else {
                    same
                }
            }
            Reuse::Aggressive => (same && !idle) || !asker.first || self.reuses() > 0,
            Reuse::Always => true,
        }
    }

    /// Can it go on when it has rested?
    fn is_fit(&self) -> bool {
        self.has_uses() && self.shared.room() > 0
    }
}

impl Upstream {
    /// Begins the stream with this request, whose body follows; nothing happens to a connection of its own. False: it
    /// cannot begin any more, and no server has heard of it.
    pub fn begin(&mut self, head: &Head, upgrade: bool) -> bool {
        let Some(Part(mux)) = &self.part else { return true };
        // where a target does not say its scheme, HAProxy 3.5 says this one
        match mux.shared.open(head, &Sent { scheme: b"https", upgrade }) {
            Some(stream) => self.conn = stream.into(),
            None => return false,
        }
        true
    }
}

impl Idle {
    fn busy(&mut self, server: u32) -> &mut Vec<Rc<Mux>> {
        let at = server as usize;
        if at >= self.busy.len() {
            self.busy.resize_with(at + 1, Vec::new);
        }
        // just made long enough
        &mut self.busy[at]
    }

    /// Who makes a connection for streams with this key?
    pub(super) fn opening(&mut self, server: &ServerState, key: u64) -> Opens {
        self.opening.retain(|o| !o.over.get());
        if let Some(other) = self.opening.iter().find(|o| o.server == *server.index && o.key == key) {
            return Opens::Elsewhere(other.clone());
        }
        let (over, waiting) = (Cell::new(false), RefCell::default());
        let opening = Rc::new(Opening { server: *server.index, key, over, waiting });
        self.opening.push(opening.clone());
        Opens::Here(Mark(opening))
    }

    /// A stream of a connection that works already.
    pub(super) fn join(&mut self, server: &ServerState, key: u64, asker: Asker) -> Option<Upstream> {
        let all = self.busy.get(*server.index as usize)?;
        let fits = |m: &&Rc<Mux>| m.key == key && m.serves(asker) && m.is_fit();
        let mux = all.iter().find(fits)?.clone();
        if let Some(whole) = mux.whole.borrow_mut().as_mut() {
            whole.hold.lease.again();
        }
        Some(mux.part(asker))
    }

    /// A stream of a connection that was taken from the pool, or the connection itself if it has none. None: it was worn out,
    /// and is closed.
    pub(super) fn wake(&mut self, mut up: Upstream, asker: Asker) -> Option<Upstream> {
        match up.mux.take() {
            None => Some(up),
            Some(mux) if mux.is_fit() => Some(mux.resume(up, self, asker)),
            Some(mux) => {
                up.mux = Some(mux);
                self.close(up);
                None
            }
        }
    }

    /// A stream has ended: its connection, if it has no other one and can go on; what is no stream is its own connection.
    pub fn last_of(&mut self, up: Upstream) -> Option<Upstream> {
        let Some(part) = up.part.as_ref() else { return Some(up) };
        let mux = part.0.clone();
        drop(up);
        self.stop(&mux)
    }

    /// Takes a connection without streams away from the busy ones, closed if it cannot go on.
    fn stop(&mut self, mux: &Rc<Mux>) -> Option<Upstream> {
        if mux.streams.get() > 0 {
            return None;
        }
        let mut whole = mux.whole.borrow_mut().take()?;
        self.busy(*mux.server.index).retain(|m| !Rc::ptr_eq(m, mux));
        if !mux.is_fit() {
            self.close(whole);
            mux.shared.close(Reason::NoError);
            return None;
        }
        whole.mux = Some(mux.clone());
        Some(whole)
    }

    /// A connection whose streams have gone without a word rests or is closed. Its driver asks.
    pub fn settle(&mut self, mux: &Rc<Mux>, worker: &Worker) {
        let Some(whole) = self.stop(mux) else { return };
        match mux.private {
            true => self.close(whole),
            false => {
                self.rest(whole, mux.key, false, &mux.pool, worker.clock.now());
            }
        }
    }

    /// The connection is over.
    pub fn lost(&mut self, mux: &Rc<Mux>) {
        if let Some((whole, _)) = mux.take_wanted() {
            self.close(whole);
        }
        if let Some(whole) = mux.whole.borrow_mut().take() {
            self.busy(*mux.server.index).retain(|m| !Rc::ptr_eq(m, mux));
            self.close(whole);
        }
    }
}

impl Hold {
    /// Of a stream, whose connection is held by itself.
    fn none(server: &Arc<ServerState>) -> Self {
        Self {
            lease: Lease::of_nobody(server.clone()),
            watch: super::UNWATCHED,
            waker: Waker::noop().clone(),
            _descriptor: None,
            _tls: None,
        }
    }
}

impl Connection for Upstream {
    fn lease(&mut self) -> &mut Lease {
        &mut self.hold.lease
    }
    fn is_dead(&self) -> bool {
        let mut cx = Context::from_waker(&self.hold.waker);
        self.conn.poll_peek(&mut cx) != portcullis_transport::conn::Seen::Nothing
            || self.mux.as_ref().is_some_and(|m| !m.is_fit())
    }
}
