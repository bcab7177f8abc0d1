//! Servers and backends that come and go while the process runs: `add server`, `del server`, `add backend`, `del backend`
//! (management.txt section 9.3).
use crate::runtime_api::ask;
use portcullis_e2e::binary::Binary;
use portcullis_e2e::process::{PATIENCE, wait_for};
use portcullis_e2e::{Gate, World, scenario};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const GLOBAL: &str = "\
global
  stats socket ${dir}/cli level admin
  stats timeout 10s
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 10s
  timeout server 10s
defaults web
  mode http
  timeout connect 5s
  timeout server 10s
  http-response set-header x-from web
defaults silent
  timeout connect 5s
  timeout server 10s
defaults
  mode http
  timeout connect 5s
  timeout client 10s
  timeout server 10s
";

fn start(w: &mut World, config: &str) {
    w.proxy(&format!("{GLOBAL}{config}"));
    let socket = w.dir().join("cli");
    assert!(wait_for(PATIENCE, || socket.exists().then_some(())).is_some(), "no stats socket");
}

/// Sends commands, with ports in them, and notes the answers.
fn all(w: &mut World, commands: &[&str]) {
    for command in commands {
        let sent = w.expand(command);
        let answer = ask(w, &sent);
        w.note(format!("$ {command}"));
        answer.trim_end().lines().for_each(|l| w.note(format!("| {l}")));
    }
}

/// Servers of a backend: number, name, states and weights, what checks know.
fn states(w: &mut World, backend: &str) {
    let text = ask(w, &format!("show servers state {backend}"));
    for line in text.lines().skip(2).filter(|l| !l.is_empty()) {
        let mut words: Vec<&str> = line.split(' ').collect();
        // ports and times are by chance
        words[9] = "T";
        // 3.5-dev5 has it of any default-server in the process
        if words[13].parse::<u32>().is_ok_and(|bits| bits & 2 == 0) {
            words[12] = "-";
        }
        words[18] = if words[18] == "0" { "0" } else { "PORT" };
        w.note(words.join(" "));
    }
}

/// The header `server` of the answers to some requests, which origins put there.
fn chosen(w: &mut World, targets: &[&str]) {
    let mut all = Vec::new();
    for target in targets {
        let mut c = w.client("fe");
        c.get(target, "Connection: close\r\n");
        let text = String::from_utf8_lossy(&c.read_to_end().0).into_owned();
        let server =
            text.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("server: ").map(str::to_owned));
        all.push(server.unwrap_or_else(|| text.lines().next().unwrap_or("nothing").to_owned()));
    }
    w.note(format!("chosen: {}", all.join(" ")));
}

fn origins(w: &mut World) {
    w.answering("o1", "HTTP/1.1 200 OK\r\nserver: 1\r\nContent-Length: 2\r\n\r\nok");
    w.answering("o2", "HTTP/1.1 200 OK\r\nserver: 2\r\nContent-Length: 2\r\n\r\nok");
    w.answering("o3", "HTTP/1.1 200 OK\r\nserver: 3\r\nContent-Length: 2\r\n\r\nok");
    w.forget_origins();
}

/// Columns of lines of `show stat`.
fn columns(w: &World, lines: &[(&str, &str)], names: &[&str]) {
    let text = ask(w, "show stat");
    let table: Vec<Vec<&str>> =
        text.trim_start_matches("# ").lines().map(|l| l.split(',').collect()).collect();
    let column = |name: &str| table[0].iter().position(|n| *n == name).expect("a column");
    for (proxy, server) in lines {
        let line = table.iter().find(|l| l.len() > 2 && l[0] == *proxy && l[1] == *server).expect("a line");
        let values: Vec<String> = names.iter().map(|n| format!("{n}={}", line[column(n)])).collect();
        w.note(format!("{proxy}/{server} {}", values.join(" ")));
    }
}

