//! Bytes for the network. The memory is zeroed once and then used again as it is: the library wants it initialized, and records
//! are written over all of it.

/// What waits to be sent.
#[derive(Default)]
pub(super) struct Outgoing {
    /// All of it is initialized; what counts is from `from` to `end`.
    bytes: Vec<u8>,
    from: usize,
    end: usize,
}

impl Outgoing {
    /// What waits.
    pub(super) fn waiting(&self) -> &[u8] {
        self.bytes.get(self.from..self.end).unwrap_or(&[])
    }
    /// Was all of it sent?
    pub(super) fn is_empty(&self) -> bool {
        self.end == 0
    }
    /// Where it ends, counted from what was written first since all was sent.
    pub(super) fn end(&self) -> usize {
        self.end
    }
    /// How much of that was sent.
    pub(super) fn gone(&self) -> usize {
        self.from
    }
    /// So much of it was sent. True: that is all.
    pub(super) fn sent(&mut self, n: usize) -> bool {
        self.from += n;
        let all = self.from >= self.end;
        if all {
            (self.from, self.end) = (0, 0);
        }
        all
    }
    /// Room for so many bytes behind it.
    pub(super) fn room(&mut self, bytes: usize) -> &mut [u8] {
        let to = self.end + bytes;
        if self.bytes.len() < to {
            self.bytes.resize(to, 0);
        }
        self.bytes.get_mut(self.end..to).unwrap_or(&mut [])
    }
    /// So many bytes of the room were written.
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.end = (self.end + bytes).min(self.bytes.len());
    }
    /// This waits, and nothing else.
    pub(super) fn replace(&mut self, bytes: &[u8]) {
        (self.from, self.end) = (0, 0);
        self.room(bytes.len()).copy_from_slice(bytes);
        self.wrote(bytes.len());
    }
    /// Uses this memory from now on, if nothing waits.
    pub(super) fn lend(&mut self, memory: Vec<u8>) {
        if self.is_empty() {
            self.bytes = memory;
        }
    }
    /// Gives the memory away; what waits stays in memory of its own.
    pub(super) fn back(&mut self) -> Vec<u8> {
        let left = self.waiting().to_vec();
        (self.from, self.end) = (0, left.len());
        std::mem::replace(&mut self.bytes, left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_stays() {
        let mut out = Outgoing::default();
        out.lend(vec![7; 4]);
        out.room(3).copy_from_slice(b"abc");
        out.wrote(3);
        out.room(3).copy_from_slice(b"def");
        out.wrote(2);
        assert_eq!((out.waiting(), out.end()), (&b"abcde"[..], 5));
        assert!(!out.sent(2));
        assert_eq!((out.waiting(), out.gone()), (&b"cde"[..], 2));
        out.lend(vec![]);
        assert_eq!(out.back().len(), 6);
        assert_eq!((out.waiting(), out.gone(), out.end()), (&b"cde"[..], 0, 3));
        assert!(out.sent(3) && out.is_empty() && out.waiting().is_empty());
        assert_eq!(out.back(), b"cde");
    }
}
