//! Where a message's body ends is said by its framing. Rules may set and delete any field, so what a head says of it is put
//! right before it goes on (RFC 9112 section 6, RFC 9110 section 8.6): two readings of one message are request smuggling.

use super::Framing;
use portcullis_message::{Head, HeaderId, Method, values};

/// What a head may say of its body besides what it has to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silent {
    /// An empty body: `Content-Length: 0` or nothing (a request, a response whose body is empty).
    Empty,
    /// None by its nature, with the length that it would have (responses to HEAD, 304).
    Described,
    /// None, of which nothing may be said (1xx, 204).
    Bare,
}

impl Silent {
    /// What goes for responses with this status to requests of this method.
    #[must_use]
    pub fn of_response(status: u16, to: Method) -> Self {
        match (status, to) {
            (100..=199 | 204, _) => Self::Bare,
            (304, _) | (_, Method::Head) => Self::Described,
            _ => Self::Empty,
        }
    }
}

/// Has a head say what is: one `Content-Length` or one `Transfer-Encoding` as `framing` has it, and no other. Where a message
/// has no body by its nature, `framing` is no matter.
#[inline]
pub fn reframe(head: &mut Head, framing: Framing, silent: Silent) {
    let framing = if silent == Silent::Empty { framing } else { Framing::None };
    if !head.may_have(HeaderId::ContentLength)
        && !head.may_have(HeaderId::TransferEncoding)
        && !framing.is_said()
    {
        return;
    }
    match framing {
        Framing::Chunked => {
            head.remove_id(HeaderId::ContentLength);
            if !only(head, HeaderId::TransferEncoding, ends_chunked) {
                say(head, HeaderId::TransferEncoding, b"transfer-encoding", b"chunked");
            }
        }
        Framing::Length(n) => length(head, n),
        Framing::None if silent == Silent::Described => {}
        Framing::None if silent == Silent::Empty => {
            head.remove_id(HeaderId::TransferEncoding);
            if head.position(HeaderId::ContentLength).is_some() {
                length(head, 0);
            }
        }
        Framing::None | Framing::Pieces | Framing::UntilClose | Framing::Tunnel => {
            head.remove_id(HeaderId::ContentLength);
            head.remove_id(HeaderId::TransferEncoding);
        }
    }
}

/// Is `chunked` the last coding?
fn ends_chunked(codings: &[u8]) -> bool {
    values::elements(codings).last().is_some_and(|c| c.eq_ignore_ascii_case(b"chunked"))
}

fn length(head: &mut Head, n: u64) {
    head.remove_id(HeaderId::TransferEncoding);
    let right =
        |value: &[u8]| std::str::from_utf8(value).is_ok_and(|v| v.parse() == Ok(n) && !v.starts_with('+'));
    if !only(head, HeaderId::ContentLength, right) {
        say(head, HeaderId::ContentLength, b"content-length", n.to_string().as_bytes());
    }
}

/// Is there one field of this name, whose value is right?
fn only(head: &Head, id: HeaderId, right: impl Fn(&[u8]) -> bool) -> bool {
    let mut all = head.all(id);
    all.next().is_some_and(right) && all.next().is_none()
}

/// One field of this name, with this value: where the first one is, or at the end.
fn say(head: &mut Head, id: HeaderId, name: &[u8], value: &[u8]) {
    match head.position(id) {
        Some(_) => super::info::set_one(head, id, value),
        None => head.push(name, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reframed(fields: &[(&str, &str)], framing: Framing, silent: Silent) -> Vec<String> {
        let mut head = Head::default();
        fields.iter().for_each(|(n, v)| head.push(n.as_bytes(), v.as_bytes()));
        reframe(&mut head, framing, silent);
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        head.fields().map(|f| format!("{}: {}", text(f.name), text(f.value))).collect()
    }

    #[test]
    fn a_head_says_what_is() {
        let (cl, te) = ("content-length", "transfer-encoding");
        for (fields, framing, silent, expected) in [
            (
                &[(cl, "3"), ("a", "b")][..],
                Framing::Length(3),
                Silent::Empty,
                &["content-length: 3", "a: b"][..],
            ),
            (&[("a", "b")], Framing::Length(3), Silent::Empty, &["a: b", "content-length: 3"]),
            (
                &[(cl, "3"), (cl, "2"), (te, "chunked")],
                Framing::Length(3),
                Silent::Empty,
                &["content-length: 3"],
            ),
            (&[(cl, "+3")], Framing::Length(3), Silent::Empty, &["content-length: 3"]),
            (&[(te, "gzip"), (cl, "2")], Framing::Chunked, Silent::Empty, &["transfer-encoding: chunked"]),
            (&[], Framing::Chunked, Silent::Empty, &["transfer-encoding: chunked"]),
            (&[(cl, "9"), (te, "chunked")], Framing::None, Silent::Empty, &["content-length: 0"]),
            (&[(te, "chunked")], Framing::None, Silent::Empty, &[]),
            (&[(cl, "9")], Framing::None, Silent::Described, &["content-length: 9"]),
            (&[(cl, "9")], Framing::Chunked, Silent::Described, &["content-length: 9"]),
            (&[], Framing::Length(9), Silent::Described, &[]),
            (&[(cl, "9"), (te, "chunked")], Framing::None, Silent::Bare, &[]),
            (&[(cl, "9")], Framing::Length(9), Silent::Bare, &[]),
            (&[(te, "chunked")], Framing::Chunked, Silent::Bare, &[]),
            (&[(cl, "9")], Framing::Tunnel, Silent::Bare, &[]),
            (&[(cl, "9")], Framing::UntilClose, Silent::Empty, &[]),
            (&[(cl, "9"), (te, "chunked")], Framing::Pieces, Silent::Empty, &[]),
            (&[(cl, "9")], Framing::Tunnel, Silent::Empty, &[]),
        ] {
            assert_eq!(reframed(fields, framing, silent), expected, "{fields:?} {framing:?} {silent:?}");
        }
    }
}
