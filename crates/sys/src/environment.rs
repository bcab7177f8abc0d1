//! The environment as the configuration has left it: `setenv` and its kin change what the process knows of, not the memory that
//! other threads read.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStringExt;
use std::sync::{PoisonError, RwLock};

/// Variables by name.
pub type Variables = BTreeMap<String, Vec<u8>>;

static PUBLISHED: RwLock<Option<Variables>> = RwLock::new(None);

/// What the process was started with.
#[must_use]
pub fn inherited() -> Variables {
    std::env::vars_os().map(|(k, v)| (k.to_string_lossy().into_owned(), v.into_vec())).collect()
}

/// These are the variables from now on.
pub fn publish(variables: &Variables) {
    *PUBLISHED.write().unwrap_or_else(PoisonError::into_inner) = Some(variables.clone());
}

/// A variable's value.
#[must_use]
pub fn get(name: &str) -> Option<Vec<u8>> {
    match &*PUBLISHED.read().unwrap_or_else(PoisonError::into_inner) {
        Some(variables) => variables.get(name).cloned(),
        None => inherited().remove(name),
    }
}

/// All of them.
#[must_use]
pub fn all() -> Variables {
    PUBLISHED.read().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_else(inherited)
}
