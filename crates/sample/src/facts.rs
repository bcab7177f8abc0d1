//! The one record of a session or stream that fetches, log lines and listings read.

use crate::ends::{Ends, Gone};
use crate::format::Needs;
use portcullis_sys::tcp::TcpInfo;
use portcullis_tls::info::Info;
use std::cell::{OnceCell, RefCell};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;
use std::time::Duration;

/// Timers in milliseconds as manual section 8.4 defines them; -1: the event never came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// `Th`: handshakes (PROXY header).
    pub handshake: i32,
    /// `Ti`: idle before the request.
    pub idle: i32,
    /// `TR`: from the first byte to the complete request head.
    pub request: i32,
    /// `Tw`: in queues.
    pub queue: i32,
    /// `Tc`: connecting to the server.
    pub connect: i32,
    /// `Tr`: until the complete response head.
    pub response: i32,
    /// `Td`: transfer of the response.
    pub data: i32,
    /// `Ta`: from the first byte of the request to the last of the response.
    pub active: i32,
    /// `Tt`: from accept to the end.
    pub total: i32,
    /// `Tu`: as `Tt` without idle time.
    pub user: i32,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            handshake: 0,
            idle: -1,
            request: -1,
            queue: -1,
            connect: -1,
            response: -1,
            data: -1,
            active: 0,
            total: 0,
            user: 0,
        }
    }
}

/// A socket by its number, for what the kernel tells of it. Whoever closes the connection forgets it here first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket(i32);

impl Socket {
    /// None, or not there any more.
    pub const NONE: Self = Self(-1);
    /// Of this connection.
    #[must_use]
    pub fn of(fd: impl AsFd) -> Self {
        Self(fd.as_fd().as_raw_fd())
    }
    /// Its number, if there is one.
    #[must_use]
    pub fn number(self) -> Option<i32> {
        (self.0 >= 0).then_some(self.0)
    }
    /// How its peer has left it, as the kernel has it. Ask before this end is closed, too.
    #[must_use]
    pub fn gone(self) -> Gone {
        /// CLOSE, and CLOSE_WAIT, LAST_ACK, CLOSING.
        const CLOSED: u8 = 7;
        const PEER_CLOSED: [u8; 3] = [8, 9, 11];
        match self.tcp_info().map(|i| i.state) {
            Some(CLOSED) => Gone::Reset,
            Some(state) if PEER_CLOSED.contains(&state) => Gone::Finished,
            _ => Gone::No,
        }
    }
    /// Its two ends, ours first.
    #[must_use]
    pub fn ends(self) -> Option<(SocketAddr, SocketAddr)> {
        self.number().and_then(portcullis_sys::fd::ends)
    }
    /// What the kernel knows of its TCP connection.
    #[must_use]
    pub fn tcp_info(self) -> Option<TcpInfo> {
        self.number().and_then(portcullis_sys::tcp::info)
    }
}

/// The client's connection beside its addresses.
#[derive(Clone, Debug)]
pub struct ClientLink {
    /// Its socket.
    pub socket: Socket,
    /// Odd heads so far.
    pub glitches: u32,
    /// What went wrong with it (`fc_err`); 0: nothing.
    pub error: u8,
    /// Streams on it when this one began; 0: it has none but this.
    pub streams: u16,
    /// This stream's number on it.
    pub stream: u32,
    /// The reason that the client has reset this stream for, in HTTP/2.
    pub rst_code: Option<u32>,
    /// Streams that it may have at once; 0: one.
    pub limit: u16,
    /// What a PROXY header told beside the addresses: its type-length-value vectors as they came.
    pub told: Option<Rc<[u8]>>,
}

/// The connection to the server beside its addresses.
#[derive(Clone, Debug)]
pub struct ServerLink {
    /// Its socket, while the stream has it.
    pub socket: Socket,
    /// Odd heads that came by it.
    pub glitches: u32,
    /// What went wrong with it (`bc_err`), 0: nothing. `None`: there was no connection, not even an attempt.
    pub error: Option<u8>,
    /// It had carried other requests before.
    pub reused: bool,
    /// The status that the server gave; 0: none yet.
    pub status: u16,
    /// Streams on it when this one began; 0: it has none but this.
    pub streams: u16,
    /// Streams that it may have at once; 0: one.
    pub limit: u16,
    /// This stream's number on it; 0: it speaks HTTP/1.
    pub stream: u32,
    /// The reason that the server has reset it for, in HTTP/2.
    pub rst_code: Option<u32>,
    /// How the server had left it then, for logs that ask.
    pub gone: Gone,
    /// What the kernel knew when the stream gave it up, for logs that ask.
    pub info: Option<Box<TcpInfo>>,
}

