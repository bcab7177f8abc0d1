//! The wait for a response's head, while the request is still on its way.

use super::Transfer;
use crate::captured::Wrong;
use crate::http::Scratch;
use crate::http::exchange::{Exchange, Stop};
use crate::http::flow::FlowError;
use crate::http::request::head_fits;
use crate::plan::ProxyPlan;
use crate::session::Session;
use crate::worker::slots::Abort;
use crate::worker::story::Story;
use crate::worker::{Woken, Worker};
use portcullis_backend::health::Observed;
use portcullis_config::{Opts, RetryOn};
use portcullis_transport::Conn;
use portcullis_transport::conn::Seen;
use portcullis_wire::h1::{Bad, Chunked, Fault, Framing, Info, Parsed, parse_response};
use std::future::poll_fn;
use std::task::Poll;

/// What ends the wait for a response head.
pub(super) enum Answer {
    Head(usize, Info),
    /// The server closed or broke the connection; `true`: before anything came.
    Gone(bool),
    Malformed(Wrong),
    /// 101 that is none.
    Unasked,
    /// What came on a stream was no response.
    Spoiled,
    /// Early data that its server has not looked at.
    TooEarly,
    /// A stream that its server has not even looked at.
    Refused,
    /// A stream that its server has reset.
    Reset,
    /// The client has gone while its request was complete.
    Client,
    /// Its connection broke.
    ClientBroke,
    /// The client went away in its request's body.
    CutRequest,
    BadRequest(Option<usize>),
    ClientLate,
    ServerLate,
    Aborted(Abort),
}

/// A head that does not fit.
const TOO_LARGE: Answer = Answer::Malformed(Wrong::Head(Bad { fault: Fault::Value, at: usize::MAX }));

impl Answer {
    /// Likewise, where early data was sent: what has become of that is known now. `first`: the connection was made for it.
    pub(super) fn after_early_data(
        self,
        x: &mut Exchange<'_>,
        session: &Session,
        conn: &Conn,
        first: bool,
    ) -> Self {
        let refused = crate::tls::answered_early(&session.task, conn, &mut x.facts, first);
        match self {
            Self::Gone(_) | Self::Reset | Self::Refused if refused => Self::TooEarly,
            other => other,
        }
    }

    /// What `retry-on` calls it.
    pub(super) fn failure(&self) -> RetryOn {
        match self {
            Self::Gone(true) | Self::Reset | Self::Refused => RetryOn::EMPTY_RESPONSE,
            Self::Gone(false) | Self::Malformed(_) | Self::Unasked | Self::Spoiled => RetryOn::JUNK_RESPONSE,
            Self::ServerLate => RetryOn::RESPONSE_TIMEOUT,
            Self::TooEarly => RetryOn::REJECTED_0RTT,
            _ => RetryOn::NONE,
        }
    }

    /// `error.type` of an attempt that is made again.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Gone(true) => "no_response",
            Self::Refused | Self::Reset => "stream_reset",
            Self::ServerLate => "response_timeout",
            Self::TooEarly => "early_data_refused",
            _ => "invalid_response",
        }
    }

    /// In words, for who looks on.
    pub(super) fn text(&self) -> &'static str {
        match self {
            Self::Head(..) => "rcvd H1 response headers",
            Self::Gone(true) => "the server closed the connection before it answered",
            Self::Gone(false) => "the server closed the connection in its response's headers",
            Self::Malformed(_) | Self::Spoiled => "parsing error, reject H1 message",
            Self::Unasked => "the server switched protocols unasked",
            Self::TooEarly => "the server refused early data",
            Self::Refused => "the server refused the stream",
            Self::Reset => "the server reset the stream",
            Self::Client | Self::ClientBroke => "the client left before the response",
            Self::CutRequest => "the client left in the request's body",
            Self::BadRequest(_) => "parsing error in the request's body",
            Self::ClientLate => "the client did not send the request's body in time",
            Self::ServerLate => "the server did not answer in time",
            Self::Aborted(_) => "the stream was ended from outside",
        }
    }

    /// What it says of the server.
    pub(super) fn observed(&self) -> Option<Observed> {
        match self {
            Self::ServerLate => Some(Observed::Silence),
            Self::Gone(true) | Self::Reset => Some(Observed::Broken),
            Self::Gone(false) | Self::Malformed(_) | Self::Unasked | Self::Spoiled => Some(Observed::Garbage),
            _ => None,
        }
    }
}

