//! Sends what workers tell a collector of OpenTelemetry (`otel` section): OTLP over HTTP, on a thread of its own that is there if a
//! configuration has such a section. Spans and log records go apart, so that one of them never waits for the other.
//!
//! A batch that the collector cannot take now is tried again for a while, and what comes meanwhile waits in the outbox, whose size is
//! bounded. Whatever happens, workers never wait.

use crate::client::{Answer, Client, Failed, Request, Settings};
use crate::log::Log;
use crate::serve;
use parking_lot::{Mutex, RwLock};
use portcullis_config::files::LocalFiles;
use portcullis_config::{Diagnostics, Model, Severity};
use portcullis_proxy::otel::section::Endpoint;
use portcullis_proxy::otel::{Outbox, Section};
use portcullis_proxy::process::Process;
use portcullis_telemetry::log::{Level, Loggers};
use portcullis_tls::settings::GlobalTls;
use portcullis_transport::Conn;
use portcullis_wire::otlp::{self, Attributes, Said, Signal};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::time::timeout;
use zlib_rs::{DeflateConfig, ReturnCode, compress_bound, compress_slice};

/// Who makes the records.
const SCOPE: (&str, &str) = ("portcullis", env!("CARGO_PKG_VERSION"));
/// Most bytes of records in one request.
const MOST_BYTES: usize = 4 << 20;
/// For how long a batch is tried.
const PATIENCE: Duration = Duration::from_secs(300);
/// Pauses between attempts: the first one, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// How often failures are told in the log.
const QUIET: Duration = Duration::from_secs(60);

/// Where records go and how.
pub struct Wanted {
    /// What the section says.
    pub section: Section,
    endpoint: Endpoint,
    client: Client,
    loggers: Loggers,
}

impl Wanted {
    /// Of a model; none: there is no section.
    ///
    /// # Errors
    /// A log target that cannot be opened, or settings of TLS that do not fit.
    pub fn new(model: &Model, process: &Arc<Process>) -> Result<Option<Self>, String> {
        let Some(section) = Section::of(model).cloned() else { return Ok(None) };
        let Some(endpoint) = section.endpoint.clone() else { return Ok(None) };
        let said = model.global.ext.get::<Settings>().cloned().unwrap_or_default();
        // what has failed is tried again here
        let settings = Settings { retries: 0, connect: said.connect.min(section.timeout), ..said };
        let connector = if endpoint.secure { Some(serve::connector(model, &settings)?) } else { None };
        let client = Client { process: process.clone(), settings, connector };
        let loggers = serve::loggers(model, process)?;
        Ok(Some(Self { section, endpoint, client, loggers }))
    }

    /// What is common to all records.
    fn resource(&self, a: &mut Attributes<'_>) {
        let own = &self.section.attributes;
        let process = &self.client.process;
        let known = [
            ("service.name", self.section.service()),
            ("host.name", process.node()),
            ("telemetry.sdk.name", SCOPE.0),
            ("telemetry.sdk.language", "rust"),
            ("telemetry.sdk.version", SCOPE.1),
        ];
        // what the section says goes before
        for (key, value) in known.into_iter().filter(|(key, _)| own.iter().all(|(k, _)| k != key)) {
            a.text(key, value.as_bytes());
        }
        if own.iter().all(|(k, _)| k != "process.pid") {
            a.number("process.pid", std::process::id().into());
        }
        for (key, value) in own {
            a.text(key, value.as_bytes());
        }
    }

    async fn send(&self, signal: Signal, records: &[u8], kept: &mut Option<Conn>) -> Result<Answer, Failed> {
        let url = format!("{}{}", self.endpoint.url, signal.path());
        let mut body = Vec::with_capacity(records.len() + 512);
        otlp::request(&mut body, |a| self.resource(a), SCOPE, records);
        let mut fields = vec![("content-type", "application/x-protobuf")];
        if let Some(small) = self.section.gzip.then(|| gzip(&body)).flatten() {
            fields.push(("content-encoding", "gzip"));
            body = small;
        }
        fields.extend(self.section.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())));
        let (method, address) = ("POST", Some(self.endpoint.address));
        let request = Request { method, url: &url, fields: &fields, body: &body, proxy: None, address };
        self.client.send_over(request, Some(kept)).await
    }
}

