//! An `acme` section (manual section 12.8).

use super::account::{AccountKey, Binding, Mac};
use portcullis_config::files::{self, Files, LocalFiles};
use portcullis_config::rows::value;
use portcullis_config::{Cx, Diagnostics, Does, Keyword, Line, Model, Place, Sections, Severity};
use portcullis_tls::describe;
use portcullis_tls::encrypted::Passphrases;
use portcullis_tls::keys::KeyType;
use portcullis_tls::settings::GlobalTls;
use portcullis_tls::store::key_of;
use portcullis_wire::base64;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How control of a name is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Challenge {
    /// `http-01` (RFC 8555 section 8.3)
    #[default]
    Http,
    /// `dns-01` (RFC 8555 section 8.4)
    Dns,
    /// `dns-persist-01` (draft-ietf-acme-dns-persist)
    DnsPersist,
    /// `tls-alpn-01` (RFC 8737); HAProxy does not have it.
    TlsAlpn,
}

const CHALLENGES: [(&str, Challenge); 4] = [
    ("http-01", Challenge::Http),
    ("dns-01", Challenge::Dns),
    ("dns-persist-01", Challenge::DnsPersist),
    ("tls-alpn-01", Challenge::TlsAlpn),
];

impl Challenge {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        CHALLENGES.iter().find(|(_, c)| *c == self).map_or("", |(name, _)| name)
    }
    /// Does somebody else have to set a record for it?
    #[must_use]
    pub fn is_dns(self) -> bool {
        matches!(self, Self::Dns | Self::DnsPersist)
    }
}

/// `challenge-ready`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// `cli`
    pub cli: bool,
    /// `delay`
    pub delay: bool,
    /// `dns`
    pub dns: bool,
    /// `none`
    pub none: bool,
}

/// An `acme` section.
#[derive(Clone)]
pub struct Section {
    /// Its name.
    pub name: String,
    place: Place,
    /// `directory`
    pub directory: String,
    /// `account-key`: its file, and the key once it was read.
    account_file: String,
    /// The account's key.
    pub account: Option<Arc<AccountKey>>,
    /// `contact`
    pub contact: Option<String>,
    /// `challenge`
    pub challenge: Challenge,
    /// `challenge-ready`
    ready: Option<Ready>,
    /// `dns-delay`
    pub delay: Duration,
    /// `dns-timeout`
    pub timeout: Duration,
    /// `provider-name`: who sets records is told it.
    pub provider: Option<String>,
    /// `acme-vars`: likewise.
    pub vars: Option<String>,
    /// `keytype RSA`
    rsa: bool,
    bits: KeyType,
    curve: KeyType,
    /// `map`
    pub map: Option<String>,
    /// `profile`
    pub profile: Option<String>,
    /// `reuse-key`
    pub reuse_key: bool,
    /// `state-dir`: where what was issued is kept; HAProxy does not have it.
    pub state_dir: Option<String>,
    eab_id: Option<String>,
    eab_key: Option<String>,
    eab_algorithm: Mac,
}

impl Section {
    fn new(name: String, place: Place) -> Self {
        Self {
            account_file: format!("{name}.account.key"),
            name,
            place,
            directory: String::new(),
            account: None,
            contact: None,
            challenge: Challenge::default(),
            ready: None,
            delay: Duration::from_secs(30),
            timeout: Duration::from_secs(600),
            provider: None,
            vars: None,
            rsa: false,
            bits: KeyType::Rsa(2048),
            curve: KeyType::P384,
            map: None,
            profile: None,
            reuse_key: false,
            state_dir: None,
            eab_id: None,
            eab_key: None,
            eab_algorithm: Mac::default(),
        }
    }

    /// What kind of key certificates get.
    #[must_use]
    pub fn key_type(&self) -> KeyType {
        if self.rsa { self.bits } else { self.curve }
    }

    /// What has to be waited for before the authority is told.
    #[must_use]
    pub fn ready(&self) -> Ready {
        match (self.ready, self.challenge) {
            (Some(ready), _) => ready,
            (None, Challenge::Dns) => Ready { cli: true, ..Ready::default() },
            (None, Challenge::DnsPersist) => Ready { delay: true, dns: true, ..Ready::default() },
            _ => Ready { none: true, ..Ready::default() },
        }
    }

    /// The binding to an account of elsewhere.
    #[must_use]
    pub fn binding(&self) -> Option<Binding> {
        let (id, key) = (self.eab_id.clone()?, self.eab_key.as_ref()?);
        let key = base64::decode(base64::URL, false, key.trim_end_matches('=').as_bytes())?;
        Some(Binding { id, key, algorithm: self.eab_algorithm })
    }
}

