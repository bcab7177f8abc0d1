//! What operators did to servers and backends while the process runs, and how that goes over into another configuration that is
//! followed in place: it stays as long as the files say the same of them.

use crate::plan::{Plan, ServerPlan};
use portcullis_config::{Mode, Model, Proxy, Server};

/// A server of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    backend: String,
    name: String,
    /// Hash of its line.
    said: u64,
}

impl Known {
    fn is(&self, backend: &str, server: &Server) -> bool {
        self.backend == backend && self.name == server.name && self.said == server.said
    }
}

/// What was done to servers of the configuration; none of it is in their lines.
#[derive(Clone, Debug, Default)]
pub struct Altered {
    removed: Vec<Known>,
    /// Those that have another name now.
    renamed: Vec<(Known, String)>,
}

impl Altered {
    /// The name of a server in its line.
    fn original(&self, backend: &str, server: &ServerPlan) -> Known {
        let found = self.renamed.iter().find(|(k, to)| k.backend == backend && **to == *server.name);
        found.map_or_else(
            || Known { backend: backend.to_owned(), name: server.name.to_string(), said: server.said },
            |(known, _)| known.clone(),
        )
    }

    /// `del server`
    pub fn removed(&mut self, backend: &str, server: &ServerPlan) {
        if server.line.is_some() {
            return;
        }
        let known = self.original(backend, server);
        self.renamed.retain(|(k, _)| *k != known);
        self.removed.push(known);
    }

    /// `set server <b>/<s> name`
    pub fn renamed(&mut self, backend: &str, server: &ServerPlan, to: &str) {
        if server.line.is_some() {
            return;
        }
        let known = self.original(backend, server);
        self.renamed.retain(|(k, _)| *k != known);
        self.renamed.push((known, to.to_owned()));
    }

    /// Does it again in a configuration that was read, and adds what was added; `before` and `plan` are what is in force.
    pub fn apply(&self, model: &mut Model, before: &Model, plan: &Plan) {
        for proxy in model.proxies.iter_mut().filter(|p| p.kind.back()) {
            let name = proxy.name.clone();
            proxy.servers.retain(|s| !self.removed.iter().any(|k| k.is(&name, s)));
            for server in &mut proxy.servers {
                if let Some((_, to)) = self.renamed.iter().find(|(k, _)| k.is(&name, server)) {
                    to.clone_into(&mut server.name);
                }
            }
        }
        add_backends(model, before, plan);
        add_servers(model, plan);
    }

    /// What of it goes over into a configuration as it was read: it says the same as before of these servers.
    #[must_use]
    pub fn kept(&self, model: &Model) -> Self {
        let says = |known: &&Known| {
            let mut backends = model.proxies.iter().filter(|p| p.kind.back() && p.name == known.backend);
            backends.any(|p| p.servers.iter().any(|s| known.is(&p.name, s)))
        };
        Self {
            removed: self.removed.iter().filter(says).cloned().collect(),
            renamed: self.renamed.iter().filter(|(known, _)| says(&known)).cloned().collect(),
        }
    }
}

/// `add backend`: those whose name nobody else has.
fn add_backends(model: &mut Model, before: &Model, plan: &Plan) {
    for section in plan.proxies.iter().filter_map(|p| p.section.as_deref()) {
        if model.proxies.iter().any(|p| p.name == section.name) {
            continue;
        }
        let mut section = Proxy { servers: Vec::new(), ..section.clone() };
        let origin = before.defaults.get(section.from).map(|d| d.name.as_str());
        let found = model.defaults.iter().position(|d| Some(d.name.as_str()) == origin);
        section.from = found.unwrap_or_default();
        if model.proxies.iter().any(|p| p.id == section.id) {
            section.id = model.proxies.iter().map(|p| p.id).max().unwrap_or(1).saturating_add(1);
        }
        model.proxies.push(section);
    }
}

/// `add server`: those whose name no other server of their backend has.
fn add_servers(model: &mut Model, plan: &Plan) {
    for backend in plan.proxies.iter().filter(|p| p.state.is_some()) {
        let mut sections = model.proxies.iter_mut();
        let found = sections.find(|p| p.name == *backend.name && p.kind.back());
        let Some(section) = found.filter(|p| p.mode != Mode::Log) else { continue };
        for line in backend.servers.iter().filter_map(|s| s.line.as_deref()) {
            if section.servers.iter().any(|s| s.name == line.name) {
                continue;
            }
            let mut line = line.clone();
            if section.servers.iter().any(|s| s.id == line.id) {
                let taken = |id: &u32| section.servers.iter().any(|s| s.id == *id);
                line.id = (1..=u32::MAX).find(|id| !taken(id)).unwrap_or(u32::MAX);
            }
            section.servers.push(line);
        }
    }
}
