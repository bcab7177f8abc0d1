//! FIX (Financial Information eXchange): `tag=value` pairs between SOH characters.

use super::bytes;
use crate::args::{Arg, ArgKind, Args};
use crate::row::Convert;
use crate::value::{Sample, Type, Value};

const BEGIN: u64 = 8;
const LENGTH: u64 = 9;
const CHECKSUM: u64 = 10;
const KIND: u64 = 35;
const NAMES: [(&str, u64); 6] = [
    ("BeginString", BEGIN),
    ("BodyLength", LENGTH),
    ("MsgType", KIND),
    ("SenderCompID", 49),
    ("TargetCompID", 56),
    ("CheckSum", CHECKSUM),
];
/// Of what is shorter 3.5 says nothing yet.
const SHORTEST: usize = 26;
const VERSIONS: [&str; 10] = [
    "FIX.4.0",
    "FIX.4.1",
    "FIX.4.2",
    "FIX.4.3",
    "FIX.4.4",
    "FIX.5.0",
    "FIX.5.0SP1",
    "FIX.5.0SP2",
    "FIXT.1.1",
    "FIXT1.1",
];

fn check_tag(args: &mut Args) -> Result<(), String> {
    let text = String::from_utf8_lossy(args.text(0)).into_owned();
    let tag = NAMES
        .iter()
        .find(|(n, _)| *n == text)
        .map(|(_, t)| *t)
        .or_else(|| text.parse().ok())
        .ok_or_else(|| format!("Unknown FIX tag name '{text}'"))?;
    args.0 = vec![Arg::Int(tag as i64)];
    Ok(())
}

/// The field at the start of `b`: tag, range of the value from there, length with its SOH.
fn field(b: &[u8]) -> Option<(u64, std::ops::Range<usize>, usize)> {
    let end = b.iter().position(|c| *c == 1)?;
    let eq = b.get(..end)?.iter().position(|c| *c == b'=')?;
    let digits = b.get(..eq)?;
    if digits.is_empty() || digits.len() > 18 || !digits.iter().all(u8::is_ascii_digit) || eq + 1 == end {
        return None;
    }
    let tag = digits.iter().fold(0, |n, d| n * 10 + u64::from(d - b'0'));
    Some((tag, eq + 1..end, end + 1))
}

/// Well-formed fields, the three that must come first, a right length and a right checksum.
fn valid(b: &[u8]) -> Option<bool> {
    let number = |b: &[u8]| std::str::from_utf8(b).ok()?.parse::<usize>().ok();
    if b.len() < SHORTEST {
        return None;
    }
    let (mut at, mut i, mut body) = (0, 0, 0..0);
    loop {
        let rest = b.get(at..)?;
        let (tag, span, len) = field(rest)?;
        let value = rest.get(span)?;
        let right = match i {
            0 => tag == BEGIN && VERSIONS.iter().any(|v| v.as_bytes() == value),
            1 => {
                body = at + len..(at + len).checked_add(number(value)?)?;
                tag == LENGTH
            }
            2 => tag == KIND,
            _ => true,
        };
        if !right {
            return Some(false);
        }
        if i > 2 && tag == CHECKSUM {
            let sum = b.get(..at)?.iter().fold(0u8, |s, c| s.wrapping_add(*c));
            return Some(body.end == at && value.len() == 3 && number(value)? == usize::from(sum));
        }
        at += len;
        i += 1;
    }
}

fn value<'s>(a: &Args, v: Value<'s>) -> Sample<'s> {
    let (Some(b), Some(want)) = (bytes(v), a.int(0)) else { return Sample::Missing };
    let mut at = 0;
    while let Some((tag, span, len)) = b.get(at..).and_then(field) {
        if tag as i64 == want {
            return Value::Bin(super::text::slice(b, at + span.start, at + span.end)).into();
        }
        at += len;
    }
    Sample::Missing
}

/// Rows.
pub const ROWS: &[Convert] = &[
    Convert::new("fix_is_valid", Type::Bin, Type::Bool, "Is it a valid FIX message?", |_, v, _| {
        bytes(v).and_then(|b| valid(&b)).map(Value::Bool).into()
    }),
    Convert::new("fix_tag_value", Type::Bin, Type::Bin, "The value of a tag of a FIX message.", |a, v, _| {
        value(a, v)
    })
    .with(1, &[ArgKind::Str])
    .checked(check_tag),
];
