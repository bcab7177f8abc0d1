//! The requirements of RFC 9113 on a server, section by section, and what goes beyond them.

use super::conn::{Config, Connection, Event, Fatal};
use super::frame::{HEADER, Header, PREFACE, Reason, flag, kind, setting, write};
use super::hpack::{Decoder, Line, Name, Sink};
use super::request::{Limits, Request};
use crate::h1::{Framing, Info, encode};
use portcullis_message::Head;
use std::io::IoSlice;

const LIMITS: Limits = Limits { size: 15_360, fields: 101, relaxed: false };
pub(super) const CONFIG: Config = Config {
    window: 16_384,
    shared: 86 * 16_384,
    unit: 16_384,
    streams: 100,
    offered: None,
    total: 0,
    frame: 16_384,
    table: 4096,
    connect: true,
    heads: LIMITS,
};

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write(payload.len(), kind, flags, stream, &mut out);
    out.extend_from_slice(payload);
    out
}

/// Literals without index and without Huffman code.
pub(super) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        for text in [name, value] {
            match text.len() {
                n @ 0..127 => out.push(n as u8),
                n => {
                    let n = n - 127;
                    assert!(n < 1 << 14);
                    out.extend_from_slice(&[127, (n & 127) as u8 | 128, (n >> 7) as u8]);
                }
            }
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}

const GET: &[(&str, &str)] =
    &[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "ex.com")];
const POST: &[(&str, &str)] =
    &[(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "ex.com")];

fn with(base: &[(&'static str, &'static str)], more: &[(&'static str, &'static str)]) -> Vec<u8> {
    block(&[base, more].concat())
}
fn get(stream: u32) -> Vec<u8> {
    frame(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, stream, &block(GET))
}
fn post(stream: u32) -> Vec<u8> {
    frame(kind::HEADERS, flag::END_HEADERS, stream, &block(POST))
}
pub(super) fn data(stream: u32, payload: &[u8], end: bool) -> Vec<u8> {
    frame(kind::DATA, u8::from(end), stream, payload)
}
pub(super) fn window(stream: u32, n: u32) -> Vec<u8> {
    frame(kind::WINDOW_UPDATE, 0, stream, &n.to_be_bytes())
}
pub(super) fn setting_of(id: u16, value: u32) -> Vec<u8> {
    frame(kind::SETTINGS, 0, 0, &[&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
}

/// What a user has of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Got {
    start: String,
    fields: String,
    info: Info,
    status: u16,
    body: Vec<u8>,
    trailers: String,
    ended: bool,
    reset: Option<bool>,
}

struct Peer {
    conn: Connection<()>,
    got: Vec<(u32, Got)>,
    refused: Vec<u32>,
    fatal: Option<Fatal>,
    leaving: bool,
    now: u64,
    decoder: Decoder,
}

#[derive(Default)]
struct Pairs(Vec<u8>, Vec<String>);
impl Sink for Pairs {
    fn arena(&mut self) -> Option<&mut Vec<u8>> {
        Some(&mut self.0)
    }
    fn take(&mut self, line: Line) {
        assert!(line.sound);
        self.1.push(String::from_utf8_lossy(&self.0[line.start..line.end - 2]).into_owned());
    }
}

/// A frame as it was answered: type, flags, stream, payload or its fields.
fn shown(decoder: &mut Decoder, header: Header, payload: &[u8]) -> String {
    let n = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
    let end = if header.has(flag::END_STREAM) { " END" } else { "" };
    match header.kind {
        kind::DATA => format!("DATA {} {:?}{end}", header.stream, String::from_utf8_lossy(payload)),
        kind::HEADERS => {
            let mut pairs = Pairs::default();
            decoder.decode(payload, &mut pairs).unwrap();
            format!("HEADERS {} {}{end}", header.stream, pairs.1.join("|"))
        }
        kind::RST_STREAM => format!("RST {} {}", header.stream, n(0)),
        kind::SETTINGS if header.has(flag::ACK) => "ACK".to_owned(),
        kind::SETTINGS => format!("SETTINGS {payload:?}"),
        kind::PING => format!("PING {}", header.flags),
        kind::GOAWAY => format!("GOAWAY {} {}", n(0), n(4)),
        kind::WINDOW_UPDATE => format!("WINDOW {} {}", header.stream, n(0)),
        other => format!("{other}"),
    }
}

impl Peer {
    fn with(config: Config) -> Self {
        let mut this = Self::raw(config);
        this.say(
            &[&PREFACE[..], &frame(kind::SETTINGS, 0, 0, &[]), &frame(kind::SETTINGS, 1, 0, &[])].concat(),
        );
        this.heard();
        this
    }
    fn new() -> Self {
        Self::with(CONFIG)
    }
    fn raw(config: Config) -> Self {
        Self {
            conn: Connection::new(config),
            got: Vec::new(),
            refused: Vec::new(),
            fatal: None,
            leaving: false,
            now: 0,
            decoder: Decoder::new(4096),
        }
    }
    fn of(&mut self, id: u32) -> &mut Got {
        if !self.got.iter().any(|(i, _)| *i == id) {
            self.got.push((id, Got::default()));
        }
        &mut self.got.iter_mut().find(|(i, _)| *i == id).unwrap().1
    }
    /// Gives it bytes; how many it took.
    fn say(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        let mut head = Head::default();
        loop {
            let (n, event) = self.conn.receive(&bytes[at..], self.now, &mut head);
            at += n;
            match event {
                Event::More | Event::Full => return at,
                Event::Nothing | Event::Window(_) if at == bytes.len() && n == 0 => return at,
                Event::Nothing | Event::Window(_) => {}
                Event::Request(id, Request { info, status, .. }) => {
                    let mut out = Vec::new();
                    encode::request(&head, None, &mut out);
                    let text = String::from_utf8_lossy(&out).into_owned();
                    let (line, fields) = text.split_once("\r\n").unwrap();
                    let target = String::from_utf8_lossy(head.target()).into_owned();
                    let got = self.of(id);
                    got.start = format!("{target} {line}");
                    got.fields = fields.trim_end().replace("\r\n", "|");
                    (got.info, got.status) = (info, status);
                }
                Event::Response(..) => panic!("clients do not answer"),
                Event::Refused(id) => self.refused.push(id),
                Event::Data(id, part, end) => {
                    let part = part.to_vec();
                    self.of(id).body.extend_from_slice(&part);
                    self.of(id).ended |= end;
                }
                Event::End(id, trailers) => {
                    let got = self.of(id);
                    got.ended = true;
                    got.trailers = String::from_utf8(trailers).unwrap();
                }
                Event::Reset(id, fault) => self.of(id).reset = Some(fault),
                Event::Leaving => self.leaving = true,
                Event::Fatal(fatal) => {
                    self.fatal = Some(fatal);
                    return at;
                }
            }
        }
    }
    /// What it answers.
    fn heard(&mut self) -> Vec<String> {
        let out = self.conn.output().to_vec();
        self.conn.wrote(out.len());
        let mut rest = &out[..];
        let mut all = Vec::new();
        while let Some(header) = Header::read(rest) {
            let end = HEADER + header.length as usize;
            all.push(shown(&mut self.decoder, header, &rest[HEADER..end]));
            rest = &rest[end..];
        }
        assert!(rest.is_empty());
        all
    }
    fn answer(&mut self, id: u32, status: u16, body: &[u8]) {
        let mut head = Head::default();
        head.set_response(portcullis_message::Version::HTTP_11, status, b"");
        self.conn.send_head(id, &head);
        assert_eq!(self.conn.send_data(id, &[IoSlice::new(body)]), body.len());
        self.conn.send_end(id, None);
        self.conn.release(id, Reason::Cancel);
    }
}

/// The connection ends with this reason.
#[track_caller]
fn ends(bytes: &[Vec<u8>], reason: Reason) {
    let mut peer = Peer::new();
    peer.say(&bytes.concat());
    assert_eq!(peer.fatal, Some(Fatal { reason, silent: false }));
    let last = peer.heard().pop().unwrap();
    assert!(last.starts_with("GOAWAY") && last.ends_with(&format!(" {}", reason as u32)), "{last}");
    assert!(peer.conn.glitches() > 0 && peer.conn.is_over());
}

/// Stream 1 is reset with this reason, and the connection goes on.
#[track_caller]
fn resets(bytes: &[Vec<u8>], reason: Reason) {
    let mut peer = Peer::new();
    peer.say(&bytes.concat());
    assert_eq!(peer.fatal, None);
    let heard = peer.heard();
    assert!(heard.contains(&format!("RST 1 {}", reason as u32)), "{heard:?}");
    assert!(peer.conn.glitches() > 0);
    peer.say(&get(11));
    assert!(peer.of(11).start.ends_with("GET / HTTP/1.1"), "the connection goes on");
}

/// Nothing comes of these.
#[track_caller]
fn ignores(bytes: &[Vec<u8>]) -> Peer {
    let mut peer = Peer::new();
    peer.say(&bytes.concat());
    assert_eq!(peer.fatal, None);
    peer.say(&get(11));
    assert!(!peer.of(11).start.is_empty());
    peer
}

fn get_with(more: &[(&'static str, &'static str)]) -> Vec<u8> {
    frame(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, 1, &with(GET, more))
}
fn headers(fields: &[(&str, &str)], end: bool) -> Vec<u8> {
    frame(kind::HEADERS, flag::END_HEADERS | u8::from(end), 1, &block(fields))
}

/// RFC 9113 section 3.4: the server's preface is SETTINGS; the client's is checked, and SETTINGS must follow.
#[test]
fn section_3_4_prefaces() {
    let mut peer = Peer::raw(CONFIG);
    assert_eq!(peer.heard(), ["SETTINGS [0, 8, 0, 0, 0, 1, 0, 4, 0, 0, 64, 0, 0, 3, 0, 0, 0, 100]"]);
    for (bytes, silent) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], true),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX", true),
        (&[&PREFACE[..], &frame(kind::PING, 0, 0, &[0; 8])].concat(), false),
        (&[&PREFACE[..], &get(1)].concat(), false),
        (&[&PREFACE[..], &frame(kind::SETTINGS, flag::ACK, 0, &[])].concat(), false),
    ] {
        let mut peer = Peer::raw(CONFIG);
        peer.say(bytes);
        assert_eq!(peer.fatal, Some(Fatal { reason: Reason::Protocol, silent }));
    }
    // whatever the pieces
    let mut peer = Peer::raw(CONFIG);
    for byte in [&PREFACE[..], &frame(kind::SETTINGS, 0, 0, &[])].concat() {
        assert_eq!(peer.fatal, None);
        let mut kept = vec![byte];
        let n = peer.say(&kept);
        kept.drain(..n);
        if !kept.is_empty() {
            break;
        }
    }
}

