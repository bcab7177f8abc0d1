//! HTTP/2 with servers: `proto h2`, sharing of connections, what servers say and do.
use portcullis_e2e::h2::{block, frame, start};
use portcullis_e2e::process::{PATIENCE, wait_for};
use portcullis_e2e::{Client, H2, OriginConn, World, scenario};
use portcullis_wire::h2::frame::{flag, kind, setting};
use std::sync::Mutex;

/// Frontends for both versions, and a backend whose server speaks HTTP/2, with these lines in it and behind it.
fn config(backend: &str, server: &str) -> String {
    format!(
        "frontend fe\n  bind 127.0.0.1:${{fe}}\n  default_backend be\n\
         frontend two\n  bind 127.0.0.1:${{two}} proto h2\n  default_backend be\n\
         backend be\n{}  server s1 127.0.0.1:${{o1}} proto h2 {server}\n",
        crate::indent(backend)
    )
}

const CONNECTS: &[(u16, u32)] = &[(setting::ENABLE_CONNECT_PROTOCOL, 1)];

/// A server that answers as the path says.
fn server(w: &mut World) {
    w.origin("o1", |conn| H2::serve(conn, CONNECTS).serve_all(play));
}

fn play(h: &mut H2, stream: u32, path: &str) {
    let head = |status: &'static str| (":status", status);
    match path {
        "/empty" => h.headers(stream, &[head("200")], true),
        "/length" => {
            h.headers(stream, &[head("200"), ("content-length", "3")], false).data(stream, b"abc", true)
        }
        "/trailers" => {
            h.headers(stream, &[head("200")], false).data(stream, b"abc", false);
            h.headers(stream, &[("grpc-status", "0")], true)
        }
        "/hints" => {
            h.headers(stream, &[head("103"), ("link", "</a>")], false);
            h.headers(stream, &[head("200")], false).data(stream, b"ok", true)
        }
        "/head" => h.headers(stream, &[head("200"), ("content-length", "3")], true),
        "/304" => h.headers(stream, &[head("304"), ("content-length", "3")], true),
        "/204" => h.headers(stream, &[head("204")], true),
        "/reset" => h.reset(stream, 8),
        "/cut" => h.headers(stream, &[head("200")], false).data(stream, b"abc", false).reset(stream, 2),
        "/no-status" => h.headers(stream, &[("a", "b")], true),
        "/101" => h.headers(stream, &[head("101")], true),
        "/connection" => h.headers(stream, &[head("200"), ("connection", "close")], true),
        "/upper" => h.headers(stream, &[head("200"), ("Upper", "x")], true),
        "/push" => h.send(frame(kind::PUSH_PROMISE, flag::END_HEADERS, stream, &[0, 0, 0, 2])),
        "/tunnel" => {
            h.headers(stream, &[head("200"), ("x", "y")], false).data(stream, b"hello", false);
            h.until(|f| f.stream == stream && f.kind == kind::DATA && f.has(flag::END_STREAM))
                .data(stream, b"bye", true)
        }
        "/body" => {
            h.until(|f| f.stream == stream && f.has(flag::END_STREAM) && f.kind <= kind::HEADERS);
            h.respond(stream, "200", b"ok")
        }
        _ => h.respond(stream, "200", b"ok"),
    };
}

/// Asks over HTTP/1 and takes the answer.
fn ask(c: &mut Client, path: &str) {
    c.get(path, "").response();
    if path == "/hints" {
        c.response();
    }
}

#[test]
fn requests_of_http1() {
    scenario("http2_servers/requests_of_http1", |w| {
        server(w);
        w.proxy(&config("", ""));
        let mut c = w.client("fe");
        for path in ["/a?b=c", "/empty", "/length", "/trailers", "/hints", "/304", "/204"] {
            ask(&mut c, path);
        }
        c.send("HEAD /head HTTP/1.1\r\nHost: test\r\n\r\n").response_to("HEAD");
        c.send(
            "GET http://ex.com/abs?x HTTP/1.1\r\nHost: ex.com\r\nCookie: a=1; b=2\r\nTE: trailers\r\n\r\n",
        )
        .response();
        c.send("OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n").response();
        c.send("POST /body HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc").response();
        c.send("POST /body HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n");
        c.response();
        c.close();
        w.logs(12);
    });
}

