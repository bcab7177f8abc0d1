use super::*;
use crate::server::ServerState;
use crate::states::States;
use crate::tests::{proxy, server};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

struct Conn {
    number: u32,
    lease: Lease,
    dead: Rc<Cell<bool>>,
}

impl Connection for Conn {
    fn lease(&mut self) -> &mut Lease {
        &mut self.lease
    }
    fn is_dead(&self) -> bool {
        self.dead.get()
    }
}

struct World {
    servers: Vec<Arc<ServerState>>,
    next: u32,
}

impl World {
    fn new() -> Self {
        let set = portcullis_config::ServerSettings::default;
        let section = proxy("b", vec![server("s1", set()), server("s2", set()), server("s3", set())]);
        Self { servers: States::new(2).backend(&section, 10).servers(), next: 0 }
    }
    fn connect(&mut self, server: usize) -> Conn {
        self.next += 1;
        Conn { number: self.next, lease: Lease::new(self.servers[server].clone(), 0), dead: Rc::default() }
    }
}

fn pool(worker: usize) -> IdlePool<Conn> {
    IdlePool::new(worker, Arc::new(Descriptors::default()))
}

/// New connections, all in use at the same time.
fn connect_all<const N: usize>(world: &mut World, servers: [usize; N]) -> [Conn; N] {
    servers.map(|s| world.connect(s))
}

fn put(pool: &mut IdlePool<Conn>, conn: Conn) -> Handle {
    pool.put(conn, 0, false, &PoolSettings::default(), 0).map_err(|_| "refused").expect("kept")
}

fn number(conn: Option<Conn>) -> Option<u32> {
    conn.map(|c| c.number)
}

#[test]
fn who_may_use_what() {
    use Class::{Idle, Safe};
    for (mode, first, classes) in [
        (Reuse::Never, true, &[][..]),
        (Reuse::Never, false, &[]),
        (Reuse::Safe, true, &[]),
        (Reuse::Safe, false, &[Idle, Safe]),
        (Reuse::Aggressive, true, &[Safe]),
        (Reuse::Aggressive, false, &[Idle, Safe]),
        (Reuse::Always, true, &[Idle, Safe]),
        (Reuse::Always, false, &[Idle, Safe]),
    ] {
        assert_eq!(allowed(mode, first), classes, "{mode:?} {first}");
    }
}

#[test]
fn the_one_that_rests_longest_first() {
    let (mut world, mut pool) = (World::new(), pool(0));
    for conn in connect_all(&mut world, [0, 0, 1, 0]) {
        put(&mut pool, conn);
    }
    let (s1, s2) = (&world.servers[0], &world.servers[1]);
    assert_eq!((s1.idle.shared(), s2.idle.shared(), s1.idle.used(), pool.len()), (3, 1, 0, 4));
    assert_eq!(number(pool.take(s1, 0, Reuse::Always, true)), Some(1));
    assert_eq!(number(pool.take(s1, 0, Reuse::Safe, true)), None);
    assert_eq!(number(pool.take(s1, 0, Reuse::Safe, false)), Some(2));
    assert_eq!(number(pool.take(s1, 0, Reuse::Safe, false)), Some(4));
    assert_eq!(number(pool.take(s1, 0, Reuse::Safe, false)), None);
    assert_eq!(number(pool.take(s2, 0, Reuse::Always, false)), Some(3));
    assert!(pool.is_empty());
    assert_eq!((s1.idle.shared(), s2.idle.shared()), (0, 0));
}

#[test]
fn reused_ones_are_safe() {
    let (mut world, mut pool) = (World::new(), pool(0));
    let [conn, newer] = connect_all(&mut world, [0, 0]);
    put(&mut pool, conn);
    let s1 = world.servers[0].clone();
    assert_eq!(number(pool.take(&s1, 0, Reuse::Aggressive, true)), None, "never proved");
    let mut conn = pool.take(&s1, 0, Reuse::Aggressive, false).expect("idle");
    conn.lease.resume(0);
    assert_eq!((s1.idle.used(), conn.lease.reuses()), (2, 1));
    put(&mut pool, conn);
    assert_eq!((s1.idle.safe(), s1.idle.unsafe_idle(), s1.idle.used()), (1, 0, 1));
    put(&mut pool, newer);
    assert_eq!(number(pool.take(&s1, 0, Reuse::Always, false)), Some(2), "the unproved go first");
    assert_eq!(number(pool.take(&s1, 0, Reuse::Aggressive, true)), Some(1));
}

