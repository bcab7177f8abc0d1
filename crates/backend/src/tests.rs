//! States, slots and queues together.

use crate::*;
use portcullis_config::addr::{Address, Host, Ports, Transport};
use portcullis_config::{Algorithm, Balancing, Opts, Place, Proxy, Server, ServerSettings};
use std::future::Future;
use std::net::Ipv4Addr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

pub(crate) fn server(name: &str, set: ServerSettings) -> Server {
    let address =
        Address { transport: Transport::Stream, host: Host::V4(Ipv4Addr::LOCALHOST), ports: Ports::One(80) };
    Server::new(Place::default(), name.into(), address, set)
}

pub(crate) fn proxy(name: &str, servers: Vec<Server>) -> Proxy {
    let balance = Balancing { algorithm: Algorithm::RoundRobin, ..Balancing::default() };
    Proxy { name: name.into(), servers, balance, ..Proxy::default() }
}

fn limited(name: &str, maxconn: u32) -> Server {
    server(name, ServerSettings { maxconn, ..ServerSettings::default() })
}

fn take(choice: Choice) -> SlotGuard {
    match choice {
        Choice::Server(slot) => slot,
        other => panic!("no server: {other:?}"),
    }
}

fn wait(backend: &BackendState, choice: Choice, priority: Priority) -> Ticket {
    match choice {
        Choice::Wait(at) => backend.enqueue(at, priority).expect("room in the queue"),
        other => panic!("nothing to wait for: {other:?}"),
    }
}

/// The name of the server and the position, if the ticket has been granted.
fn granted(ticket: &mut Ticket) -> Option<(SlotGuard, u32)> {
    match ticket.try_take() {
        Some(Grant::Slot(slot, position)) => Some((slot, position)),
        Some(Grant::Moved(_)) => panic!("moved"),
        None => None,
    }
}

#[derive(Default)]
struct Flag(AtomicBool);
impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

fn at(time: u64) -> Priority {
    Priority::new(0, 0, time)
}

#[test]
fn round_robin_skips_the_full_and_queues_when_all_are() {
    let backend = States::new(1).backend(&proxy("b", vec![limited("s1", 1), limited("s2", 2)]), 10);
    let slots: Vec<_> = (0..3).map(|_| take(backend.balance(Ask::default()))).collect();
    let on = |name: &str| slots.iter().filter(|s| &*s.server().name.get() == name).count();
    assert_eq!((on("s1"), on("s2")), (1, 2));
    let mut a = wait(&backend, backend.balance(Ask::default()), at(1));
    let mut b = wait(&backend, backend.balance(Ask::default()), at(2));
    assert!(granted(&mut a).is_none() && granted(&mut b).is_none());
    assert_eq!((backend.queued(), backend.queued_max()), (2, 2));
    drop(slots);
    let (first, position) = granted(&mut a).expect("its turn");
    assert_eq!(position, 1, "it counts itself, as HAProxy logs it");
    let (_second, position) = granted(&mut b).expect("its turn");
    assert_eq!(position, 2);
    assert_eq!(backend.queued(), 0);
    drop(first);
}

#[test]
fn polling_registers_the_waker() {
    let backend = States::new(1).backend(&proxy("b", vec![limited("s1", 1)]), 10);
    let slot = take(backend.balance(Ask::default()));
    let mut ticket = pin!(wait(&backend, backend.balance(Ask::default()), at(0)));
    let flag = Arc::new(Flag::default());
    let waker = Waker::from(flag.clone());
    let mut cx = Context::from_waker(&waker);
    assert!(ticket.as_mut().poll(&mut cx).is_pending());
    assert!(!flag.0.load(SeqCst));
    drop(slot);
    assert!(flag.0.load(SeqCst));
    assert!(matches!(ticket.as_mut().poll(&mut cx), Poll::Ready(Grant::Slot(..))));
}

