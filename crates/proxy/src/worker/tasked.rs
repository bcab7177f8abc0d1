//! A worker's tasks: each says in the worker's [`Ledger`](portcullis_telemetry::ledger::Ledger) that it is called, and what its
//! calls cost while that is measured.

use super::Worker;
use super::slots::SlotId;
use pin_project_lite::pin_project;
use portcullis_telemetry::ledger::{Kind, Ledger};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::task::JoinHandle;

pin_project! {
    /// A future of this kind.
    struct Tasked<F> {
        own: Own,
        #[pin]
        inner: F,
    }
}

/// What a task is: one more of its kind, until it is dropped.
struct Own {
    worker: Rc<Worker>,
    /// The index of its slot; [`NONE`]: it has none that says anything.
    slot: u32,
    kind: Kind,
}

const NONE: u32 = u32::MAX;

impl Own {
    fn ledger(&self) -> Option<&Ledger> {
        self.worker.process.ledgers.of(self.worker.id.into())
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if let Some(ledger) = self.ledger() {
            ledger.went(self.kind);
        }
    }
}

/// Runs a future as a task of this worker. The slot is what there is to tell about it.
pub fn spawn<F>(worker: &Rc<Worker>, kind: Kind, slot: Option<SlotId>, inner: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    tokio::task::spawn_local(tasked(worker, kind, slot, inner))
}

/// The same for a large one, which is not moved about while the task is made.
pub fn spawn_large<F>(worker: &Rc<Worker>, kind: Kind, slot: Option<SlotId>, inner: F)
where
    F: Future<Output = ()> + 'static,
{
    tokio::task::spawn_local(of_size(size_of::<F>(), worker, kind, slot, Box::pin(inner)));
}

/// A task that somebody else runs.
pub(super) fn tasked<F: Future>(
    worker: &Rc<Worker>,
    kind: Kind,
    slot: Option<SlotId>,
    inner: F,
) -> impl Future<Output = F::Output> + use<F> {
    of_size(0, worker, kind, slot, inner)
}

/// `beside`: what it holds on the heap.
fn of_size<F: Future>(
    beside: usize,
    worker: &Rc<Worker>,
    kind: Kind,
    slot: Option<SlotId>,
    inner: F,
) -> impl Future<Output = F::Output> + use<F> {
    let own = Own { worker: worker.clone(), slot: slot.map_or(NONE, |s| s.index), kind };
    if let Some(ledger) = own.ledger() {
        ledger.came(kind, size_of::<Tasked<F>>() + beside);
    }
    Tasked { own, inner }
}

impl<F: Future> Future for Tasked<F> {
    type Output = F::Output;
    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let Some(ledger) = this.own.ledger() else { return this.inner.poll(cx) };
        ledger.call(this.own.kind);
        if ledger.measured() {
            return measured(this.own, ledger, || this.inner.poll(cx));
        }
        let done = this.inner.poll(cx);
        if ledger.late() {
            this.own.worker.was_late(this.own.kind, this.own.slot);
        }
        done
    }
}

#[cold]
fn measured<T>(own: &Own, ledger: &Ledger, call: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let done = call();
    let nanos = |d: std::time::Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
    let waited = began.saturating_duration_since(own.worker.turn_began.get().unwrap_or(began));
    ledger.called(own.kind, nanos(began.elapsed()), nanos(waited));
    if ledger.late() {
        own.worker.was_late(own.kind, own.slot);
    }
    done
}

impl Worker {
    /// A task has held this worker up, as its watch has seen: tells what it was.
    #[cold]
    pub(super) fn was_late(&self, kind: Kind, slot: u32) {
        let Some(ledger) = self.process.ledgers.of(self.id.into()) else { return };
        ledger.told();
        let lasted = ledger.since().map_or(0, |since| self.process.clock.now().0.saturating_sub(since));
        let what = match slot {
            NONE => String::new(),
            slot => self.slots.about(slot).map_or_else(String::new, |info| self.described(&info)),
        };
        let text = format!(
            "thread {} goes on after {lasted} milliseconds: a task of kind '{}'{what} has held it up.",
            self.id + 1,
            kind.name()
        );
        self.process.say(portcullis_config::Severity::Warning, &text);
    }

    fn described(&self, info: &super::slots::Info) -> String {
        let mut text = String::new();
        if let Some(stream) = &info.stream {
            let name = |i: u32| stream.plan.proxies.get(i as usize).map_or("", |p| &*p.name).to_owned();
            text.push_str(&format!(" (frontend '{}'", name(stream.frontend)));
            if let Some(back) = stream.to() {
                text.push_str(&format!(", backend '{}'", back.name));
            }
            if let Some(server) = stream.on(&self.process) {
                text.push_str(&format!(", server '{}'", server.name));
            }
            text.push_str(&format!(", request {}", stream.request));
        }
        if let Some(client) = info.client {
            text.push_str(if text.is_empty() { " (" } else { ", " });
            text.push_str(&format!("client {}", crate::worker::watch::peer(client)));
        }
        if !text.is_empty() {
            text.push(')');
        }
        text
    }
}
