//! The answer to a command that does not exist: those that were probably meant.

use crate::command::{Call, Outcome, Row, all};

/// A command as lists show it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its words.
    pub name: &'static str,
    /// Its line, without line feed.
    pub usage: String,
}

/// `Unknown command`, and the nearest ones.
pub fn unknown(call: &Call<'_>) -> Outcome {
    if let Some(what) = crate::commands::later(call.words) {
        return Outcome::err(format!("'{what}' is not supported yet."));
    }
    if let Some((what, why)) = crate::commands::internal(call.words) {
        return Outcome::err(format!("'{what}' does not exist here: {why}."));
    }
    let first = call.arg(0);
    let mut text =
        format!("Unknown command: '{first}', but maybe one of the following ones is a better match:\n");
    text.push_str(&list(call.words));
    Outcome::info(text)
}

/// `help`, or `help` with words: all commands, or the nearest.
pub fn help(call: &Call<'_>) -> Outcome {
    let mut text = String::from("The following commands are valid at this level:\n");
    text.push_str(&list(call.words.get(1..).unwrap_or_default()));
    Outcome::info(text)
}

/// The lines of the commands that come nearest to these words; all of them for no words.
fn list(words: &[Vec<u8>]) -> String {
    let entry = |r: &Row| Entry { name: r.name, usage: r.usage() };
    lines(&all().filter(|r| !r.hidden).map(entry).collect::<Vec<_>>(), words)
}

/// The same over any table.
#[must_use]
pub fn lines(all: &[Entry], words: &[Vec<u8>]) -> String {
    let mut rows: Vec<&Entry> = all.iter().filter(|r| !closing(r)).collect();
    let given: Vec<String> = words.iter().map(|w| String::from_utf8_lossy(w).into_owned()).collect();
    if !given.is_empty() {
        let shared = |r: &Entry| r.name.split(' ').zip(&given).take_while(|(a, b)| a == b).count();
        let most = rows.iter().map(|r| shared(r)).max().unwrap_or(0);
        if most == given.len() {
            rows.retain(|r| shared(r) == most);
        } else {
            let mut best: Vec<(usize, &Entry)> =
                rows.iter().filter(|r| shared(r) == most).map(|r| (distance(r.name, &given), *r)).collect();
            best.sort_by_key(|(d, r)| (*d, r.name));
            best.truncate(5);
            // one that is nearly the same leaves no doubt
            let near = best.first().map_or(0, |(d, _)| if *d <= 1 { *d } else { d + 2 });
            rows.retain(|r| best.iter().any(|(d, b)| *d <= near && b.name == r.name));
        }
    }
    rows.extend(all.iter().filter(|r| closing(r)));
    rows.iter().map(|r| format!("{}\n", r.usage)).collect()
}

/// These stand at the end of every list.
fn closing(entry: &Entry) -> bool {
    matches!(entry.name, "help" | "prompt" | "quit")
}

/// How far a command is from the words given, word by word; words that were not given do not count.
fn distance(name: &str, given: &[String]) -> usize {
    let mut names = name.split(' ');
    given.iter().map(|g| names.next().map_or(g.len(), |n| edits(n.as_bytes(), g.as_bytes()))).sum()
}

/// Letters to insert, delete or change. A word that begins with the other is near.
fn edits(a: &[u8], b: &[u8]) -> usize {
    if !b.is_empty() && a.starts_with(b) {
        return usize::from(a != b);
    }
    let b = &b[..b.len().min(64)];
    let mut line: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = line[0];
        line[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = line[j + 1];
            line[j + 1] = change.min(line[j] + 1).min(diagonal + 1);
        }
    }
    line[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(given: &str) -> Vec<String> {
        let words: Vec<Vec<u8>> = given.split_whitespace().map(|w| w.as_bytes().to_vec()).collect();
        list(&words).lines().map(|l| l[2..].split("  ").next().unwrap_or("").to_string()).collect()
    }

    #[test]
    fn what_was_meant() {
        let all = names("show servers");
        assert_eq!(all.len(), 5, "{all:?}");
        assert!(all[0].starts_with("show servers conn") && all[1].starts_with("show servers state"));
        assert!(all[2].starts_with("help") && all[4].starts_with("quit"));
        assert!(names("sho info")[0].starts_with("show info"));
        assert!(names("show inf")[0].starts_with("show info"));
        assert!(names("set maxconn").iter().filter(|n| n.starts_with("set maxconn")).count() == 3);
        assert!(names("").len() > 40);
    }

    #[test]
    fn edit_distance() {
        assert_eq!(edits(b"show", b"shaw"), 1);
        assert_eq!(edits(b"show", b"sho"), 1);
        assert_eq!(edits(b"abc", b""), 3);
    }
}
