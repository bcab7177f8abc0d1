//! Every timeout with its answer and its termination state (manual: timeout *, section 8.5).
use crate::sections;
use portcullis_e2e::binary::Binary;
use portcullis_e2e::process::PATIENCE;
use portcullis_e2e::{OriginConn, World, scenario};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

fn silent(mut c: OriginConn) {
    c.request();
    c.wait_end();
}

#[test]
fn http_request_never_comes() {
    scenario("timeouts/http_request_never_comes", |w| {
        w.ok("o1");
        w.proxy(&sections("timeout http-request 300ms", ""));
        w.client("fe").read_to_end();
        w.logs(1);
    });
}

#[test]
fn http_request_stays_incomplete() {
    scenario("timeouts/http_request_stays_incomplete", |w| {
        w.ok("o1");
        w.proxy(&sections("timeout http-request 300ms", ""));
        w.client("fe").send("GET / HTTP/1.1\r\nHost: te").read_to_end();
        w.logs(1);
    });
}

#[test]
fn client_timeout_stands_in_for_http_request() {
    scenario("timeouts/client_timeout_stands_in_for_http_request", |w| {
        w.ok("o1");
        w.proxy(&sections("timeout client 300ms", ""));
        w.client("fe").send("GET / HTTP/1.1\r\nHost: te").read_to_end();
        w.logs(1);
    });
}

/// Manual: timeout http-request. Without it each piece of the head has the client's timeout.
#[test]
fn client_timeout_is_for_each_piece_of_a_head() {
    scenario("timeouts/client_timeout_is_for_each_piece_of_a_head", |w| {
        w.ok("o1");
        w.proxy(&sections("timeout client 600ms", ""));
        let mut c = w.client("fe");
        for piece in ["GET / HT", "TP/1.1\r\nHost: ", "test\r\n", "Connection: close\r\n", "\r\n"] {
            assert!(c.is_silent_for(Duration::from_millis(200)));
            c.send(piece);
        }
        c.read_to_end();
        w.logs(1);
    });
}

#[test]
fn dontlognull_hides_silent_clients() {
    scenario("timeouts/dontlognull_hides_silent_clients", |w| {
        w.ok("o1");
        w.proxy(&sections("timeout http-request 300ms\noption dontlognull", ""));
        w.client("fe").read_to_end();
        w.client("fe").close();
        w.client("fe").get("/logged", "Connection: close\r\n").read_to_end();
        w.logs(1);
    });
}

#[test]
fn http_ignore_probes_says_nothing() {
    scenario("timeouts/http_ignore_probes_says_nothing", |w| {
        w.ok("o1");
        w.proxy(&sections("timeout http-request 300ms\noption http-ignore-probes", ""));
        w.client("fe").read_to_end();
        w.client("fe").send("GET / HT").read_to_end();
        w.client("fe").get("/logged", "Connection: close\r\n").read_to_end();
        w.logs(2);
    });
}

#[test]
fn client_connects_and_leaves() {
    scenario("timeouts/client_connects_and_leaves", |w| {
        w.ok("o1");
        w.proxy(&sections("", ""));
        w.client("fe").close();
        w.logs(1);
        w.client("fe").send("GET / HTTP/1.1\r\n").half_close().read_to_end();
        w.logs(2);
    });
}

#[test]
fn keep_alive_ends_silently() {
    scenario("timeouts/keep_alive_ends_silently", |w| {
        w.ok("o1");
        w.proxy(&sections("timeout http-keep-alive 200ms\ntimeout http-request 2s", ""));
        let mut c = w.client("fe");
        c.get("/", "").response();
        c.read_to_end();
        w.logs(1);
    });
}

#[test]
fn second_request_stays_incomplete() {
    scenario("timeouts/second_request_stays_incomplete", |w| {
        w.ok("o1");
        w.proxy(&sections("timeout http-keep-alive 2s\ntimeout http-request 300ms", ""));
        let mut c = w.client("fe");
        c.get("/", "").response();
        c.send("GET /2 HTTP/1.1\r\n").read_to_end();
        w.logs(2);
    });
}

#[test]
fn server_never_answers() {
    scenario("timeouts/server_never_answers", |w| {
        w.origin("o1", silent);
        w.proxy(&sections("", "timeout server 300ms"));
        w.client("fe").get("/", "Connection: close\r\n").read_to_end();
        w.logs(1);
    });
}

