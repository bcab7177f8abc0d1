//! Health checks (manual sections 4.2, 5.2 and 12.9): what the configuration says, when a check runs, and what it does.
//!
//! A server's checks belong to one worker ([`schedule`]): one task a worker knows when each is due, and a check has a task,
//! a socket and buffers only while it runs ([`run`]). What it found goes to [`portcullis_backend::health`], what follows from
//! that to logs and streams ([`report`]).

pub mod agent;
mod canned;
pub mod config;
pub mod expect;
pub mod external;
mod h2;
mod http;
mod options;
pub mod plan;
pub mod report;
mod rows;
pub(crate) mod run;
pub mod schedule;
pub mod tls;

pub use plan::CheckPlan;

use portcullis_config::Rows;

/// What this folder brings to the registry.
#[must_use]
pub fn rows() -> [Rows; 3] {
    [
        Rows { keywords: rows::ROWS, server: options::OPTIONS, check: Some(plan::check), ..Rows::default() },
        Rows { keywords: external::ROWS, ..Rows::default() },
        Rows { keywords: schedule::ROWS, ..Rows::default() },
    ]
}
