//! A client or a server that speaks HTTP/2 frame by frame: what it sends is up to the scenario, what it hears goes to the
//! transcript.
use crate::conn::Conn;
use portcullis_wire::h2::frame::{HEADER, Header, PREFACE, flag, kind, settings, write};
use portcullis_wire::h2::hpack::{Decoder, Line, Sink};

/// A connection whose frames are sent and heard one by one.
pub struct H2 {
    conn: Conn,
    decoder: Decoder,
    /// Payload of a stream that goes on, so that it does not matter in how many frames it comes.
    payload: Option<(u32, Vec<u8>)>,
    shows_settings: bool,
    /// It is the server.
    serves: bool,
    /// The lines of the last header block.
    last: Vec<String>,
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
    pub fn raw(conn: impl Into<Conn>) -> H2 {
        H2 {
            conn: conn.into(),
            decoder: Decoder::new(4096),
            payload: None,
            shows_settings: false,
            serves: false,
            last: Vec::new(),
        }
    }

    /// Begins with the preface and these settings.
    pub fn begin(client: impl Into<Conn>, list: &[(u16, u32)]) -> H2 {
        let mut this = Self::raw(client);
        let mut out = PREFACE.to_vec();
        settings(list, &mut out);
        this.conn.send_quietly(&out);
        this
    }

    /// The other side of it: hears the preface and says these settings.
    pub fn serve(conn: impl Into<Conn>, list: &[(u16, u32)]) -> H2 {
        let mut this = Self::raw(conn);
        this.serves = true;
        let mut out = Vec::new();
        settings(list, &mut out);
        this.conn.send_quietly(&out);
        let preface = this.conn.read_exactly(PREFACE.len());
        if preface != PREFACE {
            this.note(format!("< no preface: {}", preface.escape_ascii()));
        }
        this
    }

    /// Hears frames until a request has begun: its stream and its path. None at the end.
    pub fn request(&mut self) -> Option<(u32, String)> {
        while let Some((header, payload)) = self.next_frame() {
            self.hear(header, &payload);
            if header.kind == kind::HEADERS {
                let path = self.last.iter().find_map(|l| l.strip_prefix(":path: ")).map(str::to_owned);
                if let Some(path) =
                    path.or_else(|| self.last.first().filter(|l| l.contains("CONNECT")).cloned())
                {
                    self.flush();
                    return Some((header.stream, path));
                }
            }
        }
        self.flush();
        None
    }

    /// Answers every request as `answer` says, until the peer closes.
    pub fn serve_all(mut self, mut answer: impl FnMut(&mut H2, u32, &str)) {
        while let Some((stream, path)) = self.request() {
            answer(&mut self, stream, &path);
        }
    }

    /// A whole response: a status, and what it says.
    pub fn respond(&mut self, stream: u32, status: &str, body: &[u8]) -> &mut Self {
        self.headers(stream, &[(":status", status)], body.is_empty());
        if !body.is_empty() {
            self.data(stream, body, true);
        }
        self
    }

    /// Settings are part of the transcript, too.
    pub fn show_settings(&mut self) -> &mut Self {
        self.shows_settings = true;
        self
    }

    /// The connection itself.
    pub fn conn(&mut self) -> &mut Conn {
        &mut self.conn
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.conn.send_quietly(bytes.as_ref());
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
        self.conn.transcript().add(line);
    }

    /// The next frame; none at the end.
    pub fn next_frame(&mut self) -> Option<(Header, Vec<u8>)> {
        loop {
            if let Some(header) = Header::read(self.conn.buffered()) {
                let whole = HEADER + header.length as usize;
                if self.conn.buffered().len() >= whole {
                    let bytes = self.conn.take(whole);
                    return Some((header, bytes[HEADER..].to_vec()));
                }
            }
            if !self.conn.fill() {
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
        let end = self.conn.end();
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
                self.conn.send_quietly(&frame(kind::SETTINGS, flag::ACK, 0, &[]));
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
                let line = format!("< {stream} HEADERS {}", pairs.1.join("|"));
                self.last = pairs.1;
                line
            }
            kind::RST_STREAM => format!("< {stream} RST {}", n(0)),
            // whether a connection that is not needed any more is told so
            kind::GOAWAY if self.serves && n(4) == 0 => return,
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
        self.conn.close();
    }
}
