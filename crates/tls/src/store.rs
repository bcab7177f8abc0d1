//! Certificates, authorities and revocation lists: read once, shared by everything that names the same file, and
//! swapped as a whole. A handshake takes what is there when it begins.

use crate::x509::{Cert, KeyKind};
use parking_lot::RwLock;
use portcullis_config::files::Files;
use rustls::pki_types::pem::PemObject;
pub use rustls::pki_types::{CertificateDer, PrivateKeyDer as Key};
use rustls::pki_types::{CertificateRevocationListDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// A certificate with its chain and key.
#[derive(Debug)]
pub struct Certificate {
    /// The chain, the key, and an OCSP response if there is one.
    pub key: Arc<CertifiedKey>,
    /// What kind of key it is.
    pub kind: KeyKind,
    /// The names that it is valid for, lower case.
    pub names: Vec<Box<str>>,
    /// The private key as it was read (`dump ssl cert`).
    pub secret: PrivateKeyDer<'static>,
}

/// A place for something that can be swapped.
#[derive(Debug)]
pub struct Slot<T> {
    /// The file that it came from.
    pub name: Box<str>,
    current: RwLock<Arc<T>>,
}

impl<T> Slot<T> {
    /// A place with something in it.
    pub fn new(name: &str, value: T) -> Arc<Self> {
        Arc::new(Self { name: name.into(), current: RwLock::new(Arc::new(value)) })
    }
    /// What is there now.
    #[must_use]
    pub fn get(&self) -> Arc<T> {
        self.current.read().clone()
    }
    /// Puts something else there; who has taken the old one keeps it.
    pub fn set(&self, value: T) {
        *self.current.write() = Arc::new(value);
    }
}

/// Certificates of authorities.
pub type Authorities = Arc<Slot<Vec<CertificateDer<'static>>>>;
/// Revocation lists, as DER.
pub type Revoked = Arc<Slot<Vec<Vec<u8>>>>;

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
    /// `ssl-load-extra-del-ext`: instead of the file's own extension
    pub replace: bool,
}

impl Default for Extra {
    fn default() -> Self {
        Self { bundle: true, ocsp: true, issuer: true, key: true, replace: false }
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
    /// `crt-list`
    pub lists: BTreeMap<String, Vec<Line>>,
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
pub const BUNDLE: [&str; 3] = ["rsa", "ecdsa", "dsa"];

/// The system's words for an error, without the number.
#[must_use]
pub fn why(e: &std::io::Error) -> String {
    let text = e.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// The certificates of a PEM text.
#[must_use]
pub fn certificates(text: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(text).filter_map(Result::ok).collect()
}

/// Where the parts of a certificate come from.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// PEM with the certificate, its chain, and perhaps its key.
    pub pem: Vec<u8>,
    /// PEM with the key, from elsewhere.
    pub key: Option<Vec<u8>>,
    /// PEM with certificates that complete the chain.
    pub issuer: Option<Vec<u8>>,
    /// An OCSP response, DER.
    pub ocsp: Option<Vec<u8>>,
}

/// A certificate in the making.
#[derive(Debug)]
pub struct Draft {
    /// The certificate and what its file has of the chain.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: Option<PrivateKeyDer<'static>>,
    /// Completes a chain that the file does not have.
    pub issuer: Option<CertificateDer<'static>>,
    /// An OCSP response, DER.
    pub ocsp: Option<Vec<u8>>,
}

impl Clone for Draft {
    fn clone(&self) -> Self {
        Self {
            chain: self.chain.clone(),
            key: self.key.as_ref().map(PrivateKeyDer::clone_key),
            issuer: self.issuer.clone(),
            ocsp: self.ocsp.clone(),
        }
    }
}

impl Draft {
    /// What a certificate was made of.
    #[must_use]
    pub fn of(certificate: &Certificate) -> Self {
        Self {
            chain: certificate.key.cert.clone(),
            key: Some(certificate.secret.clone_key()),
            issuer: None,
            ocsp: certificate.key.ocsp.clone(),
        }
    }

    /// Reads the parts.
    ///
    /// # Errors
    /// In HAProxy's words; `name` is the file.
    pub fn read(name: &str, parts: &Parts) -> Result<Self, String> {
        let chain = certificates(&parts.pem);
        if chain.first().and_then(|c| Cert::parse(c.as_ref())).is_none() {
            return Err(format!("unable to load certificate from file '{name}': no start line."));
        }
        let key = match (key_of(name, &parts.pem)?, parts.key.as_deref()) {
            (Some(key), _) => Some(key),
            (None, Some(text)) => Some(
                key_of(name, text)?
                    .ok_or_else(|| format!("unable to load private key from file '{name}.key'."))?,
            ),
            (None, None) => None,
        };
        let issuer = parts.issuer.as_deref().and_then(|text| certificates(text).into_iter().next());
        Ok(Self { chain, key, issuer, ocsp: parts.ocsp.clone() })
    }

    /// Makes the certificate.
    ///
    /// # Errors
    /// In HAProxy's words.
    pub fn finish(&self, name: &str) -> Result<Certificate, String> {
        let Some(secret) = &self.key else { return Err(format!("No Private Key found in '{name}.key'.")) };
        let mut chain = self.chain.clone();
        if chain.len() == 1 {
            chain.extend(self.issuer.clone());
        }
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let key = provider
            .key_provider
            .load_private_key(secret.clone_key())
            .map_err(|_| format!("unable to use the private key of '{name}': RSA of 2048 to 8192 bits, ECDSA P-256, P-384, P-521 and Ed25519 are supported."))?;
        let mut key = CertifiedKey::new(chain, key);
        let own = key.cert.first().and_then(|c| Cert::parse(c.as_ref())).map(|c| c.spki);
        if key.key.public_key().is_some_and(|public| own != Some(public.as_ref())) {
            return Err(format!("inconsistencies between private key and certificate loaded '{name}'."));
        }
        key.ocsp.clone_from(&self.ocsp);
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
        Ok(Certificate { key: Arc::new(key), kind, names, secret: secret.clone_key() })
    }
}

/// Makes a certificate of its parts.
///
/// # Errors
/// In HAProxy's words; `name` is the file.
pub fn build(name: &str, parts: &Parts) -> Result<Certificate, String> {
    Draft::read(name, parts)?.finish(name)
}

/// The private key in a PEM text.
///
/// # Errors
/// It is encrypted.
pub fn key_of(name: &str, text: &[u8]) -> Result<Option<PrivateKeyDer<'static>>, String> {
    let encrypted = |label: &[u8]| text.windows(label.len()).any(|w| w == label);
    if encrypted(b"BEGIN ENCRYPTED PRIVATE KEY") || encrypted(b"Proc-Type: 4,ENCRYPTED") {
        return Err(format!(
            "the private key of '{name}' is encrypted, which is not supported yet (ssl-passphrase-cmd)."
        ));
    }
    Ok(PrivateKeyDer::from_pem_slice(text).ok())
}

impl Store {
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
            return self.directory(files, path, extra);
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

