//! Every keyword of HAProxy 3.5 and what it does here: `-dK`, `portcullis help`, `docs/keywords.tsv`.
//!
//! The names are those of `docs/keywords.tsv`; what each does comes from the rows, and a test keeps the file true.

#[cfg(test)]
#[path = "keywords_shown.rs"]
mod shown;

use portcullis_config::sections::SECTIONS;
use portcullis_config::{Does, Registry, Row, Sections, suggest};
use portcullis_proxy::filter::FILTERS;
use portcullis_proxy::rules::table::{ACTIONS, ActionRow, Sets, Works};
use portcullis_sample::{Vocabulary, vocabulary};
use std::fmt::Write;

/// The inventory with the states as they were when it was written: class, place, keyword, state, remark, the test that
/// shows it.
const TABLE: &str = include_str!("../../../docs/keywords.tsv");

/// What a keyword does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It works.
    Works,
    /// It is accepted with a notice.
    NoEffect,
    /// It is refused with "not supported yet".
    Refused,
}

impl State {
    #[cfg(test)]
    fn name(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::NoEffect => "no effect",
            Self::Refused => "refused",
        }
    }
}

/// One keyword.
#[derive(Clone, Debug)]
pub struct Entry {
    /// `cfg`, `smp`, `cnv`, `acl`, `flt`, `svc` or `cli`, as for `-dK`.
    pub class: &'static str,
    /// For `cfg`: the section, `proxy`, `bind`, `server` or the rule set; for `cli`: `master` or `worker`.
    pub place: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Arguments as the manual writes them, if it has a row.
    pub args: String,
    /// What it does.
    pub state: State,
    /// One sentence, the reason, or the capability that it waits for.
    pub remark: String,
}

impl Entry {
    fn new(class: &'static str, place: &'static str, name: &'static str) -> Self {
        Self { class, place, name, args: String::new(), state: State::Refused, remark: String::new() }
    }
    fn fill<F>(mut self, row: Option<&Row<F>>) -> Self {
        let Some(row) = row else { return self };
        self.args = row.args.into();
        (self.state, self.remark) = match row.does {
            Does::Works(_) => (State::Works, row.help.into()),
            Does::NoEffect(why) => (State::NoEffect, why.into()),
            Does::NotYet(what) => (State::Refused, what.into()),
        };
        self
    }
    fn works(mut self, args: String, help: &str) -> Self {
        (self.state, self.args, self.remark) = (State::Works, args, help.into());
        self
    }
    /// The whole name, as one would look for it.
    fn title(&self) -> String {
        match self.place {
            place if SETS.iter().any(|(n, _)| *n == place) => format!("{place} {}", self.name),
            "bind" => format!("bind <addr> {}", self.name),
            "server" => format!("server <name> <addr> {}", self.name),
            _ => self.name.into(),
        }
    }
}

/// Actions of TCP's rule sets that are no rows: set, name, arguments, help.
const FIRST: &[(&str, &str, &str, &str)] = &[
    ("tcp-request connection", "accept", "", "Accepts the connection; no further rule is looked at."),
    ("tcp-request connection", "reject", "", "Closes the connection."),
    ("tcp-request connection", "expect-proxy", "layer4", "A PROXY header is to come first."),
    ("tcp-request connection", "expect-netscaler-cip", "layer4", "A NetScaler CIP header is to come first."),
    ("tcp-request session", "accept", "", "Accepts the session; no further rule is looked at."),
    ("tcp-request session", "reject", "", "Closes the connection."),
    ("tcp-request content", "accept", "", "Accepts the contents; no further rule is looked at."),
    ("tcp-request content", "reject", "", "Closes the connection."),
    ("tcp-request content", "capture", "<sample> len <length>", "Captures a sample for the log."),
    ("tcp-response content", "accept", "", "Accepts the response; no further rule is looked at."),
    ("tcp-response content", "close", "", "Closes the server's connection."),
    ("tcp-response content", "reject", "", "Closes both connections."),
];

