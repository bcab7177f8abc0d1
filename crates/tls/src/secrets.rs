//! Secrets of connections for key logs (`tune.ssl.keylog`), under the labels of SSLKEYLOGFILE. A configuration's log does not
//! know its connection: who runs the handshake takes what it left on this thread.

use rustls::KeyLog;
use std::cell::RefCell;

/// The labels that the library tells of.
pub const LABELS: [&str; 7] = [
    "CLIENT_RANDOM",
    "CLIENT_EARLY_TRAFFIC_SECRET",
    "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
    "SERVER_HANDSHAKE_TRAFFIC_SECRET",
    "CLIENT_TRAFFIC_SECRET_0",
    "SERVER_TRAFFIC_SECRET_0",
    "EXPORTER_SECRET",
];

/// A secret, and which it is.
#[derive(Clone, Debug)]
pub struct Secret {
    /// One of [`LABELS`].
    pub label: &'static str,
    /// The secret.
    pub secret: Box<[u8]>,
}

thread_local! {
    static LOGGED: RefCell<Vec<Secret>> = const { RefCell::new(Vec::new()) };
}

/// Leaves secrets on the thread.
#[derive(Debug)]
pub struct Log;

impl KeyLog for Log {
    fn log(&self, label: &str, _: &[u8], secret: &[u8]) {
        if let Some(label) = LABELS.iter().find(|l| **l == label) {
            LOGGED.with_borrow_mut(|all| all.push(Secret { label, secret: secret.into() }));
        }
    }
}

/// What was left since the last call.
#[must_use]
pub fn take() -> Vec<Secret> {
    LOGGED.with_borrow_mut(|all| if all.is_empty() { Vec::new() } else { std::mem::take(all) })
}

/// The random number of a hello of this kind (1: client, 2: server) at the front of what was sent.
#[must_use]
pub fn random(bytes: &[u8], kind: u8) -> Option<[u8; 32]> {
    /// A ServerHello with this one asks for another ClientHello (RFC 8446 section 4.1.3).
    const AGAIN: [u8; 32] = [
        0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2,
        0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
    ];
    (bytes.first() == Some(&22) && bytes.get(5) == Some(&kind)).then_some(())?;
    let random: [u8; 32] = bytes.get(11..43)?.try_into().ok()?;
    (random != AGAIN).then_some(random)
}

/// Does a ServerHello at the front of what came name a suite of TLS 1.3?
#[must_use]
pub fn is_v13(bytes: &[u8]) -> bool {
    let session = bytes.get(43).copied().map_or(0, usize::from);
    bytes.first() == Some(&22) && bytes.get(5) == Some(&2) && bytes.get(44 + session) == Some(&0x13)
}

/// What a session is known by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionId {
    bytes: [u8; 32],
    len: u8,
}

impl SessionId {
    /// Of a ServerHello at the front of what was sent. Sessions of TLS 1.3 have none: each connection has one of its own, the server's
    /// random number.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let len = bytes.get(43).copied().filter(|len| *len <= 32).unwrap_or(0);
        let id = match is_v13(bytes) {
            true => bytes.get(11..43),
            false => bytes.get(44..44 + usize::from(len)),
        };
        let (mut new, id) = (Self::default(), id.unwrap_or(&[]));
        new.bytes.iter_mut().zip(id).for_each(|(to, from)| *to = *from);
        Self { len: id.len() as u8, ..new }
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn randoms() {
        let mut bytes = vec![22, 3, 3, 0, 60, 2, 0, 0, 56, 3, 3];
        bytes.extend([7; 40]);
        assert_eq!(random(&bytes, 2), Some([7; 32]));
        assert_eq!(random(&bytes, 1), None);
        assert_eq!(random(&bytes[..40], 2), None);
        bytes.truncate(43);
        bytes.extend([1, 7, 0x13, 1]);
        assert!(is_v13(&bytes) && !is_v13(&bytes[..45]));
        assert_eq!(SessionId::of(&bytes).bytes(), [7; 32]);
        (bytes[44], bytes[45]) = (9, 0xc0);
        assert!(!is_v13(&bytes));
        assert_eq!(SessionId::of(&bytes).bytes(), [9]);
        assert_eq!(SessionId::of(&bytes[..20]).bytes(), []);
    }

    #[test]
    fn what_was_left_is_taken_once() {
        Log.log("EXPORTER_SECRET", &[], &[1]);
        Log.log("SOMETHING", &[], &[2]);
        assert_eq!(take().len(), 1);
        assert!(take().is_empty());
    }
}
