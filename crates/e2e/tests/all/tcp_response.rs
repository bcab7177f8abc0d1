//! `tcp-response content` and `tcp-response inspect-delay` in TCP mode (manual: tcp-response content, close, reject).
use crate::indent;
use portcullis_e2e::{Gate, OriginConn, scenario};

fn tcp(frontend: &str, backend: &str) -> String {
    format!(
        "frontend fe\n  mode tcp\n  option tcplog\n  bind 127.0.0.1:${{fe}}\n{}  default_backend be\nbackend be\n  mode tcp\n{}  server s1 127.0.0.1:${{o1}}\n",
        indent(frontend),
        indent(backend)
    )
}

/// The server says this at once and waits for the client's end.
fn greeting(text: &'static str) -> impl Fn(OriginConn) + Send + Sync + 'static {
    move |mut c| {
        c.send(text);
        c.wait_end();
    }
}

/// A client that only listens, with these lines in the backend; a server without a text waits for its end.
fn heard(name: &str, text: &'static str, lines: &'static str) {
    scenario(&format!("tcp_response/{name}"), |w| {
        w.origin("o1", move |mut c| {
            if !text.is_empty() {
                c.send(text).half_close();
            }
            c.read_to_end();
        });
        w.proxy(&tcp("", lines));
        w.client("fe").read_to_end();
        w.logs(1);
    });
}

macro_rules! heard {
    ($($name:ident: $text:expr, $lines:expr;)*) => {
        $(#[test]
        fn $name() {
            heard(stringify!($name), $text, $lines);
        })*
    };
}

heard! {
    looked_at_before_anything_comes: "", "tcp-response content accept if { res.payload(0,3) -m str 220 }\ntcp-response content reject";
    rejected: "500 no\n", "tcp-response inspect-delay 5s\ntcp-response content accept if { res.payload(0,3) -m str 220 }\ntcp-response content reject";
    rejected_at_once: "", "tcp-response content reject";
    closed: "", "tcp-response content close";
    dropped_silently: "", "tcp-response content silent-drop rst-ttl 64";
    the_end_comes_before_enough: "22", "tcp-response inspect-delay 5s\ntcp-response content reject if { res.len gt 3 }";
    the_end_comes_before_enough_to_accept: "22", "tcp-response inspect-delay 5s\ntcp-response content accept if { res.len gt 3 }\ntcp-response content reject";
    accepted: "220 ready\n", "tcp-response inspect-delay 5s\ntcp-response content accept if { res.payload(0,3) -m str 220 }\ntcp-response content reject";
    rules_without_a_delay: "22", "tcp-response content reject if { res.len gt 3 }";
}

/// A server that has not ended is reset.
#[test]
fn closed_if() {
    scenario("tcp_response/closed_if", |w| {
        w.origin("o1", |mut c| {
            c.send("220 ready\n");
            c.read_to_end();
        });
        w.proxy(&tcp("", "tcp-response inspect-delay 5s\ntcp-response content close if { res.len gt 3 }"));
        w.client("fe").read_to_end();
        w.logs(1);
    });
}

/// What is shown of a stream whose rules set variables, and the log level.
#[test]
fn variables_and_levels() {
    scenario("tcp_response/variables_and_levels", |w| {
        w.origin("o1", greeting("220 ready\n"));
        w.proxy(&tcp(
            "log-format \"%[var(txn.a)] %[var(res.b),hex] %[var(txn.f)] %ts %B\"",
            "tcp-response inspect-delay 5s\ntcp-response content set-var(txn.a) res.len\ntcp-response content set-var(res.b) res.payload(0,3)\ntcp-response content set-var-fmt(txn.f) \"len=%[res.len]\"\ntcp-response content set-var(txn.g) int(1)\ntcp-response content unset-var(txn.g)\ntcp-response content set-log-level warning if { var(txn.a) -m found } !{ var(txn.g) -m found }",
        ));
        let mut c = w.client("fe");
        c.read_exactly(10);
        c.close();
        w.logs(1);
    });
}

/// A rule that needs more bytes than the server ever sends waits for the delay, then the bytes go on.
#[test]
fn the_delay_is_over() {
    scenario("tcp_response/the_delay_is_over", |w| {
        w.origin("o1", greeting("22"));
        w.proxy(&tcp(
            "",
            "tcp-response inspect-delay 300ms\ntcp-response content reject if { res.len gt 3 }",
        ));
        let mut c = w.client("fe");
        let begin = std::time::Instant::now();
        c.read_exactly(2);
        w.note(format!("waited: {}", begin.elapsed().as_millis() >= 290));
        c.half_close().read_to_end();
        w.logs(1);
    });
}

/// The delay over, and the rules that follow are looked at with what there is.
#[test]
fn the_delay_is_over_and_the_last_rule_rejects() {
    scenario("tcp_response/the_delay_is_over_and_rejected", |w| {
        w.origin("o1", greeting("22"));
        w.proxy(&tcp(
            "",
            "tcp-response inspect-delay 300ms\ntcp-response content accept if { res.len gt 3 }\ntcp-response content reject",
        ));
        w.client("fe").read_to_end();
        w.logs(1);
    });
}

/// The delay runs from when the server was reached: what a slow server sends later goes on at once.
#[test]
fn a_silent_server_and_the_delay() {
    scenario("tcp_response/a_silent_server_and_the_delay", |w| {
        let gate = Gate::default();
        let wait = gate.clone();
        w.origin("o1", move |mut c| {
            c.read_exactly(3);
            wait.wait();
            c.send("22");
            c.wait_end();
        });
        w.proxy(&tcp("", "tcp-response inspect-delay 3s\ntcp-response content reject if { res.len gt 3 }"));
        let mut c = w.client("fe");
        c.send("one");
        // longer than the delay
        let mut idle = w.client("fe");
        idle.set_patience(std::time::Duration::from_millis(3500));
        w.note(format!("more: {}", idle.fill()));
        gate.open();
        let begin = std::time::Instant::now();
        c.read_exactly(2);
        w.note(format!("waited: {}", begin.elapsed().as_millis() > 2500));
        c.close();
        w.logs(1);
        idle.close();
        w.logs(2);
    });
}

/// What the client sends goes on while the response is looked at; once accepted, both directions run on.
#[test]
fn requests_pass_while_the_response_is_looked_at() {
    scenario("tcp_response/requests_pass", |w| {
        let origin = w.origin("o1", |mut c| {
            c.read_exactly(4);
            c.send("22");
            c.read_exactly(4);
            c.send("0 ready\n");
            c.read_exactly(6);
            c.send("bye\n").half_close();
            c.wait_end();
        });
        w.proxy(&tcp(
            "",
            "tcp-response inspect-delay 20s\ntcp-response content accept if { res.payload(0,3) -m str 220 }\ntcp-response content reject",
        ));
        let mut c = w.client("fe");
        c.send("one\n");
        origin.wait_line(0, "> 22");
        c.send("two\n").read_exactly(10);
        c.send("three\n").read_to_end();
        c.half_close();
        w.logs(1);
    });
}

/// The server's silence during inspection.
#[test]
fn the_server_times_out_during_inspection() {
    scenario("tcp_response/server_times_out", |w| {
        w.origin("o1", greeting("22"));
        w.proxy(&tcp(
            "",
            "timeout server 300ms\ntcp-response inspect-delay 5s\ntcp-response content reject if { res.len gt 3 }",
        ));
        w.client("fe").read_to_end();
        w.logs(1);
    });
}

/// The client's silence during inspection.
#[test]
fn the_client_times_out_during_inspection() {
    scenario("tcp_response/client_times_out", |w| {
        w.origin("o1", greeting("22"));
        w.proxy(&tcp(
            "timeout client 300ms",
            "tcp-response inspect-delay 5s\ntcp-response content reject if { res.len gt 3 }",
        ));
        w.client("fe").read_to_end();
        w.logs(1);
    });
}

/// A named `defaults` section gives its rules and delay to a backend.
#[test]
fn rules_of_a_named_defaults() {
    scenario("tcp_response/rules_of_a_named_defaults", |w| {
        w.origin("o1", greeting("500 no\n"));
        w.proxy(
            "global
  log 127.0.0.1:${log} local0
defaults base
  mode tcp
  log global
  option tcplog
  timeout connect 10s
  timeout client 30s
  timeout server 30s
frontend fe
  bind 127.0.0.1:${fe}
  default_backend be
defaults checked from base
  tcp-response inspect-delay 5s
  tcp-response content set-log-level notice
backend be from checked
  tcp-response content reject if { res.payload(0,3) -m str 500 }
  server s1 127.0.0.1:${o1}
",
        );
        w.client("fe").read_to_end();
        w.logs(1);
    });
}

/// A response larger than the buffer cannot grow: the rules decide on what there is.
#[test]
fn a_full_buffer() {
    scenario("tcp_response/a_full_buffer", |w| {
        w.origin("o1", |mut c| {
            c.send_quietly(&[b'x'; 100_000]);
            c.half_close();
            c.wait_end();
        });
        w.proxy(&tcp(
            "",
            "tcp-response inspect-delay 20s\ntcp-response content reject if { res.payload(0,60000) -m found }",
        ));
        w.client("fe").read_to_end();
        w.logs(1);
    });
}
