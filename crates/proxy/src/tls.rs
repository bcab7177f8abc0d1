//! TLS on both sides: the handshake with a client before its session's rules, and with a server before it is used.

use crate::handshake::Refused;
use crate::outcome;
use crate::plan::ProxyPlan;
use crate::plan::ServerPlan;
use crate::plan::server::ServerTlsPlan;
use crate::rules::lang::{At, Expr, Parsing};
use crate::session::Session;
use crate::traced;
use crate::upstream::{Failure, Wish, interrupted, watched};
use crate::worker::story::Phase;
use crate::worker::{Task, Woken, Worker};
use portcullis_config::rows::server::complain;
use portcullis_config::{Args, Cx, Does, Sections, Server, ServerOption};
use portcullis_message::{Head, HeaderId};
use portcullis_sample::{Facts, Message, Scope};
use portcullis_telemetry::trace::{Level, Subject, events};
use portcullis_tls::acceptor::Acceptor;
use portcullis_tls::ahead::Ahead;
use portcullis_tls::connector::Offer;
use portcullis_tls::info::Info;
use portcullis_tls::stream::Stream;
use portcullis_tls::verify::x509_err;
use portcullis_transport::tls::Failed;
use portcullis_transport::{Buffer, Conn};
use std::future::poll_fn;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::task::Poll;

/// The rows of this file.
pub const OPTIONS: &[ServerOption] = &[
    ServerOption {
        name: "pool-conn-name",
        sections: Sections::BACK,
        args: "<expression>",
        help: "What requests must have in common to share a connection, in the place of the server name.",
        negatable: false,
        does: Does::Works(pool_name),
    },
    ServerOption {
        name: "sni",
        sections: Sections::BACK,
        args: "<expression>",
        help: "The server name that is sent in the handshake.",
        negatable: false,
        does: Does::Works(sni),
    },
];

/// The `pool-conn-name` of a server.
#[derive(Clone, Debug, Default)]
pub struct PoolName(pub Option<Arc<Expr>>);

/// The `sni` of a server.
#[derive(Clone, Debug, Default)]
pub struct Sni(pub Option<Arc<Expr>>);

/// `sni <expression>`
fn sni(cx: &mut Cx<'_>, server: &mut Server, args: &mut Args<'_>) {
    if let Some(expr) = expression(cx, server, args, "'sni' : missing sni expression.") {
        server.set.ext.entry::<Sni>().0 = Some(Arc::new(expr));
    }
}

/// `pool-conn-name <expression>`
fn pool_name(cx: &mut Cx<'_>, server: &mut Server, args: &mut Args<'_>) {
    if let Some(expr) = expression(cx, server, args, "'pool-conn-name' expects <value> as argument.") {
        server.set.ext.entry::<PoolName>().0 = Some(Arc::new(expr));
    }
}

fn expression(cx: &mut Cx<'_>, server: &Server, args: &mut Args<'_>, missing: &str) -> Option<Expr> {
    let word = args.peek();
    if word.is_none() {
        complain(cx, server, args.words.last(), missing);
        return None;
    }
    let mut parsing = Parsing::new(cx, Args { words: args.words, at: args.at }, At::HttpRequest);
    let parsed = parsing.expr();
    args.next();
    let wrong = |why| format!("error detected while parsing sni or pool-conn-name expressions : {why}.");
    parsed.map_err(|why| complain(cx, server, word, &wrong(why))).ok()
}

/// What a handshake with a client came to.
enum Got {
    Done,
    Failed(Failed),
    Late,
    Aborted,
}

