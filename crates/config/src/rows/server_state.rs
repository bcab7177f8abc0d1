//! Where the state of servers is read from: `server-state-file`, `server-state-base` (manual section 3.1),
//! `load-server-state-from-file`, `server-state-file-name` (section 4.2). The file itself: [`crate::saved`].

use super::value;
use crate::cx::Cx;
use crate::diag::{Diagnostics, Severity};
use crate::model::{LoadState, Model};
use crate::row::{Does, Keyword, Sections};
use crate::word::Line;

macro_rules! row {
    ($name:literal, $sections:expr, $args:literal, $works:expr, $help:literal) => {
        Keyword {
            name: $name,
            sections: $sections,
            args: $args,
            help: $help,
            negatable: false,
            does: Does::Works($works),
        }
    };
}

/// The rows of this file.
pub const ROWS: &[Keyword] = &[
    row!(
        "load-server-state-from-file",
        Sections::BACK,
        "{ global | local | none }",
        load,
        "Which state file the servers begin with."
    ),
    row!(
        "server-state-base",
        Sections::GLOBAL,
        "<directory>",
        |cx, line| {
            let said = cx.model.global.server_state_base.is_some();
            if value::again(cx, line, said, "'server-state-base'") {
                return;
            }
            if let Some(dir) = path(cx, line, "'server-state-base' expects one argument: a directory path.") {
                cx.model.global.server_state_base = Some(dir);
            }
        },
        "The directory of state files."
    ),
    row!(
        "server-state-file",
        Sections::GLOBAL,
        "<file>",
        |cx, line| {
            let missing = "'server-state-file' expect one argument: a file path.";
            let Some(file) = path(cx, line, missing) else { return };
            match cx.model.global.server_state_file {
                // HAProxy says so and goes on with the first
                Some(_) => {
                    let text = "'server-state-file' already specified. Continuing.";
                    cx.alert(line.word(0), text).harmless();
                }
                None => cx.model.global.server_state_file = Some(file),
            }
        },
        "The state file of all servers."
    ),
    row!(
        "server-state-file-name",
        Sections::BACK,
        "[ { use-backend-name | <file> } ]",
        |cx, line| {
            if !value::no_more(cx, line, 2) {
                return;
            }
            let name = line.word(1).filter(|w| !w.text.is_empty() && !w.is("use-backend-name"));
            cx.proxy().state_file = name.map(|w| w.str().into_owned());
        },
        "The state file of this backend's servers."
    ),
];

fn path(cx: &mut Cx<'_>, line: &Line, missing: &str) -> Option<String> {
    let word = line.word(1).filter(|w| !w.text.is_empty());
    if word.is_none() {
        cx.alert(line.words.last(), missing);
    }
    word.map(|w| w.str().into_owned())
}

fn load(cx: &mut Cx<'_>, line: &Line) {
    let text = line.word(1).map(|w| w.str().into_owned()).unwrap_or_default();
    cx.proxy().load_state = match text.as_str() {
        "global" => LoadState::Global,
        "local" => LoadState::Local,
        "none" => LoadState::None,
        _ => {
            let message =
                format!("'load-server-state-from-file' expects 'global', 'local' or 'none'. Got '{text}'");
            cx.alert(line.words.last(), message);
            return;
        }
    };
}

/// What can only be judged when everything was read.
pub fn check(model: &Model, diags: &mut Diagnostics) {
    if model.global.server_state_file.is_some() {
        return;
    }
    let wanted = |p: &&crate::model::Proxy| p.kind.back() && !p.disabled && p.load_state == LoadState::Global;
    for p in model.proxies.iter().filter(wanted) {
        let text = format!(
            "backend '{}' configured to load server state file from global section 'server-state-file' directive. \
             Unfortunately, 'server-state-file' is not set!",
            p.name
        );
        diags.late(Severity::Warning, None, text);
    }
}
