//! The rule sets of a request and of its response, and what they may make of them.

use super::answering::Answering;
use super::body;
use super::exchange::{Exchange, Stop};
use crate::applet::{Ask, Chosen, Intercept};
use crate::plan::ProxyPlan;
use crate::reply::{ErrorPages, Pages};
use crate::rules::do_resolve::Remote;
use crate::rules::{BodyState, Cursor, Flow, RuleCx, Rules, Wait, run};
use crate::session::Session;
use crate::worker::{Woken, Worker};
use portcullis_sample::work::{self, Pending};
use portcullis_sample::{Direction, Payload};
use portcullis_transport::Millis;
use portcullis_transport::conn::Seen;
use portcullis_wire::h1::Framing;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

static NO_PAGES: std::sync::LazyLock<ErrorPages> = std::sync::LazyLock::new(ErrorPages::default);

impl<'p> Exchange<'p> {
    /// Error pages, the backend's first.
    #[must_use]
    pub fn pages(&self) -> Pages<'p> {
        Pages {
            backend: self.back.and_then(|b| b.pages.as_deref()),
            frontend: self.front.pages.as_deref().unwrap_or(&NO_PAGES),
        }
    }

    /// What rules run on now.
    pub fn rule_cx<'a>(
        &'a mut self,
        worker: &'a Worker,
        direction: Direction,
        last_call: bool,
    ) -> RuleCx<'a, 'p> {
        let pages = self.pages();
        let body = self.body_state();
        let response = direction == Direction::Response;
        let limit = self.plan.global.bufsize;
        let scratch = &mut *self.scratch;
        let bytes = body::plain(self.input.data(), self.info.framing, &mut scratch.body);
        RuleCx {
            facts: &mut self.facts,
            random: &worker.random,
            now: worker.clock.now(),
            wall: worker.clock.wall(),
            direction,
            request: Some(&mut scratch.request),
            response: if response { Some(&mut scratch.response) } else { None },
            line: Some(&scratch.line),
            head_pending: false,
            unread: None,
            request_bytes: Some(Payload { bytes, may_grow: !body.complete && !body.full }),
            response_bytes: None,
            inspecting: true,
            last_call,
            ext: crate::rules::internal::ext(self.plan),
            log: Some((worker, self.front)),
            pages,
            effects: &mut self.effects,
            filters: self.filters.as_deref(),
            limit,
            body,
        }
    }

    /// Is all of the request here?
    #[must_use]
    pub fn body_is_here(&self) -> bool {
        self.body_state().complete
    }

    /// How much of the request's body is here.
    pub fn body_state(&self) -> BodyState {
        body::state(&self.input, self.info.framing, self.whole)
    }
}

/// Runs a rule set to its end; waits where it has to. `delay`: `inspect-delay`.
///
/// # Errors
/// [`Stop`] when a rule ends the exchange.
pub async fn rules(
    x: &mut Exchange<'_>,
    session: &mut Session,
    set: &Rules,
    direction: Direction,
    delay: Option<std::time::Duration>,
) -> Result<(), Stop> {
    rules_on(x, session, set, direction, delay, Contents::Unknown).await
}

