//! Samples of some metrics for all objects of their scope, and how they are written.

use super::metric::{Metric, Number, Of, Scope, check_state, sample, server_state};
use super::query::Query;
use super::{PIECE, escape, title};
use crate::lines::Moment;
use crate::walk::{Item, Walk};
use crate::{Filter, Vitals};
use portcullis_backend::BackendState;
use portcullis_config::Mode;
use portcullis_proxy::plan::{Plan, ProxyPlan};
use portcullis_telemetry::histogram::{BOUNDS, Histogram, Spread};
use portcullis_telemetry::stats::Times;
use portcullis_telemetry::table::{Col, Kind, Line, Value};
use std::fmt::Write;
use std::sync::Arc;

/// Samples that are held at the same time.
const SAMPLES: usize = 32 * 1024;
/// Lines that are made at a stretch.
const LINES: usize = 64;

/// What a metric has for an object.
enum Cell {
    /// Nothing: the metric does not concern it.
    Absent,
    One(Number),
    /// One for each code, or for each state.
    Many(Box<[Number]>),
    /// The state that it is in.
    State(Option<usize>),
    /// How times are spread.
    Spread(Box<Spread>),
}

struct Object {
    labels: Box<str>,
    /// Where among the labels that of a module belongs.
    module_at: usize,
    cells: Vec<Cell>,
}

/// Some metrics of one scope.
pub struct Block {
    metrics: Vec<&'static Metric>,
    walk: Option<Walk>,
    proxy: Proxy,
    objects: Vec<Object>,
    /// Which metric, which of its codes, which object is written next.
    at: (usize, usize, usize),
    titled: bool,
}

/// What is the same for all objects of a proxy.
struct Proxy {
    plan: Arc<Plan>,
    model: Describe,
    labels: String,
    /// Its backend.
    state: Option<Arc<BackendState>>,
    /// Length of the first one.
    named: usize,
    http: bool,
    /// Its servers by state, and by the result of their last check.
    servers: [u64; 5],
    checks: [u64; 16],
}

/// Where descriptions of proxies are found, if they are wanted.
type Describe = Option<Arc<portcullis_config::Model>>;

impl Proxy {
    fn begin(&mut self, p: &ProxyPlan) {
        self.labels = format!("proxy=\"{}\"", escape(&p.name));
        self.named = self.labels.len();
        if let Some(model) = &self.model
            && let Some(text) = p.section(model).and_then(|p| p.description.as_deref())
        {
            let _ = write!(self.labels, ",desc=\"{}\"", escape(text));
        }
        self.http = p.mode == Mode::Http;
        self.state.clone_from(&p.state);
        (self.servers, self.checks) = ([0; 5], [0; 16]);
    }

    fn count(&mut self, server: &Line) {
        if let Some(Value::Text(status)) = server.get(Col::Status)
            && let Some(n) = self.servers.get_mut(server_state(status))
        {
            *n += 1;
        }
        if let Some(Value::Text(status)) = server.get(Col::CheckStatus)
            && let Some(n) = check_state(status).and_then(|at| self.checks.get_mut(at))
        {
            *n += 1;
        }
    }

    fn cell(&self, metric: &Metric, line: &Line) -> Cell {
        if metric.http && !self.http {
            return Cell::Absent;
        }
        if !metric.codes.is_empty() {
            return Cell::Many(metric.codes.iter().map(|(_, col)| sample(line, Of::Col(*col))).collect());
        }
        let text = |col| match line.get(col) {
            Some(Value::Text(text)) => &**text,
            _ => "",
        };
        let many = |all: &[u64]| Cell::Many(all.iter().map(|n| Number::Big(*n)).collect());
        // a check that runs for the first time has no duration yet; a result without a code counts as 0
        let checked = |status| line.get(status).is_some();
        let coded = |status, code| match (checked(status), line.get(code).is_some()) {
            (false, _) => Cell::Absent,
            (true, false) => Cell::One(Number::Big(0)),
            (true, true) => Cell::One(sample(line, Of::Col(code))),
        };
        match metric.of {
            Of::Check(status) if checked(status) => Cell::State(check_state(text(status))),
            Of::Check(_) => Cell::Absent,
            Of::Col(code @ Col::CheckCode) => coded(Col::CheckStatus, code),
            Of::Col(code @ Col::AgentCode) => coded(Col::AgentStatus, code),
            Of::Seconds(time @ (Col::CheckDuration | Col::AgentDuration)) if line.get(time).is_none() => {
                Cell::Absent
            }
            Of::Up => {
                let status = text(Col::Status);
                let up = if line.kind == Kind::Backend { status.starts_with("UP") } else { status != "STOP" };
                Cell::State(Some(up.into()))
            }
            Of::Listener => Cell::State(metric.states().iter().position(|s| *s == text(Col::Status))),
            Of::Server => Cell::State(Some(server_state(text(Col::Status)))),
            Of::Servers | Of::Checks if self.servers.iter().all(|n| *n == 0) => Cell::Absent,
            Of::Servers => many(&self.servers),
            Of::Checks => many(&self.checks),
            Of::Spread(of) => self.spread(of, line),
            of => Cell::One(sample(line, of)),
        }
    }

