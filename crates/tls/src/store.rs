//! Certificates, authorities and revocation lists: read once, shared by everything that names the same file, and
//! swapped as a whole. A handshake takes what is there when it begins.

use crate::again::{self, MADE, fingerprint};
use crate::dummy::{self, Dummy};
use crate::encrypted::{self, Passphrases};
use crate::keys::{KeyType, Names};
use crate::revocation::Revocations;
use crate::settings::under;
use crate::tickets::KeyFile;
use crate::x509::{Cert, KeyKind};
use parking_lot::{Mutex, RwLock};
use portcullis_config::files::Files;
use rustls::pki_types::pem::PemObject;
pub use rustls::pki_types::{CertificateDer, PrivateKeyDer as Key};
use rustls::pki_types::{CertificateRevocationListDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{SignatureAlgorithm, SignatureScheme};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Release};

/// A certificate with its chain and key.
#[derive(Debug)]
pub struct Certificate {
    /// The chain and the key.
    pub key: Arc<CertifiedKey>,
    /// The OCSP response that was given along; the error says why it is not stapled.
    pub stapled: Option<Result<Stapled, &'static str>>,
    /// What kind of key it is.
    pub kind: KeyKind,
    /// The names that it is valid for, lower case.
    pub names: Vec<Box<str>>,
    /// The private key as it was read (`dump ssl cert`).
    pub secret: Option<PrivateKeyDer<'static>>,
    /// Who issued it, from a file of its own.
    pub issuer: Option<CertificateDer<'static>>,
    /// What it was loaded of, and what it is for.
    pub load: Arc<Load>,
}

/// An OCSP response that clients who ask for one are sent.
#[derive(Debug)]
pub struct Stapled {
    /// Until when it is, in seconds since the epoch.
    pub until: i64,
    /// The chain and the key with it.
    key: Arc<CertifiedKey>,
}

impl Certificate {
    /// What a handshake is answered with now: with the OCSP response if there is one, as long as it counts.
    #[must_use]
    pub fn answers(&self) -> &Arc<CertifiedKey> {
        match &self.stapled {
            Some(Ok(stapled)) if stapled.until >= crate::x509::now() => &stapled.key,
            _ => &self.key,
        }
    }

    /// The OCSP response that is stapled, or was until it ended.
    #[must_use]
    pub fn response(&self) -> Option<&[u8]> {
        self.stapled.as_ref()?.as_ref().ok()?.key.ocsp.as_deref()
    }

    /// The certificate and who issued it, if that is known.
    fn with_issuer(&self) -> Option<(Cert<'_>, Cert<'_>)> {
        let (own, above) = self.key.cert.split_first()?;
        let own = Cert::parse(own.as_ref())?;
        let known = above.iter().chain(&self.issuer).filter_map(|c| Cert::parse(c.as_ref()));
        let issuer = known.into_iter().find(|c| crate::verify::issued(c, &own))?;
        Some((own, issuer))
    }

    /// Between which seconds since the epoch it is valid.
    #[must_use]
    pub fn validity(&self) -> Option<(i64, i64)> {
        Some(Cert::parse(self.key.cert.first()?.as_ref())?.validity())
    }

    /// What responders of OCSP call it. None: its issuer is not known.
    #[must_use]
    pub fn ocsp_id(&self) -> Option<Vec<u8>> {
        let (own, issuer) = self.with_issuer()?;
        crate::ocsp::id(&own, &issuer)
    }

    /// Where a response about it can be had.
    #[must_use]
    pub fn responder(&self) -> Option<String> {
        crate::ocsp::responder(&Cert::parse(self.key.cert.first()?.as_ref())?)
    }

    /// Reads a response that is to be stapled: it has to be about this certificate.
    ///
    /// # Errors
    /// Why it is not, in HAProxy's words.
    fn staple(&self, response: &[u8], now: i64) -> Result<Stapled, &'static str> {
        let id = self.ocsp_id().ok_or(NO_ID)?;
        let response = crate::ocsp::read(response, now)?;
        if !response.is_about(&id) {
            return Err("OCSP single response: Certificate ID does not match certificate and issuer");
        }
        if response.until < now {
            return Err("OCSP single response: no longer valid. Must be valid during at least 300s.");
        }
        let mut key = CertifiedKey::clone(&self.key);
        key.ocsp = Some(response.der.to_vec());
        Ok(Stapled { until: response.until, key: Arc::new(key) })
    }

    /// Was a response signed by the issuer of this certificate, or by somebody whom it lets do so?
    ///
    /// # Errors
    /// Why not.
    pub fn verify_response(&self, response: &[u8], now: i64) -> Result<(), &'static str> {
        let (_, issuer) = self.with_issuer().ok_or(NO_ID)?;
        crate::ocsp::verify(response, &issuer, now)
    }
}

