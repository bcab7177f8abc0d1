//! Log lines to servers: rings, streams, backends in mode log (manual sections 4.2 `log`, 5.2 `log-proto`, 12.5).
use crate::tls_sink::{TlsSink, until as read_until};
use portcullis_e2e::binary::Binary;
use portcullis_e2e::process::{PATIENCE, wait_for};
use portcullis_e2e::sink::LogSink;
use portcullis_e2e::{Conn, OriginConn, World, mask, proc, scenario};
use rustix::net::{SocketAddrAny, SocketType, getpeername, getsockname, sockopt};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::sync::{Arc, Mutex};

const PROXIES: &str = "
defaults
  mode http
  log global
  timeout connect 10s
  timeout client 30s
  timeout server 30s
frontend fe
  bind 127.0.0.1:${fe}
  log-format \"%HP asked\"
  http-request return status 200
";

/// A configuration that logs so.
fn config(global: &str, sections: &str) -> String {
    format!("global\n  nbthread 1\n  log-tag tag\n{global}\n{sections}\n{PROXIES}")
}

fn ask(w: &mut World, paths: &[&str]) {
    for path in paths {
        w.client("fe").get(path, "Connection: close\r\n").read_to_end();
    }
}

/// A server that gets so many bytes, as it got them.
fn receiver(bytes: usize) -> impl Fn(OriginConn) + Send + Sync {
    move |mut c: OriginConn| {
        c.read_exactly(bytes);
        c.wait_end();
    }
}

/// What comes up to this.
fn until(c: &mut Conn, end: &str) -> String {
    while !c.buffered().ends_with(end.as_bytes()) && c.fill() {}
    String::from_utf8_lossy(&c.take(c.buffered().len())).into_owned()
}

#[test]
fn a_ring_is_sent_with_both_framings() {
    for (name, proto, bytes) in [("legacy", "", 18), ("octet_count", "log-proto octet-count", 20)] {
        scenario(&format!("log_servers/ring_{name}"), |w| {
            let server = w.origin("o1", receiver(bytes));
            let ring = format!(
                "ring r\n  format raw\n  size 4096\n  timeout connect 5s\n  timeout server 5s\n  \
                 server s 127.0.0.1:${{o1}} {proto}"
            );
            w.proxy(&config("  log ring@r local0", &ring));
            ask(w, &["/a", "/b"]);
            server.wait_line(0, "<");
        });
    }
}

#[test]
fn a_ring_waits_for_its_server_with_the_newest() {
    scenario("log_servers/a_ring_waits", |w| {
        w.port("o1");
        w.proxy(&config(
            "  log ring@r local0",
            "ring r\n  format raw\n  size 500\n  server s 127.0.0.1:${o1}",
        ));
        let paths: Vec<String> = (100..200).map(|n| format!("/{n}")).collect();
        ask(w, &paths.iter().map(String::as_str).collect::<Vec<_>>());
        // the newest and nothing else; how many depends on what a ring needs for itself
        w.origin("o1", |mut c| {
            let text = until(&mut c, "/199 asked\n");
            let told: Vec<_> = text.lines().filter_map(|l| l.get(1..4)?.parse::<u32>().ok()).collect();
            assert!(told.windows(2).all(|w| w[0] + 1 == w[1]), "{told:?}");
            assert!((10..40).contains(&told.len()), "{told:?}");
            c.transcript().add("all");
            c.wait_end();
        })
        .wait_line(0, "all");
    });
}

#[test]
fn a_line_over_tcp_looks_as_it_says() {
    scenario("log_servers/tcp", |w| {
        let got = Arc::new(Mutex::new(String::new()));
        let kept = got.clone();
        w.origin("o1", move |mut c| {
            let text = until(&mut c, "/a asked\n");
            *kept.lock().unwrap() = text;
            c.wait_end();
        });
        w.forget_origins();
        w.proxy(&config("  log tcp@127.0.0.1:${o1} format local local1", ""));
        ask(w, &["/a"]);
        let line = wait_for(PATIENCE, || Some(got.lock().unwrap().clone()).filter(|t| !t.is_empty()));
        w.note(mask::line(line.as_deref().unwrap_or("nothing")));
    });
}

