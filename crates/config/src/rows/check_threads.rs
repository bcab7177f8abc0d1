//! Threads and groups at the end of parsing: how many there are, which group has which, and what `thread` of `bind`
//! means then; and the CPUs of each thread.

use super::cpu_choice;
use super::threads::{MAX_GROUPS, MAX_PER_GROUP};
use crate::diag::{Diagnostics, Severity};
use crate::model::{Bind, Global, Model};
use portcullis_sys::topology::Topology;

/// Threads of a group when the number of groups is not said.
const USUAL_PER_GROUP: u16 = 16;

/// Gives every thread a group ([`Global::thread_group`] is complete then, groups in order) and turns `thread` into
/// numbers that count over the whole process.
pub fn check(model: &mut Model, diags: &mut Diagnostics) {
    let topology = Topology::read();
    let mapped = !model.global.cpu_map.is_empty();
    let used = cpu_choice::usable(&model.global, topology);
    let free = used.len() == topology.cpus.len() && model.global.nbthread.is_none();
    let used = if mapped { used } else { cpu_choice::kept(&model.global, used, free) };
    // as HAProxy, directives that leave nothing are no reason not to start
    let used = if used.is_empty() { cpu_choice::usable(&Global::default(), topology) } else { used };
    let cpus = u16::try_from(used.len().min(topology.share)).unwrap_or(u16::MAX);
    let automatic = !mapped && by_policy(&mut model.global, &used, usize::from(cpus));
    count(&mut model.global, cpus);
    if let Err(message) = layout(&mut model.global) {
        diags.add(Severity::Alert, None, message);
        return;
    }
    if mapped {
        bind_by_map(&mut model.global, topology);
    } else if !automatic && used.len() < topology.allowed.len() {
        let all: Vec<u16> = used.iter().map(|c| c.id).collect();
        model.global.thread_cpus = vec![all; usize::from(model.global.nbthread.unwrap_or(1))];
    }
    crowded(&model.global, cpus, diags);
    let global = &model.global;
    for proxy in model.proxies.iter_mut().filter(|p| !p.disabled) {
        let who = format!("{} '{}'", proxy.kind.name(), proxy.name);
        for bind in &mut proxy.binds {
            if let Some(threads) = of_bind(global, bind, &who, diags) {
                bind.threads = threads;
            }
        }
    }
}

/// The threads of a `bind` line of `who`, as numbers that count over the whole process.
pub fn of_bind(
    global: &Global,
    bind: &Bind,
    who: &str,
    diags: &mut Diagnostics,
) -> Option<Vec<(u16, u16, u16)>> {
    absolute(global, &bind.threads)
        .map_err(|why| {
            let message = format!("{who}: 'thread' directive {why} in 'bind {}'.", bind.text);
            diags.add(Severity::Alert, Some(bind.place), message);
        })
        .ok()
}

/// Lays threads and groups out as the policy says, when nothing else says how many there are.
fn by_policy(global: &mut Global, used: &[portcullis_sys::topology::Cpu], share: usize) -> bool {
    if global.nbthread.is_some()
        || global.thread_groups.is_some()
        || !global.thread_group.is_empty()
        || share < used.len()
    {
        return false;
    }
    let per_group = usize::from(global.max_threads_per_group.unwrap_or(USUAL_PER_GROUP));
    let limit = usize::from(global.thread_hard_limit.unwrap_or(u16::MAX));
    let mut first = 1u16;
    let mut sets = Vec::new();
    for (number, group) in (1u16..).zip(cpu_choice::groups(global, used, per_group)) {
        let room = limit.saturating_sub(sets.len());
        let threads: Vec<_> = group.threads.into_iter().take(room).collect();
        let Some(last) = u16::try_from(threads.len()).ok().filter(|n| *n > 0).map(|n| first + n - 1) else {
            break;
        };
        global.thread_group.push((number, first, last));
        sets.extend(threads);
        first = last + 1;
    }
    global.thread_groups = u16::try_from(global.thread_group.len()).ok();
    global.nbthread = Some(first - 1);
    global.thread_cpus = sets;
    true
}

