//! Lines into words: quoting, escaping, comments, environment variables (manual sections 2.2 and 2.3).

use crate::env::Env;
use crate::word::{Span, Word};

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LexError {
    /// In HAProxy's words.
    pub message: String,
    /// Column, from 0.
    pub at: usize,
}

fn fail<T>(message: impl Into<String>, at: usize) -> Result<T, LexError> {
    Err(LexError { message: message.into(), at })
}

struct Lexer<'a> {
    raw: &'a [u8],
    at: usize,
    env: &'a Env,
    words: Vec<Word>,
    /// The word at hand; `None` between words.
    word: Option<Word>,
    /// A list was expanded in it: if nothing is in it at its end, it is no word.
    list: bool,
}

/// The most words that a line may have.
pub const MAX_WORDS: usize = 64;

/// Splits a line (without its line end) into words.
///
/// # Errors
/// Unmatched quotes, bad escapes, bad variables, NUL bytes, too many words.
pub fn split(raw: &[u8], env: &Env) -> Result<Vec<Word>, LexError> {
    let mut lexer = Lexer { raw, at: 0, env, words: Vec::new(), word: None, list: false };
    lexer.run()?;
    lexer.end_word();
    if let Some(extra) = lexer.words.get(MAX_WORDS) {
        return fail(format!("too many words, truncating after word {MAX_WORDS}"), extra.span.start as usize);
    }
    Ok(lexer.words)
}

/// The first argument that is empty. HAProxy takes it for the end of the arguments, so the line is refused.
#[must_use]
pub fn empty_argument(words: &[Word]) -> Option<(usize, &Word)> {
    words.iter().enumerate().skip(1).find(|(_, w)| w.text.is_empty())
}

