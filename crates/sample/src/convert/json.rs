//! JSON: escaping of strings, and queries of documents. Documents are scanned where they stand: no tree is built, and
//! nesting has a limit.

use super::bytes;
use crate::args::{Arg, ArgKind, Args};
use crate::row::Convert;
use crate::value::{Bytes, Sample, Type, Value};
use std::borrow::Cow;
use std::sync::Arc;

/// How `json` reads its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decoder {
    /// Each byte is a character.
    Ascii,
    /// UTF-8; overlong sequences are accepted, characters with errors are left out instead of failing.
    Utf8 { permissive: bool, silent: bool },
}

fn check_decoder(args: &mut Args) -> Result<(), String> {
    let utf8 = |permissive, silent| Decoder::Utf8 { permissive, silent };
    let decoder = match args.text(0) {
        b"" | b"ascii" => Decoder::Ascii,
        b"utf8" => utf8(false, false),
        b"utf8s" => utf8(false, true),
        b"utf8p" => utf8(true, false),
        b"utf8ps" => utf8(true, true),
        _ => {
            return Err("Unexpected input code type. Allowed value are 'ascii', 'utf8', 'utf8s', 'utf8p' and 'utf8ps'"
                .into());
        }
    };
    args.0 = vec![Arg::Made(Arc::new(decoder))];
    Ok(())
}

/// One character of UTF-8: its code, its length, and what is wrong with it: overlong, or more.
fn utf8(b: &[u8]) -> (u32, usize, bool, bool) {
    let first = b.first().copied().unwrap_or(0);
    let (len, bits) = match first {
        0..0x80 => return (u32::from(first), 1, false, false),
        0xC0..0xE0 => (2, first & 0x1F),
        0xE0..0xF0 => (3, first & 0x0F),
        0xF0..0xF8 => (4, first & 0x07),
        0xF8..0xFC => (5, first & 0x03),
        0xFC..0xFE => (6, first & 0x01),
        _ => return (0, 1, false, true),
    };
    let mut code = u32::from(bits);
    for i in 1..len {
        match b.get(i) {
            Some(c) if c & 0xC0 == 0x80 => code = code << 6 | u32::from(c & 0x3F),
            _ => return (0, i, false, true),
        }
    }
    let smallest = [0, 0, 0x80, 0x800, 0x1_0000, 0x20_0000, 0x400_0000].get(len).copied().unwrap_or(0);
    let prohibited = (0xD800..=0xDFFF).contains(&code) || matches!(code, 0xFFFE | 0xFFFF);
    (code, len, code < smallest, prohibited)
}

/// Escapes for a JSON string.
fn escape(decoder: Decoder, b: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(b.len() + 16);
    let mut rest = b;
    while let Some(first) = rest.first() {
        let (code, len, overlong, bad) = match decoder {
            Decoder::Ascii => (u32::from(*first), 1, false, false),
            Decoder::Utf8 { .. } => utf8(rest),
        };
        rest = rest.get(len..).unwrap_or(&[]);
        if let Decoder::Utf8 { permissive, silent } = decoder
            && (bad || overlong && !permissive || code > 0xFFFF)
        {
            if silent {
                continue;
            }
            return None;
        }
        match code {
            0x22 | 0x2F | 0x5C => out.extend_from_slice(&[b'\\', code as u8]),
            0x08 => out.extend_from_slice(b"\\b"),
            0x09 => out.extend_from_slice(b"\\t"),
            0x0A => out.extend_from_slice(b"\\n"),
            0x0C => out.extend_from_slice(b"\\f"),
            0x0D => out.extend_from_slice(b"\\r"),
            0x20..0x7F => out.push(code as u8),
            _ => out.extend_from_slice(format!("\\u{code:04x}").as_bytes()),
        }
    }
    Some(out)
}

