//! The state machine of a connection (RFC 9113 sections 3 to 6), as its server has it or its client.

mod blocks;
mod credit;
mod exchanges;
mod requests;
mod settings;
mod windows;

use super::answer::Answer;
use super::frame::{
    self, FIRST_FRAME, FIRST_WINDOW, HEADER, Header, MAX_WINDOW, PREFACE, Reason, flag, kind,
};
use super::hpack::Decoder;
use super::request::{Limits, Request};
use super::streams::Streams;
use super::tally::Tally;
use portcullis_message::Head;

/// What a connection is told by its configuration.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Window of each stream (`tune.h2.fe.initial-window-size`, `tune.h2.be.initial-window-size`).
    pub window: u32,
    /// What streams with bodies share beyond that (`tune.h2.fe.rxbuf`, `tune.h2.be.rxbuf`).
    pub shared: u32,
    /// In pieces of this size (`tune.bufsize`).
    pub unit: u32,
    /// Streams at once (`tune.h2.fe.max-concurrent-streams`, `tune.h2.be.max-concurrent-streams`).
    pub streams: u32,
    /// So many of them are announced, where there is too much to do (`rq-load`); a client may have begun more by then.
    pub offered: Option<u32>,
    /// Streams in all, 0: no limit (`tune.h2.fe.max-total-streams`). Clients count for themselves.
    pub total: u32,
    /// Largest payload (`tune.h2.max-frame-size`).
    pub frame: u32,
    /// Size of the dynamic table (`tune.h2.header-table-size`).
    pub table: u32,
    /// Extended CONNECT is offered to clients (`h2-workaround-bogus-websocket-clients`).
    pub connect: bool,
    /// Limits of heads.
    pub heads: Limits,
}

/// Streams at once when there is no limit: what a worker can bear of one connection.
const MANY: u32 = 10_000;

/// What is gathered of frames is kept for the next one up to this size.
const SMALL: usize = 4096;

/// Bytes of a header block before it is decoded: more is not gathered.
const BLOCK: usize = 64 * 1024;
/// Frames that a header block comes in.
const PIECES: u32 = 64;
/// What may wait to be written before streams wait.
const ROOM: usize = 64 * 1024;
/// What may wait before no more is read, so that a peer that reads nothing cannot have answers made without end.
const FULL: usize = 256 * 1024;

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
    /// A response's head has come on a stream, which was written. An interim one (1xx) is followed by others.
    Response(u32, Answer),
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
    /// The peer will begin no more streams, or answer no more; streams of ours that it has not looked at were refused.
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

/// What comes next, for who watches ([`Connection::next`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A frame.
    Frame(Header),
    /// The preface.
    Preface,
    /// More of what was begun, or not enough to say.
    Nothing,
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
    /// We are its client: streams begin here.
    client: bool,
    /// We are a client until settings were exchanged, and a server then (reverse HTTP).
    turns: bool,
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
    /// How many streams the peer bears at once.
    peer_streams: u32,
    /// The peer understands extended CONNECT.
    peer_connects: bool,
    /// Our settings are known to the peer.
    settled: bool,
    /// The dynamic table is to be given up in the next block.
    no_table: bool,
    /// GOAWAY was sent: streams above this are ignored.
    away: Option<u32>,
    /// How many streams there were when the end was announced.
    leaving: Option<u32>,
    last_call: LastCall,
    /// Answered streams whose request has not ended; the first `lingered` of them were looked at before.
    lingering: Vec<u32>,
    lingered: usize,
    credit: i32,
    credited: u64,
    glitches: u32,
    tally: Tally,
}

/// A request that was answered before its end and of which no more is left has a while to come to it.
const LITTLE: u64 = 16 * 1024;

/// Whether the peer was asked for an answer behind the last of its streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LastCall {
    None,
    Asked,
    Answered,
}

/// What the ping of a last call holds.
const LAST_CALL: &[u8; 8] = b"lastcall";

