//! Which server connection a request gets, and which are kept (manual: http-reuse, pool-*, max-reuse).
use crate::sections;
use portcullis_e2e::binary::Binary;
use portcullis_e2e::process::{PATIENCE, wait_for};
use portcullis_e2e::{Client, End, Gate, World, scenario};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Clients whose requests are with the server at the same time; each gets its answer, one after the other.
fn at_once(w: &mut World, backend: &str, clients: usize, then: impl Fn(&mut World, Vec<Client>)) {
    let gates: Vec<Gate> = (0..clients).map(|_| Gate::default()).collect();
    let wait = gates.clone();
    let origin = w.origin("o1", move |mut c| {
        while c.request().is_some() {
            if let Some(gate) = wait.get(c.number) {
                gate.wait();
            }
            c.send_quietly(OK);
        }
    });
    w.proxy(&sections("", backend));
    let mut all = Vec::new();
    for n in 0..clients {
        let mut c = w.client("fe");
        c.get(&format!("/{n}"), "");
        origin.wait_line(n, "< GET");
        all.push(c);
    }
    for (n, c) in all.iter_mut().enumerate() {
        gates[n].open();
        c.response();
        w.logs(n + 1);
    }
    then(w, all);
}

/// Those that rest longest go first, the unproved before the proved.
#[test]
fn which_of_several() {
    for mode in ["safe", "aggressive", "always"] {
        scenario(&format!("reuse/which_of_several_{mode}"), |w| {
            at_once(w, &format!("http-reuse {mode}"), 3, |w, all| {
                let mut c = w.client("fe");
                for n in 0..4 {
                    c.get(&format!("/x{n}"), "").response();
                    w.logs(4 + n);
                }
                c.close();
                all.into_iter().for_each(|c| c.close());
            });
        });
    }
}

/// No more are kept than were in use at the same time, and `pool-low-conn` more.
#[test]
fn no_more_than_needed() {
    for (name, backend) in [("plain", ""), ("low_conn", "default-server pool-low-conn 2")] {
        scenario(&format!("reuse/no_more_than_needed_{name}"), |w| {
            let origin = w.origin("o1", |mut c| {
                while c.request().is_some() {
                    c.send_quietly(OK);
                }
                if c.end() == Some(End::Rst) {
                    c.transcript().add("reset");
                }
            });
            w.proxy(&sections("", backend));
            for n in 0..3 {
                let mut c = w.client("fe");
                c.get(&format!("/{n}"), "Connection: close\r\n").read_to_end();
                w.logs(n + 1);
            }
            if name == "plain" {
                (1..3).for_each(|n| origin.wait_line(n, "reset"));
            }
        });
    }
}

#[test]
fn pool_max_conn() {
    scenario("reuse/pool_max_conn", |w| {
        at_once(w, "default-server pool-max-conn 1\nhttp-reuse always", 3, |w, all| {
            let mut c = w.client("fe");
            c.get("/x", "").response();
            c.close();
            all.into_iter().for_each(|c| c.close());
            w.logs(4);
        });
    });
}

#[test]
fn purge_delay_zero_keeps_nothing() {
    scenario("reuse/purge_delay_zero_keeps_nothing", |w| {
        w.ok("o1");
        w.proxy(&sections("", "default-server pool-purge-delay 0\nhttp-reuse always"));
        let mut c = w.client("fe");
        c.get("/1", "").response();
        c.get("/2", "").response();
        c.close();
        w.logs(2);
    });
}

#[test]
fn max_reuse_zero() {
    scenario("reuse/max_reuse_zero", |w| {
        w.ok("o1");
        w.proxy(&sections("", "default-server max-reuse 0"));
        let mut c = w.client("fe");
        c.get("/1", "").response();
        c.get("/2", "").response();
        c.close();
        w.logs(2);
    });
}

/// A server's `Connection: close`, a rule's, and a request without keep-alive.
#[test]
fn connection_fields_of_rules() {
    for (name, frontend, backend) in [
        ("request", "", "http-request set-header Connection close"),
        ("request_other", "", "http-request set-header Connection \"close, x\""),
        ("response", "", "http-response set-header Connection close"),
        ("after_response", "http-after-response set-header Connection close", ""),
        ("return", "http-request return status 200 hdr Connection close", ""),
    ] {
        scenario(&format!("reuse/connection_field_of_a_rule_{name}"), |w| {
            w.ok("o1");
            w.proxy(&sections(frontend, backend));
            let mut c = w.client("fe");
            c.get("/1", "").response();
            if name.starts_with("request") {
                c.get("/2", "").response();
                c.close();
                w.logs(2);
            } else {
                c.wait_end();
                c.close();
                w.logs(1);
            }
        });
    }
}

