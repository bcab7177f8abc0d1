//! Samples of the bytes in the buffers (manual section 7.3.5).

use super::blocks::Blocks;
use crate::args::{ArgKind, Args};
use crate::place::{EITHER_BYTES, REQUEST, REQUEST_BYTES, RESPONSE_BYTES};
use crate::row::{Cursor, Fetch, SampleRows};
use crate::scope::{Direction, Message, Payload, Scope};
use crate::value::{Sample, Type, Value};

/// `len` bytes from `offset`; all that are there for a length of 0, for now.
fn payload<'s>(p: Option<Payload<'s>>, args: &Args, c: &mut Cursor) -> Sample<'s> {
    let Some(p) = p else { return Sample::Missing };
    let (offset, len) = (args.int(0).unwrap_or(0), args.int(1).unwrap_or(0));
    let Ok(offset) = usize::try_from(offset) else { return Sample::Missing };
    let Ok(len) = usize::try_from(len) else { return Sample::Missing };
    if offset.saturating_add(len) > crate::facts::buffer_size() {
        // it would never come
        return Sample::Missing;
    }
    c.grows = len == 0 && p.may_grow;
    let end = if len == 0 { p.bytes.len() } else { offset.saturating_add(len) };
    match p.bytes.get(offset..end) {
        Some(b) if len != 0 || !b.is_empty() => Value::bin(b).into(),
        _ if p.may_grow => Sample::NotYet,
        _ => Sample::Missing,
    }
}

/// How many bytes there are, for now.
fn length(p: Option<Payload<'_>>, c: &mut Cursor) -> Sample<'static> {
    c.grows = p.is_some_and(|p| p.may_grow);
    p.map(|p| Value::Int(p.bytes.len() as i64)).into()
}

fn whole<'s>(p: Option<Payload<'s>>) -> Sample<'s> {
    p.map(|p| Value::bin(p.bytes)).into()
}

/// Bytes in the buffer of a direction. HAProxy keeps messages of HTTP as blocks, and counts those.
fn len(s: &Scope<'_>, direction: Direction, c: &mut Cursor) -> Sample<'static> {
    match Blocks::of(s, direction) {
        Some(blocks) => {
            c.grows = blocks.grows();
            Value::Int(blocks.data() as i64).into()
        }
        None => length(s.raw(direction), c),
    }
}

/// What there is of the request's body. What comes behind a head in a TCP stream is no body.
pub(super) fn body<'s>(s: &Scope<'s>) -> Option<Payload<'s>> {
    match s.request {
        Message::Bytes(..) => s.request.read().head().map(|_| Payload { bytes: b"", may_grow: false }),
        _ => s.request_bytes,
    }
}

/// May a head still come, and a body behind it?
pub(super) fn is_to_come(s: &Scope<'_>) -> bool {
    matches!(s.request.read(), Message::Pending)
}

/// What there is of the response's body.
fn response_body<'s>(s: &Scope<'s>) -> Option<Payload<'s>> {
    s.response.head().and(s.response_bytes)
}

/// What `Content-Length` announces, or what is there.
fn size<'s>(_: &'s Args, s: &Scope<'s>, c: &mut Cursor) -> Sample<'s> {
    let announced = s.request.head().and_then(|h| h.first(portcullis_message::HeaderId::ContentLength));
    match announced {
        Some(v) => Value::Int(crate::value::leading_int(v)).into(),
        None => length(body(s), c),
    }
}

const RANGE: &[ArgKind] = &[ArgKind::Int, ArgKind::Int];

