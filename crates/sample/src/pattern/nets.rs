//! Sets of IPv4 and IPv6 networks (manual section 7.1.6): merged ranges, found by binary search.

use crate::value::embedded_v4;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};

/// Disjoint ranges in ascending order.
#[derive(Clone, Debug)]
struct Ranges<T>(Vec<(T, T)>);

impl<T> Default for Ranges<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Copy + Ord> Ranges<T> {
    #[inline]
    fn has(&self, x: T) -> bool {
        let i = self.0.partition_point(|(first, _)| *first <= x);
        i > 0 && self.0.get(i - 1).is_some_and(|(_, last)| x <= *last)
    }
    /// Networks nest or are disjoint, so a range is inside another or swallows some.
    fn add(&mut self, first: T, last: T) {
        let i = self.0.partition_point(|(f, _)| *f < first);
        if i > 0 && self.0.get(i - 1).is_some_and(|(_, l)| *l >= last) {
            return;
        }
        let swallowed = self.0.get(i..).map_or(0, |rest| rest.iter().take_while(|(_, l)| *l <= last).count());
        if self.0.get(i).is_some_and(|(f, l)| *f == first && *l >= last) {
            return;
        }
        self.0.splice(i..i + swallowed, [(first, last)]);
    }
}

/// A set of networks.
#[derive(Clone, Debug, Default)]
pub struct Nets {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
    /// IPv4 patterns whose mask is not a prefix.
    odd: Vec<(u32, u32)>,
}

impl Nets {
    /// Adds an address or network; with `resolve`, a host name's first IPv4 address. False: it is none.
    pub fn add(&mut self, text: &[u8], resolve: bool) -> bool {
        let text = String::from_utf8_lossy(text);
        let (address, mask) = match text.split_once('/') {
            Some((a, m)) => (a, Some(m)),
            None => (&*text, None),
        };
        if let Ok(a) = address.parse::<Ipv6Addr>() {
            let bits = match mask.map(str::parse::<u32>) {
                None => 128,
                Some(Ok(bits @ 0..=128)) => bits,
                Some(_) => return false,
            };
            self.add_v6(a, bits);
            return true;
        }
        let mask = match mask {
            None => Ipv4Addr::BROADCAST,
            Some(m) => match crate::args::mask4(m) {
                Some(m) => m,
                None => return false,
            },
        };
        match short_v4(address).or_else(|| if resolve { lookup(address) } else { None }) {
            Some(a) => self.add_v4(a, mask),
            None => return false,
        }
        true
    }

    fn add_v4(&mut self, a: Ipv4Addr, mask: Ipv4Addr) {
        let (a, mask) = (u32::from(a), u32::from(mask));
        if mask.leading_ones() + mask.trailing_zeros() >= 32 {
            self.v4.add(a & mask, a | !mask);
        } else {
            self.odd.push((a & mask, mask));
        }
    }

    fn add_v6(&mut self, a: Ipv6Addr, bits: u32) {
        let (a, mask) = (u128::from(a), u128::MAX.checked_shl(128 - bits).unwrap_or(0));
        self.v6.add(a & mask, a | !mask);
    }

    fn v4(&self, a: u32) -> bool {
        self.v4.has(a) || self.odd.iter().any(|(net, mask)| a & mask == *net)
    }

    /// Is this IPv4 address in it? IPv6 patterns see it as `::ffff:a.b.c.d`.
    #[inline]
    #[must_use]
    pub fn has_v4(&self, a: Ipv4Addr) -> bool {
        self.v4(a.into()) || (!self.v6.0.is_empty() && self.v6.has(a.to_ipv6_mapped().into()))
    }
    /// Is this IPv6 address in it? IPv4 patterns see the address embedded in it.
    #[inline]
    #[must_use]
    pub fn has_v6(&self, a: Ipv6Addr) -> bool {
        self.v6.has(a.into()) || embedded_v4(a).is_some_and(|a| self.v4(a.into()))
    }
}

/// Dotted notation with zero octets left out before the last: `10.12` is 10.0.0.12.
fn short_v4(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<&str> = text.split('.').collect();
    let (last, first) = parts.split_last()?;
    if parts.len() > 4 || parts.iter().any(|p| p.is_empty() || !p.bytes().all(|b| b.is_ascii_digit())) {
        return None;
    }
    let mut octets = [0u8; 4];
    for (o, p) in octets.iter_mut().zip(first) {
        *o = p.parse().ok()?;
    }
    octets[3] = last.parse().ok()?;
    Some(octets.into())
}

fn lookup(name: &str) -> Option<Ipv4Addr> {
    if name.is_empty() {
        return None;
    }
    (name, 0u16).to_socket_addrs().ok()?.find_map(|a| match a.ip() {
        IpAddr::V4(a) => Some(a),
        IpAddr::V6(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_and_embedding() {
        let mut n = Nets::default();
        for t in ["10.0.0.0/8", "10.1.0.0/16", "192.168.1", "127.1/8", "1.0.1.0/255.0.255.0", "2001:db8::/32"]
        {
            assert!(n.add(t.as_bytes(), false), "{t}");
        }
        for (yes, a) in [
            (true, "10.9.9.9"),
            (true, "192.168.0.1"),
            (false, "192.168.1.1"),
            (true, "127.255.0.1"),
            (true, "1.77.1.5"),
            (false, "1.77.2.5"),
            (true, "2001:db8::1"),
            (true, "::ffff:10.1.2.3"),
            (true, "2002:0a01:0203::"),
            (false, "2003::1"),
        ] {
            let got = match a.parse::<IpAddr>().unwrap() {
                IpAddr::V4(a) => n.has_v4(a),
                IpAddr::V6(a) => n.has_v6(a),
            };
            assert_eq!(got, yes, "{a}");
        }
        let mut six = Nets::default();
        assert!(six.add(b"::ffff:0:0/96", false));
        assert!(six.has_v4([8, 8, 8, 8].into()));
        for bad in ["300.1.1.1", "1.2.3.4/33", "::1/129", "1.2.3.4.5", "", "x"] {
            assert!(!six.add(bad.as_bytes(), false), "{bad}");
        }
    }

    #[test]
    fn ranges_merge_whatever_the_order() {
        let mut r = Ranges::default();
        for (a, b) in [(8u32, 15), (0, 3), (8, 11), (0, 31), (64, 64), (0, 31)] {
            r.add(a, b);
        }
        assert_eq!(r.0, [(0, 31), (64, 64)]);
    }
}
