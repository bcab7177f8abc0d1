//! One connection of the master CLI.

use super::commands::{self, Call, Outcome};
use super::prefix::{self, Target};
use super::{Supervisor, Visit};
use portcullis_admin::Level;
use portcullis_admin::line;
use rustix::event::{PollFd, PollFlags};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Instant;

/// Longest line, and most bytes that are read ahead.
const LONGEST: usize = 16 * 1024;
/// Most bytes of a payload.
const MAX_PAYLOAD: usize = 128 * 1024;
/// More is not fetched from a worker before the client has taken what was there.
const AHEAD: usize = 64 * 1024;
/// Prompts and the like that a client does not read are not kept beyond this.
const MOST_OUTPUT: usize = 1024 * 1024;

/// As on a `stats socket`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Many lines, as it is from the beginning (management manual section 9.3, `prompt`).
    #[default]
    Interactive,
    /// Many lines, each behind a prompt.
    Prompt,
}

/// What a connection is like now; commands change it.
pub struct State {
    pub level: Level,
    pub mode: Mode,
    pub timed: bool,
    pub expert: bool,
    pub experimental: bool,
    /// The process that commands without prefix are for; `None`: the master.
    pub context: Option<i32>,
}

impl State {
    fn visit(&self) -> Visit {
        Visit { level: self.level, expert: self.expert, experimental: self.experimental }
    }

    /// The prompt, flags and uptime included.
    fn prompt(&self, master: &dyn Supervisor) -> String {
        let (own, workers) = master.listed();
        let mut text = String::new();
        let process = self.context.and_then(|pid| workers.iter().find(|w| w.pid == pid)).unwrap_or(&own);
        if self.timed {
            let s = process.uptime;
            text = format!("[{}:{:02}:{:02}:{:02}] ", s / 86400, s / 3600 % 24, s / 60 % 60, s % 60);
        }
        match self.context {
            Some(pid) => text.push_str(&pid.to_string()),
            None => text.push_str("master"),
        }
        if self.context.is_none() && master.reload_failed() {
            text.push_str("[ReloadFailed]");
        }
        let flags: String = [(self.experimental, 'x'), (self.expert, 'e')]
            .into_iter()
            .filter(|(on, _)| *on)
            .map(|(_, f)| f)
            .collect();
        if !flags.is_empty() {
            text.push_str(&format!("({flags})"));
        }
        text + "> "
    }
}

/// What happens next to a connection.
pub enum Next {
    /// It waits for something.
    Goes,
    /// It is done.
    Ends,
    /// It waits for a reload.
    Reload { hard: bool },
}

/// What a connection is at.
enum At {
    /// Between lines.
    Line,
    /// Collects the payload of the last command of a line.
    Payload { commands: VecDeque<Vec<u8>>, mark: Vec<u8>, text: Vec<u8> },
    /// A line's commands.
    Commands { commands: VecDeque<Vec<u8>>, payload: Option<Vec<u8>> },
    /// A worker answers.
    Worker { worker: Worker, then: VecDeque<Vec<u8>>, payload: Option<Vec<u8>> },
}

/// A connection to a worker.
struct Worker {
    stream: UnixStream,
    /// What it has still to be sent.
    input: Vec<u8>,
    /// `@@`: what the client sends is for it.
    both_ways: bool,
    shut: bool,
}

/// A connection.
pub struct Client {
    socket: OwnedFd,
    input: Vec<u8>,
    output: Vec<u8>,
    /// The client has finished sending.
    ended: bool,
    /// Close it once everything is sent.
    closing: bool,
    reload: Option<bool>,
    at: At,
    state: State,
    /// When it sent something last.
    heard: Instant,
}

impl Client {
    pub fn new(socket: OwnedFd, level: Level) -> Self {
        let state = State {
            level,
            mode: Mode::default(),
            timed: false,
            expert: false,
            experimental: false,
            context: None,
        };
        Self {
            socket,
            input: Vec::new(),
            output: Vec::new(),
            ended: false,
            closing: false,
            reload: None,
            at: At::Line,
            state,
            heard: Instant::now(),
        }
    }

