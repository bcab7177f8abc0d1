//! One question to all name servers of a section: the first good answer counts, or else the last error.

use super::counters::Count;
use super::plan::{NameserverPlan, ResolversPlan};
use super::stream::Stream;
use portcullis_config::Hold;
use portcullis_transport::connect::Target;
use portcullis_wire::dns::{self, Data, Empty, Kind, Message};
use rustix::net::SendFlags;
use std::future::{Future, poll_fn};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::oneshot;

/// Why there is no good answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// There is no such name.
    Nx,
    /// Nobody wants to answer.
    Refused,
    /// Nobody answered.
    Timeout,
    /// Anything else.
    Other,
}

impl Failure {
    /// As the log tells it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Nx => "DNS NX status",
            Self::Refused => "DNS refused status",
            Self::Timeout => "DNS timeout status",
            Self::Other => "unspecified DNS error",
        }
    }
    /// How long what was known before still counts.
    #[must_use]
    pub fn hold(self, hold: &Hold) -> Duration {
        match self {
            Self::Nx => hold.nx,
            Self::Refused => hold.refused,
            Self::Timeout => hold.timeout,
            Self::Other => hold.other,
        }
    }
}

/// A good answer.
#[derive(Debug)]
pub struct Answer {
    /// Which name server gave it.
    pub by: usize,
    /// Addresses, if such were asked for.
    pub addresses: Vec<IpAddr>,
    /// All of it, if services or texts were asked for.
    pub records: Option<Message>,
}

/// Asks for a name: each kind in turn until there is a good answer. Silence ends it.
///
/// # Errors
/// [`Failure`]
pub async fn ask(
    plan: &ResolversPlan,
    streams: &[Option<Rc<Stream>>],
    name: &str,
    kinds: &[Kind],
) -> Result<Answer, Failure> {
    let mut last = Failure::Other;
    for kind in kinds {
        match one(plan, streams, name, *kind).await {
            Err(Failure::Timeout) => return Err(Failure::Timeout),
            Err(failure) => last = failure,
            good => return good,
        }
    }
    Err(last)
}

/// A number that nobody can guess: hashes with secret keys.
fn secret() -> u16 {
    RandomState::new().build_hasher().finish() as u16
}

/// The way to a name server, for one question.
enum Way {
    /// A socket of its own, so that its port is not known.
    Datagram(tokio::net::UdpSocket),
    Stream(Rc<Stream>, Option<oneshot::Receiver<Vec<u8>>>),
    /// It has answered, or cannot be reached.
    Closed,
}

fn datagram(to: SocketAddr) -> io::Result<tokio::net::UdpSocket> {
    let any: SocketAddr = match to {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0u16; 8], 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.set_nonblocking(true)?;
    // answers of nobody else come in
    socket.connect(to)?;
    tokio::net::UdpSocket::from_std(socket)
}

/// A question of one kind.
struct Question<'q> {
    plan: &'q ResolversPlan,
    name: &'q str,
    kind: Kind,
    id: u16,
    bytes: Vec<u8>,
    ways: Vec<Way>,
    buffer: Vec<u8>,
    failed: Option<Failure>,
}

async fn one(
    plan: &ResolversPlan,
    streams: &[Option<Rc<Stream>>],
    name: &str,
    kind: Kind,
) -> Result<Answer, Failure> {
    let id = secret();
    let bytes = dns::query(id, name, kind, plan.payload).ok_or(Failure::Other)?;
    let ways = plan.nameservers.iter().enumerate().map(|(at, server)| way(server, streams.get(at)));
    let ways: Vec<Way> = ways.collect();
    let buffer = vec![0; usize::from(plan.payload).max(512) + 1];
    let mut question = Question { plan, name, kind, id, bytes, ways, buffer, failed: None };
    for _ in 0..plan.retries {
        question.send();
        let wait = tokio::time::sleep(plan.retry);
        let mut wait = std::pin::pin!(wait);
        let said = poll_fn(|cx| question.poll(cx, wait.as_mut())).await;
        match said {
            Some(answer) => return Ok(answer),
            // somebody has said no, and the others had their time
            None if question.failed.is_some() => break,
            None => {}
        }
    }
    Err(question.failed.unwrap_or(Failure::Timeout))
}

fn way(server: &NameserverPlan, stream: Option<&Option<Rc<Stream>>>) -> Way {
    match (stream, &server.stream) {
        (Some(Some(stream)), _) => Way::Stream(stream.clone(), None),
        (_, Some(_)) => Way::Closed,
        (_, None) => match &server.target {
            Target::Inet { addr, .. } => datagram(*addr).map_or(Way::Closed, Way::Datagram),
            Target::Unix(_) | Target::Abstract(_) => Way::Closed,
        },
    }
}

