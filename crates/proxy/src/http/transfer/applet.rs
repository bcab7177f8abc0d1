//! A request to an applet and its response back: what [`super::run`] is for servers.

use super::{Due, Failed, Timeout, counted, down_failure, headers, log_now, response_rules, wait};
use crate::applet::{Applet, Body as Taken, Chosen, Length, Output};
use crate::filter::Gate;
use crate::http::body::Body;
use crate::http::client;
use crate::http::exchange::{Exchange, Stop, ms};
use crate::http::flow::{Flow, FlowError};
use crate::session::Session;
use crate::traced;
use crate::worker::Woken;
use portcullis_message::{Head, Method, Version};
use portcullis_sample::Direction;
use portcullis_telemetry::trace::{Level, events};
use portcullis_transport::conn::Seen;
use portcullis_transport::{Buffer, Millis};
use portcullis_wire::h1::{Framing, Info, Silent, reframe};
use std::cell::RefCell;
use std::future::poll_fn;
use std::task::Poll;

/// Both directions.
struct Ways {
    up: Flow,
    down: Flow,
    due: Due,
}

/// Lets an applet answer.
///
/// # Errors
/// [`Stop`] when there is another answer instead: the applet broke, or a rule did not like its response.
pub async fn run(x: &mut Exchange<'_>, session: &mut Session, chosen: Chosen) -> Result<(), Stop> {
    let Chosen { name, ruled, stands_in, applet } = chosen;
    x.begin_applet(name);
    if !stands_in {
        x.intercepted(session);
        x.facts.termination[..2].copy_from_slice(b"LR");
    }
    client::go_on(x, session).await.map_err(|_| Stop::mute(b"LR", 0))?;
    traced::applet(x, session, events::applet::APP_NEW, Level::User, "new applet", name);
    let mut ways = Ways::new(x, session);
    let applet = RefCell::new(applet);
    let began = session.task.worker.clock.now();
    let head = head(x, session, &mut ways, &applet).await;
    let told = match head {
        Ok(length) => {
            x.facts.timers.response = ms(session.task.worker.clock.now().since(began));
            begin_response(x, session, length, ruled).await
        }
        Err(stop) => Err(stop),
    };
    let length = match told {
        Ok(length) => length,
        Err(mut stop) => {
            ways.give_up(x, session);
            if !stands_in && !is_abort(stop.termination[0]) {
                // the first cause is what is logged: it was answered here
                stop.termination = *b"LR";
            }
            return Err(stop);
        }
    };
    traced::applet(x, session, events::applet::APP_SEND, Level::Proto, "applet answers", name);
    respond(x, session, &mut ways, &applet, length).await;
    traced::applet(x, session, events::applet::APP_FREE, Level::State, "releasing applet", name);
    Ok(())
}

/// Did somebody ask for the stream's end?
fn is_abort(cause: u8) -> bool {
    matches!(cause, b'K' | b'D' | b'U')
}

impl Ways {
    fn new(x: &mut Exchange<'_>, session: &Session) -> Self {
        let worker = &session.task.worker;
        if x.input.is_empty() {
            worker.buffers.give(std::mem::take(&mut x.input));
        }
        let due = Due {
            client: Millis::NEVER,
            server: Millis::NEVER,
            client_timeout: x.facts.timeout(Timeout::Client).or(x.front.timeouts.client),
            server_timeout: None,
        };
        let mut up = Flow::new(std::mem::take(&mut x.input), x.body(), false);
        let mut down = Flow::new(Buffer::default(), Body::Length(0), false);
        if let Some(chain) = &x.filters {
            up.gate = Some(Gate::new(chain, &session.task, Direction::Request));
            down.gate = Some(Gate::new(chain, &session.task, Direction::Response));
        }
        Self { up, down, due }
    }

