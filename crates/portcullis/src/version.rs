//! What `-v`, `-vv` and the help options print. The first line is the one that tools look for.

use crate::options::Print;
use portcullis_config::condition::FEATURES;
use portcullis_config::{BRANCH, VERSION};
use std::fmt::Write;

/// The lines of `-v`: HAProxy's, then ours.
#[must_use]
pub fn short() -> String {
    let system = rustix::system::uname();
    let part = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    format!(
        "HAProxy version {VERSION} - https://haproxy.org/\n\
         Portcullis version {} - runs HAProxy {BRANCH} configurations\n\
         Running on: {} {} {} {}\n",
        env!("CARGO_PKG_VERSION"),
        part(system.sysname()),
        part(system.release()),
        part(system.version()),
        part(system.machine()),
    )
}

/// The text of a printing option.
#[must_use]
pub fn text(print: Print) -> String {
    match print {
        Print::Version => short(),
        Print::Everything => short() + &built_in(),
        Print::Bare => format!("{VERSION}\n"),
        Print::Branch => format!("{BRANCH}\n"),
        Print::Memory => {
            "-dM has no effect here: memory is managed by Rust, and nothing can be poisoned.\n".into()
        }
        Print::Classes => CLASSES.into(),
        Print::Traces => portcullis_telemetry::trace::HELP.into(),
    }
}

/// `-dKhelp`
const CLASSES: &str = "# List of supported keyword classes:\n\
    all: list all keywords\n\
    acl: ACL keywords\n\
    cfg: configuration keywords\n\
    cli: CLI keywords\n\
    cnv: sample converter keywords\n\
    flt: filter names\n\
    smp: sample fetch functions\n\
    svc: service names\n";

fn built_in() -> String {
    let mut out = String::from("Build options : \n");
    let target = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
    let _ = writeln!(out, "  TARGET  = {target}");
    let _ = writeln!(out, "  LANGUAGE = Rust");
    let _ = writeln!(out, "  DEBUG   = {}", if cfg!(debug_assertions) { "debug_assertions" } else { "" });
    out.push_str("\nFeature list :");
    for (name, on) in FEATURES {
        let _ = write!(out, " {}{name}", if *on { '+' } else { '-' });
    }
    let tune = portcullis_config::Tune::default();
    let _ = writeln!(
        out,
        "\n\nDefault settings :\n  bufsize = {}, maxrewrite = {}, maxpollevents = 200\n",
        tune.bufsize, tune.maxrewrite
    );
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let _ = writeln!(
        out,
        "Built with multi-threading support (MAX_TGROUPS=32, MAX_THREADS=1024, default={cpus})."
    );
    out.push_str("Built with network namespace support.\n");
    out.push_str("Built with transparent proxy support using: IP_TRANSPARENT IPV6_TRANSPARENT IP_FREEBIND\n");
    out.push_str("\nAvailable polling systems :\n      epoll : pref=300,  test result OK\nTotal: 1 (1 usable), will use epoll.\n");
    out.push_str("\nAvailable multiplexer protocols :\n(protocols marked as <default> cannot be specified using 'proto' keyword)\n");
    out.push_str("  <default> : mode=HTTP  side=FE|BE  mux=H1    flags=\n         h1 : mode=HTTP  side=FE|BE  mux=H1    flags=NO_UPG\n");
    out.push_str("  <default> : mode=TCP   side=FE|BE  mux=PASS  flags=\n       none : mode=TCP   side=FE|BE  mux=PASS  flags=NO_UPG\n");
    out
}
