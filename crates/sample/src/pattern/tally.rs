//! How many patterns have come and gone in the life of the process (`show info`: PatternsAdded, PatternsFreed).

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

static ADDED: AtomicU64 = AtomicU64::new(0);
static FREED: AtomicU64 = AtomicU64::new(0);

/// So many have come.
pub(super) fn added(n: usize) {
    ADDED.fetch_add(n as u64, Relaxed);
}

/// So many have gone.
pub(super) fn freed(n: usize) {
    FREED.fetch_add(n as u64, Relaxed);
}

/// How many have come, and how many have gone.
#[must_use]
pub fn counts() -> (u64, u64) {
    (ADDED.load(Relaxed), FREED.load(Relaxed))
}
