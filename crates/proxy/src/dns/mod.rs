//! Names of servers looked up while the process runs (manual section 5.3).
//!
//! A `resolvers` section belongs to one worker. There, each name that somebody wants ([`resolution`]) has a task that asks
//! all name servers ([`ask`], [`stream`]) again and again; what comes of it goes to the servers with that name ([`follow`])
//! or to rules that wait (`do-resolve`). Sockets are made as those of connections to servers: no file is opened.

mod ask;
mod counters;
mod family;
mod follow;
mod plan;
mod resolution;
mod stream;

pub use counters::{Counters, NAMES as COUNTER_NAMES};
pub use plan::{NameserverPlan, ResolversPlan, compile};
pub use resolution::{Follower, Resolver, Resolvers};

use crate::plan::ServerPlan;
use crate::process::Process;
use crate::worker::Worker;
use crate::worker::mailbox::Mail;
use portcullis_backend::{BackendState, ServerState};
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Begins to look up the names of the worker's sections, as its newest plan says. Rules that wait for an answer of an older
/// one's sections wait for that of the section of the same name.
pub fn begin(worker: &Rc<Worker>) {
    let older = std::mem::take(&mut *worker.names.borrow_mut());
    let newer = Resolvers::begin(worker);
    newer.inherit(worker, &older);
    *worker.names.borrow_mut() = newer;
}

/// On the worker whose section it is.
fn on_owner(
    process: &Process,
    section: usize,
    job: impl FnOnce(&Rc<Worker>, &Rc<Resolver>) + Send + 'static,
) {
    let workers = process.workers();
    let Some(owner) = workers.get(section % workers.len().max(1)) else { return };
    owner.send(Mail::Run(Box::new(move |worker| {
        let resolver = worker.names.borrow().of(section);
        if let Some(resolver) = resolver {
            job(worker, &resolver);
        }
    })));
}

/// `set server … fqdn`: the server is looked up by its new name, which its state has by now.
pub fn renamed(process: &Process, plan: &ServerPlan, backend: &Arc<BackendState>, server: &Arc<ServerState>) {
    let Some(resolve) = &plan.resolve else { return };
    let follower = Follower::new(backend, server, resolve, plan.port());
    on_owner(process, resolve.section, move |worker, resolver| resolver.rename(worker, &follower));
}

/// A server's check has found nobody: its name is looked up now.
pub fn hurry(process: &Process, section: usize, server: &Arc<ServerState>) {
    let server = server.clone();
    on_owner(process, section, move |_, resolver| resolver.hurry(&server));
}

/// `do-resolve`: an address of this name, from what is known or from the name servers.
pub fn look_up(
    process: &Process,
    section: usize,
    name: String,
    prefer_v4: bool,
) -> oneshot::Receiver<Option<std::net::IpAddr>> {
    let (tell, answer) = oneshot::channel();
    on_owner(process, section, move |worker, resolver| resolver.look_up(worker, &name, prefer_v4, tell));
    answer
}

/// The texts of a name (TXT records), from the name servers; none: there is no good answer.
pub fn texts(process: &Process, section: usize, name: String) -> oneshot::Receiver<Option<Vec<Vec<u8>>>> {
    let (tell, answer) = oneshot::channel();
    on_owner(process, section, move |worker, resolver| resolver.texts(worker, name, tell));
    answer
}
