//! OCSP responses (RFC 6960), as far as it takes to know which certificate one is about.

use crate::der::{Der, INTEGER, OCTETS, SEQUENCE};

/// Which certificate a response speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertId<'a> {
    /// Hash of the issuer's name.
    pub issuer_name_hash: &'a [u8],
    /// Serial number, as DER has it.
    pub serial: &'a [u8],
}

/// The certificate of a successful response's first answer. `None`: it is no such response.
#[must_use]
pub fn about(response: &[u8]) -> Option<CertId<'_>> {
    let mut outer = Der(response).inside(SEQUENCE)?;
    if outer.tagged(0x0a)?.content != [0] {
        return None;
    }
    let mut bytes = outer.inside(0xa0)?.inside(SEQUENCE)?;
    bytes.next()?;
    let mut basic = Der(bytes.tagged(OCTETS)?.content).inside(SEQUENCE)?;
    let mut data = basic.inside(SEQUENCE)?;
    data.tagged(0xa0); // version
    data.next()?; // responder
    data.next()?; // produced at
    let mut id = data.inside(SEQUENCE)?.inside(SEQUENCE)?.inside(SEQUENCE)?;
    id.tagged(SEQUENCE)?;
    let issuer_name_hash = id.tagged(OCTETS)?.content;
    id.tagged(OCTETS)?;
    Some(CertId { issuer_name_hash, serial: id.tagged(INTEGER)?.content })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_else_is_none() {
        assert_eq!(about(b""), None);
        assert_eq!(about(b"\x30\x03\x0a\x01\x01"), None);
        assert_eq!(about(b"\x30\x84\xff\xff\xff\xff\x00"), None);
    }
}