#[test]
fn nobody_overtakes() {
    let backend = States::new(1).backend(&proxy("b", vec![limited("s1", 1)]), 10);
    let s1 = backend.server("s1").expect("s1");
    let slot = take(backend.balance(Ask::default()));
    let mut persistent = wait(&backend, backend.persist(&s1), at(5));
    let mut late = wait(&backend, backend.balance(Ask::default()), at(6));
    let mut urgent = wait(&backend, backend.balance(Ask::default()), Priority::new(-1, 0, 7));
    let mut early = wait(&backend, backend.balance(Ask::default()), Priority::new(0, -100, 8));
    assert_eq!((s1.queued(), backend.queued()), (1, 3));
    drop(slot);
    assert!(s1.try_acquire().is_none(), "the slot has been handed over");
    let (slot, _) = granted(&mut urgent).expect("the lower class");
    drop(slot);
    let (slot, position) = granted(&mut early).expect("the earlier time");
    assert_eq!(position, 2);
    drop(slot);
    let (slot, position) = granted(&mut persistent).expect("the server's own queue at the same class");
    assert_eq!(position, 1, "of the server's queue");
    drop(slot);
    let (slot, _) = granted(&mut late).expect("the last");
    drop(slot);
    assert_eq!(s1.used(), 0);
    assert!(s1.try_acquire().is_some());
}

#[test]
fn a_ticket_dropped_leaves_no_trace() {
    let backend = States::new(1).backend(&proxy("b", vec![limited("s1", 1)]), 10);
    let s1 = backend.server("s1").expect("s1");
    let slot = take(backend.balance(Ask::default()));
    let a = wait(&backend, backend.balance(Ask::default()), at(1));
    let b = wait(&backend, backend.persist(&s1), at(2));
    let mut c = wait(&backend, backend.balance(Ask::default()), at(3));
    drop(b);
    assert_eq!((s1.queued(), backend.queued()), (0, 2));
    drop(slot);
    // `a` was given the slot and never looked
    assert_eq!(s1.used(), 1);
    drop(a);
    assert!(granted(&mut c).is_some());
    assert_eq!((s1.used(), backend.queued()), (0, 0));
}

#[test]
fn maxqueue() {
    let set = ServerSettings { maxconn: 1, maxqueue: 1, ..ServerSettings::default() };
    let backend = States::new(1).backend(&proxy("b", vec![server("s1", set)]), 10);
    let s1 = backend.server("s1").expect("s1");
    let _slot = take(backend.persist(&s1));
    let _first = wait(&backend, backend.persist(&s1), at(1));
    match backend.persist(&s1) {
        Choice::Wait(queue) => assert_eq!(backend.enqueue(queue, at(2)).err(), Some(QueueFull)),
        other => panic!("{other:?}"),
    }
    assert_eq!(s1.queued_max(), 1);
}

#[test]
fn dynamic_limit() {
    let set = ServerSettings { maxconn: 100, minconn: 10, ..ServerSettings::default() };
    let backend = States::new(1).backend(&proxy("b", vec![server("s1", set)]), 50);
    let s1 = backend.server("s1").expect("s1");
    assert_eq!(s1.limit(), 10);
    let mut streams: Vec<_> = (0..20).map(|_| backend.sessions().take()).collect();
    assert_eq!(s1.limit(), 40);
    streams.extend((0..30).map(|_| backend.sessions().take()));
    assert_eq!(s1.limit(), 100);
    // the limit grows with those who wait: nobody waits for a release that need not come
    drop(streams);
    let set = ServerSettings { maxconn: 4, minconn: 1, ..ServerSettings::default() };
    let backend = States::new(1).backend(&proxy("c", vec![server("s1", set)]), 4);
    let _streams: Vec<_> = (0..2).map(|_| backend.sessions().take()).collect();
    let _a = take(backend.balance(Ask::default()));
    let _b = take(backend.balance(Ask::default()));
    let mut c = wait(&backend, backend.balance(Ask::default()), at(1));
    assert!(granted(&mut c).is_none());
    let _third = backend.sessions().take();
    let mut d = wait(&backend, backend.balance(Ask::default()), at(2));
    let held = granted(&mut c);
    assert!(held.is_some() && granted(&mut d).is_none());
}

#[test]
fn minconn_and_maxconn_default_to_each_other() {
    let of = |maxconn, minconn| ServerConfig { maxconn, minconn, ..ServerConfig::default() }.limits();
    assert_eq!(of(0, 0), (0, 0));
    assert_eq!(of(5, 0), (5, 5));
    assert_eq!(of(0, 5), (5, 5));
    assert_eq!(of(5, 2), (5, 2));
    assert_eq!(of(5, 9), (5, 5));
}

