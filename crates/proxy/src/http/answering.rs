//! A response while rules look at it, with as much of its body as has come.

use super::body;
use super::exchange::Stop;
use crate::rules::BodyState;
use crate::session::Session;
use crate::worker::{Woken, Worker};
use portcullis_sample::Payload;
use portcullis_transport::conn::{Conn, Seen};
use portcullis_transport::{Buffer, Millis};
use portcullis_wire::h1::Framing;
use std::future::poll_fn;
use std::task::Poll;

/// A response whose head is there.
pub struct Answering<'a> {
    conn: &'a Conn,
    /// What came behind the head.
    received: &'a mut Buffer,
    framing: Framing,
    /// The server has closed.
    over: bool,
    /// Room for the payload of chunks.
    scratch: Vec<u8>,
}

impl<'a> Answering<'a> {
    /// Over this connection; the buffer begins with the body.
    pub fn new(conn: &'a Conn, received: &'a mut Buffer, framing: Framing) -> Self {
        Self { conn, received, framing, over: false, scratch: Vec::new() }
    }

    /// How much of the body has come.
    pub fn state(&self) -> BodyState {
        body::state(self.received, self.framing, self.over)
    }

    /// Room for so many bytes, if there was too little.
    pub fn enlarge(&mut self, room: usize, worker: &Worker) {
        body::enlarge(self.received, room, worker);
    }

    /// What has come of it.
    pub fn payload(&mut self) -> Payload<'_> {
        let state = self.state();
        let bytes = body::plain(self.received.data(), self.framing, &mut self.scratch);
        Payload { bytes, may_grow: !state.complete && !state.full }
    }

    /// Waits until a time, or until more has come.
    ///
    /// # Errors
    /// When the client goes away or an operator ends the stream.
    pub async fn wait(&mut self, session: &Session, until: Millis) -> Result<(), Stop> {
        let task = &session.task;
        task.deadline(until);
        poll_fn(|cx| {
            if !self.over && self.received.capacity() == 0 && self.conn.poll_readable(cx).is_ready() {
                *self.received = task.worker.buffers.take();
            }
            if !self.over && self.received.capacity() > 0 && !self.received.is_full() {
                match self.conn.poll_recv(cx, self.received) {
                    Poll::Ready(Ok(0) | Err(_)) => {
                        self.over = true;
                        return Poll::Ready(Ok(()));
                    }
                    Poll::Ready(Ok(_)) => return Poll::Ready(Ok(())),
                    Poll::Pending => {}
                }
            }
            if matches!(task.watch(&session.conn, cx), Seen::Broken) {
                return Poll::Ready(Err(Stop::mute(b"CD", 400)));
            }
            match task.poll_woken(cx) {
                Some(Woken::Aborted(why)) => Poll::Ready(Err(Stop::new(&[why.letter(), b'H'], 0))),
                Some(Woken::Late) => Poll::Ready(Ok(())),
                None => Poll::Pending,
            }
        })
        .await
    }
}