/// A value where it stands in a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Json<'a> {
    /// The string between its quotes, still escaped.
    Str(&'a [u8]),
    Number(&'a [u8]),
    Bool(bool),
    Null,
    /// With its brackets.
    Array(&'a [u8]),
    Object(&'a [u8]),
}

const DEPTH: usize = 64;

fn blank(b: &[u8]) -> &[u8] {
    b.trim_ascii_start()
}

/// The string at the start of `b` (behind its quote), and what follows it.
fn string(b: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut i = 0;
    loop {
        match b.get(i)? {
            b'"' => return Some((b.get(..i)?, b.get(i + 1..)?)),
            b'\\' => i += 2,
            _ => i += 1,
        }
    }
}

/// The value at the start of `b`, and what follows it.
fn value(b: &[u8], depth: usize) -> Option<(Json<'_>, &[u8])> {
    let b = blank(b);
    match b.first()? {
        b'"' => string(b.get(1..)?).map(|(s, rest)| (Json::Str(s), rest)),
        open @ (b'{' | b'[') => {
            let rest = members(b, depth, &mut |_, _| true)?;
            let whole = b.get(..b.len() - rest.len())?;
            Some((if *open == b'{' { Json::Object(whole) } else { Json::Array(whole) }, rest))
        }
        b't' => Some((Json::Bool(true), b.strip_prefix(b"true")?)),
        b'f' => Some((Json::Bool(false), b.strip_prefix(b"false")?)),
        b'n' => Some((Json::Null, b.strip_prefix(b"null")?)),
        b'-' | b'0'..=b'9' => {
            let end = b
                .iter()
                .position(|c| !matches!(c, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9'))
                .unwrap_or(b.len());
            Some((Json::Number(b.get(..end)?), b.get(end..)?))
        }
        _ => None,
    }
}

/// A member of an object or array, as its visitor sees it: the key (or nothing) and the value. `false` ends the visit.
type Visit<'v, 'a> = &'v mut dyn FnMut(Option<&'a [u8]>, Json<'a>) -> bool;

/// Visits the members of the object or array at the start of `b`; what follows it (or the member that ended the visit).
fn members<'a>(b: &'a [u8], depth: usize, visit: Visit<'_, 'a>) -> Option<&'a [u8]> {
    if depth > DEPTH {
        return None;
    }
    let (object, end) = match b.first()? {
        b'{' => (true, b'}'),
        b'[' => (false, b']'),
        _ => return None,
    };
    let mut rest = blank(b.get(1..)?);
    if rest.first() == Some(&end) {
        return rest.get(1..);
    }
    loop {
        let mut key = None;
        if object {
            let (k, after) = string(blank(rest).strip_prefix(b"\"")?)?;
            key = Some(k);
            rest = blank(after).strip_prefix(b":")?;
        }
        let (v, after) = value(rest, depth + 1)?;
        rest = blank(after);
        if !visit(key, v) {
            return Some(rest);
        }
        match rest.first()? {
            b',' => rest = rest.get(1..)?,
            c if *c == end => return rest.get(1..),
            _ => return None,
        }
    }
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(Vec<u8>),
    Index(usize),
}

/// A compiled query.
#[derive(Clone, Debug)]
pub(super) struct Query {
    path: Vec<Step>,
    /// `int` was asked for.
    int: bool,
}

impl Query {
    /// Reads a path (`$.a.b[2]`) and an output type.
    pub(super) fn new(path: &[u8], output: &[u8]) -> Result<Self, String> {
        let int = match output {
            b"" => false,
            b"int" => true,
            _ => {
                return Err("output_type only supports \"int\" as argument".into());
            }
        };
        Ok(Self { path: steps(path), int })
    }

    /// What the path leads to.
    fn find<'a>(&self, document: &'a [u8]) -> Option<Json<'a>> {
        let (mut now, _) = value(document, 0)?;
        for step in &self.path {
            let inside = match now {
                Json::Object(b) | Json::Array(b) => b,
                _ => return None,
            };
            let mut found = None;
            let mut at = 0;
            members(inside, 0, &mut |key, v| {
                let hit = match (step, key) {
                    (Step::Key(want), Some(key)) => want == key,
                    (Step::Index(n), None) => *n == at,
                    _ => false,
                };
                at += 1;
                if hit {
                    found = Some(v);
                }
                !hit
            })?;
            now = found?;
        }
        Some(now)
    }

    /// The sample that the query gives.
    pub(super) fn run(&self, document: &[u8]) -> Option<Value<'static>> {
        let text = |b: &[u8]| Value::Str(Cow::Owned(b.to_vec()));
        Some(match self.find(document)? {
            Json::Number(n) => {
                if self.int {
                    Value::Int(whole(n)?)
                } else {
                    text(shown(float(n)?).as_bytes())
                }
            }
            Json::Bool(b) => Value::Bool(b),
            Json::Str(s) => {
                // a text also where a number is asked for
                Value::Str(Cow::Owned(unescape(s)?))
            }
            Json::Array(a) => text(a),
            Json::Object(_) | Json::Null => return None,
        })
    }
}

