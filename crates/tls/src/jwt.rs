//! Certificates that tokens may be verified and decrypted with (`jwt`, manual section 12.7.1; `add ssl jwt`). What
//! converters name is looked up here; changes of a certificate are seen at once, as everywhere.

use crate::store::{Certificate, Slot};
use parking_lot::RwLock;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

type Certificates = BTreeMap<String, Arc<Slot<Certificate>>>;

#[derive(Debug, Default)]
struct Allowed {
    all: Certificates,
    /// What an operator said of some of them.
    said: BTreeMap<String, bool>,
}

static ALLOWED: LazyLock<RwLock<Allowed>> = LazyLock::new(RwLock::default);

thread_local! {
    /// Those of a configuration that this thread reads while another one is in force.
    static AGAIN: RefCell<Option<Certificates>> = const { RefCell::new(None) };
}

/// This one may be used from now on, the configuration says.
pub fn allow(slot: &Arc<Slot<Certificate>>) {
    let mut own = Some((slot.name.to_string(), slot.clone()));
    AGAIN.with_borrow_mut(|again| {
        if let Some(again) = again {
            again.extend(own.take());
        }
    });
    ALLOWED.write().all.extend(own);
}

/// An operator says whether this one may be used (`add ssl jwt`, `del ssl jwt`); that outlives a reload in place.
pub fn say(slot: &Arc<Slot<Certificate>>, yes: bool) {
    let allowed = &mut *ALLOWED.write();
    allowed.said.insert(slot.name.to_string(), yes);
    match yes {
        true => allowed.all.insert(slot.name.to_string(), slot.clone()),
        false => allowed.all.remove(&*slot.name),
    };
}

pub(crate) fn begin() {
    AGAIN.set(Some(Certificates::new()));
}

pub(crate) fn roll_back() {
    AGAIN.set(None);
}

/// What was read since [`begin`] is in force; `known` are all certificates that there are now.
pub(crate) fn commit(known: &Certificates) {
    let Some(mut all) = AGAIN.take() else { return };
    let mut allowed = ALLOWED.write();
    allowed.said.retain(|name, _| known.contains_key(name));
    for (name, yes) in &allowed.said {
        match known.get(name).filter(|_| *yes) {
            Some(slot) => all.insert(name.clone(), slot.clone()),
            None => all.remove(name),
        };
    }
    allowed.all = all;
}

/// May it be used?
#[must_use]
pub fn allowed(name: &str) -> Option<Arc<Certificate>> {
    let own = AGAIN.with_borrow(|again| again.as_ref().and_then(|a| a.get(name).cloned()));
    let found = own.or_else(|| ALLOWED.read().all.get(name).cloned());
    found.map(|slot| slot.get())
}

/// The names of all that may be used.
#[must_use]
pub fn names() -> Vec<String> {
    ALLOWED.read().all.keys().cloned().collect()
}