impl<T: Default> Connection<T> {
    /// A server's connection: its peer speaks first.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let mut this = Self::silent(config, false);
        this.greet();
        this
    }

    /// A client's connection. `first`: what goes out in front of it (a PROXY header).
    #[must_use]
    pub fn client(config: Config, first: &[u8]) -> Self {
        let mut this = Self::silent(config, true);
        this.at = At::Frame;
        this.out.extend_from_slice(first);
        this.out.extend_from_slice(PREFACE);
        this.greet();
        this
    }

    /// The connection of a client that is a server as soon as settings were exchanged (manual: bind "rhttp@"). `first`: what
    /// goes out in front of it.
    #[must_use]
    pub fn reversed(config: Config, first: &[u8]) -> Self {
        let mut this = Self::silent(config, true);
        (this.at, this.turns) = (At::Frame, true);
        this.out.extend_from_slice(first);
        this.out.extend_from_slice(PREFACE);
        this.greet();
        this
    }

    /// Do both sides know the other's settings, and nothing has happened beyond that?
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.greeted && self.settled && self.total == 0 && !self.is_over()
    }

    /// A server's connection on which nothing has happened yet is a client's from now on (manual: "attach-srv"). What was
    /// announced stays, the rest is as `config` says.
    pub fn reverse(&mut self, config: Config) {
        let Config { window, frame, table, connect, .. } = self.config;
        let streams = if config.streams == 0 { MANY } else { config.streams };
        self.shared = config.shared;
        self.config = Config { window, frame, table, connect, streams, ..config };
        self.client = true;
    }

    /// Nothing was said yet.
    fn silent(config: Config, client: bool) -> Self {
        let streams = if config.streams == 0 { MANY } else { config.streams };
        let config = Config { streams, ..config };
        Self {
            config,
            client,
            turns: false,
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
            peer_streams: u32::MAX,
            peer_connects: false,
            settled: false,
            no_table: false,
            away: None,
            leaving: None,
            last_call: LastCall::None,
            lingering: Vec::new(),
            lingered: 0,
            credit: credit::MOST,
            credited: 0,
            glitches: 0,
            tally: Tally::default(),
        }
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
                if self.is_between_frames() {
                    self.gathered = Vec::new();
                }
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

    /// What is to be counted since this was last asked.
    #[must_use]
    pub fn take_tally(&mut self) -> Tally {
        let gone = std::mem::take(&mut self.streams.settled);
        Tally { gone, ..std::mem::take(&mut self.tally) }
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
    /// Streams that there may be at once.
    #[must_use]
    pub fn streams_limit(&self) -> u32 {
        if self.client { self.config.streams.min(self.peer_streams) } else { self.config.streams }
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

    /// Asks for an answer behind all that the peer began before it knew that the end was announced (RFC 9113 section 6.8).
    /// Once is enough.
    pub fn last_call(&mut self) {
        if self.last_call == LastCall::None {
            self.last_call = LastCall::Asked;
            self.frame_out(kind::PING, 0, 0, LAST_CALL);
        }
    }
    /// Has the peer answered that?
    #[must_use]
    pub fn is_last_call_answered(&self) -> bool {
        self.last_call == LastCall::Answered
    }

    /// The end: nothing is read any more, and the peer is told which stream was the last.
    pub fn close(&mut self, reason: Reason) {
        if !self.is_over() {
            self.at = At::Over;
            self.go_away(reason);
        }
    }

    fn go_away(&mut self, reason: Reason) {
        // a client's peer has begun none
        let last = if self.client { 0 } else { self.last };
        self.away = Some(last);
        frame::goaway(last, reason, &mut self.out);
        self.tail = (0, 0);
    }

    /// What these bytes are the beginning of; nothing changes.
    #[must_use]
    pub fn next(&self, input: &[u8]) -> Next {
        match self.at {
            At::Frame => Header::read(input).map_or(Next::Nothing, Next::Frame),
            At::Preface(0) => Next::Preface,
            _ => Next::Nothing,
        }
    }

    /// Takes the peer's bytes, one event at a time: how many of them are done with, and what came of them. `now`:
    /// milliseconds of any clock. `head` is what a request is written to.
    pub fn receive<'i>(&mut self, input: &'i [u8], now: u64, head: &mut Head) -> (usize, Event<'i>) {
        let (mut used, event) = match self.at {
            At::Over => return (input.len(), Event::Nothing),
            _ if self.is_full() => return (0, Event::Full),
            At::Preface(seen) => self.preface(input, seen),
            At::Data { .. } => self.data_goes_on(input),
            At::Gather(header) => self.gather(input, header, head),
            At::Frame => self.frame(input, now, head),
        };
        let event = match event {
            Ok(event) => event,
            Err(Wrong::Connection(reason)) => {
                used = input.len();
                self.spoiled(reason)
            }
            Err(Wrong::Stream(id, reason)) => {
                self.glitches += 1;
                self.tally.stream_errors += u32::from(reason != Reason::RefusedStream);
                let live = self.streams.get(id).is_some_and(|s| !s.reset);
                self.tally.resets_sent += u32::from(self.reset(id, reason));
                self.pay(credit::RESET);
                match live {
                    true => Event::Reset(id, true),
                    // what comes for a stream that was there is no request
                    false if self.client || reason == Reason::StreamClosed => Event::Nothing,
                    false => Event::Refused(id),
                }
            }
        };
        if self.credit < 0 && !self.is_over() {
            return (input.len(), self.spoiled(Reason::EnhanceYourCalm));
        }
        (used, event)
    }

    /// The connection ends for what its peer has done so far (`tune.h2.fe.glitches-threshold`).
    pub fn punish(&mut self) {
        if !self.is_over() {
            self.spoiled(Reason::EnhanceYourCalm);
        }
    }

    /// The peer has spoiled the connection.
    fn spoiled<'i>(&mut self, reason: Reason) -> Event<'i> {
        self.glitches = self.glitches.saturating_add(1);
        self.tally.connection_errors += 1;
        self.tally.goaways_sent += 1;
        self.close(reason);
        Event::Fatal(Fatal { reason, silent: false })
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
            self.tally.connection_errors += 1;
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
        if header.kind == kind::HEADERS
            && !self.client
            && self.streams.len() >= 2 * self.config.streams as usize + 16
        {
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
        if payload.capacity() <= SMALL {
            self.gathered = payload;
        }
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
            (kind::RST_STREAM, 4) => self.rst_stream(stream, payload),
            (kind::SETTINGS | kind::PING | kind::GOAWAY, _) if stream != 0 => connection(Reason::Protocol),
            (kind::SETTINGS, 0) if header.has(flag::ACK) => {
                self.settle();
                self.tally.settings += 1;
                self.pay(credit::FRAME);
                Ok(Event::Nothing)
            }
            (kind::SETTINGS, n) if n % 6 == 0 && !header.has(flag::ACK) => self.settings(payload),
            (kind::PING, 8) => {
                self.pay(credit::FRAME);
                if !header.has(flag::ACK) {
                    self.frame_out(kind::PING, flag::ACK, 0, payload);
                } else if payload == LAST_CALL && self.last_call == LastCall::Asked {
                    self.last_call = LastCall::Answered;
                }
                Ok(Event::Nothing)
            }
            (kind::GOAWAY, 8..) => Ok(self.peer_leaves(payload)),
            (kind::WINDOW_UPDATE, 4) => self.window_update(stream, payload),
            (kind::PRIORITY | kind::RST_STREAM | kind::SETTINGS | kind::PING | kind::GOAWAY, _)
            | (kind::WINDOW_UPDATE, _) => connection(Reason::FrameSize),
            (kind::PUSH_PROMISE, _) => connection(Reason::Protocol),
            (kind::PRIORITY_UPDATE, _) if !self.client => self.priority_update(stream, payload),
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

    /// RFC 9113 section 6.4.
    fn rst_stream<'i>(&mut self, id: u32, payload: &[u8]) -> Checked<'i> {
        if !self.is_closed(id) {
            return Err(Wrong::Connection(Reason::Protocol));
        }
        self.tally.resets += 1;
        let Some(s) = self.streams.get_mut(id).filter(|s| !s.reset) else {
            self.pay(credit::FRAME);
            return Ok(Event::Nothing);
        };
        let early = !s.done;
        (s.reset, s.left_by_peer) = (true, true);
        s.rst_code = payload.first_chunk().copied().map(u32::from_be_bytes);
        s.refused = s.rst_code == Some(Reason::RefusedStream as u32);
        self.shared += std::mem::take(&mut s.extra);
        let gone = s.gone;
        self.streams.settle(id);
        if early && !self.client {
            self.glitches = self.glitches.saturating_add(1);
            self.pay(credit::RESET);
        }
        Ok(if gone { Event::Nothing } else { Event::Reset(id, false) })
    }

    /// Resets a stream, once: was it done now?
    fn reset(&mut self, id: u32, reason: Reason) -> bool {
        if self.streams.was_reset(id) {
            return false;
        }
        if let Some(s) = self.streams.get_mut(id) {
            s.reset = true;
            self.shared += std::mem::take(&mut s.extra);
        }
        self.number_out(kind::RST_STREAM, id, reason as u32);
        self.streams.remember(id);
        self.streams.settle(id);
        true
    }

    /// A stream's user goes: what is not over is reset. `reason`: why it does not send what is left.
    pub fn release(&mut self, id: u32, reason: Reason) {
        let Some(s) = self.streams.get_mut(id) else { return };
        s.gone = true;
        let reset = match (s.done, s.ended, s.body) {
            _ if s.reset => None,
            (false, ..) => Some(reason),
            (true, false, _) if self.client => Some(reason),
            // the rest of a request that is answered is not wanted, but its mere end is waited for
            (true, false, Some(0)) => None,
            (true, false, Some(left)) if left <= LITTLE => {
                self.lingering.push(id);
                None
            }
            (true, false, _) => Some(Reason::NoError),
            _ => None,
        };
        match reset {
            Some(reason) => {
                self.reset(id, reason);
            }
            None => self.streams.settle(id),
        }
    }

    /// Are there streams that were answered before their request had ended?
    #[must_use]
    pub fn lingers(&self) -> bool {
        !self.lingering.is_empty()
    }
    /// Resets those that were here at the last call, too (RFC 9113 section 8.1). There are clients (curl 7.88) that take such
    /// a reset for a failure when it crosses the rest of their request.
    pub fn end_lingering(&mut self) {
        let before: Vec<u32> = self.lingering.drain(..self.lingered).collect();
        let unended = |id: &u32| self.streams.get(*id).is_some_and(|s| s.gone && !s.ended && !s.reset);
        self.lingering.retain(unended);
        self.lingered = self.lingering.len();
        let late: Vec<u32> = before.into_iter().filter(unended).collect();
        for id in late {
            self.reset(id, Reason::NoError);
        }
        if self.lingering.is_empty() {
            self.lingering = Vec::new();
        }
    }

    /// Neither a stream nor anything else of its connection is wanted any more.
    pub fn reject(&mut self, id: u32) {
        self.reset(id, Reason::EnhanceYourCalm);
        self.close(Reason::EnhanceYourCalm);
    }

    /// Asks whether the peer is still there.
    pub fn ping(&mut self) {
        self.frame_out(kind::PING, 0, 0, b"portculs");
    }

    /// Has a stream been reset, or is it not there?
    #[must_use]
    pub fn is_reset(&self, id: u32) -> bool {
        self.streams.get(id).is_none_or(|s| s.reset)
    }
    /// Has a stream been reset before its peer had said all? A server that has answered may not want the rest of a request
    /// (RFC 9113 section 8.1).
    #[must_use]
    pub fn is_cut(&self, id: u32) -> bool {
        self.streams.get(id).is_none_or(|s| s.reset && !(self.client && s.ended))
    }
    /// The reason that its peer has reset a stream for (RFC 9113 section 7).
    #[must_use]
    pub fn rst_code(&self, id: u32) -> Option<u32> {
        self.streams.get(id)?.rst_code
    }
    /// Was it not even looked at, so that it can be sent again (RFC 9113 section 8.7)?
    #[must_use]
    pub fn is_refused(&self, id: u32) -> bool {
        self.streams.get(id).is_some_and(|s| s.refused)
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
}
