//! Log lines: formats, options, targets (manual sections 4.2 `log`, 8).
use crate::{indent, sections};
use portcullis_e2e::binary::Binary;
use portcullis_e2e::process::PATIENCE;
use portcullis_e2e::{Gate, World, scenario};

#[test]
fn httplog_of_an_ordinary_request() {
    scenario("logs/httplog_of_an_ordinary_request", |w| {
        w.ok("o1");
        w.proxy(&sections("capture request header Host len 8\ncapture response header X-A len 4", ""));
        w.client("fe").get("/path?with=query", "Connection: close\r\n").read_to_end();
        w.logs(1);
    });
}

#[test]
fn clf() {
    scenario("logs/clf", |w| {
        w.ok("o1");
        w.proxy(&sections("option httplog clf", ""));
        w.client("fe").get("/path", "Connection: close\r\n").read_to_end();
        let line = portcullis_e2e::mask::line(&w.logs(1).concat());
        w.forget_logs();
        // after the referer and the agent: client port, milliseconds, three names, five timers
        let (fixed, rest) = line.split_once("\"\" \"\" ").unwrap_or((&line, ""));
        let rest =
            rest.split(' ').enumerate().map(|(n, word)| if matches!(n, 0 | 1 | 5..=9) { "N" } else { word });
        w.note(format!("{fixed}... {}", rest.collect::<Vec<_>>().join(" ")));
    });
}

#[test]
fn default_format() {
    scenario("logs/default_format", |w| {
        w.ok("o1");
        w.proxy(
            "
global
  nbthread 1
  log 127.0.0.1:${log} local0
defaults
  mode http
  log global
  timeout connect 10s
  timeout client 30s
  timeout server 30s
frontend fe
  bind 127.0.0.1:${fe}
  default_backend be
backend be
  server s1 127.0.0.1:${o1}
",
        );
        w.client("fe").get("/path", "Connection: close\r\n").read_to_end();
        w.logs(1);
    });
}

#[test]
fn tcplog_in_a_http_frontend() {
    scenario("logs/tcplog_in_a_http_frontend", |w| {
        w.ok("o1");
        w.proxy(&sections("option tcplog", ""));
        w.client("fe").get("/path", "Connection: close\r\n").read_to_end();
        w.logs(1);
    });
}

#[test]
fn logasap_logs_at_the_response_head() {
    scenario("logs/logasap_logs_at_the_response_head", |w| {
        let gate = Gate::default();
        let wait = gate.clone();
        w.origin("o1", move |mut c| {
            c.request();
            c.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
            wait.wait();
            c.send(" more.");
            c.wait_end();
        });
        w.proxy(&sections("option logasap", ""));
        let mut c = w.client("fe");
        c.get("/", "");
        c.head();
        w.logs(1);
        gate.open();
        c.read_exactly(10);
        c.close();
    });
}

#[test]
fn dontlog_normal_logs_only_errors() {
    scenario("logs/dontlog_normal_logs_only_errors", |w| {
        w.origin("o1", |mut c| {
            if c.request().is_some_and(|r| r.start_line().contains("fine")) {
                c.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
            }
        });
        w.proxy(&sections("option dontlog-normal", ""));
        w.client("fe").get("/fine", "Connection: close\r\n").read_to_end();
        w.client("fe").get("/bad", "Connection: close\r\n").read_to_end();
        w.logs(1);
    });
}

#[test]
fn log_separate_errors_raises_the_level() {
    scenario("logs/log_separate_errors_raises_the_level", |w| {
        w.origin("o1", |mut c| {
            if c.request().is_some_and(|r| r.start_line().contains("fine")) {
                c.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
            }
        });
        w.proxy(&sections("option log-separate-errors", ""));
        w.client("fe").get("/fine", "Connection: close\r\n").read_to_end();
        w.logs(1);
        w.client("fe").get("/bad", "Connection: close\r\n").read_to_end();
        w.logs(2);
    });
}

