//! Arguments of fetches and converters: `name(a,"b c",3)`, the second level of quoting (manual section 2.2).

use crate::row::Spec;
use crate::scope::Scope;
use crate::value::{Type, Value};
use crate::vars::VarName;
use std::any::Any;
use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// Kinds of arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgKind {
    /// Any text.
    Str,
    /// An integer.
    Int,
    /// An IPv4 address.
    V4,
    /// An IPv6 address.
    V6,
    /// An IPv4 mask, dotted or as a number of bits.
    Mask4,
    /// An IPv6 mask, as an address or as a number of bits.
    Mask6,
    /// Name of a frontend.
    Frontend,
    /// Name of a backend.
    Backend,
    /// `backend/server`.
    Server,
    /// Name of a stick table.
    Table,
    /// Name of a userlist.
    Userlist,
    /// Numbers of nested protocol buffers fields, with dots.
    Path,
    /// A regular expression.
    Regex,
}

impl ArgKind {
    /// The name in messages and dumps.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Str => "string",
            Self::Int => "integer",
            Self::V4 => "IPv4 address",
            Self::V6 => "IPv6 address",
            Self::Mask4 => "IPv4 mask",
            Self::Mask6 => "IPv6 mask",
            Self::Frontend => "frontend",
            Self::Backend => "backend",
            Self::Server => "server",
            Self::Table => "table",
            Self::Userlist => "user list",
            Self::Path => "Protocol buffers field number",
            Self::Regex => "regex",
        }
    }
}

/// One argument.
#[derive(Clone, Debug)]
pub enum Arg {
    /// Text, and names.
    Str(Box<[u8]>),
    /// Integer.
    Int(i64),
    /// IPv4 address or mask.
    V4(Ipv4Addr),
    /// IPv6 address or mask.
    V6(Ipv6Addr),
    /// Field numbers.
    Path(Box<[u64]>),
    /// A variable that stands for the argument.
    Var(VarName),
    /// What a check made of an argument.
    Made(Arc<dyn Any + Send + Sync>),
}

/// The arguments of one call, in order; those behind the last given are not there.
#[derive(Clone, Debug, Default)]
pub struct Args(pub Vec<Arg>);

