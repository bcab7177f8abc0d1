//! What comes before a session's first stream: connection rules, PROXY protocol and NetScaler headers, session rules.

use crate::outcome;
use crate::plan::{Plan, ProxyPlan};
use crate::reply::{ErrorPages, Pages};
use crate::rules::{Cursor, Effects, Flow, RuleCx, Rules, Wait, run};
use crate::session::Session;
use portcullis_sample::{Direction, Facts};
use portcullis_transport::{Buffer, Peer};
use portcullis_wire::netscaler_cip;
use portcullis_wire::proxy_protocol::{self, Addresses};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::task::Poll;

static NO_PAGES: LazyLock<ErrorPages> = LazyLock::new(ErrorPages::default);

/// The connection is closed, with nothing more to say.
pub struct Refused;

/// Runs everything that comes before the first stream. What was read too much is given back.
///
/// # Errors
/// [`Refused`]: a rule rejected the connection, or its header was wrong or late.
pub async fn run_all(session: &mut Session) -> Result<Option<Buffer>, Refused> {
    session.renew();
    let plan = session.plan.clone();
    let front = &plan.proxies[session.listener.frontend];
    let sets = front.rules.as_deref();
    let mut effects = Effects::default();
    if let Some(sets) = sets {
        // a connection that a rule rejects is reset, so that it leaves nothing behind
        let rejected = rules(session, &plan, front, &sets.tcp_connection, &mut effects, true).await;
        rejected.inspect_err(|_| session.conn.reset_on_close())?;
    }
    let bind = &session.listener.bind;
    let proxy = bind.accept_proxy || effects.expect_proxy;
    let cip = bind.accept_cip.or(effects.expect_netscaler_cip.then_some(0));
    let mut rest = None;
    if proxy {
        rest = header(session, front, &PROXY, rest, 0).await?;
    }
    if let Some(magic) = cip {
        rest = header(session, front, &CIP, rest, magic).await?;
    }
    if let Some(acceptor) = session.listener.tls.clone() {
        let first = rest.take();
        crate::tls::accept(session, front, &acceptor, first).await?;
    }
    if let Some(sets) = sets
        && rules(session, &plan, front, &sets.tcp_session, &mut effects, false).await.is_err()
    {
        if proxy || cip.is_some() {
            // 3.5 tells of a session that had a handshake, and that nothing was wrong with that
            outcome::never_began(session, front, "Success", true);
        }
        return Err(Refused);
    }
    if let Some(attached) = effects.attached.take() {
        session.told.get_or_insert_default().attached = Some(*attached);
    }
    Ok(rest)
}

/// `tcp-request connection` and `tcp-request session`.
async fn rules(
    session: &mut Session,
    plan: &Arc<Plan>,
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
    outcome::begin_facts(&mut facts, session, front);
    facts.frontend = session.destination();
    facts.status = 0;
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
            line: None,
            head_pending: false,
            unread: None,
            request_bytes: None,
            response_bytes: None,
            inspecting: false,
            last_call: true,
            ext: crate::rules::internal::ext(plan),
            log: Some((&worker, front)),
            pages,
            effects,
            filters: None,
            limit: worker.buffers.size(),
            body: Default::default(),
        };
        let flow = run(set, &mut cursor, &mut cx);
        effects.client.apply(&session.conn);
        match flow {
            Flow::Done | Flow::Accept => break,
            Flow::Wait(Wait::Until(t)) => {
                session.task.deadline(t);
                poll_fn(
                    |cx| if session.task.poll_woken(cx).is_some() { Poll::Ready(()) } else { Poll::Pending },
                )
                .await;
            }
            _ => {
                let at = usize::from(worker.id);
                let (front, listener) =
                    (front.front.counters.of(at), session.listener.counts.counters.of(at));
                if connection {
                    front.denied_conn.inc();
                    listener.denied_conn.inc();
                } else {
                    front.denied_sess.inc();
                    listener.denied_sess.inc();
                }
                return Err(Refused);
            }
        }
    }
    session.vars.take_from(&facts.vars.session);
    let altered = facts.altered.take().map(|a| *a).unwrap_or_default();
    if let Some(source) = altered.source {
        session.client = Peer::Inet(source);
    }
    if let Some(destination) = altered.destination {
        session.told.get_or_insert_default().destination = Some(destination);
    }
    Ok(())
}

/// What a header says of a connection.
struct Told {
    len: usize,
    addresses: Option<(SocketAddr, SocketAddr)>,
    /// Is it a PROXY header, and the further values that it has?
    proxy: Option<Option<Rc<[u8]>>>,
}

/// A header that cannot be accepted: the message for the log, and the addresses that it had told already.
struct Fault {
    message: &'static str,
    addresses: Option<(SocketAddr, SocketAddr)>,
}

/// One kind of header in front of a connection's own bytes. The messages are those of `fc_err_str`.
struct Kind {
    /// `None`: more is needed.
    parse: fn(&[u8], u32) -> Result<Option<Told>, Fault>,
    empty: &'static str,
    broken: &'static str,
    late: &'static str,
    truncated: &'static str,
}

