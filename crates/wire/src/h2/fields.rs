//! What the fields of requests, responses and trailer sections have in common.

use super::hpack::Line;
use super::request::{Fault, Limits};
use portcullis_message::{Head, HeaderId, values};
use std::ops::Range;

/// Fields that are about a connection of HTTP/1 (RFC 9113 section 8.2.2).
pub(super) const fn is_of_connection(id: HeaderId) -> bool {
    matches!(
        id,
        HeaderId::Connection
            | HeaderId::KeepAlive
            | HeaderId::ProxyConnection
            | HeaderId::TransferEncoding
            | HeaderId::Upgrade
    )
}

/// May the field stand in a trailer section? Not what the whole message is about (RFC 9110 section 6.5.1).
pub(super) const fn may_trail(id: HeaderId) -> bool {
    !is_of_connection(id) && !matches!(id, HeaderId::ContentLength | HeaderId::Host | HeaderId::Te)
}

/// Without blanks around it, as HAProxy has it.
pub(super) fn trimmed(head: &Head, mut value: Range<usize>) -> Range<usize> {
    let text = head.written(value.clone());
    let front = text.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    value.start += front;
    let back = text.iter().skip(front).rev().take_while(|b| matches!(b, b' ' | b'\t')).count();
    value.end -= back;
    value
}

/// The fields of a block on their way into a head, with its limits, and the first fault of it.
pub(super) struct Fields<'h> {
    pub head: &'h mut Head,
    pub limits: Limits,
    pub fault: Option<Fault>,
    /// One has come: no pseudo-header field may follow.
    pub begun: bool,
    /// What Content-Length says.
    pub length: Option<u64>,
}

impl<'h> Fields<'h> {
    pub fn new(head: &'h mut Head, limits: Limits) -> Self {
        head.clear();
        Self { head, limits, fault: None, begun: false, length: None }
    }

    /// Where the next line goes; none behind a fault, as one line too much is.
    pub fn arena(&mut self) -> Option<&mut Vec<u8>> {
        if self.fault.is_some() {
            return None;
        }
        let arena = self.head.arena();
        if arena.len() <= self.limits.size {
            return Some(arena);
        }
        self.fault = Some(Fault::Malformed);
        None
    }

    /// A line was taken, or why not.
    pub fn taken(&mut self, result: Result<(), Fault>) {
        self.fault = self.fault.or(result.err());
    }

    /// One more field.
    pub fn push(&mut self, id: HeaderId, line: &Line, value: Range<usize>) -> Result<(), Fault> {
        if self.head.len() + 1 >= self.limits.fields {
            return Err(Fault::Malformed);
        }
        self.head.field_of(id, line.name(), value);
        Ok(())
    }

    /// A list of equal numbers counts as one (RFC 9110 section 8.6), also over several fields: one is written.
    pub fn content_length(&mut self, line: &Line, value: Range<usize>) -> Result<(), Fault> {
        let first = self.length.is_none();
        for element in values::elements(self.head.written(value)) {
            let n = number(element).ok_or(Fault::Malformed)?;
            if self.length.is_some_and(|before| before != n) {
                return Err(Fault::Malformed);
            }
            self.length = Some(n);
        }
        if !first {
            return Ok(());
        }
        let digits = self.length.unwrap_or(0).to_string();
        let arena = self.head.arena();
        let start = arena.len();
        arena.extend_from_slice(digits.as_bytes());
        let value = start..arena.len();
        self.head.field_of(HeaderId::ContentLength, line.name(), value);
        Ok(())
    }
}

/// Digits, at least one.
fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |n, b| match b {
        b'0'..=b'9' => n.checked_mul(10)?.checked_add(u64::from(b - b'0')),
        _ => None,
    })
}
