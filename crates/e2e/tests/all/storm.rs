//! Storms of reloads: the configuration changes again and again (servers come, go, move and change places, listeners come and go)
//! under clients of all kinds, and nothing fails. Short here, as long as an operator would have to believe it with `make storm`:
//! `E2E_STORM` is the number of reloads, `E2E_STORM_SECS` the time that they are spread over, `E2E_STORM_RATE` requests a second.
use portcullis_e2e::binary::Binary;
use portcullis_e2e::process::{PATIENCE, wait_for};
use portcullis_e2e::{World, proc};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const CONFIG: &str = "\
global
  stats socket ${dir}/cli level admin expose-fd listeners
  nbthread 2
  hard-stop-after 30s
defaults
  mode http
  timeout connect 10s
  timeout client 30s
  timeout server 30s
frontend fe
  bind 127.0.0.1:${fe}
  bind 127.0.0.1:${tls} ssl crt ${dir}/site.pem
  bind 127.0.0.1:${h2} proto h2
";

/// What follows one another.
const VARIANTS: [&str; 4] = [
    "  bind 127.0.0.1:${a}
  default_backend be
backend be
  balance roundrobin
  server s1 127.0.0.1:${o1}
  server s2 127.0.0.1:${o2}
",
    "  bind 127.0.0.1:${b}
  default_backend be
backend be
  balance roundrobin
  server s2 127.0.0.1:${o1}
",
    "  default_backend be
backend be
  option httpchk
  server t1 127.0.0.1:${o1} check inter 100
  server t2 127.0.0.1:${o2} maxconn 100
",
    "  use_backend other if { path_beg /kept }
  default_backend be
backend be
  server t2 127.0.0.1:${o1} maxconn 50
backend other
  balance leastconn
  server x 127.0.0.1:${o2}
",
];

/// How long a storm is.
#[derive(Clone, Copy)]
struct Length {
    reloads: u64,
    /// No faster than in so much time.
    over: Duration,
    /// Requests a second.
    rate: u32,
    /// How long a WebSocket lives.
    sockets: Duration,
}

impl Length {
    fn number(name: &str) -> Option<u64> {
        std::env::var(name).ok()?.parse().ok()
    }
    /// As said, or so many reloads.
    fn of(short: u64) -> Self {
        let whole = Self::number("E2E_STORM");
        Self {
            reloads: whole.unwrap_or(short),
            over: Duration::from_secs(Self::number("E2E_STORM_SECS").unwrap_or(0)),
            rate: Self::number("E2E_STORM_RATE").map_or(1000, |n| n as u32),
            sockets: if whole.is_some() { Duration::from_secs(5) } else { Duration::from_millis(500) },
        }
    }
}

/// What clients and the one who reloads have in common.
struct Storm {
    length: Length,
    over: AtomicBool,
    /// Reloads so far.
    reloads: AtomicU64,
    requests: AtomicU64,
    /// Requests that came when their connection had been closed in order, and were sent again on another one (RFC 9112, 9.3.1).
    again: AtomicU64,
    failures: Mutex<Vec<String>>,
    /// Time between the requests of one client.
    pause: Duration,
    tls: Arc<rustls::ClientConfig>,
}

/// What became of a connection with a request.
enum After {
    Keeps,
    Closes,
    /// It was closed in order before the request came.
    Unanswered,
}

/// A client: what it does until the storm is over.
type Play = fn(&Storm, &Ports) -> io::Result<()>;

#[derive(Clone, Copy)]
struct Ports {
    plain: u16,
    tls: u16,
    h2: u16,
}

const PLAYS: [(&str, Play, u32); 7] = [
    ("short", short, 4),
    ("kept", kept, 4),
    ("slow", slow, 3),
    ("socket", socket, 4),
    ("tls", tls, 3),
    ("tls kept", tls_kept, 2),
    ("h2", h2, 3),
];

impl Storm {
    fn new(length: Length) -> Arc<Self> {
        let clients: u32 = PLAYS.iter().map(|p| p.2).sum();
        Arc::new(Self {
            length,
            over: AtomicBool::new(false),
            reloads: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            again: AtomicU64::new(0),
            failures: Mutex::default(),
            pause: Duration::from_secs(1) * clients / length.rate,
            tls: trusting(),
        })
    }

