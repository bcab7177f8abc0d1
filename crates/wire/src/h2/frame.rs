//! Frames (RFC 9113 sections 4 and 6).

/// Bytes of a frame's header.
pub const HEADER: usize = 9;
/// How a client begins (RFC 9113 section 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Largest window (RFC 9113 section 6.9.1).
pub const MAX_WINDOW: u32 = (1 << 31) - 1;
/// Window of connection and streams before anything is said (RFC 9113 section 6.9.2).
pub const FIRST_WINDOW: u32 = 65_535;
/// Largest payload before anything is said (RFC 9113 section 4.2).
pub const FIRST_FRAME: u32 = 16_384;

/// Types of frames (RFC 9113 section 6).
pub mod kind {
    /// Payload.
    pub const DATA: u8 = 0;
    /// A header block begins.
    pub const HEADERS: u8 = 1;
    /// Deprecated priorities.
    pub const PRIORITY: u8 = 2;
    /// A stream ends.
    pub const RST_STREAM: u8 = 3;
    /// Settings, or their acknowledgement.
    pub const SETTINGS: u8 = 4;
    /// Server push.
    pub const PUSH_PROMISE: u8 = 5;
    /// A ping, or its answer.
    pub const PING: u8 = 6;
    /// The connection ends.
    pub const GOAWAY: u8 = 7;
    /// How urgent a stream is (RFC 9218 section 7.1).
    pub const PRIORITY_UPDATE: u8 = 16;
    /// More may be sent.
    pub const WINDOW_UPDATE: u8 = 8;
    /// A header block goes on.
    pub const CONTINUATION: u8 = 9;
}

/// Flags.
pub mod flag {
    /// DATA and HEADERS: the last of the stream.
    pub const END_STREAM: u8 = 1;
    /// SETTINGS and PING: an acknowledgement.
    pub const ACK: u8 = 1;
    /// The header block ends.
    pub const END_HEADERS: u8 = 4;
    /// There is padding.
    pub const PADDED: u8 = 8;
    /// HEADERS: a priority comes first.
    pub const PRIORITY: u8 = 32;
}

/// Settings (RFC 9113 section 6.5.2, RFC 8441 section 3).
pub mod setting {
    /// Size of the dynamic table of who decodes.
    pub const HEADER_TABLE_SIZE: u16 = 1;
    /// May be pushed to.
    pub const ENABLE_PUSH: u16 = 2;
    /// Streams at once.
    pub const MAX_CONCURRENT_STREAMS: u16 = 3;
    /// Window of a new stream.
    pub const INITIAL_WINDOW_SIZE: u16 = 4;
    /// Largest payload.
    pub const MAX_FRAME_SIZE: u16 = 5;
    /// Extended CONNECT is understood.
    pub const ENABLE_CONNECT_PROTOCOL: u16 = 8;
}

/// Error codes (RFC 9113 section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Reason {
    /// None.
    NoError = 0,
    /// The protocol was violated.
    Protocol = 1,
    /// Something failed here.
    Internal = 2,
    /// Flow control was violated.
    FlowControl = 3,
    /// Settings were not acknowledged.
    SettingsTimeout = 4,
    /// A frame for a stream that has ended.
    StreamClosed = 5,
    /// A frame of the wrong size.
    FrameSize = 6,
    /// Not begun.
    RefusedStream = 7,
    /// Not wanted any more.
    Cancel = 8,
    /// A header block that cannot be decoded.
    Compression = 9,
    /// Too much work.
    EnhanceYourCalm = 11,
}

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes of payload.
    pub length: u32,
    /// Type.
    pub kind: u8,
    /// Flags.
    pub flags: u8,
    /// Stream; 0: the connection.
    pub stream: u32,
}

impl Header {
    /// Of these bytes; the reserved bit is ignored.
    #[must_use]
    pub fn read(raw: &[u8]) -> Option<Self> {
        let [a, b, c, kind, flags, stream @ ..] = raw.first_chunk::<HEADER>()?;
        let length = u32::from_be_bytes([0, *a, *b, *c]);
        Some(Self { length, kind: *kind, flags: *flags, stream: u32::from_be_bytes(*stream) & MAX_WINDOW })
    }
    /// Has it this flag?
    #[must_use]
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Writes a frame's header.
pub fn write(length: usize, kind: u8, flags: u8, stream: u32, out: &mut Vec<u8>) {
    let [_, a, b, c] = (length as u32).to_be_bytes();
    let [d, e, f, g] = stream.to_be_bytes();
    out.extend_from_slice(&[a, b, c, kind, flags, d, e, f, g]);
}

/// A frame whose payload is one number: RST_STREAM, WINDOW_UPDATE.
pub fn number(kind: u8, stream: u32, n: u32, out: &mut Vec<u8>) {
    write(4, kind, 0, stream, out);
    out.extend_from_slice(&n.to_be_bytes());
}

/// GOAWAY with the last stream that was looked at.
pub fn goaway(last: u32, reason: Reason, out: &mut Vec<u8>) {
    write(8, kind::GOAWAY, 0, 0, out);
    out.extend_from_slice(&last.to_be_bytes());
    out.extend_from_slice(&(reason as u32).to_be_bytes());
}

/// SETTINGS.
pub fn settings(list: &[(u16, u32)], out: &mut Vec<u8>) {
    write(list.len() * 6, kind::SETTINGS, 0, 0, out);
    for (id, value) in list {
        out.extend_from_slice(&id.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}
