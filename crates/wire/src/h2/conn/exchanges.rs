//! Streams as a client has them: requests that begin here, and what their server answers.

use super::{Block, Checked, Connection, Event, ROOM, Wrong, credit};
use crate::h1::Framing;
use crate::h2::answer::Builder;
use crate::h2::frame::{MAX_WINDOW, Reason};
use crate::h2::request::Fault;
use crate::h2::sent::{self, Sent};
use crate::h2::streams::Stream;
use portcullis_message::Head;

impl<T: Default> Connection<T> {
    /// How many streams more may begin: as many as both sides bear, none after the end was announced, or while much waits
    /// to be written.
    #[must_use]
    pub fn room(&self) -> usize {
        if self.is_over() || self.is_leaving() || self.total >= MAX_WINDOW / 2 || self.output().len() >= ROOM
        {
            return 0;
        }
        (self.streams_limit() as usize).saturating_sub(self.streams.len())
    }

    /// Does the server understand extended CONNECT (RFC 8441 section 3)? None: it has not said anything yet.
    #[must_use]
    pub fn connects(&self) -> Option<bool> {
        self.greeted.then_some(self.peer_connects)
    }

    /// Begins a stream with this request, as long as there is [`Connection::room`].
    pub fn open_stream(&mut self, head: &Head, sent: &Sent<'_>) -> Option<u32> {
        if self.room() == 0 {
            return None;
        }
        let id = 2 * self.total + 1;
        (self.total, self.last) = (self.total + 1, id);
        self.tally.begun += 1;
        let mut stream = Stream::new(id, self.peer_window, self.first_window());
        stream.bodyless = head.method() == b"HEAD";
        stream.connects = sent.upgrade || head.method() == b"CONNECT";
        self.streams.push(stream);
        self.block_out(id, 0, |block| sent::write(head, sent, block));
        Some(id)
    }

    /// A block of a stream that is not answered yet.
    pub(super) fn answer<'i>(&mut self, block: &Block, bytes: &[u8], head: &mut Head) -> Checked<'i> {
        let id = block.stream;
        let mut sink = Builder::new(head, self.config.heads);
        self.decoder.decode(bytes, &mut sink).map_err(|_| Wrong::Connection(Reason::Compression))?;
        let Some(s) = self.streams.get(id).filter(|s| !s.reset) else {
            self.pay(credit::FRAME);
            return Ok(Event::Nothing);
        };
        let (bodyless, connects, gone) = (s.bodyless, s.connects, s.gone);
        let answer = match sink.finish(block.end, bodyless, connects) {
            Ok(answer) => answer,
            Err(Fault::Broken) => return Err(Wrong::Connection(Reason::Compression)),
            Err(_) => {
                self.pay(bytes.len() as i32 / credit::REFUSED_BLOCK);
                return Err(Wrong::Stream(id, Reason::Protocol));
            }
        };
        if answer.interim {
            self.pay(credit::FRAME);
            return Ok(if gone { Event::Nothing } else { Event::Response(id, answer) });
        }
        self.earn(credit::ANSWER);
        let body = match answer.info.framing {
            _ if block.end => Some(0),
            Framing::None => Some(0),
            Framing::Length(n) => Some(n),
            _ => None,
        };
        if let Some(s) = self.streams.get_mut(id) {
            (s.answered, s.body) = (true, body);
        }
        if block.end {
            self.ended(id, Vec::new());
        } else if body.is_some() {
            self.expect(id, body);
        }
        Ok(if gone { Event::Nothing } else { Event::Response(id, answer) })
    }

    /// GOAWAY (RFC 9113 section 6.8): streams above the last one that the server has looked at can be sent again.
    pub(super) fn peer_leaves<'i>(&mut self, payload: &[u8]) -> Event<'i> {
        self.pay(credit::FRAME);
        self.tally.goaways += 1;
        let last = payload.first_chunk().map_or(0, |n| u32::from_be_bytes(*n) & MAX_WINDOW);
        if !self.client {
            return Event::Leaving;
        }
        self.leaving.get_or_insert(self.total);
        let mut freed = 0;
        for s in self.streams.iter_mut().filter(|s| s.id > last && s.is_open()) {
            (s.reset, s.refused) = (true, true);
            freed += std::mem::take(&mut s.extra);
        }
        self.shared += freed;
        Event::Leaving
    }

    /// Was a response of this stream's server seen to be final?
    #[must_use]
    pub fn is_answered(&self, id: u32) -> bool {
        self.streams.get(id).is_none_or(|s| s.answered)
    }
}
