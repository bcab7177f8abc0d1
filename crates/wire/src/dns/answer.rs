//! Answers.

use super::{Kind, name};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Records of a message that are looked at; what comes behind them is left out.
pub const MAX_RECORDS: usize = 1024;
/// Longest chain of CNAME records.
const MAX_CHAIN: usize = 16;

/// It is not an answer that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid;

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// A, AAAA
    Address(IpAddr),
    /// CNAME
    Alias(String),
    /// SRV
    Service {
        /// Lower ones come first.
        priority: u16,
        /// Its share.
        weight: u16,
        /// The port.
        port: u16,
        /// The host.
        target: String,
    },
    /// TXT: its strings behind each other.
    Text(Vec<u8>),
}

/// A record. Names are in lower case, without a dot at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose.
    pub name: String,
    /// Seconds that it may be kept.
    pub ttl: u32,
    /// What.
    pub data: Data,
}

/// A message that somebody sent as an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The number of the question.
    pub id: u16,
    /// It says that it is a response.
    pub response: bool,
    /// It was cut.
    pub truncated: bool,
    /// `RCODE`: 0 is good, 3 no such name, 5 refused.
    pub code: u8,
    /// The question that is answered: name and type.
    pub question: Option<(String, u16)>,
    /// What is answered.
    pub answers: Vec<Record>,
    /// What may be wanted next.
    pub additional: Vec<Record>,
}

/// What an answer comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Empty {
    /// There is no record of that kind.
    Nothing,
    /// It ends with an alias.
    Alias,
    /// What is there does not belong to the name.
    Foreign,
}

struct Reader<'m> {
    message: &'m [u8],
    at: usize,
}

impl Reader<'_> {
    fn u16(&mut self) -> Result<u16, Invalid> {
        let bytes = self.message.get(self.at..self.at + 2).ok_or(Invalid)?;
        self.at += 2;
        Ok(bytes.iter().fold(0, |n, b| n << 8 | u16::from(*b)))
    }
    fn u32(&mut self) -> Result<u32, Invalid> {
        Ok(u32::from(self.u16()?) << 16 | u32::from(self.u16()?))
    }
    fn name(&mut self) -> Result<String, Invalid> {
        let (name, next) = name::read(self.message, self.at)?;
        self.at = next;
        Ok(name)
    }

    /// A record; `None`: it is of a kind that does not matter here.
    fn record(&mut self) -> Result<Option<Record>, Invalid> {
        // the name of an OPT record is the root's; others may be anything if the record does not matter
        let name = self.name()?;
        let (kind, class, ttl, length) = (self.u16()?, self.u16()?, self.u32()?, usize::from(self.u16()?));
        let end = self.at + length;
        let bytes = self.message.get(self.at..end).ok_or(Invalid)?;
        let data = match (kind, class) {
            (1, 1) => {
                let octets = <[u8; 4]>::try_from(bytes).map_err(|_| Invalid)?;
                Some(Data::Address(Ipv4Addr::from(octets).into()))
            }
            (28, 1) => {
                let octets = <[u8; 16]>::try_from(bytes).map_err(|_| Invalid)?;
                Some(Data::Address(Ipv6Addr::from(octets).into()))
            }
            (5, 1) => Some(Data::Alias(self.name()?)),
            (33, 1) => {
                let (priority, weight, port) = (self.u16()?, self.u16()?, self.u16()?);
                Some(Data::Service { priority, weight, port, target: self.name()? })
            }
            (16, 1) => Some(Data::Text(strings(bytes)?)),
            _ => None,
        };
        // a name may be shorter than the record, but not longer
        if self.at > end {
            return Err(Invalid);
        }
        self.at = end;
        Ok(data.map(|data| Record { name, ttl, data }))
    }
}

/// What the strings of a TXT record say together (RFC 1035 section 3.3.14).
fn strings(mut bytes: &[u8]) -> Result<Vec<u8>, Invalid> {
    let mut out = Vec::new();
    while let Some((length, rest)) = bytes.split_first() {
        let (string, rest) = rest.split_at_checked(usize::from(*length)).ok_or(Invalid)?;
        out.extend_from_slice(string);
        bytes = rest;
    }
    Ok(out)
}

