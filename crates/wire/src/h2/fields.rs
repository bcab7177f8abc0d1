//! What fields of requests and responses have in common.

use super::request::Fault;
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

/// Without blanks around it, as HAProxy has it.
pub(super) fn trimmed(head: &Head, mut value: Range<usize>) -> Range<usize> {
    let text = head.written(value.clone());
    let front = text.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    value.start += front;
    let back = text.iter().skip(front).rev().take_while(|b| matches!(b, b' ' | b'\t')).count();
    value.end -= back;
    value
}

/// A list of equal numbers counts as one (RFC 9110 section 8.6), also over several fields.
pub(super) fn content_length(text: &[u8], length: &mut Option<u64>) -> Result<(), Fault> {
    for element in values::elements(text) {
        if element.is_empty() {
            return Err(Fault::Malformed);
        }
        let n = element.iter().try_fold(0u64, |n, b| match b {
            b'0'..=b'9' => n.checked_mul(10)?.checked_add(u64::from(b - b'0')),
            _ => None,
        });
        let n = n.ok_or(Fault::Malformed)?;
        if length.is_some_and(|before| before != n) {
            return Err(Fault::Malformed);
        }
        *length = Some(n);
    }
    Ok(())
}

/// One Content-Length, as it is written.
pub(super) fn push_length(head: &mut Head, name: Range<usize>, length: Option<u64>) {
    let digits = length.unwrap_or(0).to_string();
    let arena = head.arena();
    let start = arena.len();
    arena.extend_from_slice(digits.as_bytes());
    let value = start..arena.len();
    head.field_of(HeaderId::ContentLength, name, value);
}