/// Shakes hands with a client. What came behind its PROXY header is the beginning.
///
/// # Errors
/// [`Refused`]: it failed, and was logged.
pub async fn accept(
    session: &mut Session,
    front: &ProxyPlan,
    acceptor: &Arc<Acceptor>,
    first: Option<Buffer>,
) -> Result<(), Refused> {
    let mut received = first.is_some();
    let stream = Stream::accept(acceptor, first.as_ref().map_or(&[], |b| b.data()));
    if let Some(b) = first {
        session.worker().buffers.give(b);
    }
    session.conn.begin_tls(stream);
    let begun = events::ssl::SSLC_NEW | events::ssl::SSLC_HNDSHK;
    traced::tls(
        &traced::of_client(session, front),
        begun,
        Level::State,
        "handshake with the client",
        &|_, _| {},
    );
    let t = &front.timeouts;
    session.task.deadline(session.accepted.after(t.client_hs.or(t.client)));
    let got = poll_fn(|cx| match session.conn.poll_handshake(cx) {
        Poll::Ready(Ok(())) => Poll::Ready(Got::Done),
        Poll::Ready(Err(e)) => Poll::Ready(Got::Failed(e)),
        Poll::Pending => match session.task.poll_woken(cx) {
            Some(Woken::Late) => Poll::Ready(Got::Late),
            Some(Woken::Aborted(_)) => Poll::Ready(Got::Aborted),
            None => Poll::Pending,
        },
    })
    .await;
    let counters = front.front.counters.of(session.worker().id.into());
    if matches!(got, Got::Done) {
        let info = session.conn.tls_info();
        let (resumed, stapled) = info.as_ref().map_or((false, false), |i| (i.resumed, i.stapled));
        counters.tls_sess.add((!resumed).into());
        counters.tls_reused.add(resumed.into());
        counters.ocsp_stapled.add(stapled.into());
        let told = |to: &mut String, verbosity| described(info.as_deref(), to, verbosity);
        let of = traced::of_client(session, front);
        traced::tls(&of, events::ssl::SSLC_HNDSHK, Level::Proto, "handshake done with the client", &told);
        let worker = session.worker();
        worker.process.counts.tls_front(worker.id.into(), !resumed, worker.clock.now().0);
        return Ok(());
    }
    counters.tls_failed.inc();
    let why = |to: &mut String, _| {
        to.push_str(match &got {
            Got::Late => "no end of the handshake in time",
            Got::Aborted => "ended from outside",
            _ => "the handshake failed",
        });
    };
    let of = traced::of_client(session, front);
    let what = events::ssl::SSLC_ERR | events::ssl::SSLC_END;
    traced::tls(&of, what, Level::Error, "SSL handshake failure with the client", &why);
    let message = match got {
        Got::Done => return Ok(()),
        Got::Aborted => return Err(Refused),
        Got::Late => "Timeout during SSL handshake",
        Got::Failed(Failed::Closed(any)) => {
            received |= any;
            let greeted = session.conn.tls_info().is_some_and(|i| i.randoms[0].is_some());
            if greeted { "SSL handshake failure" } else { "Connection closed during SSL handshake" }
        }
        Got::Failed(Failed::Broken(_)) => "SSL handshake failure",
        Got::Failed(Failed::Tls(_)) => {
            received = true;
            let verdict = session.conn.tls_info().map(|i| i.verdict).unwrap_or_default();
            match (verdict.fatal, verdict.fatal_depth) {
                (0, _) => "SSL handshake failure",
                (_, 0) => "SSL client certificate not trusted",
                _ => "SSL client CA chain cannot be verified",
            }
        }
    };
    let detail = session.conn.tls_info().map_or(0, |i| i.error.get());
    let message = match detail {
        n if n != 0 && message == "SSL handshake failure" => {
            format!("{message} ({})", portcullis_tls::errors::text(n))
        }
        _ => message.to_owned(),
    };
    session.conn.discard_input(true);
    outcome::never_began(session, front, &message, received);
    Err(Refused)
}

impl ServerTlsPlan {
    /// The name that is sent to the server for this request.
    #[must_use]
    pub fn name(&self, facts: &Facts<'_>, request: Message<'_>, worker: &Worker) -> Option<String> {
        if self.auto {
            return host(request.head()?);
        }
        evaluated(self.sni.as_ref()?, facts, request, worker)
    }
}

/// What an expression says about this request; none: nothing.
#[must_use]
pub fn evaluated(expr: &Expr, facts: &Facts<'_>, request: Message<'_>, worker: &Worker) -> Option<String> {
    let scope = Scope {
        wall: worker.clock.wall(),
        request,
        request_bytes: request.bytes(),
        last_call: true,
        ..Scope::new(facts, &worker.random)
    };
    let name = String::from_utf8(expr.text(&scope)?.into_owned()).ok()?;
    (!name.is_empty()).then_some(name)
}

/// The name in the Host header, without its port.
fn host(request: &Head) -> Option<String> {
    let value = request.fields().find(|f| f.id == HeaderId::Host)?.value;
    bare(std::str::from_utf8(value).ok()?)
}

/// A name or an address without its port, spelt as it is.
pub(crate) fn bare(text: &str) -> Option<String> {
    let text = text.trim();
    let name = match text.strip_prefix('[') {
        Some(v6) => v6.split(']').next(),
        None => text.split(':').next(),
    };
    name.filter(|n| !n.is_empty()).map(str::to_owned)
}

/// What requests must have in common to share a connection with this name.
#[must_use]
pub fn pool_key(name: Option<&str>) -> u64 {
    name.map_or(0, |name| {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        hasher.finish().max(1)
    })
}

