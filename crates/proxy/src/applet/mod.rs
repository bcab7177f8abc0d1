//! Endpoints inside the process that a stream cannot tell from a server: statistics, exporters, and what later
//! capabilities answer themselves.
//!
//! An [`Applet`] lives as long as one exchange. It takes the request's body in pieces, makes a response head, then its
//! body in pieces, each only when the client has taken the one before. [`crate::http::transfer::applet`] is its other
//! side. A [`Service`] is a row that `use-service` names; an [`Intercept`] takes some requests of a proxy by itself
//! (`stats uri`).

mod ends;
mod service;

pub use ends::{Body, Output};
pub use service::{Intercept, Service, find, install, services};

use crate::plan::Plan;
use crate::rules::RuleCx;
use crate::worker::Worker;
use portcullis_message::Head;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

/// How a response's body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// It has so many bytes; 0: there is none.
    Known(u64),
    /// It ends when the applet says so: in chunks, or with the connection for HTTP/1.0.
    Pieces,
    /// It ends with the connection.
    Close,
}

/// The applet cannot go on. Before the head the client is told 502; afterwards the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// What answers one request.
pub trait Applet {
    /// Takes the next bytes of the request's body and says how many. Pending: none now, `cx` is woken when there is room.
    fn poll_take(&mut self, _: &mut Context<'_>, bytes: &[u8]) -> Poll<usize> {
        Poll::Ready(bytes.len())
    }
    /// The request has come to its end; nothing more will be taken.
    fn request_ended(&mut self) {}
    /// The response's status and fields; a body's known length is among them, other ways to delimit it are not.
    ///
    /// # Errors
    /// [`Broken`].
    fn poll_head(&mut self, cx: &mut Context<'_>, head: &mut Head) -> Poll<Result<Length, Broken>>;
    /// More of the response's body, behind what `out` holds; best a few kilobytes at most. One that needs longer to make
    /// something may add nothing and is asked again in another turn. False: that was all of it.
    ///
    /// # Errors
    /// [`Broken`].
    fn poll_body(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<Result<bool, Broken>>;
}

/// What an applet is made from.
pub struct Ask<'a, 'b, 'p> {
    /// Where it runs.
    pub worker: &'a Rc<Worker>,
    /// The stream's plan.
    pub plan: &'a Arc<Plan>,
    /// The stream: its request, what is known of it, and error pages.
    pub cx: &'a RuleCx<'b, 'p>,
}

/// An applet that was chosen for a stream.
pub struct Chosen {
    /// What logs show in a server's place.
    pub name: &'static str,
    /// `http-response` rules see its response, as if it came from a server.
    pub ruled: bool,
    /// It is in the place of a server, and its stream ends as one with that (`portcullis explain`).
    pub stands_in: bool,
    /// The applet.
    pub applet: Box<dyn Applet>,
}