/// Which of three receivers get which lines.
fn dealt(w: &mut World, balance: &str, options: [&str; 3], steps: &[(&[&str], &[&str])]) {
    let mut sinks: Vec<LogSink> = (1..=3).map(|n| LogSink::udp(w.port(&format!("u{n}")))).collect();
    let servers: String =
        (1..=3).map(|n| format!("  server s{n} udp@127.0.0.1:${{u{n}}} {}\n", options[n - 1])).collect();
    let socket = w.dir().join("api");
    let global =
        format!("  stats socket {} level admin\n  log backend@lb format raw local2", socket.display());
    w.proxy(&config(&global, &format!("backend lb\n  mode log\n  {balance}\n{servers}")));
    let mut seen = [0; 3];
    for (commands, paths) in steps {
        for command in *commands {
            let mut s = UnixStream::connect(&socket).unwrap();
            writeln!(s, "{command}").unwrap();
            s.read_to_string(&mut String::new()).unwrap();
        }
        ask(w, paths);
        let came = wait_for(PATIENCE, || {
            let lines: Vec<_> = sinks.iter_mut().map(LogSink::drain).collect();
            let new: usize = lines.iter().map(Vec::len).sum::<usize>() - seen.iter().sum::<usize>();
            (new >= paths.len()).then_some(lines)
        });
        let lines = came.expect("all lines");
        for (n, lines) in lines.iter().enumerate() {
            w.note(format!("s{}: {}", n + 1, lines[seen[n]..].join(", ")));
            seen[n] = lines.len();
        }
    }
}

const PATHS: &[&str] = &["/a", "/b", "/c", "/d", "/e", "/f", "/g", "/h"];

#[test]
fn lines_go_round() {
    scenario("log_servers/roundrobin", |w| {
        dealt(
            w,
            "balance roundrobin",
            ["weight 3", "", "backup"],
            &[
                (&[], PATHS),
                (&["disable server lb/s1"], &["/i", "/j"]),
                (&["disable server lb/s2"], &["/k", "/l"]),
            ],
        );
    });
}

#[test]
fn lines_stick() {
    scenario("log_servers/sticky", |w| {
        dealt(
            w,
            "balance sticky",
            ["", "", ""],
            &[
                (&[], &["/a", "/b"]),
                (&["disable server lb/s1"], &["/c"]),
                (&["enable server lb/s1"], &["/d"]),
                (&["disable server lb/s2"], &["/e"]),
            ],
        );
    });
}

#[test]
fn lines_go_by_a_hash() {
    for (name, balance) in [
        ("sdbm", "balance log-hash field(1,\\ ),lower"),
        ("crc32", "balance log-hash bytes(0,2)\n  hash-type map-based crc32"),
    ] {
        scenario(&format!("log_servers/hash_{name}"), |w| {
            dealt(w, balance, ["", "", ""], &[(&[], PATHS), (&["disable server lb/s3"], PATHS)]);
        });
    }
}

#[test]
fn lines_over_streams_are_dealt_out_too() {
    scenario("log_servers/streams", |w| {
        let servers = [w.origin("o1", receiver(18)), w.origin("o2", receiver(20))];
        w.proxy(&config(
            "  log backend@lb format raw local2",
            "backend lb\n  mode log\n  balance roundrobin\n  server a 127.0.0.1:${o1}\n  \
             server b 127.0.0.1:${o2} log-proto octet-count log-bufsize 32768",
        ));
        ask(w, &["/a", "/b", "/c", "/d"]);
        servers.iter().for_each(|s| s.wait_line(0, "<"));
    });
}

