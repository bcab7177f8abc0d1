//! Options of the HTTP path, each with what it changes (manual section 4.2).
use crate::sections;
use portcullis_e2e::binary::Binary;
use portcullis_e2e::{Gate, World, scenario};
use std::io::{Read, Write};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A frontend whose answers tell that what came before them has been dealt with (one thread, one event loop).
const SETTLED: &str =
    "frontend settled\n  bind 127.0.0.1:${settled}\n  no log\n  http-request return status 200\n";

/// Waits until the proxy has seen everything that was sent to it.
fn settle(w: &mut World) {
    for _ in 0..2 {
        let mut c = std::net::TcpStream::connect(("127.0.0.1", w.port("settled"))).unwrap();
        c.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        c.read_to_end(&mut Vec::new()).unwrap();
    }
}

/// Requests one after the other, each on a connection of its own.
fn each(w: &mut World, requests: &[&str]) {
    for (n, request) in requests.iter().enumerate() {
        w.client("fe").send(request).read_to_end();
        w.logs(n + 1);
    }
}

#[test]
fn proxy_connection_field() {
    scenario("http_options/proxy_connection_field", |w| {
        w.ok("o1");
        w.proxy(&sections("option http-use-proxy-header\noption httpclose", "option http-server-close"));
        each(
            w,
            &[
                "GET http://test/a HTTP/1.1\r\nHost: test\r\nProxy-Connection: keep-alive\r\n\r\n",
                "GET http://test/b HTTP/1.1\r\nHost: test\r\nConnection: keep-alive, X-A\r\n\r\n",
                "GET /c HTTP/1.1\r\nHost: test\r\nProxy-Connection: close\r\n\r\n",
                "GET http://test/d HTTP/1.0\r\nProxy-Connection: keep-alive\r\n\r\n",
            ],
        );
    });
}

#[test]
fn proxy_connection_field_and_keep_alive() {
    scenario("http_options/proxy_connection_field_and_keep_alive", |w| {
        w.ok("o1");
        w.proxy(&sections("option http-use-proxy-header", ""));
        let mut c = w.client("fe");
        c.send("GET http://test/a HTTP/1.0\r\nProxy-Connection: keep-alive\r\n\r\n").response();
        c.send("GET http://test/b HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").response();
        c.send("GET http://test/c HTTP/1.1\r\nHost: test\r\nProxy-Connection: close\r\n\r\n").read_to_end();
        w.logs(1);
    });
}

#[test]
fn head_up_to_the_rewrite_reserve() {
    scenario("http_options/head_up_to_the_rewrite_reserve", |w| {
        w.ok("o1");
        w.proxy(
            "
global
  log 127.0.0.1:${log} local0
  tune.bufsize 4096
  tune.maxrewrite 1000
defaults
  mode http
  log global
  option httplog
  timeout connect 10s
  timeout client 30s
  timeout server 30s
frontend fe
  bind 127.0.0.1:${fe}
  default_backend be
backend be
  server s1 127.0.0.1:${o1}
",
        );
        let mut n = 0;
        for size in [2900, 3096, 3097, 3200, 4096] {
            let fixed = "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\nX-A: \r\n\r\n".len();
            let mut c = w.client("fe");
            c.send_quietly(
                format!(
                    "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\nX-A: {}\r\n\r\n",
                    "a".repeat(size - fixed)
                )
                .as_bytes(),
            );
            let (bytes, end) = c.read_to_end();
            n += 1;
            w.logs(n);
            w.note(format!("{size}: {} {end:?}", String::from_utf8_lossy(bytes.get(..12).unwrap_or(&bytes))));
        }
    });
}

#[test]
fn response_heads_that_are_too_large() {
    scenario("http_options/response_heads_that_are_too_large", |w| {
        w.origin("o1", |mut c| {
            if let Some(head) = c.head() {
                let size: usize = String::from_utf8_lossy(&head[5..10]).parse().unwrap();
                let fixed = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-A: \r\n\r\n".len();
                c.send_quietly(
                    format!(
                        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-A: {}\r\n\r\n",
                        "a".repeat(size - fixed)
                    )
                    .as_bytes(),
                );
            }
            c.wait_end();
        });
        w.proxy(&sections("", ""));
        for size in [15000, 15360, 15361, 16384, 17000] {
            let mut c = w.client("fe");
            c.get(&format!("/{size:05}"), "Connection: close\r\n");
            let (bytes, _) = c.read_to_end();
            w.note(format!("{size}: {}", String::from_utf8_lossy(bytes.get(..12).unwrap_or(&bytes))));
        }
        w.logs(5);
    });
}

