//! OCSP (RFC 6960): which certificate a response is about, requests for one, and whether a response may be used.

use crate::der::{BITS, Der, Element, INTEGER, OCTETS, OID, SEQUENCE, element};
use crate::x509::{Cert, Signed, seconds};
use aws_lc_rs::digest;

/// id-ad-ocsp
const BY_OCSP: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1];
/// id-pkix-ocsp-nonce
const NONCE: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 2];
/// id-sha1
const SHA1: &[u8] = &[0x2b, 0x0e, 3, 2, 0x1a];
/// id-kp-OCSPSigning
const SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 9];
/// Seconds that the clocks of a responder, of this machine and of clients may differ by.
const SKEW: i64 = 300;

/// What an extension says, if it is the nonce that a request came with (RFC 8954).
fn nonce(extension: Element<'_>) -> Option<&[u8]> {
    let mut parts = Der(extension.content);
    let oid = parts.tagged(OID)?.content;
    Some(parts.tagged(OCTETS)?.content).filter(|_| oid == NONCE)
}

/// Which certificate a response speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertId<'a> {
    /// Hash of the issuer's name.
    pub issuer_name_hash: &'a [u8],
    /// Hash of the issuer's key.
    pub issuer_key_hash: &'a [u8],
    /// Serial number, as DER has it.
    pub serial: &'a [u8],
    /// All of it.
    pub whole: &'a [u8],
}

impl<'a> CertId<'a> {
    fn read(e: Element<'a>) -> Option<Self> {
        let mut id = Der(e.whole).inside(SEQUENCE)?;
        id.tagged(SEQUENCE)?;
        let (name, key) = (id.tagged(OCTETS)?, id.tagged(OCTETS)?);
        let serial = id.tagged(INTEGER)?.content;
        Some(Self { issuer_name_hash: name.content, issuer_key_hash: key.content, serial, whole: e.whole })
    }

    /// Reads one from DER.
    #[must_use]
    pub fn of(der: &'a [u8]) -> Option<Self> {
        Self::read(Der(der).next()?)
    }

    /// Do both stand for the same certificate? Algorithms may have parameters or none.
    fn is(&self, other: &CertId<'_>) -> bool {
        self.issuer_name_hash == other.issuer_name_hash
            && self.issuer_key_hash == other.issuer_key_hash
            && self.serial == other.serial
    }
}

/// What a certificate is called when a responder is asked about it: a `CertID`, DER. None: who issued it is not known.
#[must_use]
pub fn id(cert: &Cert<'_>, issuer: &Cert<'_>) -> Option<Vec<u8>> {
    if !crate::verify::issued(issuer, cert) {
        return None;
    }
    let (.., key) = issuer.key()?;
    let hash = |bytes: &[u8]| digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes);
    let algorithm = element(SEQUENCE, &[&element(OID, &[SHA1]), &element(5, &[])]);
    let name = element(OCTETS, &[hash(cert.issuer).as_ref()]);
    let key = element(OCTETS, &[hash(key).as_ref()]);
    Some(element(SEQUENCE, &[&algorithm, &name, &key, &element(INTEGER, &[cert.serial])]))
}

/// Where a certificate says that its issuer's responder is (authorityInfoAccess); the first one counts.
#[must_use]
pub fn responder(cert: &Cert<'_>) -> Option<String> {
    let (access, _) = cert.extension(&[0x2b, 6, 1, 5, 5, 7, 1, 1])?;
    for one in Der(access).inside(SEQUENCE)? {
        let mut d = Der(one.content);
        if d.tagged(OID)?.content == BY_OCSP
            && let Some(uri) = d.tagged(0x86)
        {
            return std::str::from_utf8(uri.content).ok().map(str::to_owned);
        }
    }
    None
}

/// A request for the state of one certificate, DER.
#[must_use]
pub fn request(id: &[u8]) -> Vec<u8> {
    let list = element(SEQUENCE, &[&element(SEQUENCE, &[id])]);
    element(SEQUENCE, &[&element(SEQUENCE, &[&list])])
}

/// A response that was taken apart as far as its first answer.
struct Basic<'a> {
    responder: Element<'a>,
    produced: Element<'a>,
    signed: Signed<'a>,
    /// Certificates that came with it.
    certificates: Option<Der<'a>>,
    single: Single<'a>,
    /// It has further answers.
    more: bool,
    /// What it says besides.
    extensions: Option<Der<'a>>,
}

/// An answer about one certificate.
struct Single<'a> {
    id: CertId<'a>,
    status: Element<'a>,
    this_update: Element<'a>,
    next_update: Option<Element<'a>>,
}

