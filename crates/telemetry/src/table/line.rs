//! One line of statistics about a frontend, listener, server or backend: every column that it has.

use super::columns::{COLUMNS, Col};
use super::value::Value;
use crate::muxes::Muxes;
use crate::stats::{Times, mean};
use std::borrow::Cow;

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A frontend.
    Frontend = 0,
    /// A backend.
    Backend = 1,
    /// A server.
    Server = 2,
    /// A `bind` address.
    Listener = 3,
}

impl Kind {
    /// In the typed format.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::Frontend => 'F',
            Self::Backend => 'B',
            Self::Server => 'S',
            Self::Listener => 'L',
        }
    }
    /// In the JSON format.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Frontend => "Frontend",
            Self::Backend => "Backend",
            Self::Server => "Server",
            Self::Listener => "Listener",
        }
    }
}

/// A line.
pub struct Line {
    /// What it is about.
    pub kind: Kind,
    /// The proxy's id.
    pub iid: u32,
    /// The server's or listener's id; 0 for others.
    pub sid: u32,
    /// Values with their tags, by column.
    pub cells: Vec<Option<(Value, &'static str)>>,
}

impl Line {
    /// A line with its names and numbers.
    #[must_use]
    pub fn new(kind: Kind, proxy: (&str, u32), name: Cow<'static, str>, sid: u32) -> Self {
        let (proxy, iid) = proxy;
        let mut line = Self { kind, iid, sid, cells: vec![None; COLUMNS.len()] };
        line.put(Col::Pxname, Value::text(proxy));
        line.put(Col::Svname, Value::Text(name));
        line.num(Col::Pid, 1);
        line.num(Col::Iid, iid);
        line.num(Col::Sid, sid);
        line.num(Col::Type, kind as u32);
        line
    }
    /// What a column has, if it has something.
    #[must_use]
    pub fn get(&self, col: Col) -> Option<&Value> {
        self.cells.get(col as usize)?.as_ref().map(|c| &c.0)
    }
    /// Sets a column.
    pub fn put(&mut self, col: Col, value: Value) {
        let tag = COLUMNS.get(col as usize).map_or("????", |c| c.tag);
        self.tagged(col, value, tag);
    }
    /// Sets a column that is another kind of number than others of its name.
    pub fn tagged(&mut self, col: Col, value: Value, tag: &'static str) {
        if let Some(cell) = self.cells.get_mut(col as usize) {
            *cell = Some((value, tag));
        }
    }
    /// Sets a column to a small number.
    pub fn num(&mut self, col: Col, n: u32) {
        self.put(col, Value::U32(n));
    }
    /// Sets a column to a counter.
    pub fn big(&mut self, col: Col, n: u64) {
        self.put(col, Value::U64(n));
    }
    /// Sets a column to a number that is cut to what a small one holds.
    pub fn rate(&mut self, col: Col, n: u64) {
        self.num(col, u32::try_from(n).unwrap_or(u32::MAX));
    }
    /// Bytes: `bin`, `bout`, `reqbin`, `reqbout`, `resbin`, `resbout`.
    pub fn bytes(&mut self, of: [u64; 6]) {
        let cols = [Col::Bin, Col::Bout, Col::Reqbin, Col::Reqbout, Col::Resbin, Col::Resbout];
        cols.into_iter().zip(of).for_each(|(c, n)| self.big(c, n));
    }
    /// Responses by class.
    pub fn statuses(&mut self, of: [u64; 6]) {
        let cols = [Col::Hrsp1xx, Col::Hrsp2xx, Col::Hrsp3xx, Col::Hrsp4xx, Col::Hrsp5xx, Col::HrspOther];
        cols.into_iter().zip(of).for_each(|(c, n)| self.big(c, n));
    }
    /// Mean and highest times.
    pub fn times<'t>(&mut self, all: impl Fn() -> Box<dyn Iterator<Item = &'t Times> + 't>) {
        let highest = |pick: fn(&Times) -> u64| all().map(pick).max().unwrap_or(0);
        self.rate(Col::Qtime, mean(all(), |t| &t.queue));
        self.rate(Col::Ctime, mean(all(), |t| &t.connect));
        self.rate(Col::Rtime, mean(all(), |t| &t.response));
        self.rate(Col::Ttime, mean(all(), |t| &t.total));
        self.rate(Col::QtimeMax, highest(|t| t.queue_max.get()));
        self.rate(Col::CtimeMax, highest(|t| t.connect_max.get()));
        self.rate(Col::RtimeMax, highest(|t| t.response_max.get()));
        self.rate(Col::TtimeMax, highest(|t| t.total_max.get()));
    }
    /// HTTP/1 and HTTP/2 protocol counters, for the sides that speak them.
    pub fn muxes(&mut self, muxes: &Muxes) {
        let cols = Col::H2HeadersRcvd as usize..=Col::H2BackendTotalStreams as usize;
        for (at, n) in cols.zip(muxes.h2.0) {
            if let (Some(cell), Some(c)) = (self.cells.get_mut(at), COLUMNS.get(at)) {
                *cell = Some((Value::U64(n), c.tag));
            }
        }
        let cols = [
            Col::H1OpenConnections,
            Col::H1OpenStreams,
            Col::H1TotalConnections,
            Col::H1TotalStreams,
            Col::H1BytesIn,
            Col::H1BytesOut,
            Col::H1SplicedBytesIn,
            Col::H1SplicedBytesOut,
        ];
        cols.into_iter().zip(muxes.h1).for_each(|(c, n)| self.big(c, n));
    }
    /// Compression, which there is none of.
    pub fn compression(&mut self) {
        for c in [Col::CompIn, Col::CompOut, Col::CompByp, Col::CompRsp] {
            self.big(c, 0);
        }
    }
    /// Caches, which there are none of.
    pub fn cache(&mut self) {
        for c in [Col::CacheLookups, Col::CacheHits, Col::CacheHintHits] {
            self.big(c, 0);
        }
    }
}