    /// Since when it is silent and nothing is done for it; none: something is.
    pub fn rests_since(&self) -> Option<Instant> {
        let waits = matches!(self.at, At::Line | At::Payload { .. });
        (waits && self.output.is_empty() && !self.closing && self.reload.is_none()).then_some(self.heard)
    }

    pub fn into_socket(self) -> OwnedFd {
        self.socket
    }

    /// What to wait for. A socket of which nothing is wanted is left out: one whose other end is gone would always be ready.
    pub fn poll_fds<'a>(&'a self, into: &mut Vec<PollFd<'a>>) {
        let mut wait = |fd: BorrowedFd<'a>, read: bool, write: bool| {
            let mut wanted = PollFlags::empty();
            wanted.set(PollFlags::IN, read);
            wanted.set(PollFlags::OUT, write);
            if !wanted.is_empty() {
                into.push(PollFd::from_borrowed_fd(fd, wanted));
            }
        };
        let hears = !self.ended && self.input.len() < LONGEST;
        wait(self.socket.as_fd(), hears, !self.output.is_empty());
        if let At::Worker { worker, .. } = &self.at {
            wait(worker.stream.as_fd(), self.output.len() < AHEAD, !worker.input.is_empty());
        }
    }

    /// Does what can be done without waiting.
    pub fn turn(&mut self, master: &dyn Supervisor) -> Next {
        if self.receive().is_err() {
            return Next::Ends;
        }
        while !self.closing && self.reload.is_none() && self.step(master) {}
        if self.send().is_err() || self.output.len() > MOST_OUTPUT {
            return Next::Ends;
        }
        match self.reload {
            Some(hard) if self.output.is_empty() => Next::Reload { hard },
            _ if self.closing && self.output.is_empty() => Next::Ends,
            _ => Next::Goes,
        }
    }

    fn receive(&mut self) -> Result<(), Errno> {
        let mut bytes = [0; 4096];
        while !self.ended && self.input.len() < LONGEST {
            match rustix::io::read(&self.socket, &mut bytes) {
                Ok(0) => self.ended = true,
                Ok(n) => {
                    self.heard = Instant::now();
                    self.input.extend_from_slice(bytes.get(..n).unwrap_or_default());
                }
                Err(Errno::AGAIN | Errno::INTR) => break,
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn send(&mut self) -> Result<(), Errno> {
        let n = write(&self.socket, &self.output)?;
        self.output.drain(..n);
        Ok(())
    }

    /// One step; false: nothing can be done for now.
    fn step(&mut self, master: &dyn Supervisor) -> bool {
        match std::mem::replace(&mut self.at, At::Line) {
            At::Line => self.line(),
            At::Payload { commands, mark, text } => self.payload(commands, mark, text),
            // what is for a worker waits for the first one
            At::Commands { commands, payload } if master.begins() && names_worker(&commands) => {
                self.at = At::Commands { commands, payload };
                false
            }
            At::Commands { mut commands, payload } => match commands.pop_front() {
                Some(command) => {
                    let last = commands.is_empty();
                    let (now, later) = if last { (payload, None) } else { (None, payload) };
                    self.at = At::Commands { commands, payload: later };
                    self.command(master, &command, now);
                    true
                }
                None => self.done(master),
            },
            At::Worker { worker, then, payload } => self.worker(worker, then, payload),
        }
    }

    fn line(&mut self) -> bool {
        let Some(end) = line::end_of_line(&self.input) else {
            if self.ended {
                self.closing = true;
            } else if self.input.len() >= LONGEST {
                self.say("The command line is too big for the buffer size.\n");
                self.closing = true;
            }
            return false;
        };
        let rest = self.input.split_off(end + 1);
        let mut text = std::mem::replace(&mut self.input, rest);
        text.truncate(end);
        let (commands, mark) = line::commands(&text);
        let mut commands: VecDeque<Vec<u8>> = commands.into_iter().map(<[u8]>::to_vec).collect();
        if let (Some(mark), Some(last)) = (&mark, commands.back_mut()) {
            // as it came, for a worker
            last.extend_from_slice(b" <<");
            last.extend_from_slice(mark);
        }
        self.at = match mark {
            Some(mark) => At::Payload { commands, mark, text: Vec::new() },
            None => At::Commands { commands, payload: None },
        };
        true
    }

    /// Lines up to the mark.
    fn payload(&mut self, commands: VecDeque<Vec<u8>>, mark: Vec<u8>, mut text: Vec<u8>) -> bool {
        // a line may come in pieces: it is judged once all of it is there
        let mut begin = text.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        text.append(&mut self.input);
        while let Some(line) = text.get(begin..)
            && let Some(len) = line.iter().position(|b| *b == b'\n')
        {
            let is_mark = line.get(..len).is_some_and(|l| l.trim_ascii_end() == mark);
            begin += len + 1;
            if is_mark {
                self.input = text.split_off(begin);
                self.at = At::Commands { commands, payload: Some(text) };
                return true;
            }
        }
        if self.ended || text.len() > MAX_PAYLOAD {
            self.closing = true;
            return false;
        }
        self.at = At::Payload { commands, mark, text };
        false
    }

    /// The line is done.
    fn done(&mut self, master: &dyn Supervisor) -> bool {
        match self.state.mode {
            Mode::Interactive => {}
            Mode::Prompt => {
                let prompt = self.state.prompt(master);
                self.say(&prompt);
            }
        }
        true
    }

    fn say(&mut self, text: &str) {
        self.output.extend_from_slice(text.as_bytes());
    }

    /// The process that a prefix names: `None` for none, `Some(None)` for the master.
    fn target(&mut self, master: &dyn Supervisor, word: &str) -> Option<Option<i32>> {
        let found = match prefix::parse(word) {
            Some(Target::Master) => Some(None),
            Some(Target::Relative(n)) => master.pid_of(n).map(Some),
            Some(Target::Pid(pid)) => master.is_worker(pid).then_some(Some(pid)),
            None => None,
        };
        if found.is_none() {
            self.unknown(word);
        }
        found
    }

    /// There is no such process: the rest of the line is not for anybody.
    fn unknown(&mut self, word: &str) {
        self.say(&format!("Can't find the target PID matching the prefix '@{word}'\n"));
        self.at = At::Commands { commands: VecDeque::new(), payload: None };
    }

    /// Runs one command of a line.
    fn command(&mut self, master: &dyn Supervisor, command: &[u8], payload: Option<Vec<u8>>) {
        let mut context = self.state.context;
        let mut command = command;
        let mut named = false;
        if let Some((word, rest)) = prefix::split(command) {
            if let Some(word) = word.strip_prefix('@') {
                let word = word.to_string();
                return self.enter(master, &word, rest.to_vec());
            }
            named = true;
            match self.target(master, &word) {
                None => return,
                Some(target) if rest.is_empty() => {
                    self.state.context = target;
                    return;
                }
                Some(target) => {
                    context = target;
                    command = rest;
                }
            }
        }
        let mut words = line::words(command);
        if payload.is_some() {
            // its mark
            words.pop();
        }
        match context {
            Some(pid) if named || !commands::find(&words).is_some_and(|r| r.everywhere) => {
                self.ask(master, pid, command.to_vec(), payload);
            }
            _ if words.is_empty() => self.say("\n"),
            _ => self.own(master, &words),
        }
    }

    /// Runs a command of the master.
    fn own(&mut self, master: &dyn Supervisor, words: &[Vec<u8>]) {
        match commands::run(&mut Call { master, state: &mut self.state, words }) {
            Outcome::Silent => {}
            Outcome::Text(mut text) => {
                text.push('\n');
                self.say(&text);
            }
            Outcome::Reload { hard } => self.reload = Some(hard),
            Outcome::Close => {
                if self.state.mode == Mode::Prompt {
                    let prompt = self.state.prompt(master);
                    self.say(&prompt);
                }
                self.closing = true;
            }
        }
    }

    /// Sends one command to a worker, on a connection of its own. The payload ends with its mark.
    fn ask(&mut self, master: &dyn Supervisor, pid: i32, mut text: Vec<u8>, payload: Option<Vec<u8>>) {
        text.push(b'\n');
        text.extend(payload.into_iter().flatten());
        self.open(master, pid, text, false);
    }

    /// `@@`: the rest of the line goes to the worker as it is, and what the client sends from then on.
    fn enter(&mut self, master: &dyn Supervisor, word: &str, mut rest: Vec<u8>) {
        let none = At::Commands { commands: VecDeque::new(), payload: None };
        if let At::Commands { commands, payload } = std::mem::replace(&mut self.at, none) {
            for command in commands {
                rest.push(b';');
                rest.extend(command);
            }
            // what was read ahead of it
            let payload = payload.unwrap_or_default();
            self.input.splice(..0, payload);
        }
        let Some(target) = self.target(master, word) else { return };
        let Some(pid) = target else { return self.unknown(word) };
        if rest.is_empty() {
            let mode = match (self.state.mode, self.state.timed) {
                (Mode::Interactive, _) => "prompt i\n",
                (Mode::Prompt, false) => "prompt p\n",
                (Mode::Prompt, true) => "prompt timed\n",
            };
            rest = mode.into();
        } else {
            rest.push(b'\n');
        }
        self.open(master, pid, rest, true);
    }

    fn open(&mut self, master: &dyn Supervisor, pid: i32, input: Vec<u8>, both_ways: bool) {
        let (then, payload) = match std::mem::replace(&mut self.at, At::Line) {
            At::Commands { commands, payload } => (commands, payload),
            _ => (VecDeque::new(), None),
        };
        match master.connect(pid, &self.state.visit()) {
            Some(stream) if stream.set_nonblocking(true).is_ok() => {
                let worker = Worker { stream, input, both_ways, shut: false };
                self.at = At::Worker { worker, then, payload };
            }
            _ => self.unknown(&format!("!{pid}")),
        }
    }

    /// Passes on what can be passed on; false: nothing more for now.
    fn worker(&mut self, mut worker: Worker, then: VecDeque<Vec<u8>>, payload: Option<Vec<u8>>) -> bool {
        loop {
            // what the worker doesn't take is not read of the client either
            if worker.both_ways && worker.input.len() < LONGEST {
                worker.input.append(&mut self.input);
            }
            let sent = write(&worker.stream, &worker.input).unwrap_or(worker.input.len());
            worker.input.drain(..sent);
            if !worker.both_ways || self.input.is_empty() || !worker.input.is_empty() {
                break;
            }
        }
        let done = worker.input.is_empty() && (!worker.both_ways || self.ended);
        if done && !worker.shut {
            worker.shut = true;
            let _ = worker.stream.shutdown(Shutdown::Write);
        }
        let mut bytes = [0; 16 * 1024];
        while self.output.len() < AHEAD {
            match rustix::io::read(&worker.stream, &mut bytes) {
                Ok(n @ 1..) => self.output.extend_from_slice(bytes.get(..n).unwrap_or_default()),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                // it has ended
                Ok(_) | Err(_) => {
                    self.at = At::Commands { commands: then, payload };
                    return true;
                }
            }
        }
        self.at = At::Worker { worker, then, payload };
        false
    }
}

/// As much as can be written now.
fn write(to: impl AsFd, bytes: &[u8]) -> Result<usize, Errno> {
    let mut sent = 0;
    while let Some(rest) = bytes.get(sent..).filter(|r| !r.is_empty()) {
        match rustix::net::send(&to, rest, rustix::net::SendFlags::NOSIGNAL) {
            Ok(n) => sent += n,
            Err(Errno::AGAIN) => break,
            Err(Errno::INTR) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(sent)
}

/// Is the next command one for a worker?
fn names_worker(commands: &VecDeque<Vec<u8>>) -> bool {
    let named = commands.front().and_then(|command| prefix::split(command));
    named.is_some_and(|(word, _)| prefix::parse(word.trim_start_matches('@')) != Some(Target::Master))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client that is gone while a worker answers does not wake the master again and again.
    #[test]
    fn who_is_gone_is_not_waited_for() {
        let (socket, _) = UnixStream::pair().unwrap();
        let (stream, _worker) = UnixStream::pair().unwrap();
        let mut client = Client::new(socket.into(), Level::Admin);
        let worker = Worker { stream, input: Vec::new(), both_ways: false, shut: true };
        client.at = At::Worker { worker, then: VecDeque::new(), payload: None };
        let count = |c: &Client| {
            let mut fds = Vec::new();
            c.poll_fds(&mut fds);
            fds.len()
        };
        assert_eq!(count(&client), 2);
        client.receive().unwrap();
        assert!(client.ended);
        assert_eq!(count(&client), 1);
    }

    /// The line that ends a payload is found however it comes, and only where a line begins.
    #[test]
    fn a_payload_ends_with_its_mark_in_pieces() {
        let (socket, _peer) = UnixStream::pair().unwrap();
        let mut client = Client::new(socket.into(), Level::Admin);
        let mut text = Vec::new();
        for (piece, ends) in [("a\nxEND", false), ("\nxx", false), ("END\nEN", false), ("D\nshow", true)] {
            client.input.extend_from_slice(piece.as_bytes());
            assert_eq!(client.payload(VecDeque::new(), b"END".to_vec(), text), ends, "{piece}");
            text = match std::mem::replace(&mut client.at, At::Line) {
                At::Payload { text, .. } | At::Commands { payload: Some(text), .. } => text,
                _ => panic!("{piece}"),
            };
        }
        assert_eq!((&text[..], &client.input[..]), (&b"a\nxEND\nxxEND\nEND\n"[..], &b"show"[..]));
    }

    /// What a worker doesn't take doesn't pile up in the master.
    #[test]
    fn a_worker_that_does_not_read_is_waited_for() {
        let (socket, mut peer) = UnixStream::pair().unwrap();
        let (stream, mut other) = UnixStream::pair().unwrap();
        for s in [&socket, &stream, &peer, &other] {
            s.set_nonblocking(true).unwrap();
        }
        let mut client = Client::new(socket.into(), Level::Admin);
        let worker = Worker { stream, input: Vec::new(), both_ways: true, shut: false };
        client.at = At::Worker { worker, then: VecDeque::new(), payload: None };
        let (mut sent, mut held) = (0, 0);
        let turn = |client: &mut Client| {
            client.receive().unwrap();
            let At::Worker { worker, then, payload } = std::mem::replace(&mut client.at, At::Line) else {
                panic!()
            };
            assert!(!client.worker(worker, then, payload));
            let At::Worker { worker, .. } = &client.at else { panic!() };
            worker.input.len() + client.input.len()
        };
        for _ in 0..2000 {
            sent += std::io::Write::write(&mut peer, &[b'x'; 4096]).unwrap_or(0);
            held = held.max(turn(&mut client));
        }
        assert!(held <= 3 * LONGEST, "{held}");
        // all of it arrives once the worker reads
        let (mut got, mut bytes) = (0, [0; 65536]);
        for _ in 0..2000 {
            got += std::io::Read::read(&mut other, &mut bytes).unwrap_or(0);
            turn(&mut client);
        }
        assert_eq!(got, sent);
    }
}
