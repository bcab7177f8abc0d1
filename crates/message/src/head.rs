//! The head of a request or response: one arena of bytes, and ranges into it. Order and duplicates are kept.

use crate::field::HeaderId;

/// HTTP version of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Major.
    pub major: u8,
    /// Minor.
    pub minor: u8,
}

impl Version {
    /// HTTP/1.0
    pub const HTTP_10: Version = Version { major: 1, minor: 0 };
    /// HTTP/1.1
    pub const HTTP_11: Version = Version { major: 1, minor: 1 };
}

/// A range of the arena.
#[derive(Clone, Copy, Debug, Default)]
struct Range {
    start: u32,
    len: u32,
}

impl From<std::ops::Range<usize>> for Range {
    #[inline]
    fn from(r: std::ops::Range<usize>) -> Self {
        Self { start: r.start as u32, len: r.end.saturating_sub(r.start) as u32 }
    }
}

/// One field as it is stored.
#[derive(Clone, Copy, Debug)]
struct Stored {
    name: Range,
    value: Range,
    id: HeaderId,
}

/// One header field.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// Which name, if it is one that the proxy acts on.
    pub id: HeaderId,
    /// The name, in the case in which it came.
    pub name: &'a [u8],
    /// The value without surrounding blanks.
    pub value: &'a [u8],
}

/// The head of a message. For a request, `method` and `target` are used, for a response `status` and `reason`.
#[derive(Clone, Debug, Default)]
pub struct Head {
    arena: Vec<u8>,
    fields: Vec<Stored>,
    /// Method or reason phrase.
    first: Range,
    /// Request target.
    second: Range,
    /// Version as received, when it is not one of ours (RTSP/1.0 and the like, in relaxed parsing).
    odd_version: Range,
    /// Bits of the [`HeaderId`]s that may be there: a clear bit means "none", so that most searches end at once.
    present: u64,
    /// Status code of a response.
    pub status: u16,
    /// Version.
    pub version: Version,
    /// The target is absolute only because the message came in parts (HTTP/2): an HTTP/1 server is sent its path.
    pub normalized: bool,
}

impl Head {
    /// Empties it; what it has allocated is kept.
    #[inline]
    pub fn clear(&mut self) {
        self.arena.clear();
        self.fields.clear();
        (self.first, self.second, self.odd_version) = (Range::default(), Range::default(), Range::default());
        self.present = 0;
        self.status = 0;
        self.version = Version::HTTP_11;
        self.normalized = false;
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) -> Range {
        let start = self.arena.len() as u32;
        self.arena.extend_from_slice(bytes);
        Range { start, len: bytes.len() as u32 }
    }

    #[inline]
    fn get(&self, r: Range) -> &[u8] {
        let start = r.start as usize;
        self.arena.get(start..start + r.len as usize).unwrap_or(&[])
    }

    /// Adds a field whose parts stand in bytes that [`Head::adopt`] will be given.
    #[inline]
    pub fn field_at(&mut self, name: std::ops::Range<usize>, value: std::ops::Range<usize>) {
        self.fields.push(Stored { name: name.into(), value: value.into(), id: HeaderId::Other });
    }

    /// Where a decoder writes to that makes names and values one by one. What it has written becomes part of the head by
    /// [`Head::field_of`] and [`Head::request_at`].
    #[inline]
    pub fn arena(&mut self) -> &mut Vec<u8> {
        &mut self.arena
    }

    /// Bytes that were written to [`Head::arena`].
    #[inline]
    #[must_use]
    pub fn written(&self, range: std::ops::Range<usize>) -> &[u8] {
        self.arena.get(range).unwrap_or(&[])
    }

    /// Adds a field whose parts stand in the arena, its name in lower case.
    #[inline]
    pub fn field_of(&mut self, id: HeaderId, name: std::ops::Range<usize>, value: std::ops::Range<usize>) {
        self.present |= 1 << id as u32;
        self.fields.push(Stored { name: name.into(), value: value.into(), id });
    }

    /// Takes over the bytes that `request_at`, `response_at` and `field_at` have spoken of: one copy, names in lower
    /// case, line ends inside folded values as blanks. Only for a head that was cleared before.
    #[inline]
    pub fn adopt(&mut self, raw: &[u8], folded: bool) {
        self.arena.extend_from_slice(raw);
        let mut present = 0;
        for f in &mut self.fields {
            let start = f.name.start as usize;
            if let Some(name) = self.arena.get_mut(start..start + f.name.len as usize) {
                f.id = HeaderId::of_lowering(name);
            }
            present |= 1 << f.id as u32;
        }
        self.present = present;
        if folded {
            for f in &self.fields {
                let start = f.value.start as usize;
                if let Some(value) = self.arena.get_mut(start..start + f.value.len as usize) {
                    value.iter_mut().filter(|b| matches!(b, b'\r' | b'\n')).for_each(|b| *b = b' ');
                }
            }
        }
    }