fn single(e: Element<'_>) -> Option<Single<'_>> {
    let mut d = Der(e.content);
    let id = CertId::read(d.tagged(SEQUENCE)?)?;
    let (status, this_update) = (d.next()?, d.next()?);
    let next_update = d.inside(0xa0).and_then(|mut d| d.next());
    Some(Single { id, status, this_update, next_update })
}

/// Most bytes of a response that every client takes: OpenSSL lets the message that carries it have 16 kB.
const MOST: usize = 16_000;

/// A response without what may stand behind it.
fn alone(response: &[u8]) -> &[u8] {
    Der(response).next().map_or(response, |e| e.whole)
}

/// What a response says of itself: 0 is a good one.
fn status(response: &[u8]) -> Option<(u8, Der<'_>)> {
    let mut outer = Der(response).inside(SEQUENCE)?;
    let [status] = outer.tagged(0x0a)?.content else { return None };
    Some((*status, outer))
}

fn basic(mut outer: Der<'_>) -> Option<Basic<'_>> {
    let mut bytes = outer.inside(0xa0)?.inside(SEQUENCE)?;
    bytes.next()?;
    let mut basic = Der(bytes.tagged(OCTETS)?.content).inside(SEQUENCE)?;
    let tbs = basic.tagged(SEQUENCE)?;
    let oid = basic.inside(SEQUENCE)?.tagged(OID)?.content;
    let signature = basic.tagged(BITS)?.content.get(1..)?;
    let certificates = basic.inside(0xa0).and_then(|mut d| d.inside(SEQUENCE));
    let mut data = Der(tbs.content);
    data.tagged(0xa0); // version
    let (responder, produced) = (data.next()?, data.next()?);
    let mut answers = data.inside(SEQUENCE)?;
    let first = single(answers.tagged(SEQUENCE)?)?;
    let extensions = data.inside(0xa1).and_then(|mut d| d.inside(SEQUENCE));
    let signed = Signed { tbs: tbs.whole, oid, signature };
    Some(Basic {
        responder,
        produced,
        signed,
        certificates,
        single: first,
        more: answers.next().is_some(),
        extensions,
    })
}

/// What OCSP calls a response that is none, by its number (RFC 6960 section 4.2.1).
const NO_SUCCESS: [&str; 7] = [
    "OCSP response not successful (0: successful)",
    "OCSP response not successful (1: malformedrequest)",
    "OCSP response not successful (2: internalerror)",
    "OCSP response not successful (3: trylater)",
    "OCSP response not successful (4: (UNKNOWN))",
    "OCSP response not successful (5: sigrequired)",
    "OCSP response not successful (6: unauthorized)",
];

/// Why a response is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It is none, or nobody whom the issuer lets do so has signed it.
    Check(&'static str),
    /// It does not say what has become of the certificate, now.
    Insertion(&'static str),
}

impl Unusable {
    /// In OpenSSL's and HAProxy's words.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Check(text) | Self::Insertion(text) => text,
        }
    }
}

/// A response that can be stapled.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    /// Which certificate it is about.
    pub id: CertId<'a>,
    /// Until when it is stapled, in seconds since the epoch: clients whose clocks are ahead shall not refuse it.
    pub until: i64,
    /// What is stapled: nothing that stands behind it.
    pub der: &'a [u8],
}

impl Response<'_> {
    /// Is it about the certificate that is called so?
    #[must_use]
    pub fn is_about(&self, wanted: &[u8]) -> bool {
        CertId::of(wanted).is_some_and(|wanted| wanted.is(&self.id))
    }
}

/// Reads a response that is to be stapled: it has to be about one certificate, and of now. Who signed it is not asked: see
/// [`verify`].
///
/// # Errors
/// Why it may not be, in HAProxy's words.
pub fn read(response: &[u8], now: i64) -> Result<Response<'_>, &'static str> {
    const NONE: &str = "Unable to parse OCSP response";
    let der = Some(alone(response)).filter(|der| der.len() <= MOST).ok_or(NONE)?;
    let (code, outer) = status(der).ok_or(NONE)?;
    if code != 0 {
        return Err("OCSP response status not successful");
    }
    let basic = basic(outer).ok_or(NONE)?;
    if basic.more {
        return Err("OCSP response ignored because contains multiple single responses");
    }
    // clients learn also that a certificate is revoked
    if !matches!(basic.single.status.tag, 0x80 | 0xa1) {
        return Err("OCSP single response: certificate status is unknown");
    }
    let next = basic.single.next_update.ok_or("OCSP single response: missing nextupdate")?;
    let begun = seconds(basic.single.this_update).is_some_and(|at| at <= now + SKEW);
    match seconds(next).filter(|at| begun && *at >= now - SKEW) {
        Some(at) => Ok(Response { id: basic.single.id, until: at - SKEW, der }),
        None => Err("OCSP single response: no longer valid."),
    }
}

