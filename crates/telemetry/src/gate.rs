//! Who may be accepted: `maxconn`, `maxconnrate`, `maxsessrate` of the process, `maxconn` and `rate-limit sessions`
//! of the frontend, `maxconn` of the bind line.

use crate::counter::Sharded;
use crate::endpoints::{self, Endpoints};
use crate::gauge::{Gauge, Held};
use crate::h2::H2Counters;
use crate::muxes::Forgotten;
use crate::rate::Window;
use crate::stats::{FrontendCounters, ListenerCounters, ProcessCounters, RateMax};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering::Relaxed};
use std::task::Waker;

/// What the process counts and limits as a whole.
#[derive(Debug)]
pub struct Process {
    /// Connections that exist (`actconn`, `CurrConns`); its limit is `maxconn`.
    pub conns: Arc<Gauge>,
    /// Those accepted under a limit of sessions a second that are no sessions yet.
    arriving: Arc<Gauge>,
    /// `maxconnrate` a second; 0: none.
    pub maxconnrate: AtomicU32,
    /// `maxsessrate` a second; 0: none.
    pub maxsessrate: AtomicU32,
    /// Cumulative counters.
    pub counters: Sharded<ProcessCounters>,
    /// `MaxConnRate`
    pub conn_rate_max: RateMax,
    /// `MaxSessRate`
    pub sess_rate_max: RateMax,
    /// TLS connections.
    pub tls: Endpoints,
}

impl Process {
    /// For this many workers, with `maxconn` (0: none) and the two rates (0: none).
    pub fn new(workers: usize, maxconn: u32, maxconnrate: u32, maxsessrate: u32) -> Self {
        Self {
            conns: Arc::new(Gauge::new(maxconn)),
            arriving: Arc::default(),
            maxconnrate: AtomicU32::new(maxconnrate),
            maxsessrate: AtomicU32::new(maxsessrate),
            counters: Sharded::new(workers),
            conn_rate_max: RateMax::default(),
            sess_rate_max: RateMax::default(),
            tls: Endpoints::default(),
        }
    }
    /// With limits for TLS.
    #[must_use]
    pub fn with_tls(self, tls: Endpoints) -> Self {
        Self { tls, ..self }
    }
    /// Connections of the sliding second.
    pub fn conn_rate(&self, now: u64) -> Window {
        self.counters.iter().map(|c| c.conn_rate.window(now)).sum()
    }
    /// Sessions of the sliding second.
    pub fn sess_rate(&self, now: u64) -> Window {
        self.counters.iter().map(|c| c.sess_rate.window(now)).sum()
    }
    /// A client's handshake is done: `new`, if no earlier session went on.
    pub fn tls_front(&self, worker: usize, new: bool, now: u64) {
        if new {
            endpoints::hit(&self.counters, worker, |c| &c.front_keys, &self.tls.front_keys_max, now);
        }
    }
    /// The same with a server, whose connection is counted by this.
    pub fn tls_back(&self, worker: usize, new: bool, now: u64) {
        if new {
            endpoints::hit(&self.counters, worker, |c| &c.back_keys, &self.tls.back_keys_max, now);
        }
    }
}

/// Whether a frontend accepts connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Running {
    /// It does.
    Ready = 0,
    /// Not now (`disable frontend`).
    Paused = 1,
    /// Never again (`shutdown frontend`): its sockets are closed.
    Stopped = 2,
}

/// Gauges, limits and counters of a frontend (of the front side of a `listen`); shared by all workers.
#[derive(Debug)]
pub struct Frontend {
    /// Sessions that exist (`feconn`, `scur`, `smax`); its limit is `maxconn` (`slim`).
    pub sessions: Arc<Gauge>,
    /// Those accepted under a limit of sessions a second that are no sessions yet.
    arriving: Arc<Gauge>,
    /// `rate-limit sessions` a second; 0: none.
    pub rate_limit: AtomicU32,
    /// Cumulative counters.
    pub counters: Sharded<FrontendCounters>,
    /// Its HTTP/2 connections.
    pub h2: Sharded<H2Counters>,
    /// What is not shown any more of its connections.
    pub forgotten: Forgotten,
    /// `conn_rate_max`
    pub conn_rate_max: RateMax,
    /// `rate_max`
    pub sess_rate_max: RateMax,
    /// `req_rate_max`
    pub req_rate_max: RateMax,
    running: AtomicU8,
    /// Tasks that accept for it.
    pub acceptors: AtomicU32,
    /// Those of them that have stopped for now because it is paused.
    pub holding: AtomicU32,
}

