//! The state machine of a connection (RFC 9113 sections 3 to 6), as its server has it.

use super::frame::{
    self, FIRST_FRAME, FIRST_WINDOW, HEADER, Header, MAX_WINDOW, PREFACE, Reason, flag, kind, setting,
};
use super::hpack::{self, Decoder};
use super::request::{Builder, Fault, Limits, Request, Trailers};
use super::response;
use super::streams::{Stream, Streams};
use portcullis_message::Head;
use std::io::IoSlice;

/// What a connection is told by its configuration.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Window of each stream (`tune.h2.fe.initial-window-size`).
    pub window: u32,
    /// What streams with bodies share beyond that (`tune.h2.fe.rxbuf`).
    pub shared: u32,
    /// In pieces of this size (`tune.bufsize`).
    pub unit: u32,
    /// Streams at once (`tune.h2.fe.max-concurrent-streams`).
    pub streams: u32,
    /// Streams in all, 0: no limit (`tune.h2.fe.max-total-streams`).
    pub total: u32,
    /// Largest payload (`tune.h2.max-frame-size`).
    pub frame: u32,
    /// Size of the dynamic table (`tune.h2.header-table-size`).
    pub table: u32,
    /// Extended CONNECT is offered (`h2-workaround-bogus-websocket-clients`).
    pub connect: bool,
    /// Limits of heads.
    pub heads: Limits,
}

/// Streams at once when there is no limit: what a worker can bear of one connection.
const MANY: u32 = 10_000;

/// Bytes of a header block before it is decoded: more is not gathered.
const BLOCK: usize = 64 * 1024;
/// Frames that a header block comes in.
const PIECES: u32 = 64;
/// What may wait to be written before streams wait.
const ROOM: usize = 64 * 1024;
/// What may wait before no more is read, so that a peer that reads nothing cannot have answers made without end.
const FULL: usize = 256 * 1024;

/// A peer's credit: work that brings it nothing costs some of it, requests that are answered bring some back, and so does
/// time. A connection that has none left ends.
mod credit {
    /// The most.
    pub const MOST: i32 = 2_000;
    /// What comes back in a second.
    pub const A_SECOND: u64 = 200;
    /// A frame that asks for nothing but work.
    pub const FRAME: i32 = 1;
    /// A stream that is reset before it was answered.
    pub const RESET: i32 = 8;
    /// A request.
    pub const REQUEST: i32 = 2;
    /// A response that went out whole.
    pub const ANSWER: i32 = 8;
    /// A frame of payload that went out.
    pub const DATA: i32 = 2;
}

/// The end of a connection that its peer has spoiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fatal {
    /// What GOAWAY says.
    pub reason: Reason,
    /// Not even a preface: nothing is said.
    pub silent: bool,
}

/// What came of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'i> {
    /// More bytes are needed.
    More,
    /// Nothing that its user must know.
    Nothing,
    /// Nothing is read until streams have gone or bytes were written.
    Full,
    /// A stream begins; its head was written.
    Request(u32, Request),
    /// A stream was not even a request; it was reset.
    Refused(u32),
    /// Payload of a stream. True: its peer has said all with it.
    Data(u32, &'i [u8], bool),
    /// A stream's peer has said all; a trailer section as HTTP/1 has it, or nothing.
    End(u32, Vec<u8>),
    /// A stream was reset. True: because of what its peer did wrong.
    Reset(u32, bool),
    /// A stream may send more; 0: all may.
    Window(u32),
    /// The peer will begin no more streams.
    Leaving,
    /// The connection is over; what is to be written still is.
    Fatal(Fatal),
}

/// A violation, as far as it reaches.
enum Wrong {
    Connection(Reason),
    Stream(u32, Reason),
}

type Checked<'i> = Result<Event<'i>, Wrong>;

/// Where in its input a connection is.
#[derive(Debug)]
enum At {
    /// So many bytes of the preface have come.
    Preface(usize),
    /// Before a frame.
    Frame,
    /// In a frame that comes in pieces, which are gathered.
    Gather(Header),
    /// In DATA: payload and padding that are still to come.
    Data { stream: u32, payload: u32, padding: u32, end: bool },
    /// Nothing is read any more.
    Over,
}

/// A header block that goes on in CONTINUATION frames.
#[derive(Debug)]
struct Block {
    stream: u32,
    /// It begins the stream.
    first: bool,
    end: bool,
    frames: u32,
}

/// One connection, with `T` for each of its streams.
#[derive(Debug)]
pub struct Connection<T> {
    config: Config,
    at: At,
    /// The first frame has come, which must be SETTINGS.
    greeted: bool,
    gathered: Vec<u8>,
    block: Option<Block>,
    fragments: Vec<u8>,
    decoder: Decoder,
    /// To be written.
    out: Vec<u8>,
    written: usize,
    /// The last frame in `out` that belongs to a stream: its stream, and where it stands.
    tail: (u32, usize),
    streams: Streams<T>,
    /// The highest stream that was begun, and how many there were.
    last: u32,
    total: u32,
    /// What may be sent on the connection.
    send: i64,
    /// What the peer may still send on it.
    left: i64,
    shared: u32,
    peer_window: u32,
    peer_frame: u32,
    /// Our settings are known to the peer.
    settled: bool,
    /// The dynamic table is to be given up in the next block.
    no_table: bool,
    /// GOAWAY was sent: streams above this are ignored.
    away: Option<u32>,
    /// How many streams there were when the end was announced.
    leaving: Option<u32>,
    credit: i32,
    credited: u64,
    glitches: u32,
}

