//! What is announced to HTTP/2 clients and asked of them (manual section 3.2, `tune.h2.*`), and other people's clients.
use portcullis_e2e::h2::{block, frame, start};
use portcullis_e2e::process::{PATIENCE, wait_for};
use portcullis_e2e::{World, scenario};
use portcullis_wire::h2::frame::kind;
use std::process::Command;

fn config(global: &str, frontend: &str) -> String {
    format!(
        "global\n  log 127.0.0.1:${{log}} local0\n  nbthread 1\n{}defaults\n  mode http\n  log global\n  option httplog\n\
         \x20 timeout connect 10s\n  timeout client 30s\n  timeout server 30s\n\
         frontend fe\n  bind 127.0.0.1:${{fe}} proto h2\n  bind 127.0.0.1:${{both}}\n{}  default_backend be\n\
         backend be\n  server s1 127.0.0.1:${{o1}}\n",
        crate::indent(global),
        crate::indent(frontend)
    )
}

#[test]
fn settings() {
    for (name, global) in [
        ("window", "tune.h2.fe.initial-window-size 100000"),
        ("common", "tune.h2.initial-window-size 30000\ntune.h2.max-concurrent-streams 7"),
        ("streams", "tune.h2.max-concurrent-streams 7\ntune.h2.fe.max-concurrent-streams 9 rq-load ignore"),
        ("no_websocket", "h2-workaround-bogus-websocket-clients"),
        ("table", "tune.h2.header-table-size 8192"),
        ("bufsize", "tune.bufsize 32768"),
    ] {
        scenario(&format!("http2_limits/settings_{name}"), |w| {
            w.ok("o1");
            w.proxy(&config(global, ""));
            let mut c = w.h2_client("fe", &[]);
            c.show_settings().get(1, "/", &[]).answer(1);
            c.close();
        });
    }
}

#[test]
fn streams_in_all() {
    scenario("http2_limits/streams_in_all", |w| {
        w.ok("o1");
        w.proxy(&config("tune.h2.fe.max-total-streams 2", ""));
        let mut c = w.h2_client("fe", &[]);
        c.get(1, "/", &[]).answer(1);
        c.get(3, "/", &[]).rest();
    });
}

/// `tune.glitches.kill.cpu-usage`: too many odd things end a connection only where they hurt; its end is announced all the same.
#[test]
fn a_bad_connection_of_an_idle_process_stays() {
    for (name, usage) in [("busy", "0"), ("idle", "100")] {
        scenario(&format!("http2_limits/glitches_kill_{name}"), |w| {
            w.ok("o1");
            let global = format!("tune.h2.fe.glitches-threshold 8\ntune.glitches.kill.cpu-usage {usage}");
            w.proxy(&config(&format!("{global}\ntune.h2.log-errors none"), "no log"));
            let mut c = portcullis_e2e::H2::begin(quiet_client(w), &[]);
            let mut ended = None;
            for id in 0..20 {
                c.get(2 * id + 1, "/", &[("connection", "close")]).answer(2 * id + 1);
                if c.conn().end().is_some() {
                    ended.get_or_insert(id);
                }
            }
            w.note(format!("ended: {}", ended.is_some()));
            w.forget_origins();
        });
    }
}

/// `idle-ping` of a `bind` line: a client that answers stays, one that does not is gone when the next is due.
#[test]
fn idle_clients_are_pinged() {
    scenario("http2_limits/idle_clients_are_pinged", |w| {
        w.ok("o1");
        let text = config("", "no log").replace("${fe} proto h2", "${fe} proto h2 idle-ping 100ms");
        w.proxy(&text);
        let mut c = portcullis_e2e::H2::begin(quiet_client(w), &[]);
        c.get(1, "/", &[]).answer(1);
        for _ in 0..3 {
            let ping =
                std::iter::from_fn(|| c.next_frame()).find(|(f, _)| f.kind == kind::PING && f.flags == 0);
            let (_, payload) = ping.expect("a ping");
            c.send(frame(kind::PING, 1, 0, &payload));
        }
        w.note("three pings were answered");
        let pings = std::iter::from_fn(|| c.next_frame()).filter(|(f, _)| f.kind == kind::PING).count();
        w.note(format!("closed behind {pings} without an answer"));
        w.forget_origins();
    });
}

