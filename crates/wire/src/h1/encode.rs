//! Writing heads, chunks and trailers.

use portcullis_message::{Head, Version, status, uri};
use std::collections::HashMap;

/// `h1-case-adjust`: names that are to be written in another case, by their lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaseMap(HashMap<Vec<u8>, Vec<u8>>);

impl CaseMap {
    /// From the names as they shall look.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self(
            names.into_iter().map(|n| (n.to_ascii_lowercase().into_bytes(), n.as_bytes().to_vec())).collect(),
        )
    }
    /// Nothing to adjust?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    fn get<'a>(&'a self, name: &'a [u8]) -> &'a [u8] {
        self.0.get(&name.to_ascii_lowercase()).map_or(name, Vec::as_slice)
    }
}

/// Anything from HTTP/1.1 on is that; older versions go on as they came.
fn write_version(head: &Head, out: &mut Vec<u8>) {
    let Version { major, minor } = head.version;
    if !head.odd_version().is_empty() {
        out.extend_from_slice(head.odd_version());
    } else if head.version >= Version::HTTP_11 {
        out.extend_from_slice(b"HTTP/1.1");
    } else {
        out.extend_from_slice(&[b'H', b'T', b'T', b'P', b'/', b'0' + major % 10, b'.', b'0' + minor % 10]);
    }
}

/// `METHOD target HTTP/1.x` and the fields, with the empty line.
pub fn request(head: &Head, case: Option<&CaseMap>, out: &mut Vec<u8>) {
    out.extend_from_slice(head.method());
    out.push(b' ');
    out.extend_from_slice(target(head));
    out.push(b' ');
    write_version(head, out);
    out.extend_from_slice(b"\r\n");
    fields(head, case, out);
}

/// What a server is sent of the target: of one that came in parts, the path (`*`: nothing stands behind the authority).
fn target(head: &Head) -> &[u8] {
    let target = head.target();
    match head.normalized.then(|| uri::path_start(target)).flatten() {
        Some(at) if at > 0 => match target.get(at..) {
            Some(path) if !path.is_empty() => path,
            _ => b"*",
        },
        _ => target,
    }
}

/// `HTTP/1.x status reason` and the fields, with the empty line; the usual reason where there is none.
pub fn response(head: &Head, case: Option<&CaseMap>, out: &mut Vec<u8>) {
    write_version(head, out);
    let s = head.status;
    out.push(b' ');
    if let 1000.. = s {
        out.extend_from_slice((s / 1000).to_string().as_bytes());
    }
    let [a, b, c] = [s / 100 % 10, s / 10 % 10, s % 10].map(|d| b'0' + d as u8);
    out.extend_from_slice(&[a, b, c, b' ']);
    let reason = head.reason();
    out.extend_from_slice(if reason.is_empty() { status::reason(s).as_bytes() } else { reason });
    out.extend_from_slice(b"\r\n");
    fields(head, case, out);
}

/// The fields and the empty line (also of a trailer section).
pub fn fields(head: &Head, case: Option<&CaseMap>, out: &mut Vec<u8>) {
    match case {
        None => head.write_fields(out),
        Some(case) => head.fields().for_each(|f| {
            out.extend_from_slice(case.get(f.name));
            out.extend_from_slice(b": ");
            out.extend_from_slice(f.value);
            out.extend_from_slice(b"\r\n");
        }),
    }
    out.extend_from_slice(b"\r\n");
}

/// A chunk's size line, in upper case as HAProxy writes it.
pub fn chunk_size(len: usize, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let digits = (usize::BITS - len.leading_zeros()).div_ceil(4).max(1);
    for i in (0..digits).rev() {
        out.push(HEX[len >> (4 * i) & 15]);
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_sizes() {
        for n in [0usize, 1, 9, 10, 15, 16, 255, 256, 65535, 1 << 20] {
            let mut out = Vec::new();
            chunk_size(n, &mut out);
            assert_eq!(out, format!("{n:X}\r\n").into_bytes());
        }
    }

    #[test]
    fn heads_are_written_as_they_are_and_names_as_adjusted() {
        let mut h = Head::default();
        h.set_request(b"GET", b"/a", Version::HTTP_11);
        h.push(b"host", b"x");
        let (mut plain, mut adjusted) = (Vec::new(), Vec::new());
        request(&h, None, &mut plain);
        request(&h, Some(&CaseMap::new(["Host"])), &mut adjusted);
        assert_eq!(plain, b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n");
        assert_eq!(adjusted, b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
        let mut r = Head::default();
        r.set_response(Version::HTTP_10, 404, b"Not Found");
        let mut out = Vec::new();
        response(&r, None, &mut out);
        assert_eq!(out, b"HTTP/1.0 404 Not Found\r\n\r\n");
    }
}
