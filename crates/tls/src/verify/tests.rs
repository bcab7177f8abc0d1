//! Chains of certificates that are made here, each judged as `openssl verify` of 3.0 judges it.

use super::*;
use crate::der::{BITS, BOOLEAN, INTEGER, OCTETS, OID, SEQUENCE, SET, element};
use crate::mint::time;
use crate::store::Slot;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

const NOW: i64 = 1_800_000_000;
const DAY: i64 = 86_400;
const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];

fn key() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap()
}

fn extension(oid: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { element(BOOLEAN, &[&[0xff]]) } else { Vec::new() };
    element(SEQUENCE, &[&element(OID, &[oid]), &critical, &element(OCTETS, &[value])])
}

/// An extension of id-ce, not critical.
fn ce(id: u8, value: &[u8]) -> Vec<u8> {
    extension(&[0x55, 0x1d, id], false, value)
}

fn usage_of(bits: u8) -> Vec<u8> {
    ce(0x0f, &element(BITS, &[&[0, bits]]))
}

fn purposes(oids: &[&[u8]]) -> Vec<u8> {
    let all: Vec<u8> = oids.iter().flat_map(|o| element(OID, &[o])).collect();
    ce(0x25, &element(SEQUENCE, &[&all]))
}

fn authority(path_length: Option<u8>) -> Vec<u8> {
    let most = path_length.map_or_else(Vec::new, |n| element(INTEGER, &[&[n]]));
    ce(0x13, &element(SEQUENCE, &[&element(BOOLEAN, &[&[0xff]]), &most]))
}

fn dns(name: &str) -> Vec<u8> {
    ce(0x11, &element(SEQUENCE, &[&element(0x82, &[name.as_bytes()])]))
}

const SERVER: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
const CLIENT: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];
const ANY: &[u8] = &[0x55, 0x1d, 0x25, 0];

/// A name with one common name, as a string of this kind.
fn name_as(tag: u8, name: &str) -> Vec<u8> {
    let pair = element(SEQUENCE, &[&element(OID, &[&[0x55, 4, 3]]), &element(tag, &[name.as_bytes()])]);
    element(SEQUENCE, &[&element(SET, &[&pair])])
}

fn name(name: &str) -> Vec<u8> {
    name_as(0x0c, name)
}

/// Who signs.
struct Signer {
    name: Vec<u8>,
    key: EcdsaKeyPair,
}

impl Signer {
    fn new(called: &str) -> Self {
        Self { name: name(called), key: key() }
    }

    fn sign(&self, tbs: &[u8]) -> Vec<u8> {
        let signature = self.key.sign(&SystemRandom::new(), tbs).unwrap();
        let algorithm = element(SEQUENCE, &[&element(OID, &[ECDSA_SHA256])]);
        element(SEQUENCE, &[tbs, &algorithm, &element(BITS, &[&[0], signature.as_ref()])])
    }

    fn issue(&self, what: &Made<'_>) -> Vec<u8> {
        let ec = element(OID, &[&[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1]]);
        let curve = element(OID, &[&[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]]);
        let point = element(BITS, &[&[0], what.key.public_key().as_ref()]);
        let (from, to) = what.valid;
        let tbs = element(
            SEQUENCE,
            &[
                &element(0xa0, &[&element(INTEGER, &[&[2]])]),
                &element(INTEGER, &[&[what.serial]]),
                &element(SEQUENCE, &[&element(OID, &[ECDSA_SHA256])]),
                &self.name,
                &element(SEQUENCE, &[&time(NOW + from * DAY), &time(NOW + to * DAY)]),
                what.name,
                &element(SEQUENCE, &[&element(SEQUENCE, &[&ec, &curve]), &point]),
                &element(0xa3, &[&element(SEQUENCE, &[&what.extensions.concat()])]),
            ],
        );
        self.sign(&tbs)
    }

