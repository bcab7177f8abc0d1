//! Certificates as far as a proxy looks into them: names, dates, keys, signatures.

use crate::der::{BITS, BOOLEAN, Der, Element, INTEGER, OCTETS, OID, SEQUENCE, SET};
use crate::ecdsa::{self, Curve};
use aws_lc_rs::digest;
use aws_lc_rs::signature as alg;
use rustls::SignatureScheme;

/// A certificate that was taken apart; everything borrows its DER.
#[derive(Clone, Copy, Debug)]
pub struct Cert<'a> {
    /// All of it.
    pub der: &'a [u8],
    /// What stands behind it: what a `TRUSTED CERTIFICATE` is trusted for (openssl-x509(1)).
    trust: &'a [u8],
    /// What is signed.
    pub tbs: &'a [u8],
    /// 1 to 3.
    pub version: u8,
    /// Serial number, as DER has it (a leading zero if the first bit is set).
    pub serial: &'a [u8],
    /// Issuer, a whole DER sequence.
    pub issuer: &'a [u8],
    /// Subject, a whole DER sequence.
    pub subject: &'a [u8],
    /// As written, `YYMMDDhhmmssZ`.
    pub not_before: Element<'a>,
    /// As written.
    pub not_after: Element<'a>,
    /// The public key with its algorithm, a whole DER sequence.
    pub spki: &'a [u8],
    /// The algorithm that signed it.
    pub signature_oid: &'a [u8],
    /// Its signature.
    pub signature: &'a [u8],
    /// What is signed names the same algorithm.
    pub algorithms_agree: bool,
    extensions: &'a [u8],
}

/// An extension of a certificate, of a revocation list or of one of its entries.
#[derive(Clone, Copy, Debug)]
pub struct Extension<'a> {
    /// What it is.
    pub oid: &'a [u8],
    /// Who does not know it may not go on.
    pub critical: bool,
    /// What it says, as DER.
    pub value: &'a [u8],
}

impl<'a> Extension<'a> {
    /// Takes one apart.
    #[must_use]
    pub fn parse(e: Element<'a>) -> Option<Self> {
        let mut d = Der(e.content);
        let oid = d.tagged(OID)?.content;
        let critical = d.tagged(BOOLEAN).is_some_and(|b| b.content != [0]);
        Some(Self { oid, critical, value: d.only(OCTETS)? })
    }

    /// Takes the content of a list apart; `None` if one cannot be read or is there twice.
    #[must_use]
    pub fn list(content: &'a [u8]) -> Option<Vec<Self>> {
        let list: Vec<Self> = Der(content).all()?.into_iter().map(Self::parse).collect::<Option<_>>()?;
        let twice = list.iter().enumerate().any(|(at, e)| list.iter().skip(at + 1).any(|f| f.oid == e.oid));
        (!twice).then_some(list)
    }
}

/// What a certificate that issues others is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// None at all.
    No,
    /// One that says so (basicConstraints).
    Yes,
    /// One that is old enough to say nothing: it can be a root.
    Root,
    /// One of Netscape's, perhaps not for TLS.
    Netscape {
        /// It is for TLS.
        tls: bool,
    },
}

/// What a certificate is shown for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// By a server.
    #[default]
    Server,
    /// By a client.
    Client,
}

/// Bits of keyUsage (RFC 5280 section 4.2.1.3).
pub mod usage {
    /// digitalSignature
    pub const SIGNATURE: u8 = 0x80;
    /// keyEncipherment
    pub const ENCIPHERMENT: u8 = 0x20;
    /// keyAgreement
    pub const AGREEMENT: u8 = 0x08;
    /// keyCertSign
    pub const CERTIFICATES: u8 = 0x04;
    /// cRLSign
    pub const LISTS: u8 = 0x02;
}