#[test]
fn what_is_wrong_is_said() {
    scenario("log_servers/wrong", |w| {
        for (config, words) in [
            ("ring r\n  server s 127.0.0.1:1 log-proto foo\n", "'log-proto' expects one of"),
            ("ring r\n  timeout connect x\n", "unexpected character 'x'"),
            ("ring r\n  backing-file /nonexistent/x\n", "cannot open backing-file"),
            (
                "backend b\n  mode log\n  balance leastconn\n  server s udp@127.0.0.1:1\n",
                "\"balance\" only supports",
            ),
            (
                "backend b\n  mode log\n  balance log-hash foo\n  server s udp@127.0.0.1:1\n",
                "unknown converter 'foo'",
            ),
            (
                "backend b\n  mode log\n  balance log-hash lower\n  hash-type consistent\n  server s udp@127.0.0.1:1\n",
                "unsupported hash method",
            ),
            (
                "backend b\n  mode log\n  balance roundrobin\n  server s udp@127.0.0.1:1\n  server t 127.0.0.1:1\n",
                "cannot mix server types",
            ),
            ("frontend f\n  mode log\n", "only applicable on proxies with backend capability"),
            (
                "backend b\n  mode http\n  server s udp@127.0.0.1:1\n",
                "unsupported transport for server address",
            ),
        ] {
            let output = w.check(config, &[]);
            let text = format!("{}{}", output.stdout, output.stderr);
            assert!(text.contains(words), "{config}: {text}");
            w.note(format!("{config}: {:?}", output.code));
        }
    });
}

/// Messages as they come in over UDP and TCP, and what goes out for each.
#[test]
fn messages_are_forwarded() {
    const FORMATS: [&str; 9] =
        ["unspecified", "rfc3164", "rfc5424", "raw", "short", "timed", "iso", "priority", "local"];
    const MESSAGES: [&str; 9] = [
        "<134>Nov 27 06:00:00 myhost prog[12]: hello world",
        "<134>Nov 27 06:00:00 prog[12]: nohost",
        "<134>1 2026-11-27T06:00:00.123Z host app 77 ID47 [ex@1 a=\"b\"] the msg",
        "<134>1 2026-11-27T06:00:00.123Z - - - - - the msg",
        "no prio at all",
        "<14>short only text",
        "<134>Nov 27 06:00:00 myhost prog: nopid\n",
        "<134>Nov 27 06:00:00 justtext",
        "<5>2026-11-27T06:00:00 iso msg",
    ];
    scenario("log_servers/forwarded", |w| {
        let mut sinks: Vec<LogSink> = FORMATS.iter().map(|f| LogSink::udp(w.port(f))).collect();
        let targets: String = FORMATS
            .iter()
            .map(|f| match *f {
                "unspecified" => format!("  log 127.0.0.1:${{{f}}} local5\n"),
                f => format!("  log 127.0.0.1:${{{f}}} format {f} local5\n"),
            })
            .collect();
        let port = w.port("in");
        w.proxy(&format!(
            "global\n  nbthread 1\nlog-forward f\n  dgram-bind 127.0.0.1:${{in}}\n  bind 127.0.0.1:${{in}}\n\
             {targets}"
        ));
        wait_datagrams(&[port]);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut count = 0;
        let mut came = |w: &mut World, what: &str| {
            w.note(format!("in: {what:?}"));
            count += 1;
            for (sink, format) in sinks.iter_mut().zip(FORMATS) {
                let lines = sink.wait(count);
                let line = lines.get(count - 1).map_or("nothing", String::as_str);
                // what the message says of its time is its own; what is of now is not the same twice
                let said = what.contains(" 06:00:00 ") || what.contains("T06:00:00.123Z");
                let own = said && !what.contains("justtext");
                w.note(format!("{format}: {}", if own { without_year(line) } else { without_time(line) }));
            }
        };
        for message in MESSAGES {
            socket.send_to(message.as_bytes(), ("127.0.0.1", port)).unwrap();
            came(w, message);
        }
        let mut c = TcpStream::connect(("127.0.0.1", port)).unwrap();
        c.write_all(b"<134>Nov 27 06:00:00 h p[1]: ended by LF\n").unwrap();
        came(w, "<134>Nov 27 06:00:00 h p[1]: ended by LF");
        c.write_all(b"40 <134>Nov 27 06:00:00 h p[1]: octet count").unwrap();
        came(w, "<134>Nov 27 06:00:00 h p[1]: octet count");
        c.write_all(b"<134>Nov 27 06:00:00 h p[1]: in ").unwrap();
        c.write_all(b"parts\n").unwrap();
        came(w, "<134>Nov 27 06:00:00 h p[1]: in parts");
        c.write_all(b"neither\n").unwrap();
        assert_eq!(c.read(&mut [0; 10]).unwrap_or(0), 0, "a stream of no messages is closed");
    });
}