impl Frontend {
    /// Does it accept connections?
    #[inline]
    pub fn running(&self) -> Running {
        match self.running.load(Relaxed) {
            0 => Running::Ready,
            1 => Running::Paused,
            _ => Running::Stopped,
        }
    }
    /// Whether it shall accept connections; the workers must be told to look.
    pub fn set_running(&self, running: Running) {
        self.running.store(running as u8, Relaxed);
    }
    /// For this many workers, with `maxconn` (0: none) and `rate-limit sessions` (0: none).
    pub fn new(workers: usize, maxconn: u32, rate_limit: u32) -> Self {
        Self {
            sessions: Arc::new(Gauge::new(maxconn)),
            arriving: Arc::default(),
            rate_limit: AtomicU32::new(rate_limit),
            counters: Sharded::new(workers),
            h2: Sharded::new(workers),
            forgotten: Forgotten::default(),
            conn_rate_max: RateMax::default(),
            sess_rate_max: RateMax::default(),
            req_rate_max: RateMax::default(),
            running: AtomicU8::new(0),
            acceptors: AtomicU32::new(0),
            holding: AtomicU32::new(0),
        }
    }
    /// Counts a new session (after the layer 4 rules) in frontend and process.
    pub fn session(&self, process: &Process, worker: usize, now: u64) {
        let mine = self.counters.of(worker);
        mine.cum_sess.inc();
        self.sess_rate_max.hit(&mine.sess_rate, || self.counters.iter().map(|c| &c.sess_rate), now);
        let whole = process.counters.of(worker);
        process.sess_rate_max.hit(&whole.sess_rate, || process.counters.iter().map(|c| &c.sess_rate), now);
    }
    /// Counts a request (`cum_req` and `req_rate`) in frontend and process.
    #[inline]
    pub fn request(&self, process: &Process, worker: usize, now: u64) {
        let mine = self.counters.of(worker);
        mine.cum_req.inc();
        self.req_rate_max.hit(&mine.req_rate, || self.counters.iter().map(|c| &c.req_rate), now);
        process.counters.of(worker).cum_req.inc();
    }
    /// Connections of the sliding second.
    pub fn conn_rate(&self, now: u64) -> Window {
        self.counters.iter().map(|c| c.conn_rate.window(now)).sum()
    }
    /// Sessions of the sliding second.
    pub fn sess_rate(&self, now: u64) -> Window {
        self.counters.iter().map(|c| c.sess_rate.window(now)).sum()
    }
    /// Requests of the sliding second.
    pub fn req_rate(&self, now: u64) -> Window {
        self.counters.iter().map(|c| c.req_rate.window(now)).sum()
    }
}

/// Gauges and counters of a bind line.
#[derive(Debug)]
pub struct Listener {
    /// Connections that exist; its limit is the bind line's `maxconn` (0: none).
    pub conns: Arc<Gauge>,
    /// Cumulative counters.
    pub counters: Sharded<ListenerCounters>,
    /// Its connections speak TLS.
    pub tls: bool,
}

impl Listener {
    /// For this many workers, with `maxconn` (0: none).
    pub fn new(workers: usize, maxconn: u32) -> Self {
        Self { conns: Arc::new(Gauge::new(maxconn)), counters: Sharded::new(workers), tls: false }
    }
}

/// Why nothing may be accepted now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shut {
    /// A `maxconn` is reached; the waker given will be called.
    Full,
    /// A rate is reached: not before this many milliseconds.
    Rate(u64),
}

/// The places that an accepted connection takes; given back on drop.
#[derive(Debug)]
pub struct Admission {
    process: Held,
    frontend: Held,
    listener: Held,
    /// What few connections hold: every byte more of a connection counts.
    beside: Option<Box<Beside>>,
}

#[derive(Debug)]
struct Beside {
    tls: Option<Held>,
    /// Under a limit of sessions a second: one that will be a session (process, frontend).
    arriving: Option<[Held; 2]>,
}

