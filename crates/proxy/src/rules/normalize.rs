//! The action `normalize-uri` (manual section 4.4): brings request targets into a common form.

use super::action::Action;
use super::cx::{Flow, RuleCx};
use super::lang::Parsing;
use super::table::{Parsed, Sets};
use portcullis_message::uri;

/// One way of normalizing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalizer {
    /// `fragment-encode`
    FragmentEncode,
    /// `fragment-strip`
    FragmentStrip,
    /// `path-merge-slashes`
    MergeSlashes,
    /// `path-strip-dot`
    StripDot,
    /// `path-strip-dotdot`; true: `full`.
    StripDotDot(bool),
    /// `percent-decode-unreserved`; true: `strict`.
    Decode(bool),
    /// `percent-to-uppercase`; true: `strict`.
    Uppercase(bool),
    /// `query-sort-by-name`
    SortQuery,
}

use Normalizer::{
    Decode, FragmentEncode, FragmentStrip, MergeSlashes, SortQuery, StripDot, StripDotDot, Uppercase,
};

/// Every normalizer.
pub const NORMALIZERS: [Normalizer; 11] = [
    FragmentStrip,
    FragmentEncode,
    MergeSlashes,
    StripDot,
    StripDotDot(false),
    StripDotDot(true),
    Decode(false),
    Decode(true),
    Uppercase(false),
    Uppercase(true),
    SortQuery,
];

/// What a normalizer makes of a target; `None`: an escape is wrong, and it is strict.
#[must_use]
pub fn normalized(how: Normalizer, target: &[u8]) -> Option<Vec<u8>> {
    match normalize(how, target) {
        Made::Same => Some(target.to_vec()),
        Made::New(new) => Some(new),
        Made::Bad => None,
    }
}

/// What a normalizer made of a target.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// Nothing is to be done.
    Same,
    /// This takes the place of path and query.
    New(Vec<u8>),
    /// An escape is wrong, and the rule is strict.
    Bad,
}

/// The path with what follows it, normalized.
pub(super) fn normalize(how: Normalizer, target: &[u8]) -> Made {
    let end = |of: &[u8], marks: &[u8]| of.iter().position(|b| marks.contains(b)).unwrap_or(of.len());
    let (path, rest) = target.split_at(end(target, b"?#"));
    let new = match how {
        FragmentStrip => target[..end(target, b"#")].to_vec(),
        FragmentEncode => encoded(target),
        MergeSlashes => [merged(path), rest.to_vec()].concat(),
        StripDot => [without_dots(path), rest.to_vec()].concat(),
        StripDotDot(full) => [without_parents(path, full), rest.to_vec()].concat(),
        Decode(strict) => match escapes(target, strict, decoded) {
            Some(new) => new,
            None => return Made::Bad,
        },
        Uppercase(strict) => match escapes(target, strict, upper) {
            Some(new) => new,
            None => return Made::Bad,
        },
        SortQuery => match target.iter().position(|b| *b == b'?') {
            None => return Made::Same,
            Some(mark) => {
                let tail = &target[mark + 1..];
                let (query, fragment) = tail.split_at(end(tail, b"#"));
                [&target[..=mark], &sorted(query), fragment].concat()
            }
        },
    };
    if new == target { Made::Same } else { Made::New(new) }
}

fn encoded(target: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(target.len() + 2);
    for b in target {
        match b {
            b'#' => out.extend_from_slice(b"%23"),
            b => out.push(*b),
        }
    }
    out
}

fn merged(path: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(path.len());
    for b in path {
        if *b != b'/' || out.last() != Some(&b'/') {
            out.push(*b);
        }
    }
    out
}

/// `/./` becomes `/`; a last segment `.` leaves the slash before it.
fn without_dots(path: &[u8]) -> Vec<u8> {
    let Some(inside) = path.strip_prefix(b"/") else { return path.to_vec() };
    let mut out = Vec::with_capacity(path.len());
    let count = inside.split(|b| *b == b'/').count();
    for (i, segment) in inside.split(|b| *b == b'/').enumerate() {
        let last = i + 1 == count;
        if segment == b"." {
            if last {
                out.push(b'/');
            }
            continue;
        }
        out.push(b'/');
        out.extend_from_slice(segment);
    }
    out
}

/// Segments `..` take the one before them away; those that find none stay, or go with `full`.
fn without_parents(path: &[u8], full: bool) -> Vec<u8> {
    let Some(inside) = path.strip_prefix(b"/") else { return path.to_vec() };
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut up = 0;
    let count = inside.split(|b| *b == b'/').count();
    for (i, segment) in inside.split(|b| *b == b'/').enumerate() {
        if segment != b".." {
            kept.push(segment);
            continue;
        }
        if kept.len() > up {
            kept.pop();
        } else if !full {
            kept.push(segment);
            up += 1;
        }
        // a last one leaves a slash
        if i + 1 == count {
            kept.push(b"");
        }
    }
    [b"/", kept.join(&b'/').as_slice()].concat()
}

