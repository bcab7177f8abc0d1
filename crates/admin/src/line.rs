//! What a client sends, taken apart: lines, commands between `;`, words, the mark of a payload.

/// Most words that a command may have.
pub const MAX_ARGS: usize = 64;
/// Longest payload mark behind `<<`.
const MAX_MARK: usize = 64;

/// One command of a line.
pub type Words = Vec<Vec<u8>>;

/// A line's commands, and the mark that ends the payload of the last one, if it has a payload.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The commands; an empty one is an empty answer.
    pub commands: Vec<Words>,
    /// The line that ends the payload: empty unless the client chose another.
    pub payload: Option<Vec<u8>>,
}

/// The length of the first line in `bytes` without its line feed, if it is complete. A line feed behind a backslash
/// belongs to a word.
#[must_use]
pub fn end_of_line(bytes: &[u8]) -> Option<usize> {
    let mut escaped = false;
    for (i, b) in bytes.iter().enumerate() {
        match b {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'\n' => return Some(i),
            _ => {}
        }
    }
    None
}

/// Takes a line apart.
#[must_use]
pub fn parse(line: &[u8]) -> Request {
    let (commands, payload) = commands(line);
    Request { commands: commands.into_iter().map(words).collect(), payload }
}

/// A line's commands as they were written, and the mark that ends the payload of the last one, if it has a payload.
#[must_use]
pub fn commands(line: &[u8]) -> (Vec<&[u8]>, Option<Vec<u8>>) {
    let (line, payload) = take_mark(line);
    (split(line), payload)
}

/// `<<` and a mark as the line's last word.
fn take_mark(line: &[u8]) -> (&[u8], Option<Vec<u8>>) {
    let end = line.iter().rposition(|b| !matches!(b, b' ' | b'\t' | b'\r')).map_or(0, |i| i + 1);
    let start = line[..end].iter().rposition(|b| matches!(b, b' ' | b'\t')).map_or(0, |i| i + 1);
    match line[start..end].strip_prefix(b"<<") {
        Some(mark) if mark.len() <= MAX_MARK && start > 0 => (&line[..start], Some(mark.to_vec())),
        _ => (line, None),
    }
}

/// Parts between `;`, carriage returns and NULs, escapes left in.
fn split(line: &[u8]) -> Vec<&[u8]> {
    let (mut all, mut from, mut escaped) = (Vec::new(), 0, false);
    for (i, b) in line.iter().enumerate() {
        match b {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b';' | b'\r' | 0 => {
                all.push(&line[from..i]);
                from = i + 1;
            }
            _ => {}
        }
    }
    all.push(&line[from..]);
    all
}

/// Words between blanks, backslashes resolved.
#[must_use]
pub fn words(command: &[u8]) -> Words {
    let (mut all, mut word, mut open) = (Vec::new(), Vec::new(), false);
    let mut bytes = command.iter();
    while let Some(b) = bytes.next() {
        match b {
            b' ' | b'\t' => {
                if open {
                    all.push(std::mem::take(&mut word));
                }
                open = false;
            }
            b'\\' => {
                open = true;
                word.extend(bytes.next());
            }
            b => {
                open = true;
                word.push(*b);
            }
        }
    }
    if open {
        all.push(word);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(line: &str) -> Vec<Vec<String>> {
        let text = |w: &Vec<u8>| String::from_utf8(w.clone()).unwrap();
        parse(line.as_bytes()).commands.iter().map(|c| c.iter().map(text).collect()).collect()
    }

    #[test]
    fn words_and_commands() {
        assert_eq!(commands("show  info\ttyped"), [vec!["show", "info", "typed"]]);
        assert_eq!(commands("a;b c ; ;d"), [vec!["a"], vec!["b", "c"], vec![], vec!["d"]]);
        assert_eq!(commands(""), [Vec::<String>::new()]);
        assert_eq!(commands(r"echo a\;b c\\d e\ f"), [vec!["echo", "a;b", r"c\d", "e f"]]);
        assert_eq!(commands("show version\r"), [vec!["show", "version"], vec![]]);
        assert_eq!(commands("show\0version"), [vec!["show"], vec!["version"]]);
        assert_eq!(commands("echo \"a b\""), [vec!["echo", "\"a", "b\""]]);
    }

    #[test]
    fn ends_of_lines() {
        assert_eq!(end_of_line(b"show version"), None);
        assert_eq!(end_of_line(b"a\nb\n"), Some(1));
        assert_eq!(end_of_line(b"a\\\nb\n"), Some(4));
        assert_eq!(end_of_line(b"a\\\\\nb"), Some(3));
        assert_eq!(end_of_line(b"\n"), Some(0));
    }

    #[test]
    fn payload_marks() {
        let payload = |line: &str| parse(line.as_bytes()).payload;
        assert_eq!(payload("add map #0 <<"), Some(vec![]));
        assert_eq!(payload("add map #0 << \r"), Some(vec![]));
        assert_eq!(payload("add map #0 <<%EOF%"), Some(b"%EOF%".to_vec()));
        assert_eq!(payload("add map #0<<"), None, "must not be glued to a word");
        assert_eq!(payload("add map #0 << x"), None);
        assert_eq!(payload(&format!("a <<{}", "x".repeat(65))), None);
        assert_eq!(commands("add map #0 <<"), [vec!["add", "map", "#0"]]);
    }
}
