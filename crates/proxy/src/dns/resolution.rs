//! Names that are looked up on a worker, and who wants them.

use super::ask::{self, Answer, Failure};
use super::follow;
use super::plan::ResolversPlan;
use super::stream::Stream;
use crate::plan::Plan;
use crate::plan::server::ResolvePlan;
use crate::worker::Worker;
use portcullis_backend::{BackendState, ServerState, SpotPort};
use portcullis_config::ResolveOptions;
use portcullis_telemetry::ledger;
use portcullis_transport::Millis;
use portcullis_wire::dns::{Kind, fold};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

/// Most names of a section that rules look up; more have no address.
const MOST_NAMES: usize = 10_000;
/// Most rules that wait for one name.
const MOST_WAITING: usize = 10_000;
/// Names are not looked up more often than this.
const SHORTEST: Duration = Duration::from_millis(10);

/// What is wanted of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// Addresses, of IPv4 if there are such.
    V4First,
    /// Addresses, of IPv6 if there are such.
    V6First,
    /// SRV records.
    Services,
}

impl Wanted {
    pub(super) fn addresses(prefer_v4: bool) -> Self {
        if prefer_v4 { Self::V4First } else { Self::V6First }
    }
}

/// A name, in lower case, and what is wanted of it.
pub(super) type Key = (String, Wanted);

/// A server whose address comes from here.
pub struct Follower {
    pub(super) backend: Arc<BackendState>,
    pub(super) server: Arc<ServerState>,
    pub(super) options: Arc<ResolveOptions>,
    /// The port of its line.
    pub(super) port: SpotPort,
}

impl Follower {
    /// A server, what its line says about names, and the port there.
    #[must_use]
    pub fn new(
        backend: &Arc<BackendState>,
        server: &Arc<ServerState>,
        resolve: &ResolvePlan,
        port: SpotPort,
    ) -> Self {
        let options = Arc::new(resolve.options.clone());
        Self { backend: backend.clone(), server: server.clone(), options, port }
    }
}

impl Clone for Follower {
    fn clone(&self) -> Self {
        let (backend, server, options) = (self.backend.clone(), self.server.clone(), self.options.clone());
        Self { backend, server, options, port: self.port }
    }
}

/// An SRV record: where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Service {
    pub target: String,
    pub port: u16,
    pub weight: u16,
    /// The address that came with it.
    pub address: Option<IpAddr>,
}

/// A name that is looked up.
pub struct Resolution {
    pub(super) key: Key,
    pub(super) followers: RefCell<Vec<Follower>>,
    waiting: RefCell<Vec<oneshot::Sender<Option<IpAddr>>>>,
    /// Addresses, and when each was seen last.
    pub(super) known: RefCell<Vec<(IpAddr, Millis)>>,
    /// Services, and when each was seen last.
    pub(super) services: RefCell<Vec<(Service, Millis)>>,
    /// When the last good answer came, or when it began.
    pub(super) valid_at: Cell<Millis>,
    asking: Cell<bool>,
    news: Notify,
    task: RefCell<Option<AbortHandle>>,
}

/// The names of a `resolvers` section.
pub struct Resolver {
    pub(super) plan: Arc<ResolversPlan>,
    streams: Vec<Option<Rc<Stream>>>,
    table: RefCell<HashMap<Key, Rc<Resolution>>>,
}

/// The sections of a worker.
#[derive(Default)]
pub struct Resolvers(Vec<(usize, Rc<Resolver>)>);

impl Drop for Resolvers {
    fn drop(&mut self) {
        for (_, resolver) in &self.0 {
            for resolution in resolver.table.borrow_mut().drain().map(|(_, r)| r) {
                if let Some(task) = resolution.task.take() {
                    task.abort();
                }
            }
        }
    }
}

impl Resolvers {
    /// Those of the worker's newest plan; their servers' names are looked up from now on.
    pub(super) fn begin(worker: &Rc<Worker>) -> Self {
        let plan = worker.plan();
        let workers = worker.process.load.len().max(1);
        let own = |(at, _): &(usize, &Arc<ResolversPlan>)| at % workers == usize::from(worker.id);
        let all: Vec<_> = plan
            .resolvers
            .iter()
            .enumerate()
            .filter(own)
            .map(|(at, section)| (at, Rc::new(Resolver::new(section))))
            .collect();
        for (at, resolver) in &all {
            for follower in servers(&plan, *at) {
                resolver.follow(worker, follower);
            }
        }
        Self(all)
    }

    /// Asks for those who wait for an answer of older sections; sections that are on another worker now have none.
    pub(super) fn inherit(&self, worker: &Rc<Worker>, older: &Self) {
        for (_, old) in &older.0 {
            let Some((_, new)) = self.0.iter().find(|(_, r)| r.plan.name == old.plan.name) else { continue };
            for resolution in old.table.borrow().values() {
                let (name, wanted) = &resolution.key;
                for tell in resolution.waiting.borrow_mut().drain(..) {
                    new.look_up(worker, name, *wanted == Wanted::V4First, tell);
                }
            }
        }
    }

