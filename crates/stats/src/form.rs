//! Parameters as forms send them: `name=value&name`, with `%` and `+`.

/// Names with their values, if they have one.
pub fn pairs(text: &[u8]) -> impl Iterator<Item = (Vec<u8>, Option<Vec<u8>>)> + '_ {
    text.split(|b| *b == b'&').filter(|part| !part.is_empty()).map(|part| {
        match part.iter().position(|b| *b == b'=') {
            Some(at) => {
                let (name, value) = part.split_at(at);
                (decode(name), Some(decode(value.get(1..).unwrap_or_default())))
            }
            None => (decode(part), None),
        }
    })
}

/// Without percent encoding; what is not well-formed stays as it is.
#[must_use]
pub fn decode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (b'+', _) => out.push(b' '),
            (b'%', [a, b, ..]) => match (digit(*a), digit(*b)) {
                (Some(a), Some(b)) => {
                    out.push(a << 4 | b);
                    rest = after.get(2..).unwrap_or_default();
                }
                _ => out.push(b'%'),
            },
            (other, _) => out.push(*other),
        }
    }
    out
}

fn digit(b: u8) -> Option<u8> {
    char::from(b).to_digit(16).map(|n| n as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let all: Vec<_> = pairs(b"a=b+c%2fd&&e&f=&%zz=%4").collect();
        let of = |n: &[u8], v: Option<&[u8]>| (n.to_vec(), v.map(<[u8]>::to_vec));
        assert_eq!(
            all,
            [of(b"a", Some(b"b c/d")), of(b"e", None), of(b"f", Some(b"")), of(b"%zz", Some(b"%4"))]
        );
    }
}
