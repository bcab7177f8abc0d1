//! Options that mean the same on `bind`, in a crt-list, on `server` and in `global` (manual sections 5.1 and 5.2).

use super::errors::ignored;
use crate::names::{self, VERSIONS};
use crate::settings::{Conf, GlobalTls, Verify, under};
use crate::store::{Certificate, Slot};
use portcullis_config::files::Files;
use portcullis_config::{Args, Cx, Diagnostics, Model, Severity};
use std::sync::Arc;

/// The next word of the line.
pub type NextWord<'n> = &'n mut dyn FnMut() -> Option<String>;

/// What went wrong, and what was said before it (about a file).
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wrong {
    /// About the option.
    pub message: String,
    /// A line of its own before it.
    pub first: Option<String>,
}

impl From<String> for Wrong {
    fn from(message: String) -> Self {
        Self { message, first: None }
    }
}

/// The protocols of `alpn`, as they stand there.
fn protocols(text: &str) -> Result<Vec<Vec<u8>>, Wrong> {
    let one = |name: &str| match name.len() {
        ..=255 => Ok(name.as_bytes().to_vec()),
        _ => Err(Wrong::from(format!("'alpn' : ALPN protocol name too long : '{name}'"))),
    };
    text.split(',').filter(|p| !p.is_empty()).map(one).collect()
}

fn version(text: &str) -> Result<u8, Wrong> {
    let at = VERSIONS.iter().position(|v| *v == text);
    at.map(|v| v as u8).ok_or_else(|| Wrong::from(format!("'{text}' : unknown ssl/tls version")))
}

/// Where options stand: what they do to files and names.
pub struct At<'f> {
    /// Something experimental was used.
    pub experimental_used: bool,
    /// How files are read.
    pub files: &'f dyn Files,
    /// `global`, with what was read so far.
    pub global: &'f mut GlobalTls,
    /// What there is to say about it.
    pub said: Vec<String>,
    /// What is probably not what was meant.
    pub warned: Vec<String>,
}

impl<'f> At<'f> {
    /// Nothing was said yet.
    pub fn new(files: &'f dyn Files, global: &'f mut GlobalTls) -> Self {
        Self { experimental_used: false, files, global, said: Vec::new(), warned: Vec::new() }
    }

    /// On a line of the configuration.
    pub fn of(cx: &'f mut Cx<'_>) -> Self {
        let (files, experimental) = (cx.files, cx.model.global.experimental);
        let global = cx.global_ext::<GlobalTls>();
        global.experimental = experimental;
        Self::new(files, global)
    }
}

/// The next word of a line, if something stands there.
pub fn word(args: &mut Args<'_>) -> Option<String> {
    args.next().filter(|w| !w.text.is_empty()).map(|w| w.str().into_owned())
}

/// The certificates that `crt` names, read if they are not known yet; one without a key is of no use there.
///
/// # Errors
/// In HAProxy's words.
pub fn certificates(at: &mut At<'_>, path: &str) -> Result<Vec<Arc<Slot<Certificate>>>, String> {
    let base = at.global.crt_base.as_deref();
    let mut store = at.global.store.lock();
    let slots = match store.find(base, path) {
        Some(slot) => vec![slot],
        None => store.load(at.files, &under(base, path), at.global.extra)?,
    };
    match slots.iter().any(|s| s.get().secret.is_none()) {
        true => Err(super::crt_list::no_key(path)),
        false => Ok(slots),
    }
}

/// Reads one option, whose name was read. `None`: it is none of these.
pub fn option(at: &mut At<'_>, conf: &mut Conf, name: &str, next: NextWord<'_>) -> Option<Result<(), Wrong>> {
    let done = match name {
        "alpn" => match next().filter(|w| !w.is_empty()) {
            Some(text) => protocols(&text).map(|list| conf.alpn = Some(list)),
            None => Err(Wrong::from("'alpn' : missing the comma-delimited ALPN protocol suite".to_owned())),
        },
        "no-alpn" => {
            conf.alpn = Some(Vec::new());
            Ok(())
        }
        "verify" => verify(conf, next),
        "ca-file" => authorities(at, "ca-file", next).map(|a| conf.ca = Some(a)),
        "ca-verify-file" => authorities(at, "ca-verify-file", next).map(|a| conf.ca_verify = Some(a)),
        "crl-file" => revoked(at, conf, next),
        "crt-ignore-err" | "ca-ignore-err" => errors(conf, name, next),
        "allow-0rtt" => {
            conf.early = true;
            Ok(())
        }
        "ktls" => ktls(at, next).map(|on| conf.ktls = Some(on)),
        "no-ca-names" => {
            conf.no_ca_names = true;
            Ok(())
        }
        "ssl-min-ver" | "ssl-max-ver" => bound(conf, name, next),
        "ciphers" => text(at, "ciphers", "cipher suite", next).map(|t| conf.ciphers = Some(t)),
        "ciphersuites" => text(at, "ciphersuites", "cipher suite", next).map(|t| conf.suites = Some(t)),
        "curves" => text(at, "curves", "curve suite", next).map(|t| conf.curves = Some(t)),
        "ecdhe" => text(at, "ecdhe", "named curve", next).map(|t| conf.ecdhe = Some(t)),
        "sigalgs" => text(at, "sigalgs", "signature algorithm list", next).map(|t| conf.sigalgs = Some(t)),
        "client-sigalgs" => text(at, "client-sigalgs", "signature algorithm list", next)
            .map(|t| conf.client_sigalgs = Some(t)),
        _ => return versions(conf, name),
    };
    Some(done)
}