/// The rule sets as the table names them.
const SETS: &[(&str, Option<Sets>)] = &[
    ("quic-initial", None),
    ("tcp-request connection", Some(Sets::TCP_CONNECTION)),
    ("tcp-request session", Some(Sets::TCP_SESSION)),
    ("tcp-request content", Some(Sets::TCP_REQUEST)),
    ("tcp-response content", Some(Sets::TCP_RESPONSE)),
    ("http-request", Some(Sets::HTTP_REQUEST)),
    ("http-response", Some(Sets::HTTP_RESPONSE)),
    ("http-after-response", Some(Sets::HTTP_AFTER)),
];

/// All keywords with what they do, in the table's order.
#[must_use]
pub fn all(registry: &Registry) -> Vec<Entry> {
    let vocabulary = vocabulary();
    TABLE
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split('\t');
            let entry = Entry::new(fields.next()?, fields.next()?, fields.next()?);
            Some(judge(entry, registry, &vocabulary))
        })
        .collect()
}

fn judge(entry: Entry, registry: &Registry, vocabulary: &Vocabulary) -> Entry {
    let name = entry.name;
    match (entry.class, entry.place) {
        // its row only judges the argument
        ("cfg", "bind") if name == "expose-fd" => entry,
        ("cfg", "bind") => entry.fill(best(registry.bind().filter(|r| r.name == name))),
        // what a line of a crt-list takes has the row of the listener's option
        ("cfg", "crt-list") if portcullis_tls::rows::crt_list::KEYWORDS.contains(&name) => {
            entry.fill(best(registry.bind().filter(|r| r.name == name)))
        }
        ("cfg", "crt-store load") => {
            match portcullis_tls::rows::load::WORDS.iter().find(|(word, ..)| *word == name) {
                Some((_, args, help)) => entry.works((*args).into(), help),
                None => entry,
            }
        }
        ("cfg", "server") => entry.fill(best(registry.server().filter(|r| r.name == name))),
        ("cfg", place) => match SETS.iter().find(|(n, _)| *n == place) {
            Some((_, set)) => action(entry, *set),
            None => keyword(entry, registry),
        },
        ("smp", _) => match vocabulary.fetch(name) {
            Some(f) => entry.works(portcullis_sample::dump::signature(&f.args), f.help),
            None => entry,
        },
        ("cnv", _) => match vocabulary.converter(name) {
            Some(c) => entry.works(portcullis_sample::dump::signature(&c.args), c.help),
            None => entry,
        },
        ("acl", _) => match vocabulary.acl(name) {
            Some(a) => entry.works(String::new(), &format!("{} -m {}", a.fetch, a.method.name())),
            None => entry,
        },
        ("flt", _) => match FILTERS.iter().find(|f| f.name == name) {
            Some(f) => match f.works() {
                Ok(()) => entry.works(f.args.into(), f.help),
                Err(what) => Entry { remark: what.into(), args: f.args.into(), ..entry },
            },
            None => entry,
        },
        ("svc", _) => match portcullis_proxy::applet::find(name) {
            Some(s) => entry.works(String::new(), s.help),
            None => entry,
        },
        ("cli", "master") => match crate::mcli::about(name) {
            Some((args, help)) => entry.works(args.into(), help),
            None => entry,
        },
        ("cli", "worker") => match portcullis_admin::command::all().find(|r| r.name == name) {
            Some(r) => entry.works(r.args.into(), r.help),
            None => entry,
        },
        _ => entry,
    }
}

/// A keyword of a section; one that begins several (`timeout`) is there when one of them is.
fn keyword(entry: Entry, registry: &Registry) -> Entry {
    let (name, bits) = (entry.name, sections_of(entry.place));
    let fits = |r: &&'static portcullis_config::Keyword| {
        r.sections.intersects(bits) && (r.name == name || begins_with(r.name, name))
    };
    // "monitor fail": the row has its first word
    let begins =
        |r: &&'static portcullis_config::Keyword| r.sections.intersects(bits) && begins_with(name, r.name);
    let found = best(registry.keywords().filter(fits)).or_else(|| best(registry.keywords().filter(begins)));
    // the keyword that opens a section
    if found.is_none() && SECTIONS.iter().any(|s| s.name == name && s.section == bits) {
        return entry.fill(best(registry.keywords().filter(|r| r.sections == bits)));
    }
    let family = found.is_some_and(|r| begins_with(r.name, name));
    let mut entry = entry.fill(found);
    if family {
        entry.args = "...".into();
    }
    entry
}

