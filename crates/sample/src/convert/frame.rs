//! Ethernet frames, IP packets and TCP headers, as `fc_saved_syn` gives them.

use super::bytes;
use crate::args::{ArgKind, Args};
use crate::row::Convert;
use crate::value::{Bytes, Sample, Type, Value};
use std::net::{Ipv4Addr, Ipv6Addr};

fn short(b: &[u8], at: usize) -> Option<u64> {
    number(b, at, 2)
}
fn number(b: &[u8], at: usize, len: usize) -> Option<u64> {
    Some(b.get(at..at + len)?.iter().fold(0, |n, b| n << 8 | u64::from(*b)))
}

/// Length of the Ethernet header with its VLAN tags.
fn eth_len(b: &[u8]) -> Option<usize> {
    let mut at = 12;
    while matches!(short(b, at)?, 0x8100 | 0x88A8) {
        at += 4;
    }
    Some(at + 2)
}

fn vlan(b: &[u8]) -> Option<u64> {
    let len = eth_len(b)?;
    if len > 14 { short(b, len - 4).map(|tag| tag & 0xFFF) } else { None }
}

fn version(b: &[u8]) -> Option<u64> {
    Some(u64::from(b.first()? >> 4))
}

/// Length of the IP header with its options or extensions, and the protocol behind it.
fn ip_len(b: &[u8]) -> Option<(usize, u8)> {
    if !matches!(version(b)?, 4 | 6) {
        return None;
    }
    if version(b)? == 4 {
        let len = usize::from(b.first()? & 15) * 4;
        return (len <= b.len()).then_some(()).map(|()| (len, b.get(9).copied().unwrap_or(0)));
    }
    let (mut len, mut next) = (40, *b.get(6)?);
    while matches!(next, 0 | 43 | 44 | 51 | 60 | 135 | 139 | 140) {
        let more = usize::from(*b.get(len + 1)?);
        let size = match next {
            44 => 8,
            51 => (more + 2) * 4,
            _ => (more + 1) * 8,
        };
        next = *b.get(len)?;
        len += size;
    }
    (len <= b.len()).then_some((len, next))
}

/// Is all of the packet's header there? (without options and extensions)
fn has_header(b: &[u8]) -> bool {
    match version(b) {
        Some(4) => b.len() >= 20,
        Some(6) => b.len() >= 40,
        _ => false,
    }
}

/// What a packet carries.
fn protocol(b: &[u8]) -> Option<u64> {
    if version(b)? == 4 { number(b, 9, 1) } else { Some(u64::from(ip_len(b)?.1)) }
}

fn tos(b: &[u8]) -> Option<u64> {
    if !matches!(version(b)?, 4 | 6) {
        return None;
    }
    if version(b)? == 4 { number(b, 1, 1) } else { short(b, 0).map(|n| n >> 4 & 0xFF) }
}
fn ttl(b: &[u8]) -> Option<u64> {
    if !has_header(b) {
        return None;
    }
    if version(b)? == 4 { number(b, 8, 1) } else { number(b, 7, 1) }
}
/// Fragmentation is forbidden: always for IPv6.
fn df(b: &[u8]) -> Option<u64> {
    match version(b)? {
        4 => number(b, 6, 1).map(|n| n >> 6 & 1),
        6 => Some(1),
        _ => None,
    }
}
fn address(b: &[u8], at4: usize, at6: usize) -> Option<Value<'static>> {
    if !matches!(version(b)?, 4 | 6) {
        return None;
    }
    if version(b)? == 4 {
        let a: [u8; 4] = b.get(at4..at4 + 4)?.try_into().ok()?;
        return Some(Value::V4(Ipv4Addr::from(a)));
    }
    let a: [u8; 16] = b.get(at6..at6 + 16)?.try_into().ok()?;
    Some(Value::V6(Ipv6Addr::from(a)))
}

/// The header of a TCP segment, with its options.
fn segment(b: &[u8]) -> Option<&[u8]> {
    b.get(..usize::from(*b.get(12)? >> 4) * 4).filter(|header| header.len() >= 20)
}

/// A number in the header of a segment, which must be there as far as it has no options.
fn of_segment(b: &[u8], at: usize, len: usize) -> Option<u64> {
    number(b.get(..20)?, at, len)
}

