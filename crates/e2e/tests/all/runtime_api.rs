//! The Runtime API on `stats socket` (management.txt sections 9.1 to 9.3).
use crate::sections;
use portcullis_e2e::binary::Binary;
use portcullis_e2e::process::{PATIENCE, wait_for};
use portcullis_e2e::{Gate, World, scenario};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;

const GLOBAL: &str = "\
global
  stats socket ${dir}/cli mode 600 level admin
  stats socket ${dir}/oper level operator severity-output number
  stats socket ${dir}/user level user
  stats timeout 2s
  stats maxconn 50
  maxconn 1000
  nbthread 1
  node here
  description \"a test\"
defaults
  mode http
  timeout connect 10s
  timeout client 30s
  timeout server 30s
";

/// Starts the binary on these sections.
pub fn start(w: &mut World, config: &str) {
    w.proxy(&format!("{GLOBAL}{config}"));
    let last = w.dir().join("user");
    assert!(wait_for(PATIENCE, || last.exists().then_some(())).is_some(), "no stats socket");
}

/// Sends bytes to a socket, finishes, and reads the answer to its end.
pub fn talk(w: &World, socket: &str, bytes: &[u8]) -> String {
    let connect = || UnixStream::connect(w.dir().join(socket)).ok();
    let mut s = wait_for(PATIENCE, connect).expect("a stats socket");
    s.set_read_timeout(Some(PATIENCE)).unwrap();
    // a binary that closes early is no failure of the test
    let _ = s.write_all(bytes);
    let _ = s.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let _ = s.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// What one command answers.
pub fn ask(w: &World, command: &str) -> String {
    talk(w, "cli", format!("{command}\n").as_bytes())
}

/// Notes what was sent and what came back, line by line.
fn note(w: &World, sent: &str, answer: &str) {
    w.note(format!("$ {}", sent.escape_debug()));
    answer.split('\n').for_each(|l| w.note(format!("| {l}")));
}

/// Sends each of these to a socket and notes the answers.
fn all(w: &World, socket: &str, sent: &[&str]) {
    for s in sent {
        note(w, s, &talk(w, socket, format!("{s}\n").as_bytes()));
    }
}

fn get(w: &mut World, path: &str) -> String {
    let mut c = w.client("fe");
    c.get(path, "Connection: close\r\n");
    String::from_utf8_lossy(&c.read_to_end().0).into_owned()
}

/// Rows of `show stat` by proxy and service name, as maps from column to value.
fn stat(w: &World, command: &str) -> Vec<BTreeMap<String, String>> {
    let text = ask(w, command);
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or("").trim_start_matches("# ").split(',').collect();
    lines
        .filter(|l| !l.is_empty())
        .map(|l| header.iter().map(|h| h.to_string()).zip(l.split(',').map(str::to_string)).collect())
        .collect()
}

/// Waits until every session has ended.
fn settle(w: &World) {
    let settled = wait_for(PATIENCE, || {
        let zero = |r: &BTreeMap<String, String>| r.get("scur").is_some_and(|v| v == "0");
        stat(w, "show stat").iter().all(zero).then_some(())
    });
    w.note(format!("settled: {}", settled.is_some()));
}

/// These columns of every row.
fn columns(w: &World, command: &str, names: &[&str]) {
    for row in stat(w, command) {
        let cell = |n: &str| row.get(n).cloned().unwrap_or_else(|| "?".into());
        let cells: Vec<String> = names.iter().map(|n| format!("{n}={}", cell(n))).collect();
        w.note(format!("{}/{} {}", cell("pxname"), cell("svname"), cells.join(" ")));
    }
}

/// Runs of digits as one N.
fn digits(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '0'..='9' if out.ends_with('N') => {}
            '0'..='9' => out.push('N'),
            c => out.push(c),
        }
    }
    out
}

fn two_servers() -> String {
    sections(
        "option socket-stats",
        "server s2 127.0.0.1:${o2} weight 5 backup\nserver s3 127.0.0.1:${o2} disabled maxqueue 7 id 33",
    )
}

#[test]
fn one_line_and_many() {
    scenario("runtime_api/one_line_and_many", |w| {
        w.ok("o1");
        start(w, &sections("", ""));
        all(
            w,
            "cli",
            &[
                "show cli level",
                "show cli level;show cli sockets",
                "show cli level ; ; echo a b",
                ";show cli level",
                "show cli level;",
                "",
                "show cli level\nshow cli level",
                "prompt",
                "prompt\nshow cli level\n\nshow cli level;echo x\nquit\nshow cli level",
                "prompt\nshow cli level\nprompt\nshow cli level",
                "prompt help",
                "prompt i\nshow cli level\n\nshow cli level",
                "prompt p\necho 1",
                "prompt n\necho 1",
                "prompt i n\necho 1\necho 2",
                "prompt x",
                "quit",
                r#"echo a\;b c\\d "x y""#,
                "echo  a   b ",
                "echo a\\\nb",
                "\tshow\tcli   level ",
                "show cli level\r",
            ],
        );
        let timed = talk(w, "cli", b"prompt timed\necho 1\n");
        note(w, "prompt timed", &digits(&timed));
    });
}

#[test]
fn payloads() {
    scenario("runtime_api/payloads", |w| {
        w.ok("o1");
        start(w, &sections("", ""));
        all(
            w,
            "cli",
            &[
                "echo x <<\nabc\n",
                "echo x <<EOF\nabc\n\nEOF",
                "echo x <<\nnever ended",
                "prompt\necho x <<\nline1\nline2\n\nshow cli level",
                "prompt i\necho x <<END\nline1\nEND\nshow cli level",
                "echo x<<\necho y",
                "echo x << y",
            ],
        );
    });
}

#[test]
fn limits_and_keys_of_the_configuration() {
    scenario("runtime_api/limits_and_keys_of_the_configuration", |w| {
        w.ok("o1");
        let global = "global\n  anonkey 77\n  tune.cli.max-payload-size 100\n";
        start(w, &format!("{global}{}", sections("", "")));
        let long = format!("echo x <<\n{}\n", "a".repeat(16_384));
        all(w, "cli", &["set anon on; show anon", &long]);
    });
}

#[test]
fn settings_of_a_connection() {
    scenario("runtime_api/settings_of_a_connection", |w| {
        w.ok("o1");
        start(w, &sections("", ""));
        all(
            w,
            "cli",
            &[
                "expert-mode",
                "expert-mode on;expert-mode;expert-mode off; expert-mode",
                "experimental-mode on; experimental-mode",
                "show anon",
                "set anon on 4; show anon; set anon off; show anon",
                "set severity-output number; get weight be; set weight be/s1 1;show cli level",
                "set severity-output string; get weight; show cli level; set severity-output",
                "set severity-output none; get weight",
                "set timeout",
                "set timeout cli",
                "set timeout cli x",
                "set timeout cli 5s",
                "wait",
                "wait abc",
                "wait -h",
                "show env HOME_OF_NOBODY",
            ],
        );
    });
}

#[test]
fn levels() {
    scenario("runtime_api/levels", |w| {
        w.ok("o1");
        start(w, &sections("", ""));
        let commands = [
            "show cli level",
            "show env X_NOBODY",
            "get weight be/s1",
            "set weight be/s1 5",
            "disable frontend fe",
            "show backend",
            "clear counters",
            "clear counters all",
            "show sess 0x1",
            "shutdown session 0x1",
            "set maxconn global 10",
            "set rate-limit sessions global 3",
            "enable server be/s1",
            "set server be/s1 state ready",
            "wait 1 srv-removable be/x",
            "operator",
            "user; operator; show cli level",
            "show events nothing",
        ];
        all(w, "user", &commands);
        all(w, "oper", &commands);
        all(w, "cli", &["operator; show cli level; set weight be/s1 4; user; show cli level; show env"]);
        // addresses and algorithms are no user's business
        let legends = |socket: &str| {
            let text = talk(w, socket, b"show stat be 6 -1\n");
            let named = text.contains("127.0.0.1:");
            format!("{socket} sees addresses: {named}")
        };
        w.note(legends("user"));
        w.note(legends("oper"));
    });
}

