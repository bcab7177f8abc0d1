//! Custom log formats (manual section 8.2.6): what `log-format` and every argument `<fmt>` is compiled to.

mod alias;
mod builtin;
mod compile;
mod encode;
mod escape;

pub use builtin::{
    ERROR_LOG, HTTP_CLF_LOG, HTTP_LOG, TCP_CLF_LOG, TCP_LOG, builtin_http, builtin_http_clf, builtin_https,
    builtin_tcp, builtin_tcp_clf, connect_line, error_line,
};
pub use compile::{FormatError, Options};

use crate::expr::Expr;
use crate::fetch::acls;
use crate::scope::Scope;
use crate::value::{Sample, Type, Value, until_nul};
use alias::Alias;

bitflags::bitflags! {
    /// Flags of an item.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Flags: u8 {
        /// `Q`: in quotes.
        const QUOTE = 1;
        /// `X`: in hexadecimal.
        const HEX = 2;
        /// `E`: a backslash before `"`, `\` and `]`.
        const ESCAPE = 4;
        /// `M`: a dash for nothing. Logs have it always.
        const MANDATORY = 8;
        /// For HTTP: forbidden characters percent-encoded.
        const HTTP = 16;
        /// `bin`: binary samples as they are; for a whole format only.
        const BIN = 32;
        /// `json`
        const JSON = 64;
        /// `cbor`
        const CBOR = 128;
    }
}

/// Samples that are known at the end of a stream only.
const AT_THE_END: [&str; 8] = [
    "bytes_in",
    "bytes_out",
    "fc.timer.total",
    "req.bytes_in",
    "res.bytes_in",
    "res.timer.data",
    "txn.timer.total",
    "txn.timer.user",
];

bitflags::bitflags! {
    /// What a format shows that is only found out if somebody asks for it.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Needs: u8 {
        /// The address that the client connected to.
        const DESTINATION = 1;
        /// Our address towards the server.
        const SERVER_SOURCE = 2;
        /// The count of log lines.
        const LOG_COUNT = 4;
        /// What the kernel knew of the connection to the server.
        const TCP_INFO = 8;
        /// How a stream has ended on its sides.
        const ENDS = 16;
        /// What is known at the end of a stream only: without that, a line of a TCP stream is written once the server is connected
        /// to (manual section 4.2 option logasap).
        const END = 32;
        /// How long the heads are that are passed on.
        const SENT = 64;
    }
}

impl Needs {
    /// Of an expression. One may need any address.
    fn of(e: &Expr) -> Self {
        match e.fetch().name {
            "acl" => acls::tests(e.args()).map(|t| Self::of(&t.expr)).fold(Self::empty(), |all, n| all | n),
            "req.bytes_out" | "res.bytes_out" => Self::END | Self::SENT,
            name if AT_THE_END.contains(&name) => Self::END,
            name if name.starts_with("bc_rtt") => Self::TCP_INFO,
            "term_events" => Self::ENDS,
            _ => Self::DESTINATION | Self::SERVER_SOURCE,
        }
    }
}

/// What a format is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// `log-format` and its kin: runs of blanks are one, nothing is shown as a dash.
    #[default]
    Log,
    /// Header fields and parts of the request line: text as it stands, no quotes around samples, what may not be there
    /// encoded.
    Http,
    /// The same with runs of blanks as one: `unique-id-format`.
    Id,
    /// Bodies, variables, maps: text as it stands.
    Plain,
}

/// One item.
#[derive(Clone, Debug)]
enum Item {
    Text(Box<[u8]>),
    /// A blank, unless there is one already.
    Blank,
    Alias(Alias, Flags),
    Expr(Box<Expr>, Flags),
    /// One with a name, a type or an encoding of its own.
    Typed(Box<Typed>),
}

/// What `%(name:type)` and `%{+json}` say of an item.
#[derive(Clone, Debug)]
struct Typed {
    /// May be empty.
    name: Box<str>,
    kind: Option<encode::Kind>,
    /// The encoding of this item, where the format has none.
    encoding: Option<encode::Encoding>,
    item: Item,
}

