//! What an expression is evaluated on.

use crate::facts::Facts;
use portcullis_message::{Head, Version};
use portcullis_wire::h1::{Limits, Parsed, parse_request};
use portcullis_wire::h2::frame::PREFACE;
use std::any::Any;
use std::cell::{Cell, OnceCell};
use std::time::Duration;

/// A worker's source of random numbers for samples (`rand`); not for secrets. xorshift64*.
#[derive(Debug)]
pub struct Random(Cell<u64>);

impl Random {
    /// From a seed; any will do.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Cell::new(seed | 1))
    }
    /// The next 64 bits.
    pub fn next(&self) -> u64 {
        let mut x = self.0.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.0.set(x);
        x.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
}

/// Received bytes that are in the buffer.
#[derive(Clone, Copy, Debug)]
pub struct Payload<'a> {
    /// The bytes so far.
    pub bytes: &'a [u8],
    /// More may come: the end was not seen and the buffer has room.
    pub may_grow: bool,
}

/// A message's head as far as it is there.
#[derive(Clone, Copy, Debug, Default)]
pub enum Message<'a> {
    /// There is none, and none will come (or it is gone, or the stream is not HTTP).
    #[default]
    None,
    /// It may still come.
    Pending,
    /// It is here.
    Here(&'a Head),
    /// These bytes of a TCP stream may begin with one.
    Bytes(&'a Unread, Payload<'a>),
}

/// A request's head that is read from the bytes of a TCP stream once a sample asks for it.
#[derive(Clone, Debug, Default)]
pub struct Unread(OnceCell<Box<Head>>);

impl Unread {
    fn of<'a>(&'a self, payload: Payload<'a>) -> Message<'a> {
        if let Some(head) = self.0.get() {
            return Message::Here(head);
        }
        let mut head = Box::<Head>::default();
        if payload.bytes.starts_with(b"PRI ") {
            // all that can be seen of HTTP/2
            return match (payload.bytes.starts_with(PREFACE), PREFACE.starts_with(payload.bytes)) {
                (true, _) => {
                    head.set_request(b"PRI", b"*", Version { major: 2, minor: 0 });
                    Message::Here(self.0.get_or_init(|| head))
                }
                (false, true) if payload.may_grow => Message::Pending,
                (false, _) => Message::None,
            };
        }
        let limits = Limits { max_fields: 101, relaxed: false, any_method_payload: true };
        match parse_request(payload.bytes, &limits, &mut head) {
            Ok(Parsed::Complete(..)) => Message::Here(self.0.get_or_init(|| head)),
            Ok(Parsed::Partial) if payload.may_grow => Message::Pending,
            Ok(Parsed::Partial) | Err(_) => Message::None,
        }
    }
}

impl<'a> Message<'a> {
    /// What it is after the bytes of a TCP stream were read as a request.
    #[inline]
    #[must_use]
    pub fn read(self) -> Self {
        match self {
            Self::Bytes(unread, payload) => unread.of(payload),
            other => other,
        }
    }
    /// The bytes of a TCP stream.
    #[must_use]
    pub fn bytes(self) -> Option<Payload<'a>> {
        match self {
            Self::Bytes(_, payload) => Some(payload),
            _ => None,
        }
    }
    /// The head, if it is here.
    #[inline]
    #[must_use]
    pub fn head(self) -> Option<&'a Head> {
        match self {
            Self::Here(h) => Some(h),
            _ => None,
        }
    }
}

/// A request line as received, which rules do not change.
#[derive(Clone, Debug, Default)]
pub struct RequestLine {
    /// Method, target and version, one behind the other.
    pub bytes: Vec<u8>,
    /// Where the target and the version begin.
    pub at: (usize, usize),
}

impl RequestLine {
    /// Method, target, version; empty while there is none.
    #[must_use]
    pub fn parts(&self) -> [&[u8]; 3] {
        let (a, b) = self.at;
        let part = |range: std::ops::Range<usize>| self.bytes.get(range).unwrap_or(&[]);
        [part(0..a), part(a..b), part(b..self.bytes.len())]
    }
    /// Forgets it, but not its room.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.at = (0, 0);
    }
}

/// Which direction the rule set that evaluates looks at; `hdr`, `payload` and others follow it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// From the client.
    #[default]
    Request,
    /// From the server.
    Response,
}

/// What an expression is evaluated on: references only, cheap to make for each rule set.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// Wall clock since the Unix epoch.
    pub wall: Duration,
    /// The worker's monotonic clock.
    pub monotonic: Duration,
    /// The worker's random numbers.
    pub random: &'a Random,
    /// What is known of the session and stream.
    pub facts: &'a Facts<'a>,
    /// The direction of the rule set.
    pub direction: Direction,
    /// Head of the request.
    pub request: Message<'a>,
    /// Head of the response.
    pub response: Message<'a>,
    /// The request line as received, where there is a request.
    pub line: Option<&'a RequestLine>,
    /// Layer 6: for TCP everything received from the client and not yet forwarded, for HTTP the body so far.
    pub request_bytes: Option<Payload<'a>>,
    /// The same from the server.
    pub response_bytes: Option<Payload<'a>>,
    /// Inspection is over (`WAIT_END`): the delay has passed, the buffer is full, or all is there.
    pub last_call: bool,
    /// What higher rooms need for fetches of their own.
    pub ext: &'a dyn Any,
}

impl<'a> Scope<'a> {
    /// Method, target and version of the request as received; empty: there was no valid request.
    #[must_use]
    pub fn request_line(&self) -> [&'a [u8]; 3] {
        self.line.map_or([b"", b"", b""], RequestLine::parts)
    }

    /// The stream's unique id, made when it is first asked for.
    #[must_use]
    pub fn unique_id(&self) -> Option<&'a [u8]> {
        if let Some(id) = self.facts.unique_id.get() {
            return Some(id);
        }
        let format = self.facts.unique_id_format?;
        // the format itself may ask for the id, which is not there yet
        let facts = Facts { unique_id_format: None, ..self.facts.clone() };
        let mut id = Vec::new();
        format.run(&Scope { facts: &facts, ..*self }, &mut id);
        Some(self.facts.unique_id.get_or_init(|| id.into()))
    }

    /// Layer 6 of this direction, where no message of HTTP was made of it.
    #[inline]
    #[must_use]
    pub fn raw(&self, direction: Direction) -> Option<Payload<'a>> {
        let (message, bytes) = match direction {
            Direction::Request => (self.request, self.request_bytes),
            Direction::Response => (self.response, self.response_bytes),
        };
        bytes.filter(|_| message.head().is_none())
    }

    /// With nothing but facts.
    #[must_use]
    pub fn new(facts: &'a Facts<'a>, random: &'a Random) -> Self {
        Self {
            wall: facts.now,
            monotonic: Duration::ZERO,
            random,
            facts,
            direction: Direction::Request,
            request: Message::None,
            response: Message::None,
            line: None,
            request_bytes: None,
            response_bytes: None,
            last_call: false,
            ext: &(),
        }
    }
}
