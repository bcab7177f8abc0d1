//! ACLs: tests of a sample against patterns, named and anonymous (manual sections 7.1 and 7.4).

use crate::expr::{Expr, ExprError};
use crate::pattern::ints::Operator;
use crate::pattern::{Method, Patterns, shared};
use crate::place::Places;
use crate::row::{Cursor, Vocabulary};
use crate::scope::Scope;
use crate::value::{Sample, Value};
use portcullis_config::{Files, Word};
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Answer of a test or condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It does not match.
    False,
    /// It matches.
    True,
    /// It can't be decided before more data is there.
    NotYet,
}

impl From<bool> for Verdict {
    fn from(b: bool) -> Self {
        if b { Self::True } else { Self::False }
    }
}

impl std::ops::Not for Verdict {
    type Output = Verdict;
    fn not(self) -> Self {
        match self {
            Self::False => Self::True,
            Self::True => Self::False,
            Self::NotYet => Self::NotYet,
        }
    }
}

/// Is told what conditions look at (`portcullis explain`). Nobody is told on the data plane: that is `()`, and costs
/// nothing.
pub trait Watch {
    /// Does it want to be told?
    const WATCHES: bool;
    /// A test looked at this value of its sample (`None`: it has none) and said so.
    fn value(&mut self, test: &Test, value: Option<&Value<'_>>, verdict: Verdict);
}

impl Watch for () {
    const WATCHES: bool = false;
    #[inline]
    fn value(&mut self, _: &Test, _: Option<&Value<'_>>, _: Verdict) {}
}

/// One test: an expression and patterns.
#[derive(Clone, Debug)]
pub struct Test {
    /// What is looked at.
    pub expr: Expr,
    /// What it is compared with.
    pub patterns: Patterns,
    /// The keyword as written, for messages.
    pub keyword: Box<str>,
}

impl Test {
    /// Looks at every value of the sample until one matches.
    #[inline]
    #[must_use]
    pub fn eval(&self, scope: &Scope<'_>) -> Verdict {
        self.eval_watched(scope, &mut ())
    }

    /// The same, and `watch` is told of each value.
    #[inline]
    pub fn eval_watched<W: Watch>(&self, scope: &Scope<'_>, watch: &mut W) -> Verdict {
        let mut cursor = Cursor::each();
        loop {
            match self.expr.eval_at(scope, &mut cursor) {
                Sample::There(v) => {
                    let seen = W::WATCHES.then(|| v.clone());
                    let matches = self.patterns.matches(v);
                    watch.value(self, seen.as_ref(), matches.into());
                    if matches {
                        return Verdict::True;
                    }
                }
                // part of a message may be what no converter can read
                Sample::Missing if !cursor.grows || scope.last_call => {
                    watch.value(self, None, Verdict::False);
                    return Verdict::False;
                }
                Sample::Missing | Sample::NotYet => {
                    watch.value(self, None, Verdict::NotYet);
                    return Verdict::NotYet;
                }
            }
            if !cursor.more {
                return if cursor.grows && !scope.last_call { Verdict::NotYet } else { Verdict::False };
            }
        }
    }

