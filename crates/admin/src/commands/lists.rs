//! Short lists: backends, errors, the schema.

use crate::command::{Call, Outcome, Row};
use crate::socket::Level;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    Row::new("show backend", "", Level::User, "list backends in the current running config", backends),
    Row::new("show schema json", "", Level::User, "report schema used for stats", |_| {
        Outcome::Text(portcullis_telemetry::table::SCHEMA.as_bytes().to_vec())
    }),
];

fn backends(call: &mut Call<'_>) -> Outcome {
    let plan = call.admin.plan();
    let names = plan.proxies.iter().filter(|p| p.kind.back() && !p.disabled).map(|p| format!("{}\n", p.name));
    Outcome::Text(format!("# name\n{}", names.collect::<String>()).into_bytes())
}
