//! What the process says on standard error, in HAProxy's form: `[ALERT]    (pid) : text`.

use portcullis_config::{Diagnostics, Severity, render};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// `-q` and `quiet`: nothing is said.
static QUIET: AtomicBool = AtomicBool::new(false);
/// The version was told already, as it is before the first warning or alert.
static INTRODUCED: AtomicBool = AtomicBool::new(false);

/// Warnings that were said.
static WARNED: AtomicU32 = AtomicU32::new(0);

/// What was said since the process began or became what it is, while it is kept.
static KEPT: Mutex<Option<String>> = Mutex::new(None);
/// Most bytes of it.
const MOST_KEPT: usize = 64 * 1024;

/// What was kept when the process began to serve.
static STARTING: OnceLock<String> = OnceLock::new();

/// Where the program is, for its introduction: found while the file system can still be seen.
static PROGRAM: OnceLock<String> = OnceLock::new();

/// Remembers where the program is.
pub fn program(path: &Path) {
    let _ = PROGRAM.set(path.display().to_string());
}

/// Says nothing from now on, or speaks again.
pub fn set_quiet(quiet: bool) {
    QUIET.store(quiet, Ordering::Relaxed);
}

/// Is nothing to be said?
pub fn quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// What keeps the process from working.
pub fn alert(text: impl AsRef<str>) {
    message(Severity::Alert, text.as_ref());
}

/// What an operator should look at.
pub fn warning(text: impl AsRef<str>) {
    message(Severity::Warning, text.as_ref());
}

/// What is good to know.
pub fn notice(text: impl AsRef<str>) {
    message(Severity::Notice, text.as_ref());
}

/// How many warnings were said that are not about a configuration's text.
pub fn warned() -> u32 {
    WARNED.load(Ordering::Relaxed)
}

fn message(severity: Severity, text: &str) {
    if severity == Severity::Warning {
        WARNED.fetch_add(1, Ordering::Relaxed);
    }
    introduce(severity);
    raw(&format!("{} ({}) : {text}\n", render::tag(severity), std::process::id()));
}

/// What workers have to say: left out where nobody reads standard error fast enough.
pub fn aside(severity: Severity, text: &str) {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let stderr = std::io::stderr();
    let mut fds = [PollFd::new(&stderr, PollFlags::OUT)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    if matches!(poll(&mut fds, Some(&now)), Ok(1)) {
        message(severity, text);
    }
}

/// A line for who reads this descriptor fast enough.
pub fn line(to: &impl rustix::fd::AsFd, text: &[u8]) {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::new(to, PollFlags::OUT)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    if matches!(poll(&mut fds, Some(&now)), Ok(1)) {
        // one write: lines of several threads stay whole
        let _ = rustix::io::write(to, &[text, b"\n"].concat());
    }
}

/// Messages that are in their form already.
pub fn lines(text: &str) {
    raw(text);
}

/// The messages about a configuration, from `least` on.
pub fn diagnostics(diags: &Diagnostics, least: Severity) {
    if let Some(worst) = diags.list.iter().map(|d| d.severity).max() {
        introduce(worst);
    }
    raw(&render::all(diags, least, std::process::id()));
}

/// The start is over: who reads on knows by now what this is.
pub fn started() {
    INTRODUCED.store(true, Ordering::Relaxed);
}

/// A forked process introduces itself again.
pub fn introduce_again() {
    INTRODUCED.store(false, Ordering::Relaxed);
}

fn introduce(severity: Severity) {
    if severity < Severity::Warning || INTRODUCED.swap(true, Ordering::Relaxed) {
        return;
    }
    notice(format!("haproxy version is {}", portcullis_config::VERSION));
    let path = PROGRAM.get().map_or("", String::as_str);
    notice(format!("path to executable is {path} (Portcullis {})", env!("CARGO_PKG_VERSION")));
}

/// Keeps what is said from now on (`show startup-logs`).
pub fn keep() {
    *kept() = Some(String::new());
}

/// The process serves: what was kept is what it said while it was starting. Nothing more is kept.
pub fn serves() {
    let _ = STARTING.set(kept().take().unwrap_or_default());
}

/// What the process said while it was starting.
pub fn while_starting() -> String {
    STARTING.get().cloned().unwrap_or_else(so_far)
}

/// What was kept.
pub fn so_far() -> String {
    kept().clone().unwrap_or_default()
}

/// Adds what another process said.
pub fn keep_of_another(text: &str) {
    if let Some(kept) = kept().as_mut() {
        let room = MOST_KEPT.saturating_sub(kept.len());
        // whole lines
        text.split_inclusive('\n')
            .scan(room, |room, l| {
                *room = room.checked_sub(l.len())?;
                Some(l)
            })
            .for_each(|l| kept.push_str(l));
    }
}

fn kept() -> MutexGuard<'static, Option<String>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One write a message, so that those of several processes do not mix.
fn raw(text: &str) {
    keep_of_another(text);
    if !quiet() && !text.is_empty() {
        // nowhere to say that it cannot be said
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
}
