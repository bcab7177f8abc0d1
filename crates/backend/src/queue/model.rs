//! The hand-over of slots between workers, step by step, in every order in which workers can take these steps.
//!
//! A step is what no other worker can see half of: one operation on an atomic, or what is done under the lock of the queue
//! between two such operations (all of them are sequentially consistent, so that there is one order of steps). What
//! requests do is what [`super::Queues`], `BackendState::balance` and `enqueue`, and `ServerState::give_back` do: look for a
//! slot, join the queue, look again if a slot became free meanwhile, wait, work, give the slot back, hand slots over.
//! Every state that can be reached is visited once. A wake-up that gets lost is a state in which nobody can do anything and
//! somebody waits.

use std::collections::HashSet;

/// Where a request is; each is one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum At {
    /// Reads the epoch.
    Begins,
    /// Looks whether others wait.
    Looks,
    /// Tries to take a slot of this server.
    Tries(usize),
    /// Joins the queue.
    Joins,
    /// Looks whether a slot became free since it began.
    LooksAgain,
    /// Hands over slots of this server, then of the next: takes the queue's lock.
    Locks(usize, Then),
    /// Has the lock, and tries to take a slot for the first who waits.
    Grants(usize, Then),
    /// Has taken it: tells whom it is for, and lets the lock go.
    Tells(usize, Then),
    /// Is in the queue.
    Waits,
    /// Has a slot of this server.
    Works(usize),
    /// Has given it back: says that one became free.
    Frees(usize),
    /// Looks whether anybody waits.
    LooksForOthers(usize),
    /// Is done.
    Gone,
}

/// What comes after slots were handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Then {
    /// The next server, and at last the queue.
    Wait,
    /// Nothing.
    Leave,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    used: Vec<u32>,
    epoch: u8,
    /// What readers without the lock see.
    length: u32,
    order: Vec<usize>,
    locked: bool,
    requests: Vec<(At, u8)>,
}

/// What could be left out of the steps, to see that its absence is noticed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Without {
    Nothing,
    /// Nobody looks at the servers again behind [`At::Joins`].
    LookingAgain,
    /// A slot that is given back is not offered to who waits.
    Offering,
    /// The epoch is read behind the servers.
    EpochFirst,
}

struct Model {
    limit: u32,
    servers: usize,
    /// Who waits may give up.
    gives_up: bool,
    without: Without,
}

impl Model {
    fn begin(&self, requests: usize) -> State {
        State {
            used: vec![0; self.servers],
            epoch: 0,
            length: 0,
            order: Vec::new(),
            locked: false,
            requests: vec![(At::Begins, 0); requests],
        }
    }

    /// The states that a step of this request leads to.
    fn steps(&self, s: &State, who: usize) -> Vec<State> {
        let mut n = s.clone();
        let (at, seen) = s.requests[who];
        let to = |mut n: State, at| {
            n.requests[who].0 = at;
            vec![n]
        };
        let next = |server: usize, then| match (server + 1 < self.servers, then) {
            (true, Then::Wait) => At::Locks(server + 1, then),
            (_, Then::Wait) => At::Waits,
            (_, Then::Leave) => At::Gone,
        };
        match at {
            At::Begins => {
                n.requests[who].1 = s.epoch;
                to(n, At::Looks)
            }
            // nobody who waits is overtaken
            At::Looks if s.length > 0 => to(n, At::Joins),
            At::Looks => to(n, At::Tries(0)),
            At::Tries(server) if s.used[server] < self.limit => {
                n.used[server] += 1;
                to(n, At::Works(server))
            }
            At::Tries(server) if server + 1 < self.servers => to(n, At::Tries(server + 1)),
            At::Tries(_) => to(n, At::Joins),
            At::Joins if s.locked => Vec::new(),
            At::Joins => {
                n.order.push(who);
                n.length += 1;
                if self.without == Without::EpochFirst {
                    n.requests[who].1 = s.epoch;
                }
                to(n, At::LooksAgain)
            }
            At::LooksAgain => {
                let again = s.epoch != seen && self.without != Without::LookingAgain;
                to(n, if again { At::Locks(0, Then::Wait) } else { At::Waits })
            }
            At::Locks(..) if s.locked => Vec::new(),
            At::Locks(server, then) => {
                n.locked = true;
                to(n, At::Grants(server, then))
            }
            At::Grants(server, then) if s.order.is_empty() || s.used[server] >= self.limit => {
                n.locked = false;
                to(n, next(server, then))
            }
            At::Grants(server, then) => {
                n.used[server] += 1;
                to(n, At::Tells(server, then))
            }
            At::Tells(server, then) => {
                let lucky = n.order.remove(0);
                n.length -= 1;
                n.locked = false;
                // who waits is told; who has not come to wait yet finds it then
                n.requests[lucky].1 = 100 + server as u8;
                to(n, At::Locks(server, then))
            }
            At::Waits if seen >= 100 => to(n, At::Works(usize::from(seen - 100))),
            At::Waits if self.gives_up && !s.locked => {
                n.order.retain(|w| *w != who);
                n.length -= 1;
                to(n, At::Gone)
            }
            At::Waits | At::Gone => Vec::new(),
            At::Works(server) => {
                n.used[server] -= 1;
                to(n, At::Frees(server))
            }
            At::Frees(server) => {
                n.epoch += 1;
                to(n, At::LooksForOthers(server))
            }
            At::LooksForOthers(_) if s.length == 0 || self.without == Without::Offering => to(n, At::Gone),
            At::LooksForOthers(server) => to(n, At::Locks(server, Then::Leave)),
        }
    }

    /// Visits all states; yields how many, and one in which somebody waits for ever.
    fn explore(&self, requests: usize) -> (usize, Option<State>) {
        let begin = self.begin(requests);
        let mut seen = HashSet::from([begin.clone()]);
        let mut open = vec![begin];
        let mut stuck = None;
        while let Some(s) = open.pop() {
            assert!(s.used.iter().all(|used| *used <= self.limit), "more than the limit: {s:?}");
            let next: Vec<State> = (0..requests).flat_map(|who| self.steps(&s, who)).collect();
            if next.is_empty() {
                let over = s.requests.iter().all(|r| r.0 == At::Gone);
                if over {
                    let empty = s.order.is_empty() && s.length == 0 && s.used.iter().all(|u| *u == 0);
                    assert!(empty && !s.locked, "something is left: {s:?}");
                } else {
                    stuck = Some(s);
                }
                continue;
            }
            open.extend(next.into_iter().filter(|n| seen.insert(n.clone())));
        }
        (seen.len(), stuck)
    }
}

const SOUND: Model = Model { limit: 1, servers: 1, gives_up: false, without: Without::Nothing };

#[test]
fn nobody_waits_for_ever() {
    for (model, requests) in [
        (SOUND, 2),
        (SOUND, 3),
        (Model { limit: 2, ..SOUND }, 3),
        (Model { servers: 2, ..SOUND }, 3),
        (Model { gives_up: true, ..SOUND }, 3),
        (Model { gives_up: true, limit: 2, ..SOUND }, 3),
    ] {
        let (states, stuck) = model.explore(requests);
        assert_eq!(stuck, None);
        assert!(states > 50, "{states} states only");
    }
}

/// Each of these steps is needed: without it somebody waits for ever.
#[test]
fn what_is_left_out_is_noticed() {
    for without in [Without::LookingAgain, Without::Offering, Without::EpochFirst] {
        let (_, stuck) = Model { without, ..SOUND }.explore(2);
        assert!(stuck.is_some());
    }
}
