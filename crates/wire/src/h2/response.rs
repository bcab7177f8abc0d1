//! A response's head as a header block (RFC 9113 section 8).

use super::fields::{is_of_connection, may_trail};
use super::hpack;
use portcullis_message::{Head, HeaderId};

/// Writes the block. A tunnel that HTTP/1 begins with 101 begins with 200 here (RFC 8441 section 4).
pub fn write(head: &Head, out: &mut Vec<u8>) {
    hpack::write_status(if head.status == 101 { 200 } else { head.status }, out);
    for f in head.fields() {
        match f.id {
            HeaderId::Te => {}
            id if is_of_connection(id) => {}
            // only what stands in front has such names
            _ if f.name.first() == Some(&b':') => {}
            _ => field(f.name, f.value, out),
        }
    }
}

/// Names are in lower case (RFC 9113 section 8.2.1).
pub(super) fn field(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    if name.iter().any(u8::is_ascii_uppercase) {
        hpack::write_field(&name.to_ascii_lowercase(), value, out);
    } else {
        hpack::write_field(name, value, out);
    }
}

/// Writes a trailer section that HTTP/1 has (`name: value` lines and an empty one) as a block.
pub fn write_trailers(section: &[u8], out: &mut Vec<u8>) {
    for line in section.split(|b| *b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let (name, value) = line.split_at(colon);
        let value = portcullis_message::values::trim(value.get(1..).unwrap_or_default());
        if may_trail(HeaderId::of(name)) {
            field(name, value, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_message::Version;

    /// What rules write and HTTP/2 has no place for is left out.
    #[test]
    fn fields_that_are_none_here() {
        let block = |fields: &[&[u8]]| {
            let mut head = Head::default();
            head.set_response(Version::HTTP_11, 200, b"OK");
            fields.iter().for_each(|name| head.push(name, b"v"));
            let mut out = Vec::new();
            write(&head, &mut out);
            out
        };
        assert_eq!(block(&[b":status", b":x", b"te", b"connection", b"a"]), block(&[b"A"]));
    }
}
