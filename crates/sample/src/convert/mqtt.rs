//! MQTT 3.1, 3.1.1 and 5.0: the CONNECT and CONNACK packets.

use super::bytes;
use crate::args::{Arg, ArgKind, Args};
use crate::row::Convert;
use crate::value::{Sample, Type, Value};
use std::borrow::Cow;

/// What of a packet is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Flags,
    ProtocolName,
    ProtocolVersion,
    ClientId,
    WillTopic,
    WillPayload,
    Username,
    Password,
    Keepalive,
    ReasonCode,
    Property(u8),
}

const CONNECT: u8 = 1;
const CONNACK: u8 = 2;
const TYPES: [&str; 15] = [
    "CONNECT",
    "CONNACK",
    "PUBLISH",
    "PUBACK",
    "PUBREC",
    "PUBREL",
    "PUBCOMP",
    "SUBSCRIBE",
    "SUBACK",
    "UNSUBSCRIBE",
    "UNSUBACK",
    "PINGREQ",
    "PINGRESP",
    "DISCONNECT",
    "AUTH",
];
const OF_CONNECT: [(&str, Wanted); 9] = [
    ("flags", Wanted::Flags),
    ("protocol_name", Wanted::ProtocolName),
    ("protocol_version", Wanted::ProtocolVersion),
    ("client_identifier", Wanted::ClientId),
    ("will_topic", Wanted::WillTopic),
    ("will_payload", Wanted::WillPayload),
    ("username", Wanted::Username),
    ("password", Wanted::Password),
    ("keepalive", Wanted::Keepalive),
];
const OF_CONNACK: [(&str, Wanted); 3] = [
    ("flags", Wanted::Flags),
    ("protocol_version", Wanted::ProtocolVersion),
    ("reason_code", Wanted::ReasonCode),
];

fn check(args: &mut Args) -> Result<(), String> {
    let (kind, name) = (
        String::from_utf8_lossy(args.text(0)).into_owned(),
        String::from_utf8_lossy(args.text(1)).into_owned(),
    );
    let number = TYPES
        .iter()
        .position(|t| t.eq_ignore_ascii_case(&kind))
        .map(|i| i + 1)
        .or_else(|| kind.parse().ok().filter(|n| (1..=15).contains(n)))
        .ok_or_else(|| format!("Unknown MQTT type '{kind}'"))?;
    let names: &[_] = match number {
        1 => &OF_CONNECT,
        2 => &OF_CONNACK,
        _ => &[],
    };
    let wanted = names
        .iter()
        .find(|(n, _)| n.eq_ignore_ascii_case(&name))
        .map(|(_, w)| *w)
        .or_else(|| name.parse().ok().filter(|n: &u8| property_size(*n).is_some()).map(Wanted::Property))
        .ok_or_else(|| format!("Unknown MQTT field name '{name}' for packet type '{kind}'"))?;
    args.0 = vec![Arg::Made(std::sync::Arc::new((number as u8, wanted)))];
    Ok(())
}

/// How a property is stored.
#[derive(Clone, Copy, Debug)]
enum Size {
    Bytes(usize),
    Varint,
    /// A string or block with its length before it.
    Counted,
    /// Two of them.
    Pair,
}

fn property_size(id: u8) -> Option<Size> {
    Some(match id {
        1 | 23 | 25 | 36 | 37 | 40 | 41 | 42 => Size::Bytes(1),
        19 | 33 | 34 => Size::Bytes(2),
        2 | 17 | 24 | 39 => Size::Bytes(4),
        11 => Size::Varint,
        3 | 8 | 9 | 18 | 21 | 22 | 26 | 28 | 31 => Size::Counted,
        38 => Size::Pair,
        _ => return None,
    })
}

/// Reads from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }
    fn number(&mut self, n: usize) -> Option<u64> {
        Some(self.take(n)?.iter().fold(0, |v, b| v << 8 | u64::from(*b)))
    }
    fn varint(&mut self) -> Option<usize> {
        let mut n = 0;
        for i in 0..4 {
            let b = *self.take(1)?.first()?;
            n |= usize::from(b & 0x7F) << (7 * i);
            if b & 0x80 == 0 {
                return Some(n);
            }
        }
        None
    }
    fn counted(&mut self) -> Option<&'a [u8]> {
        let n = self.number(2)?;
        self.take(n as usize)
    }
}

/// What a field holds.
enum Held<'a> {
    Bytes(&'a [u8]),
    Number(u64),
}

/// What a packet holds. `Err`: it is no valid packet.
struct Packet<'a> {
    kind: u8,
    fields: Vec<(Wanted, Held<'a>)>,
}

fn properties<'a>(r: &mut Reader<'a>, fields: &mut Vec<(Wanted, Held<'a>)>, will: bool) -> Option<()> {
    let len = r.varint()?;
    let mut p = Reader(r.take(len)?);
    while !p.0.is_empty() {
        let id = p.number(1)? as u8;
        let held = match property_size(id)? {
            Size::Bytes(n) => Held::Number(p.number(n)?),
            Size::Varint => Held::Number(p.varint()? as u64),
            Size::Counted => Held::Bytes(p.counted()?),
            Size::Pair => {
                p.counted()?;
                p.counted()?;
                continue;
            }
        };
        // 18 is the client's identifier in CONNACK, 24 the will's delay
        let _ = will;
        fields.push((Wanted::Property(id), held));
    }
    Some(())
}

