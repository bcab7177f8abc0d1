//! What a connection counts for statistics (management manual section 9.1, columns `h2_*`).

/// What has come and what was done since somebody last asked ([`super::Connection::take_tally`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Header blocks that have come whole (`h2_headers_rcvd`).
    pub headers: u32,
    /// DATA frames (`h2_data_rcvd`).
    pub data: u32,
    /// SETTINGS frames and what acknowledges ours; those of the preface count twice, as with HAProxy (`h2_settings_rcvd`).
    pub settings: u32,
    /// RST_STREAM frames (`h2_rst_stream_rcvd`).
    pub resets: u32,
    /// GOAWAY frames (`h2_goaway_rcvd`).
    pub goaways: u32,
    /// Violations and limits that end the connection (`h2_detected_conn_protocol_errors`).
    pub connection_errors: u32,
    /// Those that end a stream (`h2_detected_strm_protocol_errors`).
    pub stream_errors: u32,
    /// RST_STREAM frames for those, and for streams above the limit (`h2_rst_stream_resp`).
    pub resets_sent: u32,
    /// GOAWAY frames for what ends the connection (`h2_goaway_resp`).
    pub goaways_sent: u32,
    /// Streams that have begun (`h2_backend_total_streams`).
    pub begun: u32,
    /// Those that have gone, with their users.
    pub gone: u32,
}
