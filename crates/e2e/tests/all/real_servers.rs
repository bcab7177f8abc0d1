//! Servers that other people wrote: nginx that is killed under load, dnsmasq that moves an address, many clients at a queue.
use crate::runtime_api::ask;
use portcullis_e2e::World;
use portcullis_e2e::binary::Binary;
use portcullis_e2e::process::{PATIENCE, wait_for};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A program that ends with the test.
struct Program(Child);

impl Program {
    fn start(command: &str, args: &[&str]) -> Self {
        let command = Command::new(command)
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("{command}: {e}"));
        Self(command)
    }
    fn kill(mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.0.id() as i32).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One process that answers with its name.
fn nginx(w: &mut World, name: &str) -> Program {
    let port = w.port(name);
    let dir = w.dir().display().to_string();
    let file = w.file(
        &format!("{name}.conf"),
        &format!(
            "daemon off; master_process off; pid {dir}/{name}.pid; error_log /dev/null;\nevents {{ worker_connections 500; \
             }}\nhttp {{ access_log off; keepalive_requests 1000000; client_body_temp_path {dir}/body; proxy_temp_path \
             {dir}/proxy; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s; server {{ listen \
             127.0.0.1:{port}; location / {{ return 200 {name}; }} }} }}\n"
        ),
    );
    let program = Program::start("nginx", &["-c", &file.display().to_string(), "-p", &dir]);
    let up = || TcpStream::connect(("127.0.0.1", port)).ok();
    assert!(wait_for(PATIENCE, up).is_some(), "nginx does not listen");
    program
}

/// What clients have seen: bodies of answers with status 200, counted, and everything else.
type Seen = (std::collections::BTreeMap<String, usize>, Vec<String>);

/// Clients that ask again and again over kept connections until told to stop.
struct Clients {
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<(Seen, Duration)>>,
}

impl Clients {
    fn start(port: u16, count: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let one = |stop: Arc<AtomicBool>| move || Self::one(port, &stop);
        let threads = (0..count).map(|_| std::thread::spawn(one(stop.clone()))).collect();
        Self { stop, threads }
    }
    fn one(port: u16, stop: &AtomicBool) -> (Seen, Duration) {
        let (mut good, mut bad, mut longest) =
            (std::collections::BTreeMap::new(), Vec::new(), Duration::ZERO);
        let mut buffer = [0u8; 8192];
        'connect: while !stop.load(Ordering::Relaxed) && bad.len() < 3 {
            let mut c = TcpStream::connect(("127.0.0.1", port)).unwrap();
            c.set_read_timeout(Some(PATIENCE)).unwrap();
            while !stop.load(Ordering::Relaxed) {
                let began = Instant::now();
                let sent = c.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
                let n = sent.and_then(|()| c.read(&mut buffer)).unwrap_or(0);
                longest = longest.max(began.elapsed());
                let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
                match text.split_once("\r\n\r\n") {
                    Some((head, body)) if head.starts_with("HTTP/1.1 200 ") => {
                        *good.entry(body.to_owned()).or_default() += 1;
                    }
                    _ => {
                        bad.push(text);
                        continue 'connect;
                    }
                }
            }
        }
        ((good, bad), longest)
    }
    /// All that they saw, and the longest time of a request.
    fn end(self) -> (Seen, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        let (mut all, mut longest): (Seen, Duration) = Default::default();
        for thread in self.threads {
            let ((good, bad), time) = thread.join().unwrap();
            good.into_iter().for_each(|(body, n)| *all.0.entry(body).or_default() += n);
            all.1.extend(bad);
            longest = longest.max(time);
        }
        (all, longest)
    }
}

const DEFAULTS: &str = "\
global
  stats socket ${dir}/cli level admin
  nbthread 2
defaults
  mode http
  timeout connect 2s
  timeout client 10s
  timeout server 10s
";

fn start(w: &mut World, config: &str) -> u16 {
    w.proxy(&format!("{DEFAULTS}{config}"));
    let socket = w.dir().join("cli");
    assert!(wait_for(PATIENCE, || socket.exists().then_some(())).is_some(), "no stats socket");
    w.port("fe")
}

