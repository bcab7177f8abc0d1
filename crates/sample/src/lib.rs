//! Typed samples, fetches, converters, conditions and log formats.

pub mod facts;

pub use facts::{Facts, Timers};
