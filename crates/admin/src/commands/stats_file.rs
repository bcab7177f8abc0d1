//! `dump stats-file` (management manual 9.5)

use crate::command::{Call, Outcome, Row};
use crate::socket::Level;
use portcullis_stats::lines::Moment;

/// The rows of this file.
pub const ROWS: &[Row] = &[Row::new("dump stats-file", "", Level::User, "dump stats for restore", dump)];

fn dump(call: &mut Call<'_>) -> Outcome {
    let admin = call.admin;
    let moment = Moment { now: admin.now(), maxconn: admin.process.counts.conns.limit(), legends: false };
    Outcome::Text(portcullis_stats::file::dump(&admin.plan(), &admin.model(), moment).into_bytes())
}
