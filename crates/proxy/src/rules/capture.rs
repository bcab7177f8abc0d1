//! Captures: `capture request header`, `capture response header`, `capture cookie`, `declare capture`, and the action
//! `capture` (manual sections 4.2 and 4.4). What is captured is kept in the facts of the stream for the log.

use super::action::Action;
use super::lang::{Direction, Expr, Facts, Parsing};
use super::parse::section;
use super::sets::{RuleSets, Rules};
use super::table::{Parsed, Sets};
use crate::persist;
use portcullis_config::{
    Cx, Diagnostics, Does, Keyword, Line, Mode, Model, ProxyKind, Sections, Severity, Word,
};
use portcullis_message::{Head, HeaderId};
use portcullis_sample::Captured;

/// The rows of this file.
pub(super) const ROWS: [Keyword; 2] = [
    row(
        "capture",
        "{ cookie <name> | request header <name> | response header <name> } len <length>",
        "Keeps the value of a header or cookie for the log.",
        capture,
    ),
    row("declare", "capture { request | response } len <length>", "Makes room for a capture.", declare),
];

const fn row(
    name: &'static str,
    args: &'static str,
    help: &'static str,
    parse: fn(&mut Cx<'_>, &Line),
) -> Keyword {
    // where it is not valid, the functions say so in HAProxy's words
    Keyword { name, sections: Sections::PROXY, args, help, negatable: false, does: Does::Works(parse) }
}

/// Room for one value.
#[derive(Clone, Debug)]
struct Slot {
    /// The header, in lower case; none: an action fills it.
    header: Option<Box<[u8]>>,
    /// Bytes that are kept.
    len: usize,
}

/// `capture cookie`
#[derive(Clone, Debug)]
struct Cookie {
    /// How its name begins; with `=` at the end, its whole name.
    begins: Box<[u8]>,
    len: usize,
}

/// What a frontend captures, in the order of its lines.
#[derive(Clone, Debug, Default)]
pub struct Captures {
    request: Vec<Slot>,
    response: Vec<Slot>,
    cookie: Option<Cookie>,
}

/// What the action `capture` does.
#[derive(Debug)]
pub struct Capture {
    expr: Expr,
    direction: Direction,
    slot: usize,
}

impl Captures {
    fn slots(&self, of: Direction) -> &Vec<Slot> {
        match of {
            Direction::Request => &self.request,
            Direction::Response => &self.response,
        }
    }
    fn add(&mut self, to: Direction, slot: Slot) -> usize {
        let slots = match to {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        };
        slots.push(slot);
        slots.len() - 1
    }
    /// Nothing at all?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.request.is_empty() && self.response.is_empty() && self.cookie.is_none()
    }
    /// A stream begins: room for its captures.
    pub fn begin(&self, facts: &mut Facts<'_>) {
        facts.request_captures.begin(self.request.iter().map(|s| s.len));
        facts.response_captures.begin(self.response.iter().map(|s| s.len));
    }
    /// Keeps what a request's head has.
    pub fn request(&self, head: &Head, facts: &mut Facts<'_>) {
        self.headers(Direction::Request, head, &facts.request_captures);
    }
    /// Keeps the cookie of a request: when rules have done with it, or have refused it.
    pub fn request_cookie(&self, head: &Head, facts: &mut Facts<'_>) {
        if let Some(cookie) = &self.cookie {
            let mut all = head.all(HeaderId::Cookie).flat_map(persist::request::pairs);
            facts.request_cookie = all.find_map(|(name, value)| cookie.of(name, value));
        }
    }
    /// Keeps what a response's head has.
    pub fn response(&self, head: &Head, facts: &mut Facts<'_>) {
        self.headers(Direction::Response, head, &facts.response_captures);
    }
    /// Keeps the cookie of a response that `http-response` rules have seen.
    pub fn response_cookie(&self, head: &Head, facts: &mut Facts<'_>) {
        if let Some(cookie) = &self.cookie {
            let mut all = head.all(HeaderId::SetCookie).filter_map(persist::response::pair);
            facts.response_cookie = all.find_map(|(name, value)| cookie.of(name, value));
        }
    }
    /// The last field of a name counts.
    fn headers(&self, direction: Direction, head: &Head, to: &Captured) {
        for (at, slot) in self.slots(direction).iter().enumerate() {
            let Some(name) = &slot.header else { continue };
            if let Some(f) = head.fields().rfind(|f| f.name.eq_ignore_ascii_case(name)) {
                to.set(at, f.value);
            }
        }
    }
}

impl Cookie {
    /// `name=value` if it is the one.
    fn of(&self, name: &[u8], value: &[u8]) -> Option<Box<[u8]>> {
        let pair = [name, b"=", value].concat();
        pair.starts_with(&self.begins).then(|| cut(&pair, self.len).into())
    }
}

