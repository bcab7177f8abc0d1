//! The language of `trace` and `show trace`, the same on the Runtime API and in `traces` sections.

use super::source::{Criterion, Level, Source};
use super::state::{State, Traces};
use std::fmt::Write;

/// What a command has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// Nothing.
    Nothing,
    /// A list of what may follow.
    Text(String),
    /// That all traces are stopped.
    Stopped(&'static str),
    /// What is wrong with it.
    Wrong(String),
}

/// A sink as lists show it: name and description.
pub type Sink = (String, String);

type Does = fn(&mut Traces, Of, Option<&str>, &dyn Fn() -> Vec<Sink>) -> Result<(), Said>;

/// Whose: one source's, or everybody's.
type Of = Option<Source>;

/// A word behind the source.
struct Word {
    name: &'static str,
    help: &'static str,
    /// It may be said of all sources.
    of_all: bool,
    does: Does,
}

const WORDS: &[Word] = &[
    Word {
        name: "event",
        help: "list/enable/disable source-specific event reporting",
        of_all: false,
        does: |t, s, w, _| events(t, s, w, false, |s| &mut s.report),
    },
    Word { name: "level", help: "list/set trace reporting level", of_all: true, does: level },
    Word { name: "lock", help: "automatic lock on thread/connection/stream/...", of_all: false, does: lock },
    Word {
        name: "follow",
        help: "passively follow another source's locked pointer (e.g. session)",
        of_all: true,
        does: follow,
    },
    Word {
        name: "pause",
        help: "pause and automatically restart after a specific event",
        of_all: false,
        does: |t, s, w, _| match w {
            Some("now") => now(t, s, State::pause_now),
            w => events(t, s, w, true, |s| &mut s.pause),
        },
    },
    Word { name: "sink", help: "list/set event sinks", of_all: true, does: sink },
    Word {
        name: "start",
        help: "start immediately or after a specific event",
        of_all: false,
        does: |t, s, w, _| match w {
            Some("now") => now(t, s, State::start_now),
            w => {
                events(t, s, w, true, |s| &mut s.start)?;
                now(t, s, State::expect)
            }
        },
    },
    Word {
        name: "stop",
        help: "stop immediately or after a specific event",
        of_all: false,
        does: |t, s, w, _| match w {
            Some("now") => now(t, s, State::stop_now),
            w => events(t, s, w, true, |s| &mut s.stop),
        },
    },
    Word { name: "verbosity", help: "list/set trace output verbosity", of_all: false, does: verbosity },
];

/// Follows the words behind `trace`. `sinks`: what there is to write to beside `none`; a sink that is not there is wrong
/// unless `sinks` is empty (nobody knows yet).
#[must_use]
pub fn run(traces: &mut Traces, words: &[&str], sinks: &dyn Fn() -> Vec<Sink>) -> Said {
    match followed(traces, words, sinks) {
        Ok(()) => Said::Nothing,
        Err(said) => said,
    }
}

fn followed(traces: &mut Traces, words: &[&str], sinks: &dyn Fn() -> Vec<Sink>) -> Result<(), Said> {
    let Some((name, rest)) = words.split_first().filter(|(n, _)| !n.is_empty()) else {
        return Err(Said::Text(traces.menu()));
    };
    let source = match *name {
        "0" => {
            traces.stop_all();
            return Err(Said::Stopped("All traces now stopped"));
        }
        "all" => None,
        name => Some(Source::wanted(name).map_err(Said::Wrong)?),
    };
    if rest.is_empty() {
        let lines = WORDS.iter().map(|w| format!("  {:<10}: {}\n", w.name, w.help));
        return Err(Said::Text(format!("Supported commands:\n{}", lines.collect::<String>())));
    }
    let mut at = 0;
    while let Some(word) = rest.get(at) {
        let known = WORDS.iter().find(|w| w.name == *word);
        let known = known.ok_or_else(|| Said::Wrong(format!("Unknown trace keyword '{word}'")))?;
        if source.is_none() && !known.of_all {
            return Err(Said::Wrong(format!("'{word}' not applicable to meta-source 'all'")));
        }
        (known.does)(traces, source, rest.get(at + 1).copied(), sinks)?;
        at += 2;
    }
    Ok(())
}

/// Does something to a source, or to every one.
fn each(traces: &mut Traces, of: Of, change: impl Fn(Source, &mut State)) -> Result<(), Said> {
    let all = of.as_ref().map_or(Source::ALL, std::slice::from_ref);
    all.iter().for_each(|s| change(*s, traces.of_mut(*s)));
    Ok(())
}

