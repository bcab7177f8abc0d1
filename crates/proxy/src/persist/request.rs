//! Cookie fields of requests: the persistence cookie is looked at, and taken out or shortened.

use super::{CookiePlan, Visit, stamp};
use portcullis_backend::Named;
use portcullis_config::CookieMode;
use portcullis_message::{Head, HeaderId};
use std::ops::Range;

/// Dates further in the future than this many seconds are not believed.
const FUTURE: i64 = 24 * 3600;

/// What separates the server's name from the application's value (`prefix`) and from dates.
const PREFIX_END: u8 = b'~';
const DATE: u8 = b'|';

/// Looks at all Cookie fields at `now` (seconds since the epoch). `find` knows servers by their values.
pub fn look(
    plan: &CookiePlan,
    head: &mut Head,
    visit: &mut Visit,
    now: u32,
    mut find: impl FnMut(&[u8]) -> Named,
) {
    let Some(mut at) = head.position(HeaderId::Cookie) else { return };
    while let Some(field) = head.field(at) {
        if field.id != HeaderId::Cookie {
            at += 1;
            continue;
        }
        let changed = look_at(plan, field.value, visit, now, &mut find);
        match changed {
            None => at += 1,
            Some(value) if value.is_empty() => head.remove(at),
            Some(value) => {
                head.set_value(at, &value);
                at += 1;
            }
        }
    }
}

/// Looks at one field; gives its new value if it is to have one.
fn look_at(
    plan: &CookiePlan,
    text: &[u8],
    visit: &mut Visit,
    now: u32,
    find: &mut impl FnMut(&[u8]) -> Named,
) -> Option<Vec<u8>> {
    let mut any = false;
    for piece in pieces(text).filter(|p| p.is(text, &plan.name)) {
        any = true;
        see(plan, piece.text(text), visit, now, find);
    }
    match plan.mode {
        _ if !any => None,
        CookieMode::Prefix => Some(without_prefixes(text, &plan.name)),
        CookieMode::Insert if plan.indirect => Some(without(text, &plan.name)),
        _ => None,
    }
}

/// One persistence cookie.
fn see(plan: &CookiePlan, value: &[u8], visit: &mut Visit, now: u32, find: &mut impl FnMut(&[u8]) -> Named) {
    let end = if plan.mode == CookieMode::Prefix { PREFIX_END } else { DATE };
    let id = value.split(|b| *b == end).next().unwrap_or_default();
    let mut dates = value.splitn(3, |b| *b == DATE).skip(1).filter(|_| end == DATE).map(stamp::read);
    let last = dates.next();
    let first = last.map(|_| dates.next().unwrap_or(0));
    // a cookie without dates leaves those of another
    (visit.last, visit.first) = (last.unwrap_or(visit.last), first.unwrap_or(visit.first));
    if visit.is_bypassed() {
        visit.letter = b'U';
        return;
    }
    let over = |date: Option<i32>, most: u32| {
        let (date, now) = (i64::from(date.unwrap_or(0)), i64::from(now));
        most > 0 && date != 0 && (now - date > i64::from(most) || date - now > FUTURE)
    };
    if over(first, plan.maxlife) {
        visit.letter = b'O';
    } else if over(last, plan.maxidle) {
        visit.letter = b'E';
    } else if visit.server.is_none() {
        match find(id) {
            Named::Up(server) => (visit.letter, visit.server) = (b'V', Some(server)),
            Named::Down(server) => (visit.letter, visit.server) = (b'D', server),
            Named::Nobody if visit.letter == b'N' => visit.letter = b'I',
            Named::Nobody => {}
        }
    }
}

/// One cookie of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    name: Range<usize>,
    /// Behind `=`; none: there is no `=`.
    value: Option<Range<usize>>,
    /// Where its delimiter is, or the text ends.
    end: usize,
}

impl Piece {
    /// Is it the cookie of this name?
    fn is(&self, text: &[u8], name: &[u8]) -> bool {
        self.value.is_some() && text.get(self.name.clone()) == Some(name)
    }
    fn text<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        self.value.clone().and_then(|v| text.get(v)).unwrap_or_default()
    }
}

fn is_blank(b: u8) -> bool {
    matches!(b, b' ' | b'\t')
}

/// Without the blanks around it.
fn trimmed(text: &[u8], mut range: Range<usize>) -> Range<usize> {
    let blank = |at: usize| text.get(at).is_some_and(|b| is_blank(*b));
    while range.start < range.end && blank(range.start) {
        range.start += 1;
    }
    while range.start < range.end && blank(range.end - 1) {
        range.end -= 1;
    }
    range
}

/// Name and value of each cookie of a field.
pub fn pairs(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    pieces(text).filter_map(|p| Some((text.get(p.name)?, text.get(p.value?)?)))
}

/// The cookies of a field; `;` and `,` stand between them, if not in quotes behind a `=`.
fn pieces(text: &[u8]) -> impl Iterator<Item = Piece> + '_ {
    let mut next = Some(0);
    std::iter::from_fn(move || {
        let start = next.filter(|at| *at < text.len())?;
        let (mut equals, mut quoted, mut escaped) = (None, false, false);
        let rest = text.get(start..).unwrap_or_default();
        let length = rest.iter().enumerate().position(|(i, b)| {
            if escaped {
                escaped = false;
                return false;
            }
            match b {
                b'\\' if quoted => escaped = true,
                b'"' if equals.is_some() => quoted = !quoted,
                b'=' if equals.is_none() => equals = Some(start + i),
                b';' | b',' if !quoted => return true,
                _ => {}
            }
            false
        });
        let end = length.map_or(text.len(), |n| start + n);
        next = length.map(|n| start + n + 1);
        let name = trimmed(text, start..equals.unwrap_or(end));
        Some(Piece { name, value: equals.map(|at| trimmed(text, at + 1..end)), end })
    })
}