impl Item {
    /// Without its name and type.
    fn inner(&self) -> &Item {
        match self {
            Item::Typed(t) => &t.item,
            other => other,
        }
    }
}

/// A compiled format.
#[derive(Clone, Debug, Default)]
pub struct Format {
    items: Vec<Item>,
    text: Box<str>,
    /// `%{+json}o`, `%{+cbor}o`
    encoding: Option<encode::Encoding>,
    /// `%{+bin}o`
    binary: bool,
}

impl Format {
    /// As written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
    /// The constant text, if there is nothing in it to evaluate.
    #[must_use]
    pub fn constant(&self) -> Option<&[u8]> {
        match &*self.items {
            _ if self.encoding.is_some() => None,
            [] => Some(b""),
            [Item::Text(t)] => Some(t),
            _ => None,
        }
    }
    /// What must be found out for it; asked when the configuration is complete.
    #[must_use]
    pub fn needs(&self) -> Needs {
        let of = |item: &Item| match item.inner() {
            Item::Alias(Alias::FrontendIp | Alias::FrontendPort, _) => Needs::DESTINATION,
            Item::Alias(Alias::BackendIp | Alias::BackendPort, _) => Needs::SERVER_SOURCE,
            Item::Alias(Alias::LogCount, _) => Needs::LOG_COUNT,
            Item::Alias(a, _) if a.waits() => Needs::END,
            Item::Expr(e, _) => Needs::of(e),
            _ => Needs::empty(),
        };
        self.items.iter().map(of).fold(Needs::empty(), |all, n| all | n)
    }
    /// The expressions in it.
    pub fn expressions(&self) -> impl Iterator<Item = &Expr> {
        self.items.iter().filter_map(|i| match i.inner() {
            Item::Expr(e, _) => Some(&**e),
            _ => None,
        })
    }

    /// Appends what it gives. Data that is still to come counts as missing.
    #[inline]
    pub fn run(&self, scope: &Scope<'_>, out: &mut Vec<u8>) {
        if let Some(encoding) = self.encoding {
            return encode::format(self, encoding, scope, out);
        }
        let mut blank = true;
        for item in &self.items {
            let before = out.len();
            match item {
                Item::Text(t) => out.extend_from_slice(t),
                Item::Blank => {
                    if !blank {
                        out.push(b' ');
                        blank = true;
                    }
                    continue;
                }
                Item::Typed(typed) => match typed.encoding {
                    Some(encoding) => encode::item(typed, encoding, self.binary, scope, out),
                    None => plain(&typed.item, scope, out),
                },
                item => plain(item, scope, out),
            }
            // a sample counts even where it gives nothing
            blank = blank && out.len() == before && !matches!(item.inner(), Item::Expr(..));
        }
    }
}

#[inline]
fn plain(item: &Item, scope: &Scope<'_>, out: &mut Vec<u8>) {
    match item {
        Item::Alias(a, flags) => alias::write(*a, *flags, scope, out),
        Item::Expr(e, flags) => expression(e, *flags, scope, out),
        Item::Text(_) | Item::Blank | Item::Typed(_) => {}
    }
}

fn expression(e: &Expr, flags: Flags, scope: &Scope<'_>, out: &mut Vec<u8>) {
    let value = match e.eval(scope) {
        Sample::There(Value::Bin(b)) if flags.contains(Flags::BIN) => {
            return if b.is_empty() { escape::nothing(flags, out) } else { out.extend_from_slice(&b) };
        }
        Sample::There(Value::Bin(b)) => Value::Bin(b).cast(Type::Str),
        // texts end where their C strings would, unless the NUL is encoded
        Sample::There(Value::Str(s)) if !flags.contains(Flags::HTTP) => Some(Value::Str(until_nul(s))),
        Sample::There(v) => Some(v),
        _ => None,
    };
    match &value {
        Some(v @ (Value::Str(_) | Value::Bin(_) | Value::Method(_))) => {
            escape::value(v.bytes().unwrap_or(&[]), flags, out);
        }
        Some(v) => escape::quoted(flags, out, |out| v.write(out)),
        None => escape::nothing(flags, out),
    }
}
