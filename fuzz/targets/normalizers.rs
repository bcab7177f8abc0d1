//! `normalize-uri`: the first byte chooses the normalizer, the rest is a request's target. Whatever it is, it ends, is done
//! once and for all but for two that 3.5 does so, and puts no byte into the target that a request line cannot have.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_proxy::rules::normalize::{NORMALIZERS, Normalizer, normalized};

fuzz_target!(|input: &[u8]| {
    let Some((first, target)) = input.split_first() else { return };
    let how = NORMALIZERS[usize::from(*first) % NORMALIZERS.len()];
    if target.iter().any(|b| *b <= b' ' || *b == 0x7f) {
        return;
    }
    if let Some(new) = normalized(how, target) {
        assert!(!new.iter().any(|b| *b <= b' ' || *b == 0x7f), "{how:?} makes a control character");
        // as 3.5, sorting drops one `&` from the end of the query each time, and decoding leaves what has become an escape
        let again = match how {
            Normalizer::SortQuery => new.contains(&b'&'),
            Normalizer::Decode(_) => new.contains(&b'%'),
            _ => false,
        };
        if !again {
            assert_eq!(normalized(how, &new).as_deref(), Some(&*new), "{how:?} twice is something else");
        }
    }
});
