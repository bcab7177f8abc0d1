//! One connection of a client or an origin: blocking, buffered, everything that passes written to a transcript.
use crate::message::{self, Message};
use crate::process::PATIENCE;
use rustix::net::sockopt::set_socket_linger;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How the other side ended its sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// An orderly end.
    Fin,
    /// A reset.
    Rst,
    /// It did not end in time.
    Timeout,
}

/// Lines that one actor of a scenario has seen, in order.
#[derive(Clone, Default)]
pub struct Transcript(Arc<Mutex<Vec<String>>>);

impl Transcript {
    /// Adds a line.
    pub fn add(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    /// The lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// Adds bytes, a line of theirs a line: CR LF ends are not shown, bare LF and a missing end are.
    pub fn add_bytes(&self, direction: &str, bytes: &[u8]) {
        if bytes.len() > 3000 {
            let sum = bytes.iter().fold(0u32, |s, b| s.rotate_left(5) ^ u32::from(*b));
            return self.add(format!("{direction} ({} bytes, sum {sum:08x})", bytes.len()));
        }
        for line in bytes.split_inclusive(|b| *b == b'\n') {
            let (text, end) = match line {
                [text @ .., b'\r', b'\n'] => (text, ""),
                [text @ .., b'\n'] => (text, " (LF)"),
                text => (text, " (no end)"),
            };
            self.add(format!("{direction} {}{end}", escape(text)).trim_end().to_string());
        }
    }
}

fn escape(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string().replace("\\\"", "\"").replace("\\'", "'").replace("\\\\", "\\")
}

/// A TCP or Unix stream.
pub enum Socket {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a Unix socket.
    Unix(UnixStream),
}

impl Socket {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Socket::Tcp(s) => s.read(buffer),
            Socket::Unix(s) => s.read(buffer),
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Socket::Tcp(s) => s.write_all(bytes),
            Socket::Unix(s) => s.write_all(bytes),
        }
    }

    fn shutdown(&self, how: Shutdown) {
        let _ = match self {
            Socket::Tcp(s) => s.shutdown(how),
            Socket::Unix(s) => s.shutdown(how),
        };
    }

    fn set_read_timeout(&self, patience: Duration) {
        match self {
            Socket::Tcp(s) => s.set_read_timeout(Some(patience)).unwrap(),
            Socket::Unix(s) => s.set_read_timeout(Some(patience)).unwrap(),
        }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Socket::Tcp(s) => s.as_fd(),
            Socket::Unix(s) => s.as_fd(),
        }
    }
}

/// A connection with what was received and not yet looked at.
pub struct Conn {
    socket: Socket,
    buffer: Vec<u8>,
    end: Option<End>,
    patience: Duration,
    transcript: Transcript,
}

impl Conn {
    /// Wraps a stream; what passes is written to `transcript`.
    pub fn new(socket: Socket, transcript: Transcript) -> Conn {
        if let Socket::Tcp(s) = &socket {
            let _ = s.set_nodelay(true);
        }
        Conn { socket, buffer: Vec::new(), end: None, patience: PATIENCE, transcript }
    }

