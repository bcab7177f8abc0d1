//! The order in which servers are chosen: one for the process, whatever the number of workers (manual section 4.2
//! `balance`, `hash-type`). The server chosen is the one that HAProxy 3.5 chooses; the tests hold recorded vectors.

pub mod hash;
mod identity;
pub(crate) mod load;
mod map;
mod ring;
mod roundrobin;

pub use identity::Identity;

use crate::queue::Queues;
use crate::server::{ServerState, SlotGuard};
use map::Map;
use portcullis_config::{Affinity, Algorithm, Balancing};
use ring::Ring;
use roundrobin::RoundRobin;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

/// What a request brings.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ask<'a> {
    /// The server that just failed (redispatch): it is chosen only if there is no other.
    pub avoid: Option<&'a ServerState>,
    /// The hash of its key; none: it has no key, or the algorithm needs none.
    pub hash: Option<u32>,
    /// Now, in milliseconds of the process clock.
    pub now: u64,
}

/// What an algorithm says.
#[derive(Debug)]
pub enum Pick {
    /// This server; a slot is taken.
    Server(SlotGuard),
    /// All are full: the backend's queue.
    Full,
    /// It must be this one, and it is full: its own queue.
    FullServer(Arc<ServerState>),
    /// No server is usable.
    Nobody,
}

/// The algorithms. Each keeps its own order over the members.
#[derive(Debug)]
enum Method {
    RoundRobin(RoundRobin),
    /// `static-rr`, and map-based hashes: a request without a key goes round.
    Map(Map),
    /// Consistent hashes.
    Ring(Ring),
    /// `random`: that many numbers are drawn.
    Random(Ring, u32),
    /// `leastconn`: the order is kept in [`load::Loads`].
    LeastConn,
    /// `first`: members by id.
    First(Vec<usize>),
    /// `sticky`: the member in use.
    Sticky(Option<usize>),
}

impl Method {
    fn new(balance: &Balancing) -> Self {
        match &balance.algorithm {
            Algorithm::RoundRobin | Algorithm::LogHash(_) => Self::RoundRobin(RoundRobin::default()),
            Algorithm::StaticRoundRobin => Self::Map(Map::default()),
            Algorithm::LeastConn => Self::LeastConn,
            Algorithm::First => Self::First(Vec::new()),
            Algorithm::Sticky => Self::Sticky(None),
            Algorithm::Unsaid => Self::Random(Ring::default(), 1),
            Algorithm::Random(draws) => Self::Random(Ring::default(), *draws),
            _ if balance.hash.consistent => Self::Ring(Ring::default()),
            _ => Self::Map(Map::default()),
        }
    }
}

/// A server as the balancer knows it.
#[derive(Debug)]
struct Member {
    state: Arc<ServerState>,
    /// Its place in the order of declaration.
    order: u64,
    backup: bool,
    /// Effective weight: 0 when not usable, else the user weight in the algorithm's scale.
    eweight: u32,
    /// Weight of the servers before it that were usable at the start (`hash-balance-factor`).
    before: u32,
}

/// Members by [`ServerState::slot`]; algorithms know them by that number.
type Members = [Option<Member>];

fn member(members: &Members, at: usize) -> Option<&Member> {
    members.get(at)?.as_ref()
}

/// Members, who of them takes part, and the algorithm.
#[derive(Debug)]
pub struct Balancer {
    balance: Balancing,
    method: Method,
    members: Vec<Option<Member>>,
    /// How many servers were ever declared.
    declared: u64,
    allbackups: bool,
    active: u32,
    backups: u32,
    /// The first usable backup, which takes all without `allbackups`.
    first_backup: Option<usize>,
    /// Effective weight of those in use.
    weight: u32,
    /// What map-based weights are divided by.
    divisor: u32,
    random: Xorshift,
}

/// Dynamic algorithms count in sixteenths, so that slow starts have steps.
pub(crate) const WEIGHT_SCALE: u32 = 16;

