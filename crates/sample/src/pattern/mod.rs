//! Matching methods and sets of patterns (manual section 7.1).

mod entries;
pub mod index;
pub mod inline;
pub mod ints;
mod lines;
mod nets;
mod parts;
mod prefixes;
pub mod regex;
pub mod shared;
mod strings;
pub mod tally;

pub use inline::Inline;
pub use ints::Ints;
pub use nets::Nets;
pub use parts::{Part, Parts};
pub use regex::Regex;
pub use strings::StrTable;

use crate::value::{Type, Value};
use portcullis_wire::hex;
use std::sync::Arc;

/// A matching method (`-m`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// The sample is there.
    Found,
    /// It is true.
    Bool,
    /// Integer ranges.
    Int,
    /// Networks.
    Ip,
    /// Exact bytes, given in hex.
    Bin,
    /// Ranges of its length.
    Len,
    /// Exact string.
    Str,
    /// Prefix.
    Beg,
    /// Substring.
    Sub,
    /// Part between slashes.
    Dir,
    /// Part between dots and other delimiters.
    Dom,
    /// Suffix.
    End,
    /// Regular expression.
    Reg,
}

impl Method {
    /// All, with their names.
    pub const ALL: [(&'static str, Method); 13] = [
        ("found", Self::Found),
        ("bool", Self::Bool),
        ("int", Self::Int),
        ("ip", Self::Ip),
        ("bin", Self::Bin),
        ("len", Self::Len),
        ("str", Self::Str),
        ("beg", Self::Beg),
        ("sub", Self::Sub),
        ("dir", Self::Dir),
        ("dom", Self::Dom),
        ("end", Self::End),
        ("reg", Self::Reg),
    ];
    /// By name.
    #[must_use]
    pub fn of(name: &[u8]) -> Option<Self> {
        Self::ALL.iter().find(|(n, _)| n.as_bytes() == name).map(|(_, m)| *m)
    }
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, m)| *m == self).map_or("", |(n, _)| n)
    }
    /// The method that a type implies.
    #[must_use]
    pub fn implied(kind: Type) -> Option<Self> {
        match kind {
            Type::Bool => Some(Self::Bool),
            Type::Int => Some(Self::Int),
            Type::Addr | Type::V4 | Type::V6 => Some(Self::Ip),
            Type::Str => Some(Self::Str),
            Type::Method | Type::Bin | Type::Any | Type::Same => None,
        }
    }
    /// The type that a sample is cast to before it is compared.
    fn wants(self) -> Type {
        match self {
            Self::Found => Type::Any,
            Self::Bool => Type::Bool,
            Self::Int => Type::Int,
            Self::Ip => Type::Addr,
            Self::Bin => Type::Bin,
            _ => Type::Str,
        }
    }
    /// Can samples of this type be matched so? (the table of manual section 7.1)
    #[must_use]
    pub fn takes(self, kind: Type) -> bool {
        kind.casts_to(self.wants())
    }
}

/// The patterns of one test, in the structure that suits its method.
#[derive(Clone, Debug)]
pub enum Set {
    /// None are needed (`found`, `bool`).
    None,
    /// Integer ranges.
    Ints(Ints),
    /// Ranges of the length.
    Lens(Ints),
    /// Networks.
    Nets(Nets),
    /// Exact strings, and those whose case does not matter.
    Exact {
        /// Case matters.
        exact: StrTable,
        /// Case does not matter.
        folded: StrTable,
    },
    /// Prefixes, suffixes, parts.
    Parts(Parts),
    /// Regular expressions.
    Regexes(Vec<(Regex, u32)>),
}

/// Patterns with their method.
#[derive(Clone, Debug)]
pub struct Patterns {
    /// How they are matched.
    pub method: Method,
    /// The patterns.
    pub set: Set,
    /// How many were given.
    pub count: usize,
    /// Lists that live on their own, from files.
    pub files: Vec<shared::View>,
    /// What the list of the patterns becomes once it is changed; those of a list have none.
    pub own: Option<Arc<Inline>>,
}