/// Identifiers of extensions.
mod id {
    pub const SUBJECT_KEY: &[u8] = &[0x55, 0x1d, 0x0e];
    pub const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
    pub const ALT_NAMES: &[u8] = &[0x55, 0x1d, 0x11];
    pub const CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
    pub const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x1e];
    pub const DISTRIBUTION: &[u8] = &[0x55, 0x1d, 0x1f];
    pub const AUTHORITY_KEY: &[u8] = &[0x55, 0x1d, 0x23];
    pub const EXTENDED_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
    pub const PROXY: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 1, 14];
    pub const NETSCAPE_TYPE: &[u8] = &[0x60, 0x86, 0x48, 1, 0x86, 0xf8, 0x42, 1, 1];
    /// Critical ones that a judge of certificates knows. Policies and their kin count only for who asks for a policy.
    pub const KNOWN: &[&[u8]] = &[
        KEY_USAGE,
        ALT_NAMES,
        CONSTRAINTS,
        NAME_CONSTRAINTS,
        DISTRIBUTION,
        EXTENDED_USAGE,
        PROXY,
        NETSCAPE_TYPE,
        // certificatePolicies, policyMappings, policyConstraints, inhibitAnyPolicy
        &[0x55, 0x1d, 0x20],
        &[0x55, 0x1d, 0x21],
        &[0x55, 0x1d, 0x24],
        &[0x55, 0x1d, 0x36],
        // ipAddrBlocks, autonomousSysIds, OCSP noCheck
        &[0x2b, 6, 1, 5, 5, 7, 1, 7],
        &[0x2b, 6, 1, 5, 5, 7, 1, 8],
        &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 5],
    ];
}

/// Can what this extension says be read? Unknown ones are not looked into.
fn readable(e: &Extension<'_>) -> bool {
    let v = Der(e.value);
    let sequence = || v.only(SEQUENCE).and_then(|c| Der(c).all());
    match e.oid {
        id::SUBJECT_KEY => v.only(OCTETS).is_some(),
        id::KEY_USAGE => v.only(BITS).and_then(|c| c.get(1..)).is_some_and(|c| c.iter().any(|b| *b != 0)),
        id::NETSCAPE_TYPE => v.only(BITS).is_some_and(|c| !c.is_empty()),
        id::CONSTRAINTS => {
            let negative =
                |e: &Element<'_>| e.tag == INTEGER && e.content.first().is_none_or(|b| b & 0x80 != 0);
            sequence().is_some_and(|l| !l.iter().any(negative))
        }
        id::EXTENDED_USAGE => sequence().is_some_and(|l| l.iter().all(|e| e.tag == OID)),
        id::NAME_CONSTRAINTS => crate::constraints::Constraints::parse(e.value).is_some(),
        id::ALT_NAMES | id::DISTRIBUTION | id::AUTHORITY_KEY => sequence().is_some(),
        _ => true,
    }
}

/// What a signature is made over, and by which algorithm.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// The bytes.
    pub tbs: &'a [u8],
    /// The algorithm.
    pub oid: &'a [u8],
    /// The signature.
    pub signature: &'a [u8],
}

/// Kinds of keys that certificates are chosen by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyKind {
    /// ECDSA
    Ecdsa,
    /// RSA
    Rsa,
    /// Anything else (Ed25519).
    Other,
}

const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// A bit string's bytes.
fn bits<'a>(d: &mut Der<'a>) -> Option<&'a [u8]> {
    d.tagged(BITS)?.content.get(1..)
}

impl<'a> Cert<'a> {
    /// Takes a certificate apart.
    #[must_use]
    pub fn parse(der: &'a [u8]) -> Option<Self> {
        let mut file = Der(der);
        let whole = file.tagged(SEQUENCE)?;
        let mut outer = Der(whole.content);
        let tbs = outer.tagged(SEQUENCE)?;
        let algorithm = outer.tagged(SEQUENCE)?;
        let signature_oid = Der(algorithm.content).tagged(OID)?.content;
        let signature = bits(&mut outer)?;
        let mut d = Der(tbs.content);
        let version =
            d.inside(0xa0).and_then(|mut v| v.next()?.content.first().copied()).map_or(1, |v| v + 1);
        let serial = d.tagged(INTEGER)?.content;
        let algorithms_agree = d.tagged(SEQUENCE)?.whole == algorithm.whole;
        let issuer = d.tagged(SEQUENCE)?.whole;
        let mut dates = d.inside(SEQUENCE)?;
        let (not_before, not_after) = (dates.next()?, dates.next()?);
        let subject = d.tagged(SEQUENCE)?.whole;
        let spki = d.tagged(SEQUENCE)?.whole;
        let mut extensions: &[u8] = &[];
        for e in d {
            if e.tag == 0xa3 {
                extensions = Der(e.content).inside(SEQUENCE)?.0;
            }
        }
        Some(Self {
            der: whole.whole,
            trust: file.0,
            tbs: tbs.whole,
            version,
            serial,
            issuer,
            subject,
            not_before,
            not_after,
            spki,
            signature_oid,
            signature,
            algorithms_agree,
            extensions,
        })
    }

