//! How a backend balances: what `balance`, `hash-type` and their kin said (manual section 4.2).

/// All that is said about balancing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balancing {
    /// `balance`
    pub algorithm: Algorithm,
    /// `hash-type`
    pub hash: HashType,
    /// `hash-balance-factor` in percent; 0: no bound.
    pub factor: u32,
    /// `hash-preserve-affinity`
    pub affinity: Affinity,
}

/// `balance`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// None was said: like `random(1)`.
    #[default]
    Unsaid,
    /// `roundrobin`
    RoundRobin,
    /// `static-rr`
    StaticRoundRobin,
    /// `leastconn`
    LeastConn,
    /// `first`
    First,
    /// `random(draws)`; at least 1.
    Random(u32),
    /// `sticky`
    Sticky,
    /// `source`
    Source,
    /// `uri`
    Uri(UriPart),
    /// `url_param`
    UrlParam(Box<[u8]>),
    /// `hdr(name)`: the name in lower case.
    Header {
        /// Which field.
        name: Box<[u8]>,
        /// `use_domain_only`
        domain_only: bool,
    },
    /// `rdp-cookie(name)`
    RdpCookie(Box<[u8]>),
    /// `hash`; a higher room keeps the expression, this is its text.
    Hash(Box<[u8]>),
    /// `log-hash`; a higher room keeps the converters, this is their text.
    LogHash(Box<[u8]>),
}

impl Algorithm {
    /// What statistics call it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            // as 3.5 has it
            Self::Unsaid | Self::Random(_) | Self::Sticky => "unknown",
            Self::RoundRobin => "roundrobin",
            Self::StaticRoundRobin => "static-rr",
            Self::LeastConn => "leastconn",
            Self::First => "first",
            Self::Source => "source",
            Self::Uri(_) => "uri",
            Self::UrlParam(_) => "url_param",
            Self::Header { .. } => "hdr",
            Self::RdpCookie(_) => "rdp-cookie",
            Self::Hash(_) => "hash",
            Self::LogHash(_) => "log-hash",
        }
    }

    /// Does it choose by a key of the request?
    #[must_use]
    pub fn has_key(&self) -> bool {
        matches!(
            self,
            Self::Source
                | Self::Uri(_)
                | Self::UrlParam(_)
                | Self::Header { .. }
                | Self::RdpCookie(_)
                | Self::Hash(_)
        )
    }
}

/// What of the URI `balance uri` looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UriPart {
    /// `len`; 0: all.
    pub len: u32,
    /// `depth`; 0: all.
    pub depth: u32,
    /// `whole`: the query string too.
    pub whole: bool,
    /// `path-only`
    pub path_only: bool,
}

/// `hash-type`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HashType {
    /// `consistent`; else `map-based`.
    pub consistent: bool,
    /// Of keys.
    pub function: HashFunction,
    /// `avalanche`
    pub avalanche: bool,
}

/// The function of `hash-type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HashFunction {
    /// `sdbm`
    #[default]
    Sdbm,
    /// `djb2`
    Djb2,
    /// `wt6`
    Wt6,
    /// `crc32`
    Crc32,
    /// `none`: the key is a number.
    None,
}

/// `hash-preserve-affinity`: which servers a key leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Affinity {
    /// None.
    #[default]
    Always,
    /// Those that are at their `maxconn`.
    Maxconn,
    /// Those whose queue is full.
    Maxqueue,
}

/// `hash-key`: what a server's places on the ring are made from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HashKey {
    /// `id`
    #[default]
    Id,
    /// `id32`
    Id32,
    /// `guid`
    Guid,
    /// `addr`
    Addr,
    /// `addr-port`
    AddrPort,
}
