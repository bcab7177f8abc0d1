//! The command line (management.txt chapter 3): one row an option; parsing, usage and refusals are made from the rows.

use portcullis_telemetry::trace::{self, Traces};
use std::path::PathBuf;

/// What the command line asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `-f` and `--`, in order.
    pub files: Vec<PathBuf>,
    /// `-C`
    pub directory: Option<PathBuf>,
    /// `-c`
    pub check: bool,
    /// `-cc`
    pub condition: Option<String>,
    /// What is printed in place of running.
    pub print: Option<Print>,
    /// `-V`
    pub verbose: bool,
    /// `-q`
    pub quiet: bool,
    /// `-D`
    pub daemon: bool,
    /// `-d`: stays in the foreground and shows what passes.
    pub debug: bool,
    /// `-db`: stays in the foreground, whatever else is said.
    pub foreground: bool,
    /// `-W`
    pub master: bool,
    /// `-Ws`: tells systemd.
    pub systemd: bool,
    /// `-S`
    pub master_sockets: Vec<String>,
    /// `-p`
    pub pidfile: Option<String>,
    /// `-sf`, `-st`: processes that this one replaces.
    pub old: Vec<u32>,
    /// `-st`: they end at once.
    pub terminate: bool,
    /// `-n`
    pub maxconn: Option<u32>,
    /// `-N`
    pub proxy_maxconn: Option<u32>,
    /// `-m`, in MiB.
    pub memory: Option<u64>,
    /// `-L`
    pub localpeer: Option<String>,
    /// `-dD`
    pub diagnose: bool,
    /// `-dW`
    pub no_warnings: bool,
    /// `-dr`: names that cannot be resolved are no error.
    pub ignore_resolution: bool,
    /// `-4`
    pub ipv4_only: bool,
    /// `-dS`, `-dZ`, `-dF`
    pub nosplice: bool,
    /// `-dT`
    pub no_ktls: bool,
    /// `-dR`
    pub noreuseport: bool,
    /// `-dV`
    pub no_verify: bool,
    /// `-dI`
    pub insecure_fork: bool,
    /// `-x /dev/null`: listeners are not taken over from an older worker.
    pub keep_nothing: bool,
    /// `-x`: the socket of the process whose listeners are taken over.
    pub take_from: Option<String>,
    /// Options that were given again where once is enough.
    pub repeated: Vec<&'static str>,
    /// `-dC`: prints the configuration; with line numbers.
    pub dump: Option<Dump>,
    /// `-dK`
    pub classes: Option<String>,
    /// `-dL`
    pub libraries: bool,
    /// `-dt`
    pub traces: Vec<String>,
    /// `-dc`
    pub cpus: bool,
    /// Options without effect that were given, and why they have none.
    pub ignored: Vec<(&'static str, &'static str)>,
}

/// `-v` and its kin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Print {
    /// `-v`
    Version,
    /// `-vv`
    Everything,
    /// `-vq`: the version alone.
    Bare,
    /// `-vqs`, `-vqb`: its branch alone.
    Branch,
    /// `-dMhelp`
    Memory,
    /// `-dKhelp`
    Classes,
    /// `-dt help`
    Traces,
}

/// `-dC`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dump {
    /// `-dC,line`: with line numbers.
    pub numbered: bool,
}

/// What stands behind an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    Nothing,
    /// The next word.
    Word,
    /// The rest of the same word, or the next one, unless that is an option.
    Perhaps,
    /// All words up to the next option.
    Words,
    /// The rest of the same word.
    Rest,
    /// All words.
    All,
}

type Set = fn(&mut Options, &str) -> Result<(), String>;

