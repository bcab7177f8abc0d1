//! The statistics page (`stats uri`): for people as HTML, for programs as CSV, JSON or lines.

mod html;
mod post;
mod query;
mod settings;
mod style;

pub use query::{Form, Options};
pub use settings::{Settings, rows};

use crate::Vitals;
use crate::filter::Filter;
use crate::lines::Moment;
use crate::walk::{Item, Walk};
use html::Html;
use portcullis_message::{Head, HeaderId, Method, Version};
use portcullis_proxy::applet::{Applet, Ask, Broken, Intercept, Length};
use portcullis_proxy::plan::Plan;
use portcullis_proxy::reply::Answer;
use portcullis_proxy::rules::Rules;
use portcullis_proxy::rules::auth::challenge;
use portcullis_proxy::rules::lang::Verdict;
use portcullis_proxy::worker::Worker;
use portcullis_telemetry::table::{SCHEMA, print};
use post::Done;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// A piece of the body is about so large.
const PIECE: usize = 8192;

/// What the page needs besides its settings; made once.
#[derive(Debug)]
struct Common {
    settings: Settings,
    /// Proxies that are shown, if not all are.
    scope: Option<Arc<[String]>>,
    /// The host's name, if it is shown.
    node: Option<String>,
}

/// The page of a proxy.
#[derive(Debug)]
pub struct Page {
    common: Arc<Common>,
    rules: Rules,
}

impl Page {
    /// The page of this proxy; `node`: that of `global`.
    #[must_use]
    pub fn new(settings: Settings, rules: Rules, proxy: &str, node: Option<String>) -> Self {
        let names = settings.scope.iter().map(|n| n.clone().unwrap_or_else(|| proxy.to_owned()));
        let scope = (!settings.scope.is_empty()).then(|| names.collect());
        let host = || node.unwrap_or_else(portcullis_sys::localtime::host_name);
        let node = settings.node.clone().map(|own| own.unwrap_or_else(host));
        Self { common: Arc::new(Common { settings, scope, node }), rules }
    }
}

/// Path and query of a target, also of one with scheme and authority.
fn path(target: &[u8]) -> &[u8] {
    let rest = [&b"http://"[..], b"https://"].into_iter().find_map(|s| target.strip_prefix(s));
    let Some(rest) = rest else { return target };
    rest.iter().position(|b| *b == b'/').and_then(|at| rest.get(at..)).unwrap_or(b"/")
}

impl Intercept for Page {
    fn server(&self) -> &'static str {
        "<STATS>"
    }

    fn wants(&self, request: &Head) -> bool {
        let method = Method::of(request.method());
        matches!(method, Method::Get | Method::Head | Method::Post)
            && path(request.target()).starts_with(self.common.settings.uri.as_bytes())
    }

    fn rules(&self) -> &Rules {
        &self.rules
    }

    fn begin(&self, ask: &Ask<'_, '_, '_>) -> Result<Box<dyn Applet>, Box<Answer>> {
        let settings = &self.common.settings;
        let Some(request) = ask.cx.request.as_deref() else {
            return Err(Box::new(ask.cx.pages.answer(400, &ask.cx.scope())));
        };
        if !settings.users.is_empty() && !known(settings, request) {
            let realm = settings.realm.as_deref().unwrap_or("HAProxy Statistics");
            return Err(Box::new(challenge(Some(realm.as_bytes()), ask.cx)));
        }
        let admin = settings.admin.iter().any(|g| g.condition.eval(&ask.cx.scope()) == Verdict::True);
        let rest = path(request.target()).get(settings.uri.len()..).unwrap_or_default();
        let method = Method::of(request.method());
        let limit = ask.plan.global.bufsize.saturating_sub(ask.plan.global.maxrewrite);
        let work = match method {
            Method::Post => Work::Change(Change {
                allowed: admin && own_origin(request),
                body: Vec::new(),
                limit,
                whole: false,
                waker: None,
            }),
            _ => Work::Begin,
        };
        Ok(Box::new(Statistics {
            common: self.common.clone(),
            worker: ask.worker.clone(),
            plan: ask.plan.clone(),
            options: match settings.refresh.is_zero() {
                true => Options::parse(rest).without_refresh(),
                false => Options::parse(rest),
            },
            admin,
            bodyless: method == Method::Head,
            work,
        }))
    }
}

