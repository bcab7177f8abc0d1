//! Quotes, dashes for nothing, and characters that must not stand in a log line or header (manual section 8.6).

use super::Flags;

const fn table(more: &[u8]) -> [bool; 256] {
    let mut t = [false; 256];
    let mut i = 0;
    while i < 256 {
        t[i] = i < 32 || i > 126;
        i += 1;
    }
    let mut i = 0;
    while i < more.len() {
        t[more[i] as usize] = true;
        i += 1;
    }
    t
}

/// What is encoded in a URL.
const URL: [bool; 256] = table(b"\"#");
/// What is encoded in a captured header.
const HEADER: [bool; 256] = table(b"\"#{|}");

/// `-`, or an empty pair of quotes, or nothing at all.
#[inline]
pub(super) fn nothing(flags: Flags, out: &mut Vec<u8>) {
    if flags.contains(Flags::QUOTE) {
        out.extend_from_slice(b"\"\"");
    } else if flags.contains(Flags::MANDATORY) {
        out.push(b'-');
    }
}

/// Something in quotes, if the flags say so.
#[inline]
pub(super) fn quoted(flags: Flags, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    if flags.contains(Flags::QUOTE) {
        out.push(b'"');
        write(out);
        out.push(b'"');
    } else {
        write(out);
    }
}

/// A sample's bytes: as they are in logs, control characters percent-encoded for HTTP.
#[inline]
pub(super) fn value(bytes: &[u8], flags: Flags, out: &mut Vec<u8>) {
    if bytes.is_empty() {
        return nothing(flags, out);
    }
    quoted(flags, out, |out| {
        let http = flags.contains(Flags::HTTP);
        let escape = flags.contains(Flags::ESCAPE);
        if !http && !escape {
            return out.extend_from_slice(bytes);
        }
        for b in bytes {
            if http && (*b < 32 && *b != b'\t' || *b == 127) {
                out.push(b'%');
                portcullis_wire::hex::upper(out, std::slice::from_ref(b));
            } else {
                backslash(*b, escape, out);
            }
        }
    });
}

/// A name or other text of ours.
#[inline]
pub(super) fn text(bytes: &[u8], flags: Flags, out: &mut Vec<u8>) {
    if bytes.is_empty() {
        return nothing(flags, out);
    }
    quoted(flags, out, |out| {
        if flags.contains(Flags::ESCAPE) {
            bytes.iter().for_each(|b| backslash(*b, true, out));
        } else {
            out.extend_from_slice(bytes);
        }
    });
}

#[inline]
fn backslash(b: u8, escape: bool, out: &mut Vec<u8>) {
    if escape && matches!(b, b'"' | b'\\' | b']') {
        out.push(b'\\');
    }
    out.push(b);
}

/// Bytes from outside, with `#XX` for what is unsafe.
fn encoded(bytes: &[u8], unsafe_: &[bool; 256], flags: Flags, out: &mut Vec<u8>) {
    let escape = flags.contains(Flags::ESCAPE);
    let mut rest = bytes;
    while let Some(i) =
        rest.iter().position(|b| unsafe_[usize::from(*b)] || (escape && matches!(b, b'\\' | b']')))
    {
        out.extend_from_slice(rest.get(..i).unwrap_or(&[]));
        if let Some(b) = rest.get(i) {
            if unsafe_[usize::from(*b)] {
                out.push(b'#');
                portcullis_wire::hex::upper(out, std::slice::from_ref(b));
            } else {
                backslash(*b, true, out);
            }
        }
        rest = rest.get(i + 1..).unwrap_or(&[]);
    }
    out.extend_from_slice(rest);
}

/// Part of a request line.
pub(super) fn url(bytes: &[u8], flags: Flags, out: &mut Vec<u8>) {
    encoded(bytes, &URL, flags, out);
}

/// A captured header.
pub(super) fn header(bytes: &[u8], flags: Flags, out: &mut Vec<u8>) {
    encoded(bytes, &HEADER, flags, out);
}
