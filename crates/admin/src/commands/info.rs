//! `show info`

use crate::command::{Call, Outcome, Row};
use crate::socket::Level;
use portcullis_stats::figures::Info;
use portcullis_telemetry::table::value::json_tail;

/// The rows of this file.
pub const ROWS: &[Row] = &[Row::new(
    "show info",
    "[desc|json|typed|float]*",
    Level::User,
    "report information about the running process",
    show,
)];

fn show(call: &mut Call<'_>) -> Outcome {
    let (mut typed, mut json, mut describe, mut float) = (false, false, false, false);
    for i in 2..call.words.len() {
        match &*call.arg(i) {
            "typed" => (typed, json) = (true, false),
            "json" => (json, typed) = (true, false),
            "desc" => describe = true,
            "float" => float = true,
            _ => {}
        }
    }
    let plan = call.admin.plan();
    let info = Info::new(&call.admin.vitals, &plan, float);
    let figures = info.figures();
    let mut out = String::new();
    if json {
        let items = figures.map(|f| {
            let mut item = format!("{{\"field\":{{\"pos\":{},\"name\":\"{}\"}},", f.position, f.name);
            let value = f.value(&info);
            json_tail(f.tag_of(&value), &value, &mut item);
            item
        });
        out.push_str(&format!("[{}]\n", items.collect::<Vec<_>>().join(",")));
        return Outcome::Text(out.into_bytes());
    }
    for f in figures {
        let value = f.value(&info);
        if typed {
            out.push_str(&format!(
                "{}.{}.1:{}:{}:{value}",
                f.position,
                f.name,
                f.tag_of(&value),
                value.kind()
            ));
        } else {
            out.push_str(&format!("{}: {value}", f.name));
        }
        if describe {
            out.push_str(&format!(":\"{}\"", f.help));
        }
        out.push('\n');
    }
    Outcome::Text(out.into_bytes())
}
