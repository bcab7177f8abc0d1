//! `show stat`

use super::resolvers::{self, Form};
use crate::command::{Call, Outcome, Row};
use crate::socket::Level;
use portcullis_proxy::plan::Plan;
use portcullis_stats::lines::Moment;
use portcullis_stats::{Filter, Item, Walk};
use portcullis_telemetry::table::print;
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
            "resolvers" => return name_servers(call, at + 2),
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

/// `show stat domain resolvers`
fn name_servers(call: &Call<'_>, from: usize) -> Outcome {
    let has = |word: &str| (from..call.words.len()).any(|at| call.arg(at) == word);
    let form = match (has("json"), has("typed")) {
        (true, _) => Form::Json,
        (false, true) => Form::Typed(has("desc")),
        (false, false) => Form::Csv,
    };
    resolvers::statistics(&call.admin.plan(), form)
}

/// A piece a proxy.
fn pieces(plan: Arc<Plan>, filter: Filter, moment: Moment, format: Format, describe: bool) -> Outcome {
    let mut first = true;
    let (head, tail) = match format {
        Format::Csv => (print::header(), ""),
        Format::Typed => (String::new(), ""),
        Format::Json => ("[".to_owned(), "]\n"),
    };
    let mut walk = Walk::new(plan, filter, moment);
    let bodies = std::iter::from_fn(move || {
        let mut out = String::new();
        loop {
            let line = match walk.next()? {
                Item::Begin(_) => continue,
                Item::Line(line) => line,
                Item::End(_) => return Some(out.into_bytes()),
            };
            match format {
                Format::Csv => print::csv_line(&line, &mut out),
                Format::Typed => print::typed_lines(&line, describe, &mut out),
                Format::Json => {
                    if !std::mem::take(&mut first) {
                        out.push(',');
                    }
                    print::json_array(&line, &mut out);
                }
            }
        }
    });
    let head = std::iter::once(head.into_bytes());
    Outcome::Pieces(Box::new(head.chain(bodies).chain(std::iter::once(tail.as_bytes().to_vec()))))
}
