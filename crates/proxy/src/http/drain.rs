//! What is left of a request's body that was answered already is read and dropped, so that the next request can come, or so
//! that closing the connection does not reset it (RFC 9112 section 9.6).

use super::After;
use super::body::{Body, Step};
use crate::session::Session;
use portcullis_transport::Buffer;
use std::future::poll_fn;
use std::task::Poll;

/// Reads the body to its end, as long as the client goes on sending (`timeout client` between two pieces). `keep`: the
/// connection serves the next request then.
pub async fn drain(session: &Session, mut body: Body, mut input: Buffer, keep: bool) -> After {
    let task = &session.task;
    loop {
        match body.step(&mut input, false) {
            Step::Payload { origin, .. } => {
                input.consume(origin);
                continue;
            }
            Step::End => break,
            Step::Malformed(_) => return After::Close,
            Step::More if input.capacity() > 0 && input.is_full() => return After::Close,
            Step::More => {}
        }
        task.deadline(task.worker.clock.now().after(session.listener.proxy.timeouts.client));
        let got = poll_fn(|cx| {
            if session.conn.poll_readable(cx).is_ready() {
                if input.capacity() == 0 {
                    input = task.worker.buffers.take();
                }
                if let Poll::Ready(got) = session.conn.poll_recv(cx, &mut input) {
                    return Poll::Ready(got.unwrap_or(0));
                }
            }
            if task.poll_woken(cx).is_some() { Poll::Ready(0) } else { Poll::Pending }
        })
        .await;
        if got == 0 {
            task.worker.buffers.give(input);
            return After::Close;
        }
    }
    if !keep {
        session.conn.discard_input(false);
        task.worker.buffers.give(input);
        return After::Close;
    }
    if input.is_empty() {
        task.worker.buffers.give(input);
        return After::Keep(None);
    }
    After::Keep(Some(input))
}
