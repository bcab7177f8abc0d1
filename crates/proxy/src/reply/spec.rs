//! What `return`, `deny`, `tarpit` and `http-error` say about the answer (manual section 4.4 "return").

use super::answer::{Answer, Body};
use super::codes;
use super::page::Page;
use super::pages::{ErrorPages, SectionRef};
use crate::rules::lang::{Format, Parsing, Scope};
use portcullis_config::Word;
use portcullis_message::HeaderId;
use std::sync::Arc;

/// Where an answer's body comes from.
#[derive(Clone, Debug)]
pub enum Content {
    /// Nowhere: there is none.
    Empty,
    /// `default-errorfiles`: the proxy's error page.
    Default,
    /// `errorfile`
    Page(Arc<Page>),
    /// `errorfiles`: the page of an `http-errors` section.
    Section(Arc<SectionRef>),
    /// `string`, `file`
    Raw(Arc<[u8]>),
    /// `lf-string`, `lf-file`
    Format(Format),
}

impl Content {
    fn keyword(&self) -> &'static str {
        match self {
            Self::Empty => "",
            Self::Default => "default-errorfiles",
            Self::Page(_) => "errorfile",
            Self::Section(_) => "errorfiles",
            Self::Raw(_) => "string",
            Self::Format(_) => "lf-string",
        }
    }
    /// Is it a complete response of its own?
    fn is_page(&self) -> bool {
        matches!(self, Self::Default | Self::Page(_) | Self::Section(_))
    }
}

/// A compiled answer.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Status code; of a whole page only the one that selects it.
    pub status: u16,
    /// Body.
    pub content: Content,
    /// `content-type`
    pub content_type: Option<Box<[u8]>>,
    /// `hdr`, names in lower case.
    pub headers: Vec<(Box<[u8]>, Format)>,
}

/// Which keyword a spec belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// `return`
    Return,
    /// `deny`, `tarpit`: nothing said means the proxy's error page.
    Deny,
    /// `http-error`: the status is mandatory, no condition follows.
    HttpError,
}

/// What was said so far.
struct Draft {
    status: u16,
    content: Content,
    content_keyword: &'static str,
    content_type: Option<Word>,
    headers: Vec<(Box<[u8]>, Format)>,
    /// Nothing but `deny_status` was said.
    implied: bool,
}

impl Spec {
    /// The proxy's own error page for a status.
    #[must_use]
    pub fn default_page(status: u16) -> Self {
        Self { status, content: Content::Default, content_type: None, headers: Vec::new() }
    }

    /// Parses the arguments up to a word that is none of them.
    ///
    /// # Errors
    /// 3.5's message, without the final dot.
    pub fn parse(p: &mut Parsing<'_, '_, '_>, of: Of, status: u16) -> Result<Self, String> {
        let mut d = Draft {
            status,
            content: Content::Empty,
            content_keyword: "",
            content_type: None,
            headers: Vec::new(),
            implied: of == Of::Deny,
        };
        while let Some(word) = p.args.peek() {
            if !argument(p, of, word, &mut d)? {
                break;
            }
        }
        if d.implied {
            d.content = Content::Default;
        }
        d.finish(p)
    }

    /// The answer. `pages` finds error pages of the proxy.
    #[must_use]
    pub fn answer(&self, pages: Pages<'_>, scope: &Scope<'_>) -> Answer {
        match &self.content {
            Content::Default => pages.answer(self.status, scope),
            Content::Page(page) => Answer::page(self.status, page),
            Content::Section(section) => section
                .page(self.status)
                .map_or_else(|| self.build(Body::Empty, scope), |p| Answer::page(self.status, p)),
            Content::Empty => self.build(Body::Empty, scope),
            Content::Raw(bytes) => self.build(Body::Shared(bytes.clone()), scope),
            Content::Format(format) => self.build(Body::Owned(format.bytes(scope)), scope),
        }
    }

