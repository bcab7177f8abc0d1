//! A worker: one thread, one core, one reactor. Its tasks, buffers, timers, idle server connections and counters are
//! its own; other threads reach it by its mailbox only.

pub mod mailbox;
pub mod slots;
pub mod story;
pub mod task;
pub mod tasked;
pub mod turn;
pub mod watch;

use mailbox::{Mail, Mailbox};
use portcullis_sample::Random;
use portcullis_telemetry::counter::Counter;
use portcullis_telemetry::ledger::{Acts, Held, Kind};
use portcullis_telemetry::log::{Flush, LogWriter};
use portcullis_transport::splice::Pipes;
use portcullis_transport::{Buffers, Millis, TurnClock, Wheel};
use slots::Slots;
use std::cell::{Cell, RefCell};
use std::collections::hash_map::RandomState;
use std::future::{Future, poll_fn};
use std::hash::BuildHasher;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

pub use task::{Task, Woken};
pub use tasked::{spawn, spawn_large};

/// A plan with a worker's own count of users, so that no two cores share a cache line for it.
pub type OwnPlan = Rc<Arc<crate::plan::Plan>>;

/// What is a worker's own.
pub struct Worker {
    /// From 0.
    pub id: u16,
    /// What all workers share.
    pub process: Arc<crate::process::Process>,
    /// The newest plan; a stream keeps the one that it began with.
    pub plan: RefCell<Rc<Arc<crate::plan::Plan>>>,
    /// Which requests may begin in this turn of the event loop.
    pub turn: turn::Turn,
    /// The time of this turn of the event loop.
    pub clock: TurnClock,
    /// Spare buffers.
    pub buffers: Buffers,
    /// Spare pipes for splicing.
    pub pipes: Pipes,
    /// Connections and streams.
    pub slots: Slots,
    /// Idle server connections.
    pub idle: RefCell<crate::upstream::Idle>,
    /// Log lines on their way.
    pub log: RefCell<LogWriter>,
    /// A log line in the making.
    pub line: RefCell<Vec<u8>>,
    /// Heads that wait for their next message.
    pub scratch: RefCell<Vec<Box<crate::http::Scratch>>>,
    /// Bytes of streams that were counted while they run (`option contstats`), by the index of their slots.
    pub tallies: RefCell<std::collections::HashMap<u32, (u64, u64)>>,
    /// When a failure to accept was last reported.
    pub last_report: Cell<Millis>,
    wheel: RefCell<Wheel>,
    accepting: RefCell<Vec<crate::accept::Accepting>>,
    /// Checks of servers that are this worker's.
    pub(crate) checks: RefCell<Option<(tokio::task::AbortHandle, Rc<crate::check::schedule::Schedule>)>>,
    /// Names that this worker looks up.
    pub(crate) names: RefCell<crate::dns::Resolvers>,
    /// Mails that this worker sends.
    pub(crate) post: RefCell<crate::mail::post::Post>,
    /// Rings that this worker sends to servers.
    pub(crate) feeds: RefCell<crate::logs::feed::Feeds>,
    /// When the turn of the event loop began, if that is measured.
    pub(crate) turn_began: Cell<Option<Instant>>,
    timer_waker: RefCell<Option<Waker>>,
    log_waker: RefCell<Option<Waker>>,
    /// Random numbers for samples and choices; nothing secret hangs on them.
    pub random: Random,
}

impl Worker {
    /// A worker, to be run by [`run`] on its own thread.
    #[must_use]
    pub fn new(id: u16, process: Arc<crate::process::Process>, plan: Arc<crate::plan::Plan>) -> Self {
        let clock = process.clock;
        let g = &plan.global;
        Self {
            id,
            clock: TurnClock::new(clock),
            turn: turn::Turn::default(),
            buffers: Buffers::new(g.bufsize, g.bulk_size, 256),
            pipes: Pipes::new(g.maxpipes, g.pipesize, &crate::process::PIPES_USED),
            slots: Slots::default(),
            idle: RefCell::new(crate::upstream::Idle::new(id, &process)),
            log: RefCell::new(LogWriter::new(id.into(), process.counts.clone())),
            wheel: RefCell::new(Wheel::new(clock.now())),
            line: RefCell::default(),
            scratch: RefCell::default(),
            tallies: RefCell::default(),
            last_report: Cell::default(),
            accepting: RefCell::default(),
            checks: RefCell::default(),
            names: RefCell::default(),
            post: RefCell::default(),
            feeds: RefCell::default(),
            turn_began: Cell::default(),
            timer_waker: RefCell::default(),
            log_waker: RefCell::default(),
            // keys of the system's: numbers are other ones in every process
            random: Random::new(RandomState::new().hash_one(id)),
            plan: RefCell::new(Rc::new(plan)),
            process,
        }
    }