/// Why no response can be stapled: what responders call the certificate is not known.
pub const NO_ID: &str = "its issuer is not known";

/// What a certificate is loaded of, and what it is for (manual section 12.7.1). Names of files are as they were written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Load {
    /// `crt`; none: it was made at run time.
    pub crt: Option<String>,
    /// `key`
    pub key: Option<String>,
    /// `ocsp`
    pub ocsp: Option<String>,
    /// `issuer`
    pub issuer: Option<String>,
    /// `sctl`
    pub sctl: Option<String>,
    /// `ocsp-update`
    pub ocsp_update: Option<bool>,
    /// `alias`
    pub alias: Option<String>,
    /// `jwt`
    pub jwt: bool,
    /// `acme`: the section that it is had by.
    pub acme: Option<String>,
    /// `domains`
    pub domains: Option<String>,
    /// `ips`
    pub ips: Option<String>,
    /// `generate-dummy` and what belongs to it
    pub dummy: Dummy,
}

impl Load {
    /// Whom `domains` and `ips` say that it shall be for.
    ///
    /// # Errors
    /// An address is none.
    pub fn wanted(&self) -> Result<Names, String> {
        let split = |list: &Option<String>| -> Vec<String> {
            list.iter()
                .flat_map(|l| l.split(','))
                .map(str::trim)
                .filter(|s| !s.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let address = |a: &String| a.parse().map_err(|_| format!("'ips' : '{a}' is no IP address."));
        let addresses = split(&self.ips).iter().map(address).collect::<Result<_, String>>()?;
        Ok(Names { domains: split(&self.domains), addresses })
    }
}

/// A place for something that can be swapped.
#[derive(Debug)]
pub struct Slot<T> {
    /// The file that it came from.
    pub name: Box<str>,
    /// Tells what was read: another number, other files.
    pub(crate) source: u64,
    current: RwLock<Arc<T>>,
    /// How often something else was put there.
    changes: AtomicU64,
}

impl<T> Slot<T> {
    /// A place with something in it that was made at run time.
    pub fn new(name: &str, value: T) -> Arc<Self> {
        Self::of(name, MADE, value)
    }
    /// A place with something in it that was read.
    fn of(name: &str, source: u64, value: T) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            source,
            current: RwLock::new(Arc::new(value)),
            changes: AtomicU64::new(0),
        })
    }
    /// What is there now.
    #[must_use]
    pub fn get(&self) -> Arc<T> {
        self.current.read().clone()
    }
    /// Puts something else there; who has taken the old one keeps it.
    pub fn set(&self, value: T) {
        *self.current.write() = Arc::new(value);
        self.changes.fetch_add(1, Release);
    }
    /// How often something else was put there. Who has seen a number gets what it stands for, or something newer.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes.load(Acquire)
    }
}

/// Certificates of authorities.
pub type Authorities = Arc<Slot<Vec<CertificateDer<'static>>>>;
/// Revocation lists.
pub type Revoked = Arc<Slot<Vec<Revocations>>>;

/// Which files beside a certificate are read (`ssl-load-extra-files`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extra {
    /// `.rsa`, `.ecdsa` and `.dsa` files make one certificate
    pub bundle: bool,
    /// `.ocsp`
    pub ocsp: bool,
    /// `.issuer`
    pub issuer: bool,
    /// `.key`
    pub key: bool,
    /// `.sctl`
    pub sctl: bool,
    /// `ssl-load-extra-del-ext`: instead of the file's own extension
    pub replace: bool,
}

impl Extra {
    /// No file beside a certificate is read.
    pub const NONE: Self =
        Self { bundle: false, ocsp: false, issuer: false, key: false, sctl: false, replace: false };
}

impl Default for Extra {
    fn default() -> Self {
        Self { bundle: true, ocsp: true, issuer: true, key: true, sctl: true, replace: false }
    }
}

