//! NetScaler CIP: an incomplete header is waited for or refused, never taken.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_wire::netscaler_cip::{Parsed, parse};

const MAGIC: u32 = 0xc0de_0001;

fuzz_target!(|rest: &[u8]| {
    let raw = [&MAGIC.to_be_bytes()[..], rest].concat();
    let Ok(Parsed::Complete { len, src, dst }) = parse(&raw, MAGIC) else { return };
    assert!(len <= raw.len());
    assert_eq!(src.is_ipv4(), dst.is_ipv4());
    for short in 0..len {
        assert!(
            !matches!(parse(&raw[..short], MAGIC), Ok(Parsed::Complete { .. })),
            "taken at {short} of {len}"
        );
    }
});
