//! What the configuration names elsewhere, so that it cannot go away while the process runs.

use std::collections::HashSet;

/// Servers and backends that rules, expressions or other servers name.
#[derive(Clone, Debug, Default)]
pub struct Named {
    servers: HashSet<(String, String)>,
    backends: HashSet<String>,
}

impl Named {
    /// This server is named.
    pub fn server(&mut self, backend: &str, server: &str) {
        self.servers.insert((backend.to_owned(), server.to_owned()));
    }
    /// This backend is named.
    pub fn backend(&mut self, name: &str) {
        self.backends.insert(name.to_owned());
    }
    /// Is this server named?
    #[must_use]
    pub fn has_server(&self, backend: &str, server: &str) -> bool {
        !self.servers.is_empty() && self.servers.contains(&(backend.to_owned(), server.to_owned()))
    }
    /// Is this backend named?
    #[must_use]
    pub fn has_backend(&self, name: &str) -> bool {
        self.backends.contains(name)
    }
}
