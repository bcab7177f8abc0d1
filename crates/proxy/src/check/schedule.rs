//! When checks run: one task a worker for all its servers, in order of what is due next.

use super::agent;
use super::plan::Kind;
use super::report;
use super::run::Subject;
use crate::plan::{ProxyPlan, ServerPlan};
use crate::process::Process;
use crate::worker::mailbox::Mail;
use crate::worker::{Task, Worker};
use portcullis_backend::health::{Status, Which};
use portcullis_backend::{BackendState, Health, ServerState};
use portcullis_config::rows::value;
use portcullis_config::{Cx, Does, Keyword, Line, Model, Sections};
use portcullis_telemetry::ledger;
use portcullis_telemetry::trace::{Level, events};
use portcullis_transport::Millis;
use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;
use tokio::task::AbortHandle;

/// The rows of this file.
pub const ROWS: &[Keyword] = &[
    Keyword {
        name: "max-spread-checks",
        sections: Sections::GLOBAL,
        args: "<delay in milliseconds>",
        help: "Longest time over which the first checks are spread.",
        negatable: false,
        does: Does::Works(|cx, line| {
            let Some(word) = line.word(1) else {
                cx.alert(
                    line.word(0),
                    "'max-spread-checks' expects an integer argument (time in milliseconds).",
                );
                return;
            };
            match value::time(cx, word) {
                Ok(t) => cx.global_ext::<Pace>().max_spread = Some(t),
                Err(e) => {
                    let text = value::time_message(e, word, "max-spread-checks");
                    cx.alert(Some(word), text);
                }
            }
        }),
    },
    Keyword {
        name: "tune.max-checks-per-thread",
        sections: Sections::GLOBAL,
        args: "<number>",
        help: "Checks that a worker runs at the same time; 0: no limit.",
        negatable: false,
        does: Does::Works(limit),
    },
];

fn limit(cx: &mut Cx<'_>, line: &Line) {
    let missing = "'tune.max-checks-per-thread' expects an integer argument.";
    let Some(word) = value::one(cx, line, 1, missing) else { return };
    let n = value::lenient_u32(cx, word, "tune.max-checks-per-thread");
    cx.global_ext::<Pace>().most = n;
}

/// How checks are paced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// `max-spread-checks`
    pub max_spread: Option<Duration>,
    /// `tune.max-checks-per-thread`; 0: no limit.
    pub most: u32,
    /// `spread-checks` in percent.
    pub spread: u32,
    /// How many servers have checks.
    pub servers: u32,
}

impl Pace {
    /// As `global` says.
    #[must_use]
    pub fn new(model: &Model, servers: u32) -> Self {
        let said = model.global.ext.get::<Self>().copied().unwrap_or_default();
        Self { spread: model.global.spread_checks, servers, ..said }
    }
}

/// One check of one server.
struct Job {
    which: Which,
    backend: Arc<BackendState>,
    state: Arc<ServerState>,
    /// Index of the backend in the plan.
    proxy: usize,
    /// When it is due; entries of the heap that say otherwise are old.
    due: u64,
    /// It runs.
    flight: Option<AbortHandle>,
}

/// A worker's checks.
#[derive(Default)]
pub struct Schedule {
    /// A place is empty once its server is gone, and is used again.
    jobs: RefCell<Vec<Option<Job>>>,
    free: RefCell<Vec<usize>>,
    order: RefCell<BinaryHeap<Reverse<(u64, usize)>>>,
    /// Those that are due while too many run.
    waiting: RefCell<VecDeque<usize>>,
    running: Cell<u32>,
    /// When checks of an older plan's schedule were due.
    known: HashMap<(*const ServerState, Which), Option<u64>>,
    pace: Pace,
    waker: RefCell<Option<Waker>>,
}

/// Begins with the checks of the worker's servers, as its newest plan says. What was due with an older plan stays due then; what
/// runs goes on, and counts.
pub fn begin(worker: &Rc<Worker>) {
    let older = worker.checks.borrow_mut().take();
    if let Some((task, _)) = &older {
        task.abort();
    }
    let known = older.as_ref().map(|(_, s)| s.due()).unwrap_or_default();
    let schedule = Schedule { pace: worker.plan().global.checks, known, ..Schedule::default() };
    for proxy in worker.plan().proxies.iter().filter(|p| !p.disabled) {
        for server in &proxy.servers {
            schedule.add(worker, proxy, server);
        }
    }
    if !schedule.jobs.borrow().is_empty() {
        run(worker, schedule);
    }
}

fn run(worker: &Rc<Worker>, schedule: Schedule) {
    let schedule = Rc::new(schedule);
    let task =
        crate::worker::spawn(worker, ledger::Kind::Schedule, None, drive(worker.clone(), schedule.clone()));
    *worker.checks.borrow_mut() = Some((task.abort_handle(), schedule));
}

