//! Where an expression may be used: the 22 columns of the `-dKsmp` dump.

bitflags::bitflags! {
    /// Places in the configuration, and in a stream's life, where an expression is evaluated.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Places: u32 {
        /// `tcp-request connection`
        const FE_CONNECTION = 1;
        /// `tcp-request session`
        const FE_SESSION = 1 << 1;
        /// `tcp-request content` of a frontend
        const FE_CONTENT = 1 << 2;
        /// `http-request` of a frontend
        const FE_HTTP_REQUEST = 1 << 3;
        /// body of a request in a frontend
        const FE_HTTP_REQUEST_BODY = 1 << 4;
        /// `use_backend`
        const FE_USE_BACKEND = 1 << 5;
        /// `tcp-request content` of a backend
        const BE_CONTENT = 1 << 6;
        /// `http-request` of a backend
        const BE_HTTP_REQUEST = 1 << 7;
        /// body of a request in a backend
        const BE_HTTP_REQUEST_BODY = 1 << 8;
        /// `use-server`, `balance`, `stick match`
        const BE_SERVER = 1 << 9;
        /// `source`
        const BE_SOURCE = 1 << 10;
        /// `tcp-response content` of a backend
        const BE_RESPONSE = 1 << 11;
        /// `http-response` of a backend
        const BE_HTTP_RESPONSE = 1 << 12;
        /// body of a response in a backend
        const BE_HTTP_RESPONSE_BODY = 1 << 13;
        /// `stick store-response`
        const BE_STORE = 1 << 14;
        /// `tcp-response content` seen by a frontend
        const FE_RESPONSE = 1 << 15;
        /// `http-response` of a frontend
        const FE_HTTP_RESPONSE = 1 << 16;
        /// body of a response in a frontend
        const FE_HTTP_RESPONSE_BODY = 1 << 17;
        /// logs
        const LOG = 1 << 18;
        /// `tcp-check` and `http-check`
        const CHECK = 1 << 19;
        /// while the configuration is read
        const CONFIG = 1 << 20;
        /// on the command line of the Runtime API
        const CLI = 1 << 21;
        /// Everywhere.
        const ALL = (1 << 22) - 1;
    }
}

/// The dump's names of the columns, leftmost first.
pub const NAMES: [&str; 22] = [
    "frontend tcp-request connection rule",
    "frontend tcp-request session rule",
    "frontend tcp-request content rule",
    "frontend http-request header rule",
    "frontend http-request body rule",
    "frontend use-backend rule",
    "backend tcp-request content rule",
    "backend http-request header rule",
    "backend http-request body rule",
    "backend use-server, balance or stick-match rule",
    "server source selection",
    "backend tcp-response content rule",
    "backend http-response header rule",
    "backend http-response body rule",
    "backend stick-store rule",
    "frontend tcp-response content rule",
    "frontend http-response header rule",
    "frontend http-response body rule",
    "logs",
    "backend tcp-check rule",
    "configuration parser",
    "CLI parser",
];

impl Places {
    /// The name of the first place of the set.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES.get(self.bits().trailing_zeros() as usize).copied().unwrap_or("nowhere")
    }
}

/// What a fetch needs, which decides where it is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Places where that is there.
    pub places: Places,
    /// What messages call it.
    pub name: &'static str,
}

impl Needs {
    /// Is it a part of a message, or of the buffers that it is in?
    #[must_use]
    pub fn is_of_message(self) -> bool {
        [REQUEST, REQUEST_BYTES, REQUEST_LINE, RESPONSE, RESPONSE_BYTES, EITHER, EITHER_BYTES].contains(&self)
    }
}

const fn needs(columns: &[u8; 22], name: &'static str) -> Needs {
    let mut bits = 0;
    let mut i = 0;
    while i < 22 {
        if columns[i] == b'Y' {
            bits |= 1 << i;
        }
        i += 1;
    }
    Needs { places: Places::from_bits_truncate(bits), name }
}

/// Nothing: constants.
pub const CONSTANT: Needs = needs(b"YYYYYYYYYYYYYYYYYYYYYY", "constant");
/// Internal state of the process.
pub const INTERNAL: Needs = needs(b"YYYYYYYYYYYYYYYYYYYY.Y", "internal state");
/// The frontend that accepted the connection.
pub const FRONTEND: Needs = needs(b"YYYYYYYYYYYYYYYYYYY...", "frontend");
/// The client's connection.
pub const CLIENT_CONNECTION: Needs = needs(b"YYYYYYYYYYYYYYYYYYYY..", "client address");
/// The client's session (TLS).
pub const CLIENT_SESSION: Needs = needs(b".YYYYYYYYYYYYYYYYYY...", "client-side connection");
/// Bytes of the request in the buffer.
pub const REQUEST_BYTES: Needs = needs(b"..YYYYYYYYY...........", "request buffer");
/// Headers of the request, while they are there.
pub const REQUEST: Needs = needs(b"..YYYYYYYYY...........", "HTTP request headers");
/// The request line, kept until the log.
pub const REQUEST_LINE: Needs = needs(b"..YYYYYYYYYYYYYYYYY...", "HTTP request");
/// Headers of the request or of the response.
pub const EITHER: Needs = needs(b"..YYYYYYYYYYYYYYYY.Y..", "HTTP request headers,HTTP response headers");
/// The backend.
pub const BACKEND: Needs = needs(b"......YYYYYYYYYYYYYY..", "backend");
/// The server's connection.
pub const SERVER_CONNECTION: Needs = needs(b"..........YYYYYYYYYY..", "server");
/// The end of the request.
pub const REQUEST_END: Needs = needs(b".........YYYYYYYYYY...", "response buffer statistics");
/// The server's session, or the response line.
pub const RESPONSE_LINE: Needs = needs(b"...........YYYYYYYYY..", "HTTP response");
/// Bytes of the response in the buffer.
pub const RESPONSE_BYTES: Needs = needs(b"...........YYYYYYY.Y..", "response buffer");
/// Headers of the response.
pub const RESPONSE: Needs = needs(b"...........YYYYYYY.Y..", "HTTP response headers");
/// Bytes of either buffer.
pub const EITHER_BYTES: Needs = needs(b"..YYYYYYYYYYYYYYYY.Y..", "request buffer,response buffer");
/// Counters of the request.
pub const REQUEST_COUNTERS: Needs = needs(b"..YYYYYYYYYYYYYYYYY...", "request buffer statistics");
/// Address of the server, and what is known once it is connected.
pub const SERVER_ADDRESS: Needs = needs(b"...........YYYYYYYYY..", "server address");
