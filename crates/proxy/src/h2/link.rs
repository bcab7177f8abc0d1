//! The socket below a connection of HTTP/2, as its driver reads and writes it: the same with clients and with servers.

use crate::traced;
use crate::worker::Worker;
use portcullis_telemetry::trace::{Subject, events};
use portcullis_transport::h2::Shared;
use portcullis_transport::{Buffer, Millis};
use std::io::IoSlice;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Bytes that are read in a row before others have their turn.
const AT_ONCE: usize = 256 * 1024;
/// Streams that are told in a row that there is room again.
const WOKEN: usize = 8;

/// Why nothing more is read for now.
#[derive(PartialEq, Eq)]
pub(super) enum Read {
    /// Nothing has come.
    Waits,
    /// Others have their turn first.
    GoesOn,
    /// The connection is over.
    Over,
}

/// What came of one event.
pub(super) enum Step {
    /// It was acted on.
    Done,
    /// More bytes are needed.
    More,
    /// Nothing is read until something was written or streams have gone.
    Full,
    /// The connection is over.
    Over,
}

/// A connection's socket.
pub(super) struct Link {
    pub shared: Rc<Shared>,
    pub worker: Rc<Worker>,
    /// What was read and not looked at.
    pub input: Buffer,
    /// Much comes: reads are large.
    bulk: bool,
    /// Bytes that were read in this turn.
    read: usize,
    /// Something has come.
    pub received: bool,
    /// When something has come last, or was asked for (`idle-ping`).
    pub heard: Millis,
    /// A ping is on its way.
    pub pinged: bool,
    /// Since when the socket has not taken anything.
    pub blocked_since: Millis,
}

impl Link {
    /// `input`: what was read of it already.
    pub fn new(shared: Rc<Shared>, worker: Rc<Worker>, input: Buffer, heard: Millis) -> Self {
        Self {
            shared,
            worker,
            input,
            bulk: false,
            read: 0,
            received: false,
            heard,
            pinged: false,
            blocked_since: Millis::NEVER,
        }
    }

    /// What there is to tell of it as a connection to a server.
    pub fn of_server(&self) -> Subject<'static> {
        let connection = Some(Rc::as_ptr(&self.shared) as usize as u64);
        Subject { thread: self.worker.id, connection, ..Subject::default() }
    }

    /// A turn of reading begins.
    pub fn begin_turn(&mut self) {
        self.read = 0;
    }

    /// Reads once more, if something is there, `may` allows it and this turn has not read much. None: something has come.
    pub fn fill(&mut self, cx: &mut Context<'_>, may: impl FnOnce(&Worker, &Waker) -> bool) -> Option<Read> {
        if self.read >= AT_ONCE {
            return Some(Read::GoesOn);
        }
        let Some(conn) = self.shared.below() else { return Some(Read::Over) };
        if conn.poll_readable(cx).is_pending() || !may(&self.worker, cx.waker()) {
            return Some(Read::Waits);
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
                Some(Read::Over)
            }
            Poll::Ready(Err(_)) => Some(Read::Over),
            Poll::Ready(Ok(n)) => {
                self.received = true;
                (self.heard, self.pinged) = (self.worker.clock.now(), false);
                self.shared.hear(self.heard);
                traced::h2_bytes(&self.of_server(), events::h2::H2C_RECV, "received", n);
                self.read += n;
                self.bulk = n == room && n >= self.worker.buffers.size() / 2;
                None
            }
            Poll::Pending => Some(Read::Waits),
        }
    }

    /// Writes what waits, as far as the socket takes it; what could not be received for want of room is, then.
    pub fn write(&mut self, cx: &mut Context<'_>) -> std::io::Result<()> {
        let Some(conn) = self.shared.below() else { return Ok(()) };
        let mut protocol = self.shared.protocol.borrow_mut();
        let was_full = protocol.is_full();
        while !protocol.output().is_empty() {
            match conn.poll_send(cx, &[IoSlice::new(protocol.output())], false) {
                Poll::Ready(Ok(n)) => {
                    protocol.wrote(n);
                    traced::h2_bytes(&self.of_server(), events::h2::H2C_SEND, "sent", n);
                    self.blocked_since = self.worker.clock.now();
                    if was_full && !protocol.is_full() {
                        cx.waker().wake_by_ref();
                    }
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
    pub fn make_room(&self) {
        let mut protocol = self.shared.protocol.borrow_mut();
        for _ in 0..WOKEN {
            let Some(id) = protocol.next_waiting() else { return };
            if let Some(user) = protocol.user(id) {
                user.wake();
            }
        }
    }

    /// Asks for a sign of life (`idle-ping`).
    pub fn ping(&mut self) {
        (self.pinged, self.heard) = (true, self.worker.clock.now());
        self.shared.protocol.borrow_mut().ping();
    }

    /// Holds no buffer for nothing.
    pub fn rest(&mut self) {
        if self.input.is_empty() && self.input.capacity() > 0 {
            self.worker.buffers.give(std::mem::take(&mut self.input));
        }
    }
}