    fn directory(
        &mut self,
        files: &dyn Files,
        path: &str,
        extra: Extra,
    ) -> Result<Vec<Arc<Slot<Certificate>>>, String> {
        let list = files
            .list(Path::new(path))
            .map_err(|e| format!("unable to scan directory '{path}' : {}.", why(&e)))?;
        let mut all = Vec::new();
        for file in list {
            let name = file.to_string_lossy().into_owned();
            let last = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            let skipped = [".issuer", ".ocsp", ".sctl", ".key"];
            if last.starts_with('.') || skipped.iter().any(|s| last.ends_with(s)) {
                continue;
            }
            all.push(self.one(files, &name, extra)?);
        }
        Ok(all)
    }

    /// Reads one file, unless it was read already.
    fn one(&mut self, files: &dyn Files, path: &str, extra: Extra) -> Result<Arc<Slot<Certificate>>, String> {
        if let Some(slot) = self.certificates.get(path) {
            return Ok(slot.clone());
        }
        let parts = parts(files, path, extra)?;
        let slot = Slot::new(path, build(path, &parts)?);
        self.certificates.insert(path.to_owned(), slot.clone());
        Ok(slot)
    }

    /// Puts a certificate there that does not come from one file (`crt-store`).
    pub fn insert(&mut self, name: &str, certificate: Certificate) -> Arc<Slot<Certificate>> {
        let slot = Slot::new(name, certificate);
        self.certificates.insert(name.to_owned(), slot.clone());
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
        if files.is_dir(Path::new(place)) {
            for file in files.list(Path::new(place)).map_err(|e| open(path, &e))? {
                let name = file.to_string_lossy();
                if [".pem", ".crt", ".cer"].iter().any(|s| name.ends_with(s)) {
                    all.extend(certificates(&files.read(&file).map_err(|e| open(path, &e))?));
                }
            }
        } else {
            all = certificates(&files.read(Path::new(place)).map_err(|e| open(path, &e))?);
        }
        all.retain(|c| Cert::parse(c.as_ref()).is_some());
        if all.is_empty() {
            return Err(format!("Couldn't parse the ca-file '{path}' (no certificate found)."));
        }
        let slot = Slot::new(path, all);
        self.authorities.insert(path.to_owned(), slot.clone());
        Ok(slot)
    }

    /// Reads revocation lists.
    ///
    /// # Errors
    /// In HAProxy's words.
    pub fn revoked(&mut self, files: &dyn Files, path: &str) -> Result<Revoked, String> {
        if let Some(slot) = self.revoked.get(path) {
            return Ok(slot.clone());
        }
        let text = files.read(Path::new(path)).map_err(|e| open(path, &e))?;
        let slot = Slot::new(path, crls(path, &text)?);
        self.revoked.insert(path.to_owned(), slot.clone());
        Ok(slot)
    }
}

/// The revocation lists of a PEM text.
///
/// # Errors
/// There is none.
pub fn crls(path: &str, text: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let lists = CertificateRevocationListDer::pem_slice_iter(text).filter_map(Result::ok);
    let all: Vec<Vec<u8>> = lists.map(|l| l.as_ref().to_vec()).filter(|l| crate::verify::is_crl(l)).collect();
    if all.is_empty() {
        return Err(format!("Couldn't parse the crl-file '{path}' (no revocation list found)."));
    }
    Ok(all)
}

fn open(path: &str, e: &std::io::Error) -> String {
    format!("Couldn't open the ca-file '{path}' ({}).", why(e))
}

/// Reads a file and what belongs to it.
fn parts(files: &dyn Files, path: &str, extra: Extra) -> Result<Parts, String> {
    let pem = files
        .read(Path::new(path))
        .map_err(|e| format!("unable to load certificate from file '{path}': {}.", why(&e)))?;
    let base = match Path::new(path).extension() {
        Some(_) if extra.replace => path.rsplit_once('.').map_or(path, |(base, _)| base),
        _ => path,
    };
    let beside = |wanted: bool, extension: &str| {
        wanted.then(|| files.read(Path::new(&format!("{base}.{extension}"))).ok()).flatten()
    };
    Ok(Parts {
        pem,
        key: beside(extra.key, "key"),
        issuer: beside(extra.issuer, "issuer"),
        ocsp: beside(extra.ocsp, "ocsp").filter(|o| !o.is_empty()),
    })
}