/// 32-bit random numbers, not for secrets.
#[derive(Debug)]
pub(crate) struct Xorshift(u32);

impl Default for Xorshift {
    fn default() -> Self {
        use std::hash::{BuildHasher, Hasher};
        let word = std::hash::RandomState::new().build_hasher().finish() as u32;
        Self(2_463_534_242u32.wrapping_add(word).max(1))
    }
}

impl Xorshift {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }
}

impl Balancer {
    /// Without members yet.
    pub fn new(balance: Balancing, allbackups: bool) -> Self {
        Self {
            method: Method::new(&balance),
            balance,
            members: Vec::new(),
            declared: 0,
            allbackups,
            active: 0,
            backups: 0,
            first_backup: None,
            weight: 0,
            divisor: 1,
            random: Xorshift::default(),
        }
    }

    /// Is this how it works already?
    pub fn is(&self, balance: &Balancing, allbackups: bool) -> bool {
        self.balance == *balance && self.allbackups == allbackups
    }

    /// Usable active and backup servers.
    pub fn usable(&self) -> (u32, u32) {
        (self.active, self.backups)
    }

    /// Does balancing again yield another of several active servers?
    pub fn rotates(&self) -> bool {
        let stays = self.balance.algorithm.has_key() || self.balance.algorithm == Algorithm::Sticky;
        !stays && self.active > 1
    }

    /// Do weights stay as configured (`static-rr`, map-based hashes)? Only 0 and the configured one can be set then.
    pub fn is_static(&self) -> bool {
        matches!(self.method, Method::Map(_))
    }

    /// Sets all members at once, in order of declaration; the algorithm starts afresh (another set of servers, another
    /// algorithm). Yields those who may take requests of the backend's queue from now on.
    pub(crate) fn set_members(
        &mut self,
        balance: &Balancing,
        servers: &[Arc<ServerState>],
        allbackups: bool,
        queues: &Queues,
    ) -> Vec<Arc<ServerState>> {
        (self.balance, self.allbackups) = (balance.clone(), allbackups);
        for old in self.members.drain(..).flatten() {
            old.state.in_use.store(false, SeqCst);
        }
        self.method = Method::new(balance);
        self.divisor = map::divisor(servers.iter().map(|s| s.weight()));
        queues.loads.keep(matches!(self.method, Method::LeastConn));
        let mut before = [0u32; 2];
        for server in servers {
            let eweight = self.eweight(server);
            let sum = &mut before[usize::from(server.backup())];
            self.seat(server, eweight, if eweight > 0 { *sum } else { 0 });
            *sum = sum.wrapping_add(eweight);
        }
        let newly = self.recount();
        let seats = || {
            servers.iter().filter_map(|s| Some((s.slot as usize, member(&self.members, s.slot as usize)?)))
        };
        match &mut self.method {
            Method::RoundRobin(rr) => rr.start(seats().map(|(at, m)| (at, m.backup, m.eweight))),
            Method::Ring(ring) | Method::Random(ring, _) => {
                ring.start(seats().map(|(at, m)| (at, m.backup, m.state.ring_key(), m.eweight)));
            }
            Method::LeastConn => seats().for_each(|(_, m)| queues.loads.weigh(&m.state, m.eweight)),
            Method::First(order) => order.extend(seats().map(|(at, _)| at)),
            Method::Sticky(_) => {}
            Method::Map(_) => self.fill(),
        }
        self.sort();
        newly
    }

    /// Puts a server where its number says.
    fn seat(&mut self, server: &Arc<ServerState>, eweight: u32, before: u32) {
        let at = server.slot as usize;
        if self.members.len() <= at {
            self.members.resize_with(at + 1, || None);
        }
        self.declared += 1;
        let (state, order, backup) = (server.clone(), self.declared, server.backup());
        if let Some(seat) = self.members.get_mut(at) {
            *seat = Some(Member { state, order, backup, eweight, before });
        }
    }