/// The options of a TCP header, up to one that is no option: kind and contents.
fn options(b: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let mut rest = segment(b)?.get(20..)?;
    let mut all = Vec::new();
    while let Some(kind) = rest.first() {
        let size = match kind {
            0 => break,
            1 => 1,
            _ => rest.get(1).map_or(0, |n| usize::from(*n)),
        };
        let contents = if *kind == 1 { Some(&b""[..]) } else { rest.get(2..size) };
        let (Some(contents), Some(after)) = (contents, rest.get(size..)) else { break };
        all.push((*kind, contents));
        rest = after;
    }
    Some(all)
}
fn option(b: &[u8], kind: u8) -> Option<Option<Vec<u8>>> {
    options(b).map(|all| all.into_iter().find(|(k, _)| *k == kind).map(|(_, v)| v.to_vec()))
}
/// The number that an option holds; 0 if it is not there.
fn option_number(b: &[u8], kind: u8, len: usize) -> Option<u64> {
    Some(option(b, kind)?.and_then(|v| number(&v, 0, len)).unwrap_or(0))
}
fn option_there(b: &[u8], kind: u8) -> Option<u64> {
    Some(u64::from(option(b, kind)?.is_some()))
}
fn kinds(b: &[u8]) -> Option<Vec<u8>> {
    Some(options(b)?.into_iter().map(|(k, _)| k).collect())
}

/// What tells hosts behind one address apart (manual, `ip.fp`).
fn fingerprint(b: &[u8], mode: i64) -> Option<Vec<u8>> {
    let (len, protocol) = ip_len(b)?;
    if protocol != 6 {
        return None;
    }
    let tcp = b.get(len..)?;
    let tcp_len = usize::from(*tcp.get(12)? >> 4) * 4;
    let list = kinds(tcp)?;
    // as the packet itself says
    let total = if version(b)? == 6 { 40 + short(b, 4)? as usize } else { short(b, 2)? as usize };
    let six = version(b)? == 6;
    let flags = *tcp.get(13)?;
    let ttl = ttl(b)?;
    let class = match ttl {
        0..=32 => 0u8,
        33..=64 => 1,
        65..=128 => 2,
        _ => 3,
    };
    let options = if six { len > 40 } else { len > 20 };
    let second = u8::from(six) << 7
        | (df(b)? as u8) << 6
        | class << 4
        | u8::from(options) << 3
        | u8::from(total > len + tcp_len) << 2
        | flags >> 6 & 3;
    let scale =
        option(tcp, 3)?.and_then(|v| v.first().copied()).map_or(0, |w| (w & 15).saturating_add(1).min(15));
    let mut out = vec![tos(b)? as u8, second, ((tcp_len / 4) as u8) << 4 | scale];
    out.extend_from_slice(tcp.get(14..16)?);
    out.extend_from_slice(&(option_number(tcp, 2, 2)? as u16).to_be_bytes());
    out.push(list.iter().fold(0, |m, k| match k {
        2..=8 => m | 1 << (k - 2),
        9.. => m | 0x80,
        _ => m,
    }));
    if mode & 1 != 0 {
        out.push(ttl as u8);
    }
    if mode & 2 != 0 {
        out.extend_from_slice(&list);
    }
    if mode & 4 != 0 {
        out.extend_from_slice(address(b, 12, 8)?.cast(Type::Bin)?.bytes()?);
    }
    Some(out)
}

fn int<'s>(v: Value<'s>, f: impl FnOnce(&[u8]) -> Option<u64>) -> Sample<'s> {
    bytes(v).and_then(|b| f(&b)).map(|n| Value::Int(n as i64)).into()
}
fn cut<'s>(v: Value<'s>, f: impl FnOnce(&[u8]) -> Option<(usize, usize)>) -> Sample<'s> {
    let Some(b) = bytes(v) else { return Sample::Missing };
    match f(&b) {
        Some((start, end)) if start <= end && end <= b.len() => {
            Value::Bin(super::text::slice(b, start, end)).into()
        }
        _ => Sample::Missing,
    }
}
fn own<'s>(v: Value<'s>, f: impl FnOnce(&[u8]) -> Option<Vec<u8>>) -> Sample<'s> {
    bytes(v).and_then(|b| f(&b)).map(|b| Value::Bin(Bytes::Owned(b))).into()
}
fn mode(a: &Args) -> i64 {
    a.int(0).unwrap_or(0)
}

