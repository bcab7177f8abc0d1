//! `set maxconn`, `set rate-limit`

use crate::command::{Call, Outcome, Row};
use crate::socket::Level;
use portcullis_backend::ServerConfig;
use std::sync::atomic::Ordering::Relaxed;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    Row::new(
        "set maxconn frontend",
        "<frontend> <value>",
        Level::Admin,
        "change a frontend's maxconn setting",
        frontend,
    ),
    Row::new("set maxconn global", "<value>", Level::Admin, "change the per-process maxconn setting", global),
    Row::new("set maxconn server", "<bk>/<srv>", Level::Admin, "change a server's maxconn setting", server),
    Row::new("set rate-limit", "<setting> <value>", Level::Admin, "change a rate limiting value", rate_limit),
];

fn frontend(call: &mut Call<'_>) -> Outcome {
    let proxy = match super::frontends::frontend(call, 3) {
        Ok(p) => p,
        Err(e) => return e,
    };
    if !call.has(4) {
        return Outcome::err("Integer value expected.");
    }
    match u32::try_from(super::number(&call.arg(4))) {
        // unlike in a configuration, 0 is no connection at all
        Ok(0) => proxy.front.sessions.shut(),
        Ok(n) => proxy.front.sessions.set_limit(n),
        Err(_) => return Outcome::err("Value out of range."),
    }
    Outcome::Nothing
}

fn global(call: &mut Call<'_>) -> Outcome {
    if !call.has(3) {
        return Outcome::err("Expects an integer value.");
    }
    let n = super::number(&call.arg(3));
    let hard = call.admin.vitals.hard_maxconn;
    match u32::try_from(n) {
        Ok(n) if n <= hard => {
            // 0 is back to the limit of the start
            call.admin.process.counts.conns.set_limit(if n == 0 { hard } else { n });
            Outcome::Nothing
        }
        _ => Outcome::err("Value out of range."),
    }
}

fn server(call: &mut Call<'_>) -> Outcome {
    let named = match super::server(call, 3) {
        Ok(n) => n,
        Err(e) => return e,
    };
    if !call.has(4) {
        return Outcome::err("Require <maxconn>.");
    }
    set_server_maxconn(&named, &call.arg(4))
}

/// `set maxconn server` and `set server … maxconn`.
pub fn set_server_maxconn(named: &super::Named, text: &str) -> Outcome {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return Outcome::err("maxconn string empty or preceded by garbage");
    }
    if !digits.chars().all(|c| c.is_ascii_digit()) {
        return Outcome::err("Trailing garbage in maxconn string");
    }
    let maxconn = u32::try_from(super::number(text)).unwrap_or(0);
    let s = &named.server;
    let config = ServerConfig { maxconn, maxqueue: s.maxqueue(), ..ServerConfig::default() };
    named.backend.set_limits(s, &config);
    Outcome::Nothing
}

const RATE_LIMITS: &str = "'set rate-limit' only supports :
   - 'connections global' to set the per-process maximum connection rate
   - 'sessions global' to set the per-process maximum session rate
   - 'ssl-sessions global' to set the per-process maximum SSL session rate
   - 'http-compression global' to set the per-process maximum compression speed in kB/s
";

fn rate_limit(call: &mut Call<'_>) -> Outcome {
    if call.arg(3) != "global" {
        return Outcome::err(RATE_LIMITS);
    }
    let counts = &call.admin.process.counts;
    let limit = match &*call.arg(2) {
        "connections" => &counts.maxconnrate,
        "sessions" => &counts.maxsessrate,
        "ssl-sessions" => &counts.tls.max_rate,
        "http-compression" => {
            return Outcome::err("'set rate-limit http-compression global' is not supported yet.");
        }
        _ => return Outcome::err(RATE_LIMITS),
    };
    if !call.has(4) {
        return Outcome::err("Expects an integer value.");
    }
    match u32::try_from(super::number(&call.arg(4))) {
        Ok(n) => {
            limit.store(n, Relaxed);
            Outcome::Nothing
        }
        Err(_) => Outcome::err("Value out of range."),
    }
}
