//! Server connections that are a session's own, and how many a server may have (manual: "option prefer-last-server",
//! "max-keep-alive-queue", "max-session-srv-conns", "http-reuse" about NTLM, server "strict-maxconn").
use crate::sections;
use portcullis_e2e::binary::Binary;
use portcullis_e2e::process::{PATIENCE, wait_for};
use portcullis_e2e::{Client, Gate, H2, World, scenario};
use portcullis_wire::h2::frame::{flag, kind};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const ASKS: &[u8] = b"HTTP/1.1 401 No\r\nWWW-Authenticate: NTLM\r\nContent-Length: 2\r\n\r\nno";
const TWO: &str = "balance roundrobin\nserver s2 127.0.0.1:${o2}";

/// Two servers that always answer; `o2` is asked first.
fn two(w: &mut World, frontend: &str, backend: &str) {
    for name in ["o1", "o2"] {
        w.origin(name, |mut c| {
            while c.request().is_some() {
                c.send_quietly(OK);
            }
        });
    }
    w.proxy(&sections(frontend, &format!("{TWO}\n{backend}")));
}

/// Clients that ask one after the other, in rounds.
fn rounds(w: &mut World, clients: usize, rounds: usize) {
    let mut all: Vec<_> = (0..clients).map(|_| w.client("fe")).collect();
    let mut asked = 0;
    for round in 0..rounds {
        for (n, c) in all.iter_mut().enumerate() {
            c.get(&format!("/{n}/{round}"), "").response();
            asked += 1;
            w.logs(asked);
        }
    }
    all.into_iter().for_each(|c| c.close());
}

#[test]
fn prefer_last_server() {
    for (name, backend) in [
        ("never", "http-reuse never\noption prefer-last-server"),
        ("never_without", "http-reuse never"),
        ("safe", "option prefer-last-server"),
        ("close", "http-reuse never\noption prefer-last-server\noption http-server-close"),
        ("hash", "http-reuse never\noption prefer-last-server\nbalance hash path"),
    ] {
        scenario(&format!("own_connections/prefer_last_server_{name}"), |w| {
            two(w, "", backend);
            rounds(w, 1, 4);
        });
    }
    scenario("own_connections/prefer_last_server_of_each", |w| {
        two(w, "", "http-reuse never\noption prefer-last-server");
        rounds(w, 3, 2);
    });
}

/// The connection of a client's last request is not taken for one that goes elsewhere.
#[test]
fn another_destination() {
    for reuse in ["never", "safe", "always"] {
        scenario(&format!("own_connections/another_destination_{reuse}"), |w| {
            for (name, answer) in [("o1", "one"), ("o2", "two")] {
                w.origin(name, move |mut c| {
                    while c.request().is_some() {
                        let head = format!("HTTP/1.1 200 OK\r\nwho: {answer}\r\nContent-Length: 0\r\n\r\n");
                        c.send_quietly(head.as_bytes());
                    }
                });
            }
            w.proxy(&format!(
                "frontend fe
  bind 127.0.0.1:${{fe}}
  http-request set-dst str(127.0.0.1)
  http-request set-dst-port int(${{o1}}) if {{ path /0/0 }}
  http-request set-dst-port int(${{o2}}) unless {{ path /0/0 }}
  default_backend be
backend be
  http-reuse {reuse}
  server s 0.0.0.0:0
"
            ));
            rounds(w, 1, 2);
            w.forget_logs();
        });
    }
}

/// A server that a request would have to wait for is not preferred.
#[test]
fn max_keep_alive_queue() {
    scenario("own_connections/max_keep_alive_queue", |w| {
        let gate = Gate::default();
        let wait = gate.clone();
        let origin = w.origin("o2", move |mut c| {
            while let Some(request) = c.request() {
                if request.start_line().contains("slow") {
                    wait.wait();
                }
                c.send_quietly(OK);
            }
        });
        w.ok("o1");
        let backend = "balance roundrobin\nserver s2 127.0.0.1:${o2} maxconn 1\nhttp-reuse never\noption prefer-last-server\n\
                       max-keep-alive-queue 0\nuse-server s2 if { path_beg /to2 }";
        w.proxy(&sections("", backend));
        let mut a = w.client("fe");
        a.get("/to2", "").response();
        w.logs(1);
        let mut b = w.client("fe");
        b.get("/to2/slow", "");
        origin.wait_line(1, "< GET /to2/slow");
        a.get("/free", "").response();
        w.logs(2);
        gate.open();
        b.response();
        w.logs(3);
        a.get("/free/again", "").response();
        w.logs(4);
        a.close();
        b.close();
    });
}

#[test]
fn max_session_srv_conns() {
    for (name, most) in
        [("one", "max-session-srv-conns 1"), ("none", "max-session-srv-conns 0"), ("default", "")]
    {
        scenario(&format!("own_connections/max_session_srv_conns_{name}"), |w| {
            two(w, most, "http-reuse never");
            rounds(w, 1, 4);
        });
    }
}

