//! Cookies of requests and responses, under all their names (manual section 7.3.6).

use crate::args::{ArgKind, Args};
use crate::place::{EITHER, Needs, REQUEST, RESPONSE};
use crate::row::{Cursor, Fetch, FetchFn, SampleRows};
use crate::scope::{Direction, Message, Scope};
use crate::value::{Sample, Type, Value, short_int};
use portcullis_message::{Head, HeaderId, values};
use std::borrow::Cow;

/// A message, and whether it is the response, whose cookies are set.
struct From<'s>(Message<'s>, bool);

/// Where a fetch takes them from.
type Side = for<'s> fn(&Scope<'s>) -> From<'s>;

fn request<'s>(s: &Scope<'s>) -> From<'s> {
    From(s.request, false)
}
fn response<'s>(s: &Scope<'s>) -> From<'s> {
    From(s.response, true)
}
fn either<'s>(s: &Scope<'s>) -> From<'s> {
    match s.direction {
        Direction::Request => request(s),
        Direction::Response => response(s),
    }
}

/// Where the first of these bytes stands that is not within a quoted string.
fn unquoted(text: &[u8], ends: &[u8]) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    text.iter().position(|b| {
        if escaped {
            escaped = false;
        } else if quoted && *b == b'\\' {
            escaped = true;
        } else if *b == b'"' {
            quoted = !quoted;
        }
        !quoted && ends.contains(b)
    })
}

/// How a header is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Read {
    /// Every pair.
    All,
    /// `Set-Cookie`: what follows a cookie up to a comma are its attributes.
    Cookies,
    /// `Set-Cookie`: only semicolons separate, and the first pair is the cookie.
    First,
}

/// The pairs of one header.
struct Pairs<'s> {
    rest: &'s [u8],
    read: Read,
}

impl<'s> Iterator for Pairs<'s> {
    type Item = (&'s [u8], &'s [u8]);
    fn next(&mut self) -> Option<Self::Item> {
        let ends: &[u8] = if self.read == Read::First { b";" } else { b";," };
        loop {
            let text = self.rest;
            if text.is_empty() {
                return None;
            }
            let end = unquoted(text, ends).unwrap_or(text.len());
            self.rest = text.get(end + 1..).unwrap_or(&[]);
            let item = text.get(..end)?;
            let Some(eq) = item.iter().position(|b| *b == b'=') else { continue };
            let (name, value) = (values::trim(item.get(..eq)?), values::trim(item.get(eq + 1..)?));
            // `$Path` and the like tell about the cookie before (RFC 2965)
            if name.first() == Some(&b'$') || name.is_empty() && value.is_empty() {
                continue;
            }
            match self.read {
                Read::All => {}
                Read::First => self.rest = &[],
                Read::Cookies if text.get(end) == Some(&b',') => {}
                Read::Cookies => {
                    let comma = unquoted(self.rest, b",").unwrap_or(self.rest.len());
                    self.rest = self.rest.get(comma + 1..).unwrap_or(&[]);
                }
            }
            return Some((name, value));
        }
    }
}

/// Names and values: of `Cookie` headers, or of `Set-Cookie`, which are read so.
fn pairs(head: &Head, set: Option<Read>) -> impl Iterator<Item = (&[u8], &[u8])> {
    let id = if set.is_some() { HeaderId::SetCookie } else { HeaderId::Cookie };
    head.all(id).flat_map(move |rest| Pairs { rest, read: set.unwrap_or(Read::All) })
}

/// The head, or what to answer without it.
fn head(m: Message<'_>) -> Result<&Head, Sample<'static>> {
    match m.read() {
        Message::Here(h) => Ok(h),
        Message::Pending => Err(Sample::NotYet),
        _ => Err(Sample::Missing),
    }
}

fn value<'s>(from: From<'s>, args: &Args, cursor: &mut Cursor) -> Sample<'s> {
    let head = match head(from.0) {
        Ok(head) => head,
        Err(without) => return without,
    };
    let name = args.text(0);
    let read = from.1.then_some(Read::Cookies);
    let mut hits = pairs(head, read).filter(|(n, _)| name.is_empty() || *n == name).map(|(_, v)| v);
    if !cursor.all {
        // the last of this name, but the first of all
        let hit = if name.is_empty() { hits.next() } else { hits.last() };
        return hit.map(Value::str).into();
    }
    let value = hits.nth(cursor.index as usize);
    cursor.index += 1;
    cursor.more = value.is_some();
    value.map(Value::str).into()
}

