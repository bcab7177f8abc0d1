//! May a cache keep this response? (`cookie … nocache`; as HAProxy 3.5 answers it.)

use portcullis_message::{Head, Method, values};

/// Statuses that caches may keep unless told otherwise.
const STATUSES: &[u16] = &[200, 203, 204, 206, 300, 301, 404, 405, 410, 414, 501];

/// Is the response to a request of this method one that a cache may keep? `public` allows what the status or the method
/// does not, and what a directive before it has forbidden.
#[must_use]
pub fn cacheable(method: &[u8], response: &Head) -> bool {
    if response.named(b"pragma").any(|v| values::has_token(v, b"no-cache")) {
        return false;
    }
    let reads = matches!(Method::of(method), Method::Get | Method::Head | Method::Options | Method::Trace);
    let mut allowed = reads && STATUSES.contains(&response.status);
    let mut kept = response.has(b"expires") || response.has(b"etag") || response.has(b"last-modified");
    for directive in response.named(b"cache-control").flat_map(values::elements) {
        if directive.eq_ignore_ascii_case(b"public") {
            allowed = true;
        } else if forbids(directive) {
            allowed = false;
        } else if let Some(seconds) = lifetime(directive) {
            if seconds == b"0" {
                return false;
            }
            kept = true;
        }
    }
    allowed && kept
}

fn forbids(directive: &[u8]) -> bool {
    [&b"private"[..], b"no-store", b"no-cache"].iter().any(|word| {
        directive.get(..word.len()).is_some_and(|d| d.eq_ignore_ascii_case(word))
            && matches!(directive.get(word.len()), None | Some(b'=' | b' '))
    })
}

/// What `max-age` or `s-maxage` is said to be.
fn lifetime(directive: &[u8]) -> Option<&[u8]> {
    let at = directive.iter().position(|b| *b == b'=')?;
    let (name, value) = (directive.get(..at)?, directive.get(at + 1..)?);
    let is = |n: &[u8]| name.eq_ignore_ascii_case(n);
    (is(b"max-age") || is(b"s-maxage")).then_some(value)
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
        for (yes, control) in [
            (true, "max-age=60, public"),
            (true, "no-store, public, max-age=1"),
            (true, "no-cache=\"set-cookie\", public, s-maxage=3"),
            (false, "public, no-store, max-age=1"),
            (false, "public, max-age=60, max-age=0"),
            (false, "public"),
        ] {
            for (method, status) in [("GET", 200), ("GET", 302), ("POST", 503)] {
                assert_eq!(
                    says(method, status, &[("cache-control", control)]),
                    yes,
                    "{method} {status} {control}"
                );
            }
        }
        assert!(cc("max-age=00") && cc("max-age=x"));
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
