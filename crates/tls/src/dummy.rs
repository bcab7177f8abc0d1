//! Certificates that are made here and stand for one that is not there (yet): `generate-dummy` and its kin, and `load ... acme`
//! (manual section 12.7.1).

use crate::keys::{self, KeyType, Names};
use crate::store::Key;
use rustls::pki_types::CertificateDer;

/// What `load` says about such a certificate; `keytype`, `bits` and `curves` are there if they stand on the line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Dummy {
    /// `generate-dummy`
    pub on: bool,
    /// `keytype`
    pub kind: Option<String>,
    /// `bits`
    pub bits: Option<u16>,
    /// `curves`
    pub curves: Option<String>,
}

impl Dummy {
    /// The kind of its key.
    ///
    /// # Errors
    /// In HAProxy's words: there is no such kind, or nothing is to be made at all.
    pub fn key_type(&self) -> Result<KeyType, String> {
        if !self.on {
            return Err(
                "keyword 'keytype', 'bits' and 'curves' require 'generate-dummy' set to 'on'".to_owned()
            );
        }
        match self.kind.as_deref() {
            None | Some("RSA") => KeyType::rsa(self.bits.unwrap_or(2048))
                .ok_or_else(|| "'bits' : RSA keys of 2048, 3072, 4096 and 8192 bits can be made.".to_owned()),
            Some("ECDSA") => {
                let curve = self.curves.as_deref().unwrap_or("P-384");
                KeyType::curve(curve).ok_or_else(|| format!("unsupported curves '{curve}'."))
            }
            Some(_) => Err("keyword 'keytype' requires either 'RSA' or 'ECDSA'.".to_owned()),
        }
    }

    /// Does the line say anything of it?
    #[must_use]
    pub fn is_asked_for(&self) -> bool {
        *self != Self::default()
    }
}

const DAY: i64 = 86_400;

/// Such a certificate with its key: one that has ended already. None: no key can be made.
#[must_use]
pub fn make(key: KeyType, now: i64) -> Option<(CertificateDer<'static>, Key<'static>)> {
    let key = key.generate()?;
    let der = keys::self_signed(&key, "expired", &Names::default(), (now - DAY, 0), &[])?;
    Some((der.into(), key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::x509::{Cert, KeyKind};

    fn dummy(kind: Option<&str>, bits: Option<u16>, curves: Option<&str>) -> Result<KeyType, String> {
        let own = |s: Option<&str>| s.map(str::to_owned);
        Dummy { on: true, kind: own(kind), bits, curves: own(curves) }.key_type()
    }

    #[test]
    fn kinds_of_keys() {
        assert_eq!(dummy(None, None, Some("nonsense")), Ok(KeyType::Rsa(2048)));
        assert_eq!(dummy(Some("RSA"), Some(3072), None), Ok(KeyType::Rsa(3072)));
        assert_eq!(dummy(Some("ECDSA"), Some(7), None), Ok(KeyType::P384));
        assert_eq!(dummy(Some("ECDSA"), None, Some("P-256")), Ok(KeyType::P256));
        assert!(dummy(Some("RSA"), Some(1024), None).is_err());
        assert!(dummy(Some("DSA"), None, None).is_err());
        assert!(dummy(Some("ECDSA"), None, Some("X25519")).is_err());
        assert!(Dummy { bits: Some(2048), ..Dummy::default() }.key_type().is_err());
    }

    #[test]
    fn it_has_ended() {
        let (der, _) = make(KeyType::P256, 1_790_000_000).unwrap();
        let cert = Cert::parse(&der).unwrap();
        assert_eq!((cert.kind(), cert.validity()), (KeyKind::Ecdsa, (1_789_827_200, 1_789_913_600)));
        assert_eq!(crate::dn::one_line(cert.subject), b"/CN=expired");
    }
}
