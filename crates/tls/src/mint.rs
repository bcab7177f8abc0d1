//! Certificates that are made for the names that clients ask for (`generate-certificates`, manual section 5.1): with the key of
//! the certificate that would be answered with otherwise, signed by the authority of `ca-sign-file`.

use crate::der::{BITS, INTEGER, OCTETS, OID, SEQUENCE, SET, element};
use crate::store::{Certificate, Load};
use crate::x509::Cert;
use aws_lc_rs::{digest, rand};
use parking_lot::Mutex;
use rustls::SignatureScheme as Scheme;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::sync::Arc;

const DAY: i64 = 86_400;
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
/// Longest common name (RFC 5280 appendix A.1).
const MOST_COMMON: usize = 64;

/// Makes certificates, and keeps those that were wanted last.
#[derive(Debug)]
pub struct Mint {
    authority: Arc<CertifiedKey>,
    /// Most certificates that are kept (`tune.ssl.ssl-ctx-cache-size`).
    most: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// By name; the number says when each was wanted last.
    all: HashMap<Box<str>, (u64, Arc<Certificate>)>,
    clock: u64,
}

impl Mint {
    /// With an authority's certificate and key.
    #[must_use]
    pub fn new(authority: Arc<CertifiedKey>, most: usize) -> Self {
        Self { authority, most, kept: Mutex::default() }
    }

    /// The certificate for a name, with this one's key.
    #[must_use]
    pub fn certificate(&self, name: &str, like: &Certificate) -> Option<Arc<Certificate>> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        if name.is_empty() || name.len() > 253 || !name.bytes().all(plain) {
            return None;
        }
        if let Some(known) = self.kept.lock().find(name, like) {
            return Some(known);
        }
        let made = Arc::new(self.make(name, like)?);
        self.kept.lock().keep(name, made.clone(), self.most);
        Some(made)
    }

    fn make(&self, name: &str, like: &Certificate) -> Option<Certificate> {
        let above = self.authority.cert.first()?;
        let authority = Cert::parse(above.as_ref())?;
        let key = Cert::parse(like.key.cert.first()?.as_ref())?.spki;
        let now = crate::x509::now();
        let signer = self.authority.key.choose_scheme(&[
            Scheme::ECDSA_NISTP256_SHA256,
            Scheme::ECDSA_NISTP384_SHA384,
            Scheme::ECDSA_NISTP521_SHA512,
            Scheme::ED25519,
            Scheme::RSA_PKCS1_SHA256,
        ])?;
        let algorithm = algorithm(signer.scheme())?;
        let mut serial = [0; 8];
        rand::fill(&mut serial).ok()?;
        serial[0] = serial[0] & 0x3f | 0x40;
        let tbs = element(
            SEQUENCE,
            &[
                &element(0xa0, &[&element(INTEGER, &[&[2]])]),
                &element(INTEGER, &[&serial]),
                &algorithm,
                authority.subject,
                &element(SEQUENCE, &[&time(now - DAY), &time(now + 365 * DAY)]),
                &subject(authority.subject, name),
                key,
                &element(0xa3, &[&extensions(&authority, key, name)]),
            ],
        );
        let signature = signer.sign(&tbs).ok()?;
        let der = element(SEQUENCE, &[&tbs, &algorithm, &element(BITS, &[&[0], &signature])]);
        let chain = vec![CertificateDer::from(der), above.clone()];
        Some(Certificate {
            key: Arc::new(CertifiedKey::new(chain, like.key.key.clone())),
            stapled: None,
            kind: like.kind,
            names: Vec::new(),
            secret: None,
            issuer: None,
            load: Arc::new(Load::default()),
        })
    }
}

impl Kept {
    fn find(&mut self, name: &str, like: &Certificate) -> Option<Arc<Certificate>> {
        self.clock += 1;
        let (wanted, known) = self.all.get_mut(name)?;
        *wanted = self.clock;
        Arc::ptr_eq(&known.key.key, &like.key.key).then(|| known.clone())
    }

    fn keep(&mut self, name: &str, made: Arc<Certificate>, most: usize) {
        if most == 0 {
            return;
        }
        if self.all.len() >= most
            && let Some(oldest) =
                self.all.iter().min_by_key(|(_, (wanted, _))| *wanted).map(|(n, _)| n.clone())
        {
            self.all.remove(&oldest);
        }
        self.all.insert(name.into(), (self.clock, made));
    }
}

