//! One request and its response: the whole story, in order.

use super::body::Body;
use super::transfer::{self, Transfer};
use super::{After, Scratch, answer, drain, filters, headers, request, stages};
use crate::applet::Chosen;
use crate::broken;
use crate::filter::{Chain, Point, Stage};
use crate::outcome::{self, Steps, When};
use crate::own;
use crate::persist::Visit;
use crate::plan::{Plan, ProxyPlan};
use crate::reply::Answer;
use crate::rules::{Effects, RuleSets, monitor_answer};
use crate::session::Session;
use crate::traced::{self, Side};
use crate::upstream::{ClientEnd, Established, Failed, Failure, Late, Upgrades, Wish, establish};
use portcullis_backend::{Next, RetryPolicy, retry};
use portcullis_config::{ConnectionMode, Mode, Opts, RetryOn};
use portcullis_message::{Head, HeaderId, Method};
use portcullis_sample::ends::{Ends, Gone};
use portcullis_sample::format::Needs;
use portcullis_sample::{Direction, Facts, Message};
use portcullis_telemetry::trace::{Level, events};
use portcullis_transport::h2::Stream;
use portcullis_transport::{Buffer, Millis};
use portcullis_wire::h1::Info;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// Why an exchange ends before a response of a server was passed on.
pub struct Stop {
    /// Cause and phase.
    pub termination: [u8; 2],
    /// What the client is told; 0: nothing.
    pub status: u16,
    /// There is a log line.
    pub logged: bool,
    /// The client is told. It is not where its connection or its request's body is broken; the status is logged then.
    pub told: bool,
    /// What a rule wants answered instead of an error page.
    pub given: Option<Box<Given>>,
}

/// What answers instead of a server.
pub enum Given {
    /// This, as it is.
    Answer(Answer),
    /// An applet.
    Applet(Chosen),
}

impl Stop {
    /// A stop that is told and logged.
    #[must_use]
    pub fn new(termination: &[u8; 2], status: u16) -> Self {
        Self { termination: *termination, status, logged: true, told: status != 0, given: None }
    }
    /// A stop that nobody hears of: probes, idle connections that end.
    #[must_use]
    pub fn silent() -> Self {
        Self { logged: false, ..Self::new(b"--", 0) }
    }
    /// A stop that is logged only.
    #[must_use]
    pub fn mute(termination: &[u8; 2], status: u16) -> Self {
        Self { told: false, ..Self::new(termination, status) }
    }
    /// A stop with an answer of a rule.
    #[must_use]
    pub fn answer(termination: [u8; 2], answer: Answer) -> Self {
        let status = answer.head.status;
        let given = Some(Box::new(Given::Answer(answer)));
        Self { termination, status, logged: true, told: true, given }
    }
    /// A stop with an applet that goes on in a server's place.
    #[must_use]
    pub fn applet(chosen: Chosen) -> Self {
        Self { given: Some(Box::new(Given::Applet(chosen))), told: true, ..Self::new(b"LR", 0) }
    }
}

/// What an exchange knows and holds.
pub struct Exchange<'p> {
    /// The newest plan when it began.
    pub plan: &'p Rc<Arc<Plan>>,
    /// Servers that its plan does not know.
    pub late: &'p Late,
    /// The frontend.
    pub front: &'p ProxyPlan,
    /// The backend, once chosen.
    pub back: Option<&'p ProxyPlan>,
    /// What log, counters and rules read.
    pub facts: Facts<'p>,
    /// Heads and the like.
    pub scratch: Box<Scratch>,
    /// Bytes from the client.
    pub input: Buffer,
    /// What the request's head says.
    pub info: Info,
    /// The request's method as received.
    pub method: Method,
    /// When the first byte of the request came.
    pub began: Millis,
    /// When its head was complete.
    pub request_at: Millis,
    /// The client's connection may stay after this.
    pub keep: bool,
    /// Its server, once chosen.
    pub server: Option<Arc<portcullis_backend::ServerState>>,
    /// What rules have left behind.
    pub effects: Effects,
    /// The filters, if frontend or backend have some.
    pub filters: Option<Rc<RefCell<Chain>>>,
    /// The request's head is complete and valid.
    pub valid: bool,
    /// Answered by the monitor, which nobody shall hear of.
    pub unlogged: bool,
    /// Nothing of the request's body is left to come.
    pub body_done: bool,
    /// The client left in its body.
    pub cut: bool,
    /// What is left of a body that was forwarded in part.
    pub rest: Option<Body>,
    /// A rule wants the server's connection closed.
    pub server_close: bool,
    /// What the request's persistence cookie said, where its backend has one.
    pub visit: Option<Box<Visit>>,
    /// The end of a body in pieces was seen: all of it is in `input`.
    pub whole: bool,
    /// The connection speaks HTTP/2: `input` is the beginning of that.
    pub upgraded: bool,
    /// What was here behind the request's head before it was sent, to be sent again (`retry-on`).
    pub replay: Option<Box<[u8]>>,
    /// Bytes of the heads, up and down: they count when the exchange is over, so that rules do not see them.
    pub heads: [u64; 2],
}