/// RFC 9113 section 4.1: unknown frames are ignored, undefined flags and the reserved bit too.
#[test]
fn section_4_1_unknown_frames_and_flags() {
    ignores(&[frame(77, 0xff, 0, b"abc"), frame(78, 0, 5, b"")]);
    let mut peer = Peer::new();
    peer.say(&frame(
        kind::HEADERS,
        flag::END_HEADERS | flag::END_STREAM | 0xd2 & !flag::PADDED & !flag::PRIORITY,
        1,
        &block(GET),
    ));
    assert!(peer.of(1).start.ends_with("GET / HTTP/1.1"));
    let mut reserved = get(3);
    reserved[5] |= 0x80;
    peer.say(&reserved);
    assert!(!peer.of(3).start.is_empty());
    peer.say(&frame(kind::PING, 0xfe, 0, &[0; 8]));
    assert_eq!(peer.heard(), ["PING 1"]);
}

/// RFC 9113 section 4.2: frames above SETTINGS_MAX_FRAME_SIZE, and of the wrong size.
#[test]
fn section_4_2_frame_size() {
    ends(&[post(1), data(1, &[0; 16_385], false)], Reason::FrameSize);
    ends(&[frame(kind::HEADERS, 5, 1, &[0; 16_385])], Reason::FrameSize);
    ends(&[frame(kind::SETTINGS, 0, 0, &[0; 5])], Reason::FrameSize);
    ends(&[frame(kind::PING, 0, 0, &[0; 7])], Reason::FrameSize);
    ends(&[get(1), frame(kind::RST_STREAM, 0, 1, &[0; 3])], Reason::FrameSize);
    ends(&[frame(kind::WINDOW_UPDATE, 0, 0, &[0; 3])], Reason::FrameSize);
    ends(&[frame(kind::PRIORITY, 0, 1, &[0; 4])], Reason::FrameSize);
    ends(&[frame(kind::GOAWAY, 0, 0, &[0; 7])], Reason::FrameSize);
    ends(&[frame(kind::HEADERS, flag::PADDED | 5, 1, &[])], Reason::FrameSize);
    ends(&[frame(kind::HEADERS, flag::PRIORITY | 5, 1, &[0; 4])], Reason::FrameSize);
    ends(&[post(1), frame(kind::DATA, flag::PADDED, 1, &[])], Reason::FrameSize);
}

/// RFC 9113 section 4.3: a block that cannot be decoded ends the connection; the table stays right across refused blocks.
#[test]
fn section_4_3_field_blocks() {
    for bad in [
        &b"\x80"[..],
        b"\xfe",
        b"\x00\x05ab",
        b"\x3f\xff\xff\x03",
        b"\x82\x20",
        b"\xff\xff\xff\xff\xff\xff\x01",
    ] {
        ends(&[frame(kind::HEADERS, 5, 1, bad)], Reason::Compression);
    }
    let mut peer = Peer::new();
    // malformed, but it puts "x-a: b" into the table
    let bad = [&block(&[("Upper", "x")])[..], b"\x40\x03x-a\x01b"].concat();
    peer.say(&frame(kind::HEADERS, 5, 1, &bad));
    assert_eq!(peer.heard(), ["RST 1 1"]);
    peer.say(&frame(kind::HEADERS, 5, 3, &[&block(GET)[..], b"\xbe"].concat()));
    assert_eq!(peer.of(3).fields, "host: ex.com|x-a: b");
}

/// RFC 9113 section 5.1: what may come in which state of a stream.
#[test]
fn section_5_1_states() {
    // idle
    ends(&[data(1, b"x", true)], Reason::Protocol);
    ends(&[frame(kind::RST_STREAM, 0, 1, &[0; 4])], Reason::Protocol);
    ends(&[window(1, 1)], Reason::Protocol);
    // half-closed (remote)
    resets(&[get(1), data(1, b"x", false)], Reason::StreamClosed);
    ends(&[get(1), get(1)], Reason::StreamClosed);
    ignores(&[get(1), window(1, 5), frame(kind::PRIORITY, 0, 1, &[0, 0, 0, 0, 1])]);
    // closed by the client
    let reset = frame(kind::RST_STREAM, 0, 1, &[0, 0, 0, 8]);
    let mut peer = ignores(&[post(1), reset.clone(), window(1, 5), reset]);
    assert_eq!(peer.of(1).reset, Some(false));
    peer.conn.release(1, Reason::Cancel);
    peer.heard();
    peer.say(&data(1, b"x", false));
    assert_eq!(peer.heard(), ["WINDOW 0 2147418113", "RST 1 5"]);
    // closed by both
    let mut peer = Peer::new();
    peer.say(&get(1));
    peer.answer(1, 200, b"ok");
    peer.heard();
    peer.say(&window(1, 1));
    peer.say(&data(1, b"x", true));
    assert!(peer.heard().contains(&"RST 1 5".to_owned()));
    peer.say(&get(1));
    // it was reset here, so nothing of it does any harm
    assert_eq!(peer.fatal, None);
}

/// RFC 9113 section 5.1: who has reset a stream sends nothing more on it.
#[test]
fn section_5_1_frames_behind_a_reset() {
    let mut peer = Peer::new();
    peer.say(&[post(1), frame(kind::RST_STREAM, 0, 1, &[0, 0, 0, 8])].concat());
    peer.heard();
    peer.say(&data(1, b"x", false));
    assert_eq!(peer.heard(), ["WINDOW 0 2147418113", "RST 1 5"]);
    peer.say(&data(1, b"x", true));
    assert_eq!((peer.heard(), peer.fatal), (Vec::<String>::new(), None));
}

