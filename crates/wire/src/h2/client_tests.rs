//! The requirements of RFC 9113 on a client, section by section, and what goes beyond them.

use super::answer::Answer;
use super::conn::{Config, Connection, Event};
use super::frame::{HEADER, Header, PREFACE, Reason, flag, kind, setting};
use super::hpack::{Decoder, Line, Sink};
use super::sent::Sent;
use super::tests::{CONFIG, block, data, frame, setting_of, window};
use crate::h1::Framing;
use portcullis_message::{Head, Version};
use std::io::IoSlice;

#[derive(Default)]
struct Pairs(Vec<u8>, Vec<String>);
impl Sink for Pairs {
    fn arena(&mut self) -> Option<&mut Vec<u8>> {
        Some(&mut self.0)
    }
    fn take(&mut self, line: Line) {
        self.1.push(String::from_utf8_lossy(&self.0[line.start..line.end - 2]).into_owned());
    }
}

/// A client, and what came of what its server said.
struct Client {
    conn: Connection<()>,
    events: Vec<String>,
    decoder: Decoder,
    now: u64,
}

fn head(method: &str, target: &str, fields: &[(&str, &str)]) -> Head {
    let mut head = Head::default();
    head.set_request(method.as_bytes(), target.as_bytes(), Version::HTTP_11);
    for (name, value) in fields {
        head.push(name.as_bytes(), value.as_bytes());
    }
    head
}

impl Client {
    fn with(config: Config) -> Self {
        let conn = Connection::client(config, b"");
        Self { conn, events: Vec::new(), decoder: Decoder::new(4096), now: 0 }
    }
    /// One whose server has said its settings; nothing of that is left to be heard.
    fn new() -> Self {
        let mut this = Self::with(CONFIG);
        this.say(&[frame(kind::SETTINGS, 0, 0, b""), frame(kind::SETTINGS, flag::ACK, 0, b"")].concat());
        this.heard();
        this
    }
    fn open(&mut self, method: &str) -> u32 {
        self.ask(&head(method, "/", &[("host", "ex.com")]), false)
    }
    fn ask(&mut self, head: &Head, upgrade: bool) -> u32 {
        self.conn.open_stream(head, &Sent { scheme: b"https", upgrade }).expect("room")
    }
    /// A request without a body.
    fn get(&mut self) -> u32 {
        let id = self.open("GET");
        self.conn.send_end(id, None);
        id
    }
    fn say(&mut self, mut bytes: &[u8]) -> &mut Self {
        while !bytes.is_empty() {
            let mut head = Head::default();
            let (n, event) = self.conn.receive(bytes, self.now, &mut head);
            let more = matches!(event, Event::More | Event::Full);
            let text = match event {
                Event::Nothing | Event::More => String::new(),
                Event::Response(id, Answer { info, interim }) => {
                    let fields: Vec<String> = head
                        .fields()
                        .map(|f| {
                            format!(
                                "{}={}",
                                String::from_utf8_lossy(f.name),
                                String::from_utf8_lossy(f.value)
                            )
                        })
                        .collect();
                    let interim = if interim { " interim" } else { "" };
                    format!("{id} {} {} {:?}{interim}", head.status, fields.join(","), info.framing)
                }
                Event::Data(id, part, end) => format!("{id} {:?} {end}", String::from_utf8_lossy(part)),
                other => format!("{other:?}"),
            };
            if !text.is_empty() {
                self.events.push(text);
            }
            bytes = &bytes[n..];
            if more && n == 0 {
                break;
            }
        }
        self
    }
    fn told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.events)
    }
    /// The frames that it has sent since.
    fn heard(&mut self) -> Vec<String> {
        let out = self.conn.output().to_vec();
        self.conn.wrote(out.len());
        let mut rest = &out[..];
        rest = rest.strip_prefix(&PREFACE[..]).unwrap_or(rest);
        let mut all = Vec::new();
        while let Some(h) = Header::read(rest) {
            let payload = &rest[HEADER..HEADER + h.length as usize];
            rest = &rest[HEADER + payload.len()..];
            let end = if h.has(flag::END_STREAM) { " END" } else { "" };
            let n = || u32::from_be_bytes(payload[..4].try_into().unwrap());
            all.push(match h.kind {
                kind::HEADERS => {
                    let mut pairs = Pairs::default();
                    self.decoder.decode(payload, &mut pairs).unwrap();
                    format!("HEADERS {} {}{end}", h.stream, pairs.1.join("|"))
                }
                kind::DATA => format!("DATA {} {}{end}", h.stream, payload.len()),
                kind::RST_STREAM => format!("RST {} {}", h.stream, n()),
                kind::GOAWAY => format!("GOAWAY {} {}", n(), payload[7]),
                kind::SETTINGS => format!("SETTINGS {} {payload:?}", h.flags),
                kind::WINDOW_UPDATE => format!("WINDOW {} {}", h.stream, n()),
                kind => format!("{kind} {}", h.flags),
            });
        }
        all
    }
}

