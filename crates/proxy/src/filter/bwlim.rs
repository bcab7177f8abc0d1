//! `filter bwlim-in`, `filter bwlim-out`: limits how fast a stream's bytes go on (manual section 9.7).

use super::{At, Filter, Order, Pass};
use portcullis_sample::Direction;
use portcullis_transport::Millis;
use std::sync::Arc;

/// A limit as declared; off until a rule turns it on.
#[derive(Debug)]
pub struct Spec {
    /// Its name for rules.
    pub name: String,
    /// What it limits.
    pub direction: Direction,
    /// `default-limit`: bytes a period.
    pub limit: u64,
    /// `default-period` in milliseconds.
    pub period: u64,
    /// `min-size`: fewer bytes than this go on at the end only.
    pub least: u64,
}

/// A limit of one stream.
pub struct Limiter {
    spec: Arc<Spec>,
    on: Option<Window>,
}

impl Limiter {
    /// Off.
    #[must_use]
    pub fn new(spec: Arc<Spec>) -> Self {
        Self { spec, on: None }
    }
}

impl Filter for Limiter {
    fn payload(&mut self, at: &At, bytes: &[u8]) -> Pass {
        match &mut self.on {
            Some(window) if at.direction == self.spec.direction => {
                window.pass(bytes.len() as u64, self.spec.least, at.now)
            }
            _ => Pass::Bytes(bytes.len()),
        }
    }

    fn order(&mut self, order: &Order<'_>) {
        if !Arc::ptr_eq(order.limit, &self.spec) {
            return;
        }
        // what went on already counts
        let went = self.on.take();
        self.on = Some(Window {
            limit: order.bytes.max(1),
            period: order.period.max(1),
            ..went.unwrap_or_default()
        });
    }
}

/// Bytes over a sliding period: what the last whole period counted fades while the next one runs.
#[derive(Debug, Default)]
struct Window {
    limit: u64,
    period: u64,
    began: Option<u64>,
    current: u64,
    previous: u64,
}

impl Window {
    /// Of `len` bytes that are here.
    fn pass(&mut self, len: u64, least: u64, now: Millis) -> Pass {
        let age = self.turn(now.0);
        let faded = self.previous * (self.period - age) / self.period;
        let room = self.limit.saturating_sub(self.current + faded);
        // pieces that are worth a wakeup
        let piece = least.max(self.limit / 8).clamp(1, self.limit).min(len);
        if room >= piece {
            let n = room.min(len);
            self.current += n;
            return Pass::Bytes(usize::try_from(n).unwrap_or(usize::MAX));
        }
        let wait = if self.current + piece > self.limit || self.previous == 0 {
            self.period - age
        } else {
            let missing = piece - room;
            (missing * self.period).div_ceil(self.previous).clamp(1, self.period - age)
        };
        Pass::Wait(Millis(now.0 + wait))
    }

    /// Goes on to the period that runs, and says how long it has run.
    fn turn(&mut self, now: u64) -> u64 {
        let began = *self.began.get_or_insert(now);
        let age = now.saturating_sub(began);
        if age >= self.period {
            self.previous = if age < 2 * self.period { self.current } else { 0 };
            self.current = 0;
            self.began = Some(now - age % self.period);
        }
        age % self.period
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When the last of `len` bytes goes on, and how often something goes on.
    fn takes(window: &mut Window, mut len: u64, least: u64) -> (u64, u32) {
        let (mut now, mut times) = (1000, 0);
        while len > 0 {
            match window.pass(len, least, Millis(now)) {
                Pass::Bytes(n) => (len, times) = (len - n as u64, times + 1),
                Pass::Wait(at) => {
                    assert!(at.0 > now);
                    now = at.0;
                }
                Pass::End => unreachable!(),
            }
        }
        (now - 1000, times)
    }

    #[test]
    fn one_period_is_free_then_it_is_the_rate() {
        let window = || Window { limit: 20480, period: 1000, ..Window::default() };
        assert_eq!(takes(&mut window(), 20480, 0), (0, 1));
        // as measured with 3.5: 50000 bytes in 2.44 s
        let (time, times) = takes(&mut window(), 50000, 0);
        assert!((2430..2550).contains(&time), "{time}");
        assert!((8..24).contains(&times), "{times}");
        let (time, times) = takes(&mut window(), 50000, 10240);
        // "some pauses may be experienced" (manual)
        assert!((2430..4000).contains(&time), "{time}");
        assert!(times <= 5, "{times}");
    }

    #[test]
    fn small_limits_and_large_pieces_go_on() {
        let window = || Window { limit: 3, period: 100, ..Window::default() };
        let (time, _) = takes(&mut window(), 30, 0);
        assert!((850..1200).contains(&time), "{time}");
        let (time, times) = takes(&mut window(), 30, 1000);
        assert!(time <= 2000 && times == 10, "{time} {times}");
    }
}
