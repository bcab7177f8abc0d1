//! TLS connections of the process, clients' and servers' together: how many there are and may be (`maxsslconn`), how fast
//! clients' come (`maxsslrate`), and how many of them needed a new key.

use crate::counter::Sharded;
use crate::gauge::Gauge;
use crate::rate::{Rate, Window};
use crate::stats::{ProcessCounters, RateMax};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// What is counted and limited of TLS.
#[derive(Debug, Default)]
pub struct Endpoints {
    /// Those that exist (`CurrSslConns`); its limit is `maxsslconn`.
    pub conns: Arc<Gauge>,
    /// `maxsslrate` a second; 0: none.
    pub max_rate: AtomicU32,
    /// `MaxSslRate`
    pub rate_max: RateMax,
    /// `SslFrontendMaxKeyRate`
    pub front_keys_max: RateMax,
    /// `SslBackendMaxKeyRate`
    pub back_keys_max: RateMax,
}

/// One of the rates of [`ProcessCounters`].
pub type Which = fn(&ProcessCounters) -> &Rate;

impl Endpoints {
    /// With `maxsslconn` and `maxsslrate` (0: none).
    #[must_use]
    pub fn new(max_conns: u32, max_rate: u32) -> Self {
        Self { conns: Arc::new(Gauge::new(max_conns)), max_rate: AtomicU32::new(max_rate), ..Self::default() }
    }
}

impl Endpoints {
    /// `clear counters`
    pub fn clear_highest(&self, counters: &Sharded<ProcessCounters>, now: u64) {
        let all: [(&RateMax, Which); 3] = [
            (&self.rate_max, |c| &c.tls_rate),
            (&self.front_keys_max, |c| &c.front_keys),
            (&self.back_keys_max, |c| &c.back_keys),
        ];
        all.into_iter().for_each(|(max, of)| max.clear(window(counters, of, now)));
    }
}

/// Counts an event of the process in one rate, and in the highest that there was.
pub fn hit(counters: &Sharded<ProcessCounters>, worker: usize, of: Which, max: &RateMax, now: u64) {
    max.hit(of(counters.of(worker)), || counters.iter().map(of), now);
}

/// One rate over all workers.
pub fn window(counters: &Sharded<ProcessCounters>, of: Which, now: u64) -> Window {
    counters.iter().map(|c| of(c).window(now)).sum()
}
