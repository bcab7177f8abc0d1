//! The table of statistics (`show stat`, the statistics page, the exporter): its columns, lines and written forms.
//! What fills them is in the rooms that know proxies.

pub mod columns;
pub mod line;
pub mod print;
pub mod value;

pub use columns::{COLUMNS, Col, Column, STATIC};
pub use line::{Kind, Line};
pub use value::Value;

/// What the JSON form of statistics looks like (`show schema json`).
pub const SCHEMA: &str = include_str!("schema.json");
