//! One run of a check: its steps over its connections.

use super::config::{Act, Connect, Port};
use super::expect::{Expect, Pattern};
use super::h2::Talk;
use super::http::write_request;
use super::plan::{CheckPlan, Kind, Step, literal};
use super::report::state_header;
use crate::plan::{Plan, ProxyPlan, ServerPlan};
use crate::rules::internal;
use crate::rules::lang::{Direction, Facts, Message, Payload, Scope};
use crate::traced;
use crate::upstream::Upstream;
use crate::worker::Task;
use crate::worker::Worker;
use portcullis_backend::ServerState;
use portcullis_backend::health::{Outcome, Status, Verdict};
use portcullis_config::Proto;
use portcullis_message::{Head, HeaderId, Version};
use portcullis_sample::Socket;
use portcullis_sample::fetch::link;
use portcullis_telemetry::trace::{self, Level, events};
use portcullis_tls::stream::Stream;
use portcullis_transport::connect::{self, ConnectOptions, Marks, Target};
use portcullis_transport::tls;
use portcullis_transport::{Buffer, Conn, Millis};
use portcullis_wire::h1::{Limits, Response};
use portcullis_wire::probe::Answer;
use portcullis_wire::proxy_protocol::{Addresses, Transport, encode_v1, encode_v2, encode_v2_local};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Time is up.
pub(crate) struct Late;

/// Waits for something until the task's deadline.
pub(crate) async fn within<T>(
    task: &Task,
    mut ready: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Result<T, Late> {
    poll_fn(|cx| {
        if let Poll::Ready(t) = ready(cx) {
            return Poll::Ready(Ok(t));
        }
        match task.poll_woken(cx) {
            Some(_) => Poll::Ready(Err(Late)),
            None => Poll::Pending,
        }
    })
    .await
}

/// What a check is about.
pub(super) struct Subject {
    /// The newest plan.
    pub plan: Arc<Plan>,
    /// Index of the backend in it.
    pub proxy: usize,
    /// The server's state.
    pub state: Arc<ServerState>,
}

impl Subject {
    pub fn proxy(&self) -> Option<&ProxyPlan> {
        self.plan.proxies.get(self.proxy).map(|p| &**p)
    }
    pub fn server(&self) -> Option<&ServerPlan> {
        self.proxy()?.server_of(&self.state)
    }
}

impl Subject {
    fn subject(&self, worker: &Worker) -> trace::Subject<'_> {
        trace::Subject {
            thread: worker.id,
            check: Some(Arc::as_ptr(&self.state) as usize as u64),
            backend: self.proxy().map(|p| &*p.name),
            server: self.server().map(|s| &*s.name),
            ..trace::Subject::default()
        }
    }

    /// Something happens to a check of it.
    #[track_caller]
    pub(super) fn trace(&self, worker: &Worker, what: u64, level: Level, text: &str) {
        if trace::on(trace::Source::Check) {
            let of = self.subject(worker);
            traced::check(&of, what, level, text, &|to, _| {
                let (backend, server) = (of.backend.unwrap_or_default(), of.server.unwrap_or_default());
                let state = if self.state.usable() { "UP" } else { "DOWN" };
                to.push_str(&format!("[H] BE={backend} SRV={server} {state}"));
            });
        }
    }

    /// A check of it is over.
    #[track_caller]
    pub(super) fn traced(&self, worker: &Worker, outcome: &Outcome) {
        if trace::on(trace::Source::Check) {
            let of = self.subject(worker);
            let (what, level, text) = match outcome.status.verdict() != Verdict::Failed {
                true => (events::check::HCHCK_SUCC, Level::User, "health-check succeeded"),
                false => (events::check::HCHCK_ERR, Level::Error, "health-check failed"),
            };
            traced::check(&of, what | events::check::HCHCK_END, level, text, &|to, _| {
                let (backend, server) = (of.backend.unwrap_or_default(), of.server.unwrap_or_default());
                let (status, ms) = (outcome.status.name(), outcome.duration);
                to.push_str(&format!("[H] BE={backend} SRV={server} status={status} duration={ms}ms"));
            });
        }
    }
}

