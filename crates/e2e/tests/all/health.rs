//! Health checks: states, log lines, what statistics show of them (manual sections 4.2 and 5.2).
use portcullis_e2e::process::{PATIENCE, wait_for};
use portcullis_e2e::{Origin, OriginConn, World, scenario};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

const GLOBAL: &str = "\
global
  log 127.0.0.1:${log} local0
  stats socket ${dir}/cli level admin
  nbthread 1
  node here
defaults
  mode http
  log global
  timeout connect 2s
  timeout client 5s
  timeout server 5s
  default-server inter 500ms
frontend none
  bind 127.0.0.1:${fe}
  default_backend be
";

fn start(w: &mut World, config: &str) {
    w.proxy(&format!("{GLOBAL}{config}"));
    let socket = w.dir().join("cli");
    assert!(wait_for(PATIENCE, || socket.exists().then_some(())).is_some(), "no stats socket");
}

fn ask(w: &World, command: &str) -> String {
    let mut s = UnixStream::connect(w.dir().join("cli")).unwrap();
    s.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = s.write_all(format!("{command}\n").as_bytes());
    let _ = s.shutdown(Shutdown::Write);
    let mut answer = String::new();
    let _ = s.read_to_string(&mut answer);
    answer
}

/// An origin whose connections are not part of the transcript: nobody knows how many checks there are.
fn origin(w: &mut World, name: &str, script: impl Fn(OriginConn) + Send + Sync + 'static) -> Origin {
    Origin::start(name, w.port(name), script)
}

fn answering(w: &mut World, name: &str, response: &'static str) -> Origin {
    origin(w, name, move |mut c| {
        c.head();
        c.send_quietly(response.as_bytes());
        c.half_close();
        c.wait_end();
    })
}

