//! SMTP (RFC 5321): greeting, HELO or EHLO, QUIT.

use super::{Answer, Note, line};

/// The command that ends the session.
pub const QUIT: &[u8] = b"QUIT\r\n";

/// A reply of one line (the greeting, the answer to QUIT).
#[must_use]
pub fn reply(bytes: &[u8], ended: bool) -> Answer {
    read(bytes, ended, false)
}

/// A reply that may have several lines (the answer to EHLO).
#[must_use]
pub fn hello(bytes: &[u8], ended: bool) -> Answer {
    read(bytes, ended, true)
}

fn read(bytes: &[u8], ended: bool, many: bool) -> Answer {
    let mut rest = bytes;
    loop {
        let Some(end) = rest.iter().position(|b| *b == b'\n') else {
            return if ended && !bytes.is_empty() { garbage(rest) } else { Answer::More };
        };
        let (this, next) = rest.split_at(end + 1);
        let code = this.get(..3).filter(|d| d.iter().all(u8::is_ascii_digit));
        let code = code.map(|d| d.iter().fold(0, |n, b| n * 10 + i64::from(b - b'0')));
        match (code, this.get(3)) {
            (Some(_), Some(b'-')) if many => rest = next,
            (Some(code), Some(b' ' | b'\r' | b'\n')) => {
                let note = Note::new(code, line(this.get(4..).unwrap_or_default()));
                return if code / 100 == 2 { Answer::Good(note) } else { Answer::Refused(note) };
            }
            _ => return garbage(this),
        }
    }
}

fn garbage(bytes: &[u8]) -> Answer {
    Answer::Garbage(Note::new(0, line(bytes)))
}
