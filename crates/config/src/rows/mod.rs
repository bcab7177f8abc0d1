//! The keywords of issue 2 as rows, one file a subject.

pub mod address;
pub mod bind;
pub mod check_threads;
pub mod checks;
pub mod cpu_choice;
pub mod discovery;
pub mod global_debug;
pub mod global_limits;
pub mod global_process;
pub mod global_reading;
pub mod global_threads;
pub mod global_tune;
pub mod h2;
pub mod later;
pub mod log;
mod log_backends;
mod log_forward;
pub mod near;
pub mod persist;
pub mod place;
pub mod proxy_balance;
pub mod proxy_http;
pub mod proxy_limits;
pub mod proxy_options;
pub mod proxy_timeouts;
pub mod resolve;
pub mod resolvers;
pub mod ring;
pub mod server;
pub mod server_state;
pub mod source;
pub mod threads;
pub mod value;

use crate::row::{Keyword, Row, Rows, ServerOption};

const KEYWORD_TABLES: &[&[Keyword]] = &[
    global_debug::ROWS,
    global_process::ROWS,
    global_reading::ROWS,
    global_limits::ROWS,
    global_threads::ROWS,
    global_tune::ROWS,
    h2::ROWS,
    proxy_timeouts::ROWS,
    proxy_options::ROWS,
    proxy_limits::ROWS,
    proxy_balance::ROWS,
    proxy_http::ROWS,
    persist::ROWS,
    bind::ROWS,
    server::ROWS,
    source::ROWS,
    log::ROWS,
    log_forward::ROWS,
    ring::ROWS,
    resolvers::ROWS,
    discovery::ROWS,
    server_state::ROWS,
];

const SERVER_TABLES: &[&[ServerOption]] = &[server::OPTIONS, discovery::OPTIONS];

static SERVER: [ServerOption; count(SERVER_TABLES)] = join(SERVER_TABLES);
static KEYWORDS: [Keyword; count(KEYWORD_TABLES)] = join(KEYWORD_TABLES);
static LATER: [Keyword; count(later::TABLES)] = join(later::TABLES);

/// The keywords of sections that are refused as a whole.
pub fn later() -> Rows {
    Rows { keywords: &LATER, ..Rows::default() }
}

/// Everything that this room brings to the registry.
pub fn rows() -> Rows {
    Rows { keywords: &KEYWORDS, bind: bind::OPTIONS, server: &SERVER, check: Some(checks::check) }
}

const fn count<F: Copy>(tables: &[&[Row<F>]]) -> usize {
    let (mut n, mut t) = (0, 0);
    while t < tables.len() {
        n += tables[t].len();
        t += 1;
    }
    n
}

/// One table of many, put together by the compiler.
const fn join<F: Copy, const N: usize>(tables: &[&[Row<F>]]) -> [Row<F>; N] {
    let mut all = [tables[0][0]; N];
    let (mut n, mut t) = (0, 0);
    while t < tables.len() {
        let mut i = 0;
        while i < tables[t].len() {
            all[n] = tables[t][i];
            n += 1;
            i += 1;
        }
        t += 1;
    }
    all
}
