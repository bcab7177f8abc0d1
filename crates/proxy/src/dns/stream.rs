//! A name server that is asked over TCP (RFC 7766): a few questions at a time on each connection, which is closed when it
//! has rested for a while.

use super::plan::{NameserverPlan, ResolversPlan, StreamPlan};
use portcullis_tls::stream::Stream as TlsStream;
use portcullis_transport::connect::{self, Marks};
use portcullis_transport::{Buffer, Conn};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout};

/// Questions on a connection that are not answered yet (manual section 5.3.2).
const PIPELINED: usize = 4;
/// How long a connection may rest.
const REST: Duration = Duration::from_secs(5);
/// Bytes that are read at once.
const ROOM: usize = 4096;
/// Questions that wait for a connection; more are refused.
const MOST_WAITING: usize = 4096;

struct Waiting {
    id: u16,
    bytes: Vec<u8>,
    tell: oneshot::Sender<Vec<u8>>,
}

/// A name server.
pub struct Stream {
    plan: Arc<ResolversPlan>,
    at: usize,
    waiting: RefCell<VecDeque<Waiting>>,
    /// Connections, and those of them that could take a question.
    open: Cell<u32>,
    free: Cell<u32>,
    news: Notify,
}

impl Stream {
    /// The name servers of a section that are asked so.
    pub fn all(plan: &Arc<ResolversPlan>) -> Vec<Option<Rc<Self>>> {
        let one = |(at, n): (usize, &NameserverPlan)| {
            n.stream.as_ref().map(|_| {
                Rc::new(Self {
                    plan: plan.clone(),
                    at,
                    waiting: RefCell::default(),
                    open: Cell::new(0),
                    free: Cell::new(0),
                    news: Notify::new(),
                })
            })
        };
        plan.nameservers.iter().enumerate().map(one).collect()
    }

    fn server(&self) -> Option<(&NameserverPlan, &StreamPlan)> {
        let server = self.plan.nameservers.get(self.at)?;
        Some((server, server.stream.as_ref()?))
    }

    /// Sends a question on some connection; the answer comes by the channel, which is closed if the connection breaks.
    pub fn ask(self: &Rc<Self>, id: u16, bytes: &[u8]) -> Option<oneshot::Receiver<Vec<u8>>> {
        let (tell, answer) = oneshot::channel();
        let mut waiting = self.waiting.borrow_mut();
        waiting.retain(|w| !w.tell.is_closed());
        if waiting.len() >= MOST_WAITING {
            return None;
        }
        waiting.push_back(Waiting { id, bytes: bytes.to_vec(), tell });
        drop(waiting);
        let most = self.server().map_or(0, |(_, s)| s.maxconn);
        if self.free.get() == 0 && self.open.get() < most {
            self.open.set(self.open.get() + 1);
            tokio::task::spawn_local(serve(self.clone()));
        } else {
            self.news.notify_one();
        }
        Some(answer)
    }
}

/// One connection less, however it ends.
struct Open(Rc<Stream>, bool);

impl Open {
    /// Can it take a question?
    fn free(&mut self, free: bool) {
        if self.1 != free {
            self.1 = free;
            let n = self.0.free.get();
            self.0.free.set(if free { n + 1 } else { n.saturating_sub(1) });
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.free(false);
        self.0.open.set(self.0.open.get().saturating_sub(1));
    }
}

/// A connection, from its beginning to its end.
async fn serve(stream: Rc<Stream>) {
    let mut open = Open(stream.clone(), false);
    let Ok(Ok(conn)) = timeout(stream.plan.retry, connected(&stream)).await else { return };
    let buffer = Buffer::with_capacity(ROOM);
    let mut line = Line { conn, flying: HashMap::new(), out: Vec::new(), buffer, read: Vec::new() };
    let mut rests_since = Instant::now();
    loop {
        line.flying.retain(|_, tell| !tell.is_closed());
        line.take(&stream);
        open.free(line.flying.len() < PIPELINED);
        if !line.flying.is_empty() || !line.out.is_empty() {
            rests_since = Instant::now();
        }
        tokio::select! {
            biased;
            went = poll_fn(|cx| line.poll(cx)) => {
                if went.is_err() {
                    return;
                }
            }
            () = stream.news.notified() => {}
            () = tokio::time::sleep_until(rests_since + REST) => {
                if line.flying.is_empty() {
                    return;
                }
                rests_since = Instant::now();
            }
        }
    }
}

async fn connected(stream: &Stream) -> io::Result<Conn> {
    let (server, how) = stream.server().ok_or(io::ErrorKind::NotFound)?;
    let mut conn = connect::start(&server.target, &how.connect, Marks::default())?;
    poll_fn(|cx| conn.poll_writable(cx)).await;
    conn.connected()?;
    if let Some((connector, name)) = &how.tls {
        conn.begin_tls(TlsStream::connect(connector, name.as_deref()).map_err(io::Error::other)?);
        let shaken = poll_fn(|cx| conn.poll_handshake(cx)).await;
        shaken.map_err(|_| io::ErrorKind::ConnectionAborted)?;
    }
    Ok(conn)
}

/// What is under way on a connection.
struct Line {
    conn: Conn,
    flying: HashMap<u16, oneshot::Sender<Vec<u8>>>,
    out: Vec<u8>,
    buffer: Buffer,
    read: Vec<u8>,
}

impl Line {
    /// Takes questions that wait, as many as may be under way.
    fn take(&mut self, stream: &Stream) {
        let mut waiting = stream.waiting.borrow_mut();
        while self.flying.len() < PIPELINED {
            let Some(next) = waiting.front() else { return };
            if self.flying.contains_key(&next.id) {
                return;
            }
            let Some(next) = waiting.pop_front() else { return };
            let Ok(length) = u16::try_from(next.bytes.len()) else { continue };
            self.out.extend_from_slice(&length.to_be_bytes());
            self.out.extend_from_slice(&next.bytes);
            self.flying.insert(next.id, next.tell);
        }
    }

    /// Sends what waits, and takes what comes; ready when something came.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            match self.conn.poll_send(cx, &[IoSlice::new(&self.out)], false)? {
                Poll::Ready(n) => drop(self.out.drain(..n)),
                Poll::Pending => break,
            }
        }
        if ready!(self.conn.poll_recv(cx, &mut self.buffer))? == 0 {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        self.read.extend_from_slice(self.buffer.data());
        self.buffer.clear();
        self.answer();
        Poll::Ready(Ok(()))
    }

    /// Gives each message to who waits for it.
    fn answer(&mut self) {
        // a message has its length before it
        while let Some((message, length)) = first(&self.read) {
            let id = message.get(..2).map(|b| b.iter().fold(0, |n, b| n << 8 | u16::from(*b)));
            if let Some(tell) = id.and_then(|id| self.flying.remove(&id)) {
                // who asked may have given up
                let _ = tell.send(message.to_vec());
            }
            self.read.drain(..length);
        }
    }
}

/// The first message, and how many bytes it takes.
fn first(read: &[u8]) -> Option<(&[u8], usize)> {
    let length = read.get(..2)?.iter().fold(0, |n, b| n << 8 | usize::from(*b));
    Some((read.get(2..2 + length)?, 2 + length))
}

#[cfg(test)]
mod tests {
    #[test]
    fn messages_in_a_stream() {
        assert_eq!(super::first(b"\0\x02ab\0\x01c"), Some((&b"ab"[..], 4)));
        assert_eq!(super::first(b"\0\x02a"), None);
        assert_eq!(super::first(b"\0"), None);
        assert_eq!(super::first(b"\0\0x"), Some((&b""[..], 2)));
    }
}
