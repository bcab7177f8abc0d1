//! `normalize-uri`: the first byte chooses the normalizer, the rest is a request's target. Whatever it is, it ends, is done
//! once and for all, and puts no byte into the target that a request line cannot have.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_proxy::rules::normalize::{NORMALIZERS, normalized};

fuzz_target!(|input: &[u8]| {
    let Some((first, target)) = input.split_first() else { return };
    let how = NORMALIZERS[usize::from(*first) % NORMALIZERS.len()];
    if target.iter().any(|b| *b <= b' ' || *b == 0x7f) {
        return;
    }
    if let Some(new) = normalized(how, target) {
        assert!(!new.iter().any(|b| *b <= b' ' || *b == 0x7f), "{how:?} makes a control character");
        assert_eq!(normalized(how, &new).as_deref(), Some(&*new), "{how:?} twice is something else");
    }
});
