//! PROXY protocol: an incomplete header is waited for, a complete one is written so that it says the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_wire::proxy_protocol::{MAX_V1, Parsed, Tlv, encode_v1, encode_v2, parse};

fuzz_target!(|raw: &[u8]| {
    let Ok(Parsed::Complete(header)) = parse(raw) else { return };
    assert!(header.len <= raw.len());
    for len in 0..header.len {
        match parse(&raw[..len]) {
            Ok(Parsed::Partial) => {}
            // a longer line is taken if it comes at once, as by HAProxy, and not waited for
            Err(_) if header.version == 1 && len >= MAX_V1 => {}
            other => panic!("not waited for at {len}: {other:?}"),
        }
    }
    let tlvs: Vec<Tlv<'_>> = header.tlvs.iter().collect();
    let _ = header.tlvs.ssl();
    let mut out = Vec::new();
    match header.version {
        1 => encode_v1(header.addresses.as_ref(), &mut out),
        _ if header.local => return,
        _ => encode_v2(header.transport, header.addresses.as_ref(), &tlvs, &mut out),
    }
    match parse(&out) {
        Ok(Parsed::Complete(again)) => {
            assert_eq!(again.len, out.len());
            assert_eq!(again.addresses, header.addresses);
        }
        other => panic!("not taken again: {other:?}"),
    }
});
