//! Mails about servers that go and come (`email-alert`, manual section 12.3): what the configuration says ([`rows`]), and how
//! they are sent ([`post`]).
//!
//! HAProxy up to 3.2 sent them by itself, 3.5 leaves it to a Lua script that is loaded for it. Here they are always sent: the
//! dialogue and the texts are those of HAProxy's own.

pub mod plan;
pub mod post;
mod rows;

pub use plan::Alerts;

use portcullis_config::Rows;

/// What this folder brings to the registry.
#[must_use]
pub fn rows() -> Rows {
    Rows { keywords: rows::ROWS, check: Some(plan::check), ..Rows::default() }
}