    /// Has clients of all kinds play until [`Storm::calm`].
    fn rage(self: &Arc<Self>, ports: Ports) -> Vec<std::thread::JoinHandle<()>> {
        let one = |name: &'static str, play: Play| {
            let storm = self.clone();
            std::thread::spawn(move || {
                if let Err(e) = play(&storm, &ports) {
                    let when = storm.reloads.load(SeqCst);
                    storm.failures.lock().unwrap().push(format!("{name} (reload {when}): {e:?}"));
                }
            })
        };
        PLAYS
            .iter()
            .flat_map(|(name, play, many)| (0..*many).map(move |_| (*name, *play)))
            .map(|(n, p)| one(n, p))
            .collect()
    }

    /// Ends the storm: what has failed.
    fn calm(&self, clients: Vec<std::thread::JoinHandle<()>>, began: Instant) -> Vec<String> {
        self.over.store(true, SeqCst);
        let took = began.elapsed();
        clients.into_iter().for_each(|t| t.join().unwrap());
        let (requests, again) = (self.requests.load(SeqCst), self.again.load(SeqCst));
        println!(
            "{} reloads in {took:?}, {requests} requests ({:.0} a second), {again} sent again on another connection",
            self.reloads.load(SeqCst),
            requests as f64 / took.as_secs_f64()
        );
        self.failures.lock().unwrap().clone()
    }

    /// Waits for the time of the next reload.
    fn until_next(&self, began: Instant) {
        let due = self.length.over * (self.reloads.load(SeqCst) as u32) / (self.length.reloads.max(1) as u32);
        wait_for(Duration::from_secs(3600), || (began.elapsed() >= due).then_some(()));
    }

    /// A client has done so much; false: it shall stop.
    fn go_on(&self) -> bool {
        let began = Instant::now();
        wait_for(PATIENCE, || (began.elapsed() >= self.pause || self.over.load(SeqCst)).then_some(()));
        !self.over.load(SeqCst)
    }

    /// Until the configuration has changed again, or will not any more.
    fn next_reload(&self) {
        let seen = self.reloads.load(SeqCst);
        wait_for(PATIENCE, || (self.reloads.load(SeqCst) > seen || self.over.load(SeqCst)).then_some(()));
    }

    /// A request and its response.
    fn one<S: Read + Write>(&self, reader: &mut BufReader<S>, head: &str) -> io::Result<After> {
        reader.get_mut().write_all(head.as_bytes())?;
        let (mut line, mut length) = (String::new(), 0);
        if reader.read_line(&mut line)? == 0 {
            return Ok(After::Unanswered);
        }
        let status = line.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        let mut closes = false;
        loop {
            let mut field = String::new();
            if reader.read_line(&mut field)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let field = field.to_ascii_lowercase();
            if let Some(n) = field.strip_prefix("content-length:") {
                length = n.trim().parse().unwrap_or(0);
            }
            closes |= field.trim_end() == "connection: close";
            if field == "\r\n" {
                break;
            }
        }
        reader.read_exact(&mut vec![0; length])?;
        self.requests.fetch_add(1, SeqCst);
        match status {
            200 | 101 if closes => Ok(After::Closes),
            200 | 101 => Ok(After::Keeps),
            _ => Err(io::Error::other(format!("status {status}"))),
        }
    }

    /// One request after the other on one connection, and another one when that was closed.
    fn keep<S: Read + Write>(
        &self,
        head: &str,
        mut connect: impl FnMut() -> io::Result<BufReader<S>>,
    ) -> io::Result<()> {
        let mut c = connect()?;
        let mut used = false;
        while self.go_on() {
            (c, used) = match self.one(&mut c, head)? {
                After::Keeps => (c, true),
                After::Closes => (connect()?, false),
                After::Unanswered if used => {
                    self.again.fetch_add(1, SeqCst);
                    (connect()?, false)
                }
                After::Unanswered => return Err(io::Error::other("a new connection was closed")),
            };
        }
        Ok(())
    }
}

