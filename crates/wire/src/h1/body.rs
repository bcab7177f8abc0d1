//! Chunked bodies (RFC 9112 section 7.1), decoded in place.

use super::encode;
use super::head::{Bad, Fault, Limits, parse_trailers};
use portcullis_message::Head;
use std::ops::Range;

/// Most bytes of one size line beyond the digits that count: leading zeros, blanks and extensions. As in HAProxy, more
/// of them are not read: the sender runs into its timeout.
const MAX_EXTENSION: u32 = 16 * 1024;
/// Most bytes of a trailer section.
const MAX_TRAILERS: usize = 16 * 1024;
/// Largest chunk, as HAProxy 3.5 has it: 2^52 - 1 bytes.
const MAX_CHUNK: u64 = (1 << 52) - 1;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    /// Blanks behind the size.
    Blanks,
    /// Behind `;`, up to the line's end.
    Extension,
    /// Inside a quoted string of an extension.
    Quoted,
    /// Behind a backslash in a quoted string.
    Escaped,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailers,
    /// A size line that does not end: nothing more is taken.
    Stuck,
    End,
}

/// A decoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunked {
    state: State,
    /// A digit of the size has come.
    digit: bool,
    extension: u32,
    remaining: u64,
    trailers: Vec<u8>,
    limits: Limits,
    /// How many chunks had extensions or a padded size.
    pub glitches: u32,
}

/// Which part of a chunked body comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// A size line.
    Size,
    /// The end of a chunk's data.
    DataEnd,
    /// Trailers, or nothing more.
    Trailers,
}

impl Default for Chunked {
    fn default() -> Self {
        Self::new(Limits { max_fields: 101, relaxed: false, any_method_payload: false })
    }
}

/// What one call has decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// Where the payload stands now, in one piece.
    pub payload: Range<usize>,
    /// How many bytes at the front are done with (the payload among them).
    pub consumed: usize,
    /// The body has ended.
    pub ended: bool,
}