#[test]
fn log_format_of_everything_plain() {
    scenario("logs/log_format_of_everything_plain", |w| {
        w.ok("o1");
        w.proxy(&sections(
            "log-format \"%ci|%fi|%ft|%f|%b|%s|%ST|%B|%U|%ts|%tsc|%HM|%HP|%HQ|%HU|%HV|%hr|%hs|%r|%{+Q}r|%rc|%sq|%bq|%rt|%H|%pid\"",
            "",
        ));
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        w.client("fe").get("/path?q=1", "Connection: close\r\n").read_to_end();
        let line = w.logs(1).concat();
        w.forget_logs();
        let pid = w.process(0).pid().to_string();
        let line = line.replace(host.trim(), "HOST").replace(&pid, "PID");
        w.note(line.split_once(": ").map(|(_, m)| m.to_string()).unwrap_or(line));
    });
}

#[test]
fn formats_of_syslog() {
    for format in ["rfc3164", "rfc5424", "short", "priority", "timed", "iso", "raw", "local"] {
        scenario(&format!("logs/format_{format}"), |w| {
            w.ok("o1");
            w.proxy(&global_log(&format!("log 127.0.0.1:${{log}} format {format} local3 info")));
            w.client("fe").get("/path", "Connection: close\r\n").read_to_end();
            let line = w.logs(1).concat();
            w.forget_logs();
            w.note(masked(&line));
        });
    }
}

/// Everything before the client's address is the format's own: digits of dates and pids become `0`.
fn masked(line: &str) -> String {
    let at = line.find("127.0.0.1").unwrap_or(line.len());
    let head: String = line[..at].split(' ').map(mask_word).collect::<Vec<_>>().join(" ");
    format!("{head}{}", portcullis_e2e::mask::line(&line[at..]))
}

fn mask_word(word: &str) -> String {
    let (kept, rest) = match word.split_once('>') {
        Some((priority, rest)) => (format!("{priority}>"), rest),
        None => (String::new(), word),
    };
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let rest = match rest {
        w if months.iter().any(|m| w.ends_with(m)) => "MON".to_string(),
        w if w.contains("[") && w.ends_with("]:") => "TAG[PID]:".to_string(),
        w if w.starts_with("haproxy") || w.starts_with("portcullis") => "TAG".to_string(),
        w if w.contains('T') && w.contains(':') && w.len() > 20 => "ISODATE".to_string(),
        w if w.contains(':') && w.len() == 8 => "TIME".to_string(),
        w if !w.is_empty() && w.bytes().all(|b| b.is_ascii_digit()) && w.len() < 9 => "0".to_string(),
        w if w.parse::<f64>().is_ok() && w.len() > 9 => "UNIX".to_string(),
        w => w.to_string(),
    };
    kept + &rest
}

fn global_log(log: &str) -> String {
    format!(
        "global\n  nbthread 1\n{}defaults\n  mode http\n  log global\n  option httplog\n  timeout connect 10s\n  timeout client 30s\n  timeout server 30s\n{}",
        indent(log),
        sections("", "")
    )
}

#[test]
fn facilities_and_levels() {
    scenario("logs/facilities_and_levels", |w| {
        w.ok("o1");
        w.proxy(&global_log("log 127.0.0.1:${log} daemon notice\nlog 127.0.0.1:${log} local7 info err\nlog 127.0.0.1:${log} auth debug warning"));
        w.client("fe").get("/path", "Connection: close\r\n").read_to_end();
        w.logs(2);
    });
}

#[test]
fn log_length_cuts() {
    scenario("logs/log_length_cuts", |w| {
        w.ok("o1");
        w.proxy(&global_log("log 127.0.0.1:${log} len 120 local0"));
        w.client("fe").get(&format!("/{}", "a".repeat(300)), "Connection: close\r\n").read_to_end();
        let line = w.logs(1).concat();
        w.forget_logs();
        w.note(format!("at most 120 bytes: {}", line.len() <= 120));
    });
}

