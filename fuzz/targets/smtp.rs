//! Replies of a mail server: it makes no difference in which pieces they come, and a dialogue ends.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_wire::smtp::{Dialogue, Mail, Next};

fn new() -> Dialogue {
    Dialogue::new(&Mail { hello: "h", from: "a@b", to: "c@d", date: "now", subject: "s", text: ".t" })
}

/// All that is said until the dialogue ends or the replies do.
fn said(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, Option<bool>) {
    let (mut dialogue, mut said) = (new(), Vec::new());
    for piece in pieces {
        let mut heard = *piece;
        loop {
            match dialogue.receive(heard) {
                Ok(Next::Wait) => break,
                Ok(Next::Say(bytes)) => said.push(bytes),
                Ok(Next::Done) => return (said, Some(true)),
                Err(_) => return (said, Some(false)),
            }
            heard = b"";
        }
    }
    (said, None)
}

fuzz_target!(|raw: &[u8]| {
    // longer replies may be refused sooner or later
    let raw = &raw[..raw.len().min(4096)];
    let once = said(&[raw]);
    let each: Vec<&[u8]> = raw.chunks(1).collect();
    assert_eq!(once, said(&each));
    assert!(once.0.len() < 8);
});
