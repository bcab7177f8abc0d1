//! A complete HTTP response kept in memory: built in, or read from an `errorfile` (manual sections 4.2 and 12.4).

use super::codes;
use portcullis_message::field::is_token;
use portcullis_message::{Head, HeaderId, Version, values};
use std::sync::Arc;

/// A complete response.
#[derive(Clone, Debug)]
pub struct Page {
    /// Status line and fields, names in lower case; empty for a file without content: the connection is closed
    /// without an answer.
    pub head: Head,
    /// The body.
    pub body: Arc<[u8]>,
    /// There is nothing to send at all.
    pub silent: bool,
}

impl Page {
    /// The page that the proxy has for a status by itself. `index` is that of [`codes::index`].
    #[must_use]
    pub fn built_in(index: usize) -> Self {
        let page = &codes::PAGES[index.min(codes::PAGES.len() - 1)];
        let mut head = Head::default();
        head.set_response(Version::HTTP_11, page.status, page.reason.as_bytes());
        head.push(b"content-length", page.body.len().to_string().as_bytes());
        head.push(b"cache-control", b"no-cache");
        if page.closes {
            head.push(b"connection", b"close");
        }
        head.push(b"content-type", b"text/html");
        Self { head, body: Arc::from(page.body.as_bytes()), silent: false }
    }

    /// What `errorloc` answers with.
    #[must_use]
    pub fn redirect(status: u16, url: &[u8]) -> Self {
        let mut head = Head::default();
        head.set_response(Version::HTTP_11, status, codes::reason(status).as_bytes());
        head.push(b"cache-control", b"no-cache");
        head.push(b"content-length", b"0");
        head.push(b"location", url);
        Self { head, body: Arc::from(&b""[..]), silent: false }
    }

    /// A response as a file holds it. An empty one is valid and silent.
    ///
    /// # Errors
    /// What is wrong with it, in 3.5's words, to be put behind the file's name.
    pub fn parse(raw: &[u8]) -> Result<Self, String> {
        let mut head = Head::default();
        if raw.is_empty() {
            return Ok(Self { head, body: Arc::from(raw), silent: true });
        }
        let at = parse_head(raw, &mut head)
            .map_err(|offset| format!("unable to parse headers (error offset: {offset})"))?;
        let body = raw.get(at..).unwrap_or(&[]);
        if head.all(HeaderId::TransferEncoding).any(|v| values::has_token(v, b"chunked")) {
            return Err("chunk-encoded payload not supported".to_owned());
        }
        if let Some(length) = head.first(HeaderId::ContentLength) {
            let length = std::str::from_utf8(length).unwrap_or("");
            if length.parse() != Ok(body.len()) {
                return Err(format!(
                    "payload size does not match the announced content-length ({} != {length})",
                    body.len()
                ));
            }
        }
        if matches!(head.status, 204 | 304) && !body.is_empty() {
            return Err("message payload not expected".to_owned());
        }
        Ok(Self { head, body: Arc::from(body), silent: false })
    }
}

/// Offset of what cannot be understood, -2 when the end came too early.
type Offset = isize;

/// Reads a response head into `head`; where the body begins.
fn parse_head(raw: &[u8], head: &mut Head) -> Result<usize, Offset> {
    let mut at = raw.iter().position(|b| !matches!(b, b'\r' | b'\n')).ok_or(-2isize)?;
    at = status_line(raw, at, head)?;
    loop {
        let (end, next) = line_end(raw, at)?;
        if end == at {
            break Ok(next);
        }
        at = field(raw, at, end, next, head)?;
    }
}

fn status_line(raw: &[u8], start: usize, head: &mut Head) -> Result<usize, Offset> {
    let (end, next) = line_end(raw, start)?;
    let line = raw.get(start..end).unwrap_or(&[]);
    let space = line.iter().position(|b| *b == b' ').ok_or(end as isize)?;
    let digits = &line[space + 1..];
    let len = digits.iter().position(|b| *b == b' ').unwrap_or(digits.len());
    if let Some(bad) = digits[..len].iter().position(|b| !b.is_ascii_digit()) {
        return Err((start + space + 1 + bad) as isize);
    }
    let status = std::str::from_utf8(&digits[..len]).ok().and_then(|s| s.parse::<u16>().ok());
    let status = status.ok_or((start + space + 1) as isize)?;
    let reason = digits.get(len + 1..).unwrap_or(&[]);
    let version = if line.starts_with(b"HTTP/1.0") { Version::HTTP_10 } else { Version::HTTP_11 };
    let reason = if reason.is_empty() { codes::reason(status).as_bytes() } else { reason };
    head.set_response(version, status, reason);
    Ok(next)
}

