//! Finds states again by name when a new Plan comes, so that a change of configuration loses nothing.

use crate::backend::{BackendState, Entry};
use crate::balance::Balancer;
use crate::indexes::Indexes;
use crate::server::{Admin, Naming, ServerConfig, ServerState, Whereabouts};
use parking_lot::Mutex;
use portcullis_config::{Opts, Proxy};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// The lowest `id` that is given: 1 is HAProxy's own.
const FIRST_ID: u32 = 2;

/// All backends' states of the process.
#[derive(Debug)]
pub struct States {
    workers: usize,
    backends: Mutex<HashMap<Arc<str>, Arc<BackendState>>>,
    indexes: Indexes,
    /// The `id` that was given last while the process runs.
    last_id: AtomicU32,
}

impl States {
    /// None yet; for this many workers.
    pub fn new(workers: usize) -> Self {
        let (indexes, last_id) = (Indexes::default(), AtomicU32::new(FIRST_ID));
        Self { workers, backends: Mutex::default(), indexes, last_id }
    }

    /// An `id` for one more backend: the first free one from the last on that was given.
    pub fn next_id(&self, taken: impl Fn(u32) -> bool) -> u32 {
        let id = (self.last_id.load(Relaxed)..).find(|id| !taken(*id)).unwrap_or(u32::MAX);
        self.last_id.store(id, Relaxed);
        id
    }

    /// The state of this backend (or `listen`) section, made or brought up to the section: servers are found again by
    /// name, new ones are added, gone ones get no more traffic. What was changed at run time and is not changed in the
    /// configuration stays. `fullconn` is the section's or what the Plan computed for it.
    pub fn backend(&self, proxy: &Proxy, fullconn: u32) -> Arc<BackendState> {
        let allbackups = proxy.opts.contains(Opts::ALLBACKUPS);
        let state = {
            let mut all = self.backends.lock();
            match all.get(proxy.name.as_str()) {
                Some(state) => state.clone(),
                None => {
                    let name: Arc<str> = proxy.name.as_str().into();
                    let balancer = Balancer::new(proxy.balance.clone(), allbackups);
                    let new = Arc::new(BackendState::new(name.clone(), self.workers, fullconn, balancer));
                    all.insert(name, new.clone());
                    new
                }
            }
        };
        state.queues.set_fullconn(fullconn);
        state.cookies.follow(proxy);
        if !state.published_once.swap(true, Relaxed) {
            state.unpublished.store(proxy.unpublished, Relaxed);
        }
        state.log_checks.store(proxy.opts.contains(Opts::LOG_HEALTH_CHECKS), Relaxed);
        self.follow(&state, proxy, allbackups);
        state.bake_cookies();
        state
    }

    fn follow(&self, state: &Arc<BackendState>, proxy: &Proxy, allbackups: bool) {
        let fixed = state.is_static();
        let mut entries = state.servers.write();
        let before = entries.len();
        let mut old: HashMap<Arc<str>, (usize, Entry)> =
            entries.drain(..).enumerate().map(|(at, e)| (e.state.name.get(), (at, e))).collect();
        let mut same = before == proxy.servers.len();
        for server in &proxy.servers {
            let config = ServerConfig::new(server);
            match old.remove(server.name.as_str()) {
                Some((at, mut entry)) => {
                    let was = &entry.config;
                    same &= (was.backup, was.id, &was.identity)
                        == (config.backup, config.id, &config.identity)
                        && (was.weight == config.weight || !fixed)
                        && at == entries.len();
                    update(&mut entry, config);
                    entries.push(entry);
                }
                None => {
                    same = false;
                    let state = self.new_server(state, &server.name, &config);
                    entries.push(Entry { state, config });
                }
            }
        }
        let members: Vec<Arc<ServerState>> = entries.iter().map(|e| e.state.clone()).collect();
        let gone: Vec<Arc<ServerState>> = old.into_values().map(|(_, e)| e.state).collect();
        same &= gone.is_empty();
        drop(entries);
        if same && state.balancer.lock().is(&proxy.balance, allbackups) {
            // the order goes on where it was
            members.iter().for_each(|m| {
                state.changed(m);
            });
        } else {
            let mut balancer = state.balancer.lock();
            let newly = balancer.set_members(&proxy.balance, &members, allbackups, &state.queues);
            drop(balancer);
            // only now, so that at no moment there is nobody
            gone.iter().for_each(|s| s.store_admin(Admin::Maint));
            newly.iter().for_each(|s| {
                state.queues.hand_over(s);
            });
            let unfit = members.iter().filter(|m| !m.persistable());
            gone.iter().chain(unfit).for_each(|s| {
                state.queues.redistribute(s);
            });
        }
        // limits may be higher now
        for member in &members {
            state.queues.freed(member);
        }
    }

    /// A new server's state, in a slot that nobody has any more.
    fn new_server(&self, backend: &BackendState, name: &str, config: &ServerConfig) -> Arc<ServerState> {
        let mut slots = backend.slots.lock();
        let free = slots.iter().position(|held| held.strong_count() == 0);
        let slot = free.unwrap_or(slots.len());
        let names = (backend.name.clone(), Arc::from(name));
        let index = self.indexes.take();
        let queues = backend.queues.clone();
        let state = Arc::new(ServerState::new(names, index, slot as u32, self.workers, config, queues));
        match slots.get_mut(slot) {
            Some(place) => *place = Arc::downgrade(&state),
            None => slots.push(Arc::downgrade(&state)),
        }
        state
    }

