//! The PROXY protocol, versions 1 and 2 (`doc/proxy-protocol.txt` of HAProxy), received and sent.
//!
//! What HAProxy 3.5 accepts is accepted and what it refuses is refused (recorded from outside), but for one thing: the
//! rest of a header that comes in pieces is waited for, which the specification recommends. `UNKNOWN` and `LOCAL` leave
//! the real addresses of the connection.

mod crc32c;
mod encode;
mod parse;
mod tlv;

pub use crc32c::crc32c;
pub use encode::{encode_v1, encode_v2, encode_v2_local};
pub use parse::parse;
pub use tlv::{Ssl, Tlv, Tlvs, kind, ssl_client};

use std::net::SocketAddr;

/// Longest version 1 line with its CRLF (section 2.1).
pub const MAX_V1: usize = 107;
/// Longest version 2 header: 16 bytes and what a 16-bit length can announce.
pub const MAX_V2: usize = 16 + 0xffff;
/// The 12 bytes with which version 2 begins (section 2.2).
pub const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// What is wrong with a header. The numbers are those of `fc_err`, the texts those of `fc_err_str`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `PRX_EMPTY`: the connection ended without a byte.
    Empty = 11,
    /// `PRX_ABORT`: the connection broke.
    Abort = 12,
    /// `PRX_TIMEOUT`: it did not come in time.
    Timeout = 13,
    /// `PRX_TRUNCATED`: it ended, or was late, in the middle.
    Truncated = 14,
    /// `PRX_NOT_HDR`: does not begin like one.
    NotHeader = 15,
    /// `PRX_BAD_HDR`: malformed, or its checksum is wrong.
    Bad = 16,
    /// `PRX_BAD_PROTO`: a protocol or family that does not exist.
    Protocol = 17,
}

/// A header that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub fault: Fault,
    /// The addresses (client, destination) that it announced before what is wrong with it.
    pub addresses: Option<(SocketAddr, SocketAddr)>,
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self { fault, addresses: None }
    }
}

impl Fault {
    /// The number that `fc_err` gives.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
    /// The text that `fc_err_str` gives.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Empty => "Connection closed while waiting for PROXY protocol header",
            Self::Abort => "Connection error while waiting for PROXY protocol header",
            Self::Timeout => "Timeout while waiting for PROXY protocol header",
            Self::Truncated => "Truncated PROXY protocol header received",
            Self::NotHeader => "Received something which does not look like a PROXY protocol header",
            Self::Bad => "Received an invalid PROXY protocol header",
            Self::Protocol => "Received an unhandled protocol in the PROXY protocol header",
        }
    }
}

/// What came of parsing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "lives on the stack for a moment")]
pub enum Parsed<'a> {
    /// More bytes are needed.
    Partial,
    /// A whole header.
    Complete(Header<'a>),
}

/// Which transport the proxied connection uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Not said.
    Unspec,
    /// TCP, or a Unix stream socket.
    Stream,
    /// UDP, or a Unix datagram socket.
    Dgram,
}

/// The addresses that a header announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// IPv4 or IPv6 (both of the same family).
    Inet {
        /// Of the client.
        src: SocketAddr,
        /// That it connected to.
        dst: SocketAddr,
    },
    /// Unix socket paths, zero-padded.
    Unix {
        /// Of the client.
        src: [u8; 108],
        /// That it connected to.
        dst: [u8; 108],
    },
}

/// One header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// How many bytes it takes; the stream's own data begins behind them.
    pub len: usize,
    /// 1 or 2.
    pub version: u8,
    /// `LOCAL`: the proxy's own connection (a health check).
    pub local: bool,
    /// The proxied transport.
    pub transport: Transport,
    /// The proxied addresses; `None`: the connection's own are to be used (`UNKNOWN`, `LOCAL`, `UNSPEC`).
    pub addresses: Option<Addresses>,
    /// Version 2's further values.
    pub tlvs: Tlvs<'a>,
}

#[cfg(test)]
mod tests;
