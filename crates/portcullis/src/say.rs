//! What the process says on standard error, in HAProxy's form: `[ALERT]    (pid) : text`.

use portcullis_config::{Diagnostics, Severity, render};
use std::io::Write;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// `-q` and `quiet`: nothing is said.
static QUIET: AtomicBool = AtomicBool::new(false);
/// The version was told already, as it is before the first warning or alert.
static INTRODUCED: AtomicBool = AtomicBool::new(false);

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

fn message(severity: Severity, text: &str) {
    introduce(severity);
    raw(&format!("{} ({}) : {text}\n", render::tag(severity), std::process::id()));
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

/// One write a message, so that those of several processes do not mix.
fn raw(text: &str) {
    if !quiet() && !text.is_empty() {
        // nowhere to say that it cannot be said
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
}
