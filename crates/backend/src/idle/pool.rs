//! The pool itself: a slab of connections in intrusive lists.

use super::{Class, Connection, Descriptors, Handle, PoolSettings, allowed};
use crate::server::{Admin, ServerState};
use portcullis_config::Reuse;
use std::collections::HashMap;
use std::sync::Arc;

const NONE: u32 = u32::MAX;

/// The lists that a connection is in.
#[derive(Clone, Copy)]
enum By {
    /// Same server, same key, same class: what a request looks through.
    Key = 0,
    /// Same server: what a purge walks.
    Server = 1,
}

#[derive(Clone, Copy)]
struct Link {
    newer: u32,
    older: u32,
}

#[derive(Clone, Copy)]
struct List {
    newest: u32,
    oldest: u32,
}

const EMPTY: List = List { newest: NONE, oldest: NONE };
const UNLINKED: Link = Link { newer: NONE, older: NONE };

/// A place of the slab.
struct Place<C> {
    conn: Option<C>,
    generation: u32,
    server: u32,
    class: Class,
    key: u64,
    links: [Link; 2],
}

/// Idle connections with one key to one server: never reused ones, safe ones.
type Lists = [List; 2];

/// One server's part of the pool.
struct PerServer {
    /// The key that most connections have; those of others are in `others`.
    key: u64,
    lists: Lists,
    others: HashMap<u64, Lists, std::hash::BuildHasherDefault<Identity>>,
    all: List,
    /// Is it in [`IdlePool::occupied`]?
    listed: bool,
    purge_delay: u64,
    next_purge: u64,
}

impl PerServer {
    fn lists(&mut self, key: u64) -> Option<&mut Lists> {
        if self.key == key { Some(&mut self.lists) } else { self.others.get_mut(&key) }
    }
}

/// Keys are hashes already.
#[derive(Default)]
struct Identity(u64);

impl std::hash::Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*b);
        }
    }
    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}

/// One worker's idle connections of type `C`.
pub struct IdlePool<C> {
    worker: usize,
    descriptors: Arc<Descriptors>,
    places: Vec<Place<C>>,
    free: Vec<u32>,
    /// By [`ServerState::index`].
    servers: Vec<Option<Box<PerServer>>>,
    /// Servers with shared idle connections here; those without any more leave at the next purge, or when somebody looks
    /// for one to close.
    occupied: Vec<u32>,
}

impl<C: Connection> IdlePool<C> {
    /// An empty pool of worker number `worker`.
    pub fn new(worker: usize, descriptors: Arc<Descriptors>) -> Self {
        Self {
            worker,
            descriptors,
            places: Vec::new(),
            free: Vec::new(),
            servers: Vec::new(),
            occupied: Vec::new(),
        }
    }

