//! What answers in place of servers.

use super::trace::{self, Sent};
use crate::applet::{Applet, Broken, Chosen, Length};
use portcullis_message::{Head, Version};
use std::task::{Context, Poll};

/// A server's response.
#[derive(Clone, Debug)]
pub struct Canned {
    /// Its status.
    pub status: u16,
    /// Its fields.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Default for Canned {
    fn default() -> Self {
        Self { status: 200, fields: Vec::new(), body: Vec::new() }
    }
}

/// The applet that answers, and takes down what it was sent.
pub(crate) fn server(request: &Head, backend: &str) -> Chosen {
    let sent = Sent::request(request);
    let told = trace::with(|t| {
        t.sent = Some(sent);
        t.backend = Some(backend.to_owned());
        (t.server.clone(), t.canned.clone())
    });
    let (name, canned) = told.unwrap_or_default();
    // rules see the server's name; explaining a request happens a few times in a process
    let name: &'static str = name.map_or("<NOSRV>", |n| n.leak());
    Chosen { name, ruled: true, stands_in: true, applet: Box::new(canned) }
}

impl Applet for Canned {
    fn poll_head(&mut self, _: &mut Context<'_>, head: &mut Head) -> Poll<Result<Length, Broken>> {
        let reason = crate::reply::codes::reason(self.status);
        head.set_response(Version::HTTP_11, self.status, reason.as_bytes());
        for (name, value) in &self.fields {
            head.push(&name.to_ascii_lowercase(), value);
        }
        let length = self.body.len() as u64;
        head.push(b"content-length", length.to_string().as_bytes());
        let answered = Sent::response(head);
        trace::with(|t| t.answered = Some(answered));
        Poll::Ready(Ok(Length::Known(length)))
    }
    fn poll_body(&mut self, _: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<Result<bool, Broken>> {
        out.append(&mut self.body);
        Poll::Ready(Ok(false))
    }
}