#[test]
fn log_to_a_unix_socket() {
    scenario("logs/log_to_a_unix_socket", |w| {
        w.ok("o1");
        w.unix_sink("log.sock");
        w.proxy(&global_log("log ${dir}/log.sock local0"));
        w.client("fe").get("/path", "Connection: close\r\n").read_to_end();
        w.logs(1);
    });
}

#[test]
fn log_to_standard_output() {
    for target in ["stdout", "stderr", "fd@1"] {
        scenario(&format!("logs/to_{}", target.replace('@', "")), |w| {
            w.ok("o1");
            w.proxy(&global_log(&format!("log {target} format raw local0")));
            w.client("fe").get("/path", "Connection: close\r\n").read_to_end();
            let process = w.process(0);
            let found = portcullis_e2e::process::wait_for(portcullis_e2e::process::PATIENCE, || {
                let text = format!("{}\n{}", process.stdout(), process.stderr());
                text.lines().find(|l| l.contains("GET /path")).map(str::to_string)
            });
            w.note(portcullis_e2e::mask::line(&found.unwrap_or_default()));
        });
    }
}

#[test]
fn log_tag_and_hostname() {
    scenario("logs/log_tag_and_hostname", |w| {
        w.ok("o1");
        w.proxy(&global_log("log-tag edge\nlog-send-hostname box.test\nlog 127.0.0.1:${log} local0"));
        w.client("fe").get("/path", "Connection: close\r\n").read_to_end();
        let line = w.logs(1).concat();
        w.forget_logs();
        let words: Vec<_> = line
            .split(' ')
            .filter(|w| w.starts_with("edge[") || *w == "box.test")
            .map(|w| w.split('[').next().unwrap())
            .collect();
        w.note(words.join(" "));
    });
}

#[test]
fn sampled_targets() {
    scenario("logs/sampled_targets", |w| {
        w.ok("o1");
        w.proxy(&global_log("log 127.0.0.1:${log} sample 2,3:4 local0"));
        let mut c = w.client("fe");
        for n in 1..=8 {
            c.get(&format!("/{n}"), "").response();
        }
        c.close();
        w.logs(4);
    });
}

#[test]
fn no_log_silences_a_section() {
    scenario("logs/no_log_silences_a_section", |w| {
        w.ok("o1");
        w.proxy(
            &(sections("no log", "") + "frontend other\n  bind 127.0.0.1:${other}\n  default_backend be\n"),
        );
        w.client("fe").get("/silent", "Connection: close\r\n").read_to_end();
        w.client("other").get("/heard", "Connection: close\r\n").read_to_end();
        w.logs(1);
    });
}

#[test]
fn names_and_unique_ids_in_lines() {
    scenario("logs/names_and_unique_ids_in_lines", |w| {
        w.ok("o1");
        w.proxy(&sections(
            "unique-id-format %{+X}o-%ci-%rt\nunique-id-header X-Id\nlog-format \"%ID %b %si:%sp %bi\"",
            "",
        ));
        w.client("fe").get("/", "Connection: close\r\n").read_to_end();
        w.logs(1);
    });
}

#[test]
fn error_log_format_for_bad_handshakes() {
    scenario("logs/error_log_format_for_bad_handshakes", |w| {
        w.ok("o1");
        w.proxy("frontend fe\n  bind 127.0.0.1:${fe} accept-proxy\n  default_backend be\nbackend be\n  server s1 127.0.0.1:${o1}\n");
        w.client("fe").send("not a header at all\r\n\r\n").wait_end();
        let line = w.logs(1).concat();
        w.forget_logs();
        w.note(portcullis_e2e::mask::line(&line));
    });
}

