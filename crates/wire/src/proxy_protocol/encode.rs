//! Sending.

use super::{Addresses, SIGNATURE, Tlv, Transport, crc32c, kind};
use std::io::Write;
use std::net::{IpAddr, SocketAddr};

/// `send-proxy`: the line of version 1. `UNKNOWN` when the addresses are not both of one IP family.
pub fn encode_v1(addresses: Option<&Addresses>, out: &mut Vec<u8>) {
    let written = match addresses {
        Some(Addresses::Inet { src, dst }) if src.is_ipv4() == dst.is_ipv4() => {
            let family = if src.is_ipv4() { 4 } else { 6 };
            write!(out, "PROXY TCP{family} {} {} {} {}\r\n", src.ip(), dst.ip(), src.port(), dst.port())
        }
        _ => out.write_all(b"PROXY UNKNOWN\r\n"),
    };
    debug_assert!(written.is_ok(), "a vector takes everything");
}

/// `send-proxy-v2`: a header of version 2 for a proxied connection. The value of a [`kind::CRC32C`] vector, which must
/// be given with 4 bytes, is filled in. Addresses of two IP families go out as IPv6. Vectors that do not fit into
/// 65,535 bytes are left out, the last ones first.
pub fn encode_v2(transport: Transport, addresses: Option<&Addresses>, tlvs: &[Tlv<'_>], out: &mut Vec<u8>) {
    header(0x21, transport, addresses, tlvs, out);
}

/// A header of version 2 for a connection of the proxy's own (`LOCAL`), such as a health check.
pub fn encode_v2_local(tlvs: &[Tlv<'_>], out: &mut Vec<u8>) {
    header(0x20, Transport::Unspec, None, tlvs, out);
}

fn header(
    command: u8,
    transport: Transport,
    addresses: Option<&Addresses>,
    tlvs: &[Tlv<'_>],
    out: &mut Vec<u8>,
) {
    let start = out.len();
    out.extend_from_slice(SIGNATURE);
    out.extend_from_slice(&[command, 0, 0, 0]);
    let family = addresses.map_or(0, |a| put_addresses(a, out));
    let protocol = match transport {
        Transport::Stream if family != 0 => 1,
        Transport::Dgram if family != 0 => 2,
        _ => 0,
    };
    let mut crc = None;
    for t in tlvs {
        if out.len() - start - 16 + 3 + t.value.len() > 0xffff {
            break;
        }
        if t.kind == kind::CRC32C {
            if crc.is_some() {
                continue;
            }
            crc = Some(out.len() + 3);
            Tlv { kind: t.kind, value: &[0; 4] }.write(out);
        } else {
            t.write(out);
        }
    }
    let len = u16::try_from(out.len() - start - 16).unwrap_or(u16::MAX).to_be_bytes();
    out[start + 13] = family << 4 | protocol;
    out[start + 14..start + 16].copy_from_slice(&len);
    if let Some(at) = crc {
        let sum = crc32c(&[&out[start..]]);
        out[at..at + 4].copy_from_slice(&sum.to_be_bytes());
    }
}

/// Writes the address block; the number of its family.
fn put_addresses(addresses: &Addresses, out: &mut Vec<u8>) -> u8 {
    let family = match addresses {
        Addresses::Unix { src, dst } => {
            out.extend_from_slice(src);
            out.extend_from_slice(dst);
            return 3;
        }
        Addresses::Inet { src: SocketAddr::V4(src), dst: SocketAddr::V4(dst) } => {
            out.extend_from_slice(&src.ip().octets());
            out.extend_from_slice(&dst.ip().octets());
            1
        }
        Addresses::Inet { src, dst } => {
            for a in [src, dst] {
                let ip = match a.ip() {
                    IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                    IpAddr::V6(ip) => ip,
                };
                out.extend_from_slice(&ip.octets());
            }
            2
        }
    };
    if let Addresses::Inet { src, dst } = addresses {
        out.extend_from_slice(&src.port().to_be_bytes());
        out.extend_from_slice(&dst.port().to_be_bytes());
    }
    family
}
