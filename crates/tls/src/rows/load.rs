//! What certificates are loaded of: `crt-store` with its `load` lines (manual section 12.7), and the same words in a crt-list
//! and behind `ssl-f-use`.

use super::conf::{At, NextWord, option};
use super::crt_list::{Row, entries};
use crate::keys::KeyType;
use crate::settings::{Entry, GlobalTls, Origin, under};
use crate::store::{Certificate, Line as ListLine, Load, Slot};
use portcullis_config::no_effect;
use portcullis_config::{Cx, Does, Keyword, Line, Sections};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

/// The rows of this file.
pub const ROWS: &[Keyword] = &[
    row(
        "crt-store",
        "[<name>]",
        Sections::CRT_STORE,
        begin,
        "Certificates with names, and what they are made of.",
    ),
    row(
        "crt-base",
        "<dir>",
        Sections::CRT_STORE,
        crt_base,
        "Where this store's certificates are looked for.",
    ),
    row("key-base", "<dir>", Sections::CRT_STORE, key_base, "Where this store's keys are looked for."),
    row("load", "[crt <filename>] [param*]", Sections::CRT_STORE, load, "Loads a certificate."),
    row(
        "crt",
        "<cert> [<sslbindconf> ...]*",
        Sections::from_bits_retain(Sections::FRONTEND.bits() | Sections::LISTEN.bits()),
        use_certificate,
        "The same as 'ssl-f-use crt <cert>'.",
    ),
    row(
        "ssl-f-use",
        "[<sslbindconf> ...]*",
        Sections::from_bits_retain(Sections::FRONTEND.bits() | Sections::LISTEN.bits()),
        use_certificate,
        "A certificate for all 'bind' lines with 'ssl' of this frontend.",
    ),
];

