//! Certificates that tokens may be verified and decrypted with (`jwt`, manual section 12.7.1; `add ssl jwt`). What
//! converters name is looked up here; changes of a certificate are seen at once, as everywhere.

use crate::store::{Certificate, Slot};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

static ALLOWED: LazyLock<RwLock<BTreeMap<String, Arc<Slot<Certificate>>>>> = LazyLock::new(RwLock::default);

/// This one may be used from now on.
pub fn allow(slot: &Arc<Slot<Certificate>>) {
    ALLOWED.write().insert(slot.name.to_string(), slot.clone());
}

/// This one may not be used any more.
pub fn forbid(name: &str) {
    ALLOWED.write().remove(name);
}

/// May it be used?
#[must_use]
pub fn allowed(name: &str) -> Option<Arc<Certificate>> {
    ALLOWED.read().get(name).map(|slot| slot.get())
}

/// The names of all that may be used.
#[must_use]
pub fn names() -> Vec<String> {
    ALLOWED.read().keys().cloned().collect()
}