    /// May there be a field of this name? `false` is certain, and quick.
    #[inline]
    #[must_use]
    pub fn may_have(&self, id: HeaderId) -> bool {
        self.present & 1 << id as u32 != 0
    }

    /// The version as received, when it is no `HTTP/x.y` (relaxed parsing only); empty otherwise.
    #[must_use]
    pub fn odd_version(&self) -> &[u8] {
        self.get(self.odd_version)
    }
    /// The version stands there and is no `HTTP/x.y`.
    pub fn odd_version_at(&mut self, text: std::ops::Range<usize>) {
        self.odd_version = text.into();
    }

    /// Start line of a request whose parts stand in the loaded bytes.
    #[inline]
    pub fn request_at(
        &mut self,
        method: std::ops::Range<usize>,
        target: std::ops::Range<usize>,
        version: Version,
    ) {
        (self.first, self.second) = (method.into(), target.into());
        self.version = version;
    }

    /// The target stands in the arena.
    pub fn target_at(&mut self, target: std::ops::Range<usize>) {
        self.second = target.into();
    }

    /// Start line of a response whose reason stands in the loaded bytes.
    #[inline]
    pub fn response_at(&mut self, version: Version, status: u16, reason: std::ops::Range<usize>) {
        self.first = reason.into();
        self.version = version;
        self.status = status;
    }

    /// Start line of a request.
    pub fn set_request(&mut self, method: &[u8], target: &[u8], version: Version) {
        self.first = self.put(method);
        self.second = self.put(target);
        self.version = version;
    }

    /// Start line of a response.
    pub fn set_response(&mut self, version: Version, status: u16, reason: &[u8]) {
        self.first = self.put(reason);
        self.version = version;
        self.status = status;
    }

    /// The method of a request.
    #[must_use]
    pub fn method(&self) -> &[u8] {
        self.get(self.first)
    }
    /// Changes the method.
    pub fn set_method(&mut self, method: &[u8]) {
        self.first = self.put(method);
    }
    /// The request target as received or rewritten.
    #[must_use]
    pub fn target(&self) -> &[u8] {
        self.get(self.second)
    }
    /// Changes the request target.
    pub fn set_target(&mut self, target: &[u8]) {
        self.second = self.put(target);
    }
    /// The reason phrase of a response.
    #[must_use]
    pub fn reason(&self) -> &[u8] {
        self.get(self.first)
    }
    /// Changes the reason phrase.
    pub fn set_reason(&mut self, reason: &[u8]) {
        self.first = self.put(reason);
    }