    /// How a backend's or server's times are spread; one that has seen nothing has no samples.
    fn spread(&self, of: fn(&Times) -> &Histogram, line: &Line) -> Cell {
        let Some(state) = &self.state else { return Cell::Absent };
        let mut spread = Spread::default();
        match (line.kind, line.get(Col::Svname)) {
            (Kind::Server, Some(Value::Text(name))) => {
                let server = state.server(name);
                server.iter().flat_map(|s| s.counters.iter()).for_each(|c| of(&c.times).add_to(&mut spread));
            }
            _ => state.counters.iter().for_each(|c| of(&c.times).add_to(&mut spread)),
        }
        match spread.count() {
            0 => Cell::Absent,
            _ => Cell::Spread(Box::new(spread)),
        }
    }
}

impl Block {
    /// Of as many of these metrics as there may be samples of; at least one.
    pub fn new(
        mut metrics: Vec<&'static Metric>,
        plan: &Arc<Plan>,
        vitals: &Vitals,
        query: &Query,
        now: u64,
    ) -> Self {
        let scope = metrics.first().map_or(Scope::Global, |m| m.scope);
        let objects = match scope {
            Scope::Server => plan.proxies.iter().map(|p| p.servers.len()).sum(),
            Scope::Listener => plan.listeners.len(),
            _ => plan.proxies.len(),
        };
        metrics.truncate((SAMPLES / objects.max(1)).max(1));
        let mut filter = Filter { kinds: scope.kind(), ..Filter::default() };
        if metrics.iter().any(|m| matches!(m.of, Of::Servers | Of::Checks)) {
            filter.kinds |= Scope::Server.kind();
        }
        filter.no_maint = scope == Scope::Server && query.no_maint;
        let moment = Moment { now, maxconn: vitals.process.counts.conns.limit(), legends: false };
        let proxy = Proxy {
            plan: plan.clone(),
            model: query.describe.then(|| vitals.model()),
            labels: String::new(),
            state: None,
            named: 0,
            http: false,
            servers: [0; 5],
            checks: [0; 16],
        };
        let walk = Some(Walk::new(proxy.plan.clone(), filter, moment));
        Self { metrics, walk, proxy, objects: Vec::new(), at: (0, 0, 0), titled: false }
    }

    /// How many metrics.
    pub fn len(&self) -> usize {
        self.metrics.len()
    }

    /// Gathers or writes some more; false: that was all.
    pub fn go_on(&mut self, out: &mut Vec<u8>) -> bool {
        if self.walk.is_some() {
            self.gather();
            return true;
        }
        self.write(out)
    }