/// Everything that was read, by file name.
#[derive(Clone, Debug, Default)]
pub struct Store {
    /// Certificates.
    pub certificates: BTreeMap<String, Arc<Slot<Certificate>>>,
    /// `ca-file` and `ca-verify-file`.
    pub authorities: BTreeMap<String, Authorities>,
    /// `crl-file`
    pub revoked: BTreeMap<String, Revoked>,
    /// `crt-list`, and directories, which are such lists, too.
    pub lists: BTreeMap<String, List>,
    /// How chains are completed.
    pub chains: Arc<Chains>,
    /// `tls-ticket-keys`, in the order in which they were read.
    pub ticket_files: Vec<Arc<KeyFile>>,
    /// Passphrases of private keys, and who is asked for further ones.
    pub passphrases: Passphrases,
    /// Lists of timestamps beside certificates, of which nothing was said yet ([`Store::not_sent`]).
    timestamps: Vec<String>,
}

/// How the chains of certificates are completed, and cut.
#[derive(Clone, Debug, Default, Hash)]
pub struct Chains {
    /// `ssl-skip-self-issued-ca`
    pub skip_self_issued: bool,
    /// `issuers-chain-path`: each begins with the issuer of those that it completes.
    pub issuers: Vec<Vec<CertificateDer<'static>>>,
}

impl Chains {
    /// What is sent for these certificates of a file.
    fn complete(&self, chain: &mut Vec<CertificateDer<'static>>) {
        if chain.len() == 1 {
            // as 3.5: both have to say which key it is
            let issued = |first: &CertificateDer<'static>| {
                let own = chain.first().and_then(|c| Cert::parse(c.as_ref()));
                let first = Cert::parse(first.as_ref());
                own.zip(first).is_some_and(|(own, first)| {
                    own.authority_key_id().is_some() && crate::verify::issued(&first, &own)
                })
            };
            let found = self.issuers.iter().find(|c| c.first().is_some_and(issued));
            let more: Vec<_> = found.into_iter().flatten().cloned().collect();
            chain.extend(more);
        }
        if self.skip_self_issued {
            let mut above = false;
            chain.retain(|c| {
                let own = !std::mem::replace(&mut above, true);
                own || Cert::parse(c.as_ref()).is_none_or(|c| !c.self_issued())
            });
        }
    }
}

/// What was read, as the configuration, its Plan and the Runtime API share it.
pub type Shared = Arc<Mutex<Store>>;

/// A crt-list, the files of a directory, or what `ssl-f-use` lines of a frontend name.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// Its lines, in their order.
    pub lines: Vec<Line>,
    /// The highest number that a line has had; lines that come later get higher ones.
    pub last: u32,
    /// It is a directory: a file stands in it once, without options and names.
    pub directory: bool,
    /// Lines up to this number are files of a directory, and are shown without one.
    pub unnumbered: u32,
    /// Tells what was read.
    pub source: u64,
}

impl List {
    /// The number of a line as it is shown and asked for.
    #[must_use]
    pub fn shown(&self, line: &Line) -> u32 {
        line.number.saturating_sub(self.unnumbered)
    }
}

/// The name of a list or a directory, which may be written with slashes behind it.
#[must_use]
pub fn list_name(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "" => path,
        name => name,
    }
}

/// A line of a crt-list.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its number.
    pub number: u32,
    /// What stands there; the certificate with its directory.
    pub row: crate::rows::crt_list::Row,
}

/// The kinds of a bundle, by extension.
pub const BUNDLE: [&str; 3] = ["ecdsa", "rsa", "dsa"];

/// The files of a directory that certificates are read of, in their order.
///
/// # Errors
/// In HAProxy's words.
pub fn files_of(files: &dyn Files, directory: &str) -> Result<Vec<String>, String> {
    const BESIDE: [&str; 4] = [".issuer", ".ocsp", ".sctl", ".key"];
    let list = files
        .list(Path::new(directory))
        .map_err(|e| format!("unable to scan directory '{directory}' : {}.", why(&e)))?;
    let counts = |file: &&std::path::PathBuf| {
        let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        !name.starts_with('.') && !BESIDE.iter().any(|end| name.ends_with(end))
    };
    Ok(list.iter().filter(counts).map(|file| file.to_string_lossy().into_owned()).collect())
}

