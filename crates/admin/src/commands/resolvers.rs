//! `show resolvers`, and the statistics domain of name servers (management manual 9.3).

use crate::command::{Call, Outcome, Row};
use crate::socket::Level;
use portcullis_proxy::plan::Plan;

/// The rows of this file.
pub const ROWS: &[Row] = &[Row::new(
    "show resolvers",
    "[id]",
    Level::User,
    "dumps counters from all resolvers section and associated name servers",
    show,
)];

fn show(call: &mut Call<'_>) -> Outcome {
    let plan = call.admin.plan();
    let name = call.arg(2);
    let wanted = |r: &str| name.is_empty() || *name == *r;
    if !plan.resolvers.iter().any(|r| wanted(&r.name)) && !name.is_empty() {
        return Outcome::err("Can't find that resolvers section");
    }
    let mut out = String::new();
    for section in plan.resolvers.iter().filter(|r| wanted(&r.name)) {
        out.push_str(&format!("Resolvers section {}\n", section.name));
        for server in &section.nameservers {
            out.push_str(&format!(" nameserver {}:\n", server.name));
            for (name, count) in server.counters.all() {
                let name = format!("{name}:");
                out.push_str(&format!("  {name:<12} {count}\n"));
            }
        }
    }
    Outcome::Text(out.into_bytes())
}

/// A column of the statistics: name and help.
const COLUMNS: [(&str, &str); 17] = [
    ("id", "ID"),
    ("pid", "Parent ID"),
    ("sent", "Sent"),
    ("send_error", "Send error"),
    ("valid", "Valid"),
    ("update", "Update"),
    ("cname", "CNAME"),
    ("cname_error", "CNAME error"),
    ("any_err", "Any errors"),
    ("nx", "NX"),
    ("timeout", "Timeout"),
    ("refused", "Refused"),
    ("other", "Other"),
    ("invalid", "Invalid"),
    ("too_big", "Too big"),
    ("truncated", "Truncated"),
    ("outdated", "Outdated"),
];

/// How statistics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Comma-separated values.
    Csv,
    /// A line a value; with its help?
    Typed(bool),
    /// JSON.
    Json,
}

/// `show stat domain resolvers`
pub fn statistics(plan: &Plan, form: Form) -> Outcome {
    let lines = plan.resolvers.iter().flat_map(|r| r.nameservers.iter().map(move |n| (r, n)));
    let lines = lines.map(|(section, server)| {
        let names = [server.name.to_string(), section.name.to_string()];
        let counts = server.counters.all().map(|(_, n)| n.to_string());
        names.into_iter().chain(counts).collect::<Vec<String>>()
    });
    let mut out = String::new();
    match form {
        Form::Csv => {
            let names: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
            out.push_str(&format!("# {},\n", names.join(",")));
            lines.for_each(|values| out.push_str(&format!("{},\n", values.join(","))));
        }
        Form::Typed(describe) => lines.for_each(|values| typed(&values, describe, &mut out)),
        Form::Json => {
            let all: Vec<String> = lines.map(|values| json(&values)).collect();
            out.push_str(&format!("[{}]\n", all.join(",")));
        }
    }
    Outcome::Text(out.into_bytes())
}

/// Names come first, counters follow.
fn kind(at: usize) -> (&'static str, &'static str) {
    if at < 2 { ("C", "str") } else { ("M", "u64") }
}

fn typed(values: &[String], describe: bool, out: &mut String) {
    for (at, (value, (name, help))) in values.iter().zip(COLUMNS).enumerate() {
        let (origin, kind) = kind(at);
        out.push_str(&format!("N.{at}.{name}:{origin}GPV:{kind}:{value}"));
        if describe {
            out.push_str(&format!(":\"{help}\""));
        }
        out.push('\n');
    }
}

fn json(values: &[String]) -> String {
    let cells = values.iter().zip(COLUMNS).enumerate().map(|(at, (value, (name, _)))| {
        let (origin, kind) = kind(at);
        let origin = if origin == "C" { "Config" } else { "Metric" };
        let value = if kind == "str" { format!("\"{value}\"") } else { value.clone() };
        format!(
            "{{\"field\":{{\"pos\":{at},\"name\":\"{name}\"}},\"tags\":{{\"origin\":\"{origin}\",\"nature\":\"Gauge\",\
             \"scope\":\"Process\"}},\"value\":{{\"type\":\"{kind}\",\"value\":{value}}}}}"
        )
    });
    format!("[{}]", cells.collect::<Vec<_>>().join(","))
}
