//! What a client of the master CLI sends: each command with its prefix, and what is passed on to a worker means the same
//! there.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_admin::line::{commands, end_of_line, parse, words};

#[path = "../../crates/portcullis/src/mcli/prefix.rs"]
#[allow(dead_code)]
mod prefix;

fuzz_target!(|bytes: &[u8]| {
    let line = &bytes[..end_of_line(bytes).unwrap_or(bytes.len())];
    let (all, mark) = commands(line);
    for (at, command) in all.iter().enumerate() {
        let Some((word, rest)) = prefix::split(command) else { continue };
        if let Some(prefix::Target::Pid(pid)) = prefix::parse(&word) {
            assert!(pid > 0);
        }
        // one command goes to a worker as one line
        let mut sent = rest.to_vec();
        if let Some(mark) = mark.as_ref().filter(|_| at + 1 == all.len() && !rest.is_empty()) {
            sent.extend_from_slice(b" <<");
            sent.extend_from_slice(mark);
        }
        if sent.ends_with(b"\\") {
            continue;
        }
        assert_eq!(end_of_line(&sent), None, "a second line");
        let there = parse(&sent);
        assert_eq!(there.commands.len(), 1, "a second command");
        if sent.len() == rest.len() && there.payload.is_none() {
            assert_eq!(there.commands, [words(rest)]);
        }
    }
});
