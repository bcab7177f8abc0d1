//! From text to items.

use super::alias::Alias;
use super::encode::{Encoding, Kind};
use super::{Flags, Format, Item, Style, Typed};
use crate::expr::Expr;
use crate::place::{Places, REQUEST_BYTES, RESPONSE_BYTES};
use crate::row::Vocabulary;

/// What a format may use, and what it is for.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Where it is evaluated; an expression that is not valid in one of these places is refused.
    pub places: Places,
    /// What it is for.
    pub style: Style,
}

impl Options {
    /// `log-format`, `error-log-format`.
    pub const LOG: Options = Options { places: Places::LOG, style: Style::Log };
    /// An argument `<fmt>` of a rule in these places.
    #[must_use]
    pub const fn rule(places: Places) -> Self {
        Self { places, style: Style::Http }
    }
    /// The same for what is neither a header field nor a part of the request line.
    #[must_use]
    pub const fn plain(places: Places) -> Self {
        Self { places, style: Style::Plain }
    }
    /// `unique-id-format` in these places.
    #[must_use]
    pub const fn id(places: Places) -> Self {
        Self { places, style: Style::Id }
    }
}

const ENCODINGS: Flags = Flags::JSON.union(Flags::CBOR);

/// What is wrong with a format: HAProxy's message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatError(pub String);

impl std::fmt::Display for FormatError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn bad<T>(message: impl Into<String>) -> Result<T, FormatError> {
    Err(FormatError(message.into()))
}

struct Compiler<'a> {
    whole: &'a [u8],
    options: Options,
    vocabulary: &'a Vocabulary,
    flags: Flags,
    items: Vec<Item>,
    /// Name and type of the item that comes next.
    named: Option<(Box<str>, Option<Kind>)>,
    text: Vec<u8>,
    warnings: Vec<String>,
}

impl Format {
    /// Compiles a format; also warnings about it.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn compile(
        text: &[u8],
        options: Options,
        vocabulary: &Vocabulary,
    ) -> Result<(Self, Vec<String>), FormatError> {
        let flags = match options.style {
            Style::Log => Flags::MANDATORY,
            Style::Http | Style::Id => Flags::HTTP,
            Style::Plain => Flags::empty(),
        };
        let mut c = Compiler {
            whole: text,
            options,
            vocabulary,
            flags,
            items: Vec::new(),
            named: None,
            text: Vec::new(),
            warnings: Vec::new(),
        };
        c.all()?;
        let text = String::from_utf8_lossy(text).into();
        let (encoding, binary) = (Encoding::of(c.flags), c.flags.contains(Flags::BIN));
        Ok((Format { items: c.items, text, encoding, binary }, c.warnings))
    }
}

