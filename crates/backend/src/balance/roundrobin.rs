//! `balance roundrobin`: smooth, weighted, in the same order as HAProxy's (the tests hold recorded sequences).
//!
//! A group of servers (active or backup) has a size C, the sum of effective weights when the current round began, and a
//! position p that every turn moves on. A server waits in one of three ordered sets: `current` by the position of its
//! next turn, `init` (no turn in this round yet) and `next` (its turn comes in the following round) by weight, the
//! heaviest first; equal keys keep their order of arrival. A turn goes to the first of `current` if its position is
//! reached, else to the first of `init`, else to the first of `current` all the same; when both are empty, `next`
//! becomes `init` and a new round begins. A server's next turn is total weight / own weight further on; what the
//! division leaves is carried along. Positions are 32 bits and wrap.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Ascending by key, equal keys in order of insertion.
#[derive(Debug, Default)]
struct Ordered(BinaryHeap<Reverse<(u32, u64, u32)>>);

impl Ordered {
    fn first(&self) -> Option<u32> {
        self.0.peek().map(|Reverse(e)| e.2)
    }
    fn pop(&mut self) -> Option<u32> {
        self.0.pop().map(|Reverse(e)| e.2)
    }
    fn push(&mut self, key: u32, sequence: u64, node: u32) {
        self.0.push(Reverse((key, sequence, node)));
    }
    fn remove(&mut self, node: u32) {
        self.0.retain(|Reverse(e)| e.2 != node);
    }
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A server in its group.
#[derive(Clone, Copy, Debug, Default)]
struct Node {
    backup: bool,
    eweight: u32,
    /// Position of its next turn.
    next: u32,
    /// What integer division left over so far.
    rest: u32,
}

/// Active or backup servers.
#[derive(Debug, Default)]
struct Group {
    /// Sum of the effective weights now.
    weight: u32,
    /// C
    size: u32,
    /// p
    position: u32,
    current: Ordered,
    init: Ordered,
    next: Ordered,
    sequence: u64,
}

/// State of the algorithm.
#[derive(Debug, Default)]
pub(super) struct RoundRobin {
    nodes: Vec<Node>,
    active: Group,
    backup: Group,
    /// Scratch of one choice.
    aside: Vec<u32>,
}

const HEAVIEST: u32 = 256 * super::WEIGHT_SCALE;

impl Group {
    /// Into a set ordered by weight: the heaviest first.
    fn push_by_weight(&mut self, into_init: bool, node: u32, eweight: u32) {
        self.sequence += 1;
        let set = if into_init { &mut self.init } else { &mut self.next };
        set.push(HEAVIEST.wrapping_sub(eweight), self.sequence, node);
    }

    /// Back into the set that its next turn belongs to.
    fn requeue(&mut self, at: u32, node: &mut Node) {
        let (size, weight) = (self.size, self.weight);
        if node.next >= size.wrapping_mul(2) || node.next >= size.wrapping_add(weight) {
            node.next = node.next.wrapping_sub(size);
            self.push_by_weight(false, at, node.eweight);
        } else {
            self.sequence += 1;
            let fine = (HEAVIEST.wrapping_add(node.rest).wrapping_sub(node.eweight)) / 16;
            self.current.push(node.next.wrapping_mul(256).wrapping_add(fine), self.sequence, at);
        }
    }

    fn begin_round(&mut self) {
        self.size = self.weight;
        self.position = self.weight;
    }

    /// Takes the server whose turn it is out of its set; `swapped` remembers that this choice began a round.
    fn take(&mut self, nodes: &mut [Node], swapped: &mut bool) -> Option<u32> {
        if self.size == 0 {
            self.begin_round();
        }
        let at = loop {
            let first = self.current.first();
            let due = first.and_then(|a| nodes.get(a as usize)).is_some_and(|n| n.next <= self.position);
            if due {
                break self.current.pop()?;
            }
            if let Some(at) = self.init.pop() {
                if let Some(node) = nodes.get_mut(at as usize) {
                    node.next = 0;
                    node.rest = 0;
                }
                break at;
            }
            if first.is_some() {
                break self.current.pop()?;
            }
            if *swapped || self.next.is_empty() {
                return None;
            }
            *swapped = true;
            std::mem::swap(&mut self.init, &mut self.next);
            self.begin_round();
        };
        let node = nodes.get_mut(at as usize)?;
        if node.next == 0 {
            node.next = self.position;
        }
        let eweight = node.eweight.max(1);
        node.next = node.next.wrapping_add(self.weight / eweight);
        node.rest = node.rest.wrapping_add(self.weight % eweight);
        if node.rest >= eweight {
            node.rest -= eweight;
            node.next = node.next.wrapping_add(1);
        }
        self.position = self.position.wrapping_add(1);
        Some(at)
    }

