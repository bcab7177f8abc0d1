//! From the command line's files to a model, with what the command line says on top, and the verdict of `-c`.

use crate::options::Options;
use crate::progress::Progress;
use crate::{compose, say};
use portcullis_config::env::Env;
use portcullis_config::files::LocalFiles;
use portcullis_config::{
    DnsFamilies, Files, Global, Loaded, Manner, Model, Setting, Severity, gather, load_again, load_as,
    resolve,
};
use std::process::ExitCode;

/// Reads the configuration. Nothing is judged yet: [`verdict`] is for when the plan is made.
///
/// # Errors
/// The message, if a file cannot be read.
pub fn configuration(options: &Options) -> Result<Loaded, String> {
    let sources = gather(&options.files, &LocalFiles)?;
    let manner = Manner { global_only: false, dump: options.dump.map(|d| d.numbered) };
    let files = Progress::new(&LocalFiles, options.quiet);
    let mut loaded = load_as(manner, &sources, &compose::registry(), &files, &mut environment(options));
    drop(files);
    tell_overridden(&mut loaded, options);
    override_model(&mut loaded.model, options);
    resolve::servers(&mut loaded, &LocalFiles, options.ignore_resolution);
    portcullis_config::rows::global_reading::restore(&loaded.model.global);
    print!("{}", loaded.dump);
    Ok(loaded)
}

/// Reads the configuration for a process that runs with these settings already.
///
/// # Errors
/// The message, if a file cannot be read.
pub fn again(options: &Options, held: &[Setting], files: &dyn Files) -> Result<Loaded, String> {
    let sources = gather(&options.files, files)?;
    let mut loaded = load_again(held, &sources, &compose::registry(), files, &mut environment(options));
    override_model(&mut loaded.model, options);
    resolve::servers(&mut loaded, files, options.ignore_resolution);
    portcullis_config::rows::global_reading::restore(&loaded.model.global);
    Ok(loaded)
}

/// What a master has to know: the `global` settings alone. What is wrong is told by the worker that loads everything.
///
/// # Errors
/// The message, if a file cannot be read.
pub fn global(options: &Options) -> Result<Global, String> {
    let sources = gather(&options.files, &LocalFiles)?;
    let manner = Manner { global_only: true, dump: None };
    let registry = compose::registry();
    let mut loaded = load_as(manner, &sources, &registry, &LocalFiles, &mut environment(options));
    override_model(&mut loaded.model, options);
    Ok(loaded.model.global)
}

/// The environment that the configuration sees (manual section 2.3).
fn environment(options: &Options) -> Env {
    let mut env = Env::of_process();
    let files: Vec<String> = options.files.iter().map(|f| f.display().to_string()).collect();
    env.set("HAPROXY_CFGFILES", files.join(";").into_bytes());
    if options.master {
        env.set("HAPROXY_MWORKER", b"1".to_vec());
    }
    let peer = options.localpeer.clone().unwrap_or_else(portcullis_sys::process::hostname);
    env.set("HAPROXY_LOCALPEER", peer.into_bytes());
    env.unset(crate::master::STATE);
    env
}

/// What the configuration says in vain.
fn tell_overridden(loaded: &mut Loaded, options: &Options) {
    let vain = [
        (
            options.systemd && loaded.model.global.daemon,
            "'daemon' is not compatible with -Ws (master-worker mode for systemd), ignoring.",
        ),
        (
            options.pidfile.is_some() && loaded.model.global.pidfile.is_some(),
            "'pidfile' already specified (on the command line). Continuing.",
        ),
    ];
    for (_, text) in vain.into_iter().filter(|(said, _)| *said) {
        loaded.diags.late(Severity::Warning, None, text.to_owned());
    }
}

/// The command line has precedence over the configuration.
fn override_model(model: &mut Model, options: &Options) {
    let g = &mut model.global;
    g.maxconn = options.maxconn.or(g.maxconn);
    g.localpeer = options.localpeer.clone().or(g.localpeer.take());
    g.memory = options.memory;
    if let Some(path) = &options.pidfile {
        g.pidfile = Some(path.clone());
    }
    g.daemon = (g.daemon || options.daemon) && !options.foreground && !options.debug && !options.systemd;
    g.zero_warning |= options.no_warnings;
    if options.ipv4_only {
        g.dns_families = DnsFamilies::V4;
    }
    g.nosplice |= options.nosplice;
    g.noreuseport |= options.noreuseport;
    g.insecure_fork |= options.insecure_fork;
    let tls = g.ext.entry::<portcullis_tls::settings::GlobalTls>();
    tls.server_verify_none |= options.no_verify;
    tls.no_ktls |= options.no_ktls;
    g.quiet = (g.quiet || options.quiet) && !options.verbose;
    if options.proxy_maxconn.is_some() {
        for proxy in model.proxies.iter_mut().filter(|p| p.maxconn.is_none()) {
            proxy.maxconn = options.proxy_maxconn;
        }
    }
}

/// Tells what is wrong, and decides whether the configuration may be used.
///
/// # Errors
/// It may not.
pub fn verdict(loaded: &Loaded, options: &Options) -> Result<(), ExitCode> {
    let least = if options.diagnose { Severity::Diag } else { Severity::Notice };
    say::diagnostics(&loaded.diags, least);
    if loaded.diags.failed() {
        for f in &loaded.bad_files {
            say::alert(format!("config : Error(s) found in configuration file : {f}"));
        }
        say::alert("config : Fatal errors found in configuration.");
        return Err(ExitCode::FAILURE);
    }
    if warned(loaded) && loaded.model.global.zero_warning {
        say::alert("Some warnings were found and 'zero-warning' is set. Aborting.");
        return Err(ExitCode::FAILURE);
    }
    Ok(())
}

/// Are there warnings?
#[must_use]
pub fn warned(loaded: &Loaded) -> bool {
    loaded.diags.count(Severity::Warning) > 0
}
