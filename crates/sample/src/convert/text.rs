//! Strings.

use super::numbers::check_int;
use crate::args::{Arg, ArgKind, Args};
use crate::row::Convert;
use crate::value::{Bytes, Sample, Type, Value};
use std::borrow::Cow;

/// Makes a string of a string.
fn text<'s>(v: Value<'s>, f: impl FnOnce(Bytes<'s>) -> Option<Bytes<'s>>) -> Sample<'s> {
    match v {
        Value::Str(b) | Value::Bin(b) => f(b).map(Value::Str).into(),
        _ => Sample::Missing,
    }
}

/// A part of the bytes, borrowed where they are.
pub(super) fn slice(b: Bytes<'_>, start: usize, end: usize) -> Bytes<'_> {
    let end = end.min(b.len());
    let start = start.min(end);
    match b {
        Cow::Borrowed(b) => Cow::Borrowed(b.get(start..end).unwrap_or(&[])),
        Cow::Owned(mut b) => {
            b.truncate(end);
            b.drain(..start);
            Cow::Owned(b)
        }
    }
}

fn lower(b: Bytes<'_>) -> Bytes<'_> {
    if b.iter().any(u8::is_ascii_uppercase) {
        let mut b = b.into_owned();
        b.make_ascii_lowercase();
        Cow::Owned(b)
    } else {
        b
    }
}

fn upper(b: Bytes<'_>) -> Bytes<'_> {
    if b.iter().any(u8::is_ascii_lowercase) {
        let mut b = b.into_owned();
        b.make_ascii_uppercase();
        Cow::Owned(b)
    } else {
        b
    }
}

/// Host and port of a Host header's value.
fn host_port(b: &[u8]) -> (usize, i64) {
    // from the end: what stands in brackets has colons of its own
    let colon = b.iter().rposition(|c| matches!(c, b':' | b']')).filter(|i| b.get(*i) == Some(&b':'));
    // what is no digit counts too, as HAProxy has it
    let number = |d: &[u8]| {
        d.iter().fold(0u32, |n, c| n.wrapping_mul(10).wrapping_add(u32::from(*c).wrapping_sub(48)))
    };
    match colon {
        Some(i) => (i, i64::from(b.get(i + 1..).map_or(0, number))),
        None => (b.len(), 0),
    }
}

fn is_one_of(set: &[u8]) -> impl Fn(&u8) -> bool + '_ {
    move |b| set.contains(b)
}

/// Where the fields that index and count ask for begin and end; `words`: empty ones do not count.
fn fields(b: &[u8], args: &Args, words: bool) -> Option<(usize, usize)> {
    let (index, set, count) = (args.int(0)?, args.text(1), args.int(2).unwrap_or(1).max(0) as usize);
    let mut spans = Vec::new();
    let mut start = 0;
    for (i, c) in b.iter().enumerate() {
        if set.contains(c) {
            if !words || i > start {
                spans.push((start, i));
            }
            start = i + 1;
        }
    }
    if !words || b.len() > start {
        spans.push((start, b.len()));
    }
    let nth = usize::try_from(index.unsigned_abs()).ok()?.checked_sub(1)?;
    let (first, last) = if index > 0 {
        let last = if count == 0 { spans.len().checked_sub(1)? } else { nth.saturating_add(count - 1) };
        (nth, last.min(spans.len().checked_sub(1)?))
    } else {
        let last = spans.len().checked_sub(nth + 1)?;
        (if count == 0 { 0 } else { (last + 1).saturating_sub(count) }, last)
    };
    Some((spans.get(first)?.0, spans.get(last)?.1))
}

fn check_index(args: &mut Args) -> Result<(), String> {
    match args.int(0) {
        Some(0) | None => Err("Unexpected value 0 for index".into()),
        _ if args.text(1).is_empty() => Err("Empty separators list".into()),
        _ => Ok(()),
    }
}

/// Percent-decoding; `+` is a blank in the query string, or everywhere in form data.
fn url_dec(b: &[u8], form: bool) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(b.len());
    let mut plus = form;
    let mut i = 0;
    while let Some(&c) = b.get(i) {
        match c {
            b'+' if plus => out.push(b' '),
            b'%' => {
                let hex = b.get(i + 1..i + 3)?;
                let digit = |d: u8| char::from(d).to_digit(16).map(|d| d as u8);
                let byte = digit(*hex.first()?)? << 4 | digit(*hex.get(1)?)?;
                out.push(byte);
                i += 2;
            }
            b'?' => {
                plus = true;
                out.push(c);
            }
            _ => out.push(c),
        }
        i += 1;
    }
    Some(out)
}

fn url_enc(b: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(b.len());
    for c in b {
        if c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_' | b'~') {
            out.push(*c);
        } else {
            out.push(b'%');
            portcullis_wire::hex::upper(&mut out, std::slice::from_ref(c));
        }
    }
    out
}

