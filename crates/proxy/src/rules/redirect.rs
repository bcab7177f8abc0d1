//! Redirections: the `redirect` keyword and action (manual section 4.2 "redirect").

use super::lang::{Condition, Format, Parsing, Scope};
use crate::reply::{Answer, codes};
use portcullis_message::{Head, HeaderId, uri, values};

/// What the location is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `location`: it is the text.
    Location,
    /// `prefix`: the text and the request's path.
    Prefix,
    /// `scheme`: the text as scheme, the request's host and path.
    Scheme,
}

/// Text that is fixed in the `redirect` keyword and a format in the action.
#[derive(Debug)]
pub enum Text {
    /// As written.
    Fixed(Box<[u8]>),
    /// Evaluated.
    Format(Format),
}

impl Text {
    fn write(&self, scope: &Scope<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Fixed(text) => out.extend_from_slice(text),
            Self::Format(format) => out.extend_from_slice(&format.bytes(scope)),
        }
    }
}

/// A redirection.
#[derive(Debug)]
pub struct Redirect {
    /// What the location is made from.
    pub kind: Kind,
    /// Status code.
    pub code: u16,
    /// The text.
    pub to: Text,
    /// `drop-query`
    pub drop_query: bool,
    /// `append-slash`
    pub append_slash: bool,
    /// `keep-query`
    pub keep_query: bool,
    /// `ignore-empty`
    pub ignore_empty: bool,
    /// `set-cookie`, `set-cookie-fmt`, `clear-cookie`: the header's value.
    pub cookie: Option<Text>,
}

const EXPECTS: &str = "expects 'code', 'prefix', 'location', 'scheme', 'set-cookie', 'set-cookie-fmt', \
    'clear-cookie', 'drop-query', 'keep-query', 'ignore-empty' or 'append-slash'";

impl Redirect {
    /// Parses a redirection and its condition. `formats`: the text is a log format (the action, not the keyword).
    ///
    /// # Errors
    /// 3.5's message, without the final dot.
    pub fn parse(
        p: &mut Parsing<'_, '_, '_>,
        formats: bool,
        response: bool,
    ) -> Result<(Self, Option<Condition>), String> {
        let mut to = None;
        let mut r = Self {
            kind: Kind::Location,
            code: 302,
            to: Text::Fixed(Box::default()),
            drop_query: false,
            append_slash: false,
            keep_query: false,
            ignore_empty: false,
            cookie: None,
        };
        while !p.at_end() {
            let Some(word) = p.args.next() else { break };
            let keyword = word.str().into_owned();
            match &*keyword {
                "drop-query" => r.drop_query = true,
                "append-slash" => r.append_slash = true,
                "keep-query" => r.keep_query = true,
                "ignore-empty" => r.ignore_empty = true,
                "location" => to = Some((Kind::Location, argument(p, &keyword)?)),
                "prefix" => to = Some((Kind::Prefix, argument(p, &keyword)?)),
                "scheme" => to = Some((Kind::Scheme, argument(p, &keyword)?)),
                "code" => r.code = code(p)?,
                "set-cookie" => r.cookie = Some(cookie(&argument(p, &keyword)?.text, b"; path=/;")),
                "clear-cookie" => {
                    r.cookie = Some(cookie(&argument(p, &keyword)?.text, b"; path=/; Max-Age=0;"));
                }
                "set-cookie-fmt" => {
                    let mut word = argument(p, &keyword)?.clone();
                    word.text.extend_from_slice(b"; path=/;");
                    r.cookie = Some(Text::Format(p.format(&word)?));
                }
                other => return Err(format!("{EXPECTS} (was '{other}')")),
            }
        }
        let Some((kind, word)) = to else {
            return Err("redirection type expected ('prefix', 'location', or 'scheme')".to_owned());
        };
        if response && kind != Kind::Location {
            return Err("response only supports redirect type 'location'".to_owned());
        }
        // a response's rules have no request at hand
        r.keep_query &= !response;
        r.kind = kind;
        r.to = if formats { Text::Format(p.format(word)?) } else { Text::Fixed(word.text.as_slice().into()) };
        let condition = p.condition().map_err(|why| format!("error in condition: {why}"))?;
        Ok((r, condition))
    }

