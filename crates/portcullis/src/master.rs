//! The master of `-W`: starts a worker, starts the next one on SIGUSR2 (as the newest program, by executing itself
//! again), ends the old one when the new one serves, and keeps it when the new configuration is wrong.

use crate::daemon::{self, Background, Split};
use crate::link::{Heard, Link};
use crate::mcli::{self, Cli, Listed, Supervisor, Visit, Wanted};
use crate::memory::{self, Memory, Remembered};
use crate::notify::Notifier;
use crate::options::Options;
use crate::{load, say, takeover, workers};
use portcullis_config::Global;
use portcullis_sys::signals::{self, Signals, number};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, waitpid};
use std::ffi::CString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// The environment variable by which a master tells the master that it becomes about its workers.
pub const STATE: &str = "PORTCULLIS_MASTER";
/// Reloads that a worker may survive when `mworker-max-reloads` is not given.
const MAX_RELOADS: u32 = 50;
/// Most connections that wait for the reload that comes next.
const MOST_ASKERS: usize = 32;
/// An old worker that has not said by then that it takes no more connections is not waited for.
const REST: Duration = Duration::from_millis(500);

/// What a program has to know to become itself again.
pub struct Program {
    /// Absolute path of the executable.
    pub path: PathBuf,
    /// Where it was started.
    pub directory: PathBuf,
}

impl Program {
    /// This one. Call before the directory is changed.
    #[must_use]
    pub fn this() -> Self {
        let directory = std::env::current_dir().unwrap_or_else(|_| "/".into());
        let name = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
        let named = if name.as_os_str().as_bytes().contains(&b'/') {
            Some(directory.join(&name))
        } else {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).map(|d| directory.join(d).join(&name)).find(|p| p.is_file())
        };
        let path = named.filter(|p| p.is_file()).or_else(|| std::env::current_exe().ok()).unwrap_or(name);
        Self { path, directory }
    }
}

struct Worker {
    pid: Pid,
    /// Reloads that it has survived.
    reloads: u32,
    link: Link,
    current: bool,
    /// When it began, in seconds since boot.
    since: u64,
    version: String,
}

/// A worker that does not serve yet.
struct Starting {
    pid: Pid,
    /// When it began, in seconds since boot.
    since: u64,
    /// Its descriptor, for listings.
    fd: i32,
}

/// A reload.
#[derive(Default)]
struct Reload {
    /// It ends old workers at once.
    hard: bool,
    /// The connections that are told how it goes.
    askers: Vec<OwnedFd>,
}

struct Master<'a> {
    options: &'a Options,
    program: &'a Program,
    signals: &'a Signals,
    global: Global,
    notifier: Notifier,
    workers: Vec<Worker>,
    starting: Option<Starting>,
    background: Option<Background>,
    /// Told to stop: no worker is replaced any more.
    stopping: bool,
    /// The reload that comes next, asked for since the one that is going on began.
    next: Option<Reload>,
    /// The one that is going on.
    reload: Reload,
    cli: Cli,
    /// Its addresses (`HAPROXY_MASTER_CLI`).
    cli_addresses: String,
    /// Reloads, and those that failed since the last one that did not.
    reloads: (u32, u32),
    /// When the first master began.
    since: u64,
    /// What the master ends with.
    code: u8,
}

/// Runs as master, or as the worker that it starts.
pub fn run(options: &Options, program: &Program, signals: &Signals) -> ExitCode {
    say::keep();
    let again = std::env::var_os(STATE).is_some();
    let memory = Memory::parse(&std::env::var(STATE).unwrap_or_default());
    let workers: Vec<Worker> = memory.workers.into_iter().filter_map(Worker::remembered).collect();
    let cli = match Cli::open(&options.master_sockets, memory.sockets) {
        Ok(cli) => cli,
        Err(all) => {
            all.iter().for_each(say::alert);
            return ExitCode::FAILURE;
        }
    };
    let global = match load::global(options) {
        Ok(global) => global,
        Err(message) => {
            say::alert(message);
            if workers.is_empty() {
                return ExitCode::FAILURE;
            }
            Global::default()
        }
    };
    say::set_quiet(global.quiet || options.quiet);
    let mut background = None;
    if global.daemon && !again {
        match daemon::split() {
            Ok(Split::Front(code)) => return code,
            Ok(Split::Back(b)) => background = Some(b),
            Err(e) => {
                say::alert(format!("[haproxy.main()] Cannot fork : {e}"));
                return ExitCode::FAILURE;
            }
        }
    }
    if let Some(path) = &global.pidfile
        && let Err(message) = daemon::write_pid(path)
    {
        say::alert(message);
        if workers.is_empty() {
            return ExitCode::FAILURE;
        }
    }
    let notifier = Notifier::from_environment(options.systemd);
    Master {
        options,
        program,
        signals,
        global,
        notifier,
        workers,
        starting: None,
        background,
        stopping: false,
        next: None,
        reload: Reload { hard: memory.hard, askers: memory.waiting },
        cli_addresses: cli.addresses(),
        cli,
        reloads: memory.reloads,
        since: if again { memory.since } else { now() },
        code: 0,
    }
    .live()
}

