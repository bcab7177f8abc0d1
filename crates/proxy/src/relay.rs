//! Bytes both ways between two connections until both directions have ended: TCP mode, and HTTP tunnels.

use crate::filter::Gate;
use crate::outcome::Tally;
use crate::worker::story::Story;
use crate::worker::{Task, Woken};
use portcullis_transport::splice::Pipe;
use portcullis_transport::{Buffer, Conn, Millis};
use std::future::poll_fn;
use std::io::IoSlice;
use std::task::{Context, Poll};
use std::time::Duration;

/// A read of at least this much is worth a pipe (when splicing is allowed).
const WORTH_SPLICING: usize = 16 * 1024;

/// The timeouts of a relay.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timeouts {
    /// Inactivity on the client's side.
    pub client: Option<Duration>,
    /// Inactivity on the server's side.
    pub server: Option<Duration>,
    /// On the client's side once one direction has ended.
    pub client_fin: Option<Duration>,
    /// On the server's side once one direction has ended.
    pub server_fin: Option<Duration>,
    /// Replaces both while both directions are open.
    pub tunnel: Option<Duration>,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Both directions were closed in order.
    Closed,
    /// The client's connection broke.
    ClientBroke,
    /// The server's connection broke.
    ServerBroke,
    /// The client was silent for too long.
    ClientLate,
    /// The server was silent for too long.
    ServerLate,
    /// A filter ended it.
    Filtered,
    /// `tcp-response content` rules ended it.
    Ruled(Ruling),
    /// Ended from outside.
    Aborted(crate::worker::slots::Abort),
}

/// What ends a stream whose response is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// `reject`, `silent-drop`
    Reject,
    /// `close`
    Close,
}

/// What has been read of a direction and has not gone on yet.
pub struct Seen<'b> {
    /// The bytes.
    pub bytes: &'b [u8],
    /// There will be no more, or no more fits.
    pub all: bool,
}

/// Looks at the first bytes of a direction before they go on.
pub trait Inspect {
    /// Ready when they may go on, with nothing to look at any more; pending: with more bytes, or after a while.
    ///
    /// # Errors
    /// When the stream is to end.
    fn poll(&mut self, cx: &mut Context<'_>, seen: Seen<'_>) -> Poll<Result<(), Ruling>>;
}

/// One direction.
pub struct Lane<'r> {
    /// Who looks at what comes first, until that one has decided.
    pub inspect: Option<Box<dyn Inspect + 'r>>,
    buffer: Option<Buffer>,
    pipe: Option<Pipe>,
    may_splice: bool,
    gate: Option<Box<Gate>>,
    /// Bytes at the front of the buffer that the gate let pass.
    open: usize,
    ended: bool,
    closed: bool,
    /// `option nolinger` of the side it writes to.
    pub nolinger: bool,
    /// Its end is not passed on: closing the receiver's connection will reset it.
    cut: bool,
    /// It was over while the other direction was not.
    pub first: bool,
    reads: u32,
    writes: u32,
    /// Bytes that were written to the receiver.
    pub bytes: u64,
}

/// Which end of a direction failed.
enum Broken {
    Source,
    Sink,
    Filtered,
    Ruled(Ruling),
}