/// One more server; its checks are this worker's, or another's.
pub fn add(worker: &Rc<Worker>, proxy: &ProxyPlan, server: &ServerPlan) {
    if server.check.is_none() {
        return;
    }
    let schedule = worker.checks.borrow().as_ref().map(|(_, s)| s.clone());
    match schedule {
        Some(schedule) => {
            schedule.add(worker, proxy, server);
            schedule.wake();
        }
        None => {
            let schedule = Schedule { pace: worker.plan().global.checks, ..Schedule::default() };
            schedule.add(worker, proxy, server);
            run(worker, schedule);
        }
    }
}

/// This server is gone: its checks end at once, those that run too.
pub fn remove(worker: &Rc<Worker>, server: &ServerState) {
    let schedule = worker.checks.borrow().as_ref().map(|(_, s)| s.clone());
    let Some(schedule) = schedule else { return };
    let mut gone = Vec::new();
    for (at, place) in schedule.jobs.borrow_mut().iter_mut().enumerate() {
        if let Some(job) = place.take_if(|j| std::ptr::eq(&*j.state, server)) {
            schedule.free.borrow_mut().push(at);
            gone.push(job);
        }
    }
    gone.iter().filter_map(|j| j.flight.as_ref()).for_each(AbortHandle::abort);
}

/// The next check of this server begins within `fastinter`, whoever's it is.
pub fn hurry(process: &Process, server: u32) {
    process.tell_all(|| {
        Mail::Run(Box::new(move |worker| {
            let schedule = worker.checks.borrow().as_ref().map(|(_, s)| s.clone());
            if let Some(schedule) = schedule {
                schedule.hurry(worker.clock.now().0, server);
            }
        }))
    });
}

impl Schedule {
    /// When each check is due next, by its server's state; none: it runs.
    fn due(&self) -> HashMap<(*const ServerState, Which), Option<u64>> {
        let jobs = self.jobs.borrow();
        let one = |j: &Job| ((Arc::as_ptr(&j.state), j.which), j.flight.is_none().then_some(j.due));
        jobs.iter().flatten().map(one).collect()
    }

    fn add(&self, worker: &Worker, proxy: &ProxyPlan, server: &ServerPlan) {
        let (Some(backend), Some(check), state) = (&proxy.state, &server.check, &server.state) else {
            return;
        };
        let workers = worker.process.load.len().max(1) as u32;
        if *state.index % workers != u32::from(worker.id) {
            return;
        }
        let (health, asks) = {
            let life = state.life.lock();
            (life.check.configured, life.agent.configured)
        };
        let both = [(health, Which::Health), (asks, Which::Agent)];
        for which in both.into_iter().filter(|(wanted, _)| *wanted).map(|(_, w)| w) {
            let every = state.life.lock().interval(which, true);
            let over = self.pace.max_spread.map_or(every, |most| most.min(every));
            let delay = match self.pace.servers {
                0 => 0,
                all => over.as_millis() as u64 * u64::from(check.position) / u64::from(all),
            };
            let now = worker.clock.now().0;
            let waits = now + every.as_millis() as u64;
            let due = match self.known.get(&(Arc::as_ptr(state), which)) {
                Some(due) => due.map_or(waits, |due| due.min(waits)),
                None => now + delay,
            };
            let (backend, state, proxy) = (backend.clone(), state.clone(), proxy.index);
            let job = Job { which, backend, state, proxy, due, flight: None };
            let mut jobs = self.jobs.borrow_mut();
            let at = self.free.borrow_mut().pop().unwrap_or(jobs.len());
            match jobs.get_mut(at) {
                Some(place) => *place = Some(job),
                None => jobs.push(Some(job)),
            }
            self.order.borrow_mut().push(Reverse((due, at)));
        }
    }

    fn wake(&self) {
        if let Some(w) = self.waker.borrow_mut().take() {
            w.wake();
        }
    }

    /// Puts a job where it belongs.
    fn plan(&self, at: usize, due: u64) {
        if let Some(Some(job)) = self.jobs.borrow_mut().get_mut(at) {
            job.due = due;
        }
        self.order.borrow_mut().push(Reverse((due, at)));
    }

    fn hurry(&self, now: u64, server: u32) {
        let its = |j: &Job| *j.state.index == server && j.which == Which::Health;
        let found = self.jobs.borrow().iter().position(|j| j.as_ref().is_some_and(its));
        let Some(at) = found else { return };
        let due = {
            let jobs = self.jobs.borrow();
            let Some(job) = jobs.get(at).and_then(Option::as_ref).filter(|j| j.flight.is_none()) else {
                return;
            };
            let fast = job.state.life.lock().settings.fastinter.unwrap_or(Duration::ZERO);
            let due = now + fast.as_millis() as u64;
            if due >= job.due {
                return;
            }
            due
        };
        self.plan(at, due);
        self.wake();
    }

    /// The next job that is due now.
    fn pop(&self, now: u64) -> Option<usize> {
        loop {
            let mut order = self.order.borrow_mut();
            let Reverse((due, at)) = *order.peek()?;
            if due > now {
                return None;
            }
            order.pop();
            let jobs = self.jobs.borrow();
            if jobs.get(at).and_then(Option::as_ref).is_some_and(|j| j.due == due && j.flight.is_none()) {
                return Some(at);
            }
        }
    }

