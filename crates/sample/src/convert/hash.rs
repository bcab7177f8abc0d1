//! Hashes that are not for secrets: the same as balancing uses.

use super::bytes;
use crate::args::{ArgKind, Args};
use crate::row::Convert;
use crate::value::{Sample, Type, Value};
use twox_hash::{XxHash3_64, XxHash32, XxHash64};

/// The full avalanche that follows a hash where the argument asks for it.
#[must_use]
pub fn avalanche(mut a: u32) -> u32 {
    a = a.wrapping_mul(4097).wrapping_add(0x7ED5_5D16);
    a = a ^ 0xC761_C23C ^ (a >> 19);
    a = a.wrapping_mul(33).wrapping_add(0x1656_67B1);
    a = a.wrapping_add(0xD3A2_646C) ^ (a << 9);
    a = a.wrapping_mul(9).wrapping_add(0xFD70_46C5);
    a = a ^ 0xB55A_4F09 ^ (a >> 16);
    a.wrapping_mul(0xC000_0001)
}

/// SDBM.
#[must_use]
pub fn sdbm(b: &[u8]) -> u32 {
    b.iter().fold(0, |h: u32, c| h.wrapping_mul(65599).wrapping_add(u32::from(*c)))
}

/// DJB2.
#[must_use]
pub fn djb2(b: &[u8]) -> u32 {
    b.iter().fold(5381, |h: u32, c| h.wrapping_mul(33).wrapping_add(u32::from(*c)))
}

/// WT6.
#[must_use]
pub fn wt6(b: &[u8]) -> u32 {
    let (mut h0, mut h1) = (0xA53C_965A_u32, 0x5CA6_953A_u32);
    let (mut s0, mut s1) = (6, 18);
    for c in b {
        h0 = !(h0 ^ u32::from(*c));
        h1 = !(h1.wrapping_add(u32::from(*c)));
        (h0, h1) = (h1.rotate_left(s0), h0.rotate_left(s1));
        let t = ((h0 >> 16) ^ h1) & 0xFFFF;
        (s0, s1) = (t & 31, t >> 11);
    }
    h0 ^ h1
}

const fn table(polynomial: u32) -> [u32; 256] {
    let mut t = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut c = i as u32;
        let mut k = 0;
        while k < 8 {
            c = if c & 1 == 1 { c >> 1 ^ polynomial } else { c >> 1 };
            k += 1;
        }
        t[i] = c;
        i += 1;
    }
    t
}
static CRC32: [u32; 256] = table(0xEDB8_8320);
static CRC32C: [u32; 256] = table(0x82F6_3B78);

fn crc(table: &[u32; 256], b: &[u8]) -> u32 {
    !b.iter().fold(!0, |c: u32, x| table[usize::from(c as u8 ^ x)] ^ c >> 8)
}

/// CRC-32, as zlib's.
#[must_use]
pub fn crc32(b: &[u8]) -> u32 {
    crc(&CRC32, b)
}

/// XXH64.
#[must_use]
pub fn xxh64(seed: u64, b: &[u8]) -> u64 {
    XxHash64::oneshot(seed, b)
}

/// XXH32.
#[must_use]
pub fn xxh32(seed: u32, b: &[u8]) -> u32 {
    XxHash32::oneshot(seed, b)
}

fn of32(a: &Args, v: Value<'_>, hash: fn(&[u8]) -> u32) -> Sample<'static> {
    let Some(b) = bytes(v) else { return Sample::Missing };
    let h = hash(&b);
    Value::Int(i64::from(if a.int(0).unwrap_or(0) == 0 { h } else { avalanche(h) })).into()
}
fn seeded(a: &Args, v: Value<'_>, hash: fn(u64, &[u8]) -> u64) -> Sample<'static> {
    let Some(b) = bytes(v) else { return Sample::Missing };
    Value::Int(hash(a.int(0).unwrap_or(0) as u64, &b) as i64).into()
}

const OPTION: &[ArgKind] = &[ArgKind::Int];

macro_rules! hash {
    ($name:literal, $help:literal, $way:ident, $f:expr) => {
        Convert::new($name, Type::Bin, Type::Int, $help, |a, v, _| $way(a, v, $f)).with(0, OPTION)
    };
}

/// Rows.
pub const ROWS: &[Convert] = &[
    hash!("crc32", "CRC-32.", of32, crc32),
    hash!("crc32c", "CRC-32C.", of32, |b| crc(&CRC32C, b)),
    hash!("djb2", "DJB2 hash.", of32, djb2),
    hash!("sdbm", "SDBM hash.", of32, sdbm),
    hash!("wt6", "WT6 hash.", of32, wt6),
    hash!("xxh32", "XXH32 with this seed.", seeded, |s, b| u64::from(xxh32(s as u32, b))),
    hash!("xxh64", "XXH64 with this seed.", seeded, xxh64),
    hash!("xxh3", "XXH3 (64 bits) with this seed.", seeded, XxHash3_64::oneshot_with_seed),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        assert_eq!((sdbm(b"a"), djb2(b"a"), wt6(b"a"), wt6(b"")), (97, 177_670, 1_900_802_597, 0xF99A_0360));
        assert_eq!((avalanche(sdbm(b"a")), avalanche(0)), (1_830_748_055, 2_874_071_335));
        assert_eq!((crc32(b"123456789"), crc(&CRC32C, b"123456789")), (0xCBF4_3926, 0xE306_9283));
        assert_eq!(XxHash3_64::oneshot_with_seed(0, b"") as i64, 3_244_421_341_483_603_138);
    }
}