/// Was a response signed by this issuer, or by somebody whom it lets do so?
///
/// # Errors
/// Why not, in OpenSSL's words.
pub fn verify(response: &[u8], issuer: &Cert<'_>, now: i64) -> Result<(), &'static str> {
    let (code, outer) = status(response).ok_or("d2i_OCSP_RESPONSE() failed")?;
    if code != 0 {
        return Err(NO_SUCCESS.get(usize::from(code)).or(NO_SUCCESS.get(4)).copied().unwrap_or_default());
    }
    if alone(response).len() > MOST {
        return Err("OCSP response is too large for TLS");
    }
    let basic = basic(outer).ok_or("OCSP_response_get1_basic() failed")?;
    match is_signed(&basic, issuer, now) {
        true => Ok(()),
        false => Err("OCSP_basic_verify() failed"),
    }
}

/// Has the issuer signed it, or somebody with a certificate of the issuer's for that?
fn is_signed(basic: &Basic<'_>, issuer: &Cert<'_>, now: i64) -> bool {
    if issuer.verifies(&basic.signed) {
        return true;
    }
    let delegated = |e: Element<'_>| {
        let Some(cert) = Cert::parse(e.whole) else { return false };
        let (from, to) = cert.validity();
        cert.names_purpose(SIGNING)
            && (from..=to).contains(&now)
            && crate::verify::issued(issuer, &cert)
            && issuer.verifies(&cert.signed())
            && cert.verifies(&basic.signed)
    };
    basic.certificates.into_iter().flatten().any(delegated)
}

