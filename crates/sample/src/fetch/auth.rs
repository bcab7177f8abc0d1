//! What clients authenticate with (RFC 7617, RFC 6750).

use crate::args::{ArgKind, Args};
use crate::place::REQUEST;
use crate::row::{Cursor, Fetch, SampleRows};
use crate::scope::{Message, Scope};
use crate::value::{Sample, Type, Value};
use portcullis_message::Head;
use std::borrow::Cow;

/// Scheme and the rest of an authorization header.
fn authorization<'h>(head: &'h Head, name: &'h [u8]) -> Option<(&'h [u8], &'h [u8])> {
    let value = head.named(name).next()?;
    let space = value.iter().position(|b| *b == b' ')?;
    Some((value.get(..space)?, value.get(space..)?.trim_ascii_start()))
}

/// User and password of the Basic scheme.
pub(super) fn basic(head: &Head) -> Option<(Vec<u8>, Vec<u8>)> {
    let (scheme, rest) = authorization(head, b"authorization")?;
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let plain = crate::convert::base64(rest)?;
    let colon = plain.iter().position(|b| *b == b':')?;
    Some((plain.get(..colon)?.to_vec(), plain.get(colon + 1..)?.to_vec()))
}

fn with<'s>(s: &Scope<'s>, f: impl FnOnce(&'s Head) -> Option<Cow<'s, [u8]>>) -> Sample<'s> {
    match s.request {
        Message::Here(h) => f(h).map(Value::Str).into(),
        Message::Pending => Sample::NotYet,
        Message::None => Sample::Missing,
    }
}

fn scheme<'s>(_: &'s Args, s: &Scope<'s>, _: &mut Cursor) -> Sample<'s> {
    with(s, |h| {
        let (scheme, _) = authorization(h, b"authorization")?;
        ["Basic", "Bearer"]
            .into_iter()
            .find(|n| n.as_bytes().eq_ignore_ascii_case(scheme))
            .map(|n| Cow::Borrowed(n.as_bytes()))
    })
}

fn bearer<'s>(a: &'s Args, s: &Scope<'s>, _: &mut Cursor) -> Sample<'s> {
    let name = if a.text(0).is_empty() { &b"authorization"[..] } else { a.text(0) };
    with(s, |h| {
        let (scheme, rest) = authorization(h, name)?;
        scheme.eq_ignore_ascii_case(b"bearer").then_some(Cow::Borrowed(rest))
    })
}

/// Rows.
pub const ROWS: SampleRows = SampleRows {
    fetches: &[
        Fetch::new("http_auth_type", Type::Str, REQUEST, "Scheme of the client's authorization.", scheme),
        Fetch::new("http_auth_user", Type::Str, REQUEST, "User of the Basic scheme.", |_, s, _| {
            with(s, |h| basic(h).map(|(user, _)| Cow::Owned(user)))
        }),
        Fetch::new("http_auth_pass", Type::Str, REQUEST, "Password of the Basic scheme.", |_, s, _| {
            with(s, |h| basic(h).map(|(_, pass)| Cow::Owned(pass)))
        }),
        Fetch::new("http_auth_bearer", Type::Str, REQUEST, "Token of the Bearer scheme.", bearer)
            .with(0, &[ArgKind::Str]),
    ],
    converters: &[],
    acls: &[],
};
