//! The streams of an HTTP/2 connection, each as its user has it: like a connection of its own.
//!
//! The connection's driver (`proxy::h2`) reads and writes the socket; streams only touch what is in between: what has come
//! for them, and what waits to be written. All of a connection is on one worker.

use crate::buffer::Buffer;
use crate::conn::{Conn, Seen};
use portcullis_message::Head;
use portcullis_wire::h2::{Connection, Reason};
use std::cell::{Cell, OnceCell, RefCell};
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// What a stream's user has with it.
#[derive(Debug, Default)]
pub struct User {
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
        });
        let view = Stream { shared: this.clone(), id: 0 };
        let _ = this.below.set(std::mem::replace(slot, view.into()));
        this
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

    fn wake_driver(&self) {
        if let Some(waker) = self.driver.borrow_mut().take() {
            waker.wake();
        }
    }

    /// The connection is over: all streams are told.
    pub fn break_all(&self) {
        self.broken.set(true);
        self.protocol.borrow_mut().users().for_each(User::wake);
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
}

fn broken() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

impl Stream {
    /// The stream with this number, which was begun.
    #[must_use]
    pub fn new(shared: Rc<Shared>, id: u32) -> Self {
        Self { shared, id }
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
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
        if protocol.has_ended(self.id) && !protocol.is_reset(self.id) {
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
        match self.or_wait::<()>(&mut self.shared.protocol.borrow_mut(), cx) {
            Poll::Ready(_) if self.shared.closed.get() => Seen::End,
            Poll::Ready(_) => Seen::Broken,
            Poll::Pending => Seen::Nothing,
        }
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

    /// Odd things of the connection so far.
    #[must_use]
    pub fn glitches(&self) -> u32 {
        self.shared.protocol.borrow().glitches()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.id != 0 {
            self.shared.protocol.borrow_mut().release(self.id, Reason::Cancel);
            self.shared.wake_driver();
        }
    }
}