impl ServerLink {
    /// The stream gives it up. `needs`: what somebody will ask for.
    pub fn forget(&mut self, needs: Needs) {
        if needs.contains(Needs::TCP_INFO) {
            self.info = self.socket.tcp_info().map(Box::new);
        }
        if needs.contains(Needs::ENDS) {
            self.gone = self.socket.gone();
        }
        self.socket = Socket::NONE;
    }
    /// What the kernel knows of it, or knew last.
    #[must_use]
    pub fn tcp_info(&self) -> Option<TcpInfo> {
        self.socket.tcp_info().or_else(|| self.info.as_deref().copied())
    }
}

/// Values that a frontend captures for the log, one place for each of its `capture` and `declare capture` lines. They
/// can be written while expressions are evaluated (converters `capture-req` and `capture-res`).
#[derive(Clone, Debug, Default)]
#[expect(clippy::box_collection, reason = "few streams capture anything: one word in the others")]
pub struct Captured(RefCell<Option<Box<Vec<Slot>>>>);

/// Bytes that are kept at most, and what is kept.
type Slot = (usize, Option<Box<[u8]>>);

impl Captured {
    /// Room for values of at most these lengths.
    pub fn begin(&self, lengths: impl Iterator<Item = usize>) {
        let slots: Vec<Slot> = lengths.map(|len| (len, None)).collect();
        *self.0.borrow_mut() = (!slots.is_empty()).then(|| slots.into());
    }
    /// Nothing is captured here?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_none()
    }
    /// Keeps a value, or as much of it as there is room for. False: there is no such place.
    pub fn set(&self, slot: usize, value: &[u8]) -> bool {
        let mut slots = self.0.borrow_mut();
        let Some((len, kept)) = slots.as_mut().and_then(|s| s.get_mut(slot)) else { return false };
        *kept = Some(value.get(..*len).unwrap_or(value).into());
        true
    }
    /// The value in a place.
    #[must_use]
    pub fn get(&self, slot: usize) -> Option<Box<[u8]>> {
        self.0.borrow().as_ref()?.get(slot)?.1.clone()
    }
    /// Each place in turn.
    pub fn each(&self, mut f: impl FnMut(usize, Option<&[u8]>)) {
        for (i, (_, value)) in self.0.borrow().iter().flat_map(|s| s.iter()).enumerate() {
            f(i, value.as_deref());
        }
    }
}

/// What rules say about the way to the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerSide {
    /// `set-bc-tos`
    pub tos: Option<u8>,
    /// `set-bc-mark`
    pub mark: Option<u32>,
    /// `set-priority-class`
    pub class: i32,
    /// `set-priority-offset`, in milliseconds.
    pub offset: i32,
    /// `set-retries`
    pub retries: Option<u32>,
}

/// What `set-timeout` changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// `client`
    Client,
    /// `connect`
    Connect,
    /// `queue`
    Queue,
    /// `server`
    Server,
    /// `tarpit`
    Tarpit,
    /// `tunnel`
    Tunnel,
}

/// The ends of the client's connection as rules have changed them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Altered {
    /// `set-src`, `set-src-port`
    pub source: Option<SocketAddr>,
    /// `set-dst`, `set-dst-port`
    pub destination: Option<SocketAddr>,
}

/// What formats ask of a frontend and its process at the moment when they are made.
pub trait Counts: std::fmt::Debug {
    /// Connections of the process (`%ac`).
    fn connections(&self) -> u32;
    /// Sessions of the frontend (`%fc`).
    fn sessions(&self) -> u32;
    /// Log lines of the frontend so far (`%lc`).
    fn log_lines(&self) -> u32;
}