/// Streams of one connection have its server connections together: those that run side by side and those that follow.
#[test]
fn streams_of_one_connection() {
    for (name, front, server, backend) in [
        ("never", "", "", "http-reuse never"),
        ("never_one", "max-session-srv-conns 1", "", "http-reuse never"),
        ("never_http2", "", "proto h2", "http-reuse never"),
        ("safe", "", "", "http-reuse safe"),
    ] {
        scenario(&format!("own_connections/streams_of_one_connection_{name}"), |w| {
            let gate = Gate::default();
            let wait = gate.clone();
            let origin = match server {
                "" => w.origin("o1", move |mut c| {
                    while let Some(request) = c.request() {
                        if request.start_line().contains("/held") {
                            wait.wait();
                        }
                        c.send_quietly(OK);
                    }
                }),
                _ => w.origin("o1", |c| {
                    H2::serve(c, &[]).serve_all(|h, stream, path| {
                        if !path.starts_with("/held") {
                            h.respond(stream, "200", b"ok");
                        }
                    });
                }),
            };
            w.proxy(&format!(
                "frontend fe\n  bind 127.0.0.1:${{fe}} proto h2\n  {front}\n  default_backend be\n\
                 backend be\n  {backend}\n  server s1 127.0.0.1:${{o1}} {server}\n"
            ));
            let quiet = |w: &mut World| H2::begin(Client::tcp(w.port("fe"), Default::default()), &[]);
            let mut c = quiet(w);
            c.get(1, "/1", &[]).answer(1).get(3, "/2", &[]).answer(3);
            w.note(format!("one after the other: {}", origin.connections()));
            c.get(5, "/held/1", &[]).get(7, "/held/2", &[]);
            if server.is_empty() {
                origin.wait_connections(2);
                gate.open();
                let mut left = 2;
                c.until(|f| {
                    left -=
                        u32::from(f.has(flag::END_STREAM) && matches!(f.kind, kind::DATA | kind::HEADERS));
                    left == 0
                });
            } else {
                origin.wait_line(0, "< 7 HEADERS");
            }
            w.note(format!("side by side: {}", origin.connections()));
            for id in [9, 11] {
                c.get(id, "/again", &[]).answer(id);
            }
            w.note(format!("again: {}", origin.connections()));
            let mut other = quiet(w);
            other.get(1, "/other", &[]).answer(1);
            w.note(format!("another client: {}", origin.connections()));
            c.close();
            other.close();
            w.forget_origins();
            w.forget_logs();
        });
    }
}

/// A server that asks for NTLM authenticates the connection: it is nobody else's from then on, and the session stays.
#[test]
fn ntlm() {
    for (name, backend) in [("safe", ""), ("always", "http-reuse always")] {
        scenario(&format!("own_connections/ntlm_{name}"), |w| {
            w.origin("o2", |mut c| {
                let mut first = c.number == 0;
                while c.request().is_some() {
                    c.send_quietly(if std::mem::take(&mut first) { ASKS } else { OK });
                }
            });
            w.ok("o1");
            w.proxy(&sections("", &format!("{TWO}\n{backend}")));
            rounds(w, 2, 3);
        });
    }
}

/// Idle connections make way (3.5 counts that as a retry); those of sessions do not.
#[test]
fn strict_maxconn() {
    let mut w = World::new(Binary::under_test());
    let origin = w.origin("o1", |mut c| {
        while c.request().is_some() {
            c.send_quietly(OK);
        }
        c.transcript().add("over");
    });
    w.proxy(&sections("", "default-server strict-maxconn maxconn 1"));
    let mut clients: Vec<_> = (0..3).map(|_| w.client("fe")).collect();
    for (n, c) in clients.iter_mut().enumerate() {
        assert_eq!(c.get(&format!("/{n}"), "").response().status(), 200);
        if n > 0 {
            origin.wait_line(n - 1, "over");
        }
    }
    assert_eq!(origin.connections(), 3);
    clients.into_iter().for_each(|c| c.close());
    scenario("own_connections/strict_maxconn_private", |w| {
        w.ok("o1");
        w.proxy(&sections("", "http-reuse never\ndefault-server strict-maxconn maxconn 1"));
        rounds(w, 2, 2);
    });
}

/// `maxqueue`: who finds the queue full goes elsewhere, if that is allowed.
#[test]
fn maxqueue() {
    for (name, backend) in [
        ("persistent", "use-server s2 if TRUE"),
        ("redispatched", "use-server s2 if TRUE\noption redispatch"),
        ("hashed", "balance hash str(x)\nhash-type map-based\noption redispatch"),
    ] {
        scenario(&format!("own_connections/maxqueue_{name}"), |w| {
            let gate = Gate::default();
            for server in ["o1", "o2"] {
                let wait = gate.clone();
                w.origin(server, move |mut c| {
                    while let Some(request) = c.request() {
                        if request.start_line().contains("slow") {
                            wait.wait();
                        }
                        c.send_quietly(OK);
                    }
                });
            }
            let cli = "global\n  nbthread 1\n  stats socket ${dir}/cli level admin\ndefaults\n  mode http\n  timeout connect 10s\n  \
                       timeout client 30s\n  timeout server 30s\n";
            let servers =
                "balance roundrobin\ndefault-server maxconn 1 maxqueue 1\nserver s2 127.0.0.1:${o2}";
            w.proxy(&format!("{cli}{}", sections("", &format!("{servers}\n{backend}"))));
            let queued = |w: &World, n: &str| {
                let said = crate::runtime_api::ask(w, "show stat");
                said.lines().any(|l| l.starts_with("be,s") && l.split(',').nth(2) == Some(n))
            };
            let mut first = w.client("fe");
            first.get("/slow/0", "");
            wait_for(PATIENCE, || {
                let said = crate::runtime_api::ask(w, "show stat");
                said.lines().any(|l| l.starts_with("be,s") && l.split(',').nth(4) == Some("1")).then_some(())
            });
            let mut second = w.client("fe");
            second.get("/1", "");
            wait_for(PATIENCE, || queued(w, "1").then_some(()));
            let mut third = w.client("fe");
            third.get("/2", "Connection: close\r\n").read_to_end();
            gate.open();
            first.response();
            second.response();
            first.close();
            second.close();
        });
    }
}