    /// A list of revoked serial numbers; days from and to when it counts.
    fn list(&self, serials: &[u8], (from, to): (i64, i64), extensions: &[Vec<u8>]) -> Vec<u8> {
        let one = |s: &u8| element(SEQUENCE, &[&element(INTEGER, &[&[*s]]), &time(NOW - DAY)]);
        let entries: Vec<u8> = serials.iter().flat_map(one).collect();
        let entries = if serials.is_empty() { Vec::new() } else { element(SEQUENCE, &[&entries]) };
        let tbs = element(
            SEQUENCE,
            &[
                &element(INTEGER, &[&[1]]),
                &element(SEQUENCE, &[&element(OID, &[ECDSA_SHA256])]),
                &self.name,
                &time(NOW + from * DAY),
                &time(NOW + to * DAY),
                &entries,
                &element(0xa0, &[&element(SEQUENCE, &[&extensions.concat()])]),
            ],
        );
        self.sign(&tbs)
    }
}

/// A certificate that is to be made.
struct Made<'m> {
    name: &'m [u8],
    key: &'m EcdsaKeyPair,
    extensions: Vec<Vec<u8>>,
    valid: (i64, i64),
    serial: u8,
}

/// An authority that issued itself, and its certificate.
fn root(called: &str, extensions: Vec<Vec<u8>>) -> (Signer, Vec<u8>) {
    let root = Signer::new(called);
    let made = Made { name: &root.name, key: &root.key, extensions, valid: (-9, 99), serial: 1 };
    let cert = root.issue(&made);
    (root, cert)
}

/// An authority below another.
fn below(above: &Signer, called: &str, extensions: Vec<Vec<u8>>) -> (Signer, Vec<u8>) {
    let own = Signer::new(called);
    let made = Made { name: &own.name, key: &own.key, extensions, valid: (-9, 99), serial: 2 };
    let cert = above.issue(&made);
    (own, cert)
}

fn leaf(above: &Signer, extensions: Vec<Vec<u8>>) -> Vec<u8> {
    leaf_of(above, extensions, (-9, 99), 7)
}

fn leaf_of(above: &Signer, extensions: Vec<Vec<u8>>, valid: (i64, i64), serial: u8) -> Vec<u8> {
    above.issue(&Made { name: &name("leaf"), key: &key(), extensions, valid, serial })
}

fn policy(roots: &[&[u8]], lists: Option<&[&[u8]]>) -> Policy {
    let roots = roots.iter().map(|r| CertificateDer::from(r.to_vec())).collect();
    Policy {
        trusted: vec![Slot::new("ca", roots)],
        revoked: lists
            .map(|l| Slot::new("crl", l.iter().filter_map(|l| Revocations::new(l.to_vec())).collect())),
        purpose: Purpose::Client,
        ..Policy::default()
    }
}

fn ignoring(mut policy: Policy) -> Policy {
    policy.crt_ignore.all = true;
    policy.ca_ignore.all = true;
    policy
}

/// The error that ends it and its depth; 0: none.
fn ended(policy: &Policy, chain: &[&[u8]]) -> (u32, u32) {
    let verdict = policy.judge(chain, NOW);
    (verdict.fatal, verdict.fatal_depth)
}

/// The first error of the certificate, the first above it, the last one, and the one that ends it.
fn all(policy: Policy, chain: &[&[u8]]) -> (u32, u32, u32, u32) {
    let v = ignoring(policy).judge(chain, NOW);
    (v.crt, v.ca, v.last, v.fatal)
}

#[test]
fn critical_extensions() {
    let (ca, root) = root("root", vec![authority(None)]);
    let p = policy(&[&root], None);
    let with = |oid: &[u8], critical, value: &[u8]| leaf(&ca, vec![extension(oid, critical, value)]);
    assert_eq!(ended(&p, &[&with(&[0x2a, 3], false, &[5, 0])]), (0, 0));
    assert_eq!(ended(&p, &[&with(&[0x2a, 3], true, &[5, 0])]), (err::CRITICAL, 0));
    // nobody may ignore it
    assert_eq!(all(p.clone(), &[&with(&[0x2a, 3], true, &[5, 0])]), (34, 0, 34, 34));
    // key identifiers, issuerAltName and freshestCRL are not known as critical ones; policies and the like are
    for unknown in [0x0e, 0x12, 0x2e] {
        assert_eq!(
            ended(&p, &[&with(&[0x55, 0x1d, unknown], true, &[4, 0])]),
            (err::CRITICAL, 0),
            "{unknown:x}"
        );
    }
    for known in [0x20, 0x21, 0x24, 0x36] {
        assert_eq!(ended(&p, &[&with(&[0x55, 0x1d, known], true, &[0x30, 0])]), (0, 0), "{known:x}");
    }
    let (sub, cert) = below(&ca, "sub", vec![authority(None), extension(&[0x2a, 3], true, &[5, 0])]);
    assert_eq!(ended(&p, &[&leaf(&sub, vec![]), &cert]), (err::CRITICAL, 1));
    let proxy = with(&[0x2b, 6, 1, 5, 5, 7, 1, 14], false, &[0x30, 0]);
    assert_eq!(ended(&p, &[&proxy]), (err::PROXY, 0));
}

