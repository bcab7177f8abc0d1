//! One connection of the Runtime API: reads lines, runs their commands, sends the answers.

use crate::admin::Admin;
use crate::command::{self, Call, Outcome};
use crate::line;
use crate::socket::{CliBind, Level, SeverityOutput};
use crate::veil::Veil;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

/// When a connection is closed, and whether a prompt is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// One line.
    #[default]
    Once,
    /// Many lines.
    Interactive,
    /// Many lines, each behind a prompt.
    Prompt,
}

/// What a connection is like now; commands change it.
#[derive(Clone, Debug)]
pub struct Cli {
    /// What it may do.
    pub level: Level,
    /// Severity in front of messages.
    pub severity: SeverityOutput,
    /// One line or many.
    pub mode: Mode,
    /// The uptime stands in the prompt.
    pub timed: bool,
    /// `expert-mode`
    pub expert: bool,
    /// `experimental-mode`
    pub experimental: bool,
    /// Key of `set anon on`; 0: off.
    pub anon: u32,
    /// Longest silence.
    pub timeout: Duration,
    /// Listening sockets are given over it.
    pub exposes: bool,
}

impl Cli {
    /// What hides names from it.
    #[must_use]
    pub fn veil(&self) -> Veil {
        Veil(self.anon)
    }
    /// As a connection of this socket begins.
    #[must_use]
    pub fn new(bind: CliBind, timeout: Duration) -> Self {
        Self {
            level: bind.level,
            severity: bind.severity,
            mode: Mode::Once,
            timed: false,
            expert: false,
            experimental: false,
            anon: 0,
            timeout,
            exposes: bind.exposes,
        }
    }
}

/// Either kind of socket.
pub trait Stream: AsyncRead + AsyncWrite + Unpin {
    /// The one over which descriptors can be passed.
    fn unix(&self) -> Option<&UnixStream> {
        None
    }
}

impl Stream for TcpStream {}
impl Stream for UnixStream {
    fn unix(&self) -> Option<&UnixStream> {
        Some(self)
    }
}

/// Why no line could be read.
enum NoLine {
    /// The client has finished, broke off, or was silent for too long.
    End,
    /// It is longer than it may be.
    TooLong,
}

struct Client<S> {
    stream: S,
    input: Vec<u8>,
    admin: Arc<Admin>,
    cli: Cli,
}

/// Serves a connection to its end.
pub async fn run(admin: Arc<Admin>, cli: Cli, stream: impl Stream) {
    let mut client = Client { stream, input: Vec::new(), admin, cli };
    // an error means that the client is gone
    let _ = client.serve().await;
}

impl<S: Stream> Client<S> {
    async fn serve(&mut self) -> io::Result<()> {
        loop {
            let limit = self.admin.bufsize.saturating_sub(1);
            let line = match self.line(limit, line::end_of_line).await {
                Ok(line) => line,
                Err(NoLine::End) => return Ok(()),
                Err(NoLine::TooLong) => {
                    return self
                        .send(
                            b"The command line is too big for the buffer size. Please change 'tune.bufsize' in the \
                              configuration to use a bigger command.\n",
                        )
                        .await;
                }
            };
            let request = line::parse(&line);
            let mut payload = None;
            if let Some(mark) = &request.payload {
                match self.payload(mark).await? {
                    Ok(text) => payload = Some(text),
                    Err(NoLine::End) => return Ok(()),
                    Err(NoLine::TooLong) => {
                        return self
                            .send(
                                b"The payload is too big. Please change 'tune.cli.max-payload-size' in the \
                                  configuration to use a bigger payload.\n",
                            )
                            .await;
                    }
                }
            }
            let last = request.commands.len().saturating_sub(1);
            for (i, words) in request.commands.iter().enumerate() {
                let payload = payload.as_deref().filter(|_| i == last);
                if !self.command(words, payload).await? {
                    return Ok(());
                }
            }
            match self.cli.mode {
                Mode::Once => return Ok(()),
                Mode::Interactive => {}
                Mode::Prompt => {
                    let prompt = self.prompt();
                    self.send(prompt.as_bytes()).await?;
                }
            }
        }
    }

    /// The next line, without its end.
    async fn line(&mut self, limit: usize, end: fn(&[u8]) -> Option<usize>) -> Result<Vec<u8>, NoLine> {
        loop {
            if let Some(at) = end(&self.input) {
                if at > limit {
                    return Err(NoLine::TooLong);
                }
                let rest = self.input.split_off(at + 1);
                let mut line = std::mem::replace(&mut self.input, rest);
                line.truncate(at);
                return Ok(line);
            }
            if self.input.len() > limit {
                return Err(NoLine::TooLong);
            }
            let mut bytes = [0u8; 4096];
            match timeout(self.cli.timeout, self.stream.read(&mut bytes)).await {
                Ok(Ok(n)) if n > 0 => self.input.extend_from_slice(&bytes[..n]),
                _ => return Err(NoLine::End),
            }
        }
    }

