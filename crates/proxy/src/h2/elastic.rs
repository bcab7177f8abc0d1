//! `tune.streams-elasticity`: how many streams a client's connection is offered, so that all connections together stay near a share
//! of `maxconn`. Each has one; what is beyond that is dealt out: much while few have come, little when most of it is gone.

use crate::process::Process;
use portcullis_wire::h2::Config;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Streams beyond the first of each connection that connections were offered.
#[derive(Debug, Default)]
pub struct Offered(AtomicU64);

/// What a connection has of them, until it ends.
#[derive(Debug)]
pub struct Share {
    of: Arc<Process>,
    extra: u32,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.offered.0.fetch_sub(self.extra.into(), Relaxed);
    }
}

/// The share of a connection that begins, which is offered no more than that; `percent` 0: all that is set.
pub fn share(process: &Arc<Process>, percent: u32, config: &mut Config) -> Option<Share> {
    if percent == 0 {
        return None;
    }
    let most = config.offered.unwrap_or(config.streams);
    let conns = &process.counts.conns;
    // this connection is one of those that there are
    let coming = u64::from(conns.limit()).saturating_sub(conns.get().saturating_sub(1).into());
    let all = u64::from(conns.limit()) * u64::from(percent - 100) / 100;
    let offered = &process.offered.0;
    let mut extra = 0;
    let _ = offered.fetch_update(Relaxed, Relaxed, |taken| {
        extra = dealt(most.saturating_sub(1), all, all.saturating_sub(taken), coming);
        Some(taken + u64::from(extra))
    });
    config.offered = Some(extra + 1).filter(|n| *n < config.streams);
    Some(Share { of: process.clone(), extra })
}

/// Of `most`, the part that is left of all; but no less than what each of those that may still come could have.
fn dealt(most: u32, all: u64, left: u64, coming: u64) -> u32 {
    if all == 0 {
        return 0;
    }
    let eased = u64::from(most) * left / all;
    let even = left.div_ceil(coming.max(1));
    u32::try_from(eased.max(even)).unwrap_or(most).min(most)
}

#[cfg(test)]
mod tests {
    use super::dealt;

    /// What so many connections are offered, one after the other.
    fn offers(maxconn: u64, percent: u64, most: u32, conns: u64) -> Vec<u32> {
        let all = maxconn * (percent - 100) / 100;
        let mut taken = 0;
        let one = |n| {
            let extra = dealt(most - 1, all, all.saturating_sub(taken), maxconn - n);
            taken += u64::from(extra);
            extra + 1
        };
        (0..conns).map(one).collect()
    }

    /// As HAProxy 3.5 announces them.
    #[test]
    fn shares() {
        assert_eq!(offers(10, 100, 100, 3), [1, 1, 1]);
        assert_eq!(offers(10, 200, 100, 3), [100, 1, 1]);
        assert_eq!(offers(10, 20_000, 100, 10), [100; 10]);
        assert_eq!(offers(100, 200, 100, 4), [100, 2, 1, 1]);
        assert_eq!(offers(1000, 200, 100, 8), [100, 90, 81, 73, 66, 59, 54, 48]);
        let twenty = offers(20, 400, 5, 20);
        assert_eq!((twenty[0], &twenty[1..19], twenty[19]), (5, &[4; 18][..], 3));
        let forty = offers(40, 400, 8, 40);
        assert_eq!(forty[..19], [8, 7, 7, 6, 6, 6, 6, 5, 5, 5, 5, 4, 4, 4, 4, 4, 4, 4, 3]);
        assert_eq!(forty.iter().sum::<u32>(), 160);
    }
}
