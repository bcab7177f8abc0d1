//! The master CLI (`-S`; management.txt section 9.4): commands for the master itself, and the way to the Runtime API of each
//! worker.
//!
//! The master has one thread, which forks and becomes other programs: there is no runtime here, only sockets that never
//! block, looked at whenever the master has nothing else to do. A command for a worker goes over a pair of sockets of which
//! the worker is given one end (`link.rs`); its control thread serves it as any connection of a `stats socket`.

mod client;
mod commands;
mod prefix;
mod show;

pub use commands::{about, dump};
pub use show::Listed;

use crate::say;
use client::Client;
use portcullis_admin::socket::{CliBind, CliConfig};
use portcullis_config::env::Env;
use portcullis_config::files::LocalFiles;
use portcullis_config::{Manner, Severity, SourceFile, load_as};
use portcullis_tls::settings::BindTls;
use portcullis_transport::{LocalSockets, Sockets};
use rustix::event::{PollFd, PollFlags};
use rustix::fd::{AsFd, OwnedFd};
use rustix::net::SocketFlags;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// Most connections at the same time. Beyond that, the one that has been silent for longest makes way; if something is done for all
/// of them, others wait in the backlog.
const MOST: usize = 32;

/// What connections ask of the master, and what they are told of it.
pub trait Supervisor {
    /// The process that this number means: `None` for none.
    fn pid_of(&self, relative: u32) -> Option<i32>;
    /// Is the first worker still loading?
    fn begins(&self) -> bool;
    /// Is it one of the master's?
    fn is_worker(&self, pid: i32) -> bool;
    /// A connection to the worker's Runtime API.
    fn connect(&self, pid: i32, visit: &Visit) -> Option<UnixStream>;
    /// The master, then its workers.
    fn listed(&self) -> (Listed, Vec<Listed>);
    /// What was said while starting or loading last.
    fn startup_logs(&self) -> String;
    /// Did the last reload fail?
    fn reload_failed(&self) -> bool;
    /// Addresses of the master CLI.
    fn addresses(&self) -> String;
    /// Names of the configuration files.
    fn files(&self) -> String;
}

/// How a worker shall treat a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visit {
    /// What may be done.
    pub level: portcullis_admin::Level,
    /// `expert-mode on`
    pub expert: bool,
    /// `experimental-mode on`
    pub experimental: bool,
}

/// A reload that a connection asks for.
pub struct Wanted {
    /// The connection, which is told how it went.
    pub client: OwnedFd,
    /// `hard-reload`
    pub hard: bool,
}

struct Listener {
    fd: Arc<OwnedFd>,
    cli: CliBind,
    name: String,
}

/// The sockets and who is connected.
#[derive(Default)]
pub struct Cli {
    listeners: Vec<Listener>,
    clients: Vec<Client>,
}

impl Cli {
    /// Opens the sockets of `-S`, or goes on with those that the program before had.
    ///
    /// # Errors
    /// What is wrong with the words, or what the system says, as messages.
    pub fn open(words: &[String], inherited: Vec<OwnedFd>) -> Result<Self, Vec<String>> {
        let given = inherited.into_iter().map(|fd| portcullis_transport::handover::Given {
            fd: Arc::new(fd),
            namespace: None,
            interface: None,
        });
        let sockets = LocalSockets::new(given.collect());
        let mut listeners = Vec::new();
        for word in words {
            listeners.extend(open(word, &sockets)?);
        }
        sockets.close_unused();
        Ok(Self { listeners, clients: Vec::new() })
    }

    /// Addresses as `HAPROXY_MASTER_CLI` has them.
    pub fn addresses(&self) -> String {
        self.listeners.iter().map(|l| l.name.as_str()).collect::<Vec<_>>().join(";")
    }

    /// Stays open when the process becomes another program; the numbers.
    pub fn leave(&self) -> Vec<i32> {
        self.listeners.iter().filter_map(|l| portcullis_sys::fd::leave(&l.fd).ok()).collect()
    }

