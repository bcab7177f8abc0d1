//! An answer that the proxy gives itself, ready for `http-after-response` rules and then for the wire.

use super::codes;
use super::page::Page;
use portcullis_config::Place;
use portcullis_message::{Head, HeaderId, Version, values};
use portcullis_wire::h1::{self, CaseMap};
use std::sync::Arc;

/// Bytes of an answer's body.
#[derive(Clone, Debug, Default)]
pub enum Body {
    /// None.
    #[default]
    Empty,
    /// Kept with the configuration.
    Shared(Arc<[u8]>),
    /// Made for this answer.
    Owned(Vec<u8>),
}

impl Body {
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Empty => &[],
            Self::Shared(b) => b,
            Self::Owned(b) => b,
        }
    }
}

/// An answer of the proxy.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The status that it stands for: the log shows it, also where another one is sent (`errorloc`) or none.
    pub status: u16,
    /// Status line and fields.
    pub head: Head,
    /// Body.
    pub body: Body,
    /// Nothing is sent: the connection is just closed (`errorfile 408 /dev/null`).
    pub silent: bool,
    /// Where the rule stands that made it, if that is the last final one once it has been sent.
    pub rule: Option<Place>,
}

impl Answer {
    /// An answer without fields yet.
    #[must_use]
    pub fn new(status: u16) -> Self {
        let mut head = Head::default();
        head.set_response(Version::HTTP_11, status, codes::reason(status).as_bytes());
        Self { status, head, ..Self::default() }
    }

    /// A whole page for a status.
    #[must_use]
    pub fn page(status: u16, page: &Page) -> Self {
        let body = Body::Shared(page.body.clone());
        Self { status, head: page.head.clone(), body, silent: page.silent, rule: None }
    }

    /// Writes it as HTTP/1 to answer a request of this version. `keep_alive` is what the connection would like;
    /// the result says whether it may. `without_body`: the request's method was HEAD.
    pub fn write_h1(
        &mut self,
        request: Version,
        keep_alive: bool,
        without_body: bool,
        case: Option<&CaseMap>,
        out: &mut Vec<u8>,
    ) -> bool {
        if self.silent {
            return false;
        }
        let keep = self.settle_connection(request, keep_alive);
        h1::encode::response(&self.head, case, out);
        if !without_body && !matches!(self.head.status, 100..=199 | 204 | 304) {
            out.extend_from_slice(self.body.bytes());
        }
        keep
    }

    /// Puts the Connection field at the end, as it has to be; may the connection stay?
    fn settle_connection(&mut self, request: Version, keep_alive: bool) -> bool {
        let head = &mut self.head;
        let told = head.all(HeaderId::Connection).any(|v| values::has_token(v, b"close"));
        if told {
            head.remove_id(HeaderId::Connection);
        }
        let unbounded =
            head.first(HeaderId::ContentLength).is_none() && !matches!(head.status, 100..=199 | 204 | 304);
        let keep = keep_alive && !told && !unbounded;
        match (keep, head.version < Version::HTTP_11) {
            (true, old) if old || request < Version::HTTP_11 => head.push(b"connection", b"keep-alive"),
            (false, false) => head.push(b"connection", b"close"),
            // the version says it
            _ => {}
        }
        keep
    }
}