/// The system's words for an error, without the number.
#[must_use]
pub fn why(e: &std::io::Error) -> String {
    let text = e.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// The certificates of a PEM text.
#[must_use]
pub fn certificates(text: &[u8]) -> Vec<CertificateDer<'static>> {
    let alone = |c: CertificateDer<'static>| match Cert::parse(c.as_ref()) {
        Some(cert) if cert.der.len() < c.len() => cert.der.to_vec().into(),
        _ => c,
    };
    authorities(text).into_iter().map(alone).collect()
}

/// The certificates of a PEM text. OpenSSL has three names for them; behind a `TRUSTED CERTIFICATE` stands what it is trusted for.
#[must_use]
pub fn authorities(text: &[u8]) -> Vec<CertificateDer<'static>> {
    const OTHERS: [&str; 2] = ["TRUSTED CERTIFICATE-----", "X509 CERTIFICATE-----"];
    let text = without_mark(text);
    let all = |text: &[u8]| CertificateDer::pem_slice_iter(text).filter_map(Result::ok).collect::<Vec<_>>();
    let known = String::from_utf8_lossy(text);
    if !OTHERS.iter().any(|name| known.contains(name)) {
        return all(text);
    }
    all(OTHERS.iter().fold(known.into_owned(), |t, name| t.replace(name, "CERTIFICATE-----")).as_bytes())
}

/// A text without the mark of UTF-8 that editors put at its beginning.
fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

/// Where the parts of a certificate come from.
#[derive(Clone, Debug, Default, Hash)]
pub struct Parts {
    /// PEM with the certificate, its chain, and perhaps its key.
    pub pem: Vec<u8>,
    /// PEM with the key, from elsewhere.
    pub key: Option<Vec<u8>>,
    /// PEM with the certificate of who issued it, which OCSP asks for; it is not sent.
    pub issuer: Option<Vec<u8>>,
    /// An OCSP response, DER.
    pub ocsp: Option<Vec<u8>>,
    /// What they were loaded of.
    pub load: Arc<Load>,
    /// How their chain is completed.
    pub chains: Arc<Chains>,
}

/// A certificate in the making.
#[derive(Debug)]
pub struct Draft {
    /// The certificate and what its file has of the chain.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: Option<PrivateKeyDer<'static>>,
    /// Who issued it, from a file of its own; it is not sent.
    pub issuer: Option<CertificateDer<'static>>,
    /// An OCSP response, DER.
    pub ocsp: Option<Vec<u8>>,
    /// What it was loaded of.
    pub load: Arc<Load>,
    /// How its chain is completed.
    pub chains: Arc<Chains>,
}

impl Clone for Draft {
    fn clone(&self) -> Self {
        Self {
            chain: self.chain.clone(),
            key: self.key.as_ref().map(PrivateKeyDer::clone_key),
            issuer: self.issuer.clone(),
            ocsp: self.ocsp.clone(),
            load: self.load.clone(),
            chains: self.chains.clone(),
        }
    }
}

impl Draft {
    /// What a certificate was made of.
    #[must_use]
    pub fn of(certificate: &Certificate) -> Self {
        Self {
            chain: certificate.key.cert.clone(),
            key: certificate.secret.as_ref().map(PrivateKeyDer::clone_key),
            issuer: certificate.issuer.clone(),
            ocsp: certificate.response().map(<[u8]>::to_vec),
            load: certificate.load.clone(),
            chains: Arc::default(),
        }
    }

    /// Reads the parts.
    ///
    /// # Errors
    /// In HAProxy's words; `name` is the file.
    pub fn read(name: &str, parts: &Parts, passphrases: &mut Passphrases) -> Result<Self, String> {
        let chain = certificates(&parts.pem);
        if chain.first().and_then(|c| Cert::parse(c.as_ref())).is_none() {
            return Err(format!("unable to load certificate from file '{name}': no start line."));
        }
        // `key` replaces what `crt` has; a `.key` beside it only completes it
        let own = if parts.load.key_replaces() { None } else { key_of(name, &parts.pem, passphrases)? };
        let key = match (own, parts.key.as_deref()) {
            (Some(key), _) => Some(key),
            (None, Some(text)) => {
                let file = parts.load.key.clone().unwrap_or_else(|| format!("{name}.key"));
                let key = key_of(&file, text, passphrases)?;
                Some(key.ok_or_else(|| format!("unable to load private key from file '{file}'."))?)
            }
            (None, None) => None,
        };
        let issuer = parts.issuer.as_deref().and_then(|text| certificates(text).into_iter().next());
        Ok(Self {
            chain,
            key,
            issuer,
            ocsp: parts.ocsp.clone(),
            load: parts.load.clone(),
            chains: parts.chains.clone(),
        })
    }

