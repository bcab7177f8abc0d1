//! ECDSA with any curve and any digest, as TLS 1.2 and certificates have it (RFC 5246 section 7.4.1.4.1, RFC 5480).
//!
//! The library knows one digest for each curve. ECDSA takes as many bits of a digest as the curve's order has, from the left, and
//! a shorter one stands for the number that it is (FIPS 186-5 section 6.4): so any digest can be given to it as that one.

use aws_lc_rs::digest::{self, Digest, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature as alg;
use aws_lc_rs::signature::{EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair};
use rustls::pki_types::{AlgorithmIdentifier, PrivateKeyDer, SubjectPublicKeyInfoDer, alg_id};
use rustls::sign::{Signer, SigningKey, public_key_to_spki};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};
use std::cell::Cell;
use std::sync::Arc;

/// A curve that signatures are verified on.
#[derive(Debug)]
pub(crate) struct Curve {
    /// Its object identifier.
    pub oid: &'static [u8],
    /// Bits of its order.
    pub bits: usize,
    verifies: &'static dyn alg::VerificationAlgorithm,
    /// The digest that the library knows for it.
    digest: &'static digest::Algorithm,
}

/// All of them: those of [`NATIVE`], and secp256k1.
pub(crate) const CURVES: [Curve; 4] = [
    Curve {
        oid: &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
        bits: 256,
        verifies: &alg::ECDSA_P256_SHA256_ASN1,
        digest: &digest::SHA256,
    },
    Curve {
        oid: &[0x2b, 0x81, 0x04, 0x00, 0x22],
        bits: 384,
        verifies: &alg::ECDSA_P384_SHA384_ASN1,
        digest: &digest::SHA384,
    },
    Curve {
        oid: &[0x2b, 0x81, 0x04, 0x00, 0x23],
        bits: 521,
        verifies: &alg::ECDSA_P521_SHA512_ASN1,
        digest: &digest::SHA512,
    },
    Curve {
        oid: &[0x2b, 0x81, 0x04, 0x00, 0x0a],
        bits: 256,
        verifies: &alg::ECDSA_P256K1_SHA256_ASN1,
        digest: &digest::SHA256,
    },
];

impl Curve {
    /// The curve with this object identifier.
    pub fn of(oid: &[u8]) -> Option<&'static Self> {
        CURVES.iter().find(|c| c.oid == oid)
    }

    /// Is it the curve of this scheme, as TLS 1.3 has it?
    pub fn is_of(&self, scheme: SignatureScheme) -> bool {
        let at = NATIVE.iter().position(|n| n.1 == scheme);
        at.and_then(|at| CURVES.get(at)).is_some_and(|curve| curve.oid == self.oid)
    }

    /// Did the owner of this key sign the digest of a message?
    pub fn verify(
        &self,
        key: &[u8],
        with: &'static digest::Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        let key = alg::UnparsedPublicKey::new(self.verifies, key);
        let digest = stand_in(&digest(with, message), self.digest);
        digest.is_some_and(|digest| key.verify_digest(&digest, signature).is_ok())
    }
}

/// The digest that the library takes for `of`.
fn stand_in(of: &Digest, known: &'static digest::Algorithm) -> Option<Digest> {
    let (of, len) = (of.as_ref(), known.output_len());
    let mut bytes = [0; digest::MAX_OUTPUT_LEN];
    let bytes = bytes.get_mut(..len)?;
    let kept = of.get(..len).unwrap_or(of);
    bytes.get_mut(len - kept.len()..)?.copy_from_slice(kept);
    Digest::import_less_safe(bytes, known).ok()
}

/// The digest of a scheme as TLS 1.2 has it, where it says nothing of the curve.
pub(crate) fn digest_of(scheme: SignatureScheme) -> Option<&'static digest::Algorithm> {
    match scheme {
        SignatureScheme::ECDSA_NISTP256_SHA256 => Some(&digest::SHA256),
        SignatureScheme::ECDSA_NISTP384_SHA384 => Some(&digest::SHA384),
        SignatureScheme::ECDSA_NISTP521_SHA512 => Some(&digest::SHA512),
        _ => None,
    }
}

thread_local! {
    /// A key does not know its connection: who runs the handshake says here whether it is one of TLS 1.3.
    static V13: Cell<bool> = const { Cell::new(false) };
}

/// The handshake that is run next on this thread is one of TLS 1.3 (true), where each curve has its digest.
pub(crate) fn set_v13(v13: bool) {
    V13.set(v13);
}

