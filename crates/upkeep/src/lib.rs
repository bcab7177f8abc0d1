//! What the process does by itself so that its certificates stay fresh: OCSP responses are fetched before they end
//! ([`ocsp`], manual section 12.7.1 `ocsp-update`), and certificates are renewed over ACME ([`acme`], section 12.8), over an HTTP
//! client of its own ([`client`]).
//!
//! What workers tell a collector of OpenTelemetry is sent by the same client ([`export`]).
//!
//! It runs on a thread of its own, which is there if the configuration has certificates: workers never wait for it, and no
//! file is opened. What it finds goes into the store of certificates, where the next handshake finds it.
#![forbid(unsafe_code)]

pub mod acme;
pub mod client;
pub mod export;
pub mod log;
pub mod ocsp;
pub mod rows;
mod serve;
pub mod url;

pub use export::Exporter;
pub use rows::rows;
pub use serve::{Force, Upkeep};
