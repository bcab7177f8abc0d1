//! `enable frontend`, `disable frontend`, `shutdown frontend`

use crate::command::{Call, Outcome, Row};
use crate::socket::Level;
use portcullis_proxy::plan::ProxyPlan;
use portcullis_proxy::worker::mailbox::Mail;
use portcullis_telemetry::gate::Running;
use std::sync::Arc;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    Row::new("disable frontend", "<frontend>", Level::Admin, "temporarily disable specific frontend", |c| {
        change(c, Running::Paused)
    }),
    Row::new("enable frontend", "<frontend>", Level::Admin, "re-enable specific frontend", |c| {
        change(c, Running::Ready)
    }),
    Row::new("shutdown frontend", "<frontend>", Level::Admin, "stop a specific frontend", |c| {
        change(c, Running::Stopped)
    }),
];

/// The frontend that a word names.
pub fn frontend(call: &Call<'_>, at: usize) -> Result<Arc<ProxyPlan>, Outcome> {
    if !call.has(at) {
        return Err(Outcome::err("A frontend name is expected."));
    }
    let plan = call.admin.plan();
    let index = super::find_proxy(&plan, &call.arg(at), |p| p.kind.front());
    index.and_then(|i| plan.proxies.get(i)).cloned().ok_or(Outcome::err("No such frontend."))
}

fn change(call: &mut Call<'_>, to: Running) -> Outcome {
    let proxy = match frontend(call, 2) {
        Ok(p) => p,
        Err(e) => return e,
    };
    let front = &proxy.front;
    match (front.running(), to) {
        (Running::Stopped, Running::Stopped) => {
            return Outcome::notice("Frontend was already shut down.");
        }
        (Running::Stopped, Running::Ready) => {
            return Outcome::notice("Frontend was previously shut down, cannot enable.");
        }
        (Running::Stopped, Running::Paused) => {
            return Outcome::notice("Frontend was previously shut down, cannot disable.");
        }
        (Running::Ready, Running::Ready) => return Outcome::notice("All sockets are already enabled."),
        (Running::Paused, Running::Paused) => return Outcome::notice("All sockets are already disabled."),
        _ => {}
    }
    front.set_running(to);
    // the answer comes when every worker has looked, so that a script can rely on it
    wait_for_workers(call)
}

/// Done when every worker has woken its acceptors and let them run.
fn wait_for_workers(call: &Call<'_>) -> Outcome {
    let process = call.admin.process.clone();
    Outcome::Later(Box::pin(async move {
        for _ in 0..2 {
            let (done, mut all) = tokio::sync::mpsc::unbounded_channel::<()>();
            process.tell_all(|| {
                let done = done.clone();
                Mail::Run(Box::new(move |worker| {
                    worker.wake_all();
                    tokio::task::spawn_local(async move {
                        tokio::task::yield_now().await;
                        let _ = done.send(());
                    });
                }))
            });
            drop(done);
            while all.recv().await.is_some() {}
        }
        Outcome::Nothing
    }))
}