fn connect(port: u16) -> io::Result<BufReader<TcpStream>> {
    let s = TcpStream::connect(("127.0.0.1", port))?;
    s.set_read_timeout(Some(PATIENCE))?;
    s.set_nodelay(true)?;
    Ok(BufReader::new(s))
}

fn connect_tls(
    storm: &Storm,
    port: u16,
) -> io::Result<BufReader<rustls::StreamOwned<rustls::ClientConnection, TcpStream>>> {
    let name = ServerName::try_from("site.test").map_err(io::Error::other)?;
    let connection = rustls::ClientConnection::new(storm.tls.clone(), name).map_err(io::Error::other)?;
    Ok(BufReader::new(rustls::StreamOwned::new(connection, connect(port)?.into_inner())))
}

fn head(path: &str, keep: bool) -> String {
    let close = if keep { "" } else { "Connection: close\r\n" };
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n{close}\r\n")
}

fn answered(done: io::Result<After>) -> io::Result<()> {
    match done? {
        After::Unanswered => Err(io::Error::other("a new connection was closed")),
        _ => Ok(()),
    }
}

fn short(storm: &Storm, ports: &Ports) -> io::Result<()> {
    while storm.go_on() {
        answered(storm.one(&mut connect(ports.plain)?, &head("/short", false)))?;
    }
    Ok(())
}

fn kept(storm: &Storm, ports: &Ports) -> io::Result<()> {
    storm.keep(&head("/kept", true), || connect(ports.plain))
}

fn slow(storm: &Storm, ports: &Ports) -> io::Result<()> {
    while storm.go_on() {
        answered(storm.one(&mut connect(ports.plain)?, &head("/slow", false)))?;
    }
    Ok(())
}

fn tls(storm: &Storm, ports: &Ports) -> io::Result<()> {
    while storm.go_on() {
        answered(storm.one(&mut connect_tls(storm, ports.tls)?, &head("/tls", false)))?;
    }
    Ok(())
}

fn tls_kept(storm: &Storm, ports: &Ports) -> io::Result<()> {
    storm.keep(&head("/kept", true), || connect_tls(storm, ports.tls))
}

fn socket(storm: &Storm, ports: &Ports) -> io::Result<()> {
    while storm.go_on() {
        let mut c = connect(ports.plain)?;
        let head = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
        answered(storm.one(&mut c, head))?;
        let began = Instant::now();
        while began.elapsed() < storm.length.sockets && storm.go_on() {
            c.get_mut().write_all(b"ping")?;
            c.read_exact(&mut [0; 4])?;
            storm.requests.fetch_add(1, SeqCst);
        }
    }
    Ok(())
}

/// Two requests at a time on one connection, until that says that it ends.
fn h2(storm: &Storm, ports: &Ports) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    while !storm.over.load(SeqCst) {
        local.block_on(&runtime, h2_connection(storm, ports.h2)).map_err(io::Error::other)?;
    }
    Ok(())
}

async fn h2_connection(storm: &Storm, port: u16) -> Result<(), h2::Error> {
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.map_err(h2_error)?;
    let (sender, connection) = h2::client::handshake(stream).await?;
    let driver = tokio::task::spawn_local(connection);
    let mut share = tokio::time::interval(storm.pause); // of the load
    share.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    share.tick().await; // the first one is now
    while !storm.over.load(SeqCst) {
        share.tick().await;
        let mut client = match sender.clone().ready().await {
            Ok(client) => client,
            Err(e) if e.is_go_away() => break,
            Err(e) => return Err(e),
        };
        let request = || http::Request::get("http://a/h2").body(()).unwrap();
        let mut asked = Vec::new();
        for _ in 0..2 {
            asked.push(client.send_request(request(), true));
        }
        for one in asked {
            let answer = async { one?.0.await };
            match answer.await {
                Ok(response) => {
                    assert_eq!(response.status(), 200);
                    let mut body = response.into_body();
                    while let Some(chunk) = body.data().await {
                        let _ = body.flow_control().release_capacity(chunk?.len());
                    }
                    storm.requests.fetch_add(1, SeqCst);
                }
                // the server says that it has not begun with it
                Err(e) if e.is_go_away() && e.reason() == Some(h2::Reason::NO_ERROR) => {
                    storm.again.fetch_add(1, SeqCst);
                }
                Err(e) => return Err(e),
            }
        }
    }
    drop(sender);
    // its last frames go out
    let _ = driver.await;
    Ok(())
}