#[test]
fn extensions_that_cannot_be_read() {
    let (ca, root) = root("root", vec![authority(None)]);
    let p = policy(&[&root], None);
    for id in [0x0f, 0x11, 0x13, 0x1e, 0x1f, 0x23, 0x25, 0x0e] {
        assert_eq!(ended(&p, &[&leaf(&ca, vec![ce(id, &[5, 0])])]), (err::NO_LOCAL_ISSUER, 0), "{id:x}");
        // one behind it counts as much
        let two = leaf(&ca, vec![ce(0x63, &[5, 0]), ce(id, &[5, 0])]);
        assert_eq!(ended(&p, &[&two]), (err::NO_LOCAL_ISSUER, 0), "{id:x}");
    }
    let empty = leaf(&ca, vec![usage_of(0)]);
    assert_eq!(ended(&p, &[&empty]), (err::NO_LOCAL_ISSUER, 0));
    let twice = leaf(&ca, vec![dns("a"), dns("b")]);
    assert_eq!(ended(&p, &[&twice]), (err::NO_LOCAL_ISSUER, 0));
    let torn = leaf(&ca, vec![vec![0x30, 2, 5, 0], usage_of(0x80)]);
    assert_eq!(ended(&p, &[&torn]), (err::NO_LOCAL_ISSUER, 0));
}

#[test]
fn purposes_and_usages() {
    let (ca, root) = root("root", vec![authority(None)]);
    let p = policy(&[&root], None);
    let server = Policy { purpose: Purpose::Server, ..p.clone() };
    let netscape = |bits: u8| {
        extension(&[0x60, 0x86, 0x48, 1, 0x86, 0xf8, 0x42, 1, 1], false, &element(BITS, &[&[0, bits]]))
    };
    // what it says, and whether a client and a server may show it
    let cases: &[(&str, Vec<Vec<u8>>, bool, bool)] = &[
        ("nothing", vec![], true, true),
        ("clientAuth", vec![purposes(&[CLIENT])], true, false),
        ("serverAuth", vec![purposes(&[SERVER])], false, true),
        ("both", vec![purposes(&[SERVER, CLIENT])], true, true),
        ("any", vec![purposes(&[ANY])], false, false),
        ("none", vec![purposes(&[])], false, false),
        ("digitalSignature", vec![usage_of(0x80)], true, true),
        ("keyEncipherment", vec![usage_of(0x20)], false, true),
        ("dataEncipherment", vec![usage_of(0x10)], false, false),
        ("keyAgreement", vec![usage_of(0x08)], true, true),
        ("keyCertSign", vec![usage_of(0x06)], false, false),
        ("nsCertType client", vec![netscape(0x80)], true, false),
        ("nsCertType server", vec![netscape(0x40)], false, true),
        ("an authority", vec![authority(None)], true, true),
    ];
    for (what, extensions, as_client, as_server) in cases {
        let cert = leaf(&ca, extensions.clone());
        let wanted = |ok: &bool| if *ok { (0, 0) } else { (err::PURPOSE, 0) };
        assert_eq!(ended(&p, &[&cert]), wanted(as_client), "{what}");
        assert_eq!(ended(&server, &[&cert]), wanted(as_server), "{what}");
    }
    // authorities are for a purpose, too
    let (sub, cert) = below(&ca, "sub", vec![authority(None), purposes(&[SERVER])]);
    let chain = [&leaf(&sub, vec![])[..], &cert];
    assert_eq!((ended(&p, &chain), ended(&server, &chain)), ((err::PURPOSE, 1), (0, 0)));
}

