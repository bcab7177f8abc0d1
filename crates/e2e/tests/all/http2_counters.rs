//! What HTTP/2 connections are counted by (management manual section 9.1, `h1sess` to `h2req` and `h2_*`), and that each limit of
//! theirs is told in a log line and a counter.
use portcullis_e2e::binary::Binary;
use portcullis_e2e::h2::{block, frame, start};
use portcullis_e2e::process::{PATIENCE, wait_for};
use portcullis_e2e::{Client, H2, World, scenario};
use portcullis_wire::h2::frame::{PREFACE, kind, setting};
use std::collections::BTreeMap;

fn config(global: &str, server: &str) -> String {
    format!(
        "global\n  log 127.0.0.1:${{log}} local0\n  nbthread 1\n  stats socket ${{dir}}/cli level admin\n{}\
         defaults\n  mode http\n  log global\n  option httplog\n  timeout connect 10s\n  timeout client 30s\n  timeout server 30s\n\
         frontend fe\n  bind 127.0.0.1:${{fe}} proto h2\n  bind 127.0.0.1:${{both}}\n  default_backend be\n\
         backend be\n  server s1 127.0.0.1:${{o1}} {server}\n",
        crate::indent(global)
    )
}

/// A line of `show stat`, by the names of its columns.
fn stat(w: &World, proxy: &str, name: &str) -> BTreeMap<String, i64> {
    let said = crate::runtime_api::ask(w, "show stat");
    let mut lines = said.lines().map(|l| l.trim_start_matches("# ").split(','));
    let names = lines.next().expect("columns").map(str::to_owned).collect::<Vec<_>>();
    let mut line = lines.map(|l| l.collect::<Vec<_>>());
    let line = line.find(|l| l[..2] == [proxy, name]).expect("its line");
    let number = |(name, text): (String, &&str)| Some((name, text.parse().ok()?));
    names.into_iter().zip(&line).filter_map(number).collect()
}

/// Those of its columns that are about HTTP/1 and HTTP/2 and not 0.
fn told(w: &World, proxy: &str, name: &str) -> String {
    let wanted = |n: &str| {
        (n.starts_with("h1") || n.starts_with("h2") || (n == "req_tot" && proxy == "fe"))
            && !n.contains("bytes")
    };
    let all = stat(w, proxy, name).into_iter().filter(|(n, v)| *v != 0 && wanted(n));
    all.map(|(n, v)| format!("{n} {v}")).collect::<Vec<_>>().join(", ")
}

/// Notes what has changed once `column` is `n`.
fn note(w: &World, what: &str, (column, n): (&str, i64)) {
    let met = wait_for(PATIENCE, || (stat(w, "fe", "FRONTEND")[column] == n).then_some(()));
    assert!(met.is_some(), "{what}: {column} {:?}", stat(w, "fe", "FRONTEND")[column]);
    w.note(format!("{what}: {}", told(w, "fe", "FRONTEND")));
}

#[test]
fn clients() {
    scenario("http2_counters/clients", |w| {
        w.ok("o1");
        w.proxy(&config("", ""));
        let mut c = w.client("both");
        c.get("/one", "Connection: close\r\n").response();
        c.close();
        note(w, "HTTP/1", ("h1_open_connections", 0));
        let mut c = w.h2_client("fe", &[]);
        c.get(1, "/", &[]).answer(1).ping();
        note(w, "a request", ("h2_backend_open_streams", 0));
        c.post(3, "/", &[("content-length", "6")])
            .data(3, b"abc", false)
            .data(3, b"abc", true)
            .answer(3)
            .ping();
        note(w, "one with a body", ("h2_data_rcvd", 2));
        c.get(5, "/", &[("connection", "close")]).answer(5).ping();
        note(w, "none", ("h2_detected_strm_protocol_errors", 1));
        c.get(7, "/", &[]).answer(7);
        c.reset(7, 8).ping();
        note(w, "a late reset", ("h2_rst_stream_rcvd", 1));
        c.send(frame(kind::GOAWAY, 0, 0, &[0; 8]));
        note(w, "over", ("h2_open_connections", 0));
        let mut c = w.h2_client("fe", &[]);
        c.send(frame(kind::PING, 0, 0, &[0; 7])).rest();
        note(w, "spoiled", ("h2_goaway_resp", 1));
        let mut c = w.h2_client("both", &[]);
        c.get(1, "/", &[]).answer(1);
        c.close();
        note(w, "found out", ("h2_total_connections", 3));
        w.forget_logs();
    });
}

/// Streams above the limit are refused, and counted.
#[test]
fn refused_streams() {
    scenario("http2_counters/refused_streams", |w| {
        w.ok("o1");
        w.proxy(&config("tune.h2.fe.max-concurrent-streams 2 rq-load ignore", ""));
        let mut c = w.h2_client("fe", &[]);
        for id in [1, 3, 5] {
            c.post(id, "/", &[("content-length", "1")]);
        }
        c.answer(5);
        note(w, "three", ("h2_rst_stream_resp", 1));
        w.forget_logs();
        w.forget_origins();
    });
}