/// What `cpu-map` says of each thread; nothing where it says nothing.
fn bind_by_map(global: &mut Global, topology: &Topology) {
    let there = |c: &u16| topology.cpus.iter().any(|cpu| cpu.id == *c);
    global.thread_cpus = (1..=global.nbthread.unwrap_or(1))
        .map(|thread| {
            let set = map_of(global, thread).map_or(&[][..], |m| m.cpus.as_slice());
            set.iter().copied().filter(there).collect()
        })
        .collect();
}

/// The last `cpu-map` that is about this thread of the process.
fn map_of(global: &Global, thread: u16) -> Option<&crate::model::CpuMap> {
    let (group, ..) =
        global.thread_group.iter().find(|(_, first, last)| (*first..=*last).contains(&thread))?;
    let place = members(global, *group).iter().position(|t| *t == thread)? + 1;
    let of =
        |n: &&crate::model::CpuMap| n.group == *group && (n.thread == 0 || usize::from(n.thread) == place);
    global.cpu_map.iter().rev().find(of)
}

/// How many threads and groups: what is said, or one thread a CPU, within the limits.
fn count(global: &mut Global, cpus: u16) {
    let per_group = global.max_threads_per_group.unwrap_or(if global.thread_groups.is_some() {
        MAX_PER_GROUP
    } else {
        USUAL_PER_GROUP
    });
    let limit = global.thread_hard_limit.unwrap_or(u16::MAX);
    let threads = global.nbthread.unwrap_or_else(|| cpus.min(MAX_PER_GROUP)).min(limit).max(1);
    let named = global.thread_group.iter().map(|(g, ..)| *g).max().unwrap_or(1);
    let groups =
        global.thread_groups.unwrap_or_else(|| threads.div_ceil(per_group.max(1)).max(named)).min(MAX_GROUPS);
    global.nbthread = Some(threads.min(groups.saturating_mul(per_group)));
    global.thread_groups = Some(groups);
}

/// Threads that no `thread-group` names are shared out evenly among the groups that have none.
fn layout(global: &mut Global) -> Result<(), String> {
    let threads = global.nbthread.unwrap_or(1);
    let groups = global.thread_groups.unwrap_or(1);
    let known: Vec<_> = global
        .thread_group
        .iter()
        .filter(|(g, first, _)| *g <= groups && *first <= threads)
        .map(|&(g, first, last)| (g, first, last.min(threads)))
        .collect();
    let named = |t: &u16| known.iter().any(|(_, first, last)| (*first..=*last).contains(t));
    let free: Vec<u16> = (1..=threads).filter(|t| !named(t)).collect();
    let empty: Vec<u16> = (1..=groups).filter(|g| !known.iter().any(|(k, ..)| k == g)).collect();
    if empty.len() > free.len() {
        return Err(format!(
            "More unassigned thread-groups than threads ({}). Please reduce thread-groups",
            free.len()
        ));
    }
    let mut all = known;
    let mut rest = free.as_slice();
    for (i, group) in empty.iter().enumerate() {
        let (mine, others) = rest.split_at(rest.len().div_ceil(empty.len() - i));
        all.extend(runs(mine).into_iter().map(|(first, last)| (*group, first, last)));
        rest = others;
    }
    all.sort_unstable();
    global.thread_group = all;
    Ok(())
}

/// Consecutive numbers as ranges.
fn runs(numbers: &[u16]) -> Vec<(u16, u16)> {
    let mut all: Vec<(u16, u16)> = Vec::new();
    for n in numbers {
        match all.last_mut() {
            Some((_, last)) if *last + 1 == *n => *last = *n,
            _ => all.push((*n, *n)),
        }
    }
    all
}

/// The threads of one group in order.
fn members(global: &Global, group: u16) -> Vec<u16> {
    let ranges = global.thread_group.iter().filter(|(g, ..)| *g == group);
    ranges.flat_map(|(_, first, last)| *first..=*last).collect()
}