#[test]
fn a_higher_limit_serves_those_who_wait() {
    let backend = States::new(1).backend(&proxy("b", vec![limited("s1", 1)]), 10);
    let s1 = backend.server("s1").expect("s1");
    let _slot = take(backend.balance(Ask::default()));
    let mut a = wait(&backend, backend.balance(Ask::default()), at(1));
    let mut b = wait(&backend, backend.balance(Ask::default()), at(2));
    backend.set_limits(&s1, &ServerConfig { maxconn: 3, ..ServerConfig::default() });
    assert!(granted(&mut a).is_some() && granted(&mut b).is_some());
}

#[test]
fn states_change() {
    let backup = ServerSettings { backup: true, maxconn: 1, ..ServerSettings::default() };
    let servers =
        vec![limited("s1", 1), limited("s2", 1), server("b1", backup.clone()), server("b2", backup.clone())];
    let backend = States::new(1).backend(&proxy("b", servers), 10);
    let get = |name: &str| backend.server(name).expect("it is there");
    let (s1, s2, b1, b2) = (get("s1"), get("s2"), get("b1"), get("b2"));
    assert_eq!(backend.usable(), (2, 2));
    let _one = take(backend.persist(&s1));
    let mut waits = wait(&backend, backend.persist(&s1), at(1));
    backend.set_admin(&s1, Admin::Drain);
    assert!(waits.try_take().is_none(), "draining servers keep those who persist");
    backend.set_admin(&s1, Admin::Maint);
    assert!(matches!(waits.try_take(), Some(Grant::Moved(0))));
    assert_eq!(s1.queued(), 0);
    for _ in 0..3 {
        assert_eq!(&*take(backend.balance(Ask::default())).server().name.get(), "s2");
    }
    backend.set_health(&s2, Health::Down);
    assert_eq!(backend.usable(), (0, 2));
    let held = take(backend.balance(Ask::default()));
    assert_eq!(&*held.server().name.get(), "b1", "the first backup only");
    // it must be the first backup, even if it is full
    let waits = wait(&backend, backend.balance(Ask::default()), at(2));
    assert_eq!(waits.server().map(|s| s.name.to_string()).as_deref(), Some("b1"));
    drop((held, waits));
    backend.set_weight(&b1, 0);
    assert_eq!(&*take(backend.balance(Ask::default())).server().name.get(), "b2");
    backend.set_health(&b2, Health::Down);
    assert!(matches!(backend.balance(Ask::default()), Choice::Nobody));
    backend.set_health(&s2, Health::Up);
    let held = take(backend.balance(Ask::default()));
    let mut waits = wait(&backend, backend.balance(Ask::default()), at(3));
    assert!(granted(&mut waits).is_none());
    backend.set_weight(&b1, 1);
    assert!(granted(&mut waits).is_none(), "backups help only when all active servers are gone");
    backend.set_health(&s2, Health::Down);
    assert_eq!(
        granted(&mut waits).map(|(slot, _)| slot.server().name.get().to_string()).as_deref(),
        Some("b1")
    );
    drop(held);
}

#[test]
fn all_backups_take_turns() {
    let backup = || ServerSettings { backup: true, ..ServerSettings::default() };
    let mut section = proxy("b", vec![server("b1", backup()), server("b2", backup())]);
    section.opts |= Opts::ALLBACKUPS;
    let backend = States::new(1).backend(&section, 10);
    let names: Vec<_> =
        (0..4).map(|_| take(backend.balance(Ask::default())).server().name.get().to_string()).collect();
    assert_eq!(names, ["b1", "b2", "b1", "b2"]);
}

#[test]
fn redispatch_avoids() {
    let backend = States::new(1).backend(&proxy("b", vec![limited("s1", 0), limited("s2", 0)]), 10);
    let s1 = backend.server("s1").expect("s1");
    for _ in 0..5 {
        assert_eq!(
            &*take(backend.balance(Ask { avoid: Some(&s1), ..Ask::default() })).server().name.get(),
            "s2"
        );
    }
    let s2 = backend.server("s2").expect("s2");
    backend.set_admin(&s2, Admin::Maint);
    assert_eq!(
        &*take(backend.balance(Ask { avoid: Some(&s1), ..Ask::default() })).server().name.get(),
        "s1",
        "there is no other"
    );
}

