//! Cookies of requests and responses, under all their names (manual section 7.3.6).

use crate::args::{ArgKind, Args};
use crate::place::{EITHER, Needs, REQUEST, RESPONSE};
use crate::row::{Cursor, Fetch, FetchFn, SampleRows};
use crate::scope::{Direction, Message, Scope};
use crate::value::{Sample, Type, Value, leading_int};
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

/// Names and values: of `Cookie` headers, or the first pair of each `Set-Cookie`.
fn pairs(head: &Head, response: bool) -> impl Iterator<Item = (&[u8], &[u8])> {
    let id = if response { HeaderId::SetCookie } else { HeaderId::Cookie };
    head.all(id)
        .flat_map(move |v| v.split(|b| *b == b';').take(if response { 1 } else { usize::MAX }))
        .filter_map(|pair| {
            let eq = pair.iter().position(|b| *b == b'=')?;
            Some((values::trim(pair.get(..eq)?), values::trim(pair.get(eq + 1..)?)))
        })
}

/// The head, or what to answer without it.
fn head(m: Message<'_>) -> Result<&Head, Sample<'static>> {
    match m {
        Message::Here(h) => Ok(h),
        Message::Pending => Err(Sample::NotYet),
        Message::None => Err(Sample::Missing),
    }
}

fn value<'s>(from: From<'s>, args: &Args, cursor: &mut Cursor) -> Sample<'s> {
    let head = match head(from.0) {
        Ok(head) => head,
        Err(without) => return without,
    };
    let name = args.text(0);
    let mut hits = pairs(head, from.1).filter(|(n, _)| name.is_empty() || *n == name).map(|(_, v)| v);
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
        Sample::There(v) => Value::Int(v.bytes().map_or(0, leading_int)).into(),
        other => other,
    }
}

fn count<'s>(from: From<'s>, args: &Args, _: &mut Cursor) -> Sample<'s> {
    let name = args.text(0);
    match head(from.0) {
        Ok(h) => {
            let hits = pairs(h, from.1).filter(|(n, _)| name.is_empty() || *n == name);
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
    for (i, (name, _)) in pairs(head, from.1).enumerate() {
        if i > 0 {
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
