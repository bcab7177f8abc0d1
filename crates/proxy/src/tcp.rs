//! TCP mode: rules, a server, bytes both ways, a log line.

mod inspect;

use crate::broken;
use crate::filter::{Chain, Gate, Point, Stage, Verdict};
use crate::outcome::{self, When};
use crate::persist;
use crate::plan::{Plan, ProxyPlan, ServerPlan};
use crate::relay::{self, End, Inspect, Lane, Ruling, Timeouts};
use crate::reply::{ErrorPages, Pages};
use crate::rules::{BodyState, Cursor, Effects, Flow, RuleCx, Wait, run as run_rules};
use crate::session::Session;
use crate::traced;
use crate::upstream::{ClientEnd, Failure, Late, Upgrades, Wish, establish};
use crate::worker::{Woken, Worker, slots};
use portcullis_backend::ServerState;
use portcullis_config::{Mode, Opts, Proto};
use portcullis_sample::format::Needs;
use portcullis_sample::{Direction, Facts, Message, Payload, Scope, Unread};
use portcullis_telemetry::trace::{Level, events};
use portcullis_transport::{Buffer, Millis};
use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};

static NO_PAGES: LazyLock<ErrorPages> = LazyLock::new(ErrorPages::default);

/// Runs a TCP session; `first` was read with its PROXY header.
pub async fn run(session: &mut Session, first: Option<Buffer>) {
    let worker = session.worker().clone();
    session.renew();
    let plan = session.plan.clone();
    let late = Late::default();
    let front: &ProxyPlan = &plan.proxies[session.listener.frontend];
    session.requests = 1;
    let mut s = Stream {
        plan: &plan,
        late: &late,
        front,
        facts: Facts::new(),
        effects: Effects::default(),
        first,
        unread: Unread::default(),
        filters: None,
        back: None,
        server: None,
        began: worker.clock.now(),
    };
    outcome::begin(&mut s.facts, session, front, false);
    if let Some(otel) = front.otel.as_deref().filter(|_| !crate::explain::on()) {
        otel.connection(&mut s.facts, worker.clock.wall());
    }
    crate::session::accepted(session, front);
    if front.wants_destination {
        s.facts.frontend = session.destination();
    }
    if front.formats.when == When::Begin {
        outcome::log_before_the_end(&mut s.facts, session, front, None);
    }
    let stream = slots::Stream {
        plan: plan.clone(),
        began: session.accepted,
        frontend: front.index as u32,
        backend: None,
        server: None,
        request: 1,
    };
    worker.slots.set_stream(session.task.slot, Some(stream));
    traced::tcp(&s.facts, session, (front, None), events::stream::STRM_NEW, Level::State, "new stream");
    crate::debug::begins(session, front);
    worker.process.counts.counters.of(worker.id.into()).cum_req.inc();
    s.facts.unique_id_format = front.unique_id_format();
    if let Some(captures) = &front.captures {
        captures.begin(&mut s.facts);
    }
    if let Some(set) = &front.filters {
        let chain = Chain::begin(&worker, set, false, session.number());
        chain.borrow_mut().tell(&worker, Direction::Request, Point::Begin);
        s.filters = Some(chain);
    }
    let mut held = None;
    let over = story(&mut s, session, &mut held).await;
    if let Some(chain) = s.filters.take() {
        chain.borrow_mut().stop(&worker);
    }
    match over {
        Ok(Next::Over) => {}
        Ok(Next::Http(proto)) => {
            // the connection speaks HTTP from now on, and this stream was none
            let first = s.first.take();
            session.requests = 0;
            let first = first.map(Box::new);
            if proto == Some(Proto::H2) {
                return Box::pin(crate::h2::serve(session, first)).await;
            }
            return Box::pin(crate::http::serve(session, first)).await;
        }
        Err(termination) => {
            s.facts.termination[..2].copy_from_slice(&termination);
            // what is left unread would make a reset of the close
            s.facts.unread |= session.conn.discard_input(true);
        }
    }
    drop(held);
    s.facts.client_link.error = broken::of(&session.conn, s.facts.frontend_tls.as_deref());
    if front.formats.needs.contains(Needs::ENDS) {
        s.facts.ends.over = true;
        s.facts.ends.client = s.facts.client_link.socket.gone();
    }
    let back = s.back;
    let server = s.server.take();
    let heads = outcome::Heads::none(s.effects.log_level);
    outcome::finish(&mut s.facts, session, front, back, server.as_deref(), Some(&heads));
    traced::over(&s.facts, session, front, back);
    crate::explain::over(&s.facts);
    if let Some(b) = s.first.take() {
        worker.buffers.give(b);
    }
}