/// RFC 9113 section 5.1: what comes for a stream that was reset here, sent before its peer knew, is ignored.
#[test]
fn section_5_1_late_frames_for_a_stream_that_was_reset_here() {
    let mut peer = Peer::new();
    peer.say(&post(1));
    peer.conn.release(1, Reason::Cancel);
    assert_eq!(peer.heard(), ["WINDOW 1 704512", "RST 1 8"]);
    peer.say(&data(1, b"x", false));
    let trailers = [&b"\x40\x03x-a\x01b"[..]].concat();
    peer.say(&frame(kind::HEADERS, 5, 1, &trailers));
    assert_eq!(peer.heard(), ["WINDOW 0 2147418113"]);
    peer.say(&frame(kind::HEADERS, 5, 3, &[&block(GET)[..], b"\xbe"].concat()));
    assert_eq!(peer.of(3).fields, "host: ex.com|x-a: b", "its block was decoded");
}

/// RFC 9113 section 5.1.1: odd numbers, each higher than the ones before.
#[test]
fn section_5_1_1_identifiers() {
    ends(&[get(2)], Reason::Protocol);
    ends(&[get(0)], Reason::Protocol);
    ends(&[get(5), get(3)], Reason::StreamClosed);
}

/// RFC 9113 section 5.1.2: more streams at once than SETTINGS_MAX_CONCURRENT_STREAMS says.
#[test]
fn section_5_1_2_concurrency() {
    let mut peer = Peer::with(Config { streams: 2, ..CONFIG });
    peer.say(&[get(1), get(3), get(5)].concat());
    assert_eq!(peer.heard(), ["RST 5 7"]);
    assert_eq!((peer.refused.clone(), peer.conn.open()), (vec![5], 2));
    peer.answer(1, 200, b"");
    peer.say(&get(7));
    assert!(!peer.of(7).start.is_empty());
}

/// RFC 9113 section 5.3.1 and RFC 7540 section 5.3.1.
#[test]
fn section_5_3_priorities_are_ignored() {
    let mut peer = ignores(&[
        frame(kind::PRIORITY, 0, 9, &[0, 0, 0, 3, 1]),
        frame(kind::HEADERS, 5 | flag::PRIORITY, 1, &[&[0x80, 0, 0, 3, 200][..], &block(GET)].concat()),
    ]);
    assert!(peer.of(1).start.ends_with("GET / HTTP/1.1"));
    ends(&[frame(kind::PRIORITY, 0, 9, &[0, 0, 0, 9, 1])], Reason::Protocol);
    ends(
        &[frame(kind::HEADERS, 5 | flag::PRIORITY, 1, &[&[0, 0, 0, 1, 1][..], &block(GET)].concat())],
        Reason::Protocol,
    );
    ends(&[frame(kind::PRIORITY, 0, 0, &[0, 0, 0, 9, 1])], Reason::Protocol);
}

/// RFC 9218: urgent streams have room first, those that are alike in turn.
#[test]
fn rfc_9218_urgency() {
    let mut peer = Peer::new();
    let asks = |id, priority| frame(kind::HEADERS, 5, id, &with(GET, &[("priority", priority)]));
    peer.say(&[asks(1, "u=5"), get(3), asks(5, "u=1, i"), get(7), asks(9, "nonsense")].concat());
    peer.say(&frame(kind::PRIORITY_UPDATE, 0, 0, b"\0\0\0\x07u=0"));
    peer.heard();
    // one takes all of the connection's window; all wait then
    let much = vec![b'x'; 70_000];
    for id in [1, 3, 5, 7, 9] {
        peer.conn.send_data(id, &[IoSlice::new(&much)]);
    }
    let out = peer.conn.output().len();
    peer.conn.wrote(out);
    peer.say(&window(0, 1_000_000));
    let order: Vec<u32> = std::iter::from_fn(|| peer.conn.next_waiting()).collect();
    assert_eq!(order, [7, 5, 3, 9, 1]);
    ends(&[frame(kind::PRIORITY_UPDATE, 0, 0, b"\0\0\0")], Reason::FrameSize);
    ends(&[frame(kind::PRIORITY_UPDATE, 0, 0, b"\0\0\0\0u=1")], Reason::Protocol);
    ends(&[frame(kind::PRIORITY_UPDATE, 0, 1, b"\0\0\0\x01u=1")], Reason::Protocol);
}

/// RFC 9113 section 6.1: DATA and its padding.
#[test]
fn section_6_1_data() {
    ends(&[data(0, b"x", false)], Reason::Protocol);
    ends(&[post(1), frame(kind::DATA, flag::PADDED, 1, b"\x04abc")], Reason::Protocol);
    let mut peer = Peer::new();
    peer.say(
        &[post(1), frame(kind::DATA, flag::PADDED, 1, b"\x03abc\0\0\0"), data(1, b"def", true)].concat(),
    );
    let got = peer.of(1);
    assert_eq!((&got.body[..], got.ended), (&b"abcdef"[..], true));
}

/// RFC 9113 section 6.2.
#[test]
fn section_6_2_headers() {
    let padded = |pad: u8, zeros: usize| {
        let payload = [&[pad][..], &block(GET), &vec![0; zeros]].concat();
        frame(kind::HEADERS, 5 | flag::PADDED, 1, &payload)
    };
    let mut peer = ignores(&[padded(3, 3)]);
    assert!(peer.of(1).ended || peer.of(1).info.framing == Framing::None);
    ends(&[padded(255, 3)], Reason::Protocol);
}

/// RFC 9113 section 6.4.
#[test]
fn section_6_4_rst_stream() {
    ends(&[frame(kind::RST_STREAM, 0, 0, &[0; 4])], Reason::Protocol);
}

/// RFC 9113 section 6.5.
#[test]
fn section_6_5_settings() {
    ends(&[frame(kind::SETTINGS, 0, 1, &[])], Reason::Protocol);
    ends(&[frame(kind::SETTINGS, flag::ACK, 0, &[0; 6])], Reason::FrameSize);
    ends(&[setting_of(setting::ENABLE_PUSH, 2)], Reason::Protocol);
    ends(&[setting_of(setting::INITIAL_WINDOW_SIZE, 1 << 31)], Reason::FlowControl);
    ends(&[setting_of(setting::MAX_FRAME_SIZE, 16_383)], Reason::Protocol);
    ends(&[setting_of(setting::MAX_FRAME_SIZE, 1 << 24)], Reason::Protocol);
    let mut peer = ignores(&[setting_of(99, 7), setting_of(setting::ENABLE_PUSH, 0)]);
    assert_eq!(peer.heard(), ["ACK", "ACK"]);
}

/// RFC 9113 section 6.6: a client cannot push.
#[test]
fn section_6_6_push_promise() {
    ends(&[frame(kind::PUSH_PROMISE, flag::END_HEADERS, 1, &[0, 0, 0, 2])], Reason::Protocol);
}

/// RFC 9113 section 6.7.
#[test]
fn section_6_7_ping() {
    ends(&[frame(kind::PING, 0, 1, &[0; 8])], Reason::Protocol);
    let mut peer = ignores(&[frame(kind::PING, flag::ACK, 0, &[0; 8])]);
    assert_eq!(peer.heard(), Vec::<String>::new());
}

/// RFC 9113 section 6.8.
#[test]
fn section_6_8_goaway() {
    ends(&[frame(kind::GOAWAY, 0, 1, &[0; 8])], Reason::Protocol);
    let mut peer = Peer::new();
    peer.say(&[get(1), frame(kind::GOAWAY, 0, 0, &[0; 12])].concat());
    assert!(peer.leaving && peer.fatal.is_none());
    // ours: announced first, then said
    let mut peer = Peer::with(Config { streams: 2, ..CONFIG });
    peer.say(&get(1));
    peer.conn.leave();
    peer.conn.leave();
    assert_eq!(peer.heard(), ["GOAWAY 2147483647 0"]);
    peer.answer(1, 200, b"");
    peer.say(&get(3));
    assert!(!peer.of(3).start.is_empty(), "it was under way");
    peer.answer(3, 200, b"");
    peer.say(&get(5));
    assert_eq!(peer.heard().last().unwrap(), "GOAWAY 5 0");
    peer.say(&get(7));
    assert!(peer.of(7).start.is_empty() && peer.fatal.is_none());
    peer.conn.close(Reason::NoError);
    assert_eq!(peer.heard(), ["GOAWAY 5 0"]);
    // nobody needs to guess what is under way
    let mut peer = Peer::new();
    peer.conn.leave();
    peer.conn.last_call();
    peer.conn.last_call();
    assert_eq!(peer.heard(), ["GOAWAY 2147483647 0", "PING 0"]);
    peer.say(&[get(1), frame(kind::PING, flag::ACK, 0, b"portculs")].concat());
    assert!(!peer.of(1).start.is_empty() && !peer.conn.is_last_call_answered());
    peer.say(&frame(kind::PING, flag::ACK, 0, b"lastcall"));
    assert!(peer.conn.is_last_call_answered());
}

