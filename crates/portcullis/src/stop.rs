//! A serving process' life after its start: signals, the steps of a soft stop, requests of the master.

use crate::link::{Heard, Link};
use crate::reload::{Askers, Refusal, Reloader};
use crate::say;
use crate::workers::Begun;
use portcullis_admin::{Asker, Reloaded};
use portcullis_config::{Global, ProxyKind};
use portcullis_proxy::plan::{Plan, ProxyPlan};
use portcullis_proxy::start::Running;
use portcullis_sys::signals::{self, Signals, number};
use portcullis_telemetry::log::{Flush, Level, LogWriter};
use portcullis_transport::Sockets;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;
use std::collections::VecDeque;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How often a leaving process looks whether its last connection is gone.
const LOOK: Duration = Duration::from_millis(10);
/// The same while somebody waits for its listeners to close.
const MOMENT: Duration = Duration::from_millis(1);
/// How long streams have to end, with their log lines, after a hard stop.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long a collector is waited for behind a soft stop, and when the process is told to end at once.
const COLLECTOR_SOFT: Duration = Duration::from_secs(3);
const COLLECTOR_HARD: Duration = Duration::from_secs(1);

/// Where the process stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Serving,
    /// `grace`: told to stop, not stopping before then.
    Grace(Instant),
    /// Soft stop; a hard stop follows then (`hard-stop-after`).
    Leaving(Option<Instant>),
    /// Streams are being ended; the process ends then.
    Ending(Instant),
}

struct Life<'o> {
    running: Running,
    reloader: Reloader<'o>,
    log: LogWriter,
    phase: Phase,
    /// SIGTTOU came, and SIGTTIN has not since.
    paused: bool,
    /// It was told to leave, and takes no more connections, or will for a while (`grace`).
    rests: bool,
    /// When the streams of plans older than this one are ended (`hard-stop-after`).
    ending: VecDeque<(Instant, u64)>,
}

/// Serves until told to stop and done with it.
pub fn until_stopped(signals: &Signals, link: Option<&Link>, begun: Begun<'_>) -> ExitCode {
    let Begun { running, door, reloader, askers } = begun;
    let log = LogWriter::new(0, running.process.counts.clone());
    let mut life = Life {
        running,
        reloader,
        log,
        phase: Phase::Serving,
        paused: false,
        rests: false,
        ending: VecDeque::new(),
    };
    loop {
        wait(signals, link, askers.as_ref(), life.patience());
        while let Some(signal) = signals.next() {
            life.signal(signal);
        }
        match link.map(Link::hear) {
            Some(Heard::Listeners) => {
                link.iter().for_each(|l| l.give(&life.reloader.sockets.listening()));
            }
            Some(Heard::Visit(visit)) => {
                if let Some(door) = &door {
                    door.enter(visit);
                }
            }
            Some(Heard::Follow) => {
                let done = life.reload();
                link.iter().for_each(|l| l.followed(&done));
            }
            // the master is gone, and nobody else would stop this process
            Some(Heard::Gone) => return ExitCode::FAILURE,
            _ => {}
        }
        life.answer(askers.as_ref().map(Askers::all).unwrap_or_default());
        if life.running.broken() {
            say::alert("A worker thread has ended unexpectedly. Exiting.");
            return ExitCode::FAILURE;
        }
        if life.begins_to_rest() {
            link.iter().for_each(|l| l.rests());
        }
        if life.step() {
            break;
        }
    }
    let Life { running, reloader, .. } = life;
    let _ = running.join();
    close(&reloader, COLLECTOR_SOFT);
    ExitCode::SUCCESS
}

/// Until a signal or a request comes, or time is up.
fn wait(signals: &Signals, link: Option<&Link>, askers: Option<&Askers>, patience: Option<Duration>) {
    let mut fds: Vec<PollFd<'_>> = vec![PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN)];
    fds.extend(askers.map(|a| PollFd::new(a.fd(), PollFlags::IN)));
    fds.extend(link.map(|l| PollFd::from_borrowed_fd(l.as_fd(), PollFlags::IN)));
    let time = patience.and_then(|p| Timespec::try_from(p).ok());
    // interrupted or failed: the caller looks at everything anyhow
    let _ = poll(&mut fds, time.as_ref());
}

