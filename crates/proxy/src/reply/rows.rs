//! Keywords: `errorfile`, `errorfiles`, `errorloc*`, `http-error`, and the `http-errors` section.

use super::codes;
use super::page::Page;
use super::pages::{self, ErrorPages, Say, Section, Source};
use super::spec::{Content, Of, Spec};
use crate::rules::lang::{At, Parsing};
use crate::rules::number;
use portcullis_config::{Cx, DefaultPath, Does, Keyword, Line, Sections, Severity, Word};
use std::path::PathBuf;
use std::sync::Arc;

/// The rows.
pub const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "errorfile",
        sections: Sections::PROXY.union(Sections::HTTP_ERRORS),
        args: "<code> <file>",
        help: "Returns a file's content instead of an error page of the proxy.",
        negatable: false,
        does: Does::Works(errorfile),
    },
    Keyword {
        name: "errorfiles",
        sections: Sections::PROXY,
        args: "<name> [<code> ...]",
        help: "Imports the error pages of an http-errors section.",
        negatable: false,
        does: Does::Works(errorfiles),
    },
    Keyword {
        name: "errorloc",
        sections: Sections::PROXY,
        args: "<code> <url>",
        help: "Redirects (302) to a URL instead of returning an error page.",
        negatable: false,
        does: Does::Works(errorloc),
    },
    Keyword {
        name: "errorloc302",
        sections: Sections::PROXY,
        args: "<code> <url>",
        help: "Redirects (302) to a URL instead of returning an error page.",
        negatable: false,
        does: Does::Works(errorloc),
    },
    Keyword {
        name: "errorloc303",
        sections: Sections::PROXY,
        args: "<code> <url>",
        help: "Redirects (303) to a URL instead of returning an error page.",
        negatable: false,
        does: Does::Works(errorloc),
    },
    Keyword {
        name: "http-error",
        sections: Sections::PROXY,
        args: "status <code> [content-type <type>] [{ default-errorfiles | errorfile <file> | errorfiles <name> | \
               file <file> | lf-file <file> | string <str> | lf-string <fmt> }] [hdr <name> <fmt>]*",
        help: "Defines what is returned instead of an error page of the proxy.",
        negatable: false,
        does: Does::Works(http_error),
    },
    Keyword {
        name: "http-errors",
        sections: Sections::HTTP_ERRORS,
        args: "<name>",
        help: "Opens a section with a group of error pages.",
        negatable: false,
        does: Does::Works(http_errors),
    },
];

/// A file name as the configuration means it (`default-path` applied).
pub(crate) fn path(cx: &Cx<'_>, word: &Word) -> PathBuf {
    file_path(cx, &word.str())
}

/// The same for a name that is text already.
pub(crate) fn file_path(cx: &Cx<'_>, name: &str) -> PathBuf {
    let name = PathBuf::from(name);
    if name.is_absolute() {
        return name;
    }
    let file = cx.diags.files.get(cx.line.file.0 as usize).map(PathBuf::from).unwrap_or_default();
    let directory = file.parent().map(PathBuf::from).unwrap_or_default();
    match &cx.model.default_path {
        DefaultPath::Current => name,
        DefaultPath::Config => directory.join(name),
        DefaultPath::Parent => directory.join("..").join(name),
        DefaultPath::Origin(origin) => PathBuf::from(origin).join(name),
    }
}

/// Reads a whole response from a file.
pub(crate) fn read_page(cx: &mut Cx<'_>, word: &Word) -> Result<Page, String> {
    let name = word.str().into_owned();
    let read = cx.files.read(&path(cx, word));
    let raw = read.map_err(|_| format!("error opening file '{name}'."))?;
    let limit = cx.model.global.tune.bufsize;
    if raw.len() > limit {
        cx.diags.add(
            Severity::Warning,
            Some(cx.line.place()),
            format!("custom error message file '{name}' larger than {limit} bytes. Truncating."),
        );
        return Err(format!("'{name}': unable to add payload into the HTX message"));
    }
    Page::parse(&raw).map_err(|why| format!("'{name}': {why}"))
}

fn status_index(cx: &mut Cx<'_>, keyword: &str, word: &Word) -> Option<usize> {
    let status = number::leading(&word.text);
    let index = u16::try_from(status).ok().and_then(codes::index);
    if index.is_none() {
        cx.alert(Some(word), format!("{keyword} : status code '{status}' not handled."))
            .hint("error pages exist for 200, 400, 401, 403, 404, 405, 407, 408, 410, 413, 414, 421, 422, 425, 429, 431, 500, 501, 502, 503 and 504");
    }
    index
}