/// Directories of authorities that have none: nobody is trusted.
pub fn check(model: &mut Model, diags: &mut Diagnostics) {
    let Some(global) = model.global.ext.get::<GlobalTls>() else { return };
    for (path, slot) in &global.store.lock().authorities {
        if slot.get().is_empty() {
            diags.add(Severity::Warning, None, format!("ca-file: 0 CA were loaded from '{path}'"));
        }
    }
}

/// Whether the kernel makes the records, if it can.
fn ktls(at: &mut At<'_>, next: NextWord<'_>) -> Result<bool, Wrong> {
    if !at.global.experimental {
        let why =
            "'ktls' directive is experimental, must be allowed via a global 'expose-experimental-directives'";
        return Err(why.to_owned().into());
    }
    at.experimental_used = true;
    let text = match next().unwrap_or_default().as_str() {
        "off" => return Ok(false),
        "on" => return Ok(true),
        "" => "'ktls' expects \"on\" or \"off\" as an argument.".to_owned(),
        other => format!("'ktls' expects \"on\" or \"off\" as an argument, got '{other}'."),
    };
    Err(text.into())
}

/// `no-sslv3`, `force-tlsv12` and their kin.
fn versions(conf: &mut Conf, name: &str) -> Option<Result<(), Wrong>> {
    const WORDS: [&str; 5] = ["sslv3", "tlsv10", "tlsv11", "tlsv12", "tlsv13"];
    let which = |word: &str| WORDS.iter().position(|w| *w == word).map(|v| v as u8);
    if let Some(v) = name.strip_prefix("no-").and_then(which) {
        conf.versions.off |= 1 << v;
        return Some(Ok(()));
    }
    let v = name.strip_prefix("force-").and_then(which)?;
    (conf.versions.min, conf.versions.max) = (Some(v), Some(v));
    Some(Ok(()))
}

fn text(at: &mut At<'_>, name: &str, what: &str, next: NextWord<'_>) -> Result<String, Wrong> {
    let text = next().filter(|w| !w.is_empty());
    let text = text.ok_or_else(|| Wrong::from(format!("'{name}' : missing {what}")))?;
    at.said.extend(left_out(name, &text));
    Ok(text)
}

/// What a list names and nobody has any more, as a sentence.
#[must_use]
pub fn left_out(name: &str, text: &str) -> Option<String> {
    let gone = match name {
        "ciphers" => names::ciphers(text).1,
        "ciphersuites" if names::suites(text).is_none() => Vec::new(),
        "ciphersuites" => names::gone(text, |t| Some(names::suites(t).unwrap_or_default().len())),
        "curves" | "ecdhe" => names::gone(text, |t| names::groups(t).map(|l| l.len())),
        _ => names::gone(text, |t| names::signatures(t).map(|l| l.len())),
    };
    let shown: Vec<&str> = gone.iter().take(3).map(String::as_str).collect();
    let more = match gone.len().saturating_sub(shown.len()) {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    let left = (!gone.is_empty()).then(|| shown.join(", "))?;
    Some(format!("'{name}' : {left}{more} left out, a modern library does not have them."))
}

fn bound(conf: &mut Conf, name: &str, next: NextWord<'_>) -> Result<(), Wrong> {
    let Some(word) = next() else {
        return Err(Wrong::from(format!("'{name}' : missing ssl/tls version")));
    };
    let v = version(&word)?;
    match name {
        "ssl-min-ver" => conf.versions.min = Some(v),
        _ => conf.versions.max = Some(v),
    }
    Ok(())
}

fn verify(conf: &mut Conf, next: NextWord<'_>) -> Result<(), Wrong> {
    conf.verify = Some(match next().as_deref() {
        Some("none") => Verify::None,
        Some("optional") => Verify::Optional,
        Some("required") => Verify::Required,
        Some(other) => {
            return Err(Wrong::from(format!(
                "'verify' : unknown verify method '{other}', only 'none', 'optional', and 'required' are supported"
            )));
        }
        None => return Err(Wrong::from("'verify' : missing verify method".to_owned())),
    });
    Ok(())
}

fn authorities(at: &mut At<'_>, name: &str, next: NextWord<'_>) -> Result<crate::store::Authorities, Wrong> {
    let Some(word) = next().filter(|w| !w.is_empty()) else {
        return Err(Wrong::from(format!("'{name}' : missing CAfile path")));
    };
    let path = under(at.global.ca_base.as_deref(), &word);
    at.global
        .store
        .lock()
        .authorities(at.files, &path)
        .map_err(|first| Wrong { message: format!("'{name}' : unable to load {path}"), first: Some(first) })
}

fn revoked(at: &mut At<'_>, conf: &mut Conf, next: NextWord<'_>) -> Result<(), Wrong> {
    let Some(word) = next().filter(|w| !w.is_empty()) else {
        return Err(Wrong::from("'crl-file' : missing CRLfile path".to_owned()));
    };
    let path = under(at.global.ca_base.as_deref(), &word);
    let lists = at.global.store.lock().revoked(at.files, &path).map_err(|first| Wrong {
        message: format!("'crl-file' : unable to load {path}"),
        first: Some(first),
    })?;
    conf.crl = Some(lists);
    Ok(())
}

fn errors(conf: &mut Conf, name: &str, next: NextWord<'_>) -> Result<(), Wrong> {
    let Some(word) = next().filter(|w| !w.is_empty()) else {
        return Err(Wrong::from(format!("'{name}' : missing error IDs list")));
    };
    let list = ignored(&word).map_err(|e| Wrong::from(format!("'{name}' : {e}")))?;
    match name {
        "ca-ignore-err" => conf.ca_ignore = list,
        _ => conf.crt_ignore = list,
    }
    Ok(())
}
