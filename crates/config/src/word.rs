//! Words of a configuration line, as the lexer leaves them: quotes and escapes resolved, variables expanded.

use crate::diag::{FileId, Place};
use std::borrow::Cow;

/// Columns (bytes, from 0) of a word in the raw line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First column.
    pub start: u32,
    /// Column behind the last.
    pub end: u32,
}

/// One word. Its text may hold any byte: `\xHH` escapes make them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word {
    /// The bytes after quoting, escaping and expansion.
    pub text: Vec<u8>,
    /// Where it stands in the raw line.
    pub span: Span,
}

impl Word {
    /// The text for messages and for everything that is text by nature.
    pub fn str(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.text)
    }
    /// Is it exactly this keyword?
    pub fn is(&self, keyword: &str) -> bool {
        self.text == keyword.as_bytes()
    }
}

/// One line of one file, split into words. `words[0]` is the keyword, prefixes (`no`, `default`) removed.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// Which file.
    pub file: FileId,
    /// Line number, from 1.
    pub number: u32,
    /// The line as written, without its end.
    pub raw: Vec<u8>,
    /// The words.
    pub words: Vec<Word>,
}

impl Line {
    /// Where this line stands.
    pub fn place(&self) -> Place {
        Place { file: self.file, line: self.number }
    }
    /// The word at `i`, if there is one.
    pub fn word(&self, i: usize) -> Option<&Word> {
        self.words.get(i)
    }
    /// The words from `i` on as a cursor.
    pub fn args(&self, i: usize) -> Args<'_> {
        Args { words: &self.words, at: i }
    }
}

/// A cursor over the words of a line.
#[derive(Clone, Debug)]
pub struct Args<'a> {
    /// All words of the line.
    pub words: &'a [Word],
    /// The next one.
    pub at: usize,
}

impl<'a> Args<'a> {
    /// The next word, without taking it.
    pub fn peek(&self) -> Option<&'a Word> {
        self.words.get(self.at)
    }
    /// Takes the next word if it is `keyword`.
    pub fn accept(&mut self, keyword: &str) -> bool {
        let yes = self.peek().is_some_and(|w| w.is(keyword));
        self.at += usize::from(yes);
        yes
    }
}

impl<'a> Iterator for Args<'a> {
    type Item = &'a Word;
    fn next(&mut self) -> Option<&'a Word> {
        let w = self.words.get(self.at)?;
        self.at += 1;
        Some(w)
    }
}
