//! Receiving.

use super::{Addresses, Fault, Header, MAX_V1, Parsed, Refused, SIGNATURE, Tlvs, Transport, crc32c, kind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Parses a header of either version at the front of `raw`.
///
/// # Errors
/// [`Refused`] as soon as it is certain, also in an incomplete header.
pub fn parse(raw: &[u8]) -> Result<Parsed<'_>, Refused> {
    const V1: &[u8] = b"PROXY ";
    let begins = |with: &[u8]| raw.iter().zip(with).all(|(a, b)| a == b);
    if begins(V1) {
        return if raw.len() < V1.len() { Ok(Parsed::Partial) } else { v1(raw) };
    }
    if begins(SIGNATURE) {
        return v2(raw);
    }
    // as HAProxy: what is shorter than the shortest header of version 2 may have lacked its end
    Err(if raw.len() < 16 { Fault::Truncated } else { Fault::NotHeader }.into())
}

/// Section 2.1: one line. It must have ended after 107 bytes, unless it comes at once.
fn v1(raw: &[u8]) -> Result<Parsed<'_>, Refused> {
    let line = &raw[6..];
    let unfinished = |fault: Fault| match raw.len() < MAX_V1 {
        true => Ok(Parsed::Partial),
        false => Err(fault.into()),
    };
    let starts = |with: &[u8]| line.iter().zip(with).all(|(a, b)| a == b);
    if starts(b"UNKNOWN\r\n") {
        return match line.len() < 9 {
            true => unfinished(Fault::Protocol),
            false => Ok(Parsed::Complete(v1_header(15, None))),
        };
    }
    let four = starts(b"TCP4 ");
    if !four && !starts(b"TCP6 ") {
        return Err(Fault::Protocol.into());
    }
    let Some(rest) = line.get(5..) else { return unfinished(Fault::Protocol) };
    let read = if four { tcp4(rest) } else { tcp6(rest) };
    match read {
        Ok((src, dst, len)) => {
            let addresses = Addresses::Inet { src, dst };
            Ok(Parsed::Complete(v1_header(11 + len, Some(addresses))))
        }
        Err(Some(fault)) => Err(fault.into()),
        Err(None) => unfinished(Fault::Bad),
    }
}

fn v1_header(len: usize, addresses: Option<Addresses>) -> Header<'static> {
    let transport = if addresses.is_some() { Transport::Stream } else { Transport::Unspec };
    Header { len, version: 1, local: false, transport, addresses, tlvs: Tlvs::default() }
}

/// Source, destination, and how many bytes they took. No fault: more is needed.
type Pair = Result<(SocketAddr, SocketAddr, usize), Option<Fault>>;

/// `source destination source-port destination-port`, one blank between them. HAProxy reads numbers leniently: nothing
/// is zero, more than fits is cut.
fn tcp4(text: &[u8]) -> Pair {
    let mut at = 0;
    let address = |at: &mut usize| -> Result<Ipv4Addr, Option<Fault>> {
        let mut ip = 0u32;
        for part in 0..4 {
            // the last three digits of a number count, and what is beyond a byte goes to the one before
            let digits = digits(text, at)?;
            let last = digits.get(digits.len().saturating_sub(3)..).unwrap_or(digits);
            let number = last.iter().fold(0u32, |n, d| n * 10 + u32::from(d - b'0'));
            ip = ip.wrapping_add(number << (24 - 8 * part));
            if part < 3 && text.get(*at) == Some(&b'.') {
                *at += 1;
            } else {
                break;
            }
        }
        expect(text, at, b' ')?;
        Ok(ip.into())
    };
    let (src, dst) = (address(&mut at)?, address(&mut at)?);
    let src_port = port(digits(text, &mut at)?);
    expect(text, &mut at, b' ')?;
    let dst_port = port(digits(text, &mut at)?);
    expect(text, &mut at, b'\r')?;
    expect(text, &mut at, b'\n')?;
    Ok(((src, src_port).into(), (dst, dst_port).into(), at))
}

