//! The sources of events: their names, events, criteria and verbosities are HAProxy's, as far as they exist here.

/// How much detail an event belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Errors.
    Error = 0,
    /// What a user wants to see.
    #[default]
    User = 1,
    /// What the protocols do.
    Proto = 2,
    /// Changes of states.
    State = 3,
    /// Bytes that pass.
    Data = 4,
    /// Everything.
    Developer = 5,
}

impl Level {
    /// Every level, its name, and what it stands for.
    pub const ALL: &[(Level, &'static str, &'static str)] = &[
        (Level::Error, "error", "report errors"),
        (Level::User, "user", "also information useful to the end user"),
        (Level::Proto, "proto", "also protocol-level updates"),
        (Level::State, "state", "also report internal state changes"),
        (Level::Data, "data", "also report data transfers"),
        (Level::Developer, "developer", "also report information useful only to the developer"),
    ];
    /// The level of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|l| l.1 == name).map(|l| l.0)
    }
}

/// What a source can be locked on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Criterion {
    /// `backend`
    Backend,
    /// `check`
    Check,
    /// `connection`
    Connection,
    /// `frontend`
    Frontend,
    /// `listener`
    Listener,
    /// `nothing`
    #[default]
    Nothing,
    /// `applet`
    Applet,
    /// `server`
    Server,
    /// `session`
    Session,
    /// `stream`, and `h1s` and `h2s`
    Stream,
    /// `thread`
    Thread,
}

/// A criterion under a source's name for it, and what a list says of it.
pub type Lock = (Criterion, &'static str, &'static str);

const BACKEND: Lock = (Criterion::Backend, "backend", "lock on the backend that started the trace");
const CHECK: Lock = (Criterion::Check, "check", "lock on the check that started the trace");
const CONNECTION: Lock =
    (Criterion::Connection, "connection", "lock on the connection that started the trace");
const FRONTEND: Lock = (Criterion::Frontend, "frontend", "lock on the frontend that started the trace");
const LISTENER: Lock = (Criterion::Listener, "listener", "lock on the listener that started the trace");
const NOTHING: Lock = (Criterion::Nothing, "nothing", "do not lock on anything");
const APPLET: Lock = (Criterion::Applet, "applet", "lock on the applet that started the trace");
const SERVER: Lock = (Criterion::Server, "server", "lock on the server that started the trace");
const SESSION: Lock = (Criterion::Session, "session", "lock on the session that started the trace");
const STREAM: Lock = (Criterion::Stream, "stream", "lock on the stream that started the trace");
const THREAD: Lock = (Criterion::Thread, "thread", "lock on the thread that started the trace");

/// Sources of HAProxy's that are not here, and why.
const ABSENT: &[(&str, &str)] = &[
    ("acme", "what ACME does is told in log lines."),
    ("fcgi", "there is no FastCGI here."),
    ("haterm", "there is no server of that kind here."),
    ("peers", "there are no peers here."),
    ("pt", "what happens to TCP streams is told by 'stream'."),
    ("spop", "there is no SPOP here."),
];

/// What there is to be said about a source.
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub what: &'static str,
    /// Its events: name and meaning; the bit is the place.
    pub events: &'static [(&'static str, &'static str)],
    /// What it can be locked on.
    pub locks: &'static [Lock],
    /// Its verbosities above `quiet`.
    pub verbosities: &'static [(&'static str, &'static str)],
}

/// Verbosity 0 of every source.
pub const QUIET: (&str, &str) = ("quiet", "only report basic information with no decoding");
const DEFAULT: &[(&str, &str)] = &[("default", "report extra information when available")];

const fn levels(
    minimal: &'static str,
    simple: &'static str,
    advanced: &'static str,
    complete: &'static str,
) -> [(&'static str, &'static str); 5] {
    [
        ("clean", "only user-friendly stuff, generally suitable for level \"user\""),
        ("minimal", minimal),
        ("simple", simple),
        ("advanced", advanced),
        ("complete", complete),
    ]
}