    /// How many connections rest here, private ones included.
    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }
    /// None at all?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lets a connection rest. `key` is a hash of what requests must have in common to share it (addresses bound to,
    /// PROXY header, `pool-conn-name` …; 0 if nothing); a private one is found by its [`Handle`] only.
    ///
    /// # Errors
    /// The connection itself, to be closed, if it must not be kept: `pool-max-conn`, `pool-purge-delay 0` or
    /// `tune.pool-low-fd-ratio` say so (a server's only one is kept as long as `tune.pool-high-fd-ratio` lets it: it is
    /// worth most), there are as many as were in use lately and `pool-low-conn` more, or it is dead.
    /// (`max-reuse` is for HTTP/2: HAProxy 3.5 does not look at it for HTTP/1.)
    pub fn put(
        &mut self,
        mut conn: C,
        key: u64,
        private: bool,
        settings: &PoolSettings,
        now: u64,
    ) -> Result<Handle, C> {
        if conn.is_dead() {
            return Err(conn);
        }
        let lease = conn.lease();
        let reuses = lease.reuses();
        // who is in maintenance shall be left alone, and may be about to be removed
        let leaving = lease.server().own_admin() == Admin::Maint;
        if leaving || !private && !self.keeps(lease.server(), settings) {
            return Err(conn);
        }
        let class = match (private, reuses) {
            (true, _) => Class::Private,
            (false, 0) => Class::Idle,
            _ => Class::Safe,
        };
        lease.rest();
        let server = *lease.server().index;
        lease.server().idle.workers.of(self.worker).add(class);
        let at = self.place(conn, server, class, key);
        if class != Class::Private {
            self.link(at, settings, now);
        }
        Ok(self.handle(at))
    }

    /// Is it the only one of its server here, and none is closed for want of descriptors?
    fn is_first(&self, server: &ServerState) -> bool {
        self.oldest(*server.index) == NONE && !self.descriptors.above_high()
    }

    fn keeps(&self, server: &ServerState, settings: &PoolSettings) -> bool {
        settings.purge_delay != 0
            && server.idle.workers.of(self.worker).has_room(settings.low_conn)
            && (!self.descriptors.above_low() || self.is_first(server))
            && match u32::try_from(settings.max_conn) {
                Ok(0) => false,
                Ok(max) => server.idle.shared() < max,
                Err(_) => true,
            }
    }

    fn place(&mut self, conn: C, server: u32, class: Class, key: u64) -> u32 {
        match self.free.pop().and_then(|at| Some((at, self.places.get_mut(at as usize)?))) {
            Some((at, place)) => {
                (place.conn, place.server, place.class, place.key) = (Some(conn), server, class, key);
                at
            }
            None => {
                let links = [UNLINKED; 2];
                self.places.push(Place { conn: Some(conn), generation: 0, server, class, key, links });
                (self.places.len() - 1) as u32
            }
        }
    }

    fn handle(&self, at: u32) -> Handle {
        Handle { at, generation: self.places.get(at as usize).map_or(0, |p| p.generation) }
    }

    /// Takes the connection that rested longest of those that the request may use: of `server`, with the same key, under
    /// `http-reuse` mode `reuse`; `first` is the first request of its session. Call [`super::Lease::resume`] with the
    /// worker that will use it. Dead ones found on the way are closed.
    pub fn take(&mut self, server: &ServerState, key: u64, reuse: Reuse, first: bool) -> Option<C> {
        for class in allowed(reuse, first) {
            while let Some(at) = self.longest(*server.index, key, *class) {
                let conn = self.unlink(at)?;
                if !conn.is_dead() {
                    return Some(conn);
                }
            }
        }
        None
    }

    fn longest(&mut self, server: u32, key: u64, class: Class) -> Option<u32> {
        let per = self.servers.get_mut(server as usize)?.as_mut()?;
        let at = per.lists(key)?[class_list(class)].oldest;
        (at != NONE).then_some(at)
    }

    /// Takes this very connection: its session wants its private one back, or the watch saw it close.
    pub fn remove(&mut self, handle: Handle) -> Option<C> {
        let place = self.places.get(handle.at as usize)?;
        if place.generation != handle.generation {
            return None;
        }
        self.unlink(handle.at)
    }

    /// The connection, to look at (for the watch).
    pub fn get_mut(&mut self, handle: Handle) -> Option<&mut C> {
        let place = self.places.get_mut(handle.at as usize)?;
        if place.generation == handle.generation { place.conn.as_mut() } else { None }
    }

    /// A worker that has idle connections of `server` which such a request may use, if it is worth to ask
    /// (`pool-low-conn`); the one with the most. There, [`IdlePool::take`] detaches one.
    pub fn victim(
        &self,
        server: &ServerState,
        settings: &PoolSettings,
        reuse: Reuse,
        first: bool,
    ) -> Option<usize> {
        let classes = allowed(reuse, first);
        if classes.is_empty() || server.idle.shared() < settings.low_conn.max(1) {
            return None;
        }
        let usable = |w: &super::WorkerIdle| {
            classes.iter().map(|c| w.of(*c).load(std::sync::atomic::Ordering::Relaxed)).sum::<u32>()
        };
        let others = server.idle.workers.numbered().filter(|(at, _)| *at != self.worker);
        let (count, at) = others.map(|(at, w)| (usable(w), at)).max_by_key(|(count, _)| *count)?;
        (count > 0).then_some(at)
    }

    /// Another worker that has connections of `server`, idle or not: the one with the most.
    pub fn holder(&self, server: &ServerState) -> Option<usize> {
        let others = server.idle.workers.numbered().filter(|(at, _)| *at != self.worker);
        let used = |w: &super::WorkerIdle| w.used.load(std::sync::atomic::Ordering::Relaxed);
        let (count, at) = others.map(|(at, w)| (used(w), at)).max_by_key(|(count, _)| *count)?;
        (count > 0).then_some(at)
    }

    /// The connection that is to be closed before a new one to `server` is made while
    /// [`Descriptors::above_high`]: the oldest of that server, or else of another one.
    pub fn evict(&mut self, server: &ServerState) -> Option<C> {
        let at = match self.oldest(*server.index) {
            NONE => self.of_any()?,
            at => at,
        };
        self.unlink(at)
    }

    /// One of the server that has had some for the shortest time: where servers are gone round, those of the others are
    /// wanted sooner.
    fn of_any(&mut self) -> Option<u32> {
        while let Some(&server) = self.occupied.last() {
            let at = self.oldest(server);
            if at != NONE {
                return Some(at);
            }
            self.occupied.pop();
            if let Some(per) = self.servers.get_mut(server as usize).and_then(|s| s.as_mut()) {
                per.listed = false;
            }
        }
        None
    }

    /// Likewise, of that server only.
    pub fn evict_of(&mut self, server: &ServerState) -> Option<C> {
        match self.oldest(*server.index) {
            NONE => None,
            at => self.unlink(at),
        }
    }

    fn oldest(&self, server: u32) -> u32 {
        self.servers.get(server as usize).and_then(|s| s.as_ref()).map_or(NONE, |s| s.all.oldest)
    }

    /// Takes all connections of a server (it went down or away); handles of private ones are worth nothing then.
    pub fn drain(&mut self, server: &ServerState, mut close: impl FnMut(C)) {
        while let Some(conn) = self.unlink(self.oldest(*server.index)) {
            close(conn);
        }
        if server.idle.workers.of(self.worker).of(Class::Private).load(std::sync::atomic::Ordering::Relaxed)
            == 0
        {
            return;
        }
        for at in 0..self.places.len() as u32 {
            let its = |p: &Place<C>| p.conn.is_some() && p.server == *server.index;
            if self.places.get(at as usize).is_some_and(its)
                && let Some(conn) = self.unlink(at)
            {
                close(conn);
            }
        }
    }

    /// Closes what is too much: of each server whose `pool-purge-delay` has passed, half of the connections beyond
    /// what the last period needed, the oldest first. Call when the time comes that it answers (none: nothing rests).
    pub fn purge(&mut self, now: u64, mut close: impl FnMut(C)) -> Option<u64> {
        let mut next: Option<u64> = None;
        let mut at = 0;
        while let Some(&server) = self.occupied.get(at) {
            if self.due(server, now) {
                self.halve(server, &mut close);
            }
            let Some(per) = self.servers.get_mut(server as usize).and_then(|s| s.as_mut()) else { break };
            if per.all.oldest == NONE {
                per.listed = false;
                self.occupied.swap_remove(at);
            } else {
                next = Some(next.map_or(per.next_purge, |n: u64| n.min(per.next_purge)));
                at += 1;
            }
        }
        next
    }

    fn due(&mut self, server: u32, now: u64) -> bool {
        match self.servers.get_mut(server as usize).and_then(|s| s.as_mut()) {
            Some(per) if now >= per.next_purge => {
                per.next_purge = now + per.purge_delay;
                true
            }
            _ => false,
        }
    }

    fn halve(&mut self, server: u32, close: &mut impl FnMut(C)) {
        let at = self.oldest(server);
        let Some(conn) = self.places.get_mut(at as usize).and_then(|p| p.conn.as_mut()) else { return };
        let excess = conn.lease().server().idle.workers.of(self.worker).excess();
        for _ in 0..excess.div_ceil(2) {
            match self.unlink(self.oldest(server)) {
                Some(conn) => close(conn),
                None => return,
            }
        }
    }

    /// Into both lists.
    fn link(&mut self, at: u32, settings: &PoolSettings, now: u64) {
        let Self { places, servers, occupied, .. } = self;
        let Some(place) = places.get(at as usize) else { return };
        let (server, class, key) = (place.server as usize, place.class, place.key);
        if server >= servers.len() {
            servers.resize_with(server + 1, || None);
        }
        let Some(slot) = servers.get_mut(server) else { return };
        let per = slot.get_or_insert_with(|| {
            Box::new(PerServer {
                key,
                lists: [EMPTY; 2],
                others: HashMap::default(),
                all: EMPTY,
                listed: false,
                purge_delay: 0,
                next_purge: 0,
            })
        });
        if !per.listed {
            per.listed = true;
            occupied.push(server as u32);
            per.next_purge = now + settings.purge_delay;
        }
        if per.all.oldest == NONE {
            per.key = key;
        }
        per.purge_delay = settings.purge_delay;
        let lists = if per.key == key { &mut per.lists } else { per.others.entry(key).or_insert([EMPTY; 2]) };
        push(places, By::Key, &mut lists[class_list(class)], at);
        push(places, By::Server, &mut per.all, at);
    }

    /// Out of all lists and out of the slab.
    fn unlink(&mut self, at: u32) -> Option<C> {
        let Self { places, servers, free, worker, .. } = self;
        let place = places.get_mut(at as usize)?;
        let mut conn = place.conn.take()?;
        place.generation = place.generation.wrapping_add(1);
        let (server, class, key) = (place.server as usize, place.class, place.key);
        free.push(at);
        conn.lease().server().idle.workers.of(*worker).sub(class);
        if class == Class::Private {
            return Some(conn);
        }
        let Some(per) = servers.get_mut(server).and_then(|s| s.as_mut()) else { return Some(conn) };
        cut(places, By::Server, &mut per.all, at);
        if let Some(lists) = per.lists(key) {
            cut(places, By::Key, &mut lists[class_list(class)], at);
            if lists.iter().all(|l| l.newest == NONE) {
                // nothing there for the usual key, which is not in this map
                per.others.remove(&key);
            }
        }
        Some(conn)
    }
}

fn class_list(class: Class) -> usize {
    usize::from(class == Class::Safe)
}

/// At the newest end.
fn push<C>(places: &mut [Place<C>], by: By, list: &mut List, at: u32) {
    let before = list.newest;
    if let Some(place) = places.get_mut(at as usize) {
        place.links[by as usize] = Link { newer: NONE, older: before };
    }
    match places.get_mut(before as usize) {
        Some(place) => place.links[by as usize].newer = at,
        None => list.oldest = at,
    }
    list.newest = at;
}

/// Out of the middle.
fn cut<C>(places: &mut [Place<C>], by: By, list: &mut List, at: u32) {
    let Some(link) = places.get(at as usize).map(|p| p.links[by as usize]) else { return };
    match places.get_mut(link.newer as usize) {
        Some(place) => place.links[by as usize].older = link.older,
        None => list.newest = link.older,
    }
    match places.get_mut(link.older as usize) {
        Some(place) => place.links[by as usize].newer = link.newer,
        None => list.oldest = link.newer,
    }
}