    /// When there is something to do next.
    fn next(&self) -> Millis {
        self.order.borrow().peek().map_or(Millis::NEVER, |Reverse((due, _))| Millis(*due))
    }

    fn full(&self) -> bool {
        self.pace.most > 0 && self.running.get() >= self.pace.most
    }

    /// How long after its beginning a job is due again.
    fn interval(&self, worker: &Worker, job: &Job) -> u64 {
        let up = job.state.health() != Health::Down;
        let every = job.state.life.lock().interval(job.which, up).as_millis() as u64;
        let spread = every * u64::from(self.pace.spread) / 100;
        match spread {
            0 => every.max(1),
            n => (every - n + worker.random.next() % (2 * n + 1)).max(1),
        }
    }

    fn start(self: &Rc<Self>, worker: &Rc<Worker>, at: usize) {
        let now = worker.clock.now();
        let mut jobs = self.jobs.borrow_mut();
        let Some(Some(job)) = jobs.get_mut(at) else { return };
        let due = {
            let mut life = job.state.life.lock();
            let probe = life.probe_mut(job.which);
            probe.running = probe.is_due();
            probe.running
        };
        if !due {
            let every = self.interval(worker, job);
            drop(jobs);
            self.plan(at, now.0 + every);
            return;
        }
        self.running.set(self.running.get() + 1);
        worker.acted(|a| &a.checks);
        let (schedule, state) = (Rc::downgrade(self), job.state.clone());
        let flight = Flight { schedule, worker: worker.clone(), at, state, began: now };
        job.flight =
            Some(crate::worker::spawn(worker, ledger::Kind::Check, None, fly(flight)).abort_handle());
    }
}

/// A check under way; it is over when this is dropped.
struct Flight {
    schedule: Weak<Schedule>,
    worker: Rc<Worker>,
    at: usize,
    /// Whose check.
    state: Arc<ServerState>,
    began: Millis,
}

impl Drop for Flight {
    fn drop(&mut self) {
        let Some(schedule) = self.schedule.upgrade() else { return };
        schedule.running.set(schedule.running.get().saturating_sub(1));
        let every = {
            let mut jobs = schedule.jobs.borrow_mut();
            let job = jobs.get_mut(self.at).and_then(Option::as_mut);
            // the place may be another's by now
            let Some(job) = job.filter(|j| Arc::ptr_eq(&j.state, &self.state)) else {
                drop(jobs);
                return schedule.wake();
            };
            job.flight = None;
            job.state.life.lock().probe_mut(job.which).running = false;
            schedule.interval(&self.worker, job)
        };
        let next = (self.began.0 + every).max(self.worker.clock.now().0);
        schedule.plan(self.at, next);
        schedule.wake();
    }
}

fn which_text(which: Which) -> &'static str {
    match which {
        Which::Agent => "starting agent check",
        Which::Health => "starting health check",
    }
}

async fn fly(flight: Flight) {
    let worker = &flight.worker;
    let Some((which, backend, subject)) = flight.schedule.upgrade().and_then(|s| {
        let jobs = s.jobs.borrow();
        let job = jobs.get(flight.at)?.as_ref().filter(|j| Arc::ptr_eq(&j.state, &flight.state))?;
        let plan = Arc::clone(&worker.plan());
        let subject = Subject { plan, proxy: job.proxy, state: job.state.clone() };
        Some((job.which, job.backend.clone(), subject))
    }) else {
        return;
    };
    let Some(plan) = subject.server().and_then(|s| s.check.as_deref()) else { return };
    subject.trace(worker, events::check::HCHCK_START, Level::State, which_text(which));
    let task = Task::service(worker);
    let reports = match which {
        Which::Agent => agent::run(&task, &subject, &backend, plan).await,
        Which::Health => {
            let outcome = match plan.script.kind {
                Kind::External => super::external::check(&task, &subject, plan).await,
                _ => super::run::run(&task, &subject, plan).await,
            };
            if outcome.status == Status::L4Timeout
                && let Some(resolve) = subject.server().and_then(|s| s.resolve.as_ref())
            {
                // it may be elsewhere (manual section 5.3.1)
                crate::dns::hurry(&worker.process, resolve.section, &subject.state);
            }
            subject.traced(worker, &outcome);
            backend.checked(&subject.state, which, outcome, worker.clock.now().0)
        }
    };
    report::deliver(worker, reports);
}

async fn drive(worker: Rc<Worker>, schedule: Rc<Schedule>) {
    let task = Task::service(&worker);
    poll_fn(|cx| -> Poll<()> {
        *schedule.waker.borrow_mut() = Some(cx.waker().clone());
        loop {
            let now = worker.clock.now();
            while !schedule.full() {
                let Some(at) = schedule.waiting.borrow_mut().pop_front() else { break };
                schedule.start(&worker, at);
            }
            while let Some(at) = schedule.pop(now.0) {
                match schedule.full() {
                    true => schedule.waiting.borrow_mut().push_back(at),
                    false => schedule.start(&worker, at),
                }
            }
            task.deadline(schedule.next());
            if task.poll_woken(cx).is_none() {
                return Poll::Pending;
            }
        }
    })
    .await;
}
