//! `hash-type map-based` and `static-rr`: a table with one slot for each unit of weight.
//!
//! Weights are divided by their greatest common divisor. Slots are dealt out one by one to the server whose score is
//! highest; a score goes up by the server's weight for every slot and down by the total when the server gets one.

/// The table, and where `static-rr` (or a request without a key) goes on.
#[derive(Debug, Default)]
pub(super) struct Map {
    table: Vec<u32>,
    cursor: usize,
}

/// The greatest common divisor of all weights that are not 0; 1 if there is none.
pub(super) fn divisor(weights: impl Iterator<Item = u32>) -> u32 {
    fn gcd(a: u32, b: u32) -> u32 {
        if b == 0 { a } else { gcd(b, a % b) }
    }
    weights.fold(0, gcd).max(1)
}

impl Map {
    /// Deals the slots out to `candidates` (member, weight above 0), `slots` of them; the cursor stays.
    pub(super) fn fill(&mut self, candidates: &[(u32, u32)], slots: u32) {
        let total = i64::from(slots);
        let mut scores = vec![0i64; candidates.len()];
        self.table.clear();
        self.table.reserve(slots as usize);
        for _ in 0..slots {
            let mut best: Option<(usize, i64)> = None;
            for (at, (score, (_, weight))) in scores.iter_mut().zip(candidates).enumerate() {
                *score += i64::from(*weight);
                let value = (*score + total) / total;
                if best.is_none_or(|(_, b)| value > b) {
                    best = Some((at, value));
                }
            }
            let Some((at, _)) = best else { return };
            scores[at] -= total;
            self.table.push(candidates[at].0);
        }
    }

    /// The member that this hash leads to.
    pub(super) fn member(&self, hash: u32) -> Option<usize> {
        let slots = u32::try_from(self.table.len()).ok().filter(|n| *n > 0)?;
        self.table.get((hash % slots) as usize).map(|m| *m as usize)
    }

    /// The next in turn that `try_take` takes; `avoid` only if nothing else is taken in a full turn.
    pub(super) fn next<T>(
        &mut self,
        avoid: Option<usize>,
        mut try_take: impl FnMut(usize) -> Option<T>,
    ) -> Option<T> {
        let slots = self.table.len();
        if self.cursor >= slots {
            self.cursor = 0;
        }
        let start = self.cursor;
        let mut avoided = None;
        for step in 0..slots {
            let at = (start + step) % slots;
            let member = *self.table.get(at)? as usize;
            if avoid == Some(member) {
                avoided.get_or_insert(at);
                continue;
            }
            if let Some(taken) = try_take(member) {
                self.cursor = at + 1;
                return Some(taken);
            }
        }
        let at = avoided?;
        let taken = try_take(*self.table.get(at)? as usize);
        if taken.is_some() {
            self.cursor = at + 1;
        }
        taken
    }
}
