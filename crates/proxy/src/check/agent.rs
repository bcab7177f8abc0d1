//! `agent-check`: a program beside the server says how it does, and what weight it wants.

use super::plan::CheckPlan;
use super::run::{Failed, Late, Manner, Subject, address, open, system, within};
use crate::worker::Task;
use portcullis_backend::health::{Outcome, Report, Status, Which, agent};
use portcullis_backend::{Admin, BackendState, ServerConfig, ServerState, weight};
use portcullis_transport::{Buffer, Millis};
use std::io::IoSlice;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// Most bytes of an agent's line.
const MAX_LINE: usize = 1024;

/// Asks the agent, and does what it says.
pub(super) async fn run(
    task: &Task,
    subject: &Subject,
    backend: &Arc<BackendState>,
    plan: &CheckPlan,
) -> Vec<Report> {
    let began = task.worker.clock.exact().now();
    let answer = ask(task, subject, plan, began).await;
    let now = task.worker.clock.exact().now();
    let (mut outcome, said) = match answer {
        Ok(bytes) => match agent::parse(&bytes) {
            Some(said) => (Outcome::default(), Some(said)),
            None => {
                // nothing has changed
                let mut life = subject.state.life.lock();
                life.agent.last.text = "Ignoring incomplete line from agent".into();
                return Vec::new();
            }
        },
        Err(outcome) => (outcome, None),
    };
    let mut reports = Vec::new();
    if let Some(said) = said.filter(|_| subject.state.life.lock().agent.is_due()) {
        let warning = obey(&said, backend, &subject.state, now, &mut reports);
        let (status, text) = said.status(warning);
        outcome = Outcome::new(status, text);
    }
    outcome.duration = now.since(began);
    reports.extend(backend.checked(&subject.state, Which::Agent, outcome, now.0));
    reports
}

async fn ask(task: &Task, subject: &Subject, plan: &CheckPlan, began: Millis) -> Result<Vec<u8>, Outcome> {
    let (target, send) = {
        let life = subject.state.life.lock();
        (life.agent_target.clone(), life.agent_send.clone())
    };
    let inter = plan.settings.agent_inter.unwrap_or(Duration::from_secs(2));
    let Some(server) = subject.server() else { return Err(Outcome::default()) };
    let first = match (plan.check, plan.connect) {
        (Some(_), Some(connect)) if !connect.is_zero() => connect.min(inter),
        _ => inter,
    };
    task.deadline(began.after(Some(first)));
    let conn = open(
        task,
        server,
        &subject.state,
        address(server, &subject.state, &target),
        Manner { via_socks4: plan.settings.via_socks4, silent: false },
    )
    .await;
    let conn = conn.map_err(|e| match e {
        Failed::Late => Outcome::new(Status::L4Timeout, ""),
        Failed::Refused(e) => Outcome::new(Status::L4Connection, system(&e)),
        Failed::Own(e) => Outcome::new(Status::SocketError, system(&e)),
    })?;
    match plan.check {
        Some(check) => task.deadline(task.worker.clock.exact().now().after(Some(check))),
        None => task.deadline(began.after(Some(inter))),
    }
    let broken = |e: std::io::Error| Outcome::new(Status::SocketError, system(&e));
    let late = |Late| Outcome::new(Status::L7Timeout, "");
    let mut rest: &[u8] = &send;
    while !rest.is_empty() {
        let sent = within(task, |cx| conn.poll_send(cx, &[IoSlice::new(rest)], false)).await;
        let n = sent.map_err(late)?.map_err(broken)?;
        rest = rest.get(n..).unwrap_or_default();
    }
    let mut line = Vec::new();
    while line.len() < MAX_LINE && !line.iter().any(|b| matches!(b, b'\r' | b'\n')) {
        let mut buffer: Buffer = task.worker.buffers.take();
        let got = within(task, |cx| match conn.poll_readable(cx) {
            Poll::Ready(()) => conn.poll_recv(cx, &mut buffer),
            Poll::Pending => Poll::Pending,
        })
        .await;
        line.extend_from_slice(buffer.data());
        task.worker.buffers.give(buffer);
        if got.map_err(late)?.map_err(broken)? == 0 {
            break;
        }
    }
    Ok(line)
}

/// Does what the agent says beyond up and down. Yields what is wrong with it.
fn obey(
    said: &agent::Said,
    backend: &Arc<BackendState>,
    server: &Arc<ServerState>,
    now: Millis,
    reports: &mut Vec<Report>,
) -> Option<&'static str> {
    let mut warning = None;
    let admin = |to: Admin, reports: &mut Vec<Report>| {
        reports.extend(backend.order_admin(server, to, now.0));
    };
    if let Some(to) = said.admin {
        admin(to, reports);
    }
    if let Some(text) = &said.weight {
        match weight::parse(text, backend.initial_weight(server), backend.is_static()) {
            Ok(n) => {
                reports.extend(backend.set_weight(server, n));
                backend.touch(now.0);
            }
            Err(why) => warning = Some(why),
        }
    }
    if let Some(text) = &said.maxconn {
        match text.parse::<u32>() {
            Ok(n) => {
                let config =
                    ServerConfig { maxconn: n, maxqueue: server.maxqueue(), ..ServerConfig::default() };
                backend.set_limits(server, &config);
            }
            Err(_) => warning = Some("maxconn string empty or preceded by garbage"),
        }
    }
    warning
}
