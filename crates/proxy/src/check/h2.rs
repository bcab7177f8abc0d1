//! HTTP checks over HTTP/2: one request on a connection of its own.

use portcullis_message::Head;
use portcullis_wire::h1::{Framing, Info, Limits, Parsed, Response, parse_request};
use portcullis_wire::h2::{Config, Connection, Event, Reason, Sent};
use std::io::IoSlice;

/// A connection with one request and what came of it.
#[derive(Debug)]
pub struct Talk {
    protocol: Connection<()>,
    head: Head,
    /// What has come and was not looked at.
    input: Vec<u8>,
    /// The body's bytes that wait for room.
    body: Vec<u8>,
    stream: u32,
}

impl Talk {
    /// A new connection.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let protocol = Connection::client(config, b"");
        Self { protocol, head: Head::default(), input: Vec::new(), body: Vec::new(), stream: 0 }
    }

    /// Begins the request, which is written as HTTP/1 has it.
    pub fn ask(&mut self, request: &[u8], limits: &Limits) {
        let mut head = Head::default();
        let Ok(Parsed::Complete(len, _)) = parse_request(request, limits, &mut head) else { return };
        let sent = Sent { scheme: b"https", upgrade: false };
        self.stream = self.protocol.open_stream(&head, &sent).unwrap_or(0);
        self.body = request.get(len..).unwrap_or_default().to_vec();
        self.send_body();
    }

    fn send_body(&mut self) {
        if self.stream == 0 || self.protocol.is_done(self.stream) {
            return;
        }
        let n = self.protocol.send_data(self.stream, &[IoSlice::new(&self.body)]);
        self.body.drain(..n);
        if self.body.is_empty() {
            self.protocol.send_end(self.stream, None);
        }
    }

    /// What is to be written.
    #[must_use]
    pub fn take_output(&mut self) -> Vec<u8> {
        let out = self.protocol.output().to_vec();
        self.protocol.wrote(out.len());
        out
    }

    /// Takes what has come; `true`: nothing more will.
    pub fn hear(&mut self, bytes: &[u8], now: u64, response: &mut Response) -> bool {
        self.input.extend_from_slice(bytes);
        let mut over = false;
        let mut at = 0;
        while let Some(rest) = self.input.get(at..).filter(|r| !r.is_empty()) {
            let (n, event) = self.protocol.receive(rest, now, &mut self.head);
            at += n;
            match event {
                Event::More | Event::Full => break,
                Event::Response(_, answer) if !answer.interim => {
                    let info = Info { framing: Framing::Pieces, ..answer.info };
                    response.begin(std::mem::take(&mut self.head), info);
                    over |= self.protocol.has_ended(self.stream);
                }
                Event::Data(id, part, end) => {
                    response.body.extend_from_slice(part);
                    let n = part.len();
                    self.protocol.consumed(id, n);
                    over |= end;
                }
                Event::End(..) | Event::Fatal(_) | Event::Reset(..) => over = true,
                Event::Leaving => over |= self.protocol.is_reset(self.stream),
                _ => {}
            }
        }
        self.input.drain(..at.min(self.input.len()));
        self.send_body();
        if over {
            self.protocol.close(Reason::NoError);
        }
        over
    }
}