/// How a connection attempt ended.
pub(crate) enum Failed {
    /// Not in time.
    Late,
    /// The other end, or the network.
    Refused(io::Error),
    /// This end.
    Own(io::Error),
}

/// How a connection is opened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Manner {
    /// Through the server's SOCKS4 proxy.
    pub(crate) via_socks4: bool,
    /// Nothing is said over it: the handshake is not even ended, so that the server does not accept what is reset at once.
    pub(crate) silent: bool,
}

/// Opens a connection before the task's deadline.
pub(crate) async fn open(
    task: &Task,
    server: &ServerPlan,
    state: &ServerState,
    addr: Option<SocketAddr>,
    how: Manner,
) -> Result<Conn, Failed> {
    let target = match addr {
        Some(addr) => Target::Inet { addr, mptcp: false },
        None => server.target_for(state, None).ok_or_else(|| {
            Failed::Own(io::Error::from_raw_os_error(rustix::io::Errno::ADDRNOTAVAIL.raw_os_error()))
        })?,
    };
    let through = server.socks4.filter(|_| how.via_socks4);
    let (target, beyond) = crate::socks::way(through, target);
    task.worker.process.counts.counters.of(task.worker.id.into()).cum_conns.inc();
    let options = match how.silent {
        true => &ConnectOptions { quick_ack_off: true, ..server.connect.clone() },
        false => &server.connect,
    };
    let conn = connect::start(&target, options, Marks::default()).map_err(|e| match e.kind() {
        io::ErrorKind::ConnectionRefused
        | io::ErrorKind::NotFound
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable => Failed::Refused(e),
        _ => Failed::Own(e),
    })?;
    within(task, |cx| conn.poll_writable(cx)).await.map_err(|Late| Failed::Late)?;
    conn.connected().map_err(Failed::Refused)?;
    if let Some(to) = beyond {
        let mut talk = crate::socks::Talk::new(to).map_err(Failed::Own)?;
        let granted = within(task, |cx| talk.poll(&conn, cx)).await;
        granted.map_err(|Late| Failed::Late)?.map_err(Failed::Refused)?;
    }
    Ok(conn)
}

/// The address that a check goes to, if it is not simply the server's.
pub(super) fn address(
    server: &ServerPlan,
    state: &ServerState,
    target: &portcullis_backend::health::Target,
) -> Option<SocketAddr> {
    let own = server.address(state);
    match (target.addr, target.port, own) {
        (None, None, _) => None,
        (Some(ip), port, own) => Some(SocketAddr::new(ip, port.or(own.map(|a| a.port())).unwrap_or(0))),
        (None, Some(port), Some(own)) => Some(SocketAddr::new(own.ip(), port)),
        (None, Some(_), None) => None,
    }
}

/// What the system says, as HAProxy's logs show it.
pub(crate) fn system(e: &io::Error) -> String {
    let text = words(e);
    let name = e.raw_os_error().map_or("", |n| {
        let known = [
            (rustix::io::Errno::CONNREFUSED, "ECONNREFUSED"),
            (rustix::io::Errno::CONNRESET, "ECONNRESET"),
            (rustix::io::Errno::HOSTUNREACH, "EHOSTUNREACH"),
            (rustix::io::Errno::NETUNREACH, "ENETUNREACH"),
            (rustix::io::Errno::TIMEDOUT, "ETIMEDOUT"),
            (rustix::io::Errno::PIPE, "EPIPE"),
            (rustix::io::Errno::ADDRNOTAVAIL, "EADDRNOTAVAIL"),
            (rustix::io::Errno::MFILE, "EMFILE"),
            (rustix::io::Errno::NFILE, "ENFILE"),
            (rustix::io::Errno::NOENT, "ENOENT"),
            (rustix::io::Errno::ACCESS, "EACCES"),
            (rustix::io::Errno::PERM, "EPERM"),
            (rustix::io::Errno::INVAL, "EINVAL"),
            (rustix::io::Errno::NETDOWN, "ENETDOWN"),
        ];
        known.iter().find(|(e, _)| e.raw_os_error() == n).map_or("", |(_, name)| name)
    });
    match name {
        "" => text,
        name => format!("{name} returned by OS ({text})"),
    }
}