/// Serves one request.
pub async fn exchange(session: &mut Session, rest: Option<Buffer>) -> After {
    let worker = session.worker().clone();
    session.renew();
    let plan = session.plan.clone();
    let late = Late::default();
    let front: &ProxyPlan = &plan.proxies[session.listener.frontend];
    session.requests += 1;
    portcullis_sample::account::begin();
    let (scratch, info) = match session.take_begun() {
        None => (worker.scratch.borrow_mut().pop().unwrap_or_default(), Info::default()),
        Some(begun) => begun.parts(),
    };
    let mut x = Exchange {
        plan: &plan,
        late: &late,
        front,
        back: None,
        facts: Facts::new(),
        scratch,
        input: rest.unwrap_or_default(),
        info,
        method: Method::Other,
        began: worker.clock.now(),
        request_at: Millis(0),
        keep: true,
        server: None,
        effects: Effects::default(),
        filters: None,
        valid: false,
        unlogged: false,
        body_done: false,
        cut: false,
        rest: None,
        server_close: false,
        visit: None,
        whole: false,
        upgraded: false,
        replay: None,
        heads: [0; 2],
    };
    outcome::begin(&mut x.facts, session, front, true);
    x.facts.timers.idle = ms(x.began.since(session.idle_since));
    if front.wants_destination {
        x.facts.frontend = session.destination();
    }
    let mut held = None;
    if let Err(stop) = story(&mut x, session, &mut held).await {
        Box::pin(refuse(&mut x, session, stop)).await;
    }
    drop(held);
    if let Some(chain) = x.filters.take() {
        chain.borrow_mut().stop(&worker);
    }
    session.vars.take_from(&x.facts.vars.session);
    crate::explain::over(&x.facts);
    let (keep, rest) = (x.keep, x.unwanted_rest());
    match (finish(&mut x, session, rest.is_some()), rest) {
        (After::Keep(input), Some(body)) => {
            Box::pin(drain::drain(session, body, input.unwrap_or_default(), keep)).await
        }
        (after, _) => after,
    }
}

