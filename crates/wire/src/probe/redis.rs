//! Redis: `PING`.

use super::{Answer, Note, line};

/// The command.
pub const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";

/// Is it `+PONG`?
#[must_use]
pub fn pong(bytes: &[u8], ended: bool) -> Answer {
    const PONG: &[u8] = b"+PONG\r\n";
    if bytes.starts_with(PONG) {
        Answer::Good(Note::new(0, "Redis server is ok"))
    } else if !ended && !bytes.contains(&b'\n') {
        Answer::More
    } else {
        Answer::Refused(Note::new(0, line(bytes)))
    }
}