/// `tune.streams-elasticity`: what connections are offered, one after the other, and again when some have ended.
#[test]
fn streams_are_dealt_out() {
    for (name, maxconn, percent, most) in
        [("few", 20, 400, 5), ("many", 40, 400, 50), ("none", 10, 100, 100), ("all", 10, 20_000, 100)]
    {
        scenario(&format!("http2_limits/streams_are_dealt_out_{name}"), |w| {
            let global = format!(
                "maxconn {maxconn}\ntune.streams-elasticity {percent}\n\
                 tune.h2.fe.max-concurrent-streams {most} rq-load ignore"
            );
            w.proxy(&config(&global, "no log"));
            let mut open: Vec<_> = (0..10).map(|_| offered(w)).collect();
            w.note(format!("{:?}", open.iter().map(|o| o.0).collect::<Vec<_>>()));
            for (_, c) in open.drain(..5) {
                c.close();
            }
            w.settle();
            let more: Vec<_> = (0..5).map(|_| offered(w)).collect();
            w.note(format!("{:?}", more.iter().map(|o| o.0).collect::<Vec<_>>()));
        });
    }
}

/// How many streams a new connection is offered.
fn offered(w: &mut World) -> (Option<u32>, portcullis_e2e::H2) {
    let mut c = portcullis_e2e::H2::begin(quiet_client(w), &[]);
    let mut n = None;
    while n.is_none() {
        let (header, payload) = c.next_frame().expect("settings");
        assert_eq!(header.kind, kind::SETTINGS);
        let find = |s: &&[u8]| s.starts_with(&[0, 3]);
        n = payload.chunks(6).find(find).map(|s| u32::from_be_bytes([s[2], s[3], s[4], s[5]]));
    }
    (n, c)
}

