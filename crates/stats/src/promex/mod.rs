//! The service `prometheus-exporter`: all statistics in the text format of Prometheus, with HAProxy's names.
//!
//! Samples stand metric by metric, lines are made object by object. So a few metrics are gathered for all objects at a
//! time, as many as a bounded memory holds: all of them for small configurations.

mod gather;
mod metric;
mod query;
mod table;

pub use metric::{Metric, Scope};
pub use query::{Bad, Query};
pub use table::METRICS;

use crate::Vitals;
use crate::figures::Info;
use gather::Block;
use metric::{Number, Of};
use portcullis_message::Head;
use portcullis_message::Version;
use portcullis_proxy::applet::{Applet, Ask, Broken, Length, Service};
use portcullis_proxy::plan::Plan;
use portcullis_proxy::reply::Answer;
use portcullis_proxy::rules::table::Sets;
use portcullis_proxy::worker::Worker;
use portcullis_telemetry::table::Value;
use std::fmt::Write;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The row of the service.
pub const SERVICE: Service = Service {
    name: "prometheus-exporter",
    server: "<PROMEX>",
    sets: Sets::HTTP_REQUEST,
    elsewhere: "Prometheus exporter service only available on 'http-request' rulesets",
    help: "Exports all statistics in the text format of Prometheus.",
    begin,
};

/// A piece of the body is about so large.
const PIECE: usize = 8192;

fn begin(ask: &Ask<'_, '_, '_>) -> Box<dyn Applet> {
    let target = ask.cx.request.as_deref().map_or(&b""[..], Head::target);
    match Query::parse(target) {
        Ok(query) => Box::new(Exporter {
            worker: ask.worker.clone(),
            plan: ask.plan.clone(),
            metrics: METRICS.iter().filter(|m| query.wants(m)).collect(),
            query,
            next: 0,
            block: None,
        }),
        Err(_) => Box::new(Refused(ask.cx.pages.answer(400, &ask.cx.scope()))),
    }
}

/// An answer to a query that makes no sense.
struct Refused(Answer);

impl Applet for Refused {
    fn poll_head(&mut self, _: &mut Context<'_>, head: &mut Head) -> Poll<Result<Length, Broken>> {
        *head = std::mem::take(&mut self.0.head);
        Poll::Ready(Ok(Length::Known(self.0.body.bytes().len() as u64)))
    }
    fn poll_body(&mut self, _: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<Result<bool, Broken>> {
        out.extend_from_slice(self.0.body.bytes());
        Poll::Ready(Ok(false))
    }
}

/// The exposition as it goes out.
struct Exporter {
    worker: Rc<Worker>,
    plan: Arc<Plan>,
    query: Query,
    metrics: Vec<&'static Metric>,
    /// The first of them that is in no block yet.
    next: usize,
    block: Option<Block>,
}

impl Applet for Exporter {
    fn poll_head(&mut self, _: &mut Context<'_>, head: &mut Head) -> Poll<Result<Length, Broken>> {
        head.set_response(Version::HTTP_11, 200, b"OK");
        head.push(b"cache-control", b"no-cache");
        head.push(b"content-type", b"text/plain; version=0.0.4");
        Poll::Ready(Ok(Length::Pieces))
    }

    fn poll_body(&mut self, _: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<Result<bool, Broken>> {
        let Some(vitals) = Vitals::of(&self.worker.process) else { return Poll::Ready(Err(Broken)) };
        if self.block.is_none() {
            let rest = self.metrics.get(self.next..).unwrap_or_default();
            let Some(first) = rest.first() else { return Poll::Ready(Ok(false)) };
            let scope: Vec<_> = rest.iter().take_while(|m| m.scope == first.scope).copied().collect();
            if first.scope == Scope::Global {
                self.next += scope.len();
                let described =
                    self.query.describe.then(|| vitals.model().global.description.clone()).flatten();
                figures(&scope, &Info::new(vitals, &self.plan, false), described.as_deref(), out);
                return Poll::Ready(Ok(true));
            }
            if first.scope == Scope::Resolver {
                self.next += scope.len();
                nameservers(&scope, &self.plan, out);
                return Poll::Ready(Ok(true));
            }
            let now = self.worker.clock.now().0;
            let block = Block::new(scope, &self.plan, vitals, &self.query, now);
            self.next += block.len();
            self.block = Some(block);
        }
        if let Some(block) = &mut self.block
            && !block.go_on(out)
        {
            self.block = None;
        }
        Poll::Ready(Ok(true))
    }
}

/// The metrics of the process.
fn figures(metrics: &[&'static Metric], info: &Info<'_>, described: Option<&str>, out: &mut Vec<u8>) {
    let mut text = String::new();
    let described = described.map(|d| format!("desc=\"{}\"", escape(d)));
    for metric in metrics {
        let (Of::Figure(name) | Of::Label(name, _)) = metric.of else { continue };
        let value = info.figures().find(|f| f.name == name).map(|f| f.value(info));
        let (labels, number) = match (metric.of, &value) {
            (Of::Label(_, label), Some(Value::Text(t))) => {
                (Some(format!("{label}=\"{}\"", escape(t))), Number::Big(1))
            }
            (Of::Label(..), _) => continue,
            (_, Some(value)) => (None, Number::of(value)),
            (_, None) => (None, Number::Nan),
        };
        let own = labels.clone();
        let described = described.clone().filter(|d| own.as_ref() != Some(d));
        let labels: Vec<_> = labels.into_iter().chain(described).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        title(metric, metric.kind, &mut text);
        let _ = writeln!(text, "haproxy_process_{}{labels} {number}", metric.name);
    }
    out.extend_from_slice(text.as_bytes());
}

/// The metrics of name servers.
fn nameservers(metrics: &[&'static Metric], plan: &Plan, out: &mut Vec<u8>) {
    let mut text = String::new();
    let all = || plan.resolvers.iter().flat_map(|r| r.nameservers.iter().map(move |n| (r, n)));
    for metric in metrics {
        let Of::Nameserver(at) = metric.of else { continue };
        if all().next().is_some() {
            title(metric, metric.kind, &mut text);
        }
        for (section, server) in all() {
            let labels =
                format!("resolver=\"{}\",nameserver=\"{}\"", escape(&section.name), escape(&server.name));
            let count = server.counters.all().nth(at).map_or(0, |(_, n)| n);
            let _ = writeln!(text, "{}{{{labels}}} {count}", metric.full_name());
        }
    }
    out.extend_from_slice(text.as_bytes());
}

/// The two lines before a metric's samples.
fn title(metric: &Metric, kind: &str, out: &mut String) {
    let name = metric.full_name();
    let _ = write!(out, "# HELP {name} {}\n# TYPE {name} {kind}\n", metric.help);
}

/// A label's value.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