fn ok(w: &mut World, name: &str) -> Origin {
    answering(w, name, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
}

/// Columns of one server in `show stat`; what says that a check is running is left out.
fn server(w: &World, backend: &str, name: &str) -> BTreeMap<String, String> {
    let text = ask(w, "show stat");
    let header: Vec<&str> = text.lines().next().unwrap_or("").trim_start_matches("# ").split(',').collect();
    let row = text.lines().find(|l| l.starts_with(&format!("{backend},{name},"))).unwrap_or("");
    let cell = |v: &str| v.trim_start_matches("* ").to_owned();
    header.iter().map(|h| h.to_string()).zip(row.split(',').map(cell)).collect()
}

fn column(w: &World, of: (&str, &str), name: &str) -> String {
    server(w, of.0, of.1).get(name).cloned().unwrap_or_default()
}

/// Waits until a column has this value.
fn until(w: &World, of: (&str, &str), name: &str, value: &str) {
    let reached = wait_for(PATIENCE, || (column(w, of, name) == value).then_some(()));
    assert!(reached.is_some(), "{of:?} {name}: {} is not {value}", column(w, of, name));
}

/// The message of a log line with its level; how long a check took is no part of it.
fn message(line: &str) -> String {
    let (level, rest) = line.split_once('>').unwrap_or(("", line));
    let text = &steady(rest.split_once("]: ").map_or(rest, |(_, t)| t));
    match text.split_once("check duration: ") {
        Some((before, after)) => {
            let after = after.trim_start_matches(|c: char| c.is_ascii_digit());
            format!("{level}> {before}check duration: N{after}")
        }
        None => format!("{level}> {text}"),
    }
}

/// HAProxy sometimes finds another reason when it looks again.
fn steady(text: &str) -> String {
    text.replace("(Transport endpoint is not connected)", "(Connection refused)")
}

/// Notes the log's messages, as they came.
fn log(w: &mut World, n: usize) {
    let lines: Vec<String> = w.logs(n).iter().map(|l| message(l)).collect();
    w.forget_logs();
    lines.iter().for_each(|l| w.note(l.clone()));
}

/// The same where their order is nobody's business.
fn log_sorted(w: &mut World, n: usize) {
    let mut lines: Vec<String> = w.logs(n).iter().map(|l| message(l)).collect();
    w.forget_logs();
    lines.sort();
    lines.iter().for_each(|l| w.note(l.clone()));
}

const COLUMNS: &[&str] = &[
    "status",
    "weight",
    "chkfail",
    "chkdown",
    "check_status",
    "check_code",
    "last_chk",
    "check_desc",
    "check_rise",
    "check_fall",
    "check_health",
    "tracked",
    "agent_status",
    "agent_code",
    "last_agt",
    "agent_desc",
    "agent_health",
];

fn note_server(w: &World, backend: &str, name: &str) {
    let row = server(w, backend, name);
    let cells: Vec<String> =
        COLUMNS.iter().map(|n| format!("{n}={}", steady(row.get(*n).map_or("?", String::as_str)))).collect();
    w.note(format!("{backend}/{name} {}", cells.join(" ")));
}

/// `show servers state` of one server, without times, and without the bit of a check that is running.
fn note_state(w: &World, backend: &str, name: &str) {
    let text = ask(w, &format!("show servers state {backend}"));
    let line = text.lines().find(|l| l.split(' ').nth(3) == Some(name)).unwrap_or("");
    let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    for (at, word) in words.iter_mut().enumerate() {
        match at {
            9 => *word = "N".into(),
            13 | 14 => *word = (word.parse::<u32>().unwrap_or(0) & !1).to_string(),
            _ => {}
        }
    }
    if words.get(13).is_some_and(|w| w == "0") {
        // the health of what is not checked is nothing
        words[12] = "-".into();
    }
    w.note(words.join(" "));
}

#[test]
fn a_server_goes_and_comes() {
    scenario("health/a_server_goes_and_comes", |w| {
        start(w, "backend be\n server s1 127.0.0.1:${o1} check fall 2 rise 2\n");
        w.logs(2);
        note_server(w, "be", "s1");
        note_state(w, "be", "s1");
        let mut c = w.client("fe");
        c.get("/", "");
        let (answer, _) = c.read_to_end();
        w.note(String::from_utf8_lossy(&answer).lines().next().unwrap_or("").to_owned());
        let _o1 = ok(w, "o1");
        until(w, ("be", "s1"), "check_health", "3");
        note_server(w, "be", "s1");
        note_state(w, "be", "s1");
        let lines: Vec<String> =
            w.logs(4).iter().filter(|l| l.contains("erver")).map(|l| message(l)).collect();
        w.forget_logs();
        lines.iter().for_each(|l| w.note(l.clone()));
    });
}

/// Origins of all kinds, one backend each: the line that the first check leads to, and what statistics keep.
fn kinds(w: &mut World, cases: &[(&str, &str)]) {
    let _banner = origin(w, "banner", |mut c| {
        c.send_quietly(b"+OK hello\r\nworld 123\r\n");
        c.half_close();
        c.wait_end();
    });
    let _http = answering(
        w,
        "http",
        "HTTP/1.1 200 All Fine\r\nContent-Length: 11\r\nX-A: b, c\r\nServer: z\r\n\r\nhello world",
    );
    let _sorry = answering(w, "sorry", "HTTP/1.1 503 Sorry Man\r\nContent-Length: 7\r\n\r\nbye bye");
    let _chunked = answering(
        w,
        "chunked",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    );
    let _empty = answering(w, "empty", "HTTP/1.1 204 No Content\r\n\r\n");
    let _silent = origin(w, "silent", |mut c| {
        c.wait_end();
    });
    w.port("closed");
    let mut config = String::from("backend be\n server s 127.0.0.1:1\n");
    for (n, (origin, lines)) in cases.iter().enumerate() {
        // only where nobody answers does it matter how long a check may take
        let time = if *origin == "silent" { "400ms" } else { "8s" };
        config.push_str(&format!(
            "backend b{n:02}\n mode tcp\n option log-health-checks\n timeout check {time}\n"
        ));
        lines.lines().for_each(|l| config.push_str(&format!(" {l}\n")));
        config.push_str(&format!(" server s 127.0.0.1:${{{origin}}} check fall 1 rise 1 inter 30s\n"));
    }
    // all begin at once
    let global = GLOBAL.replacen("  node here\n", "  node here\n  max-spread-checks 50ms\n", 1);
    w.proxy(&format!("{global}{config}"));
    let socket = w.dir().join("cli");
    assert!(wait_for(PATIENCE, || socket.exists().then_some(())).is_some(), "no stats socket");
    for (n, (origin, lines)) in cases.iter().enumerate() {
        let backend = format!("b{n:02}");
        let done = wait_for(PATIENCE, || {
            let text = ask(w, "show stat");
            let row = text.lines().find(|l| l.starts_with(&format!("{backend},s,")))?;
            (!row.contains(",INI,") && !row.contains(",* ")).then_some(())
        });
        assert!(done.is_some(), "{backend} is not checked");
        w.note(format!("{origin}: {}", lines.replace('\n', "; ")));
        let row = server(w, &backend, "s");
        let get = |n: &str| steady(row.get(n).map_or("", String::as_str));
        w.note(format!(
            "  {} {} {} {:?} {}",
            get("status"),
            get("check_status"),
            get("check_code"),
            get("last_chk"),
            get("check_desc")
        ));
    }
    let health = |w: &mut World| -> Vec<String> {
        w.logs(0).iter().map(|l| message(l)).filter(|l| l.contains("Health check")).collect()
    };
    let mut lines = health(w);
    while lines.len() < cases.len() {
        let before = w.logs(0).len();
        assert!(w.logs(before + 1).len() > before, "not every check is logged");
        lines = health(w);
    }
    w.forget_logs();
    lines.sort();
    lines.iter().for_each(|l| w.note(l.clone()));
}

#[test]
fn tcp_check_rules() {
    scenario("health/tcp_check_rules", |w| {
        kinds(
            w,
            &[
                ("banner", ""),
                ("closed", ""),
                ("banner", "option tcp-check"),
                ("closed", "option tcp-check"),
                ("banner", "option tcp-check\ntcp-check expect string +OK"),
                ("banner", "option tcp-check\ntcp-check expect string +NO"),
                (
                    "banner",
                    "option tcp-check\ntcp-check connect\ntcp-check expect string none comment \"my comment\"",
                ),
                ("banner", "option tcp-check\ntcp-check expect ! string hello"),
                ("banner", "option tcp-check\ntcp-check expect rstring ^x"),
                ("banner", "option tcp-check\ntcp-check expect binary 2b4f4b"),
                ("banner", "option tcp-check\ntcp-check expect binary 00ff"),
                ("banner", "option tcp-check\ntcp-check expect rbinary ^2B4F"),
                ("banner", "option tcp-check\ntcp-check expect string-lf +%[str(OK)]"),
                ("banner", "option tcp-check\ntcp-check expect string-lf +%[str(ZZ)]"),
                ("banner", "option tcp-check\ntcp-check expect binary-lf %[str(2b4f)]"),
                ("silent", "option tcp-check\ntcp-check expect string x"),
                (
                    "silent",
                    "option tcp-check\ntcp-check connect\ntcp-check comment \"waits\"\ntcp-check expect rstring x",
                ),
                ("silent", "option tcp-check\ntcp-check expect tout-status L4TOUT string NOPE"),
                ("closed", "option tcp-check\ntcp-check comment \"c1\"\ntcp-check connect port ${closed}"),
                (
                    "banner",
                    "option tcp-check\ntcp-check connect\ntcp-check expect string OK\ntcp-check connect port ${closed}",
                ),
                (
                    "banner",
                    "option tcp-check\ntcp-check expect ok-status L7OKC on-success \"got %[res.len]\" string OK",
                ),
                (
                    "banner",
                    "option tcp-check\ntcp-check expect error-status L7STS status-code int(43) on-error bad string NOPE",
                ),
                (
                    "banner",
                    "option tcp-check\ntcp-check set-var(check.x) str(OK)\ntcp-check connect\ntcp-check expect string-lf \
                     %[var(check.x)] on-success \"got %[var(check.x)]\"",
                ),
                ("silent", "option tcp-check\ntcp-check connect\ntcp-check send abc"),
                (
                    "banner",
                    "option tcp-check\ntcp-check expect status-code bin(323230) on-success \
                     \"<%{+Q}[str(a)]> %ST %[res.body] %{+M}[res.hdr(a)] %[bc_src] %HM \u{e9}\" string OK",
                ),
            ],
        );
    });
}

#[test]
fn http_check_rules() {
    scenario("health/http_check_rules", |w| {
        kinds(
            w,
            &[
                ("http", "option httpchk"),
                ("http", "option httpchk GET /a HTTP/1.1 www.example.org"),
                (
                    "http",
                    "option httpchk\nhttp-check send meth POST uri /p ver HTTP/1.1 hdr Host foo body \"abc def\"",
                ),
                ("http", "option httpchk\nhttp-check expect status 200-299"),
                ("http", "option httpchk\nhttp-check expect status 201"),
                ("http", "option httpchk\nhttp-check expect ! status 200"),
                ("http", "option httpchk\nhttp-check expect rstatus ^3"),
                ("http", "option httpchk\nhttp-check expect string hello"),
                ("http", "option httpchk\nhttp-check expect comment cmt string nope"),
                ("http", "option httpchk\nhttp-check expect ! string hello"),
                ("http", "option httpchk\nhttp-check expect rstring w.rld$"),
                ("http", "option httpchk\nhttp-check expect hdr name X-a value b"),
                ("http", "option httpchk\nhttp-check expect fhdr name x-a value \"b, c\""),
                ("http", "option httpchk\nhttp-check expect hdr name x-nope"),
                ("http", "option httpchk\nhttp-check expect fhdr name -m reg ^s value -m reg ^z$"),
                ("sorry", "option httpchk"),
                ("sorry", "option httpchk\nhttp-check expect status 503"),
                ("chunked", "option httpchk\nhttp-check expect string hello"),
                ("empty", "option httpchk\nhttp-check expect string zz"),
                ("silent", "option httpchk"),
                ("closed", "option httpchk"),
                (
                    "http",
                    "option httpchk\nhttp-check connect\nhttp-check send meth GET\nhttp-check expect status 200\nhttp-check \
                     connect port ${sorry}\nhttp-check send meth GET uri /2",
                ),
                (
                    "http",
                    "option httpchk\nhttp-check expect on-success \"st %[status]\" status-code status status 200",
                ),
                ("http", "option httpchk\nhttp-check expect ok-status L7OKC status 200"),
                ("http", "option httpchk\nhttp-check comment \"a comment\"\nhttp-check expect status 404"),
            ],
        );
    });
}

#[test]
fn operators() {
    scenario("health/operators", |w| {
        let _o1 = ok(w, "o1");
        start(
            w,
            "backend be\n option log-health-checks\n server s1 127.0.0.1:${o1} check inter 1h\n server t1 127.0.0.1:${o1} \
             track be/s1\n server s2 127.0.0.1:${o1} backup\n",
        );
        until(w, ("be", "s1"), "check_status", "L4OK");
        for command in [
            "set server be/s1 state drain",
            "set server be/s1 state ready",
            "set server be/s1 state maint",
            "set server be/t1 state maint",
            "set server be/s1 state drain",
            "set server be/t1 state ready",
            "set server be/s1 state ready",
            "set server be/s1 health down",
            "set server be/s1 state drain",
            "set server be/s1 state maint",
            "set server be/s1 state ready",
            "set server be/s1 health stopping",
            "set server be/t1 health down",
            "set server be/s1 health up",
            "disable health be/s1",
            "enable health be/s1",
            "enable health be/s2",
            "enable agent be/s1",
            "set server be/s1 agent up",
            "set server be/s1 check-port",
            "set server be/s1 check-port 99999",
            "set server be/s2 check-port 4",
            "set server be/s2 health down",
            "disable server be/s2",
            "enable server be/s2",
        ] {
            w.note(format!("$ {command}: {}", ask(w, command).trim_end().escape_debug()));
            for name in ["s1", "t1", "s2"] {
                note_state(w, "be", name);
                w.note(format!("  {name}: {}", column(w, ("be", name), "status")));
            }
        }
        log(w, 29);
    });
}

#[test]
fn initial_states() {
    scenario("health/initial_states", |w| {
        let mut config = String::from("backend be\n");
        for state in ["none", "fully-up", "up", "down", "fully-down"] {
            config.push_str(&format!(
                " server s-{state} 127.0.0.1:${{o1}} check inter 1h init-state {state}\n"
            ));
        }
        config.push_str(" server d 127.0.0.1:${o1} check disabled\n");
        start(w, &config);
        // the first is checked at once, and nobody is there
        until(w, ("be", "s-none"), "status", "DOWN");
        for state in ["s-none", "s-fully-up", "s-up", "s-down", "s-fully-down", "d"] {
            note_server(w, "be", state);
            note_state(w, "be", state);
        }
        log(w, 1);
    });
}

/// Nobody but its agent can tell that it is back.
#[test]
fn an_agent_alone() {
    scenario("health/an_agent_alone", |w| {
        let _o1 = ok(w, "o1");
        let _agent = origin(w, "agent", |mut c| {
            c.send_quietly(b"up\n");
            c.half_close();
            c.wait_end();
        });
        start(
            w,
            "backend be\n server s1 127.0.0.1:${o1} agent-check agent-inter 1h agent-port ${agent}\n server s2 127.0.0.1:${o1}\n",
        );
        until(w, ("be", "s1"), "agent_status", "L7OK");
        for command in ["agent down", "state maint", "state ready", "agent up"] {
            ask(w, &format!("set server be/s1 {command}"));
            w.note(command);
            note_server(w, "be", "s1");
        }
    });
}

#[test]
fn agents() {
    scenario("health/agents", |w| {
        let (say, hear) = std::sync::mpsc::channel::<&'static str>();
        let hear = std::sync::Mutex::new((hear, ""));
        let _o1 = ok(w, "o1");
        let _agent = origin(w, "agent", move |mut c| {
            let line = {
                let mut now = hear.lock().unwrap();
                while let Ok(next) = now.0.try_recv() {
                    now.1 = next;
                }
                now.1
            };
            c.send_quietly(line.as_bytes());
            c.half_close();
            c.wait_end();
        });
        start(
            w,
            "backend be\n server s1 127.0.0.1:${o1} check weight 40 agent-check agent-inter 50ms agent-port ${agent}\n server s2 \
             127.0.0.1:${o1}\n",
        );
        for (line, column, value) in [
            ("up\n", "agent_status", "L7OK"),
            ("down\n", "status", "DOWN (agent)"),
            ("up\n", "status", "UP"),
            ("fail #boom goes\n", "status", "DOWN (agent)"),
            ("up ready\n", "status", "UP"),
            ("50%\n", "weight", "20"),
            ("weight:10 maxconn:7\n", "weight", "10"),
            ("weight:100%\n", "weight", "40"),
            ("drain\n", "status", "DRAIN (agent)"),
            ("ready\n", "status", "UP"),
            ("maint\n", "status", "MAINT"),
            ("up ready\n", "status", "UP"),
            ("stopped\r\n", "status", "DOWN (agent)"),
        ] {
            say.send(line).unwrap();
            until(w, ("be", "s1"), column, value);
            w.note(format!("{}: {column} {value}", line.escape_debug()));
        }
        note_server(w, "be", "s1");
        w.note(ask(w, "set server be/s1 agent x").trim_end().to_owned());
        log(w, 8);
    });
}

/// A check that says nothing does not even end the handshake: the server's program never sees it.
#[test]
fn silent_checks_are_not_accepted() {
    scenario("health/silent_checks_are_not_accepted", |w| {
        let accepted = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let seen = accepted.clone();
        let _o1 = origin(w, "o1", move |_| {
            seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        });
        let _o2 = ok(w, "o2");
        start(
            w,
            "backend be\n server s1 127.0.0.1:${o1} check inter 10ms\n server s2 127.0.0.1:${o2} check inter 10ms\n\
             backend own\n option tcp-check\n tcp-check connect comment both\n server s1 127.0.0.1:${o1} check inter 10ms\n",
        );
        until(w, ("be", "s1"), "check_status", "L4OK");
        until(w, ("own", "s1"), "check_status", "L4OK");
        w.note(accepted.load(std::sync::atomic::Ordering::Relaxed).to_string());
        w.forget_logs();
    });
}

#[test]
fn shutdown_sessions() {
    scenario("health/shutdown_sessions", |w| {
        let _o1 = origin(w, "o1", |mut c| {
            c.send_quietly(b"hello\n");
            c.wait_end();
        });
        start(
            w,
            "listen li\n mode tcp\n bind 127.0.0.1:${li}\n server s1 127.0.0.1:${o1} check inter 1h on-marked-down \
             shutdown-sessions\nbackend be\n server s 127.0.0.1:1\n",
        );
        let mut c = w.client("li");
        c.read_exactly(6);
        w.note(ask(w, "set server li/s1 health down").trim_end().to_owned());
        let (rest, _) = c.read_to_end();
        w.note(format!("{rest:?}"));
        let lines: Vec<String> =
            w.logs(3).iter().map(|l| message(l)).filter(|l| l.contains("available")).collect();
        w.forget_logs();
        lines.iter().for_each(|l| w.note(l.clone()));
    });
}

#[test]
fn observed_traffic() {
    scenario("health/observed_traffic", |w| {
        let _o1 = answering(w, "o1", "HTTP/1.1 500 Bad\r\nContent-Length: 0\r\n\r\n");
        let _o2 = ok(w, "o2");
        start(
            w,
            "backend be\n balance roundrobin\n server s1 127.0.0.1:${o1} check port ${o2} inter 1h observe layer7 error-limit 3 \
             on-error mark-down\n",
        );
        until(w, ("be", "s1"), "check_status", "L4OK");
        for n in 0..4 {
            if n == 3 {
                until(w, ("be", "s1"), "status", "DOWN");
            }
            let mut c = w.client("fe");
            c.get("/", "Connection: close\r\n");
            let (answer, _) = c.read_to_end();
            w.note(String::from_utf8_lossy(&answer).lines().next().unwrap_or("").to_owned());
        }
        for name in ["status", "check_status", "chkfail", "chkdown"] {
            w.note(format!("{name}={}", column(w, ("be", "s1"), name)));
        }
        let lines: Vec<String> =
            w.logs(6).iter().map(|l| message(l)).filter(|l| l.contains("Server be")).collect();
        w.forget_logs();
        lines.iter().for_each(|l| w.note(l.clone()));
    });
}

#[test]
fn programs() {
    scenario("health/programs", |w| {
        let script = w.file(
            "check.sh",
            "#!/bin/sh\necho \"$@\" $HAPROXY_SERVER_NAME $HAPROXY_PROXY_NAME $HAPROXY_SERVER_PROTO > ${dir}/args\nexit 3\n",
        );
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&script, mode).unwrap();
        let global = GLOBAL.replacen(
            "  node here\n",
            "  node here\n  external-check\n  insecure-fork-wanted\n  max-spread-checks 50ms\n",
            1,
        );
        w.proxy(&format!(
            "{global}backend be\n option log-health-checks\n option external-check\n external-check command {}\n server s1 \
             127.0.0.1:8080 check inter 30s fall 1\nbackend b2\n option log-health-checks\n option external-check\n \
             external-check command /bin/true\n server s2 127.0.0.1:8080 check inter 30s rise 1\nbackend b3\n option \
             log-health-checks\n option external-check\n external-check path /usr/bin:/bin\n external-check command \
             /bin/sleep\n server s3 127.0.0.1:8080 check inter 30s fall 1\n",
            script.display()
        ));
        log_sorted(w, 7);
        w.note(std::fs::read_to_string(w.dir().join("args")).unwrap_or_default());
    });
}

