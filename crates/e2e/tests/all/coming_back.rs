//! Servers that come back and warm up (`slowstart`), backends that are published and not (`be-unpublished`,
//! `force-be-switch`), and servers behind a SOCKS4 server (`socks4`).
use portcullis_e2e::process::{PATIENCE, wait_for};
use portcullis_e2e::{World, scenario};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

const GLOBAL: &str = "\
global
  log 127.0.0.1:${log} local0
  stats socket ${dir}/cli level admin
  nbthread 1
defaults
  mode http
  log global
  option httplog
  timeout connect 5s
  timeout client 5s
  timeout server 5s
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

fn command(w: &World, line: &str) {
    let answer = ask(w, line);
    w.note(format!("$ {line}"));
    w.note(format!("| {}", answer.trim()));
}

fn column(w: &World, server: &str, name: &str) -> String {
    let text = ask(w, "show stat");
    let header = text.lines().next().unwrap_or("").trim_start_matches("# ");
    let at = header.split(',').position(|h| h == name).unwrap();
    let row = text.lines().find(|l| l.starts_with(&format!("{server},"))).unwrap_or("");
    row.split(',').nth(at).unwrap_or("").to_owned()
}

fn get(w: &mut World, target: &str) {
    let mut c = w.client("fe");
    c.send(format!("GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
    c.read_to_end();
}

#[test]
fn a_server_warms_up() {
    scenario("coming_back/a_server_warms_up", |w| {
        w.ok("o1");
        start(
            w,
            "frontend fe\n  bind 127.0.0.1:${fe}\n  default_backend be\nbackend be\n  balance roundrobin\n  server s1 \
             127.0.0.1:${o1} weight 100 maxconn 20 slowstart 3s\n  server s2 127.0.0.1:${o1} weight 100\n",
        );
        // never when the process begins
        w.note(format!(
            "weight {} throttle '{}'",
            column(w, "be,s1", "weight"),
            column(w, "be,s1", "throttle")
        ));
        command(w, "set server be/s1 state maint");
        command(w, "set server be/s1 state ready");
        let weight: u32 = column(w, "be,s1", "weight").parse().unwrap();
        assert!((1..100).contains(&weight), "{weight}");
        assert!(!column(w, "be,s1", "throttle").is_empty());
        assert!(ask(w, "show servers state be").contains(" s1 127.0.0.1 1 0 100 100 "));
        command(w, "get weight be/s1");
        let warm = wait_for(PATIENCE, || (column(w, "be,s1", "weight") == "100").then_some(()));
        assert!(warm.is_some());
        let state = ask(w, "show servers state be");
        assert!(state.contains(" s1 127.0.0.1 2 0 100 100 "), "{state}");
        command(w, "set server be/s1 health down");
        command(w, "set server be/s1 health up");
        command(w, "set server be/s1 state maint");
        let lines = w.logs(6);
        w.forget_logs();
        for line in lines {
            w.note(line.rsplit("]: ").next().unwrap_or_default());
        }
    });
}

#[test]
fn backends_are_published() {
    scenario("coming_back/backends_are_published", |w| {
        w.ok("o1");
        start(
            w,
            "frontend fe\n  bind 127.0.0.1:${fe}\n  force-be-switch if { hdr(x-all) -m found }\n  use_backend one if { \
             path_beg /one }\n  use_backend two if { path_beg /one }\n  default_backend one\nbackend one\n  be-unpublished\n  \
             server s1 127.0.0.1:${o1}\nbackend two\n  server s2 127.0.0.1:${o1}\nlisten three\n  bind 127.0.0.1:${three}\n  \
             be-unpublished\n  server s3 127.0.0.1:${o1}\n",
        );
        get(w, "/one");
        get(w, "/");
        let mut c = w.client("fe");
        c.send("GET /one HTTP/1.1\r\nHost: h\r\nX-All: 1\r\nConnection: close\r\n\r\n");
        c.read_to_end();
        let mut c = w.client("three");
        c.send("GET /three HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        c.read_to_end();
        for line in [
            "publish backend one",
            "publish backend one",
            "publish backend",
            "publish backend nope",
            "unpublish backend fe",
        ] {
            command(w, line);
        }
        w.note(column(w, "one,BACKEND", "status"));
        get(w, "/");
        command(w, "unpublish backend two");
        w.note(column(w, "two,BACKEND", "status"));
        get(w, "/one");
        w.logs(6);
    });
}

#[test]
fn a_way_through_a_socks_server() {
    scenario("coming_back/a_way_through_a_socks_server", |w| {
        // grants what port 80 is asked for, and is the server itself then
        w.origin("socks", |mut c| {
            let request = c.read_exactly(16);
            if request.get(2..4) != Some(&[0, 80]) {
                c.send([0, 91, 0, 0, 0, 0, 0, 0]);
                c.half_close();
                c.wait_end();
                return;
            }
            // an answer in pieces, the server's first bytes behind it
            c.send([0, 90, 0]);
            c.send([0, 0, 0, 0, 0]);
            c.request();
            c.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            c.wait_end();
        });
        start(
            w,
            "frontend fe\n  bind 127.0.0.1:${fe}\n  use_backend no if { path /no }\n  use_backend six if { path /six }\n  \
             default_backend be\nbackend be\n  server s1 192.0.2.1:80 socks4 127.0.0.1:${socks}\nbackend no\n  retries 0\n  server \
             s2 192.0.2.1:81 socks4 127.0.0.1:${socks}\nbackend six\n  retries 0\n  server s3 [2001:db8::1]:80 socks4 \
             127.0.0.1:${socks}\n",
        );
        get(w, "/");
        get(w, "/no");
        w.logs(2);
    });
}

/// What 3.5 says to odd lines.
#[test]
fn lines() {
    for (at, (section, line)) in [
        ("backend b", "server s 127.0.0.1:80 slowstart x"),
        ("backend b", "server s 127.0.0.1:80 slowstart 0"),
        ("backend b", "server s 127.0.0.1:80 slowstart 10s"),
        ("backend b", "server s 127.0.0.1:80 slowstart 99999999999"),
        ("backend b", "default-server slowstart 3s"),
        ("backend b", "server s 127.0.0.1:80 socks4"),
        ("backend b", "server s 127.0.0.1:80 socks4 127.0.0.1"),
        ("backend b", "server s 127.0.0.1:80 socks4 foo.invalid:1080"),
        ("backend b", "server s 127.0.0.1:80 socks4 [::1]:1080 check check-via-socks4"),
        ("backend b", "server s 127.0.0.1:80 idle-ping 3s"),
        ("backend b", "be-unpublished"),
        ("backend b", "force-be-switch if TRUE"),
        ("frontend b", "be-unpublished"),
        ("frontend b", "force-be-switch"),
        ("frontend b", "force-be-switch if TRUE"),
        ("frontend b", "force-be-switch unless { path / }"),
        ("frontend b", "force-be-switch if foo"),
    ]
    .into_iter()
    .enumerate()
    {
        scenario(&format!("coming_back/lines_{at:02}"), |w| {
            let bind = if section.starts_with("frontend") { "  bind 127.0.0.1:${fe}\n" } else { "" };
            let text = format!(
                "defaults\n  mode http\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\n{section}\n{bind}  \
                 {line}\n"
            );
            let out = w.check(&text, &[]);
            w.note(format!("{section}: {line}: {}", out.code));
            let about =
                |l: &&str| l.starts_with("[ALERT]") && !l.contains("rror(s) found") && !l.contains("Fatal");
            for l in out.stderr.lines().filter(about) {
                let message = l.split_once("check.cfg:").map_or(l, |(_, m)| m);
                let message = message.trim_start_matches(|c: char| c.is_ascii_digit() || "]: ".contains(c));
                w.note(format!("  {}", message.trim_end_matches('.')));
            }
        });
    }
}
