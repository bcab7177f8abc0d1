//! crt-list files (manual section 5.1, `crt-list`): a certificate a line, its own options, and the names it is for.

use super::conf::{At, option};
use super::load;
use crate::again;
use crate::settings::{Conf, Entry, Origin, under};
use crate::store::{Line, Load, why};
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
    let mut words = before.split_whitespace();
    let crt = words.next().ok_or("missing certificate")?.to_owned();
    let filters = words.chain(after.split_whitespace()).map(str::to_ascii_lowercase).collect();
    let options = inside.split_whitespace().map(str::to_owned).collect();
    Ok(Some(Row { crt, options, bracketed, filters, ..Row::default() }))
}

/// Reads a crt-list.
///
/// # Errors
/// In HAProxy's words.
pub fn read(at: &mut At<'_>, path: &str) -> Result<Vec<Entry>, String> {
    let text =
        at.files.read(Path::new(path)).map_err(|e| format!("cannot open file '{path}' : {}", why(&e)))?;
    let text = String::from_utf8_lossy(&text);
    let list: Arc<str> = path.into();
    let source = again::fingerprint(&text);
    // those that are in force, if this is read again: an operator may have taken some away, and added others
    let before = again::list(path, source);
    let gone = |number: u32| before.as_ref().is_some_and(|b| !b.iter().any(|l| l.number == number));
    let (mut all, mut lines) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(text.lines()) {
        let place = format!("{path}:{number}");
        let Some(mut row) = row(line).map_err(|e| format!("parsing [{place}]: {e}"))? else { continue };
        if gone(number) {
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
    for Line { number, mut row } in before.into_iter().flatten() {
        if lines.iter().any(|l| l.number == number) {
            continue;
        }
        at.global.store.lock().adopt(&row.crt);
        let place = format!("{path}, line added at run time");
        all.extend(entries(at, &mut row, &place, Origin { list: list.clone(), number })?);
        lines.push(Line { number, row });
    }
    let mut store = at.global.store.lock();
    store.lists.insert(path.to_owned(), lines);
    store.list_sources.insert(path.to_owned(), source);
    drop(store);
    Ok(all)
}

/// The entries of one line; what stands in its brackets is sorted out.
///
/// # Errors
/// In HAProxy's words.
pub fn entries(at: &mut At<'_>, row: &mut Row, place: &str, origin: Origin) -> Result<Vec<Entry>, String> {
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
        assert!(row("a.pem [alpn").is_err());
        assert_eq!(row("a.pem x").unwrap().unwrap().filters, ["x"]);
        let excludes_nothing = |line| row(line).unwrap().unwrap().excludes_nothing();
        assert!(excludes_nothing("a.pem a !b") && excludes_nothing("a.pem * !b"));
        assert!(!excludes_nothing("a.pem a") && !excludes_nothing("a.pem *.b !a.b"));
    }
}
