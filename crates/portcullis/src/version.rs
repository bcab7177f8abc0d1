//! What `-v`, `-vv` and the help options print. The first line is the one that tools look for.

use crate::options::Print;
use portcullis_config::condition::FEATURES;
use portcullis_config::{BRANCH, VERSION};
use portcullis_proxy::filter::config::FILTERS;
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

/// What the polling is done by, as `-vv` and `-d` show it.
pub const POLLERS: &str = "Available polling systems :\n      epoll : pref=300,  test result OK\n\
    Total: 1 (1 usable), will use epoll.\n";

/// The protocols of connections, with which mode and side they go.
const MULTIPLEXERS: &str = "\
    \u{20}        h2 : mode=HTTP  side=FE|BE  mux=H2    flags=HTX|HOL_RISK|NO_UPG\n\
    \u{20} <default> : mode=HTTP  side=FE|BE  mux=H1    flags=HTX\n\
    \u{20}        h1 : mode=HTTP  side=FE|BE  mux=H1    flags=HTX|NO_UPG\n\
    \u{20} <default> : mode=TCP   side=FE|BE  mux=PASS  flags=\n\
    \u{20}      none : mode=TCP   side=FE|BE  mux=PASS  flags=NO_UPG\n";

/// The filters that work.
#[must_use]
pub fn filters() -> String {
    let working = FILTERS.iter().filter(|f| f.works().is_ok());
    working.fold("Available filters :\n".to_owned(), |out, f| out + &format!("\t[{}] {}\n", f.group, f.name))
}

/// The services of `use-service` that work.
fn services() -> String {
    let names: Vec<_> = portcullis_stats::SERVICES.iter().map(|s| s.name).collect();
    format!("Available services : {}\n", names.join(" "))
}

/// What is built in, in the lines that scripts look for.
fn built_in() -> String {
    let mut out = String::from("Build options : \n");
    let _ = writeln!(out, "  TARGET  = linux-{}", if cfg!(target_env = "musl") { "musl" } else { "glibc" });
    let _ = writeln!(out, "  LANGUAGE = Rust");
    let _ = writeln!(out, "  DEBUG   = {}", if cfg!(debug_assertions) { "debug_assertions" } else { "" });
    out.push_str("\nFeature list :");
    for (name, on) in FEATURES {
        let _ = write!(out, " {}{name}", if *on { '+' } else { '-' });
    }
    out.push_str("\nDetected feature list : +HAVE_WORKING_TCP_MD5SIG\n");
    let tune = portcullis_config::Tune::default();
    let _ = writeln!(
        out,
        "\nDefault settings :\n  bufsize = {}, maxrewrite = {}, maxpollevents = 200\n",
        tune.bufsize, tune.maxrewrite
    );
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let _ = writeln!(
        out,
        "Built with multi-threading support (MAX_TGROUPS=32, MAX_THREADS=1024, default={cpus})."
    );
    let library = portcullis_config::condition::SSL_LIBRARY;
    let _ = writeln!(
        out,
        "Built with SSL library version : {library}\nRunning on SSL library version : {library}"
    );
    out.push_str("SSL library supports TLS extensions : yes\nSSL library supports SNI : yes\n");
    out.push_str("SSL library FIPS mode : no\nSSL library supports : TLSv1.2 TLSv1.3\n");
    out.push_str("Built with the Prometheus exporter as a service\n");
    out.push_str("Built with network namespace support.\n");
    out.push_str("Built with transparent proxy support using: IP_TRANSPARENT IPV6_TRANSPARENT IP_FREEBIND\n");
    out.push_str("PCRE2 library supports JIT : yes\nEncrypted password support via crypt(3): yes\n");
    let _ = writeln!(out, "\n{POLLERS}");
    out.push_str("Available multiplexer protocols :\n(protocols marked as <default> cannot be specified using 'proto' keyword)\n");
    let _ = writeln!(out, "{MULTIPLEXERS}\n{}{}", services(), filters());
    out
}
