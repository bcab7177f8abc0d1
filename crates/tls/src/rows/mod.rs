//! The keywords of TLS as rows, one file a kind of line.

pub mod bind;
pub mod conf;
pub mod crt_list;
pub mod errors;
pub mod global;
pub mod load;
pub mod ocsp;
pub mod server;

use portcullis_config::Rows;

/// Everything that this room brings to the registry.
#[must_use]
pub fn rows() -> [Rows; 3] {
    let load = Rows { keywords: load::ROWS, ..Rows::default() };
    let ocsp = Rows { keywords: ocsp::ROWS, check: Some(ocsp::check), ..Rows::default() };
    [
        Rows {
            keywords: global::ROWS,
            bind: bind::OPTIONS,
            server: server::OPTIONS,
            check: Some(conf::check),
        },
        load,
        ocsp,
    ]
}