/// From the request's head to the response's last byte.
async fn story<'p>(
    x: &mut Exchange<'p>,
    session: &mut Session,
    held: &mut Option<portcullis_telemetry::gauge::Held>,
) -> Result<(), Stop> {
    request::read(x, session).await?;
    crate::explain::received(&x.scratch.request, x.front);
    let stream = crate::worker::slots::Stream {
        plan: x.plan.clone(),
        began: x.began,
        frontend: x.front.index as u32,
        backend: None,
        server: None,
        request: session.requests,
    };
    session.worker().slots.set_stream(session.task.slot, Some(stream));
    traced::stream(x, session, events::stream::STRM_NEW, Level::State, "new stream");
    crate::debug::request(session, x.front, &x.scratch.request);
    x.body_done = x.info.framing == portcullis_wire::h1::Framing::None;
    x.valid = true;
    if let Some(otel) = x.front.otel.as_deref().filter(|_| !crate::explain::on()) {
        let (worker, began) = (session.worker(), x.began);
        let since = worker.clock.now().since(began);
        otel.request(&mut x.facts, &x.scratch.request, (worker.clock.wall(), since));
    }
    if x.front.formats.when == When::Begin {
        outcome::log_before_the_end(&mut x.facts, session, x.front, None);
    }
    x.expect_cookies(x.front);
    crate::session::accepted(session, x.front);
    x.heads[0] = x.counted_request();
    x.facts.unique_id_format = x.front.unique_id_format();
    if let Some(captures) = &x.front.captures {
        captures.begin(&mut x.facts);
        captures.request(&x.scratch.request, &mut x.facts);
    }
    if x.front.monitor_uri.as_ref().is_some_and(|uri| is_monitored(uri.as_bytes(), &x.scratch.request)) {
        return Err(monitor(x, session));
    }
    if x.front.has(Opts::HTTP_BUFFER_REQUEST) {
        Box::pin(stages::buffer_body(x, session)).await?;
    }
    if let Some(set) = &x.front.filters {
        filters::begin(x, session, set);
    }
    let ruled = x.front.has_request_rules();
    if ruled || x.filters.is_some() {
        Box::pin(request_rules(x, session, x.front, Stage::Frontend)).await?;
    }
    if !ruled {
        x.step(session, Steps::REQUEST);
    }
    if let Err(stop) = headers::restrict(x, x.front) {
        x.requested();
        return Err(stop);
    }
    filters::tell(x, session, Point::Before(Stage::Switching));
    let (mut chosen, mut pending) = stages::route(x, session.worker());
    while let Some(work) = pending {
        Box::pin(work).await;
        (chosen, pending) = stages::route(x, session.worker());
    }
    let back = routed(x, session, chosen)?;
    traced::stream(x, session, events::stream::HTTP_ANA, Level::User, "request routed to its backend");
    if x.filters.is_some() || back.filters.is_some() {
        filters::routed(x, session, back);
    }
    *held = back.state.as_ref().map(|s| outcome::routed(s, session.worker(), true));
    x.facts.beconn = held.as_ref().map_or(0, |h| h.gauge().get());
    session.worker().slots.set_server(session.task.slot, back.index, None);
    if x.cut {
        x.requested();
        return Err(Stop::mute(b"CR", 400));
    }
    if back.index != x.front.index {
        if back.has(Opts::HTTP_BUFFER_REQUEST) {
            Box::pin(stages::buffer_body(x, session)).await?;
        }
        if x.cut {
            x.requested();
            return Err(Stop::mute(b"CR", 400));
        }
        if back.has_request_rules() || x.filters.is_some() {
            Box::pin(request_rules(x, session, back, Stage::Backend)).await?;
        }
    }
    proxy(x, session, back).await
}

/// One that begins with a slash is compared with the path, so that it is found in an absolute target too.
fn is_monitored(uri: &[u8], request: &Head) -> bool {
    let target = request.target();
    uri == target || (uri.first() == Some(&b'/') && uri == portcullis_message::uri::pathq(target))
}

/// `monitor-uri`: answered here, not logged.
fn monitor(x: &mut Exchange<'_>, session: &Session) -> Stop {
    let worker = session.worker().clone();
    let sets = x.front.rules.clone();
    let guards = sets.as_deref().map_or(&[][..], |s| &s.monitor_fail);
    let cx = x.rule_cx(&worker, Direction::Request, true);
    let answer = monitor_answer(guards, &cx);
    x.unlogged = true;
    Stop::answer(*b"PR", answer)
}

/// The rule sets of one proxy that look at the request.
async fn request_rules(
    x: &mut Exchange<'_>,
    session: &mut Session,
    of: &ProxyPlan,
    stage: Stage,
) -> Result<(), Stop> {
    filters::ask(x, session, Direction::Request, Some(Point::Before(stage))).await?;
    if let Some(sets) = of.rules.as_ref().filter(|s| s.on_request()) {
        let what = match stage {
            Stage::Frontend => "evaluating the frontend's rules on the request",
            _ => "evaluating the backend's rules on the request",
        };
        traced::stream(x, session, events::stream::HTTP_ANA, Level::State, what);
        rule_sets(x, session, of, sets).await?;
    }
    filters::ask(x, session, Direction::Request, Some(Point::After(stage))).await
}

