//! HPACK (RFC 7541): header blocks into an arena of `name: value` lines and out of it.

use super::huffman;
use portcullis_message::{HeaderId, field, perfect};
use std::collections::VecDeque;

/// Pseudo-header fields (RFC 9113 section 8.3, RFC 8441 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pseudo {
    /// `:method`
    Method,
    /// `:scheme`
    Scheme,
    /// `:authority`
    Authority,
    /// `:path`
    Path,
    /// `:protocol`
    Protocol,
    /// `:status`
    Status,
}

/// What a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// A field's.
    Field(HeaderId),
    /// A pseudo-header field's.
    Pseudo(Pseudo),
    /// None: not a token in lower case, or a pseudo-header field that nobody knows.
    Malformed,
    /// It has no byte at all.
    Empty,
}

impl Name {
    /// What these bytes are.
    #[must_use]
    pub fn of(name: &[u8]) -> Self {
        match name {
            [] => Self::Empty,
            [b':', ..] => match name {
                b":method" => Self::Pseudo(Pseudo::Method),
                b":scheme" => Self::Pseudo(Pseudo::Scheme),
                b":authority" => Self::Pseudo(Pseudo::Authority),
                b":path" => Self::Pseudo(Pseudo::Path),
                b":protocol" => Self::Pseudo(Pseudo::Protocol),
                b":status" => Self::Pseudo(Pseudo::Status),
                _ => Self::Malformed,
            },
            _ if name.iter().all(|b| LOWER_TOKEN[usize::from(*b)]) => Self::Field(HeaderId::of(name)),
            _ => Self::Malformed,
        }
    }
}

/// Bytes of a field's name (RFC 9113 section 8.2.1).
const LOWER_TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0;
    while b < 256 {
        table[b] = field::is_token(b as u8) && !(b as u8).is_ascii_uppercase();
        b += 1;
    }
    table
};

/// A field that was decoded: where its line `name: value` with the line end stands in the arena, and what it is.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// Where the name begins.
    pub start: usize,
    /// Bytes of the name.
    pub name: usize,
    /// Where the line ends, behind CR and LF.
    pub end: usize,
    /// What the name is.
    pub what: Name,
    /// The value has neither NUL nor CR nor LF.
    pub sound: bool,
}

impl Line {
    /// Where the name stands.
    #[must_use]
    pub fn name(&self) -> std::ops::Range<usize> {
        self.start..self.start + self.name
    }
    /// Where the value stands.
    #[must_use]
    pub fn value(&self) -> std::ops::Range<usize> {
        self.start + self.name + 2..self.end - 2
    }
}

/// Who takes the fields of a block.
pub trait Sink {
    /// What lines are written to; `None`: it has enough, they are only decoded so that the table stays right.
    fn arena(&mut self) -> Option<&mut Vec<u8>>;
    /// One more line.
    fn take(&mut self, line: Line);
}

/// A block that cannot be decoded: nothing more can be on this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl From<huffman::Malformed> for Malformed {
    fn from(_: huffman::Malformed) -> Self {
        Self
    }
}

/// An entry of the dynamic table.
#[derive(Clone, Debug)]
struct Entry {
    line: Box<[u8]>,
    name: u32,
    what: Name,
    sound: bool,
}

impl Entry {
    /// RFC 7541 section 4.1.
    fn size(&self) -> usize {
        self.line.len() - 4 + 32
    }
}

/// Decodes the blocks of a connection, one after the other.
#[derive(Clone, Debug)]
pub struct Decoder {
    entries: VecDeque<Entry>,
    size: usize,
    /// What the peer's encoder uses now.
    capacity: usize,
    /// The most that it may use: our setting.
    limit: usize,
    scrap: Vec<u8>,
}

/// A name or an entry as an index finds it.
struct Found<'t> {
    line: &'t [u8],
    name: usize,
    what: Name,
    sound: bool,
}

impl Decoder {
    /// With this `SETTINGS_HEADER_TABLE_SIZE`.
    #[must_use]
    pub fn new(limit: u32) -> Self {
        let limit = limit as usize;
        Self { entries: VecDeque::new(), size: 0, capacity: limit.min(4096), limit, scrap: Vec::new() }
    }