/// What the library makes of a curve: how it signs, the scheme whose digest is the one that it knows, and the curve's name.
type Native = (&'static EcdsaSigningAlgorithm, SignatureScheme, AlgorithmIdentifier);

const NATIVE: [Native; 3] = [
    (&alg::ECDSA_P256_SHA256_ASN1_SIGNING, SignatureScheme::ECDSA_NISTP256_SHA256, alg_id::ECDSA_P256),
    (&alg::ECDSA_P384_SHA384_ASN1_SIGNING, SignatureScheme::ECDSA_NISTP384_SHA384, alg_id::ECDSA_P384),
    (&alg::ECDSA_P521_SHA512_ASN1_SIGNING, SignatureScheme::ECDSA_NISTP521_SHA512, alg_id::ECDSA_P521),
];

/// A private key on P-256, P-384 or P-521.
#[derive(Debug)]
struct Key {
    pair: Arc<EcdsaKeyPair>,
    /// The scheme of its curve.
    scheme: SignatureScheme,
    curve: AlgorithmIdentifier,
}

/// The key in a file, if it is one.
pub(crate) fn key(der: &PrivateKeyDer<'_>) -> Option<Arc<dyn SigningKey>> {
    let read = |with| match der {
        PrivateKeyDer::Sec1(der) => EcdsaKeyPair::from_private_key_der(with, der.secret_sec1_der()).ok(),
        PrivateKeyDer::Pkcs8(der) => EcdsaKeyPair::from_pkcs8(with, der.secret_pkcs8_der()).ok(),
        _ => None,
    };
    let (pair, scheme, curve) = NATIVE.iter().find_map(|n| Some((Arc::new(read(n.0)?), n.1, n.2)))?;
    Some(Arc::new(Key { pair, scheme, curve }))
}

impl SigningKey for Key {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let own = offered.contains(&self.scheme).then_some(self.scheme);
        let other = || offered.iter().copied().find(|s| digest_of(*s).is_some()).filter(|_| !V13.get());
        let scheme = own.or_else(other)?;
        Some(Box::new(Signs { pair: self.pair.clone(), native: self.scheme, scheme }))
    }
    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(public_key_to_spki(&self.curve, self.pair.public_key()))
    }
    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

/// A key that signs with one scheme.
#[derive(Debug)]
struct Signs {
    pair: Arc<EcdsaKeyPair>,
    native: SignatureScheme,
    scheme: SignatureScheme,
}

impl Signer for Signs {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signature = match (digest_of(self.scheme), digest_of(self.native)) {
            (Some(with), Some(known)) if self.scheme != self.native => {
                stand_in(&digest(with, message), known).and_then(|digest| self.pair.sign_digest(&digest).ok())
            }
            _ => self.pair.sign(&SystemRandom::new(), message).ok(),
        };
        signature.map(|s| s.as_ref().to_vec()).ok_or_else(|| Error::General("signing failed".to_owned()))
    }
    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::KeyType;

    /// Each curve signs with each digest, as others verify it; TLS 1.3 has one for each.
    #[test]
    fn any_digest_with_any_curve() {
        use SignatureScheme as S;
        let schemes = [S::ECDSA_NISTP256_SHA256, S::ECDSA_NISTP384_SHA384, S::ECDSA_NISTP521_SHA512];
        let by_others: [[&dyn alg::VerificationAlgorithm; 3]; 3] = [
            [&alg::ECDSA_P256_SHA256_ASN1, &alg::ECDSA_P256_SHA384_ASN1, &alg::ECDSA_P256_SHA512_ASN1],
            [&alg::ECDSA_P384_SHA256_ASN1, &alg::ECDSA_P384_SHA384_ASN1, &alg::ECDSA_P384_SHA512_ASN1],
            [&alg::ECDSA_P521_SHA256_ASN1, &alg::ECDSA_P521_SHA384_ASN1, &alg::ECDSA_P521_SHA512_ASN1],
        ];
        let kinds = [KeyType::P256, KeyType::P384, KeyType::P521];
        for ((kind, curve), by_others) in kinds.into_iter().zip(&CURVES).zip(by_others) {
            let key = key(&kind.generate().unwrap()).unwrap();
            let public = key.public_key().unwrap();
            let point = &public.as_ref()[public.as_ref().len() - (curve.bits.div_ceil(8) * 2 + 1)..];
            for (scheme, other) in schemes.into_iter().zip(by_others) {
                set_v13(false);
                let signer = key.choose_scheme(&[S::RSA_PSS_SHA256, scheme]).unwrap();
                assert_eq!(signer.scheme(), scheme);
                let signature = signer.sign(b"message").unwrap();
                let public = alg::UnparsedPublicKey::new(other, point);
                assert!(public.verify(b"message", &signature).is_ok(), "{kind:?} {scheme:?}");
                let digest = digest_of(scheme).unwrap();
                assert!(curve.verify(point, digest, b"message", &signature));
                assert!(!curve.verify(point, digest, b"massage", &signature));
                set_v13(true);
                assert_eq!(
                    key.choose_scheme(&[scheme]).is_some(),
                    digest_of(scheme).unwrap() == curve.digest
                );
            }
            set_v13(false);
            assert!(key.choose_scheme(&[S::RSA_PSS_SHA256, S::ED25519]).is_none());
            assert_eq!(
                key.choose_scheme(&schemes).unwrap().scheme(),
                match curve.bits {
                    256 => schemes[0],
                    384 => schemes[1],
                    _ => schemes[2],
                }
            );
        }
    }
}
