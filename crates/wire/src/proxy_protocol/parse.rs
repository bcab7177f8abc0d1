//! Receiving.

use super::{Addresses, Fault, Header, MAX_V1, Parsed, SIGNATURE, Tlvs, Transport, crc32c, kind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// Parses a header of either version at the front of `raw`.
///
/// # Errors
/// [`Fault`] as soon as it is certain, also in an incomplete header.
pub fn parse(raw: &[u8]) -> Result<Parsed<'_>, Fault> {
    const V1: &[u8] = b"PROXY ";
    let begins = |with: &[u8]| raw.iter().zip(with).all(|(a, b)| a == b);
    if begins(V1) {
        return if raw.len() < V1.len() { Ok(Parsed::Partial) } else { v1(raw) };
    }
    if begins(SIGNATURE) {
        return v2(raw);
    }
    Err(Fault::NotHeader)
}

/// Section 2.1: one line, which must have ended after 107 bytes.
fn v1(raw: &[u8]) -> Result<Parsed<'_>, Fault> {
    let window = &raw[..raw.len().min(MAX_V1)];
    let Some(end) = window.iter().position(|b| matches!(b, b'\r' | b'\n')) else {
        return if raw.len() < MAX_V1 { Ok(Parsed::Partial) } else { Err(Fault::Bad) };
    };
    match window.get(end..end + 2) {
        Some(b"\r\n") => {}
        None if window.len() < MAX_V1 && window[end] == b'\r' => return Ok(Parsed::Partial),
        _ => return Err(Fault::Bad),
    }
    let text = std::str::from_utf8(&window[6..end]).map_err(|_| Fault::Bad)?;
    let mut words = text.split(' ');
    let addresses = match words.next() {
        Some("UNKNOWN") => None,
        Some("TCP4") => Some(inet(&mut words, |w| w.parse::<Ipv4Addr>().ok().map(Into::into))?),
        Some("TCP6") => Some(inet(&mut words, |w| w.parse::<Ipv6Addr>().ok().map(Into::into))?),
        _ => return Err(Fault::Protocol),
    };
    let transport = if addresses.is_some() { Transport::Stream } else { Transport::Unspec };
    let len = end + 2;
    Ok(Parsed::Complete(Header {
        len,
        version: 1,
        local: false,
        transport,
        addresses,
        tlvs: Tlvs::default(),
    }))
}

/// `source destination source-port destination-port`, and nothing else.
fn inet<'w>(
    words: &mut impl Iterator<Item = &'w str>,
    ip: impl Fn(&str) -> Option<std::net::IpAddr>,
) -> Result<Addresses, Fault> {
    let mut word = || words.next().ok_or(Fault::Bad);
    let (src, dst) = (ip(word()?).ok_or(Fault::Bad)?, ip(word()?).ok_or(Fault::Bad)?);
    let (src_port, dst_port) = (port(word()?)?, port(word()?)?);
    if word().is_ok() {
        return Err(Fault::Bad);
    }
    Ok(Addresses::Inet { src: SocketAddr::new(src, src_port), dst: SocketAddr::new(dst, dst_port) })
}

/// Decimal, without leading zeros or a sign.
fn port(word: &str) -> Result<u16, Fault> {
    let plain = word.bytes().all(|b| b.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    word.parse().ok().filter(|_| plain).ok_or(Fault::Bad)
}

/// Section 2.2: 16 bytes, addresses, further values.
fn v2(raw: &[u8]) -> Result<Parsed<'_>, Fault> {
    let command = match raw.get(12) {
        None => return Ok(Parsed::Partial),
        Some(c @ (0x20 | 0x21)) => *c,
        Some(_) => return Err(Fault::Bad),
    };
    let Some(&[family, hi, lo]) = raw.get(13..16) else { return Ok(Parsed::Partial) };
    let local = command == 0x20;
    let transport = match family & 15 {
        0 => Transport::Unspec,
        1 => Transport::Stream,
        2 => Transport::Dgram,
        _ if local => Transport::Unspec,
        _ => return Err(Fault::Protocol),
    };
    let size = match family >> 4 {
        0 => 0,
        1 => 12,
        2 => 36,
        3 => 216,
        _ if local => 0,
        _ => return Err(Fault::Protocol),
    };
    let len = 16 + usize::from(u16::from_be_bytes([hi, lo]));
    if !local && len < 16 + size {
        return Err(Fault::Bad);
    }
    let Some(whole) = raw.get(..len) else { return Ok(Parsed::Partial) };
    let (addresses, tlvs) = match (local, whole[16..].split_at_checked(size)) {
        // the block of a local connection is to be ignored, whatever it says
        (true, block) => {
            let tlvs = block.and_then(|(_, rest)| Tlvs::new(rest).ok()).unwrap_or_default();
            (None, tlvs)
        }
        (false, Some((_, rest))) if transport == Transport::Unspec || size == 0 => {
            // unknown addresses may come in a length that nobody knows, so what is behind them may be anything
            (None, Tlvs::new(rest).unwrap_or_default())
        }
        (false, Some((block, rest))) => (addresses(block), Tlvs::new(rest)?),
        (false, None) => return Err(Fault::Bad),
    };
    check_crc(whole, &tlvs)?;
    Ok(Parsed::Complete(Header { len, version: 2, local, transport, addresses, tlvs }))
}

fn addresses(block: &[u8]) -> Option<Addresses> {
    fn two<const N: usize>(block: &[u8]) -> Option<([u8; N], [u8; N], &[u8])> {
        let (src, rest) = block.split_first_chunk::<N>()?;
        let (dst, rest) = rest.split_first_chunk::<N>()?;
        Some((*src, *dst, rest))
    }
    fn ports(rest: &[u8]) -> Option<(u16, u16)> {
        let [a, b, c, d] = *rest.first_chunk::<4>()?;
        Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
    }
    match block.len() {
        12 => {
            let (src, dst, rest) = two::<4>(block)?;
            let (sp, dp) = ports(rest)?;
            Some(Addresses::Inet { src: (src, sp).into(), dst: (dst, dp).into() })
        }
        36 => {
            let (src, dst, rest) = two::<16>(block)?;
            let (sp, dp) = ports(rest)?;
            Some(Addresses::Inet { src: (src, sp).into(), dst: (dst, dp).into() })
        }
        216 => {
            let (src, dst, _) = two::<108>(block)?;
            Some(Addresses::Unix { src, dst })
        }
        _ => None,
    }
}

/// Section 2.2.3: the checksum is over the whole header with zeros in its place.
fn check_crc(whole: &[u8], tlvs: &Tlvs<'_>) -> Result<(), Fault> {
    let begin = whole.len() - tlvs.bytes().len();
    let mut at = begin;
    for t in tlvs.iter() {
        let value = at + 3;
        at = value + t.value.len();
        if t.kind == kind::CRC32C {
            let (before, after) = (whole.get(..value), whole.get(at..));
            let sum = crc32c(&[before.unwrap_or_default(), &[0; 4], after.unwrap_or_default()]);
            if t.value != sum.to_be_bytes() {
                return Err(Fault::Bad);
            }
        }
    }
    Ok(())
}
