//! What happened to the request that is being explained.

use super::Canned;
use crate::plan::ProxyPlan;
use crate::rules::RuleCx;
use crate::rules::lang::{Facts, Verdict, Watch};
use portcullis_config::Place;
use portcullis_message::Head;
use portcullis_sample::vars::VarScope;
use portcullis_sample::{Test, Value};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

/// A head, as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Request line or status line.
    pub line: String,
    /// Names in lower case, and values.
    pub fields: Vec<(String, String)>,
}

impl Sent {
    /// Of a request.
    #[must_use]
    pub fn request(head: &Head) -> Self {
        let v = head.version;
        let line = format!("{} {} HTTP/{}.{}", text(head.method()), text(head.target()), v.major, v.minor);
        Self { line, fields: fields(head) }
    }
    /// Of a response.
    #[must_use]
    pub fn response(head: &Head) -> Self {
        Self { line: format!("{} {}", head.status, text(head.reason())), fields: fields(head) }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn fields(head: &Head) -> Vec<(String, String)> {
    head.fields().map(|f| (text(f.name), text(f.value))).collect()
}

/// A value that a condition looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// The sample's expression, as written.
    pub sample: String,
    /// Its value; `None`: it has none.
    pub value: Option<String>,
    /// What the test said of it.
    pub verdict: Verdict,
}

/// A rule whose condition was evaluated, and what its action changed if it was executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The rule's line.
    pub place: Place,
    /// What the condition came to.
    pub verdict: Verdict,
    /// What it looked at.
    pub looked: Vec<Looked>,
    /// What changed, a line each, with `+` or `-` in front.
    pub changes: Vec<String>,
}

/// What happened so far.
#[derive(Debug, Default)]
pub struct Trace {
    /// Rules, in the order in which they ran.
    pub rules: Vec<Judged>,
    /// The request as it came.
    pub received: Option<Sent>,
    /// The request as it would have gone to the server.
    pub sent: Option<Sent>,
    /// The server's response as it came, if there is one.
    pub answered: Option<Sent>,
    /// Names of frontend, backend and server.
    pub frontend: Option<String>,
    /// See `frontend`.
    pub backend: Option<String>,
    /// See `frontend`.
    pub server: Option<String>,
    /// Log lines, without what comes before their text.
    pub logs: Vec<String>,
    /// The status that the log would have.
    pub status: Option<i32>,
    /// Cause and phase of the end that the log would have.
    pub termination: Option<String>,
    /// The stream is over.
    pub over: bool,
    /// What answers in place of servers.
    pub(super) canned: Canned,
    /// Who waits for the end.
    pub(super) waker: Option<Waker>,
    looked: Vec<Looked>,
    before: Option<Snapshot>,
}

static ON: AtomicBool = AtomicBool::new(false);

thread_local! {
    static TRACE: RefCell<Option<Box<Trace>>> = const { RefCell::new(None) };
}

/// Is a request being explained in this process?
#[inline]
#[must_use]
pub(crate) fn on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// Begins to note down; this answers in place of servers.
pub(super) fn begin(canned: Canned) {
    TRACE.set(Some(Box::new(Trace { canned, ..Trace::default() })));
    ON.store(true, Ordering::Relaxed);
}

/// What was noted down.
pub(super) fn end() -> Trace {
    TRACE.take().map(|t| *t).unwrap_or_default()
}

/// Looks at, or changes, what is noted.
pub(super) fn with<T>(f: impl FnOnce(&mut Trace) -> T) -> Option<T> {
    TRACE.with_borrow_mut(|t| t.as_deref_mut().map(f))
}

/// Is told what rules do. `()` is not.
pub trait Observer: Watch {
    /// The condition of the rule that stands here came to this.
    fn judged(&mut self, place: Place, verdict: Verdict);
    /// An action is about to be executed.
    fn before(&mut self, cx: &RuleCx<'_, '_>);
    /// It was executed.
    fn after(&mut self, cx: &RuleCx<'_, '_>);
}

impl Observer for () {
    #[inline]
    fn judged(&mut self, _: Place, _: Verdict) {}
    #[inline]
    fn before(&mut self, _: &RuleCx<'_, '_>) {}
    #[inline]
    fn after(&mut self, _: &RuleCx<'_, '_>) {}
}

/// Notes down what it is told.
pub(crate) struct Noting;

/// Who is to be told.
#[inline]
pub(crate) fn observer() -> Option<Noting> {
    on().then_some(Noting)
}