#[derive(Clone, Copy)]
enum Does {
    Works(Set),
    /// Accepted, for this reason.
    NoEffect(&'static str),
    NotYet,
}

/// One option.
#[derive(Clone, Copy)]
pub struct Row {
    name: &'static str,
    argument: &'static str,
    takes: Takes,
    help: &'static str,
    does: Does,
}

const fn row(name: &'static str, argument: &'static str, takes: Takes, help: &'static str, set: Set) -> Row {
    Row { name, argument, takes, help, does: Does::Works(set) }
}

const fn switch(name: &'static str, help: &'static str, set: Set) -> Row {
    row(name, "", Takes::Nothing, help, set)
}

const fn idle(name: &'static str, takes: Takes, help: &'static str, why: &'static str) -> Row {
    Row { name, argument: "", takes, help, does: Does::NoEffect(why) }
}

const fn not_yet(name: &'static str, argument: &'static str, takes: Takes, help: &'static str) -> Row {
    Row { name, argument, takes, help, does: Does::NotYet }
}

macro_rules! set {
    ($o:ident, $v:pat => $body:expr) => {
        |$o: &mut Options, $v: &str| {
            $body;
            Ok(())
        }
    };
}

const POLLER: &str = "the event loop is Linux epoll and nothing else is there to fall back to";
const RESOLVER: &str = "names are always resolved by the system's resolver";
const ALLOCATOR: &str = "memory is managed by Rust and another allocator, which have nothing to poison";

/// Every option.
pub const ROWS: &[Row] = &[
    row(
        "-f",
        "<cfgfile|cfgdir>",
        Takes::Word,
        "loads this file, or the *.cfg files of this directory",
        add_file,
    ),
    row("--", "<cfgfile>*", Takes::All, "loads these files", add_file),
    row(
        "-C",
        "<dir>",
        Takes::Word,
        "changes to <dir> before loading files",
        set!(o, v => o.directory = Some(v.into())),
    ),
    switch("-v", "displays the version", set!(o, _ => o.print = Some(Print::Version))),
    switch(
        "-vv",
        "displays the version and what is built in",
        set!(o, _ => o.print = Some(Print::Everything)),
    ),
    switch("-vq", "displays the version number only", set!(o, _ => o.print = Some(Print::Bare))),
    switch("-vqs", "displays the short version number only", set!(o, _ => o.print = Some(Print::Branch))),
    switch("-vqb", "displays the branch only", set!(o, _ => o.print = Some(Print::Branch))),
    switch("-c", "check mode: only checks the configuration and exits", set!(o, _ => o.check = true)),
    row(
        "-cc",
        "<condition>",
        Takes::Word,
        "evaluates a condition and exits",
        set!(o, v => o.condition = Some(v.into())),
    ),
    switch("-V", "verbose mode (disables quiet mode)", set!(o, _ => { o.verbose = true; o.quiet = false })),
    switch("-q", "quiet mode: no messages", set!(o, _ => o.quiet = !o.verbose)),
    switch("-D", "goes to the background", set!(o, _ => o.daemon = true)),
    switch("-W", "master-worker mode", set!(o, _ => o.master = true)),
    switch(
        "-Ws",
        "master-worker mode that tells systemd",
        set!(o, _ => { o.master = true; o.systemd = true }),
    ),
    switch("-db", "stays in the foreground", set!(o, _ => o.foreground = true)),
    switch(
        "-d",
        "debug mode: stays in the foreground and shows what passes",
        set!(o, _ => { o.debug = true; o.verbose = true; o.quiet = false }),
    ),
    row(
        "-p",
        "<pidfile>",
        Takes::Word,
        "writes the pid to this file",
        set!(o, v => o.pidfile = Some(v.into())),
    ),
    row("-n", "<maxconn>", Takes::Word, "the process' maximum number of connections", |o, v| {
        o.maxconn = Some(leading(v)).filter(|n| *n > 0);
        Ok(())
    }),
    row("-N", "<maxpconn>", Takes::Word, "the default maximum number of connections of a proxy", |o, v| {
        o.proxy_maxconn = Some(leading(v)).filter(|n| *n > 0);
        Ok(())
    }),
    row("-m", "<megs>", Takes::Word, "limits the memory (in MB)", |o, v| {
        o.memory = Some(u64::from(leading(v))).filter(|n| *n > 0);
        Ok(())
    }),
    row(
        "-L",
        "<name>",
        Takes::Word,
        "the local peer's name (default: the host's)",
        set!(o, v => o.localpeer = Some(v.into())),
    ),
    row("-sf", "<pid>*", Takes::Words, "old processes that finish when this one has started", |o, v| {
        old(o, "-sf", v, false)
    }),
    row("-st", "<pid>*", Takes::Words, "old processes that end at once when this one has started", |o, v| {
        old(o, "-st", v, true)
    }),
    row("-x", "<unix_socket>", Takes::Word, "takes over listening sockets through a Unix socket", take_from),
    row(
        "-S",
        "<bind>[,<bind options>...]",
        Takes::Word,
        "the master's command line socket",
        set!(o, v => o.master_sockets.push(v.into())),
    ),
    switch("-4", "resolvers consider IPv4 answers only", set!(o, _ => o.ipv4_only = true)),
    row("-dC", "[[<key>],line]", Takes::Rest, "displays the configuration", dump),
    switch("-dD", "diagnostic mode: warns about suspicious statements", set!(o, _ => o.diagnose = true)),
    switch("-dF", "disables fast forwarding, and with it splicing", set!(o, _ => o.nosplice = true)),
    idle("-dG", Takes::Nothing, "disables getaddrinfo()", RESOLVER),
    switch("-dI", "lets programs be started", set!(o, _ => o.insecure_fork = true)),
    row("-dK", "<class>[,<class>]*", Takes::Rest, "displays keywords ('-dKhelp': the classes)", |o, v| {
        match v {
            "help" | "" => o.print = Some(Print::Classes),
            v => o.classes = Some(v.into()),
        }
        Ok(())
    }),
    switch("-dL", "displays the loaded object files", set!(o, _ => o.libraries = true)),
    not_yet("-dA", "[<file>]", Takes::Rest, "collects the loaded object files in an archive"),
    row("-dM", "[<byte>[,]][help|options,...]", Takes::Rest, "memory debugging", |o, v| {
        match v {
            "help" => o.print = Some(Print::Memory),
            v => {
                check_memory(v)?;
                o.ignored.push(("-dM", ALLOCATOR));
            }
        }
        Ok(())
    }),
    switch("-dR", "disables SO_REUSEPORT", set!(o, _ => o.noreuseport = true)),
    switch("-dS", "disables splicing", set!(o, _ => o.nosplice = true)),
    switch("-dT", "disables kernel TLS", set!(o, _ => o.no_ktls = true)),
    switch("-dV", "disables the verification of servers' certificates", set!(o, _ => o.no_verify = true)),
    switch("-dW", "fails if there is any warning", set!(o, _ => o.no_warnings = true)),
    switch("-dZ", "disables zero-copy forwarding, and with it splicing", set!(o, _ => o.nosplice = true)),
    switch("-dc", "displays the CPUs that are used, and how", set!(o, _ => o.cpus = true)),
    idle("-de", Takes::Nothing, "disables epoll", POLLER),
    idle("-dk", Takes::Nothing, "disables kqueue", POLLER),
    idle("-dp", Takes::Nothing, "disables poll", POLLER),
    idle("-dv", Takes::Nothing, "disables event ports", POLLER),
    switch("-dr", "ignores server names that cannot be resolved", set!(o, _ => o.ignore_resolution = true)),
    row(
        "-dt",
        "[<source>[:<level>[:<verbosity>]],...]",
        Takes::Perhaps,
        "displays traces ('-dt help')",
        |o, v| {
            if v == "help" {
                o.print = Some(Print::Traces);
                return Ok(());
            }
            trace::parse(&mut Traces::default(), v).map_err(|e| format!("config : -dt: {e}"))?;
            o.traces.push(v.to_owned());
            Ok(())
        },
    ),
];

/// What `-dM` takes: a byte, and names of features, each with or without `no-`.
fn check_memory(text: &str) -> Result<(), String> {
    const FEATURES: [&str; 12] = [
        "backup",
        "cache",
        "caller",
        "cold-first",
        "fail",
        "global",
        "hot-first",
        "integrity",
        "merge",
        "poison",
        "tag",
        "uaf",
    ];
    let is_byte = |w: &str| w.starts_with(|c: char| c.is_ascii_digit());
    let known = |w: &str| w.is_empty() || FEATURES.contains(&w.strip_prefix("no-").unwrap_or(w));
    match text.split(',').enumerate().find(|(i, w)| !(known(w) || *i == 0 && is_byte(w))) {
        Some((_, unknown)) => Err(format!("-dM: unknown pool debugging feature <{unknown}>")),
        None => Ok(()),
    }
}

/// Why a command line cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Not an option: the usage text is the answer.
    Usage,
    /// A message.
    Message(String),
}