#[test]
fn captures() {
    scenario("logs/captures", |w| {
        w.answering(
            "o1",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: SID=server; path=/\r\nX-A: abcdefgh\r\n\r\nok",
        );
        w.proxy(&sections(
            "capture cookie SI len 6\ncapture request header X-A len 4\ncapture request header host len 40\ncapture response header X-A len 3\ndeclare capture response len 5\nhttp-request capture path len 3\nhttp-response capture status id 1\nhttp-request set-header x-first %[capture.req.hdr(0)]",
            "",
        ));
        w.client("fe")
            .get(
                "/path",
                "Connection: close\r\nX-A: first\r\nX-A: second, third\r\nCookie: a=b; SID=client; x=y\r\n",
            )
            .read_to_end();
        w.logs(1);
        w.client("fe").get("/", "Connection: close\r\n").read_to_end();
        w.logs(2);
        // what is not even a request has nothing to capture
        w.client("fe").send("bad\r\n\r\n").read_to_end();
        w.logs(3);
    });
}

#[test]
fn bytes_of_requests() {
    scenario("logs/bytes_of_requests", |w| {
        w.ok("o1");
        w.proxy(&sections(
            "log-format \"%ST B=%B U=%U lc=%lc %r\"\nhttp-request return status 200 if { path /own }",
            "",
        ));
        for path in ["/own", "/server"] {
            w.client("fe").get(path, "Connection: close\r\n").read_to_end();
        }
        for path in ["/own", "/server"] {
            w.client("fe")
                .send(format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nConnection: close\r\n\r\n12345"))
                .read_to_end();
        }
        w.logs(4);
    });
}

#[test]
fn error_log_format_is_for_what_is_no_request() {
    scenario("logs/error_log_format_is_for_what_is_no_request", |w| {
        w.ok("o1");
        w.proxy(&sections(
            "option log-separate-errors\nlog-format \"fine %ST %ts\"\nerror-log-format \"wrong %ST %ts %ft %b %s\"\nhttp-request return status 500 content-type text/plain string x if { path /500 }\nhttp-request deny if { path /deny }\nhttp-request return status 404 content-type text/plain string x if { path /404 }",
            "",
        ));
        for path in ["/500", "/deny", "/404", "/server"] {
            w.client("fe").get(path, "Connection: close\r\n").read_to_end();
        }
        w.client("fe").send("bad\r\n\r\n").read_to_end();
        w.logs(5);
    });
}

#[test]
fn dontlog_normal_and_own_answers() {
    scenario("logs/dontlog_normal_and_own_answers", |w| {
        w.ok("o1");
        w.proxy(&sections(
            "option dontlog-normal\nhttp-request return status 200 if { path /200 }\nhttp-request redirect location / if { path /redirect }\nhttp-request return status 404 content-type text/plain string x if { path /404 }\nhttp-request return status 500 content-type text/plain string x if { path /500 }\nhttp-request deny if { path /deny }",
            "",
        ));
        for path in ["/200", "/redirect", "/404", "/500", "/deny"] {
            w.client("fe").get(path, "Connection: close\r\n").read_to_end();
        }
        w.logs(2);
    });
}

#[test]
fn dontlognull_in_both_modes() {
    scenario("logs/dontlognull_in_both_modes", |w| {
        w.ok("o1");
        w.proxy(
            &(sections("option dontlognull", "")
                + "listen tcp\n  mode tcp\n  option tcplog\n  option dontlognull\n  bind 127.0.0.1:${tcp}\n  server s1 127.0.0.1:${o1}\n"),
        );
        w.client("fe").half_close().read_to_end();
        w.client("tcp").half_close().read_to_end();
        w.client("fe").get("/", "Connection: close\r\n").read_to_end();
        w.logs(1);
    });
}

#[test]
fn dontlognull_is_not_about_what_no_server_took() {
    scenario("logs/dontlognull_is_not_about_what_no_server_took", |w| {
        w.proxy(
            "global\n  log 127.0.0.1:${log} local0\ndefaults\n  mode tcp\n  log global\n  option tcplog\n  option dontlognull\n  \
             retries 1\n  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\n\
             listen tcp\n  bind 127.0.0.1:${tcp}\n  server s1 127.0.0.1:1\n",
        );
        w.client("tcp").send("hello").wait_end();
        w.logs(1);
    });
}

/// A line of a TCP stream is written when all that it shows is known.
#[test]
fn lines_without_an_end_come_early() {
    for (name, format) in [
        ("known", "%ci %fi %b/%s %tsc %[src] %[txn.sess_term_state]"),
        ("bytes", "%ci %b/%s %U"),
        ("sample", "%ci %b/%s %[res.bytes_in]"),
    ] {
        scenario(&format!("logs/lines_without_an_end_{name}"), |w| {
            w.origin("o1", |mut c| {
                c.send("hello");
                c.wait_end();
            });
            w.proxy(&format!(
                "global\n  log 127.0.0.1:${{log}} local0\ndefaults\n  mode tcp\n  log global\n  log-format \"{format}\"\n  timeout \
                 connect 5s\n  timeout client 20s\n  timeout server 20s\nlisten tcp\n  bind 127.0.0.1:${{tcp}}\n  server s1 127.0.0.1:${{o1}}\n",
            ));
            let mut c = w.client("tcp");
            c.read_exactly(5);
            if name == "known" {
                w.logs(1);
            }
            c.close();
            w.logs(1);
        });
    }
}

/// A line of a request is written when the response's head is there if it shows nothing of the end, and the short line when the
/// request's head is. `option dontlog-normal` waits for the end.
#[test]
fn lines_of_requests_without_an_end() {
    let known = "log-format \"%ci %b/%s %ST %tsc\"";
    let long = "option httplog\noption logasap\nhttp-response set-header x-more abcdefghijklmnopqrstuvwxyz";
    for (name, lines, before_head, before_end, count) in [
        ("known", known.to_string(), false, true, 1),
        ("bytes", "log-format \"%ci %ST %U\"".into(), false, false, 1),
        ("errors", format!("{known}\noption dontlog-normal"), false, false, 1),
        ("errors_asap", "option httplog\noption logasap\noption dontlog-normal".into(), false, false, 1),
        ("steps", format!("{known}\nlog-steps connect,close"), true, false, 2),
        ("steps_asap", "option httplog\noption logasap\nlog-steps connect".into(), false, true, 1),
        ("longer", long.into(), false, true, 1),
        ("short", "http-request set-log-level silent\noption dontlog-normal".into(), true, true, 1),
        ("no_format_at_steps", "log-steps all".into(), false, false, 0),
    ] {
        scenario(&format!("logs/requests_without_an_end_{name}"), |w| {
            let gate = Gate::default();
            let wait = gate.clone();
            w.origin("o1", move |mut c| {
                c.request();
                wait.wait();
                c.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbegun");
                c.wait_end();
            });
            w.proxy(&format!(
                "global\n  log 127.0.0.1:${{log}} local0\ndefaults\n  mode http\n  log global\n  timeout connect 5s\n  timeout client \
                 20s\n  timeout server 20s\nfrontend fe\n  bind 127.0.0.1:${{fe}}\n{}  default_backend be\nbackend be\n  server s1 \
                 127.0.0.1:${{o1}}\n",
                indent(&lines)
            ));
            let mut c = w.client("fe");
            c.get("/", "");
            if before_head {
                assert_eq!(w.logs(1).len(), 1);
            }
            gate.open();
            c.head();
            c.read_exactly(5);
            if before_end {
                w.logs(1);
            }
            c.reset();
            w.logs(count);
        });
    }
}

/// What a receiver does not take now it gets when it does, and others are not kept waiting.
#[test]
fn a_receiver_that_rests() {
    let mut w = World::new(Binary::under_test());
    w.ok("o1");
    let socket = std::os::unix::net::UnixDatagram::bind(w.dir().join("slow")).unwrap();
    w.proxy(
        &(global_log("log ${dir}/slow format raw local0\n  log 127.0.0.1:${log} format raw local0")
            .replace("  default_backend be\n", "  log-format \"%HP %B\"\n  default_backend be\n")),
    );
    // many more than the socket's queue holds
    let mut c = w.client("fe");
    for n in 0..100 {
        c.get(&format!("/{n}"), "");
        c.response();
    }
    let quick = w.logs(100);
    assert_eq!(quick.len(), 100);
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut bytes = [0; 200];
    for line in &quick {
        let len = socket.recv(&mut bytes).unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes[..len]).trim_end(), line);
    }
}