    /// Lines up to the one that is `mark`.
    async fn payload(&mut self, mark: &[u8]) -> io::Result<Result<Vec<u8>, NoLine>> {
        let mut text = Vec::new();
        loop {
            // only a client that types is shown that more is expected
            if self.cli.mode == Mode::Prompt && !self.input.contains(&b'\n') {
                self.send(b"+ ").await?;
            }
            let room = self.admin.max_payload.saturating_sub(text.len());
            let line = match self.line(room, |b| b.iter().position(|c| *c == b'\n')).await {
                Ok(line) => line,
                Err(e) => return Ok(Err(e)),
            };
            let bare = line.strip_suffix(b"\r").unwrap_or(&line);
            if bare == mark {
                if text.last() == Some(&b'\n') {
                    text.pop();
                }
                return Ok(Ok(text));
            }
            // an empty line is a byte as well
            if line.len() >= room {
                return Ok(Err(NoLine::TooLong));
            }
            text.extend_from_slice(&line);
            text.push(b'\n');
        }
    }

    /// Runs one command and sends its answer; false when the connection shall be closed.
    async fn command(&mut self, words: &[Vec<u8>], payload: Option<&[u8]>) -> io::Result<bool> {
        if words.len() > line::MAX_ARGS {
            self.send(b"Too many arguments. Commands must have at most 64 arguments.\n\n").await?;
            return Ok(true);
        }
        let mut outcome = match words.is_empty() {
            true => Outcome::Nothing,
            false => {
                let admin = self.admin.clone();
                command::run(&mut Call { admin: &admin, cli: &mut self.cli, words, payload })
            }
        };
        loop {
            match outcome {
                Outcome::Nothing => return self.send(b"\n").await.map(|()| true),
                Outcome::Close => return Ok(false),
                Outcome::Say(severity, text) => {
                    let mut out = self.prefix(severity).into_bytes();
                    out.extend_from_slice(text.as_bytes());
                    if !text.ends_with('\n') {
                        out.push(b'\n');
                    }
                    out.push(b'\n');
                    return self.send(&out).await.map(|()| true);
                }
                Outcome::Text(mut text) => {
                    text.push(b'\n');
                    return self.send(&text).await.map(|()| true);
                }
                Outcome::Pieces(pieces) => {
                    for piece in pieces {
                        self.send(&piece).await?;
                        // another connection's turn
                        tokio::task::yield_now().await;
                    }
                    return self.send(b"\n").await.map(|()| true);
                }
                Outcome::Follow(ring) => {
                    self.follow(ring).await?;
                    return self.send(b"\n").await.map(|()| true);
                }
                Outcome::GiveSockets => {
                    if let Some(to) = self.stream.unix() {
                        // who does not take them has asked in vain
                        let _ = crate::handover::give(to, &self.admin.listening.listening()).await;
                    }
                    return Ok(false);
                }
                Outcome::Later(future) => outcome = future.await,
            }
        }
    }

    /// Sends what comes into a ring, until the client sends anything, which is thrown away, or has finished.
    async fn follow(&mut self, mut ring: command::Follow) -> io::Result<()> {
        loop {
            let bytes = ring.next(crate::commands::rings::CHUNK);
            if !bytes.is_empty() {
                self.send(&bytes).await?;
                tokio::task::yield_now().await;
                continue;
            }
            if !self.input.is_empty() {
                self.input.clear();
                return Ok(());
            }
            let mut key = [0; 4096];
            tokio::select! {
                () = ring.more() => {}
                read = self.stream.read(&mut key) => return read.map(drop),
            }
        }
    }

    fn prefix(&self, severity: command::Severity) -> String {
        let number = severity as u8;
        match self.cli.severity {
            SeverityOutput::None => String::new(),
            SeverityOutput::Number => format!("[{number}]: "),
            SeverityOutput::Text => {
                let name = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];
                format!("[{}]: ", name[usize::from(number & 7)])
            }
        }
    }

    fn prompt(&self) -> String {
        if !self.cli.timed {
            return "> ".into();
        }
        let s = self.admin.now() / 1000;
        format!("[{}:{:02}:{:02}:{:02}]> ", s / 86400, s / 3600 % 24, s / 60 % 60, s % 60)
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.admin.counters().bytes_out.add(bytes.len() as u64);
        timeout(self.cli.timeout, self.stream.write_all(bytes)).await.map_err(io::Error::from)?
    }
}
