//! What HAProxy 3.5-dev5 says about snippets (verdicts.tsv, recorded by record.py from verdicts.txt), and what we say:
//! same verdict, same line, the gist of the same message.

use portcullis_config::env::Env;
use portcullis_config::files::LocalFiles;
use portcullis_config::{
    Diagnostic, Registry, Rows, Severity, SourceFile, env_rows, load, no_effect, resolve, rows,
};
use std::collections::HashSet;

/// Snippets on which we differ on purpose, and why.
const DIFFERENT: &[(&str, &str)] = &[
    ("log ring@x local0", "an unknown ring is a warning, HAProxy finds it when it starts"),
    ("http-send-name-header a:b", "not a field name"),
    ("default-server id 4", "worth a warning; HAProxy prints an alert and goes on"),
    ("default-server guid x", "the same"),
    ("log global x", "another message"),
    ("log local0 info", "another message"),
    ("option", "another message"),
    ("no option foo", "another message"),
    ("cpu-map auto:1/even 0-31", "a thread without a CPU is worth a warning"),
    ("cpu-map auto:1-4 0-3", "threads that share a CPU are worth a warning"),
    ("cpu-map auto:1-2 0-1", "the same"),
    ("cpu-affinity per-thread", "depends on the cores of the machine"),
    ("profiling.memory on", "known to the manual, not to that build"),
    ("b", "an unknown ring is a warning"),
    ("2g", "another message"),
    ("4g", "another message"),
    ("2147483648", "another message"),
    ("4294967295", "another message"),
    ("4294967296", "another message"),
    ("[::1]80", "the port is wrong, not the name"),
    ("rhttp@", "never for logs"),
    ("rhttp@a", "never for logs"),
    ("rhttp@a/b", "never for logs"),
    ("a b:80", "the address is wrong, too"),
    ("grace 10s", "another message"),
    ("http-request track-sc0 src", "rules are not of this room"),
    ("default x", "another message"),
    ("tune.defaults.purge", "the manual has it without an argument, too"),
];

fn registry() -> Registry {
    Registry::new(vec![
        Rows { keywords: env_rows::ROWS, ..Rows::default() },
        Rows { keywords: no_effect::ROWS, ..Rows::default() },
        rows::rows(),
        rows::later(),
    ])
}

/// What record.py sets.
fn env() -> Env {
    let mut env = Env::of_process();
    for (name, value) in [
        ("A", "a1"),
        ("EMPTY", ""),
        ("LIST", "one two  three"),
        ("ADDR", "127.0.0.1"),
        ("PORT", "8080"),
        ("BOTH", "127.0.0.1:80"),
    ] {
        env.set(name, value.into());
    }
    env
}

fn words(text: &str) -> HashSet<String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|w| w.len() > 2).map(str::to_lowercase).collect()
}

/// How much of what they say we say too, 0 to 100.
fn gist(theirs: &str, ours: &str) -> usize {
    let (theirs, ours) = (words(theirs), words(ours));
    if theirs.is_empty() { 100 } else { 100 * theirs.intersection(&ours).count() / theirs.len() }
}

/// The line that a message names.
fn place(d: &Diagnostic) -> u32 {
    let named = d.message.strip_prefix("[F:").and_then(|m| m.split(']').next()?.parse().ok());
    named.unwrap_or(d.place.filter(|_| !d.late).map_or(0, |p| p.line))
}

/// Sections that are refused as a whole: only the line counts there.
const REFUSED: &[&str] = &["\\npeers p"];

#[test]
fn same_verdicts_as_the_reference() {
    let registry = registry();
    let mut wrong = Vec::new();
    let mut later = 0;
    let all: Vec<&str> = include_str!("verdicts.tsv").lines().collect();
    for row in &all {
        let [template, snippet, verdict, line, message] = *row.split('\t').collect::<Vec<_>>() else {
            panic!("bad row: {row}");
        };
        let text = format!("{template}\n").replace("%s", snippet).replace("\\n", "\n");
        let source = SourceFile { name: "F".into(), text: text.into_bytes() };
        let mut loaded = load(&[source], &registry, &LocalFiles, &mut env());
        resolve::servers(&mut loaded, &LocalFiles, false);
        let first = |s: Severity| loaded.diags.list.iter().find(|d| d.severity == s && !d.harmless);
        let (ours, said): (_, Option<&Diagnostic>) = match (first(Severity::Alert), first(Severity::Warning))
        {
            (Some(d), _) => ("alert", Some(d)),
            (None, Some(d)) => ("warn", Some(d)),
            (None, None) => ("ok", None),
        };
        let text =
            said.map(|d| format!("{} {}", d.message, d.hint.as_deref().unwrap_or(""))).unwrap_or_default();
        // rows of higher rooms; those have their own tests of the verdicts
        let elsewhere = [
            "\\nhttp-errors e",
            "\\nuserlist u",
            "\\nlog-profile l",
            "\\ncrt-store c",
            "\\nmailers m",
            "\\ntraces",
        ]
        .iter()
        .any(|s| template.contains(s))
            || ["filter ", "filter-sequence "].iter().any(|k| snippet.starts_with(k));
        if text.contains("not supported yet") || elsewhere {
            later += 1;
            continue;
        }
        if DIFFERENT.iter().any(|(s, _)| *s == snippet) {
            continue;
        }
        let place = said.map_or(0, place);
        let gist = if REFUSED.iter().any(|s| template.contains(s)) { 100 } else { gist(message, &text) };
        let at: u32 = line.parse().unwrap_or(0);
        let problem = match (ours == verdict, place == at, gist) {
            (false, ..) => "verdict",
            (_, false, _) => "line",
            (_, _, 0..40) if !snippet.starts_with("no ") => "gist",
            _ => continue,
        };
        wrong.push(format!("{problem}: [{template}] {snippet}\n  theirs {verdict} {line}: {message}\n  ours   {ours} {place}: {text}"));
    }
    assert!(wrong.is_empty(), "{} of {} ({later} later):\n{}", wrong.len(), all.len(), wrong.join("\n"));
}