    /// The content of an extension, and whether it is critical.
    #[must_use]
    pub fn extension(&self, oid: &[u8]) -> Option<(&'a [u8], bool)> {
        let all = Der(self.extensions).filter_map(Extension::parse);
        all.into_iter().find(|e| e.oid == oid).map(|e| (e.value, e.critical))
    }

    /// What stands behind it of being trusted for a purpose: `Some(false)` it is not, `None` nothing is said.
    #[must_use]
    pub fn trusted_for(&self, purpose: Purpose) -> Option<bool> {
        let mut said = Der(self.trust).inside(SEQUENCE)?;
        let arc = if purpose == Purpose::Server { 1 } else { 2 };
        let wanted: [&[u8]; 2] = [&[0x2b, 6, 1, 5, 5, 7, 3, arc], &[0x55, 0x1d, 0x25, 0]];
        let names = |mut list: Der<'_>| list.any(|e| wanted.contains(&e.content));
        let trusted = said.inside(SEQUENCE).map(names);
        let rejected = said.inside(0xa0).is_some_and(names);
        if rejected { Some(false) } else { trusted }
    }

    /// Can all that its extensions say be read?
    #[must_use]
    pub fn well_formed(&self) -> bool {
        Extension::list(self.extensions).is_some_and(|list| list.iter().all(readable))
    }

    /// Does it demand that something is understood that is not (RFC 5280 section 4.2)?
    #[must_use]
    pub fn demands_unknown(&self) -> bool {
        let mut all = Der(self.extensions).filter_map(Extension::parse);
        all.any(|e| e.critical && !id::KNOWN.contains(&e.oid))
    }

    /// Is it a proxy certificate (RFC 3820)?
    #[must_use]
    pub fn is_proxy(&self) -> bool {
        self.extension(id::PROXY).is_some()
    }

