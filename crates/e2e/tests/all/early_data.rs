//! Early data to servers (`allow-0rtt`, `retry-on 0rtt-rejected`): what goes before a server has answered, and what follows if it
//! does not take it. The servers are frontends of the same process.
use crate::tls::{get, own};
use portcullis_e2e::{World, scenario};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

/// Two servers, one of which takes early data; backends `client` (as the client did), `retry`, `late` (425 is tried again), and
/// some of other protocols.
fn world(w: &mut World) {
    own(w, "a", false, "DNS:a.test");
    let server =
        |alpn| format!("server s 127.0.0.1:${{taking}} ssl verify none allow-0rtt sni str(a.test){alpn}\n");
    let backend = |name, retries, alpn| format!("backend {name}\n  {retries}\n  {}", server(alpn));
    let retry = "retry-on conn-failure 0rtt-rejected";
    let backends = [
        backend("client", "", ""),
        backend("retry", retry, ""),
        backend("late", "retry-on conn-failure 0rtt-rejected 425", ""),
        backend("http2", retry, " alpn h2"),
        backend("both", retry, " alpn h2,http/1.1"),
    ];
    let says =
        "hdr seen \"early=%[ssl_fc_early_rcvd] resumed=%[ssl_fc_is_resumed] field=%[req.hdr(early-data)]\"";
    w.proxy(&format!(
        "global
  log 127.0.0.1:${{log}} local0
  stats socket ${{dir}}/cli level admin
defaults
  mode http
  http-reuse never
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend taking
  bind 127.0.0.1:${{taking}} ssl crt ${{dir}}/a.pem allow-0rtt alpn h2,http/1.1
  http-request return status 425 if {{ path /late }} {{ ssl_fc_early_rcvd }}
  http-request return status 200 {says}
frontend refusing
  bind 127.0.0.1:${{refusing}} ssl crt ${{dir}}/a.pem alpn h2,http/1.1
  http-request return status 200 {says}
frontend fe
  log global
  log-format \"%b %ST %tsc retries=%rc error=%[bc_err] %[bc_err_str] resumed=%[ssl_bc_is_resumed] %{{+Q}}r\"
  bind 127.0.0.1:${{plain}}
  bind 127.0.0.1:${{early}} ssl crt ${{dir}}/a.pem allow-0rtt alpn http/1.1
  use_backend %[path,field(2,/)]
{}",
        backends.concat()
    ));
    w.file("early", "GET /client HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
}

/// Notes the status, and what the server has seen.
fn note(w: &World, what: &str, answer: &str) {
    let wanted = |l: &&str| l.starts_with("HTTP/") || l.starts_with("seen:");
    let lines: Vec<_> = answer.lines().map(str::trim).filter(wanted).collect();
    w.note(format!("{what}: {}", lines.join(" | ")));
}

/// Sends a request without TLS.
fn ask(w: &mut World, path: &str, body: &str) {
    let port = w.port("plain");
    let mut s = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let method = if body.is_empty() { "GET" } else { "POST" };
    let length = body.len();
    write!(
        s,
        "{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    s.read_to_string(&mut answer).unwrap();
    note(w, &format!("{method} {path}"), &answer);
}

/// Sends one as early data.
fn ask_early(w: &mut World) {
    let port = w.port("early");
    get(w.dir(), port, "-tls1_3 -alpn http/1.1 -sess_out s");
    let answer = get(w.dir(), port, "-tls1_3 -alpn http/1.1 -sess_in s -early_data early");
    // whether the handshake is done by the time the request goes on is a matter of luck
    note(w, "early", &answer.replace("field=1", "field="));
}

/// The server of this backend is the one that refuses from now on.
fn refuse(w: &mut World, backend: &str) {
    let port = w.port("refusing");
    let mut s = UnixStream::connect(w.dir().join("cli")).unwrap();
    writeln!(s, "set server {backend}/s addr 127.0.0.1 port {port}").unwrap();
    let mut answer = String::new();
    s.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("changed"), "{answer}");
}

/// It goes early if the client did, or if it is sent again when it is refused, and once there is a session.
#[test]
fn requests_go_early() {
    scenario("early_data/requests_go_early", |w| {
        world(w);
        for path in ["/client", "/retry", "/http2", "/both"] {
            ask(w, path, "");
            ask(w, path, "");
        }
        ask(w, "/retry", "abc");
        ask(w, "/client", "");
        ask_early(w);
    });
}

/// A request that was refused is sent again, with its body; the client is told if nothing says that it may be.
#[test]
fn refused_requests_are_sent_again() {
    let mut w = World::new(portcullis_e2e::binary::Binary::under_test());
    world(&mut w);
    for (path, body) in [("/retry", ""), ("/retry", "abc"), ("/http2", ""), ("/both", "abc"), ("/late", "")] {
        ask(&mut w, path, body);
    }
    ask(&mut w, "/client", "");
    for backend in ["client", "retry", "late", "http2", "both"] {
        refuse(&mut w, backend);
    }
    for (path, body) in [("/retry", "abc"), ("/http2", ""), ("/both", "abcd"), ("/late", "")] {
        ask(&mut w, path, body);
        ask(&mut w, path, body);
    }
    ask_early(&mut w);
    let logs = w.logs(16).join("\n");
    let got = w.finish();
    let lines = |text: &str, part: &str| text.lines().filter(|l| l.contains(part)).count();
    // every request of them came through, and the first of each backend after one more attempt
    assert_eq!(lines(&got, "HTTP/1.1 200"), 14, "{got}");
    assert_eq!(lines(&got, "early: HTTP/1.1 425"), 1, "{got}");
    assert_eq!(lines(&logs, "200 ---- retries=1 error=0 Success"), 4, "{logs}");
    assert_eq!(lines(&logs, "client 425 SH-- retries=0 error=38 Server refused early data"), 1, "{logs}");
}

/// A server that thinks it too early is asked again, and not early.
#[test]
fn too_early_is_tried_again() {
    let mut w = World::new(portcullis_e2e::binary::Binary::under_test());
    world(&mut w);
    ask(&mut w, "/late", "");
    ask(&mut w, "/late", "");
    let logs = w.logs(2);
    assert!(logs[1].contains("late 200 ---- retries=1 error=0 Success resumed=1"), "{logs:?}");
    assert_eq!(w.finish().matches("HTTP/1.1 200 OK | seen: early=0").count(), 2);
}

/// More than a session allows, and less: what is left follows when the server has answered, and all of it comes once.
#[test]
fn bodies_larger_than_a_session_allows() {
    let mut w = World::new(portcullis_e2e::binary::Binary::under_test());
    own(&w, "a", false, "DNS:a.test");
    w.origin("o", |mut c| {
        while let Some(request) = c.request() {
            let right = request.body.iter().zip((0..=255u8).cycle()).all(|(a, b)| *a == b);
            c.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\ngot: {} {right}\r\n\r\n",
                request.body.len()
            ));
        }
    });
    w.proxy(
        "global
  tune.bufsize 131072
defaults
  mode http
  http-reuse never
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend fe
  bind 127.0.0.1:${plain}
  option http-buffer-request
  default_backend be
backend be
  retry-on 0rtt-rejected
  server s 127.0.0.1:${taking} ssl verify none allow-0rtt sni str(a.test)
frontend taking
  bind 127.0.0.1:${taking} ssl crt ${dir}/a.pem allow-0rtt alpn http/1.1
  http-response set-header early %[ssl_fc_early_rcvd]
  default_backend o
backend o
  server o 127.0.0.1:${o}
",
    );
    for (size, early) in [(10, "0"), (5_000, "1"), (20_000, "1"), (100_000, "1")] {
        // a session is used once: each is preceded by one that makes new ones
        for early in ["0", early] {
            let mut s = TcpStream::connect(("127.0.0.1", w.port("plain"))).unwrap();
            let body: Vec<u8> = (0..=255u8).cycle().take(size).collect();
            write!(s, "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n")
                .unwrap();
            s.write_all(&body).unwrap();
            let mut answer = String::new();
            s.read_to_string(&mut answer).unwrap();
            assert!(answer.contains(&format!("got: {size} true")), "{size}: {answer}");
            assert!(early == "0" || answer.contains("early: 1"), "{size}: {answer}");
        }
    }
}