    /// Can its patterns be looked up together with those of other tests?
    #[must_use]
    pub fn indexable(&self) -> bool {
        self.patterns.indexable() && self.expr.pure()
    }
}

/// A named ACL: its tests, of which one must match. Conditions that name it see tests that are added later too.
#[derive(Debug, Default)]
pub struct Acl {
    /// Its name; empty for an anonymous one.
    pub name: String,
    tests: Mutex<Vec<Arc<Test>>>,
}

impl Acl {
    /// With these tests.
    #[must_use]
    pub fn new(name: &str, tests: Vec<Arc<Test>>) -> Self {
        Self { name: name.into(), tests: Mutex::new(tests) }
    }
    /// Adds a test.
    pub fn push(&self, test: Arc<Test>) {
        self.tests.lock().unwrap_or_else(PoisonError::into_inner).push(test);
    }
    /// Its tests so far.
    #[must_use]
    pub fn tests(&self) -> Vec<Arc<Test>> {
        self.tests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The named ACLs of one section. Not inherited: those of a `defaults` section serve its own rules only.
#[derive(Clone, Debug, Default)]
pub struct Acls {
    /// Which section they belong to (index or place, whatever tells sections apart).
    section: (u32, u32),
    named: Named,
}

/// ACLs by name; the fetch `acl` looks them up while the section is being read.
type Named = Arc<Mutex<HashMap<String, Arc<Acl>>>>;

thread_local! {
    /// Those of the section that is being read on this thread.
    static READING: RefCell<Named> = RefCell::default();
}

/// An ACL of the section that is being read, or a predefined one.
pub(crate) fn named(name: &str) -> Option<Arc<Acl>> {
    let acls = READING.with_borrow(Clone::clone);
    let found = lock(&acls).get(name).cloned();
    found.or_else(|| {
        let vocabulary = crate::row::vocabulary();
        let resolve = |n: &str| Path::new(n).to_path_buf();
        let reader = Reader {
            vocabulary: &vocabulary,
            files: &portcullis_config::files::LocalFiles,
            resolve: &resolve,
        };
        predefined(&acls, name, &reader)?.ok()
    })
}

/// Makes the predefined ACL of this name; `None`: there is none.
fn predefined(acls: &Named, name: &str, reader: &Reader<'_>) -> Option<Result<Arc<Acl>, String>> {
    let (_, words) = PREDEFINED.iter().find(|(n, _)| *n == name)?;
    let words: Vec<Word> =
        words.iter().map(|w| Word { text: w.as_bytes().to_vec(), ..Word::default() }).collect();
    let made = reader.test(&words, &mut Vec::new()).map(|test| {
        let acl = Arc::new(Acl::new(name, vec![Arc::new(test)]));
        lock(acls).insert(name.into(), acl.clone());
        acl
    });
    Some(made)
}

fn lock(acls: &Named) -> MutexGuard<'_, HashMap<String, Arc<Acl>>> {
    acls.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Acls {
    /// The ACLs of the section that begins at `place`; those that came with a copy of another section are dropped.
    pub fn of(&mut self, place: portcullis_config::Place) -> &mut Self {
        let section = (place.file.0, place.line);
        if self.section != section {
            self.named = Named::default();
            self.section = section;
        }
        READING.set(self.named.clone());
        self
    }
    /// An ACL of this name, a predefined one included.
    ///
    /// # Errors
    /// There is none.
    pub fn find(&mut self, name: &str, reader: &Reader<'_>) -> Result<Arc<Acl>, String> {
        if let Some(a) = lock(&self.named).get(name) {
            return Ok(a.clone());
        }
        predefined(&self.named, name, reader).unwrap_or_else(|| {
            let acls = lock(&self.named);
            let known = acls.keys().map(String::as_str).chain(PREDEFINED.iter().map(|p| p.0));
            Err(match crate::near::nearest(name, known) {
                Some(near) => format!("no such ACL : '{name}'; did you mean '{near}' ?"),
                None => format!("no such ACL : '{name}'"),
            })
        })
    }
    /// Adds a test to the ACL of this name. One that is named like a predefined ACL replaces it.
    pub fn add(&mut self, name: &str, test: Test) {
        lock(&self.named)
            .entry(name.into())
            .or_insert_with(|| Arc::new(Acl::new(name, Vec::new())))
            .push(Arc::new(test));
    }
    /// Takes note of an ACL whose declaration was refused, so that nobody complains about those who name it.
    pub fn refused(&mut self, name: &str) {
        lock(&self.named).entry(name.into()).or_insert_with(|| Arc::new(Acl::new(name, Vec::new())));
    }
    /// Their names.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        lock(&self.named).keys().cloned().collect()
    }
}

/// Predefined ACLs (manual section 7.4).
pub const PREDEFINED: &[(&str, &[&str])] = &[
    ("FALSE", &["always_false"]),
    ("HTTP", &["req.proto_http"]),
    ("HTTP_1.0", &["req.ver", "1.0"]),
    ("HTTP_1.1", &["req.ver", "1.1"]),
    ("HTTP_2.0", &["req.ver", "2.0"]),
    ("HTTP_3.0", &["req.ver", "3.0"]),
    ("HTTP_CONTENT", &["req.hdr_val(content-length)", "gt", "0"]),
    ("HTTP_URL_ABS", &["url_reg", "^[^/:]*://"]),
    ("HTTP_URL_SLASH", &["url_beg", "/"]),
    ("HTTP_URL_STAR", &["url", "*"]),
    ("LOCALHOST", &["src", "127.0.0.1/8", "::1"]),
    ("METH_CONNECT", &["method", "CONNECT"]),
    ("METH_DELETE", &["method", "DELETE"]),
    ("METH_GET", &["method", "GET", "HEAD"]),
    ("METH_HEAD", &["method", "HEAD"]),
    ("METH_OPTIONS", &["method", "OPTIONS"]),
    ("METH_POST", &["method", "POST"]),
    ("METH_PUT", &["method", "PUT"]),
    ("METH_TRACE", &["method", "TRACE"]),
    ("RDP_COOKIE", &["req.rdp_cookie_cnt", "gt", "0"]),
    ("REQ_CONTENT", &["req.len", "gt", "0"]),
    ("TRUE", &["always_true"]),
    ("WAIT_END", &["wait_end"]),
];

/// A warning that parsing gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// About the line.
    Line(String),
    /// Without a place ("config : parsing acl keyword …").
    Bare(String),
}

/// What reading tests needs.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    /// All rows.
    pub vocabulary: &'a Vocabulary,
    /// How pattern files are read.
    pub files: &'a dyn Files,
    /// Where a relative file name stands (`default-path` applied).
    pub resolve: &'a dyn Fn(&str) -> std::path::PathBuf,
}

const NO_PATTERN: &str = "\n  no pattern to match against were provided, so this ACL will never match.\
\n  If this is what you intended, please add '--' to get rid of this warning.\
\n  If you intended to match only for existence, please use '-m found'.\
\n  If you wanted to force an int to match as a bool, please use '-m bool'.\n";

/// What flags say.
struct Flags {
    method: Option<Method>,
    fold: bool,
    resolve: bool,
    /// `-M`: files are maps.
    map: bool,
    /// `-u`
    id: Option<u32>,
    /// Names, and whether `-i` and `-n` stood in front.
    files: Vec<(String, bool, bool)>,
    next: usize,
}

impl Reader<'_> {
    /// Reads a test: expression, flags, patterns.
    ///
    /// # Errors
    /// HAProxy's message, to stand behind "error detected while parsing ACL 'x' : ".
    pub fn test(&self, words: &[Word], warnings: &mut Vec<Warning>) -> Result<Test, String> {
        let empty = Word::default();
        let first = words.first().unwrap_or(&empty);
        let (expr, implied, keyword) = self.expression(&first.text)?;
        let flags = read_flags(words)?;
        let mut method = implied;
        if let Some(m) = flags.method {
            if let Some(own) = self.own_method(&keyword)
                && (own == Method::Str || own != m)
            {
                overwritten(&keyword, warnings);
            }
            if !m.takes(expr.output()) {
                return Err(format!(
                    "matching method '{}' cannot be used with fetch keyword '{keyword}'",
                    m.name()
                ));
            }
            method = Some(m);
        } else if expr.converted() && self.own_method(&keyword).is_some() {
            overwritten(&keyword, warnings);
        }
        let Some(method) = method else {
            return Err(format!(
                "matching method must be specified first (using '-m') when using a sample fetch of this type ('{keyword}')"
            ));
        };
        let mut patterns = Patterns::new(method);
        for (file, fold, resolve) in &flags.files {
            let how = shared::How { method, fold: *fold, resolve: *resolve, dotted: false };
            self.load(file, flags.map, how, &mut patterns)?;
        }
        let alone = words.len() <= 1;
        let words = words.get(flags.next..).unwrap_or(&[]);
        if keyword == "http_auth_group" && flags.files.is_empty() {
            // another method's patterns are no groups
            let groups = words.iter().filter(|_| flags.method.is_none());
            crate::names::groups(groups.map(|w| w.str().into_owned()));
        }
        let dotted = matches!(&*keyword, "req.ssl_ver" | "req_ssl_ver") && flags.method.is_none();
        let how = shared::How { method, fold: flags.fold, resolve: flags.resolve, dotted };
        let own = inline_patterns(words, how, &mut patterns)?;
        let shown = match self.vocabulary.acl(&keyword) {
            Some(k) if expr.converted() => k.fetch,
            _ => &keyword,
        };
        patterns.own = Some(shared::inline(shown, how, own, flags.id)?);
        patterns.seal();
        if alone && !matches!(method, Method::Found | Method::Bool) {
            warnings.push(Warning::Bare(format!("parsing acl keyword '{}' :{NO_PATTERN}", expr.text())));
        }
        Ok(Test { expr, patterns, keyword: keyword.into() })
    }