    /// How many fields.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fields.len()
    }
    /// No field at all?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
    /// Bytes that its arena takes, for limits.
    #[must_use]
    pub fn size(&self) -> usize {
        self.arena.len()
    }

    /// The field at `index`.
    #[inline]
    #[must_use]
    pub fn field(&self, index: usize) -> Option<Field<'_>> {
        let f = self.fields.get(index)?;
        Some(Field { id: f.id, name: self.get(f.name), value: self.get(f.value) })
    }
    /// All fields as lines of HTTP/1. What stands in the arena as it was received is copied in one piece.
    pub fn write_fields(&self, out: &mut Vec<u8>) {
        let mut run = 0..0;
        for f in &self.fields {
            let line = self.line_of(f);
            if line.start != run.end || line.is_empty() {
                out.extend_from_slice(self.arena.get(run).unwrap_or(&[]));
                run = line.clone();
            }
            run.end = line.end;
            if line.is_empty() {
                for part in [self.get(f.name), b": ", self.get(f.value), b"\r\n"] {
                    out.extend_from_slice(part);
                }
            }
        }
        out.extend_from_slice(self.arena.get(run).unwrap_or(&[]));
    }

    /// Where a field stands in the arena as the line that it is written as; empty if it does not.
    fn line_of(&self, f: &Stored) -> std::ops::Range<usize> {
        let start = f.name.start as usize;
        let colon = start + f.name.len as usize;
        let value = f.value.start as usize;
        let end = value + f.value.len as usize;
        let is = |at: usize, what: &[u8; 2]| self.arena.get(at..at + 2) == Some(what);
        if colon + 2 == value && is(colon, b": ") && is(end, b"\r\n") { start..end + 2 } else { end..end }
    }

    /// All fields in order.
    pub fn fields(&self) -> impl DoubleEndedIterator<Item = Field<'_>> + ExactSizeIterator {
        self.fields.iter().map(|f| Field { id: f.id, name: self.get(f.name), value: self.get(f.value) })
    }
    /// Values of all fields of a known name, in order.
    pub fn all(&self, id: HeaderId) -> impl Iterator<Item = &[u8]> {
        let all = if self.may_have(id) { self.fields.as_slice() } else { &[] };
        all.iter().filter(move |f| f.id == id).map(|f| self.get(f.value))
    }
    /// The first value of a known name.
    #[inline]
    #[must_use]
    pub fn first(&self, id: HeaderId) -> Option<&[u8]> {
        if !self.may_have(id) {
            return None;
        }
        self.fields.iter().find(|f| f.id == id).map(|f| self.get(f.value))
    }
    /// Where the first field of a known name stands.
    #[inline]
    #[must_use]
    pub fn position(&self, id: HeaderId) -> Option<usize> {
        if self.may_have(id) { self.fields.iter().position(|f| f.id == id) } else { None }
    }
    /// Values of all fields of this name (any case), in order.
    pub fn named<'a>(&'a self, name: &'a [u8]) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        self.fields
            .iter()
            .filter(move |f| f.name.len as usize == name.len() && self.get(f.name).eq_ignore_ascii_case(name))
            .map(|f| self.get(f.value))
    }
    /// Is there a field of this name?
    #[must_use]
    pub fn has(&self, name: &[u8]) -> bool {
        self.named(name).next().is_some()
    }

    /// Adds a field at the end.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let (name_r, value_r) = (self.put(name), self.put(value));
        let id = HeaderId::of(name);
        self.present |= 1 << id as u32;
        self.fields.push(Stored { name: name_r, value: value_r, id });
    }
    /// Adds a field at the end whose value is written in place.
    pub fn push_with(&mut self, name: &[u8], write: impl FnOnce(&mut Vec<u8>)) {
        let name_r = self.put(name);
        let start = self.arena.len() as u32;
        write(&mut self.arena);
        let value = Range { start, len: self.arena.len() as u32 - start };
        let id = HeaderId::of(name);
        self.present |= 1 << id as u32;
        self.fields.push(Stored { name: name_r, value, id });
    }
    /// Adds a field at the front.
    pub fn push_front(&mut self, name: &[u8], value: &[u8]) {
        let (name_r, value_r) = (self.put(name), self.put(value));
        let id = HeaderId::of(name);
        self.present |= 1 << id as u32;
        self.fields.insert(0, Stored { name: name_r, value: value_r, id });
    }
    /// Changes the value of the field at `index`.
    pub fn set_value(&mut self, index: usize, value: &[u8]) {
        let r = self.put(value);
        if let Some(f) = self.fields.get_mut(index) {
            f.value = r;
        }
    }
    /// Removes the field at `index`.
    pub fn remove(&mut self, index: usize) {
        if index < self.fields.len() {
            self.fields.remove(index);
        }
    }
    /// The fields of a known name stand behind all others then.
    pub fn move_to_end(&mut self, id: HeaderId) {
        if self.may_have(id) && self.fields.last().is_some_and(|f| f.id != id) {
            self.fields.sort_by_key(|f| f.id == id);
        }
    }
    /// Removes every field of a known name; how many there were.
    pub fn remove_id(&mut self, id: HeaderId) -> usize {
        let before = self.fields.len();
        if self.may_have(id) {
            self.fields.retain(|f| f.id != id);
            if id != HeaderId::Other {
                self.present &= !(1 << id as u32);
            }
        }
        before - self.fields.len()
    }
    /// Removes every field of this name (any case); how many there were.
    pub fn remove_all(&mut self, name: &[u8]) -> usize {
        let before = self.fields.len();
        let arena = &self.arena;
        self.fields.retain(|f| {
            let start = f.name.start as usize;
            let this = arena.get(start..start + f.name.len as usize).unwrap_or(&[]);
            !this.eq_ignore_ascii_case(name)
        });
        before - self.fields.len()
    }
    /// Keeps the fields that `keep` says yes to.
    pub fn retain(&mut self, mut keep: impl FnMut(Field<'_>) -> bool) {
        let mut kept = std::mem::take(&mut self.fields);
        kept.retain(|f| keep(Field { id: f.id, name: self.get(f.name), value: self.get(f.value) }));
        self.fields = kept;
    }
    /// `set-header`: every field of this name is removed and one added at the end.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        self.remove_all(name);
        self.push(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_duplicates_and_changes() {
        let mut h = Head::default();
        h.set_request(b"GET", b"/", Version::HTTP_11);
        h.push(b"Host", b"a");
        h.push(b"X-A", b"1");
        h.push(b"x-a", b"2");
        assert_eq!(h.named(b"X-a").collect::<Vec<_>>(), [b"1", b"2"]);
        h.set(b"x-A", b"3");
        assert_eq!(h.fields().map(|f| f.value.to_vec()).collect::<Vec<_>>(), [b"a", b"3"]);
        assert_eq!(h.first(HeaderId::Host), Some(&b"a"[..]));
        h.set_target(b"/b");
        h.set_value(0, b"c");
        h.push_front(b"A", b"z");
        assert_eq!(h.target(), b"/b");
        assert_eq!(h.fields().map(|f| f.value.to_vec()).collect::<Vec<_>>(), [b"z", b"c", b"3"]);
        assert_eq!(h.remove_id(HeaderId::Host), 1);
        h.retain(|f| f.name != b"A");
        assert_eq!(h.len(), 1);
        h.clear();
        assert!(h.is_empty() && h.target().is_empty());
    }
}