    fn gather(&mut self) {
        let Some(walk) = &mut self.walk else { return };
        let wanted = match self.metrics.first().map(|m| m.scope) {
            Some(Scope::Frontend) => Kind::Frontend,
            Some(Scope::Listener) => Kind::Listener,
            Some(Scope::Server) => Kind::Server,
            _ => Kind::Backend,
        };
        for _ in 0..LINES {
            let line = match walk.next() {
                None => {
                    self.walk = None;
                    return;
                }
                Some(Item::Begin(p)) => {
                    self.proxy.begin(&p);
                    continue;
                }
                Some(Item::End(_)) => continue,
                Some(Item::Line(line)) => line,
            };
            if line.kind == Kind::Server && wanted == Kind::Backend {
                self.proxy.count(&line);
            }
            if line.kind != wanted {
                continue;
            }
            let name = match line.get(Col::Svname) {
                Some(Value::Text(name)) => escape(name),
                _ => String::new(),
            };
            let labels = match wanted {
                Kind::Listener => format!("{},listener=\"{name}\"", self.proxy.labels),
                Kind::Server => format!("{},server=\"{name}\"", self.proxy.labels),
                _ => self.proxy.labels.clone(),
            };
            let cells = self.metrics.iter().map(|m| self.proxy.cell(m, &line)).collect();
            let side = matches!(wanted, Kind::Frontend | Kind::Backend);
            let module_at = if side { self.proxy.named } else { labels.len() };
            self.objects.push(Object { labels: labels.into(), module_at, cells });
        }
    }

    fn write(&mut self, out: &mut Vec<u8>) -> bool {
        let mut text = String::with_capacity(PIECE + 1024);
        loop {
            let (m, code, o) = self.at;
            let Some(metric) = self.metrics.get(m) else { break };
            if code >= metric.codes.len().max(1) {
                (self.at, self.titled) = ((m + 1, 0, 0), false);
                continue;
            }
            let Some(object) = self.objects.get(o) else {
                self.at = (m, code + 1, 0);
                continue;
            };
            self.at.2 += 1;
            let Some(cell) = object.cells.get(m).filter(|c| !matches!(c, Cell::Absent)) else { continue };
            if !std::mem::replace(&mut self.titled, true) {
                let nan = matches!(cell, Cell::One(Number::Nan));
                title(metric, if nan { "gauge" } else { metric.kind }, &mut text);
            }
            samples(metric, code, object, cell, &mut text);
            if text.len() >= PIECE {
                break;
            }
        }
        out.extend_from_slice(text.as_bytes());
        self.at.0 < self.metrics.len()
    }
}

/// Buckets, each with those below it, the sum in seconds, and how many there are.
fn spread_samples(metric: &Metric, object: &Object, spread: &Spread, out: &mut String) {
    let (name, labels) = (metric.full_name(), &object.labels);
    let mut below = 0u64;
    for (at, n) in spread.buckets.iter().enumerate() {
        below = below.wrapping_add(*n);
        let bound = BOUNDS.get(at).map_or_else(|| "+Inf".to_owned(), |ms| (*ms as f64 / 1000.0).to_string());
        let _ = writeln!(out, "{name}_bucket{{{labels},le=\"{bound}\"}} {below}");
    }
    let _ = writeln!(out, "{name}_sum{{{labels}}} {:.3}", spread.sum as f64 / 1000.0);
    let _ = writeln!(out, "{name}_count{{{labels}}} {below}");
}

/// The samples of an object; of several codes the one at hand.
fn samples(metric: &Metric, code: usize, object: &Object, cell: &Cell, out: &mut String) {
    let prefix = metric.scope.prefix();
    let mut one = |label: Option<(&str, &str)>, number: Number| {
        let (first, rest) = object.labels.split_at(object.module_at);
        let _ = write!(out, "haproxy_{prefix}_{}{{{first}", metric.name);
        if let Some(module) = metric.module {
            let _ = write!(out, ",mod=\"{module}\"");
        }
        out.push_str(rest);
        if let Some((name, value)) = label {
            let _ = write!(out, ",{name}=\"{value}\"");
        }
        let _ = writeln!(out, "}} {number}");
    };
    if let Cell::Spread(spread) = cell {
        return spread_samples(metric, object, spread, out);
    }
    match cell {
        Cell::Absent | Cell::Spread(_) => {}
        Cell::One(number) => one(None, *number),
        Cell::State(is) => {
            for (i, state) in metric.states().iter().enumerate() {
                one(Some(("state", state)), Number::Big((*is == Some(i)).into()));
            }
        }
        Cell::Many(all) => match metric.codes.get(code) {
            Some((name, _)) => one(Some(("code", name)), all.get(code).copied().unwrap_or(Number::Nan)),
            None => {
                for (state, number) in metric.states().iter().zip(all) {
                    one(Some(("state", state)), *number);
                }
            }
        },
    }
}
