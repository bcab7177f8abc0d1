//! Domain names on the wire: labels and pointers to earlier ones (RFC 1035 section 4.1.4).

use super::Invalid;

/// Longest name as text.
pub const MAX_NAME: usize = 253;
/// Longest label.
const MAX_LABEL: usize = 63;

/// A name as it is compared: lower case, without the dot at its end.
#[must_use]
pub fn fold(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Writes a name; `None`: it has a label that is empty or too long, or is too long itself.
pub(super) fn write(name: &str, out: &mut Vec<u8>) -> Option<()> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() || name.len() > MAX_NAME {
        return None;
    }
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok().filter(|n| (1..=MAX_LABEL as u8).contains(n))?;
        out.push(length);
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    Some(())
}

/// Reads the name at `at`; yields it in lower case, and where what follows begins. A pointer leads to an earlier place than
/// any before it, so that there is an end.
pub(super) fn read(message: &[u8], at: usize) -> Result<(String, usize), Invalid> {
    let mut name = String::new();
    let (mut here, mut behind, mut before) = (at, None, at);
    loop {
        let length = usize::from(*message.get(here).ok_or(Invalid)?);
        match length {
            0 => return Ok((name, behind.unwrap_or(here + 1))),
            1..=MAX_LABEL => {
                let label = message.get(here + 1..here + 1 + length).ok_or(Invalid)?;
                push(&mut name, label)?;
                here += 1 + length;
            }
            0xc0..=0xff => {
                let low = usize::from(*message.get(here + 1).ok_or(Invalid)?);
                behind = behind.or(Some(here + 2));
                here = (length & 0x3f) << 8 | low;
                if here >= before {
                    return Err(Invalid);
                }
                before = here;
            }
            _ => return Err(Invalid),
        }
    }
}

/// A host name's characters are those that can be seen, but for the dot between labels.
fn push(name: &mut String, label: &[u8]) -> Result<(), Invalid> {
    if !name.is_empty() {
        name.push('.');
    }
    for byte in label {
        match byte {
            b'.' | 0..=0x20 | 0x7f.. => return Err(Invalid),
            seen => name.push(char::from(seen.to_ascii_lowercase())),
        }
    }
    if name.len() > MAX_NAME { Err(Invalid) } else { Ok(()) }
}