/// What is known of a session and its stream. Names are borrowed from the plan.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The client as connected (or as a PROXY header told); `None`: a Unix socket.
    pub client: Option<SocketAddr>,
    /// The address that the client connected to; `None`: a Unix socket, or not asked for yet ([`Facts::connected_to`]).
    pub frontend: Option<SocketAddr>,
    /// The two ends of the client's connection as rules have changed them.
    pub altered: Option<Box<Altered>>,
    /// The server's address.
    pub server: Option<SocketAddr>,
    /// Our address towards the server.
    pub server_source: Option<SocketAddr>,
    /// Name of the frontend.
    pub frontend_name: &'a str,
    /// The variables that the stream sees.
    pub vars: crate::vars::Vars,
    /// `id` of the frontend.
    pub frontend_id: u32,
    /// Name of the backend; the frontend's while none was chosen.
    pub backend_name: &'a str,
    /// `id` of the backend; the frontend's while none was chosen.
    pub backend_id: u32,
    /// Name of the server; `<NOSRV>` for none, or what answered instead (`<STATS>` …).
    pub server_name: &'a str,
    /// `id` of the server; 0: none.
    pub server_id: u32,
    /// `name` of the `bind` line.
    pub listener_name: Option<&'a str>,
    /// `id` of the `bind` line.
    pub listener_id: u32,
    /// Wall clock when the session was accepted, since the Unix epoch.
    pub accepted: Duration,
    /// Wall clock when the request's first byte came (`%tr`); for TCP, `accepted`.
    pub requested: Duration,
    /// Wall clock now.
    pub now: Duration,
    /// Timers.
    pub timers: Timers,
    /// Status code; -1: none.
    pub status: i32,
    /// Bytes from the client that went to the server.
    pub bytes_up: u64,
    /// Bytes that went to the client.
    pub bytes_down: u64,
    /// Termination state: cause, phase, and the two of cookies.
    pub termination: [u8; 4],
    /// What its frontend and the process count; none: nobody has a use for it.
    pub counts: Option<&'a dyn Counts>,
    /// Connections of the backend.
    pub beconn: u32,
    /// Connections of the server.
    pub srvconn: u32,
    /// Connection retries.
    pub retries: u32,
    /// The request was moved to another server.
    pub redispatched: bool,
    /// Requests that were served before this one from the server's queue.
    pub server_queue: u32,
    /// The same for the backend's queue.
    pub backend_queue: u32,
    /// The log is written before the end (`option logasap`).
    pub as_soon_as_possible: bool,
    /// Requests on this connection, this one included.
    pub request_number: u32,
    /// The number of the log line that is being made (`%lc`); none: there is none, but rules may ask.
    pub log_count: Option<u32>,
    /// A PROXY header came with the connection.
    pub proxied: bool,
    /// What is known of the client's TLS, if it speaks TLS (`%ft` shows `~`).
    pub frontend_tls: Option<Rc<Info>>,
    /// The same of the server's.
    pub backend_tls: Option<Rc<Info>>,
    /// `unique-id-format`, evaluated when the id is first asked for ([`crate::Scope::unique_id`]).
    pub unique_id_format: Option<&'a crate::Format>,
    /// The unique id, once it was made.
    pub unique_id: OnceCell<Box<[u8]>>,
    /// `capture cookie` of the request, "name=value".
    pub request_cookie: Option<Box<[u8]>>,
    /// `capture cookie` of the response.
    pub response_cookie: Option<Box<[u8]>>,
    /// `capture request header`, one element a capture of the frontend.
    pub request_captures: Captured,
    /// `capture response header`.
    pub response_captures: Captured,
    /// `tune.http.logurilen`: longer request lines are cut in logs.
    pub log_uri_len: usize,
    /// When the log line is made (`%OG`).
    pub log_origin: &'static str,
    /// Requests of the process (`%rt`).
    pub request_count: u32,
    /// Where the final rule stands that was executed last (`last_rule_line`).
    pub last_rule: Option<portcullis_config::Place>,
    /// The rule that waits (`waiting_entity`).
    pub waiting: Option<portcullis_config::Place>,
    /// Is this a stream, and not only a session that has none yet or never got one?
    pub stream: bool,
    /// Is this an HTTP stream?
    pub http: bool,
    /// The client has sent something that nobody took.
    pub unread: bool,
    /// The client's connection.
    pub client_link: ClientLink,
    /// The server's connection.
    pub server_link: ServerLink,
    /// What rules said about the way to the server.
    pub side: ServerSide,
    /// What `set-timeout` said, by [`Timeout`].
    pub timeouts: Option<Box<[Option<Duration>; 6]>>,
    /// Bytes of an answer of our own, which no server sent.
    pub bytes_answered: u64,
    /// By how much rules have made the heads longer, up and down, where logs ask for it.
    pub grown: [i64; 2],
    /// Its part in a trace of OpenTelemetry, where there is an `otel` section.
    pub trace: Option<Box<crate::Trace>>,
    /// How it has ended, for logs that ask.
    pub ends: Ends,
}

