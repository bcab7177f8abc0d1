//! Checks configuration files with the rows of this crate alone: `check FILE...`. What other rooms bring is "not
//! supported yet" here.

use portcullis_config::env::Env;
use portcullis_config::files::LocalFiles;
use portcullis_config::{Registry, Rows, Severity, env_rows, gather, load, no_effect, render, rows};
use std::process::ExitCode;

fn main() -> ExitCode {
    let paths: Vec<_> = std::env::args_os().skip(1).map(Into::into).collect();
    let registry = Registry::new(vec![
        Rows { keywords: env_rows::ROWS, ..Rows::default() },
        Rows { keywords: no_effect::ROWS, ..Rows::default() },
        rows::rows(),
        rows::later(),
    ]);
    let sources = match gather(&paths, &LocalFiles) {
        Ok(sources) => sources,
        Err(e) => {
            eprintln!("{e}");
            return ExitCode::FAILURE;
        }
    };
    let loaded = load(&sources, &registry, &LocalFiles, &mut Env::of_process());
    eprint!("{}", render::all(&loaded.diags, Severity::Notice, std::process::id()));
    match loaded.diags.failed() {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}