impl Lexer<'_> {
    fn run(&mut self) -> Result<(), LexError> {
        let mut weak: Option<usize> = None;
        while let Some(&b) = self.raw.get(self.at) {
            match b {
                0 => return fail("unexpected NUL byte", self.at),
                b'"' => {
                    weak = if weak.is_some() { None } else { Some(self.at) };
                    self.begin_word();
                    self.at += 1;
                }
                b'\\' => self.escape(weak.is_some())?,
                b'$' if weak.is_some() => self.variable()?,
                b'\'' if weak.is_none() => self.strong()?,
                b' ' | b'\t' | b'\r' | b'\n' if weak.is_none() => {
                    self.end_word();
                    self.at += 1;
                }
                b'#' if weak.is_none() => {
                    self.at = self.raw.len();
                    break;
                }
                _ => {
                    self.put(b);
                    self.at += 1;
                }
            }
        }
        match weak {
            Some(at) => fail("unmatched quote", at),
            None => Ok(()),
        }
    }

    fn begin_word(&mut self) -> &mut Word {
        let start = self.at as u32;
        self.word.get_or_insert_with(|| Word { text: Vec::new(), span: Span { start, end: start } })
    }

    fn put(&mut self, b: u8) {
        self.begin_word().text.push(b);
    }

    fn end_word(&mut self) {
        let list = std::mem::take(&mut self.list);
        if let Some(mut w) = self.word.take().filter(|w| !list || !w.text.is_empty()) {
            w.span.end = self.at as u32;
            self.words.push(w);
        }
    }

    /// `'…'`: nothing is interpreted.
    fn strong(&mut self) -> Result<(), LexError> {
        let open = self.at;
        self.begin_word();
        let rest = &self.raw[open + 1..];
        let Some(len) = rest.iter().position(|b| *b == b'\'') else { return fail("unmatched quote", open) };
        let text = rest[..len].to_vec();
        self.begin_word().text.extend_from_slice(&text);
        self.at = open + len + 2;
        Ok(())
    }

    fn escape(&mut self, weak: bool) -> Result<(), LexError> {
        let start = self.at;
        let plain = match self.raw.get(start + 1) {
            Some(b'n') => Some(b'\n'),
            Some(b'r') => Some(b'\r'),
            Some(b't') => Some(b'\t'),
            Some(b'x') => {
                let digits = self.raw.get(start + 2..start + 4).and_then(|d| std::str::from_utf8(d).ok());
                let value = digits.filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
                let Some(value) = value.and_then(|d| u8::from_str_radix(d, 16).ok()) else {
                    return fail("truncated or invalid hexadecimal sequence", start);
                };
                self.put(value);
                self.at = start + 4;
                return Ok(());
            }
            Some(b @ (b'\\' | b' ' | b'#' | b'"' | b'\t')) => Some(*b),
            Some(b'\'') if !weak => Some(b'\''),
            Some(b'\'') => Some(b'\''),
            // a dollar needs it inside quotes only, and only there does it mean something
            Some(b'$') if weak => Some(b'$'),
            _ => None,
        };
        match plain {
            Some(b) => {
                self.put(b);
                self.at = start + 2;
            }
            None => {
                self.put(b'\\');
                self.at = start + 1;
            }
        }
        Ok(())
    }

    /// `$NAME`, `${NAME}`, `${NAME-default}`, `${NAME[*]}`
    fn variable(&mut self) -> Result<(), LexError> {
        let dollar = self.at;
        let braced = self.raw.get(dollar + 1) == Some(&b'{');
        let begin = dollar + 1 + usize::from(braced);
        let rest = self.raw.get(begin..).unwrap_or(&[]);
        let first = rest.first().copied().unwrap_or(0);
        if !(first.is_ascii_alphabetic() || first == b'_' || first == b'.') {
            return fail("forbidden first char in environment variable name", begin.min(self.raw.len()));
        }
        let dotted = usize::from(first == b'.');
        let len = dotted
            + rest[dotted..]
                .iter()
                .position(|b| !(b.is_ascii_alphanumeric() || *b == b'_'))
                .unwrap_or(rest.len() - dotted);
        let name = String::from_utf8_lossy(&rest[..len]).into_owned();
        if dotted == 1 && self.env.get(&name).is_none() {
            return fail("forbidden first char in environment variable name", begin);
        }
        let mut end = begin + len;
        let mut many = false;
        let mut default = None;
        if braced {
            if self.raw[end..].starts_with(b"[*]") {
                many = true;
                end += 3;
            } else if self.raw.get(end) == Some(&b'[') {
                return fail("truncated or invalid word expansion sequence", end);
            }
            if self.raw.get(end) == Some(&b'-') {
                let Some(len) = self.raw[end + 1..].iter().position(|b| *b == b'}') else {
                    return fail("unmatched brace in environment variable name", dollar + 1);
                };
                default = Some(self.raw[end + 1..end + 1 + len].to_vec());
                end += 1 + len;
            }
            match self.raw.get(end) {
                Some(b'}') => end += 1,
                Some(b'"') | None => return fail("unmatched brace in environment variable name", dollar + 1),
                Some(_) => return fail("invalid character in environment variable name", end),
            }
        }
        let value = self.env.get(&name).or(default).unwrap_or_default();
        self.begin_word();
        self.at = end;
        if many {
            // each blank-separated piece is a word of its own; none at all is no word
            self.list = true;
            let mut pieces = value.split(|b| b.is_ascii_whitespace()).filter(|p| !p.is_empty()).peekable();
            while let Some(p) = pieces.next() {
                self.begin_word().text.extend_from_slice(p);
                if pieces.peek().is_some() {
                    self.end_word();
                }
            }
        } else {
            self.begin_word().text.extend_from_slice(&value);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env() -> Env {
        let mut e = Env::default();
        e.set("A", b"a b".to_vec());
        e.set("EMPTY", Vec::new());
        e.line = 7;
        e
    }

    #[test]
    fn words() {
        for (line, expected) in [
            ("  frontend  x  # comment", vec!["frontend", "x"]),
            ("global#this", vec!["global"]),
            ("a\\ b c\\#d \\\\ \\' \\\"", vec!["a b", "c#d", "\\", "'", "\""]),
            ("\"a b\"'c d'e", vec!["a bc de"]),
            ("\"\" ''", vec!["", ""]),
            ("\"a'b#\\\"\"", vec!["a'b#\""]),
            ("'a\\n\"'", vec!["a\\n\""]),
            ("a\\x41\\n", vec!["aA\n"]),
            ("$A \"$A\" \"${A}x\" \"${N-de f}\" \"${EMPTY-x}\"", vec!["$A", "a b", "a bx", "de f", ""]),
            ("\"${A[*]}\" z", vec!["a", "b", "z"]),
            ("a \"${EMPTY[*]}\" x\"${EMPTY[*]}\"y \"${NONE[*]-c d}\"", vec!["a", "xy", "c", "d"]),
            ("\"${.LINE}\"", vec!["7"]),
            ("\\$A", vec!["\\$A"]),
            ("\"\\$A\"", vec!["$A"]),
            ("a\\b", vec!["a\\b"]),
            ("%{+Q}o\\ %t", vec!["%{+Q}o %t"]),
            ("a b\r", vec!["a", "b"]),
        ] {
            let got: Vec<String> =
                split(line.as_bytes(), &env()).unwrap().iter().map(|w| w.str().into_owned()).collect();
            assert_eq!(got, expected, "{line}");
        }
    }

    #[test]
    fn spans_are_columns_of_the_raw_line() {
        let words = split(b"  bind \"a b\" c", &env()).unwrap();
        assert_eq!(words[1].span, Span { start: 7, end: 12 });
    }

    #[test]
    fn errors_have_their_column() {
        for (line, message, at) in [
            ("  bind \"abc", "unmatched quote", 7),
            (" 'a", "unmatched quote", 1),
            ("a\\xz", "truncated or invalid hexadecimal sequence", 1),
            ("\"${A\"", "unmatched brace in environment variable name", 2),
            ("\"${9}\"", "forbidden first char in environment variable name", 3),
        ] {
            let e = split(line.as_bytes(), &env()).unwrap_err();
            assert_eq!((e.message.as_str(), e.at), (message, at), "{line}");
        }
    }
}