    /// Makes the certificate.
    ///
    /// # Errors
    /// In HAProxy's words.
    pub fn finish(&self, name: &str) -> Result<Certificate, String> {
        let Some(secret) = &self.key else { return Err(format!("No Private Key found in '{name}.key'.")) };
        let key = crate::keys::signing(secret)
            .ok_or_else(|| format!("unable to use the private key of '{name}': RSA of 2048 to 8192 bits, ECDSA P-256, P-384, P-521 and Ed25519 are supported."))?;
        self.with_key(name, key)
    }

    /// Makes the certificate, which may have no key: nothing can be answered with it then.
    ///
    /// # Errors
    /// In HAProxy's words.
    pub fn finish_public(&self, name: &str) -> Result<Certificate, String> {
        match &self.key {
            Some(_) => self.finish(name),
            None => self.with_key(name, Arc::new(NoKey)),
        }
    }

    fn with_key(&self, name: &str, key: Arc<dyn SigningKey>) -> Result<Certificate, String> {
        let mut chain = self.chain.clone();
        self.chains.complete(&mut chain);
        let key = CertifiedKey::new(chain, key);
        let own = key.cert.first().and_then(|c| Cert::parse(c.as_ref())).map(|c| c.spki);
        if key.key.public_key().is_some_and(|public| own != Some(public.as_ref())) {
            return Err(format!("inconsistencies between private key and certificate loaded '{name}'."));
        }
        let Some(cert) = key.cert.first().and_then(|c| Cert::parse(c.as_ref())) else {
            return Err(format!("unable to load certificate from file '{name}'."));
        };
        let mut names: Vec<Box<str>> = cert.common_names().map(|n| n.to_ascii_lowercase().into()).collect();
        for n in cert.dns_names() {
            let n = n.to_ascii_lowercase();
            if !names.iter().any(|m| **m == *n) {
                names.push(n.into());
            }
        }
        let kind = cert.kind();
        let (issuer, load) = (self.issuer.clone(), self.load.clone());
        let secret = self.key.as_ref().map(PrivateKeyDer::clone_key);
        let key = Arc::new(key);
        let mut made = Certificate { key, stapled: None, kind, names, secret, issuer, load };
        let response = self.ocsp.as_deref();
        made.stapled = response.map(|response| made.staple(response, crate::x509::now()));
        Ok(made)
    }
}

/// The key of a certificate that has none.
#[derive(Debug)]
struct NoKey;

impl SigningKey for NoKey {
    fn choose_scheme(&self, _: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        None
    }
    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::Unknown(0)
    }
}

/// Makes a certificate of its parts.
///
/// # Errors
/// In HAProxy's words; `name` is the file.
pub fn build(name: &str, parts: &Parts, passphrases: &mut Passphrases) -> Result<Certificate, String> {
    Draft::read(name, parts, passphrases)?.finish(name)
}

/// The private key in a PEM text.
///
/// # Errors
/// It is encrypted, and no passphrase opens it.
pub fn key_of(
    name: &str,
    text: &[u8],
    passphrases: &mut Passphrases,
) -> Result<Option<PrivateKeyDer<'static>>, String> {
    match encrypted::find(text) {
        Some(block) => passphrases
            .open(name, &block)
            .map(Some)
            .ok_or_else(|| format!("unable to load private key from file '{name}'.")),
        None => Ok(PrivateKeyDer::from_pem_slice(without_mark(text)).ok()),
    }
}

impl Load {
    /// Does `key` say where the key is, whatever `crt` has?
    fn key_replaces(&self) -> bool {
        self.key.is_some() && self.key != self.crt
    }
}

impl Store {
    /// The certificate of this name, as it is written or under a directory.
    #[must_use]
    pub fn find(&self, base: Option<&str>, name: &str) -> Option<Arc<Slot<Certificate>>> {
        self.certificates.get(name).or_else(|| self.certificates.get(&under(base, name))).cloned()
    }

