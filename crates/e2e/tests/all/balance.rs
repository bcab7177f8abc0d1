//! Which server is chosen (manual: balance, hash-type, hash-key, hash-balance-factor, hash-preserve-affinity,
//! use-server).
use crate::indent;
use portcullis_e2e::process::{PATIENCE, wait_for};
use portcullis_e2e::{World, scenario};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

/// One frontend, and a backend with these lines and servers; responses name the server.
fn config(lines: &str, servers: &[&str]) -> String {
    let servers: String = servers
        .iter()
        .enumerate()
        .map(|(i, s)| format!("  server s{} 127.0.0.1:${{o1}} {s}\n", i + 1))
        .collect();
    format!(
        "
global
  stats socket ${{dir}}/cli level admin
  nbthread 1
defaults
  mode http
  timeout connect 10s
  timeout client 30s
  timeout server 30s
frontend fe
  bind 127.0.0.1:${{fe}}
  default_backend be
backend be
{}  http-response set-header x-server %s
{servers}",
        indent(lines)
    )
}

fn start(w: &mut World, lines: &str, servers: &[&str]) {
    w.ok("o1");
    w.proxy(&config(lines, servers));
    let socket = w.dir().join("cli");
    assert!(wait_for(PATIENCE, || socket.exists().then_some(())).is_some(), "no stats socket");
}

/// Sends a request of its own connection; notes the server.
fn ask(w: &mut World, request: &str) {
    let mut c = w.client("fe");
    c.send(request);
    c.read_to_end();
}

fn get(w: &mut World, target: &str, fields: &str) {
    ask(w, &format!("GET {target} HTTP/1.1\r\nHost: h\r\n{fields}Connection: close\r\n\r\n"));
}

/// One command of the Runtime API.
fn command(w: &World, line: &str) {
    let mut s = UnixStream::connect(w.dir().join("cli")).unwrap();
    s.write_all(format!("{line}\n").as_bytes()).unwrap();
    s.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    s.read_to_string(&mut answer).unwrap();
    w.note(format!("$ {line}"));
    w.note(format!("| {}", answer.trim()));
}

const WEIGHTS: [&str; 5] = ["weight 1", "weight 2", "weight 3", "weight 10", "weight 50"];

macro_rules! by_target {
    ($($name:ident: $lines:expr;)*) => {
        $(#[test]
        fn $name() {
            scenario(concat!("balance/", stringify!($name)), |w| {
                start(w, $lines, &WEIGHTS);
                for target in [
                    "/", "/a", "/a/b/c", "/a/b/d", "/a/b/c?k=1", "/a?k=2", "/b?x=1&k=2", "/b?kk=1&k=", "/b?K=3",
                    "/index.html?k=v1#f", "http://h/a/b/c?k=1", "/aa/bb/cc/dd/ee",
                ] {
                    get(w, target, "X-K: same\r\n");
                }
                ask(w, "POST /p HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 7\r\n\r\na=1&k=2");
                ask(w, "POST /p?k=9 HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 3\r\n\r\nk=2");
            });
        })*
    };
}

by_target! {
    uri: "balance uri";
    uri_depth: "balance uri depth 2\nhash-type map-based djb2";
    uri_len: "balance uri len 5 whole\nhash-type consistent";
    uri_path_only: "balance uri path-only whole\nhash-type map-based crc32";
    url_param: "balance url_param k\nhash-type map-based wt6 avalanche";
    url_param_check_post: "balance url_param k check_post\nhash-type consistent";
    static_round_robin: "balance static-rr";
    round_robin: "balance roundrobin";
    first: "balance first";
    sticky: "balance sticky";
}

macro_rules! by_field {
    ($($name:ident: $lines:expr;)*) => {
        $(#[test]
        fn $name() {
            scenario(concat!("balance/", stringify!($name)), |w| {
                start(w, $lines, &WEIGHTS);
                for value in [
                    "one", "two", "one, two", "", "\"a,b\",c", "www.example.com", "10.0.0.1", "example.com:8080",
                    "4294967295", "-7", "12abc", "192.0.2.1",
                ] {
                    get(w, "/", &format!("X-K: {value}\r\n"));
                }
                get(w, "/", "");
                get(w, "/", "X-K: one\r\nX-K: two\r\n");
            });
        })*
    };
}

by_field! {
    hdr: "balance hdr(X-K)";
    hdr_domain: "balance hdr(x-k) use_domain_only\nhash-type consistent wt6";
    hash_expression: "balance hash req.fhdr(x-k),lower\nhash-type consistent djb2 avalanche";
    hash_number: "balance hash req.hdr(x-k)\nhash-type map-based none";
    hash_address: "balance hash req.hdr(x-k),ipmask(24)\nhash-type map-based none avalanche";
    source: "balance source\nhttp-request set-src req.hdr(x-k)";
    source_consistent: "balance source\nhash-type consistent\nhttp-request set-src req.hdr(x-k)";
}

