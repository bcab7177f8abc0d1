//! Keys of tokens: PEM files and certificates that were read with the configuration, and JSON Web Keys (RFC 7517).

use super::super::json::Query;
use crate::value::Value;
use aws_lc_rs::agreement::{self, PrivateKey};
use aws_lc_rs::rsa::PrivateDecryptingKey;
use portcullis_tls::jwt;
use portcullis_tls::store::Key as Stored;
use portcullis_tls::x509::Cert;
use portcullis_wire::base64::{STANDARD, URL, decode};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, RwLock};

/// Public keys by the path under which the configuration names them, as DER.
static KEYS: LazyLock<RwLock<Named<[u8]>>> = LazyLock::new(RwLock::default);
/// Certificates that tokens may be verified and decrypted with.
static CERTIFICATES: LazyLock<RwLock<Named<Certificate>>> = LazyLock::new(RwLock::default);
/// What is kept by the path under which the configuration names it.
type Named<T> = HashMap<Vec<u8>, Arc<T>>;

/// A certificate that tokens may be verified with.
pub struct Certificate {
    /// Its public key, as DER.
    pub public: Box<[u8]>,
    /// Its private key, if the file has one.
    pub private: Option<Private>,
    /// What it was made of, if that is not a file that only a converter names.
    of: Option<Arc<portcullis_tls::store::Certificate>>,
}

/// A private key that content keys are decrypted or agreed with.
pub enum Private {
    /// RSA
    Rsa(PrivateDecryptingKey),
    /// ECDH
    Ec(PrivateKey),
}

/// A key that tokens are decrypted with.
pub enum Key {
    /// `oct`
    Secret(Vec<u8>),
    /// `RSA`, `EC`
    Private(Private),
}

/// The DER of the first PEM block with one of these labels, and which it was.
fn pem<'l>(text: &[u8], labels: &[&'l str]) -> Option<(Vec<u8>, &'l str)> {
    let text = String::from_utf8_lossy(text);
    let found = labels.iter().find_map(|label| {
        let begin = format!("-----BEGIN {label}-----");
        text.find(&begin).map(|i| (i + begin.len(), *label))
    });
    let (begin, label) = found?;
    let body = text.get(begin..)?;
    let body = body.get(..body.find("-----END")?)?;
    let body: Vec<u8> = body.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    Some((decode(STANDARD, true, &body)?, label))
}

/// Reads the file of a public key, so that [`public`] has it. False: there is none, or it is none.
pub fn read_public(path: &[u8]) -> bool {
    let der = crate::files::read(path).ok().and_then(|t| pem(&t, &["PUBLIC KEY", "RSA PUBLIC KEY"]));
    match (der, KEYS.write()) {
        (Some((der, _)), Ok(mut keys)) => {
            keys.insert(path.to_vec(), der.into());
            true
        }
        _ => false,
    }
}

/// The public key of this path.
pub fn public(path: &[u8]) -> Option<Arc<[u8]>> {
    KEYS.read().ok()?.get(path).cloned()
}

/// Reads the file of a certificate, so that [`certificate`] has it. False: there is none, or it is none.
pub fn read_certificate(path: &[u8]) -> bool {
    if jwt::allowed(&String::from_utf8_lossy(path)).is_some() {
        return true;
    }
    let read = || {
        let text = crate::files::read(path).ok()?;
        let (der, _) = pem(&text, &["CERTIFICATE"])?;
        let public = Cert::parse(&der)?.spki.into();
        Some(Certificate { public, private: private(&text), of: None })
    };
    match (read(), CERTIFICATES.write()) {
        (Some(certificate), Ok(mut all)) => {
            all.insert(path.to_vec(), Arc::new(certificate));
            true
        }
        _ => false,
    }
}

/// The certificate of this path: one that may be used for tokens (`jwt on`), or one that a converter names.
pub fn certificate(path: &[u8]) -> Option<Arc<Certificate>> {
    let known = CERTIFICATES.read().ok()?.get(path).cloned();
    let Some(current) = jwt::allowed(std::str::from_utf8(path).ok()?) else {
        return known.filter(|c| c.of.is_none());
    };
    if let Some(known) = known.filter(|c| c.of.as_ref().is_some_and(|of| Arc::ptr_eq(of, &current))) {
        return Some(known);
    }
    // it is new, or was changed since
    let public = Cert::parse(current.key.cert.first()?)?.spki.into();
    let private = current.secret.as_ref().and_then(|key| match key {
        Stored::Pkcs1(der) => of_der(der.secret_pkcs1_der(), "RSA PRIVATE KEY"),
        Stored::Sec1(der) => of_der(der.secret_sec1_der(), "EC PRIVATE KEY"),
        other => of_der(other.secret_der(), "PRIVATE KEY"),
    });
    let made = Arc::new(Certificate { public, private, of: Some(current) });
    CERTIFICATES.write().ok()?.insert(path.to_vec(), made.clone());
    Some(made)
}