/// The identifier of what a scheme signs with.
pub(crate) fn algorithm(scheme: Scheme) -> Option<Vec<u8>> {
    let oid: &[u8] = match scheme {
        Scheme::ECDSA_NISTP256_SHA256 => &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2],
        Scheme::ECDSA_NISTP384_SHA384 => &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3],
        Scheme::ECDSA_NISTP521_SHA512 => &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4],
        Scheme::ED25519 => &[0x2b, 0x65, 0x70],
        Scheme::RSA_PKCS1_SHA256 => &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11],
        _ => return None,
    };
    let null: &[u8] = if scheme == Scheme::RSA_PKCS1_SHA256 { &[5, 0] } else { &[] };
    Some(element(SEQUENCE, &[&element(OID, &[oid]), null]))
}

/// The authority's name with the wanted one behind it.
pub(crate) fn subject(authority: &[u8], name: &str) -> Vec<u8> {
    let before = crate::der::Der(authority).inside(SEQUENCE).map_or(&[][..], |d| d.0);
    let own = match name.len() <= MOST_COMMON {
        true => element(
            SET,
            &[&element(SEQUENCE, &[&element(OID, &[COMMON_NAME]), &element(0x0c, &[name.as_bytes()])])],
        ),
        false => Vec::new(),
    };
    element(SEQUENCE, &[before, &own])
}

fn extensions(authority: &Cert<'_>, key: &[u8], name: &str) -> Vec<u8> {
    let one = |id: u8, critical: bool, content: &[u8]| {
        let critical = if critical { element(crate::der::BOOLEAN, &[&[0xff]]) } else { Vec::new() };
        element(SEQUENCE, &[&element(OID, &[&[0x55, 0x1d, id]]), &critical, &element(OCTETS, &[content])])
    };
    // RFC 5280 section 4.2.1.2: the hash of the key's bits
    let bits = crate::der::Der(key).inside(SEQUENCE).and_then(|mut d| {
        d.next()?;
        d.tagged(BITS)?.content.get(1..)
    });
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bits.unwrap_or(&[]));
    let above = authority
        .subject_key_id()
        .map_or_else(Vec::new, |id| one(0x23, false, &element(SEQUENCE, &[&element(0x80, &[id])])));
    element(
        SEQUENCE,
        &[
            &one(0x13, false, &element(SEQUENCE, &[])),
            &one(0x0e, false, &element(OCTETS, &[hash.as_ref()])),
            &above,
            // digitalSignature, nonRepudiation, keyEncipherment
            &one(0x0f, false, &element(BITS, &[&[5, 0xe0]])),
            &one(0x11, false, &element(SEQUENCE, &[&element(0x82, &[name.as_bytes()])])),
        ],
    )
}

/// A time, with two digits of the year until 2050 (RFC 5280 section 4.1.2.5).
pub(crate) fn time(at: i64) -> Vec<u8> {
    let [year, month, day, hour, minute, second] = crate::describe::civil(at);
    let rest = format!("{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
    match year {
        ..2050 => element(0x17, &[format!("{:02}{rest}", year % 100).as_bytes()]),
        _ => element(0x18, &[format!("{year:04}{rest}").as_bytes()]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Parts, build};

    fn certificate() -> Certificate {
        let parts = Parts { pem: include_bytes!("../tests/self_signed.pem").to_vec(), ..Parts::default() };
        build("x", &parts, &mut Default::default()).unwrap()
    }

    #[test]
    fn a_certificate_is_for_its_name_and_signed() {
        let like = certificate();
        let mint = Mint::new(like.key.clone(), 2);
        let made = mint.certificate("a.example", &like).unwrap();
        let cert = Cert::parse(made.key.cert[0].as_ref()).unwrap();
        let authority = Cert::parse(like.key.cert[0].as_ref()).unwrap();
        assert_eq!(cert.dns_names().collect::<Vec<_>>(), ["a.example"]);
        assert_eq!(crate::dn::one_line(cert.subject), b"/CN=fuzz/CN=a.example");
        assert!(authority.verifies(&cert.signed()) && crate::verify::issued(&authority, &cert));
        assert_eq!(cert.spki, authority.spki);
        assert!(cert.validity().0 < cert.validity().1);
        assert_eq!(made.key.cert.len(), 2);
    }

    #[test]
    fn the_last_ones_are_kept() {
        let like = certificate();
        let mint = Mint::new(like.key.clone(), 2);
        let get = |name: &str| mint.certificate(name, &like).unwrap();
        let (a, b) = (get("a"), get("b"));
        assert!(Arc::ptr_eq(&a, &get("a")));
        get("c");
        assert!(Arc::ptr_eq(&a, &get("a")) && !Arc::ptr_eq(&b, &get("b")));
        assert!(mint.certificate("", &like).is_none() && mint.certificate("a b", &like).is_none());
        // another key: the certificate is made again
        assert!(!Arc::ptr_eq(&get("a"), &mint.certificate("a", &certificate()).unwrap()));
    }
}