/// Rows.
pub const ROWS: SampleRows = SampleRows {
    fetches: &[
        Fetch::new(
            "payload",
            Type::Bin,
            EITHER_BYTES,
            "Bytes of the buffer of the rule's direction.",
            |a, s, c| payload(s.raw(s.direction), a, c),
        )
        .with(2, RANGE)
        .impure(),
        Fetch::new("req.payload", Type::Bin, REQUEST_BYTES, "Bytes of the request buffer.", |a, s, c| {
            payload(s.raw(Direction::Request), a, c)
        })
        .with(2, RANGE)
        .impure(),
        Fetch::new("res.payload", Type::Bin, RESPONSE_BYTES, "Bytes of the response buffer.", |a, s, c| {
            payload(s.raw(Direction::Response), a, c)
        })
        .with(2, RANGE)
        .impure(),
        Fetch::new("req.len", Type::Int, REQUEST_BYTES, "Bytes in the request buffer.", |_, s, c| {
            len(s, Direction::Request, c)
        })
        .impure(),
        Fetch::new("req_len", Type::Int, REQUEST_BYTES, "Bytes in the request buffer.", |_, s, c| {
            len(s, Direction::Request, c)
        })
        .impure(),
        Fetch::new("res.len", Type::Int, RESPONSE_BYTES, "Bytes in the response buffer.", |_, s, c| {
            len(s, Direction::Response, c)
        })
        .impure(),
        Fetch::new("req.body", Type::Bin, REQUEST, "The request's body as far as it is there.", |_, s, _| {
            if is_to_come(s) { Sample::NotYet } else { whole(body(s)) }
        })
        .impure(),
        Fetch::new(
            "req.body_len",
            Type::Int,
            REQUEST,
            "Length of what is there of the request's body.",
            |_, s, c| if is_to_come(s) { Sample::NotYet } else { length(body(s), c) },
        )
        .impure(),
        Fetch::new("req.body_size", Type::Int, REQUEST, "Announced length of the request's body.", size)
            .impure(),
        Fetch::new(
            "res.body",
            Type::Bin,
            crate::place::RESPONSE,
            "The response's body as far as it is there.",
            |_, s, _| whole(response_body(s)),
        )
        .impure(),
        Fetch::new(
            "res.body_len",
            Type::Int,
            crate::place::RESPONSE,
            "Length of what is there of the response's body.",
            |_, s, c| length(response_body(s), c),
        )
        .impure(),
    ],
    converters: &[],
    acls: &[],
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Arg;

    #[test]
    fn payload_waits_or_misses() {
        let args = |o, l| Args(vec![Arg::Int(o), Arg::Int(l)]);
        let seen = |p, args: &Args| payload(p, args, &mut Cursor::each());
        let p = |may_grow| Some(Payload { bytes: b"hello", may_grow });
        assert_eq!(seen(p(true), &args(1, 3)), Value::bin(b"ell").into());
        assert_eq!(seen(p(true), &args(1, 0)), Value::bin(b"ello").into());
        assert_eq!(seen(p(true), &args(3, 3)), Sample::NotYet);
        assert_eq!(seen(p(false), &args(3, 3)), Sample::Missing);
        assert_eq!(seen(p(true), &args(9, 0)), Sample::NotYet);
        assert_eq!(seen(p(true), &args(-1, 1)), Sample::Missing);
        assert_eq!(seen(p(true), &args(0, 20_000)), Sample::Missing);
        assert_eq!(seen(None, &args(0, 1)), Sample::Missing);
        let grows = |p, args: &Args| {
            let mut c = Cursor::each();
            let _ = payload(p, args, &mut c);
            c.grows
        };
        assert!(grows(p(true), &args(0, 0)) && !grows(p(false), &args(0, 0)) && !grows(p(true), &args(0, 3)));
    }

    /// A body is not there before its head is.
    #[test]
    fn bodies_wait_for_their_heads() {
        let facts = crate::facts::Facts::new();
        let random = crate::scope::Random::new(1);
        for (request, expected) in
            [(Message::Pending, Sample::NotYet), (Message::None, Value::bin(b"hello").into())]
        {
            let request_bytes = Some(Payload { bytes: b"hello", may_grow: true });
            let scope = Scope { request, request_bytes, ..Scope::new(&facts, &random) };
            let fetch = ROWS.fetches.iter().find(|f| f.name == "req.body").expect("a row");
            assert_eq!((fetch.eval)(&Args::default(), &scope, &mut Cursor::each()), expected);
        }
    }
}
