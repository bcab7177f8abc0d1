//! Set-Cookie fields of responses: the server's persistence cookie is taken out, rewritten or left, ours is put in.

use super::cacheable::cacheable;
use super::{CookiePlan, Visit, Wish, stamp};
use portcullis_config::CookieMode;
use portcullis_message::{Head, HeaderId};

/// What takes a cookie away from a client whose server has none.
const EXPIRED: &[u8] = b"; Expires=Thu, 01-Jan-1970 00:00:01 GMT";

/// Where a response comes from.
pub struct From<'a> {
    /// The method of its request.
    pub method: &'a [u8],
    /// The server's value; none: it has none.
    pub value: Option<&'a [u8]>,
    /// The request's cookie led to this server.
    pub direct: bool,
    /// Now, in seconds since the epoch.
    pub now: u32,
}

/// Does to a response what the cookie's mode wants; gives the last letter of the termination state.
pub fn pass(plan: &CookiePlan, head: &mut Head, visit: &Visit, from: &From<'_>) -> u8 {
    if visit.wish == Some(Wish::Ignore) {
        return b'N';
    }
    let found = servers_own(plan, head, from);
    if plan.mode != CookieMode::Insert || visit.chosen || found == b'P' {
        return found;
    }
    if plan.postonly && from.method != b"POST" {
        return found;
    }
    if from.direct && !is_due(plan, visit, from.now) {
        return found;
    }
    head.push(b"set-cookie", &ours(plan, visit, from));
    if plan.nocache && cacheable(from.method, head) {
        head.push(b"cache-control", b"private");
    }
    if from.direct { b'U' } else { b'I' }
}

/// Must the dates of a valid cookie be written again?
fn is_due(plan: &CookiePlan, visit: &Visit, now: u32) -> bool {
    let seen = match visit.last {
        0 => plan.maxidle > 0,
        last => i64::from(last) >> 2 < i64::from(now) >> 2,
    };
    seen || (visit.first != 0) != (plan.maxlife > 0)
}

fn ours(plan: &CookiePlan, visit: &Visit, from: &From<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(plan.name.len() + plan.attributes.len() + 48);
    out.extend_from_slice(&plan.name);
    out.push(b'=');
    match from.value {
        None => out.extend_from_slice(EXPIRED),
        Some(value) => {
            out.extend_from_slice(value);
            let mut date = |seconds| {
                out.push(b'|');
                stamp::write(seconds, &mut out);
            };
            if plan.maxidle > 0 || plan.maxlife > 0 {
                date(from.now);
            }
            if plan.maxlife > 0 {
                let kept = from.direct && visit.first != 0;
                date(if kept { visit.first.cast_unsigned() } else { from.now });
            }
        }
    }
    out.extend_from_slice(&plan.attributes);
    out
}

/// What becomes of the cookies that the server sets itself.
fn servers_own(plan: &CookiePlan, head: &mut Head, from: &From<'_>) -> u8 {
    let mut letter = b'N';
    let Some(mut at) = head.position(HeaderId::SetCookie) else { return letter };
    let removes = !plan.preserve && (plan.mode == CookieMode::Insert || (plan.indirect && from.direct));
    while let Some(field) = head.field(at) {
        let value = match field.id {
            HeaderId::SetCookie => value_of(field.value, &plan.name),
            _ => None,
        };
        let Some(rest) = value else {
            at += 1;
            continue;
        };
        if removes {
            letter = b'D';
            head.remove(at);
            continue;
        }
        letter = b'P';
        let new = match (plan.mode, from.value) {
            (CookieMode::Rewrite, Some(id)) => [&plan.name[..], b"=", id, rest.attributes].concat(),
            (CookieMode::Prefix, Some(id)) => {
                [&plan.name[..], b"=", id, b"~", rest.value, rest.attributes].concat()
            }
            // 3.5 leaves no blanks around the equals sign
            _ => [&plan.name[..], b"=", rest.value, rest.attributes].concat(),
        };
        if from.value.is_some() && matches!(plan.mode, CookieMode::Rewrite | CookieMode::Prefix) {
            letter = b'R';
        }
        if new != field.value {
            head.set_value(at, &new);
        }
        at += 1;
    }
    letter
}

/// A cookie's value, and what follows it.
struct Rest<'f> {
    value: &'f [u8],
    attributes: &'f [u8],
}

