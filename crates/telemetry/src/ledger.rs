//! What a worker's event loop does: which task it calls and since when (`warn-blocked-traffic-after`), what tasks there are
//! (`show tasks`), what they cost while that is measured (`show profiling`), and what its pools hold (`show pools`).
//!
//! A worker writes its own ledger with relaxed stores, others read. A task that nobody measures pays one store and one
//! load a call.

use crate::counter::Counter;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

/// Declares what kinds of tasks there are.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $name:literal,)+) => {
        /// What a task is for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Kind { $($(#[$doc])* $kind,)+ }
        impl Kind {
            /// All of them.
            pub const ALL: &[Kind] = &[$(Kind::$kind),+];
            /// As commands call it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Kind::$kind => $name,)+ }
            }
        }
    };
}

kinds! {
    /// A client's connection, with its HTTP/1 requests.
    Session "session",
    /// A stream of an HTTP/2 connection.
    Stream "stream",
    /// The driver of an HTTP/2 connection to a server.
    ServerConnection "server_connection",
    /// Connections that are made in the other direction (`rhttp@`).
    Reverse "reverse_connection",
    /// What accepts connections.
    Accept "accept",
    /// The worker's mailbox.
    Mailbox "mailbox",
    /// Deadlines.
    Timers "timers",
    /// Log lines on their way.
    Log "log",
    /// Idle server connections.
    Idle "idle_connections",
    /// When checks are due.
    Schedule "check_schedule",
    /// A health check.
    Check "check",
    /// Names of servers.
    Names "resolver",
    /// Mails about servers.
    Mail "mail",
    /// Rings that are sent to servers.
    Feed "ring",
    /// Listings for operators.
    Listing "listing",
}

impl Kind {
    /// The one of this number.
    #[must_use]
    pub fn numbered(n: u8) -> Option<Self> {
        Self::ALL.get(usize::from(n)).copied()
    }
}

/// What the tasks of one kind came to.
#[derive(Debug, Default)]
pub struct Work {
    /// How many there are now.
    alive: Counter,
    /// Bytes of one.
    size: AtomicU32,
    /// Calls while they were measured.
    calls: Counter,
    /// Nanoseconds in them.
    cpu: Counter,
    /// Nanoseconds from the beginning of the event loop's turn to them.
    latency: Counter,
}

impl Work {
    /// How many there are now.
    #[must_use]
    pub fn alive(&self) -> u64 {
        self.alive.get()
    }
    /// Bytes of one; 0: there was none.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.size.load(Relaxed)
    }
    /// Calls, nanoseconds in them, nanoseconds before them.
    #[must_use]
    pub fn costs(&self) -> [u64; 3] {
        [self.calls.get(), self.cpu.get(), self.latency.get()]
    }
}

/// What happens now and then (`show activity`).
#[derive(Debug, Default)]
pub struct Acts {
    /// Turns that called no task.
    pub empty: Counter,
    /// Turns that left something to the next one.
    pub long: Counter,
    /// Connections that another worker accepted for this one.
    pub adopted: Counter,
    /// Idle server connections that came from another worker.
    pub taken: Counter,
    /// Health checks that began.
    pub checks: Counter,
}

/// One worker's.
#[derive(Debug)]
#[repr(align(128))]
pub struct Ledger {
    /// The kind of the task that is called, or was last.
    current: AtomicU8,
    measured: AtomicBool,
    /// Somebody has seen that the turn lasts too long.
    late: AtomicBool,
    /// The system's number of the thread; 0: not begun.
    thread: AtomicI32,
    /// When the event loop's turn began, in milliseconds of the process' clock; 0: it waits.
    turn: AtomicU64,
    /// Turns of the event loop.
    loops: Counter,
    /// Calls of tasks.
    calls: Counter,
    /// What `calls` was when the turn began.
    before: AtomicU64,
    /// What the turns and others came to.
    acts: Acts,
    /// Nanoseconds that a turn lasts, on average over about the last 1,024.
    average: AtomicU64,
    work: Box<[Work]>,
    pools: Box<[Pool]>,
}

