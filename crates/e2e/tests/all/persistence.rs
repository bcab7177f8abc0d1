//! Which server a client comes back to (manual: cookie, dynamic-cookie-key, option persist, force-persist,
//! ignore-persist, persist rdp-cookie, redir), and what the log tells of it.
use crate::indent;
use portcullis_e2e::process::{PATIENCE, wait_for};
use portcullis_e2e::{World, scenario};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

const SERVERS: [&str; 3] = ["cookie A", "cookie B", ""];

/// Starts a backend with these lines and servers. Its one origin answers with the fields that the request has in `set`,
/// one for each `|`.
fn start(w: &mut World, lines: &str, servers: &[&str]) {
    w.origin("o1", |mut c| {
        while let Some(request) = c.request() {
            let set = request.field("set").unwrap_or_default().replace('|', "\r\n");
            let set = if set.is_empty() { set } else { format!("{set}\r\n") };
            c.send_quietly(format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{set}\r\n").as_bytes());
        }
    });
    let servers: String = servers
        .iter()
        .enumerate()
        .map(|(i, s)| match s.strip_prefix("at ") {
            Some(elsewhere) => format!("  server s{} {elsewhere}\n", i + 1),
            None => format!("  server s{} 127.0.0.1:${{o1}} {s}\n", i + 1),
        })
        .collect();
    w.proxy(&format!(
        "
global
  log 127.0.0.1:${{log}} local0
  stats socket ${{dir}}/cli level admin
  nbthread 1
defaults
  mode http
  log global
  option httplog
  timeout connect 10s
  timeout client 30s
  timeout server 30s
frontend fe
  bind 127.0.0.1:${{fe}}
  capture cookie SRV len 20
  default_backend be
backend be
  balance roundrobin
  option redispatch 1
{}{servers}",
        indent(lines)
    ));
}

/// Sends requests of these methods and fields, each with a connection of its own, and waits for their log lines.
fn ask(w: &mut World, requests: &[(&str, &str)]) {
    for (n, (target, fields)) in requests.iter().enumerate() {
        let (method, target) = target.split_once(' ').unwrap_or(("GET", target));
        let mut c = w.client("fe");
        let length = if method == "POST" { "Content-Length: 0\r\n" } else { "" };
        let fields: String =
            fields.split('\n').filter(|f| !f.is_empty()).map(|f| format!("{f}\r\n")).collect();
        c.send(format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{fields}{length}Connection: close\r\n\r\n"));
        c.read_to_end();
        w.logs(n + 1);
    }
}

/// What clients and servers may say about the cookie.
const TALK: &[(&str, &str)] = &[
    ("/", ""),
    ("/", ""),
    ("/none", ""),
    ("/", "Cookie: SRV=A"),
    ("/", "Cookie: a=b; SRV=B; x=y"),
    ("/", "Cookie: SRV=Z"),
    ("/", "Cookie: SRV="),
    ("/", "Cookie: SRV"),
    ("/", "Cookie: srv=A"),
    ("/", "Cookie: SRV=A, SRV=B"),
    ("/", "Cookie: SRV=Z\nCookie: x=1; SRV=B;y=2"),
    ("/", "Cookie: $Version=1; SRV=A; $Path=/"),
    ("/", "Cookie: SRV=B~x~y; q=w"),
    ("/", "Cookie: SRV=\"A\""),
    ("/", "set: Set-Cookie: SRV=own; path=/"),
    ("/none", "set: Set-Cookie: SRV=own; path=/"),
    ("/", "Cookie: SRV=B\nset: Set-Cookie: SRV=own; path=/"),
    ("/", "Cookie: SRV=B\nset: Set-Cookie: x=y|Set-Cookie: SRV = \"v w\" ; secure"),
    ("/", "set: Set-Cookie: a=b|Set-Cookie: SRV=1|Set-Cookie: SRV=2"),
    ("POST /", ""),
    ("POST /", "Cookie: SRV=A"),
    ("/", "set: Cache-Control: max-age=10"),
    ("POST /", "set: Cache-Control: private|Cache-Control: public, max-age=10"),
    ("/use", "Cookie: SRV=B"),
    ("/use", "set: Set-Cookie: SRV=own"),
    ("/ignore", "Cookie: SRV=B"),
    ("/ignore", "set: Set-Cookie: SRV=own"),
    ("/deny", "Cookie: SRV=B"),
    ("/return", "Cookie: SRV=B"),
    ("/late", "Cookie: SRV=Z"),
];

const RULES: &str = "
    use-server s1 if { path /use }
    ignore-persist if { path /ignore }
    http-request deny if { path /deny }
    http-request return status 200 if { path /return }
    http-request set-header cookie SRV=B if { path /late }
    http-response set-header x-rule %[res.cook(SRV)]
    http-after-response set-header x-after %[res.cook(SRV)]";

#[test]
fn modes() {
    for (name, options) in [
        ("insert", "insert"),
        ("insert_indirect", "insert indirect nocache"),
        ("insert_postonly", "insert postonly"),
        ("insert_preserve", "insert preserve"),
        ("rewrite", "rewrite"),
        ("prefix", "prefix"),
        ("prefix_indirect", "prefix indirect"),
        ("indirect", "indirect"),
        ("passive", "nocache httponly"),
    ] {
        scenario(&format!("persistence/modes_{name}"), |w| {
            start(w, &format!("cookie SRV {options}\n{RULES}"), &SERVERS);
            ask(w, TALK);
        });
    }
}

#[test]
fn attributes() {
    scenario("persistence/attributes", |w| {
        let options = "insert httponly secure domain .a.com domain b.com attr SameSite=None attr \"X y\"";
        start(w, &format!("cookie SRV {options}"), &SERVERS);
        ask(w, &[("/", ""), ("/", "Cookie: SRV=Z"), ("/", ""), ("/", "Cookie: SRV=A")]);
    });
}

/// Dates that have passed and that have not come yet; what is written today is masked.
#[test]
fn dates() {
    let asked: Vec<String> =
        ["A", "A|", "A||", "A|abc", "A|AAAAB", "A|zzzzz", "A||AAAAB", "A|zzzzz|zzzzz", "Z|AAAAB"]
            .iter()
            .map(|c| format!("Cookie: SRV={c}"))
            .chain(["Cookie: SRV=A; SRV=B|AAAAB".into(), "Cookie: SRV=B|AAAAB; SRV=A".into()])
            .collect();
    for (name, options) in [
        ("none", ""),
        ("maxidle", "maxidle 10s"),
        ("maxlife", "maxlife 1h"),
        ("both", "maxidle 10 maxlife 1m"),
    ] {
        scenario(&format!("persistence/dates_{name}"), |w| {
            let mask = r#"http-after-response replace-value set-cookie ([^|]*)([|])([A-Za-z0-9+/]{5})(.*) "\1 DATE \4""#;
            start(w, &format!("cookie SRV insert indirect {options}\n{mask}\n{mask}"), &SERVERS[..2]);
            let mut requests = vec![("/", "")];
            requests.extend(asked.iter().map(|a| ("/", a.as_str())));
            ask(w, &requests);
        });
    }
}

/// Servers that are down, and what may send a client there nevertheless.
#[test]
fn servers_that_are_down() {
    let requests = [("/", "Cookie: SRV=B"), ("/", "Cookie: SRV=A"), ("/", ""), ("/f", "Cookie: SRV=B")];
    for (name, lines) in [
        ("plain", ""),
        ("persist", "option persist"),
        ("force", "force-persist if { path /f }"),
        ("ignore_first", "ignore-persist if { path /f }\nforce-persist if { path /f }"),
    ] {
        scenario(&format!("persistence/down_{name}"), |w| {
            let servers = ["cookie A", "cookie B disabled", "cookie A backup", "cookie B disabled"];
            start(w, &format!("cookie SRV insert indirect\n{lines}"), &servers);
            ask(w, &requests);
        });
    }
}

/// A server that cannot be connected to loses its clients to others, unless they are forced to it.
#[test]
fn redispatch() {
    for (name, lines, state) in [
        ("plain", "", ""),
        ("off", "no option redispatch\nretries 0", ""),
        ("forced", "force-persist if TRUE\nretries 0", ""),
        ("down_persist", "option persist\noption redispatch", "disabled"),
    ] {
        scenario(&format!("persistence/redispatch_{name}"), |w| {
            let gone = format!("at 127.0.0.1:${{nobody}} cookie B {state}");
            start(w, &format!("cookie SRV insert indirect\n{lines}"), &["cookie A", &gone]);
            ask(w, &[("/", "Cookie: SRV=B")]);
        });
    }
}

#[test]
fn redir() {
    scenario("persistence/redir", |w| {
        let servers = ["cookie A redir http://img", "cookie B redir http://b/x"];
        start(w, "cookie SRV insert indirect", &servers);
        let requests = [
            ("/x/y?z", ""),
            ("/q", "Cookie: SRV=A"),
            ("POST /", ""),
            ("HEAD /h", ""),
            ("http://h/abs?d", ""),
            ("OPTIONS *", ""),
        ];
        ask(w, &requests);
    });
}

/// One command of the Runtime API, noted with its answer.
fn command(w: &World, line: &str) -> String {
    let socket = w.dir().join("cli");
    let mut s = wait_for(PATIENCE, || UnixStream::connect(&socket).ok()).expect("a stats socket");
    s.write_all(format!("{line}\n").as_bytes()).unwrap();
    s.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    s.read_to_string(&mut answer).unwrap();
    w.note(format!("$ {line}: {}", answer.escape_debug()));
    answer
}

/// Values are the same as HAProxy's, so that a fleet can be changed one by one.
#[test]
fn dynamic() {
    scenario("persistence/dynamic", |w| {
        let servers = ["", "cookie own", "at 127.0.0.1:1 backup", "at unix@/nowhere backup"];
        start(w, "cookie SRV insert indirect dynamic\ndynamic-cookie-key secret", &servers);
        let values = |w: &World| -> Vec<String> {
            let mut s = UnixStream::connect(w.dir().join("cli")).unwrap();
            s.write_all(b"show stat be 4 -1\n").unwrap();
            s.shutdown(Shutdown::Write).unwrap();
            let mut all = String::new();
            s.read_to_string(&mut all).unwrap();
            let at = all.lines().next().unwrap().split(',').position(|c| c == "cookie").unwrap();
            let mut lines = all.lines().filter(|l| l.starts_with("be,"));
            let mut cookies: Vec<String> =
                lines.by_ref().map(|l| l.split(',').nth(at).unwrap().to_owned()).collect();
            // that of s1 is made of the origin's port
            let first = cookies.remove(0);
            cookies.push(format!("{} digits", first.len()));
            cookies
        };
        for line in [
            "disable dynamic-cookie backend be",
            "enable dynamic-cookie backend be",
            "set dynamic-cookie-key backend be other",
            "set dynamic-cookie-key backend be",
            "set dynamic-cookie-key backend",
            "set dynamic-cookie-key backend nobody x",
            "enable dynamic-cookie backend nobody",
            "enable dynamic-cookie backend",
            "disable dynamic-cookie backend fe",
        ] {
            command(w, line);
            let now = values(w).join(" ");
            w.note(now);
        }
    });
}

/// A terminal server's cookie names it by address and port.
#[test]
fn rdp() {
    for (name, lines, state) in [
        ("plain", "", ""),
        ("disabled", "", "disabled"),
        ("persist", "option persist", "disabled"),
        // not ignored, in fact
        ("ignored", "ignore-persist if { src 127.0.0.1 }", ""),
    ] {
        scenario(&format!("persistence/rdp_{name}"), |w| {
            for origin in ["o1", "o2"] {
                w.origin(origin, move |mut c| {
                    c.read_exactly(3);
                    c.send_quietly(origin.as_bytes());
                });
            }
            let port = w.port("o2");
            w.proxy(&format!(
                "
global
  log 127.0.0.1:${{log}} local0
  nbthread 1
defaults
  mode tcp
  log global
  option tcplog
  timeout connect 10s
  timeout client 30s
  timeout server 30s
listen be
  bind 127.0.0.1:${{fe}}
  tcp-request inspect-delay 10s
  tcp-request content accept if {{ req.rdp_cookie_cnt(msts) gt 0 }}
  persist rdp-cookie
  balance first
{}  server s1 127.0.0.1:${{o1}}
  server s2 127.0.0.1:${{o2}} {state}
",
                indent(lines)
            ));
            let cookie =
                format!("Cookie: msts={}.{}.0000\r\n", u32::from_le_bytes([127, 0, 0, 1]), port.swap_bytes());
            let mut packet =
                vec![3, 0, 0, 11 + cookie.len() as u8, 6 + cookie.len() as u8, 0xe0, 0, 0, 0, 0, 0];
            packet.extend_from_slice(cookie.as_bytes());
            let mut c = w.client("fe");
            c.send_quietly(&packet);
            c.read_exactly(2);
            c.close();
            w.logs(1);
        });
    }
}
