//! The control plane's thread: accepts connections of the Runtime API and serves them.

use crate::admin::{Admin, Client};
use crate::secure::Secure;
use crate::session::{self, Cli};
use crate::socket::{Bound, CliBind, Level};
use portcullis_tls::acceptor::Acceptor;
use rustix::fd::OwnedFd;
use rustix::net::AddressFamily;
use std::future::{Future, ready};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    fn new(fd: &rustix::fd::OwnedFd) -> io::Result<Self> {
        let fd = fd.try_clone()?;
        rustix::io::ioctl_fionbio(&fd, true)?;
        match rustix::net::getsockname(&fd)?.address_family() {
            AddressFamily::UNIX => Ok(Self::Unix(UnixListener::from_std(fd.into())?)),
            _ => Ok(Self::Tcp(TcpListener::from_std(fd.into())?)),
        }
    }
}

/// A connection that the master has made for one of its own clients.
#[derive(Debug)]
pub struct Visit {
    /// Its end of the pair.
    pub stream: std::os::unix::net::UnixStream,
    /// What it may do.
    pub level: Level,
    /// `expert-mode on`
    pub expert: bool,
    /// `experimental-mode on`
    pub experimental: bool,
}

/// The way in for visits.
#[derive(Clone, Debug)]
pub struct Door(UnboundedSender<Visit>);

impl Door {
    /// Serves a visit. The master bounds how many there are.
    pub fn enter(&self, visit: Visit) {
        // no thread any more: the process ends
        let _ = self.0.send(visit);
    }
}

/// The control plane as the rest of the process holds it.
pub struct Control {
    /// The way in for visits, if there may be some.
    pub door: Option<Door>,
    /// What commands work on.
    pub admin: Arc<Admin>,
}

/// Begins to answer on the sockets and for `visited`, on a thread of its own; without any of them there is none. Nobody
/// is accepted once the process begins to stop; the thread ends with the process, or without visits when the last connection
/// has ended.
///
/// # Errors
/// When the thread cannot be made.
pub fn serve(bound: Vec<Bound>, mut admin: Admin, visited: bool) -> io::Result<Option<Control>> {
    if bound.is_empty() && !visited {
        return Ok(None);
    }
    admin.sockets = bound.iter().map(|b| (b.name.clone(), b.cli.level)).collect();
    admin.vitals.sockets.store(u32::try_from(bound.len()).unwrap_or(u32::MAX), Relaxed);
    let admin = Arc::new(admin);
    let (door, visits) = unbounded_channel();
    let control = Control { door: visited.then_some(Door(door)), admin: admin.clone() };
    std::thread::Builder::new().name("control".into()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, main(bound, admin, visits))
    })?;
    Ok(Some(control))
}

async fn main(bound: Vec<Bound>, admin: Arc<Admin>, visits: UnboundedReceiver<Visit>) -> io::Result<()> {
    let room = Rc::new(Semaphore::new(admin.maxconn));
    let mut accepting = Vec::new();
    for b in &bound {
        let listener = Listener::new(&b.fd)?;
        accepting.push(tokio::task::spawn_local(accept(
            listener,
            (b.cli, b.tls.clone()),
            admin.clone(),
            room.clone(),
        )));
    }
    let visited = tokio::task::spawn_local(receive(visits, admin.clone()));
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    while !admin.process.is_leaving() {
        tokio::select! {
            _ = seconds.tick() => admin.vitals.tick(),
            () = admin.hush.wanted.notified() => break,
        }
    }
    for task in accepting {
        task.abort();
        let _ = task.await;
    }
    drop(bound);
    admin.vitals.sockets.store(0, Relaxed);
    admin.hush.done();
    // those who are connected finish what they do
    let _ = room.acquire_many(u32::try_from(admin.maxconn).unwrap_or(u32::MAX)).await;
    // a leaving worker can be visited until its end
    let _ = visited.await;
    Ok(())
}

