//! Servers that came after the plan of a stream.

use crate::plan::{ProxyPlan, ServerPlan};
use crate::process::Process;
use portcullis_backend::ServerState;
use std::cell::OnceCell;
use std::sync::Arc;

/// The servers that a stream was sent to and that its plan does not know: it waited while they were added. They live as
/// long as its plan does for it.
#[derive(Default)]
pub struct Late {
    first: OnceCell<Box<Link>>,
}

struct Link {
    server: Arc<ServerPlan>,
    next: OnceCell<Box<Link>>,
}

impl Late {
    /// Such a server, from the newest plan.
    #[cold]
    pub fn server(&self, process: &Process, back: &ProxyPlan, state: &ServerState) -> Option<&ServerPlan> {
        let mut place = &self.first;
        while let Some(link) = place.get() {
            if std::ptr::eq(&*link.server.state, state) {
                return Some(&link.server);
            }
            place = &link.next;
        }
        let newest = process.newest()?;
        let server = newest.proxies.get(back.index)?.seat(state.slot)?;
        let found = std::ptr::eq(&*server.state, state).then(|| server.clone())?;
        let link = place.get_or_init(|| Box::new(Link { server: found, next: OnceCell::new() }));
        Some(&link.server)
    }
}
