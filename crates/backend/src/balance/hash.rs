//! Hashes of keys (`hash-type`).

use portcullis_config::{HashFunction, HashType};
use portcullis_sample::convert::hash::{avalanche, crc32, djb2, sdbm, wt6};
use std::net::IpAddr;

fn finish(how: HashType, hash: u32) -> u32 {
    if how.avalanche { avalanche(hash) } else { hash }
}

/// The hash of a key.
#[must_use]
pub fn of_bytes(how: HashType, key: &[u8]) -> u32 {
    let hash = match how.function {
        HashFunction::Sdbm => sdbm(key),
        HashFunction::Djb2 => djb2(key),
        HashFunction::Wt6 => wt6(key),
        HashFunction::Crc32 => crc32(key),
        HashFunction::None => number(key) as u32,
    };
    finish(how, hash)
}

/// The hash of a source address: its words folded into one, whatever the function.
#[must_use]
pub fn of_address(how: HashType, ip: IpAddr) -> u32 {
    let hash = match ip {
        IpAddr::V4(ip) => ip.into(),
        IpAddr::V6(ip) => {
            let words = u128::from(ip);
            (words >> 96) as u32 ^ (words >> 64) as u32 ^ (words >> 32) as u32 ^ words as u32
        }
    };
    finish(how, hash)
}

/// A sign and decimal digits, whatever follows; saturating.
fn number(key: &[u8]) -> i64 {
    let (negative, digits) = match key {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        all => (false, all),
    };
    let digits = digits.iter().take_while(|b| b.is_ascii_digit()).map(|b| i64::from(b - b'0'));
    digits.fold(0i64, |n, d| {
        let n = n.saturating_mul(10);
        if negative { n.saturating_sub(d) } else { n.saturating_add(d) }
    })
}
