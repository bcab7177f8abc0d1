//! A ring that is sent to a server over a stream (manual section 12.5; framing by RFC 6587). Who is too slow holds up the
//! ring, which then drops what is new; while nobody is connected it keeps what is newest.

use crate::plan::server::{self, ServerTlsPlan};
use crate::tls::evaluated;
use crate::worker::{Task, Worker};
use portcullis_config::addr::Address;
use portcullis_config::{Diagnostics, LogProto, Model, Proxy, Server, Severity};
use portcullis_sample::{Facts, Message};
use portcullis_telemetry::ledger::Kind;
use portcullis_telemetry::log::{Reader, Ring};
use portcullis_tls::stream::Stream;
use portcullis_transport::connect::{self, ConnectOptions, Marks, Target};
use portcullis_transport::{Buffer, Conn, Millis};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::task::AbortHandle;

/// Time between attempts to connect.
const AGAIN: Duration = Duration::from_secs(1);
/// For a `log` line, which cannot say them: time to connect, and for what was written to get away.
const CONNECT: Duration = Duration::from_secs(1);
const SEND: Duration = Duration::from_secs(5);
/// Bytes that are sent in one go.
const BATCH: usize = 64 * 1024;

/// A server that gets what is in a ring.
#[derive(Debug)]
pub struct FeedPlan {
    ring: Arc<Ring>,
    target: Target,
    connect: ConnectOptions,
    socks4: Option<SocketAddr>,
    tls: Option<Box<ServerTlsPlan>>,
    proto: LogProto,
    connect_timeout: Option<Duration>,
    server_timeout: Option<Duration>,
    /// Hash of all that it is made from.
    fingerprint: u64,
}

impl FeedPlan {
    /// A `server` line of a ring or of a backend in mode log, which is called `of`.
    pub fn of_server(
        model: &Model,
        of: &str,
        s: &Server,
        ring: &Arc<Ring>,
        (connect_timeout, server_timeout): (Option<Duration>, Option<Duration>),
        diags: &mut Diagnostics,
    ) -> Option<Self> {
        let section = Proxy { name: of.to_owned(), ..Proxy::default() };
        let tls = server::tls(model, &section, s, diags);
        let way = format!("{:?} {:?} {connect_timeout:?} {server_timeout:?}", s.address, s.set);
        Some(Self {
            ring: ring.clone(),
            target: server::target(s, diags),
            connect: server::plain_connect(&s.set),
            socks4: s.set.socks4.as_ref().and_then(portcullis_transport::listen::socket_addr),
            tls,
            proto: s.set.log_proto,
            connect_timeout,
            server_timeout,
            fingerprint: portcullis_sample::convert::hash::xxh64(0, way.as_bytes()),
        })
    }

    /// The stream address of a `log` line.
    pub fn of_address(address: &Address, ring: &Arc<Ring>) -> Option<Self> {
        Some(Self {
            ring: ring.clone(),
            target: server::target_of(address)?,
            connect: ConnectOptions::default(),
            socks4: None,
            tls: None,
            proto: LogProto::Legacy,
            connect_timeout: Some(CONNECT),
            server_timeout: Some(SEND),
            fingerprint: portcullis_sample::convert::hash::xxh64(0, format!("{address:?}").as_bytes()),
        })
    }

    /// What is the same in every plan.
    fn identity(&self) -> (usize, u64) {
        (Arc::as_ptr(&self.ring) as usize, self.fingerprint)
    }
}

/// A log server has no client whose address it could be told.
pub(super) fn unproxied(s: &Server, diags: &mut Diagnostics) {
    if s.set.send_proxy || s.set.send_proxy_v2 {
        let text = "'send-proxy*' server option is unsupported there, ignoring it";
        diags.add(Severity::Warning, Some(s.place), text.to_owned());
    }
}

/// The feeds of a worker at work.
#[derive(Default)]
pub struct Feeds(Vec<(Arc<FeedPlan>, AbortHandle)>);

/// Goes on with the feeds of the worker's plan that are its own: those that are known already as they are.
pub fn begin(worker: &Rc<Worker>) {
    let mut feeds = worker.feeds.borrow_mut();
    let workers = worker.process.load.len().max(1);
    let plan = worker.plan();
    let own = plan.feeds.iter().enumerate().filter(|(at, _)| at % workers == usize::from(worker.id));
    let mut before = std::mem::take(&mut feeds.0);
    for (_, feed) in own {
        let known = before.iter().position(|(old, _)| old.identity() == feed.identity());
        let running = match known {
            Some(at) => before.swap_remove(at),
            None => {
                let task =
                    crate::worker::spawn(worker, Kind::Feed, None, serve(worker.clone(), feed.clone()));
                (feed.clone(), task.abort_handle())
            }
        };
        feeds.0.push(running);
    }
    before.into_iter().for_each(|(_, task)| task.abort());
}

