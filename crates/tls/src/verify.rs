//! Whether a certificate can be trusted, told as OpenSSL does: X509 errors with their depth, in its order, so that
//! `crt-ignore-err`, `ca-ignore-err` and the `ssl_c_*` fetches mean what they mean there.

use crate::connector::NOBODY;
use crate::names;
use crate::odd_name;
use crate::path::{MAX_DEPTH, MAX_SENT, Path};
use crate::revocation::{self, Crl, Revocations};
use crate::store::{Authorities, Revoked};
pub use crate::x509::Purpose;
use crate::x509::{Authority, Cert, seconds, usage};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use std::cell::Cell;
use std::net::IpAddr;
use std::sync::Arc;

/// X509 errors (openssl-verification-options(1), X509_STORE_CTX_get_error(3)).
pub mod x509_err {
    /// unspecified certificate verification error
    pub const UNSPECIFIED: u32 = 1;
    /// unable to get issuer certificate
    pub const NO_ISSUER: u32 = 2;
    /// unable to get certificate CRL
    pub const NO_CRL: u32 = 3;
    /// unable to decode issuer public key
    pub const ISSUER_KEY: u32 = 6;
    /// certificate signature failure
    pub const SIGNATURE: u32 = 7;
    /// CRL signature failure
    pub const CRL_SIGNATURE: u32 = 8;
    /// certificate is not yet valid
    pub const NOT_YET: u32 = 9;
    /// certificate has expired
    pub const EXPIRED: u32 = 10;
    /// CRL is not yet valid
    pub const CRL_NOT_YET: u32 = 11;
    /// CRL has expired
    pub const CRL_EXPIRED: u32 = 12;
    /// format error in certificate's notBefore field
    pub const NOT_BEFORE: u32 = 13;
    /// format error in certificate's notAfter field
    pub const NOT_AFTER: u32 = 14;
    /// format error in CRL's lastUpdate field
    pub const CRL_THIS_UPDATE: u32 = 15;
    /// format error in CRL's nextUpdate field
    pub const CRL_NEXT_UPDATE: u32 = 16;
    /// self-signed certificate
    pub const SELF_SIGNED: u32 = 18;
    /// self-signed certificate in certificate chain
    pub const SELF_SIGNED_ABOVE: u32 = 19;
    /// unable to get local issuer certificate
    pub const NO_LOCAL_ISSUER: u32 = 20;
    /// unable to verify the first certificate
    pub const LEAF: u32 = 21;
    /// certificate chain too long
    pub const TOO_LONG: u32 = 22;
    /// certificate revoked
    pub const REVOKED: u32 = 23;
    /// path length constraint exceeded
    pub const PATH_LENGTH: u32 = 25;
    /// unsuitable certificate purpose
    pub const PURPOSE: u32 = 26;
    /// certificate rejected
    pub const REJECTED: u32 = 28;
    /// key usage does not include certificate signing
    pub const NO_CERT_SIGN: u32 = 32;
    /// unhandled critical extension
    pub const CRITICAL: u32 = 34;
    /// key usage does not include CRL signing
    pub const NO_CRL_SIGN: u32 = 35;
    /// unhandled critical CRL extension
    pub const CRL_CRITICAL: u32 = 36;
    /// proxy certificates not allowed, please set the appropriate flag
    pub const PROXY: u32 = 40;
    /// different CRL scope
    pub const CRL_SCOPE: u32 = 44;
    /// permitted subtree violation
    pub const NOT_PERMITTED: u32 = 47;
    /// excluded subtree violation
    pub const EXCLUDED: u32 = 48;
    /// name constraints minimum and maximum not supported
    pub const SUBTREE_BOUNDS: u32 = 49;
    /// unsupported name constraint type
    pub const CONSTRAINT_TYPE: u32 = 51;
    /// unsupported or invalid name syntax
    pub const NAME_SYNTAX: u32 = 53;
    /// hostname mismatch
    pub const HOSTNAME: u32 = 62;
    /// EE certificate key too weak
    pub const KEY_TOO_SMALL: u32 = 66;
    /// CA certificate key too weak
    pub const CA_KEY_TOO_SMALL: u32 = 67;
    /// CA signature digest algorithm too weak
    pub const DIGEST_TOO_WEAK: u32 = 68;
    /// invalid CA certificate
    pub const INVALID_CA: u32 = 79;
    /// certificate public key has explicit ECC parameters
    pub const OWN_CURVE: u32 = 94;
}
use x509_err as err;