/// Compressed (RFC 1952), as fast as that goes: what is sent is repetitive. None: it cannot be.
fn gzip(body: &[u8]) -> Option<Vec<u8>> {
    // 16 more bits of the window's size stand for gzip
    let config = DeflateConfig { window_bits: 15 + 16, ..DeflateConfig::best_speed() };
    // its head is longer than that of zlib, which the bound is of
    let mut out = vec![0; compress_bound(body.len()) + 16];
    let (done, code) = compress_slice(&mut out, body, config);
    let len = done.len();
    out.truncate(len);
    (code == ReturnCode::Ok).then_some(out)
}

/// A collector that is spoken to over TLS is verified with the system's authorities, if there are no others.
pub fn check(model: &mut Model, diags: &mut Diagnostics) {
    let secure = Section::of(model).and_then(|s| s.endpoint.as_ref()).is_some_and(|e| e.secure);
    let said = model.global.ext.entry::<Settings>();
    if !secure || said.ca.is_some() || said.no_verify {
        return;
    }
    let store = model.global.ext.entry::<GlobalTls>().store.clone();
    let read = store.lock().authorities(&LocalFiles, "@system-ca");
    match read {
        Ok(ca) => model.global.ext.entry::<Settings>().ca = Some(ca),
        Err(e) => {
            let place = Section::of(model).map(Section::place);
            diags
                .add(Severity::Alert, place, format!("'endpoint' : {e}"))
                .hint("'httpclient.ssl.ca-file' of 'global' names others");
        }
    }
}

/// What came of an attempt.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// They were taken, but for so many.
    Taken(Said),
    /// Later, perhaps; after this time if the collector says one.
    Later(Option<Duration>, String),
    /// Never.
    Refused(String),
}

impl Verdict {
    fn of(status: u16, body: &[u8], retry_after: Option<&str>) -> Self {
        let text = || match otlp::refusal(body) {
            said if said.is_empty() => format!("status {status}"),
            said => format!("status {status}: {said}"),
        };
        match status {
            200..=299 => Self::Taken(otlp::answer(body)),
            429 | 502 | 503 | 504 => {
                let seconds = retry_after.and_then(|t| t.trim().parse().ok());
                Self::Later(seconds.map(Duration::from_secs), text())
            }
            _ => Self::Refused(text()),
        }
    }
}

/// The connection that one kind of records has, and for which configuration it was made.
#[derive(Default)]
struct Kept {
    wanted: Weak<Wanted>,
    conn: Option<Conn>,
}

impl Kept {
    /// That of this configuration: another one's is closed.
    fn of(&mut self, wanted: &Arc<Wanted>) -> &mut Option<Conn> {
        if !std::ptr::eq(self.wanted.as_ptr(), Arc::as_ptr(wanted)) {
            *self = Self { wanted: Arc::downgrade(wanted), conn: None };
        }
        &mut self.conn
    }
}

/// The thread that sends, and what others see of it.
pub struct Exporter {
    wanted: RwLock<Option<Arc<Wanted>>>,
    outbox: Arc<Outbox>,
    log: Log,
    told: Mutex<Option<Instant>>,
    closing: AtomicBool,
    closes: [Notify; 2],
    ended: Mutex<Option<Receiver<()>>>,
}

impl Exporter {
    /// For a process; nothing is sent before [`Exporter::serve`].
    #[must_use]
    pub fn new(process: &Arc<Process>, wanted: Wanted) -> Arc<Self> {
        Arc::new(Self {
            wanted: RwLock::new(Some(Arc::new(wanted))),
            outbox: process.outbox.clone(),
            log: Log::new(process),
            told: Mutex::default(),
            closing: AtomicBool::new(false),
            closes: [Notify::new(), Notify::new()],
            ended: Mutex::default(),
        })
    }

