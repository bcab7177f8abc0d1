//! What is begun in one turn of the event loop: answers first, then a few new requests, and some of what is made here.
//!
//! When more requests wait than a turn can take, beginning them all at once would put every one of them in flight
//! before the first answer is looked at: thousands of heads, futures and server connections, each gone from the cache
//! when its answer comes. So a turn begins a few, in the order in which they came, and the rest wait where they are:
//! in their sockets.
//! Likewise a turn makes only so many pieces of answers that come from inside the process, so that a long listing does not
//! hold up everybody else.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::task::Waker;

/// Requests that one turn begins.
const STARTS: u32 = 32;

/// What a turn counts in the average of the load is one of so many parts.
const FADES: u32 = 64;

/// Pieces (of a buffer each) that one turn makes.
const PIECES: u32 = 4;

/// Which requests may begin now.
#[derive(Debug, Default)]
pub struct Turn {
    left: Cell<u32>,
    orderly: Cell<bool>,
    waiting: RefCell<VecDeque<Waker>>,
    pieces: Cell<u32>,
    /// Requests that began in this turn and were not read off a connection of their own.
    streams: Cell<u32>,
    /// See [`Turn::load`], in 256ths.
    load: Cell<u32>,
    makers: RefCell<VecDeque<Waker>>,
}

impl Turn {
    /// A new turn: wakes those that may begin.
    pub fn begin(&self) {
        let begun = STARTS.saturating_sub(self.left.replace(STARTS)) + self.streams.take();
        let mut waiting = self.waiting.borrow_mut();
        let here = begun.saturating_add(waiting.len() as u32).min(1 << 16);
        let before = self.load.get();
        self.load.set(before - before / FADES + here * (256 / FADES));
        self.orderly.set(waiting.is_empty());
        let n = waiting.len().min(STARTS as usize);
        waiting.drain(..n).for_each(Waker::wake);
        self.pieces.set(PIECES);
        let mut makers = self.makers.borrow_mut();
        if !makers.is_empty() {
            let n = makers.len().min(PIECES as usize);
            makers.drain(..n).for_each(Waker::wake);
        }
    }

    /// How many requests a turn has to do with, those that wait to begin and those that began, on average over the last turns
    /// (`rq-load` of `tune.h2.fe.max-concurrent-streams`).
    #[must_use]
    pub fn load(&self) -> u32 {
        self.load.get() / 256
    }

    /// A stream's request begins.
    pub fn begun(&self) {
        self.streams.set(self.streams.get() + 1);
    }

    /// May a piece of an answer be made in this turn? As with [`Turn::start`].
    pub fn make(&self, queued: &mut bool, waker: &Waker) -> bool {
        let left = self.pieces.get();
        if left > 0 && (*queued || self.makers.borrow().is_empty()) {
            self.pieces.set(left - 1);
            return true;
        }
        *queued = true;
        let mut makers = self.makers.borrow_mut();
        if !makers.iter().any(|w| w.will_wake(waker)) {
            makers.push_back(waker.clone());
        }
        false
    }

    /// May a request begin in this turn? If not, `waker` is woken when it may. `queued` is the caller's memory of having
    /// waited.
    pub fn start(&self, queued: &mut bool, waker: &Waker) -> bool {
        let left = self.left.get();
        if left > 0 && (*queued || self.orderly.get()) {
            self.left.set(left - 1);
            return true;
        }
        *queued = true;
        self.waiting.borrow_mut().push_back(waker.clone());
        false
    }

    /// Does anybody wait to begin, or to go on?
    pub fn is_waited_for(&self) -> bool {
        !self.waiting.borrow().is_empty() || !self.makers.borrow().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicU32);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_turn_begins_a_few_and_nobody_overtakes() {
        let turn = Turn::default();
        let woken = Arc::new(Count::default());
        let waker = Waker::from(woken.clone());
        turn.begin();
        let mut queued = [false; 100];
        let begun = queued.iter_mut().map(|q| turn.start(q, &waker)).filter(|begun| *begun).count();
        assert_eq!(begun, STARTS as usize);
        assert!(turn.is_waited_for());
        turn.begin();
        assert_eq!(woken.0.load(Ordering::Relaxed), STARTS);
        // who comes now queues up behind those that wait
        assert!(!turn.start(&mut false, &waker));
        let waited = queued.iter_mut().filter(|q| **q).take(STARTS as usize);
        assert!(waited.into_iter().all(|q| turn.start(q, &waker)));
        while turn.is_waited_for() {
            turn.begin();
        }
        turn.begin();
        assert!(turn.start(&mut false, &waker));
    }
}
