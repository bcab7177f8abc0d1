//! Requests that two readers could understand differently: what is refused, and how what is accepted goes on to the server.
//!
//! After each payload a second request follows in the same bytes, so that the transcript shows where the first one ended.
use crate::sections;
use portcullis_e2e::binary::Binary;
use portcullis_e2e::{World, scenario};

const NEXT: &[u8] = b"GET /next HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";

fn case(name: &str, payload: &[u8]) {
    scenario(&format!("smuggling/{name}"), |w| {
        w.ok("o1");
        w.proxy(&sections("timeout http-request 400ms\ntimeout client 400ms", ""));
        let mut c = w.client("fe");
        let (bytes, _) = c.send([payload, NEXT].concat()).read_to_end();
        // a line for each answer
        let answers = bytes.windows(9).filter(|w| *w == b"HTTP/1.1 ").count();
        w.logs(answers.max(1));
    });
}

macro_rules! cases {
    ($($name:ident: $bytes:expr;)*) => {
        $(#[test]
        fn $name() {
            case(stringify!($name), $bytes);
        })*
    };
}

cases! {
    length_twice_same: b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc";
    length_twice_different: b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd";
    length_list_same: b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3, 3\r\n\r\nabc";
    length_list_different: b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3, 4\r\n\r\nabcd";
    length_plus: b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: +3\r\n\r\nabc";
    length_negative: b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: -1\r\n\r\nabc";
    length_hex: b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 0x3\r\n\r\nabc";
    length_empty: b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length:\r\n\r\nabc";
    length_too_large: b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 99999999999999999999999\r\n\r\nabc";
    length_leading_zeros: b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 003\r\n\r\nabc";
    length_inner_space: b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1 3\r\n\r\nabc";
    length_trailing_comma: b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3,\r\n\r\nabc";
    length_and_chunked: b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    chunked_and_length: b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    chunked_and_bad_length: b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\nContent-Length: x\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    chunked_upper: b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: CHUNKED\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    chunked_twice: b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    chunked_in_two_fields: b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    chunked_not_last: b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked, gzip\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    gzip_chunked: b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    encoding_unknown: b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: xchunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    encoding_identity: b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc";
    encoding_quoted: b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: \"chunked\"\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    encoding_with_tab: b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding:\tchunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    encoding_vertical_tab: b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: \x0bchunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    encoding_space_before_colon: b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding : chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    encoding_folded: b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding:\r\n chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    encoding_empty: b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding:\r\nContent-Length: 3\r\n\r\nabc";
    encoding_underscore: b"POST / HTTP/1.1\r\nHost: test\r\nTransfer_Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc";
    encoding_in_http_1_0: b"POST / HTTP/1.0\r\nHost: test\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    chunk_size_plus: b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n";
    chunk_size_hex_prefix: b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n";
    chunk_size_empty: b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n\r\nabc\r\n0\r\n\r\n";
    chunk_size_leading_space: b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n 3\r\nabc\r\n0\r\n\r\n";
    chunk_size_trailing_space: b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n";
    chunk_size_zeros: b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n0003\r\nabc\r\n000\r\n\r\n";
    chunk_size_too_large: b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc\r\n0\r\n\r\n";
    chunk_size_64_bits: b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n8000000000000000\r\nabc\r\n0\r\n\r\n";
    chunk_line_lf: b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n";
    chunk_line_cr: b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\rabc\r\n0\r\n\r\n";
    chunk_end_missing: b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n";
    chunk_end_lf: b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\n";
    chunk_extension: b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3;a=\"b;c\"\r\nabc\r\n0;x\r\n\r\n";
    chunk_extension_lf: b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3;a\nb\r\nabc\r\n0\r\n\r\n";
    chunk_extension_control: b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3;a\x01b\r\nabc\r\n0\r\n\r\n";
    last_chunk_lf: b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\n\n";
    trailer_with_framing: b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nContent-Length: 9\r\nTransfer-Encoding: x\r\nHost: evil\r\nX-Fine: 1\r\n\r\n";
    trailer_malformed: b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nbad line\r\n\r\n";
    bare_lf_lines: b"GET / HTTP/1.1\nHost: test\nX-A: 1\n\n";
    bare_lf_at_end: b"GET / HTTP/1.1\r\nHost: test\r\nX-A: 1\n\r\n";
    bare_cr_in_value: b"GET / HTTP/1.1\r\nHost: test\r\nX-A: 1\r2\r\n\r\n";
    bare_cr_in_name: b"GET / HTTP/1.1\r\nHost: test\r\nX\rA: 1\r\n\r\n";
    cr_cr_lf: b"GET / HTTP/1.1\r\nHost: test\r\r\n\r\n";
    nul_in_value: b"GET / HTTP/1.1\r\nHost: test\r\nX-A: 1\x002\r\n\r\n";
    nul_in_name: b"GET / HTTP/1.1\r\nHost: test\r\nX\x00A: 1\r\n\r\n";
    nul_in_target: b"GET /\x00 HTTP/1.1\r\nHost: test\r\n\r\n";
    control_in_value: b"GET / HTTP/1.1\r\nHost: test\r\nX-A: 1\x012\r\n\r\n";
    delete_in_value: b"GET / HTTP/1.1\r\nHost: test\r\nX-A: 1\x7f2\r\n\r\n";
    high_bytes_in_value: b"GET / HTTP/1.1\r\nHost: test\r\nX-A: \xe9\xff\r\n\r\n";
    high_bytes_in_target: b"GET /\xe9 HTTP/1.1\r\nHost: test\r\n\r\n";
    space_before_colon: b"GET / HTTP/1.1\r\nHost: test\r\nX-A : 1\r\n\r\n";
    tab_before_colon: b"GET / HTTP/1.1\r\nHost: test\r\nX-A\t: 1\r\n\r\n";
    space_in_name: b"GET / HTTP/1.1\r\nHost: test\r\nX A: 1\r\n\r\n";
    no_colon: b"GET / HTTP/1.1\r\nHost: test\r\nX-A\r\n\r\n";
    empty_name: b"GET / HTTP/1.1\r\nHost: test\r\n: 1\r\n\r\n";
    name_with_slash: b"GET / HTTP/1.1\r\nHost: test\r\nX/A: 1\r\n\r\n";
    name_with_parens: b"GET / HTTP/1.1\r\nHost: test\r\nX(A): 1\r\n\r\n";
    leading_space_on_first_field: b"GET / HTTP/1.1\r\n Host: test\r\n\r\n";
    folded_field: b"GET / HTTP/1.1\r\nHost: test\r\nX-A: 1\r\n 2\r\n\t3\r\n\r\n";
    folded_host: b"GET / HTTP/1.1\r\nHost: te\r\n st\r\n\r\n";
    two_spaces_in_line: b"GET  / HTTP/1.1\r\nHost: test\r\n\r\n";
    space_in_target: b"GET /a b HTTP/1.1\r\nHost: test\r\n\r\n";
    tab_in_line: b"GET\t/\tHTTP/1.1\r\nHost: test\r\n\r\n";
    trailing_space_in_line: b"GET / HTTP/1.1 \r\nHost: test\r\n\r\n";
    leading_space_in_line: b" GET / HTTP/1.1\r\nHost: test\r\n\r\n";
    lower_case_version: b"GET / http/1.1\r\nHost: test\r\n\r\n";
    version_2_0: b"GET / HTTP/2.0\r\nHost: test\r\n\r\n";
    version_1_2: b"GET / HTTP/1.2\r\nHost: test\r\n\r\n";
    version_0_9: b"GET /\r\n\r\n";
    version_long: b"GET / HTTP/1.10\r\nHost: test\r\n\r\n";
    version_missing_digits: b"GET / HTTP/1\r\nHost: test\r\n\r\n";
    method_lower_case: b"get / HTTP/1.1\r\nHost: test\r\n\r\n";
    method_with_bracket: b"G[T / HTTP/1.1\r\nHost: test\r\n\r\n";
    method_empty: b" / HTTP/1.1\r\nHost: test\r\n\r\n";
    method_long: b"ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZ / HTTP/1.1\r\nHost: test\r\n\r\n";
    host_missing: b"GET / HTTP/1.1\r\n\r\n";
    host_empty: b"GET / HTTP/1.1\r\nHost:\r\n\r\n";
    host_twice_same: b"GET / HTTP/1.1\r\nHost: test\r\nHost: test\r\n\r\n";
    host_twice_different: b"GET / HTTP/1.1\r\nHost: test\r\nHost: other\r\n\r\n";
    host_with_path: b"GET / HTTP/1.1\r\nHost: test/x\r\n\r\n";
    host_with_userinfo: b"GET / HTTP/1.1\r\nHost: user@test\r\n\r\n";
    host_with_space: b"GET / HTTP/1.1\r\nHost: te st\r\n\r\n";
    host_with_comma: b"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n";
    host_differs_from_target: b"GET http://other/ HTTP/1.1\r\nHost: test\r\n\r\n";
    host_port_differs_from_target: b"GET http://test:80/ HTTP/1.1\r\nHost: test\r\n\r\n";
    target_without_slash: b"GET index.html HTTP/1.1\r\nHost: test\r\n\r\n";
    target_star_get: b"GET * HTTP/1.1\r\nHost: test\r\n\r\n";
    target_fragment: b"GET /a#b HTTP/1.1\r\nHost: test\r\n\r\n";
    target_userinfo: b"GET http://user@test/ HTTP/1.1\r\nHost: test\r\n\r\n";
    target_backslash: b"GET /a\\b HTTP/1.1\r\nHost: test\r\n\r\n";
    target_quote: b"GET /a\"b<c>|{} HTTP/1.1\r\nHost: test\r\n\r\n";
    target_encoded_nul: b"GET /%00%0d%0a HTTP/1.1\r\nHost: test\r\n\r\n";
    connect_without_port: b"CONNECT test HTTP/1.1\r\nHost: test\r\n\r\n";
    connect_with_path: b"CONNECT /path HTTP/1.1\r\nHost: test\r\n\r\n";
    connect_with_length: b"CONNECT test:80 HTTP/1.1\r\nHost: test:80\r\nContent-Length: 3\r\n\r\nabc";
    get_with_length: b"GET / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc";
    head_with_length: b"HEAD / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc";
    get_with_chunked: b"GET / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    delete_with_chunked: b"DELETE / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    http_1_0_get_with_length: b"GET / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc";
    post_without_length: b"POST / HTTP/1.1\r\nHost: test\r\n\r\n";
    upgrade_with_length: b"GET / HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: foo\r\nContent-Length: 3\r\n\r\nabc";
    upgrade_h2c: b"GET / HTTP/1.1\r\nHost: test\r\nConnection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
    connection_names_host: b"GET / HTTP/1.1\r\nHost: test\r\nConnection: host, content-length\r\n\r\n";
    te_not_trailers: b"GET / HTTP/1.1\r\nHost: test\r\nTE: gzip\r\nConnection: TE\r\n\r\n";
    colon_in_host_only: b"GET / HTTP/1.1\r\nHost: :80\r\n\r\n";
    tls_hello: b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03";
}

