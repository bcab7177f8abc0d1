//! One direction of an HTTP/1 message: bytes from one connection are decoded, encoded for the other and written. What
//! is in the receive buffer is written from there; only framing is made anew.

use super::body::{Body, Step};
use crate::filter::Gate;
use crate::worker::Task;
use portcullis_transport::h2::Stream;
use portcullis_transport::splice::Pipe;
use portcullis_transport::{Buffer, Conn};
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

/// Payload up to this size is copied behind the head rather than gathered.
const SMALL: usize = 2048;

/// A rest of a body of more than this is worth a pipe (when splicing is allowed).
const WORTH_SPLICING: u64 = 16 * 1024;

/// Streams that may have large buffers: more of them on a connection that takes nothing would hold too much.
const FEW: usize = 8;

/// So many bytes that wait in a stream are worth a large buffer.
const MUCH: usize = 32 * 1024;

/// What ended a flow before its time.
#[derive(Debug)]
pub enum FlowError {
    /// The sender's connection broke.
    Source(io::Error),
    /// The sender finished before the message's end.
    Truncated,
    /// The sender's framing is wrong, at this offset of the buffer.
    Malformed(usize),
    /// The receiver's connection broke.
    Sink(io::Error),
    /// A filter ended the stream.
    Filtered,
    /// The sender has spoiled its stream, outside of the body.
    Spoiled,
}

impl FlowError {
    #[cold]
    fn of_source(e: io::Error) -> Self {
        match e.kind() {
            io::ErrorKind::InvalidData => Self::Spoiled,
            _ => Self::Source(e),
        }
    }
}

/// Where a direction's bytes come from: a connection, or an applet.
pub trait Source {
    /// Is there something to read?
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()>;
    /// Reads behind what the buffer holds; 0: the end.
    ///
    /// # Errors
    /// When it broke.
    fn poll_recv(&self, cx: &mut Context<'_>, into: &mut Buffer) -> Poll<io::Result<usize>>;
    /// Does more wait than a small buffer takes?
    fn has_much(&self) -> bool {
        false
    }
    /// Has all come and been read, though no end of bytes says so yet?
    fn is_over(&self) -> bool {
        false
    }
    /// The trailer section that came behind the end, where it does not come in bytes; empty: none.
    fn trailers(&self) -> Vec<u8> {
        Vec::new()
    }
    /// The connection that it is, if it is one.
    fn conn(&self) -> Option<&Conn> {
        None
    }
}

/// Where a direction's bytes go.
pub trait Sink {
    /// Takes some of these slices. `more`: something follows at once, if only the end.
    ///
    /// # Errors
    /// When it broke.
    fn poll_send(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>], more: bool) -> Poll<io::Result<usize>>;
    /// Are large pieces worth their memory?
    fn wants_bulk(&self) -> bool {
        true
    }
    /// The message is over, with a trailer section or without one; bytes of it say so, or nothing does but this.
    fn end(&self, _trailers: Option<&[u8]>) {}
    /// The connection that it is, if it is one.
    fn conn(&self) -> Option<&Conn> {
        None
    }
}

impl Source for Conn {
    #[inline]
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_readable(cx)
    }
    #[inline]
    fn poll_recv(&self, cx: &mut Context<'_>, into: &mut Buffer) -> Poll<io::Result<usize>> {
        self.poll_recv(cx, into)
    }
    fn has_much(&self) -> bool {
        self.stream().is_some_and(|s| s.waiting() >= MUCH)
    }
    #[inline]
    fn is_over(&self) -> bool {
        self.stream().is_some_and(Stream::is_over)
    }
    fn trailers(&self) -> Vec<u8> {
        self.stream().map(Stream::take_trailers).unwrap_or_default()
    }
    fn conn(&self) -> Option<&Conn> {
        Some(self)
    }
}

impl Sink for Conn {
    #[inline]
    fn poll_send(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>], more: bool) -> Poll<io::Result<usize>> {
        self.poll_send(cx, slices, more)
    }
    fn wants_bulk(&self) -> bool {
        self.stream().is_none_or(|s| s.siblings() <= FEW)
    }
    #[inline]
    fn end(&self, trailers: Option<&[u8]>) {
        if let Some(stream) = self.stream() {
            stream.end(trailers);
        }
    }
    fn conn(&self) -> Option<&Conn> {
        Some(self)
    }
}

