//! How what is not a body goes to the client: over its own connection as HTTP/1, over a stream of one as that has it.

use super::exchange::Exchange;
use super::transfer::write_all;
use crate::reply::Answer;
use crate::session::Session;
use portcullis_message::{Head, Version};
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

/// Tells a client that waits for it (`Expect: 100-continue`) to send the body, where it is wanted before there is a server to
/// say so; the server is not asked any more then (RFC 9110 section 10.1.1).
///
/// # Errors
/// That of [`write_all`].
pub async fn go_on(x: &mut Exchange<'_>, session: &Session) -> Result<(), u8> {
    let expects = std::mem::take(&mut x.info.expect_continue);
    if !expects || x.scratch.request.version < Version::HTTP_11 {
        return Ok(());
    }
    x.scratch.request.remove_all(b"expect");
    if x.body_is_here() {
        return Ok(());
    }
    session.task.deadline(session.task.worker.clock.now().after(x.front.timeouts.client));
    let mut head = Head::default();
    head.set_response(Version::HTTP_11, 100, b"Continue");
    interim(session, &head, None).await
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
