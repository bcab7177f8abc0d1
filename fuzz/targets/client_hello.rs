//! A ClientHello: it is waited for until all of it is there, and what is none stays none.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_tls::hello::{Seen, look};
use portcullis_tls::odd_name::Name;

/// The bytes, and the same as a message of a right length in a record of a right length.
fn wrapped(body: &[u8]) -> Vec<u8> {
    let len = |n: usize| [(n >> 8) as u8, n as u8];
    let mut out = [&[22, 3, 1][..], &len(body.len() + 4), &[1, 0], &len(body.len())].concat();
    out.extend_from_slice(body);
    out
}

fn check(raw: &[u8]) {
    let first = (0..=raw.len()).find(|n| look(&raw[..*n]) != Seen::Short);
    let Some(first) = first else { return };
    let seen = look(&raw[..first]);
    assert_eq!(look(raw), seen, "more bytes do not change it");
    if let Seen::There(hello) = seen {
        assert!(hello.body.len() + 9 <= first);
        assert!(hello.sni.as_ref().is_none_or(|s| s.len() <= hello.body.len()));
        let _ = (hello.offers(b"h2"), hello.newest(), Name::of(&hello));
    }
}

fuzz_target!(|raw: &[u8]| {
    if raw.len() < 2000 {
        check(raw);
        check(&wrapped(raw));
    }
});
