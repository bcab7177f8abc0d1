//! Header blocks both ways (RFC 9113 sections 4.3, 6.2, 6.3 and 6.10).

use super::{BLOCK, Block, Checked, Connection, Event, PIECES, Wrong, credit};
use crate::h2::frame::{self, HEADER, Header, MAX_WINDOW, Reason, flag, kind};
use crate::h2::hpack;
use crate::h2::priority;
use crate::h2::request::{Builder, Fault, Trailers};
use crate::h2::response;
use portcullis_message::Head;

impl<T: Default> Connection<T> {
    /// RFC 9113 section 6.2.
    pub(super) fn headers<'i>(&mut self, header: Header, payload: &[u8], head: &mut Head) -> Checked<'i> {
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
        let known = self.is_closed(stream);
        if self.client && !known {
            // only a client begins streams, and nothing is pushed to it
            return Err(Wrong::Connection(Reason::Protocol));
        }
        if !self.client && self.away.is_none_or(|last| stream <= last) {
            self.last = self.last.max(stream);
        }
        if header.has(flag::PRIORITY) {
            let (on, rest) = fragment.split_first_chunk::<5>().ok_or(Wrong::Connection(Reason::FrameSize))?;
            self.depends(stream, on)?;
            fragment = rest;
        }
        let first = match self.streams.get(stream) {
            Some(s) if s.ended && !s.reset && !self.client => {
                return Err(Wrong::Connection(Reason::StreamClosed));
            }
            // what was sent before its server knew that nobody wants it
            None if self.client => false,
            None if known && !self.streams.was_reset(stream) => {
                return Err(Wrong::Connection(Reason::StreamClosed));
            }
            Some(s) if self.client => !s.answered,
            // RFC 9113 section 8.1: a second block is the last thing of a request
            Some(s) if !s.reset && !header.has(flag::END_STREAM) => {
                return Err(Wrong::Connection(Reason::Protocol));
            }
            _ => !known,
        };
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
    pub(super) fn goes_on<'i>(&mut self, header: Header, payload: &[u8], head: &mut Head) -> Checked<'i> {
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

    /// A whole block: a message's head, or trailers.
    pub(super) fn decode<'i>(&mut self, block: Block, bytes: &[u8], head: &mut Head) -> Checked<'i> {
        let id = block.stream;
        self.tally.headers += 1;
        let broken = |_| Wrong::Connection(Reason::Compression);
        if !block.first {
            let mut head = Head::default();
            let mut sink = Trailers::new(&mut head, self.config.heads);
            self.decoder.decode(bytes, &mut sink).map_err(broken)?;
            let section = sink.finish();
            let s = self.streams.get(id);
            let whole = s.is_none_or(|s| s.reset || (block.end && s.body.is_none_or(|n| n == 0)));
            return match section {
                Ok(section) if whole => {
                    let section = if section == b"\r\n" { Vec::new() } else { section };
                    Ok(self.ended(id, section))
                }
                Err(Fault::Broken) => Err(Wrong::Connection(Reason::Compression)),
                _ => {
                    self.pay(bytes.len() as i32 / credit::REFUSED_BLOCK);
                    Err(Wrong::Stream(id, Reason::Protocol))
                }
            };
        }
        if self.client {
            return self.answer(&block, bytes, head);
        }
        let mut sink = Builder::new(head, self.config.heads);
        self.decoder.decode(bytes, &mut sink).map_err(broken)?;
        let request = sink.finish(block.end);
        if request.is_err() {
            self.pay(bytes.len() as i32 / credit::REFUSED_BLOCK);
        }
        if self.away.is_some_and(|last| id > last) {
            return Ok(Event::Nothing);
        }
        let connect = head.method() == b"CONNECT";
        self.begin(id, block.end, connect, request)
    }

    /// Deprecated, and looked at no further (RFC 9113 section 5.3.2) than HAProxy does.
    pub(super) fn priority<'i>(&mut self, stream: u32, payload: &[u8]) -> Checked<'i> {
        self.pay(credit::FRAME);
        match payload.first_chunk() {
            Some(on) => self.depends(stream, on).map(|()| Event::Nothing),
            None => Err(Wrong::Connection(Reason::FrameSize)),
        }
    }

    /// RFC 9218 section 7.1; what is said of streams that are not there yet is not kept.
    pub(super) fn priority_update<'i>(&mut self, stream: u32, payload: &[u8]) -> Checked<'i> {
        self.pay(credit::FRAME);
        let Some((id, value)) = payload.split_first_chunk::<4>() else {
            return Err(Wrong::Connection(Reason::FrameSize));
        };
        let id = u32::from_be_bytes(*id) & MAX_WINDOW;
        if stream != 0 || id == 0 {
            return Err(Wrong::Connection(Reason::Protocol));
        }
        if let Some(s) = self.streams.get_mut(id) {
            s.urgency = priority::urgency(value).unwrap_or(priority::USUAL);
        }
        Ok(Event::Nothing)
    }

    /// No stream depends on itself (RFC 7540 section 5.3.1).
    pub(super) fn depends(&self, stream: u32, on: &[u8; 5]) -> Result<(), Wrong> {
        let [a, b, c, d, _] = *on;
        match u32::from_be_bytes([a, b, c, d]) & MAX_WINDOW {
            on if on == stream => Err(Wrong::Connection(Reason::Protocol)),
            _ => Ok(()),
        }
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
    pub(super) fn block_out(&mut self, id: u32, flags: u8, write: impl FnOnce(&mut Vec<u8>)) {
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

    pub(super) fn set_length(&mut self, start: usize, len: usize) {
        let [_, a, b, c] = (len as u32).to_be_bytes();
        if let Some(at) = self.out.get_mut(start..start + 3) {
            at.copy_from_slice(&[a, b, c]);
        }
    }
}
