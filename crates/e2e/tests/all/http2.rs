//! HTTP/2 with clients (RFC 9113, RFC 8441): requests and answers through one message path with HTTP/1.
use portcullis_e2e::binary::Binary;
use portcullis_e2e::h2::{block, frame, start};
use portcullis_e2e::{H2, World, scenario};
use portcullis_wire::h2::frame::{PREFACE, flag, kind, setting};

/// A frontend for HTTP/2 and one for both, with these lines in frontend and backend.
fn config(frontend: &str, backend: &str) -> String {
    format!(
        "frontend fe\n  bind 127.0.0.1:${{fe}} proto h2\n  bind 127.0.0.1:${{both}}\n{}  default_backend be\n\
         backend be\n{}  server s1 127.0.0.1:${{o1}}\n",
        crate::indent(frontend),
        crate::indent(backend)
    )
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn settings_are_said_first() {
    scenario("http2/settings_are_said_first", |w| {
        w.ok("o1");
        w.proxy(&config("", ""));
        let mut c = w.h2_client("fe", &[]);
        c.show_settings().get(1, "/", &[]).answer(1);
        c.close();
        w.logs(1);
    });
}

#[test]
fn requests_become_http1() {
    scenario("http2/requests_become_http1", |w| {
        w.ok("o1");
        w.proxy(&config("", ""));
        let mut c = w.h2_client("fe", &[]);
        let mut id = 1;
        let mut ask = |fields: &[(&str, &str)]| {
            c.headers(id, fields, true).answer(id);
            id += 2;
        };
        for more in [
            &[][..],
            &[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "c=3; d=4"), ("z", "1")],
            &[("a", "b"), ("host", "other")],
            &[("te", "trailers")],
            &[("x", " a "), ("y", ""), ("x_y", "u")],
            &[("content-length", "0")],
            &[("expect", "100-continue")],
        ] {
            ask(&[&start("GET", "/a?b=c")[..], more].concat());
        }
        let (get, http, root) = ((":method", "GET"), (":scheme", "http"), (":path", "/"));
        ask(&[get, (":scheme", "https"), root, (":authority", "ex.com:443")]);
        ask(&[get, http, root, (":authority", "ex.com:80")]);
        ask(&[get, http, root, (":authority", "ex.com:8080")]);
        ask(&[get, http, root, ("host", "only.host")]);
        ask(&[get, http, root]);
        ask(&[(":method", "OPTIONS"), http, (":path", "*"), (":authority", "ex.com")]);
        ask(&[get, (":scheme", "ftp"), root, (":authority", "ex.com")]);
        ask(&[(":method", "HEAD"), http, root, (":authority", "ex.com")]);
        ask(&[(":method", "POST"), http, root, (":authority", "ex.com")]);
        c.close();
        w.logs(16);
    });
}

