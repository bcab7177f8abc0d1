//! From a plan to running workers, and how they end.

use crate::accept::Listening;
use crate::plan::{ListenerPlan, Plan};
use crate::process::Process;
use crate::worker::mailbox::{Mail, mailbox};
use crate::worker::slots::Abort;
use portcullis_config::Bind;
use portcullis_config::addr::{Host, Transport};
use portcullis_telemetry::gate;
use portcullis_transport::listen;
use portcullis_transport::sockets::Sockets;
use rustix::fd::OwnedFd;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A listening socket, not yet given to a worker.
#[derive(Debug)]
pub struct Bound {
    /// The socket.
    pub fd: Arc<OwnedFd>,
    /// What it is for.
    pub listener: Arc<ListenerPlan>,
    /// Which of the listener's shards, from 0, of how many.
    pub shard: (u16, u16),
    /// What it has to do without.
    pub warnings: Vec<String>,
}

/// Opens every listener of a plan, or takes it from an older process. Every one that cannot be opened is told.
///
/// # Errors
/// One message a listener: `Binding [file:line] for frontend NAME: protocol tcpv4: cannot bind socket (reason) for [address].`
pub fn bind(plan: &Plan, sockets: &dyn Sockets) -> Result<Vec<Bound>, Vec<String>> {
    let mut bound = Vec::new();
    let mut failed = reversed(plan);
    for listener in plan.listeners.iter().filter(|l| l.enabled) {
        for shard in 0..listener.shards {
            match open(listener, shard, sockets) {
                Ok(one) => bound.push(one),
                Err(message) => {
                    failed.push(message);
                    break;
                }
            }
        }
    }
    if failed.is_empty() { Ok(bound) } else { Err(failed) }
}

/// Listeners of reverse HTTP whose server is none for them.
fn reversed(plan: &Plan) -> Vec<String> {
    let wrong = |l: &Arc<ListenerPlan>| {
        let why = crate::h2::reverse::wrong(plan, l)?;
        let (file, line) = (&l.file, l.bind.place.line);
        Some(format!(
            "Starting [{file}:{line}] for {} {}: protocol rev: {why}",
            l.frontend_kind, l.frontend_name
        ))
    };
    plan.listeners.iter().filter_map(wrong).collect()
}

fn open(listener: &Arc<ListenerPlan>, shard: u16, sockets: &dyn Sockets) -> Result<Bound, String> {
    match sockets.listen(&listener.bind, &listener.options) {
        Ok((fd, lacking)) => {
            let warnings = lacking.iter().map(|l| warning(listener, l)).collect();
            Ok(Bound { fd, listener: listener.clone(), shard: (shard, listener.shards), warnings })
        }
        Err(e) => Err(told(listener, "Binding", &e.step, &e.reason)),
    }
}

/// What could not be done with a listener, in HAProxy's words.
fn told(listener: &ListenerPlan, doing: &str, step: &str, why: &io::Error) -> String {
    let (file, line) = (&listener.file, listener.bind.place.line);
    // a section of log-forward is one of its frontends to HAProxy
    let kind = if listener.frontend_kind == "log-forward" { "frontend" } else { listener.frontend_kind };
    let name = &listener.frontend_name;
    let datagrams = listener.bind.address.transport == Transport::Datagram;
    let (protocol, place) = match listen::socket_addr(&listener.bind.address) {
        Some(a) => {
            let protocol = match (datagrams, a.is_ipv6()) {
                (false, false) => "tcpv4",
                (false, true) => "tcpv6",
                (true, false) => "udp4",
                (true, true) => "udp6",
            };
            (protocol, format!("for [{}:{}]", a.ip(), a.port()))
        }
        None => {
            let protocol = if datagrams { "unix_dgram" } else { "unix_stream" };
            (protocol, format!("[{}]", listener.bind.text))
        }
    };
    format!(
        "{doing} [{file}:{line}] for {kind} {name}: protocol {protocol}: {step} ({}) {place}.",
        reason(why)
    )
}

/// What a listener has to do without, in HAProxy's words.
fn warning(listener: &ListenerPlan, lacking: &listen::Lacking) -> String {
    let doing = if lacking.binding { "Binding" } else { "Starting" };
    told(listener, doing, &lacking.step, &lacking.reason)
}