impl Message {
    /// Reads a message.
    ///
    /// # Errors
    /// It is cut or makes no sense.
    pub fn parse(message: &[u8]) -> Result<Self, Invalid> {
        let mut reader = Reader { message, at: 0 };
        let (id, flags) = (reader.u16()?, reader.u16()?);
        let counts = [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
        let mut out = Self {
            id,
            response: flags & 0x8000 != 0,
            truncated: flags & 0x0200 != 0,
            code: (flags & 0x000f) as u8,
            ..Self::default()
        };
        // who has no good answer, or not all of it, need not repeat the question
        let whole = out.code == 0 && !out.truncated;
        match counts[0] {
            0 => {}
            1 => {
                let name = reader.name()?;
                let kind = reader.u16()?;
                let _class = reader.u16()?;
                out.question = Some((name, kind));
            }
            _ => return Err(Invalid),
        }
        if !whole {
            return Ok(out);
        }
        let mut left = MAX_RECORDS;
        for (section, count) in counts.iter().enumerate().skip(1) {
            for _ in 0..*count {
                let Some(fewer) = left.checked_sub(1) else { return Ok(out) };
                left = fewer;
                let record = match reader.record() {
                    Ok(record) => record,
                    // what was wanted has been read
                    Err(Invalid) if section > 1 => return Ok(out),
                    Err(Invalid) => return Err(Invalid),
                };
                match (section, record) {
                    (1, Some(record)) => out.answers.push(record),
                    (3, Some(record)) => out.additional.push(record),
                    _ => {}
                }
            }
        }
        Ok(out)
    }

    /// Does it answer this question? `name` is in lower case.
    #[must_use]
    pub fn answers(&self, id: u16, name: &str, kind: Kind) -> bool {
        let asked = match &self.question {
            Some((of, number)) => of == name && *number == kind.number(),
            // some do not repeat what they do not understand
            None => self.code != 0,
        };
        self.response && self.id == id && asked
    }

    /// The records of this kind that the name has in the end, aliases followed.
    ///
    /// # Errors
    /// There is none.
    pub fn settle(&self, name: &str, kind: Kind) -> Result<Vec<&Record>, Empty> {
        let mut of = name;
        let mut followed = false;
        for _ in 0..MAX_CHAIN {
            let alias = self.answers.iter().find_map(|r| match &r.data {
                Data::Alias(to) if r.name == of => Some(to.as_str()),
                _ => None,
            });
            let Some(to) = alias else { break };
            (of, followed) = (to, true);
        }
        let fits = |r: &&Record| {
            r.name == of
                && match (&r.data, kind) {
                    (Data::Address(ip), Kind::A) => ip.is_ipv4(),
                    (Data::Address(ip), Kind::Aaaa) => ip.is_ipv6(),
                    (Data::Service { .. }, Kind::Srv) | (Data::Text(_), Kind::Txt) => true,
                    _ => false,
                }
        };
        let found: Vec<&Record> = self.answers.iter().filter(fits).collect();
        match found.is_empty() {
            false => Ok(found),
            true if followed => Err(Empty::Alias),
            true if self.answers.is_empty() => Err(Empty::Nothing),
            true => Err(Empty::Foreign),
        }
    }

    /// The texts that the name has in the end. `name` is in lower case.
    #[must_use]
    pub fn texts(&self, name: &str) -> Vec<Vec<u8>> {
        let records = self.settle(name, Kind::Txt).unwrap_or_default();
        let text = |r: &Record| match &r.data {
            Data::Text(text) => Some(text.clone()),
            _ => None,
        };
        records.into_iter().filter_map(text).collect()
    }

    /// An address of this host among the additional records, of the preferred family if there is one.
    #[must_use]
    pub fn address_of(&self, host: &str, takes: impl Fn(IpAddr) -> Option<u8>) -> Option<IpAddr> {
        let of = |r: &Record| match r.data {
            Data::Address(ip) if r.name == host => Some(ip),
            _ => None,
        };
        let ranked = self.additional.iter().filter_map(of).filter_map(|ip| Some((takes(ip)?, ip)));
        ranked.min_by_key(|(rank, _)| *rank).map(|(_, ip)| ip)
    }
}