impl Chunked {
    /// A decoder whose trailer section must keep to these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            state: State::Size,
            digit: false,
            extension: 0,
            remaining: 0,
            trailers: Vec::new(),
            limits,
            glitches: 0,
        }
    }
    /// Has the body ended?
    #[must_use]
    pub fn ended(&self) -> bool {
        self.state == State::End
    }
    /// The trailer section once the body has ended: checked, names in lower case, with its empty line; nothing when
    /// there was none.
    #[must_use]
    pub fn trailers(&self) -> &[u8] {
        &self.trailers
    }
    /// Where it is; after an error, what was expected.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.state {
            State::Data | State::DataCr | State::DataLf => Phase::DataEnd,
            State::Trailers | State::End => Phase::Trailers,
            _ => Phase::Size,
        }
    }
    /// Bytes that are still to come of the chunk at hand.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Decodes what is there; payload of several chunks is moved together.
    ///
    /// # Errors
    /// [`Fault::Chunk`] where the framing is wrong, or what is wrong with a trailer.
    pub fn decode(&mut self, data: &mut [u8]) -> Result<Decoded, Bad> {
        let mut payload = 0..0;
        let mut at = 0;
        while let Some(b) = data.get(at)
            && !matches!(self.state, State::End | State::Stuck)
        {
            if self.state == State::Data {
                let n = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(data.len() - at);
                if payload.is_empty() {
                    payload = at..at;
                } else if payload.end != at {
                    data.copy_within(at..at + n, payload.end);
                }
                payload.end += n;
                at += n;
                self.remaining -= n as u64;
                if self.remaining == 0 {
                    self.state = State::DataCr;
                }
                continue;
            }
            self.byte(*b).map_err(|fault| Bad { fault, at })?;
            at += 1;
        }
        Ok(Decoded { payload, consumed: at, ended: self.ended() })
    }

    /// Looks at what has come without taking it: how much payload that is, and whether the body ends there.
    ///
    /// # Errors
    /// As [`Chunked::decode`].
    pub fn look(&self, data: &[u8]) -> Result<(u64, bool), Bad> {
        let mut copy = self.clone();
        let (mut payload, mut at) = (0, 0);
        while let Some(b) = data.get(at)
            && !matches!(copy.state, State::End | State::Stuck)
        {
            if copy.state == State::Data {
                let n = usize::try_from(copy.remaining).unwrap_or(usize::MAX).min(data.len() - at);
                payload += n as u64;
                at += n;
                copy.remaining -= n as u64;
                if copy.remaining == 0 {
                    copy.state = State::DataCr;
                }
                continue;
            }
            copy.byte(*b).map_err(|fault| Bad { fault, at })?;
            at += 1;
        }
        Ok((payload, copy.ended()))
    }

    fn byte(&mut self, b: u8) -> Result<(), Fault> {
        use State::{Blanks, DataCr, DataLf, Escaped, Extension, Quoted, Size, SizeLf, Trailers};
        self.state = match (self.state, b) {
            (Size, _) if b.is_ascii_hexdigit() => {
                let digit = char::from(b).to_digit(16).unwrap_or(0);
                self.digit = true;
                self.remaining = self.remaining << 4 | u64::from(digit);
                if self.remaining > MAX_CHUNK {
                    return Err(Fault::Chunk);
                }
                if self.remaining == 0 { self.count(Size) } else { Size }
            }
            (Size, _) if !self.digit => return Err(Fault::Chunk),
            (Size | Blanks | Extension, b'\r') => SizeLf,
            (Size | Blanks, b' ' | b'\t') => self.count(Blanks),
            (Size | Blanks, b';') => {
                self.glitches = self.glitches.saturating_add(1);
                Extension
            }
            (Extension, b'"') | (Escaped, b'\t' | b' '..) => self.count(Quoted),
            (Quoted, b'"') => Extension,
            (Quoted, b'\\') => Escaped,
            (Extension, b'\\') => return Err(Fault::Chunk),
            (state @ (Extension | Quoted), b'\t' | b' '..=0x7e | 0x80..) => self.count(state),
            (SizeLf, b'\n') => {
                self.glitches = self.glitches.saturating_add(u32::from(self.extension > 16));
                (self.digit, self.extension) = (false, 0);
                if self.remaining == 0 { Trailers } else { State::Data }
            }
            (DataCr, b'\r') => DataLf,
            (DataLf, b'\n') => Size,
            (Trailers, _) => return self.trailer(b),
            _ => return Err(Fault::Chunk),
        };
        Ok(())
    }

    /// One more byte of a size line that says nothing.
    fn count(&mut self, next: State) -> State {
        self.extension += 1;
        if self.extension > MAX_EXTENSION { State::Stuck } else { next }
    }

    /// The trailer section ends with the first empty line.
    fn trailer(&mut self, b: u8) -> Result<(), Fault> {
        if self.trailers.len() == MAX_TRAILERS {
            return Err(Fault::Chunk);
        }
        self.trailers.push(b);
        match self.trailers.as_slice() {
            b"\r\n" | b"\n" => {
                self.trailers.clear();
                self.state = State::End;
            }
            [.., b'\n', b'\r', b'\n'] | [.., b'\n', b'\n'] => {
                let mut head = Head::default();
                parse_trailers(&self.trailers, &self.limits, &mut head).map_err(|bad| bad.fault)?;
                self.trailers.clear();
                encode::fields(&head, None, &mut self.trailers);
                self.state = State::End;
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(input: &[u8], step: usize) -> Result<(Vec<u8>, usize, Vec<u8>), Bad> {
        let mut c = Chunked::default();
        let mut out = Vec::new();
        let mut used = 0;
        for piece in input.chunks(step) {
            let mut piece = piece.to_vec();
            let d = c.decode(&mut piece)?;
            out.extend_from_slice(&piece[d.payload.clone()]);
            used += d.consumed;
            if d.ended {
                return Ok((out, used, c.trailers().to_vec()));
            }
            assert_eq!(d.consumed, piece.len());
        }
        Err(Bad { fault: Fault::Chunk, at: usize::MAX })
    }

    #[test]
    fn whatever_the_pieces_the_payload_is_the_same() {
        let input = b"5\r\nhello\r\n6;x=y\r\n world\r\n000a\r\n0123456789\r\n0\r\nA: b\r\n\r\nGET /";
        for step in 1..input.len() {
            let (out, used, trailers) = run(input, step).unwrap();
            assert_eq!(out, b"hello world0123456789", "step {step}");
            assert_eq!(&input[used..], b"GET /", "step {step}");
            assert_eq!(trailers, b"a: b\r\n\r\n");
        }
        assert_eq!(run(b"0\r\n\r\n", 3).unwrap(), (vec![], 5, vec![]));
    }

    #[test]
    fn a_size_line_without_end_is_not_read() {
        for endless in [[b"1;".as_slice(), &[b'a'; 20_000]].concat(), vec![b'0'; 20_000]] {
            let mut c = Chunked::default();
            let d = c.decode(&mut endless.clone()).unwrap();
            assert!(d.consumed < 17_000 && !d.ended, "{d:?}");
            assert_eq!(c.decode(&mut b"\r\n".to_vec()).unwrap().consumed, 0);
        }
    }

    #[test]
    fn looking_takes_nothing() {
        let c = Chunked::default();
        assert_eq!(c.look(b"3\r\nabc\r\n2\r\nx").unwrap(), (4, false));
        assert_eq!(c.look(b"3\r\nabc\r\n0\r\n\r\nGET").unwrap(), (3, true));
        assert!(c.look(b"3\r\nabcd").is_err());
        assert_eq!(c, Chunked::default());
    }

    #[test]
    fn malformed_framing_is_refused() {
        for bad in [
            b"\r\n".as_slice(),
            b"g\r\n",
            b"-1\r\n",
            b"5\nhello",
            b"5\r\nhelloX",
            b"5\r\nhello\n0\r\n\r\n",
            b"5\r\nhello\r0",
            b"fffffffffffffffff\r\n",
            b"0x5\r\n",
            b" 5\r\nhello",
        ] {
            let got = run(bad, 7);
            assert!(
                matches!(got, Err(b) if b.at != usize::MAX),
                "{:?}: {got:?}",
                String::from_utf8_lossy(bad)
            );
        }
    }
}