/// `srid` tells servers with one id apart; `iid` goes on behind the last one.
#[test]
fn numbers_of_what_comes_and_goes() {
    scenario("dynamic/numbers", |w| {
        start(
            w,
            "defaults forwarding\n  mode http\n  option forwardfor\n  timeout connect 5s\n  timeout server 5s\n\
             defaults heir from forwarding\nbackend be from web\n  server s1 127.0.0.1:1\nbackend five from web\n  id 5\n",
        );
        all(w, &["add server be/a 127.0.0.1:1", "del server be/a", "add server be/b 127.0.0.1:1"]);
        columns(w, &[("be", "s1"), ("be", "b")], &["sid", "srid"]);
        all(
            w,
            &[
                "add backend n1 from web",
                "add backend n2 from web",
                "del backend n1",
                "add backend n3 from web",
                "add backend t from forwarding mode tcp",
                "add backend u from heir",
            ],
        );
        let back = ["be", "five", "n2", "n3", "t"].map(|name| (name, "BACKEND"));
        columns(w, &back, &["iid"]);
    });
}

/// `clear counters` begins the highest rates again, and what connections of each version are counted by.
#[test]
fn counters_that_begin_again() {
    scenario("dynamic/counters_that_begin_again", |w| {
        w.ok("o1");
        start(
            w,
            "frontend fe\n  bind 127.0.0.1:${fe}\n  default_backend be\nbackend be\n  server s1 127.0.0.1:${o1}\n",
        );
        for n in 0..3 {
            w.client("fe").get(&format!("/{n}"), "Connection: close\r\n").read_to_end();
        }
        let lines = [("fe", "FRONTEND"), ("be", "BACKEND")];
        let names = ["stot", "req_tot", "rate_max", "h1_total_connections", "h1_total_streams"];
        let front = ["conn_rate_max", "req_rate_max", "h1sess", "h1req", "ssl_sess"];
        for command in ["clear counters", "clear counters all"] {
            all(w, &[command]);
            columns(w, &lines, &names);
            columns(w, &lines[..1], &front);
            let info = ask(w, "show info");
            info.lines().filter(|l| l.starts_with("Max") && l.contains("Rate:")).for_each(|l| w.note(l));
        }
    });
}

