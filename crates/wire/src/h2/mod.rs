//! HTTP/2 (RFC 9113, HPACK: RFC 7541): one connection as its server sees it, or its client. Bytes and times go in, events and
//! bytes come out.
//!
//! [`Connection`] is the state machine; [`frame`] and [`hpack`] are what it reads and writes. [`request`] and [`answer`] make a
//! [`portcullis_message::Head`] of a header block as HAProxy does it, [`response`] and [`sent`] a header block of a head.

pub mod answer;
#[cfg(test)]
mod client_tests;
mod conn;
mod fields;
pub mod frame;
pub mod hpack;
mod huffman;
pub mod priority;
pub mod request;
pub mod response;
pub mod sent;
mod streams;
mod tally;
#[cfg(test)]
mod tests;

pub use answer::Answer;
pub use conn::{Config, Connection, Event, Fatal, Next};
pub use frame::Reason;
pub use request::Request;
pub use sent::Sent;
pub use tally::Tally;
