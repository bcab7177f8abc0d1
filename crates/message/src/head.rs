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
    /// Status code of a response.
    pub status: u16,
    /// Version.
    pub version: Version,
}

impl Head {
    /// Empties it; what it has allocated is kept.
    #[inline]
    pub fn clear(&mut self) {
        self.arena.clear();
        self.fields.clear();
        (self.first, self.second) = (Range::default(), Range::default());
        self.status = 0;
        self.version = Version::HTTP_11;
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) -> Range {
        let start = self.arena.len() as u32;
        self.arena.extend_from_slice(bytes);
        Range { start, len: bytes.len() as u32 }
    }

    #[inline]
    fn get(&self, r: Range) -> &[u8] {
        self.arena.get(r.start as usize..(r.start + r.len) as usize).unwrap_or(&[])
    }

    /// Takes over the bytes of a head as received; fields are then added with [`Head::push_raw`].
    #[inline]
    pub fn load(&mut self, raw: &[u8]) {
        self.clear();
        self.arena.extend_from_slice(raw);
    }

    /// Start line of a request whose parts stand in the loaded bytes.
    #[inline]
    pub fn request_at(
        &mut self,
        method: std::ops::Range<usize>,
        target: std::ops::Range<usize>,
        version: Version,
    ) {
        self.first = Range { start: method.start as u32, len: (method.end - method.start) as u32 };
        self.second = Range { start: target.start as u32, len: (target.end - target.start) as u32 };
        self.version = version;
    }

    /// Start line of a response whose reason stands in the loaded bytes.
    #[inline]
    pub fn response_at(&mut self, version: Version, status: u16, reason: std::ops::Range<usize>) {
        self.first = Range { start: reason.start as u32, len: (reason.end - reason.start) as u32 };
        self.version = version;
        self.status = status;
    }

    /// Adds a received field: the name in lower case, line ends inside a folded value as blanks.
    #[inline]
    pub fn push_raw(&mut self, name: &[u8], value: &[u8], folded: bool) {
        let (name, value) = (self.put(name), self.put(value));
        if let Some(n) = self.arena.get_mut(name.start as usize..(name.start + name.len) as usize) {
            n.make_ascii_lowercase();
        }
        if folded
            && let Some(v) = self.arena.get_mut(value.start as usize..(value.start + value.len) as usize)
        {
            v.iter_mut().filter(|b| matches!(b, b'\r' | b'\n')).for_each(|b| *b = b' ');
        }
        let id = HeaderId::of(self.get(name));
        self.fields.push(Stored { name, value, id });
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
    /// All fields in order.
    pub fn fields(&self) -> impl DoubleEndedIterator<Item = Field<'_>> + ExactSizeIterator {
        self.fields.iter().map(|f| Field { id: f.id, name: self.get(f.name), value: self.get(f.value) })
    }
    /// Values of all fields of a known name, in order.
    pub fn all(&self, id: HeaderId) -> impl Iterator<Item = &[u8]> {
        self.fields.iter().filter(move |f| f.id == id).map(|f| self.get(f.value))
    }
    /// The first value of a known name.
    #[inline]
    #[must_use]
    pub fn first(&self, id: HeaderId) -> Option<&[u8]> {
        self.fields.iter().find(|f| f.id == id).map(|f| self.get(f.value))
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
        self.fields.push(Stored { name: name_r, value: value_r, id: HeaderId::of(name) });
    }
    /// Adds a field at the front.
    pub fn push_front(&mut self, name: &[u8], value: &[u8]) {
        let (name_r, value_r) = (self.put(name), self.put(value));
        self.fields.insert(0, Stored { name: name_r, value: value_r, id: HeaderId::of(name) });
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
    /// Removes every field of a known name; how many there were.
    pub fn remove_id(&mut self, id: HeaderId) -> usize {
        let before = self.fields.len();
        if self.fields.iter().any(|f| f.id == id) {
            self.fields.retain(|f| f.id != id);
        }
        before - self.fields.len()
    }
    /// Removes every field of this name (any case); how many there were.
    pub fn remove_all(&mut self, name: &[u8]) -> usize {
        let before = self.fields.len();
        let arena = &self.arena;
        self.fields.retain(|f| {
            let this = arena.get(f.name.start as usize..(f.name.start + f.name.len) as usize).unwrap_or(&[]);
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
