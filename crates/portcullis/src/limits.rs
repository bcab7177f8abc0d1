//! Connections and descriptors: what is wanted, and what the system admits (management.txt chapter 5).

use crate::say;
use portcullis_config::{Global, Model};
use portcullis_tls::settings::{BindTls, ServerTls};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::os::unix::process::CommandExt;
use std::path::Path;

/// More descriptors than these are never asked for unless `fd-hard-limit` says so.
const DEFAULT_MOST: u64 = 1 << 20;

/// What the process gets along with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections.
    pub maxconn: u32,
    /// Descriptors that they and everything else need.
    pub wanted: u64,
    /// `maxconn` was not said.
    pub automatic: bool,
}

/// Descriptors that are needed beside two a connection, as HAProxy counts them.
#[must_use]
pub fn own(model: &Model) -> u64 {
    let listeners: usize = model.proxies.iter().map(|p| p.binds.len()).sum();
    let workers = u64::from(model.global.nbthread.unwrap_or(1));
    10 + listeners as u64 + workers * 3
}

/// The most descriptors that may be had: the system's hard limit, and not more than `fd-hard-limit`.
fn most(global: &Global, system: &Rlimit) -> u64 {
    let hard = system.maximum.unwrap_or(u64::MAX).max(system.current.unwrap_or(u64::MAX));
    hard.min(global.fd_hard_limit.unwrap_or(DEFAULT_MOST))
}

/// What this configuration wants. Without `maxconn`, as many connections as descriptors admit.
#[must_use]
pub fn wanted(model: &Model, system: &Rlimit) -> Limits {
    let own = own(model);
    let most = most(&model.global, system);
    let found = u32::try_from(most.saturating_sub(own) / 2).unwrap_or(u32::MAX);
    let found = fitting(model).map_or(found, |n| in_two_digits(found.min(n))).max(1);
    let maxconn = model.global.maxconn.unwrap_or(found);
    let needed = (own + 2 * u64::from(maxconn)).max(model.global.ulimit_n.unwrap_or(0));
    let automatic = model.global.maxconn.is_none();
    // rounding must not ask for more than there is
    let wanted =
        if automatic && model.global.ulimit_n.is_none() { needed.min(most.max(own)) } else { needed };
    Limits { maxconn, wanted, automatic }
}

/// Bytes that a connection may take with its two buffers, and what TLS takes on each side, for `-m`: as HAProxy reckons, so that
/// a configuration admits as many here.
const CONNECTION: u64 = 37_400;
const TLS: u64 = 57_900;

/// How many connections go into what `-m` says.
fn fitting(model: &Model) -> Option<u32> {
    let bytes = model.global.memory?.saturating_mul(1 << 20);
    let all = || model.proxies.iter();
    let clients = all().flat_map(|p| &p.binds).any(|b| b.ext.get::<BindTls>().is_some_and(|t| t.ssl));
    let servers = all().flat_map(|p| &p.servers).any(|s| s.set.ext.get::<ServerTls>().is_some_and(|t| t.ssl));
    let each = CONNECTION + TLS * (u64::from(clients) + u64::from(servers));
    u32::try_from(bytes / each).ok()
}

/// Rounded down to a number of two digits and zeroes.
fn in_two_digits(n: u32) -> u32 {
    let unit = 10u32.pow(n.max(10).ilog10() - 1);
    n / unit * unit
}

/// The system's limit on descriptors.
#[must_use]
pub fn system() -> Rlimit {
    getrlimit(Resource::Nofile)
}

