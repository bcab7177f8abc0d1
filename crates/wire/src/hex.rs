//! Hexadecimal digits.

/// Why digits stand for no bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// Their number is odd.
    Odd,
    /// This is no digit.
    Digit(u8),
}

/// Upper-case digits, two a byte.
#[inline]
pub fn upper(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for b in bytes {
        out.push(DIGITS[usize::from(b >> 4)]);
        out.push(DIGITS[usize::from(b & 15)]);
    }
}

/// The same as text.
#[must_use]
pub fn text(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len() * 2);
    upper(&mut out, bytes);
    String::from_utf8(out).unwrap_or_default()
}

/// The bytes that digits stand for.
///
/// # Errors
/// [`Bad`]
pub fn decode(digits: &[u8]) -> Result<Vec<u8>, Bad> {
    if !digits.len().is_multiple_of(2) {
        return Err(Bad::Odd);
    }
    let value = |b: u8| char::from(b).to_digit(16).map(|d| d as u8).ok_or(Bad::Digit(b));
    digits.chunks_exact(2).map(|pair| Ok(value(pair[0])? << 4 | value(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        assert_eq!(text(b"\x0f\xa0"), "0FA0");
        assert_eq!(decode(b"0fA0"), Ok(b"\x0f\xa0".to_vec()));
        assert_eq!(decode(b"0"), Err(Bad::Odd));
        assert_eq!(decode(b"0g"), Err(Bad::Digit(b'g')));
    }
}
