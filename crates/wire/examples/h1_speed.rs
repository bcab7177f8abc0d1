//! How long it takes to parse and to write a head: `cargo run --release -p portcullis-wire --example h1_speed`.

use portcullis_message::{Head, Method};
use portcullis_wire::h1::{Limits, encode, parse_request, parse_response};
use std::hint::black_box;
use std::time::Instant;

const SMALL: &[u8] =
    b"GET /index.html HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: wrk/4.2\r\nAccept: */*\r\n\r\n";
const BROWSER: &[u8] = b"GET /en-US/docs/Web/HTTP/Headers?search=proxy&page=2 HTTP/1.1\r\nHost: developer.example.org\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\nConnection: keep-alive\r\nCookie: session=0123456789abcdef\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx/1.26\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
Content-Type: text/html\r\nContent-Length: 612\r\nLast-Modified: Sat, 05 Nov 1994 10:00:00 GMT\r\n\
Connection: keep-alive\r\nETag: \"6713ad2c-264\"\r\nAccept-Ranges: bytes\r\n\r\n";

fn time(what: &str, bytes: usize, mut f: impl FnMut()) {
    const ROUNDS: u32 = 1_000_000;
    for _ in 0..ROUNDS / 10 {
        f();
    }
    let best = (0..5)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..ROUNDS {
                f();
            }
            start.elapsed()
        })
        .min()
        .unwrap_or_default();
    println!("{what:<24} {bytes:>4} bytes {:>7.1} ns", best.as_nanos() as f64 / f64::from(ROUNDS));
}

fn main() {
    let limits = Limits { max_fields: 101, relaxed: false, any_method_payload: false };
    let mut head = Head::default();
    for (what, raw) in [("request, wrk", SMALL), ("request, browser", BROWSER)] {
        time(what, raw.len(), || {
            let _ = black_box(parse_request(black_box(raw), &limits, &mut head));
        });
    }
    time("response, nginx", RESPONSE.len(), || {
        let _ = black_box(parse_response(black_box(RESPONSE), &limits, &mut head, Method::Get));
    });
    let mut out = Vec::new();
    time("write the response", RESPONSE.len(), || {
        out.clear();
        encode::response(black_box(&head), None, &mut out);
        black_box(&out);
    });
}
