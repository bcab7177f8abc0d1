//! Log lines as records.

use super::Tells;
use super::stream::RECORD;
use portcullis_sample::Facts;
use portcullis_telemetry::log::Level;
use portcullis_wire::otlp::{Attributes, Record, Signal};
use std::time::Duration;

impl Tells {
    /// A line about a stream or a session.
    #[cold]
    pub fn line(&self, worker: u16, facts: &Facts<'_>, level: Level, wall: Duration, text: &[u8]) {
        let about = facts.trace.as_deref().map(|t| &t.context);
        let about = about.map(|c| (&c.trace, &c.span, c.sampled));
        self.record(worker, (level, wall, text), about, |a| {
            a.text("haproxy.frontend", facts.frontend_name.as_bytes());
            a.text("haproxy.backend", facts.backend_name.as_bytes());
            a.text("haproxy.server", facts.server_name.as_bytes());
        });
    }

    /// A line about something else: a server's state, a proxy's end.
    #[cold]
    pub fn note(&self, worker: u16, proxy: &str, level: Level, wall: Duration, text: &str) {
        self.record(worker, (level, wall, text.as_bytes()), None, |a| {
            a.text("haproxy.proxy", proxy.as_bytes())
        });
    }

    fn record(
        &self,
        worker: u16,
        (level, wall, body): (Level, Duration, &[u8]),
        about: Option<(&[u8; 16], &[u8; 8], bool)>,
        more: impl FnOnce(&mut Attributes<'_>),
    ) {
        if !self.logs {
            return;
        }
        let time = u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX);
        let record = Record { time, severity: level as u8, body, about };
        RECORD.with_borrow_mut(|out| {
            out.clear();
            record.write(out, more);
            self.outbox.put(worker.into(), Signal::Logs, self.limits, out);
        });
    }
}
