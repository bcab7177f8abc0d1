//! What others answer about certificates: OCSP responses, as they are judged and shown, and what an ACME authority says: addresses,
//! lists, states.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_tls::x509::Cert;
use portcullis_tls::{ocsp, store};
use portcullis_upkeep::acme::session::Reply;
use portcullis_upkeep::url::{Url, escape};

const PEM: &[u8] = include_bytes!("../../crates/tls/tests/self_signed.pem");
const PATHS: [&str; 6] = [
    "$.status",
    "$.finalize",
    "$.certificate",
    "$.identifier.value",
    "$.challenges[0].token",
    "$.error.detail",
];
const LISTS: [&str; 3] = ["authorizations", "challenges", "a"];

fuzz_target!(|raw: &[u8]| {
    let _ = (ocsp::text(raw), ocsp::read(raw, 0).is_ok());
    let certificates = store::certificates(PEM);
    let issuer = certificates.first().and_then(|der| Cert::parse(der));
    // what is asked for is in the response itself, so that the rest of it is looked at
    let split = usize::from(raw.first().copied().unwrap_or(0)).min(raw.len());
    let (id, response) = raw.split_at(split);
    let _ = ocsp::read(response, 1_700_000_000).map(|read| read.is_about(id));
    if let Some(issuer) = &issuer {
        let _ = (ocsp::verify(response, issuer, 1_700_000_000), ocsp::verify(raw, issuer, 0));
    }
    let _ = ocsp::request(id);
    if let Some(cert) = Cert::parse(raw) {
        let _ = (ocsp::responder(&cert), ocsp::id(&cert, &cert));
    }
    let reply = Reply { location: None, wait: None, body: raw.to_vec() };
    for path in PATHS {
        let _ = reply.at(path);
    }
    for list in LISTS {
        assert!(reply.all(list).len() <= 100);
    }
    if let Some(url) = std::str::from_utf8(raw).ok().and_then(Url::parse) {
        let _ = url.address();
        let again = escape(raw);
        assert!(again.is_ascii());
    }
});
