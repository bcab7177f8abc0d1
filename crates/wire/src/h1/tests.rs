//! What the tables of `tests/haproxy` do not say: offsets, limits, what `Info` holds, pieces.

use super::head::*;
use super::info::{Framing, Info};
use portcullis_message::{Head, HeaderId, Method};

const LIMITS: Limits = Limits { max_fields: 101, relaxed: false, any_method_payload: false };

fn request_with(raw: &[u8], limits: &Limits) -> Result<(usize, Info, Head), Bad> {
    let mut head = Head::default();
    match parse_request(raw, limits, &mut head)? {
        Parsed::Complete(n, info) => Ok((n, info, head)),
        Parsed::Partial => Err(Bad { fault: Fault::Byte, at: usize::MAX }),
    }
}
fn request(raw: &str) -> Result<(usize, Info, Head), Bad> {
    request_with(raw.as_bytes(), &LIMITS)
}
fn response(raw: &str, method: Method) -> Result<Info, Fault> {
    let mut head = Head::default();
    match parse_response(raw.as_bytes(), &LIMITS, &mut head, method).map_err(|bad| bad.fault)? {
        Parsed::Complete(_, info) => Ok(info),
        Parsed::Partial => panic!("{raw:?}"),
    }
}

#[test]
fn a_request_is_taken_apart() {
    let raw = "\r\nPOST /a?b HTTP/1.1\r\nHost: x\r\nX-Y:  z \t\r\nContent-Length: 3\r\n\r\nabc";
    let (n, info, head) = request(raw).unwrap();
    assert_eq!(&raw[n..], "abc");
    assert_eq!((head.method(), head.target()), (&b"POST"[..], &b"/a?b"[..]));
    assert_eq!(info, Info { framing: Framing::Length(3), keep_alive: true, ..Info::default() });
    let fields: Vec<_> = head.fields().map(|f| (f.id, f.name, f.value)).collect();
    assert_eq!(
        fields,
        [
            (HeaderId::Host, &b"host"[..], &b"x"[..]),
            (HeaderId::Other, b"x-y", b"z"),
            (HeaderId::ContentLength, b"content-length", b"3"),
        ]
    );
}

#[test]
fn every_prefix_is_partial() {
    let raw = "\r\nGET http://x/a HTTP/1.1\r\nHost: x\r\nA: b\r\n folded\r\nConnection: close, x\r\n\r\n";
    for end in 0..raw.len() {
        let mut head = Head::default();
        assert_eq!(parse_request(&raw.as_bytes()[..end], &LIMITS, &mut head), Ok(Parsed::Partial), "{end}");
    }
    let (_, info, head) = request(raw).unwrap();
    assert!(info.close && !info.keep_alive);
    assert_eq!(head.named(b"a").next(), Some(&b"b   folded"[..]));
    let raw = "HTTP/1.0 200 a b\r\nA: b\r\n\tc\r\n\r\n";
    for end in 0..raw.len() {
        let mut head = Head::default();
        let got = parse_response(&raw.as_bytes()[..end], &LIMITS, &mut head, Method::Get);
        assert_eq!(got, Ok(Parsed::Partial), "{end}");
    }
}

