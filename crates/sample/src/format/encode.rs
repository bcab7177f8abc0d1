//! Encoded formats: `%{+json}o` and `%{+cbor}o` (manual section 8.2.6). Globally encoded, a format is one map of its
//! named items and all else in it is passed over; an item can be encoded by itself, too.

use super::alias::{self, Alias, Look};
use super::{Flags, Format, Item, Typed};
use crate::scope::Scope;
use crate::value::{Sample, Type, Value};

/// How values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Json,
    Cbor,
}

/// What `:type` behind an item's name asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Str,
    Int,
    Bool,
    /// Text as it is.
    Raw,
}

impl Kind {
    /// The type of this name.
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "str" => Self::Str,
            "sint" => Self::Int,
            "bool" => Self::Bool,
            "raw" => Self::Raw,
            _ => return None,
        })
    }
}

/// An item's value as an encoding sees it.
enum Datum {
    /// There is none.
    Missing,
    /// Nothing could ever be there.
    Null,
    Int(i64),
    Bool(bool),
    Text(Vec<u8>),
    /// Text that was escaped for logs; CBOR has it in pieces.
    Pieces(Vec<u8>),
    List(Vec<Vec<u8>>),
    Bytes(Vec<u8>),
    Raw(Vec<u8>),
}

impl Encoding {
    /// What these flags choose.
    pub(super) fn of(flags: Flags) -> Option<Self> {
        match flags {
            f if f.contains(Flags::JSON) => Some(Self::Json),
            f if f.contains(Flags::CBOR) => Some(Self::Cbor),
            _ => None,
        }
    }
}

/// A whole format.
pub(super) fn format(format: &Format, encoding: Encoding, scope: &Scope<'_>, out: &mut Vec<u8>) {
    let mut made = Vec::new();
    made.extend_from_slice(match encoding {
        Encoding::Json => b"{",
        Encoding::Cbor => &[0xBF],
    });
    let mut first = true;
    for item in &format.items {
        let Item::Typed(typed) = item else { continue };
        if typed.name.is_empty() {
            continue;
        }
        match encoding {
            Encoding::Json => {
                if !first {
                    made.extend_from_slice(b", ");
                }
                json_text(typed.name.as_bytes(), &mut made);
                made.extend_from_slice(b": ");
            }
            Encoding::Cbor => cbor_text(typed.name.as_bytes(), &mut made),
        }
        first = false;
        write(datum(typed, encoding, scope), encoding, &mut made);
    }
    made.push(match encoding {
        Encoding::Json => b'}',
        Encoding::Cbor => 0xFF,
    });
    put(&made, encoding, format.binary, out);
}

/// One item that is encoded by itself.
pub(super) fn item(typed: &Typed, encoding: Encoding, binary: bool, scope: &Scope<'_>, out: &mut Vec<u8>) {
    let mut made = Vec::new();
    write(datum(typed, encoding, scope), encoding, &mut made);
    put(&made, encoding, binary, out);
}

/// CBOR is shown in hexadecimal unless it may be binary.
fn put(made: &[u8], encoding: Encoding, binary: bool, out: &mut Vec<u8>) {
    match encoding {
        Encoding::Cbor if !binary => portcullis_wire::hex::upper(out, made),
        _ => out.extend_from_slice(made),
    }
}

fn datum(typed: &Typed, encoding: Encoding, scope: &Scope<'_>) -> Datum {
    let plain = match &typed.item {
        Item::Alias(alias, flags) => of_alias(*alias, *flags, scope),
        Item::Expr(expr, _) => match expr.eval(scope) {
            Sample::There(v) => of_value(v, encoding),
            _ => Datum::Missing,
        },
        _ => Datum::Missing,
    };
    let of_alias = matches!(typed.item, Item::Alias(..));
    match typed.kind {
        // 3.5 leaves the numbers of its aliases numbers in CBOR
        Some(Kind::Str) if of_alias && encoding == Encoding::Cbor => plain,
        Some(kind) => forced(plain, kind),
        None => plain,
    }
}