async fn rule_sets(
    x: &mut Exchange<'_>,
    session: &mut Session,
    of: &ProxyPlan,
    sets: &RuleSets,
) -> Result<(), Stop> {
    let content = stages::rules(x, session, &sets.tcp_request, Direction::Request, sets.request_delay).await;
    if let Err(stop) = &content
        && of.index == x.front.index
    {
        // for the log there was no request then
        x.scratch.line.clear();
        if stop.status == 0 {
            x.front.front.counters.of(session.worker().id.into()).http_other.inc();
        }
    }
    content?;
    if of.index == x.front.index {
        if of.has_content_rules() {
            request::count(x, session);
        }
        x.step(session, Steps::REQUEST);
    }
    if of.mode != Mode::Http {
        return Ok(());
    }
    stages::rules(x, session, &sets.http_request, Direction::Request, None).await?;
    if let Some(intercept) = sets.intercept.as_ref().filter(|i| i.wants(&x.scratch.request)) {
        return Err(stages::intercept(x, session, &**intercept).await);
    }
    stages::rules(x, session, &sets.redirect, Direction::Request, None).await
}

/// Milliseconds as timers hold them.
#[must_use]
pub fn ms(n: u64) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

/// Goes to the backend that was chosen.
fn routed<'p>(
    x: &mut Exchange<'p>,
    session: &Session,
    chosen: Option<&'p ProxyPlan>,
) -> Result<&'p ProxyPlan, Stop> {
    match chosen {
        Some(back) => {
            x.back = Some(back);
            x.facts.backend_name = &back.name;
            x.facts.backend_id = back.id;
            if back.wants_destination && x.facts.frontend.is_none() {
                x.facts.frontend = session.destination();
            }
            if back.mode != Mode::Http {
                // of a frontend in mode tcp whose connection speaks HTTP
                return Err(Stop::new(b"IR", 500));
            }
            x.begin_visit(back, session.worker());
            Ok(back)
        }
        None => Err(Stop::new(b"SC", 503)),
    }
}

