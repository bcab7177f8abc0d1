//! Statistics: what the lines of proxies ([`lines`]) and the figures of the process ([`figures`]) are made from, and
//! the walk over them ([`walk`]). The Runtime API, the statistics page ([`page`]) and the exporter ([`promex`]) all read
//! them here.
#![forbid(unsafe_code)]

pub mod actions;
pub mod figures;
pub mod file;
pub mod filter;
pub mod form;
pub mod lines;
pub mod page;
pub mod pools;
pub mod promex;
pub mod vitals;
pub mod walk;

pub use filter::Filter;
pub use vitals::Vitals;
pub use walk::{Item, Walk};

/// The keywords of this room.
#[must_use]
pub fn rows() -> portcullis_config::Rows {
    page::rows()
}

/// The services of this room.
pub const SERVICES: &[portcullis_proxy::applet::Service] = &[promex::SERVICE];