/// What is answered before its body has come: the body is read, then the next request.
#[test]
fn answered_before_the_body() {
    for (name, backend) in [
        ("deny", "http-request deny if { path /x }"),
        ("return", "http-request return status 200 if { path /x }"),
    ] {
        scenario(&format!("reuse/answered_before_the_body_{name}"), |w| {
            w.ok("o1");
            w.proxy(&sections("", backend));
            let mut c = w.client("fe");
            c.send("POST /x HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\n").response();
            w.logs(1);
            c.send("bodyGET /2 HTTP/1.1\r\nHost: test\r\n\r\n").response();
            c.send("POST /x HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n").response();
            c.send("ab\r\n0\r\n\r\nGET /3 HTTP/1.1\r\nHost: test\r\n\r\n").response();
            c.close();
            w.logs(4);
        });
    }
}

/// The server answers early; the body goes on to it, and the connection is used again.
#[test]
fn answered_early_by_the_server() {
    scenario("reuse/answered_early_by_the_server", |w| {
        w.origin("o1", |mut c| {
            c.head();
            c.send(OK);
            c.read_exactly(10);
            c.answer_all(OK);
        });
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.send("POST /1 HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n").response();
        c.send("0123456789");
        c.get("/2", "").response();
        c.close();
        w.logs(2);
    });
}

/// Nobody has to close anything for that.
#[test]
fn idle_connections_are_purged() {
    scenario("reuse/idle_connections_are_purged", |w| {
        let (ended, end) = std::sync::mpsc::channel();
        w.origin("o1", move |mut c| {
            c.request();
            c.send_quietly(OK);
            c.fill();
            let _ = ended.send(c.end().is_some());
        });
        w.proxy(&sections("", "default-server pool-purge-delay 100\nhttp-reuse always"));
        w.client("fe").get("/", "").response();
        let purged = end.recv_timeout(portcullis_e2e::process::PATIENCE);
        w.note(format!("purged: {}", purged == Ok(true)));
    });
}

/// A pool of two workers: how many server connections clients need that come one after the other and stay.
fn of_two_workers(global: &str, server: &str) -> usize {
    let mut w = World::new(Binary::under_test());
    let origin = w.origin("o1", |c| c.answer_all(OK));
    w.proxy(&format!(
        "global\n nbthread 2\n {global}\ndefaults\n mode http\n timeout connect 10s\n timeout client 30s\n timeout server \
         30s\nfrontend fe\n bind 127.0.0.1:${{fe}}\n default_backend be\nbackend be\n http-reuse always\n server s1 \
         127.0.0.1:${{o1}} {server}\n"
    ));
    let mut clients = Vec::new();
    for n in 0..8 {
        let mut c = w.client("fe");
        c.get(&format!("/{n}"), "").response();
        clients.push(c);
    }
    origin.connections()
}

/// Idle connections go where they are wanted (`tune.idle-pool.shared`), unless there are few (`pool-low-conn`).
#[test]
fn shared_by_workers() {
    assert_eq!(of_two_workers("", ""), 1);
    assert_eq!(of_two_workers("tune.idle-pool.shared full", ""), 1);
    assert_eq!(of_two_workers("tune.idle-pool.shared off", ""), 2);
    assert_eq!(of_two_workers("", "pool-low-conn 2"), 2);
}

/// `check-reuse-pool`: checks go over the connection that a client's request left, and leave it to others.
#[test]
fn checks_over_idle_connections() {
    for (server, reuses) in [
        ("check-reuse-pool", true),
        ("check-reuse-pool pool-conn-name str(a) check-pool-conn-name a", true),
        ("check-reuse-pool pool-conn-name str(a)", false),
        ("check-reuse-pool port ${o1}", false),
        ("no-check-reuse-pool", false),
    ] {
        let mut w = World::new(Binary::under_test());
        let origin = w.origin("o1", |c| c.answer_all(OK));
        w.proxy(&sections(
            "",
            &format!(
                "http-reuse always\noption httpchk\nhttp-check send meth GET uri /check ver HTTP/1.1 hdr host h\n\
                 default-server check inter 50ms {server}"
            ),
        ));
        let mut c = w.client("fe");
        c.get("/client", "").response();
        let of = |path: &str| {
            let begin = format!("< GET {path} ");
            let all = origin.transcripts();
            all.iter().map(|l| l.iter().filter(|l| l.starts_with(&begin)).count()).collect::<Vec<_>>()
        };
        let mine = of("/client").iter().position(|n| *n > 0).expect("the request's connection");
        let before: usize = of("/check").iter().sum();
        let checked = || (of("/check").iter().sum::<usize>() >= before + 3).then_some(());
        assert!(wait_for(PATIENCE, checked).is_some(), "no checks");
        assert_eq!(of("/check")[mine] >= 2, reuses, "{server}: {:?}", origin.transcripts());
        c.get("/client", "").response();
        assert_eq!(of("/client")[mine], 2, "{server}");
    }
}
