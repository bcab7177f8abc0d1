//! Whether anything still happens in a scenario: all that take part wait, and none has run between two looks.
//!
//! What an origin has been sent is part of its transcript only once its thread has been given the processor; on busy cores
//! that may be long after the log line that a scenario waited for. So a scenario ends when everybody has done what was to do.
use crate::process::{PATIENCE, wait_for};
use rustix::thread::{Pid, gettid};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Threads that take part, such as an origin's. A thread is known from before it is started until it ends.
#[derive(Clone, Default)]
pub struct Crew(Arc<Mutex<Vec<Thread>>>);

/// A thread's number in its crew, and its id once it runs.
type Thread = (u64, Option<Pid>);

/// One thread of a [`Crew`]; forgotten when dropped.
pub struct Member {
    crew: Crew,
    number: u64,
}

impl Crew {
    /// Announces a thread that is about to be started.
    pub fn announce(&self) -> Member {
        let mut all = self.0.lock().unwrap();
        let number = all.last().map_or(0, |(n, _)| n + 1);
        all.push((number, None));
        Member { crew: self.clone(), number }
    }

    /// What its threads have done so far; `None` while one of them has something to do.
    fn look(&self) -> Option<Vec<String>> {
        let all = self.0.lock().unwrap().clone();
        all.iter()
            .map(|(_, tid)| waiting(&PathBuf::from(format!("/proc/self/task/{}", (*tid)?.as_raw_nonzero()))))
            .collect()
    }
}

impl Member {
    /// Says that the calling thread is the one that was announced.
    pub fn here(&self) {
        let mut all = self.crew.0.lock().unwrap();
        if let Some(entry) = all.iter_mut().find(|(n, _)| *n == self.number) {
            entry.1 = Some(gettid());
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.crew.0.lock().unwrap().retain(|(n, _)| *n != self.number);
    }
}

/// Waits until these crews and processes (with their children) have nothing to do.
pub fn settle(crews: &[Crew], processes: &[u32]) {
    let look = || -> Option<Vec<Vec<String>>> {
        let crews = crews.iter().map(Crew::look);
        crews.chain(processes.iter().map(|p| process(*p))).collect()
    };
    let mut before = None;
    wait_for(PATIENCE, || {
        let now = look();
        let quiet = now.is_some() && now == before;
        before = now;
        quiet.then_some(())
    });
}

fn process(pid: u32) -> Option<Vec<String>> {
    let tasks: Vec<PathBuf> = std::fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|t| t.path())
        .collect();
    let mut all: Vec<String> = tasks.iter().map(|t| waiting(t)).collect::<Option<_>>()?;
    for child in crate::proc::children(pid) {
        all.extend(process(child)?);
    }
    Some(all)
}

/// How often a thread has been given the processor; `None` while it has it or wants it. A thread that has ended waits forever.
fn waiting(task: &Path) -> Option<String> {
    let text = std::fs::read_to_string(task.join("status")).unwrap_or_default();
    let line = |name: &str| text.lines().find(|l| l.starts_with(name)).unwrap_or_default().to_string();
    let busy = line("State:").split_whitespace().nth(1).is_some_and(|s| s == "R" || s == "D");
    let switches = line("voluntary_ctxt_switches:") + &line("nonvoluntary_ctxt_switches:");
    (!busy).then(|| format!("{} {switches}", task.display()))
}