    /// Fields in 3.5's order: `hdr` (empty values left out), content-length, content-type.
    fn build(&self, body: Body, scope: &Scope<'_>) -> Answer {
        let mut answer = Answer::new(self.status);
        for (name, format) in &self.headers {
            let value = format.bytes(scope);
            if !value.is_empty() {
                answer.head.push(name, &value);
            }
        }
        let length = body.bytes().len();
        answer.head.push(b"content-length", length.to_string().as_bytes());
        if let Some(content_type) = self.content_type.as_ref().filter(|_| length > 0) {
            answer.head.push(b"content-type", content_type);
        }
        answer.body = body;
        answer
    }
}

/// Error pages of the backend that a stream is in, and of its frontend.
#[derive(Clone, Copy, Debug)]
pub struct Pages<'a> {
    /// The backend's, which come first.
    pub backend: Option<&'a ErrorPages>,
    /// The frontend's.
    pub frontend: &'a ErrorPages,
}

impl Pages<'_> {
    /// The answer for a status that has a page (any other gets one without body).
    #[must_use]
    pub fn answer(&self, status: u16, scope: &Scope<'_>) -> Answer {
        let Some(index) = codes::index(status) else {
            let mut answer = Answer::new(status);
            answer.head.push(b"content-length", b"0");
            return answer;
        };
        let own = self.backend.and_then(|b| b.get(index)).or_else(|| self.frontend.get(index));
        match own {
            Some(super::pages::Source::Page(page)) => Answer::page(status, page),
            // the spec's own content is never `Default`, so this ends
            Some(super::pages::Source::Spec(spec)) => spec.answer(*self, scope),
            None => Answer::page(status, super::pages::built_in(index)),
        }
    }
}

/// Takes one argument; false if the word is none.
fn argument(p: &mut Parsing<'_, '_, '_>, of: Of, word: &Word, d: &mut Draft) -> Result<bool, String> {
    let keyword: &'static str = match &*word.str() {
        "status" => "status",
        "deny_status" if of == Of::Deny => "deny_status",
        "content-type" => "content-type",
        "default-errorfiles" => "default-errorfiles",
        "errorfile" => "errorfile",
        "errorfiles" => "errorfiles",
        "file" => "file",
        "lf-file" => "lf-file",
        "string" => "string",
        "lf-string" => "lf-string",
        "hdr" => "hdr",
        _ => return Ok(false),
    };
    p.args.next();
    d.implied &= keyword == "deny_status";
    match keyword {
        "status" | "deny_status" => d.status = status(p)?,
        "content-type" => {
            d.content_type = Some(p.want("'content-type' expects <ctype> as argument")?.clone())
        }
        "hdr" => header(p, d)?,
        _ => {
            if !d.content_keyword.is_empty() {
                return Err(format!(
                    "unexpected '{keyword}' argument, '{}' already defined",
                    d.content_keyword
                ));
            }
            d.content = content(p, keyword)?;
            d.content_keyword = keyword;
        }
    }
    Ok(true)
}

fn status(p: &mut Parsing<'_, '_, '_>) -> Result<u16, String> {
    let word = p.want("'status' expects <status_code> as argument")?;
    let number = crate::rules::number::leading(&word.text);
    u16::try_from(number)
        .ok()
        .filter(|n| (200..600).contains(n))
        .ok_or_else(|| format!("Unexpected status code '{number}'"))
}

fn header(p: &mut Parsing<'_, '_, '_>, d: &mut Draft) -> Result<(), String> {
    const EXPECTS: &str = "'hdr' expects <name> and <value> as arguments";
    let name = p.want(EXPECTS)?;
    let value = p.want(EXPECTS)?;
    let lower = name.text.to_ascii_lowercase();
    if matches!(HeaderId::of(&lower), HeaderId::ContentLength | HeaderId::TransferEncoding)
        || lower == b"content-type"
    {
        p.cx.warn(Some(name), format!("header '{}' always ignored by the http reply.", name.str()));
        return Ok(());
    }
    let format = p.format(value)?;
    d.headers.push((lower.into(), format));
    Ok(())
}