/// TLS under checks: which connections have it, what they send and offer, and how failures are told.
#[test]
fn over_tls() {
    scenario("health/over_tls", |w| {
        crate::tls::own(w, "a", false, "DNS:a.test");
        let _plain = ok(w, "plain");
        let _garbage = answering(w, "garbage", "HTTP/1.0 400 no\r\n\r\n");
        let _silent = origin(w, "silent", |mut c| {
            c.wait_end();
        });
        let by = |rules: &str, text: &str| {
            format!("  option httpchk GET /\n{rules}  http-check expect string <{text}>\n")
        };
        let says = |text: &str| by("", text);
        let mut config = String::from(
            "frontend web\n  bind 127.0.0.1:${tls} ssl crt ${dir}/a.pem alpn http/1.1\n  http-request return status 200 \
             content-type text/plain lf-string \"<%[ssl_fc_sni]|%[ssl_fc_alpn]|%[req.hdr(host)]>\"\nbackend be\n",
        );
        let tls = "127.0.0.1:${tls} check verify none";
        let mut backends = Vec::new();
        let mut add = |name: &'static str, lines: &str, server: &str| {
            config.push_str(&format!("backend {name}\n  timeout check 1s\n{lines}  server s {server}\n"));
            backends.push(name);
        };
        add("plainly", "", &format!("{tls} ssl"));
        add("nameless", &says("||"), &format!("{tls} ssl sni str(not.this)"));
        add("named", &says("a.b||"), &format!("{tls} ssl check-sni a.b"));
        add("offers", &says("|http/1.1|"), &format!("{tls} ssl check-alpn http/1.1"));
        add("as_traffic", &says("|http/1.1|"), &format!("{tls} ssl alpn http/1.1"));
        let host = "  http-check send meth GET uri / hdr host c.d:80\n";
        add("by_host", &by(host, "c.d||c.d:80"), &format!("{tls} ssl"));
        add("not_by_host", &by(host, "||c.d:80"), &format!("{tls} ssl no-check-sni-auto"));
        add("elsewhere", &says("||"), "127.0.0.1:1 check ssl verify none port ${tls} check-ssl");
        add("only_checks", &says("||"), &format!("{tls} check-ssl"));
        add(
            "not_checks",
            "  option httpchk GET /\n",
            "127.0.0.1:${plain} check ssl verify none no-check-ssl",
        );
        add("moved", "  option httpchk GET /\n", "127.0.0.1:1 check ssl verify none port ${plain}");
        add(
            "rule",
            &by(&format!("  http-check connect ssl sni e.f alpn http/1.1\n{host}"), "e.f|http/1.1|c.d:80"),
            tls,
        );
        add(
            "default_rule",
            &by(&format!("  http-check connect default\n{host}"), "a.b||c.d:80"),
            &format!("{tls} ssl check-sni a.b"),
        );
        add(
            "twice",
            "  option tcp-check\n  tcp-check connect ssl\n  tcp-check send \"GET / HTTP/1.0\\r\\n\\r\\n\"\n  tcp-check expect \
             string <||>\n  tcp-check connect port ${tls} ssl sni g.h alpn http/1.1\n  tcp-check send \"GET / \
             HTTP/1.0\\r\\n\\r\\n\"\n  tcp-check expect string <g.h|http/1.1|>\n",
            tls,
        );
        add("trusted", "", "127.0.0.1:${tls} check ssl verify required ca-file ${dir}/a.pem");
        add("untrusted", "", "127.0.0.1:${tls} check ssl verify required ca-file ${dir}/b.pem");
        add("nonsense", "  option httpchk GET /\n", "127.0.0.1:${garbage} check ssl verify none");
        add("silence", "", "127.0.0.1:${silent} check ssl verify none");
        add(
            "step",
            "  option tcp-check\n  tcp-check connect ssl\n  tcp-check expect string x\n",
            "127.0.0.1:${garbage} check verify none",
        );
        crate::tls::own(w, "b", false, "DNS:b.test");
        start(w, &config);
        for name in backends {
            let of = (name, "s");
            if ["untrusted", "nonsense", "silence", "step"].contains(&name) {
                until(w, of, "status", "DOWN");
            } else {
                let checked = || !column(w, of, "check_duration").is_empty();
                assert!(wait_for(PATIENCE, || checked().then_some(())).is_some(), "{name} is not checked");
            }
            w.note(format!(
                "{name}: {} {} {}",
                column(w, of, "status"),
                column(w, of, "check_status"),
                column(w, of, "last_chk")
            ));
        }
    });
}

