//! Connection limits, queues and rates (manual: maxconn, fullconn, maxqueue, timeout queue, rate-limit sessions).
use crate::sections;
use portcullis_e2e::{Gate, OriginConn, World, scenario};
use std::io::{Read, Write};
use std::sync::Arc;

/// An origin that keeps each request until the gate opens.
fn gated(w: &mut World, name: &str) -> (Arc<portcullis_e2e::Origin>, Gate) {
    let gate = Gate::default();
    let wait = gate.clone();
    let origin = w.origin(name, move |mut c: OriginConn| {
        while c.request().is_some() {
            wait.wait();
            c.send_quietly(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    (origin, gate)
}

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

#[test]
fn a_full_server_queues() {
    scenario("limits/a_full_server_queues", |w| {
        let (origin, gate) = gated(w, "o1");
        w.proxy(&(sections("", "timeout queue 5s\ndefault-server maxconn 1") + SETTLED));
        let mut a = w.client("fe");
        a.get("/first", "Connection: close\r\n");
        origin.wait_line(0, "< GET /first");
        let mut b = w.client("fe");
        b.get("/second", "Connection: close\r\n");
        settle(w);
        gate.open();
        a.read_to_end();
        b.read_to_end();
        let lines = w.logs(2);
        // the second one waited for the first: one connection at a time
        assert_eq!(lines.len(), 2, "{lines:?}");
    });
}

#[test]
fn the_queue_times_out() {
    scenario("limits/the_queue_times_out", |w| {
        let (origin, gate) = gated(w, "o1");
        w.proxy(&sections("", "timeout queue 300ms\ndefault-server maxconn 1"));
        let mut a = w.client("fe");
        a.get("/first", "");
        origin.wait_line(0, "< GET /first");
        let mut b = w.client("fe");
        b.get("/second", "Connection: close\r\n").read_to_end();
        w.logs(1);
        gate.open();
        a.response();
        a.close();
        w.logs(2);
    });
}

#[test]
fn the_queue_is_full() {
    scenario("limits/the_queue_is_full", |w| {
        let (origin, gate) = gated(w, "o1");
        w.proxy(&sections(
            "",
            "timeout queue 300ms\noption redispatch 0\ndefault-server maxconn 1 maxqueue 1",
        ));
        let mut a = w.client("fe");
        a.get("/first", "");
        origin.wait_line(0, "< GET /first");
        let mut b = w.client("fe");
        b.get("/second", "Connection: close\r\n").read_to_end();
        w.logs(1);
        gate.open();
        a.response();
        a.close();
        w.logs(2);
    });
}

#[test]
fn a_client_leaves_the_queue() {
    scenario("limits/a_client_leaves_the_queue", |w| {
        let (origin, gate) = gated(w, "o1");
        w.proxy(&sections("", "timeout queue 5s\noption abortonclose\ndefault-server maxconn 1"));
        let mut a = w.client("fe");
        a.get("/first", "");
        origin.wait_line(0, "< GET /first");
        let mut b = w.client("fe");
        b.get("/second", "");
        b.close();
        w.logs(1);
        gate.open();
        a.response();
        a.close();
        w.logs(2);
    });
}

#[test]
fn frontend_maxconn_lets_others_wait() {
    scenario("limits/frontend_maxconn_lets_others_wait", |w| {
        w.ok("o1");
        w.proxy(&sections("maxconn 1", ""));
        let mut a = w.client("fe");
        a.get("/1", "").response();
        let mut b = w.client("fe");
        b.get("/2", "Connection: close\r\n");
        a.get("/3", "Connection: close\r\n").read_to_end();
        b.read_to_end();
        w.logs(3);
    });
}

#[test]
fn bind_maxconn_lets_others_wait() {
    scenario("limits/bind_maxconn_lets_others_wait", |w| {
        w.ok("o1");
        w.proxy("frontend fe\n  bind 127.0.0.1:${fe} maxconn 1\n  default_backend be\nbackend be\n  server s1 127.0.0.1:${o1}\n");
        let mut a = w.client("fe");
        a.get("/1", "").response();
        let mut b = w.client("fe");
        b.get("/2", "Connection: close\r\n");
        a.get("/3", "Connection: close\r\n").read_to_end();
        b.read_to_end();
        w.logs(3);
    });
}

#[test]
fn global_maxconn_lets_others_wait() {
    scenario("limits/global_maxconn_lets_others_wait", |w| {
        w.ok("o1");
        w.proxy(&format!(
            "global\n  maxconn 1\n  nbthread 1\n  log 127.0.0.1:${{log}} local0\ndefaults\n  mode http\n  log global\n  option httplog\n  timeout connect 10s\n  timeout client 30s\n  timeout server 30s\n{}",
            sections("", "")
        ));
        let mut a = w.client("fe");
        a.get("/1", "").response();
        let mut b = w.client("fe");
        b.get("/2", "Connection: close\r\n");
        a.get("/3", "Connection: close\r\n").read_to_end();
        b.read_to_end();
        w.logs(3);
    });
}

#[test]
fn rate_limit_sessions_slows_down() {
    scenario("limits/rate_limit_sessions_slows_down", |w| {
        w.ok("o1");
        w.proxy(&sections("rate-limit sessions 5", ""));
        let start = std::time::Instant::now();
        for _ in 0..12 {
            w.client("fe").get("/", "Connection: close\r\n").wait_end();
        }
        let slowed = start.elapsed().as_millis() > 900;
        w.note(format!("12 sessions at 5/s took more than 0.9 s: {slowed}"));
        w.logs(12);
    });
}

/// `fullconn` is a tenth of what the frontends may have that may route to a backend, by default or by a rule.
#[test]
fn fullconn_counts_all_that_may_come() {
    scenario("limits/fullconn_counts_all_that_may_come", |w| {
        crate::runtime_api::start(
            w,
            "frontend one\n  bind 127.0.0.1:${one}\n  maxconn 500\n  use_backend ruled if { path /a }\n  \
             use_backend ruled if { path /b }\n  use_backend %[path] if { path /c }\n  default_backend default\n\
             frontend two\n  bind 127.0.0.1:${two}\n  maxconn 300\n  use_backend ruled if { path /a }\n  use_backend always\n\
             backend ruled\nbackend always\nbackend default\nbackend nobody\n",
        );
        for backend in ["ruled", "always", "default", "nobody"] {
            let stat = crate::runtime_api::ask(w, &format!("show stat {backend} 2 -1"));
            let line = stat.lines().nth(1).unwrap_or("");
            w.note(format!("{backend}: {}", line.split(',').nth(6).unwrap_or("?")));
        }
    });
}

/// However many clients come at once, no more of them begin a session in a second than may.
#[test]
fn sessions_a_second_of_many_at_once() {
    let mut w = portcullis_e2e::World::new(portcullis_e2e::binary::Binary::under_test());
    w.proxy(
        "global\n  nbthread 1\ndefaults\n  mode http\n  timeout client 30s\n  timeout server 30s\n  timeout connect 30s\n\
         frontend fe\n  bind 127.0.0.1:${fe}\n  rate-limit sessions 10\n  http-request return status 200\n",
    );
    let port = w.port("fe");
    let began = std::time::Instant::now();
    let clients: Vec<_> = (0..31)
        .map(|_| {
            std::thread::spawn(move || {
                let mut s = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
                std::io::Write::write_all(&mut s, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                    .unwrap();
                let mut answer = String::new();
                std::io::Read::read_to_string(&mut s, &mut answer).unwrap();
                assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            })
        })
        .collect();
    clients.into_iter().for_each(|c| c.join().unwrap());
    // ten at once, and then one each tenth of a second
    assert!(began.elapsed() >= std::time::Duration::from_millis(1800), "{:?}", began.elapsed());
}
