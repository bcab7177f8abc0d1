//! Traces and log lines for a collector (`docs/opentelemetry.md`); HAProxy has no such command.

use crate::command::{Call, Outcome, Row};
use crate::socket::Level;

/// The rows of this file.
pub const ROWS: &[Row] = &[Row::new(
    "show otel",
    "",
    Level::Operator,
    "show where traces and logs are sent and what became of them",
    show,
)];

fn show(call: &mut Call<'_>) -> Outcome {
    match &call.admin.exporter {
        Some(exporter) => Outcome::Text(exporter.report().into_bytes()),
        None => Outcome::err("There is no 'otel' section.\n"),
    }
}