/// One direction.
pub struct Flow {
    /// What was received and not yet written.
    pub buffer: Buffer,
    /// How the message's body is delimited where it comes from.
    pub body: Body,
    /// Written in chunks?
    pub chunked: bool,
    /// Bytes of the chunk that was announced to the receiver and has not come yet.
    announced: u64,
    /// Nobody wants it any more: it is read to its end and dropped.
    dropped: bool,
    /// Head or framing to be written before the payload.
    pub before: Vec<u8>,
    before_at: usize,
    /// Payload bytes at the front of `buffer`.
    payload: usize,
    /// Payload bytes behind them that wait for the filters.
    held: usize,
    /// Where they wait, if the stream has filters.
    pub gate: Option<Box<Gate>>,
    /// Bytes of `buffer` that the payload came from.
    origin: usize,
    after: Vec<u8>,
    after_at: usize,
    last_queued: bool,
    /// Nothing is left to be written.
    pub done: bool,
    /// Bytes read, for timeouts: it changes when something came in.
    pub reads: u32,
    /// Writes, likewise.
    pub writes: u32,
    /// Bytes that were written.
    pub bytes: u64,
    /// Payload bytes that came in.
    pub body_bytes: u64,
    /// Trailers are not passed on.
    pub drop_trailers: bool,
    /// The receiver's connection is closed behind the message: its last bytes and the end are one segment.
    pub closes: bool,
    /// `option splice-auto` and its kin: both ends are sockets that allow it, and what is left of a large body may go from one
    /// to the other inside the kernel.
    pub may_splice: bool,
    pipe: Option<Box<Pipe>>,
}

impl Flow {
    /// A flow that begins with what `buffer` holds behind the head.
    #[must_use]
    pub fn new(buffer: Buffer, body: Body, chunked: bool) -> Self {
        Self {
            buffer,
            body,
            chunked,
            announced: 0,
            dropped: false,
            before: Vec::new(),
            before_at: 0,
            payload: 0,
            held: 0,
            gate: None,
            origin: 0,
            after: Vec::new(),
            after_at: 0,
            last_queued: false,
            done: false,
            reads: 0,
            writes: 0,
            bytes: 0,
            body_bytes: 0,
            drop_trailers: false,
            closes: false,
            may_splice: false,
            pipe: None,
        }
    }

    /// What its body counts in the log: payload, and what HAProxy adds for the end of chunks and for trailers.
    #[must_use]
    pub fn counted(&self) -> u64 {
        let end = u64::from(self.last_queued && matches!(self.body, Body::Chunked(_) | Body::Trailed(_)));
        let trailers = self.body.trailers().map_or(0, |t| {
            t.split(|b| *b == b'\n')
                .map(|l| l.iter().filter(|b| **b != b'\r').count().saturating_sub(2))
                .sum::<usize>()
        });
        self.body_bytes + end + trailers as u64
    }

    /// Is there anything that waits for the receiver?
    #[must_use]
    pub fn is_writing(&self) -> bool {
        self.before_at < self.before.len()
            || self.payload > 0
            || self.held > 0
            || self.after_at < self.after.len()
            || self.is_in_pipe()
    }

    fn is_in_pipe(&self) -> bool {
        self.pipe.as_ref().is_some_and(|p| p.held() > 0)
    }

    /// Has all of the message come?
    #[must_use]
    pub fn is_received(&self) -> bool {
        self.last_queued
    }

    /// Do the filters hold it up?
    #[must_use]
    pub fn is_gated(&self) -> bool {
        self.gate.as_ref().is_some_and(|g| g.is_closed())
    }