fn of_alias(alias: Alias, flags: Flags, scope: &Scope<'_>) -> Datum {
    let mut text = Vec::new();
    match alias.look() {
        Look::Lists => {
            let all = alias.captured(scope);
            if all.is_empty() { Datum::Null } else { Datum::List(all) }
        }
        look => {
            alias::write(alias, flags & Flags::HEX, scope, &mut text);
            let none = text.is_empty() || text == b"-";
            match look {
                Look::Captures if none => Datum::Null,
                _ if none => Datum::Missing,
                Look::Number => number(text),
                Look::Escaped | Look::Captures => Datum::Pieces(text),
                _ => Datum::Text(text),
            }
        }
    }
}

/// A number, without the sign that says that more may come; in hexadecimal it is text.
fn number(text: Vec<u8>) -> Datum {
    let digits = text.strip_prefix(b"+").unwrap_or(&text);
    match std::str::from_utf8(digits).ok().and_then(|t| t.parse().ok()) {
        Some(n) => Datum::Int(n),
        None => Datum::Text(text),
    }
}

fn of_value(value: Value<'_>, encoding: Encoding) -> Datum {
    match value {
        Value::Bool(b) => Datum::Bool(b),
        Value::Int(n) => Datum::Int(n),
        Value::Bin(b) if encoding == Encoding::Cbor => Datum::Bytes(b.into_owned()),
        Value::Bin(b) => {
            let end = b.iter().position(|b| *b == 0).unwrap_or(b.len());
            text(b.get(..end).unwrap_or(&b).to_vec())
        }
        other => text(other.into_text().into_owned()),
    }
}

fn text(bytes: Vec<u8>) -> Datum {
    if bytes.is_empty() { Datum::Missing } else { Datum::Text(bytes) }
}

/// The value as the type that is asked for.
fn forced(datum: Datum, kind: Kind) -> Datum {
    let shown = match &datum {
        Datum::Int(n) => n.to_string().into_bytes(),
        Datum::Bool(b) => vec![b'0' + u8::from(*b)],
        Datum::Text(t) | Datum::Pieces(t) | Datum::Raw(t) => t.clone(),
        Datum::Bytes(b) => match (Value::Bin(b.as_slice().into())).cast(Type::Str) {
            Some(v) => v.into_text().into_owned(),
            None => Vec::new(),
        },
        Datum::Missing | Datum::Null | Datum::List(_) => return datum,
    };
    match kind {
        Kind::Str => text(shown),
        Kind::Int => Datum::Int(crate::value::leading_int(&shown)),
        Kind::Bool => Datum::Bool(crate::value::leading_int(&shown) != 0),
        Kind::Raw => Datum::Raw(shown),
    }
}

fn write(datum: Datum, encoding: Encoding, out: &mut Vec<u8>) {
    match encoding {
        Encoding::Json => json(datum, out),
        Encoding::Cbor => cbor(datum, out),
    }
}

fn json(datum: Datum, out: &mut Vec<u8>) {
    match datum {
        Datum::Missing => out.extend_from_slice(b"\"\""),
        Datum::Null => out.extend_from_slice(b"null"),
        Datum::Int(n) => crate::number::signed(out, n),
        Datum::Bool(b) => out.extend_from_slice(if b { b"true" } else { b"false" }),
        Datum::Text(t) | Datum::Pieces(t) | Datum::Bytes(t) => json_text(&t, out),
        Datum::List(all) => {
            out.push(b'[');
            for (i, t) in all.iter().enumerate() {
                if i > 0 {
                    out.extend_from_slice(b", ");
                }
                json_text(t, out);
            }
            out.push(b']');
        }
        Datum::Raw(t) => out.extend_from_slice(&t),
    }
}

