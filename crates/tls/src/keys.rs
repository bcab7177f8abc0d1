//! Keys that are made here, and what is made with them: requests for certificates (RFC 2986) and certificates that sign
//! themselves (manual section 12.7.1, `generate-dummy` and `acme`).

use crate::der::{BITS, BOOLEAN, INTEGER, OCTETS, OID, SEQUENCE, element};
use crate::mint::{algorithm, subject, time};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::{rand, signature};
use rustls::SignatureScheme as Scheme;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::SigningKey;
use std::net::IpAddr;
use std::sync::Arc;

/// A kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// RSA with so many bits.
    Rsa(u16),
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
    /// ECDSA on P-521.
    P521,
}

impl KeyType {
    /// RSA of this size, if it can be made.
    #[must_use]
    pub fn rsa(bits: u16) -> Option<Self> {
        matches!(bits, 2048 | 3072 | 4096 | 8192).then_some(Self::Rsa(bits))
    }
    /// ECDSA on the curve of this name.
    #[must_use]
    pub fn curve(name: &str) -> Option<Self> {
        match name {
            "P-256" | "prime256v1" | "secp256r1" => Some(Self::P256),
            "P-384" | "secp384r1" => Some(Self::P384),
            "P-521" | "secp521r1" => Some(Self::P521),
            _ => None,
        }
    }

    /// A new key. None: the system has no randomness.
    #[must_use]
    pub fn generate(self) -> Option<PrivateKeyDer<'static>> {
        let curve = |algorithm| {
            let key = signature::EcdsaKeyPair::generate(algorithm).ok()?;
            Some(key.to_pkcs8v1().ok()?.as_ref().to_vec())
        };
        let der = match self {
            Self::P256 => curve(&signature::ECDSA_P256_SHA256_ASN1_SIGNING)?,
            Self::P384 => curve(&signature::ECDSA_P384_SHA384_ASN1_SIGNING)?,
            Self::P521 => curve(&signature::ECDSA_P521_SHA512_ASN1_SIGNING)?,
            Self::Rsa(bits) => {
                let size = match bits {
                    ..=2048 => KeySize::Rsa2048,
                    2049..=3072 => KeySize::Rsa3072,
                    3073..=4096 => KeySize::Rsa4096,
                    _ => KeySize::Rsa8192,
                };
                let key = rsa::KeyPair::generate(size).ok()?;
                let der: Pkcs8V1Der<'_> = key.as_der().ok()?;
                der.as_ref().to_vec()
            }
        };
        Some(PrivatePkcs8KeyDer::from(der).into())
    }
}

/// What signs with a private key. None: there is nothing for this kind of key.
#[must_use]
pub fn signing(key: &PrivateKeyDer<'_>) -> Option<Arc<dyn SigningKey>> {
    crate::ecdsa::key(key).or_else(|| any_supported_type(key).ok())
}

/// Who a certificate shall be for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Names of the DNS.
    pub domains: Vec<String>,
    /// Addresses.
    pub addresses: Vec<IpAddr>,
}

impl Names {
    fn alternatives(&self) -> Vec<u8> {
        let names = self.domains.iter().map(|d| element(0x82, &[d.as_bytes()]));
        let addresses = self.addresses.iter().map(|a| match a {
            IpAddr::V4(a) => element(0x87, &[&a.octets()]),
            IpAddr::V6(a) => element(0x87, &[&a.octets()]),
        });
        let all: Vec<Vec<u8>> = names.chain(addresses).collect();
        let all: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
        element(SEQUENCE, &all)
    }
    fn subject(&self) -> Vec<u8> {
        match self.domains.first() {
            Some(first) => subject(&[], first),
            None => element(SEQUENCE, &[]),
        }
    }
}

fn extension(oid: &[u8], critical: bool, content: &[u8]) -> Vec<u8> {
    let critical = if critical { element(BOOLEAN, &[&[0xff]]) } else { Vec::new() };
    element(SEQUENCE, &[&element(OID, &[oid]), &critical, &element(OCTETS, &[content])])
}

const ALTERNATIVES: &[u8] = &[0x55, 0x1d, 0x11];

