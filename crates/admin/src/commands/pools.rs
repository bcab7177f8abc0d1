//! `show pools`: what workers hold for later use, and what their tasks take.

use crate::command::{Call, Outcome, Row};
use crate::socket::Level;
use portcullis_proxy::process::Process;
use portcullis_proxy::worker::mailbox::Mail;
use portcullis_stats::pools::{self, Pool};
use std::cmp::Reverse;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

/// The rows of this file.
pub const ROWS: &[Row] = &[Row::new(
    "show pools",
    "[by*] [match <pfx>] [nb]",
    Level::User,
    "report information about the memory pools usage",
    show,
)];

/// How long workers are waited for; one that is held up is shown as it was before.
const PATIENCE: Duration = Duration::from_millis(200);

#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Nothing,
    Name,
    Size,
    Usage,
}

struct Wanted {
    by: By,
    prefix: Option<String>,
    detailed: bool,
    most: Option<usize>,
}

fn wanted(call: &Call<'_>) -> Option<Wanted> {
    let mut w = Wanted { by: By::Nothing, prefix: None, detailed: false, most: None };
    let mut at = 2;
    while call.has(at) {
        match &*call.arg(at) {
            "byname" => w.by = By::Name,
            "bysize" => w.by = By::Size,
            "byusage" => w.by = By::Usage,
            "detailed" => w.detailed = true,
            "match" if call.has(at + 1) => {
                at += 1;
                w.prefix = Some(call.arg(at).into_owned());
            }
            // 0 is no limit
            number => w.most = Some(number.parse().ok()?).filter(|n| *n > 0),
        }
        at += 1;
    }
    Some(w)
}

fn show(call: &mut Call<'_>) -> Outcome {
    let Some(wanted) = wanted(call) else {
        return Outcome::err(
            "Expects either 'byname', 'bysize', 'byusage', 'match <pfx>', 'detailed', or a max number of output lines.",
        );
    };
    let process = call.admin.process.clone();
    Outcome::Later(Box::pin(async move {
        noted(&process).await;
        Outcome::Text(listed(&wanted, pools::all(&process)).into_bytes())
    }))
}

/// Has every worker note what it holds now.
async fn noted(process: &Arc<Process>) {
    let (tell, mut told) = tokio::sync::mpsc::channel(process.load.len().max(1));
    process.tell_all(|| {
        let tell = tell.clone();
        Mail::Run(Box::new(move |worker| {
            worker.publish();
            // who asked may be gone
            let _ = tell.try_send(());
        }))
    });
    drop(tell);
    let all = async { while told.recv().await.is_some() {} };
    // late ones are shown as they were
    let _ = tokio::time::timeout(PATIENCE, all).await;
}

fn listed(wanted: &Wanted, mut all: Vec<Pool>) -> String {
    if let Some(prefix) = &wanted.prefix {
        all.retain(|p| p.name.starts_with(prefix));
    }
    match wanted.by {
        By::Nothing => {}
        By::Name => all.sort_by(|a, b| a.name.cmp(&b.name)),
        By::Size => all.sort_by_key(|p| Reverse(p.size)),
        By::Usage => {
            all.retain(|p| p.bytes() > 0);
            all.sort_by_key(|p| Reverse(p.bytes()));
        }
    }
    let limit = wanted.most.filter(|n| *n < all.len());
    let limit = limit.map_or_else(String::new, |n| format!(" (limited to the first {n} entries)"));
    let mut text = format!("Dumping pools usage{limit}. Use SIGQUIT to flush them.\n");
    for (at, pool) in all.iter().enumerate().take(wanted.most.unwrap_or(usize::MAX)) {
        line(&mut text, at, pool, wanted.detailed);
    }
    let sum = |of: fn(&Pool) -> u64| all.iter().map(of).sum::<u64>();
    let (bytes, spare) = (sum(Pool::bytes), sum(|p| (p.allocated.saturating_sub(p.used)) * p.size));
    let _ = writeln!(
        text,
        "Total: {} pools, {bytes} bytes allocated, {bytes} used (~{spare} by thread caches).",
        all.len()
    );
    text
}

/// As HAProxy counts, what workers hold for later use is in use by their caches.
fn line(text: &mut String, at: usize, pool: &Pool, detailed: bool) {
    let (all, spare) = (pool.allocated, pool.allocated.saturating_sub(pool.used));
    let _ = writeln!(
        text,
        "  - Pool {} ({} bytes/8) : {all} allocated ({} bytes), {all} used (~{spare} by thread caches), needed_avg {}, \
         0 failures, 1 users, @0x{at:012x}",
        pool.name,
        pool.size,
        pool.bytes(),
        pool.used
    );
    if detailed {
        for (worker, (all, used)) in pool.workers.iter().enumerate() {
            let _ = writeln!(
                text,
                "      >  {:<12}: size={} flags=0x0 align=8 [thread {}: {} allocated, {} used]",
                pool.name,
                pool.size,
                worker + 1,
                *all as i64,
                *used as i64
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(name: &str, size: u64, all: u64, used: u64) -> Pool {
        Pool { name: name.into(), size, allocated: all, used, workers: vec![(all, used)] }
    }

    fn three() -> Vec<Pool> {
        vec![pool("buffer", 16384, 3, 1), pool("task_b", 100, 0, 0), pool("task_a", 10, 2, 2)]
    }

    #[test]
    fn sorted_and_chosen() {
        let w = |by, prefix: Option<&str>, most| Wanted {
            by,
            prefix: prefix.map(Into::into),
            detailed: true,
            most,
        };
        let text = listed(&w(By::Usage, None, Some(1)), three());
        assert_eq!(
            text,
            "Dumping pools usage (limited to the first 1 entries). Use SIGQUIT to flush them.\n  \
             - Pool buffer (16384 bytes/8) : 3 allocated (49152 bytes), 3 used (~2 by thread caches), needed_avg 1, 0 failures, 1 users, @0x000000000000\n      \
             >  buffer      : size=16384 flags=0x0 align=8 [thread 1: 3 allocated, 1 used]\n\
             Total: 2 pools, 49172 bytes allocated, 49172 used (~32768 by thread caches).\n"
        );
        let text = listed(&w(By::Name, Some("task"), None), three());
        assert!(
            text.find("task_a").unwrap() < text.find("task_b").unwrap() && !text.contains("buffer"),
            "{text}"
        );
        assert!(
            text.ends_with("Total: 2 pools, 20 bytes allocated, 20 used (~0 by thread caches).\n"),
            "{text}"
        );
    }
}
