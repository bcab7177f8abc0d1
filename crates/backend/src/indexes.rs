//! Numbers of servers in the process: as small as can be, each somebody's until that one is forgotten.

use parking_lot::Mutex;
use std::ops::Deref;
use std::sync::Arc;

/// Gives numbers out.
#[derive(Debug, Default)]
pub(crate) struct Indexes(Arc<Mutex<Given>>);

#[derive(Debug, Default)]
struct Given {
    /// Numbers below this were given out.
    next: u32,
    /// Those that came back.
    free: Vec<u32>,
}

impl Indexes {
    /// A number that nobody has.
    pub fn take(&self) -> Index {
        let mut given = self.0.lock();
        let number = given.free.pop().unwrap_or_else(|| {
            given.next += 1;
            given.next - 1
        });
        Index { number, of: self.0.clone() }
    }
    /// Every number that somebody has is below this.
    pub fn given(&self) -> u32 {
        self.0.lock().next
    }
}

/// A number; somebody else may have it once this is dropped.
#[derive(Debug)]
pub struct Index {
    number: u32,
    of: Arc<Mutex<Given>>,
}

impl Deref for Index {
    type Target = u32;
    #[inline]
    fn deref(&self) -> &u32 {
        &self.number
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.of.lock().free.push(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        let all = Indexes::default();
        let (a, b) = (all.take(), all.take());
        assert_eq!((*a, *b, all.given()), (0, 1, 2));
        drop(a);
        assert_eq!((*all.take(), all.given()), (0, 2));
    }
}
