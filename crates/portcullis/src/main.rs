//! The Portcullis binary: reads like a process' life. The command line decides what it becomes: an answer on standard
//! output, a check, a process that serves, or a master with workers that do.

mod compose;
mod confinement;
mod cpus;
mod daemon;
mod dump;
mod explain;
mod keywords;
mod limits;
mod link;
mod load;
mod master;
mod mcli;
mod memory;
mod notify;
mod opener;
mod options;
mod progress;
mod reload;
mod say;
mod stop;
mod takeover;
mod version;
mod workers;

use options::{Options, Wrong};
use portcullis_config::env::Env;
use portcullis_config::{Word, condition, lexer};
use portcullis_sys::signals::{self, Signals, number};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: portcullis_sys::heap::Heap = portcullis_sys::heap::Heap;

/// Signals that mean something here.
const SIGNALS: &[i32] = &[
    number::SIGUSR1,
    number::SIGUSR2,
    number::SIGTERM,
    number::SIGINT,
    number::SIGHUP,
    number::SIGQUIT,
    number::SIGTTOU,
    number::SIGTTIN,
    number::SIGCHLD,
    // nothing is done then, which is not what it would be otherwise
    number::SIGALRM,
];

fn main() -> ExitCode {
    portcullis_sys::process::huge_pages(false);
    let program = master::Program::this();
    say::program(&program.path);
    let mut args = std::env::args().skip(1).peekable();
    if args.next_if(|a| a == "help").is_some() {
        return help(&args.collect::<Vec<_>>());
    }
    if let Some(command) = args.peek().and_then(|name| explain::command(name)) {
        return command(&args.skip(1).collect::<Vec<_>>());
    }
    let options = match options::parse(args) {
        Ok(options) => options,
        Err(Wrong::Usage) => return usage(),
        Err(Wrong::Message(text)) => {
            say::alert(text);
            return ExitCode::FAILURE;
        }
    };
    if let Some(print) = options.print {
        print!("{}", version::text(print));
        return ExitCode::SUCCESS;
    }
    if let Some(text) = &options.condition {
        return evaluate(text);
    }
    if options.files.is_empty() {
        return usage();
    }
    if options.memory.is_some()
        && let Some(why) = limits::allocate_as_needed(&program.path)
    {
        say::warning(format!("[haproxy.main()] Cannot start again for -m : {why}"));
    }
    run(&options, &program)
}

fn run(options: &Options, program: &master::Program) -> ExitCode {
    say::set_quiet(options.quiet);
    if let Some(directory) = &options.directory
        && let Err(e) = std::env::set_current_dir(directory)
    {
        let text = e.to_string();
        let why = text.split(" (os error").next().unwrap_or_default();
        say::alert(format!("Could not change to directory {} : {why}", directory.display()));
        return ExitCode::FAILURE;
    }
    for name in &options.repeated {
        say::warning(format!("{name} option already set, overwriting the value"));
    }
    for (name, why) in &options.ignored {
        say::notice(format!("'{name}' is accepted but has no effect: {why}."));
    }
    if !options.master && !options.master_sockets.is_empty() {
        say::alert("a master CLI socket was defined, but master-worker mode (-W) is not enabled.");
        return ExitCode::FAILURE;
    }
    // who wants to see the configuration does not want it to run
    if options.check || options.dump.is_some() {
        return workers::check(options);
    }
    signals::die_of_faults();
    let signals = match Signals::take(SIGNALS) {
        Ok(signals) => signals,
        Err(e) => {
            say::alert(format!("[haproxy.main()] Cannot take signals : {e}"));
            return ExitCode::FAILURE;
        }
    };
    match options.master {
        true => master::run(options, program, &signals),
        false => workers::run(options, &signals, None),
    }
}

/// As HAProxy: the version and the usage text, and a failure.
fn usage() -> ExitCode {
    let name = std::env::args().next().unwrap_or_else(|| "portcullis".into());
    let name = name.rsplit('/').next().unwrap_or_default();
    print!("{}{}", version::short(), options::usage(name));
    ExitCode::FAILURE
}

/// `portcullis help ...`: about keywords.
fn help(args: &[String]) -> ExitCode {
    match keywords::help(&compose::registry(), args) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

/// `-cc`: 0 true, 1 false, 2 wrong.
fn evaluate(text: &str) -> ExitCode {
    let env = Env::of_process();
    // as a line of a file: split into words, variables replaced
    let text = match lexer::split(text.as_bytes(), &env) {
        Ok(words) => words.iter().map(Word::str).collect::<Vec<_>>().join(" "),
        Err(_) => text.to_string(),
    };
    match condition::evaluate(&text, &env) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(e) => {
            say::alert(format!("Failed to evaluate condition: {}", e.message));
            ExitCode::from(2)
        }
    }
}