    /// Reads what a `crt` names: a file, the files of a bundle, or a directory.
    ///
    /// # Errors
    /// In HAProxy's words.
    pub fn load(
        &mut self,
        files: &dyn Files,
        path: &str,
        extra: Extra,
    ) -> Result<Vec<Arc<Slot<Certificate>>>, String> {
        if files.is_dir(Path::new(path)) {
            return files_of(files, path)?.iter().map(|file| self.one(files, file, extra)).collect();
        }
        if files.exists(Path::new(path)) {
            return self.one(files, path, extra).map(|c| vec![c]);
        }
        let mut all = Vec::new();
        for kind in BUNDLE {
            let part = format!("{path}.{kind}");
            if extra.bundle && files.exists(Path::new(&part)) {
                all.push(self.one(files, &part, extra)?);
            }
        }
        if all.is_empty() {
            let e = match files.read(Path::new(path)) {
                Err(e) => why(&e),
                Ok(_) => "No such file or directory".to_owned(),
            };
            return Err(format!("unable to stat SSL certificate from file '{path}' : {e}."));
        }
        Ok(all)
    }

    /// Reads one file, unless it was read already.
    ///
    /// # Errors
    /// In HAProxy's words.
    pub fn one(
        &mut self,
        files: &dyn Files,
        path: &str,
        extra: Extra,
    ) -> Result<Arc<Slot<Certificate>>, String> {
        if let Some(slot) = self.certificates.get(path) {
            return Ok(slot.clone());
        }
        let parts = Parts { chains: self.chains.clone(), ..parts(files, path, extra)? };
        self.timestamps.extend(timestamps(files, &parts.load)?);
        self.made_of(path, fingerprint(&parts), |store| build(path, &parts, &mut store.passphrases))
    }

    /// What there is to say of lists of timestamps that were found beside certificates and that nobody will be sent.
    pub fn not_sent(&mut self) -> Option<String> {
        let all = std::mem::take(&mut self.timestamps);
        let (first, more) = all.split_first()?;
        let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
        portcullis_config::no_effect::sentence(crate::rows::load::TIMESTAMPS)
            .map(|sentence| format!("'{first}'{more}: {sentence}"))
    }

    /// Loads a certificate as `load` in a `crt-store` (and a line of a crt-list) says it: `name` is what it is called.
    ///
    /// # Errors
    /// In HAProxy's words.
    pub fn load_as(
        &mut self,
        files: &dyn Files,
        name: &str,
        load: &Load,
        (crt_base, key_base): (Option<&str>, Option<&str>),
    ) -> Result<Arc<Slot<Certificate>>, String> {
        let read = |of: &Option<String>, base: Option<&str>, what: &str| {
            let Some(path) = of.as_deref().map(|path| under(base, path)) else { return Ok(None) };
            let content = files.read(Path::new(&path));
            content.map(Some).map_err(|_| format!("{what} '{path}' cannot be read or parsed."))
        };
        let crt = under(crt_base, load.crt.as_deref().unwrap_or_default());
        let cannot = |_| format!("cannot open the file '{crt}'.\n '{crt}' cannot be read or parsed.");
        let parts = Parts {
            pem: files.read(Path::new(&crt)).map_err(cannot)?,
            key: read(&load.key, key_base, "")?,
            issuer: read(&load.issuer, crt_base, "")?,
            ocsp: read(&load.ocsp, crt_base, "Error opening OCSP response file")?,
            load: Arc::new(load.clone()),
            chains: self.chains.clone(),
        };
        if let Some(list) = read(&load.sctl, crt_base, "")?
            && !crate::der::is_sct_list(&list)
        {
            return Err(format!(" '{}' cannot be read or parsed.", load.sctl.as_deref().unwrap_or_default()));
        }
        self.made_of(name, fingerprint(&parts), |store| {
            Draft::read(name, &parts, &mut store.passphrases)?.finish_public(name)
        })
    }

    /// The certificate that was made of the same before, or another one.
    fn made_of(
        &mut self,
        name: &str,
        source: u64,
        make: impl FnOnce(&mut Self) -> Result<Certificate, String>,
    ) -> Result<Arc<Slot<Certificate>>, String> {
        let slot = match again::same(|s| &s.certificates, name, source) {
            Some(slot) => slot,
            None => Slot::of(name, source, make(self)?),
        };
        Ok(self.keep(slot))
    }

