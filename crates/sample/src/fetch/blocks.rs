//! Messages of HTTP as HAProxy keeps them, in blocks (manual section 7.3.7): the start line, each field, the end of the head,
//! the payload.

use crate::args::{ArgKind, Args};
use crate::place::{EITHER, INTERNAL};
use crate::row::{Fetch, SampleRows};
use crate::scope::{Direction, Message, Payload, Scope};
use crate::value::{Sample, Type, Value};
use portcullis_message::{Head, HeaderId, values};
use std::borrow::Cow;

/// What HAProxy writes before a start line.
const LINE: usize = 20;
/// What it keeps of each block beside its bytes.
const PER_BLOCK: usize = 8;
/// What a buffer has less than `tune.bufsize`.
const PER_MESSAGE: usize = 40;

/// A message.
pub(super) struct Blocks<'s> {
    head: &'s Head,
    direction: Direction,
    payload: Option<Payload<'s>>,
}

/// One block.
enum Block<'s> {
    Line,
    Field(&'s [u8], &'s [u8]),
    EndOfHead,
    Data(&'s [u8]),
    EndOfChunks,
}

impl<'s> Blocks<'s> {
    /// Of a direction's message, if its head is there.
    pub(super) fn of(s: &Scope<'s>, direction: Direction) -> Option<Self> {
        let (message, payload) = match direction {
            Direction::Request => (s.request, s.request_bytes),
            Direction::Response => (s.response, s.response_bytes),
        };
        Some(Self { head: message.head()?, direction, payload })
    }
    /// May more come?
    pub(super) fn grows(&self) -> bool {
        self.payload.is_some_and(|p| p.may_grow)
    }
    fn body(&self) -> &'s [u8] {
        self.payload.map_or(&[], |p| p.bytes)
    }
    fn line(&self) -> Vec<u8> {
        let h = self.head;
        let version: &[u8] =
            if h.version.minor == 0 && h.version.major == 1 { b"HTTP/1.0" } else { b"HTTP/1.1" };
        match self.direction {
            Direction::Request => [h.method(), h.target(), version].join(&b' '),
            Direction::Response => [version, h.status.to_string().as_bytes(), h.reason()].join(&b' '),
        }
    }
    /// The last chunk of a body has come. (What trailers it has is not known here.)
    fn ended(&self) -> bool {
        let mut codings = self.head.all(HeaderId::TransferEncoding);
        !self.grows() && self.payload.is_some() && codings.any(|v| values::has_token(v, b"chunked"))
    }
    fn count(&self) -> usize {
        2 + self.head.len() + usize::from(!self.body().is_empty()) + usize::from(self.ended())
    }
    fn get(&self, at: usize) -> Option<Block<'s>> {
        match at.checked_sub(1) {
            None => Some(Block::Line),
            Some(i) => match self.head.field(i) {
                Some(f) => Some(Block::Field(f.name, f.value)),
                None if i == self.head.len() => Some(Block::EndOfHead),
                None if i == self.head.len() + 1 && !self.body().is_empty() => Some(Block::Data(self.body())),
                None => (at + 1 == self.count()).then_some(Block::EndOfChunks),
            },
        }
    }
    fn size(&self, block: &Block<'_>) -> usize {
        match block {
            // two blanks are not kept
            Block::Line => LINE + self.line().len() - 2,
            Block::Field(name, value) => name.len() + value.len(),
            Block::EndOfHead | Block::EndOfChunks => 1,
            Block::Data(bytes) => bytes.len(),
        }
    }
    /// Bytes of all blocks.
    pub(super) fn data(&self) -> usize {
        (0..self.count()).filter_map(|i| self.get(i)).map(|b| self.size(&b)).sum()
    }
    fn used(&self) -> usize {
        self.data() + PER_BLOCK * self.count()
    }
}

fn room() -> usize {
    crate::facts::buffer_size().saturating_sub(PER_MESSAGE)
}

fn message<'s>(s: &Scope<'s>, f: impl FnOnce(Blocks<'s>) -> Value<'s>) -> Sample<'s> {
    let pending = match s.direction {
        Direction::Request => matches!(s.request, Message::Pending),
        Direction::Response => matches!(s.response, Message::Pending),
    };
    match Blocks::of(s, s.direction) {
        Some(blocks) => f(blocks).into(),
        None if pending => Sample::NotYet,
        None => Sample::Missing,
    }
}

