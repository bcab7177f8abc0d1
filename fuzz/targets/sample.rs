//! Fetches and converters that take foreign bytes apart (TLS hello, RDP, MQTT, FIX, protobuf, JSON, JWT, cookies, URL and
//! body parameters, log formats): the first line is an expression, the rest is what came from the network.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_message::{Head, Version};
use portcullis_sample::format::Options;
use portcullis_sample::row::{Cursor, Vocabulary};
use portcullis_sample::{
    Direction, Expr, Facts, Format, Message, Payload, Places, Random, Sample, Scope, vocabulary,
};
use std::sync::{Arc, LazyLock};

static VOCABULARY: LazyLock<Arc<Vocabulary>> = LazyLock::new(vocabulary);
const MOST: usize = 1000;

/// The foreign bytes wherever a message has room for them.
fn head(rest: &[u8], response: bool) -> Head {
    let mut head = Head::default();
    let line: Vec<u8> = rest.iter().copied().filter(|b| !matches!(b, b'\r' | b'\n' | 0)).collect();
    let target: Vec<u8> = [b"/p?", &line[..]].concat().into_iter().filter(|b| *b != b' ').collect();
    if response {
        head.set_response(Version::HTTP_11, 200, b"OK");
    } else {
        head.set_request(b"GET", &target, Version::HTTP_11);
    }
    for name in
        [&b"host"[..], b"cookie", b"set-cookie", b"authorization", b"x-forwarded-for", b"forwarded", b"date"]
    {
        head.push(name, line.trim_ascii());
    }
    head
}

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|b| *b == b'\n').unwrap_or(input.len());
    let (text, rest) = (&input[..end], input.get(end + 1..).unwrap_or(&[]));
    // no files, and nothing that takes a second for a password
    if [&b"map"[..], b"_file", b"http_auth", b"wait"].iter().any(|w| text.windows(w.len()).any(|t| t == *w)) {
        return;
    }
    let random = Random::new(1);
    let facts = Facts { http: true, ..Facts::new() };
    let (request, response) = (head(rest, false), head(rest, true));
    let mut scopes = Vec::new();
    for (may_grow, last_call) in [(true, false), (false, true)] {
        for direction in [Direction::Request, Direction::Response] {
            let bytes = Some(Payload { bytes: rest, may_grow });
            scopes.push(Scope {
                direction,
                request: Message::Here(&request),
                response: Message::Here(&response),
                request_bytes: bytes,
                response_bytes: bytes,
                last_call,
                ..Scope::new(&facts, &random)
            });
        }
    }
    if let Ok(expr) = Expr::parse(text, &VOCABULARY) {
        for scope in &scopes {
            let mut cursor = Cursor::each();
            for n in 0.. {
                // a value costs at least a byte
                assert!(n <= rest.len() + MOST, "endless values");
                let sample = expr.eval_at(scope, &mut cursor);
                if scope.last_call {
                    assert!(!matches!(sample, Sample::NotYet), "waits for what cannot come");
                }
                if !std::mem::take(&mut cursor.more) {
                    break;
                }
            }
        }
    }
    for options in [Options::LOG, Options::rule(Places::FE_HTTP_REQUEST)] {
        if let Ok((format, _)) = Format::compile(text, options, &VOCABULARY) {
            let mut out = Vec::new();
            scopes.iter().for_each(|s| format.run(s, &mut out));
        }
    }
});