fn now(traces: &mut Traces, of: Of, change: fn(&mut State)) -> Result<(), Said> {
    each(traces, of, |_, s| change(s))
}

fn events(
    traces: &mut Traces,
    of: Of,
    word: Option<&str>,
    has_now: bool,
    mask: fn(&mut State) -> &mut u64,
) -> Result<(), Said> {
    let Some(source) = of else { return Ok(()) };
    let table = source.table();
    let mask = mask(traces.of_mut(source));
    let Some(word) = word else {
        let mut text = format!("Supported events for source {} (+=enabled, -=disabled):\n", table.name);
        let now = has_now.then_some(("now", "don't wait for events, immediately change the state"));
        let first = [("none", "disable all event types"), ("any", "enable all event types")];
        for (name, what) in now.into_iter().chain(first) {
            let _ = writeln!(text, "  - {name:<12} : {what}");
        }
        for (at, (name, what)) in table.events.iter().enumerate() {
            let sign = if *mask & (1 << at) == 0 { '-' } else { '+' };
            let _ = writeln!(text, "  {sign} {name:<12} : {what}");
        }
        return Err(Said::Text(text));
    };
    let (off, name) = match word.strip_prefix(['-', '!']) {
        Some(name) => (true, name),
        None => (false, word.strip_prefix('+').unwrap_or(word)),
    };
    let bits = match name {
        "any" => u64::MAX,
        "none" => {
            *mask = 0;
            return Ok(());
        }
        name => match table.events.iter().position(|(n, _)| *n == name) {
            Some(at) => 1 << at,
            None => return Err(Said::Wrong(format!("No such trace event '{word}'"))),
        },
    };
    *mask = if off { *mask & !bits } else { *mask | bits };
    Ok(())
}

/// A list whose present entry has a star.
fn starred(title: &str, entries: impl Iterator<Item = (&'static str, &'static str, bool)>) -> String {
    let mut text = format!("{title}:\n");
    for (name, what, current) in entries {
        let star = if current { '*' } else { ' ' };
        let _ = writeln!(text, "  {star} {name:<10} : {what}");
    }
    text
}

fn name_of(of: Of) -> &'static str {
    of.map_or("all", Source::name)
}

fn level(traces: &mut Traces, of: Of, word: Option<&str>, _: &dyn Fn() -> Vec<Sink>) -> Result<(), Said> {
    if let Some(level) = word.and_then(Level::named) {
        return each(traces, of, |_, s| s.level = level);
    }
    let current = of.map(|s| traces.of(s).level);
    let title = format!("Supported trace levels for source {}", name_of(of));
    let list = starred(&title, Level::ALL.iter().map(|(l, name, what)| (*name, *what, Some(*l) == current)));
    Err(listed(word, "trace level", list))
}

/// The list alone, or behind what there is not.
fn listed(word: Option<&str>, what: &str, list: String) -> Said {
    match word {
        None => Said::Text(list),
        Some(word) => Said::Wrong(format!("No such {what} '{word}'. {}", list.trim_end_matches('\n'))),
    }
}

fn verbosity(traces: &mut Traces, of: Of, word: Option<&str>, _: &dyn Fn() -> Vec<Sink>) -> Result<(), Said> {
    let Some(source) = of else { return Ok(()) };
    let found = word.and_then(|w| source.verbosities().position(|(name, _)| name == w));
    if let Some(at) = found {
        traces.of_mut(source).verbosity = u8::try_from(at).unwrap_or(u8::MAX);
        return Ok(());
    }
    let current = usize::from(traces.of(source).verbosity);
    let title = format!("Supported trace verbosities for source {}", source.name());
    let entries = source.verbosities().enumerate().map(|(at, (name, what))| (name, what, at == current));
    Err(listed(word, "verbosity level", starred(&title, entries)))
}

fn lock(traces: &mut Traces, of: Of, word: Option<&str>, _: &dyn Fn() -> Vec<Sink>) -> Result<(), Said> {
    let Some(source) = of else { return Ok(()) };
    let locks = source.table().locks;
    let Some(word) = word else {
        let current: Criterion = traces.of(source).lock;
        let title = format!("Supported lock-on criteria for source {}", source.name());
        let entries = locks.iter().map(|(c, name, what)| (*name, *what, *c == current));
        return Err(Said::Text(starred(&title, entries)));
    };
    match locks.iter().find(|(_, name, _)| *name == word) {
        Some((criterion, ..)) => traces.of_mut(source).lock_on(*criterion),
        None => return Err(Said::Wrong(format!("Unsupported lock-on criterion '{word}'"))),
    }
    Ok(())
}

