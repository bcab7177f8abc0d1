//! `global`: threads, their groups, and the CPUs that they run on (manual section 3.1).

use super::{threads, value};
use crate::cx::Cx;
use crate::model::CpuMap;
use crate::row::{Does, Keyword, Sections};
use crate::word::{Line, Word};

macro_rules! row {
    ($name:literal, $args:literal, $works:expr, $help:literal) => {
        Keyword {
            name: $name,
            sections: Sections::GLOBAL,
            args: $args,
            help: $help,
            negatable: false,
            does: Does::Works($works),
        }
    };
}

/// The rows of this file.
pub const ROWS: &[Keyword] = &[
    row!(
        "nbthread",
        "<number>",
        |cx, l| number(cx, l, "nbthread", threads::MAX_THREADS, |g| &mut g.nbthread),
        "Worker threads."
    ),
    row!(
        "thread-groups",
        "<number>",
        |cx, l| number(cx, l, "thread-groups", threads::MAX_GROUPS, |g| &mut g.thread_groups),
        "Thread groups."
    ),
    row!("thread-group", "<group> [<thread-range>...]", thread_group, "The threads of a group."),
    row!("thread-hard-limit", "<number>", hard_limit, "Most threads, whatever else is said or found."),
    row!("max-threads-per-group", "<number>", per_group, "Most threads of one group."),
    row!(
        "cpu-map",
        "[auto:]<thread-group>[/<thread-set>] <cpu-set>[,...] [...]",
        cpu_map,
        "The CPUs that threads run on."
    ),
    row!(
        "cpu-policy",
        "<policy> [threads-per-core { 1 | auto }]",
        cpu_policy,
        "How CPUs are chosen when nothing else says so."
    ),
    Keyword {
        name: "numa-cpu-mapping",
        sections: Sections::GLOBAL,
        args: "",
        help: "Lets 'cpu-policy' go by where CPUs and memory are.",
        negatable: true,
        // as in HAProxy nothing is said about further words
        does: Does::Works(|cx, _| cx.model.global.no_numa = cx.negated),
    },
    row!("cpu-affinity", "<affinity>", cpu_affinity, "Which of the CPUs of its group a thread runs on."),
    row!("cpu-set", "<directive>...", cpu_set, "The CPUs that are used at all."),
];

fn number(
    cx: &mut Cx<'_>,
    line: &Line,
    of: &str,
    max: u16,
    field: fn(&mut crate::model::Global) -> &mut Option<u16>,
) {
    if !value::no_more(cx, line, 2) || too_late(cx, line, of) {
        return;
    }
    let Some(n) = integer(cx, line, of) else { return };
    match u16::try_from(n) {
        Ok(n) if (1..=max).contains(&n) => *field(&mut cx.model.global) = Some(n),
        _ => {
            cx.alert(line.word(1), format!("'{of}' value must be between 1 and {max} (was {n})"));
        }
    }
}

/// Threads are counted before anything that is theirs.
fn too_late(cx: &mut Cx<'_>, line: &Line, of: &str) -> bool {
    if cx.model.past_global {
        let message = format!(
            "'{of}' not allowed if a non-global section was previously defined. This parameter must be declared in the first \
             global section"
        );
        cx.alert(line.word(0), message);
    }
    cx.model.past_global
}

fn integer(cx: &mut Cx<'_>, line: &Line, of: &str) -> Option<i64> {
    let text = line.word(1).map(|w| w.str().into_owned()).unwrap_or_default();
    let n = value::integer(text.as_bytes());
    if n.is_none() {
        cx.alert(
            line.words.get(1).or(line.word(0)),
            format!("'{of}' passed a missing or unparsable integer value in '{text}'"),
        );
    }
    n
}

fn hard_limit(cx: &mut Cx<'_>, line: &Line) {
    if !value::no_more(cx, line, 2) {
        return;
    }
    let Some(n) = integer(cx, line, "thread-hard-limit") else { return };
    match u16::try_from(n.min(i64::from(u16::MAX))) {
        Ok(n @ 1..) => cx.model.global.thread_hard_limit = Some(n),
        _ => {
            cx.alert(line.word(1), format!("'thread-hard-limit' value must be at least 1 (was {n})"));
        }
    }
}