    /// The expression, the method that its keyword or type implies, and the keyword.
    fn expression(&self, text: &[u8]) -> Result<(Expr, Option<Method>, String), String> {
        let shown = String::from_utf8_lossy(text);
        let name: String = shown
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+'))
            .collect();
        let acl = self.vocabulary.acl(&name);
        let fetch = acl.and_then(|k| self.vocabulary.fetch(k.fetch));
        let parsed = match (acl, fetch) {
            (Some(_), Some(fetch)) => Expr::parse_as(text, fetch, self.vocabulary),
            _ if self.vocabulary.fetch(&name).is_none()
                && crate::known::ACL_KEYWORDS.binary_search(&name.as_str()).is_ok() =>
            {
                return Err(format!("ACL keyword '{name}' is not supported yet"));
            }
            _ => Expr::parse(text, self.vocabulary),
        };
        let expr = parsed.map_err(|e| match (acl, e) {
            (Some(_), ExprError::FetchArgs(n, m)) => format!("ACL keyword '{n}' : {m}"),
            (Some(_), ExprError::FetchCheck(n, m)) => format!("in argument to '{n}', {m}"),
            (Some(_), e) => format!("ACL keyword '{name}' : {e}"),
            (None, ExprError::UnknownFetch(n, near)) => {
                let near = near
                    .or_else(|| crate::near::nearest(&n, self.vocabulary.acls().into_iter().map(|a| a.name)));
                let hint = near.map(|near| format!("; did you mean '{near}' ?")).unwrap_or_default();
                format!("{} in ACL expression '{shown}'{hint}", ExprError::UnknownFetch(n, None))
            }
            (None, e) => format!("{e} in ACL expression '{shown}'"),
        })?;
        let implied = match acl {
            Some(k) if !expr.converted() => Some(k.method),
            _ => Method::implied(expr.output()),
        };
        Ok((expr, implied, name))
    }