/// The same without its name.
fn words(e: &io::Error) -> String {
    e.to_string().split(" (os error").next().unwrap_or_default().to_owned()
}

/// A check's connection.
enum Link {
    /// Its own.
    Own(Conn),
    /// One of the pool, which goes back there (`check-reuse-pool`).
    Shared(Box<Upstream>),
}

impl Link {
    fn conn(&self) -> &Conn {
        match self {
            Self::Own(conn) => conn,
            Self::Shared(up) => &up.conn,
        }
    }
}

/// A run under way.
struct Run<'a> {
    task: &'a Task,
    subject: &'a Subject,
    plan: &'a CheckPlan,
    facts: Facts<'a>,
    began: Millis,
    link: Option<Link>,
    /// It speaks HTTP/2.
    h2: Option<Box<Talk>>,
    linger: bool,
    input: Vec<u8>,
    response: Option<Response>,
    ended: bool,
    /// What the run comes to if no further step says otherwise.
    result: Outcome,
}

/// Runs a check to its end.
pub(super) async fn run(task: &Task, subject: &Subject, plan: &CheckPlan) -> Outcome {
    let began = task.worker.clock.exact().now();
    let (Some(proxy), Some(server)) = (subject.proxy(), subject.server()) else { return Outcome::default() };
    let facts = Facts {
        backend_name: &proxy.name,
        backend_id: proxy.id,
        server_name: &server.name,
        server_id: server.id,
        now: task.worker.clock.wall(),
        accepted: task.worker.clock.wall(),
        status: 0,
        server: server.address(&subject.state),
        http: plan.script.kind == Kind::Http,
        vars: portcullis_sample::vars::Vars::of_check(),
        ..Facts::new()
    };
    let mut run = Run {
        task,
        subject,
        plan,
        facts,
        began,
        link: None,
        h2: None,
        linger: false,
        input: Vec::new(),
        response: None,
        ended: false,
        result: Outcome::default(),
    };
    let mut outcome = run.script().await;
    run.close();
    outcome.duration = task.worker.clock.exact().now().since(began);
    outcome
}