    /// The newest plan; a worker's own count of users, so that no two cores share a cache line for it.
    pub fn plan(&self) -> Rc<Arc<crate::plan::Plan>> {
        self.plan.borrow().clone()
    }

    /// A line was queued: have it sent when the tasks that are ready now have run.
    pub fn log_soon(&self) {
        if let Some(w) = self.log_waker.borrow_mut().take() {
            w.wake();
        }
    }

    fn timer_changed(&self) {
        if let Some(w) = self.timer_waker.borrow_mut().take() {
            w.wake();
        }
    }

    /// Remembers a task that accepts.
    pub fn keep_listener(&self, task: crate::accept::Accepting) {
        self.accepting.borrow_mut().push(task);
    }

    /// Stops accepting: the listening sockets are closed on this worker.
    pub fn close_listeners(&self) {
        self.accepting.borrow_mut().drain(..).for_each(|t| t.abort());
    }

    /// Shall a connection that could be kept end with this response, because the process is leaving?
    #[inline]
    pub fn ends_kept(&self) -> bool {
        self.process.ends_kept(&self.random)
    }

    /// Sends what is left of the log.
    pub fn flush_log(&self) {
        let _ = self.log.borrow_mut().flush();
    }
}

/// Runs a worker until the process has told it to stop and its last stream has ended.
///
/// # Errors
/// When the reactor cannot be made.
pub fn run(
    id: u16,
    process: Arc<crate::process::Process>,
    plan: Arc<crate::plan::Plan>,
    mailbox: Mailbox,
    listeners: Vec<crate::accept::Listening>,
) -> std::io::Result<()> {
    let worker = Rc::new(Worker::new(id, process, plan));
    if let Some(ledger) = worker.process.ledgers.of(id.into()) {
        ledger.begin(rustix::thread::gettid().as_raw_nonzero().get());
    }
    drive(&worker.clone(), async move {
        serve_timers(&worker);
        spawn(&worker, Kind::Log, None, drive_log(worker.clone()));
        spawn(&worker, Kind::Idle, None, crate::upstream::tend(worker.clone()));
        crate::check::schedule::begin(&worker);
        crate::dns::begin(&worker);
        crate::logs::feed::begin(&worker);
        for l in listeners {
            crate::accept::spawn(&worker, l);
        }
        crate::h2::reverse::begin(&worker, &worker.plan());
        tasked::tasked(&worker, Kind::Mailbox, None, read_mail(&worker, mailbox)).await;
        worker.flush_log();
    })
}

/// Lets tasks of this worker set their deadlines.
pub(crate) fn serve_timers(worker: &Rc<Worker>) {
    spawn(worker, Kind::Timers, None, drive_timers(worker.clone()));
}

/// Runs work of a worker to its end, and the tasks that it spawns, in turns.
///
/// # Errors
/// When the reactor cannot be made.
pub(crate) fn drive<T>(worker: &Rc<Worker>, work: impl Future<Output = T>) -> std::io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(31)
        .max_io_events_per_tick(64)
        .build()?;
    let local = tokio::task::LocalSet::new();
    let work = local.run_until(work);
    Ok(runtime.block_on(async move {
        let mut work = std::pin::pin!(work);
        poll_fn(|cx| {
            worker.clock.refresh();
            let sampled = worker.begin_turn();
            worker.turn.begin();
            let done = work.as_mut().poll(cx);
            let left = worker.turn.is_waited_for();
            if left {
                cx.waker().wake_by_ref();
            }
            worker.end_turn(sampled, left);
            done
        })
        .await
    }))
}

/// Handles mail until told to stop; then until the last connection is gone.
async fn read_mail(worker: &Rc<Worker>, mut mailbox: Mailbox) {
    while let Some(mail) = mailbox.recv().await {
        match mail {
            Mail::Accepted(conn) => {
                worker.acted(|a| &a.adopted);
                crate::accept::adopt(worker, conn.unpack(worker));
            }
            Mail::Abort(slot, why) => {
                if worker.slots.abort(slot, why) {
                    worker.wake_all();
                }
            }
            Mail::Plan(plan, listeners) => follow(worker, plan, listeners),
            Mail::Run(job) => job(worker),
            Mail::Quit => break,
        }
    }
}

/// Goes on with a new plan: its listeners, checks and names. Connections that rest move to it now, others at their next
/// request.
fn follow(worker: &Rc<Worker>, plan: Arc<crate::plan::Plan>, listeners: Vec<crate::accept::Listening>) {
    *worker.plan.borrow_mut() = Rc::new(plan);
    worker.accepting.borrow_mut().drain(..).for_each(|t| t.retire());
    for l in listeners {
        crate::accept::spawn(worker, l);
    }
    crate::h2::reverse::begin(worker, &worker.plan());
    crate::check::schedule::begin(worker);
    crate::dns::begin(worker);
    crate::logs::feed::begin(worker);
    worker.wake_all();
}

