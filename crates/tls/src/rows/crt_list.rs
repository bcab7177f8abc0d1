//! crt-list files (manual section 5.1, `crt-list`): a certificate a line, its own options, and the names it is for.

use super::conf::{At, option};
use super::load;
use crate::again;
use crate::settings::{Conf, Entry, Origin, under};
use crate::store::{Line, List, Load, files_of, list_name, why};
use std::path::Path;
use std::sync::Arc;

/// The options of `bind` that a line may have (manual section 5.1, `crt-list`).
pub const KEYWORDS: &[&str] = &[
    "allow-0rtt",
    "alpn",
    "ca-file",
    "ca-verify-file",
    "ciphers",
    "ciphersuites",
    "client-sigalgs",
    "crl-file",
    "curves",
    "ecdhe",
    "ktls",
    "no-alpn",
    "no-ca-names",
    "sigalgs",
    "ssl-max-ver",
    "ssl-min-ver",
    "verify",
];

/// A line of a crt-list, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// The certificate.
    pub crt: String,
    /// What stands in brackets; once it was read: without what is about loading.
    pub options: Vec<String>,
    /// There are brackets.
    pub bracketed: bool,
    /// The names.
    pub filters: Vec<String>,
    /// What it says about loading.
    pub load: Load,
}

impl Row {
    /// It has negative filters, but no wildcard that they would take names of.
    fn excludes_nothing(&self) -> bool {
        let has = |what: fn(&&String) -> bool| self.filters.iter().any(|f| what(&f));
        has(|f| f.starts_with('!')) && !has(|f| f.starts_with("*") && f.len() > 1)
    }
}

/// Takes a line apart; `None`: there is nothing on it.
///
/// # Errors
/// The brackets do not fit.
pub fn row(line: &str) -> Result<Option<Row>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let bracketed = line.contains('[');
    let (before, inside, after) = match line.split_once('[') {
        None => (line, "", ""),
        Some((before, rest)) => {
            let (inside, after) = rest.split_once(']').ok_or("missing ']'")?;
            (before, inside, after)
        }
    };
    for (part, one, message) in [
        (before, ']', "missing '['"),
        (inside, '[', "too many '['"),
        (after, '[', "too many '['"),
        (after, ']', "too many ']'"),
    ] {
        if part.contains(one) {
            return Err(message.to_owned());
        }
    }
    let mut words = before.split_whitespace();
    let crt = words.next().ok_or("file must start with a cert")?.to_owned();
    let filters = words.chain(after.split_whitespace()).map(str::to_ascii_lowercase).collect();
    let options = inside.split_whitespace().map(str::to_owned).collect();
    Ok(Some(Row { crt, options, bracketed, filters, ..Row::default() }))
}

/// Reads a crt-list.
///
/// # Errors
/// In HAProxy's words.
pub fn read(at: &mut At<'_>, path: &str) -> Result<Vec<Entry>, String> {
    let path = list_name(path);
    let text =
        at.files.read(Path::new(path)).map_err(|e| format!("cannot open file '{path}' : {}", why(&e)))?;
    let text = String::from_utf8_lossy(&text);
    let list: Arc<str> = path.into();
    let source = again::fingerprint(&text);
    // those that are in force, if this is read again: an operator may have taken some away, and added others
    let before = again::list(path, source);
    let (mut all, mut lines) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(text.lines()) {
        let place = format!("{path}:{number}");
        let Some(mut row) = row(line).map_err(|e| format!("parsing [{place}]: {e}"))? else { continue };
        if gone(before.as_ref(), number) {
            continue;
        }
        let named = row.crt.clone();
        all.extend(entries(at, &mut row, &place, Origin { list: list.clone(), number })?);
        if row.excludes_nothing() {
            at.warned.push(format!(
                "crt-list: negative filters on crt-list line \"{named}\" without a positive wildcard filter won't do anything!"
            ));
        }
        lines.push(Line { number, row });
    }
    let last = u32::try_from(text.lines().count()).unwrap_or(u32::MAX);
    let read = List { lines, last, source, ..List::default() };
    all.extend(keep(at, &list, read, before)?);
    Ok(all)
}

/// Reads a directory, which is a list of its files.
///
/// # Errors
/// In HAProxy's words.
pub fn directory(at: &mut At<'_>, path: &str) -> Result<Vec<Entry>, String> {
    let files = files_of(at.files, path)?;
    let source = again::fingerprint(&files);
    let before = again::list(path, source);
    let list: Arc<str> = path.into();
    let (mut all, mut lines) = (Vec::new(), Vec::new());
    for (number, crt) in (1..).zip(&files) {
        if gone(before.as_ref(), number) {
            continue;
        }
        let slot = at.global.store.lock().one(at.files, crt, at.global.extra)?;
        if slot.get().secret.is_none() {
            return Err(no_key(crt));
        }
        let origin = Some(Origin { list: list.clone(), number });
        all.push(Entry { slot, filters: Vec::new(), conf: None, default: false, origin });
        lines.push(Line { number, row: Row { crt: crt.clone(), ..Row::default() } });
    }
    let last = u32::try_from(files.len()).unwrap_or(u32::MAX);
    let read = List { lines, last, directory: true, unnumbered: last, source };
    all.extend(keep(at, &list, read, before)?);
    Ok(all)
}

