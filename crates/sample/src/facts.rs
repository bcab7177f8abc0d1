//! The one record of a session or stream that fetches, log lines and listings read.

use portcullis_tls::info::Info;
use std::cell::OnceCell;
use std::net::SocketAddr;
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

/// What is known of a session and its stream. Names are borrowed from the plan.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The client as connected (or as a PROXY header told); `None`: a Unix socket.
    pub client: Option<SocketAddr>,
    /// The address that the client connected to; `None`: a Unix socket, or not asked for yet.
    pub frontend: Option<SocketAddr>,
    /// `set-src` and the like: the source as rules see it.
    pub source: Option<SocketAddr>,
    /// `set-dst` and the like.
    pub destination: Option<SocketAddr>,
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
    /// Connections of the process, the frontend, the backend, the server.
    pub actconn: u32,
    /// See `actconn`.
    pub feconn: u32,
    /// See `actconn`.
    pub beconn: u32,
    /// See `actconn`.
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
    /// Log lines of the frontend so far, this one included (`%lc`).
    pub log_count: u32,
    /// A PROXY header came with the connection.
    pub proxied: bool,
    /// What is known of the client's TLS, if it speaks TLS (`%ft` shows `~`).
    pub frontend_tls: Option<Rc<Info>>,
    /// The same of the server's.
    pub backend_tls: Option<Rc<Info>>,
    /// What ended the client's connection before its first stream, in HAProxy's numbers (`fc_err`); 0: nothing.
    pub connection_error: u8,
    /// `unique-id-format`, evaluated when the id is first asked for ([`crate::Scope::unique_id`]).
    pub unique_id_format: Option<&'a crate::Format>,
    /// The unique id, once it was made.
    pub unique_id: OnceCell<Box<[u8]>>,
    /// `capture cookie` of the request, "name=value".
    pub request_cookie: Option<Box<[u8]>>,
    /// `capture cookie` of the response.
    pub response_cookie: Option<Box<[u8]>>,
    /// `capture request header`, one element a capture of the frontend.
    pub request_captures: Vec<Option<Box<[u8]>>>,
    /// `capture response header`.
    pub response_captures: Vec<Option<Box<[u8]>>>,
    /// `tune.http.logurilen`: longer request lines are cut in logs.
    pub log_uri_len: usize,
    /// When the log line is made (`%OG`).
    pub log_origin: &'static str,
    /// Requests of the process (`%rt`).
    pub request_count: u32,
    /// Where the final rule stands that was executed last (`last_rule_line`).
    pub last_rule: Option<portcullis_config::Place>,
    /// Is this an HTTP stream?
    pub http: bool,
    /// Method, target and version as received; empty: there was no valid request.
    pub request_line: [&'a [u8]; 3],
}

impl Facts<'_> {
    /// Nothing known yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            client: None,
            frontend: None,
            source: None,
            destination: None,
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
            actconn: 0,
            feconn: 0,
            beconn: 0,
            srvconn: 0,
            retries: 0,
            redispatched: false,
            server_queue: 0,
            backend_queue: 0,
            as_soon_as_possible: false,
            request_number: 0,
            log_count: 0,
            proxied: false,
            frontend_tls: None,
            backend_tls: None,
            connection_error: 0,
            unique_id_format: None,
            unique_id: OnceCell::new(),
            request_cookie: None,
            response_cookie: None,
            request_captures: Vec::new(),
            response_captures: Vec::new(),
            log_uri_len: 1024,
            log_origin: "unspec",
            request_count: 0,
            last_rule: None,
            http: false,
            request_line: [b"", b"", b""],
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
