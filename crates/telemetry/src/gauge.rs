//! Gauges of the whole process, and the gates before `accept`.
//!
//! What is taken is a guard that gives back on drop, so that a panic or an abort leaks nothing. A gate that is
//! shut keeps the wakers of those who wait for it.

use std::sync::atomic::{
    AtomicBool, AtomicU32,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

/// How many of something there are now, the most there ever were, and how many there may be.
#[derive(Debug, Default)]
pub struct Gauge {
    current: AtomicU32,
    highest: AtomicU32,
    /// [`NONE`], [`SHUT`], or how many there may be.
    limit: AtomicU32,
    waiting: AtomicBool,
    wakers: Mutex<Vec<Waker>>,
}

/// A limit that is none.
const NONE: u32 = 0;
/// A limit that lets nothing come.
const SHUT: u32 = u32::MAX;

impl Gauge {
    /// A gauge with a limit (0: none).
    pub fn new(limit: u32) -> Self {
        Self { limit: AtomicU32::new(limit), ..Self::default() }
    }
    /// How many now.
    #[inline]
    pub fn get(&self) -> u32 {
        self.current.load(Relaxed)
    }
    /// The most there were.
    pub fn highest(&self) -> u32 {
        self.highest.load(Relaxed)
    }
    /// `clear counters`: the highest is what is there now.
    pub fn clear_highest(&self) {
        self.highest.store(self.get(), Relaxed);
    }
    /// The limit as it was set; 0: none.
    pub fn limit(&self) -> u32 {
        self.limit.load(Relaxed)
    }
    /// How many there may be, if that is limited.
    pub fn bound(&self) -> Option<u32> {
        bound(self.limit.load(SeqCst))
    }
    /// Changes the limit (0: none); those who wait try again.
    pub fn set_limit(&self, limit: u32) {
        self.limit.store(limit, SeqCst);
        self.wake();
    }
    /// Lets nothing more come until there is another limit (`set maxconn frontend … 0`).
    pub fn shut(&self) {
        self.limit.store(SHUT, SeqCst);
    }
    /// Is there no room?
    pub fn full(&self) -> bool {
        self.bound().is_some_and(|limit| self.current.load(SeqCst) >= limit)
    }
    /// One more, whatever the limit.
    #[inline]
    pub fn add(&self) -> u32 {
        let now = self.current.fetch_add(1, SeqCst) + 1;
        if now > self.highest.load(Relaxed) {
            self.highest.fetch_max(now, Relaxed);
        }
        now
    }
    /// One more, unless the limit is reached.
    pub fn try_add(&self) -> bool {
        let Some(limit) = self.bound() else {
            self.add();
            return true;
        };
        let room = |n: u32| (n < limit).then_some(n + 1);
        match self.current.fetch_update(SeqCst, Relaxed, room) {
            Ok(before) => {
                if before + 1 > self.highest.load(Relaxed) {
                    self.highest.fetch_max(before + 1, Relaxed);
                }
                true
            }
            Err(_) => false,
        }
    }
    /// One less; wakes who waits.
    #[inline]
    pub fn sub(&self) {
        self.current.fetch_sub(1, SeqCst);
        if self.waiting.load(SeqCst) {
            self.wake();
        }
    }
    /// Calls this waker when there may be room again. Look at [`Gauge::full`] once more afterwards: what was given
    /// back before this call wakes nobody.
    pub fn wait(&self, waker: &Waker) {
        let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        if !wakers.iter().any(|w| w.will_wake(waker)) {
            wakers.push(waker.clone());
        }
        self.waiting.store(true, SeqCst);
    }

    #[cold]
    fn wake(&self) {
        let all = {
            let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
            self.waiting.store(false, SeqCst);
            std::mem::take(&mut *wakers)
        };
        all.into_iter().for_each(Waker::wake);
    }
    /// One more as a guard, whatever the limit.
    pub fn take(self: &Arc<Self>) -> Held {
        self.add();
        Held(self.clone())
    }
    /// One more as a guard, unless the limit is reached.
    pub fn try_take(self: &Arc<Self>) -> Option<Held> {
        self.try_add().then(|| Held(self.clone()))
    }
}

/// How many this limit lets there be.
fn bound(limit: u32) -> Option<u32> {
    match limit {
        NONE => None,
        SHUT => Some(0),
        n => Some(n),
    }
}

/// One counted thing; gives back on drop.
#[derive(Debug)]
#[must_use = "dropped at once it counts nothing"]
pub struct Held(Arc<Gauge>);

impl Held {
    /// The gauge that it is counted in.
    pub fn gauge(&self) -> &Arc<Gauge> {
        &self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.sub();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    #[test]
    fn limit_and_guards() {
        let g = Arc::new(Gauge::new(2));
        let a = g.try_take();
        let b = g.try_take();
        assert!(a.is_some() && b.is_some() && g.try_take().is_none() && g.full());
        let woken = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(woken.clone());
        g.wait(&waker);
        g.wait(&waker);
        drop(a);
        assert_eq!(woken.0.load(SeqCst), 1);
        assert_eq!((g.get(), g.highest()), (1, 2));
        let c = g.take();
        let d = g.take();
        assert_eq!((g.get(), g.highest()), (3, 3), "take ignores the limit");
        drop((b, c, d));
        assert_eq!(g.get(), 0);
        g.clear_highest();
        assert_eq!(g.highest(), 0);
    }

    #[test]
    fn a_panic_gives_back() {
        let g = Arc::new(Gauge::new(1));
        let g2 = g.clone();
        let r = std::thread::spawn(move || {
            let _held = g2.try_take();
            panic!("on purpose");
        })
        .join();
        assert!(r.is_err());
        assert_eq!(g.get(), 0);
    }

    #[test]
    fn never_more_than_the_limit() {
        let g = Arc::new(Gauge::new(3));
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    for _ in 0..10_000 {
                        if let Some(held) = g.try_take() {
                            assert!(g.get() <= 3);
                            drop(held);
                        }
                    }
                });
            }
        });
        assert_eq!(g.get(), 0);
        assert!(g.highest() <= 3);
    }
}