    /// Puts a certificate there that was made here and stands for another one, with a key of this kind.
    ///
    /// # Errors
    /// No key can be made.
    pub fn stand_in(
        &mut self,
        name: &str,
        load: &Load,
        key: KeyType,
        now: i64,
    ) -> Result<Arc<Slot<Certificate>>, String> {
        self.made_of(name, fingerprint((load, key)), |_| {
            let (chain, key) = dummy::make(key, now).ok_or("Can't generate a private key.")?;
            let draft = Draft {
                chain: vec![chain],
                key: Some(key),
                issuer: None,
                ocsp: None,
                load: Arc::new(load.clone()),
                chains: Arc::default(),
            };
            draft.finish(name)
        })
    }

    /// A certificate answers with another OCSP response from now on. Who holds the store changes nothing else meanwhile. Until
    /// when it is stapled, in seconds since the epoch.
    ///
    /// # Errors
    /// Why it is not, in HAProxy's words; nothing has changed.
    pub fn staple(&self, slot: &Slot<Certificate>, response: &[u8]) -> Result<i64, &'static str> {
        let current = slot.get();
        let stapled = current.staple(response, crate::x509::now())?;
        let until = stapled.until;
        slot.set(Certificate {
            key: current.key.clone(),
            stapled: Some(Ok(stapled)),
            kind: current.kind,
            names: current.names.clone(),
            secret: current.secret.as_ref().map(PrivateKeyDer::clone_key),
            issuer: current.issuer.clone(),
            load: current.load.clone(),
        });
        Ok(until)
    }

    /// Puts a certificate there that does not come from one file (`crt-store`).
    pub fn insert(&mut self, name: &str, certificate: Certificate) -> Arc<Slot<Certificate>> {
        self.keep(Slot::new(name, certificate))
    }

    /// The certificate of this name is what it was before the configuration is read again, unless it is there already.
    pub fn adopt(&mut self, name: &str) {
        if !self.certificates.contains_key(name)
            && let Some(slot) = again::certificate(name)
        {
            self.keep(slot);
        }
    }

    fn keep(&mut self, slot: Arc<Slot<Certificate>>) -> Arc<Slot<Certificate>> {
        if slot.get().load.jwt {
            crate::jwt::allow(&slot);
        }
        self.certificates.insert(slot.name.to_string(), slot.clone());
        slot
    }

    /// Reads the authorities of a file or a directory; `@system-ca` are the system's.
    ///
    /// # Errors
    /// In HAProxy's words.
    pub fn authorities(&mut self, files: &dyn Files, path: &str) -> Result<Authorities, String> {
        if let Some(slot) = self.authorities.get(path) {
            return Ok(slot.clone());
        }
        let place = if path == "@system-ca" { "/etc/ssl/certs/ca-certificates.crt" } else { path };
        let mut all = Vec::new();
        let directory = files.is_dir(Path::new(place));
        for (_, text) in texts(files, path, place)? {
            all.extend(self::authorities(&text).into_iter().filter(|c| Cert::parse(c.as_ref()).is_some()));
        }
        if all.is_empty() && !directory {
            return Err(format!("Couldn't parse the ca-file '{path}' (no certificate found)."));
        }
        let source = fingerprint(all.iter().map(AsRef::as_ref).collect::<Vec<&[u8]>>());
        let slot =
            again::same(|s| &s.authorities, path, source).unwrap_or_else(|| Slot::of(path, source, all));
        self.authorities.insert(path.to_owned(), slot.clone());
        Ok(slot)
    }

    /// Reads the revocation lists of a file or a directory.
    ///
    /// # Errors
    /// In HAProxy's words.
    pub fn revoked(&mut self, files: &dyn Files, path: &str) -> Result<Revoked, String> {
        if let Some(slot) = self.revoked.get(path) {
            return Ok(slot.clone());
        }
        let directory = files.is_dir(Path::new(path));
        let (mut lists, mut all) = (Vec::new(), Vec::new());
        for (name, text) in texts(files, path, path)? {
            match crls(&name, &text) {
                Ok(found) => lists.extend(found),
                // nobody is in a list then, and nobody is trusted
                Err(_) if directory || !certificates(&text).is_empty() => {}
                Err(e) => return Err(e),
            }
            all.push(text);
        }
        let source = fingerprint(&all);
        let slot = again::same(|s| &s.revoked, path, source).unwrap_or_else(|| Slot::of(path, source, lists));
        self.revoked.insert(path.to_owned(), slot.clone());
        Ok(slot)
    }
}