#[test]
fn unknown_commands() {
    scenario("runtime_api/unknown_commands", |w| {
        w.ok("o1");
        start(w, &sections("", ""));
        for command in
            ["bogus", "show", "show servers", "sho info", "set maxconn", "@1 show info", "#show info"]
        {
            let answer = ask(w, command);
            let lines: Vec<&str> = answer.lines().collect();
            w.note(lines.first().copied().unwrap_or(""));
            lines.iter().rev().take(4).rev().for_each(|l| w.note(*l));
        }
        for command in ["show servers", "sho info", "set maxconn"] {
            note(w, command, &ask(w, command));
        }
    });
}

#[test]
fn odd_clients() {
    scenario("runtime_api/odd_clients", |w| {
        w.ok("o1");
        start(w, &sections("", ""));
        let mut many = b"echo ".to_vec();
        many.extend(b"w ".repeat(100));
        let mut huge = b"echo ".to_vec();
        huge.extend(b"a".repeat(20_000));
        let mut fits = b"echo ".to_vec();
        fits.extend(b"a".repeat(16_300));
        for (name, bytes) in [
            ("half a line", b"show cli lev".to_vec()),
            ("nothing", Vec::new()),
            ("too many words", many),
            ("too long", huge.clone()),
            ("just not too long", fits),
            ("a nul", b"show cli level\0 show backend\n".to_vec()),
            ("prompt, then too long", [b"prompt\n".to_vec(), huge].concat()),
        ] {
            let mut with_end = bytes.clone();
            if name != "half a line" && name != "nothing" {
                with_end.push(b'\n');
            }
            let answer = talk(w, "cli", &with_end);
            note(w, name, &answer.replace(&"a".repeat(16_300), "(16300 times a)"));
        }
        // slowly, byte by byte
        let mut s = UnixStream::connect(w.dir().join("cli")).unwrap();
        for b in b"show cli level\n" {
            s.write_all(&[*b]).unwrap();
        }
        let mut answer = String::new();
        s.read_to_string(&mut answer).unwrap();
        note(w, "slowly", &answer);
        // silent for longer than 'stats timeout'
        let mut s = UnixStream::connect(w.dir().join("cli")).unwrap();
        s.set_read_timeout(Some(PATIENCE)).unwrap();
        s.write_all(b"prompt\n").unwrap();
        let mut answer = String::new();
        let ended = s.read_to_string(&mut answer).is_ok();
        note(w, "silent", &format!("{answer} (closed: {ended})"));
        // gone before the answer
        for _ in 0..50 {
            let mut s = UnixStream::connect(w.dir().join("cli")).unwrap();
            s.write_all(b"prompt\nshow stat typed;show info;show stat json\n").unwrap();
        }
        all(w, "cli", &["show cli level"]);
        let line = get(w, "/").lines().next().unwrap_or("").to_string();
        w.note(line);
    });
}

#[test]
fn a_thousand_connections() {
    scenario("runtime_api/a_thousand_connections", |w| {
        w.ok("o1");
        start(w, &sections("", ""));
        let path = w.dir().join("cli");
        let threads: Vec<_> = (0..20)
            .map(|_| {
                let path = path.clone();
                std::thread::spawn(move || {
                    let mut good = 0;
                    for _ in 0..50 {
                        let mut s = UnixStream::connect(&path).unwrap();
                        s.write_all(b"show cli level\n").unwrap();
                        let mut answer = String::new();
                        s.read_to_string(&mut answer).unwrap();
                        good += usize::from(answer == "admin\n\n");
                    }
                    good
                })
            })
            .collect();
        let line = get(w, "/").lines().next().unwrap_or("").to_string();
        w.note(line);
        let good: usize = threads.into_iter().map(|t| t.join().unwrap()).sum();
        w.note(format!("{good} good answers"));
    });
}

