//! How values are spread, in buckets: what Prometheus calls a histogram. One writer, as with counters.

use crate::counter::Counter;

/// Upper bounds of the buckets, in milliseconds; behind the last one is one more.
pub const BOUNDS: [u64; 13] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000];

/// Times in milliseconds.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; BOUNDS.len() + 1],
    sum: Counter,
}

/// What several of them came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// How many values each bucket has.
    pub buckets: [u64; BOUNDS.len() + 1],
    /// Sum of all values.
    pub sum: u64,
}

impl Histogram {
    /// Counts a value.
    #[inline]
    pub fn add(&self, value: u64) {
        let at = BOUNDS.partition_point(|bound| *bound < value);
        if let Some(bucket) = self.buckets.get(at) {
            bucket.inc();
        }
        self.sum.add(value);
    }
    /// Adds this one to a spread.
    pub fn add_to(&self, spread: &mut Spread) {
        for (sum, bucket) in spread.buckets.iter_mut().zip(&self.buckets) {
            *sum = sum.wrapping_add(bucket.get());
        }
        spread.sum = spread.sum.wrapping_add(self.sum.get());
    }
    /// Forgets all.
    pub fn clear(&self) {
        self.buckets.iter().for_each(Counter::clear);
        self.sum.clear();
    }
}

impl Spread {
    /// How many values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().fold(0, |sum, n| sum.wrapping_add(*n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_in_the_first_bucket_that_holds_it() {
        let (a, b) = (Histogram::default(), Histogram::default());
        [0, 1, 2, 3, 10_000].iter().for_each(|n| a.add(*n));
        b.add(10_001);
        let mut spread = Spread::default();
        a.add_to(&mut spread);
        b.add_to(&mut spread);
        assert_eq!(spread.buckets, [2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!((spread.sum, spread.count()), (20_007, 6));
        a.clear();
        let mut spread = Spread::default();
        a.add_to(&mut spread);
        assert_eq!(spread, Spread::default());
    }
}
