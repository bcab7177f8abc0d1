//! Whether a certificate can be trusted, told as OpenSSL does: X509 errors with their depth, in its order, so that
//! `crt-ignore-err`, `ca-ignore-err` and the `ssl_c_*` fetches mean what they mean there.

use crate::connector::NOBODY;
use crate::der::{Der, INTEGER, OID, SEQUENCE};
use crate::store::{Authorities, Revoked};
use crate::x509::{Cert, Signed, seconds};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use std::cell::Cell;
use std::net::IpAddr;
use std::sync::Arc;

/// X509 errors (openssl-verify(1)).
pub mod x509_err {
    /// unable to get issuer certificate
    pub const NO_ISSUER: u32 = 2;
    /// unable to get certificate CRL
    pub const NO_CRL: u32 = 3;
    /// certificate signature failure
    pub const SIGNATURE: u32 = 7;
    /// certificate is not yet valid
    pub const NOT_YET: u32 = 9;
    /// certificate has expired
    pub const EXPIRED: u32 = 10;
    /// CRL has expired
    pub const CRL_EXPIRED: u32 = 12;
    /// self-signed certificate
    pub const SELF_SIGNED: u32 = 18;
    /// self-signed certificate in certificate chain
    pub const SELF_SIGNED_ABOVE: u32 = 19;
    /// unable to get local issuer certificate
    pub const NO_LOCAL_ISSUER: u32 = 20;
    /// unable to verify the first certificate
    pub const LEAF: u32 = 21;
    /// certificate revoked
    pub const REVOKED: u32 = 23;
    /// path length constraint exceeded
    pub const PATH_LENGTH: u32 = 25;
    /// unsuitable certificate purpose
    pub const PURPOSE: u32 = 26;
    /// hostname mismatch
    pub const HOSTNAME: u32 = 62;
    /// invalid CA certificate
    pub const INVALID_CA: u32 = 79;
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
}

thread_local! {
    /// A verifier does not know its connection: it leaves its verdict here for who called.
    static VERDICT: Cell<Option<Verdict>> = const { Cell::new(None) };
}

/// The verdict of the call just made, if a certificate was looked at.
#[must_use]
pub fn take_verdict() -> Option<Verdict> {
    VERDICT.take()
}

/// A chain is not longer than this.
const MAX_DEPTH: usize = 10;

/// X509 errors that are ignored, as `crt-ignore-err` and `ca-ignore-err` name them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ignored {
    /// `all`
    pub all: bool,
    /// Their numbers.
    pub numbers: Vec<u32>,
}

impl Ignored {
    fn has(&self, n: u32) -> bool {
        self.all || self.numbers.contains(&n)
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
    /// What it must be for: 1 server, 2 client.
    pub purpose: u8,
}

impl Policy {
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
                verdict.fatal = code;
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
        let mut go = |code, depth| tell(code, depth).then_some(());
        let others: Vec<Cert<'_>> =
            presented.iter().skip(1).take(MAX_DEPTH).filter_map(|c| Cert::parse(c)).collect();
        let Some(leaf) = presented.first().and_then(|c| Cert::parse(c)) else { return go(err::LEAF, 0) };
        let mut chain = vec![leaf];
        let mut complete = false;
        while let Some(last) = chain.last().copied()
            && chain.len() <= MAX_DEPTH
        {
            if last.self_issued() {
                complete = roots.iter().any(|r| r.der == last.der);
                break;
            }
            let next =
                roots.iter().find(|r| issued(r, &last)).or_else(|| others.iter().find(|o| issued(o, &last)));
            match next {
                Some(issuer) => chain.push(*issuer),
                None => break,
            }
        }
        let top = chain.len() - 1;
        if !complete {
            let last = chain.last()?;
            let from_store = roots.iter().any(|r| r.der == last.der);
            match (last.self_issued(), top) {
                (true, 0) => go(err::SELF_SIGNED, 0)?,
                (true, _) => go(err::SELF_SIGNED_ABOVE, top)?,
                (false, _) if from_store => go(err::NO_ISSUER, top)?,
                (false, _) => go(err::NO_LOCAL_ISSUER, top)?,
            }
        }
        for (depth, cert) in chain.iter().enumerate() {
            if depth > 0 {
                if !cert.is_authority() || !cert.may_sign() {
                    go(err::INVALID_CA, depth)?;
                }
                let below = chain.get(1..depth).unwrap_or(&[]).iter().filter(|c| !c.self_issued()).count();
                if cert
                    .constraints()
                    .and_then(|(_, max)| max)
                    .is_some_and(|max| below as u64 > u64::from(max))
                {
                    go(err::PATH_LENGTH, depth)?;
                }
            }
            if !cert.is_for(self.purpose) {
                go(err::PURPOSE, depth)?;
            }
        }
        if let Some(revoked) = &self.revoked {
            let list = revoked.get();
            for (depth, cert) in chain.iter().enumerate() {
                let issuer = chain.get(depth + 1).unwrap_or(cert);
                if depth > 0 && cert.self_issued() {
                    continue;
                }
                if let Some(code) = revocation(&list, cert, issuer, now) {
                    go(code, depth)?;
                }
            }
        }
        if top == 0 && !leaf.self_issued() {
            go(err::LEAF, 0)?;
        }
        for (depth, cert) in chain.iter().enumerate().rev() {
            let issuer = match chain.get(depth + 1) {
                Some(issuer) => Some(issuer),
                None => cert.self_issued().then_some(cert),
            };
            // a trusted root needs no signature
            let root = complete && depth == top;
            if !root && issuer.is_some_and(|i| !i.verifies(&cert.signed())) {
                go(err::SIGNATURE, depth)?;
            }
            let (from, to) = cert.validity();
            if now < from {
                go(err::NOT_YET, depth)?;
            }
            if now > to {
                go(err::EXPIRED, depth)?;
            }
        }
        Some(())
    }
}

