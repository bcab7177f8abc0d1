//! NetScaler's client IP insertion (`doc/netscaler-client-ip-insertion-protocol.txt` of HAProxy): a magic number, then
//! the IP and TCP headers of the client's last handshake packet. Legacy (before 10.5) and standard form.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Most bytes of IP and TCP header: 60 of each with options, and room for padding.
const MAX_HEADERS: usize = 256;

/// What is wrong. The numbers are those of `fc_err`, the texts those of `fc_err_str`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `CIP_TRUNCATED`: the announced length is too short for the headers.
    Truncated = 21,
    /// `CIP_BAD_MAGIC`: another magic number.
    Magic = 22,
    /// `CIP_BAD_PROTO`: not TCP over IPv4 or IPv6, or malformed.
    Protocol = 23,
}

impl Fault {
    /// The number that `fc_err` gives.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
    /// The text that `fc_err_str` gives.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Truncated => "Truncated NetScaler Client IP header received",
            Self::Magic => "Received an invalid NetScaler Client IP magic number",
            Self::Protocol => "Received an unhandled protocol in the NetScaler Client IP header",
        }
    }
}

/// What came of parsing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// More bytes are needed.
    Partial,
    /// A whole header.
    Complete {
        /// How many bytes it takes; the stream's own data begins behind them.
        len: usize,
        /// The client.
        src: SocketAddr,
        /// What it connected to.
        dst: SocketAddr,
    },
}

/// Parses the header at the front of `raw` (`accept-netscaler-cip <magic>`).
///
/// # Errors
/// [`Fault`] as soon as it is certain.
pub fn parse(raw: &[u8], magic: u32) -> Result<Parsed, Fault> {
    let magic = magic.to_be_bytes();
    if !raw.iter().zip(&magic).all(|(a, b)| a == b) {
        return Err(Fault::Magic);
    }
    let Some(word) = raw.get(4..8).and_then(<[u8]>::first_chunk::<4>) else { return Ok(Parsed::Partial) };
    // the legacy form goes on with an IP header (version 4 or 6), the standard one with a type of 1
    let (start, size) = match raw.get(8) {
        None => return Ok(Parsed::Partial),
        Some(b) if matches!(b >> 4, 4 | 6) => (8, u32::from_be_bytes(*word) as usize),
        Some(_) => match raw.get(8..12) {
            None => return Ok(Parsed::Partial),
            Some(&[0, 1, hi, lo]) => (12, usize::from(u16::from_be_bytes([hi, lo]))),
            Some(_) => return Err(Fault::Protocol),
        },
    };
    if size > MAX_HEADERS {
        return Err(Fault::Protocol);
    }
    let Some(headers) = raw.get(start..start + size) else { return Ok(Parsed::Partial) };
    let (src, dst, tcp) = ip_header(headers)?;
    let [a, b, c, d, ..] = *tcp else { return Err(Fault::Truncated) };
    if tcp.len() < 20 {
        return Err(Fault::Truncated);
    }
    Ok(Parsed::Complete {
        len: start + size,
        src: SocketAddr::new(src, u16::from_be_bytes([a, b])),
        dst: SocketAddr::new(dst, u16::from_be_bytes([c, d])),
    })
}