fn per_group(cx: &mut Cx<'_>, line: &Line) {
    let max = threads::MAX_PER_GROUP;
    let text = line.word(1).map(|w| w.str().into_owned()).unwrap_or_default();
    match text.parse() {
        // 0 is taken for the greatest
        Ok(0) => cx.model.global.max_threads_per_group = Some(max),
        Ok(n) if n <= max => cx.model.global.max_threads_per_group = Some(n),
        _ => {
            let message = format!(
                "'max-threads-per-group' value must be an integer between 1 and {max},  got '{text}'"
            );
            cx.alert(line.word(1).or(line.word(0)), message);
        }
    }
}

fn thread_group(cx: &mut Cx<'_>, line: &Line) {
    if too_late(cx, line, "thread-group") {
        return;
    }
    let Some(group) = integer(cx, line, "thread-group") else { return };
    let max = threads::MAX_GROUPS;
    let Some(group) = u16::try_from(group).ok().filter(|n| (1..=max).contains(n)) else {
        let message = format!("'thread-group' thread-group number must be between 1 and {max} (was {group})");
        cx.alert(line.word(1), message);
        return;
    };
    let known = &mut cx.model.global.thread_group;
    known.retain(|(g, ..)| *g != group);
    for word in line.args(2) {
        let Some((first, last)) = range(&word.str()) else {
            let message = format!(
                "'thread-group {group}' passed an unparsable or invalid thread number '{}' (valid range is 1 to {})",
                word.str(),
                threads::MAX_THREADS
            );
            cx.alert(Some(word), message);
            return;
        };
        cx.model.global.thread_group.push((group, first, last));
    }
}

fn range(text: &str) -> Option<(u16, u16)> {
    let (a, b) = text.split_once('-').unwrap_or((text, text));
    let fits = |t: &str| t.parse().ok().filter(|n| (1..=threads::MAX_THREADS).contains(n));
    let (a, b): (u16, u16) = (fits(a)?, fits(b)?);
    Some((a.min(b), a.max(b)))
}

fn cpu_map(cx: &mut Cx<'_>, line: &Line) {
    let (Some(who), Some(_)) = (line.word(1), line.word(2)) else {
        cx.alert(
            line.words.last(),
            "cpu-map expects a thread group number  ('all', 'odd', 'even', a number from 1 to 64 or a range),  \
             followed by a list of CPU ranges with numbers from 0 to 1023.",
        );
        return;
    };
    let mut cpus: Vec<u16> = Vec::new();
    for word in line.args(2) {
        match threads::cpus(&word.str()) {
            Ok(set) => cpus.extend(set),
            Err(e) => {
                cx.alert(Some(word), format!("cpu-map : {e}"));
                return;
            }
        }
    }
    cpus.sort_unstable();
    cpus.dedup();
    match assignments(&who.str(), cpus) {
        Ok(new) => {
            let known = &mut cx.model.global.cpu_map;
            let covers =
                |n: &CpuMap, o: &CpuMap| n.group == o.group && (n.thread == o.thread || n.thread == 0);
            known.retain(|old| !new.iter().any(|n| covers(n, old)));
            known.extend(new);
        }
        Err(e) => {
            cx.alert(Some(who), format!("cpu-map : {e}"));
        }
    }
}

/// Which thread gets which CPUs. "All threads of the group" stays one assignment (thread 0) unless `auto:` asks for one
/// CPU each.
fn assignments(who: &str, cpus: Vec<u16>) -> Result<Vec<CpuMap>, String> {
    let (auto, who) = match who.strip_prefix("auto:") {
        Some(rest) => (true, rest),
        None => (false, who),
    };
    let (groups, set) = match who.split_once('/') {
        Some((g, t)) => (threads::map_range(g)?, Some(t)),
        None => (threads::map_range(who)?, None),
    };
    let members: Vec<u16> = match set {
        None => vec![0],
        Some("all") if !auto => vec![0],
        Some(t) => threads::map_range(t)?,
    };
    let all = groups.iter().flat_map(|g| members.iter().map(move |t| (*g, *t)));
    if !auto {
        return Ok(all.map(|(group, thread)| CpuMap { group, thread, cpus: cpus.clone() }).collect());
    }
    let ranges = usize::from(groups.len() > 1) + usize::from(members.len() > 1);
    if cpus.len() > 1 && (ranges > 1 || groups.len() * members.len() != cpus.len()) {
        return Err(
            "TGROUP/THREAD range and CPU sets must have the same size to be automatically bound".into()
        );
    }
    Ok(all.zip(cpus).map(|((group, thread), cpu)| CpuMap { group, thread, cpus: vec![cpu] }).collect())
}

