//! The stream's part in a trace of OpenTelemetry (`otel` section, `docs/opentelemetry.md`); HAProxy does not have it.

use crate::place::INTERNAL;
use crate::row::{Fetch, SampleRows};
use crate::scope::Scope;
use crate::value::{Sample, Type, Value};
use portcullis_wire::trace_context::{Context, hex};
use std::borrow::Cow;

/// Rows.
pub const ROWS: SampleRows = SampleRows {
    fetches: &[
        Fetch::new("otel.trace_id", Type::Str, INTERNAL, "Number of the stream's trace.", |_, s, _| {
            digits(context(s).map(|c| &c.trace[..]))
        }),
        Fetch::new("otel.span_id", Type::Str, INTERNAL, "Number of the stream's span.", |_, s, _| {
            digits(context(s).map(|c| &c.span[..]))
        }),
        Fetch::new("otel.sampled", Type::Bool, INTERNAL, "Is the stream's trace recorded?", |_, s, _| {
            context(s).map_or(Sample::Missing, |c| Value::Bool(c.sampled).into())
        }),
    ],
    converters: &[],
    acls: &[],
};

fn context<'s>(s: &Scope<'s>) -> Option<&'s Context> {
    s.facts.trace.as_deref().map(|t| &t.context)
}

fn digits(bytes: Option<&[u8]>) -> Sample<'static> {
    bytes.map_or(Sample::Missing, |b| Value::Str(Cow::Owned(hex(b).into_bytes())).into())
}
