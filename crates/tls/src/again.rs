//! The configuration read again in place: what was read before is found again as long as its files say the same, with all that
//! was changed in it at run time. Otherwise it is made anew, and nobody else sees that before it is in force.

use crate::jwt;
use crate::store::{Certificate, List, Shared, Slot, Store};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

thread_local! {
    /// What was read for the configuration in force.
    static BEFORE: RefCell<Option<Shared>> = const { RefCell::new(None) };
}

/// From now on this thread reads a configuration while another one is in force, for which this was read.
pub fn begin(before: &Shared) {
    BEFORE.set(Some(before.clone()));
    jwt::begin();
}

/// What was read since [`begin`] is in force. What no file has (`new ssl cert`, `new ssl ca-file`) is taken over.
pub fn commit(now: &Shared) {
    let Some(before) = BEFORE.take() else { return };
    let before = before.lock();
    let mut now = now.lock();
    take_made(&before.certificates, &mut now.certificates);
    take_made(&before.authorities, &mut now.authorities);
    take_made(&before.revoked, &mut now.revoked);
    jwt::commit(&now.certificates);
}

/// Takes over what was made at run time.
fn take_made<T>(before: &BTreeMap<String, Arc<Slot<T>>>, now: &mut BTreeMap<String, Arc<Slot<T>>>) {
    for (name, slot) in before.iter().filter(|(_, slot)| slot.source == MADE) {
        now.entry(name.clone()).or_insert_with(|| slot.clone());
    }
}

/// What was read since [`begin`] is not used.
pub fn roll_back() {
    BEFORE.set(None);
    jwt::roll_back();
}

/// The source of what was made at run time.
pub(crate) const MADE: u64 = 0;

/// Tells whether what is read has changed.
pub(crate) fn fingerprint(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish().max(MADE + 1)
}

/// What was read before, if there is something.
fn before<R>(look: impl FnOnce(&Store) -> Option<R>) -> Option<R> {
    BEFORE.with_borrow(|b| b.as_ref().and_then(|b| look(&b.lock())))
}

/// Something of this name that was read of the same.
pub(crate) fn same<T>(
    of: fn(&Store) -> &BTreeMap<String, Arc<Slot<T>>>,
    name: &str,
    source: u64,
) -> Option<Arc<Slot<T>>> {
    before(|store| of(store).get(name).filter(|slot| slot.source == source).cloned())
}

/// The certificate of this name, whatever it was read of.
pub(crate) fn certificate(name: &str) -> Option<Arc<Slot<Certificate>>> {
    before(|store| store.certificates.get(name).cloned())
}

/// The keys of a file that says the same.
pub(crate) fn ticket_keys(name: &str, source: u64) -> Option<Arc<crate::tickets::KeyFile>> {
    before(|store| store.ticket_files.iter().find(|f| f.name == name && f.source == source).cloned())
}

/// The crt-list of this name whose file says the same.
pub(crate) fn list(name: &str, source: u64) -> Option<List> {
    before(|store| store.lists.get(name).filter(|list| list.source == source).cloned())
}
