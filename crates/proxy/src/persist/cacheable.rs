//! May a cache keep this response? (`cookie … nocache`; as HAProxy 3.5 answers it.)

use portcullis_message::{Head, Method, values};

/// Statuses that caches may keep unless told otherwise.
const STATUSES: &[u16] = &[200, 203, 204, 206, 300, 301, 404, 405, 410, 414, 501];

/// Is the response to a request of this method one that a cache may keep?
#[must_use]
pub fn cacheable(method: &[u8], response: &Head) -> bool {
    let reads = matches!(Method::of(method), Method::Get | Method::Head | Method::Options | Method::Trace);
    if !reads || !STATUSES.contains(&response.status) {
        return false;
    }
    if response.named(b"pragma").any(|v| values::has_token(v, b"no-cache")) {
        return false;
    }
    let mut kept = response.has(b"expires") || response.has(b"etag") || response.has(b"last-modified");
    for value in response.named(b"cache-control") {
        for directive in values::elements(value) {
            match lifetime(directive) {
                Some(0) => return false,
                Some(_) => kept = true,
                None if forbids(directive) => return false,
                None => {}
            }
        }
    }
    kept
}

fn forbids(directive: &[u8]) -> bool {
    [&b"private"[..], b"no-store", b"no-cache"].iter().any(|word| {
        directive.get(..word.len()).is_some_and(|d| d.eq_ignore_ascii_case(word))
            && matches!(directive.get(word.len()), None | Some(b'=' | b' '))
    })
}

/// The seconds of `max-age` or `s-maxage`.
fn lifetime(directive: &[u8]) -> Option<u64> {
    let at = directive.iter().position(|b| *b == b'=')?;
    let (name, value) = (directive.get(..at)?, directive.get(at + 1..)?);
    let is = |n: &[u8]| name.eq_ignore_ascii_case(n);
    (is(b"max-age") || is(b"s-maxage")).then(|| {
        let digits = value.iter().skip_while(|b| **b == b'"').take_while(|b| b.is_ascii_digit());
        digits.fold(0u64, |n, b| n.saturating_mul(10).saturating_add(u64::from(b - b'0')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_message::Version;

    fn says(method: &str, status: u16, fields: &[(&str, &str)]) -> bool {
        let mut head = Head::default();
        head.set_response(Version::HTTP_11, status, b"");
        fields.iter().for_each(|(n, v)| head.push(n.as_bytes(), v.as_bytes()));
        cacheable(method.as_bytes(), &head)
    }

    /// Each line was asked of 3.5 by whether it added `cache-control: private`.
    #[test]
    fn as_haproxy_sees_it() {
        let cc = |v| says("GET", 200, &[("cache-control", v)]);
        for yes in ["max-age=10", "s-maxage=5", "public, max-age=3"] {
            assert!(cc(yes), "{yes}");
        }
        for no in ["public", "private", "private, max-age=1", "no-store", "max-age=0", "s-maxage=0"] {
            assert!(!cc(no), "{no}");
        }
        assert!(!cc("must-revalidate") && !cc("no-cache=\"set-cookie\""));
        assert!(says("GET", 200, &[("etag", "x"), ("cache-control", "public")]));
        assert!(says("GET", 200, &[("expires", "0")]) && says("GET", 200, &[("last-modified", "x")]));
        assert!(!says("GET", 200, &[("pragma", "no-cache"), ("cache-control", "max-age=5")]));
        assert!(!says("GET", 200, &[]));
        let etag = [("etag", "x")];
        for (method, status, yes) in [
            ("HEAD", 200, true),
            ("OPTIONS", 200, true),
            ("TRACE", 200, true),
            ("POST", 200, false),
            ("PATCH", 200, false),
            ("FOO", 200, false),
            ("GET", 201, false),
            ("GET", 302, false),
            ("GET", 404, true),
            ("GET", 501, true),
            ("GET", 503, false),
        ] {
            assert_eq!(says(method, status, &etag), yes, "{method} {status}");
        }
    }
}