    /// How much the entries take (RFC 7541 section 4.1).
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// RFC 7541 section 2.3.3.
    fn find(&self, index: usize) -> Result<Found<'_>, Malformed> {
        if let Some((line, name, what)) = index.checked_sub(1).and_then(|i| STATIC.get(i)) {
            return Ok(Found { line: line.as_bytes(), name: *name, what: *what, sound: true });
        }
        let entry = index.checked_sub(1 + STATIC.len()).and_then(|i| self.entries.get(i)).ok_or(Malformed)?;
        Ok(Found { line: &entry.line, name: entry.name as usize, what: entry.what, sound: entry.sound })
    }

    /// RFC 7541 section 4.4.
    fn insert(&mut self, entry: Entry) {
        let size = entry.size();
        self.shrink(self.capacity.saturating_sub(size));
        if size <= self.capacity {
            self.size += size;
            self.entries.push_front(entry);
        }
    }

    /// RFC 7541 section 4.3.
    fn shrink(&mut self, to: usize) {
        while self.size > to {
            let Some(last) = self.entries.pop_back() else { return };
            self.size -= last.size();
        }
    }

    /// Decodes a whole block.
    ///
    /// # Errors
    /// [`Malformed`]: a connection error of type COMPRESSION_ERROR (RFC 9113 section 4.3).
    pub fn decode(&mut self, mut block: &[u8], sink: &mut impl Sink) -> Result<(), Malformed> {
        let mut fields = false;
        while let Some(first) = block.first().copied() {
            match first {
                // an indexed field (RFC 7541 section 6.1)
                0x80.. => {
                    let found = self.find(integer(&mut block, 7)?)?;
                    let Some(arena) = sink.arena() else {
                        block = self.skip_indexed(block);
                        fields = true;
                        continue;
                    };
                    let start = arena.len();
                    arena.extend_from_slice(found.line);
                    let end = arena.len();
                    let Found { name, what, sound, .. } = found;
                    sink.take(Line { start, name, end, what, sound });
                }
                // a new size (section 6.3), before the first field (section 4.2)
                0x20..0x40 => {
                    let size = integer(&mut block, 5)?;
                    if fields || size > self.limit {
                        return Err(Malformed);
                    }
                    self.capacity = size;
                    self.shrink(size);
                    continue;
                }
                // a literal (section 6.2), which becomes an entry or not
                0x40.. => self.literal(&mut block, 6, sink)?,
                _ => self.literal(&mut block, 4, sink)?,
            }
            fields = true;
        }
        Ok(())
    }

    /// Fields that nobody wants, as far as they are indexes of one byte that are there: not worth a look each.
    fn skip_indexed<'b>(&self, block: &'b [u8]) -> &'b [u8] {
        let most = 0x80 + (STATIC.len() + self.entries.len()).min(126) as u8;
        let n = block.iter().position(|b| !(0x81..=most).contains(b)).unwrap_or(block.len());
        block.get(n..).unwrap_or_default()
    }

    fn literal(&mut self, block: &mut &[u8], prefix: u32, sink: &mut impl Sink) -> Result<(), Malformed> {
        let mut scrap = std::mem::take(&mut self.scrap);
        let arena = match sink.arena() {
            Some(arena) => arena,
            None => {
                scrap.clear();
                &mut scrap
            }
        };
        let start = arena.len();
        let (name, what) = match integer(block, prefix)? {
            0 => {
                string(block, arena)?;
                (arena.len() - start, Name::of(&arena[start..]))
            }
            index => {
                let found = self.find(index)?;
                arena.extend_from_slice(found.line.get(..found.name).unwrap_or_default());
                (found.name, found.what)
            }
        };
        arena.extend_from_slice(b": ");
        let value = arena.len();
        string(block, arena)?;
        let sound = memchr::memchr3(0, b'\r', b'\n', &arena[value..]).is_none();
        arena.extend_from_slice(b"\r\n");
        let end = arena.len();
        if prefix == 6 {
            let line = arena[start..end].into();
            self.insert(Entry { line, name: name as u32, what, sound });
        }
        scrap.truncate(0);
        if sink.arena().is_some() {
            sink.take(Line { start, name, end, what, sound });
        }
        scrap.shrink_to(4096);
        self.scrap = scrap;
        Ok(())
    }
}

/// An integer (RFC 7541 section 5.1). Nothing here needs one that takes more than 28 bits behind its prefix.
fn integer(block: &mut &[u8], prefix: u32) -> Result<usize, Malformed> {
    let (first, mut rest) = block.split_first().ok_or(Malformed)?;
    let most = (1usize << prefix) - 1;
    let mut n = usize::from(*first) & most;
    if n == most {
        let mut shift = 0;
        loop {
            let (b, more) = rest.split_first().ok_or(Malformed)?;
            rest = more;
            if shift > 21 {
                return Err(Malformed);
            }
            n += usize::from(b & 0x7f) << shift;
            shift += 7;
            if b & 0x80 == 0 {
                break;
            }
        }
    }
    *block = rest;
    Ok(n)
}