fn errorfile(cx: &mut Cx<'_>, line: &Line) {
    let (Some(code), Some(file)) = (line.word(1), line.word(2)) else {
        let in_section = cx.section.contains(Sections::HTTP_ERRORS);
        let colon = if in_section { ":" } else { " :" };
        cx.alert(None, format!("errorfile{colon} expects <status_code> and <file> as arguments."));
        return;
    };
    let in_section = cx.section.contains(Sections::HTTP_ERRORS);
    if !in_section && let Some(extra) = line.word(3) {
        cx.alert(Some(extra), "errorfile : expects exactly two arguments.");
        return;
    }
    let Some(index) = status_index(cx, "errorfile", code) else { return };
    let page = match read_page(cx, file) {
        Ok(page) => Arc::new(page),
        Err(why) => {
            cx.alert(Some(file), format!("errorfile : {why}"));
            return;
        }
    };
    if !in_section {
        cx.ext::<ErrorPages>().say(Some(index), Say::Source(Source::Page(page)));
        return;
    }
    let sections = cx.model.ext.entry::<pages::Sections>();
    if let Some(slot) = sections.list.last_mut().and_then(|s| s.pages.get_mut(index)) {
        *slot = Some(page);
    }
}

fn errorfiles(cx: &mut Cx<'_>, line: &Line) {
    let Some(name) = line.word(1) else {
        cx.alert(None, "errorfiles : expects <name> as argument.");
        return;
    };
    let mut statuses = Vec::new();
    for word in line.args(2) {
        match status_index(cx, "errorfiles", word) {
            Some(index) => statuses.push(index),
            None => return,
        }
    }
    let section = pages::refer(cx, &name.str(), false);
    let own = cx.ext::<ErrorPages>();
    if statuses.is_empty() {
        own.say(None, Say::Section(section));
        return;
    }
    for index in statuses {
        own.say(Some(index), Say::Section(section.clone()));
    }
}

fn errorloc(cx: &mut Cx<'_>, line: &Line) {
    let keyword = line.word(0).map(|w| w.str().into_owned()).unwrap_or_default();
    let (Some(code), Some(url)) = (line.word(1), line.word(2)) else {
        cx.alert(None, format!("{keyword} : expects <status_code> and <url> as arguments."));
        return;
    };
    if let Some(extra) = line.word(3) {
        cx.alert(Some(extra), format!("{keyword} : expects exactly two arguments."));
        return;
    }
    let Some(index) = status_index(cx, &keyword, code) else { return };
    let status = if keyword == "errorloc303" { 303 } else { 302 };
    let page = Arc::new(Page::redirect(status, &url.text));
    cx.ext::<ErrorPages>().say(Some(index), Say::Source(Source::Page(page)));
}

fn http_error(cx: &mut Cx<'_>, line: &Line) {
    if !line.word(1).is_some_and(|w| w.is("status")) {
        cx.alert(line.word(1), "http-error : expects at least a <status> as arguments.");
        return;
    }
    let mut p = Parsing::new(cx, line.args(1), At::HttpError);
    let spec = Spec::parse(&mut p, Of::HttpError, 0);
    let rest = p.args.peek();
    let spec = match spec {
        Ok(spec) => spec,
        Err(why) => {
            cx.alert(None, format!("http-error : {why}"));
            return;
        }
    };
    if let Some(word) = rest {
        cx.alert(Some(word), format!("http-error : unknown keyword '{}'.", word.str()));
        return;
    }
    let Some(index) = codes::index(spec.status) else {
        cx.alert(line.word(2), format!("http-error: status code '{}' not handled.", spec.status));
        return;
    };
    let what = match spec.content {
        Content::Default => Say::Reset,
        Content::Page(page) => Say::Source(Source::Page(page)),
        Content::Section(section) => Say::Section(section),
        _ => Say::Source(Source::Spec(Arc::new(spec))),
    };
    cx.ext::<ErrorPages>().say(Some(index), what);
}

/// The line that opens an `http-errors` section.
fn http_errors(cx: &mut Cx<'_>, line: &Line) {
    let Some(name) = line.word(1) else {
        cx.alert(None, "missing name for http-errors section.");
        return;
    };
    let text = name.str().into_owned();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '_' | '-');
    if let Some(bad) = text.chars().find(|c| !allowed(*c)) {
        cx.alert(Some(name), format!("character '{bad}' is not permitted in 'http-errors' name '{text}'."));
        return;
    }
    let before =
        cx.model.ext.entry::<pages::Sections>().list.iter().find(|s| s.name == text).map(|s| s.place);
    if let Some(before) = before {
        let file = cx.diags.files.get(before.file.0 as usize).cloned().unwrap_or_default();
        let declared = format!("{file}:{}", before.line);
        cx.alert(
            Some(name),
            format!("http-errors section '{text}' already exists (declared at {declared})."),
        );
        return;
    }
    let section = Section { name: text, place: line.place(), pages: vec![None; pages::COUNT] };
    cx.model.ext.entry::<pages::Sections>().list.push(section);
}
