//! A response's header block as a [`Head`] (RFC 9113 section 8.3.2). What is let through is what HAProxy 3.5 lets through.

use super::fields::{Fields, is_of_connection, trimmed};
use super::hpack::{Line, Name, Pseudo, Sink};
use super::request::{Fault, Limits};
use crate::h1::{Framing, Info};
use portcullis_message::{Head, HeaderId, Version};
use std::ops::Range;

/// What a header block says beside the fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// How the message goes on.
    pub info: Info,
    /// It is an interim one (1xx): another one follows.
    pub interim: bool,
}

/// Takes the lines of a response's block.
pub(super) struct Builder<'h> {
    fields: Fields<'h>,
    status: Option<u16>,
}

impl Sink for Builder<'_> {
    fn arena(&mut self) -> Option<&mut Vec<u8>> {
        self.fields.arena()
    }

    fn take(&mut self, line: Line) {
        let taken = match line.what {
            _ if !line.sound => Err(Fault::Malformed),
            Name::Field(id) => self.field(id, &line),
            Name::Pseudo(Pseudo::Status) => self.status(line.value()),
            Name::Pseudo(_) | Name::Malformed => Err(Fault::Malformed),
            Name::Empty => Err(Fault::Broken),
        };
        self.fields.taken(taken);
    }
}

impl<'h> Builder<'h> {
    pub(super) fn new(head: &'h mut Head, limits: Limits) -> Self {
        Self { fields: Fields::new(head, limits), status: None }
    }

    /// Once, before all fields, three digits.
    fn status(&mut self, value: Range<usize>) -> Result<(), Fault> {
        match self.fields.head.written(value) {
            [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9']
                if !self.fields.begun && self.status.is_none() =>
            {
                let digit = |d: &u8| u16::from(d - b'0');
                self.status = Some(100 * digit(a) + 10 * digit(b) + digit(c));
                Ok(())
            }
            _ => Err(Fault::Malformed),
        }
    }

    fn field(&mut self, id: HeaderId, line: &Line) -> Result<(), Fault> {
        self.fields.begun = true;
        let value = trimmed(self.fields.head, line.value());
        match id {
            id if is_of_connection(id) => Err(Fault::Malformed),
            HeaderId::ContentLength => self.fields.content_length(line, value),
            _ => self.fields.push(id, line, value),
        }
    }

    /// All of it is here. `ended`: no body comes. `bodyless`: none would, whatever is said (HEAD). `connects`: a tunnel was
    /// asked for.
    pub(super) fn finish(self, ended: bool, bodyless: bool, connects: bool) -> Result<Answer, Fault> {
        if let Some(fault) = self.fields.fault {
            return Err(fault);
        }
        let status = self.status.ok_or(Fault::Malformed)?;
        let interim = (100..200).contains(&status);
        // RFC 9113 sections 8.1 and 8.6
        if interim && (ended || status == 101) {
            return Err(Fault::Malformed);
        }
        self.fields.head.response_at(Version { major: 2, minor: 0 }, status, 0..0);
        let mut info = Info { keep_alive: true, ..Info::default() };
        let empty = bodyless || interim || matches!(status, 204 | 304);
        if connects && (200..300).contains(&status) {
            self.fields.head.remove_id(HeaderId::ContentLength);
            info.framing = Framing::Tunnel;
            return Ok(Answer { info, interim });
        }
        info.framing = match self.fields.length {
            _ if empty => Framing::None,
            Some(1..) if ended => return Err(Fault::Malformed),
            Some(n @ 1..) => Framing::Length(n),
            Some(0) => Framing::None,
            None if ended => Framing::None,
            None => Framing::Pieces,
        };
        Ok(Answer { info, interim })
    }
}
