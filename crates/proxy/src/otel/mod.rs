//! OpenTelemetry: spans of streams and log lines, for a collector (`otel` section, `docs/opentelemetry.md`). HAProxy has nothing of
//! that in its own language.
//!
//! What is here happens on workers: [`stream`] reads the context of a trace from a request, writes it into what servers get, and
//! makes spans of what a stream's [`portcullis_sample::Trace`] has noted when its [`crate::outcome`] is told; [`lines`] makes records
//! of log lines. Both are encoded at once and put into the [`outbox`], from where another thread sends them (`upkeep::export`).
//! Where there is no section, a stream pays a look at an empty `Option`.

pub mod lines;
pub mod outbox;
mod rows;
pub mod section;
pub mod stream;

pub use outbox::Outbox;
pub use section::Section;
pub use stream::why;

use crate::process::Process;
use portcullis_config::{Model, Opts, Proxy, Rows};
use std::sync::Arc;

/// What this folder brings to the registry.
#[must_use]
pub fn rows() -> Rows {
    Rows { keywords: rows::ROWS, check: Some(section::check), ..Rows::default() }
}

/// What a proxy tells.
#[derive(Debug)]
pub struct Tells {
    outbox: Arc<Outbox>,
    limits: outbox::Limits,
    /// Spans.
    traces: bool,
    /// Log lines.
    pub logs: bool,
    /// The context of clients is followed.
    follows: bool,
    sampling: section::Sampling,
}

impl Tells {
    /// Of a proxy; none: there is no section, or `no option otel`.
    #[must_use]
    pub fn of(model: &Model, p: &Proxy, process: &Process) -> Option<Arc<Self>> {
        let section = Section::of(model).filter(|_| !p.no_opts.contains(Opts::OTEL))?;
        Some(Arc::new(Self {
            outbox: process.outbox.clone(),
            limits: outbox::Limits { bytes: section.queue, batch: section.batch },
            traces: section.traces,
            logs: section.logs,
            follows: section.follows,
            sampling: section.sampling,
        }))
    }
}
