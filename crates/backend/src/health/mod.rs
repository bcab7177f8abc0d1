//! Health of servers: what checks found, what follows from it, and what is told about it (manual section 5.2 `check`,
//! `agent-check`, `observe`, `track`; management manual 9.3 `set server`).
//!
//! [`settings`] is what a `server` line says, [`Life`] what is known of one server's checks, [`BackendState::checked`]
//! and its kin (in [`change`]) are the transitions. They return [`Report`]s: what has to be logged or done elsewhere.

pub mod agent;
mod change;
mod life;
pub mod settings;
pub mod status;

pub use change::{Observed, Report};
pub use life::{Life, Outcome, Probe, Target, Which};
pub use settings::{CheckSettings, InitState, Observe, OnError};
pub use status::{Status, Verdict};

#[cfg(test)]
mod tests;