    /// Begins, on a thread of its own.
    ///
    /// # Errors
    /// When the thread cannot be made.
    pub fn serve(self: &Arc<Self>) -> io::Result<()> {
        let exporter = self.clone();
        let (end, ended) = channel();
        *self.ended.lock() = Some(ended);
        std::thread::Builder::new().name("otel".into()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                tokio::join!(exporter.export(Signal::Traces), exporter.export(Signal::Logs))
            });
            let _ = end.send(());
            Ok::<_, io::Error>(())
        })?;
        Ok(())
    }

    /// Another configuration is in force.
    pub fn follow(&self, wanted: Option<Wanted>) {
        *self.wanted.write() = wanted.map(Arc::new);
        self.outbox.ring();
    }

    /// Where records go.
    #[must_use]
    pub fn wanted(&self) -> Option<Arc<Wanted>> {
        self.wanted.read().clone()
    }

    /// The process ends: sends what is there, as far as that is done in time.
    pub fn close(&self, within: Duration) {
        self.closing.store(true, SeqCst);
        self.closes.iter().for_each(Notify::notify_one);
        self.outbox.ring();
        if let Some(ended) = self.ended.lock().take() {
            let _ = ended.recv_timeout(within);
        }
    }

    fn is_closing(&self) -> bool {
        self.closing.load(SeqCst)
    }

    /// Sends records of one kind, until the process ends.
    async fn export(&self, signal: Signal) {
        let (mut records, mut kept) = (Vec::new(), Kept::default());
        loop {
            let interval = self.wanted().map_or(QUIET, |w| w.section.interval);
            let last = self.is_closing();
            if !last {
                let _ = timeout(interval, self.outbox.filled(signal)).await;
            }
            self.outbox.take(signal, &mut records);
            let mut rest = &records[..];
            while !rest.is_empty() {
                let most = self.wanted().map_or(u32::MAX, |w| w.section.batch);
                let (len, number) = otlp::first(rest, most, MOST_BYTES);
                let Some((batch, behind)) = rest.split_at_checked(len).filter(|_| number > 0) else { break };
                self.deliver(signal, batch, number, &mut kept).await;
                rest = behind;
            }
            records.clear();
            if last {
                return;
            }
        }
    }

    /// Sends a batch, however often that has to be tried.
    async fn deliver(&self, signal: Signal, batch: &[u8], number: u32, kept: &mut Kept) {
        let began = Instant::now();
        let mut pause = PAUSES.0;
        let size = (batch.len(), number);
        loop {
            let last = self.is_closing();
            // a configuration without such a section has come
            let Some(wanted) = self.wanted() else {
                self.outbox.settle(signal, size).expired.fetch_add(number.into(), Relaxed);
                return;
            };
            let sent = wanted.send(signal, batch, kept.of(&wanted));
            let verdict = match timeout(wanted.section.timeout, sent).await {
                Ok(Ok(answer)) => {
                    let after = answer.field("retry-after");
                    Verdict::of(answer.head.status, &answer.body, after.as_deref())
                }
                Ok(Err(failed)) => Verdict::Later(None, failed.cause.text().into()),
                Err(_) => Verdict::Later(None, "no answer in time".into()),
            };
            let (after, why) = match verdict {
                Verdict::Taken(said) => {
                    let rejected = said.rejected.min(number.into());
                    if rejected > 0 || !said.message.is_empty() {
                        self.tell(&wanted, signal, &format!("{rejected} records rejected: {}", said.message));
                    }
                    let counts = self.outbox.settle(signal, size);
                    counts.sent.fetch_add(u64::from(number) - rejected, Relaxed);
                    counts.rejected.fetch_add(rejected, Relaxed);
                    return;
                }
                Verdict::Refused(why) => {
                    self.outbox.counts(signal).failures.fetch_add(1, Relaxed);
                    self.tell(&wanted, signal, &format!("{number} records refused: {why}"));
                    self.outbox.settle(signal, size).rejected.fetch_add(number.into(), Relaxed);
                    return;
                }
                Verdict::Later(after, why) => (after, why),
            };
            self.outbox.counts(signal).failures.fetch_add(1, Relaxed);
            self.tell(&wanted, signal, &why);
            if last || began.elapsed() >= PATIENCE {
                self.outbox.settle(signal, size).expired.fetch_add(number.into(), Relaxed);
                return;
            }
            let wait = after.unwrap_or_else(|| scattered(pause)).min(PATIENCE);
            let [traces, logs] = &self.closes;
            let closes = if signal == Signal::Traces { traces } else { logs };
            let _ = timeout(wait, closes.notified()).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// What goes wrong, once in a while.
    fn tell(&self, wanted: &Wanted, signal: Signal, what: &str) {
        let mut told = self.told.lock();
        if told.is_some_and(|at| at.elapsed() < QUIET) {
            return;
        }
        *told = Some(Instant::now());
        drop(told);
        let dropped: u64 = Signal::ALL
            .iter()
            .map(|s| self.outbox.counts(*s))
            .map(|c| c.dropped.load(Relaxed) + c.expired.load(Relaxed))
            .sum();
        let (name, url) = (&wanted.section.name, &wanted.endpoint.url);
        let text = format!(
            "otel {name}: cannot send {} to {url}: {what}. {dropped} records dropped so far.",
            signal.name()
        );
        self.log.line(&wanted.loggers, Level::Err, &text);
    }

    /// `show otel`
    #[must_use]
    pub fn report(&self) -> String {
        use std::fmt::Write;
        let mut out = String::new();
        match self.wanted() {
            Some(w) => {
                let (name, url, service) = (&w.section.name, &w.endpoint.url, w.section.service());
                let _ = writeln!(out, "name: {name}\nendpoint: {url}\nservice: {service}");
            }
            None => out.push_str("name: -\n"),
        }
        out.push_str("# signal sent rejected dropped expired failures waiting bytes\n");
        for signal in Signal::ALL {
            let c = self.outbox.counts(signal);
            let all = [&c.sent, &c.rejected, &c.dropped, &c.expired, &c.failures, &c.waiting, &c.bytes];
            let all = all.map(|n| n.load(Relaxed).to_string()).join(" ");
            let _ = writeln!(out, "{} {all}", signal.name());
        }
        out
    }
}

/// A pause that is not the same for all processes that have lost one collector: as long, or up to a half longer.
fn scattered(pause: Duration) -> Duration {
    use std::hash::{BuildHasher, RandomState};
    let part = (RandomState::new().hash_one(0) % 1024) as u32;
    pause + pause * part / 2048
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        assert_eq!(Verdict::of(200, b"", None), Verdict::Taken(Said::default()));
        assert_eq!(
            Verdict::of(503, b"", Some(" 7 ")),
            Verdict::Later(Some(Duration::from_secs(7)), "status 503".into())
        );
        for status in [429, 502, 503, 504] {
            let date = Some("Fri, 27 Nov 2026 21:00:00 GMT");
            assert!(matches!(Verdict::of(status, b"", date), Verdict::Later(None, _)), "{status}");
        }
        for status in [302, 400, 401, 404, 413, 500] {
            assert!(matches!(Verdict::of(status, b"", None), Verdict::Refused(_)), "{status}");
        }
        // a google.rpc.Status
        assert_eq!(
            Verdict::of(400, b"\x08\x03\x12\x03bad", None),
            Verdict::Refused("status 400: bad".into())
        );
    }

    #[test]
    fn pauses_differ() {
        let all: std::collections::HashSet<Duration> = (0..50).map(|_| scattered(PAUSES.0)).collect();
        assert!(all.len() > 1 && all.iter().all(|p| (PAUSES.0..PAUSES.0 * 3 / 2).contains(p)));
    }
}