/// A server that is killed under load, and comes back, costs no client an error.
#[test]
fn a_server_is_killed_under_load() {
    let mut w = World::new(Binary::under_test());
    let (_one, two) = (nginx(&mut w, "one"), nginx(&mut w, "two"));
    let port = start(
        &mut w,
        "frontend fe\n  bind 127.0.0.1:${fe}\n  default_backend be\nbackend be\n  balance roundrobin\n  option redispatch 1\n  \
         retry-on conn-failure empty-response response-timeout\n  default-server check inter 100ms fastinter 20ms\n  server \
         one 127.0.0.1:${one}\n  server two 127.0.0.1:${two}\n",
    );
    let clients = Clients::start(port, 8);
    let status = |w: &World, wanted: &str| {
        let line = || {
            let text = ask(w, "show stat be 4 -1");
            text.lines().find(|l| l.starts_with("be,two,")).map(str::to_owned)
        };
        let seen = wait_for(PATIENCE, || line().filter(|l| l.split(',').nth(17) == Some(wanted)));
        assert!(seen.is_some(), "two is never {wanted}: {:?}", line());
    };
    let served = |w: &World| {
        let text = ask(w, "show stat be 4 -1");
        let line = text.lines().find(|l| l.starts_with("be,two,"));
        line.and_then(|l| l.split(',').nth(7)?.parse::<u64>().ok()).unwrap_or(0)
    };
    let mut two = Some(two);
    for _ in 0..3 {
        status(&w, "UP");
        let before = served(&w);
        assert!(
            wait_for(PATIENCE, || (served(&w) > before + 100).then_some(())).is_some(),
            "two serves nobody"
        );
        two.take().unwrap().kill();
        status(&w, "DOWN");
        two = Some(nginx(&mut w, "two"));
    }
    status(&w, "UP");
    let ((good, bad), _) = clients.end();
    assert!(bad.is_empty(), "{} good ones, and {bad:?}", good.values().sum::<usize>());
    assert!(good["one"] > 100 && good["two"] > 100, "{good:?}");
}

/// Requests that a server has had so far, and its status.
fn served(w: &World, server: &str) -> (u64, String) {
    let text = ask(w, "show stat be 4 -1");
    let line = text.lines().find(|l| l.starts_with(&format!("be,{server},"))).unwrap_or("");
    let column = |n| line.split(',').nth(n).unwrap_or("");
    (column(7).parse().unwrap_or(0), column(17).to_owned())
}

fn until(w: &World, server: &str, status: &str) {
    let reached = wait_for(PATIENCE, || (served(w, server).1 == status).then_some(()));
    assert!(reached.is_some(), "{server} is {:?}, not {status}", served(w, server));
}

/// A server that is stopped in the middle of everything, and goes on later, costs no client an error.
#[test]
fn a_server_hangs() {
    let mut w = World::new(Binary::under_test());
    let (_one, two) = (nginx(&mut w, "one"), nginx(&mut w, "two"));
    let port = start(
        &mut w,
        "frontend fe\n  bind 127.0.0.1:${fe}\n  default_backend be\nbackend be\n  balance roundrobin\n  option redispatch 1\n  \
         timeout server 300ms\n  timeout check 100ms\n  option httpchk\n  retry-on conn-failure empty-response \
         response-timeout\n  default-server check inter 100ms fastinter 50ms\n  server one 127.0.0.1:${one}\n  server two \
         127.0.0.1:${two}\n",
    );
    until(&w, "two", "UP");
    let clients = Clients::start(port, 8);
    for _ in 0..2 {
        two.signal(rustix::process::Signal::STOP);
        until(&w, "two", "DOWN");
        two.signal(rustix::process::Signal::CONT);
        until(&w, "two", "UP");
        let before = served(&w, "two").0;
        let serves = || (served(&w, "two").0 > before + 100).then_some(());
        assert!(wait_for(PATIENCE, serves).is_some(), "two serves nobody");
    }
    let ((good, bad), _) = clients.end();
    assert!(bad.is_empty(), "{} good ones, and {bad:?}", good.values().sum::<usize>());
}

