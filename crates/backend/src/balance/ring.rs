//! `hash-type consistent` and `random`: servers have places on a ring of 32-bit numbers, a key belongs to the nearest.
//!
//! A server has 16 places for each unit of weight, at numbers that depend on itself alone, so that a change moves its
//! own keys only. Places with the same number keep their order of arrival.

use portcullis_sample::convert::hash::avalanche;

/// A place of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Node {
    key: u32,
    member: u32,
    index: u32,
}

/// The places of active, or of backup servers, in ascending order.
#[derive(Debug, Default)]
struct Group {
    nodes: Vec<Node>,
    /// Servers with places.
    servers: u32,
    /// The place of the last choice without a key.
    last: Option<usize>,
}

/// A server's part in it.
#[derive(Clone, Copy, Debug, Default)]
struct Owner {
    /// What its places are made from.
    key: u32,
    /// How many it has.
    count: u32,
    /// The most it ever had.
    most: u32,
    /// The walk in which it was refused.
    refused: u32,
}

/// Both rings.
#[derive(Debug, Default)]
pub(super) struct Ring {
    owners: Vec<Owner>,
    active: Group,
    backup: Group,
    /// Number of the last walk.
    walk: u32,
}

impl Group {
    /// Takes out the places of `member` from `from` on.
    fn remove(&mut self, member: u32, from: u32) {
        let stays = |n: &Node| n.member != member || n.index < from;
        if let Some(last) = self.last {
            // where that place is gone, the one behind it counts as the last
            let mut around = (last..self.nodes.len()).chain(0..last);
            let heir = around.find(|at| self.nodes.get(*at).is_some_and(stays));
            self.last = heir.map(|at| self.nodes.iter().take(at).filter(|n| stays(n)).count());
        }
        self.nodes.retain(stays);
    }

    /// Adds places of `member`; behind what has the same number already.
    fn add(&mut self, member: u32, key: u32, indexes: std::ops::Range<u32>) {
        let mut new: Vec<Node> =
            indexes.map(|index| Node { key: avalanche(key.wrapping_add(index)), member, index }).collect();
        new.sort_by_key(|n| n.key);
        if let Some(last) = self.last
            && let Some(node) = self.nodes.get(last)
        {
            self.last = Some(last + new.partition_point(|n| n.key < node.key));
        }
        let old = std::mem::take(&mut self.nodes);
        self.nodes.reserve(old.len() + new.len());
        let mut new = new.into_iter().peekable();
        for node in old {
            while let Some(first) = new.next_if(|n| n.key < node.key) {
                self.nodes.push(first);
            }
            self.nodes.push(node);
        }
        self.nodes.extend(new);
    }

    /// The place nearest to `hash`.
    fn nearest(&self, hash: u32) -> Option<usize> {
        let highest = self.nodes.len().checked_sub(1)?;
        let after = self.nodes.partition_point(|n| n.key < hash);
        let (before, after) =
            (after.checked_sub(1).unwrap_or(highest), if after > highest { 0 } else { after });
        let back = hash.wrapping_sub(self.nodes.get(before)?.key);
        let on = self.nodes.get(after)?.key.wrapping_sub(hash);
        Some(if back <= on { before } else { after })
    }
}

impl Ring {
    /// Starts with these servers (number, backup?, key, places) in order of declaration.
    pub(super) fn start(&mut self, servers: impl Iterator<Item = (usize, bool, u32, u32)>) {
        *self = Self::default();
        let mut all: [Vec<Node>; 2] = Default::default();
        for (at, backup, key, count) in servers {
            self.insert(at);
            if let Some(owner) = self.owners.get_mut(at) {
                *owner = Owner { key, count, most: count, refused: 0 };
            }
            let member = at as u32;
            let nodes =
                (0..count).map(|index| Node { key: avalanche(key.wrapping_add(index)), member, index });
            all[usize::from(backup)].extend(nodes);
            self.group(backup).servers += u32::from(count > 0);
        }
        for nodes in &mut all {
            nodes.sort_by_key(|n| n.key);
        }
        [self.active.nodes, self.backup.nodes] = all;
    }

    /// One more server, without places.
    pub(super) fn insert(&mut self, at: usize) {
        if self.owners.len() <= at {
            self.owners.resize_with(at + 1, Owner::default);
        }
        if let Some(owner) = self.owners.get_mut(at) {
            *owner = Owner::default();
        }
    }

    fn group(&mut self, backup: bool) -> &mut Group {
        if backup { &mut self.backup } else { &mut self.active }
    }

    /// Member `at` shall have `count` places made from `key` now.
    pub(super) fn change(&mut self, at: usize, backup: bool, key: u32, count: u32) {
        let Some(owner) = self.owners.get_mut(at) else { return };
        let before = *owner;
        let afresh = key != before.key || count > before.most;
        *owner = Owner { key, count, most: before.most.max(count), ..before };
        let member = at as u32;
        let group = self.group(backup);
        group.servers = group.servers + u32::from(count > 0) - u32::from(before.count > 0);
        let stays = if afresh { 0 } else { before.count.min(count) };
        if stays < before.count {
            group.remove(member, stays);
        }
        if stays < count {
            group.add(member, key, stays..count);
        }
    }

    /// The member that `hash` leads to; where `refuses` says so, the next on the ring. If all are refused, the one with
    /// the highest place.
    pub(super) fn member(
        &mut self,
        backup: bool,
        hash: u32,
        mut refuses: impl FnMut(usize) -> bool,
    ) -> Option<usize> {
        let group = if backup { &self.backup } else { &self.active };
        let start = group.nodes.iter().skip(group.nearest(hash)?);
        // 0 is nobody's
        self.walk = self.walk.wrapping_add(1).max(1);
        let mut refused = 0;
        for node in start.chain(&group.nodes) {
            let Some(owner) = self.owners.get_mut(node.member as usize) else { continue };
            if owner.refused == self.walk {
                continue;
            }
            if !refuses(node.member as usize) {
                return Some(node.member as usize);
            }
            owner.refused = self.walk;
            refused += 1;
            if refused >= group.servers {
                break;
            }
        }
        group.nodes.last().map(|n| n.member as usize)
    }

    /// Place by place, for requests without a key: the next whose server `try_take` takes.
    pub(super) fn next<T>(
        &mut self,
        backup: bool,
        mut try_take: impl FnMut(usize) -> Option<T>,
    ) -> Option<T> {
        let group = self.group(backup);
        let start = group.last.map_or(0, |last| last + 1);
        for at in (start..group.nodes.len()).chain(0..start) {
            let Some(node) = group.nodes.get(at) else { continue };
            if let Some(taken) = try_take(node.member as usize) {
                group.last = Some(at);
                return Some(taken);
            }
        }
        None
    }
}