/// All sections, and what `global` says of them.
#[derive(Clone, Default)]
pub struct Acme {
    /// The sections.
    pub sections: Vec<Section>,
    /// `acme.scheduler off`
    pub by_hand: bool,
}

impl Acme {
    /// A section by its name.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|s| s.name == name)
    }
}

macro_rules! row {
    ($name:literal, $args:literal, $works:expr, $help:literal) => {
        Keyword {
            name: $name,
            sections: Sections::ACME,
            args: $args,
            help: $help,
            negatable: false,
            does: Does::Works($works),
        }
    };
}

/// The rows of this file.
pub const ROWS: &[Keyword] = &[
    row!("acme", "<name>", begin, "Begins the section."),
    row!(
        "account-key",
        "<filename>",
        |cx, l| text(cx, l, |s, t| s.account_file = t),
        "The key of the account."
    ),
    row!(
        "acme-vars",
        "<string>",
        |cx, l| text(cx, l, |s, t| s.vars = Some(t)),
        "Variables for who sets records of the DNS."
    ),
    row!("bits", "<number>", bits, "Size of an RSA key."),
    row!("challenge", "<string>", challenge, "The kind of challenge."),
    row!("challenge-ready", "<value>[,<value>]*", challenge_ready, "When a challenge is ready."),
    row!("contact", "<string>", |cx, l| text(cx, l, |s, t| s.contact = Some(t)), "An address of mail."),
    row!("curves", "<string>", curves, "The curve of an ECDSA key."),
    row!("directory", "<string>", |cx, l| text(cx, l, |s, t| s.directory = t), "The URL of the server."),
    row!(
        "dns-delay",
        "<time>",
        |cx, l| time(cx, l, |s, t| s.delay = t),
        "How long a record of the DNS is waited for, and how often it is looked for."
    ),
    row!(
        "dns-timeout",
        "<time>",
        |cx, l| time(cx, l, |s, t| s.timeout = t),
        "How long records of the DNS are looked for."
    ),
    row!(
        "eab-key-id",
        "<filename>",
        |cx, l| file(cx, l, |s, t| s.eab_id = t),
        "External account binding: its id."
    ),
    row!("eab-mac-alg", "{ HS256 | HS384 | HS512 }", mac, "External account binding: its algorithm."),
    row!(
        "eab-mac-key",
        "<filename>",
        |cx, l| file(cx, l, |s, t| s.eab_key = t),
        "External account binding: its key."
    ),
    row!("keytype", "<string>", key_type, "RSA or ECDSA."),
    row!("map", "<map>", |cx, l| text(cx, l, |s, t| s.map = Some(t)), "Where tokens are kept."),
    row!(
        "profile",
        "<string>",
        |cx, l| text(cx, l, |s, t| s.profile = Some(t)),
        "The profile of certificates."
    ),
    row!(
        "provider-name",
        "<string>",
        |cx, l| text(cx, l, |s, t| s.provider = Some(t)),
        "The provider of the DNS, for who sets records."
    ),
    row!("reuse-key", "{ on | off }", reuse_key, "Keeps the key when a certificate is renewed."),
    row!(
        "state-dir",
        "<dir>",
        |cx, l| text(cx, l, |s, t| s.state_dir = Some(t)),
        "Where certificates are kept for the next start."
    ),
];

/// The row of `global`.
pub const GLOBAL: &[Keyword] = &[portcullis_config::global_keyword!(
    "acme.scheduler",
    "{ auto | off }",
    |cx, l| match l.word(1).map(|w| w.str().into_owned()).as_deref() {
        Some("auto") => cx.global_ext::<Acme>().by_hand = false,
        Some("off") => cx.global_ext::<Acme>().by_hand = true,
        _ => {
            let text =
                "keyword 'acme.scheduler' in 'global' section requires either 'auto' or 'off' argument";
            cx.alert(l.word(1).or(l.word(0)), text);
        }
    },
    "Whether certificates are renewed before they end."
)];