#[test]
fn states_change() {
    for (name, lines) in [
        ("consistent", "balance uri\nhash-type consistent"),
        ("map", "balance uri"),
        ("static_rr", "balance static-rr"),
        ("sticky", "balance sticky"),
        ("first", "balance first"),
    ] {
        scenario(&format!("balance/states_change_{name}"), |w| {
            start(w, lines, &["weight 3", "weight 3", "weight 3 backup", "weight 3 backup"]);
            let round = |w: &mut World| ["/a", "/b", "/c", "/d"].iter().for_each(|t| get(w, t, ""));
            round(w);
            for line in [
                "set server be/s1 state maint",
                "set server be/s2 state drain",
                "set server be/s3 state maint",
                "set server be/s1 state ready",
                "set server be/s1 weight 5",
                "set server be/s2 state ready",
            ] {
                command(w, line);
                round(w);
            }
        });
    }
}

#[test]
fn use_server() {
    scenario("balance/use_server", |w| {
        let lines = "balance first
            use-server s2 if { path /two }
            use-server s3 unless { path_beg / }
            use-server %[req.hdr(x-s)] if { req.hdr(x-s) -m found }
            use-server s3 if { path /three }";
        start(w, lines, &["", "weight 0", "", "disabled"]);
        get(w, "/", "");
        get(w, "/two", "X-S: s3\r\n");
        get(w, "/three", "");
        for name in ["s3", "s2", "s4", "nobody"] {
            get(w, "/x", &format!("X-S: {name}\r\n"));
            get(w, "/three", &format!("X-S: {name}\r\n"));
        }
        command(w, "set server be/s2 state drain");
        get(w, "/two", "");
        command(w, "set server be/s2 state maint");
        get(w, "/two", "");
    });
}

#[test]
fn names_in_statistics() {
    scenario("balance/names_in_statistics", |w| {
        let section = |(at, lines): (usize, &&str)| {
            format!("backend b{at}\n  {lines}\n  server s1 127.0.0.1:${{o1}}\n")
        };
        let all: String = [
            "",
            "balance",
            "balance roundrobin",
            "balance static-rr",
            "balance leastconn",
            "balance first",
            "balance random",
            "balance random(3)",
            "balance source",
            "balance uri",
            "balance url_param x",
            "balance hdr(x)",
            "balance rdp-cookie",
            "balance hash base",
            "balance sticky",
        ]
        .iter()
        .enumerate()
        .map(section)
        .collect();
        w.ok("o1");
        w.proxy(&format!("{}{all}", config("balance roundrobin", &[""])));
        let socket = w.dir().join("cli");
        assert!(wait_for(PATIENCE, || socket.exists().then_some(())).is_some(), "no stats socket");
        let mut s = UnixStream::connect(&socket).unwrap();
        s.write_all(b"show stat\n").unwrap();
        s.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        s.read_to_string(&mut answer).unwrap();
        let mut lines = answer.lines();
        let column = lines.next().unwrap().split(',').position(|c| c == "algo").unwrap();
        for line in lines {
            let fields: Vec<_> = line.split(',').collect();
            if fields.get(1) == Some(&"BACKEND") {
                w.note(format!("{}: {}", fields[0], fields[column]));
            }
        }
    });
}

/// What 3.5 says to odd lines.
#[test]
fn lines() {
    for (at, (mode, line)) in [
        ("http", "balance Roundrobin"),
        ("http", "balance random(0)"),
        ("http", "balance random(x)"),
        ("http", "balance random(3"),
        ("http", "balance random()"),
        ("http", "balance uri len 0"),
        ("http", "balance uri depth x"),
        ("http", "balance uri foo"),
        ("http", "balance url_param"),
        ("http", "balance url_param x foo"),
        ("http", "balance hdr()"),
        ("http", "balance hdr(x) foo"),
        ("http", "balance hash"),
        ("http", "balance hash req.hdr(x) extra"),
        ("http", "balance rdp-cookie()"),
        ("http", "balance log-hash"),
        ("http", "balance log-hash lower"),
        ("tcp", "balance uri"),
        ("tcp", "balance url_param x"),
        ("tcp", "balance hdr(x)"),
        ("tcp", "balance hash base"),
        ("http", "hash-type"),
        ("http", "hash-type avalanche"),
        ("http", "hash-type consistent foo"),
        ("http", "hash-type map-based djb2 foo"),
        ("http", "hash-balance-factor"),
        ("http", "hash-balance-factor 100"),
        ("http", "hash-balance-factor 150"),
        ("http", "hash-preserve-affinity"),
        ("http", "hash-preserve-affinity foo"),
        ("http", "default-server hash-key foo"),
        ("http", "server s2 127.0.0.1:1 hash-key foo"),
        ("http", "use-server"),
        ("http", "use-server s1"),
        ("http", "use-server s1 if foo"),
    ]
    .into_iter()
    .enumerate()
    {
        scenario(&format!("balance/lines_{at:02}"), |w| {
            let text = format!(
                "defaults\n  mode {mode}\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\nbackend b\n  \
                 {line}\n  server s1 127.0.0.1:1\n"
            );
            let out = w.check(&text, &[]);
            w.note(format!("{mode}: {line}"));
            w.note(format!("code {}", out.code));
            for l in out.stderr.lines().filter(|l| l.starts_with("[ALERT]") || l.starts_with("[WARNING]")) {
                let message = match l.split_once("cfg:") {
                    Some((_, rest)) => rest.split_once("] : ").map_or(rest, |(_, m)| m),
                    None => l.split_once(" : ").map_or(l, |(_, m)| m),
                };
                let about = ["balance", "hash-", "use-server", "Falling back", "such ACL"];
                if about.iter().any(|a| message.contains(a)) {
                    w.note(message);
                }
            }
        });
    }
}
