//! Numbers as HAProxy reads them where it is lenient.

use std::time::Duration;

/// The number at the front of a word, 0 if there is none; what follows is ignored.
#[must_use]
pub fn leading(text: &[u8]) -> i64 {
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    let value = digits
        .iter()
        .take_while(|b| b.is_ascii_digit())
        .fold(0i64, |n, b| n.saturating_mul(10).saturating_add(i64::from(b - b'0')));
    if negative { -value } else { value }
}

/// A time (manual section 2.5), milliseconds unless a unit says otherwise.
///
/// # Errors
/// The character that does not belong there; `None`: the time is too long.
pub fn time(text: &[u8]) -> Result<Duration, Option<char>> {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 {
        return Err(Some(text.first().map_or('\0', |b| char::from(*b))));
    }
    let number = u64::try_from(leading(&text[..digits])).unwrap_or(u64::MAX);
    let unit = &text[digits..];
    let micros: u64 = match unit {
        b"" | b"ms" => 1000,
        b"us" => 1,
        b"s" => 1_000_000,
        b"m" => 60_000_000,
        b"h" => 3_600_000_000,
        b"d" => 86_400_000_000,
        _ => return Err(Some(char::from(unit[0]))),
    };
    // 3.5 keeps times in 31 bits of milliseconds
    let total = number.checked_mul(micros).filter(|n| *n <= 2_147_483_647_000).ok_or(None)?;
    Ok(Duration::from_millis(total.div_ceil(1000)))
}

/// A size (manual section 2.5) with `k`, `m` or `g`.
///
/// # Errors
/// The character that does not belong there; `None`: the size is too large.
pub fn size(text: &[u8]) -> Result<u64, Option<char>> {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 {
        return Err(Some(text.first().map_or('\0', |b| char::from(*b))));
    }
    let number = u64::try_from(leading(&text[..digits])).unwrap_or(u64::MAX);
    let shift = match text[digits..].to_ascii_lowercase().as_slice() {
        b"" => 0,
        b"k" => 10,
        b"m" => 20,
        b"g" => 30,
        _ => return Err(Some(char::from(text[digits]))),
    };
    number.checked_mul(1 << shift).ok_or(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(leading(b"12x"), 12);
        assert_eq!(leading(b"foo"), 0);
        assert_eq!(leading(b"-3"), -3);
        assert_eq!(leading(b"99999999999999999999"), i64::MAX);
        assert_eq!(time(b"5s"), Ok(Duration::from_secs(5)));
        assert_eq!(time(b"50"), Ok(Duration::from_millis(50)));
        assert_eq!(time(b"1us"), Ok(Duration::from_millis(1)));
        assert_eq!(time(b"foo"), Err(Some('f')));
        assert_eq!(time(b"5x"), Err(Some('x')));
        assert_eq!(time(b"99999999d"), Err(None));
        assert_eq!(size(b"1k"), Ok(1024));
        assert_eq!(size(b"k"), Err(Some('k')));
    }
}