#[test]
fn keys_part_connections() {
    let (mut world, mut pool) = (World::new(), pool(0));
    let conns = connect_all(&mut world, [0; 4]);
    for (key, conn) in [7, 8, 7, 9].into_iter().zip(conns) {
        pool.put(conn, key, false, &PoolSettings::default(), 0).map_err(|_| "refused").expect("kept");
    }
    let s1 = &world.servers[0];
    assert_eq!(number(pool.take(s1, 0, Reuse::Always, true)), None);
    assert_eq!(number(pool.take(s1, 8, Reuse::Always, true)), Some(2));
    assert_eq!(number(pool.take(s1, 8, Reuse::Always, true)), None);
    assert_eq!(number(pool.take(s1, 7, Reuse::Always, true)), Some(1));
    assert_eq!(number(pool.evict(s1)), Some(3), "the oldest, whatever its key");
    assert_eq!(number(pool.take(s1, 9, Reuse::Always, true)), Some(4));
    assert!(pool.is_empty());
}

#[test]
fn the_dead_are_not_handed_out() {
    let (mut world, mut pool) = (World::new(), pool(0));
    let (a, b) = (world.connect(0), world.connect(0));
    let dead = b.dead.clone();
    let handle = put(&mut pool, b);
    put(&mut pool, a);
    dead.set(true);
    let s1 = world.servers[0].clone();
    assert_eq!(number(pool.take(&s1, 0, Reuse::Always, true)), Some(1));
    assert!(pool.remove(handle).is_none() && pool.is_empty());
    assert_eq!(s1.idle.shared(), 0);
    let c = world.connect(0);
    c.dead.set(true);
    assert!(pool.put(c, 0, false, &PoolSettings::default(), 0).is_err());
    assert_eq!(s1.idle.used(), 0);
}

#[test]
fn a_handle_is_good_once() {
    let (mut world, mut pool) = (World::new(), pool(0));
    let conn = world.connect(0);
    let old = put(&mut pool, conn);
    assert!(pool.get_mut(old).is_some());
    assert_eq!(number(pool.remove(old)), Some(1));
    let conn = world.connect(0);
    let new = put(&mut pool, conn);
    assert!(pool.remove(old).is_none() && pool.get_mut(old).is_none(), "the same place, another connection");
    assert_eq!(number(pool.remove(new)), Some(2));
}

#[test]
fn private_ones_are_found_by_handle_only() {
    let (mut world, mut pool) = (World::new(), pool(0));
    let conn = world.connect(0);
    let settings = PoolSettings { max_conn: 0, ..PoolSettings::default() };
    let handle = pool
        .put(conn, 0, true, &settings, 0)
        .map_err(|_| "refused")
        .expect("pool limits are for shared ones");
    let s1 = world.servers[0].clone();
    assert_eq!((s1.idle.private(), s1.idle.shared()), (1, 0));
    assert!(pool.take(&s1, 0, Reuse::Always, false).is_none() && pool.evict(&s1).is_none());
    assert_eq!(pool.purge(1_000_000, |_| panic!("private")), None);
    assert_eq!(number(pool.remove(handle)), Some(1));
    assert_eq!(s1.idle.private(), 0);
}

#[test]
fn limits() {
    let (mut world, mut pool) = (World::new(), pool(0));
    let mut tries = |settings: PoolSettings, reuses: u32| {
        let mut conn = world.connect(0);
        for _ in 0..reuses {
            conn.lease.resume(0);
        }
        pool.put(conn, 0, false, &settings, 0).is_ok()
    };
    let default = PoolSettings::default();
    assert!(tries(PoolSettings { max_reuse: 0, ..default }, 2), "for HTTP/2 only");
    assert!(!tries(default, 0), "one was in use at a time, and one is there");
    let roomy = PoolSettings { low_conn: 5, ..default };
    assert!(tries(roomy, 0), "pool-low-conn keeps more");
    assert!(!tries(PoolSettings { max_conn: 0, ..roomy }, 0));
    assert!(!tries(PoolSettings { max_conn: 2, ..roomy }, 0), "two are there");
    assert!(tries(PoolSettings { max_conn: 3, ..roomy }, 0));
    assert!(!tries(PoolSettings { purge_delay: 0, ..roomy }, 0));
}

