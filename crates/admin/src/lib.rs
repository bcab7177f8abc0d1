//! The Runtime API: commands on `stats socket` (management manual 9.3).
//!
//! It runs on the control plane, one thread with its own runtime, never on workers: it reads their counters, changes
//! `State` made of atomics, and asks them by mailbox. [`bind`] opens the sockets while the process is still privileged,
//! [`serve`] begins to answer. [`commands::ALL`] is the one table from which dispatch, permissions, `help` and `-dKcli`
//! are made.
#![forbid(unsafe_code)]

pub mod admin;
pub mod command;
pub mod commands;
pub mod handover;
pub mod keywords;
pub mod line;
pub mod near;
pub mod secure;
pub mod serve;
pub mod session;
pub mod socket;
pub mod veil;

pub use admin::{About, Admin, Asker, Reloaded, Reloads};
pub use commands::inside::Boot;
pub use keywords::rows;
pub use serve::{Control, Door, Visit, serve};
pub use socket::{Bound, Level, SeverityOutput, bind};