fn connect<'a>(mut r: Reader<'a>) -> Option<Vec<(Wanted, Held<'a>)>> {
    let name = r.counted()?;
    let version = r.number(1)?;
    let right = match version {
        3 => name == b"MQIsdp" || name == b"MQTT",
        4 | 5 => name == b"MQTT",
        _ => false,
    };
    if !right {
        return None;
    }
    let flags = r.number(1)?;
    if flags & 1 != 0 || flags & 0x18 == 0x18 {
        return None;
    }
    let will = flags & 4 != 0;
    if !will && flags & 0x38 != 0 {
        return None;
    }
    let mut f = vec![
        (Wanted::ProtocolName, Held::Bytes(name)),
        (Wanted::ProtocolVersion, Held::Number(version)),
        (Wanted::Flags, Held::Number(flags)),
        (Wanted::Keepalive, Held::Number(r.number(2)?)),
    ];
    if version == 5 {
        properties(&mut r, &mut f, false)?;
    }
    f.push((Wanted::ClientId, Held::Bytes(r.counted()?)));
    if will {
        if version == 5 {
            properties(&mut r, &mut f, true)?;
        }
        f.push((Wanted::WillTopic, Held::Bytes(r.counted()?)));
        f.push((Wanted::WillPayload, Held::Bytes(r.counted()?)));
    }
    if flags & 0x80 != 0 {
        f.push((Wanted::Username, Held::Bytes(r.counted()?)));
    }
    if flags & 0x40 != 0 {
        f.push((Wanted::Password, Held::Bytes(r.counted()?)));
    }
    r.0.is_empty().then_some(f)
}

fn connack<'a>(mut r: Reader<'a>) -> Option<Vec<(Wanted, Held<'a>)>> {
    let flags = r.number(1)?;
    if flags & !1 != 0 {
        return None;
    }
    let reason = r.number(1)?;
    let version = if r.0.is_empty() { 4 } else { 5 };
    let mut f = vec![
        (Wanted::Flags, Held::Number(flags)),
        (Wanted::ReasonCode, Held::Number(reason)),
        (Wanted::ProtocolVersion, Held::Number(version)),
    ];
    if version == 5 {
        properties(&mut r, &mut f, false)?;
    }
    r.0.is_empty().then_some(f)
}

/// Does it begin like a packet of any kind? Each has flags of its own.
fn begins(b: &[u8]) -> bool {
    let Some(first) = b.first().filter(|_| b.len() > 1) else { return true };
    match (first >> 4, first & 15) {
        (0, _) => false,
        (3, _) => true,
        (6 | 8 | 10, flags) => flags == 2,
        (_, flags) => flags == 0,
    }
}

/// Is the packet there to its end?
fn whole(b: &[u8]) -> bool {
    let mut r = Reader(b);
    r.number(1).and_then(|_| r.varint()).is_some_and(|len| r.0.len() >= len)
}

/// Reads a packet; `None`: it is none, or not whole.
fn packet(b: &[u8]) -> Option<Packet<'_>> {
    let mut r = Reader(b);
    let first = r.number(1)?;
    let kind = (first >> 4) as u8;
    let len = r.varint()?;
    let body = Reader(r.take(len)?);
    let fields = match kind {
        CONNECT if first & 15 == 0 => connect(body)?,
        CONNACK if first & 15 == 0 => connack(body)?,
        _ => return None,
    };
    Some(Packet { kind, fields })
}

fn value<'s>(a: &Args, v: Value<'s>) -> Sample<'s> {
    let (Some(b), Some((kind, wanted))) = (bytes(v), a.made::<(u8, Wanted)>(0)) else {
        return Sample::Missing;
    };
    let Some(p) = packet(&b).filter(|p| p.kind == *kind) else { return Sample::Missing };
    let five = p.fields.iter().any(|(w, h)| *w == Wanted::ProtocolVersion && matches!(h, Held::Number(5)));
    let absent = match wanted {
        // numbers that a version 5 packet does not have are 0
        Wanted::Property(id) if five && !matches!(property_size(*id), Some(Size::Counted | Size::Pair)) => {
            Some(b"0".to_vec())
        }
        _ => None,
    };
    let held = p.fields.into_iter().find(|(w, _)| w == wanted).map(|(_, h)| match h {
        Held::Bytes(b) => b.to_vec(),
        Held::Number(n) => n.to_string().into_bytes(),
    });
    held.or(absent).map(|h| Value::Bin(Cow::Owned(h))).into()
}

/// Rows.
pub const ROWS: &[Convert] = &[
    Convert::new("mqtt_is_valid", Type::Bin, Type::Bool, "Is it an MQTT CONNECT or CONNACK?", |_, v, _| {
        let Some(b) = bytes(v) else { return Sample::Missing };
        // what may still become a packet is not known yet
        (!begins(&b) || whole(&b)).then(|| Value::Bool(packet(&b).is_some())).into()
    }),
    Convert::new("mqtt_field_value", Type::Bin, Type::Str, "A field of an MQTT packet.", |a, v, _| {
        value(a, v)
    })
    .with(2, &[ArgKind::Str, ArgKind::Str])
    .checked(check),
];