/// A string (RFC 7541 section 5.2), behind what `out` holds.
fn string(block: &mut &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let coded = block.first().is_some_and(|b| b & 0x80 != 0);
    let len = integer(block, 7)?;
    let (text, rest) = block.split_at_checked(len).ok_or(Malformed)?;
    *block = rest;
    if coded {
        huffman::decode(text, out)?;
    } else {
        out.extend_from_slice(text);
    }
    Ok(())
}

/// Values from this length on are worth the work of the Huffman code.
const WORTH: usize = 32;

/// Writes an integer; `first` holds the bits before the prefix.
fn write_integer(first: u8, prefix: u32, n: usize, out: &mut Vec<u8>) {
    let most = (1usize << prefix) - 1;
    if n < most {
        return out.push(first | n as u8);
    }
    out.push(first | most as u8);
    let mut n = n - most;
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn write_string(text: &[u8], out: &mut Vec<u8>) {
    if text.len() >= WORTH {
        let coded = huffman::encoded_len(text);
        if coded < text.len() {
            write_integer(0x80, 7, coded, out);
            return huffman::encode(text, out);
        }
    }
    write_integer(0, 7, text.len(), out);
    out.extend_from_slice(text);
}

/// Writes a status (RFC 9113 section 8.3.2).
pub fn write_status(status: u16, out: &mut Vec<u8>) {
    let index = match status {
        200 => 8,
        204 => 9,
        206 => 10,
        304 => 11,
        400 => 12,
        404 => 13,
        500 => 14,
        _ => {
            let [a, b, c] = [status / 100 % 10, status / 10 % 10, status % 10].map(|d| b'0' + d as u8);
            return out.extend_from_slice(&[8, 3, a, b, c]);
        }
    };
    out.push(0x80 | index);
}

/// Writes a method.
pub fn write_method(method: &[u8], out: &mut Vec<u8>) {
    match method {
        b"GET" => out.push(0x82),
        b"POST" => out.push(0x83),
        _ => write_field(b":method", method, out),
    }
}

/// Writes a scheme.
pub fn write_scheme(scheme: &[u8], out: &mut Vec<u8>) {
    match scheme {
        b"http" => out.push(0x86),
        b"https" => out.push(0x87),
        _ => write_field(b":scheme", scheme, out),
    }
}

/// Writes a path with its query.
pub fn write_path(path: &[u8], out: &mut Vec<u8>) {
    match path {
        b"/" => out.push(0x84),
        _ => write_field(b":path", path, out),
    }
}

/// Writes a field as a literal that becomes no entry (RFC 7541 section 6.2.2), its name by the static table if that has it.
pub fn write_field(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    match static_name(name) {
        0 => {
            out.push(0);
            write_string(name, out);
        }
        index => write_integer(0, 4, usize::from(index), out),
    }
    write_string(trimmed(value), out);
}

/// A value without the blanks around it, which it may not have (RFC 9113 section 8.2.1).
fn trimmed(value: &[u8]) -> &[u8] {
    let blank = |b: Option<&u8>| matches!(b, Some(b' ' | b'\t'));
    if blank(value.first()) || blank(value.last()) { value.trim_ascii() } else { value }
}

/// Says that the dynamic table is not used (RFC 7541 section 4.2).
pub fn write_no_table(out: &mut Vec<u8>) {
    out.push(0x20);
}

/// The static table's first entry with this name; 0: none.
fn static_name(name: &[u8]) -> u8 {
    let index = NAMES[slot(name)];
    match usize::from(index).checked_sub(1).and_then(|i| STATIC.get(i)) {
        Some((line, len, _)) if line.as_bytes().get(..*len) == Some(name) => index,
        _ => 0,
    }
}

const SLOTS: usize = 512;
const SEED: u32 = perfect::seed::<9, true>(&STATIC_NAMES);
static NAMES: [u8; SLOTS] = names();
const STATIC_NAMES: [&[u8]; 61] = {
    let mut all: [&[u8]; 61] = [b""; 61];
    let mut i = 0;
    while i < all.len() {
        all[i] = name_of(i);
        i += 1;
    }
    all
};

/// A name's slot.
#[inline]
const fn slot(name: &[u8]) -> usize {
    perfect::slot::<9, true>(name, SEED)
}

const fn names() -> [u8; SLOTS] {
    let mut table = [0; SLOTS];
    let mut i = 0;
    while i < STATIC.len() {
        if is_first(i) {
            table[slot(name_of(i))] = i as u8 + 1;
        }
        i += 1;
    }
    table
}

/// The first entry of its name: entries of one name stand together.
const fn is_first(i: usize) -> bool {
    i == 0 || !perfect::same(name_of(i), name_of(i - 1))
}

const fn name_of(i: usize) -> &'static [u8] {
    STATIC[i].0.as_bytes().split_at(STATIC[i].1).0
}