impl Life<'_> {
    fn global(&self) -> &Global {
        &self.reloader.model.global
    }

    /// Reads the configuration again and follows it; what comes of it is said here, too.
    fn reload(&mut self) -> Result<String, Refusal> {
        if self.phase != Phase::Serving {
            return Err(Refusal::Wrong("The process is ending.\n".into()));
        }
        let done = self.reloader.reload(&mut self.running);
        match &done {
            Ok(text) => {
                say::lines(text);
                if let Some(time) = self.global().hard_stop_after {
                    self.ending.push_back((Instant::now() + time, self.running.plan.generation));
                }
            }
            Err(refusal) => say::lines(refusal.text()),
        }
        done
    }

    /// Those who asked for it over the Runtime API.
    fn answer(&mut self, askers: Vec<Asker>) {
        if askers.is_empty() {
            return;
        }
        let done = self.reload();
        let success = done.is_ok();
        let text = done.unwrap_or_else(|refusal| refusal.text().to_owned());
        for asker in askers {
            asker.tell(Reloaded { success, text: text.clone() });
        }
    }

    fn patience(&self) -> Option<Duration> {
        let until = |at: Instant| at.saturating_duration_since(Instant::now());
        match self.phase {
            // workers do not end by themselves; if one does all the same, that is seen within this time
            Phase::Serving => Some(Duration::from_secs(1)),
            Phase::Grace(at) => Some(until(at)),
            Phase::Leaving(_) if !self.rests => Some(MOMENT),
            Phase::Leaving(_) | Phase::Ending(_) => Some(LOOK),
        }
    }

    /// Is there nothing more to wait for, since just now, for who waits until this process leaves the field to another one?
    fn begins_to_rest(&mut self) -> bool {
        let now = match self.phase {
            Phase::Serving => false,
            Phase::Grace(_) => true,
            Phase::Leaving(_) | Phase::Ending(_) => self.running.rests(),
        };
        now && !std::mem::replace(&mut self.rests, now)
    }

    fn signal(&mut self, signal: i32) {
        match signal {
            number::SIGUSR1 => self.asked_to_leave(),
            number::SIGTERM | number::SIGINT => {
                close(&self.reloader, COLLECTOR_HARD);
                signals::die_of(signal);
            }
            number::SIGHUP | number::SIGUSR2 if self.global().reload_in_place => {
                if let Err(refusal) = self.reload() {
                    say::alert("The configuration was not followed; what was in force goes on.");
                    drop(refusal);
                }
            }
            number::SIGHUP => self.dump(),
            number::SIGQUIT => self.dump_memory(),
            number::SIGTTOU => self.pause(),
            number::SIGTTIN => self.resume(),
            _ => {}
        }
    }

    /// What is due; true: the process is done.
    fn step(&mut self) -> bool {
        let now = Instant::now();
        while let Some((_, generation)) = self.ending.pop_front_if(|(at, _)| *at <= now) {
            self.running.end_older(generation);
        }
        match self.phase {
            Phase::Serving => false,
            Phase::Grace(at) if now >= at => {
                say::notice("Grace period expired, proceeding with soft-stop now.");
                self.leave();
                false
            }
            Phase::Grace(_) => false,
            Phase::Leaving(_) if self.running.left() => true,
            Phase::Leaving(Some(at)) if now >= at => {
                self.end(now);
                false
            }
            Phase::Leaving(_) => false,
            Phase::Ending(at) => self.running.left() || now >= at,
        }
    }

    /// SIGUSR1
    fn asked_to_leave(&mut self) {
        if self.phase != Phase::Serving {
            return;
        }
        self.running.process.stopping.store(true, Ordering::SeqCst);
        match self.global().grace.filter(|g| !g.is_zero()) {
            Some(grace) => {
                say::notice(format!("Scheduling a soft-stop in {} ms.", grace.as_millis()));
                self.phase = Phase::Grace(Instant::now() + grace);
            }
            None => self.leave(),
        }
    }

    /// The plan as it is now: servers and backends may have come and gone.
    fn plan(&self) -> Arc<Plan> {
        self.running.process.newest().unwrap_or_else(|| self.running.plan.clone())
    }

    fn leave(&mut self) {
        if let Some(admin) = &self.reloader.admin {
            admin.leave();
        }
        let window = self.global().close_spread_time.unwrap_or(Some(Duration::ZERO));
        self.running.soft_stop(window);
        let end = self.global().hard_stop_after.map(|t| Instant::now() + t);
        self.phase = Phase::Leaving(end);
        let plan = self.plan();
        let (fronts, backs): (Vec<_>, Vec<_>) =
            plan.proxies.iter().filter(|p| !p.disabled).partition(|p| p.kind.front());
        // who was stopped before has been told of
        let runs = |p: &&Arc<ProxyPlan>| {
            !p.kind.front() || p.front.running() != portcullis_telemetry::gate::Running::Stopped
        };
        for proxy in fronts.into_iter().chain(backs).filter(runs) {
            let (front, back) = totals(proxy);
            self.tell(
                proxy,
                &format!("Proxy {} stopped (cumulated conns: FE: {front}, BE: {back}).", proxy.name),
            );
        }
        self.flush();
    }

    /// `hard-stop-after` is over.
    fn end(&mut self, now: Instant) {
        let text = "soft-stop running for too long, performing a hard-stop.";
        say::warning(text);
        let plan = self.plan();
        if let Some(proxy) = plan.proxies.first() {
            self.write(proxy, Level::Warning, text);
        }
        for proxy in &plan.proxies {
            let left = proxy.front.sessions.get();
            if left > 0 {
                self.tell(
                    proxy,
                    &format!("Proxy {} hard-stopped ({left} remaining conns will be closed).", proxy.name),
                );
            }
        }
        self.flush();
        self.running.hard_stop();
        self.phase = Phase::Ending(now + LAST_WORDS);
    }

    /// SIGTTOU
    fn pause(&mut self) {
        if self.phase == Phase::Serving {
            self.running.pause();
            self.paused = true;
            self.tell_fronts("Paused");
        }
    }

    /// SIGTTIN
    fn resume(&mut self) {
        if self.phase != Phase::Serving {
            return;
        }
        match self.running.resume() {
            Ok(()) if std::mem::take(&mut self.paused) => self.tell_fronts("Resumed"),
            Ok(()) => {}
            Err((listener, e)) => {
                let text = format!(
                    "Failed to resume frontend {} on {}: {e}.",
                    listener.frontend_name, listener.bind.text
                );
                self.tell(&listener.proxy, &text);
                self.flush();
            }
        }
    }

    fn tell_fronts(&mut self, what: &str) {
        let plan = self.plan();
        for proxy in plan.proxies.iter().filter(|p| p.kind.front() && !p.disabled) {
            let kind = if proxy.kind == ProxyKind::Frontend { "frontend" } else { "proxy" };
            self.tell(proxy, &format!("{what} {kind} {}.", proxy.name));
        }
        self.flush();
    }

    /// SIGHUP
    fn dump(&mut self) {
        say::warning("SIGHUP received, dumping servers states.");
        let plan = self.plan();
        for proxy in &plan.proxies {
            for text in crate::dump::servers(proxy) {
                say::warning(format!("SIGHUP: {text}"));
                self.write(proxy, Level::Notice, &text);
            }
        }
        self.flush();
    }

    /// SIGQUIT
    fn dump_memory(&mut self) {
        say::notice(format!("SIGQUIT: {}", crate::dump::memory(&self.running.process)));
    }

    /// On standard error and in the proxy's log.
    fn tell(&mut self, proxy: &ProxyPlan, text: &str) {
        say::warning(text);
        self.write(proxy, Level::Warning, text);
    }

    fn write(&mut self, proxy: &ProxyPlan, level: Level, text: &str) {
        let wall = self.running.process.clock.wall();
        if let Some(otel) = &proxy.otel {
            otel.note(0, &proxy.name, level, wall, text);
        }
        self.log.log(&proxy.loggers, level, wall, b"", text.as_bytes());
    }

    fn flush(&mut self) {
        for _ in 0..10 {
            if self.log.flush() == Flush::Done {
                return;
            }
            std::thread::sleep(Duration::from_millis(1)); // a receiver that is slower than its queue
        }
    }
}

/// A collector gets what is still to be sent.
fn close(reloader: &Reloader<'_>, within: Duration) {
    if let Some(exporter) = &reloader.exporter {
        exporter.close(within);
    }
}

/// Connections of a frontend and streams of a backend, since the start.
fn totals(proxy: &ProxyPlan) -> (u64, u64) {
    let front = if proxy.kind.front() { proxy.front.counters.sum(|c| c.cum_conn.get()) } else { 0 };
    let back = proxy.state.as_ref().map_or(0, |s| s.counters.sum(|c| c.cum_sess.get()));
    (front, back)
}
