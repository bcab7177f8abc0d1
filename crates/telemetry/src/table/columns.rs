//! The columns of `show stat` (management manual 9.1), in their order; a name, what kind of number it is (9.2) and
//! one sentence each.

/// A column.
#[derive(Debug)]
pub struct Column {
    /// Its name in the header.
    pub name: &'static str,
    /// Origin, nature, scope, persistence (manual 9.2).
    pub tag: &'static str,
    /// One sentence.
    pub help: &'static str,
}

/// Columns up to this one are always there and in this order; `-` stands behind them in the header.
pub const STATIC: usize = Col::CacheHintHits as usize + 1;

macro_rules! columns {
    ($($var:ident $name:ident $tag:literal $help:literal;)*) => {
        /// Which column.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Col { $(#[doc = $help] $var,)* }
        /// All of them.
        pub const COLUMNS: &[Column] = &[$(Column { name: stringify!($name), tag: $tag, help: $help },)*];
    };
}

columns! {
    Pxname pxname "KNSV" "Proxy name";
    Svname svname "KNSV" "Server name";
    Qcur qcur "MGPV" "Number of current queued connections";
    Qmax qmax "MMPV" "Highest value of queued connections encountered since process started";
    Scur scur "MGPV" "Number of current sessions on the frontend, backend or server";
    Smax smax "MMPV" "Highest value of current sessions encountered since process started";
    Slim slim "CLPV" "Frontend/listener/server's maxconn, backend's fullconn";
    Stot stot "MCPP" "Total number of sessions since process started";
    Bin bin "MCPP" "Total number of request bytes since process started";
    Bout bout "MCPP" "Total number of response bytes since process started";
    Dreq dreq "MCPP" "Total number of denied requests since process started";
    Dresp dresp "MCPP" "Total number of denied responses since process started";
    Ereq ereq "MCPP" "Total number of invalid requests since process started";
    Econ econ "MCPP" "Total number of failed connections to server since the worker process started";
    Eresp eresp "MCPP" "Total number of invalid responses since the worker process started";
    Wretr wretr "MCPP" "Total number of server connection retries since the worker process started";
    Wredis wredis "MCPP" "Total number of server redispatches due to connection failures since the worker process started";
    Status status "SGPV" "Frontend/listen status: OPEN/WAITING/FULL/STOP; backend: UP/DOWN; server: last check status";
    Weight weight "MaPV" "Server's effective weight, or sum of active servers' effective weights for a backend";
    Act act "SGPV" "Total number of active UP servers with a non-zero weight";
    Bck bck "SGPV" "Total number of backup UP servers with a non-zero weight";
    Chkfail chkfail "MCPP" "Total number of failed individual health checks per server/backend, since the worker process started";
    Chkdown chkdown "MCPP" "Total number of failed checks causing UP to DOWN server transitions, per server/backend, since the worker process started";
    Lastchg lastchg "MAPP" "How long ago the last server state changed, in seconds";
    Downtime downtime "MCPV" "Total time spent in DOWN state, for server or backend";
    Qlimit qlimit "CGSV" "Limit on the number of connections in queue, for servers only (maxqueue argument)";
    Pid pid "KGPV" "Relative worker process number (1)";
    Iid iid "KGSV" "Frontend or Backend numeric identifier ('id' setting)";
    Sid sid "KGSV" "Server numeric identifier ('id' setting)";
    Throttle throttle "MaPV" "Throttling ratio applied to a server's maxconn and weight during the slowstart period (0 to 100%)";
    Lbtot lbtot "MCPP" "Total number of requests routed by load balancing since the worker process started (ignores queue pop and stickiness)";
    Tracked tracked "CGSV" "Name of the other server this server tracks for its state";
    Type type "CGSV" "Type of the object (Listener, Frontend, Backend, Server)";
    Rate rate "MRPP" "Total number of sessions processed by this object over the last second (sessions for listeners/frontends, requests for backends/servers)";
    RateLim rate_lim "CLPV" "Limit on the number of sessions accepted in a second (frontend only, 'rate-limit sessions' setting)";
    RateMax rate_max "MMPV" "Highest value of sessions per second observed since the worker process started";
    CheckStatus check_status "MOPV" "Status report of the server's latest health check, prefixed with '*' if a check is currently in progress";
    CheckCode check_code "MGPV" "HTTP/SMTP/LDAP status code reported by the latest server health check";
    CheckDuration check_duration "MDPV" "Total duration of the latest server health check, in milliseconds";
    Hrsp1xx hrsp_1xx "MCPP" "Total number of HTTP responses with status 100-199 returned by this object since the worker process started";
    Hrsp2xx hrsp_2xx "MCPP" "Total number of HTTP responses with status 200-299 returned by this object since the worker process started";
    Hrsp3xx hrsp_3xx "MCPP" "Total number of HTTP responses with status 300-399 returned by this object since the worker process started";
    Hrsp4xx hrsp_4xx "MCPP" "Total number of HTTP responses with status 400-499 returned by this object since the worker process started";
    Hrsp5xx hrsp_5xx "MCPP" "Total number of HTTP responses with status 500-599 returned by this object since the worker process started";
    HrspOther hrsp_other "MCPP" "Total number of HTTP responses with status <100, >599 returned by this object since the worker process started (error -1 included)";
    Hanafail hanafail "MCPP" "Total number of failed checks caused by an 'on-error' directive after an 'observe' condition matched";
    ReqRate req_rate "MRPP" "Number of HTTP requests processed over the last second on this object";
    ReqRateMax req_rate_max "MMPV" "Highest value of http requests observed since the worker process started";
    ReqTot req_tot "MCPP" "Total number of HTTP requests processed by this object since the worker process started";
    CliAbrt cli_abrt "MCPP" "Total number of requests or connections aborted by the client since the worker process started";
    SrvAbrt srv_abrt "MCPP" "Total number of requests or connections aborted by the server since the worker process started";
    CompIn comp_in "MCPP" "Total number of bytes submitted to the HTTP compressor for this object since the worker process started";
    CompOut comp_out "MCPP" "Total number of bytes emitted by the HTTP compressor for this object since the worker process started";
    CompByp comp_byp "MCPP" "Total number of bytes that bypassed HTTP compression for this object since the worker process started (CPU/memory/bandwidth limitation)";
    CompRsp comp_rsp "MCPP" "Total number of HTTP responses that were compressed for this object since the worker process started";
    Lastsess lastsess "MAPP" "How long ago some traffic was seen on this object on this worker process, in seconds";
    LastChk last_chk "MOPV" "Short description of the latest health check report for this server";
    LastAgt last_agt "MOPV" "Short description of the latest agent check report for this server";
    Qtime qtime "MaPV" "Time spent in the queue, in milliseconds, averaged over the 1024 last requests (backend/server)";
    Ctime ctime "MaPV" "Time spent waiting for a connection to complete, in milliseconds, averaged over the 1024 last requests (backend/server)";
    Rtime rtime "MaPV" "Time spent waiting for a server response, in milliseconds, averaged over the 1024 last requests (backend/server)";
    Ttime ttime "MaPV" "Total request+response time (request+queue+connect+response+processing), in milliseconds, averaged over the 1024 last requests (backend/server)";
    AgentStatus agent_status "MOPV" "Status report of the server's latest agent check";
    AgentCode agent_code "MGPV" "Status code reported by the latest server agent check";
    AgentDuration agent_duration "MDPV" "Total duration of the latest server agent check";
    CheckDesc check_desc "MOPV" "Textual description of the latest health check report for this server";
    AgentDesc agent_desc "MOPV" "Textual description of the latest agent check report for this server";
    CheckRise check_rise "CGSV" "Number of successful health checks before declaring a server UP (server 'rise' setting)";
    CheckFall check_fall "CGSV" "Number of failed health checks before declaring a server DOWN (server 'fall' setting)";
    CheckHealth check_health "CGSV" "Current server health check level (0..fall-1=DOWN, fall..rise-1=UP)";
    AgentRise agent_rise "CGSV" "Number of successful agent checks before declaring a server UP";
    AgentFall agent_fall "CGSV" "Number of failed agent checks before declaring a server DOWN";
    AgentHealth agent_health "CGSV" "Current server agent check level (0..fall-1=DOWN, fall..rise-1=UP)";
    Addr addr "CGSV" "Server's address:port, shown only if show-legends is set, or at levels oper/admin for the CLI";
    Cookie cookie "CNSV" "Backend's cookie name or Server's cookie value, shown only if show-legends is set, or at levels oper/admin for the CLI";
    Mode mode "CGSV" "'mode' setting (tcp/http/health/cli/spop)";
    Algo algo "CGSV" "Backend's load balancing algorithm, shown only if show-legends is set, or at levels oper/admin for the CLI";
    ConnRate conn_rate "MRPP" "Number of new connections accepted over the last second on the frontend for this worker process";
    ConnRateMax conn_rate_max "MMPV" "Highest value of connections per second observed since the worker process started";
    ConnTot conn_tot "MCPP" "Total number of new connections accepted on this frontend since the worker process started";
    Intercepted intercepted "MCPP" "Total number of HTTP requests intercepted on the frontend (redirects/stats/services) since the worker process started";
    Dcon dcon "MCPP" "Total number of incoming connections blocked on a listener/frontend by a tcp-request connection rule since the worker process started";
    Dses dses "MCPP" "Total number of incoming sessions blocked on a listener/frontend by a tcp-request connection rule since the worker process started";
    Wrew wrew "MCPP" "Total number of failed HTTP header rewrites since the worker process started";
    Connect connect "MCPP" "Total number of outgoing connection attempts on this backend/server since the worker process started";
    Reuse reuse "MCPP" "Total number of reused connection on this backend/server since the worker process started";
    CacheLookups cache_lookups "MCPP" "Total number of HTTP requests looked up in the cache on this frontend/backend since the worker process started";
    CacheHits cache_hits "MCPP" "Total number of HTTP requests not found in the cache on this frontend/backend since the worker process started";
    SrvIcur srv_icur "MGPV" "Current number of idle connections available for reuse on this server";
    SrcIlim src_ilim "CLPV" "Limit on the number of available idle connections on this server";
    QtimeMax qtime_max "MMPV" "Maximum observed time spent in the queue, in milliseconds (backend/server)";
    CtimeMax ctime_max "MMPV" "Maximum observed time spent waiting for a connection to complete, in milliseconds (backend/server)";
    RtimeMax rtime_max "MMPV" "Maximum observed time spent waiting for a server response, in milliseconds (backend/server)";
    TtimeMax ttime_max "MMPV" "Maximum observed total request+response time (request+queue+connect+response+processing), in milliseconds (backend/server)";
    Eint eint "MCPP" "Total number of internal errors since process started";
    IdleConnCur idle_conn_cur "MGPV" "Current number of unsafe idle connections";
    SafeConnCur safe_conn_cur "MGPV" "Current number of safe idle connections";
    UsedConnCur used_conn_cur "MGPV" "Current number of connections in use";
    NeedConnEst need_conn_est "MGPV" "Estimated needed number of connections";
    Uweight uweight "MaPV" "Server's user weight, or sum of active servers' user weights for a backend";
    AggServerStatus agg_server_status "MGPV" "Backend's aggregated gauge of servers' status";
    AggServerCheckStatus agg_server_check_status "MGPV" "[DEPRECATED] Backend's aggregated gauge of servers' status";
    AggCheckStatus agg_check_status "MGPV" "Backend's aggregated gauge of servers' state check status";
    Srid srid "MCPV" "Server id revision, to prevent server id reuse mixups";
    SessOther sess_other "MCPV" "Total number of sessions other than HTTP since process started";
    H1sess h1sess "MCPP" "Total number of HTTP/1 sessions since process started";
    H2sess h2sess "MCPP" "Total number of HTTP/2 sessions since process started";
    H3sess h3sess "MCPP" "Total number of HTTP/3 sessions since process started";
    ReqOther req_other "MCPP" "Total number of sessions other than HTTP processed by this object since the worker process started";
    H1req h1req "MCPP" "Total number of HTTP/1 sessions processed by this object since the worker process started";
    H2req h2req "MCPP" "Total number of hTTP/2 sessions processed by this object since the worker process started";
    H3req h3req "MCPP" "Total number of HTTP/3 sessions processed by this object since the worker process started";
    Proto proto "SGPV" "Protocol";
    PrivIdleCur priv_idle_cur "MGPV" "Current number of private idle connections";
    Reqbin reqbin "MCPP" "Total number of request bytes received since process started";
    Reqbout reqbout "MCPP" "Total number of request bytes sent since process started";
    Resbin resbin "MCPP" "Total number of response bytes received since process started";
    Resbout resbout "MCPP" "Total number of response bytes sent since process started";
    CacheHintHits cache_hint_hits "MCPP" "Total number of HTTP requests for which a 103 Early Hints response was emitted from the cache on this frontend/backend since the worker process started";
    H2HeadersRcvd h2_headers_rcvd "MCPV" "Total number of received HEADERS frames";
    H2DataRcvd h2_data_rcvd "MCPV" "Total number of received DATA frames";
    H2SettingsRcvd h2_settings_rcvd "MCPV" "Total number of received SETTINGS frames";
    H2RstStreamRcvd h2_rst_stream_rcvd "MCPV" "Total number of received RST_STREAM frames";
    H2GoawayRcvd h2_goaway_rcvd "MCPV" "Total number of received GOAWAY frames";
    H2DetectedConnProtocolErrors h2_detected_conn_protocol_errors "MCPV" "Total number of connection protocol errors";
    H2DetectedStrmProtocolErrors h2_detected_strm_protocol_errors "MCPV" "Total number of stream protocol errors";
    H2RstStreamResp h2_rst_stream_resp "MCPV" "Total number of RST_STREAM sent on detected error";
    H2GoawayResp h2_goaway_resp "MCPV" "Total number of GOAWAY sent on detected error";
    H2OpenConnections h2_open_connections "MGPV" "Count of currently open connections";
    H2BackendOpenStreams h2_backend_open_streams "MGPV" "Count of currently open streams";
    H2TotalConnections h2_total_connections "MCPV" "Total number of connections";
    H2BackendTotalStreams h2_backend_total_streams "MCPV" "Total number of streams";
    SslSess ssl_sess "MCPV" "Total number of ssl sessions established";
    SslReusedSess ssl_reused_sess "MCPV" "Total number of ssl sessions reused";
    SslFailedHandshake ssl_failed_handshake "MCPV" "Total number of failed handshake";
    SslOcspStaple ssl_ocsp_staple "MCPV" "Total number of stapled OCSP responses";
    SslFailedOcspStaple ssl_failed_ocsp_staple "MCPV" "Total number of failed OCSP stapling (expired or error)";
    H1OpenConnections h1_open_connections "MGPV" "Count of currently open connections";
    H1OpenStreams h1_open_streams "MGPV" "Count of currently open streams";
    H1TotalConnections h1_total_connections "MCPV" "Total number of connections";
    H1TotalStreams h1_total_streams "MCPV" "Total number of streams";
    H1BytesIn h1_bytes_in "MCPV" "Total number of bytes received";
    H1BytesOut h1_bytes_out "MCPV" "Total number of bytes send";
    H1SplicedBytesIn h1_spliced_bytes_in "MCPV" "Total number of bytes received using kernel splicing";
    H1SplicedBytesOut h1_spliced_bytes_out "MCPV" "Total number of bytes sendusing kernel splicing";
}