fn answer(stream: u32, fields: &[(&str, &str)], end: bool) -> Vec<u8> {
    frame(kind::HEADERS, flag::END_HEADERS | u8::from(end), stream, &block(fields))
}
const OK: &[(&str, &str)] = &[(":status", "200")];

/// What a server says to a client with one request ends the connection for this reason.
fn ends(bytes: &[u8], reason: Reason) {
    let mut c = Client::new();
    c.get();
    c.say(bytes);
    assert!(c.conn.is_over(), "goes on: {:?}", c.events);
    assert_eq!(c.heard().last().unwrap(), &format!("GOAWAY 0 {}", reason as u32));
}

/// It resets the stream, and nothing else.
fn resets(bytes: &[u8]) {
    let mut c = Client::new();
    c.get();
    c.heard();
    c.say(bytes);
    assert!(!c.conn.is_over(), "{:?}", c.events);
    assert_eq!(c.told().last().unwrap(), "Reset(1, true)");
    assert_eq!(c.heard().last().unwrap(), "RST 1 1");
}

#[test]
fn section_3_4_preface_and_settings_come_first() {
    let mut c = Client::with(CONFIG);
    assert!(c.conn.output().starts_with(PREFACE));
    let heard = c.heard();
    assert!(heard[0].starts_with("SETTINGS 0 [0, 2, 0, 0, 0, 0"), "no push: {heard:?}");
    assert_eq!(heard.len(), 1, "the window is widened when something comes");
    let behind = Connection::<()>::client(CONFIG, b"PROXY x\r\n");
    assert!(behind.output().starts_with(b"PROXY x\r\nPRI"));
    for bad in [frame(kind::PING, 0, 0, &[0; 8]), frame(kind::SETTINGS, flag::ACK, 0, b"")] {
        let mut c = Client::with(CONFIG);
        c.say(&bad);
        assert!(c.conn.is_over(), "settings were not the first");
    }
}

#[test]
fn section_5_1_1_streams_are_the_clients() {
    ends(&answer(2, OK, true), Reason::Protocol);
    ends(&answer(3, OK, true), Reason::Protocol);
    ends(&data(3, b"x", true), Reason::Protocol);
    ends(&data(0, b"x", true), Reason::Protocol);
    ends(&frame(kind::RST_STREAM, 0, 3, &[0; 4]), Reason::Protocol);
    ends(&window(2, 1), Reason::Protocol);
    let mut c = Client::new();
    assert_eq!([c.get(), c.get(), c.get()], [1, 3, 5]);
}

#[test]
fn section_5_1_2_no_more_streams_than_the_server_bears() {
    let mut c = Client::new();
    c.say(&setting_of(setting::MAX_CONCURRENT_STREAMS, 2));
    let first = c.get();
    c.get();
    assert_eq!(c.conn.room(), 0);
    assert!(c.conn.open_stream(&head("GET", "/", &[]), &Sent { scheme: b"http", upgrade: false }).is_none());
    c.say(&answer(first, OK, true));
    c.conn.release(first, Reason::Cancel);
    assert_eq!(c.conn.room(), 1);
    let mut c = Client::with(Config { streams: 3, ..CONFIG });
    for _ in 0..3 {
        c.get();
    }
    assert_eq!(c.conn.room(), 0, "our own limit");
}

#[test]
fn a_server_that_does_not_read_gets_no_more_streams() {
    let mut c = Client::with(Config { streams: 10_000, ..CONFIG });
    let value = "x".repeat(10_000);
    let head = head("GET", "/", &[("a", &value)]);
    let sent = Sent { scheme: b"http", upgrade: false };
    let begun = (0..1000).take_while(|_| c.conn.open_stream(&head, &sent).is_some()).count();
    assert!(begun < 20, "{begun}");
    c.heard();
    assert!(c.conn.room() > 0);
}