/// Does the request come with name and password of a user?
fn known(settings: &Settings, request: &Head) -> bool {
    let Some((name, password)) = portcullis_sample::basic_authorization(request) else { return false };
    settings.users.iter().any(|(n, p)| same(n, &name) & same(p, &password))
}

/// Compares without telling by its time where the difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |d, (x, y)| d | (x ^ y)) == 0
}

/// Does the request come from this site, as far as the browser says where it comes from?
fn own_origin(request: &Head) -> bool {
    let first = |name: &'static [u8]| request.named(name).next();
    let Some(from) = first(b"origin").or_else(|| first(b"referer")) else { return true };
    let host = request.first(HeaderId::Host).unwrap_or_default();
    let from = [&b"http://"[..], b"https://"].into_iter().find_map(|s| from.strip_prefix(s));
    let Some(from) = from else { return false };
    let authority = from.split(|b| *b == b'/').next().unwrap_or_default();
    !host.is_empty() && authority.eq_ignore_ascii_case(host)
}

/// A change that is asked for.
struct Change {
    allowed: bool,
    body: Vec<u8>,
    limit: usize,
    whole: bool,
    waker: Option<Waker>,
}

/// How far the answer is.
enum Work {
    /// Nothing of a body was made yet.
    Begin,
    /// A change: first its form comes.
    Change(Change),
    /// Lines.
    Lines { walk: Box<Walk>, format: Lines },
    /// Nothing more.
    Over,
}

/// How lines are written.
enum Lines {
    Html(Box<Html>),
    Csv,
    Typed,
    Json { first: bool },
}

/// An answer of the page.
struct Statistics {
    common: Arc<Common>,
    worker: Rc<Worker>,
    plan: Arc<Plan>,
    options: Options,
    admin: bool,
    bodyless: bool,
    work: Work,
}

impl Applet for Statistics {
    fn poll_take(&mut self, _: &mut Context<'_>, bytes: &[u8]) -> Poll<usize> {
        if let Work::Change(change) = &mut self.work {
            let room = (change.limit + 1).saturating_sub(change.body.len());
            change.body.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
            wake(change);
        }
        Poll::Ready(bytes.len())
    }

    fn request_ended(&mut self) {
        if let Work::Change(change) = &mut self.work {
            change.whole = true;
            wake(change);
        }
    }

