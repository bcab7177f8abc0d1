//! The expression language as rules use it: the one place that knows how `sample` is called.

use portcullis_config::{Args, Cx, ProxyKind, Word};

/// Where something is evaluated: decides which fetches are valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// `tcp-request connection`
    TcpConnection,
    /// `tcp-request session`
    TcpSession,
    /// `tcp-request content`
    TcpRequest,
    /// `tcp-response content`
    TcpResponse,
    /// `http-request`, `redirect`
    HttpRequest,
    /// `http-response`
    HttpResponse,
    /// `http-after-response`
    HttpAfterResponse,
    /// `http-error`: requests and responses.
    HttpError,
    /// `use_backend`
    Switch,
    /// `monitor fail`
    Monitor,
    /// Headers towards the server (`option forwarded`, `unique-id-format`).
    Forward,
}

/// A line being parsed: the context, the words that are left, and where the result will be evaluated.
pub struct Parsing<'p, 'c, 'l> {
    /// The parse in progress.
    pub cx: &'p mut Cx<'c>,
    /// The words that are left.
    pub args: Args<'l>,
    /// Where it will be evaluated.
    pub at: At,
}

impl<'p, 'c, 'l> Parsing<'p, 'c, 'l> {
    /// Begins with `args`.
    pub fn new(cx: &'p mut Cx<'c>, args: Args<'l>, at: At) -> Self {
        Self { cx, args, at }
    }

    /// The next word.
    ///
    /// # Errors
    /// `message` if there is none.
    pub fn want(&mut self, message: &str) -> Result<&'l Word, String> {
        self.args.next().ok_or_else(|| message.to_owned())
    }

    /// Is the next word `if` or `unless`, or is there none?
    #[must_use]
    pub fn at_end(&self) -> bool {
        self.args.peek().is_none_or(|w| w.is("if") || w.is("unless"))
    }

    /// Has the open proxy a client side?
    pub fn front(&mut self) -> bool {
        self.cx.proxy().kind != ProxyKind::Backend
    }

    /// Has the open proxy a server side?
    pub fn back(&mut self) -> bool {
        self.cx.proxy().kind != ProxyKind::Frontend
    }

    /// A log format.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn format(&mut self, word: &Word) -> Result<Format, String> {
        Ok(Format(word.text.clone()))
    }
    /// An expression, from the next words.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn expr(&mut self) -> Result<Expr, String> {
        let word = self.want("missing fetch method")?;
        Ok(Expr(word.text.clone()))
    }
    /// `if` or `unless` and what follows, if it comes next.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn condition(&mut self) -> Result<Option<Condition>, String> {
        let Some(word) = self.args.next() else { return Ok(None) };
        let unless = word.is("unless");
        self.args.at = self.args.words.len();
        Ok(Some(Condition(!unless)))
    }
}

// ---- stand-ins until `sample` is there
use portcullis_message::Head;
pub use portcullis_sample::Facts;
use std::any::Any;
use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

#[derive(Debug, Clone)]
pub struct Format(Vec<u8>);
impl Format {
    pub fn bytes(&self, _scope: &Scope<'_>) -> Vec<u8> {
        self.0.clone()
    }
}
#[derive(Debug, Clone)]
pub struct Expr(Vec<u8>);
impl Expr {
    pub fn value<'s>(&'s self, _scope: &Scope<'s>) -> Option<Value<'s>> {
        Some(Value::str(&self.0))
    }
    pub fn text<'s>(&'s self, _scope: &Scope<'s>) -> Option<Cow<'s, [u8]>> {
        Some(Cow::Borrowed(&self.0))
    }
    pub fn integer(&self, _scope: &Scope<'_>) -> Option<i64> {
        Some(super::number::leading(&self.0))
    }
    pub fn address(&self, _scope: &Scope<'_>) -> Option<IpAddr> {
        None
    }
}
#[derive(Debug, Clone)]
pub struct Condition(bool);
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    True,
    False,
    NotYet,
}
impl Condition {
    pub fn eval(&self, _scope: &Scope<'_>) -> Verdict {
        if self.0 { Verdict::True } else { Verdict::False }
    }
}
#[derive(Debug)]
pub struct Random(std::cell::Cell<u64>);
#[derive(Clone, Copy, Debug)]
pub struct Payload<'a> {
    pub bytes: &'a [u8],
    pub may_grow: bool,
}
#[derive(Clone, Copy, Debug, Default)]
pub enum Message<'a> {
    #[default]
    None,
    Pending,
    Here(&'a Head),
}
impl<'a> Message<'a> {
    pub fn head(self) -> Option<&'a Head> {
        match self {
            Self::Here(h) => Some(h),
            _ => None,
        }
    }
}
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    #[default]
    Request,
    Response,
}
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    pub wall: Duration,
    pub monotonic: Duration,
    pub random: &'a Random,
    pub facts: &'a Facts<'a>,
    pub direction: Direction,
    pub request: Message<'a>,
    pub response: Message<'a>,
    pub request_bytes: Option<Payload<'a>>,
    pub response_bytes: Option<Payload<'a>>,
    pub last_call: bool,
    pub ext: &'a dyn Any,
}
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    Int(i64),
    V4(std::net::Ipv4Addr),
    V6(std::net::Ipv6Addr),
    Str(Cow<'a, [u8]>),
}
impl<'a> Value<'a> {
    pub fn str(s: &'a [u8]) -> Self {
        Value::Str(Cow::Borrowed(s))
    }
    pub fn ip(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(a) => Value::V4(a),
            IpAddr::V6(a) => Value::V6(a),
        }
    }
    pub fn into_text(self) -> Cow<'a, [u8]> {
        match self {
            Value::Str(b) => b,
            Value::Int(i) => Cow::Owned(i.to_string().into_bytes()),
            Value::V4(i) => Cow::Owned(i.to_string().into_bytes()),
            Value::V6(i) => Cow::Owned(i.to_string().into_bytes()),
        }
    }
}
/// Start and end of a match and its groups.
pub type Groups = [Option<(usize, usize)>; 10];
#[derive(Debug, Clone)]
pub struct Regex(Vec<u8>);
impl Regex {
    pub fn new(text: &[u8]) -> Result<Self, String> {
        Ok(Regex(text.to_vec()))
    }
    pub fn is_match(&self, _t: &[u8]) -> bool {
        false
    }
    pub fn groups(&self, _t: &[u8]) -> Option<Groups> {
        None
    }
}