/// RFC 9113 sections 6.9 and 6.9.1.
#[test]
fn section_6_9_window_update() {
    ends(&[window(0, 0)], Reason::Protocol);
    resets(&[post(1), window(1, 0)], Reason::Protocol);
    ends(&[window(0, (1 << 31) - 1)], Reason::FlowControl);
    resets(&[post(1), window(1, (1 << 31) - 1)], Reason::FlowControl);
    resets(
        &[get(1), setting_of(setting::INITIAL_WINDOW_SIZE, 1), window(1, (1 << 31) - 1)],
        Reason::FlowControl,
    );
    ends(
        &[get(1), window(1, 1), setting_of(setting::INITIAL_WINDOW_SIZE, (1 << 31) - 1)],
        Reason::FlowControl,
    );
}

/// RFC 9113 section 6.9: no more payload is sent than the windows allow.
#[test]
fn section_6_9_1_sending() {
    let mut peer = Peer::new();
    peer.say(&[setting_of(setting::INITIAL_WINDOW_SIZE, 5), get(1), get(3)].concat());
    peer.heard();
    let send = |peer: &mut Peer, id, text: &[u8]| peer.conn.send_data(id, &[IoSlice::new(text)]);
    assert_eq!(send(&mut peer, 1, b"0123456789"), 5);
    assert_eq!(send(&mut peer, 1, b"56789"), 0);
    assert_eq!(peer.heard(), ["DATA 1 \"01234\""]);
    peer.say(&window(1, 2));
    assert_eq!(send(&mut peer, 1, b"56789"), 2);
    // section 6.9.2: a window may become negative
    peer.say(&setting_of(setting::INITIAL_WINDOW_SIZE, 0));
    peer.say(&window(1, 4));
    assert_eq!(send(&mut peer, 1, b"789"), 0);
    peer.say(&window(1, 2));
    assert_eq!(send(&mut peer, 1, b"789"), 1);
    // the connection's
    peer.say(&setting_of(setting::INITIAL_WINDOW_SIZE, 100_000));
    peer.heard();
    let big = vec![b'x'; 70_000];
    let mut sent = 8;
    loop {
        let n = send(&mut peer, 3, &big);
        peer.heard();
        sent += n;
        if n == 0 {
            break;
        }
    }
    assert_eq!(sent, 65_535);
    assert_eq!(peer.conn.next_waiting(), None);
    peer.say(&window(0, 10));
    assert_eq!(peer.conn.next_waiting(), Some(3));
    assert_eq!(send(&mut peer, 3, &big), 10);
}

/// RFC 9113 section 6.9: more payload than was allowed; what was consumed is allowed again.
#[test]
fn section_6_9_receiving() {
    let mut peer = Peer::with(Config { shared: 0, ..CONFIG });
    peer.say(&[post(1), data(1, &[0; 16_384], false)].concat());
    assert_eq!(peer.heard(), ["WINDOW 0 2147434496"], "the connection's own is widened when something comes");
    peer.say(&data(1, b"x", false));
    assert_eq!(peer.heard(), ["RST 1 3"]);
    let mut peer = Peer::with(Config { shared: 0, ..CONFIG });
    peer.say(&[post(1), data(1, &[0; 16_384], false)].concat());
    peer.heard();
    peer.conn.consumed(1, 8_191);
    assert!(peer.heard().is_empty());
    peer.conn.consumed(1, 1);
    assert_eq!(peer.heard(), ["WINDOW 1 8192"]);
    // padding is consumed at once
    peer.say(&frame(kind::DATA, flag::PADDED, 1, &[&[255][..], &[0; 8_191]].concat()));
    peer.conn.consumed(1, 16_384 - 8_192 - 256);
    assert_eq!(peer.heard(), ["WINDOW 1 8192"]);
    // what is left of a known length needs no window
    let mut peer = Peer::new();
    let long = with(POST, &[("content-length", "10000")]);
    peer.say(&[frame(kind::HEADERS, 4, 1, &long), data(1, &[0; 10_000], false)].concat());
    peer.conn.consumed(1, 10_000);
    assert_eq!(peer.heard(), ["WINDOW 0 2147428112"]);
}

/// RFC 9113 section 6.9.2: a stream that began before its peer knew our settings has their window as soon as it does, and
/// what was consumed is measured by that.
#[test]
fn section_6_9_2_receiving() {
    let early = || {
        let mut peer = Peer::raw(Config { shared: 0, ..CONFIG });
        peer.say(&[&PREFACE[..], &frame(kind::SETTINGS, 0, 0, &[]), &post(1)].concat());
        peer.heard();
        peer
    };
    let known = frame(kind::SETTINGS, flag::ACK, 0, &[]);
    let mut peer = early();
    peer.say(&[&known[..], &data(1, &[0; 16_384], false)].concat());
    peer.heard();
    peer.conn.consumed(1, 8_192);
    assert_eq!(peer.heard(), ["WINDOW 1 8192"]);
    peer.say(&data(1, &[0; 8_193], false));
    assert_eq!(peer.heard(), ["RST 1 3"]);
    // it has sent more before it knew
    let mut peer = early();
    peer.say(&[data(1, &[0; 16_384], false), data(1, &[0; 3_616], false)].concat());
    peer.heard();
    peer.conn.consumed(1, 20_000);
    assert!(peer.heard().is_empty());
    peer.say(&known);
    assert_eq!(peer.heard(), ["WINDOW 1 20000"]);
}

/// Streams with bodies share what `rxbuf` has beyond their own windows, and give it back.
#[test]
fn the_shared_window() {
    let mut peer = Peer::new();
    let gone = |id| frame(kind::RST_STREAM, 0, id, &[0, 0, 0, 8]);
    let long = |id, length| frame(kind::HEADERS, 4, id, &with(POST, &[("content-length", length)]));
    peer.say(&[long(1, "16385"), long(3, "99999")].concat());
    assert_eq!(peer.heard(), ["WINDOW 1 704512", "WINDOW 3 344064"]);
    peer.say(&[gone(1), gone(3), long(5, "16384"), long(7, "16385")].concat());
    assert_eq!(peer.heard(), ["WINDOW 7 704512"]);
}

/// A body without a length may be a large one: it gets its share at once.
#[test]
fn the_shared_window_of_messages() {
    let mut peer = Peer::new();
    peer.say(&[post(1), post(3), data(3, &[0; 9_000], true)].concat());
    assert_eq!(peer.heard(), ["WINDOW 1 704512", "WINDOW 3 344064", "WINDOW 0 2147427112"]);
    // there is room for it
    peer.say(&[&data(1, &[0; 16_384], false)[..]; 40].concat());
    assert!(peer.heard().is_empty());
}

/// RFC 9113 section 6.10.
#[test]
fn section_6_10_continuation() {
    let whole = block(GET);
    let first = frame(kind::HEADERS, flag::END_STREAM, 1, &whole[..9]);
    let mut peer = ignores(&[
        first.clone(),
        frame(kind::CONTINUATION, 0, 1, &whole[9..20]),
        frame(kind::CONTINUATION, flag::END_HEADERS, 1, &whole[20..]),
    ]);
    assert!(peer.of(1).start.ends_with("GET / HTTP/1.1"));
    ends(&[frame(kind::CONTINUATION, 4, 1, &whole)], Reason::Protocol);
    ends(&[first.clone(), frame(kind::CONTINUATION, 4, 3, &whole[9..])], Reason::Protocol);
    ends(&[first.clone(), frame(kind::PING, 0, 0, &[0; 8])], Reason::Protocol);
    ends(&[first, frame(77, 0, 0, &[])], Reason::Protocol);
    ends(&[frame(kind::CONTINUATION, 4, 0, &whole)], Reason::Protocol);
}