impl Admission {
    /// Connections of the process at this moment (`actconn`).
    pub fn actconn(&self) -> u32 {
        self.process.gauge().get()
    }
    /// Sessions of the frontend at this moment (`feconn`).
    pub fn feconn(&self) -> u32 {
        self.frontend.gauge().get()
    }
    /// It has become a session, and is counted as such.
    pub fn arrived(&mut self) {
        if let Some(beside) = &mut self.beside {
            beside.arriving = None;
            if beside.tls.is_none() {
                self.beside = None;
            }
        }
    }
    /// The listener's gauge.
    pub fn listener(&self) -> &Arc<Gauge> {
        self.listener.gauge()
    }
}

/// Is there room for one connection more? `now` in milliseconds of the process clock. Asked before `accept`, so that
/// what has no room stays in the kernel's backlog. When a `maxconn` is the reason for a no, `waker` is called when a
/// place is given back.
///
/// # Errors
/// [`Shut`] with the reason.
pub fn room(
    process: &Process,
    frontend: &Frontend,
    listener: &Listener,
    now: u64,
    waker: &Waker,
) -> Result<(), Shut> {
    let rates = [
        (process.maxconnrate.load(Relaxed), process as &dyn RateOf),
        (process.maxsessrate.load(Relaxed), &SessOf(process)),
        (frontend.rate_limit.load(Relaxed), frontend),
        (if listener.tls { process.tls.max_rate.load(Relaxed) } else { 0 }, &TlsOf(process)),
    ];
    for (limit, rate) in rates {
        if limit != 0 {
            let delay = rate.window(now).delay(limit.into(), now);
            if delay != 0 {
                return Err(Shut::Rate(delay));
            }
        }
    }
    let tls = listener.tls.then_some(&process.tls.conns);
    for gauge in [&listener.conns, &frontend.sessions, &process.conns].into_iter().chain(tls) {
        if gauge.full() {
            gauge.wait(waker);
            // what was given back in between wakes nobody
            if gauge.full() {
                return Err(Shut::Full);
            }
        }
    }
    Ok(())
}

/// Takes the places for one connection that was accepted; asks as [`room`] does.
///
/// # Errors
/// [`Shut`] with the reason; nothing is held or counted then.
pub fn admit(
    process: &Process,
    frontend: &Frontend,
    listener: &Listener,
    now: u64,
    waker: &Waker,
) -> Result<Admission, Shut> {
    for _ in 0..3 {
        // looked at first and taken then, so that a try that must fail gives nothing back and wakes nobody
        room(process, frontend, listener, now, waker)?;
        if let Some(admission) = take(process, frontend, listener) {
            return Ok(admission);
        }
    }
    // others were faster each time
    Err(Shut::Rate(1))
}

fn take(process: &Process, frontend: &Frontend, listener: &Listener) -> Option<Admission> {
    let tls = listener.tls;
    let listener = listener.conns.try_take()?;
    let sessions = frontend.sessions.try_take()?;
    let limited = frontend.rate_limit.load(Relaxed) != 0 || process.maxsessrate.load(Relaxed) != 0;
    let arriving = limited.then(|| [process.arriving.take(), frontend.arriving.take()]);
    let tls = if tls { Some(process.tls.conns.try_take()?) } else { None };
    let held = process.conns.try_take()?;
    let beside = (tls.is_some() || arriving.is_some()).then(|| Box::new(Beside { tls, arriving }));
    Some(Admission { process: held, frontend: sessions, listener, beside })
}

/// Counts an accepted connection in process, frontend and listener.
pub fn accepted(process: &Process, frontend: &Frontend, listener: &Listener, worker: usize, now: u64) {
    let whole = process.counters.of(worker);
    whole.cum_conns.inc();
    process.conn_rate_max.hit(&whole.conn_rate, || process.counters.iter().map(|c| &c.conn_rate), now);
    let front = frontend.counters.of(worker);
    front.cum_conn.inc();
    frontend.conn_rate_max.hit(&front.conn_rate, || frontend.counters.iter().map(|c| &c.conn_rate), now);
    listener.counters.of(worker).cum_conn.inc();
    if listener.tls {
        whole.cum_tls.inc();
        endpoints::hit(&process.counters, worker, |c| &c.tls_rate, &process.tls.rate_max, now);
    }
}

