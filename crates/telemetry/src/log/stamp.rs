//! Times in headers, made once a second.

use portcullis_sys::localtime::{LocalTime, local_time};
use std::time::Duration;

pub(super) const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The current second in the two forms that headers need.
#[derive(Debug, Default)]
pub(super) struct Stamp {
    second: Option<u64>,
    /// `Nov 23 08:28:21`
    pub(super) bsd: Vec<u8>,
    /// `2026-11-23T08:28:21.`
    iso: Vec<u8>,
    /// `+01:00`
    zone: Vec<u8>,
}

impl Stamp {
    /// Moves to this moment (since the epoch).
    #[inline]
    pub(super) fn at(&mut self, wall: Duration) {
        if self.second != Some(wall.as_secs()) {
            self.second = Some(wall.as_secs());
            self.write(local_time(i64::try_from(wall.as_secs()).unwrap_or(0)));
        }
    }

    #[cold]
    fn write(&mut self, t: LocalTime) {
        let month = MONTHS.get(usize::from(t.month) - 1).unwrap_or(&"Jan");
        self.bsd = format!("{month} {:2} {:02}:{:02}:{:02}", t.day, t.hour, t.minute, t.second).into_bytes();
        self.iso = format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.",
            t.year, t.month, t.day, t.hour, t.minute, t.second
        )
        .into_bytes();
        let minutes = t.offset.abs() / 60;
        let sign = if t.offset < 0 { '-' } else { '+' };
        self.zone = format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60).into_bytes();
    }

    /// The year in four digits.
    pub(super) fn year(&self) -> &str {
        self.iso.get(..4).and_then(|y| std::str::from_utf8(y).ok()).unwrap_or_default()
    }

    /// Appends the moment with microseconds and zone: `2026-11-23T08:28:21.189907+00:00`.
    pub(super) fn push_iso(&self, wall: Duration, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.iso);
        let mut micros = wall.subsec_micros();
        let mut digits = [b'0'; 6];
        for d in digits.iter_mut().rev() {
            *d = b'0' + (micros % 10) as u8;
            micros /= 10;
        }
        to.extend_from_slice(&digits);
        to.extend_from_slice(&self.zone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let mut s = Stamp::default();
        s.write(LocalTime { year: 2026, month: 11, day: 3, hour: 8, minute: 28, second: 1, offset: -19800 });
        assert_eq!(s.bsd, b"Nov  3 08:28:01");
        let mut out = Vec::new();
        s.push_iso(Duration::new(5, 42_999), &mut out);
        assert_eq!(out, b"2026-11-03T08:28:01.000042-05:30");
    }
}
