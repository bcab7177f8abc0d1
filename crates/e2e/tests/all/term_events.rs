//! `term_events`: how each layer of a stream has ended, as HAProxy 3.5 was recorded to print it. What depends on who comes
//! first on the machine (a peer that closes while we do) is not here.
use portcullis_e2e::{Gate, OriginConn, World, scenario};

/// Starts it in this mode, with lines of its only proxy and options of its only server, plays, and has the line logged.
fn events(name: &str, mode: &str, lines: &str, play: impl Fn(&mut World, &dyn Fn(&mut World))) {
    scenario(&format!("term_events/{name}"), |w| {
        play(w, &|w| {
            w.proxy(&format!(
                "global
  log 127.0.0.1:${{log}} local0
  nbthread 1
defaults
  log global
  mode {mode}
  timeout connect 10s
  timeout client 30s
  timeout server 30s
  retries 0
listen fe
  bind 127.0.0.1:${{fe}}
  log-format \"%ts %[term_events]\"
{}  server s1 127.0.0.1:${{o1}}
",
                crate::indent(lines)
            ));
        });
        w.logs(1);
    });
}

macro_rules! events {
    ($($name:ident: $mode:literal $lines:literal, $play:expr;)*) => {
        $(#[test]
        fn $name() {
            events(stringify!($name), $mode, $lines, $play);
        })*
    };
}

/// Takes the request and says nothing.
fn silent(mut c: OriginConn) {
    c.request();
    c.wait_end();
}

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";
const HALF_A_BODY: &str = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhalf!";
const PART: &str = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf!";
const CLOSE: &str = "Connection: close\r\n";

/// What the server does behind the request's head; then the client reads whatever comes.
fn answered(w: &mut World, start: &dyn Fn(&mut World), server: fn(OriginConn)) {
    w.origin("o1", server);
    start(w);
    w.client("fe").get("/", CLOSE).read_to_end();
}

/// The server says this behind the request's head and, when nothing moves any more, leaves.
fn leaves(w: &mut World, start: &dyn Fn(&mut World), says: &'static str, leave: fn(OriginConn)) {
    let gate = Gate::default();
    let opens = gate.clone();
    w.origin("o1", move |mut c| {
        c.request();
        c.send(says);
        gate.wait();
        leave(c);
    });
    start(w);
    let mut c = w.client("fe");
    c.get("/", CLOSE);
    w.settle();
    opens.open();
    c.read_to_end();
}

/// The client sends this and, when nothing moves any more, leaves.
fn left(w: &mut World, start: &dyn Fn(&mut World), bytes: &str, leave: fn(portcullis_e2e::Client)) {
    w.origin("o1", silent);
    start(w);
    let mut c = w.client("fe");
    c.send(bytes);
    w.settle();
    leave(c);
}

fn finishes(mut c: portcullis_e2e::Client) {
    c.half_close().wait_end();
}

fn resets(c: portcullis_e2e::Client) {
    c.reset();
}