/// RFC 9113 section 8.1: a request is HEADERS, DATA, and perhaps one more HEADERS that ends it.
#[test]
fn section_8_1_framing() {
    let trailers = frame(kind::HEADERS, 5, 1, &block(&[("x-t", "1"), ("x-u", " 2 ")]));
    let mut peer = ignores(&[post(1), data(1, b"abc", false), trailers.clone()]);
    assert_eq!(peer.of(1).trailers, "x-t: 1\r\nx-u: 2\r\n\r\n");
    assert!(peer.of(1).ended);
    ends(&[post(1), frame(kind::HEADERS, 4, 1, &block(&[("a", "b")]))], Reason::Protocol);
    resets(&[post(1), frame(kind::HEADERS, 5, 1, &block(&[(":path", "/")]))], Reason::Protocol);
    for name in ["connection", "host", "content-length", "te"] {
        resets(&[post(1), frame(kind::HEADERS, 5, 1, &block(&[(name, "a")]))], Reason::Protocol);
    }
    resets(&[post(1), frame(kind::HEADERS, 5, 1, &block(&[("Abc", "a")]))], Reason::Protocol);
    resets(&[post(1), frame(kind::HEADERS, 5, 1, &block(&[("a", "b\r\nc: d")]))], Reason::Protocol);
    ends(&[post(1), trailers.clone(), trailers], Reason::StreamClosed);
}

/// RFC 9113 section 8.1: an answer may come before the request has ended; the rest is not wanted then.
#[test]
fn section_8_1_early_answers() {
    let mut peer = Peer::new();
    peer.say(&[post(1), data(1, b"abc", false)].concat());
    peer.heard();
    peer.answer(1, 403, b"no");
    assert_eq!(peer.heard(), ["HEADERS 1 :status: 403", "DATA 1 \"no\" END", "RST 1 0"]);
    assert!(peer.conn.is_idle());
    // what is little has a while to come
    let little = |end: &[u8]| {
        let mut peer = Peer::new();
        let head = with(POST, &[("content-length", "3")]);
        peer.say(&frame(kind::HEADERS, 4, 1, &head));
        peer.heard();
        peer.answer(1, 403, b"");
        peer.say(end);
        assert_eq!(peer.heard().first().unwrap(), "HEADERS 1 :status: 403 END");
        peer.conn.end_lingering();
        assert_eq!(peer.conn.lingers(), end.is_empty());
        peer.conn.end_lingering();
        assert!(!peer.conn.lingers() && peer.conn.is_idle());
        peer.heard()
    };
    assert_eq!(little(&[]), ["RST 1 0"]);
    assert!(little(&data(1, b"abc", true)).is_empty());
    // but where nothing is left of the body its end is waited for
    let mut peer = Peer::new();
    let one = with(POST, &[("content-length", "1")]);
    peer.say(&[frame(kind::HEADERS, 4, 1, &one), data(1, b"a", false)].concat());
    peer.heard();
    peer.answer(1, 200, b"");
    assert_eq!(peer.heard(), ["HEADERS 1 :status: 200 END"]);
    assert!(!peer.conn.is_idle());
    peer.say(&data(1, b"", true));
    assert!(peer.conn.is_idle());
}

/// RFC 9113 section 8.1.1: Content-Length and what comes.
#[test]
fn section_8_1_1_content_length() {
    let post = |more: &[(&'static str, &'static str)], end: bool| {
        frame(kind::HEADERS, flag::END_HEADERS | u8::from(end), 1, &with(POST, more))
    };
    let six = [("content-length", "6")];
    let mut peer = ignores(&[post(&six, false), data(1, b"abc", false), data(1, b"def", true)]);
    assert_eq!(peer.of(1).info.framing, Framing::Length(6));
    assert_eq!(peer.of(1).fields, "host: ex.com|content-length: 6");
    resets(&[post(&six, false), data(1, b"abcdefg", true)], Reason::Protocol);
    resets(&[post(&six, false), data(1, b"abcde", true)], Reason::Protocol);
    resets(&[post(&six, true)], Reason::Protocol);
    resets(
        &[post(&six, false), data(1, b"abcde", false), frame(kind::HEADERS, 5, 1, &block(&[("a", "b")]))],
        Reason::Protocol,
    );
    resets(&[post(&[six[0], ("content-length", "7")], false)], Reason::Protocol);
    for bad in ["", "-1", "+6", "6a", "0x6", "18446744073709551616", "6,,6", "6, 7"] {
        let block = block(&[POST, &[("content-length", bad)]].concat());
        resets(&[frame(kind::HEADERS, 4, 1, &block)], Reason::Protocol);
    }
    for good in [&[six[0], six[0]][..], &[("content-length", "6, 6")], &[("content-length", "06")]] {
        let mut peer = ignores(&[post(good, false)]);
        assert_eq!(peer.of(1).fields, "host: ex.com|content-length: 6");
    }
    let mut peer = ignores(&[post(&[("content-length", "0")], true)]);
    assert_eq!(peer.of(1).fields, "host: ex.com|content-length: 0");
}

/// RFC 9113 section 8.2.1: names and values.
#[test]
fn section_8_2_1_field_validity() {
    for name in ["Upper", "a b", "a:", "x\u{e9}", "a\0", "a\n", "a(", ":foo", ":", "HOST"] {
        resets(&[headers(&[GET, &[(name, "x")]].concat(), true)], Reason::Protocol);
    }
    for value in ["a\r\nb", "a\0b", "a\nb", "\r", "a\r"] {
        resets(&[headers(&[GET, &[("x", value)]].concat(), true)], Reason::Protocol);
    }
    ends(&[headers(&[GET, &[("", "x")]].concat(), true)], Reason::Compression);
    // blanks around a value are taken off, and some bytes pass as they do in HTTP/1
    let mut peer = ignores(&[get_with(&[("x", " a "), ("y", ""), ("z", "\u{1}\u{7f}\u{e9}"), ("x_y", "u")])]);
    assert_eq!(peer.of(1).fields, "host: ex.com|x: a|y: |z: \u{1}\u{7f}\u{e9}|x_y: u");
}

