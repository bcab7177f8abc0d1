//! Converters (manual section 7.3.1).

mod bytes;
mod numbers;
mod text;
mod time;

use crate::row::{Convert, SampleRows};

/// Rows.
pub const ROWS: SampleRows = SampleRows { fetches: &[], converters: &ALL, acls: &[] };

const ALL: [Convert; text::ROWS.len() + bytes::ROWS.len() + numbers::ROWS.len() + time::ROWS.len()] = {
    let mut all =
        [text::ROWS[0]; text::ROWS.len() + bytes::ROWS.len() + numbers::ROWS.len() + time::ROWS.len()];
    let lists: [&[Convert]; 4] = [text::ROWS, bytes::ROWS, numbers::ROWS, time::ROWS];
    let (mut n, mut l) = (0, 0);
    while l < lists.len() {
        let mut i = 0;
        while i < lists[l].len() {
            all[n] = lists[l][i];
            n += 1;
            i += 1;
        }
        l += 1;
    }
    all
};
