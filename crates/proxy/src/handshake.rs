//! What comes before a session's first stream: connection rules, PROXY protocol and NetScaler headers, session rules.

use crate::plan::ProxyPlan;
use crate::reply::{ErrorPages, Pages};
use crate::rules::{Cursor, Effects, Flow, RuleCx, Rules, Wait, run};
use crate::session::Session;
use portcullis_sample::{Direction, Facts};
use portcullis_transport::{Buffer, Peer};
use portcullis_wire::proxy_protocol::{self, Addresses};
use portcullis_wire::{netscaler_cip, proxy_protocol::Parsed};
use std::future::poll_fn;
use std::sync::LazyLock;
use std::task::Poll;

static NO_PAGES: LazyLock<ErrorPages> = LazyLock::new(ErrorPages::default);

/// The connection is closed, with nothing more to say.
pub struct Refused;

/// Runs everything that comes before the first stream. What was read too much is given back.
///
/// # Errors
/// [`Refused`]: a rule rejected the connection, or its header was wrong or late.
pub async fn run_all(session: &mut Session) -> Result<Option<Buffer>, Refused> {
    let plan = session.worker().plan();
    let front = &plan.proxies[session.listener.frontend];
    let sets = front.rules.as_deref();
    let mut effects = Effects::default();
    if let Some(sets) = sets {
        rules(session, front, &sets.tcp_connection, &mut effects, true).await?;
    }
    let mut rest = None;
    if session.listener.bind.accept_proxy || effects.expect_proxy {
        rest = proxy_header(session, front, rest).await?;
    }
    if let Some(magic) = session.listener.bind.accept_cip {
        rest = cip_header(session, front, rest, magic).await?;
    }
    if let Some(sets) = sets {
        rules(session, front, &sets.tcp_session, &mut effects, false).await?;
    }
    Ok(rest)
}

/// `tcp-request connection` and `tcp-request session`.
async fn rules(
    session: &mut Session,
    front: &ProxyPlan,
    set: &Rules,
    effects: &mut Effects,
    connection: bool,
) -> Result<(), Refused> {
    if set.is_empty() {
        return Ok(());
    }
    let worker = session.worker().clone();
    let mut facts = Facts::new();
    facts.client = session.client.addr();
    facts.frontend = session.destination();
    facts.frontend_name = &front.name;
    facts.backend_name = &front.name;
    let mut cursor = Cursor::default();
    loop {
        let pages = Pages { backend: None, frontend: front.pages.as_deref().unwrap_or(&NO_PAGES) };
        let mut cx = RuleCx {
            facts: &mut facts,
            random: &worker.random,
            now: worker.clock.now(),
            wall: worker.clock.wall(),
            direction: Direction::Request,
            request: None,
            response: None,
            head_pending: false,
            request_bytes: None,
            response_bytes: None,
            inspecting: false,
            last_call: true,
            ext: &(),
            pages,
            effects,
            limit: worker.buffers.size(),
            body: Default::default(),
        };
        match run(set, &mut cursor, &mut cx) {
            Flow::Done | Flow::Accept => break,
            Flow::Wait(Wait::Until(t)) => {
                session.task.deadline(t);
                poll_fn(
                    |cx| if session.task.poll_woken(cx).is_some() { Poll::Ready(()) } else { Poll::Pending },
                )
                .await;
            }
            _ => {
                let counters = front.front.counters.of(worker.id.into());
                if connection {
                    counters.denied_conn.inc()
                } else {
                    counters.denied_sess.inc()
                }
                return Err(Refused);
            }
        }
    }
    if let Some(source) = facts.source {
        session.client = Peer::Inet(source);
    }
    if let Some(destination) = facts.destination {
        session.told_destination = Some(Box::new(destination));
    }
    Ok(())
}

/// Reads more of the header, within `timeout client-hs` or `client`.
async fn more(session: &Session, front: &ProxyPlan, buffer: &mut Buffer) -> Result<(), Refused> {
    let task = &session.task;
    let t = &front.timeouts;
    task.deadline(session.accepted.after(t.client_hs.or(t.client)));
    poll_fn(|cx| match session.conn.poll_recv(cx, buffer) {
        Poll::Ready(Ok(n)) if n > 0 => Poll::Ready(Ok(())),
        Poll::Ready(_) => Poll::Ready(Err(Refused)),
        Poll::Pending if task.poll_woken(cx).is_some() => Poll::Ready(Err(Refused)),
        Poll::Pending => Poll::Pending,
    })
    .await
}

/// `accept-proxy`, `expect-proxy layer4`
async fn proxy_header(
    session: &mut Session,
    front: &ProxyPlan,
    rest: Option<Buffer>,
) -> Result<Option<Buffer>, Refused> {
    let mut buffer = rest.unwrap_or_else(|| session.worker().buffers.take());
    loop {
        match proxy_protocol::parse(buffer.data()) {
            Ok(Parsed::Complete(header)) => {
                let len = header.len;
                if let Some(Addresses::Inet { src, dst }) = header.addresses {
                    session.client = Peer::Inet(src);
                    session.told_destination = Some(Box::new(dst));
                }
                buffer.consume(len);
                return Ok(keep(session, buffer));
            }
            Ok(Parsed::Partial) if !buffer.is_full() => more(session, front, &mut buffer).await?,
            _ => return Err(Refused),
        }
    }
}

/// `accept-netscaler-cip`
async fn cip_header(
    session: &mut Session,
    front: &ProxyPlan,
    rest: Option<Buffer>,
    magic: u32,
) -> Result<Option<Buffer>, Refused> {
    let mut buffer = rest.unwrap_or_else(|| session.worker().buffers.take());
    loop {
        match netscaler_cip::parse(buffer.data(), magic) {
            Ok(netscaler_cip::Parsed::Complete { len, src, dst }) => {
                session.client = Peer::Inet(src);
                session.told_destination = Some(Box::new(dst));
                buffer.consume(len);
                return Ok(keep(session, buffer));
            }
            Ok(netscaler_cip::Parsed::Partial) if !buffer.is_full() => {
                more(session, front, &mut buffer).await?
            }
            _ => return Err(Refused),
        }
    }
}

/// A buffer that holds nothing goes back.
fn keep(session: &Session, buffer: Buffer) -> Option<Buffer> {
    if buffer.is_empty() {
        session.worker().buffers.give(buffer);
        return None;
    }
    Some(buffer)
}
