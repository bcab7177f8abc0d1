//! Reading DER: tags, lengths, contents. Whatever the bytes are, it ends.

/// What is left to be read.
#[derive(Clone, Copy, Debug)]
pub struct Der<'a>(pub &'a [u8]);

/// One element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// Its tag byte.
    pub tag: u8,
    /// Its content.
    pub content: &'a [u8],
    /// Tag, length and content.
    pub whole: &'a [u8],
}

impl<'a> Der<'a> {
    /// The next element, if it has this tag.
    pub fn tagged(&mut self, tag: u8) -> Option<Element<'a>> {
        if self.0.first() != Some(&tag) {
            return None;
        }
        self.next()
    }
    /// Every element; `None` if there is anything else.
    #[must_use]
    pub fn all(mut self) -> Option<Vec<Element<'a>>> {
        let mut out = Vec::new();
        while !self.0.is_empty() {
            out.push(self.next()?);
        }
        Some(out)
    }
    /// The content of the only element, if it has this tag.
    #[must_use]
    pub fn only(mut self, tag: u8) -> Option<&'a [u8]> {
        let content = self.tagged(tag)?.content;
        self.0.is_empty().then_some(content)
    }
    /// The content of the next element as something to be read, if it has this tag.
    pub fn inside(&mut self, tag: u8) -> Option<Der<'a>> {
        self.tagged(tag).map(|e| Der(e.content))
    }
}

impl<'a> Iterator for Der<'a> {
    type Item = Element<'a>;
    fn next(&mut self) -> Option<Element<'a>> {
        let all = self.0;
        let (tag, rest) = all.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (len, rest) = match *first {
            n @ 0..=127 => (usize::from(n), rest),
            n @ 0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(n & 0x7f))?;
                (bytes.iter().fold(0, |v, b| v << 8 | usize::from(*b)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some(Element { tag: *tag, content, whole: all.get(..all.len() - rest.len())? })
    }
}

/// An element of these parts, one behind the other.
#[must_use]
pub fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let len: usize = parts.iter().map(|p| p.len()).sum();
    let bytes = len.to_be_bytes();
    let zeros = bytes.iter().take_while(|b| **b == 0).count();
    let mut out = vec![tag];
    match (len, bytes.get(zeros..)) {
        (0..=127, _) | (_, None) => out.push(len as u8),
        (_, Some(digits)) => {
            out.push(0x80 | digits.len() as u8);
            out.extend_from_slice(digits);
        }
    }
    parts.iter().for_each(|p| out.extend_from_slice(p));
    out
}

/// Is it a list of signed certificate timestamps (RFC 6962 section 3.3), as far as lengths go?
#[must_use]
pub fn is_sct_list(list: &[u8]) -> bool {
    let counted = |b: &mut &[u8]| -> Option<usize> {
        let (len, rest) = b.split_first_chunk::<2>()?;
        let (content, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        *b = rest;
        Some(content.len())
    };
    let mut whole = list;
    if counted(&mut whole).is_none_or(|n| n == 0) || !whole.is_empty() {
        return false;
    }
    let mut rest = list.get(2..).unwrap_or(&[]);
    while !rest.is_empty() {
        if counted(&mut rest).is_none_or(|n| n == 0) {
            return false;
        }
    }
    true
}

/// Tag of a boolean.
pub const BOOLEAN: u8 = 1;
/// Tag of an integer.
pub const INTEGER: u8 = 2;
/// Tag of a bit string.
pub const BITS: u8 = 3;
/// Tag of an octet string.
pub const OCTETS: u8 = 4;
/// Tag of an object identifier.
pub const OID: u8 = 6;
/// Tag of a sequence.
pub const SEQUENCE: u8 = 0x30;
/// Tag of a set.
pub const SET: u8 = 0x31;

/// An object identifier with dots.
#[must_use]
pub fn dotted(oid: &[u8]) -> String {
    let mut out = String::new();
    let mut n: u64 = 0;
    for b in oid {
        n = n.wrapping_shl(7) | u64::from(b & 0x7f);
        if b & 0x80 != 0 {
            continue;
        }
        if out.is_empty() {
            let first = (n / 40).min(2);
            out = format!("{first}.{}", n - first * 40);
        } else {
            out.push_str(&format!(".{n}"));
        }
        n = 0;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for len in [0, 1, 127, 128, 255, 256, 70_000] {
            let content = vec![7; len];
            let written = element(OCTETS, &[&content]);
            assert_eq!(Der(&written).tagged(OCTETS).unwrap().content, content);
        }
    }

    #[test]
    fn timestamps() {
        assert!(is_sct_list(&[0, 6, 0, 1, 7, 0, 1, 8]));
        for bad in [&[][..], &[0], &[0, 0], &[0, 3, 0, 2, 7], &[0, 2, 0, 0], &[0, 3, 0, 1, 7, 9]] {
            assert!(!is_sct_list(bad), "{bad:?}");
        }
    }

    #[test]
    fn elements() {
        let mut d = Der(&[0x30, 3, 2, 1, 5, 6, 3, 0x55, 4, 3]);
        let mut inner = d.inside(SEQUENCE).unwrap();
        assert_eq!(inner.tagged(INTEGER).unwrap().content, [5]);
        assert_eq!(dotted(d.tagged(OID).unwrap().content), "2.5.4.3");
        assert!(d.next().is_none());
        for bad in [&[0x30][..], &[0x30, 5, 1], &[0x30, 0x80, 0], &[0x30, 0x85, 0, 0, 0, 0, 0]] {
            assert!(Der(bad).next().is_none());
        }
    }
}