const H1: [(&str, &str); 5] = levels(
    "report only h1c/h1s state and flags, no real decoding",
    "add request/response status line or htx info when available",
    "add header fields or frame decoding when available",
    "add full data dump when available",
);
const H2: [(&str, &str); 5] = levels(
    "report only h2c/h2s state and flags, no real decoding",
    "add request/response status line or frame info when available",
    "add header fields or frame decoding when available",
    "add full data dump when available",
);
const SSL: [(&str, &str); 5] = levels(
    "report only conn, no real decoding",
    "add error messages",
    "add handshake-related details",
    "add full data dump when available",
);
const STREAMS: [(&str, &str); 5] = levels(
    "report info on streams and connectors",
    "add info on request and response channels",
    "add info on channel's buffer for data and developer levels only",
    "add info on channel's buffer",
);

macro_rules! sources {
    ($($(#[$doc:meta])* $source:ident $module:ident $name:literal $what:literal
        locks $locks:expr; verbosities $verbosities:expr;
        $($event:ident $code:literal $meaning:literal,)+;)+) => {
        /// Whose events there are.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Source { $($(#[$doc])* $source,)+ }
        /// The events of each source, as bits.
        pub mod events {
            $(#[doc = concat!("Events of `", $name, "`.")]
            pub mod $module { sources!(@bits 0; $($event $meaning,)+); })+
        }
        const TABLES: &[Table] = &[$(Table {
            name: $name,
            what: $what,
            events: &[$(($code, $meaning)),+],
            locks: $locks,
            verbosities: $verbosities,
        }),+];
        impl Source {
            /// All of them.
            pub const ALL: &[Source] = &[$(Source::$source),+];
        }
    };
    (@bits $n:expr; $event:ident $meaning:literal, $($rest:tt)*) => {
        #[doc = $meaning]
        pub const $event: u64 = 1 << ($n);
        sources!(@bits $n + 1; $($rest)*);
    };
    (@bits $n:expr;) => {};
}

sources! {
    /// HTTP/2 connections, clients' and servers'.
    H2 h2 "h2" "HTTP/2 multiplexer"
        locks &[BACKEND, CONNECTION, FRONTEND, LISTENER, NOTHING, SERVER, SESSION, THREAD, (Criterion::Stream, "h2s", "H2 stream")];
        verbosities &H2;
        H2C_NEW "h2c_new" "new H2 connection",
        H2C_END "h2c_end" "H2 connection terminated",
        H2C_ERR "h2c_err" "error on H2 connection",
        RX_FRAME "rx_frame" "receipt of any H2 frame",
        RX_EOI "rx_eoi" "receipt of end of H2 input (ES or RST)",
        RX_PREFACE "rx_preface" "receipt of H2 preface",
        RX_DATA "rx_data" "receipt of H2 DATA frame",
        RX_HDR "rx_hdr" "receipt of H2 HEADERS frame",
        RX_PRIO "rx_prio" "receipt of H2 PRIORITY frame",
        RX_RST "rx_rst" "receipt of H2 RST_STREAM frame",
        RX_SETTINGS "rx_settings" "receipt of H2 SETTINGS frame",
        RX_PUSH "rx_push" "receipt of H2 PUSH_PROMISE frame",
        RX_PING "rx_ping" "receipt of H2 PING frame",
        RX_GOAWAY "rx_goaway" "receipt of H2 GOAWAY frame",
        RX_WU "rx_wu" "receipt of H2 WINDOW_UPDATE frame",
        RX_CONT "rx_cont" "receipt of H2 CONTINUATION frame",
        TX_HDR "tx_hdr" "transmission of H2 HEADERS frame",
        H2C_SEND "h2c_send" "Tx on H2 connection",
        H2C_RECV "h2c_recv" "Rx on H2 connection",
        H2S_NEW "h2s_new" "new H2 stream",
        H2S_ERR "h2s_err" "error on H2 stream",
        PROTO_ERR "proto_err" "protocol error",;
    /// TLS with clients and servers.
    Ssl ssl "ssl" "SSL xprt"
        locks &[BACKEND, CONNECTION, FRONTEND, LISTENER, NOTHING, SERVER, SESSION, THREAD];
        verbosities &SSL;
        SSLC_NEW "sslc_new" "new SSL connection",
        SSLC_END "sslc_end" "SSL connection end",
        SSLC_ERR "sslc_err" "SSL error",
        SSLC_HNDSHK "sslc_hndshk" "SSL handshake",;
    /// HTTP/1 connections, clients' and servers'.
    H1 h1 "h1" "HTTP/1 multiplexer"
        locks &[BACKEND, CONNECTION, FRONTEND, LISTENER, NOTHING, SERVER, SESSION, THREAD, (Criterion::Stream, "h1s", "H1 stream")];
        verbosities &H1;
        H1C_NEW "h1c_new" "new H1 connection",
        H1C_END "h1c_end" "H1 connection terminated",
        H1C_ERR "h1c_err" "error on H1 connection",
        RX_DATA "rx_data" "receipt of any H1 data",
        RX_EOI "rx_eoi" "receipt of end of H1 input",
        RX_HEADERS "rx_headers" "receipt of H1 headers",
        RX_BODY "rx_body" "receipt of H1 body",
        TX_DATA "tx_data" "transmission of any H1 data",
        TX_BODY "tx_body" "transmission of H1 body",
        TX_EOI "tx_eoi" "transmission of end of H1 input",
        TX_HEADERS "tx_headers" "transmission of all headers",
        H1S_NEW "h1s_new" "new H1 stream",
        H1S_END "h1s_end" "H1 stream terminated",
        H1S_ERR "h1s_err" "error on H1 stream",;
    /// Requests and TCP connections.
    Stream stream "stream" "Applicative stream"
        locks &[BACKEND, FRONTEND, LISTENER, NOTHING, SERVER, SESSION, STREAM, THREAD];
        verbosities &STREAMS;
        STRM_NEW "strm_new" "new stream",
        STRM_FREE "strm_free" "release stream",
        STRM_ERR "strm_err" "error during stream processing",
        SC_STATE "sc_state" "processing connector states",
        HTTP_ANA "http_ana" "HTTP analyzers",
        TCP_ANA "tcp_ana" "TCP analyzers",;
    /// Health checks.
    Check check "check" "Health-check"
        locks &[CHECK, NOTHING, THREAD];
        verbosities &STREAMS;
        HCHCK_START "hchck_start" "Health-check started",
        HCHCK_RUN "hchck_run" "Health-check running",
        HCHCK_END "hchck_end" "Health-check terminated",
        HCHCK_SUCC "hchck_succ" "Health-check success",
        HCHCK_ERR "hchck_err" "Health-check failure",
        TCP_CHECK_EVAL "tcp_check_eval" "tcp-check rules evaluation",
        TCP_CHECK_ERR "tcp_check_err" "tcp-check evaluation error",
        TCP_CHECK_CONN "tcp_check_conn" "tcp-check connection rule",
        TCP_CHECK_SEND "tcp_check_send" "tcp-check send rule",
        TCP_CHECK_EXPECT "tcp_check_expect" "tcp-check expect rule",
        TCP_CHECK_ACTION "tcp_check_action" "tcp-check action rule",
        RX_DATA "rx_data" "receipt of data",
        RX_ERR "rx_err" "receipt error",
        TX_DATA "tx_data" "transmission of data",
        TX_ERR "tx_err" "transmission error",;
    /// Answers that come from inside the process.
    Applet applet "applet" "Applet endpoint"
        locks &[NOTHING, APPLET, THREAD];
        verbosities &STREAMS;
        APP_NEW "app_new" "new appctx",
        APP_FREE "app_free" "free appctx",
        APP_SEND "app_send" "TX on appctx",;
    /// Clients' connections.
    Session session "session" "client session management"
        locks &[FRONTEND, LISTENER, NOTHING, SESSION, THREAD];
        verbosities DEFAULT;
        SESS_NEW "sess_new" "new session creation",
        SESS_END "sess_end" "session termination",
        SESS_ERR "sess_err" "session error",;
}

impl Source {
    /// What there is to be said about it.
    #[must_use]
    pub fn table(self) -> &'static Table {
        &TABLES[self as usize]
    }
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.table().name
    }
    /// The source of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|s| s.name() == name)
    }
    /// The same, or what is wrong with the name.
    ///
    /// # Errors
    /// A sentence: no source has that name, or HAProxy's of that name is not here.
    pub fn wanted(name: &str) -> Result<Self, String> {
        Self::named(name).ok_or_else(|| match ABSENT.iter().find(|(n, _)| *n == name) {
            Some((_, why)) => format!("Trace source '{name}' is not supported yet: {why}"),
            None => format!("No such trace source '{name}'"),
        })
    }
    /// Verbosities, `quiet` first.
    pub fn verbosities(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        std::iter::once(QUIET).chain(self.table().verbosities.iter().copied())
    }
}