/// Writes a page for what was not even a request (a malformed or late head): no rules have seen it and nothing is
/// adjusted. The connection is closed behind it.
pub fn write_early(page: &Page, out: &mut Vec<u8>) {
    if !page.silent {
        h1::encode::response(&page.head, None, out);
        out.extend_from_slice(&page.body);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(answer: &mut Answer, request: Version, keep: bool, head: bool) -> (String, bool) {
        let mut out = Vec::new();
        let keep = answer.write_h1(request, keep, head, None, &mut out);
        (String::from_utf8_lossy(&out).into_owned(), keep)
    }

    /// Recorded from HAProxy 3.5-dev5.
    #[test]
    fn built_in_pages_equal_haproxy() {
        let page = |status| Page::built_in(codes::index(status).unwrap_or(0));
        let forbidden = "HTTP/1.1 403 Forbidden\r\ncontent-length: 93\r\ncache-control: no-cache\r\n\
            content-type: text/html\r\n";
        let body = "<html><body><h1>403 Forbidden</h1>\nRequest forbidden by administrative rules.\n</body></html>\n";
        let (v11, v10) = (Version::HTTP_11, Version::HTTP_10);
        for (request, keep, head, expected) in [
            (v11, true, false, format!("{forbidden}\r\n{body}")),
            (v11, true, true, format!("{forbidden}\r\n")),
            (v11, false, false, format!("{forbidden}connection: close\r\n\r\n{body}")),
            (v10, false, false, format!("{forbidden}connection: close\r\n\r\n{body}")),
            (v10, true, false, format!("{forbidden}connection: keep-alive\r\n\r\n{body}")),
        ] {
            assert_eq!(written(&mut Answer::page(403, &page(403)), request, keep, head), (expected, keep));
        }
        let (bytes, keep) = written(&mut Answer::page(400, &page(400)), v11, true, true);
        assert_eq!(
            bytes,
            "HTTP/1.1 400 Bad request\r\ncontent-length: 90\r\ncache-control: no-cache\r\n\
             content-type: text/html\r\nconnection: close\r\n\r\n"
        );
        assert!(!keep);
        let mut early = Vec::new();
        write_early(&page(400), &mut early);
        assert!(early.starts_with(
            b"HTTP/1.1 400 Bad request\r\ncontent-length: 90\r\ncache-control: no-cache\r\nconnection: close\r\n\
              content-type: text/html\r\n\r\n<html>"
        ));
    }

    /// Recorded from HAProxy 3.5-dev5.
    #[test]
    fn error_files_equal_haproxy() {
        for (file, expected, keeps) in [
            (
                "HTTP/1.0 503 Service Unavailable\r\nContent-Type: text/html\r\n\r\nhello\n",
                "HTTP/1.0 503 Service Unavailable\r\ncontent-type: text/html\r\n\r\nhello\n",
                false,
            ),
            (
                "HTTP/1.0 503 Service Unavailable\r\nContent-Length: 6\r\n\r\nhello\n",
                "HTTP/1.0 503 Service Unavailable\r\ncontent-length: 6\r\nconnection: keep-alive\r\n\r\nhello\n",
                true,
            ),
            (
                "HTTP/1.1 503 X Y\r\nContent-Length: 6\r\nConnection: close\r\nX-A: b\r\n\r\nhello\n",
                "HTTP/1.1 503 X Y\r\ncontent-length: 6\r\nx-a: b\r\nconnection: close\r\n\r\nhello\n",
                false,
            ),
            (
                "HTTP/1.1 503 X Y\nX-A: b\n\nhello\n",
                "HTTP/1.1 503 X Y\r\nx-a: b\r\nconnection: close\r\n\r\nhello\n",
                false,
            ),
            (
                "HTTP/1.1 503\r\n\r\nhello\n",
                "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n\r\nhello\n",
                false,
            ),
            ("HTTP/2.0 503 X\r\n\r\nhello\n", "HTTP/1.1 503 X\r\nconnection: close\r\n\r\nhello\n", false),
            ("", "", false),
        ] {
            let page = Page::parse(file.as_bytes()).expect(file);
            let got = written(&mut Answer::page(page.head.status, &page), Version::HTTP_11, true, false);
            assert_eq!(got, (expected.to_owned(), keeps), "{file}");
        }
        let page = Page::redirect(302, b"http://x/y");
        assert_eq!(
            written(&mut Answer::page(page.head.status, &page), Version::HTTP_11, true, false),
            (
                "HTTP/1.1 302 Found\r\ncache-control: no-cache\r\ncontent-length: 0\r\nlocation: http://x/y\r\n\r\n"
                    .to_owned(),
                true
            )
        );
    }
}
