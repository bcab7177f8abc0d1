//! One worker's log lines on their way out.

use super::Level;
use super::Message;
use super::framing::Record;
use super::loggers::{Logger, Loggers};
use super::sink::{Datagram, Descriptor, Kind, Sink, To};
use super::stamp::Stamp;
use crate::gate::Process;
use portcullis_sys::datagrams::{RUN_BYTES, RUNS, Run, SEGMENTS, send_runs};
use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// Most bytes that wait for one destination.
const MAX_BYTES: usize = 256 * 1024;
/// Most lines that wait for one destination.
const MAX_LINES: usize = 4096;
/// `PIPE_BUF`: a longer write to a pipe may be mixed with others'.
const ATOMIC: usize = 4096;

/// Whether everything is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Flush {
    /// Nothing waits any more.
    Done,
    /// A receiver takes nothing now: flush again within a few milliseconds, even if nothing is logged.
    Pending,
}

/// Lines for one destination.
#[derive(Debug)]
struct Queue {
    sink: Arc<Sink>,
    bytes: Vec<u8>,
    /// Where each line ends in `bytes`.
    ends: Vec<u32>,
}

/// A worker's way to all destinations. Lines wait here until [`LogWriter::flush`].
#[derive(Debug)]
pub struct LogWriter {
    worker: usize,
    process: Arc<Process>,
    stamp: Stamp,
    queues: Vec<Option<Queue>>,
    /// Numbers of queues with something in them.
    full: Vec<usize>,
    /// Something came since the last flush.
    fresh: bool,
    scratch: Vec<u8>,
    now_ms: u64,
}

impl LogWriter {
    /// Of worker number `worker`; dropped lines are counted in `process`.
    pub fn new(worker: usize, process: Arc<Process>) -> Self {
        Self {
            worker,
            process,
            stamp: Stamp::default(),
            queues: Vec::new(),
            full: Vec::new(),
            fresh: false,
            scratch: Vec::new(),
            now_ms: 0,
        }
    }

    /// Hands a formatted line (without newline) to all `loggers` that take this level. `wall` is the time since the
    /// epoch; `data` is the text of `log-format-sd`, empty without. Nothing is sent before [`LogWriter::flush`], but to
    /// rings.
    pub fn log(&mut self, loggers: &Loggers, level: Level, wall: Duration, data: &[u8], message: &[u8]) {
        if loggers.list.is_empty() {
            return;
        }
        self.stamp.at(wall);
        self.now_ms = u64::try_from(wall.as_millis()).unwrap_or(0);
        for logger in &loggers.list {
            if let Some(level) = logger.accepts(level) {
                let record = Record { level, wall, data, message };
                self.add(logger, message, |to, stamp| {
                    logger.framing.write(to, stamp, &record, logger.max_len);
                });
            }
        }
    }

    /// Hands on a message that came from elsewhere; `host` is its host field as it is to be.
    pub fn forward(&mut self, loggers: &Loggers, wall: Duration, message: &Message<'_>, host: Option<&[u8]>) {
        self.stamp.at(wall);
        self.now_ms = u64::try_from(wall.as_millis()).unwrap_or(0);
        for logger in &loggers.list {
            if let Some(level) = logger.accepts(message.level()) {
                self.add(logger, message.text, |to, stamp| {
                    message.write(to, &logger.framing, (stamp, wall), level, host, logger.max_len);
                });
            }
        }
    }

    /// A line that `write` makes of a message of this text.
    fn add(&mut self, logger: &Logger, text: &[u8], write: impl Fn(&mut Vec<u8>, &Stamp)) {
        match &logger.sink.to {
            To::Datagram(_) | To::Descriptor(_) => {
                let at = self.queue(&logger.sink);
                if let Some(Some(queue)) = self.queues.get_mut(at) {
                    let before = queue.bytes.len();
                    write(&mut queue.bytes, &self.stamp);
                    let kept = queue.keep(before);
                    self.count(kept);
                }
            }
            To::Ring(ring) | To::Stream(ring) => {
                self.scratch.clear();
                write(&mut self.scratch, &self.stamp);
                ring.push(self.scratch.strip_suffix(b"\n").unwrap_or(&self.scratch));
            }
            To::Balanced(backend) => {
                self.scratch.clear();
                write(&mut self.scratch, &self.stamp);
                let sent = backend.choose(text).is_some_and(|sink| self.send_on(&sink));
                self.count(sent);
            }
        }
    }

