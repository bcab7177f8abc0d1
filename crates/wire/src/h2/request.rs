//! A request's header block as a [`Head`] that HTTP/1 can be made of (RFC 9113 section 8), and its trailers. What is let
//! through, what is refused and how it is written is HAProxy 3.5's.

use super::fields::{Fields, is_of_connection, may_trail, trimmed};
use super::hpack::{Line, Name, Pseudo, Sink};
use super::priority;
use crate::h1::{Framing, Info, authority, encode};
use portcullis_message::{Head, HeaderId, Version};
use std::ops::Range;

/// How much a block may have.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of its lines.
    pub size: usize,
    /// Fields (`tune.http.maxhdr`).
    pub fields: usize,
    /// `option accept-unsafe-violations-in-http-request`
    pub relaxed: bool,
}

/// What a header block says beside the fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// How the message goes on.
    pub info: Info,
    /// How urgent it is, if it says so (RFC 9218).
    pub urgency: Option<u8>,
    /// Not a request, but well-formed: it is answered with this status (0: it is one).
    pub status: u16,
}

/// Why a block is no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The stream is reset (RFC 9113 section 8.1.1).
    Malformed,
    /// It is answered with 400: what cannot be written as HTTP/1.
    BadRequest,
    /// The connection ends: a name without a byte, which HAProxy takes for a broken block.
    Broken,
}

/// Takes the lines of a request's block.
pub(super) struct Builder<'h> {
    fields: Fields<'h>,
    /// Where the pseudo-header fields' values stand.
    parts: [Option<Range<usize>>; 5],
    cookies: usize,
    expect: bool,
    urgency: Option<u8>,
}

impl Sink for Builder<'_> {
    fn arena(&mut self) -> Option<&mut Vec<u8>> {
        self.fields.arena()
    }

    fn take(&mut self, line: Line) {
        let taken = match line.what {
            _ if !line.sound => Err(Fault::Malformed),
            Name::Field(id) => self.field(id, &line),
            Name::Pseudo(p) => self.pseudo(p, line.value()),
            Name::Malformed => Err(Fault::Malformed),
            Name::Empty => Err(Fault::Broken),
        };
        self.fields.taken(taken);
    }
}

impl<'h> Builder<'h> {
    pub(super) fn new(head: &'h mut Head, limits: Limits) -> Self {
        Self {
            fields: Fields::new(head, limits),
            parts: Default::default(),
            cookies: 0,
            expect: false,
            urgency: None,
        }
    }

    fn part(&self, p: Pseudo) -> Option<Range<usize>> {
        self.parts.get(p as usize).cloned().flatten()
    }

    fn text(&self, p: Pseudo) -> Option<&[u8]> {
        self.part(p).map(|r| self.fields.head.written(r))
    }

    /// RFC 9113 section 8.3: before all fields, each once, and no other ones than these.
    fn pseudo(&mut self, p: Pseudo, value: Range<usize>) -> Result<(), Fault> {
        match self.parts.get_mut(p as usize) {
            Some(part @ None) if !self.fields.begun => *part = Some(value),
            _ => return Err(Fault::Malformed),
        }
        Ok(())
    }

    /// RFC 9113 section 8.2.2: nothing that is about a connection of HTTP/1.
    fn field(&mut self, id: HeaderId, line: &Line) -> Result<(), Fault> {
        if !std::mem::replace(&mut self.fields.begun, true) {
            self.host()?;
        }
        let value = trimmed(self.fields.head, line.value());
        match id {
            id if is_of_connection(id) => return Err(Fault::Malformed),
            HeaderId::Te if self.fields.head.written(value.clone()) != b"trailers" => {
                return Err(Fault::Malformed);
            }
            HeaderId::ContentLength => return self.fields.content_length(line, value),
            // the authority is in its place
            HeaderId::Host if self.part(Pseudo::Authority).is_some() => return Ok(()),
            HeaderId::Host => {
                let host = self.fields.head.written(value.clone());
                let another =
                    self.fields.head.first(HeaderId::Host).is_some_and(|h| !h.eq_ignore_ascii_case(host));
                if another || (!authority::is_host(host) && !self.fields.limits.relaxed) {
                    return Err(Fault::Malformed);
                }
                if self.fields.head.may_have(HeaderId::Host) {
                    return Ok(());
                }
            }
            HeaderId::Cookie => self.cookies += 1,
            HeaderId::Expect => {
                self.expect = self.fields.head.written(value.clone()).eq_ignore_ascii_case(b"100-continue");
            }
            HeaderId::Other if line.name == 8 && self.fields.head.written(line.name()) == b"priority" => {
                self.urgency = priority::urgency(self.fields.head.written(value.clone()));
            }
            _ => {}
        }
        self.fields.push(id, line, value)
    }

