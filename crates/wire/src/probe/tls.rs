//! TLS, as far as one can see whether a server speaks it at all: a ClientHello of SSL 3.0 (RFC 6101), and any record back.

use super::{Answer, Note};

/// Cipher suites that old servers know.
const SUITES: std::ops::RangeInclusive<u8> = 0x01..=0x1b;
/// Those with AES.
const AES: std::ops::RangeInclusive<u8> = 0x2f..=0x3a;

/// The ClientHello.
#[must_use]
pub fn hello() -> Vec<u8> {
    let suites: Vec<u8> = SUITES.chain(AES).flat_map(|n| [0, n]).collect();
    let mut hello = vec![3, 0];
    hello.extend_from_slice(b"a health check of Portcullis, ok");
    // no session
    hello.push(0);
    hello.extend_from_slice(&u16::try_from(suites.len()).unwrap_or(0).to_be_bytes());
    hello.extend_from_slice(&suites);
    // no compression
    hello.extend_from_slice(&[1, 0]);
    let length = u16::try_from(hello.len()).unwrap_or(0);
    let mut out = vec![0x16, 3, 0];
    out.extend_from_slice(&(length + 4).to_be_bytes());
    out.extend_from_slice(&[1, 0]);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&hello);
    out
}

/// Any record of SSL or TLS: a handshake message or an alert.
#[must_use]
pub fn record(bytes: &[u8], ended: bool) -> Answer {
    match bytes.first() {
        None if !ended => Answer::More,
        Some(0x15 | 0x16) if bytes.len() >= 5 => Answer::Good(Note::default()),
        Some(0x15 | 0x16) if !ended => Answer::More,
        _ => Answer::Garbage(Note::default()),
    }
}