/// Forwards the request until the response's head is there.
pub(super) async fn wait(
    x: &mut Exchange<'_>,
    session: &Session,
    back: &ProxyPlan,
    t: &mut Transfer,
) -> Answer {
    let task = &session.task;
    let Transfer { upstream, up, down, due, .. } = t;
    let (server, received) = (&upstream.conn, &mut down.buffer);
    let limits = back.response_limits;
    let method = x.method;
    let global = &x.plan.global;
    let Scratch { request, response, .. } = &mut *x.scratch;
    let (facts, head) = (&x.facts, x.heads[0]);
    let gives_up = back.has(Opts::ABORTONCLOSE) || session.conn.stream().is_some();
    let upgrade = x.info.upgrade;
    let mut sink_broken = false;
    let mut fresh = true;
    let mut first = true;
    let begun = task.worker.clock.now();
    poll_fn(|cx| {
        let before = (up.reads, up.writes);
        if !up.done && !sink_broken {
            match up.poll(cx, task, &session.conn, server) {
                Poll::Ready(Err(FlowError::Sink(_))) => sink_broken = true,
                Poll::Ready(Err(FlowError::Malformed(at))) => {
                    return Poll::Ready(Answer::BadRequest(Some(at)));
                }
                Poll::Ready(Err(FlowError::Filtered | FlowError::Spoiled)) => {
                    return Poll::Ready(Answer::BadRequest(None));
                }
                Poll::Ready(Err(FlowError::Source(_) | FlowError::Truncated)) => {
                    return Poll::Ready(Answer::CutRequest);
                }
                _ => {}
            }
        }
        if let Some(stream) = server.stream()
            && let Poll::Ready(answer) = stream.poll_head(cx, response)
        {
            return Poll::Ready(match answer {
                Ok(answer) => Answer::Head(0, answer.info),
                Err(e) if e.kind() == std::io::ErrorKind::InvalidData => Answer::Spoiled,
                Err(_) if stream.is_refused() && (!upgrade || stream.id() != 0) => Answer::Refused,
                Err(_) if stream.is_lost() => Answer::Gone(true),
                Err(_) => Answer::Reset,
            });
        }
        // bytes that came with an interim response, or in pieces
        while server.stream().is_none() {
            if fresh && !received.is_empty() {
                match parse_response(received.data(), &limits, response, method) {
                    Ok(Parsed::Complete(len, info)) => {
                        // a fault in the body that is here already is the head's
                        let rest = received.data().get(len..).unwrap_or_default();
                        if info.framing == Framing::Chunked
                            && Chunked::default().look(rest).is_err()
                            && let Some(wrong) = Wrong::in_first_chunks(received.data(), len)
                        {
                            return Poll::Ready(Answer::Malformed(wrong));
                        }
                        let fits = head_fits(response, len, global);
                        return Poll::Ready(if fits { Answer::Head(len, info) } else { TOO_LARGE });
                    }
                    Ok(Parsed::Partial) if received.len() < task.worker.buffers.size() => {}
                    Err(Bad { fault: Fault::Upgrade, .. }) => return Poll::Ready(Answer::Unasked),
                    Ok(Parsed::Partial) => return Poll::Ready(TOO_LARGE),
                    Err(bad) => return Poll::Ready(Answer::Malformed(Wrong::Head(bad))),
                }
            }
            if received.capacity() == 0 {
                if server.poll_readable(cx).is_pending() {
                    break;
                }
                *received = task.worker.buffers.take();
            }
            match server.poll_recv(cx, received) {
                Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => {
                    return Poll::Ready(Answer::Gone(received.is_empty()));
                }
                Poll::Ready(Ok(_)) => fresh = true,
                Poll::Pending => {
                    if received.is_empty() {
                        task.worker.buffers.give(std::mem::take(received));
                    }
                    break;
                }
            }
        }
        if up.done && gives_up {
            match session.task.watch(&session.conn, cx) {
                Seen::Broken => return Poll::Ready(Answer::ClientBroke),
                Seen::End => return Poll::Ready(Answer::Client),
                _ => {}
            }
        }
        if first || before != (up.reads, up.writes) || up.is_gated() {
            first = false;
            // the server is waited for once it has the request, or has to take what there is of it
            let sent = up.done || sink_broken || up.is_writing();
            let independent = |p: &ProxyPlan| p.has(Opts::INDEPENDENT_STREAMS);
            let keep = (up.reads == before.0 && independent(&session.listener.proxy), independent(back));
            due.renew_but(task, (!sent, sent), keep);
            if sent && independent(back) {
                // what it was sent is no sign of its activity
                due.server = begun.after(due.server_timeout);
                task.deadline(due.client.min(due.server));
            }
        }
        if task.is_asked() {
            let bytes = [facts.bytes_up + head + up.counted(), 0];
            let told = Story::between(&session.conn, server).asking(request);
            task.tell(Story { sides: [due.client, due.server], bytes, retries: facts.retries, ..told });
        }
        match task.poll_woken(cx) {
            None => Poll::Pending,
            Some(Woken::Aborted(why)) => Poll::Ready(Answer::Aborted(why)),
            Some(Woken::Late) if due.client <= due.server => Poll::Ready(Answer::ClientLate),
            Some(Woken::Late) => Poll::Ready(Answer::ServerLate),
        }
    })
    .await
}

/// Why there was no answer, for client, log and counters.
pub(super) fn no_answer(x: &Exchange<'_>, worker: &Worker, back: &ProxyPlan, answer: &Answer) -> Stop {
    let failed = || {
        back.counters(worker.id).failed_resp.inc();
        if let Some(s) = &x.server {
            s.counters.of(worker.id.into()).failed_resp.inc();
        }
    };
    match answer {
        Answer::Gone(false) => {
            failed();
            Stop::new(b"PH", 502)
        }
        Answer::Gone(true) | Answer::Reset | Answer::Refused => {
            failed();
            Stop::new(b"SH", 502)
        }
        Answer::Malformed(_) | Answer::Unasked | Answer::Spoiled => {
            failed();
            Stop::new(b"PH", 502)
        }
        Answer::TooEarly => {
            failed();
            Stop::new(b"SH", 425)
        }
        Answer::ServerLate => {
            failed();
            Stop::new(b"sH", 504)
        }
        Answer::Client => Stop::new(b"CH", 400),
        Answer::ClientBroke => Stop::mute(b"CD", 400),
        Answer::CutRequest => Stop::mute(b"CH", 400),
        Answer::BadRequest(_) => Stop::mute(b"PH", 400),
        Answer::ClientLate => Stop::new(b"cH", 400),
        Answer::Aborted(why) => Stop::new(&[why.letter(), b'H'], 0),
        Answer::Head(..) => Stop::silent(),
    }
}
