//! Blocks of bytes: hex, base64, parts.

use super::numbers::not_int;
use crate::args::{Arg, ArgKind, Args};
use crate::row::Convert;
use crate::value::{Bytes, Sample, Type, Value};
use std::borrow::Cow;

fn bytes<'s>(v: Value<'s>) -> Option<Bytes<'s>> {
    match v {
        Value::Bin(b) | Value::Str(b) | Value::Method(b) => Some(b),
        _ => None,
    }
}
fn made<'s>(
    v: Value<'s>,
    wrap: fn(Bytes<'s>) -> Value<'s>,
    f: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
) -> Sample<'s> {
    bytes(v).and_then(|b| f(&b)).map(|b| wrap(Cow::Owned(b))).into()
}

fn hex(b: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(b.len() * 2);
    crate::number::hex(&mut out, b);
    out
}

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn encode(alphabet: &[u8; 64], pad: bool, b: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(b.len().div_ceil(3) * 4);
    for chunk in b.chunks(3) {
        let word = chunk.iter().fold(0u32, |w, b| w << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            if i <= chunk.len() {
                out.push(alphabet[(word >> (18 - 6 * i)) as usize & 63]);
            } else if pad {
                out.push(b'=');
            }
        }
    }
    out
}

fn decode(alphabet: &[u8; 64], pad: bool, b: &[u8]) -> Option<Vec<u8>> {
    if pad && b.len() % 4 != 0 {
        return None;
    }
    let data = b.strip_suffix(b"==").or_else(|| b.strip_suffix(b"=")).unwrap_or(b);
    if data.len() % 4 == 1 {
        return None;
    }
    let mut out = Vec::with_capacity(data.len() / 4 * 3 + 2);
    for chunk in data.chunks(4) {
        let mut word = 0u32;
        for c in chunk {
            word = word << 6 | alphabet.iter().position(|a| a == c)? as u32;
        }
        word <<= 6 * (4 - chunk.len());
        let all = word.to_be_bytes();
        out.extend_from_slice(all.get(1..chunk.len())?);
    }
    Some(out)
}

fn part<'s>(a: &Args, v: Value<'s>) -> Sample<'s> {
    let Some(b) = bytes(v) else { return Sample::Missing };
    let offset = a.int(0).and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    if offset >= b.len() {
        return Value::bin(b"").into();
    }
    let end = match a.int(1) {
        Some(len) => offset.saturating_add(usize::try_from(len).unwrap_or(0)),
        None => b.len(),
    };
    Value::Bin(super::text::slice(b, offset, end)).into()
}

fn check_part(args: &mut Args) -> Result<(), String> {
    for a in &mut args.0 {
        let Arg::Str(text) = a else { continue };
        match crate::args::int(text) {
            Some(n) if n < 0 => return Err("expects a non-negative integer".into()),
            Some(n) => *a = Arg::Int(n),
            None if text.is_empty() => *a = Arg::Int(0),
            None => return Err(not_int(text)),
        }
    }
    Ok(())
}

/// Rows.
pub const ROWS: &[Convert] = &[
    Convert::new("hex", Type::Bin, Type::Str, "In hexadecimal.", |_, v, _| {
        made(v, Value::Str, |b| Some(hex(b)))
    }),
    Convert::new("base64", Type::Bin, Type::Str, "In base64.", |_, v, _| {
        made(v, Value::Str, |b| Some(encode(STANDARD, true, b)))
    }),
    Convert::new("b64dec", Type::Str, Type::Bin, "From base64.", |_, v, _| {
        made(v, Value::Bin, |b| decode(STANDARD, true, b))
    }),
    Convert::new("ub64enc", Type::Bin, Type::Str, "In base64url.", |_, v, _| {
        made(v, Value::Str, |b| Some(encode(URL, false, b)))
    }),
    Convert::new("ub64dec", Type::Str, Type::Bin, "From base64url.", |_, v, _| {
        made(v, Value::Bin, |b| decode(URL, false, b))
    }),
    Convert::new("bytes", Type::Bin, Type::Bin, "Some bytes from an offset.", |a, v, _| part(a, v))
        .with(1, &[ArgKind::Str, ArgKind::Str])
        .checked(check_part),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_rfc4648() {
        for (plain, coded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(encode(STANDARD, true, plain.as_bytes()), coded.as_bytes());
            assert_eq!(decode(STANDARD, true, coded.as_bytes()).unwrap(), plain.as_bytes());
        }
        assert_eq!(encode(URL, false, b"\xff\xfe"), b"__4");
        assert_eq!(decode(URL, false, b"__4").unwrap(), b"\xff\xfe");
        assert_eq!(decode(STANDARD, true, b"Zg="), None);
        assert_eq!(decode(STANDARD, true, b"Z!=="), None);
    }
}