/// The kinds of objects that workers keep for later use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// `buffer`: of `tune.bufsize`.
    Buffer,
    /// `large_buffer`: for bodies.
    LargeBuffer,
    /// `request`: heads and what belongs to them.
    Request,
    /// `stream`: what is known of connections and streams from outside.
    Slot,
    /// `timer`
    Timer,
    /// `pipe`: for splicing.
    Pipe,
}

impl Held {
    /// All of them with their names.
    pub const ALL: &[(Held, &'static str)] = &[
        (Held::Buffer, "buffer"),
        (Held::LargeBuffer, "large_buffer"),
        (Held::Request, "request"),
        (Held::Slot, "stream"),
        (Held::Timer, "timer"),
        (Held::Pipe, "pipe"),
    ];
}

/// What a worker has of one kind of objects.
#[derive(Debug, Default)]
pub struct Pool {
    size: AtomicU64,
    allocated: AtomicU64,
    used: AtomicU64,
}

impl Pool {
    /// Bytes of one, how many there are, and how many of them are in use.
    #[must_use]
    pub fn parts(&self) -> [u64; 3] {
        [self.size.load(Relaxed), self.allocated.load(Relaxed), self.used.load(Relaxed)]
    }
}

/// A turn out of so many is measured for [`Ledger::average`].
pub const SAMPLED: u64 = 16;

impl Default for Ledger {
    fn default() -> Self {
        Self {
            current: AtomicU8::new(Kind::Mailbox as u8),
            measured: AtomicBool::new(false),
            late: AtomicBool::new(false),
            thread: AtomicI32::new(0),
            turn: AtomicU64::new(0),
            loops: Counter::default(),
            calls: Counter::default(),
            before: AtomicU64::new(0),
            acts: Acts::default(),
            average: AtomicU64::new(0),
            work: Kind::ALL.iter().map(|_| Work::default()).collect(),
            pools: Held::ALL.iter().map(|_| Pool::default()).collect(),
        }
    }
}

impl Ledger {
    /// The worker's thread begins.
    pub fn begin(&self, thread: i32) {
        self.thread.store(thread, Relaxed);
    }
    /// The system's number of the thread, once it has begun.
    pub fn thread(&self) -> Option<i32> {
        Some(self.thread.load(Relaxed)).filter(|t| *t != 0)
    }
    /// A turn of the event loop begins; true: it is to be measured.
    #[inline]
    pub fn turn(&self, now: u64) -> bool {
        self.turn.store(now, Relaxed);
        self.loops.inc();
        self.before.store(self.calls.get(), Relaxed);
        self.loops.get().is_multiple_of(SAMPLED)
    }
    /// What happens now and then.
    pub fn acts(&self) -> &Acts {
        &self.acts
    }
    /// Calls of tasks.
    pub fn calls(&self) -> u64 {
        self.calls.get()
    }
    /// Forgets how often things happened (`clear counters`).
    pub fn clear_activity(&self) {
        let Acts { empty, long, adopted, taken, checks } = &self.acts;
        [&self.loops, &self.calls, empty, long, adopted, taken, checks].iter().for_each(|c| c.clear());
    }
    /// The turn is over. `left`: something waits for the next one.
    #[inline]
    pub fn ends(&self, left: bool) {
        if self.calls.get() == self.before.load(Relaxed) {
            self.acts.empty.inc();
        }
        if left {
            self.acts.long.inc();
        }
    }
    /// The event loop waits; true: its turn was seen to last too long, and no task has told of it.
    #[inline]
    pub fn rest(&self) -> bool {
        self.turn.store(0, Relaxed);
        self.late.load(Relaxed) && self.late.swap(false, Relaxed)
    }
    /// When the turn began that goes on; none: the event loop waits.
    pub fn since(&self) -> Option<u64> {
        Some(self.turn.load(Relaxed)).filter(|t| *t != 0)
    }
    /// Turns of the event loop.
    pub fn loops(&self) -> u64 {
        self.loops.get()
    }
    /// Takes a measured turn into account; yields the average in microseconds.
    pub fn lasted(&self, nanos: u64) -> u64 {
        let before = self.average.load(Relaxed);
        const OVER: u64 = 1024 / SAMPLED;
        let now = before - before / OVER + nanos / OVER;
        self.average.store(now, Relaxed);
        now / 1000
    }
    /// Microseconds that a turn lasts on average.
    pub fn average(&self) -> u64 {
        self.average.load(Relaxed) / 1000
    }
    /// Are calls measured?
    #[inline]
    pub fn measured(&self) -> bool {
        self.measured.load(Relaxed)
    }
    /// Has them measured, or not.
    pub fn measure(&self, on: bool) {
        self.measured.store(on, Relaxed);
    }
    /// A task is called.
    #[inline]
    pub fn call(&self, kind: Kind) {
        self.current.store(kind as u8, Relaxed);
        self.calls.inc();
    }
    /// The task that is called, or was last.
    pub fn current(&self) -> Option<Kind> {
        Kind::numbered(self.current.load(Relaxed))
    }
    /// The turn lasts too long.
    pub fn set_late(&self) {
        self.late.store(true, Relaxed);
    }
    /// Was the turn seen to last too long?
    #[inline]
    pub fn late(&self) -> bool {
        self.late.load(Relaxed)
    }
    /// The task that is called has told of it.
    pub fn told(&self) {
        self.late.store(false, Relaxed);
    }
    /// A measured call of a task is over. Its own worker says so.
    pub fn called(&self, kind: Kind, nanos: u64, latency: u64) {
        if let Some(work) = self.work.get(kind as usize) {
            work.calls.inc();
            work.cpu.add(nanos);
            work.latency.add(latency);
        }
    }
    /// One more task of so many bytes.
    pub fn came(&self, kind: Kind, size: usize) {
        if let Some(work) = self.work.get(kind as usize) {
            work.alive.inc();
            work.size.store(u32::try_from(size).unwrap_or(u32::MAX), Relaxed);
        }
    }
    /// One less.
    pub fn went(&self, kind: Kind) {
        if let Some(work) = self.work.get(kind as usize) {
            work.alive.add(u64::MAX);
        }
    }
    /// What the tasks of this kind came to.
    pub fn work(&self, kind: Kind) -> Option<&Work> {
        self.work.get(kind as usize)
    }
    /// Forgets what was measured.
    pub fn clear(&self) {
        for work in &self.work {
            [&work.calls, &work.cpu, &work.latency].iter().for_each(|c| c.clear());
        }
    }
    /// What there is of objects of one kind: bytes of one, how many there are, how many are in use.
    pub fn hold(&self, kind: Held, [size, allocated, used]: [u64; 3]) {
        if let Some(pool) = self.pools.get(kind as usize) {
            pool.size.store(size, Relaxed);
            pool.allocated.store(allocated, Relaxed);
            pool.used.store(used, Relaxed);
        }
    }
    /// What was said last of objects of this kind.
    pub fn held(&self, kind: Held) -> [u64; 3] {
        self.pools.get(kind as usize).map_or([0; 3], Pool::parts)
    }
}

/// Whether calls of tasks are measured (`profiling.tasks`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Profiling {
    /// While the turns of a worker's event loop last a millisecond or longer.
    #[default]
    Auto = 0,
    /// Always.
    On = 1,
    /// Never.
    Off = 2,
}

