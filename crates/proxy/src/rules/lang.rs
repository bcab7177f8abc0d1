//! The expression language as rules use it: the one place that knows how `sample` is called.

use portcullis_config::{Args, Cx, ProxyKind, Word};
use portcullis_sample::acl::{Acls, Reader, Warning};
use portcullis_sample::condition::{Condition as Parsed, Program};
use portcullis_sample::format::{Needs, Options};
use portcullis_sample::names;
use portcullis_sample::place::{self, Places};
use portcullis_sample::row::vocabulary;
use std::net::IpAddr;
use std::sync::OnceLock;

pub use portcullis_sample::Facts;
pub use portcullis_sample::acl::{Verdict, Watch};
pub use portcullis_sample::scope::{Direction, Message, Payload, Random, Scope};
pub use portcullis_sample::value::Value;

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
    /// `use-server`
    Server,
    /// `monitor fail`
    Monitor,
    /// Headers towards the server (`option forwarded`, `unique-id-format`).
    Forward,
    /// `log-format` and its kin.
    Log,
    /// `tcp-check` and `http-check`.
    Check,
}

impl At {
    /// The places of a frontend and of a backend.
    fn places(self) -> (Places, Places) {
        match self {
            Self::TcpConnection => (Places::FE_CONNECTION, Places::empty()),
            Self::TcpSession => (Places::FE_SESSION, Places::empty()),
            Self::TcpRequest => (Places::FE_CONTENT, Places::BE_CONTENT),
            Self::TcpResponse => (Places::empty(), Places::BE_RESPONSE),
            Self::HttpRequest | Self::Forward => (Places::FE_HTTP_REQUEST, Places::BE_HTTP_REQUEST),
            Self::HttpResponse | Self::HttpAfterResponse => {
                (Places::FE_HTTP_RESPONSE, Places::BE_HTTP_RESPONSE)
            }
            Self::HttpError => (
                Places::FE_HTTP_REQUEST.union(Places::FE_HTTP_RESPONSE),
                Places::BE_HTTP_REQUEST.union(Places::BE_HTTP_RESPONSE),
            ),
            Self::Switch => (Places::FE_USE_BACKEND, Places::empty()),
            Self::Server => (Places::empty(), Places::BE_SERVER),
            Self::Monitor => (Places::FE_HTTP_REQUEST, Places::empty()),
            Self::Log => (Places::LOG, Places::LOG),
            Self::Check => (Places::CHECK, Places::CHECK),
        }
    }

    /// How messages about names call expressions here.
    fn expression(self) -> &'static str {
        match self {
            Self::TcpConnection | Self::TcpSession | Self::TcpRequest => "tcp-request",
            Self::TcpResponse => "tcp-response",
            Self::HttpRequest | Self::Switch | Self::Server | Self::Monitor | Self::Forward => "http-request",
            Self::HttpResponse => "http-response",
            Self::HttpAfterResponse => "http-after-response",
            Self::HttpError => "http-error",
            Self::Log => "log-format",
            Self::Check => "tcp-check",
        }
    }

    /// How a warning about a fetch that is not valid here calls the rule set; the HTTP ones are not named.
    fn rule(self) -> Option<&'static str> {
        match self {
            Self::TcpConnection => Some("tcp-request connection"),
            Self::TcpSession => Some("tcp-request session"),
            Self::TcpRequest => Some("tcp-request content"),
            Self::TcpResponse => Some("tcp-response content"),
            _ => None,
        }
    }
}

