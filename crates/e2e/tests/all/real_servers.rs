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