/// The private key in a PEM text.
fn private(text: &[u8]) -> Option<Private> {
    let (der, label) = pem(text, &["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"])?;
    of_der(&der, label)
}

/// The private key in a block with this label.
fn of_der(der: &[u8], label: &str) -> Option<Private> {
    let der = der.to_vec();
    let pkcs8 = if label == "RSA PRIVATE KEY" { rsa_pkcs8(&der) } else { der };
    if label != "EC PRIVATE KEY"
        && let Ok(key) = PrivateDecryptingKey::from_pkcs8(&pkcs8)
    {
        return Some(Private::Rsa(key));
    }
    CURVES
        .iter()
        .find_map(|(_, curve, _)| PrivateKey::from_private_key_der(curve, &pkcs8).ok())
        .map(Private::Ec)
}

/// Curves by their names in keys, and the bytes of a coordinate.
pub const CURVES: [(&[u8], &agreement::Algorithm, usize); 3] = [
    (b"P-256", &agreement::ECDH_P256, 32),
    (b"P-384", &agreement::ECDH_P384, 48),
    (b"P-521", &agreement::ECDH_P521, 66),
];

/// The text at a path of a JSON document.
pub fn text(document: &[u8], path: &[u8]) -> Option<Vec<u8>> {
    match Query::new(path, b"").ok()?.run(document)? {
        Value::Str(s) => Some(s.into_owned()),
        _ => None,
    }
}

/// The base64url text at a path of a JSON document, decoded.
pub fn coded(document: &[u8], path: &[u8]) -> Option<Vec<u8>> {
    decode(URL, false, &text(document, path)?)
}

/// Reads a JSON Web Key.
///
/// # Errors
/// HAProxy's message.
pub fn jwk(document: &[u8]) -> Result<Key, &'static str> {
    let kind = text(document, b"$.kty").ok_or("Missing key type (expected 'oct', 'RSA' or 'EC')")?;
    match &kind[..] {
        b"oct" => {
            let k = text(document, b"$.k").ok_or("Missing 'k' field in JWK")?;
            Ok(Key::Secret(decode(URL, false, &k).unwrap_or_default()))
        }
        b"RSA" => rsa(document).map(|k| Key::Private(Private::Rsa(k))).ok_or("Failed to parse RSA JWK"),
        b"EC" => ec(document).map(|k| Key::Private(Private::Ec(k))).ok_or("Failed to parse EC JWK"),
        // the bracket is never closed there either
        _ => Err("Unmanaged key type (expected 'oct', 'RSA' or 'EC'"),
    }
}

fn ec(document: &[u8]) -> Option<PrivateKey> {
    let name = text(document, b"$.crv")?;
    let (_, curve, len) = CURVES.iter().find(|c| c.0 == name)?;
    let d = coded(document, b"$.d")?;
    let mut scalar = vec![0; len.checked_sub(d.len())?];
    scalar.extend_from_slice(&d);
    PrivateKey::from_private_key(curve, &scalar).ok()
}

fn rsa(document: &[u8]) -> Option<PrivateDecryptingKey> {
    let mut numbers = integer(&[0]);
    for path in [&b"$.n"[..], b"$.e", b"$.d", b"$.p", b"$.q", b"$.dp", b"$.dq", b"$.qi"] {
        numbers.extend(integer(&coded(document, path)?));
    }
    PrivateDecryptingKey::from_pkcs8(&rsa_pkcs8(&element(0x30, &numbers))).ok()
}

/// One element of DER.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let len = content.len();
    match len {
        0..=127 => out.push(len as u8),
        128..=255 => out.extend([0x81, len as u8]),
        _ => out.extend([0x82, (len >> 8) as u8, len as u8]),
    }
    out.extend_from_slice(content);
    out
}

/// A positive integer of DER.
fn integer(big_endian: &[u8]) -> Vec<u8> {
    let zeros = big_endian.iter().take_while(|b| **b == 0).count();
    let digits = big_endian.get(zeros..).unwrap_or(&[]);
    let mut content = Vec::with_capacity(digits.len() + 1);
    if digits.first().is_none_or(|b| b & 0x80 != 0) {
        content.push(0);
    }
    content.extend_from_slice(digits);
    element(2, &content)
}

/// PKCS#8 (RFC 5958) around a PKCS#1 private key (RFC 8017).
fn rsa_pkcs8(pkcs1: &[u8]) -> Vec<u8> {
    const RSA: &[u8] = &[0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
    let mut content = integer(&[0]);
    content.extend_from_slice(RSA);
    content.extend(element(4, pkcs1));
    element(0x30, &content)
}