/// Its targets are taken once, however often it is said.
#[test]
fn log_global_is_said_twice() {
    scenario("logs/log_global_is_said_twice", |w| {
        w.ok("o1");
        w.proxy(&sections("log global\nlog global\nlog 127.0.0.1:${log} local1", ""));
        for path in ["/1", "/2"] {
            w.client("fe").get(path, "Connection: close\r\n").read_to_end();
        }
        w.logs(4);
    });
}

#[test]
fn structured_data() {
    scenario("logs/structured_data", |w| {
        w.ok("o1");
        w.proxy(
            &(global_log("log 127.0.0.1:${log} format rfc5424 local0").replace(
                "  default_backend be\n",
                "  log-format-sd \"[example@1 bytes=\\\"%B\\\" status=\\\"%ST\\\"]\"\n  default_backend be\n",
            )),
        );
        w.client("fe").get("/path", "Connection: close\r\n").read_to_end();
        let line = w.logs(1).concat();
        w.forget_logs();
        let at = line.find('[').unwrap_or(0);
        w.note(portcullis_e2e::mask::line(&line[at..]));
    });
}

/// What a connection logs that ends before it has a request is nothing of the request before it.
#[test]
fn nothing_is_left_of_the_request_before() {
    scenario("logs/nothing_is_left_of_the_request_before", |w| {
        w.answering("o1", "HTTP/1.1 200 OK\r\nX-R: theirs\r\nContent-Length: 2\r\n\r\nok");
        let frontend = "capture request header X-Q len 9\ncapture response header X-R len 9\nlog-format \"%hr %hs %{+Q}r %ST %ts\"\n\
                        use_backend no if { path /no }";
        w.proxy(&format!(
            "{}backend no\n  retries 0\n  server s1 127.0.0.1:${{closed}}\n",
            sections(frontend, "")
        ));
        let mut c = w.client("fe");
        c.get("/x", "X-Q: mine\r\n").response();
        w.logs(1);
        c.close();
        w.client("fe").close();
        w.logs(2);
        let mut c = w.client("fe");
        c.get("/no", "Connection: close\r\n").read_to_end();
        w.logs(3);
    });
}