/// Shakes hands with a server, after the PROXY header that it may want.
///
/// # Errors
/// It failed, or nobody waits any more.
pub async fn connect(
    task: &Task,
    (server, tls): (&ServerPlan, &ServerTlsPlan),
    conn: &mut Conn,
    facts: &mut Facts<'_>,
    (wish, name, offer): (&Wish<'_>, Option<&str>, Begin),
) -> Result<(), Failure> {
    let refused = Failure { termination: *b"SC", status: 503 };
    let mut header = Vec::new();
    let scope = Scope { wall: task.worker.clock.wall(), ..Scope::new(facts, &task.worker.random) };
    crate::preface::write(server, &scope, &mut header);
    let mut sent = 0;
    while let Some(rest) = header.get(sent..).filter(|r| !r.is_empty()) {
        let io = std::io::IoSlice::new(rest);
        let n = watched(task, wish, Phase::Connecting, |cx| conn.poll_send(cx, &[io], false)).await;
        sent += n.map_err(|i| interrupted(i, *b"sC"))?.map_err(|_| refused)?;
    }
    let stream = match offer {
        Begin::Usual(offer) => Stream::connect_offering(&tls.connector, name, offer),
        Begin::Early(offer) => Stream::connect_early(&tls.connector, name, offer),
    };
    conn.begin_tls(stream.map_err(|_| refused)?);
    let done = watched(task, wish, Phase::Connecting, |cx| conn.poll_handshake(cx)).await;
    facts.backend_tls = conn.tls_info();
    if facts.backend_tls.as_ref().is_some_and(|i| i.ahead.is_some()) {
        // the server has not said anything yet
        return Ok(());
    }
    traced_connect(task, facts, matches!(done, Ok(Ok(()))));
    if matches!(done, Ok(Ok(()))) {
        shaken(task, facts);
        if matches!(offer, Begin::Usual(Offer::All)) && tls.connector.is_early() {
            tls.connector.agreed(facts.backend_tls.as_ref().and_then(|i| i.alpn.as_deref()));
        }
    }
    done.map_err(|i| interrupted(i, *b"sC"))?.map_err(|_| refused)
}

/// How a handshake with a server begins.
#[derive(Clone, Copy)]
pub enum Begin {
    /// As usual.
    Usual(Offer),
    /// With early data, if there is a session that allows it.
    Early(Offer),
}

/// A handshake with a server is done: counts it.
fn shaken(task: &Task, facts: &Facts<'_>) {
    let worker = &task.worker;
    let new = facts.backend_tls.as_ref().is_none_or(|i| !i.resumed);
    worker.process.counts.counters.of(worker.id.into()).cum_tls.inc();
    worker.process.counts.tls_back(worker.id.into(), new, worker.clock.now().0);
}

/// The name of the error that a handshake with a server has failed with.
#[must_use]
pub fn error_of(info: Option<&Info>) -> &'static str {
    match info {
        Some(i) if i.verdict.fatal == x509_err::HOSTNAME && i.sni.is_some() => "SSL_MISMATCH_SNI",
        Some(i) if i.verdict.fatal == x509_err::HOSTNAME => "SSL_MISMATCH",
        _ => "SSL_HANDSHAKE",
    }
}

/// Was early data sent, and what has become of it is not in the facts yet?
#[must_use]
pub fn is_unanswered(facts: &Facts<'_>) -> bool {
    facts.backend_tls.as_ref().is_some_and(|i| i.ahead.is_some() && i.version.is_empty())
}

/// Writes down what has become of early data, now that the server has said something or its connection is lost. True: it was
/// refused. `first`: the connection was made for this request.
#[cold]
pub fn answered_early(task: &Task, conn: &Conn, facts: &mut Facts<'_>, first: bool) -> bool {
    let state = facts.backend_tls.as_ref().and_then(|i| i.ahead());
    let (taken, refused) = (state == Some(Ahead::Taken), state == Some(Ahead::Refused));
    if taken && let Some(info) = conn.tls_info() {
        facts.backend_tls = Some(info);
    }
    if refused {
        facts.server_link.error = Some(portcullis_sample::fetch::link::error_of_name("SSL_EARLY_FAILED"));
    }
    if first {
        traced_connect(task, facts, taken);
    }
    if first && taken {
        shaken(task, facts);
    }
    refused
}

/// What was agreed on.
fn described(info: Option<&Info>, to: &mut String, verbosity: u8) {
    let Some(info) = info else { return };
    to.push_str(info.version);
    if verbosity >= 3 {
        let alpn = info.alpn.as_deref().map_or_else(String::new, |a| String::from_utf8_lossy(a).into_owned());
        let resumed = if info.resumed { " resumed" } else { "" };
        let sni = info.sni.as_deref().unwrap_or_default();
        let more = format!(" {} group={} sni={sni} alpn={alpn}{resumed}", info.cipher, info.group);
        to.push_str(&more);
    }
}

/// Tells of a handshake with a server.
fn traced_connect(task: &Task, facts: &Facts<'_>, done: bool) {
    let of = Subject {
        thread: task.worker.id,
        backend: Some(facts.backend_name),
        server: Some(facts.server_name),
        ..Subject::default()
    };
    let told = |to: &mut String, verbosity| described(facts.backend_tls.as_deref(), to, verbosity);
    match done {
        true => {
            let what = events::ssl::SSLC_NEW | events::ssl::SSLC_HNDSHK;
            traced::tls(&of, what, Level::Proto, "handshake done with the server", &told);
        }
        false => {
            let what = events::ssl::SSLC_ERR | events::ssl::SSLC_END;
            traced::tls(&of, what, Level::Error, "SSL handshake failure with the server", &|_, _| {});
        }
    }
}
