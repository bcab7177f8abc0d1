//! Which CPUs are used, and how threads and groups are laid out on them when `cpu-map` does not say it: `cpu-set`,
//! `cpu-policy`, `cpu-affinity` (manual section 3.1). Pure: the topology comes from outside.

use super::threads;
use crate::model::Global;
use portcullis_sys::topology::{Cpu, Topology};

/// CPUs that threads of one group are for, one a thread; and what each may run on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// One entry a thread.
    pub threads: Vec<Vec<u16>>,
}

/// The CPUs that `cpu-set` leaves of those that the process may use.
#[must_use]
pub fn usable(global: &Global, topology: &Topology) -> Vec<Cpu> {
    let mut cpus: Vec<Cpu> =
        topology.cpus.iter().filter(|c| topology.allowed.contains(&c.id)).copied().collect();
    for directive in &global.cpu_set {
        let set = directive.get(1).and_then(|s| threads::cpus(s).ok()).unwrap_or_default();
        let within = |n: u16| set.contains(&n);
        match directive.first().map_or("", String::as_str) {
            "reset" => cpus.clone_from(&topology.cpus),
            "only-cpu" => cpus.retain(|c| within(c.id)),
            "drop-cpu" => cpus.retain(|c| !within(c.id)),
            "only-node" => cpus.retain(|c| within(c.node)),
            "drop-node" => cpus.retain(|c| !within(c.node)),
            "only-cluster" => cpus.retain(|c| within(c.cluster)),
            "drop-cluster" => cpus.retain(|c| !within(c.cluster)),
            "only-core" => cpus.retain(|c| within(c.core)),
            "drop-core" => cpus.retain(|c| !within(c.core)),
            "only-thread" => cpus.retain(|c| within(c.thread)),
            "drop-thread" => cpus.retain(|c| !within(c.thread)),
            _ => {}
        }
    }
    cpus
}

/// What the policy leaves of `cpus`. `free`: neither the system nor the configuration restricts or counts.
#[must_use]
pub fn kept(global: &Global, mut cpus: Vec<Cpu>, free: bool) -> Vec<Cpu> {
    match policy(global) {
        // the slower ones go where the next faster cluster is more than a quarter faster
        "performance" => evict(&mut cpus, |slow, fast| slow * 100 < fast * 80, true),
        "efficiency" => evict(&mut cpus, |slow, fast| fast * 100 > slow * 125, false),
        "resource" => {
            let clusters = clusters(&cpus);
            let smallest = clusters.iter().min_by_key(|(id, capacity, size)| (*capacity, *size, *id));
            if let Some((id, ..)) = smallest {
                cpus.retain(|c| c.cluster == *id);
            }
        }
        "first-usable-node" if free => {
            if let Some(node) = cpus.iter().map(|c| c.node).min() {
                cpus.retain(|c| c.node == node);
            }
        }
        _ => {}
    }
    cpus
}

fn policy(global: &Global) -> &str {
    if global.no_numa {
        return "none";
    }
    global.cpu_policy.as_deref().unwrap_or("performance")
}

/// Clusters: number, capacity of one core, CPUs.
fn clusters(cpus: &[Cpu]) -> Vec<(u16, u64, usize)> {
    let mut ids: Vec<u16> = cpus.iter().map(|c| c.cluster).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.into_iter()
        .map(|id| {
            let of = || cpus.iter().filter(move |c| c.cluster == id);
            (id, of().map(|c| u64::from(c.capacity)).max().unwrap_or(0), of().count())
        })
        .collect()
}