/// Takes the request to a server and the response back.
async fn proxy<'p>(x: &mut Exchange<'p>, session: &mut Session, back: &'p ProxyPlan) -> Result<(), Stop> {
    let worker = session.worker().clone();
    if x.facts.unique_id_format.is_some() {
        // who has not asked for it gets it as it is now
        let _ = x.rule_cx(&worker, Direction::Request, true).scope().unique_id();
    }
    x.requested();
    headers::to_server(x, session, back)?;
    if x.filters.is_some() {
        Box::pin(filters::ask(x, session, Direction::Request, None)).await?;
    }
    let first = session.requests == 1;
    x.keep_for_retries(session, back).await;
    let hash = match &back.key {
        Some(key) => {
            if key.wants_body(&x.scratch.request) {
                Box::pin(stages::buffer_body(x, session)).await?;
            }
            key.hash(&x.rule_cx(&worker, Direction::Request, true).scope())
        }
        None => None,
    };
    let mut stay = match &back.rules {
        Some(_) => back.use_server(&x.rule_cx(&worker, Direction::Request, true).scope()),
        None => None,
    };
    if back.cookie.is_some() || x.front.captures.is_some() {
        x.look_at_cookies(&worker, stay.is_some());
    }
    let (mut forced, mut pinned) = (false, false);
    if stay.is_none()
        && let Some((server, down, no_other)) = x.cookie_server(back)
    {
        (forced, pinned) = (down, no_other);
        stay = Some(server);
    }
    let mut persistent = stay.is_some();
    if let Some(own) = &session.own {
        let mut own = own.borrow();
        own.tidy(&mut worker.idle.borrow_mut());
        stay = stay.or_else(|| own.preferred(back));
    }
    let (mut avoid, mut began) = (None, None);
    let owner = session.owner();
    loop {
        let found = {
            let mut wish = Wish {
                client: &session.conn,
                client_end: match back.has(Opts::ABORTONCLOSE) || session.conn.stream().is_some() {
                    true => ClientEnd::GiveUp,
                    false => ClientEnd::Ignored,
                },
                reuse: Some(first && !back.retry_on.hides_lost_connections()),
                own: session.own.as_ref(),
                request: Message::Here(&x.scratch.request),
                session: owner,
                upgrades: match (x.info.websocket, x.info.upgrade) {
                    (true, _) => Upgrades::WebSocket,
                    (false, true) => Upgrades::Other,
                    (false, false) => Upgrades::Nothing,
                },
                side: x.facts.side,
                wants_source: x.front.formats.needs.contains(Needs::SERVER_SOURCE),
                early: x.may_be_early(back),
                avoid: avoid.take(),
                hash,
                persistent,
                forced,
                pinned,
                redirects: x.may_redirect(),
                stay: stay.take(),
                began,
            };
            let found = establish(&session.task, (back, x.late), &mut x.facts, &mut wish).await;
            began = wish.began;
            persistent = wish.persistent;
            found
        };
        let Established { upstream, slot, server, reused } = arrived(x, back, found, persistent)?;
        x.facts.srvconn = slot.server().sessions.get();
        x.server = Some(slot.server().clone());
        let what = if reused { "using an idle connection to the server" } else { "connected to the server" };
        traced::stream(x, session, events::stream::SC_STATE, Level::State, what);
        outcome::reached(slot.server(), &worker);
        x.step(session, Steps::CONNECT);
        worker.slots.set_server(session.task.slot, back.index, Some(slot.server().slot));
        let mut t = Transfer::new(x, &worker, (back, server), upstream);
        if let Some(chain) = &x.filters {
            t.filter(chain, &session.task);
        } else if !x.info.upgrade {
            t.splice(session, x.front, back);
        }
        let ended = transfer::run(x, session, back, &mut t, reused).await;
        x.facts.server_link.rst_code = t.upstream.conn.stream().and_then(Stream::rst_code);
        if x.facts.server_link.error == Some(0) {
            x.facts.server_link.error = Some(broken::of(&t.upstream.conn, x.facts.backend_tls.as_deref()));
        }
        x.facts.server_link.forget(x.front.formats.needs);
        x.facts.ends.server_stays = matches!(ended, transfer::Ended::Done(true));
        if matches!(ended, transfer::Ended::Done(_)) && session.conn.stream().is_none() {
            let what = events::h1::TX_EOI;
            traced::h1(x, session, Side::Front, what, Level::User, "H1 response fully xferred");
        }
        let mut idle = worker.idle.borrow_mut();
        match ended {
            transfer::Ended::Done(true) => {
                let asks = own::asks_for_connection(&x.scratch.response);
                let private = asks
                    || t.upstream.own
                    || back.reuse == portcullis_config::Reuse::Never
                    || !server.shareable();
                let key = t.upstream.key;
                let Some(mut upstream) = idle.last_of(t.upstream) else { return Ok(()) };
                if !private {
                    idle.put(upstream, key, false, server, worker.clock.now());
                    return Ok(());
                }
                let mut own = session.own.get_or_insert_default().borrow();
                if !own.has_room(x.front.max_session_srv_conns) {
                    idle.give_up(upstream);
                    return Ok(());
                }
                upstream.own = true;
                if let Some(handle) = idle.put(upstream, key, true, server, worker.clock.now()) {
                    own.put(slot.server(), handle);
                }
                if asks {
                    own.bind();
                }
                return Ok(());
            }
            transfer::Ended::Done(false) => {
                idle.close(t.upstream);
                return Ok(());
            }
            transfer::Ended::Again => {
                idle.close(t.upstream);
                // what ended this attempt says nothing of the next, which may find no connection
                x.facts.server_link.rst_code = None;
                let failed = slot.server().clone();
                back.counters(worker.id).retries.inc();
                failed.counters.of(worker.id.into()).retries.inc();
                match x.next_attempt(back) {
                    Next::Redispatch if !pinned => {
                        avoid = Some((failed, Failed::Later));
                        persistent = false;
                    }
                    _ => stay = Some(failed),
                }
                x.facts.retries += 1;
            }
            transfer::Ended::Stopped(stop) => {
                idle.close(t.upstream);
                return Err(stop);
            }
        }
    }
}