    /// The keyword, not the action?
    #[must_use]
    pub fn is_keyword(&self) -> bool {
        matches!(self.to, Text::Fixed(_))
    }

    /// The answer; `None`: the rule is skipped (`ignore-empty`). `request`: absent for responses.
    #[must_use]
    pub fn answer(&self, request: Option<&Head>, scope: &Scope<'_>) -> Option<Answer> {
        let mut location = Vec::with_capacity(128);
        let target = request.map_or(&b""[..], Head::target);
        match self.kind {
            Kind::Location => {
                self.to.write(scope, &mut location);
                if location.is_empty() && self.ignore_empty {
                    return None;
                }
                if self.keep_query {
                    append_query(&mut location, target);
                }
            }
            Kind::Prefix => {
                self.to.write(scope, &mut location);
                if location == b"/" {
                    location.clear();
                }
                self.append_path(&mut location, target);
            }
            Kind::Scheme => {
                self.to.write(scope, &mut location);
                location.extend_from_slice(b"://");
                let host = request.and_then(|r| r.first(HeaderId::Host)).map(values::elements);
                location.extend_from_slice(host.and_then(|mut all| all.next()).unwrap_or(&[]));
                self.append_path(&mut location, target);
            }
        }
        Some(self.build(&location, scope))
    }

    /// The request's path behind the location, with or without query.
    fn append_path(&self, location: &mut Vec<u8>, target: &[u8]) {
        let path = if self.drop_query { uri::path(target) } else { uri::pathq(target) };
        location.extend_from_slice(if path.is_empty() { b"/" } else { path });
        if self.append_slash && location.last() != Some(&b'/') {
            location.push(b'/');
        }
    }

    fn build(&self, location: &[u8], scope: &Scope<'_>) -> Answer {
        let mut answer = Answer::new(self.code);
        answer.head.push(b"content-length", b"0");
        answer.head.push(b"location", location);
        // permanent ones may be kept in caches
        if !matches!(self.code, 301 | 308) {
            answer.head.push(b"cache-control", b"no-cache");
        }
        if let Some(cookie) = &self.cookie {
            let mut value = Vec::with_capacity(64);
            cookie.write(scope, &mut value);
            answer.head.push(b"set-cookie", &value);
        }
        let reason = codes::reason(self.code);
        answer.head.set_reason(reason.as_bytes());
        answer
    }
}

fn argument<'l>(p: &mut Parsing<'_, '_, 'l>, keyword: &str) -> Result<&'l portcullis_config::Word, String> {
    p.want(&format!("missing argument for '{keyword}'"))
}

fn cookie(value: &[u8], attributes: &[u8]) -> Text {
    Text::Fixed([value, attributes].concat().into())
}

fn code(p: &mut Parsing<'_, '_, '_>) -> Result<u16, String> {
    let word = argument(p, "code")?;
    match super::number::leading(&word.text) {
        code @ (301 | 302 | 303 | 307 | 308) => Ok(code as u16),
        _ => Err(format!(
            "'code': unsupported HTTP code '{}' (must be one of 301, 302, 303, 307 or 308)",
            word.str()
        )),
    }
}

/// `keep-query`: the request's query behind the location's own.
fn append_query(location: &mut Vec<u8>, target: &[u8]) {
    let Some(query) = uri::query(target).filter(|q| !q.is_empty()) else { return };
    match location.iter().position(|b| *b == b'?') {
        None => location.push(b'?'),
        Some(at) if at + 1 == location.len() => {}
        Some(_) => location.push(b'&'),
    }
    location.extend_from_slice(query);
}