/// The system's words without the number that the standard library adds.
fn reason(e: &io::Error) -> String {
    let text = e.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_string()
}

/// Workers at work.
pub struct Running {
    /// What they share.
    pub process: Arc<Process>,
    /// The listening sockets, as long as they are open.
    pub bound: Vec<Bound>,
    /// The newest plan.
    pub plan: Arc<Plan>,
    threads: Vec<JoinHandle<io::Result<()>>>,
    /// Workers that have closed their listeners since the stop began.
    closed: Arc<AtomicUsize>,
}

/// Starts the workers. `place(i)` is called first on worker `i`'s own thread (CPU affinity).
///
/// # Errors
/// When a thread cannot be made or a descriptor not be shared.
pub fn start(
    plan: &Arc<Plan>,
    process: Arc<Process>,
    bound: Vec<Bound>,
    place: Arc<dyn Fn(u16) + Send + Sync>,
) -> io::Result<Running> {
    let workers = process.load.len() as u16;
    let (addresses, mailboxes): (Vec<_>, Vec<_>) = (0..workers).map(|_| mailbox()).unzip();
    process.set_workers(addresses);
    let _ = process.renew(|_| Ok::<_, ()>(plan.clone()));
    portcullis_sample::facts::set_workers(u32::from(workers));
    portcullis_sample::facts::set_buffer_size(plan.global.bufsize);
    let mut threads = Vec::new();
    for (id, mailbox) in (0..workers).zip(mailboxes) {
        let listeners = listeners_of(id, &bound, plan)?;
        let (process, plan, place) = (process.clone(), plan.clone(), place.clone());
        let thread = std::thread::Builder::new().name(format!("worker-{}", id + 1)).spawn(move || {
            place(id);
            portcullis_sample::facts::set_thread(u32::from(id));
            crate::worker::run(id, process, plan, mailbox, listeners)
        })?;
        threads.push(thread);
    }
    let plan = plan.clone();
    Ok(Running { process, bound, plan, threads, closed: Arc::default() })
}

/// A worker's own descriptors of the sockets that it accepts on.
fn listeners_of(worker: u16, bound: &[Bound], plan: &Arc<Plan>) -> io::Result<Vec<Listening>> {
    let mine = bound
        .iter()
        .filter(|b| b.listener.shard_of.get(usize::from(worker)).copied().flatten() == Some(b.shard.0));
    mine.map(|b| Ok(Listening::new(b.fd.as_ref().try_clone()?, b.listener.clone(), plan.clone()))).collect()
}

/// The sockets of a newer plan's listeners: those of `bound` that go on, others opened anew.
///
/// # Errors
/// One message a listener that cannot be opened, as with [`bind`]; nothing has changed then.
pub fn bind_again(plan: &Plan, bound: &[Bound], sockets: &dyn Sockets) -> Result<Vec<Bound>, Vec<String>> {
    let mut taken = vec![false; bound.len()];
    let mut all = Vec::new();
    let mut missing = Vec::new();
    for listener in plan.listeners.iter().filter(|l| l.enabled) {
        for shard in 0..listener.shards {
            let here =
                |(at, b): &(usize, &Bound)| !taken[*at] && same_socket(&b.listener.bind, &listener.bind);
            match bound.iter().enumerate().find(here) {
                Some((at, b)) => {
                    taken[at] = true;
                    let shard = (shard, listener.shards);
                    all.push(Bound { fd: b.fd.clone(), listener: listener.clone(), shard, warnings: vec![] });
                }
                None => missing.push((listener, shard)),
            }
        }
    }
    let mut failed = reversed(plan);
    for (listener, shard) in missing {
        match open(listener, shard, sockets) {
            Ok(bound) => all.push(bound),
            Err(message) => failed.push(message),
        }
    }
    if failed.is_empty() { Ok(all) } else { Err(failed) }
}

/// Is the socket of one line what the other line wants?
fn same_socket(a: &Bind, b: &Bind) -> bool {
    let fixed = |x: &Bind| (x.namespace.clone(), x.interface.clone(), x.transparent, x.v4v6);
    a.address == b.address && fixed(a) == fixed(b)
}