/// A JSON string; bytes that are not UTF-8 are shown as U+FFFD.
fn json_text(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for c in String::from_utf8_lossy(bytes).chars() {
        match c {
            '"' | '\\' => out.extend_from_slice(&[b'\\', c as u8]),
            '\t' => out.extend_from_slice(b"\\t"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            c if u32::from(c) < 0x20 => out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes()),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

fn cbor(datum: Datum, out: &mut Vec<u8>) {
    match datum {
        Datum::Missing | Datum::Null => out.push(0xF6),
        Datum::Int(n) if n < 0 => cbor_head(1, n.unsigned_abs() - 1, out),
        Datum::Int(n) => cbor_head(0, n.unsigned_abs(), out),
        Datum::Bool(b) => out.push(if b { 0xF5 } else { 0xF4 }),
        Datum::Text(t) => cbor_text(&t, out),
        Datum::Pieces(t) => {
            cbor_pieces(&t, out);
        }
        Datum::List(all) => {
            out.push(0x9F);
            all.iter().for_each(|t| cbor_pieces(t, out));
            out.push(0xFF);
        }
        Datum::Bytes(b) => {
            out.push(0x5F);
            cbor_head(2, b.len() as u64, out);
            out.extend_from_slice(&b);
            out.push(0xFF);
        }
        Datum::Raw(t) => out.extend_from_slice(&t),
    }
}

/// A major type and its number in as few bytes as it takes.
fn cbor_head(major: u8, n: u64, out: &mut Vec<u8>) {
    let kind = major << 5;
    match n {
        0..=23 => out.push(kind | n as u8),
        24..=0xFF => out.extend_from_slice(&[kind | 24, n as u8]),
        0x100..=0xFFFF => {
            out.push(kind | 25);
            out.extend_from_slice(&(n as u16).to_be_bytes());
        }
        0x1_0000..=0xFFFF_FFFF => {
            out.push(kind | 26);
            out.extend_from_slice(&(n as u32).to_be_bytes());
        }
        _ => {
            out.push(kind | 27);
            out.extend_from_slice(&n.to_be_bytes());
        }
    }
}

fn cbor_text(text: &[u8], out: &mut Vec<u8>) {
    cbor_head(3, text.len() as u64, out);
    out.extend_from_slice(text);
}

/// Text of indefinite length: each `#XX` and each brace or bar around captures is a piece of its own.
fn cbor_pieces(text: &[u8], out: &mut Vec<u8>) {
    out.push(0x7F);
    let mut rest = text;
    let mut escaped = false;
    while !rest.is_empty() {
        let len = match rest {
            // 3.5 has an empty piece between two of them
            [b'#', _, _, ..] if escaped => {
                out.push(0x60);
                3
            }
            [b'#', _, _, ..] => 3,
            [b'{' | b'|' | b'}', ..] => 1,
            _ => {
                rest.iter().position(|b| matches!(b, b'#' | b'{' | b'|' | b'}')).unwrap_or(rest.len()).max(1)
            }
        };
        escaped = rest.first() == Some(&b'#');
        let (piece, next) = rest.split_at(len.min(rest.len()));
        cbor_text(piece, out);
        rest = next;
    }
    out.push(0xFF);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_cbor() {
        let head = |n| {
            let mut out = Vec::new();
            cbor(Datum::Int(n), &mut out);
            out
        };
        assert_eq!(head(23), [0x17]);
        assert_eq!(head(24), [0x18, 24]);
        assert_eq!(head(256), [0x19, 1, 0]);
        assert_eq!(head(70_000), [0x1A, 0, 1, 0x11, 0x70]);
        assert_eq!(head(1 << 32), [0x1B, 0, 0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(head(-70_000), [0x3A, 0, 1, 0x11, 0x6F]);
        assert_eq!(head(i64::MIN), [0x3B, 0x7F, 255, 255, 255, 255, 255, 255, 255]);
    }

    #[test]
    fn json_strings_stay_json() {
        let mut out = Vec::new();
        json_text(b"a\"b\\\t\x01\xff\xc3\xa9", &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "\"a\\\"b\\\\\\t\\u0001\u{fffd}\u{e9}\"");
    }
}