/// A `thread` set as numbers that count over the whole process (group 0); nothing for all of them.
fn absolute(global: &Global, set: &[(u16, u16, u16)]) -> Result<Vec<(u16, u16, u16)>, String> {
    let threads = global.nbthread.unwrap_or(1);
    let mut found: Vec<u16> = Vec::new();
    for &(group, first, last) in set {
        if group == 0 {
            found.extend(first..=last.min(threads));
            continue;
        }
        if group > global.thread_groups.unwrap_or(1) {
            return Err(format!("references non-existing thread group {group}"));
        }
        let all = members(global, group);
        let before = found.len();
        found.extend((first..=last).map_while(|n| all.get(usize::from(n) - 1)).copied());
        if found.len() == before {
            return Err(format!("only references threads not belonging to group {group}"));
        }
    }
    if !set.is_empty() && found.is_empty() {
        return Err("only references non-existing threads".into());
    }
    found.sort_unstable();
    found.dedup();
    if found.len() == usize::from(threads) {
        found.clear();
    }
    Ok(runs(&found).into_iter().map(|(first, last)| (0, first, last)).collect())
}

/// Warns where several threads must share a CPU.
fn crowded(global: &Global, cpus: u16, diags: &mut Diagnostics) {
    let threads = global.nbthread.unwrap_or(1);
    let (mut bound, mut free) = (0u16, 0u16);
    let mut used: Vec<u16> = Vec::new();
    for thread in 1..=threads {
        match map_of(global, thread) {
            Some(map) => {
                bound += 1;
                used.extend(map.cpus.iter().filter(|c| **c < cpus));
            }
            None => free += 1,
        }
    }
    used.sort_unstable();
    used.dedup();
    if bound > 0 && free > 0 {
        let message = format!(
            "Found {bound} thread(s) mapped to a CPU and {free} thread(s) not mapped to any CPU. Please either bind all \
             threads or none (maybe some cpu-map directives are missing?)."
        );
        diags.add(Severity::Warning, None, message);
        return;
    }
    let total = if bound > 0 { used.len() } else { usize::from(cpus) };
    if usize::from(threads) > total {
        let message = format!(
            "This configuration binds {threads} threads to a total of {total} CPUs via cpu-map directives. Threads that \
             share a CPU are slow. Please fix either the 'cpu-map' directives or set the global 'nbthread' value \
             accordingly."
        );
        diags.add(Severity::Warning, None, message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn global(threads: u16, groups: Option<u16>, named: &[(u16, u16, u16)]) -> Global {
        let mut g = Global {
            nbthread: Some(threads),
            thread_groups: groups,
            thread_group: named.to_vec(),
            ..Global::default()
        };
        count(&mut g, 4);
        g
    }

    #[test]
    fn shares_threads_out() {
        let mut g = global(5, Some(2), &[]);
        assert_eq!(layout(&mut g), Ok(()));
        assert_eq!(g.thread_group, [(1, 1, 3), (2, 4, 5)]);
        let mut g = global(4, Some(2), &[(2, 1, 1)]);
        assert_eq!(layout(&mut g), Ok(()));
        assert_eq!(g.thread_group, [(1, 2, 4), (2, 1, 1)]);
        let mut g = global(4, Some(2), &[(1, 1, 9)]);
        assert!(layout(&mut g).is_err());
    }

    #[test]
    fn counts_over_the_process() {
        let mut g = global(4, Some(2), &[]);
        assert_eq!(layout(&mut g), Ok(()));
        assert_eq!(absolute(&g, &[]), Ok(vec![]));
        assert_eq!(absolute(&g, &[(0, 1, 1024)]), Ok(vec![]));
        assert_eq!(absolute(&g, &[(0, 3, 3)]), Ok(vec![(0, 3, 3)]));
        assert_eq!(absolute(&g, &[(2, 1, 64)]), Ok(vec![(0, 3, 4)]));
        assert!(absolute(&g, &[(2, 3, 3)]).is_err());
        assert!(absolute(&g, &[(3, 1, 1)]).is_err());
        assert!(absolute(&g, &[(0, 9, 9)]).is_err());
    }

    #[test]
    fn many_threads_make_groups() {
        let g = global(1000, None, &[]);
        assert_eq!((g.nbthread, g.thread_groups), (Some(512), Some(32)));
        assert_eq!(global(200, Some(1), &[]).nbthread, Some(64));
    }
}