/// What rules see of a response's body.
pub enum Contents<'a, 's> {
    /// Nothing.
    Unknown,
    /// What a server has sent of it; it can be waited for.
    Server(&'a mut Answering<'s>),
    /// All of it.
    Whole(&'a [u8]),
}

impl<'a, 's> Contents<'a, 's> {
    /// That of this server, if there is one.
    #[must_use]
    pub fn of(server: Option<&'a mut Answering<'s>>) -> Self {
        server.map_or(Self::Unknown, Self::Server)
    }
    /// For one of several rule sets.
    #[must_use]
    pub fn again(&mut self) -> Contents<'_, 's> {
        match self {
            Self::Unknown => Contents::Unknown,
            Self::Server(server) => Contents::Server(server),
            Self::Whole(bytes) => Contents::Whole(bytes),
        }
    }
}

/// The same, with a response's body.
///
/// # Errors
/// [`Stop`] when a rule ends the exchange.
pub async fn rules_on(
    x: &mut Exchange<'_>,
    session: &mut Session,
    set: &Rules,
    direction: Direction,
    delay: Option<std::time::Duration>,
    mut body: Contents<'_, '_>,
) -> Result<(), Stop> {
    if set.is_empty() {
        return Ok(());
    }
    let worker = session.worker().clone();
    let mut cursor = Cursor::default();
    let give_up = match delay {
        Some(d) => worker.clock.now().after(Some(d)),
        None => Millis(0),
    };
    let mut last_call = false;
    loop {
        last_call |= worker.clock.now() >= give_up;
        let flow = {
            let mut cx = x.rule_cx(&worker, direction, last_call);
            match &mut body {
                Contents::Unknown => {}
                Contents::Server(server) => {
                    cx.body = server.state();
                    cx.response_bytes = Some(server.payload());
                }
                Contents::Whole(bytes) => cx.response_bytes = Some(Payload { bytes, may_grow: false }),
            }
            run(set, &mut cursor, &mut cx)
        };
        x.effects.client.apply(&session.conn);
        if x.effects.failed_rewrites != 0 {
            x.rewrites_failed(session, matches!(flow, Flow::Failed(_)));
        }
        send_hints(x, session).await?;
        let termination = flow.termination(direction);
        match flow {
            Flow::Done | Flow::Accept | Flow::SwitchMode(_) => return Ok(()),
            Flow::Wait(Wait::Until(t)) => wait(x, session, t, false).await?,
            Flow::Wait(Wait::Body(t, room)) => match &mut body {
                Contents::Server(server) => {
                    server.enlarge(room, &worker);
                    server.wait(session, t).await?;
                }
                _ => {
                    body::enlarge(&mut x.input, room, &worker);
                    wanted(x, session, t).await?;
                    x.received(&worker);
                }
            },
            Flow::Wait(Wait::Work(pending)) => pending.await,
            Flow::Wait(Wait::Turns(n)) => yield_turns(n).await,
            Flow::Wait(Wait::Remote) => remote(x.effects.remote.clone(), session).await?,
            Flow::Wait(Wait::Data) => {
                let state = match &mut body {
                    Contents::Server(server) => {
                        server.wait(session, give_up).await?;
                        server.state()
                    }
                    _ => {
                        wait(x, session, give_up, true).await?;
                        x.body_state()
                    }
                };
                last_call |= state.complete || state.full;
            }
            Flow::Tarpit(answer) => {
                x.denied(session, direction);
                x.look_at_cookies(&worker, false);
                if x.back.is_some() {
                    x.requested();
                }
                let t = &x.front.timeouts;
                let said = t.tarpit.filter(|t| !t.is_zero());
                let time = x.facts.timeout(crate::rules::Timeout::Tarpit).or(said).or(t.connect);
                let began = worker.clock.now();
                let until = began.after(time);
                let waited =
                    if until == Millis::NEVER { Ok(()) } else { wait(x, session, until, false).await };
                x.facts.timers.queue = super::exchange::ms(worker.clock.now().since(began));
                // who has gone, and who was ended: by an operator
                waited.map_err(|e| match e.termination[0] {
                    why @ (b'K' | b'D' | b'U') => Stop::new(&[why, b'T'], 0),
                    _ => Stop::new(b"CT", 0),
                })?;
                return Err(Stop::answer(*b"PT", *answer));
            }
            Flow::Service(service) => {
                x.requested();
                let plan = x.plan;
                let cx = x.rule_cx(&worker, direction, true);
                let applet = (service.begin)(&Ask { worker: &worker, plan, cx: &cx });
                return Err(Stop::applet(Chosen {
                    name: service.server,
                    ruled: true,
                    stands_in: false,
                    applet,
                }));
            }
            ended => {
                if direction == Direction::Request
                    && matches!(ended, Flow::Deny(_) | Flow::Return(_) | Flow::Redirect(_))
                {
                    x.requested();
                }
                match ended {
                    Flow::Deny(_) | Flow::Reject => x.denied(session, direction),
                    Flow::Return(_) | Flow::Redirect(_) => x.intercepted(session),
                    // of `normalize-uri`
                    Flow::Failed(ref a) if a.status == 400 => {
                        x.front.front.counters.of(session.worker().id.into()).failed_req.inc();
                    }
                    _ => {}
                }
                if matches!(ended, Flow::Deny(_)) && direction == Direction::Request {
                    x.look_at_cookies(&worker, false);
                }
                if matches!(ended, Flow::Reject)
                    && let Some(stream) = session.conn.stream().filter(|_| direction == Direction::Request)
                {
                    stream.reject();
                }
                let termination = termination.unwrap_or(*b"PR");
                return Err(match ended.into_answer() {
                    Some(answer) => Stop::answer(termination, answer),
                    None => Stop::new(&termination, 0),
                });
            }
        }
    }
}

/// Waits for what a rule asked somebody else for.
async fn remote(what: Option<Rc<Remote>>, session: &Session) -> Result<(), Stop> {
    let Some(what) = what else { return Ok(()) };
    session.task.deadline(Millis::NEVER);
    poll_fn(|cx| {
        if what.poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        match session.task.poll_woken(cx) {
            Some(Woken::Aborted(why)) => Poll::Ready(Err(Stop::new(&[why.letter(), b'R'], 0))),
            Some(Woken::Late) | None => Poll::Pending,
        }
    })
    .await
}

/// Lets an intercept of the proxy answer, if its own rules agree.
pub async fn intercept(x: &mut Exchange<'_>, session: &mut Session, by: &dyn Intercept) -> Stop {
    x.begin_applet(by.server());
    if let Err(stop) = rules(x, session, by.rules(), Direction::Request, None).await {
        return stop;
    }
    x.requested();
    let worker = session.worker().clone();
    let plan = x.plan;
    let cx = x.rule_cx(&worker, Direction::Request, true);
    match by.begin(&Ask { worker: &worker, plan, cx: &cx }) {
        Ok(applet) => Stop::applet(Chosen { name: by.server(), ruled: false, stands_in: false, applet }),
        Err(answer) => {
            x.intercepted(session);
            Stop::answer(*b"LR", *answer)
        }
    }
}

impl Exchange<'_> {
    /// An applet is this stream's server.
    pub fn begin_applet(&mut self, name: &'static str) {
        self.facts.server_name = name;
        (self.facts.timers.queue, self.facts.timers.connect) = (0, 0);
        if self.back.is_none() && self.front.state.is_some() {
            // both sides of a `listen`
            self.back = Some(self.front);
        }
    }

