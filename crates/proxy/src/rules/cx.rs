//! What rules run on, what they leave behind, and how a rule set ends.

use super::lang::{Direction, Facts, Message, Payload, Random, Scope};
use crate::filter::Chain;
use crate::plan::ProxyPlan;
use crate::reply::{Answer, Pages};
use crate::worker::Worker;
use portcullis_config::Proto;
use portcullis_message::Head;
use portcullis_sample::work::Pending;
use portcullis_sample::{RequestLine, Unread};
use portcullis_transport::clock::Millis;
use std::any::Any;
use std::cell::RefCell;
use std::time::Duration;

/// Where in a rule set a stream is; a new one for each set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The next rule, or the one that waits.
    pub index: usize,
    /// `strict-mode off` is in force.
    pub lax: bool,
    /// The condition of the rule at `index` was true already; its action waits.
    pub entered: bool,
    /// Until when the waiting action waits.
    pub deadline: Option<Millis>,
}

/// How much of a message's body has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BodyState {
    /// Bytes so far.
    pub received: u64,
    /// Nothing more will come.
    pub complete: bool,
    /// Nothing more fits.
    pub full: bool,
    /// Bytes that the buffer takes.
    pub room: usize,
}

/// What rules have changed beside the heads; a stream keeps one.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    /// `expect-proxy layer4` was executed.
    pub expect_proxy: bool,
    /// `expect-netscaler-cip layer4` was executed.
    pub expect_netscaler_cip: bool,
    /// `set-log-level`: inside, `None` is silent.
    pub log_level: Option<Option<u8>>,
    /// `disable-l7-retry`
    pub no_l7_retry: bool,
    /// Rewrites that failed; the caller counts them.
    pub failed_rewrites: u32,
    /// What is to be done to the client's connection; the caller does it whenever `run` returns
    /// ([`super::socket::ClientSide::apply`]).
    pub client: super::socket::ClientSide,
    /// 103 responses that are to be sent to the client now, each complete. The caller takes them whenever `run`
    /// returns.
    pub hints: Vec<Head>,
    /// `attach-srv`: the server that the connection goes to.
    pub attached: Option<Box<super::attach::Attached>>,
    /// What a rule waits for ([`Wait::Remote`]).
    pub remote: Option<std::rc::Rc<super::do_resolve::Remote>>,
}

/// What rules run on.
pub struct RuleCx<'a, 'f> {
    /// What is known of the stream; `set-src` and the like change it.
    pub facts: &'a mut Facts<'f>,
    /// The worker's random numbers.
    pub random: &'a Random,
    /// Now.
    pub now: Millis,
    /// Wall clock since the Unix epoch.
    pub wall: Duration,
    /// Does the rule set look at the request or at the response?
    pub direction: Direction,
    /// The request, while it is there.
    pub request: Option<&'a mut Head>,
    /// The response, while it is there.
    pub response: Option<&'a mut Head>,
    /// The request line as received.
    pub line: Option<&'a RequestLine>,
    /// A head that is not there yet may still come (`tcp-request content` in front of HTTP).
    pub head_pending: bool,
    /// What the bytes from the client are as a request, where they are TCP.
    pub unread: Option<&'a Unread>,
    /// Bytes from the client: all of TCP, the body of HTTP.
    pub request_bytes: Option<Payload<'a>>,
    /// Bytes from the server.
    pub response_bytes: Option<Payload<'a>>,
    /// Rules whose condition can't be decided yet are waited for (`tcp-request content`, `tcp-response content`).
    pub inspecting: bool,
    /// Inspection is over: what is not decidable is false.
    pub last_call: bool,
    /// What higher rooms need for fetches of their own.
    pub ext: &'a dyn Any,
    /// Who logs where (`do-log`).
    pub log: Option<(&'a Worker, &'a ProxyPlan)>,
    /// Error pages of the proxies.
    pub pages: Pages<'a>,
    /// What rules leave behind.
    pub effects: &'a mut Effects,
    /// The filters of the stream.
    pub filters: Option<&'a RefCell<Chain>>,
    /// Largest head in bytes (`tune.bufsize`).
    pub limit: usize,
    /// How much of the body has come, for `wait-for-body`.
    pub body: BodyState,
}