    /// The names that it is valid for by DNS: those of subjectAltName.
    pub fn dns_names(&self) -> impl Iterator<Item = &'a str> {
        let names = self.alt_names();
        names.filter(|e| e.tag == 0x82).filter_map(|e| std::str::from_utf8(e.content).ok())
    }

    /// The addresses of subjectAltName.
    pub fn addresses(&self) -> impl Iterator<Item = &'a [u8]> {
        self.alt_names().filter(|e| e.tag == 0x87).map(|e| e.content)
    }

    /// subjectAltName, element by element.
    pub fn alt_names(&self) -> Der<'a> {
        let names = self.extension(id::ALT_NAMES).and_then(|(v, _)| Der(v).inside(SEQUENCE));
        names.unwrap_or(Der(&[]))
    }

    /// The common names of the subject.
    pub fn common_names(&self) -> impl Iterator<Item = String> + use<'a> {
        attributes(self.subject).filter(|(oid, _)| *oid == COMMON_NAME).map(|(_, v)| text(v))
    }

    /// Its public key: the algorithm, the curve if there is one, and the key itself.
    #[must_use]
    pub fn key(&self) -> Option<(&'a [u8], &'a [u8], &'a [u8])> {
        let mut d = Der(self.spki).inside(SEQUENCE)?;
        let mut algorithm = d.inside(SEQUENCE)?;
        let oid = algorithm.tagged(OID)?.content;
        let curve = algorithm.tagged(OID).map_or(&[][..], |e| e.content);
        Some((oid, curve, bits(&mut d)?))
    }

    /// What kind of key it has.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        match self.key() {
            Some((RSA, ..)) => KeyKind::Rsa,
            Some((EC, ..)) => KeyKind::Ecdsa,
            _ => KeyKind::Other,
        }
    }

    /// `RSA2048`, `EC256` …, as `ssl_c_key_alg` and listings name it: kind and size.
    #[must_use]
    pub fn key_name(&self) -> (&'static str, usize) {
        match self.key() {
            Some((RSA, _, key)) => {
                let modulus = Der(key).inside(SEQUENCE).and_then(|mut d| d.tagged(INTEGER));
                let modulus = modulus.map_or(&[][..], |m| m.content);
                let zeros = modulus.iter().take_while(|b| **b == 0).count();
                ("RSA", (modulus.len() - zeros) * 8)
            }
            Some((EC, curve, _)) => ("EC", Curve::of(curve).map_or(0, |c| c.bits)),
            Some((ED25519, ..)) => ("ED25519", 256),
            _ => ("", 0),
        }
    }

    /// What its issuer signed.
    #[must_use]
    pub fn signed(&self) -> Signed<'a> {
        Signed { tbs: self.tbs, oid: self.signature_oid, signature: self.signature }
    }

    /// Did this certificate's key sign that?
    #[must_use]
    pub fn verifies(&self, what: &Signed<'_>) -> bool {
        let Some((oid, curve, key)) = self.key() else { return false };
        let by_rsa = |a: &&'static dyn alg::VerificationAlgorithm| {
            alg::UnparsedPublicKey::new(*a, key).verify(what.tbs, what.signature).is_ok()
        };
        match oid {
            EC => Curve::of(curve)
                .zip(ecdsa_digest(what.oid))
                .is_some_and(|(curve, with)| curve.verify(key, with, what.tbs, what.signature)),
            RSA | ED25519 => algorithms(what.oid, oid).iter().any(by_rsa),
            _ => false,
        }
    }

    /// Did its key sign this handshake with this scheme? TLS 1.3 ties curves to schemes and knows no PKCS #1.
    #[must_use]
    pub fn signed_handshake(
        &self,
        scheme: SignatureScheme,
        message: &[u8],
        signature: &[u8],
        tls13: bool,
    ) -> bool {
        use SignatureScheme as S;
        let Some((oid, curve, key)) = self.key() else { return false };
        if let Some((curve, with)) = Curve::of(curve).zip(ecdsa::digest_of(scheme)) {
            return oid == EC
                && (!tls13 || curve.is_of(scheme))
                && curve.verify(key, with, message, signature);
        }
        let algorithm: &dyn alg::VerificationAlgorithm = match (scheme, oid) {
            (S::RSA_PSS_SHA256, RSA) => &alg::RSA_PSS_2048_8192_SHA256,
            (S::RSA_PSS_SHA384, RSA) => &alg::RSA_PSS_2048_8192_SHA384,
            (S::RSA_PSS_SHA512, RSA) => &alg::RSA_PSS_2048_8192_SHA512,
            (S::RSA_PKCS1_SHA256, RSA) if !tls13 => &alg::RSA_PKCS1_2048_8192_SHA256,
            (S::RSA_PKCS1_SHA384, RSA) if !tls13 => &alg::RSA_PKCS1_2048_8192_SHA384,
            (S::RSA_PKCS1_SHA512, RSA) if !tls13 => &alg::RSA_PKCS1_2048_8192_SHA512,
            (S::ED25519, ED25519) => &alg::ED25519,
            _ => return false,
        };
        alg::UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
    }

    /// Issued by itself, as its names say.
    #[must_use]
    pub fn self_issued(&self) -> bool {
        same_name(self.issuer, self.subject)
    }

    /// Issued by itself, as its names, key identifiers and kind of key say.
    #[must_use]
    pub fn self_signed(&self) -> bool {
        self.issued_by(self)
    }

    /// Did `issuer` issue this one, as names, key identifiers and kinds of keys say? The signature is not looked at.
    #[must_use]
    pub fn issued_by(&self, issuer: &Cert<'_>) -> bool {
        same_name(issuer.subject, self.issuer)
            && self.extension(id::AUTHORITY_KEY).is_none_or(|(v, _)| issuer.is_named_by(v))
            && issuer.key().is_some_and(|(kind, ..)| can_sign(kind, self.signature_oid))
            && issuer.well_formed()
            && self.well_formed()
    }

    /// Does an authorityKeyIdentifier mean this one (RFC 5280 section 4.2.1.1)? What it does not say may be anything.
    #[must_use]
    pub fn is_named_by(&self, identifier: &[u8]) -> bool {
        let Some(mut d) = Der(identifier).inside(SEQUENCE) else { return false };
        let key = d.tagged(0x80);
        let issuer = d.tagged(0xa1).and_then(|names| Der(names.content).find(|n| n.tag == 0xa4));
        let serial = d.tagged(0x82);
        let other = key.zip(self.subject_key_id()).is_some_and(|(k, own)| k.content != own)
            || serial.is_some_and(|n| n.content != self.serial)
            || issuer.is_some_and(|n| !same_name(n.content, self.issuer));
        !other
    }

    /// basicConstraints: `None` if it has none, else whether it is an authority, and how many may stand below it.
    #[must_use]
    pub fn constraints(&self) -> Option<(bool, Option<u32>)> {
        let (v, _) = self.extension(id::CONSTRAINTS)?;
        let mut d = Der(v).inside(SEQUENCE)?;
        let ca = d.tagged(BOOLEAN).is_some_and(|b| b.content != [0]);
        let len = d.tagged(INTEGER).map(|n| n.content.iter().fold(0u32, |v, b| v << 8 | u32::from(*b)));
        Some((ca, len))
    }

    /// The names that certificates below it may have (RFC 5280 section 4.2.1.10).
    #[must_use]
    pub fn name_constraints(&self) -> Option<crate::constraints::Constraints<'a>> {
        crate::constraints::Constraints::parse(self.extension(id::NAME_CONSTRAINTS)?.0)
    }

    /// Where lists are that it may be revoked in: the elements of cRLDistributionPoints.
    #[must_use]
    pub fn distribution_points(&self) -> Der<'a> {
        let points = self.extension(id::DISTRIBUTION).and_then(|(v, _)| Der(v).inside(SEQUENCE));
        points.unwrap_or(Der(&[]))
    }

    /// Bits of keyUsage, all if it has none.
    fn usage(&self) -> u8 {
        let said = self.extension(id::KEY_USAGE).map(|(v, _)| Der(v).tagged(BITS));
        said.map_or(0xff, |u| u.and_then(|u| u.content.get(1).copied()).unwrap_or(0))
    }

    /// May its key do any of this ([`usage`])?
    #[must_use]
    pub fn may(&self, any: u8) -> bool {
        self.usage() & any != 0
    }

    /// Netscape's certificate type, if it has one.
    fn netscape_type(&self) -> Option<u8> {
        let (v, _) = self.extension(id::NETSCAPE_TYPE)?;
        Some(Der(v).tagged(BITS).and_then(|b| b.content.get(1).copied()).unwrap_or(0))
    }

    /// May it issue certificates?
    #[must_use]
    pub fn authority(&self) -> Authority {
        if !self.may(usage::CERTIFICATES) {
            return Authority::No;
        }
        match (self.constraints(), self.netscape_type()) {
            (Some((true, _)), _) => Authority::Yes,
            (Some((false, _)), _) => Authority::No,
            (None, _) if self.version == 1 && self.self_signed() => Authority::Root,
            (None, _) if self.extension(id::KEY_USAGE).is_some() => Authority::Root,
            (None, Some(kind)) if kind & 7 != 0 => Authority::Netscape { tls: kind & 4 != 0 },
            (None, _) => Authority::No,
        }
    }

    /// Does extendedKeyUsage name this purpose (RFC 5280 section 4.2.1.12)?
    #[must_use]
    pub fn names_purpose(&self, oid: &[u8]) -> bool {
        let list = self.extension(id::EXTENDED_USAGE).and_then(|(v, _)| Der(v).inside(SEQUENCE));
        list.is_some_and(|mut l| l.any(|e| e.content == oid))
    }

    /// Is it for this purpose, as one that issues others (`above`) or as the peer's own?
    #[must_use]
    pub fn is_for(&self, purpose: Purpose, above: bool) -> bool {
        // beside the purpose itself Microsoft's and Netscape's step-up, which stand for servers
        const SERVER: &[&[u8]] = &[
            &[0x2b, 6, 1, 5, 5, 7, 3, 1],
            &[0x2b, 6, 1, 4, 1, 0x82, 0x37, 10, 3, 3],
            &[0x60, 0x86, 0x48, 1, 0x86, 0xf8, 0x42, 4, 1],
        ];
        const CLIENT: &[&[u8]] = &[&[0x2b, 6, 1, 5, 5, 7, 3, 2]];
        let (named, netscape, usages) = match purpose {
            Purpose::Server => (SERVER, 0x40, usage::SIGNATURE | usage::ENCIPHERMENT | usage::AGREEMENT),
            Purpose::Client => (CLIENT, 0x80, usage::SIGNATURE | usage::AGREEMENT),
        };
        if self.extension(id::EXTENDED_USAGE).is_some() && !named.iter().any(|oid| self.names_purpose(oid)) {
            return false;
        }
        match above {
            true => !matches!(self.authority(), Authority::No | Authority::Netscape { tls: false }),
            false => self.may(usages) && self.netscape_type().is_none_or(|kind| kind & netscape != 0),
        }
    }

    /// Bits that its key is worth.
    #[must_use]
    pub fn key_strength(&self) -> u16 {
        let (kind, bits) = self.key_name();
        crate::names::key_bits(kind, bits)
    }

    /// Bits that the digest which its signature was made over is worth.
    #[must_use]
    pub fn digest_strength(&self) -> u16 {
        match (self.signature_oid.strip_prefix(RSA_SIGNATURE), self.signature_oid.strip_prefix(ECDSA)) {
            (Some([4]), _) => 39,
            (Some([5]), _) | (_, Some([1])) => 63,
            (Some([14]), _) | (_, Some([3, 1])) => 112,
            (Some([12]), _) | (_, Some([3, 3])) => 192,
            (Some([13]), _) | (_, Some([3, 4])) => 256,
            (Some([10 | 11]), _) | (_, Some([3, 2])) => 128,
            _ if self.signature_oid == ED25519 => 128,
            _ => 0,
        }
    }

    /// Is the curve of its key written out instead of named?
    #[must_use]
    pub fn has_own_curve(&self) -> bool {
        self.key().is_some_and(|(kind, curve, _)| kind == EC && curve.is_empty())
    }

    /// Seconds since the epoch between which it is valid.
    #[must_use]
    pub fn validity(&self) -> (i64, i64) {
        (seconds(self.not_before).unwrap_or(i64::MIN), seconds(self.not_after).unwrap_or(i64::MAX))
    }

    /// subjectKeyIdentifier
    #[must_use]
    pub fn subject_key_id(&self) -> Option<&'a [u8]> {
        let (v, _) = self.extension(id::SUBJECT_KEY)?;
        Some(Der(v).tagged(OCTETS)?.content)
    }

    /// The key id of authorityKeyIdentifier
    #[must_use]
    pub fn authority_key_id(&self) -> Option<&'a [u8]> {
        let (v, _) = self.extension(id::AUTHORITY_KEY)?;
        Some(Der(v).inside(SEQUENCE)?.tagged(0x80)?.content)
    }
}

