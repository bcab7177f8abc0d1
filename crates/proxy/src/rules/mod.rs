//! Rules: parsed into [`RuleSets`] that are kept with each proxy, run by [`run`] with a [`Cursor`] that survives
//! suspension.
//!
//! `lang` is the only file that knows how the `sample` crate is called; `table` has a row for every action of
//! HAProxy, with the ones that do not work yet.

pub mod action;
pub mod attach;
pub mod auth;
pub mod balance;
pub mod bandwidth;
pub mod capture;
pub mod cx;
pub mod do_log;
pub mod do_resolve;
pub mod forwarded;
pub mod headers;
pub mod headers_bin;
pub mod internal;
pub mod jumps;
pub mod lang;
pub mod lists;
pub mod names;
pub mod normalize;
pub mod number;
pub mod parse;
pub mod redirect;
pub mod rewrite;
pub mod route;
pub mod rows;
pub mod run;
pub mod service;
pub mod sets;
pub mod socket;
pub mod table;
#[cfg(test)]
mod tests;
pub mod variables;

pub use action::{Action, Rule, Target, Timeout, UseBackend};
pub use balance::Key;
pub use capture::Captures;
pub use cx::{BodyState, Cursor, Effects, Flow, RuleCx, Wait};
pub use forwarded::Forwarded;
pub use headers::UniqueId;
pub use route::Routes;
pub use rows::rows;
pub use run::{monitor_answer, run};
pub use sets::{RuleSets, Rules};
