//! Requests that are sent again (manual: retries, retry-on, option redispatch, http-request disable-l7-retry).
use crate::sections;
use portcullis_e2e::{World, scenario};

const NEW: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew";

/// An origin whose first `bad` connections answer with `response` and close.
fn bad_at_first(w: &mut World, bad: usize, response: &'static str) {
    w.origin("o1", move |mut c| {
        if c.number < bad {
            c.request();
            c.send_quietly(response.as_bytes());
        } else {
            c.answer_all(NEW);
        }
    });
}

const E503: &str = "HTTP/1.1 503 Bad\r\nContent-Length: 3\r\n\r\nbad";
const E404: &str = "HTTP/1.1 404 Bad\r\nContent-Length: 3\r\n\r\nbad";
const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody";
const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n";

fn case(name: &str, bad: usize, response: &'static str, backend: &str, request: &str) {
    scenario(&format!("retries/{name}"), |w| {
        bad_at_first(w, bad, response);
        w.proxy(&sections("", backend));
        w.client("fe").send(request).read_to_end();
        w.logs(1);
    });
}

macro_rules! cases {
    ($($name:ident: $bad:expr, $response:expr, $backend:expr, $request:expr;)*) => {
        $(#[test]
        fn $name() {
            case(stringify!($name), $bad, $response, $backend, $request);
        })*
    };
}

cases! {
    empty: 1, "", "retry-on empty-response", GET;
    empty_post: 1, "", "retry-on empty-response", POST;
    empty_chunked: 1, "", "retry-on empty-response", CHUNKED;
    empty_for_ever: 9, "", "retry-on empty-response", GET;
    empty_not_asked: 1, "", "retry-on junk-response", GET;
    junk: 1, "hello there\r\n\r\n", "retry-on junk-response", GET;
    cut_head: 1, "HTTP/1.1 200 OK\r\nX: ", "retry-on junk-response", GET;
    cut_head_is_not_empty: 1, "HTTP/1.1 200 OK\r\nX: ", "retry-on empty-response", GET;
    status: 1, E503, "retry-on 503", GET;
    status_for_ever: 9, E503, "retry-on 503\nretries 2", GET;
    status_post: 1, E503, "retry-on 503 junk-response", POST;
    another_status: 1, E404, "retry-on 500 503", GET;
    status_404: 1, E404, "retry-on 404", GET;
    disabled_by_a_rule: 1, E503, "retry-on 503\nhttp-request disable-l7-retry", GET;
    no_retries_at_all: 1, E503, "retry-on 503\nretries 0", GET;
}

#[test]
fn response_timeout() {
    scenario("retries/response_timeout", |w| {
        w.origin("o1", |mut c| {
            if c.number == 0 {
                c.request();
                c.wait_end();
            } else {
                c.answer_all(NEW);
            }
        });
        w.proxy(&sections("", "retry-on response-timeout\ntimeout server 300ms"));
        w.client("fe").send(GET).read_to_end();
        w.logs(1);
    });
}

#[test]
fn nothing_is_tried_again() {
    for words in ["none", "503"] {
        scenario(&format!("retries/only_on_{words}"), |w| {
            w.proxy(&sections("", &format!("retry-on {words}")));
            w.client("fe").send(GET).read_to_end();
            w.logs(1);
        });
    }
}

#[test]
fn redispatched_after_an_answer() {
    scenario("retries/redispatched_after_an_answer", |w| {
        w.answering("o1", E503);
        w.ok("o2");
        w.proxy(
            "
frontend fe
  bind 127.0.0.1:${fe}
  default_backend be
backend be
  balance roundrobin
  retry-on 503
  option redispatch 1
  server s1 127.0.0.1:${o1} weight 256
  server s2 127.0.0.1:${o2} weight 1
",
        );
        w.client("fe").send(GET).read_to_end();
        w.logs(1);
    });
}

/// Only what could not be connected to is left in peace for a while: three of these pauses take three seconds.
#[test]
fn the_only_server_is_asked_again_at_once() {
    let settings = "retry-on 503 empty-response\noption redispatch 1\ntimeout connect 20s";
    for (name, response) in [("answers", E503), ("closes", "")] {
        scenario(&format!("retries/the_only_server_{name}"), |w| {
            bad_at_first(w, 3, response);
            w.proxy(&sections("", settings));
            let began = std::time::Instant::now();
            w.client("fe").send(GET).read_to_end();
            assert!(began.elapsed().as_secs() < 2, "{:?}", began.elapsed());
            w.logs(1);
        });
    }
}

#[test]
fn a_body_that_comes_later_is_not_kept() {
    scenario("retries/a_body_that_comes_later_is_not_kept", |w| {
        let origin = w.origin("o1", |mut c| {
            c.head();
        });
        w.proxy(&sections("", "retry-on empty-response"));
        let mut c = w.client("fe");
        c.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\n");
        origin.wait_line(0, "< POST");
        c.response();
        c.close();
        w.logs(1);
    });
}