/// Signs `tbs` and puts all of it together.
fn signed(key: &Arc<dyn SigningKey>, tbs: impl FnOnce(&[u8]) -> Vec<u8>) -> Option<Vec<u8>> {
    let signer = key.choose_scheme(&[
        Scheme::ECDSA_NISTP256_SHA256,
        Scheme::ECDSA_NISTP384_SHA384,
        Scheme::ECDSA_NISTP521_SHA512,
        Scheme::ED25519,
        Scheme::RSA_PKCS1_SHA256,
    ])?;
    let algorithm = algorithm(signer.scheme())?;
    let tbs = tbs(&algorithm);
    let signature = signer.sign(&tbs).ok()?;
    Some(element(SEQUENCE, &[&tbs, &algorithm, &element(BITS, &[&[0], &signature])]))
}

/// A request for a certificate, DER.
#[must_use]
pub fn request(key: &PrivateKeyDer<'static>, names: &Names) -> Option<Vec<u8>> {
    /// extensionRequest
    const EXTENSIONS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 14];
    let key = signing(key)?;
    let public = key.public_key()?;
    let list = element(SEQUENCE, &[&extension(ALTERNATIVES, false, &names.alternatives())]);
    let attribute = element(SEQUENCE, &[&element(OID, &[EXTENSIONS]), &element(crate::der::SET, &[&list])]);
    signed(&key, |_| {
        element(
            SEQUENCE,
            &[&element(INTEGER, &[&[0]]), &names.subject(), public.as_ref(), &element(0xa0, &[&attribute])],
        )
    })
}

/// A certificate of this common name that its own key signs, for so many seconds from a day ago; with `more` extensions (each
/// DER).
#[must_use]
pub fn self_signed(
    key: &PrivateKeyDer<'static>,
    common: &str,
    names: &Names,
    (now, seconds): (i64, i64),
    more: &[u8],
) -> Option<Vec<u8>> {
    let key = signing(key)?;
    let public = key.public_key()?;
    let mut serial = [0; 8];
    rand::fill(&mut serial).ok()?;
    serial[0] = serial[0] & 0x3f | 0x40;
    let alternatives = match names.domains.is_empty() && names.addresses.is_empty() {
        true => Vec::new(),
        false => extension(ALTERNATIVES, false, &names.alternatives()),
    };
    let subject = subject(&[], common);
    signed(&key, |algorithm| {
        element(
            SEQUENCE,
            &[
                &element(0xa0, &[&element(INTEGER, &[&[2]])]),
                &element(INTEGER, &[&serial]),
                algorithm,
                &subject,
                &element(SEQUENCE, &[&time(now - 86_400), &time(now + seconds)]),
                &subject,
                public.as_ref(),
                &element(0xa3, &[&element(SEQUENCE, &[&alternatives, more])]),
            ],
        )
    })
}

/// What a certificate says that answers a challenge by ALPN (RFC 8737 section 3): the digest of the key authorization.
#[must_use]
pub fn acme_identifier(digest: &[u8]) -> Vec<u8> {
    extension(&[0x2b, 6, 1, 5, 5, 7, 1, 0x1f], true, &element(OCTETS, &[digest]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::x509::Cert;

    #[test]
    fn certificates_sign_themselves() {
        for kind in [KeyType::P256, KeyType::P384, KeyType::P521, KeyType::Rsa(2048)] {
            let key = kind.generate().unwrap();
            let names = Names { domains: vec!["a.test".into()], addresses: vec![[127, 0, 0, 1].into()] };
            let der =
                self_signed(&key, "a.test", &names, (1_790_000_000, 86_400), &acme_identifier(&[7; 32]))
                    .unwrap();
            let cert = Cert::parse(&der).unwrap();
            assert!(cert.verifies(&cert.signed()), "{kind:?}");
            assert_eq!(cert.dns_names().collect::<Vec<_>>(), ["a.test"]);
            assert_eq!(cert.addresses().collect::<Vec<_>>(), [[127, 0, 0, 1]]);
            assert_eq!(cert.validity(), (1_789_913_600, 1_790_086_400));
        }
    }

    #[test]
    fn kinds() {
        assert_eq!(KeyType::rsa(1024), None);
        assert_eq!(KeyType::curve("P-384"), Some(KeyType::P384));
        assert_eq!(KeyType::curve("P-999"), None);
    }
}