    /// `first`: by id.
    fn sort(&mut self) {
        let Self { method: Method::First(order), members, .. } = self else { return };
        order.sort_by_key(|at| member(members, *at).map(|m| m.state.id.load(SeqCst)));
    }

    /// One more server, declared behind all others; it takes no part until [`Balancer::update`].
    pub(crate) fn insert(&mut self, server: &Arc<ServerState>) {
        let (at, backup) = (server.slot as usize, server.backup());
        let all = self.members.iter().flatten().filter(|m| m.backup == backup);
        let before = all.fold(0u32, |sum, m| sum.wrapping_add(m.eweight));
        self.seat(server, 0, before);
        match &mut self.method {
            Method::RoundRobin(rr) => rr.insert(at, backup),
            Method::Ring(ring) | Method::Random(ring, _) => ring.insert(at),
            Method::First(order) => order.push(at),
            Method::LeastConn | Method::Sticky(_) | Method::Map(_) => {}
        }
        self.sort();
    }

    /// This server is no member any more.
    pub(crate) fn remove(&mut self, server: &Arc<ServerState>, queues: &Queues) {
        let at = server.slot as usize;
        let Some(seat) = self.members.get_mut(at) else { return };
        let Some(gone) = seat.take_if(|m| Arc::ptr_eq(&m.state, server)) else { return };
        gone.state.in_use.store(false, SeqCst);
        self.recount();
        match &mut self.method {
            Method::RoundRobin(rr) => rr.change(at, 0),
            Method::Ring(ring) | Method::Random(ring, _) => ring.change(at, gone.backup, 0, 0),
            Method::LeastConn => queues.loads.weigh(server, 0),
            Method::First(order) => order.retain(|a| *a != at),
            Method::Sticky(current) => *current = current.filter(|c| *c != at),
            Method::Map(_) => self.fill(),
        }
    }

    /// A member's weight, state or address has changed. Yields those who may take requests of the backend's queue from
    /// now on.
    pub(crate) fn update(&mut self, server: &Arc<ServerState>, queues: &Queues) -> Vec<Arc<ServerState>> {
        let (at, now) = (server.slot as usize, self.eweight(server));
        let seat = self.members.get_mut(at).and_then(Option::as_mut);
        let Some(member) = seat.filter(|m| Arc::ptr_eq(&m.state, server)) else { return Vec::new() };
        let before = std::mem::replace(&mut member.eweight, now);
        let backup = member.backup;
        let newly = self.recount();
        match &mut self.method {
            // its address may be another
            Method::Ring(ring) | Method::Random(ring, _) => ring.change(at, backup, server.ring_key(), now),
            _ if before == now => {}
            Method::RoundRobin(rr) => rr.change(at, now),
            Method::LeastConn => queues.loads.weigh(server, now),
            Method::Map(_) => self.fill(),
            Method::First(_) | Method::Sticky(_) => {}
        }
        newly
    }

    fn eweight(&self, server: &ServerState) -> u32 {
        match server.usable() {
            false => 0,
            true if self.is_static() => server.weight().div_ceil(self.divisor),
            true => server.warm_weight(WEIGHT_SCALE),
        }
    }

    /// Counts usable servers and marks who takes from the backend's queue; yields those who newly do.
    fn recount(&mut self) -> Vec<Arc<ServerState>> {
        let all = || self.members.iter().flatten();
        let count = |backup| all().filter(|m| m.backup == backup && m.eweight > 0).count() as u32;
        (self.active, self.backups) = (count(false), count(true));
        let backups = all().filter(|m| m.backup && m.eweight > 0);
        self.first_backup = backups.min_by_key(|m| m.order).map(|m| m.state.slot as usize);
        let mut weight = 0u32;
        let mut newly = Vec::new();
        for member in all() {
            let in_use = member.eweight > 0
                && (!member.backup
                    || (self.active == 0
                        && (self.allbackups || self.first_backup == Some(member.state.slot as usize))));
            if in_use {
                weight = weight.wrapping_add(member.eweight);
            }
            if in_use && !member.state.in_use.swap(in_use, SeqCst) {
                newly.push(member.state.clone());
            }
            member.state.in_use.store(in_use, SeqCst);
        }
        self.weight = weight;
        newly
    }