impl Patterns {
    /// None yet.
    #[must_use]
    pub fn new(method: Method) -> Self {
        let set = match method {
            Method::Found | Method::Bool => Set::None,
            Method::Int => Set::Ints(Ints::default()),
            Method::Len => Set::Lens(Ints::default()),
            Method::Ip => Set::Nets(Nets::default()),
            Method::Str | Method::Bin => {
                Set::Exact { exact: StrTable::new(false), folded: StrTable::new(true) }
            }
            Method::Reg => Set::Regexes(Vec::new()),
            Method::Beg => Set::Parts(Parts::new(Part::Beg)),
            Method::Sub => Set::Parts(Parts::new(Part::Sub)),
            Method::Dir => Set::Parts(Parts::new(Part::Dir)),
            Method::Dom => Set::Parts(Parts::new(Part::Dom)),
            Method::End => Set::Parts(Parts::new(Part::End)),
        };
        Self { method, set, count: 0, files: Vec::new(), own: None }
    }

    /// Adds one pattern.
    ///
    /// # Errors
    /// HAProxy's message about it.
    pub fn add(&mut self, text: &[u8], fold: bool, resolve: bool) -> Result<(), String> {
        self.add_as(text, fold, resolve, 0)
    }

    /// The same, for a pattern with a number; where several match, the lowest is found unless the method has a better.
    ///
    /// # Errors
    /// HAProxy's message about it.
    pub fn add_as(&mut self, text: &[u8], fold: bool, resolve: bool, index: u32) -> Result<(), String> {
        let shown = || String::from_utf8_lossy(text).into_owned();
        match &mut self.set {
            Set::None => {}
            Set::Ints(ints) | Set::Lens(ints) => ints.add(text, index)?,
            Set::Nets(nets) => {
                if !nets.add(text, resolve, index) {
                    return Err(format!("'{}' is not a valid IPv4 or IPv6 address", shown()));
                }
            }
            Set::Exact { exact, folded } => {
                let made;
                let key = if self.method == Method::Bin {
                    made = unhex(text)?;
                    &made
                } else {
                    text
                };
                if fold && self.method == Method::Str {
                    folded.insert(key, index);
                } else {
                    exact.insert(key, index);
                }
            }
            Set::Parts(parts) => parts.add(text, fold, index),
            Set::Regexes(list) => list.push((Regex::new(text, fold)?, index)),
        }
        self.count += 1;
        Ok(())
    }

    /// Makes the structures that many patterns need; to be called when patterns were added.
    pub fn seal(&mut self) {
        match &mut self.set {
            Set::Parts(p) => p.seal(),
            Set::Nets(n) => n.seal(),
            _ => {}
        }
    }

    /// So many were added since it was sealed that lookups suffer.
    #[must_use]
    pub fn loose(&self) -> bool {
        matches!(&self.set, Set::Nets(n) if n.loose())
    }