impl Compiler<'_> {
    fn all(&mut self) -> Result<(), FormatError> {
        let mut at = 0;
        while let Some(b) = self.whole.get(at).copied() {
            match b {
                b'%' if self.whole.get(at + 1) == Some(&b'%') => {
                    self.text.push(b'%');
                    at += 2;
                }
                b'%' => at = self.item(at)?,
                b' ' if matches!(self.options.style, Style::Log | Style::Id) => {
                    self.end_text();
                    if !matches!(self.items.last(), Some(Item::Blank)) {
                        self.items.push(Item::Blank);
                    }
                    at += 1;
                }
                other => {
                    self.text.push(other);
                    at += 1;
                }
            }
        }
        self.end_text();
        Ok(())
    }

    fn end_text(&mut self) {
        if !self.text.is_empty() {
            self.items.push(Item::Text(std::mem::take(&mut self.text).into()));
        }
    }

    fn rest(&self, at: usize) -> &[u8] {
        self.whole.get(at..).unwrap_or(&[])
    }

    /// The item whose `%` stands at `start`; where the text goes on.
    fn item(&mut self, start: usize) -> Result<usize, FormatError> {
        let mut at = start + 1;
        if self.whole.get(at) == Some(&b'(') {
            at = self.name(at)?;
        }
        let mut flags = self.flags;
        if self.whole.get(at) == Some(&b'{') {
            let inside = self.rest(at + 1);
            let Some(end) = inside.iter().position(|b| *b == b'}') else {
                return bad(format!("truncated line after '{}'.", String::from_utf8_lossy(inside)));
            };
            flags = self.modify(inside.get(..end).unwrap_or(&[]));
            at += end + 2;
            if !matches!(self.whole.get(at), Some(b) if b.is_ascii_alphanumeric() || *b == b'[') {
                return bad(format!(
                    "parse argument modifier without alias name near '{}'.",
                    String::from_utf8_lossy(self.whole.get(start..at).unwrap_or(&[]))
                ));
            }
        }
        match self.whole.get(at) {
            None => bad("truncated line after '%'."),
            Some(b'[') => self.expression(at + 1, flags),
            // behind flags 3.5 takes a digit for a name
            Some(b) if b.is_ascii_alphabetic() || b.is_ascii_digit() && at > start + 1 => {
                self.alias(at, flags)
            }
            // what is no name stands for itself
            Some(b) if !b.is_ascii_digit() && *b != b' ' => {
                self.text.push(*b);
                Ok(at + 1)
            }
            Some(b) => bad(format!(
                "unexpected alias name near '{}' at position {at} line : '{}'. Maybe you want to write a single '%', use the syntax '%%'.",
                char::from(*b),
                String::from_utf8_lossy(self.whole)
            )),
        }
    }

    /// `(name:type)`
    fn name(&mut self, at: usize) -> Result<usize, FormatError> {
        let inside = self.rest(at + 1);
        let Some(end) = inside.iter().position(|b| *b == b')') else {
            return bad("invalid character in custom name near '.");
        };
        let text = String::from_utf8_lossy(inside.get(..end).unwrap_or(&[])).into_owned();
        let (name, kind) = match text.split_once(':') {
            None => (text.as_str(), None),
            Some((name, kind)) => match Kind::of(kind) {
                Some(known) => (name, Some(known)),
                None => {
                    return bad(format!(
                        "unexpected output type '{kind}' at position {} line : '{}'. Supported types are: str, sint, bool, raw.",
                        at + name.len() + 2,
                        String::from_utf8_lossy(self.whole)
                    ));
                }
            },
        };
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_') || b >= 128;
        if let Some(wrong) = name.bytes().position(|b| !allowed(b)) {
            return bad(format!(
                "invalid character in custom name near '{}' at position {} line : '{}'.",
                name.get(wrong..).and_then(|n| n.chars().next()).unwrap_or(' '),
                at + wrong + 1,
                String::from_utf8_lossy(self.whole)
            ));
        }
        self.named = Some((name.into(), kind));
        Ok(at + end + 2)
    }

    fn is_http(&self) -> bool {
        matches!(self.options.style, Style::Http | Style::Id)
    }

    /// Flags added and removed, each name behind its last sign. What has no sign or a name that nobody knows is passed
    /// over, as HAProxy does.
    fn modify(&self, text: &[u8]) -> Flags {
        let mut flags = self.flags;
        for word in text.split(|b| *b == b',') {
            let Some(sign) = word.iter().rposition(|b| matches!(b, b'+' | b'-')) else { continue };
            let add = word.get(sign) == Some(&b'+');
            let flag = match word.get(sign + 1..).unwrap_or(&[]) {
                b"json" => Flags::JSON,
                b"cbor" => Flags::CBOR,
                b"bin" => Flags::BIN,
                b"Q" => Flags::QUOTE,
                b"X" => Flags::HEX,
                b"E" => Flags::ESCAPE,
                b"M" => Flags::MANDATORY,
                _ => continue,
            };
            // of two encodings the first one stays
            if !(add && flag.intersects(ENCODINGS) && flags.intersects(ENCODINGS)) {
                flags.set(flag, add);
            }
        }
        if self.is_http() {
            flags.remove(Flags::BIN | ENCODINGS);
        }
        flags
    }

    fn alias(&mut self, at: usize, flags: Flags) -> Result<usize, FormatError> {
        let rest = self.rest(at);
        let len = rest.iter().position(|b| !b.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let name = String::from_utf8_lossy(rest.get(..len).unwrap_or(rest)).into_owned();
        if name == "o" {
            self.named = None;
            self.flags = flags;
            return Ok(at + len);
        }
        match Alias::ALL.iter().find(|a| a.0 == name) {
            Some((_, alias, _)) => {
                self.end_text();
                let flags = self.bare(flags);
                self.push(Item::Alias(*alias, flags.0), flags.1);
                Ok(at + len)
            }
            None => bad(format!(
                "no such format alias '{name}'. If you wanted to emit the '%' character verbatim, you need to use '%%'."
            )),
        }
    }

    /// The flags of an item without its encoding, and its encoding. `bin` is for the whole format only.
    fn bare(&self, flags: Flags) -> (Flags, Option<Encoding>) {
        let whole = self.flags & Flags::BIN;
        ((flags - ENCODINGS - Flags::BIN) | whole, Encoding::of(flags))
    }

    fn push(&mut self, item: Item, encoding: Option<Encoding>) {
        let (name, kind) = self.named.take().unwrap_or_default();
        if name.is_empty() && kind.is_none() && encoding.is_none() {
            return self.items.push(item);
        }
        self.items.push(Item::Typed(Box::new(Typed { name, kind, encoding, item })));
    }

    fn expression(&mut self, at: usize, flags: Flags) -> Result<usize, FormatError> {
        let rest = self.rest(at);
        let (expr, used) = match Expr::parse_prefix(rest, self.vocabulary) {
            Ok(done) => done,
            Err(e) => {
                return bad(format!(
                    "failed to parse sample expression <{}> : {e}.",
                    String::from_utf8_lossy(rest)
                ));
            }
        };
        match rest.get(used) {
            Some(b']') => {}
            None => return bad(format!("missing ']' after '{}'.", expr.text())),
            Some(b) => {
                return bad(format!("expected ']' after '{}', but found '{}'.", expr.text(), char::from(*b)));
            }
        }
        let fetch = expr.fetch();
        if !fetch.needs.places.intersects(self.options.places) {
            return bad(format!(
                "sample fetch <{}> may not be reliably used here because it needs '{}' which is not available here.",
                fetch.name, fetch.needs.name
            ));
        }
        if self.is_http() && (fetch.needs == REQUEST_BYTES || fetch.needs == RESPONSE_BYTES) {
            self.warnings
                .push(format!("L6 sample fetch <{}> ignored in HTTP log-format string.", fetch.name));
        }
        self.end_text();
        let mut flags = self.bare(flags);
        if self.is_http() {
            // there, samples are what they are
            flags.0.remove(Flags::QUOTE | Flags::MANDATORY);
        }
        self.push(Item::Expr(Box::new(expr), flags.0), flags.1);
        Ok(at + used + 1)
    }
}