#[test]
fn server_stalls_in_its_body() {
    scenario("timeouts/server_stalls_in_its_body", |w| {
        w.origin("o1", |mut c| {
            c.request();
            c.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
            c.wait_end();
        });
        w.proxy(&sections("", "timeout server 300ms"));
        w.client("fe").get("/", "Connection: close\r\n").read_to_end();
        w.logs(1);
    });
}

#[test]
fn server_stalls_in_its_head() {
    scenario("timeouts/server_stalls_in_its_head", |w| {
        w.origin("o1", |mut c| {
            c.request();
            c.send("HTTP/1.1 200 OK\r\nContent-");
            c.wait_end();
        });
        w.proxy(&sections("", "timeout server 300ms"));
        w.client("fe").get("/", "Connection: close\r\n").read_to_end();
        w.logs(1);
    });
}

#[test]
fn client_stalls_in_its_body() {
    scenario("timeouts/client_stalls_in_its_body", |w| {
        w.origin("o1", |mut c| {
            c.head();
            c.wait_end();
        });
        w.proxy(&sections("timeout client 300ms", ""));
        w.client("fe").send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhalf").read_to_end();
        w.logs(1);
    });
}

#[test]
fn client_stops_reading() {
    scenario("timeouts/client_stops_reading", |w| {
        w.origin("o1", |mut c| {
            c.request();
            c.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
            c.send_until_refused(&[b'x'; 65536], 100_000_000);
        });
        w.proxy(&sections("timeout client 500ms", ""));
        let mut c = w.client("fe");
        c.get("/", "");
        // bytes delivered depend on socket buffers: only the state is compared
        let line = w.logs(1).concat();
        let state = line.split(' ').find(|w| w.ends_with("--") && w.len() == 4).unwrap_or("none").to_string();
        w.forget_logs();
        w.note(format!("state {state}"));
        c.close();
    });
}

#[test]
fn connect_times_out() {
    scenario("timeouts/connect_times_out", |w| {
        let full = w.full_listener("o1");
        w.proxy(&sections("", "timeout connect 200ms\nretries 0"));
        w.client("fe").get("/", "Connection: close\r\n").read_to_end();
        w.logs(1);
        drop(full);
    });
}

#[test]
fn connect_times_out_with_retries() {
    scenario("timeouts/connect_times_out_with_retries", |w| {
        let full = w.full_listener("o1");
        w.proxy(&sections("", "timeout connect 100ms\nretries 2"));
        w.client("fe").get("/", "Connection: close\r\n").read_to_end();
        w.logs(1);
        drop(full);
    });
}

#[test]
fn tcp_client_idles() {
    scenario("timeouts/tcp_client_idles", |w| {
        w.origin("o1", |mut c| {
            c.send("hello\n");
            c.wait_end();
        });
        w.proxy(&sections("mode tcp\noption tcplog\ntimeout client 300ms", "mode tcp"));
        w.client("fe").read_to_end();
        w.logs(1);
    });
}

#[test]
fn tcp_server_idles() {
    scenario("timeouts/tcp_server_idles", |w| {
        w.origin("o1", |mut c| {
            c.wait_end();
        });
        w.proxy(&sections("mode tcp\noption tcplog", "mode tcp\ntimeout server 300ms"));
        w.client("fe").send("hello\n").read_to_end();
        w.logs(1);
    });
}

#[test]
fn tcp_client_fin_timeout() {
    scenario("timeouts/tcp_client_fin_timeout", |w| {
        w.origin("o1", |mut c| {
            c.read_to_end();
            c.set_patience(std::time::Duration::from_secs(5));
            c.wait_end();
        });
        w.proxy(&sections("mode tcp\noption tcplog\ntimeout client-fin 300ms", "mode tcp"));
        w.client("fe").send("hello\n").half_close().read_to_end();
        w.logs(1);
    });
}

#[test]
fn tcp_server_fin_timeout() {
    scenario("timeouts/tcp_server_fin_timeout", |w| {
        w.origin("o1", |mut c| {
            c.send("bye\n").half_close();
            c.wait_end();
        });
        w.proxy(&sections("mode tcp\noption tcplog", "mode tcp\ntimeout server-fin 300ms"));
        w.client("fe").read_to_end();
        w.logs(1);
    });
}