#[test]
fn section_5_4_and_6_4_what_was_reset_does_no_harm() {
    let mut c = Client::new();
    let id = c.get();
    c.conn.release(id, Reason::Cancel);
    assert_eq!(c.heard().last().unwrap(), "RST 1 8");
    c.say(&[answer(1, OK, false), data(1, b"abc", true), answer(1, &[("x", "y")], true)].concat());
    assert!(c.told().is_empty() && !c.conn.is_over());
}

#[test]
fn section_6_1_payload_needs_a_response() {
    resets(&data(1, b"x", true));
    resets(&[answer(1, &[(":status", "100")], false), data(1, b"x", true)].concat());
}

#[test]
fn section_6_5_2_settings_of_a_server() {
    ends(&setting_of(setting::ENABLE_PUSH, 1), Reason::Protocol);
    ends(&setting_of(setting::ENABLE_CONNECT_PROTOCOL, 2), Reason::Protocol);
    let on = setting_of(setting::ENABLE_CONNECT_PROTOCOL, 1);
    ends(&[on.clone(), setting_of(setting::ENABLE_CONNECT_PROTOCOL, 0)].concat(), Reason::Protocol);
    ends(&setting_of(setting::INITIAL_WINDOW_SIZE, 1 << 31), Reason::FlowControl);
    ends(&setting_of(setting::MAX_FRAME_SIZE, 16_383), Reason::Protocol);
    let mut c = Client::with(CONFIG);
    assert_eq!(c.conn.connects(), None);
    c.say(&on);
    assert_eq!(c.conn.connects(), Some(true));
    assert!(c.heard().contains(&"SETTINGS 1 []".to_owned()), "acknowledged");
}

#[test]
fn section_6_6_and_8_4_nothing_is_pushed() {
    let promise = [&2u32.to_be_bytes()[..], &block(&[(":method", "GET")])].concat();
    ends(&frame(kind::PUSH_PROMISE, flag::END_HEADERS, 1, &promise), Reason::Protocol);
}

#[test]
fn section_6_8_streams_above_the_last_one_were_refused() {
    let mut c = Client::new();
    for _ in 0..3 {
        c.get();
    }
    let away = [&3u32.to_be_bytes()[..], &[0; 4]].concat();
    c.say(&frame(kind::GOAWAY, 0, 0, &away));
    assert_eq!(c.told(), ["Leaving"]);
    assert_eq!([1, 3, 5].map(|id| c.conn.is_refused(id)), [false, false, true]);
    assert_eq!(c.conn.room(), 0, "no more begin");
    c.say(&answer(3, OK, true));
    assert_eq!(c.told().len(), 1, "the others are answered");
    ends(&frame(kind::GOAWAY, 0, 1, &[0; 8]), Reason::Protocol);
}

#[test]
fn section_6_9_windows_are_kept_to() {
    let mut c = Client::new();
    c.say(&setting_of(setting::INITIAL_WINDOW_SIZE, 10));
    let id = c.open("POST");
    assert_eq!(c.conn.send_data(id, &[IoSlice::new(&[0; 100])]), 10);
    c.say(&window(id, 5));
    assert_eq!(c.told().last().unwrap(), "Window(1)");
    assert_eq!(c.conn.send_data(id, &[IoSlice::new(&[0; 100])]), 5);
    c.say(&setting_of(setting::INITIAL_WINDOW_SIZE, 0));
    c.say(&window(id, 3));
    assert_eq!(c.conn.send_data(id, &[IoSlice::new(&[0; 100])]), 0, "below zero");
    ends(&window(0, 0), Reason::Protocol);
    // what the server sends beyond its window
    let mut c = Client::new();
    let id = c.get();
    c.say(&answer(id, &[(":status", "200"), ("content-length", "20000")], false));
    let left = c.heard().iter().find_map(|l| l.strip_prefix("WINDOW 1 ")?.parse::<usize>().ok());
    let mut sent = 0;
    while sent <= 16_384 + left.unwrap_or(0) && c.events.iter().all(|e| e != "Reset(1, true)") {
        c.say(&data(id, &[0; 1000], false));
        sent += 1000;
    }
    assert_eq!(c.told().last().unwrap(), "Reset(1, true)", "{sent} bytes");
}