    fn remove(&mut self, at: u32) {
        self.current.remove(at);
        self.init.remove(at);
        self.next.remove(at);
    }
}

impl RoundRobin {
    /// Starts with these servers (number, backup?, effective weight) in order of declaration.
    pub(super) fn start(&mut self, servers: impl Iterator<Item = (usize, bool, u32)>) {
        *self = Self::default();
        for (at, backup, eweight) in servers {
            self.insert(at, backup);
            let Some(node) = self.nodes.get_mut(at) else { continue };
            node.eweight = eweight;
            if eweight > 0 {
                let group = if backup { &mut self.backup } else { &mut self.active };
                group.weight = group.weight.wrapping_add(eweight);
                group.push_by_weight(true, at as u32, eweight);
            }
        }
        self.active.begin_round();
        self.backup.begin_round();
    }

    /// One more server, without weight.
    pub(super) fn insert(&mut self, at: usize, backup: bool) {
        if self.nodes.len() <= at {
            self.nodes.resize_with(at + 1, Node::default);
        }
        if let Some(node) = self.nodes.get_mut(at) {
            *node = Node { backup, ..Node::default() };
        }
    }

    /// The effective weight of server `at` has changed: it came up, went down (0), or was given another weight.
    pub(super) fn change(&mut self, at: usize, eweight: u32) {
        let Some(node) = self.nodes.get_mut(at) else { return };
        let group = if node.backup { &mut self.backup } else { &mut self.active };
        let at = at as u32;
        if node.eweight > 0 {
            group.remove(at);
            group.weight = group.weight.wrapping_sub(node.eweight);
        }
        node.eweight = eweight;
        if eweight == 0 {
            return;
        }
        group.weight = group.weight.wrapping_add(eweight);
        let ahead = group.weight.wrapping_add(group.size).wrapping_sub(group.position);
        node.next = group.position.wrapping_add(ahead / eweight);
        group.requeue(at, node);
    }

    /// Chooses the next server of the group that `try_take` takes; `avoid` only if nothing else is taken.
    pub(super) fn choose<T>(
        &mut self,
        backup: bool,
        avoid: Option<usize>,
        mut try_take: impl FnMut(usize) -> Option<T>,
    ) -> Option<T> {
        let Self { nodes, active, backup: backups, aside } = self;
        let group = if backup { backups } else { active };
        aside.clear();
        let mut swapped = false;
        let mut avoided = None;
        let mut chosen = None;
        while let Some(at) = group.take(nodes, &mut swapped) {
            if avoid == Some(at as usize) && avoided.is_none() {
                avoided = Some(at);
            } else if let Some(taken) = try_take(at as usize) {
                chosen = Some((at, taken));
                break;
            }
            aside.push(at);
        }
        if chosen.is_none()
            && let Some(at) = avoided
            && let Some(taken) = try_take(at as usize)
        {
            aside.retain(|a| *a != at);
            chosen = Some((at, taken));
        }
        if let Some((at, _)) = chosen
            && let Some(node) = nodes.get_mut(at as usize)
        {
            group.requeue(at, node);
        }
        for at in aside.iter().rev() {
            let Some(node) = nodes.get_mut(*at as usize) else { continue };
            if swapped {
                group.push_by_weight(true, *at, node.eweight);
            } else {
                group.requeue(*at, node);
            }
        }
        chosen.map(|(_, taken)| taken)
    }
}

#[cfg(test)]
mod tests;