#[test]
fn authorities() {
    let (ca, root_cert) = root("root", vec![authority(None)]);
    let p = policy(&[&root_cert], None);
    // what it says, and: the first error above, the last one, and the one that nobody may ignore
    type Errors = (u32, u32, u32);
    let cases: &[(&str, Vec<Vec<u8>>, Errors)] = &[
        ("nothing", vec![], (79, 26, 0)),
        ("no authority", vec![ce(0x13, &element(SEQUENCE, &[]))], (79, 26, 0)),
        ("no keyCertSign", vec![authority(None), usage_of(0x80)], (79, 32, 32)),
        ("keyCertSign only", vec![usage_of(0x04)], (79, 79, 0)),
        ("an authority", vec![authority(None), usage_of(0x04)], (0, 0, 0)),
    ];
    for (what, extensions, (ca_err, last, fatal)) in cases {
        let (sub, cert) = below(&ca, "sub", extensions.clone());
        let chain = [&leaf(&sub, vec![])[..], &cert];
        assert_eq!(all(p.clone(), &chain), (0, *ca_err, *last, *fatal), "{what}");
        assert_eq!(ended(&p, &chain), (*ca_err, u32::from(*ca_err != 0)), "{what}");
    }
    // a root may say less
    let (ca, old) = root("old", vec![usage_of(0x04)]);
    assert_eq!(ended(&policy(&[&old], None), &[&leaf(&ca, vec![])]), (0, 0));
    let (ca, none) = root("none", vec![]);
    assert_eq!(ended(&policy(&[&none], None), &[&leaf(&ca, vec![])]), (err::INVALID_CA, 1));
    // so many may stand below
    let (ca, top) = root("top", vec![authority(Some(1))]);
    let (a, a_cert) = below(&ca, "a", vec![authority(None)]);
    let (b, b_cert) = below(&a, "b", vec![authority(None)]);
    let p = policy(&[&top], None);
    assert_eq!(ended(&p, &[&leaf(&a, vec![]), &a_cert]), (0, 0));
    assert_eq!(ended(&p, &[&leaf(&b, vec![]), &b_cert, &a_cert]), (err::PATH_LENGTH, 3));
}

#[test]
fn constraints_of_names() {
    let (ca, root_cert) = root("root", vec![authority(None)]);
    let p = policy(&[&root_cert], None);
    let list = |tag: u8, base: &str| {
        let subtree = element(SEQUENCE, &[&element(0x82, &[base.as_bytes()])]);
        ce(0x1e, &element(SEQUENCE, &[&element(tag, &[&subtree])]))
    };
    let (sub, permits) = below(&ca, "sub", vec![authority(None), list(0xa0, "ok.example")]);
    let (other, excludes) = below(&ca, "other", vec![authority(None), list(0xa1, "bad.example")]);
    let judge = |signer: &Signer, cert: &[u8], called: &[u8], names: &[&str]| {
        let extensions = names.iter().map(|n| dns(n)).collect();
        let made = Made { name: called, key: &key(), extensions, valid: (-9, 99), serial: 3 };
        ended(&p, &[&signer.issue(&made), cert])
    };
    let plain = name("leaf");
    assert_eq!(judge(&sub, &permits, &plain, &["x.ok.example"]), (0, 0));
    assert_eq!(judge(&sub, &permits, &plain, &["bad.example"]), (err::NOT_PERMITTED, 0));
    assert_eq!(judge(&other, &excludes, &plain, &["x.bad.example"]), (err::EXCLUDED, 0));
    assert_eq!(judge(&other, &excludes, &plain, &["x.ok.example"]), (0, 0));
    // a common name is one only where there is no other, and if it looks like one
    assert_eq!(judge(&sub, &permits, &plain, &[]), (0, 0));
    assert_eq!(judge(&sub, &permits, &name("bad.example"), &[]), (err::NOT_PERMITTED, 0));
    assert_eq!(judge(&sub, &permits, &name("bad.example"), &["ok.example"]), (0, 0));
    assert_eq!(all(p.clone(), &[&leaf(&sub, vec![dns("bad.example")]), &permits]), (47, 0, 47, 47));
    // those of the root count, too, and for all that is below
    let (top, top_cert) = root("top", vec![authority(None), list(0xa0, "ok.example")]);
    let (a, a_cert) = below(&top, "a", vec![authority(None)]);
    let bad = leaf(&a, vec![dns("bad.example")]);
    assert_eq!(ended(&policy(&[&top_cert], None), &[&bad, &a_cert]), (err::NOT_PERMITTED, 0));
}