/// One field with its continuation lines; where the next one begins.
fn field(raw: &[u8], start: usize, end: usize, next: usize, head: &mut Head) -> Result<usize, Offset> {
    let line = &raw[start..end];
    let colon = line.iter().position(|b| !is_token(*b)).unwrap_or(line.len());
    if line.get(colon) != Some(&b':') || colon == 0 {
        return Err((start + colon) as isize);
    }
    let mut value = line[colon + 1..].to_vec();
    let mut next = next;
    while matches!(raw.get(next), Some(b' ' | b'\t')) {
        let (end, after) = line_end(raw, next)?;
        value.extend_from_slice(&raw[next..end]);
        next = after;
    }
    if let Some(bad) = value.iter().position(|b| *b == 0) {
        return Err((start + colon + 1 + bad) as isize);
    }
    let name = line[..colon].to_ascii_lowercase();
    let value = values::trim(&value);
    if HeaderId::of(&name) == HeaderId::ContentLength {
        if let Some(bad) = value.iter().position(|b| !b.is_ascii_digit()) {
            let lead = line.len() - value.len();
            return Err((start + lead + bad) as isize);
        }
        if head.first(HeaderId::ContentLength).is_some() {
            return Ok(next);
        }
    }
    if HeaderId::of(&name) != HeaderId::KeepAlive {
        head.push(&name, value);
    }
    Ok(next)
}

/// End of the line that begins at `at`, and where the next one begins.
fn line_end(raw: &[u8], at: usize) -> Result<(usize, usize), Offset> {
    let lf = at + raw.get(at..).unwrap_or(&[]).iter().position(|b| *b == b'\n').ok_or(-2isize)?;
    let end = if lf > at && raw.get(lf - 1) == Some(&b'\r') { lf - 1 } else { lf };
    Ok((end, lf + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(raw: &[u8]) -> String {
        Page::parse(raw).err().unwrap_or_default()
    }

    /// Recorded from HAProxy 3.5-dev5 with `-c`.
    #[test]
    fn files_are_judged_as_haproxy_does() {
        let headers = |n: i32| format!("unable to parse headers (error offset: {n})");
        assert_eq!(error(b"127.0.0.1 localhost\n127.0.0.1 runsc"), headers(10));
        assert_eq!(error(b"HTTP/1.1 503 X\r\nfoo bar: x\r\n\r\nhello\n"), headers(19));
        assert_eq!(error(b"HTTP/1.1 503 X\r\nX: y"), headers(-2));
        assert_eq!(error(b"HTTP/1.1 503 X\r\nFoo bar\r\n\r\nx"), headers(19));
        assert_eq!(error(b"HTTP/1.1 50x X\r\nFoo: bar\r\n\r\nx"), headers(11));
        assert_eq!(error(b"HTTP/1.1 503 X\r\nFoo: b\0ar\r\n\r\nx"), headers(22));
        assert_eq!(error(b"HTTP/1.1 503 X\r\nFoo: bar\r\nContent-Length: x\r\n\r\nx"), headers(42));
        assert_eq!(error(b"GET / HTTP/1.1\r\n\r\nx"), headers(4));
        assert_eq!(
            error(b"HTTP/1.1 503 X Y\r\nContent-Length: 3\r\n\r\nhello\n"),
            "payload size does not match the announced content-length (6 != 3)"
        );
        assert_eq!(
            error(b"HTTP/1.1 503 X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
            "chunk-encoded payload not supported"
        );
        assert_eq!(error(b"HTTP/1.1 204 X\r\n\r\nx"), "message payload not expected");
        for good in [
            &b""[..],
            b"HTTP/1.0 503 Service Unavailable\r\nContent-Type: text/html\r\n\r\nhello\n",
            b"HTTP/1.1 503 X Y\nX-A: b\n\nhello\n",
            b"HTTP/1.1 503\r\n\r\nhello\n",
            b"HTTP/2.0 503 X\r\n\r\nhello\n",
            b"HTTX/1.1 503 X\r\nFoo: bar\r\n\r\nx",
            b"HTTP/1.1 503 X\r\nA: b\r\n c\r\n\r\nx",
            b"HTTP/1.1 503 X\r\nContent-Length: 1\r\ncontent-length: 1\r\n\r\nx",
            b"\r\nHTTP/1.1 200 ok\r\n\r\nx",
        ] {
            assert_eq!(error(good), "", "{}", String::from_utf8_lossy(good));
        }
    }

    #[test]
    fn any_prefix_of_a_file_is_survived() {
        let raw = b"HTTP/1.1 503 X\r\nA: b\r\n c\r\nContent-Length: 1\r\n\r\nx";
        for i in 0..raw.len() {
            let _ = Page::parse(&raw[..i]);
        }
    }
}
