//! The `log` lines of one proxy, compiled.

use super::Level;
use super::framing::{Framing, Sender};
use super::sink::{Sink, Sinks, To};
use portcullis_config::{LogFraming, LogTarget};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Does any target want structured data?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Structured {
    /// No: `log-format-sd` need not be evaluated.
    Unwanted,
    /// An rfc5424 target is there.
    Wanted,
}

/// One `log` line.
#[derive(Debug)]
pub(super) struct Logger {
    pub(super) sink: Arc<Sink>,
    pub(super) framing: Framing,
    pub(super) max_len: usize,
    max_level: u8,
    min_level: u8,
    sample: Option<Sample>,
}

/// `sample`: which of how many lines; the count is the process's.
#[derive(Debug)]
struct Sample {
    ranges: Box<[(u32, u32)]>,
    size: u64,
    seen: AtomicU64,
}

impl Logger {
    /// At which level the line goes out, if it does.
    pub(super) fn accepts(&self, level: Level) -> Option<Level> {
        if level as u8 > self.max_level || !self.sample.as_ref().is_none_or(Sample::takes) {
            return None;
        }
        Some(level.max(from_number(self.min_level)))
    }
}

impl Sample {
    fn takes(&self) -> bool {
        let number = self.seen.fetch_add(1, Relaxed) % self.size + 1;
        self.ranges.iter().any(|(low, high)| (u64::from(*low)..=u64::from(*high)).contains(&number))
    }
}

/// The level of this number; everything beyond `debug` is `debug`.
pub(super) fn from_number(number: u8) -> Level {
    match number {
        0 => Level::Emerg,
        1 => Level::Alert,
        2 => Level::Crit,
        3 => Level::Err,
        4 => Level::Warning,
        5 => Level::Notice,
        6 => Level::Info,
        _ => Level::Debug,
    }
}

/// The `log` lines of one proxy (or of `global`), compiled; shared by all workers.
#[derive(Debug, Default)]
pub struct Loggers {
    pub(super) list: Box<[Logger]>,
    wants_data: bool,
}

impl Loggers {
    /// Compiles the lines of a proxy: `log global` stands for the lines of `global`. `tag` is the proxy's `log-tag`, or
    /// the global one's. Destinations are opened in `sinks` if they are not yet.
    ///
    /// # Errors
    /// The first destination that cannot be opened, with the reason.
    pub fn new(
        sinks: &Sinks,
        lines: &[LogTarget],
        global: &[LogTarget],
        tag: Option<&str>,
    ) -> Result<Self, Box<(LogTarget, io::Error)>> {
        let mut list = Vec::new();
        for line in lines {
            let all = if line.global { global } else { std::slice::from_ref(line) };
            for target in all.iter().filter(|t| !t.global) {
                list.push(logger(sinks, target, tag).map_err(|e| Box::new((target.clone(), e)))?);
            }
        }
        let wants_data = list.iter().any(|l| l.1);
        Ok(Self { list: list.into_iter().map(|l| l.0).collect(), wants_data })
    }
    /// None at all: the caller need not even format.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
    /// Shall `log-format-sd` be evaluated?
    pub fn structured(&self) -> Structured {
        if self.wants_data { Structured::Wanted } else { Structured::Unwanted }
    }
}

fn logger(sinks: &Sinks, target: &LogTarget, tag: Option<&str>) -> io::Result<(Logger, bool)> {
    let sink = sinks.open(target)?;
    // a ring's format and length are the ring's
    let (format, max_len) = match &sink.to {
        To::Ring(ring) => match ring.config().format {
            LogFraming::Unspecified => (LogFraming::Raw, target.len.min(ring.config().maxlen)),
            format => (format, target.len.min(ring.config().maxlen)),
        },
        _ => (target.format, target.len),
    };
    let sender = Sender { host: sinks.host(), tag: tag.unwrap_or(sinks.tag()), pid: sinks.pid() };
    let sample = target.sample.as_ref().map(|(ranges, size)| Sample {
        ranges: ranges.as_slice().into(),
        size: u64::from((*size).max(1)),
        seen: AtomicU64::new(0),
    });
    let logger = Logger {
        sink,
        framing: Framing::new(format, target.facility, &sender),
        max_len: max_len.max(2),
        max_level: target.max_level,
        min_level: target.min_level,
        sample,
    };
    Ok((logger, format == LogFraming::Rfc5424))
}
