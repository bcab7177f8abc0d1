//! What is known of a stream that belongs to a trace of OpenTelemetry: its numbers, and the attempts at servers.

use portcullis_wire::trace_context::{Context, SpanId};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Most attempts at servers that are told one by one.
const MOST_ATTEMPTS: usize = 16;

/// A stream's part in a trace.
#[derive(Clone, Debug)]
pub struct Trace {
    /// What its spans are called.
    pub name: &'static str,
    /// Its trace, and its own span.
    pub context: Context,
    /// The span of who has sent the request.
    pub parent: Option<SpanId>,
    /// `tracestate` as it came with the request.
    pub state: Option<Box<[u8]>>,
    /// Attributes of the request as it came, ready to be sent.
    pub request: Vec<u8>,
    /// The attempts at servers, the last one last. There are none if the trace is not sampled.
    pub attempts: Vec<Attempt>,
    /// How many there were.
    pub attempted: u32,
    /// When it began, since the epoch.
    began: Duration,
    clock: (Duration, Instant),
}

/// An attempt at a server.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Its span.
    pub id: SpanId,
    /// How many there were before.
    pub number: u32,
    /// The server.
    pub server: Box<str>,
    /// Its address.
    pub address: Option<SocketAddr>,
    /// When it began, nanoseconds since the epoch.
    pub began: u64,
    /// When there was a connection.
    pub connected: Option<u64>,
    /// That one had been there before.
    pub reused: bool,
    /// When the response's head was there.
    pub answered: Option<u64>,
    /// The response's status.
    pub status: Option<u16>,
    /// What came in between, where it was not the last one: when, and why.
    pub failed: Option<(u64, &'static str)>,
}

impl Trace {
    /// A stream's part. `wall` is the time since the epoch, `before` how long ago it began.
    #[must_use]
    pub fn new(
        name: &'static str,
        context: Context,
        parent: Option<SpanId>,
        wall: Duration,
        before: Duration,
    ) -> Self {
        Self {
            name,
            context,
            parent,
            state: None,
            request: Vec::new(),
            attempts: Vec::new(),
            attempted: 0,
            began: wall.saturating_sub(before),
            clock: (wall, Instant::now()),
        }
    }
    /// When it began, in nanoseconds since the epoch.
    #[must_use]
    pub fn began(&self) -> u64 {
        nanos(self.began)
    }
    /// Now, on the same clock, which does not jump.
    #[must_use]
    pub fn now(&self) -> u64 {
        nanos(self.clock.0 + self.clock.1.elapsed())
    }
    /// An attempt at a server begins; `id` makes the number of its span.
    pub fn attempt(&mut self, server: &str, address: Option<SocketAddr>, id: impl FnOnce() -> SpanId) {
        let number = self.attempted;
        self.attempted += 1;
        if !self.context.sampled {
            return;
        }
        if self.attempts.len() == MOST_ATTEMPTS {
            // the last one is of most interest
            self.attempts.pop();
        }
        self.attempts.push(Attempt {
            id: id(),
            number,
            server: server.into(),
            address,
            began: self.now(),
            connected: None,
            reused: false,
            answered: None,
            status: None,
            failed: None,
        });
    }
    /// There is a connection.
    pub fn connected(&mut self, reused: bool) {
        let now = self.now();
        if let Some(last) = self.attempts.last_mut() {
            (last.connected, last.reused) = (Some(now), reused);
        }
    }
    /// The response's head is there.
    pub fn answered(&mut self, status: u16) {
        let now = self.now();
        if let Some(last) = self.attempts.last_mut() {
            (last.answered, last.status) = (Some(now), Some(status));
        }
    }
    /// The attempt has failed; there may be another one.
    pub fn failed(&mut self, why: &'static str) {
        let now = self.now();
        if let Some(last) = self.attempts.last_mut().filter(|a| a.failed.is_none()) {
            last.failed = Some((now, why));
        }
    }
    /// What the server is told: its parent is the attempt, where that is recorded.
    #[must_use]
    pub fn onwards(&self) -> Context {
        let span = self.attempts.last().map_or(self.context.span, |a| a.id);
        Context { span, ..self.context }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(sampled: bool) -> Trace {
        let context = Context { trace: [1; 16], span: [2; 8], sampled };
        Trace::new("GET", context, None, Duration::from_secs(6), Duration::from_secs(1))
    }

    #[test]
    fn attempts_that_are_recorded() {
        let mut t = trace(true);
        assert_eq!(t.onwards(), t.context);
        t.attempt("a", None, || [3; 8]);
        t.failed("connect_failed");
        t.failed("another reason");
        t.attempt("b", None, || [4; 8]);
        t.connected(true);
        t.answered(200);
        assert_eq!(t.onwards(), Context { span: [4; 8], ..t.context });
        let [a, b] = &t.attempts[..] else { panic!("{t:?}") };
        assert_eq!((a.number, a.failed.unwrap().1, a.connected), (0, "connect_failed", None));
        assert_eq!((b.number, b.status, b.reused), (1, Some(200), true));
        assert!(t.began() == 5_000_000_000 && a.began >= t.began() && b.began >= a.failed.unwrap().0);
    }

    #[test]
    fn attempts_are_bounded_and_the_last_one_is_there() {
        let mut t = trace(true);
        for _ in 0..100 {
            t.attempt("a", None, || [3; 8]);
        }
        assert_eq!((t.attempts.len(), t.attempted), (MOST_ATTEMPTS, 100));
        assert_eq!(t.attempts.last().unwrap().number, 99);
    }

    /// No numbers are made for what nobody records.
    #[test]
    fn not_sampled() {
        let mut t = trace(false);
        t.attempt("a", None, || panic!());
        t.connected(false);
        assert!(t.attempts.is_empty() && t.onwards() == t.context);
    }
}
