//! Sets of IPv4 and IPv6 networks (manual section 7.1.6): the longest prefix wins.

use super::prefixes::Prefixes;
use crate::value::embedded_v4;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};

/// A set of networks.
#[derive(Clone, Debug, Default)]
pub struct Nets {
    v4: Prefixes<u32>,
    v6: Prefixes<u128>,
    /// IPv4 patterns whose mask is not a prefix.
    odd: Vec<(u32, u32, u32)>,
}

impl Nets {
    /// Adds an address or network; with `resolve`, IPv4 may be shortened, or be a host name whose first address counts.
    /// False: it is none.
    pub fn add(&mut self, text: &[u8], resolve: bool, index: u32) -> bool {
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
            self.add_v6(a, bits, index);
            return true;
        }
        let mask = match mask {
            None => Ipv4Addr::BROADCAST,
            Some(m) => match crate::args::mask4(m) {
                Some(m) => m,
                None => return false,
            },
        };
        let plain = address.parse().ok();
        let found =
            plain.or_else(|| if resolve { short_v4(address).or_else(|| lookup(address)) } else { None });
        if let Some(a) = found {
            self.add_v4(a, mask, index);
        }
        found.is_some()
    }

    fn add_v4(&mut self, a: Ipv4Addr, mask: Ipv4Addr, index: u32) {
        let (a, mask) = (u32::from(a), u32::from(mask));
        if mask.leading_ones() + mask.trailing_zeros() >= 32 {
            self.v4.add(a, mask.leading_ones() as u8, index);
        } else {
            self.odd.push((a & mask, mask, index));
        }
    }

    fn add_v6(&mut self, a: Ipv6Addr, bits: u32, index: u32) {
        self.v6.add(a.into(), bits as u8, index);
    }

    fn v4(&self, a: u32) -> Option<u32> {
        let odd = || self.odd.iter().find(|(net, mask, _)| a & mask == *net).map(|o| o.2);
        self.v4.find(a).or_else(odd)
    }

    /// Each network.
    pub(super) fn each(&self, f: &mut dyn FnMut(super::index::Pattern<'_>)) {
        use super::index::Pattern::{V4, V6};
        self.v4.each().for_each(|(net, mask)| f(V4(net, mask)));
        self.odd.iter().for_each(|(net, mask, _)| f(V4(*net, *mask)));
        self.v6.each().for_each(|(net, mask)| f(V6(net, mask)));
    }

    /// Makes the structures that many networks need.
    pub fn seal(&mut self) {
        self.v4.seal();
        self.v6.seal();
    }
    /// Many were added since.
    #[must_use]
    pub fn loose(&self) -> bool {
        self.v4.loose() || self.v6.loose()
    }

    /// Is this IPv4 address in one of them? As [`Nets::find_v4`], with less to look at.
    #[inline]
    #[must_use]
    pub fn has_v4(&self, a: Ipv4Addr) -> bool {
        let n = u32::from(a);
        self.v4.has(n)
            || self.odd.iter().any(|(net, mask, _)| n & mask == *net)
            || self.v6.has(a.to_ipv6_mapped().into())
    }
    /// The pattern that this IPv4 address is in. IPv6 patterns see it as `::ffff:a.b.c.d`.
    #[inline]
    #[must_use]
    pub fn find_v4(&self, a: Ipv4Addr) -> Option<u32> {
        self.v4(a.into()).or_else(|| self.v6.find(a.to_ipv6_mapped().into()))
    }
    /// The pattern that this IPv6 address is in. IPv4 patterns see the address embedded in it.
    #[inline]
    #[must_use]
    pub fn find_v6(&self, a: Ipv6Addr) -> Option<u32> {
        self.v6.find(a.into()).or_else(|| self.v4(embedded_v4(a)?.into()))
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
    // the last label of a name is no number
    if name
        .rsplit('.')
        .next()
        .is_none_or(|label| label.is_empty() || label.starts_with(|c: char| c.is_ascii_digit()))
    {
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
            assert!(n.add(t.as_bytes(), true, 0), "{t}");
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
                IpAddr::V4(a) => n.find_v4(a).is_some(),
                IpAddr::V6(a) => n.find_v6(a).is_some(),
            };
            assert_eq!(got, yes, "{a}");
            if let Ok(IpAddr::V4(a)) = a.parse() {
                assert_eq!(n.has_v4(a), yes, "{a}");
            }
        }
        let mut six = Nets::default();
        assert!(six.add(b"::ffff:0:0/96", false, 0));
        assert!(six.find_v4([8, 8, 8, 8].into()).is_some());
        for bad in
            ["300.1.1.1", "1.2.3.4/33", "::1/129", "1.2.3.4.5", "", "x", "127.1", "10", "127.0.0.01", "127/8"]
        {
            assert!(!six.add(bad.as_bytes(), false, 0), "{bad}");
        }
        assert!(!six.add(b"0x7f000001", true, 0) && !six.add(b"1.2.3.4.5", true, 0));
    }

    #[test]
    fn the_longest_prefix_wins() {
        let mut n = Nets::default();
        for (i, t) in ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "0.0.0.0/0"].into_iter().enumerate() {
            assert!(n.add(t.as_bytes(), false, i as u32));
        }
        let find = |a: [u8; 4]| n.find_v4(a.into());
        assert_eq!(
            [find([10, 1, 2, 3]), find([10, 1, 9, 9]), find([10, 9, 9, 9]), find([9, 9, 9, 9])],
            [Some(2), Some(1), Some(0), Some(3)]
        );
    }
}
