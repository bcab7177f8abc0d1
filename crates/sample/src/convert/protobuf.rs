//! Protocol buffers and gRPC messages: one field by its path of numbers.

use super::bytes;
use crate::args::{Arg, ArgKind, Args};
use crate::row::Convert;
use crate::value::{Bytes, Sample, Type, Value};
use std::sync::Arc;

/// How a field's bytes are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Bool,
    Enum,
    Fixed64,
    Sfixed64,
    Double,
    Fixed32,
    Sfixed32,
    Float,
}

const KINDS: [(&str, Kind, u64); 14] = [
    ("int32", Kind::Int32, 0),
    ("int64", Kind::Int64, 0),
    ("uint32", Kind::Uint32, 0),
    ("uint64", Kind::Uint64, 0),
    ("sint32", Kind::Sint32, 0),
    ("sint64", Kind::Sint64, 0),
    ("bool", Kind::Bool, 0),
    ("enum", Kind::Enum, 0),
    ("fixed64", Kind::Fixed64, 1),
    ("sfixed64", Kind::Sfixed64, 1),
    ("double", Kind::Double, 1),
    ("fixed32", Kind::Fixed32, 5),
    ("sfixed32", Kind::Sfixed32, 5),
    ("float", Kind::Float, 5),
];

/// What is looked for.
#[derive(Clone, Debug)]
struct Field {
    path: Vec<u64>,
    kind: Option<(Kind, u64)>,
}

fn check(args: &mut Args) -> Result<(), String> {
    let path = match args.0.first() {
        Some(Arg::Path(p)) => p.to_vec(),
        _ => return Err("missing field number".into()),
    };
    let kind = match args.text(1) {
        b"" => None,
        name => {
            let found = KINDS.iter().find(|(n, _, _)| n.as_bytes() == name);
            let wrong = || format!("Wrong protocol buffer type '{}'", String::from_utf8_lossy(name));
            Some(found.map(|(_, k, wire)| (*k, *wire)).ok_or_else(wrong)?)
        }
    };
    args.0 = vec![Arg::Made(Arc::new(Field { path, kind }))];
    Ok(())
}

/// A variable-length integer and what follows it.
fn varint(b: &[u8]) -> Option<(u64, &[u8])> {
    let mut n = 0u64;
    for (i, byte) in b.iter().take(10).enumerate() {
        n |= u64::from(byte & 0x7F).checked_shl(7 * i as u32)?;
        if byte & 0x80 == 0 {
            return Some((n, b.get(i + 1..)?));
        }
    }
    None
}

/// Start and end, inside `message`, of the first field of this number and (if asked for) wire type.
fn locate(message: &[u8], number: u64, wire: Option<u64>) -> Option<(std::ops::Range<usize>, u64)> {
    let mut rest = message;
    while !rest.is_empty() {
        let (key, after) = varint(rest)?;
        let (content, skipped) = match key & 7 {
            0 => {
                let (_, end) = varint(after)?;
                (after.get(..after.len() - end.len())?, end)
            }
            1 => (after.get(..8)?, after.get(8..)?),
            2 => {
                let (len, body) = varint(after)?;
                let len = usize::try_from(len).ok()?;
                (body.get(..len)?, body.get(len..)?)
            }
            5 => (after.get(..4)?, after.get(4..)?),
            _ => return None,
        };
        if key >> 3 == number && wire.is_none_or(|w| w == key & 7) {
            let start = message.len() - skipped.len() - content.len();
            return Some((start..start + content.len(), key & 7));
        }
        rest = skipped;
    }
    None
}

fn number(kind: Kind, b: &[u8]) -> Option<Value<'static>> {
    let int = || varint(b).map(|(n, _)| n);
    let four = || b.get(..4).and_then(|b| <[u8; 4]>::try_from(b).ok());
    let eight = || b.get(..8).and_then(|b| <[u8; 8]>::try_from(b).ok());
    let zigzag = |n: u64| (n >> 1) as i64 ^ -((n & 1) as i64);
    Some(Value::Int(match kind {
        Kind::Int32 => i64::from(int()? as i32),
        Kind::Enum => i64::from(int()? as i32),
        Kind::Uint32 => i64::from(int()? as u32),
        Kind::Int64 | Kind::Uint64 | Kind::Bool => int()? as i64,
        Kind::Sint32 => zigzag(u64::from(int()? as u32)),
        Kind::Sint64 => zigzag(int()?),
        Kind::Fixed64 | Kind::Sfixed64 => i64::from_le_bytes(eight()?),
        Kind::Double => f64::from_le_bytes(eight()?) as i64,
        Kind::Fixed32 => i64::from(u32::from_le_bytes(four()?)),
        Kind::Sfixed32 => i64::from(i32::from_le_bytes(four()?)),
        Kind::Float => f32::from_le_bytes(four()?) as i64,
    }))
}

fn find<'s>(b: Bytes<'s>, base: usize, field: &Field) -> Option<Value<'s>> {
    let (last, parents) = field.path.split_last()?;
    let mut span = base..b.len();
    for n in parents {
        let (r, _) = locate(b.get(span.clone())?, *n, Some(2))?;
        span = span.start + r.start..span.start + r.end;
    }
    let (r, wire) = locate(b.get(span.clone())?, *last, field.kind.map(|k| k.1))?;
    let (start, end) = (span.start + r.start, span.start + r.end);
    match field.kind {
        Some((kind, _)) => number(kind, b.get(start..end)?),
        None if wire == 2 || wire == 0 || wire == 1 || wire == 5 => {
            Some(Value::Bin(super::text::slice(b, start, end)))
        }
        None => None,
    }
}

fn protobuf<'s>(a: &Args, v: Value<'s>, grpc: bool) -> Sample<'s> {
    let (Some(b), Some(field)) = (bytes(v), a.made::<Field>(0)) else { return Sample::Missing };
    if !grpc {
        return find(b, 0, field).into();
    }
    // compressed flag, length, message; again and again
    let mut at = 0;
    while let Some(head) = b.get(at..at + 5) {
        let len = head.iter().skip(1).fold(0usize, |n, b| n << 8 | usize::from(*b));
        let end = (at + 5).saturating_add(len);
        if end > b.len() {
            return Sample::Missing;
        }
        let part = super::text::slice(b.clone(), at + 5, end);
        if let Some(v) = find(part, 0, field) {
            return v.into();
        }
        at = end;
    }
    Sample::Missing
}

const FIELD: &[ArgKind] = &[ArgKind::Path, ArgKind::Str];

/// Rows.
pub const ROWS: &[Convert] = &[
    Convert::new("protobuf", Type::Bin, Type::Bin, "A field of a protocol buffers message.", |a, v, _| {
        protobuf(a, v, false)
    })
    .with(1, FIELD)
    .checked(check),
    Convert::new("ungrpc", Type::Bin, Type::Bin, "A field of a gRPC message.", |a, v, _| {
        protobuf(a, v, true)
    })
    .with(1, FIELD)
    .checked(check),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_messages_end() {
        let f = Field { path: vec![1], kind: None };
        for m in [
            &b"\x0a\xff\xff\xff\xff\x0f"[..],
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x0a",
            b"\x0b",
            b"",
        ] {
            assert_eq!(find(m.into(), 0, &f), None);
        }
        assert_eq!(find(b"\x10\x01\x0a\x02hi"[..].into(), 0, &f), Some(Value::bin(b"hi")));
    }
}