#[test]
fn section_8_1_messages_of_a_server() {
    let mut c = Client::new();
    let id = c.get();
    c.say(&answer(id, &[(":status", "103"), ("link", "<a>")], false));
    c.say(&answer(id, &[(":status", "200"), ("x", " y ")], false));
    c.say(&data(id, b"abc", false));
    c.say(&answer(id, &[("grpc-status", "0")], true));
    assert_eq!(
        c.told(),
        [
            "1 103 link=<a> None interim",
            "1 200 x=y Pieces",
            "1 \"abc\" false",
            &format!("End(1, {:?})", b"grpc-status: 0\r\n\r\n".to_vec()),
        ]
    );
    resets(&answer(1, &[(":status", "103")], true));
    resets(&[answer(1, OK, false), answer(1, &[("a", "b")], false)].concat());
    resets(&[answer(1, OK, false), answer(1, &[(":status", "200")], true)].concat());
    // an answered request is not wanted any more
    let mut c = Client::new();
    let id = c.open("POST");
    c.say(&[answer(id, OK, true), frame(kind::RST_STREAM, 0, id, &[0; 4])].concat());
    assert!(c.conn.is_reset(id) && !c.conn.is_cut(id), "the response is whole");
}

#[test]
fn section_8_1_1_malformed_responses_reset_their_stream() {
    for bad in [
        &[("a", "b")][..],
        &[("a", "b"), (":status", "200")],
        &[(":status", "200"), (":status", "200")],
        &[(":status", "20")],
        &[(":status", "2x0")],
        &[(":status", "0200")],
        &[(":status", "101")],
        &[(":status", "200"), (":path", "/")],
        &[(":status", "200"), ("connection", "close")],
        &[(":status", "200"), ("transfer-encoding", "chunked")],
        &[(":status", "200"), ("upgrade", "x")],
        &[(":status", "200"), ("keep-alive", "x")],
        &[(":status", "200"), ("proxy-connection", "x")],
        &[(":status", "200"), ("Upper", "x")],
        &[(":status", "200"), ("a b", "x")],
        &[(":status", "200"), ("a", "x\r\ny: z")],
        &[(":status", "200"), ("a", "x\0")],
        &[(":status", "200"), ("content-length", "x")],
        &[(":status", "200"), ("content-length", "1"), ("content-length", "2")],
        &[(":status", "200"), ("content-length", "1")],
    ] {
        resets(&answer(1, bad, true));
    }
    let length = |n| answer(1, &[(":status", "200"), ("content-length", n)], false);
    resets(&[length("2"), data(1, b"abc", true)].concat());
    resets(&[length("4"), data(1, b"abc", true)].concat());
    resets(&[length("4"), answer(1, &[("a", "b")], true)].concat());
}

#[test]
fn what_has_no_body_may_have_a_length() {
    for (method, status) in [("HEAD", "200"), ("GET", "304"), ("GET", "204")] {
        let mut c = Client::new();
        let id = c.open(method);
        c.say(&answer(id, &[(":status", status), ("content-length", "5")], true));
        assert_eq!(c.told(), [format!("1 {status} content-length=5 {:?}", Framing::None)]);
        let mut c = Client::new();
        let id = c.open(method);
        c.say(&answer(id, &[(":status", status)], false));
        c.say(&data(id, b"x", true));
        assert_eq!(c.told().last().unwrap(), "Reset(1, true)");
    }
}

#[test]
fn section_8_3_1_requests_in_parts() {
    let mut c = Client::new();
    let shown = |c: &mut Client, head: &Head, upgrade| {
        c.heard();
        c.ask(head, upgrade);
        c.heard().pop().unwrap().split_once(' ').unwrap().1.split_once(' ').unwrap().1.to_owned()
    };
    let get =
        |target: &str| head("GET", target, &[("host", "h"), ("cookie", "a=1; b=2"), ("connection", "x")]);
    assert_eq!(
        shown(&mut c, &get("/a?b"), false),
        ":method: GET|:scheme: https|:path: /a?b|host: h|cookie: a=1; b=2"
    );
    assert_eq!(
        shown(&mut c, &get("http://ex.com/a"), false),
        ":method: GET|:scheme: http|:authority: ex.com|:path: /a|cookie: a=1; b=2"
    );
    assert_eq!(
        shown(&mut c, &head("OPTIONS", "*", &[("te", "gzip"), ("X-Up", "1")]), false),
        ":method: OPTIONS|:scheme: https|:path: *|x-up: 1"
    );
    assert_eq!(
        shown(&mut c, &head("OPTIONS", "http://h", &[]), false),
        ":method: OPTIONS|:scheme: http|:authority: h|:path: *"
    );
    assert_eq!(
        shown(&mut c, &head("CONNECT", "h:80", &[("host", "h:80")]), false),
        ":method: CONNECT|:authority: h:80"
    );
    let ws = head(
        "GET",
        "/w",
        &[("host", "h"), ("upgrade", "websocket"), ("connection", "upgrade"), ("te", "trailers")],
    );
    assert_eq!(
        shown(&mut c, &ws, true),
        ":method: CONNECT|:scheme: https|:authority: h|:path: /w|:protocol: websocket|te: trailers"
    );
}

