//! Who gets which address of a name (manual sections 5.2 `resolve-opts`, `resolve-net`, `resolve-prefer` and 5.3), and how
//! an address is told.

use crate::server::{ServerState, Spot, SpotPort, Whereabouts};
use portcullis_config::ResolveOptions;
use std::net::IpAddr;

/// A server that wants one of a name's addresses.
#[derive(Clone, Copy, Debug)]
pub struct Wants<'a> {
    /// Its backend: servers of one do not share an address unless they may.
    pub group: usize,
    /// The address that it has.
    pub has: Option<IpAddr>,
    /// What it prefers.
    pub options: &'a ResolveOptions,
}

/// Deals out a name's addresses. Who has one of them keeps it; the others get one that nobody of their backend has, if
/// there is one, or share one if they may.
#[must_use]
pub fn deal(servers: &[Wants<'_>], addresses: &[IpAddr]) -> Vec<Option<IpAddr>> {
    let mut dealt: Vec<Option<IpAddr>> = vec![None; servers.len()];
    let taken = |dealt: &[Option<IpAddr>], group: usize, ip: IpAddr| {
        servers.iter().zip(dealt).any(|(s, d)| s.group == group && *d == Some(ip))
    };
    for (at, s) in servers.iter().enumerate() {
        let kept = s.has.filter(|ip| addresses.contains(ip));
        let free = |ip: &IpAddr| s.options.allow_dup || !taken(&dealt, s.group, *ip);
        let kept = kept.filter(free);
        if let Some(slot) = dealt.get_mut(at) {
            *slot = kept;
        }
    }
    for (at, s) in servers.iter().enumerate() {
        if dealt.get(at).is_some_and(Option::is_some) {
            continue;
        }
        let candidates = addresses.iter().map(|ip| (taken(&dealt, s.group, *ip), *ip));
        let chosen = candidates
            .filter(|(shared, _)| s.options.allow_dup || !shared)
            .min_by_key(|(shared, ip)| (*shared, rank(s.options, *ip)));
        if let Some(slot) = dealt.get_mut(at) {
            *slot = chosen.map(|(_, ip)| ip);
        }
    }
    dealt
}

/// How little a server wants this address: networks, the first before the second, count more than the family.
#[must_use]
pub fn rank(options: &ResolveOptions, ip: IpAddr) -> u8 {
    let near = options.nets.iter().position(|net| within(ip, *net)).unwrap_or(options.nets.len());
    near as u8 * 2 + u8::from(ip.is_ipv4() != options.prefer_v4)
}

fn within(ip: IpAddr, (net, bits): (IpAddr, u8)) -> bool {
    let shift = |all: u32| all.saturating_sub(bits.into());
    match (ip, net) {
        (IpAddr::V4(ip), IpAddr::V4(net)) => {
            let differing = u32::from(ip) ^ u32::from(net);
            bits == 0 || differing >> shift(32) == 0
        }
        (IpAddr::V6(ip), IpAddr::V6(net)) => {
            let differing = u128::from(ip) ^ u128::from(net);
            bits == 0 || differing >> shift(128) == 0
        }
        _ => false,
    }
}

/// The weight of a server whose SRV record says this: 1 to 65535 become 1 to 256.
#[must_use]
pub fn weight(of_record: u16) -> u32 {
    u32::from(of_record).div_ceil(256)
}

/// Where a server is, as it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    ip: Option<IpAddr>,
    port: SpotPort,
}

impl Told {
    /// Where it is now; `port` is what its line says.
    #[must_use]
    pub fn now(server: &ServerState, port: SpotPort) -> Self {
        match server.whereabouts() {
            Whereabouts::At(spot) => Self::spot(spot, port),
            _ => Self { ip: server.place().map(|a| a.ip()), port },
        }
    }
    /// Where it will be.
    #[must_use]
    pub fn spot(spot: Spot, port: SpotPort) -> Self {
        Self { ip: Some(spot.ip), port: if spot.port == SpotPort::Configured { port } else { spot.port } }
    }
    /// `IP changed from '1.2.3.4' to '1.2.3.5', port changed from '80' to '+5' by 'r/d1'`; none: nothing has changed.
    #[must_use]
    pub fn change(&self, to: &Self, by: &str) -> Option<String> {
        let mut said = Vec::new();
        let ip = |ip: Option<IpAddr>| ip.map_or_else(|| "(none)".to_owned(), |ip| ip.to_string());
        if self.ip != to.ip {
            said.push(format!("IP changed from '{}' to '{}'", ip(self.ip), ip(to.ip)));
        }
        if self.port != to.port {
            said.push(format!("port changed from '{}' to '{}'", port(self.port), port(to.port)));
        }
        (!said.is_empty()).then(|| format!("{} by '{by}'", said.join(", ")))
    }
}