#[test]
fn paths() {
    let (ca, root_cert) = root("root", vec![authority(None)]);
    let (sub, sub_cert) = below(&ca, "sub", vec![authority(None)]);
    let own = leaf(&sub, vec![]);
    let trusting = |roots: &[&[u8]]| policy(roots, None);
    assert_eq!(ended(&trusting(&[&root_cert]), &[&own, &sub_cert]), (0, 0));
    assert_eq!(ended(&trusting(&[&root_cert]), &[&own, &root_cert, &sub_cert]), (0, 0));
    assert_eq!(ended(&trusting(&[&root_cert]), &[&own]), (err::NO_LOCAL_ISSUER, 0));
    assert_eq!(all(trusting(&[&root_cert]), &[&own]), (20, 0, 21, 0));
    // whoever is trusted has nobody above him whom the peer has sent
    assert_eq!(ended(&trusting(&[&sub_cert]), &[&own, &root_cert]), (err::NO_ISSUER, 1));
    assert_eq!(ended(&trusting(&[&sub_cert]), &[&sub_cert]), (err::NO_LOCAL_ISSUER, 0));
    assert_eq!(ended(&trusting(&[]), &[&own, &sub_cert, &root_cert]), (err::SELF_SIGNED_ABOVE, 2));
    assert_eq!(ended(&trusting(&[]), &[&root_cert]), (err::SELF_SIGNED, 0));
    assert_eq!(ended(&trusting(&[&root_cert]), &[&root_cert]), (0, 0));
    // of two authorities of one name the one that is valid counts, wherever it stands
    let old = ca.issue(&Made {
        name: &ca.name,
        key: &ca.key,
        extensions: vec![authority(None)],
        valid: (-99, -9),
        serial: 1,
    });
    for roots in [[&old[..], &root_cert], [&root_cert, &old]] {
        assert_eq!(ended(&trusting(&roots), &[&leaf(&ca, vec![])]), (0, 0));
    }
    assert_eq!(ended(&trusting(&[&old]), &[&leaf(&ca, vec![])]), (err::EXPIRED, 1));
    // a key that the authority has not
    let mimic = Signer { name: ca.name.clone(), key: key() };
    assert_eq!(ended(&trusting(&[&root_cert]), &[&leaf(&mimic, vec![])]), (err::SIGNATURE, 0));
    let shown = mimic.issue(&Made {
        name: &ca.name,
        key: &mimic.key,
        extensions: vec![authority(None)],
        valid: (-9, 99),
        serial: 1,
    });
    assert_eq!(ended(&trusting(&[&root_cert]), &[&leaf(&mimic, vec![]), &shown]), (err::SIGNATURE, 0));
    // a new key of an authority, signed with its old one
    let ids = |own: &[u8], above: &[u8]| {
        vec![
            authority(None),
            ce(0x0e, &element(OCTETS, &[own])),
            ce(0x23, &element(SEQUENCE, &[&element(0x80, &[above])])),
        ]
    };
    let first = Signer::new("rolling");
    let first_cert = first.issue(&Made {
        name: &first.name,
        key: &first.key,
        extensions: ids(b"1", b"1"),
        valid: (-9, 99),
        serial: 1,
    });
    let second = Signer { name: first.name.clone(), key: key() };
    let link = first.issue(&Made {
        name: &first.name,
        key: &second.key,
        extensions: ids(b"2", b"1"),
        valid: (-9, 99),
        serial: 2,
    });
    let under = leaf(&second, vec![ce(0x23, &element(SEQUENCE, &[&element(0x80, &[b"2"])]))]);
    assert_eq!(ended(&trusting(&[&first_cert]), &[&under, &link]), (0, 0));
    // names are the same in capitals and as strings of another kind
    let shouting = Signer { name: name_as(0x13, "ROOT "), key: ca.key };
    assert_eq!(ended(&trusting(&[&root_cert]), &[&leaf(&shouting, vec![])]), (0, 0));
    // two that issue each other
    let (x, y) = (Signer::new("x"), Signer::new("y"));
    let issue = |by: &Signer, of: &Signer| {
        by.issue(&Made {
            name: &of.name,
            key: &of.key,
            extensions: vec![authority(None)],
            valid: (-9, 99),
            serial: 4,
        })
    };
    let (xy, yx) = (issue(&x, &y), issue(&y, &x));
    assert_eq!(ended(&trusting(&[&root_cert]), &[&leaf(&x, vec![]), &xy, &yx]), (err::NO_LOCAL_ISSUER, 2));
    assert_eq!(ended(&trusting(&[&xy, &yx]), &[&leaf(&x, vec![])]), (err::NO_ISSUER, 2));
}

