//! `publish backend`, `unpublish backend`

use crate::command::{Call, Outcome, Row};
use crate::socket::Level;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    Row::new("publish backend", "<bk>", Level::Operator, "mark backend as ready for traffic", |c| {
        publish(c, true)
    }),
    Row::new("unpublish backend", "<bk>", Level::Operator, "remove backend for any traffic selection", |c| {
        publish(c, false)
    }),
];

fn publish(call: &mut Call<'_>, published: bool) -> Outcome {
    let plan = call.admin.plan();
    let found = super::find_proxy(&plan, &call.arg(2), |p| p.state.is_some());
    let Some(backend) = found.and_then(|at| plan.proxies.get(at)).and_then(|p| p.state.as_ref()) else {
        return Outcome::err("No such backend.");
    };
    backend.publish(published);
    Outcome::info(if published { "Backend published." } else { "Backend unpublished." })
}