/// `tune.rcvbuf.frontend` and its kin: buffers of sockets that many share, as the system has them (twice what was said).
#[test]
fn buffers_of_shared_sockets() {
    scenario("log_servers/buffers_of_shared_sockets", |w| {
        let (port, to) = (w.port("in"), w.port("to"));
        w.proxy(
            "global\n  nbthread 1\n  tune.rcvbuf.frontend 10k\n  tune.sndbuf.frontend 12k\n  tune.rcvbuf.backend 14k\n  \
             tune.sndbuf.backend 16k\nlog-forward f\n  dgram-bind 127.0.0.1:${in}\n  log 127.0.0.1:${to} local0\n\
             defaults\n  timeout client 5s\n  timeout server 5s\n  timeout connect 5s\n  log 127.0.0.1:${to} local0\n\
             frontend fe\n  mode http\n  bind 127.0.0.1:${fe}\n  http-request return status 200\n",
        );
        wait_datagrams(&[port]);
        w.client("fe").get("/", "Connection: close\r\n").response();
        let pid = w.process(0).pid();
        let datagrams =
            || proc::sockets(pid).into_iter().filter(|s| sockopt::socket_type(s) == Ok(SocketType::DGRAM));
        let of = |a: Option<SocketAddrAny>| a.and_then(|a| SocketAddr::try_from(a).ok()).map(|a| a.port());
        let bound = |s: &OwnedFd| of(getsockname(s).ok()) == Some(port);
        let leads = |s: &OwnedFd| of(getpeername(s).ok().flatten()) == Some(to);
        let shared = datagrams().find(bound).unwrap();
        let sizes = (sockopt::socket_recv_buffer_size(&shared), sockopt::socket_send_buffer_size(&shared));
        w.note(format!("dgram-bind: {sizes:?}"));
        let log = match datagrams().find(leads) {
            Some(ours) => ours,
            // HAProxy's is not connected
            None => {
                datagrams().find(|s| !bound(s) && sockopt::socket_send_buffer_size(s) == Ok(32768)).unwrap()
            }
        };
        w.note(format!("log: {:?}", sockopt::socket_send_buffer_size(&log)));
    });
}

/// Waits until somebody takes datagrams on these ports.
fn wait_datagrams(ports: &[u16]) {
    let taken = || {
        let table = std::fs::read_to_string("/proc/net/udp").ok()?;
        ports.iter().all(|p| table.contains(&format!(":{p:04X} "))).then_some(())
    };
    wait_for(PATIENCE, taken).expect("nobody takes datagrams");
}

/// The line without dates and times: what is of now is not the same twice.
fn without_time(line: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    for word in line.split(' ') {
        let clock = word.len() == 8 && word.matches(':').count() == 2;
        match word {
            w if w.contains('T') && w.matches(':').count() >= 3 => words.push("TIME"),
            // `Nov 27 06:00:00`, `Dec  1 06:00:00`: its month stands behind the priority
            _ if clock => {
                while words.pop_if(|w| w.is_empty() || w.parse::<u8>().is_ok()).is_some() {}
                let month = words.pop().unwrap_or_default();
                words.extend(month.find('>').map(|end| &month[..=end]));
                words.push("TIME");
            }
            w => words.push(w),
        }
    }
    words.join(" ")
}

/// The line with the year that a message without one was given.
fn without_year(line: &str) -> String {
    match line.find("-11-27T06:00:00-00:00") {
        Some(end) if end >= 4 => format!("{}YEAR{}", &line[..end - 4], &line[end..]),
        _ => line.to_owned(),
    }
}