#[test]
fn servers_come_and_go() {
    scenario("dynamic/servers_come_and_go", |w| {
        origins(w);
        start(
            w,
            "frontend fe\n  bind 127.0.0.1:${fe}\n  default_backend be\nbackend be\n  balance roundrobin\n  default-server \
             weight 10 maxconn 5\n  default-server name small weight 3\n  server s1 127.0.0.1:${o1}\nbackend st\n  balance \
             static-rr\n  server s1 127.0.0.1:${o1}\nbackend track\n  balance roundrobin\n  server t1 127.0.0.1:${o1}\n  \
             server t2 127.0.0.1:${o1} check inter 100s\n  server t3 127.0.0.1:${o1} track t2\n  server t4 \
             127.0.0.1:${o1}\n  use-server t4 if { path /4 }\n",
        );
        all(
            w,
            &[
                "add server",
                "add server be",
                "add server be/",
                "add server nope/a 127.0.0.1:1",
                "add server fe/a 127.0.0.1:1",
                "add server st/a 127.0.0.1:1",
                "add server be/a",
                "add server be/s1 127.0.0.1:1",
                "add server be/a!b 127.0.0.1:1",
                "add server be/a 127.0.0.1:${o2}",
                "add server be/a 127.0.0.1:${o2}",
                "add server be/b 127.0.0.1:${o3} weight 2 disabled",
                "add server be/c 127.0.0.1:1 id 77 weight 30",
                "add server be/d 127.0.0.1:1 id 77",
                "add server be/d 127.0.0.1:1 nothing",
                "add server be/d 127.0.0.1:1 redir /x",
                "add server be/d 127.0.0.1:1 enabled",
                "add server be/d 127.0.0.1:1 resolvers x",
                "add server be/d 127.0.0.1:1 from be:nope",
                "add server be/d 127.0.0.1:1 from srv:be/nope",
                "add server be/d 127.0.0.1:1 from what",
                "add server be/d 127.0.0.1:1 from",
                "add server be/d 127.0.0.1:1 track nope/x",
                "add server be/d 127.0.0.1:1 track nope",
                "add server be/d 127.0.0.1:1 track a",
                "add server be/d 127.0.0.1:1 track track/t1",
                "add server be/d 127.0.0.1:1 check track track/t2",
                "add server be/d 127.0.0.1:1 agent-check",
                "add server be/d 127.0.0.1:1 ssl",
                "add server be/d 127.0.0.1:1 from be:",
                "add server be/e 127.0.0.1:1 from srv:be/small",
                "add server be/g [::1]:1 from none",
                "add server be/h unix@/tmp/nothing",
                "show default-server",
                "show default-server be",
                "show default-server nope",
                "show defaults",
                "set server be/s1 ssl on",
                "set server be/a ssl on",
            ],
        );
        states(w, "be");
        chosen(w, &["/", "/"]);
        all(w, &["enable server be/a", "enable server be/b"]);
        states(w, "be");
        chosen(w, &["/"; 12]);
        all(
            w,
            &[
                "del server",
                "del server be",
                "del server nope/a",
                "del server be/nope",
                "del server be/a",
                "wait 10 srv-removable be/a",
                "wait 10 srv-removable be/nope",
                "wait 10 srv-removable",
                "disable server be/a",
                "wait 5s srv-removable be/a",
                "del server be/a",
                "del server be/a",
                "del server be/c",
                "disable server be/s1",
                "wait 5s srv-removable be/s1",
                "del server be/s1",
                "disable server track/t2",
                "del server track/t2",
                "wait 10 srv-removable track/t2",
                "disable server track/t4",
                "del server track/t4",
                "disable server track/t3",
                "del server track/t3",
                "enable server track/t2",
                "add server track/n 127.0.0.1:${o1} track t2",
                "enable server track/n",
                "disable server track/t2",
                "del server track/t2",
            ],
        );
        states(w, "be");
        states(w, "track");
        chosen(w, &["/"; 3]);
        // numbers are used again, the lowest first; order is that of coming
        all(w, &["add server be/a 127.0.0.1:${o2}", "add server be/z 127.0.0.1:1", "enable server be/a"]);
        states(w, "be");
        chosen(w, &["/"; 6]);
    });
}

/// Its check is given up.
#[test]
fn a_silent_agent_holds_no_server() {
    let mut w = World::new(Binary::under_test());
    let agent = w.origin("o1", |mut c| {
        c.wait_end();
    });
    start(&mut w, "backend be\n  balance roundrobin\n  server s1 127.0.0.1:1\n");
    let add = w.expand("add server be/a 127.0.0.1:1 agent-check agent-inter 5s agent-port ${o1}");
    for command in [&*add, "enable agent be/a", "enable server be/a"] {
        ask(&w, command);
    }
    agent.wait_connections(1);
    ask(&w, "disable server be/a");
    assert_eq!(ask(&w, "del server be/a").trim(), "Server deleted.");
}