/// RFC 9113 section 8.2.2: fields of a connection of HTTP/1.
#[test]
fn section_8_2_2_connection_fields() {
    for (name, value) in [
        ("connection", "close"),
        ("keep-alive", "x"),
        ("proxy-connection", "x"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
        ("te", "trailers, gzip"),
    ] {
        resets(&[get_with(&[(name, value)])], Reason::Protocol);
    }
    let mut peer = ignores(&[get_with(&[("te", "trailers")])]);
    assert_eq!(peer.of(1).fields, "host: ex.com|te: trailers");
}

/// RFC 9113 section 8.2.3: the crumbs of a cookie become one field.
#[test]
fn section_8_2_3_cookies() {
    let mut peer = ignores(&[get_with(&[
        ("cookie", "a=1"),
        ("x", "y"),
        ("cookie", "b=2"),
        ("cookie", "c=3; d=4"),
        ("z", "1"),
    ])]);
    assert_eq!(peer.of(1).fields, "host: ex.com|x: y|z: 1|cookie: a=1; b=2; c=3; d=4");
    let mut peer = ignores(&[get_with(&[("cookie", "a=1"), ("x", "y")])]);
    assert_eq!(peer.of(1).fields, "host: ex.com|x: y|cookie: a=1");
}

/// RFC 9113 sections 8.3 and 8.3.1: pseudo-header fields.
#[test]
fn section_8_3_pseudo_header_fields() {
    resets(&[headers(&[&[("a", "b")], GET].concat(), true)], Reason::Protocol);
    for p in [
        (":method", "GET"),
        (":path", "/"),
        (":scheme", "http"),
        (":authority", "ex.com"),
        (":status", "200"),
        (":protocol", "x"),
    ] {
        resets(&[headers(&[GET, &[p]].concat(), true)], Reason::Protocol);
        resets(&[headers(&[GET, &[("a", "b"), p]].concat(), true)], Reason::Protocol);
    }
    for missing in 0..3 {
        let mut fields = GET.to_vec();
        fields.remove(missing);
        resets(&[headers(&fields, true)], Reason::Protocol);
    }
    for path in ["", "foo", "http://x/", "/a b", "/a\tb", "/a#b", "/\u{7f}", "**"] {
        resets(&[headers(&[GET[0], GET[1], (":path", path), GET[3]], true)], Reason::Protocol);
    }
    for (method, scheme) in [("G T", "http"), ("", "http"), ("GET", "ht tp"), ("GET", ""), ("GET", "1")] {
        let mut peer = ignores(&[headers(&[(":method", method), (":scheme", scheme), GET[2], GET[3]], true)]);
        assert_eq!(peer.of(1).status, 400, "{method} {scheme}");
    }
}

/// RFC 9113 section 8.3.1: the target is made of its parts as HAProxy does it, and Host of the authority.
#[test]
fn section_8_3_1_targets() {
    for (method, scheme, path, authority, target, sent) in [
        ("GET", "http", "/", "ex.com", "http://ex.com/", "/"),
        ("GET", "https", "/a?b", "ex.com:8080", "https://ex.com:8080/a?b", "/a?b"),
        ("GET", "http", "/", "ex.com:80", "http://ex.com/", "/"),
        ("GET", "https", "/", "ex.com:443", "https://ex.com/", "/"),
        ("GET", "https", "/", "[::1]:80", "https://[::1]:80/", "/"),
        ("get", "HTTP", "/\u{e9}", "ex.com", "HTTP://ex.com/\u{e9}", "/\u{e9}"),
        ("GET", "http", "*", "ex.com", "http://ex.com/", "/"),
        ("OPTIONS", "http", "*", "ex.com", "http://ex.com", "*"),
        ("GET", "ftp", "/", "ex.com", "ftp://ex.com/", "ftp://ex.com/"),
        ("GET", "http", "/", "", "http:///", "/"),
    ] {
        let fields = [(":method", method), (":scheme", scheme), (":path", path), (":authority", authority)];
        let mut peer = ignores(&[headers(&fields, true)]);
        let got = peer.of(1);
        assert_eq!(got.start, format!("{target} {method} {sent} HTTP/1.1"));
        let host = target.split("://").nth(1).and_then(|t| t.split('/').next()).unwrap();
        assert_eq!(got.fields, format!("host: {host}").trim_end());
    }
    for bad in ["u@ex.com", "ex com", "ex/com", "a[b", "ex.com?", "a\\b"] {
        resets(&[headers(&[GET[0], GET[1], GET[2], (":authority", bad)], true)], Reason::Protocol);
    }
    // the authority comes first, whatever Host says
    let mut peer = ignores(&[get_with(&[("a", "b"), ("host", "other")])]);
    assert_eq!(peer.of(1).fields, "host: ex.com|a: b");
    let mut peer = ignores(&[headers(&[GET[0], GET[1], GET[2], ("a", "b"), ("host", "other")], true)]);
    let got = peer.of(1);
    assert_eq!((&*got.start, &*got.fields), ("/ GET / HTTP/1.1", "a: b|host: other"));
    for hosts in [&[("host", "a"), ("host", "b")][..], &[("host", "a b")]] {
        resets(&[headers(&[&GET[..3], hosts].concat(), true)], Reason::Protocol);
    }
}

/// RFC 9113 section 8.5.
#[test]
fn section_8_5_connect() {
    let connect = |more: &[(&'static str, &'static str)]| {
        headers(&[&[(":method", "CONNECT"), (":authority", "ex.com:443")], more].concat(), false)
    };
    let mut peer = ignores(&[connect(&[]), data(1, b"x", false)]);
    let got = peer.of(1);
    assert_eq!(got.start, "ex.com:443 CONNECT ex.com:443 HTTP/1.1");
    assert_eq!(
        (&*got.fields, got.info.framing, &got.body[..]),
        ("host: ex.com:443", Framing::None, &b"x"[..])
    );
    resets(
        &[headers(
            &[(":method", "CONNECT"), (":authority", "ex.com:443"), (":path", "/"), (":scheme", "http")],
            false,
        )],
        Reason::Protocol,
    );
    resets(&[headers(&[(":method", "CONNECT")], false)], Reason::Protocol);
    resets(&[headers(&[(":method", "CONNECT"), (":authority", "ex.com")], false)], Reason::Protocol);
}

/// RFC 8441 section 4.
#[test]
fn rfc_8441_extended_connect() {
    let fields = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":path", "/chat"),
        (":authority", "ex.com"),
        ("sec-websocket-version", "13"),
    ];
    let mut peer = ignores(&[headers(&fields, false)]);
    let got = peer.of(1).clone();
    assert_eq!(got.start, "https://ex.com/chat GET /chat HTTP/1.1");
    assert_eq!(got.fields, "host: ex.com|sec-websocket-version: 13|upgrade: websocket|connection: upgrade");
    assert!(got.info.upgrade && got.info.websocket && got.info.framing == Framing::None);
    for missing in 2..5 {
        let mut some = fields.to_vec();
        some.remove(missing);
        resets(&[headers(&some, false)], Reason::Protocol);
    }
    let mut head = Head::default();
    head.set_response(portcullis_message::Version::HTTP_11, 101, b"Switching Protocols");
    for (name, value) in
        [("upgrade", "websocket"), ("connection", "upgrade"), ("sec-websocket-accept", "x"), ("a", "b")]
    {
        head.push(name.as_bytes(), value.as_bytes());
    }
    peer.heard();
    peer.conn.send_head(1, &head);
    assert_eq!(peer.heard(), ["HEADERS 1 :status: 200|sec-websocket-accept: x|a: b"]);
}

/// RFC 9113 sections 8.1, 8.2.1, 8.2.2 and 8.3.2: responses.
#[test]
fn section_8_3_2_responses() {
    let mut peer = Peer::new();
    peer.say(&get(1));
    let mut head = Head::default();
    let v11 = portcullis_message::Version::HTTP_11;
    head.set_response(v11, 103, b"Early Hints");
    head.push(b"Link", b"x");
    peer.conn.send_head(1, &head);
    head.clear();
    head.set_response(v11, 299, b"Reason");
    for (name, value) in [
        ("Connection", "close"),
        ("keep-alive", "x"),
        ("transfer-encoding", "chunked"),
        ("proxy-connection", "x"),
        ("upgrade", "h2c"),
        ("Set-Cookie", "a-value-that-is-long-enough-for-huffman"),
        ("set-cookie", "b"),
    ] {
        head.push(name.as_bytes(), value.as_bytes());
    }
    peer.conn.send_head(1, &head);
    peer.conn.send_data(1, &[IoSlice::new(b"a"), IoSlice::new(b""), IoSlice::new(b"bc")]);
    peer.conn.send_end(1, Some(b"grpc-status: 0\r\nX-B: c\r\n\r\n"));
    assert_eq!(
        peer.heard(),
        [
            "HEADERS 1 :status: 103|link: x",
            "HEADERS 1 :status: 299|set-cookie: a-value-that-is-long-enough-for-huffman|set-cookie: b",
            "DATA 1 \"abc\"",
            "HEADERS 1 grpc-status: 0|x-b: c END"
        ]
    );
    // nothing can follow
    peer.conn.send_head(1, &head);
    assert_eq!(peer.conn.send_data(1, &[IoSlice::new(b"x")]), 0);
    peer.conn.send_end(1, None);
    assert!(peer.heard().is_empty());
}

/// RFC 9113 section 4.2: our frames are no larger than the peer's setting, blocks go on in CONTINUATION.
#[test]
fn section_4_2_what_is_sent_fits() {
    let mut peer = Peer::new();
    peer.say(&get(1));
    let mut head = Head::default();
    head.set_response(portcullis_message::Version::HTTP_11, 200, b"");
    let long = vec![0x01u8; 20_000];
    head.push(b"x-a", &long);
    peer.conn.send_head(1, &head);
    peer.conn.send_end(1, None);
    let out = peer.conn.output().to_vec();
    let first = Header::read(&out).unwrap();
    assert_eq!((first.kind, first.flags, first.length), (kind::HEADERS, flag::END_STREAM, 16_384));
    let second = Header::read(&out[HEADER + 16_384..]).unwrap();
    assert_eq!((second.kind, second.flags), (kind::CONTINUATION, flag::END_HEADERS));
    let whole = [&out[HEADER..][..16_384], &out[2 * HEADER + 16_384..]].concat();
    let mut pairs = Pairs::default();
    Decoder::new(4096).decode(&whole, &mut pairs).unwrap();
    assert_eq!(pairs.1[1].len(), 5 + 20_000);
    let mut peer = Peer::new();
    peer.say(&[get(1), setting_of(setting::INITIAL_WINDOW_SIZE, 1 << 20)].concat());
    peer.heard();
    assert_eq!(peer.conn.send_data(1, &[IoSlice::new(&[b'x'; 40_000])]), 40_000);
    let sizes: Vec<usize> = peer.heard().iter().map(|f| f.len() - 9).collect();
    assert_eq!(sizes, [16_384, 16_384, 40_000 - 2 * 16_384]);
}

