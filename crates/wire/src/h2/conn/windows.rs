//! Payload both ways, and the windows that limit it (RFC 9113 sections 5.2, 6.1 and 6.9).

use super::{At, Checked, Connection, Event, FULL, ROOM, Wrong, credit};
use crate::h2::frame::{self, HEADER, Header, MAX_WINDOW, Reason, flag, kind};
use std::io::IoSlice;

impl<T: Default> Connection<T> {
    /// RFC 9113 section 6.1. Payload goes to its user as it comes.
    pub(super) fn data_begins<'i>(&mut self, input: &'i [u8], header: Header) -> (usize, Checked<'i>) {
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
        self.tally.data += 1;
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
        // what is right; true: nobody knows how large it will be
        let limits = match self.streams.get_mut(id) {
            // RFC 9113 section 5.1: who has reset a stream sends nothing more on it
            Some(s) if s.left_by_peer => {
                s.left_by_peer = false;
                Err(Reason::StreamClosed)
            }
            Some(s) if s.reset => Ok(false),
            Some(s) if s.ended => Err(Reason::StreamClosed),
            Some(s) if self.client && !s.answered => Err(Reason::Protocol),
            Some(s) if s.left < i64::from(length) => Err(Reason::FlowControl),
            Some(s) if s.body.is_some_and(|n| n < u64::from(payload) || (end && n != u64::from(payload))) => {
                Err(Reason::Protocol)
            }
            Some(s) => {
                s.left -= i64::from(length);
                s.body = s.body.map(|n| n - u64::from(payload));
                Ok(s.body.is_none() && !end && s.extra == 0)
            }
            None if was_reset || self.client => Ok(false),
            None => Err(Reason::StreamClosed),
        };
        match limits {
            Err(reason) => (used, Err(Wrong::Stream(id, reason))),
            Ok(large) => {
                if large {
                    self.share(id);
                }
                if self.is_reset(id) {
                    self.pay(credit::FRAME);
                } else if payload > 0 {
                    self.earn(credit::TAKEN);
                }
                self.consumed(id, padding as usize);
                let event = if end && payload == 0 { self.ended(id, Vec::new()) } else { Event::Nothing };
                (used, Ok(event))
            }
        }
    }

    pub(super) fn data_goes_on<'i>(&mut self, input: &'i [u8]) -> (usize, Checked<'i>) {
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

    /// From the first payload on, the connection's own window is as wide as it can be: those of the streams limit what has
    /// to be kept.
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

    /// A body begins, whose length may be known.
    pub(super) fn expect(&mut self, id: u32, body: Option<u64>) {
        let room = self.streams.get(id).and_then(|s| u64::try_from(s.left).ok()).unwrap_or(0);
        if body.is_none_or(|n| n > room) {
            self.share(id);
        }
    }

    /// A stream with a large body gets half of what nobody has of the shared window: a request's whose length is not said at
    /// once, a response's when something of it has come.
    fn share(&mut self, id: u32) {
        let unit = self.config.unit.max(1);
        let extra = self.shared / 2 / unit * unit;
        let Some(s) = self.streams.get_mut(id).filter(|_| extra > 0) else { return };
        self.shared -= extra;
        (s.extra, s.window) = (extra, s.window + extra);
        s.left += i64::from(extra);
        self.number_out(kind::WINDOW_UPDATE, id, extra);
    }

    /// RFC 9113 section 6.9.
    pub(super) fn window_update<'i>(&mut self, id: u32, payload: &[u8]) -> Checked<'i> {
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

    /// Does so much wait to be written that nothing is received ([`Event::Full`])?
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.output().len() >= FULL
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
    pub(super) fn piece(&mut self, id: u32, len: usize) -> usize {
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
    pub(super) fn payload(&mut self, id: u32, bytes: &[u8]) {
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
        }
        // its peer may say for each of them that it was taken
        self.earn(credit::DATA);
        self.send -= bytes.len() as i64;
        if let Some(s) = self.streams.get_mut(id) {
            s.send -= bytes.len() as i64;
        }
    }
}