const fn row(
    name: &'static str,
    args: &'static str,
    sections: Sections,
    works: fn(&mut Cx<'_>, &Line),
    help: &'static str,
) -> Keyword {
    Keyword { name, sections, args, help, negatable: false, does: Does::Works(works) }
}

/// The `crt-store` that is open.
#[derive(Clone, Debug, Default)]
pub struct Open {
    /// Its name.
    name: String,
    crt_base: Option<String>,
    key_base: Option<String>,
    /// A certificate was loaded.
    loaded: bool,
}

/// Certificates of a frontend's own crt-list (`ssl-f-use`).
#[derive(Clone, Debug, Default)]
pub struct FrontendTls {
    /// The certificates, in their order.
    pub entries: Vec<Entry>,
}

/// What can be said about loading: name, argument, help.
pub const WORDS: &[(&str, &str, &str)] = &[
    ("acme", "<section>", "The ACME section that the certificate is got by."),
    ("alias", "<name>", "Another name for the certificate."),
    ("bits", "<number>", "Size of the RSA key that 'generate-dummy' makes."),
    ("crt", "<filename>", "The file with the certificate, and with the key if nothing else has it."),
    ("curves", "<string>", "Curve of the ECDSA key that 'generate-dummy' makes."),
    ("domains", "<domain>[,...]", "The names that a certificate got by ACME is for."),
    ("generate-dummy", "{ on | off }", "Makes a key and a certificate that signs itself."),
    ("ips", "<address>[,...]", "The addresses that a certificate got by ACME is for."),
    ("issuer", "<filename>", "The certificate of the issuer."),
    ("jwt", "{ on | off }", "Admits the certificate for JSON Web Tokens."),
    ("key", "<filename>", "The private key."),
    ("keytype", "{ RSA | ECDSA }", "Kind of the key that 'generate-dummy' makes."),
    ("ocsp", "<filename>", "An OCSP response."),
    ("ocsp-update", "{ on | off }", "Asks for OCSP responses again and again."),
    ("sctl", "<filename>", "Looked at and not sent."),
];

/// Reads one word about loading, whose name was read. `None`: it is none of these.
pub fn word(load: &mut Load, name: &str, next: NextWord<'_>) -> Option<Result<(), String>> {
    let place = match name {
        "crt" => &mut load.crt,
        "key" => &mut load.key,
        "ocsp" => &mut load.ocsp,
        "issuer" => &mut load.issuer,
        "sctl" => &mut load.sctl,
        "alias" => &mut load.alias,
        "acme" => &mut load.acme,
        "domains" => &mut load.domains,
        "ips" => &mut load.ips,
        "keytype" => &mut load.dummy.kind,
        "curves" => &mut load.dummy.curves,
        "bits" => return Some(bits(next).map(|n| load.dummy.bits = Some(n))),
        "generate-dummy" => return Some(switch(name, next).map(|on| load.dummy.on = on)),
        "jwt" => return Some(switch(name, next).map(|on| load.jwt = on)),
        "ocsp-update" => return Some(switch(name, next).map(|on| load.ocsp_update = Some(on))),
        _ => return None,
    };
    *place = Some(next().unwrap_or_default());
    Some(load.wanted().map(|_| ()))
}

fn switch(name: &str, next: NextWord<'_>) -> Result<bool, String> {
    match next().unwrap_or_default().as_str() {
        "on" => Ok(true),
        "off" => Ok(false),
        other => Err(format!("cannot parse '{name}' value '{other}', 'on' or 'off' is expected.")),
    }
}

fn bits(next: NextWord<'_>) -> Result<u16, String> {
    let said = next().unwrap_or_default();
    said.parse().map_err(|_| format!("cannot parse 'bits' value '{said}', an integer is expected."))
}

fn complain(cx: &mut Cx<'_>, line: &Line, message: &str) {
    cx.alert(line.word(0), message.to_owned());
}

fn open<'c>(cx: &'c mut Cx<'_>) -> &'c mut Open {
    cx.global_ext()
}

fn begin(cx: &mut Cx<'_>, line: &Line) {
    let name = line.word(1).map(|w| w.str().into_owned()).unwrap_or_default();
    *open(cx) = Open { name, ..Open::default() };
}

fn crt_base(cx: &mut Cx<'_>, line: &Line) {
    base(cx, line, |o| &mut o.crt_base);
}

fn key_base(cx: &mut Cx<'_>, line: &Line) {
    base(cx, line, |o| &mut o.key_base);
}

fn base(cx: &mut Cx<'_>, line: &Line, of: fn(&mut Open) -> &mut Option<String>) {
    let name = line.word(0).map(|w| w.str().into_owned()).unwrap_or_default();
    let Some(dir) = line.word(1).filter(|w| !w.text.is_empty()) else {
        return complain(cx, line, &format!("'{name}' requires a <path> argument."));
    };
    if open(cx).loaded {
        let text = "can't be used after a load line, use it at the beginning of the section.";
        return complain(cx, line, &format!("'{name}' {text}"));
    }
    *of(open(cx)) = Some(dir.str().into_owned());
}

/// Reads the words behind `load`.
fn words(cx: &mut Cx<'_>, line: &Line) -> Option<Load> {
    let mut load = Load::default();
    let mut args = line.args(1);
    let mut seen = BTreeSet::new();
    while let Some(w) = args.next() {
        let name = w.str().into_owned();
        let text = !["bits", "generate-dummy", "jwt", "ocsp-update"].contains(&name.as_str());
        if text && !seen.insert(name.clone()) {
            cx.warn(Some(w), format!("'{name}' already specified, overwriting."));
        }
        match word(&mut load, &name, &mut || args.next().map(|w| w.str().into_owned())) {
            Some(Ok(())) => {}
            Some(Err(e)) => {
                complain(cx, line, &e);
                return None;
            }
            None => {
                let text = format!("'load {name}' in section 'crt-store': unknown keyword '{name}'.");
                complain(cx, line, &text);
                return None;
            }
        }
    }
    if load.crt.is_none() {
        complain(cx, line, "'load' in section 'crt-store': mandatory 'crt' parameter not found.");
        return None;
    }
    Some(load)
}

fn load(cx: &mut Cx<'_>, line: &Line) {
    let Some(load) = words(cx, line) else { return };
    let files = cx.files;
    open(cx).loaded = true;
    let Open { name: store, crt_base, key_base, .. } = open(cx).clone();
    let global = cx.global_ext::<GlobalTls>();
    let called = load.alias.as_ref().or(load.crt.as_ref()).cloned().unwrap_or_default();
    let name = match (store.is_empty(), load.alias.is_some()) {
        (true, false) => called,
        _ => format!("@{store}/{called}"),
    };
    if global.store.lock().certificates.contains_key(&name) {
        let text = format!("'load' in section 'crt-store': store '{name}' was already defined.");
        return complain(cx, line, &text);
    }
    let crt_base = crt_base.or(global.crt_base.clone());
    let key_base = key_base.or(global.key_base.clone());
    let timestamps = load.sctl.is_some();
    let path = under(crt_base.as_deref(), load.crt.as_deref().unwrap_or_default());
    let mut store = global.store.lock();
    let done = if load.dummy.is_asked_for() {
        let cannot = |e| format!("{e} '{path}' cannot be read or parsed.");
        load.dummy.key_type().and_then(|key| store.stand_in(&name, &load, key, now())).map_err(cannot)
    } else if load.acme.is_some() && !files.exists(Path::new(&path)) {
        store.stand_in(&name, &load, KeyType::Rsa(2048), now())
    } else {
        store.load_as(files, &name, &load, (crt_base.as_deref(), key_base.as_deref()))
    };
    drop(store);
    if let Err(e) = done {
        complain(cx, line, &e);
    } else if timestamps {
        no_effect::tell(cx, line.word(0), TIMESTAMPS);
    }
}

/// What `sctl` is called in the list of keywords without effect.
pub const TIMESTAMPS: &str = "crt-store … sctl";

/// Loads what a line of a crt-list names, with what it says about loading.
///
/// # Errors
/// In HAProxy's words.
pub fn slots(at: &mut At<'_>, row: &Row, origin: &Origin) -> Result<Vec<Arc<Slot<Certificate>>>, String> {
    let (crt_base, key_base) = (at.global.crt_base.clone(), at.global.key_base.clone());
    let mut store = at.global.store.lock();
    let there = store.find(crt_base.as_deref(), &row.crt);
    let asked = Load { crt: Some(row.crt.clone()), ..row.load.clone() };
    let plain = Load { crt: asked.crt.clone(), ..Load::default() } == asked;
    if let Some(slot) = there {
        if !plain && let Some(why) = differs(&slot.get().load, &asked) {
            return Err(format!(
                "'{}' in crt-list '{}' line {}, is already defined with incompatible parameters:\n {why}",
                row.crt, origin.list, origin.number
            ));
        }
        return Ok(vec![slot]);
    }
    match plain {
        true => {
            let extra = at.global.extra;
            store.load(at.files, &crate::settings::under(crt_base.as_deref(), &row.crt), extra)
        }
        false => {
            let bases = (crt_base.as_deref(), key_base.as_deref());
            Ok(vec![store.load_as(
                at.files,
                &crate::settings::under(crt_base.as_deref(), &row.crt),
                &asked,
                bases,
            )?])
        }
    }
}

/// Seconds since the epoch.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// What two lines say differently about one certificate.
fn differs(before: &Load, now: &Load) -> Option<String> {
    let switch = |on: bool| Some(if on { "on" } else { "off" }.to_owned());
    let update = |update: Option<bool>| update.map_or(Some("default".to_owned()), switch);
    let (old, new) = (&before.dummy, &now.dummy);
    let pairs = [
        ("key", before.key.clone(), now.key.clone()),
        ("ocsp", before.ocsp.clone(), now.ocsp.clone()),
        ("issuer", before.issuer.clone(), now.issuer.clone()),
        ("sctl", before.sctl.clone(), now.sctl.clone()),
        ("acme", before.acme.clone(), now.acme.clone()),
        ("domains", before.domains.clone(), now.domains.clone()),
        ("ips", before.ips.clone(), now.ips.clone()),
        ("ocsp-update", update(before.ocsp_update), update(now.ocsp_update)),
        ("keytype", old.kind.clone(), new.kind.clone()),
        ("curves", old.curves.clone(), new.curves.clone()),
    ];
    let shown = |s: &Option<String>| s.clone().unwrap_or_else(|| "(null)".to_owned());
    let all: Vec<String> = pairs
        .iter()
        .filter(|(_, old, new)| old != new)
        .map(|(name, old, new)| {
            format!("- different parameter '{name}' : previously '{}' vs '{}'", shown(old), shown(new))
        })
        .collect();
    (!all.is_empty()).then(|| all.join("\n"))
}

/// `ssl-f-use` and `crt`: a line of the crt-list that belongs to the frontend.
fn use_certificate(cx: &mut Cx<'_>, line: &Line) {
    let first = usize::from(!line.word(0).is_some_and(|w| w.is("crt")));
    let mut row = Row { bracketed: line.words.len() > first + 2, ..Row::default() };
    let mut args = line.args(first);
    while let Some(w) = args.next() {
        let name = w.str().into_owned();
        if name == "crt" {
            row.crt = args.next().map(|w| w.str().into_owned()).unwrap_or_default();
            continue;
        }
        let from = args.at - 1;
        let mut at = At::of(cx);
        let mut conf = Default::default();
        let mut next = || args.next().map(|w| w.str().into_owned());
        let known = option(&mut at, &mut conf, &name, &mut next).is_some()
            || word(&mut Load::default(), &name, &mut next).is_some();
        if !known {
            cx.alert(Some(w), format!("unknown crt keyword '{name}'"));
            return;
        }
        let words = args.words.get(from..args.at).unwrap_or(&[]);
        row.options.extend(words.iter().map(|w| w.str().into_owned()));
    }
    if row.crt.is_empty() && !line.words.iter().any(|w| w.is("crt")) {
        cx.alert(line.word(0), "Trying to load a certificate but no 'crt' keyword specified.");
        return;
    }
    let list: Arc<str> = format!("@{}", cx.proxy().name).into();
    let place = format!("{list}:{}", line.place().line);
    let mut at = At::of(cx);
    let number = at.global.store.lock().lists.get(&*list).map_or(0, |l| l.last) + 1;
    let made = entries(&mut at, &mut row, &place, Origin { list: list.clone(), number });
    at.said.extend(at.global.store.lock().not_sent());
    let (said, experimental) = (at.said, at.experimental_used);
    cx.model.global.experimental_used |= experimental;
    match made {
        Ok(entries) => {
            let store = &cx.global_ext::<GlobalTls>().store.clone();
            // the last line comes first, as in 3.5: its certificate is the one for clients that no other is for
            let mut store = store.lock();
            let list = store.lists.entry(list.to_string()).or_default();
            list.lines.insert(0, ListLine { number, row });
            list.last = number;
            drop(store);
            cx.ext::<FrontendTls>().entries.splice(0..0, entries);
        }
        Err(e) => {
            cx.alert(line.word(0), e);
        }
    }
    for text in said {
        cx.notice(line.word(0), text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_about_loading() {
        let mut load = Load::default();
        let mut values = ["a.key", "on", "x"].iter();
        let mut next = || values.next().map(|s| (*s).to_owned());
        assert_eq!(word(&mut load, "key", &mut next), Some(Ok(())));
        assert_eq!(word(&mut load, "jwt", &mut next), Some(Ok(())));
        assert!(matches!(word(&mut load, "jwt", &mut next), Some(Err(_))));
        assert_eq!(word(&mut load, "alpn", &mut next), None);
        assert_eq!((load.key.as_deref(), load.jwt), (Some("a.key"), true));
    }

    #[test]
    fn lines_that_contradict_each_other() {
        let a = Load { key: Some("a".into()), ..Load::default() };
        assert_eq!(differs(&a, &a), None);
        let why = differs(&a, &Load::default()).unwrap();
        assert_eq!(why, "- different parameter 'key' : previously 'a' vs '(null)'");
        let b = Load { key: Some("b".into()), ocsp_update: Some(true), ..Load::default() };
        let why = differs(&a, &b).unwrap();
        assert!(why.ends_with("vs 'b'\n- different parameter 'ocsp-update' : previously 'default' vs 'on'"));
    }
}
