//! Conditions of rules: `if`/`unless`, ACL names, `{ … }`, `!`, `or` (manual section 7.2).

use crate::acl::{Acl, Acls, Conflict, Reader, Test, Verdict, Warning, Watch, conflict};
use crate::place::Places;
use crate::scope::Scope;
use portcullis_config::Word;
use std::sync::Arc;

/// A condition as read. ACLs that it names may still get more tests until [`Condition::program`] is made.
#[derive(Clone, Debug, Default)]
pub struct Condition {
    /// `unless`
    pub unless: bool,
    /// Alternatives, each a list of ACLs that must all agree: (negated, ACL).
    pub groups: Vec<Vec<(bool, Arc<Acl>)>>,
}

impl Condition {
    /// Reads the words behind `if` or `unless`.
    ///
    /// # Errors
    /// HAProxy's message, to stand behind "error detected while parsing … condition : ".
    pub fn parse(
        unless: bool,
        words: &[Word],
        acls: &mut Acls,
        reader: &Reader<'_>,
        warnings: &mut Vec<Warning>,
    ) -> Result<Self, String> {
        let mut groups: Vec<Vec<(bool, Arc<Acl>)>> = Vec::new();
        let mut negated = false;
        let mut fresh = true;
        let mut i = 0;
        while let Some(word) = words.get(i) {
            i += 1;
            let mut text = &word.text[..];
            if text == b"||" || text.eq_ignore_ascii_case(b"or") {
                fresh = true;
                negated = false;
                continue;
            }
            while let Some(rest) = text.strip_prefix(b"!") {
                negated = !negated;
                text = rest;
            }
            if text.is_empty() {
                continue;
            }
            let acl = if text == b"{" {
                let rest = words.get(i..).unwrap_or(&[]);
                let end = rest
                    .iter()
                    .position(|w| w.is("}"))
                    .ok_or_else(|| "missing closing '}' in condition".to_string())?;
                let test = reader.test(rest.get(..end).unwrap_or(&[]), warnings)?;
                i += end + 1;
                Arc::new(Acl::new("", vec![Arc::new(test)]))
            } else {
                acls.find(&String::from_utf8_lossy(text), reader)?
            };
            if fresh {
                groups.push(Vec::new());
                fresh = false;
            }
            if let Some(g) = groups.last_mut() {
                g.push((negated, acl));
            }
            negated = false;
        }
        Ok(Self { unless, groups })
    }

    /// The first ACL that can't work at a place.
    #[must_use]
    pub fn conflict(&self, place: Places) -> Option<Conflict> {
        self.groups.iter().flatten().find_map(|(_, acl)| conflict(acl, place))
    }

    /// The program that the data plane runs; made when the whole configuration has been read. Tests of messages that are
    /// there in none of these places never match; others are made all the same, as in HAProxy, which warns of them.
    #[must_use]
    pub fn program(&self, places: &[Places]) -> Program {
        let kept = |t: &Arc<Test>| !t.expr.fetch().needs.is_of_message();
        let works =
            |t: &Arc<Test>| places.is_empty() || kept(t) || places.iter().any(|p| t.expr.valid_in(*p));
        let tests = |acl: &Acl| acl.tests().into_iter().filter(works).collect();
        let group = |g: &Vec<(bool, Arc<Acl>)>| {
            g.iter().map(|(negated, acl)| Term { negated: *negated, tests: tests(acl) }).collect()
        };
        let slow =
            self.groups.iter().flatten().any(|(_, acl)| acl.tests().iter().any(|t| t.expr.fetch().slow));
        Program { unless: self.unless, slow, groups: self.groups.iter().map(group).collect() }
    }
}

/// One ACL of a condition.
#[derive(Clone, Debug)]
struct Term {
    negated: bool,
    tests: Box<[Arc<Test>]>,
}

impl Term {
    #[inline]
    fn eval<W: Watch>(&self, scope: &Scope<'_>, watch: &mut W) -> Verdict {
        let mut answer = Verdict::False;
        for t in &self.tests {
            match t.eval_watched(scope, watch) {
                Verdict::True => {
                    answer = Verdict::True;
                    break;
                }
                Verdict::NotYet => answer = Verdict::NotYet,
                Verdict::False => {}
            }
        }
        if self.negated { !answer } else { answer }
    }
}

/// A compiled condition.
#[derive(Clone, Debug, Default)]
pub struct Program {
    unless: bool,
    /// Something in it may take longer than a worker may.
    slow: bool,
    groups: Box<[Box<[Term]>]>,
}

impl Program {
    /// Three-valued: an alternative that is true decides at once, one that is not decidable yet leaves the whole so
    /// unless another is true.
    #[inline]
    #[must_use]
    pub fn eval(&self, scope: &Scope<'_>) -> Verdict {
        self.eval_watched(scope, &mut ())
    }

    /// The same, and `watch` is told of every value that is looked at.
    #[inline]
    pub fn eval_watched<W: Watch>(&self, scope: &Scope<'_>, watch: &mut W) -> Verdict {
        let answer = self.any(scope, watch);
        if self.unless { !answer } else { answer }
    }

    /// May its evaluation take longer than a worker may ([`crate::work`])?
    #[inline]
    #[must_use]
    pub fn slow(&self) -> bool {
        self.slow
    }

    #[inline]
    fn any<W: Watch>(&self, scope: &Scope<'_>, watch: &mut W) -> Verdict {
        let mut answer = Verdict::False;
        for group in &self.groups {
            let mut all = Verdict::True;
            for term in group {
                match term.eval(scope, watch) {
                    Verdict::True => {}
                    Verdict::False => {
                        all = Verdict::False;
                        break;
                    }
                    Verdict::NotYet => all = Verdict::NotYet,
                }
            }
            match all {
                Verdict::True => return Verdict::True,
                Verdict::NotYet => answer = Verdict::NotYet,
                Verdict::False => {}
            }
        }
        answer
    }

    /// For rule lists that look up which conditions can be true: tests of which one must be true for the condition to be
    /// so, all of them indexable; `None`: there are no such tests.
    #[must_use]
    pub fn needs(&self) -> Option<Vec<&Test>> {
        if self.unless || self.slow || self.groups.is_empty() {
            return None;
        }
        let mut needed: Vec<&Test> = Vec::new();
        for group in &self.groups {
            let fits = |t: &&Term| !t.negated && !t.tests.is_empty() && t.tests.iter().all(|t| t.indexable());
            let term = group.iter().find(fits)?;
            needed.extend(term.tests.iter().map(|t| &**t));
        }
        Some(needed)
    }
}
