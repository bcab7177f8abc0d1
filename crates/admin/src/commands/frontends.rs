//! `enable frontend`, `disable frontend`, `shutdown frontend`

use crate::command::{Call, Outcome, Row};
use crate::socket::Level;
use portcullis_config::ProxyKind;
use portcullis_proxy::plan::ProxyPlan;
use portcullis_proxy::worker::mailbox::Mail;
use portcullis_telemetry::gate::Running;
use portcullis_telemetry::log;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

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

/// Standard error and the proxy's log get to know of it.
fn announce(call: &Call<'_>, proxy: &ProxyPlan, to: Running) {
    let kind = if proxy.kind == ProxyKind::Frontend { "frontend" } else { "proxy" };
    let text = match to {
        Running::Ready => format!("Resumed {kind} {}.", proxy.name),
        Running::Paused => format!("Paused {kind} {}.", proxy.name),
        Running::Stopped => {
            let front = proxy.front.counters.sum(|c| c.cum_conn.get());
            let back = proxy.state.as_ref().map_or(0, |s| s.counters.sum(|c| c.cum_sess.get()));
            format!("Proxy {} stopped (cumulated conns: FE: {front}, BE: {back}).", proxy.name)
        }
    };
    let process = &call.admin.process;
    process.say(portcullis_config::Severity::Warning, &text);
    let mut writer = log::LogWriter::new(usize::MAX, process.counts.clone());
    writer.log(&proxy.loggers, log::Level::Warning, process.clock.wall(), b"", text.as_bytes());
    let _ = writer.flush();
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
    announce(call, &proxy, to);
    let process = call.admin.process.clone();
    // the answer comes when every worker has looked, so that a script can rely on it
    Outcome::Later(Box::pin(async move {
        process.tell_all(|| Mail::Run(Box::new(|worker| worker.wake_all())));
        let front = &proxy.front;
        let followed = || {
            let (all, held) = (front.acceptors.load(SeqCst), front.holding.load(SeqCst));
            match to {
                Running::Ready => held == 0,
                Running::Paused => held == all,
                Running::Stopped => all == 0,
            }
        };
        for _ in 0..1000 {
            if followed() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Outcome::Nothing
    }))
}
