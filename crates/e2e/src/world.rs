//! What a scenario is played in: a proxy, its clients, its origins, its log receiver, named ports and a folder.
use crate::binary::Binary;
use crate::client::Client;
use crate::conn::Transcript;
use crate::h2::H2;
use crate::mask;
use crate::origin::{Origin, OriginConn};
use crate::ports::{Port, is_listening};
use crate::process::{Output, PATIENCE, Process, wait_for};
use crate::quiet;
use crate::sink::LogSink;
use rustix::net;
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What stands before a configuration that does not begin with its own `global` section. The timeouts are for what never ends
/// only: a scenario that waits for one says which.
pub const PREAMBLE: &str = "\
global
  log 127.0.0.1:${log} local0
  nbthread 1
defaults
  mode http
  log global
  option httplog
  timeout connect 10s
  timeout client 30s
  timeout server 30s
";

/// One run of a scenario with one binary.
pub struct World {
    /// The binary that plays it.
    pub binary: Binary,
    dir: PathBuf,
    ports: BTreeMap<String, Port>,
    clients: Vec<(String, Transcript)>,
    origins: Vec<Arc<Origin>>,
    sink: LogSink,
    logs_wanted: bool,
    origins_wanted: bool,
    processes: Vec<Process>,
    notes: Transcript,
    env: Vec<(String, String)>,
}

