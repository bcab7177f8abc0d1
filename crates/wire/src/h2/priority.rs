//! Extensible priorities (RFC 9218): how urgent a stream is. Streams that wait for room get it in that order, those that are as
//! urgent as each other in turn.

use portcullis_message::values;

/// Where nothing is said (RFC 9218 section 4.1); 0 is the most urgent, 7 the least.
pub const USUAL: u8 = 3;

/// `u` of a Priority field's value; what cannot be read says nothing.
#[must_use]
pub fn urgency(value: &[u8]) -> Option<u8> {
    let read = |e: &[u8]| match e {
        [b'u', b'=', n @ b'0'..=b'7'] => Some(n - b'0'),
        _ => None,
    };
    values::elements(value).filter_map(read).last()
}

#[cfg(test)]
mod tests {
    use super::urgency;

    #[test]
    fn values() {
        assert_eq!(urgency(b"u=0"), Some(0));
        assert_eq!(urgency(b"i, u=7"), Some(7));
        assert_eq!(urgency(b"u=1, u=2"), Some(2));
        for nothing in [&b""[..], b"i", b"u", b"u=", b"u=8", b"u=-1", b"u=12", b"U=1"] {
            assert_eq!(urgency(nothing), None);
        }
    }
}