#[test]
fn malformed_requests_reset_their_stream() {
    scenario("http2/malformed_requests_reset_their_stream", |w| {
        w.ok("o1");
        w.proxy(&config("", ""));
        let (get, http, root, host) =
            ((":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "test"));
        let all = [get, http, root, host];
        let path = |p: &'static str| vec![get, http, (":path", p), host];
        let mut requests = vec![
            vec![("a", "b"), get, http, root, host],
            [&all[..1], &all].concat(),
            [&all[..], &[root]].concat(),
            all[1..].to_vec(),
            vec![get, root, host],
            vec![get, http, host],
            path(""),
            path("foo"),
            path("/a b"),
            path("/a#b"),
            vec![get, http, root, (":authority", "u@test")],
            vec![get, http, root, (":authority", "te st")],
            vec![(":method", "CONNECT"), host, http, root],
            [&all[..], &[(":protocol", "websocket")]].concat(),
        ];
        for field in [
            ("connection", "close"),
            ("keep-alive", "x"),
            ("proxy-connection", "x"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("te", "gzip"),
            ("Upper", "x"),
            ("a b", "x"),
            ("a:", "x"),
            ("x", "a\r\nb: c"),
            ("x", "a\0b"),
            (":foo", "x"),
            (":status", "200"),
            ("content-length", "5"),
            ("content-length", "x"),
        ] {
            requests.push([&all[..], &[field]].concat());
        }
        let mut c = w.h2_client("fe", &[]);
        for (n, fields) in requests.iter().enumerate() {
            c.headers(2 * n as u32 + 1, fields, true).answer(2 * n as u32 + 1);
        }
        c.get(101, "/", &[]).answer(101);
        c.close();
        w.logs(requests.len() + 1);
    });
}

#[test]
fn what_http1_cannot_say_is_answered_with_400() {
    scenario("http2/what_http1_cannot_say_is_answered_with_400", |w| {
        w.ok("o1");
        w.proxy(&config("", ""));
        let mut c = w.h2_client("fe", &[]);
        let rest = [(":path", "/"), (":authority", "test")];
        c.headers(1, &[&[(":method", "G T"), (":scheme", "http")], &rest[..]].concat(), true).answer(1);
        c.headers(3, &[&[(":method", "GET"), (":scheme", "ht tp")], &rest[..]].concat(), true).answer(3);
        c.close();
        w.logs(2);
    });
}

#[test]
fn bodies_and_trailers() {
    scenario("http2/bodies_and_trailers", |w| {
        w.ok("o1");
        w.proxy(&config("", ""));
        let mut c = w.h2_client("fe", &[]);
        c.post(1, "/pieces", &[]).data(1, b"abc", false).data(1, b"def", true).answer(1);
        c.post(3, "/length", &[("content-length", "6")]).data(3, b"abcdef", true).answer(3);
        c.post(5, "/list", &[("content-length", "3, 3")]).data(5, b"abc", true).answer(5);
        c.post(7, "/empty", &[]).data(7, b"", true).answer(7);
        c.post(9, "/trailers", &[("te", "trailers"), ("trailer", "x-t")]).data(9, b"abc", false);
        c.headers(9, &[("x-t", "1"), ("x-u", "2")], true).answer(9);
        c.close();
        w.logs(5);
    });
}

#[test]
fn lengths_that_are_not_kept() {
    scenario("http2/lengths_that_are_not_kept", |w| {
        w.ok("o1");
        w.proxy(&config("option http-buffer-request", ""));
        let mut c = w.h2_client("fe", &[]);
        c.post(1, "/", &[("content-length", "7")]).data(1, b"abc", true).answer(1);
        c.post(3, "/", &[("content-length", "5")]).data(3, b"abcdef", true).answer(3);
        c.get(5, "/", &[]).answer(5);
        c.close();
        w.logs(3);
        w.forget_logs();
    });
}

#[test]
fn answers_lose_what_is_of_a_connection() {
    scenario("http2/answers_lose_what_is_of_a_connection", |w| {
        for (name, answer) in [
            (
                "hop",
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close, x-foo\r\nKeep-Alive: x\r\n\
                 Proxy-Connection: y\r\nx-foo: z\r\nTrailer: t\r\nUpgrade: h2c\r\nX-Reason: x\r\n\r\nok",
            ),
            ("chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
            (
                "trailers",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n3\r\nabc\r\n0\r\nX-T: v\r\n\
                 Grpc-Status: 0\r\n\r\n",
            ),
            ("empty", "HTTP/1.1 204 No Content\r\n\r\n"),
            ("unchanged", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
            (
                "interim",
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\
                 Content-Length: 2\r\n\r\nok",
            ),
        ] {
            w.answering(name, answer);
        }
        w.origin("eof", |mut c| {
            c.head();
            c.send("HTTP/1.1 200 OK\r\n\r\nok");
        });
        let names = ["hop", "chunked", "trailers", "empty", "unchanged", "interim", "eof"];
        let rules: String = names.iter().map(|n| format!("use_backend {n} if {{ path /{n} }}\n")).collect();
        let backends: String =
            names.iter().map(|n| format!("backend {n}\n  server s1 127.0.0.1:${{{n}}}\n")).collect();
        w.proxy(&format!("{}{backends}", config(&rules, "").replace("${o1}", "${hop}")));
        let mut c = w.h2_client("fe", &[]);
        for (i, name) in names.iter().enumerate() {
            c.get(2 * i as u32 + 1, &format!("/{name}"), &[]).answer(2 * i as u32 + 1);
        }
        c.close();
        w.logs(names.len());
    });
}

#[test]
fn broken_answers() {
    scenario("http2/broken_answers", |w| {
        for (name, answer) in [
            ("short", "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nok"),
            ("chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nok"),
            ("nothing", ""),
            ("junk", "foo\r\n\r\n"),
        ] {
            w.origin(name, move |mut c| {
                c.head();
                c.send(answer);
            });
        }
        let names = ["short", "chunk", "nothing", "junk"];
        let rules: String = names.iter().map(|n| format!("use_backend {n} if {{ path /{n} }}\n")).collect();
        let backends: String =
            names.iter().map(|n| format!("backend {n}\n  server s1 127.0.0.1:${{{n}}}\n")).collect();
        w.proxy(&format!("{}{backends}", config(&rules, "").replace("${o1}", "${junk}")));
        let mut c = w.h2_client("fe", &[]);
        for (i, name) in names.iter().enumerate() {
            c.get(2 * i as u32 + 1, &format!("/{name}"), &[]).answer(2 * i as u32 + 1);
        }
        c.close();
        w.logs(names.len());
    });
}

#[test]
fn rules_see_the_request() {
    scenario("http2/rules_see_the_request", |w| {
        w.ok("o1");
        w.proxy(&config(
            "http-request set-header x-info \"%[url]|%[path]|%[base]|%[req.hdr(host)]|%[req.ver]|%[fc_http_major]|%[fc_nb_streams]|%[fc_glitches]|%[method]|%[fs.id]\"
             http-request deny if { path /deny }
             http-request return status 200 content-type text/plain string hi if { path /return }
             http-request redirect location /there if { path /redirect }
             http-request early-hint Link x if { path /hint }
             http-request set-path /new if { path /setpath }
             http-request set-uri /uri if { path /seturi }
             http-request set-uri http://foo/abs if { path /absolute }
             http-request set-header host changed if { path /host }
             http-response set-header X-Mixed Case if { status 200 }
             monitor-uri /monitor",
            "",
        ));
        let mut c = w.h2_client("fe", &[]);
        let paths = [
            "/",
            "/deny",
            "/return",
            "/redirect",
            "/hint",
            "/setpath?q",
            "/seturi",
            "/absolute",
            "/host",
            "/monitor",
        ];
        for (i, path) in paths.iter().enumerate() {
            c.get(2 * i as u32 + 1, path, &[]).answer(2 * i as u32 + 1);
        }
        c.post(101, "/deny", &[]).answer(101);
        c.close();
        w.logs(paths.len());
    });
}

#[test]
fn a_rejected_client_loses_its_connection() {
    scenario("http2/a_rejected_client_loses_its_connection", |w| {
        w.ok("o1");
        w.proxy(&config("http-request reject if { path /reject }", ""));
        let mut c = w.h2_client("fe", &[]);
        c.get(1, "/", &[]).answer(1);
        c.get(3, "/reject", &[]).rest();
        w.logs(2);
    });
}

#[test]
fn streams_are_apart() {
    scenario("http2/streams_are_apart", |w| {
        let gate = portcullis_e2e::Gate::default();
        let open = gate.clone();
        w.origin("slow", move |mut c| {
            while c.head().is_some() {
                open.wait();
                c.send(OK);
            }
        });
        w.ok("o1");
        w.proxy(&format!(
            "{}backend slow\n  server s1 127.0.0.1:${{slow}}\n",
            config("use_backend slow if { path /slow }", "")
        ));
        let mut c = w.h2_client("fe", &[]);
        c.get(1, "/slow", &[]);
        c.get(3, "/quick", &[]).answer(3);
        gate.open();
        c.answer(1);
        c.close();
        w.logs(2);
    });
}

#[test]
fn the_client_resets_a_stream() {
    scenario("http2/the_client_resets_a_stream", |w| {
        let origin = w.origin("o1", |mut c| {
            c.head();
            c.wait_end();
            c.transcript().add("gone");
        });
        w.proxy(&config("", ""));
        let mut c = w.h2_client("fe", &[]);
        c.get(1, "/", &[]);
        origin.wait_line(0, "< GET");
        c.reset(1, 8);
        origin.wait_line(0, "gone");
        c.ping();
        c.close();
        w.logs(1);
    });
}

#[test]
fn websocket_over_http2() {
    scenario("http2/websocket_over_http2", |w| {
        w.origin("o1", |mut c| {
            let head = String::from_utf8(portcullis_e2e::message::read_head(&mut c).unwrap()).unwrap();
            c.transcript().add(head.replace("\r\n", "|"));
            c.send(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nX-A: b\r\n\r\nhello",
            );
            c.read_exactly(5);
            c.send("and more").half_close();
            c.wait_end();
        });
        w.proxy(&config("", ""));
        let mut c = w.h2_client("fe", &[]);
        let fields = [
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "http"),
            (":path", "/chat"),
            (":authority", "test"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        c.headers(1, &fields, false).head(1);
        c.data(1, b"world", false).answer(1);
        c.close();
        w.logs(1);
        w.forget_logs();
    });
}

#[test]
fn websocket_that_the_server_does_not_understand() {
    scenario("http2/websocket_that_the_server_does_not_understand", |w| {
        for (name, status) in [("wrong", "101 Switching Protocols"), ("no", "403 Forbidden")] {
            w.origin(name, move |mut c| {
                portcullis_e2e::message::read_head(&mut c);
                c.send(format!(
                    "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
                ));
                c.wait_end();
            });
        }
        w.proxy(&format!(
            "{}backend no\n  server s1 127.0.0.1:${{no}}\n",
            config("use_backend no if { path /no }", "").replace("${o1}", "${wrong}")
        ));
        let mut c = w.h2_client("fe", &[]);
        for (id, path) in [(1, "/wrong"), (3, "/no")] {
            let fields = [
                (":method", "CONNECT"),
                (":protocol", "websocket"),
                (":scheme", "http"),
                (":path", path),
                (":authority", "test"),
                ("sec-websocket-version", "13"),
            ];
            c.headers(id, &fields, false).answer(id);
        }
        c.close();
        w.logs(2);
    });
}

#[test]
fn connect_is_a_tunnel() {
    scenario("http2/connect_is_a_tunnel", |w| {
        w.origin("o1", |mut c| {
            c.head();
            c.send("HTTP/1.1 200 OK\r\nX: y\r\n\r\nhello");
            c.read_exactly(5);
            c.send("bye");
        });
        w.proxy(&config("", ""));
        let mut c = w.h2_client("fe", &[]);
        c.headers(1, &[(":method", "CONNECT"), (":authority", "test:443")], false).head(1);
        c.data(1, b"world", false).answer(1);
        c.close();
        w.logs(1);
        w.forget_logs();
    });
}

#[test]
fn by_its_preface_on_a_port_of_http1() {
    scenario("http2/by_its_preface_on_a_port_of_http1", |w| {
        w.ok("o1");
        w.proxy(&format!(
            "{}frontend off\n  bind 127.0.0.1:${{off}}\n  option disable-h2-upgrade\n  default_backend be\n\
             frontend one\n  bind 127.0.0.1:${{one}} proto h1\n  default_backend be\n",
            config("", "")
        ));
        let mut c = w.h2_client("both", &[]);
        c.get(1, "/", &[]).answer(1);
        c.close();
        let begin = [&PREFACE[..], &frame(kind::SETTINGS, 0, 0, &[])].concat();
        for port in ["off", "one"] {
            let mut c = H2::raw(w.client(port));
            c.send(&begin);
            c.conn().read_to_end();
        }
        // only at the beginning
        let mut c = w.client("both");
        c.get("/", "").response();
        c.send(&PREFACE[..]).read_to_end();
        w.client("both")
            .get(
                "/",
                "Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAA\r\n",
            )
            .response();
        w.logs(6);
    });
}

/// A TCP frontend whose connections become HTTP: the preface is known there as well.
#[test]
fn http2_behind_a_tcp_frontend() {
    scenario("http2/http2_behind_a_tcp_frontend", |w| {
        w.ok("o1");
        w.proxy(
            "\
             frontend fe\n  mode tcp\n  bind 127.0.0.1:${fe}\n  default_backend be\n\
             frontend f2\n  mode tcp\n  bind 127.0.0.1:${f2}\n  tcp-request inspect-delay 10s\n  \
             tcp-request content switch-mode http if HTTP\n  default_backend be\n\
             backend be\n  mode http\n  http-request set-header x-version %[req.ver]\n  server s1 127.0.0.1:${o1}\n",
        );
        for port in ["fe", "f2"] {
            let mut c = w.h2_client(port, &[]);
            c.get(1, "/", &[]).answer(1);
            c.close();
        }
    });
}

/// Fields of a trailer section that are not about the section: a response's are left out.
#[test]
fn trailers_about_the_message_are_left_out() {
    scenario("http2/trailers_about_the_message_are_left_out", |w| {
        w.answering(
            "o1",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nHost: a\r\nTE: trailers\r\nContent-Length: 5\r\nx-a: b\r\n\r\n",
        );
        w.proxy(&config("", ""));
        let mut c = w.h2_client("fe", &[]);
        c.get(1, "/", &[]).answer(1);
        c.close();
    });
}

/// A server that switches to another protocol unasked.
#[test]
fn an_unasked_switch_is_an_error() {
    scenario("http2/an_unasked_switch_is_an_error", |w| {
        w.answering(
            "o1",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\nhello",
        );
        w.proxy(&config("", ""));
        let mut c = w.h2_client("fe", &[]);
        c.get(1, "/", &[]).answer(1);
        c.close();
        w.logs(1);
    });
}

/// `switch-mode http proto h2` in mode tcp: HTTP/2 from the first byte on.
#[test]
fn switched_to_http2() {
    scenario("http2/switched_to_http2", |w| {
        w.ok("o1");
        w.proxy(
            "frontend fe\n  mode tcp\n  bind 127.0.0.1:${fe}\n  tcp-request inspect-delay 5s\n  \
             tcp-request content switch-mode http proto h2 if { req.len gt 0 }\n  default_backend be\n\
             backend be\n  server s1 127.0.0.1:${o1}\n",
        );
        let mut c = w.h2_client("fe", &[]);
        c.get(1, "/a", &[]).answer(1).get(3, "/b", &[]).answer(3);
        c.close();
        w.forget_logs();
    });
}

#[test]
fn connection_errors() {
    let get = |id| frame(kind::HEADERS, 5, id, &block(&start("GET", "/")));
    let settings =
        |id: u16, n: u32| frame(kind::SETTINGS, 0, 0, &[&id.to_be_bytes()[..], &n.to_be_bytes()].concat());
    for (name, bytes) in [
        ("even_stream", get(2)),
        ("stream_zero", get(0)),
        ("data_idle", frame(kind::DATA, 1, 1, b"x")),
        ("data_zero", frame(kind::DATA, 1, 0, b"x")),
        ("rst_idle", frame(kind::RST_STREAM, 0, 1, &[0, 0, 0, 1])),
        ("window_idle", frame(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])),
        ("window_nothing", frame(kind::WINDOW_UPDATE, 0, 0, &[0; 4])),
        ("window_overflow", frame(kind::WINDOW_UPDATE, 0, 0, &[0x7f, 255, 255, 255])),
        ("ping_size", frame(kind::PING, 0, 0, &[0; 7])),
        ("ping_stream", frame(kind::PING, 0, 1, &[0; 8])),
        ("settings_size", frame(kind::SETTINGS, 0, 0, &[0; 5])),
        ("settings_push", settings(setting::ENABLE_PUSH, 2)),
        ("settings_window", settings(setting::INITIAL_WINDOW_SIZE, 1 << 31)),
        ("settings_frame", settings(setting::MAX_FRAME_SIZE, 100)),
        ("push", frame(kind::PUSH_PROMISE, 4, 1, &[0, 0, 0, 2])),
        ("frame_size", frame(kind::HEADERS, 5, 1, &[0; 16_385])),
        ("continuation", frame(kind::CONTINUATION, 4, 1, &[0x82])),
        ("hpack", frame(kind::HEADERS, 5, 1, &[0x80])),
        ("hpack_size", frame(kind::HEADERS, 5, 1, b"\x3f\xff\xff\x03")),
        ("padding", frame(kind::HEADERS, 5 | flag::PADDED, 1, &[255, 0x82])),
        ("itself", frame(kind::PRIORITY, 0, 1, &[0, 0, 0, 1, 0])),
    ] {
        scenario(&format!("http2/error_{name}"), |w| {
            w.ok("o1");
            w.proxy(&config("", ""));
            let mut c = w.h2_client("fe", &[]);
            c.send(&bytes).rest();
        });
    }
}

#[test]
fn idle_connections_end() {
    scenario("http2/idle_connections_end", |w| {
        w.ok("o1");
        w.proxy(&config("timeout http-keep-alive 300ms\ntimeout http-request 400ms", ""));
        let mut c = w.h2_client("fe", &[]);
        c.get(1, "/", &[]).answer(1);
        c.until(|h| h.kind == kind::GOAWAY);
        assert!(c.conn().wait_end() == portcullis_e2e::End::Fin);
        let mut c = w.h2_client("fe", &[]);
        c.until(|h| h.kind == kind::GOAWAY);
        assert!(c.conn().wait_end() == portcullis_e2e::End::Fin);
        w.logs(1);
    });
}

#[test]
fn windows_are_kept_and_waited_for() {
    scenario("http2/windows_are_kept_and_waited_for", |w| {
        w.answering("o1", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789");
        w.proxy(&config("timeout client 500ms", ""));
        let mut c = w.h2_client("fe", &[(setting::INITIAL_WINDOW_SIZE, 4)]);
        c.get(1, "/", &[]).until(|h| h.kind == kind::DATA);
        c.window(1, 4).until(|h| h.kind == kind::DATA);
        c.window(1, 2).answer(1);
        // and one that is never opened
        c.get(3, "/", &[]).answer(3);
        c.close();
        w.logs(2);
        w.forget_logs();
    });
}

#[test]
fn large_bodies_both_ways() {
    scenario("http2/large_bodies_both_ways", |w| {
        w.origin("o1", |mut c| {
            while let Some(request) = portcullis_e2e::message::read_request(&mut c) {
                c.transcript().add(format!("{} bytes", request.body.len()));
                c.send_quietly(
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.body.len()).as_bytes(),
                );
                c.send_quietly(&request.body);
            }
        });
        w.proxy(&config("", ""));
        let mut c = w.h2_client("fe", &[(setting::INITIAL_WINDOW_SIZE, 1 << 24)]);
        c.window(0, 1 << 24).post(1, "/", &[]);
        for n in 0..20 {
            c.send(frame(kind::DATA, u8::from(n == 19), 1, &[b'x'; 16_384]));
        }
        c.answer(1);
        c.close();
        w.logs(1);
        w.forget_logs();
    });
}

/// What crosses the announcement of the end on its way is served, and the connection goes once its client has said so.
#[test]
fn a_soft_stop_serves_what_is_under_way() {
    let mut w = World::new(Binary::under_test());
    w.ok("o1");
    let index = w.proxy(&config("", ""));
    let mut c = w.h2_client("fe", &[]);
    c.get(1, "/", &[]).answer(1);
    w.process(index).signal(rustix::process::Signal::USR1);
    let next = |c: &mut H2, wanted: u8| std::iter::from_fn(|| c.next_frame()).find(|(h, _)| h.kind == wanted);
    let last = |payload: &[u8]| payload.get(..4).map(<[u8]>::to_vec);
    let announced = next(&mut c, kind::GOAWAY).expect("the end is announced").1;
    assert_eq!(last(&announced), Some(0x7fff_ffff_u32.to_be_bytes().to_vec()));
    let asked = next(&mut c, kind::PING).expect("what is under way is asked for").1;
    c.get(3, "/", &[]).answer(3);
    c.send(frame(kind::PING, flag::ACK, 0, &asked));
    let said = next(&mut c, kind::GOAWAY).expect("the end is said").1;
    assert_eq!(last(&said), Some(3u32.to_be_bytes().to_vec()));
    assert_eq!(c.conn().wait_end(), portcullis_e2e::End::Fin);
    assert!(w.process(index).wait(portcullis_e2e::process::PATIENCE).is_some());
}

/// A request that went to a connection which its server was just closing: the client hears that it may send it again.
#[test]
fn a_lost_race_is_a_refused_stream() {
    scenario("http2/a_lost_race_is_a_refused_stream", |w| {
        w.origin("o1", |mut c| {
            if c.number == 0 {
                c.request();
                c.send_quietly(OK.as_bytes());
                c.head();
            } else {
                c.answer_all(OK.as_bytes());
            }
        });
        w.proxy(&config("", ""));
        let mut c = w.h2_client("fe", &[]);
        c.get(1, "/", &[]).answer(1);
        c.get(3, "/", &[]).answer(3);
        c.get(5, "/", &[]).answer(5);
        c.close();
    });
}

/// A body that comes right behind its head is kept for another attempt.
#[test]
fn requests_with_bodies_are_sent_again() {
    for (name, framing) in [("counted", &[("content-length", "5")][..]), ("in_pieces", &[])] {
        scenario(&format!("http2/requests_with_bodies_are_sent_again_{name}"), |w| {
            w.origin("o1", |mut c| {
                if c.number == 0 {
                    c.request();
                    c.send_quietly(b"HTTP/1.1 503 Bad\r\nContent-Length: 3\r\n\r\nbad");
                } else {
                    c.answer_all(OK.as_bytes());
                }
            });
            w.proxy(&config("", "retry-on 503"));
            let mut c = w.h2_client("fe", &[]);
            let fields = [&start("POST", "/")[..], framing].concat();
            let head = frame(kind::HEADERS, flag::END_HEADERS, 1, &block(&fields));
            c.send([head, frame(kind::DATA, flag::END_STREAM, 1, b"hello")].concat()).answer(1);
            c.close();
        });
    }
}

#[test]
fn a_soft_stop_says_goodbye() {
    scenario("http2/a_soft_stop_says_goodbye", |w| {
        let gate = portcullis_e2e::Gate::default();
        let open = gate.clone();
        let origin = w.origin("o1", move |mut c| {
            c.head();
            open.wait();
            c.send(OK);
            c.wait_end();
        });
        let index = w.proxy(&config("", ""));
        let mut c = w.h2_client("fe", &[]);
        c.get(1, "/", &[]);
        origin.wait_line(0, "< GET");
        w.process(index).signal(rustix::process::Signal::USR1);
        c.until(|h| h.kind == kind::GOAWAY);
        gate.open();
        c.answer(1);
        let end = c.conn().wait_end();
        assert_eq!(end, portcullis_e2e::End::Fin);
        assert!(w.process(index).wait(portcullis_e2e::process::PATIENCE).is_some());
    });
}