/// There is a server, or the reason why there is none. A plain function, so that what it takes is not kept in the future.
fn arrived<'p>(
    x: &mut Exchange<'p>,
    back: &ProxyPlan,
    found: Result<Established<'p>, Failure>,
    persistent: bool,
) -> Result<Established<'p>, Stop> {
    if crate::explain::on()
        && let Err(f) = &found
        && f.termination != *b"LC"
    {
        return Err(stand_in(x, back, f));
    }
    if x.visit.is_some() {
        match &found {
            Ok(found) => x.arrived_at(Some(found.slot.server())),
            Err(_) if !persistent => x.arrived_at(None),
            Err(_) => {}
        }
    }
    match found {
        Ok(found) => Ok(found),
        Err(f) if f.termination == *b"LC" => Err(x.redirected(back)),
        Err(f) => Err(Stop::new(&f.termination, f.status)),
    }
}

/// An applet answers in the place of the server that was chosen, if one was, of a request that is being explained.
#[cold]
fn stand_in(x: &mut Exchange<'_>, back: &ProxyPlan, found: &Failure) -> Stop {
    let chosen = back.servers.iter().find(|s| found.termination == *b"--" && s.id == x.facts.server_id);
    if let Some(server) = chosen {
        x.arrived_at(Some(&server.state));
        x.server = Some(server.state.clone());
    }
    Stop::applet(crate::explain::server(&x.scratch.request, &back.name))
}

/// Tells the client why there is no response of a server, or lets an applet answer in its place.
async fn refuse(x: &mut Exchange<'_>, session: &mut Session, mut stop: Stop) {
    if x.upgraded {
        x.unlogged = true;
        return;
    }
    if let Some(Given::Applet(_)) = stop.given.as_deref() {
        let Some(Given::Applet(chosen)) = stop.given.take().map(|g| *g) else { return };
        match Box::pin(transfer::applet::run(x, session, chosen)).await {
            Ok(()) => return,
            Err(instead) => stop = instead,
        }
    }
    if x.valid && x.server.is_none() && !x.body_done {
        x.heads[0] += x.body_state().received;
    }
    let from_tcp = x.front.mode != Mode::Http && !x.valid;
    let termination = if from_tcp { *b"PR" } else { stop.termination };
    x.facts.termination[..2].copy_from_slice(&termination);
    x.unlogged |= !stop.logged;
    if !stop.told {
        if let Some(stream) = session.conn.stream().filter(|_| !stop.logged) {
            stream.refuse();
        }
        x.keep = false;
        x.facts.status = if stop.status == 0 { x.facts.status } else { stop.status.into() };
        return;
    }
    match (stop.given.map(|g| *g), stop.status) {
        (Some(Given::Answer(given)), _) => answer::send(x, session, given).await,
        (_, status) if !x.valid => answer::send_early(x, session, status).await,
        (_, status) => {
            let worker = session.worker().clone();
            let pages = x.pages();
            x.facts.status = status.into();
            let page = pages.answer(status, &x.rule_cx(&worker, Direction::Request, true).scope());
            answer::send(x, session, page).await;
        }
    }
}