/// RFC 7541 section 4.2: a peer that wants a smaller table is told that none is used.
#[test]
fn rfc_7541_section_4_2_the_table_is_given_up() {
    let mut peer = Peer::new();
    peer.say(&[get(1), setting_of(setting::HEADER_TABLE_SIZE, 0)].concat());
    peer.heard();
    let mut head = Head::default();
    head.set_response(portcullis_message::Version::HTTP_11, 200, b"");
    peer.conn.send_head(1, &head);
    assert_eq!(peer.conn.output()[HEADER..], [0x20, 0x88]);
    peer.heard();
    peer.conn.send_head(1, &head);
    assert_eq!(peer.conn.output()[HEADER..], [0x88]);
}

/// What waits to be written is bounded: streams wait in turn, and in the end nothing more is read.
#[test]
fn output_is_bounded() {
    let mut peer = Peer::new();
    peer.say(
        &[window(0, 1 << 24), setting_of(setting::INITIAL_WINDOW_SIZE, 1 << 24), get(1), get(3)].concat(),
    );
    let big = vec![0; 1 << 20];
    let mut sent = 0;
    while let n @ 1.. = peer.conn.send_data(1, &[IoSlice::new(&big)]) {
        sent += n;
    }
    assert!((60_000..70_000).contains(&sent), "{sent}");
    assert_eq!(peer.conn.send_data(3, &[IoSlice::new(&big)]), 0);
    assert!(!peer.conn.is_waited_for() && peer.conn.next_waiting().is_none());
    peer.heard();
    assert!(peer.conn.is_waited_for());
    assert_eq!(
        (peer.conn.next_waiting(), peer.conn.next_waiting(), peer.conn.next_waiting()),
        (Some(1), Some(3), None)
    );
    // pings that are not read
    let ping = frame(kind::PING, 0, 0, &[0; 8]);
    let mut said = 0;
    for now in 0..100_000 {
        peer.now = now * 10;
        let n = peer.say(&ping);
        if n == 0 {
            break;
        }
        said += 1;
    }
    assert!(peer.conn.output().len() < 300_000 && said < 20_000, "{said}");
    // what was written is not kept
    for _ in 0..10_000 {
        peer.conn.wrote(17);
        peer.say(&ping);
        peer.now += 10;
    }
    assert!(peer.conn.output().len() < 300_000);
}

/// Each of these costs its peer the connection, and us nothing that grows.
#[test]
fn floods() {
    let empty = block(GET);
    let reset = |id| frame(kind::RST_STREAM, 0, id, &[0, 0, 0, 8]);
    let mut streams = 1;
    let mut next = || {
        streams += 2;
        streams
    };
    let mut repeat = |name: &str, piece: &mut dyn FnMut(u32) -> Vec<u8>, first: &[u8], most: usize| {
        let mut peer = Peer::new();
        peer.say(&[post(1), first.to_vec()].concat());
        for n in 0..most {
            let id = next();
            peer.say(&piece(id));
            peer.heard();
            peer.conn.release(id, Reason::Cancel);
            assert!(peer.conn.streams_kept() < 300);
            if let Some(fatal) = peer.fatal {
                assert_eq!(fatal.reason, Reason::EnhanceYourCalm, "{name}");
                assert!(n > 50 || name.starts_with("continuation"), "{name}: too early");
                return;
            }
        }
        panic!("{name}: it goes on for ever");
    };
    repeat("rapid reset", &mut |id| [frame(kind::HEADERS, 5, id, &empty), reset(id)].concat(), &[], 1000);
    repeat(
        "made you reset",
        &mut |id| [frame(kind::HEADERS, 5, id, &empty), window(id, 0)].concat(),
        &[],
        1000,
    );
    repeat(
        "made you reset, data",
        &mut |id| [frame(kind::HEADERS, 5, id, &empty), data(id, b"", true)].concat(),
        &[],
        1000,
    );
    repeat("malformed requests", &mut |id| frame(kind::HEADERS, 5, id, &block(&[("A", "b")])), &[], 1000);
    repeat("pings", &mut |_| frame(kind::PING, 0, 0, &[0; 8]), &[], 5000);
    repeat("ping acks", &mut |_| frame(kind::PING, 1, 0, &[0; 8]), &[], 5000);
    repeat("settings", &mut |_| frame(kind::SETTINGS, 0, 0, &[]), &[], 5000);
    repeat("priorities", &mut |id| frame(kind::PRIORITY, 0, id, &[0, 0, 0, 0, 1]), &[], 5000);
    repeat("window updates", &mut |_| window(0, 1), &[], 5000);
    repeat("unknown frames", &mut |_| frame(99, 0, 0, &[]), &[], 5000);
    repeat("empty data", &mut |_| data(1, &[], false), &[], 5000);
    repeat("empty padded data", &mut |_| frame(kind::DATA, flag::PADDED, 1, &[0]), &[], 5000);
    repeat("data for what is closed", &mut |_| data(1, b"x", false), &reset(1), 5000);
    let begun = frame(kind::HEADERS, 0, 3, &[]);
    repeat("continuations, empty", &mut |_| frame(kind::CONTINUATION, 0, 3, &[]), &begun, 100);
    repeat("continuations", &mut |_| frame(kind::CONTINUATION, 0, 3, &[0; 1000]), &begun, 100);
}

/// A request that is answered brings credit back, as time does: what clients do all the time costs nothing.
#[test]
fn honest_work_goes_on() {
    let mut peer = Peer::new();
    let mut id = 1;
    for n in 0..5_000 {
        peer.say(&[get(id), get(id + 2), window(0, 10), frame(kind::SETTINGS, 0, 0, &[])].concat());
        peer.answer(id, 200, b"ok");
        // every second one is not waited for
        peer.say(
            &[frame(kind::RST_STREAM, 0, id + 2, &[0, 0, 0, 8]), frame(kind::PING, 0, 0, &[0; 8])].concat(),
        );
        peer.conn.release(id + 2, Reason::Cancel);
        peer.heard();
        assert_eq!(peer.fatal, None, "round {n}");
        id += 4;
        peer.now += 10;
    }
    // pings once a second, for days
    for _ in 0..100_000 {
        peer.now += 1000;
        peer.say(&frame(kind::PING, 0, 0, &[0; 8]));
        assert_eq!((peer.fatal, peer.heard().len()), (None, 1));
    }
}

/// HPACK bombs: what a block becomes is bounded, and nothing of it is kept.
#[test]
fn a_block_that_grows() {
    let mut peer = Peer::new();
    let big = "v".repeat(4000);
    let mut bytes = block(GET);
    bytes.extend_from_slice(b"\x40\x01x\x7f\xa1\x1e");
    bytes.extend_from_slice(big.as_bytes());
    bytes.extend(std::iter::repeat_n(0xbe, 10_000));
    peer.say(&frame(kind::HEADERS, 5, 1, &bytes));
    assert_eq!(peer.heard(), ["RST 1 1"]);
    // many small ones
    let mut bytes = block(GET);
    bytes.extend(std::iter::repeat_n(0x90, 200));
    peer.say(&frame(kind::HEADERS, 5, 3, &bytes));
    assert_eq!(peer.heard(), ["RST 3 1"]);
    peer.say(&get(5));
    assert!(!peer.of(5).start.is_empty());
}

/// A client that a rule rejects.
/// What is refused costs by its size, and everything is counted.
#[test]
fn refused_blocks_cost_by_their_size() {
    let mut peer = Peer::new();
    let mut large = with(GET, &[]);
    (0..3000).for_each(|_| large.extend(block(&[("a", "")])));
    let mut sent = 0;
    while !peer.conn.is_over() && sent < 100 {
        peer.say(&frame(kind::HEADERS, 5, 2 * sent + 1, &large));
        sent += 1;
    }
    assert!((5..12).contains(&sent), "{sent}");
    let tally = peer.conn.take_tally();
    let errors =
        (tally.headers, tally.stream_errors, tally.resets_sent, tally.connection_errors, tally.goaways_sent);
    assert_eq!(errors, (sent, sent, sent, 1, 1));
    assert_eq!((tally.begun, peer.conn.take_tally()), (0, Default::default()));
}

