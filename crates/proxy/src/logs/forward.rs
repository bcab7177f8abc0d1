//! `log-forward` sections: messages that come in go on to log targets (manual section 12.6).

use crate::accept::Listening;
use crate::plan::ProxyPlan;
use crate::session::Session;
use crate::worker::Worker;
use portcullis_config::addr::{Host, Transport};
use portcullis_telemetry::log::Message;
use portcullis_transport::Buffer;
use portcullis_wire::syslog::{self, Framed};
use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::io::ReadBuf;

/// Longest message that comes as a datagram.
const DATAGRAM: usize = 65_535;
/// Bytes of messages that are taken before others have their turn: those who send on what waits in a ring, which may hold no more
/// than 16 KiB.
const AT_ONCE: usize = 4096;

/// A socket that takes datagrams.
enum Datagrams {
    Udp(tokio::net::UdpSocket),
    Unix(tokio::net::UnixDatagram),
}

impl Datagrams {
    fn of(fd: OwnedFd, host: &Host) -> io::Result<Self> {
        Ok(match host {
            Host::V4(_) | Host::V6(_) => Self::Udp(tokio::net::UdpSocket::from_std(fd.into())?),
            _ => Self::Unix(tokio::net::UnixDatagram::from_std(fd.into())?),
        })
    }
    /// One, and whence it came if that has an address.
    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<Option<SocketAddr>>> {
        match self {
            Self::Udp(socket) => socket.poll_recv_from(cx, into).map_ok(Some),
            Self::Unix(socket) => socket.poll_recv_from(cx, into).map_ok(|_| None),
        }
    }
}

/// Does it take datagrams?
#[must_use]
pub fn is_datagram(listening: &Listening) -> bool {
    listening.listener.bind.address.transport == Transport::Datagram
}

/// Takes datagrams until another plan's task does.
pub async fn receive(worker: Rc<Worker>, listening: Listening, retired: Rc<Cell<bool>>) {
    let Listening { fd, listener, .. } = listening;
    let Ok(socket) = Datagrams::of(fd, &listener.bind.address.host) else { return };
    let timer = crate::worker::Task::service(&worker);
    let mut bytes = vec![0; DATAGRAM];
    let mut taken = 0;
    while !retired.get() {
        let got = poll_fn(|cx| {
            let mut into = ReadBuf::new(&mut bytes);
            // woken by whoever retires it
            let _ = timer.poll_woken(cx);
            match socket.poll_recv(cx, &mut into) {
                Poll::Pending if retired.get() => Poll::Ready(None),
                other => other.map(|r| Some(r.map(|from| (into.filled().len(), from)))),
            }
        });
        match got.await {
            None => return,
            Some(Ok((length, from))) => {
                let message = bytes.get(..length).unwrap_or_default();
                hand_on(&worker, &listener.proxy, message, from);
                taken += length;
            }
            // an answer to nothing that was sent
            Some(Err(_)) => {}
        }
        turn(&mut taken).await;
    }
}

/// Others have their turn once enough was taken.
async fn turn(taken: &mut usize) {
    if *taken >= AT_ONCE {
        *taken = 0;
        tokio::task::yield_now().await;
    }
}

/// Takes messages off a connection, until the client is silent for too long, ends, or sends what is none.
pub async fn serve(session: &mut Session, first: Option<Buffer>) {
    let worker = session.worker().clone();
    let mut input = first.unwrap_or_else(|| worker.buffers.take());
    let mut taken = 0;
    loop {
        let front = session.listener.proxy.clone();
        let from = session.client.addr();
        let transparent = front.forward.is_some_and(|f| f.transparent);
        loop {
            match syslog::first(input.data(), transparent, input.capacity()) {
                Framed::Message(message, used) => {
                    hand_on(&worker, &front, message, from);
                    input.consume(used);
                    taken += used;
                    turn(&mut taken).await;
                }
                Framed::More => break,
                Framed::Wrong => return worker.buffers.give(input),
            }
        }
        if input.is_full() {
            break;
        }
        session.task.deadline(worker.clock.now().after(front.timeouts.client));
        let (conn, task) = (&session.conn, &session.task);
        let got = poll_fn(|cx| match conn.poll_recv(cx, &mut input) {
            Poll::Ready(got) => Poll::Ready(got.unwrap_or(0)),
            Poll::Pending if task.poll_woken(cx).is_some() => Poll::Ready(0),
            Poll::Pending => Poll::Pending,
        });
        if got.await == 0 {
            break;
        }
        session.renew();
        tokio::task::yield_now().await;
    }
    worker.buffers.give(input);
}

/// One message.
fn hand_on(worker: &Worker, front: &ProxyPlan, bytes: &[u8], from: Option<SocketAddr>) {
    worker.process.counts.counters.of(worker.id.into()).cum_recv_logs.inc();
    let Some(how) = front.forward else { return };
    let message = if how.whole { Message::whole(bytes) } else { Message::parse(bytes) };
    if message.text.is_empty() {
        return;
    }
    let source = from.map(|a| a.ip().to_canonical().to_string());
    let host = message.host(how.host, source.as_deref());
    let wall = worker.clock.wall();
    worker.log.borrow_mut().forward(&front.loggers, wall, &message, host.as_deref());
    worker.log_soon();
}