async fn serve(worker: Rc<Worker>, feed: Arc<FeedPlan>) {
    let task = Task::service(&worker);
    let mut place = 0;
    loop {
        task.deadline(worker.clock.now().after_or_never(feed.connect_timeout));
        if let Ok(conn) = connected(&task, &feed).await {
            let mut line = Line::new(&feed, conn, place);
            poll_fn(|cx| line.poll(&task, &feed, cx)).await;
            place = line.reader.place();
        }
        task.deadline(worker.clock.now().after(Some(AGAIN)));
        poll_fn(|cx| if task.poll_woken(cx).is_some() { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

/// Waits until the task's deadline.
async fn within<T>(task: &Task, mut ready: impl FnMut(&mut Context<'_>) -> Poll<T>) -> io::Result<T> {
    poll_fn(|cx| match (ready(cx), task.poll_woken(cx)) {
        (Poll::Ready(t), _) => Poll::Ready(Ok(t)),
        (Poll::Pending, Some(_)) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
        (Poll::Pending, None) => Poll::Pending,
    })
    .await
}

async fn connected(task: &Task, feed: &FeedPlan) -> io::Result<Conn> {
    let (target, beyond) = crate::socks::way(feed.socks4, feed.target.clone());
    let mut conn = connect::start(&target, &feed.connect, Marks::default())?;
    within(task, |cx| conn.poll_writable(cx)).await?;
    conn.connected()?;
    if let Some(to) = beyond {
        let mut talk = crate::socks::Talk::new(to)?;
        within(task, |cx| talk.poll(&conn, cx)).await??;
    }
    if let Some(tls) = &feed.tls {
        let facts = Facts::new();
        let name = tls.sni.as_ref().and_then(|sni| evaluated(sni, &facts, Message::None, &task.worker));
        let stream = Stream::connect(&tls.connector, name.as_deref()).map_err(|_| io::ErrorKind::Other)?;
        conn.begin_tls(stream);
        within(task, |cx| conn.poll_handshake(cx)).await?.map_err(|_| io::ErrorKind::InvalidData)?;
    }
    Ok(conn)
}

/// A connection, and what is on its way over it.
struct Line {
    conn: Conn,
    reader: Reader,
    /// Where to read on.
    next: u64,
    out: Vec<u8>,
    /// Bytes of `out` that are away.
    sent: usize,
    /// Where messages end in `out`, and their places behind them in the ring.
    ends: VecDeque<(usize, u64)>,
    heard: Buffer,
}

impl Line {
    fn new(feed: &FeedPlan, conn: Conn, place: u64) -> Self {
        let reader = feed.ring.attach(place);
        let next = reader.place();
        let heard = Buffer::with_capacity(512);
        Self { conn, reader, next, out: Vec::new(), sent: 0, ends: VecDeque::new(), heard }
    }

    /// Sends what there is and will be; ready when the connection is of no use any more.
    fn poll(&mut self, task: &Task, feed: &FeedPlan, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            // nothing is expected; what comes is not looked at
            match self.conn.poll_recv(cx, &mut self.heard) {
                Poll::Ready(Ok(n)) if n > 0 => {
                    self.heard.clear();
                    continue;
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => {}
            }
            if self.out.is_empty() {
                task.deadline(Millis::NEVER);
                if feed.ring.wait(self.next, cx.waker()) {
                    return Poll::Pending;
                }
                self.fill(feed);
                task.deadline(task.worker.clock.now().after_or_never(feed.server_timeout));
            }
            let rest = self.out.get(self.sent..).unwrap_or_default();
            match self.conn.poll_send(cx, &[IoSlice::new(rest)], false) {
                Poll::Ready(Ok(n)) => {
                    self.advance(n);
                    task.deadline(task.worker.clock.now().after_or_never(feed.server_timeout));
                }
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => match task.poll_woken(cx) {
                    Some(_) => return Poll::Ready(()),
                    None => return Poll::Pending,
                },
            }
        }
    }

    /// Takes messages from the ring.
    fn fill(&mut self, feed: &FeedPlan) {
        let (out, ends) = (&mut self.out, &mut self.ends);
        let mut place = self.next;
        self.next = feed.ring.visit(place, |parts| {
            let length: usize = parts.iter().map(|p| p.len()).sum();
            if feed.proto == LogProto::OctetCount {
                out.extend_from_slice(format!("{length} ").as_bytes());
            }
            parts.iter().for_each(|part| out.extend_from_slice(part));
            if feed.proto == LogProto::Legacy {
                out.push(b'\n');
            }
            place = Ring::behind(place, length);
            ends.push_back((out.len(), place));
            out.len() < BATCH
        });
    }

    /// So many bytes more are away.
    fn advance(&mut self, bytes: usize) {
        self.sent += bytes;
        let mut place = None;
        while self.ends.front().is_some_and(|(end, _)| *end <= self.sent) {
            place = self.ends.pop_front().map(|(_, place)| place);
        }
        if let Some(place) = place {
            self.reader.advance(place);
        }
        if self.sent >= self.out.len() {
            self.out.clear();
            self.sent = 0;
        }
    }
}
