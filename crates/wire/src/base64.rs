//! Base64 and base64url (RFC 4648 sections 4 and 5).

/// The alphabet of base64.
pub const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// The alphabet of base64url.
pub const URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Bytes as text, `=` at its end if `pad`.
#[must_use]
pub fn encode(alphabet: &[u8; 64], pad: bool, b: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(b.len().div_ceil(3) * 4);
    for chunk in b.chunks(3) {
        let word = chunk.iter().fold(0u32, |w, b| w << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            if i <= chunk.len() {
                out.push(alphabet[(word >> (18 - 6 * i)) as usize & 63]);
            } else if pad {
                out.push(b'=');
            }
        }
    }
    out
}

/// What a text stands for; `pad`: its length is a multiple of four. `None`: it is no such text.
#[must_use]
pub fn decode(alphabet: &[u8; 64], pad: bool, b: &[u8]) -> Option<Vec<u8>> {
    if pad && !b.len().is_multiple_of(4) {
        return None;
    }
    let data = ["===", "==", "="].iter().find_map(|p| b.strip_suffix(p.as_bytes())).unwrap_or(b);
    if data.len() % 4 == 1 && !pad {
        return None;
    }
    let mut out = Vec::with_capacity(data.len() / 4 * 3 + 2);
    for chunk in data.chunks(4) {
        let mut word = 0u32;
        for c in chunk {
            word = word << 6 | alphabet.iter().position(|a| a == c)? as u32;
        }
        word <<= 6 * (4 - chunk.len());
        let all = word.to_be_bytes();
        out.extend_from_slice(all.get(1..chunk.len().max(1))?);
    }
    Some(out)
}

/// What a text without padding stands for (RFC 7515 section 2). `None`: it is no such text, or has padding.
#[must_use]
pub fn decode_strict(alphabet: &[u8; 64], b: &[u8]) -> Option<Vec<u8>> {
    decode(alphabet, false, b).filter(|_| !b.ends_with(b"="))
}

/// What base64 with white space in it stands for, as in files and on command lines.
#[must_use]
pub fn decode_lines(text: &[u8]) -> Option<Vec<u8>> {
    let one: Vec<u8> = text.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    decode(STANDARD, true, &one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_rfc4648() {
        for (plain, coded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(encode(STANDARD, true, plain.as_bytes()), coded.as_bytes());
            assert_eq!(decode(STANDARD, true, coded.as_bytes()).unwrap(), plain.as_bytes());
        }
        assert_eq!(encode(URL, false, b"\xff\xfe"), b"__4");
        assert_eq!(decode(URL, false, b"__4").unwrap(), b"\xff\xfe");
        assert_eq!(decode(STANDARD, true, b"Zg="), None);
        assert_eq!(decode_strict(URL, b"__4").unwrap(), b"\xff\xfe");
        assert_eq!(decode(URL, false, b"__4=").unwrap(), b"\xff\xfe");
        assert_eq!(decode_strict(URL, b"__4="), None);
        assert_eq!(decode(STANDARD, true, b"Z!=="), None);
    }

    #[test]
    fn lines_of_base64() {
        assert_eq!(decode_lines(b"TU\r\n5P\n"), Some(b"MNO".to_vec()));
        assert_eq!(decode_lines(b"/w=="), Some(vec![0xff]));
        assert_eq!(decode_lines(b"x!"), None);
    }
}
