//! What is counted of a name server (management manual 9.3 `show resolvers`).

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The counters' names, in the order of [`Count`].
pub const NAMES: [&str; 15] = [
    "sent",
    "snd_error",
    "valid",
    "update",
    "cname",
    "cname_error",
    "any_err",
    "nx",
    "timeout",
    "refused",
    "other",
    "invalid",
    "too_big",
    "truncated",
    "outdated",
];

/// Which counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Count {
    /// Questions sent.
    Sent,
    /// Questions that could not be sent.
    SendError,
    /// Good answers.
    Valid,
    /// Answers that gave a server another address.
    Update,
    /// Answers that end with an alias. (Nobody asks for aliases, which would be counted before.)
    CnameError = 5,
    /// Answers without a record.
    AnyError,
    /// No such name.
    Nx,
    /// Questions without an answer in time.
    Timeout,
    /// Questions that were refused.
    Refused,
    /// Other errors.
    Other,
    /// What is no answer, or not to what was asked.
    Invalid,
    /// Answers larger than was said.
    TooBig,
    /// Answers that were cut.
    Truncated,
    /// Answers that nobody waits for any more.
    Outdated,
}

/// All of one name server.
#[derive(Debug, Default)]
pub struct Counters([AtomicU64; 15]);

impl Counters {
    /// One more.
    pub(super) fn add(&self, which: Count) {
        if let Some(n) = self.0.get(which as usize) {
            n.fetch_add(1, Relaxed);
        }
    }
    /// All values with their names.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        NAMES.into_iter().zip(self.0.iter().map(|n| n.load(Relaxed)))
    }
    /// `clear counters all`
    pub fn clear(&self) {
        self.0.iter().for_each(|n| n.store(0, Relaxed));
    }
}