#[test]
fn requests_of_http2() {
    scenario("http2_servers/requests_of_http2", |w| {
        server(w);
        w.proxy(&config("", ""));
        let mut c = w.h2_client("two", &[]);
        let mut id = 1;
        for path in ["/a?b=c", "/empty", "/length", "/trailers", "/hints", "/304", "/204"] {
            c.get(id, path, &[("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers")]).answer(id);
            id += 2;
        }
        c.headers(id, &start("HEAD", "/head"), true).answer(id);
        id += 2;
        c.post(id, "/body", &[]).data(id, b"abc", false).headers(id, &[("x-t", "1")], true).answer(id);
        c.close();
        w.logs(9);
    });
}

#[test]
fn responses_that_are_none() {
    scenario("http2_servers/responses_that_are_none", |w| {
        server(w);
        w.proxy(&config("", ""));
        for path in ["/no-status", "/101", "/connection", "/upper", "/reset", "/push"] {
            let mut c = w.client("fe");
            ask(&mut c, path);
            c.close();
        }
        w.forget_origins();
        w.logs(6);
    });
}

#[test]
fn a_response_that_is_cut() {
    scenario("http2_servers/a_response_that_is_cut", |w| {
        server(w);
        w.proxy(&config("", ""));
        let mut c = w.client("fe");
        c.get("/cut", "").read_to_end();
        let mut c = w.h2_client("two", &[]);
        c.get(1, "/cut", &[]).answer(1);
        c.close();
        w.forget_origins();
        w.logs(2);
    });
}