macro_rules! fields {
    ($($name:literal $value:literal $what:expr,)*) => {
        /// The static table (RFC 7541 appendix A): lines, bytes of their names, and what these are.
        static STATIC: [(&str, usize, Name); 61] =
            [$((concat!($name, ": ", $value, "\r\n"), $name.len(), $what),)*];
    };
}

const OTHER: Name = Name::Field(HeaderId::Other);
const fn known(id: HeaderId) -> Name {
    Name::Field(id)
}
const fn pseudo(p: Pseudo) -> Name {
    Name::Pseudo(p)
}

fields! {
    ":authority" "" pseudo(Pseudo::Authority),
    ":method" "GET" pseudo(Pseudo::Method),
    ":method" "POST" pseudo(Pseudo::Method),
    ":path" "/" pseudo(Pseudo::Path),
    ":path" "/index.html" pseudo(Pseudo::Path),
    ":scheme" "http" pseudo(Pseudo::Scheme),
    ":scheme" "https" pseudo(Pseudo::Scheme),
    ":status" "200" pseudo(Pseudo::Status),
    ":status" "204" pseudo(Pseudo::Status),
    ":status" "206" pseudo(Pseudo::Status),
    ":status" "304" pseudo(Pseudo::Status),
    ":status" "400" pseudo(Pseudo::Status),
    ":status" "404" pseudo(Pseudo::Status),
    ":status" "500" pseudo(Pseudo::Status),
    "accept-charset" "" OTHER,
    "accept-encoding" "gzip, deflate" OTHER,
    "accept-language" "" OTHER,
    "accept-ranges" "" OTHER,
    "accept" "" OTHER,
    "access-control-allow-origin" "" OTHER,
    "age" "" OTHER,
    "allow" "" OTHER,
    "authorization" "" OTHER,
    "cache-control" "" OTHER,
    "content-disposition" "" OTHER,
    "content-encoding" "" OTHER,
    "content-language" "" OTHER,
    "content-length" "" known(HeaderId::ContentLength),
    "content-location" "" OTHER,
    "content-range" "" OTHER,
    "content-type" "" OTHER,
    "cookie" "" known(HeaderId::Cookie),
    "date" "" OTHER,
    "etag" "" OTHER,
    "expect" "" known(HeaderId::Expect),
    "expires" "" OTHER,
    "from" "" OTHER,
    "host" "" known(HeaderId::Host),
    "if-match" "" OTHER,
    "if-modified-since" "" OTHER,
    "if-none-match" "" OTHER,
    "if-range" "" OTHER,
    "if-unmodified-since" "" OTHER,
    "last-modified" "" OTHER,
    "link" "" OTHER,
    "location" "" OTHER,
    "max-forwards" "" OTHER,
    "proxy-authenticate" "" OTHER,
    "proxy-authorization" "" OTHER,
    "range" "" OTHER,
    "referer" "" OTHER,
    "refresh" "" OTHER,
    "retry-after" "" OTHER,
    "server" "" OTHER,
    "set-cookie" "" known(HeaderId::SetCookie),
    "strict-transport-security" "" OTHER,
    "transfer-encoding" "" known(HeaderId::TransferEncoding),
    "user-agent" "" OTHER,
    "vary" "" OTHER,
    "via" "" OTHER,
    "www-authenticate" "" OTHER,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_no_blanks_around_them() {
        let written = |value: &[u8]| {
            let mut out = Vec::new();
            write_field(b"x", value, &mut out);
            out
        };
        for value in [&b" a b"[..], b"a b\t ", b"\ta b"] {
            assert_eq!(written(value), written(b"a b"));
        }
        assert_eq!(written(b" \t"), written(b""));
    }
}
