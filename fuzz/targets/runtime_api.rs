//! Lines of the Runtime API: what is read does not depend on how the bytes came, words carry nothing that was not sent.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_admin::line::{end_of_line, parse};

fuzz_target!(|bytes: &[u8]| {
    let end = end_of_line(bytes);
    if let Some(end) = end {
        assert_eq!(bytes[end], b'\n');
        assert_eq!(end_of_line(&bytes[..end]), None, "a line ends at its first end");
    }
    let line = &bytes[..end.unwrap_or(bytes.len())];
    let request = parse(line);
    let parts = line.iter().filter(|b| matches!(b, b';' | b'\r' | 0)).count() + 1;
    assert!(request.commands.len() <= parts);
    let held: usize = request.commands.iter().flatten().map(Vec::len).sum();
    assert!(held + request.payload.as_ref().map_or(0, Vec::len) <= line.len());
    for words in request.commands {
        // each word written with its escapes is read again as itself
        let mut again = Vec::new();
        for w in &words {
            w.iter().for_each(|b| again.extend([b'\\', *b]));
            again.push(b' ');
        }
        again.extend(b"end");
        let read = parse(&again).commands;
        let sent: Vec<_> = words.into_iter().filter(|w| !w.is_empty()).chain([b"end".to_vec()]).collect();
        assert_eq!(read, [sent]);
    }
});
