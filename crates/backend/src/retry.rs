//! What follows a failed connection attempt: `retries`, `option redispatch`, the turn-around delay.

use std::time::Duration;

/// Settings of a backend that decide about retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// `retries`; 3 unless said.
    pub retries: u32,
    /// `option redispatch N`; `None` or 0: off.
    pub redispatch: Option<i32>,
    /// `timeout connect`; `None` or zero: none.
    pub timeout_connect: Option<Duration>,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The same server again, after this delay; counts as `wretr`.
    Again(Duration),
    /// Give the slot back, balance again and avoid this server; counts as `wredis`. The log shows `+`.
    Redispatch,
    /// No more: 503.
    GiveUp,
}

/// Decides after an attempt failed. `done` is how many retries there were before (0 after the first attempt failed).
pub fn decide(policy: &RetryPolicy, done: u32) -> Next {
    if done >= policy.retries {
        return Next::GiveUp;
    }
    let turnaround = Duration::from_secs(1);
    let delay = match policy.timeout_connect {
        Some(t) if !t.is_zero() => t.min(turnaround),
        _ => turnaround,
    };
    Next::Again(delay)
}