/// A server that says what is no HTTP is found out by its traffic, and costs no client an error.
#[test]
fn a_server_talks_garbage() {
    let mut w = World::new(Binary::under_test());
    let _one = nginx(&mut w, "one");
    w.origin("two", |mut c| {
        if c.request().is_some() {
            c.send_quietly(b"\0\x01garbage\r\n\r\n");
            c.wait_end();
        }
    });
    let port = start(
        &mut w,
        "frontend fe\n  bind 127.0.0.1:${fe}\n  default_backend be\nbackend be\n  balance roundrobin\n  option redispatch 1\n  \
         retry-on junk-response\n  default-server check inter 60s observe layer7 error-limit 5 on-error mark-down\n  server \
         one 127.0.0.1:${one}\n  server two 127.0.0.1:${two}\n",
    );
    let clients = Clients::start(port, 4);
    until(&w, "two", "DOWN");
    let ((good, bad), _) = clients.end();
    assert!(bad.is_empty() && good["one"] > 10, "{good:?} {bad:?}");
}

/// A server that resets behind the head of its response: the client sees an end, never another response in its place, and all
/// else goes on.
#[test]
fn a_server_resets_behind_the_head() {
    let mut w = World::new(Binary::under_test());
    w.origin("two", |mut c| {
        if c.request().is_some() {
            c.send_quietly(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345");
            c.reset();
        }
    });
    let _one = nginx(&mut w, "one");
    start(
        &mut w,
        "frontend fe\n  bind 127.0.0.1:${fe}\n  use_backend bad if { path /bad }\n  default_backend be\nbackend be\n  server one \
         127.0.0.1:${one}\nbackend bad\n  retry-on all-retryable-errors\n  server two 127.0.0.1:${two}\n",
    );
    for _ in 0..20 {
        let mut c = w.client("fe");
        c.get("/bad", "");
        let answer = String::from_utf8_lossy(&c.read_to_end().0).into_owned();
        assert!(answer.matches("HTTP/1.1").count() <= 1 && !answer.ends_with("1234567890"), "{answer}");
        let mut c = w.client("fe");
        c.get("/good", "Connection: close\r\n");
        let answer = String::from_utf8_lossy(&c.read_to_end().0).into_owned();
        assert!(answer.ends_with("one"), "{answer}");
    }
}

/// A server that comes back under load gets a few requests first, and its whole share when `slowstart` is over.
#[test]
fn a_server_comes_back_slowly() {
    let mut w = World::new(Binary::under_test());
    let (_one, two) = (nginx(&mut w, "one"), nginx(&mut w, "two"));
    let port = start(
        &mut w,
        "frontend fe\n  bind 127.0.0.1:${fe}\n  default_backend be\nbackend be\n  balance roundrobin\n  option redispatch 1\n  \
         retry-on conn-failure empty-response response-timeout\n  default-server check inter 50ms slowstart 4s\n  server one \
         127.0.0.1:${one}\n  server two 127.0.0.1:${two}\n",
    );
    until(&w, "two", "UP");
    two.kill();
    until(&w, "two", "DOWN");
    let _two = nginx(&mut w, "two");
    until(&w, "two", "UP");
    let clients = Clients::start(port, 8);
    // its share of the next thousand requests
    let share = || {
        let all = || (served(&w, "one").0, served(&w, "two").0);
        let before = all();
        let after = wait_for(PATIENCE, || Some(all()).filter(|n| n.0 + n.1 > before.0 + before.1 + 1000));
        let after = after.expect("load");
        let (one, two) = (after.0 - before.0, after.1 - before.1);
        100 * two / (one + two)
    };
    let first = share();
    let throttle = || {
        let text = ask(&w, "show stat be 4 -1");
        let line = text.lines().find(|l| l.starts_with("be,two,"));
        line.and_then(|l| l.split(',').nth(29)).unwrap_or("").to_owned()
    };
    let warm = wait_for(PATIENCE, || (throttle().is_empty() || throttle() == "100").then_some(()));
    assert!(warm.is_some(), "throttle {}", throttle());
    let last = share();
    let ((_, bad), _) = clients.end();
    assert!(bad.is_empty(), "{bad:?}");
    assert!(first < 30 && (48..=52).contains(&last), "{first} % at first, {last} % at last");
}

/// Writes the file from which dnsmasq answers.
fn hosts(path: &Path, address: &str) {
    std::fs::write(path, format!("{address} moving.test\n")).unwrap();
}

/// An address that changes in the DNS moves the traffic within a hold.
#[test]
fn an_address_moves() {
    let mut w = World::new(Binary::under_test());
    w.origin("o", |mut c| {
        // both addresses are this one's: the one that was asked for is the answer
        while c.request().is_some() {
            c.send_quietly(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let dns = w.port("dns");
    let list = w.dir().join("hosts");
    hosts(&list, "127.0.0.1");
    let dnsmasq = Program::start(
        "dnsmasq",
        &[
            "--keep-in-foreground",
            "--no-resolv",
            "--no-hosts",
            "--bind-interfaces",
            "--listen-address=127.0.0.1",
            "--pid-file=",
            "--user=",
            &format!("--port={dns}"),
            &format!("--addn-hosts={}", list.display()),
        ],
    );
    start(
        &mut w,
        "resolvers dns\n  nameserver one 127.0.0.1:${dns}\n  hold valid 200ms\n  hold obsolete 200ms\n  timeout resolve \
         200ms\n  timeout retry 200ms\nfrontend fe\n  bind 127.0.0.1:${fe}\n  http-response set-header x-to %[bc_dst]\n  \
         default_backend be\nbackend be\n  server s moving.test:${o} resolvers dns init-addr none\n",
    );
    let at = |w: &World, address: &str, patience: Duration| {
        let reached =
            || ask(w, "show servers state be").contains(&format!(" s {address} 2 0 ")).then_some(());
        wait_for(patience, reached)
    };
    assert!(at(&w, "127.0.0.1", PATIENCE).is_some(), "{}", ask(&w, "show servers state be"));
    hosts(&list, "127.0.0.2");
    dnsmasq.signal(rustix::process::Signal::HUP);
    assert!(at(&w, "127.0.0.2", PATIENCE).is_some(), "{}", ask(&w, "show servers state be"));
    let mut c = w.client("fe");
    c.get("/", "Connection: close\r\n");
    let answer = String::from_utf8_lossy(&c.read_to_end().0).into_owned();
    // nobody listens there: the request went to the new address
    assert!(answer.contains(" 503 "), "{answer}");
    hosts(&list, "127.0.0.1");
    dnsmasq.signal(rustix::process::Signal::HUP);
    assert!(at(&w, "127.0.0.1", PATIENCE).is_some(), "{}", ask(&w, "show servers state be"));
    let mut c = w.client("fe");
    c.get("/", "Connection: close\r\n");
    let answer = String::from_utf8_lossy(&c.read_to_end().0).into_owned();
    assert!(answer.contains(" 200 ") && answer.contains("x-to: 127.0.0.1"), "{answer}");
}

/// Fifty clients for each slot on two workers: nobody is forgotten, nobody waits much longer than the queue is long.
/// `E2E_QUEUE_SECONDS` says for how long.
#[test]
fn fifty_clients_for_each_slot() {
    let seconds = std::env::var("E2E_QUEUE_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(3);
    let mut w = World::new(Binary::under_test());
    let (_one, _two) = (nginx(&mut w, "one"), nginx(&mut w, "two"));
    let port = start(
        &mut w,
        "frontend fe\n  bind 127.0.0.1:${fe}\n  default_backend be\nbackend be\n  balance roundrobin\n  timeout queue 10s\n  \
         server one 127.0.0.1:${one} maxconn 1\n  server two 127.0.0.1:${two} maxconn 1\n",
    );
    let clients = Clients::start(port, 100);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut highest = 0;
    wait_for(Duration::from_secs(seconds + 10), || {
        let text = ask(&w, "show stat be 2 -1");
        let queued = text.lines().nth(1).and_then(|l| l.split(',').nth(2)?.parse().ok()).unwrap_or(0);
        highest = highest.max(queued);
        (Instant::now() > end).then_some(())
    });
    let ((good, bad), longest) = clients.end();
    let all: usize = good.values().sum();
    eprintln!("{all} requests, at most {highest} in the queue, the longest took {longest:?}");
    assert!(bad.is_empty(), "{bad:?}");
    assert!(highest > 20, "a queue of {highest} is none");
    let mean = Duration::from_secs(seconds) * 100 / u32::try_from(all).unwrap();
    assert!(longest < mean * 20 + Duration::from_secs(1), "{longest:?}, where {mean:?} is usual");
}