    /// That of this section, if it is here.
    pub(super) fn of(&self, section: usize) -> Option<Rc<Resolver>> {
        self.0.iter().find(|(at, _)| *at == section).map(|(_, r)| r.clone())
    }
}

/// The servers that name this section.
fn servers(plan: &Plan, section: usize) -> Vec<Follower> {
    let mut all = Vec::new();
    for proxy in plan.proxies.iter().filter(|p| !p.disabled) {
        let Some(backend) = &proxy.state else { continue };
        for server in &proxy.servers {
            let Some(resolve) = server.resolve.as_ref().filter(|r| r.section == section) else { continue };
            all.push(Follower::new(backend, &server.state, resolve, server.port()));
        }
    }
    all
}

impl Resolver {
    fn new(plan: &Arc<ResolversPlan>) -> Self {
        Self { plan: plan.clone(), streams: Stream::all(plan), table: RefCell::default() }
    }

    /// A server begins to follow its name: that of its SRV records, and that of its host if it is known.
    fn follow(self: &Rc<Self>, worker: &Rc<Worker>, follower: Follower) {
        let (service, host) = {
            let naming = follower.server.naming.lock();
            (naming.srv_record.clone(), naming.fqdn.clone())
        };
        if let Some(service) = service {
            self.add(worker, (fold(&service), Wanted::Services), follower.clone());
        }
        if let Some(host) = host {
            self.follow_host(worker, &host, follower);
        }
    }

    /// A server follows this host.
    pub(super) fn follow_host(self: &Rc<Self>, worker: &Rc<Worker>, host: &str, follower: Follower) {
        let key = (fold(host), Wanted::addresses(follower.options.prefer_v4));
        self.add(worker, key, follower);
    }

    fn add(self: &Rc<Self>, worker: &Rc<Worker>, key: Key, follower: Follower) {
        let resolution = self.resolution(worker, key);
        let mut followers = resolution.followers.borrow_mut();
        if followers.iter().any(|f| Arc::ptr_eq(&f.server, &follower.server)) {
            return;
        }
        followers.push(follower);
        drop(followers);
        if !resolution.asking.get() {
            resolution.news.notify_one();
        }
    }

    /// A server does not follow its host any more.
    pub(super) fn unfollow_host(&self, server: &ServerState) {
        for resolution in self.table.borrow().values().filter(|r| r.key.1 != Wanted::Services) {
            resolution.followers.borrow_mut().retain(|f| !std::ptr::eq(&*f.server, server));
            if !resolution.asking.get() {
                resolution.news.notify_one();
            }
        }
    }

    /// `set server … fqdn`
    pub(super) fn rename(self: &Rc<Self>, worker: &Rc<Worker>, follower: &Follower) {
        self.unfollow_host(&follower.server);
        let host = follower.server.naming.lock().fqdn.clone();
        if let Some(host) = host {
            self.follow_host(worker, &host, follower.clone());
        }
    }

    /// The names that this server follows are looked up now.
    pub(super) fn hurry(&self, server: &ServerState) {
        for resolution in self.table.borrow().values() {
            let mine = resolution.followers.borrow().iter().any(|f| std::ptr::eq(&*f.server, server));
            if mine && !resolution.asking.get() {
                resolution.news.notify_one();
            }
        }
    }

    /// `do-resolve`
    pub(super) fn look_up(
        self: &Rc<Self>,
        worker: &Rc<Worker>,
        name: &str,
        prefer_v4: bool,
        tell: oneshot::Sender<Option<IpAddr>>,
    ) {
        let key = (fold(name), Wanted::addresses(prefer_v4));
        let full = self.table.borrow().len() >= MOST_NAMES && !self.table.borrow().contains_key(&key);
        if full || !portcullis_config::rows::discovery::is_name(&key.0) {
            // nobody may wait any more
            let _ = tell.send(None);
            return;
        }
        let resolution = self.resolution(worker, key);
        let held = self.plan.hold.valid.as_millis() as u64;
        let fresh = worker.clock.now().since(resolution.valid_at.get()) <= held;
        if let Some(ip) = resolution.first().filter(|_| fresh) {
            let _ = tell.send(Some(ip));
            return;
        }
        let mut waiting = resolution.waiting.borrow_mut();
        if waiting.len() < MOST_WAITING {
            waiting.push(tell);
        }
        if !resolution.asking.get() {
            resolution.news.notify_one();
        }
    }

    /// Asks for the texts of a name, which nobody follows.
    pub(super) fn texts(
        self: &Rc<Self>,
        worker: &Rc<Worker>,
        name: String,
        tell: oneshot::Sender<Option<Vec<Vec<u8>>>>,
    ) {
        let (resolver, name) = (self.clone(), fold(&name));
        crate::worker::spawn(worker, ledger::Kind::Names, None, async move {
            let answer = ask::ask(&resolver.plan, &resolver.streams, &name, &[Kind::Txt]).await;
            // who wanted to know may be gone
            let _ = tell.send(answer.ok().and_then(|a| a.records).map(|m| m.texts(&name)));
        });
    }

