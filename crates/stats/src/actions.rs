//! What operators do to servers, on the statistics page and by the Runtime API.

use portcullis_backend::{Admin, BackendState, Health, ServerState};
use portcullis_proxy::process::Process;
use portcullis_proxy::worker::Worker;
use portcullis_proxy::worker::mailbox::Mail;
use portcullis_proxy::worker::slots::Abort;
use std::sync::Arc;

/// A server and the backend that it is in.
#[derive(Clone, Copy)]
pub struct On<'a> {
    /// The backend.
    pub backend: &'a BackendState,
    /// The server.
    pub server: &'a Arc<ServerState>,
    /// Now, in milliseconds of the process' clock.
    pub now: u64,
}

impl On<'_> {
    /// Sets the administrative state.
    pub fn admin(&self, to: Admin) {
        let before = self.server.admin();
        if before == to {
            return;
        }
        self.backend.set_admin(self.server, to);
        if before == Admin::Maint || to == Admin::Maint {
            self.server.touch(self.now);
        }
        self.backend.touch(self.now);
    }

    /// Sets the health, whatever checks said.
    pub fn health(&self, to: Health) {
        if self.server.health() == to {
            return;
        }
        self.backend.set_health(self.server, to);
        self.server.touch(self.now);
        self.backend.touch(self.now);
    }

    /// Ends all streams on the server.
    pub fn shutdown(&self, process: &Process) {
        let (backend, server) = (&self.backend.name, &self.server.name);
        process.tell_all(|| {
            let (backend, server) = (backend.clone(), server.clone());
            Mail::Run(Box::new(move |worker| shutdown_here(worker, &backend, &server)))
        });
    }
}

fn shutdown_here(worker: &Worker, backend: &str, server: &str) {
    let mut any = false;
    for (slot, _, info) in worker.slots.list() {
        let Some(stream) = info.stream else { continue };
        let back = stream.backend.and_then(|b| stream.plan.proxies.get(b as usize));
        let on = back.zip(stream.server).and_then(|(b, s)| Some((b, b.servers.get(s as usize)?)));
        if on.is_some_and(|(b, s)| *b.name == *backend && *s.name == *server) {
            any |= worker.slots.abort(slot, Abort::Killed);
        }
    }
    if any {
        worker.wake_all();
    }
}
