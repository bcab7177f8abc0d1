//! Samples of the distcc protocol (manual section 7.3.5): tokens of four letters and eight hexadecimal digits, some of
//! them with so many bytes behind.

use crate::args::{ArgKind, Args};
use crate::place::EITHER_BYTES;
use crate::row::{Cursor, Fetch, SampleRows};
use crate::scope::Scope;
use crate::value::{Sample, Type, Value};

/// Tokens whose number says how long what follows is.
const WITH_BODY: [&[u8]; 11] =
    [b"ARGV", b"CDIR", b"DOTD", b"DOTI", b"DOTO", b"FILE", b"HOST", b"LINK", b"NAME", b"SERR", b"SOUT"];

/// A token that was found.
struct Token<'s> {
    number: u32,
    body: &'s [u8],
    /// All of its body is there.
    whole: bool,
}

enum Found<'s> {
    Yes(Token<'s>),
    NotYet,
    No,
}

/// The nth token of this name, from 1.
fn find<'s>(bytes: &'s [u8], name: &[u8], nth: usize) -> Found<'s> {
    let mut rest = bytes;
    let mut left = nth.max(1);
    loop {
        let Some((head, more)) = rest.split_at_checked(12) else { return Found::NotYet };
        let (token, digits) = head.split_at(4);
        let digits = std::str::from_utf8(digits).ok().filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let Some(number) = digits.and_then(|d| u32::from_str_radix(d, 16).ok()) else { return Found::No };
        let len = if WITH_BODY.contains(&token) { number as usize } else { 0 };
        let body = more.get(..len.min(more.len())).unwrap_or(more);
        let whole = body.len() == len;
        if token == name {
            left -= 1;
            if left == 0 {
                return Found::Yes(Token { number, body, whole });
            }
        }
        if !whole {
            return Found::NotYet;
        }
        rest = more.get(len..).unwrap_or(&[]);
    }
}

fn token<'s>(args: &Args, scope: &Scope<'s>, body: bool) -> Sample<'s> {
    let Some(payload) = scope.raw(scope.direction) else { return Sample::Missing };
    let nth = args.int(1).and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    let late = || if payload.may_grow { Sample::NotYet } else { Sample::Missing };
    match find(payload.bytes, args.text(0), nth) {
        Found::Yes(t) if !body => Value::Int(t.number.into()).into(),
        Found::Yes(t) if t.whole => Value::bin(t.body).into(),
        Found::Yes(_) | Found::NotYet => late(),
        Found::No => Sample::Missing,
    }
}

fn param<'s>(args: &'s Args, scope: &Scope<'s>, _: &mut Cursor) -> Sample<'s> {
    token(args, scope, false)
}

fn body<'s>(args: &'s Args, scope: &Scope<'s>, _: &mut Cursor) -> Sample<'s> {
    token(args, scope, true)
}

fn check(args: &mut Args) -> Result<(), String> {
    if args.text(0).len() == 4 { Ok(()) } else { Err("token name must be exactly 4 characters".into()) }
}

const TOKEN: &[ArgKind] = &[ArgKind::Str, ArgKind::Int];

/// Rows.
pub const ROWS: SampleRows = SampleRows {
    fetches: &[
        Fetch::new("distcc_param", Type::Int, EITHER_BYTES, "Number of a token of distcc.", param)
            .with(1, TOKEN)
            .checked(check)
            .impure(),
        Fetch::new("distcc_body", Type::Bin, EITHER_BYTES, "What follows a token of distcc.", body)
            .with(1, TOKEN)
            .checked(check)
            .impure(),
    ],
    converters: &[],
    acls: &[],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        let bytes = b"DIST00000001ARGC00000002ARGV00000002ccARGV00000003-c DOTI00000100abc";
        let number = |name: &[u8], nth| match find(bytes, name, nth) {
            Found::Yes(t) => Some((t.number, t.body.to_vec(), t.whole)),
            _ => None,
        };
        assert_eq!(number(b"DIST", 0), Some((1, vec![], true)));
        assert_eq!(number(b"ARGV", 1), Some((2, b"cc".to_vec(), true)));
        assert_eq!(number(b"ARGV", 2), Some((3, b"-c ".to_vec(), true)));
        assert_eq!(number(b"DOTI", 1), Some((256, b"abc".to_vec(), false)));
        assert!(matches!(find(bytes, b"DONE", 1), Found::NotYet));
        assert!(matches!(find(b"GET / HTTP/1.1\r\n", b"DIST", 1), Found::No));
    }
}