#[test]
fn statistics() {
    scenario("runtime_api/statistics", |w| {
        w.answering("o1", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        w.ok("o2");
        let front = "option socket-stats\nhttp-request deny if { path /deny }\nhttp-request return status 204 if { path /empty }";
        let back =
            "server s2 127.0.0.1:${o2} weight 5 backup\nserver s3 127.0.0.1:${o2} disabled maxqueue 7 id 33";
        start(
            w,
            &format!(
                "{}listen tl\n  mode tcp\n  bind 127.0.0.1:${{tl}} maxconn 9 name side\n  option socket-stats\n  server t1 127.0.0.1:${{o1}} maxconn 12\n",
                sections(front, back)
            ),
        );
        for path in ["/a", "/b", "/deny", "/empty"] {
            get(w, path);
        }
        let mut c = w.client("fe");
        c.get("/kept", "").response();
        c.get("/kept", "Connection: close\r\n").response();
        c.close();
        let mut c = w.client("fe");
        c.send(b"BAD\r\n\r\n").read_to_end();
        let mut t = w.client("tl");
        t.get("/tcp", "Connection: close\r\n").response();
        t.close();
        settle(w);
        let text = ask(w, "show stat");
        for line in text.lines() {
            let shape: Vec<String> = line
                .split(',')
                .map(|v| match v.parse::<i64>() {
                    Ok(_) => "N".into(),
                    Err(_) => {
                        v.replace("unknown", "ALGO").replace("roundrobin", "ALGO").replace("random", "ALGO")
                    }
                })
                .collect();
            w.note(shape.join(","));
        }
        let names = [
            "qcur",
            "qmax",
            "scur",
            "smax",
            "slim",
            "stot",
            "dreq",
            "dresp",
            "ereq",
            "econ",
            "eresp",
            "wretr",
            "wredis",
            "status",
            "weight",
            "act",
            "bck",
            "chkdown",
            "qlimit",
            "pid",
            "iid",
            "sid",
            "lbtot",
            "type",
            "rate_lim",
            "hrsp_1xx",
            "hrsp_2xx",
            "hrsp_3xx",
            "hrsp_4xx",
            "hrsp_5xx",
            "hrsp_other",
            "req_tot",
            "cli_abrt",
            "srv_abrt",
            "addr",
            "mode",
            "conn_tot",
            "dcon",
            "dses",
            "wrew",
            "connect",
            "uweight",
            "proto",
            "h1req",
        ];
        columns(w, "show stat", &names);
        columns(w, "show stat 3 4 33", &["sid", "status"]);
        columns(w, "show stat be 4 -1", &["sid", "status"]);
        columns(w, "show stat -1 1 -1", &["sid", "status"]);
        columns(w, "show stat no-maint", &["sid", "status"]);
        columns(w, "show stat up", &["sid", "status"]);
        all(w, "cli", &["show stat nobody 4 -1", "show stat domain nothing"]);
    });
}

#[test]
fn statistics_typed_and_json() {
    scenario("runtime_api/statistics_typed_and_json", |w| {
        w.ok("o1");
        start(w, &two_servers());
        get(w, "/");
        for line in ask(w, "show stat typed").lines() {
            let mut parts = line.splitn(4, ':');
            let mut part = || parts.next().unwrap_or("").to_string();
            w.note(format!("{}:{}:{}", part(), part(), part()));
        }
        let json = ask(w, "show stat json");
        let fields = json.matches("{\"objType\":").count();
        w.note(format!("json: {} objects in {} arrays", fields, json.matches("[{").count()));
        w.note(json.split("},{").next().unwrap_or("").to_string());
        note(w, "show schema json", &ask(w, "show schema json"));
        for line in ask(w, "show stat typed desc").lines().take(12) {
            w.note(digits(line));
        }
    });
}

#[test]
fn information() {
    scenario("runtime_api/information", |w| {
        w.ok("o1");
        start(w, &sections("", ""));
        get(w, "/");
        settle(w);
        for line in ask(w, "show info").lines() {
            w.note(line.split_once(": ").map_or(line, |(name, _)| name).to_string());
        }
        let values = ask(w, "show info");
        let wanted = [
            "Name",
            "Nbthread",
            "Nbproc",
            "Process_num",
            "Maxconn",
            "CurrConns",
            "node",
            "description",
            "Stopping",
            "SessRateLimit",
            "ConnRateLimit",
            "DroppedLogs",
            "NbThreadGroups",
        ];
        for line in values.lines().filter(|l| wanted.iter().any(|n| l.starts_with(&format!("{n}: ")))) {
            w.note(line.to_string());
        }
        for line in ask(w, "show info typed").lines() {
            let mut parts = line.splitn(4, ':');
            let mut part = || parts.next().unwrap_or("").to_string();
            w.note(format!("{}:{}:{}", part(), part(), part()));
        }
        for line in ask(w, "show info desc").lines() {
            w.note(line.split_once(":\"").map_or("", |(_, help)| help).to_string());
        }
        let float = ask(w, "show info float");
        let up = float.lines().find_map(|l| l.strip_prefix("Uptime_sec: ")).unwrap_or("").to_string();
        w.note(format!("float: {}", up.parse::<f64>().is_ok()));
        let json = ask(w, "show info json");
        w.note(json.split("},{").next().unwrap_or("").to_string());
        w.note(format!("json fields: {}", json.matches("\"field\":").count()));
    });
}

#[test]
fn servers() {
    scenario("runtime_api/servers", |w| {
        w.ok("o1");
        w.ok("o2");
        start(w, &two_servers());
        let show = |w: &World| {
            for line in ask(w, "show servers state").lines() {
                // when it last changed depends on the second
                let mut words: Vec<&str> = line.split(' ').collect();
                if words.len() > 10 && !line.starts_with('#') {
                    words[9] = "N";
                }
                w.note(words.join(" "));
            }
        };
        show(w);
        all(
            w,
            "cli",
            &[
                "show servers state be",
                "show servers state nope",
                "show servers conn be",
                "show servers conn nope",
                "show backend",
                "get weight be/s1",
                "get weight #3/#33",
                "get weight be",
                "get weight be/x",
                "get weight x/s1",
                "get weight",
                "set weight be/s2 50%",
                "get weight be/s2",
                "set weight be/s2",
                "set weight be/s2 300",
                "set weight be/s2 -1",
                "set weight be/s2 abc",
                "set weight be/s2 5x",
                "set server be/s1",
                "set server",
                "set server be/s1 state bogus",
                "set server be/s1 bogus",
                "set server be/s1 weight 3",
                "set server nope/s1 state ready",
                "set server be/zz state ready",
                "enable server",
                "enable server be/zz",
                "set maxconn server be/s1 44",
                "set maxconn server be/s1",
                "set maxconn server be/s1 abc",
                "set server be/s1 addr",
                "set server be/s1 addr bogus",
                "set server be/s1 fqdn a.b",
                "wait 20 srv-removable be/s1",
                "wait 20 srv-removable zz",
            ]
            .map(|c| if c == "show servers state be" { "show backend" } else { c }),
        );
        for change in [
            "set server be/s1 state drain",
            "set server be/s1 state maint",
            "disable server be/s2",
            "enable server be/s3",
            "set server be/s1 state ready",
        ] {
            all(w, "cli", &[change]);
            show(w);
            columns(w, "show stat be 6 -1", &["status", "weight", "act", "bck", "slim", "chkdown"]);
        }
    });
}

#[test]
fn traffic_follows_the_servers() {
    scenario("runtime_api/traffic_follows_the_servers", |w| {
        w.answering("o1", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none");
        w.answering("o2", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo");
        start(w, &sections("", "balance roundrobin\nserver s2 127.0.0.1:${o2}"));
        let asked = |w: &mut World| {
            let mut bodies: Vec<String> =
                (0..4).map(|_| get(w, "/").lines().last().unwrap_or("").to_string()).collect();
            bodies.sort();
            bodies.join(" ")
        };
        let both = asked(w);
        w.note(both);
        all(w, "cli", &["disable server be/s1"]);
        let two = asked(w);
        w.note(two);
        all(w, "cli", &["set server be/s1 state ready; set server be/s2 state drain"]);
        let one = asked(w);
        w.note(one);
        let o2 = w.port("o2");
        let o1 = w.port("o1");
        let said = ask(w, &format!("set server be/s1 addr 127.0.0.1 port {o2}"));
        note(w, "moved", &said);
        let moved = asked(w);
        w.note(moved);
        let said = ask(w, &format!("set server be/s1 addr 127.0.0.1 port {o2}"));
        note(w, "moved again", &said);
        let said = ask(w, &format!("set server be/s1 addr 127.0.0.1 port {o1}"));
        note(w, "back", &said);
        all(w, "cli", &["set weight be/s1 0"]);
        let none = get(w, "/").lines().next().unwrap_or("").to_string();
        w.note(none);
    });
}

#[test]
fn frontends() {
    scenario("runtime_api/frontends", |w| {
        w.ok("o1");
        start(w, &sections("", ""));
        let port = w.port("fe");
        let open = || TcpStream::connect(("127.0.0.1", port)).is_ok();
        let status = |w: &World| columns(w, "show stat fe 1 -1", &["status"]);
        for command in [
            "disable frontend fe",
            "disable frontend fe",
            "enable frontend fe",
            "enable frontend fe",
            "disable frontend",
            "enable frontend nobody",
            "enable frontend be",
            "shutdown frontend",
            "shutdown frontend fe",
            "shutdown frontend fe",
            "enable frontend fe",
            "disable frontend fe",
        ] {
            all(w, "cli", &[command]);
            status(w);
            let settled = open();
            w.note(format!("connects: {settled}"));
            if settled {
                let line = get(w, "/").lines().next().unwrap_or("").to_string();
                w.note(line);
            }
        }
    });
}

/// Every worker has a descriptor of the same listening socket.
#[test]
fn a_frontend_of_several_workers_comes_back() {
    scenario("runtime_api/a_frontend_of_several_workers_comes_back", |w| {
        w.ok("o1");
        w.proxy(&format!("{}{}", GLOBAL.replace("nbthread 1", "nbthread 2"), sections("", "")));
        let last = w.dir().join("user");
        assert!(wait_for(PATIENCE, || last.exists().then_some(())).is_some(), "no stats socket");
        for _ in 0..3 {
            all(w, "cli", &["disable frontend fe", "enable frontend fe"]);
            let line = get(w, "/").lines().next().unwrap_or("").to_string();
            w.note(line);
        }
    });
}

#[test]
fn limits() {
    scenario("runtime_api/limits", |w| {
        w.ok("o1");
        start(w, &sections("", ""));
        all(
            w,
            "cli",
            &[
                "set maxconn global 100",
                "set maxconn global",
                "set maxconn global 99999",
                "set maxconn global abc",
                "set maxconn frontend fe 33",
                "set maxconn frontend fe",
                "set maxconn frontend nobody 3",
                "set maxconn frontend",
                "set rate-limit",
                "set rate-limit foo",
                "set rate-limit connections",
                "set rate-limit connections global",
                "set rate-limit connections global 500",
                "set rate-limit sessions global 600",
            ],
        );
        columns(w, "show stat fe 1 -1", &["slim"]);
        let info = ask(w, "show info");
        for line in info.lines().filter(|l| l.contains("RateLimit: ") && !l.starts_with("Ssl")) {
            w.note(line.to_string());
        }
    });
}

/// 0 is a number of connections for a frontend: they wait until there may be more.
#[test]
fn a_frontend_may_have_none() {
    scenario("runtime_api/a_frontend_may_have_none", |w| {
        w.ok("o1");
        start(
            w,
            &format!(
                "{}frontend other\n  bind 127.0.0.1:${{other}}\n  default_backend be\n",
                sections("", "")
            ),
        );
        all(w, "cli", &["set maxconn frontend fe 0"]);
        columns(w, "show stat fe 1 -1", &["slim"]);
        let mut waiting = w.client("fe");
        waiting.get("/waits", "Connection: close\r\n");
        // the only worker has seen both when it has answered this one
        let mut other = w.client("other");
        other.get("/", "Connection: close\r\n").read_to_end();
        columns(w, "show stat fe 1 -1", &["stot"]);
        all(w, "cli", &["set maxconn frontend fe 5"]);
        waiting.read_to_end();
        columns(w, "show stat fe 1 -1", &["slim", "stot"]);
    });
}

/// Sockets of the Runtime API are listeners, too; two figures of TLS change their nature with fractions.
#[test]
fn figures_of_the_process() {
    scenario("runtime_api/figures_of_the_process", |w| {
        w.ok("o1");
        start(w, &sections("", ""));
        let lines = |command: &str, wanted: &dyn Fn(&str) -> bool| {
            ask(w, command).lines().filter(|l| wanted(l)).map(str::to_owned).collect::<Vec<_>>()
        };
        lines("show info", &|l| l.starts_with("Listeners: ")).into_iter().for_each(|l| w.note(l));
        let nature = |l: &str| l.starts_with("35.") || l.starts_with("37.");
        for command in ["show info typed", "show info typed float"] {
            lines(command, &nature).into_iter().for_each(|l| w.note(l));
        }
    });
}

/// What checks found is shown while they are on, and what they counted is cleared with the rest.
#[test]
fn what_checks_found_is_shown_and_cleared() {
    scenario("runtime_api/what_checks_found_is_shown_and_cleared", |w| {
        w.ok("o1");
        w.origin("agent", |mut c| {
            c.send_quietly(b"down\n");
        });
        start(
            w,
            "backend be\n  server up 127.0.0.1:${o1} check inter 100ms init-state fully-up\n  \
             server off 127.0.0.1:1 check inter 100ms fall 1 init-state fully-up\n  \
             server agent 127.0.0.1:${o1} agent-check agent-port ${agent} agent-inter 100ms\n  \
             server follows 127.0.0.1:${o1} track agent\n",
        );
        let told = ["status", "chkfail", "chkdown", "check_status", "check_rise", "check_health"];
        let all_known = || {
            let text = ask(w, "show stat be 4 -1");
            ["DOWN (agent),", "L4CON", ",L4OK"].iter().all(|t| text.contains(t)).then_some(())
        };
        assert!(wait_for(PATIENCE, all_known).is_some(), "checks have not ended");
        columns(w, "show stat be 4 -1", &told);
        all(w, "cli", &["disable health be/up", "disable health be/off"]);
        columns(w, "show stat be 4 -1", &told);
        all(w, "cli", &["enable health be/up", "enable health be/off", "clear counters all"]);
        columns(w, "show stat be 4 -1", &["chkdown"]);
        w.forget_origins();
    });
}

#[test]
fn a_server_takes_fewer() {
    scenario("runtime_api/a_server_takes_fewer", |w| {
        let gate = Gate::default();
        let wait = gate.clone();
        let origin = w.origin("o1", move |mut c| {
            while c.request().is_some() {
                wait.wait();
                c.send_quietly(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            }
        });
        start(w, &sections("", ""));
        all(w, "cli", &["set maxconn server be/s1 1"]);
        let mut a = w.client("fe");
        a.get("/first", "Connection: close\r\n");
        origin.wait_line(0, "< GET /first");
        let mut b = w.client("fe");
        b.get("/second", "Connection: close\r\n");
        let queued = wait_for(PATIENCE, || {
            stat(w, "show stat be 2 -1").first().is_some_and(|r| r["qcur"] == "1").then_some(())
        });
        w.note(format!("one waits: {}", queued.is_some()));
        all(w, "cli", &["set maxconn server be/s1 2"]);
        origin.wait_line(1, "< GET /second");
        gate.open();
        a.read_to_end();
        b.read_to_end();
    });
}

#[test]
fn sessions() {
    scenario("runtime_api/sessions", |w| {
        let gate = Gate::default();
        let wait = gate.clone();
        let origin = w.origin("o1", move |mut c| {
            c.request();
            wait.wait();
        });
        start(
            w,
            &format!(
                "{}listen tl\n  mode tcp\n  bind 127.0.0.1:${{tl}}\n  server t1 127.0.0.1:${{o1}}\n",
                sections("", "")
            ),
        );
        // the stream that is asked for, and one in HTTP that waits for its answer
        let mut t = w.client("tl");
        t.get("/tcp", "");
        origin.wait_line(0, "< GET /tcp");
        let mut h = w.client("fe");
        h.get("/http", "");
        origin.wait_line(1, "< GET /http");
        let list = |w: &World, narrow: &str| {
            let mut lines: Vec<String> = ask(w, &format!("show sess {narrow}"))
                .lines()
                .filter(|l| l.contains("proto=") && !l.contains("fe=GLOBAL"))
                .map(|l| {
                    let words = l
                        .split(' ')
                        .filter(|w| ["proto=", "fe=", "be=", "srv="].iter().any(|p| w.starts_with(p)));
                    words.collect::<Vec<_>>().join(" ")
                })
                .collect();
            lines.sort();
            w.note(format!("show sess {narrow}"));
            lines.into_iter().for_each(|l| w.note(l));
        };
        list(w, "");
        list(w, "backend tl");
        list(w, "frontend fe");
        list(w, "server be/s1");
        all(
            w,
            "cli",
            &[
                "show sess 0x1",
                "show sess zz",
                "show sess backend",
                "show sess backend nobody",
                "show sess server nobody",
                "show sess older",
                "show sess older x",
                "show sess server",
                "show sess server be",
                "show sess susp",
                "show sess help",
                "shutdown session",
                "shutdown session 0x1",
                "shutdown session zz",
                "shutdown sessions server",
                "shutdown sessions server be/nobody",
            ],
        );
        let text = ask(w, "show sess");
        let id = text.lines().find(|l| l.contains("fe=tl")).and_then(|l| l.split(':').next()).unwrap_or("?");
        note(w, "shutdown session of tl", &ask(w, &format!("shutdown session {id}")));
        t.read_to_end();
        all(w, "cli", &["shutdown sessions server be/s1"]);
        h.read_to_end();
        gate.open();
    });
}

/// What `show sess all` tells of a stream: the lines that both have, without what is one's own.
fn told_in_full(w: &World, text: &str, frontend: &str) {
    let lines: Vec<&str> = text.lines().collect();
    let at = lines.iter().position(|l| l.starts_with(&format!("  frontend={frontend} "))).expect(text);
    let begins = lines[..at].iter().rposition(|l| l.starts_with("0x")).expect(text);
    let more = lines[begins + 1..].iter().take_while(|l| l.starts_with(' '));
    let keys = ["state=", "endp=", "ctrl=", "xprt=", "mux=", "uri=", "conn_retries="];
    for line in std::iter::once(&lines[begins]).chain(more) {
        let line = w.mask(line);
        let words: Vec<&str> = line.split(' ').collect();
        if ["  frontend=", "  backend=", "  server="].iter().any(|k| line.starts_with(k)) {
            w.note(line.clone());
        } else if line.starts_with("0x") {
            let date = words[1];
            let shape: String =
                date.chars().map(|c| if c.is_ascii_alphanumeric() { '9' } else { c }).collect();
            w.note(format!("{shape} {}", words[3..].join(" ")));
        } else if line.starts_with("  scf=") || line.starts_with("  scb=") || line.starts_with("      co") {
            let kept = words.iter().filter(|w| keys.iter().any(|k| w.starts_with(k)));
            // HAProxy names what is behind an end by its address
            let kept: Vec<&str> = kept.map(|w| w.split(',').next().unwrap_or_default()).collect();
            w.note(format!("{} {}", line.trim_start().split('=').next().unwrap_or_default(), kept.join(" ")));
        } else if let Some(uri) = line.split_once(" uri=").filter(|_| line.starts_with("  txn=")) {
            w.note(format!("uri={}", uri.1));
        }
    }
}

#[test]
fn sessions_in_full() {
    scenario("runtime_api/sessions_in_full", |w| {
        let gate = Gate::default();
        let wait = gate.clone();
        let origin = w.origin("o1", move |mut c| {
            c.request();
            c.send_quietly(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello");
            wait.wait();
        });
        let other = w.origin("o2", |mut c| {
            c.request();
            c.wait_end();
        });
        start(
            w,
            "defaults\n mode http\n option httplog\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n timeout \
             queue 30s\nfrontend fe\n bind 127.0.0.1:${fe} name front\n default_backend be\nfrontend fq\n bind \
             127.0.0.1:${fq}\n default_backend q\nbackend be\n server s1 127.0.0.1:${o1}\nbackend q\n server s1 \
             127.0.0.1:${o2} maxconn 1\nlisten tl\n mode tcp\n bind 127.0.0.1:${tl}\n server t1 127.0.0.1:${o1}\n",
        );
        let mut h = w.client("fe");
        h.get("/http?x=1", "");
        h.read_exactly(43);
        let mut t = w.client("tl");
        t.get("/tcp", "");
        t.read_exactly(43);
        let mut first = w.client("fq");
        first.get("/first", "");
        other.wait_line(0, "< GET /first");
        origin.wait_line(1, "< GET /tcp");
        let text = ask(w, "show sess all");
        told_in_full(w, &text, "fe");
        told_in_full(w, &text, "tl");
        told_in_full(w, &text, "fq");
        first.close();
        let mut waits = w.client("fq");
        let mut second = w.client("fq");
        waits.get("/holds", "");
        other.wait_line(1, "< GET /holds");
        second.get("/waits", "");
        let queued = portcullis_e2e::process::wait_for(portcullis_e2e::process::PATIENCE, || {
            Some(ask(w, "show sess"))
                .filter(|t| t.lines().any(|l| l.contains(" srv=<none> ") && l.contains("fe=fq")))
        });
        let line = queued.expect("nobody waits");
        let line = line.lines().find(|l| l.contains("srv=<none>")).unwrap();
        w.note(line.split(' ').find(|w| w.starts_with("scb=")).map_or("", |w| w.split(',').next().unwrap()));
        // when its wait ends is told, in both places
        let due = |key: &str| line.split(' ').any(|w| w.strip_prefix(key).is_some_and(|t| t.ends_with('s')));
        w.note(format!("waits: {}", due("exp=") && due("c_exp=")));
        let uris = ask(w, "show sess show-uri");
        let mut uris: Vec<&str> = uris.lines().filter_map(|l| Some(l.split_once(" uri=")?.1)).collect();
        uris.sort_unstable();
        uris.into_iter().for_each(|u| w.note(u.to_owned()));
        let id = line.split(':').next().unwrap_or_default();
        told_in_full(w, &ask(w, &format!("show sess {id} show-uri")), "fq");
        gate.open();
    });
}

/// Which lines `show activity` has of those that both know, and how arguments choose columns.
#[test]
fn activity() {
    scenario("runtime_api/activity", |w| {
        w.ok("o1");
        w.proxy(&format!("{}{}", GLOBAL.replace("nbthread 1", "nbthread 2"), sections("", "")));
        let last = w.dir().join("user");
        assert!(wait_for(PATIENCE, || last.exists().then_some(())).is_some(), "no stats socket");
        get(w, "/");
        for command in
            ["show activity", "show activity -1", "show activity 0", "show activity 2", "show activity x"]
        {
            w.note(format!("$ {command}"));
            let known = [
                "thread_id:",
                "date_now:",
                "uptime_now:",
                "ctxsw:",
                "tasksw:",
                "empty_rq:",
                "long_rq:",
                "loops:",
                "avg_loop_us:",
                "accepted:",
                "accq_pushed:",
                "fd_takeover:",
                "check_started:",
                "check_active:",
                "check_running:",
            ];
            for line in ask(w, command).lines() {
                let Some((name, rest)) = line.split_once(' ') else { continue };
                if known.contains(&name) {
                    let shape: Vec<&str> =
                        rest.split(' ').map(|w| if w.parse::<f64>().is_ok() { "N" } else { w }).collect();
                    w.note(format!("{name} {}", shape.join(" ")));
                }
            }
        }
        all(w, "cli", &["show activity 3", "show activity -2"]);
    });
}

#[test]
fn descriptors_by_kind() {
    scenario("runtime_api/descriptors_by_kind", |w| {
        let gate = Gate::default();
        let wait = gate.clone();
        let origin = w.origin("o1", move |mut c| {
            c.request();
            wait.wait();
        });
        start(w, &sections("", ""));
        let mut h = w.client("fe");
        h.get("/", "");
        origin.wait_line(0, "< GET /");
        for flags in ["l", "f", "b", "c", "s"] {
            w.note(format!("$ show fd {flags}"));
            let mut kinds: Vec<String> = ask(w, &format!("show fd {flags}"))
                .lines()
                .filter(|l| l.contains("fam=ipv4"))
                .map(|l| {
                    let words =
                        l.split(' ').filter(|w| ["back=", "fe=", "l.st="].iter().any(|k| w.starts_with(k)));
                    words.collect::<Vec<_>>().join(" ")
                })
                .collect();
            kinds.sort();
            kinds.dedup();
            kinds.into_iter().for_each(|k| w.note(k));
        }
        all(w, "cli", &["show fd x", "show fd foo"]);
        gate.open();
    });
}

#[test]
fn counters_are_cleared() {
    scenario("runtime_api/counters_are_cleared", |w| {
        w.ok("o1");
        start(w, &two_servers());
        get(w, "/");
        get(w, "/");
        settle(w);
        let names = ["smax", "stot", "hrsp_2xx", "req_tot", "lbtot", "conn_tot"];
        columns(w, "show stat", &names);
        all(w, "cli", &["clear counters"]);
        columns(w, "show stat", &names);
        all(w, "cli", &["clear counters server be/s1"]);
        columns(w, "show stat be 4 -1", &names);
        all(w, "cli", &["clear counters all"]);
        columns(w, "show stat", &names);
    });
}

#[test]
fn sockets_of_every_kind() {
    scenario("runtime_api/sockets_of_every_kind", |w| {
        w.ok("o1");
        let port = w.port("cli");
        let six = w.port("six");
        w.proxy(&format!(
            "global\n  stats socket unix@${{dir}}/one mode 600 level operator\n  stats socket ipv4@127.0.0.1:{port} level admin\n  \
             stats socket ipv6@[::1]:{six}\n  stats socket abns@{port}-cli level user name x\n  stats timeout 3s\n\
             defaults\n  mode http\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\n{}",
            sections("", "")
        ));
        let mut s = wait_for(PATIENCE, || TcpStream::connect(("127.0.0.1", port)).ok()).unwrap();
        s.write_all(b"show cli level;show cli sockets\n").unwrap();
        let mut answer = String::new();
        s.read_to_string(&mut answer).unwrap();
        note(w, "ipv4", &answer);
        let mut s = wait_for(PATIENCE, || TcpStream::connect(("::1", six)).ok()).unwrap();
        s.write_all(b"show cli level\n").unwrap();
        let mut answer = String::new();
        s.read_to_string(&mut answer).unwrap();
        note(w, "ipv6", &answer);
        let one = w.dir().join("one");
        assert!(wait_for(PATIENCE, || one.exists().then_some(())).is_some(), "no unix socket");
        note(w, "unix", &talk(w, "one", b"show cli level\n"));
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(w.dir().join("one")).unwrap());
        w.note(format!("mode {:o}", mode & 0o777));
    });
}

#[test]
fn configuration() {
    scenario("runtime_api/configuration", |w| {
        for line in [
            "stats",
            "stats bogus",
            "stats socket",
            "stats socket /tmp/x bogus",
            "stats socket /tmp/x level",
            "stats socket /tmp/x level foo",
            "stats socket 127.0.0.1:1999 level admin",
            "stats socket /tmp/x severity-output foo",
            "stats socket /tmp/x expose-fd",
            "stats socket /tmp/x expose-fd foo",
            "stats socket /tmp/x mode zz",
            "stats socket /tmp/x user nobodyx",
            "stats timeout 0",
            "stats timeout x",
            "stats timeout 30d",
            "stats maxconn",
            "stats maxconn 0",
            "stats maxconn 5",
            "stats bind-process 1",
            "stats socket /tmp/x mode 600 level admin user root group root",
        ] {
            let out = w.check(&format!("global\n  {line}\n"), &[]);
            let alert = out.stderr.lines().find(|l| l.starts_with("[ALERT]")).unwrap_or("");
            let alert = alert.split_once(" : ").map_or("", |(_, text)| text);
            w.note(format!(
                "{line} -> {} {}",
                out.code,
                alert.replace(&w.dir().display().to_string(), "DIR")
            ));
        }
    });
}

/// `show events -w` follows a ring until something is sent.
#[test]
fn rings_are_followed() {
    scenario("runtime_api/rings_are_followed", |w| {
        let config = GLOBAL.replacen("global\n", "global\n  log ring@r1 local0\n", 1).replacen(
            "defaults\n",
            "ring r1\n  size 32768\n  format raw\ndefaults\n  log global\n",
            1,
        );
        w.proxy(&format!(
            "{config}frontend fe\n  bind 127.0.0.1:${{fe}}\n  log-format \"got %HU\"\n  http-request return status 200\n"
        ));
        let path = w.dir().join("cli");
        let connect = || {
            let s = wait_for(PATIENCE, || UnixStream::connect(&path).ok()).unwrap();
            s.set_read_timeout(Some(PATIENCE)).unwrap();
            s
        };
        /// Reads up to this end.
        fn upto(s: &mut UnixStream, end: &str) -> String {
            let (mut text, mut byte) = (String::new(), [0; 1]);
            while !text.ends_with(end) && matches!(s.read(&mut byte), Ok(1)) {
                text.push(byte[0] as char);
            }
            text
        }
        get(w, "/1");
        let mut all = connect();
        all.write_all(b"show events r1 -w;show version\n").unwrap();
        w.note(format!("{:?}", upto(&mut all, "got /1\n")));
        let mut prompted = connect();
        prompted.write_all(b"prompt\n").unwrap();
        upto(&mut prompted, "> ");
        prompted.write_all(b"show events r1 -w\n").unwrap();
        w.note(format!("{:?}", upto(&mut prompted, "got /1\n")));
        get(w, "/2");
        w.note(format!("{:?}", upto(&mut all, "got /2\n")));
        w.note(format!("{:?}", upto(&mut prompted, "got /2\n")));
        all.write_all(b"x").unwrap();
        w.note(format!("stopped: {}", upto(&mut all, "\n\n\n").matches("3.5-dev5").count()));
        prompted.write_all(b"show version\n").unwrap();
        w.note(format!("{:?}", upto(&mut prompted, "> ")));
        note(w, "show events r1 -wn", &ask(w, "show events r1 -wn"));
        note(w, "show events stdout", &ask(w, "show events stdout -w"));
    });
}

/// `show errors`: what was malformed, and where. Flags are HAProxy's own, buffers of another size.
#[test]
fn errors() {
    scenario("runtime_api/errors", |w| {
        w.origin("o1", |mut c| {
            c.request();
            c.send_quietly(b"HTTP/1.1 200 OK\r\nBad Name: x\r\nContent-Length: 2\r\n\r\nok");
        });
        start(w, &sections("", "retries 0"));
        errors_of(w, "show errors");
        for bytes in [
            b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2\r\n\r\n".as_slice(),
            b"GET /\x01\xff HTTP/1.1\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\na\tc\\zz\r\n",
            b"\x16\x03\x01\x02\x00\x01",
            b"GET / HTTP/1.1\r\nHost: a\r\nX: y\ty\ty\ty\ty\ty\ty\ty\ty\ty\ty\ty\ty\ty\ty\ty\ty\ty\ty\ty\ty\ty\ty\ty\ty\ty\r\n\
              Foo Bar: x\r\n\r\n",
        ] {
            let mut c = w.client("fe");
            c.send(bytes);
            c.read_to_end();
            errors_of(w, "show errors");
        }
        get(w, "/");
        for command in [
            "show errors",
            "show errors fe",
            "show errors be request",
            "show errors be response",
            "show errors -1 request",
            "show errors 99",
            "show errors nobody",
        ] {
            errors_of(w, command);
        }
        note(w, "show errors", &talk(w, "user", b"show errors\n"));
    });
}

fn errors_of(w: &World, command: &str) {
    let shown: Vec<String> = ask(w, command)
        .lines()
        .filter(|l| !l.contains("flags") || l.contains("H1 msg state"))
        .map(|l| {
            let l = l.split(", H1 msg flags").next().unwrap_or(l);
            let l = l.split_once("buffer starts").map_or(l, |_| "  buffer");
            match l.split_once(", wraps at ") {
                Some((len, rest)) => {
                    let error = rest.split_once(", ").map_or("", |e| e.1);
                    format!("{len}, wraps, {error}")
                }
                None => l.to_owned(),
            }
        })
        .map(|l| match (l.starts_with('['), l.split_once(']')) {
            (true, Some((_, rest))) => format!("[date]{rest}"),
            _ => l
                .split_once(" on [")
                .map_or(l.clone(), |(a, b)| format!("{a} on [date{}", b.trim_start_matches(|c| c != ']'))),
        })
        .map(|l| l.split(", src ").next().unwrap_or(&l).to_owned())
        .collect();
    note(w, command, &shown.join("\n"));
}

/// `option contstats`: bytes are counted while a stream runs; the sums are the same at its end.
#[test]
fn bytes_of_running_streams() {
    for (name, option) in [("contstats", "option contstats"), ("without", "")] {
        scenario(&format!("runtime_api/bytes_of_running_streams_{name}"), |w| {
            let gate = Gate::default();
            let wait = gate.clone();
            w.origin("o1", move |mut c| {
                c.request();
                c.send_quietly(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234");
                wait.wait();
                c.send_quietly(b"56789");
                c.request();
            });
            start(w, &sections(option, ""));
            let mut c = w.client("fe");
            c.get("/", "");
            c.read_exactly(40);
            let counted =
                |w: &World| stat(w, "show stat").iter().any(|r| r.get("bout").is_some_and(|b| b != "0"));
            if option.is_empty() {
                w.note(format!("while it runs: {}", counted(w)));
            } else {
                let early = wait_for(PATIENCE, || counted(w).then_some(()));
                w.note(format!("while it runs: {}", early.is_some()));
            }
            gate.open();
            c.read_exactly(15);
            c.close();
            settle(w);
            columns(w, "show stat", &["bin", "bout"]);
        });
    }
}

/// `set server … name` and `ssl`.
#[test]
fn names_and_tls_change() {
    scenario("runtime_api/names_and_tls_change", |w| {
        w.ok("o1");
        start(
            w,
            "frontend fe\n  bind 127.0.0.1:${fe}\n  default_backend be\nbackend be\n  use-server named if { path /x }\n  http-response \
             add-header x-server %s\n  server plain 127.0.0.1:${o1}\n  server named 127.0.0.1:${o1} disabled\n  server tracked \
             127.0.0.1:${o1} check disabled\n  server tracks 127.0.0.1:${o1} track tracked\n  server over 127.0.0.1:${o1} ssl \
             verify none disabled\n",
        );
        all(
            w,
            "cli",
            &[
                "set server be/plain name",
                "set server be/plain name a&b",
                "set server be/plain name new",
                "set server be/named name new",
                "set server be/tracked name new",
                "disable server be/plain",
                "set server be/plain name over",
                "set server be/plain name plain",
                "set server be/plain name new",
                "set server be/new state ready",
                "set server be/new ssl on",
                "set server be/over ssl",
                "set server be/over ssl x",
            ],
        );
        // a request under the new name
        let answer = get(w, "/");
        w.note(answer);
        all(
            w,
            "cli",
            &["disable server be/new", "set server be/over ssl off", "set server be/over state ready"],
        );
        // what was TLS is plain text now
        let answer = get(w, "/");
        w.note(answer);
        all(w, "cli", &["set server be/over ssl on"]);
        let state = ask(w, "show servers state be");
        for line in state.lines().skip(2) {
            let words: Vec<&str> = line.split(' ').collect();
            w.note(format!("{} {}", words.get(3).unwrap_or(&""), words.get(20).unwrap_or(&"")));
        }
    });
}

/// What scripts read in `show fd`, `show libs` and `show dev`.
#[test]
fn descriptors_libraries_and_the_machine() {
    scenario("runtime_api/inside", |w| {
        start(w, &sections("", ""));
        let port = w.port("fe");
        let all = ask(w, "show fd");
        let listener = all.lines().find(|l| l.contains(&format!("lport={port}"))).unwrap_or("nothing");
        for word in
            listener.split_whitespace().filter(|w| ["l.st=", "fe=", "fam="].iter().any(|k| w.starts_with(k)))
        {
            w.note(word.to_string());
        }
        let number = listener.split_whitespace().next().unwrap_or("?");
        let one = ask(w, &format!("show fd {number}"));
        w.note(format!("the same alone: {}", one.contains(&format!("lport={port}"))));
        let libraries = ask(w, "show libs");
        let itself =
            |l: &&str| l.starts_with("0x") && l.contains("-0x") && l.contains(" (0x") && l.contains(") /");
        w.note(format!("libraries: {}", libraries.lines().filter(itself).count() > 1));
        let machine = ask(w, "show dev");
        for (start, end) in
            [("HAProxy version", ""), ("Platform info:", ""), ("  OS name:", "Linux"), ("  pid:", "")]
        {
            let found = machine.lines().any(|l| l.starts_with(start) && l.ends_with(end));
            w.note(format!("{start}: {found}"));
        }
    });
}

/// Frontends that commands stop and start are told of, on standard error and in their logs.
#[test]
fn who_gets_to_know_of_frontends() {
    scenario("runtime_api/who_gets_to_know_of_frontends", |w| {
        w.ok("o1");
        start(
            w,
            "defaults d\n  mode http\n  log 127.0.0.1:${log} local0\n  timeout client 9s\n  timeout server 9s\n  timeout connect 9s\n\
             frontend fe from d\n  bind 127.0.0.1:${fe}\n  default_backend li\n\
             listen li from d\n  bind 127.0.0.1:${li}\n  server s1 127.0.0.1:${o1}\n",
        );
        for command in [
            "disable frontend fe",
            "disable frontend fe",
            "enable frontend fe",
            "disable frontend li",
            "enable frontend li",
            "shutdown frontend li",
            "shutdown frontend fe",
        ] {
            note(w, command, &ask(w, command));
        }
        w.logs(6);
        let about = |l: &&str| ["Paused", "Resumed", "stopped"].iter().any(|what| l.contains(what));
        let mut lines = Vec::new();
        let _ = wait_for(PATIENCE, || {
            let said = w.process(0).stderr();
            let what = |l: &str| l.split(" : ").last().unwrap_or("").to_owned();
            lines = said.lines().filter(about).map(what).collect();
            (lines.len() == 6).then_some(())
        });
        w.note(format!("{lines:#?}"));
    });
}

/// What was said until the process served is kept whole.
#[test]
fn startup_logs() {
    scenario("runtime_api/startup_logs", |w| {
        start(
            w,
            "frontend fe\n  bind 127.0.0.1:${fe}\n  balance roundrobin\nbackend be\n  server s1 127.0.0.1:1\n",
        );
        let text = ask(w, "show startup-logs");
        for what in
            ["haproxy version is", "path to executable is", "'balance' ignored", "without any 'chroot'"]
        {
            w.note(format!("{what}: {}", text.contains(what)));
        }
    });
}

#[test]
fn odd_words() {
    scenario("runtime_api/odd_words", |w| {
        start(w, "frontend fe\n  bind 127.0.0.1:${fe}\nbackend be\n  server s1 127.0.0.1:${fe}\n");
        all(
            w,
            "cli",
            &[
                "wait 0",
                "wait 0ms",
                "wait x",
                "expert-mode foo",
                "expert-mode on;expert-mode foo;expert-mode",
                "experimental-mode foo",
                "show ssl crt-list -n",
                "show ssl ocsp-response",
                "show ssl sni -t",
                "show ssl sni -t x",
                "show ssl sni -t 30d",
                "show ssl sni -A -t 4000d",
                "add server be/a 127.0.0.1:1 guid g",
                "add server be/b 127.0.0.1:1 guid g",
            ],
        );
        let text = ask(w, "show info typed float");
        for line in
            text.lines().filter(|l| l.contains("Rate") || l.contains("Compress") || l.contains("_pct"))
        {
            let [name, _, kind, ..] = line.split(':').collect::<Vec<_>>()[..] else { continue };
            w.note(format!("{name} {kind}"));
        }
    });
}

/// `httpclient`: requests by hand. What fails is told in words, where HAProxy shows its own page for it.
#[test]
fn requests_by_hand() {
    scenario("runtime_api/requests_by_hand", |w| {
        w.origin("o1", |mut c| {
            let request = c.request().unwrap();
            let method = request.start_line().split(' ').next().unwrap_or_default().to_owned();
            c.send(match &*method {
                "HEAD" => "HTTP/1.1 204 Nothing\r\nX-Of: head\r\n\r\n",
                _ => "HTTP/1.1 404 Not here\r\nContent-Length: 4\r\nX-Of: get\r\n\r\nbody",
            });
        });
        w.forget_origins();
        w.proxy("global\n  stats socket ${dir}/cli level admin\n  nbthread 1\nfrontend fe\n  mode http\n  bind 127.0.0.1:${fe}\n  timeout client 5s\n");
        let url = format!("http://127.0.0.1:{}/path", w.port("o1"));
        for command in [
            "httpclient GET http://127.0.0.1/".to_owned(),
            "expert-mode on; httpclient".to_owned(),
            "expert-mode on; httpclient GET".to_owned(),
            format!("expert-mode on; httpclient NOPE {url}"),
            format!("expert-mode on; httpclient GET {url}"),
            format!("expert-mode on; httpclient HEAD {url}"),
        ] {
            let answer = ask(w, &command);
            w.note(format!("{}: {answer:?}", command.split(" http:").next().unwrap()));
        }
        let answer = ask(w, "expert-mode on; httpclient GET http://127.0.0.1:1/");
        w.note(answer.trim_start().lines().next().unwrap_or_default());
    });
}

/// What another library of cryptography has, and ours not, is said with the reason.
#[test]
fn there_are_no_providers() {
    let binary = Binary::under_test();
    if binary.is_haproxy() {
        return;
    }
    let mut w = World::new(binary);
    w.proxy("global\n  stats socket ${dir}/cli level admin\nfrontend fe\n  mode http\n  bind 127.0.0.1:${fe}\n  timeout client 5s\n");
    let answer = ask(&w, "show ssl providers");
    assert!(answer.contains("has no providers"), "{answer}");
}

/// `accept-proxy` on a socket of the Runtime API: a header has to come first.
#[test]
fn sockets_behind_a_proxy() {
    scenario("runtime_api/sockets_behind_a_proxy", |w| {
        w.proxy(
            "global
  nbthread 1
  stats socket ipv4@127.0.0.1:${cli} accept-proxy level admin
frontend fe
  mode http
  timeout client 10s
  bind 127.0.0.1:${fe}
",
        );
        let port = w.port("cli");
        for sent in ["PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nshow cli level\n", "show cli level\n"] {
            let mut c = TcpStream::connect(("127.0.0.1", port)).unwrap();
            c.write_all(sent.as_bytes()).unwrap();
            let mut got = String::new();
            let end = c.read_to_string(&mut got).map_err(|e| e.kind());
            w.note(format!("{sent:?}: {got:?} {:?}", end.err()));
        }
    });
}

/// `set anon on`: names and addresses that are not this host's are hidden where servers and streams are shown.
#[test]
fn hidden_names() {
    scenario("runtime_api/hidden_names", |w| {
        w.proxy(
            "global
  nbthread 1
  stats socket ${dir}/cli level admin
defaults
  mode http
  timeout client 10s
  timeout server 10s
  timeout connect 10s
frontend fe
  bind 127.0.0.1:${fe}
  default_backend be
backend be
  server srv1 127.0.0.1:1
  server srv2 10.11.12.13:2 disabled
  server srv3 [2001:db8::1]:2 disabled
  server srv4 some.example.org:80 init-addr none
",
        );
        let named = |l: &str| {
            l.contains(" 127.0.0.1 ") || l.contains("IP") || l.contains("9651e5") || l.contains("f55821")
        };
        for command in ["show servers state", "show servers conn"] {
            let answer = ask(w, &format!("set anon on 1234;{command}"));
            for line in answer.lines().filter(|l| named(l)) {
                let words: Vec<&str> = line.split(' ').collect();
                let of_file = if words.len() > 20 {
                    [words[1], words[3], words[4], words[17]]
                } else {
                    [words[0], words[2], "", ""]
                };
                w.note(of_file.join(" "));
            }
        }
        let streams = ask(w, "set anon on 1234;show sess");
        w.note(streams.split(' ').find(|s| s.starts_with("fe=")).unwrap_or(&streams).to_owned());
    });
}

/// A server that came while the process runs is as old as it is.
#[test]
fn age_of_a_new_server() {
    scenario("runtime_api/age_of_a_new_server", |w| {
        start(w, "frontend fe\n  bind 127.0.0.1:${fe}\nbackend be\n  server s1 127.0.0.1:1\n");
        let uptime = || {
            let info = ask(w, "show info");
            info.lines().find_map(|l| l.strip_prefix("Uptime_sec: ")?.parse::<u64>().ok()).filter(|s| *s >= 3)
        };
        w.note(format!("old: {}", wait_for(PATIENCE, uptime).is_some()));
        note(w, "add", &ask(w, "add server be/new 127.0.0.1:1"));
        let state = ask(w, "show servers state be");
        for name in ["s1", "new"] {
            let line = state.lines().find(|l| l.split(' ').nth(3) == Some(name)).unwrap_or("");
            let age: u64 = line.split(' ').nth(9).and_then(|n| n.parse().ok()).unwrap_or(0);
            w.note(format!("{name}: {}", if age >= 2 { "old" } else { "new" }));
        }
    });
}

/// A weight of 0 may leave a backend without servers.
#[test]
fn the_last_weight() {
    scenario("runtime_api/the_last_weight", |w| {
        start(
            w,
            "frontend fe\n  bind 127.0.0.1:${fe}\nbackend be\n  server s1 127.0.0.1:1\n  server s2 127.0.0.1:1\n",
        );
        let text = "backend 'be' has no server available!";
        ask(w, "set server be/s1 weight 0");
        let told = w.process(0).stderr().contains(text);
        w.note(format!("one left: {}", !told));
        ask(w, "set weight be/s2 0%");
        let told = wait_for(PATIENCE, || w.process(0).stderr().contains(text).then_some(()));
        w.note(format!("none left: {}", told.is_some()));
    });
}

/// How many patterns have come and gone.
#[test]
fn patterns_are_counted() {
    scenario("runtime_api/patterns_are_counted", |w| {
        w.file("m", "a b\nc d\n");
        w.file("l", "a\nc\n");
        start(
            w,
            "frontend fe\n  bind 127.0.0.1:${fe}\n  mode http\n  http-request deny if { path,map(${dir}/m) x }\n  http-request \
             deny if { path -f ${dir}/l /x }\n",
        );
        let count = |w: &World, name: &str| {
            let info = ask(w, "show info");
            let line =
                info.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(": ")?.parse::<u64>().ok());
            line.unwrap_or(0)
        };
        let map = w.dir().join("m").display().to_string();
        let before = (count(w, "PatternsAdded"), count(w, "PatternsFreed"));
        w.note(format!("some at the start: {}", before.0 >= 4));
        for command in ["add map {} k v", "add map {} l v", "del map {} k", "clear map {}"] {
            ask(w, &command.replace("{}", &map));
            let now = (count(w, "PatternsAdded") - before.0, count(w, "PatternsFreed") - before.1);
            w.note(format!("{command}: {} added, {} freed", now.0, now.1));
        }
    });
}

/// Why addresses cannot be listened on.
#[test]
fn addresses_that_are_not_to_be_had() {
    scenario("runtime_api/addresses_that_are_not_to_be_had", |w| {
        let _busy = std::net::TcpListener::bind(("127.0.0.1", w.port("busy"))).unwrap();
        let _six = std::net::TcpListener::bind(("::1", w.port("six"))).unwrap();
        let _log = std::net::UdpSocket::bind(("127.0.0.1", w.port("dgram"))).unwrap();
        w.file(
            "c.cfg",
            "defaults\n  mode http\n  timeout client 1s\n  timeout server 1s\n  timeout connect 1s\nfrontend fe\n  bind \
             127.0.0.1:${busy}\n  bind [::1]:${six}\n  bind 203.0.113.7:80\n  bind ${dir}/nowhere/x.sock\nlog-forward lf\n  \
             dgram-bind 127.0.0.1:${dgram}\n",
        );
        let output = w.run(&["-db", "-f", "${dir}/c.cfg"]);
        let mut lines: Vec<String> =
            output.stderr.lines().filter_map(|l| Some(w.mask(l.split_once("Binding ")?.1))).collect();
        lines.sort();
        lines.into_iter().for_each(|l| w.note(l));
        w.note(format!("{:?}", output.code));
    });
}

/// What the exporter says of checks and agents.
#[test]
fn metrics_of_checks() {
    scenario("runtime_api/metrics_of_checks", |w| {
        let _agent = w.origin("agent", |mut c| {
            c.send_quietly(b"up\n");
        });
        start(
            w,
            "defaults\n  mode http\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\nfrontend fe\n  bind \
             127.0.0.1:${fe}\n  http-request use-service prometheus-exporter\nbackend be\n  server s0 127.0.0.1:1\n  server s1 \
             127.0.0.1:1 check inter 50ms agent-check agent-port ${agent} agent-inter 50ms\n",
        );
        let seen = wait_for(PATIENCE, || {
            let stat = ask(w, "show stat");
            (stat.contains("L4CON") && stat.contains("L7OK")).then_some(())
        });
        w.note(format!("seen: {}", seen.is_some()));
        let mut client = std::net::TcpStream::connect(("127.0.0.1", w.port("fe"))).unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        for line in text.lines() {
            if line.contains("_agent_") || line.contains("_check_code") || line.contains("_check_status") {
                let line =
                    if line.contains("_seconds{") { line.split(' ').next().unwrap_or("") } else { line };
                w.note(line.to_owned());
            }
        }
    });
}
