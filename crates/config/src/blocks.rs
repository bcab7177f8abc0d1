//! Conditional blocks, and the directives that say something (manual section 2.4).

use crate::condition;
use crate::diag::{Diagnostic, Diagnostics, Severity};
use crate::env::Env;
use crate::word::{Line, Word};

/// One level of `.if`.
#[derive(Debug)]
struct Block {
    begun: u32,
    active: bool,
    /// Some branch of it was taken already.
    taken: bool,
    has_else: bool,
    /// The blocks around it are all active.
    outer: bool,
    /// Made up for a lone `.else`, so that its `.endif` is not lone too.
    made_up: bool,
}

/// The levels that are open.
#[derive(Debug, Default)]
pub struct Blocks(Vec<Block>);

fn alert<'d>(
    diags: &'d mut Diagnostics,
    line: &Line,
    word: usize,
    message: impl Into<String>,
) -> &'d mut Diagnostic {
    let d = diags.add(Severity::Alert, Some(line.place()), message);
    match line.words.get(word) {
        Some(w) => d.mark(line, w.span),
        None => d,
    }
}

fn lone(diags: &mut Diagnostics, line: &Line) {
    let text = format!("lone '{}' with no matching '.if'.", line.words[0].str());
    alert(diags, line, 0, text);
}

/// `.else` and `.endif` stand alone.
fn alone(diags: &mut Diagnostics, line: &Line) {
    if let Some(extra) = line.words.get(1) {
        let text = format!("Unexpected argument '{}' for '{}'.", extra.str(), line.words[0].str());
        alert(diags, line, 1, text);
    }
}

impl Blocks {
    /// Are lines looked at here?
    pub fn active(&self) -> bool {
        self.0.last().is_none_or(|b| b.active)
    }

    /// Where the blocks begin that nothing has ended; they are ended now.
    pub fn open(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.0).into_iter().filter(|b| !b.made_up).map(|b| b.begun).collect()
    }

    /// A line that begins with a dot.
    pub fn directive(&mut self, diags: &mut Diagnostics, env: &Env, line: &Line) {
        let name = line.words[0].str().into_owned();
        match name.as_str() {
            ".if" => {
                let outer = self.active();
                let value = outer && condition(diags, env, line);
                self.push(line, value, outer);
            }
            ".elif" => self.elif(diags, env, line),
            ".else" => {
                alone(diags, line);
                self.otherwise(diags, line);
            }
            ".endif" => {
                alone(diags, line);
                if self.0.pop().is_none() {
                    lone(diags, line);
                }
            }
            _ if !self.active() => {}
            ".diag" => say(diags, line, Severity::Diag),
            ".notice" => say(diags, line, Severity::Notice),
            ".warning" => say(diags, line, Severity::Warning),
            ".alert" => say(diags, line, Severity::Alert),
            _ => {
                alert(diags, line, 0, format!("unknown directive '{name}'."));
            }
        }
    }

    fn push(&mut self, line: &Line, value: bool, outer: bool) {
        let begun = line.number;
        self.0.push(Block { begun, active: value, taken: value, has_else: false, outer, made_up: false });
    }

    /// A lone `.elif` or `.else`: as if everything before had been in its block.
    fn make_up(&mut self, line: &Line, has_else: bool) {
        self.push(line, true, true);
        if let Some(b) = self.0.last_mut() {
            b.made_up = true;
            b.has_else = has_else;
        }
    }

    fn elif(&mut self, diags: &mut Diagnostics, env: &Env, line: &Line) {
        let Some(b) = self.0.last_mut() else {
            lone(diags, line);
            self.make_up(line, false);
            return;
        };
        if b.has_else {
            alert(diags, line, 0, "'.elif' after '.else' is not permitted.");
            return;
        }
        b.active = b.outer && !b.taken && condition(diags, env, line);
        b.taken |= b.active;
    }

    fn otherwise(&mut self, diags: &mut Diagnostics, line: &Line) {
        match self.0.last_mut() {
            None => {
                lone(diags, line);
                self.make_up(line, true);
            }
            Some(b) if b.has_else => {
                alert(diags, line, 0, "'.else' after '.else' is not permitted.");
            }
            Some(b) => {
                b.has_else = true;
                b.active = b.outer && !b.taken;
                b.taken = true;
            }
        }
    }
}

fn say(diags: &mut Diagnostics, line: &Line, severity: Severity) {
    match line.words.as_slice() {
        [_, rest @ ..] if rest.len() <= 1 => {
            let text = rest.first().map(Word::str).unwrap_or_default();
            diags.add(severity, Some(line.place()), format!("'{text}'."));
        }
        [name, _, extra, ..] => {
            let text = format!(
                "Unexpected argument '{}' for '{}'. Use quotes if the message should contain spaces.",
                extra.str(),
                name.str()
            );
            alert(diags, line, 2, text);
        }
        _ => {}
    }
}

fn condition(diags: &mut Diagnostics, env: &Env, line: &Line) -> bool {
    let text: Vec<_> = line.words[1..].iter().map(Word::str).collect();
    match condition::evaluate(&text.join(" "), env) {
        Ok(value) => value,
        Err(e) => {
            let text = format!("{} in '{}' at position {}:", e.message, line.words[0].str(), e.at + 1);
            alert(diags, line, 1, text);
            false
        }
    }
}
