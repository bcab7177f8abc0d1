//! The streams of an HTTP/2 connection, each as its user has it: like a connection of its own.
//!
//! The connection's driver (`proxy::h2`) reads and writes the socket; streams only touch what is in between: what has come
//! for them, and what waits to be written. All of a connection is on one worker.

use crate::buffer::Buffer;
use crate::clock::Millis;
use crate::conn::{Conn, Seen};
use portcullis_message::Head;
use portcullis_wire::h2::{Answer, Connection, Event, Reason, Sent};
use std::cell::{Cell, OnceCell, RefCell};
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Interim responses that wait for a stream's user; more of them are dropped.
const INTERIM: usize = 16;
/// Heads that are kept to be used again.
const SPARES: usize = 8;

/// The head of a response as it has come.
#[derive(Debug, Default)]
pub struct Answered {
    /// The head.
    pub head: Head,
    /// What it says.
    pub answer: Answer,
}

/// What a stream's user has with it.
#[derive(Debug, Default)]
pub struct User {
    /// Responses that have come: the next one, and those behind it.
    answer: Option<Box<Answered>>,
    #[expect(clippy::vec_box, reason = "they are handed on as they are")]
    answers: Vec<Box<Answered>>,
    /// What has come and was not taken.
    input: Buffer,
    trailers: Vec<u8>,
    /// It was reset for what its peer did wrong.
    spoiled: bool,
    waker: Option<Waker>,
}

impl User {
    /// Something has happened to the stream.
    pub fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
    /// Payload has come.
    pub fn received(&mut self, bytes: &[u8]) {
        self.input.extend(bytes);
        self.wake();
    }
    /// A response's head has come.
    pub fn answered(&mut self, answered: Box<Answered>) {
        match &self.answer {
            None => self.answer = Some(answered),
            Some(_) if answered.answer.interim && self.answers.len() >= INTERIM => {}
            Some(_) => self.answers.push(answered),
        }
        self.wake();
    }
    fn next_answer(&mut self) -> Option<Box<Answered>> {
        let next = self.answer.take()?;
        if !self.answers.is_empty() {
            self.answer = Some(self.answers.remove(0));
        }
        Some(next)
    }
    /// Its peer has spoiled it.
    pub fn spoil(&mut self) {
        self.spoiled = true;
        self.wake();
    }
    /// All has come.
    pub fn ended(&mut self, trailers: Vec<u8>) {
        self.trailers = trailers;
        self.wake();
    }
    fn wait(&mut self, cx: &Context<'_>) {
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }
}

/// Tells the users of streams of what has come; `true`: nobody else must know.
pub fn tell(protocol: &mut Connection<User>, event: Event<'_>) -> bool {
    match event {
        Event::Nothing => {}
        Event::Data(id, part, _) => {
            if let Some(user) = protocol.user(id) {
                user.received(part);
            }
        }
        Event::End(id, trailers) => {
            if let Some(user) = protocol.user(id) {
                user.ended(trailers);
            }
        }
        Event::Reset(id, fault) => {
            if let Some(user) = protocol.user(id) {
                if fault { user.spoil() } else { user.wake() }
            }
            return !fault;
        }
        Event::Window(0) => protocol.users().for_each(User::wake),
        Event::Window(id) => {
            if let Some(user) = protocol.user(id) {
                user.wake();
            }
        }
        _ => return false,
    }
    true
}

/// A connection that is shared by its driver and its streams.
#[derive(Debug)]
pub struct Shared {
    /// The socket, from the moment on that it was given.
    below: OnceCell<Conn>,
    /// The protocol.
    pub protocol: RefCell<Connection<User>>,
    /// Woken when there is something to be written, or a stream has gone.
    driver: RefCell<Option<Waker>>,
    /// Nothing goes on any more.
    broken: Cell<bool>,
    /// The peer has closed the connection.
    closed: Cell<bool>,
    /// Who watches it while it rests, or waits for its server's settings.
    watchers: RefCell<Vec<Waker>>,
    /// When something has come last.
    heard: Cell<Millis>,
    /// Heads to be used again.
    #[expect(clippy::vec_box, reason = "they are handed on as they are")]
    spares: RefCell<Vec<Box<Answered>>>,
}

