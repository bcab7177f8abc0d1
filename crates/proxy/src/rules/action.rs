//! What rules do, compiled.

use super::lang::{Condition, Expr, Format, Regex};
use super::redirect::Redirect;
use crate::reply::Spec;
use portcullis_config::{Place, Proto};
use std::sync::Arc;
use std::time::Duration;

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// What it does.
    pub action: Action,
    /// When; `None`: always.
    pub condition: Option<Condition>,
    /// Where it stands.
    pub place: Place,
    /// Expressions of the action that may take longer than a worker may.
    pub slow: Vec<portcullis_sample::Expr>,
}

/// What a rule does (manual section 4.4).
#[derive(Debug)]
pub enum Action {
    /// `accept`, `allow`
    Accept,
    /// `switch-mode http`: from now on the connection speaks HTTP, of this version if one is named.
    SwitchMode(Option<Proto>),
    /// `reject`
    Reject,
    /// `close` (tcp-response)
    Close,
    /// `expect-proxy layer4`
    ExpectProxy,
    /// `attach-srv`
    Attach(Box<super::attach::Attach>),
    /// `expect-netscaler-cip layer4`
    ExpectNetscalerCip,
    /// `deny`
    Deny(Box<Spec>),
    /// `tarpit`
    Tarpit(Box<Spec>),
    /// `return`
    Return(Box<Spec>),
    /// `use-service`
    Service(&'static crate::applet::Service),
    /// `auth`, with its realm
    Auth(Option<Box<[u8]>>),
    /// `add-acl`, `del-acl`, `set-map`, `del-map`
    List(Box<super::lists::Change>),
    /// `redirect`
    Redirect(Box<Redirect>),
    /// `set-header`: name in lower case.
    SetHeader(Box<[u8]>, Format),
    /// `add-header`
    AddHeader(Box<[u8]>, Format),
    /// `del-header`
    DelHeader(NameMatch),
    /// `do-log`
    DoLog(Box<super::do_log::DoLog>),
    /// `do-resolve`
    DoResolve(Box<super::do_resolve::DoResolve>),
    /// `add-headers-bin`, `set-headers-bin`, `del-headers-bin`
    HeadersBin(Box<super::headers_bin::HeadersBin>),
    /// `replace-header` and `replace-value`
    ReplaceHeader {
        /// Name in lower case.
        name: Box<[u8]>,
        /// Each element of a comma-separated list by itself?
        values: bool,
        /// What must match.
        regex: Box<Regex>,
        /// What takes its place.
        with: Format,
    },
    /// `replace-path`, `replace-pathq`, `replace-uri`
    ReplaceTarget {
        /// Which part.
        part: Part,
        /// What must match.
        regex: Box<Regex>,
        /// What takes its place.
        with: Format,
    },
    /// `set-method`
    SetMethod(Format),
    /// `set-path`, `set-pathq`, `set-query`, `set-uri`
    SetTarget(Part, Format),
    /// `normalize-uri`
    Normalize(super::normalize::Normalizer),
    /// `set-status`
    SetStatus(u16, Option<Box<[u8]>>),
    /// `set-log-level`; `None`: silent.
    SetLogLevel(Option<u8>),
    /// `strict-mode`
    StrictMode(bool),
    /// `disable-l7-retry`
    DisableL7Retry,
    /// `set-nice`: turns of the event loop that others have first.
    Nice(u8),
    /// `pause`
    Pause(Delay),
    /// `set-timeout`
    SetTimeout(Timeout, Delay),
    /// `wait-for-handshake`
    WaitForHandshake,
    /// `wait-for-body`
    WaitForBody {
        /// How long.
        time: Duration,
        /// How much is enough; 0: all.
        at_least: u64,
        /// Bytes of a large buffer, if there may be one; 0: there may not.
        large: usize,
    },
    /// `early-hint`: name in lower case.
    EarlyHint(Box<[u8]>, Format),
    /// `set-src`, `set-dst`
    SetAddress(Side, Expr),
    /// `set-var`, `set-var-fmt`, `unset-var`
    Variable(Box<super::variables::Variable>),
    /// `set-fc-tos` and its kin, `set-priority-class`, `set-priority-offset`, `set-retries`
    Setting(Box<super::socket::Setting>),
    /// `silent-drop`
    SilentDrop(Option<u8>),
    /// `set-bandwidth-limit`
    LimitBandwidth(Box<super::bandwidth::LimitBandwidth>),
    /// `capture`
    Capture(Box<super::capture::Capture>),
    /// `set-src-port`, `set-dst-port`
    SetPort(Side, Expr),
}

impl Action {
    /// Ends its rule set whenever it is executed?
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Accept
                | Self::SwitchMode(_)
                | Self::Reject
                | Self::SilentDrop(_)
                | Self::Close
                | Self::Deny(_)
                | Self::Tarpit(_)
                | Self::Return(_)
                | Self::Auth(_)
                | Self::Redirect(_)
        )
    }

    /// Is it what `last_rule_line` shows, as HAProxy's `redirect` keyword, unlike the action, is not?
    #[must_use]
    pub fn is_noted(&self) -> bool {
        !matches!(self, Self::Redirect(redirect) if redirect.is_keyword())
    }
}

/// How a header name is compared (`del-header -m`).
#[derive(Debug)]
pub enum NameMatch {
    /// `str`; lower case like all that follow.
    Exact(Box<[u8]>),
    /// `beg`
    Begin(Box<[u8]>),
    /// `end`
    End(Box<[u8]>),
    /// `sub`
    Contains(Box<[u8]>),
    /// `reg`, on the name in lower case.
    Regex(Box<Regex>),
}

/// A part of the request target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Path without query.
    Path,
    /// Path with query.
    PathQuery,
    /// Query.
    Query,
    /// All of it.
    Uri,
}

/// Source or destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client's.
    Source,
    /// That which the client connected to.
    Destination,
}

/// A time that is given or evaluated (milliseconds).
#[derive(Debug)]
pub enum Delay {
    /// Given.
    Fixed(Duration),
    /// Evaluated.
    Expr(Expr),
}

pub use portcullis_sample::Timeout;

/// Where a `use_backend` rule goes.
#[derive(Clone, Debug)]
pub enum Target {
    /// A proxy by name, and its index in `Model::proxies` once everything has been read.
    Name(String, usize),
    /// Evaluated for each stream.
    Format(Arc<Format>),
}

impl Target {
    /// The name that it is, where it is always the same.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name, _) => Some(name),
            Self::Format(_) => None,
        }
    }
}

/// A `use_backend` rule.
#[derive(Clone, Debug)]
pub struct UseBackend {
    /// Where to.
    pub target: Target,
    /// When; `None`: always.
    pub condition: Option<Arc<Condition>>,
    /// Where it stands.
    pub place: Place,
    /// Its target may take longer than a worker may.
    pub slow: bool,
}