/// What came of looking at a peer's certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The first error of the certificate itself (`ssl_c_err`); 0: none.
    pub crt: u32,
    /// The first error above it (`ssl_c_ca_err`).
    pub ca: u32,
    /// How far above (`ssl_c_ca_err_depth`).
    pub ca_depth: u32,
    /// The last error, ignored or not (`ssl_c_verify`).
    pub last: u32,
    /// The error that ended it, if one did.
    pub fatal: u32,
    /// How far above that was.
    pub fatal_depth: u32,
}

thread_local! {
    /// A verifier does not know its connection: it leaves its verdict here for who called.
    static VERDICT: Cell<Option<Verdict>> = const { Cell::new(None) };
    /// The certificates that it has refused, which the library keeps nowhere.
    static REFUSED: Cell<Vec<CertificateDer<'static>>> = const { Cell::new(Vec::new()) };
    /// [`set_expected`]
    static EXPECTED: Cell<Option<Box<str>>> = const { Cell::new(None) };
}

/// The verdict of the call just made, if a certificate was looked at.
#[must_use]
pub fn take_verdict() -> Option<Verdict> {
    VERDICT.take()
}

/// The name that the server of the handshake that is run next on this thread has to have, spelt as it is: the library takes a dot
/// at its end away.
pub(crate) fn set_expected(name: Option<&str>) {
    EXPECTED.set(name.map(Into::into));
}

/// The certificates that were refused in it; none if they were not.
#[must_use]
pub fn take_refused() -> Vec<CertificateDer<'static>> {
    REFUSED.take()
}

/// Leaves a verdict on a peer's certificates. An error: they are refused.
fn leave(verdict: Verdict, own: &CertificateDer<'_>, rest: &[CertificateDer<'_>]) -> Result<(), Error> {
    VERDICT.set(Some(verdict));
    if verdict.fatal == 0 {
        return Ok(());
    }
    let all = std::iter::once(own).chain(rest.iter().take(MAX_SENT));
    REFUSED.set(all.map(|c| c.clone().into_owned()).collect());
    Err(refusal(verdict.fatal))
}

/// What keys and digests have to be worth if nothing is said (`ssl-security-level`).
const LEVEL: u8 = 2;

/// X509 errors that are ignored, as `crt-ignore-err` and `ca-ignore-err` name them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ignored {
    /// `all`
    pub all: bool,
    /// Their numbers.
    pub numbers: Vec<u32>,
}

impl Ignored {
    /// Errors 32 to 63 are never ignored, not even by `all`.
    fn has(&self, n: u32) -> bool {
        !(32..64).contains(&n) && (self.all || self.numbers.contains(&n))
    }
}

/// How certificates of peers are judged.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Who is trusted (`ca-file`, `ca-verify-file`).
    pub trusted: Vec<Authorities>,
    /// `crl-file`
    pub revoked: Option<Revoked>,
    /// `crt-ignore-err`
    pub crt_ignore: Ignored,
    /// `ca-ignore-err`
    pub ca_ignore: Ignored,
    /// What it must be for.
    pub purpose: Purpose,
    /// `ssl-security-level`
    pub level: Option<u8>,
}

impl Policy {
    /// How often anything that it looks into has changed since it was read.
    #[must_use]
    pub fn changes(&self) -> u64 {
        let trusted: u64 = self.trusted.iter().map(|slot| slot.changes()).sum();
        trusted + self.revoked.as_ref().map_or(0, |slot| slot.changes())
    }
    /// Judges a chain, the peer's own certificate first.
    #[must_use]
    pub fn judge(&self, chain: &[&[u8]], now: i64) -> Verdict {
        let mut verdict = Verdict::default();
        let trusted: Vec<Arc<Vec<CertificateDer<'static>>>> = self.trusted.iter().map(|a| a.get()).collect();
        let roots: Vec<Cert<'_>> =
            trusted.iter().flat_map(|t| t.iter()).filter_map(|c| Cert::parse(c.as_ref())).collect();
        self.errors(chain, &roots, now, &mut |code, depth| {
            let ignored = if depth == 0 { &self.crt_ignore } else { &self.ca_ignore };
            if depth == 0 && verdict.crt == 0 {
                verdict.crt = code;
            }
            if depth > 0 && verdict.ca == 0 {
                (verdict.ca, verdict.ca_depth) = (code, depth as u32);
            }
            verdict.last = code;
            let go_on = ignored.has(code);
            if !go_on {
                (verdict.fatal, verdict.fatal_depth) = (code, depth as u32);
            }
            go_on
        });
        verdict
    }