/// Identifiers of RSA's signatures begin with this.
const RSA_SIGNATURE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
/// Identifiers of ECDSA's signatures begin with this.
const ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04];

/// Can a key of this kind make signatures of this kind?
fn can_sign(key: &[u8], signature: &[u8]) -> bool {
    match key {
        RSA => signature.starts_with(RSA_SIGNATURE),
        EC => signature.starts_with(ECDSA),
        other => other == signature,
    }
}

/// The digest of ECDSA's signatures of this kind.
fn ecdsa_digest(signature: &[u8]) -> Option<&'static digest::Algorithm> {
    match signature.strip_prefix(ECDSA)? {
        [1] => Some(&digest::SHA1_FOR_LEGACY_USE_ONLY),
        [3, 1] => Some(&digest::SHA224),
        [3, 2] => Some(&digest::SHA256),
        [3, 3] => Some(&digest::SHA384),
        [3, 4] => Some(&digest::SHA512),
        _ => None,
    }
}

/// The algorithms that a signature may have been made with, by a key that is not on a curve of [`Curve`]'s.
fn algorithms(signature: &[u8], key: &[u8]) -> &'static [&'static dyn alg::VerificationAlgorithm] {
    if key == ED25519 {
        return if signature == ED25519 { &[&alg::ED25519] } else { &[] };
    }
    match signature.strip_prefix(RSA_SIGNATURE) {
        Some([5]) => &[&alg::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY],
        Some([10]) => {
            &[&alg::RSA_PSS_2048_8192_SHA256, &alg::RSA_PSS_2048_8192_SHA384, &alg::RSA_PSS_2048_8192_SHA512]
        }
        Some([11]) => &[&alg::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY],
        Some([12]) => &[&alg::RSA_PKCS1_2048_8192_SHA384],
        Some([13]) => &[&alg::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY],
        _ => &[],
    }
}