#[test]
fn a_new_plan_finds_everything_again() {
    let states = States::new(2);
    let backend = states.backend(&proxy("b", vec![limited("s1", 5), limited("s2", 5), limited("s3", 5)]), 10);
    let (s1, s2) = (backend.server("s1").expect("s1"), backend.server("s2").expect("s2"));
    backend.set_weight(&s1, 7);
    s1.counters.of(0).cum_sess.add(3);
    let slot = take(backend.persist(&s2));
    let mut waits = {
        let _all: Vec<_> = (0..4).map(|_| take(backend.persist(&s2))).collect();
        wait(&backend, backend.persist(&s2), at(1))
    };
    assert!(granted(&mut waits).is_some());
    let again = states.backend(&proxy("b", vec![limited("s3", 5), limited("s1", 9), limited("new", 0)]), 20);
    assert!(Arc::ptr_eq(&backend, &again));
    assert_eq!(again.fullconn(), 20);
    let same = again.server("s1").expect("s1");
    assert!(Arc::ptr_eq(&same, &s1));
    assert_eq!((same.weight(), same.maxconn(), same.counters.totals().cum_sess), (7, 9, 3));
    assert!(again.server("s2").is_none() && !s2.usable());
    let names: Vec<_> = again.servers().iter().map(|s| s.name.to_string()).collect();
    assert_eq!(names, ["s3", "s1", "new"]);
    let new = again.server("new").expect("new");
    assert_eq!(new.slot, 3, "s2 is still held, so its place is not used again");
    let index = *s2.index;
    drop((s2, slot, waits));
    let third = states.backend(&proxy("b", vec![limited("s1", 9), limited("other", 0)]), 20);
    let other = third.server("other").expect("other");
    assert_eq!((other.slot, *other.index), (1, index), "now it is");
    assert!(states.find("b").is_some());
    states.retain(|_| false);
    assert!(states.find("b").is_none());
}

#[test]
fn sessions_follow_the_slot() {
    let backend = States::new(1).backend(&proxy("b", vec![limited("s1", 0)]), 10);
    let mut slot = take(backend.balance(Ask::default()));
    let s1 = slot.server().clone();
    assert_eq!((s1.used(), s1.sessions.get()), (1, 0));
    slot.begin_session();
    slot.begin_session();
    assert_eq!(s1.sessions.get(), 1);
    drop(slot);
    assert_eq!((s1.used(), s1.used_max(), s1.sessions.get(), s1.sessions.highest()), (0, 1, 0, 1));
}

struct Unpark(std::thread::Thread);
impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a ticket; fails the test when nobody wakes this thread for long (a lost wake-up).
fn block_on(ticket: Ticket) -> Grant {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut cx = Context::from_waker(&waker);
    let mut ticket = pin!(ticket);
    let begin = Instant::now();
    loop {
        if let Poll::Ready(grant) = ticket.as_mut().poll(&mut cx) {
            return grant;
        }
        std::thread::park_timeout(Duration::from_secs(20));
        assert!(begin.elapsed() < Duration::from_secs(19), "a wake-up was lost");
    }
}

