//! What takes longer than a worker may: done by a thread of its own, which is there only where a configuration needs it.
//!
//! A fetch hands in a job and gives `NotYet`; whoever evaluates where waiting is possible says so first ([`waiting`]), and
//! afterwards takes the [`Pending`] that it has to wait for, throws its answer away and evaluates again. Where nobody can
//! wait the job is done at once, on the worker.

use crate::Expr;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

/// Jobs that may wait for the thread; a fetch whose job finds no room has no answer.
const ROOM: usize = 256;

/// What is to be done; its result it leaves where the fetch finds it.
pub type Job = Box<dyn FnOnce() + Send>;

struct Task {
    job: Job,
    done: Arc<Done>,
}

#[derive(Default)]
struct Done {
    over: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Drop for Task {
    /// Wakes who waits, also if the job panicked.
    fn drop(&mut self) {
        self.done.over.store(true, Ordering::Release);
        let waker = self.done.waker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

static QUEUE: OnceLock<SyncSender<Task>> = OnceLock::new();

thread_local! {
    static ALLOWED: Cell<bool> = const { Cell::new(false) };
    static PENDING: RefCell<Option<Pending>> = const { RefCell::new(None) };
    static NOTED: RefCell<Vec<Expr>> = const { RefCell::new(Vec::new()) };
}

/// Starts the thread; once, before anything is evaluated.
///
/// # Errors
/// The system's.
pub fn start() -> std::io::Result<()> {
    if QUEUE.get().is_some() {
        return Ok(());
    }
    let (sender, jobs) = sync_channel(ROOM);
    std::thread::Builder::new().name("hashes".into()).spawn(move || serve(&jobs))?;
    let _ = QUEUE.set(sender);
    Ok(())
}

fn serve(jobs: &Receiver<Task>) {
    while let Ok(mut task) = jobs.recv() {
        let job = std::mem::replace(&mut task.job, Box::new(|| {}));
        // a job that panics has no answer; the next ones have
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
    }
}

/// What became of a job.
pub enum Submitted {
    /// Somebody waits for it.
    Waits,
    /// There is no room.
    Full,
    /// Nobody can wait for it here: to be done now.
    Here(Job),
}

/// Notes an expression that was read and may take long.
pub(crate) fn note(expr: &Expr) {
    NOTED.with_borrow_mut(|all| all.push(expr.clone()));
}

/// The expressions that were read on this thread since it was asked last and that may take long.
#[must_use]
pub fn noted() -> Vec<Expr> {
    NOTED.take()
}

/// Hands in a job.
pub(crate) fn submit(job: Job) -> Submitted {
    let Some(queue) = QUEUE.get().filter(|_| ALLOWED.get()) else { return Submitted::Here(job) };
    let done = Arc::new(Done::default());
    match queue.try_send(Task { job, done: done.clone() }) {
        Ok(()) => {
            PENDING.set(Some(Pending(done)));
            Submitted::Waits
        }
        Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Submitted::Full,
    }
}

/// Evaluates something where jobs can be waited for; what must be waited for before it is evaluated again, if anything.
pub fn waiting<T>(evaluate: impl FnOnce() -> T) -> (T, Option<Pending>) {
    ALLOWED.set(true);
    let answer = evaluate();
    ALLOWED.set(false);
    (answer, PENDING.take())
}

/// A job that is not done yet; ready when it is.
pub struct Pending(Arc<Done>);

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pending")
    }
}

impl Future for Pending {
    type Output = ();
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        *self.0.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        if self.0.over.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
    }
}
