//! `portcullis explain` and `portcullis test`: what a configuration makes of one request.
//!
//! [`ask`] gives a real session on a real worker one connection, and plays client ([`client`]); everything that a request
//! goes through is what serves on the data plane. Only the way to servers ends before they are connected to: an applet
//! answers in their place ([`server`]). What the rules do on the way is noted down ([`trace`]); the data plane pays for it
//! with one look at a flag for each rule set.

mod client;
mod server;
mod trace;

pub use client::{Question, Told, ask};
pub use server::Canned;
pub(crate) use server::server;
pub use trace::{Judged, Looked, Observer, Sent, Trace};
pub(crate) use trace::{chosen, logged, observer, on, over, received};
