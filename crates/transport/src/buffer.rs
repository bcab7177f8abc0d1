//! Pooled receive buffers: handed out by ownership, taken back when empty, so that an idle connection holds none.

use std::cell::{Cell, RefCell};
use std::ops::Range;

/// A byte buffer with a window of unread bytes.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    /// One of a worker's [`Buffers`], of this size.
    of: Option<Size>,
}

#[derive(Clone, Copy, Debug)]
enum Size {
    Normal,
    Large,
}

thread_local! {
    /// How many buffers of each size this thread has made and not dropped.
    static MADE: [Cell<u64>; 2] = const { [Cell::new(0), Cell::new(0)] };
}

fn made(size: Size) -> u64 {
    MADE.with(|m| m[size as usize].get())
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(size) = self.of {
            // a thread that ends counts no more
            let _ = MADE.try_with(|m| m[size as usize].set(m[size as usize].get().wrapping_sub(1)));
        }
    }
}

impl Buffer {
    /// A buffer that can hold `size` bytes.
    #[must_use]
    pub fn with_capacity(size: usize) -> Self {
        Self { bytes: Vec::with_capacity(size), start: 0, of: None }
    }
    fn counted(bytes: usize, size: Size) -> Self {
        MADE.with(|m| m[size as usize].set(m[size as usize].get().wrapping_add(1)));
        Self { bytes: Vec::with_capacity(bytes), start: 0, of: Some(size) }
    }
    /// The unread bytes.
    #[inline]
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or(&[])
    }
    /// The unread bytes, to be changed in place.
    #[inline]
    pub fn data_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..).unwrap_or(&mut [])
    }
    /// How many bytes are unread.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
    }
    /// Nothing unread?
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.len() == self.start
    }
    /// How many bytes it can hold in all.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
    /// Drops the first `n` unread bytes.
    #[inline]
    pub fn consume(&mut self, n: usize) {
        self.start = (self.start + n).min(self.bytes.len());
        if self.start == self.bytes.len() {
            self.clear();
        }
    }
    /// Keeps only the first `n` unread bytes.
    pub fn truncate(&mut self, n: usize) {
        self.bytes.truncate(self.start + n);
    }
    /// Removes `range` of the unread bytes.
    pub fn remove(&mut self, range: Range<usize>) {
        self.bytes.drain(self.start + range.start..self.start + range.end);
    }
    /// Drops everything.
    #[inline]
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.start = 0;
    }
    /// Appends bytes; the buffer may grow.
    pub fn extend(&mut self, more: &[u8]) {
        self.bytes.extend_from_slice(more);
    }
    /// The room behind the data, for the system to fill; moves the data to the front when there is none left behind.
    #[inline]
    pub fn spare(&mut self) -> &mut Vec<u8> {
        if self.start > 0 && self.bytes.len() == self.bytes.capacity() {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        &mut self.bytes
    }
    /// Is there no room left for more?
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len() >= self.bytes.capacity()
    }
    /// The bytes as a plain vector to be written to.
    pub fn vec(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

/// A worker's spare buffers of two sizes.
#[derive(Debug)]
pub struct Buffers {
    size: usize,
    large: usize,
    normal_spares: RefCell<Vec<Buffer>>,
    large_spares: RefCell<Vec<Buffer>>,
    keep: usize,
}

impl Buffers {
    /// `size` as `tune.bufsize`; `large` for bodies; up to `keep` spares of each are kept.
    #[must_use]
    pub fn new(size: usize, large: usize, keep: usize) -> Self {
        Self { size, large, normal_spares: RefCell::default(), large_spares: RefCell::default(), keep }
    }
    /// `tune.bufsize`.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }
    /// A buffer of `tune.bufsize`.
    pub fn take(&self) -> Buffer {
        self.normal_spares.borrow_mut().pop().unwrap_or_else(|| Buffer::counted(self.size, Size::Normal))
    }
    /// A buffer for bulk data.
    pub fn take_large(&self) -> Buffer {
        self.large_spares.borrow_mut().pop().unwrap_or_else(|| Buffer::counted(self.large, Size::Large))
    }
    /// Of each size: its bytes, how many buffers there are, how many of them are in use.
    #[must_use]
    pub fn counts(&self) -> [[u64; 3]; 2] {
        let of = |size, bytes: usize, spares: &RefCell<Vec<Buffer>>| {
            let all = made(size);
            [bytes as u64, all, all.saturating_sub(spares.borrow().len() as u64)]
        };
        [of(Size::Normal, self.size, &self.normal_spares), of(Size::Large, self.large, &self.large_spares)]
    }
    /// Takes a buffer back.
    pub fn give(&self, mut b: Buffer) {
        b.clear();
        let spares = match b.capacity() {
            c if c == self.size => &self.normal_spares,
            c if c == self.large => &self.large_spares,
            _ => return,
        };
        let mut spares = spares.borrow_mut();
        if spares.len() < self.keep {
            spares.push(b);
        }
    }
}