    /// Deals out the table: to usable active servers, or to backups. Without `allbackups` it is as long as the first
    /// backup alone would need, and yet all backups have a part in it.
    fn fill(&mut self) {
        let Method::Map(map) = &mut self.method else { return };
        let backup = self.active == 0;
        let mut members: Vec<_> =
            self.members.iter().flatten().filter(|m| m.backup == backup && m.eweight > 0).collect();
        members.sort_by_key(|m| m.order);
        let candidates: Vec<(u32, u32)> = members.iter().map(|m| (m.state.slot, m.eweight)).collect();
        map.fill(&candidates, self.weight);
    }

    /// Chooses a server and takes a slot of it. `queues` are the backend's.
    pub(crate) fn choose(&mut self, ask: Ask<'_>, queues: &Queues) -> Pick {
        let backup = self.active == 0;
        if backup && self.backups == 0 {
            return Pick::Nobody;
        }
        // who waits in the backend's queue must not be overtaken
        let goes_round = matches!(
            self.balance.algorithm,
            Algorithm::RoundRobin | Algorithm::StaticRoundRobin | Algorithm::First | Algorithm::LogHash(_)
        );
        if goes_round && queues.length() != 0 {
            return Pick::Full;
        }
        let alone = backup && !self.allbackups;
        if alone && !matches!(self.method, Method::Map(_)) {
            return self.first_backup.map_or(Pick::Nobody, |at| take(&self.members, at));
        }
        let single = alone || self.active + if backup { self.backups } else { 0 } == 1;
        let Self { members, method, balance, weight, random, .. } = self;
        let members = &**members;
        let avoid = ask.avoid.and_then(|a| {
            let at = a.slot as usize;
            member(members, at).is_some_and(|m| std::ptr::eq(&*m.state, a)).then_some(at)
        });
        let try_take = |at: usize| member(members, at).and_then(|m| m.state.try_acquire());
        let slot = |slot: Option<SlotGuard>| slot.map_or(Pick::Full, Pick::Server);
        // the key is not looked at where there is but one server
        let zero =
            single && balance.algorithm.has_key() && !matches!(balance.algorithm, Algorithm::UrlParam(_));
        let hash = if zero { Some(0) } else { ask.hash };
        match method {
            Method::RoundRobin(rr) => slot(rr.choose(backup, avoid, try_take)),
            Method::Map(map) => match hash.map(|hash| map.member(hash)) {
                Some(at) => at.map_or(Pick::Nobody, |at| take(members, at)),
                None => slot(map.next(avoid, try_take)),
            },
            Method::Ring(ring) => {
                let bound = Bound::new(balance, *weight, queues);
                let Some(hash) = hash else {
                    return slot(ring.next(backup, |at| if avoid == Some(at) { None } else { try_take(at) }));
                };
                let at = ring.member(backup, hash, |at| avoid == Some(at) || bound.refuses(members, at));
                at.map_or(Pick::Nobody, |at| take(members, at))
            }
            Method::Random(ring, draws) => {
                let bound = Bound::new(balance, *weight, queues);
                let mut best: Option<usize> = None;
                for _ in 0..*draws {
                    let refuses = |at| avoid == Some(at) || bound.refuses(members, at);
                    let Some(drawn) = ring.member(backup, random.next(), refuses) else { break };
                    best = Some(best.map_or(drawn, |best| better(members, best, drawn, ask.now)));
                }
                best.map_or(Pick::Nobody, |at| slot(try_take(at)))
            }
            Method::LeastConn => least(members, backup, avoid, queues),
            Method::First(order) => {
                let usable =
                    |at: &&usize| member(members, **at).is_some_and(|m| m.backup == backup && m.eweight > 0);
                let mut others = order.iter().filter(usable).filter(|at| Some(**at) != avoid);
                slot(others.find_map(|at| try_take(*at)).or_else(|| avoid.and_then(try_take)))
            }
            Method::Sticky(current) => {
                let fits = |m: &&Member| m.backup == backup && m.eweight > 0;
                if current.and_then(|at| member(members, at)).filter(fits).is_none() {
                    let first = members.iter().flatten().filter(fits).min_by_key(|m| m.order);
                    *current = first.map(|m| m.state.slot as usize);
                }
                current.map_or(Pick::Nobody, |at| take(members, at))
            }
        }
    }
}

