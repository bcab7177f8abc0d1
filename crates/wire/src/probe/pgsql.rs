//! PostgreSQL: a StartupMessage of protocol 3.0, and whether a login is asked for.

use super::{Answer, Note};

/// The StartupMessage.
#[must_use]
pub fn startup(user: &str) -> Vec<u8> {
    let mut body = vec![0, 3, 0, 0];
    body.extend_from_slice(b"user\0");
    body.extend_from_slice(user.as_bytes());
    body.extend_from_slice(&[0, 0]);
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    let mut out = length.to_be_bytes().to_vec();
    out.extend_from_slice(&body);
    out
}

/// An authentication request (of any kind), or an error.
#[must_use]
pub fn answer(bytes: &[u8], ended: bool) -> Answer {
    let unknown = || Answer::Refused(Note::new(0, "PostgreSQL unknown error"));
    match bytes.first() {
        None if !ended => Answer::More,
        Some(b'R') if bytes.len() >= 9 => match bytes.get(5..9) {
            Some([0, 0, 0, 0 | 2 | 3 | 5 | 6 | 7 | 9 | 10]) => {
                Answer::Good(Note::new(0, "PostgreSQL server is ok"))
            }
            _ => unknown(),
        },
        Some(b'R') if !ended => Answer::More,
        Some(b'E') => {
            let length = bytes.get(1..5).and_then(|l| l.try_into().ok()).map_or(0, u32::from_be_bytes);
            if !ended && bytes.len() < 6 && length as usize >= bytes.len() {
                return Answer::More;
            }
            // the first field: its kind, then a text up to a zero
            let text = bytes.get(6..).unwrap_or_default();
            let end = text.iter().position(|b| *b == 0).unwrap_or(text.len());
            Answer::Garbage(Note::new(0, super::line(text.get(..end).unwrap_or_default())))
        }
        _ => unknown(),
    }
}
