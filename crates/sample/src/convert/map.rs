//! Maps.

use crate::row::Convert;

/// Rows.
pub const ROWS: &[Convert] = &[];
