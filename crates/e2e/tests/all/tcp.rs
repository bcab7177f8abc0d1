//! Mode tcp (manual: mode tcp, option tcplog, tcp-request).
use crate::indent;
use portcullis_e2e::{OriginConn, scenario};

fn tcp(frontend: &str, backend: &str) -> String {
    format!(
        "frontend fe\n  mode tcp\n  option tcplog\n  bind 127.0.0.1:${{fe}}\n{}  default_backend be\nbackend be\n  mode tcp\n{}  server s1 127.0.0.1:${{o1}}\n",
        indent(frontend),
        indent(backend)
    )
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
fn echo_and_orderly_end() {
    scenario("tcp/echo_and_orderly_end", |w| {
        w.origin("o1", echo);
        w.proxy(&tcp("", ""));
        let mut c = w.client("fe");
        c.send("one\n").read_exactly(4);
        c.send("two\n").read_exactly(4);
        c.half_close().read_to_end();
        w.logs(1);
    });
}

#[test]
fn client_half_closes_and_keeps_reading() {
    scenario("tcp/client_half_closes_and_keeps_reading", |w| {
        w.origin("o1", |mut c| {
            c.read_to_end();
            c.send("after your end\n");
        });
        w.proxy(&tcp("", ""));
        w.client("fe").send("all I say\n").half_close().read_to_end();
        w.logs(1);
    });
}

#[test]
fn server_half_closes_and_keeps_reading() {
    scenario("tcp/server_half_closes_and_keeps_reading", |w| {
        w.origin("o1", |mut c| {
            c.send("all I say\n").half_close();
            c.read_to_end();
        });
        w.proxy(&tcp("", ""));
        let mut c = w.client("fe");
        c.read_to_end();
        c.send("after your end\n").half_close();
        w.logs(1);
        c.close();
    });
}

#[test]
fn server_speaks_first_and_closes() {
    scenario("tcp/server_speaks_first_and_closes", |w| {
        w.origin("o1", |mut c| {
            c.send("220 ready\r\n");
        });
        w.proxy(&tcp("", ""));
        w.client("fe").read_to_end();
        w.logs(1);
    });
}

#[test]
fn client_resets() {
    scenario("tcp/client_resets", |w| {
        let origin = w.origin("o1", |mut c| {
            c.read_exactly(4);
            let end = c.wait_end();
            c.transcript().add(format!("ended: {}", end != portcullis_e2e::End::Timeout));
        });
        w.proxy(&tcp("", ""));
        let mut c = w.client("fe");
        c.send("one\n");
        origin.wait_line(0, "< one");
        c.reset();
        w.logs(1);
        origin.wait_line(0, "ended");
    });
}

#[test]
fn server_resets() {
    scenario("tcp/server_resets", |w| {
        w.origin("o1", |mut c| {
            c.read_exactly(4);
            c.reset();
        });
        w.proxy(&tcp("", ""));
        let mut c = w.client("fe");
        c.send("one\n").wait_end();
        w.logs(1);
    });
}

#[test]
fn server_refuses() {
    scenario("tcp/server_refuses", |w| {
        w.proxy(&tcp("", "retries 1\ntimeout connect 100ms"));
        w.client("fe").read_to_end();
        w.logs(1);
    });
}

#[test]
fn no_server() {
    scenario("tcp/no_server", |w| {
        w.proxy("frontend fe\n  mode tcp\n  option tcplog\n  bind 127.0.0.1:${fe}\n  default_backend be\nbackend be\n  mode tcp\n");
        w.client("fe").read_to_end();
        w.logs(1);
    });
}

#[test]
fn large_transfers() {
    for (name, options) in [
        ("copied", ""),
        ("spliced_auto", "option splice-auto"),
        ("spliced", "option splice-request\noption splice-response"),
    ] {
        scenario(&format!("tcp/large_transfer_{name}"), |w| {
            w.origin("o1", |mut c| {
                let (bytes, _) = c.read_to_end();
                c.send(&bytes);
            });
            w.proxy(&tcp(options, options));
            let body: Vec<u8> =
                (0..5_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
            let mut c = w.client("fe");
            c.send(&body).half_close();
            let (back, _) = c.read_to_end();
            assert!(back == body, "the bytes came back changed");
            w.logs(1);
        });
    }
}

#[test]
fn connection_rules() {
    scenario("tcp/connection_rules", |w| {
        w.origin("o1", echo);
        w.proxy(&tcp("tcp-request connection accept if { src 10.0.0.0/8 }\ntcp-request connection reject if { src 127.0.0.0/8 }", ""));
        w.client("fe").wait_end();
        w.note("ended");
    });
}

#[test]
fn session_rules() {
    scenario("tcp/session_rules", |w| {
        w.origin("o1", echo);
        w.proxy(&tcp("tcp-request session reject if { src 127.0.0.0/8 }", ""));
        w.client("fe").wait_end();
        w.note("ended");
    });
}

#[test]
fn content_rules_reject() {
    scenario("tcp/content_rules_reject", |w| {
        w.origin("o1", echo);
        w.proxy(&tcp("tcp-request inspect-delay 2s\ntcp-request content reject if { src 127.0.0.0/8 }", ""));
        w.client("fe").wait_end();
        w.logs(1);
    });
}

#[test]
fn content_rules_wait_for_their_data() {
    scenario("tcp/content_rules_wait_for_their_data", |w| {
        let origin = w.origin("o1", echo);
        w.proxy(&tcp("tcp-request inspect-delay 5s\ntcp-request content accept if { req.len gt 3 }\ntcp-request content reject", ""));
        let mut c = w.client("fe");
        c.send("12");
        let mut early = w.client("fe");
        early.send("1234\n").read_exactly(5);
        w.note(format!("connections: {}", origin.connections()));
        c.send("34\n").read_exactly(5);
        early.close();
        c.close();
        w.logs(2);
    });
}

#[test]
fn content_rules_give_up_after_the_delay() {
    scenario("tcp/content_rules_give_up_after_the_delay", |w| {
        w.origin("o1", echo);
        w.proxy(&tcp("tcp-request inspect-delay 300ms\ntcp-request content accept if { req.len gt 3 }\ntcp-request content reject", ""));
        let mut c = w.client("fe");
        c.send("12").wait_end();
        w.logs(1);
    });
}

#[test]
fn tcp_frontend_before_a_http_backend() {
    scenario("tcp/tcp_frontend_before_a_http_backend", |w| {
        w.ok("o1");
        w.proxy("frontend fe\n  mode tcp\n  option tcplog\n  bind 127.0.0.1:${fe}\n  default_backend be\nbackend be\n  mode http\n  server s1 127.0.0.1:${o1}\n");
        w.client("fe").get("/", "Connection: close\r\n").read_to_end();
        w.logs(1);
    });
}

#[test]
fn http_behind_a_tcp_frontend() {
    scenario("tcp/http_behind_a_tcp_frontend", |w| {
        w.ok("o1");
        w.proxy(
            "
frontend fe
  mode tcp
  option tcplog
  bind 127.0.0.1:${fe}
  tcp-request inspect-delay 1s
  use_backend be if HTTP
  default_backend plain
backend be
  mode http
  server s1 127.0.0.1:${o1}
backend plain
  mode tcp
  server s1 127.0.0.1:${o1}
frontend always
  mode tcp
  option tcplog
  bind 127.0.0.1:${always}
  default_backend be
",
        );
        let mut c = w.client("always");
        c.get("/1", "").response();
        c.get("/2", "Connection: close\r\n").read_to_end();
        w.client("always").send("no request\r\n\r\n").read_to_end();
        w.client("always").half_close().read_to_end();
        w.logs(4);
    });
}

#[test]
fn refusals_of_streams() {
    scenario("tcp/refusals_of_streams", |w| {
        w.origin("o1", echo);
        w.proxy(
            &(tcp("tcp-request inspect-delay 200ms\ntcp-request content reject if { req.len gt 3 }", "")
                + "frontend nowhere\n  mode tcp\n  option tcplog\n  bind 127.0.0.1:${nowhere}\n"),
        );
        w.client("fe").send("1234").read_to_end();
        w.logs(1);
        w.client("nowhere").send("1234").read_to_end();
        w.logs(2);
    });
}

/// What a peer sees once the other one has ended.
fn ends(name: &str, frontend: &str, backend: &str) {
    scenario(name, |w| {
        let origin = w.origin("o1", |mut c| {
            c.read_exactly(2);
            c.send("hi\n");
            let end = c.wait_end();
            c.transcript().add(format!("ended: {end:?}"));
        });
        w.proxy(&tcp(frontend, backend));
        let mut c = w.client("fe");
        c.send("a\n").read_exactly(3);
        let end = c.half_close().wait_end();
        w.note(format!("{end:?}"));
        origin.wait_line(0, "ended");
        w.logs(1);
    });
}

#[test]
fn nolinger_resets_a_client_that_has_ended() {
    ends("tcp/nolinger_of_clients", "option nolinger", "");
}

#[test]
fn nolinger_resets_a_server_whose_client_has_ended() {
    ends("tcp/nolinger_of_servers", "", "option nolinger");
}

#[test]
fn what_has_ended_lingers() {
    ends("tcp/lingering", "", "");
}

/// Manual: option independent-streams. The silent side is over after its timeout, what is sent to it goes on.
#[test]
fn independent_streams_end_one_by_one() {
    scenario("tcp/independent_streams_end_one_by_one", |w| {
        w.origin("o1", |mut c| {
            // the end of the client's direction, long after its last byte
            c.read_to_end();
            c.send("still here\n");
        });
        w.proxy(&tcp("timeout client 200ms\noption independent-streams", ""));
        w.client("fe").send("all I say\n").read_to_end();
        w.logs(1);
    });
}