/// What a path (`$.a.b[2]`) leads to in a document: the text of a string, anything else as it stands there.
#[must_use]
pub fn look(document: &[u8], path: &str) -> Option<String> {
    let found = Query { path: steps(path.as_bytes()), int: false }.find(document)?;
    let text = match found {
        // RFC 8259 section 7 has an escape that HAProxy's converters do not know
        Json::Str(s) => unescape(String::from_utf8_lossy(s).replace("\\/", "/").as_bytes())?,
        Json::Number(b) | Json::Array(b) | Json::Object(b) => b.to_vec(),
        Json::Bool(b) => b.to_string().into_bytes(),
        Json::Null => return None,
    };
    String::from_utf8(text).ok()
}

/// The whole number that a text begins with; `None`: JSON does not have it exactly (RFC 7493 section 2.2).
fn whole(n: &[u8]) -> Option<i64> {
    let digits = n.iter().skip(1).take_while(|b| b.is_ascii_digit()).count();
    let n: i64 = std::str::from_utf8(n.get(..=digits)?).ok()?.parse().ok()?;
    (n.unsigned_abs() < 1 << 53).then_some(n)
}

/// The number that a text begins with.
fn float(n: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(n).ok()?;
    (1..=text.len()).rev().find_map(|end| text.get(..end)?.parse().ok())
}

