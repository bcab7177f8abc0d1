//! What stands in the files of certificates: PEM with certificates, keys and encrypted keys, revocation lists, OCSP responses,
//! lists of timestamps; the DER in them is looked at in words.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_tls::encrypted::{self, Passphrases};
use portcullis_tls::revocation::Revocations;
use portcullis_tls::store::{Parts, build, certificates, crls, key_of};
use portcullis_tls::x509::Purpose;
use portcullis_tls::{der, describe, dn, ocsp, x509};

const PEM: &[u8] = include_bytes!("../../crates/tls/tests/self_signed.pem");

fuzz_target!(|raw: &[u8]| {
    let mut passphrases = Passphrases::of(b"secret");
    let _ = key_of("fuzz", raw, &mut passphrases);
    let _ = crls("fuzz", raw);
    if let Some(block) = encrypted::find(raw)
        && raw.len() < 400
    {
        let _ = passphrases.open("fuzz", &block);
    }
    for text in [raw.to_vec(), [PEM, raw].concat()] {
        let parts = Parts { pem: text, issuer: Some(raw.to_vec()), ..Parts::default() };
        if let Ok(made) = build("fuzz", &parts, &mut passphrases) {
            assert!(made.key.cert.len() <= certificates(&parts.pem).len() + 1);
        }
    }
    let mut words = String::new();
    describe::certificate(raw, &mut words);
    describe::revocations(raw, &mut words);
    describe::pem("X", raw, &mut words);
    let _ = (ocsp::read(raw, 0).is_ok(), der::is_sct_list(raw), Revocations::new(raw.to_vec()).is_some());
    if let Some(cert) = x509::Cert::parse(raw) {
        let _ = (
            cert.validity(),
            cert.key_name(),
            cert.constraints(),
            cert.well_formed(),
            cert.demands_unknown(),
        );
        let _ =
            (cert.dns_names().count(), cert.common_names().count(), cert.authority(), cert.digest_strength());
        let _ = (dn::one_line(cert.subject), dn::rfc2253(cert.subject), x509::comparable(cert.subject));
        let _ =
            (cert.is_for(Purpose::Client, false), cert.is_for(Purpose::Server, true), cert.issued_by(&cert));
        let _ = (cert.name_constraints().map(|c| c.check(&cert, true)), cert.trusted_for(Purpose::Client));
    }
});