fn begin(cx: &mut Cx<'_>, line: &Line) {
    let name = line.word(1).map(|w| w.str().into_owned()).unwrap_or_default();
    if cx.global_ext::<Acme>().section(&name).is_some() {
        cx.alert(line.word(1), format!("acme section '{name}' already exists."));
    }
    cx.model.global.experimental_used = true;
    let place = line.place();
    cx.global_ext::<Acme>().sections.push(Section::new(name, place));
    // servers of authorities are spoken to over TLS
    let files = cx.files;
    let trusted = cx.global_ext::<crate::client::Settings>().ca.is_some();
    if !trusted {
        let read = cx.global_ext::<GlobalTls>().store.lock().authorities(files, "@system-ca");
        cx.global_ext::<crate::client::Settings>().ca = read.ok();
    }
}

fn change(cx: &mut Cx<'_>, work: impl FnOnce(&mut Section)) {
    if let Some(section) = cx.global_ext::<Acme>().sections.last_mut() {
        work(section);
    }
}

fn name(line: &Line) -> String {
    line.word(0).map(|w| w.str().into_owned()).unwrap_or_default()
}

/// The one argument.
fn argument(cx: &mut Cx<'_>, line: &Line) -> Option<String> {
    let said = line.word(1).filter(|w| !w.text.is_empty()).map(|w| w.str().into_owned());
    if said.is_none() {
        let text = format!("keyword '{}' in 'acme' section requires an argument", name(line));
        cx.alert(line.word(0), text);
    }
    value::no_more(cx, line, 2);
    said
}

fn wrong(cx: &mut Cx<'_>, line: &Line, text: impl Into<String>) {
    let text: String = text.into();
    cx.alert(line.word(1).or(line.word(0)), text);
}

fn text(cx: &mut Cx<'_>, line: &Line, put: fn(&mut Section, String)) {
    if let Some(said) = argument(cx, line) {
        change(cx, |s| put(s, said));
    }
}

/// What a file has on its first line; an empty one says nothing.
fn file(cx: &mut Cx<'_>, line: &Line, put: fn(&mut Section, Option<String>)) {
    let Some(path) = argument(cx, line) else { return };
    match cx.files.read(Path::new(&path)) {
        Ok(content) => {
            let content = String::from_utf8_lossy(&content).trim_end_matches(['\r', '\n']).to_owned();
            change(cx, |s| put(s, Some(content).filter(|c| !c.is_empty())));
        }
        Err(_) => wrong(cx, line, format!("acme: cannot read the file '{path}'.")),
    }
}

fn bits(cx: &mut Cx<'_>, line: &Line) {
    let Some(said) = argument(cx, line) else { return };
    match said.parse::<u16>().map(KeyType::rsa) {
        Ok(Some(bits)) => change(cx, |s| s.bits = bits),
        Ok(None) => wrong(cx, line, "'bits' : RSA keys of 2048, 3072, 4096 and 8192 bits can be made."),
        Err(_) => wrong(cx, line, format!("cannot parse 'bits' value '{said}', an integer is expected.")),
    }
}

fn challenge(cx: &mut Cx<'_>, line: &Line) {
    let Some(said) = argument(cx, line) else { return };
    match CHALLENGES.iter().find(|(name, _)| *name == said) {
        Some((_, challenge)) => change(cx, |s| s.challenge = *challenge),
        None => {
            let text = "keyword 'challenge' in 'acme' must be one of the following: http-01, dns-01, dns-persist-01, tls-alpn-01";
            wrong(cx, line, text);
        }
    }
}

fn challenge_ready(cx: &mut Cx<'_>, line: &Line) {
    let Some(said) = argument(cx, line) else { return };
    let mut ready = Ready::default();
    for one in said.split(',') {
        match one {
            "cli" => ready.cli = true,
            "delay" => ready.delay = true,
            "none" => ready.none = true,
            "dns" => ready.dns = true,
            _ => {
                let text = "keyword 'challenge-ready' in 'acme' section requires parameter separated by commas: 'cli', 'dns' or 'none'";
                return wrong(cx, line, text);
            }
        }
    }
    if ready.none && said.contains(',') {
        let text = "keyword 'challenge-ready' in 'acme' can't combine 'none' with other keywords.";
        return wrong(cx, line, text);
    }
    change(cx, |s| s.ready = Some(ready));
}

fn curves(cx: &mut Cx<'_>, line: &Line) {
    let Some(said) = argument(cx, line) else { return };
    match KeyType::curve(&said) {
        Some(curve) => change(cx, |s| s.curve = curve),
        None => wrong(cx, line, format!("unsupported curves '{said}'")),
    }
}

fn time(cx: &mut Cx<'_>, line: &Line, put: fn(&mut Section, Duration)) {
    let name = name(line);
    let Some(word) = value::one(cx, line, 1, &format!("'{name}' expects a time.")) else { return };
    match value::time_with_unit(&word.text, 1_000_000) {
        Ok((time, _)) => change(cx, |s| put(s, time)),
        Err(e) => {
            let message = value::time_message(e, word, &name);
            cx.alert(Some(word), message);
        }
    }
}

