//! `option external-check`: a program says whether a server works.
//!
//! A worker never forks or waits for a process. It hands a [`Job`] to the thread of [`serve`], which is there only where a
//! configuration asks for such checks; that thread starts the program, waits for all of them at once, and ends those that
//! take too long.

use portcullis_config::addr::Host;
use portcullis_config::{Cx, Does, Keyword, Line, Model, Needs, Proxy, Sections, Server};
use portcullis_transport::listen::socket_addr;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Most programs that run at the same time; others wait.
const MOST: usize = 256;

/// The rows of this file.
pub const ROWS: &[Keyword] = &[Keyword {
    name: "external-check",
    sections: Sections::GLOBAL,
    args: "[preserve-env]",
    help: "Allows checks that run programs.",
    negatable: false,
    does: Does::Works(allow),
}];

/// `external-check` in `global`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allowed {
    /// It stands there.
    pub wanted: bool,
    /// `preserve-env`
    pub preserve: bool,
}

fn allow(cx: &mut Cx<'_>, line: &Line) {
    let preserve = match line.word(1) {
        None => false,
        Some(w) if w.is("preserve-env") => true,
        Some(w) => {
            cx.alert(Some(w), "'external-check' only accepts 'preserve-env' as an argument.");
            return;
        }
    };
    cx.model.global.needs |= Needs::PROGRAMS;
    *cx.global_ext::<Allowed>() = Allowed { wanted: true, preserve };
}

/// What is run, and what does not change from one run to the next.
#[derive(Clone, Debug)]
pub struct Program {
    command: String,
    path: String,
    preserve: bool,
    proxy: (String, u32),
    listener: (String, String),
    server: (String, u32),
    protocol: &'static str,
}

impl Program {
    /// Of a server; none: no command.
    #[must_use]
    pub fn new(model: &Model, p: &Proxy, s: &Server) -> Option<Self> {
        let config = p.ext.get::<super::config::CheckConfig>()?;
        let first = p.binds.iter().find_map(|b| match &b.address.host {
            Host::Unix(path) => Some((path.clone(), "NOT_USED".to_owned())),
            _ => socket_addr(&b.address).map(|a| (a.ip().to_string(), a.port().to_string())),
        });
        Some(Self {
            command: config.command.clone()?,
            path: config.path.clone().unwrap_or_default(),
            preserve: model.global.ext.get::<Allowed>().is_some_and(|a| a.preserve),
            proxy: (p.name.clone(), p.id),
            listener: first.unwrap_or_else(|| ("NOT_USED".into(), "NOT_USED".into())),
            server: (s.name.clone(), s.id),
            protocol: if p.mode == portcullis_config::Mode::Http { "h1" } else { "tcp" },
        })
    }

    fn command(&self, now: &Moment) -> Command {
        let mut c = Command::new(&self.command);
        if !self.preserve {
            c.env_clear();
        }
        let used = |text: &str| if text == "NOT_USED" { String::new() } else { text.to_owned() };
        c.args([&*self.listener.0, &*self.listener.1, &*now.address, &*now.port])
            .env("HAPROXY_PROXY_ADDR", used(&self.listener.0))
            .env("HAPROXY_PROXY_PORT", used(&self.listener.1))
            .env("HAPROXY_PROXY_NAME", &self.proxy.0)
            .env("HAPROXY_PROXY_ID", self.proxy.1.to_string())
            .env("HAPROXY_SERVER_ADDR", &now.address)
            .env("HAPROXY_SERVER_PORT", used(&now.port))
            .env("HAPROXY_SERVER_NAME", &self.server.0)
            .env("HAPROXY_SERVER_ID", self.server.1.to_string())
            .env("HAPROXY_SERVER_MAXCONN", now.maxconn.to_string())
            .env("HAPROXY_SERVER_CURCONN", now.connections.to_string())
            .env("HAPROXY_SERVER_SSL", "0")
            .env("HAPROXY_SERVER_PROTO", self.protocol)
            .env("PATH", &self.path);
        c
    }
}

/// What is told of a server as it is now.
#[derive(Clone, Debug, Default)]
pub struct Moment {
    /// Its address, or its socket's path.
    pub address: String,
    /// Its port; `NOT_USED` without.
    pub port: String,
    /// `maxconn`
    pub maxconn: u32,
    /// Connections now.
    pub connections: u32,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With this code.
    Exit(i32),
    /// By this signal.
    Signal(i32),
    /// It took too long.
    Late,
    /// It could not be started.
    NotStarted,
}

/// A program to be run.
pub struct Job {
    /// Which.
    pub program: Program,
    /// What it is told.
    pub now: Moment,
    /// How long it may take.
    pub patience: Duration,
    /// Whom to tell.
    pub done: oneshot::Sender<Ended>,
}

/// Where workers leave jobs.
#[derive(Debug)]
pub struct Office {
    jobs: Mutex<Sender<Job>>,
    bell: Arc<OwnedFd>,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Job({})", self.program.command)
    }
}

impl Office {
    /// Leaves a job; its answer comes over its channel, which closes if there is nobody to run it.
    pub fn leave(&self, job: Job) {
        if let Ok(jobs) = self.jobs.lock() {
            let _ = jobs.send(job);
        }
        let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
    }
}

