//! HTTP/1.1 message forwarding (RFC 9110, RFC 9112; manual sections 1 and 4).
use crate::{runtime_api, sections};
use portcullis_e2e::binary::Binary;
use portcullis_e2e::process::{PATIENCE, wait_for};
use portcullis_e2e::{Gate, OriginConn, World, scenario};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn keep_alive() {
    scenario("http1/keep_alive", |w| {
        w.ok("o1");
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.get("/1", "").response();
        c.get("/2", "X-Custom: One\r\nX-Custom:   two  \r\n").response();
        c.close();
        w.logs(2);
    });
}

#[test]
fn connection_close_asked_by_the_client() {
    scenario("http1/connection_close_asked_by_the_client", |w| {
        w.ok("o1");
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.get("/1", "Connection: close\r\n").read_to_end();
        w.logs(1);
    });
}

#[test]
fn connection_close_asked_by_the_server() {
    scenario("http1/connection_close_asked_by_the_server", |w| {
        w.origin("o1", |mut c| {
            c.request();
            c.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
        });
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.get("/1", "").response();
        c.get("/2", "").response();
        c.close();
        w.logs(2);
    });
}

#[test]
fn http_1_0_closes_unless_asked() {
    scenario("http1/http_1_0_closes_unless_asked", |w| {
        w.ok("o1");
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.send("GET /1 HTTP/1.0\r\n\r\n").read_to_end();
        let mut c = w.client("fe");
        c.send("GET /2 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").response();
        c.send("GET /3 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").response();
        c.close();
        w.logs(3);
    });
}

#[test]
fn http_1_0_server() {
    scenario("http1/http_1_0_server", |w| {
        w.origin("o1", |mut c| {
            c.request();
            c.send("HTTP/1.0 200 OK\r\nServer: old\r\n\r\nuntil the end");
        });
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.get("/1", "").response();
        w.logs(1);
    });
}

