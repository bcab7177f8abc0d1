//! What a server's places on a consistent ring are made from (`hash-key`).

use portcullis_config::addr::{Host, Ports};
use portcullis_config::{HashKey, Server};
use portcullis_sample::convert::hash::{avalanche, xxh32};
use std::net::{IpAddr, SocketAddr};

/// The parts of a `server` line that tell it from others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    kind: HashKey,
    guid: Option<String>,
    address: Option<SocketAddr>,
    port: u16,
}

impl Identity {
    pub(crate) fn new(server: &Server) -> Self {
        let ip: Option<IpAddr> = match &server.address.host {
            Host::V4(a) => Some((*a).into()),
            Host::V6(a) => Some((*a).into()),
            _ => None,
        };
        let port = match server.address.ports {
            Ports::One(port) | Ports::Range(port, _) => port,
            Ports::None | Ports::Offset(_) => 0,
        };
        Self {
            kind: server.set.hash_key,
            guid: server.guid.clone(),
            address: ip.map(|ip| SocketAddr::new(ip, port)),
            port,
        }
    }

    /// The port of the `server` line.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The address of the `server` line.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// The key of a server with this id; `moved` is the address that an operator gave it.
    pub(crate) fn ring_key(&self, id: u32, moved: Option<SocketAddr>) -> u32 {
        let by_id = id.wrapping_mul(4096);
        let address = moved.or(self.address);
        let of = |address: SocketAddr, port: u32| match address.ip() {
            IpAddr::V4(ip) => avalanche(port.wrapping_add(u32::from_ne_bytes(ip.octets()))),
            IpAddr::V6(ip) => xxh32(port, &ip.octets()),
        };
        match self.kind {
            HashKey::Id => by_id,
            HashKey::Id32 => avalanche(u32::from_ne_bytes(id.to_be_bytes())),
            HashKey::Guid => self.guid.as_ref().map_or(by_id, |guid| xxh32(0, guid.as_bytes())),
            HashKey::Addr => address.map_or(by_id, |a| of(a, 0)),
            HashKey::AddrPort => address.map_or(by_id, |a| of(a, avalanche(a.port().into()))),
        }
    }
}
