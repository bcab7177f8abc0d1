//! `enable` and `disable dynamic-cookie backend`, `set dynamic-cookie-key backend`

use crate::command::{Call, Outcome, Row};
use crate::socket::Level;
use portcullis_backend::BackendState;
use std::sync::Arc;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    Row::new(
        "disable dynamic-cookie backend",
        "<bk>",
        Level::Admin,
        "disable dynamic cookies on a specific backend",
        |c| switch(c, false),
    ),
    Row::new(
        "enable dynamic-cookie backend",
        "<bk>",
        Level::Admin,
        "enable dynamic cookies on a specific backend",
        |c| switch(c, true),
    ),
    Row::new(
        "set dynamic-cookie-key backend",
        "<bk> <k>",
        Level::Admin,
        "change a backend secret key for dynamic cookies",
        set_key,
    ),
];

/// The backend that word 3 names.
fn backend(call: &Call<'_>) -> Result<Arc<BackendState>, Outcome> {
    if !call.has(3) {
        return Err(Outcome::err("A backend name is expected."));
    }
    let plan = call.admin.plan();
    let index = super::find_proxy(&plan, &call.arg(3), |p| p.state.is_some());
    let proxy = index.and_then(|i| plan.proxies.get(i));
    proxy.and_then(|p| p.state.clone()).ok_or_else(|| Outcome::err("No such backend."))
}

fn switch(call: &mut Call<'_>, on: bool) -> Outcome {
    match backend(call) {
        Ok(backend) => backend.set_dynamic_cookies(on),
        Err(e) => return e,
    }
    Outcome::Nothing
}

fn set_key(call: &mut Call<'_>) -> Outcome {
    match backend(call) {
        Ok(_) if !call.has(4) => return Outcome::err("String value expected."),
        Ok(backend) => backend.set_cookie_key(call.arg(4).as_bytes()),
        Err(e) => return e,
    }
    Outcome::Nothing
}
