//! What comes with a request for statistics: forms, the page's options, the exporter's parameters.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_stats::form::{decode, pairs};
use portcullis_stats::page::Options;
use portcullis_stats::promex::Query;

fuzz_target!(|raw: &[u8]| {
    assert!(decode(raw).len() <= raw.len());
    let plain: Vec<_> = pairs(raw).collect();
    let held: usize = plain.iter().map(|(n, v)| n.len() + v.as_ref().map_or(0, Vec::len)).sum();
    assert!(held <= raw.len());
    // what is encoded comes out as it was
    let encoded: Vec<u8> = raw.iter().flat_map(|b| format!("%{b:02x}").into_bytes()).collect();
    assert_eq!(decode(&encoded), raw);

    let options = Options::parse(raw);
    let text = options.text();
    // it is written into the page's links
    assert!(!text.bytes().any(|b| matches!(b, b'<' | b'>' | b'"' | b'\'' | b'&' | b' ') || b < b' '));
    let again = Options::parse(text.as_bytes());
    assert_eq!(
        (again.up, again.no_maint, again.norefresh),
        (options.up, options.no_maint, options.norefresh)
    );
    assert_eq!(again.scope, options.scope);
    assert!(options.state.is_none_or(|s| s.chars().count() <= 4));
    let _ = Query::parse(raw);
});
