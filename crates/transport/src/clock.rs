//! Time as the data plane sees it: milliseconds of a monotonic clock, and the wall clock for logs.

use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since the process' clock began; never goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

impl Millis {
    /// Far away: no deadline.
    pub const NEVER: Millis = Millis(u64::MAX);

    /// Milliseconds from `earlier` to this, 0 if it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Millis) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
    /// [`Millis::after`] of a time that may be never.
    #[must_use]
    pub fn after_or_never(self, timeout: Option<Duration>) -> Millis {
        if self == Millis::NEVER { self } else { self.after(timeout) }
    }
    /// This plus a timeout; a timeout of `None` or zero never comes.
    #[must_use]
    pub fn after(self, timeout: Option<Duration>) -> Millis {
        match timeout {
            Some(t) if !t.is_zero() => {
                Millis(self.0.saturating_add(u64::try_from(t.as_millis()).unwrap_or(u64::MAX)))
            }
            _ => Millis::NEVER,
        }
    }
}

/// The process' clock: one origin for all workers, so that times can be compared between them.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin_ns: u64,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// A clock that begins now (at 1 ms, so that 0 can mean "not yet").
    #[must_use]
    pub fn new() -> Self {
        Self { origin_ns: monotonic_ns().saturating_sub(1_000_000) }
    }
    /// Now.
    #[inline]
    #[must_use]
    pub fn now(&self) -> Millis {
        Millis((monotonic_ns().saturating_sub(self.origin_ns)) / 1_000_000)
    }
    /// Wall clock: time since the Unix epoch.
    #[must_use]
    pub fn wall(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}

/// A worker's view of the clock: read once a turn of its event loop, so that a request does not pay for the time.
#[derive(Debug)]
pub struct TurnClock {
    clock: Clock,
    now: Cell<Millis>,
    wall: Cell<Duration>,
}

impl TurnClock {
    /// A view of `clock`, as of now.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, now: Cell::new(clock.now()), wall: Cell::new(clock.wall()) }
    }
    /// Reads the clocks; to be called at the beginning of each turn.
    #[inline]
    pub fn refresh(&self) {
        let now = self.clock.now();
        if now != self.now.get() {
            self.now.set(now);
            self.wall.set(self.clock.wall());
        }
    }
    /// The time of this turn.
    #[inline]
    #[must_use]
    pub fn now(&self) -> Millis {
        self.now.get()
    }
    /// The wall clock at the beginning of this millisecond: time since the Unix epoch.
    #[inline]
    #[must_use]
    pub fn wall(&self) -> Duration {
        self.wall.get()
    }
    /// The process' clock, for what must be more exact than a turn.
    #[must_use]
    pub fn exact(&self) -> Clock {
        self.clock
    }
}

#[inline]
fn monotonic_ns() -> u64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    (t.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(t.tv_nsec as u64)
}