fn port(port: SpotPort) -> String {
    match port {
        SpotPort::Fixed(n) => n.to_string(),
        SpotPort::Offset(n) => format!("+{}", n.rem_euclid(65536)),
        SpotPort::Configured => "+0".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(all: &[&str]) -> Vec<IpAddr> {
        all.iter().map(|ip| ip.parse().unwrap()).collect()
    }

    fn dealt(servers: &[(usize, &str, &ResolveOptions)], addresses: &[&str]) -> Vec<String> {
        let wants: Vec<Wants<'_>> = servers
            .iter()
            .map(|(group, has, options)| Wants { group: *group, has: has.parse().ok(), options })
            .collect();
        let dealt = deal(&wants, &ips(addresses));
        dealt.iter().map(|ip| ip.map_or("-".into(), |ip| ip.to_string())).collect()
    }

    #[test]
    fn everybody_keeps_or_gets_one() {
        let o = ResolveOptions::default();
        let all = [(0, "", &o), (0, "10.0.0.1", &o), (0, "10.0.0.9", &o), (1, "", &o)];
        assert_eq!(dealt(&all, &["10.0.0.1", "10.0.0.2"]), ["10.0.0.2", "10.0.0.1", "-", "10.0.0.1"]);
        assert_eq!(dealt(&all, &[]), ["-", "-", "-", "-"]);
    }

    #[test]
    fn addresses_are_shared_by_permission() {
        let (o, dup) = (ResolveOptions::default(), ResolveOptions { allow_dup: true, ..Default::default() });
        assert_eq!(dealt(&[(0, "", &dup), (0, "", &dup)], &["10.0.0.1"]), ["10.0.0.1", "10.0.0.1"]);
        assert_eq!(
            dealt(&[(0, "", &dup), (0, "", &dup)], &["10.0.0.1", "10.0.0.2"]),
            ["10.0.0.1", "10.0.0.2"]
        );
        assert_eq!(dealt(&[(0, "10.0.0.1", &o), (0, "10.0.0.1", &o)], &["10.0.0.1"]), ["10.0.0.1", "-"]);
    }

    #[test]
    fn networks_and_families_are_preferred() {
        let nets = vec![("10.1.0.0".parse().unwrap(), 16), ("fd00::".parse().unwrap(), 8)];
        let near = ResolveOptions { nets, prefer_v4: true, ..Default::default() };
        assert_eq!(dealt(&[(0, "", &near)], &["10.2.0.1", "fd00::1", "10.1.2.3"]), ["10.1.2.3"]);
        assert_eq!(dealt(&[(0, "", &near)], &["10.2.0.1", "fd00::1"]), ["fd00::1"]);
        let v6 = ResolveOptions::default();
        assert_eq!(dealt(&[(0, "", &v6)], &["10.2.0.1", "fd00::1"]), ["fd00::1"]);
    }

    #[test]
    fn weights() {
        let all: Vec<u32> = [0, 1, 255, 256, 257, 511, 1000, 65535].into_iter().map(weight).collect();
        assert_eq!(all, [0, 1, 1, 1, 2, 2, 4, 256]);
    }

    #[test]
    fn what_is_told() {
        let at = |ip: &str, port| Told { ip: ip.parse().ok(), port };
        let text = at("", SpotPort::Fixed(80)).change(&at("1.2.3.4", SpotPort::Fixed(80)), "r/d1");
        assert_eq!(text.as_deref(), Some("IP changed from '(none)' to '1.2.3.4' by 'r/d1'"));
        let text = at("::1", SpotPort::Fixed(80)).change(&at("::2", SpotPort::Offset(-5)), "x");
        assert_eq!(
            text.as_deref(),
            Some("IP changed from '::1' to '::2', port changed from '80' to '+65531' by 'x'")
        );
        assert_eq!(at("::1", SpotPort::Configured).change(&at("::1", SpotPort::Configured), "x"), None);
    }
}
