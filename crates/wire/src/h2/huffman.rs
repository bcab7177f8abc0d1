//! The Huffman code of HPACK (RFC 7541 section 5.2 and appendix B).
//!
//! The code is canonical: codes of one length are numbered in the order of their symbols, so the lengths say it all.

/// Bits of each symbol's code; the last one is EOS.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7,
    7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21,
    23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24,
    21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

/// Longest code.
const LONGEST: usize = 30;
/// Bits that the first look-up takes.
const QUICK: u32 = 9;

/// A symbol's code, right-aligned.
const CODES: [u32; 257] = CODE.0;
/// Symbols in the order of their codes.
const ORDER: [u16; 257] = CODE.1;
/// Of each length: one more than its last code, left-aligned in 32 bits, and what makes an index into [`ORDER`] of a code.
const RANGES: [(u64, u32); LONGEST + 1] = CODE.2;

const CODE: ([u32; 257], [u16; 257], [(u64, u32); LONGEST + 1]) = {
    let (mut codes, mut order, mut ranges) = ([0; 257], [0; 257], [(0, 0); LONGEST + 1]);
    let (mut code, mut placed, mut length) = (0u32, 0, 1);
    while length <= LONGEST {
        code <<= 1;
        let offset = (placed as u32).wrapping_sub(code);
        let mut symbol = 0;
        while symbol < 257 {
            if LENGTHS[symbol] as usize == length {
                codes[symbol] = code;
                order[placed] = symbol as u16;
                placed += 1;
                code += 1;
            }
            symbol += 1;
        }
        ranges[length] = ((code as u64) << (32 - length), offset);
        length += 1;
    }
    assert!(placed == 257 && code == 1 << LONGEST, "the code is complete");
    (codes, order, ranges)
};

/// For the next [`QUICK`] bits: symbol and length of the code that they begin with; length 0: it is longer.
static FIRST: [(u8, u8); 1 << QUICK] = {
    let mut table = [(0, 0); 1 << QUICK];
    let mut symbol = 0;
    while symbol < 256 {
        let length = LENGTHS[symbol] as u32;
        if length <= QUICK {
            let mut at = CODES[symbol] << (QUICK - length);
            let end = at + (1 << (QUICK - length));
            while at < end {
                table[at as usize] = (symbol as u8, length as u8);
                at += 1;
            }
        }
        symbol += 1;
    }
    table
};

/// What is not a string in this code: EOS in it, or padding that is longer than 7 bits or not all ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Decodes a string behind what `out` holds. A string of n bytes becomes at most 8n/5.
///
/// # Errors
/// [`Malformed`]
pub fn decode(mut from: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    out.reserve(from.len() * 8 / 5 + 1);
    // the bits at hand stand at the top
    let (mut bits, mut have) = (0u64, 0u32);
    loop {
        while have <= 56 {
            let Some((byte, rest)) = from.split_first() else { break };
            bits |= u64::from(*byte) << (56 - have);
            have += 8;
            from = rest;
        }
        let (symbol, length) = FIRST[(bits >> (64 - QUICK)) as usize];
        let (symbol, length) = match length {
            0 => longer(bits)?,
            n => (symbol, u32::from(n)),
        };
        if length > have {
            // what is left is padding: less than a byte, and the beginning of EOS (all ones)
            let ones = have == 0 || bits >> (64 - have) == (1 << have) - 1;
            return if have < 8 && ones { Ok(()) } else { Err(Malformed) };
        }
        out.push(symbol);
        bits <<= length;
        have -= length;
    }
}

/// A symbol whose code is longer than [`QUICK`] bits. Missing bits read as zeros, which the caller sees by the length.
#[cold]
fn longer(bits: u64) -> Result<(u8, u32), Malformed> {
    let top = bits >> 32;
    let from = QUICK as usize + 1;
    let found = RANGES.iter().enumerate().skip(from).find(|(_, (end, _))| top < *end);
    // all ones, and more of them than any code has
    let Some((length, (_, offset))) = found else { return Err(Malformed) };
    let code = (top >> (32 - length)) as u32;
    match ORDER.get(code.wrapping_add(*offset) as usize) {
        Some(symbol @ 0..256) => Ok((*symbol as u8, length as u32)),
        _ => Err(Malformed),
    }
}

/// Bytes that a string takes in this code.
#[must_use]
pub fn encoded_len(text: &[u8]) -> usize {
    let bits: usize = text.iter().map(|b| usize::from(LENGTHS[usize::from(*b)])).sum();
    bits.div_ceil(8)
}

/// Encodes a string behind what `out` holds.
pub fn encode(text: &[u8], out: &mut Vec<u8>) {
    let (mut bits, mut have) = (0u64, 0u32);
    for b in text {
        let length = u32::from(LENGTHS[usize::from(*b)]);
        bits = bits << length | u64::from(CODES[usize::from(*b)]);
        have += length;
        while have >= 8 {
            have -= 8;
            out.push((bits >> have) as u8);
        }
    }
    if have > 0 {
        out.push((bits << (8 - have)) as u8 | 0xff >> have);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        decode(bytes, &mut out).ok().map(|()| out)
    }

    /// RFC 7541 section 5.2 and appendix C.4 to C.6.
    #[test]
    fn strings_of_the_rfc() {
        for (text, hex) in [
            ("www.example.com", "f1e3c2e5f23a6ba0ab90f4ff"),
            ("no-cache", "a8eb10649cbf"),
            ("custom-key", "25a849e95ba97d7f"),
            ("custom-value", "25a849e95bb8e8b4bf"),
            ("302", "6402"),
            ("private", "aec3771a4b"),
            ("Mon, 21 Oct 2013 20:13:21 GMT", "d07abe941054d444a8200595040b8166e082a62d1bff"),
            ("https://www.example.com", "9d29ad171863c78f0b97c8e9ae82ae43d3"),
            ("307", "640eff"),
            ("gzip", "9bd9ab"),
        ] {
            let bytes: Vec<u8> =
                (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect();
            let mut out = Vec::new();
            encode(text.as_bytes(), &mut out);
            assert_eq!(out, bytes, "{text}");
            assert_eq!(encoded_len(text.as_bytes()), bytes.len());
            assert_eq!(decoded(&bytes).as_deref(), Some(text.as_bytes()));
        }
    }

    #[test]
    fn every_byte_next_to_every_other_comes_back() {
        for a in 0..=255u8 {
            for b in 0..=255u8 {
                let mut out = Vec::new();
                encode(&[a, b, a], &mut out);
                assert_eq!(decoded(&out).as_deref(), Some(&[a, b, a][..]));
            }
        }
    }

    /// RFC 7541 section 5.2: padding is the beginning of EOS, less than a byte, and EOS itself never stands in a string.
    #[test]
    fn bad_padding_and_eos() {
        assert_eq!(decoded(&[]), Some(vec![]));
        assert_eq!(decoded(&[0x1f]), Some(b"a".to_vec()), "a: 00011, then three ones");
        assert_eq!(decoded(&[0x1e]), None, "a zero in the padding");
        assert_eq!(decoded(&[0x1f, 0xff]), None, "a whole byte of padding");
        assert_eq!(decoded(&[0xff]), None);
        assert_eq!(decoded(&[0xff, 0xff, 0xff, 0xff]), None, "EOS");
        assert_eq!(decoded(&[0xff, 0xff, 0xff, 0xfc]), None);
        assert_eq!(decoded(&[0x00]), None, "0 and three zeros");
    }
}
