//! Streams as a server has them: requests that its client begins.

use super::{Checked, Connection, Event, Wrong, credit};
use crate::h2::frame::{MAX_WINDOW, Reason};
use crate::h2::priority;
use crate::h2::request::{Fault, Request};
use crate::h2::streams::Stream;

impl<T: Default> Connection<T> {
    /// A stream begins (RFC 9113 section 5.1.1).
    pub(super) fn begin<'i>(
        &mut self,
        id: u32,
        end: bool,
        connect: bool,
        request: Result<Request, Fault>,
    ) -> Checked<'i> {
        self.total = self.total.saturating_add(1);
        // what was announced holds from when the client knows of it
        let most = self.config.offered.filter(|_| self.settled).unwrap_or(self.config.streams);
        if self.streams.open() >= most as usize {
            return Err(Wrong::Stream(id, Reason::RefusedStream));
        }
        let request = match request {
            Ok(request) => request,
            Err(Fault::BadRequest) => Request { status: 400, ..Request::default() },
            Err(Fault::Malformed) => return Err(Wrong::Stream(id, Reason::Protocol)),
            Err(Fault::Broken) => return Err(Wrong::Connection(Reason::Compression)),
        };
        self.earn(credit::REQUEST);
        self.tally.begun += 1;
        let window = self.first_window();
        let body = match request.info.framing {
            crate::h1::Framing::Length(n) => Some(n),
            crate::h1::Framing::None if !request.info.upgrade && !connect => Some(0),
            _ => None,
        };
        let body = if request.status != 0 { None } else { body };
        let urgency = request.urgency.unwrap_or(priority::USUAL);
        self.streams.push(Stream { body, urgency, ended: end, ..Stream::new(id, self.peer_window, window) });
        if !end {
            self.expect(id, body);
        }
        self.count();
        Ok(Event::Request(id, request))
    }

    /// Streams that come after the end was announced, or above `total`.
    pub(super) fn count(&mut self) {
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
}
