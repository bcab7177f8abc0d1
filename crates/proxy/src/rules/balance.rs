//! The key of a request that balancing hashes: `balance source`, `uri`, `url_param`, `hdr`, `rdp-cookie`, `hash`
//! (manual section 4.2 "balance").

use super::lang::Scope;
use super::parse::kind;
use portcullis_backend::balance::hash;
use portcullis_config::{
    Algorithm, Diagnostics, HashFunction, HashType, Mode, Model, Proxy, Severity, UriPart,
};
use portcullis_message::{Head, uri, values};
use portcullis_sample::row::vocabulary;
use portcullis_sample::value::Type;
use portcullis_sample::{Expr, Places};
use std::sync::Arc;

/// Where the key is, and how it is hashed.
#[derive(Debug)]
pub struct Key {
    how: HashType,
    from: From,
}

#[derive(Debug)]
enum From {
    Source,
    Uri(UriPart),
    Param(Box<[u8]>),
    Header { name: Box<[u8]>, domain_only: bool },
    Sample(Box<Expr>),
}

impl Key {
    /// Does it look at what a client has sent over TCP?
    #[must_use]
    pub fn reads_request(&self) -> bool {
        matches!(&self.from, From::Sample(e) if super::lang::reads_request(e))
    }
    /// Of a backend that balances by a key; none: it does not.
    ///
    /// # Errors
    /// What is wrong with the expression.
    fn new(proxy: &Proxy) -> Result<Option<Self>, String> {
        let from = match &proxy.balance.algorithm {
            Algorithm::Source => From::Source,
            Algorithm::Uri(part) => From::Uri(*part),
            Algorithm::UrlParam(name) => From::Param(name.clone()),
            Algorithm::Header { name, domain_only } => {
                From::Header { name: name.clone(), domain_only: *domain_only }
            }
            Algorithm::RdpCookie(name) => {
                let text = [b"req.rdp_cookie(", &**name, b")"].concat();
                From::Sample(Box::new(Expr::parse(&text, &vocabulary()).map_err(|e| e.to_string())?))
            }
            Algorithm::Hash(text) => From::Sample(Box::new(expression(text)?)),
            _ => return Ok(None),
        };
        Ok(Some(Self { how: proxy.balance.hash, from }))
    }

    /// Must the body of a request have come (a POST whose target lacks the parameter)?
    #[must_use]
    pub fn wants_body(&self, head: &Head) -> bool {
        matches!(&self.from, From::Param(name) if head.method() == b"POST" && in_query(head.target(), name).is_none())
    }

    /// The hash of the request's key; none: it has none.
    #[must_use]
    pub fn hash(&self, scope: &Scope<'_>) -> Option<u32> {
        let head = scope.request.head();
        let of = |key: &[u8]| hash::of_bytes(self.how, key);
        match &self.from {
            From::Source => {
                let source = scope.facts.source()?;
                Some(hash::of_address(self.how, source.ip()))
            }
            From::Uri(part) => head.map(|h| of(part_of(h.target(), *part))),
            From::Param(name) => {
                let head = head?;
                in_query(head.target(), name)
                    .or_else(|| {
                        let body = scope.request_bytes.filter(|_| head.method() == b"POST")?;
                        in_body(body.bytes, name)
                    })
                    .map(of)
            }
            From::Header { name, domain_only } => {
                let value = head?.named(name).next()?;
                let value = values::elements(value).next().filter(|v| !v.is_empty())?;
                Some(of(if *domain_only { domain(value) } else { value }))
            }
            From::Sample(expr) => {
                let as_text = self.how.function == HashFunction::None;
                let value = expr.eval(scope).there()?.cast(if as_text { Type::Str } else { Type::Bin })?;
                let key = value.bytes()?;
                // an RDP cookie without a value is none
                let empty = key.is_empty() && expr.text().starts_with("req.rdp_cookie(");
                (!empty).then(|| of(key))
            }
        }
    }
}

fn expression(text: &[u8]) -> Result<Expr, String> {
    let shown = String::from_utf8_lossy(text);
    let expr = Expr::parse(text, &vocabulary())
        .map_err(|why| format!("failed to parse 'balance hash' expression '{shown}' in : {why}."))?;
    if !expr.valid_in(Places::BE_SERVER) {
        return Err(format!(
            "error detected while parsing 'balance hash' expression '{shown}' which requires information from {}, \
             which is not available here.",
            expr.fetch().needs.name
        ));
    }
    Ok(expr)
}

/// What `balance uri` looks at.
fn part_of(target: &[u8], part: UriPart) -> &[u8] {
    let target = if part.path_only { uri::pathq(target) } else { target };
    let target = match part.len {
        0 => target,
        len => target.get(..len as usize).unwrap_or(target),
    };
    let mut slashes = 0;
    let end = target.iter().position(|b| {
        slashes += u32::from(*b == b'/');
        (part.depth > 0 && slashes > part.depth) || (!part.whole && *b == b'?')
    });
    end.and_then(|end| target.get(..end)).unwrap_or(target)
}