#[test]
fn upgrades_become_extended_connect() {
    scenario("http2_servers/upgrades_become_extended_connect", |w| {
        server(w);
        w.proxy(&config("", ""));
        let mut c = w.client("fe");
        c.get(
            "/tunnel",
            "Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        );
        c.head();
        c.read_exactly(5);
        c.send("ping").half_close().read_to_end();
        let mut c = w.h2_client("two", &[]);
        let fields = [
            (":method", "CONNECT"),
            (":scheme", "http"),
            (":path", "/tunnel"),
            (":authority", "test"),
            (":protocol", "websocket"),
        ];
        c.headers(1, &fields, false).until(|f| f.kind == kind::DATA).data(1, b"ping", true).answer(1);
        c.close();
        w.logs(2);
    });
}

#[test]
fn a_server_that_understands_no_extended_connect() {
    scenario("http2_servers/a_server_that_understands_no_extended_connect", |w| {
        w.origin("o1", |conn| H2::serve(conn, &[]).serve_all(play));
        w.proxy(&config("", ""));
        let mut c = w.client("fe");
        c.get(
            "/tunnel",
            "Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        );
        c.response();
        c.close();
        w.forget_origins();
        w.logs(1);
    });
}

/// How many connections a server gets: of one client, of another one beside it, and one after the other.
fn sharing(name: &str, mode: &str, server_options: &str) {
    scenario(&format!("http2_servers/{name}"), |w| {
        let held = |conn: OriginConn| {
            H2::serve(conn, &[]).serve_all(|h, stream, path| {
                if path != "/hold" {
                    h.respond(stream, "200", b"ok");
                }
            });
        };
        let o = w.origin("o1", held);
        w.proxy(&config(&format!("http-reuse {mode}"), server_options));
        // two streams of one client share one
        let mut c = w.h2_client("two", &[]);
        c.get(1, "/hold", &[]);
        o.wait_connections(1);
        o.wait_line(0, "< 1 HEADERS");
        c.get(3, "/b", &[]).answer(3).reset(1, 8);
        w.note(format!("two streams of a client: {}", o.connections()));
        c.close();
        // a stream beside those of another client
        let mut a = w.h2_client("two", &[]);
        a.get(1, "/c", &[]).answer(1);
        w.note(format!("another client: {}", o.connections()));
        a.close();
        let mut d = w.client("fe");
        ask(&mut d, "/d");
        ask(&mut d, "/e");
        w.note(format!("a client of HTTP/1: {}", o.connections()));
        d.close();
        w.forget_origins();
        w.forget_logs();
    });
}

#[test]
fn reuse_safe() {
    sharing("reuse_safe", "safe", "");
}

#[test]
fn reuse_always() {
    sharing("reuse_always", "always", "");
}

#[test]
fn reuse_never() {
    sharing("reuse_never", "never", "");
}

#[test]
fn reuse_as_often_as_it_is_allowed() {
    sharing("reuse_as_often_as_it_is_allowed", "always", "max-reuse 2");
}

/// A stream that its server has not looked at is sent again, also where 3.5 gives up.
#[test]
fn refused_streams_are_sent_again() {
    let mut w = World::new(portcullis_e2e::binary::Binary::under_test());
    if portcullis_e2e::binary::Binary::under_test().is_haproxy() {
        return;
    }
    let seen = Mutex::new(Vec::<String>::new());
    let o = w.origin("o1", move |conn| {
        H2::serve(conn, &[]).serve_all(|h, stream, path| {
            let first = !seen.lock().unwrap().iter().any(|p| p == path);
            seen.lock().unwrap().push(path.to_owned());
            match path {
                "/refused" if first => h.reset(stream, 7),
                "/leaving" if first => h.send(frame(kind::GOAWAY, 0, 0, &[0; 8])),
                _ => h.respond(stream, "200", b"ok"),
            };
        });
    });
    w.proxy(&config("retries 3", ""));
    let mut c = w.client("fe");
    assert_eq!(c.get("/refused", "").response().status(), 200);
    assert_eq!(c.get("/leaving", "").response().status(), 200);
    assert!(o.connections() >= 2);
    c.close();
}

/// Bodies larger than all windows pass both ways at once.
#[test]
fn windows_do_not_stall() {
    let mut w = World::new(portcullis_e2e::binary::Binary::under_test());
    const SIZE: usize = 300_000;
    w.origin("o1", |conn| {
        let mut h = H2::serve(conn, &[(setting::INITIAL_WINDOW_SIZE, 1000)]);
        let Some((stream, _)) = h.request() else { return };
        h.headers(stream, &[(":status", "200")], false);
        let mut got = 0;
        while let Some((f, payload)) = h.next_frame() {
            if f.kind == kind::DATA {
                got += payload.len();
                let n = (payload.len() as u32).max(1);
                h.window(0, n).window(stream, n);
                h.send(frame(kind::DATA, u8::from(f.has(flag::END_STREAM)), stream, &payload));
                if f.has(flag::END_STREAM) {
                    break;
                }
            }
        }
        assert_eq!(got, SIZE);
        h.rest();
    });
    w.proxy(&config("", ""));
    let mut c = w.client("fe");
    c.send_quietly(format!("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: {SIZE}\r\n\r\n").as_bytes());
    c.send_quietly(&vec![b'x'; SIZE]);
    let answer = c.response();
    assert_eq!((answer.status(), answer.body.len()), (200, SIZE));
    c.close();
    w.forget_origins();
}

/// What hostile servers do ends their connection or their stream, and the client gets an answer.
#[test]
fn hostile_servers() {
    let attack = |n: usize| -> Vec<u8> {
        let many = |one: Vec<u8>, times: usize| one.repeat(times);
        match n {
            0 => many(frame(kind::SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 9]), 20_000),
            1 => many(frame(kind::PING, 0, 0, &[0; 8]), 20_000),
            2 => [
                frame(kind::HEADERS, 0, 1, &block(&[(":status", "200")])),
                many(frame(kind::CONTINUATION, 0, 1, &[]), 20_000),
            ]
            .concat(),
            3 => frame(kind::DATA, 0, 3, b"never opened"),
            4 => frame(kind::HEADERS, flag::END_HEADERS, 2, &block(&[(":status", "200")])),
            5 => {
                // one field of 4000 bytes, named again and again
                let field = block(&[("x", &"y".repeat(3900))]);
                let first = [&[0x40], &field[1..], &[0xbe; 12_000]].concat();
                frame(kind::HEADERS, flag::END_HEADERS | 1, 1, &first)
            }
            6 => many(frame(kind::HEADERS, flag::END_HEADERS, 1, &block(&[(":status", "103")])), 20_000),
            _ => frame(kind::RST_STREAM, 0, 5, &[0; 4]),
        }
    };
    for n in 0..8 {
        let mut w = World::new(portcullis_e2e::binary::Binary::under_test());
        w.origin("o1", move |conn| {
            let mut h = H2::serve(conn, &[]);
            if h.request().is_some() {
                h.send(attack(n));
                h.rest();
            }
        });
        w.proxy(&config("retries 0\ntimeout server 2s", ""));
        let mut c = w.client("fe");
        c.get("/", "");
        let mut status = c.response().status();
        while status == 103 {
            status = c.response().status();
        }
        assert!(status == 502 || status == 504, "attack {n}: {status}");
        c.close();
        w.forget_origins();
    }
}

/// A server behind TLS: what was agreed on decides, and WebSocket goes over HTTP/1.1 where that is offered as well.
#[test]
fn alpn_decides() {
    scenario("http2_servers/alpn_decides", |w| {
        crate::tls::own(w, "a", false, "DNS:a.test");
        let origin = "  http-request return status 200 content-type text/plain lf-string \"%[fc_http_major] %[ssl_fc_alpn]\"\n";
        let mut text = format!(
            "frontend both\n  bind 127.0.0.1:${{both}} ssl crt ${{dir}}/a.pem alpn h2,http/1.1\n{origin}\
             frontend old\n  bind 127.0.0.1:${{old}} ssl crt ${{dir}}/a.pem alpn http/1.1\n{origin}"
        );
        let servers = [
            ("both", "alpn h2,http/1.1"),
            ("both", "alpn http/1.1,h2"),
            ("both", "alpn h2"),
            ("both", ""),
            ("old", "alpn h2,http/1.1"),
            ("both", "alpn h2,http/1.1"),
            ("both", "alpn h2,http/1.1 ws h1"),
        ];
        text += "frontend fe\n  bind 127.0.0.1:${fe}\n  use_backend %[path,field(2,/)]\n";
        for (n, (to, options)) in servers.iter().enumerate() {
            text += &format!("backend b{n}\n  server s1 127.0.0.1:${{{to}}} ssl verify none {options}\n");
        }
        w.proxy(&text);
        let mut c = w.client("fe");
        let websocket =
            "Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        for (n, (_, options)) in servers.iter().enumerate() {
            w.note(format!("b{n}: {options}"));
            c.get(&format!("/b{n}"), if n < 5 { "" } else { websocket }).response();
        }
        c.close();
        w.forget_logs();
    });
}