events! {
    kept: "http" "", |w, start| {
        w.ok("o1");
        start(w);
        let mut c = w.client("fe");
        c.get("/", "").response();
        w.logs(1);
    };
    closed_by_the_client: "http" "", |w, start| {
        w.ok("o1");
        start(w);
        w.client("fe").get("/", CLOSE).read_to_end();
    };
    until_the_end: "http" "", |w, start| leaves(w, start, "HTTP/1.0 200 OK\r\n\r\nabc", drop);
    server_is_silent: "http" "timeout server 100ms", |w, start| answered(w, start, silent);
    server_finishes: "http" "", |w, start| leaves(w, start, "", drop);
    server_resets: "http" "", |w, start| leaves(w, start, "", OriginConn::reset);
    server_finishes_in_the_head: "http" "", |w, start| leaves(w, start, "HTTP/1.1 20", drop);
    server_says_nonsense: "http" "", |w, start| answered(w, start, |mut c| {
        c.request();
        c.send("nonsense\r\n\r\n");
        c.wait_end();
    });
    server_finishes_in_the_body: "http" "", |w, start| leaves(w, start, PART, drop);
    server_is_silent_in_the_body: "http" "timeout server 100ms", |w, start| answered(w, start, |mut c| {
        c.request();
        c.send(PART);
        c.wait_end();
    });
    refused_connection: "http" "", |w, start| {
        start(w);
        w.client("fe").get("/", CLOSE).read_to_end();
    };
    no_connection: "http" "timeout connect 100ms", |w, start| {
        let full = w.full_listener("o1");
        start(w);
        w.client("fe").get("/", CLOSE).read_to_end();
        w.logs(1);
        drop(full);
    };
    denied: "http" "http-request deny", |w, start| {
        start(w);
        w.client("fe").get("/", CLOSE).read_to_end();
    };
    rejected: "http" "http-request reject", |w, start| {
        start(w);
        w.client("fe").get("/", "").wait_end();
    };
    applet: "http" "stats enable\nstats uri /stats\nstats hide-version", |w, start| {
        start(w);
        w.client("fe").get("/stats?quiet;csv", CLOSE).wait_end();
    };
    rules_see_no_end: "http" "http-request return status 200 hdr events %[term_events]", |w, start| {
        start(w);
        w.client("fe").get("/", CLOSE).read_to_end();
    };
    client_finishes: "http" "", |w, start| left(w, start, GET, finishes);
    client_resets: "http" "", |w, start| left(w, start, GET, resets);
    client_finishes_in_the_body: "http" "", |w, start| left(w, start, HALF_A_BODY, finishes);
    client_resets_in_the_body: "http" "", |w, start| left(w, start, HALF_A_BODY, resets);
    client_is_silent_in_the_body: "http" "timeout client 100ms", |w, start| {
        w.origin("o1", silent);
        start(w);
        w.client("fe").send(HALF_A_BODY).wait_end();
        w.logs(1);
        // whether the server gets a FIN or a reset is another matter
        w.forget_origins();
    };
    client_says_nothing: "http" "timeout client 100ms", |w, start| {
        start(w);
        w.client("fe").read_to_end();
    };
    client_leaves_at_once: "http" "", |w, start| left(w, start, "", finishes);
    client_finishes_in_the_head: "http" "", |w, start| left(w, start, "GET / HT", finishes);
    client_resets_in_the_head: "http" "", |w, start| left(w, start, "GET / HT", resets);
    client_says_nonsense: "http" "", |w, start| {
        start(w);
        w.client("fe").send("non sense\r\n\r\n").read_to_end();
    };
    stream_is_cancelled: "http" "", |w, start| {
        w.origin("o1", silent);
        start(w);
        let mut c = w.h2_client("fe", &[]);
        c.get(1, "/", &[]);
        w.settle();
        c.reset(1, 8);
        w.logs(1);
    };
    stream_is_cancelled_in_the_body: "http" "", |w, start| {
        w.origin("o1", silent);
        start(w);
        let mut c = w.h2_client("fe", &[]);
        c.post(1, "/", &[]).data(1, b"half!", false);
        w.settle();
        c.reset(1, 8);
        w.logs(1);
    };
    stream_is_refused: "http" "http-request deny", |w, start| {
        start(w);
        let mut c = w.h2_client("fe", &[]);
        c.get(1, "/", &[]).answer(1);
        w.logs(1);
    };
    upgraded_and_the_client_first: "http" "", |w, start| {
        w.origin("o1", |mut c| {
            c.request();
            c.send("HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
            c.wait_end();
        });
        start(w);
        let mut c = w.client("fe");
        c.get("/", "Connection: upgrade\r\nUpgrade: x\r\n").head();
        c.half_close().wait_end();
    };
    upgraded_and_the_server_first: "http" "", |w, start| {
        w.origin("o1", |mut c| {
            c.request();
            c.send("HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
            c.read_exactly(1);
            c.half_close().wait_end();
        });
        start(w);
        let mut c = w.client("fe");
        c.get("/", "Connection: upgrade\r\nUpgrade: x\r\n").head();
        c.send("x").wait_end();
    };
    bytes_and_the_client_first: "tcp" "", |w, start| {
        w.origin("o1", |mut c| {
            c.read_exactly(1);
            c.send("y");
            c.wait_end();
        });
        start(w);
        let mut c = w.client("fe");
        c.send("x").read_exactly(1);
        c.half_close().wait_end();
    };
    bytes_and_the_server_first: "tcp" "", |w, start| {
        w.origin("o1", |mut c| {
            c.read_exactly(1);
            c.half_close().wait_end();
        });
        start(w);
        w.client("fe").send("x").wait_end();
    };
    bytes_and_the_client_resets: "tcp" "", |w, start| {
        w.origin("o1", |mut c| {
            c.read_exactly(1);
            c.wait_end();
        });
        start(w);
        let mut c = w.client("fe");
        c.send("x");
        w.settle();
        c.reset();
    };
    bytes_and_the_server_resets: "tcp" "", |w, start| {
        w.origin("o1", |mut c| {
            c.read_exactly(1);
            c.reset();
        });
        start(w);
        w.client("fe").send("x").wait_end();
    };
    bytes_and_a_refused_connection: "tcp" "", |w, start| {
        start(w);
        w.client("fe").send("x").wait_end();
    };
    bytes_that_are_rejected: "tcp" "tcp-request content reject", |w, start| {
        start(w);
        w.client("fe").send("x").wait_end();
    };
}
