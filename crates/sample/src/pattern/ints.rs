//! Integer patterns: values, ranges and comparisons (manual section 7.1.2).

use std::borrow::Cow;
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

    /// A number behind this operator as the range that it means: `6:` for `gt 5`. Ranges stay as they are. In dotted numbers
    /// the last part is counted.
    #[must_use]
    pub fn plain(self, text: &[u8], dotted: bool) -> Cow<'_, [u8]> {
        let shown = String::from_utf8_lossy(text);
        let n = if dotted { part(&shown).map(i64::from) } else { number(&shown) };
        let Some(n) = n.filter(|_| self != Self::Eq) else { return Cow::Borrowed(text) };
        let show = |n: i64| if dotted { format!("{}.{}", n >> 16, n & 0xffff) } else { n.to_string() };
        let plain = match self {
            Self::Eq | Self::Ge => format!("{shown}:"),
            Self::Gt => format!("{}:", show(n.saturating_add(1))),
            Self::Le => format!(":{shown}"),
            Self::Lt => format!(":{}", show(n.saturating_sub(1))),
        };
        Cow::Owned(plain.into_bytes())
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
    /// Adds a number or a range (`1:5`, `:5`, `1:`, and `1-5`, `1-`).
    ///
    /// # Errors
    /// HAProxy's message.
    pub fn add(&mut self, text: &[u8], index: u32) -> Result<(), String> {
        let shown = String::from_utf8_lossy(text);
        let bad = || format!("'{shown}' is not a valid number range");
        let (low, high) = match split(&shown) {
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

/// A version or a range of them as the numbers that they are: `3.1` is 196609 (manual, `req.ssl_ver`).
///
/// # Errors
/// HAProxy's message.
pub fn dotted(text: &[u8]) -> Result<Vec<u8>, String> {
    let shown = String::from_utf8_lossy(text);
    let number = |t: &str| if t.is_empty() { Some(String::new()) } else { Some(part(t)?.to_string()) };
    let ends = split(&shown);
    let parts: Option<Vec<String>> = match ends {
        Some((low, high)) => [low, high].into_iter().map(number).collect(),
        None => Some(&*shown).into_iter().map(number).collect(),
    };
    let wrong = if ends.is_some() { "valid dotted number range" } else { "dotted number" };
    parts.map(|p| p.join(":").into_bytes()).ok_or_else(|| format!("'{shown}' is not a {wrong}"))
}

/// The two ends of a range, between which stands a colon or a dash. A dash in front is a sign.
fn split(text: &str) -> Option<(&str, &str)> {
    let at = text.char_indices().find(|(i, c)| *c == ':' || *c == '-' && *i > 0)?.0;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// A dotted number.
fn part(text: &str) -> Option<u32> {
    let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
    let number = |t: &str| t.parse::<u16>().ok();
    Some(u32::from(number(major)?) << 16 | u32::from(number(minor)?))
}

/// Digits with or without a minus; what does not fit is none.
fn number(text: &str) -> Option<i64> {
    text.parse().ok().filter(|_| !text.starts_with('+'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_operators() {
        let mut i = Ints::default();
        i.add(b"3:5", 0).unwrap();
        i.add(&Operator::Lt.plain(b"0", false), 0).unwrap();
        i.add(&Operator::Ge.plain(b"100", false), 0).unwrap();
        let hits: Vec<i64> =
            [-1, 0, 2, 3, 5, 6, 99, 100, i64::MAX].into_iter().filter(|n| i.contains(*n)).collect();
        assert_eq!(hits, [-1, 3, 5, 100, i64::MAX]);
        for (text, inside) in [("21-23", 22), ("40-", 44), ("-9--7", -8), ("-20:-18", -19)] {
            let mut i = Ints::default();
            i.add(text.as_bytes(), 0).unwrap();
            assert!(i.contains(inside) && !i.contains(30) && !i.contains(-30), "{text}");
        }
        assert_eq!(i.add(b"3-1", 0).unwrap_err(), "'3-1' is not a valid number range");
        assert_eq!(i.add(b"1-3:5", 0).unwrap_err(), "'1-3:5' is not a valid number range");
        assert_eq!(i.add(b"abc", 0).unwrap_err(), "'abc' is not a number");
        for wrong in ["+1", "1:+3", "9223372036854775808", "1:99999999999999999999"] {
            assert!(i.add(wrong.as_bytes(), 0).is_err(), "{wrong}");
        }
        i.add(b"9223372036854775807", 0).unwrap();
        assert_eq!(i.add(b"3:1", 0).unwrap_err(), "'3:1' is not a valid number range");
        assert_eq!(i.add(b"ge:3", 0).unwrap_err(), "'ge:3' is not a valid number range");
    }

    #[test]
    fn operators_make_ranges_of_numbers() {
        let plain = |op: Operator, text: &str, dotted| {
            String::from_utf8(op.plain(text.as_bytes(), dotted).into_owned()).unwrap()
        };
        assert_eq!(plain(Operator::Gt, "5", false), "6:");
        assert_eq!(plain(Operator::Ge, "5", false), "5:");
        assert_eq!(plain(Operator::Lt, "5", false), ":4");
        assert_eq!(plain(Operator::Le, "5", false), ":5");
        assert_eq!(plain(Operator::Gt, "5:7", false), "5:7");
        assert_eq!(plain(Operator::Gt, "x", false), "x");
        assert_eq!(plain(Operator::Gt, "3.1", true), "3.2:");
        assert_eq!(plain(Operator::Lt, "3.1", true), ":3.0");
        assert_eq!(dotted(b"3.1:3.3"), Ok(b"196609:196611".to_vec()));
        assert_eq!(dotted(b"3.1-3.3"), dotted(b"3.1:3.3"));
        assert_eq!(dotted(b"3-"), Ok(b"196608:".to_vec()));
        assert_eq!(dotted(b"eq"), Err("'eq' is not a dotted number".into()));
    }
}