/// Is `word` the beginning of a keyword of several words?
fn begins_with(name: &str, word: &str) -> bool {
    name.strip_prefix(word).is_some_and(|rest| rest.starts_with(' '))
}

fn sections_of(place: &str) -> Sections {
    match place {
        "proxy" => Sections::PROXY,
        place => SECTIONS.iter().find(|s| s.name == place).map_or(Sections::empty(), |s| s.section),
    }
}

/// The row that works, or else the first.
fn best<F: 'static>(mut rows: impl Iterator<Item = &'static Row<F>>) -> Option<&'static Row<F>> {
    let first = rows.next()?;
    match first.does {
        Does::Works(_) => Some(first),
        _ => rows.find(|r| matches!(r.does, Does::Works(_))).or(Some(first)),
    }
}

fn action(entry: Entry, set: Option<Sets>) -> Entry {
    let name = entry.name;
    let is = |row: &&ActionRow| {
        let stem = row.name.strip_suffix("(*)").unwrap_or(row.name);
        set.is_some_and(|s| row.sets.intersects(s))
            && (stem == name || (stem == "track-sc" && name.starts_with(stem)))
    };
    let Some(row) = ACTIONS.iter().find(is) else {
        return match FIRST.iter().find(|(place, n, _, _)| *place == entry.place && *n == name) {
            Some((_, _, args, help)) => entry.works((*args).into(), help),
            None => entry,
        };
    };
    match row.works {
        Works::Yes(_) => entry.works(row.args.into(), row.help),
        Works::NotYet(what) => Entry { remark: what.into(), args: row.args.into(), ..entry },
    }
}