/// The ledgers of all workers.
#[derive(Debug)]
pub struct Ledgers {
    all: Box<[Ledger]>,
    /// Warnings that a turn lasted too long.
    blocked: AtomicU64,
    mode: AtomicU8,
    /// Since when it is measured, and until when, in milliseconds of the process' clock; 0: not, or still.
    span: [AtomicU64; 2],
}

impl Ledgers {
    /// For this many workers.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self {
            all: (0..workers).map(|_| Ledger::default()).collect(),
            blocked: AtomicU64::new(0),
            mode: AtomicU8::new(Profiling::Auto as u8),
            span: Default::default(),
        }
    }
    /// Of this worker.
    #[must_use]
    pub fn of(&self, worker: usize) -> Option<&Ledger> {
        self.all.get(worker)
    }
    /// Operators are warned that a turn lasts too long.
    pub fn warned(&self) {
        self.blocked.fetch_add(1, Relaxed);
    }
    /// How often they were.
    #[must_use]
    pub fn warnings(&self) -> u64 {
        self.blocked.load(Relaxed)
    }
    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Ledger> {
        self.all.iter()
    }
    /// Is it measured?
    #[must_use]
    pub fn mode(&self) -> Profiling {
        match self.mode.load(Relaxed) {
            1 => Profiling::On,
            2 => Profiling::Off,
            _ => Profiling::Auto,
        }
    }
    /// `profiling.tasks`, `set profiling tasks`. Turned on, everything measured before is forgotten; what is measured by itself
    /// goes on.
    pub fn set_mode(&self, mode: Profiling, now: u64) {
        self.mode.store(mode as u8, Relaxed);
        match mode {
            Profiling::On => {
                self.all.iter().for_each(Ledger::clear);
                self.span[0].store(now, Relaxed);
                self.span[1].store(0, Relaxed);
                self.all.iter().for_each(|l| l.measure(true));
            }
            Profiling::Off => {
                self.all.iter().for_each(|l| l.measure(false));
                self.stopped(now);
            }
            Profiling::Auto => {}
        }
    }
    /// A worker's turns last so many microseconds on average: turns the measuring on or off if that goes by itself.
    pub fn judge(&self, ledger: &Ledger, average: u64, now: u64) {
        if self.mode() != Profiling::Auto {
            return;
        }
        match (ledger.measured(), average) {
            (false, 1000..) => {
                if self.all.iter().all(|l| !l.measured()) {
                    self.span[0].store(now, Relaxed);
                    self.span[1].store(0, Relaxed);
                }
                ledger.measure(true);
            }
            (true, 0..990) => {
                ledger.measure(false);
                if self.all.iter().all(|l| !l.measured()) {
                    self.stopped(now);
                }
            }
            _ => {}
        }
    }
    fn stopped(&self, now: u64) {
        if self.span[0].load(Relaxed) != 0 && self.span[1].load(Relaxed) == 0 {
            self.span[1].store(now, Relaxed);
        }
    }
    /// How long it was measured, and how long that is over, in milliseconds.
    #[must_use]
    pub fn span(&self, now: u64) -> (u64, u64) {
        let [since, until] = [self.span[0].load(Relaxed), self.span[1].load(Relaxed)];
        match (since, until) {
            (0, _) => (0, 0),
            (since, 0) => (now.saturating_sub(since), 0),
            (since, until) => (until.saturating_sub(since), now.saturating_sub(until)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_that_last_long_turn_measuring_on() {
        let all = Ledgers::new(2);
        let one = all.of(0).unwrap();
        for _ in 0..1000 {
            let average = one.lasted(1_500_000);
            all.judge(one, average, 7);
        }
        assert!(one.measured() && !all.of(1).unwrap().measured());
        assert_eq!(all.span(10), (3, 0));
        one.called(Kind::Session, 5, 1);
        for _ in 0..1000 {
            let average = one.lasted(1000);
            all.judge(one, average, 9);
        }
        assert!(!one.measured());
        assert_eq!(all.span(19), (2, 10));
        all.set_mode(Profiling::On, 20);
        assert_eq!((one.work(Kind::Session).unwrap().costs(), all.span(25)), ([0; 3], (5, 0)));
        all.set_mode(Profiling::Auto, 26);
        assert!(one.measured(), "it goes on until a turn is judged");
        all.set_mode(Profiling::Off, 30);
        assert!(!one.measured());
    }

    #[test]
    fn tasks_come_and_go() {
        let one = Ledger::default();
        one.came(Kind::Check, 300);
        one.came(Kind::Check, 300);
        one.went(Kind::Check);
        let work = one.work(Kind::Check).unwrap();
        assert_eq!((work.alive(), work.size()), (1, 300));
        assert_eq!(one.since(), None);
        one.turn(5);
        one.call(Kind::Check);
        one.set_late();
        assert_eq!((one.since(), one.current()), (Some(5), Some(Kind::Check)));
        assert!(one.rest() && !one.rest());
    }

    #[test]
    fn what_turns_did() {
        let one = Ledger::default();
        one.turn(1);
        one.ends(false);
        one.turn(2);
        one.call(Kind::Session);
        one.call(Kind::Session);
        one.ends(true);
        let said = |l: &Ledger| [l.loops(), l.calls(), l.acts().empty.get(), l.acts().long.get()];
        assert_eq!(said(&one), [2, 2, 1, 1]);
        one.clear_activity();
        assert_eq!(said(&one), [0; 4]);
    }
}