/// A name as it is compared (RFC 5280 section 7.1), one part a relative name: kinds of strings, case and repeated spaces make
/// no difference.
#[must_use]
pub fn comparable(name: &[u8]) -> Vec<Vec<u8>> {
    let sets = Der(name).inside(SEQUENCE).unwrap_or(Der(&[]));
    let attribute = |pair: Element<'_>| {
        let mut d = Der(pair.content);
        let oid = d.tagged(OID).map_or(&[][..], |o| o.whole);
        let value = d.next();
        let plain = value.filter(|v| matches!(v.tag, 0x0c | 0x13 | 0x14 | 0x16 | 0x1a | 0x1e));
        let words = plain.map(|v| text(v).to_ascii_lowercase());
        let words = words.map(|w| w.split_ascii_whitespace().collect::<Vec<_>>().join(" "));
        match words {
            Some(words) => {
                crate::der::element(SEQUENCE, &[oid, &crate::der::element(0x0c, &[words.as_bytes()])])
            }
            None => crate::der::element(SEQUENCE, &[oid, value.map_or(&[][..], |v| v.whole)]),
        }
    };
    sets.map(|set| {
        let mut all: Vec<Vec<u8>> = Der(set.content).map(attribute).collect();
        all.sort_unstable();
        all.concat()
    })
    .collect()
}

