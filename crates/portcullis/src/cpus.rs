//! The CPUs of threads: binding them, and what `-dc` shows.

use portcullis_config::Global;
use portcullis_config::rows::cpu_choice;
use portcullis_sys::topology::{Topology, bind_thread};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Binds the calling thread; an empty set leaves it free.
pub fn bind(cpus: &[u16]) {
    if !cpus.is_empty() {
        bind_thread(cpus);
    }
}

/// `-dc`: the CPUs that are used and those that are not, and where each thread runs.
#[must_use]
pub fn report(global: &Global) -> String {
    let topology = Topology::read();
    let usable = cpu_choice::usable(global, topology);
    let kept = match global.cpu_map.is_empty() {
        true => cpu_choice::kept(global, usable, global.thread_cpus.is_empty()),
        false => usable,
    };
    let mut out = String::new();
    let mut clusters: BTreeMap<u16, (u32, Vec<u16>, u32)> = BTreeMap::new();
    for c in &topology.cpus {
        let keep = if kept.iter().any(|k| k.id == c.id) { "keep" } else { "drop" };
        let _ = writeln!(
            out,
            "[{keep}] cpu={:3} pk={:02} no={:02} cl={:03} l3={:03} core={:03} ts={:03} capa={}",
            c.id, c.package, c.node, c.cluster, c.ccx, c.core, c.thread, c.capacity
        );
        let cluster = clusters.entry(c.cluster).or_default();
        cluster.0 += 1;
        cluster.1.push(c.core);
        cluster.2 += c.capacity;
    }
    out.push_str("CPU clusters:\n");
    for (id, (cpus, mut cores, capacity)) in clusters {
        cores.sort_unstable();
        cores.dedup();
        let _ = writeln!(out, "  {id:3}  cpus={cpus:3} cores={:3} capa={capacity}", cores.len());
    }
    out.push_str("Thread CPU Bindings:\n  Tgrp/Thr  Tid        CPU set\n");
    for (group, first, last) in &global.thread_group {
        for thread in *first..=*last {
            let set = global.thread_cpus.get(usize::from(thread) - 1).filter(|s| !s.is_empty());
            let set = set.unwrap_or(&topology.allowed);
            let _ = writeln!(
                out,
                "  {group}/{:<7} {thread:<10} {}: {}",
                thread - first + 1,
                set.len(),
                ranges(set)
            );
        }
    }
    out
}

/// Numbers in order as ranges.
fn ranges(numbers: &[u16]) -> String {
    let mut all: Vec<(u16, u16)> = Vec::new();
    for n in numbers {
        match all.last_mut() {
            Some((_, last)) if *last + 1 == *n => *last = *n,
            _ => all.push((*n, *n)),
        }
    }
    let text = all.iter().map(|(a, b)| if a == b { a.to_string() } else { format!("{a}-{b}") });
    text.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    #[test]
    fn ranges_of_numbers() {
        assert_eq!(super::ranges(&[0, 1, 2, 5, 7, 8]), "0-2,5,7-8");
        assert_eq!(super::ranges(&[]), "");
    }
}