/// Workers take, hold, release, give up, panic; one of them changes limits and states all the time.
#[test]
fn no_wake_up_is_lost_and_no_slot_leaks() {
    const THREADS: u32 = 6;
    const TURNS: u32 = 4000;
    let backend = States::new(8).backend(&proxy("b", vec![limited("s1", 2), limited("s2", 1)]), 10);
    let (s1, s2) = (backend.server("s1").expect("s1"), backend.server("s2").expect("s2"));
    let inside = AtomicU32::new(0);
    let served = AtomicU32::new(0);
    let work = |slot: SlotGuard, turn: u32| {
        // 2 + 1 slots, or 3 + 1 while the limit is raised
        assert!(inside.fetch_add(1, SeqCst) < 4);
        if turn.is_multiple_of(16) {
            std::thread::yield_now();
        }
        inside.fetch_sub(1, SeqCst);
        served.fetch_add(1, SeqCst);
        if turn % 512 == 7 {
            let gone = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
                let _slot = slot;
                std::panic::resume_unwind(Box::new(()));
            }));
            assert!(gone.is_err());
        }
    };
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (backend, s1, work) = (&backend, &s1, &work);
            scope.spawn(move || {
                for turn in 0..TURNS {
                    let persistent = (turn + thread).is_multiple_of(3);
                    let choice =
                        if persistent { backend.persist(s1) } else { backend.balance(Ask::default()) };
                    let queue = match choice {
                        Choice::Server(slot) => {
                            work(slot, turn);
                            continue;
                        }
                        Choice::Wait(queue) => queue,
                        Choice::Nobody => panic!("somebody is always up"),
                    };
                    let mut ticket = backend.enqueue(queue, at(turn.into())).expect("no maxqueue");
                    match turn % 5 {
                        0 => drop(ticket),
                        1 => {
                            if let Some(Grant::Slot(slot, _)) = ticket.try_take() {
                                work(slot, turn);
                            }
                        }
                        _ => {
                            if let Grant::Slot(slot, _) = block_on(ticket) {
                                work(slot, turn);
                            }
                        }
                    }
                }
            });
        }
        scope.spawn(|| {
            for turn in 0..TURNS / 4 {
                match turn % 4 {
                    0 => backend.set_limits(&s1, &ServerConfig { maxconn: 3, ..ServerConfig::default() }),
                    1 => backend.set_admin(&s2, Admin::Maint),
                    2 => backend.set_limits(&s1, &ServerConfig { maxconn: 2, ..ServerConfig::default() }),
                    _ => backend.set_admin(&s2, Admin::Ready),
                }
            }
            backend.set_admin(&s2, Admin::Ready);
        });
    });
    assert_eq!((s1.used(), s2.used()), (0, 0));
    assert_eq!((s1.queued(), s2.queued(), backend.queued()), (0, 0, 0));
    assert!(served.load(SeqCst) > TURNS);
}

fn hashed(backend: &BackendState, hash: u32) -> Option<Arc<str>> {
    match backend.balance(Ask { hash: Some(hash), ..Ask::default() }) {
        Choice::Server(slot) => Some(slot.server().name.get()),
        _ => None,
    }
}

/// Servers come and go by chance; in the end each algorithm does what it does with the same servers from the start.
#[test]
fn servers_come_and_go_under_every_algorithm() {
    use portcullis_config::HashType;
    let consistent = HashType { consistent: true, ..HashType::default() };
    for algorithm in [
        Algorithm::RoundRobin,
        Algorithm::LeastConn,
        Algorithm::First,
        Algorithm::Random(2),
        Algorithm::Source,
    ] {
        let balance = Balancing { algorithm, hash: consistent, ..Balancing::default() };
        let section = |servers| Proxy { balance: balance.clone(), ..proxy("b", servers) };
        let states = States::new(2);
        let backend = states.backend(&section(vec![limited("s0", 0)]), 10);
        let (mut random, mut there) = (7u32, vec![0u32]);
        for _ in 0..400 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let n = (random >> 16) % 24;
            let name = format!("s{n}");
            match backend.server(&name) {
                Some(server) => {
                    states.remove_server(&backend, &server);
                    there.retain(|t| *t != n);
                }
                None => {
                    let mut line = limited(&name, 0);
                    (line.id, line.set.weight, line.late) = (n + 1, Some(n % 3 + 1), true);
                    let server = states.add_server(&backend, &line);
                    assert!(!server.usable(), "it begins in maintenance");
                    backend.set_health(&server, Health::Up);
                    backend.set_admin(&server, Admin::Ready);
                    there.push(n);
                }
            }
            let chosen = match backend.balance(Ask { hash: Some(random), ..Ask::default() }) {
                Choice::Server(slot) => slot.server().name.get().to_string(),
                Choice::Nobody if there.is_empty() => continue,
                other => panic!("{other:?} with {there:?}"),
            };
            assert!(there.iter().any(|n| *chosen == format!("s{n}")), "{chosen} of {there:?}");
        }
        assert_eq!(backend.usable().0 as usize, there.len());
        let slots = backend.slots.lock().len();
        assert!(slots <= 25, "{slots} slots for 24 servers");
        assert!(states.servers() <= 26, "{} numbers", states.servers());
        if balance.algorithm == Algorithm::Source {
            let lines = there.iter().map(|n| {
                let mut line = limited(&format!("s{n}"), 0);
                (line.id, line.set.weight) = (n + 1, Some(n % 3 + 1));
                line
            });
            let fresh = States::new(2).backend(&section(lines.collect()), 10);
            for hash in (0..2000u32).map(|n| n.wrapping_mul(2_654_435_761)) {
                assert_eq!(hashed(&backend, hash), hashed(&fresh, hash));
            }
        }
    }
}

