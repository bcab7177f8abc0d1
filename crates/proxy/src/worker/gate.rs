//! Limits that many share: `maxconn` of the process, of a frontend, of a listener. What was taken is a guard's to
//! give back, and who waits for room is woken.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

/// A counter with a ceiling.
#[derive(Debug)]
pub struct Gate {
    used: AtomicU32,
    max: AtomicU32,
    waiters: Mutex<Vec<Waker>>,
}

impl Gate {
    /// `max` of 0: no limit.
    #[must_use]
    pub fn new(max: u32) -> Arc<Self> {
        Arc::new(Self { used: AtomicU32::new(0), max: AtomicU32::new(max), waiters: Mutex::default() })
    }
    /// How many are taken.
    #[must_use]
    pub fn used(&self) -> u32 {
        self.used.load(Ordering::Relaxed)
    }
    /// Changes the ceiling; those above it stay.
    pub fn set_max(&self, max: u32) {
        self.max.store(max, Ordering::Relaxed);
        self.wake();
    }
    /// Takes one, or says no.
    pub fn try_take(&self) -> bool {
        let before = self.used.fetch_add(1, Ordering::AcqRel);
        let max = self.max.load(Ordering::Relaxed);
        if max != 0 && before >= max {
            self.give();
            return false;
        }
        true
    }
    /// Gives one back.
    pub fn give(&self) {
        let before = self.used.fetch_sub(1, Ordering::AcqRel);
        let max = self.max.load(Ordering::Relaxed);
        if max != 0 && before >= max {
            self.wake();
        }
    }
    /// Ready when there is room (which another may take first).
    pub fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.has_room() {
            return Poll::Ready(());
        }
        if let Ok(mut w) = self.waiters.lock() {
            w.push(cx.waker().clone());
        }
        // room may have come up between the look and the push
        if self.has_room() { Poll::Ready(()) } else { Poll::Pending }
    }
    fn has_room(&self) -> bool {
        let max = self.max.load(Ordering::Relaxed);
        max == 0 || self.used.load(Ordering::Acquire) < max
    }
    fn wake(&self) {
        let waiting = self.waiters.lock().map(|mut w| std::mem::take(&mut *w)).unwrap_or_default();
        for w in waiting {
            w.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_place_is_given_once_and_room_wakes_the_waiting() {
        let g = Gate::new(2);
        assert!(g.try_take() && g.try_take() && !g.try_take());
        assert_eq!(g.used(), 2);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(g.poll_room(&mut cx).is_pending());
        g.give();
        assert!(g.waiters.lock().unwrap().is_empty());
        assert!(g.poll_room(&mut cx).is_ready());
        g.give();
        assert_eq!(g.used(), 0);
    }
}