#[test]
fn http_1_0_server_kept_alive() {
    scenario("http1/http_1_0_server_kept_alive", |w| {
        w.answering("o1", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok");
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.get("/1", "").response();
        c.get("/2", "").response();
        c.close();
        w.logs(2);
    });
}

#[test]
fn pipelining() {
    scenario("http1/pipelining", |w| {
        w.ok("o1");
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.send(
            "GET /1 HTTP/1.1\r\nHost: test\r\n\r\nPOST /2 HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello\
             HEAD /3 HTTP/1.1\r\nHost: test\r\n\r\nGET /4 HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n",
        );
        c.response();
        c.response();
        c.response_to("HEAD");
        c.read_to_end();
        w.logs(4);
    });
}

#[test]
fn requests_a_byte_at_a_time() {
    scenario("http1/requests_a_byte_at_a_time", |w| {
        w.ok("o1");
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        for byte in
            b"POST /slow HTTP/1.1\r\nHost: test\r\nX-Long: abcdefghijkl\r\nContent-Length: 3\r\n\r\nabc"
        {
            c.send_quietly(&[*byte]);
        }
        c.response();
        c.close();
        w.logs(1);
    });
}

#[test]
fn responses_a_byte_at_a_time() {
    scenario("http1/responses_a_byte_at_a_time", |w| {
        w.origin("o1", |mut c| {
            while c.request().is_some() {
                for byte in b"HTTP/1.1 200 Fine by me\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: v\r\n\r\n" {
                    c.send_quietly(&[*byte]);
                }
            }
        });
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.get("/", "").response();
        c.get("/", "").response();
        c.close();
    });
}

#[test]
fn chunked_request_with_trailers() {
    scenario("http1/chunked_request_with_trailers", |w| {
        w.ok("o1");
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.send(
            "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
             5;name=value\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 42\r\nx-more: 1\r\n\r\n",
        );
        c.response();
        c.close();
        w.logs(1);
    });
}

#[test]
fn chunked_response_with_trailers() {
    scenario("http1/chunked_response_with_trailers", |w| {
        w.answering(
            "o1",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-Sum: 42\r\n\r\n",
        );
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.get("/", "TE: trailers\r\n").response();
        c.get("/", "").response();
        c.close();
        w.logs(2);
    });
}

#[test]
fn trailers_dropped_on_request() {
    scenario("http1/trailers_dropped_on_request", |w| {
        w.answering(
            "o1",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 42\r\n\r\n",
        );
        w.proxy(&sections("option http-drop-response-trailers", "option http-drop-request-trailers"));
        let mut c = w.client("fe");
        c.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Req: 1\r\n\r\n");
        c.response();
        c.close();
    });
}

#[test]
fn chunked_response_to_http_1_0() {
    scenario("http1/chunked_response_to_http_1_0", |w| {
        w.answering("o1", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
        w.proxy(&sections("timeout client 1s", ""));
        let mut c = w.client("fe");
        c.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").read_to_end();
        w.logs(1);
    });
}

#[test]
fn response_without_length_ends_at_close() {
    scenario("http1/response_without_length_ends_at_close", |w| {
        w.origin("o1", |mut c| {
            c.request();
            c.send("HTTP/1.1 200 OK\r\nX-A: 1\r\n\r\nall there is");
        });
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.get("/", "").response();
        w.logs(1);
    });
}

#[test]
fn head_204_and_304_have_no_body() {
    scenario("http1/head_204_and_304_have_no_body", |w| {
        w.origin("o1", |mut c| {
            c.request();
            c.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
            c.request();
            c.send("HTTP/1.1 204 No Content\r\n\r\n");
            c.request();
            c.send("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 1000\r\n\r\n");
            c.request();
            c.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            c.request();
            c.send(OK);
            c.wait_end();
        });
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.send("HEAD /1 HTTP/1.1\r\nHost: test\r\n\r\n").response_to("HEAD");
        c.get("/2", "").response();
        c.get("/3", "If-None-Match: \"a\"\r\n").response();
        c.send("HEAD /4 HTTP/1.1\r\nHost: test\r\n\r\n").response_to("HEAD");
        c.get("/5", "").response();
        c.close();
        w.logs(5);
    });
}

#[test]
fn expect_100_continue() {
    scenario("http1/expect_100_continue", |w| {
        w.origin("o1", |mut c| {
            c.head();
            c.send("HTTP/1.1 100 Continue\r\nX-Interim: 1\r\n\r\n");
            c.read_exactly(4);
            c.send(OK);
            c.wait_end();
        });
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.send("POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
            .response();
        c.send("body").response();
        c.close();
        w.logs(1);
    });
}

#[test]
fn expect_100_continue_answered_at_once() {
    scenario("http1/expect_100_continue_answered_at_once", |w| {
        w.origin("o1", |mut c| {
            c.head();
            c.send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno");
            c.wait_end();
        });
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.send("POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
            .response();
        c.close();
        w.logs(1);
    });
}

/// A body that is waited for before there is a server: the proxy says that it may come.
#[test]
fn expect_100_continue_answered_for_a_body_that_is_wanted() {
    scenario("http1/expect_100_continue_answered_for_a_body_that_is_wanted", |w| {
        w.ok("o1");
        for (port, line) in [
            ("rule", "http-request wait-for-body time 10s"),
            ("option", "option http-buffer-request"),
            ("own", "http-request wait-for-body time 10s\n  http-request return status 200"),
        ] {
            w.proxy(&format!(
                "frontend fe\n  bind 127.0.0.1:${{{port}}}\n  {line}\n  default_backend be\n\
                 backend be\n  server s1 127.0.0.1:${{o1}}\n"
            ));
            let mut c = w.client(port);
            c.send("POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
                .response();
            c.send("body").response();
            c.close();
        }
        w.logs(3);
    });
}

#[test]
fn early_hints_are_passed_on() {
    scenario("http1/early_hints_are_passed_on", |w| {
        w.answering(
            "o1",
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        );
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.get("/", "").response();
        c.response();
        c.response();
        c.close();
        w.logs(1);
    });
}

/// Switches protocols, then sends back whatever comes until the end.
fn echo_after_switch(mut c: OriginConn) {
    c.head();
    c.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    echo(c);
}

fn echo(mut c: OriginConn) {
    loop {
        let n = c.buffered().len();
        let bytes = c.take(n);
        if !bytes.is_empty() {
            c.send_quietly(&bytes);
        }
        if !c.fill() {
            c.half_close();
            return;
        }
    }
}

#[test]
fn websocket_upgrade_becomes_a_tunnel() {
    scenario("http1/websocket_upgrade_becomes_a_tunnel", |w| {
        w.origin("o1", echo_after_switch);
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.get(
            "/chat",
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n",
        );
        c.response();
        c.send("\u{1}ping\n").read_exactly(6);
        c.send("\u{1}pong\n").read_exactly(6);
        c.half_close().read_to_end();
        w.logs(2);
    });
}

#[test]
fn bytes_after_an_upgrade_request_wait_for_the_switch() {
    scenario("http1/bytes_after_an_upgrade_request_wait_for_the_switch", |w| {
        w.origin("o1", echo_after_switch);
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\nearly\n");
        c.response();
        c.read_exactly(6);
        c.half_close().read_to_end();
        w.logs(1);
    });
}

#[test]
fn an_upgrade_may_be_refused() {
    scenario("http1/an_upgrade_may_be_refused", |w| {
        w.ok("o1");
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.get("/chat", "Connection: Upgrade\r\nUpgrade: foo\r\n").response();
        c.get("/next", "").response();
        c.close();
        w.logs(2);
    });
}

#[test]
fn an_unasked_switch_is_an_error() {
    scenario("http1/an_unasked_switch_is_an_error", |w| {
        w.answering(
            "o1",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello",
        );
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.get("/chat", "Connection: close\r\n").read_to_end();
        w.logs(1);
    });
}

#[test]
fn a_switch_to_anything_is_an_error_unasked() {
    scenario("http1/a_switch_to_anything_is_an_error_unasked", |w| {
        w.answering(
            "o1",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\nhello",
        );
        w.proxy(&sections("", ""));
        for method in ["GET", "POST", "CONNECT"] {
            let mut c = w.client("fe");
            c.send(
                format!("{method} test:80 HTTP/1.1\r\nHost: test:80\r\n\r\n").replace("GET test:80", "GET /"),
            )
            .response();
            c.close();
        }
        w.logs(3);
    });
}

#[test]
fn connect_becomes_a_tunnel() {
    scenario("http1/connect_becomes_a_tunnel", |w| {
        w.origin("o1", |mut c| {
            c.head();
            c.send("HTTP/1.1 200 Connected\r\n\r\n");
            echo(c);
        });
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.send("CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n").response_to("CONNECT");
        c.send("through\n").read_exactly(8);
        c.half_close().read_to_end();
        w.logs(1);
    });
}

#[test]
fn connect_may_be_refused() {
    scenario("http1/connect_may_be_refused", |w| {
        w.answering("o1", "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.send("CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n").response();
        c.get("/next", "").response();
        c.close();
        w.logs(2);
    });
}

/// What comes behind it is no request.
#[test]
fn connect_that_is_granted_here_ends() {
    scenario("http1/connect_that_is_granted_here_ends", |w| {
        w.proxy(&sections("http-request return status 200 content-type text/plain string hi", ""));
        let mut c = w.client("fe");
        c.send("CONNECT test:443 HTTP/1.1\r\nHost: test:443\r\n\r\nGET /no HTTP/1.1\r\nHost: test\r\n\r\n");
        c.read_to_end();
        w.logs(1);
    });
}

#[test]
fn early_response_while_the_body_is_sent() {
    scenario("http1/early_response_while_the_body_is_sent", |w| {
        w.origin("o1", |mut c| {
            c.head();
            c.read_exactly(5);
            c.send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig");
            c.wait_end();
        });
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\nstart").response();
        w.note("answered");
        c.close();
        w.logs(1);
    });
}

#[test]
fn half_closed_client_still_gets_its_answer() {
    scenario("http1/half_closed_client_still_gets_its_answer", |w| {
        w.ok("o1");
        w.proxy(&sections("no option abortonclose", "no option abortonclose"));
        let mut c = w.client("fe");
        c.get("/", "").half_close().read_to_end();
        w.logs(1);
    });
}

#[test]
fn order_case_and_duplicates_of_fields() {
    scenario("http1/order_case_and_duplicates_of_fields", |w| {
        w.answering(
            "o1",
            "HTTP/1.1 200 OK\r\nB: 1\r\nA: 2\r\nSet-Cookie: x=1\r\nSet-Cookie: y=2\r\nb: 3\r\nEmpty:\r\nX-Tab:\tv\t\r\nContent-Length: 0\r\n\r\n",
        );
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.get(
            "/",
            "Zed: 1\r\nAccept: a\r\nAccept:b , c\r\nZED: 2\r\nEmpty:\r\nX-Tab:\t v \t\r\nX-Obs: \u{e9}\r\n",
        )
        .response();
        c.close();
    });
}

#[test]
fn target_forms() {
    scenario("http1/target_forms", |w| {
        w.ok("o1");
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.send("GET http://test/absolute?q=1 HTTP/1.1\r\nHost: test\r\n\r\n").response();
        c.send("OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n").response();
        c.send("GET /%7Euser/../a//b?x=%20#frag HTTP/1.1\r\nHost: test\r\n\r\n").response();
        c.send("PURGE /custom HTTP/1.1\r\nHost: test\r\n\r\n").response();
        c.send("DELETE /body HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\nhi").response();
        c.close();
        w.logs(3);
    });
}

#[test]
fn hop_by_hop_fields() {
    scenario("http1/hop_by_hop_fields", |w| {
        w.answering(
            "o1",
            "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nProxy-Connection: keep-alive\r\nContent-Length: 0\r\n\r\n",
        );
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.get("/", "Connection: keep-alive, X-Hop\r\nKeep-Alive: 300\r\nX-Hop: 1\r\nTE: trailers, gzip\r\nProxy-Connection: keep-alive\r\n")
            .response();
        c.close();
    });
}

#[test]
fn leading_empty_lines() {
    scenario("http1/leading_empty_lines", |w| {
        w.ok("o1");
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.send("\r\n\r\nGET /1 HTTP/1.1\r\nHost: test\r\n\r\n").response();
        c.send("\r\nGET /2 HTTP/1.1\r\nHost: test\r\n\r\n").response();
        c.close();
    });
}

/// While a client does not take its response, what has come of it is in a pipe; a client that goes away leaves none behind.
#[test]
fn pipes_are_used_and_given_back() {
    let mut w = World::new(Binary::under_test());
    w.origin("o1", |mut c| {
        c.request();
        c.send_quietly(b"HTTP/1.1 200 OK\r\nContent-Length: 64000000\r\n\r\n");
        for _ in 0..32 {
            c.send_quietly(&large_body());
        }
    });
    runtime_api::start(&mut w, &sections("option splice-response", ""));
    let used = |w: &World, n: u32| {
        let wanted = format!("PipesUsed: {n}\n");
        wait_for(PATIENCE, || runtime_api::ask(w, "show info").contains(&wanted).then_some(()))
            .unwrap_or_else(|| panic!("never {wanted}"));
    };
    used(&w, 0);
    let mut c = w.client("fe");
    c.get("/", "");
    used(&w, 1);
    c.reset();
    used(&w, 0);
}

/// Bytes that show when some are missing or change places.
fn large_body() -> Vec<u8> {
    (0..2_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn large_bodies(name: &str, options: &str) {
    scenario(&format!("http1/large_bodies_{name}"), |w| {
        w.origin("o1", |mut c| {
            let request = c.request().unwrap();
            c.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.body.len()));
            c.send(&request.body);
            c.wait_end();
        });
        w.proxy(&sections(options, options));
        let body = large_body();
        let mut c = w.client("fe");
        c.send(format!("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", body.len()))
            .send(&body);
        let response = c.response();
        assert!(response.body == body, "the body came back changed");
        c.close();
        w.logs(1);
    });
}

#[test]
fn large_bodies_both_ways() {
    large_bodies("both_ways", "");
}

#[test]
fn large_bodies_spliced() {
    large_bodies("spliced", "option splice-request\n  option splice-response");
}

#[test]
fn a_spliced_body_that_ends_with_its_connection() {
    for (name, length) in [("until_close", None), ("cut_off", Some(3_000_000))] {
        scenario(&format!("http1/spliced_{name}"), |w| {
            w.origin("o1", move |mut c| {
                c.request();
                let length = length.map(|n| format!("Content-Length: {n}\r\n")).unwrap_or_default();
                c.send(format!("HTTP/1.1 200 OK\r\n{length}\r\n"));
                c.send(large_body());
                c.half_close();
            });
            w.proxy(&sections("option splice-response", ""));
            let mut c = w.client("fe");
            let (bytes, _) = c.get("/", "").read_to_end();
            assert!(bytes.ends_with(&large_body()), "the body came changed: {} bytes", bytes.len());
            w.logs(1);
        });
    }
}

#[test]
fn large_chunked_body() {
    scenario("http1/large_chunked_body", |w| {
        w.origin("o1", |mut c| {
            c.request();
            c.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            let chunk = [b'x'; 30_000];
            for _ in 0..20 {
                c.send_quietly(format!("{:x}\r\n", chunk.len()).as_bytes())
                    .send_quietly(&chunk)
                    .send_quietly(b"\r\n");
            }
            c.send("0\r\n\r\n");
            c.wait_end();
        });
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.get("/", "");
        assert_eq!(c.response().body.len(), 600_000);
        c.get("/", "Connection: close\r\n");
        c.close();
    });
}

#[test]
fn server_closes_between_requests() {
    scenario("http1/server_closes_between_requests", |w| {
        let noticed = Gate::default();
        let gate = noticed.clone();
        w.origin("o1", move |mut c| {
            c.request();
            c.send(OK);
            c.half_close();
            c.wait_end(); // the proxy has seen the end and closed its side
            gate.open();
        });
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.get("/1", "").response();
        noticed.wait();
        c.get("/2", "").response();
        c.close();
        w.logs(2);
    });
}

#[test]
fn server_answers_twice() {
    scenario("http1/server_answers_twice", |w| {
        w.origin("o1", |mut c| {
            if c.number == 0 {
                c.request();
                c.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
                c.wait_end();
            } else {
                c.answer_all(OK.as_bytes());
            }
        });
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.get("/1", "").response();
        c.get("/2", "").response();
        c.close();
        w.logs(2);
    });
}

/// How each malformed or cut response is answered and logged.
fn response_case(name: &str, response: &'static [u8]) {
    scenario(&format!("http1_responses/{name}"), |w| {
        w.origin("o1", move |mut c| {
            c.request();
            c.send(response);
        });
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.get("/", "Connection: close\r\n").read_to_end();
        w.logs(1);
    });
}

macro_rules! responses {
    ($($name:ident: $bytes:expr;)*) => {
        mod responses {
            $(#[test]
            fn $name() {
                super::response_case(stringify!($name), $bytes);
            })*
        }
    };
}

responses! {
    nothing: b"";
    garbage: b"hello there\r\n\r\n";
    cut_head: b"HTTP/1.1 200 OK\r\nX-A: ";
    cut_body: b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";
    cut_chunk: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe";
    cut_after_interim: b"HTTP/1.1 100 Continue\r\n\r\n";
    bad_chunk_size: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n";
    bad_version: b"HTTP/3.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    version_without_minor: b"HTTP/1 200 OK\r\nContent-Length: 0\r\n\r\n";
    bad_status: b"HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n";
    four_digit_status: b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n";
    status_999: b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    status_099: b"HTTP/1.1 099 Odd\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    no_reason: b"HTTP/1.1 200\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    space_before_colon: b"HTTP/1.1 200 OK\r\nX-A : 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    bare_lf: b"HTTP/1.1 200 OK\nX-A: 1\nContent-Length: 0\nConnection: close\n\n";
    bare_cr_in_value: b"HTTP/1.1 200 OK\r\nX-A: 1\r2\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    nul_in_value: b"HTTP/1.1 200 OK\r\nX-A: 1\x002\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    folded: b"HTTP/1.1 200 OK\r\nX-A: 1\r\n 2\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    two_lengths: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc";
    same_length_twice: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab";
    length_and_chunked: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    chunked_twice: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    gzip_then_chunked: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    gzip_alone: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc";
    chunked_in_http_1_0: b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    more_than_announced: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab and more";
    body_of_204: b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab";
}

/// `wait-for-body … use-large-buffer`: rules see bodies that are larger than a usual buffer, and they pass on.
#[test]
fn bodies_in_large_buffers() {
    scenario("http1/bodies_in_large_buffers", |w| {
        w.origin("o1", |mut c| {
            while let Some(request) = c.request() {
                let n = request.body.len();
                let body = "x".repeat(n);
                c.send(format!("HTTP/1.1 200 OK\r\nX-Got: {n}\r\nContent-Length: {n}\r\n\r\n{body}"));
            }
        });
        w.forget_origins();
        w.proxy(
            "global
  tune.bufsize.large 65536
defaults
  mode http
  timeout client 10s
  timeout server 10s
  timeout connect 10s
frontend fe
  bind 127.0.0.1:${fe}
  http-request wait-for-body time 10s use-large-buffer if { path /large }
  http-request wait-for-body time 10s if { path /usual }
  http-request set-header x-body %[req.body_len]
  http-request deny deny_status 413 if { req.body_len gt 50000 }
  http-response wait-for-body time 10s use-large-buffer if { res.hdr(x-got) 40000 }
  http-response set-header x-body %[res.body_len]
  default_backend be
backend be
  server s1 127.0.0.1:${o1}
",
        );
        let port = w.port("fe");
        for (path, size) in [("/large", 40_000), ("/large", 60_000), ("/large", 10), ("/usual", 10_000)] {
            let mut c = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let (first, rest) = ("y".repeat(size / 2), "y".repeat(size - size / 2));
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n"
            );
            c.write_all((head + &first).as_bytes()).unwrap();
            w.settle();
            c.write_all(rest.as_bytes()).unwrap();
            let mut got = String::new();
            let _ = c.read_to_string(&mut got);
            let (head, body) = got.split_once("\r\n\r\n").unwrap_or_default();
            let field = |name: &str| head.lines().find(|l| l.starts_with(name)).unwrap_or("none").to_owned();
            let status = head.lines().next().unwrap_or_default();
            w.note(format!(
                "{path} {size}: {status}, {}, {}, {}",
                field("x-body"),
                field("X-Got"),
                body.len()
            ));
        }
    });
}

/// A client that writes the whole of its body before it reads loses no answer of a rule, and keeps its connection if it
/// wants to (RFC 9112 section 9.6).
#[test]
fn an_unwanted_body_is_read_to_its_end() {
    let mut w = World::new(Binary::under_test());
    w.ok("o1");
    w.proxy(&sections("http-request deny deny_status 413 if METH_POST", ""));
    let body = vec![b'x'; 8 << 20];
    for close in [false, true] {
        let mut c = TcpStream::connect(("127.0.0.1", w.port("fe"))).unwrap();
        c.set_read_timeout(Some(PATIENCE)).unwrap();
        let connection = if close { "Connection: close\r\n" } else { "" };
        let head =
            format!("POST / HTTP/1.1\r\nHost: a\r\n{connection}Content-Length: {}\r\n\r\n", body.len());
        c.write_all(head.as_bytes()).unwrap();
        c.write_all(&body).unwrap();
        if !close {
            c.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        }
        let mut answers = String::new();
        c.read_to_string(&mut answers).unwrap();
        assert!(answers.starts_with("HTTP/1.1 413 "), "{answers}");
        assert_eq!(answers.contains("HTTP/1.1 200 OK"), !close, "{answers}");
    }
}

/// A client that ends its side behind its request gets the whole of a response that ends with the connection.
#[test]
fn a_response_until_the_close_to_a_client_that_has_ended() {
    scenario("http1/a_response_until_the_close_to_a_client_that_has_ended", |w| {
        let gate = Gate::default();
        let held = gate.clone();
        w.origin("o1", move |mut c| {
            c.request();
            c.send("HTTP/1.0 200 OK\r\n\r\nabc");
            held.wait();
            c.send("def");
        });
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.get("/", "");
        c.head();
        c.half_close().read_exactly(3);
        // whoever ends the stream because the client has ended does so now
        assert!(c.is_silent_for(Duration::from_millis(300)));
        gate.open();
        c.read_to_end();
        w.logs(1);
    });
}
