//! Which backend a stream goes to (manual section 4.2 "use_backend").

use super::action::{Target, UseBackend};
use super::lang::{Scope, Verdict};

/// The index (in `Model::proxies`) of the backend that the rules choose; `None`: `default_backend` decides. `find`
/// knows proxies by name; `usable` says whether a backend is neither disabled nor unpublished.
pub fn route(
    rules: &[UseBackend],
    scope: &Scope<'_>,
    find: impl Fn(&[u8]) -> Option<usize>,
    usable: impl Fn(usize) -> bool,
) -> Option<usize> {
    for rule in rules {
        if rule.condition.as_ref().is_some_and(|c| c.eval(scope) != Verdict::True) {
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
    None
}