/// A number as C's `%g` shows it, which is how HAProxy does: six digits that count.
fn shown(n: f64) -> String {
    let rounded = format!("{n:.5e}");
    let Some((digits, exponent)) = rounded.split_once('e') else { return rounded };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |t: &str| {
        if t.contains('.') { t.trim_end_matches('0').trim_end_matches('.').to_owned() } else { t.to_owned() }
    };
    if (-4..6).contains(&exponent) {
        let decimals = usize::try_from(5 - exponent).unwrap_or(0);
        return trimmed(&format!("{n:.decimals$}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trimmed(digits), exponent.unsigned_abs())
}

/// The steps of a path; what it can't read ends it.
fn steps(path: &[u8]) -> Vec<Step> {
    let mut rest = path.strip_prefix(b"$").unwrap_or(path);
    let mut all = Vec::new();
    while let Some((first, after)) = rest.split_first() {
        match first {
            b'[' => {
                let end = after.iter().position(|b| *b == b']').unwrap_or(after.len());
                let inside = after.get(..end).unwrap_or(after);
                rest = after.get(end + 1..).unwrap_or(&[]);
                all.push(match std::str::from_utf8(inside).ok().and_then(|t| t.parse().ok()) {
                    Some(n) => Step::Index(n),
                    None => Step::Key(inside.trim_ascii().to_vec()),
                });
            }
            _ => {
                let name = if *first == b'.' { after } else { rest };
                let (mut key, mut i) = (Vec::new(), 0);
                while let Some(b) = name.get(i) {
                    match b {
                        b'\\' if name.get(i + 1).is_some() => {
                            i += 1;
                            key.extend(name.get(i));
                        }
                        b'.' | b'[' => break,
                        b => key.push(*b),
                    }
                    i += 1;
                }
                rest = name.get(i..).unwrap_or(&[]);
                all.push(Step::Key(key));
            }
        }
    }
    all
}

/// The text of a string.
fn unescape(s: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(s.len());
    let mut i = 0;
    while let Some(b) = s.get(i) {
        i += 1;
        if *b != b'\\' {
            out.push(*b);
            continue;
        }
        let c = s.get(i)?;
        i += 1;
        out.push(match c {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'b' => 8,
            b'f' => 12,
            b'"' | b'\\' => *c,
            // as in HAProxy, which has no others
            b'u' => {
                let hex = s.get(i..i + 4).and_then(|h| std::str::from_utf8(h).ok())?;
                i += 4;
                u8::try_from(u32::from_str_radix(hex, 16).ok()?).ok()?
            }
            _ => return None,
        });
    }
    Some(out)
}

/// Puts the query where its arguments stood.
pub(super) fn check_query(args: &mut Args) -> Result<(), String> {
    if args.text(0).is_empty() && args.text(1).is_empty() {
        args.0.clear();
        return Ok(());
    }
    let query = Query::new(args.text(0), args.text(1))?;
    args.0 = vec![Arg::Made(Arc::new(query))];
    Ok(())
}

fn query<'s>(a: &Args, v: Value<'s>) -> Sample<'s> {
    let (Some(b), Some(q)) = (bytes(v), a.made::<Query>(0)) else { return Sample::Missing };
    q.run(&b).into()
}

fn json<'s>(a: &Args, v: Value<'s>) -> Sample<'s> {
    let (Some(b), Some(d)) = (bytes(v), a.made::<Decoder>(0)) else { return Sample::Missing };
    if b.iter().all(|c| matches!(c, 0x20..0x7F) && !matches!(c, b'"' | b'\\' | b'/')) {
        return Value::Str(b).into();
    }
    escape(*d, &b).map(|t| Value::Str(Bytes::Owned(t))).into()
}

/// Rows.
pub const ROWS: &[Convert] = &[
    Convert::new("json", Type::Str, Type::Str, "Escaped for a JSON string.", |a, v, _| json(a, v))
        .with(1, &[ArgKind::Str])
        .checked(check_decoder),
    Convert::new(
        "json_query",
        Type::Str,
        Type::Any,
        "What a path leads to in a JSON document.",
        |a, v, _| query(a, v),
    )
    .with(1, &[ArgKind::Str, ArgKind::Str])
    .checked(check_query),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_as_c_does() {
        for (n, text) in [
            (0.0, "0"),
            (17.0, "17"),
            (-5.0, "-5"),
            (1.5, "1.5"),
            (123_456.0, "123456"),
            (1_234_567.0, "1.23457e+06"),
            (0.0001, "0.0001"),
            (0.000_012_3, "1.23e-05"),
            (999_999.5, "1e+06"),
            (1e20, "1e+20"),
            (1e300, "1e+300"),
        ] {
            assert_eq!(shown(n), text);
        }
    }

    #[test]
    fn values_by_path() {
        let document = br#"{"a": [{"b": "http:\/\/h\u0026"}, 5], "c": null, "d": true}"#;
        assert_eq!(look(document, "$.a[0].b").as_deref(), Some("http://h&"));
        assert_eq!(look(document, "$.a[1]").as_deref(), Some("5"));
        assert_eq!(look(document, "$.a[0]").as_deref(), Some(r#"{"b": "http:\/\/h\u0026"}"#));
        assert_eq!((look(document, "$.c"), look(document, "$.x")), (None, None));
        assert_eq!(look(document, "$.d").as_deref(), Some("true"));
    }

    #[test]
    fn hostile_documents_end() {
        let q = Query::new(b"$.a", b"").unwrap();
        for d in ["", "{", "{\"a", "{\"a\":", "{\"a\":[", "[1,", "{\"a\":\"\\", "{\"b\":{}}", "{\"a\":tru"] {
            assert_eq!(q.run(d.as_bytes()), None, "{d}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(q.run(deep.as_bytes()), None);
    }
}