/// `healthcheck` sections: a server's own instead of its backend's.
#[test]
fn named_sections() {
    scenario("health/named_sections", |w| {
        let _http = answering(w, "http", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
        let _banner = origin(w, "banner", |mut c| {
            c.send_quietly(b"+PONG\r\n");
            c.half_close();
            c.wait_end();
        });
        start(
            w,
            "\
healthcheck page
 type httpchk GET /x HTTP/1.1 h.test
 http-check expect string hello
healthcheck other
 type httpchk
 http-check send meth GET uri /y
 http-check expect string bye
healthcheck banner
 type tcp-check
 tcp-check connect
 tcp-check expect string PONG
healthcheck redis
 type redis-check
backend be
 option tcp-check
 tcp-check expect string nothing
 default-server fall 1
 server s1 127.0.0.1:${http} check healthcheck page
 server s2 127.0.0.1:${http} check healthcheck other
 server s3 127.0.0.1:${banner} check healthcheck banner
 server s4 127.0.0.1:${banner} check healthcheck redis
 server s5 127.0.0.1:${banner} check
",
        );
        for (server, status) in
            [("s1", "L7OK"), ("s2", "L7RSP"), ("s3", "L7OK"), ("s4", "L7OK"), ("s5", "L7RSP")]
        {
            until(w, ("be", server), "check_status", status);
            note_server(w, "be", server);
        }
        w.forget_logs();
    });
}
