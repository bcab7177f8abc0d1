//! How a message's body is delimited while it passes through.

use crate::rules::BodyState;
use crate::worker::Worker;
use portcullis_transport::Buffer;
use portcullis_wire::h1::body::Phase;
use portcullis_wire::h1::{Chunked, Framing, encode};

/// A body's decoder.
#[derive(Debug)]
pub enum Body {
    /// So many bytes are still to come; 0: it has ended.
    Length(u64),
    /// Chunks.
    Chunked(Box<Chunked>),
    /// Until the connection is closed, which it was if `true`.
    UntilClose(bool),
    /// Until its sender says so, which it has if `true`: bytes of an applet or of a stream, which know no framing.
    Pieces(bool),
    /// Pieces that have ended, with a trailer section as HTTP/1 has it.
    Trailed(Box<Vec<u8>>),
}

/// What the bytes at hand are.
#[derive(Debug)]
pub enum Step {
    /// Nothing; more are needed.
    More,
    /// `len` bytes of payload at the front of the buffer, which came from `origin` bytes.
    Payload {
        /// Payload bytes.
        len: usize,
        /// Bytes to be consumed for them.
        origin: usize,
    },
    /// The body has ended.
    End,
    /// The framing is wrong, at this offset.
    Malformed(usize),
}

impl Body {
    /// From what the head says.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        match framing {
            Framing::None => Self::Length(0),
            Framing::Length(n) => Self::Length(n),
            Framing::Chunked => Self::Chunked(Box::default()),
            Framing::Pieces => Self::Pieces(false),
            Framing::UntilClose | Framing::Tunnel => Self::UntilClose(false),
        }
    }

    /// Has it ended?
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        match self {
            Self::Length(n) => *n == 0,
            Self::Chunked(c) => c.ended(),
            Self::UntilClose(ended) | Self::Pieces(ended) => *ended,
            Self::Trailed(_) => true,
        }
    }

    /// Bytes that are known to be still to come.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        match self {
            Self::Length(n) => *n,
            Self::Chunked(c) => c.remaining(),
            Self::Pieces(_) | Self::Trailed(_) => 0,
            Self::UntilClose(ended) => {
                if *ended {
                    0
                } else {
                    u64::MAX
                }
            }
        }
    }

    /// The connection has ended: is that the body's end?
    pub fn end_of_stream(&mut self) -> bool {
        match self {
            Self::UntilClose(ended) | Self::Pieces(ended) => {
                *ended = true;
                true
            }
            _ => self.is_at_end(),
        }
    }

    /// Which part of a chunk comes next.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self {
            Self::Chunked(c) => c.phase(),
            _ => Phase::Size,
        }
    }

    /// The trailer section, if there was one.
    #[must_use]
    pub fn trailers(&self) -> Option<&[u8]> {
        match self {
            Self::Chunked(c) if !c.trailers().is_empty() => Some(c.trailers()),
            Self::Trailed(t) => Some(t),
            _ => None,
        }
    }

    /// Looks at the buffer's bytes; payload is brought to its front. `one`: payload of the chunk at hand only.
    pub fn step(&mut self, buffer: &mut Buffer, one: bool) -> Step {
        match self {
            Self::Length(0) | Self::UntilClose(true) => Step::End,
            // what is here came before the end
            Self::Pieces(true) | Self::Trailed(_) if buffer.is_empty() => Step::End,
            Self::Pieces(true) | Self::Trailed(_) => {
                Step::Payload { len: buffer.len(), origin: buffer.len() }
            }
            _ if self.is_at_end() => Step::End,
            _ if buffer.is_empty() => Step::More,
            Self::Length(n) => {
                let len = usize::try_from(*n).unwrap_or(usize::MAX).min(buffer.len());
                *n -= len as u64;
                Step::Payload { len, origin: len }
            }
            Self::UntilClose(_) | Self::Pieces(_) => {
                Step::Payload { len: buffer.len(), origin: buffer.len() }
            }
            Self::Chunked(c) => match c.decode(within(buffer.data_mut(), one.then(|| c.remaining()))) {
                Err(bad) => Step::Malformed(bad.at),
                Ok(d) if d.payload.is_empty() => {
                    buffer.consume(d.consumed);
                    if d.ended { Step::End } else { Step::More }
                }
                Ok(d) => {
                    buffer.consume(d.payload.start);
                    Step::Payload { len: d.payload.len(), origin: d.consumed - d.payload.start }
                }
            },
        }
    }
}

/// How much of a body is in a buffer that begins with it. `over`: nothing more comes.
pub fn state(buffer: &Buffer, framing: Framing, over: bool) -> BodyState {
    let (data, room) = (buffer.data(), buffer.capacity());
    let full = room > 0 && buffer.is_full();
    let have = data.len() as u64;
    match framing {
        Framing::Length(n) => BodyState { received: have.min(n), complete: over || have >= n, full, room },
        Framing::Chunked => {
            let (received, complete) = Chunked::default().look(data).unwrap_or((0, true));
            BodyState { received, complete: over || complete, full, room }
        }
        Framing::Pieces | Framing::UntilClose => BodyState { received: have, complete: over, full, room },
        Framing::None | Framing::Tunnel => BodyState { received: 0, complete: true, full: false, room },
    }
}

/// Goes on in a buffer of so many bytes, if what came has filled a smaller one.
pub fn enlarge(buffer: &mut Buffer, room: usize, worker: &Worker) {
    if buffer.is_full() && (1..room).contains(&buffer.capacity()) {
        let mut larger = Buffer::with_capacity(room);
        larger.extend(buffer.data());
        worker.buffers.give(std::mem::replace(buffer, larger));
    }
}

/// The bytes of a body in a buffer that begins with it, without what frames them; `scratch` has room for those of chunks.
pub fn plain<'b>(data: &'b [u8], framing: Framing, scratch: &'b mut Vec<u8>) -> &'b [u8] {
    match framing {
        Framing::None | Framing::Tunnel => &[],
        Framing::Length(n) => usize::try_from(n).ok().and_then(|n| data.get(..n)).unwrap_or(data),
        Framing::Pieces | Framing::UntilClose => data,
        Framing::Chunked => {
            scratch.clear();
            scratch.extend_from_slice(data);
            let payload = Chunked::default().decode(scratch).map_or(0..0, |d| d.payload);
            scratch.get(payload).unwrap_or(&[])
        }
    }
}

/// So many bytes of it, if that is said.
fn within(data: &mut [u8], most: Option<u64>) -> &mut [u8] {
    let len = most.map_or(data.len(), |n| usize::try_from(n).unwrap_or(usize::MAX).min(data.len()));
    &mut data[..len]
}

/// A chunk's size line.
pub fn write_chunk_size(len: u64, out: &mut Vec<u8>) {
    encode::chunk_size(usize::try_from(len).unwrap_or(usize::MAX), out);
}

/// The last chunk and the trailers.
pub fn write_last_chunk(trailers: Option<&[u8]>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
    out.extend_from_slice(trailers.unwrap_or(b"\r\n"));
}