/// What formats of rules show, anywhere in the configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked(pub Needs);

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
        portcullis_sample::files::set_base(crate::reply::rows::file_path(cx, ""));
        names::parsing(names::Context {
            place: cx.line.place(),
            file: cx.diags.files.get(cx.line.file.0 as usize).cloned().unwrap_or_default(),
            proxy: cx.proxy().name.clone(),
            rule: at.expression(),
            acl: None,
        });
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

    /// Where what is being parsed may be evaluated, given what the open proxy is.
    fn places(&mut self) -> (Places, Places) {
        let (front, back) = self.at.places();
        (if self.front() { front } else { Places::empty() }, if self.back() { back } else { Places::empty() })
    }

    /// A log format.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn format(&mut self, word: &Word) -> Result<Format, String> {
        self.compiled(word, Options::rule)
    }

    /// A log format for what is neither a header field nor a part of the request line.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn plain_format(&mut self, word: &Word) -> Result<Format, String> {
        self.compiled(word, Options::plain)
    }

    /// `unique-id-format`
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn id_format(&mut self, word: &Word) -> Result<Format, String> {
        self.compiled(word, Options::id)
    }

    fn compiled(&mut self, word: &Word, options: fn(Places) -> Options) -> Result<Format, String> {
        let (front, back) = self.places();
        let options = options(front | back);
        let (format, warnings) =
            portcullis_sample::Format::compile(&word.text, options, &vocabulary()).map_err(|e| e.0)?;
        for warning in warnings {
            self.cx.warn(Some(word), warning);
        }
        self.cx.model.ext.entry::<Asked>().0 |= format.needs();
        Ok(Format(format))
    }

    /// The text of a `log-format`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn log_format(&mut self, word: &Word) -> Result<portcullis_sample::Format, String> {
        let (format, warnings) =
            portcullis_sample::Format::compile(&word.text, Options::LOG, &vocabulary()).map_err(|e| e.0)?;
        for warning in warnings {
            self.cx.warn(Some(word), warning);
        }
        Ok(format)
    }

    /// An expression, from the next word.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn expr(&mut self) -> Result<Expr, String> {
        let word = self.want("missing fetch method")?;
        let expr =
            portcullis_sample::expr::Expr::parse(&word.text, &vocabulary()).map_err(|e| e.to_string())?;
        Ok(Expr(expr))
    }

    /// An expression that must be able to give something here.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn expr_here(&mut self) -> Result<Expr, String> {
        let expr = self.expr()?;
        let (front, back) = self.places();
        let fetch = expr.0.fetch();
        if !fetch.needs.places.intersects(front | back) {
            return Err(format!(
                "fetch method '{}' extracts information from '{}', none of which is available here",
                expr.0.text(),
                fetch.needs.name
            ));
        }
        Ok(expr)
    }

    /// `if` or `unless` and what follows, if it comes next.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn condition(&mut self) -> Result<Option<Condition>, String> {
        let Some(word) = self.args.next() else { return Ok(None) };
        let words = self.args.words.get(self.args.at..).unwrap_or(&[]);
        self.args.at = self.args.words.len();
        let unless = word.is("unless");
        names::acl(Some(String::new()));
        let parsed =
            self.reading(|acls, reader, warnings| Parsed::parse(unless, words, acls, reader, warnings));
        names::acl(None);
        let parsed = parsed?;
        self.warn_of_conflicts(&parsed);
        let (front, back) = self.places();
        // an error page may stand on either side
        let places = match self.at {
            At::HttpError => Vec::new(),
            _ => [front, back].into_iter().filter(|p| !p.is_empty()).collect(),
        };
        Ok(Some(Condition { parsed, places, program: OnceLock::new() }))
    }

    /// The test of an `acl` line, from the words that are left; it joins the section's ACL of this name.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn acl(&mut self, name: &str) -> Result<(), String> {
        let words = self.args.words.get(self.args.at..).unwrap_or(&[]);
        names::acl(Some(name.to_owned()));
        self.reading(|acls, reader, warnings| {
            match reader.test(words, warnings) {
                Ok(test) => acls.add(name, test),
                Err(why) => {
                    acls.refused(name);
                    return Err(why);
                }
            }
            Ok(())
        })
    }

    /// Calls `sample`'s reader with the section's ACLs, and reports its warnings.
    fn reading<T>(&mut self, read: impl FnOnce(&mut Acls, &Reader<'_>, &mut Vec<Warning>) -> T) -> T {
        let mut acls = std::mem::take(self.cx.ext::<Acls>());
        let place = self.cx.proxy().place;
        let mut warnings = Vec::new();
        let result = {
            let cx = &*self.cx;
            let resolve = |name: &str| crate::reply::rows::file_path(cx, name);
            let vocabulary = vocabulary();
            let reader = Reader { vocabulary: &vocabulary, files: cx.files, resolve: &resolve };
            read(acls.of(place), &reader, &mut warnings)
        };
        *self.cx.ext::<Acls>() = acls;
        for warning in warnings {
            match warning {
                Warning::Line(message) | Warning::Bare(message) => self.cx.warn(None, message),
            };
        }
        result
    }

    /// Warns of the first ACL that can work in none of the places.
    fn warn_of_conflicts(&mut self, parsed: &Parsed) {
        let (front, back) = self.places();
        let both = [front, back].into_iter().filter(|p| !p.is_empty());
        let conflicts: Vec<_> = both.map(|place| parsed.conflict(place).map(|c| (place.bits(), c))).collect();
        if conflicts.iter().any(Option::is_none) {
            return;
        }
        let Some((_, conflict)) = conflicts.into_iter().flatten().min_by_key(|c| c.0) else { return };
        let rule = self.at.rule();
        let message = conflict.message(rule);
        // 3.5 begins the sentence with a quote that it never closes
        let message = if rule.is_some() { message } else { format!("'{message}.") };
        self.cx.warn(None, message);
    }
}

/// A condition; ACLs that it names may grow until everything has been read.
#[derive(Clone, Debug)]
pub struct Condition {
    parsed: Parsed,
    /// Where it stands: of the frontend and of the backend.
    places: Vec<Places>,
    program: OnceLock<Program>,
}