#[test]
fn servers() {
    scenario("http2_counters/servers", |w| {
        w.origin("o1", |c| {
            let mut c = H2::serve(c, &[]);
            let (id, _) = c.request().expect("a request");
            c.respond(id, "200", b"ok");
            let (id, _) = c.request().expect("a request");
            c.headers(id, &[(":status", "200"), ("connection", "close")], true);
            c.rest();
        });
        w.proxy(&config("", "proto h2"));
        let mut c = w.client("both");
        for path in ["/one", "/two"] {
            c.get(path, "").response();
            let backend = || stat(w, "be", "BACKEND")["h2_backend_open_streams"] == 0;
            assert!(wait_for(PATIENCE, || backend().then_some(())).is_some());
            w.note(told(w, "be", "BACKEND"));
        }
        w.forget_logs();
    });
}

/// What a limit is tried by.
struct Try {
    name: &'static str,
    global: &'static str,
    /// What the client says behind its settings.
    says: Vec<u8>,
    /// Its connection ends; or, of a stream, that does.
    column: &'static str,
}

fn literal(name: &str, value: &str) -> Vec<u8> {
    block(&[(name, value)])
}

fn tries() -> Vec<Try> {
    const GET: u8 = 5;
    let get = block(&start("GET", "/"));
    let post = block(&start("POST", "/"));
    let begun = frame(kind::HEADERS, 4, 1, &post);
    let streams =
        |make: &dyn Fn(u32) -> Vec<u8>| (0..2000).flat_map(|n| make(2 * n + 1)).collect::<Vec<u8>>();
    let flood = |one: Vec<u8>| one.repeat(4000);
    let over = "h2_detected_conn_protocol_errors";
    let ended = |name, says| Try { name, global: "", says, column: over };
    let mut large = get.clone();
    (0..200).for_each(|n| large.extend(literal(&format!("x-{n}"), "y")));
    let mut wide = get.clone();
    wide.extend(literal("x", &"y".repeat(15_500)));
    vec![
        ended(
            "rapid reset",
            streams(&|id| {
                [frame(kind::HEADERS, GET, id, &get), frame(kind::RST_STREAM, 0, id, &[0, 0, 0, 8])].concat()
            }),
        ),
        ended(
            "made-you-reset",
            streams(&|id| {
                [frame(kind::HEADERS, GET, id, &get), frame(kind::WINDOW_UPDATE, 0, id, &[0; 4])].concat()
            }),
        ),
        ended("no requests", streams(&|id| frame(kind::HEADERS, GET, id, &literal("x", "y")))),
        ended(
            "CONTINUATION in many pieces",
            [
                frame(kind::HEADERS, 1, 1, &get),
                frame(kind::CONTINUATION, 0, 1, &literal("a", "b")).repeat(100),
            ]
            .concat(),
        ),
        ended(
            "empty CONTINUATION",
            [frame(kind::HEADERS, 1, 1, &get), frame(kind::CONTINUATION, 0, 1, b"").repeat(100)].concat(),
        ),
        ended(
            "CONTINUATION without end",
            [frame(kind::HEADERS, 1, 1, &get), frame(kind::CONTINUATION, 0, 1, &[0; 16_000]).repeat(10)]
                .concat(),
        ),
        ended("SETTINGS", flood(frame(kind::SETTINGS, 0, 0, b""))),
        ended("SETTINGS acknowledged", flood(frame(kind::SETTINGS, 1, 0, b""))),
        ended("PING", flood(frame(kind::PING, 0, 0, &[0; 8]))),
        ended("PRIORITY", flood(frame(kind::PRIORITY, 0, 1, &[0, 0, 0, 3, 16]))),
        ended("PRIORITY_UPDATE", flood(frame(kind::PRIORITY_UPDATE, 0, 0, b"\0\0\0\x01u=1"))),
        ended("WINDOW_UPDATE", flood(frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]))),
        ended("unknown frames", flood(frame(77, 0, 0, b""))),
        ended("empty DATA", [begun.clone(), flood(frame(kind::DATA, 0, 1, b""))].concat()),
        ended("padding", [begun, frame(kind::DATA, 8, 1, &[255; 256]).repeat(4000)].concat()),
        ended(
            "an HPACK bomb",
            streams(&|id| {
                let block = if id == 1 {
                    [&get[..], b"\x40\x01x\x7f\x81\x1d", &[b'v'; 3840]].concat()
                } else {
                    [&get[..], &[0xbe; 15_000]].concat()
                };
                frame(kind::HEADERS, GET, id, &block)
            }),
        ),
        Try {
            name: "glitches",
            global: "tune.h2.fe.glitches-threshold 5",
            says: streams(&|id| frame(kind::HEADERS, GET, id, &literal("x", "y")))[..500].to_vec(),
            column: over,
        },
        Try {
            name: "too many fields",
            global: "",
            says: frame(kind::HEADERS, GET, 1, &large),
            column: "h2_detected_strm_protocol_errors",
        },
        Try {
            name: "too large fields",
            global: "",
            says: frame(kind::HEADERS, GET, 1, &wide),
            column: "h2_detected_strm_protocol_errors",
        },
        Try {
            name: "too many streams",
            global: "tune.h2.fe.max-concurrent-streams 2 rq-load ignore",
            says: [1, 3, 5].iter().flat_map(|id| frame(kind::HEADERS, 4, *id, &post)).collect(),
            column: "h2_rst_stream_resp",
        },
    ]
}

