//! Header values as lists: elements between commas that are not in quotes, without surrounding blanks.

/// Elements of a comma-separated value; quoted strings keep their commas. Empty elements are given too.
pub fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let now = rest?;
        if !now.iter().any(|b| matches!(b, b',' | b'"')) {
            // the only one, or the last one: nearly always
            rest = None;
            return Some(trim(now));
        }
        let mut quoted = false;
        let mut escaped = false;
        let end = now.iter().position(|b| {
            if escaped {
                escaped = false;
            } else if quoted && *b == b'\\' {
                escaped = true;
            } else if *b == b'"' {
                quoted = !quoted;
            }
            *b == b',' && !quoted
        });
        rest = end.map(|i| &now[i + 1..]);
        Some(trim(end.map_or(now, |i| &now[..i])))
    })
}

/// Without blanks and tabs around it.
#[must_use]
pub fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Is this token one of the list's elements, in any case?
#[must_use]
pub fn has_token(value: &[u8], token: &[u8]) -> bool {
    elements(value).any(|e| e.eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_split_outside_quotes_only() {
        let all = |v: &'static str| {
            elements(v.as_bytes()).map(|e| String::from_utf8_lossy(e).into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(all("a, b ,\tc"), ["a", "b", "c"]);
        assert_eq!(all("\"a,b\", c"), ["\"a,b\"", "c"]);
        assert_eq!(all(""), [""]);
        assert_eq!(all("a,,b"), ["a", "", "b"]);
        assert!(has_token(b"keep-alive, Upgrade", b"upgrade"));
        assert!(!has_token(b"keep-alive2", b"keep-alive"));
    }
}
