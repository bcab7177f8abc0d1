//! The control plane's thread: accepts connections of the Runtime API and serves them.

use crate::admin::{Admin, Client};
use crate::session;
use crate::socket::{Bound, CliBind};
use rustix::net::AddressFamily;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;

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

/// Begins to answer on the sockets, on a thread of its own; without sockets there is none. The thread ends when the
/// process begins to stop and the last connection has ended.
///
/// # Errors
/// When the thread cannot be made.
pub fn serve(bound: Vec<Bound>, mut admin: Admin) -> io::Result<Option<JoinHandle<io::Result<()>>>> {
    if bound.is_empty() {
        return Ok(None);
    }
    admin.sockets = bound.iter().map(|b| (b.name.clone(), b.cli.level)).collect();
    admin.vitals.sockets.store(bound.len() as u32, Relaxed);
    let admin = Arc::new(admin);
    let thread = std::thread::Builder::new().name("control".into()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, main(bound, admin))
    })?;
    Ok(Some(thread))
}

async fn main(bound: Vec<Bound>, admin: Arc<Admin>) -> io::Result<()> {
    let room = Rc::new(Semaphore::new(admin.maxconn));
    let mut accepting = Vec::new();
    for b in &bound {
        let listener = Listener::new(&b.fd)?;
        accepting.push(tokio::task::spawn_local(accept(listener, b.cli, admin.clone(), room.clone())));
    }
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    while !admin.process.is_leaving() {
        seconds.tick().await;
        admin.vitals.tick();
    }
    accepting.iter().for_each(tokio::task::JoinHandle::abort);
    drop(bound);
    // those who are connected finish what they do
    let _ = room.acquire_many(u32::try_from(admin.maxconn).unwrap_or(u32::MAX)).await;
    Ok(())
}

async fn accept(listener: Listener, cli: CliBind, admin: Arc<Admin>, room: Rc<Semaphore>) {
    loop {
        // beyond `stats maxconn` clients wait in the kernel's backlog
        let Ok(place) = room.clone_permit().await else { return };
        match &listener {
            Listener::Tcp(l) => match l.accept().await {
                Ok((stream, from)) => {
                    let _ = stream.set_nodelay(true);
                    let protocol = if from.is_ipv4() { "tcpv4" } else { "tcpv6" };
                    spawn(&admin, cli, stream, place, (protocol, from.to_string()));
                }
                Err(e) => rest(&e).await,
            },
            Listener::Unix(l) => match l.accept().await {
                Ok((stream, _)) => spawn(&admin, cli, stream, place, ("unix_stream", "unix:1".into())),
                Err(e) => rest(&e).await,
            },
        }
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

fn spawn(
    admin: &Arc<Admin>,
    cli: CliBind,
    stream: impl session::Stream + 'static,
    place: Place,
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
        session::run(admin.clone(), cli, stream).await;
        admin.clients.lock().retain(|c| c.id != id);
        admin.vitals.clients.fetch_sub(1, Relaxed);
        drop(place);
    });
}