impl Condition {
    /// What it comes to.
    #[inline]
    #[must_use]
    pub fn eval(&self, scope: &Scope<'_>) -> Verdict {
        self.program().eval(scope)
    }
    /// Does it look at buffers, which HTTP does not fill with what is on the wire?
    #[must_use]
    pub fn looks_at_bytes(&self) -> bool {
        let bytes = |e: &portcullis_sample::Expr| {
            [place::REQUEST_BYTES, place::RESPONSE_BYTES].contains(&e.fetch().needs)
        };
        self.parsed.groups.iter().flatten().any(|(_, acl)| acl.tests().iter().any(|t| bytes(&t.expr)))
    }
    /// Does it look at what a client has sent?
    #[must_use]
    pub fn reads_request(&self) -> bool {
        let groups = self.parsed.groups.iter().flatten();
        groups.flat_map(|(_, acl)| acl.tests()).any(|t| reads_request(&t.expr))
    }
    /// The same, and `watch` is told of every value that is looked at.
    #[inline]
    pub fn eval_watched<W: Watch>(&self, scope: &Scope<'_>, watch: &mut W) -> Verdict {
        self.program().eval_watched(scope, watch)
    }
    /// The compiled condition. Called first when the configuration is complete.
    #[inline]
    pub fn program(&self) -> &Program {
        self.program.get_or_init(|| self.parsed.program(&self.places))
    }
}

/// Does it look at what a client has sent?
#[must_use]
pub fn reads_request(e: &portcullis_sample::Expr) -> bool {
    use place::{EITHER, EITHER_BYTES, REQUEST, REQUEST_BYTES, REQUEST_LINE};
    [REQUEST_BYTES, REQUEST, REQUEST_LINE, EITHER, EITHER_BYTES].contains(&e.fetch().needs)
}

/// A log format.
#[derive(Clone, Debug)]
pub struct Format(portcullis_sample::Format);

impl Format {
    /// As `sample` has it.
    #[must_use]
    pub fn inner(&self) -> &portcullis_sample::Format {
        &self.0
    }
    /// Does it look at what a client has sent?
    #[must_use]
    pub fn reads_request(&self) -> bool {
        self.0.expressions().any(reads_request)
    }
    /// Its text for this scope.
    #[must_use]
    pub fn bytes(&self, scope: &Scope<'_>) -> Vec<u8> {
        if let Some(constant) = self.0.constant() {
            return constant.to_vec();
        }
        let mut out = Vec::with_capacity(64);
        self.write(scope, &mut out);
        out
    }
    /// The same, behind what `out` holds.
    pub fn write(&self, scope: &Scope<'_>, out: &mut Vec<u8>) {
        self.0.run(scope, out);
    }
}

/// An expression.
#[derive(Clone, Debug)]
pub struct Expr(portcullis_sample::expr::Expr);

impl Expr {
    /// Its value, if it is there.
    #[must_use]
    pub fn value<'s>(&'s self, scope: &Scope<'s>) -> Option<Value<'s>> {
        self.0.eval(scope).there()
    }
    /// Does it look at what a client has sent?
    #[must_use]
    pub fn reads_request(&self) -> bool {
        reads_request(&self.0)
    }
    /// May it still come to a value?
    #[must_use]
    pub fn is_waiting(&self, scope: &Scope<'_>) -> bool {
        matches!(self.0.eval(scope), portcullis_sample::value::Sample::NotYet)
    }
    /// Its value as text.
    #[must_use]
    pub fn text<'s>(&'s self, scope: &Scope<'s>) -> Option<std::borrow::Cow<'s, [u8]>> {
        self.0.eval_text(scope)
    }
    /// Its value as a number.
    #[must_use]
    pub fn integer(&self, scope: &Scope<'_>) -> Option<i64> {
        self.value(scope)?.to_int()
    }
    /// The same; bytes are a text that begins with a number.
    #[must_use]
    pub fn leading_integer(&self, scope: &Scope<'_>) -> Option<i64> {
        match self.value(scope)? {
            Value::Bin(bytes) => Some(super::number::leading(&bytes)),
            value => value.to_int(),
        }
    }
    /// Its value as an address.
    #[must_use]
    pub fn address(&self, scope: &Scope<'_>) -> Option<IpAddr> {
        match self.value(scope)?.cast(portcullis_sample::value::Type::Addr)? {
            Value::V4(a) => Some(a.into()),
            Value::V6(a) => Some(a.into()),
            _ => None,
        }
    }
}

pub use portcullis_sample::pattern::regex::Groups;

/// A regular expression over bytes.
#[derive(Clone, Debug)]
pub struct Regex(portcullis_sample::pattern::Regex);

impl Regex {
    /// Compiles it.
    ///
    /// # Errors
    /// 3.5's message.
    pub fn new(text: &[u8]) -> Result<Self, String> {
        portcullis_sample::pattern::Regex::new(text, false).map(Self)
    }
    /// Does it match anywhere?
    #[must_use]
    pub fn is_match(&self, text: &[u8]) -> bool {
        self.0.is_match(text)
    }
    /// The first match and its groups.
    #[must_use]
    pub fn groups(&self, text: &[u8]) -> Option<Groups> {
        self.0.groups_at(text, 0)
    }
}