/// Without this option HAProxy goes over to HTTP/2 here.
#[test]
fn http2_preface_with_upgrades_disabled() {
    scenario("smuggling/http2_preface_with_upgrades_disabled", |w| {
        w.ok("o1");
        w.proxy(&sections("timeout http-request 400ms\noption disable-h2-upgrade", ""));
        w.client("fe").send([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", NEXT].concat()).read_to_end();
        w.logs(1);
    });
}

/// Heads that are larger than a buffer, or have more fields than `tune.http.maxhdr`.
#[test]
fn head_larger_than_the_buffer() {
    scenario("smuggling/head_larger_than_the_buffer", |w| {
        w.ok("o1");
        w.proxy(&sections("timeout http-request 2s", ""));
        let mut c = w.client("fe");
        c.send(format!("GET /{} HTTP/1.1\r\nHost: test\r\n\r\n", "a".repeat(20_000))).read_to_end();
        w.logs(1);
    });
}

#[test]
fn field_larger_than_the_buffer() {
    scenario("smuggling/field_larger_than_the_buffer", |w| {
        w.ok("o1");
        w.proxy(&sections("timeout http-request 2s", ""));
        let mut c = w.client("fe");
        c.send(format!("GET / HTTP/1.1\r\nHost: test\r\nX: {}\r\n\r\n", "a".repeat(20_000))).read_to_end();
        w.logs(1);
    });
}

#[test]
fn as_many_fields_as_allowed_and_one_more() {
    scenario("smuggling/as_many_fields_as_allowed_and_one_more", |w| {
        w.ok("o1");
        w.proxy(&sections("timeout http-request 2s", ""));
        for n in [100, 101, 102] {
            let fields: String = (1..n).map(|i| format!("X{i}: 1\r\n")).collect();
            let mut c = w.client("fe");
            c.send_quietly(
                format!("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{fields}\r\n").as_bytes(),
            );
            c.read_to_end();
        }
        w.logs(3);
    });
}

#[test]
fn endless_chunk_extension() {
    scenario("smuggling/endless_chunk_extension", |w| {
        let origin = w.origin("o1", |mut c| {
            c.head();
            c.wait_end();
        });
        w.proxy(&sections("timeout http-request 2s\ntimeout client 2s", ""));
        let mut c = w.client("fe");
        c.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
        origin.wait_line(0, "< POST");
        c.send("3;");
        // less than what the system holds for a connection that nobody reads
        let refused = c.send_until_refused(&[b'x'; 1000], 1_000_000);
        w.note(format!("refused: {refused}"));
        w.logs(1);
    });
}

#[test]
fn endless_trailers() {
    scenario("smuggling/endless_trailers", |w| {
        let origin = w.origin("o1", |mut c| {
            c.head();
            c.wait_end();
        });
        w.proxy(&sections("timeout http-request 2s", ""));
        let mut c = w.client("fe");
        c.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
        origin.wait_line(0, "< POST");
        c.send("0\r\n");
        let refused = c.send_until_refused(b"X-A: 12345678901234567890\r\n", 4_000_000);
        w.note(format!("refused: {refused}"));
        w.logs(1);
    });
}

#[test]
fn violations_accepted_when_asked() {
    scenario("smuggling/violations_accepted_when_asked", |w| {
        w.ok("o1");
        w.proxy(&sections("option accept-unsafe-violations-in-http-request\ntimeout http-request 2s", ""));
        for request in [
            "GET /\u{e9}\u{ff} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n",
            "GET /a#b HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n",
            "GET /a\"b HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: test\r\nX[A]: 1\r\nConnection: close\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: test\r\nX-A : 1\r\nConnection: close\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: test\r\nHost: other\r\nConnection: close\r\n\r\n",
        ] {
            w.client("fe").send(request).read_to_end();
        }
        w.logs(6);
    });
}

/// Rules may write what they like into the fields that say where a body ends: server and client are told what is.
#[test]
fn rules_do_not_move_the_end_of_a_body() {
    let binary = Binary::under_test();
    if binary.is_haproxy() {
        return; // answers some of these with 500, and sends others on without their body
    }
    let rules = [
        "http-request del-header content-length",
        "http-request del-header content- -m beg",
        "http-request set-header content-length 2",
        "http-request add-header content-length 1",
        "http-request replace-value content-length 3 30",
        "http-request set-header transfer-encoding chunked",
        "http-request add-header transfer-encoding gzip",
        "http-response set-header content-length 0",
        "http-response add-header content-length 9",
        "http-response del-header content-length",
        "http-response add-header transfer-encoding chunked",
        "http-after-response set-header content-length 9",
    ];
    let mut w = World::new(binary);
    let origin = w.answering("o1", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
    let lines = rules.iter().enumerate().map(|(n, rule)| format!("{rule} if {{ var(txn.n) -m str /{n} }}"));
    let lines = std::iter::once("http-request set-var(txn.n) path".to_owned()).chain(lines);
    w.proxy(&sections(&lines.collect::<Vec<_>>().join("\n"), ""));
    for (n, rule) in rules.iter().enumerate() {
        let request =
            format!("POST /{n} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc");
        let (bytes, _) = w.client("fe").send(request).read_to_end();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(text.ends_with("\r\n\r\nabc"), "{rule}: {text}");
        assert_eq!(text.matches("content-length:").count(), 1, "{rule}: {text}");
        assert!(
            text.contains("content-length: 3\r\n") && !text.contains("transfer-encoding"),
            "{rule}: {text}"
        );
    }
    let seen = origin.transcripts().concat();
    let number = |what: &str| seen.iter().filter(|l| l.to_lowercase().contains(what)).count();
    assert_eq!(number("content-length: 3"), rules.len(), "{seen:#?}");
    assert_eq!((number("content-length"), number("transfer-encoding")), (rules.len(), 0), "{seen:#?}");
    assert_eq!(number("post /"), rules.len(), "{seen:#?}");
}