/// Asks the system for the descriptors (`strict-limits` decides what happens when it refuses).
///
/// # Errors
/// The message of a refusal that is not to be lived with.
pub fn apply(global: &Global, limits: &Limits) -> Result<(), String> {
    let now = system();
    let hard = now.maximum.unwrap_or(u64::MAX);
    // what is there already is not lowered
    let current = now.current.unwrap_or(u64::MAX).max(limits.wanted);
    let wish = Rlimit { current: Some(current), maximum: Some(hard.max(current)) };
    let forbidden = global.fd_hard_limit.is_some_and(|most| limits.wanted > most);
    if !forbidden && setrlimit(Resource::Nofile, wish).is_ok() {
        return Ok(());
    }
    let text = |current: u64| {
        let fits = (hard / 2).saturating_sub(300).max(1) / 100 * 100;
        format!(
            "[haproxy.main()] Cannot raise FD limit to {}, current limit is {current} and hard limit is {hard}. You may prefer \
             to let the process adjust the limit by itself; for this, drop any 'maxconn' and 'ulimit-n' from the global \
             section, and possibly add 'fd-hard-limit' lower than this hard limit. You may also force a new 'maxconn' value \
             that is a bit lower than half of the hard limit minus listeners and checks. This results in roughly {fits} here.",
            limits.wanted
        )
    };
    let before = now.current.unwrap_or(u64::MAX);
    if !global.no_strict_limits {
        return Err(text(before));
    }
    let most = hard.min(limits.wanted);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: now.maximum });
    say::warning(text(system().current.unwrap_or(u64::MAX)));
    let current = system().current.unwrap_or(u64::MAX);
    if current < limits.wanted {
        say::alert(format!(
            "[haproxy.main()] FD limit ({current}) too low for maxconn={}/maxsock={w}. Please raise 'ulimit-n' to {w} or more \
             to avoid any trouble.",
            limits.maxconn,
            w = limits.wanted
        ));
    }
    Ok(())
}

/// The allocator's: memory is asked of the system as it is needed, and not in advance.
const LAZY: (&str, &str) = ("MIMALLOC_ARENA_EAGER_COMMIT", "0");

/// `-m`: what the allocator asks for in advance would count, so the program begins again with one that asks as it needs. Yields
/// why it can't; none: it has done so already.
pub fn allocate_as_needed(program: &Path) -> Option<std::io::Error> {
    if std::env::var_os(LAZY.0).is_some() {
        return None;
    }
    let mut args = std::env::args_os();
    let name = args.next().unwrap_or_default();
    let mut again = std::process::Command::new(program);
    Some(again.arg0(name).args(args).env(LAZY.0, LAZY.1).exec())
}

/// `-m`: limits what the process may allocate, in MiB.
pub fn memory(megabytes: u64) {
    let bytes = Some(megabytes.saturating_mul(1 << 20));
    if setrlimit(Resource::Data, Rlimit { current: bytes, maximum: bytes }).is_err() {
        say::warning(format!("[haproxy.main()] Cannot fix MEM limit to {megabytes} megs."));
    }
}

/// No process is to be started from now on (`insecure-fork-wanted` admits it). Threads count too, so: after they have
/// started.
pub fn no_more_processes() {
    let _ = setrlimit(Resource::Nproc, Rlimit { current: Some(0), maximum: Some(0) });
}

/// `set-dumpable`: core files as large as they get.
pub fn core_files() {
    for resource in [Resource::Core, Resource::Fsize] {
        let hard = getrlimit(resource).maximum;
        if setrlimit(resource, Rlimit { current: None, maximum: None }).is_err() {
            let _ = setrlimit(resource, Rlimit { current: hard, maximum: hard });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(set: impl FnOnce(&mut Global)) -> Model {
        let mut m = Model::default();
        m.global.nbthread = Some(1);
        set(&mut m.global);
        m
    }

    #[test]
    fn automatic_from_the_hard_limit() {
        let system = Rlimit { current: Some(1024), maximum: Some(20000) };
        let l = wanted(&model(|_| {}), &system);
        assert_eq!((l.maxconn, l.automatic), (9993, true));
        assert!(l.wanted <= 20000);
        let l = wanted(&model(|g| g.fd_hard_limit = Some(1000)), &system);
        assert_eq!(l.maxconn, 493);
        let none = Rlimit { current: None, maximum: None };
        assert_eq!(wanted(&model(|_| {}), &none).maxconn, 524_281);
    }

    #[test]
    fn said() {
        let system = Rlimit { current: Some(1024), maximum: Some(20000) };
        let l = wanted(&model(|g| g.maxconn = Some(5000)), &system);
        assert_eq!((l.maxconn, l.wanted, l.automatic), (5000, 10013, false));
        assert_eq!(wanted(&model(|g| g.ulimit_n = Some(30000)), &system).wanted, 30000);
        for (megabytes, connections) in [(50, 1400), (100, 2800), (1, 28), (100_000, 9900)] {
            assert_eq!(wanted(&model(|g| g.memory = Some(megabytes)), &system).maxconn, connections);
        }
    }
}