fn content(p: &mut Parsing<'_, '_, '_>, keyword: &'static str) -> Result<Content, String> {
    Ok(match keyword {
        "default-errorfiles" => Content::Default,
        "errorfile" => {
            let word = p.want("'errorfile' expects <fmt> as argument")?;
            Content::Page(Arc::new(super::rows::read_page(p.cx, word)?))
        }
        "errorfiles" => {
            let word = p.want("'errorfiles' expects <name> as argument")?;
            Content::Section(super::pages::refer(p.cx, &word.str(), true))
        }
        "file" => {
            let word = p.want("'file' expects <file> as argument")?;
            Content::Raw(read(p, word)?.into())
        }
        "lf-file" => {
            let word = p.want("'lf-file' expects <file> as argument")?;
            let text = read(p, word)?;
            Content::Format(p.plain_format(&Word { text, span: word.span })?)
        }
        "string" => Content::Raw(p.want("'string' expects <str> as argument")?.text.clone().into()),
        _ => {
            let word = p.want("'lf-string' expects <fmt> as argument")?;
            Content::Format(p.plain_format(word)?)
        }
    })
}

/// Content of a file that shall be a body.
fn read(p: &mut Parsing<'_, '_, '_>, word: &Word) -> Result<Vec<u8>, String> {
    let name = word.str();
    let bytes = p.cx.files.read(&super::rows::path(p.cx, word));
    let bytes = bytes.map_err(|_| format!("error opening file '{name}'"))?;
    let limit = p.cx.model.global.tune.bufsize;
    if bytes.len() > limit {
        return Err(format!("file '{name}' exceeds the buffer size ({} > {limit})", bytes.len()));
    }
    Ok(bytes)
}

impl Draft {
    /// What only the whole can tell.
    fn finish(mut self, p: &mut Parsing<'_, '_, '_>) -> Result<Spec, String> {
        if self.content.is_page() {
            self.finish_page(p)?;
        } else {
            self.finish_payload(p)?;
        }
        Ok(Spec {
            status: self.status,
            content: self.content,
            content_type: self.content_type.map(|w| w.text.into()),
            headers: self.headers,
        })
    }

    fn finish_page(&mut self, p: &mut Parsing<'_, '_, '_>) -> Result<(), String> {
        if !matches!(self.content, Content::Page(_)) && codes::index(self.status).is_none() {
            return Err(format!(
                "status code '{}' not handled by default with '{}' argument.",
                self.status,
                self.content.keyword()
            ));
        }
        if let Some(word) = self.content_type.take() {
            p.cx.warn(
                Some(&word),
                format!(
                    "content-type '{}' ignored by the http reply when used with an errorfile.",
                    word.str()
                ),
            );
        }
        if !self.headers.is_empty() {
            self.headers.clear();
            p.cx.warn(None, "hdr parameters ignored by the http reply when used with an errorfile.");
        }
        Ok(())
    }

    fn finish_payload(&mut self, p: &mut Parsing<'_, '_, '_>) -> Result<(), String> {
        let empty = match &self.content {
            Content::Raw(bytes) => bytes.is_empty(),
            Content::Format(_) => false,
            _ => true,
        };
        if !empty && matches!(self.status, 204 | 304) {
            return Err(format!("No body expected for {} responses", self.status));
        }
        if !empty && self.content_type.is_none() {
            return Err("a content type must be defined when non-empty payload is configured".to_owned());
        }
        if let Some(word) = self.content_type.take_if(|_| empty) {
            let why = if matches!(self.content, Content::Empty) {
                "because neither errorfile nor payload defined."
            } else {
                "when used with an empty payload."
            };
            p.cx.warn(Some(&word), format!("content-type '{}' ignored by the http reply {why}", word.str()));
        }
        let tune = &p.cx.model.global.tune;
        if let Content::Raw(bytes) = &self.content
            && bytes.len() > tune.bufsize.saturating_sub(tune.maxrewrite)
        {
            p.cx.warn(
                None,
                "http reply payload runs over the buffer space reserved to headers rewriting. It may lead to \
                 internal errors if strict rewriting mode is enabled.",
            );
        }
        Ok(())
    }
}
