//! Finds states again by name when a new Plan comes, so that a change of configuration loses nothing.

use crate::backend::{BackendState, Entry};
use crate::balance::Balancer;
use crate::server::{Admin, ServerConfig, ServerState};
use parking_lot::Mutex;
use portcullis_config::{Opts, Proxy};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// All backends' states of the process.
#[derive(Debug)]
pub struct States {
    workers: usize,
    backends: Mutex<HashMap<Arc<str>, Arc<BackendState>>>,
    next_index: AtomicU32,
}

impl States {
    /// None yet; for this many workers.
    pub fn new(workers: usize) -> Self {
        Self { workers, backends: Mutex::default(), next_index: AtomicU32::new(0) }
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
        let mut members = Vec::with_capacity(proxy.servers.len());
        let mut by_name: HashMap<Arc<str>, usize> = entries
            .iter()
            .enumerate()
            .filter(|(_, e)| !e.removed)
            .map(|(at, e)| (e.state.name.clone(), at))
            .collect();
        let mut same = entries.iter().filter(|e| !e.removed).count() == proxy.servers.len();
        for server in &proxy.servers {
            let config = ServerConfig::new(server);
            match by_name.remove(server.name.as_str()).and_then(|at| entries.get_mut(at)) {
                Some(entry) => {
                    let old = &entry.config;
                    same &= (old.backup, old.id, &old.identity)
                        == (config.backup, config.id, &config.identity)
                        && (old.weight == config.weight || !fixed);
                    update(entry, config);
                    members.push(entry.state.clone());
                }
                None => {
                    same = false;
                    members.push(self.add(state, &mut entries, &server.name, config));
                }
            }
        }
        let mut gone = Vec::new();
        for at in by_name.into_values() {
            if let Some(entry) = entries.get_mut(at) {
                entry.removed = true;
                entry.state.store_admin(Admin::Maint);
                gone.push(entry.state.clone());
                same = false;
            }
        }
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

    fn add(
        &self,
        backend: &BackendState,
        entries: &mut Vec<Entry>,
        name: &str,
        config: ServerConfig,
    ) -> Arc<ServerState> {
        // a slot whose server is gone and forgotten is used again
        let free = entries.iter().position(|e| e.removed && Arc::strong_count(&e.state) == 1);
        let slot = free.unwrap_or(entries.len());
        let index = match free.and_then(|at| entries.get(at)) {
            Some(entry) => entry.state.index,
            None => self.next_index.fetch_add(1, Relaxed),
        };
        let names = (backend.name.clone(), Arc::from(name));
        let state = Arc::new(ServerState::new(
            names,
            index,
            slot as u32,
            self.workers,
            &config,
            backend.queues.clone(),
        ));
        let entry = Entry { state: state.clone(), config, removed: false };
        match free.and_then(|at| entries.get_mut(at)) {
            Some(old) => *old = entry,
            None => entries.push(entry),
        }
        state
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
        self.next_index.load(Relaxed)
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
    state.store_backup(config.backup);
    state.store_slowstart(config.slowstart);
    state.store_identity(&config.identity);
    state.id.store(config.id, Relaxed);
    if config.checks != old.checks {
        state.set_checks(&config.checks);
    }
    entry.config = config;
}