/// The files of a `ca-file` or `crl-file`, which is one itself or a directory of them: names and contents. `path` is how the
/// configuration calls it.
fn texts(files: &dyn Files, path: &str, place: &str) -> Result<Vec<(String, Vec<u8>)>, String> {
    const ENDS: [&str; 4] = [".pem", ".crt", ".cer", ".crl"];
    let read = |file: &Path| files.read(file).map_err(|e| open(path, &e));
    if !files.is_dir(Path::new(place)) {
        return Ok(vec![(path.to_owned(), read(Path::new(place))?)]);
    }
    let mut all = Vec::new();
    for file in files.list(Path::new(place)).map_err(|e| open(path, &e))? {
        let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if !name.starts_with('.') && ENDS.iter().any(|end| name.ends_with(end)) {
            all.push((name, read(&file)?));
        }
    }
    Ok(all)
}

/// The revocation lists of a PEM text.
///
/// # Errors
/// There is none.
pub fn crls(path: &str, text: &[u8]) -> Result<Vec<Revocations>, String> {
    let lists = CertificateRevocationListDer::pem_slice_iter(without_mark(text)).filter_map(Result::ok);
    let all: Vec<Revocations> = lists.filter_map(|l| Revocations::new(l.as_ref().to_vec())).collect();
    if all.is_empty() {
        return Err(format!("Couldn't parse the crl-file '{path}' (no revocation list found)."));
    }
    Ok(all)
}

fn open(path: &str, e: &std::io::Error) -> String {
    format!("Couldn't open the ca-file '{path}' ({}).", why(e))
}

/// The list of timestamps that is there beside a certificate.
///
/// # Errors
/// It is none.
fn timestamps(files: &dyn Files, load: &Load) -> Result<Option<String>, String> {
    let Some(path) = &load.sctl else { return Ok(None) };
    let Ok(list) = files.read(Path::new(path)) else { return Ok(None) };
    match crate::der::is_sct_list(&list) {
        true => Ok(Some(path.clone())),
        false => Err(format!(" '{path}' is present but cannot be read or parsed.")),
    }
}

/// What the line that a private key begins with ends with.
const KEY_BEGINS: &[u8] = b"PRIVATE KEY-----";

/// Reads a file and what belongs to it.
fn parts(files: &dyn Files, path: &str, extra: Extra) -> Result<Parts, String> {
    let pem = files
        .read(Path::new(path))
        .map_err(|e| format!("unable to load certificate from file '{path}': {}.", why(&e)))?;
    let base = path.strip_suffix(".crt").filter(|_| extra.replace).unwrap_or(path);
    let name = |extension: &str| format!("{base}.{extension}");
    let beside = |wanted: bool, extension: &str| {
        wanted.then(|| files.read(Path::new(&name(extension))).ok()).flatten()
    };
    let own_key = pem.windows(KEY_BEGINS.len()).any(|w| w == KEY_BEGINS);
    let key = beside(extra.key && !own_key, "key");
    let issuer = beside(extra.issuer, "issuer");
    let ocsp = beside(extra.ocsp, "ocsp");
    let load = Load {
        crt: Some(path.to_owned()),
        key: Some(if key.is_some() { name("key") } else { path.to_owned() }),
        ocsp: extra.ocsp.then(|| name("ocsp")),
        issuer: (ocsp.is_some() && issuer.is_some()).then(|| name("issuer")),
        sctl: extra.sctl.then(|| name("sctl")),
        ..Load::default()
    };
    Ok(Parts { pem, key, issuer, ocsp, load: Arc::new(load), chains: Arc::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_stapled_until_they_end() {
        let (chain, key) = dummy::make(KeyType::P256, 0).unwrap();
        let (chain, key) = (vec![chain], Some(key));
        let (load, chains) = (Arc::default(), Arc::default());
        let draft = Draft { chain, key, issuer: None, ocsp: None, load, chains };
        let mut made = draft.finish("x.pem").unwrap();
        assert!(made.response().is_none() && made.answers().ocsp.is_none());
        let mut with = CertifiedKey::clone(&made.key);
        with.ocsp = Some(vec![1]);
        let with = Arc::new(with);
        for (until, stapled) in [(i64::MAX, true), (0, false)] {
            made.stapled = Some(Ok(Stapled { until, key: with.clone() }));
            assert_eq!(made.answers().ocsp.is_some(), stapled);
            assert_eq!(made.response(), Some(&[1][..]));
        }
        made.stapled = Some(Err("no"));
        assert!(made.response().is_none() && made.answers().ocsp.is_none());
    }
}