trait RateOf {
    fn window(&self, now: u64) -> Window;
}
impl RateOf for Process {
    fn window(&self, now: u64) -> Window {
        self.conn_rate(now)
    }
}
struct SessOf<'a>(&'a Process);
impl RateOf for SessOf<'_> {
    fn window(&self, now: u64) -> Window {
        self.0.sess_rate(now).and(&self.0.arriving)
    }
}
struct TlsOf<'a>(&'a Process);
impl RateOf for TlsOf<'_> {
    fn window(&self, now: u64) -> Window {
        endpoints::window(&self.0.counters, |c| &c.tls_rate, now)
    }
}
impl RateOf for Frontend {
    fn window(&self, now: u64) -> Window {
        self.sess_rate(now).and(&self.arriving)
    }
}
impl Window {
    /// With those that will count in a moment.
    fn and(self, arriving: &Gauge) -> Self {
        Self { current: self.current + u64::from(arriving.get()), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    struct World {
        process: Process,
        frontend: Frontend,
        listener: Listener,
        woken: Arc<Count>,
    }

    impl World {
        fn new(process: u32, frontend: u32, listener: u32) -> Self {
            Self {
                process: Process::new(2, process, 0, 0),
                frontend: Frontend::new(2, frontend, 0),
                listener: Listener::new(2, listener),
                woken: Arc::default(),
            }
        }
        fn admit(&self, now: u64) -> Result<Admission, Shut> {
            admit(&self.process, &self.frontend, &self.listener, now, &Waker::from(self.woken.clone()))
        }
        fn come(&self, worker: usize, now: u64) -> Result<Admission, Shut> {
            let admission = self.admit(now)?;
            accepted(&self.process, &self.frontend, &self.listener, worker, now);
            self.frontend.session(&self.process, worker, now);
            Ok(admission)
        }
    }

    #[test]
    fn each_maxconn_shuts_the_gate() {
        for (process, frontend, listener) in [(2, 0, 0), (0, 2, 0), (0, 0, 2), (2, 3, 4)] {
            let world = World::new(process, frontend, listener);
            let a = world.come(0, 0).expect("room");
            let b = world.come(1, 0).expect("room");
            assert_eq!((a.actconn(), b.feconn()), (2, 2));
            assert_eq!(world.come(0, 0).err(), Some(Shut::Full));
            assert_eq!(world.woken.0.load(SeqCst), 0, "a vain try wakes nobody, least of all itself");
            assert_eq!((world.process.conns.get(), world.listener.conns.get()), (2, 2), "and holds nothing");
            drop(a);
            assert_eq!(world.woken.0.load(SeqCst), 1);
            let _c = world.come(0, 0).expect("room again");
            assert_eq!(world.frontend.counters.totals().cum_conn, 3);
        }
    }

    #[test]
    fn rates_shut_the_gate_for_a_while() {
        for which in 0..3 {
            let world = World::new(0, 0, 0);
            let limit = [&world.process.maxconnrate, &world.process.maxsessrate, &world.frontend.rate_limit];
            limit[which].store(10, Relaxed);
            let mut now = 5000;
            let mut came = 0;
            let end = 25_000;
            let mut waits = 0;
            while now < end {
                match world.come(usize::try_from(now % 2).expect("small"), now) {
                    Ok(_) => came += 1,
                    Err(Shut::Rate(wait)) => {
                        assert!(wait > 0);
                        now += wait;
                        waits += 1;
                    }
                    Err(Shut::Full) => panic!("no maxconn"),
                }
            }
            // 20 seconds at 10 a second, and the first burst
            assert!((190..=215).contains(&came), "{which}: {came}");
            assert!(waits < 2 * came, "waiting is not polling");
        }
    }

    #[test]
    fn no_limit_no_gate() {
        let world = World::new(0, 0, 0);
        let all: Vec<_> = (0..1000).map(|n| world.come(n % 2, 7000).expect("no limit")).collect();
        assert_eq!(world.frontend.conn_rate(7000).per_second(7000), 1000);
        assert_eq!(world.process.sess_rate(7000).per_second(7500), 1000);
        drop(all);
        assert_eq!((world.process.conns.get(), world.process.conns.highest()), (0, 1000));
    }

    #[test]
    fn a_connection_has_a_word_for_what_few_have() {
        assert_eq!(size_of::<Admission>(), 4 * size_of::<usize>());
    }
}