/// Reads a command line (without the program's name).
///
/// # Errors
/// What is wrong with it.
pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Options, Wrong> {
    let mut options = Options::default();
    let mut args = args.into_iter().peekable();
    while let Some(word) = args.next() {
        let row = find(&word).ok_or(Wrong::Usage)?;
        let values: Vec<String> = match row.takes {
            Takes::Nothing => vec![String::new()],
            Takes::Rest => vec![word.get(row.name.len()..).unwrap_or_default().to_string()],
            Takes::Word => match args.next() {
                Some(value) => vec![value],
                None => {
                    return Err(Wrong::Message(format!(
                        "'{}' expects an argument: {}.",
                        row.name, row.argument
                    )));
                }
            },
            Takes::Perhaps => match word.get(row.name.len()..) {
                Some(glued) if !glued.is_empty() => vec![glued.to_string()],
                _ => vec![args.next_if(|w| !w.starts_with('-')).unwrap_or_default()],
            },
            Takes::Words => std::iter::from_fn(|| args.next_if(|w| !w.starts_with('-'))).collect(),
            Takes::All => args.by_ref().collect(),
        };
        match row.does {
            Does::Works(set) => {
                for value in values {
                    set(&mut options, &value).map_err(Wrong::Message)?;
                }
            }
            Does::NoEffect(why) => options.ignored.push((row.name, why)),
            Does::NotYet => {
                return Err(Wrong::Message(format!("'{}' ({}) is not supported yet.", row.name, row.help)));
            }
        }
    }
    Ok(options)
}

