//! DNS messages (RFC 1035) with TXT records, EDNS (RFC 6891), AAAA (RFC 3596) and SRV (RFC 2782) records: questions out, answers in.
//! What an answer names is followed through its CNAME records ([`Message::settle`]); nothing is asked again here.

mod answer;
mod name;
mod query;

pub use answer::{Data, Empty, Invalid, MAX_RECORDS, Message, Record};
pub use name::{MAX_NAME, fold};
pub use query::query;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Services.
    Srv,
    /// Texts.
    Txt,
}

impl Kind {
    /// Its number.
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            Self::A => 1,
            Self::Aaaa => 28,
            Self::Srv => 33,
            Self::Txt => 16,
        }
    }
}

#[cfg(test)]
mod tests;