#[test]
fn maxhdr() {
    scenario("http_options/maxhdr", |w| {
        w.answering(
            "o1",
            "HTTP/1.1 200 OK\r\nA: 1\r\nB: 1\r\nC: 1\r\nD: 1\r\nE: 1\r\nContent-Length: 2\r\n\r\nok",
        );
        w.proxy(
            "
global
  log 127.0.0.1:${log} local0
  tune.http.maxhdr 6
defaults
  mode http
  log global
  option httplog
  timeout connect 10s
  timeout client 30s
  timeout server 30s
frontend fe
  bind 127.0.0.1:${fe}
  default_backend be
backend be
  http-request return status 200 if { path /here }
  server s1 127.0.0.1:${o1}
",
        );
        each(
            w,
            &[
                "GET /here HTTP/1.1\r\nHost: test\r\nA: 1\r\nB: 1\r\nC: 1\r\nD: 1\r\nConnection: close\r\n\r\n",
                "GET /here HTTP/1.1\r\nHost: test\r\nA: 1\r\nB: 1\r\nC: 1\r\nD: 1\r\nE: 1\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n",
            ],
        );
    });
}

#[test]
fn payload_with_any_method() {
    scenario("http_options/payload_with_any_method", |w| {
        w.ok("o1");
        w.proxy(
            "
global
  log 127.0.0.1:${log} local0
  h1-accept-payload-with-any-method
defaults
  mode http
  log global
  option httplog
  timeout connect 10s
  timeout client 30s
  timeout server 30s
frontend fe
  bind 127.0.0.1:${fe}
  default_backend be
backend be
  server s1 127.0.0.1:${o1}
",
        );
        each(
            w,
            &[
                "GET / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc",
                "HEAD / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc",
                "DELETE / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc",
            ],
        );
    });
}

