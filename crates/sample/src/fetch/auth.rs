//! What clients authenticate with (RFC 7617, RFC 6750).

use crate::args::Arg;
use crate::args::{ArgKind, Args};
use crate::names;
use crate::place::REQUEST;
use crate::row::{Cursor, Fetch, SampleRows};
use crate::scope::{Message, Scope};
use crate::users::{User, Userlist};
use crate::value::{Sample, Type, Value};
use portcullis_message::Head;
use portcullis_wire::base64::{STANDARD, decode};
use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

/// Scheme and the rest of an authorization header.
fn authorization<'h>(head: &'h Head, name: &'h [u8]) -> Option<(&'h [u8], &'h [u8])> {
    let value = head.named(name).next()?;
    let space = value.iter().position(|b| *b == b' ')?;
    Some((value.get(..space)?, value.get(space..)?.trim_ascii_start()))
}

/// User and password of the Basic scheme.
#[must_use]
pub fn basic(head: &Head) -> Option<(Vec<u8>, Vec<u8>)> {
    let (scheme, rest) = authorization(head, b"authorization")?;
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let plain = decode(STANDARD, true, rest)?;
    let colon = plain.iter().position(|b| *b == b':')?;
    Some((plain.get(..colon)?.to_vec(), plain.get(colon + 1..)?.to_vec()))
}

fn with<'s>(s: &Scope<'s>, f: impl FnOnce(&'s Head) -> Option<Cow<'s, [u8]>>) -> Sample<'s> {
    match s.request.read() {
        Message::Here(h) => f(h).map(Value::Str).into(),
        Message::Pending => Sample::NotYet,
        _ => Sample::Missing,
    }
}

fn scheme<'s>(_: &'s Args, s: &Scope<'s>, _: &mut Cursor) -> Sample<'s> {
    with(s, |h| {
        let (scheme, _) = authorization(h, b"authorization")?;
        if scheme.eq_ignore_ascii_case(b"basic") && basic(h).is_none() {
            return None;
        }
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

/// The userlist that an argument names, found when everything has been read.
type List = OnceLock<Arc<Userlist>>;

fn check(args: &mut Args, keyword: &'static str) -> Result<(), String> {
    let found: Arc<List> = names::note(names::Kind::Userlist, args.text(0), keyword);
    args.0 = vec![Arg::Made(found)];
    Ok(())
}

/// What `f` makes of the user, if the request has an authorization that can be read; `None` for a wrong one.
fn authenticated<'s>(
    a: &'s Args,
    s: &Scope<'s>,
    f: impl FnOnce(Option<&'s User>) -> Sample<'s>,
) -> Sample<'s> {
    let head = match s.request.read() {
        Message::Here(head) => head,
        Message::Pending => return Sample::NotYet,
        _ => return Sample::Missing,
    };
    let (Some(list), Some((user, password))) = (a.made::<List>(0).and_then(List::get), basic(head)) else {
        return Sample::Missing;
    };
    match list.authenticate(&user, &password) {
        Some(user) => f(user),
        None => Sample::NotYet,
    }
}

/// The user; conditions see the user's groups, one after the other.
fn group<'s>(a: &'s Args, s: &Scope<'s>, cursor: &mut Cursor) -> Sample<'s> {
    authenticated(a, s, |user| {
        let Some(user) = user else { return Sample::Missing };
        if !cursor.all {
            return Value::str(user.name.as_bytes()).into();
        }
        let at = cursor.index as usize;
        cursor.index += 1;
        cursor.more = at + 1 < user.groups.len();
        user.groups.get(at).map(|g| Value::str(g.as_bytes())).into()
    })
}

const LIST: &[ArgKind] = &[ArgKind::Userlist];

/// Rows.
pub const ROWS: SampleRows = SampleRows {
    fetches: &[
        Fetch::new("http_auth", Type::Bool, REQUEST, "Is the client a user of this list?", |a, s, _| {
            authenticated(a, s, |user| Value::Bool(user.is_some()).into())
        })
        .with(1, LIST)
        .checked(|a| check(a, "http_auth"))
        .slow(),
        Fetch::new(
            "http_auth_group",
            Type::Str,
            REQUEST,
            "User of this list; in conditions, the user's groups.",
            group,
        )
        .with(1, LIST)
        .checked(|a| check(a, "http_auth_group"))
        .slow(),
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