    /// The authority becomes Host, and the first field.
    fn host(&mut self) -> Result<(), Fault> {
        let Some(authority) = self.part(Pseudo::Authority) else { return Ok(()) };
        let text = self.fields.head.written(authority.clone());
        if (!authority::is_host(text) || text.contains(&b'@')) && !self.fields.limits.relaxed {
            return Err(Fault::Malformed);
        }
        let default = self.text(Pseudo::Scheme).and_then(authority::default_port);
        let len = authority::normalized(text, default).len();
        let authority = authority.start..authority.start + len;
        self.parts[Pseudo::Authority as usize] = Some(authority.clone());
        let arena = self.fields.head.arena();
        let start = arena.len();
        arena.extend_from_slice(b"host: ");
        arena.extend_from_within(authority);
        let end = arena.len();
        arena.extend_from_slice(b"\r\n");
        self.fields.head.field_of(HeaderId::Host, start..start + 4, start + 6..end);
        Ok(())
    }

    /// All of it is here. `ended`: no body comes.
    pub(super) fn finish(mut self, ended: bool) -> Result<Request, Fault> {
        if !self.fields.begun && self.fields.fault.is_none() {
            self.fields.fault = self.host().err();
        }
        if let Some(fault) = self.fields.fault {
            return Err(fault);
        }
        let mut info = Info { keep_alive: true, expect_continue: self.expect, ..Info::default() };
        self.start_line(&mut info)?;
        if self.cookies > 0 {
            self.gather_cookies();
        }
        info.framing = match self.fields.length {
            Some(1..) if ended => return Err(Fault::Malformed),
            Some(n @ 1..) => Framing::Length(n),
            None if !ended && !info.upgrade && self.text(Pseudo::Method) != Some(b"CONNECT") => {
                Framing::Pieces
            }
            _ => Framing::None,
        };
        Ok(Request { info, urgency: self.urgency, status: 0 })
    }

    /// RFC 9113 sections 8.3.1 and 8.5, RFC 8441 section 4.
    fn start_line(&mut self, info: &mut Info) -> Result<(), Fault> {
        let method = self.part(Pseudo::Method).ok_or(Fault::Malformed)?;
        let (scheme, path) = (self.part(Pseudo::Scheme), self.part(Pseudo::Path));
        let authority = self.part(Pseudo::Authority);
        let text = self.fields.head.written(method.clone());
        let connect = text == b"CONNECT";
        if text.is_empty() || !text.iter().all(|b| portcullis_message::field::is_token(*b)) {
            return Err(Fault::BadRequest);
        }
        let version = Version { major: 2, minor: 0 };
        let (scheme, path) = match (self.part(Pseudo::Protocol), scheme, path) {
            (None, None, None) if connect => {
                let target = authority.ok_or(Fault::Malformed)?;
                if !authority::is_host_and_port(self.fields.head.written(target.clone())) {
                    return Err(Fault::Malformed);
                }
                self.fields.head.request_at(method, target, version);
                return Ok(());
            }
            (None, Some(scheme), Some(path)) if !connect => {
                (self.fields.head.request_at(method, 0..0, version), (scheme, path)).1
            }
            (Some(protocol), Some(scheme), Some(path)) if connect && authority.is_some() => {
                self.upgrade(protocol, info)?;
                (scheme, path)
            }
            _ => return Err(Fault::Malformed),
        };
        self.target(scheme, authority, path)
    }