#[test]
fn tunnels_begin_with_success() {
    let mut c = Client::new();
    let id = c.ask(&head("CONNECT", "h:80", &[]), false);
    c.say(&answer(id, &[(":status", "200"), ("content-length", "5")], false));
    c.say(&data(id, b"bytes and bytes", false));
    assert_eq!(c.told(), ["1 200  Tunnel", "1 \"bytes and bytes\" false"]);
}

#[test]
fn section_8_7_refused_streams_can_be_sent_again() {
    let mut c = Client::new();
    let id = c.get();
    c.say(&frame(kind::RST_STREAM, 0, id, &(Reason::RefusedStream as u32).to_be_bytes()));
    assert!(c.conn.is_refused(id));
    let id = c.get();
    c.say(&frame(kind::RST_STREAM, 0, id, &(Reason::Cancel as u32).to_be_bytes()));
    assert!(!c.conn.is_refused(id) && c.conn.is_cut(id));
    assert!(c.conn.glitches() == 0, "a server may reset what it likes");
}

/// As gRPC does it: many small messages both ways, each of which is taken note of.
#[test]
fn talkative_peers_keep_their_credit() {
    let mut c = Client::new();
    let id = c.open("POST");
    c.say(&answer(id, OK, false));
    for _ in 0..20_000 {
        assert_eq!(c.conn.send_data(id, &[IoSlice::new(&[0; 10])]), 10);
        assert_eq!(c.conn.send_data(id, &[IoSlice::new(&[0; 10])]), 10);
        c.conn.wrote(c.conn.output().len());
        c.say(&[window(0, 10), window(id, 20), window(0, 10), data(id, b"message", false)].concat());
        c.conn.consumed(id, 7);
        c.events.clear();
    }
    assert!(!c.conn.is_over());
}

/// Work that brings nothing ends a server's connection, as it does a client's.
#[test]
fn hostile_servers_run_out_of_credit() {
    let floods: [Vec<u8>; 5] = [
        setting_of(setting::MAX_CONCURRENT_STREAMS, 5),
        frame(kind::PING, 0, 0, &[0; 8]),
        frame(kind::PRIORITY, 0, 1, &[0; 5]),
        answer(1, &[(":status", "103")], false),
        frame(0x55, 0, 0, b"x"),
    ];
    for flood in floods {
        let mut c = Client::new();
        c.get();
        let n = (0..10_000).take_while(|_| {
            c.say(&flood);
            c.conn.wrote(c.conn.output().len());
            !c.conn.is_over()
        });
        let n = n.count();
        assert!(n < 2_500, "{flood:?} {n} times");
    }
    let mut c = Client::new();
    c.get();
    c.say(&frame(kind::HEADERS, 0, 1, &block(OK)));
    let n = (0..1000).take_while(|_| {
        c.say(&frame(kind::CONTINUATION, 0, 1, &[]));
        !c.conn.is_over()
    });
    assert!(n.count() < 100, "blocks without end");
}

