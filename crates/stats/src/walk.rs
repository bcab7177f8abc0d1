//! The walk over all lines of statistics, one at a time, so that whoever walks can stop anywhere and go on later.

use crate::filter::Filter;
use crate::lines::{self, Moment};
use portcullis_backend::ServerState;
use portcullis_config::Opts;
use portcullis_proxy::plan::{Plan, ProxyPlan};
use portcullis_telemetry::table::Line;
use std::sync::Arc;

/// What comes next.
pub enum Item {
    /// A proxy begins.
    Begin(Arc<ProxyPlan>),
    /// A line of it.
    Line(Box<Line>),
    /// It ends.
    End(Arc<ProxyPlan>),
}

/// Where in a proxy.
enum Place {
    Front,
    Listener(usize),
    Server(usize),
    Back,
    End,
}

/// Lines of each proxy: frontend, listeners, servers, backend.
pub struct Walk {
    plan: Arc<Plan>,
    filter: Filter,
    moment: Moment,
    next: usize,
    at: Option<(Arc<ProxyPlan>, Place)>,
    /// Numbers of the listeners of the proxy at hand.
    listeners: Vec<(usize, u32)>,
    servers: Vec<Arc<ServerState>>,
}

impl Walk {
    /// Over the lines that the filter lets through.
    #[must_use]
    pub fn new(plan: Arc<Plan>, filter: Filter, moment: Moment) -> Self {
        Self { plan, filter, moment, next: 0, at: None, listeners: Vec::new(), servers: Vec::new() }
    }

    /// What it goes by.
    #[must_use]
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    fn begin(&mut self) -> Option<Arc<ProxyPlan>> {
        loop {
            let p = self.plan.proxies.get(self.next)?.clone();
            self.next += 1;
            if !self.filter.proxy(&p) {
                continue;
            }
            self.listeners.clear();
            if lines::has_front(&p) && self.filter.kind(8) && p.has(Opts::SOCKET_STATS) {
                let mut sid = 0;
                for (i, l) in self.plan.listeners.iter().enumerate().filter(|(_, l)| l.frontend == p.index) {
                    sid = if l.bind.id == 0 { sid + 1 } else { l.bind.id };
                    if self.filter.id(sid) {
                        self.listeners.push((i, sid));
                    }
                }
            }
            self.servers.clear();
            if self.filter.kind(4) {
                self.servers = p.state.as_ref().map(|s| s.servers()).unwrap_or_default();
            }
            return Some(p);
        }
    }

    /// The line at this place, if there is one, and the next place.
    fn step(&self, p: &ProxyPlan, place: &Place) -> (Option<Line>, Place) {
        let m = self.moment;
        match *place {
            Place::Front => {
                let wanted = lines::has_front(p) && self.filter.kind(1);
                (wanted.then(|| lines::frontend(p, m)), Place::Listener(0))
            }
            Place::Listener(i) => match self.listeners.get(i) {
                Some((at, sid)) => {
                    let listener = self.plan.listeners.get(*at);
                    (listener.map(|l| lines::listener(p, l, *sid, m)), Place::Listener(i + 1))
                }
                None => (None, Place::Server(0)),
            },
            Place::Server(i) => match self.servers.get(i) {
                Some(s) => {
                    let plan = p.server_of(s).filter(|plan| self.filter.id(plan.id) && self.filter.server(s));
                    (plan.map(|plan| lines::server(p, s, plan, m)), Place::Server(i + 1))
                }
                None => (None, Place::Back),
            },
            Place::Back | Place::End => {
                let state = p.state.as_ref().filter(|_| self.filter.kind(2));
                (state.map(|state| lines::backend(p, state, m, self.filter.partial())), Place::End)
            }
        }
    }
}

impl Iterator for Walk {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        loop {
            let Some((p, place)) = self.at.take() else {
                let p = self.begin()?;
                self.at = Some((p.clone(), Place::Front));
                return Some(Item::Begin(p));
            };
            if let Place::End = place {
                return Some(Item::End(p));
            }
            let (line, place) = self.step(&p, &place);
            self.at = Some((p, place));
            if let Some(line) = line {
                return Some(Item::Line(Box::new(line)));
            }
        }
    }
}