fn check_enc(args: &mut Args) -> Result<(), String> {
    match args.text(0) {
        b"" | b"query" => Ok(()),
        _ => Err("Unexpected encode type. Allowed value is 'query'".into()),
    }
}

fn reverse_labels(b: &[u8]) -> Option<Vec<u8>> {
    let b = b.strip_suffix(b".").unwrap_or(b);
    let mut labels: Vec<&[u8]> = b.split(|c| *c == b'.').collect();
    if labels.iter().any(|l| l.is_empty()) {
        return None;
    }
    labels.reverse();
    Some(labels.join(&b'.'))
}

fn check_form(args: &mut Args) -> Result<(), String> {
    if args.is_empty() {
        args.0.push(Arg::Int(0));
    }
    check_int(args)
}

const CUT: &[ArgKind] = &[ArgKind::Int, ArgKind::Str, ArgKind::Int];

/// Rows.
pub const ROWS: &[Convert] = &[
    Convert::new("lower", Type::Str, Type::Str, "In lower case.", |_, v, _| text(v, |b| Some(lower(b)))),
    Convert::new("upper", Type::Str, Type::Str, "In upper case.", |_, v, _| text(v, |b| Some(upper(b)))),
    Convert::new("length", Type::Str, Type::Int, "Length in bytes.", |_, v, _| {
        v.bytes().map(|b| Value::Int(b.len() as i64)).into()
    }),
    Convert::new("field", Type::Str, Type::Str, "Fields between delimiters.", |a, v, _| {
        text(v, |b| {
            let (start, end) = fields(&b, a, false)?;
            Some(slice(b, start, end))
        })
    })
    .with(2, CUT)
    .checked(check_index),
    Convert::new("word", Type::Str, Type::Str, "Words between delimiters.", |a, v, _| {
        text(v, |b| {
            let (start, end) = fields(&b, a, true)?;
            Some(slice(b, start, end))
        })
    })
    .with(2, CUT)
    .checked(check_index),
    Convert::new(
        "host_only",
        Type::Str,
        Type::Str,
        "A Host header's value without the port, in lower case.",
        |_, v, _| {
            text(v, |b| {
                let end = host_port(&b).0;
                Some(lower(slice(b, 0, end)))
            })
        },
    ),
    Convert::new("port_only", Type::Str, Type::Int, "The port of a Host header's value, or 0.", |_, v, _| {
        v.bytes().map(|b| Value::Int(host_port(b).1)).into()
    }),
    Convert::new("ltrim", Type::Str, Type::Str, "Without these characters in front.", |a, v, _| {
        text(v, |b| {
            let start = b.iter().position(|c| !is_one_of(a.text(0))(c)).unwrap_or(b.len());
            let end = b.len();
            Some(slice(b, start, end))
        })
    })
    .with(1, &[ArgKind::Str]),
    Convert::new("rtrim", Type::Str, Type::Str, "Without these characters behind.", |a, v, _| {
        text(v, |b| {
            let end = b.iter().rposition(|c| !is_one_of(a.text(0))(c)).map_or(0, |i| i + 1);
            Some(slice(b, 0, end))
        })
    })
    .with(1, &[ArgKind::Str]),
    Convert::new("cut_crlf", Type::Str, Type::Str, "Up to the first line end.", |_, v, _| {
        text(v, |b| {
            let end = b.iter().position(|c| matches!(c, b'\r' | b'\n')).unwrap_or(b.len());
            Some(slice(b, 0, end))
        })
    }),
    Convert::new("reverse", Type::Str, Type::Str, "Byte by byte from the end.", |_, v, _| {
        text(v, |b| Some(Cow::Owned(b.iter().rev().copied().collect())))
    }),
    Convert::new(
        "reverse_dom",
        Type::Str,
        Type::Str,
        "Labels of a host name in reverse order.",
        |_, v, _| text(v, |b| reverse_labels(&b).map(Cow::Owned)),
    ),
    Convert::new("url_dec", Type::Str, Type::Str, "Percent-decoded.", |a, v, _| {
        text(v, |b| {
            let form = a.int(0).unwrap_or(0) != 0;
            if b.iter().any(|c| matches!(c, b'%' | b'+')) {
                url_dec(&b, form).map(Cow::Owned)
            } else {
                Some(b)
            }
        })
    })
    .with(0, &[ArgKind::Int])
    .checked(check_form),
    Convert::new("url_enc", Type::Str, Type::Str, "Percent-encoded.", |_, v, _| {
        text(v, |b| Some(Cow::Owned(url_enc(&b))))
    })
    .with(1, &[ArgKind::Str])
    .checked(check_enc),
    Convert::new("param", Type::Str, Type::Str, "A parameter of a query string.", |a, v, _| {
        text(v, |b| {
            let (start, end) = parameter(&b, a.text(0), a.int(1).unwrap_or(0) as u8)?;
            Some(slice(b, start, end))
        })
    })
    .with(1, &[ArgKind::Str, ArgKind::Str])
    .checked(check_param),
    Convert::new("regsub", Type::Str, Type::Str, "What a regex matches, replaced.", |a, v, _| {
        text(v, |b| a.made::<Substitution>(0).map(|s| s.apply(b)))
    })
    .with(2, &[ArgKind::Regex, ArgKind::Str, ArgKind::Str])
    .checked(check_regsub),
    Convert::new("language", Type::Str, Type::Str, "The preferred of these languages.", |a, v, _| {
        v.bytes().and_then(|b| language(b, a)).map(Value::str).into()
    })
    .with(1, &[ArgKind::Str, ArgKind::Str]),
    Convert::new("hex2i", Type::Str, Type::Int, "The integer that hex digits say.", |_, v, _| {
        v.bytes().and_then(hex_int).map(Value::Int).into()
    }),
];

