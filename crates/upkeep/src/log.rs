//! Lines in the log, to the targets of `global`.

use crate::client::Failed;
use parking_lot::Mutex;
use portcullis_proxy::process::Process;
use portcullis_sys::localtime::stamp;
use portcullis_telemetry::log::{Level, LogWriter, Loggers};
use std::sync::Arc;

/// The way to the log. Lines are rare, and never wait for each other for longer than one is queued.
pub struct Log {
    process: Arc<Process>,
    writer: Mutex<LogWriter>,
}

impl Log {
    /// For this process.
    #[must_use]
    pub fn new(process: &Arc<Process>) -> Self {
        // counted as the control plane's
        let writer = Mutex::new(LogWriter::new(usize::MAX, process.counts.clone()));
        Self { process: process.clone(), writer }
    }

    /// One line.
    pub fn line(&self, to: &Loggers, level: Level, text: &str) {
        let mut writer = self.writer.lock();
        writer.log(to, level, self.process.clock.wall(), b"", text.as_bytes());
        // what finds no room is counted and dropped
        let _ = writer.flush();
    }

    /// A request of our own that got no answer, in the format of `option httplog` as far as it applies.
    pub fn failed(&self, to: &Loggers, who: &str, request: &str, f: &Failed) {
        let (state, status) = f.cause.shown();
        let connected = f.connected.map_or("-1".to_owned(), |ms| ms.to_string());
        let text = format!(
            "-:- [{}] <{who}> -/- 0/0/{connected}/-1/{} {status} 0 - - {state}-- 0/0/0/0/{} 0/0 {{}} \"{request} HTTP/1.1\"",
            stamp(f.began),
            f.total,
            f.retries
        );
        self.line(to, Level::Info, &text);
    }
}
