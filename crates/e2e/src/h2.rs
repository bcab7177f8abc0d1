//! A client that speaks HTTP/2 frame by frame: what it sends is up to the scenario, what it hears goes to the transcript.
use crate::client::Client;
use portcullis_wire::h2::frame::{HEADER, Header, PREFACE, flag, kind, settings, write};
use portcullis_wire::h2::hpack::{Decoder, Line, Sink};

/// A connection whose frames are sent and heard one by one.
pub struct H2 {
    client: Client,
    decoder: Decoder,
    /// Payload of a stream that goes on, so that it does not matter in how many frames it comes.
    payload: Option<(u32, Vec<u8>)>,
    shows_settings: bool,
}

#[derive(Default)]
struct Pairs(Vec<u8>, Vec<String>);

impl Sink for Pairs {
    fn arena(&mut self) -> Option<&mut Vec<u8>> {
        Some(&mut self.0)
    }
    fn take(&mut self, line: Line) {
        let text = &self.0[line.start..line.end - 2];
        self.1.push(text.escape_ascii().to_string());
    }
}

/// A header block of literals.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        for text in [name, value] {
            let mut n = text.len();
            if n < 127 {
                out.push(n as u8);
            } else {
                out.push(127);
                n -= 127;
                while n >= 128 {
                    out.push(n as u8 | 128);
                    n >>= 7;
                }
                out.push(n as u8);
            }
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}

/// A frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write(payload.len(), kind, flags, stream, &mut out);
    out.extend_from_slice(payload);
    out
}

/// A request's pseudo-header fields.
pub fn start<'a>(method: &'a str, path: &'a str) -> [(&'a str, &'a str); 4] {
    [(":method", method), (":scheme", "http"), (":path", path), (":authority", "test")]
}

impl H2 {
    /// Speaks over a connection; nothing has been said yet.
    pub fn raw(client: Client) -> H2 {
        H2 { client, decoder: Decoder::new(4096), payload: None, shows_settings: false }
    }

    /// Begins with the preface and these settings.
    pub fn begin(client: Client, list: &[(u16, u32)]) -> H2 {
        let mut this = Self::raw(client);
        let mut out = PREFACE.to_vec();
        settings(list, &mut out);
        this.client.send_quietly(&out);
        this
    }

    /// Settings are part of the transcript, too.
    pub fn show_settings(&mut self) -> &mut Self {
        self.shows_settings = true;
        self
    }

    /// The connection itself.
    pub fn conn(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.client.send_quietly(bytes.as_ref());
        self
    }

    /// Begins a stream.
    pub fn headers(&mut self, stream: u32, fields: &[(&str, &str)], end: bool) -> &mut Self {
        let shown: Vec<String> = fields.iter().map(|(n, v)| format!("{n}: {v}")).collect();
        self.note(format!("> {stream} HEADERS {}{}", shown.join("|"), if end { " END" } else { "" }));
        self.send(frame(kind::HEADERS, flag::END_HEADERS | u8::from(end), stream, &block(fields)))
    }

    /// A GET that is all of its stream.
    pub fn get(&mut self, stream: u32, path: &str, more: &[(&str, &str)]) -> &mut Self {
        let fields = [&start("GET", path)[..], more].concat();
        self.headers(stream, &fields, true)
    }

    /// A POST whose body follows.
    pub fn post(&mut self, stream: u32, path: &str, more: &[(&str, &str)]) -> &mut Self {
        let fields = [&start("POST", path)[..], more].concat();
        self.headers(stream, &fields, false)
    }

    /// Payload.
    pub fn data(&mut self, stream: u32, payload: &[u8], end: bool) -> &mut Self {
        self.note(format!("> {stream} DATA {}{}", payload.escape_ascii(), if end { " END" } else { "" }));
        self.send(frame(kind::DATA, u8::from(end), stream, payload))
    }

    /// Resets a stream.
    pub fn reset(&mut self, stream: u32, reason: u32) -> &mut Self {
        self.note(format!("> {stream} RST {reason}"));
        self.send(frame(kind::RST_STREAM, 0, stream, &reason.to_be_bytes()))
    }