    /// Counts a request that its frontend answers.
    pub fn intercepted(&self, session: &Session) {
        if self.back.is_none_or(|b| b.index == self.front.index) {
            self.front.front.counters.of(session.worker().id.into()).intercepted.inc();
        }
    }

    /// Counts rewrites that failed, and what came of it.
    #[cold]
    fn rewrites_failed(&mut self, session: &Session, ended: bool) {
        let worker = usize::from(session.worker().id);
        let failed = u64::from(std::mem::take(&mut self.effects.failed_rewrites));
        macro_rules! count {
            ($counters:expr) => {
                $counters.failed_rewrites.add(failed);
                $counters.internal_errors.add(ended.into());
            };
        }
        count!(self.front.front.counters.of(worker));
        if let Some(back) = self.back.and_then(|b| b.state.as_ref()) {
            count!(back.counters.of(worker));
        }
        if let Some(server) = &self.server {
            count!(server.counters.of(worker));
        }
    }

    /// Counts a denial: in the frontend, its listener, and in the backend once there is one.
    pub(super) fn denied(&self, session: &Session, direction: Direction) {
        crate::outcome::denied(session, self.front, self.back, self.server.as_ref(), direction);
    }
}

/// Lets others have so many turns first.
pub async fn yield_turns(n: u8) {
    for _ in 0..n {
        tokio::task::yield_now().await;
    }
}

/// 103 responses that rules made go out at once.
async fn send_hints(x: &mut Exchange<'_>, session: &Session) -> Result<(), Stop> {
    for head in std::mem::take(&mut x.effects.hints) {
        session.task.deadline(session.task.worker.clock.now().after(x.front.timeouts.client));
        let sent = super::client::interim(session, &head, x.front.client_case.as_deref()).await;
        sent.map_err(|cause| Stop::mute(&[cause, b'R'], 0))?;
    }
    Ok(())
}

