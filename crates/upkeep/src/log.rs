//! Lines in the log, to the targets of `global`.

use crate::client::{Answer, Course, Failed};
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
        self.request(to, who, request, &f.course, ("-1", state, status));
    }

    /// Likewise, one whose answer tells of an error of the server; others are as they should be (`option dontlog-normal`).
    pub fn answered(&self, to: &Loggers, who: &str, request: &str, answer: &Answer) {
        let status = answer.head.status;
        if status >= 500 {
            let took = answer.course.total.saturating_sub(answer.course.connected.unwrap_or_default());
            self.request(to, who, request, &answer.course, (&took.to_string(), "--", status));
        }
    }

    fn request(
        &self,
        to: &Loggers,
        who: &str,
        request: &str,
        course: &Course,
        (response, state, status): (&str, &str, u16),
    ) {
        let connected = course.connected.map_or("-1".to_owned(), |ms| ms.to_string());
        let text = format!(
            "-:- [{}] <{who}> -/- 0/0/{connected}/{response}/{} {status} {} - - {state}-- 0/0/0/0/{} 0/0 {{}} \"{request} HTTP/1.1\"",
            stamp(course.began),
            course.total,
            course.bytes,
            course.retries
        );
        self.line(to, Level::Info, &text);
    }
}