#[test]
fn dates() {
    let (ca, root_cert) = root("root", vec![authority(None)]);
    let p = policy(&[&root_cert], None);
    assert_eq!(ended(&p, &[&leaf_of(&ca, vec![], (-9, -1), 7)]), (err::EXPIRED, 0));
    assert_eq!(ended(&p, &[&leaf_of(&ca, vec![], (1, 9), 7)]), (err::NOT_YET, 0));
    assert_eq!(all(p.clone(), &[&leaf_of(&ca, vec![], (1, -1), 7)]), (9, 0, 10, 0));
    let unreadable = |at: usize| {
        let mut cert = leaf(&ca, vec![]);
        let dates =
            cert.windows(2).enumerate().filter(|(_, w)| *w == [0x17, 13]).map(|(i, _)| i).nth(at).unwrap();
        cert[dates + 4] = b'x';
        cert
    };
    assert_eq!(all(p.clone(), &[&unreadable(0)]), (7, 0, 13, 0));
    assert_eq!(all(p, &[&unreadable(1)]), (7, 0, 14, 0));
}

#[test]
fn strengths_of_keys_and_digests() {
    let (ca, root_cert) = root("root", vec![authority(None)]);
    let at = |level: u8| Policy { level: Some(level), ..policy(&[&root_cert], None) };
    let cert = leaf(&ca, vec![]);
    assert_eq!(ended(&at(3), &[&cert]), (0, 0));
    assert_eq!(all(at(4), &[&cert]), (66, 67, 67, 0));
    assert_eq!(names::key_bits("RSA", 1024), 80);
}

/// What a list is about: a part of issuingDistributionPoint.
fn scope(tag: u8, value: &[u8]) -> Vec<u8> {
    extension(&[0x55, 0x1d, 0x1c], true, &element(SEQUENCE, &[&element(tag, &[value])]))
}

fn number(n: u8) -> Vec<u8> {
    ce(0x14, &element(INTEGER, &[&[n]]))
}

fn delta(base: u8) -> Vec<u8> {
    extension(&[0x55, 0x1d, 0x1b], true, &element(INTEGER, &[&[base]]))
}