#[test]
fn tunnel_timeout_after_upgrade() {
    scenario("timeouts/tunnel_timeout_after_upgrade", |w| {
        w.origin("o1", |mut c| {
            c.head();
            c.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\nhello\n");
            c.wait_end();
        });
        w.proxy(&sections("", "timeout tunnel 300ms\ntimeout server 5s"));
        let mut c = w.client("fe");
        c.get("/", "Connection: Upgrade\r\nUpgrade: foo\r\n").read_to_end();
        w.logs(1);
    });
}

#[test]
fn tarpit_takes_its_time() {
    scenario("timeouts/tarpit_takes_its_time", |w| {
        w.ok("o1");
        w.proxy(&sections("timeout tarpit 300ms\nhttp-request tarpit if { path /bad }", ""));
        let start = std::time::Instant::now();
        w.client("fe").get("/bad", "Connection: close\r\n").read_to_end();
        w.note(format!("took 0.3 s at least: {}", start.elapsed().as_millis() >= 290));
        w.logs(1);
    });
}

/// What was begun and could not be written in time is followed by nothing else.
fn whole_until_the_end(received: &[u8], unit: &str) -> bool {
    let unit = unit.to_ascii_lowercase().into_bytes();
    received.to_ascii_lowercase().chunks(unit.len()).all(|c| unit.starts_with(c))
}

#[test]
fn client_does_not_read_interim_responses() {
    const HINT: &str = "HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n";
    scenario("timeouts/client_does_not_read_interim_responses", |w| {
        w.origin("o1", |mut c| {
            c.request();
            c.send_quietly(HINT.repeat(500_000).as_bytes());
            c.send_quietly(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        });
        w.proxy(&sections("timeout client 500ms\nlog-format \"%ts %ST\"", ""));
        let mut s = TcpStream::connect(("127.0.0.1", w.port("fe"))).unwrap();
        s.set_read_timeout(Some(PATIENCE)).unwrap();
        s.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        w.logs(1);
        let mut received = Vec::new();
        let _ = s.read_to_end(&mut received);
        w.note(format!("some: {}", received.len() > HINT.len()));
        w.note(format!("nothing behind a part: {}", whole_until_the_end(&received, HINT)));
    });
}

#[test]
fn client_does_not_read_answers() {
    scenario("timeouts/client_does_not_read_answers", |w| {
        w.ok("o1");
        let front = "timeout client 500ms\nlog-format \"%ts %ST\"\n\
             http-request return status 200 content-type text/plain string 12345";
        w.proxy(&sections(front, ""));
        let connect = |w: &mut portcullis_e2e::World| {
            let s = TcpStream::connect(("127.0.0.1", w.port("fe"))).unwrap();
            s.set_read_timeout(Some(PATIENCE)).unwrap();
            s.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
            s
        };
        let mut first = connect(w);
        first.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut head = [0; 2];
        let mut unit = Vec::new();
        while !unit.ends_with(b"12345") {
            first.read_exact(&mut head[..1]).unwrap();
            unit.push(head[0]);
        }
        drop(first);
        let mut s = connect(w);
        let many = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000);
        // until both directions are full, or the connection has ended
        while s.write_all(many.as_bytes()).is_ok() {}
        let mut received = Vec::new();
        let _ = s.read_to_end(&mut received);
        let unit = String::from_utf8(unit).unwrap();
        w.note(format!("some: {}", received.len() > unit.len()));
        w.note(format!("nothing behind a part: {}", whole_until_the_end(&received, &unit)));
        w.forget_logs();
    });
}