    /// Tells every error in OpenSSL's order while `tell` lets it go on.
    fn errors(
        &self,
        presented: &[&[u8]],
        roots: &[Cert<'_>],
        now: i64,
        tell: &mut dyn FnMut(u32, usize) -> bool,
    ) -> Option<()> {
        let go: &mut Go<'_> = &mut |code, depth| tell(code, depth).then_some(());
        let others: Vec<Cert<'_>> =
            presented.iter().skip(1).take(MAX_SENT).filter_map(|c| Cert::parse(c)).collect();
        let Some(leaf) = presented.first().and_then(|c| Cert::parse(c)) else { return go(err::LEAF, 0) };
        let bits = names::security_bits(self.level.unwrap_or(LEVEL));
        if leaf.key_strength() < bits {
            go(err::KEY_TOO_SMALL, 0)?;
        }
        let path = Path::build(leaf, &others, roots, (self.purpose, now));
        if path.rejected {
            go(err::REJECTED, path.top())?;
        }
        if let Some(code) = incomplete(&path) {
            go(code, path.top())?;
        }
        self.extensions(&path, go)?;
        strengths(&path, bits, go)?;
        if let Some(revoked) = &self.revoked {
            let lists = revoked.get();
            let lists: Vec<(&Revocations, Crl<'_>)> =
                lists.iter().filter_map(|l| Some((l, Crl::parse(l.der())?))).collect();
            for depth in 0..path.certs.len() {
                revocation::check(&lists, &path, depth, now, &mut |code| go(code, depth))?;
            }
        }
        signatures(&path, now, go)?;
        names_allowed(&path, go)
    }

    /// What the extensions of a path say against it.
    fn extensions(&self, path: &Path<'_>, go: &mut Go<'_>) -> Option<()> {
        let mut below = 0;
        for (depth, cert) in path.certs.iter().enumerate() {
            let above = depth > 0;
            if cert.demands_unknown() {
                go(err::CRITICAL, depth)?;
            }
            if cert.is_proxy() {
                go(err::PROXY, depth)?;
            }
            let authority = cert.authority();
            // only a root may say nothing of being one
            if above && (authority == Authority::No || (depth < path.top() && authority != Authority::Yes)) {
                go(err::INVALID_CA, depth)?;
            }
            if path.top() > 0 && cert.has_own_curve() {
                go(err::OWN_CURVE, depth)?;
            }
            if !cert.is_for(self.purpose, above) {
                go(err::PURPOSE, depth)?;
            }
            let most = cert.constraints().and_then(|(_, most)| most);
            if most.is_some_and(|most| below > most) {
                go(err::PATH_LENGTH, depth)?;
            }
            below += u32::from(above && !cert.self_issued());
        }
        Some(())
    }
}

/// Tells an error at a depth; `None`: that is the end.
type Go<'g> = dyn FnMut(u32, usize) -> Option<()> + 'g;

/// Why a path does not end with a root that is trusted.
fn incomplete(path: &Path<'_>) -> Option<u32> {
    let self_signed = path.certs.last().is_some_and(Cert::self_signed);
    match (path.trusted, path.top()) {
        (true, _) => None,
        (_, top) if top >= MAX_DEPTH => Some(err::TOO_LONG),
        (_, 0) if self_signed => Some(err::SELF_SIGNED),
        _ if self_signed => Some(err::SELF_SIGNED_ABOVE),
        (_, top) if path.sent <= top => Some(err::NO_ISSUER),
        _ => Some(err::NO_LOCAL_ISSUER),
    }
}

/// Are keys and digests worth so many bits? The root's own signature says nothing.
fn strengths(path: &Path<'_>, bits: u16, go: &mut Go<'_>) -> Option<()> {
    for (depth, cert) in path.certs.iter().enumerate() {
        if depth > 0 && cert.key_strength() < bits {
            go(err::CA_KEY_TOO_SMALL, depth)?;
        }
        if depth < path.top() && cert.digest_strength() < bits {
            go(err::DIGEST_TOO_WEAK, depth)?;
        }
    }
    Some(())
}

/// Signatures and dates, from the top down.
fn signatures(path: &Path<'_>, now: i64, go: &mut Go<'_>) -> Option<()> {
    for (depth, cert) in path.certs.iter().enumerate().rev() {
        match path.certs.get(depth + 1) {
            Some(issuer) => {
                if !issuer.may(usage::CERTIFICATES) {
                    go(err::NO_CERT_SIGN, depth + 1)?;
                }
                if issuer.key().is_none() {
                    go(err::ISSUER_KEY, depth + 1)?;
                } else if !cert.algorithms_agree || !issuer.verifies(&cert.signed()) {
                    go(err::SIGNATURE, depth)?;
                }
            }
            // whom nobody has issued is trusted or was told of already
            None if cert.self_signed() => {}
            None if depth == 0 => go(err::LEAF, 0)?,
            None => continue,
        }
        match seconds(cert.not_before) {
            None => go(err::NOT_BEFORE, depth)?,
            Some(from) if now < from => go(err::NOT_YET, depth)?,
            Some(_) => {}
        }
        match seconds(cert.not_after) {
            None => go(err::NOT_AFTER, depth)?,
            Some(to) if now > to => go(err::EXPIRED, depth)?,
            Some(_) => {}
        }
    }
    Some(())
}

/// Does every certificate have names that those above it allow? Authorities that issued themselves are left out.
fn names_allowed(path: &Path<'_>, go: &mut Go<'_>) -> Option<()> {
    for (depth, cert) in path.certs.iter().enumerate().rev() {
        if depth > 0 && cert.self_issued() {
            continue;
        }
        for above in path.certs.iter().skip(depth + 1).rev() {
            if let Some(Err(code)) = above.name_constraints().map(|c| c.check(cert, depth == 0)) {
                go(code, depth)?;
            }
        }
    }
    Some(())
}

/// Did `issuer` issue `cert`, as names and key identifiers say?
pub(crate) fn issued(issuer: &Cert<'_>, cert: &Cert<'_>) -> bool {
    cert.issued_by(issuer)
}

/// The error that makes the library send the alert which OpenSSL sends for an X509 error.
fn refusal(code: u32) -> Error {
    use CertificateError as E;
    Error::InvalidCertificate(match code {
        err::SIGNATURE | err::CRL_SIGNATURE => E::BadSignature,
        err::EXPIRED | err::CRL_EXPIRED => E::Expired,
        err::REVOKED => E::Revoked,
        err::PURPOSE => E::InvalidPurpose,
        err::HOSTNAME => E::NotValidForName,
        err::ISSUER_KEY
        | err::NOT_YET
        | err::CRL_NOT_YET
        | err::NOT_BEFORE..=err::CRL_NEXT_UPDATE
        | err::KEY_TOO_SMALL..=err::DIGEST_TOO_WEAK
        | err::REJECTED
        | err::OWN_CURVE => E::BadEncoding,
        err::NO_ISSUER
        | err::NO_CRL
        | err::SELF_SIGNED..=err::TOO_LONG
        | err::PATH_LENGTH
        | err::INVALID_CA => E::UnknownIssuer,
        _ => E::Other(rustls::OtherError(Arc::new(Untold(code)))),
    })
}

/// An X509 error that peers are told nothing more of (certificate_unknown).
#[derive(Debug)]
struct Untold(u32);

impl std::fmt::Display for Untold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "X509 error {}", self.0)
    }
}