#[test]
fn messages_keep_or_get_their_host() {
    scenario("log_servers/hosts", |w| {
        const HOW: [&str; 6] = ["replace", "keep", "append", "fill", "whole", "unsaid"];
        let mut sections = String::new();
        let mut sinks = Vec::new();
        for how in HOW {
            sinks.push(LogSink::udp(w.port(how)));
            w.port(&format!("in_{how}"));
            let (option, format) = match how {
                "whole" => ("dont-parse-log".to_owned(), "format raw"),
                "unsaid" => ("dont-parse-log".to_owned(), ""),
                how => (format!("host {how}"), ""),
            };
            sections += &format!(
                "log-forward {how}\n  dgram-bind 127.0.0.1:${{in_{how}}}\n  option {option}\n  \
                 log 127.0.0.1:${{{how}}} {format} local5\n"
            );
        }
        w.proxy(&format!("global\n  nbthread 1\n{sections}"));
        let ports: Vec<u16> = HOW.iter().map(|how| w.port(&format!("in_{how}"))).collect();
        wait_datagrams(&ports);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for (n, message) in [
            "<134>Nov 27 06:00:00 myhost prog[12]: hello world",
            "<134>1 2026-11-27T06:00:00.123Z - - - - - the msg",
            "<134>1 2026-11-27T06:00:00.123Z host app 77 ID47 - the msg",
        ]
        .iter()
        .enumerate()
        {
            w.note(format!("in: {message}"));
            for (how, sink) in HOW.iter().zip(&mut sinks) {
                let port = w.port(&format!("in_{how}"));
                socket.send_to(message.as_bytes(), ("127.0.0.1", port)).unwrap();
                let line = sink.wait(n + 1).get(n).cloned().unwrap_or_default();
                w.note(format!("{how}: {line}"));
            }
        }
    });
}

#[test]
fn a_newline_ends_every_message_if_that_is_said() {
    scenario("log_servers/transparent", |w| {
        let mut sink = LogSink::udp(w.port("u1"));
        let port = w.port("in");
        w.proxy(
            "global\n  nbthread 1\nlog-forward f\n  bind 127.0.0.1:${in}\n  option assume-rfc6587-ntf\n  \
             option dont-parse-log\n  log 127.0.0.1:${u1} format raw local5\n",
        );
        let mut c = TcpStream::connect(("127.0.0.1", port)).unwrap();
        c.write_all(b"7 begins with a digit\n<1>one\nand text\n").unwrap();
        sink.wait(3).iter().for_each(|line| w.note(line.as_str()));
    });
}

/// Many messages at once are more than a ring holds: its server gets them in between.
#[test]
fn a_burst_goes_through_a_ring() {
    let mut w = World::new(Binary::under_test());
    let (port, server) = (w.port("in"), TcpListener::bind(("127.0.0.1", w.port("server"))).unwrap());
    w.proxy(
        "global\n  nbthread 1\nlog-forward f\n  bind 127.0.0.1:${in}\n  log backend@logs format rfc5424 local0\n\
         backend logs\n  mode log\n  server s1 127.0.0.1:${server}\n",
    );
    let (socket, _) = server.accept().unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut lines = BufReader::new(socket).lines();
    let mut c = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let messages = (0..2000)
        .map(|n| format!("<14>1 2026-11-28T07:00:00.000000+00:00 h app 7 - - {n} {}\n", "z".repeat(n % 200)));
    c.write_all(messages.collect::<String>().as_bytes()).unwrap();
    for n in 0..2000 {
        let line = lines.next().unwrap().unwrap();
        assert!(line.contains(&format!("- - {n} ")), "{n}: {line}");
    }
}

/// A log server over TLS with a certificate of the scenario's authority, which wants one of us.
fn secure(w: &mut World) -> TlsSink {
    crate::tls::own(w, "ca", false, "DNS:ca.test");
    for name in ["logs", "me"] {
        w.file("extensions", &format!("subjectAltName=DNS:{name}\nbasicConstraints=CA:FALSE\n"));
        crate::tls::signed(w, name, "-days 3650 -extfile extensions");
    }
    TlsSink::start(w, "sink", "logs", Some("ca.crt"))
}

/// A server line's way to it.
const SECURE: &str =
    "127.0.0.1:${sink} ssl ca-file ${dir}/ca.crt crt ${dir}/me.pem sni str(logs) verifyhost logs";