/// The row of this word: the same name, or the beginning of the word where the rest is the argument.
fn find(word: &str) -> Option<&'static Row> {
    ROWS.iter().find(|r| r.name == word).or_else(|| {
        let glued = |r: &&Row| matches!(r.takes, Takes::Rest | Takes::Perhaps) && word.starts_with(r.name);
        ROWS.iter().find(glued)
    })
}

/// The usage text.
#[must_use]
pub fn usage(program: &str) -> String {
    let mut out =
        format!("Usage : {program} [-f <cfgfile|cfgdir>]* [ -vdVD ] [ -n <maxconn> ] [ -N <maxpconn> ]\n");
    out.push_str("        [ -p <pidfile> ] [ -m <max megs> ] [ -C <dir> ] [-- <cfgfile>*]\n");
    for r in ROWS {
        let gap = if r.argument.is_empty() || r.takes == Takes::Rest { "" } else { " " };
        let note = match r.does {
            Does::Works(_) => "",
            Does::NoEffect(_) => " (no effect)",
            Does::NotYet => " (not supported yet)",
        };
        out.push_str(&format!("        {}{gap}{} {}{note}\n", r.name, r.argument, r.help));
    }
    out
}

fn add_file(o: &mut Options, v: &str) -> Result<(), String> {
    o.files.push(v.into());
    Ok(())
}

/// As `atol` reads it: digits at the beginning; 0 without any.
fn leading(text: &str) -> u32 {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text.get(..digits).and_then(|t| t.parse().ok()).unwrap_or(0)
}

fn old(o: &mut Options, name: &str, pids: &str, terminate: bool) -> Result<(), String> {
    o.terminate = terminate;
    // `$(cat pidfile)` in quotes comes as one word
    for pid in pids.split_ascii_whitespace() {
        match pid.parse::<u32>() {
            Ok(n @ 1..=0x7fff_ffff) => o.old.push(n),
            _ => return Err(format!("{name} option: some bytes unconsumed in PID list {{{pid}}}")),
        }
    }
    Ok(())
}

