//! Log messages one behind the other on a stream (RFC 6587): with their length before them, or ended by a line feed.

/// What the first bytes of a stream are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framed<'b> {
    /// A message, and how many bytes it takes in the stream.
    Message(&'b [u8], usize),
    /// It is not whole yet.
    More,
    /// Nothing that begins a message.
    Wrong,
}

/// The first message of a stream; `transparent`: a line feed ends each, whatever it begins with. A message of more than
/// `most` bytes is wrong.
#[must_use]
pub fn first(bytes: &[u8], transparent: bool, most: usize) -> Framed<'_> {
    match bytes.first() {
        None => Framed::More,
        Some(b'0'..=b'9') if !transparent => counted(bytes, most),
        Some(b'<') => line(bytes, most),
        Some(_) if transparent => line(bytes, most),
        Some(_) => Framed::Wrong,
    }
}

fn line(bytes: &[u8], most: usize) -> Framed<'_> {
    match bytes.iter().position(|b| *b == b'\n') {
        Some(end) if end <= most => Framed::Message(bytes.get(..end).unwrap_or_default(), end + 1),
        None if bytes.len() <= most => Framed::More,
        _ => Framed::Wrong,
    }
}

fn counted(bytes: &[u8], most: usize) -> Framed<'_> {
    let mut length = 0usize;
    for (at, b) in bytes.iter().enumerate() {
        match b {
            b'0'..=b'9' => length = length.saturating_mul(10).saturating_add(usize::from(b - b'0')),
            b' ' if length > 0 => {
                let begin = at + 1;
                return match bytes.get(begin..begin + length) {
                    Some(message) => Framed::Message(message, begin + length),
                    None => Framed::More,
                };
            }
            _ => return Framed::Wrong,
        }
        if length > most {
            return Framed::Wrong;
        }
    }
    Framed::More
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_a_stream() {
        let of = |bytes: &'static [u8]| first(bytes, false, 20);
        assert_eq!(of(b"5 hello7 "), Framed::Message(b"hello", 7));
        assert_eq!(of(b"<1>hello\n<2>"), Framed::Message(b"<1>hello", 9));
        for more in [&b""[..], b"5", b"5 ", b"5 hell", b"<", b"<1>hello"] {
            assert_eq!(of(more), Framed::More);
        }
        for wrong in
            [&b"x"[..], b"0 ", b"5x", b"21 ", b"99999999999999999999999999", b"<12345678901234567890\n"]
        {
            assert_eq!(of(wrong), Framed::Wrong, "{wrong:?}");
        }
        assert_eq!(first(b"5 he\n", true, 20), Framed::Message(b"5 he", 5));
        assert_eq!(first(b"x", true, 20), Framed::More);
    }
}