/// Are two names, whole DER sequences, the same?
#[must_use]
pub fn same_name(a: &[u8], b: &[u8]) -> bool {
    a == b || comparable(a) == comparable(b)
}

/// The attributes of a name: object identifier and value.
pub fn attributes(name: &[u8]) -> impl Iterator<Item = (&[u8], Element<'_>)> {
    let sets = Der(name).inside(SEQUENCE).unwrap_or(Der(&[]));
    sets.filter(|e| e.tag == SET).flat_map(|set| Der(set.content)).filter_map(|pair| {
        let mut d = Der(pair.content);
        Some((d.tagged(OID)?.content, d.next()?))
    })
}

/// A string of a certificate as UTF-8.
#[must_use]
pub fn text(e: Element<'_>) -> String {
    match e.tag {
        0x1e => {
            let units: Vec<u16> =
                e.content.chunks_exact(2).map(|c| u16::from_be_bytes([c[0], c[1]])).collect();
            String::from_utf16_lossy(&units)
        }
        0x14 => e.content.iter().map(|b| char::from(*b)).collect(),
        _ => String::from_utf8_lossy(e.content).into_owned(),
    }
}

/// Seconds since the epoch, now.
#[must_use]
pub fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    since.as_secs() as i64
}

/// Seconds since the epoch of a UTCTime or GeneralizedTime.
#[must_use]
pub fn seconds(e: Element<'_>) -> Option<i64> {
    let digits = e.content.strip_suffix(b"Z")?;
    let n = |from: usize, len: usize| -> Option<i64> {
        std::str::from_utf8(digits.get(from..from + len)?).ok()?.parse().ok()
    };
    let (year, at) = match e.tag {
        0x17 => (n(0, 2).map(|y| if y < 50 { 2000 + y } else { 1900 + y })?, 2),
        0x18 => (n(0, 4)?, 4),
        _ => return None,
    };
    let (month, day) = (n(at, 2)?, n(at + 2, 2)?);
    let (hour, minute, second) = (n(at + 4, 2)?, n(at + 6, 2)?, n(at + 8, 2).unwrap_or(0));
    // days from civil
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y - era * 400;
    let doy = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    Some((era * 146_097 + doe - 719_468) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// The short name of an attribute or algorithm, as OpenSSL has it.
#[must_use]
pub fn short_name(oid: &[u8]) -> Option<&'static str> {
    Some(match oid {
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1] => "rsaEncryption",
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5] => "RSA-SHA1",
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10] => "rsassaPss",
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11] => "RSA-SHA256",
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 12] => "RSA-SHA384",
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 13] => "RSA-SHA512",
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1] => "id-ecPublicKey",
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1] => "ecdsa-with-SHA1",
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2] => "ecdsa-with-SHA256",
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3] => "ecdsa-with-SHA384",
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4] => "ecdsa-with-SHA512",
        [0x2b, 0x65, 0x70] => "ED25519",
        [0x2b, 0x65, 0x71] => "ED448",
        _ => return crate::dn::attribute(oid),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let e = |tag, content| Element { tag, content, whole: content };
        assert_eq!(seconds(e(0x17, b"700101000000Z")), Some(0));
        assert_eq!(seconds(e(0x17, b"260228235959Z")), Some(1_772_323_199));
        assert_eq!(seconds(e(0x18, b"20500101000000Z")), Some(2_524_608_000));
        assert_eq!(seconds(e(0x18, b"x")), None);
    }
}