fn number<'s>(from: From<'s>, args: &Args, cursor: &mut Cursor) -> Sample<'s> {
    match value(from, args, cursor) {
        Sample::There(v) => Value::Int(v.bytes().map_or(0, short_int)).into(),
        other => other,
    }
}

fn count<'s>(from: From<'s>, args: &Args, _: &mut Cursor) -> Sample<'s> {
    let name = args.text(0);
    match head(from.0) {
        Ok(h) => {
            // without a name, attributes count too
            let read = if name.is_empty() { Read::All } else { Read::Cookies };
            let hits = pairs(h, from.1.then_some(read)).filter(|(n, _)| name.is_empty() || *n == name);
            Value::Int(hits.count() as i64).into()
        }
        Err(without) => without,
    }
}

fn names<'s>(from: From<'s>, args: &Args, _: &mut Cursor) -> Sample<'s> {
    let head = match head(from.0) {
        Ok(head) => head,
        Err(without) => return without,
    };
    let delimiter = args.text(0).first().copied().unwrap_or(b',');
    let mut out = Vec::new();
    for (name, _) in pairs(head, from.1.then_some(Read::First)) {
        if !out.is_empty() {
            out.push(delimiter);
        }
        out.extend_from_slice(name);
    }
    Value::Str(Cow::Owned(out)).into()
}

const fn row(name: &'static str, output: Type, needs: Needs, help: &'static str, eval: FetchFn) -> Fetch {
    Fetch::new(name, output, needs, help, eval).with(0, &[ArgKind::Str])
}

macro_rules! cookies {
    ($($name:literal $output:ident $needs:ident $side:ident $what:ident $help:literal;)*) => {
        &[$(row($name, Type::$output, $needs, $help, |a, s, c| {
            const SIDE: Side = $side;
            $what(SIDE(s), a, c)
        }),)*]
    };
}

/// Rows.
pub const ROWS: SampleRows = SampleRows {
    fetches: cookies! {
        "cook" Str REQUEST request value "Value of a cookie.";
        "cook_cnt" Int REQUEST request count "How often the cookie is there.";
        "cook_val" Int REQUEST request number "Value of a cookie as an integer.";
        "cookie" Str EITHER either value "Value of a cookie of the rule's direction.";
        "req.cook" Str REQUEST request value "Value of a cookie.";
        "req.cook_cnt" Int REQUEST request count "How often the cookie is there.";
        "req.cook_names" Str REQUEST request names "Names of all cookies.";
        "req.cook_val" Int REQUEST request number "Value of a cookie as an integer.";
        "res.cook" Str RESPONSE response value "Value of a cookie that is set.";
        "res.cook_cnt" Int RESPONSE response count "How often the cookie is set.";
        "res.cook_names" Str RESPONSE response names "Names of all cookies that are set.";
        "res.cook_val" Int RESPONSE response number "Value of a cookie that is set as an integer.";
        "scook" Str RESPONSE response value "Value of a cookie that is set.";
        "scook_cnt" Int RESPONSE response count "How often the cookie is set.";
        "scook_val" Int RESPONSE response number "Value of a cookie that is set as an integer.";
    },
    converters: &[],
    acls: &[],
};

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, read: Read) -> Vec<String> {
        let shown = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        Pairs { rest: text.as_bytes(), read }.map(|(n, v)| format!("{}={}", shown(n), shown(v))).collect()
    }

    #[test]
    fn pairs_and_attributes() {
        assert_eq!(read(r#"a=1, $P=/; b="x\";y"; c ;=; =d"#, Read::All), ["a=1", r#"b="x\";y""#, "=d"]);
        assert_eq!(read("a=1; b=2, c=3; x; d=4", Read::Cookies), ["a=1", "c=3"]);
        assert_eq!(read("a; x, b=2; c=3", Read::Cookies), ["b=2"]);
        assert_eq!(read("a; x, b=2; c=3", Read::First), ["x, b=2"]);
    }
}
