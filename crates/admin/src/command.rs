//! What a command is: one row of the table, how it is found, and what it answers.

use crate::admin::Admin;
use crate::session::Cli;
use crate::socket::Level;
use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;

/// A command of the Runtime API.
pub struct Row {
    /// Its words, one blank between them.
    pub name: &'static str,
    /// What follows them, as `help` shows it.
    pub args: &'static str,
    /// What a connection must be allowed to do.
    pub level: Level,
    /// `help` does not list it.
    pub hidden: bool,
    /// One sentence.
    pub help: &'static str,
    /// What it does.
    pub run: fn(&mut Call<'_>) -> Outcome,
}

impl Row {
    /// A row.
    pub const fn new(
        name: &'static str,
        args: &'static str,
        level: Level,
        help: &'static str,
        run: fn(&mut Call<'_>) -> Outcome,
    ) -> Self {
        Self { name, args, level, hidden: false, help, run }
    }
    /// The same row, but not listed by `help`.
    #[must_use]
    pub const fn hide(mut self) -> Self {
        self.hidden = true;
        self
    }
    /// The line of `help`, without its line feed.
    #[must_use]
    pub fn usage(&self) -> String {
        usage(self.name, self.args, self.help)
    }
    /// Does the command consist of this row's words (and more)?
    fn fits(&self, words: &[Vec<u8>]) -> bool {
        self.name.split(' ').enumerate().all(|(i, w)| words.get(i).is_some_and(|g| g == w.as_bytes()))
    }
}

/// A line of `help`.
#[must_use]
pub fn usage(name: &str, args: &str, help: &str) -> String {
    let left = if args.is_empty() { name.to_owned() } else { format!("{name} {args}") };
    match left.len() <= 40 {
        true => format!("  {left:<40}: {help}"),
        false => format!("  {left} : {help}"),
    }
}

/// Severity of a message, as syslog numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It did not work.
    Err = 3,
    /// Nothing was to be done.
    Notice = 5,
    /// For information.
    Info = 6,
}

/// What a command answers.
pub enum Outcome {
    /// Nothing but the empty line that ends every answer.
    Nothing,
    /// A message with its severity.
    Say(Severity, Cow<'static, str>),
    /// Text that may be long; whole lines.
    Text(Vec<u8>),
    /// Text in pieces, each made when the one before has been sent.
    Pieces(Box<dyn Iterator<Item = Vec<u8>> + Send>),
    /// What a ring holds and what comes into it, until the client sends something.
    Follow(Follow),
    /// Something to wait for.
    Later(Pin<Box<dyn Future<Output = Outcome>>>),
    /// Give the listening sockets over the connection, then close it.
    GiveSockets,
    /// Close the connection.
    Close,
}

/// A ring that is read as it is written (`show events -w`).
pub struct Follow {
    /// The ring.
    pub ring: Arc<portcullis_telemetry::log::Ring>,
    /// The number of the next event.
    pub at: u64,
    /// What stands behind each.
    pub end: u8,
}

impl Follow {
    /// The next bytes; none: [`Follow::more`] tells when there are some.
    pub fn next(&mut self, most: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.at = self.ring.read(self.at, self.end, most, &mut bytes);
        bytes
    }
    /// Waits for the next event.
    pub async fn more(&self) {
        std::future::poll_fn(|cx| match self.ring.wait(self.at, cx.waker()) {
            true => std::task::Poll::Pending,
            false => std::task::Poll::Ready(()),
        })
        .await;
    }
}

impl Outcome {
    /// It did not work.
    pub fn err(text: impl Into<Cow<'static, str>>) -> Self {
        Self::Say(Severity::Err, text.into())
    }
    /// For information.
    pub fn info(text: impl Into<Cow<'static, str>>) -> Self {
        Self::Say(Severity::Info, text.into())
    }
    /// Nothing was to be done.
    pub fn notice(text: impl Into<Cow<'static, str>>) -> Self {
        Self::Say(Severity::Notice, text.into())
    }
}

/// A command as it runs.
pub struct Call<'a> {
    /// The process.
    pub admin: &'a Arc<Admin>,
    /// The connection.
    pub cli: &'a mut Cli,
    /// Its words, the command's own included.
    pub words: &'a [Vec<u8>],
    /// The payload, without the line that ended it.
    pub payload: Option<&'a [u8]>,
}

impl Call<'_> {
    /// Word `i`; empty when there is none.
    #[must_use]
    pub fn arg(&self, i: usize) -> Cow<'_, str> {
        self.words.get(i).map_or(Cow::Borrowed(""), |w| String::from_utf8_lossy(w))
    }
    /// Are there words from `i` on?
    #[must_use]
    pub fn has(&self, i: usize) -> bool {
        self.words.len() > i
    }
}

/// The row of a command: the longest that fits.
#[must_use]
pub fn find(words: &[Vec<u8>]) -> Option<&'static Row> {
    all().filter(|r| r.fits(words)).max_by_key(|r| r.name.len())
}

/// Every row, in the order of `help`.
pub fn all() -> impl Iterator<Item = &'static Row> {
    crate::commands::ALL.iter().copied()
}

/// Runs a command if the connection may.
pub fn run(call: &mut Call<'_>) -> Outcome {
    let Some(row) = find(call.words) else { return crate::near::unknown(call) };
    if row.level > call.cli.level {
        return Outcome::err("Permission denied");
    }
    (row.run)(call)
}

/// The dump of `-dKcli`: every command with where it is valid; `master` has those of the master.
#[must_use]
pub fn dump(master: &[&str]) -> String {
    let mut lines: Vec<(&str, &str)> = Vec::new();
    for name in master {
        let both = all().any(|r| r.name == *name);
        lines.push((name, if both { "[MASTER] [WORKER]" } else { "[MASTER]" }));
    }
    lines.extend(all().map(|r| r.name).filter(|n| !master.contains(n)).map(|n| (n, "[WORKER]")));
    lines.sort_unstable();
    let lines = lines.iter().map(|(name, of)| format!("{name} {of} \n"));
    format!("# List of registered CLI keywords:\n{}", lines.collect::<String>())
}