    /// What is left of the client's bytes goes back to the exchange.
    fn reclaim(&mut self, x: &mut Exchange<'_>, session: &Session) {
        x.input = std::mem::take(&mut self.up.buffer);
        x.body_done = self.up.done;
        x.facts.bytes_up += self.up.counted();
        session.task.worker.buffers.give(std::mem::take(&mut self.down.buffer));
    }

    /// Something else is answered: the rest of the request's body is nobody's.
    fn give_up(&mut self, x: &mut Exchange<'_>, session: &Session) {
        self.up.drop_rest();
        if !self.up.done {
            x.rest = Some(std::mem::replace(&mut self.up.body, Body::Length(0)));
        }
        self.reclaim(x, session);
    }
}

/// Passes the request on until the applet's response head is there.
async fn head(
    x: &mut Exchange<'_>,
    session: &Session,
    ways: &mut Ways,
    applet: &RefCell<Box<dyn Applet>>,
) -> Result<Length, Stop> {
    let (task, body) = (&session.task, Taken(applet));
    let Ways { up, due, .. } = ways;
    let response: &mut Head = &mut x.scratch.response;
    response.clear();
    let mut fresh = true;
    poll_fn(|cx| {
        let before = (up.reads, up.writes);
        if !up.done {
            match up.poll(cx, task, &session.conn, &body) {
                Poll::Ready(Ok(())) => applet.borrow_mut().request_ended(),
                Poll::Ready(Err(FlowError::Malformed(_) | FlowError::Filtered | FlowError::Spoiled)) => {
                    return Poll::Ready(Err(Stop::mute(b"LR", 400)));
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Stop::mute(b"LR", 400))),
                Poll::Pending => {}
            }
        } else if matches!(session.task.watch(&session.conn, cx), Seen::Broken) {
            return Poll::Ready(Err(Stop::mute(b"LR", 400)));
        }
        match applet.borrow_mut().poll_head(cx, response) {
            Poll::Ready(Ok(length)) => return Poll::Ready(Ok(length)),
            Poll::Ready(Err(_)) => return Poll::Ready(Err(Stop::new(b"LR", 502))),
            Poll::Pending => {}
        }
        if std::mem::take(&mut fresh) || before != (up.reads, up.writes) {
            due.renew(task, !up.done, false);
        }
        match task.poll_woken(cx) {
            None => Poll::Pending,
            Some(Woken::Aborted(why)) => Poll::Ready(Err(Stop::new(&[why.letter(), b'H'], 0))),
            Some(Woken::Late) => Poll::Ready(Err(Stop::new(b"LR", 408))),
        }
    })
    .await
}

/// The response's head is there: it is counted and captured, and rules see it.
async fn begin_response(
    x: &mut Exchange<'_>,
    session: &mut Session,
    length: Length,
    ruled: bool,
) -> Result<Length, Stop> {
    let chunked = length == Length::Pieces && x.scratch.request.version >= Version::HTTP_11;
    if chunked {
        x.scratch.response.push(b"transfer-encoding", b"chunked");
    }
    let info = Info { framing: framing(length), keep_alive: true, ..Info::default() };
    // the length that it has is written in its own field, which counts
    x.heads[1] = counted(&x.scratch.response, &Info { framing: Framing::None, ..info });
    x.facts.status = x.scratch.response.status.into();
    x.facts.server_link.status = x.scratch.response.status;
    if let Some(captures) = &x.front.captures {
        captures.response(&x.scratch.response, &mut x.facts);
        captures.response_cookie(&x.scratch.response, &mut x.facts);
    }
    let back = x.back.unwrap_or(x.front);
    if ruled {
        Box::pin(response_rules(x, session, back, None)).await?;
    } else {
        crate::http::answer::after_response(x, session, crate::http::stages::Contents::Unknown).await;
    }
    x.facts.status = x.scratch.response.status.into();
    match length {
        Length::Pieces if !chunked => Ok(Length::Close),
        length => Ok(length),
    }
}

fn framing(length: Length) -> Framing {
    match length {
        Length::Known(0) => Framing::None,
        Length::Known(n) => Framing::Length(n),
        Length::Pieces => Framing::Chunked,
        Length::Close => Framing::UntilClose,
    }
}