impl std::error::Error for Untold {}

fn chain<'c>(leaf: &'c CertificateDer<'_>, rest: &'c [CertificateDer<'_>]) -> Vec<&'c [u8]> {
    std::iter::once(leaf).chain(rest).map(AsRef::as_ref).collect()
}

fn seconds_of(now: UnixTime) -> i64 {
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

/// Did the key of a certificate sign the handshake? Certificates of every version have keys, unlike for webpki.
fn handshake_signature(
    message: &[u8],
    cert: &CertificateDer<'_>,
    dss: &DigitallySignedStruct,
    tls13: bool,
) -> Result<HandshakeSignatureValid, Error> {
    match Cert::parse(cert.as_ref())
        .is_some_and(|c| c.signed_handshake(dss.scheme, message, dss.signature(), tls13))
    {
        true => Ok(HandshakeSignatureValid::assertion()),
        false => Err(Error::InvalidCertificate(CertificateError::BadSignature)),
    }
}

/// Looks at clients' certificates.
#[derive(Debug)]
pub struct Clients {
    /// How they are judged.
    pub policy: Policy,
    /// `verify required`
    pub required: bool,
    /// Names that are sent to clients.
    pub hints: Vec<DistinguishedName>,
    /// What their signatures may be made with.
    pub algorithms: WebPkiSupportedAlgorithms,
    /// `client-sigalgs`; all if not said.
    pub schemes: Option<Vec<SignatureScheme>>,
}

impl Clients {
    /// The verdict on the certificate of a session that was resumed.
    #[must_use]
    pub fn judge_again(&self, peer: &[CertificateDer<'static>]) -> Verdict {
        let chain: Vec<&[u8]> = peer.iter().map(AsRef::as_ref).collect();
        self.policy.judge(&chain, seconds_of(UnixTime::now()))
    }
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        self.required
    }
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verdict = self.policy.judge(&chain(end_entity, intermediates), seconds_of(now));
        leave(verdict, end_entity, intermediates).map(|()| ClientCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        handshake_signature(&odd_name::as_sent(message), cert, dss, false)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        handshake_signature(message, cert, dss, true)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone().unwrap_or_else(|| self.algorithms.supported_schemes())
    }
}

/// Looks at servers' certificates.
#[derive(Debug)]
pub struct Servers {
    /// How they are judged; `None`: `verify none`.
    pub policy: Option<Policy>,
    /// `verifyhost`: the name to look for when no SNI is sent.
    pub host: Option<String>,
    /// What their signatures may be made with.
    pub algorithms: WebPkiSupportedAlgorithms,
    /// `sigalgs`; all if not said.
    pub schemes: Option<Vec<SignatureScheme>>,
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(policy) = &self.policy else { return Ok(ServerCertVerified::assertion()) };
        let mut verdict = policy.judge(&chain(end_entity, intermediates), seconds_of(now));
        let name = match server_name {
            ServerName::IpAddress(ip) if IpAddr::from(*ip) == NOBODY => self.host.as_deref().map(Into::into),
            name => EXPECTED.take().or_else(|| Some(name.to_str().into())),
        };
        let matches = |name: &str| Cert::parse(end_entity).is_some_and(|c| valid_for(&c, name));
        if verdict.fatal == 0 && name.is_some_and(|n| !matches(&n)) {
            (verdict.crt, verdict.fatal) = (err::HOSTNAME, err::HOSTNAME);
        }
        leave(verdict, end_entity, intermediates).map(|()| ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        handshake_signature(message, cert, dss, false)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        handshake_signature(message, cert, dss, true)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone().unwrap_or_else(|| self.algorithms.supported_schemes())
    }
}

/// Is a certificate valid for this host? subjectAltName decides where there is one, else the common name.
#[must_use]
pub fn valid_for(cert: &Cert<'_>, host: &str) -> bool {
    if let Ok(ip) = host.parse::<std::net::IpAddr>() {
        let bytes = match ip {
            std::net::IpAddr::V4(a) => a.octets().to_vec(),
            std::net::IpAddr::V6(a) => a.octets().to_vec(),
        };
        if cert.addresses().any(|a| a == bytes) {
            return true;
        }
    }
    cert.dns_names().any(|n| matches_host(n, host)) || cert.common_names().any(|n| matches_host(&n, host))
}

/// A name of a certificate against a host. One `*` in the first label stands for any part of a label.
fn matches_host(pattern: &str, host: &str) -> bool {
    let (pattern, host) = (pattern.to_ascii_lowercase(), host.to_ascii_lowercase());
    let (Some((label, rest)), Some((first, above))) = (pattern.split_once('.'), host.split_once('.')) else {
        return pattern == host;
    };
    let wild = label.split_once('*').filter(|(_, end)| !end.contains('*'));
    match wild {
        Some((begin, end)) => {
            let inner = first.strip_prefix(begin).is_some_and(|inner| inner.ends_with(end));
            inner && rest == above
        }
        None => pattern == host,
    }
}

#[cfg(test)]
mod tests;