fn mac(cx: &mut Cx<'_>, line: &Line) {
    let algorithm = match argument(cx, line).as_deref() {
        Some("HS256") => Mac::Hs256,
        Some("HS384") => Mac::Hs384,
        Some("HS512") => Mac::Hs512,
        Some(_) => {
            let text = "keyword 'eab-mac-alg' in 'acme' must be one of the following: HS256, HS384, HS512";
            return wrong(cx, line, text);
        }
        None => return,
    };
    change(cx, |s| s.eab_algorithm = algorithm);
}

fn key_type(cx: &mut Cx<'_>, line: &Line) {
    match argument(cx, line).as_deref() {
        Some("RSA") => change(cx, |s| s.rsa = true),
        Some("ECDSA") => change(cx, |s| s.rsa = false),
        Some(_) => {
            let text = "keyword 'keytype' in 'acme' section requires either 'RSA' or 'ECDSA' argument";
            wrong(cx, line, text);
        }
        None => {}
    }
}

fn reuse_key(cx: &mut Cx<'_>, line: &Line) {
    match argument(cx, line).as_deref() {
        Some("on") => change(cx, |s| s.reuse_key = true),
        Some("off") => change(cx, |s| s.reuse_key = false),
        Some(_) => {
            let text = "keyword 'reuse-key' in 'acme' section requires either the 'on' or 'off' parameter";
            wrong(cx, line, text);
        }
        None => {}
    }
}

/// What of sections can be known once all of them were read; keys of accounts are read then, or made.
pub fn check(model: &mut Model, diags: &mut Diagnostics) {
    let mut acme = model.global.ext.get::<Acme>().cloned().unwrap_or_default();
    let wanted = model.global.ext.get::<GlobalTls>().map(|g| g.store.clone()).unwrap_or_default();
    for slot in wanted.lock().certificates.values() {
        let load = slot.get().load.clone();
        if let Some(name) = load.acme.as_ref().filter(|name| acme.section(name).is_none()) {
            let text = format!("acme '{name}' was used on a crt line, but no '{name}' section exists!");
            diags.add(Severity::Alert, None, text);
        }
    }
    if diags.failed() || acme.sections.is_empty() {
        return;
    }
    for section in &mut acme.sections {
        if let Err(text) = complete(section) {
            diags.add(Severity::Alert, Some(section.place), text);
        }
    }
    let all: Vec<_> = wanted.lock().certificates.values().cloned().collect();
    for slot in all {
        let load = slot.get().load.clone();
        if let Some(dir) = load.acme.as_ref().and_then(|n| acme.section(n)?.state_dir.clone())
            && let Err(text) = super::state::restore(&dir, &slot)
        {
            diags.add(Severity::Warning, None, text);
        }
    }
    *model.global.ext.entry() = acme;
}

fn complete(section: &mut Section) -> Result<(), String> {
    let name = &section.name;
    if section.directory.is_empty() {
        return Err(format!("acme: No directory defined in ACME section '{name}'."));
    }
    if section.ready.is_some() && !section.challenge.is_dns() {
        return Err(format!(
            "keyword 'challenge-ready' in 'acme' section, \"{}\" is not compatible with the \"challenge-ready\" option",
            section.challenge.name()
        ));
    }
    if section.eab_id.is_some() != section.eab_key.is_some() {
        return Err(format!(
            "acme: section '{name}': EAB MAC key and key id are mutually dependent, specify both or neither."
        ));
    }
    let file = &section.account_file;
    let cannot = || format!("acme: cannot use the account key '{file}' of section '{name}'.");
    files::note_made(Path::new(file));
    let key = match LocalFiles.read(Path::new(file)) {
        Ok(text) => key_of(file, &text, &mut Passphrases::default())?.ok_or_else(cannot)?,
        Err(_) => {
            let key = section.key_type().generate().ok_or_else(cannot)?;
            let mut text = String::new();
            describe::pem("PRIVATE KEY", key.secret_der(), &mut text);
            let written = LocalFiles.make(Path::new(file), text.as_bytes());
            written.map_err(|_| format!("acme: cannot create the file '{file}', check your permissions."))?;
            key
        }
    };
    section.account = Some(Arc::new(AccountKey::new(&key).ok_or_else(cannot)?));
    Ok(())
}