macro_rules! ints {
    ($($name:literal $help:literal $f:expr;)*) => {
        [$(Convert::new($name, Type::Bin, Type::Int, $help, |_, v, _| int(v, $f)),)*]
    };
}

const INTS: [Convert; 16] = ints! {
    "eth.proto" "Protocol of an Ethernet frame." |b| short(b, eth_len(b)? - 2);
    "eth.vlan" "Last VLAN of an Ethernet frame." vlan;
    "ip.df" "Don't-fragment flag of a packet." df;
    "ip.proto" "Transport protocol of a packet." protocol;
    "ip.tos" "Type of service of a packet." tos;
    "ip.ttl" "Time to live of a packet." ttl;
    "ip.ver" "Version of a packet." version;
    "tcp.dst" "Destination port of a segment." |b| of_segment(b, 2, 2);
    "tcp.src" "Source port of a segment." |b| of_segment(b, 0, 2);
    "tcp.flags" "Flags of a segment." |b| of_segment(b, 13, 1);
    "tcp.seq" "Sequence number of a segment." |b| of_segment(b, 4, 4);
    "tcp.win" "Window of a segment." |b| of_segment(b, 14, 2);
    "tcp.options.mss" "Maximum segment size." |b| option_number(b, 2, 2);
    "tcp.options.sack" "Is selective acknowledgement permitted?" |b| option_there(b, 4);
    "tcp.options.tsopt" "Is there a timestamp option?" |b| option_there(b, 8);
    "tcp.options.wsopt" "Is there a window scale option?" |b| option_there(b, 3);
};

const OTHERS: [Convert; 12] = [
    Convert::new("tcp.options.tsval", Type::Bin, Type::Int, "Timestamp of a segment.", |_, v, _| {
        int(v, |b| option_number(b, 8, 4))
    }),
    Convert::new("tcp.options.wscale", Type::Bin, Type::Int, "Window scale of a segment.", |_, v, _| {
        int(v, |b| option_number(b, 3, 1))
    }),
    Convert::new("eth.dst", Type::Bin, Type::Bin, "Destination of an Ethernet frame.", |_, v, _| {
        cut(v, |_| Some((0, 6)))
    }),
    Convert::new("eth.src", Type::Bin, Type::Bin, "Source of an Ethernet frame.", |_, v, _| {
        cut(v, |_| Some((6, 12)))
    }),
    Convert::new("eth.hdr", Type::Bin, Type::Bin, "Header of an Ethernet frame.", |_, v, _| {
        cut(v, |b| Some((0, eth_len(b)?)))
    }),
    Convert::new("eth.data", Type::Bin, Type::Bin, "What an Ethernet frame holds.", |_, v, _| {
        cut(v, |b| Some((eth_len(b)?, b.len())))
    }),
    Convert::new("ip.hdr", Type::Bin, Type::Bin, "Header of a packet.", |_, v, _| {
        cut(v, |b| Some((0, ip_len(b)?.0)))
    }),
    Convert::new("ip.data", Type::Bin, Type::Bin, "What a packet holds.", |_, v, _| {
        cut(v, |b| Some((ip_len(b)?.0, b.len())))
    }),
    Convert::new("ip.src", Type::Bin, Type::Addr, "Source of a packet.", |_, v, _| {
        bytes(v).and_then(|b| address(&b, 12, 8)).into()
    }),
    Convert::new("ip.dst", Type::Bin, Type::Addr, "Destination of a packet.", |_, v, _| {
        bytes(v).and_then(|b| address(&b, 16, 24)).into()
    }),
    Convert::new("ip.fp", Type::Bin, Type::Bin, "Fingerprint of a SYN packet.", |a, v, _| {
        own(v, |b| fingerprint(b, mode(a)))
    })
    .with(0, &[ArgKind::Int]),
    Convert::new(
        "tcp.options_list",
        Type::Bin,
        Type::Bin,
        "Kinds of the options of a segment.",
        |_, v, _| own(v, kinds),
    ),
];

/// Rows.
pub const ROWS: &[Convert] = &{
    let mut all = [INTS[0]; INTS.len() + OTHERS.len()];
    let mut i = 0;
    while i < all.len() {
        all[i] = if i < INTS.len() { INTS[i] } else { OTHERS[i - INTS.len()] };
        i += 1;
    }
    all
};