/// What a TCP stream knows.
struct Stream<'p> {
    plan: &'p Arc<Plan>,
    late: &'p Late,
    front: &'p ProxyPlan,
    back: Option<&'p ProxyPlan>,
    server: Option<Arc<ServerState>>,
    facts: Facts<'p>,
    effects: Effects,
    /// The filters, if frontend or backend have some.
    filters: Option<Rc<RefCell<Chain>>>,
    /// Bytes of the client that were read to be looked at.
    first: Option<Buffer>,
    /// What they are as a request.
    unread: Unread,
    /// When it began, behind the handshakes.
    began: Millis,
}

/// What follows the story of a stream.
enum Next {
    /// Nothing.
    Over,
    /// HTTP, of this version if it is known.
    Http(Option<Proto>),
}

/// Rules, route, server, relay.
async fn story<'p>(
    s: &mut Stream<'p>,
    session: &mut Session,
    held: &mut Option<portcullis_telemetry::gauge::Held>,
) -> Result<Next, [u8; 2]> {
    if let Some(http) = content_rules(s, session, s.front, Stage::Frontend).await? {
        return Ok(http);
    }
    ask(s, session, Point::Before(Stage::Switching)).await?;
    peek(s, session, s.front);
    let back = {
        let (plan, front) = (s.plan, s.front);
        let worker = session.worker().clone();
        crate::rules::route::backend(plan, front, &rule_cx(s, &worker, true).scope())
    };
    let Some(back) = back.map(|b| &**b) else { return Err(*b"SC") };
    if back.mode == Mode::Http {
        return Ok(Next::Http(None));
    }
    s.back = Some(back);
    s.facts.backend_name = &back.name;
    s.facts.backend_id = back.id;
    let (proxies, what) = ((s.front, Some(back)), events::stream::TCP_ANA);
    traced::tcp(&s.facts, session, proxies, what, Level::User, "connection routed to its backend");
    *held = back.state.as_ref().map(|s| outcome::routed(s, session.worker(), false));
    s.facts.beconn = held.as_ref().map_or(0, |h| h.gauge().get());
    session.worker().slots.set_server(session.task.slot, back.index, None);
    if back.wants_destination && s.facts.frontend.is_none() {
        s.facts.frontend = session.destination();
    }
    let set = back.filters.as_ref().filter(|_| back.index != s.front.index);
    Chain::join(&mut s.filters, session.worker(), (&back.name, set), false, session.number());
    ask(s, session, Point::After(Stage::Switching)).await?;
    if back.index != s.front.index {
        content_rules(s, session, back, Stage::Backend).await?;
    }
    peek(s, session, back);
    let worker = session.worker().clone();
    let hash = match &back.key {
        Some(key) => key.hash(&rule_cx(s, &worker, true).scope()),
        None => None,
    };
    let stay = match &back.rules {
        Some(_) => back.use_server(&rule_cx(s, &worker, true).scope()),
        None => None,
    };
    let (stay, wish) = match stay {
        None if back.rdp.is_some() => by_rdp_cookie(s, &worker, back),
        stay => (stay, None),
    };
    let first = s.first.take();
    s.server = serve(s, session, back, (hash, stay, wish), first).await;
    Ok(Next::Over)
}

fn rule_cx<'a, 'p>(s: &'a mut Stream<'p>, worker: &'a Worker, last_call: bool) -> RuleCx<'a, 'p> {
    let pages = Pages { backend: None, frontend: s.front.pages.as_deref().unwrap_or(&NO_PAGES) };
    let bytes = s.first.as_ref().map_or(&[][..], |b| b.data());
    let full = s.first.as_ref().is_some_and(Buffer::is_full);
    RuleCx {
        facts: &mut s.facts,
        random: &worker.random,
        now: worker.clock.now(),
        wall: worker.clock.wall(),
        direction: Direction::Request,
        request: None,
        response: None,
        line: None,
        head_pending: false,
        unread: Some(&s.unread),
        request_bytes: Some(Payload { bytes, may_grow: !last_call && !full }),
        response_bytes: None,
        inspecting: true,
        last_call,
        ext: crate::rules::internal::ext(s.plan),
        log: Some((worker, s.front)),
        pages,
        effects: &mut s.effects,
        filters: s.filters.as_deref(),
        limit: worker.buffers.size(),
        body: BodyState::default(),
    }
}