/// `rq-load`: a busy worker offers new connections fewer streams, never fewer than `min`.
#[test]
fn a_busy_worker_offers_fewer_streams() {
    let mut w = World::new(portcullis_e2e::binary::Binary::under_test());
    w.origin("o1", |mut c| {
        while portcullis_e2e::message::read_request(&mut c).is_some() {
            c.send_quietly(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    w.proxy(&config("tune.h2.fe.max-concurrent-streams 100 rq-load 2 min 7", "no log"));
    let offered = |w: &mut World| {
        let (n, c) = offered(w);
        c.close();
        n
    };
    assert_eq!(offered(&mut w), Some(100));
    let url = format!("http://127.0.0.1:{}/", w.port("fe"));
    let mut load = Command::new("h2load")
        .args(["-D", "20", "-c", "20", "-m", "100", &url])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let fewer = wait_for(PATIENCE, || (offered(&mut w) == Some(7)).then_some(()));
    load.kill().unwrap();
    load.wait().unwrap();
    assert!(fewer.is_some());
}

#[test]
fn which_errors_are_logged() {
    for level in ["none", "connection", "stream"] {
        scenario(&format!("http2_limits/log_errors_{level}"), |w| {
            w.ok("o1");
            w.proxy(&config(&format!("tune.h2.log-errors {level}"), ""));
            let mut c = w.h2_client("fe", &[]);
            c.get(1, "/", &[("connection", "close")]).answer(1);
            c.get(3, "/", &[]).answer(3);
            c.send(frame(kind::PING, 0, 0, &[0; 7])).rest();
            w.settle();
            w.logs(match level {
                "none" => 1,
                "connection" => 2,
                _ => 3,
            });
        });
    }
}

#[test]
fn floods_end_their_connection_and_nothing_else() {
    scenario("http2_limits/floods_end_their_connection_and_nothing_else", |w| {
        if w.binary.is_haproxy() {
            // it has no such limit: what is noted below is ours
            (0..3).for_each(|_| w.note("ended"));
            return w.note("200");
        }
        w.ok("o1");
        w.proxy(&config("tune.h2.log-errors none", "no log"));
        let get = block(&start("GET", "/"));
        let reset = |id| frame(kind::RST_STREAM, 0, id, &[0, 0, 0, 8]);
        let attacks: [&dyn Fn(u32) -> Vec<u8>; 3] = [
            &|id| [frame(kind::HEADERS, 5, id, &get), reset(id)].concat(),
            &|id| [frame(kind::HEADERS, 5, id, &get), frame(kind::WINDOW_UPDATE, 0, id, &[0; 4])].concat(),
            &|_| frame(kind::PING, 0, 0, &[0; 8]).repeat(10),
        ];
        for attack in attacks {
            let mut c = portcullis_e2e::H2::begin(quiet_client(w), &[]);
            let all: Vec<u8> = (0..2000).flat_map(|n| attack(2 * n + 1)).collect();
            c.send(all);
            let mut last = None;
            while let Some((header, payload)) = c.next_frame() {
                if header.kind == kind::GOAWAY {
                    last = payload.get(7).copied();
                }
            }
            // what it says may be lost where more was on its way
            assert!(last.is_none_or(|reason| reason == 11));
            w.note("ended");
        }
        let mut c = portcullis_e2e::H2::begin(quiet_client(w), &[]);
        c.get(1, "/", &[]).answer(1);
        w.note("200");
        w.forget_origins();
    });
}

/// A client that does not read has 256 KiB made for it at most; what it has said meanwhile is looked at once it reads.
#[test]
fn a_late_reader_is_heard() {
    const STREAMS: u32 = 60;
    let mut w = World::new(portcullis_e2e::binary::Binary::under_test());
    let field = "x".repeat(12_000);
    w.origin("o1", move |mut c| {
        while portcullis_e2e::message::read_request(&mut c).is_some() {
            c.send_quietly(
                format!("HTTP/1.1 200 OK\r\nX-Long: {field}\r\nContent-Length: 0\r\n\r\n").as_bytes(),
            );
        }
    });
    w.proxy(&config("tune.sndbuf.client 16384", "no log"));
    let mut c = portcullis_e2e::H2::begin(quiet_client(&mut w), &[]);
    let get = block(&start("GET", "/"));
    c.send((0..STREAMS).flat_map(|n| frame(kind::HEADERS, 5, 2 * n + 1, &get)).collect::<Vec<u8>>());
    // all is answered, and waits
    w.settle();
    c.send(frame(kind::PING, 0, 0, b"portculs"));
    w.settle();
    let (mut answers, mut heard) = (0, false);
    while answers < STREAMS || !heard {
        let (header, _) = c.next_frame().expect("the answers, and that of the ping");
        answers += u32::from(header.kind == kind::HEADERS);
        heard |= header.kind == kind::PING;
    }
}

/// A client whose story is not told.
fn quiet_client(w: &mut World) -> portcullis_e2e::Client {
    portcullis_e2e::Client::tcp(w.port("fe"), Default::default())
}

/// Runs a program and gives what it says.
fn run(program: &str, args: &[&str]) -> String {
    let out = Command::new(program)
        .args(args)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}"));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

#[test]
fn other_people_s_clients() {
    scenario("http2_limits/other_people_s_clients", |w| {
        // how many connections there are is by chance
        w.origin("o1", |mut c| {
            while portcullis_e2e::message::read_request(&mut c).is_some() {
                c.send_quietly(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            }
        });
        crate::tls::own(w, "a", false, "DNS:localhost");
        w.proxy(&config(
            "",
            "bind 127.0.0.1:${tls} ssl crt ${dir}/a.pem alpn h2,http/1.1\nbind 127.0.0.1:${default} ssl crt ${dir}/a.pem\nbind 127.0.0.1:${old} ssl crt ${dir}/a.pem alpn http/1.1",
        ));
        for port in ["fe", "both", "tls"] {
            let scheme = if port == "tls" { "https" } else { "http" };
            let url = format!("{scheme}://127.0.0.1:{}/", w.port(port));
            let said = run("h2load", &["-n", "400", "-c", "4", "-m", "20", &url]);
            let line = said.lines().find(|l| l.starts_with("requests:")).unwrap_or("nothing");
            w.note(format!("h2load {port}: {line}"));
            let said = run("nghttp", &["-n", "-s", "--no-verify-peer", &url]);
            let fine = said.lines().any(|l| l.contains(" 200 "));
            w.note(format!("nghttp {port}: {fine}"));
        }
        for port in ["tls", "default", "old"] {
            let address = format!("127.0.0.1:{}", w.port(port));
            let said = run("openssl", &["s_client", "-connect", &address, "-alpn", "h2,http/1.1"]);
            let line = said.lines().find(|l| l.contains("ALPN")).unwrap_or("nothing");
            w.note(format!("{port}: {line}"));
        }
        w.forget_origins();
    });
}
