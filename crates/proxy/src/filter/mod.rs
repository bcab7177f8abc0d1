//! The filter chain (manual section 9): what is told of a stream at named points, sees the bytes of its bodies and says
//! how much of them goes on.
//!
//! [`config`] reads `filter` lines, a [`Chain`] holds a stream's instances, a [`Gate`] stands in one direction. A stream
//! of proxies without filters has no chain, and its directions have no gate.

pub mod bwlim;
mod chain;
pub mod config;
mod gate;
mod trace;

pub use chain::Chain;
pub use config::{FILTERS, FilterSet};
pub use gate::{Ended, Gate};

use portcullis_message::Head;
use portcullis_sample::Direction;
use portcullis_transport::Millis;
use std::time::Duration;

/// A point in a stream's life.
#[derive(Clone, Copy, Debug)]
pub enum Point<'a> {
    /// The stream is new to this filter: it begins, or the backend that has the filter was chosen.
    Attach,
    /// The stream begins. Filters of a backend do not hear of it.
    Start,
    /// A direction's message begins to be looked at.
    Begin,
    /// Before these rules are run.
    Before(Stage),
    /// After these rules were run, if the stream goes on.
    After(Stage),
    /// The backend was chosen: its name.
    Backend(&'a str),
    /// The head as it goes on.
    Head(&'a Head),
    /// The direction's last byte went on.
    End,
    /// The direction is over, however it ended.
    Finish,
    /// The stream ends. Filters of a backend do not hear of it.
    Stop,
    /// The stream leaves this filter.
    Detach,
}

/// Rules that a stream passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// `tcp-request content`, `http-request` and what belongs to them, of the frontend.
    Frontend,
    /// `use_backend`
    Switching,
    /// The same as of the frontend, of the backend.
    Backend,
    /// `tcp-response content`, `http-response`, `http-after-response`
    Response,
}

/// Where and when a filter is asked.
#[derive(Clone, Copy, Debug)]
pub struct At {
    /// The direction.
    pub direction: Direction,
    /// HTTP, or TCP?
    pub http: bool,
    /// The backend is known.
    pub routed: bool,
    /// Does the frontend have the filter, or the backend only?
    pub front: bool,
    /// Now.
    pub now: Millis,
    /// Wall clock since the Unix epoch.
    pub wall: Duration,
    /// The stream: its worker and slot, and which stream of its connection it is.
    pub stream: (u64, u64),
}

/// What a filter says at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// On.
    Continue,
    /// Not before this time; it is asked again then.
    Wait(Millis),
    /// The stream is over.
    End,
}

/// What a filter says about bytes of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// So many go on, at least one; it is asked again about the others.
    Bytes(usize),
    /// None before this time.
    Wait(Millis),
    /// The stream is over.
    End,
}

/// What a rule says to the filters of its stream.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// `set-bandwidth-limit`: the filter that it is for.
    pub limit: &'a std::sync::Arc<bwlim::Spec>,
    /// Bytes a period.
    pub bytes: u64,
    /// The period in milliseconds.
    pub period: u64,
}

/// One filter of one stream.
pub trait Filter {
    /// The stream is at this point.
    fn at(&mut self, _: &At, _: Point<'_>) -> Verdict {
        Verdict::Continue
    }
    /// These bytes of a direction's body are next; there is at least one.
    fn payload(&mut self, _: &At, bytes: &[u8]) -> Pass {
        Pass::Bytes(bytes.len())
    }
    /// A rule says this.
    fn order(&mut self, _: &Order<'_>) {}
}