#[test]
fn a_ring_is_sent_over_tls() {
    for (name, proto, lines) in
        [("legacy", "", "/a asked\n/b asked\n"), ("octets", "log-proto octet-count", "8 /a asked8 /b asked")]
    {
        scenario(&format!("log_servers/tls_{name}"), |w| {
            let sink = secure(w);
            w.proxy(&config(
                "  log ring@r format raw local0",
                &format!(
                    "ring r\n  format raw\n  size 4096\n  timeout connect 5s\n  timeout server 5s\n  \
                     server s {SECURE} {proto}"
                ),
            ));
            ask(w, &["/a"]);
            let mut first = sink.accept().unwrap();
            w.note(format!("name: {:?}", first.conn.server_name()));
            w.note(format!("certificates: {}", first.conn.peer_certificates().map_or(0, <[_]>::len)));
            ask(w, &["/b"]);
            w.note(read_until(&mut first, lines));
        });
    }
}

/// HAProxy 3.5-dev5 does not come back behind an end that TLS tells.
#[test]
fn a_ring_comes_back_over_tls() {
    let binary = Binary::under_test();
    if binary.is_haproxy() {
        return;
    }
    let mut w = World::new(binary);
    let sink = secure(&mut w);
    w.proxy(&config("  log ring@r local0", &format!("ring r\n  format raw\n  server s {SECURE}")));
    ask(&mut w, &["/a"]);
    let mut first = sink.accept().unwrap();
    assert_eq!(read_until(&mut first, "asked\n"), "/a asked\n");
    first.conn.send_close_notify();
    first.flush().unwrap();
    drop(first);
    // what comes while nobody is there goes to the next connection
    ask(&mut w, &["/b"]);
    assert_eq!(read_until(&mut sink.accept().unwrap(), "asked\n"), "/b asked\n");
}

#[test]
fn a_ring_tells_nothing_to_strangers() {
    scenario("log_servers/tls_stranger", |w| {
        let _ = secure(w);
        crate::tls::own(w, "other", false, "DNS:logs");
        let stranger = TlsSink::start(w, "stranger", "other", None);
        let server = SECURE.replace("sink", "stranger");
        w.proxy(&config("  log ring@r local0", &format!("ring r\n  format raw\n  server s {server}")));
        ask(w, &["/a"]);
        for _ in 0..2 {
            let told = stranger.accept().map(|mut s| read_until(&mut s, "asked"));
            w.note(told.map_or("refused".into(), |text| format!("told {text:?}")));
        }
    });
}

#[test]
fn lines_are_dealt_out_over_tls() {
    scenario("log_servers/tls_dealt", |w| {
        let sink = secure(w);
        w.proxy(&config(
            "  log backend@lb format raw local2",
            &format!(
                "backend lb\n  mode log\n  balance roundrobin\n  server s {SECURE} log-proto octet-count"
            ),
        ));
        ask(w, &["/a", "/b"]);
        let mut stream = sink.accept().unwrap();
        w.note(read_until(&mut stream, "/b asked"));
    });
}

/// `dgram-bind` on a path and on an abstract name, as programs of this host log.
#[test]
fn messages_of_this_host() {
    scenario("log_servers/messages_of_this_host", |w| {
        let mut sinks = [LogSink::udp(w.port("a")), LogSink::udp(w.port("b"))];
        let name = format!("portcullis-e2e-{}", w.port("a"));
        w.proxy(&format!(
            "global\n  nbthread 1\nlog-forward f\n  dgram-bind unix@${{dir}}/log mode 666\n  log 127.0.0.1:${{a}} local5\n\
             log-forward g\n  dgram-bind abns@{name}\n  option host append\n  log 127.0.0.1:${{b}} local5\n"
        ));
        let path = w.dir().join("log");
        wait_for(PATIENCE, || path.exists().then_some(())).expect("no socket");
        let socket = UnixDatagram::unbound().unwrap();
        // it is there before somebody takes from it
        socket.send_to(b"<134>Nov 27 06:00:00 myhost prog[12]: by its path", &path).unwrap();
        let padded = [name.as_bytes(), &vec![0; 107 - name.len()]].concat();
        use std::os::linux::net::SocketAddrExt;
        let named = std::os::unix::net::SocketAddr::from_abstract_name(padded).unwrap();
        socket.send_to_addr(b"<134>Nov 27 06:00:00 myhost prog[12]: by its name", &named).unwrap();
        for sink in &mut sinks {
            w.note(sink.wait(1).first().cloned().unwrap_or_default());
        }
    });
}
