//! Runs of rules share lookups: each sample that the conditions of a run need is evaluated once, and tables of all their
//! patterns tell which rules can match at all; the first of those is evaluated next. A rule that is executed may change
//! the samples, so they are looked at anew behind it.
//!
//! A rule can be in a run if each alternative of its condition has a test that must be true and compares a pure sample with
//! strings, prefixes, suffixes or networks. What the tables say is only that a rule may match: whether it does, its
//! condition decides.

use super::lang::{Condition, Scope, Value};
use portcullis_sample::expr::Expr;
use portcullis_sample::pattern::index::Index;
use portcullis_sample::pattern::inline;
use portcullis_sample::row::Cursor;
use portcullis_sample::value::Sample;

/// Shorter runs, for each sample that they look at, are not worth a table.
const SHORTEST: usize = 4;
/// Samples that a run looks at, at most.
const MOST: usize = 8;

/// One sample of a run.
#[derive(Clone, Debug)]
struct Key {
    expr: Expr,
    index: Index,
}

/// One run.
#[derive(Clone, Debug)]
struct Run {
    start: usize,
    end: usize,
    keys: Vec<Key>,
    /// Lists of the tests that the tables were made of (`born`), each with a rule that has it; ascending.
    lists: Vec<(u32, u32)>,
}

/// The runs of a rule set.
#[derive(Clone, Debug, Default)]
pub struct Jumps {
    runs: Vec<Run>,
}

impl Jumps {
    /// Of rules with these conditions.
    #[must_use]
    pub fn of<'a>(conditions: impl Iterator<Item = Option<&'a Condition>>) -> Self {
        let mut jumps = Self::default();
        let mut open: Option<Run> = None;
        for (index, condition) in conditions.enumerate() {
            let needed = condition.and_then(|c| c.program().needs());
            let Some(needed) = needed else {
                jumps.close(open.take());
                continue;
            };
            let Ok(number) = u32::try_from(index) else { break };
            let mut fresh = 0;
            for test in &needed {
                let known = open.as_ref().is_some_and(|run| run.keys.iter().any(|k| k.expr.same(&test.expr)));
                fresh += usize::from(!known);
            }
            if open.as_ref().is_some_and(|run| run.keys.len() + fresh > MOST) {
                jumps.close(open.take());
            }
            let run = open.get_or_insert_with(|| Run {
                start: index,
                end: index,
                keys: Vec::new(),
                lists: Vec::new(),
            });
            for test in needed {
                let at = run.keys.iter().position(|k| k.expr.same(&test.expr)).unwrap_or_else(|| {
                    run.keys.push(Key { expr: test.expr.clone(), index: Index::default() });
                    run.keys.len() - 1
                });
                if let Some(key) = run.keys.get_mut(at) {
                    key.index.add(&test.patterns, number);
                }
                run.lists.extend(test.patterns.own.as_ref().map(|own| (own.born, number)));
            }
            run.end = index + 1;
        }
        jumps.close(open);
        jumps
    }

    fn close(&mut self, mut run: Option<Run>) {
        run.iter_mut().for_each(|r| r.lists.sort_unstable());
        self.runs.extend(run.filter(|r| r.end - r.start >= SHORTEST * r.keys.len()));
    }

    /// The next rule from `at` on that can match; all between can't.
    #[inline]
    #[must_use]
    pub fn skip(&self, at: usize, scope: &Scope<'_>) -> usize {
        if self.runs.is_empty() {
            return at;
        }
        let mut at = at;
        let first = self.runs.partition_point(|r| r.end <= at);
        for run in self.runs.get(first..).unwrap_or(&[]) {
            if at < run.start {
                break;
            }
            match run.find(at, scope) {
                Some(found) if found < run.end => return found,
                Some(_) => at = run.end,
                None => break,
            }
        }
        at
    }
}

impl Run {
    /// The first rule from `at` on that a value of the samples lets match, `end` if there is none; `None` if that can't be
    /// decided yet.
    fn find(&self, at: usize, scope: &Scope<'_>) -> Option<usize> {
        let mut best = if inline::any_changed() { self.changed(at) } else { self.end };
        for key in &self.keys {
            let mut cursor = Cursor::each();
            loop {
                let value = match key.expr.eval_at(scope, &mut cursor) {
                    Sample::There(value) => value,
                    Sample::Missing => break,
                    Sample::NotYet => return None,
                };
                best = best.min(key.first(&value, at, best));
                if !cursor.more {
                    if cursor.grows && !scope.last_call {
                        return None;
                    }
                    break;
                }
            }
        }
        Some(best)
    }

    /// The first rule from `at` on with a test whose patterns were changed since the tables were made: it may always match.
    #[cold]
    fn changed(&self, at: usize) -> usize {
        let mut first = self.end;
        inline::each_changed(|born| {
            let from = self.lists.partition_point(|(b, rule)| (*b, *rule as usize) < (born, at));
            if let Some((_, rule)) = self.lists.get(from).filter(|(b, _)| *b == born) {
                first = first.min(*rule as usize);
            }
        });
        first
    }
}

impl Key {
    /// The first rule from `at` on, before `end`, that this value lets match.
    fn first(&self, value: &Value<'_>, at: usize, end: usize) -> usize {
        let (Ok(from), Ok(to)) = (u32::try_from(at), u32::try_from(end)) else { return end };
        self.index.first(value, from, to).map_or(end, |n| n as usize)
    }
}
