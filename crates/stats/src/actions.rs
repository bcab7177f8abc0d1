//! What operators do to servers, on the statistics page and by the Runtime API.

use portcullis_backend::health::Which;
use portcullis_backend::{Admin, BackendState, Health, ServerState};
use portcullis_proxy::check::report;
use portcullis_proxy::process::Process;
use portcullis_proxy::worker::Worker;
use portcullis_proxy::worker::mailbox::Mail;
use portcullis_proxy::worker::slots::Abort;
use std::sync::Arc;

/// A server and the backend that it is in.
#[derive(Clone, Copy)]
pub struct On<'a> {
    /// The backend.
    pub backend: &'a Arc<BackendState>,
    /// The server.
    pub server: &'a Arc<ServerState>,
    /// Now, in milliseconds of the process' clock.
    pub now: u64,
}

impl On<'_> {
    /// Sets the administrative state.
    pub fn admin(&self, to: Admin, process: &Process) {
        report::post(process, self.backend.order_admin(self.server, to, self.now));
        if to == Admin::Maint {
            portcullis_proxy::upstream::close_idle(process, self.server);
        }
    }

    /// Sets the health, whatever checks said; false: it follows another server's.
    pub fn health(&self, to: Health, process: &Process) -> bool {
        let own = self.server.life.lock().tracked().is_none();
        if own {
            report::post(process, self.backend.order_health(self.server, to, self.now));
        }
        own
    }

    /// Sets what the agent says; false: there is none.
    pub fn agent(&self, up: bool, process: &Process) -> bool {
        let asked = self.server.life.lock().agent.enabled;
        if asked {
            report::post(process, self.backend.order_agent(self.server, up, self.now));
        }
        asked
    }

    /// Switches checks on or off; false: there are none.
    pub fn switch(&self, which: Which, on: bool) -> bool {
        let mut life = self.server.life.lock();
        let probe = life.probe_mut(which);
        probe.enabled = on && probe.configured;
        probe.configured
    }

    /// Ends all streams on the server.
    pub fn shutdown(&self, process: &Process) {
        let (backend, server) = (&self.backend.name, self.server.name.get());
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
        let on = stream.to().zip(stream.on(&worker.process));
        if on.is_some_and(|(b, s)| *b.name == *backend && *s.name == *server) {
            any |= worker.slots.abort(slot, Abort::Killed);
        }
    }
    if any {
        worker.wake_all();
    }
}