/// Where the value of a parameter stands; an empty one for a name alone.
fn parameter(b: &[u8], name: &[u8], delimiter: u8) -> Option<(usize, usize)> {
    if b.is_empty() {
        return None;
    }
    let mut start = 0;
    for pair in b.split(|c| *c == delimiter) {
        let end = start + pair.len();
        if let Some(rest) = pair.strip_prefix(name) {
            match rest.first() {
                None => return Some((end, end)),
                Some(b'=') => return Some((start + name.len() + 1, end)),
                _ => {}
            }
        }
        start = end + 1;
    }
    None
}

fn check_param(args: &mut Args) -> Result<(), String> {
    let delimiter = match args.text(1) {
        b"" if args.len() < 2 => b'&',
        [one] => *one,
        [b'0', b'x', digits @ ..] if digits.len() == 2 => match crate::pattern::unhex(digits) {
            Ok(b) => b.first().copied().unwrap_or(b'&'),
            Err(_) => return Err(DELIMITER.into()),
        },
        _ => return Err(DELIMITER.into()),
    };
    args.0.truncate(1);
    args.0.push(Arg::Int(delimiter.into()));
    Ok(())
}
const DELIMITER: &str = "Delimiter must be either exactly 1 character, or 0xHH for an ASCII code .";

/// `s/regex/text/flags`
struct Substitution {
    regex: crate::pattern::Regex,
    /// Plain bytes, and numbers of groups.
    parts: Vec<Result<Vec<u8>, usize>>,
    all: bool,
}

impl Substitution {
    fn apply<'s>(&self, b: Bytes<'s>) -> Bytes<'s> {
        let mut out = Vec::new();
        let mut end = 0;
        // behind a match of something, an empty one may follow at once
        while let Some(groups) = self.regex.groups_at(&b, end) {
            let [Some(whole), ..] = groups else { break };
            out.extend_from_slice(b.get(end..whole.0).unwrap_or(&[]));
            for part in &self.parts {
                match part {
                    Ok(text) => out.extend_from_slice(text),
                    Err(n) => {
                        let group = groups.get(*n).copied().flatten().and_then(|(from, to)| b.get(from..to));
                        out.extend_from_slice(group.unwrap_or(&[]));
                    }
                }
            }
            end = whole.1;
            if whole.0 == whole.1 {
                out.extend(b.get(end));
                end += 1;
            }
            if !self.all || end > b.len() {
                break;
            }
        }
        if end == 0 && out.is_empty() {
            return b;
        }
        out.extend_from_slice(b.get(end..).unwrap_or(&[]));
        Cow::Owned(out)
    }
}

/// The text that replaces: `\\1` is a group, `\\xHH` a byte, a backslash before anything else is dropped.
fn replacement(text: &[u8]) -> Vec<Result<Vec<u8>, usize>> {
    let mut parts = Vec::new();
    let mut plain = Vec::new();
    let mut i = 0;
    while let Some(b) = text.get(i) {
        i += 1;
        if *b != b'\\' {
            plain.push(*b);
            continue;
        }
        match text.get(i) {
            Some(d) if d.is_ascii_digit() => {
                parts.push(Ok(std::mem::take(&mut plain)));
                parts.push(Err(usize::from(d - b'0')));
            }
            Some(b'x') => match text.get(i + 1..i + 3).and_then(|h| crate::pattern::unhex(h).ok()) {
                Some(byte) => {
                    plain.extend(byte);
                    i += 2;
                }
                None => plain.push(b'x'),
            },
            Some(other) => plain.push(*other),
            None => plain.push(b'\\'),
        }
        i += 1;
    }
    parts.push(Ok(plain));
    parts
}

