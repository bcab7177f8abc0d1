//! Persistence and cookie captures of an exchange: what is done to its heads, and what the log shows of it.

use super::exchange::{Exchange, Stop};
use crate::persist::{Visit, Wish, request, response};
use crate::plan::ProxyPlan;
use crate::reply::Answer;
use crate::worker::Worker;
use portcullis_backend::ServerState;
use portcullis_config::Opts;
use portcullis_message::{Method, uri};
use portcullis_sample::Direction;
use std::sync::Arc;

/// Seconds since the epoch.
fn seconds(worker: &Worker) -> u32 {
    u32::try_from(worker.clock.wall().as_secs()).unwrap_or(u32::MAX)
}

impl<'p> Exchange<'p> {
    /// The request may go to this backend: what is told of cookies until more is known.
    pub fn expect_cookies(&mut self, back: &ProxyPlan) {
        let told = back.cookie.as_ref().is_some_and(|c| c.is_told());
        let letter = if told { b'N' } else { b'-' };
        self.facts.termination[2..].fill(letter);
    }

    /// Its backend is chosen: the rules about persistence say what they want.
    pub fn begin_visit(&mut self, back: &'p ProxyPlan, worker: &Worker) {
        self.expect_cookies(back);
        if back.cookie.is_none() {
            return;
        }
        let sets = back.rules.as_deref().filter(|s| !s.persist.is_empty());
        let wish = sets.and_then(|s| s.wish(&self.rule_cx(worker, Direction::Request, true).scope()));
        self.visit = Some(Box::new(Visit::new(wish)));
    }

    /// Looks at the request's cookies, once rules have done with it (or refused it). `chosen`: a rule has chosen the server.
    pub fn look_at_cookies(&mut self, worker: &Worker, chosen: bool) {
        if let Some(captures) = &self.front.captures {
            captures.request_cookie(&self.scratch.request, &mut self.facts);
        }
        let back = self.back.unwrap_or(self.front);
        let (Some(plan), Some(state)) = (&back.cookie, &back.state) else { return };
        let mut visit = self.visit.take().unwrap_or_else(|| Box::new(Visit::new(None)));
        visit.chosen = chosen;
        let down = self.goes_to_down(back, &visit);
        let find = |value: &[u8]| state.named_by_cookie(value, down);
        request::look(plan, &mut self.scratch.request, &mut visit, seconds(worker), find);
        if plan.is_told() {
            self.facts.termination[2] = visit.letter;
        }
        if let Some(server) = visit.server.as_deref().and_then(|s| back.server_of(s)) {
            self.facts.server_name = &server.name;
            self.facts.server_id = server.id;
        }
        self.visit = Some(visit);
    }

    fn goes_to_down(&self, back: &ProxyPlan, visit: &Visit) -> bool {
        back.has(Opts::PERSIST) || visit.wish == Some(Wish::Force)
    }

    /// The server of the cookie; whether it may be down, and whether no other will do.
    #[must_use]
    pub fn cookie_server(&self, back: &ProxyPlan) -> Option<(Arc<ServerState>, bool, bool)> {
        let visit = self.visit.as_deref()?;
        let server = visit.server.clone()?;
        Some((server, self.goes_to_down(back, visit), visit.wish == Some(Wish::Force)))
    }

    /// The request went to this server (or to none) in the end.
    pub fn arrived_at(&mut self, server: Option<&Arc<ServerState>>) {
        let Some(visit) = self.visit.as_deref_mut() else { return };
        let cookies = visit.server.as_ref();
        if cookies.is_some_and(|c| server.is_none_or(|s| !Arc::ptr_eq(c, s))) {
            visit.redispatched();
            if self.facts.termination[2] != b'-' {
                self.facts.termination[2] = visit.letter;
            }
        }
    }

    /// Sets, rewrites or removes the persistence cookie of the response.
    pub fn give_cookie(&mut self, back: &ProxyPlan, worker: &Worker) {
        let (Some(plan), Some(state)) = (&back.cookie, &back.state) else { return };
        let (Some(visit), Some(server)) = (&self.visit, &self.server) else { return };
        let value = state.cookie_of(server);
        let from = response::From {
            method: self.scratch.request.method(),
            value: value.as_deref(),
            direct: visit.chosen || visit.server.as_ref().is_some_and(|s| Arc::ptr_eq(s, server)),
            now: seconds(worker),
        };
        let letter = response::pass(plan, &mut self.scratch.response, visit, &from);
        if plan.is_told() {
            self.facts.termination[3] = letter;
        }
    }

    /// May the request be answered by a redirection to its server (`redir`)?
    #[must_use]
    pub fn may_redirect(&self) -> bool {
        matches!(self.method, Method::Get | Method::Head)
    }

    /// `redir`: the client shall go to the server by itself.
    #[must_use]
    pub fn redirected(&self, back: &ProxyPlan) -> Stop {
        let server = back.servers.iter().find(|s| s.id == self.facts.server_id);
        let prefix = server.and_then(|s| s.redir.as_deref()).unwrap_or_default();
        let mut answer = Answer::new(302);
        answer.head.push(b"cache-control", b"no-cache");
        answer.head.push(b"content-length", b"0");
        answer.head.push(b"location", &[prefix, uri::pathq(self.scratch.request.target())].concat());
        Stop::answer(*b"LC", answer)
    }
}