impl Running {
    /// Goes on with a newer plan and its listeners ([`bind_again`]). What the older one alone listened on is given up once nobody
    /// waits there.
    pub fn follow(&mut self, plan: &Arc<Plan>, bound: Vec<Bound>) -> io::Result<()> {
        let workers = 0..self.threads.len() as u16;
        let all: Vec<_> = workers.map(|id| listeners_of(id, &bound, plan)).collect::<Result<_, _>>()?;
        for old in self.plan.listeners.iter().filter(|l| plan.successor(l).is_none()) {
            old.gone.store(true, Ordering::Relaxed);
        }
        let ready = |b: &&Bound| b.listener.proxy.front.running() == gate::Running::Ready;
        for b in bound.iter().filter(ready) {
            // what the socket does without is the same as before
            let _ = listen::again(&b.fd, &b.listener.bind, &b.listener.options);
        }
        for (worker, listeners) in self.process.workers().iter().zip(all) {
            worker.send(Mail::Plan(plan.clone(), listeners));
        }
        (self.plan, self.bound) = (plan.clone(), bound);
        Ok(())
    }
    /// Ends the streams of plans that are older than this one.
    pub fn end_older(&self, generation: u64) {
        self.process.tell_all(|| {
            Mail::Run(Box::new(move |w| {
                for (slot, _, info) in w.slots.list() {
                    if info.stream.is_some_and(|s| s.plan.generation < generation) {
                        w.slots.abort(slot, Abort::Stopping);
                    }
                }
                w.wake_all();
            }))
        });
    }
    /// Soft stop: listeners close at once, streams go on, kept connections end over `window` (`close-spread-time`; `None`:
    /// as they would anyhow).
    pub fn soft_stop(&mut self, window: Option<Duration>) {
        self.process.leave(window);
        self.process.tell_all(|| {
            let closed = self.closed.clone();
            Mail::Run(Box::new(move |w| {
                w.close_listeners();
                w.wake_all();
                closed.fetch_add(1, Ordering::SeqCst);
            }))
        });
        self.bound.clear();
    }
    /// SIGTTOU: the sockets stay, but nothing listens on them, so that another process can.
    pub fn pause(&self) {
        self.process.tell_all(|| Mail::Run(Box::new(|w| w.close_listeners())));
        for b in self.bound.iter().filter(|b| is_inet(b)) {
            let _ = portcullis_transport::listen::silence(&b.fd);
        }
    }
    /// SIGTTIN: listens again.
    ///
    /// # Errors
    /// The listener that cannot, and why: somebody else has its address by now.
    pub fn resume(&self) -> Result<(), (Arc<ListenerPlan>, io::Error)> {
        for b in self.bound.iter().filter(|b| is_inet(b)) {
            listen::listen(&b.fd, &b.listener.options).map_err(|e| (b.listener.clone(), e))?;
        }
        for (id, worker) in (0..).zip(self.process.workers()) {
            if let Ok(listeners) = listeners_of(id, &self.bound, &self.plan) {
                worker.send(Mail::Run(Box::new(move |w| {
                    listeners.into_iter().for_each(|l| crate::accept::spawn(w, l));
                    crate::h2::reverse::begin(w, &w.plan());
                })));
            }
        }
        Ok(())
    }
    /// Hard stop: every stream ends now.
    pub fn hard_stop(&mut self) {
        self.process.leave(Some(Duration::ZERO));
        self.bound.clear();
        self.process.tell_all(|| {
            Mail::Run(Box::new(|w| {
                w.close_listeners();
                for (slot, _, _) in w.slots.list() {
                    w.slots.abort(slot, Abort::Stopping);
                }
                w.wake_all();
            }))
        });
    }
    /// Has every worker closed its listeners after [`Running::soft_stop`]?
    #[must_use]
    pub fn rests(&self) -> bool {
        self.closed.load(Ordering::SeqCst) >= self.threads.len()
    }
    /// Has it, and is no connection left?
    #[must_use]
    pub fn left(&self) -> bool {
        self.rests() && self.process.load.iter().all(|n| n.load(Ordering::SeqCst) == 0)
    }
    /// Has a worker ended, which none does before [`Running::join`]?
    #[must_use]
    pub fn broken(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }
    /// Ends the workers and waits for them.
    ///
    /// # Errors
    /// The first worker's error.
    pub fn join(self) -> io::Result<()> {
        self.process.tell_all(|| Mail::Quit);
        for t in self.threads {
            match t.join() {
                Ok(r) => r?,
                Err(_) => return Err(io::Error::other("a worker panicked")),
            }
        }
        Ok(())
    }
}