/// The run of digits at `at`; more may come if it reaches the end.
fn digits<'t>(text: &'t [u8], at: &mut usize) -> Result<&'t [u8], Option<Fault>> {
    let rest = text.get(*at..).unwrap_or(&[]);
    let len = rest.iter().position(|b| !b.is_ascii_digit()).ok_or(None)?;
    *at += len;
    Ok(rest.get(..len).unwrap_or(&[]))
}

fn expect(text: &[u8], at: &mut usize, what: u8) -> Result<(), Option<Fault>> {
    match text.get(*at) {
        Some(b) if *b == what => {
            *at += 1;
            Ok(())
        }
        Some(_) => Err(Some(Fault::Bad)),
        None => Err(None),
    }
}

/// The lower 16 bits of a number.
fn port(digits: &[u8]) -> u16 {
    digits.iter().fold(0u16, |n, d| n.wrapping_mul(10).wrapping_add(u16::from(d - b'0')))
}

/// The same for IPv6; what follows the second port is passed over.
fn tcp6(text: &[u8]) -> Pair {
    let end = text.iter().position(|b| matches!(b, b'\r' | b'\n')).ok_or(None)?;
    match text.get(end..end + 2) {
        Some(b"\r\n") => {}
        None if text.get(end) == Some(&b'\r') => return Err(None),
        _ => return Err(Some(Fault::Bad)),
    }
    let mut words = text.get(..end).unwrap_or(&[]).split(|b| *b == b' ');
    let mut word = || words.next().ok_or(Some(Fault::Bad));
    let ip = |w: &[u8]| -> Result<IpAddr, Option<Fault>> {
        let text = std::str::from_utf8(w).ok();
        text.and_then(|t| t.parse::<Ipv6Addr>().ok()).map(Into::into).ok_or(Some(Fault::Bad))
    };
    let port = |w: &[u8]| match w.iter().all(u8::is_ascii_digit) {
        true => Ok(port(w)),
        false => Err(Some(Fault::Bad)),
    };
    let (src, dst) = (ip(word()?)?, ip(word()?)?);
    let (src_port, dst_port) = (port(word()?)?, port(word()?)?);
    Ok(((src, src_port).into(), (dst, dst_port).into(), end + 2))
}

/// Section 2.2: 16 bytes, addresses, further values. As in HAProxy 3.5, a proxied connection is TCP over IPv4 or IPv6,
/// and a local one has no addresses.
fn v2(raw: &[u8]) -> Result<Parsed<'_>, Refused> {
    let local = match raw.get(12) {
        None => return Ok(Parsed::Partial),
        Some(0x20) => true,
        Some(0x21) => false,
        Some(b) if b >> 4 != 2 => return Err(Fault::NotHeader.into()),
        Some(_) => return Err(Fault::Bad.into()),
    };
    let Some(&[family, hi, lo]) = raw.get(13..16) else { return Ok(Parsed::Partial) };
    let (transport, size) = match family {
        _ if local => (Transport::Unspec, 0),
        0x11 => (Transport::Stream, 12),
        0x21 => (Transport::Stream, 36),
        _ => return Err(Fault::Bad.into()),
    };
    let len = 16 + usize::from(u16::from_be_bytes([hi, lo]));
    if len < 16 + size {
        return Err(Fault::Bad.into());
    }
    let Some(whole) = raw.get(..len) else { return Ok(Parsed::Partial) };
    let (block, values) = whole.get(16..).and_then(|b| b.split_at_checked(size)).unwrap_or_default();
    let addresses = addresses(block);
    // the addresses count already when what is behind them is wrong
    let told = match addresses {
        Some(Addresses::Inet { src, dst }) => Some((src, dst)),
        _ => None,
    };
    let refused = |fault| Refused { fault, addresses: told };
    let tlvs = Tlvs::new(values).map_err(refused)?;
    check_crc(whole, &tlvs).map_err(refused)?;
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
