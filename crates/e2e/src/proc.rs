//! What /proc tells of a running process.
use crate::process::{PATIENCE, wait_for};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use std::os::fd::OwnedFd;

/// A line of `/proc/PID/status`, without its name.
pub fn status(pid: u32, name: &str) -> String {
    line(&format!("/proc/{pid}/status"), name)
}

/// The same line of each of its threads, sorted.
pub fn thread_status(pid: u32, name: &str) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let mut all: Vec<String> =
        tasks.map(|t| line(&t.path().join("status").display().to_string(), name)).collect();
    all.sort();
    all
}

fn line(path: &str, name: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let found = text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':'));
    found.unwrap_or("?").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Its root directory.
pub fn root(pid: u32) -> String {
    std::fs::read_link(format!("/proc/{pid}/root")).map_or("?".into(), |p| p.display().to_string())
}

/// Its sockets, as copies of ours.
pub fn sockets(pid: u32) -> Vec<OwnedFd> {
    let of = Pid::from_raw(pid.cast_signed()).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    let Some(of) = of else { return Vec::new() };
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let sockets = open
        .filter(|e| std::fs::read_link(e.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:")));
    let numbers = sockets.filter_map(|e| e.file_name().to_str()?.parse().ok());
    numbers.filter_map(|fd| pidfd_getfd(&of, fd, PidfdGetfdFlags::empty()).ok()).collect()
}

/// Its children.
pub fn children(pid: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|p| p.parse().ok()).collect()
}

/// Waits until it has exactly one child that is not `other`.
pub fn only_child(pid: u32, other: Option<u32>) -> Option<u32> {
    wait_for(PATIENCE, || match children(pid).as_slice() {
        [one] if Some(*one) != other => Some(*one),
        _ => None,
    })
}

/// Waits until it has no socket any more that listens on this TCP port; false if it goes on.
pub fn stops_listening(pid: u32, port: u16) -> bool {
    wait_for(PATIENCE, || (!listens(pid, port)).then_some(())).is_some()
}

fn listens(pid: u32, port: u16) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let local = format!(":{port:04X}");
    let mut sockets = table.lines().filter_map(|l| {
        let words: Vec<&str> = l.split_whitespace().collect();
        let listening = words.get(1)?.ends_with(&local) && *words.get(3)? == "0A";
        listening.then(|| format!("socket:[{}]", words.get(9).copied().unwrap_or_default()))
    });
    let open: Vec<_> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| std::fs::read_link(e.path()).ok())
        .collect();
    sockets.any(|s| open.iter().any(|o| o.as_os_str() == s.as_str()))
}