    /// What to wait for.
    pub fn poll_fds<'a>(&'a self, into: &mut Vec<PollFd<'a>>) {
        if self.has_room() {
            into.extend(self.listeners.iter().map(|l| PollFd::from_borrowed_fd(l.fd.as_fd(), PollFlags::IN)));
        }
        self.clients.iter().for_each(|c| c.poll_fds(into));
    }

    /// Does what can be done without waiting; the reloads that are asked for.
    pub fn turn(&mut self, master: &dyn Supervisor) -> Vec<Wanted> {
        self.accept();
        let mut wanted = Vec::new();
        let mut at = 0;
        while let Some(client) = self.clients.get_mut(at) {
            match client.turn(master) {
                client::Next::Goes => at += 1,
                client::Next::Ends => drop(self.clients.remove(at)),
                client::Next::Reload { hard } => {
                    wanted.push(Wanted { client: self.clients.remove(at).into_socket(), hard });
                }
            }
        }
        wanted
    }

    fn has_room(&self) -> bool {
        self.clients.len() < MOST || self.clients.iter().any(|c| c.rests_since().is_some())
    }

    /// The connection that has been silent for longest.
    fn silent(&self) -> Option<usize> {
        let resting = self.clients.iter().enumerate().filter_map(|(at, c)| Some((c.rests_since()?, at)));
        resting.min().map(|(_, at)| at)
    }

    fn accept(&mut self) {
        for at in 0..self.listeners.len() {
            while self.has_room() {
                let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
                let Some(l) = self.listeners.get(at) else { return };
                let Ok(fd) = rustix::net::accept_with(&l.fd, flags) else { break };
                let new = Client::new(fd, l.cli.level);
                if self.clients.len() >= MOST
                    && let Some(at) = self.silent()
                {
                    drop(self.clients.remove(at));
                }
                self.clients.push(new);
            }
        }
    }
}

/// Tells the one who asked for a reload how it went, and lets go of the connection.
pub fn report(client: OwnedFd, success: bool, logs: &str) {
    let text = format!("Success={}\n--\n{logs}\n", u8::from(success));
    let mut stream = std::fs::File::from(client);
    // one who does not read what was asked for does not hold up the master: the socket does not block
    let _ = std::io::Write::write_all(&mut stream, text.as_bytes());
}

/// The sockets of one `-S`: an address and options of `bind`, commas between them.
fn open(word: &str, sockets: &LocalSockets) -> Result<Vec<Listener>, Vec<String>> {
    let (address, options) = word.split_once(',').unwrap_or((word, ""));
    let text = format!("global\n stats socket {address} level admin {}\n", options.replace(',', " "));
    let source = SourceFile { name: "master-socket".into(), text: text.into_bytes() };
    let manner = Manner { global_only: true, dump: None };
    let mut env = Env::of_process();
    let loaded = load_as(manner, &[source], &crate::compose::registry(), &LocalFiles, &mut env);
    if loaded.diags.failed() {
        let mut all: Vec<String> = loaded
            .diags
            .list
            .iter()
            .filter(|d| d.severity == Severity::Alert)
            .map(|d| format!("'{}' : {}", word.replace(',', " "), d.message))
            .collect();
        all.push("Can't create the master's CLI.".into());
        return Err(all);
    }
    let binds = loaded.model.global.ext.get::<CliConfig>().map(|c| c.sockets.clone()).unwrap_or_default();
    let mut all = Vec::new();
    for bind in binds {
        if bind.ext.get::<BindTls>().is_some_and(|tls| tls.ssl) {
            return Err(vec![format!("'ssl' on the master's socket '{}' is not supported yet", bind.text)]);
        }
        let (fd, lacking) =
            sockets.listen(&bind, &portcullis_admin::socket::options(MOST as i32, false)).map_err(|e| {
                let reason = e.reason.to_string();
                let reason = reason.split(" (os error").next().unwrap_or_default();
                let what = format!(
                    "Binding [master-socket:0] for proxy MASTER: {} ({reason}) [{}].",
                    e.step, bind.text
                );
                vec![what, "[haproxy.main()] Some protocols failed to start their listeners! Exiting.".into()]
            })?;
        lacking.iter().for_each(|l| say::warning(format!("{} ({})", l.step, l.reason)));
        let cli = bind.ext.get::<CliBind>().copied().unwrap_or_default();
        all.push(Listener { fd, cli, name: portcullis_admin::socket::name(&bind) });
    }
    Ok(all)
}