/// The field's value with server names and `~` taken out of the cookies of this name.
fn without_prefixes(text: &[u8], name: &[u8]) -> Vec<u8> {
    let mut out = text.to_vec();
    let all: Vec<Piece> = pieces(text).filter(|p| p.is(text, name)).collect();
    for piece in all.into_iter().rev() {
        let Some(value) = piece.value.clone() else { continue };
        if let Some(tilde) = piece.text(text).iter().position(|b| *b == PREFIX_END) {
            out.drain(value.start..=value.start + tilde);
        }
    }
    out
}

/// The field's value without the cookies of this name and their `$` attributes; empty if no other is left.
fn without(text: &[u8], name: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(text.len());
    let (mut others, mut start, mut removed) = (false, 0, false);
    for piece in pieces(text) {
        let label = text.get(piece.name.clone()).unwrap_or_default();
        let goes = piece.is(text, name) || (removed && label.starts_with(b"$"));
        let part = text.get(start..piece.end).unwrap_or_default();
        if goes {
            if piece.end == text.len() {
                // nothing follows: neither does the delimiter in front
                if removed {
                    out.pop();
                }
                out.pop();
            } else if !removed && !out.is_empty() {
                let delimiter = out.pop();
                while out.last().is_some_and(|b| is_blank(*b)) {
                    out.pop();
                }
                out.extend(delimiter);
                out.push(b' ');
            }
        } else {
            let nothing = label.is_empty() && piece.value.is_none();
            others |= !nothing && !label.starts_with(b"$");
            let skip = if removed { part.iter().take_while(|b| is_blank(**b)).count() } else { 0 };
            out.extend_from_slice(part.get(skip..).unwrap_or_default());
            out.extend(text.get(piece.end));
        }
        removed = goes;
        start = piece.end + 1;
    }
    if others { out } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What 3.5 leaves of the client's field with `cookie SRV insert indirect`.
    #[test]
    fn removal_is_haproxys() {
        for (before, after) in [
            ("SRV=A", ""),
            ("SRV=B; x=y", "x=y"),
            ("a=b; SRV=B; x=y", "a=b; x=y"),
            ("SRV=A; SRV=B; x=1", "x=1"),
            ("x=1;SRV=A;y=2", "x=1; y=2"),
            ("x=1 ; SRV=A ; y=2", "x=1; y=2"),
            ("x=1, SRV=A, y=2", "x=1, y=2"),
            ("SRV = A ; y", "y"),
            ("SRV=A;", ""),
            ("$Version=1; SRV=A; $Path=/", ""),
            ("x=\"a;b\"; SRV=A", "x=\"a;b\""),
            ("x=a\"b;c\"; SRV=A", "x=a\"b;c\""),
            ("x=\"a\\\";b\"; SRV=A", "x=\"a\\\";b\""),
            (";;SRV=A;;x=1;;", ";; ;x=1;;"),
            ("SRV=A;;x=1", ";x=1"),
            ("x=1; SRV=B; y=2; SRV=A; z=3", "x=1; y=2; z=3"),
            ("a=,SRV=A", "a="),
            ("x=1; $Path=/; SRV=A", "x=1; $Path=/"),
            ("$Version=1; x=1; SRV=A; $Path=/", "$Version=1; x=1"),
            ("$Version=1; SRV=A; $Path=/; y=1; $Path=/y", "$Version=1; y=1; $Path=/y"),
            ("x=1 ; SRV=A", "x=1 "),
            ("x=1;SRV=A;", "x=1; "),
            ("\"x=1; SRV=A", "\"x=1"),
            ("SRV;SRV=A", "SRV"),
            ("=SRV; SRV=A", "=SRV"),
            ("x==;SRV=A", "x=="),
            ("SRV=A; x=1; SRV=B", "x=1"),
            ("x=1; SRV=\"A", "x=1"),
            ("a=b;  SRV=A;  c=d", "a=b; c=d"),
            ("x=1;\tSRV=A;\ty=2", "x=1; y=2"),
        ] {
            let got = without(before.as_bytes(), b"SRV");
            assert_eq!(String::from_utf8_lossy(&got), after, "{before}");
        }
    }

    #[test]
    fn prefixes_go() {
        for (before, after) in [
            ("SRV=A~x", "SRV=x"),
            ("SRV=A~", "SRV="),
            ("SRV=B~x~y; q=w", "SRV=x~y; q=w"),
            ("q=w;SRV=B~x", "q=w;SRV=x"),
            ("SRV=A~x; SRV=B~z", "SRV=x; SRV=z"),
            ("SRV=\"A~x\"", "SRV=x\""),
            ("SRV=A", "SRV=A"),
        ] {
            let got = without_prefixes(before.as_bytes(), b"SRV");
            assert_eq!(String::from_utf8_lossy(&got), after, "{before}");
        }
    }
}