impl Worker {
    /// One of the master that this process was before it executed itself.
    fn remembered(r: Remembered) -> Option<Self> {
        Some(Self {
            pid: Pid::from_raw(r.pid)?,
            reloads: r.reloads,
            link: Link::taken(r.fd).ok()?,
            current: r.current,
            since: r.since,
            version: r.version,
        })
    }

    /// For the master that this process becomes.
    fn remember(&self) -> Option<Remembered> {
        Some(Remembered {
            pid: self.pid.as_raw_nonzero().get(),
            reloads: self.reloads,
            fd: self.link.leave().ok()?,
            current: self.current,
            since: self.since,
            version: self.version.clone(),
        })
    }
}

/// Seconds since boot.
fn now() -> u64 {
    u64::try_from(rustix::time::clock_gettime(rustix::time::ClockId::Boottime).tv_sec).unwrap_or(0)
}

impl Master<'_> {
    fn live(mut self) -> ExitCode {
        match self.start_worker() {
            Some(code) => return code,
            None if self.workers.is_empty() => return self.end(),
            // commands have waited for the worker
            None => self.serve_cli(),
        }
        loop {
            if let Some(next) = self.next.take() {
                self.reload = next;
                if self.stopping { self.report(false) } else { self.reload() }
            }
            self.wait(None);
            while let Some(signal) = self.signals.next() {
                self.signal(signal);
            }
            self.serve_cli();
            if self.workers.is_empty() && !self.idles() {
                return self.end();
            }
        }
    }

    /// Without a worker, but not to end: `no-exit-on-failure`.
    fn idles(&self) -> bool {
        self.global.no_exit_on_failure && !self.stopping
    }

    fn end(&self) -> ExitCode {
        say::warning(format!("All workers exited. Exiting... ({})", self.code));
        ExitCode::from(self.code)
    }

    /// Starts a worker and waits until it serves or fails. In the worker: what it ends with.
    fn start_worker(&mut self) -> Option<ExitCode> {
        let (mine, theirs) = match Link::pair() {
            Ok(pair) => pair,
            Err(e) => {
                return self.no_worker(&format!("[haproxy.main()] Cannot open sockets for a worker : {e}"));
            }
        };
        match portcullis_sys::process::fork() {
            Err(e) => self.no_worker(&format!("[haproxy.main()] Cannot fork : {e}")),
            Ok(0) => {
                drop(mine);
                Some(self.be_worker(theirs))
            }
            Ok(pid) => {
                drop(theirs);
                let pid = i32::try_from(pid).ok().and_then(Pid::from_raw)?;
                say::notice(format!("Initializing new worker ({})", pid.as_raw_nonzero()));
                self.starting = Some(Starting { pid, since: now(), fd: mine.as_fd().as_raw_fd() });
                self.await_worker(pid, mine);
                None
            }
        }
    }

    fn no_worker(&mut self, message: &str) -> Option<ExitCode> {
        say::alert(message);
        self.code = 1;
        None
    }

    fn be_worker(&mut self, link: Link) -> ExitCode {
        say::introduce_again();
        (self.background, self.starting) = (None, None);
        // the master's alone
        (self.cli, self.reload, self.next) = (Cli::default(), Reload::default(), None);
        let mut old = None;
        for worker in self.workers.drain(..) {
            if worker.current {
                old = Some(worker.link);
            }
        }
        workers::run(self.options, self.signals, Some(workers::Master { link, old }))
    }

    /// Connections of the master CLI.
    fn serve_cli(&mut self) {
        let mut cli = std::mem::take(&mut self.cli);
        for Wanted { client, hard } in cli.turn(self) {
            let next = self.next.get_or_insert_default();
            if next.askers.len() < MOST_ASKERS {
                next.hard |= hard;
                next.askers.push(client);
            } else {
                mcli::report(client, false, "Too many connections wait for a reload.");
            }
        }
        self.cli = cli;
    }

    /// The reload is over: those who asked for it are told how it went.
    fn report(&mut self, success: bool) {
        for client in std::mem::take(&mut self.reload).askers {
            mcli::report(client, success, &say::so_far());
        }
    }

    /// Waits for the new worker's word.
    fn await_worker(&mut self, pid: Pid, link: Link) {
        loop {
            match link.hear() {
                Heard::Ready => return self.serves(pid, link),
                Heard::Said(text) => {
                    say::keep_of_another(&text);
                    continue;
                }
                Heard::Gone => {
                    let status = waitpid(Some(pid), WaitOptions::empty()).ok().flatten().map(|(_, s)| s);
                    return self.failed(pid, status);
                }
                _ => {}
            }
            self.wait(Some(&link));
            self.serve_cli();
            while let Some(signal) = self.signals.next() {
                if matches!(signal, number::SIGTERM | number::SIGINT | number::SIGUSR1)
                    && let Some(s) = Signal::from_named_raw(signal)
                {
                    let _ = kill_process(pid, s);
                }
                self.signal(signal);
            }
        }
    }

    /// How many reloads a worker may survive.
    fn most_reloads(&self) -> u32 {
        self.global.mworker_max_reloads.unwrap_or(MAX_RELOADS)
    }

    /// The new worker serves: the old ones may go.
    fn serves(&mut self, pid: Pid, link: Link) {
        say::notice("Loading success.");
        let most = self.most_reloads();
        for worker in &mut self.workers {
            let was_current = std::mem::take(&mut worker.current);
            worker.reloads += 1;
            let signal = if worker.reloads > most || self.reload.hard { Signal::TERM } else { Signal::USR1 };
            let _ = kill_process(worker.pid, signal);
            if was_current {
                // who is told that the reload succeeded meets the new configuration
                worker.link.await_rest(REST);
            }
        }
        let first = self.workers.is_empty();
        let version = portcullis_config::VERSION.to_string();
        let since = self.starting.take().map_or_else(now, |s| s.since);
        self.workers.push(Worker { pid, reloads: 0, link, current: true, since, version });
        self.reloads.1 = 0;
        if first && std::env::var_os(STATE).is_none() {
            takeover::finish(self.options);
        }
        if let Some(background) = self.background.take() {
            background.ready();
        }
        self.notifier.ready();
        self.report(true);
        say::started();
    }

    /// The new worker has ended before it served.
    fn failed(&mut self, pid: Pid, status: Option<WaitStatus>) {
        self.starting = None;
        let (code, how) = status.map_or((1, "Exit".into()), describe);
        say::warning(format!(
            "Failed to load worker ({}) exited with code {code} ({how})",
            pid.as_raw_nonzero()
        ));
        if self.workers.is_empty() {
            self.code = code.max(1);
        } else {
            self.workers.iter_mut().for_each(|w| w.reloads += 1);
            self.reloads.1 += 1;
            self.notifier.failed();
        }
        self.report(false);
    }

    fn wait(&self, link: Option<&Link>) {
        let mut fds = vec![PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN)];
        fds.extend(link.map(|l| PollFd::from_borrowed_fd(l.as_fd(), PollFlags::IN)));
        self.cli.poll_fds(&mut fds);
        // interrupted or failed: the caller looks at everything anyhow
        let _ = poll(&mut fds, None);
    }

    fn signal(&mut self, signal: i32) {
        match signal {
            number::SIGUSR2 | number::SIGHUP => {
                self.next.get_or_insert_default();
            }
            number::SIGTERM | number::SIGINT => self.stop(signal, true),
            number::SIGUSR1 => self.stop(signal, false),
            // an older master is asked to pause, or to go on, as any older process is
            number::SIGTTOU | number::SIGTTIN => self.pass_on(signal),
            number::SIGCHLD => self.reap(),
            _ => {}
        }
    }

    /// Passes the signal on; the master ends with its last worker.
    fn stop(&mut self, signal: i32, at_once: bool) {
        if !self.stopping || at_once {
            say::warning("Exiting Master process...");
            self.notifier.stopping();
        }
        self.stopping = true;
        self.pass_on(signal);
    }

    /// To all workers.
    fn pass_on(&self, signal: i32) {
        if let Some(s) = Signal::from_named_raw(signal) {
            for worker in &self.workers {
                let _ = kill_process(worker.pid, s);
            }
        }
    }

    fn reap(&mut self) {
        for at in (0..self.workers.len()).rev() {
            let pid = self.workers[at].pid;
            if let Ok(Some((_, status))) = waitpid(Some(pid), WaitOptions::NOHANG) {
                let worker = self.workers.remove(at);
                self.ended(&worker, status);
            }
        }
    }

    fn ended(&mut self, worker: &Worker, status: WaitStatus) {
        let (code, how) = describe(status);
        let pid = worker.pid.as_raw_nonzero();
        if !worker.current || code == 0 {
            let which = if worker.current { "Current" } else { "Former" };
            let most = self.most_reloads();
            let why = match worker.reloads > most && !worker.current && code == 143 {
                true => format!(", as it exceeds max reloads ({most})"),
                false => String::new(),
            };
            say::warning(format!("{which} worker ({pid}) exited with code {code} ({how}){why}"));
            return;
        }
        say::alert(format!("Current worker ({pid}) exited with code {code} ({how})"));
        // an operator has ended it
        if matches!(code, 130 | 143) {
            self.code = if code == 143 { 0 } else { code };
            return;
        }
        say::warning(
            "A worker process unexpectedly died, which only an error in Portcullis or what it is built on explains. Please report it with the output of -vv.",
        );
        if self.global.no_exit_on_failure {
            return;
        }
        self.code = code;
        say::alert("exit-on-failure: killing every processes with SIGTERM");
        self.stopping = true;
        for other in &self.workers {
            let _ = kill_process(other.pid, Signal::TERM);
        }
    }

    /// Becomes the program of the same path again, which starts a worker with what the files say now.
    fn reload(&mut self) {
        self.notifier.reloading();
        if self.global.reload_in_place && !self.reload.hard && self.in_place() {
            return;
        }
        // what was asked for meanwhile is done with it
        let more = self.next.take().unwrap_or_default();
        self.reload.hard |= more.hard;
        self.reload.askers.extend(more.askers);
        say::notice("Reloading HAProxy");
        let state = self.remember();
        let why = execute(self.program, &state);
        say::warning(format!("Cannot execute {} again : {why}", self.program.path.display()));
        self.notifier.ready();
        self.report(false);
    }

    /// Has the current worker follow the configuration. False: only a new process can, or there is no worker.
    fn in_place(&mut self) -> bool {
        let Some(pid) = self.workers.iter().find(|w| w.current).map(|w| w.pid) else { return false };
        say::keep();
        say::notice("Reloading in place");
        if self.workers.iter().any(|w| w.pid == pid && w.link.follow().is_err()) {
            return false;
        }
        loop {
            // one that has ended meanwhile was reaped
            let Some(worker) = self.workers.iter().find(|w| w.pid == pid) else {
                self.followed(false);
                return true;
            };
            match worker.link.hear() {
                Heard::Followed(Ok(())) => {
                    self.followed(true);
                    return true;
                }
                Heard::Followed(Err(true)) => {
                    self.followed(false);
                    return true;
                }
                Heard::Followed(Err(false)) => {
                    say::notice("The worker cannot follow in place; a new one is started.");
                    return false;
                }
                Heard::Said(text) => {
                    say::keep_of_another(&text);
                    continue;
                }
                Heard::Gone => self.reap(),
                _ => {}
            }
            let link = self.workers.iter().find(|w| w.pid == pid).map(|w| &w.link);
            self.wait(link);
            self.serve_cli();
            while let Some(signal) = self.signals.next() {
                self.signal(signal);
            }
        }
    }

    /// How a reload in place went.
    fn followed(&mut self, success: bool) {
        self.reloads.0 += 1;
        if success {
            self.reloads.1 = 0;
            if let Ok(global) = load::global(self.options) {
                self.global = global;
            }
            self.notifier.ready();
        } else {
            self.reloads.1 += 1;
            self.notifier.failed();
        }
        self.report(success);
    }

    /// What the master that this process becomes has to know.
    fn remember(&self) -> String {
        let (all, failed) = self.reloads;
        let mut parts = vec![memory::master((all + 1, failed), self.since, self.reload.hard)];
        parts.extend(self.workers.iter().filter_map(Worker::remember).map(|w| memory::worker(&w)));
        parts.extend(self.cli.leave().into_iter().map(memory::socket));
        let askers = self.reload.askers.iter().filter_map(|fd| portcullis_sys::fd::leave(fd).ok());
        parts.extend(askers.map(memory::waiting));
        parts.join(",")
    }
}

