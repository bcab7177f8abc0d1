//! What a request's query asks for.

use super::metric::{Metric, Scope};
use crate::form;
use std::collections::BTreeSet;

/// Scopes in the order of the exposition; what has no metrics here is known all the same.
const SCOPES: [(&str, &[Scope]); 7] = [
    ("global", &[Scope::Global]),
    ("frontend", &[Scope::Frontend]),
    ("listener", &[Scope::Listener]),
    ("backend", &[Scope::Backend]),
    ("server", &[Scope::Server]),
    ("sticktable", &[]),
    ("resolver", &[Scope::Resolver]),
];

/// What is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    scopes: Option<Vec<Scope>>,
    everything: bool,
    only: BTreeSet<String>,
    but: BTreeSet<String>,
    /// `no-maint`
    pub no_maint: bool,
    /// `extra-counters`
    pub extra: bool,
    /// `desc-labels`
    pub describe: bool,
}

/// A parameter that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bad;

impl Query {
    /// Of a request's target.
    ///
    /// # Errors
    /// A scope that there is not.
    pub fn parse(target: &[u8]) -> Result<Self, Bad> {
        let mut query = Self::default();
        let target = target.split(|b| *b == b'#').next().unwrap_or_default();
        let Some(at) = target.iter().position(|b| *b == b'?') else { return Ok(query) };
        for (name, value) in form::pairs(target.get(at + 1..).unwrap_or_default()) {
            let text = || value.as_deref().map(String::from_utf8_lossy);
            match &*name {
                b"scope" => query.scope(&text().ok_or(Bad)?)?,
                b"metrics" => query.metrics(&text().unwrap_or_default()),
                b"no-maint" => query.no_maint = true,
                b"extra-counters" => query.extra = true,
                b"desc-labels" => query.describe = true,
                _ => {}
            }
        }
        Ok(query)
    }

    fn scope(&mut self, name: &str) -> Result<(), Bad> {
        let wanted = self.scopes.get_or_insert_default();
        match name {
            "" => {}
            "*" => self.everything = true,
            name => {
                let found = SCOPES.iter().find(|s| s.0 == name).ok_or(Bad)?;
                wanted.extend(found.1);
            }
        }
        Ok(())
    }

    fn metrics(&mut self, list: &str) {
        for name in list.split(',').filter(|n| !n.is_empty()) {
            match name.strip_prefix('-') {
                Some(name) => self.but.insert(name.to_owned()),
                None => self.only.insert(name.to_owned()),
            };
        }
    }

    /// Is this metric wanted?
    #[must_use]
    pub fn wants(&self, metric: &Metric) -> bool {
        let scope = self.everything || self.scopes.as_ref().is_none_or(|s| s.contains(&metric.scope));
        let extra = self.extra || metric.module.is_none();
        if !scope || !extra || (self.only.is_empty() && self.but.is_empty()) {
            return scope && extra;
        }
        let name = metric.full_name();
        (self.only.is_empty() || self.only.contains(&name)) && !self.but.contains(&name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promex::METRICS;

    fn count(query: &str) -> Option<usize> {
        let query = Query::parse(format!("/metrics{query}").as_bytes()).ok()?;
        Some(METRICS.iter().filter(|m| query.wants(m)).count())
    }

    /// As 3.5 answers, but for what it has more of.
    #[test]
    fn scopes_and_names() {
        assert_eq!(count("?scope="), Some(0));
        assert_eq!(count("?scope=*"), count(""));
        assert_eq!(count("?scope=resolver&scope=sticktable"), Some(15));
        assert_eq!(count("?scope=server&scope=bad"), None);
        assert_eq!(count("?scope"), None);
        assert_eq!(count("?scope=GLOBAL"), None);
        assert_eq!(
            count("?metrics=haproxy_process_nbthread,haproxy_process_nbproc&metrics=haproxy_server_weight"),
            Some(3)
        );
        assert_eq!(count("?metrics=-haproxy_server_weight"), count("").map(|n| n - 1));
        assert_eq!(count("?metrics=haproxy_server_ssl_sess"), Some(0));
        assert_eq!(count("?metrics=haproxy_server_ssl_sess&extra-counters"), Some(1));
        assert!(count("?scope=frontend&sc%6fpe=server") > count("?scope=server"));
        assert_eq!(count("?scope=server#?scope=bad"), count("?scope=server"));
    }
}