fn h2_error(e: io::Error) -> h2::Error {
    panic!("cannot connect: {e}")
}

/// Any certificate will do.
#[derive(Debug)]
struct Anybody(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            cert,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            cert,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }
    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn trusting() -> Arc<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let verifier = Arc::new(Anybody(provider));
    Arc::new(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// Answers requests by their path; nothing is written down of them.
fn origin(storm: &Arc<Storm>, port: u16) {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let storm = storm.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let storm = storm.clone();
            std::thread::spawn(move || serve(&storm, stream));
        }
    });
}

fn serve(storm: &Storm, stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        let (mut line, mut field) = (String::new(), String::new());
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        while reader.read_line(&mut field)? > 2 {
            field.clear();
        }
        if line.contains("/ws") {
            reader.get_mut().write_all(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                  Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            )?;
            loop {
                reader.read_exact(&mut [0; 4])?;
                reader.get_mut().write_all(b"pong")?;
            }
        }
        if line.contains("/slow") {
            storm.next_reload();
        }
        reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
    }
}

/// A world with origins and a certificate, and the storm to come.
fn world(length: Length) -> (World, Arc<Storm>, Ports) {
    let mut w = World::new(Binary::under_test());
    let storm = Storm::new(length);
    for name in ["o1", "o2"] {
        origin(&storm, w.port(name));
    }
    crate::tls::own(&w, "site", false, "DNS:site.test");
    let ports = Ports { plain: w.port("fe"), tls: w.port("tls"), h2: w.port("h2") };
    (w, storm, ports)
}

fn variant(n: u64) -> String {
    format!("{CONFIG}{}", VARIANTS[n as usize % VARIANTS.len()])
}

/// A command on a Unix socket, and what comes back; none: nobody is there.
fn talk(path: &Path, command: &str) -> Option<String> {
    let mut s = UnixStream::connect(path).ok()?;
    s.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = s.write_all(format!("{command}\n").as_bytes());
    let _ = s.shutdown(Shutdown::Write);
    let mut answer = String::new();
    let _ = s.read_to_string(&mut answer);
    Some(answer)
}

fn memory(pid: u32) -> u64 {
    proc::status(pid, "VmRSS").trim().trim_end_matches(" kB").parse().unwrap_or(0)
}

/// How many plans are in use beside the newest; the one before it may be for a moment.
fn older(answer: &str) -> Option<usize> {
    let line = answer.lines().find(|l| l.contains("older ones are still in use"))?;
    line.rsplit_once("opened). ")?.1.split(' ').next()?.parse().ok()
}

/// Memory stays where it is, too.
#[test]
fn in_place() {
    let (mut w, storm, ports) = world(Length::of(40));
    w.proxy(&variant(0));
    let socket = w.dir().join("cli");
    wait_for(PATIENCE, || socket.exists().then_some(())).unwrap();
    let clients = storm.rage(ports);
    let pid = w.process(0).pid();
    let (began, mut early) = (Instant::now(), 0);
    for n in 1..=storm.length.reloads {
        replace(&mut w, &variant(n));
        let answer = talk(&socket, "reload config").unwrap();
        assert!(answer.starts_with("Success=1"), "{answer}");
        storm.reloads.fetch_add(1, SeqCst);
        if n == storm.length.reloads / 4 {
            early = memory(pid);
        }
        storm.until_next(began);
    }
    let failures = storm.calm(clients, began);
    assert!(failures.is_empty(), "{failures:#?}");
    let gone = wait_for(PATIENCE, || (older(&talk(&socket, "reload config")?)? <= 1).then_some(()));
    assert!(gone.is_some(), "older plans are kept: {:?}", talk(&socket, "reload config"));
    assert_eq!(storm.again.load(SeqCst), 0, "connections go on");
    let late = memory(pid);
    println!("{early} kB at a quarter, {late} kB at the end");
    assert!(late < early + early / 4 + 4096, "memory grows: {early} kB, {late} kB");
}

