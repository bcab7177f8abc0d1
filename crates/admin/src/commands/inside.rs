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
        "[-!plcfbs]* [num]",
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

/// What a descriptor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Listener,
    /// A connection that was accepted.
    Front,
    /// One that was made.
    Back,
    Pipe,
    File,
    Device,
    Other,
}

impl Sort {
    const ALL: [Self; 7] =
        [Self::Listener, Self::Front, Self::Back, Self::Pipe, Self::File, Self::Device, Self::Other];

    fn name(self) -> &'static str {
        match self {
            Self::Listener => "listener",
            Self::Front | Self::Back => "socket",
            Self::Pipe => "pipe",
            Self::File => "file",
            Self::Device => "device",
            Self::Other => "other",
        }
    }
    /// Which a letter of `show fd` stands for.
    fn lettered(letter: char) -> Option<&'static [Self]> {
        Some(match letter {
            'p' => &[Self::Pipe],
            'l' => &[Self::Listener],
            'c' => &[Self::Front, Self::Back],
            'f' => &[Self::Front],
            'b' | 's' => &[Self::Back],
            _ => return None,
        })
    }
}

/// Which descriptors a command wants: a bit each of [`Sort`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wanted(Option<u8>);

impl Wanted {
    fn has(self, sort: Sort) -> bool {
        self.0.is_none_or(|bits| bits & 1 << sort as u8 != 0)
    }
    /// One more word of flags: `-` and `!` turn what follows in it around. What begins with leaving out begins with all.
    fn word(self, word: &str) -> Option<Self> {
        let mut bits = self.0;
        let mut without = false;
        for letter in word.chars() {
            if letter == '-' || letter == '!' {
                without = !without;
                continue;
            }
            let all = Sort::ALL.iter().fold(0, |all, s| all | 1 << *s as u8);
            let these = Sort::lettered(letter)?.iter().fold(0, |all, s| all | 1 << *s as u8);
            let before = bits.unwrap_or(if without { all } else { 0 });
            bits = Some(if without { before & !these } else { before | these });
        }
        Some(Self(bits))
    }
}

/// What descriptors are compared with.
struct Known {
    plan: Arc<Plan>,
    wanted: Wanted,
}

/// The number that a word of `show fd` names: `<fd>`, `<group>/<fd>`, `/<fd>`; `Ok(None)`: all of them.
fn number_of(word: &str) -> Result<Option<i32>, ()> {
    match word.rsplit_once('/') {
        Some((_, "")) => Ok(None),
        Some((_, n)) => n.parse().map(Some).map_err(drop),
        None => word.parse().map(Some).map_err(drop),
    }
}

fn fd(call: &mut Call<'_>) -> Outcome {
    let mut known = Known { plan: call.admin.plan(), wanted: Wanted(None) };
    let mut at = 2;
    while call.has(at) {
        let word = call.arg(at);
        if word.starts_with(|c: char| c.is_ascii_digit() || c == '/') {
            match number_of(&word) {
                Ok(Some(n)) => {
                    let line = duplicate(n).ok().and_then(|fd| described(n, &fd, &known));
                    return Outcome::Text(line.unwrap_or_default().into_bytes());
                }
                Ok(None) => break,
                Err(()) => return Outcome::err("Invalid FD number"),
            }
        }
        match known.wanted.word(&word) {
            Some(wanted) => known.wanted = wanted,
            None => return Outcome::err("Invalid FD type"),
        }
        at += 1;
    }
    let most = getrlimit(Resource::Nofile).current.and_then(|n| i32::try_from(n).ok()).unwrap_or(i32::MAX);
    let mut next = 0;
    Outcome::Pieces(Box::new(std::iter::from_fn(move || {
        // the pieces end with the first empty one
        while next < most {
            let all = (next..most.min(next.saturating_add(SLICE)))
                .filter_map(|n| described(n, &duplicate(n).ok()?, &known));
            let text: String = all.collect();
            next = next.saturating_add(SLICE);
            if !text.is_empty() {
                return Some(text.into_bytes());
            }
        }
        None
    })))
}