impl Supervisor for Master<'_> {
    fn pid_of(&self, relative: u32) -> Option<i32> {
        let found = self.workers.iter().find(|w| w.current && relative == 1)?;
        Some(found.pid.as_raw_nonzero().get())
    }
    fn begins(&self) -> bool {
        self.starting.is_some() && self.workers.is_empty()
    }
    fn is_worker(&self, pid: i32) -> bool {
        self.workers.iter().any(|w| w.pid.as_raw_nonzero().get() == pid)
    }
    fn connect(&self, pid: i32, visit: &Visit) -> Option<std::os::unix::net::UnixStream> {
        let worker = self.workers.iter().find(|w| w.pid.as_raw_nonzero().get() == pid)?;
        worker.link.visit(visit).ok()
    }
    fn listed(&self) -> (Listed, Vec<Listed>) {
        let now = now();
        // one that starts is listed as if it served already, and the others as if they had survived this reload
        let begun = u32::from(self.starting.is_some());
        let of = |w: &Worker| Listed {
            pid: w.pid.as_raw_nonzero().get(),
            reloads: w.reloads + begun,
            failed: 0,
            uptime: now.saturating_sub(w.since),
            version: w.version.clone(),
            ipc: (w.link.as_fd().as_raw_fd(), -1),
        };
        let master = Listed {
            pid: i32::try_from(std::process::id()).unwrap_or(0),
            reloads: self.reloads.0,
            failed: self.reloads.1,
            uptime: now.saturating_sub(self.since),
            version: portcullis_config::VERSION.to_string(),
            ipc: (-1, -1),
        };
        let starting = self.starting.iter().map(|s| Listed {
            pid: s.pid.as_raw_nonzero().get(),
            reloads: 0,
            failed: 0,
            uptime: now.saturating_sub(s.since),
            version: portcullis_config::VERSION.to_string(),
            ipc: (s.fd, -1),
        });
        (master, starting.chain(self.workers.iter().rev().map(of)).collect())
    }
    fn startup_logs(&self) -> String {
        say::so_far()
    }
    fn reload_failed(&self) -> bool {
        self.reloads.1 > 0
    }
    fn addresses(&self) -> String {
        self.cli_addresses.clone()
    }
    fn files(&self) -> String {
        self.options.files.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(";")
    }
}

