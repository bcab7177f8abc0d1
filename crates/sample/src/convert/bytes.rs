//! Blocks of bytes: hex, base64, parts.

use super::bytes;
use crate::args::{Arg, ArgKind, Args};
use crate::row::Convert;
use crate::scope::Scope;
use crate::value::{Bytes, Sample, Type, Value};
use portcullis_wire::base64::{STANDARD, URL, decode, encode};
use std::borrow::Cow;

fn made<'s>(
    v: Value<'s>,
    wrap: fn(Bytes<'s>) -> Value<'s>,
    f: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
) -> Sample<'s> {
    bytes(v).and_then(|b| f(&b)).map(|b| wrap(Cow::Owned(b))).into()
}

fn hex(b: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(b.len() * 2);
    portcullis_wire::hex::upper(&mut out, b);
    out
}

fn part<'s>(a: &Args, v: Value<'s>, s: &Scope<'_>) -> Sample<'s> {
    let Some(b) = bytes(v) else { return Sample::Missing };
    let Some(offset) = a.int_now(0, s) else { return Sample::Missing };
    let Ok(offset) = usize::try_from(offset) else { return Sample::Missing };
    if offset >= b.len() {
        return Value::bin(b"").into();
    }
    let end = if a.len() < 2 {
        b.len()
    } else {
        let Some(len) = a.int_now(1, s) else { return Sample::Missing };
        match usize::try_from(len) {
            Ok(len) => offset.saturating_add(len),
            Err(_) => return Sample::Missing,
        }
    };
    Value::Bin(super::text::slice(b, offset, end)).into()
}

fn check_part(args: &mut Args) -> Result<(), String> {
    super::numbers::check_int(args)?;
    match (args.int(0), args.int(1)) {
        (Some(..0), _) => Err("expects a non-negative integer".into()),
        (_, Some(..1)) => Err("expects a positive integer".into()),
        _ => Ok(()),
    }
}

/// Chunks of so many bytes as numbers or hex, with a separator between; what is left over unless it is cut off.
fn chunked(b: &[u8], args: &Args, write: impl Fn(&mut Vec<u8>, &[u8])) -> Vec<u8> {
    let size = args.int(1).and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0).unwrap_or(b.len().max(1));
    let cut = args.int(2).unwrap_or(0) != 0;
    let mut out = Vec::with_capacity(b.len() * 3);
    for (i, chunk) in b.chunks(size).enumerate() {
        if cut && chunk.len() < size {
            break;
        }
        if i > 0 {
            out.extend_from_slice(args.text(0));
        }
        write(&mut out, chunk);
    }
    out
}

fn decimal<'s>(a: &Args, v: Value<'s>, big: bool) -> Sample<'s> {
    made(v, Value::Str, |b| {
        Some(chunked(b, a, |out, chunk| {
            let add = |n: u64, b: &u8| n << 8 | u64::from(*b);
            let n = if big { chunk.iter().fold(0, add) } else { chunk.iter().rev().fold(0, add) };
            crate::number::unsigned(out, n);
        }))
    })
}

fn check_decimal(args: &mut Args) -> Result<(), String> {
    let size = args.int(1).unwrap_or(0);
    check_truncate(args)?;
    if (1..=8).contains(&size) { Ok(()) } else { Err(format!("chunk_size out of [1..8] range ({size})")) }
}

fn check_hex(args: &mut Args) -> Result<(), String> {
    check_truncate(args)?;
    match args.int(1) {
        Some(n) if n <= 0 => Err(format!("chunk_size needs to be positive ({n})")),
        None if !args.text(0).is_empty() => Err("chunk_size needs to be positive (0)".into()),
        _ => Ok(()),
    }
}

fn check_truncate(args: &mut Args) -> Result<(), String> {
    match args.int(2) {
        None | Some(0 | 1) => Ok(()),
        Some(n) => Err(format!("Unsupported truncate value ({n})")),
    }
}

/// Which control characters are looked for.
fn check_mask(args: &mut Args) -> Result<(), String> {
    let text = String::from_utf8_lossy(args.text(0)).into_owned();
    let mask = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        _ if text.is_empty() => Some(0x1_FFFF_FDFF),
        _ if text == "any" => Some(0x1_FFFF_FFFF),
        _ if text == "http" => Some(0x2401),
        Some(hex) => i64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    };
    let Some(mask) = mask else {
        let digits = |c: char| c.is_ascii_digit();
        let at = text.find(|c: char| !digits(c)).unwrap_or(0);
        return Err(format!(
            "cannot parse value '{text}', problem at position {at}; expecting an integer value (decimal or hex with '0x' prefix)"
        ));
    };
    let excess = mask & !0x1_FFFF_FFFF;
    if excess != 0 {
        return Err(format!("unsupported excess bits {excess:#x} in argument value {text}"));
    }
    args.0 = vec![Arg::Int(mask)];
    Ok(())
}

fn has_control(b: &[u8], mask: i64) -> bool {
    b.iter().any(|b| match b {
        0..32 => mask >> b & 1 == 1,
        127 => mask >> 32 & 1 == 1,
        _ => false,
    })
}

const CHUNKS: &[ArgKind] = &[ArgKind::Str, ArgKind::Int, ArgKind::Int];

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
    Convert::new("base2", Type::Bin, Type::Str, "In binary digits.", |_, v, _| {
        made(v, Value::Str, |b| {
            Some(b.iter().flat_map(|b| (0..8).rev().map(move |i| b'0' + (b >> i & 1))).collect())
        })
    }),
    Convert::new("be2dec", Type::Bin, Type::Str, "Chunks as big-endian numbers.", |a, v, _| {
        decimal(a, v, true)
    })
    .with(1, CHUNKS)
    .checked(check_decimal),
    Convert::new("le2dec", Type::Bin, Type::Str, "Chunks as little-endian numbers.", |a, v, _| {
        decimal(a, v, false)
    })
    .with(1, CHUNKS)
    .checked(check_decimal),
    Convert::new("be2hex", Type::Bin, Type::Str, "Chunks in hexadecimal.", |a, v, _| {
        made(v, Value::Str, |b| Some(chunked(b, a, portcullis_wire::hex::upper)))
    })
    .with(1, CHUNKS)
    .checked(check_hex),
    Convert::new("has_ctl", Type::Bin, Type::Bool, "Has it control characters?", |a, v, _| {
        bytes(v).map(|b| Value::Bool(has_control(&b, a.int(0).unwrap_or(0)))).into()
    })
    .with(0, &[ArgKind::Str])
    .checked(check_mask),
    Convert::new("bytes", Type::Bin, Type::Bin, "Some bytes from an offset.", part)
        .with(1, &[ArgKind::Str, ArgKind::Str])
        .checked(check_part),
];