/// `docs/keywords.tsv` as it should be.
#[cfg(test)]
fn table(registry: &Registry) -> String {
    let shown = shown::Shown::read(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")));
    let mut out = String::from("class\tplace\tkeyword\tstate\tremark\ttest\n");
    for e in all(registry) {
        let (state, test) = (e.state.name(), if e.state == State::Refused { "" } else { shown.by(&e) });
        let _ = writeln!(out, "{}\t{}\t{}\t{state}\t{}\t{test}", e.class, e.place, e.name, e.remark);
    }
    out
}

const CLASSES: &[(&str, &str)] = &[
    ("acl", "ACL keywords"),
    ("cfg", "configuration keywords"),
    ("cli", "CLI keywords"),
    ("cnv", "sample converter keywords"),
    ("flt", "filter names"),
    ("smp", "sample fetch functions"),
    ("svc", "service names"),
];

/// `-dK<class>[,<class>...]`: what works, in HAProxy's form.
///
/// # Errors
/// A class that there is not, with the list of classes.
pub fn dump(registry: &Registry, classes: &str) -> Result<String, String> {
    let mut out = String::new();
    for class in classes.split(',') {
        match class {
            "help" => out.push_str(&class_list()),
            "all" => CLASSES.iter().for_each(|(c, _)| out.push_str(&dump_class(registry, c))),
            c if CLASSES.iter().any(|(n, _)| *n == c) => out.push_str(&dump_class(registry, c)),
            c => return Err(format!("unknown keyword class '{c}'.\n{}", class_list())),
        }
    }
    Ok(out)
}

fn class_list() -> String {
    let mut out = String::from("# List of supported keyword classes:\nall: list all keywords\n");
    CLASSES.iter().for_each(|(class, what)| {
        let _ = writeln!(out, "{class}: {what}");
    });
    out
}

fn dump_class(registry: &Registry, class: &str) -> String {
    match class {
        "smp" => portcullis_sample::dump::fetches(&vocabulary()),
        "cnv" => portcullis_sample::dump::converters(&vocabulary()),
        "acl" => portcullis_sample::dump::acls(&vocabulary()),
        "cfg" => dump_configuration(registry),
        "cli" => portcullis_admin::command::dump(&crate::mcli::dump()),
        "flt" => dump_filters(),
        _ => dump_names(registry, "svc", "# List of registered service names:\n"),
    }
}

fn dump_filters() -> String {
    let working = FILTERS.iter().filter(|f| f.works().is_ok());
    working.fold("# List of registered filter names:\n".to_owned(), |out, f| {
        out + f.name + " [" + f.group + "]\n"
    })
}

fn working<'e>(all: &'e [Entry], class: &'e str) -> impl Iterator<Item = &'e Entry> {
    all.iter().filter(move |e| e.class == class && e.state == State::Works)
}

fn dump_names(registry: &Registry, class: &str, title: &str) -> String {
    let all = all(registry);
    working(&all, class).fold(title.to_owned(), |out, e| out + e.name + "\n")
}

fn dump_configuration(registry: &Registry) -> String {
    let all = all(registry);
    let mut out = String::from("# List of registered configuration keywords:\n");
    let sections = SECTIONS.iter().map(|s| s.name);
    let sections = sections.filter(|s| sections_of(s).bits() != Sections::PROXY.bits()).chain(["crt-list"]);
    for section in sections {
        let places: &[&str] = match section {
            "listen" => &["proxy", "bind", "server"],
            "defaults" | "frontend" | "backend" => continue,
            _ => &[section],
        };
        let mut lines: Vec<String> = Vec::new();
        for place in places {
            lines.extend(working(&all, "cfg").filter(|e| e.place == *place).map(|e| line_of(registry, e)));
        }
        if section == "listen" {
            // HAProxy does not list the first ones
            let listed = |e: &Entry| !FIRST.iter().any(|f| f.0 == e.place && f.1 == e.name);
            let rules = |e: &&Entry| SETS.iter().any(|(n, _)| *n == e.place) && listed(e);
            lines.extend(working(&all, "cfg").filter(rules).map(|e| line_of(registry, e)));
        }
        if !lines.is_empty() {
            let _ = writeln!(out, "{section}\n\t{}", lines.join("\n\t"));
        }
    }
    out
}

/// One line of `-dKcfg`.
fn line_of(registry: &Registry, e: &Entry) -> String {
    let skipped = e.args.split(' ').filter(|a| a.starts_with('<')).count();
    let mut line = e.title();
    let of_tls = portcullis_tls::rows::bind::OPTIONS.iter().any(|o| o.name == e.name);
    if e.place == "bind" && of_tls && e.name != "ssl" {
        line = line.replace("<addr> ", "<addr> ssl ");
    }
    if matches!(e.place, "bind" | "server" | "crt-list") && skipped > 0 {
        let _ = write!(line, " +{skipped}");
    } else if e.place == "proxy" && e.name.starts_with("option ") {
        let row = registry.keywords().find(|r| r.name == e.name);
        let has = |bit| row.is_some_and(|r| r.sections.contains(bit));
        line.push_str(" [ ");
        for (yes, what) in [
            (has(Sections::FRONTEND), "FE "),
            (has(Sections::BACKEND), "BE "),
            (portcullis_config::rows::checks::needs_http(e.name), "HTTP "),
        ] {
            line.push_str(if yes { what } else { "" });
        }
        line.push(']');
    } else if ACTIONS.iter().any(|a| a.name.strip_suffix("(*)") == Some(e.name)) && e.place != "proxy" {
        line.push('*');
    }
    line
}

/// `portcullis help [KEYWORD... | --unsupported]`
///
/// # Errors
/// No such keyword, with what was perhaps meant.
pub fn help(registry: &Registry, args: &[String]) -> Result<String, String> {
    let all = all(registry);
    match args {
        [] => Ok(overview(&all)),
        [flag] if flag == "--unsupported" => Ok(unsupported(&all)),
        words => explain(&all, &words.join(" ")),
    }
}

fn overview(all: &[Entry]) -> String {
    let mut out = String::from(
        "usage: portcullis help KEYWORD | --unsupported\n\nkeywords of HAProxy 3.5, and how many work:\n",
    );
    for (class, what) in CLASSES {
        let (total, works) = (all.iter().filter(|e| e.class == *class).count(), working(all, class).count());
        let _ = writeln!(out, "  {what:<28}{works:>5} of {total}");
    }
    out
}

fn unsupported(all: &[Entry]) -> String {
    let mut out = String::new();
    for e in all.iter().filter(|e| e.state == State::Refused) {
        let place = if e.place.is_empty() { e.class } else { e.place };
        let remark = if e.remark.is_empty() { String::new() } else { format!(" ({})", e.remark) };
        let _ = writeln!(out, "{place}: {}{remark}", e.name);
    }
    out
}

fn explain(all: &[Entry], wanted: &str) -> Result<String, String> {
    let found: Vec<_> = all.iter().filter(|e| e.name == wanted || e.title() == wanted).collect();
    if found.is_empty() {
        let near = suggest::nearest(wanted, all.iter().map(|e| e.name));
        let near = near.map(|n| format!("; did you mean '{n}'?")).unwrap_or_default();
        return Err(format!("no keyword '{wanted}'{near}"));
    }
    let mut out = String::new();
    for e in found {
        let kind = CLASSES.iter().find(|(c, _)| *c == e.class).map_or("", |c| c.1);
        let place = if e.place.is_empty() { String::new() } else { format!(", {}", e.place) };
        let gap = if e.class == "cfg" && !e.args.is_empty() { " " } else { "" };
        let what = match e.state {
            State::Works => e.remark.clone(),
            State::NoEffect => format!("Accepted without effect: {}.", e.remark),
            State::Refused if e.remark.is_empty() => "Not supported yet.".into(),
            State::Refused => format!("Not supported yet ({}).", e.remark),
        };
        let _ = writeln!(out, "{}{gap}{}\n    {kind}{place}\n    {what}", e.title(), e.args);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::registry;

    #[test]
    fn the_table_is_true() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/keywords.tsv");
        let made = table(&registry());
        if std::env::var_os("WRITE_DOCS").is_some() {
            std::fs::write(path, &made).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap();
        let wrong = made.lines().zip(written.lines()).find(|(a, b)| a != b);
        assert_eq!(wrong, None, "run with WRITE_DOCS=1");
    }

    /// Who says that something works can show it.
    #[test]
    fn what_works_is_shown_by_a_test() {
        let shown = shown::Shown::read(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")));
        let all = all(&registry());
        let working = all.iter().filter(|e| e.state == State::Works && shown.by(e).is_empty());
        assert_eq!(working.map(Entry::title).collect::<Vec<_>>(), Vec::<String>::new());
    }

    /// What works or has no effect stands in the table.
    #[test]
    fn every_row_is_in_the_table() {
        let registry = registry();
        let all = all(&registry);
        let there = |place: &str, name: &str| {
            all.iter().any(|e| {
                e.place == place && (e.name == name || begins_with(name, e.name) || begins_with(e.name, name))
            })
        };
        let mut missing = Vec::new();
        for row in registry.keywords().filter(|r| !r.help.starts_with("Removed")) {
            let places = ["global", "proxy"].into_iter().chain(SECTIONS.iter().map(|s| s.name));
            let mut places = places.filter(|p| sections_of(p).intersects(row.sections));
            if !places.any(|p| there(p, row.name)) {
                missing.push(row.name);
            }
        }
        missing.extend(registry.bind().map(|r| r.name).filter(|n| !there("bind", n)));
        missing.extend(registry.server().map(|r| r.name).filter(|n| !there("server", n)));
        assert_eq!(missing, Vec::<&str>::new());
    }

    #[test]
    fn dumps_have_their_form() {
        let registry = registry();
        let cfg = dump(&registry, "cfg").unwrap();
        for line in [
            "global",
            "\tmaxconn",
            "listen",
            "\ttimeout",
            "\tbind <addr> name +1",
            "\tserver <name> <addr> send-proxy",
            "\toption http-no-delay [ FE BE HTTP ]",
            "\thttp-request set-path",
        ] {
            assert!(cfg.lines().any(|l| l == line), "{line}");
        }
        assert!(!cfg.contains("stick-table"));
        assert!(dump(&registry, "acl").unwrap().contains("\npath_beg = path -m beg\n"));
        assert!(dump(&registry, "xyz").is_err());
    }

    #[test]
    fn help_explains_and_suggests() {
        let registry = registry();
        let help = |w: &str| super::help(&registry, &[w.to_owned()]);
        assert!(help("timeout client").unwrap().contains("proxy"));
        assert!(help("noepoll").unwrap().contains("without effect"));
        assert!(help("stick-table").unwrap().contains("Not supported yet"));
        assert!(help("fronted").unwrap_err().contains("no keyword"));
        assert!(help("--unsupported").unwrap().contains("proxy: stick-table"));
    }
}