/// Starts the thread that runs programs.
///
/// # Errors
/// When it cannot be made.
pub fn serve() -> std::io::Result<Office> {
    let flags = rustix::event::EventfdFlags::CLOEXEC | rustix::event::EventfdFlags::NONBLOCK;
    let bell = Arc::new(rustix::event::eventfd(0, flags)?);
    let (jobs, queue) = std::sync::mpsc::channel();
    let its = bell.clone();
    std::thread::Builder::new().name("programs".into()).spawn(move || run(&queue, &its))?;
    Ok(Office { jobs: Mutex::new(jobs), bell })
}

/// One that runs.
struct Running {
    child: Child,
    pidfd: Option<OwnedFd>,
    until: Instant,
    late: bool,
    done: oneshot::Sender<Ended>,
}

fn run(queue: &Receiver<Job>, bell: &OwnedFd) {
    let mut running: Vec<Running> = Vec::new();
    let mut open = true;
    while open || !running.is_empty() {
        while running.len() < MOST {
            match queue.try_recv() {
                Ok(job) => running.extend(start(job)),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    open = false;
                    break;
                }
            }
        }
        wait(&running, bell);
        running = running.into_iter().filter_map(look).collect();
    }
}

fn start(job: Job) -> Option<Running> {
    match job.program.command(&job.now).spawn() {
        Ok(child) => {
            let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
            let pidfd =
                pid.and_then(|p| rustix::process::pidfd_open(p, rustix::process::PidfdFlags::empty()).ok());
            let until = Instant::now() + job.patience;
            Some(Running { child, pidfd, until, late: false, done: job.done })
        }
        Err(_) => {
            let _ = job.done.send(Ended::NotStarted);
            None
        }
    }
}

/// Until one has ended, one is late, or a job comes.
fn wait(running: &[Running], bell: &OwnedFd) {
    let now = Instant::now();
    // without a descriptor of the process, look from time to time
    let blind = running.iter().any(|r| r.pidfd.is_none()).then_some(Duration::from_millis(10));
    let next =
        running.iter().filter(|r| !r.late).map(|r| r.until.saturating_duration_since(now)).chain(blind).min();
    let mut fds = vec![PollFd::from_borrowed_fd(bell.as_fd(), PollFlags::IN)];
    fds.extend(
        running
            .iter()
            .filter_map(|r| r.pidfd.as_ref())
            .map(|fd| PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)),
    );
    // interrupted: everything is looked at anyhow
    let _ = poll(&mut fds, next.and_then(|t| Timespec::try_from(t).ok()).as_ref());
    let mut count = [0; 8];
    let _ = rustix::io::read(bell, &mut count);
}

/// What has become of it; none: it has ended and was told of.
fn look(mut r: Running) -> Option<Running> {
    match r.child.try_wait() {
        Ok(Some(status)) => {
            let ended = match (r.late, status.code(), status.signal()) {
                (true, ..) => Ended::Late,
                (_, Some(code), _) => Ended::Exit(code),
                (_, None, signal) => Ended::Signal(signal.unwrap_or(0)),
            };
            let _ = r.done.send(ended);
            None
        }
        Ok(None) => {
            if !r.late && Instant::now() >= r.until {
                r.late = true;
                let _ = r.child.kill();
            }
            Some(r)
        }
        Err(_) => {
            let _ = r.done.send(Ended::NotStarted);
            None
        }
    }
}

/// A check by a program.
pub(super) async fn check(
    task: &crate::worker::Task,
    subject: &super::run::Subject,
    plan: &super::plan::CheckPlan,
) -> portcullis_backend::health::Outcome {
    use portcullis_backend::health::{Outcome, Status};
    let worker = &task.worker;
    let began = worker.clock.exact().now();
    let (Some(program), Some(server), Some(office)) =
        (&plan.program, subject.server(), worker.process.programs())
    else {
        return Outcome::new(Status::SocketError, "");
    };
    let (address, port) = match (server.address(&subject.state), &server.target) {
        (Some(a), _) => (a.ip().to_string(), a.port().to_string()),
        (None, portcullis_transport::connect::Target::Unix(path)) => (path.clone(), "NOT_USED".into()),
        _ => ("NOT_USED".into(), "NOT_USED".into()),
    };
    let now =
        Moment { address, port, maxconn: subject.state.maxconn(), connections: subject.state.sessions.get() };
    // as for any check, a `timeout check` that is set counts
    let patience = plan.check.unwrap_or(plan.settings.inter);
    let (done, ended) = oneshot::channel();
    office.leave(Job { program: program.clone(), now, patience, done });
    let mut outcome = match ended.await.unwrap_or(Ended::NotStarted) {
        Ended::Exit(0) => Outcome::new(Status::ProcessOk, ""),
        Ended::Exit(code) => Outcome { code: code.into(), ..Outcome::new(Status::ProcessError, "") },
        Ended::Signal(n) => Outcome { code: n.into(), ..Outcome::new(Status::ProcessError, "") },
        Ended::Late => Outcome::new(Status::ProcessTimeout, ""),
        Ended::NotStarted => Outcome::new(Status::SocketError, ""),
    };
    outcome.duration = worker.clock.exact().now().since(began);
    outcome
}
