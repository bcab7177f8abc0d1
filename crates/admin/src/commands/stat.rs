//! `show stat`

use crate::command::{Call, Outcome, Row};
use crate::socket::Level;
use crate::stats::lines::{self, Line, Moment};
use crate::stats::{Filter, print};
use portcullis_backend::{Admin, ServerState};
use portcullis_config::Opts;
use portcullis_proxy::plan::{Plan, ProxyPlan};
use std::sync::Arc;

/// The rows of this file.
pub const ROWS: &[Row] = &[Row::new(
    "show stat",
    "[desc|json|no-maint|typed|up]*",
    Level::User,
    "report counters for each proxy and server",
    stat,
)];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Csv,
    Typed,
    Json,
}

fn stat(call: &mut Call<'_>) -> Outcome {
    let mut filter = Filter::default();
    let (mut format, mut describe) = (Format::Csv, false);
    let mut at = 2;
    if call.arg(at) == "domain" {
        match &*call.arg(at + 1) {
            "proxy" => at += 2,
            "resolvers" => return Outcome::err("'show stat domain resolvers' is not supported yet."),
            _ => return Outcome::err("Invalid statistics domain."),
        }
    }
    let plan = call.admin.plan();
    if call.has(at + 2) {
        let name = call.arg(at);
        let id = name.parse::<i64>().ok();
        filter.proxy = match id {
            Some(n) if n < 0 => None,
            Some(n) => Some(u32::try_from(n).unwrap_or(u32::MAX)),
            None => match plan.proxies.iter().find(|p| *p.name == *name) {
                Some(p) => Some(p.id),
                None => return Outcome::err("No such proxy."),
            },
        };
        filter.kinds = super::number(&call.arg(at + 1)) as u32;
        filter.sid = u32::try_from(super::number(&call.arg(at + 2))).ok();
        at += 3;
    }
    for i in at..call.words.len() {
        match &*call.arg(i) {
            "typed" => format = Format::Typed,
            "json" => format = Format::Json,
            "desc" => describe = true,
            "no-maint" => filter.no_maint = true,
            "up" => filter.up = true,
            _ => {}
        }
    }
    let moment = Moment {
        now: call.admin.now(),
        maxconn: call.admin.process.counts.conns.limit(),
        legends: call.cli.level >= Level::Operator,
    };
    pieces(plan, filter, moment, format, describe)
}

/// A piece a proxy.
fn pieces(plan: Arc<Plan>, filter: Filter, moment: Moment, format: Format, describe: bool) -> Outcome {
    let mut first = true;
    let (head, tail) = match format {
        Format::Csv => (print::header(), ""),
        Format::Typed => (String::new(), ""),
        Format::Json => ("[".to_owned(), "]\n"),
    };
    let bodies = (0..plan.proxies.len()).map(move |at| {
        let mut out = String::new();
        let Some(p) = plan.proxies.get(at).filter(|p| shown(p, &filter)) else { return out.into_bytes() };
        each_line(&plan, p, &filter, moment, &mut |line| match format {
            Format::Csv => print::csv_line(&line, &mut out),
            Format::Typed => print::typed_lines(&line, describe, &mut out),
            Format::Json => {
                if !std::mem::take(&mut first) {
                    out.push(',');
                }
                print::json_array(&line, &mut out);
            }
        });
        out.into_bytes()
    });
    let head = std::iter::once(head.into_bytes());
    Outcome::Pieces(Box::new(head.chain(bodies).chain(std::iter::once(tail.as_bytes().to_vec()))))
}

fn shown(p: &ProxyPlan, filter: &Filter) -> bool {
    !p.disabled && filter.proxy.is_none_or(|id| id == p.id)
}

/// The lines of a proxy: frontend, listeners, servers, backend.
fn each_line(plan: &Plan, p: &Arc<ProxyPlan>, filter: &Filter, m: Moment, to: &mut dyn FnMut(Line)) {
    if lines::has_front(p) && filter.kind(1) {
        to(lines::frontend(p, m));
    }
    if lines::has_front(p) && filter.kind(8) && p.has(Opts::SOCKET_STATS) {
        let mut sid = 0;
        for l in plan.listeners.iter().filter(|l| l.frontend == p.index) {
            sid = if l.bind.id == 0 { sid + 1 } else { l.bind.id };
            if filter.id(sid) {
                to(lines::listener(p, l, sid, m));
            }
        }
    }
    let Some(state) = &p.state else { return };
    if filter.kind(4) {
        let wanted = |s: &ServerState| {
            (!filter.no_maint || s.admin() != Admin::Maint) && (!filter.up || lines::is_up(s))
        };
        for s in state.servers().iter().filter(|s| wanted(s)) {
            if let Some(plan) = p.server_of(s).filter(|plan| filter.id(plan.id)) {
                to(lines::server(p, s, plan, m));
            }
        }
    }
    if filter.kind(2) {
        to(lines::backend(p, state, m, filter.up || filter.no_maint));
    }
}