fn check_regsub(args: &mut Args) -> Result<(), String> {
    let flags = args.text(2);
    if let Some(bad) = flags.iter().find(|c| !matches!(c, b'i' | b'g')) {
        return Err(format!("invalid regex flag '{}', only 'i' and 'g' are supported", char::from(*bad)));
    }
    let made = Substitution {
        regex: crate::pattern::Regex::new(args.text(0), flags.contains(&b'i'))?,
        parts: replacement(args.text(1)),
        all: flags.contains(&b'g'),
    };
    args.0 = vec![Arg::Made(std::sync::Arc::new(made))];
    Ok(())
}

/// The language of the list with the highest quality that is asked for; the first among equals.
fn language<'a>(header: &[u8], args: &'a Args) -> Option<&'a [u8]> {
    let known = |l: &[u8]| args.text(0).split(|b| *b == b';').find(|k| *k == l);
    let mut best: (i64, Option<&[u8]>) = (0, None);
    for element in portcullis_message::values::elements(header) {
        let mut parts = element.split(|b| *b == b';');
        let name = portcullis_message::values::trim(parts.next().unwrap_or(&[]));
        let quality = parts.map(portcullis_message::values::trim).find_map(|p| p.strip_prefix(b"q="));
        let quality = quality.filter(|q| q.first().is_some_and(|b| b.is_ascii_digit() || *b == b'.'));
        let quality = quality.map_or(1000, thousandths);
        let base = name.split(|b| *b == b'-').next().unwrap_or(name);
        let Some(hit) = known(name).or_else(|| known(base)) else { continue };
        if quality > best.0 {
            best = (quality, Some(hit));
        }
    }
    best.1.or_else(|| (args.len() > 1).then(|| args.text(1)))
}

/// `0.123` as 123.
fn thousandths(q: &[u8]) -> i64 {
    let mut parts = q.splitn(2, |b| *b == b'.');
    let whole = parts.next().map_or(0, crate::value::leading_int);
    let digits = parts.next().unwrap_or(&[]);
    let fraction = (0..3).fold(0, |n, i| {
        n * 10 + digits.get(i).filter(|b| b.is_ascii_digit()).map_or(0, |b| i64::from(b - b'0'))
    });
    whole.min(1) * 1000 + fraction
}

fn hex_int(b: &[u8]) -> Option<i64> {
    let mut n: i64 = 0;
    for c in b {
        n = n.wrapping_shl(4) | i64::from(char::from(*c).to_digit(16)?);
    }
    Some(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(s: &str, i: i64, d: &str, n: i64, words: bool) -> String {
        let args = Args(vec![Arg::Int(i), Arg::Str(d.as_bytes().into()), Arg::Int(n)]);
        let (a, b) = fields(s.as_bytes(), &args, words).unwrap_or((0, 0));
        s[a..b].to_string()
    }

    #[test]
    fn the_manuals_fields_and_words() {
        let s = "f1_f2_f3__f5";
        for (i, n, want) in [
            (4, 1, ""),
            (5, 1, "f5"),
            (2, 0, "f2_f3__f5"),
            (2, 2, "f2_f3"),
            (-2, 3, "f2_f3_"),
            (-3, 0, "f1_f2_f3"),
            (9, 1, ""),
        ] {
            assert_eq!(cut(s, i, "_", n, false), want, "field({i},_,{n})");
        }
        for (i, n, want) in [
            (4, 1, "f5"),
            (5, 1, ""),
            (3, 0, "f3__f5"),
            (3, 2, "f3__f5"),
            (-2, 3, "f1_f2_f3"),
            (-3, 0, "f1_f2"),
        ] {
            assert_eq!(cut(s, i, "_", n, true), want, "word({i},_,{n})");
        }
        assert_eq!(cut("/f1/f2/f3/f4", 1, "/", 1, true), "f1");
    }

    #[test]
    fn hosts_and_urls() {
        for (h, host, port) in
            [("h:80", "h", 80), ("h", "h", 0), ("[::1]", "[::1]", 0), ("[::1]:80", "[::1]", 80)]
        {
            let (end, p) = host_port(h.as_bytes());
            assert_eq!((&h[..end], p), (host, port));
        }
        assert_eq!(url_dec(b"a+b%20c?d+e", false).unwrap(), b"a+b c?d e");
        assert_eq!(url_dec(b"a+b", true).unwrap(), b"a b");
        assert_eq!(url_dec(b"%4", true), None);
        assert_eq!(url_enc(b"a b/~"), b"a%20b%2F~");
        assert_eq!(reverse_labels(b"mail.example.com.").unwrap(), b"com.example.mail");
        assert_eq!(reverse_labels(b"a..b"), None);
    }
}
