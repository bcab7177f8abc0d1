//! The machine's CPUs: which share what. Read from /sys, before the process is confined.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

/// One CPU, that is one hardware thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cpu {
    /// The system's number.
    pub id: u16,
    /// Package (socket).
    pub package: u16,
    /// NUMA node.
    pub node: u16,
    /// Cluster: cores of one last level cache and nearly one capacity. Numbered over the machine.
    pub cluster: u16,
    /// Last level cache ("CCX"). Numbered over the machine.
    pub ccx: u16,
    /// Core. Numbered over the machine.
    pub core: u16,
    /// Which thread of its core, from 0.
    pub thread: u16,
    /// How fast it is; 1024 is the system's usual.
    pub capacity: u32,
}

/// The CPUs of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// Those that are online, by number.
    pub cpus: Vec<Cpu>,
    /// Those that the process may use (`taskset`, cgroups).
    pub allowed: Vec<u16>,
    /// How many of them its share of the machine makes: a container's may be less than the CPUs that it may use.
    pub share: usize,
}

impl Topology {
    /// This machine, as it was when this was asked first: a confined process could not look again. What the system does not tell is
    /// taken for one package of one cache.
    #[must_use]
    pub fn read() -> &'static Self {
        static THIS: OnceLock<Topology> = OnceLock::new();
        THIS.get_or_init(Self::look)
    }

    fn look() -> Self {
        let allowed = allowed();
        let mut online = list(&text("/sys/devices/system/cpu/online"));
        if online.is_empty() {
            online.clone_from(&allowed);
        }
        let nodes = nodes();
        let (mut cores, mut caches) = (Numbers::default(), Numbers::default());
        let mut cpus: Vec<Cpu> = online
            .iter()
            .map(|&id| {
                let base = format!("/sys/devices/system/cpu/cpu{id}");
                let siblings = list(&text(&format!("{base}/topology/thread_siblings_list")));
                let package = number(&format!("{base}/topology/physical_package_id"));
                Cpu {
                    id,
                    package: u16::try_from(package).unwrap_or(0),
                    node: nodes.get(&id).copied().unwrap_or(0),
                    cluster: 0,
                    ccx: caches.of(&last_level(&base).unwrap_or(format!("package {package}"))),
                    core: cores.of(&format!("{:?}", siblings.first().unwrap_or(&id))),
                    thread: siblings.iter().position(|s| *s == id).map_or(0, |n| n as u16),
                    capacity: capacity(&base),
                }
            })
            .collect();
        clusters(&mut cpus);
        let share = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { cpus, allowed, share }
    }
}

/// Numbers things by their names, in the order in which they come.
#[derive(Default)]
struct Numbers(Vec<String>);

impl Numbers {
    fn of(&mut self, name: &str) -> u16 {
        let at = self.0.iter().position(|n| n == name).unwrap_or_else(|| {
            self.0.push(name.to_string());
            self.0.len() - 1
        });
        u16::try_from(at).unwrap_or(u16::MAX)
    }
}

/// Cores of one cache whose capacities differ by 5 % at most, in steps, are a cluster.
fn clusters(cpus: &mut [Cpu]) {
    let mut order: Vec<usize> = (0..cpus.len()).collect();
    order.sort_by_key(|i| {
        (cpus[*i].package, cpus[*i].node, cpus[*i].ccx, u32::MAX - cpus[*i].capacity, cpus[*i].id)
    });
    let mut cluster = 0;
    for pair in 1..order.len() {
        let (before, this) = (cpus[order[pair - 1]], cpus[order[pair]]);
        let near = u64::from(before.capacity) * 95 <= u64::from(this.capacity) * 100;
        if before.ccx != this.ccx || before.node != this.node || !near {
            cluster += 1;
        }
        cpus[order[pair]].cluster = cluster;
    }
}

fn allowed() -> Vec<u16> {
    let Ok(set) = sched_getaffinity(None) else { return vec![0] };
    (0..CpuSet::MAX_CPU).filter(|n| set.is_set(*n)).filter_map(|n| u16::try_from(n).ok()).collect()
}

/// Binds the calling thread to these CPUs; nothing happens if none of them is there.
pub fn bind_thread(cpus: &[u16]) {
    let mut set = CpuSet::new();
    for n in cpus.iter().map(|n| usize::from(*n)).filter(|n| *n < CpuSet::MAX_CPU) {
        set.set(n);
    }
    let _ = sched_setaffinity(None, &set);
}

fn text(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn number(path: &str) -> u32 {
    text(path).trim().parse().unwrap_or(0)
}

/// "0-3,8" as numbers.
fn list(text: &str) -> Vec<u16> {
    let ranges = text.trim().split(',').filter_map(|part| {
        let (a, b) = part.split_once('-').unwrap_or((part, part));
        Some(a.parse::<u16>().ok()?..=b.parse::<u16>().ok()?)
    });
    ranges.flatten().collect()
}

/// Which CPUs share the last level cache.
fn last_level(base: &str) -> Option<String> {
    let caches = (0..10).map(|i| format!("{base}/cache/index{i}")).take_while(|p| Path::new(p).exists());
    let level = |path: &String| number(&format!("{path}/level"));
    let last = caches.filter(|p| level(p) >= 3).max_by_key(level)?;
    Some(text(&format!("{last}/shared_cpu_list"))).filter(|t| !t.is_empty())
}

/// The kernel's capacity, else the highest performance that firmware tells, else the highest frequency in MHz.
fn capacity(base: &str) -> u32 {
    let told = ["cpu_capacity", "acpi_cppc/highest_perf"]
        .iter()
        .map(|f| number(&format!("{base}/{f}")))
        .find(|n| *n > 0);
    told.or_else(|| Some(number(&format!("{base}/cpufreq/cpuinfo_max_freq")) / 1000).filter(|n| *n > 0))
        .unwrap_or(1024)
}

fn nodes() -> BTreeMap<u16, u16> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir("/sys/devices/system/node").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(node) = name.strip_prefix("node").and_then(|n| n.parse().ok()) {
            let cpus = list(&text(&entry.path().join("cpulist").display().to_string()));
            all.extend(cpus.into_iter().map(|c| (c, node)));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        assert_eq!(list("0-2,7\n"), [0, 1, 2, 7]);
        assert_eq!(list(""), []);
    }

    #[test]
    fn this_machine() {
        let t = Topology::read();
        assert!(!t.cpus.is_empty() && !t.allowed.is_empty());
        assert!(t.allowed.iter().all(|a| t.cpus.iter().any(|c| c.id == *a)));
    }

    #[test]
    fn slow_cores_are_a_cluster_of_their_own() {
        let mut cpus: Vec<Cpu> = (0..4)
            .map(|id| Cpu { id, core: id, capacity: if id < 2 { 1024 } else { 400 }, ..Cpu::default() })
            .collect();
        clusters(&mut cpus);
        assert_eq!(cpus.iter().map(|c| c.cluster).collect::<Vec<_>>(), [0, 0, 1, 1]);
    }
}
