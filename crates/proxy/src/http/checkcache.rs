//! `option checkcache`: responses that caches may keep and that set a cookie are blocked. The rules are the manual's;
//! HAProxy 3.5 itself lets most of them pass (`docs/operations.md`).

use super::exchange::{Exchange, Stop};
use crate::check::report;
use crate::plan::ProxyPlan;
use crate::session::Session;
use portcullis_config::Severity;
use portcullis_message::{Head, HeaderId, Method, values};
use portcullis_sample::Direction;
use portcullis_telemetry::log::Level;

/// Could a cache keep this response to a request with `method`, and with it a cookie that is somebody's?
#[must_use]
pub fn is_risky(method: Method, response: &Head) -> bool {
    if response.first(HeaderId::SetCookie).is_none() {
        return false;
    }
    let says = |directive: &dyn Fn(&[u8]) -> bool| {
        response.named(b"cache-control").flat_map(values::elements).any(directive)
    };
    let kept_by_itself =
        matches!(response.status, 200 | 203 | 204 | 206 | 300 | 301 | 404 | 405 | 410 | 414 | 501)
            && matches!(method, Method::Get | Method::Head | Method::Options | Method::Trace);
    if !kept_by_itself && !says(&|d| d.eq_ignore_ascii_case(b"public")) {
        return false;
    }
    let pragma = response.named(b"pragma").any(|v| values::has_token(v, b"no-cache"));
    !pragma && !says(&keeps_cookies_out)
}

/// Does this directive of Cache-Control keep the cookie out of caches?
fn keeps_cookies_out(directive: &[u8]) -> bool {
    const ALONE: [&[u8]; 5] = [b"private", b"no-store", b"max-age=0", b"s-maxage=0", b"no-cache"];
    const FIELD: &[u8] = b"no-cache=\"set-cookie";
    let begins = directive.get(..FIELD.len()).is_some_and(|d| d.eq_ignore_ascii_case(FIELD));
    ALONE.iter().any(|d| directive.eq_ignore_ascii_case(d))
        || (begins && matches!(directive.get(FIELD.len()), Some(b'"' | b',')))
}

/// The response is not passed on: as `http-response deny` with 502, and the log says why.
#[cold]
pub fn block(x: &Exchange<'_>, session: &Session, back: &ProxyPlan) -> Stop {
    x.denied(session, Direction::Response);
    let (name, server) = (&back.name, x.facts.server_name);
    let text = format!("Blocking cacheable cookie in response from instance {name}, server {server}.");
    report::log(session.worker(), name, Level::Alert, &text, Severity::Alert, &text);
    Stop::new(b"PH", 502)
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_message::Version;

    fn risky(method: Method, status: u16, fields: &[(&str, &str)]) -> bool {
        let mut head = Head::default();
        head.set_response(Version::HTTP_11, status, b"");
        for (name, value) in fields {
            head.push(name.as_bytes(), value.as_bytes());
        }
        is_risky(method, &head)
    }

    /// The list of the manual, in its order.
    #[test]
    fn what_is_delivered() {
        let cookie = ("set-cookie", "a=b");
        let with = |control| [cookie, ("cache-control", control)];
        assert!(risky(Method::Get, 200, &[cookie]));
        assert!(!risky(Method::Get, 200, &[]));
        assert!(!risky(Method::Get, 302, &[cookie]));
        assert!(risky(Method::Get, 302, &with("public")));
        assert!(!risky(Method::Post, 200, &[cookie]));
        assert!(risky(Method::Post, 200, &with("max-age=5, Public")));
        assert!(!risky(Method::Get, 200, &[cookie, ("pragma", "no-cache")]));
        for fine in [
            "private",
            "no-store",
            "max-age=0",
            "s-maxage=0",
            "no-cache",
            "no-cache=\"set-cookie\"",
            "a, No-Cache",
        ] {
            assert!(!risky(Method::Get, 200, &with(fine)), "{fine}");
            assert!(
                !risky(Method::Get, 302, &[cookie, ("cache-control", "public"), ("cache-control", fine)]),
                "{fine}"
            );
        }
        assert!(!risky(Method::Get, 200, &with("no-cache=\"set-cookie, foo\"")));
        for open in ["no-cache=\"foo\"", "max-age=5", "max-age=01", "public", "no-cache=\"set-cookie2\""] {
            assert!(risky(Method::Get, 200, &with(open)), "{open}");
        }
    }
}
