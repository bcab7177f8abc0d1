//! Answers of the proxy itself on their way to the client: `http-after-response` rules see them, then they are written.

use super::exchange::Exchange;
use super::stages::{self, Contents};
use super::transfer::write_all;
use crate::reply::{Answer, write_early};
use crate::session::Session;
use portcullis_message::{HeaderId, Method};
use portcullis_sample::Direction;
use portcullis_wire::h1::{Framing, Info, Silent, reframe};

/// Sends an answer to a valid request; it counts no bytes, as in HAProxy. What is left of the request's body ends the connection.
pub async fn send(x: &mut Exchange<'_>, session: &mut Session, mut answer: Answer) {
    x.facts.status = answer.status.into();
    let sent = answer.head.status;
    // a page of an `errorfile` may say nothing of it
    let said = answer.head.position(HeaderId::ContentLength).is_some();
    std::mem::swap(&mut x.scratch.response, &mut answer.head);
    let seen = after_response(x, session, Contents::Whole(answer.body.bytes())).await;
    std::mem::swap(&mut x.scratch.response, &mut answer.head);
    x.facts.last_rule = answer.rule.or(x.facts.last_rule);
    if seen {
        let framing =
            if said { Framing::Length(answer.body.bytes().len() as u64) } else { Framing::UntilClose };
        let silent = Silent::of_response(answer.head.status, x.method);
        reframe(&mut answer.head, framing, silent);
    }
    if answer.head.status != sent {
        x.facts.status = answer.head.status.into();
    }
    let version = x.scratch.request.version;
    x.facts.bytes_answered =
        super::transfer::counted(&answer.head, &Info::default()) + answer.body.bytes().len() as u64;
    if session.conn.stream().is_some() {
        let bodyless = x.method == Method::Head;
        super::client::answer(x, session, &answer, bodyless).await;
        x.scratch.response = answer.head;
        return;
    }
    let mut out = std::mem::take(&mut x.scratch.out);
    out.clear();
    x.keep &= !session.ends_kept();
    let bodyless = x.method == Method::Head;
    x.keep &= answer.write_h1(version, x.keep, bodyless, x.front.client_case.as_deref(), &mut out);
    // RFC 9110 section 9.3.6: what comes behind that is no request
    x.keep &= x.method != Method::Connect || !matches!(answer.head.status, 200..=299);
    session.task.deadline(session.task.worker.clock.now().after(x.front.timeouts.client));
    x.keep &= write_all(session, &out, x.closes()).await.is_ok();
    x.scratch.response = answer.head;
    x.scratch.out = out;
}

/// Sends the page for what was not even a request.
pub async fn send_early(x: &mut Exchange<'_>, session: &mut Session, status: u16) {
    x.keep = false;
    x.facts.status = status.into();
    if session.conn.stream().is_some() {
        let page = x.pages().frontend.early(status);
        super::client::answer(x, session, &Answer::page(status, page), false).await;
        return;
    }
    let mut out = Vec::new();
    write_early(x.pages().frontend.early(status), &mut out);
    session.task.deadline(session.task.worker.clock.now().after(x.front.timeouts.client));
    // the connection ends, however much of it was written
    let _ = write_all(session, &out, x.closes()).await;
}

/// `http-after-response` rules of backend and frontend, on whatever response goes out. Were there some?
pub async fn after_response(x: &mut Exchange<'_>, session: &mut Session, mut body: Contents<'_, '_>) -> bool {
    let mut seen = false;
    let sides = [x.back.filter(|b| b.index != x.front.index), Some(x.front)];
    for sets in sides.into_iter().flatten().filter_map(|p| p.rules.as_deref()) {
        // a failed rewrite leaves the response as it is
        let set = &sets.http_after_response;
        let _ = stages::rules_on(x, session, set, Direction::Response, None, body.again()).await;
        seen |= !sets.http_after_response.is_empty();
    }
    seen
}
