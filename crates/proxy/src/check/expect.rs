//! `tcp-check expect` and `http-check expect`: what an answer must be like.

use super::config::Text;
use crate::rules::lang::{Expr, Format, Regex, Scope};
use portcullis_backend::health::Status;
use portcullis_message::{Head, values};
use portcullis_wire::hex;

/// One rule.
#[derive(Debug)]
pub struct Expect {
    /// What is looked for.
    pub pattern: Pattern,
    /// `!`
    pub inverse: bool,
    /// `min-recv`; none: -1.
    pub min_recv: Option<usize>,
    /// `ok-status`
    pub ok: Status,
    /// `error-status`
    pub error: Option<Status>,
    /// `tout-status`
    pub timeout: Status,
    /// `on-success`
    pub on_success: Option<Format>,
    /// `on-error`
    pub on_error: Option<Format>,
    /// `status-code`
    pub code: Option<Expr>,
}

impl Expect {
    /// With nothing else said.
    #[must_use]
    pub fn new(pattern: Pattern) -> Self {
        Self {
            pattern,
            inverse: false,
            min_recv: None,
            ok: Status::L7Ok,
            error: None,
            timeout: Status::L7Timeout,
            on_success: None,
            on_error: None,
            code: None,
        }
    }
}

/// How text is compared (`-m`).
#[derive(Debug)]
pub enum Test {
    /// `str`
    Exact(Text),
    /// `beg`
    Begin(Text),
    /// `end`
    End(Text),
    /// `sub`
    Sub(Text),
    /// `reg`
    Regex(Regex),
}

/// What is looked for.
#[derive(Debug)]
pub enum Pattern {
    /// `string`, in TCP and in an HTTP body.
    String(Vec<u8>),
    /// `rstring`
    Regex(Regex),
    /// `string-lf`
    StringFormat(Format),
    /// `binary`
    Binary(Vec<u8>),
    /// `rbinary`: over the hexadecimal form.
    BinaryRegex(Regex),
    /// `binary-lf`
    BinaryFormat(Format),
    /// `status`: ranges.
    Status(Vec<(u16, u16)>),
    /// `rstatus`
    StatusRegex(Regex),
    /// `hdr`, and `fhdr` (true): name, and value.
    Header(Test, Option<Test>, bool),
    /// A check of this program's own.
    Own(super::canned::Reader),
}

impl Pattern {
    /// As timeouts of `tcp-check` call it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::String(s) => format!("expect string '{}'", String::from_utf8_lossy(s)),
            Self::Regex(_) => "expect regex".into(),
            Self::StringFormat(_) => "expect log-format string".into(),
            Self::Binary(_) => "expect binary".into(),
            Self::BinaryRegex(_) => "expect binary regex".into(),
            Self::BinaryFormat(_) => "expect log-format binary".into(),
            _ => "expect".into(),
        }
    }
    /// As mismatches of `tcp-check` call it.
    #[must_use]
    pub fn content(&self) -> String {
        match self {
            Self::String(s) => format!("'{}'", String::from_utf8_lossy(s)),
            Self::Regex(_) => "(regex)".into(),
            Self::StringFormat(_) => "(log-format string)".into(),
            Self::Binary(_) => "(binary)".into(),
            Self::BinaryRegex(_) => "(binary regex)".into(),
            Self::BinaryFormat(_) => "(log-format binary)".into(),
            _ => String::new(),
        }
    }
    /// Is it looked for in a body (or in what TCP brings)?
    #[must_use]
    pub fn in_body(&self) -> bool {
        !matches!(self, Self::Status(_) | Self::StatusRegex(_) | Self::Header(..))
    }
    /// How many bytes must be there before it can be found.
    #[must_use]
    pub fn least(&self) -> usize {
        match self {
            Self::String(s) | Self::Binary(s) => s.len(),
            _ => 0,
        }
    }
    /// Is it in these bytes?
    #[must_use]
    pub fn found_in(&self, bytes: &[u8], scope: &Scope<'_>) -> bool {
        match self {
            Self::String(s) | Self::Binary(s) => contains(bytes, s),
            Self::Regex(r) => r.is_match(bytes),
            Self::StringFormat(f) => contains(bytes, &f.bytes(scope)),
            Self::BinaryFormat(f) => hex::decode(&f.bytes(scope)).is_ok_and(|s| contains(bytes, &s)),
            Self::BinaryRegex(r) => r.is_match(hex::text(bytes).as_bytes()),
            Self::Status(_) | Self::StatusRegex(_) | Self::Header(..) | Self::Own(_) => false,
        }
    }
    /// Does the head of a response fit?
    #[must_use]
    pub fn fits(&self, head: &Head, scope: &Scope<'_>) -> bool {
        match self {
            Self::Status(ranges) => ranges.iter().any(|(low, high)| (*low..=*high).contains(&head.status)),
            Self::StatusRegex(r) => r.is_match(head.status.to_string().as_bytes()),
            Self::Header(name, value, whole) => head.fields().any(|f| {
                name.holds(f.name, true, scope)
                    && value.as_ref().is_none_or(|v| match whole {
                        true => v.holds(f.value, false, scope),
                        false => values::elements(f.value).any(|e| v.holds(e, false, scope)),
                    })
            }),
            _ => false,
        }
    }
}

/// How a text (first) is compared with a pattern.
type Compare = fn(&[u8], &[u8]) -> bool;

impl Test {
    /// Names are compared without regard to case.
    fn holds(&self, text: &[u8], fold: bool, scope: &Scope<'_>) -> bool {
        let (pattern, compare): (&Text, Compare) = match self {
            Self::Regex(r) => return r.is_match(text),
            Self::Exact(p) => (p, |t, p| t == p),
            Self::Begin(p) => (p, <[u8]>::starts_with),
            Self::End(p) => (p, <[u8]>::ends_with),
            Self::Sub(p) => (p, contains),
        };
        let pattern = pattern.bytes(scope);
        match fold {
            true => compare(&text.to_ascii_lowercase(), &pattern.to_ascii_lowercase()),
            false => compare(text, &pattern),
        }
    }
}

impl Text {
    /// The bytes for this scope; hexadecimal digits that are none give nothing.
    #[must_use]
    pub fn bytes(&self, scope: &Scope<'_>) -> Vec<u8> {
        match self {
            Self::Plain(b) => b.clone(),
            Self::Format(f) => f.bytes(scope),
            Self::Hex(f) => hex::decode(&f.bytes(scope)).unwrap_or_default(),
        }
    }
}

/// Is `part` somewhere in `whole`?
#[must_use]
pub fn contains(whole: &[u8], part: &[u8]) -> bool {
    part.is_empty() || whole.windows(part.len()).any(|w| w == part)
}
