//! `show stat`: columns, where their values come from, and the formats.

pub mod columns;
pub mod filter;
pub mod lines;
pub mod print;
pub mod value;

pub use columns::{COLUMNS, Col, Column};
pub use filter::Filter;
pub use value::Value;