impl Run<'_> {
    async fn script(&mut self) -> Outcome {
        let (Some(proxy), Some(server)) = (self.subject.proxy(), self.subject.server()) else {
            return Outcome::default();
        };
        let steps = &self.plan.script.steps;
        for (at, step) in steps.iter().enumerate() {
            self.trace(&step.rule.act);
            let failed = match &step.rule.act {
                Act::Comment => None,
                Act::Variable(v) => {
                    v.apply(&self.scope());
                    None
                }
                Act::Connect(c) => self.connect((step, is_silent(steps, at)), c, server).await,
                Act::Send(text) => {
                    let bytes = text.bytes(&self.scope());
                    self.send(step, &bytes).await
                }
                Act::Request(send) => {
                    let state = self
                        .plan
                        .script
                        .send_state
                        .then(|| state_header(&self.task.worker, proxy, server, &self.subject.state));
                    let mut bytes = Vec::new();
                    let last = !matches!(self.link, Some(Link::Shared(_)));
                    write_request(send, state.as_deref(), last, &self.scope(), &mut bytes);
                    let limits = Limits { relaxed: false, ..proxy.response_limits };
                    let method = send.method.as_deref().unwrap_or(b"OPTIONS");
                    self.response = Some(Response::new(method, limits));
                    if let Some(talk) = &mut self.h2 {
                        talk.ask(&bytes, &limits);
                        bytes = talk.take_output();
                    }
                    self.send(step, &bytes).await
                }
                Act::Expect(e) => self.expect(step, e).await,
            };
            if let Some(outcome) = failed {
                let what = events::check::TCP_CHECK_EVAL | events::check::TCP_CHECK_ERR;
                self.subject.trace(&self.task.worker, what, Level::Error, "rule failed");
                return outcome;
            }
        }
        std::mem::take(&mut self.result)
    }

    /// Bytes pass, or do not.
    #[inline]
    #[track_caller]
    fn trace_bytes<E>(&self, got: &Result<usize, E>, [data, err]: [u64; 2], text: &str) {
        if trace::on(trace::Source::Check) {
            let (what, level) = if got.is_ok() { (data, Level::Data) } else { (err, Level::Error) };
            self.subject.trace(&self.task.worker, what | events::check::HCHCK_RUN, level, text);
        }
    }

    /// A step begins.
    #[inline]
    #[track_caller]
    fn trace(&self, act: &Act) {
        if trace::on(trace::Source::Check) {
            let (what, text) = match act {
                Act::Connect(_) => (events::check::TCP_CHECK_CONN, "eval connect rule"),
                Act::Send(_) | Act::Request(_) => (events::check::TCP_CHECK_SEND, "eval send rule"),
                Act::Expect(_) => (events::check::TCP_CHECK_EXPECT, "eval expect rule"),
                Act::Comment | Act::Variable(_) => (events::check::TCP_CHECK_ACTION, "eval action rule"),
            };
            let what = what | events::check::TCP_CHECK_EVAL | events::check::HCHCK_RUN;
            self.subject.trace(&self.task.worker, what, Level::Proto, text);
        }
    }

    /// What expressions see.
    fn scope(&self) -> Scope<'_> {
        let worker = &self.task.worker;
        let response = self.response.as_ref();
        let http = response.is_some();
        let bytes = match response {
            Some(r) => &r.body,
            None => &self.input,
        };
        Scope {
            wall: worker.clock.wall(),
            monotonic: Duration::from_millis(worker.clock.now().0),
            random: &worker.random,
            facts: &self.facts,
            direction: Direction::Response,
            request: Message::None,
            response: match response.and_then(|r| r.head.as_ref()) {
                Some(head) => Message::Here(head),
                None => Message::None,
            },
            line: None,
            request_bytes: None,
            response_bytes: Some(Payload { bytes, may_grow: !self.ended && !http }),
            last_call: true,
            ext: internal::ext(&self.subject.plan),
        }
    }

    /// When the connection must stand.
    fn connect_deadline(&self) -> Millis {
        let inter = self.plan.settings.inter;
        let time = match (self.plan.check, self.plan.connect) {
            (Some(_), Some(connect)) if !connect.is_zero() => connect.min(inter),
            _ => inter,
        };
        let from = if self.plan.check.is_some() { self.task.worker.clock.now() } else { self.began };
        from.after(Some(time))
    }

    /// When all else must have ended.
    fn deadline(&self, connected: Millis) -> Millis {
        match self.plan.check {
            Some(check) => connected.after(Some(check)),
            None => self.began.after(Some(self.plan.settings.inter)),
        }
    }

    async fn connect(
        &mut self,
        (step, silent): (&Step, bool),
        c: &Connect,
        server: &ServerPlan,
    ) -> Option<Outcome> {
        self.close();
        self.input.clear();
        self.response = None;
        self.ended = false;
        let state = &*self.subject.state;
        let mut target = state.life.lock().target.clone();
        if let Some((ip, port)) = c.addr {
            target.addr = Some(ip);
            target.port = if port > 0 { Some(port) } else { target.port };
        }
        target.port = match &c.port {
            Some(Port::Number(n)) => Some(*n),
            Some(Port::Expr(e)) => {
                let n = e.integer(&self.scope()).and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0);
                if n.is_none() {
                    return Some(Outcome::new(Status::SocketError, self.place(step)));
                }
                n
            }
            None => target.port,
        };
        if target == portcullis_backend::health::Target::default()
            && let Some(up) = self.idle(c, server)
        {
            self.task.deadline(self.deadline(self.task.worker.clock.exact().now()));
            self.link = Some(Link::Shared(Box::new(up)));
            self.result = Outcome::new(Status::L4Ok, "");
            return None;
        }
        self.task.deadline(self.connect_deadline());
        let via_socks4 = if c.is_plain() { self.plan.settings.via_socks4 } else { c.via_socks4 };
        let how = Manner { via_socks4, silent };
        let conn = match open(self.task, server, state, address(server, state, &target), how).await {
            Ok(conn) => conn,
            Err(Failed::Late) => return Some(Outcome::new(Status::L4Timeout, self.place(step))),
            Err(Failed::Refused(e)) => {
                let text = format!("{}{}", system(&e), self.place(step));
                return Some(Outcome::new(Status::L4Connection, text));
            }
            Err(Failed::Own(e)) => {
                let text = format!("{}{}", system(&e), self.place(step));
                return Some(Outcome::new(Status::SocketError, text));
            }
        };
        let connected = self.task.worker.clock.exact().now();
        self.task.deadline(self.deadline(connected));
        self.linger = c.linger;
        self.facts.server_link.socket = conn.fd().map_or(Socket::NONE, Socket::of);
        self.link = Some(Link::Own(conn));
        let inherited = self.plan.settings.proto.or(server.proto).filter(|_| c.is_plain());
        let http = self.plan.script.kind == Kind::Http;
        let global = &self.subject.plan.global;
        let spoken = c.proto.or(inherited);
        let talk = || Box::new(Talk::new(global.h2.of_servers(global)));
        self.h2 = (http && spoken == Some(Proto::H2)).then(talk);
        let text =
            if self.plan.script.kind == Kind::Tcp && self.plan.script.written { "(tcp-check)" } else { "" };
        self.result = Outcome::new(Status::L4Ok, text);
        let header = self.proxy_header(c, server);
        if !header.is_empty()
            && let Some(failed) = self.put(step, &header).await
        {
            return Some(failed);
        }
        let failed = self.shake_hands(step, c).await;
        let info = self.conn().and_then(Conn::tls_info);
        if http && spoken.is_none() && info.is_some_and(|i| i.alpn.as_deref() == Some(b"h2")) {
            self.h2 = Some(talk());
        }
        failed
    }

    fn conn(&self) -> Option<&Conn> {
        self.link.as_ref().map(Link::conn)
    }

    /// An idle connection, if one may and can be used.
    fn idle(&self, c: &Connect, server: &ServerPlan) -> Option<Upstream> {
        let settings = &self.plan.settings;
        if !c.unwritten || self.plan.script.kind != Kind::Http || !settings.shares_pool() {
            return None;
        }
        let name = settings.pool_name.as_deref().or(settings.sni.as_deref());
        let worker = &self.task.worker;
        let mut idle = worker.idle.borrow_mut();
        idle.take_for_check(worker.id, (server, &self.subject.state), name, worker.clock.now())
    }

    /// Is the connection as it was before: was the response complete, and does it not end it?
    fn is_as_before(&self) -> bool {
        let keeps = |r: &Response| {
            let head = r.head.as_ref();
            let ends = |h: &Head| h.first(HeaderId::Connection).is_some() || h.version < Version::HTTP_11;
            r.complete && !r.broken && head.is_some_and(|h| !ends(h))
        };
        !self.ended && self.input.is_empty() && self.response.as_ref().is_some_and(keeps)
    }

    /// TLS, if the connection has it.
    async fn shake_hands(&mut self, step: &Step, c: &Connect) -> Option<Outcome> {
        let request = self.plan.script.steps.iter().find_map(|s| match &s.rule.act {
            Act::Request(send) => Some(send),
            _ => None,
        });
        let (connector, name) = self.plan.tls.as_ref()?.of(c, request, &self.scope())?;
        let failed = |step: &Step, run: &Self, detail: &str| {
            let info = run.conn().and_then(Conn::tls_info);
            let why = link::message_of_name(crate::tls::error_of(info.as_deref()));
            Some(Outcome::new(Status::L6Response, format!("{why}{detail}{}", run.place(step))))
        };
        let Ok(stream) = Stream::connect(connector, name.as_deref()) else { return failed(step, self, "") };
        let Some(Link::Own(conn)) = &mut self.link else { return None };
        conn.begin_tls(stream);
        match within(self.task, |cx| conn.poll_handshake(cx)).await {
            Ok(Ok(())) => {
                self.result.status = Status::L6Ok;
                None
            }
            Ok(Err(tls::Failed::Broken(e))) => failed(step, self, &format!(" ({})", words(&e))),
            Ok(Err(_)) => failed(step, self, ""),
            Err(Late) => Some(Outcome::new(Status::L6Timeout, self.place(step))),
        }
    }

    /// The PROXY header that this connection begins with.
    fn proxy_header(&self, c: &Connect, server: &ServerPlan) -> Vec<u8> {
        let settings = &self.plan.settings;
        let moved = settings.addr.is_some() || settings.port.is_some();
        let inherited = !moved && (server.send_proxy || server.send_proxy_v2);
        let wanted = if c.is_plain() { settings.send_proxy || inherited } else { c.send_proxy };
        let mut out = Vec::new();
        let Some(conn) = self.conn().filter(|_| wanted) else { return out };
        let addresses = conn.local().zip(conn.remote()).map(|(src, dst)| Addresses::Inet { src, dst });
        if !server.send_proxy_v2 {
            encode_v1(addresses.as_ref(), &mut out);
        } else if self.subject.plan.global.pp2_never_send_local {
            encode_v2(Transport::Stream, addresses.as_ref(), &[], &mut out);
        } else {
            encode_v2_local(&[], &mut out);
        }
        out
    }

    async fn send(&mut self, step: &Step, bytes: &[u8]) -> Option<Outcome> {
        self.input.clear();
        let failed = self.put(step, bytes).await;
        if failed.is_none() && self.plan.script.kind == Kind::Tcp {
            self.result = Outcome::new(Status::L7Ok, "(tcp-check)");
        }
        failed
    }

    /// Writes all of it.
    async fn put(&mut self, step: &Step, mut bytes: &[u8]) -> Option<Outcome> {
        let conn = self.conn()?;
        while !bytes.is_empty() {
            let sent = within(self.task, |cx| conn.poll_send(cx, &[IoSlice::new(bytes)], false)).await;
            if let Ok(sent) = &sent {
                self.trace_bytes(sent, [events::check::TX_DATA, events::check::TX_ERR], "sending data");
            }
            match sent {
                Ok(Ok(n)) => bytes = bytes.get(n..).unwrap_or_default(),
                Ok(Err(e)) => {
                    let text = format!("{}{}", system(&e), self.place(step));
                    return Some(Outcome::new(Status::SocketError, text));
                }
                Err(Late) => return Some(Outcome::new(Status::L7Timeout, self.place(step))),
            }
        }
        None
    }

    /// Reads more; an outcome if that failed.
    async fn more(&mut self, step: &Step, e: &Expect) -> Option<Outcome> {
        let worker = &self.task.worker;
        let conn = self.conn()?;
        let mut buffer: Buffer = worker.buffers.take();
        let got = within(self.task, |cx| match conn.is_tls() || conn.poll_readable(cx).is_ready() {
            true => conn.poll_recv(cx, &mut buffer),
            false => Poll::Pending,
        })
        .await;
        if let Ok(got) = &got {
            self.trace_bytes(got, [events::check::RX_DATA, events::check::RX_ERR], "receiving data");
        }
        let mut over = false;
        let mut answer = Vec::new();
        match (&mut self.h2, &mut self.response) {
            (Some(talk), Some(response)) => {
                over = talk.hear(buffer.data(), worker.clock.now().0, response);
                answer = talk.take_output();
            }
            _ => self.input.extend_from_slice(buffer.data()),
        }
        worker.buffers.give(buffer);
        if !answer.is_empty() && !matches!(got, Ok(Ok(0))) {
            // settings are acknowledged; who has closed does not listen
            let _ = self.put(step, &answer).await;
        }
        if over {
            self.ended = true;
            return None;
        }
        match got {
            Ok(Ok(0)) => self.ended = true,
            Ok(Ok(_)) => self.ended = self.input.len() >= worker.buffers.size(),
            Ok(Err(error)) => {
                let text = format!("{}{}", system(&error), self.place(step));
                return Some(Outcome::new(Status::SocketError, text));
            }
            Err(Late) => return Some(Outcome::new(e.timeout, self.place(step))),
        }
        None
    }

    async fn expect(&mut self, step: &Step, e: &Expect) -> Option<Outcome> {
        loop {
            if self.response.is_some() {
                let (mut input, ended) = (std::mem::take(&mut self.input), self.ended);
                if let Some(r) = &mut self.response {
                    r.take(&mut input, ended);
                    let full = self.task.worker.buffers.size();
                    // no more of a body is looked at
                    r.complete |= r.body.len() >= full;
                }
                self.input = input;
            }
            let judged = match (&e.pattern, &self.response) {
                (Pattern::Own(_), _) => self.judge_own(e),
                (_, Some(_)) => self.judge_http(step, e),
                (_, None) => self.judge_tcp(step, e),
            };
            match judged {
                Some(Ok(outcome)) => {
                    self.result = outcome;
                    return None;
                }
                Some(Err(outcome)) => return Some(outcome),
                None if self.ended => {
                    return Some(Outcome::new(Status::L7Response, self.place(step)));
                }
                None => {}
            }
            if let Some(failed) = self.more(step, e).await {
                return Some(failed);
            }
        }
    }

    fn judge_own(&self, e: &Expect) -> Option<Result<Outcome, Outcome>> {
        let Pattern::Own(reader) = &e.pattern else { return None };
        if self.ended
            && self.input.is_empty()
            && let Some(n) = reader.empty_step
        {
            let text = format!("TCPCHK got an empty response at step {n}");
            return Some(Err(Outcome::new(reader.garbage, text)));
        }
        let outcome = |status, note: portcullis_wire::probe::Note| Outcome {
            status,
            code: note.code,
            text: note.text,
            duration: 0,
        };
        match (reader.read)(&self.input, self.ended) {
            Answer::More => None,
            Answer::Good(note) => Some(Ok(outcome(e.ok, note))),
            Answer::Refused(note) => Some(Err(outcome(Status::L7Status, note))),
            Answer::Garbage(note) => Some(Err(outcome(reader.garbage, note))),
        }
    }

    fn judge_tcp(&self, step: &Step, e: &Expect) -> Option<Result<Outcome, Outcome>> {
        if self.input.is_empty() {
            let text = format!("TCPCHK got an empty response at step {}", step.number);
            let text = format!("{text}{}", about(step));
            return self.ended.then(|| Err(Outcome::new(e.error.unwrap_or(Status::L7Response), text)));
        }
        let least = match (e.pattern.least(), e.min_recv) {
            (0, min) => min.unwrap_or(0),
            (n, None) => n,
            (n, Some(min)) => n.min(min),
        };
        if self.input.len() < least && !self.ended {
            return None;
        }
        let found = e.pattern.found_in(&self.input, &self.scope());
        if !found && !self.ended && e.min_recv.is_none() {
            return None;
        }
        if found != e.inverse {
            return Some(Ok(self.passed(e, 0, "(tcp-check)")));
        }
        let (how, content) = (if found { "matched unwanted" } else { "did not match" }, e.pattern.content());
        let text = format!("TCPCHK {how} content {content} at step {}{}", step.number, about(step));
        Some(Err(self.mismatch(e, Status::L7Response, 0, text)))
    }

    fn judge_http(&self, step: &Step, e: &Expect) -> Option<Result<Outcome, Outcome>> {
        let response = self.response.as_ref()?;
        if response.broken {
            return Some(Err(Outcome::new(Status::SocketError, "")));
        }
        let Some(head) = &response.head else {
            return self.ended.then(|| Err(Outcome::new(Status::SocketError, "")));
        };
        let code = i64::from(head.status);
        let up = self.subject.state.health() != portcullis_backend::Health::Down;
        if head.status == 404 && self.plan.script.disable_on_404 && up {
            return Some(Ok(Outcome { code, ..Outcome::new(Status::L7Conditional, "") }));
        }
        let scope = self.scope();
        let (good, status, text) = if e.pattern.in_body() {
            let least = e.min_recv.unwrap_or(0);
            if response.body.is_empty() && response.complete {
                (false, Status::L7Response, "HTTP content check could not find a response body".to_owned())
            } else {
                if response.body.len() < least && !response.complete {
                    return None;
                }
                let found = e.pattern.found_in(&response.body, &scope);
                if !found && !response.complete && e.min_recv.is_none() {
                    return None;
                }
                let how = if found {
                    "HTTP check matched unwanted content"
                } else {
                    "HTTP content check did not match"
                };
                (found != e.inverse, Status::L7Response, how.to_owned())
            }
        } else {
            let reason = String::from_utf8_lossy(head.reason()).into_owned();
            (e.pattern.fits(head, &scope) != e.inverse, Status::L7Status, reason)
        };
        if good {
            return Some(Ok(self.passed(e, code, "")));
        }
        let text = format!("{text}{}", about(step));
        Some(Err(self.mismatch(e, status, code, text)))
    }

    fn passed(&self, e: &Expect, code: i64, text: &str) -> Outcome {
        let scope = self.scope();
        let text = e.on_success.as_ref().map_or_else(|| text.to_owned(), |f| shown(&f.bytes(&scope)));
        Outcome { code: self.code(e, code), ..Outcome::new(e.ok, text) }
    }

    fn mismatch(&self, e: &Expect, status: Status, code: i64, text: String) -> Outcome {
        let scope = self.scope();
        let text = e.on_error.as_ref().map_or(text, |f| shown(&f.bytes(&scope)));
        Outcome { code: self.code(e, code), ..Outcome::new(e.error.unwrap_or(status), text) }
    }

    fn code(&self, e: &Expect, code: i64) -> i64 {
        e.code.as_ref().and_then(|c| c.leading_integer(&self.scope())).unwrap_or(code)
    }

    /// Where a `tcp-check` failed.
    fn place(&self, step: &Step) -> String {
        if self.plan.script.kind != Kind::Tcp {
            return String::new();
        }
        if step.number == 0 {
            return " at initial connection step of tcp-check".into();
        }
        let what = match &step.rule.act {
            Act::Connect(c) => match literal(c.port.as_ref()) {
                Some(port) => format!("connect port {port}"),
                None => "connect".into(),
            },
            Act::Send(_) => "send".into(),
            Act::Expect(e) => e.pattern.name(),
            _ => String::new(),
        };
        let comment = step.comment.as_ref().map_or(String::new(), |c| format!(" comment: '{c}'"));
        format!(" at step {} of tcp-check ({what}){comment}", step.number)
    }

    /// Closes the connection, so that a server is left with nothing to wait for; or lets it rest in the pool.
    fn close(&mut self) {
        self.facts.server_link.socket = Socket::NONE;
        match self.link.take() {
            Some(Link::Shared(up)) => {
                let worker = &self.task.worker;
                let mut idle = worker.idle.borrow_mut();
                match self.subject.server().filter(|_| self.is_as_before()) {
                    Some(server) => {
                        let key = up.key;
                        idle.put(*up, key, false, server, worker.clock.now());
                    }
                    None => idle.close(*up),
                }
            }
            Some(Link::Own(conn)) if !self.linger && self.plan.script.kind != Kind::Http => {
                conn.reset_on_close();
            }
            _ => {}
        }
    }
}

/// Is nothing sent or expected over the connection that this step makes?
fn is_silent(steps: &[Step], at: usize) -> bool {
    let next = steps.iter().skip(at + 1).find(|s| !matches!(s.rule.act, Act::Comment | Act::Variable(_)));
    next.is_none_or(|s| matches!(s.rule.act, Act::Connect(_)))
}

fn about(step: &Step) -> String {
    step.comment.as_ref().map_or(String::new(), |c| format!(" comment: {c}"))
}

/// Text for a description.
fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_control()).collect()
}