/// `tcp-request content`: waits for bytes up to `inspect-delay`. Gives what follows, if that is not the backend.
async fn content_rules(
    s: &mut Stream<'_>,
    session: &mut Session,
    of: &ProxyPlan,
    stage: Stage,
) -> Result<Option<Next>, [u8; 2]> {
    ask(s, session, Point::Before(stage)).await?;
    let next = rules(s, session, of).await?;
    if next.is_none() {
        ask(s, session, Point::After(stage)).await?;
    }
    Ok(next)
}

/// Asks the filters whether the stream goes on, and waits as long as they say.
async fn ask(s: &Stream<'_>, session: &Session, point: Point<'_>) -> Result<(), [u8; 2]> {
    let Some(chain) = &s.filters else { return Ok(()) };
    loop {
        let verdict = chain.borrow_mut().ask(session.worker(), Direction::Request, point);
        match verdict {
            Verdict::Continue => return Ok(()),
            Verdict::Wait(until) => pause(session, until).await,
            Verdict::End => return Err(*b"PR"),
        }
    }
}

/// Waits until this time, or until the stream is to end.
async fn pause(session: &Session, until: Millis) {
    session.task.deadline(until);
    poll_fn(|cx| if session.task.poll_woken(cx).is_some() { Poll::Ready(()) } else { Poll::Pending }).await;
}

async fn rules(s: &mut Stream<'_>, session: &mut Session, of: &ProxyPlan) -> Result<Option<Next>, [u8; 2]> {
    let Some(sets) = of.rules.as_deref().filter(|r| !r.tcp_request.is_empty()) else { return Ok(None) };
    let worker = session.worker().clone();
    let began = worker.clock.now();
    let give_up = sets.request_delay.map_or(began, |d| began.after(Some(d)));
    let mut cursor = Cursor::default();
    // what has come with the connection is there from the first rule on
    let mut ended = s.first.is_none() && !take(s, session);
    loop {
        let last_call = ended || worker.clock.now() >= give_up;
        let flow = run_rules(&sets.tcp_request, &mut cursor, &mut rule_cx(s, &worker, last_call));
        s.effects.client.apply(&session.conn);
        match flow {
            Flow::Done | Flow::Accept => return Ok(None),
            Flow::SwitchMode(proto) => return Ok(Some(Next::Http(proto))),
            Flow::Wait(Wait::Until(t) | Wait::Body(t, _)) => pause(session, t).await,
            Flow::Wait(Wait::Turns(n)) => crate::http::stages::yield_turns(n).await,
            Flow::Wait(Wait::Work(pending)) => pending.await,
            Flow::Wait(Wait::Data) => ended = !look(s, session, give_up).await?,
            Flow::Wait(Wait::Remote) => {
                session.task.deadline(Millis::NEVER);
                let Some(remote) = s.effects.remote.clone() else { continue };
                poll_fn(|cx| match session.task.poll_woken(cx) {
                    Some(Woken::Aborted(why)) => Poll::Ready(Err([why.letter(), b'R'])),
                    _ => remote.poll(cx).map(Ok),
                })
                .await?;
            }
            _ => {
                s.front.front.counters.of(worker.id.into()).denied_req.inc();
                return Err(*b"PR");
            }
        }
    }
}

/// What has come already is there for whoever looks at it when the stream is routed.
fn peek(s: &mut Stream<'_>, session: &Session, of: &ProxyPlan) {
    if of.peeks && s.first.is_none() {
        take(s, session);
    }
}

/// Takes what has come already. False: there will be no more.
fn take(s: &mut Stream<'_>, session: &Session) -> bool {
    let buffers = &session.task.worker.buffers;
    let mut buffer = buffers.take();
    let got = session.conn.poll_recv(&mut Context::from_waker(Waker::noop()), &mut buffer);
    if buffer.is_empty() {
        buffers.give(buffer);
    } else {
        s.first = Some(buffer);
    }
    !matches!(got, Poll::Ready(Ok(0)))
}

/// Reads more to be looked at. False: there will be no more, or no more fits, or it is time.
async fn look(s: &mut Stream<'_>, session: &Session, until: Millis) -> Result<bool, [u8; 2]> {
    let task = &session.task;
    let timeout = s.facts.timeout(crate::rules::Timeout::Client).or(s.front.timeouts.client);
    let idle = timeout.map_or(Millis::NEVER, |t| task.worker.clock.now().after(Some(t)));
    task.deadline(until.min(idle));
    let first = s.first.get_or_insert_with(|| task.worker.buffers.take());
    if first.is_full() {
        return Ok(false);
    }
    s.unread = Unread::default();
    poll_fn(|cx| match session.conn.poll_recv(cx, first) {
        Poll::Ready(Ok(n)) => Poll::Ready(Ok(n > 0)),
        Poll::Ready(Err(_)) => Poll::Ready(Err(*b"CR")),
        Poll::Pending => match task.poll_woken(cx) {
            Some(Woken::Late) if idle < until => Poll::Ready(Err(*b"cR")),
            Some(Woken::Late) => Poll::Ready(Ok(false)),
            Some(Woken::Aborted(why)) => Poll::Ready(Err([why.letter(), b'R'])),
            None => Poll::Pending,
        },
    })
    .await
}

