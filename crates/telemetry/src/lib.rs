//! Counters and the log pipeline.
//!
//! - [`counter`], [`rate`], [`stats`]: per-worker counters with one writer, summed when read (`show stat`).
//! - [`h2`], [`muxes`]: what HTTP/2 connections are counted by, and what is shown of both versions.
//! - [`gauge`], [`gate`]: gauges of the process as guards, and the gates before `accept`.
//! - [`table`]: columns and lines of statistics and how they are written.
//! - [`histogram`]: how times are spread.
//! - [`ledger`]: what a worker's event loop does, and what its tasks and pools come to.
//! - [`trace`]: events of the inside, for who looks for reasons.
//! - [`log`]: from a formatted line to UDP, Unix sockets, descriptors and rings.
#![forbid(unsafe_code)]

pub mod counter;
pub mod endpoints;
pub mod gate;
pub mod gauge;
pub mod h2;
pub mod histogram;
pub mod ledger;
pub mod log;
pub mod muxes;
pub mod rate;
pub mod stats;
pub mod table;
pub mod trace;

pub use counter::{Counter, Sharded};
pub use gate::{Admission, Frontend, Listener, Process, Shut, accepted, admit};
pub use gauge::{Gauge, Held};
pub use stats::{BackendCounters, FrontendCounters, ListenerCounters, ProcessCounters, ServerCounters};
