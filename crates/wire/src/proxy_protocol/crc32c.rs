//! CRC-32C (Castagnoli), as RFC 4960 appendix B describes it.

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut t = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut c = i as u32;
        let mut bit = 0;
        while bit < 8 {
            c = if c & 1 == 1 { (c >> 1) ^ 0x82f6_3b78 } else { c >> 1 };
            bit += 1;
        }
        t[i] = c;
        i += 1;
    }
    t
}

/// Of all pieces, one behind the other.
#[must_use]
pub fn crc32c(pieces: &[&[u8]]) -> u32 {
    let mut c = u32::MAX;
    for b in pieces.iter().copied().flatten() {
        c = (c >> 8) ^ TABLE[usize::from(c as u8 ^ b)];
    }
    !c
}
