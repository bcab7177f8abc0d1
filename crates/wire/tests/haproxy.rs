//! The HTTP/1 codec against what HAProxy 3.5 answered to the same bytes (`haproxy/*.txt`, recorded from outside).
//!
//! Connection fields are left out of the comparison: they are the proxy's, not the codec's.

#![allow(clippy::unwrap_used, reason = "a malformed table is a failed test")]

use portcullis_message::{Head, Method};
use portcullis_wire::h1::{Chunked, Limits, Parsed, encode, parse_request, parse_response};

/// Where this codec differs on purpose, and why.
const DIFFERENCES: &[(&str, &str)] = &[
    ("conn body", "HAProxy 3.5 answers 502 to CONNECT with Content-Length; here the length is ignored"),
    ("ver 1.10", "relaxed: HAProxy writes an HTTP/1.0 Connection field only"),
    ("upg list", "the list is written again with one blank behind each comma"),
    ("upg ws nokey", "relaxed: HAProxy makes up a key; a codec has no randomness"),
    ("upg ws,foo", "relaxed: the same"),
    ("ws key empty", "relaxed: the same"),
    ("ws key short", "relaxed: the same"),
    ("ws WebSocket", "relaxed: the same"),
    ("ws POST nokey", "relaxed: the same"),
    ("ws 1.0 nokey", "relaxed: the same"),
    ("200 ws noacc", "HAProxy makes up a Sec-WebSocket-Accept; the server's answer goes on as it is"),
    ("101 ws noacc", "relaxed: the same"),
    ("101 noreq", "whether an upgrade was asked for is the proxy's to check"),
    ("20", "a status code has three digits"),
    ("partial bad2", "refused at once, not when the time is up"),
    ("reason nul", "no NUL in a reason phrase"),
];

fn limits(relaxed: bool) -> Limits {
    Limits { max_fields: 101, relaxed, any_method_payload: false }
}

fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        if b != b'\\' {
            out.push(b);
            continue;
        }
        match bytes.next().unwrap() {
            b'r' => out.push(b'\r'),
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'x' => {
                let hex = [bytes.next().unwrap(), bytes.next().unwrap()];
                out.push(u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap());
            }
            other => out.push(other),
        }
    }
    out
}

/// The lines of a head without Connection fields.
fn lines(head: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(head).into_owned();
    text.split("\r\n").filter(|l| !l.starts_with("connection:")).map(str::to_owned).collect()
}

fn table(text: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    text.lines().filter(|l| !l.starts_with('#')).map(|l| l.split(" | ").collect())
}

fn known(name: &str) -> bool {
    DIFFERENCES.iter().any(|d| d.0 == name)
}

#[test]
fn requests() {
    let mut wrong = Vec::new();
    for row in table(include_str!("haproxy/requests.txt")) {
        let [section, name, raw, strict_status, strict_sent, relaxed_status, relaxed_sent] = row[..] else {
            panic!("{row:?}");
        };
        let raw = unescape(raw);
        for (relaxed, status, sent) in
            [(false, strict_status, strict_sent), (true, relaxed_status, relaxed_sent)]
        {
            let mut head = Head::default();
            let got = parse_request(&raw, &limits(relaxed), &mut head);
            let (got_status, got_sent) = match got {
                Ok(Parsed::Complete(..)) => {
                    let mut out = Vec::new();
                    encode::request(&head, None, &mut out);
                    ("200".to_owned(), lines(&out))
                }
                Ok(Parsed::Partial) => ("408".to_owned(), lines(b"-")),
                Err(bad) => (bad.fault.status().to_string(), lines(b"-")),
            };
            let want = (status.to_owned(), lines(&unescape(sent)));
            if (got_status.clone(), got_sent.clone()) != want && !known(name) {
                wrong.push(format!(
                    "{section}, {name}, relaxed {relaxed}: {:?}\n  got  {got_status} {got_sent:?}\n  want {want:?}",
                    String::from_utf8_lossy(&raw)
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn responses() {
    let mut wrong = Vec::new();
    for row in table(include_str!("haproxy/responses.txt")) {
        let [section, name, request, raw, strict_status, strict_sent, relaxed_status, relaxed_sent] = row[..]
        else {
            panic!("{row:?}");
        };
        let request = unescape(request);
        let method = Method::of(request.split(|b| *b == b' ').next().unwrap());
        let raw = unescape(raw);
        for (relaxed, status, sent) in
            [(false, strict_status, strict_sent), (true, relaxed_status, relaxed_sent)]
        {
            let mut head = Head::default();
            let got = match parse_response(&raw, &limits(relaxed), &mut head, method) {
                Ok(Parsed::Complete(..)) => {
                    let mut out = Vec::new();
                    encode::response(&head, None, &mut out);
                    lines(&out)
                }
                _ => lines(b"-"),
            };
            let want = if status == "502" { lines(b"-") } else { lines(&unescape(sent)) };
            if got != want && !known(name) {
                wrong.push(format!(
                    "{section}, {name}, relaxed {relaxed}: {:?}\n  got  {got:?}\n  want {status} {want:?}",
                    String::from_utf8_lossy(&raw)
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// The payload and trailers are the same however the bytes come in.
#[test]
fn chunked_bodies() {
    let mut wrong = Vec::new();
    for row in table(include_str!("haproxy/chunks.txt")) {
        let [section, name, raw, status, sent] = row[..] else { panic!("{row:?}") };
        let raw = unescape(raw);
        for step in [1, 2, 3, 7, raw.len()] {
            let mut decoder = Chunked::default();
            let mut failed = false;
            let mut payload = Vec::new();
            for piece in raw.chunks(step) {
                let mut piece = piece.to_vec();
                match decoder.decode(&mut piece) {
                    Ok(d) => payload.extend_from_slice(&piece[d.payload]),
                    Err(_) => failed = true,
                }
                if failed {
                    break;
                }
            }
            let mut out = Vec::new();
            if decoder.ended() {
                encode::chunk_size(payload.len(), &mut out);
                out.extend_from_slice(&payload);
                out.extend_from_slice(b"\r\n0\r\n");
                let trailers = decoder.trailers();
                out.extend_from_slice(if trailers.is_empty() { b"\r\n" } else { trailers });
            }
            let want = unescape(sent);
            let complete = want.ends_with(b"\r\n\r\n");
            if failed != (status == "400") || (complete && out != want) {
                wrong.push(format!(
                    "{section}, {name}, step {step}: {:?}\n  got  {failed} {:?}\n  want {status} {sent:?}",
                    String::from_utf8_lossy(&raw),
                    String::from_utf8_lossy(&out)
                ));
                break;
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
