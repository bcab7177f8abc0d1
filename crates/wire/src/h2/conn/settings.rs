//! Settings of both sides (RFC 9113 section 6.5).

use super::{Checked, Connection, Event, MANY, Wrong, credit};
use crate::h2::frame::{self, FIRST_FRAME, FIRST_WINDOW, MAX_WINDOW, Reason, flag, kind, setting};

impl<T: Default> Connection<T> {
    /// Our settings, where they are not what the peer assumes anyhow.
    pub(super) fn greet(&mut self) {
        let c = &self.config;
        let mut list = Vec::with_capacity(6);
        let serves = !self.client || self.turns;
        if self.client {
            list.push((setting::ENABLE_PUSH, 0));
        }
        if serves && c.connect {
            list.push((setting::ENABLE_CONNECT_PROTOCOL, 1));
        }
        if c.table != 4096 {
            list.push((setting::HEADER_TABLE_SIZE, c.table));
        }
        if c.window != FIRST_WINDOW {
            list.push((setting::INITIAL_WINDOW_SIZE, c.window));
        }
        let streams = c.offered.unwrap_or(c.streams);
        if streams != MANY && serves {
            list.push((setting::MAX_CONCURRENT_STREAMS, streams));
        }
        if c.frame != FIRST_FRAME {
            list.push((setting::MAX_FRAME_SIZE, c.frame));
        }
        frame::settings(&list, &mut self.out);
    }

    /// RFC 9113 section 6.5.
    pub(super) fn settings<'i>(&mut self, payload: &[u8]) -> Checked<'i> {
        // as HAProxy counts: those of the preface once more
        self.tally.settings += if self.greeted { 1 } else { 2 };
        self.greeted = true;
        self.pay(credit::FRAME);
        let mut wider = false;
        for [a, b, c, d, e, f] in payload.as_chunks().0 {
            let (id, value) = (u16::from_be_bytes([*a, *b]), u32::from_be_bytes([*c, *d, *e, *f]));
            match (id, value) {
                (setting::HEADER_TABLE_SIZE, n) => self.no_table |= n < 4096,
                // a server cannot be pushed to
                (setting::ENABLE_PUSH, n) if n > u32::from(!self.client) => {
                    return Err(Wrong::Connection(Reason::Protocol));
                }
                (setting::MAX_CONCURRENT_STREAMS, n) => self.peer_streams = n,
                // RFC 8441 section 3: once said it stays
                (setting::ENABLE_CONNECT_PROTOCOL, n) => {
                    if self.client && (n > 1 || (n == 0 && self.peer_connects)) {
                        return Err(Wrong::Connection(Reason::Protocol));
                    }
                    self.peer_connects = n == 1;
                }
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
        if std::mem::take(&mut self.turns) {
            self.client = false;
        }
        Ok(if wider { Event::Window(0) } else { Event::Nothing })
    }

    /// The peer knows our settings: streams that began before have the window that they say from now on (RFC 9113 section
    /// 6.9.2), and it is opened again by that measure.
    pub(super) fn settle(&mut self) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        let less = FIRST_WINDOW.saturating_sub(self.config.window);
        for s in self.streams.iter_mut() {
            s.window = s.window.saturating_sub(less);
            s.left -= i64::from(less);
        }
        let begun: Vec<u32> = self.streams.iter_mut().map(|s| s.id).collect();
        begun.into_iter().for_each(|id| self.consumed(id, 0));
    }

    /// The window of a stream that begins now.
    pub(super) fn first_window(&self) -> u32 {
        // until the peer knows of ours, it may use what it assumes
        if self.settled { self.config.window } else { self.config.window.max(FIRST_WINDOW) }
    }
}
