//! What connections of HTTP/2 add to the statistics of their frontend or backend (columns `h2_*`).

use crate::worker::Worker;
use portcullis_backend::BackendState;
use portcullis_telemetry::h2::{H2Change, H2Counters};
use portcullis_telemetry::{Frontend, Sharded};
use portcullis_transport::h2::Shared;
use std::sync::Arc;

/// Whose connection it is.
pub(super) enum Side {
    /// A frontend's, with a client.
    Front(Arc<Frontend>),
    /// A backend's, with one of its servers.
    Back(Arc<BackendState>),
}

impl Side {
    fn counters(&self) -> &Sharded<H2Counters> {
        match self {
            Self::Front(front) => &front.h2,
            Self::Back(back) => &back.h2,
        }
    }
}

/// One connection's, which is open until this is dropped.
pub(super) struct Counts {
    side: Side,
    worker: usize,
    /// Its streams that are open.
    streams: i64,
}

impl Counts {
    /// A connection has begun.
    pub fn begin(side: Side, worker: &Worker) -> Self {
        let this = Self { side, worker: worker.id.into(), streams: 0 };
        this.add(&H2Change { connections: 1, open: 1, ..H2Change::default() });
        this
    }

    /// One that another worker has counted so far.
    pub fn go_on(side: Side, worker: &Worker) -> Self {
        let this = Self { side, worker: worker.id.into(), streams: 0 };
        this.add(&H2Change { open: 1, ..H2Change::default() });
        this
    }

    fn add(&self, change: &H2Change) {
        self.side.counters().of(self.worker).add(change);
    }

    /// Counts what has happened since this was last called.
    pub fn see(&mut self, shared: &Shared) {
        let t = shared.protocol.borrow_mut().take_tally();
        if t == Default::default() {
            return;
        }
        let open_streams = i64::from(t.begun) - i64::from(t.gone);
        self.streams += open_streams;
        self.add(&H2Change {
            headers: t.headers,
            data: t.data,
            settings: t.settings,
            resets: t.resets,
            goaways: t.goaways,
            connection_errors: t.connection_errors,
            stream_errors: t.stream_errors,
            resets_sent: t.resets_sent,
            goaways_sent: t.goaways_sent,
            open_streams,
            streams: t.begun,
            ..H2Change::default()
        });
    }
}

impl Drop for Counts {
    fn drop(&mut self) {
        self.add(&H2Change { open: -1, open_streams: -self.streams, ..H2Change::default() });
    }
}
