//! Answers that the proxy gives itself.

use super::exchange::Exchange;
use crate::session::Session;
use std::future::poll_fn;
use std::io::IoSlice;
use std::task::Poll;

/// A ready answer.
pub struct Canned<'a> {
    /// Head and body as they go out.
    pub bytes: &'a [u8],
    /// The client asked with HEAD.
    pub head_only: bool,
}

/// Sends a ready answer.
pub async fn send(x: &mut Exchange<'_>, session: &Session, reply: &Canned<'_>) {
    let end = match reply.head_only {
        true => reply.bytes.windows(4).position(|w| w == b"\r\n\r\n").map_or(reply.bytes.len(), |i| i + 4),
        false => reply.bytes.len(),
    };
    let bytes = &reply.bytes[..end];
    let task = &session.task;
    task.deadline(task.worker.clock.now().after(x.front.timeouts.client));
    let mut at = 0;
    poll_fn(|cx| {
        while at < bytes.len() {
            match session.conn.poll_send(cx, &[IoSlice::new(&bytes[at..])], false) {
                Poll::Ready(Ok(n)) => at += n,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending if task.poll_woken(cx).is_some() => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    })
    .await;
    x.facts.bytes_down += at as u64;
}

/// The built-in page of a status.
#[must_use]
pub fn page(status: u16) -> &'static [u8] {
    match status {
        400 => b"HTTP/1.1 400 Bad request\r\ncontent-length: 90\r\ncache-control: no-cache\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n<html><body><h1>400 Bad request</h1>\nYour browser sent an invalid request.\n</body></html>\n",
        408 => b"HTTP/1.1 408 Request Time-out\r\ncontent-length: 110\r\ncache-control: no-cache\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n<html><body><h1>408 Request Time-out</h1>\nYour browser didn't send a complete request in time.\n</body></html>\n",
        502 => b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 107\r\ncache-control: no-cache\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n<html><body><h1>502 Bad Gateway</h1>\nThe server returned an invalid or incomplete response.\n</body></html>\n",
        504 => b"HTTP/1.1 504 Gateway Time-out\r\ncontent-length: 92\r\ncache-control: no-cache\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n<html><body><h1>504 Gateway Time-out</h1>\nThe server didn't respond in time.\n</body></html>\n",
        _ => b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 107\r\ncache-control: no-cache\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>\n",
    }
}