impl Shared {
    /// Over the connection that `slot` holds, which speaks it from its next byte on. `slot` holds a view of it then.
    #[must_use]
    pub fn begin(slot: &mut Conn, protocol: Connection<User>) -> Rc<Self> {
        let this = Rc::new(Self {
            below: OnceCell::new(),
            protocol: RefCell::new(protocol),
            driver: RefCell::default(),
            broken: Cell::new(false),
            closed: Cell::new(false),
            watchers: RefCell::default(),
            heard: Cell::new(Millis(0)),
            spares: RefCell::default(),
        });
        let view = Stream::new(this.clone(), 0);
        let _ = this.below.set(std::mem::replace(slot, view.into()));
        this
    }

    /// The connection and its protocol, for another thread. None: streams have it still, or it has nothing below.
    #[must_use]
    pub fn part(self) -> Option<(crate::conn::Parted, Connection<User>)> {
        let mut protocol = self.protocol.into_inner();
        if protocol.users().next().is_some() {
            return None;
        }
        Some((self.below.into_inner()?.part()?, protocol))
    }

    /// Begins a stream with this request. None: there is no room for it.
    pub fn open(self: &Rc<Self>, head: &Head, sent: &Sent<'_>) -> Option<Stream> {
        if self.broken.get() {
            return None;
        }
        let id = self.protocol.borrow_mut().open_stream(head, sent)?;
        self.wake_driver();
        Some(Stream::new(self.clone(), id))
    }

    /// Streams so far.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.protocol.borrow().total()
    }

    /// Odd things so far.
    #[must_use]
    pub fn glitches(&self) -> u32 {
        self.protocol.borrow().glitches()
    }

    /// How many streams more it bears.
    #[must_use]
    pub fn room(&self) -> usize {
        if self.broken.get() { 0 } else { self.protocol.borrow().room() }
    }

    /// Waits until the server has said whether it understands extended CONNECT.
    ///
    /// # Errors
    /// The connection is over.
    pub fn poll_connects(&self, cx: &Context<'_>) -> Poll<io::Result<bool>> {
        match self.protocol.borrow().connects() {
            _ if self.broken.get() => Poll::Ready(Err(broken())),
            Some(connects) => Poll::Ready(Ok(connects)),
            None => {
                self.watch(cx);
                Poll::Pending
            }
        }
    }

    fn watch(&self, cx: &Context<'_>) {
        let mut all = self.watchers.borrow_mut();
        if !all.iter().any(|w| w.will_wake(cx.waker())) {
            all.push(cx.waker().clone());
        }
    }

    /// Something has come.
    pub fn hear(&self, now: Millis) {
        self.heard.set(now);
    }

    /// Nothing has come since then: no more streams begin.
    pub fn doubt(&self, since: Millis) {
        if self.heard.get() <= since {
            self.protocol.borrow_mut().leave();
            self.wake_driver();
        }
    }

    /// Who watches the connection as such shall look at it.
    pub fn wake_watchers(&self) {
        self.watchers.take().into_iter().for_each(Waker::wake);
    }

    /// Nothing begins any more: the connection ends when everything that waits was written.
    pub fn close(&self, reason: Reason) {
        self.protocol.borrow_mut().close(reason);
        self.wake_driver();
    }

    /// A place for the next response's head.
    #[must_use]
    pub fn spare(&self) -> Box<Answered> {
        self.spares.borrow_mut().pop().unwrap_or_default()
    }

    /// It is not needed any more.
    pub fn give_spare(&self, spare: Box<Answered>) {
        let mut all = self.spares.borrow_mut();
        if all.len() < SPARES {
            all.push(spare);
        }
    }

    /// The connection below.
    #[must_use]
    pub fn below(&self) -> Option<&Conn> {
        self.below.get()
    }

    /// Does nothing go on any more?
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken.get()
    }

    /// The driver waits: it is to be woken by what streams do.
    pub fn drive(&self, cx: &Context<'_>) {
        *self.driver.borrow_mut() = Some(cx.waker().clone());
    }

    /// The driver shall look at it.
    pub fn wake_driver(&self) {
        if let Some(waker) = self.driver.borrow_mut().take() {
            waker.wake();
        }
    }

    /// The connection is over: all streams are told.
    pub fn break_all(&self) {
        self.broken.set(true);
        self.protocol.borrow_mut().users().for_each(User::wake);
        self.wake_watchers();
    }

    /// The peer has closed the connection: all streams are told.
    pub fn peer_closed(&self) {
        self.closed.set(true);
        self.break_all();
    }
}