#[test]
fn insecure_transfer_encoding_kept_alive() {
    scenario("http_options/insecure_transfer_encoding_kept_alive", |w| {
        w.ok("o1");
        w.proxy(
            "
global
  log 127.0.0.1:${log} local0
  h1-do-not-close-on-insecure-transfer-encoding
defaults
  mode http
  log global
  option httplog
  timeout connect 10s
  timeout client 30s
  timeout server 30s
frontend fe
  bind 127.0.0.1:${fe}
  default_backend be
backend be
  server s1 127.0.0.1:${o1}
",
        );
        let mut c = w.client("fe");
        c.send("POST /1 HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n").response();
        c.send("POST /2 HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
            .response();
        c.get("/3", "Connection: close\r\n").read_to_end();
        w.logs(2);
    });
}

#[test]
fn insecure_transfer_encoding_of_a_response() {
    scenario("http_options/insecure_transfer_encoding_of_a_response", |w| {
        w.answering(
            "o1",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        );
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.get("/1", "").response();
        c.get("/2", "Connection: close\r\n").read_to_end();
        w.logs(2);
    });
}

#[test]
fn unsafe_violations_in_responses() {
    for (name, response) in [
        ("nul", "HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        (
            "space_before_colon",
            "HTTP/1.1 200 OK\r\nX-A : b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        ),
        ("long_status", "HTTP/1.1 20000 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        ("odd_version", "RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ] {
        scenario(&format!("http_options/unsafe_response_{name}"), |w| {
            w.origin("o1", move |mut c| {
                c.request();
                c.send(response);
                c.wait_end();
            });
            w.proxy(&sections("", "option accept-unsafe-violations-in-http-response\ntimeout server 1s"));
            each(w, &["GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"]);
        });
    }
}

#[test]
fn glitches_of_a_client() {
    scenario("http_options/glitches_of_a_client", |w| {
        w.ok("o1");
        w.proxy(
            "
global
  log 127.0.0.1:${log} local0
  tune.h1.fe.glitches-threshold 3
defaults
  mode http
  log global
  option httplog
  timeout connect 2s
  timeout client 2s
  timeout server 2s
frontend fe
  bind 127.0.0.1:${fe}
  option accept-unsafe-violations-in-http-request
  default_backend be
backend be
  server s1 127.0.0.1:${o1}
",
        );
        let mut c = w.client("fe");
        for n in 1..=3 {
            c.send(format!("GET /{n}\u{e9} HTTP/1.1\r\nHost: test\r\n\r\n")).response();
        }
        c.read_to_end();
        w.logs(2);
    });
}

#[test]
fn http_no_delay() {
    scenario("http_options/http_no_delay", |w| {
        w.ok("o1");
        w.proxy(&sections("option http-no-delay", "option http-no-delay"));
        each(w, &["GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"]);
    });
}

#[test]
fn nolinger_resets_clients() {
    scenario("http_options/nolinger", |w| {
        w.ok("o1");
        w.proxy(&sections("option nolinger", ""));
        let mut c = w.client("fe");
        c.get("/", "Connection: close\r\n").response();
        let end = c.wait_end();
        w.note(format!("{end:?}"));
        w.logs(1);
    });
}

#[test]
fn buffered_request_in_the_frontend() {
    scenario("http_options/buffered_request_in_the_frontend", |w| {
        w.ok("o1");
        w.proxy(&sections("option http-buffer-request\ntimeout http-request 300ms", ""));
        each(
            w,
            &[
                "POST /1 HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc",
                "POST /2 HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 3\r\n\r\nab",
                "POST /3 HTTP/1.1\r\nHost: test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
                "POST /4 HTTP/1.1\r\nHost: test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            ],
        );
    });
}

#[test]
fn buffered_request_cut() {
    scenario("http_options/buffered_request_cut", |w| {
        w.ok("o1");
        w.proxy(&sections("option http-buffer-request", ""));
        w.client("fe")
            .send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nab")
            .half_close()
            .read_to_end();
        w.logs(1);
    });
}

#[test]
fn buffered_request_larger_than_the_buffer() {
    scenario("http_options/buffered_request_larger_than_the_buffer", |w| {
        w.ok("o1");
        w.proxy(&sections("option http-buffer-request", ""));
        let mut c = w.client("fe");
        c.send("POST / HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 40000\r\n\r\n");
        c.send_quietly(&[b'x'; 40_000]);
        c.read_to_end();
        w.logs(1);
    });
}

#[test]
fn abort_in_the_queue() {
    for (name, option) in [("abortonclose", ""), ("no_abortonclose", "no option abortonclose\n")] {
        scenario(&format!("http_options/abort_in_the_queue_{name}"), |w| {
            let gate = Gate::default();
            let wait = gate.clone();
            let origin = w.origin("o1", move |mut c| {
                while c.request().is_some() {
                    wait.wait();
                    c.send_quietly(OK.as_bytes());
                }
            });
            w.proxy(
                &(sections("", &format!("{option}default-server maxconn 1\ntimeout queue 3s")) + SETTLED),
            );
            let mut first = w.client("fe");
            first.get("/1", "");
            origin.wait_line(0, "< GET");
            let mut second = w.client("fe");
            second.get("/2", "Connection: close\r\n").half_close();
            if name == "abortonclose" {
                second.read_to_end();
                gate.open();
            } else {
                settle(w);
                gate.open();
                second.read_to_end();
            }
            first.response();
            first.close();
            w.logs(2);
        });
    }
}

#[test]
fn the_queue_times_out() {
    scenario("http_options/the_queue_times_out", |w| {
        let gate = Gate::default();
        let wait = gate.clone();
        let origin = w.origin("o1", move |mut c| {
            while c.request().is_some() {
                wait.wait();
                c.send_quietly(OK.as_bytes());
            }
        });
        w.proxy(&sections("", "default-server maxconn 1\ntimeout queue 300ms"));
        let mut first = w.client("fe");
        first.get("/1", "");
        origin.wait_line(0, "< GET");
        let mut second = w.client("fe");
        second.get("/2", "").response();
        gate.open();
        first.response();
        first.close();
        second.close();
        w.logs(2);
    });
}

#[test]
fn send_name_header_follows_a_redispatch() {
    scenario("http_options/send_name_header_follows_a_redispatch", |w| {
        w.ok("o2");
        w.proxy(
            "
frontend fe
  bind 127.0.0.1:${fe}
  default_backend be
backend be
  balance roundrobin
  http-send-name-header X-Server
  retries 1
  timeout connect 100ms
  option redispatch
  server s1 127.0.0.1:${o1} weight 256
  server s2 127.0.0.1:${o2} weight 1
",
        );
        each(w, &["GET / HTTP/1.1\r\nHost: test\r\nX-Server: x\r\nConnection: close\r\n\r\n"]);
    });
}

#[test]
fn restricted_names_in_both_sections() {
    scenario("http_options/restricted_names_in_both_sections", |w| {
        w.ok("o1");
        w.proxy(&sections(
            "option http-restrict-req-hdr-names preserve",
            "option http-restrict-req-hdr-names delete",
        ));
        each(w, &["GET / HTTP/1.1\r\nHost: test\r\nx_a: 1\r\nX-B: 2\r\nConnection: close\r\n\r\n"]);
    });
}

#[test]
fn trailers_dropped_on_both_sides() {
    scenario("http_options/trailers_dropped_on_both_sides", |w| {
        w.answering(
            "o1",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 42\r\n\r\n",
        );
        w.proxy(&sections("option http-drop-response-trailers", "option http-drop-request-trailers"));
        let mut c = w.client("fe");
        c.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Req: 1\r\n\r\n").response();
        c.close();
        w.logs(1);
    });
}

#[test]
fn rules_see_connection_fields() {
    scenario("http_options/rules_see_connection_fields", |w| {
        w.answering(
            "o1",
            "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-B\r\nKeep-Alive: 1\r\nContent-Length: 0\r\n\r\n",
        );
        w.proxy(&sections(
            "http-request set-header X-Was %[req.hdr(connection)]\nhttp-response set-header X-Was %[res.hdr(connection)]",
            "",
        ));
        let mut c = w.client("fe");
        c.get("/1", "Connection: keep-alive\r\n").response();
        c.get("/2", "Connection: close, X-A\r\n").read_to_end();
        w.logs(2);
    });
}

#[test]
fn a_listen_section_counts_as_backend_too() {
    scenario("http_options/a_listen_section_counts_as_backend_too", |w| {
        let gate = Gate::default();
        let wait = gate.clone();
        let origin = w.origin("o1", move |mut c| {
            while let Some(r) = c.request() {
                if r.head.starts_with(b"GET /slow") {
                    wait.wait();
                }
                c.send_quietly(OK.as_bytes());
            }
        });
        w.proxy("listen fe\n  bind 127.0.0.1:${fe}\n  server s1 127.0.0.1:${o1}\n");
        let mut slow = w.client("fe");
        slow.get("/slow", "");
        origin.wait_line(0, "< GET");
        w.client("fe").get("/fast", "Connection: close\r\n").read_to_end();
        w.logs(1);
        gate.open();
        slow.response();
        slow.close();
        w.logs(2);
    });
}

/// The manual's list; 3.5 itself lets nearly everything pass and answers the rest with its page for 200.
#[test]
fn cacheable_cookies_are_blocked() {
    let binary = Binary::under_test();
    if binary.is_haproxy() {
        return;
    }
    let mut w = World::new(binary);
    w.origin("o1", |mut c| {
        while let Some(request) = c.request() {
            let fields = match request.start_line().as_str() {
                l if l.contains("/plain") => "",
                l if l.contains("/private") => "Set-Cookie: a=b\r\nCache-Control: private\r\n",
                _ => "Set-Cookie: a=b\r\n",
            };
            c.send_quietly(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok").as_bytes());
        }
    });
    w.proxy(&sections("", "option checkcache"));
    let mut c = w.client("fe");
    let mut answers = Vec::new();
    for path in ["/plain", "/private", "/cookie"] {
        answers.push(c.get(path, "").response().status());
    }
    c.close();
    assert_eq!(answers, [200, 200, 502]);
    let logs = w.logs(4);
    assert!(
        logs.iter().any(|l| l.contains("Blocking cacheable cookie in response from instance be, server s1."))
    );
    assert!(logs.iter().any(|l| l.contains(" 502 ") && l.contains(" PH-- ")), "{logs:?}");
}

/// A frontend's restriction is behind its own rules, and before a backend is chosen.
#[test]
fn names_refused_by_a_frontend() {
    scenario("http_options/names_refused_by_a_frontend", |w| {
        w.ok("o1");
        let option = "option http-restrict-req-hdr-names reject";
        let rules = "http-request return status 201 if { path /early }\nhttp-request del-header X_a if { path /fine }";
        w.proxy(&sections(&format!("{option}\n{rules}"), ""));
        for (n, path) in ["/x", "/early", "/fine"].iter().enumerate() {
            w.client("fe").get(path, "X_a: 1\r\nConnection: close\r\n").read_to_end();
            w.logs(n + 1);
        }
    });
}

/// `option accept-unsafe-violations-in-http-request`: the log has versions as they came.
#[test]
fn odd_versions_in_the_log() {
    scenario("http_options/odd_versions_in_the_log", |w| {
        w.ok("o1");
        w.proxy(&sections("option accept-unsafe-violations-in-http-request", ""));
        for (n, version) in ["RTSP/1.0", "HTTP/3.0", "HTTP/1.1"].iter().enumerate() {
            let mut c = w.client("fe");
            c.send(format!("GET / {version}\r\nHost: a\r\nConnection: close\r\n\r\n"));
            c.read_to_end();
            w.logs(n + 1);
        }
    });
}
