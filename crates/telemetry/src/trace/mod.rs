//! Traces: what happens inside, event by event, for who looks for the reason of something (management manual 9.3 `trace`,
//! configuration manual 12.1).
//!
//! A place that has something to tell asks [`on`] first, which is one relaxed load of a static: nothing is made ready for
//! a source that nobody looks at. What is looked at goes through one [`Traces`] behind a mutex, to a sink by its name.

mod command;
mod desc;
mod rows;
mod source;
mod state;

pub use command::{Said, run};
pub use desc::{HELP, parse};
pub use rows::{Section, rows};
pub use source::{Criterion, Level, Source, events};
pub use state::{Status, Traces};

use std::fmt::Write;
use std::panic::Location;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};

/// Sources that somebody looks at, as bits.
static ACTIVE: AtomicU32 = AtomicU32::new(0);
static TRACES: LazyLock<Mutex<Traces>> = LazyLock::new(Mutex::default);

/// Where lines go: the name of a sink, and a line for it; false: it is lost.
pub type Outlet = Box<dyn Fn(&str, &[u8]) -> bool + Send + Sync>;
static OUTLET: OnceLock<Outlet> = OnceLock::new();

/// Does somebody look at this source?
#[inline(always)]
#[must_use]
pub fn on(source: Source) -> bool {
    ACTIVE.load(Relaxed) & (1 << source as u32) != 0
}

/// What an event is about. Numbers are of the process as long as what they stand for lives.
#[derive(Clone, Copy, Debug, Default)]
pub struct Subject<'a> {
    /// The worker, from 0.
    pub thread: u16,
    /// A client's connection, with all that belongs to it.
    pub session: Option<u64>,
    /// A connection, a client's or a server's.
    pub connection: Option<u64>,
    /// A request or what a TCP connection is.
    pub stream: Option<u64>,
    /// A health check.
    pub check: Option<u64>,
    /// An applet.
    pub applet: Option<u64>,
    /// The address that a client came by.
    pub listener: Option<u64>,
    /// The frontend.
    pub frontend: Option<&'a str>,
    /// The backend.
    pub backend: Option<&'a str>,
    /// The server.
    pub server: Option<&'a str>,
}

/// An event.
pub struct Event<'a> {
    /// Whose it is.
    pub source: Source,
    /// What it is, as bits of the source's table ([`events`]).
    pub events: u64,
    /// From which level on it is shown.
    pub level: Level,
    /// What happens.
    pub what: &'a str,
    /// What it is about.
    pub subject: Subject<'a>,
    /// Writes what more there is to tell at a verbosity above `quiet` (1 is the first).
    pub details: &'a dyn Fn(&mut String, u8),
}

/// Opens the way for lines; once.
pub fn install(outlet: Outlet) {
    let _ = OUTLET.set(outlet);
}

fn traces() -> MutexGuard<'static, Traces> {
    TRACES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks at the state of all sources, or changes it.
pub fn with<T>(work: impl FnOnce(&mut Traces) -> T) -> T {
    let mut traces = traces();
    let done = work(&mut traces);
    ACTIVE.store(traces.active(), Relaxed);
    done
}

/// Tells of an event; to be asked for with [`on`] before.
#[cold]
#[track_caller]
pub fn tell(event: &Event<'_>) {
    let place = Location::caller();
    let Some((sink, verbosity, level)) = with(|t| t.take(event)) else { return };
    let line = line(event, place, verbosity, level);
    let sent = OUTLET.get().is_some_and(|outlet| outlet(&sink, line.as_bytes()));
    if !sent {
        with(|t| t.lost(event.source));
    }
}

/// `[thread|source|level|place] what : details`, as HAProxy writes it; `level` is that of the source.
fn line(event: &Event<'_>, place: &Location<'_>, verbosity: u8, level: Level) -> String {
    let mut line = String::with_capacity(128);
    let at = format!("{}:{}", place.file(), place.line());
    let short = at.len().saturating_sub(13);
    let _ = write!(
        line,
        "[{:02}|{}|{}|{}] {}",
        event.subject.thread,
        event.source.name(),
        event.level as u8,
        at.get(short..).unwrap_or(&at),
        event.what
    );
    if verbosity > 0 {
        let before = line.len();
        line.push_str(" : ");
        let empty = line.len();
        (event.details)(&mut line, verbosity);
        if line.len() == empty {
            line.truncate(before);
        }
        if level >= Level::Developer {
            subject(&mut line, &event.subject);
        }
    }
    // one event is one line
    line.retain(|c| c != '\n' && c != '\r');
    line
}

/// Who it is about, for developers.
fn subject(line: &mut String, s: &Subject<'_>) {
    line.push_str(" -");
    let numbers = [
        ("sess", s.session),
        ("conn", s.connection),
        ("strm", s.stream),
        ("check", s.check),
        ("appctx", s.applet),
    ];
    for (name, n) in numbers.iter().filter_map(|(name, n)| Some((name, (*n)?))) {
        let _ = write!(line, " {name}=0x{n:x}");
    }
    for (name, text) in [("fe", s.frontend), ("be", s.backend), ("srv", s.server)] {
        if let Some(text) = text {
            let _ = write!(line, " {name}={text}");
        }
    }
}

#[cfg(test)]
mod tests;
