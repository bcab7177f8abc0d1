//! Regular expressions over bytes. They run in linear time; what only backtracking can do (back references, look-around,
//! possessive quantifiers …) runs in PCRE2, with a limit on the steps of a match, and the operator is told.

use pcre2::bytes::{Regex as Pcre, RegexBuilder as PcreBuilder};
use portcullis_config::Place;
use regex::bytes::{Regex as Linear, RegexBuilder as LinearBuilder};
use std::borrow::Cow;
use std::cell::RefCell;

/// Start and end of a match and of its groups.
pub type Groups = [Option<(usize, usize)>; 10];

/// A compiled expression.
#[derive(Clone, Debug)]
pub enum Regex {
    /// Linear in time.
    Linear(Linear),
    /// Backtracks.
    Backtracking(Box<Pcre>),
}

/// Steps that PCRE2 may take for one match; one that would take more does not match.
const LIMIT: &str = "(*LIMIT_MATCH=200000)";
/// Bytes of a compiled linear expression at most.
const SIZE: usize = 16 << 20;

thread_local! {
    /// Expressions that needed PCRE2, with their places, since the last [`take_backtracking`].
    static NEEDED: RefCell<Vec<(Place, String)>> = const { RefCell::new(Vec::new()) };
}

impl Regex {
    /// Compiles it.
    ///
    /// # Errors
    /// What is wrong with it, in HAProxy's frame.
    pub fn new(text: &[u8], fold: bool) -> Result<Self, String> {
        let text = &*literal_braces(text);
        let shown = String::from_utf8_lossy(text);
        // what PCRE2 does not know is refused, whatever the other engine makes of it
        PcreBuilder::new().build(&format!("{LIMIT}{shown}")).map_err(|e| invalid(&shown, &e))?;
        if !means_something_else(text)
            && let Ok(linear) =
                LinearBuilder::new(&shown).case_insensitive(fold).unicode(false).size_limit(SIZE).build()
        {
            return Ok(Self::Linear(linear));
        }
        let pcre = PcreBuilder::new()
            .caseless(fold)
            .jit_if_available(true)
            .max_jit_stack_size(Some(1 << 20))
            .build(&format!("{LIMIT}{shown}"))
            .map_err(|e| invalid(&shown, &e))?;
        NEEDED.with_borrow_mut(|all| all.push((crate::names::place(), shown.into_owned())));
        Ok(Self::Backtracking(Box::new(pcre)))
    }

    /// Does it match anywhere?
    #[must_use]
    pub fn is_match(&self, text: &[u8]) -> bool {
        match self {
            Self::Linear(r) => r.is_match(text),
            Self::Backtracking(r) => r.is_match(text).unwrap_or(false),
        }
    }

    /// The first match at or behind `from`, and its groups.
    #[must_use]
    pub fn groups_at(&self, text: &[u8], from: usize) -> Option<Groups> {
        let mut groups = Groups::default();
        match self {
            Self::Linear(r) => {
                let mut found = r.capture_locations();
                r.captures_read_at(&mut found, text, from)?;
                groups.iter_mut().enumerate().for_each(|(i, g)| *g = found.get(i));
            }
            Self::Backtracking(r) => {
                let mut found = r.capture_locations();
                r.captures_read_at(&mut found, text, from).ok()??;
                groups.iter_mut().enumerate().for_each(|(i, g)| *g = found.get(i));
            }
        }
        Some(groups)
    }
}

/// What is wrong with an expression, and where.
fn invalid(shown: &str, e: &pcre2::Error) -> String {
    let text = e.to_string();
    let why = text.rsplit_once(": ").map_or(&*text, |(_, why)| why);
    let at = e.offset().map_or(0, |at| at.saturating_sub(LIMIT.len()));
    format!("regex '{shown}' is invalid (error={why}, erroffset={at})")
}

/// `{,3}` is text, in newer versions of PCRE2 as in older ones, and in the linear engine.
fn literal_braces(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.windows(2).any(|w| w == b"{,") {
        return Cow::Borrowed(text);
    }
    let (mut out, mut escaped) = (Vec::with_capacity(text.len() + 4), false);
    for (i, b) in text.iter().enumerate() {
        // in a class the backslash changes nothing
        if !escaped && *b == b'{' && text.get(i + 1) == Some(&b',') {
            out.push(b'\\');
        }
        out.push(*b);
        escaped = !escaped && *b == b'\\';
    }
    Cow::Owned(out)
}