    /// The method that a keyword stands for (`path_beg`), and that of `method`: others are only what is usual for the sample.
    fn own_method(&self, keyword: &str) -> Option<Method> {
        use Method::{Beg, Dir, Dom, End, Len, Reg, Sub};
        let method = self.vocabulary.acl(keyword)?.method;
        (keyword == "method" || matches!(method, Beg | Dir | Dom | End | Len | Reg | Sub)).then_some(method)
    }

    /// Patterns from a file, which all that name it share.
    fn load(&self, name: &str, map: bool, how: shared::How, patterns: &mut Patterns) -> Result<(), String> {
        let read = |name: &str| {
            let path = if name.is_empty() { Path::new("").to_path_buf() } else { (self.resolve)(name) };
            self.files.read(&path)
        };
        let list = shared::open(name, map, &read)?;
        list.in_condition();
        patterns.files.push(list.view(how)?);
        Ok(())
    }
}

/// Adds the patterns that these words are, operators among them; gives them as they are listed.
fn inline_patterns(
    words: &[Word],
    how: shared::How,
    patterns: &mut Patterns,
) -> Result<Vec<Box<[u8]>>, String> {
    let mut own = Vec::with_capacity(words.len());
    let mut operator = None;
    for word in words {
        let integers = matches!(how.method, Method::Int | Method::Len);
        if integers && let Some(op) = Operator::of(&word.text) {
            operator = Some(op);
            continue;
        }
        if integers && &*word.text == b"--" {
            continue; // it may stand behind the operator, too
        }
        let text = match operator {
            Some(op) => op.plain(&word.text, how.dotted),
            None => (&*word.text).into(),
        };
        how.add(patterns, &text, 0).map_err(|message| match operator {
            Some(_) if message.ends_with("a number") => {
                format!("'{}' is neither a number nor a supported operator", word.str())
            }
            _ => message,
        })?;
        own.push((&*text).into());
    }
    Ok(own)
}