    /// Each of those that an index can hold.
    fn each(&self, f: &mut dyn FnMut(index::Pattern<'_>)) {
        match &self.set {
            Set::Exact { exact, folded } => {
                exact.keys().for_each(|k| f(index::Pattern::Text(k, false)));
                folded.keys().for_each(|k| f(index::Pattern::Text(k, true)));
            }
            Set::Parts(parts) => parts.each(f),
            Set::Nets(nets) => nets.each(f),
            _ => {}
        }
    }

    /// Does this value match any of them?
    #[inline]
    #[must_use]
    pub fn matches(&self, value: Value<'_>) -> bool {
        if self.set_is_none() {
            return self.method == Method::Found || matches!(value.cast(Type::Bool), Some(Value::Bool(true)));
        }
        if inline::any_changed() {
            return self.matches_now(&value);
        }
        if self.files.is_empty() {
            return self.has(value);
        }
        self.has(value.clone()) || self.files.iter().any(|f| f.matches(&value))
    }

    /// The same, when lists of patterns that stand in the configuration were changed.
    #[cold]
    fn matches_now(&self, value: &Value<'_>) -> bool {
        let own = match self.own.as_ref().and_then(|own| own.changed()) {
            Some(view) => view.matches(value),
            None => self.has(value.clone()),
        };
        own || self.files.iter().any(|f| f.matches(value))
    }

    fn set_is_none(&self) -> bool {
        matches!(self.set, Set::None)
    }

    /// Does a pattern of the set match this value?
    #[inline]
    pub(crate) fn has(&self, value: Value<'_>) -> bool {
        match (&self.set, &value) {
            (Set::Nets(nets), Value::V4(a)) => nets.has_v4(*a),
            _ => self.find(value).is_some(),
        }
    }

    /// The number of the pattern that this value matches.
    #[inline]
    #[must_use]
    pub fn find(&self, value: Value<'_>) -> Option<u32> {
        // strings are compared where they stand; all else is cast first
        match (&self.set, &value) {
            (Set::Exact { exact, folded }, Value::Str(s) | Value::Method(s)) => {
                exact.get(s).or_else(|| folded.get(s))
            }
            (Set::Parts(parts), Value::Str(s) | Value::Method(s)) => parts.find(s),
            _ => self.cast_and_find(value),
        }
    }

    fn cast_and_find(&self, value: Value<'_>) -> Option<u32> {
        let value = value.cast(self.method.wants())?;
        match &self.set {
            Set::None => None,
            Set::Ints(ints) => ints.find(value.to_int()?),
            Set::Nets(nets) => match value {
                Value::V4(a) => nets.find_v4(a),
                Value::V6(a) => nets.find_v6(a),
                _ => None,
            },
            Set::Lens(ints) => ints.find(value.bytes()?.len() as i64),
            Set::Exact { exact, folded } => {
                let b = value.bytes()?;
                exact.get(b).or_else(|| folded.get(b))
            }
            Set::Parts(parts) => parts.find(value.bytes()?),
            Set::Regexes(list) => {
                let b = value.bytes()?;
                list.iter().find(|(r, _)| r.is_match(b)).map(|r| r.1)
            }
        }
    }
}

/// Bytes from hex digits.
///
/// # Errors
/// HAProxy's message.
pub(crate) fn unhex(text: &[u8]) -> Result<Vec<u8>, String> {
    hex::decode(text).map_err(|bad| match bad {
        hex::Bad::Odd => "an even number of hex digit is expected".into(),
        hex::Bad::Digit(b) => format!("an hex digit is expected (found '{}')", char::from(b)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(method: Method, patterns: &[&str]) -> Patterns {
        let mut p = Patterns::new(method);
        for t in patterns {
            p.add(t.as_bytes(), false, false).unwrap();
        }
        p
    }

    #[test]
    fn methods_on_values_of_other_types() {
        assert!(set(Method::Str, &["127.0.0.1"]).matches(Value::V4([127, 0, 0, 1].into())));
        assert!(set(Method::Len, &["2:3"]).matches(Value::Int(123)));
        assert!(!set(Method::Len, &["2:3"]).matches(Value::Int(1)));
        assert!(set(Method::Int, &["8:"]).matches(Value::str(b"8 and more")));
        assert!(set(Method::Ip, &["10.0.0.0/8"]).matches(Value::str(b"10.1.2.3")));
        assert!(!set(Method::Ip, &["10.0.0.0/8"]).matches(Value::str(b"x")));
        assert!(set(Method::Bin, &["48656C6c6f"]).matches(Value::bin(b"Hello")));
        assert!(set(Method::Bool, &[]).matches(Value::Int(2)));
        assert!(set(Method::Found, &[]).matches(Value::Int(0)));
        assert!(set(Method::Reg, &["^/a.*z$"]).matches(Value::str(b"/a1z")));
        assert_eq!(unhex(b"4"), Err("an even number of hex digit is expected".into()));
        assert_eq!(unhex(b"4z"), Err("an hex digit is expected (found 'z')".into()));
    }
}
