//! What one side of a proxy has seen of HTTP/1 and HTTP/2, as statistics show it (columns `h1_*` and `h2_*`).

use crate::h2::H2Totals;
use std::sync::{Mutex, PoisonError};

/// Numbers in the order of the columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Muxes {
    /// Open connections and streams, all connections and streams, bytes in and out, and those that were spliced.
    pub h1: [u64; 8],
    /// HTTP/2.
    pub h2: H2Totals,
}

/// The first columns of HTTP/1 are gauges.
const H1_GAUGES: usize = 2;

impl Muxes {
    /// What has come since; what is open stays so.
    #[must_use]
    fn since(mut self, before: &Self) -> Self {
        let h1 = self.h1.iter_mut().zip(before.h1).skip(H1_GAUGES);
        h1.for_each(|(now, then)| *now = now.saturating_sub(then));
        self.h2.forget(&before.h2);
        self
    }
}

/// What `clear counters` has had forgotten of them: they are made from counters that it does not clear.
#[derive(Debug, Default)]
pub struct Forgotten(Mutex<Option<Box<Muxes>>>);

impl Forgotten {
    /// What is left of `all`.
    pub fn rest(&self, all: Muxes) -> Muxes {
        let before = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        before.as_deref().map_or(all, |before| all.since(before))
    }
    /// All of it is to be forgotten; `None`: the counters themselves begin again.
    pub fn set(&self, all: Option<Muxes>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = all.map(Box::new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_is_not_forgotten() {
        let forgotten = Forgotten::default();
        let mut all = Muxes { h1: [3, 2, 10, 20, 30, 40, 0, 0], ..Muxes::default() };
        all.h2.0 = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13];
        assert_eq!(forgotten.rest(all), all);
        forgotten.set(Some(all));
        all.h1[2] += 5;
        all.h2.0[12] += 6;
        let rest = forgotten.rest(all);
        assert_eq!(rest.h1, [3, 2, 5, 0, 0, 0, 0, 0]);
        assert_eq!(rest.h2.0, [0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 11, 0, 6]);
        forgotten.set(None);
        assert_eq!(forgotten.rest(all), all);
    }
}
