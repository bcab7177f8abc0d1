//! Dates in persistence cookies: seconds in steps of four, as five characters of base64.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// How many characters a date has.
const LENGTH: usize = 5;

/// Adds a date, given in seconds.
pub fn write(seconds: u32, to: &mut Vec<u8>) {
    let n = seconds >> 2;
    for shift in [24, 18, 12, 6, 0] {
        to.extend(ALPHABET.get((n >> shift & 63) as usize));
    }
}

/// The date, in seconds, that a text begins with; 0: none. Dates after 2038 are before 1970, as in HAProxy.
pub fn read(text: &[u8]) -> i32 {
    let Some(text) = text.get(..LENGTH) else { return 0 };
    let digit = |b: &u8| ALPHABET.iter().position(|a| a == b);
    text.iter().try_fold(0u32, |n, b| Some(n << 6 | digit(b)? as u32)).map_or(0, |n| (n << 2).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_haproxy_writes_them() {
        let mut out = Vec::new();
        write(1_795_719_612, &mut out);
        assert_eq!(out, b"awiBv");
        assert_eq!(read(b"awiBv"), 1_795_719_612);
        assert_eq!(read(b"awiBvxyz"), 1_795_719_612);
        for none in [&b""[..], b"abc", b"abc!!", b"awiB-"] {
            assert_eq!(read(none), 0);
        }
    }
}