/// Passes the response on, to its last byte.
async fn respond(
    x: &mut Exchange<'_>,
    session: &mut Session,
    ways: &mut Ways,
    applet: &RefCell<Box<dyn Applet>>,
    length: Length,
) {
    let info = Info { framing: framing(length), keep_alive: true, ..Info::default() };
    x.keep &= length != Length::Close && !session.ends_kept();
    let early =
        x.logs_early().then(|| counted(&x.scratch.response, &Info { framing: Framing::None, ..info }));
    let streamed = session.conn.stream().is_some();
    let response = &mut x.scratch.response;
    let said = match info.framing {
        Framing::Chunked if streamed => Framing::Pieces,
        Framing::None => Framing::Length(0),
        framing => framing,
    };
    let silent = Silent::of_response(response.status, x.method);
    reframe(response, said, silent);
    if !streamed {
        x.keep = headers::to_client(&mut x.scratch.response, x.scratch.request.version, x.keep, &info);
    }
    let bodyless = x.method == Method::Head || matches!(x.scratch.response.status, 100..=199 | 204 | 304);
    let down = &mut ways.down;
    (down.body, down.chunked) = match length {
        _ if bodyless => (Body::Length(0), false),
        Length::Known(n) => (Body::Length(n), false),
        Length::Pieces => (Body::Pieces(false), !streamed),
        Length::Close => (Body::Pieces(false), false),
    };
    down.before = std::mem::take(&mut x.scratch.out);
    down.before.clear();
    client::head(session, &x.scratch.response, x.front.client_case.as_deref(), &mut down.before);
    if let Some(bytes) = early {
        log_now(x, session, bytes);
    }
    let output = Output::new(applet, &session.task.worker);
    if let Some(Failed { termination: failed, .. }) = pump(session, ways, applet, &output).await {
        if is_abort(failed[0]) {
            x.facts.termination[..2].copy_from_slice(&failed);
        }
        x.keep = false;
    }
    x.facts.bytes_down += ways.down.counted();
    x.scratch.out = std::mem::take(&mut ways.down.before);
    if ways.up.done { ways.reclaim(x, session) } else { ways.give_up(x, session) }
}

/// Moves both directions until both messages are over. Some: cause and phase of a failure.
async fn pump(
    session: &Session,
    ways: &mut Ways,
    applet: &RefCell<Box<dyn Applet>>,
    output: &Output<'_>,
) -> Option<Failed> {
    let (task, body) = (&session.task, Taken(applet));
    let Ways { up, down, due } = ways;
    let mut fresh = true;
    poll_fn(|cx| {
        let before = (up.reads, up.writes, down.reads, down.writes);
        if !down.done
            && let Poll::Ready(Err(e)) = down.poll(cx, task, output, &session.conn)
        {
            return Poll::Ready(Some(down_failure(&e)));
        }
        let phase = if down.done { b'L' } else { b'D' };
        if !up.done {
            match up.poll(cx, task, &session.conn, &body) {
                Poll::Ready(Ok(())) => applet.borrow_mut().request_ended(),
                Poll::Ready(Err(_)) => return Poll::Ready(Some(Failed::new([b'C', phase]))),
                Poll::Pending => {}
            }
        }
        // what is left of a request that is answered is nobody's; a stream of HTTP/2 ends with its both sides
        if down.done && (up.done || session.conn.stream().is_none()) {
            return Poll::Ready(None);
        }
        if up.done && matches!(session.task.watch(&session.conn, cx), Seen::Broken) {
            return Poll::Ready(Some(Failed::new(*b"CD")));
        }
        let gated = up.is_gated() || down.is_gated();
        if std::mem::take(&mut fresh) || gated || before != (up.reads, up.writes, down.reads, down.writes) {
            due.renew(task, down.is_writing() || !up.done, false);
        }
        wait(task, cx, due, phase)
    })
    .await
}