/// This member: a slot of it, or its queue.
fn take(members: &Members, at: usize) -> Pick {
    let Some(member) = member(members, at) else { return Pick::Nobody };
    match member.state.try_acquire() {
        Some(slot) => Pick::Server(slot),
        None => Pick::FullServer(member.state.clone()),
    }
}

/// `leastconn`: who has no room in its queue is left out.
fn least(members: &Members, backup: bool, avoid: Option<usize>, queues: &Queues) -> Pick {
    let has_room = |s: &ServerState| {
        let limit = s.limit();
        limit == 0 || s.load() < limit.saturating_add(s.maxqueue())
    };
    let accepts = |slot: u32| {
        let at = slot as usize;
        avoid != Some(at) && member(members, at).is_some_and(|m| has_room(&m.state))
    };
    match queues.loads.least(backup, accepts) {
        Some(slot) => take(members, slot as usize),
        None => match avoid.and_then(|at| member(members, at)).and_then(|m| m.state.try_acquire()) {
            Some(slot) => Pick::Server(slot),
            None => Pick::Full,
        },
    }
}

/// `random`: which of two drawn servers.
fn better(members: &Members, before: usize, drawn: usize, now: u64) -> usize {
    if before == drawn {
        return drawn;
    }
    let (Some(b), Some(d)) = (member(members, before), member(members, drawn)) else { return drawn };
    let cross = |of: fn(&Member, u64) -> u64| {
        (of(d, now) * u64::from(b.eweight)).cmp(&(of(b, now) * u64::from(d.eweight)))
    };
    let order = cross(|m, _| m.state.used().into()).then_with(|| cross(|m, now| m.state.rate(now)));
    if order.is_gt() { before } else { drawn }
}

/// Which servers a key leaves: `hash-balance-factor`, `hash-preserve-affinity`.
struct Bound {
    affinity: Affinity,
    /// Slots for each unit of weight, and how many are left over; none without a factor.
    share: Option<(u32, u32)>,
    weight: u32,
}

impl Bound {
    fn new(balance: &Balancing, weight: u32, queues: &Queues) -> Self {
        let share = (balance.factor > 0 && weight > 0).then(|| {
            let slots = queues.served().wrapping_add(1).wrapping_mul(balance.factor).div_ceil(100);
            (slots / weight, slots % weight)
        });
        Self { affinity: balance.affinity, share, weight }
    }

    fn refuses(&self, members: &Members, at: usize) -> bool {
        let Some(m) = member(members, at) else { return true };
        let s = &m.state;
        if let Some((each, rest)) = self.share {
            let part = |weight: u32| weight.wrapping_mul(rest) / self.weight;
            let more = part(m.before.wrapping_add(m.eweight)).wrapping_sub(part(m.before));
            let bound = m.eweight.wrapping_mul(each).wrapping_add(more).max(1);
            if s.used() >= bound {
                return true;
            }
        }
        match self.affinity {
            Affinity::Always => false,
            Affinity::Maxconn => s.maxconn() != 0 && s.used() >= s.limit(),
            Affinity::Maxqueue => {
                s.maxconn() != 0 && s.maxqueue() != 0 && s.load() >= s.limit().saturating_add(s.maxqueue())
            }
        }
    }
}

#[cfg(test)]
mod tests;