#[test]
fn a_server_with_streams_stays() {
    scenario("dynamic/a_server_with_streams_stays", |w| {
        let gate = Arc::new(Gate::default());
        let (inside, entered) = (gate.clone(), Arc::new(AtomicUsize::new(0)));
        let count = entered.clone();
        w.origin("o1", move |mut c| {
            if c.request().is_some() {
                count.fetch_add(1, Ordering::SeqCst);
                inside.wait();
                c.send_quietly(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            }
        });
        w.forget_origins();
        start(
            w,
            "frontend fe\n  bind 127.0.0.1:${fe}\n  default_backend be\nbackend be\n  balance roundrobin\n  server s1 \
             127.0.0.1:1 disabled\n",
        );
        all(w, &["add server be/a 127.0.0.1:${o1}", "enable server be/a"]);
        let mut c = w.client("fe");
        c.get("/", "Connection: close\r\n");
        assert!(wait_for(PATIENCE, || (entered.load(Ordering::SeqCst) == 1).then_some(())).is_some());
        all(w, &["disable server be/a", "del server be/a"]);
        gate.open();
        c.read_to_end();
        all(w, &["wait 5s srv-removable be/a", "del server be/a"]);
        // shutdown sessions finds those on a server that came later
        all(w, &["add server be/a 127.0.0.1:${o1}", "enable server be/a"]);
        states(w, "be");
    });
}

#[test]
fn checks_of_new_servers_wait_for_an_order() {
    scenario("dynamic/checks_of_new_servers_wait_for_an_order", |w| {
        w.ok("o1");
        w.forget_origins();
        start(
            w,
            "frontend fe\n  bind 127.0.0.1:${fe}\n  default_backend be\nbackend be\n  balance roundrobin\n  option httpchk \
             GET /check\n  server s1 127.0.0.1:1 disabled\n",
        );
        all(
            w,
            &[
                "add server be/a 127.0.0.1:${o1} check inter 20ms",
                "add server be/b 127.0.0.1:${dead} check inter 20ms",
                "add server be/c 127.0.0.1:${o1} agent-check agent-port 1 agent-inter 50s",
                "enable agent be/a",
                "enable health be/c",
            ],
        );
        states(w, "be");
        all(w, &["enable health be/a", "enable health be/b", "enable agent be/c"]);
        let has = |w: &World, text: &str| {
            let state = ask(w, "show servers state be");
            wait_for(PATIENCE, || ask(w, "show servers state be").contains(text).then_some(()))
                .unwrap_or_else(|| panic!("never {text}:\n{state}"))
        };
        // they run in maintenance too, and change nothing there
        has(w, " 15 3 4 6 0 ");
        states(w, "be");
        all(w, &["enable server be/a", "enable server be/b"]);
        let down = || ask(w, "show stat be 4 -1").contains("be,b,0,0,0,0,,0,0,0,,0,,0,0,0,0,DOWN");
        assert!(wait_for(PATIENCE, || down().then_some(())).is_some());
        has(w, " a 127.0.0.1 2 0 1 1 ");
        all(
            w,
            &["disable server be/b", "del server be/b", "disable server be/a", "wait 5s srv-removable be/a"],
        );
        all(w, &["del server be/a"]);
        states(w, "be");
    });
}

#[test]
fn every_algorithm_takes_them() {
    scenario("dynamic/every_algorithm_takes_them", |w| {
        origins(w);
        let algorithms = [
            ("rr", "roundrobin"),
            ("first", "first"),
            ("hash", "uri\n  hash-type consistent"),
            ("lc", "leastconn"),
            ("rnd", "random"),
        ];
        let mut config =
            String::from("frontend fe\n  bind 127.0.0.1:${fe}\n  use_backend %[path,field(2,/)]\n");
        for (name, balance) in algorithms {
            config.push_str(&format!("backend {name}\n  balance {balance}\n  server s1 127.0.0.1:${{o1}}\n"));
        }
        start(w, &config);
        let round = |w: &mut World, note: &str| {
            w.note(note);
            chosen(w, &["/rr/"; 9]);
            chosen(w, &["/first/"; 2]);
            let keys: Vec<String> = (0..16).map(|n| format!("/hash/{n}")).collect();
            chosen(w, &keys.iter().map(String::as_str).collect::<Vec<_>>());
        };
        round(w, "one server");
        for (name, _) in algorithms {
            all(
                w,
                &[
                    &format!("add server {name}/s2 127.0.0.1:${{o2}} weight 2"),
                    &format!("add server {name}/s3 127.0.0.1:${{o3}} backup"),
                    &format!("enable server {name}/s2"),
                    &format!("enable server {name}/s3"),
                ],
            );
        }
        round(w, "three servers");
        for (name, _) in algorithms {
            all(w, &[&format!("disable server {name}/s1"), &format!("wait 5s srv-removable {name}/s1")]);
            all(w, &[&format!("del server {name}/s1")]);
        }
        round(w, "two servers");
        for (name, _) in algorithms {
            all(w, &[&format!("disable server {name}/s2")]);
        }
        // the backups
        round(w, "one server");
        chosen(w, &["/lc/", "/rnd/"]);
        for (name, _) in algorithms {
            all(
                w,
                &[
                    &format!("add server {name}/s4 127.0.0.1:${{o1}}"),
                    &format!("enable server {name}/s4"),
                    &format!("wait 5s srv-removable {name}/s2"),
                    &format!("del server {name}/s2"),
                ],
            );
        }
        round(w, "another");
        chosen(w, &["/lc/", "/rnd/"]);
    });
}

#[test]
fn backends_come_and_go() {
    scenario("dynamic/backends_come_and_go", |w| {
        origins(w);
        start(
            w,
            "frontend fe\n  bind 127.0.0.1:${fe}\n  acl busy be_conn(asked) gt 1000\n  http-request deny if busy\n  \
             use_backend %[path,field(2,/)]\n  default_backend be\nbackend be\n  server s1 127.0.0.1:${o1}\nbackend free\n  \
             server s1 127.0.0.1:${o1}\nbackend asked\n  server s1 127.0.0.1:${o1}\n",
        );
        all(
            w,
            &[
                "add backend",
                "add backend x",
                "add backend x from",
                "add backend x with web",
                "add backend x from nope",
                "add backend x!y from web",
                "add backend x from silent",
                "add backend x from silent mode log",
                "add backend x from silent mode what",
                "add backend x from web mode",
                "add backend x from web guid",
                "add backend x from web what",
                "add backend be from web",
                "add backend fe from web",
                "add backend x from web guid abc",
                "add backend y from web guid abc",
                "add backend x from web",
                "add backend y from silent mode tcp",
                "show backend",
            ],
        );
        chosen(w, &["/x/"]);
        all(w, &["add server x/a 127.0.0.1:${o2}", "enable server x/a"]);
        states(w, "x");
        chosen(w, &["/x/"]);
        all(w, &["publish backend x"]);
        chosen(w, &["/x/", "/"]);
        let mut c = w.client("fe");
        c.get("/x/", "Connection: close\r\n");
        c.read_to_end();
        all(
            w,
            &[
                "wait 10 be-removable",
                "wait 10 be-removable nope",
                "wait 10 be-removable x",
                "del backend x",
                "unpublish backend x",
                "del backend x",
                "wait 10 be-removable x",
                "disable server x/a",
                "wait 5s srv-removable x/a",
                "del server x/a",
                "wait 1s be-removable x",
                "del backend",
                "del backend nope",
                "del backend fe",
                "del backend be",
                "unpublish backend asked",
                "del backend asked",
                "del backend free",
                "unpublish backend free",
                "del backend free",
                "disable server free/s1",
                "wait 5s srv-removable free/s1",
                "del server free/s1",
            ],
        );
        // 3.5-dev5 says what it said before once more
        for name in ["x", "free"] {
            assert!(ask(w, &format!("del backend {name}")).ends_with("Backend deleted.\n\n"));
        }
        all(w, &["show backend", "del backend x", "publish backend x"]);
        chosen(w, &["/x/", "/free/"]);
        all(w, &["add backend x from silent mode http", "show backend", "publish backend x"]);
        all(w, &["add server x/b 127.0.0.1:${o3}", "enable server x/b"]);
        chosen(w, &["/x/"]);
        states(w, "x");
    });
}

/// Requests on two kept connections a thread until told to stop; what did not come back as it should.
fn traffic(port: u16, stop: &Arc<AtomicBool>) -> Vec<std::thread::JoinHandle<(usize, Vec<String>)>> {
    let one = |port: u16, stop: Arc<AtomicBool>| {
        let (mut done, mut wrong) = (0, Vec::new());
        let mut buffer = [0u8; 4096];
        while !stop.load(Ordering::Relaxed) && wrong.is_empty() {
            let mut c = TcpStream::connect(("127.0.0.1", port)).unwrap();
            c.set_read_timeout(Some(PATIENCE)).unwrap();
            for _ in 0..50 {
                c.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
                let n = c.read(&mut buffer).unwrap_or(0);
                let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
                match text.starts_with("HTTP/1.1 200 ") && text.ends_with("ok") {
                    true => done += 1,
                    false => wrong.push(text),
                }
                if stop.load(Ordering::Relaxed) || !wrong.is_empty() {
                    break;
                }
            }
        }
        (done, wrong)
    };
    (0..4).map(|_| stop.clone()).map(|stop| std::thread::spawn(move || one(port, stop))).collect()
}

fn memory(pid: u32) -> usize {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find(|l| l.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Thousands of servers and hundreds of backends come and go under traffic on two workers: no request is lost, and nothing
/// stays behind.
#[test]
fn nothing_is_lost_and_nothing_stays() {
    let mut w = World::new(portcullis_e2e::binary::Binary::under_test());
    w.ok("o1");
    let config = GLOBAL.replace("nbthread 1", "nbthread 2");
    w.proxy(&format!(
        "{config}frontend fe\n  bind 127.0.0.1:${{fe}}\n  default_backend be\nbackend be\n  balance leastconn\n  server s1 \
         127.0.0.1:${{o1}} maxconn 2\n"
    ));
    let (port, origin) = (w.port("fe"), w.port("o1"));
    let stop = Arc::new(AtomicBool::new(false));
    let clients = traffic(port, &stop);
    let mut cli = std::os::unix::net::UnixStream::connect(w.dir().join("cli")).unwrap();
    let mut say = |command: String| {
        cli.write_all(format!("{command}\n").as_bytes()).unwrap();
        let (mut answer, mut buffer) = (String::new(), [0u8; 4096]);
        while !answer.ends_with("\n\n> ") && !answer.ends_with("\n> ") {
            let n = cli.read(&mut buffer).unwrap();
            assert!(n > 0, "{command}: {answer}");
            answer.push_str(&String::from_utf8_lossy(&buffer[..n]));
        }
        answer.trim_end_matches("> ").trim().to_owned()
    };
    say("prompt".into());
    let mut round = |n: u32| {
        let name = format!("be/d{}", n % 3);
        let check = if n.is_multiple_of(2) { " check inter 5ms" } else { "" };
        assert_eq!(
            say(format!("add server {name} 127.0.0.1:{origin} maxconn 1{check}")),
            "New server registered."
        );
        if n.is_multiple_of(2) {
            say(format!("enable health {name}"));
        }
        assert_eq!(say(format!("enable server {name}")), "");
        say("show servers state be".into());
        assert_eq!(say(format!("disable server {name}")), "");
        assert_eq!(say(format!("wait 10s srv-removable {name}")), "Done.");
        assert_eq!(say(format!("del server {name}")), "Server deleted.");
        if n.is_multiple_of(10) {
            assert_eq!(say("add backend b from web".into()), "New backend registered.");
            assert_eq!(say(format!("add server b/s 127.0.0.1:{origin} check")), "New server registered.");
            assert_eq!(say("del server b/s".into()), "Server deleted.");
            assert_eq!(say("del backend b".into()), "Backend deleted.");
        }
    };
    let pid = w.process(0).pid();
    (0..300).for_each(&mut round);
    let before = memory(pid);
    (0..1200).for_each(&mut round);
    let after = memory(pid);
    stop.store(true, Ordering::Relaxed);
    let results: Vec<_> = clients.into_iter().map(|c| c.join().unwrap()).collect();
    for (done, wrong) in results {
        assert!(done > 0 && wrong.is_empty(), "{done} requests, then {wrong:?}");
    }
    assert!(after < before + 2048, "{before} KiB became {after} KiB");
}