/// An operator has taken this line away, and the file is read again.
fn gone(before: Option<&List>, number: u32) -> bool {
    before.is_some_and(|b| !b.lines.iter().any(|l| l.number == number))
}

/// Keeps a list that was read. Those that were added to it before it was read again are added to it once more: their entries.
fn keep(
    at: &mut At<'_>,
    name: &Arc<str>,
    mut list: List,
    before: Option<List>,
) -> Result<Vec<Entry>, String> {
    let mut all = Vec::new();
    list.last = list.last.max(before.as_ref().map_or(0, |b| b.last));
    for Line { number, mut row } in before.into_iter().flat_map(|b| b.lines) {
        if list.lines.iter().any(|l| l.number == number) {
            continue;
        }
        at.global.store.lock().adopt(&row.crt);
        let place = format!("{name}, line added at run time");
        all.extend(entries(at, &mut row, &place, Origin { list: name.clone(), number })?);
        list.lines.push(Line { number, row });
    }
    at.global.store.lock().lists.insert(name.to_string(), list);
    Ok(all)
}

/// Sorts out what stands in the brackets of a line: its options, and where its certificate comes from.
///
/// # Errors
/// In HAProxy's words.
pub fn options(at: &mut At<'_>, row: &mut Row, place: &str) -> Result<Conf, String> {
    let mut conf = Conf::default();
    let (words, mut used) = (std::mem::take(&mut row.options), 0);
    while let Some(name) = words.get(used) {
        let known = KEYWORDS.contains(&name.as_str());
        let first = used;
        used += 1;
        let mut next = || {
            let word = words.get(used).cloned();
            used += usize::from(word.is_some());
            word
        };
        match known.then(|| option(at, &mut conf, name, &mut next)).flatten() {
            Some(Ok(())) => row.options.extend_from_slice(words.get(first..used).unwrap_or(&[])),
            Some(Err(e)) => return Err(e.first.map_or(format!("parsing [{place}]: {}", e.message), |f| f)),
            None => match load::word(&mut row.load, name, &mut next) {
                Some(done) => done.map_err(|e| format!("parsing [{place}]: {e}"))?,
                None => return Err(format!("parsing [{place}]: unknown ssl keyword {name}")),
            },
        }
    }
    Ok(conf)
}

/// The entries of one line; what stands in its brackets is sorted out.
///
/// # Errors
/// In HAProxy's words.
pub fn entries(at: &mut At<'_>, row: &mut Row, place: &str, origin: Origin) -> Result<Vec<Entry>, String> {
    let conf = options(at, row, place)?;
    if row.load.sctl.is_some() {
        at.said.extend(portcullis_config::no_effect::sentence(load::TIMESTAMPS));
    }
    let conf = (!row.options.is_empty()).then(|| Arc::new(conf));
    let slots = load::slots(at, row, &origin)?;
    if let Some(without) = slots.iter().find(|s| s.get().secret.is_none()) {
        return Err(no_key(&without.name));
    }
    if let [only] = slots.as_slice() {
        row.crt = only.name.to_string();
    } else {
        row.crt = under(at.global.crt_base.as_deref(), &row.crt);
    }
    let entry = |slot| Entry {
        slot,
        filters: row.filters.clone(),
        conf: conf.clone(),
        default: false,
        origin: Some(origin.clone()),
    };
    Ok(slots.into_iter().map(entry).collect())
}

/// What is said of a certificate that cannot be answered with.
#[must_use]
pub fn no_key(name: &str) -> String {
    format!("unable to load SSL private key into SSL Context '{name}': passed a null parameter.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        assert_eq!(row("  # x"), Ok(None));
        let r = row("a.pem [alpn h2 verify none] *.A.com !b.a.com").unwrap().unwrap();
        assert_eq!(r.crt, "a.pem");
        assert_eq!(r.options, ["alpn", "h2", "verify", "none"]);
        assert_eq!(r.filters, ["*.a.com", "!b.a.com"]);
        for wrong in
            ["a.pem [alpn", "a.pem alpn] x", "a.pem [alpn h2] [x]", "a.pem [alpn h2] x]", "[alpn h2]"]
        {
            assert!(row(wrong).is_err(), "{wrong}");
        }
        assert_eq!(row("a.pem x").unwrap().unwrap().filters, ["x"]);
        let excludes_nothing = |line| row(line).unwrap().unwrap().excludes_nothing();
        assert!(excludes_nothing("a.pem a !b") && excludes_nothing("a.pem * !b"));
        assert!(!excludes_nothing("a.pem a") && !excludes_nothing("a.pem *.b !a.b"));
    }
}
