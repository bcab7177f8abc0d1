//! Early data to a server: what is sent before it has answered (RFC 8446 section 2.3), and what became of it.
//!
//! The library does not say whether a server has taken it, but what it sends next does: an EndOfEarlyData message if so, and none
//! if not. Encrypted, that is a record of one size, which no other message of a client's handshake has.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// A record with EndOfEarlyData: header, message, type, and the tag that all ciphers of TLS 1.3 have in common.
const OVER: usize = 5 + 4 + 1 + TAG;
/// Octets of that tag.
const TAG: usize = 16;
/// The type of encrypted records.
const ENCRYPTED: u8 = 23;

/// What a record of TLS 1.3 has beside its payload.
pub(crate) const OVERHEAD: usize = 5 + 1 + TAG;

/// Is this, of what a client sends in its handshake, its EndOfEarlyData?
pub(crate) fn is_over(record: &[u8]) -> bool {
    record.len() == OVER && record.first() == Some(&ENCRYPTED)
}

/// What became of early data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Ahead {
    /// The server has not answered; more may be sent to it.
    Open,
    /// Likewise, but no more may be sent.
    Full,
    /// The server takes it.
    Taken,
    /// The server does not, or there was no handshake: nothing of it was looked at.
    Refused,
}

impl Ahead {
    /// Has the server not answered yet?
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Open | Self::Full)
    }
}

/// The same, as a connection and those that know of it share it.
#[derive(Debug)]
pub struct Shared(AtomicU8);

impl Shared {
    pub(crate) fn new() -> Self {
        Self(AtomicU8::new(Ahead::Open as u8))
    }
    pub(crate) fn set(&self, to: Ahead) {
        self.0.store(to as u8, Relaxed);
    }
    /// What is known now.
    #[must_use]
    pub fn get(&self) -> Ahead {
        match self.0.load(Relaxed) {
            0 => Ahead::Open,
            1 => Ahead::Full,
            2 => Ahead::Taken,
            _ => Ahead::Refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_kept() {
        let shared = Shared::new();
        assert!(shared.get().is_open());
        for state in [Ahead::Open, Ahead::Full, Ahead::Taken, Ahead::Refused] {
            shared.set(state);
            assert_eq!(shared.get(), state);
        }
        assert!(!shared.get().is_open());
    }

    #[test]
    fn one_record_tells() {
        let mut record = [0; 26];
        assert!(!is_over(&record));
        record[0] = 23;
        assert!(is_over(&record) && !is_over(&record[..25]));
    }
}
