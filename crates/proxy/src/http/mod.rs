//! HTTP from a client: requests one after the other over HTTP/1, or each in a stream ([`crate::h2`]); each an [`exchange`].

pub mod answer;
mod answering;
pub mod body;
pub mod checkcache;
pub mod client;
mod cookies;
pub mod drain;
pub mod exchange;
pub mod filters;
pub mod flow;
pub mod headers;
pub mod request;
pub mod stages;
pub mod transfer;

use crate::session::Session;
use portcullis_config::{Opts, Proto};
use portcullis_message::Head;
use portcullis_sample::RequestLine;
use portcullis_transport::Buffer;
use rustix::net::RecvFlags;
use std::cell::Cell;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

/// What an exchange works with; reused, so that a request allocates nothing.
#[derive(Default)]
pub struct Scratch {
    /// The request's head.
    pub request: Head,
    /// The response's head.
    pub response: Head,
    /// The request line as received, for the log.
    pub line: RequestLine,
    /// Bytes of heads to be written.
    pub out: Vec<u8>,
    /// Payload of a request's chunks, while rules look at it.
    pub body: Vec<u8>,
    _made: Made,
}

thread_local! {
    /// How many of them this thread has made and not dropped.
    static MADE: Cell<u64> = const { Cell::new(0) };
}

/// One more, until it is dropped.
struct Made;

impl Default for Made {
    fn default() -> Self {
        MADE.set(MADE.get().wrapping_add(1));
        Self
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // a thread that ends counts no more
        let _ = MADE.try_with(|m| m.set(m.get().wrapping_sub(1)));
    }
}

impl Scratch {
    /// How many this worker has.
    #[must_use]
    pub fn made() -> u64 {
        MADE.get()
    }
}

/// What follows an exchange.
pub enum After {
    /// The connection stays; bytes of the next request may be here already.
    Keep(Option<Buffer>),
    /// The connection ends.
    Close,
    /// It speaks HTTP/2, as these bytes have begun to.
    Http2(Buffer),
}

/// What follows requests that came one behind the other.
enum Then {
    Wait,
    End,
    Http2(Box<Buffer>),
}

/// Serves a client's connection until it ends. Between requests it holds no buffer and nothing of a request.
#[expect(clippy::manual_async_fn, reason = "a future of a function holds its arguments twice")]
pub fn serve(session: &mut Session, first: Option<Box<Buffer>>) -> impl Future<Output = ()> {
    async move {
        if speaks_http2(session) {
            let front = &session.listener.proxy.front;
            front.counters.of(session.worker().id.into()).h2_sess.inc();
            return Box::pin(crate::h2::serve(session, first)).await;
        }
        let mut then = Box::pin(requests(session, first.map(|b| *b))).await;
        loop {
            match then {
                Then::Wait if wait_for_request(session).await => {}
                Then::Http2(first) => {
                    // what was no request of HTTP/1 does not count
                    session.requests = 0;
                    return Box::pin(crate::h2::serve(session, Some(first))).await;
                }
                _ => return,
            }
            then = Box::pin(requests(session, None)).await;
        }
    }
}

/// Does the connection speak HTTP/2 from its first byte on: `proto h2`, or ALPN?
fn speaks_http2(session: &Session) -> bool {
    match session.listener.bind.proto {
        _ if session.listener.reversed.is_some() => true,
        Some(proto) => proto == Proto::H2,
        None => {
            session.listener.tls.is_some()
                && session.conn.tls_info().is_some_and(|i| i.alpn.as_deref() == Some(b"h2"))
        }
    }
}

/// Serves requests as long as bytes of the next one are here already.
async fn requests(session: &mut Session, mut rest: Option<Buffer>) -> Then {
    session.task.worker.slots.set_idle(session.task.slot, false);
    loop {
        match exchange::exchange(session, rest.take()).await {
            After::Keep(more) => rest = more,
            After::Close => return Then::End,
            After::Http2(first) => return Then::Http2(Box::new(first)),
        }
        let slots = &session.task.worker.slots;
        slots.set_idle(session.task.slot, rest.is_none());
        slots.set_stream(session.task.slot, None);
        session.idle_since = session.task.worker.clock.now();
        if rest.is_none() {
            return Then::Wait;
        }
    }
}

/// Waits for the first byte of a request. False: the connection ends without one.
///
/// The first request of a connection is begun at once: what comes of it (408, 400, nothing) is the exchange's matter.
async fn wait_for_request(session: &mut Session) -> bool {
    if session.requests == 0 {
        return true;
    }
    loop {
        match next_request(session).await {
            Waited::Request => return true,
            Waited::End => {
                if session.listener.proxy.has(Opts::NOLINGER) && session.conn.is_over() {
                    session.conn.reset_on_close();
                }
                return false;
            }
            Waited::Leave => {
                Box::pin(part(session)).await;
                return false;
            }
            Waited::NewPlan => session.renew(),
        }
    }
}

/// What came of waiting for a request.
enum Waited {
    Request,
    End,
    /// Nobody shall be served any more: the process is leaving, or the listener is gone.
    Leave,
    /// There is a newer plan than the session's.
    NewPlan,
}

async fn next_request(session: &Session) -> Waited {
    let front = &session.listener.proxy;
    let t = &front.timeouts;
    let timeout = t.http_keep_alive.or(t.http_request).or(t.client);
    let idle_close = !front.has(Opts::IDLE_CLOSE_ON_RESPONSE);
    let task = &session.task;
    task.deadline(session.idle_since.after(timeout));
    let conn = &session.conn;
    let (mut leaves, mut queued) = (false, false);
    poll_fn(|cx| {
        if conn.poll_readable(cx).is_ready() {
            return match task.worker.turn.start(&mut queued, cx.waker()) {
                true => Poll::Ready(Waited::Request),
                false => Poll::Pending,
            };
        }
        // a soft stop: the connection ends at a moment of `close-spread-time`, unless it ends earlier anyhow
        if idle_close
            && !leaves
            && let Some(at) = task.worker.process.idle_end(&task.worker.random)
        {
            leaves = true;
            task.deadline(at.min(session.idle_since.after(timeout)));
        }
        if task.poll_woken(cx).is_some() {
            return Poll::Ready(if leaves { Waited::Leave } else { Waited::End });
        }
        if session.listener.is_gone() {
            return Poll::Ready(Waited::Leave);
        }
        if session.is_outdated() {
            return Poll::Ready(Waited::NewPlan);
        }
        Poll::Pending
    })
    .await
}

/// How long a client is waited for that may have sent a request at the very moment when its connection was closed.
const PARTING: Duration = Duration::from_secs(1);

/// Ends an idle connection so that a request that is on its way finds an end, which tells the client to send it again (RFC 9112,
/// section 9.3.1), and no reset.
async fn part(session: &Session) {
    let task = &session.task;
    session.conn.finish();
    task.deadline(task.worker.clock.now().after(Some(PARTING)));
    let mut scrap = [0; 512];
    poll_fn(|cx| {
        loop {
            let got =
                session.conn.poll_read_with(cx, |fd| rustix::net::recv(fd, &mut scrap[..], RecvFlags::TRUNC));
            match got {
                Poll::Ready(Ok((_, 1..))) => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending if task.poll_woken(cx).is_some() => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await;
}
