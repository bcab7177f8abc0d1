//! Expressions: a fetch and the converters behind it.

use crate::args::{self, Args};
use crate::place::Places;
use crate::row::{Convert, Cursor, Fetch, Spec, Vocabulary};
use crate::scope::Scope;
use crate::value::{Sample, Type, Value};

/// A converter with its arguments, and the types around it.
#[derive(Clone)]
struct Step {
    row: &'static Convert,
    args: Args,
    /// The cast that its input needs.
    cast: Option<Type>,
}

/// A compiled expression.
#[derive(Clone)]
pub struct Expr {
    fetch: &'static Fetch,
    args: Args,
    steps: Vec<Step>,
    output: Type,
    text: Box<str>,
}

impl std::fmt::Debug for Expr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Expr({})", self.text)
    }
}

/// What is wrong with an expression. Conditions and formats word it differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExprError {
    /// Nothing where the fetch should be.
    NoFetch,
    /// No fetch of this name; and the nearest that there is.
    UnknownFetch(String, Option<&'static str>),
    /// HAProxy has it, we don't yet.
    FetchNotYet(String),
    /// Arguments of the fetch.
    FetchArgs(String, String),
    /// Arguments of the fetch that its check refuses.
    FetchCheck(String, String),
    /// No converter of this name; and the nearest that there is.
    UnknownConverter(String, Option<&'static str>),
    /// HAProxy has it, we don't yet.
    ConverterNotYet(String),
    /// Position and message about arguments of a converter.
    ConverterArgs(String, usize, String),
    /// Arguments of a converter that its check refuses.
    ConverterCheck(String, String),
    /// There is no cast to the converter's input.
    CannotApply(String),
    /// Something else than a comma behind the fetch.
    NoCommaAfterFetch,
    /// Something else than a comma behind this converter.
    NoCommaAfterConverter(String),
}

impl std::fmt::Display for ExprError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoFetch => write!(f, "missing fetch method"),
            Self::UnknownFetch(n, near) => {
                write!(f, "unknown fetch method '{n}'")?;
                hint(f, *near)
            }
            Self::FetchNotYet(n) => write!(f, "fetch method '{n}' is not supported yet"),
            Self::FetchArgs(n, m) => write!(f, "fetch method '{n}' : {m}"),
            Self::FetchCheck(n, m) => write!(f, "invalid args in fetch method '{n}' : {m}"),
            Self::UnknownConverter(n, near) => {
                write!(f, "unknown converter '{n}'")?;
                hint(f, *near)
            }
            Self::ConverterNotYet(n) => write!(f, "converter '{n}' is not supported yet"),
            Self::ConverterArgs(n, p, m) => write!(f, "invalid arg {p} in converter '{n}' : {m}"),
            Self::ConverterCheck(n, m) => write!(f, "invalid args in converter '{n}' : {m}"),
            Self::CannotApply(n) => write!(f, "converter '{n}' cannot be applied"),
            Self::NoCommaAfterFetch => write!(f, "missing comma after fetch keyword"),
            Self::NoCommaAfterConverter(n) => write!(f, "missing comma after converter '{n}'"),
        }
    }
}

fn hint(f: &mut std::fmt::Formatter<'_>, near: Option<&str>) -> std::fmt::Result {
    near.map_or(Ok(()), |n| write!(f, "; did you mean '{n}' ?"))
}

fn name_len(text: &[u8]) -> usize {
    text.iter()
        .position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'+')))
        .unwrap_or(text.len())
}

fn take_name(text: &[u8]) -> (String, &[u8]) {
    let (name, rest) = text.split_at(name_len(text));
    (String::from_utf8_lossy(name).into_owned(), rest)
}

