//! Every end-to-end test, in one binary.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a failure here is a failed test

mod acme;
mod balance;
mod broken;
mod certificates;
mod changes_that_stay;
mod check_options;
mod coming_back;
mod command_line;
mod commands;
mod config_errors;
mod config_language;
mod confinement;
mod connections;
mod crt_lists;
mod discovery;
mod dynamic;
mod early_data;
mod examples;
mod fetches;
mod fields;
mod filters;
mod handshakes;
mod health;
mod http1;
mod http2;
mod http2_counters;
mod http2_limits;
mod http2_peers;
mod http2_servers;
mod http_options;
mod in_place;
mod inside;
mod judged;
mod ktls;
mod language;
mod levels;
mod limits;
mod listeners;
mod log_servers;
mod logs;
mod mails;
mod master;
mod master_cli;
mod ocsp;
mod opentelemetry;
mod own_connections;
mod persistence;
mod places;
mod proxy_protocol;
mod real_servers;
mod retries;
mod reuse;
mod reverse_http;
mod rules;
mod runtime_api;
mod samples;
mod seen;
mod services;
mod signals;
mod smuggling;
mod sources;
mod statistics;
mod storm;
mod takeover;
mod tcp;
mod tcp_response;
mod term_events;
mod termination_states;
mod timeouts;
mod tls;
mod tls_options;
mod tls_sink;
mod traces;
mod tunnels;
mod users_and_lists;

/// One frontend `fe`, one backend `be` with one server at `${o1}`, and these lines in them.
fn sections(frontend: &str, backend: &str) -> String {
    format!(
        "frontend fe\n  bind 127.0.0.1:${{fe}}\n{}  default_backend be\nbackend be\n{}  server s1 127.0.0.1:${{o1}}\n",
        indent(frontend),
        indent(backend)
    )
}

/// Each line of `text` as a line of a section.
fn indent(text: &str) -> String {
    text.lines().map(|l| format!("  {}\n", l.trim())).collect()
}
