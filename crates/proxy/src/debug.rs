//! What `-d` shows of what passes (management.txt 3): a line for each stream that begins, for each line of a request's and of a
//! response's head, and for the ends. Without `-d` each function is one question.

use crate::http::exchange::Exchange;
use crate::plan::ProxyPlan;
use crate::session::Session;
use portcullis_message::Head;
use rustix::fd::{AsRawFd, BorrowedFd};
use std::sync::OnceLock;

/// Where the lines go.
static TO: OnceLock<fn(&[u8])> = OnceLock::new();

/// Shows everything from now on to `to`, which adds the ends of the lines.
pub fn show(to: fn(&[u8])) {
    let _ = TO.set(to);
}

/// How a line begins: whose it is, and by which descriptors.
struct Lines<'a> {
    to: fn(&[u8]),
    stream: String,
    proxy: &'a str,
    client: i32,
    server: Option<i32>,
}

impl<'a> Lines<'a> {
    /// Of this session's stream, if somebody looks.
    #[inline(always)]
    fn of(session: &Session, proxy: &'a ProxyPlan, server: Option<BorrowedFd<'_>>) -> Option<Self> {
        TO.get().map(|to| Self::new(*to, session, proxy, server))
    }

    #[cold]
    fn new(to: fn(&[u8]), session: &Session, proxy: &'a ProxyPlan, server: Option<BorrowedFd<'_>>) -> Self {
        let (slot, request) = session.number();
        Self {
            to,
            stream: format!("{:04x}{:04x}", slot & 0xffff, request & 0xffff),
            proxy: &proxy.name,
            client: session.conn.fd().map_or(-1, |fd| fd.as_raw_fd()),
            server: server.map(|fd| fd.as_raw_fd()),
        }
    }

    fn say(&self, what: &str, text: &[u8]) {
        let server = self.server.map_or_else(|| "ffff".into(), |fd| format!("{fd:04x}"));
        let start = format!("{}:{}.{what}[{:04x}:{server}]", self.stream, self.proxy, self.client & 0xffff);
        (self.to)(&[start.as_bytes(), text].concat());
    }

    fn head(&self, line: &str, field: &str, head: &Head) {
        let version = format!("HTTP/{}.{}", head.version.major, head.version.minor);
        let first = match head.status {
            0 => [head.method(), head.target(), version.as_bytes()].join(&b' '),
            status => [version.as_bytes(), status.to_string().as_bytes(), head.reason()].join(&b' '),
        };
        self.say(line, &[b": ", &first[..]].concat());
        for f in head.fields() {
            self.say(field, &[b": ", f.name, b": ", f.value].concat());
        }
    }
}

/// A stream begins.
#[inline(always)]
pub fn begins(session: &Session, front: &ProxyPlan) {
    if let Some(lines) = Lines::of(session, front, None) {
        let tls = session.conn.tls_info();
        let alpn = tls.as_ref().and_then(|info| info.alpn.as_deref()).unwrap_or(b"<none>");
        let text = format!(
            "{}:{}.accept({:04x})={:04x} from [{}] ALPN={}",
            lines.stream,
            lines.proxy,
            session.listener.number,
            lines.client & 0xffff,
            crate::worker::watch::peer(session.client),
            String::from_utf8_lossy(alpn),
        );
        (lines.to)(text.as_bytes());
    }
}

/// A request has come.
#[inline(always)]
pub fn request(session: &Session, front: &ProxyPlan, head: &Head) {
    begins(session, front);
    if let Some(lines) = Lines::of(session, front, None) {
        lines.head("clireq", "clihdr", head);
    }
}

/// A server's response has come.
#[inline(always)]
pub fn response(x: &Exchange<'_>, session: &Session, server: Option<BorrowedFd<'_>>) {
    if let Some(lines) = Lines::of(session, x.back.unwrap_or(x.front), server) {
        lines.head("srvrep", "srvhdr", &x.scratch.response);
    }
}

/// A stream is over; `served`: a server had it.
#[inline(always)]
pub fn over(session: &Session, proxy: &ProxyPlan, served: bool) {
    if let Some(lines) = Lines::of(session, proxy, None) {
        for what in [Some("srvcls").filter(|_| served), Some("clicls"), Some("closed")].into_iter().flatten()
        {
            lines.say(what, b"");
        }
    }
}