impl Expr {
    /// Reads an expression that is the whole text, as conditions and rules have it. A trailing comma is allowed.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &[u8], vocabulary: &Vocabulary) -> Result<Self, ExprError> {
        let (expr, used) = Self::read(text, None, vocabulary, true)?;
        if used < text.len() {
            return Err(match expr.steps.last() {
                None => ExprError::NoCommaAfterFetch,
                Some(s) => ExprError::NoCommaAfterConverter(s.row.name.into()),
            });
        }
        Ok(expr)
    }

    /// As [`Expr::parse`], with this fetch under whatever name stands there (ACL keywords).
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse_as(text: &[u8], fetch: &'static Fetch, vocabulary: &Vocabulary) -> Result<Self, ExprError> {
        let (expr, used) = Self::read(text, Some(fetch), vocabulary, true)?;
        if used < text.len() {
            return Err(match expr.steps.last() {
                None => ExprError::NoCommaAfterFetch,
                Some(s) => ExprError::NoCommaAfterConverter(s.row.name.into()),
            });
        }
        Ok(expr)
    }

    /// Reads the expression at the start of a text; also how many bytes it took.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse_prefix(text: &[u8], vocabulary: &Vocabulary) -> Result<(Self, usize), ExprError> {
        Self::read(text, None, vocabulary, false)
    }

    fn read(
        text: &[u8],
        known: Option<&'static Fetch>,
        vocabulary: &Vocabulary,
        lenient: bool,
    ) -> Result<(Self, usize), ExprError> {
        let (name, mut rest) = take_name(text);
        if name.is_empty() {
            return Err(ExprError::NoFetch);
        }
        let fetch = match known.or_else(|| vocabulary.fetch(&name)) {
            Some(f) => f,
            None if crate::known::FETCHES.binary_search(&name.as_str()).is_ok() => {
                return Err(ExprError::FetchNotYet(name));
            }
            None => {
                let near = crate::near::nearest(&name, vocabulary.fetches().iter().map(|f| f.name));
                return Err(ExprError::UnknownFetch(name, near));
            }
        };
        let (mut args, used) =
            args::parse(rest, &fetch.args).map_err(|e| ExprError::FetchArgs(name.clone(), e.message))?;
        if let Some(check) = fetch.check {
            check(&mut args).map_err(|m| ExprError::FetchCheck(name.clone(), m))?;
        }
        rest = rest.get(used..).unwrap_or(&[]);
        let mut kind = fetch.output;
        let mut steps = Vec::new();
        while let Some(after) = rest.strip_prefix(b",") {
            rest = after;
            if rest.first() == Some(&b',') || (lenient && rest.is_empty()) {
                continue;
            }
            let (step, after) = read_step(rest, kind, vocabulary)?;
            kind = if step.row.output == Type::Same { kind } else { step.row.output };
            rest = after;
            steps.push(step);
        }
        let used = text.len() - rest.len();
        let text = String::from_utf8_lossy(text.get(..used).unwrap_or(text)).into();
        let expr = Self { fetch, args, steps, output: kind, text };
        if fetch.slow {
            crate::work::note(&expr);
        }
        Ok((expr, used))
    }

    /// The fetch's row.
    #[must_use]
    pub fn fetch(&self) -> &'static Fetch {
        self.fetch
    }
    /// Type of what it gives.
    #[must_use]
    pub fn output(&self) -> Type {
        self.output
    }
    /// As written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
    /// Is it another expression that is the same, under whatever name its fetch was called (`hdr_end(x)` is `hdr(x)`)?
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        let behind = |e: &'_ Self| name_len(e.text.as_bytes());
        let rest = |e: &'_ Self| e.text.as_bytes().get(behind(e)..).unwrap_or(&[]).to_vec();
        std::ptr::eq(self.fetch, other.fetch) && rest(self) == rest(other)
    }
    /// The arguments of its fetch.
    pub(crate) fn args(&self) -> &Args {
        &self.args
    }
    /// Does it have converters?
    #[must_use]
    pub fn converted(&self) -> bool {
        !self.steps.is_empty()
    }
    /// Two evaluations with nothing changed between them give the same.
    #[must_use]
    pub fn pure(&self) -> bool {
        let fixed = |a: &Args| !a.0.iter().any(|a| matches!(a, args::Arg::Var(_)));
        self.fetch.pure && fixed(&self.args) && self.steps.iter().all(|s| s.row.pure && fixed(&s.args))
    }
    /// Is it valid in all these places?
    #[must_use]
    pub fn valid_in(&self, places: Places) -> bool {
        self.fetch.needs.places.contains(places)
    }

    /// The (first) value.
    #[inline]
    #[must_use]
    pub fn eval<'s>(&'s self, scope: &Scope<'s>) -> Sample<'s> {
        self.eval_at(scope, &mut Cursor::default())
    }

    /// The value that the cursor points at; after it `cursor.more` tells whether calling again gives another.
    #[inline]
    pub fn eval_at<'s>(&'s self, scope: &Scope<'s>, cursor: &mut Cursor) -> Sample<'s> {
        let first = (self.fetch.eval)(&self.args, scope, cursor);
        let whole = if self.steps.is_empty() { first } else { self.convert(first, scope) };
        match whole {
            // nothing more will come
            Sample::NotYet if scope.last_call => Sample::Missing,
            other => other,
        }
    }

    fn convert<'s>(&'s self, first: Sample<'s>, scope: &Scope<'s>) -> Sample<'s> {
        let mut value = match first {
            Sample::There(v) => v,
            other => return other,
        };
        for step in &self.steps {
            if let Some(to) = step.cast {
                match value.cast(to) {
                    Some(v) => value = v,
                    None => return Sample::Missing,
                }
            }
            match (step.row.eval)(&step.args, value, scope) {
                Sample::There(v) => value = v,
                other => return other,
            }
        }
        Sample::There(value)
    }

    /// The value as text.
    #[must_use]
    pub fn eval_text<'s>(&'s self, scope: &Scope<'s>) -> Option<crate::value::Bytes<'s>> {
        self.eval(scope).there().map(Value::into_text)
    }
}

fn read_step<'t>(
    text: &'t [u8],
    input: Type,
    vocabulary: &Vocabulary,
) -> Result<(Step, &'t [u8]), ExprError> {
    let (name, rest) = take_name(text);
    let row = match vocabulary.converter(&name) {
        Some(c) => c,
        None if crate::known::CONVERTERS.binary_search(&name.as_str()).is_ok() => {
            return Err(ExprError::ConverterNotYet(name));
        }
        None => {
            let near = crate::near::nearest(&name, vocabulary.converters().iter().map(|f| f.name));
            return Err(ExprError::UnknownConverter(name, near));
        }
    };
    if !input.casts_to(row.input) {
        return Err(ExprError::CannotApply(name));
    }
    let spec: &Spec = &row.args;
    let (mut args, used) =
        args::parse(rest, spec).map_err(|e| ExprError::ConverterArgs(name.clone(), e.position, e.message))?;
    if let Some(check) = row.check {
        check(&mut args).map_err(|m| ExprError::ConverterCheck(name.clone(), m))?;
    }
    let cast = (row.input != Type::Any && row.input != Type::Same).then_some(row.input);
    Ok((Step { row, args, cast }, rest.get(used..).unwrap_or(&[])))
}
