//! `setenv`, `presetenv`, `unsetenv`, `resetenv` and `default-path` (manual section 3.1): they act while parsing.

use crate::cx::Cx;
use crate::model::DefaultPath;
use crate::row::{Does, Keyword, Row, Sections};
use crate::word::Line;

const fn row(
    name: &'static str,
    args: &'static str,
    help: &'static str,
    run: fn(&mut Cx<'_>, &Line),
) -> Keyword {
    Row { name, sections: Sections::GLOBAL, args, help, negatable: false, does: Does::Works(run) }
}

/// The rows.
pub const ROWS: &[Keyword] = &[
    row(
        "setenv",
        "<name> <value>",
        "Sets an environment variable for the rest of the configuration.",
        setenv,
    ),
    row("presetenv", "<name> <value>", "Sets an environment variable unless it is set already.", presetenv),
    row("unsetenv", "[<name> ...]", "Removes environment variables.", unsetenv),
    row("resetenv", "[<name> ...]", "Removes all environment variables but these.", resetenv),
    row(
        "default-path",
        "{ current | config | parent | origin <path> }",
        "Where relative file names begin.",
        default_path,
    ),
];

fn pair(cx: &mut Cx<'_>, line: &Line) -> Option<(String, Vec<u8>)> {
    match line.words.as_slice() {
        [_, name, value] => Some((name.str().into_owned(), value.text.clone())),
        [name, _, _, extra, ..] => {
            let text = format!("'{}' cannot handle unexpected argument '{}'.", name.str(), extra.str());
            cx.alert(Some(extra), text);
            None
        }
        _ => {
            let text = format!("'{}' expects a name and a value.", line.words[0].str());
            cx.alert(line.words.get(3), text);
            None
        }
    }
}

fn setenv(cx: &mut Cx<'_>, line: &Line) {
    if let Some((name, value)) = pair(cx, line) {
        cx.env.set(&name, value);
    }
}

fn presetenv(cx: &mut Cx<'_>, line: &Line) {
    if let Some((name, value)) = pair(cx, line)
        && cx.env.get(&name).is_none()
    {
        cx.env.set(&name, value);
    }
}

fn names(line: &Line) -> Vec<String> {
    line.words.iter().skip(1).map(|w| w.str().into_owned()).collect()
}

fn unsetenv(cx: &mut Cx<'_>, line: &Line) {
    let names = names(line);
    if names.is_empty() {
        cx.alert(line.word(0), "'unsetenv' expects at least one variable name.");
    }
    names.iter().for_each(|n| cx.env.unset(n));
}

fn resetenv(cx: &mut Cx<'_>, line: &Line) {
    cx.env.keep(&names(line));
}

fn default_path(cx: &mut Cx<'_>, line: &Line) {
    let words: Vec<_> = line.words.iter().skip(1).map(|w| w.str()).collect();
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    cx.model.default_path = match words.as_slice() {
        ["current", ..] => DefaultPath::Current,
        ["config", ..] => DefaultPath::Config,
        ["parent", ..] => DefaultPath::Parent,
        ["origin", path] => DefaultPath::Origin((*path).to_string()),
        _ => {
            cx.alert(
                line.word(1),
                "'default-path' expects 'current', 'config', 'parent', or 'origin <path>'.",
            );
            return;
        }
    };
}
