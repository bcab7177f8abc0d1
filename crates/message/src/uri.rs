//! Request targets: origin, absolute, authority and asterisk form (RFC 9112 section 3.2).

/// Where the path of a request target begins: behind scheme and authority in absolute form; `None` in authority or
/// asterisk form.
#[must_use]
pub fn path_start(target: &[u8]) -> Option<usize> {
    match target.first() {
        Some(b'/') => Some(0),
        Some(b) if b.is_ascii_alphabetic() => {
            let colon = target
                .iter()
                .position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')))?;
            if !target.get(colon..)?.starts_with(b"://") {
                return None;
            }
            let rest = colon + 3;
            Some(
                rest + target
                    .get(rest..)?
                    .iter()
                    .position(|b| matches!(b, b'/' | b'?' | b'#'))
                    .unwrap_or(target.len() - rest),
            )
        }
        _ => None,
    }
}

/// The path without the query string; empty in authority and asterisk form. A `#` is a part of it, as in HAProxy.
#[must_use]
pub fn path(target: &[u8]) -> &[u8] {
    let p = pathq(target);
    p.iter().position(|b| *b == b'?').map_or(p, |i| &p[..i])
}

/// The path with the query string.
#[must_use]
pub fn pathq(target: &[u8]) -> &[u8] {
    path_start(target).and_then(|i| target.get(i..)).unwrap_or(&[])
}

/// The query string behind the first `?`, without it.
#[must_use]
pub fn query(target: &[u8]) -> Option<&[u8]> {
    let i = target.iter().position(|b| *b == b'?')?;
    target.get(i + 1..)
}

/// The authority of an absolute target, without user information.
#[must_use]
pub fn authority(target: &[u8]) -> Option<&[u8]> {
    let end = path_start(target)?;
    let begin = target.windows(3).position(|w| w == b"://")? + 3;
    let whole = target.get(begin..end)?;
    Some(whole.iter().rposition(|b| *b == b'@').map_or(whole, |i| &whole[i + 1..]))
}

/// Is the target an authority and nothing else, as that of CONNECT?
#[must_use]
pub fn is_authority(target: &[u8]) -> bool {
    !matches!(target.first(), None | Some(b'/' | b'*')) && path_start(target).is_none()
}

/// The scheme of an absolute target.
#[must_use]
pub fn scheme(target: &[u8]) -> Option<&[u8]> {
    path_start(target)?;
    let end = target.windows(3).position(|w| w == b"://")?;
    target.get(..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_every_form() {
        for (target, scheme_, authority_, path_, query_) in [
            ("/a/b?c=d", None, None, "/a/b", Some("c=d")),
            ("http://u@h:80/a?b?c", Some("http"), Some("h:80"), "/a", Some("b?c")),
            ("https://h", Some("https"), Some("h"), "", None),
            ("https://h?x", Some("https"), Some("h"), "", Some("x")),
            ("*", None, None, "", None),
            ("h:443", None, None, "", None),
        ] {
            let t = target.as_bytes();
            assert_eq!(scheme(t), scheme_.map(str::as_bytes), "{target}");
            assert_eq!(authority(t), authority_.map(str::as_bytes), "{target}");
            assert_eq!(path(t), path_.as_bytes(), "{target}");
            assert_eq!(query(t), query_.map(str::as_bytes), "{target}");
            assert_eq!(is_authority(t), target == "h:443", "{target}");
        }
    }
}
