//! Chunked bodies (RFC 9112 section 7.1), decoded in place.

use super::head::{Bad, Fault};
use std::ops::Range;

/// Most bytes of extensions behind one chunk size.
const MAX_EXTENSION: u32 = 4096;
/// Most bytes of a trailer section.
const MAX_TRAILERS: usize = 16 * 1024;
/// Most digits of a chunk size: 2^60 is enough for everybody, and leading zeros are not endless.
const MAX_DIGITS: u8 = 16;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    /// Blanks, then `;` and whatever, up to the line's end.
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailers,
    End,
}

/// A decoder.
#[derive(Clone, Debug, Default)]
pub struct Chunked {
    state: State,
    digits: u8,
    extension: u32,
    remaining: u64,
    trailers: Vec<u8>,
    /// Bytes of framing that are odd (extensions, leading zeros).
    pub glitches: u32,
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
    /// Has the body ended?
    #[must_use]
    pub fn ended(&self) -> bool {
        self.state == State::End
    }
    /// The trailer section as it came, with its empty line; nothing when there was none.
    #[must_use]
    pub fn trailers(&self) -> &[u8] {
        &self.trailers
    }
    /// Bytes that are still to come of the chunk at hand.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Decodes what is there; payload of several chunks is moved together.
    ///
    /// # Errors
    /// [`Fault::Chunk`] where the framing is wrong.
    pub fn decode(&mut self, data: &mut [u8]) -> Result<Decoded, Bad> {
        let mut payload = 0..0;
        let mut at = 0;
        while at < data.len() && self.state != State::End {
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
            self.byte(data[at]).map_err(|fault| Bad { fault, at })?;
            at += 1;
        }
        Ok(Decoded { payload, consumed: at, ended: self.ended() })
    }

    fn byte(&mut self, b: u8) -> Result<(), Fault> {
        let next = match (self.state, b) {
            (State::Size, _) if b.is_ascii_hexdigit() => {
                if self.digits == MAX_DIGITS {
                    return Err(Fault::Chunk);
                }
                self.digits += 1;
                let digit = char::from(b).to_digit(16).unwrap_or(0);
                self.remaining = self.remaining.checked_mul(16).ok_or(Fault::Chunk)? | u64::from(digit);
                State::Size
            }
            (State::Size, b'\r') if self.digits > 0 => State::SizeLf,
            (State::Size, b';' | b' ' | b'\t') if self.digits > 0 => {
                self.extension = 1;
                self.glitches += 1;
                State::Extension
            }
            (State::Extension, b'\r') => State::SizeLf,
            (State::Extension, b'\n' | 0) => return Err(Fault::Chunk),
            (State::Extension, _) => {
                self.extension += 1;
                if self.extension > MAX_EXTENSION {
                    return Err(Fault::Chunk);
                }
                State::Extension
            }
            (State::SizeLf, b'\n') => {
                self.digits = 0;
                if self.remaining == 0 { State::Trailers } else { State::Data }
            }
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size,
            (State::Trailers, _) => return self.trailer(b),
            _ => return Err(Fault::Chunk),
        };
        self.state = next;
        Ok(())
    }

    /// The trailer section ends with the first empty line.
    fn trailer(&mut self, b: u8) -> Result<(), Fault> {
        if self.trailers.len() == MAX_TRAILERS {
            return Err(Fault::Chunk);
        }
        self.trailers.push(b);
        let done = matches!(
            self.trailers.as_slice(),
            b"\r\n" | b"\n" | [.., b'\n', b'\r', b'\n'] | [.., b'\n', b'\n']
        );
        if done {
            if self.trailers.len() <= 2 {
                self.trailers.clear();
            }
            self.state = State::End;
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
            assert_eq!(trailers, b"A: b\r\n\r\n");
        }
        assert_eq!(run(b"0\r\n\r\n", 3).unwrap(), (vec![], 5, vec![]));
    }

    #[test]
    fn malformed_framing_is_refused() {
        let endless = [b"1;".as_slice(), &[b'a'; 5000], b"\r\n"].concat();
        let zeros = [&[b'0'; 20][..], b"\r\n\r\n"].concat();
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
            &endless,
            &zeros,
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
