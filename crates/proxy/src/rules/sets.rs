//! The rule sets of a proxy, as they are kept in its `ext`; those of a named `defaults` section come first.

use super::action::{Action, Rule};
use super::jumps::Jumps;
use super::lang::{Condition, Scope, Verdict};
use super::route::Routes;
use crate::persist::Wish;
use portcullis_config::Place;
use std::sync::Arc;
use std::time::Duration;

/// Rules in the order in which they run. Shared: a `defaults` section's rules are part of every heir's.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// The rules.
    pub list: Vec<Arc<Rule>>,
    /// Lookups that runs of rules share.
    pub(super) jumps: Jumps,
}

impl Rules {
    /// None?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
    /// Adds a rule.
    pub fn push(&mut self, rule: Rule) {
        self.list.push(Arc::new(rule));
    }
    /// The last one.
    #[must_use]
    pub fn last(&self) -> Option<&Rule> {
        self.list.last().map(|r| &**r)
    }
    /// Finds what runs of rules share; everything has been read.
    pub fn compile(&mut self) {
        self.jumps = Jumps::of(self.list.iter().map(|r| r.condition.as_ref()));
    }
}

/// A condition with its place (`monitor fail`).
#[derive(Clone, Debug)]
pub struct Guard {
    /// The condition.
    pub condition: Arc<Condition>,
    /// Where it stands.
    pub place: Place,
}

/// All rule sets of a proxy.
#[derive(Clone, Debug, Default)]
pub struct RuleSets {
    /// `tcp-request connection`: when a connection was accepted, before anything is read from it.
    pub tcp_connection: Rules,
    /// `tcp-request session`: when its handshakes are done.
    pub tcp_session: Rules,
    /// `tcp-request content`: for each stream, when data has come.
    pub tcp_request: Rules,
    /// `tcp-response content`: when the server has sent data.
    pub tcp_response: Rules,
    /// `tcp-request inspect-delay`
    pub request_delay: Option<Duration>,
    /// `tcp-response inspect-delay`
    pub response_delay: Option<Duration>,
    /// `http-request`
    pub http_request: Rules,
    /// `http-response`
    pub http_response: Rules,
    /// `http-after-response`: every response, those of the proxy itself too.
    pub http_after_response: Rules,
    /// `redirect`: behind `http-request`.
    pub redirect: Rules,
    /// `stats http-request`: who may see the statistics page.
    pub stats_request: Rules,
    /// `use_backend`
    pub use_backend: Routes,
    /// `use-server`: indexes are those of servers.
    pub use_server: Routes,
    /// `force-be-switch`
    pub force_switch: Vec<Guard>,
    /// `force-persist` and `ignore-persist`, in order.
    pub persist: Vec<(Wish, Guard)>,
    /// `monitor fail`
    pub monitor_fail: Vec<Guard>,
    /// What answers some requests behind `http-request` (`stats uri`).
    pub intercept: Option<Arc<dyn crate::applet::Intercept>>,
    /// Rules look at requests before their backend is chosen, or once they are in it.
    on_request: bool,
    /// Rules look at responses.
    on_response: bool,
}

impl RuleSets {
    /// Compiles conditions; everything has been read.
    pub(super) fn compile(&mut self) {
        for set in [
            &mut self.tcp_connection,
            &mut self.tcp_session,
            &mut self.tcp_request,
            &mut self.tcp_response,
            &mut self.http_request,
            &mut self.http_response,
            &mut self.http_after_response,
            &mut self.redirect,
            &mut self.stats_request,
        ] {
            set.compile();
        }
        let some = |sets: [&Rules; 3]| sets.iter().any(|set| !set.is_empty());
        self.on_request = some([&self.tcp_request, &self.http_request, &self.redirect]);
        self.on_response = some([&self.tcp_response, &self.http_response, &self.http_after_response]);
        self.use_backend.compile();
        self.use_server.compile();
        self.monitor_fail
            .iter()
            .chain(&self.force_switch)
            .chain(self.persist.iter().map(|(_, g)| g))
            .for_each(|g| {
                g.condition.program();
            });
    }

    /// Does anything here look at requests before their backend is chosen, or once they are in it?
    #[must_use]
    pub fn on_request(&self) -> bool {
        self.on_request || self.intercept.is_some()
    }

    /// Does anything here look at responses?
    #[must_use]
    pub fn on_response(&self) -> bool {
        self.on_response
    }

    /// What the first of the `force-persist` and `ignore-persist` rules that applies says.
    #[must_use]
    pub fn wish(&self, scope: &Scope<'_>) -> Option<Wish> {
        let applies = |g: &Guard| g.condition.eval(scope) == Verdict::True;
        self.persist.iter().find(|(_, g)| applies(g)).map(|(wish, _)| *wish)
    }

    /// Profiles that `do-log` rules name.
    pub(crate) fn named_profiles(&self) -> impl Iterator<Item = (Place, &str)> {
        let sets = [
            &self.tcp_connection,
            &self.tcp_session,
            &self.tcp_request,
            &self.tcp_response,
            &self.http_request,
            &self.http_response,
            &self.http_after_response,
        ];
        sets.into_iter().flat_map(|s| &s.list).filter_map(|rule| match &rule.action {
            Action::DoLog(log) => Some((rule.place, log.profile.as_deref()?)),
            _ => None,
        })
    }

    /// Rules that a section may not share with those of the other side (manual section 4.2 "http-request").
    #[must_use]
    pub fn has_rules(&self) -> bool {
        [
            &self.tcp_connection,
            &self.tcp_session,
            &self.tcp_request,
            &self.tcp_response,
            &self.http_request,
            &self.http_response,
            &self.http_after_response,
        ]
        .iter()
        .any(|set| !set.is_empty())
    }
}