/// Checks of a server behind TLS speak what was agreed on (`check-alpn`, or its `alpn`).
#[test]
fn checks_by_alpn() {
    scenario("http2_servers/checks_by_alpn", |w| {
        crate::tls::own(w, "a", false, "DNS:a.test");
        let mut text = "global\n  nbthread 1\n  stats socket ${dir}/cli level admin\ndefaults\n  mode http\n  timeout connect 2s\n  \
                        timeout client 5s\n  timeout server 5s\n  option httpchk\n  default-server inter 300ms fall 1 rise 1\n\
                        frontend both\n  bind 127.0.0.1:${both} ssl crt ${dir}/a.pem alpn h2,http/1.1\n  \
                        http-request return status 222 if { fc_http_major 2 }\n  http-request return status 211\n"
            .to_owned();
        let cases = [
            "check-alpn h2",
            "check-alpn http/1.1",
            "alpn h2",
            "alpn h2 check-alpn http/1.1",
            "alpn h2,http/1.1",
            "check-proto h1 alpn http/1.1",
        ];
        for (n, case) in cases.iter().enumerate() {
            text += &format!("backend b{n}\n  server s1 127.0.0.1:${{both}} ssl verify none check {case}\n");
        }
        w.proxy(&text);
        for (n, case) in cases.iter().enumerate() {
            let found = wait_for(PATIENCE, || {
                let stat = crate::runtime_api::ask(w, "show stat -1 4 -1");
                let line = stat.lines().find(|l| l.starts_with(&format!("b{n},s1,")))?.to_owned();
                let field = |at: usize| line.split(',').nth(at).unwrap_or_default().to_owned();
                field(36).starts_with("L7").then(|| format!("{} {}", field(36), field(37)))
            });
            w.note(format!("{case}: {}", found.expect("a check")));
        }
        w.forget_logs();
    });
}

