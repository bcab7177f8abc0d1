//! Runs of rules that all compare one sample with exact strings share a lookup: the first rule of the run that can
//! match is found at once. A rule that is executed may change the sample, so it is looked up anew behind it.

use super::lang::{Condition, Scope, Value};
use portcullis_sample::expr::Expr;
use portcullis_sample::pattern::StrTable;
use portcullis_sample::row::Cursor;
use portcullis_sample::value::{Sample, Type};

/// Shorter runs are not worth a table.
const SHORTEST: usize = 4;

/// One run.
#[derive(Clone, Debug)]
struct Run {
    start: usize,
    end: usize,
    expr: Expr,
    exact: StrTable,
    folded: StrTable,
    /// By the tables' values: indexes of the rules that have the string, in order.
    rules: Vec<Vec<u32>>,
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
            let test = condition.and_then(|c| c.program().single()).and_then(|t| t.exact());
            let Some((expr, exact, folded)) = test else {
                jumps.close(open.take());
                continue;
            };
            if open.as_ref().is_some_and(|run| run.expr.text() != expr.text()) {
                jumps.close(open.take());
            }
            let run = open.get_or_insert_with(|| Run::new(index, expr));
            run.add(index, exact, folded);
        }
        jumps.close(open);
        jumps
    }

    fn close(&mut self, run: Option<Run>) {
        self.runs.extend(run.filter(|r| r.end - r.start >= SHORTEST));
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
    fn new(start: usize, expr: &Expr) -> Self {
        Self {
            start,
            end: start,
            expr: expr.clone(),
            exact: StrTable::new(false),
            folded: StrTable::new(true),
            rules: Vec::new(),
        }
    }

    fn add(&mut self, index: usize, exact: &StrTable, folded: &StrTable) {
        for (own, given) in [(&mut self.exact, exact), (&mut self.folded, folded)] {
            for key in given.keys() {
                let fresh = u32::try_from(self.rules.len()).unwrap_or(u32::MAX);
                if own.insert(key, fresh) {
                    self.rules.push(Vec::new());
                }
                let list = own.get(key).and_then(|i| self.rules.get_mut(i as usize));
                if let (Some(list), Ok(index)) = (list, u32::try_from(index)) {
                    list.push(index);
                }
            }
        }
        self.end = index + 1;
    }

    /// The first rule from `at` on that one of the sample's values matches, `end` if there is none; `None` if that
    /// can't be decided yet.
    fn find(&self, at: usize, scope: &Scope<'_>) -> Option<usize> {
        let mut cursor = Cursor::default();
        let mut best = self.end;
        loop {
            let value = match self.expr.eval_at(scope, &mut cursor) {
                Sample::There(value) => value,
                Sample::Missing => return Some(best),
                Sample::NotYet => return None,
            };
            match &value {
                Value::Str(text) | Value::Method(text) => best = best.min(self.first(text, at)),
                _ => {
                    let text = value.cast(Type::Str);
                    if let Some(text) = text.as_ref().and_then(Value::bytes) {
                        best = best.min(self.first(text, at));
                    }
                }
            }
            if !cursor.more {
                return Some(best);
            }
        }
    }

    fn first(&self, text: &[u8], at: usize) -> usize {
        let mut best = self.end;
        for table in [&self.exact, &self.folded] {
            let list = table.get(text).and_then(|i| self.rules.get(i as usize));
            if let Some(list) = list {
                let from = list.partition_point(|r| (*r as usize) < at);
                best = best.min(list.get(from).map_or(self.end, |r| *r as usize));
            }
        }
        best
    }
}
