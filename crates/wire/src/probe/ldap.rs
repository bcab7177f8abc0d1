//! LDAPv3 (RFC 4511): an anonymous simple bind.

use super::{Answer, Note};

/// The BindRequest: message 1, version 3, no name, no password.
pub const BIND: &[u8] = &[0x30, 0x0c, 2, 1, 1, 0x60, 7, 2, 1, 3, 4, 0, 0x80, 0];

const MANUAL: &str = "See RFC: http://tools.ietf.org/html/rfc4511#section-4.1.9";

/// A cursor over BER.
struct Ber<'a>(&'a [u8]);

/// More bytes are needed, or what is there is not LDAP.
enum Stop {
    More,
    Bad,
}

impl<'a> Ber<'a> {
    fn byte(&mut self) -> Result<u8, Stop> {
        let (first, rest) = self.0.split_first().ok_or(Stop::More)?;
        self.0 = rest;
        Ok(*first)
    }
    fn tag(&mut self, tag: u8) -> Result<(), Stop> {
        if self.byte()? == tag { Ok(()) } else { Err(Stop::Bad) }
    }
    fn length(&mut self) -> Result<usize, Stop> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(first.into());
        }
        let count = first & 0x7f;
        if count == 0 || count > 4 {
            return Err(Stop::Bad);
        }
        (0..count).try_fold(0usize, |n, _| Ok((n << 8) | usize::from(self.byte()?)))
    }
    /// An integer or enumeration of one byte or more: its last byte.
    fn number(&mut self, tag: u8) -> Result<u8, Stop> {
        self.tag(tag)?;
        let n = self.length()?;
        if n == 0 || n > 4 {
            return Err(Stop::Bad);
        }
        (0..n).try_fold(0, |_, _| self.byte())
    }
}

fn result_code(bytes: &[u8]) -> Result<u8, Stop> {
    let mut ber = Ber(bytes);
    ber.tag(0x30)?;
    ber.length()?;
    ber.number(2)?;
    // a BindResponse
    ber.tag(0x61)?;
    ber.length()?;
    ber.number(0x0a)
}

/// A BindResponse with success, or with another result.
#[must_use]
pub fn answer(bytes: &[u8], ended: bool) -> Answer {
    match result_code(bytes) {
        Ok(0) => Answer::Good(Note::new(0, "Success")),
        Ok(code) => Answer::Refused(Note::new(code.into(), MANUAL)),
        Err(Stop::More) if !ended => Answer::More,
        Err(_) => Answer::Garbage(Note::new(0, "Not LDAPv3 protocol")),
    }
}