/// `accept-proxy`, `expect-proxy layer4`
static PROXY: Kind = Kind {
    parse: proxy_header,
    empty: "Connection closed while waiting for PROXY protocol header",
    broken: "Connection error while waiting for PROXY protocol header",
    late: "Timeout while waiting for PROXY protocol header",
    truncated: "Truncated PROXY protocol header received",
};

/// `accept-netscaler-cip`, `expect-netscaler-cip layer4`
static CIP: Kind = Kind {
    parse: cip_header,
    empty: "Connection closed while waiting for NetScaler Client IP header",
    broken: "Connection error while waiting for NetScaler Client IP header",
    late: "Timeout while waiting for a NetScaler Client IP header",
    truncated: "Truncated NetScaler Client IP header received",
};

fn proxy_header(bytes: &[u8], _: u32) -> Result<Option<Told>, Fault> {
    let inet = |a: Option<Addresses>| match a {
        Some(Addresses::Inet { src, dst }) => Some((src, dst)),
        _ => None,
    };
    match proxy_protocol::parse(bytes) {
        Ok(proxy_protocol::Parsed::Complete(h)) => {
            let values = (!h.tlvs.is_empty()).then(|| h.tlvs.bytes().into());
            Ok(Some(Told { len: h.len, addresses: inet(h.addresses), proxy: Some(values) }))
        }
        Ok(proxy_protocol::Parsed::Partial) => Ok(None),
        Err(e) => Err(Fault { message: e.fault.text(), addresses: e.addresses }),
    }
}

fn cip_header(bytes: &[u8], magic: u32) -> Result<Option<Told>, Fault> {
    match netscaler_cip::parse(bytes, magic) {
        Ok(netscaler_cip::Parsed::Complete { len, src, dst }) => {
            Ok(Some(Told { len, addresses: Some((src, dst)), proxy: None }))
        }
        Ok(netscaler_cip::Parsed::Partial) => Ok(None),
        Err(e) => Err(Fault { message: e.text(), addresses: None }),
    }
}

/// Reads a header and takes it off; it must come within `timeout client-hs` or `client`.
async fn header(
    session: &mut Session,
    front: &ProxyPlan,
    kind: &Kind,
    rest: Option<Buffer>,
    magic: u32,
) -> Result<Option<Buffer>, Refused> {
    let mut buffer = rest.unwrap_or_else(|| session.worker().buffers.take());
    let t = &front.timeouts;
    session.task.deadline(session.accepted.after(t.client_hs.or(t.client)));
    let fault = loop {
        if !buffer.is_empty() {
            match (kind.parse)(buffer.data(), magic) {
                Ok(Some(told)) => {
                    announce(session, told.addresses);
                    if let Some(values) = told.proxy {
                        let known = session.told.get_or_insert_default();
                        (known.proxied, known.values) = (true, values);
                    }
                    buffer.consume(told.len);
                    return Ok(keep(session, buffer));
                }
                Ok(None) if buffer.is_full() => break kind.truncated,
                Ok(None) => {}
                Err(fault) => {
                    announce(session, fault.addresses);
                    break fault.message;
                }
            }
        }
        match more(session, &mut buffer).await {
            Got::Bytes => {}
            _ if !buffer.is_empty() => break kind.truncated,
            Got::End => break kind.empty,
            Got::Broken => break kind.broken,
            Got::Late => break kind.late,
        }
    };
    let received = !buffer.is_empty();
    if received {
        // the header was not answered for: closing resets, as with bytes that were never read
        session.conn.reset_on_close();
    }
    session.worker().buffers.give(buffer);
    outcome::never_began(session, front, fault, received);
    Err(Refused)
}

/// The addresses of the connection are from now on those that a header told.
fn announce(session: &mut Session, addresses: Option<(SocketAddr, SocketAddr)>) {
    if let Some((src, dst)) = addresses {
        session.client = Peer::Inet(src);
        session.told.get_or_insert_default().destination = Some(dst);
    }
}

/// What came of waiting for bytes.
enum Got {
    Bytes,
    End,
    Broken,
    Late,
}

async fn more(session: &Session, buffer: &mut Buffer) -> Got {
    poll_fn(|cx| match session.conn.poll_recv(cx, buffer) {
        Poll::Ready(Ok(0)) => Poll::Ready(Got::End),
        Poll::Ready(Ok(_)) => Poll::Ready(Got::Bytes),
        Poll::Ready(Err(_)) => Poll::Ready(Got::Broken),
        Poll::Pending if session.task.poll_woken(cx).is_some() => Poll::Ready(Got::Late),
        Poll::Pending => Poll::Pending,
    })
    .await
}

/// A buffer that holds nothing goes back.
fn keep(session: &Session, buffer: Buffer) -> Option<Buffer> {
    if buffer.is_empty() {
        session.worker().buffers.give(buffer);
        return None;
    }
    Some(buffer)
}