#[test]
fn revocation_lists() {
    let (ca, root_cert) = root("root", vec![authority(None)]);
    let forger = Signer { name: ca.name.clone(), key: key() };
    let stranger = Signer::new("stranger");
    let (cert, authority_cert) = (leaf(&ca, vec![]), leaf(&ca, vec![authority(None)]));
    let judge = |lists: &[Vec<u8>], cert: &[u8]| {
        let lists: Vec<&[u8]> = lists.iter().map(|l| &l[..]).collect();
        ended(&policy(&[&root_cert], Some(&lists)), &[cert])
    };
    let now = (-1, 9);
    assert_eq!(judge(&[ca.list(&[], now, &[])], &cert), (0, 0));
    assert_eq!(judge(&[ca.list(&[3, 7], now, &[])], &cert), (err::REVOKED, 0));
    assert_eq!(judge(&[], &cert), (err::NO_CRL, 0));
    assert_eq!(judge(&[stranger.list(&[], now, &[])], &cert), (err::NO_CRL, 0));
    assert_eq!(judge(&[forger.list(&[], now, &[])], &cert), (err::CRL_SIGNATURE, 0));
    let key_id = ce(0x23, &element(SEQUENCE, &[&element(0x82, &[&[9]])]));
    assert_eq!(judge(&[ca.list(&[], now, &[key_id])], &cert), (err::NO_CRL, 0));
    assert_eq!(judge(&[ca.list(&[7], (1, 9), &[])], &cert), (err::CRL_NOT_YET, 0));
    assert_eq!(judge(&[ca.list(&[7], (-9, -1), &[])], &cert), (err::CRL_EXPIRED, 0));
    assert_eq!(
        judge(&[ca.list(&[], now, &[extension(&[0x2a, 3], true, &[5, 0])])], &cert),
        (err::CRL_CRITICAL, 0)
    );
    // one that counts goes before one that does not, and a newer one before an older one
    let (old, new) = (ca.list(&[], (-9, -1), &[]), ca.list(&[7], now, &[]));
    assert_eq!(judge(&[old, new], &cert), (err::REVOKED, 0));
    let (old, new) = (ca.list(&[7], (-5, 9), &[]), ca.list(&[], now, &[]));
    assert_eq!(judge(&[old, new], &cert), (0, 0));
    let (old, new) = (ca.list(&[], now, &[number(1)]), ca.list(&[7], now, &[number(2)]));
    assert_eq!(judge(&[new, old], &cert), (err::REVOKED, 0));
    // users only: the root is not in it, and no authority
    let users = [ca.list(&[], now, &[scope(0x81, &[0xff])])];
    assert_eq!(judge(&users, &cert), (err::CRL_SCOPE, 1));
    assert_eq!(judge(&users, &authority_cert), (err::CRL_SCOPE, 0));
    let both = [ca.list(&[7], now, &[scope(0x81, &[0xff])]), ca.list(&[], now, &[scope(0x82, &[0xff])])];
    assert_eq!(judge(&both, &cert), (err::REVOKED, 0));
    assert_eq!(judge(&both, &authority_cert), (0, 0));
    // some reasons only, or of others
    for partial in [scope(0x83, &[0, 0x40]), scope(0x84, &[0xff])] {
        assert_eq!(judge(&[ca.list(&[], now, &[partial])], &cert), (err::NO_CRL, 0));
    }
    // another place than the certificate says
    let uri = |u: &str| element(0xa0, &[&element(0x86, &[u.as_bytes()])]);
    let at = |u: &str| {
        leaf(&ca, vec![ce(0x1f, &element(SEQUENCE, &[&element(SEQUENCE, &[&element(0xa0, &[&uri(u)])])]))])
    };
    let list = [ca.list(&[], now, &[scope(0xa0, &uri("a"))])];
    assert_eq!((judge(&list, &at("a")).1, judge(&list, &at("b"))), (1, (err::CRL_SCOPE, 0)));
    // the difference to a list
    let base = || ca.list(&[7], now, &[number(5)]);
    let none = || ca.list(&[], now, &[number(5)]);
    assert_eq!(judge(&[none(), ca.list(&[7], now, &[number(6), delta(5)])], &cert), (err::REVOKED, 0));
    assert_eq!(judge(&[none(), ca.list(&[7], now, &[number(9), delta(8)])], &cert), (0, 0));
    assert_eq!(judge(&[base(), ca.list(&[], now, &[number(6), delta(5)])], &cert), (err::REVOKED, 0));
    assert_eq!(judge(&[ca.list(&[], now, &[number(6), delta(5)])], &cert), (err::NO_CRL, 0));
    assert_eq!(judge(&[none(), forger.list(&[7], now, &[number(6), delta(5)])], &cert), (0, 0));
}

#[test]
fn every_certificate_of_a_path_is_looked_up() {
    let (ca, root_cert) = root("root", vec![authority(None)]);
    let (sub, sub_cert) = below(&ca, "sub", vec![authority(None)]);
    let cert = leaf(&sub, vec![]);
    let now = (-1, 9);
    let (above, own) = (ca.list(&[2], now, &[]), sub.list(&[], now, &[]));
    let judge = |lists: &[&[u8]]| ended(&policy(&[&root_cert], Some(lists)), &[&cert, &sub_cert]);
    assert_eq!(judge(&[&above, &own]), (err::REVOKED, 1));
    assert_eq!(judge(&[&own]), (err::NO_CRL, 1));
    assert_eq!(judge(&[&above]), (err::NO_CRL, 0));
    // errors of the lists are ignored one by one, each at its depth
    let some = Policy {
        crt_ignore: Ignored { numbers: vec![3], ..Ignored::default() },
        ca_ignore: Ignored { numbers: vec![3], ..Ignored::default() },
        ..policy(&[&root_cert], Some(&[]))
    };
    let verdict = some.judge(&[&cert, &sub_cert], NOW);
    assert_eq!((verdict.crt, verdict.ca, verdict.ca_depth, verdict.last, verdict.fatal), (3, 3, 1, 3, 0));
    // an authority that may not sign lists
    let (ca, root_cert) = root("mute", vec![authority(None), usage_of(0x04)]);
    let list = ca.list(&[], now, &[]);
    assert_eq!(ended(&policy(&[&root_cert], Some(&[&list])), &[&leaf(&ca, vec![])]), (err::NO_CRL_SIGN, 0));
}