/// Any interleaving of the frames of several responses gives each stream what it has alone.
#[test]
fn interleaving_changes_nothing() {
    let mut seed = 7u64;
    let mut random = move |n: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % n
    };
    let of = |c: &mut Client, id: u32| -> Vec<String> {
        let (one, reset) = (format!("{id} "), format!("({id}, "));
        c.events.iter().filter(|e| e.starts_with(&one) || e.contains(&reset)).cloned().collect()
    };
    for _ in 0..300 {
        let count = 2 + random(4);
        let streams: Vec<Vec<Vec<u8>>> = (0..count)
            .map(|i| {
                let id = 1 + 2 * i as u32;
                let mut frames = Vec::new();
                if random(3) == 0 {
                    frames.push(answer(id, &[(":status", "103"), ("link", "</a>")], false));
                }
                // a header block is one piece: nothing comes between its frames
                let bytes =
                    block(&[(":status", "200"), ("x", "y"), ("content-length", "20")][..2 + random(2)]);
                let cut = random(bytes.len());
                let whole = [
                    frame(kind::HEADERS, 0, id, &bytes[..cut]),
                    frame(kind::CONTINUATION, 4, id, &bytes[cut..]),
                ];
                frames.push(whole.concat());
                (0..random(4)).for_each(|n| frames.push(data(id, &vec![b'a' + n as u8; random(30)], false)));
                frames.push(match random(4) {
                    0 => answer(id, &[("x-t", "1")], true),
                    1 => frame(kind::RST_STREAM, 0, id, &[0, 0, 0, random(9) as u8]),
                    2 => answer(id, OK, false),
                    _ => data(id, b"", true),
                });
                frames
            })
            .collect();
        let asked = || {
            let mut c = Client::new();
            for _ in 0..count {
                c.get();
            }
            c
        };
        let alone: Vec<_> = (0..count)
            .map(|i| {
                let mut c = asked();
                c.say(&streams[i].concat());
                of(&mut c, 1 + 2 * i as u32)
            })
            .collect();
        let mut left: Vec<_> = streams.into_iter().map(std::collections::VecDeque::from).collect();
        let mut c = asked();
        while left.iter().any(|l| !l.is_empty()) {
            let i = random(count);
            if let Some(f) = left[i].pop_front() {
                c.say(&f);
            }
        }
        assert!(!c.conn.is_over());
        for (i, want) in alone.iter().enumerate() {
            assert_eq!(&of(&mut c, 1 + 2 * i as u32), want);
        }
    }
}

/// Reverse HTTP: who has begun as a client serves once settings were exchanged, and the other side asks.
#[test]
fn roles_are_exchanged() {
    let (mut inner, mut outer) = (Connection::<()>::reversed(CONFIG, b""), Connection::<()>::new(CONFIG));
    fn pass(from: &mut Connection<()>, to: &mut Connection<()>) -> Vec<String> {
        let bytes = from.output().to_vec();
        from.wrote(bytes.len());
        let (mut rest, mut told, mut head) = (&bytes[..], Vec::new(), Head::default());
        while !rest.is_empty() {
            let (n, event) = to.receive(rest, 0, &mut head);
            if event != Event::Nothing {
                told.push(format!("{event:?} {}", String::from_utf8_lossy(head.target())));
            }
            rest = &rest[n..];
        }
        told
    }
    assert!(pass(&mut inner, &mut outer).is_empty());
    assert!(!outer.is_fresh(), "its settings are not known yet");
    assert!(pass(&mut outer, &mut inner).is_empty());
    assert!(pass(&mut inner, &mut outer).is_empty());
    assert!(outer.is_fresh());
    outer.reverse(CONFIG);
    let asked = head("GET", "/a", &[("host", "ex.com")]);
    assert_eq!(outer.open_stream(&asked, &Sent { scheme: b"https", upgrade: false }), Some(1));
    outer.send_end(1, None);
    let told = pass(&mut outer, &mut inner);
    assert!(told[0].starts_with("Request(1, ") && told[0].ends_with(" /a"), "{told:?}");
    let mut response = Head::default();
    response.set_response(Version::HTTP_11, 200, b"OK");
    inner.send_head(1, &response);
    inner.send_data(1, &[IoSlice::new(b"hello")]);
    inner.send_end(1, None);
    let told = pass(&mut inner, &mut outer);
    assert!(told.iter().any(|t| t.starts_with("Response(1, ")), "{told:?}");
    assert!(!inner.is_over() && !outer.is_over());
    // one that has asked already has not waited for its turn
    let mut early = Connection::<()>::reversed(CONFIG, b"");
    let (n, _) = early.receive(&frame(kind::SETTINGS, 0, 0, b""), 0, &mut Head::default());
    assert_eq!(n, HEADER);
    assert!(!early.is_fresh(), "the other side has not said that it knows ours");
}