impl<T: Default> Connection<T> {
    /// A connection whose peer speaks first.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let streams = if config.streams == 0 { MANY } else { config.streams };
        let config = Config { streams, ..config };
        let mut this = Self {
            config,
            at: At::Preface(0),
            greeted: false,
            gathered: Vec::new(),
            block: None,
            fragments: Vec::new(),
            decoder: Decoder::new(config.table),
            out: Vec::new(),
            written: 0,
            tail: (0, 0),
            streams: Streams::new(),
            last: 0,
            total: 0,
            send: i64::from(FIRST_WINDOW),
            left: i64::from(FIRST_WINDOW),
            shared: config.shared,
            peer_window: FIRST_WINDOW,
            peer_frame: FIRST_FRAME,
            settled: false,
            no_table: false,
            away: None,
            leaving: None,
            credit: credit::MOST,
            credited: 0,
            glitches: 0,
        };
        this.greet();
        this
    }

    /// Our settings, where they are not what the peer assumes anyhow.
    fn greet(&mut self) {
        let c = &self.config;
        let mut list = Vec::with_capacity(6);
        if c.connect {
            list.push((setting::ENABLE_CONNECT_PROTOCOL, 1));
        }
        if c.table != 4096 {
            list.push((setting::HEADER_TABLE_SIZE, c.table));
        }
        if c.window != FIRST_WINDOW {
            list.push((setting::INITIAL_WINDOW_SIZE, c.window));
        }
        if c.streams != MANY {
            list.push((setting::MAX_CONCURRENT_STREAMS, c.streams));
        }
        if c.frame != FIRST_FRAME {
            list.push((setting::MAX_FRAME_SIZE, c.frame));
        }
        frame::settings(&list, &mut self.out);
    }

    /// What is to be written.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        self.out.get(self.written..).unwrap_or(&[])
    }

    /// So much of it was written.
    pub fn wrote(&mut self, n: usize) {
        self.written += n;
        if self.written >= self.out.len() {
            self.written = 0;
            self.tail = (0, 0);
            self.out.clear();
            if self.streams.len() == 0 {
                // an idle connection is small
                self.out = Vec::new();
            }
        } else if self.written >= ROOM {
            self.out.drain(..self.written);
            self.tail = match self.tail.1.checked_sub(self.written) {
                Some(at) => (self.tail.0, at),
                None => (0, 0),
            };
            self.written = 0;
        }
    }

    /// Odd things so far.
    #[must_use]
    pub fn glitches(&self) -> u32 {
        self.glitches
    }
    /// Streams that are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.streams.open()
    }
    /// No stream is there any more, not even one that only its user knows of.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.streams.len() == 0
    }
    /// Streams that are there, those among them that only their users know of.
    #[must_use]
    pub fn streams_kept(&self) -> usize {
        self.streams.len()
    }
    /// Streams so far.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.total
    }
    /// Was the preface there, and the settings behind it?
    #[must_use]
    pub fn is_greeted(&self) -> bool {
        self.greeted
    }
    /// Nothing of a frame waits for the rest of it.
    #[must_use]
    pub fn is_between_frames(&self) -> bool {
        matches!(self.at, At::Frame) && self.block.is_none()
    }
    /// Did the connection end, for its peer's fault or by [`Connection::close`]?
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.at, At::Over)
    }
    /// What a stream's user keeps with it.
    pub fn user(&mut self, id: u32) -> Option<&mut T> {
        self.streams.get_mut(id).map(|s| &mut s.user)
    }
    /// What all users keep.
    pub fn users(&mut self) -> impl Iterator<Item = &mut T> {
        self.streams.iter_mut().map(|s| &mut s.user)
    }
    /// The next stream that waited for room and may have some.
    pub fn next_waiting(&mut self) -> Option<u32> {
        if self.output().len() >= ROOM || self.send <= 0 {
            return None;
        }
        let id = self.streams.queue.pop_front()?;
        if let Some(s) = self.streams.get_mut(id) {
            s.queued = false;
        }
        Some(id)
    }

    /// Does any stream wait that could go on?
    #[must_use]
    pub fn is_waited_for(&self) -> bool {
        !self.streams.queue.is_empty() && self.send > 0 && self.output().len() < ROOM
    }

    /// The end is announced (GOAWAY): the peer shall begin no more streams; those it has begun by then are served.
    pub fn leave(&mut self) {
        self.announce(MAX_WINDOW);
    }

    /// The end is announced, and which stream may be the last one.
    fn announce(&mut self, last: u32) {
        if self.leaving.is_none() && self.away.is_none() {
            self.leaving = Some(self.total);
            frame::goaway(last, Reason::NoError, &mut self.out);
            self.tail = (0, 0);
        }
    }

    /// Was the end announced?
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.leaving.is_some() || self.away.is_some()
    }

    /// The end: nothing is read any more, and the peer is told which stream was the last.
    pub fn close(&mut self, reason: Reason) {
        if !self.is_over() {
            self.at = At::Over;
            self.go_away(reason);
        }
    }

    fn go_away(&mut self, reason: Reason) {
        self.away = Some(self.last);
        frame::goaway(self.last, reason, &mut self.out);
        self.tail = (0, 0);
    }

    /// Takes the peer's bytes, one event at a time: how many of them are done with, and what came of them. `now`:
    /// milliseconds of any clock. `head` is what a request is written to.
    pub fn receive<'i>(&mut self, input: &'i [u8], now: u64, head: &mut Head) -> (usize, Event<'i>) {
        let (mut used, event) = match self.at {
            At::Over => return (input.len(), Event::Nothing),
            _ if self.output().len() >= FULL => return (0, Event::Full),
            At::Preface(seen) => self.preface(input, seen),
            At::Data { .. } => self.data_goes_on(input),
            At::Gather(header) => self.gather(input, header, head),
            At::Frame => self.frame(input, now, head),
        };
        let event = match event {
            Ok(event) => event,
            Err(Wrong::Connection(reason)) => {
                self.glitches += 1;
                self.close(reason);
                used = input.len();
                Event::Fatal(Fatal { reason, silent: false })
            }
            Err(Wrong::Stream(id, reason)) => {
                self.glitches += 1;
                let live = self.streams.get(id).is_some_and(|s| !s.reset);
                self.reset(id, reason);
                self.pay(credit::RESET);
                match live {
                    true => Event::Reset(id, true),
                    // what comes for a stream that was there is no request
                    false if reason == Reason::StreamClosed => Event::Nothing,
                    false => Event::Refused(id),
                }
            }
        };
        if self.credit < 0 && !self.is_over() {
            let reason = Reason::EnhanceYourCalm;
            self.close(reason);
            return (input.len(), Event::Fatal(Fatal { reason, silent: false }));
        }
        (used, event)
    }

    fn pay(&mut self, n: i32) {
        self.credit -= n;
    }
    fn earn(&mut self, n: i32) {
        self.credit = (self.credit + n).min(credit::MOST);
    }
    fn glitch(&mut self) {
        self.glitches = self.glitches.saturating_add(1);
        self.pay(credit::FRAME);
    }

    /// RFC 9113 section 3.4.
    fn preface<'i>(&mut self, input: &'i [u8], seen: usize) -> (usize, Checked<'i>) {
        let want = PREFACE.get(seen..).unwrap_or_default();
        let n = want.len().min(input.len());
        if input.get(..n) != want.get(..n) {
            self.at = At::Over;
            (self.out, self.written) = (Vec::new(), 0);
            self.glitches += 1;
            let fatal = Fatal { reason: Reason::Protocol, silent: true };
            return (input.len(), Ok(Event::Fatal(fatal)));
        }
        let all = n == want.len();
        self.at = if all { At::Frame } else { At::Preface(seen + n) };
        (n, Ok(if all { Event::Nothing } else { Event::More }))
    }

    /// A frame begins.
    fn frame<'i>(&mut self, input: &'i [u8], now: u64, head: &mut Head) -> (usize, Checked<'i>) {
        let Some(header) = Header::read(input) else { return (0, Ok(Event::More)) };
        let since = now.saturating_sub(self.credited);
        let back = (since.min(60_000) * credit::A_SECOND / 1000) as i32;
        if back > 0 {
            self.credited = now;
            self.earn(back);
        }
        if let Err(wrong) = self.expected(&header) {
            return (HEADER, Err(wrong));
        }
        if header.kind == kind::HEADERS && self.streams.len() >= 2 * self.config.streams as usize + 16 {
            return (0, Ok(Event::Full));
        }
        if header.kind == kind::DATA {
            return self.data_begins(input, header);
        }
        let rest = input.get(HEADER..).unwrap_or_default();
        match rest.get(..header.length as usize) {
            Some(payload) => (HEADER + payload.len(), self.whole(header, payload, head)),
            None => {
                self.gathered.clear();
                self.gathered.extend_from_slice(rest);
                self.at = At::Gather(header);
                (input.len(), Ok(Event::More))
            }
        }
    }

    /// What can be said of a frame by its header.
    fn expected(&mut self, header: &Header) -> Result<(), Wrong> {
        if !self.greeted && (header.kind != kind::SETTINGS || header.has(flag::ACK)) {
            return Err(Wrong::Connection(Reason::Protocol));
        }
        if header.length > self.config.frame {
            return Err(Wrong::Connection(Reason::FrameSize));
        }
        // RFC 9113 section 6.10: nothing comes between the frames of a block
        let goes_on = header.kind == kind::CONTINUATION;
        match &self.block {
            Some(block) if !goes_on || block.stream != header.stream => {
                Err(Wrong::Connection(Reason::Protocol))
            }
            None if goes_on && self.streams.get(header.stream).is_none() && self.is_closed(header.stream) => {
                Err(Wrong::Connection(Reason::StreamClosed))
            }
            None if goes_on => Err(Wrong::Connection(Reason::Protocol)),
            _ => Ok(()),
        }
    }

    /// Was this stream there (RFC 9113 section 5.1.1)?
    fn is_closed(&self, id: u32) -> bool {
        id % 2 == 1 && id <= self.last
    }

    fn gather<'i>(&mut self, input: &'i [u8], header: Header, head: &mut Head) -> (usize, Checked<'i>) {
        let missing = (header.length as usize).saturating_sub(self.gathered.len());
        let part = input.get(..missing.min(input.len())).unwrap_or_default();
        self.gathered.extend_from_slice(part);
        if part.len() < missing {
            return (part.len(), Ok(Event::More));
        }
        self.at = At::Frame;
        let payload = std::mem::take(&mut self.gathered);
        let event = self.whole(header, &payload, head);
        (part.len(), event)
    }

    /// A frame is here whole.
    fn whole<'i>(&mut self, header: Header, payload: &[u8], head: &mut Head) -> Checked<'i> {
        let connection = |reason| Err(Wrong::Connection(reason));
        let stream = header.stream;
        match (header.kind, payload.len()) {
            (kind::HEADERS, _) => self.headers(header, payload, head),
            (kind::CONTINUATION, _) => self.goes_on(header, payload, head),
            (kind::PRIORITY, _) if stream == 0 => connection(Reason::Protocol),
            (kind::PRIORITY, 5) => self.priority(stream, payload),
            (kind::RST_STREAM, _) if stream == 0 => connection(Reason::Protocol),
            (kind::RST_STREAM, 4) => self.rst_stream(stream),
            (kind::SETTINGS | kind::PING | kind::GOAWAY, _) if stream != 0 => connection(Reason::Protocol),
            (kind::SETTINGS, 0) if header.has(flag::ACK) => {
                self.settled = true;
                self.pay(credit::FRAME);
                Ok(Event::Nothing)
            }
            (kind::SETTINGS, n) if n % 6 == 0 && !header.has(flag::ACK) => self.settings(payload),
            (kind::PING, 8) => {
                self.pay(credit::FRAME);
                if !header.has(flag::ACK) {
                    self.frame_out(kind::PING, flag::ACK, 0, payload);
                }
                Ok(Event::Nothing)
            }
            (kind::GOAWAY, 8..) => Ok(Event::Leaving),
            (kind::WINDOW_UPDATE, 4) => self.window_update(stream, payload),
            (kind::PRIORITY | kind::RST_STREAM | kind::SETTINGS | kind::PING | kind::GOAWAY, _)
            | (kind::WINDOW_UPDATE, _) => connection(Reason::FrameSize),
            (kind::PUSH_PROMISE, _) => connection(Reason::Protocol),
            // RFC 9113 section 4.1: what is unknown is ignored
            _ => {
                self.pay(credit::FRAME);
                Ok(Event::Nothing)
            }
        }
    }

    fn frame_out(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        frame::write(payload.len(), kind, flags, stream, &mut self.out);
        self.out.extend_from_slice(payload);
        self.tail = (0, 0);
    }

    fn number_out(&mut self, kind: u8, stream: u32, n: u32) {
        frame::number(kind, stream, n, &mut self.out);
        self.tail = (0, 0);
    }

    /// RFC 9113 section 6.1. Payload goes to its user as it comes.
    fn data_begins<'i>(&mut self, input: &'i [u8], header: Header) -> (usize, Checked<'i>) {
        let (id, length) = (header.stream, header.length);
        if id == 0 || (!self.is_closed(id)) {
            return (HEADER, Err(Wrong::Connection(Reason::Protocol)));
        }
        let (mut used, mut padding) = (HEADER, 0);
        if header.has(flag::PADDED) {
            let pad = match input.get(HEADER) {
                _ if length == 0 => return (HEADER, Err(Wrong::Connection(Reason::FrameSize))),
                None => return (0, Ok(Event::More)),
                Some(pad) => u32::from(*pad),
            };
            if pad >= length {
                return (HEADER, Err(Wrong::Connection(Reason::Protocol)));
            }
            (used, padding) = (HEADER + 1, pad + 1);
        }
        // RFC 9113 section 6.9: all of it counts
        self.left -= i64::from(length);
        if self.left < 0 {
            return (used, Err(Wrong::Connection(Reason::FlowControl)));
        }
        self.widen();
        let end = header.has(flag::END_STREAM);
        let payload = length - padding;
        if payload == 0 && !end {
            self.glitch();
        }
        let rest = padding.saturating_sub(1);
        self.at = match payload + rest {
            0 => At::Frame,
            _ => At::Data { stream: id, payload, padding: rest, end },
        };
        let was_reset = self.streams.was_reset(id);
        let limits = match self.streams.get_mut(id) {
            Some(s) if s.reset => Ok(()),
            Some(s) if s.ended => Err(Reason::StreamClosed),
            Some(s) if s.left < i64::from(length) => Err(Reason::FlowControl),
            Some(s) if s.body.is_some_and(|n| n < u64::from(payload) || (end && n != u64::from(payload))) => {
                Err(Reason::Protocol)
            }
            Some(s) => {
                s.left -= i64::from(length);
                s.body = s.body.map(|n| n - u64::from(payload));
                Ok(())
            }
            None if was_reset => Ok(()),
            None => Err(Reason::StreamClosed),
        };
        match limits {
            Err(reason) => (used, Err(Wrong::Stream(id, reason))),
            Ok(()) => {
                if self.is_reset(id) {
                    self.pay(credit::FRAME);
                }
                self.consumed(id, padding as usize);
                let event = if end && payload == 0 { self.ended(id, Vec::new()) } else { Event::Nothing };
                (used, Ok(event))
            }
        }
    }

    fn data_goes_on<'i>(&mut self, input: &'i [u8]) -> (usize, Checked<'i>) {
        let At::Data { stream, payload, padding, end } = self.at else { return (0, Ok(Event::Nothing)) };
        if payload > 0 {
            let part = input.get(..input.len().min(payload as usize)).unwrap_or_default();
            if part.is_empty() {
                return (0, Ok(Event::More));
            }
            let left = payload - part.len() as u32;
            self.at = match left + padding {
                0 => At::Frame,
                _ => At::Data { stream, payload: left, padding, end },
            };
            let live = self.streams.get(stream).filter(|s| !s.reset && !s.ended).map(|s| !s.gone);
            let last = end && left == 0;
            if live.is_some() && last {
                self.ended(stream, Vec::new());
            }
            let event = match live {
                Some(true) => Event::Data(stream, part, last),
                Some(false) => {
                    self.consumed(stream, part.len());
                    Event::Nothing
                }
                None => Event::Nothing,
            };
            return (part.len(), Ok(event));
        }
        let n = input.len().min(padding as usize);
        self.at = match padding - n as u32 {
            0 => At::Frame,
            padding => At::Data { stream, payload, padding, end },
        };
        (n, Ok(if n == 0 { Event::More } else { Event::Nothing }))
    }

    /// The peer has ended a stream.
    fn ended<'i>(&mut self, id: u32, trailers: Vec<u8>) -> Event<'i> {
        let Some(s) = self.streams.get_mut(id).filter(|s| !s.reset && !s.ended) else {
            return Event::Nothing;
        };
        s.ended = true;
        self.shared += std::mem::take(&mut s.extra);
        let gone = s.gone;
        self.streams.settle(id);
        if gone { Event::Nothing } else { Event::End(id, trailers) }
    }

    /// The connection's own window is as wide as it can be: those of the streams limit what has to be kept.
    fn widen(&mut self) {
        let more = i64::from(MAX_WINDOW) - self.left;
        if more < i64::from(MAX_WINDOW / 2) {
            return;
        }
        if let Ok(n @ 1..) = u32::try_from(more) {
            self.left += more;
            self.number_out(kind::WINDOW_UPDATE, 0, n.min(MAX_WINDOW));
        }
    }

    /// A stream's user has taken so much of its payload.
    pub fn consumed(&mut self, id: u32, n: usize) {
        let Some(s) = self.streams.get_mut(id).filter(|s| !s.ended && !s.reset) else { return };
        s.debt += n as u32;
        let due = s.debt >= (s.window / 2).max(1) && s.body != Some(0);
        if due {
            let n = std::mem::take(&mut s.debt);
            s.left += i64::from(n);
            self.number_out(kind::WINDOW_UPDATE, id, n);
        }
    }

    /// RFC 9113 section 6.2.
    fn headers<'i>(&mut self, header: Header, payload: &[u8], head: &mut Head) -> Checked<'i> {
        let stream = header.stream;
        if stream.is_multiple_of(2) {
            return Err(Wrong::Connection(Reason::Protocol));
        }
        let mut fragment = payload;
        if header.has(flag::PADDED) {
            let (pad, rest) = fragment.split_first().ok_or(Wrong::Connection(Reason::FrameSize))?;
            let len = rest.len().checked_sub(usize::from(*pad)).ok_or(Wrong::Connection(Reason::Protocol))?;
            fragment = rest.get(..len).unwrap_or_default();
        }
        let first = !self.is_closed(stream);
        if self.away.is_none_or(|last| stream <= last) {
            self.last = self.last.max(stream);
        }
        if header.has(flag::PRIORITY) {
            let (on, rest) = fragment.split_first_chunk::<5>().ok_or(Wrong::Connection(Reason::FrameSize))?;
            self.depends(stream, on)?;
            fragment = rest;
        }
        match self.streams.get(stream) {
            Some(s) if s.ended && !s.reset => return Err(Wrong::Connection(Reason::StreamClosed)),
            None if !first && !self.streams.was_reset(stream) => {
                return Err(Wrong::Connection(Reason::StreamClosed));
            }
            // RFC 9113 section 8.1: a second block is the last thing of a request
            Some(s) if !s.reset && !header.has(flag::END_STREAM) => {
                return Err(Wrong::Connection(Reason::Protocol));
            }
            _ => {}
        }
        let block = Block { stream, first, end: header.has(flag::END_STREAM), frames: 1 };
        if header.has(flag::END_HEADERS) {
            return self.decode(block, fragment, head);
        }
        self.fragments.clear();
        self.fragments.extend_from_slice(fragment);
        self.block = Some(block);
        Ok(Event::Nothing)
    }

    /// RFC 9113 section 6.10. A block without end is none.
    fn goes_on<'i>(&mut self, header: Header, payload: &[u8], head: &mut Head) -> Checked<'i> {
        let Some(mut block) = self.block.take() else { return Err(Wrong::Connection(Reason::Protocol)) };
        block.frames += 1;
        if payload.is_empty() {
            self.glitch();
        }
        if block.frames > PIECES
            || self.fragments.len() + payload.len() > BLOCK.min(2 * self.config.heads.size)
        {
            return Err(Wrong::Connection(Reason::EnhanceYourCalm));
        }
        self.fragments.extend_from_slice(payload);
        if !header.has(flag::END_HEADERS) {
            self.block = Some(block);
            return Ok(Event::Nothing);
        }
        let fragments = std::mem::take(&mut self.fragments);
        self.decode(block, &fragments, head)
    }

    /// A whole block: a request, or trailers.
    fn decode<'i>(&mut self, block: Block, bytes: &[u8], head: &mut Head) -> Checked<'i> {
        let id = block.stream;
        let broken = |_| Wrong::Connection(Reason::Compression);
        if !block.first {
            let mut head = Head::default();
            let mut sink = Trailers::new(&mut head, self.config.heads);
            self.decoder.decode(bytes, &mut sink).map_err(broken)?;
            let section = sink.finish();
            let whole = self.streams.get(id).is_none_or(|s| s.reset || s.body.is_none_or(|n| n == 0));
            return match section {
                Ok(section) if whole => {
                    let section = if section == b"\r\n" { Vec::new() } else { section };
                    Ok(self.ended(id, section))
                }
                Err(Fault::Broken) => Err(Wrong::Connection(Reason::Compression)),
                _ => Err(Wrong::Stream(id, Reason::Protocol)),
            };
        }
        let mut sink = Builder::new(head, self.config.heads);
        self.decoder.decode(bytes, &mut sink).map_err(broken)?;
        let request = sink.finish(block.end);
        if self.away.is_some_and(|last| id > last) {
            return Ok(Event::Nothing);
        }
        let connect = head.method() == b"CONNECT";
        self.begin(id, block.end, connect, request)
    }

    /// A stream begins (RFC 9113 section 5.1.1).
    fn begin<'i>(
        &mut self,
        id: u32,
        end: bool,
        connect: bool,
        request: Result<Request, Fault>,
    ) -> Checked<'i> {
        self.total = self.total.saturating_add(1);
        if self.streams.open() >= self.config.streams as usize {
            return Err(Wrong::Stream(id, Reason::RefusedStream));
        }
        let request = match request {
            Ok(request) => request,
            Err(Fault::BadRequest) => Request { status: 400, ..Request::default() },
            Err(Fault::Malformed) => return Err(Wrong::Stream(id, Reason::Protocol)),
            Err(Fault::Broken) => return Err(Wrong::Connection(Reason::Compression)),
        };
        self.earn(credit::REQUEST);
        let window = if self.settled { self.config.window } else { self.config.window.max(FIRST_WINDOW) };
        let body = match request.info.framing {
            crate::h1::Framing::Length(n) => Some(n),
            crate::h1::Framing::None if !request.info.upgrade && !connect => Some(0),
            _ => None,
        };
        let body = if request.status != 0 { None } else { body };
        self.streams.push(Stream {
            id,
            send: i64::from(self.peer_window),
            left: i64::from(window),
            window,
            extra: 0,
            debt: 0,
            body,
            ended: end,
            answered: false,
            done: false,
            reset: false,
            gone: false,
            queued: false,
            user: T::default(),
        });
        if !end && body.is_none_or(|n| n > u64::from(window)) {
            self.share(id);
        }
        self.count();
        Ok(Event::Request(id, request))
    }

    /// A stream with a body gets half of what nobody has of the shared window.
    fn share(&mut self, id: u32) {
        self.widen();
        let unit = self.config.unit.max(1);
        let extra = self.shared / 2 / unit * unit;
        let Some(s) = self.streams.get_mut(id).filter(|_| extra > 0) else { return };
        self.shared -= extra;
        (s.extra, s.window) = (extra, s.window + extra);
        s.left += i64::from(extra);
        self.number_out(kind::WINDOW_UPDATE, id, extra);
    }

    /// Streams that come after the end was announced, or above `total`.
    fn count(&mut self) {
        let total = self.config.total;
        if total > 0 && self.total >= total {
            let all = total.saturating_add(self.config.streams);
            self.announce(all.saturating_mul(2).saturating_sub(1).min(MAX_WINDOW));
        }
        if self.leaving.is_some_and(|then| self.total >= then.saturating_add(self.config.streams))
            && self.away.is_none()
        {
            self.go_away(Reason::NoError);
        }
    }

    /// Deprecated, and looked at no further (RFC 9113 section 5.3.2) than HAProxy does.
    fn priority<'i>(&mut self, stream: u32, payload: &[u8]) -> Checked<'i> {
        self.pay(credit::FRAME);
        match payload.first_chunk() {
            Some(on) => self.depends(stream, on).map(|()| Event::Nothing),
            None => Err(Wrong::Connection(Reason::FrameSize)),
        }
    }

    /// No stream depends on itself (RFC 7540 section 5.3.1).
    fn depends(&self, stream: u32, on: &[u8; 5]) -> Result<(), Wrong> {
        let [a, b, c, d, _] = *on;
        match u32::from_be_bytes([a, b, c, d]) & MAX_WINDOW {
            on if on == stream => Err(Wrong::Connection(Reason::Protocol)),
            _ => Ok(()),
        }
    }

    /// RFC 9113 section 6.4.
    fn rst_stream<'i>(&mut self, id: u32) -> Checked<'i> {
        if !self.is_closed(id) {
            return Err(Wrong::Connection(Reason::Protocol));
        }
        let Some(s) = self.streams.get_mut(id).filter(|s| !s.reset) else {
            self.pay(credit::FRAME);
            return Ok(Event::Nothing);
        };
        let early = !s.done;
        s.reset = true;
        self.shared += std::mem::take(&mut s.extra);
        let gone = s.gone;
        self.streams.settle(id);
        if early {
            self.glitches = self.glitches.saturating_add(1);
            self.pay(credit::RESET);
        }
        Ok(if gone { Event::Nothing } else { Event::Reset(id, false) })
    }

    /// RFC 9113 section 6.5.
    fn settings<'i>(&mut self, payload: &[u8]) -> Checked<'i> {
        self.greeted = true;
        self.pay(credit::FRAME);
        let mut wider = false;
        for [a, b, c, d, e, f] in payload.as_chunks().0 {
            let (id, value) = (u16::from_be_bytes([*a, *b]), u32::from_be_bytes([*c, *d, *e, *f]));
            match (id, value) {
                (setting::HEADER_TABLE_SIZE, n) => self.no_table |= n < 4096,
                (setting::ENABLE_PUSH, 2..) => return Err(Wrong::Connection(Reason::Protocol)),
                (setting::INITIAL_WINDOW_SIZE, n) if n > MAX_WINDOW => {
                    return Err(Wrong::Connection(Reason::FlowControl));
                }
                (setting::INITIAL_WINDOW_SIZE, n) => {
                    let change = i64::from(n) - i64::from(self.peer_window);
                    self.peer_window = n;
                    wider |= change > 0;
                    for s in self.streams.iter_mut() {
                        s.send += change;
                        if s.send > i64::from(MAX_WINDOW) {
                            return Err(Wrong::Connection(Reason::FlowControl));
                        }
                    }
                }
                (setting::MAX_FRAME_SIZE, n @ FIRST_FRAME..=0xff_ffff) => self.peer_frame = n,
                (setting::MAX_FRAME_SIZE, _) => return Err(Wrong::Connection(Reason::Protocol)),
                _ => {}
            }
        }
        self.frame_out(kind::SETTINGS, flag::ACK, 0, &[]);
        Ok(if wider { Event::Window(0) } else { Event::Nothing })
    }

    /// RFC 9113 section 6.9.
    fn window_update<'i>(&mut self, id: u32, payload: &[u8]) -> Checked<'i> {
        let bytes = payload.first_chunk().copied().unwrap_or_default();
        let n = i64::from(u32::from_be_bytes(bytes) & MAX_WINDOW);
        self.pay(credit::FRAME);
        if id == 0 {
            return match self.send + n {
                _ if n == 0 => Err(Wrong::Connection(Reason::Protocol)),
                sum if sum > i64::from(MAX_WINDOW) => Err(Wrong::Connection(Reason::FlowControl)),
                sum => {
                    let starved = std::mem::replace(&mut self.send, sum) <= 0;
                    Ok(if starved { Event::Window(0) } else { Event::Nothing })
                }
            };
        }
        if !self.is_closed(id) {
            return Err(Wrong::Connection(Reason::Protocol));
        }
        let Some(s) = self.streams.get_mut(id).filter(|s| s.is_open()) else { return Ok(Event::Nothing) };
        match s.send + n {
            _ if n == 0 => Err(Wrong::Stream(id, Reason::Protocol)),
            sum if sum > i64::from(MAX_WINDOW) => Err(Wrong::Stream(id, Reason::FlowControl)),
            sum => {
                let starved = std::mem::replace(&mut s.send, sum) <= 0;
                Ok(if starved { Event::Window(id) } else { Event::Nothing })
            }
        }
    }

    /// Resets a stream, if it is not over.
    fn reset(&mut self, id: u32, reason: Reason) {
        match self.streams.get_mut(id) {
            Some(s) if s.reset => return,
            Some(s) => {
                s.reset = true;
                self.shared += std::mem::take(&mut s.extra);
            }
            None => {}
        }
        self.number_out(kind::RST_STREAM, id, reason as u32);
        self.streams.remember(id);
        self.streams.settle(id);
    }

    /// A stream's user goes: what is not over is reset. `reason`: why it does not send what is left.
    pub fn release(&mut self, id: u32, reason: Reason) {
        let Some(s) = self.streams.get_mut(id) else { return };
        s.gone = true;
        let reset = match (s.done, s.ended, s.body) {
            _ if s.reset => None,
            (false, ..) => Some(reason),
            // the rest of a request that is answered is not wanted, but its mere end is waited for
            (true, false, left) if left != Some(0) => Some(Reason::NoError),
            _ => None,
        };
        match reset {
            Some(reason) => self.reset(id, reason),
            None => self.streams.settle(id),
        }
    }

    /// Neither a stream nor anything else of its connection is wanted any more.
    pub fn reject(&mut self, id: u32) {
        self.reset(id, Reason::EnhanceYourCalm);
        self.close(Reason::EnhanceYourCalm);
    }

    /// Has a stream been reset, or is it not there?
    #[must_use]
    pub fn is_reset(&self, id: u32) -> bool {
        self.streams.get(id).is_none_or(|s| s.reset)
    }
    /// Has the peer said all of a stream?
    #[must_use]
    pub fn has_ended(&self, id: u32) -> bool {
        self.streams.get(id).is_none_or(|s| s.ended)
    }
    /// Has a stream been ended here?
    #[must_use]
    pub fn is_done(&self, id: u32) -> bool {
        self.streams.get(id).is_none_or(|s| s.done)
    }

    /// Sends a response's head; an interim one (1xx but 101) may be followed by others.
    pub fn send_head(&mut self, id: u32, head: &Head) {
        let Some(s) = self.streams.get_mut(id).filter(|s| !s.reset && !s.done) else { return };
        s.answered |= head.status >= 200 || head.status == 101;
        self.block_out(id, 0, |block| response::write(head, block));
    }

    /// Ends a stream, with a trailer section as HTTP/1 has it or without one.
    pub fn send_end(&mut self, id: u32, trailers: Option<&[u8]>) {
        let Some(s) = self.streams.get_mut(id).filter(|s| !s.reset && !s.done) else { return };
        s.done = true;
        match trailers {
            Some(section) => {
                self.block_out(id, flag::END_STREAM, |block| response::write_trailers(section, block))
            }
            None if self.tail.0 == id && self.tail.1 >= self.written => {
                // the frame that waits to be written is its last one
                if let Some(flags) = self.out.get_mut(self.tail.1 + 4) {
                    *flags |= flag::END_STREAM;
                }
            }
            None => frame::write(0, kind::DATA, flag::END_STREAM, id, &mut self.out),
        }
        self.tail = (0, 0);
        self.earn(credit::ANSWER);
        self.streams.settle(id);
    }

    /// A block, in as many frames as the peer's limit makes of it.
    fn block_out(&mut self, id: u32, flags: u8, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.out.len();
        frame::write(0, kind::HEADERS, flags | flag::END_HEADERS, id, &mut self.out);
        if std::mem::take(&mut self.no_table) {
            hpack::write_no_table(&mut self.out);
        }
        write(&mut self.out);
        let most = self.peer_frame as usize;
        let len = self.out.len() - start - HEADER;
        self.tail = (id, start);
        if len <= most {
            return self.set_length(start, len);
        }
        self.set_length(start, most);
        if let Some(f) = self.out.get_mut(start + 4) {
            *f = flags;
        }
        let rest = self.out.split_off(start + HEADER + most);
        let mut pieces = rest.chunks(most).peekable();
        while let Some(piece) = pieces.next() {
            let flags = if pieces.peek().is_none() { flag::END_HEADERS } else { 0 };
            frame::write(piece.len(), kind::CONTINUATION, flags, id, &mut self.out);
            self.out.extend_from_slice(piece);
        }
    }

    fn set_length(&mut self, start: usize, len: usize) {
        let [_, a, b, c] = (len as u32).to_be_bytes();
        if let Some(at) = self.out.get_mut(start..start + 3) {
            at.copy_from_slice(&[a, b, c]);
        }
    }

    /// Sends payload: how much of it was taken. 0 where windows or the room for what waits are exhausted: the stream goes
    /// on after [`Event::Window`], or when [`Connection::next_waiting`] names it.
    pub fn send_data(&mut self, id: u32, slices: &[IoSlice<'_>]) -> usize {
        let mut total = 0;
        for slice in slices {
            let mut rest: &[u8] = slice;
            while !rest.is_empty() {
                let n = self.piece(id, rest.len());
                let Some((now, later)) = rest.split_at_checked(n).filter(|_| n > 0) else { return total };
                self.payload(id, now);
                rest = later;
                total += n;
            }
        }
        total
    }

    /// How much a stream may send at once of so many bytes.
    fn piece(&mut self, id: u32, len: usize) -> usize {
        let room = ROOM.saturating_sub(self.output().len());
        let Some(s) = self.streams.get(id).filter(|s| !s.reset && !s.done) else { return 0 };
        if s.send <= 0 {
            return 0;
        }
        let most = s.send.min(self.send);
        if room == 0 || most <= 0 {
            self.streams.enqueue(id);
            return 0;
        }
        len.min(self.peer_frame as usize).min(usize::try_from(most).unwrap_or(0)).min(room.max(1024))
    }

    /// Payload goes into a frame, or behind the one before if that is the same stream's and waits still.
    fn payload(&mut self, id: u32, bytes: &[u8]) {
        let (of, start) = self.tail;
        let open = of == id
            && start >= self.written
            && self.out.get(start + 3) == Some(&kind::DATA)
            && self.out.len() - start - HEADER + bytes.len() <= self.peer_frame as usize;
        if open {
            self.out.extend_from_slice(bytes);
            self.set_length(start, self.out.len() - start - HEADER);
        } else {
            self.tail = (id, self.out.len());
            frame::write(bytes.len(), kind::DATA, 0, id, &mut self.out);
            self.out.extend_from_slice(bytes);
            self.earn(credit::DATA);
        }
        self.send -= bytes.len() as i64;
        if let Some(s) = self.streams.get_mut(id) {
            s.send -= bytes.len() as i64;
        }
    }
}
