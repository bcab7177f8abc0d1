//! How what is not a body goes to the client: over its own connection as HTTP/1, over a stream of one as that has it.

use super::exchange::Exchange;
use super::transfer::write_all;
use crate::reply::Answer;
use crate::session::Session;
use portcullis_message::Head;
use portcullis_wire::h1::{CaseMap, encode};

/// The head of the final response: into `out`, which is written before its body, or at once where heads go by themselves.
pub fn head(session: &Session, head: &Head, case: Option<&CaseMap>, out: &mut Vec<u8>) {
    match session.conn.stream() {
        None => encode::response(head, case, out),
        Some(stream) => stream.send_head(head),
    }
}

/// An interim (1xx) response, as long as the client takes it in time.
///
/// # Errors
/// That of [`write_all`].
pub async fn interim(session: &Session, head: &Head, case: Option<&CaseMap>) -> Result<(), u8> {
    if let Some(stream) = session.conn.stream() {
        stream.send_head(head);
        return Ok(());
    }
    let mut out = Vec::new();
    encode::response(head, case, &mut out);
    write_all(session, &out, false).await
}

/// An answer of the proxy on a stream; false: not all of it went out.
pub async fn answer(x: &Exchange<'_>, session: &Session, answer: &Answer, bodyless: bool) -> bool {
    let Some(stream) = session.conn.stream().filter(|_| !answer.silent) else { return false };
    stream.send_head(&answer.head);
    session.task.deadline(session.task.worker.clock.now().after(x.front.timeouts.client));
    let bodyless = bodyless || matches!(answer.head.status, 100..=199 | 204 | 304);
    let body = if bodyless { &[] } else { answer.body.bytes() };
    if write_all(session, body, false).await.is_err() {
        return false;
    }
    stream.end(None);
    true
}