#[test]
fn descriptors() {
    let fds = Arc::new(Descriptors::new(100, 20, 25));
    let (mut world, mut pool) = (World::new(), IdlePool::<Conn>::new(0, fds.clone()));
    (0..20).for_each(|_| fds.add());
    assert!(fds.above_low() && !fds.above_high());
    let roomy = PoolSettings { low_conn: 5, ..PoolSettings::default() };
    let puts = |world: &mut World, pool: &mut IdlePool<Conn>| {
        let conn = world.connect(0);
        pool.put(conn, 0, false, &roomy, 0).is_ok()
    };
    assert!(puts(&mut world, &mut pool), "a server's only one is kept");
    assert!(!puts(&mut world, &mut pool), "no other");
    fds.sub();
    assert!(puts(&mut world, &mut pool));
    (0..6).for_each(|_| fds.add());
    assert!(fds.above_high());
    let other = world.servers[1].clone();
    assert_eq!(number(pool.evict(&other)), Some(1), "of another server if that has none");
}

#[test]
fn purge_takes_half_of_what_is_too_much() {
    let (mut world, mut pool) = (World::new(), pool(0));
    let conns: Vec<_> = (0..8).map(|_| world.connect(0)).collect();
    for conn in conns {
        put(&mut pool, conn);
    }
    let s1 = world.servers[0].clone();
    let mut purge = |now| {
        let mut closed = Vec::new();
        let next = pool.purge(now, |c| closed.push(c.number));
        (closed, next)
    };
    assert_eq!(purge(4999), (vec![], Some(5000)));
    // all eight were in use in this period: that many may be needed again
    assert_eq!(purge(5000), (vec![], Some(10_000)));
    assert_eq!(s1.idle.need(), 8);
    // none were in the next: four are needed, two of the four too many go, the oldest first
    assert_eq!(purge(10_000), (vec![1, 2], Some(15_000)));
    assert_eq!(purge(15_000), (vec![3, 4], Some(20_000)));
    assert_eq!(purge(20_000), (vec![5, 6], Some(25_000)));
    assert_eq!(purge(25_000), (vec![7], Some(30_000)));
    assert_eq!(purge(30_000), (vec![8], None));
    assert_eq!(s1.idle.shared(), 0);
}

#[test]
fn purge_and_drain_over_several_servers() {
    let (mut world, mut pool) = (World::new(), pool(0));
    for conn in connect_all(&mut world, [0, 1, 2, 1]) {
        put(&mut pool, conn);
    }
    let mut closed = Vec::new();
    let s2 = world.servers[1].clone();
    pool.drain(&s2, |c| closed.push(c.number));
    assert_eq!(closed, [2, 4]);
    let mut now = 5000;
    while pool.purge(now, |c| closed.push(c.number)).is_some() {
        now += 5000;
        assert!(now < 100_000, "idle connections do not stay forever");
    }
    closed.sort_unstable();
    assert_eq!(closed, [1, 2, 3, 4]);
    assert_eq!(pool.purge(now, |_| panic!("nothing is left")), None);
}

