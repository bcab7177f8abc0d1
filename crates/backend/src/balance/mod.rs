//! The order in which servers are chosen: one for the process, whatever the number of workers.

mod roundrobin;

use crate::server::{ServerState, SlotGuard};
use portcullis_config::Balance;
use roundrobin::RoundRobin;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

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
enum Algorithm {
    RoundRobin(RoundRobin),
}

impl Algorithm {
    fn new(balance: Balance) -> Self {
        match balance {
            Balance::RoundRobin => Self::RoundRobin(RoundRobin::default()),
        }
    }
}

/// A server as the balancer knows it.
#[derive(Debug)]
struct Member {
    state: Arc<ServerState>,
    backup: bool,
    /// Effective weight: 0 when not usable, else 16 times the user weight.
    eweight: u32,
}

/// Members, who of them takes part, and the algorithm.
#[derive(Debug)]
pub struct Balancer {
    balance: portcullis_config::Balance,
    algorithm: Algorithm,
    members: Vec<Member>,
    allbackups: bool,
    active: u32,
    backups: u32,
    /// The first usable backup, which takes all without `allbackups`.
    first_backup: Option<usize>,
}

/// Effective weights are 16 times the user's, so that slow starts have steps.
pub(crate) const WEIGHT_SCALE: u32 = 16;

impl Balancer {
    /// Without members yet.
    pub fn new(balance: Balance, allbackups: bool) -> Self {
        Self {
            balance,
            algorithm: Algorithm::new(balance),
            members: Vec::new(),
            allbackups,
            active: 0,
            backups: 0,
            first_backup: None,
        }
    }

    /// Is this how it works already?
    pub fn is(&self, balance: Balance, allbackups: bool) -> bool {
        self.balance == balance && self.allbackups == allbackups
    }

    /// Usable active and backup servers.
    pub fn usable(&self) -> (u32, u32) {
        (self.active, self.backups)
    }

    /// Does it go round between several active servers?
    pub fn rotates(&self) -> bool {
        matches!(self.algorithm, Algorithm::RoundRobin(_)) && self.active > 1
    }

    /// Sets all members at once, in order of declaration; the algorithm starts afresh (another set of servers, another
    /// algorithm). Yields those who may take requests of the backend's queue from now on.
    pub fn set_members(
        &mut self,
        balance: Balance,
        servers: &[Arc<ServerState>],
        allbackups: bool,
    ) -> Vec<Arc<ServerState>> {
        (self.balance, self.allbackups) = (balance, allbackups);
        for old in &self.members {
            old.state.in_use.store(false, SeqCst);
        }
        self.members = servers
            .iter()
            .map(|s| Member { state: s.clone(), backup: s.backup(), eweight: eweight(s) })
            .collect();
        self.algorithm = Algorithm::new(balance);
        match &mut self.algorithm {
            Algorithm::RoundRobin(rr) => rr.start(self.members.iter().map(|m| (m.backup, m.eweight))),
        }
        self.recount()
    }

    /// A member's weight or state has changed. Yields those who may take requests of the backend's queue from now on.
    pub fn update(&mut self, server: &Arc<ServerState>) -> Vec<Arc<ServerState>> {
        let Some(at) = self.members.iter().position(|m| Arc::ptr_eq(&m.state, server)) else {
            return Vec::new();
        };
        let member = &mut self.members[at];
        let (before, now) = (member.eweight, eweight(server));
        if before != now {
            member.eweight = now;
            match &mut self.algorithm {
                Algorithm::RoundRobin(rr) => rr.change(at, now),
            }
        }
        self.recount()
    }

    /// Counts usable servers and marks who takes from the backend's queue; yields those who newly do.
    fn recount(&mut self) -> Vec<Arc<ServerState>> {
        let count =
            |backup| self.members.iter().filter(|m| m.backup == backup && m.eweight > 0).count() as u32;
        (self.active, self.backups) = (count(false), count(true));
        self.first_backup = self.members.iter().position(|m| m.backup && m.eweight > 0);
        let mut newly = Vec::new();
        for (at, member) in self.members.iter().enumerate() {
            let in_use = member.eweight > 0
                && (!member.backup
                    || (self.active == 0 && (self.allbackups || self.first_backup == Some(at))));
            if in_use && !member.state.in_use.swap(in_use, SeqCst) {
                newly.push(member.state.clone());
            }
            member.state.in_use.store(in_use, SeqCst);
        }
        newly
    }

    /// Chooses a server and takes a slot of it. `waiting`: somebody waits in the backend's queue, who must not be
    /// overtaken.
    pub fn choose(&mut self, avoid: Option<&ServerState>, waiting: bool) -> Pick {
        let backup = self.active == 0;
        if backup && self.backups == 0 {
            return Pick::Nobody;
        }
        if waiting {
            return Pick::Full;
        }
        if backup && !self.allbackups {
            let Some(member) = self.first_backup.and_then(|at| self.members.get(at)) else {
                return Pick::Nobody;
            };
            let server = &member.state;
            return match server.try_acquire() {
                Some(slot) => Pick::Server(slot),
                None => Pick::FullServer(server.clone()),
            };
        }
        let members = &self.members;
        let avoid = avoid.and_then(|a| members.iter().position(|m| std::ptr::eq(&*m.state, a)));
        match &mut self.algorithm {
            Algorithm::RoundRobin(rr) => {
                match rr.choose(backup, avoid, |at| members.get(at).and_then(|m| m.state.try_acquire())) {
                    Some(slot) => Pick::Server(slot),
                    None => Pick::Full,
                }
            }
        }
    }
}

fn eweight(server: &ServerState) -> u32 {
    if server.usable() { server.weight() * WEIGHT_SCALE } else { 0 }
}
