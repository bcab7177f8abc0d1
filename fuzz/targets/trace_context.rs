//! `traceparent` and `tracestate`: what is understood is written so that it says the same; answers of collectors.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_wire::otlp;
use portcullis_wire::trace_context::{Context, LENGTH, state};

fuzz_target!(|raw: &[u8]| {
    if let Some(context) = Context::parse(raw) {
        let text = context.text();
        assert_eq!(Context::parse(&text), Some(context));
        // all but version and flags stand there as they came
        assert_eq!(text[2..LENGTH - 2], raw[2..LENGTH - 2]);
        assert!(raw.len() == LENGTH || raw[..2] != *b"00");
    }
    let fields = || raw.split(|b| *b == b'\n');
    if let Some(list) = state(fields()) {
        assert_eq!(state([&list[..]].into_iter()).as_ref(), Some(&list));
        assert!(list.split(|b| *b == b',').count() <= 32);
    }
    let _ = (otlp::answer(raw), otlp::refusal(raw));
    let (len, records) = otlp::first(raw, 3, 100);
    assert!(len <= raw.len() && records <= 3 && (records > 0) == (len > 0));
});