fn goes_to_down(back: &ProxyPlan, wish: Option<persist::Wish>) -> bool {
    back.has(Opts::PERSIST) || wish == Some(persist::Wish::Force)
}

/// `persist rdp-cookie`: the server whose address the client's cookie names.
fn by_rdp_cookie(
    s: &mut Stream<'_>,
    worker: &Worker,
    back: &ProxyPlan,
) -> (Option<Arc<ServerState>>, Option<persist::Wish>) {
    let cx = rule_cx(s, worker, true);
    let scope = cx.scope();
    let wish = back.rules.as_deref().and_then(|sets| sets.wish(&scope));
    let cookie = back.rdp.as_ref().and_then(|e| e.eval(&scope).there());
    let address = cookie.and_then(|v| persist::rdp::address(v.bytes()?));
    let usable = |s: &ServerState| goes_to_down(back, wish) || s.persistable();
    let server = address.and_then(|a| back.server_at(a).filter(|s| usable(s)));
    (server, wish)
}

async fn serve<'p>(
    s: &mut Stream<'p>,
    session: &mut Session,
    back: &'p ProxyPlan,
    (hash, stay, wish): (Option<u32>, Option<Arc<ServerState>>, Option<persist::Wish>),
    first: Option<Buffer>,
) -> Option<Arc<ServerState>> {
    let began = s.began;
    let Stream { plan, late, front, facts, filters, effects, unread, .. } = s;
    let (late, front): (&'p Late, &'p ProxyPlan) = (late, front);
    let mut wish = Wish {
        session: session.owner(),
        upgrades: Upgrades::Nothing,
        client: &session.conn,
        client_end: match back.has(Opts::ABORTONCLOSE) {
            true => ClientEnd::GiveUp,
            false if first.is_none() => ClientEnd::WithoutBytes,
            false => ClientEnd::Ignored,
        },
        reuse: None,
        own: None,
        request: first
            .as_ref()
            .map_or(Message::None, |b| Message::Bytes(unread, Payload { bytes: b.data(), may_grow: false })),
        side: facts.side,
        wants_source: front.formats.needs.contains(Needs::SERVER_SOURCE),
        early: facts.frontend_tls.as_ref().is_some_and(|i| i.is_early()),
        avoid: None,
        hash,
        persistent: stay.is_some(),
        forced: goes_to_down(back, wish),
        pinned: wish == Some(persist::Wish::Force),
        redirects: false,
        stay,
        began: Some(began),
    };
    let found = match establish(&session.task, (back, late), facts, &mut wish).await {
        Ok(found) => found,
        Err(Failure { termination, .. }) => {
            facts.termination[..2].copy_from_slice(&termination);
            facts.unread = session.conn.discard_input(true);
            return None;
        }
    };
    let state = found.slot.server().clone();
    outcome::reached(&state, session.worker());
    session.worker().slots.set_server(session.task.slot, back.index, Some(state.slot));
    facts.srvconn = found.slot.server().sessions.get();
    if front.formats.steps.is_some_and(|s| s.contains(outcome::Steps::CONNECT)) {
        outcome::step(facts, 0, session, front, None, outcome::Steps::CONNECT);
    }
    // rules on what the server says may set what the line shows
    let more = back.rules.as_deref().is_some_and(|r| !r.tcp_response.is_empty());
    if front.formats.when == When::Known && (front.has(Opts::LOGASAP) || !more) {
        let heads = outcome::Heads::none(effects.log_level);
        outcome::log_before_the_end(facts, session, front, Some(&heads));
    }
    let (up_splices, down_splices) = relay::splices(&session.conn, &found.upstream.conn);
    let splice = |side: Opts| {
        let wanted = Opts::SPLICE_AUTO | side;
        front.opts.intersects(wanted) || back.opts.intersects(wanted)
    };
    // a TLS server was sent its header before the handshake
    let preface = match found.server.tls {
        Some(_) => first,
        None => with_preface(session.worker(), found.server, facts, first),
    };
    let chain = filters.as_ref();
    let gate = |direction| chain.map(|c| Gate::new(c, &session.task, direction));
    if let Some(chain) = chain {
        chain.borrow_mut().tell(session.worker(), Direction::Response, Point::Begin);
    }
    let mut up = Lane::new(preface, up_splices && splice(Opts::SPLICE_REQUEST), gate(Direction::Request));
    let mut down = Lane::new(None, down_splices && splice(Opts::SPLICE_RESPONSE), gate(Direction::Response));
    let parts = inspect::Parts { facts, effects, plan, front, filters: chain, client: &session.conn };
    let rules = inspect::ResponseRules::of(back, parts, &session.task);
    down.inspect = rules.map(|r| r as Box<dyn Inspect + '_>);
    (up.nolinger, down.nolinger) = (back.has(Opts::NOLINGER), front.has(Opts::NOLINGER));
    let timeouts = Timeouts {
        client: front.timeouts.client,
        server: back.timeouts.server,
        client_fin: front.timeouts.client_fin,
        server_fin: back.timeouts.server_fin,
        tunnel: back.timeouts.tunnel,
    };
    let server = &found.upstream.conn;
    let tally = outcome::Tally::of(session, front, back, Some(&state), (0, 0));
    let independent = (front.has(Opts::INDEPENDENT_STREAMS), back.has(Opts::INDEPENDENT_STREAMS));
    let end = relay::relay(
        &session.task,
        (&session.conn, &mut up),
        (server, &mut down),
        &timeouts,
        independent,
        tally,
    )
    .await;
    if matches!(end, End::ServerLate | End::ClientLate | End::ServerBroke) {
        down.let_go(&session.conn);
    }
    let refused = matches!(end, End::Ruled(_));
    let late = matches!(end, End::ServerLate | End::ClientLate);
    let in_order = matches!(end, End::Closed | End::Ruled(Ruling::Reject))
        || (late && (down.has_ended() || !up.is_pending()));
    let (server_first, client_ended) = (down.first, up.has_ended());
    let bytes = (up.bytes, down.bytes + if refused { down.held() as u64 } else { 0 });
    up.discard(&session.task);
    down.discard(&session.task);
    if crate::tls::is_unanswered(facts) {
        crate::tls::answered_early(&session.task, server, facts, true);
    }
    (facts.bytes_up, facts.bytes_down) = bytes;
    let vanished = session.conn.has_vanished();
    facts.termination[..2].copy_from_slice(&if vanished { *b"PR" } else { termination(end) });
    facts.ends.server_first = server_first;
    if refused {
        // what is left unread would make a reset of the close
        session.conn.discard_input(true);
        server.discard_input(true);
    }
    if end == End::Ruled(Ruling::Reject) {
        outcome::denied(session, front, Some(back), Some(&state), portcullis_sample::Direction::Response);
    }
    if !in_order || back.has(Opts::NOLINGER) {
        server.reset_on_close();
    }
    if front.has(Opts::NOLINGER) && client_ended {
        session.conn.reset_on_close();
    }
    if facts.server_link.error == Some(0) {
        facts.server_link.error = Some(broken::of(server, facts.backend_tls.as_deref()));
    }
    facts.server_link.forget(front.formats.needs);
    session.worker().idle.borrow_mut().close(found.upstream);
    Some(state)
}

/// The server's PROXY header, if it wants one, in front of bytes that were read already.
fn with_preface(
    worker: &Worker,
    server: &ServerPlan,
    facts: &Facts<'_>,
    first: Option<Buffer>,
) -> Option<Buffer> {
    let mut bytes = Vec::new();
    let scope = Scope { wall: worker.clock.wall(), ..Scope::new(facts, &worker.random) };
    crate::preface::write(server, &scope, &mut bytes);
    if bytes.is_empty() {
        return first;
    }
    let mut b = Buffer::with_capacity(bytes.len() + first.as_ref().map_or(0, Buffer::len));
    b.extend(&bytes);
    if let Some(first) = first {
        b.extend(first.data());
        worker.buffers.give(first);
    }
    Some(b)
}

/// Cause and phase of a relay's end.
#[must_use]
pub fn termination(end: End) -> [u8; 2] {
    match end {
        End::Closed | End::Ruled(Ruling::Close) => *b"--",
        End::ClientBroke => *b"CD",
        End::ServerBroke => *b"SD",
        End::ClientLate => *b"cD",
        End::ServerLate => *b"sD",
        End::Filtered | End::Ruled(Ruling::Reject) => *b"PD",
        End::Aborted(why) => [why.letter(), b'D'],
    }
}