/// The end: timers, counters, log; what can be used again goes back.
fn finish(x: &mut Exchange<'_>, session: &mut Session, drains: bool) -> After {
    let worker = session.worker().clone();
    let keep = x.keep || x.upgraded;
    let streamed = session.conn.stream().is_some();
    x.facts.client_link.rst_code = session.conn.stream().and_then(Stream::rst_code);
    x.facts.client_link.error = broken::of(&session.conn, x.facts.frontend_tls.as_deref());
    if x.front.formats.needs.contains(Needs::ENDS) {
        x.note_ends(keep);
    }
    let lingers = !x.front.has(Opts::NOLINGER) || !session.conn.is_over();
    if !keep && !streamed && lingers && (session.conn.is_registered() || x.front.has(Opts::NOLINGER)) {
        // at once: the client may send its next request before the connection is closed, which resets it then
        session.conn.finish();
    }
    x.facts.bytes_up += x.heads[0];
    x.facts.bytes_down += x.heads[1];
    if !x.unlogged {
        let now = worker.clock.now();
        let t = &mut x.facts.timers;
        t.active = ms(now.since(x.began));
        t.total = ms(now.since(if session.requests > 1 { session.idle_since } else { session.accepted }));
        t.user = t.total - t.idle;
        if t.response >= 0 {
            t.data = t.active
                - [t.request, t.queue, t.connect, t.response].iter().map(|n| (*n).max(0)).sum::<i32>();
        }
        x.facts.stream = x.valid;
        let heads = outcome::Heads::of(&x.scratch, x.effects.log_level);
        outcome::finish(&mut x.facts, session, x.front, x.back, x.server.as_deref(), Some(&heads));
        traced::over(&x.facts, session, x.front, x.back);
    }
    if !streamed && x.valid {
        traced::h1(x, session, Side::Front, events::h1::H1S_END, Level::State, "H1 stream ended");
    }
    let mut scratch = std::mem::take(&mut x.scratch);
    // what the next one logs before it has a head is not this one's
    scratch.request.clear();
    scratch.response.clear();
    scratch.line.clear();
    scratch.out.clear();
    // few requests have a chunked body that rules look at
    scratch.body = Vec::new();
    let mut spares = worker.scratch.borrow_mut();
    if spares.len() < 256 {
        spares.push(scratch);
    }
    drop(spares);
    let input = std::mem::take(&mut x.input);
    if streamed {
        worker.buffers.give(input);
        return After::Close;
    }
    if x.upgraded {
        return After::Http2(input);
    }
    if !keep && !drains {
        if x.front.has(Opts::NOLINGER) {
            session.conn.reset_on_close();
        } else {
            // what is left unread would make a reset of the close, and the client might lose the answer
            let surely = !x.body_done || !x.valid;
            if surely || x.info.keep_alive {
                session.conn.discard_input(surely);
            }
        }
        worker.buffers.give(input);
        return After::Close;
    }
    if input.is_empty() {
        worker.buffers.give(input);
        return After::Keep(None);
    }
    After::Keep(Some(input))
}