impl World {
    /// An empty world for this binary.
    pub fn new(binary: Binary) -> World {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("e2e-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let log = Port::reserve();
        let sink = LogSink::udp(log.number());
        World {
            binary,
            dir,
            ports: BTreeMap::from([("log".to_string(), log)]),
            clients: Vec::new(),
            origins: Vec::new(),
            sink,
            logs_wanted: false,
            origins_wanted: true,
            processes: Vec::new(),
            notes: Transcript::default(),
            env: Vec::new(),
        }
    }

    /// The port of that name; taken when it is new.
    pub fn port(&mut self, name: &str) -> u16 {
        self.ports.entry(name.to_string()).or_insert_with(Port::reserve).number()
    }

    /// The scenario's own folder, `${dir}` in configurations.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes a file into the scenario's folder; `${...}` is replaced as in a configuration.
    pub fn file(&mut self, name: &str, content: &str) -> PathBuf {
        let path = self.dir.join(name);
        let content = self.expand(content);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Sets an environment variable for the processes started from now on.
    pub fn env(&mut self, name: &str, value: &str) {
        self.env.push((name.into(), value.into()));
    }

    /// Replaces `${name}` of small letters by ports and the folder; other braces are the configuration's own.
    pub fn expand(&mut self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            out.push_str(&rest[..at]);
            let inner = &rest[at + 2..];
            let name = inner.split('}').next().unwrap_or("");
            let ours = !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
            if ours {
                match name {
                    "dir" => out.push_str(&self.dir.display().to_string()),
                    _ => out.push_str(&self.port(name).to_string()),
                }
                rest = &inner[name.len() + 1..];
            } else {
                out.push_str("${");
                rest = inner;
            }
        }
        out.push_str(rest);
        out
    }

    /// Starts an origin under this name.
    pub fn origin(&mut self, name: &str, script: impl Fn(OriginConn) + Send + Sync + 'static) -> Arc<Origin> {
        let port = self.port(name);
        let origin = Arc::new(Origin::start(name, port, script));
        self.origins.push(origin.clone());
        origin
    }

    /// Starts an origin that gives every request the same answer.
    pub fn answering(&mut self, name: &str, response: &'static str) -> Arc<Origin> {
        self.origin(name, move |c| c.answer_all(response.as_bytes()))
    }

    /// Starts an origin that answers 200 with a two byte body.
    pub fn ok(&mut self, name: &str) -> Arc<Origin> {
        self.answering(name, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    }

    /// Writes the configuration (after [`PREAMBLE`] when it has no `global`), starts the binary on it in the foreground and
    /// waits until all `bind` lines with a `${name}` port listen.
    pub fn proxy(&mut self, config: &str) -> usize {
        self.proxy_with(config, &["-db"])
    }

    /// As [`World::proxy`], with these arguments before `-f`.
    pub fn proxy_with(&mut self, config: &str, args: &[&str]) -> usize {
        let text = match config.trim_start().starts_with("global") {
            true => config.to_string(),
            false => format!("{PREAMBLE}{config}"),
        };
        let file = self.file(&format!("{}.cfg", self.processes.len()), &text);
        let file = file.display().to_string();
        let mut all: Vec<String> = args.iter().map(|a| self.expand(a)).collect();
        all.extend(["-f".into(), file]);
        self.processes.push(Process::spawn(&self.binary, &all, &self.env));
        let ports = self.bound_ports(&text);
        let index = self.processes.len() - 1;
        let ready = wait_for(PATIENCE, || {
            let dead = !self.processes[index].is_running() && !args.contains(&"-D");
            (dead || ports.iter().all(|p| is_listening(*p))).then_some(!dead)
        });
        if ready != Some(true) {
            panic!(
                "{} does not listen:\n{}\n{text}",
                self.binary.path.display(),
                self.processes[index].stderr()
            );
        }
        index
    }

    fn bound_ports(&mut self, text: &str) -> Vec<u16> {
        // IPv6 listeners are not waited for: the look for listeners is IPv4's
        let binds = text.lines().filter(|l| l.trim_start().starts_with("bind ") && !l.contains('['));
        let names: Vec<String> = binds
            .flat_map(|l| {
                l.split("${")
                    .skip(1)
                    .filter_map(|w| w.split('}').next())
                    .map(str::to_string)
                    .collect::<Vec<_>>()
            })
            .filter(|n| {
                n != "dir" && n.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            })
            .collect();
        names.iter().map(|n| self.port(n)).collect()
    }

    /// Runs the binary to its end with these arguments.
    pub fn run(&mut self, args: &[&str]) -> Output {
        let args: Vec<String> = args.iter().map(|a| self.expand(a)).collect();
        let mut process = Process::spawn(&self.binary, &args, &self.env);
        process
            .wait(PATIENCE)
            .unwrap_or_else(|| panic!("{} {args:?} does not end", self.binary.path.display()))
    }

    /// Writes a configuration and runs the binary on it with `-c`.
    pub fn check(&mut self, config: &str, args: &[&str]) -> Output {
        let file = self.file("check.cfg", config).display().to_string();
        let mut all = args.to_vec();
        all.extend(["-c", "-f", &file]);
        self.run(&all)
    }

    /// The process started by the `index`th [`World::proxy`].
    pub fn process(&mut self, index: usize) -> &mut Process {
        &mut self.processes[index]
    }

    /// Connects a new client to the port of that name, once all that earlier ones did is done: their ends count.
    pub fn client(&mut self, port: &str) -> Client {
        self.settle();
        let number = self.port(port);
        let transcript = self.new_client(port);
        Client::tcp(number, transcript)
    }

    /// Connects a new client that speaks HTTP/2 with these settings.
    pub fn h2_client(&mut self, port: &str, settings: &[(u16, u32)]) -> H2 {
        H2::begin(self.client(port), settings)
    }

    /// Connects a new client to a Unix socket in the scenario's folder.
    pub fn unix_client(&mut self, name: &str) -> Client {
        self.settle();
        let transcript = self.new_client(name);
        Client::unix(&self.dir.join(name), transcript)
    }

    fn new_client(&mut self, to: &str) -> Transcript {
        let transcript = Transcript::default();
        self.clients.push((format!("client {} to {to}", self.clients.len() + 1), transcript.clone()));
        transcript
    }

    /// Adds a line of the scenario's own to the transcript.
    pub fn note(&self, line: impl Into<String>) {
        self.notes.add(line);
    }

    /// Waits for `n` log lines in all and makes logs part of the transcript.
    pub fn logs(&mut self, n: usize) -> Vec<String> {
        self.logs_wanted = true;
        let lines = self.sink.wait(n).to_vec();
        assert!(lines.len() >= n, "{} log lines instead of {n}:\n{}", lines.len(), lines.join("\n"));
        lines
    }

    /// Leaves origins out of the transcript, where it is by chance how many connections they have.
    pub fn forget_origins(&mut self) {
        self.origins_wanted = false;
    }

    /// Leaves log lines out of the transcript, where they cannot be the same twice.
    pub fn forget_logs(&mut self) {
        self.logs_wanted = false;
    }

    /// Receives logs on a Unix datagram socket in the scenario's folder instead of `${log}`.
    pub fn unix_sink(&mut self, name: &str) {
        self.sink = LogSink::unix(&self.dir.join(name));
    }

    /// Listens on the port of that name with a full queue: connecting to it neither works nor fails.
    pub fn full_listener(&mut self, name: &str) -> Vec<OwnedFd> {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port(name)));
        let listener = net::socket(net::AddressFamily::INET, net::SocketType::STREAM, None).unwrap();
        net::sockopt::set_socket_reuseaddr(&listener, true).unwrap();
        // a process that is being started may hold a copy of a closed socket for a moment
        wait_for(PATIENCE, || net::bind(&listener, &address).ok()).expect("a free port");
        net::listen(&listener, 0).unwrap();
        let mut held = vec![listener];
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(50)) {
            held.push(stream.into());
        }
        held
    }

    /// Masks what differs from run to run in any text.
    pub fn mask(&self, text: &str) -> String {
        let mut names: Vec<_> = self.ports.iter().map(|(n, p)| (p.number().to_string(), n.clone())).collect();
        names.push((self.dir.display().to_string(), "dir".into()));
        mask::addresses(text, &names)
    }

    /// Waits until origins and processes have nothing left to do: everybody has seen what was sent to them.
    pub fn settle(&self) {
        let crews: Vec<_> = self.origins.iter().map(|o| o.crew().clone()).collect();
        let pids: Vec<u32> = self.processes.iter().map(Process::pid).collect();
        quiet::settle(&crews, &pids);
    }

    /// Ends the run and gives the transcript: clients, origins, log lines, notes.
    pub fn finish(mut self) -> String {
        self.settle();
        let text = self.transcript();
        for process in &mut self.processes {
            process.signal(rustix::process::Signal::KILL);
            process.wait(PATIENCE);
        }
        text
    }

    fn transcript(&mut self) -> String {
        let mut out = Vec::new();
        let mut section = |title: String, lines: Vec<String>| {
            out.push(format!("== {title}"));
            out.extend(lines);
        };
        for (title, transcript) in &self.clients {
            section(title.clone(), transcript.lines());
        }
        for origin in self.origins.iter().filter(|_| self.origins_wanted) {
            for (n, lines) in origin.transcripts().into_iter().enumerate() {
                section(format!("{} connection {}", origin.name, n + 1), lines);
            }
            if origin.connections() == 0 {
                section(format!("{}: no connection", origin.name), Vec::new());
            }
        }
        if self.logs_wanted {
            let lines = self.sink.drain();
            section("log".into(), lines.iter().map(|l| mask::line(l)).collect());
        }
        if !self.notes.lines().is_empty() {
            section("notes".into(), self.notes.lines());
        }
        let text = out.join("\n") + "\n";
        self.mask(&text)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.processes.clear();
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}
