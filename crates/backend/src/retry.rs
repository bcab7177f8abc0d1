//! What follows a failed connection attempt: `retries`, `option redispatch`, the turn-around delay (manual section
//! 4.2; what the manual leaves open was observed on HAProxy 3.5, see the tests).

use std::time::Duration;

/// Settings of a backend that decide about retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// `retries`; 3 unless said.
    pub retries: u32,
    /// `option redispatch N`; `None` or 0: off. N > 0: on every Nth retry; N < 0: on the Nth from the last (-1: the last).
    pub redispatch: Option<i32>,
    /// `timeout connect`; `None` or zero: none.
    pub timeout_connect: Option<Duration>,
}

/// How the request came to the server that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempt {
    /// Retries and redispatches so far (0 when the first attempt failed).
    pub done: u32,
    /// Persistence (cookie, stick table, `use-server`) chose the server; false again once it was redispatched.
    pub persistent: bool,
    /// The algorithm looks at no key of the request, so that to balance again yields another server, and there is more
    /// than one active server.
    pub rotates: bool,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The same server again, after this delay ([`turnaround`]); counts as `wretr`.
    Again(Duration),
    /// Give the slot back and balance again, without persistence, avoiding this server. If another server comes out,
    /// attempt at once: it counts as `wredis` for the old one, and the log shows `+`. If it is the same server, it is a
    /// retry like [`Next::Again`], `wretr` without `+`, after [`turnaround`].
    Redispatch,
    /// No more: 503.
    GiveUp,
}

/// Decides after an attempt failed. Whatever comes out of a retry, `done` goes up by one.
pub fn decide(policy: &RetryPolicy, attempt: Attempt) -> Next {
    if attempt.done >= policy.retries {
        return Next::GiveUp;
    }
    let retry = attempt.done + 1;
    let Some(every) = period(policy) else { return Next::Again(turnaround(policy)) };
    if retry.is_multiple_of(every) || (!attempt.persistent && attempt.rotates) {
        return Next::Redispatch;
    }
    Next::Again(turnaround(policy))
}

/// On which multiples a redispatch is due; none: never. The manual's "Nth retry prior to the last retry" repeats
/// itself on multiples of that number; asking for more than there are retries means each.
fn period(policy: &RetryPolicy) -> Option<u32> {
    match policy.redispatch {
        None | Some(0) => None,
        Some(n) if n > 0 => Some(n.unsigned_abs()),
        Some(n) => {
            let from_start = i64::from(policy.retries) + 1 + i64::from(n);
            Some(u32::try_from(from_start.unsigned_abs()).unwrap_or(u32::MAX).max(1))
        }
    }
}

/// How long to wait before the same server is tried again: the smaller of `timeout connect` and one second.
pub fn turnaround(policy: &RetryPolicy) -> Duration {
    let second = Duration::from_secs(1);
    match policy.timeout_connect {
        Some(t) if !t.is_zero() => t.min(second),
        _ => second,
    }
}

/// The log's `retries` field: the count, with `+` in front after a redispatch to another server.
pub fn log_field(done: u32, redispatched: bool, to: &mut Vec<u8>) {
    use std::io::Write;
    if redispatched {
        to.push(b'+');
    }
    let _ = write!(to, "{done}");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What happens to a request whose every attempt fails: `a` again, `r` redispatched.
    fn course(retries: u32, redispatch: Option<i32>, mut persistent: bool, rotates: bool) -> String {
        let policy = RetryPolicy { retries, redispatch, timeout_connect: None };
        let mut seen = String::new();
        for done in 0.. {
            match decide(&policy, Attempt { done, persistent, rotates }) {
                Next::Again(_) => seen.push('a'),
                Next::Redispatch => {
                    persistent = false;
                    seen.push('r');
                }
                Next::GiveUp => break,
            }
        }
        seen
    }

    /// Recorded from HAProxy 3.5: three servers that refuse, `connect` calls watched.
    #[test]
    fn courses_are_haproxys() {
        let (cookie, none) = (true, false);
        let (round, hash) = (true, false);
        for (retries, redispatch, persistent, rotates, course_seen) in [
            (3, None, none, round, "aaa"),
            (3, Some(0), none, round, "aaa"),
            (3, Some(-1), none, round, "rrr"),
            (3, Some(1), none, round, "rrr"),
            (3, None, cookie, round, "aaa"),
            (3, Some(-1), cookie, round, "aar"),
            (6, Some(1), cookie, round, "rrrrrr"),
            (6, Some(2), cookie, round, "arrrrr"),
            (6, Some(3), cookie, round, "aarrrr"),
            (6, Some(-1), cookie, round, "aaaaar"),
            (6, Some(-2), cookie, round, "aaaarr"),
            (6, Some(-3), cookie, round, "aaarrr"),
            (6, Some(-4), none, hash, "aaraar"),
            (6, Some(2), none, hash, "ararar"),
            (1, Some(-3), none, hash, "r"),
            (1, Some(-1), none, hash, "r"),
            (0, Some(-1), cookie, round, ""),
            // HAProxy 3.5 dies of these two; any answer is better
            (2, Some(-3), none, hash, "rr"),
            (1, Some(-2), none, hash, "r"),
        ] {
            let got = course(retries, redispatch, persistent, rotates);
            assert_eq!(
                got, course_seen,
                "retries {retries} redispatch {redispatch:?} {persistent} {rotates}"
            );
        }
    }

    #[test]
    fn delay_is_the_smaller() {
        let of = |timeout_connect| turnaround(&RetryPolicy { retries: 3, redispatch: None, timeout_connect });
        assert_eq!(of(Some(Duration::from_millis(300))), Duration::from_millis(300));
        assert_eq!(of(Some(Duration::from_secs(5))), Duration::from_secs(1));
        assert_eq!(of(Some(Duration::ZERO)), Duration::from_secs(1));
        assert_eq!(of(None), Duration::from_secs(1));
    }

    #[test]
    fn extremes() {
        for (retries, redispatch) in
            [(u32::MAX, i32::MIN), (u32::MAX, i32::MAX), (0, i32::MIN), (u32::MAX, -1)]
        {
            let policy = RetryPolicy { retries, redispatch: Some(redispatch), timeout_connect: None };
            for done in [0, 1, u32::MAX - 1] {
                let _ = decide(&policy, Attempt { done, persistent: true, rotates: false });
            }
            let last = Attempt { done: u32::MAX, persistent: false, rotates: true };
            assert_eq!(decide(&policy, last), Next::GiveUp);
        }
    }

    #[test]
    fn field() {
        let mut out = Vec::new();
        log_field(3, true, &mut out);
        log_field(0, false, &mut out);
        assert_eq!(out, b"+30");
    }
}