    /// Hands the line in `scratch` to a server of a backend; false: it is lost.
    fn send_on(&mut self, sink: &Arc<Sink>) -> bool {
        if let To::Stream(ring) | To::Ring(ring) = &sink.to {
            ring.push(self.scratch.strip_suffix(b"\n").unwrap_or(&self.scratch));
            return true;
        }
        let at = self.queue(sink);
        let Some(Some(queue)) = self.queues.get_mut(at) else { return false };
        let before = queue.bytes.len();
        queue.bytes.extend_from_slice(&self.scratch);
        queue.keep(before)
    }

    fn count(&self, kept: bool) {
        if !kept {
            self.process.counters.of(self.worker).dropped_logs.inc();
        }
    }

    /// The number of this sink's queue, in which there will be something.
    fn queue(&mut self, sink: &Arc<Sink>) -> usize {
        self.fresh = true;
        let index = sink.index;
        if index >= self.queues.len() {
            self.queues.resize_with(index + 1, || None);
        }
        if let Some(slot) = self.queues.get_mut(index) {
            let new = || Queue { sink: sink.clone(), bytes: Vec::new(), ends: Vec::new() };
            if slot.get_or_insert_with(new).ends.is_empty() {
                self.full.push(index);
            }
        }
        index
    }

    /// Has nothing come since the last flush?
    #[inline]
    pub fn is_flushed(&self) -> bool {
        !self.fresh
    }

    /// Sends what waits: one system call a destination as a rule. Never blocks; call once a turn of the event loop.
    pub fn flush(&mut self) -> Flush {
        self.fresh = false;
        if self.full.is_empty() {
            return Flush::Done;
        }
        let mut dropped = 0;
        let now_ms = self.now_ms;
        let queues = &mut self.queues;
        self.full.retain(|at| match queues.get_mut(*at) {
            Some(Some(queue)) => {
                dropped += queue.send(now_ms);
                !queue.ends.is_empty()
            }
            _ => false,
        });
        if dropped > 0 {
            self.process.counters.of(self.worker).dropped_logs.add(dropped);
        }
        if self.full.is_empty() { Flush::Done } else { Flush::Pending }
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        let _ = self.flush();
        let left = self.queues.iter().flatten().map(|q| q.ends.len() as u64).sum();
        self.process.counters.of(self.worker).dropped_logs.add(left);
    }
}

impl Queue {
    /// What was appended behind `before` is a line; false: there is no room for it.
    fn keep(&mut self, before: usize) -> bool {
        let fits = self.ends.len() < MAX_LINES && self.bytes.len() <= MAX_BYTES;
        match fits {
            true => self.ends.push(self.bytes.len() as u32),
            false => self.bytes.truncate(before),
        }
        fits
    }

    /// Sends what the receiver takes; yields how many lines were given up.
    fn send(&mut self, now_ms: u64) -> u64 {
        let sink = self.sink.clone();
        let (done, dropped) = match &sink.to {
            To::Datagram(socket) => self.send_datagrams(socket, now_ms),
            To::Descriptor(fd) => self.send_lines(fd),
            To::Ring(_) | To::Stream(_) | To::Balanced(_) => (self.ends.len(), 0),
        };
        self.forget(done);
        dropped
    }

    /// Takes the first `lines` lines out.
    fn forget(&mut self, lines: usize) {
        if lines >= self.ends.len() {
            self.ends.clear();
            self.bytes.clear();
        } else if lines > 0 {
            let bytes = self.end(lines - 1);
            self.ends.drain(..lines);
            self.ends.iter_mut().for_each(|e| *e -= bytes as u32);
            self.bytes.drain(..bytes);
        }
    }

    fn end(&self, line: usize) -> usize {
        self.ends.get(line).map_or(self.bytes.len(), |e| *e as usize)
    }
    fn line(&self, line: usize) -> &[u8] {
        let start = if line == 0 { 0 } else { self.end(line - 1) };
        self.bytes.get(start..self.end(line)).unwrap_or_default()
    }

    /// Yields how many lines are dealt with, and how many of them were given up.
    fn send_datagrams(&self, socket: &Datagram, now_ms: u64) -> (usize, u64) {
        let mut done = 0;
        let mut dropped = 0;
        let mut refused = false;
        while done < self.ends.len() {
            let left = self.ends.len() - done;
            let sent = match left {
                1 => send(&socket.socket, self.line(done), FLAGS).map(|_| 1),
                _ => self.send_runs(socket, done),
            };
            match sent {
                Ok(sent) => done += sent.max(1),
                Err(Errno::INTR) => {}
                Err(Errno::INVAL | Errno::IO | Errno::OPNOTSUPP | Errno::MSGSIZE) if socket.no_segments() => {
                }
                Err(Errno::AGAIN | Errno::NOBUFS) => return (done, dropped),
                // the answer to an earlier datagram, now told and forgotten: this one has not been tried
                Err(Errno::CONNREFUSED) if !refused && !socket.is_unix() => refused = true,
                Err(Errno::MSGSIZE) => {
                    done += 1;
                    dropped += 1;
                }
                Err(_) if socket.reconnect(now_ms) => {}
                // nobody there: what waits is lost, as with any datagram
                Err(_) => return (self.ends.len(), dropped + left as u64),
            }
        }
        (done, dropped)
    }

