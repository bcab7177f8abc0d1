//! Questions.

use super::{Kind, name};

/// The type of the record that tells how large answers may be (RFC 6891).
const OPT: u16 = 41;

/// One question for a name, recursion desired, answers of at most `payload` bytes; none: the name cannot be asked for.
#[must_use]
pub fn query(id: u16, of: &str, kind: Kind, payload: u16) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(12 + of.len() + 2 + 4 + 11);
    out.extend_from_slice(&id.to_be_bytes());
    // flags, and one question, no answer, no authority, one additional record
    for word in [0x0100u16, 1, 0, 0, 1] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    name::write(of, &mut out)?;
    for word in [kind.number(), 1] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    out.push(0);
    for word in [OPT, payload, 0, 0, 0] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    Some(out)
}
