//! Address formats of manual section 2.9, parsed.

use std::net::{Ipv4Addr, Ipv6Addr};

/// What kind of socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Transport {
    /// TCP or a Unix stream.
    #[default]
    Stream,
    /// Multipath TCP.
    Mptcp,
    /// UDP or a Unix datagram socket.
    Datagram,
    /// QUIC over UDP.
    Quic,
}

/// Where.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// An IPv4 address; 0.0.0.0 for `*` and for nothing before the colon.
    V4(Ipv4Addr),
    /// An IPv6 address; `::` listens on both families unless `v6only`.
    V6(Ipv6Addr),
    /// A name still to be resolved, with `ipv4@` or `ipv6@` in front if only such an address will do.
    Name(String),
    /// A Unix socket's path, `unix-bind prefix` not applied.
    Unix(String),
    /// Linux abstract socket, name padded to 108 bytes (`abns@`).
    Abstract(Vec<u8>),
    /// Linux abstract socket, name not padded (`abnsz@`).
    AbstractZ(Vec<u8>),
    /// An inherited file descriptor (`fd@`).
    Fd(i32),
    /// Descriptor of a socket pair over which connections come (`sockpair@`).
    SockPair(i32),
    /// Reverse HTTP: BACKEND/SERVER (`rhttp@`).
    Rhttp(String),
}

impl From<std::net::IpAddr> for Host {
    fn from(ip: std::net::IpAddr) -> Self {
        match ip {
            std::net::IpAddr::V4(a) => Self::V4(a),
            std::net::IpAddr::V6(a) => Self::V6(a),
        }
    }
}

/// Port or ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Ports {
    /// None given (0).
    #[default]
    None,
    /// One.
    One(u16),
    /// First to last (`bind`, `source`).
    Range(u16, u16),
    /// Added to the client's destination port (`server`): `+N` or `-N`.
    Offset(i32),
}

/// One address of a `bind`, `server`, `source`, `log` … line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// Kind of socket.
    pub transport: Transport,
    /// Where.
    pub host: Host,
    /// Port or ports.
    pub ports: Ports,
}