    /// Moves what can be moved. Ready when the message's last byte has been written.
    ///
    /// # Errors
    /// See [`FlowError`].
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        task: &Task,
        from: &impl Source,
        to: &impl Sink,
    ) -> Poll<Result<(), FlowError>> {
        while !self.done {
            if self.is_in_pipe() {
                ready!(self.drain(cx, to))?;
                continue;
            }
            if !self.last_queued && self.payload == 0 && self.held == 0 {
                self.decode()?;
            }
            if self.held > 0 && self.payload == 0 && self.open(cx)?.is_pending() {
                if self.before_at < self.before.len() {
                    ready!(self.write(cx, to))?;
                }
                return Poll::Pending;
            }
            if self.is_writing() {
                ready!(self.write(cx, to))?;
                continue;
            }
            if self.last_queued {
                self.done = true;
                self.release(task);
                to.end(self.body.trailers().filter(|_| !self.drop_trailers && !self.dropped));
                if let Some(gate) = &mut self.gate {
                    gate.end();
                }
                break;
            }
            ready!(self.read(cx, task, from, to))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Looks at what was received: payload to the front of the buffer, framing into `before` and `after`.
    fn decode(&mut self) -> Result<(), FlowError> {
        loop {
            match self.body.step(&mut self.buffer, self.announced > 0) {
                Step::More => return Ok(()),
                Step::Payload { len, origin } => {
                    self.body_bytes += len as u64;
                    if self.dropped {
                        self.buffer.consume(origin);
                        continue;
                    }
                    if len <= SMALL
                        && !self.chunked
                        && self.before_at < self.before.len()
                        && self.gate.is_none()
                    {
                        // a small body goes out in one piece with the head
                        self.before.extend_from_slice(&self.buffer.data()[..len]);
                        self.buffer.consume(origin);
                        continue;
                    }
                    (self.payload, self.origin) = (len, origin);
                    if self.gate.is_some() {
                        (self.payload, self.held) = (0, len);
                    }
                    if self.chunked {
                        self.frame(len as u64);
                    }
                    // a last chunk that is here already goes out with the payload
                    if self.body.is_at_end() {
                        self.finish();
                    }
                    return Ok(());
                }
                Step::End => {
                    self.finish();
                    return Ok(());
                }
                Step::Malformed(at) => return Err(FlowError::Malformed(at)),
            }
        }
    }

    /// Asks the filters for some of what they hold.
    fn open(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, FlowError> {
        let Some(gate) = &mut self.gate else { return Ok(Poll::Ready(())) };
        Ok(match gate.poll(cx, &self.buffer.data()[..self.held]) {
            Poll::Ready(Ok(n)) => {
                (self.payload, self.held) = (n, self.held - n);
                Poll::Ready(())
            }
            Poll::Ready(Err(_)) => return Err(FlowError::Filtered),
            Poll::Pending => Poll::Pending,
        })
    }

    /// Frames payload. The rest of a chunk is announced with what is here of it.
    fn frame(&mut self, len: u64) {
        self.start_framing();
        if self.announced == 0 {
            self.announced = len + self.body.remaining();
            super::body::write_chunk_size(self.announced, &mut self.before);
        }
        self.announced = self.announced.saturating_sub(len);
        if self.announced == 0 {
            self.after.extend_from_slice(b"\r\n");
        }
    }

    /// Was its rest dropped?
    #[must_use]
    pub fn was_dropped(&self) -> bool {
        self.dropped
    }

    /// The receiver is gone: what still comes is dropped.
    pub fn drop_rest(&mut self) {
        self.dropped = true;
        self.buffer.consume(self.origin);
        (self.payload, self.held, self.origin, self.before_at, self.after_at) = (0, 0, 0, 0, 0);
        (self.gate, self.pipe, self.may_splice) = (None, None, false);
        self.before.clear();
        self.after.clear();
    }

    fn start_framing(&mut self) {
        if self.before_at == self.before.len() {
            self.before.clear();
            self.before_at = 0;
        }
        if self.after_at == self.after.len() {
            self.after.clear();
            self.after_at = 0;
        }
    }

    fn finish(&mut self) {
        self.last_queued = true;
        if self.chunked && !self.dropped {
            self.start_framing();
            super::body::write_last_chunk(
                self.body.trailers().filter(|_| !self.drop_trailers),
                &mut self.after,
            );
        }
    }

    fn write(&mut self, cx: &mut Context<'_>, to: &impl Sink) -> Poll<Result<(), FlowError>> {
        let before = &self.before[self.before_at..];
        let payload = &self.buffer.data()[..self.payload];
        let after = if self.held == 0 { &self.after[self.after_at..] } else { &[] };
        let slices = &[IoSlice::new(before), IoSlice::new(payload), IoSlice::new(after)];
        let slices = match (before.is_empty(), payload.is_empty(), after.is_empty()) {
            (false, true, true) => &slices[..1],
            (true, false, true) => &slices[1..2],
            (false, false, true) => &slices[..2],
            _ => &slices[..],
        };
        let sent = to.poll_send(cx, slices, self.closes && self.last_queued && self.held == 0);
        let mut n = ready!(sent).map_err(FlowError::Sink)?;
        self.bytes += n as u64;
        self.writes = self.writes.wrapping_add(1);
        let part = n.min(before.len());
        self.before_at += part;
        n -= part;
        let part = n.min(self.payload);
        self.payload -= part;
        n -= part;
        if part > 0 {
            self.origin -= part;
            self.buffer.consume(part);
        }
        if self.payload == 0 && self.held == 0 && self.origin > 0 {
            self.buffer.consume(self.origin);
            self.origin = 0;
        }
        self.after_at += n;
        Poll::Ready(Ok(()))
    }

    /// Shall what comes next go through a pipe?
    fn splices(&self) -> bool {
        self.may_splice
            && self.buffer.is_empty()
            && self.gate.is_none()
            && !self.chunked
            && self.body_bytes >= 8192
            && matches!(self.body, Body::Length(_) | Body::UntilClose(false))
            && self.body.remaining() > WORTH_SPLICING
    }

    /// Takes what there is of the body into the pipe. Pending: nothing is there; the pipe is not kept then.
    fn fill(&mut self, cx: &mut Context<'_>, task: &Task, from: &Conn) -> Poll<Result<(), FlowError>> {
        let Some(pipe) = &mut self.pipe else { return Poll::Pending };
        let limit = usize::try_from(self.body.remaining()).unwrap_or(usize::MAX).min(1 << 30);
        let filled = pipe.poll_fill(cx, from, limit);
        if filled.is_pending() {
            self.release(task);
        }
        let n = ready!(filled).map_err(FlowError::of_source)?;
        self.reads = self.reads.wrapping_add(1);
        self.body_bytes += n as u64;
        match &mut self.body {
            Body::Length(left) => *left = left.saturating_sub(n as u64),
            _ if n > 0 => {}
            body => drop(body.end_of_stream()),
        }
        if n == 0 && !self.body.is_at_end() {
            return Poll::Ready(Err(FlowError::Truncated));
        }
        Poll::Ready(Ok(()))
    }

    fn drain(&mut self, cx: &mut Context<'_>, to: &impl Sink) -> Poll<Result<(), FlowError>> {
        let closes = self.closes && self.body.is_at_end();
        let (Some(pipe), Some(conn)) = (&mut self.pipe, to.conn()) else { return Poll::Pending };
        let n = ready!(pipe.poll_drain(cx, conn, closes)).map_err(FlowError::Sink)?;
        self.bytes += n as u64;
        self.writes = self.writes.wrapping_add(1);
        Poll::Ready(Ok(()))
    }

    /// A pipe without bytes goes back.
    fn release(&mut self, task: &Task) {
        if let Some(pipe) = self.pipe.take() {
            task.worker.pipes.give(*pipe);
        }
    }

    fn read(
        &mut self,
        cx: &mut Context<'_>,
        task: &Task,
        from: &impl Source,
        to: &impl Sink,
    ) -> Poll<Result<(), FlowError>> {
        if self.splices()
            && let (Some(from), Some(to)) = (from.conn(), to.conn())
            && (self.pipe.is_some() || to.takes_pages())
        {
            if self.pipe.is_none() && from.poll_readable(cx).is_ready() {
                self.pipe = task.worker.pipes.take().map(Box::new);
                // none is left: as without
                self.may_splice = self.pipe.is_some();
                task.worker.buffers.give(std::mem::take(&mut self.buffer));
            }
            if self.may_splice {
                return self.fill(cx, task, from);
            }
        }
        if self.buffer.is_empty() && self.buffer.capacity() < task.worker.buffers.size() {
            if from.poll_readable(cx).is_pending() {
                return Poll::Pending;
            }
            self.buffer = task.worker.buffers.take();
        }
        // bulk: what remains is larger than the buffer, so read it in larger pieces
        if self.buffer.is_empty()
            && self.buffer.capacity() == task.worker.buffers.size()
            && (self.body.remaining() > self.buffer.capacity() as u64 || from.has_much())
            && self.body_bytes >= 8192
            && to.wants_bulk()
        {
            let small = std::mem::replace(&mut self.buffer, task.worker.buffers.take_large());
            task.worker.buffers.give(small);
        }
        if self.buffer.is_full() {
            // a chunk's size line that does not end: not read any further
            return Poll::Pending;
        }
        let received = from.poll_recv(cx, &mut self.buffer);
        if received.is_pending() && self.buffer.is_empty() {
            // nothing is held while nothing has come
            task.worker.buffers.give(std::mem::take(&mut self.buffer));
        }
        let n = ready!(received).map_err(FlowError::of_source)?;
        self.reads = self.reads.wrapping_add(1);
        if n == 0 && !self.body.end_of_stream() {
            return Poll::Ready(Err(FlowError::Truncated));
        }
        if matches!(self.body, Body::Pieces(_)) && (n == 0 || from.is_over()) {
            self.body.end_of_stream();
            let trailers = from.trailers();
            if !trailers.is_empty() {
                self.body = Body::Trailed(Box::new(trailers));
            }
        }
        Poll::Ready(Ok(()))
    }
}