    /// Allows more payload.
    pub fn window(&mut self, stream: u32, n: u32) -> &mut Self {
        self.send(frame(kind::WINDOW_UPDATE, 0, stream, &n.to_be_bytes()))
    }

    fn note(&self, line: impl Into<String>) {
        self.client.transcript().add(line);
    }

    /// The next frame; none at the end.
    pub fn next_frame(&mut self) -> Option<(Header, Vec<u8>)> {
        loop {
            if let Some(header) = Header::read(self.client.buffered()) {
                let whole = HEADER + header.length as usize;
                if self.client.buffered().len() >= whole {
                    let bytes = self.client.take(whole);
                    return Some((header, bytes[HEADER..].to_vec()));
                }
            }
            if !self.client.fill() {
                return None;
            }
        }
    }

    fn flush(&mut self) {
        if let Some((stream, bytes)) = self.payload.take() {
            let shown = match bytes.len() {
                n @ 3000.. => format!("({n} bytes)"),
                _ => bytes.escape_ascii().to_string(),
            };
            self.note(format!("< {stream} DATA {shown}"));
        }
    }

    /// Hears frames until one of them is what is waited for, or the end.
    pub fn until(&mut self, mut wanted: impl FnMut(&Header) -> bool) -> &mut Self {
        while let Some((header, payload)) = self.next_frame() {
            self.hear(header, &payload);
            if wanted(&header) {
                self.flush();
                return self;
            }
        }
        self.flush();
        let end = self.client.end();
        self.note(format!("< {:?}", end.expect("an end")));
        self
    }

    fn hear(&mut self, header: Header, payload: &[u8]) {
        let stream = header.stream;
        let n = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().expect("four bytes"));
        let line = match header.kind {
            kind::DATA => {
                match &mut self.payload {
                    Some((of, bytes)) if *of == stream => bytes.extend_from_slice(payload),
                    _ => {
                        self.flush();
                        self.payload = Some((stream, payload.to_vec()));
                    }
                }
                if header.has(flag::END_STREAM) {
                    self.flush();
                    self.note(format!("< {stream} END"));
                }
                return;
            }
            kind::SETTINGS if !header.has(flag::ACK) => {
                self.client.send_quietly(&frame(kind::SETTINGS, flag::ACK, 0, &[]));
                if !self.shows_settings {
                    return;
                }
                format!("< SETTINGS {payload:?}")
            }
            // when and how much is allowed again is everybody's own
            kind::SETTINGS | kind::WINDOW_UPDATE => return,
            kind::HEADERS => {
                let mut pairs = Pairs::default();
                self.decoder.decode(payload, &mut pairs).expect("a block");
                format!("< {stream} HEADERS {}", pairs.1.join("|"))
            }
            kind::RST_STREAM => format!("< {stream} RST {}", n(0)),
            kind::GOAWAY => format!("< GOAWAY {} {}", n(0), n(4)),
            kind::PING => format!("< PING {} {}", header.flags, payload.escape_ascii()),
            other => format!("< {stream} frame {other}"),
        };
        self.flush();
        self.note(line);
        if header.kind == kind::HEADERS && header.has(flag::END_STREAM) {
            self.note(format!("< {stream} END"));
        }
    }

    /// Hears frames until a stream is over.
    pub fn answer(&mut self, stream: u32) -> &mut Self {
        self.until(|h| {
            h.stream == stream
                && (h.kind == kind::RST_STREAM
                    || (matches!(h.kind, kind::DATA | kind::HEADERS) && h.has(flag::END_STREAM)))
        })
    }

    /// Hears frames until a head of a stream has come.
    pub fn head(&mut self, stream: u32) -> &mut Self {
        self.until(|h| h.stream == stream && h.kind == kind::HEADERS)
    }

    /// Hears everything until the connection ends.
    pub fn rest(&mut self) -> &mut Self {
        self.until(|_| false)
    }

    /// Asks for a ping's answer, so that everything before it was looked at.
    pub fn ping(&mut self) -> &mut Self {
        self.send(frame(kind::PING, 0, 0, b"portculs"));
        self.until(|h| h.kind == kind::PING)
    }

    /// Closes in order.
    pub fn close(self) {
        self.client.close();
    }
}