/// Exit code as a shell has it, and how the process ended.
fn describe(status: WaitStatus) -> (u8, String) {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => (u8::try_from(code).unwrap_or(1), "Exit".into()),
        (None, Some(signal)) => (u8::try_from(128 + signal).unwrap_or(255), signals::describe(signal)),
        _ => (1, "Unknown".into()),
    }
}

fn execute(program: &Program, state: &str) -> std::io::Error {
    let here = std::env::current_dir().ok();
    let _ = std::env::set_current_dir(&program.directory);
    let text = |bytes: Vec<u8>| CString::new(bytes).ok();
    let args: Vec<CString> = std::env::args_os().filter_map(|a| text(a.into_vec())).collect();
    let env = std::env::vars_os().filter(|(k, _)| k != STATE).filter_map(|(k, v)| {
        let mut entry = k.into_vec();
        entry.push(b'=');
        entry.extend(v.into_vec());
        text(entry)
    });
    let env: Vec<CString> = env.chain(text(format!("{STATE}={state}").into_bytes())).collect();
    let why = match text(program.path.as_os_str().as_bytes().to_vec()) {
        Some(path) => portcullis_sys::process::become_program(&path, &args, &env),
        None => std::io::ErrorKind::InvalidInput.into(),
    };
    if let Some(here) = here {
        let _ = std::env::set_current_dir::<&Path>(&here);
    }
    why
}
