//! The client of the request that is explained.

use super::server::Canned;
use super::trace::{self, Trace};
use crate::plan::{ListenerPlan, Plan};
use crate::process::Process;
use crate::session::{Origin, Session, Told as OfConnection};
use crate::worker::mailbox::mailbox;
use crate::worker::{Worker, serve_timers};
use portcullis_telemetry::gate;
use portcullis_tls::connector::{self, Connector};
use portcullis_tls::settings::{Conf, GlobalTls, ServerTls, Verify};
use portcullis_tls::stream::Stream;
use portcullis_transport::{Buffer, Conn, Peer};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// The listener that the client comes by.
    pub listener: Arc<ListenerPlan>,
    /// The client's address.
    pub source: SocketAddr,
    /// The address that it connects to.
    pub destination: SocketAddr,
    /// The client speaks TLS, and names this host.
    pub tls: Option<String>,
    /// What it sends.
    pub bytes: Vec<u8>,
    /// What answers in place of servers.
    pub canned: Canned,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Told {
    /// What happened.
    pub trace: Trace,
    /// What the client got.
    pub got: Vec<u8>,
    /// The stream was not over when the time was.
    pub late: bool,
}

/// Longest that a stream may take.
const LONGEST: Duration = Duration::from_secs(60);
/// Bytes of the response that are kept.
const MOST: usize = 1 << 20;

/// Lets a worker that nobody else knows serve one request.
///
/// # Errors
/// The system's: sockets, the reactor.
pub fn ask(process: &Arc<Process>, plan: &Arc<Plan>, question: &Question) -> io::Result<Told> {
    if process.workers().is_empty() {
        process.set_workers(vec![mailbox().0]);
    }
    trace::begin(question.canned.clone());
    let worker = Rc::new(Worker::new(0, process.clone(), plan.clone()));
    let mut told = crate::worker::drive(&worker.clone(), converse(worker, question))??;
    told.trace = trace::end();
    Ok(told)
}

async fn converse(worker: Rc<Worker>, question: &Question) -> io::Result<Told> {
    serve_timers(&worker);
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    let listener = question.listener.clone();
    let now = worker.clock.now();
    let counts = (&*worker.process.counts, &*listener.proxy.front, &listener.counts);
    let admission = gate::admit(counts.0, counts.1, counts.2, now.0, Waker::noop())
        .map_err(|_| io::Error::other("the configuration's limits let no connection in"))?;
    let peer = Peer::Inet(question.source);
    let origin = Origin::Connection(admission);
    let mut session = Session::new(&worker, Conn::new(theirs), peer, now, listener.clone(), origin);
    session.told =
        Some(Box::new(OfConnection { destination: Some(question.destination), ..OfConnection::default() }));
    let mut client = Conn::new(ours);
    let mut session = tokio::task::spawn_local(crate::session::run(session));
    let mut told = Told::default();
    let mut first = proxy_header(question);
    if let Some(host) = &question.tls {
        send(&client, &std::mem::take(&mut first)).await?;
        let stream = Stream::connect(&connector()?, Some(host)).map_err(io::Error::other)?;
        client.begin_tls(stream);
        let shaken = poll_fn(|cx| {
            if let Poll::Ready(done) = client.poll_handshake(cx) {
                return Poll::Ready(done.is_ok());
            }
            // a stream that only looks at the ClientHello is over before that
            is_over(cx).map(|()| false)
        });
        if !shaken.await {
            return Ok(told);
        }
    }
    first.extend_from_slice(&question.bytes);
    send(&client, &first).await?;
    let mut sleep = pin!(tokio::time::sleep(LONGEST));
    let mut buffer = Buffer::with_capacity(16 * 1024);
    let mut ended = false;
    poll_fn(|cx| {
        ended |= !ended && pin!(&mut session).poll(cx).is_ready();
        let over = ended || is_over(cx).is_ready();
        loop {
            match client.poll_recv(cx, &mut buffer) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(_)) => {
                    if told.got.len() < MOST {
                        told.got.extend_from_slice(buffer.data());
                    }
                    buffer.clear();
                }
                Poll::Pending => break,
            }
        }
        if over {
            return Poll::Ready(());
        }
        told.late = sleep.as_mut().poll(cx).is_ready();
        if told.late { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    Ok(told)
}

/// Ready once the stream is over.
fn is_over(cx: &Context<'_>) -> Poll<()> {
    let over = trace::with(|t| {
        t.waker = Some(cx.waker().clone());
        t.over
    });
    if over.unwrap_or(true) { Poll::Ready(()) } else { Poll::Pending }
}

async fn send(client: &Conn, bytes: &[u8]) -> io::Result<()> {
    let mut at = 0;
    poll_fn(|cx| {
        while let Some(rest) = bytes.get(at..).filter(|r| !r.is_empty()) {
            match client.poll_send(cx, &[IoSlice::new(rest)], false) {
                Poll::Ready(Ok(n)) => at += n,
                // refused before everything was sent: what it was told is what counts
                Poll::Ready(Err(_)) => break,
                Poll::Pending if is_over(cx).is_ready() => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    })
    .await
}

/// What stands before everything else where the listener wants it (`accept-proxy`).
fn proxy_header(question: &Question) -> Vec<u8> {
    if !question.listener.bind.accept_proxy {
        return Vec::new();
    }
    let (from, to) = (question.source, question.destination);
    let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
    format!("PROXY {family} {} {} {} {}\r\n", from.ip(), to.ip(), from.port(), to.port()).into_bytes()
}

/// A client that trusts everybody.
fn connector() -> io::Result<Connector> {
    let conf = Conf { verify: Some(Verify::None), ..Conf::default() };
    let tls = ServerTls { conf, ..ServerTls::default() };
    connector::compile(&GlobalTls::default(), &tls).map_err(io::Error::other)
}