fn cut(value: &[u8], len: usize) -> &[u8] {
    value.get(..len).unwrap_or(value)
}

impl Capture {
    /// May what it captures still come?
    pub(super) fn is_waiting(&self, cx: &super::RuleCx<'_, '_>) -> bool {
        self.expr.is_waiting(&cx.scope())
    }
    /// Evaluates it and keeps the value; in a backend whose frontend has no such capture it does nothing.
    pub(super) fn run(&self, cx: &super::RuleCx<'_, '_>) {
        let Some(value) = self.expr.text(&cx.scope()) else { return };
        kept(cx.facts, self.direction).set(self.slot, &value);
    }
}

fn kept<'f>(facts: &'f Facts<'_>, direction: Direction) -> &'f Captured {
    match direction {
        Direction::Request => &facts.request_captures,
        Direction::Response => &facts.response_captures,
    }
}

/// `capture`
fn capture(cx: &mut Cx<'_>, line: &Line) {
    let is = |n: usize, what: &str| line.word(n).is_some_and(|w| w.is(what));
    let (what, direction, at) = match () {
        () if is(1, "cookie") => ("capture cookie", None, 2),
        () if is(1, "request") && is(2, "header") => ("capture request", Some(Direction::Request), 3),
        () if is(1, "response") && is(2, "header") => ("capture response", Some(Direction::Response), 3),
        () => {
            let message = "'capture' expects 'cookie' or 'request header' or 'response header'.";
            cx.alert(line.word(1).or(line.word(0)), message);
            return;
        }
    };
    match cx.proxy().kind {
        ProxyKind::Defaults => {
            cx.alert(line.word(0), format!("'{what}' not allowed in 'defaults' section."));
            return;
        }
        ProxyKind::Backend => {
            let name = cx.proxy().name.clone();
            let message = format!("'capture' ignored because backend '{name}' has no frontend capability.");
            cx.warn(line.word(0), message);
            return;
        }
        _ => {}
    }
    let (Some(name), true, Some(len)) = (line.word(at), is(at + 1, "len"), line.word(at + 2)) else {
        let message = match direction {
            None => "'capture' expects 'cookie' <cookie_name> 'len' <len>.".to_owned(),
            Some(_) => format!("'{what}' expects 'header' <header_name> 'len' <len>."),
        };
        cx.alert(line.word(0), message);
        return;
    };
    if let Some(extra) = line.word(at + 3) {
        cx.alert(Some(extra), format!("'{what}' cannot handle unexpected argument '{}'.", extra.str()));
        return;
    }
    let len = leading_number(len);
    let most = cx.model.global.tune.http_cookielen;
    let captures = cx.ext::<Captures>();
    match direction {
        None => captures.cookie = Some(Cookie { begins: name.text.clone().into(), len: len.min(most) }),
        Some(direction) => {
            let header = Some(name.text.to_ascii_lowercase().into());
            captures.add(direction, Slot { header, len });
        }
    }
}

/// The number that a word begins with, as HAProxy reads lengths; 0 for none.
fn leading_number(word: &Word) -> usize {
    let digits = word.text.iter().take_while(|b| b.is_ascii_digit());
    digits.fold(0usize, |n, d| n.saturating_mul(10).saturating_add(usize::from(d - b'0')))
}

/// `declare capture`
fn declare(cx: &mut Cx<'_>, line: &Line) {
    let said = |n: usize| line.word(n).map(|w| w.str().into_owned()).unwrap_or_default();
    if let Err((at, message)) = declared(cx, line, &said) {
        cx.alert(line.word(at).or(line.word(0)), message);
    }
}

fn declared(cx: &mut Cx<'_>, line: &Line, said: &dyn Fn(usize) -> String) -> Result<(), (usize, String)> {
    match cx.proxy().kind {
        ProxyKind::Defaults => return Err((0, "'declare' not available in default section".into())),
        ProxyKind::Backend => {
            return Err((0, "'declare' only available in frontend or listen section".into()));
        }
        _ => {}
    }
    if said(1) != "capture" {
        return Err((1, format!("unknown declaration type '{}' (supports 'capture')", said(1))));
    }
    let direction = match &*said(2) {
        "request" => Direction::Request,
        "response" => Direction::Response,
        _ => {
            let message = "'declare capture' requires a direction ('request' or 'response')";
            return Err((2, message.into()));
        }
    };
    if said(3) != "len" {
        return Err((3, "'declare capture' requires a capture length ('len')".into()));
    }
    if line.word(4).is_none() {
        let message = "'declare capture': 'len' requires a numeric value that represents the capture length";
        return Err((3, message.into()));
    }
    let len = said(4).parse::<usize>();
    let len = len.map_err(|_| (4, format!("'declare capture': cannot parse the length '{}'.", said(4))))?;
    if len == 0 {
        return Err((4, "length must be > 0".into()));
    }
    cx.ext::<Captures>().add(direction, Slot { header: None, len });
    Ok(())
}