/// Did `issuer` issue `cert`, as names and key identifiers say?
pub(crate) fn issued(issuer: &Cert<'_>, cert: &Cert<'_>) -> bool {
    issuer.subject == cert.issuer
        && match (cert.authority_key_id(), issuer.subject_key_id()) {
            (Some(a), Some(s)) => a == s,
            _ => true,
        }
}

/// A revocation list that was taken apart.
struct Crl<'a> {
    signed: Signed<'a>,
    issuer: &'a [u8],
    next_update: Option<i64>,
    entries: &'a [u8],
}

impl<'a> Crl<'a> {
    fn parse(der: &'a [u8]) -> Option<Self> {
        let mut outer = Der(der).inside(SEQUENCE)?;
        let tbs = outer.tagged(SEQUENCE)?;
        let oid = outer.inside(SEQUENCE)?.tagged(OID)?.content;
        let signature = outer.next()?.content.get(1..)?;
        let mut d = Der(tbs.content);
        d.tagged(INTEGER);
        d.tagged(SEQUENCE)?;
        let issuer = d.tagged(SEQUENCE)?.whole;
        d.next()?;
        let next_update = d.tagged(0x17).or_else(|| d.tagged(0x18)).and_then(seconds);
        let entries = d.tagged(SEQUENCE).map_or(&[][..], |e| e.content);
        Some(Self { signed: Signed { tbs: tbs.whole, oid, signature }, issuer, next_update, entries })
    }
    fn lists(&self, serial: &[u8]) -> bool {
        Der(self.entries).any(|e| Der(e.content).tagged(INTEGER).is_some_and(|n| n.content == serial))
    }
}

/// Is this a revocation list?
#[must_use]
pub fn is_crl(der: &[u8]) -> bool {
    Crl::parse(der).is_some()
}

fn revocation(lists: &[Vec<u8>], cert: &Cert<'_>, issuer: &Cert<'_>, now: i64) -> Option<u32> {
    let mut found = lists.iter().filter_map(|l| Crl::parse(l)).filter(|l| l.issuer == cert.issuer).peekable();
    if found.peek().is_none() {
        return Some(err::NO_CRL);
    }
    let mut late = false;
    for list in found.filter(|l| issuer.verifies(&l.signed)) {
        if list.lists(cert.serial) {
            return Some(err::REVOKED);
        }
        late |= list.next_update.is_some_and(|t| now > t);
    }
    late.then_some(err::CRL_EXPIRED)
}

/// The error that rustls tells the peer for an X509 error.
fn refusal(code: u32) -> Error {
    Error::InvalidCertificate(match code {
        err::EXPIRED => CertificateError::Expired,
        err::NOT_YET => CertificateError::NotValidYet,
        err::REVOKED => CertificateError::Revoked,
        err::SIGNATURE => CertificateError::BadSignature,
        err::PURPOSE => CertificateError::InvalidPurpose,
        err::HOSTNAME => CertificateError::NotValidForName,
        err::CRL_EXPIRED => CertificateError::ExpiredRevocationList,
        err::NO_CRL => CertificateError::UnknownRevocationStatus,
        _ => CertificateError::UnknownIssuer,
    })
}

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
        VERDICT.set(Some(verdict));
        match verdict.fatal {
            0 => Ok(ClientCertVerified::assertion()),
            code => Err(refusal(code)),
        }
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
            ServerName::DnsName(n) => Some(n.as_ref().to_owned()),
            ServerName::IpAddress(ip) if IpAddr::from(*ip) != NOBODY => Some(IpAddr::from(*ip).to_string()),
            _ => self.host.clone(),
        };
        let matches = |name: &str| Cert::parse(end_entity).is_some_and(|c| valid_for(&c, name));
        if verdict.fatal == 0 && name.is_some_and(|n| !matches(&n)) {
            (verdict.crt, verdict.fatal) = (err::HOSTNAME, err::HOSTNAME);
        }
        VERDICT.set(Some(verdict));
        match verdict.fatal {
            0 => Ok(ServerCertVerified::assertion()),
            code => Err(refusal(code)),
        }
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

/// A name of a certificate, perhaps with a wildcard as its first label, against a host.
fn matches_host(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(rest) => {
            host.split_once('.').is_some_and(|(first, h)| !first.is_empty() && h.eq_ignore_ascii_case(rest))
        }
        None => pattern.eq_ignore_ascii_case(host),
    }
}