fn is_inet(b: &Bound) -> bool {
    let address = &b.listener.bind.address;
    matches!(address.host, Host::V4(_) | Host::V6(_)) && address.transport != Transport::Datagram
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Session;
    use portcullis_backend::Descriptors;
    use portcullis_config::env::Env;
    use portcullis_config::files::LocalFiles;
    use portcullis_config::{Registry, SourceFile, load};
    use portcullis_telemetry::log::Sinks;
    use portcullis_transport::{Conn, Peer};
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::os::unix::net::UnixStream;

    const CONFIG: &str = "global\n nbthread 1\ndefaults\n mode http\n timeout client 9s\n timeout connect 9s\n timeout server 9s\n\
                          frontend fe\n bind 127.0.0.1:1\n http-request return status 200\n";

    /// One worker on a port of the system's choice.
    fn running() -> (Running, Arc<Plan>, std::net::SocketAddr) {
        let registry = Registry::new(vec![portcullis_config::rows::rows(), crate::rules::rows()]);
        let source = SourceFile { name: "test".into(), text: CONFIG.as_bytes().to_vec() };
        let mut loaded = load(&[source], &registry, &LocalFiles, &mut Env::default());
        let counts = gate::Process::new(1, 100, 0, 0);
        let process = Process::new(1, counts, Sinks::new(vec![], None, "t"), Descriptors::new(1000, 20, 25));
        let plan = Arc::new(crate::plan::compile(&loaded.model, &process, &mut loaded.diags));
        assert!(!loaded.diags.failed(), "{:?}", loaded.diags.list);
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        let listener = plan.listeners[0].clone();
        let fd = Arc::new(OwnedFd::from(socket));
        let bound = vec![Bound { fd, listener, shard: (0, 1), warnings: vec![] }];
        (start(&plan, process, bound, Arc::new(|_| {})).unwrap(), plan, address)
    }

    fn served(address: std::net::SocketAddr) -> bool {
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        text.starts_with("HTTP/1.1 200")
    }

    /// The invariant that a panic ends one stream, is counted, gives everything back, and nothing else stops.
    #[test]
    fn a_panic_ends_one_session_alone() {
        let (mut running, plan, address) = running();
        assert!(served(address));
        let listener = plan.listeners[0].clone();
        let (mine, theirs) = UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        let process = running.process.clone();
        process.tell_all(|| {
            let (listener, theirs) = (listener.clone(), theirs.try_clone().unwrap());
            Mail::Run(Box::new(move |worker| {
                let conn = Conn::new(theirs.into());
                let now = worker.clock.now();
                let (counts, front) = (&*worker.process.counts, &*listener.proxy.front);
                let admission = gate::admit(counts, front, &listener.counts, now.0, std::task::Waker::noop())
                    .ok()
                    .unwrap();
                worker.process.load[0].fetch_add(1, Ordering::SeqCst);
                let session = Session::new(
                    worker,
                    conn,
                    Peer::Unix,
                    now,
                    listener.clone(),
                    crate::session::Origin::Connection(admission),
                );
                tokio::task::spawn_local(async move {
                    let _session = session;
                    panic!("as a stream might");
                });
            }))
        });
        drop(theirs);
        // the session's socket is closed with it
        assert_eq!((&mine).read(&mut [0; 8]).unwrap(), 0);
        assert!(served(address));
        assert_eq!(process.counts.counters.sum(|c| c.panics.get()), 1);
        assert!(!running.broken());
        running.soft_stop(Some(Duration::ZERO));
        while !running.left() {
            std::thread::yield_now();
        }
        assert_eq!(process.counts.conns.get(), 0);
        running.join().unwrap();
    }
}