impl Args {
    /// The text of argument `i`; empty if it was not given.
    #[inline]
    #[must_use]
    pub fn text(&self, i: usize) -> &[u8] {
        match self.0.get(i) {
            Some(Arg::Str(s)) => s,
            _ => b"",
        }
    }
    /// The integer argument `i`.
    #[inline]
    #[must_use]
    pub fn int(&self, i: usize) -> Option<i64> {
        match self.0.get(i) {
            Some(Arg::Int(n)) => Some(*n),
            _ => None,
        }
    }
    /// The variable that argument `i` names.
    #[inline]
    #[must_use]
    pub fn var(&self, i: usize) -> Option<VarName> {
        match self.0.get(i) {
            Some(Arg::Var(v)) => Some(*v),
            _ => None,
        }
    }
    /// The integer that argument `i` is, or that its variable holds.
    #[must_use]
    pub fn int_now(&self, i: usize, scope: &Scope<'_>) -> Option<i64> {
        match self.0.get(i)? {
            Arg::Int(n) => Some(*n),
            Arg::Var(v) => scope.facts.vars.with(*v, scope.direction, Value::to_int)?,
            _ => None,
        }
    }
    /// The bytes that argument `i` is, or that its variable holds.
    #[must_use]
    pub fn bytes_now(&self, i: usize, scope: &Scope<'_>) -> Option<Cow<'_, [u8]>> {
        match self.0.get(i)? {
            Arg::Str(s) => Some(Cow::Borrowed(s)),
            Arg::Var(v) => match scope.facts.vars.get(*v, scope.direction)?.cast(Type::Str)? {
                Value::Str(s) => Some(s),
                _ => None,
            },
            _ => None,
        }
    }
    /// Makes a variable of argument `i` where it is a variable's name.
    ///
    /// # Errors
    /// HAProxy's message about the name.
    pub(crate) fn make_var(&mut self, i: usize) -> Result<(), String> {
        match self.0.get_mut(i) {
            Some(a @ Arg::Str(_)) => {
                let Arg::Str(text) = &*a else { return Ok(()) };
                *a = Arg::Var(VarName::parse(text)?);
                Ok(())
            }
            _ => Ok(()),
        }
    }
    /// The same, but other text stays text.
    pub(crate) fn maybe_var(&mut self, i: usize) {
        if VarName::looks_like(self.text(i)) {
            let _ = self.make_var(i);
        }
    }
    /// What a check made of argument `i`.
    #[inline]
    #[must_use]
    pub fn made<T: 'static>(&self, i: usize) -> Option<&T> {
        match self.0.get(i) {
            Some(Arg::Made(m)) => m.downcast_ref(),
            _ => None,
        }
    }
    /// How many were given.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }
    /// None was given?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What is wrong with arguments, and at which one (from 1).
#[derive(Debug)]
pub(crate) struct BadArg {
    pub position: usize,
    pub message: String,
}

/// Reads `(…)` at the start of `text` if it is there; the arguments and how many bytes they took.
pub(crate) fn parse(text: &[u8], spec: &Spec) -> Result<(Args, usize), BadArg> {
    let mut args = Vec::new();
    if text.first() != Some(&b'(') {
        missing(&mut args, spec)?;
        return Ok((Args(args), 0));
    }
    let mut at = 1;
    if text.get(at) == Some(&b')') {
        // a text may be empty, whatever else must be given
        if spec.kinds.first() == Some(&ArgKind::Str) {
            args.push(Arg::Str(Box::default()));
        }
        missing(&mut args, spec)?;
        return Ok((Args(args), 2));
    }
    loop {
        let Some(kind) = spec.kinds.get(args.len()) else {
            let before = if args.is_empty() { at } else { at - 1 };
            let rest = text.get(before..).unwrap_or(&[]);
            let message = if rest.is_empty() {
                "expected ')'".to_string()
            } else {
                format!("expected ')' before '{}'", String::from_utf8_lossy(rest))
            };
            return Err(BadArg { position: args.len() + 1, message });
        };
        let (word, used) = cut(text.get(at..).unwrap_or(&[]));
        at += used;
        let position = args.len() + 1;
        args.push(read(*kind, word, position)?);
        match text.get(at) {
            Some(b')') => break,
            Some(_) => at += 1,
            None => return Err(BadArg { position: args.len() + 1, message: "expected ')'".into() }),
        }
    }
    missing(&mut args, spec)?;
    Ok((Args(args), at + 1))
}

/// Complains about mandatory arguments that were not given; a first one that is text may be left out.
fn missing(args: &mut Vec<Arg>, spec: &Spec) -> Result<(), BadArg> {
    if args.len() >= spec.min {
        return Ok(());
    }
    if args.is_empty() {
        match spec.kinds.first() {
            // names that were not given are complained about when everything has been read
            Some(
                ArgKind::Str | ArgKind::Userlist | ArgKind::Server | ArgKind::Frontend | ArgKind::Backend,
            ) => args.push(Arg::Str(Box::default())),
            Some(kind) => return Err(nothing(*kind, 1)),
            None => return Ok(()),
        }
    }
    match spec.kinds.get(args.len()) {
        Some(kind) if args.len() < spec.min => Err(BadArg {
            position: args.len() + 1,
            message: format!(
                "missing arguments (got {}/{}), type '{}' expected",
                args.len(),
                spec.min,
                kind.name()
            ),
        }),
        _ => Ok(()),
    }
}

fn nothing(kind: ArgKind, position: usize) -> BadArg {
    BadArg {
        position,
        message: format!("expected type '{}' at position {position}, but got nothing", kind.name()),
    }
}

/// One argument up to its `,` or `)`, quotes and escapes resolved; and how many bytes it took.
fn cut(text: &[u8]) -> (Vec<u8>, usize) {
    let mut out = Vec::new();
    let mut quote = 0u8;
    let mut i = 0;
    while let Some(&b) = text.get(i) {
        match b {
            b'\\' if quote != b'\'' => {
                i += 1;
                match text.get(i) {
                    Some(b'n') => out.push(b'\n'),
                    Some(b'r') => out.push(b'\r'),
                    Some(b't') => out.push(b'\t'),
                    Some(c @ (b'\\' | b'"' | b'\'' | b' ')) => out.push(*c),
                    // anything else is as it was, and may end the argument
                    _ => {
                        out.push(b'\\');
                        continue;
                    }
                }
            }
            b'"' | b'\'' if quote == 0 => quote = b,
            _ if quote != 0 && b == quote => quote = 0,
            b',' | b')' if quote == 0 => break,
            _ => out.push(b),
        }
        i += 1;
    }
    (out, i.min(text.len()))
}

fn read(kind: ArgKind, word: Vec<u8>, position: usize) -> Result<Arg, BadArg> {
    if word.is_empty() && kind != ArgKind::Str {
        return Err(nothing(kind, position));
    }
    let text = String::from_utf8_lossy(&word);
    let value = match kind {
        ArgKind::Int => int(&word).map(Arg::Int),
        ArgKind::V4 => text.parse().ok().map(Arg::V4),
        ArgKind::V6 => text.parse().ok().map(Arg::V6),
        ArgKind::Mask4 => mask4(&text).map(Arg::V4),
        ArgKind::Mask6 => mask6(&text).map(Arg::V6),
        ArgKind::Path => path(&text).map(Arg::Path),
        _ => Some(Arg::Str(word.clone().into())),
    };
    value.ok_or_else(|| BadArg {
        position,
        message: format!("failed to parse '{text}' as type '{}' at position {position}", kind.name()),
    })
}

/// Numbers with dots between.
fn path(text: &str) -> Option<Box<[u64]>> {
    text.split('.').map(|n| n.parse().ok()).collect()
}

/// Sign and digits, saturating; a sign alone is 0, as in HAProxy.
pub(crate) fn int(word: &[u8]) -> Option<i64> {
    let digits = word.strip_prefix(b"-").or_else(|| word.strip_prefix(b"+")).unwrap_or(word);
    (!word.is_empty() && digits.iter().all(u8::is_ascii_digit)).then(|| crate::value::leading_int(word))
}

/// Bits or dotted.
pub(crate) fn mask4(text: &str) -> Option<Ipv4Addr> {
    match text.parse::<u32>() {
        Ok(bits @ 0..=32) => Some(Ipv4Addr::from(u32::MAX.checked_shl(32 - bits).unwrap_or(0))),
        Ok(_) => None,
        Err(_) => text.parse().ok(),
    }
}

fn mask6(text: &str) -> Option<Ipv6Addr> {
    match text.parse::<u32>() {
        Ok(bits @ 0..=128) => Some(Ipv6Addr::from(u128::MAX.checked_shl(128 - bits).unwrap_or(0))),
        Ok(_) => None,
        Err(_) => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: ArgKind = ArgKind::Str;

    #[test]
    fn quotes_and_escapes() {
        let spec = Spec { min: 1, kinds: &[S, S, ArgKind::Int] };
        let (a, used) = parse(br#"("a,)b",c\",-7)rest"#, &spec).unwrap();
        assert_eq!((a.text(0), a.text(1), a.int(2), used), (&b"a,)b"[..], &b"c\""[..], Some(-7), 15));
        // recorded from 3.5: a backslash before anything else stays, and a delimiter stays one
        let (a, used) = parse(br#"("a\,\(\$b",c\,-7)rest"#, &spec).unwrap();
        assert_eq!((a.text(0), a.text(1), a.int(2), used), (&br"a\,\(\$b"[..], &br"c\"[..], Some(-7), 18));
        let (a, used) = parse(br#"(a\ b\\c\)rest"#, &spec).unwrap();
        assert_eq!((a.text(0), used), (&br"a b\c\"[..], 10));
        let (a, used) = parse(b"", &spec).unwrap();
        assert_eq!((a.text(0), used), (&b""[..], 0));
    }

    #[test]
    fn errors_as_haproxy_words_them() {
        let int = Spec { min: 1, kinds: &[ArgKind::Int] };
        let field = Spec { min: 2, kinds: &[ArgKind::Int, S, ArgKind::Int] };
        let none = Spec { min: 0, kinds: &[] };
        for (text, spec, position, message) in [
            ("(x)", &int, 1, "failed to parse 'x' as type 'integer' at position 1"),
            ("", &int, 1, "expected type 'integer' at position 1, but got nothing"),
            ("(1", &int, 2, "expected ')'"),
            ("(1,2)", &int, 2, "expected ')' before ',2)'"),
            ("(x)", &none, 1, "expected ')' before 'x)'"),
            ("(", &none, 1, "expected ')'"),
            ("(1)", &field, 2, "missing arguments (got 1/2), type 'string' expected"),
            ("(1,x,y)", &field, 3, "failed to parse 'y' as type 'integer' at position 3"),
        ] {
            let e = parse(text.as_bytes(), spec).unwrap_err();
            assert_eq!((e.position, e.message.as_str()), (position, message), "{text}");
        }
    }

    #[test]
    fn masks() {
        assert_eq!(mask4("0"), Some(Ipv4Addr::UNSPECIFIED));
        assert_eq!(mask4("24"), Some(Ipv4Addr::new(255, 255, 255, 0)));
        assert_eq!(mask4("33"), None);
        assert_eq!(mask6("128"), Some(Ipv6Addr::from(u128::MAX)));
    }
}
