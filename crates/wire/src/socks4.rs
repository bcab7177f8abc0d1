//! SOCKS4: what is sent to a proxy server that shall connect, and what it answers.

use std::net::SocketAddrV4;

/// Bytes of an answer.
pub const ANSWER: usize = 8;

/// The request to connect to this address.
#[must_use]
pub fn connect(to: SocketAddrV4) -> Vec<u8> {
    let mut out = vec![4, 1];
    out.extend_from_slice(&to.port().to_be_bytes());
    out.extend_from_slice(&to.ip().octets());
    // the name of the user, as HAProxy sends it
    out.extend_from_slice(b"HAProxy\0");
    out
}

/// Does the answer say that the connection is there?
#[must_use]
pub fn is_granted(answer: &[u8; ANSWER]) -> bool {
    answer.starts_with(&[0, 90])
}

#[cfg(test)]
mod tests {
    #[test]
    fn requests_and_answers() {
        let to = "127.0.0.1:5320".parse().unwrap();
        assert_eq!(super::connect(to), b"\x04\x01\x14\xc8\x7f\0\0\x01HAProxy\0");
        assert!(super::is_granted(b"\0\x5a\0\0\0\0\0\0"));
        assert!(!super::is_granted(b"\0\x5b\0\0\0\0\0\0"));
        assert!(!super::is_granted(b"\x05\x5a\0\0\0\0\0\0"));
    }
}