/// Waits until a time, or (`more`) until more of the body has come.
///
/// # Errors
/// When the client goes away.
pub async fn wait(x: &mut Exchange<'_>, session: &Session, until: Millis, more: bool) -> Result<(), Stop> {
    let task = &session.task;
    task.deadline(until);
    let (input, whole, pieces) = (&mut x.input, &mut x.whole, &(x.info.framing == Framing::Pieces));
    let had = input.len();
    poll_fn(|cx| {
        if more {
            if session.conn.poll_readable(cx).is_ready() {
                if input.capacity() == 0 {
                    *input = task.worker.buffers.take();
                }
                match session.conn.poll_recv(cx, input) {
                    Poll::Ready(Ok(0)) if *pieces => {
                        *whole = true;
                        return Poll::Ready(Ok(()));
                    }
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(Stop::new(b"CR", 400))),
                    Poll::Ready(Ok(_)) => {}
                    Poll::Pending => {}
                }
            }
            if input.len() != had {
                return Poll::Ready(Ok(()));
            }
        } else if matches!(session.task.watch(&session.conn, cx), Seen::Broken) {
            return Poll::Ready(Err(Stop::new(b"CR", 0)));
        }
        match task.poll_woken(cx) {
            Some(Woken::Aborted(why)) => Poll::Ready(Err(Stop::new(&[why.letter(), b'R'], 0))),
            Some(Woken::Late) => Poll::Ready(Ok(())),
            None => Poll::Pending,
        }
    })
    .await
}

/// The same for a body that is wanted before the request goes on: a client that waits is told so.
///
/// # Errors
/// When the client goes away.
async fn wanted(x: &mut Exchange<'_>, session: &Session, until: Millis) -> Result<(), Stop> {
    super::client::go_on(x, session).await.map_err(|cause| Stop::mute(&[cause, b'R'], 0))?;
    wait(x, session, until, true).await
}

/// Takes what has come of the body of a stream's request, as far as the buffer takes it, without waiting.
pub async fn take_body(x: &mut Exchange<'_>, session: &Session) {
    if x.input.capacity() == 0 {
        x.input = session.task.worker.buffers.take();
    }
    let pieces = x.info.framing == Framing::Pieces;
    let (input, whole) = (&mut x.input, &mut x.whole);
    poll_fn(|cx| {
        loop {
            match session.conn.poll_recv(cx, input) {
                Poll::Ready(Ok(n)) if n > 0 => {}
                Poll::Ready(Ok(_)) => {
                    *whole = pieces;
                    return Poll::Ready(());
                }
                // an error is there again when somebody waits for more
                Poll::Ready(Err(_)) | Poll::Pending => return Poll::Ready(()),
            }
        }
    })
    .await;
}

/// `option http-buffer-request`: waits for the whole body, or as much as the buffer takes.
///
/// # Errors
/// 408 when it does not come in time.
pub async fn buffer_body(x: &mut Exchange<'_>, session: &Session) -> Result<(), Stop> {
    let t = &x.front.timeouts;
    let whole = t.http_request.map(|_| x.began.after(t.http_request));
    let mut was_there = true;
    loop {
        let state = x.body_state();
        if state.complete || state.full {
            if !was_there {
                x.received(session.worker());
            }
            return Ok(());
        }
        was_there = false;
        let now = session.task.worker.clock.now();
        let until = whole.unwrap_or(Millis::NEVER).min(now.after(t.client));
        let had = x.input.len();
        let waited = wanted(x, session, until).await;
        let late = x.input.len() == had && session.task.worker.clock.now() >= until;
        if late && waited.is_ok() {
            return Err(Stop::new(b"cR", 408));
        }
        if let Err(stop) = waited {
            if stop.termination != *b"CR" {
                return Err(stop);
            }
            // the request ends when its backend is known
            x.cut = true;
            return Ok(());
        }
    }
}

/// Which backend the request goes to; or what must be waited for before it is asked again.
pub fn route<'p>(x: &mut Exchange<'p>, worker: &Worker) -> (Option<&'p ProxyPlan>, Option<Pending>) {
    let (plan, front) = (x.plan, x.front);
    if front.rules.is_none()
        && let Some(back) = front.default_backend.and_then(|at| plan.proxies.get(at))
        && !back.disabled
        && !back.state.as_ref().is_some_and(|s| s.is_unpublished())
    {
        return (Some(back), None);
    }
    let slow = front.rules.as_deref().is_some_and(|sets| sets.use_backend.slow);
    let cx = x.rule_cx(worker, Direction::Request, true);
    let scope = cx.scope();
    let choose = || crate::rules::route::backend(plan, front, &scope).map(|back| &**back);
    if slow { work::waiting(choose) } else { (choose(), None) }
}

/// An empty buffer in place of one that is not needed while waiting.
pub fn release(x: &mut Exchange<'_>, worker: &Worker) {
    if x.input.is_empty() {
        worker.buffers.give(std::mem::take(&mut x.input));
    }
}
