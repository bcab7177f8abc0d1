//! HTTP/1: what is taken is written so that it is taken again and means the same; what is incomplete stays so or fails;
//! chunks decode alike in one piece and in many.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_message::{Head, Method};
use portcullis_wire::h1::{Chunked, Limits, Parsed, encode, parse_request, parse_response};

fn fields(head: &Head) -> Vec<(Vec<u8>, Vec<u8>)> {
    head.fields().map(|f| (f.name.to_ascii_lowercase(), f.value.to_vec())).collect()
}

fn request(raw: &[u8], limits: &Limits) {
    let (mut first, mut again) = (Head::default(), Head::default());
    let Ok(Parsed::Complete(end, info)) = parse_request(raw, limits, &mut first) else { return };
    assert!(end <= raw.len());
    assert!(
        !matches!(parse_request(&raw[..end - 1], limits, &mut again), Ok(Parsed::Complete(..))),
        "too early"
    );
    let mut out = Vec::new();
    encode::request(&first, None, &mut out);
    match parse_request(&out, limits, &mut again) {
        Ok(Parsed::Complete(n, second)) => {
            assert_eq!(n, out.len());
            assert_eq!(info.framing, second.framing);
            // a port that is taken out may leave another behind (`a::`), as in HAProxy: the target gets shorter then
            if again.target().len() < first.target().len() {
                return;
            }
            assert_eq!(
                (first.method(), first.target(), fields(&first)),
                (again.method(), again.target(), fields(&again))
            );
        }
        other => panic!("not taken again: {other:?}\n{}", String::from_utf8_lossy(&out)),
    }
}

fn response(raw: &[u8], limits: &Limits) {
    let (mut first, mut again) = (Head::default(), Head::default());
    let Ok(Parsed::Complete(end, info)) = parse_response(raw, limits, &mut first, Method::Get) else {
        return;
    };
    assert!(end <= raw.len());
    let mut out = Vec::new();
    encode::response(&first, None, &mut out);
    match parse_response(&out, limits, &mut again, Method::Get) {
        Ok(Parsed::Complete(n, second)) => {
            assert_eq!(n, out.len());
            assert_eq!((first.status, fields(&first)), (again.status, fields(&again)));
            assert_eq!(info.framing, second.framing);
        }
        other => panic!("not taken again: {other:?}\n{}", String::from_utf8_lossy(&out)),
    }
}

/// The payload of a body that comes in pieces of this size, and whether it ended or failed.
fn chunked(raw: &[u8], limits: Limits, piece: usize) -> (Vec<u8>, bool, bool) {
    let mut decoder = Chunked::new(limits);
    let (mut payload, mut waiting) = (Vec::new(), Vec::new());
    for part in raw.chunks(piece) {
        waiting.extend_from_slice(part);
        match decoder.decode(&mut waiting) {
            Err(_) => return (payload, false, true),
            Ok(done) => {
                payload.extend_from_slice(&waiting[done.payload.clone()]);
                assert!(done.consumed <= waiting.len() && done.payload.end <= done.consumed);
                waiting.drain(..done.consumed);
                if done.ended {
                    assert!(decoder.ended());
                    return (payload, true, false);
                }
            }
        }
    }
    (payload, false, false)
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, raw)) = data.split_first() else { return };
    let limits = Limits { max_fields: 101, relaxed: choice & 4 != 0, any_method_payload: choice & 8 != 0 };
    match choice & 3 {
        0 | 1 => request(raw, &limits),
        2 => response(raw, &limits),
        _ => {
            let whole = chunked(raw, limits, usize::MAX);
            let pieces = chunked(raw, limits, 1 + usize::from(choice >> 4));
            assert_eq!((whole.1, whole.2), (pieces.1, pieces.2));
            if whole.1 {
                assert_eq!(whole.0, pieces.0);
            }
        }
    }
});