/// Policies of manual section 3.1 "cpu-policy".
const POLICIES: &[&str] = &[
    "none",
    "performance",
    "group-by-ccx",
    "group-by-2-ccx",
    "group-by-3-ccx",
    "group-by-4-ccx",
    "group-by-cluster",
    "group-by-2-clusters",
    "group-by-3-clusters",
    "group-by-4-clusters",
    "efficiency",
    "resource",
    "first-usable-node",
];

fn cpu_policy(cx: &mut Cx<'_>, line: &Line) {
    let text = line.word(1).map(|w| w.str().into_owned()).unwrap_or_default();
    if !POLICIES.contains(&text.as_str()) {
        let all = POLICIES.iter().map(|p| format!("'{p}'")).collect::<Vec<_>>().join(", ");
        let message =
            format!("'cpu-policy' passed an unknown CPU policy '{text}'. Supported values are: {all}.");
        cx.alert(line.words.get(1).or(line.word(0)), message);
        return;
    }
    let per_core = match (line.word(2), line.word(3)) {
        (None, _) => None,
        (Some(k), v) if k.is("threads-per-core") => match v.map(|w| w.text.as_slice()) {
            Some(b"1") => Some(1),
            Some(b"auto") => None,
            _ => {
                let got = v.map(Word::str).unwrap_or_default();
                let message = format!(
                    "'cpu-policy' passed an unknown value '{got}' to keyword 'threads-per-core', known values are 1 or auto"
                );
                cx.alert(v.or(Some(k)), message);
                return;
            }
        },
        (Some(k), _) => {
            let message = format!(
                "'cpu-policy' passed an unknown keyword '{}', the only known values are threads-per-core",
                k.str()
            );
            cx.alert(Some(k), message);
            return;
        }
    };
    cx.model.global.cpu_policy = Some(text);
    cx.model.global.cpu_policy_threads_per_core = per_core;
}

fn cpu_affinity(cx: &mut Cx<'_>, line: &Line) {
    const KNOWN: &[&str] = &["per-core", "per-group", "per-thread", "per-ccx", "auto"];
    let text = line.word(1).map(|w| w.str().into_owned()).unwrap_or_default();
    if !KNOWN.contains(&text.as_str()) {
        let message = format!(
            "'cpu-affinity' parsed an unknown directive '{text}'. Known values are : {}",
            KNOWN.join(" ")
        );
        cx.alert(line.words.get(1).or(line.word(0)), message);
        return;
    }
    let loose = match line.word(2) {
        None => "",
        Some(w) if text == "per-group" && w.is("loose") => " loose",
        Some(w) if text == "per-group" && w.is("auto") => "",
        Some(w) => {
            let known = if text == "per-group" { " Known values are : loose auto" } else { "" };
            let message = format!("'{text}' provided with unknown optional argument '{}'. {known}", w.str());
            cx.alert(Some(w), message);
            return;
        }
    };
    cx.model.global.cpu_affinity = Some(format!("{text}{loose}"));
}

/// Directives of `cpu-set` that take a set.
const SET_DIRECTIVES: &[&str] = &[
    "only-cpu",
    "drop-cpu",
    "only-node",
    "drop-node",
    "only-cluster",
    "drop-cluster",
    "only-core",
    "drop-core",
    "only-thread",
    "drop-thread",
];

fn cpu_set(cx: &mut Cx<'_>, line: &Line) {
    let supported = || {
        format!(
            "(only 'reset', {} supported)",
            SET_DIRECTIVES.iter().map(|d| format!("'{d}'")).collect::<Vec<_>>().join(", ")
        )
    };
    let mut args = line.args(1);
    if args.peek().is_none() {
        let message = format!("'cpu-set' requires a directive and an optional value {}.", supported());
        cx.alert(line.word(0), message);
        return;
    }
    while let Some(word) = args.next() {
        let name = word.str().into_owned();
        if name == "reset" {
            cx.model.global.cpu_set.push(vec![name]);
            continue;
        }
        if !SET_DIRECTIVES.contains(&name.as_str()) {
            cx.alert(Some(word), format!("'cpu-set' passed an unknown directive '{name}' {}.", supported()));
            return;
        }
        let Some(set) = args.next() else {
            cx.alert(Some(word), format!("'cpu-set {name}': missing CPU set"));
            return;
        };
        if let Err(e) = threads::cpus(&set.str()) {
            cx.alert(Some(set), format!("'cpu-set {name}': {e}"));
            return;
        }
        cx.model.global.cpu_set.push(vec![name, set.str().into_owned()]);
    }
}