fn overwritten(keyword: &str, warnings: &mut Vec<Warning>) {
    warnings.push(Warning::Line(format!(
        "original matching method '{keyword}' was overwritten and will not be applied as expected."
    )));
}

fn read_flags(words: &[Word]) -> Result<Flags, String> {
    let mut f =
        Flags { method: None, fold: false, resolve: true, map: false, id: None, files: Vec::new(), next: 1 };
    let text = |i: usize| words.get(i).map_or(&b""[..], |w| &w.text);
    while let Some(w) = words.get(f.next) {
        f.next += 1;
        match &w.text[..] {
            b"--" => break,
            b"-i" => f.fold = true,
            b"-n" => f.resolve = false,
            b"-M" => f.map = true,
            b"-u" => {
                if text(f.next).is_empty() || !text(f.next).iter().all(u8::is_ascii_digit) {
                    return Err("the argument of -u must be an integer".into());
                }
                f.id =
                    u32::try_from(crate::value::leading_int(text(f.next))).ok().filter(|id| *id != u32::MAX);
                f.next += 1;
            }
            b"-f" => {
                f.files.push((String::from_utf8_lossy(text(f.next)).into_owned(), f.fold, f.resolve));
                f.next += 1;
            }
            b"-m" => {
                if f.method.is_some() {
                    return Err("only one explicit matching method can be defined with '-m' parameter. if migrating from an old version, just keep the last one".into());
                }
                if !f.files.is_empty() {
                    return Err(
                        "'-m' must only be specified before patterns and files in parsing ACL expression"
                            .into(),
                    );
                }
                f.method = Some(Method::of(text(f.next)).ok_or_else(|| {
                    format!(
                        "unknown matching method '{}' when parsing ACL expression",
                        String::from_utf8_lossy(text(f.next))
                    )
                })?);
                f.next += 1;
            }
            t if t.first() == Some(&b'-') => {
                return Err(format!(
                    "'{}' is not a valid ACL option. Please use '--' before any pattern beginning with a '-'",
                    w.str()
                ));
            }
            _ => {
                f.next -= 1;
                break;
            }
        }
    }
    Ok(f)
}

/// Why a condition can't work where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Name of the ACL; `None`: an anonymous one.
    pub acl: Option<String>,
    /// The keyword; `None`: all keywords of the ACL.
    pub keyword: Option<String>,
    /// The place.
    pub place: &'static str,
}

impl Conflict {
    /// HAProxy's sentence; `rule` is what `tcp-request` rules put behind "will never match".
    #[must_use]
    pub fn message(&self, rule: Option<&str>) -> String {
        let rule = rule.map(|r| format!(" in '{r}'")).unwrap_or_default();
        let place = self.place;
        match (&self.acl, &self.keyword) {
            (None, k) => format!(
                "anonymous acl will never match{rule} because it uses keyword '{}' which is incompatible with '{place}'",
                k.as_deref().unwrap_or("")
            ),
            (Some(a), None) => format!(
                "acl '{a}' will never match{rule} because it only involves keywords that are incompatible with '{place}'"
            ),
            (Some(a), Some(k)) => {
                format!("acl '{a}' involves keyword '{k}' which is incompatible with '{place}'")
            }
        }
    }
}

/// Does this ACL conflict with a place?
pub(crate) fn conflict(acl: &Acl, place: Places) -> Option<Conflict> {
    let tests = acl.tests();
    let bad: Vec<_> = tests.iter().filter(|t| !t.expr.valid_in(place)).collect();
    let first = bad.first()?;
    let name = (!acl.name.is_empty()).then(|| acl.name.clone());
    let only = bad.len() == tests.len() && name.is_some();
    Some(Conflict {
        acl: name,
        keyword: if only { None } else { Some(first.keyword.to_string()) },
        place: place.name(),
    })
}