impl Worker {
    /// A turn of the event loop begins; true: it is measured.
    #[inline]
    fn begin_turn(&self) -> bool {
        let Some(ledger) = self.process.ledgers.of(self.id.into()) else { return false };
        let sampled = ledger.turn(self.clock.now().0);
        if sampled || ledger.measured() {
            self.turn_began.set(Some(Instant::now()));
        }
        sampled
    }

    /// It is over.
    #[inline]
    fn end_turn(&self, sampled: bool, left: bool) {
        let Some(ledger) = self.process.ledgers.of(self.id.into()) else { return };
        ledger.ends(left);
        if sampled && let Some(began) = self.turn_began.get() {
            let average = ledger.lasted(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX));
            self.process.ledgers.judge(ledger, average, self.clock.now().0);
            self.publish();
        }
        if ledger.rest() {
            self.was_late(Kind::Mailbox, u32::MAX);
        }
    }

    /// Something happened that `show activity` counts.
    pub(crate) fn acted(&self, what: impl FnOnce(&Acts) -> &Counter) {
        if let Some(ledger) = self.process.ledgers.of(self.id.into()) {
            what(ledger.acts()).inc();
        }
    }

    /// Notes in the ledger what is held for later use.
    pub fn publish(&self) {
        let Some(ledger) = self.process.ledgers.of(self.id.into()) else { return };
        let [small, large] = self.buffers.counts();
        ledger.hold(Held::Buffer, small);
        ledger.hold(Held::LargeBuffer, large);
        let requests = crate::http::Scratch::made();
        let spare = self.scratch.borrow().len() as u64;
        let size = size_of::<crate::http::Scratch>() as u64;
        ledger.hold(Held::Request, [size, requests, requests.saturating_sub(spare)]);
        ledger.hold(Held::Slot, self.slots.counts());
        ledger.hold(Held::Timer, self.wheel.borrow().counts());
        let [size, spare] = self.pipes.counts();
        // those in use are counted for the whole process
        ledger.hold(Held::Pipe, [size, spare, 0]);
    }

    /// A worker's own count of users of this plan.
    pub(crate) fn counted(&self, plan: Arc<crate::plan::Plan>) -> OwnPlan {
        let newest = self.plan();
        if Arc::ptr_eq(&newest, &plan) { newest } else { Rc::new(plan) }
    }
    /// Wakes the task with this timer, to look at its slot.
    pub fn wake(&self, timer: portcullis_transport::TimerId) {
        self.wheel.borrow().wake(timer);
    }
    /// Wakes every task with a timer, to look at its slot.
    pub fn wake_all(&self) {
        self.wheel.borrow().wake_all();
    }
}

/// Sleeps until the wheel's next slot, again and again.
async fn drive_timers(worker: Rc<Worker>) {
    let start = tokio::time::Instant::now();
    let origin = worker.clock.now();
    let mut sleep = std::pin::pin!(tokio::time::sleep(Duration::ZERO));
    let mut armed = Millis(0);
    poll_fn(|cx| -> Poll<()> {
        loop {
            let now = worker.clock.now();
            worker.wheel.borrow_mut().advance(now);
            *worker.timer_waker.borrow_mut() = Some(cx.waker().clone());
            let Some(next) = worker.wheel.borrow().next() else { return Poll::Pending };
            if next != armed {
                armed = next;
                sleep.as_mut().reset(start + Duration::from_millis(next.since(origin)));
            }
            match sleep.as_mut().poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) => {
                    armed = Millis(0);
                    // the runtime's clock and ours may differ by a millisecond: never spin
                    let late = worker.clock.now().max(next);
                    worker.wheel.borrow_mut().advance(late);
                }
            }
        }
    })
    .await;
}

/// What a receiver of log lines did not take is offered again after this long, and each time after twice as long, up to
/// [`OFFERED_LAST`].
const OFFERED_FIRST: Duration = Duration::from_millis(4);
/// The longest pause.
const OFFERED_LAST: Duration = Duration::from_millis(64);

/// Sends queued log lines, many with one system call.
async fn drive_log(worker: Rc<Worker>) {
    let mut pause = OFFERED_FIRST;
    loop {
        let flush = worker.log.borrow_mut().flush();
        let more = poll_fn(|cx| -> Poll<()> {
            if !worker.log.borrow().is_flushed() {
                return Poll::Ready(());
            }
            *worker.log_waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        });
        match flush {
            Flush::Done => {
                pause = OFFERED_FIRST;
                more.await;
            }
            Flush::Pending => {
                if tokio::time::timeout(pause, more).await.is_err() {
                    pause = (pause * 2).min(OFFERED_LAST);
                }
            }
        }
    }
}