/// The action `capture` of the HTTP rule sets.
pub(super) fn action(p: &mut Parsing<'_, '_, '_>, set: Sets) -> Result<Parsed, String> {
    const EXPECTS: &str = "expects <expression> [ 'len' <length> | id <idx> ]";
    let left = p.args.words.get(p.args.at..).unwrap_or(&[]);
    if left.iter().take_while(|w| !w.is("if") && !w.is("unless")).count() < 3 {
        return Err(EXPECTS.into());
    }
    let response = set.intersects(Sets::HTTP_RESPONSE.union(Sets::HTTP_AFTER));
    let direction = if response { Direction::Response } else { Direction::Request };
    let expr = p.expr_here()?;
    let kind = p.want(EXPECTS)?;
    let value = p.want(EXPECTS)?;
    let slot = match () {
        () if kind.is("len") && !response => {
            if !p.front() {
                let name = p.cx.proxy().name.clone();
                return Err(format!("proxy '{name}' has no frontend capability"));
            }
            length(p, value, direction)?
        }
        () if kind.is("id") => {
            value.str().parse().map_err(|_| format!("cannot parse id '{}'", value.str()))?
        }
        () if response => return Err(format!("expects 'id', found '{}'", kind.str())),
        () => return Err(format!("expects 'len' or 'id', found '{}'", kind.str())),
    };
    Ok(Parsed { action: Action::Capture(Box::new(Capture { expr, direction, slot })), condition: None })
}

/// `len`: room of its own.
fn length(p: &mut Parsing<'_, '_, '_>, word: &Word, direction: Direction) -> Result<usize, String> {
    match leading_number(word) {
        0 => Err("length must be > 0".into()),
        len => Ok(p.cx.ext::<Captures>().add(direction, Slot { header: None, len })),
    }
}

/// `tcp-request content capture`; errors are whole messages.
pub(super) fn content(p: &mut Parsing<'_, '_, '_>) -> Result<Parsed, String> {
    let wrong = |why: &str| format!("'tcp-request content capture' : {why}");
    if !p.front() {
        let name = p.cx.proxy().name.clone();
        let why = format!("proxy '{name}' has no frontend capability");
        return Err(wrong(&why));
    }
    let expr = p.expr_here().map_err(|why| wrong(&why))?;
    if !p.args.accept("len") {
        return Err(wrong("a positive 'len' argument is mandatory"));
    }
    let Some(word) = p.args.next() else { return Err(wrong("length must be > 0")) };
    let slot = length(p, word, Direction::Request).map_err(|why| wrong(&why))?;
    let direction = Direction::Request;
    Ok(Parsed { action: Action::Capture(Box::new(Capture { expr, direction, slot })), condition: None })
}

/// Why `capture` is refused in a set that has none.
pub(super) fn not_here(p: &mut Parsing<'_, '_, '_>, set: &str) -> String {
    let argument = p.args.peek().map(|w| w.str().into_owned()).unwrap_or_default();
    let owner = section(p.cx);
    format!("'capture {argument}' is not allowed in '{set}' rules in {owner}")
}

/// What only the whole configuration can tell.
pub(super) fn check(model: &Model, diags: &mut Diagnostics) {
    for proxy in &model.proxies {
        let captures = proxy.ext.get::<Captures>();
        let front = matches!(proxy.kind, ProxyKind::Frontend | ProxyKind::Listen);
        let http = proxy.mode == Mode::Http || proxy.switches_to_http;
        if front && !http && captures.is_some_and(|c| c.keyword()) {
            let what = format!("{} '{}'", super::parse::kind(proxy), proxy.name);
            let message = format!("'capture' statement ignored for {what} as it requires HTTP mode.");
            diags.add(Severity::Warning, None, message);
        }
        let Some(sets) = proxy.ext.get::<RuleSets>().filter(|_| front) else { continue };
        let known = |direction| captures.map_or(0, |c| c.slots(direction).len());
        let mut missing = |rules: &Rules, keyword: &str| {
            for rule in &rules.list {
                if let Action::Capture(c) = &rule.action
                    && c.slot >= known(c.direction)
                {
                    let (name, slot) = (&proxy.name, c.slot);
                    let message = format!(
                        "Proxy '{name}': unable to find capture id '{slot}' referenced by {keyword} capture rule."
                    );
                    diags.add(Severity::Alert, Some(rule.place), message);
                }
            }
        };
        missing(&sets.http_request, "http-request");
        missing(&sets.http_response, "http-response");
        missing(&sets.http_after_response, "http-response");
    }
}

impl Captures {
    /// Is there a line with the keyword `capture`?
    fn keyword(&self) -> bool {
        let headers = self.request.iter().chain(&self.response);
        self.cookie.is_some() || headers.into_iter().any(|s| s.header.is_some())
    }
}