fn follow(traces: &mut Traces, of: Of, word: Option<&str>, _: &dyn Fn() -> Vec<Sink>) -> Result<(), Said> {
    let Some(word) = word else {
        let mut text = match of.map(|s| traces.of(s).follow) {
            None => String::new(),
            Some(None) => "Not currently following any other source.\n".into(),
            Some(Some(other)) => format!("Currently following source '{}'.\n", other.name()),
        };
        text.push_str("Please specify another source to follow, among the following ones:\n");
        let _ = writeln!(text, " [.] {:<10} : follow no other source", "none");
        text.push_str(&traces.sources());
        return Err(Said::Text(text));
    };
    let other = match word {
        "none" => None,
        name => Some(Source::wanted(name).map_err(Said::Wrong)?),
    };
    // nobody follows themselves
    each(traces, of, |source, s| s.follow = other.filter(|o| *o != source))
}

fn sink(traces: &mut Traces, of: Of, word: Option<&str>, sinks: &dyn Fn() -> Vec<Sink>) -> Result<(), Said> {
    let all = sinks();
    let Some(word) = word else {
        let current = of.map(|s| traces.of(s).sink.clone());
        let mut text = format!("Supported sinks for source {} (*=current):\n", name_of(of));
        let mut line = |name: &str, what: &str, is: bool| {
            let star = if is { '*' } else { ' ' };
            let _ = writeln!(text, "  {star} {name:<10} : {what}");
        };
        line("none", "no sink", current == Some(None));
        for (name, what) in &all {
            line(name, what, current.as_ref().is_some_and(|c| c.as_ref() == Some(name)));
        }
        return Err(Said::Text(text));
    };
    let known = all.is_empty() || word == "none" || all.iter().any(|(name, _)| name == word);
    if !known {
        return Err(Said::Wrong(format!("No such trace sink '{word}' ")));
    }
    let sink = Some(word).filter(|w| *w != "none").map(str::to_owned);
    each(traces, of, |_, s| s.sink.clone_from(&sink))
}

impl Traces {
    fn sources(&self) -> String {
        let line = |s: &Source| {
            format!(" [{}] {:<10} : {}\n", self.of(*s).status.letter(), s.name(), s.table().what)
        };
        Source::ALL.iter().map(line).collect()
    }

    /// `trace` alone.
    #[must_use]
    pub fn menu(&self) -> String {
        format!(
            "Supported trace sources and states (.=stopped, w=waiting, R=running) :\n \
             [.] 0          : not a source, will immediately stop all traces\n \
             [.] all        : all sources below, only for 'sink', 'level' and 'follow'\n{}",
            self.sources()
        )
    }

    /// `show trace`
    ///
    /// # Errors
    /// There is no such source.
    pub fn show(&self, source: Option<&str>) -> Result<String, &'static str> {
        let Some(name) = source else {
            let line = |s: &Source| {
                let state = self.of(*s);
                let sink = state.sink.as_deref().unwrap_or("none");
                let letter = state.status.letter();
                format!(" [{letter}] {:<10} -> {sink} [drp {}]  [{}]\n", s.name(), state.lost, s.table().what)
            };
            let lines: String = Source::ALL.iter().map(line).collect();
            return Ok(format!(
                "Supported trace sources and states (.=stopped, w=waiting, R=running) :\n{lines}"
            ));
        };
        let source = Source::named(name).ok_or("No such trace source")?;
        let state = self.of(source);
        let mut text = format!(
            "Trace status for {name}:\n  - sink: {} [{} dropped]\n  \
             - event name   :     report    start    stop    pause\n",
            state.sink.as_deref().unwrap_or("none"),
            state.lost
        );
        for (at, (event, _)) in source.table().events.iter().enumerate() {
            let sign = |mask: u64| if mask & (1 << at) == 0 { '-' } else { '+' };
            let _ = writeln!(
                text,
                "    {event:<12} :        {}        {}        {}       {}",
                sign(state.report),
                sign(state.start),
                sign(state.stop),
                sign(state.pause)
            );
        }
        Ok(text)
    }
}