/// What stands for an escape; `None`: the escape stays.
fn decoded(byte: u8, _: &[u8]) -> Option<Vec<u8>> {
    (byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')).then(|| vec![byte])
}

fn upper(_: u8, escape: &[u8]) -> Option<Vec<u8>> {
    Some(escape.to_ascii_uppercase())
}

/// Every escape made anew by `f`; `None`: one is wrong, and that counts.
fn escapes(target: &[u8], strict: bool, f: fn(u8, &[u8]) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    let digit = |b: Option<&u8>| b.and_then(|b| char::from(*b).to_digit(16)).map(|d| d as u8);
    let mut out = Vec::with_capacity(target.len());
    let mut i = 0;
    while let Some(b) = target.get(i) {
        if *b != b'%' {
            out.push(*b);
            i += 1;
            continue;
        }
        let (Some(high), Some(low)) = (digit(target.get(i + 1)), digit(target.get(i + 2))) else {
            if strict {
                return None;
            }
            out.push(b'%');
            i += 1;
            continue;
        };
        let escape = &target[i..i + 3];
        match f(high << 4 | low, escape) {
            Some(new) => out.extend_from_slice(&new),
            None => out.extend_from_slice(escape),
        }
        i += 3;
    }
    Some(out)
}

/// Parameters by name; those of one name keep their order, and nothing behind a last `&` is none.
fn sorted(query: &[u8]) -> Vec<u8> {
    let query = query.strip_suffix(b"&").unwrap_or(query);
    let mut all: Vec<&[u8]> = query.split(|b| *b == b'&').collect();
    let name = |p: &&[u8]| p.iter().position(|b| *b == b'=').map_or(p.len(), |at| at);
    all.sort_by(|a, b| a[..name(a)].cmp(&b[..name(b)]));
    all.join(&b'&')
}

/// Normalizes the request's target: a bad escape in strict mode ends in 400.
pub(super) fn run(how: Normalizer, cx: &mut RuleCx<'_, '_>) -> Result<bool, Flow> {
    let Some(head) = cx.request.as_deref_mut() else { return Ok(false) };
    let target = head.target();
    // fragments are not part of what the message room calls path and query
    let Some(start) = uri::path_start(target) else { return Ok(true) };
    match normalize(how, &target[start..]) {
        Made::Same => Ok(true),
        Made::New(new) => {
            let whole = [&target[..start], &new].concat();
            Ok(super::rewrite::put_whole(cx, &whole))
        }
        Made::Bad => Err(Flow::Failed(super::run::malformed(cx))),
    }
}

/// `normalize-uri <normalizer> [ full | strict ]`
pub(super) fn parse(p: &mut Parsing<'_, '_, '_>, _: Sets) -> Result<Parsed, String> {
    let word = p.want("missing argument <normalizer>")?;
    let name = word.str().into_owned();
    let option = |p: &mut Parsing<'_, '_, '_>, wanted: &str| {
        if p.at_end() {
            return Ok(false);
        }
        let given = p.want("missing argument")?.str().into_owned();
        if given == wanted {
            Ok(true)
        } else {
            Err(format!("unknown argument '{given}' for '{name}' normalizer"))
        }
    };
    let how = match &*name {
        "fragment-encode" => FragmentEncode,
        "fragment-strip" => FragmentStrip,
        "path-merge-slashes" => MergeSlashes,
        "path-strip-dot" => StripDot,
        "path-strip-dotdot" => StripDotDot(option(p, "full")?),
        "percent-decode-unreserved" => Decode(option(p, "strict")?),
        "percent-to-uppercase" => Uppercase(option(p, "strict")?),
        "query-sort-by-name" => SortQuery,
        other => return Err(format!("unknown normalizer '{other}'")),
    };
    Ok(Parsed { action: Action::Normalize(how), condition: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The manual's examples.
    #[test]
    fn examples() {
        for (how, from, to) in [
            (FragmentEncode, "/#foo", "/%23foo"),
            (FragmentStrip, "/#foo", "/"),
            (StripDot, "/.", "/"),
            (StripDot, "/./bar/", "/bar/"),
            (StripDot, "/a/./a", "/a/a"),
            (StripDot, "/.well-known/", "/.well-known/"),
            (StripDotDot(false), "/foo/../", "/"),
            (StripDotDot(false), "/foo/../bar/", "/bar/"),
            (StripDotDot(false), "/foo/bar/../", "/foo/"),
            (StripDotDot(false), "/../bar/", "/../bar/"),
            (StripDotDot(false), "/bar/../../", "/../"),
            (StripDotDot(false), "/foo//../", "/foo/"),
            (StripDotDot(false), "/foo/%2E%2E/", "/foo/%2E%2E/"),
            (StripDotDot(true), "/../bar/", "/bar/"),
            (StripDotDot(true), "/bar/../../", "/"),
            (MergeSlashes, "//", "/"),
            (MergeSlashes, "/foo//bar", "/foo/bar"),
            (Decode(false), "/%61dmin", "/admin"),
            (Decode(false), "/foo%3Fbar=baz", "/foo%3Fbar=baz"),
            (Decode(false), "/%%36%36", "/%66"),
            (Decode(false), "/%ZZ", "/%ZZ"),
            (Uppercase(false), "/%6f", "/%6F"),
            (Uppercase(false), "/%zz", "/%zz"),
            (SortQuery, "/?c=3&a=1&b=2", "/?a=1&b=2&c=3"),
            (SortQuery, "/?aaa=3&a=1&aa=2", "/?a=1&aa=2&aaa=3"),
            (SortQuery, "/?a=3&b=4&a=1&b=5&a=2", "/?a=3&a=1&a=2&b=4&b=5"),
        ] {
            let made = match normalize(how, from.as_bytes()) {
                Made::Same => from.to_owned(),
                Made::New(new) => String::from_utf8(new).unwrap(),
                Made::Bad => "bad".to_owned(),
            };
            assert_eq!(made, to, "{how:?} {from}");
        }
        assert_eq!(normalize(Decode(true), b"/%%36%36"), Made::Bad);
        assert_eq!(normalize(Uppercase(true), b"/%zz"), Made::Bad);
    }
}
