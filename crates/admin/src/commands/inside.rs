//! Commands about what the process is made of: its descriptors, its libraries, the machine that it was started on.
//!
//! What only files of the system tell is looked at when the process starts: afterwards it opens none.

use crate::command::{Call, Outcome, Row};
use crate::socket::Level;
use portcullis_proxy::plan::Plan;
use portcullis_sys::fd::duplicate;
use portcullis_transport::listen::socket_addr;
use rustix::fd::OwnedFd;
use rustix::fs::FileType;
use rustix::net::{SocketAddrAny, sockopt};
use rustix::process::{Resource, getrlimit};
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    Row::new("show dev", "", Level::Operator, "show debug info for developers", dev),
    Row::new(
        "show fd",
        "[num]",
        Level::Operator,
        "dump list of file descriptors in use or a specific one",
        fd,
    ),
    Row::new("show libs", "", Level::Operator, "show loaded object files and libraries", |c| {
        Outcome::Text(c.admin.about.boot.libraries.clone().into_bytes())
    }),
];

/// Descriptors that are looked at in one go.
const SLICE: i32 = 1024;

/// What was found out when the process started.
#[derive(Clone, Debug, Default)]
pub struct Boot {
    /// The lines of `show libs`.
    libraries: String,
    platform: String,
    command: String,
    capabilities: String,
    ids: (u32, u32),
    descriptors: Option<u64>,
}

impl Boot {
    /// Looks at the system; before the process is confined.
    #[must_use]
    pub fn look() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let maps = read("/proc/self/maps");
        let command = read("/proc/self/cmdline");
        Self {
            libraries: libraries(&maps),
            platform: platform(&read("/proc/cpuinfo"), &read("/etc/os-release")),
            command: command.replace('\0', " "),
            capabilities: capabilities(&read("/proc/self/status")),
            ids: ids(),
            descriptors: getrlimit(Resource::Nofile).current,
        }
    }
}

fn ids() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

/// From the lines of a memory map: each file with the range of addresses that it takes.
fn libraries(maps: &str) -> String {
    let mut files: Vec<(&str, u64, u64)> = Vec::new();
    for line in maps.lines() {
        let Some((range, path)) = line.split_once(' ').zip(line.find('/').and_then(|at| line.get(at..)))
        else {
            continue;
        };
        let Some((start, end)) = range.0.split_once('-') else { continue };
        let (Ok(start), Ok(end)) = (u64::from_str_radix(start, 16), u64::from_str_radix(end, 16)) else {
            continue;
        };
        match files.iter_mut().find(|f| f.0 == path) {
            Some(known) => known.2 = known.2.max(end),
            None => files.push((path, start, end)),
        }
    }
    let one = |(path, start, end): &(&str, u64, u64)| {
        format!("0x{start:012x}-0x{:012x} (0x{:07x}) {path}\n", end - 1, end - start)
    };
    files.iter().map(one).collect()
}

/// The value of a line `key : value` or `key=value`.
fn valued<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    text.lines().find_map(|line| {
        let rest = line.strip_prefix(key)?.trim_start();
        Some(rest.strip_prefix([':', '='])?.trim().trim_matches('"'))
    })
}

fn platform(cpus: &str, release: &str) -> String {
    let system = rustix::system::uname();
    let of = |key| valued(cpus, key).unwrap_or("unknown");
    let mut text = format!(
        "  soc vendor: {}\n  soc model: {}\n  cpu model: Fam {} Model {} Step {}\n",
        of("vendor_id"),
        of("model name"),
        of("cpu family"),
        of("model"),
        of("stepping")
    );
    for (what, value) in [
        ("OS name", system.sysname().to_string_lossy()),
        ("OS release", system.release().to_string_lossy()),
        ("OS version", system.version().to_string_lossy()),
        ("OS architecture", system.machine().to_string_lossy()),
        ("node name", system.nodename().to_string_lossy()),
        ("distro pretty name", valued(release, "PRETTY_NAME").unwrap_or("unknown").into()),
    ] {
        let _ = writeln!(text, "  {what}: {value}");
    }
    text
}

fn capabilities(status: &str) -> String {
    let one = |name: &str| format!("  \t{name}: 0x{}\n", valued(status, name).unwrap_or("0"));
    ["CapEff", "CapPrm", "CapInh"].into_iter().map(one).collect()
}

