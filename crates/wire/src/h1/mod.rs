//! HTTP/1 (RFC 9112): heads, bodies, and how messages are written.

pub(crate) mod authority;
pub mod body;
pub mod encode;
pub mod head;
pub mod info;
pub mod reframe;
pub mod response;
mod scan;
#[cfg(test)]
mod tests;

pub use body::{Chunked, Decoded};
pub use encode::CaseMap;
pub use head::{Bad, Fault, Limits, Parsed, parse_request, parse_response, parse_trailers, too_large};
pub use info::{Framing, Info};
pub use reframe::{Silent, reframe};
pub use response::Response;