impl Facts<'_> {
    /// The client's address as rules see it.
    #[must_use]
    pub fn source(&self) -> Option<SocketAddr> {
        self.altered.as_ref().and_then(|a| a.source).or(self.client)
    }
    /// The address that the client asked for as rules see it.
    #[must_use]
    pub fn destination(&self) -> Option<SocketAddr> {
        self.altered.as_ref().and_then(|a| a.destination).or_else(|| self.connected_to())
    }
    /// [`Facts::destination`] where somebody was known to want it: for what every request passes, as it asks nobody.
    #[must_use]
    pub fn known_destination(&self) -> Option<SocketAddr> {
        self.altered.as_ref().and_then(|a| a.destination).or(self.frontend)
    }
    /// The address that the client connected to; it is asked for now where nobody was known to want it.
    #[must_use]
    pub fn connected_to(&self) -> Option<SocketAddr> {
        self.frontend.or_else(|| self.client_link.socket.ends().map(|(ours, _)| ours))
    }
    /// Our address towards the server, as long as the connection is there, and as logs that ask for it have noted it.
    #[must_use]
    pub fn our_end(&self) -> Option<SocketAddr> {
        self.server_source.or_else(|| self.server_link.socket.ends().map(|(ours, _)| ours))
    }
    /// What `set-timeout` said.
    #[must_use]
    pub fn timeout(&self, which: Timeout) -> Option<Duration> {
        self.timeouts.as_ref().and_then(|all| *all.get(which as usize)?)
    }
    /// `set-timeout`
    pub fn set_timeout(&mut self, which: Timeout, to: Duration) {
        if let Some(slot) = self.timeouts.get_or_insert_default().get_mut(which as usize) {
            *slot = Some(to);
        }
    }
    /// Nothing known yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            client: None,
            frontend: None,
            altered: None,
            server: None,
            server_source: None,
            frontend_name: "",
            vars: crate::vars::Vars::default(),
            frontend_id: 0,
            backend_name: "",
            backend_id: 0,
            server_name: "<NOSRV>",
            server_id: 0,
            listener_name: None,
            listener_id: 0,
            accepted: Duration::ZERO,
            requested: Duration::ZERO,
            now: Duration::ZERO,
            timers: Timers::default(),
            status: -1,
            bytes_up: 0,
            bytes_down: 0,
            termination: *b"----",
            counts: None,
            beconn: 0,
            srvconn: 0,
            retries: 0,
            redispatched: false,
            server_queue: 0,
            backend_queue: 0,
            as_soon_as_possible: false,
            request_number: 0,
            log_count: None,
            proxied: false,
            frontend_tls: None,
            backend_tls: None,
            unique_id_format: None,
            unique_id: OnceCell::new(),
            request_cookie: None,
            response_cookie: None,
            request_captures: Captured::default(),
            response_captures: Captured::default(),
            log_uri_len: 1024,
            log_origin: "unspec",
            request_count: 0,
            last_rule: None,
            waiting: None,
            stream: false,
            http: false,
            unread: false,
            client_link: ClientLink {
                socket: Socket::NONE,
                glitches: 0,
                error: 0,
                streams: 0,
                stream: 0,
                rst_code: None,
                limit: 0,
                told: None,
            },
            server_link: ServerLink {
                socket: Socket::NONE,
                glitches: 0,
                error: None,
                reused: false,
                status: 0,
                streams: 0,
                limit: 0,
                stream: 0,
                rst_code: None,
                gone: Gone::No,
                info: None,
            },
            side: ServerSide::default(),
            timeouts: None,
            bytes_answered: 0,
            grown: [0; 2],
            trace: None,
            ends: Ends::default(),
        }
    }
}

impl Default for Facts<'_> {
    fn default() -> Self {
        Self::new()
    }
}

static STOPPING: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// Is the process stopping? (`stopping`, `when(stopping)`)
#[must_use]
pub fn stopping() -> bool {
    STOPPING.load(std::sync::atomic::Ordering::Relaxed)
}

/// Called once when the process begins to stop.
pub fn set_stopping() {
    STOPPING.store(true, std::sync::atomic::Ordering::Relaxed);
}

static WORKERS: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1);

/// How many workers there are.
#[must_use]
pub fn workers() -> u32 {
    WORKERS.load(std::sync::atomic::Ordering::Relaxed)
}

/// Called once before the workers begin.
pub fn set_workers(number: u32) {
    WORKERS.store(number, std::sync::atomic::Ordering::Relaxed);
}

static BUFFER_SIZE: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(16384);

/// `tune.bufsize`
#[must_use]
pub fn buffer_size() -> usize {
    BUFFER_SIZE.load(std::sync::atomic::Ordering::Relaxed)
}

/// Called once before the workers begin.
pub fn set_buffer_size(bytes: usize) {
    BUFFER_SIZE.store(bytes, std::sync::atomic::Ordering::Relaxed);
}

thread_local! {
    static THREAD: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// Number of this worker, from 0 (`thread`).
#[must_use]
pub fn thread() -> u32 {
    THREAD.get()
}

/// Called once when a worker begins.
pub fn set_thread(number: u32) {
    THREAD.set(number);
}