/// `option logasap`: lines of what ends before a response is there have their plus, too.
#[test]
fn logasap_of_failures() {
    scenario("logs/logasap_of_failures", |w| {
        let closed = "backend no\n  retries 0\n  server s1 127.0.0.1:${closed}\n";
        let frontend = "option logasap\nuse_backend no if { path /no }\nhttp-request deny if { path /deny }";
        w.ok("o1");
        w.proxy(&format!("{}{closed}", sections(frontend, "")));
        w.client("fe").get("/no", "Connection: close\r\n").read_to_end();
        w.logs(1);
        w.client("fe").get("/deny", "Connection: close\r\n").read_to_end();
        w.logs(2);
        let mut c = w.client("fe");
        c.send("BAD\r\n\r\n");
        c.read_to_end();
        w.logs(3);
    });
}

/// A server that refuses has seen an address of ours all the same.
#[test]
fn our_address_towards_a_server_that_refuses() {
    scenario("logs/our_address_towards_a_server_that_refuses", |w| {
        let port = w.port("o1");
        assert!(port > 0);
        w.proxy(&sections("log-format \"%bi:%bp %si:%sp %ts\"", "retries 0"));
        w.client("fe").get("/", "Connection: close\r\n").read_to_end();
        w.logs(1);
    });
}