impl Watch for Noting {
    const WATCHES: bool = true;
    fn value(&mut self, test: &Test, value: Option<&Value<'_>>, verdict: Verdict) {
        let value = value.map(|v| text(&v.clone().into_text()));
        let looked = Looked { sample: test.expr.text().to_owned(), value, verdict };
        with(|t| t.looked.push(looked));
    }
}

impl Observer for Noting {
    fn judged(&mut self, place: Place, verdict: Verdict) {
        with(|t| {
            let looked = std::mem::take(&mut t.looked);
            // a rule that had to wait is evaluated again
            if t.rules.last().is_some_and(|r| r.place == place && r.verdict == Verdict::NotYet) {
                t.rules.pop();
            }
            t.rules.push(Judged { place, verdict, looked, changes: Vec::new() });
        });
    }
    fn before(&mut self, cx: &RuleCx<'_, '_>) {
        let snapshot = Snapshot::of(cx);
        with(|t| t.before = Some(snapshot));
    }
    fn after(&mut self, cx: &RuleCx<'_, '_>) {
        let now = Snapshot::of(cx);
        with(|t| {
            let Some(before) = t.before.take() else { return };
            if let Some(rule) = t.rules.last_mut() {
                rule.changes.extend(before.changes(&now));
            }
        });
    }
}

/// What actions may change and we can see.
#[derive(Debug, Default)]
struct Snapshot {
    lines: Vec<String>,
}

impl Snapshot {
    fn of(cx: &RuleCx<'_, '_>) -> Self {
        let mut lines = Vec::new();
        for head in [cx.request.as_deref().map(Sent::request), cx.response.as_deref().map(Sent::response)] {
            let Some(head) = head else { continue };
            lines.push(head.line);
            lines.extend(head.fields.into_iter().map(|(n, v)| format!("{n}: {v}")));
        }
        let f = &cx.facts;
        for (name, scope) in
            [("sess", VarScope::Sess), ("txn", VarScope::Txn), ("req", VarScope::Req), ("res", VarScope::Res)]
        {
            f.vars.each(scope, cx.direction, |var, value| {
                lines.push(format!("{name}.{var} = {}", text(&value.clone().into_text())));
            });
        }
        let mut address = |name: &str, value: Option<SocketAddr>| {
            lines.extend(value.map(|a| format!("{name} = {a}")));
        };
        address("src", f.altered.as_ref().and_then(|a| a.source));
        address("dst", f.altered.as_ref().and_then(|a| a.destination));
        let e = &cx.effects;
        lines.extend(
            e.log_level.map(|l| format!("log level = {}", l.map_or("silent".into(), |n| n.to_string()))),
        );
        Self { lines }
    }

    /// Lines that are gone, then lines that came.
    fn changes(&self, now: &Self) -> Vec<String> {
        let (mut old, mut fresh) = (self.lines.clone(), Vec::new());
        for line in &now.lines {
            match old.iter().position(|l| l == line) {
                Some(at) => drop(old.remove(at)),
                None => fresh.push(format!("+ {line}")),
            }
        }
        old.into_iter().map(|l| format!("- {l}")).chain(fresh).collect()
    }
}

/// A request's head has come.
#[inline]
pub(crate) fn received(head: &Head, front: &ProxyPlan) {
    if on() {
        with(|t| {
            t.received = Some(Sent::request(head));
            t.frontend = Some(front.name.to_string());
        });
    }
}

/// A server was chosen.
pub(crate) fn chosen(backend: &str, server: &str) {
    with(|t| {
        t.backend = Some(backend.to_owned());
        t.server = Some(server.to_owned());
    });
}

/// A log line would be written.
pub(crate) fn logged(write: impl FnOnce(&mut Vec<u8>)) {
    let mut line = Vec::new();
    write(&mut line);
    with(|t| t.logs.push(text(&line)));
}

/// A stream is over.
#[inline]
pub(crate) fn over(facts: &Facts<'_>) {
    if on() {
        let waker = with(|t| {
            t.status = Some(facts.status);
            t.termination = Some(text(&facts.termination));
            if t.backend.is_none() && facts.backend_name != facts.frontend_name {
                t.backend = Some(facts.backend_name.to_owned());
            }
            t.over = true;
            t.waker.take()
        });
        if let Some(waker) = waker.flatten() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_line_by_line() {
        let of = |lines: &[&str]| Snapshot { lines: lines.iter().map(|l| (*l).to_owned()).collect() };
        let changes = of(&["a: 1", "a: 1", "b: 2"]).changes(&of(&["a: 1", "b: 3", "c: 4"]));
        assert_eq!(changes, ["- a: 1", "- b: 2", "+ b: 3", "+ c: 4"]);
        assert!(of(&["a"]).changes(&of(&["a"])).is_empty());
    }
}