/// Once one side has ended, only the other one can be late: after its `-fin` timeout, else `timeout tunnel`, else its own.
#[test]
fn tcp_half_closed() {
    for (name, client_ends, frontend, backend) in [
        ("client_alone", true, "timeout client 300ms", "timeout server 900ms"),
        ("client_and_client_fin", true, "timeout client-fin 300ms", "timeout server 900ms"),
        ("client_and_server_fin", true, "", "timeout server-fin 600ms"),
        ("client_and_both", true, "timeout client-fin 300ms", "timeout server-fin 900ms"),
        ("client_and_tunnel", true, "", "timeout tunnel 600ms"),
        ("client_and_tunnel_and_client_fin", true, "timeout client-fin 300ms", "timeout tunnel 900ms"),
        ("server_alone", false, "timeout client 900ms", "timeout server 300ms"),
        ("server_and_server_fin", false, "timeout client 900ms", "timeout server-fin 300ms"),
        ("server_and_client_fin", false, "timeout client-fin 600ms", ""),
        ("server_and_both", false, "timeout client-fin 900ms", "timeout server-fin 300ms"),
        ("server_and_tunnel", false, "", "timeout tunnel 600ms"),
        ("server_and_tunnel_and_server_fin", false, "", "timeout tunnel 900ms\ntimeout server-fin 300ms"),
    ] {
        scenario(&format!("timeouts/half_closed_by_{name}"), |w| {
            let gate = portcullis_e2e::Gate::default();
            let held = gate.clone();
            w.origin("o1", move |mut c| {
                c.read_exactly(6);
                if !client_ends {
                    c.half_close();
                }
                c.read_to_end();
                held.wait();
            });
            let front = format!("mode tcp\noption tcplog\n{frontend}");
            w.proxy(&sections(&front, &format!("mode tcp\n{backend}")));
            let mut c = w.client("fe");
            c.send("hello\n");
            if client_ends {
                c.half_close();
            }
            c.read_to_end();
            w.logs(1);
            gate.open();
        });
    }
}

/// Manual: timeout server, for a server that is expected to acknowledge or to send. One that has not got the whole request is not
/// late.
#[test]
fn a_server_is_not_late_before_it_has_the_request() {
    for (name, backend) in [("plain", ""), ("independent", "option independent-streams\n")] {
        scenario(&format!("timeouts/upload_that_pauses_{name}"), |w| {
            w.ok("o1");
            w.proxy(&sections("", &format!("{backend}timeout server 200ms")));
            let mut c = w.client("fe");
            c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nConnection: close\r\n\r\nab");
            assert!(c.is_silent_for(Duration::from_millis(500)));
            c.send("cd").read_to_end();
            w.logs(1);
        });
    }
}

/// A client that does not go on with its request is late, whatever time the server has.
#[test]
fn a_client_that_stops_in_its_body_is_late() {
    for (name, server) in [("short", "100ms"), ("none", "0")] {
        scenario(&format!("timeouts/body_that_stops_server_{name}"), |w| {
            w.origin("o1", silent);
            w.proxy(&sections("timeout client 300ms", &format!("timeout server {server}")));
            let mut c = w.client("fe");
            c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab").read_to_end();
            w.logs(1);
        });
    }
}

/// Manual: http-request set-timeout, section 8.5.
#[test]
fn timeouts_of_rules_hold_in_tunnels() {
    scenario("timeouts/set_timeout_of_a_tunnel", |w| {
        w.origin("o1", |mut c| {
            c.request();
            c.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
            c.wait_end();
        });
        w.proxy(&sections("", "http-request set-timeout server 200ms"));
        let mut c = w.client("fe");
        c.get("/", "Connection: Upgrade\r\nUpgrade: x\r\n");
        c.read_to_end();
        w.logs(1);
    });
}

/// Manual: section 8.4. The time of inspection is before a server is looked for, and counts as waiting.
#[test]
fn inspection_counts_as_waiting() {
    for (extra, what) in [("", "%Tw %Tc %Tt"), ("option logasap\n", "%Tw %Tc %Tt")] {
        let mut w = World::new(Binary::under_test());
        w.origin("o1", |mut c| {
            c.request();
        });
        let front = format!(
            "mode tcp\nlog-format \"took {what}\"\n{extra}tcp-request inspect-delay 200ms\ntcp-request content accept if WAIT_END"
        );
        w.proxy(&sections(&front, "mode tcp"));
        let mut c = w.client("fe");
        c.send("GET / HTTP/1.1\r\n\r\n").wait_end();
        let line = w.logs(1)[0].clone();
        let times: Vec<i32> = line
            .split("took ")
            .nth(1)
            .unwrap()
            .split_whitespace()
            .map(|n| n.trim_start_matches('+').parse().unwrap())
            .collect();
        assert!(times[0] >= 200 && times[1] < 200 && times[2] >= 200, "{line}");
    }
}
