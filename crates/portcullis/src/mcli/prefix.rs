//! `@<[!]pid>` in front of commands.

/// Which process a command is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// `@`, `@0`, `@master`
    Master,
    /// `@1`: by its place.
    Relative(u32),
    /// `@!1271`
    Pid(i32),
}

/// The process that this word (without its first `@`) names.
pub fn parse(word: &str) -> Option<Target> {
    match word.strip_prefix('!') {
        Some(pid) => pid.parse().ok().filter(|p| *p > 0).map(Target::Pid),
        None if matches!(word, "" | "0" | "master") => Some(Target::Master),
        None => word.parse().ok().map(Target::Relative),
    }
}

/// A command's prefix without its `@`, and what follows.
pub fn split(command: &[u8]) -> Option<(String, &[u8])> {
    let rest = command.trim_ascii_start().strip_prefix(b"@")?;
    let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
    let (word, rest) = rest.split_at(end);
    Some((String::from_utf8_lossy(word).into_owned(), rest.trim_ascii_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_processes() {
        for (word, target) in [
            ("", Some(Target::Master)),
            ("master", Some(Target::Master)),
            ("0", Some(Target::Master)),
            ("1", Some(Target::Relative(1))),
            ("!1271", Some(Target::Pid(1271))),
            ("!", None),
            ("!-5", None),
            ("x", None),
        ] {
            assert_eq!(parse(word), target, "{word}");
        }
        assert_eq!(split(b"@1 show info"), Some(("1".into(), &b"show info"[..])));
        assert_eq!(split(b" @!12"), Some(("!12".into(), &b""[..])));
        assert_eq!(split(b"@@1 a;b"), Some(("@1".into(), &b"a;b"[..])));
        assert_eq!(split(b"show @1"), None);
    }
}