/// Another configuration, at once: who reads it meanwhile reads a whole one.
fn replace(w: &mut World, text: &str) {
    let next = w.file("next.cfg", text);
    std::fs::rename(next, w.dir().join("0.cfg")).unwrap();
}

/// One worker is left in the end.
#[test]
fn by_the_master() {
    let (mut w, storm, ports) = world(Length::of(10));
    w.proxy_with(&variant(0), &["-W", "-db", "-S", "${dir}/master"]);
    let socket = w.dir().join("master");
    let serves = |text: &str| text.matches(" worker ").count() == 1;
    wait_for(PATIENCE, || serves(&talk(&socket, "show proc")?).then_some(())).unwrap();
    let clients = storm.rage(ports);
    let began = Instant::now();
    for n in 1..=storm.length.reloads {
        replace(&mut w, &variant(n));
        let answer = wait_for(PATIENCE, || talk(&socket, "reload").filter(|a| a.starts_with("Success")));
        assert!(answer.as_ref().is_some_and(|a| a.starts_with("Success=1")), "{answer:?}");
        storm.reloads.fetch_add(1, SeqCst);
        storm.until_next(began);
    }
    let failures = storm.calm(clients, began);
    assert!(failures.is_empty(), "{failures:#?}\n{}", w.process(0).stderr());
    let master = w.process(0).pid();
    assert!(proc::only_child(master, None).is_some(), "{:?}", talk(&socket, "show proc"));
}

/// Starts the next process, which takes over from the one before it, and waits until it serves.
fn next(w: &mut World, storm: &Storm, n: u64) {
    let last = w.process(n as usize - 1).pid();
    let text = variant(n);
    w.proxy_with(&text, &["-db", "-x", "${dir}/cli", "-sf", &last.to_string()]);
    let (socket, pid) = (w.dir().join("cli"), w.process(n as usize).pid());
    let serves =
        wait_for(PATIENCE, || talk(&socket, "show info")?.contains(&format!("\nPid: {pid}\n")).then_some(()));
    assert!(serves.is_some(), "{}", w.process(n as usize).stderr());
    storm.reloads.fetch_add(1, SeqCst);
}

/// One process is left in the end.
fn take_over(binaries: &[Binary], length: Length) {
    let (mut w, storm, ports) = world(length);
    w.binary = binaries[0].clone();
    w.proxy(&variant(0));
    let socket = w.dir().join("cli");
    wait_for(PATIENCE, || socket.exists().then_some(())).unwrap();
    let clients = storm.rage(ports);
    let began = Instant::now();
    for n in 1..=storm.length.reloads {
        w.binary = binaries[n as usize % binaries.len()].clone();
        next(&mut w, &storm, n);
        storm.until_next(began);
    }
    let failures = storm.calm(clients, began);
    let mut ended = Vec::new();
    for n in 0..storm.length.reloads as usize {
        let code = w.process(n).wait(PATIENCE).map(|o| o.code);
        ended.push((code, w.process(n).stderr()));
    }
    // Debian's haproxy dies of a signal at its end now and then; what it served was served by then
    let ours = Binary::under_test();
    let well = |(n, (code, _)): (usize, &(Option<i32>, String))| match binaries[n % binaries.len()].path
        == ours.path
    {
        true => *code == Some(0),
        false => code.is_some(),
    };
    let good = failures.is_empty() && ended.iter().enumerate().all(well);
    assert!(good, "{failures:#?}\n{ended:#?}");
}

#[test]
fn by_new_processes() {
    let length = Length::of(8);
    // every one is a start from nothing: a fifth of the others
    take_over(&[Binary::under_test()], Length { reloads: (length.reloads / 5).max(8), ..length });
}

/// Debian's haproxy gives its listeners to us, we give them back, and so on.
#[test]
fn with_debians_haproxy_in_turn() {
    let Some(haproxy) = Binary::debian() else { return };
    let length = Length::of(4);
    take_over(&[haproxy, Binary::under_test()], Length { reloads: (length.reloads / 20).max(4), ..length });
}
