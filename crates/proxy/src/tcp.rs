//! TCP mode: rules, a server, bytes both ways, a log line.

use crate::outcome;
use crate::plan::ProxyPlan;
use crate::relay::{self, Direction, End, Timeouts};
use crate::session::Session;
use crate::upstream::{Failure, Wish, establish};
use portcullis_config::Opts;
use portcullis_sample::Facts;

/// Runs a TCP session.
pub async fn run(session: &mut Session) {
    let worker = session.worker().clone();
    let plan = worker.plan();
    let front: &ProxyPlan = &plan.proxies[session.listener.frontend];
    let mut facts = Facts::new();
    outcome::begin(&mut facts, session, front, false);
    let back = front.default_backend.and_then(|i| plan.proxies.get(i));
    let held = back.and_then(|b| b.state.as_ref()).map(|s| s.sessions().take());
    match back {
        Some(back) => {
            facts.backend_name = &back.name;
            facts.backend_id = back.id;
            facts.beconn = back.state.as_ref().map_or(0, |s| s.sessions().get());
            if back.wants_destination || front.wants_destination {
                facts.frontend = session.destination();
            }
            serve(session, front, back, &mut facts).await;
        }
        None => facts.termination[..2].copy_from_slice(b"SC"),
    }
    outcome::finish(&mut facts, session, front, back.map(|b| &**b), None);
    drop(held);
}

async fn serve<'p>(session: &mut Session, front: &'p ProxyPlan, back: &'p ProxyPlan, facts: &mut Facts<'p>) {
    let mut wish = Wish {
        client: &session.conn,
        watch_client: back.has(Opts::ABORTONCLOSE),
        reuse: None,
        private: None,
        avoid: None,
    };
    let found = match establish(&session.task, back, facts, &mut wish).await {
        Ok(found) => found,
        Err(Failure { termination, .. }) => {
            facts.termination[..2].copy_from_slice(&termination);
            return;
        }
    };
    facts.srvconn = found.slot.server().sessions.get();
    if front.has(Opts::LOGASAP) {
        outcome::log_as_soon_as_possible(facts, session, front);
    }
    let splice = |side: Opts| {
        let wanted = Opts::SPLICE_AUTO | side;
        front.opts.intersects(wanted) || back.opts.intersects(wanted)
    };
    let preface = crate::preface::to_server(found.server, facts);
    let mut up = Direction::new(preface, splice(Opts::SPLICE_REQUEST));
    let mut down = Direction::new(None, splice(Opts::SPLICE_RESPONSE));
    let timeouts = Timeouts {
        client: front.timeouts.client,
        server: back.timeouts.server,
        client_fin: front.timeouts.client_fin,
        server_fin: back.timeouts.server_fin,
        tunnel: back.timeouts.tunnel,
    };
    let server = &found.upstream.conn;
    let independent = front.has(Opts::INDEPENDENT_STREAMS) || back.has(Opts::INDEPENDENT_STREAMS);
    let end =
        relay::relay(&session.task, (&session.conn, &mut up), (server, &mut down), &timeouts, independent)
            .await;
    facts.bytes_up = up.bytes;
    facts.bytes_down = down.bytes;
    facts.termination[..2].copy_from_slice(&termination(end));
    up.discard(&session.task);
    down.discard(&session.task);
    if end != End::Closed || back.has(Opts::NOLINGER) {
        server.reset_on_close();
    }
    if front.has(Opts::NOLINGER) {
        session.conn.reset_on_close();
    }
    session.worker().idle.borrow_mut().close(found.upstream);
}

/// Cause and phase of a relay's end.
#[must_use]
pub fn termination(end: End) -> [u8; 2] {
    match end {
        End::Closed => *b"--",
        End::ClientBroke => *b"CD",
        End::ServerBroke => *b"SD",
        End::ClientLate => *b"cD",
        End::ServerLate => *b"sD",
        End::Aborted(why) => [why.letter(), b'D'],
    }
}