    /// Sends the lines from `from` on, as many as one call takes; lines of equal length as one run where the network
    /// takes them so. Yields how many lines went.
    fn send_runs(&self, socket: &Datagram, from: usize) -> Result<usize, Errno> {
        let segments = if socket.takes_segments() { SEGMENTS } else { 1 };
        let mut runs = [Run::default(); RUNS];
        let mut lines = [0; RUNS];
        let mut at = from;
        let mut count = 0;
        for (run, lines) in runs.iter_mut().zip(&mut lines) {
            if at >= self.ends.len() {
                break;
            }
            *lines = self.run_length(at, segments);
            *run = self.run(at, *lines);
            at += *lines;
            count += 1;
        }
        let sent = send_runs(socket.socket.as_fd(), runs.get(..count).unwrap_or_default())?;
        Ok(lines.iter().take(sent).sum())
    }

    /// How many lines from `from` on have the same length; the last may be shorter.
    fn run_length(&self, from: usize, most: usize) -> usize {
        let length = self.line(from).len();
        let most = most.min(RUN_BYTES / length.max(1)).min(self.ends.len() - from);
        let equal = (1..most).take_while(|i| self.line(from + i).len() == length).count() + 1;
        let shorter = equal < most && self.line(from + equal).len() < length;
        (equal + usize::from(shorter)).max(1)
    }

    fn run(&self, from: usize, lines: usize) -> Run<'_> {
        let start = if from == 0 { 0 } else { self.end(from - 1) };
        let bytes = self.bytes.get(start..self.end(from + lines - 1)).unwrap_or_default();
        let segment = if lines > 1 { u16::try_from(self.line(from).len()).unwrap_or(0) } else { 0 };
        Run { bytes, segment }
    }

    /// As above, for a descriptor: whole lines, several in one write where that is atomic.
    fn send_lines(&self, fd: &Descriptor) -> (usize, u64) {
        let mut tail = fd.tail.lock().unwrap_or_else(PoisonError::into_inner);
        while !tail.is_empty() {
            match fd.write(&tail) {
                Ok(n) => {
                    let rest = tail.len().saturating_sub(n);
                    let whole = tail.len();
                    tail.rotate_left(n.min(whole));
                    tail.truncate(rest);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return (0, 0),
                Err(_) => tail.clear(),
            }
        }
        let mut done = 0;
        let mut dropped = 0;
        while done < self.ends.len() {
            let start = if done == 0 { 0 } else { self.end(done - 1) };
            let lines = self.batch(done, start, fd.kind);
            let chunk = self.bytes.get(start..self.end(done + lines - 1)).unwrap_or_default();
            match fd.write(chunk) {
                Ok(n) if n >= chunk.len() => done += lines,
                Ok(n) => {
                    // cut in the middle of a line: its end goes first next time
                    let reached = start + n;
                    while done < self.ends.len() && self.end(done) <= reached {
                        done += 1;
                    }
                    let begin = if done == 0 { 0 } else { self.end(done - 1) };
                    if reached > begin && done < self.ends.len() {
                        tail.extend_from_slice(self.bytes.get(reached..self.end(done)).unwrap_or_default());
                        done += 1;
                    }
                    return (done, dropped);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return (done, dropped),
                Err(_) => {
                    done += lines;
                    dropped += lines as u64;
                }
            }
        }
        (done, dropped)
    }

    /// How many lines from `first` on (which begins at `start`) may go in one write.
    fn batch(&self, first: usize, start: usize, kind: Kind) -> usize {
        let most = match kind {
            Kind::Datagram => return 1,
            Kind::Pipe => ATOMIC,
            Kind::Device | Kind::File | Kind::Stream => 64 * 1024,
        };
        let fits = self.ends.iter().skip(first).take_while(|end| **end as usize - start <= most).count();
        fits.max(1)
    }
}

const FLAGS: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);

impl Descriptor {
    fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        match self.kind {
            Kind::Stream | Kind::Datagram => send(&self.fd, bytes, FLAGS),
            Kind::Pipe | Kind::Device | Kind::File => rustix::io::write(&self.fd, bytes),
        }
    }
}
