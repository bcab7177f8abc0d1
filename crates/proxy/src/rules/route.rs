//! Which backend a stream goes to (manual section 4.2 "use_backend").

use super::action::{Target, UseBackend};
use super::jumps::Jumps;
use super::lang::{Scope, Verdict};
use crate::explain::{self, Observer};
use crate::plan::{Plan, ProxyPlan};
use std::sync::Arc;

/// The `use_backend` rules of a proxy.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    /// In source order.
    pub list: Vec<UseBackend>,
    jumps: Jumps,
    /// Some condition or name may take longer than a worker may.
    pub slow: bool,
}

/// The backend of a stream: what `use_backend` chooses, or else `default_backend`, among those that are neither disabled nor
/// unpublished; `force-be-switch` takes any.
#[must_use]
pub fn backend<'p>(plan: &'p Plan, front: &'p ProxyPlan, scope: &Scope<'_>) -> Option<&'p Arc<ProxyPlan>> {
    let sets = front.rules.as_deref();
    let all = || {
        let guards = sets.map_or(&[][..], |s| &s.force_switch);
        guards.iter().any(|g| g.condition.eval(scope) == Verdict::True)
    };
    let usable = |at: usize| {
        let open = |p: &ProxyPlan| {
            // a proxy may always use its own servers
            let shown = p.index == front.index || !p.state.as_ref().is_some_and(|s| s.is_unpublished());
            !p.disabled && shown
        };
        plan.proxies.get(at).is_some_and(|p| open(p) || all())
    };
    let find = |name: &[u8]| plan.backends.get(name).copied();
    let routed = sets.and_then(|s| s.use_backend.choose(scope, find, usable));
    let chosen = routed.or(front.default_backend.filter(|at| usable(*at)))?;
    plan.proxies.get(chosen)
}

impl Routes {
    /// Compiles conditions; everything has been read.
    pub(super) fn compile(&mut self) {
        self.jumps = Jumps::of(self.list.iter().map(|r| r.condition.as_deref()));
        let slow = |r: &UseBackend| r.slow || r.condition.as_ref().is_some_and(|c| c.program().slow());
        self.slow = self.list.iter().any(slow);
    }

    /// Do they look at what a client has sent?
    #[must_use]
    pub fn reads_request(&self) -> bool {
        let target = |r: &UseBackend| matches!(&r.target, Target::Format(f) if f.reads_request());
        self.list.iter().any(|r| target(r) || r.condition.as_ref().is_some_and(|c| c.reads_request()))
    }
    /// None?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The index (in `Model::proxies`) of the backend that the rules choose; `None`: `default_backend` decides.
    /// `find` knows backends by name; `usable` says whether one is neither disabled nor unpublished.
    pub fn choose(
        &self,
        scope: &Scope<'_>,
        find: impl Fn(&[u8]) -> Option<usize>,
        usable: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        match explain::observer() {
            None => self.choose_observed(scope, find, usable, &mut ()),
            Some(mut observer) => self.choose_observed(scope, find, usable, &mut observer),
        }
    }

    fn choose_observed<O: Observer>(
        &self,
        scope: &Scope<'_>,
        find: impl Fn(&[u8]) -> Option<usize>,
        usable: impl Fn(usize) -> bool,
        observer: &mut O,
    ) -> Option<usize> {
        let mut at = 0;
        loop {
            at = self.jumps.skip(at, scope);
            let rule = self.list.get(at)?;
            at += 1;
            let verdict = rule.condition.as_ref().map_or(Verdict::True, |c| c.eval_watched(scope, observer));
            observer.judged(rule.place, verdict);
            if verdict != Verdict::True {
                continue;
            }
            let found = match &rule.target {
                Target::Name(_, index) => *index,
                // a name that nobody has ends the search
                Target::Format(format) => find(&format.bytes(scope))?,
            };
            if usable(found) {
                return Some(found);
            }
        }
    }
}
