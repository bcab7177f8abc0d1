//! Integer patterns: values, ranges and comparisons (manual section 7.1.2).

use std::collections::HashMap;

/// Comparison that stands before values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `eq`
    Eq,
    /// `ge`
    Ge,
    /// `gt`
    Gt,
    /// `le`
    Le,
    /// `lt`
    Lt,
}

impl Operator {
    /// By name.
    #[must_use]
    pub fn of(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"eq" => Self::Eq,
            b"ge" => Self::Ge,
            b"gt" => Self::Gt,
            b"le" => Self::Le,
            b"lt" => Self::Lt,
            _ => return None,
        })
    }
}

/// Ranges of integers; the value matches when it is in any of them.
#[derive(Clone, Debug, Default)]
pub struct Ints {
    /// Single numbers.
    single: HashMap<i64, u32>,
    ranges: Vec<(i64, i64, u32)>,
}

impl Ints {
    /// Adds a number or a range (`1:5`, `:5`, `1:`).
    ///
    /// # Errors
    /// HAProxy's message.
    pub fn add(&mut self, op: Operator, text: &[u8], index: u32) -> Result<(), String> {
        let shown = String::from_utf8_lossy(text);
        let bad = || format!("'{shown}' is not a valid number range");
        let (low, high) = match shown.split_once(':') {
            None => {
                let n = number(&shown).ok_or_else(|| format!("'{shown}' is not a number"))?;
                (Some(n), Some(n))
            }
            Some((low, high)) => {
                let low = if low.is_empty() { None } else { Some(number(low).ok_or_else(bad)?) };
                let high = if high.is_empty() { None } else { Some(number(high).ok_or_else(bad)?) };
                if low.is_none() && high.is_none() {
                    return Err(bad());
                }
                (low, high)
            }
        };
        let (low, high) = (low.unwrap_or(i64::MIN), high.unwrap_or(i64::MAX));
        if low > high {
            return Err(bad());
        }
        let (low, high) = match op {
            Operator::Eq => (low, high),
            Operator::Ge => (low, i64::MAX),
            Operator::Gt => (high.saturating_add(1), i64::MAX),
            Operator::Le => (i64::MIN, high),
            Operator::Lt => (i64::MIN, low.saturating_sub(1)),
        };
        if low == high {
            self.single.entry(low).or_insert(index);
        } else {
            self.ranges.push((low, high, index));
        }
        Ok(())
    }

    /// The first pattern that this is in.
    #[inline]
    #[must_use]
    pub fn find(&self, n: i64) -> Option<u32> {
        let range = self.ranges.iter().find(|(low, high, _)| *low <= n && n <= *high).map(|r| r.2);
        let single = if self.single.is_empty() { None } else { self.single.get(&n).copied() };
        match (range, single) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
    /// Is this in any range?
    #[inline]
    #[must_use]
    pub fn contains(&self, n: i64) -> bool {
        self.find(n).is_some()
    }
}

fn number(text: &str) -> Option<i64> {
    crate::args::int(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_operators() {
        let mut i = Ints::default();
        i.add(Operator::Eq, b"3:5", 0).unwrap();
        i.add(Operator::Lt, b"0", 0).unwrap();
        i.add(Operator::Ge, b"100", 0).unwrap();
        let hits: Vec<i64> =
            [-1, 0, 2, 3, 5, 6, 99, 100, i64::MAX].into_iter().filter(|n| i.contains(*n)).collect();
        assert_eq!(hits, [-1, 3, 5, 100, i64::MAX]);
        assert_eq!(i.add(Operator::Eq, b"abc", 0).unwrap_err(), "'abc' is not a number");
        assert_eq!(i.add(Operator::Eq, b"3:1", 0).unwrap_err(), "'3:1' is not a valid number range");
        assert_eq!(i.add(Operator::Eq, b"ge:3", 0).unwrap_err(), "'ge:3' is not a valid number range");
    }
}