    /// The resolution of a name, which begins if there is none.
    fn resolution(self: &Rc<Self>, worker: &Rc<Worker>, key: Key) -> Rc<Resolution> {
        if let Some(found) = self.table.borrow().get(&key) {
            return found.clone();
        }
        let new = Rc::new(Resolution {
            key: key.clone(),
            followers: RefCell::default(),
            waiting: RefCell::default(),
            known: RefCell::default(),
            services: RefCell::default(),
            valid_at: Cell::new(worker.clock.now()),
            asking: Cell::new(false),
            news: Notify::new(),
            task: RefCell::default(),
        });
        self.table.borrow_mut().insert(key, new.clone());
        let task = crate::worker::spawn(
            worker,
            ledger::Kind::Names,
            None,
            live(worker.clone(), self.clone(), new.clone()),
        );
        *new.task.borrow_mut() = Some(task.abort_handle());
        new
    }

    /// The kinds of records to ask for, in order.
    fn kinds(&self, wanted: Wanted, now: Millis) -> Vec<Kind> {
        let (v4, v6) = self.plan.families.accepted(now);
        let (a, aaaa) = (v4.then_some(Kind::A), v6.then_some(Kind::Aaaa));
        match wanted {
            Wanted::Services => vec![Kind::Srv],
            Wanted::V4First => a.into_iter().chain(aaaa).collect(),
            Wanted::V6First => aaaa.into_iter().chain(a).collect(),
        }
    }

    /// Is an address of this family wanted? Lower is better.
    pub(super) fn takes(&self, now: Millis, options: &ResolveOptions, ip: IpAddr) -> Option<u8> {
        let (v4, v6) = self.plan.families.accepted(now);
        let accepted = if ip.is_ipv4() { v4 } else { v6 };
        accepted.then(|| portcullis_backend::discovery::rank(options, ip))
    }
}

impl Resolution {
    /// The address that rules get.
    fn first(&self) -> Option<IpAddr> {
        self.known.borrow().first().map(|(ip, _)| *ip)
    }

    /// Tells the rules that wait.
    fn tell(&self, ip: Option<IpAddr>) {
        for tell in self.waiting.borrow_mut().drain(..) {
            // it may be gone
            let _ = tell.send(ip);
        }
    }

    fn is_wanted(&self) -> bool {
        !self.followers.borrow().is_empty() || !self.waiting.borrow().is_empty()
    }
}

/// A name's life: asked for again and again as long as servers follow it; rules alone have it asked for when they want it.
async fn live(worker: Rc<Worker>, resolver: Rc<Resolver>, resolution: Rc<Resolution>) {
    let plan = resolver.plan.clone();
    loop {
        let began = Instant::now();
        if resolution.is_wanted() {
            resolution.asking.set(true);
            let kinds = resolver.kinds(resolution.key.1, worker.clock.now());
            let answer = ask::ask(&plan, &resolver.streams, &resolution.key.0, &kinds).await;
            resolution.asking.set(false);
            let found = remember(&plan, &resolution, &answer, worker.clock.now());
            follow::settle(&worker, &resolver, &resolution, &answer);
            resolution.tell(found.then(|| resolution.first()).flatten());
        }
        let followed = !resolution.followers.borrow().is_empty();
        let until = match followed {
            true => began + plan.resolve.max(SHORTEST),
            false => {
                let age = worker.clock.now().since(resolution.valid_at.get());
                Instant::now() + plan.hold.valid.saturating_sub(Duration::from_millis(age))
            }
        };
        tokio::select! {
            biased;
            () = resolution.news.notified() => {}
            () = sleep_until(until) => {
                if !followed && !resolution.is_wanted() {
                    break;
                }
            }
        }
    }
    resolver.table.borrow_mut().remove(&resolution.key);
}

/// Keeps the addresses of an answer, and those of earlier ones as long as `hold obsolete` says; was it a good one?
fn remember(
    plan: &ResolversPlan,
    resolution: &Resolution,
    answer: &Result<Answer, Failure>,
    now: Millis,
) -> bool {
    let Ok(answer) = answer else { return false };
    resolution.valid_at.set(now);
    let obsolete = plan.hold.obsolete.as_millis() as u64;
    let mut known = resolution.known.borrow_mut();
    known.retain(|(ip, seen)| !answer.addresses.contains(ip) && now.since(*seen) < obsolete);
    let new = answer.addresses.iter().map(|ip| (*ip, now));
    let old = std::mem::take(&mut *known);
    *known = new.chain(old).collect();
    known.dedup_by_key(|(ip, _)| *ip);
    true
}