#[test]
fn who_waits_for_a_server_that_goes_balances_again() {
    let states = States::new(1);
    let backend = states.backend(&proxy("b", vec![limited("s1", 1)]), 10);
    let server = states.add_server(&backend, &limited("new", 1));
    backend.set_health(&server, Health::Up);
    backend.set_admin(&server, Admin::Ready);
    let slot = take(backend.persist(&server));
    let mut waits = wait(&backend, backend.persist(&server), at(1));
    states.remove_server(&backend, &server);
    assert!(matches!(waits.try_take(), Some(Grant::Moved(_))));
    assert!(backend.server("new").is_none() && backend.servers().len() == 1);
    drop(slot);
    assert_eq!(&*take(backend.balance(Ask::default())).server().name.get(), "s1");
    let weak = Arc::downgrade(&server);
    drop((server, waits));
    assert!(weak.upgrade().is_none(), "nothing holds it");
}

/// How 100,000 requests of two workers are spread over servers of weight 1 to 4; each worker has `held` at a time.
fn spread(algorithm: Algorithm, consistent: bool, maxconn: u32, held: usize) -> Vec<u32> {
    let hash = portcullis_config::HashType { consistent, ..Default::default() };
    let balance = Balancing { algorithm, hash, ..Balancing::default() };
    let servers = (1..=4).map(|n| {
        let mut line = limited(&format!("s{n}"), maxconn);
        (line.id, line.set.weight) = (n, Some(n));
        line
    });
    let section = Proxy { balance, ..proxy("b", servers.collect()) };
    let backend = States::new(2).backend(&section, 10);
    let counts: Vec<AtomicU32> = (0..4).map(|_| AtomicU32::new(0)).collect();
    std::thread::scope(|scope| {
        for worker in 0..2u32 {
            let (backend, counts) = (&backend, &counts);
            scope.spawn(move || {
                let mut slots = std::collections::VecDeque::new();
                for n in 0..50_000u32 {
                    let hash = Some((n * 2 + worker).wrapping_mul(2_654_435_761));
                    let slot = take(backend.balance(Ask { hash, ..Ask::default() }));
                    counts[slot.server().slot as usize].fetch_add(1, SeqCst);
                    slots.push_back(slot);
                    if slots.len() > held {
                        slots.pop_front();
                    }
                }
            });
        }
    });
    counts.into_iter().map(AtomicU32::into_inner).collect()
}

/// Each algorithm keeps its word over two workers.
#[test]
fn a_hundred_thousand_requests_are_spread_as_said() {
    let near = |counts: &[u32], shares: [u32; 4], off: u32| {
        let whole: u32 = shares.iter().sum();
        let fair = shares.map(|s| 100_000 * s / whole);
        counts.iter().zip(fair).all(|(n, f)| n.abs_diff(f) <= off)
    };
    for (algorithm, consistent, held, off) in [
        // in turn: not one too many for each worker
        (Algorithm::RoundRobin, false, 3, 2),
        (Algorithm::StaticRoundRobin, false, 3, 2),
        // draws hit the ring, whose places are as uneven as 3.5's
        (Algorithm::Random(1), false, 3, 6_000),
        // what is open is in the ratio of the weights
        (Algorithm::LeastConn, false, 40, 4000),
        // slots of a table: keys are spread evenly
        (Algorithm::Source, false, 3, 950),
        // places on a ring: 16 for each unit of weight are as uneven as they are
        (Algorithm::Source, true, 3, 12_000),
    ] {
        let counts = spread(algorithm.clone(), consistent, 0, held);
        assert_eq!(counts.iter().sum::<u32>(), 100_000);
        assert!(near(&counts, [1, 2, 3, 4], off), "{algorithm:?} {consistent}: {counts:?}");
    }
    // the first has room for all but one of what is open
    let counts = spread(Algorithm::First, false, 11, 5);
    assert!(counts[0] > 50_000 && counts[2] == 0 && counts[3] == 0, "{counts:?}");
}