fn number<'s>(s: &Scope<'s>, f: impl FnOnce(Blocks<'s>) -> usize) -> Sample<'s> {
    message(s, |blocks| Value::Int(i64::try_from(f(blocks)).unwrap_or(i64::MAX)))
}

/// The block that the argument names.
fn block<'s>(
    a: &Args,
    s: &Scope<'s>,
    f: impl FnOnce(&Blocks<'s>, Option<Block<'s>>) -> Value<'s>,
) -> Sample<'s> {
    message(s, |blocks| {
        let at = match a.text(0) {
            b"head" | b"first" => 0,
            b"tail" => blocks.count() - 1,
            number => std::str::from_utf8(number).ok().and_then(|n| n.parse().ok()).unwrap_or(0),
        };
        let found = blocks.get(at);
        f(&blocks, found)
    })
}

fn check(args: &mut Args) -> Result<(), String> {
    match args.text(0) {
        b"head" | b"tail" | b"first" => Ok(()),
        number if !number.is_empty() && number.iter().all(u8::is_ascii_digit) => Ok(()),
        _ => Err("Block position is an integer or one of following values: head, tail, first".into()),
    }
}

const fn of_message(name: &'static str, help: &'static str, eval: crate::row::FetchFn) -> Fetch {
    Fetch::new(name, Type::Int, EITHER, help, eval).impure()
}
const fn of_block(name: &'static str, output: Type, help: &'static str, eval: crate::row::FetchFn) -> Fetch {
    Fetch::new(name, output, EITHER, help, eval).with(1, &[ArgKind::Str]).checked(check).impure()
}

/// Rows.
pub const ROWS: SampleRows = SampleRows {
    fetches: &[
        of_message("internal.htx.data", "Bytes of a message's blocks.", |_, s, _| number(s, |b| b.data())),
        of_message("internal.htx.used", "The same with what is kept of each block.", |_, s, _| {
            number(s, |b| b.used())
        }),
        of_message("internal.htx.size", "Bytes that the blocks of a message may have.", |_, s, _| {
            number(s, |_| room())
        }),
        of_message("internal.htx.free", "Bytes that are left of them.", |_, s, _| {
            number(s, |b| room().saturating_sub(b.used()))
        }),
        of_message("internal.htx.free_data", "Bytes that are left for one more block.", |_, s, _| {
            number(s, |b| room().saturating_sub(b.used() + PER_BLOCK))
        }),
        of_message("internal.htx.nbblks", "How many blocks a message has.", |_, s, _| {
            number(s, |b| b.count())
        }),
        Fetch::new("internal.htx.has_eom", Type::Bool, EITHER, "Is the message complete?", |_, s, _| {
            message(s, |b| Value::Bool(!b.grows()))
        })
        .impure(),
        of_block("internal.htx_blk.size", Type::Int, "Bytes of a block.", |a, s, _| {
            block(a, s, |all, b| Value::Int(b.map_or(0, |b| all.size(&b)) as i64))
        }),
        of_block("internal.htx_blk.type", Type::Str, "Type of a block.", |a, s, _| {
            block(a, s, |all, b| {
                Value::str(match (b, all.direction) {
                    (None, _) => b"HTX_BLK_UNUSED",
                    (Some(Block::Line), Direction::Request) => b"HTX_BLK_REQ_SL",
                    (Some(Block::Line), Direction::Response) => b"HTX_BLK_RES_SL",
                    (Some(Block::Field(..)), _) => b"HTX_BLK_HDR",
                    (Some(Block::EndOfHead), _) => b"HTX_BLK_EOH",
                    (Some(Block::Data(_)), _) => b"HTX_BLK_DATA",
                    (Some(Block::EndOfChunks), _) => b"HTX_BLK_EOT",
                })
            })
        }),
        of_block("internal.htx_blk.data", Type::Bin, "Bytes of a block of payload.", |a, s, _| {
            block(a, s, |_, b| Value::bin(if let Some(Block::Data(bytes)) = b { bytes } else { b"" }))
        }),
        of_block("internal.htx_blk.hdrname", Type::Str, "Name of a field.", |a, s, _| {
            block(a, s, |_, b| Value::str(if let Some(Block::Field(name, _)) = b { name } else { b"" }))
        }),
        of_block("internal.htx_blk.hdrval", Type::Str, "Value of a field.", |a, s, _| {
            block(a, s, |_, b| Value::str(if let Some(Block::Field(_, value)) = b { value } else { b"" }))
        }),
        of_block("internal.htx_blk.start_line", Type::Str, "A message's first line.", |a, s, _| {
            block(a, s, |all, b| match b {
                Some(Block::Line) => Value::Str(Cow::Owned(all.line())),
                _ => Value::str(b""),
            })
        }),
        Fetch::new("internal.strm.is_htx", Type::Bool, INTERNAL, "Is it a stream of HTTP?", |_, s, _| {
            Value::Bool(s.facts.http).into()
        }),
    ],
    converters: &[],
    acls: &[],
};