fn take_from(o: &mut Options, v: &str) -> Result<(), String> {
    if o.keep_nothing || o.take_from.is_some() {
        o.repeated.push("-x");
    }
    o.keep_nothing = v == "/dev/null";
    o.take_from = (!o.keep_nothing).then(|| v.to_string());
    Ok(())
}

fn dump(o: &mut Options, v: &str) -> Result<(), String> {
    let (key, rest) = v.split_once(',').unwrap_or((v, ""));
    if !matches!(key, "" | "0") {
        return Err("'-dC' with a key (anonymised dump) is not supported yet.".into());
    }
    if !matches!(rest, "" | "line") {
        return Err(format!("'-dC' knows 'line' only, not '{rest}'."));
    }
    o.dump = Some(Dump { numbered: rest == "line" });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options, Wrong> {
        parse(line.split(' ').filter(|w| !w.is_empty()).map(str::to_string))
    }

    #[test]
    fn init_script_line() {
        let o = read("-f a.cfg -f b -D -p /run/x.pid -sf 12 34 -- c.cfg -d.cfg").unwrap();
        assert_eq!(o.files, ["a.cfg", "b", "c.cfg", "-d.cfg"].map(PathBuf::from));
        assert_eq!((o.daemon, o.old.as_slice(), o.terminate), (true, &[12, 34][..], false));
        assert_eq!(o.pidfile.as_deref(), Some("/run/x.pid"));
        assert_eq!(read("-st").unwrap().old, []);
        assert_eq!(parse(["-sf".into(), "1 2\n3".into()]).unwrap().old, [1, 2, 3]);
    }

    #[test]
    fn values_in_the_same_word() {
        assert_eq!(read("-dKall").unwrap().classes.as_deref(), Some("all"));
        assert_eq!(read("-dKhelp").unwrap().print, Some(Print::Classes));
        assert_eq!(read("-dC").unwrap().dump, Some(Dump { numbered: false }));
        assert_eq!(read("-dC,line").unwrap().dump, Some(Dump { numbered: true }));
        assert!(matches!(read("-dC123"), Err(Wrong::Message(_))));
        assert_eq!(read("-dM0x50,no-merge").unwrap().ignored.len(), 1);
        assert!(read("-dM").is_ok() && read("-dMno-merge,zz").is_err() && read("-dMfoo").is_err());
        assert_eq!(read("-dt h1").unwrap().traces, ["h1"]);
        assert_eq!(read("-dth1").unwrap().traces, ["h1"]);
        assert!(read("-dtzz").is_err());
    }

    #[test]
    fn numbers_as_atol_reads_them() {
        assert_eq!(read("-n 20x").unwrap().maxconn, Some(20));
        assert_eq!(read("-n x").unwrap().maxconn, None);
    }

    #[test]
    fn quiet_and_verbose() {
        assert!(read("-q").unwrap().quiet);
        assert!(!read("-q -V").unwrap().quiet);
        assert!(!read("-V -q").unwrap().quiet);
    }

    #[test]
    fn wrong_lines() {
        assert_eq!(read("-Z"), Err(Wrong::Usage));
        assert_eq!(read("file.cfg"), Err(Wrong::Usage));
        assert!(matches!(read("-f"), Err(Wrong::Message(_))));
        assert!(matches!(read("-sf abc"), Err(Wrong::Message(_))));
        let Err(Wrong::Message(text)) = read("-dA/x.tar") else { panic!("-dA is taken") };
        assert!(text.contains("not supported yet"), "{text}");
    }

    /// Every option that the manual's chapter 3 lists has a row.
    #[test]
    fn every_option_of_the_manual() {
        let manual = "-- -f -C -D -L -N -V -W -Ws -4 -c -cc -d -dA -dC -dD -dF -dG -dI -dK -dL -dM -dR -dS -dT -dV -dW -dZ -db -dc -de -dk -dp -dr -dt -dv -m -n -p -q -S -sf -st -v -vv -x";
        for name in manual.split(' ') {
            assert!(ROWS.iter().any(|r| r.name == name && !r.help.is_empty()), "{name}");
        }
    }
}