/// Would the linear engine read it differently from PCRE without complaining: possessive quantifiers, and what classes
/// may contain?
fn means_something_else(text: &[u8]) -> bool {
    let (mut i, mut class, mut quantified) = (0, false, false);
    while let Some(b) = text.get(i) {
        let next = text.get(i + 1).copied();
        match b {
            b'\\' => {
                i += 1;
                quantified = false;
            }
            b'[' if class => {
                if next != Some(b':') {
                    return true;
                }
                i += 1;
            }
            b'&' | b'-' | b'~' if class && next == Some(*b) => return true,
            b'[' => {
                class = true;
                quantified = false;
                // a bracket that comes first is a member
                i += usize::from(next == Some(b'^'));
                i += usize::from(text.get(i + 1) == Some(&b']'));
            }
            b']' if class => class = false,
            _ if class => {}
            b'+' if quantified => return true,
            b'*' | b'+' | b'?' | b'}' => quantified = !quantified,
            _ => quantified = false,
        }
        i += 1;
    }
    false
}

/// The expressions that needed PCRE2 since the last call, with their places.
#[must_use]
pub fn take_backtracking() -> Vec<(Place, String)> {
    NEEDED.take()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_where_possible() {
        for text in
            ["^/a.*z$", "(a|b)+?c", "[[:alpha:]_-]+", "[]a]", "x{2,3}?", "a\\++", "(?i)x", "[a-z0-9-]"]
        {
            assert!(matches!(Regex::new(text.as_bytes(), false), Ok(Regex::Linear(_))), "{text}");
        }
        for text in
            ["(a)\\1", "a(?=b)", "(?<!x)y", "a++b", "x{2}+", "[a&&b]", "[a[b]", "\\Qa.b\\E", "(?>a*)b"]
        {
            assert!(matches!(Regex::new(text.as_bytes(), false), Ok(Regex::Backtracking(_))), "{text}");
        }
        assert_eq!(take_backtracking().len(), 9);
        assert!(Regex::new(b"(", false).unwrap_err().starts_with("regex '(' is invalid (error="));
    }

    /// As 3.5 (PCRE2 10.42) has them.
    #[test]
    fn as_pcre_reads_it() {
        for wrong in [
            "a**",
            "a+?*",
            "a{2}{3}",
            "a{1,2}??",
            "^*",
            "\\u0061",
            ".{0,70000}",
            "[[:foo:]]",
            "(?u)a",
            "(?R:a)",
        ] {
            assert!(Regex::new(wrong.as_bytes(), false).is_err(), "{wrong}");
        }
        for (pattern, text, matches) in [
            ("^x{,3}$", "x{,3}", true),
            ("^x{,3}$", "xx", false),
            ("^[{,]+$", "{,", true),
            ("^\\{,$", "{,", true),
            ("^x{1,}$", "xx", true),
        ] {
            let r = Regex::new(pattern.as_bytes(), false).unwrap();
            assert_eq!(r.is_match(text.as_bytes()), matches, "{pattern} {text}");
        }
    }

    #[test]
    fn what_backtracks_matches_and_has_groups() {
        let r = Regex::new(b"(\\w+) \\1(?!x)", true).unwrap();
        assert!(r.is_match(b"say hey HEY") && !r.is_match(b"hey there"));
        let groups = r.groups_at(b"say hey hey", 0).unwrap();
        assert_eq!(groups[..2], [Some((4, 11)), Some((4, 7))]);
    }

    #[test]
    fn a_match_that_would_take_for_ever_is_none() {
        let r = Regex::new(b"^(a+)+\\1$", false).unwrap();
        let text = [&[b'a'; 64][..], b"!"].concat();
        let began = std::time::Instant::now();
        assert!(!r.is_match(&text));
        assert!(began.elapsed() < std::time::Duration::from_secs(2));
    }
}
