//! `portcullis explain` and `portcullis test`: what a configuration makes of requests, without serving. The request goes
//! through a session of the data plane (`portcullis_proxy::explain`); here it is read from the command line or a file,
//! and what came of it is told or compared. `docs/explain.md` is for users.

mod case;
mod cases;
mod compare;
mod expanded;
mod tell;

use crate::options::Options;
use crate::workers;
use case::Case;
use portcullis_config::files::LocalFiles;
use portcullis_proxy::explain::{Told, ask};
use portcullis_proxy::plan::Plan;
use portcullis_proxy::process::Process;
use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// A configuration that requests are sent through.
pub struct Loaded {
    plan: Arc<Plan>,
    process: Arc<Process>,
    /// Names of the files, by number.
    files: Vec<String>,
    /// Their lines.
    lines: HashMap<String, Vec<String>>,
}

impl Loaded {
    /// Reads it, and makes the plan as a start would.
    ///
    /// # Errors
    /// It may not be used; that was told.
    fn read(files: Vec<PathBuf>) -> Result<Self, ExitCode> {
        let options = Options { files, ignore_resolution: true, check: true, ..Options::default() };
        let mut loaded = workers::load_model(&options)?;
        // the request is asked in HTTP/1, whatever a listener wants its connections to begin with
        loaded.model.proxies.iter_mut().flat_map(|p| &mut p.binds).for_each(|bind| bind.proto = None);
        let (plan, process, _) = workers::compile(&mut loaded, &options, false)?;
        let sources = portcullis_config::gather(&options.files, &LocalFiles).unwrap_or_default();
        let text = |s: &portcullis_config::SourceFile| {
            String::from_utf8_lossy(&s.text).lines().map(str::to_owned).collect()
        };
        let lines = sources.iter().map(|s| (s.name.clone(), text(s))).collect();
        Ok(Self { plan, process, files: loaded.diags.files.clone(), lines })
    }

    /// Sends a request through it.
    ///
    /// # Errors
    /// Why it cannot be sent.
    fn send(&self, case: &Case) -> Result<Told, String> {
        let question = case.question(&self.plan)?;
        ask(&self.process, &self.plan, &question).map_err(|e| e.to_string())
    }

    /// A line's file and text.
    fn line(&self, place: portcullis_config::Place) -> (&str, &str) {
        let file = self.files.get(place.file.0 as usize).map_or("", String::as_str);
        let lines = self.lines.get(file).map_or(&[][..], Vec::as_slice);
        let text = (place.line as usize).checked_sub(1).and_then(|i| lines.get(i)).map_or("", |l| l.trim());
        (file, text)
    }
}

const EXPLAIN: &str = "\
Usage : portcullis explain -f <file> [-f <file>]* '[METHOD] <URL>' [option]*
Shows what a configuration makes of a request: rules, backend, server, what the server and the client would get.
        -H, --header 'Name: value'    a field of the request; may be repeated
        -d, --body <text>             its body
        --src <ip>[:<port>]           the client's address (127.0.0.1)
        --dst <ip>[:<port>]           the address that it connects to
        --frontend <name>             by which frontend it comes
        --response <status>           what the server answers (200)
        --response-header 'Name: v'   a field of its response; may be repeated
        --response-body <text>        its body
        -a, --all                     rules that do not match, too
";

const TEST: &str = "\
Usage : portcullis test <file.yaml>*
Sends the requests of these files through their configurations, and compares what comes of them with what they expect.
";

/// `portcullis explain ...`
pub fn explain(args: &[String]) -> ExitCode {
    let asked = match read_arguments(args) {
        Ok(asked) => asked,
        Err(why) => {
            eprint!("{why}{}{EXPLAIN}", if why.is_empty() { "" } else { "\n" });
            return ExitCode::FAILURE;
        }
    };
    let loaded = match Loaded::read(asked.files) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    match loaded.send(&asked.case) {
        Ok(told) => {
            print!("{}", tell::text(&loaded, &asked.case, &told, asked.all));
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// `portcullis test ...`
pub fn test(args: &[String]) -> ExitCode {
    if args.is_empty() || args.iter().any(|a| a.starts_with('-')) {
        eprint!("{TEST}");
        return ExitCode::FAILURE;
    }
    let (mut passed, mut failed) = (0, 0);
    for file in args {
        let cases = match cases::read(file) {
            Ok(cases) => cases,
            Err(why) => {
                eprintln!("{file}: {why}");
                return ExitCode::FAILURE;
            }
        };
        let loaded = match Loaded::read(cases.config) {
            Ok(loaded) => loaded,
            Err(code) => return code,
        };
        for (case, expected) in &cases.list {
            let wrong = match loaded.send(case) {
                Ok(told) => compare::wrong(&loaded, expected, &told),
                Err(why) => vec![why],
            };
            match wrong.is_empty() {
                true => passed += 1,
                false => failed += 1,
            }
            println!("{} {file}: {}", if wrong.is_empty() { "ok    " } else { "FAILED" }, case.name);
            wrong.iter().for_each(|w| println!("       {w}"));
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What the command line of `explain` asks for.
#[derive(Debug, Default)]
struct Asked {
    files: Vec<PathBuf>,
    case: Case,
    all: bool,
}

fn read_arguments(args: &[String]) -> Result<Asked, String> {
    let mut asked = Asked::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().cloned().ok_or_else(|| format!("'{arg}' wants a value."));
        let case = &mut asked.case;
        match arg.as_str() {
            "-f" => asked.files.push(value()?.into()),
            "-a" | "--all" => asked.all = true,
            "-H" | "--header" => case.fields.push(case::field(&value()?)?),
            "-d" | "--body" => case.body = value()?.into_bytes(),
            "--src" => case.source = Some(case::address(&value()?)?),
            "--dst" => case.destination = Some(case::address(&value()?)?),
            "--frontend" => case.frontend = Some(value()?),
            "--response" => case.canned.status = case::status(&value()?)?,
            "--response-header" => {
                let (name, value) = case::field(&value()?)?;
                case.canned.fields.push((name.into_bytes(), value.into_bytes()));
            }
            "--response-body" => case.canned.body = value()?.into_bytes(),
            _ if arg.starts_with('-') => return Err(format!("There is no option '{arg}'.")),
            request if case.url.is_empty() => case.set_request(request),
            // METHOD and URL as two words
            url if !case.url.contains("://") && !case.url.starts_with('/') => {
                case.method = std::mem::take(&mut case.url);
                case.url = url.to_owned();
            }
            extra => return Err(format!("'{extra}' is one word too many.")),
        }
    }
    if asked.files.is_empty() || asked.case.url.is_empty() {
        return Err(String::new());
    }
    Ok(asked)
}

/// The `explain` and `test` of the command line, if that is what it begins with.
pub fn command(name: &str) -> Option<fn(&[String]) -> ExitCode> {
    match name {
        "explain" => Some(explain),
        "test" => Some(test),
        _ => None,
    }
}
