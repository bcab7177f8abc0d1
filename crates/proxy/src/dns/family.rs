//! `dns-accept-family`: which families of addresses are asked for.

use portcullis_config::DnsFamilies;
use portcullis_transport::Millis;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// How long it is believed that there is a way to IPv6, or none.
const BELIEVED: u64 = 30_000;

/// The families, and what is known about IPv6 if the system decides.
#[derive(Debug, Default)]
pub struct Families {
    wanted: DnsFamilies,
    looked: AtomicU64,
    routed: AtomicBool,
}

impl Families {
    /// As the configuration says.
    #[must_use]
    pub fn new(wanted: DnsFamilies) -> Self {
        Self { wanted, ..Self::default() }
    }
    /// Are IPv4 and IPv6 addresses wanted?
    pub fn accepted(&self, now: Millis) -> (bool, bool) {
        match self.wanted {
            DnsFamilies::V4 => (true, false),
            DnsFamilies::V6 => (false, true),
            DnsFamilies::Both => (true, true),
            DnsFamilies::Auto => (true, self.is_routed(now)),
        }
    }

    fn is_routed(&self, now: Millis) -> bool {
        let looked = self.looked.load(Relaxed);
        if looked == 0 || now.0 >= looked + BELIEVED {
            self.routed.store(routed(), Relaxed);
            self.looked.store(now.0.max(1), Relaxed);
        }
        self.routed.load(Relaxed)
    }
}

/// Has the system a way to the IPv6 Internet? Nothing is sent: that a datagram socket can be connected there tells.
fn routed() -> bool {
    const SOMEWHERE: &str = "[2001:4860:4860::8888]:53";
    UdpSocket::bind("[::]:0").is_ok_and(|socket| socket.connect(SOMEWHERE).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_wanted() {
        let of = |wanted| Families::new(wanted).accepted(Millis(1));
        assert_eq!(of(DnsFamilies::V4), (true, false));
        assert_eq!(of(DnsFamilies::V6), (false, true));
        assert_eq!(of(DnsFamilies::Both), (true, true));
        assert!(of(DnsFamilies::Auto).0);
    }
}