/// Which fault, and at which byte, which `show errors` prints.
#[test]
fn faults_say_where() {
    use Fault::*;
    for (raw, fault, at) in [
        ("G@T / HTTP/1.1\r\n\r\n", Method, 1),
        (" GET / HTTP/1.1\r\n\r\n", Method, 0),
        ("GET /\x7f HTTP/1.1\r\n\r\n", Target, 5),
        ("GET /\u{e9} HTTP/1.1\r\n\r\n", Target, 5),
        ("GET /\r\n\r\n", Version, 5),
        ("GET / HTTP/1.1 \r\n\r\n", Version, 14),
        ("GET / HTTP/1.10\r\n\r\n", Version, 14),
        ("\rGET / HTTP/1.1\r\n\r\n", Byte, 0),
        ("GET / HTTP/1.1\r\nA : b\r\n\r\n", Name, 17),
        ("GET / HTTP/1.1\r\n: b\r\n\r\n", Name, 16),
        ("GET / HTTP/1.1\r\nA: b\0\r\n\r\n", Value, 20),
        ("GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", Byte, 20),
        ("GET x HTTP/1.1\r\n\r\n", Target, 0),
        ("GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", Length, 0),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", TransferEncoding, 0),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", Coding, 0),
        ("GET / HTTP/1.0\r\nContent-Length: 1\r\n\r\n", Payload, 0),
        ("GET http://y/ HTTP/1.1\r\nHost: x\r\n\r\n", Host, 0),
        ("CONNECT / HTTP/1.1\r\n\r\n", Target, 0),
    ] {
        let got = request(raw).map(|_| ());
        assert_eq!(got, Err(Bad { fault, at }), "{raw:?}");
    }
    assert_eq!((Payload.status(), Coding.status(), Host.status()), (413, 422, 400));
}

/// `tune.http.maxhdr`: HAProxy 3.5 takes 100 fields with its default of 101.
#[test]
fn fields_are_counted() {
    let with = |n: usize| {
        let fields: String = (0..n).map(|i| format!("A{i}: b\r\n")).collect();
        format!("GET / HTTP/1.1\r\n{fields}\r\n")
    };
    assert_eq!(request(&with(100)).unwrap().2.len(), 100);
    assert!(matches!(request(&with(101)), Err(Bad { fault: Fault::TooManyFields, .. })));
}

#[test]
fn a_head_that_does_not_fit() {
    assert_eq!(too_large(b"\r\nGET /aaaaaaaaa"), 414);
    assert_eq!(too_large(b"GET / HTTP/1.1\r\nA: b"), 431);
}

/// RFC 9112 sections 6.1 to 6.3.
#[test]
fn framing_of_requests() {
    for (line, fields, framing, insecure) in [
        ("POST / HTTP/1.1", "", Framing::None, false),
        ("POST / HTTP/1.1", "Content-Length: 0\r\n", Framing::None, false),
        ("GET / HTTP/1.1", "Content-Length: 7\r\nContent-Length: 7\r\n", Framing::Length(7), false),
        ("POST / HTTP/1.1", "Content-Length: 007, 7\r\n", Framing::Length(7), false),
        ("POST / HTTP/1.1", "Transfer-Encoding: Chunked\r\n", Framing::Chunked, false),
        ("POST / HTTP/1.1", "Transfer-Encoding: chunked\r\nContent-Length: 7\r\n", Framing::Chunked, true),
        ("POST / HTTP/1.1", "Content-Length: 7\r\nTransfer-Encoding: chunked\r\n", Framing::Chunked, true),
        ("POST / HTTP/1.0", "Transfer-Encoding: chunked\r\n", Framing::Chunked, true),
        ("CONNECT x:1 HTTP/1.1", "Content-Length: 7\r\n", Framing::None, false),
    ] {
        let (_, info, head) =
            request(&format!("{line}\r\nHost: \r\n{fields}\r\n").replace("Host: \r\n", "")).unwrap();
        assert_eq!((info.framing, info.insecure), (framing, insecure), "{line} {fields}");
        let of = |id| head.all(id).map(<[u8]>::to_vec).collect::<Vec<_>>();
        match framing {
            Framing::Chunked => {
                assert_eq!(of(HeaderId::TransferEncoding), [b"chunked"]);
                assert!(of(HeaderId::ContentLength).is_empty());
            }
            Framing::Length(_) => assert_eq!(of(HeaderId::ContentLength), [b"7"]),
            _ => assert!(of(HeaderId::TransferEncoding).is_empty()),
        }
    }
    let any = Limits { any_method_payload: true, ..LIMITS };
    let raw = b"GET / HTTP/1.0\r\nContent-Length: 1\r\n\r\n";
    assert_eq!(request_with(raw, &any).unwrap().1.framing, Framing::Length(1));
}