impl RuleCx<'_, '_> {
    /// What expressions are evaluated on.
    #[inline]
    #[must_use]
    pub fn scope(&self) -> Scope<'_> {
        Scope {
            wall: self.wall,
            monotonic: Duration::from_millis(self.now.0),
            random: self.random,
            facts: self.facts,
            direction: self.direction,
            request: match (self.unread, self.request_bytes) {
                (Some(unread), Some(bytes)) => Message::Bytes(unread, bytes),
                _ => message(self.request.as_deref(), self.head_pending),
            },
            response: message(
                self.response.as_deref(),
                self.head_pending && self.direction == Direction::Response,
            ),
            line: self.line,
            request_bytes: self.request_bytes,
            response_bytes: self.response_bytes,
            last_call: self.last_call,
            ext: self.ext,
        }
    }

    /// Makes something with the stream's status and end as they will be: those of a rule on its request or its response.
    pub(super) fn ending<T>(
        &mut self,
        status: u16,
        [request, response]: [[u8; 2]; 2],
        make: impl FnOnce(&Self) -> T,
    ) -> T {
        let before = (self.facts.status, self.facts.termination);
        self.facts.status = status.into();
        self.facts.termination[..2].copy_from_slice(match self.direction {
            Direction::Request => &request,
            Direction::Response => &response,
        });
        let made = make(self);
        (self.facts.status, self.facts.termination) = before;
        made
    }

    /// The head that the rule set is about.
    pub(super) fn head(&mut self) -> Option<&mut Head> {
        match self.direction {
            Direction::Request => self.request.as_deref_mut(),
            Direction::Response => self.response.as_deref_mut(),
        }
    }
}

fn message(head: Option<&Head>, pending: bool) -> Message<'_> {
    match head {
        Some(head) => Message::Here(head),
        None if pending => Message::Pending,
        None => Message::None,
    }
}

/// What a suspended rule waits for.
#[derive(Debug)]
pub enum Wait {
    /// More bytes in the set's direction, or `last_call` (`inspect-delay`).
    Data,
    /// More of the body, or this time; in a buffer of so many bytes, if a usual one is too small.
    Body(Millis, usize),
    /// This time.
    Until(Millis),
    /// What another thread finds out.
    Work(Pending),
    /// Others have so many turns of the event loop first.
    Turns(u8),
    /// What stands in [`Effects::remote`].
    Remote,
}

/// How running a rule set ended.
#[derive(Debug)]
pub enum Flow {
    /// All rules were run.
    Done,
    /// `accept`, `allow`: the set is over.
    Accept,
    /// `switch-mode`: the connection speaks HTTP.
    SwitchMode(Option<Proto>),
    /// `reject`: the connection is closed.
    Reject,
    /// `close`: the server's connection is closed.
    Close,
    /// `deny`: this is answered.
    Deny(Box<Answer>),
    /// `tarpit`: this is answered after `timeout tarpit`.
    Tarpit(Box<Answer>),
    /// `return`: this is answered.
    Return(Box<Answer>),
    /// `use-service`: this one answers.
    Service(&'static crate::applet::Service),
    /// `redirect`: this is answered.
    Redirect(Box<Answer>),
    /// A rewrite failed in strict mode: an internal error (500).
    Failed(Box<Answer>),
    /// `wait-for-body` took too long: 408 for a request, 504 for a response.
    BodyTimeout(Box<Answer>),
    /// Not over: call again with the same cursor when this has happened.
    Wait(Wait),
}

impl Flow {
    /// Cause and phase of the termination state that 3.5 logs for this end, if the stream is over.
    #[must_use]
    pub fn termination(&self, direction: Direction) -> Option<[u8; 2]> {
        let request = direction == Direction::Request;
        let of = |r: &[u8; 2], s: &[u8; 2]| Some(if request { *r } else { *s });
        match self {
            Self::Done | Self::Accept | Self::SwitchMode(_) | Self::Wait(_) => None,
            Self::Reject => of(b"PR", b"PD"),
            Self::Close => Some(*b"SH"),
            Self::Deny(_) | Self::Failed(_) => of(b"PR", b"PH"),
            Self::Tarpit(_) => Some(*b"PT"),
            Self::Return(_) | Self::Redirect(_) => of(b"LR", b"LH"),
            Self::Service(_) => Some(*b"LR"),
            Self::BodyTimeout(_) => of(b"cR", b"sH"),
        }
    }

    /// The answer that is to be given.
    #[must_use]
    pub fn into_answer(self) -> Option<Answer> {
        match self {
            Self::Deny(a)
            | Self::Tarpit(a)
            | Self::Return(a)
            | Self::Redirect(a)
            | Self::Failed(a)
            | Self::BodyTimeout(a) => Some(*a),
            _ => None,
        }
    }
}
