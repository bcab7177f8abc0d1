//! HTTP/2 (RFC 9113, HPACK: RFC 7541): one connection as its server sees it. Bytes and times go in, events and bytes come
//! out.
//!
//! [`Connection`] is the state machine; [`frame`] and [`hpack`] are what it reads and writes, [`request`] makes a
//! [`portcullis_message::Head`] of a header block as HAProxy does it, [`response`] a header block of a head.

mod conn;
pub mod frame;
pub mod hpack;
mod huffman;
pub mod request;
pub mod response;
mod streams;
#[cfg(test)]
mod tests;

pub use conn::{Config, Connection, Event, Fatal};
pub use frame::Reason;
pub use request::Request;