/// Every limit of a connection: a log line, a counter, and in the exporter the same; others are served meanwhile.
#[test]
fn every_limit_has_a_line_and_a_counter() {
    for t in tries() {
        let mut w = World::new(Binary::under_test());
        w.origin("o1", |mut c| {
            while portcullis_e2e::message::read_request(&mut c).is_some() {
                c.send_quietly(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            }
        });
        let promex = "frontend metrics\n  bind 127.0.0.1:${both2}\n  no log\n  http-request use-service prometheus-exporter\n";
        w.proxy(&format!("{}{promex}", config(t.global, "")));
        let mut c = H2::begin(Client::tcp(w.port("fe"), Default::default()), &[]);
        c.send(&t.says);
        let met = wait_for(PATIENCE, || (stat(&w, "fe", "FRONTEND")[t.column] > 0).then_some(()));
        assert!(met.is_some(), "{}: {}", t.name, told(&w, "fe", "FRONTEND"));
        let ended = t.column.contains("_conn_");
        if ended {
            while c.next_frame().is_some() {}
            let met =
                wait_for(PATIENCE, || (stat(&w, "fe", "FRONTEND")["h2_open_connections"] == 0).then_some(()));
            assert!(met.is_some(), "{}: it does not end", t.name);
            assert_eq!(stat(&w, "fe", "FRONTEND")["h2_goaway_resp"], 1, "{}", t.name);
        }
        let mut lines = w.logs(1);
        while !lines.iter().any(|l| l.contains("<BADREQ>") && l.contains(" PR-- ")) {
            // the requests that were served have theirs, too; without the one that is wanted this fails
            lines = w.logs(lines.len() + 1);
        }
        let mut other = Client::tcp(w.port("both2"), Default::default());
        let page = other.get("/metrics?extra-counters&scope=frontend", "").response();
        let name = format!("haproxy_frontend_{}{{proxy=\"fe\"", t.column);
        let body = String::from_utf8_lossy(&page.body).into_owned();
        let line =
            body.lines().find(|l| l.starts_with(&name)).unwrap_or_else(|| panic!("{}: {name}", t.name));
        assert!(!line.ends_with(" 0"), "{line}");
        let mut honest = H2::begin(Client::tcp(w.port("fe"), Default::default()), &[]);
        honest.get(1, "/", &[]).answer(1);
    }
}

/// A client that asks for much and takes nothing: its streams end with `timeout client`, told and counted.
#[test]
fn a_window_that_stays_closed() {
    scenario("http2_counters/a_window_that_stays_closed", |w| {
        w.ok("o1");
        w.proxy(&config("", "").replace("timeout client 30s", "timeout client 300ms"));
        // when and how often it is told that the end comes is everybody's own
        let quiet = Client::tcp(w.port("fe"), Default::default());
        let mut c = H2::begin(quiet, &[(setting::INITIAL_WINDOW_SIZE, 0)]);
        c.get(1, "/", &[]).rest();
        let aborted = || stat(w, "fe", "FRONTEND")["h2_open_connections"] == 0;
        assert!(wait_for(PATIENCE, || aborted().then_some(())).is_some());
        w.note(told(w, "fe", "FRONTEND"));
        w.note(format!("cli_abrt {}", stat(w, "be", "BACKEND")["cli_abrt"]));
        w.settle();
        w.logs(1);
    });
}

/// The preface is looked at before anything else.
#[test]
fn no_preface() {
    let mut w = World::new(Binary::under_test());
    w.proxy(&config("", ""));
    let mut c = Client::tcp(w.port("fe"), Default::default());
    c.send_quietly(&PREFACE.to_ascii_lowercase());
    c.read_to_end();
    let met = wait_for(PATIENCE, || {
        (stat(&w, "fe", "FRONTEND")["h2_detected_conn_protocol_errors"] == 1).then_some(())
    });
    assert!(met.is_some(), "{}", told(&w, "fe", "FRONTEND"));
}