/// Streams of one connection are one connection in `show servers conn`: used while they run, idle then.
#[test]
fn shared_connections_are_counted_once() {
    scenario("http2_servers/shared_connections_are_counted_once", |w| {
        let o = w.origin("o1", |conn| {
            H2::serve(conn, &[]).serve_all(|h, stream, path| {
                if path != "/hold" {
                    h.respond(stream, "200", b"ok");
                }
            });
        });
        let global = "global\n  nbthread 1\n  stats socket ${dir}/cli level admin\ndefaults\n  mode http\n  timeout connect 9s\n  \
                      timeout client 9s\n  timeout server 9s\n";
        w.proxy(&format!("{global}{}", config("http-reuse always", "")));
        let mut c = H2::begin(Client::tcp(w.port("two"), Default::default()), &[]);
        c.get(1, "/hold", &[]).get(3, "/hold", &[]);
        o.wait_line(0, "< 3 HEADERS");
        // used, and idle in all
        let counts = |w: &World| {
            let said = crate::runtime_api::ask(w, "show servers conn be");
            let line = said.lines().find(|l| l.starts_with("be/s1")).expect("its line").to_owned();
            let all: Vec<&str> = line.split_whitespace().collect();
            format!("{} {}", all[6], all[14])
        };
        w.note(format!("two streams: {}", counts(w)));
        c.reset(1, 8).reset(3, 8).get(5, "/", &[]).answer(5).ping();
        let rests = wait_for(PATIENCE, || (counts(w) == "0 1").then_some(()));
        w.note(format!("none, rests: {}", rests.is_some()));
        c.close();
        w.forget_origins();
        w.forget_logs();
    });
}

/// Checks over HTTP/2 (`check-proto`, the server's `proto`, `http-check connect proto`).
#[test]
fn checks() {
    scenario("http2_servers/checks", |w| {
        let answer = |h: &mut H2, stream: u32, path: &str| {
            match path {
                "/500" => h.headers(stream, &[(":status", "500")], true),
                "/reset" => h.reset(stream, 2),
                "/none" => h.headers(stream, &[("a", "b")], true),
                _ => h.respond(stream, "200", b"ok"),
            };
        };
        w.origin("o1", move |conn| H2::serve(conn, &[]).serve_all(answer));
        let cases = [
            "  option httpchk\n  server s1 127.0.0.1:${o1} proto h2 check",
            "  option httpchk\n  http-check send meth POST uri /a ver HTTP/1.1 hdr Host ex.com hdr x y body abc\n  http-check expect string ok\n  server s1 127.0.0.1:${o1} check check-proto h2",
            "  option httpchk GET /500\n  server s1 127.0.0.1:${o1} check check-proto h2",
            "  option httpchk GET /reset\n  server s1 127.0.0.1:${o1} check check-proto h2",
            "  option httpchk GET /none\n  server s1 127.0.0.1:${o1} check check-proto h2",
            "  option httpchk\n  http-check connect proto h2\n  http-check send meth GET uri /c\n  server s1 127.0.0.1:${o1} check",
            "  server s1 127.0.0.1:${o1} proto h2 check",
        ];
        let mut text = "global\n  stats socket ${dir}/cli level admin\ndefaults\n  mode http\n  timeout connect 2s\n  timeout client 5s\n  timeout server 5s\n  default-server inter 300ms fall 1 rise 1\nfrontend none\n  bind 127.0.0.1:${fe}\n".to_owned();
        for (n, case) in cases.iter().enumerate() {
            text += &format!("backend b{n}\n{case}\n");
        }
        w.proxy(&text);
        for n in 0..cases.len() {
            let found = wait_for(PATIENCE, || {
                let stat = crate::runtime_api::ask(w, "show stat -1 4 -1");
                let line = stat.lines().find(|l| l.starts_with(&format!("b{n},s1,")))?.to_owned();
                let field = |at: usize| line.split(',').nth(at).unwrap_or_default().to_owned();
                let status = field(36);
                (!status.is_empty() && !status.starts_with("INI") && !status.starts_with('*'))
                    .then(|| format!("{} {status} {}", field(17), field(37)))
            });
            w.note(format!("b{n}: {}", found.expect("a check")));
        }
        w.forget_origins();
        w.forget_logs();
    });
}

/// A resting connection whose server has gone silent is closed (`idle-ping`), one that answers stays.
#[test]
fn idle_connections_are_pinged() {
    scenario("http2_servers/idle_connections_are_pinged", |w| {
        let o = w.origin("o1", |conn| {
            let answers = conn.number == 0;
            let mut h = H2::serve(conn, &[]);
            let mut pings = 0;
            while let Some((f, _)) = h.next_frame() {
                match f.kind {
                    kind::HEADERS => {
                        h.respond(f.stream, "200", b"ok");
                    }
                    kind::PING if !f.has(flag::ACK) => {
                        pings += 1;
                        if pings == 2 {
                            h.conn().transcript().add("two pings");
                        }
                        if answers {
                            h.send(frame(kind::PING, flag::ACK, 0, b"portculs"));
                        }
                    }
                    _ => {}
                }
            }
            h.conn().transcript().add("closed");
        });
        w.proxy(&config("http-reuse always", "idle-ping 100ms pool-purge-delay 60s"));
        let mut c = w.client("fe");
        ask(&mut c, "/");
        o.wait_line(0, "two pings");
        w.note("it stays");
        c.close();
        w.forget_origins();
        w.forget_logs();
    });
}