impl Question<'_> {
    /// Sends the question to all who have not answered yet.
    fn send(&mut self) {
        for (way, server) in self.ways.iter_mut().zip(&self.plan.nameservers) {
            let sent = match way {
                // at once: the runtime knows nothing yet of a socket that has just been made
                Way::Datagram(socket) => {
                    rustix::net::send(&*socket, &self.bytes, SendFlags::NOSIGNAL).is_ok()
                }
                Way::Stream(stream, answer) => {
                    let receiver = stream.ask(self.id, &self.bytes);
                    let sent = receiver.is_some();
                    *answer = receiver.or(answer.take());
                    sent
                }
                Way::Closed => continue,
            };
            server.counters.add(if sent { Count::Sent } else { Count::SendError });
        }
    }

    /// A good answer; `None`: all have said no, or time is over.
    fn poll(&mut self, cx: &mut Context<'_>, wait: Pin<&mut tokio::time::Sleep>) -> Poll<Option<Answer>> {
        for at in 0..self.ways.len() {
            while let Poll::Ready(length) = self.receive(at, cx) {
                match self.judge(at, length) {
                    Ok(Some(answer)) => return Poll::Ready(Some(answer)),
                    Ok(None) => {}
                    Err(failure) => {
                        self.failed = Some(failure);
                        if let Some(way) = self.ways.get_mut(at) {
                            *way = Way::Closed;
                        }
                    }
                }
            }
        }
        let open = self.ways.iter().any(|w| !matches!(w, Way::Closed));
        if !open && self.failed.is_some() {
            return Poll::Ready(None);
        }
        match wait.poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => {
                let silent = self.ways.iter().zip(&self.plan.nameservers);
                for (_, server) in silent.filter(|(w, _)| !matches!(w, Way::Closed)) {
                    server.counters.add(Count::Timeout);
                }
                Poll::Ready(None)
            }
        }
    }

    /// What came from a name server, into the buffer.
    fn receive(&mut self, at: usize, cx: &mut Context<'_>) -> Poll<usize> {
        match self.ways.get_mut(at) {
            Some(Way::Datagram(socket)) => loop {
                match socket.poll_recv_ready(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Err(_)) => return Poll::Pending,
                    Poll::Ready(Ok(())) => {}
                }
                // otherwise nobody was there for an earlier question, or nothing is there
                if let Ok(n) = socket.try_recv(&mut self.buffer) {
                    return Poll::Ready(n);
                }
            },
            Some(Way::Stream(_, answer)) => {
                let Some(receiver) = answer else { return Poll::Pending };
                let got = Pin::new(receiver).poll(cx);
                match got {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(Ok(bytes)) => {
                        *answer = None;
                        let length = bytes.len().min(self.buffer.len());
                        self.buffer[..length].copy_from_slice(&bytes[..length]);
                        Poll::Ready(length)
                    }
                    // the connection is gone; the question is sent again when it is time
                    Poll::Ready(Err(_)) => {
                        *answer = None;
                        Poll::Pending
                    }
                }
            }
            _ => Poll::Pending,
        }
    }

    /// Is what came a good answer? `None`: it is none to this question.
    fn judge(&self, by: usize, length: usize) -> Result<Option<Answer>, Failure> {
        let Some(counters) = self.plan.nameservers.get(by).map(|n| &n.counters) else { return Ok(None) };
        let fail = |count, failure| {
            counters.add(count);
            Err(failure)
        };
        let bytes = self.buffer.get(..length).unwrap_or_default();
        let ours = bytes.get(..2) == Some(&self.id.to_be_bytes());
        if !ours {
            counters.add(Count::Outdated);
            return Ok(None);
        }
        if length >= self.buffer.len() {
            return fail(Count::TooBig, Failure::Other);
        }
        let Ok(message) = Message::parse(bytes) else { return fail(Count::Invalid, Failure::Other) };
        let name = dns::fold(self.name);
        if !message.answers(self.id, &name, self.kind) {
            // not what was asked for: somebody else's guess must not end this question
            counters.add(Count::Invalid);
            return Ok(None);
        }
        match message.code {
            0 if message.truncated => return fail(Count::Truncated, Failure::Other),
            0 => {}
            3 => return fail(Count::Nx, Failure::Nx),
            5 => return fail(Count::Refused, Failure::Refused),
            _ => return fail(Count::Other, Failure::Other),
        }
        let addresses: Vec<IpAddr> = match message.settle(&name, self.kind) {
            Ok(records) => records
                .iter()
                .filter_map(|r| match r.data {
                    Data::Address(ip) => Some(ip),
                    _ => None,
                })
                .collect(),
            Err(Empty::Nothing) => return fail(Count::AnyError, Failure::Other),
            Err(Empty::Alias) => return fail(Count::CnameError, Failure::Other),
            Err(Empty::Foreign) => return fail(Count::Invalid, Failure::Other),
        };
        counters.add(Count::Valid);
        let records = matches!(self.kind, Kind::Srv | Kind::Txt).then_some(message);
        Ok(Some(Answer { by, addresses, records }))
    }
}
