//! Which test shows that a keyword does what the table says: the last column of `docs/keywords.tsv`. A test that is noted
//! there stays as long as it exists and has the keyword in it.

use super::Entry;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// Tests by name, with their texts.
pub struct Shown {
    texts: Vec<(String, String)>,
    noted: HashMap<(String, String, String), String>,
}

fn files(folder: &Path, ends: &[&str], found: &mut Vec<std::path::PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths: Vec<_> = entries.flatten().map(|e| e.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            files(&path, ends, found);
        } else if ends.iter().any(|e| path.extension().is_some_and(|x| x == *e)) {
            found.push(path);
        }
    }
}

impl Shown {
    /// Of the repository at `root`.
    pub fn read(root: &Path) -> Self {
        let mut all = Self { texts: Vec::new(), noted: HashMap::new() };
        let table = fs::read_to_string(root.join("docs/keywords.tsv")).unwrap_or_default();
        for line in table.lines().skip(1) {
            let fields: Vec<&str> = line.split('\t').collect();
            if let [class, place, name, _, _, test] = fields[..] {
                all.noted.insert((class.into(), place.into(), name.into()), test.into());
            }
        }
        all.functions(root, "crates/e2e/tests/all");
        all.whole(root, "crates/e2e/tests/all", &["txt"]);
        all.whole(root, "examples", &["cfg", "yaml"]);
        all.whole(root, "crates/sample/tests/answers", &["tsv"]);
        for room in
            ["admin", "backend", "config", "portcullis", "proxy", "sample", "stats", "telemetry", "tls"]
        {
            all.functions(root, &format!("crates/{room}/src"));
            all.functions(root, &format!("crates/{room}/tests"));
        }
        all.whole(root, "crates/config/tests", &["tsv", "txt"]);
        all.whole(root, "crates/proxy/src", &["txt"]);
        all
    }
    /// Each test function of a folder.
    fn functions(&mut self, root: &Path, folder: &str) {
        let mut found = Vec::new();
        files(&root.join(folder), &["rs"], &mut found);
        for path in found {
            let Ok(text) = fs::read_to_string(&path) else { continue };
            let file = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            let mut parts = text.split("#[test]");
            // what they share stands before the first one
            let before = parts.next().unwrap_or_default();
            let tests = self.texts.len();
            for part in parts {
                // without what is said of the next one
                let part = part.rsplit_once("\n}\n").map_or(part, |(test, _)| test);
                let name = part.split("fn ").nth(1).and_then(|t| t.split('(').next()).unwrap_or_default();
                self.texts.push((format!("{file}::{name}"), part.to_owned()));
            }
            if folder.ends_with("/all") && self.texts.len() > tests {
                self.texts.push((file, before.to_owned()));
            }
        }
    }
    /// Each file of a folder, which a test reads.
    fn whole(&mut self, root: &Path, folder: &str, ends: &[&str]) {
        let mut found = Vec::new();
        files(&root.join(folder), ends, &mut found);
        for path in found {
            let Ok(text) = fs::read(&path) else { continue };
            let file = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            self.texts.push((file, String::from_utf8_lossy(&text).into_owned()));
        }
    }
    /// The test that shows this keyword; empty: there is none.
    pub fn by(&self, entry: &Entry) -> &str {
        let key = (entry.class.to_owned(), entry.place.to_owned(), entry.name.to_owned());
        let noted = self.noted.get(&key).map_or("", |n| n.as_str());
        let valid = |(name, text): &&(String, String)| name == noted && mentions(entry, text);
        let first = |(_, text): &&(String, String)| mentions(entry, text);
        let found = self.texts.iter().find(valid).or_else(|| self.texts.iter().find(first));
        found.map_or("", |(name, _)| name)
    }
}

/// Is the keyword in a text, as what it is?
fn mentions(entry: &Entry, text: &str) -> bool {
    let name = entry.name;
    match (entry.class, entry.place) {
        ("cfg", place @ ("bind" | "server")) => {
            // one of several words is what it says wherever it stands
            has_line(text, place, name) || name.contains('-') && has(text, place) && has(text, name)
        }
        ("cfg", place) if super::SETS.iter().any(|(n, _)| *n == place) => {
            has(text, &format!("{place} {name}")) || has(text, place) && has(text, name)
        }
        // `@!<pid>`: with a number
        ("cli", "master") if name.contains('<') => {
            let stem = name.split('<').next().unwrap_or_default();
            text.match_indices(stem).any(|(at, _)| {
                text.get(at + stem.len()..)
                    .is_some_and(|t| t.starts_with(|c: char| c.is_ascii_digit() || c == '{'))
            })
        }
        ("cnv", _) => has(text, &format!(",{name}")),
        _ => has(text, name),
    }
}

fn has_line(text: &str, first: &str, name: &str) -> bool {
    text.contains(name) && text.lines().any(|l| l.contains(first) && has(l, name))
}

/// Does it stand there as a word of its own?
fn has(text: &str, name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'+');
    let bytes = text.as_bytes();
    text.match_indices(name).any(|(at, _)| {
        let before = at.checked_sub(1).and_then(|i| bytes.get(i)).is_some_and(|b| inner(*b));
        let after = bytes.get(at + name.len()).is_some_and(|b| inner(*b));
        !after && (!before || name.starts_with(','))
    })
}
