//! Patterns: the first line is a matching method, flags and patterns with blanks between, the rest is what is looked at.
//! However patterns are kept, a set finds what a pattern alone would find.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_sample::Value;
use portcullis_sample::pattern::{Method, Patterns, Set};

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|b| *b == b'\n').unwrap_or(input.len());
    let (line, text) = (&input[..end], input.get(end + 1..).unwrap_or(&[]));
    let mut words = line.split(|b| *b == b' ');
    let Some(method) = words.next().and_then(Method::of) else { return };
    let mut fold = false;
    let mut set = Patterns::new(method);
    let mut alone = Vec::new();
    let mut operator = Vec::new();
    for word in words.take(64) {
        match word {
            b"-i" => fold = true,
            // a name would be resolved, and an empty pattern is the configuration's matter
            b"" => {}
            b"eq" | b"ge" | b"gt" | b"le" | b"lt" => {
                operator = word.to_vec();
                let _ = set.add(word, fold, false);
            }
            word => {
                if set.add(word, fold, false).is_err() {
                    continue;
                }
                let mut one = Patterns::new(method);
                if !operator.is_empty() {
                    let _ = one.add(&operator, fold, false);
                }
                if one.add(word, fold, false).is_ok() {
                    one.seal();
                    alone.push(one);
                }
            }
        }
    }
    set.seal();
    if matches!(set.set, Set::None) {
        return;
    }
    let number = text.first_chunk().map_or(0, |b| i64::from_be_bytes(*b));
    let v4 = text.first_chunk().map_or([0; 4], |b: &[u8; 4]| *b);
    let v6 = text.first_chunk().map_or([0; 16], |b: &[u8; 16]| *b);
    for value in [
        Value::str(text),
        Value::bin(text),
        Value::Int(number),
        Value::V4(v4.into()),
        Value::V6(v6.into()),
        Value::Bool(true),
    ] {
        let found = set.matches(value.clone());
        assert_eq!(found, alone.iter().any(|one| one.matches(value.clone())), "{method:?} {value:?}");
    }
});
