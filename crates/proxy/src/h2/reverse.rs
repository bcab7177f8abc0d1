//! Reverse HTTP (manual: "rhttp@", "nbconn", "attach-srv"): who makes a connection is its client until settings are exchanged, and
//! serves what comes by it then. The other side attaches it to a server, which has no address, and sends requests.

use super::link::Link;
use super::server;
use crate::accept::{self, Accepting};
use crate::check::run::{Manner, open, within};
use crate::plan::{ListenerPlan, ServerPlan};
use crate::rules::attach::Attached;
use crate::session::{self, Origin, Session};
use crate::upstream::{Mux, Upstream};
use crate::worker::{OwnPlan, Task, Worker};
use portcullis_sample::{Facts, Message, Scope};
use portcullis_telemetry::gate;
use portcullis_telemetry::ledger::Kind;
use portcullis_tls::connector::Offer;
use portcullis_tls::stream::Stream as TlsStream;
use portcullis_transport::h2::Stream;
use portcullis_transport::{Conn, Peer};
use portcullis_wire::h2::Reason;
use std::cell::Cell;
use std::io::IoSlice;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Connections are made this often at most, those that fail or end at once.
const AGAIN: Duration = Duration::from_secs(1);

/// `bind rhttp@BACKEND/SERVER`: keeps `nbconn` connections to that server. The first of the listener's workers does.
pub fn begin(worker: &Rc<Worker>, plan: &OwnPlan) {
    let mine = |l: &&Arc<ListenerPlan>| {
        l.reversed.is_some() && (0..64).find(|i| l.allows_worker(*i)) == Some(usize::from(worker.id))
    };
    for listener in plan.listeners.iter().filter(mine) {
        for _ in 0..listener.bind.nbconn {
            let retired = Rc::new(Cell::new(false));
            let task = keep(worker.clone(), listener.clone(), plan.clone(), retired.clone());
            worker.keep_listener(Accepting::new(
                crate::worker::spawn(worker, Kind::Reverse, None, task).abort_handle(),
                retired,
            ));
        }
    }
}

/// Is there anything wrong with where such a listener's connections go?
#[must_use]
pub fn wrong(plan: &crate::plan::Plan, listener: &ListenerPlan) -> Option<String> {
    let name = listener.reversed.as_deref()?;
    let Some(server) = find(plan, name) else { return Some(format!("No such server: '{name}'.")) };
    let agreed = server.tls.as_ref().is_some_and(|t| t.connector.offers(b"h2"));
    let spoken = server.proto == Some(portcullis_config::Proto::H2) || (server.proto.is_none() && agreed);
    (!spoken).then(|| {
        format!(
            "Cannot reverse connect with server '{name}' unless HTTP/2 is activated on it with either proto or alpn keyword."
        )
    })
}

fn find(plan: &crate::plan::Plan, name: &str) -> Option<Arc<ServerPlan>> {
    let (backend, server) = name.split_once('/')?;
    let back = plan.proxies.get(*plan.backends.get(backend.as_bytes())?)?;
    back.servers.iter().find(|s| &*s.name == server).cloned()
}

/// Makes a connection, serves it, and makes the next one.
async fn keep(worker: Rc<Worker>, listener: Arc<ListenerPlan>, plan: OwnPlan, retired: Rc<Cell<bool>>) {
    let task = Task::service(&worker);
    let Some(server) = listener.reversed.as_deref().and_then(|name| find(&plan, name)) else { return };
    let patience = listener.proxy.timeouts.connect.or(Some(AGAIN));
    while !retired.get() {
        let began = worker.clock.now();
        let over = || retired.get();
        let Some(admission) = accept::admitted(&worker, &listener, &task, gate::admit, over).await else {
            return;
        };
        task.deadline(began.after(patience));
        if let Some((conn, peer)) = dial(&task, &server).await {
            let at = worker.clock.now();
            let counts = (&*worker.process.counts, &*listener.proxy.front, &listener.counts);
            gate::accepted(counts.0, counts.1, counts.2, worker.id.into(), at.0);
            worker.process.load[usize::from(worker.id)].fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let origin = Origin::Connection(admission);
            let mut session = Session::new(&worker, conn, peer, at, listener.clone(), origin);
            session.plan = plan.clone();
            // a task of its own: it goes on where this one ends
            let slot = Some(session.task.slot);
            let _ = crate::worker::spawn(&worker, Kind::Session, slot, session::run(session)).await;
        }
        let wait = AGAIN.saturating_sub(Duration::from_millis(worker.clock.now().since(began)));
        if !wait.is_zero() {
            accept::pause(&task, wait).await;
        }
    }
}

/// A connection to the server that is ready for HTTP/2, before the task's deadline.
async fn dial(task: &Task, server: &ServerPlan) -> Option<(Conn, Peer)> {
    let worker = &task.worker;
    let how = Manner { via_socks4: true, silent: false };
    let mut conn = open(task, server, &server.state, None, how).await.ok()?;
    let peer = conn.remote().map_or(Peer::Unix, Peer::Inet);
    let facts = Facts::new();
    let mut header = Vec::new();
    let scope = Scope { wall: worker.clock.wall(), ..Scope::new(&facts, &worker.random) };
    crate::preface::write(server, &scope, &mut header);
    let mut sent = 0;
    while let Some(rest) = header.get(sent..).filter(|r| !r.is_empty()) {
        let io = IoSlice::new(rest);
        sent += within(task, |cx| conn.poll_send(cx, &[io], false)).await.ok()?.ok()?;
    }
    if let Some(tls) = &server.tls {
        let name = tls.name(&facts, Message::None, worker);
        conn.begin_tls(TlsStream::connect_offering(&tls.connector, name.as_deref(), Offer::Http2).ok()?);
        within(task, |cx| conn.poll_handshake(cx)).await.ok()?.ok()?;
        let agreed = conn.tls_info()?.alpn.as_deref() == Some(b"h2");
        if !agreed && server.proto.is_none() {
            return None;
        }
    }
    Some((conn, peer))
}

/// `attach-srv`: the connection rests in the server's pool, and its client waits for requests.
pub(super) fn attach(link: Link, to: &Attached) {
    let worker = link.worker.clone();
    let plan = worker.plan();
    let (backend, server) = to.server();
    let back = plan.backends.get(backend.as_bytes()).and_then(|at| plan.proxies.get(*at));
    let found = back.and_then(|b| Some((b, b.servers.iter().find(|s| &*s.name == server)?)));
    let Some((back, server)) = found else {
        // it has gone with a newer plan
        link.shared.close(Reason::NoError);
        return;
    };
    link.shared.protocol.borrow_mut().reverse(plan.global.h2.of_servers(&plan.global));
    let view = Conn::from(Stream::new(link.shared.clone(), 0));
    let whole = Upstream::adopted(&worker, server, view, to.key);
    let mux = Mux::adopt(&worker, server, link.shared.clone(), whole);
    server::drive(link, mux, server, back);
}