/// RFC 9112 section 6.3.
#[test]
fn framing_of_responses() {
    for (line, fields, method, framing) in [
        ("1.1 200", "Content-Length: 5\r\n", Method::Get, Framing::Length(5)),
        ("1.1 200", "Content-Length: 5\r\n", Method::Head, Framing::None),
        ("1.1 200", "", Method::Get, Framing::UntilClose),
        ("1.1 200", "Transfer-Encoding: chunked\r\n", Method::Get, Framing::Chunked),
        ("1.0 200", "Transfer-Encoding: chunked\r\n", Method::Get, Framing::Chunked),
        ("1.1 204", "Transfer-Encoding: chunked\r\n", Method::Get, Framing::None),
        ("1.1 304", "Content-Length: 5\r\n", Method::Get, Framing::None),
        ("1.1 100", "", Method::Get, Framing::None),
        ("1.1 101", "Connection: upgrade\r\nUpgrade: x\r\n", Method::Get, Framing::Tunnel),
        ("1.1 200", "Content-Length: 5\r\n", Method::Connect, Framing::Tunnel),
        ("1.1 407", "Content-Length: 0\r\n", Method::Connect, Framing::None),
    ] {
        let raw = format!("HTTP/{line} x y\r\n{fields}\r\n");
        assert_eq!(response(&raw, method).map(|i| i.framing), Ok(framing), "{raw}");
    }
    assert_eq!(response("HTTP/1.1 101 x\r\n\r\n", Method::Get), Err(Fault::Upgrade));
}

/// RFC 9112 section 9.3, RFC 9110 section 7.8.
#[test]
fn connection_options() {
    for (line, fields, keep_alive, close, upgrade) in [
        ("1.1", "", true, false, false),
        ("1.0", "", false, false, false),
        ("1.0", "Connection: Keep-Alive\r\n", true, false, false),
        ("1.1", "Connection: x, CLOSE\r\n", false, true, false),
        ("1.1", "Connection: close\r\nConnection: keep-alive\r\n", false, true, false),
        ("1.1", "Connection: Upgrade\r\nUpgrade: foo\r\n", true, false, true),
        ("1.1", "Connection: Upgrade\r\nUpgrade: h2c\r\n", true, false, false),
        ("1.1", "Connection: Upgrade\r\n", true, false, false),
        ("1.1", "Upgrade: foo\r\n", true, false, false),
    ] {
        let (_, info, head) = request(&format!("GET / HTTP/{line}\r\n{fields}\r\n")).unwrap();
        assert_eq!(
            (info.keep_alive, info.close, info.upgrade),
            (keep_alive, close, upgrade),
            "{line} {fields}"
        );
        assert_eq!(head.first(HeaderId::Upgrade).is_some(), upgrade, "{line} {fields}");
    }
    let expect =
        |v| request(&format!("POST / HTTP/{v}\r\nExpect: 100-Continue\r\n\r\n")).unwrap().1.expect_continue;
    assert!(expect("1.1") && !expect("1.0"));
}

/// What relaxed parsing lets pass is counted.
#[test]
fn glitches() {
    let relaxed = Limits { relaxed: true, ..LIMITS };
    for (raw, glitches) in [
        (&b"GET / HTTP/1.1\r\nA: b\r\n\r\n"[..], 0),
        (b"GET / HTTP/1.1\r\nA : b\r\nB\x01: c\r\nC: \0\r\n\r\n", 3),
        (b"GET /\xff RTSP/1.0\r\n\r\n", 1),
        (b"GET /\r\n", 1),
    ] {
        let (_, info, _) = request_with(raw, &relaxed).unwrap();
        assert_eq!(info.glitches, glitches, "{:?}", String::from_utf8_lossy(raw));
    }
}
