//! crt-list files (manual section 5.1, `crt-list`): a certificate a line, its own options, and the names it is for.

use super::conf::{At, option};
use crate::settings::{Conf, Entry, Origin, under};
use crate::store::{Line, why};
use std::path::Path;
use std::sync::Arc;

/// A line of a crt-list, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// The certificate.
    pub crt: String,
    /// What stands in brackets.
    pub options: Vec<String>,
    /// The names.
    pub filters: Vec<String>,
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
    Ok(Some(Row { crt, options: inside.split_whitespace().map(str::to_owned).collect(), filters }))
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
    let (mut all, mut lines) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(text.lines()) {
        let place = format!("{path}:{number}");
        let Some(mut row) = row(line).map_err(|e| format!("parsing [{place}]: {e}"))? else { continue };
        all.extend(entries(at, &row, &place, Origin { list: list.clone(), number })?);
        row.crt = under(at.global.crt_base.as_deref(), &row.crt);
        lines.push(Line { number, row });
    }
    at.global.store.lists.insert(path.to_owned(), lines);
    Ok(all)
}

/// The entries of one line.
///
/// # Errors
/// In HAProxy's words.
pub fn entries(at: &mut At<'_>, row: &Row, place: &str, origin: Origin) -> Result<Vec<Entry>, String> {
    let mut conf = Conf::default();
    let mut words = row.options.iter().cloned();
    while let Some(name) = words.next() {
        match option(at, &mut conf, &name, &mut || words.next()) {
            Some(Ok(())) => {}
            Some(Err(e)) => return Err(e.first.map_or(format!("parsing [{place}]: {}", e.message), |f| f)),
            None if name == "ocsp-update" || name == "allow-0rtt" => {
                return Err(format!("parsing [{place}]: '{name}' is not supported yet"));
            }
            None => return Err(format!("parsing [{place}]: unknown ssl keyword {name}")),
        }
    }
    let conf = (!row.options.is_empty()).then(|| Arc::new(conf));
    let file = under(at.global.crt_base.as_deref(), &row.crt);
    let extra = at.global.extra;
    let slots = match at.global.store.certificates.get(&file) {
        Some(slot) => vec![slot.clone()],
        None => at.global.store.load(at.files, &file, extra)?,
    };
    let entry = |slot| Entry {
        slot,
        filters: row.filters.clone(),
        conf: conf.clone(),
        default: false,
        origin: Some(origin.clone()),
    };
    Ok(slots.into_iter().map(entry).collect())
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
    }
}
