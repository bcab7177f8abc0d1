//! Looking for bytes, eight at a time.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

#[inline]
fn word(bytes: &[u8], at: usize) -> Option<u64> {
    // at most one comparison: what does not fit gives an empty slice
    let (word, _) = bytes.get(at..)?.split_first_chunk::<8>()?;
    Some(u64::from_le_bytes(*word))
}

/// Where the first NUL, CR or LF stands at or behind `at`; the length when there is none.
#[inline]
pub(super) fn line_byte(bytes: &[u8], mut at: usize) -> usize {
    // a byte below 14 sets its high bit here; the lowest one that is set is exact
    while let Some(w) = word(bytes, at) {
        let hits = w.wrapping_sub(ONES * 14) & !w & HIGH;
        if hits == 0 {
            at += 8;
            continue;
        }
        at += hits.trailing_zeros() as usize / 8;
        if matches!(bytes.get(at), Some(0 | b'\r' | b'\n')) {
            return at;
        }
        at += 1;
    }
    while bytes.get(at).is_some_and(|b| !matches!(b, 0 | b'\r' | b'\n')) {
        at += 1;
    }
    at.min(bytes.len())
}

/// Where the first byte that is not visible ASCII stands at or behind `at`; the length when there is none.
#[inline]
pub(super) fn not_visible(bytes: &[u8], mut at: usize) -> usize {
    while let Some(w) = word(bytes, at) {
        let hits = (w.wrapping_sub(ONES * 0x21) | w.wrapping_add(ONES) | w) & HIGH;
        if hits != 0 {
            return at + hits.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(u8::is_ascii_graphic) {
        at += 1;
    }
    at.min(bytes.len())
}

/// Which bytes a token may have (RFC 9110 section 5.6.2).
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0;
    while b < 256 {
        table[b] = portcullis_message::field::is_token(b as u8);
        b += 1;
    }
    table
};

/// Where the token that begins at `at` ends.
#[inline]
pub(super) fn token_end(bytes: &[u8], mut at: usize) -> usize {
    const LOW: u64 = ONES * 0x7f;
    while let Some(w) = word(bytes, at) {
        // the high bit of each byte that is a letter or a dash: most of every name
        let lower = (w | (ONES * 0x20)) & LOW;
        let letter = (lower + ONES * (0x80 - 0x61)) & !(lower + ONES * (0x80 - 0x7b));
        let no_dash = ((w ^ (ONES * 0x2d)) & LOW) + LOW;
        let other = (w | !(letter | !no_dash)) & HIGH;
        if other == 0 {
            at += 8;
            continue;
        }
        at += other.trailing_zeros() as usize / 8;
        if !bytes.get(at).is_some_and(|b| TOKEN[usize::from(*b)]) {
            return at;
        }
        at += 1;
    }
    while bytes.get(at).is_some_and(|b| TOKEN[usize::from(*b)]) {
        at += 1;
    }
    at
}

/// Where the spaces and tabs that begin at `at` end.
#[inline]
pub(super) fn blanks_end(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t')) {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_at_every_place() {
        for len in 0..20 {
            for at in 0..len {
                for b in 0..=255u8 {
                    let mut v = vec![b'a'; len];
                    v[at] = b;
                    let want = if matches!(b, 0 | b'\r' | b'\n') { at } else { len };
                    assert_eq!(line_byte(&v, 0), want, "{b:#x} at {at} of {len}");
                    let want = if b.is_ascii_graphic() { len } else { at };
                    assert_eq!(not_visible(&v, 0), want, "{b:#x} at {at} of {len}");
                    let want = if TOKEN[usize::from(b)] { len } else { at };
                    assert_eq!(token_end(&v, 0), want, "{b:#x} at {at} of {len}");
                    v[len - 1] = 0xff;
                    v[0] = b'\t';
                    assert_eq!(
                        line_byte(&v, 0),
                        v.iter().position(|b| matches!(b, 0 | 13 | 10)).unwrap_or(len)
                    );
                }
            }
        }
    }
}