    /// An extended CONNECT is HTTP/1's Upgrade.
    fn upgrade(&mut self, protocol: Range<usize>, info: &mut Info) -> Result<(), Fault> {
        let name = self.fields.head.written(protocol.clone());
        if name.is_empty() || !name.iter().all(|b| portcullis_message::field::is_token(*b)) {
            return Err(Fault::Malformed);
        }
        (info.upgrade, info.websocket) = (true, name == b"websocket");
        let arena = self.fields.head.arena();
        let start = arena.len();
        arena.extend_from_slice(b"GETupgrade");
        let at = |from: usize, len: usize| start + from..start + from + len;
        self.fields.head.request_at(at(0, 3), 0..0, Version { major: 2, minor: 0 });
        self.fields.head.field_of(HeaderId::Upgrade, at(3, 7), protocol);
        self.fields.head.push(b"connection", b"upgrade");
        Ok(())
    }

    /// The parts become one target.
    fn target(
        &mut self,
        scheme: Range<usize>,
        authority: Option<Range<usize>>,
        path: Range<usize>,
    ) -> Result<(), Fault> {
        let text = self.fields.head.written(scheme.clone());
        let letters = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
        if !text.first().is_some_and(u8::is_ascii_alphabetic) || !text.iter().all(letters) {
            return Err(Fault::BadRequest);
        }
        let web = text.eq_ignore_ascii_case(b"http") || text.eq_ignore_ascii_case(b"https");
        let text = self.fields.head.written(path.clone());
        let odd = |b: &u8| *b <= b' ' || matches!(b, 0x7f | b'#');
        let fits = matches!(text, [b'/', ..] | b"*");
        if !fits || (text.iter().any(odd) && !self.fields.limits.relaxed) || text.contains(&b' ') {
            return Err(Fault::Malformed);
        }
        let star = text == b"*";
        let everything = star && self.fields.head.method() == b"OPTIONS";
        let arena = self.fields.head.arena();
        let start = arena.len();
        if let Some(authority) = authority {
            arena.extend_from_within(scheme);
            arena.extend_from_slice(b"://");
            arena.extend_from_within(authority);
        } else if everything {
            arena.push(b'*');
        }
        match star {
            true if everything => {}
            true => arena.push(b'/'),
            false => arena.extend_from_within(path),
        }
        let end = arena.len();
        self.fields.head.target_at(start..end);
        self.fields.head.normalized = web;
        Ok(())
    }

    /// The crumbs become one field (RFC 9113 section 8.2.3), the last one.
    fn gather_cookies(&mut self) {
        let crumbs: Vec<Vec<u8>> = match self.cookies {
            1 => Vec::new(),
            _ => self.fields.head.all(HeaderId::Cookie).map(<[u8]>::to_vec).collect(),
        };
        if crumbs.is_empty() {
            self.fields.head.move_to_end(HeaderId::Cookie);
            return;
        }
        self.fields.head.remove_id(HeaderId::Cookie);
        self.fields.head.push(b"cookie", &crumbs.join(&b"; "[..]));
    }
}

/// Takes the lines of a trailer section.
pub(super) struct Trailers<'h>(Fields<'h>);

impl<'h> Trailers<'h> {
    pub(super) fn new(head: &'h mut Head, limits: Limits) -> Self {
        Self(Fields::new(head, limits))
    }

    /// The section as HTTP/1 has it, with its empty line.
    pub(super) fn finish(self) -> Result<Vec<u8>, Fault> {
        let mut out = Vec::new();
        if let Some(fault) = self.0.fault {
            return Err(fault);
        }
        encode::fields(self.0.head, None, &mut out);
        Ok(out)
    }
}

impl Sink for Trailers<'_> {
    fn arena(&mut self) -> Option<&mut Vec<u8>> {
        self.0.arena()
    }

    /// RFC 9113 section 8.1: no pseudo-header fields.
    fn take(&mut self, line: Line) {
        let taken = match line.what {
            Name::Empty => Err(Fault::Broken),
            Name::Field(id) if line.sound && may_trail(id) => {
                let value = trimmed(self.0.head, line.value());
                self.0.push(id, &line, value)
            }
            _ => Err(Fault::Malformed),
        };
        self.0.taken(taken);
    }
}
