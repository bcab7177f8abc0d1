//! What a session's task costs (`cpu_calls`, `cpu_ns_tot`, `lat_ns_tot` …): measured only where a configuration asks for it.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// Costs of a task since its request began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Costs {
    /// Calls, the one that runs included.
    pub calls: u64,
    /// Time in them.
    pub cpu: Duration,
    /// Time between being woken and being called.
    pub latency: Duration,
}

static WANTED: AtomicBool = AtomicBool::new(false);
static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

thread_local! {
    /// Those of the task that runs, and when this call began.
    static NOW: Cell<(Costs, Option<Instant>)> = const { Cell::new((Costs { calls: 0, cpu: Duration::ZERO, latency: Duration::ZERO }, None)) };
}

/// An expression asks for costs.
pub(crate) fn want() {
    WANTED.store(true, Ordering::Relaxed);
}

/// Does any expression ask for them?
#[inline]
#[must_use]
pub fn wanted() -> bool {
    WANTED.load(Ordering::Relaxed)
}

/// A request begins: what came before is not its own.
#[inline]
pub fn begin() {
    if wanted() {
        let (_, since) = NOW.get();
        NOW.set((Costs { calls: 1, ..Costs::default() }, since.map(|_| Instant::now())));
    }
}

/// Costs of the task that runs, so far.
#[must_use]
pub fn now() -> Costs {
    let (costs, since) = NOW.get();
    let running = since.map_or(Duration::ZERO, |s| s.elapsed());
    Costs { cpu: costs.cpu + running, ..costs }
}

/// When a task was woken last, in nanoseconds since [`ORIGIN`]; 0: it was called since.
struct Woken {
    at: AtomicU64,
    task: Mutex<Option<Waker>>,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        let now = ORIGIN.elapsed().as_nanos() as u64;
        let _ = self.at.compare_exchange(0, now.max(1), Ordering::Relaxed, Ordering::Relaxed);
        if let Some(task) = &*self.task.lock().unwrap_or_else(PoisonError::into_inner) {
            task.wake_by_ref();
        }
    }
}

/// A task whose costs are measured.
pub struct Measured {
    inner: Pin<Box<dyn Future<Output = ()>>>,
    costs: Costs,
    woken: Arc<Woken>,
    waker: Waker,
}

impl Measured {
    /// This one's.
    #[must_use]
    pub fn new(inner: impl Future<Output = ()> + 'static) -> Self {
        let woken = Arc::new(Woken { at: AtomicU64::new(0), task: Mutex::default() });
        Self { inner: Box::pin(inner), costs: Costs::default(), waker: woken.clone().into(), woken }
    }
}

impl Future for Measured {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut costs = this.costs;
        costs.calls += 1;
        let woken = this.woken.at.swap(0, Ordering::Relaxed);
        if woken > 0 {
            costs.latency += ORIGIN.elapsed().saturating_sub(Duration::from_nanos(woken));
        }
        {
            let mut task = this.woken.task.lock().unwrap_or_else(PoisonError::into_inner);
            if !task.as_ref().is_some_and(|t| t.will_wake(cx.waker())) {
                *task = Some(cx.waker().clone());
            }
        }
        NOW.set((costs, Some(Instant::now())));
        let done = this.inner.as_mut().poll(&mut Context::from_waker(&this.waker));
        this.costs = now();
        NOW.set((Costs::default(), None));
        done
    }
}

/// Whose use of the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// This thread's.
    Thread,
    /// The average of all workers.
    Process,
}

/// A use is measured over this time at least.
const SPAN: Duration = Duration::from_millis(100);

/// When the use was measured last, how much of the processor had been used then, and the percentage.
type Usage = Cell<Option<(Instant, Duration, i64)>>;

thread_local! {
    static USAGE: [Usage; 2] = const { [Cell::new(None), Cell::new(None)] };
}

/// Use of the processor between 0 and 100, over the time since it was last asked for.
#[must_use]
pub fn usage(whose: Whose) -> i64 {
    let (clock, of) = match whose {
        Whose::Thread => (rustix::time::ClockId::ThreadCPUTime, 1),
        Whose::Process => (rustix::time::ClockId::ProcessCPUTime, crate::facts::workers()),
    };
    let used = Duration::try_from(rustix::time::clock_gettime(clock)).unwrap_or_default();
    let now = Instant::now();
    USAGE.with(|all| {
        let Some(slot) = all.get(whose as usize) else { return 0 };
        match slot.get() {
            Some((at, _, percent)) if now.duration_since(at) < SPAN => percent,
            Some((at, before, _)) => {
                let span = now.duration_since(at).as_nanos().max(1) * u128::from(of.max(1));
                let percent = (used.saturating_sub(before).as_nanos() * 100 / span).min(100) as i64;
                slot.set(Some((now, used, percent)));
                percent
            }
            None => {
                slot.set(Some((now, used, 0)));
                0
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_measured_call_by_call() {
        want();
        let mut calls = 0;
        let mut seen = Vec::new();
        let seen_by = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
        let by = seen_by.clone();
        let mut task = Measured::new(std::future::poll_fn(move |cx| {
            calls += 1;
            let until = Instant::now() + Duration::from_millis(2);
            while Instant::now() < until {}
            by.borrow_mut().push(now());
            if calls == 2 {
                begin();
                by.borrow_mut().push(now());
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        }));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut task).poll(&mut cx).is_pending());
        let until = Instant::now() + Duration::from_millis(2);
        while Instant::now() < until {}
        assert!(Pin::new(&mut task).poll(&mut cx).is_ready());
        seen.extend(seen_by.borrow().iter().copied());
        let two = Duration::from_millis(2);
        assert!(seen[0].calls == 1 && seen[0].cpu >= two && seen[0].latency.is_zero(), "{seen:?}");
        assert!(seen[1].calls == 2 && seen[1].cpu >= 2 * two && seen[1].latency >= two, "{seen:?}");
        assert!(seen[2].calls == 1 && seen[2].latency.is_zero() && seen[2].cpu < two, "{seen:?}");
    }

    #[test]
    fn use_is_a_percentage() {
        assert!((0..=100).contains(&usage(Whose::Thread)) && (0..=100).contains(&usage(Whose::Process)));
    }
}