/// The value of a parameter behind the first `?`.
fn in_query<'t>(target: &'t [u8], name: &[u8]) -> Option<&'t [u8]> {
    uri::query(target)?.split(|b| *b == b'&').find_map(|piece| piece.strip_prefix(name)?.strip_prefix(b"="))
}

/// The value of a parameter of a form: a token, up to `&` or white space.
fn in_body<'b>(body: &'b [u8], name: &[u8]) -> Option<&'b [u8]> {
    let value = body.split(|b| *b == b'&').find_map(|piece| piece.strip_prefix(name)?.strip_prefix(b"="))?;
    let end = value.iter().position(|b| b" \t\r\n".contains(b)).unwrap_or(value.len());
    let value = value.get(..end)?;
    let token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    value.iter().all(token).then_some(value)
}

/// `use_domain_only`: the label in front of the last dot.
fn domain(value: &[u8]) -> &[u8] {
    let Some(end) = value.iter().rposition(|b| *b == b'.').filter(|end| *end > 0) else { return value };
    let name = value.get(..end).unwrap_or(value);
    // the label has one byte at least
    let before = name.get(..end - 1).unwrap_or_default();
    let start = before.iter().rposition(|b| *b == b'.').map_or(0, |at| at + 1);
    name.get(start..).unwrap_or(name)
}

/// Compiles the keys; algorithms that the mode cannot have become round robin.
pub(super) fn check(model: &mut Model, diags: &mut Diagnostics) {
    for proxy in &mut model.proxies {
        if !proxy.kind.back() {
            continue;
        }
        let needs = match &proxy.balance.algorithm {
            Algorithm::Uri(_) | Algorithm::UrlParam(_) | Algorithm::Header { .. }
                if proxy.mode != Mode::Http =>
            {
                Some(format!(
                    "Layer 7 hash not possible for backend '{}' (needs 'mode http'). Falling back to round robin.",
                    proxy.name
                ))
            }
            Algorithm::LogHash(_) if proxy.mode != Mode::Log => Some(format!(
                "Unusable balance algorithm for backend '{}' (needs 'mode log'). Falling back to round robin.",
                proxy.name
            )),
            _ => None,
        };
        if let Some(message) = needs {
            diags.late(Severity::Warning, Some(proxy.place), message);
            proxy.balance.algorithm = Algorithm::RoundRobin;
        }
        match Key::new(proxy) {
            Ok(None) => {}
            Ok(Some(key)) => *proxy.ext.entry::<Option<Arc<Key>>>() = Some(Arc::new(key)),
            Err(why) => {
                let file = diags.files.get(proxy.place.file.0 as usize).map_or("", String::as_str);
                let line = proxy.place.line;
                let message = format!("{} '{}' [{file}:{line}]: {why}", kind(proxy), proxy.name);
                diags.late(Severity::Alert, Some(proxy.place), message);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris() {
        let of = |target: &'static str, part| String::from_utf8_lossy(part_of(target.as_bytes(), part));
        let all = UriPart::default();
        assert_eq!(of("/a/b?c", all), "/a/b");
        assert_eq!(of("/a/b?c/d", UriPart { whole: true, ..all }), "/a/b?c/d");
        assert_eq!(of("/a/b/c", UriPart { depth: 2, ..all }), "/a/b");
        assert_eq!(of("/a/b/c", UriPart { len: 3, ..all }), "/a/");
        assert_eq!(of("http://h/a?b", UriPart { path_only: true, ..all }), "/a");
        assert_eq!(of("*", UriPart { path_only: true, ..all }), "");
    }

    #[test]
    fn domains() {
        for (value, label) in [
            ("www.example.com", "example"),
            ("10.0.0.1", "0"),
            ("a.b", "a"),
            ("a..com", "a."),
            ("localhost", "localhost"),
            (".com", ".com"),
            ("", ""),
        ] {
            assert_eq!(String::from_utf8_lossy(domain(value.as_bytes())), label, "{value}");
        }
    }

    #[test]
    fn parameters() {
        assert_eq!(in_query(b"/x?a=1&k=v&k=w", b"k"), Some(&b"v"[..]));
        assert_eq!(in_query(b"/x?kk=1&k=", b"k"), Some(&b""[..]));
        assert_eq!(in_query(b"/x?K=1", b"k"), None);
        assert_eq!(in_body(b"a=1&k=v\r\n", b"k"), Some(&b"v"[..]));
        assert_eq!(in_body(b"k=\"v\"", b"k"), None);
    }
}