    fn poll_head(&mut self, cx: &mut Context<'_>, head: &mut Head) -> Poll<Result<Length, Broken>> {
        if let Work::Change(change) = &mut self.work {
            let over = change.body.len() > change.limit;
            if !change.whole && !over {
                change.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let body = std::mem::take(&mut change.body);
            let done = match (change.allowed, over) {
                (false, _) => Done::Denied,
                (true, true) => Done::TooLong,
                (true, false) => {
                    let (scope, now) = (self.common.scope.as_deref(), self.worker.clock.now().0);
                    post::run(&body, &self.plan, &self.worker.process, scope, now)
                }
            };
            self.work = Work::Over;
            self.redirect(done, head);
            return Poll::Ready(Ok(Length::Known(0)));
        }
        head.set_response(Version::HTTP_11, 200, b"OK");
        head.push(b"cache-control", b"no-cache");
        let kind = match self.options.form {
            Form::Html => &b"text/html"[..],
            Form::Csv | Form::Typed => b"text/plain",
            Form::Json | Form::Schema => b"application/json",
        };
        head.push(b"content-type", kind);
        let refresh = self.common.settings.refresh.as_secs();
        if refresh > 0 && !self.options.norefresh {
            head.push(b"refresh", refresh.to_string().as_bytes());
        }
        Poll::Ready(Ok(if self.bodyless { Length::Close } else { Length::Pieces }))
    }

    fn poll_body(&mut self, _: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<Result<bool, Broken>> {
        let mut text = String::with_capacity(PIECE + 4096);
        let more = match &mut self.work {
            Work::Begin => self.begin(&mut text),
            Work::Lines { walk, format } => lines(walk, format, &mut text),
            Work::Change(_) | Work::Over => Some(false),
        };
        out.extend_from_slice(text.as_bytes());
        Poll::Ready(more.ok_or(Broken))
    }
}

fn wake(change: &mut Change) {
    if let Some(waker) = change.waker.take() {
        waker.wake();
    }
}

impl Statistics {
    /// After a change the browser looks at the page again, which says what came of it.
    fn redirect(&self, done: Done, head: &mut Head) {
        head.set_response(Version::HTTP_11, 303, b"See Other");
        head.push(b"cache-control", b"no-cache");
        head.push(b"content-type", b"text/plain");
        head.push(b"content-length", b"0");
        let to = format!("{};st={}{}", self.common.settings.uri, done.code(), self.options.text());
        head.push(b"location", to.as_bytes());
    }

    /// What comes before the first line; none: the process does not say what it is.
    fn begin(&mut self, out: &mut String) -> Option<bool> {
        let vitals = Vitals::of(&self.worker.process)?;
        let format = match self.options.form {
            Form::Schema => {
                out.push_str(SCHEMA);
                self.work = Work::Over;
                return Some(false);
            }
            Form::Csv => {
                out.push_str(&print::header());
                Lines::Csv
            }
            Form::Typed => Lines::Typed,
            Form::Json => {
                out.push('[');
                Lines::Json { first: true }
            }
            Form::Html => {
                let html = Html::new(&self.common, &self.options, self.admin, vitals);
                html.head(vitals, &self.plan, out);
                Lines::Html(Box::new(html))
            }
        };
        let filter = Filter {
            up: self.options.up,
            no_maint: self.options.no_maint,
            scope: self.common.scope.clone(),
            part: self.options.scope.clone(),
            ..Filter::default()
        };
        let moment = Moment {
            now: self.worker.clock.now().0,
            maxconn: self.worker.process.counts.conns.limit(),
            legends: self.common.settings.legends,
        };
        let walk = Box::new(Walk::new(self.plan.clone(), filter, moment));
        self.work = Work::Lines { walk, format };
        Some(true)
    }
}

/// Writes some lines; false: that were all.
fn lines(walk: &mut Walk, format: &mut Lines, out: &mut String) -> Option<bool> {
    while out.len() < PIECE {
        let Some(item) = walk.next() else {
            match format {
                Lines::Html(html) => html.end(out),
                Lines::Json { .. } => out.push_str("]\n"),
                Lines::Csv | Lines::Typed => {}
            }
            return Some(false);
        };
        match (&mut *format, item) {
            (Lines::Html(html), item) => html.item(&item, out),
            (Lines::Csv, Item::Line(line)) => print::csv_line(&line, out),
            (Lines::Typed, Item::Line(line)) => print::typed_lines(&line, false, out),
            (Lines::Json { first }, Item::Line(line)) => {
                if !std::mem::take(first) {
                    out.push(',');
                }
                print::json_array(&line, out);
            }
            _ => {}
        }
    }
    Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(fields: &[(&str, &str)]) -> Head {
        let mut head = Head::default();
        head.set_request(b"POST", b"/", Version::HTTP_11);
        fields.iter().for_each(|(n, v)| head.push(n.as_bytes(), v.as_bytes()));
        head
    }

    /// As 3.5 decides.
    #[test]
    fn origins() {
        let host = ("host", "a:80");
        for (own, fields) in [
            (true, &[host][..]),
            (true, &[host, ("origin", "http://a:80")]),
            (true, &[host, ("referer", "https://A:80/x?y")]),
            (false, &[host, ("origin", "http://a:80.evil")]),
            (false, &[host, ("origin", "http://evil"), ("referer", "http://a:80/")]),
            (false, &[host, ("origin", "null")]),
            (false, &[("origin", "http://a")]),
        ] {
            assert_eq!(own_origin(&request(fields)), own, "{fields:?}");
        }
    }

    #[test]
    fn targets() {
        assert_eq!(path(b"/a?b"), b"/a?b");
        assert_eq!(path(b"http://h:1/a?b"), b"/a?b");
        assert_eq!(path(b"http://h"), b"/");
    }
}