impl Lane<'_> {
    /// `first`: bytes that were read already. What has a gate is not spliced.
    #[must_use]
    pub fn new(first: Option<Buffer>, may_splice: bool, gate: Option<Box<Gate>>) -> Self {
        Self {
            inspect: None,
            buffer: first,
            pipe: None,
            may_splice: may_splice && gate.is_none(),
            gate,
            open: 0,
            ended: false,
            closed: false,
            nolinger: false,
            cut: false,
            first: false,
            reads: 0,
            writes: 0,
            bytes: 0,
        }
    }

    /// Moves what can be moved. Ready when the end has been passed on.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        task: &Task,
        from: &Conn,
        to: &Conn,
    ) -> Poll<Result<(), Broken>> {
        if self.inspect.is_some() {
            match self.inspect(cx, task, from) {
                Poll::Ready(Ok(())) => self.inspect = None,
                other => return other,
            }
        }
        while !self.closed {
            let written = if let Some(b) = self.buffer.as_mut().filter(|b| !b.is_empty()) {
                let mut len = b.len();
                if let Some(gate) = &mut self.gate {
                    if self.open == 0 {
                        match gate.poll(cx, b.data()) {
                            Poll::Ready(Ok(n)) => self.open = n,
                            Poll::Ready(Err(_)) => return Poll::Ready(Err(Broken::Filtered)),
                            Poll::Pending => return Poll::Pending,
                        }
                    }
                    len = self.open;
                }
                to.poll_send(cx, &[IoSlice::new(&b.data()[..len])], false).map_ok(|n| {
                    b.consume(n);
                    self.open = self.open.saturating_sub(n);
                    n
                })
            } else if let Some(p) = self.pipe.as_mut().filter(|p| p.held() > 0) {
                p.poll_drain(cx, to, false)
            } else if self.ended {
                if !self.cut {
                    to.finish();
                }
                self.closed = true;
                if let Some(gate) = &mut self.gate {
                    gate.end();
                }
                break;
            } else {
                match self.read(cx, task, from, to) {
                    Poll::Pending => break,
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(Broken::Source)),
                    Poll::Ready(Ok(0)) => self.ended = true,
                    Poll::Ready(Ok(_)) => self.reads = self.reads.wrapping_add(1),
                }
                continue;
            };
            match written {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Broken::Sink)),
                Poll::Ready(Ok(n)) => {
                    self.bytes += n as u64;
                    self.writes = self.writes.wrapping_add(1);
                }
            }
        }
        self.release(task);
        if self.closed { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Reads, and shows what there is, until it is decided.
    fn inspect(&mut self, cx: &mut Context<'_>, task: &Task, from: &Conn) -> Poll<Result<(), Broken>> {
        loop {
            let Some(inspect) = &mut self.inspect else { return Poll::Ready(Ok(())) };
            let (bytes, full) = self.buffer.as_ref().map_or((&[][..], false), |b| (b.data(), b.is_full()));
            match inspect.poll(cx, Seen { bytes, all: self.ended || full }) {
                Poll::Ready(ruling) => return Poll::Ready(ruling.map_err(Broken::Ruled)),
                // only the inspector's timer is left to wait for
                Poll::Pending if self.ended || full => return Poll::Pending,
                Poll::Pending => {}
            }
            match std::task::ready!(
                from.poll_recv(cx, self.buffer.get_or_insert_with(|| task.worker.buffers.take()))
            ) {
                Err(_) => return Poll::Ready(Err(Broken::Source)),
                Ok(0) => self.ended = true,
                Ok(_) => self.reads = self.reads.wrapping_add(1),
            }
        }
    }

    /// Bytes that were read and did not go on.
    #[must_use]
    pub fn held(&self) -> usize {
        self.buffer.as_ref().map_or(0, Buffer::len)
    }

    /// The stream ends before it was decided: what has come goes on, as far as it can at once.
    pub fn let_go(&mut self, to: &Conn) {
        let undecided = self.inspect.take().is_some();
        let Some(b) = self.buffer.as_mut().filter(|b| undecided && !b.is_empty()) else { return };
        let mut cx = Context::from_waker(std::task::Waker::noop());
        if let Poll::Ready(Ok(n)) = to.poll_send(&mut cx, &[IoSlice::new(b.data())], false) {
            b.consume(n);
            self.bytes += n as u64;
        }
    }

    fn read(
        &mut self,
        cx: &mut Context<'_>,
        task: &Task,
        from: &Conn,
        to: &Conn,
    ) -> Poll<std::io::Result<usize>> {
        if let Some(pipe) = &mut self.pipe {
            return pipe.poll_fill(cx, from, 1 << 30);
        }
        if from.poll_readable(cx).is_pending() {
            return Poll::Pending;
        }
        let buffer = self.buffer.get_or_insert_with(|| task.worker.buffers.take());
        let got = from.poll_recv(cx, buffer);
        if matches!(got, Poll::Ready(Ok(n)) if n >= WORTH_SPLICING.min(buffer.capacity())) {
            self.expect_bulk(task, to);
        }
        got
    }

    /// Much comes: the next reads go through a pipe, or into a larger buffer.
    fn expect_bulk(&mut self, task: &Task, to: &Conn) {
        if self.may_splice && to.takes_pages() {
            self.pipe = task.worker.pipes.take();
            if self.pipe.is_some() {
                return;
            }
        }
        if let Some(b) = self.buffer.as_mut().filter(|b| b.capacity() <= task.worker.buffers.size()) {
            let mut large = task.worker.buffers.take_large();
            large.extend(b.data());
            task.worker.buffers.give(std::mem::replace(b, large));
        }
    }

    /// An idle direction holds neither buffer nor pipe.
    fn release(&mut self, task: &Task) {
        if self.buffer.as_ref().is_some_and(Buffer::is_empty)
            && let Some(b) = self.buffer.take()
        {
            task.worker.buffers.give(b);
        }
        if self.pipe.as_ref().is_some_and(|p| p.held() == 0)
            && let Some(p) = self.pipe.take()
        {
            task.worker.pipes.give(p);
        }
    }

    /// Has its sender ended?
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Bytes wait for its receiver.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.held() > 0 || self.pipe.as_ref().is_some_and(|p| p.held() > 0)
    }

    /// Gives everything back, also what still holds bytes.
    pub fn discard(mut self, task: &Task) {
        if let Some(b) = self.buffer.take() {
            task.worker.buffers.give(b);
        }
        if let Some(p) = self.pipe.take() {
            task.worker.pipes.give(p);
        }
    }
}