/// The value of a Set-Cookie field, if it sets the cookie of this name.
fn value_of<'f>(field: &'f [u8], name: &[u8]) -> Option<Rest<'f>> {
    split(field).filter(|(n, _)| *n == name).map(|(_, rest)| rest)
}

/// Name and value of the cookie that a Set-Cookie field sets.
#[must_use]
pub fn pair(field: &[u8]) -> Option<(&[u8], &[u8])> {
    split(field).map(|(name, rest)| (name, rest.value))
}

fn split(field: &[u8]) -> Option<(&[u8], Rest<'_>)> {
    let equals =
        field.iter().position(|b| matches!(b, b'=' | b';')).filter(|at| field.get(*at) == Some(&b'='))?;
    let name = field.get(..equals)?.trim_ascii();
    let text = field.get(equals + 1..)?.trim_ascii_start();
    let (mut quoted, mut escaped) = (false, false);
    let end = text.iter().position(|b| {
        if std::mem::take(&mut escaped) {
            return false;
        }
        match b {
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
        *b == b';' && !quoted
    });
    let value = text.get(..end.unwrap_or(text.len()))?.trim_ascii_end();
    Some((name, Rest { value, attributes: text.get(value.len()..)? }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_config::Cookie;
    use portcullis_message::Version;

    fn plan(mode: CookieMode, change: impl FnOnce(&mut Cookie)) -> CookiePlan {
        let mut cookie = Cookie { name: b"SRV".to_vec(), mode, ..Cookie::default() };
        change(&mut cookie);
        CookiePlan::new(&cookie)
    }

    fn passed(plan: &CookiePlan, set: &str, direct: bool) -> (char, Vec<String>) {
        let mut head = Head::default();
        head.set_response(Version::HTTP_11, 200, b"");
        if !set.is_empty() {
            head.push(b"set-cookie", set.as_bytes());
        }
        let from = From { method: b"GET", value: Some(b"A"), direct, now: 1_795_719_612 };
        let letter = pass(plan, &mut head, &Visit::new(None), &from);
        let left = head.all(HeaderId::SetCookie).map(|v| String::from_utf8_lossy(v).into_owned()).collect();
        (letter.into(), left)
    }

    /// As 3.5 passes them on.
    #[test]
    fn rewritten() {
        let rewrite = plan(CookieMode::Rewrite, |_| {});
        let prefix = plan(CookieMode::Prefix, |_| {});
        for (plan, before, letter, after) in [
            (&rewrite, "SRV=own; path=/", 'R', "SRV=A; path=/"),
            (&rewrite, "SRV=", 'R', "SRV=A"),
            (&rewrite, "SRV", 'N', "SRV"),
            (&rewrite, "a=b, SRV=q; path=/", 'N', "a=b, SRV=q; path=/"),
            (&rewrite, "SRV = v ; x", 'R', "SRV=A ; x"),
            (&rewrite, "SRV=\"q;r\"; path=/", 'R', "SRV=A; path=/"),
            (&prefix, "SRV=own", 'R', "SRV=A~own"),
            (&prefix, "SRV=\"own x\"; path=/;secure", 'R', "SRV=A~\"own x\"; path=/;secure"),
            (&prefix, "SRV = v ; x", 'R', "SRV=A~v ; x"),
            (&prefix, "srv=q", 'N', "srv=q"),
        ] {
            assert_eq!(passed(plan, before, false), (letter, vec![after.to_owned()]), "{before}");
        }
    }

    #[test]
    fn inserted() {
        let insert = plan(CookieMode::Insert, |_| {});
        assert_eq!(passed(&insert, "", false), ('I', vec!["SRV=A; path=/".into()]));
        assert_eq!(passed(&insert, "SRV=own", false), ('I', vec!["SRV=A; path=/".into()]));
        assert_eq!(passed(&insert, "SRV=own", true), ('D', vec![]));
        let kept = plan(CookieMode::Insert, |c| c.preserve = true);
        assert_eq!(passed(&kept, "SRV=own", true), ('P', vec!["SRV=own".into()]));
        let dated = plan(CookieMode::Insert, |c| (c.maxidle, c.maxlife) = (10, 20));
        assert_eq!(passed(&dated, "", false).1, ["SRV=A|awiBv|awiBv; path=/"]);
        assert_eq!(passed(&dated, "", true).0, 'U');
    }
}