#[test]
fn lists_that_cannot_be_read_are_not_used() {
    let (ca, root_cert) = root("root", vec![authority(None)]);
    let torn = ca.list(&[], (-1, 9), &[extension(&[0x55, 0x1d, 0x1c], true, &[5, 0])]);
    assert!(Revocations::new(torn.clone()).is_some());
    assert_eq!(ended(&policy(&[&root_cert], Some(&[&torn])), &[&leaf(&ca, vec![])]), (err::NO_CRL, 0));
}

#[test]
fn what_stands_behind_a_trusted_certificate() {
    let (ca, root_cert) = root("root", vec![authority(None)]);
    let (sub, sub_cert) = below(&ca, "sub", vec![authority(None)]);
    let with = |cert: &[u8], trusted: &[&[u8]], rejected: &[&[u8]]| {
        let list = |tag: u8, oids: &[&[u8]]| match oids {
            [] => Vec::new(),
            oids => element(tag, &[&oids.iter().flat_map(|o| element(OID, &[o])).collect::<Vec<u8>>()]),
        };
        [cert, &element(SEQUENCE, &[&list(SEQUENCE, trusted), &list(0xa0, rejected)])].concat()
    };
    let judge = |root: &[u8], leaf: &[u8]| ended(&policy(&[root], None), &[leaf]);
    let (own, under) = (leaf(&ca, vec![]), leaf(&sub, vec![]));
    assert_eq!(judge(&with(&root_cert, &[], &[]), &own), (0, 0));
    assert_eq!(judge(&with(&root_cert, &[CLIENT], &[]), &own), (0, 0));
    assert_eq!(judge(&with(&root_cert, &[SERVER], &[]), &own), (err::REJECTED, 1));
    assert_eq!(judge(&with(&root_cert, &[], &[CLIENT]), &own), (err::REJECTED, 1));
    assert_eq!(judge(&with(&root_cert, &[], &[ANY]), &root_cert), (err::REJECTED, 0));
    assert_eq!(judge(&with(&sub_cert, &[], &[]), &under), (err::NO_ISSUER, 1));
    // nobody above one that is said to be trusted is asked for
    let last = policy(&[&with(&sub_cert, &[CLIENT], &[])], None).judge(&[&under], NOW);
    assert_eq!((last.fatal, last.ca), (0, 0));
}

#[test]
fn hosts_and_names_of_certificates() {
    for (pattern, good, bad) in [
        ("a.ex", &["a.ex", "A.EX"][..], &["b.a.ex", "a.ex.", "ex"][..]),
        ("a.ex.", &["a.ex."], &["a.ex"]),
        ("*.ex", &["a.ex", ".ex"], &["a.b.ex", "ex", "a.ex."]),
        ("w*.ex", &["w.ex", "www.ex", "wA.ex"], &["xw.ex", "w.b.ex"]),
        ("*w.ex", &["w.ex", "xw.ex"], &["wa.ex"]),
        ("w*w.ex", &["ww.ex", "wxw.ex"], &["w.ex"]),
        ("xn--*.ex", &["xn--abc.ex"], &["abc.ex"]),
        ("*a*.ex", &["*a*.ex"], &["bar.ex"]),
        ("*", &[], &["a", "a.ex"]),
        ("a.*.ex", &[], &["a.b.ex"]),
    ] {
        good.iter().for_each(|host| assert!(matches_host(pattern, host), "{pattern} {host}"));
        bad.iter().for_each(|host| assert!(!matches_host(pattern, host), "{pattern} {host}"));
    }
}
