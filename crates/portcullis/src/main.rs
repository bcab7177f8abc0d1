//! The Portcullis binary.

mod compose;
mod keywords;

use portcullis_config::env::Env;
use portcullis_config::files::LocalFiles;
use portcullis_config::{Severity, condition, render};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    portcullis_sys::process::no_huge_pages();
    let mut files: Vec<PathBuf> = Vec::new();
    let (mut check, mut verbose, mut quiet, mut strict, mut lenient) = (false, false, false, false, false);
    let mut args = std::env::args().skip(1);
    let mut classes = None;
    while let Some(a) = args.next() {
        match a.as_str() {
            "-f" => files.extend(args.next().map(PathBuf::from)),
            "--" => files.extend(args.by_ref().map(PathBuf::from)),
            "-c" => check = true,
            "-V" => verbose = true,
            "-q" => quiet = true,
            "-dW" => strict = true,
            "-dr" => lenient = true,
            "help" => return help(args.collect()),
            a if a.starts_with("-dK") => classes = a.get(3..).map(str::to_owned),
            "-v" | "-vv" => {
                println!("HAProxy version {} - https://haproxy.org/", portcullis_config::VERSION);
                println!("Portcullis version {}", env!("CARGO_PKG_VERSION"));
                return ExitCode::SUCCESS;
            }
            "-cc" => {
                let text = args.next().unwrap_or_default();
                return match condition::evaluate(&text, &Env::of_process()) {
                    Ok(true) => ExitCode::SUCCESS,
                    Ok(false) => ExitCode::from(1),
                    Err(e) => {
                        eprintln!(
                            "[ALERT]    ({}) : Failed to evaluate condition: {}",
                            std::process::id(),
                            e.message
                        );
                        ExitCode::from(2)
                    }
                };
            }
            _ => {}
        }
    }
    let pid = std::process::id();
    if let Some(classes) = classes {
        match keywords::dump(&compose::registry(), &classes) {
            Ok(text) => print!("{text}"),
            Err(e) => eprintln!("{e}"),
        }
    }
    let sources = match portcullis_config::gather(&files, &LocalFiles) {
        Ok(s) => s,
        Err(e) => {
            eprintln!("[ALERT]    ({pid}) : {e}");
            return ExitCode::FAILURE;
        }
    };
    let mut loaded = compose::load(&sources, &mut Env::of_process());
    portcullis_config::resolve::servers(&mut loaded, &LocalFiles, lenient);
    let descriptors =
        rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(1 << 20);
    let process = compose::process(&loaded.model, descriptors);
    let plan = compose::plan(&loaded.model, &process, &mut loaded.diags);
    if !quiet {
        eprint!("{}", render::all(&loaded.diags, Severity::Notice, pid));
    }
    if loaded.diags.failed() {
        for f in &loaded.bad_files {
            eprintln!("[ALERT]    ({pid}) : config : Error(s) found in configuration file : {f}");
        }
        eprintln!("[ALERT]    ({pid}) : config : Fatal errors found in configuration.");
        return ExitCode::FAILURE;
    }
    let warned = loaded.diags.count(Severity::Warning) > 0;
    if warned && (strict || loaded.model.global.zero_warning) {
        eprintln!("[ALERT]    ({pid}) : Some warnings were found and 'zero-warning' is set. Aborting.");
        return ExitCode::FAILURE;
    }
    if check {
        if warned {
            println!("Warnings were found.");
        }
        if verbose {
            println!("Configuration file is valid");
        }
        return ExitCode::SUCCESS;
    }
    let bound = match portcullis_proxy::start::bind(&plan) {
        Ok(b) => b,
        Err(all) => {
            for e in all {
                eprintln!("[ALERT]    ({pid}) : {e}");
            }
            eprintln!(
                "[ALERT]    ({pid}) : [haproxy.main()] Some protocols failed to start their listeners! Exiting."
            );
            return ExitCode::FAILURE;
        }
    };
    match portcullis_proxy::start::start(&plan, process, bound, Arc::new(|_| {})) {
        Ok(_running) => loop {
            std::thread::park();
        },
        Err(e) => {
            eprintln!("[ALERT]    ({pid}) : {e}");
            ExitCode::FAILURE
        }
    }
}

/// `portcullis help ...`
fn help(args: Vec<String>) -> ExitCode {
    match keywords::help(&compose::registry(), &args) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}