    /// Where this connection's story is written.
    pub fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// How long a read waits.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Sends all bytes; a peer that no longer takes them is no failure.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.transcript.add_bytes(">", bytes.as_ref());
        self.send_quietly(bytes.as_ref())
    }

    /// As [`Conn::send`], not in the transcript.
    pub fn send_quietly(&mut self, bytes: &[u8]) -> &mut Self {
        let _ = self.socket.write_all(bytes);
        self
    }

    /// Sends until the peer takes no more (it closed or reset); at most `limit` bytes.
    pub fn send_until_refused(&mut self, chunk: &[u8], limit: usize) -> bool {
        let mut sent = 0;
        while sent < limit {
            if self.socket.write_all(chunk).is_err() {
                return true;
            }
            sent += chunk.len();
        }
        false
    }

    /// Receives more bytes into the buffer; false at the end.
    pub fn fill(&mut self) -> bool {
        if self.end.is_some() {
            return false;
        }
        self.socket.set_read_timeout(self.patience);
        let mut chunk = [0; 65536];
        match self.socket.read(&mut chunk) {
            Ok(0) => self.end = Some(End::Fin),
            Ok(n) => {
                self.buffer.extend_from_slice(&chunk[..n]);
                return true;
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => return true,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                self.end = Some(End::Timeout)
            }
            Err(_) => self.end = Some(End::Rst),
        }
        false
    }

    /// Bytes received and not yet taken.
    pub fn buffered(&self) -> &[u8] {
        &self.buffer
    }

    /// Takes `n` buffered bytes.
    pub fn take(&mut self, n: usize) -> Vec<u8> {
        let n = n.min(self.buffer.len());
        self.buffer.drain(..n).collect()
    }

    /// How the peer ended, if it has.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Reads one response, as an answer to a request with `method` (HEAD has no body, CONNECT turns to a tunnel).
    pub fn response_to(&mut self, method: &str) -> Message {
        let m = message::read_response(self, method);
        self.record_message(&m);
        m
    }

    /// Reads one response to a GET.
    pub fn response(&mut self) -> Message {
        self.response_to("GET")
    }

    /// Reads one request with its body; `None` when the peer ended instead.
    pub fn request(&mut self) -> Option<Message> {
        let m = message::read_request(self)?;
        self.record_message(&m);
        Some(m)
    }

    /// Reads only a head, whatever follows it.
    pub fn head(&mut self) -> Option<Vec<u8>> {
        let head = message::read_head(self)?;
        self.transcript.add_bytes("<", &head);
        Some(head)
    }

    fn record_message(&self, m: &Message) {
        self.transcript.add_bytes("<", &m.head);
        if !m.body.is_empty() || m.chunked {
            let how = if m.chunked { " chunked" } else { "" };
            let shown = if m.body.len() > 2000 { String::from("...") } else { escape(&m.body) };
            self.transcript.add(format!("< body{how} {}: {shown}", m.body.len()));
        }
        if !m.trailers.is_empty() {
            self.transcript.add_bytes("< trailer", &m.trailers);
        }
        if !m.complete {
            self.transcript.add(format!("< cut short: {:?}", self.end));
        }
    }

    /// Reads exactly `n` bytes, fewer when the peer ends.
    pub fn read_exactly(&mut self, n: usize) -> Vec<u8> {
        while self.buffer.len() < n && self.fill() {}
        let bytes = self.take(n);
        self.transcript.add_bytes("<", &bytes);
        bytes
    }

    /// Reads everything until the peer ends; the end is part of the transcript.
    pub fn read_to_end(&mut self) -> (Vec<u8>, End) {
        while self.fill() {}
        let bytes = std::mem::take(&mut self.buffer);
        let end = self.end.unwrap_or(End::Timeout);
        self.transcript.add_bytes("<", &bytes);
        self.transcript.add(format!("< {end:?}"));
        (bytes, end)
    }

    /// As [`Conn::read_to_end`], not in the transcript: only waits.
    pub fn wait_end(&mut self) -> End {
        while self.fill() {
            self.buffer.clear();
        }
        self.end.unwrap_or(End::Timeout)
    }

    /// Does neither a byte nor an end come for so long? What comes is kept.
    pub fn is_silent_for(&mut self, time: Duration) -> bool {
        let patience = std::mem::replace(&mut self.patience, time);
        let came = self.fill();
        self.patience = patience;
        let silent = !came && self.end == Some(End::Timeout);
        if silent {
            self.end = None;
        }
        silent
    }

    /// Ends our sending and stays able to receive.
    pub fn half_close(&mut self) -> &mut Self {
        self.transcript.add("> FIN");
        self.socket.shutdown(Shutdown::Write);
        self
    }

    /// Closes with a reset.
    pub fn reset(self) {
        self.transcript.add("> RST");
        let _ = set_socket_linger(self.socket.fd(), Some(Duration::ZERO));
    }

    /// Closes in order.
    pub fn close(self) {
        self.transcript.add("> close");
    }
}