/// A descriptor's line, if it is wanted: what kind it is, and of a socket where it is; of listening ones and of clients'
/// connections the frontend too.
fn described(number: i32, fd: &OwnedFd, known: &Known) -> Option<String> {
    let kind = rustix::fs::fstat(fd).map(|s| FileType::from_raw_mode(s.st_mode));
    let (sort, place) = match kind {
        Ok(FileType::Socket) => socket(fd, &known.plan),
        Ok(FileType::Fifo) => (Sort::Pipe, String::new()),
        Ok(FileType::RegularFile) => (Sort::File, String::new()),
        Ok(FileType::CharacterDevice) => (Sort::Device, String::new()),
        _ => (Sort::Other, String::new()),
    };
    known.wanted.has(sort).then(|| format!("{number:7} : kind={}{place}\n", sort.name()))
}

/// What a socket is, and where.
fn socket(fd: &OwnedFd, plan: &Plan) -> (Sort, String) {
    let listens = matches!(sockopt::socket_acceptconn(fd), Ok(true));
    let inet = |a: SocketAddrAny| SocketAddr::try_from(a).ok();
    let local = rustix::net::getsockname(fd).ok();
    let Some(local) = local.clone().and_then(inet) else {
        // a path is bound under another name at first: which line it is of cannot be seen
        let bound = local.is_some_and(|a| a.addr_len() > 2);
        return match (listens, bound) {
            (true, _) => (Sort::Listener, " l.st=RDY fam=unix".into()),
            (false, true) => (Sort::Front, " back=0 fam=unix".into()),
            (false, false) => (Sort::Back, " back=1 fam=unix".into()),
        };
    };
    let own = plan.listeners.iter().find(|l| {
        let bound = socket_addr(&l.bind.address);
        let here =
            |b: SocketAddr| b.port() == local.port() && (b.ip().is_unspecified() || b.ip() == local.ip());
        if listens { bound == Some(local) } else { bound.is_some_and(here) }
    });
    let family = if local.is_ipv4() { "ipv4" } else { "ipv6" };
    if listens {
        let name = own.map_or("GLOBAL", |l| &*l.frontend_name);
        return (Sort::Listener, format!(" l.st=RDY fe={name} fam={family} lport={}", local.port()));
    }
    let mut text = format!(" back={} fam={family} lport={}", u8::from(own.is_none()), local.port());
    if let Ok(Some(peer)) = rustix::net::getpeername(fd).map(|p| p.and_then(inet)) {
        let _ = write!(text, " rport={}", peer.port());
    }
    let Some(own) = own else { return (Sort::Back, text) };
    let _ = write!(text, " fe={}", own.frontend_name);
    (Sort::Front, text)
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
    fn descriptors_that_are_wanted() {
        let of = |words: &[&str]| {
            let wanted = words.iter().try_fold(Wanted(None), |w, word| w.word(word));
            wanted.map(|w| Sort::ALL.into_iter().filter(|s| w.has(*s)).collect::<Vec<_>>())
        };
        assert_eq!(of(&["c!f"]), Some(vec![Sort::Back]));
        assert_eq!(of(&["l", "p"]), Some(vec![Sort::Listener, Sort::Pipe]));
        assert_eq!(of(&["-c"]).unwrap().len(), 5);
        assert_eq!(of(&["!c", "f"]).unwrap().len(), 6);
        assert_eq!(of(&[]).unwrap().len(), 7);
        assert_eq!(of(&["x"]), None);
        assert_eq!([number_of("7"), number_of("1/7"), number_of("/7")], [Ok(Some(7)); 3]);
        assert_eq!((number_of("1/"), number_of("1x")), (Ok(None), Err(())));
    }

    #[test]
    fn values_of_the_system() {
        assert_eq!(valued("a\t: 1\nab : 2\nNAME=\"x y\"\n", "NAME"), Some("x y"));
        assert_eq!(valued("model name\t: m\nmodel\t: 7\n", "model"), Some("7"));
        assert!(capabilities("CapEff:\t00ff\n").starts_with("  \tCapEff: 0x00ff\n"));
    }
}