async fn receive(mut visits: UnboundedReceiver<Visit>, admin: Arc<Admin>) {
    while let Some(visit) = visits.recv().await {
        if visit.stream.set_nonblocking(true).is_err() {
            continue;
        }
        if let Ok(stream) = UnixStream::from_std(visit.stream) {
            let bind = CliBind { level: visit.level, ..CliBind::default() };
            let cli = Cli {
                expert: visit.expert,
                experimental: visit.experimental,
                ..Cli::new(bind, admin.timeout)
            };
            spawn(&admin, cli, ready(Some(stream)), None, ("unix_stream", "unix:1".into()));
        }
    }
}

async fn accept(
    listener: Listener,
    (cli, tls): (CliBind, Option<Arc<Acceptor>>),
    admin: Arc<Admin>,
    room: Rc<Semaphore>,
) {
    loop {
        // beyond `stats maxconn` clients wait in the kernel's backlog
        let Ok(place) = room.clone_permit().await else { return };
        match &listener {
            Listener::Tcp(l) => match l.accept().await {
                Ok((stream, from)) => {
                    let _ = stream.set_nodelay(true);
                    let protocol = if from.is_ipv4() { "tcpv4" } else { "tcpv6" };
                    begin(&admin, (cli, &tls), stream, place, (protocol, from.to_string()));
                }
                Err(e) => rest(&e).await,
            },
            Listener::Unix(l) => match l.accept().await {
                Ok((stream, _)) => {
                    begin(&admin, (cli, &tls), stream, place, ("unix_stream", "unix:1".into()));
                }
                Err(e) => rest(&e).await,
            },
        }
    }
}

/// Serves a connection, behind the handshakes that its socket asks for.
fn begin<S: session::Stream + Descriptor + 'static>(
    admin: &Arc<Admin>,
    (cli, tls): (CliBind, &Option<Arc<Acceptor>>),
    stream: S,
    place: Place,
    from: (&'static str, String),
) {
    let proxied = cli.accepts_proxy;
    let cli = Cli::new(cli, admin.timeout);
    if tls.is_none() && !proxied {
        return spawn(admin, cli, ready(Some(stream)), Some(place), from);
    }
    let (limit, tls) = (admin.timeout, tls.clone());
    let shaken = async move { Secure::accept(stream.descriptor().ok()?, proxied, tls.as_ref(), limit).await };
    spawn(admin, cli, shaken, Some(place), from);
}

/// A socket that leaves Tokio.
trait Descriptor {
    fn descriptor(self) -> io::Result<OwnedFd>;
}

impl Descriptor for TcpStream {
    fn descriptor(self) -> io::Result<OwnedFd> {
        self.into_std().map(OwnedFd::from)
    }
}

impl Descriptor for UnixStream {
    fn descriptor(self) -> io::Result<OwnedFd> {
        self.into_std().map(OwnedFd::from)
    }
}

/// A place that is given back on drop.
struct Place(Rc<Semaphore>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

trait Permits {
    async fn clone_permit(&self) -> Result<Place, tokio::sync::AcquireError>;
}

impl Permits for Rc<Semaphore> {
    async fn clone_permit(&self) -> Result<Place, tokio::sync::AcquireError> {
        self.acquire().await?.forget();
        Ok(Place(self.clone()))
    }
}

/// No descriptors or memory are left: try again a little later.
async fn rest(e: &io::Error) {
    if !matches!(e.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Serves whoever comes of `stream`, if somebody does.
fn spawn<S: session::Stream>(
    admin: &Arc<Admin>,
    cli: Cli,
    stream: impl Future<Output = Option<S>> + 'static,
    place: Option<Place>,
    (protocol, source): (&'static str, String),
) {
    let admin = admin.clone();
    let counters = admin.counters();
    counters.cum_conns.inc();
    counters.cum_req.inc();
    let id = counters.cum_conns.get();
    admin.clients.lock().push(Client { id, protocol, source, since: admin.now() });
    admin.vitals.clients.fetch_add(1, Relaxed);
    tokio::task::spawn_local(async move {
        if let Some(stream) = stream.await {
            session::run(admin.clone(), cli, stream).await;
        }
        admin.clients.lock().retain(|c| c.id != id);
        admin.vitals.clients.fetch_sub(1, Relaxed);
        drop(place);
    });
}
