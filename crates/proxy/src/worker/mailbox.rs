//! How other threads talk to a worker.

use super::Worker;
use super::slots::{Abort, SlotId};
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::mpsc;

/// What somebody wants done on a worker's thread.
pub type Job = Box<dyn FnOnce(&Rc<Worker>) + Send>;

/// A message to a worker.
pub enum Mail {
    /// A connection that another worker accepted for this one.
    Accepted(crate::accept::Packed),
    /// End this stream.
    Abort(SlotId, Abort),
    /// A new plan, and where the worker accepts for it: requests that begin from now on use it.
    Plan(Arc<crate::plan::Plan>, Vec<crate::accept::Listening>),
    /// Do this (listings, taking or closing idle connections, closing listeners).
    Run(Job),
    /// Leave: the process ends.
    Quit,
}

/// The worker's end.
pub type Mailbox = mpsc::UnboundedReceiver<Mail>;

/// Everybody else's end.
#[derive(Clone, Debug)]
pub struct Address(mpsc::UnboundedSender<Mail>);

impl Address {
    /// Sends; false when the worker is gone.
    pub fn send(&self, mail: Mail) -> bool {
        self.0.send(mail).is_ok()
    }
}

/// A new mailbox.
#[must_use]
pub fn mailbox() -> (Address, Mailbox) {
    let (tx, rx) = mpsc::unbounded_channel();
    (Address(tx), rx)
}