#[test]
fn others_are_asked() {
    let (mut world, mut here, mut there) = (World::new(), pool(0), pool(1));
    let s1 = world.servers[0].clone();
    let default = PoolSettings::default();
    assert_eq!(here.victim(&s1, &default, Reuse::Always, true), None);
    let mut conn = world.connect(0);
    conn.lease = Lease::new(s1.clone(), 1);
    put(&mut there, conn);
    assert_eq!(here.victim(&s1, &default, Reuse::Always, true), Some(1));
    assert_eq!(there.victim(&s1, &default, Reuse::Always, true), None, "not oneself");
    assert_eq!(here.victim(&s1, &default, Reuse::Aggressive, true), None, "no safe one there");
    assert_eq!(here.victim(&s1, &default, Reuse::Safe, true), None);
    let low = PoolSettings { low_conn: 2, ..default };
    assert_eq!(here.victim(&s1, &low, Reuse::Always, true), None);
    let mut moved = there.take(&s1, 0, Reuse::Always, true).expect("detached");
    moved.lease.resume(0);
    assert_eq!((s1.idle.shared(), s1.idle.used()), (0, 1));
    put(&mut here, moved);
    assert_eq!((s1.idle.safe(), s1.idle.used()), (1, 0));
}

/// Against a simple model, for a long time.
#[test]
fn behaves_like_lists() {
    let (mut world, mut pool) = (World::new(), pool(0));
    // (number, server, key, safe, handle), oldest first
    let mut model: Vec<(u32, usize, u64, bool, Handle)> = Vec::new();
    let mut seed = 0x9E37_79B9u32;
    let mut random = |below: u32| {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        seed % below
    };
    for _ in 0..20_000 {
        let server = random(3) as usize;
        let key = u64::from(random(3));
        match random(5) {
            0 | 1 => {
                let mut conn = world.connect(server);
                let safe = random(2) == 0;
                if safe {
                    conn.lease.resume(0);
                }
                let number = conn.number;
                let settings = PoolSettings { low_conn: u32::MAX, ..PoolSettings::default() };
                let handle = pool.put(conn, key, false, &settings, 0).map_err(|_| ()).expect("kept");
                model.push((number, server, key, safe, handle));
            }
            2 => {
                let first = random(2) == 0;
                let fits = |safe| {
                    move |c: &&(u32, usize, u64, bool, Handle)| c.1 == server && c.2 == key && c.3 == safe
                };
                let expected = if first {
                    model.iter().find(fits(true))
                } else {
                    model.iter().find(fits(false)).or(model.iter().find(fits(true)))
                };
                let expected = expected.map(|c| c.0);
                let got = number(pool.take(&world.servers[server], key, Reuse::Aggressive, first));
                assert_eq!(got, expected);
                model.retain(|c| Some(c.0) != got);
            }
            3 if !model.is_empty() => {
                let gone = model.remove(random(model.len() as u32) as usize);
                assert_eq!(number(pool.remove(gone.4)), Some(gone.0));
                assert!(pool.remove(gone.4).is_none());
            }
            _ => {
                let got = number(pool.evict(&world.servers[server]));
                let oldest = model.iter().find(|c| c.1 == server);
                match oldest {
                    Some(c) => assert_eq!(got, Some(c.0)),
                    None => assert_eq!(got.is_some(), !model.is_empty()),
                }
                model.retain(|c| Some(c.0) != got);
            }
        }
        assert_eq!(pool.len(), model.len());
    }
    for (at, server) in world.servers.iter().enumerate() {
        let count = |safe| model.iter().filter(|c| c.1 == at && c.3 == safe).count() as u32;
        assert_eq!(
            (server.idle.unsafe_idle(), server.idle.safe(), server.idle.used()),
            (count(false), count(true), 0)
        );
    }
}

#[test]
fn a_server_in_maintenance_keeps_nothing() {
    let section = proxy("b", vec![server("s1", portcullis_config::ServerSettings::default())]);
    let states = States::new(2);
    let backend = states.backend(&section, 10);
    let mut world = World { servers: backend.servers(), next: 0 };
    let mut pool = pool(0);
    let [shared, own, late] = connect_all(&mut world, [0, 0, 0]);
    put(&mut pool, shared);
    let handle = pool.put(own, 0, true, &PoolSettings::default(), 0).map_err(|_| "refused").expect("kept");
    backend.set_admin(&world.servers[0], crate::Admin::Maint);
    assert!(pool.put(late, 0, false, &PoolSettings::default(), 0).is_err());
    let mut closed = 0;
    pool.drain(&world.servers[0], |_| closed += 1);
    assert_eq!((closed, pool.len(), world.servers[0].idle.all()), (2, 0, 0));
    assert!(pool.remove(handle).is_none());
}