/// Goes through the capacities from the fast end (or the slow one) and drops everything behind the first large step.
fn evict(cpus: &mut Vec<Cpu>, step: fn(u64, u64) -> bool, keep_fast: bool) {
    let mut capacities: Vec<u64> = clusters(cpus).iter().map(|(_, capacity, _)| *capacity).collect();
    capacities.sort_unstable();
    capacities.dedup();
    let large = |pair: &&[u64]| step(pair[0], pair[1]);
    let of = |c: &Cpu| u64::from(c.capacity);
    let by_cluster = clusters(cpus);
    let capacity =
        move |c: &Cpu| by_cluster.iter().find(|(id, ..)| *id == c.cluster).map_or(of(c), |(_, n, _)| *n);
    if keep_fast {
        if let Some(pair) = capacities.windows(2).rev().find(large) {
            cpus.retain(|c| capacity(c) >= pair[1]);
        }
    } else if let Some(pair) = capacities.windows(2).find(large) {
        cpus.retain(|c| capacity(c) <= pair[0]);
    }
}

/// Threads and groups on these CPUs, with at most so many threads a group.
#[must_use]
pub fn groups(global: &Global, cpus: &[Cpu], per_group: usize) -> Vec<Group> {
    let mut together: Vec<(u16, Vec<Cpu>)> = Vec::new();
    for cpu in cpus {
        let key = key(policy(global), cpu);
        match together.iter_mut().find(|(k, _)| *k == key) {
            Some((_, list)) => list.push(*cpu),
            None => together.push((key, vec![*cpu])),
        }
    }
    together.sort_by_key(|(k, _)| *k);
    let merged = together
        .chunks(at_once(policy(global)))
        .map(|c| c.iter().flat_map(|(_, l)| l.clone()).collect::<Vec<_>>());
    merged
        .flat_map(|list| split(global, &list, per_group.max(1)))
        .take(usize::from(threads::MAX_GROUPS))
        .collect()
}

/// What the policy groups by.
fn key(policy: &str, cpu: &Cpu) -> u16 {
    match policy {
        "none" | "first-usable-node" => 0,
        "resource" => cpu.cluster,
        p if p.contains("cluster") => cpu.cluster,
        _ => cpu.ccx,
    }
}

/// How many of them make one group.
fn at_once(policy: &str) -> usize {
    policy
        .strip_prefix("group-by-")
        .and_then(|p| p.split('-').next())
        .and_then(|n| n.parse().ok())
        .unwrap_or(1)
}