    /// One more server behind all others of a running backend (`add server`). It gets no traffic until
    /// [`BackendState::set_admin`] or a check says so; a Plan that knows it should be in force by then.
    pub fn add_server(
        &self,
        backend: &Arc<BackendState>,
        line: &portcullis_config::Server,
    ) -> Arc<ServerState> {
        let config = ServerConfig::new(line);
        let state = self.new_server(backend, &line.name, &config);
        state.revision.store(backend.deleted.load(Relaxed), Relaxed);
        {
            // its checks wait for an order, but not for the end of the maintenance
            let mut life = state.life.lock();
            life.check.paused = line.set.disabled;
            (life.check.enabled, life.agent.enabled) = (false, false);
        }
        backend.servers.write().push(Entry { state: state.clone(), config });
        backend.balancer.lock().insert(&state);
        backend.bake_cookies();
        backend.changed(&state);
        state
    }

    /// This server is gone (`del server`): whoever waits for it balances again, nobody finds it any more. Its slot is used
    /// again once nothing holds its state.
    pub fn remove_server(&self, backend: &Arc<BackendState>, server: &Arc<ServerState>) {
        server.store_admin(Admin::Maint);
        backend.balancer.lock().remove(server, &backend.queues);
        backend.servers.write().retain(|e| !Arc::ptr_eq(&e.state, server));
        backend.bake_cookies();
        backend.queues.redistribute(server);
        let leader = server.life.lock().tracked.take().and_then(|(_, (_, leader))| leader.upgrade());
        if let Some(leader) = leader {
            leader
                .life
                .lock()
                .trackers
                .retain(|(_, s)| s.upgrade().is_some_and(|s| !Arc::ptr_eq(&s, server)));
        }
    }

    /// Ties servers to those that they track, once all backends of a Plan are there. `track` is `[<backend>/]<server>`.
    pub fn link(&self, backend: &str, server: &str, track: &str) {
        let (of, name) = track.split_once('/').unwrap_or((backend, track));
        let pair = |backend: &str, server: &str| {
            let backend = self.find(backend)?;
            Some((backend.server(server)?, backend))
        };
        let (Some((follower, its)), Some((leader, their))) = (pair(backend, server), pair(of, name)) else {
            return;
        };
        follower.life.lock().tracked =
            Some((format!("{of}/{name}"), (Arc::downgrade(&their), Arc::downgrade(&leader))));
        leader.life.lock().trackers.push((Arc::downgrade(&its), Arc::downgrade(&follower)));
        follower.store_orders(follower.own_admin(), leader.admin());
        if leader.health() != follower.health() {
            its.set_health(&follower, leader.health());
        }
    }
    /// Nothing tracks anything any more, until [`States::link`] says so.
    pub fn unlink(&self) {
        for server in self.all().iter().flat_map(|b| b.servers()) {
            let mut life = server.life.lock();
            life.trackers.clear();
            life.tracked = None;
        }
    }

    /// The state of a backend by name.
    pub fn find(&self, name: &str) -> Option<Arc<BackendState>> {
        self.backends.lock().get(name).cloned()
    }
    /// All backends, in no order.
    pub fn all(&self) -> Vec<Arc<BackendState>> {
        self.backends.lock().values().cloned().collect()
    }
    /// Forgets backends that the newest Plan has no more; streams that still hold one end in peace.
    pub fn retain(&self, keep: impl Fn(&str) -> bool) {
        self.backends.lock().retain(|name, _| keep(name));
    }
    /// How many server indexes were given out: [`ServerState::index`] is below it.
    pub fn servers(&self) -> u32 {
        self.indexes.given()
    }
}

/// A server is where its line says again when that says something new, whatever an operator or the DNS said of the old one.
fn follow_address(state: &ServerState, old: &ServerConfig, new: &ServerConfig) {
    let renamed = old.fqdn != new.fqdn;
    let moved = new.fqdn.is_none() && old.identity != new.identity;
    let found = old.unresolved != new.unresolved && !matches!(state.whereabouts(), Whereabouts::At(_));
    if renamed || moved || found {
        *state.naming.lock() = Naming::new(new);
        state.store_whereabouts(if new.unresolved { Whereabouts::Nowhere } else { Whereabouts::Configured });
        state.store_unresolved(new.unresolved);
    }
}

/// Follows what the configuration changed; leaves alone what only the run time changed.
fn update(entry: &mut Entry, config: ServerConfig) {
    let (state, old) = (&entry.state, &entry.config);
    if config.weight != old.weight {
        state.store_weight(config.weight);
    }
    if config.limits() != old.limits() || config.maxqueue != old.maxqueue {
        let (max, min) = config.limits();
        state.store_limits(max, min, config.maxqueue);
    }
    if config.disabled != old.disabled {
        state.store_admin(if config.disabled { Admin::Maint } else { Admin::Ready });
    }
    follow_address(state, old, &config);
    state.store_backup(config.backup);
    state.store_slowstart(config.slowstart);
    state.store_identity(&config.identity);
    state.id.store(config.id, Relaxed);
    if config.checks != old.checks || config.late != old.late {
        state.set_checks(&config.checks);
    }
    entry.config = config;
}