#[test]
fn rejection() {
    let mut peer = Peer::new();
    peer.say(&[get(1), get(3)].concat());
    peer.conn.reject(1);
    assert_eq!(peer.heard(), ["RST 1 11", "GOAWAY 3 11"]);
    assert!(peer.conn.is_over() && peer.conn.is_reset(1));
}

/// `tune.h2.fe.max-total-streams`
#[test]
fn streams_in_all() {
    let mut peer = Peer::with(Config { total: 2, streams: 3, ..CONFIG });
    peer.say(&get(1));
    assert!(peer.heard().is_empty());
    peer.say(&[get(3), get(5)].concat());
    assert_eq!(peer.heard(), ["GOAWAY 9 0"]);
    assert!(peer.conn.is_leaving());
    for id in [1, 3, 5] {
        peer.answer(id, 200, b"");
    }
    peer.say(&[get(7), get(9), get(11)].concat());
    assert!(peer.heard().contains(&"GOAWAY 9 0".to_owned()));
    assert!(peer.of(11).start.is_empty());
}

/// Any interleaving of the frames of several streams gives each stream what it has alone, in whatever pieces it comes.
#[test]
fn interleaving_changes_nothing() {
    let mut seed = 1u64;
    let mut random = move |n: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % n
    };
    for _ in 0..300 {
        let count = 2 + random(4);
        // a header block is one piece: nothing comes between its frames
        let mut streams: Vec<Vec<Vec<u8>>> = Vec::new();
        for i in 0..count {
            let id = 1 + 2 * i as u32;
            let known = random(3) == 0;
            let sizes: Vec<usize> = (0..random(5)).map(|_| random(900)).collect();
            let length = sizes.iter().sum::<usize>().to_string();
            let mut fields = POST.to_vec();
            fields.push(("cookie", "a"));
            if known {
                fields.push(("content-length", &length));
            }
            let bytes = block(&fields);
            let cut = random(bytes.len());
            let mut frames = vec![
                [frame(kind::HEADERS, 0, id, &bytes[..cut]), frame(kind::CONTINUATION, 4, id, &bytes[cut..])]
                    .concat(),
            ];
            for (n, size) in sizes.iter().enumerate() {
                let text: Vec<u8> = (0..*size).map(|k| (k * 7 + n + i) as u8).collect();
                frames.push(match random(2) {
                    0 => data(id, &text, false),
                    _ => frame(kind::DATA, flag::PADDED, id, &[&[2][..], &text, &[0, 0]].concat()),
                });
            }
            frames.push(match random(3) {
                0 => frame(kind::HEADERS, 5, id, &block(&[("x-t", "1")])),
                1 => frame(kind::RST_STREAM, 0, id, &[0, 0, 0, 8]),
                _ => data(id, b"", true),
            });
            streams.push(frames);
        }
        let alone: Vec<Got> = streams
            .iter()
            .enumerate()
            .map(|(i, frames)| {
                let mut peer = Peer::new();
                peer.say(&frames.concat());
                peer.of(1 + 2 * i as u32).clone()
            })
            .collect();
        // streams begin in their order
        let mut left: Vec<std::collections::VecDeque<Vec<u8>>> =
            streams.into_iter().map(Into::into).collect();
        let (mut begun, mut bytes) = (0, Vec::new());
        while left.iter().any(|l| !l.is_empty()) {
            let i = random((begun + 1).min(count));
            if let Some(f) = left[i].pop_front() {
                begun = begun.max(i + 1);
                bytes.extend_from_slice(&f);
            }
        }
        let mut peer = Peer::new();
        let mut waiting = Vec::new();
        while !bytes.is_empty() {
            let n = (1 + random(2000)).min(bytes.len());
            waiting.extend(bytes.drain(..n));
            let used = peer.say(&waiting);
            waiting.drain(..used);
        }
        assert!(waiting.is_empty() && peer.fatal.is_none());
        for (i, want) in alone.iter().enumerate() {
            assert_eq!(peer.of(1 + 2 * i as u32), want);
        }
    }
}

/// The vectors of RFC 7541 appendix C.
mod rfc_7541_appendix_c {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let hex: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        hex.chunks(2).map(|c| u8::from_str_radix(std::str::from_utf8(c).unwrap(), 16).unwrap()).collect()
    }

    /// Blocks in turn, with the size of the table behind each.
    fn check(limit: u32, blocks: &[(&str, &[&str], usize)]) {
        let mut decoder = Decoder::new(limit);
        for (hex, want, size) in blocks {
            let mut pairs = Pairs::default();
            decoder.decode(&bytes(hex), &mut pairs).unwrap();
            assert_eq!(pairs.1, *want);
            assert_eq!(decoder.size(), *size);
        }
    }

    #[test]
    fn c_2_representations() {
        check(
            4096,
            &[(
                "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
                &["custom-key: custom-header"],
                55,
            )],
        );
        check(4096, &[("040c 2f73 616d 706c 652f 7061 7468", &[":path: /sample/path"], 0)]);
        check(4096, &[("1008 7061 7373 776f 7264 0673 6563 7265 74", &["password: secret"], 0)]);
        check(4096, &[("82", &[":method: GET"], 0)]);
    }

    const FIRST: &[&str] = &[":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"];
    const SECOND: &[&str] = &[
        ":method: GET",
        ":scheme: http",
        ":path: /",
        ":authority: www.example.com",
        "cache-control: no-cache",
    ];
    const THIRD: &[&str] = &[
        ":method: GET",
        ":scheme: https",
        ":path: /index.html",
        ":authority: www.example.com",
        "custom-key: custom-value",
    ];

    #[test]
    fn c_3_and_c_4_requests() {
        check(
            4096,
            &[
                ("8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", FIRST, 57),
                ("8286 84be 5808 6e6f 2d63 6163 6865", SECOND, 110),
                ("8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65", THIRD, 164),
            ],
        );
        check(
            4096,
            &[
                ("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", FIRST, 57),
                ("8286 84be 5886 a8eb 1064 9cbf", SECOND, 110),
                ("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf", THIRD, 164),
            ],
        );
    }

    #[test]
    fn c_5_and_c_6_responses() {
        let first: &[&str] = &[
            ":status: 302",
            "cache-control: private",
            "date: Mon, 21 Oct 2013 20:13:21 GMT",
            "location: https://www.example.com",
        ];
        let second: &[&str] = &[
            ":status: 307",
            "cache-control: private",
            "date: Mon, 21 Oct 2013 20:13:21 GMT",
            "location: https://www.example.com",
        ];
        let third: &[&str] = &[
            ":status: 200",
            "cache-control: private",
            "date: Mon, 21 Oct 2013 20:13:22 GMT",
            "location: https://www.example.com",
            "content-encoding: gzip",
            "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
        ];
        check(
            256,
            &[
                (
                    "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a \
                     3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
                    first,
                    222,
                ),
                ("4803 3330 37c1 c0bf", second, 222),
                (
                    "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 \
                     677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 \
                     553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
                    third,
                    215,
                ),
            ],
        );
        check(
            256,
            &[
                (
                    "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e \
                     919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
                    first,
                    222,
                ),
                ("4883 640e ffc1 c0bf", second, 222),
                (
                    "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 \
                     821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed \
                     4ee5 b106 3d50 07",
                    third,
                    215,
                ),
            ],
        );
    }

    /// RFC 7541 section 4.4: an entry that does not fit empties the table; section 4.3: so does a smaller size.
    #[test]
    fn sections_4_3_and_4_4_eviction() {
        let entry = [&b"\x40\x01a\x7f\x00"[..], &[b'v'; 127]].concat();
        let mut decoder = Decoder::new(4096);
        decoder.decode(&entry, &mut Pairs::default()).unwrap();
        assert_eq!(decoder.size(), 160);
        decoder.decode(b"\x3f\x61", &mut Pairs::default()).unwrap();
        assert_eq!(decoder.size(), 0, "128");
        decoder.decode(&entry, &mut Pairs::default()).unwrap();
        assert_eq!(decoder.size(), 0);
        assert!(decoder.decode(b"\xbe", &mut Pairs::default()).is_err());
    }

    #[test]
    fn names_that_are_known() {
        assert_eq!(Name::of(b"cookie"), Name::Field(portcullis_message::HeaderId::Cookie));
        assert_eq!(Name::of(b""), Name::Empty);
        assert_eq!(Name::of(b":status2"), Name::Malformed);
    }
}
