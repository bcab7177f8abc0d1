//! Converters (manual section 7.3.1), by subject.

mod bytes;
mod crypto;
pub mod debug;
mod digests;
mod fix;
mod forwarded;
mod frame;
pub mod hash;
pub mod json;
pub(crate) mod jwt;
mod map;
mod mqtt;
mod numbers;
mod protobuf;
mod text;
mod time;
pub mod vars;
mod x509;

use crate::row::{Convert, SampleRows};
use crate::value::{Bytes, Value};

const fn of(converters: &'static [Convert]) -> SampleRows {
    SampleRows { fetches: &[], converters, acls: &[] }
}

/// Rows.
pub const ROWS: [SampleRows; 18] = [
    of(bytes::ROWS),
    of(crypto::ROWS),
    of(debug::ROWS),
    of(fix::ROWS),
    of(forwarded::ROWS),
    of(frame::ROWS),
    of(hash::ROWS),
    of(json::ROWS),
    of(jwt::ROWS),
    of(jwt::decrypt::ROWS),
    of(map::ROWS),
    of(mqtt::ROWS),
    of(numbers::ROWS),
    of(protobuf::ROWS),
    of(text::ROWS),
    of(time::ROWS),
    of(vars::ROWS),
    of(x509::ROWS),
];

/// The bytes of a value that was cast to a string or a block.
fn bytes(v: Value<'_>) -> Option<Bytes<'_>> {
    match v {
        Value::Bin(b) | Value::Str(b) | Value::Method(b) => Some(b),
        _ => None,
    }
}

/// The SHA-1 digest, for what protocols want it.
#[must_use]
pub fn sha1(b: &[u8]) -> Vec<u8> {
    crypto::sha1(b)
}

pub(crate) use hash::{avalanche, sdbm};
