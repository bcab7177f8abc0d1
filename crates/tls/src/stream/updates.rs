//! Key updates of the peer's (RFC 8446 section 4.6.3; manual section 3.2, `tune.ssl.keyupdate-rate-limit`). The library takes them
//! without a word: they are counted by the records that they come in.

use std::time::{Duration, Instant};

/// Bytes of such a record behind its head: the message, the type of what is in the record, and the cipher's tag. Whoever pads
/// them is held up by the library, which takes 32 of them without data in between.
const LENGTH: usize = 4 + 1 + 1 + 16;
/// So much data makes a record as long.
pub(super) const ALIKE: usize = 5;

/// How many records of that length there are in what was taken.
pub(super) fn alike(mut records: &[u8]) -> u32 {
    let mut found = 0;
    while let [kind, _, _, high, low, rest @ ..] = records {
        let length = usize::from(*high) << 8 | usize::from(*low);
        found += u32::from(*kind == 23 && length == LENGTH);
        records = rest.get(length..).unwrap_or_default();
    }
    found
}

/// Those of the last second.
#[derive(Debug)]
pub(super) struct Updates {
    since: Instant,
    count: u32,
}

impl Updates {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, count: 0 }
    }

    /// So many more have come. Are they too many for a second?
    pub(super) fn add(&mut self, more: u32, limit: u32, now: Instant) -> bool {
        if now - self.since >= Duration::from_secs(1) {
            *self = Self::new(now);
        }
        self.count = self.count.saturating_add(more);
        self.count > limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_told_apart() {
        let record =
            |kind: u8, length: usize| [&[kind, 3, 3, 0, length as u8][..], &vec![9; length]].concat();
        let all = [record(23, 22), record(22, 22), record(23, 23), record(23, 22)].concat();
        assert_eq!(alike(&all), 2);
        assert_eq!(alike(&all[..all.len() - 30]), 1);
        assert_eq!(alike(b""), 0);
    }

    #[test]
    fn a_second_has_so_many() {
        let start = Instant::now();
        let mut updates = Updates::new(start);
        let mut add = |ms: u64, more| updates.add(more, 3, start + Duration::from_millis(ms));
        assert!(!add(0, 2) && !add(999, 1) && add(999, 1));
        assert!(!add(1000, 3) && add(1999, 1));
    }
}
