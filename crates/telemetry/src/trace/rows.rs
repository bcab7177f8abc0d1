//! `traces` sections (configuration manual 12.1): their lines are `trace` commands, followed in their order.

use super::command::{self, Said};
use super::source::Source;
use super::state::Traces;
use portcullis_config::rows::value;
use portcullis_config::{Cx, Does, Keyword, Line, Place, Row, Rows, Sections};

/// The rows of this file.
const ROWS: &[Keyword] = &[
    row("traces", "", "Traces that begin with the process.", |cx, line| {
        value::no_more(cx, line, 1);
    }),
    row("trace", "[<source> [<args...>]]", "What is traced, and where to.", trace),
];

const fn row(
    name: &'static str,
    args: &'static str,
    help: &'static str,
    works: fn(&mut Cx<'_>, &Line),
) -> Keyword {
    Row { name, sections: Sections::TRACES, args, help, negatable: false, does: Does::Works(works) }
}

/// The keywords of this room.
#[must_use]
pub fn rows() -> Rows {
    Rows { keywords: ROWS, ..Rows::default() }
}

/// What the sections of a configuration say.
#[derive(Clone, Debug, Default)]
pub struct Section {
    /// What comes of them.
    pub traces: Traces,
    /// The sinks that they name, and where; not all of them may be there.
    pub sinks: Vec<(Place, String)>,
}

fn trace(cx: &mut Cx<'_>, line: &Line) {
    let words: Vec<String> = line.words.iter().skip(1).map(|w| w.str().into_owned()).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let section: &mut Section = cx.global_ext();
    // which sinks there are is known when the process starts
    let said = command::run(&mut section.traces, &words, &Vec::new);
    let named = Source::ALL.iter().filter_map(|s| section.traces.of(*s).sink.clone());
    for sink in named.collect::<Vec<_>>() {
        if !section.sinks.iter().any(|(_, known)| *known == sink) {
            section.sinks.push((line.place(), sink));
        }
    }
    match said {
        Said::Nothing => {}
        Said::Text(text) => {
            cx.warn(line.word(0), format!("'trace': {text}"));
        }
        Said::Stopped(text) => {
            cx.notice(line.word(0), format!("'trace': {text}"));
        }
        Said::Wrong(text) => {
            cx.alert(line.word(0), text);
        }
    }
}