/// A stream, or (number 0) the connection itself as far as it is looked at. Dropped before its end it is reset.
#[derive(Debug)]
pub struct Stream {
    shared: Rc<Shared>,
    id: u32,
    /// What its peer hears if it is given up before its end.
    left_for: Cell<Reason>,
}

fn broken() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

impl Stream {
    /// The stream with this number, which was begun.
    #[must_use]
    pub fn new(shared: Rc<Shared>, id: u32) -> Self {
        Self { shared, id, left_for: Cell::new(Reason::Cancel) }
    }

    /// Its peer hears that nobody has looked at its request, and may send it again by itself (RFC 9113 section 8.7).
    pub fn refuse(&self) {
        self.left_for.set(Reason::RefusedStream);
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Which connection it is of: no other one that lives has this number.
    #[must_use]
    pub fn connection(&self) -> usize {
        Rc::as_ptr(&self.shared) as usize
    }

    /// The connection below.
    #[must_use]
    pub fn below(&self) -> Option<&Conn> {
        self.shared.below()
    }

    /// The whole connection ends, and its client hears that it shall be calm.
    pub fn reject(&self) {
        self.shared.protocol.borrow_mut().reject(self.id);
        self.shared.wake_driver();
    }

    /// The whole connection ends, without a word.
    pub fn end_connection(&self) {
        self.shared.break_all();
        self.shared.wake_driver();
    }

    fn is_broken(&self, protocol: &Connection<User>) -> bool {
        self.shared.broken.get() || protocol.is_reset(self.id)
    }

    /// See [`Conn::poll_recv`].
    pub fn poll_recv(&self, cx: &mut Context<'_>, into: &mut Buffer) -> Poll<io::Result<usize>> {
        let mut protocol = self.shared.protocol.borrow_mut();
        let Some(user) = protocol.user(self.id) else { return Poll::Ready(Err(broken())) };
        let have = user.input.len();
        if have > 0 {
            let spare = into.spare();
            let n = have.min(spare.capacity() - spare.len());
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::OutOfMemory.into()));
            }
            spare.extend_from_slice(user.input.data().get(..n).unwrap_or_default());
            user.input.consume(n);
            if user.input.is_empty() {
                user.input = Buffer::default();
            }
            protocol.consumed(self.id, n);
            if !protocol.output().is_empty() {
                self.shared.wake_driver();
            }
            return Poll::Ready(Ok(n));
        }
        if protocol.has_ended(self.id) && !protocol.is_cut(self.id) {
            return Poll::Ready(Ok(0));
        }
        self.or_wait(&mut protocol, cx)
    }

    fn or_wait<T>(&self, protocol: &mut Connection<User>, cx: &Context<'_>) -> Poll<io::Result<T>> {
        if self.is_broken(protocol) {
            let spoiled = protocol.user(self.id).is_some_and(|u| u.spoiled);
            return Poll::Ready(Err(if spoiled { io::ErrorKind::InvalidData.into() } else { broken() }));
        }
        if let Some(user) = protocol.user(self.id) {
            user.wait(cx);
        }
        Poll::Pending
    }

    /// See [`Conn::poll_send`].
    pub fn poll_send(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut protocol = self.shared.protocol.borrow_mut();
        if self.is_broken(&protocol) {
            return Poll::Ready(Err(broken()));
        }
        if slices.iter().all(|s| s.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        match protocol.send_data(self.id, slices) {
            0 => self.or_wait(&mut protocol, cx),
            n => {
                self.shared.wake_driver();
                Poll::Ready(Ok(n))
            }
        }
    }

    /// See [`Conn::poll_readable`].
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut protocol = self.shared.protocol.borrow_mut();
        let id = self.id;
        let some = protocol.user(id).is_none_or(|u| !u.input.is_empty());
        if some || protocol.has_ended(id) {
            return Poll::Ready(());
        }
        self.or_wait::<()>(&mut protocol, cx).map(drop)
    }

    /// See [`Conn::poll_peek`]. That its peer has said all is not seen: it waits for an answer. The end is that of the
    /// connection.
    pub fn poll_peek(&self, cx: &mut Context<'_>) -> Seen {
        if self.id == 0 {
            if !self.shared.broken.get() {
                self.shared.watch(cx);
                return Seen::Nothing;
            }
            return if self.shared.closed.get() { Seen::End } else { Seen::Broken };
        }
        match self.or_wait::<()>(&mut self.shared.protocol.borrow_mut(), cx) {
            Poll::Ready(_) if self.shared.closed.get() => Seen::End,
            Poll::Ready(_) => Seen::Broken,
            Poll::Pending => Seen::Nothing,
        }
    }

    /// The next response that has come: its head is exchanged for what `into` held.
    ///
    /// # Errors
    /// The stream or its connection is over; `InvalidData`: it was no response.
    pub fn poll_head(&self, cx: &Context<'_>, into: &mut Head) -> Poll<io::Result<Answer>> {
        if self.id == 0 {
            return Poll::Ready(Err(broken()));
        }
        let mut protocol = self.shared.protocol.borrow_mut();
        match protocol.user(self.id).and_then(User::next_answer) {
            Some(mut next) => {
                std::mem::swap(&mut next.head, into);
                let answer = next.answer;
                self.shared.give_spare(next);
                Poll::Ready(Ok(answer))
            }
            None => self.or_wait(&mut protocol, cx),
        }
    }

    /// See [`Shared::poll_connects`].
    ///
    /// # Errors
    /// The connection is over.
    pub fn poll_connects(&self, cx: &Context<'_>) -> Poll<io::Result<bool>> {
        self.shared.poll_connects(cx)
    }

    /// May extended CONNECT be used?
    #[must_use]
    pub fn connects(&self) -> bool {
        self.shared.protocol.borrow().connects() == Some(true)
    }

    /// See [`Shared::doubt`].
    pub fn doubt(&self, since: Millis) {
        self.shared.doubt(since);
    }

    /// Was the request not even looked at by its server, so that it can be sent again?
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.id == 0 || self.shared.protocol.borrow().is_refused(self.id)
    }

    /// The reason that its peer has reset it for (RFC 9113 section 7).
    #[must_use]
    pub fn rst_code(&self) -> Option<u32> {
        self.shared.protocol.borrow().rst_code(self.id)
    }

    /// Has the connection ended, and not just the stream?
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.shared.broken.get()
    }

    /// Bytes that have come and were not taken.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.protocol.borrow_mut().user(self.id).map_or(0, |u| u.input.len())
    }

    /// Has all of it come, and was it taken?
    #[must_use]
    pub fn is_over(&self) -> bool {
        let mut protocol = self.shared.protocol.borrow_mut();
        protocol.user(self.id).is_some_and(|u| u.input.is_empty())
            && protocol.has_ended(self.id)
            && !protocol.is_cut(self.id)
    }

    /// Sends a head.
    pub fn send_head(&self, head: &Head) {
        self.shared.protocol.borrow_mut().send_head(self.id, head);
        self.shared.wake_driver();
    }

    /// Nothing more is sent, but perhaps a trailer section as HTTP/1 has it.
    pub fn end(&self, trailers: Option<&[u8]>) {
        if self.id != 0 {
            self.shared.protocol.borrow_mut().send_end(self.id, trailers);
            self.shared.wake_driver();
        }
    }

    /// The trailer section that has come, as HTTP/1 has it; empty: none.
    #[must_use]
    pub fn take_trailers(&self) -> Vec<u8> {
        let mut protocol = self.shared.protocol.borrow_mut();
        protocol.user(self.id).map(|u| std::mem::take(&mut u.trailers)).unwrap_or_default()
    }

    /// Streams of the connection that are open.
    #[must_use]
    pub fn siblings(&self) -> usize {
        self.shared.protocol.borrow().open()
    }

    /// Streams that the connection may have at once.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.shared.protocol.borrow().streams_limit()
    }

    /// Odd things of the connection so far.
    #[must_use]
    pub fn glitches(&self) -> u32 {
        self.shared.protocol.borrow().glitches()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.id != 0 {
            self.shared.protocol.borrow_mut().release(self.id, self.left_for.get());
            self.shared.wake_driver();
        }
    }
}