/// One list of CPUs as groups of at most so many threads.
fn split(global: &Global, cpus: &[Cpu], per_group: usize) -> Vec<Group> {
    let single = global.cpu_policy_threads_per_core == Some(1);
    let mut cores: Vec<u16> = cpus.iter().map(|c| c.core).collect();
    cores.dedup();
    let seats: Vec<Cpu> = match single {
        true => {
            let mut seen = Vec::new();
            cpus.iter()
                .filter(|c| {
                    !seen.contains(&c.core) && {
                        seen.push(c.core);
                        true
                    }
                })
                .copied()
                .collect()
        }
        false => cpus.to_vec(),
    };
    let groups = seats.len().div_ceil(per_group).max(1);
    let affinity = global.cpu_affinity.as_deref().unwrap_or("auto");
    let mut rest = seats.as_slice();
    (0..groups)
        .map(|i| {
            let (mine, others) = rest.split_at(rest.len().div_ceil(groups - i));
            rest = others;
            let cores: Vec<u16> = mine.iter().map(|c| c.core).collect();
            let ids = |keep: &dyn Fn(&Cpu) -> bool| {
                cpus.iter().filter(|c| keep(c)).map(|c| c.id).collect::<Vec<_>>()
            };
            let of = |seat: &Cpu| match affinity {
                "per-thread" => vec![seat.id],
                "per-core" => ids(&|c| c.core == seat.core),
                "auto" if single => ids(&|c| c.core == seat.core),
                "per-ccx" => ids(&|c| c.ccx == seat.ccx),
                "per-group loose" => ids(&|_| true),
                _ if single => ids(&|c| cores.contains(&c.core)),
                _ => mine.iter().map(|c| c.id).collect(),
            };
            Group { threads: mine.iter().map(of).collect() }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two packages of two caches with four cores of two threads each: 32 CPUs, the second threads numbered behind.
    fn server() -> Vec<Cpu> {
        (0..32)
            .map(|id| {
                let core = id % 16;
                let (package, ccx) = (core / 8, core / 4);
                Cpu { id, package, node: package, cluster: ccx, ccx, core, thread: id / 16, capacity: 1024 }
            })
            .collect()
    }

    /// Four fast cores and four slow ones at one cache.
    fn laptop() -> Vec<Cpu> {
        (0..8)
            .map(|id| {
                let slow = id / 4;
                Cpu {
                    id,
                    core: id,
                    cluster: slow,
                    capacity: if slow == 0 { 1024 } else { 500 },
                    ..Cpu::default()
                }
            })
            .collect()
    }

    fn global(policy: &str) -> Global {
        Global { cpu_policy: Some(policy.into()), ..Global::default() }
    }

    fn sizes(g: &Global, cpus: &[Cpu]) -> Vec<usize> {
        groups(g, cpus, 16).iter().map(|g| g.threads.len()).collect()
    }

    #[test]
    fn groups_by_what_the_policy_says() {
        assert_eq!(sizes(&global("none"), &server()), [16, 16]);
        assert_eq!(sizes(&global("group-by-ccx"), &server()), [8, 8, 8, 8]);
        assert_eq!(sizes(&global("group-by-2-ccx"), &server()), [16, 16]);
        assert_eq!(sizes(&global("group-by-3-clusters"), &server()), [12, 12, 8]);
        let g = groups(&global("group-by-ccx"), &server(), 16);
        assert_eq!(g[1].threads[0], [4, 5, 6, 7, 20, 21, 22, 23]);
    }

    #[test]
    fn policies_leave_clusters_out() {
        let ids = |p: &str| kept(&global(p), laptop(), true).iter().map(|c| c.id).collect::<Vec<_>>();
        assert_eq!(ids("performance"), [0, 1, 2, 3]);
        assert_eq!(ids("efficiency"), [4, 5, 6, 7]);
        assert_eq!(ids("resource"), [4, 5, 6, 7]);
        assert_eq!(ids("group-by-ccx").len(), 8);
        assert_eq!(kept(&global("first-usable-node"), server(), true).len(), 16);
        assert_eq!(kept(&global("first-usable-node"), server(), false).len(), 32);
        assert_eq!(kept(&global("resource"), server(), true).len(), 8);
    }

    #[test]
    fn one_thread_a_core() {
        let mut g = global("group-by-ccx");
        g.cpu_policy_threads_per_core = Some(1);
        assert_eq!(sizes(&g, &server()), [4, 4, 4, 4]);
        assert_eq!(groups(&g, &server(), 16)[0].threads[1], [1, 17]);
        g.cpu_affinity = Some("per-thread".into());
        assert_eq!(groups(&g, &server(), 16)[0].threads[1], [1]);
        g.cpu_affinity = Some("per-group".into());
        assert_eq!(groups(&g, &server(), 16)[0].threads[1], [0, 1, 2, 3, 16, 17, 18, 19]);
    }

    #[test]
    fn sets_directives_in_order() {
        let t = Topology { cpus: server(), allowed: (0..16).collect(), share: 16 };
        let mut g = Global::default();
        assert_eq!(usable(&g, &t).len(), 16);
        let say = |words: &[&str]| words.iter().map(|w| (*w).to_string()).collect::<Vec<_>>();
        g.cpu_set = vec![
            say(&["reset"]),
            say(&["only-node", "1"]),
            say(&["drop-thread", "1"]),
            say(&["drop-cpu", "8-9"]),
        ];
        assert_eq!(usable(&g, &t).iter().map(|c| c.id).collect::<Vec<_>>(), [10, 11, 12, 13, 14, 15]);
    }
}
