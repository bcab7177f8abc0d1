//! A name server that is asked over TCP (RFC 7766): a few questions at a time on each connection, which is closed when it
//! has rested for a while.

use super::plan::{NameserverPlan, ResolversPlan, StreamPlan};
use portcullis_transport::connect::{self, Marks, Target};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout};

/// Questions on a connection that are not answered yet (manual section 5.3.2).
const PIPELINED: usize = 4;
/// How long a connection may rest.
const REST: Duration = Duration::from_secs(5);
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
    let Ok(Ok(socket)) = timeout(stream.plan.retry, connected(&stream)).await else { return };
    let mut line = Line { socket, flying: HashMap::new(), out: Vec::new(), read: Vec::new() };
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
            ready = line.socket.readable() => {
                if ready.is_err() || line.receive().is_err() {
                    return;
                }
            }
            ready = line.socket.writable(), if !line.out.is_empty() => {
                if ready.is_err() || line.send().is_err() {
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

async fn connected(stream: &Stream) -> io::Result<TcpStream> {
    let (server, how) = stream.server().ok_or(io::ErrorKind::NotFound)?;
    let target = Target::Inet { addr: server.address, mptcp: false };
    let conn = connect::start(&target, &how.connect, Marks::default())?;
    poll_fn(|cx| conn.poll_writable(cx)).await;
    conn.connected()?;
    let fd = conn.into_fd().ok_or(io::ErrorKind::Unsupported)?;
    TcpStream::from_std(std::net::TcpStream::from(fd))
}

/// What is under way on a connection.
struct Line {
    socket: TcpStream,
    flying: HashMap<u16, oneshot::Sender<Vec<u8>>>,
    out: Vec<u8>,
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

    fn send(&mut self) -> io::Result<()> {
        match self.socket.try_write(&self.out) {
            Ok(n) => {
                self.out.drain(..n);
                Ok(())
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(e) => Err(e),
        }
    }

    fn receive(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        match self.socket.try_read(&mut buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => self.read.extend_from_slice(buffer.get(..n).unwrap_or_default()),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(e) => return Err(e),
        }
        // a message has its length before it
        while let Some((message, length)) = first(&self.read) {
            let id = message.get(..2).map(|b| b.iter().fold(0, |n, b| n << 8 | u16::from(*b)));
            if let Some(tell) = id.and_then(|id| self.flying.remove(&id)) {
                // who asked may have given up
                let _ = tell.send(message.to_vec());
            }
            self.read.drain(..length);
        }
        Ok(())
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