/// Source, destination, and the TCP header behind.
fn ip_header(bytes: &[u8]) -> Result<(IpAddr, IpAddr, &[u8]), Fault> {
    const TCP: u8 = 6;
    fn ip<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Fault> {
        bytes.get(at..).and_then(<[u8]>::first_chunk::<N>).copied().ok_or(Fault::Truncated)
    }
    let first = *bytes.first().ok_or(Fault::Protocol)?;
    match first >> 4 {
        4 => {
            let size = usize::from(first & 15) * 4;
            let tcp = bytes.get(size..).ok_or(Fault::Truncated)?;
            if size < 20 || bytes.get(9) != Some(&TCP) {
                return Err(Fault::Protocol);
            }
            let (src, dst) = (ip::<4>(bytes, 12)?, ip::<4>(bytes, 16)?);
            Ok((Ipv4Addr::from(src).into(), Ipv4Addr::from(dst).into(), tcp))
        }
        6 => {
            let tcp = bytes.get(40..).ok_or(Fault::Truncated)?;
            if bytes.get(6) != Some(&TCP) {
                return Err(Fault::Protocol);
            }
            let (src, dst) = (ip::<16>(bytes, 8)?, ip::<16>(bytes, 24)?);
            Ok((Ipv6Addr::from(src).into(), Ipv6Addr::from(dst).into(), tcp))
        }
        _ => Err(Fault::Protocol),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAGIC: u32 = 0x5a5b_5c5d;

    fn ip4(first: u8, protocol: u8, options: &[u8]) -> Vec<u8> {
        let mut v = vec![first, 0, 0, 40, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 1, 2, 3, 10, 4, 5, 6];
        v.extend_from_slice(options);
        v
    }
    fn ip6(next: u8) -> Vec<u8> {
        let mut v = vec![0x60, 0, 0, 0, 0, 20, next, 64];
        v.extend_from_slice(&"2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
        v.extend_from_slice(&"2001:db8::2".parse::<Ipv6Addr>().unwrap().octets());
        v
    }
    fn tcp() -> Vec<u8> {
        let mut v = vec![0x04, 0x57, 0x08, 0xae];
        v.resize(20, 0);
        v
    }
    fn legacy(body: &[u8], size: usize) -> Vec<u8> {
        [&MAGIC.to_be_bytes()[..], &(size as u32).to_be_bytes(), body].concat()
    }
    fn standard(body: &[u8], kind: u16) -> Vec<u8> {
        let n = body.len() as u16;
        let cip = u32::from(n) + 12;
        [&MAGIC.to_be_bytes()[..], &cip.to_be_bytes(), &kind.to_be_bytes(), &n.to_be_bytes(), body].concat()
    }

    #[test]
    fn both_forms_and_families_in_any_pieces() {
        let v4 = [ip4(0x45, 6, &[]), tcp()].concat();
        let v4_options = [ip4(0x46, 6, &[1; 4]), tcp(), vec![1; 4]].concat();
        let v6 = [ip6(6), tcp()].concat();
        for (raw, src, dst) in [
            (legacy(&v4, v4.len()), "10.1.2.3:1111", "10.4.5.6:2222"),
            (standard(&v4, 1), "10.1.2.3:1111", "10.4.5.6:2222"),
            (legacy(&v4_options, v4_options.len()), "10.1.2.3:1111", "10.4.5.6:2222"),
            (legacy(&v6, v6.len()), "[2001:db8::1]:1111", "[2001:db8::2]:2222"),
            (standard(&v6, 1), "[2001:db8::1]:1111", "[2001:db8::2]:2222"),
        ] {
            for cut in 0..raw.len() {
                assert_eq!(parse(&raw[..cut], MAGIC), Ok(Parsed::Partial), "{cut}");
            }
            let want =
                Parsed::Complete { len: raw.len(), src: src.parse().unwrap(), dst: dst.parse().unwrap() };
            assert_eq!(parse(&[&raw[..], b"GET"].concat(), MAGIC), Ok(want));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let v4 = [ip4(0x45, 6, &[]), tcp()].concat();
        for (raw, fault) in [
            (b"GET / HTTP/1.1\r\n\r\n".to_vec(), Fault::Magic),
            (b"G".to_vec(), Fault::Magic),
            (standard(&v4, 2), Fault::Protocol),
            (legacy(&[ip4(0x45, 17, &[]), tcp()].concat(), 40), Fault::Protocol),
            (legacy(&[ip6(17), tcp()].concat(), 60), Fault::Protocol),
            (legacy(&[ip4(0x44, 6, &[]), tcp()].concat(), 40), Fault::Protocol),
            (legacy(&v4, 39), Fault::Truncated),
            (legacy(&v4, 19), Fault::Truncated),
            (legacy(&v4, 0), Fault::Protocol),
            (legacy(&v4, 70_000), Fault::Protocol),
            (legacy(&[0x55; 40], 40), Fault::Protocol),
        ] {
            assert_eq!(parse(&raw, MAGIC), Err(fault), "{raw:?}");
        }
    }
}