/// A response in words, as `openssl ocsp -text` has it (without the certificates' own text, which stand as PEM).
#[must_use]
pub fn text(response: &[u8]) -> Option<String> {
    use crate::describe;
    use portcullis_wire::hex;
    let (_, outer) = status(response).filter(|(code, _)| *code == 0)?;
    let basic = basic(outer)?;
    let Single { id, status, this_update, next_update } = &basic.single;
    let responder = match basic.responder.tag {
        0xa1 => describe::spaced(basic.responder.content),
        _ => hex::text(Der(basic.responder.content).tagged(OCTETS)?.content),
    };
    let state = match status.tag {
        0x80 => "good".to_owned(),
        0xa1 => {
            let at = Der(status.content).next().map(describe::date).unwrap_or_default();
            format!("revoked\n    Revocation Time: {at}")
        }
        _ => "unknown".to_owned(),
    };
    let mut out = format!(
        "OCSP Response Data:\n    OCSP Response Status: successful (0x0)\n    Response Type: Basic OCSP Response\n    \
         Version: 1 (0x0)\n    Responder Id: {responder}\n    Produced At: {}\n    Responses:\n    Certificate ID:\n      \
         Hash Algorithm: sha1\n      Issuer Name Hash: {}\n      Issuer Key Hash: {}\n      Serial Number: {}\n    \
         Cert Status: {state}\n    This Update: {}\n",
        describe::date(basic.produced),
        hex::text(id.issuer_name_hash),
        hex::text(id.issuer_key_hash),
        describe::serial(id.serial),
        describe::date(*this_update),
    );
    if let Some(next) = next_update {
        out += &format!("    Next Update: {}\n", describe::date(*next));
    }
    out += " \n";
    if let Some(nonce) = basic.extensions.into_iter().flatten().find_map(nonce) {
        out += &format!(
            "    Response Extensions:\n        OCSP Nonce: \n            {}\n",
            hex::text(nonce).to_ascii_uppercase()
        );
    }
    out += &format!(
        "    Signature Algorithm: {}\n    Signature Value:\n",
        describe::signature_name(basic.signed.oid)
    );
    for line in basic.signed.signature.chunks(18) {
        let last = line.as_ptr_range().end == basic.signed.signature.as_ptr_range().end;
        let bytes: Vec<String> = line.iter().map(|b| format!("{b:02x}")).collect();
        out += &format!("        {}{}\n", bytes.join(":"), if last { "" } else { ":" });
    }
    for cert in basic.certificates.into_iter().flatten() {
        describe::pem("CERTIFICATE", cert.whole, &mut out);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000;
    /// 2023-11-14T22:13:20Z
    const THIS: &[u8] = b"20231114221320Z";

    /// A response about the serial number 7; the parts that differ are DER.
    fn response(code: u8, status: &[u8], this: &[u8], next: Option<&[u8]>, times: usize) -> Vec<u8> {
        let algorithm = element(SEQUENCE, &[&element(OID, &[SHA1])]);
        let id = element(SEQUENCE, &[&algorithm, &[OCTETS, 1, 1, OCTETS, 1, 2], &element(INTEGER, &[&[7]])]);
        let next = next.map(|at| element(0xa0, &[&element(0x18, &[at])])).unwrap_or_default();
        let single = element(SEQUENCE, &[&id, status, &element(0x18, &[this]), &next]);
        let name = element(0xa1, &[&element(SEQUENCE, &[])]);
        let data = element(
            SEQUENCE,
            &[&name, &element(0x18, &[this]), &element(SEQUENCE, &[&single.repeat(times)])],
        );
        let basic = element(SEQUENCE, &[&data, &algorithm, &element(BITS, &[&[0, 1]])]);
        let bytes = element(SEQUENCE, &[&element(OID, &[BY_OCSP]), &element(OCTETS, &[&basic])]);
        element(SEQUENCE, &[&[0x0a, 1, code], &element(0xa0, &[&bytes])])
    }

    #[test]
    fn what_is_stapled_is_of_now() {
        let good: &[u8] = &[0x80, 0];
        let until = |next: &'static [u8]| read(&response(0, good, THIS, Some(next), 1), NOW).map(|r| r.until);
        assert_eq!(until(b"20231114231320Z"), Ok(NOW + 3300));
        assert_eq!(until(b"20231114221819Z"), Ok(NOW - 1));
        for next in [b"20231114220819Z", &b"20221114221320Z"[..], b"tomorrow"] {
            assert_eq!(until(next), Err("OCSP single response: no longer valid."));
        }
        let begins = |this: &[u8]| read(&response(0, good, this, Some(b"20240101000000Z"), 1), NOW).is_ok();
        assert!(begins(b"20231114221820Z") && !begins(b"20231114221821Z"));
        let whole = [response(0, good, THIS, Some(b"20240101000000Z"), 1), vec![b'x'; 200_000]].concat();
        let read = read(&whole, NOW).unwrap();
        assert_eq!(read.der.len() + 200_000, whole.len());
        let id = read.id.whole.to_vec();
        assert!(read.is_about(&id) && !read.is_about(&[&id[..id.len() - 1], &[8]].concat()));
    }

    #[test]
    fn what_is_not_stapled() {
        let next: Option<&[u8]> = Some(b"20240101000000Z");
        let cases: [(Vec<u8>, &str); 8] = [
            (b"hello".to_vec(), "Unable to parse OCSP response"),
            (Vec::new(), "Unable to parse OCSP response"),
            (b"\x30\x84\xff\xff\xff\xff\x00".to_vec(), "Unable to parse OCSP response"),
            (element(SEQUENCE, &[&[0x0a, 1, 0], &[5; MOST]]), "Unable to parse OCSP response"),
            (b"\x30\x03\x0a\x01\x03".to_vec(), "OCSP response status not successful"),
            (response(0, &[0x82, 0], THIS, next, 1), "OCSP single response: certificate status is unknown"),
            (response(0, &[0x80, 0], THIS, None, 1), "OCSP single response: missing nextupdate"),
            (
                response(0, &[0x80, 0], THIS, next, 2),
                "OCSP response ignored because contains multiple single responses",
            ),
        ];
        for (bytes, why) in cases {
            assert_eq!(read(&bytes, NOW).unwrap_err(), why);
        }
        for bad in [&b""[..], b"\x30\x03\x0a\x01\x01", b"\x30\x84\xff\xff\xff\xff\x00"] {
            assert_eq!(text(bad), None);
        }
    }

    #[test]
    fn nonces_are_found_among_extensions() {
        let extension =
            |oid: &[u8]| element(SEQUENCE, &[&element(OID, &[oid]), &element(OCTETS, &[&[4, 2, 7, 9]])]);
        let both = [extension(BY_OCSP), extension(NONCE)].concat();
        assert_eq!(Der(&both).find_map(nonce), Some(&[4, 2, 7, 9][..]));
        assert_eq!(Der(&extension(BY_OCSP)).find_map(nonce), None);
    }

    #[test]
    fn requests_name_one_certificate() {
        let id = element(SEQUENCE, &[&[5, 0]]);
        assert_eq!(request(&id), [0x30, 10, 0x30, 8, 0x30, 6, 0x30, 4, 0x30, 2, 5, 0]);
    }
}
