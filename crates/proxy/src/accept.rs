//! Accepting: limits first, then the connection goes to the least loaded worker.

use crate::plan::{ListenerPlan, Plan};
use crate::session::Origin;
use crate::worker::mailbox::Mail;
use crate::worker::{self, Task, Worker};
use portcullis_config::MultiQueue;
use portcullis_config::addr::Host;
use portcullis_sample::account;
use portcullis_telemetry::gate::{self, Admission, Running, Shut};
use portcullis_telemetry::ledger::Kind;
use portcullis_transport::{Conn, Millis, Peer};
use rustix::fd::{AsFd, OwnedFd};
use rustix::net::SocketFlags;
use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::unix::AsyncFd;

/// A listening socket as one worker holds it.
pub struct Listening {
    /// The socket (each worker has a descriptor of its own for it).
    pub fd: OwnedFd,
    /// What the configuration says of it.
    pub listener: Arc<ListenerPlan>,
    /// The plan that this is of.
    pub plan: Arc<Plan>,
    counted: Acceptor,
}

impl Listening {
    /// Counts from now on as one that accepts, before its worker has begun: `disable frontend` waits for all of them.
    pub fn new(fd: OwnedFd, listener: Arc<ListenerPlan>, plan: Arc<Plan>) -> Self {
        Self { fd, counted: Acceptor::new(listener.clone()), listener, plan }
    }
}

/// A task that accepts, as its worker knows it.
pub struct Accepting {
    task: tokio::task::AbortHandle,
    retired: Rc<Cell<bool>>,
}

impl Accepting {
    /// A task that looks at `retired` when it is woken.
    #[must_use]
    pub fn new(task: tokio::task::AbortHandle, retired: Rc<Cell<bool>>) -> Self {
        Self { task, retired }
    }
    /// It ends at once.
    pub fn abort(&self) {
        self.task.abort();
    }
    /// It ends when it has nothing in its hands: another task accepts on the socket for a newer plan, or, if its listener is
    /// gone, when nobody waits there any more. The worker's tasks have to be woken.
    pub fn retire(&self) {
        self.retired.set(true);
    }
}

/// One more of a frontend's acceptors, until it is dropped.
struct Acceptor(Arc<ListenerPlan>);