/// May what comes from the client be spliced to the server, and the other way round? From sockets without TLS, to those or to
/// ones whose records the kernel makes.
#[must_use]
pub fn splices(client: &Conn, server: &Conn) -> (bool, bool) {
    (client.gives_pages() && server.may_take_pages(), server.gives_pages() && client.may_take_pages())
}

/// When a side is late.
fn due(awaited: bool, at: Millis) -> Millis {
    if awaited { at } else { Millis::NEVER }
}

/// Relays until both directions have ended, one side breaks, or a timeout strikes. `independent`, of the client's side and the
/// server's: what goes to it does not count as its activity (`option independent-streams`). Only a side that something is awaited of can be late: one
/// that has ended is not, unless bytes wait for it. With `option nolinger` a client that has ended is reset as its server ends,
/// and a server as its client ends, whatever it still has to say.
pub async fn relay(
    task: &Task,
    (client, up): (&Conn, &mut Lane<'_>),
    (server, down): (&Conn, &mut Lane<'_>),
    timeouts: &Timeouts,
    independent: (bool, bool),
    mut tally: Option<Box<Tally>>,
) -> End {
    let mut client_due = Millis(0);
    let mut server_due = Millis(0);
    let mut awaited = (true, true);
    let mut first = true;
    let mut over = End::Closed;
    poll_fn(|cx| {
        let before = (up.reads, up.writes, down.reads, down.writes, up.closed, down.closed);
        up.cut = up.nolinger && !down.closed && server.stream().is_none();
        down.cut = down.nolinger && up.closed && client.stream().is_none();
        for (polled, broken) in [
            (up.poll(cx, task, client, server), [End::ClientBroke, End::ServerBroke]),
            (down.poll(cx, task, server, client), [End::ServerBroke, End::ClientBroke]),
        ] {
            match polled {
                Poll::Ready(Err(Broken::Source)) => return Poll::Ready(broken[0]),
                Poll::Ready(Err(Broken::Sink)) => return Poll::Ready(broken[1]),
                Poll::Ready(Err(Broken::Filtered)) => return Poll::Ready(End::Filtered),
                Poll::Ready(Err(Broken::Ruled(ruling))) => return Poll::Ready(End::Ruled(ruling)),
                _ => {}
            }
        }
        if up.closed && (down.closed || up.cut) {
            return Poll::Ready(over);
        }
        if let Some(tally) = &mut tally {
            tally.see(&task.worker, up.bytes, down.bytes);
        }
        let half = up.closed || down.closed;
        let gated = [&*up, &*down].iter().any(|lane| lane.gate.as_ref().is_some_and(|g| g.is_closed()));
        let turned = first || gated || half != (before.4 || before.5);
        if turned && half {
            down.first |= !up.closed;
        }
        // what is not read because its receiver takes nothing is not late
        let now_awaited = (
            (!up.ended && !up.is_pending()) || down.is_pending(),
            (!down.ended && !down.is_pending()) || up.is_pending(),
        );
        let client_active = turned
            || (now_awaited.0 && !awaited.0)
            || up.reads != before.0
            || (down.writes != before.3 && !independent.0)
            || (half && down.writes != before.3);
        let server_active = turned
            || (now_awaited.1 && !awaited.1)
            || down.reads != before.2
            || (up.writes != before.1 && !independent.1)
            || (half && up.writes != before.1);
        if client_active || server_active || now_awaited != awaited {
            first = false;
            awaited = now_awaited;
            let now = task.worker.clock.now();
            let tunnel = timeouts.tunnel;
            let of = |normal: Option<Duration>, fin: Option<Duration>| match half {
                true => fin.or(tunnel).or(normal),
                false => tunnel.or(normal),
            };
            if client_active {
                client_due = now.after(of(timeouts.client, timeouts.client_fin));
            }
            if server_active {
                server_due = now.after(of(timeouts.server, timeouts.server_fin));
            }
            task.deadline(due(awaited.0, client_due).min(due(awaited.1, server_due)));
        }
        if task.is_asked() {
            let sides = [due(awaited.0, client_due), due(awaited.1, server_due)];
            task.tell(Story { sides, bytes: [up.bytes, down.bytes], ..Story::between(client, server) });
        }
        let client_first = due(awaited.0, client_due) <= due(awaited.1, server_due);
        let (end, apart) = match task.poll_woken(cx) {
            None => return Poll::Pending,
            Some(Woken::Aborted(why)) => return Poll::Ready(End::Aborted(why)),
            Some(Woken::Late) if client_first => (End::ClientLate, independent.0),
            Some(Woken::Late) => (End::ServerLate, independent.1),
        };
        let held = [&*up, &*down].iter().any(|lane| lane.is_pending() || lane.inspect.is_some());
        if !apart || half || held {
            return Poll::Ready(if over == End::Closed { end } else { over });
        }
        // what it was to send is over; what is sent to it goes on
        match end {
            End::ClientLate => up.ended = true,
            _ => down.ended = true,
        }
        over = end;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}