fn dev(call: &mut Call<'_>) -> Outcome {
    let boot = &call.admin.about.boot;
    let (uid, gid) = ids();
    let number = |n: Option<u64>| n.map_or("unlimited".to_owned(), |n| n.to_string());
    let now = getrlimit(Resource::Nofile).current;
    let text = format!(
        "HAProxy version {}\nPlatform info:\n{}Process info:\n  pid: {}\n  cmdline: {}\n  boot capabilities:\n{}  \
         identity:               -boot-       -runtime-   \n      uid: {:>16} {:>16}           \n      gid: {:>16} {:>16}           \
         \n  limits:                 -boot-       -runtime-   \n      RLIMIT_NOFILE: {:>10} {:>12}\n",
        portcullis_config::VERSION,
        boot.platform,
        std::process::id(),
        boot.command,
        boot.capabilities,
        boot.ids.0,
        uid,
        boot.ids.1,
        gid,
        number(boot.descriptors),
        number(now),
    );
    Outcome::Text(text.into_bytes())
}

fn fd(call: &mut Call<'_>) -> Outcome {
    let plan = call.admin.plan();
    if call.has(2) {
        return match call.arg(2).parse().ok().and_then(|n| Some((n, duplicate(n).ok()?))) {
            Some((n, fd)) => Outcome::Text(described(n, &fd, &plan).into_bytes()),
            None => Outcome::Text(Vec::new()),
        };
    }
    let most = getrlimit(Resource::Nofile).current.and_then(|n| i32::try_from(n).ok()).unwrap_or(i32::MAX);
    let mut next = 0;
    Outcome::Pieces(Box::new(std::iter::from_fn(move || {
        // the pieces end with the first empty one
        while next < most {
            let all = (next..most.min(next.saturating_add(SLICE)))
                .filter_map(|n| Some(described(n, &duplicate(n).ok()?, &plan)));
            let text: String = all.collect();
            next = next.saturating_add(SLICE);
            if !text.is_empty() {
                return Some(text.into_bytes());
            }
        }
        None
    })))
}

/// A descriptor's line: what kind it is, and of a socket where it is; for listening ones the frontend too.
fn described(number: i32, fd: &OwnedFd, plan: &Arc<Plan>) -> String {
    let mut text = format!("{number:7} : ");
    let kind = rustix::fs::fstat(fd).map(|s| FileType::from_raw_mode(s.st_mode));
    let word = match kind {
        Ok(FileType::Socket) => match sockopt::socket_acceptconn(fd) {
            Ok(true) => "listener",
            _ => "socket",
        },
        Ok(FileType::Fifo) => "pipe",
        Ok(FileType::RegularFile) => "file",
        Ok(FileType::CharacterDevice) => "device",
        _ => "other",
    };
    let _ = write!(text, "kind={word}");
    if kind == Ok(FileType::Socket) {
        sockets(&mut text, fd, plan, word == "listener");
    }
    text.push('\n');
    text
}

fn sockets(text: &mut String, fd: &OwnedFd, plan: &Plan, listens: bool) {
    let inet = |a: SocketAddrAny| SocketAddr::try_from(a).ok();
    match rustix::net::getsockname(fd).ok().and_then(inet) {
        Some(local) => {
            let family = if local.is_ipv4() { "ipv4" } else { "ipv6" };
            if listens {
                let own = plan.listeners.iter().find(|l| socket_addr(&l.bind.address) == Some(local));
                let name = own.map_or("GLOBAL", |l| &*l.frontend_name);
                let _ = write!(text, " l.st=RDY fe={name}");
            }
            let _ = write!(text, " fam={family} lport={}", local.port());
            if let Ok(Some(peer)) = rustix::net::getpeername(fd).map(|p| p.and_then(inet)) {
                let _ = write!(text, " rport={}", peer.port());
            }
        }
        None => {
            // a path is bound under another name at first: which line it is of cannot be seen
            if listens {
                text.push_str(" l.st=RDY");
            }
            text.push_str(" fam=unix");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_map() {
        let maps = "55d0-55e0 r--p 00000000 08:01 1 /bin/x\n55e0-5600 r-xp 00010000 08:01 1 /bin/x\n\
                    7f00-7f10 rw-p 00000000 00:00 0 \n7f20-7f30 r--p 0 08:01 2 /lib/y.so\n";
        let expected = "0x0000000055d0-0x0000000055ff (0x0000030) /bin/x\n\
                        0x000000007f20-0x000000007f2f (0x0000010) /lib/y.so\n";
        assert_eq!(libraries(maps), expected);
    }

    #[test]
    fn values_of_the_system() {
        assert_eq!(valued("a\t: 1\nab : 2\nNAME=\"x y\"\n", "NAME"), Some("x y"));
        assert_eq!(valued("model name\t: m\nmodel\t: 7\n", "model"), Some("7"));
        assert!(capabilities("CapEff:\t00ff\n").starts_with("  \tCapEff: 0x00ff\n"));
    }
}