impl Acceptor {
    fn new(listener: Arc<ListenerPlan>) -> Self {
        listener.proxy.front.acceptors.fetch_add(1, Ordering::SeqCst);
        Self(listener)
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.0.proxy.front.acceptors.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A connection that has passed the limits.
pub struct Accepted {
    /// Its socket.
    pub fd: OwnedFd,
    /// The other end.
    pub peer: Peer,
    /// When.
    pub at: Millis,
    /// What it came by.
    pub listener: Arc<ListenerPlan>,
    /// The plan of that.
    pub plan: Rc<Arc<Plan>>,
    /// Its place under the limits.
    pub admission: Admission,
}

/// An [`Accepted`] on its way to another worker.
pub struct Packed {
    fd: OwnedFd,
    peer: Peer,
    at: Millis,
    listener: Arc<ListenerPlan>,
    plan: Arc<Plan>,
    admission: Admission,
}

impl Accepted {
    fn pack(self) -> Packed {
        let Self { fd, peer, at, listener, plan, admission } = self;
        Packed { fd, peer, at, listener, plan: Arc::clone(&plan), admission }
    }
}

impl Packed {
    /// On the worker that it was sent to.
    #[must_use]
    pub fn unpack(self, worker: &Worker) -> Accepted {
        let Self { fd, peer, at, listener, plan, admission } = self;
        Accepted { fd, peer, at, listener, plan: worker.counted(plan), admission }
    }
}

/// Starts accepting on this worker; the task ends when the worker drops its handle ([`Worker::close_listeners`]).
pub fn spawn(worker: &Rc<Worker>, listening: Listening) {
    let retired = Rc::new(Cell::new(false));
    let (to, told) = (worker.clone(), retired.clone());
    let task = match crate::logs::forward::is_datagram(&listening) {
        true => worker::spawn(worker, Kind::Accept, None, crate::logs::forward::receive(to, listening, told)),
        false => worker::spawn(worker, Kind::Accept, None, accept(to, listening, told)),
    };
    worker.keep_listener(Accepting::new(task.abort_handle(), retired));
}

async fn accept(worker: Rc<Worker>, listening: Listening, retired: Rc<Cell<bool>>) {
    let Listening { fd, listener, plan, counted: _counted } = listening;
    let plan = worker.counted(plan);
    let Ok(mut socket) = portcullis_sys::reactor::register(fd) else { return };
    let timer = Task::service(&worker);
    let front = &listener.proxy.front;
    let at_once = plan.global.maxaccept;
    let mut taken = 0u32;
    loop {
        // one whose place is taken by another; what waits at a listener that is gone is still taken
        let over = || retired.get() && (!listener.is_gone() || front.running() != Running::Ready);
        if admitted(&worker, &listener, &timer, gate::room, over).await.is_none() {
            return;
        }
        let next = poll_fn(|cx| {
            if over() || front.running() != Running::Ready {
                return Poll::Ready(None);
            }
            let _ = timer.poll_woken(cx);
            match poll_accept(&socket, cx) {
                Poll::Pending if retired.get() => Poll::Ready(None),
                other => other.map(Some),
            }
        });
        let Some(accepted) = next.await else {
            if retired.get() {
                return;
            }
            match held_back(&listener, socket.into_inner(), &timer, &retired).await {
                Some(again) => socket = again,
                None => return,
            }
            continue;
        };
        match accepted {
            Ok((fd, peer)) => {
                let at = worker.clock.now();
                let Some(admission) = admitted(&worker, &listener, &timer, gate::admit, || false).await
                else {
                    return;
                };
                let counts = (&*worker.process.counts, &*listener.proxy.front, &listener.counts);
                gate::accepted(counts.0, counts.1, counts.2, worker.id.into(), at.0);
                place(
                    &worker,
                    Accepted { fd, peer, at, listener: listener.clone(), plan: plan.clone(), admission },
                );
            }
            Err(e) if is_resource(&e) => {
                report(&worker, &listener, &e);
                pause(&timer, Duration::from_millis(100)).await;
            }
            // the peer was gone before it was accepted
            Err(_) => {}
        }
        taken += 1;
        if taken >= at_once {
            taken = 0;
            tokio::task::yield_now().await;
        }
    }
}

/// One more, until it is dropped.
struct Counted<'c>(&'c AtomicU32);

impl<'c> Counted<'c> {
    fn new(count: &'c AtomicU32) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Waits while the frontend is disabled: clients are refused then. None: it was shut down, or cannot listen again.
/// [`Accepting::retire`]d, too.
async fn held_back(
    listener: &ListenerPlan,
    fd: OwnedFd,
    timer: &Task,
    retired: &Cell<bool>,
) -> Option<AsyncFd<OwnedFd>> {
    let front = &listener.proxy.front;
    let tcp = matches!(listener.bind.address.host, Host::V4(_) | Host::V6(_));
    if tcp {
        // the other workers' descriptors are of the same socket
        let _ = portcullis_transport::listen::silence(&fd);
    }
    let holding = Counted::new(&front.holding);
    poll_fn(|cx| {
        let _ = timer.poll_woken(cx);
        if front.running() == Running::Paused && !retired.get() { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    if front.running() == Running::Stopped || retired.get() {
        return None;
    }
    if tcp {
        portcullis_transport::listen::listen(&fd, &listener.options).ok()?;
    }
    drop(holding);
    portcullis_sys::reactor::register(fd).ok()
}

/// Asks a gate for room.
type Ask<T> = fn(&gate::Process, &gate::Frontend, &gate::Listener, u64, &std::task::Waker) -> Result<T, Shut>;

/// Waits until every limit and rate has room; `ask` looks, or takes a place. Asked before `accept` too, so that what has
/// no room stays in the kernel's backlog. None: `over` says that nobody is to be let in any more.
pub(crate) async fn admitted<T>(
    worker: &Rc<Worker>,
    listener: &Arc<ListenerPlan>,
    timer: &Task,
    ask: Ask<T>,
    over: impl Fn() -> bool,
) -> Option<T> {
    let (process, front) = (&*worker.process.counts, &*listener.proxy.front);
    loop {
        let answer = poll_fn(|cx| {
            if over() {
                return Poll::Ready(Ok(None));
            }
            match ask(process, front, &listener.counts, worker.clock.now().0, cx.waker()) {
                Ok(yes) => Poll::Ready(Ok(Some(yes))),
                Err(Shut::Rate(ms)) => Poll::Ready(Err(ms)),
                Err(Shut::Full) => {
                    let _ = timer.poll_woken(cx);
                    Poll::Pending
                }
            }
        })
        .await;
        match answer {
            Ok(answer) => return answer,
            Err(ms) => pause(timer, Duration::from_millis(ms)).await,
        }
    }
}

pub(crate) async fn pause(timer: &Task, time: Duration) {
    timer.deadline(timer.worker.clock.now().after(Some(time)));
    poll_fn(|cx| if timer.poll_woken(cx).is_some() { Poll::Ready(()) } else { Poll::Pending }).await;
    timer.deadline(Millis::NEVER);
}

fn poll_accept(socket: &AsyncFd<OwnedFd>, cx: &mut Context<'_>) -> Poll<io::Result<(OwnedFd, Peer)>> {
    loop {
        let mut guard = ready!(socket.poll_read_ready(cx))?;
        match rustix::net::acceptfrom_with(socket.as_fd(), SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok((fd, from)) => {
                let peer = from.and_then(|a| a.try_into().ok()).map_or(Peer::Unix, Peer::Inet);
                return Poll::Ready(Ok((fd, peer)));
            }
            Err(rustix::io::Errno::AGAIN) => guard.clear_ready(),
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Poll::Ready(Err(e.into())),
        }
    }
}

/// Says once a second and worker why connections are not accepted.
fn report(worker: &Worker, listener: &ListenerPlan, e: &io::Error) {
    let now = worker.clock.now();
    if now.since(worker.last_report.get()) < 1000 && worker.last_report.get() != Millis(0) {
        return;
    }
    worker.last_report.set(now);
    let text = format!(
        "Proxy {} reached process or system limit ({e}) at {} connections. Please check 'ulimit-n' and restart.",
        listener.frontend_name,
        worker.process.counts.conns.get()
    );
    crate::outcome::note(worker, &listener.proxy, portcullis_telemetry::log::Level::Emerg, &text);
}

impl Worker {
    /// A panic ends a session that came by this listener: counts it and says so.
    pub fn panicked(&self, listener: &ListenerPlan) {
        self.process.counts.counters.of(self.id.into()).panics.inc();
        let text =
            format!("Proxy {}: a connection was ended by an internal error (panic).", listener.frontend_name);
        // the panic may have come where a line was written
        if self.log.try_borrow_mut().is_ok() {
            crate::outcome::note(self, &listener.proxy, portcullis_telemetry::log::Level::Alert, &text);
        }
    }
}

fn is_resource(e: &io::Error) -> bool {
    use rustix::io::Errno;
    let n = e.raw_os_error();
    [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM].iter().any(|x| n == Some(x.raw_os_error()))
}

/// Keeps a connection here, or hands it to a worker that has clearly fewer.
fn place(worker: &Rc<Worker>, accepted: Accepted) {
    let load = &worker.process.load;
    let here = load[usize::from(worker.id)].load(Ordering::Relaxed);
    if load.len() > 1 && worker.plan.borrow().global.multi_queue != MultiQueue::Off {
        let allowed = |i: usize| accepted.listener.allows_worker(i);
        let least = (0..load.len()).filter(|i| allowed(*i)).min_by_key(|i| load[*i].load(Ordering::Relaxed));
        if let Some(other) = least
            && other != usize::from(worker.id)
            && (load[other].load(Ordering::Relaxed) + 1 < here || !allowed(usize::from(worker.id)))
        {
            load[other].fetch_add(1, Ordering::Relaxed);
            if let Some(address) = worker.process.workers().get(other) {
                address.send(Mail::Accepted(accepted.pack()));
            }
            return;
        }
    }
    load[usize::from(worker.id)].fetch_add(1, Ordering::Relaxed);
    adopt(worker, accepted);
}

/// Begins a session on this worker (whose load was counted up already).
pub fn adopt(worker: &Rc<Worker>, accepted: Accepted) {
    let Accepted { fd, peer, at, listener, plan, admission } = accepted;
    if let Some(less) = listener.bind.mss.filter(|n| *n < 0) {
        portcullis_sys::socket::shrink_segments(fd.as_fd(), less.unsigned_abs());
    }
    let origin = Origin::Connection(admission);
    let mut session = crate::session::Session::new(worker, Conn::new(fd), peer, at, listener, origin);
    session.plan = plan;
    let slot = Some(session.task.slot);
    let run = crate::session::run(session);
    if account::wanted() {
        worker::spawn(worker, Kind::Session, slot, account::Measured::new(run));
    } else {
        worker::spawn(worker, Kind::Session, slot, run);
    }
}
