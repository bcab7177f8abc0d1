//! `option contstats`: a stream's bytes are counted while it runs, not only when it ends.

use crate::plan::{ListenerPlan, ProxyPlan};
use crate::session::Session;
use crate::worker::Worker;
use portcullis_backend::{BackendState, ServerState};
use portcullis_config::Opts;
use portcullis_telemetry::gate::Frontend;
use portcullis_transport::Millis;
use std::sync::Arc;

/// How often bytes are counted, in milliseconds.
const PERIOD: u64 = 5000;

/// Where a running stream's bytes are counted, and when next.
pub struct Tally {
    next: Millis,
    slot: u32,
    front: Arc<Frontend>,
    listener: Option<Arc<ListenerPlan>>,
    back: Option<Arc<BackendState>>,
    server: Option<Arc<ServerState>>,
    /// What the stream had moved before: up, down.
    before: (u64, u64),
}

impl Tally {
    /// Of a stream whose frontend wants it.
    #[must_use]
    pub fn of(
        session: &Session,
        front: &ProxyPlan,
        back: &ProxyPlan,
        server: Option<&Arc<ServerState>>,
        before: (u64, u64),
    ) -> Option<Box<Self>> {
        front.has(Opts::CONTSTATS).then(|| {
            Box::new(Self {
                next: Millis(0),
                slot: session.task.slot.index,
                front: front.front.clone(),
                listener: front.has(Opts::SOCKET_STATS).then(|| session.listener.clone()),
                back: back.state.clone(),
                server: server.cloned(),
                before,
            })
        })
    }

    /// So many bytes went up and down since it began: they are counted if it is time.
    pub fn see(&mut self, worker: &Worker, up: u64, down: u64) {
        let now = worker.clock.now();
        if now < self.next {
            return;
        }
        self.next = Millis(now.0.saturating_add(PERIOD));
        let (up, down) = (up + self.before.0, down + self.before.1);
        let told = worker.tallies.borrow_mut().insert(self.slot, (up, down)).unwrap_or_default();
        let (up, down) = (up.saturating_sub(told.0), down.saturating_sub(told.1));
        let id = usize::from(worker.id);
        let front = self.front.counters.of(id);
        front.bytes_in.add(up);
        front.bytes_out.add(down);
        front.req_out.add(up);
        front.res_in.add(down);
        worker.process.counts.counters.of(id).bytes_out.add(up + down);
        if let Some(listener) = &self.listener {
            let counters = listener.counts.counters.of(id);
            counters.bytes_in.add(up);
            counters.bytes_out.add(down);
            counters.req_out.add(up);
        }
        if let Some(back) = &self.back {
            let counters = back.counters.of(id);
            counters.bytes_in.add(up);
            counters.bytes_out.add(down);
            counters.req_out.add(up);
            counters.res_in.add(down);
        }
        if let Some(server) = &self.server {
            let counters = server.counters.of(id);
            counters.bytes_in.add(up);
            counters.bytes_out.add(down);
        }
    }
}

/// What was counted of the stream that ends now: up, down.
pub(super) fn told(session: &Session, front: &ProxyPlan) -> (u64, u64) {
    if !front.has(Opts::CONTSTATS) {
        return (0, 0);
    }
    session.worker().tallies.borrow_mut().remove(&session.task.slot.index).unwrap_or_default()
}
