//! What a stream tells of itself when a listing asks (`show sess`): what its task alone knows.
//!
//! Who asks leaves a [`Call`](super::slots::Call) in the stream's slot and wakes it. A stream that waits looks there anyway, to see
//! whether it shall end, so that one that nobody asks pays nothing.

use portcullis_message::Head;
use portcullis_transport::Millis;
use portcullis_transport::conn::Conn;
use rustix::fd::AsRawFd;
use std::net::SocketAddr;

/// How far it is on the way to its server, as HAProxy numbers it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// No server is wanted yet, or no place on the way there says more.
    #[default]
    Begun = 0,
    /// It waits in a queue.
    Queued = 2,
    /// It waits before it tries again.
    TurnAround = 3,
    /// It connects.
    Connecting = 5,
    /// There is a connection.
    Established = 8,
}

impl Phase {
    /// As listings call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Begun => "INI",
            Self::Queued => "QUE",
            Self::TurnAround => "TAR",
            Self::Connecting => "CON",
            Self::Established => "EST",
        }
    }
}

/// A connection of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The descriptor; none: another worker's.
    pub fd: Option<i32>,
    /// Our address.
    pub local: Option<SocketAddr>,
    /// The peer's.
    pub remote: Option<SocketAddr>,
    /// It speaks TLS.
    pub tls: bool,
    /// The stream is one of an HTTP/2 connection.
    pub streamed: bool,
}

impl End {
    fn of(conn: &Conn) -> Self {
        Self {
            fd: conn.fd().map(|fd| fd.as_raw_fd()),
            local: conn.local(),
            remote: conn.remote(),
            tls: conn.is_tls(),
            streamed: conn.stream().is_some(),
        }
    }
}

/// The beginning of its request, as logs show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The method.
    pub method: Box<[u8]>,
    /// Method, target and version.
    pub text: Box<[u8]>,
}

/// What it tells.
#[derive(Clone, Debug)]
pub struct Story {
    /// How far it is.
    pub phase: Phase,
    /// When it will have waited long enough.
    pub due: Millis,
    /// When its client will have, and its server.
    pub sides: [Millis; 2],
    /// The client's connection.
    pub client: Option<End>,
    /// The server's.
    pub server: Option<End>,
    /// Its request, if it is one.
    pub request: Option<Line>,
    /// The response's status, once that is there.
    pub status: Option<u16>,
    /// Bytes from the client that went to the server, and from the server that went to the client, as logs count them.
    pub bytes: [u64; 2],
    /// Attempts to connect that failed.
    pub retries: u32,
}

impl Default for Story {
    fn default() -> Self {
        Self {
            phase: Phase::Begun,
            due: Millis::NEVER,
            sides: [Millis::NEVER; 2],
            client: None,
            server: None,
            request: None,
            status: None,
            bytes: [0; 2],
            retries: 0,
        }
    }
}

impl Story {
    /// Of one between these two.
    #[must_use]
    pub fn between(client: &Conn, server: &Conn) -> Self {
        let server = Some(End::of(server));
        Self { server, ..Self::on_the_way(client, Phase::Established) }
    }
    /// Of one that has no server yet.
    #[must_use]
    pub fn on_the_way(client: &Conn, phase: Phase) -> Self {
        Self { phase, client: Some(End::of(client)), ..Self::default() }
    }
    /// With its request.
    #[must_use]
    pub fn asking(self, head: &Head) -> Self {
        let method: Box<[u8]> = head.method().into();
        let version = format!("HTTP/{}.{}", head.version.major, head.version.minor);
        let mut text = Vec::with_capacity(method.len() + head.target().len() + version.len() + 2);
        for part in [&*method, b" ", head.target(), b" ", version.as_bytes()] {
            text.extend_from_slice(part);
        }
        Self { request: Some(Line { method, text: text.into() }), ..self }
    }
}