/// Likewise, but it does not answer.
#[test]
fn a_silent_server_is_left() {
    scenario("http2_servers/a_silent_server_is_left", |w| {
        let o = w.origin("o1", |conn| {
            let mut h = H2::serve(conn, &[]);
            while let Some((f, _)) = h.next_frame() {
                if f.kind == kind::HEADERS {
                    h.respond(f.stream, "200", b"ok");
                }
            }
            h.conn().transcript().add("closed");
        });
        w.proxy(&config("http-reuse always", "idle-ping 100ms pool-purge-delay 60s"));
        let mut c = w.client("fe");
        ask(&mut c, "/");
        o.wait_line(0, "closed");
        w.note("it is closed");
        c.close();
        w.forget_origins();
        w.forget_logs();
    });
}

/// A connection on which nothing came while a request was too late gets no more of them.
#[test]
fn a_connection_that_has_died_gets_no_more_requests() {
    let mut w = World::new(portcullis_e2e::binary::Binary::under_test());
    w.origin("o1", |conn| {
        let number = conn.number;
        H2::serve(conn, &[]).serve_all(|h, stream, path| {
            if number > 0 || path == "/first" {
                h.respond(stream, "200", b"ok");
            }
        });
    });
    w.proxy(&config("http-reuse always\ntimeout server 300ms", ""));
    let mut c = w.client("fe");
    assert_eq!(c.get("/first", "").response().status(), 200);
    assert_eq!(c.get("/lost", "").response().status(), 504);
    let mut c = w.client("fe");
    assert_eq!(c.get("/again", "").response().status(), 200);
    w.forget_origins();
}

/// What may share any connection waits for the one that is being made.
#[test]
fn streams_wait_for_a_connection_that_is_made() {
    scenario("http2_servers/streams_wait_for_a_connection_that_is_made", |w| {
        let o = w.origin("o1", |conn| {
            H2::serve(conn, &[]).serve_all(|h, stream, _| {
                h.respond(stream, "200", b"ok");
            });
        });
        w.proxy(&config("http-reuse always", ""));
        let mut c = w.h2_client("two", &[]);
        let many: Vec<u8> = (0..20)
            .flat_map(|n| frame(kind::HEADERS, flag::END_HEADERS | 1, 2 * n + 1, &block(&start("GET", "/"))))
            .collect();
        c.send(many);
        let mut ended = 0;
        while ended < 20 {
            let (f, _) = c.next_frame().expect("answers");
            ended += u32::from(f.kind <= kind::HEADERS && f.has(flag::END_STREAM));
        }
        w.note(format!("{} connection", o.connections()));
        c.close();
        w.forget_origins();
        w.forget_logs();
    });
}

/// `fs.aborted`, `fs.rst_code` and their like of the server: who has reset a stream of HTTP/2, and why.
#[test]
fn who_aborts() {
    scenario("http2_servers/who_aborts", |w| {
        server(w);
        w.proxy(&format!(
            "global\n  log 127.0.0.1:${{log}} local0\ndefaults\n  mode http\n  log global\n  timeout client 10s\n  \
             timeout server 10s\n  timeout connect 10s\n  log-format \"%HP %ts client %[fs.aborted] %[fs.rst_code] server \
             %[bs.aborted] %[bs.rst_code]\"\n{}",
            config("", "")
        ));
        for path in ["/empty", "/reset"] {
            w.client("fe").get(path, "").response();
        }
        w.client("fe").get("/cut", "").read_to_end();
        w.logs(3);
        let mut c = w.h2_client("two", &[]);
        for (stream, code) in [(1, 8), (3, 2), (5, 0)] {
            c.post(stream, "/body", &[]);
            w.settle();
            c.reset(stream, code);
            w.logs(1);
        }
        w.forget_origins();
    });
}