impl Exchange<'_> {
    /// A step of `log-steps` is reached.
    #[inline]
    pub fn step(&self, session: &Session, step: Steps) {
        self.step_behind(session, step, 0);
    }
    /// The same, with so many bytes of a response's body here.
    #[inline]
    pub fn step_behind(&self, session: &Session, step: Steps, body: usize) {
        if self.front.formats.steps.is_some_and(|s| s.contains(step)) {
            let heads = outcome::Heads::of(&self.scratch, self.effects.log_level);
            let down = if step == Steps::RESPONSE { self.heads[1] + body as u64 } else { 0 };
            outcome::step(&self.facts, down, session, self.front, Some(&heads), step);
        }
    }
    /// The request was taken: its rules have run, or one of them has answered it. `TR` is known from now on.
    pub fn requested(&mut self) {
        self.facts.timers.request = ms(self.request_at.since(self.began));
    }
    /// What the request's head counts in `%U`: HAProxy counts it as its blocks, not as bytes of the wire.
    #[must_use]
    pub fn counted_request(&self) -> u64 {
        let head = &self.scratch.request;
        let line = 21 + head.method().len() + head.target().len() + 8;
        let kept = head.fields().filter(|f| f.id != HeaderId::Connection || self.info.upgrade);
        (line + kept.map(|f| f.name.len() + f.value.len()).sum::<usize>()) as u64
    }
    /// Bytes so far, up and down.
    #[must_use]
    pub fn moved(&self) -> (u64, u64) {
        (self.facts.bytes_up + self.heads[0], self.facts.bytes_down + self.heads[1])
    }
    /// Notes how it has ended, while its client's connection is still open.
    fn note_ends(&mut self, keep: bool) {
        let (facts, ends) = (&self.facts, &self.facts.ends);
        let cause = facts.termination[0];
        // what nobody has looked for has not been seen
        let unseen = keep && matches!(cause, b'-' | b'L' | b'P');
        let client = if unseen { Gone::No } else { facts.client_link.socket.gone() };
        self.facts.ends = Ends {
            over: true,
            client,
            // one that was too late is closed behind its line
            client_stays: keep && client == Gone::No || cause == b'c',
            cut: if self.valid { !self.body_done } else { !self.input.is_empty() },
            ..*ends
        };
    }
    /// `retries`, or what `set-retries` said.
    fn retries(&self, back: &ProxyPlan) -> u32 {
        self.facts.side.retries.unwrap_or(back.retries)
    }
    /// `retry-on`: keeps the request, if all of it is here.
    async fn keep_for_retries(&mut self, session: &Session, back: &ProxyPlan) {
        if !back.retry_on.wants_requests() || self.effects.no_l7_retry {
            return;
        }
        if !self.body_is_here() && session.conn.stream().is_some() {
            Box::pin(stages::take_body(self, session)).await;
        }
        if self.body_is_here() {
            self.replay = Some(self.input.data().into());
        }
    }
    /// What was waited for of the body is here: that took a part of the time of the request (`TR`).
    pub fn received(&mut self, worker: &crate::worker::Worker) {
        self.request_at = worker.clock.now();
        if self.facts.timers.request >= 0 {
            self.requested();
        }
    }

    /// May it be sent before a server's handshake is done (`allow-0rtt`)? If it has come so itself, or would be sent again.
    fn may_be_early(&self, back: &ProxyPlan) -> bool {
        self.facts.frontend_tls.as_ref().is_some_and(|i| i.is_early())
            || (self.replay.is_some() && back.retry_on.has(RetryOn::REJECTED_0RTT))
    }
    /// May the request be sent again after this failure?
    #[must_use]
    pub fn may_retry(&self, back: &ProxyPlan, failure: RetryOn) -> bool {
        self.replay.is_some() && back.retry_on.has(failure) && self.facts.retries < self.retries(back)
    }
    /// May a request that its server has not looked at be sent again (RFC 9113 section 8.7)? `untouched`: all that was here
    /// of its body still is.
    #[must_use]
    pub fn may_repeat(&self, back: &ProxyPlan, untouched: bool) -> bool {
        let whole =
            self.info.framing == portcullis_wire::h1::Framing::None || untouched || self.replay.is_some();
        whole && self.facts.retries < self.retries(back)
    }
    /// Which server is next.
    fn next_attempt(&self, back: &ProxyPlan) -> Next {
        let rotates = back.state.as_ref().is_some_and(|s| s.rotates());
        let policy = RetryPolicy { retries: self.retries(back), ..back.retry };
        let persistent = self.visit.as_ref().is_some_and(|v| v.server.is_some());
        retry::decide(&policy, retry::Attempt { done: self.facts.retries, persistent, rotates })
    }
    /// The request's body as it comes from the client.
    #[must_use]
    pub fn body(&self) -> Body {
        Body::new(self.info.framing)
    }
    /// What is left of the request's body, for the client to be rid of before the next request, or before its connection is
    /// closed behind an answer that is not the server's: closing it earlier would reset it, and the answer might be lost.
    fn unwanted_rest(&mut self) -> Option<Body> {
        if self.body_done || self.upgraded {
            return None;
        }
        let answered = self.valid
            && !self.front.has(Opts::NOLINGER)
            && (self.rest.is_some() || self.server.is_none())
            && self.method != Method::Connect
            && matches!(self.facts.termination[0], b'-' | b'P' | b'S' | b'L');
        (self.keep || answered).then(|| self.rest.take().unwrap_or_else(|| self.body()))
    }
    /// Will the client's connection be closed behind what is sent last, in good order?
    #[must_use]
    pub fn closes(&self) -> bool {
        !self.keep && !self.front.has(Opts::NOLINGER)
    }
    /// Is its log line written when the response's head is there?
    #[must_use]
    pub fn logs_early(&self) -> bool {
        self.front.formats.when == When::Known && self.front.logs()
    }
    /// Shall the client's connection stay, as far as the configuration and the request say?
    pub fn decide_keep(&mut self) {
        let closing = self.front.connection == ConnectionMode::Close;
        self.keep =
            self.info.keep_alive && !closing && (self.plan.global.keep_insecure_te || !self.info.insecure);
    }
}
